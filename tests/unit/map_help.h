/* tests/unit/map_help.h - maps for tests: one ring, one fleet, two maps to work with. */
#ifndef SGN_TESTS_MAP_HELP_H
#define SGN_TESTS_MAP_HELP_H

#include <stdio.h>

#include "ring/core/map.h"
#include "ring/core/prng.h"

#define LINES SGN_PARTITIONS_MAX
#define W(n)  (SGN_WITNESS_BIT | (n))

static struct sgn_line lines_a[LINES], lines_b[LINES];
static struct sgn_map map = {.lines = lines_a}, other = {.lines = lines_b};
static struct sgn_ring ring;
static uint16_t table[LINES * SGN_REPLICAS_MAX];

static inline uint32_t below(struct sgn_prng *prng, uint32_t bound)
{
    return (uint32_t)sgn_prng_below(prng, bound);
}

/* Version 1 of a ring of nodes 1.., each row of the table starting elsewhere. */
static inline void map_new(uint32_t partitions, uint32_t nodes, uint32_t replicas)
{
    ring = (struct sgn_ring){.name = "garden", .epoch = 1, .table = table};
    ring.partition_count = partitions;
    ring.replica_count = replicas;
    ring.member_count = nodes;
    for (uint32_t i = 0; i < nodes; i++) {
        ring.members[i] = (struct sgn_member){.id = i + 1, .weight = 1};
    }
    for (uint32_t i = 0; i < partitions * replicas; i++) {
        table[i] = (uint16_t)((i / replicas + i % replicas) % nodes);
    }
    sgn_map_first(&map, &ring);
}

static inline void fleet_add(uint32_t number, uint32_t incarnation)
{
    struct sgn_witness_member *witness = &map.witnesses[map.witness_count++];
    *witness = (struct sgn_witness_member){.id = W(number), .incarnation = incarnation};
    snprintf(witness->address, sizeof(witness->address), "127.0.0.1:%u", number);
}

/* The next version in place of the committed one; what a proposer does with a copy. */
static inline void next_version(void)
{
    sgn_map_begin(&other, &map);
    sgn_map_copy(&map, &other);
}

#endif
