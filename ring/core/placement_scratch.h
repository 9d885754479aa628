/* ring/core/placement_scratch.h - how the solver and the plan divide the caller's scratch.
 * Owns: nothing. Threads, failure: pure, cannot fail. */
#ifndef SGN_CORE_PLACEMENT_SCRATCH_H
#define SGN_CORE_PLACEMENT_SCRATCH_H

#include "ring/core/placement_first.h"

struct sgn_placement_scratch {
    struct sgn_shares shares;
    struct sgn_rows rows;
    struct sgn_first first;
    uint16_t *before;   /* [partitions * SGN_REPLICAS_MAX] */
    uint16_t *table;    /* [partitions * SGN_REPLICAS_MAX] the plan's own. */
    uint32_t *words[2]; /* [member] */
    uint64_t *pairs;    /* [members * members] bits. */
};

/* Sets all pointers into `memory`, aligned for uint64_t; with NULL only counts. Returns the bytes
 * it takes, a multiple of 8. */
size_t sgn_placement_scratch_lay(struct sgn_placement_scratch *lay,
                                 void *memory,
                                 uint32_t partition_count,
                                 uint32_t member_count);

/* The least slots that any sound table with the solver's shares moves. Uses all of the scratch.
 * Both rings must be valid, with tables. */
uint32_t sgn_placement_least_moved(struct sgn_placement_scratch *lay,
                                   const struct sgn_ring *ring,
                                   const struct sgn_ring *previous);

static inline size_t sgn_pair_words(uint32_t member_count)
{
    return ((size_t)member_count * member_count + 63) / 64;
}

#endif
