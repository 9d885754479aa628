#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "ring/core/placement.h"
#include "ring/core/prng.h"

static struct sgn_ring ring, other;
static uint16_t table[1024 * SGN_REPLICAS_MAX];
static uint8_t bytes[SGN_RING_BYTES_MAX], again[SGN_RING_BYTES_MAX];

static void ring_draw(struct sgn_prng *prng)
{
    ring = (struct sgn_ring){.name = "garden.1", .epoch = 1 + (uint32_t)sgn_prng_below(prng, 99)};
    ring.partition_count = 8u << sgn_prng_below(prng, 8);
    ring.replica_count = 1 + (uint32_t)sgn_prng_below(prng, 7);
    ring.member_count = ring.replica_count + (uint32_t)sgn_prng_below(prng, 30);
    ring.table = table;
    for (uint32_t i = 0; i < ring.member_count; i++) {
        struct sgn_member *member = &ring.members[i];
        member->id = (i + 1) * 1000 - (uint32_t)sgn_prng_below(prng, 900);
        member->weight = 1 + (uint32_t)sgn_prng_below(prng, SGN_WEIGHT_MAX);
        member->zone = (uint32_t)sgn_prng_below(prng, SGN_ZONES_MAX);
        snprintf(member->address, sizeof(member->address), "[::1]:%u", 1000 + i);
    }
}

static void same(const struct sgn_ring *a, const struct sgn_ring *b)
{
    cr_assert_str_eq(a->name, b->name);
    cr_assert(a->epoch == b->epoch && a->partition_count == b->partition_count &&
              a->replica_count == b->replica_count && a->member_count == b->member_count);
    for (uint32_t i = 0; i < a->member_count; i++) {
        const struct sgn_member *x = &a->members[i], *y = &b->members[i];
        cr_assert(x->id == y->id && x->weight == y->weight && x->zone == y->zone);
        cr_assert_str_eq(x->address, y->address);
    }
}

Test(ring, comes_back_from_bytes_and_garbage_does_not)
{
    uint32_t taken = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct sgn_prng prng = {seed};
        ring_draw(&prng);
        struct sgn_sink sink = sgn_sink_of(bytes, sizeof(bytes));
        sgn_ring_encode(&ring, &sink);
        cr_assert(!sink.full);
        memset(&other, 0xee, sizeof(other));
        uint16_t *mark = (uint16_t *)(void *)&taken;
        other.table = mark;
        cr_assert_eq(sgn_ring_decode(sgn_sink_bytes(&sink), &other), SGN_OK);
        cr_assert(other.table == mark);
        same(&ring, &other);

        for (size_t count = 0; count < sink.count; count++) { /* Every half of it. */
            cr_assert_eq(sgn_ring_decode(sgn_bytes_of(bytes, count), &other), SGN_ERR_INVALID);
        }
        bytes[sink.count] = 0; /* Something after the end. */
        cr_assert_eq(sgn_ring_decode(sgn_bytes_of(bytes, sink.count + 1), &other), SGN_ERR_INVALID);
        same(&ring, &other);
        for (uint32_t i = 0; i < 2000;
             i++) { /* One byte changed: refused, or a ring of those bytes. */
            size_t at = sgn_prng_below(&prng, sink.count);
            uint8_t kept = bytes[at];
            bytes[at] = (uint8_t)(kept ^ (1 + sgn_prng_below(&prng, 255)));
            if (sgn_ring_decode(sgn_sink_bytes(&sink), &other) == SGN_OK) {
                struct sgn_sink back = sgn_sink_of(again, sizeof(again));
                sgn_ring_encode(&other, &back);
                cr_assert(sgn_bytes_equal(sgn_sink_bytes(&sink), sgn_sink_bytes(&back)));
                taken++;
            }
            bytes[at] = kept;
        }
    }
    cr_assert_gt(taken, 0);
}

/* What decode must refuse though every field could be read. */
Test(ring, bad_fields_are_refused)
{
    struct sgn_prng prng = {7};
    for (uint32_t i = 0; i < 14; i++) {
        ring_draw(&prng);
        ring.replica_count = 2;
        ring.member_count = 2;
        switch (i) {
        case 0: ring.epoch = 0; break;
        case 1: ring.partition_count = 48; break;
        case 2: ring.partition_count = 4; break;
        case 3: ring.partition_count = SGN_PARTITIONS_MAX * 2; break;
        case 4: ring.replica_count = 0; break;
        case 5: ring.replica_count = SGN_REPLICAS_MAX + 1; break;
        case 6: ring.member_count = 1; break;
        case 7: ring.members[0].id = 0; break;
        case 8: ring.members[1].id = ring.members[0].id; break;
        case 9: ring.members[1].weight = 0; break;
        case 10: ring.members[1].weight = SGN_WEIGHT_MAX + 1; break;
        case 11: ring.members[1].zone = SGN_ZONES_MAX; break;
        case 12: ring.members[1].address[2] = '\n'; break;
        default: ring.name[0] = '-'; break;
        }
        struct sgn_sink sink = sgn_sink_of(bytes, sizeof(bytes));
        sgn_ring_encode(&ring, &sink);
        cr_assert_eq(sgn_ring_decode(sgn_sink_bytes(&sink), &other), SGN_ERR_INVALID, "%u", i);
    }
}

Test(ring, digest_is_of_all_but_addresses)
{
    struct sgn_prng prng = {3};
    ring_draw(&prng);
    uint64_t digest = sgn_ring_digest(&ring);
    other = ring;
    snprintf(other.members[0].address, sizeof(other.members[0].address), "10.0.0.1:1");
    cr_assert_eq(sgn_ring_digest(&other), digest);
    for (uint32_t i = 0; i < 7; i++) {
        other = ring;
        switch (i) {
        case 0: other.name[0] = 'x'; break;
        case 1: other.epoch++; break;
        case 2: other.partition_count *= 2; break;
        case 3: other.replica_count ^= 1; break;
        case 4: other.members[0].id++; break;
        case 5: other.members[0].weight++; break;
        default: other.members[0].zone ^= 1; break;
        }
        cr_assert_neq(sgn_ring_digest(&other), digest, "%u", i);
    }
    other = ring;
    other.member_count--;
    cr_assert_neq(sgn_ring_digest(&other), digest);
}

Test(ring, preference_has_each_member_once_homes_first)
{
    uint32_t nodes[SGN_NODES_MAX], shorter[SGN_NODES_MAX], second[64] = {0};
    struct sgn_prng prng = {11};
    ring_draw(&prng);
    ring.partition_count = 1024;
    ring.replica_count = 3;
    ring.member_count = 12;
    size_t scratch_bytes = sgn_placement_scratch_bytes(1024, 12);
    void *scratch = malloc(scratch_bytes);
    cr_assert_eq(sgn_placement_solve(&ring, NULL, scratch, scratch_bytes), SGN_OK);
    free(scratch);
    for (uint32_t p = 0; p < ring.partition_count; p++) {
        cr_assert_eq(sgn_ring_preference(&ring, p, nodes, SGN_NODES_MAX), 12);
        bool seen[SGN_NODES_MAX] = {false};
        for (uint32_t i = 0; i < 12; i++) {
            int index = sgn_ring_find(&ring, nodes[i]);
            cr_assert(index >= 0 && !seen[index]);
            seen[index] = true;
            cr_assert_eq(sgn_ring_is_home(&ring, p, nodes[i], 3), i < 3);
            cr_assert_eq(sgn_ring_is_home(&ring, p, nodes[i], 2), i < 2);
            second[index] += i == 3;
        }
        for (uint32_t max = 0; max < 12; max++) {
            cr_assert_eq(sgn_ring_preference(&ring, p, shorter, max), max);
            cr_assert_arr_eq(shorter, nodes, max * sizeof(nodes[0]));
        }
    }
    for (uint32_t i = 0; i < 12; i++) { /* Everyone stands in first somewhere. */
        cr_assert_gt(second[i], 0);
    }
    cr_assert_eq(sgn_ring_find(&ring, 0), -1);
    cr_assert_eq(sgn_ring_find(&ring, UINT32_MAX), -1);
}
