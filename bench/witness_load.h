/* bench/witness_load.h - what a witness can answer: in memory, and over sockets to a real
 * signet-witness whose processor time is counted. */
#ifndef SGN_BENCH_WITNESS_LOAD_H
#define SGN_BENCH_WITNESS_LOAD_H

#include "ring/core/witness.h"
#include "ring/net/why.h"

#define SGN_WITNESS_LOAD_BATCHES 256u /* Prepared before the clock runs, taken in turn. */
#define SGN_WITNESS_LOAD_ID      (SGN_WITNESS_BIT | 1u)
#define SGN_WITNESS_LOAD_RING    "bench"

struct sgn_witness_load_options {
    uint32_t partitions;         /* A power of two. */
    uint32_t keys;               /* Marked, and not settled while the load runs. */
    uint32_t batch;              /* Asks of a message, at most SGN_WITNESS_BATCH_MAX. */
    uint32_t connections, depth; /* Messages under way on each. */
    uint32_t seconds;
    const char *program; /* A signet-witness; NULL: the memory part alone. */
};

enum sgn_witness_load_kind {
    SGN_WITNESS_LOAD_MISS, /* Checks of keys without a mark: what nearly all reads ask. */
    SGN_WITNESS_LOAD_HIT,  /* Checks of marked keys. */
    SGN_WITNESS_LOAD_MIX,  /* Of ten: eight checks, a mark, the settle of it one batch later. */
    SGN_WITNESS_LOAD_MARK, /* A mark and its settle in turn. */
    SGN_WITNESS_LOAD_KINDS,
};
extern const char *const sgn_witness_load_names[SGN_WITNESS_LOAD_KINDS];

/* Requests as frames carry them, in memory of their own. */
struct sgn_witness_work {
    struct sgn_witness_load_options options;
    uint32_t incarnation;
    uint8_t *map_raw, *asks_raw, *marks_raw, *seed_raw;
    struct sgn_bytes map;
    struct sgn_bytes seed; /* All partitions' empty sets. */
    uint32_t mark_batches; /* Of up to SGN_WITNESS_BATCH_MAX marks, one behind another. */
    struct sgn_bytes batches[SGN_WITNESS_LOAD_KINDS][SGN_WITNESS_LOAD_BATCHES];
};

/* False with a sentence if out of memory. */
bool sgn_witness_work_make(struct sgn_witness_work *work,
                           const struct sgn_witness_load_options *options,
                           uint32_t incarnation,
                           struct sgn_why *why);
void sgn_witness_work_clear(struct sgn_witness_work *work);
/* The marks of the keys, batch i of mark_batches. */
struct sgn_bytes sgn_witness_work_marks(const struct sgn_witness_work *work, uint32_t i);

struct sgn_witness_rate {
    uint64_t asks;
    double seconds, cpu_seconds;
    uint64_t bad; /* Answers that say less than OK. */
};

/* Asks of one kind, straight into sgn_witness_step. */
bool sgn_witness_load_memory(const struct sgn_witness_load_options *options, struct sgn_why *why);
/* The same over sockets. */
bool sgn_witness_load_wire(const struct sgn_witness_load_options *options, struct sgn_why *why);

/* "kv-bench witness ...": the exit status. argv[0] is the command. */
int sgn_witness_load_main(int argc, char **argv);

/* Counts tells of an answer that are not OK. */
uint64_t sgn_witness_load_bad(struct sgn_bytes tells);
void sgn_witness_load_row(const char *where, const char *what, const struct sgn_witness_rate *rate);

#endif
