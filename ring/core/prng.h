/* ring/core/prng.h - a small generator whose numbers are the same on every machine (SplitMix64,
 * Steele, Lea and Flood, OOPSLA 2014). Not for secrets. */
#ifndef SGN_CORE_PRNG_H
#define SGN_CORE_PRNG_H

#include <stdint.h>

#include "ring/core/check.h"

struct sgn_prng {
    uint64_t state; /* Any value is a good seed. */
};

static inline uint64_t sgn_mix64(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static inline uint64_t sgn_prng_next(struct sgn_prng *prng)
{
    prng->state += UINT64_C(0x9e3779b97f4a7c15);
    return sgn_mix64(prng->state);
}

/* 0 <= result < bound; bound > 0. The bias, below 2^-32 for bounds under 2^32, does not matter
 * here. */
static inline uint64_t sgn_prng_below(struct sgn_prng *prng, uint64_t bound)
{
    SGN_ASSERT(bound > 0);
    return sgn_prng_next(prng) % bound;
}

/* True in `per_mille` of a thousand draws. */
static inline int sgn_prng_chance(struct sgn_prng *prng, uint32_t per_mille)
{
    return sgn_prng_below(prng, 1000) < per_mille;
}

#endif
