/* bench/hist.h - latencies in a histogram of fixed size (after HdrHistogram: powers of two, each
 * cut in 128 equal steps, so a value is known to 0.8 %).
 * Units: nanoseconds, 1 ns to 2^40 ns (18 minutes); larger ones count as the largest.
 * Owns nothing; zeroed memory is an empty histogram; merging is adding. One thread. */
#ifndef SGN_BENCH_HIST_H
#define SGN_BENCH_HIST_H

#include <stdint.h>

#define SGN_HIST_STEP_BITS 7u
#define SGN_HIST_BITS_MAX  40u
#define SGN_HIST_CELLS     ((SGN_HIST_BITS_MAX - SGN_HIST_STEP_BITS + 1) << SGN_HIST_STEP_BITS)

struct sgn_hist {
    uint64_t count, sum, max;
    uint64_t cells[SGN_HIST_CELLS];
};

void sgn_hist_add(struct sgn_hist *hist, uint64_t value_ns);
void sgn_hist_merge(struct sgn_hist *into, const struct sgn_hist *other);
/* The value that `per_mille`/1000 of all values do not pass; 0 when empty. */
uint64_t sgn_hist_at(const struct sgn_hist *hist, double per_mille);

#endif
