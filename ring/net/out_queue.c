#include "ring/net/out_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "ring/core/check.h"

#define PIECES_MAX 32u /* Blocks in one write. */

struct sgn_out_block {
    struct sgn_out_block *next;
    size_t cap, count, sent;
    uint8_t bytes[];
};

static struct sgn_out_block *block_get(struct sgn_out_cache *cache, size_t bytes)
{
    if (bytes <= SGN_OUT_BLOCK_BYTES && cache->free_list != NULL) {
        struct sgn_out_block *block = cache->free_list;
        cache->free_list = block->next;
        cache->count--;
        block->next = NULL;
        block->count = 0;
        block->sent = 0;
        return block;
    }
    size_t cap = bytes <= SGN_OUT_BLOCK_BYTES ? SGN_OUT_BLOCK_BYTES : bytes;
    struct sgn_out_block *block = malloc(sizeof(*block) + cap);
    if (block != NULL) {
        *block = (struct sgn_out_block){.cap = cap};
    }
    return block;
}

static void block_put(struct sgn_out_cache *cache, struct sgn_out_block *block)
{
    if (block->cap != SGN_OUT_BLOCK_BYTES || cache->count >= SGN_OUT_CACHE_MAX) {
        free(block);
        return;
    }
    block->next = cache->free_list;
    cache->free_list = block;
    cache->count++;
}

struct sgn_sink sgn_out_reserve(struct sgn_out_queue *queue, size_t bytes)
{
    struct sgn_out_block *tail = queue->tail;
    if (tail == NULL || tail->cap - tail->count < bytes) {
        struct sgn_out_block *block = block_get(queue->cache, bytes);
        if (block == NULL) {
            return sgn_sink_of(NULL, 0);
        }
        if (tail == NULL) {
            queue->head = block;
        } else {
            tail->next = block;
        }
        queue->tail = block;
        tail = block;
    }
    return sgn_sink_of(tail->bytes + tail->count, tail->cap - tail->count);
}

void sgn_out_commit(struct sgn_out_queue *queue, size_t bytes)
{
    SGN_ASSERT(queue->tail != NULL);
    SGN_ASSERT(bytes <= queue->tail->cap - queue->tail->count);
    queue->tail->count += bytes;
    queue->bytes += bytes;
}

/* Takes written bytes off the front, and with them every block that is done. */
static void queue_advance(struct sgn_out_queue *queue, size_t written)
{
    SGN_ASSERT(written <= queue->bytes);
    queue->bytes -= written;
    while (queue->head != NULL) {
        struct sgn_out_block *block = queue->head;
        size_t left = block->count - block->sent;
        size_t taken = written < left ? written : left;
        block->sent += taken;
        written -= taken;
        if (block->sent < block->count) {
            break;
        }
        queue->head = block->next;
        block_put(queue->cache, block);
    }
    if (queue->head == NULL) {
        queue->tail = NULL;
    }
    SGN_ASSERT(written == 0);
}

int sgn_out_write(struct sgn_out_queue *queue, int fd, size_t *written)
{
    struct iovec pieces[PIECES_MAX];
    size_t count = 0;
    *written = 0;
    for (struct sgn_out_block *block = queue->head; block != NULL && count < PIECES_MAX;
         block = block->next) {
        pieces[count].iov_base = block->bytes + block->sent;
        pieces[count].iov_len = block->count - block->sent;
        count++;
    }
    if (count == 0) {
        return 0;
    }
    ssize_t sent;
    do {
        if (count == 1) { /* By far the most frequent, and cheaper for the kernel. */
            sent = send(fd, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL);
        } else {
            struct msghdr header = {.msg_iov = pieces, .msg_iovlen = count};
            sent = sendmsg(fd, &header, MSG_NOSIGNAL);
        }
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        return errno == EWOULDBLOCK ? EAGAIN : errno;
    }
    *written = (size_t)sent;
    queue_advance(queue, (size_t)sent);
    return 0;
}

void sgn_out_clear(struct sgn_out_queue *queue)
{
    while (queue->head != NULL) {
        struct sgn_out_block *block = queue->head;
        queue->head = block->next;
        block_put(queue->cache, block);
    }
    queue->tail = NULL;
    queue->bytes = 0;
}

void sgn_out_cache_clear(struct sgn_out_cache *cache)
{
    while (cache->free_list != NULL) {
        struct sgn_out_block *block = cache->free_list;
        cache->free_list = block->next;
        free(block);
    }
    cache->count = 0;
}
