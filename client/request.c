/* client/request.c - requests as their users handle them: set up, run, start, cancel. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/inner.h"

bool sgn_request_is_mine(const struct sgn_request *request)
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

void sgn_request_reset(struct sgn_request *request)
{
    if (sgn_setup_begin(request, SGN_OP_NONE)) {
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
    if (!sgn_request_is_mine(request)) {
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
    free(request->map);
    pthread_mutex_destroy(&request->mutex);
    pthread_cond_destroy(&request->cond);
    free(request);
}
