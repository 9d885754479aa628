/* The engine, three to five at a time: repair, buckets, liveness (tests/lib/mini_ring.h). */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "ring/core/items.h"
#include "ring/core/key.h"
#include "tests/unit/engine_ask.h"

/* Names of keys: every third one anywhere, the others all in one leaf, so that it takes pages. */
static void drift_key(char *key, size_t cap, int i)
{
    static uint32_t tried[900];
    static uint32_t next;
    for (uint32_t at = tried[i] != 0 ? tried[i] : next + 1;; at++) {
        uint8_t raw[64];
        struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
        snprintf(key, cap, "drift %u", at);
        sgn_full_key_encode(sgn_bytes_str(BUCKET), sgn_bytes_str(key), &sink);
        uint64_t hash = sgn_hash(sgn_sink_bytes(&sink));
        if (i % 3 == 0 || (sgn_partition_of(hash, 8) == 5 && sgn_leaf_of(hash, 8) == 77)) {
            next = tried[i] == 0 ? at : next;
            tried[i] = at;
            return;
        }
    }
}

/* One key of the large leaf differs: only that one is exchanged, not the leaf. */
static void one_key_differs(void)
{
    char key[64];
    uint64_t repairs = 0;
    drift_key(key, sizeof(key), 7);
    ring.nodes[2].mute = true;
    cr_assert_eq(put(1, key, "newer"), SGN_OK);
    for (int i = 0; i < 100 && !trees_equal(); i++) {
        for (uint32_t j = 1; j <= 3; j++) {
            repairs -= i == 0 ? counts_of(j).tree_repairs : 0;
        }
        ring.nodes[2].mute = i < 30;
        mini_pass(&ring, 100);
    }
    cr_assert(trees_equal());
    for (uint32_t j = 1; j <= 3; j++) {
        repairs += counts_of(j).tree_repairs;
    }
    cr_assert(repairs <= 6, "%u exchanges for one key", (unsigned)repairs);
}

Test(engine_repair, read_repair_and_trees)
{
    char key[64];
    available_ring(3, 3, 8);
    cr_assert_eq(put(1, "k", "old"), SGN_OK);
    mini_pass(&ring, 100);
    struct mini_entry *entry = data_of(2, "k");
    uint8_t old[512];
    size_t old_count = entry->value_count;
    memcpy(old, entry->value, old_count);
    cr_assert_eq(put(1, "k", "new"), SGN_OK);
    mini_pass(&ring, 100);
    entry = data_of(2, "k");
    mini_write(&ring.nodes[1], SGN_FAMILY_DATA, entry->key, entry->key_count, old, old_count);
    cr_assert(reads(1, "k", 3, "new"));
    cr_assert(counts_of(1).read_repairs > 0);
    mini_run(&ring);
    cr_assert(reads(2, "k", 1, "new"), "repaired after the reply");
    /* Two replicas drift apart by 900 keys, 600 of them in one leaf: trees mend. */
    mini_down(&ring, 3);
    for (int i = 0; i < 900; i++) {
        drift_key(key, sizeof(key), i);
        cr_assert_eq(put(1 + (uint32_t)i % 2, key, "v"), SGN_OK);
    }
    mini_pass(&ring, 100);
    for (uint32_t i = 0; i < 2; i++) { /* Without the hints only the trees can. */
        mini_down(&ring, i + 1);
        struct mini_node *node = &ring.nodes[i];
        uint32_t kept = 0;
        for (uint32_t j = 0; j < node->entry_count; j++) {
            if (node->entries[j].family == SGN_FAMILY_HINT) {
                free(node->entries[j].key);
                free(node->entries[j].value);
            } else {
                node->entries[kept++] = node->entries[j];
            }
        }
        node->entry_count = kept;
        mini_up(&ring, i + 1);
    }
    mini_up(&ring, 3);
    cr_assert_not(trees_equal());
    drift_key(key, sizeof(key), 5);
    cr_assert_eq(ask(1, msg_of(SGN_MSG_DEL, BUCKET, key, "")), SGN_OK);
    for (int i = 0; i < 300 && !trees_equal(); i++) {
        mini_pass(&ring, 200);
    }
    cr_assert(trees_equal());
    cr_assert_eq(mini_count(&ring.nodes[2], SGN_FAMILY_DATA), 901);
    mini_pass(&ring, 5000);
    cr_assert_eq(counts_of(1).divergent_partitions, 0);
    cr_assert_eq(get(3, key, 1), SGN_ERR_NOT_FOUND);
    one_key_differs();
    assert_idle();
    mini_clear(&ring);
}

/* A name that was deleted comes back only as what it was: its tombstones are there. */
static void dead_names_keep_their_kind(struct sgn_msg make)
{
    make.bucket = sgn_bytes_str("photos");
    make.b = sgn_bucket_props_pack(SGN_BUCKET_AVAILABLE, 3, 0, 0);
    cr_assert_eq(ask(5, make), SGN_ERR_INVALID);
    make.b = sgn_bucket_props_pack(SGN_BUCKET_ORDERED, 0, 0, 0);
    cr_assert_eq(ask(5, make), SGN_ERR_INVALID);
    cr_assert_not_null(strstr(ring.reply.text, "only as available"), "%s", ring.reply.text);
    make.b = sgn_bucket_props_pack(SGN_BUCKET_AVAILABLE, 2, 1, 2);
    cr_assert_eq(ask(5, make), SGN_OK);
    cr_assert_eq(ask(2, msg_of(SGN_MSG_BUCKET_DEL, "strict", "", "")), SGN_OK);
    make.bucket = sgn_bytes_str("strict");
    make.b = sgn_bucket_props_pack(SGN_BUCKET_AVAILABLE, 3, 0, 0);
    cr_assert_eq(ask(4, make), SGN_ERR_INVALID);
    cr_assert_not_null(strstr(ring.reply.text, "only as ordered"), "%s", ring.reply.text);
}

Test(engine_repair, buckets)
{
    available_ring(5, 3, 16);
    struct sgn_msg make = msg_of(SGN_MSG_BUCKET_PUT, "photos", "", "");
    make.b = sgn_bucket_props_pack(SGN_BUCKET_AVAILABLE, 2, 1, 2);
    cr_assert_eq(ask(2, make), SGN_OK);
    cr_assert_eq(ask(4, make), SGN_OK, "the same once more");
    make.b = sgn_bucket_props_pack(SGN_BUCKET_AVAILABLE, 3, 2, 2);
    cr_assert_eq(ask(3, make), SGN_ERR_BUCKET_EXISTS);
    make.b = sgn_bucket_props_pack(SGN_BUCKET_ORDERED, 0, 0, 0);
    make.bucket = sgn_bytes_str("strict");
    cr_assert_eq(ask(3, make), SGN_OK);
    for (uint32_t via = 1; via <= 5; via++) {
        char key[16];
        snprintf(key, sizeof(key), "p%u", via);
        cr_assert_eq(
            ask(via, msg_of(SGN_MSG_PUT, "photos", key, "x")), SGN_OK, "%s", ring.reply.text);
        cr_assert_eq(ring.reply.a, 2);
    }
    uint32_t copies = 0;
    for (uint32_t i = 0; i < 5; i++) {
        copies += mini_count(&ring.nodes[i], SGN_FAMILY_DATA);
        cr_assert(mini_count(&ring.nodes[i], SGN_FAMILY_META) >= 1);
    }
    cr_assert_eq(copies, 10);
    mini_pass(&ring, 8000);
    for (uint32_t i = 1; i <= 5; i++) {
        cr_assert_eq(counts_of(i).tree_repairs, 0, "two of three homes are no difference");
        cr_assert_eq(counts_of(i).divergent_partitions, 0);
    }
    cr_assert_eq(ask(1, msg_of(SGN_MSG_BUCKET_DEL, "photos", "", "")), SGN_ERR_BUCKET_NOT_EMPTY);
    cr_assert_eq(ask(1, msg_of(SGN_MSG_BUCKET_DEL, "default", "", "")), SGN_ERR_INVALID);
    for (uint32_t via = 1; via <= 5; via++) {
        char key[16];
        snprintf(key, sizeof(key), "p%u", via);
        cr_assert_eq(ask(via, msg_of(SGN_MSG_DEL, "photos", key, "")), SGN_OK);
    }
    cr_assert_eq(ask(1, msg_of(SGN_MSG_BUCKET_LIST, "", "", "")), SGN_OK);
    size_t with = ring.reply.items_count;
    cr_assert_eq(
        ask(1, msg_of(SGN_MSG_BUCKET_DEL, "photos", "", "")), SGN_OK, "%s", ring.reply.text);
    cr_assert_eq(ask(5, msg_of(SGN_MSG_PUT, "photos", "k", "x")), SGN_ERR_NO_BUCKET);
    cr_assert_eq(ask(5, msg_of(SGN_MSG_BUCKET_LIST, "", "", "")), SGN_OK);
    cr_assert(ring.reply.items_count < with);
    dead_names_keep_their_kind(make);
    make.b = sgn_bucket_props_pack(SGN_BUCKET_AVAILABLE, 3, 0, 0);
    /* A node that was away hears of it. */
    mini_down(&ring, 4);
    make.bucket = sgn_bytes_str("later");
    cr_assert_eq(ask(5, make), SGN_OK);
    mini_up(&ring, 4);
    mini_pass(&ring, 1000);
    cr_assert_eq(ask(4, msg_of(SGN_MSG_PUT, "later", "k", "x")), SGN_OK);
    mini_down(&ring, 4);
    mini_up(&ring, 4);
    cr_assert_not_null(
        sgn_bucket_find(sgn_engine_buckets(ring.nodes[3].engine), sgn_bytes_str("later")),
        "and keeps it");
    assert_idle();
    mini_clear(&ring);
}

Test(engine_repair, liveness_goes_both_ways)
{
    available_ring(3, 3, 8);
    mini_down(&ring, 3);
    cr_assert_eq(counts_of(1).peers_alive, 1);
    struct sgn_msg list = msg_of(SGN_MSG_LIST, BUCKET, "", "");
    cr_assert_eq(ask(1, list), SGN_OK);
    mini_down(&ring, 2);
    cr_assert_eq(ask(1, list), SGN_ERR_UNAVAILABLE);
    cr_assert(strstr(ring.reply.text, "partition") != NULL);
    cr_assert_eq(put(1, "k", "v"), SGN_ERR_UNAVAILABLE);
    cr_assert_eq(get(1, "k", 2), SGN_ERR_UNAVAILABLE);
    cr_assert_eq(get(1, "k", 1), SGN_ERR_NOT_FOUND, "and nothing was written");
    /* Node 2 is heard, but says that it hears another incarnation, or comes from the future. */
    uint64_t digest = sgn_ring_digest(&ring.shape);
    struct sgn_event beat = {.type = SGN_EV_MESSAGE, .node = 2};
    beat.msg =
        (struct sgn_msg){.type = SGN_MSG_HEARTBEAT, .node = 2, .b = 9, .a = 999, .d = digest};
    mini_event(&ring, 1, (struct sgn_event){.type = SGN_EV_PEER_UP, .node = 2});
    mini_event(&ring, 1, beat);
    cr_assert_not(sgn_engine_peer_alive(ring.nodes[0].engine, 2));
    for (uint64_t a = 1; a < 100 && !sgn_engine_peer_alive(ring.nodes[0].engine, 2); a++) {
        beat.msg.a = a;
        mini_event(&ring, 1, beat);
    }
    cr_assert(sgn_engine_peer_alive(ring.nodes[0].engine, 2));
    beat.msg.stamp = (1700000000000u + 60000000u) << 16;
    mini_event(&ring, 1, beat);
    cr_assert_not(sgn_engine_peer_alive(ring.nodes[0].engine, 2));
    beat.msg.stamp = 0;
    mini_event(&ring, 1, beat);
    cr_assert(sgn_engine_peer_alive(ring.nodes[0].engine, 2));
    mini_pass(&ring, 1100);
    cr_assert_not(sgn_engine_peer_alive(ring.nodes[0].engine, 2), "silent for too long");
    mini_clear(&ring);
}
