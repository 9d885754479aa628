/* tests/sim/sim_start.h - what both simulators start an engine with: memory that may be refused,
 * and what lies on its disk. */
#ifndef SGN_TESTS_SIM_START_H
#define SGN_TESTS_SIM_START_H

#include "ring/core/engine.h"
#include "ring/core/prng.h"

struct sim_disk;

struct sim_pool {
    struct sgn_pool pool; /* First: the engine hands this pointer back. */
    struct sgn_prng *prng;
    const bool *healing; /* Of the world: nothing is refused any more. */
    uint32_t refuse_pm;
    uint64_t in_use;
    bool starting; /* Refuses nothing: a daemon that cannot read its state ends with a sentence. */
};

/* A pool that is starting. */
struct sim_pool sim_pool_of(struct sgn_prng *prng, const bool *healing, uint32_t refuse_pm);
/* NULL, or the name of what the engine does not take. */
const char *sim_restore(struct sgn_engine *engine, const struct sim_disk *disk);

#endif
