/* The solver against its promises, over seeded random rings; every check is a second, plain
 * reading of the contract. A failure prints the seed of its case. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "ring/core/key.h"
#include "ring/core/placement.h"
#include "ring/core/prng.h"

#define MIXES       250u
#define BRUTE_CASES 150u

static struct sgn_ring ring_a, ring_b;
static struct sgn_plan plan_a, plan_b;
static uint16_t tables[3][SGN_PARTITIONS_MAX * SGN_REPLICAS_MAX];
static uint8_t *scratch;
static size_t scratch_bytes;

static void scratch_for(const struct sgn_ring *ring, int fill)
{
    free(scratch);
    scratch_bytes = sgn_placement_scratch_bytes(ring->partition_count, ring->member_count);
    scratch = malloc(scratch_bytes);
    cr_assert_not_null(scratch);
    memset(scratch, fill, scratch_bytes);
}

static void ring_make(struct sgn_ring *ring, uint32_t q, uint32_t n, uint16_t *table)
{
    *ring = (struct sgn_ring){
        .name = "test", .epoch = 1, .partition_count = q, .replica_count = n, .table = table};
}

static void ring_add(struct sgn_ring *ring, uint32_t id, uint32_t weight, uint32_t zone)
{
    ring->members[ring->member_count++] =
        (struct sgn_member){.id = id, .weight = weight, .zone = zone};
}

static void ring_remove(struct sgn_ring *ring, uint32_t index)
{
    ring->member_count--;
    memmove(&ring->members[index],
            &ring->members[index + 1],
            (ring->member_count - index) * sizeof(ring->members[0]));
}

static void solve(struct sgn_ring *ring,
                  const struct sgn_ring *previous,
                  struct sgn_plan *plan,
                  uint64_t seed)
{
    scratch_for(ring, 0xa5);
    enum sgn_err err = sgn_placement_solve(ring, previous, scratch, scratch_bytes);
    cr_assert_eq(err, SGN_OK, "seed %llu", (unsigned long long)seed);
    err = sgn_placement_plan(ring, previous, plan, scratch, scratch_bytes);
    cr_assert_eq(err, SGN_OK, "seed %llu", (unsigned long long)seed);
}

static uint32_t zones_in(const struct sgn_ring *ring)
{
    uint32_t count = 0;
    for (uint32_t zone = 0; zone < SGN_ZONES_MAX; zone++) {
        bool used = false;
        for (uint32_t i = 0; i < ring->member_count; i++) {
            used = used || ring->members[i].zone == zone;
        }
        count += used;
    }
    return count;
}

static bool row_has(const struct sgn_ring *ring, uint32_t partition, uint32_t id)
{
    for (uint32_t i = 0; i < ring->replica_count; i++) {
        if (ring->members[ring->table[partition * ring->replica_count + i]].id == id) {
            return true;
        }
    }
    return false;
}

/* Rows: different members, as many zones as can be. Also recounts what the plan says of the
 * table. */
static void check_rows(const struct sgn_ring *ring,
                       const struct sgn_ring *previous,
                       const struct sgn_plan *plan,
                       unsigned long long seed)
{
    uint32_t n = ring->replica_count;
    uint32_t zones = zones_in(ring);
    uint32_t due = n < zones ? n : zones;
    uint32_t moved = 0;
    uint32_t held[SGN_NODES_MAX] = {0};
    for (uint32_t p = 0; p < ring->partition_count; p++) {
        bool zone_seen[SGN_ZONES_MAX] = {false};
        uint32_t zone_count = 0;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t member = ring->table[p * n + i];
            cr_assert_lt(member, ring->member_count, "seed %llu", seed);
            for (uint32_t j = 0; j < i; j++) {
                cr_assert_neq(member, ring->table[p * n + j], "seed %llu row %u", seed, p);
            }
            held[member]++;
            zone_count += !zone_seen[ring->members[member].zone];
            zone_seen[ring->members[member].zone] = true;
            moved += previous == NULL || !row_has(previous, p, ring->members[member].id);
        }
        cr_assert_geq(
            zone_count, due, "seed %llu row %u: %u zones of %u", seed, p, zone_count, due);
    }
    cr_assert_eq(moved, plan->slots_moved, "seed %llu", seed);
    cr_assert_eq(plan->zones_short, 0);
    for (uint32_t i = 0; i < ring->member_count; i++) {
        cr_assert_eq(held[i], plan->shares[i].slots, "seed %llu", seed);
    }
}

static bool near(double a, double b)
{
    return a - b < 1e-6 && b - a < 1e-6;
}

/* `possible` is what water-filling gives: it adds up, keeps the limits, and levels (part for
 * weight) are equal wherever no limit explains a difference. */
static void check_possible(const struct sgn_ring *ring,
                           const struct sgn_plan *plan,
                           unsigned long long seed)
{
    double q = ring->partition_count;
    double sum = 0;
    double zone_sum[SGN_ZONES_MAX] = {0};
    bool enough_zones = zones_in(ring) >= ring->replica_count;
    bool differs = false;
    for (uint32_t i = 0; i < ring->member_count; i++) {
        double possible = plan->shares[i].possible;
        sum += possible;
        zone_sum[ring->members[i].zone] += possible;
        cr_assert_leq(possible, q + 1e-6, "seed %llu", seed);
        double off = plan->shares[i].slots - possible;
        cr_assert(off < 1 && off > -1,
                  "seed %llu node %u: %u slots of %f",
                  seed,
                  plan->shares[i].node_id,
                  plan->shares[i].slots,
                  possible);
        differs = differs || !near(possible, plan->shares[i].wanted);
    }
    cr_assert(near(sum, q * ring->replica_count), "seed %llu", seed);
    cr_assert_eq(differs, plan->weights_limited, "seed %llu", seed);
    for (uint32_t i = 0; i < ring->member_count; i++) {
        uint32_t zone = ring->members[i].zone;
        double level = plan->shares[i].possible / ring->members[i].weight;
        cr_assert(enough_zones ? zone_sum[zone] <= q + 1e-6 : zone_sum[zone] >= q - 1e-6,
                  "seed %llu zone %u",
                  seed,
                  zone);
        for (uint32_t j = 0; j < ring->member_count; j++) {
            uint32_t other = ring->members[j].zone;
            double other_level = plan->shares[j].possible / ring->members[j].weight;
            /* i stands higher than j: j must be at its limit, or its zone at the cap, or i's zone
             * at the floor (then i could not go lower). */
            if (level > other_level + 1e-6) {
                bool excused = near(plan->shares[j].possible, q) ||
                               (other != zone && (enough_zones ? near(zone_sum[other], q)
                                                               : near(zone_sum[zone], q)));
                cr_assert(excused, "seed %llu nodes %u %u", seed, i, j);
            }
        }
    }
}

/* Shares and firsts against weight, where nothing limits them. Gives the worst relative error of a
 * share after the one slot that whole numbers cost. */
static double check_shares(const struct sgn_ring *ring,
                           const struct sgn_plan *plan,
                           unsigned long long seed)
{
    double worst = 0;
    for (uint32_t i = 0; i < ring->member_count && !plan->weights_limited; i++) {
        const struct sgn_plan_share *share = &plan->shares[i];
        double off = share->slots > share->wanted ? share->slots - share->wanted
                                                  : share->wanted - share->slots;
        cr_assert_lt(off, 1.0, "seed %llu node %u", seed, share->node_id);
        worst = off / share->wanted > worst ? off / share->wanted : worst;
        double first = share->wanted / ring->replica_count;
        double first_off = share->first > first ? share->first - first : first - share->first;
        cr_assert_leq(first_off,
                      2 + 0.05 * first,
                      "seed %llu node %u first %u of %f",
                      seed,
                      share->node_id,
                      share->first,
                      first);
    }
    return worst;
}

static void ring_draw(struct sgn_ring *ring, struct sgn_prng *prng, uint16_t *table)
{
    uint32_t partitions = sgn_prng_chance(prng, 800) ? 1024 : 256;
    ring_make(ring, partitions, 1 + (uint32_t)sgn_prng_below(prng, 5), table);
    uint32_t members = 3 + (uint32_t)sgn_prng_below(prng, 18);
    uint32_t zones = 1 + (uint32_t)sgn_prng_below(prng, 5);
    members = members < ring->replica_count ? ring->replica_count : members;
    for (uint32_t i = 0; i < members; i++) {
        uint32_t weight = 1 + (uint32_t)sgn_prng_below(prng, 8);
        ring_add(ring, 10 + 3 * i, weight, (uint32_t)sgn_prng_below(prng, zones));
    }
}

struct figures {
    double share_worst; /* Of rings that are not limited, Q = 1024, at least 5 nodes, N >= 3. */
    double ratio_worst; /* Moved against gained slots: one zone, no node in most rows. */
    double join_worst;  /* The same of all joins. */
    double any_worst;   /* The same of all changes. */
    uint32_t changes, above;
};

static void note_ratio(struct figures *figures, uint32_t change)
{
    double ratio =
        plan_b.slots_gained == 0 ? 1.0 : (double)plan_b.slots_moved / (double)plan_b.slots_gained;
    /* A node in most rows cannot take what another gives up in them: then rows force more. */
    bool roomy = change < 2 && zones_in(&ring_a) == 1 && zones_in(&ring_b) == 1;
    for (uint32_t i = 0; i < ring_b.member_count; i++) {
        roomy = roomy && plan_b.shares[i].slots * 4 <= ring_b.partition_count * 3;
    }
    figures->changes++;
    figures->above += ratio > 1.1;
    figures->any_worst = ratio > figures->any_worst ? ratio : figures->any_worst;
    if (roomy && ratio > figures->ratio_worst) {
        figures->ratio_worst = ratio;
    }
    if (change == 0 && ratio > figures->join_worst) {
        figures->join_worst = ratio;
    }
}

/* 0: join, 1: leave, 2: another weight, 3: nothing. */
static bool change_draw(struct sgn_prng *prng, uint32_t change)
{
    uint16_t *table = ring_b.table;
    ring_b = ring_a;
    ring_b.table = table;
    ring_b.epoch++;
    uint32_t weight = 1 + (uint32_t)sgn_prng_below(prng, 8);
    uint32_t pick = (uint32_t)sgn_prng_below(prng, ring_a.member_count);
    if (change == 0) {
        ring_add(&ring_b, 999, weight, ring_a.members[pick].zone + (weight == 1));
    } else if (change == 1) {
        ring_remove(&ring_b, pick);
    } else if (change == 2) {
        ring_b.members[pick].weight = weight;
    }
    return ring_b.member_count >= ring_b.replica_count;
}

Test(placement, promises_hold_over_random_rings, .timeout = 300)
{
    struct figures figures = {0};
    for (uint64_t seed = 1; seed <= MIXES; seed++) {
        struct sgn_prng prng = {seed};
        ring_draw(&ring_a, &prng, tables[0]);
        ring_b.table = tables[1];
        solve(&ring_a, NULL, &plan_a, seed);
        check_rows(&ring_a, NULL, &plan_a, seed);
        check_possible(&ring_a, &plan_a, seed);
        double worst = check_shares(&ring_a, &plan_a, seed);
        if (ring_a.partition_count == 1024 && ring_a.member_count >= 5 &&
            ring_a.replica_count >= 3 && worst > figures.share_worst) {
            figures.share_worst = worst;
        }
        for (uint32_t change = 0; change < 4; change++) {
            if (!change_draw(&prng, change)) {
                continue;
            }
            solve(&ring_b, &ring_a, &plan_b, seed);
            check_rows(&ring_b, &ring_a, &plan_b, seed);
            check_possible(&ring_b, &plan_b, seed);
            (void)check_shares(&ring_b, &plan_b, seed);
            cr_assert_geq(plan_b.slots_moved, plan_b.slots_gained);
            cr_assert_eq(plan_b.slots_moved,
                         plan_b.slots_minimum,
                         "seed %llu change %u",
                         (unsigned long long)seed,
                         change);
            note_ratio(&figures, change);
            if (change == 3) {
                cr_assert_eq(plan_b.slots_moved, 0);
                cr_assert_arr_eq(
                    ring_a.table, ring_b.table, ring_a.partition_count * ring_a.replica_count * 2);
            }
        }
    }
    fprintf(stderr,
            "placement: worst share error %.4f; moved / gained: worst %.3f where rows leave room, "
            "%.3f of joins, %.3f of all; above 1.1: %u of %u changes\n",
            figures.share_worst,
            figures.ratio_worst,
            figures.join_worst,
            figures.any_worst,
            figures.above,
            figures.changes);
    cr_assert_leq(figures.share_worst, 0.05);
    cr_assert_leq(figures.ratio_worst, 1.1);
    cr_assert_leq(figures.join_worst, 1.1);
}

/* The least movement by trying everything: row after row, for every count of slots held so far (one
 * digit to base 9 for each of up to 5 members), the least moved. */
#define BRUTE_STATES 59049u
static uint32_t brute_least(const struct sgn_ring *ring,
                            const struct sgn_ring *previous,
                            const struct sgn_plan *plan)
{
    static uint8_t least[2][BRUTE_STATES];
    static const uint32_t digit[5] = {1, 9, 81, 729, 6561};
    uint32_t zones = zones_in(ring);
    uint32_t due = ring->replica_count < zones ? ring->replica_count : zones;
    memset(least, UINT8_MAX, sizeof(least));
    least[0][0] = 0;
    for (uint32_t p = 0; p < ring->partition_count; p++) {
        memset(least[(p + 1) % 2], UINT8_MAX, BRUTE_STATES);
        for (uint32_t set = 0; set < 1u << ring->member_count; set++) {
            uint32_t step = 0, moved = 0, zone_bits = 0, size = 0;
            for (uint32_t i = 0; i < ring->member_count; i++) {
                if (set >> i & 1u) {
                    step += digit[i];
                    size++;
                    zone_bits |= 1u << ring->members[i].zone;
                    moved += !row_has(previous, p, ring->members[i].id);
                }
            }
            if (size != ring->replica_count || (uint32_t)__builtin_popcount(zone_bits) < due) {
                continue;
            }
            for (uint32_t state = 0; state + step < BRUTE_STATES; state++) {
                uint32_t cost = least[p % 2][state] + moved;
                if (least[p % 2][state] != UINT8_MAX && cost < least[(p + 1) % 2][state + step]) {
                    least[(p + 1) % 2][state + step] = (uint8_t)cost;
                }
            }
        }
    }
    uint32_t goal = 0;
    for (uint32_t i = 0; i < ring->member_count; i++) {
        goal += digit[i] * plan->shares[i].slots;
    }
    return least[ring->partition_count % 2][goal];
}

Test(placement, moves_as_little_as_trying_everything, .timeout = 300)
{
    uint32_t forced = 0;
    for (uint64_t seed = 1; seed <= BRUTE_CASES; seed++) {
        struct sgn_prng prng = {seed};
        ring_make(&ring_a, 8, 1 + (uint32_t)sgn_prng_below(&prng, 3), tables[0]);
        ring_b.table = tables[1];
        uint32_t zones = 1 + (uint32_t)sgn_prng_below(&prng, 4);
        uint32_t members = 3 + (uint32_t)sgn_prng_below(&prng, 2);
        for (uint32_t i = 0; i < members; i++) {
            uint32_t weight = 1 + (uint32_t)sgn_prng_below(&prng, 8);
            ring_add(&ring_a, 10 + 3 * i, weight, (uint32_t)sgn_prng_below(&prng, zones));
        }
        solve(&ring_a, NULL, &plan_a, seed);
        check_rows(&ring_a, NULL, &plan_a, seed);
        for (uint32_t change = 0; change < 4; change++) {
            if (!change_draw(&prng, change)) {
                continue;
            }
            if (change == 3) { /* All at once: zones, weights, one out, one in. */
                ring_remove(&ring_b, 0);
                ring_add(&ring_b, 77, 4, 3);
                ring_b.members[0].zone = 2;
                ring_b.members[1].weight = 8;
            }
            solve(&ring_b, &ring_a, &plan_b, seed);
            check_rows(&ring_b, &ring_a, &plan_b, seed);
            uint32_t least = brute_least(&ring_b, &ring_a, &plan_b);
            cr_assert_eq(plan_b.slots_moved,
                         least,
                         "seed %llu change %u: moved %u, least %u",
                         (unsigned long long)seed,
                         change,
                         plan_b.slots_moved,
                         least);
            cr_assert_eq(plan_b.slots_minimum, least);
            forced += least > plan_b.slots_gained;
        }
    }
    cr_assert_gt(forced, 0, "no case in which rows force more than the gains: too tame");
}

Test(placement, impossible_mixes_are_reported)
{
    static char text[8192];
    struct sgn_sink sink = sgn_sink_of(text, sizeof(text));
    ring_make(&ring_a, 64, 3, tables[0]); /* Three nodes, three replicas: weight means nothing. */
    ring_add(&ring_a, 1, 8, 0);
    ring_add(&ring_a, 2, 1, 0);
    ring_add(&ring_a, 3, 1, 0);
    solve(&ring_a, NULL, &plan_a, 0);
    check_rows(&ring_a, NULL, &plan_a, 0);
    check_possible(&ring_a, &plan_a, 0);
    cr_assert(plan_a.weights_limited);
    cr_assert_eq(plan_a.shares[0].slots, 64);
    cr_assert(near(plan_a.shares[0].wanted, 153.6) && near(plan_a.shares[0].possible, 64));
    sgn_plan_print(&plan_a, &ring_a, 0, &sink);
    cr_assert_not_null(strstr(text, "node 1 would hold 153.6 slots by weight, and can hold 64.0"));
    cr_assert_eq(plan_a.pairs_risky, 3);

    ring_make(
        &ring_a, 64, 3, tables[0]); /* One zone with most of the weight: a third is its most. */
    for (uint32_t i = 0; i < 4; i++) {
        ring_add(&ring_a, i + 1, 8, 5);
    }
    ring_add(&ring_a, 8, 1, 6);
    ring_add(&ring_a, 9, 1, 7);
    solve(&ring_a, NULL, &plan_a, 0);
    check_rows(&ring_a, NULL, &plan_a, 0);
    check_possible(&ring_a, &plan_a, 0);
    cr_assert(plan_a.weights_limited);
    cr_assert_eq(plan_a.shares[0].slots, 16);
    cr_assert_eq(plan_a.shares[4].slots, 64);

    ring_a.replica_count = 7; /* More replicas than nodes. */
    cr_assert_eq(sgn_placement_solve(&ring_a, NULL, scratch, scratch_bytes), SGN_ERR_INVALID);
    ring_a.replica_count = 3;
    ring_a.partition_count = 60;
    cr_assert_eq(sgn_placement_solve(&ring_a, NULL, scratch, scratch_bytes), SGN_ERR_INVALID);
    ring_a.partition_count = 64;
    ring_a.members[0].weight = 0;
    cr_assert_eq(sgn_placement_solve(&ring_a, NULL, scratch, scratch_bytes), SGN_ERR_INVALID);
    ring_a.members[0].weight = 8;
    ring_b = ring_a;
    ring_b.partition_count = 32; /* Q is fixed for the life of a ring. */
    cr_assert_eq(sgn_placement_solve(&ring_a, &ring_b, scratch, scratch_bytes), SGN_ERR_INVALID);
}

static const char golden[] =
#include "tests/unit/golden_plan.inc"
    ;

Test(placement, same_everywhere_and_printed_as_before)
{
    static char text[8192];
    ring_make(&ring_a, 1024, 3, tables[0]);
    for (uint32_t i = 0; i < 6; i++) {
        ring_add(&ring_a, i + 1, 1 + i * 7 % 8, i % 3);
    }
    solve(&ring_a, NULL, &plan_a, 0);
    ring_b = ring_a;
    ring_b.table = tables[1];
    ring_b.epoch = 2;
    ring_add(&ring_b, 7, 4, 3);
    solve(&ring_b, &ring_a, &plan_b, 0);
    memcpy(tables[2], tables[1], sizeof(tables[1]));
    memset(tables[1], 0x3c, sizeof(tables[1])); /* Neither old table nor scratch may matter. */
    scratch_for(&ring_b, 0x11);
    cr_assert_eq(sgn_placement_solve(&ring_b, &ring_a, scratch, scratch_bytes), SGN_OK);
    cr_assert_arr_eq(tables[1], tables[2], 1024 * 3 * 2);
    /* Solving in place: the previous ring shares its table with the new one. */
    memcpy(tables[1], tables[0], sizeof(tables[1]));
    ring_a.table = tables[1];
    cr_assert_eq(sgn_placement_solve(&ring_b, &ring_a, scratch, scratch_bytes), SGN_OK);
    cr_assert_arr_eq(tables[1], tables[2], 1024 * 3 * 2);

    struct sgn_sink sink = sgn_sink_of(text, sizeof(text));
    sgn_plan_print(&plan_b, &ring_b, 5u << 20, &sink);
    for (uint32_t i = 0; i < 1024 * 3; i++) {
        tables[2][i] = (uint16_t)(tables[1][i] * 257u); /* The same bytes in either byte order. */
    }
    uint64_t hash = sgn_hash(sgn_bytes_of(tables[2], 1024 * 3 * 2));
    char line[64];
    int bytes = snprintf(line, sizeof(line), "table %016llx\n", (unsigned long long)hash);
    sgn_sink_put(&sink, line, (size_t)bytes);
    cr_assert(!sink.full);
    cr_assert_str_eq(text, golden, "got:\n%s", text);

    struct sgn_sink small = sgn_sink_of(text, 100);
    sgn_plan_print(&plan_b, &ring_b, 0, &small);
    cr_assert(small.full);
}
