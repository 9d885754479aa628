/* Who is a member of the ring: a node with its disk (protocol.md 2, order_disk.c). */
#include <criterion/criterion.h>

#include "ring/core/engine_state.h"
#include "tests/unit/order_ask.h"

static const struct sgn_map *map_of(uint32_t node)
{
    return sgn_engine_map(ring.nodes[node - 1].engine);
}

/* Nodes with disks, which have not met: all are down, and know the bucket. */
static void strangers(uint32_t nodes)
{
    order_ring(nodes, 3);
    for (uint32_t node = 1; node <= nodes; node++) {
        mini_down(&ring, node);
        ring.nodes[node - 1].disk = 10 * node;
    }
}

static void begin(uint32_t nodes)
{
    strangers(nodes);
    for (uint32_t node = 1; node <= nodes; node++) {
        mini_up(&ring, node);
    }
    mini_pass(&ring, 3000);
    for (uint32_t node = 1; node <= nodes; node++) {
        cr_assert_eq(sgn_map_disk(map_of(1), node), 10 * node);
        cr_assert_eq(map_of(node)->version, map_of(1)->version);
    }
}

/* Every partition is whole again: nobody lost is counted, all are in_sync. */
static bool is_whole(void)
{
    const struct sgn_map *map = map_of(1);
    bool whole = true;
    for (uint32_t p = 0; p < map->partition_count; p++) {
        whole = whole && !map->lines[p].joint &&
                sgn_line_in_sync(&map->lines[p]) == sgn_line_all(&map->lines[p]);
    }
    return whole;
}

static void wait_whole(void)
{
    for (uint32_t i = 0; i < 1000 && !is_whole(); i++) {
        mini_pass(&ring, SGN_TICK_MS);
    }
    cr_assert(is_whole());
}

Test(order_disk, a_ring_begins_when_a_majority_has_met)
{
    strangers(3);
    mini_up(&ring, 1);
    uint32_t replies = ring.reply.count;
    mini_request(&ring, 1, order_msg(1, SGN_MSG_PUT, "k", "v"));
    mini_pass(&ring, 1000);
    cr_assert_eq(ring.reply.count, replies, "it waits");
    cr_assert_eq(map_of(1)->version, 1);
    mini_pass(&ring, 3000);
    cr_assert(ring.reply.count == replies + 1 && ring.reply.err == SGN_ERR_UNAVAILABLE);
    cr_assert_not_null(strstr(ring.reply.text, "majority"), "%s", ring.reply.text);

    mini_request(&ring, 1, order_msg(1, SGN_MSG_PUT, "k", "v"));
    mini_up(&ring, 2);
    mini_pass(&ring, 1800);
    cr_assert(ring.reply.count == replies + 2 && ring.reply.err == SGN_OK, "%s", ring.reply.text);
    cr_assert(sgn_map_disk(map_of(1), 1) == 10 && sgn_map_disk(map_of(1), 2) == 20 &&
              sgn_map_disk(map_of(1), 3) == 0);
    mini_up(&ring, 3);
    mini_pass(&ring, 2000);
    cr_assert(sgn_map_disk(map_of(3), 3) == 30 && map_of(3)->version == map_of(1)->version);
    wait_whole();
    for (uint32_t node = 1; node <= 3; node++) {
        cr_assert(order_reads(node, "k", SGN_READ_STRONG, "v"));
    }
    mini_clear(&ring);
}

/* pitfall 47. The key is at 1 and 2; 2 loses its disk while 1 is away: 2 and 3 are a majority that
 * knows of nothing. */
Test(order_disk, an_emptied_disk_has_no_vote)
{
    begin(3);
    mini_down(&ring, 3);
    cr_assert_eq(order_put(1, "k", "v"), SGN_OK);
    mini_down(&ring, 1);
    mini_down(&ring, 2);
    mini_wipe(&ring, 2, 21);
    mini_up(&ring, 2);
    mini_up(&ring, 3);
    mini_pass(&ring, 3000);
    for (uint32_t node = 2; node <= 3; node++) {
        struct sgn_msg msg = order_msg(node, SGN_MSG_GET, "k", "");
        msg.a = SGN_READ_STRONG;
        int err = ask(node, msg);
        cr_assert(err == SGN_ERR_UNAVAILABLE || err == SGN_ERR_TIMEOUT || err == SGN_ERR_STALE,
                  "node %u: %d %s",
                  node,
                  err,
                  ring.reply.text);
        msg = order_msg(node, SGN_MSG_PUT, "k", "other");
        msg.flags = SGN_PUT_IF_ABSENT;
        err = ask(node, msg);
        cr_assert(err != SGN_OK && err != SGN_ERR_CONDITION, "node %u: %d", node, err);
    }
    cr_assert_eq(map_of(2)->version, 1, "it takes no map that lists another disk");
    cr_assert_eq(mini_count(&ring.nodes[1], SGN_FAMILY_DATA), 0);

    mini_up(&ring, 1);
    mini_pass(&ring, 1500);
    cr_assert_eq(sgn_map_disk(map_of(1), 2), 21);
    wait_whole();
    for (uint32_t node = 1; node <= 3; node++) {
        cr_assert(order_reads(node, "k", SGN_READ_STRONG, "v"), "node %u", node);
    }
    mini_down(&ring, 1);
    cr_assert(order_reads(2, "k", SGN_READ_STRONG, "v"), "it remembers by itself");
    mini_clear(&ring);
}

/* Until it is listed it passes on what it is asked. */
Test(order_disk, an_emptied_node_answers_by_the_others)
{
    begin(3);
    order_fleet();
    cr_assert_eq(order_put(1, "k", "v"), SGN_OK);
    for (uint32_t node = 1; node <= 3; node++) {
        mini_down(&ring, node);
        mini_wipe(&ring, node, 10 * node + 1);
        mini_pass(&ring, 300); /* Its peers have noticed, and want it to be steady again. */
        mini_up(&ring, node);
        cr_assert_eq(map_of(node)->version, 1);
        cr_assert(order_reads(node, "k", SGN_READ_STRONG, "v"), "node %u", node);
        cr_assert_not_null(strstr(order_list(node, "", SGN_READ_EVENTUAL, 10), "k="));
        cr_assert_eq(map_of(node)->version, 1);
        char name[2] = {(char)('a' + node), '\0'};
        cr_assert_eq(order_put(node, name, "w"), SGN_OK);
        mini_pass(&ring, 2500);
        wait_whole();
        cr_assert_eq(sgn_map_disk(map_of(node), node), 10 * node + 1);
    }
    mini_pass(&ring, 2000);
    for (uint32_t node = 1; node <= 3; node++) { /* Every disk is another one now. */
        cr_assert(order_reads(node, "k", SGN_READ_STRONG, "v"));
        cr_assert(order_reads(node, "b", SGN_READ_STRONG, "w"));
        cr_assert(order_reads(node, "d", SGN_READ_STRONG, "w"));
        cr_assert_eq(mini_count(&ring.nodes[node - 1], SGN_FAMILY_DATA), 4);
    }
    mini_clear(&ring);
}

/* Started once with an empty directory while another disk is being mended: it is not given up, and
 * when its disk is back all is well. */
Test(order_disk, a_disk_that_was_mislaid)
{
    static struct mini_entry kept[MINI_ENTRIES_MAX];
    struct mini_node *two = &ring.nodes[1];
    begin(3);
    cr_assert_eq(order_put(1, "k", "v"), SGN_OK);
    mini_pass(&ring, 2000);
    mini_down(&ring, 1);
    mini_wipe(&ring, 1, 11);
    ring.nodes[0].scan_err = SGN_ERR_IO; /* It cannot catch up. */
    mini_up(&ring, 1);
    mini_pass(&ring, 3000);
    cr_assert(sgn_map_disk(map_of(3), 1) == 11 && !is_whole());

    mini_down(&ring, 2);
    uint32_t count = two->entry_count;
    memcpy(kept, two->entries, count * sizeof(kept[0]));
    two->entry_count = 0;
    two->disk = 21;
    mini_up(&ring, 2);
    mini_pass(&ring, 8000);
    cr_assert_eq(sgn_map_disk(map_of(3), 2), 20, "nobody else remembers what it does");
    struct sgn_msg msg = order_msg(3, SGN_MSG_GET, "k", "");
    msg.a = SGN_READ_STRONG;
    cr_assert_eq(ask(3, msg), SGN_ERR_UNAVAILABLE);
    cr_assert_not_null(strstr(ring.reply.text, "2"), "%s", ring.reply.text);

    mini_down(&ring, 2);
    mini_wipe(&ring, 2, 20);
    memcpy(two->entries, kept, count * sizeof(kept[0]));
    two->entry_count = count;
    mini_up(&ring, 2);
    ring.nodes[0].scan_err = SGN_OK;
    mini_pass(&ring, 3000);
    wait_whole();
    for (uint32_t node = 1; node <= 3; node++) {
        cr_assert(order_reads(node, "k", SGN_READ_STRONG, "v"), "node %u", node);
    }
    mini_clear(&ring);
}

/* One that cannot be listed for the sake of a partition is down for the others: out, once. */
Test(order_disk, a_ring_rests_beside_one_that_is_not_listed)
{
    begin(4);
    for (char key[2] = "a"; key[0] <= 'p'; key[0]++) {
        cr_assert_eq(order_put(3, key, "v"), SGN_OK);
    }
    mini_pass(&ring, 2000);
    for (uint32_t node = 1; node <= 2; node++) {
        mini_down(&ring, node);
        mini_wipe(&ring, node, 10 * node + 1);
        ring.nodes[node - 1].scan_err = SGN_ERR_IO; /* It cannot catch up. */
        mini_up(&ring, node);
        mini_pass(&ring, 3000);
    }
    cr_assert(sgn_map_disk(map_of(3), 1) == 11 && sgn_map_disk(map_of(3), 2) == 20);
    mini_pass(&ring, 10000);
    uint32_t version = map_of(3)->version;
    mini_pass(&ring, 10000);
    cr_assert_eq(map_of(3)->version, version);
    for (uint32_t node = 1; node <= 2; node++) {
        ring.nodes[node - 1].scan_err = SGN_OK;
    }
    mini_clear(&ring);
}

/* More than a majority remembers nothing: refused for ever, never "not found". */
Test(order_disk, two_emptied_disks_of_three)
{
    begin(3);
    cr_assert_eq(order_put(1, "k", "v"), SGN_OK);
    mini_pass(&ring, 2000);
    for (uint32_t node = 1; node <= 2; node++) {
        mini_down(&ring, node);
        mini_wipe(&ring, node, 10 * node + 1);
    }
    for (uint32_t node = 1; node <= 2; node++) {
        mini_up(&ring, node);
    }
    mini_pass(&ring, 5000);
    for (uint32_t node = 1; node <= 3; node++) {
        struct sgn_msg msg = order_msg(node, SGN_MSG_GET, "k", "");
        msg.a = SGN_READ_STRONG;
        int err = ask(node, msg);
        cr_assert(err != SGN_OK && err != SGN_ERR_NOT_FOUND, "node %u: %d", node, err);
    }
    cr_assert(order_reads(3, "k", SGN_READ_EVENTUAL, "v"));
    cr_assert(map_of(1)->version == 1 && map_of(2)->version == 1, "they are no new ring");
    mini_clear(&ring);
}
