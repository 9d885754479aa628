/* Lists of ordered buckets (protocol.md 10): what each mode shows while a write is under way, a
 * replica lags, or everyone has just restarted; by quorum and behind the witnesses. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "ring/core/key.h"
#include "tests/unit/order_ask.h"

static const char *fill(uint32_t keys)
{
    static char want[1 << 14];
    size_t at = 0;
    for (uint32_t i = 0; i < keys; i++) {
        char key[16];
        char value[64] = "";
        snprintf(key, sizeof(key), "dir/%02u", i);
        memset(value, 'v', i % 50);
        cr_assert_eq(order_put(1 + i % ring.node_count, key, value), SGN_OK, "%s", ring.reply.text);
        if (i % 3 == 0) {
            cr_assert_eq(order_del(1 + (i + 1) % ring.node_count, key), SGN_OK);
        } else {
            at += (size_t)snprintf(want + at, sizeof(want) - at, "%s=%u ", key, i % 50);
        }
    }
    return want;
}

static void all_show(const char *prefix, const char *want, uint32_t limit)
{
    for (uint32_t node = 1; node <= ring.node_count; node++) {
        cr_assert_str_eq(order_list(node, prefix, SGN_READ_STRONG, limit), want, "node %u", node);
        cr_assert_str_eq(order_list(node, prefix, SGN_READ_SESSION, limit), want);
    }
}

Test(order_lists, by_quorum)
{
    order_ring(5, 3);
    struct sgn_msg make = msg_of(SGN_MSG_BUCKET_PUT, BUCKET, "", "");
    make.b = sgn_bucket_props_pack(SGN_BUCKET_AVAILABLE, 0, 0, 0);
    cr_assert_eq(ask(2, make), SGN_OK);
    struct sgn_msg available = msg_of(SGN_MSG_LIST, BUCKET, "", "");
    available.a = SGN_READ_STRONG;
    cr_assert_eq(ask(1, available), SGN_ERR_NOT_STRONG);
    available.a = 3;
    cr_assert_eq(ask(1, available), SGN_ERR_INVALID);
    cr_assert_str_eq(order_list(2, "", SGN_READ_STRONG, 10), "");
    const char *want = fill(100);
    cr_assert_eq(order_put(1, "zzz", "not asked for"), SGN_OK);
    all_show("dir/", want, 7);
    all_show("dir/", want, 1000);
    mini_pass(&ring, 200);
    cr_assert_str_eq(order_list(4, "dir/", SGN_READ_EVENTUAL, 9), want);
    ring.duplicate = true;
    all_show("dir/", want, 13);
    ring.duplicate = false;
    /* Everything above the watermark counts as pending after a restart (3.6). */
    for (uint32_t node = 1; node <= 5; node++) {
        mini_down(&ring, node);
    }
    for (uint32_t node = 1; node <= 5; node++) {
        mini_up(&ring, node);
    }
    mini_pass(&ring, 500);
    all_show("dir/", want, 1000);
    cr_assert_str_eq(order_list(5, "dir/", SGN_READ_EVENTUAL, 1000), want);
    assert_idle();
    mini_clear(&ring);
}

Test(order_lists, of_what_is_pending)
{
    order_ring(3, 3);
    cr_assert_eq(order_put(1, "p/a", "1"), SGN_OK);
    cr_assert_eq(order_put(1, "p/b", "22"), SGN_OK);
    mini_pass(&ring, 200);
    order_leave_pending(2, "p/a", "333");
    cr_assert(order_at_once(1, order_msg(1, SGN_MSG_GET, "p/b", "")));
    struct sgn_msg list = msg_of(SGN_MSG_LIST, "ord", "p/", "");
    cr_assert(order_at_once(1, list) && ring.reply.err == SGN_OK, "eventual waits for nobody");
    cr_assert_str_eq(order_list(1, "p/", SGN_READ_EVENTUAL, 10), "p/a=1 p/b=2 ", "5.1: committed");
    cr_assert_str_eq(order_list(3, "p/", SGN_READ_STRONG, 10), "p/a=3 p/b=2 ");
    cr_assert_str_eq(order_list(1, "p/", SGN_READ_STRONG, 10), "p/a=3 p/b=2 ");
    cr_assert_str_eq(order_list(1, "p/", SGN_READ_EVENTUAL, 10), "p/a=3 p/b=2 ");
    mini_up(&ring, 2);
    mini_pass(&ring, 500);
    /* A corrupt record abstains: the key is there all the same (2). */
    struct mini_entry *entry = mini_find(&ring.nodes[0], SGN_FAMILY_DATA, "ord\0p/b", 7);
    cr_assert_not_null(entry);
    entry->corrupt = true;
    mini_down(&ring, 1);
    mini_up(&ring, 1);
    mini_pass(&ring, 1000);
    cr_assert_str_eq(order_list(1, "p/", SGN_READ_STRONG, 10), "p/a=3 p/b=2 ");
    cr_assert_str_eq(order_list(1, "p/", SGN_READ_EVENTUAL, 10), "p/a=3 p/b=2 ");
    /* No majority, no strong list; and the eventual one still answers. */
    mini_down(&ring, 2);
    mini_down(&ring, 3);
    mini_pass(&ring, 1500);
    list.a = SGN_READ_STRONG;
    cr_assert_eq(ask(1, list), SGN_ERR_UNAVAILABLE);
    cr_assert_not_null(strstr(ring.reply.text, "missing: node "), "%s", ring.reply.text);
    mini_clear(&ring);
}

/* Two nodes stop for a moment without anyone noticing. */
static void others_halt(uint32_t node, bool halted)
{
    for (uint32_t i = 1; i <= 3; i++) {
        ring.nodes[i - 1].halted = i != node && halted;
    }
}

Test(order_lists, behind_witnesses)
{
    order_ring(3, 3);
    order_fleet();
    const char *want = fill(60);
    mini_pass(&ring, 500);
    all_show("dir/", want, 7);
    struct sgn_msg list = msg_of(SGN_MSG_LIST, "ord", "dir/", "");
    list.a = SGN_READ_STRONG;
    others_halt(3, true);
    cr_assert(order_at_once(3, list), "the witnesses and one replica are enough");
    cr_assert_eq(ring.reply.err, SGN_OK);
    others_halt(3, false);
    /* Node 3 misses two writes, of a key it has and of one it has not; their marks stay. */
    ring.nodes[2].halted = true;
    cr_assert_eq(order_put(1, "dir/01", "newer"), SGN_OK);
    ring.nodes[2].halted = false;
    cr_assert_str_eq(order_list(3, "dir/01", SGN_READ_EVENTUAL, 5), "dir/01=1 ");
    others_halt(3, true);
    cr_assert_not(order_at_once(3, list), "a key is in doubt");
    others_halt(3, false);
    mini_pass(&ring, 2500);
    ring.nodes[2].halted = true;
    cr_assert_eq(order_put(1, "dir/01", "newest"), SGN_OK);
    cr_assert_eq(order_put(1, "dir/new", "four"), SGN_OK);
    ring.nodes[2].halted = false;
    cr_assert_str_eq(order_list(3, "dir/01", SGN_READ_STRONG, 5), "dir/01=6 ");
    cr_assert_str_eq(order_list(3, "dir/n", SGN_READ_STRONG, 5), "dir/new=4 ");
    /* Without the fleet it goes on, by quorum. */
    for (uint32_t i = 0; i < 3; i++) {
        mini_witness_down(&ring, ring.witnesses[i].id);
    }
    cr_assert_str_eq(order_list(3, "dir/n", SGN_READ_STRONG, 5), "dir/new=4 ");
    mini_pass(&ring, 3000);
    assert_idle();
    mini_clear(&ring);
}

/* 3.7: of a key whose tombstone was dropped nothing lies on the disk, and what is put there again
 * may be long on its way. */
Test(order_lists, of_a_key_that_was_dropped)
{
    order_ring(3, 3);
    order_drop_after(300);
    order_fleet();
    cr_assert_eq(order_put(1, "dir/k", "v"), SGN_OK);
    cr_assert_eq(order_del(1, "dir/k"), SGN_OK);
    for (uint32_t i = 0; i < 100 && mini_count(&ring.nodes[0], SGN_FAMILY_DATA) > 0; i++) {
        mini_pass(&ring, 200);
    }
    cr_assert_eq(mini_count(&ring.nodes[0], SGN_FAMILY_DATA), 0, "dropped");
    cr_assert_eq(order_put(2, "other", "v"), SGN_OK); /* The promise ceilings are up. */
    mini_pass(&ring, 100);
    ring.nodes[0].stall_stores = true;
    struct sgn_msg put = order_msg(2, SGN_MSG_PUT, "dir/k", "back");
    put.forwarded = true; /* Coordinated here. */
    cr_assert_eq(ask(2, put), SGN_OK, "%s", ring.reply.text);
    /* The row that is not durable yet is not there for a scan either. */
    uint8_t raw[64];
    struct sgn_sink full_key = sgn_sink_of(raw, sizeof(raw));
    sgn_full_key_encode(sgn_bytes_str("ord"), sgn_bytes_str("dir/k"), &full_key);
    mini_delete(&ring.nodes[0], SGN_FAMILY_DATA, sgn_sink_bytes(&full_key));
    cr_assert_str_eq(order_list(1, "dir/", SGN_READ_STRONG, 5), "dir/k=4 ");
    mini_clear(&ring);
}

Test(order_lists, of_one_node)
{
    order_ring(1, 1);
    const char *want = fill(30);
    mini_down(&ring, 1);
    mini_up(&ring, 1);
    all_show("dir/", want, 4);
    cr_assert_str_eq(order_list(1, "dir/", SGN_READ_EVENTUAL, 100), want);
    assert_idle();
    struct sgn_msg end = msg_of(SGN_MSG_BUCKET_DEL, "ord", "", "");
    cr_assert_eq(ask(1, end), SGN_ERR_BUCKET_NOT_EMPTY);
    mini_clear(&ring);
}
