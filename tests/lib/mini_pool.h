/* tests/lib/mini_pool.h - the pool of the test driver: malloc, counted, refusing when told to.
 * Part of tests/lib/mini_ring.c. */
#ifndef SGN_TESTS_MINI_POOL_H
#define SGN_TESTS_MINI_POOL_H

#include <stddef.h>
#include <stdlib.h>

#include "tests/lib/mini_ring.h"

static void *pool_get(struct sgn_pool *pool, size_t bytes)
{
    struct mini_ring *ring = (struct mini_ring *)((char *)pool - offsetof(struct mini_ring, pool));
    if (ring->pool_refuses) {
        return NULL;
    }
    ring->pool_live++;
    return malloc(bytes);
}

static void pool_put(struct sgn_pool *pool, void *ptr)
{
    struct mini_ring *ring = (struct mini_ring *)((char *)pool - offsetof(struct mini_ring, pool));
    ring->pool_live--;
    free(ptr);
}

#endif
