/* node/pool.h - the engine's memory for values: malloc under a limit.
 * Threads: the loop's thread. */
#ifndef SGN_NODE_POOL_H
#define SGN_NODE_POOL_H

#include "ring/core/engine.h"

struct sgn_node_pool {
    struct sgn_pool pool; /* First: the engine hands back a pointer to it. */
    uint64_t bytes_max;
    uint64_t bytes; /* Given out now. */
    uint64_t refused;
};

void sgn_node_pool_init(struct sgn_node_pool *pool, uint64_t bytes_max);

#endif
