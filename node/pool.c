#include "node/pool.h"

#include <stddef.h>
#include <stdlib.h>

#include "ring/core/check.h"

/* Before every block, and as wide as the strictest alignment, so that the block keeps malloc's. */
union head {
    uint64_t bytes;
    max_align_t align;
};

static void *pool_get(struct sgn_pool *base, size_t bytes)
{
    struct sgn_node_pool *pool = (struct sgn_node_pool *)base;
    size_t whole = bytes + sizeof(union head);
    union head *head = NULL;
    if (whole > bytes && whole <= pool->bytes_max - pool->bytes) {
        head = malloc(whole);
    }
    if (head == NULL) {
        pool->refused++;
        return NULL;
    }
    head->bytes = whole;
    pool->bytes += whole;
    return head + 1;
}

static void pool_put(struct sgn_pool *base, void *ptr)
{
    struct sgn_node_pool *pool = (struct sgn_node_pool *)base;
    if (ptr == NULL) {
        return;
    }
    union head *head = (union head *)ptr - 1;
    SGN_ASSERT(head->bytes <= pool->bytes);
    pool->bytes -= head->bytes;
    free(head);
}

void sgn_node_pool_init(struct sgn_node_pool *pool, uint64_t bytes_max)
{
    *pool = (struct sgn_node_pool){.pool = {pool_get, pool_put}, .bytes_max = bytes_max};
}
