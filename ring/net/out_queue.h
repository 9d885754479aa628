/* ring/net/out_queue.h - bytes on their way out: a list of blocks, written with one call.
 *
 * Small messages share blocks; one that is larger than a block gets its own. Nothing is moved
 * once it is in. Owns its blocks, and gives empty ones back to a cache that the queues of a loop
 * share. */
#ifndef SGN_NET_OUT_QUEUE_H
#define SGN_NET_OUT_QUEUE_H

#include <stdint.h>

#include "ring/core/bytes.h"

#define SGN_OUT_BLOCK_BYTES (16u << 10)
#define SGN_OUT_CACHE_MAX   64u /* Empty blocks kept for reuse: 1 MiB. */

struct sgn_out_block;

struct sgn_out_cache {
    struct sgn_out_block *free_list;
    uint32_t count;
};

struct sgn_out_queue {
    struct sgn_out_block *head, *tail;
    size_t bytes; /* Queued and not yet written. */
    struct sgn_out_cache *cache;
};

/* Room of at least `bytes` in one piece, as a sink; cap 0 if out of memory. What is written into it
 * counts from sgn_out_commit on; reserving again without that forgets it. */
struct sgn_sink sgn_out_reserve(struct sgn_out_queue *queue, size_t bytes);
void sgn_out_commit(struct sgn_out_queue *queue, size_t bytes);

/* Writes what the socket takes, in one call. 0, or errno (EAGAIN: it takes no more now). */
int sgn_out_write(struct sgn_out_queue *queue, int fd, size_t *written);

void sgn_out_clear(struct sgn_out_queue *queue);
void sgn_out_cache_clear(struct sgn_out_cache *cache);

#endif
