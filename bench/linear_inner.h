/* bench/linear_inner.h - between the parts of the checker: the operations of one key as steps of a
 * register, the search for an order of them, and the search for a small explanation.
 *
 * A step takes one of four forms. What an operation wrote but nobody ever mentions is one state,
 * UNSEEN: no answer can tell two such values apart.
 *
 *   READ a       the state is a              get; a rejected cas that was told what it met
 *   NOT a        the state is not a          rejected cas
 *   SET b        the state becomes b         put, del
 *   SWAP a b     it was a and becomes b      cas */
#ifndef SGN_BENCH_LINEAR_INNER_H
#define SGN_BENCH_LINEAR_INNER_H

#include "bench/linear.h"

enum sgn_linear_form { SGN_LINEAR_READ, SGN_LINEAR_NOT, SGN_LINEAR_SET, SGN_LINEAR_SWAP };

#define SGN_LINEAR_STATE_ABSENT 0u
#define SGN_LINEAR_STATE_UNSEEN 1u
#define SGN_LINEAR_STATE_FIRST  2u /* The first state that somebody mentions. */

struct sgn_linear_step {
    uint64_t invoke_ns, return_ns;
    enum sgn_linear_form form;
    uint32_t a, b;
    bool optional; /* May be left out, and never has to be placed by its return. */
    bool alone;    /* No other step does the same. */
};

/* Which operation writes a value. */
struct sgn_linear_writers {
    const struct sgn_history *history;
    uint64_t *slots; /* 1 + position of the writer; 0 is free. */
    size_t slot_count;
};

/* What the judging of any key needs; `state_of` is by the writer's position in the history. */
struct sgn_linear_desk {
    const struct sgn_history *history;
    struct sgn_linear_writers writers;
    uint32_t *state_of;
    struct sgn_linear_step *steps;
};

/* A part of one key's operations: positions by invocation, and a time beyond which the history is
 * not known: what had not returned by then is unknown, what had not begun is not there. */
struct sgn_linear_part {
    const size_t *at;
    size_t count;
    uint64_t cut_ns;
};

#define SGN_LINEAR_NO_WRITER SIZE_MAX

/* Position of the operation that wrote the value, or SGN_LINEAR_NO_WRITER. */
size_t sgn_linear_writer(const struct sgn_linear_writers *writers, uint64_t value);

/* The value an operation names as having been there: what a get read, what an applied cas expected,
 * what a rejected one met. False: it names none. */
bool sgn_linear_mention(const struct sgn_operation *op, uint64_t *value);

/* Can the key of `op` hold the value before `cut_ns`? Nothing it always can. */
bool sgn_linear_alive(const struct sgn_linear_desk *desk,
                      const struct sgn_operation *op,
                      uint64_t value,
                      uint64_t cut_ns);

/* Looks for an order. `values` states exist; `states_max` may be remembered, `*states` counts. */
enum sgn_linear_verdict sgn_linear_search(const struct sgn_linear_step *steps,
                                          uint32_t count,
                                          uint32_t values,
                                          uint64_t states_max,
                                          uint64_t *states);

/* Makes the steps of a part, which passed the quick checks, and searches. */
enum sgn_linear_verdict sgn_linear_judge(struct sgn_linear_desk *desk,
                                         const struct sgn_linear_part *part,
                                         uint64_t states_max,
                                         uint64_t *states);

/* Given a part that is a violation, fills `shown` of the report with a small one inside it. */
void sgn_linear_explain(struct sgn_linear_desk *desk,
                        const struct sgn_linear_part *part,
                        struct sgn_linear_report *report);

#endif
