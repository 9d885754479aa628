/* Looks now and then whether the map should change, and proposes what should, all in one version.
 * Who is dead is a guess and may be wrong; the map's rules hold all the same.
 *
 * Nobody leads: of the nodes alive the one with the lowest id proposes at once, the others only
 * when a wish has stood for some seconds, so two rarely collide. What a node knows alone it
 * proposes at once by itself: that it has caught up, what its client asked, a move. */
#include "ring/core/order_inner.h"

#define KEEPER_MS        100u
#define PATIENCE_MS      3000u /* Of the second node; each further one waits a second more. */
#define PATIENCE_STEP_MS 1000u
#define PATIENCE_MS_MAX  10000u
#define FUTILE_MS        500u /* The rules allowed no change: not looked at again before. */
#define PRUNE_MS         1000u
#define ORPHAN_MS        10000u /* Between two epochs made for an orphan mark. */
#define CATCH_UP_MS      60000u /* Without a seat finished in that time the node is out again. */
#define STEADY_MS_MIN    1000u  /* A node back must be alive for so long, */
#define STEADY_MS_FLAP   2000u  /* one that flaps twice as long each time. */
#define STEADY_MS_MAX    30000u
#define FLAP_MS          60000u /* Alive for less than that: it flapped. */

/* --- who is up -------------------------------------------------------------------------------- */

static void member_watch(struct sgn_engine *engine, uint32_t index)
{
    struct sgn_peer *peer = &engine->peers[index];
    uint64_t *down_since_ms = &engine->order.down_since_ms[index];
    uint64_t now_ms = engine->now_ms > 0 ? engine->now_ms : 1;
    bool alive = sgn_node_alive(engine, engine->ring->members[index].id);
    if (alive && peer->up_since_ms == 0) {
        peer->up_since_ms = now_ms;
    } else if (!alive && peer->up_since_ms != 0) {
        bool flapped = now_ms - peer->up_since_ms < FLAP_MS;
        uint32_t twice = peer->steady_ms * 2;
        twice = twice < STEADY_MS_FLAP ? STEADY_MS_FLAP : twice;
        peer->steady_ms = !flapped ? STEADY_MS_MIN : twice < STEADY_MS_MAX ? twice : STEADY_MS_MAX;
        peer->up_since_ms = 0;
    }
    /* The member: one whose disk is not the listed one is down, however alive the node is. */
    if (sgn_member_alive(engine, engine->ring->members[index].id) || index == engine->self) {
        *down_since_ms = 0; /* Whether this node is a member the others tell. */
    } else if (*down_since_ms == 0) {
        *down_since_ms = now_ms;
    }
}

static void catching_watch(struct sgn_engine *engine)
{
    uint32_t catching[SGN_NODES_MAX] = {0};
    const struct sgn_map *map = &engine->order.map;
    for (uint32_t p = 0; p < map->partition_count; p++) {
        const struct sgn_line *line = &map->lines[p];
        for (uint32_t i = 0; i < line->seat_count; i++) {
            if (line->seats[i].state == SGN_SEAT_CATCHING_UP) {
                int index = sgn_ring_find(engine->ring, line->seats[i].node);
                SGN_ASSERT(index >= 0);
                catching[index]++;
            }
        }
    }
    for (uint32_t i = 0; i < engine->ring->member_count; i++) {
        if (catching[i] != engine->peers[i].catching) {
            engine->peers[i].catching = catching[i];
            engine->peers[i].catching_ms = engine->now_ms;
        }
    }
}

static bool is_down(const struct sgn_engine *engine, uint32_t index)
{
    uint64_t since_ms = engine->order.down_since_ms[index];
    return since_ms != 0 && engine->now_ms - since_ms >= engine->options.out_ms;
}

bool sgn_keeper_is_steady(const struct sgn_engine *engine, uint32_t index)
{
    const struct sgn_peer *peer = &engine->peers[index];
    uint32_t least = peer->steady_ms < STEADY_MS_MIN ? STEADY_MS_MIN : peer->steady_ms;
    return peer->up_since_ms != 0 && engine->now_ms - peer->up_since_ms >= least;
}

static bool is_stuck(const struct sgn_engine *engine, uint32_t index)
{
    const struct sgn_peer *peer = &engine->peers[index];
    return peer->catching > 0 && engine->now_ms - peer->catching_ms >= CATCH_UP_MS;
}

/* --- seats ------------------------------------------------------------------------------------ */

/* 6.1: this node has caught up the partition inside the very epoch that the line is in. */
static bool is_caught_up(const struct sgn_engine *engine, uint32_t partition)
{
    const struct sgn_order *order = &engine->order;
    return (order->caught_up[partition / 8] >> (partition % 8) & 1) != 0 &&
           order->caught_epoch[partition] == order->map.lines[partition].epoch;
}

/* What the seat should become; false: it may stay as it is. */
static bool seat_wish(const struct sgn_engine *engine,
                      uint32_t partition,
                      const struct sgn_seat *seat,
                      enum sgn_seat_state *state)
{
    const struct sgn_line *line = &engine->order.map.lines[partition];
    int index = sgn_ring_find(engine->ring, seat->node);
    if (index < 0) {
        return false;
    }
    if (seat->state == SGN_SEAT_OUT) {
        *state = SGN_SEAT_CATCHING_UP;
        return seat->sets != SGN_SET_LOST && sgn_member_alive(engine, seat->node) &&
               sgn_keeper_is_steady(engine, (uint32_t)index);
    }
    bool catching = seat->state == SGN_SEAT_CATCHING_UP;
    if (catching && seat->node == engine->options.node && is_caught_up(engine, partition)) {
        *state = SGN_SEAT_IN_SYNC;
        return true;
    }
    /* 6: no epoch merely to mark replicas out when fewer than a majority are left. */
    *state = SGN_SEAT_OUT;
    return (is_down(engine, (uint32_t)index) && sgn_order_reachable(engine, line)) ||
           (catching && is_stuck(engine, (uint32_t)index));
}

/* Whether some seat should change; *own: one of which only this node knows. */
static bool seats_wish(const struct sgn_engine *engine, bool *own)
{
    const struct sgn_map *map = &engine->order.map;
    bool any = false;
    for (uint32_t p = 0; p < map->partition_count; p++) {
        for (uint32_t i = 0; i < map->lines[p].seat_count; i++) {
            enum sgn_seat_state state;
            if (seat_wish(engine, p, &map->lines[p].seats[i], &state)) {
                any = true;
                *own = *own || state == SGN_SEAT_IN_SYNC;
            }
        }
    }
    return any;
}

static uint32_t seats_change(struct sgn_engine *engine, struct sgn_map *next)
{
    const struct sgn_map *map = &engine->order.map;
    uint32_t changes = 0;
    for (uint32_t p = 0; p < map->partition_count; p++) {
        for (uint32_t i = 0; i < map->lines[p].seat_count; i++) {
            const struct sgn_seat *seat = &map->lines[p].seats[i];
            enum sgn_seat_state state;
            /* One that comes with another disk has its state by that. */
            if (seat_wish(engine, p, seat, &state) &&
                sgn_map_disk(next, seat->node) == sgn_map_disk(map, seat->node) &&
                sgn_map_seat_state(next, p, seat->node, state)) {
                changes++;
            }
        }
    }
    return changes;
}

/* --- fences and moves ------------------------------------------------------------------------- */

static bool prune_wish(struct sgn_engine *engine)
{
    struct sgn_order *order = &engine->order;
    if (engine->now_ms < order->work.prune_due_ms) {
        return order->work.prune_wished;
    }
    order->work.prune_due_ms = engine->now_ms + PRUNE_MS;
    uint32_t fences = 0;
    bool passed = false;
    for (uint32_t p = 0; p < order->map.partition_count; p++) {
        const struct sgn_line *line = &order->map.lines[p];
        for (uint32_t i = 0; i < line->fence_count; i++) {
            fences++;
            passed = passed ||
                     sgn_fence_passed(line, &line->fences[i], order->known, order->known_count);
        }
    }
    bool leaving = false;
    for (uint32_t i = 0; i < order->map.witness_count; i++) {
        leaving = leaving || order->map.witnesses[i].leaving;
    }
    order->work.prune_wished = passed || (leaving && fences == 0);
    return order->work.prune_wished;
}

static uint32_t weight(const struct sgn_map *map)
{
    uint32_t count = map->witness_count;
    for (uint32_t p = 0; p < map->partition_count; p++) {
        count += map->lines[p].fence_count;
    }
    return count;
}

/* Before the other changes: nobody can be in the epochs they make. */
static uint32_t prune(struct sgn_engine *engine, struct sgn_map *next)
{
    uint32_t before = weight(next);
    sgn_map_prune(next, engine->order.known, engine->order.known_count);
    return before - weight(next);
}

/* The line's set is, or in a joint epoch will be, the one asked for. */
static bool is_set(const struct sgn_line *line, const struct sgn_map_move *move)
{
    uint32_t members = 0;
    for (uint32_t i = 0; i < line->seat_count; i++) {
        members += (line->seats[i].sets & SGN_SET_NEW) != 0;
    }
    bool same = members == move->count;
    for (uint32_t i = 0; same && i < move->count; i++) {
        int seat = sgn_line_seat(line, move->nodes[i]);
        same = seat >= 0 && (line->seats[seat].sets & SGN_SET_NEW) != 0;
    }
    return same;
}

static bool moves_wish(struct sgn_engine *engine, bool *own)
{
    struct sgn_map_move *move = &engine->order.work.move;
    const struct sgn_map *map = &engine->order.map;
    bool any = false;
    for (uint32_t p = 0; p < map->partition_count; p++) {
        any = any || map->lines[p].joint;
    }
    if (move->count > 0) {
        const struct sgn_line *line = &map->lines[move->partition];
        if (is_set(line, move)) {
            move->count = 0; /* Begun; its end follows by itself. */
        } else if (!line->joint) {
            any = *own = true;
        }
    }
    return any;
}

static uint32_t moves_change(struct sgn_engine *engine, struct sgn_map *next)
{
    struct sgn_map_move *move = &engine->order.work.move;
    uint32_t changes = 0;
    for (uint32_t p = 0; p < next->partition_count; p++) {
        changes += next->lines[p].joint && sgn_map_move_end(next, p) ? 1 : 0;
    }
    const struct sgn_line *line = &next->lines[move->partition];
    if (move->count == 0 || line->joint || line->fence_count == SGN_FENCES_MAX) {
        return changes;
    }
    if (sgn_map_move_begin(next, move->partition, move->nodes, move->count)) {
        return changes + 1;
    }
    if (!is_set(line, move)) {
        sgn_fx_log(engine, "a partition cannot move as was asked; it stays where it is");
    }
    move->count = 0;
    return changes;
}

bool sgn_engine_move(struct sgn_engine *engine,
                     uint32_t partition,
                     const uint32_t *nodes,
                     uint32_t count)
{
    struct sgn_map_move *move = &engine->order.work.move;
    if (move->count > 0 || partition >= engine->order.map.partition_count || count == 0 ||
        count > SGN_REPLICAS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        bool twice = false;
        for (uint32_t k = 0; k < i; k++) {
            twice = twice || nodes[k] == nodes[i];
        }
        if (twice || sgn_ring_find(engine->ring, nodes[i]) < 0) {
            return false;
        }
    }
    *move = (struct sgn_map_move){.partition = partition, .count = count};
    memcpy(move->nodes, nodes, count * sizeof(nodes[0]));
    return true;
}

/* 4.3: an orphan mark that no replica can resolve goes with the epoch. */
static uint32_t orphans_change(struct sgn_engine *engine, struct sgn_map *next)
{
    struct sgn_order *order = &engine->order;
    if (order->relist_wanted == 0) {
        return 0;
    }
    uint32_t partition = order->relist_wanted - 1;
    order->relist_wanted = 0;
    order->orphan_due_ms = engine->now_ms + ORPHAN_MS;
    return sgn_map_relist(next, partition) ? 1 : 0;
}

/* 3.7, step 3. */
static uint32_t floors_change(struct sgn_engine *engine, struct sgn_map *next)
{
    struct sgn_floor_ready *ready = &engine->order.floor_ready;
    if (!ready->wanted) {
        return 0;
    }
    ready->wanted = false;
    return next->lines[ready->partition].epoch == ready->epoch &&
                   sgn_map_set_floor(next, ready->partition, ready->floor, ready->stamp)
               ? 1
               : 0;
}

/* --- keeping ---------------------------------------------------------------------------------- */

static uint64_t patience(const struct sgn_engine *engine)
{
    uint32_t before = 0;
    for (uint32_t i = 0; i < engine->self; i++) {
        before += sgn_member_alive(engine, engine->ring->members[i].id) ? 1 : 0;
    }
    uint64_t ms = before == 0 ? 0 : PATIENCE_MS + (uint64_t)(before - 1) * PATIENCE_STEP_MS;
    return ms < PATIENCE_MS_MAX ? ms : PATIENCE_MS_MAX;
}

/* All that is wished for as the next version. */
static void make(struct sgn_engine *engine)
{
    struct sgn_map_work *work = &engine->order.work;
    struct sgn_map *next = &work->scratch;
    sgn_map_begin(next, &engine->order.map);
    uint32_t changes = prune(engine, next);
    changes += sgn_disk_change(engine, next);
    bool client = sgn_change_make(engine, next);
    changes += client ? 1 : 0;
    changes += seats_change(engine, next);
    changes += sgn_fleet_change(engine, next);
    changes += moves_change(engine, next);
    changes += orphans_change(engine, next);
    changes += floors_change(engine, next);
    if (changes == 0) {
        work->make_due_ms = engine->now_ms + FUTILE_MS;
        work->wish_since_ms = 0;
        return;
    }
    work->client.in_proposal = client;
    if (!sgn_map_propose(engine)) {
        work->client.in_proposal = false;
    }
}

void sgn_keeper_now(struct sgn_engine *engine)
{
    struct sgn_map_work *work = &engine->order.work;
    if (!sgn_map_may_propose(engine) || (!engine->order.is_member && !sgn_disk_wishes(engine))) {
        return; /* Nothing is changed of a ring before it has its first members. */
    }
    bool own = work->client.waits && work->client.won == 0;
    bool wished = own || engine->now_ms >= work->make_due_ms;
    if (!own && wished) {
        bool seats = seats_wish(engine, &own);
        bool moves = moves_wish(engine, &own);
        bool fleet = sgn_fleet_wishes(engine);
        bool disks = sgn_disk_wishes(engine);
        bool orphan =
            engine->order.relist_wanted != 0 && engine->now_ms >= engine->order.orphan_due_ms;
        bool floor = engine->order.floor_ready.wanted;
        own = own || orphan || floor; /* Only the witness's first replica is told of it. */
        wished = prune_wish(engine) || seats || moves || fleet || disks || orphan || floor;
    }
    if (!wished) {
        work->wish_since_ms = 0;
        return;
    }
    if (work->wish_since_ms == 0) {
        work->wish_since_ms = engine->now_ms > 0 ? engine->now_ms : 1;
    }
    if (own || engine->now_ms - work->wish_since_ms >= patience(engine)) {
        make(engine);
    }
}

void sgn_keeper_tick(struct sgn_engine *engine)
{
    sgn_change_tick(engine);
    if (engine->now_ms < engine->order.keeper_due_ms || !sgn_fx_has_room(engine)) {
        return;
    }
    engine->order.keeper_due_ms = engine->now_ms + KEEPER_MS;
    for (uint32_t i = 0; i < engine->ring->member_count; i++) {
        member_watch(engine, i);
    }
    catching_watch(engine);
    sgn_disk_tick(engine);
    sgn_keeper_now(engine);
}

void sgn_keeper_adopted(struct sgn_engine *engine)
{
    struct sgn_map_work *work = &engine->order.work;
    work->wish_since_ms = 0;
    work->make_due_ms = 0;
    work->prune_wished = false;
    work->prune_due_ms = engine->now_ms + PRUNE_MS;
    engine->order.keeper_due_ms = engine->now_ms; /* What is left is made anew on this map. */
    sgn_change_adopted(engine);
}
