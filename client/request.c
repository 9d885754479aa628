/* client/request.c - requests as their users handle them: set up, run, start, cancel. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/inner.h"

/* Two headers say the same numbers, each in its own words. */
/* NOLINTBEGIN(misc-redundant-expression) */
_Static_assert(SGN_LIMIT_KEY_BYTES == SGN_KEY_BYTES_MAX, "the public limits are the ring's");
_Static_assert(SGN_LIMIT_BUCKET_BYTES == SGN_BUCKET_BYTES_MAX, "the public limits are the ring's");
_Static_assert(SGN_LIMIT_VALUE_BYTES == SGN_VALUE_BYTES_MAX, "the public limits are the ring's");
/* NOLINTEND(misc-redundant-expression) */

static bool is_mine(struct sgn_request *request)
{
    int state = atomic_load(&request->state);
    return state == SGN_REQ_IDLE ||
           (state == SGN_REQ_DELIVERING && sgn_loop_is_here(request->client));
}

struct sgn_request *sgn_request_create(struct sgn_client *client)
{
    struct sgn_request *request = calloc(1, sizeof(*request));
    if (request != NULL) {
        request->client = client;
        request->heap_index = UINT32_MAX;
        pthread_mutex_init(&request->mutex, NULL);
        pthread_cond_init(&request->cond, NULL);
    }
    return request;
}

/* False while it runs: nothing may be changed then. */
static bool begin(struct sgn_request *request, enum sgn_op op)
{
    if (!is_mine(request)) {
        return false;
    }
    sgn_result_clear(request);
    request->op = op;
    request->setup_err = SGN_OK;
    request->mode = SGN_READ_EVENTUAL;
    request->copies = 0;
    request->has_context = false;
    request->timeout_ms = 0;
    request->pinned = 0;
    request->limit = SGN_PAGE_ITEMS_MAX;
    request->bucket_bytes = 0;
    request->key_bytes = 0;
    request->context_bytes = 0;
    request->after_bytes = 0;
    request->value = sgn_bytes_of(NULL, 0);
    request->hash = 0;
    request->maybe_applied = false;
    request->tried_count = 0;
    request->failed_node = 0;
    request->last_err = SGN_OK;
    request->last_why[0] = '\0';
    return true;
}

static void refuse(struct sgn_request *request, int err, const char *why)
{
    if (request->setup_err == SGN_OK) {
        request->setup_err = err;
        snprintf(request->last_why, sizeof(request->last_why), "%s", why);
    }
}

static void take_bucket(struct sgn_request *request, struct sgn_bytes bucket)
{
    if (!sgn_bucket_name_valid(bucket)) {
        refuse(request,
               SGN_ERR_INVALID,
               "a bucket name is 1..63 of a-z 0-9 . _ - and begins with a letter, digit or _");
        return;
    }
    memcpy(request->bucket, bucket.ptr, bucket.count);
    request->bucket_bytes = (uint32_t)bucket.count;
}

static void take_key(struct sgn_request *request, struct sgn_bytes key)
{
    if (!sgn_key_valid(key)) {
        refuse(request,
               key.count == 0 ? SGN_ERR_INVALID : SGN_ERR_TOO_LARGE,
               "a key is 1..1024 bytes");
        return;
    }
    memcpy(request->key, key.ptr, key.count);
    request->key_bytes = (uint32_t)key.count;
}

static void begin_key(struct sgn_request *request,
                      enum sgn_op op,
                      struct sgn_bytes bucket,
                      struct sgn_bytes key)
{
    if (begin(request, op)) {
        take_bucket(request, bucket);
        take_key(request, key);
    }
}

void sgn_request_reset(struct sgn_request *request)
{
    if (begin(request, SGN_OP_NONE)) {
        free(request->body);
        free(request->items);
        free(request->buckets);
        request->body = NULL;
        request->items = NULL;
        request->buckets = NULL;
        request->body_cap = 0;
        request->item_cap = 0;
        request->bucket_cap = 0;
    }
}

void sgn_request_get(struct sgn_request *request, struct sgn_bytes bucket, struct sgn_bytes key)
{
    begin_key(request, SGN_OP_GET, bucket, key);
}

void sgn_request_stat(struct sgn_request *request, struct sgn_bytes bucket, struct sgn_bytes key)
{
    begin_key(request, SGN_OP_STAT, bucket, key);
}

void sgn_request_put(struct sgn_request *request,
                     struct sgn_bytes bucket,
                     struct sgn_bytes key,
                     struct sgn_bytes value)
{
    if (!is_mine(request)) {
        return;
    }
    begin_key(request, SGN_OP_PUT, bucket, key);
    if (value.count > SGN_VALUE_BYTES_MAX) {
        refuse(request, SGN_ERR_TOO_LARGE, "a value is at most 16777216 bytes");
        return;
    }
    request->value = value;
}

void sgn_request_del(struct sgn_request *request, struct sgn_bytes bucket, struct sgn_bytes key)
{
    begin_key(request, SGN_OP_DEL, bucket, key);
}

void sgn_request_list(struct sgn_request *request, struct sgn_bytes bucket, struct sgn_bytes prefix)
{
    if (!begin(request, SGN_OP_LIST)) {
        return;
    }
    take_bucket(request, bucket);
    if (prefix.count > 0) { /* An empty prefix is every key, an empty key is none. */
        take_key(request, prefix);
    }
}

void sgn_request_bucket_create(struct sgn_request *request,
                               struct sgn_bytes bucket,
                               enum sgn_bucket_kind kind,
                               uint32_t n,
                               uint32_t r,
                               uint32_t w)
{
    if (!begin(request, SGN_OP_BUCKET_CREATE)) {
        return;
    }
    take_bucket(request, bucket);
    if (n > SGN_REPLICAS_MAX || r > SGN_REPLICAS_MAX || w > SGN_REPLICAS_MAX ||
        (kind != SGN_BUCKET_AVAILABLE && kind != SGN_BUCKET_ORDERED)) {
        refuse(request, SGN_ERR_INVALID, "a bucket has a kind, and n, r and w of at most 7");
        return;
    }
    request->props_kind = (uint64_t)kind;
    request->props = sgn_bucket_props_pack((uint32_t)kind, n, r, w);
}

void sgn_request_bucket_delete(struct sgn_request *request, struct sgn_bytes bucket)
{
    if (begin(request, SGN_OP_BUCKET_DELETE)) {
        take_bucket(request, bucket);
    }
}

void sgn_request_bucket_list(struct sgn_request *request)
{
    (void)begin(request, SGN_OP_BUCKET_LIST);
}

void sgn_request_status(struct sgn_request *request, uint32_t node)
{
    if (begin(request, SGN_OP_STATUS)) {
        request->pinned = node;
    }
}

void sgn_request_ring(struct sgn_request *request)
{
    (void)begin(request, SGN_OP_RING);
}

void sgn_request_locate(struct sgn_request *request, struct sgn_bytes bucket, struct sgn_bytes key)
{
    begin_key(request, SGN_OP_LOCATE, bucket, key);
}

/* ---- Settings -------------------------------------------------------------------------------- */

void sgn_request_set_read(struct sgn_request *request, enum sgn_read_mode mode)
{
    if (is_mine(request)) {
        request->mode = mode;
        if (mode != SGN_READ_EVENTUAL && mode != SGN_READ_SESSION && mode != SGN_READ_STRONG) {
            refuse(request, SGN_ERR_INVALID, "a read is eventual, session or strong");
        }
    }
}

void sgn_request_set_copies(struct sgn_request *request, uint32_t copies)
{
    if (is_mine(request)) {
        request->copies = copies;
        if (copies > SGN_REPLICAS_MAX) {
            refuse(request, SGN_ERR_INVALID, "copies are at most 7");
        }
    }
}

void sgn_request_set_context(struct sgn_request *request, struct sgn_bytes context)
{
    if (!is_mine(request)) {
        return;
    }
    struct sgn_vector vector;
    if (context.count > sizeof(request->context) ||
        sgn_context_decode(context, &vector) != SGN_OK) {
        refuse(request, SGN_ERR_INVALID, "the context is not one that a read gave");
        return;
    }
    if (context.count > 0) {
        memcpy(request->context, context.ptr, context.count);
    }
    request->context_bytes = (uint32_t)context.count;
    request->has_context = true;
}

int sgn_request_set_context_text(struct sgn_request *request, const char *text)
{
    uint8_t raw[SGN_CONTEXT_BYTES_MAX];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    if (!is_mine(request)) {
        return SGN_ERR_INVALID;
    }
    if (sgn_text_decode(text, &sink) != SGN_OK) {
        refuse(request, SGN_ERR_INVALID, "the context is not one that a read gave");
    } else {
        sgn_request_set_context(request, sgn_sink_bytes(&sink));
    }
    return request->setup_err;
}

void sgn_request_set_timeout(struct sgn_request *request, uint32_t timeout_ms)
{
    if (is_mine(request)) {
        request->timeout_ms = timeout_ms;
    }
}

void sgn_request_set_node(struct sgn_request *request, uint32_t node)
{
    if (is_mine(request)) {
        request->pinned = node;
    }
}

void sgn_request_set_list_after(struct sgn_request *request, struct sgn_bytes after)
{
    if (!is_mine(request)) {
        return;
    }
    if (after.count > sizeof(request->after)) {
        refuse(request, SGN_ERR_TOO_LARGE, "a list goes on behind a key, of at most 1024 bytes");
        return;
    }
    if (after.count > 0) {
        memcpy(request->after, after.ptr, after.count);
    }
    request->after_bytes = (uint32_t)after.count;
}

void sgn_request_set_list_limit(struct sgn_request *request, uint32_t keys)
{
    if (is_mine(request)) {
        request->limit = keys == 0 ? SGN_PAGE_ITEMS_MAX : keys;
        if (keys > SGN_PAGE_ITEMS_MAX) {
            refuse(request, SGN_ERR_INVALID, "a page has at most 1000 keys");
        }
    }
}

/* ---- Running --------------------------------------------------------------------------------- */

/* What ends a request before it began. Leaves the sentence. */
static int refused(struct sgn_request *request, int err, const char *why)
{
    request->err = err;
    request->last_err = err;
    request->failed_node = 0;
    if (why != NULL) {
        snprintf(request->last_why, sizeof(request->last_why), "%s", why);
    }
    sgn_message_explain(request);
    return err;
}

int sgn_request_start(struct sgn_request *request, sgn_done_fn *done, void *user)
{
    struct sgn_client *client = request->client;
    if (!is_mine(request)) {
        return SGN_ERR_INVALID; /* Its sentence belongs to the run that goes on. */
    }
    if (request->setup_err != SGN_OK) {
        return refused(request, request->setup_err, NULL);
    }
    if (request->op == SGN_OP_NONE) {
        return refused(request, SGN_ERR_INVALID, "no operation was begun");
    }
    if (client->pid != getpid() || atomic_load(&client->stop)) {
        return refused(request, SGN_ERR_INVALID, "the client is of another process, or ending");
    }
    if (atomic_fetch_add(&client->running, 1) >= client->settings.queue_max) {
        atomic_fetch_sub(&client->running, 1);
        atomic_fetch_add(&client->count_busy, 1);
        return refused(request, SGN_ERR_BUSY, "the client has queue_max requests running");
    }
    atomic_fetch_add(&client->count_requests, 1);
    if (request->err != SGN_OK || request->tries > 0) {
        sgn_result_clear(request); /* Run a second time as it was set up. */
        request->maybe_applied = false;
        request->tried_count = 0;
        request->last_err = SGN_OK;
        request->last_why[0] = '\0';
    }
    bool is_here = sgn_loop_is_here(client);
    if (is_here && client->delivering == request) {
        client->delivering = NULL;
    }
    request->done = done;
    request->user = user;
    request->next = NULL;
    request->start_ns = sgn_now_ns();
    atomic_store(&request->cancelled, false);
    atomic_store(&request->state, SGN_REQ_RUNNING);
    pthread_mutex_lock(&client->mutex);
    *(client->inbox_tail == NULL ? &client->inbox_head : &client->inbox_tail->next) = request;
    client->inbox_tail = request;
    bool must_wake = !client->is_woken && !is_here;
    client->is_woken = client->is_woken || must_wake;
    pthread_mutex_unlock(&client->mutex);
    if (must_wake) {
        sgn_loop_wake(client);
    }
    return SGN_OK;
}

static void wait_idle(struct sgn_request *request)
{
    pthread_mutex_lock(&request->mutex);
    while (atomic_load(&request->state) != SGN_REQ_IDLE) {
        pthread_cond_wait(&request->cond, &request->mutex);
    }
    pthread_mutex_unlock(&request->mutex);
}

int sgn_request_run(struct sgn_request *request)
{
    struct sgn_client *client = request->client;
    if (sgn_loop_is_here(client)) {
        return SGN_ERR_INVALID; /* It would wait for itself. What the request holds stays. */
    }
    int err = sgn_request_start(request, NULL, NULL);
    if (err != SGN_OK) {
        return err;
    }
    while (!client->has_thread) {
        (void)sgn_client_dispatch(client, 0);
        if (atomic_load(&request->state) == SGN_REQ_IDLE) {
            break;
        }
        struct pollfd wait = {.fd = sgn_client_fd(client), .events = POLLIN};
        (void)poll(&wait, 1, -1); /* A signal only makes the next dispatch come early. */
    }
    wait_idle(request);
    return request->err;
}

int sgn_request_wait(struct sgn_request *request)
{
    struct sgn_client *client = request->client;
    bool is_idle = atomic_load(&request->state) == SGN_REQ_IDLE;
    if (!is_idle && (!client->has_thread || sgn_loop_is_here(client))) {
        return SGN_ERR_INVALID;
    }
    wait_idle(request);
    return request->err;
}

void sgn_request_cancel(struct sgn_request *request)
{
    if (atomic_load(&request->state) != SGN_REQ_RUNNING) {
        return;
    }
    atomic_store(&request->cancelled, true);
    atomic_store(&request->client->has_cancels, true);
    sgn_loop_wake(request->client);
}

/* On the loop's own thread nobody else would end it: it is ended here, callback and all. */
static void end_here(struct sgn_client *client, struct sgn_request *request)
{
    pthread_mutex_lock(&client->mutex);
    struct sgn_request *before = NULL;
    struct sgn_request *at = client->inbox_head;
    for (; at != NULL && at != request; at = at->next) {
        before = at;
    }
    if (at != NULL) {
        *(before == NULL ? &client->inbox_head : &before->next) = request->next;
        client->inbox_tail = client->inbox_tail == request ? before : client->inbox_tail;
    }
    pthread_mutex_unlock(&client->mutex);
    if (at != NULL) {
        request->err = SGN_ERR_CANCELLED;
    } else {
        if (request->phase != SGN_PHASE_NONE) {
            sgn_attempt_finish(request, SGN_ERR_CANCELLED);
        }
        before = NULL;
        for (at = client->done_head; at != request; at = at->next) {
            before = at;
        }
        *(before == NULL ? &client->done_head : &before->next) = request->next;
        client->done_tail = client->done_tail == request ? before : client->done_tail;
    }
    sgn_loop_deliver(client, request);
}

void sgn_request_destroy(struct sgn_request *request)
{
    if (request == NULL) {
        return;
    }
    struct sgn_client *client = request->client;
    bool is_here = sgn_loop_is_here(client) || !client->has_thread;
    while (atomic_load(&request->state) == SGN_REQ_RUNNING) {
        if (is_here) {
            end_here(client, request);
        } else {
            sgn_request_cancel(request);
            wait_idle(request);
        }
    }
    if (is_here && client->delivering == request) {
        client->delivering = NULL;
    } else if (!is_here) {
        wait_idle(request); /* Its callback is running: until that has returned. */
    }
    sgn_shape_drop(request->shape);
    free(request->body);
    free(request->items);
    free(request->buckets);
    pthread_mutex_destroy(&request->mutex);
    pthread_cond_destroy(&request->cond);
    free(request);
}
