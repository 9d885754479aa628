/* client/cli/cli_bulk.h - many requests under way at once, for import and export.
 *
 * bulk_take waits for a free item, the caller begins an operation on its request, bulk_start sends
 * it. Callbacks come on the library's thread and only put the item back, under the lock. */
#ifndef SGN_CLI_BULK_H
#define SGN_CLI_BULK_H

#include <pthread.h>

#include "client/cli/cli.h"

#define BULK_PARALLEL_MAX 256u

struct bulk_item {
    struct bulk *bulk;
    struct sgn_request *request;
    uint8_t key[SGN_LIMIT_KEY_BYTES];
    size_t key_count;
    uint8_t *value; /* Owned; freed when the item is given back. */
    size_t value_count;
    int err;
    bool busy;
};

struct bulk {
    struct cli *cli;
    struct bulk_item *items;
    uint32_t count, busy;
    uint64_t done, failed, bytes; /* bytes: of the values of those that succeeded. */
    int first_exit;               /* Exit code of the first failure. */
    bool hopeless; /* Every further request would fail as one has: the bucket is not there. */
    bool keep;     /* Results are looked at by the caller: items stay with it until bulk_give. */
    struct cli_progress bar;
    pthread_mutex_t lock;
    pthread_cond_t freed;
};

/* False and a sentence when the client cannot be made. */
bool bulk_init(struct bulk *bulk, struct cli *cli, uint32_t parallel, const char *what);
/* A free item; waits for one. */
struct bulk_item *bulk_take(struct bulk *bulk);
/* Puts back an item that was not started. */
void bulk_give(struct bulk *bulk, struct bulk_item *item);
/* Sends the item's request. Its failure is counted, and told for the first few. */
void bulk_start(struct bulk *bulk, struct bulk_item *item);
/* Whether to go on at all. */
bool bulk_is_hopeless(struct bulk *bulk);
/* Waits until nothing is under way. */
void bulk_finish(struct bulk *bulk);
void bulk_clear(struct bulk *bulk);

#endif
