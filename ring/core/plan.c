#include "ring/core/check.h"
#include "ring/core/placement.h"
#include "ring/core/placement_scratch.h"

#define NAMED_MAX 5u /* Nodes named one by one in a sentence; more are counted. */

static void pair_mark(uint64_t *pairs, size_t bit)
{
    pairs[bit / 64] |= UINT64_C(1) << (bit % 64);
}

/* Every pair of homes of one partition. */
static void pairs_mark_shared(const struct sgn_ring *ring, uint64_t *pairs)
{
    for (uint32_t p = 0; p < ring->partition_count; p++) {
        const uint16_t *row = ring->table + (size_t)p * ring->replica_count;
        for (uint32_t i = 0; i < ring->replica_count; i++) {
            for (uint32_t j = 0; j < ring->replica_count; j++) {
                if (row[i] < row[j]) {
                    pair_mark(pairs, (size_t)row[i] * ring->member_count + row[j]);
                }
            }
        }
    }
}

/* A quorum is N/2 + 1. With N <= 2 the loss of one home breaks it, so every pair with a home in it
 * is risky; with 3 or 4 the loss of two homes of one partition does; with more no pair can. */
static uint32_t pairs_risky(const struct sgn_ring *ring,
                            const struct sgn_plan *plan,
                            uint64_t *pairs)
{
    uint32_t quorum = ring->replica_count / 2 + 1;
    uint32_t risky = 0;
    if (ring->replica_count - 1 < quorum) {
        uint32_t idle = 0;
        for (uint32_t i = 0; i < plan->share_count; i++) {
            idle += plan->shares[i].slots == 0;
        }
        return plan->pairs_total - (idle > 0 ? idle * (idle - 1) / 2 : 0);
    }
    if (ring->replica_count - 2 < quorum) {
        size_t words = sgn_pair_words(ring->member_count);
        memset(pairs, 0, words * sizeof(pairs[0]));
        pairs_mark_shared(ring, pairs);
        for (size_t i = 0; i < words; i++) {
            risky += sgn_popcount((uint32_t)pairs[i]) + sgn_popcount((uint32_t)(pairs[i] >> 32));
        }
    }
    return risky;
}

static uint32_t zones_of_row(const struct sgn_ring *ring, uint32_t partition)
{
    const uint16_t *row = ring->table + (size_t)partition * ring->replica_count;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < ring->replica_count; i++) {
        seen |= UINT64_C(1) << ring->members[row[i]].zone;
    }
    return sgn_popcount((uint32_t)seen) + sgn_popcount((uint32_t)(seen >> 32));
}

static void plan_count(struct sgn_plan *plan,
                       const struct sgn_ring *ring,
                       const struct sgn_ring *previous,
                       uint32_t zone_count)
{
    uint32_t zones_due = ring->replica_count < zone_count ? ring->replica_count : zone_count;
    for (uint32_t p = 0; p < ring->partition_count; p++) {
        const uint16_t *row = ring->table + (size_t)p * ring->replica_count;
        plan->shares[row[0]].first++;
        plan->zones_short += zones_of_row(ring, p) < zones_due;
        for (uint32_t i = 0; i < ring->replica_count; i++) {
            uint32_t id = ring->members[row[i]].id;
            plan->shares[row[i]].slots++;
            plan->slots_moved +=
                previous == NULL || !sgn_ring_is_home(previous, p, id, previous->replica_count);
        }
    }
    size_t before =
        previous == NULL ? 0 : (size_t)previous->partition_count * previous->replica_count;
    for (size_t i = 0; i < before; i++) {
        int now = sgn_ring_find(ring, previous->members[previous->table[i]].id);
        if (now >= 0) {
            plan->shares[now].slots_before++;
        }
    }
}

/* What the weight asks for, and what the limits leave of it. Compared in whole numbers. */
static void plan_limits(struct sgn_plan *plan,
                        const struct sgn_ring *ring,
                        const struct sgn_shares *shares)
{
    uint64_t slots = (uint64_t)ring->partition_count * ring->replica_count;
    uint64_t sum = sgn_ring_weight_sum(ring);
    for (uint32_t i = 0; i < ring->member_count; i++) {
        struct sgn_plan_share *share = &plan->shares[i];
        const struct sgn_zone_share *zone = &shares->zones[shares->zone[i]];
        uint64_t weight = ring->members[i].weight;
        share->wanted = (double)(slots * weight) / (double)sum;
        share->possible = shares->capped[i] ? (double)ring->partition_count
                                            : (double)(zone->slots * weight) / (double)zone->over;
        bool limited = shares->capped[i] ? slots * weight > ring->partition_count * sum
                                         : slots * zone->over > zone->slots * sum;
        plan->weights_limited = plan->weights_limited || limited;
    }
}

/* Slots that some members gain must be copied: less is impossible, and mostly that much is enough.
 * Where more was moved, the rows may have forced it (a gainer holds the freed partitions already,
 * or its zone stands there): then the least is worked out, which uses up the shares. */
static void plan_minimum(struct sgn_plan *plan,
                         const struct sgn_ring *ring,
                         const struct sgn_ring *previous,
                         struct sgn_placement_scratch *lay)
{
    bool as_solved = plan->zones_short == 0;
    for (uint32_t i = 0; i < plan->share_count; i++) {
        const struct sgn_plan_share *share = &plan->shares[i];
        plan->slots_gained +=
            share->slots > share->slots_before ? share->slots - share->slots_before : 0;
        as_solved = as_solved && share->slots == lay->shares.target[i];
    }
    plan->slots_minimum = plan->slots_gained;
    if (previous != NULL && as_solved && plan->slots_moved > plan->slots_gained) {
        plan->slots_minimum = sgn_placement_least_moved(lay, ring, previous);
    }
}

static bool plan_valid(const struct sgn_ring *ring, const struct sgn_ring *previous)
{
    return ring->table != NULL && ring->member_count >= ring->replica_count &&
           ring->member_count <= SGN_NODES_MAX && ring->replica_count >= 1 &&
           (previous == NULL ||
            (previous->table != NULL && previous->partition_count == ring->partition_count));
}

enum sgn_err sgn_placement_plan(const struct sgn_ring *ring,
                                const struct sgn_ring *previous,
                                struct sgn_plan *plan,
                                void *scratch,
                                size_t scratch_bytes)
{
    if (!plan_valid(ring, previous)) {
        return SGN_ERR_INVALID;
    }
    struct sgn_placement_scratch lay;
    size_t needed =
        sgn_placement_scratch_lay(&lay, scratch, ring->partition_count, ring->member_count);
    SGN_ASSERT(needed <= scratch_bytes);
    sgn_shares_compute(&lay.shares, ring);
    *plan = (struct sgn_plan){.share_count = ring->member_count};
    for (uint32_t i = 0; i < ring->member_count; i++) {
        plan->shares[i].node_id = ring->members[i].id;
    }
    plan_count(plan, ring, previous, lay.shares.zone_count);
    plan_limits(plan, ring, &lay.shares);
    plan->pairs_total = ring->member_count * (ring->member_count - 1) / 2;
    plan->pairs_risky = pairs_risky(ring, plan, lay.pairs);
    plan_minimum(plan, ring, previous, &lay);
    return SGN_OK;
}

static void put_text(struct sgn_sink *text, const char *words)
{
    sgn_sink_put(text, words, strlen(words));
}

/* Right-aligned in `width`; the last `decimals` digits stand behind a point. */
static void put_number(struct sgn_sink *text, uint64_t value, uint32_t decimals, uint32_t width)
{
    char digits[48];
    uint32_t at = sizeof(digits);
    for (uint32_t i = 0; value > 0 || i <= decimals; i++) {
        if (i == decimals && decimals > 0) {
            digits[--at] = '.';
        }
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    }
    while (sizeof(digits) - at < width) {
        digits[--at] = ' ';
    }
    sgn_sink_put(text, digits + at, sizeof(digits) - at);
}

/* part / whole in units of one in `scale`, rounded; 0 for an empty whole. */
static uint64_t ratio(uint64_t part, uint64_t whole, uint64_t scale)
{
    return whole == 0 ? 0 : (part * scale + whole / 2) / whole;
}

static void put_bytes(struct sgn_sink *text, uint64_t slots, uint64_t bytes_per_slot)
{
    static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
    bool over = slots > 0 && bytes_per_slot > UINT64_MAX / slots;
    uint64_t bytes = over ? UINT64_MAX : slots * bytes_per_slot;
    uint32_t unit = 0;
    uint64_t scaled = bytes;
    uint64_t rest = 0; /* Tenths. */
    for (; scaled >= 1024; unit++) {
        rest = scaled % 1024 * 10 / 1024;
        scaled /= 1024;
    }
    SGN_ASSERT(unit < sizeof(units) / sizeof(units[0]));
    put_text(text, over ? "over " : "");
    put_number(text, unit == 0 ? scaled : scaled * 10 + rest, unit == 0 ? 0 : 1, 0);
    put_text(text, units[unit]);
}

/* How far a share is off what the weight asks for: -12.5 % and the like, to a tenth. */
static void put_deviation(struct sgn_sink *text, uint64_t have, uint64_t want)
{
    uint64_t off = ratio(have > want ? have - want : want - have, want, 1000);
    uint32_t digits = 3; /* With the point. */
    for (uint64_t bound = 100; off >= bound; bound *= 10) {
        digits++;
    }
    for (; digits < 8; digits++) {
        put_text(text, " ");
    }
    put_text(text, off == 0 ? " " : have > want ? "+" : "-");
    put_number(text, off, 1, 0);
    put_text(text, " %");
}

static void print_nodes(const struct sgn_plan *plan,
                        const struct sgn_ring *ring,
                        struct sgn_sink *text)
{
    uint64_t total = (uint64_t)ring->partition_count * ring->replica_count;
    uint64_t sum = sgn_ring_weight_sum(ring);
    put_text(text,
             "      node  zone  weight    slots     share    wanted  off weight   first"
             "   before\n");
    for (uint32_t i = 0; i < plan->share_count; i++) {
        const struct sgn_plan_share *share = &plan->shares[i];
        const struct sgn_member *member = &ring->members[i];
        put_number(text, member->id, 0, 10);
        put_number(text, member->zone, 0, 6);
        put_number(text, member->weight, 0, 8);
        put_number(text, share->slots, 0, 9);
        put_number(text, ratio(share->slots, total, 10000), 2, 8);
        put_text(text, " %");
        put_number(text, ratio(member->weight, sum, 10000), 2, 8);
        put_text(text, " %");
        put_deviation(text, share->slots * sum, member->weight * total);
        put_number(text, share->first, 0, 8);
        put_number(text, share->slots_before, 0, 9);
        put_text(text, "\n");
    }
}

static void print_movement(const struct sgn_plan *plan,
                           const struct sgn_ring *ring,
                           uint64_t bytes_per_slot,
                           struct sgn_sink *text)
{
    uint64_t total = (uint64_t)ring->partition_count * ring->replica_count;
    put_text(text, "slots to copy: ");
    put_number(text, plan->slots_moved, 0, 0);
    put_text(text, " of ");
    put_number(text, total, 0, 0);
    put_text(text, "; the least possible is ");
    put_number(text, plan->slots_minimum, 0, 0);
    if (plan->slots_minimum > 0) {
        put_text(text, " (");
        put_number(text, ratio(plan->slots_moved, plan->slots_minimum, 1000), 3, 0);
        put_text(text, " times that)");
    }
    put_text(text, "\n");
    if (bytes_per_slot > 0) {
        put_text(text, "bytes to copy: about ");
        put_bytes(text, plan->slots_moved, bytes_per_slot);
        put_text(text, "; the least possible is about ");
        put_bytes(text, plan->slots_minimum, bytes_per_slot);
        put_text(text, "\n");
    }
    put_text(text, "pairs of nodes whose joint loss takes a quorum from some partition: ");
    put_number(text, plan->pairs_risky, 0, 0);
    put_text(text, " of ");
    put_number(text, plan->pairs_total, 0, 0);
    put_text(text, "\n");
}

static uint64_t tenths(double value)
{
    return (uint64_t)(value * 10 + 0.5);
}

/* Names those whose weight asks for more than they may hold. */
static void print_limits(const struct sgn_plan *plan, struct sgn_sink *text)
{
    uint32_t limited = 0;
    for (uint32_t i = 0; i < plan->share_count; i++) {
        const struct sgn_plan_share *share = &plan->shares[i];
        if (tenths(share->wanted) <= tenths(share->possible) || ++limited > NAMED_MAX) {
            continue;
        }
        put_text(text, "limit: node ");
        put_number(text, share->node_id, 0, 0);
        put_text(text, " would hold ");
        put_number(text, tenths(share->wanted), 1, 0);
        put_text(text, " slots by weight, and can hold ");
        put_number(text, tenths(share->possible), 1, 0);
        put_text(text, "\n");
    }
    if (limited > NAMED_MAX) {
        put_text(text, "limit: so it is with ");
        put_number(text, limited - NAMED_MAX, 0, 0);
        put_text(text, " more\n");
    }
    put_text(text,
             "A node holds a partition once, and rows spread over zones before weight counts"
             ".\n");
}

void sgn_plan_print(const struct sgn_plan *plan,
                    const struct sgn_ring *ring,
                    uint64_t bytes_per_slot,
                    struct sgn_sink *text)
{
    SGN_ASSERT(plan->share_count == ring->member_count);
    put_text(text, "ring ");
    put_text(text, ring->name);
    put_text(text, ", epoch ");
    put_number(text, ring->epoch, 0, 0);
    put_text(text, ": ");
    put_number(text, ring->partition_count, 0, 0);
    put_text(text, ring->replica_count == 1 ? " partitions, 1 replica of each\n" : " partitions, ");
    if (ring->replica_count > 1) {
        put_number(text, ring->replica_count, 0, 0);
        put_text(text, " replicas of each\n");
    }
    print_nodes(plan, ring, text);
    print_movement(plan, ring, bytes_per_slot, text);
    if (plan->zones_short > 0) {
        put_text(text, "limit: ");
        put_number(text, plan->zones_short, 0, 0);
        put_text(text, " partitions lie in fewer zones than there could be\n");
    }
    if (plan->weights_limited) {
        print_limits(plan, text);
    }
}
