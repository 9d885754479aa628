#include "ring/core/placement_rows.h"

#include "ring/core/check.h"
#include "ring/core/prng.h"

#define COST_NONE SGN_COST_ANY

/* The zones of one row as bits, enough to judge every exchange in it. */
struct row_zones {
    uint64_t seen;  /* Zones that stand in the row, ... */
    uint64_t twice; /* ... and those that stand in it more than once. */
    uint32_t repeats;
};

static uint64_t zone_bit(const struct sgn_rows *rows, uint32_t member)
{
    return UINT64_C(1) << rows->shares->zone[member];
}

static struct row_zones row_zones_of(const struct sgn_rows *rows, const uint16_t *row)
{
    struct row_zones zones = {0};
    for (uint32_t i = 0; i < rows->ring->replica_count; i++) {
        if (row[i] != SGN_SLOT_EMPTY) {
            uint64_t bit = zone_bit(rows, row[i]);
            zones.repeats += (zones.seen & bit) != 0;
            zones.twice |= zones.seen & bit;
            zones.seen |= bit;
        }
    }
    return zones;
}

/* Whether the row stays sound when `taker` gets the slot of `giver`. */
static bool exchange_sound(const struct sgn_rows *rows,
                           const struct row_zones *zones,
                           uint32_t taker,
                           uint32_t giver)
{
    uint64_t bit = zone_bit(rows, taker);
    uint64_t others = zone_bit(rows, giver) == bit ? zones->twice : zones->seen;
    uint32_t relieved = (zones->twice & zone_bit(rows, giver)) != 0;
    return zones->repeats - relieved + ((others & bit) != 0) <= rows->spare;
}

uint32_t sgn_rows_repeats(const struct sgn_rows *rows, uint32_t partition)
{
    return row_zones_of(rows, sgn_rows_row(rows, partition)).repeats;
}

bool sgn_rows_fits(const struct sgn_rows *rows, uint32_t partition, uint32_t member)
{
    const uint16_t *row = sgn_rows_row(rows, partition);
    uint32_t width = rows->ring->replica_count;
    if (!sgn_row_has(row, width, SGN_SLOT_EMPTY) || sgn_row_has(row, width, member)) {
        return false;
    }
    struct row_zones zones = row_zones_of(rows, row);
    return (zones.seen & zone_bit(rows, member)) == 0 || zones.repeats < rows->spare;
}

void sgn_rows_put(struct sgn_rows *rows, uint32_t partition, uint32_t position, uint32_t member)
{
    uint16_t *row = sgn_rows_row(rows, partition);
    SGN_ASSERT(row[position] == SGN_SLOT_EMPTY);
    SGN_ASSERT(rows->held[member] < rows->shares->target[member]);
    row[position] = (uint16_t)member;
    rows->held[member]++;
    rows->empty_count--;
}

void sgn_rows_open(struct sgn_rows *rows)
{
    rows->open_count = 0;
    for (uint32_t p = 0; p < rows->ring->partition_count; p++) {
        if (sgn_row_has(sgn_rows_row(rows, p), rows->ring->replica_count, SGN_SLOT_EMPTY)) {
            rows->open[rows->open_count++] = (uint16_t)p;
        }
    }
}

static struct sgn_chain_step *step_of(const struct sgn_rows *rows, uint32_t length, uint32_t member)
{
    return &rows->steps[(size_t)length * rows->ring->member_count + member];
}

/* Where a chain so far ends in an empty slot. */
struct chain_end {
    int32_t cost;
    uint32_t length; /* Exchanges before the empty slot. */
    uint32_t member;
    uint32_t partition;
};

/* Tries the empty slots for one member. */
static void end_try(const struct sgn_rows *rows,
                    uint32_t member,
                    uint32_t length,
                    struct chain_end *end)
{
    for (uint32_t i = 0; i < rows->open_count; i++) {
        uint32_t partition = rows->open[i];
        int32_t cost = rows->cost[member] + !sgn_rows_had(rows, partition, member);
        if (cost < end->cost && sgn_rows_fits(rows, partition, member)) {
            *end = (struct chain_end){cost, length, member, partition};
        }
    }
}

/* True if someone in the row could be reached more cheaply than so far. */
static bool row_tempts(const struct sgn_rows *rows, const uint16_t *row, int32_t base)
{
    for (uint32_t i = 0; i < rows->ring->replica_count; i++) {
        if (row[i] != SGN_SLOT_EMPTY && base - 1 < rows->cost_next[row[i]]) {
            return true;
        }
    }
    return false;
}

/* Lets one member take every slot that others hold and that suits it, where that reaches the other
 * more cheaply than so far. Rows are walked from a point peculiar to the member: equals differ. */
static uint32_t exchange_try(struct sgn_rows *rows,
                             uint32_t taker,
                             uint32_t length,
                             uint32_t next_count)
{
    uint32_t width = rows->ring->replica_count;
    uint32_t mask = rows->ring->partition_count - 1;
    uint32_t from = (uint32_t)sgn_mix64(rows->ring->members[taker].id);
    for (uint32_t k = 0; k <= mask; k++) {
        uint32_t partition = (from + k) & mask;
        const uint16_t *row = sgn_rows_row(rows, partition);
        int32_t base = rows->cost[taker];
        if (!row_tempts(rows, row, base + 1) || sgn_row_has(row, width, taker)) {
            continue;
        }
        base += !sgn_rows_had(rows, partition, taker);
        struct row_zones zones = row_zones_of(rows, row);
        for (uint32_t i = 0; i < width; i++) {
            uint32_t giver = row[i];
            if (giver == SGN_SLOT_EMPTY || base - 1 >= rows->cost_next[giver] ||
                !exchange_sound(rows, &zones, taker, giver)) {
                continue;
            }
            int32_t cost = base - !sgn_rows_had(rows, partition, giver);
            if (cost > rows->cost_cap || cost >= rows->cost_next[giver]) {
                continue;
            }
            /* A step of this length means that the member is in the list already. */
            struct sgn_chain_step *step = step_of(rows, length + 1, giver);
            if (step->taker == SGN_SLOT_EMPTY) {
                rows->active_next[next_count++] = (uint16_t)giver;
            }
            rows->cost_next[giver] = cost;
            *step = (struct sgn_chain_step){(uint16_t)taker, (uint16_t)partition};
        }
    }
    return next_count;
}

static void layers_swap(struct sgn_rows *rows)
{
    int32_t *cost = rows->cost;
    rows->cost = rows->cost_next;
    rows->cost_next = cost;
    uint16_t *active = rows->active;
    rows->active = rows->active_next;
    rows->active_next = active;
}

/* Bellman and Ford by length of chain, from one member that wants a slot. A chain found at `bound`,
 * below which there is none, is both cheapest and, being found first, shortest. */
static struct chain_end chain_search(struct sgn_rows *rows, uint32_t source, int32_t bound)
{
    uint32_t member_count = rows->ring->member_count;
    struct chain_end end = {.cost = COST_NONE};
    uint32_t count = 1;
    for (uint32_t i = 0; i < member_count; i++) {
        rows->cost[i] = COST_NONE;
    }
    rows->cost[source] = 0;
    rows->active[0] = (uint16_t)source;
    for (uint32_t length = 0; count > 0; length++) {
        for (uint32_t i = 0; i < count && end.cost > bound; i++) {
            end_try(rows, rows->active[i], length, &end);
        }
        if (end.cost <= bound || length == member_count) {
            break;
        }
        memcpy(rows->cost_next, rows->cost, member_count * sizeof(rows->cost[0]));
        memset(step_of(rows, length + 1, 0), UINT8_MAX, member_count * sizeof(rows->steps[0]));
        uint32_t next_count = 0;
        for (uint32_t i = 0; i < count; i++) {
            next_count = exchange_try(rows, rows->active[i], length, next_count);
        }
        layers_swap(rows);
        count = next_count;
    }
    return end;
}

/* The member that may have the cheapest chain, by what is known of each. */
static uint32_t source_choose(const struct sgn_rows *rows)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < rows->ring->member_count; i++) {
        if (rows->held[i] < rows->shares->target[i] &&
            (best == UINT32_MAX || rows->bound[i] < rows->bound[best])) {
            best = i;
        }
    }
    SGN_ASSERT(best != UINT32_MAX);
    return best;
}

static uint32_t row_position(const struct sgn_rows *rows, uint32_t partition, uint32_t member)
{
    const uint16_t *row = sgn_rows_row(rows, partition);
    uint32_t position = 0;
    while (row[position] != member) {
        position++;
        SGN_ASSERT(position < rows->ring->replica_count);
    }
    return position;
}

static void open_remove(struct sgn_rows *rows, uint32_t partition)
{
    if (sgn_row_has(sgn_rows_row(rows, partition), rows->ring->replica_count, SGN_SLOT_EMPTY)) {
        return;
    }
    for (uint32_t i = 0; i < rows->open_count; i++) {
        if (rows->open[i] == partition) {
            rows->open[i] = rows->open[--rows->open_count];
            return;
        }
    }
    SGN_ASSERT(false);
}

/* Hands every slot of the chain on, from the empty one back to the member that wanted one. */
static void chain_apply(struct sgn_rows *rows, const struct chain_end *end)
{
    uint32_t member = end->member;
    uint32_t position = row_position(rows, end->partition, SGN_SLOT_EMPTY);
    sgn_rows_row(rows, end->partition)[position] = (uint16_t)member;
    open_remove(rows, end->partition);
    for (uint32_t length = end->length; length > 0; length--) {
        struct sgn_chain_step step = *step_of(rows, length, member);
        position = row_position(rows, step.partition, member);
        sgn_rows_row(rows, step.partition)[position] = step.taker;
        member = step.taker;
    }
    SGN_ASSERT(rows->held[member] < rows->shares->target[member]);
    rows->held[member]++;
    rows->empty_count--;
}

void sgn_rows_complete(struct sgn_rows *rows, int32_t cost_max)
{
    rows->cost_cap = cost_max;
    while (rows->empty_count > 0) {
        uint32_t source = source_choose(rows);
        int32_t bound = rows->bound[source];
        if (bound > cost_max) {
            break;
        }
        struct chain_end end = chain_search(rows, source, bound);
        /* The shares are such that a full table exists, so there is always some chain. */
        SGN_ASSERT(end.cost != COST_NONE || cost_max != COST_NONE);
        SGN_ASSERT(end.cost >= bound); /* Chains only ever become dearer. */
        if (end.cost == bound) {
            chain_apply(rows, &end);
        } else {
            rows->bound[source] = end.cost < COST_NONE ? end.cost : cost_max + 1;
        }
    }
}
