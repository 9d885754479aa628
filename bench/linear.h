/* bench/linear.h - is a history one that a single register per key could have produced?
 *
 * Each key is judged by itself (linearizability is local: Herlihy and Wing, TOPLAS 1990). For one
 * key the search of Wing and Gong with the memory of Lowe ("Testing for linearizability", 2017)
 * looks for an order of the operations that respects real time and in which every answer is that of
 * a register with compare-and-set and delete, absent at first. An unknown operation may stand
 * anywhere after its invocation, or nowhere; a failed one stands nowhere.
 *
 * The search remembers the sets of operations it has placed by 128-bit hashes. Two sets that
 * collided could hide an order and so raise a false alarm, never hide a violation; with the bound
 * below the chance is under 2^-80.
 *
 * Limits: SGN_LINEAR_*. A key that passes one is GAVE_UP, which is not an acquittal.
 * Owns: nothing between calls. Any thread; blocks for as long as it computes. */
#ifndef SGN_BENCH_LINEAR_H
#define SGN_BENCH_LINEAR_H

#include "bench/history.h"

#define SGN_LINEAR_KEY_OPS_MAX UINT64_C(4000000)    /* Operations on one key. */
#define SGN_LINEAR_OPEN_MAX    65535u               /* Unknown ones of these. */
#define SGN_LINEAR_STATES_MAX  UINT64_C(2000000)    /* Remembered beside one for each operation. */
#define SGN_LINEAR_VISITS_MAX  UINT64_C(2000000000) /* Looks at an operation, for one key. */
#define SGN_LINEAR_SHOWN_MAX   32u                  /* Operations of an explanation. */

enum sgn_linear_verdict {
    SGN_LINEAR_OK,
    SGN_LINEAR_VIOLATION,
    SGN_LINEAR_GAVE_UP,
    SGN_LINEAR_MALFORMED /* Not a history: a value is written twice, a rejected put ... */
};

struct sgn_linear_report {
    enum sgn_linear_verdict verdict;
    const char *reason; /* A sentence without full stop; "" if all is well. */
    uint64_t key;       /* The key it is about, unless all is well. */
    uint64_t keys;      /* Judged. */
    uint64_t gave_up;   /* Of those, keys that passed a limit. */
    uint64_t states;    /* Remembered in all. */
    /* The operations that show it, as positions in the history, by invocation: a small set that is
     * in itself a violation, or the last ones of it. */
    size_t shown[SGN_LINEAR_SHOWN_MAX];
    uint32_t shown_count;
    uint64_t shown_of; /* How many there are in the set. */
};

/* Judges the whole history. The first violation ends the work; a key that was given up does not.
 * Also GAVE_UP when there is no memory. */
enum sgn_linear_verdict sgn_linear_check(const struct sgn_history *history,
                                         struct sgn_linear_report *report);

/* The report for a person, several lines. */
void sgn_linear_print(const struct sgn_history *history,
                      const struct sgn_linear_report *report,
                      FILE *out);

#endif
