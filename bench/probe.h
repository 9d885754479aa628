/* bench/probe.h - the other floor: how many records of a size one writer can make durable by
 * writing a group of them to a file and syncing once. */
#ifndef SGN_BENCH_PROBE_H
#define SGN_BENCH_PROBE_H

#include <stdbool.h>
#include <stdint.h>

#include "ring/net/why.h"

#define SGN_PROBE_CALLERS_MAX 256u

struct sgn_probe_options {
    const char *directory; /* On the disk to be measured. */
    uint32_t seconds, group, record_bytes;
};

struct sgn_probe_result {
    double records_per_second, syncs_per_second;
};

/* Appends to a file it makes and removes, with fdatasync per group. False with a sentence. */
bool sgn_probe_run(const struct sgn_probe_options *options,
                   struct sgn_probe_result *result,
                   struct sgn_why *why);

/* The floor of a server with `group` callers: so many threads, each with one record under way,
 * share group commits. One of those that wait writes all that wait and syncs once for them. */
bool sgn_probe_callers(const struct sgn_probe_options *options,
                       struct sgn_probe_result *result,
                       struct sgn_why *why);

#endif
