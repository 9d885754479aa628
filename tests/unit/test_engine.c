/* The engine, three to five at a time: requests, siblings, stand-ins (tests/lib/mini_ring.h). */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "ring/core/items.h"
#include "ring/core/key.h"
#include "tests/unit/engine_ask.h"

/* Of 100 keys every node lists all in pages, and after most are gone exactly the rest. */
static void lists_agree(void)
{
    char key[32];
    struct sgn_msg list = msg_of(SGN_MSG_LIST, BUCKET, "dir/", "");
    list.n = 7;
    int seen = 0;
    char last[64] = "";
    for (uint32_t via = 1; via <= 5; via++) {
        seen = 0;
        list.after = sgn_bytes_of(NULL, 0);
        do {
            cr_assert_eq(ask(via, list), SGN_OK);
            struct sgn_cursor cursor =
                sgn_cursor_of(sgn_bytes_of(ring.reply.items, ring.reply.items_count));
            struct sgn_bytes k;
            struct sgn_bytes v;
            while (sgn_items_next(&cursor, &k, &v)) {
                snprintf(key, sizeof(key), "dir/%03d", seen++);
                cr_assert(sgn_bytes_equal(k, sgn_bytes_str(key)));
            }
            memcpy(last, ring.reply.after, ring.reply.after_count);
            list.after = sgn_bytes_of(last, ring.reply.after_count);
        } while ((ring.reply.flags & SGN_RESULT_END) == 0);
        cr_assert_eq(seen, 100);
    }
    /* With most keys deleted, pages of single nodes end early and at different places. */
    for (int i = 2; i < 95; i++) {
        snprintf(key, sizeof(key), "dir/%03d", i);
        cr_assert(i % 9 == 0 || ask(1, msg_of(SGN_MSG_DEL, BUCKET, key, "")) == SGN_OK);
    }
    seen = 0;
    list.n = 4;
    list.after = sgn_bytes_of(NULL, 0);
    do {
        cr_assert_eq(ask(2, list), SGN_OK);
        struct sgn_cursor cursor =
            sgn_cursor_of(sgn_bytes_of(ring.reply.items, ring.reply.items_count));
        struct sgn_bytes k;
        struct sgn_bytes v;
        for (; sgn_items_next(&cursor, &k, &v); seen++) {
            while (seen >= 2 && seen < 95 && seen % 9 != 0) {
                seen++;
            }
            snprintf(key, sizeof(key), "dir/%03d", seen);
            cr_assert(sgn_bytes_equal(k, sgn_bytes_str(key)));
        }
        memcpy(last, ring.reply.after, ring.reply.after_count);
        list.after = sgn_bytes_of(last, ring.reply.after_count);
    } while ((ring.reply.flags & SGN_RESULT_END) == 0);
    cr_assert_eq(seen, 100);
}

Test(engine, every_node_takes_every_request)
{
    char key[32];
    char value[32];
    available_ring(5, 3, 16);
    for (uint32_t i = 1; i <= 5; i++) {
        cr_assert_eq(counts_of(i).peers_alive, 4);
    }
    for (int i = 0; i < 100; i++) {
        uint32_t via = 1 + (uint32_t)i % 5;
        snprintf(key, sizeof(key), "dir/%03d", i);
        snprintf(value, sizeof(value), "value %d", i);
        cr_assert_eq(put(via, key, value), SGN_OK, "%s", ring.reply.text);
        cr_assert(ring.reply.a >= 2 && ring.reply.context_count > 0);
        for (uint32_t other = 1; other <= 5; other++) {
            cr_assert(reads(other, key, other % 4, value));
        }
        for (uint32_t rank = 0; rank < 3; rank++) {
            cr_assert_not_null(data_of(home_of(key, rank), key));
        }
    }
    lists_agree();
    struct sgn_msg stat = msg_of(SGN_MSG_GET, BUCKET, "dir/001", "");
    stat.flags = SGN_GET_HEAD_ONLY;
    for (uint32_t via = 1; via <= 5; via++) {
        struct sgn_record record;
        stat.n = via % 4;
        cr_assert_eq(ask(via, stat), SGN_OK);
        cr_assert_eq(sgn_record_decode(sgn_bytes_of(ring.reply.value, ring.reply.value_count),
                                       SGN_RECORD_DIGEST_ONLY,
                                       &record),
                     SGN_OK);
        cr_assert_eq(record.siblings[0].body_bytes, 7);
    }
    cr_assert_eq(ask(4, msg_of(SGN_MSG_DEL, BUCKET, "dir/001", "")), SGN_OK);
    for (uint32_t via = 1; via <= 5; via++) {
        cr_assert_eq(get(via, "dir/001", 2), SGN_ERR_NOT_FOUND);
        cr_assert(ring.reply.value_count > 0, "a delete has a context");
        cr_assert_eq(get(via, "never", 2), SGN_ERR_NOT_FOUND);
    }
    assert_idle();
    cr_assert(trees_equal());
    mini_clear(&ring);
}

Test(engine, bad_requests_are_refused)
{
    static char large[1100];
    memset(large, 'k', sizeof(large) - 1);
    available_ring(3, 3, 8);
    cr_assert_eq(ask(1, msg_of(SGN_MSG_PUT, "nowhere", "k", "v")), SGN_ERR_NO_BUCKET);
    cr_assert_eq(ask(1, msg_of(SGN_MSG_PUT, "Bad Name", "k", "v")), SGN_ERR_INVALID);
    cr_assert_eq(put(1, "", "v"), SGN_ERR_INVALID);
    cr_assert_eq(put(1, large, "v"), SGN_ERR_TOO_LARGE);
    struct sgn_msg msg = msg_of(SGN_MSG_PUT, BUCKET, "k", "v");
    msg.n = 4;
    cr_assert_eq(ask(1, msg), SGN_ERR_INVALID);
    msg = msg_of(SGN_MSG_PUT, BUCKET, "k", "v");
    msg.context = sgn_bytes_str("nonsense");
    cr_assert_eq(ask(1, msg), SGN_ERR_INVALID);
    msg = msg_of(SGN_MSG_PUT, BUCKET, "k", "v");
    msg.stamp = (1700000000000u + 60000000u) << 16;
    cr_assert_eq(ask(1, msg), SGN_ERR_CLOCK);
    msg = msg_of(SGN_MSG_GET, BUCKET, "k", "");
    msg.a = SGN_READ_STRONG;
    cr_assert_eq(ask(1, msg), SGN_ERR_NOT_STRONG);
    cr_assert_eq(get(1, "k", 4), SGN_ERR_INVALID);
    cr_assert_eq(ask(1, msg_of(SGN_MSG_RING, "", "", "")), SGN_ERR_INVALID);
    cr_assert_eq(ask(1, msg_of(SGN_MSG_REPL_PUT, BUCKET, "k", "garbage")), SGN_ERR_INVALID);
    cr_assert_eq(ring.reply.type, SGN_MSG_REPL_ACK);
    msg = msg_of(SGN_MSG_LIST, BUCKET, "", "");
    msg.n = 1001;
    cr_assert_eq(ask(1, msg), SGN_ERR_INVALID);
    ring.pool_refuses = true;
    cr_assert_eq(put(1, "k", "v"), SGN_ERR_BUSY);
    cr_assert_eq(get(1, "k", 2), SGN_ERR_BUSY);
    cr_assert_eq(ask(1, msg_of(SGN_MSG_LIST, BUCKET, "", "")), SGN_ERR_BUSY);
    ring.pool_refuses = false;
    cr_assert_eq(get(1, "k", 1), SGN_ERR_NOT_FOUND, "nothing of it all was kept");
    cr_assert_eq(ring.reply.value_count, 0);
    /* More requests than slots: the rest is refused at once, and all are answered once. */
    uint32_t before = ring.reply.count;
    for (uint32_t i = 1; i <= 3; i++) {
        ring.nodes[i - 1].stall_stores = true;
    }
    for (uint32_t i = 0; i < SGN_OPS_MAX; i++) {
        mini_request(&ring, 1, msg_of(SGN_MSG_PUT, BUCKET, "crowded", "v"));
    }
    mini_run(&ring);
    cr_assert_eq(ring.reply.count, before + counts_of(1).refused_busy - 3);
    cr_assert(counts_of(1).refused_busy > 1000);
    for (uint32_t i = 1; i <= 3; i++) {
        ring.nodes[i - 1].stall_stores = false;
    }
    mini_pass(&ring, 3000);
    cr_assert_eq(ring.reply.count, before + SGN_OPS_MAX);
    assert_idle();
    mini_clear(&ring);
}

/* Two blind writers, `first` through one node and `second` through the other; the second then
 * writes again with the context it was given, which must not overwrite what it never saw. */
static void blind_writers(const char *key, uint32_t first, uint32_t second)
{
    uint8_t context[2048];
    struct sgn_msg msg = msg_of(SGN_MSG_PUT, BUCKET, key, "one");
    msg.flags = SGN_PUT_HAS_CONTEXT;
    cr_assert_eq(ask(first, msg), SGN_OK);
    msg = msg_of(SGN_MSG_PUT, BUCKET, key, "two");
    msg.flags = SGN_PUT_HAS_CONTEXT;
    cr_assert_eq(ask(second, msg), SGN_OK);
    size_t count = ring.reply.context_count;
    memcpy(context, ring.reply.context, count);
    msg = msg_of(SGN_MSG_PUT, BUCKET, key, "three");
    msg.flags = SGN_PUT_HAS_CONTEXT;
    msg.context = sgn_bytes_of(context, count);
    cr_assert_eq(ask(second, msg), SGN_OK);
    cr_assert_eq(get(3, key, 3), SGN_OK);
    struct sgn_record record = reply_record();
    uint32_t ones = 0;
    for (uint32_t i = 0; i < record.sibling_count; i++) {
        ones += sgn_bytes_equal(record.siblings[i].body, sgn_bytes_str("one"));
    }
    cr_assert_eq(ones, 1);
}

Test(engine, siblings_and_contexts)
{
    available_ring(3, 3, 8);
    blind_writers("apart", 1, 2);
    blind_writers("together", 1, 1);
    struct sgn_msg first = msg_of(SGN_MSG_PUT, BUCKET, "k", "one");
    first.flags = SGN_PUT_HAS_CONTEXT;
    struct sgn_msg second = msg_of(SGN_MSG_PUT, BUCKET, "k", "two");
    second.flags = SGN_PUT_HAS_CONTEXT;
    cr_assert_eq(ask(1, first), SGN_OK);
    cr_assert_eq(ask(1, first), SGN_OK, "a retry by request id");
    cr_assert_eq(ask(2, second), SGN_OK);
    uint8_t context[2048];
    size_t count = ring.reply.context_count;
    memcpy(context, ring.reply.context, count);
    cr_assert_eq(get(3, "k", 2), SGN_OK);
    cr_assert_eq(reply_record().sibling_count, 2);
    /* The second writer never saw "one": the context it got must not overwrite it. */
    struct sgn_msg third = msg_of(SGN_MSG_PUT, BUCKET, "k", "three");
    third.flags = SGN_PUT_HAS_CONTEXT;
    third.context = sgn_bytes_of(context, count);
    cr_assert_eq(ask(2, third), SGN_OK);
    cr_assert_eq(get(3, "k", 3), SGN_OK);
    struct sgn_record record = reply_record();
    bool one = false;
    bool three = false;
    for (uint32_t i = 0; i < record.sibling_count; i++) {
        one = one || sgn_bytes_equal(record.siblings[i].body, sgn_bytes_str("one"));
        three = three || sgn_bytes_equal(record.siblings[i].body, sgn_bytes_str("three"));
    }
    cr_assert(one && three && record.sibling_count == 2);
    struct sgn_sink sink = sgn_sink_of(context, sizeof(context));
    sgn_context_encode(&record.vector, &sink);
    struct sgn_msg last = msg_of(SGN_MSG_PUT, BUCKET, "k", "last");
    last.flags = SGN_PUT_HAS_CONTEXT;
    last.context = sgn_sink_bytes(&sink);
    cr_assert_eq(ask(1, last), SGN_OK);
    for (uint32_t via = 1; via <= 3; via++) {
        cr_assert(reads(via, "k", 3, "last"));
    }
    /* Many writers of one key: folded into few stores, none lost. */
    uint32_t stores = ring.nodes[home_of("hot", 0) - 1].stores;
    uint32_t before = ring.reply.count;
    for (int i = 0; i < (int)SGN_SIBLINGS_MINT_MAX; i++) {
        struct sgn_msg msg = msg_of(SGN_MSG_PUT, BUCKET, "hot", "x");
        msg.flags = SGN_PUT_HAS_CONTEXT;
        mini_request(&ring, home_of("hot", 0), msg);
    }
    mini_run(&ring);
    cr_assert_eq(ring.reply.count, before + SGN_SIBLINGS_MINT_MAX);
    cr_assert_eq(get(1, "hot", 3), SGN_OK);
    cr_assert_eq(reply_record().sibling_count, SGN_SIBLINGS_MINT_MAX);
    cr_assert(ring.nodes[home_of("hot", 0) - 1].stores - stores < 8);
    assert_idle();
    cr_assert(trees_equal());
    mini_clear(&ring);
}

Test(engine, hints_stand_ins_and_hand_over)
{
    char key[32];
    available_ring(5, 3, 16);
    uint32_t a = home_of("k", 0);
    uint32_t b = home_of("k", 1);
    uint32_t c = home_of("k", 2);
    uint32_t stranger = home_of("k", 3);
    mini_down(&ring, a);
    cr_assert_eq(put(stranger, "k", "v1"), SGN_OK);
    cr_assert(ring.reply.a >= 2);
    mini_pass(&ring, 200);
    uint32_t hints = 0;
    for (uint32_t i = 0; i < 5; i++) {
        hints += ring.nodes[i].up ? mini_count(&ring.nodes[i], SGN_FAMILY_HINT) : 0;
    }
    cr_assert_eq(hints, 1, "the first stand-in keeps it for the home that is down");
    mini_up(&ring, a);
    mini_pass(&ring, 3000);
    cr_assert_not_null(data_of(a, "k"));
    for (uint32_t i = 1; i <= 5; i++) {
        cr_assert_eq(counts_of(i).hints_held, 0);
        cr_assert_eq(mini_count(&ring.nodes[i - 1], SGN_FAMILY_HINT), 0);
    }
    /* All homes down: strangers take it, W of them, and read it back. */
    mini_down(&ring, a);
    mini_down(&ring, b);
    mini_down(&ring, c);
    cr_assert_eq(get(stranger, "k", 0), SGN_ERR_UNAVAILABLE, "nobody who knows is there");
    cr_assert_eq(put(stranger, "k", "guest"), SGN_OK, "%s", ring.reply.text);
    cr_assert(reads(stranger, "k", 2, "guest"));
    uint32_t generation = ring.nodes[stranger - 1].guest_generation;
    struct sgn_msg all = msg_of(SGN_MSG_PUT, BUCKET, "k", "no");
    all.n = 3;
    cr_assert_eq(ask(stranger, all), SGN_ERR_UNAVAILABLE, "%s", ring.reply.text);
    cr_assert(strstr(ring.reply.text, "missing") != NULL);
    mini_up(&ring, a);
    mini_up(&ring, b);
    mini_up(&ring, c);
    mini_pass(&ring, 6000);
    cr_assert(ring.nodes[stranger - 1].guest_generation > generation,
              "a new guest after handing over");
    cr_assert_eq(get(a, "k", 3), SGN_OK);
    struct sgn_record record = reply_record();
    cr_assert_eq(record.sibling_count, 2, "v1 was not seen by the guest");
    /* Three nodes, no stand-in: the coordinator keeps a reference. */
    mini_clear(&ring);
    available_ring(3, 3, 8);
    mini_down(&ring, 3);
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof(key), "key %d", i);
        cr_assert_eq(put(1 + (uint32_t)i % 2, key, "v"), SGN_OK);
    }
    mini_pass(&ring, 100);
    cr_assert_eq(counts_of(1).hints_held + counts_of(2).hints_held, 200);
    mini_up(&ring, 3);
    mini_pass(&ring, 1000);
    cr_assert_eq(counts_of(1).hints_held + counts_of(2).hints_held, 0);
    cr_assert_eq(mini_count(&ring.nodes[2], SGN_FAMILY_DATA), 200);
    cr_assert(trees_equal());
    assert_idle();
    mini_clear(&ring);
}

Test(engine, silence_and_refusals)
{
    available_ring(3, 3, 8);
    uint32_t a = home_of("k", 0);
    uint32_t b = home_of("k", 1);
    uint32_t c = home_of("k", 2);
    struct sgn_msg all = msg_of(SGN_MSG_PUT, BUCKET, "k", "v");
    all.n = 3;
    ring.nodes[c - 1].mute = true;
    cr_assert_eq(ask(a, all), SGN_ERR_UNKNOWN);
    cr_assert(strstr(ring.reply.text, "2 of 3") != NULL, "%s", ring.reply.text);
    ring.nodes[c - 1].mute = false;
    mini_pass(&ring, 3000);
    cr_assert(reads(c, "k", 1, "v"), "the hint came");
    /* The own disk refuses, the others give W. */
    ring.nodes[a - 1].store_err = SGN_ERR_DISK_FULL;
    cr_assert_eq(put(a, "k", "w"), SGN_OK, "%s", ring.reply.text);
    cr_assert_eq(
        put(a, "k", "x"), SGN_OK, "the actor rests, another home coordinates: %s", ring.reply.text);
    ring.nodes[b - 1].store_err = ring.nodes[c - 1].store_err = SGN_ERR_DISK_FULL;
    cr_assert_eq(put(b, "k", "y"), SGN_ERR_DISK_FULL, "%s", ring.reply.text);
    cr_assert(reads(b, "k", 2, "x"));
    uint32_t generation = ring.nodes[a - 1].home_generation;
    for (uint32_t i = 0; i < 3; i++) {
        ring.nodes[i].store_err = SGN_OK;
    }
    mini_pass(&ring, 6000);
    cr_assert_eq(ring.nodes[a - 1].home_generation, generation + 1);
    cr_assert_eq(put(a, "k", "z"), SGN_OK);
    cr_assert(reads(a, "k", 3, "z"));
    /* A corrupt record abstains and is repaired by what others have. */
    data_of(a, "k")->corrupt = true;
    generation = ring.nodes[a - 1].home_generation;
    cr_assert(reads(a, "k", 1, "z"));
    mini_run(&ring);
    cr_assert(!data_of(a, "k")->corrupt);
    cr_assert_eq(ring.nodes[a - 1].home_generation, generation + 1);
    data_of(a, "k")->corrupt = true;
    cr_assert_eq(put(a, "k", "zz"), SGN_OK, "%s", ring.reply.text);
    mini_run(&ring);
    cr_assert(reads(a, "k", 3, "zz"));
    /* Everything twice, and late answers. */
    ring.duplicate = true;
    for (int i = 0; i < 20; i++) {
        cr_assert_eq(put(a, "twice", "v"), SGN_OK);
        cr_assert(ring.reply.a >= 2 && ring.reply.a <= 3);
        cr_assert(reads(b, "twice", 3, "v"));
    }
    ring.duplicate = false;
    struct sgn_event late = {.type = SGN_EV_MESSAGE,
                             .node = b,
                             .msg = {.type = SGN_MSG_REPL_ACK, .request = 4096 * 3 + 17}};
    mini_event(&ring, a, late);
    assert_idle();
    cr_assert(trees_equal());
    mini_clear(&ring);
}
