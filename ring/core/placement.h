/* ring/core/placement.h - which member holds which partition: a deterministic solver with minimal
 * movement, and the plan that shows what a change would cost before it is made.
 *
 * The table is a function of (members, Q, N, previous table). A ring's table is the result of
 * solving from nothing for its first members and then once per change. What the solver promises:
 *  - every row has N different members, over min(N, zones) different zones where capacity allows;
 *  - each member's share of the Q*N slots is within 5 % (and one slot) of weight / sum, unless N or
 *    the zones forbid it: a member can hold each partition once, so no more than 1/N of all slots;
 *  - slots moved are the least that any such table with these shares could move;
 *  - first replicas (who coordinates) are spread by weight as well.
 * Threads, failure: pure; no allocation, scratch comes from the caller. Mostly O(Q*(N + members)),
 * more where zones leave little choice: docs/placement.md has times. */
#ifndef SGN_CORE_PLACEMENT_H
#define SGN_CORE_PLACEMENT_H

#include "ring/core/ring.h"

/* Bytes of scratch that sgn_placement_solve and sgn_placement_plan need for this ring's size. */
size_t sgn_placement_scratch_bytes(uint32_t partition_count, uint32_t member_count);

/* Fills ring->table for ring->members. `previous` is the ring before the change, with its table, or
 * NULL for a new ring. SGN_ERR_INVALID when there are fewer members than replica_count, or limits
 * are passed. `scratch` is at least sgn_placement_scratch_bytes, any content, aligned for
 * uint64_t. */
enum sgn_err sgn_placement_solve(struct sgn_ring *ring,
                                 const struct sgn_ring *previous,
                                 void *scratch,
                                 size_t scratch_bytes);

struct sgn_plan_share {
    uint32_t node_id;
    uint32_t slots;        /* Replica slots held. */
    uint32_t slots_before; /* 0 for a newcomer. */
    uint32_t first;        /* Partitions it is the first replica of. */
    double wanted;         /* Slots its weight asks for, Q*N*weight/sum, before any limit. */
    double possible;       /* The same after the limit of one replica per partition and node. */
};

struct sgn_plan {
    uint32_t slots_moved;   /* Replica slots whose holder is new. */
    uint32_t slots_gained;  /* What members gain in all: a bound that rows and zones may forbid. */
    uint32_t slots_minimum; /* The least that a table with these shares and such rows could move. */
    uint32_t pairs_risky; /* Node pairs whose joint loss leaves some partition without a quorum. */
    uint32_t pairs_total;
    uint32_t zones_short; /* Partitions with fewer zones than min(N, zones): 0 unless impossible. */
    bool weights_limited; /* Some member's weight asks for more than it may hold; see `possible`. */
    uint32_t share_count;
    struct sgn_plan_share shares[SGN_NODES_MAX];
};

/* Compares two solved rings; `previous` NULL for a new one. */
enum sgn_err sgn_placement_plan(const struct sgn_ring *ring,
                                const struct sgn_ring *previous,
                                struct sgn_plan *plan,
                                void *scratch,
                                size_t scratch_bytes);

/* The plan for people: table of nodes with share against weight, then moved against minimum (with
 * bytes when bytes_per_slot > 0), risky pairs, and a sentence for each limit that bites. Text,
 * lines of at most 100 columns; truncated at the sink's end with sink->full set. */
void sgn_plan_print(const struct sgn_plan *plan,
                    const struct sgn_ring *ring,
                    uint64_t bytes_per_slot,
                    struct sgn_sink *text);

#endif
