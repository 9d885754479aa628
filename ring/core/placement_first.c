#include "ring/core/placement_first.h"

#include "ring/core/check.h"

#define DEPTH_NONE  UINT16_MAX
#define MEMBER_NONE UINT32_MAX

static uint32_t weight_of(const struct sgn_first *first, uint32_t member)
{
    return first->rows->ring->members[member].weight;
}

/* The sum of count^2 / weight over all members is least when counts follow the weights. Losing one
 * row lowers a member's term by (2 count - 1) / weight, a further one raises it by (2 count + 1) /
 * weight. True if `a` would rise by less than `b`. */
static bool rises_less(const struct sgn_first *first, uint32_t a, uint32_t b)
{
    return (2 * (uint64_t)first->count[a] + 1) * weight_of(first, b) <
           (2 * (uint64_t)first->count[b] + 1) * weight_of(first, a);
}

/* True if losing a row lowers `a` by more than it lowers `b`. Both have one to lose. */
static bool falls_more(const struct sgn_first *first, uint32_t a, uint32_t b)
{
    return (2 * (uint64_t)first->count[a] - 1) * weight_of(first, b) >
           (2 * (uint64_t)first->count[b] - 1) * weight_of(first, a);
}

static bool gains(const struct sgn_first *first, uint32_t from, uint32_t to)
{
    return (2 * (uint64_t)first->count[from] - 1) * weight_of(first, to) >
           (2 * (uint64_t)first->count[to] + 1) * weight_of(first, from);
}

static void put_first(const struct sgn_first *first, uint32_t partition, uint32_t member)
{
    uint16_t *row = sgn_rows_row(first->rows, partition);
    uint32_t position = 0;
    while (row[position] != member) {
        position++;
        SGN_ASSERT(position < first->rows->ring->replica_count);
    }
    row[position] = row[0];
    row[0] = (uint16_t)member;
}

static bool was_first(const struct sgn_rows *rows, uint32_t partition)
{
    return rows->before_width > 0 &&
           rows->before[(size_t)partition * rows->before_width] == sgn_rows_row(rows, partition)[0];
}

/* Those first before stay; every other row gets the member with the fewest for its weight. */
static void choose_greedily(struct sgn_first *first)
{
    struct sgn_rows *rows = first->rows;
    uint32_t width = rows->ring->replica_count;
    memset(first->count, 0, rows->ring->member_count * sizeof(first->count[0]));
    for (uint32_t p = 0; p < rows->ring->partition_count; p++) {
        first->count[sgn_rows_row(rows, p)[0]] += was_first(rows, p);
    }
    for (uint32_t p = 0; p < rows->ring->partition_count; p++) {
        if (was_first(rows, p)) {
            continue;
        }
        const uint16_t *row = sgn_rows_row(rows, p);
        uint32_t best = row[0];
        for (uint32_t i = 1; i < width; i++) {
            best = rises_less(first, row[i], best) ? row[i] : best;
        }
        put_first(first, p, best);
        first->count[best]++;
    }
}

/* The member with most for its weight among those not settled, or none. */
static uint32_t heaviest(const struct sgn_first *first)
{
    uint32_t best = MEMBER_NONE;
    for (uint32_t i = 0; i < first->rows->ring->member_count; i++) {
        if (!first->settled[i] && first->count[i] > 0 &&
            (best == MEMBER_NONE || falls_more(first, i, best))) {
            best = i;
        }
    }
    return best;
}

/* One step outward: whom those at `depth` could hand a row to. Returns how many are new. */
static uint32_t spread(struct sgn_first *first, uint16_t depth)
{
    const struct sgn_rows *rows = first->rows;
    uint32_t found = 0;
    for (uint32_t p = 0; p < rows->ring->partition_count; p++) {
        const uint16_t *row = sgn_rows_row(rows, p);
        if (first->depth[row[0]] != depth) {
            continue;
        }
        for (uint32_t i = 1; i < rows->ring->replica_count; i++) {
            if (first->depth[row[i]] == DEPTH_NONE) {
                first->depth[row[i]] = (uint16_t)(depth + 1);
                first->where[row[i]] = (uint16_t)p;
                found++;
            }
        }
    }
    return found;
}

/* The nearest member that `from` could shed a row to, to the good of the whole; the one that rises
 * least among equally near ones. */
static uint32_t lightest_near(struct sgn_first *first, uint32_t from)
{
    uint32_t member_count = first->rows->ring->member_count;
    memset(first->depth, UINT8_MAX, member_count * sizeof(first->depth[0]));
    first->depth[from] = 0;
    for (uint16_t depth = 0; spread(first, depth) > 0; depth++) {
        uint32_t best = MEMBER_NONE;
        for (uint32_t i = 0; i < member_count; i++) {
            if (first->depth[i] == depth + 1 && gains(first, from, i) &&
                (best == MEMBER_NONE || rises_less(first, i, best))) {
                best = i;
            }
        }
        if (best != MEMBER_NONE) {
            return best;
        }
    }
    return MEMBER_NONE;
}

/* Sheds rows from the heaviest along chains of rows while that helps. Whoever cannot shed is
 * settled for good: a later chain into its reach would have begun at someone heavier still. */
static void improve(struct sgn_first *first)
{
    memset(first->settled, 0, first->rows->ring->member_count);
    for (uint32_t from = heaviest(first); from != MEMBER_NONE; from = heaviest(first)) {
        uint32_t to = lightest_near(first, from);
        if (to == MEMBER_NONE) {
            first->settled[from] = 1;
            continue;
        }
        first->count[from]--;
        first->count[to]++;
        while (to != from) {
            uint32_t partition = first->where[to];
            uint32_t holder = sgn_rows_row(first->rows, partition)[0];
            put_first(first, partition, to);
            to = holder;
        }
    }
}

void sgn_first_balance(struct sgn_first *first)
{
    SGN_ASSERT(first->rows->empty_count == 0);
    choose_greedily(first);
    improve(first);
}
