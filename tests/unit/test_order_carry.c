/* Marks that ride with accepts (ring/core/order_carry.c): a witness inside a replica is marked and
 * settled there, and the coordinator sends it nothing, unless the accept does not bring the mark.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "ring/core/map.h"
#include "ring/core/witness.h"
#include "tests/unit/order_ask.h"

enum { NODES = 3 };

struct tally {
    uint64_t marks, settles;
    uint32_t entries;     /* Marks that stand. */
    uint32_t own, others; /* Batches of its own node, and of the others. */
};

/* Of the witness inside node index + 1. */
static struct tally tally_of(uint32_t index)
{
    struct sgn_witness_counts counts;
    const struct mini_witness *at = &ring.witnesses[index];
    cr_assert_eq(at->id, order_witness(index));
    sgn_witness_counts(at->witness, &counts);
    struct tally tally = {
        .marks = counts.marks, .settles = counts.settles, .entries = counts.entries};
    for (uint32_t i = 0; i < NODES; i++) {
        *(i == index ? &tally.own : &tally.others) += at->batches[i];
    }
    return tally;
}

Test(order_carry, no_message_to_a_witness)
{
    enum { PUTS = 20 };
    order_ring(NODES, NODES);
    order_hosted_fleet();
    struct tally before[NODES] = {tally_of(0), tally_of(1), tally_of(2)};
    uint64_t began_ms = ring.now_ms;
    for (uint32_t i = 0; i < PUTS; i++) {
        char key[8];
        (void)snprintf(key, sizeof(key), "%u", i);
        cr_assert_eq(order_put(1 + i % NODES, key, "v"), SGN_OK);
    }
    cr_assert_eq(ring.now_ms, began_ms, "no round waited for a tick");
    mini_pass(&ring, 100);
    for (uint32_t i = 0; i < NODES; i++) {
        struct tally now = tally_of(i);
        cr_expect_eq(now.marks - before[i].marks, PUTS);
        cr_expect_eq(now.settles - before[i].settles, PUTS);
        cr_expect_eq(now.entries, 0);
        cr_expect_gt(now.own, before[i].own);
        cr_expect_eq(now.others, before[i].others);
    }
    mini_clear(&ring);
}

/* 3.1.6 stands: two nodes cannot mark at their own witnesses, so accepts alone expose nothing. */
Test(order_carry, what_an_accept_does_not_bring_is_asked_for)
{
    order_ring(NODES, NODES);
    order_hosted_fleet();
    mini_witness_cut(&ring, order_witness(1), 2);
    mini_witness_cut(&ring, order_witness(2), 3);
    struct tally before[NODES] = {tally_of(0), tally_of(1), tally_of(2)};
    uint64_t began_ms = ring.now_ms;
    cr_assert_eq(order_put(1, "k", "v"), SGN_OK);
    cr_assert_geq(ring.now_ms - began_ms, 20);
    cr_assert_leq(ring.now_ms - began_ms, 60);
    mini_pass(&ring, 100);
    uint64_t marks = 0;
    for (uint32_t i = 0; i < NODES; i++) {
        marks += tally_of(i).marks - before[i].marks;
    }
    cr_expect_geq(marks, 2, "whoever coordinates may be one of those two");
    cr_assert(order_reads(2, "k", SGN_READ_STRONG, "v"));
    mini_clear(&ring);
}

/* With witnesses apart nothing rides: each is asked by the coordinator, at once. */
Test(order_carry, witnesses_apart_are_asked)
{
    order_ring(NODES, NODES);
    order_fleet();
    struct tally before[NODES] = {tally_of(0), tally_of(1), tally_of(2)};
    uint64_t began_ms = ring.now_ms;
    cr_assert_eq(order_put(1, "k", "v"), SGN_OK);
    cr_assert_eq(ring.now_ms, began_ms);
    mini_pass(&ring, 100);
    for (uint32_t i = 0; i < NODES; i++) {
        struct tally now = tally_of(i);
        cr_expect_eq(now.marks - before[i].marks, 1);
        cr_expect_eq(now.settles - before[i].settles, 1);
        cr_expect_eq(now.entries, 0);
    }
    mini_clear(&ring);
}
