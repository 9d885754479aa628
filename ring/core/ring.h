/* ring/core/ring.h - the shape of a ring: its members and which of them hold which partition.
 *
 * Invariants: members sorted by id, ids 1.. unique; every row of the table has `replica_count`
 *             different members; the table is what sgn_placement_solve gives for the members, so
 *             all nodes with the same description have the same table.
 * Owns:       nothing; `table` is memory of the caller (partition_count * replica_count entries).
 */
#ifndef SGN_CORE_RING_H
#define SGN_CORE_RING_H

#include <stdint.h>

#include "ring/core/bytes.h"
#include "ring/core/err.h"
#include "ring/core/limits.h"

#define SGN_RING_NAME_BYTES_MAX 63u
/* "127.0.0.1:7301", "[::1]:7301"; addresses, never host names. */
#define SGN_ADDRESS_BYTES_MAX 63u

struct sgn_member {
    uint32_t id;     /* 1..; chosen by the operator, never used again after the node has left. */
    uint32_t weight; /* 1..SGN_WEIGHT_MAX: its share of the data is weight / sum of weights. */
    uint32_t zone;   /* 0..SGN_ZONES_MAX-1: replicas spread over zones first. */
    char address[SGN_ADDRESS_BYTES_MAX + 1];
};

struct sgn_ring {
    char name[SGN_RING_NAME_BYTES_MAX + 1]; /* With the same rules as a bucket name. */
    uint32_t epoch;                         /* 1 in a ring never changed. */
    uint32_t partition_count;               /* Q, a power of two. */
    uint32_t replica_count;                 /* N of the placement; a bucket may use fewer. */
    uint32_t member_count;
    struct sgn_member members[SGN_NODES_MAX];
    uint16_t *table; /* [partition * replica_count + i] = index into members, i = 0 preferred. */
};

/* Index of the member, or -1. */
int sgn_ring_find(const struct sgn_ring *ring, uint32_t node_id);

/* Fills nodes[] with the ids of the partition's replicas, then of every other member in a fixed
 * order peculiar to the partition (those are the stand-ins of a sloppy quorum), up to `max`.
 * Returns how many. The first replica_count are the homes. */
uint32_t sgn_ring_preference(const struct sgn_ring *ring,
                             uint32_t partition,
                             uint32_t *nodes,
                             uint32_t max);

/* The order of stand-ins: of a partition, the lower hash first (rendezvous hashing, Thaler and
 * Ravishankar 1998). The same on every machine, and stable as other members come and go. */
uint64_t sgn_ring_stand_in_hash(uint32_t partition, uint32_t node_id);

/* Whether the node is one of the first n (<= replica_count) replicas of the partition. */
bool sgn_ring_is_home(const struct sgn_ring *ring,
                      uint32_t partition,
                      uint32_t node_id,
                      uint32_t n);

/* XXH3 over everything that must agree (name, epoch, Q, N, ids, weights, zones; not addresses). */
uint64_t sgn_ring_digest(const struct sgn_ring *ring);

/* The description (all but the table) as bytes and back; decode checks everything and leaves
 * ring->table alone. SGN_ERR_INVALID with nothing changed if it is not one. */
#define SGN_RING_BYTES_MAX (256u + SGN_NODES_MAX * (16u + SGN_ADDRESS_BYTES_MAX))
void sgn_ring_encode(const struct sgn_ring *ring, struct sgn_sink *sink);
enum sgn_err sgn_ring_decode(struct sgn_bytes bytes, struct sgn_ring *ring);

#endif
