/* tests/sim/ord_mutants.h - the rules that can be broken on purpose (ring/core/mutant.h), what kind
 * of seed shows each, and the run that must catch them all. */
#ifndef SGN_TESTS_ORD_MUTANTS_H
#define SGN_TESTS_ORD_MUTANTS_H

#include "ring/core/prng.h"

struct ord_options;

#define ORD_MUTANT_SEEDS 2000u

/* Turns the seed to what the mutant needs: the faults without which its rule does not matter. */
void ord_mutant_shape(struct ord_options *options,
                      int mutant,
                      struct sgn_prng *prng,
                      const unsigned *strongest);

/* Runs the mutants `from` to `to`, each until a seed fails, first those that `killers` names for it
 * (a file of lines "number seed", may be NULL), and prints a table. How many were not caught. */
int ord_mutants_run(int from, int to, const char *killers);

#endif
