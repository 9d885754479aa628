/* ring/core/hlc.h - hybrid logical clock (Kulkarni et al. 2014) in 64 bits, and ballots.
 *
 * The upper 48 bits are wall milliseconds, the lower 16 a counter. A clock never goes back,
 * whatever the wall does. protocol.md 2: a remote hlc too far ahead is refused *before* it is
 * merged, so that one node with a clock in the year 2100 cannot drag the ring along. */
#ifndef SGN_CORE_HLC_H
#define SGN_CORE_HLC_H

#include <stdint.h>

#include "ring/core/err.h"

#define SGN_HLC_COUNTER_BITS 16u
#define SGN_HLC_AHEAD_MS_MAX 5000u /* How far ahead of our own clock a remote stamp may be. */

struct sgn_hlc {
    uint64_t last; /* The largest stamp issued or merged. */
};

static inline uint64_t sgn_hlc_ms(uint64_t stamp)
{
    return stamp >> SGN_HLC_COUNTER_BITS;
}

static inline uint64_t sgn_hlc_of_ms(uint64_t wall_ms)
{
    return wall_ms << SGN_HLC_COUNTER_BITS;
}

/* A new stamp, above every stamp issued or merged before. */
uint64_t sgn_hlc_now(struct sgn_hlc *clock, uint64_t wall_ms);

/* Takes a remote stamp in. SGN_ERR_CLOCK, and nothing merged, when it is more than
 * SGN_HLC_AHEAD_MS_MAX ahead of both the wall and the clock. */
enum sgn_err sgn_hlc_merge(struct sgn_hlc *clock, uint64_t remote, uint64_t wall_ms);

/* protocol.md 2: unique because the incarnation is in it. Compared field by field, in this
 * order. */
struct sgn_ballot {
    uint64_t hlc;
    uint32_t node;
    uint32_t incarnation;
    uint32_t step; /* Rises in chained rounds (3.2); 0 in a classic one. */
};

#define SGN_BALLOT_BYTES 20u

/* Negative, 0 or positive. */
int sgn_ballot_compare(const struct sgn_ballot *a, const struct sgn_ballot *b);

#endif
