/* ring/core/map_assign.c - which witnesses serve which partition: evenly, the same on every
 * machine, moving as few as possible.
 *
 * A plan of places among the fleet is made first and compared with the map last, so that a line
 * whose group comes out as it was pays no epoch. Three steps: keep the members that may serve; fill
 * the gaps with the least loaded; while two loads differ by more than one, move one line over. The
 * last step ends: each move makes the sum of the squares of the loads smaller. */
#include "ring/core/check.h"
#include "ring/core/map.h"

#define NOBODY UINT8_MAX

_Static_assert(SGN_WITNESSES_MAX < NOBODY, "a place is one byte, and one value means none");

struct plan {
    const struct sgn_map *map;
    uint32_t usable_count;
    bool usable[SGN_WITNESSES_MAX];
    uint32_t load[SGN_WITNESSES_MAX]; /* Lines of each. */
    uint32_t size;                    /* Of every group. */
    uint8_t places[SGN_PARTITIONS_MAX][SGN_GROUP_MAX];
};

/* A line whose fences are full cannot change now: its group stays, and weighs where it is. */
static bool is_stuck(const struct plan *plan, uint32_t partition)
{
    const struct sgn_line *line = &plan->map->lines[partition];
    return line->epoch != plan->map->version && line->group_count > 0 &&
           line->fence_count == SGN_FENCES_MAX;
}

static bool has(const uint8_t *places, uint8_t witness)
{
    for (uint32_t i = 0; i < SGN_GROUP_MAX; i++) {
        if (places[i] == witness) {
            return true;
        }
    }
    return false;
}

/* The least loaded that may serve and is not in the group; equal ones in an order of the
 * partition's own, so that no two witnesses share all their lines. */
static uint8_t least_loaded(const struct plan *plan, uint32_t partition)
{
    uint8_t best = NOBODY;
    uint64_t best_hash = 0;
    for (uint32_t i = 0; i < plan->map->witness_count; i++) {
        if (!plan->usable[i] || has(plan->places[partition], (uint8_t)i)) {
            continue;
        }
        uint64_t hash = sgn_ring_stand_in_hash(partition, plan->map->witnesses[i].id);
        if (best == NOBODY || plan->load[i] < plan->load[best] ||
            (plan->load[i] == plan->load[best] && hash < best_hash)) {
            best = (uint8_t)i;
            best_hash = hash;
        }
    }
    return best;
}

/* Where in the group the most loaded stands. */
static uint32_t most_loaded(const struct plan *plan, uint32_t partition)
{
    const uint8_t *places = plan->places[partition];
    uint32_t most = 0;
    for (uint32_t i = 1; i < plan->size; i++) {
        if (plan->load[places[i]] > plan->load[places[most]]) {
            most = i;
        }
    }
    return most;
}

static void plan_keep(struct plan *plan, uint32_t partition)
{
    const struct sgn_line *line = &plan->map->lines[partition];
    uint8_t *places = plan->places[partition];
    memset(places, NOBODY, SGN_GROUP_MAX);
    uint32_t max = is_stuck(plan, partition) ? SGN_GROUP_MAX : plan->size;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < plan->map->witness_count; i++) {
        bool member = sgn_line_group_index(line, plan->map->witnesses[i].id) >= 0;
        if (member && plan->usable[i] && kept < max) {
            places[kept++] = (uint8_t)i;
            plan->load[i]++;
        }
    }
}

static void plan_fill(struct plan *plan, uint32_t partition)
{
    uint8_t *places = plan->places[partition];
    for (uint32_t i = 0; i < plan->size; i++) {
        if (places[i] == NOBODY) {
            places[i] = least_loaded(plan, partition);
            SGN_ASSERT(places[i] != NOBODY); /* size <= usable_count */
            plan->load[places[i]]++;
        }
    }
}

/* Whether a member with more than `high` lines was exchanged for a witness with less than `low`,
 * and two less than its own: only that makes the loads more even. */
static bool plan_even(struct plan *plan, uint32_t partition, uint32_t high, uint32_t low)
{
    uint8_t *places = plan->places[partition];
    uint32_t most = most_loaded(plan, partition);
    uint8_t other = least_loaded(plan, partition);
    if (other == NOBODY || plan->load[places[most]] <= high || plan->load[other] >= low ||
        plan->load[places[most]] < plan->load[other] + 2) {
        return false;
    }
    plan->load[places[most]]--;
    plan->load[other]++;
    places[most] = other;
    return true;
}

/* Whether the line comes to a new epoch by what is planned so far: one more exchange in it then
 * costs nothing. */
static bool is_changing(const struct plan *plan, uint32_t partition)
{
    const struct sgn_line *line = &plan->map->lines[partition];
    if (line->epoch == plan->map->version || line->group_count != plan->size) {
        return true;
    }
    for (uint32_t i = 0; i < plan->size; i++) {
        const struct sgn_witness_member *witness =
            &plan->map->witnesses[plan->places[partition][i]];
        int at = sgn_line_group_index(line, witness->id);
        if (at < 0 || line->group[at].incarnation != witness->incarnation) {
            return true;
        }
    }
    return false;
}

enum lines { LINES_CHANGING, LINES_ALL };

static void plan_even_all(struct plan *plan, enum lines which, uint32_t high, uint32_t low)
{
    bool moved = true;
    while (moved) {
        moved = false;
        for (uint32_t p = 0; p < plan->map->partition_count; p++) {
            if (!is_stuck(plan, p) && (which == LINES_ALL || is_changing(plan, p))) {
                moved = plan_even(plan, p, high, low) || moved;
            }
        }
    }
}

static void plan_make(struct plan *plan)
{
    uint32_t partition_count = plan->map->partition_count;
    for (uint32_t p = 0; p < partition_count; p++) {
        plan_keep(plan, p);
    }
    uint32_t total = 0;
    for (uint32_t p = 0; p < partition_count; p++) {
        if (!is_stuck(plan, p)) {
            plan_fill(plan, p);
        }
    }
    for (uint32_t i = 0; i < plan->map->witness_count; i++) {
        total += plan->load[i];
    }
    /* In lines that change anyway; then from those above their share to those below it, for such
     * moves are all needed; then whatever is left. */
    uint32_t low = total / plan->usable_count;
    plan_even_all(plan, LINES_CHANGING, 0, UINT32_MAX);
    plan_even_all(plan, LINES_ALL, low + (total % plan->usable_count > 0 ? 1 : 0), low);
    plan_even_all(plan, LINES_ALL, 0, UINT32_MAX);
}

uint32_t sgn_map_assign_groups(struct sgn_map *next,
                               bool (*usable)(const void *user, uint32_t witness),
                               const void *user)
{
    struct plan plan;
    SGN_ASSERT(next->partition_count <= SGN_PARTITIONS_MAX);
    plan.map = next;
    plan.usable_count = 0;
    memset(plan.usable, 0, sizeof(plan.usable));
    memset(plan.load, 0, sizeof(plan.load));
    for (uint32_t i = 0; i < next->witness_count; i++) {
        const struct sgn_witness_member *witness = &next->witnesses[i];
        plan.usable[i] =
            !witness->leaving && witness->incarnation != 0 && usable(user, witness->id);
        plan.usable_count += plan.usable[i] ? 1 : 0;
    }
    if (plan.usable_count == 0) {
        return 0; /* Losing the fleet is no reason for an epoch: strong reads go by quorum. */
    }
    plan.size = next->group_size;
    while (plan.size > plan.usable_count) {
        plan.size -= 2; /* 5, 3, 1: always 2f + 1. */
    }
    plan_make(&plan);
    uint32_t changed = 0;
    for (uint32_t p = 0; p < next->partition_count; p++) {
        struct sgn_group_member group[SGN_GROUP_MAX];
        for (uint32_t i = 0; i < plan.size && !is_stuck(&plan, p); i++) {
            const struct sgn_witness_member *witness = &next->witnesses[plan.places[p][i]];
            group[i] =
                (struct sgn_group_member){.id = witness->id, .incarnation = witness->incarnation};
        }
        changed += !is_stuck(&plan, p) && sgn_map_set_group(next, p, group, plan.size) ? 1 : 0;
    }
    return changed;
}
