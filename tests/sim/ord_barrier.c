/* tests/sim/ord_barrier.c - could anyone be told that an old record is the newest?
 *
 * 5.2 lets an in_sync replica of epoch e serve when f+1 active witnesses of e know of no newer
 * mark. So for every epoch that some replica is still in: if f+1 of its active witnesses have no
 * mark at or above the newest exposed version, every in_sync replica still in that epoch must hold
 * it. */
#include "ring/core/witness_state.h"
#include "tests/sim/ord.h"

bool ord_white_holds(const struct ord_world *world,
                     uint32_t node,
                     uint32_t key,
                     const struct sgn_version *floor)
{
    struct sgn_bytes bytes = {0};
    struct sgn_ordered record;
    if (!ord_white_held(world, node, key, &bytes) ||
        sgn_ordered_decode(bytes, true, &record) != SGN_OK || record.version.rev == 0) {
        return ord_oracle_may_be_gone(&world->oracle, key, floor); /* 3.7 */
    }
    return ord_version_compare(&record.version, floor) >= 0;
}

void ord_white_carried(struct ord_world *world, uint32_t partition, const struct sgn_line *line)
{
    for (uint32_t key = 0; key < world->options.keys && !line->joint; key++) {
        const struct sgn_version *floor = &world->oracle.keys[key].floor;
        uint32_t holders = 0;
        if (ord_key_partition(world, key) != partition || floor->rev == 0) {
            continue;
        }
        for (uint32_t i = 0; i < line->seat_count; i++) {
            uint32_t node = line->seats[i].node - 1;
            bool has = ord_white_holds(world, node, key, floor) ||
                       ord_white_rotten(world, node, key) ||
                       ord_disk_is_lost(world, node); /* The epoch was made before anyone knew. */
            holders |= (has ? UINT32_C(1) : 0) << i;
        }
        if (!sgn_line_quorum(line, holders)) {
            ord_violation(&world->oracle,
                          "6.1, 6.2: epoch %u begins and no majority of it holds key %u rev %llu",
                          line->epoch,
                          key,
                          (unsigned long long)floor->rev);
        }
    }
}

/* Active in the epoch, by its own state, and without a mark that would stop the read. */
static bool clears(const struct ord_world *world,
                   const struct sgn_group_member *member,
                   uint32_t partition,
                   uint32_t epoch,
                   uint32_t key,
                   const struct sgn_ballot *origin)
{
    uint32_t process = ord_process(world, member->id);
    if (process == UINT32_MAX) {
        return false;
    }
    const struct ord_witness *witness = &world->fleet[process - ORD_NODES_MAX];
    if (!witness->up) {
        return false;
    }
    const struct sgn_witness_part *part = &witness->core->parts[partition];
    if (part->epoch != epoch || part->mode != SGN_WITNESS_IS_ACTIVE) {
        return false;
    }
    const struct sgn_witness_entry *entry =
        sgn_witness_table_find(&witness->core->table, partition, world->white.hashes[key]);
    return entry == NULL || sgn_ballot_compare(&entry->ballot, origin) < 0;
}

static void check_epoch(struct ord_world *world,
                        uint32_t key,
                        const struct sgn_line *line,
                        const char *when)
{
    const struct sgn_version *floor = &world->oracle.keys[key].floor;
    uint32_t partition = ord_key_partition(world, key);
    uint32_t clear = 0;
    for (uint32_t i = 0; i < line->group_count; i++) {
        clear += clears(world, &line->group[i], partition, line->epoch, key, &floor->origin);
    }
    if (line->group_count == 0 || clear < sgn_line_group_quorum(line)) {
        return;
    }
    for (uint32_t i = 0; i < line->seat_count; i++) {
        uint32_t node = line->seats[i].node - 1;
        const struct ord_node *at = &world->nodes[node];
        if (line->seats[i].state == SGN_SEAT_IN_SYNC && at->up &&
            sgn_engine_map(at->engine)->lines[partition].epoch == line->epoch &&
            !ord_white_rotten(world, node, key) && !ord_white_holds(world, node, key, floor)) {
            ord_violation(&world->oracle,
                          "4, 5.2: %s, key %u: node %u may serve what is older than rev %llu, "
                          "for f+1 witnesses of epoch %u would clear it",
                          when,
                          key,
                          at->id,
                          (unsigned long long)floor->rev,
                          line->epoch);
        }
    }
}

void ord_white_barrier(struct ord_world *world, uint32_t key, const char *when)
{
    if (world->oracle.keys[key].floor.rev == 0) {
        return;
    }
    uint32_t partition = ord_key_partition(world, key);
    uint32_t done[ORD_NODES_MAX] = {0};
    for (uint32_t n = 0; n < world->options.nodes; n++) {
        if (!world->nodes[n].up) {
            continue;
        }
        const struct sgn_line *line = &sgn_engine_map(world->nodes[n].engine)->lines[partition];
        bool seen = false;
        for (uint32_t i = 0; i < n; i++) {
            seen |= done[i] == line->epoch;
        }
        done[n] = line->epoch;
        if (!seen) {
            check_epoch(world, key, line, when);
        }
    }
}

void ord_white_barriers(struct ord_world *world, const char *when)
{
    for (uint32_t key = 0; key < world->options.keys; key++) {
        ord_white_barrier(world, key, when);
    }
}
