/* node/metrics.h - counts and latencies of requests, by operation and result. Plain data. */
#ifndef SGN_NODE_METRICS_H
#define SGN_NODE_METRICS_H

#include <stdint.h>

#include "ring/core/msg.h"

#define SGN_LATENCY_BUCKETS 17u /* 50 us to 10 s in steps of 1-2-5; more is only in the count. */
#define SGN_METRIC_ERRORS   32u /* Codes 0 .. -31. */

/* X(message, label): the operations counted apart. */
#define SGN_METRIC_OPS(X)                                                                          \
    X(GET, "get")                                                                                  \
    X(PUT, "put")                                                                                  \
    X(DEL, "del")                                                                                  \
    X(LIST, "list")                                                                                \
    X(BUCKET_PUT, "bucket_put")                                                                    \
    X(BUCKET_DEL, "bucket_del")                                                                    \
    X(BUCKET_LIST, "bucket_list")                                                                  \
    X(RING, "ring")                                                                                \
    X(STATUS, "status")                                                                            \
    X(REPL_PUT, "repl_put")                                                                        \
    X(REPL_GET, "repl_get")                                                                        \
    X(REPL_LIST, "repl_list")                                                                      \
    X(TREE_ROOTS, "tree_roots")

enum sgn_metric_op {
#define SGN_METRIC_OP_ENUM(message, label) SGN_METRIC_##message,
    SGN_METRIC_OPS(SGN_METRIC_OP_ENUM)
#undef SGN_METRIC_OP_ENUM
        SGN_METRIC_OP_COUNT,
};

struct sgn_metrics {
    uint64_t results[SGN_METRIC_OP_COUNT][SGN_METRIC_ERRORS];
    uint64_t buckets[SGN_METRIC_OP_COUNT][SGN_LATENCY_BUCKETS];
    uint64_t sum_us[SGN_METRIC_OP_COUNT];
    uint64_t count[SGN_METRIC_OP_COUNT];
    uint64_t sends_failed;    /* Messages to peers that could not be queued. */
    uint64_t replies_dropped; /* Answers whose session had gone. */
    uint64_t sessions_refused, sessions_accepted;
};

extern const char *const sgn_metric_op_names[SGN_METRIC_OP_COUNT];
extern const uint32_t sgn_latency_bounds_us[SGN_LATENCY_BUCKETS];

/* Counts one answered request; a type that is not in the table is not counted. */
void sgn_metrics_request(struct sgn_metrics *metrics, uint32_t type, int err, uint64_t took_us);

#endif
