/* bench/load.h - a closed loop against a ring: a number of callers, each with one request under
 * way.
 *
 * A caller has a connection of its own to every node and sends each request to the first home of
 * its key, as the client library does. One thread. The frames are the ring's own (ring/net). */
#ifndef SGN_BENCH_LOAD_H
#define SGN_BENCH_LOAD_H

#include <stdint.h>

#include "bench/hist.h"
#include "bench/workload.h"
#include "ring/core/ring.h"
#include "ring/net/conn.h"

#define SGN_LOAD_CALLERS_MAX 256u
#define SGN_LOAD_PIDS_MAX    32u

/* What the requests are for, and how strong they are. May change between windows. */
struct sgn_load_target {
    const char *bucket;
    uint32_t kind;                      /* enum sgn_bucket_kind */
    uint32_t read_mode;                 /* enum sgn_read_mode */
    uint32_t read_copies, write_copies; /* 0: as the bucket says. */
};

struct sgn_load_options {
    const char *seeds; /* "127.0.0.1:7301,..." */
    struct sgn_load_target target;
    char workload;
    enum sgn_load_spread spread;
    uint32_t callers, seconds;
    uint64_t keys;
    uint32_t value_bytes;
    uint64_t seed;
};

struct sgn_load_result {
    struct sgn_hist reads, writes; /* Lists and read-modify-writes count as reads and as writes. */
    uint64_t errors;               /* Answers with an error, a key not found among them. */
    char first_error[256];         /* Of the first one. */
    double seconds;
    uint32_t request_bytes, reply_bytes; /* Mean frame of each, for an echo of the same bytes. */
    uint64_t server_cpu_ns;              /* All processes in `pids`, over the same time. */
};

struct sgn_load; /* A connected ring. */

/* Connects, fetches the ring. SGN_ERR_*, with a sentence. */
enum sgn_err sgn_load_open(struct sgn_load **load,
                           const struct sgn_load_options *options,
                           struct sgn_why *why);
void sgn_load_close(struct sgn_load *load);
/* From the next call on, requests are for this; the texts are borrowed. */
void sgn_load_aim(struct sgn_load *load, const struct sgn_load_target *target);
/* Makes sure that the target's bucket exists and is of its kind, with the ring's own numbers of
 * copies. SGN_ERR_BUCKET_EXISTS, with a sentence: it is another. */
enum sgn_err sgn_load_bucket(struct sgn_load *load, struct sgn_why *why);
/* Writes keys 0..keys-1 once each. */
enum sgn_err sgn_load_fill(struct sgn_load *load, struct sgn_why *why);
/* Runs the workload with `callers` callers for `seconds`, the first tenth not counted. */
enum sgn_err sgn_load_run(struct sgn_load *load,
                          uint32_t callers,
                          const int *pids,
                          uint32_t pid_count,
                          struct sgn_load_result *result,
                          struct sgn_why *why);
#endif
