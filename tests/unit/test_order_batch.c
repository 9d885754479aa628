/* Changes of one key that wait for each other are decided in one round (order_queue.c), and each is
 * told what it would have been told alone (protocol.md 3.1, 3.5). */
#include <criterion/criterion.h>

#include "ring/core/ordered.h"
#include "tests/unit/order_ask.h"

enum { ASKED = 9 };

static const struct {
    enum sgn_msg_type type;
    uint32_t flags;
    int err;
    uint64_t rev; /* Made, or met. */
} ASKS[ASKED] = {
    {SGN_MSG_PUT, 0, SGN_OK, 1}, /* Nobody waits yet: alone in its round. */
    {SGN_MSG_PUT, SGN_PUT_IF_ABSENT, SGN_ERR_CONDITION, 1},
    {SGN_MSG_DEL, 0, SGN_OK, 2},
    {SGN_MSG_DEL, 0, SGN_OK, 2}, /* Of a dead key: no rev of its own. */
    {SGN_MSG_PUT, SGN_PUT_IF_ABSENT, SGN_OK, 3},
    {SGN_MSG_PUT, 0, SGN_OK, 4},
    {SGN_MSG_PUT, SGN_PUT_IF_ABSENT, SGN_ERR_CONDITION, 4},
    {SGN_MSG_DEL, 0, SGN_OK, 5},
    {SGN_MSG_PUT, 0, SGN_OK, 6},
};

static uint64_t rounds(void)
{
    uint64_t count = 0;
    for (uint32_t node = 1; node <= ring.node_count; node++) {
        struct sgn_engine_counts counts = counts_of(node);
        count += counts.rounds_chained + counts.rounds_classic;
    }
    return count;
}

/* Asks all at once; msgs keep their ids. */
static void ask_together(struct sgn_msg *msgs, uint32_t count)
{
    uint32_t answered = ring.reply.count;
    for (uint32_t i = 0; i < count; i++) {
        mini_request(&ring, 1, msgs[i]);
    }
    for (uint32_t i = 0; i < 200 && ring.reply.count < answered + count; i++) {
        mini_pass(&ring, SGN_TICK_MS);
    }
    cr_assert_eq(ring.reply.count, answered + count);
}

static void batch_of(struct sgn_msg *msgs)
{
    for (uint32_t i = 0; i < ASKED; i++) {
        msgs[i] = order_msg(1, ASKS[i].type, "k", ASKS[i].type == SGN_MSG_PUT ? "v" : "");
        msgs[i].flags = ASKS[i].flags;
        msgs[i].forwarded = true; /* Coordinated here. */
    }
}

static void check_verdicts(const struct sgn_msg *msgs, uint32_t node)
{
    for (uint32_t i = 0; i < ASKED; i++) {
        struct sgn_msg msg = order_msg(node, SGN_MSG_RESOLVE, "k", "");
        struct sgn_version version;
        msg.id = msgs[i].id;
        msg.stamp = msgs[i].stamp;
        cr_assert_eq(ask(node, msg), ASKS[i].err, "%u: %s", i, ring.reply.text);
        cr_assert_eq(
            sgn_version_take(sgn_bytes_of(ring.reply.context, ring.reply.context_count), &version),
            SGN_OK);
        cr_assert_eq(version.rev, ASKS[i].rev, "%u", i);
    }
}

Test(order_batch, each_as_if_alone)
{
    struct sgn_msg msgs[ASKED];
    order_ring(3, 3);
    order_fleet();
    cr_assert_eq(order_put(1, "other", "v"), SGN_OK); /* The promise ceiling is up. */
    uint64_t before = rounds();
    batch_of(msgs);
    ask_together(msgs, ASKED);
    cr_assert_eq(ring.reply.err, SGN_OK);
    cr_assert_eq(rounds() - before, 3, "the first one's, and two of four each for who waited");
    check_verdicts(msgs, 2);
    ask_together(msgs, ASKED); /* Sent again: the same verdicts, no effect. */
    check_verdicts(msgs, 3);
    cr_assert(order_reads(3, "k", SGN_READ_STRONG, "v"));
    mini_clear(&ring);
}

/* A round that comes to nothing takes nobody along: each goes on, and has one effect. */
Test(order_batch, a_round_that_fails)
{
    struct sgn_msg msgs[ASKED];
    order_ring(3, 3);
    cr_assert_eq(order_put(1, "other", "v"), SGN_OK);
    batch_of(msgs);
    ring.nodes[0].deaf = true;
    uint32_t answered = ring.reply.count;
    for (uint32_t i = 0; i < ASKED; i++) {
        mini_request(&ring, 1, msgs[i]);
    }
    mini_pass(&ring, 700);
    cr_assert_eq(ring.reply.count, answered);
    ring.nodes[0].deaf = false;
    mini_pass(&ring, 2000);
    cr_assert_eq(ring.reply.count, answered + ASKED);
    check_verdicts(msgs, 2);
    assert_idle();
    mini_clear(&ring);
}
