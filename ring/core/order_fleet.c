/* What the witness fleet calls for (protocol.md 4, 6.3, 7): new incarnations are listed, groups are
 * spread over who serves, dropped partitions are listed anew.
 *
 * A witness is *good* when it was heard within some seconds. While every group has a quorum of good
 * members, a silent one is replaced only where another can take its place: two of three mark as
 * well as three. Once some group has no quorum, writes there wait for it, so groups are made of the
 * good ones alone, in the end of nobody: without a fleet strong reads go by quorum. The fence
 * decides whether the old group can still be of consequence. */
#include "ring/core/order_inner.h"

#define SILENT_MS 3000u
#define RELIST_MS 10000u

_Static_assert(SGN_WITNESSES_MAX <= 64, "the fleet is the bits of a word");

/* Bits over the map's witnesses. */
struct fleet {
    const struct sgn_map *map;
    uint64_t good;
    uint64_t usable;
    bool short_group; /* Some group has no quorum of good members. */
};

static int witness_index(const struct sgn_map *map, uint32_t id)
{
    for (uint32_t i = 0; i < map->witness_count; i++) {
        if (map->witnesses[i].id == id) {
            return (int)i;
        }
    }
    return -1;
}

static bool is_good(struct sgn_engine *engine, const struct sgn_witness_member *witness)
{
    const struct sgn_link *link = sgn_barrier_link(engine, witness->id);
    uint64_t heard_ms = link == NULL ? 0 : link->heard_ms;
    /* Just started, we have heard of nobody yet. */
    uint64_t since_ms = heard_ms > engine->started_ms ? heard_ms : engine->started_ms;
    return !witness->leaving && witness->incarnation != 0 && engine->now_ms - since_ms < SILENT_MS;
}

static void fleet_look(struct sgn_engine *engine, const struct sgn_map *map, struct fleet *fleet)
{
    uint64_t in_group = 0;
    *fleet = (struct fleet){.map = map};
    uint32_t good_count = 0;
    for (uint32_t i = 0; i < map->witness_count; i++) {
        bool good = is_good(engine, &map->witnesses[i]);
        fleet->good |= good ? UINT64_C(1) << i : 0;
        good_count += good ? 1 : 0;
    }
    for (uint32_t p = 0; p < map->partition_count; p++) {
        const struct sgn_line *line = &map->lines[p];
        uint32_t serving = 0;
        for (uint32_t i = 0; i < line->group_count; i++) {
            int index = witness_index(map, line->group[i].id);
            if (index < 0 || map->witnesses[index].leaving) {
                continue;
            }
            in_group |= UINT64_C(1) << index;
            serving += (fleet->good >> index & 1) != 0 &&
                               map->witnesses[index].incarnation == line->group[i].incarnation
                           ? 1
                           : 0;
        }
        fleet->short_group = fleet->short_group || serving < sgn_line_group_quorum(line);
    }
    bool keep_silent = !fleet->short_group && good_count < map->group_size;
    fleet->usable = fleet->good | (keep_silent ? in_group : 0);
}

static bool is_usable(const void *user, uint32_t witness)
{
    const struct fleet *fleet = user;
    int index = witness_index(fleet->map, witness);
    return index >= 0 && (fleet->usable >> index & 1) != 0;
}

/* By its own word it is another than the one listed. */
static bool is_new(struct sgn_engine *engine, const struct sgn_witness_member *witness)
{
    const struct sgn_link *link = sgn_barrier_link(engine, witness->id);
    return link != NULL && link->incarnation != 0 && link->incarnation != witness->incarnation;
}

/* 4.2: a witness that dropped partitions for want of room gets them back in a new epoch; while much
 * is unsettled here it would only drop them again. */
static bool wants_relist(struct sgn_engine *engine, const struct sgn_witness_member *witness)
{
    const struct sgn_link *link = sgn_barrier_link(engine, witness->id);
    return link != NULL && link->dropped > 0 && link->incarnation == witness->incarnation &&
           link->version >= engine->order.map.version && engine->now_ms >= link->relist_due_ms &&
           engine->order.dirty_count < SGN_DIRTY_MAX / 2;
}

bool sgn_fleet_wishes(struct sgn_engine *engine)
{
    const struct sgn_map_work *work = &engine->order.work;
    const struct sgn_map *map = &engine->order.map;
    struct fleet fleet;
    if (map->witness_count == 0) {
        return false;
    }
    for (uint32_t i = 0; i < map->witness_count; i++) {
        if (is_new(engine, &map->witnesses[i]) || wants_relist(engine, &map->witnesses[i])) {
            return true;
        }
    }
    fleet_look(engine, map, &fleet);
    return work->good_version != map->version || work->good_witnesses != fleet.usable;
}

static uint32_t relist(struct sgn_engine *engine, struct sgn_map *next, uint32_t index)
{
    const struct sgn_witness_member *witness = &next->witnesses[index];
    struct sgn_link *link = sgn_barrier_link(engine, witness->id);
    uint32_t changes = 0;
    for (uint32_t p = 0; p < next->partition_count; p++) {
        int member = sgn_line_group_index(&next->lines[p], witness->id);
        if (member >= 0 && next->lines[p].group[member].incarnation == witness->incarnation) {
            changes += sgn_map_relist(next, p) ? 1 : 0;
        }
    }
    link->relist_due_ms = engine->now_ms + RELIST_MS;
    return changes;
}

/* Nobody is left to serve: empty groups, which wait for no mark. */
static uint32_t groups_end(struct sgn_map *next)
{
    uint32_t changes = 0;
    for (uint32_t p = 0; p < next->partition_count; p++) {
        changes += sgn_map_set_group(next, p, NULL, 0) ? 1 : 0;
    }
    return changes;
}

uint32_t sgn_fleet_change(struct sgn_engine *engine, struct sgn_map *next)
{
    struct sgn_map_work *work = &engine->order.work;
    struct fleet fleet;
    uint32_t changes = 0;
    if (next->witness_count == 0) {
        return 0;
    }
    for (uint32_t i = 0; i < next->witness_count; i++) {
        struct sgn_witness_member *witness = &next->witnesses[i];
        if (is_new(engine, witness)) {
            witness->incarnation = sgn_barrier_link(engine, witness->id)->incarnation;
            changes++;
        } else if (wants_relist(engine, witness)) {
            changes += relist(engine, next, i);
        }
    }
    fleet_look(engine, next, &fleet);
    changes += fleet.usable != 0   ? sgn_map_assign_groups(next, is_usable, &fleet)
               : fleet.short_group ? groups_end(next)
                                   : 0;
    if (changes == 0) {
        work->good_version = engine->order.map.version;
        work->good_witnesses = fleet.usable;
    }
    return changes;
}
