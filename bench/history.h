/* bench/history.h - what clients asked of a ring and what they were told: the input of the checker.
 *
 * Keys and values are numbers here. A history read from a file keeps the texts it met, number n
 * being the n-th text; one recorded in this program needs no texts: its keys are printed k0, k1 ...
 * and its values v1, v2 ... The format of the file is described in docs/history.md.
 *
 * Owns: the operations and the texts, on the heap, until sgn_history_clear.
 * Units, threads, failure: *_ns is nanoseconds of one monotonic clock; one thread at a time;
 * functions that need memory say false when there is none. */
#ifndef SGN_BENCH_HISTORY_H
#define SGN_BENCH_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "ring/core/bytes.h"
#include "ring/net/why.h"

#define SGN_HISTORY_ABSENT   UINT64_C(0) /* The value of a key that holds nothing. */
#define SGN_HISTORY_UNTOLD   UINT64_MAX  /* A rejected cas that was not told what stood there. */
#define SGN_HISTORY_OPS_MAX  (UINT64_C(1) << 26)
#define SGN_HISTORY_TEXT_MAX 4096u /* Bytes of one key or value. */
#define SGN_HISTORY_LINE_BYTES                                                                     \
    (6 * 3 * SGN_HISTORY_TEXT_MAX + 1024) /* Escaped, the longest line. */

enum sgn_history_op {
    SGN_HISTORY_GET,
    SGN_HISTORY_PUT,
    SGN_HISTORY_DEL,
    SGN_HISTORY_CAS /* Conditional: with value ABSENT a delete, with expect ABSENT a creation. */
};

enum sgn_history_outcome {
    SGN_HISTORY_OK,
    SGN_HISTORY_REJECTED, /* A cas only: it met something else than `expect`, and did nothing. */
    SGN_HISTORY_UNKNOWN,  /* It may take effect once, at any time after its invocation, or never. */
    SGN_HISTORY_FAIL      /* It had and will have no effect. */
};

struct sgn_operation {
    uint64_t process; /* Has one operation at a time; after an unknown one it is not used again. */
    uint64_t key;
    uint64_t expect; /* cas: what must stand there. */
    uint64_t value;  /* put and cas: what is written. No two operations write the same. */
    uint64_t output; /* get: what was read. Rejected cas: what stood there, or UNTOLD. */
    uint64_t invoke_ns;
    uint64_t return_ns; /* Of an unknown operation: when its client stopped waiting. */
    enum sgn_history_op op;
    enum sgn_history_outcome outcome;
};

struct sgn_history_texts {
    char **text;     /* text[n - 1] is the text of number n. */
    uint64_t *slots; /* Open addressing over the texts; 0 is free. */
    size_t count, cap, slot_count;
};

struct sgn_history {
    struct sgn_operation *ops;
    size_t count, cap;
    struct sgn_history_texts keys, values; /* Empty if the history was recorded here. */
};

/* Appends a copy of `op`. False: no memory, or SGN_HISTORY_OPS_MAX of them. */
bool sgn_history_add(struct sgn_history *history, const struct sgn_operation *op)
    __attribute__((warn_unused_result));

void sgn_history_clear(struct sgn_history *history);

/* The number of a text, from 1; a new text is copied. 0: no memory. */
uint64_t sgn_history_number(struct sgn_history_texts *texts, struct sgn_bytes text);

/* One operation for a person: `process 3  cas k1 v4 -> v9  rejected  [12.345 ms, 12.901 ms]`.
 * Times are counted from `origin_ns`. Cut to `cap` bytes with its NUL. */
void sgn_history_describe(const struct sgn_history *history,
                          const struct sgn_operation *op,
                          uint64_t origin_ns,
                          char *out,
                          size_t cap);

/* The text of a key or value. Numbers without a text are written to `spare` (24 bytes). */
const char *sgn_history_key_text(const struct sgn_history *history, uint64_t key, char *spare);
const char *sgn_history_value_text(const struct sgn_history *history, uint64_t value, char *spare);

/* Writes one line, with its newline. False: the stream failed. */
bool sgn_history_write_line(const struct sgn_history *history,
                            const struct sgn_operation *op,
                            FILE *out) __attribute__((warn_unused_result));

/* Reads a whole file into an empty history. False: `why` says file, line and what is wrong there;
 * the history is then cleared. Lines without any text are passed over. `name` is for messages. */
bool sgn_history_read(struct sgn_history *history, FILE *in, const char *name, struct sgn_why *why)
    __attribute__((warn_unused_result));

const char *sgn_history_op_name(enum sgn_history_op op);
const char *sgn_history_outcome_name(enum sgn_history_outcome outcome);

#endif
