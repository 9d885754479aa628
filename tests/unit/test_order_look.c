/* What status shows of ordered buckets: each number follows what was done to a small ring. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "ring/core/map.h"
#include "ring/core/witness.h"
#include "tests/unit/order_ask.h"

#define PARTITIONS 8u

static struct sgn_fleet_view view;

static const struct sgn_fleet_view *look(uint32_t node)
{
    memset(&view, 0xff, sizeof(view)); /* All of it is filled in. */
    sgn_engine_fleet(ring.nodes[node - 1].engine, &view);
    cr_assert_eq(view.partitions, PARTITIONS);
    cr_assert_eq(view.in_sync + view.catching_up + view.out, 3 * PARTITIONS);
    return &view;
}

Test(order_look, the_fleet)
{
    order_ring(3, 3);
    cr_assert_eq(look(1)->fast_path, SGN_FAST_OFF);
    cr_assert_eq(view.witness_count, 0);
    cr_assert_eq(view.without_group, PARTITIONS);
    order_fleet();
    cr_assert_eq(look(2)->fast_path, SGN_FAST_ON);
    cr_assert_eq(view.fast, PARTITIONS);
    cr_assert_eq(view.witnesses_up, 3);
    cr_assert_eq(view.without_group + view.fenced + view.joint + view.out, 0);
    for (uint32_t i = 0; i < 3; i++) {
        const struct sgn_witness_view *witness = &view.witnesses[i];
        cr_assert_eq(witness->id, order_witness(i));
        cr_assert(witness->up && !witness->leaving);
        cr_assert(witness->incarnation != 0 && witness->incarnation == witness->listed);
        cr_assert_eq(witness->version, view.map_version);
        cr_assert_eq(witness->groups, PARTITIONS);
        cr_assert_eq(witness->warming + witness->dropped, 0);
    }
    mini_witness_down(&ring, order_witness(0));
    mini_pass(&ring, 200);
    cr_assert_eq(look(1)->fast_path, SGN_FAST_ON, "two of three are a group's quorum");
    cr_assert(!view.witnesses[0].up && view.witnesses_up == 2);
    mini_witness_down(&ring, order_witness(1));
    mini_pass(&ring, 200);
    cr_assert_eq(look(1)->fast_path, SGN_FAST_OFF);
    mini_witness_down(&ring, order_witness(2));
    mini_pass(&ring, 5000);
    cr_assert_eq(look(1)->without_group, PARTITIONS);
    cr_assert_eq(view.fenced, 0, "all nodes are in the new map");
    for (uint32_t i = 0; i < 3; i++) {
        mini_witness_up(&ring, order_witness(i));
    }
    mini_pass(&ring, 5000);
    cr_assert_eq(look(3)->fast_path, SGN_FAST_ON);
    mini_clear(&ring);
}

static int add(uint32_t host, const char *address)
{
    return ask(1, change_of(SGN_MAP_ADD_WITNESS, host, address));
}

static uint32_t host_of(uint32_t node, uint64_t id)
{
    const struct sgn_map *map = sgn_engine_map(ring.nodes[node - 1].engine);
    for (uint32_t i = 0; i < map->witness_count; i++) {
        if (map->witnesses[i].id == id) {
            return map->witnesses[i].host;
        }
    }
    return UINT32_MAX;
}

/* A witness has one life at a time: a node carries one at most, and an address names one. */
Test(order_look, a_witness_inside_a_node)
{
    order_ring(3, 3);
    cr_assert_eq(add(2, "h:1"), SGN_OK);
    uint64_t id = ring.reply.a;
    mini_pass(&ring, 500);
    cr_assert_eq(host_of(3, id), 2);
    cr_assert(add(2, "h:1") == SGN_OK && ring.reply.a == id);
    cr_assert_eq(add(2, "h:2"), SGN_ERR_INVALID, "the node carries another one");
    cr_assert_eq(add(3, "h:1"), SGN_ERR_INVALID, "the address is another one's");
    cr_assert_eq(add(0, "h:1"), SGN_ERR_INVALID);
    cr_assert_eq(add(4, "h:3"), SGN_ERR_INVALID, "there is no such node");
    cr_assert(add(0, "h:4") == SGN_OK && host_of(1, ring.reply.a) == 0);
    cr_assert(add(0, "h:5") == SGN_OK && host_of(1, ring.reply.a) == 0);
    cr_assert_eq(add(3, "h:4"), SGN_ERR_INVALID);
    cr_assert_eq(ask(1, change_of(SGN_MAP_DROP_WITNESS, id, "")), SGN_OK);
    mini_pass(&ring, 3000);
    cr_assert_eq(host_of(3, id), UINT32_MAX, "it was in no group");
    cr_assert(add(2, "h:2") == SGN_OK && ring.reply.a != id);
    mini_clear(&ring);
}

static uint64_t checks_of(uint32_t index)
{
    struct sgn_witness_counts counts;
    sgn_witness_counts(ring.witnesses[index].witness, &counts);
    return counts.checks;
}

/* A strong read asks two of three; the one that is in the node's process costs no message. */
Test(order_look, own_witness_is_asked_first)
{
    enum { READS = 30 };
    order_ring(3, 3);
    order_hosted_fleet();
    for (uint32_t own = 0; own < 3; own++) {
        uint32_t node = own + 1;
        uint64_t before[3] = {checks_of(0), checks_of(1), checks_of(2)};
        for (uint32_t i = 0; i < READS; i++) {
            char key[8];
            (void)snprintf(key, sizeof(key), "%u", i); /* Other keys begin with other members. */
            cr_assert(order_reads(node, key, SGN_READ_STRONG, NULL));
        }
        uint64_t all = 0;
        for (uint32_t i = 0; i < 3; i++) {
            all += checks_of(i) - before[i];
        }
        cr_expect_eq(checks_of(own) - before[own], READS);
        cr_expect_eq(all, 2 * READS);
    }
    mini_clear(&ring);
}

/* The groups end while a node that may serve by the old ones is away: writes wait for it. */
Test(order_look, fences_and_seats)
{
    order_ring(3, 3);
    order_fleet();
    cr_assert_eq(order_put(1, "k", "v"), SGN_OK);
    mini_down(&ring, 3);
    for (uint32_t i = 0; i < 3; i++) {
        mini_witness_down(&ring, order_witness(i));
    }
    mini_pass(&ring, 8000);
    cr_assert_eq(look(1)->fenced, PARTITIONS);
    cr_assert_eq(view.out, PARTITIONS);
    cr_assert_eq(view.in_sync, 2 * PARTITIONS);
    bool waits_for_node = false;
    for (uint32_t i = 0; i < view.fence_wait_count; i++) {
        waits_for_node = waits_for_node || view.fence_waits[i] == 3;
    }
    cr_assert(waits_for_node && view.fence_wait_count == 4);
    /* Refused early enough to be heard, with the reason, and without effect. */
    uint64_t began_ms = ring.now_ms;
    int err = order_put(1, "other", "v");
    cr_assert_eq(err, SGN_ERR_FENCED, "%d: %s", err, ring.reply.text);
    cr_assert_leq(ring.now_ms - began_ms, 1200);
    cr_assert(strstr(ring.reply.text, "waiting for") != NULL, "%s", ring.reply.text);
    mini_up(&ring, 3);
    mini_pass(&ring, 500);
    cr_assert_eq(look(1)->fenced, 0);
    uint32_t most = 0;
    for (uint32_t i = 0; i < 200 && look(3)->out + view.catching_up > 0; i++) {
        most = view.own_catching_up > most ? view.own_catching_up : most;
        cr_assert_leq(view.own_caught_up, view.own_catching_up);
        mini_pass(&ring, 50);
    }
    cr_assert_gt(most, 0);
    cr_assert_eq(look(3)->in_sync, 3 * PARTITIONS);
    cr_assert_eq(view.own_catching_up + view.own_at_work, 0);
    cr_assert_eq(order_put(1, "other", "v"), SGN_OK);
    mini_clear(&ring);
}
