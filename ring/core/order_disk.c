/* Who is a member: a node with the disk that the map lists (protocol.md 2: a disk that lost what it
 * acknowledged is another node).
 *
 *   a ring begins      version 1 lists no disk, and nobody votes on a key in it. A majority of the
 *                      nodes that hear each other become members with version 2.
 *   a node comes first it is listed with its disk; its partitions get a new epoch.
 *   a disk is emptied  the node is at version 1 and takes no map that lists the disk that was. The
 *                      others see its disk in its heartbeats and list that one: its partitions move
 *                      (6.2) from the member that was, who is gone, to the one that is.
 *
 * So a member that has forgotten what it promised and accepted is never asked for it: before it is
 * listed it has no seat, and then it has one in epochs that the one before it was never in. The
 * same for the register: it votes on v + 1 only as a member of v. */
#include "ring/core/order_inner.h"

/* A majority waits so long for the rest: who begins with it lacks nothing. */
#define BIRTH_MS 1000u

bool sgn_disk_listed(const struct sgn_engine *engine, const struct sgn_map *map)
{
    uint64_t disk = sgn_map_disk(map, engine->options.node);
    return disk == engine->options.disk || (SGN_MUTANT(38) && disk != 0);
}

/* What was heard of a member before it was listed with another disk may be of the one that is gone:
 * were that one listed again, nobody would wait for the one who serves. It is heard anew. */
void sgn_disk_adopting(struct sgn_engine *engine, const struct sgn_map *next)
{
    for (uint32_t i = 0; i < engine->ring->member_count; i++) {
        struct sgn_peer *peer = &engine->peers[i];
        uint32_t node = engine->ring->members[i].id;
        uint64_t disk = sgn_map_disk(next, node);
        if (disk != sgn_map_disk(&engine->order.map, node) && disk != peer->disk) {
            peer->disk = 0;
            peer->up_since_ms = 0;
        }
    }
}

void sgn_disk_adopted(struct sgn_engine *engine)
{
    engine->order.is_member = sgn_disk_listed(engine, &engine->order.map);
}

/* Not once some node has told of a map beyond the first: the ring was made long ago. */
bool sgn_disk_unborn(const struct sgn_engine *engine)
{
    bool unborn = !engine->order.is_member;
    for (uint32_t i = 0; i < engine->ring->member_count && unborn; i++) {
        unborn = engine->order.known[i].version <= 1;
    }
    return unborn;
}

bool sgn_disk_votes(const struct sgn_engine *engine)
{
    return engine->order.is_member || sgn_disk_unborn(engine);
}

/* A node that is none knows no disks either. */
bool sgn_member_alive(const struct sgn_engine *engine, uint32_t node)
{
    const struct sgn_order *order = &engine->order;
    if (node == engine->options.node) {
        return order->is_member;
    }
    int index = sgn_ring_find(engine->ring, node);
    return index >= 0 && engine->peers[index].alive &&
           (engine->peers[index].disk == sgn_map_disk(&order->map, node) || !order->is_member ||
            SGN_MUTANT(38));
}

/* The disk to list for a member, 0: as it is. One that comes with another disk must be steady, like
 * one that comes back: whatever it was, its partitions move. */
static uint64_t wish(const struct sgn_engine *engine, uint32_t index)
{
    uint32_t node = engine->ring->members[index].id;
    bool own = index == engine->self;
    uint64_t disk = own ? engine->options.disk : engine->peers[index].disk;
    uint64_t listed = sgn_map_disk(&engine->order.map, node);
    if (SGN_MUTANT(38) && listed != 0) {
        return 0;
    }
    bool ready =
        own || (listed == 0 ? engine->peers[index].alive : sgn_keeper_is_steady(engine, index));
    return disk != listed && ready ? disk : 0;
}

static uint32_t wish_count(const struct sgn_engine *engine)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < engine->ring->member_count; i++) {
        count += wish(engine, i) != 0;
    }
    return count;
}

void sgn_disk_tick(struct sgn_engine *engine)
{
    struct sgn_order *order = &engine->order;
    bool apart = !sgn_disk_votes(engine);
    if (apart && !order->told_apart) {
        sgn_fx_log(engine,
                   "the ring does not list this node with the disk it has; until it does, the node "
                   "takes no part in ordered buckets, then it is brought what it lacks");
    }
    order->told_apart = apart;
    if (order->is_member || wish_count(engine) <= engine->ring->member_count / 2) {
        order->met_since_ms = 0;
    } else if (order->met_since_ms == 0) {
        order->met_since_ms = engine->now_ms > 0 ? engine->now_ms : 1;
    }
}

bool sgn_disk_wishes(const struct sgn_engine *engine)
{
    const struct sgn_order *order = &engine->order;
    uint32_t count = wish_count(engine);
    if (order->is_member) {
        return count > 0;
    }
    bool waited = order->met_since_ms != 0 && engine->now_ms - order->met_since_ms >= BIRTH_MS;
    return count == engine->ring->member_count ||
           (count > engine->ring->member_count / 2 && waited);
}

uint32_t sgn_disk_change(struct sgn_engine *engine, struct sgn_map *next)
{
    const struct sgn_order *order = &engine->order;
    uint32_t changes = 0;
    for (uint32_t i = 0; i < engine->ring->member_count; i++) {
        uint64_t disk = wish(engine, i);
        if (disk != 0 &&
            sgn_map_set_disk(
                next, engine->ring->members[i].id, disk, order->known, order->known_count)) {
            changes++;
        }
    }
    return changes;
}
