#include "client/cli/cli_bulk.h"

#include <stdlib.h>

#define FAILURES_TOLD   5u
#define BULK_TIMEOUT_MS 60000u /* A long job rides out a node that is restarted. */

bool bulk_init(struct bulk *bulk, struct cli *cli, uint32_t parallel, const char *what)
{
    *bulk = (struct bulk){.cli = cli, .count = parallel};
    if (!cli_connect(cli)) {
        return false;
    }
    (void)pthread_mutex_init(&bulk->lock, NULL);
    (void)pthread_cond_init(&bulk->freed, NULL);
    bulk->items = calloc(parallel, sizeof(bulk->items[0]));
    for (uint32_t i = 0; i < parallel && bulk->items != NULL; i++) {
        bulk->items[i].bulk = bulk;
        bulk->items[i].request = cli_request(cli);
        if (bulk->items[i].request == NULL) {
            bulk_clear(bulk);
            return false;
        }
    }
    if (bulk->items == NULL) {
        cli_error(cli, SGN_ERR_NOMEM, "%s", sgn_err_text(SGN_ERR_NOMEM));
        return false;
    }
    cli_progress_begin(&bulk->bar, cli, what, 0);
    return true;
}

struct bulk_item *bulk_take(struct bulk *bulk)
{
    (void)pthread_mutex_lock(&bulk->lock);
    while (bulk->busy == bulk->count) {
        (void)pthread_cond_wait(&bulk->freed, &bulk->lock);
    }
    uint32_t at = 0;
    while (bulk->items[at].busy) {
        at++;
    }
    struct bulk_item *item = &bulk->items[at];
    item->busy = true;
    bulk->busy++;
    bulk->bar.done = bulk->done;
    bulk->bar.bytes = bulk->keep ? bulk->bar.bytes : bulk->bytes;
    (void)pthread_mutex_unlock(&bulk->lock);
    cli_progress_draw(&bulk->bar);
    (void)sgn_request_wait(item->request); /* For the callback that gave it back to return. */
    return item;
}

static void give_locked(struct bulk *bulk, struct bulk_item *item)
{
    free(item->value);
    item->value = NULL;
    item->busy = false;
    bulk->busy--;
    (void)pthread_cond_signal(&bulk->freed);
}

void bulk_give(struct bulk *bulk, struct bulk_item *item)
{
    (void)pthread_mutex_lock(&bulk->lock);
    give_locked(bulk, item);
    (void)pthread_mutex_unlock(&bulk->lock);
}

static void item_done(struct bulk *bulk, struct bulk_item *item, int err)
{
    (void)pthread_mutex_lock(&bulk->lock);
    bulk->done++;
    item->err = err;
    if (err == SGN_OK ||
        (bulk->keep && err == SGN_ERR_NOT_FOUND)) { /* Deleted since it was listed. */
        bulk->bytes += item->value_count;
    } else {
        bool tell = bulk->failed++ < FAILURES_TOLD && !bulk->hopeless;
        bulk->hopeless |= err == SGN_ERR_NO_BUCKET;
        if (tell) {
            (void)cli_request_failed(bulk->cli, item->request);
        }
        bulk->first_exit = bulk->first_exit == 0 ? cli_exit_of(err) : bulk->first_exit;
    }
    if (bulk->keep) {
        bulk->busy--; /* The caller still holds the item. */
        (void)pthread_cond_signal(&bulk->freed);
    } else {
        give_locked(bulk, item);
    }
    (void)pthread_mutex_unlock(&bulk->lock);
}

static void on_done(struct sgn_request *request, int err, void *user)
{
    (void)request;
    struct bulk_item *item = user;
    item_done(item->bulk, item, err);
}

void bulk_start(struct bulk *bulk, struct bulk_item *item)
{
    cli_apply(bulk->cli, item->request);
    if (bulk->cli->timeout_ms == 0) {
        sgn_request_set_timeout(item->request, BULK_TIMEOUT_MS);
    }
    int err = sgn_request_start(item->request, on_done, item);
    if (err != SGN_OK) {
        item_done(bulk, item, err);
    }
}

bool bulk_is_hopeless(struct bulk *bulk)
{
    (void)pthread_mutex_lock(&bulk->lock);
    bool hopeless = bulk->hopeless;
    (void)pthread_mutex_unlock(&bulk->lock);
    return hopeless;
}

void bulk_finish(struct bulk *bulk)
{
    (void)pthread_mutex_lock(&bulk->lock);
    while (bulk->busy > 0) {
        (void)pthread_cond_wait(&bulk->freed, &bulk->lock);
    }
    (void)pthread_mutex_unlock(&bulk->lock);
    cli_progress_end(&bulk->bar);
}

void bulk_clear(struct bulk *bulk)
{
    for (uint32_t i = 0; i < bulk->count && bulk->items != NULL; i++) {
        sgn_request_destroy(bulk->items[i].request);
        free(bulk->items[i].value);
    }
    free(bulk->items);
    bulk->items = NULL;
    (void)pthread_cond_destroy(&bulk->freed);
    (void)pthread_mutex_destroy(&bulk->lock);
}
