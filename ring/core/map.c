#include "ring/core/map.h"

#include "ring/core/check.h"
#include "ring/core/mutant.h"
#include "ring/core/prng.h"

#define GROUP_SIZE_FIRST 3u /* Wanted of a fleet that is still to come. */
#define HASH_SEED_SALT   UINT64_C(0x51a7c0de5eed4b17)

_Static_assert(SGN_SEATS_MAX <= 32, "votes are the bits of a uint32_t");

void sgn_map_first(struct sgn_map *map, const struct sgn_ring *ring)
{
    struct sgn_line *lines = map->lines;
    SGN_ASSERT(ring->replica_count <= SGN_REPLICAS_MAX);
    *map = (struct sgn_map){.version = 1,
                            .partition_count = ring->partition_count,
                            .group_size = GROUP_SIZE_FIRST,
                            .lines = lines};
    /* Every node must come to the same version 1, so nothing here is drawn by lot. */
    map->hash_seed = sgn_mix64(sgn_ring_digest(ring) ^ HASH_SEED_SALT);
    for (uint32_t p = 0; p < ring->partition_count; p++) {
        const uint16_t *row = ring->table + (size_t)p * ring->replica_count;
        lines[p] = (struct sgn_line){.epoch = 1, .seat_count = ring->replica_count};
        for (uint32_t i = 0; i < ring->replica_count; i++) {
            SGN_ASSERT(row[i] < ring->member_count);
            lines[p].seats[i] = (struct sgn_seat){.node = ring->members[row[i]].id,
                                                  .state = SGN_SEAT_IN_SYNC,
                                                  .sets = SGN_SET_NEW,
                                                  .since = 1};
        }
    }
}

void sgn_map_copy(struct sgn_map *into, const struct sgn_map *map)
{
    struct sgn_line *lines = into->lines;
    SGN_ASSERT(into != map && lines != map->lines);
    *into = *map;
    into->lines = lines;
    memcpy(lines, map->lines, map->partition_count * sizeof(*lines));
}

int sgn_line_seat(const struct sgn_line *line, uint32_t node)
{
    for (uint32_t i = 0; i < line->seat_count; i++) {
        if (line->seats[i].node == node) {
            return (int)i;
        }
    }
    return -1;
}

/* Mask of the seats of one set. */
static uint32_t set_mask(const struct sgn_line *line, uint8_t set)
{
    uint32_t mask = 0;
    for (uint32_t i = 0; i < line->seat_count; i++) {
        mask |= (line->seats[i].sets & set) != 0 ? UINT32_C(1) << i : 0;
    }
    return mask;
}

static bool set_majority(uint32_t mask, uint32_t votes)
{
    return sgn_popcount(mask & votes) >= sgn_popcount(mask) / 2 + 1;
}

/* Of N, N - N/2 are enough once one is lost: together with any majority there was before they are
 * more than N, and two times as many are more than who is left. A majority for odd N, half for
 * even. */
bool sgn_line_old_quorum(const struct sgn_line *line, uint32_t votes)
{
    uint32_t living = set_mask(line, SGN_SET_OLD);
    uint32_t lost = set_mask(line, SGN_SET_LOST);
    uint32_t count = sgn_popcount(living | lost);
    uint32_t needed = lost != 0 ? count - count / 2 : count / 2 + 1;
    return sgn_popcount(votes & (SGN_MUTANT(39) ? living | lost : living)) >= needed;
}

bool sgn_line_quorum(const struct sgn_line *line, uint32_t votes)
{
    return set_majority(set_mask(line, SGN_SET_NEW), votes) &&
           (!line->joint || sgn_line_old_quorum(line, votes));
}

uint32_t sgn_line_all(const struct sgn_line *line)
{
    return (UINT32_C(1) << line->seat_count) - 1;
}

static uint32_t state_mask(const struct sgn_line *line, enum sgn_seat_state state)
{
    uint32_t mask = 0;
    for (uint32_t i = 0; i < line->seat_count; i++) {
        mask |= line->seats[i].state == state ? UINT32_C(1) << i : 0;
    }
    return mask;
}

uint32_t sgn_line_settlers(const struct sgn_line *line)
{
    return sgn_line_all(line) & ~state_mask(line, SGN_SEAT_OUT);
}

uint32_t sgn_line_in_sync(const struct sgn_line *line)
{
    return state_mask(line, SGN_SEAT_IN_SYNC);
}

bool sgn_line_newcomer(const struct sgn_line *line, int seat)
{
    return seat >= 0 && line->joint && (line->seats[seat].sets & SGN_SET_NEW) != 0 &&
           (line->seats[seat].sets & SGN_SET_OLD) == 0;
}

int sgn_line_preferred(const struct sgn_line *line,
                       bool (*alive)(const void *user, uint32_t node),
                       const void *user)
{
    for (uint32_t i = 0; i < line->seat_count; i++) {
        if (line->seats[i].state == SGN_SEAT_IN_SYNC &&
            (alive == NULL || alive(user, line->seats[i].node))) {
            return (int)i;
        }
    }
    return -1;
}

/* f + 1 of 2f + 1. */
static uint32_t group_quorum(uint32_t count)
{
    return count == 0 ? 0 : count / 2 + 1;
}

uint32_t sgn_line_group_quorum(const struct sgn_line *line)
{
    return group_quorum(line->group_count);
}

int sgn_line_group_index(const struct sgn_line *line, uint32_t witness)
{
    for (uint32_t i = 0; i < line->group_count; i++) {
        if (line->group[i].id == witness) {
            return (int)i;
        }
    }
    return -1;
}

uint64_t sgn_map_disk(const struct sgn_map *map, uint32_t node)
{
    uint32_t low = 0;
    uint32_t high = map->disk_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (map->disks[middle].node == node) {
            return map->disks[middle].disk;
        }
        if (map->disks[middle].node < node) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return 0;
}

const struct sgn_witness_member *sgn_map_hosted(const struct sgn_map *map, uint32_t node)
{
    for (uint32_t i = 0; i < map->witness_count; i++) {
        if (map->witnesses[i].host == node) {
            return &map->witnesses[i];
        }
    }
    return NULL;
}

/* Whether a replica is known to be in an epoch >= that one. Its versions are durable, so whichever
 * incarnation told one, it holds. */
static bool node_arrived(uint32_t node,
                         uint32_t epoch,
                         const struct sgn_known *known,
                         uint32_t known_count)
{
    for (uint32_t i = 0; i < known_count; i++) {
        if (known[i].id == node && known[i].version >= epoch) {
            return true;
        }
    }
    return false;
}

/* Whether a witness will answer no more check of the epoch that listed it: it is in an epoch >= the
 * one given, or was restarted, which emptied its memory for good. Incarnations have no order, and a
 * word of an older one may come late, so another incarnation alone proves nothing. But the one
 * listed lived before the fence's epoch was chosen; another that has adopted a map of that epoch or
 * later lived after it; and a witness has one life at a time. */
static bool witness_gone(const struct sgn_group_member *member,
                         const struct sgn_fence *fence,
                         uint32_t epoch,
                         const struct sgn_known *known,
                         uint32_t known_count)
{
    for (uint32_t i = 0; i < known_count; i++) {
        if (known[i].id != member->id || known[i].incarnation == 0) {
            continue;
        }
        bool same = known[i].incarnation == member->incarnation;
        if (known[i].version >= (same ? epoch : fence->epoch)) {
            return true;
        }
    }
    return false;
}

/* Mutant 14: the replicas that the *new* epoch lists are asked. One that it lists as out may still
 * be in the old epoch and serve fast reads there (protocol-check T3). */
static bool new_list_arrived(const struct sgn_line *line,
                             const struct sgn_known *known,
                             uint32_t known_count)
{
    for (uint32_t i = 0; i < line->seat_count; i++) {
        if (line->seats[i].state == SGN_SEAT_IN_SYNC &&
            !node_arrived(line->seats[i].node, line->epoch, known, known_count)) {
            return false;
        }
    }
    return true;
}

bool sgn_fence_passed(const struct sgn_line *line,
                      const struct sgn_fence *fence,
                      const struct sgn_known *known,
                      uint32_t known_count)
{
    uint32_t gone = 0;
    for (uint32_t i = 0; i < fence->group_count; i++) {
        gone += witness_gone(&fence->group[i], fence, line->epoch, known, known_count) ? 1 : 0;
    }
    uint32_t arrived = 0;
    for (uint32_t i = 0; i < fence->in_sync_count; i++) {
        arrived += node_arrived(fence->in_sync[i], line->epoch, known, known_count) ? 1 : 0;
    }
    return gone >= group_quorum(fence->group_count) || arrived == fence->in_sync_count ||
           (SGN_MUTANT(14) && new_list_arrived(line, known, known_count));
}

static void missing_add(uint32_t *missing, uint32_t max, uint32_t *count, uint32_t id)
{
    if (*count < max) {
        missing[(*count)++] = id;
    }
}

bool sgn_line_fenced(const struct sgn_line *line,
                     const struct sgn_known *known,
                     uint32_t known_count,
                     uint32_t *missing,
                     uint32_t missing_max,
                     uint32_t *missing_count)
{
    const struct sgn_fence *fence = NULL;
    for (uint32_t i = 0; i < line->fence_count && fence == NULL; i++) {
        if (!sgn_fence_passed(line, &line->fences[i], known, known_count)) {
            fence = &line->fences[i];
        }
    }
    if (missing == NULL) {
        return fence == NULL;
    }
    *missing_count = 0;
    for (uint32_t i = 0; fence != NULL && i < fence->group_count; i++) {
        if (!witness_gone(&fence->group[i], fence, line->epoch, known, known_count)) {
            missing_add(missing, missing_max, missing_count, fence->group[i].id);
        }
    }
    for (uint32_t i = 0; fence != NULL && i < fence->in_sync_count; i++) {
        if (!node_arrived(fence->in_sync[i], line->epoch, known, known_count)) {
            missing_add(missing, missing_max, missing_count, fence->in_sync[i]);
        }
    }
    return fence == NULL;
}
