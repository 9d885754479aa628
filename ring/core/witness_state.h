/* ring/core/witness_state.h - what struct sgn_witness is made of; for witness.c and its tests. */
#ifndef SGN_CORE_WITNESS_STATE_H
#define SGN_CORE_WITNESS_STATE_H

#include "ring/core/witness_table.h"

/* One partition. All zero is right for one that no map has named yet. */
struct sgn_witness_part {
    uint32_t epoch;
    uint32_t seeded; /* Votes over the line's seats: whose unsettled sets were added (4.1). */
    struct sgn_witness_chain chain;
    uint8_t mode; /* enum sgn_witness_mode */
};

struct sgn_witness {
    struct sgn_witness_options options;
    uint32_t partitions_max;
    struct sgn_map maps[2]; /* The one in force, and room to read the next into. */
    uint32_t map_index;
    struct sgn_witness_part *parts;
    struct sgn_witness_table table;
    uint32_t old_place; /* Of the pool: where the next search for old marks begins. */
    struct sgn_witness_counts counts;
};

#endif
