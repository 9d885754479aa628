/* tests/model/mc.h - a small explicit-state model checker: breadth first, so that a counterexample
 * is a shortest one.
 *
 * A model is a set of states of a fixed size without pointers and without padding, an initial one,
 * and a function that emits every successor of a state. A successor may carry the name of the
 * property it violates; the search ends there and the run's trace is printed.
 *
 * States are told apart by a 64-bit fingerprint of their canonical form. Two different states with
 * one fingerprint would hide whatever lies behind the second: for 15 million states that happens
 * with a probability of about one in 100,000. Only the states of the current and of the next level
 * are kept; of all others their fingerprint, their parent and the number of the step that led to
 * them, from which a trace is replayed.
 *
 * Threads: one run at a time in a process (mc_mutant is global). */
#ifndef SGN_TESTS_MC_H
#define SGN_TESTS_MC_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sgn_mc_run;

enum sgn_mc_expect {
    SGN_MC_HOLDS,    /* Every reachable state is visited, none is wrong. */
    SGN_MC_CUT,      /* None is wrong among the first `states_limit`: too many to visit all. */
    SGN_MC_CAUGHT,   /* A mutant: a wrong state is found. */
    SGN_MC_SURVIVES, /* A mutant that does no harm in this configuration; every state is visited. */
};

/* One entry of a model's plan: a configuration, and the rule broken in it (0: none).
 *
 * A mutant is n for M n of protocol.md 11, 100 * k + n for further ways to break the same rule
 * (printed M n with the letter b, c ...), 1000 + n for a rule of ours that the list has not (X n).
 * */
struct sgn_mc_case {
    const char *config;
    int mutant;
    uint32_t states_limit;
    enum sgn_mc_expect expect;
};

struct sgn_mc_model {
    const char *name;
    size_t state_bytes;
    const struct sgn_mc_case *plan;
    const uint32_t *plan_count;
    bool (*configure)(const char *config); /* False if there is none of that name. */
    void (*init)(void *state);
    void (*expand)(const void *state, struct sgn_mc_run *run);
    /* Replaces a state by the representative of its symmetry class. NULL: each has its own. */
    void (*canon)(void *state);
    void (*print)(const void *state);
};

extern int sgn_mc_mutant;
#define MUTANT(n) (sgn_mc_mutant == (n))

struct sgn_mc_result {
    bool complete;         /* Every reachable state was visited. */
    const char *violation; /* NULL: none found. */
    uint32_t states, depth;
    double seconds; /* Of processor time. */
};

/* Called by expand for each successor. `violation` NULL: none. The label says what happened. */
void sgn_mc_emit(struct sgn_mc_run *run,
                 const void *next,
                 const char *violation,
                 const char *label,
                 ...) __attribute__((format(printf, 4, 5)));
void sgn_mc_emit_args(struct sgn_mc_run *run,
                      const void *next,
                      const char *violation,
                      const char *label,
                      va_list arguments);

/* Searches until a violation, the end, `states_limit` states or `seconds_limit`. Prints a trace
 * when `trace`. The model must have been configured. */
struct sgn_mc_result sgn_mc_search(const struct sgn_mc_model *model,
                                   uint32_t states_limit,
                                   double seconds_limit,
                                   bool trace);

extern const struct sgn_mc_model sgn_model_ring;
extern const struct sgn_mc_model sgn_model_floor;
extern const struct sgn_mc_model sgn_model_floor_map;
extern const struct sgn_mc_model sgn_model_once;
extern const struct sgn_mc_model sgn_model_once_rounds;
extern const struct sgn_mc_model sgn_model_register;

#endif
