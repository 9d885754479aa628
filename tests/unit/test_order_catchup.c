/* Out and back in (protocol.md 6.1): a replica that missed writes, deletes and writes nobody
 * finished is in_sync again only when it has every record, and then serves strong reads alone. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "ring/core/engine_state.h"
#include "ring/core/key.h"
#include "tests/unit/order_ask.h"

#define KEYS 300u

static void no_trees(void)
{
    for (uint32_t i = 0; i < ring.node_count; i++) {
        if (ring.nodes[i].up) {
            ring.nodes[i].engine->tree_due_ms = UINT64_MAX; /* Nothing else may mend. */
        }
    }
}

static void put_all(uint32_t from, uint32_t to, const char *value)
{
    for (uint32_t i = from; i < to; i++) {
        char key[32];
        snprintf(key, sizeof(key), "key %u", i);
        cr_assert_eq(order_put(1 + i % 2, key, value), SGN_OK, "%s", ring.reply.text);
    }
}

static void wait_for(uint32_t node, int state, uint32_t ms)
{
    for (uint32_t i = 0; i < ms / SGN_TICK_MS && !order_seats(1, node, state); i++) {
        mini_pass(&ring, SGN_TICK_MS);
        no_trees();
    }
    cr_assert(order_seats(1, node, state), "node %u is %d", node, state);
}

/* Every record of node 1 lies on the other's disk, at a ballot at least as high. */
static void holds_all(uint32_t node)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < ring.nodes[0].entry_count; i++) {
        const struct mini_entry *entry = &ring.nodes[0].entries[i];
        if (entry->family != SGN_FAMILY_DATA) {
            continue;
        }
        const struct mini_entry *other =
            mini_find(&ring.nodes[node - 1], SGN_FAMILY_DATA, entry->key, entry->key_count);
        cr_assert_not_null(other);
        struct sgn_ballot theirs =
            sgn_ordered_ballot(sgn_bytes_of(entry->value + 8, entry->value_count - 8));
        struct sgn_ballot ours =
            sgn_ordered_ballot(sgn_bytes_of(other->value + 8, other->value_count - 8));
        cr_assert(sgn_ballot_compare(&ours, &theirs) >= 0);
        found++;
    }
    cr_assert(found >= KEYS + 2);
}

static void leave_pending(const char *key, const char *value)
{
    order_leave_pending(2, key, value);
    mini_up(&ring, 2);
    no_trees();
}

static void out_and_in(void)
{
    no_trees();
    put_all(0, KEYS / 2, "old");
    mini_pass(&ring, 300);
    mini_down(&ring, 3);
    wait_for(3, SGN_SEAT_OUT, 9000);
    put_all(KEYS / 4, KEYS, "newer than that");
    cr_assert_eq(order_del(1, "key 3"), SGN_OK);
    leave_pending("pending a", "x");
    leave_pending("pending b", "y");
    uint32_t stores = ring.nodes[2].stores;
    mini_up(&ring, 3);
    no_trees();
    cr_assert_not(order_seats(1, 3, SGN_SEAT_IN_SYNC));
    wait_for(3, SGN_SEAT_IN_SYNC, 30000);
    holds_all(3);
    cr_assert(ring.nodes[2].stores - stores < 4 * KEYS, "what it has is not fetched");
    mini_pass(&ring, 6000);
    no_trees();
    for (uint32_t node = 1; node <= 3; node++) {
        cr_assert_eq(counts_of(node).pending, 0);
        cr_assert_eq(counts_of(node).dirty, 0, "%u at node %u", counts_of(node).dirty, node);
        cr_assert(order_reads(node, "key 200", SGN_READ_STRONG, "newer than that"));
        cr_assert(order_reads(node, "key 2", SGN_READ_EVENTUAL, "old"));
        cr_assert(order_reads(node, "key 3", SGN_READ_EVENTUAL, NULL));
    }
}

Test(order_catchup, out_and_back)
{
    order_ring(3, 3);
    out_and_in();
    assert_idle();
    mini_clear(&ring);
}

/* Behind a fleet it serves alone afterwards: what it copied was all there was. */
Test(order_catchup, serves_alone)
{
    order_ring(3, 3);
    order_fleet();
    out_and_in();
    ring.nodes[0].halted = ring.nodes[1].halted = true;
    struct sgn_msg get = order_msg(3, SGN_MSG_GET, "key 299", "");
    get.a = SGN_READ_STRONG;
    cr_assert(order_at_once(3, get) && ring.reply.err == SGN_OK);
    cr_assert_eq(ring.reply.value_count, strlen("newer than that"));
    ring.nodes[0].halted = ring.nodes[1].halted = false;
    mini_clear(&ring);
}

/* A key whose partition lists the node first. */
static void key_at(uint32_t node, char *key, size_t cap)
{
    const struct sgn_map *map = sgn_engine_map(ring.nodes[0].engine);
    for (uint32_t i = 0;; i++) {
        uint8_t raw[64];
        struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
        snprintf(key, cap, "first %u", i);
        sgn_full_key_encode(sgn_bytes_str("ord"), sgn_bytes_str(key), &sink);
        uint32_t partition = sgn_partition_of(sgn_hash(sgn_sink_bytes(&sink)), 8);
        if (map->lines[partition].seats[0].node == node) {
            return;
        }
    }
}

/* Of five, the source that is read first has missed a write: one is not enough (M16). And what it
 * copied is as unsettled here as it was there (M34). */
Test(order_catchup, one_source_is_not_enough)
{
    char key[32];
    order_ring(5, 5);
    no_trees();
    cr_assert_eq(order_put(1, "other", "x"), SGN_OK);
    mini_pass(&ring, 300);
    mini_down(&ring, 5);
    wait_for(5, SGN_SEAT_OUT, 9000);
    for (uint32_t i = 0; i < 4; i++) {
        ring.nodes[i].engine->options.resolve_ms = 1u << 29; /* Nobody takes it up. */
    }
    key_at(1, key, sizeof(key));
    struct sgn_msg msg = order_msg(2, SGN_MSG_PUT, key, "missed");
    msg.forwarded = true;
    ring.nodes[0].halted = true;
    cr_assert(order_at_once(2, msg) && ring.reply.err == SGN_OK);
    ring.nodes[0].halted = false;
    mini_up(&ring, 5);
    ring.nodes[4].engine->options.resolve_ms = 1u << 29;
    wait_for(5, SGN_SEAT_IN_SYNC, 30000);
    uint8_t raw[64];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    sgn_full_key_encode(sgn_bytes_str("ord"), sgn_bytes_str(key), &sink);
    cr_assert_null(mini_find(&ring.nodes[0], SGN_FAMILY_DATA, raw, sink.count));
    cr_assert_not_null(mini_find(&ring.nodes[4], SGN_FAMILY_DATA, raw, sink.count));
    cr_assert_eq(counts_of(5).dirty, 1);
    cr_assert_eq(counts_of(5).pending, 0);
    mini_clear(&ring);
}

/* Sources stop, come back and duplicate; epochs pass by: it ends all the same, and right. */
Test(order_catchup, over_troubles)
{
    order_ring(3, 3);
    order_fleet();
    no_trees();
    put_all(0, KEYS, "first");
    mini_down(&ring, 3);
    wait_for(3, SGN_SEAT_OUT, 9000);
    put_all(0, KEYS, "second");
    cr_assert_eq(order_put(1, "more a", "1"), SGN_OK);
    cr_assert_eq(order_put(1, "more b", "2"), SGN_OK);
    ring.duplicate = true;
    mini_up(&ring, 3);
    wait_for(3, SGN_SEAT_CATCHING_UP, 30000);
    for (uint32_t i = 0; i < 4; i++) {
        ring.nodes[i % 2].halted = true;
        mini_pass(&ring, 600);
        ring.nodes[i % 2].halted = false;
        mini_pass(&ring, 100);
        no_trees();
    }
    mini_witness_down(&ring, ring.witnesses[0].id);
    mini_pass(&ring, 100);
    mini_witness_up(&ring, ring.witnesses[0].id);
    wait_for(3, SGN_SEAT_IN_SYNC, 60000);
    ring.duplicate = false;
    holds_all(3);
    cr_assert(order_reads(3, "key 7", SGN_READ_STRONG, "second"));
    mini_clear(&ring);
}

/* Hash trees carry what catching up did not (9): committed records only, upward only. */
Test(order_catchup, trees_mend)
{
    order_ring(3, 3);
    put_all(0, 40, "a");
    mini_pass(&ring, 3000);
    ring.nodes[2].halted = true;
    put_all(20, 60, "b");
    ring.nodes[2].halted = false;
    order_leave_pending(2, "pending a", "x");
    mini_up(&ring, 2);
    for (uint32_t i = 0; i < 200 && !trees_equal(); i++) {
        mini_pass(&ring, 200);
    }
    cr_assert(trees_equal());
    mini_pass(&ring, 8000);
    cr_assert(trees_equal());
    for (uint32_t node = 1; node <= 3; node++) {
        cr_assert(order_reads(node, "key 30", SGN_READ_EVENTUAL, "b"));
        cr_assert_eq(counts_of(node).dirty, 0, "%u at node %u", counts_of(node).dirty, node);
    }
    assert_idle();
    mini_clear(&ring);
}
