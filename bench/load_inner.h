/* bench/load_inner.h - what load.c (the callers and the clock) and load_open.c (connections, the
 * ring, single requests) share. */
#ifndef SGN_BENCH_LOAD_INNER_H
#define SGN_BENCH_LOAD_INNER_H

#include "bench/load.h"

struct event_base;

#define SGN_LOAD_NODES_MAX 64u

struct sgn_caller {
    struct sgn_load *load;
    struct sgn_conn *conns[SGN_LOAD_NODES_MAX]; /* By member index. */
    uint32_t ready;                             /* Connections whose HELLO was answered. */
    uint32_t request;                           /* Number of the one under way. */
    uint64_t began_ns;
    uint64_t key;
    enum sgn_load_op op;
    bool modify_writes; /* The second half of a read-modify-write. */
    bool busy;
};

enum sgn_load_phase { SGN_LOAD_IDLE, SGN_LOAD_ONE, SGN_LOAD_FILL, SGN_LOAD_RUN };

struct sgn_load {
    struct sgn_load_options options;
    struct event_base *base;
    struct sgn_wire *wire;
    struct sgn_ring ring;
    bool have_ring;
    struct sgn_caller callers[SGN_LOAD_CALLERS_MAX];
    uint32_t caller_count;
    struct sgn_workload workload;
    enum sgn_load_phase phase;
    uint64_t stamp; /* The ring's clock as far as answers told it: every write carries one. */
    uint64_t fill_next, fill_done;
    uint64_t count_from_ns, stop_ns;
    struct sgn_load_result *result;
    struct sgn_msg one; /* SGN_LOAD_ONE: err and what is copied out of the answer. */
    uint8_t one_value[SGN_RING_BYTES_MAX];
    enum sgn_err failed;
    struct sgn_why failed_why;
    uint8_t *value;
};

/* load_open.c. fail: ends the loop; the first failure is the one told. */
void sgn_load_fail(struct sgn_load *load, enum sgn_err err, const char *text);
/* Runs the loop until `done` says so, a failure, or a few seconds are up. */
enum sgn_err sgn_load_wait(struct sgn_load *load,
                           bool (*done)(const struct sgn_load *),
                           struct sgn_why *why);
enum sgn_err sgn_load_connect(struct sgn_load *load, uint32_t callers, struct sgn_why *why);

/* load.c: an answer to a caller of a fill or a run. */
void sgn_load_answered(struct sgn_caller *caller, const struct sgn_msg *msg);

#endif
