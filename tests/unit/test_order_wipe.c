/* What a node that has left a partition keeps of it, and brings back: nothing (6.2, 3.7). */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "ring/core/engine_state.h"
#include "ring/core/key.h"
#include "tests/unit/order_ask.h"

#define WAIT_TICKS 2000

static uint32_t partition; /* Of the key. */

static const struct sgn_line *line_at(uint32_t node)
{
    return &sgn_engine_map(ring.nodes[node - 1].engine)->lines[partition];
}

static uint32_t rows_at(uint32_t node)
{
    return mini_count(&ring.nodes[node - 1], SGN_FAMILY_DATA);
}

#define KEY_BYTES 32u

static struct sgn_bytes full_key_of(const char *bucket, const char *key, uint8_t raw[KEY_BYTES])
{
    struct sgn_sink sink = sgn_sink_of(raw, KEY_BYTES);
    sgn_full_key_encode(sgn_bytes_str(bucket), sgn_bytes_str(key), &sink);
    return sgn_sink_bytes(&sink);
}

static uint32_t partition_of(const char *bucket, const char *key)
{
    uint8_t raw[KEY_BYTES];
    return sgn_partition_of(sgn_hash(full_key_of(bucket, key, raw)), ring.shape.partition_count);
}

/* The row that ends with the full key: what DATA or TREE holds of it at that node. */
static struct mini_entry *row_of(uint32_t node,
                                 enum sgn_family family,
                                 const char *bucket,
                                 const char *key)
{
    struct mini_node *at = &ring.nodes[node - 1];
    uint8_t raw[KEY_BYTES];
    struct sgn_bytes full_key = full_key_of(bucket, key, raw);
    for (uint32_t i = 0; i < at->entry_count; i++) {
        struct mini_entry *entry = &at->entries[i];
        if (entry->family == family && entry->key_count >= full_key.count &&
            memcmp(entry->key + entry->key_count - full_key.count, raw, full_key.count) == 0) {
            return entry;
        }
    }
    return NULL;
}

/* Four nodes, the key at three of them; returns the fourth. */
static uint32_t begin(void)
{
    order_ring(4, 3);
    order_drop_after(300);
    cr_assert_eq(order_put(1, "k", "v"), SGN_OK);
    partition = partition_of("ord", "k");
    uint32_t spare = 1;
    while (sgn_line_seat(line_at(1), spare) >= 0) {
        spare++;
    }
    cr_assert(spare <= 4 && rows_at(spare) == 0);
    return spare;
}

static void move(uint32_t from, uint32_t to)
{
    uint32_t nodes[3];
    const struct sgn_line *line = line_at(1);
    cr_assert_eq(line->seat_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        nodes[i] = line->seats[i].node == from ? to : line->seats[i].node;
    }
    cr_assert(sgn_engine_move(ring.nodes[0].engine, partition, nodes, 3));
}

/* Until the node's map has the partition with it or without, in a joint epoch or not. */
static void wait_line(uint32_t node, bool seated, bool joint)
{
    bool is = false;
    for (uint32_t i = 0; i < WAIT_TICKS && !is; i++) {
        mini_pass(&ring, SGN_TICK_MS);
        const struct sgn_line *line = line_at(node);
        is = line->joint == joint && (sgn_line_seat(line, node) >= 0) == seated;
    }
    cr_assert(is, "node %u", node);
}

Test(order_wipe, leaves_nothing_behind)
{
    uint32_t spare = begin();
    uint32_t leaver = line_at(1)->seats[2].node;
    cr_assert_eq(rows_at(leaver), 1);
    move(leaver, spare);
    wait_line(leaver, false, false);
    mini_pass(&ring, 2000);
    cr_assert_eq(rows_at(leaver), 0);
    cr_assert_eq(rows_at(spare), 1);
    cr_assert(order_reads(leaver, "k", SGN_READ_STRONG, "v"), "by those who have it");
    mini_clear(&ring);
}

/* It could not read its disk when it left. Meanwhile the key was deleted and forgotten. */
Test(order_wipe, brings_nothing_back)
{
    uint32_t spare = begin();
    uint32_t leaver = line_at(1)->seats[2].node;
    ring.nodes[leaver - 1].scan_err = SGN_ERR_IO;
    move(leaver, spare);
    wait_line(leaver, false, false);
    cr_assert_eq(order_del(1, "k"), SGN_OK);
    for (uint32_t i = 0; i < WAIT_TICKS && rows_at(spare) > 0; i++) {
        mini_pass(&ring, SGN_TICK_MS);
    }
    cr_assert_eq(rows_at(1) + rows_at(2) + rows_at(3) + rows_at(4), 1, "the old record alone");
    cr_assert_eq(rows_at(leaver), 1);
    cr_assert_gt(line_at(spare)->floor, 0);

    move(spare, leaver);
    wait_line(leaver, true, true);
    mini_pass(&ring, 3000);
    cr_assert_eq(rows_at(leaver), 1);
    cr_assert_neq(line_at(1)->seats[sgn_line_seat(line_at(1), leaver)].state,
                  SGN_SEAT_IN_SYNC,
                  "not before the old record is gone");
    ring.nodes[leaver - 1].scan_err = SGN_OK;
    wait_line(leaver, true, false);
    cr_assert_eq(rows_at(leaver), 0);
    for (uint32_t node = 1; node <= 4; node++) {
        cr_assert(order_reads(node, "k", SGN_READ_STRONG, NULL));
        cr_assert(order_reads(node, "k", SGN_READ_EVENTUAL, NULL));
    }
    mini_clear(&ring);
}

/* A floor for every partition, above the key's record. */
static void floors_rise(void)
{
    char key[] = "d00";
    for (uint32_t i = 0; i < 40; i++) {
        key[1] = (char)('0' + i / 10);
        key[2] = (char)('0' + i % 10);
        cr_assert_eq(order_put(1, key, "v"), SGN_OK);
        cr_assert_eq(order_del(1, key), SGN_OK);
    }
    mini_pass(&ring, 3000);
    cr_assert_gt(line_at(1)->floor, 0);
}

/* What lives is carried to and fro, though it lies below the floor. */
Test(order_wipe, keeps_what_lives)
{
    uint32_t spare = begin();
    floors_rise();
    uint32_t leaver = line_at(1)->seats[2].node;
    move(leaver, spare);
    wait_line(spare, true, false);
    cr_assert(order_reads(spare, "k", SGN_READ_STRONG, "v"));
    mini_pass(&ring, 3000);
    cr_assert_geq(rows_at(spare), 1);
    move(spare, leaver);
    wait_line(leaver, true, false);
    mini_pass(&ring, 3000);
    for (uint32_t node = 1; node <= 4; node++) {
        cr_assert(order_reads(node, "k", SGN_READ_STRONG, "v"));
    }
    mini_clear(&ring);
}

static bool caught_up(uint32_t node)
{
    const struct sgn_order *order = &ring.nodes[node - 1].engine->order;
    return (order->caught_up[partition / 8] >> (partition % 8) & 1) != 0;
}

static void others(uint32_t node, void (*what)(struct mini_ring *ring, uint32_t node))
{
    for (uint32_t i = 1; i <= ring.node_count; i++) {
        if (i != node) {
            what(&ring, i);
        }
    }
}

/* The others have chosen that it is in_sync, which it does not know when it starts again alone. */
Test(order_wipe, keeps_what_it_is_in_sync_for)
{
    uint32_t spare = begin();
    struct mini_node *node = &ring.nodes[spare - 1];
    floors_rise();
    move(line_at(1)->seats[2].node, spare);
    for (uint32_t i = 0; i < WAIT_TICKS && !caught_up(spare); i++) {
        mini_pass(&ring, SGN_TICK_MS);
    }
    cr_assert(caught_up(spare) && line_at(spare)->joint);
    node->store_err = SGN_ERR_IO;
    for (uint32_t i = 0; i < WAIT_TICKS && node->engine->order.work.adopting == NULL; i++) {
        mini_pass(&ring, SGN_TICK_MS);
    }
    cr_assert_not_null(node->engine->order.work.adopting, "chosen, and not on its disk");
    uint32_t rows = rows_at(spare);
    mini_down(&ring, spare);
    node->store_err = SGN_OK;
    others(spare, mini_down);
    mini_up(&ring, spare);
    mini_pass(&ring, 1000);
    cr_assert(line_at(spare)->joint, "it knows no better");
    cr_assert_eq(rows_at(spare), rows);
    others(spare, mini_up);
    wait_line(spare, true, false);
    mini_pass(&ring, 1000);
    for (uint32_t i = 1; i <= 4; i++) {
        cr_assert(order_reads(i, "k", SGN_READ_STRONG, "v"));
    }
    mini_clear(&ring);
}

/* With no floor there is nothing to purge; but what it was dropping when it had no seat may still
 * be on the way to its disk. */
Test(order_wipe, catches_up_when_the_last_is_dropped)
{
    uint32_t spare = begin();
    uint32_t leaver = line_at(1)->seats[2].node;
    struct mini_node *node = &ring.nodes[leaver - 1];
    node->stall_deletes = true;
    move(leaver, spare);
    wait_line(leaver, false, false);
    mini_pass(&ring, 2000);
    move(spare, leaver);
    wait_line(leaver, true, true);
    mini_pass(&ring, 2000);
    cr_assert_eq(line_at(leaver)->floor, 0);
    cr_assert(!caught_up(leaver));
    node->stall_deletes = false;
    wait_line(leaver, true, false);
    cr_assert_eq(rows_at(leaver), 1);
    cr_assert(order_reads(leaver, "k", SGN_READ_STRONG, "v"));
    mini_clear(&ring);
}

/* A key of an available bucket in the partition, stored at that node; its row of the tree. */
static struct mini_entry *available_row(uint32_t node, char *key, size_t cap)
{
    struct sgn_msg make = msg_of(SGN_MSG_BUCKET_PUT, "av", "", "");
    make.b = sgn_bucket_props_pack(SGN_BUCKET_AVAILABLE, 3, 1, 1);
    cr_assert_eq(ask(1, make), SGN_OK);
    mini_pass(&ring, 1000);
    for (uint32_t i = 0; i < 4000; i++) {
        (void)snprintf(key, cap, "a%u", i);
        if (partition_of("av", key) != partition) {
            continue;
        }
        cr_assert_eq(ask(1, msg_of(SGN_MSG_PUT, "av", key, "kept")), SGN_OK);
        mini_pass(&ring, 200);
        struct mini_entry *row = row_of(node, SGN_FAMILY_TREE, "av", key);
        if (row != NULL) {
            return row;
        }
    }
    cr_assert_fail("no such key");
    return NULL;
}

/* Its row of the tree is rotten: the record says that it lies below the floor. */
Test(order_wipe, drops_what_only_the_record_tells)
{
    uint32_t spare = begin();
    uint32_t leaver = line_at(1)->seats[2].node;
    struct mini_node *node = &ring.nodes[leaver - 1];
    node->scan_err = SGN_ERR_IO;
    move(leaver, spare);
    wait_line(leaver, false, false);
    floors_rise();
    cr_assert_eq(order_del(1, "k"), SGN_OK);
    mini_pass(&ring, 3000);
    cr_assert_null(row_of(spare, SGN_FAMILY_DATA, "ord", "k"));
    cr_assert_not_null(row_of(leaver, SGN_FAMILY_DATA, "ord", "k"));
    row_of(leaver, SGN_FAMILY_TREE, "ord", "k")->value_count = 0;
    uint64_t resolves = node->engine->counts.resolves;
    move(spare, leaver);
    wait_line(leaver, true, true);
    node->scan_err = SGN_OK;
    wait_line(leaver, true, false);
    cr_assert_null(row_of(leaver, SGN_FAMILY_DATA, "ord", "k"));
    cr_assert_null(row_of(leaver, SGN_FAMILY_TREE, "ord", "k"));
    cr_assert_eq(node->engine->counts.resolves, resolves);
    cr_assert(order_reads(leaver, "k", SGN_READ_STRONG, NULL));
    mini_clear(&ring);
}

/* With its row rotten nothing at hand tells that the key is not of an ordered bucket. */
Test(order_wipe, leaves_available_keys_alone)
{
    char key[16];
    uint32_t spare = begin();
    uint32_t leaver = line_at(1)->seats[2].node;
    floors_rise();
    move(leaver, spare);
    wait_line(leaver, false, false);
    available_row(leaver, key, sizeof(key))->value_count = 0;
    mini_down(&ring, leaver);
    mini_up(&ring, leaver);
    mini_pass(&ring, 2000);
    move(spare, leaver);
    wait_line(leaver, true, false);
    mini_pass(&ring, 2000);
    for (uint32_t i = 1; i <= 4; i++) {
        cr_assert_eq(ask(i, msg_of(SGN_MSG_GET, "av", key, "")), SGN_OK);
    }
    mini_clear(&ring);
}
