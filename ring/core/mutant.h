/* ring/core/mutant.h - rules that can be broken on purpose.
 *
 * A safety rule that no test misses when it is gone is not tested. Code that keeps a rule of
 * protocol.md 11 asks SGN_MUTANT(n) where mutant n breaks it; the simulator is built with
 * SGN_MUTANTS defined and sets sgn_mutant, every other build sees the constant 0 and no code. */
#ifndef SGN_CORE_MUTANT_H
#define SGN_CORE_MUTANT_H

#ifdef SGN_MUTANTS
extern int sgn_mutant; /* Number of the broken rule, 0: none. Set before the run, by one thread. */
#define SGN_MUTANT(n) (sgn_mutant == (n))
#else
#define SGN_MUTANT(n) 0
#endif

#endif
