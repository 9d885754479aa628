/* bench/table.h - how kv-bench prints windows and ratios. */
#ifndef SGN_BENCH_TABLE_H
#define SGN_BENCH_TABLE_H

#include <stdbool.h>

#include "bench/load.h"

#define SGN_ROUNDS_MAX 25u

void sgn_table_head(void);
void sgn_table_row(const char *what,
                   uint32_t connections,
                   const struct sgn_load_result *result,
                   bool with_cpu);
/* "WHAT: median ..."; sorts the ratios. */
void sgn_table_ratio(const char *what, double *ratios, uint32_t count);

/* Nanoseconds of all servers for one operation; 0 if there was none. */
double sgn_table_cpu(const struct sgn_load_result *result);

/* The ratios of pairs of neighbouring windows, one of each kind of load. */
struct sgn_table_pairs {
    uint32_t count;
    double throughput[SGN_ROUNDS_MAX], p50[SGN_ROUNDS_MAX], p99[SGN_ROUNDS_MAX];
    double p999[SGN_ROUNDS_MAX], cpu[SGN_ROUNDS_MAX];
};
void sgn_table_pair(struct sgn_table_pairs *pairs,
                    const struct sgn_load_result *one,
                    const struct sgn_load_result *other);
void sgn_table_pairs(struct sgn_table_pairs *pairs, const char *one, const char *other, bool cpu);

#endif
