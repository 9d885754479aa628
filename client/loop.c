/* client/loop.c - one turn of the client's loop, on the library's thread or inside dispatch.
 *
 * Order of a turn: what the network and the timers bring, new and cancelled requests, those that
 * waited for a link, one write per connection, and last the callbacks. Callbacks only ever run at
 * that place, so nothing of the library is half done when the user's code is called. */
#include <poll.h>
#include <unistd.h>

#include "client/inner.h"
#include "ring/core/check.h"

#define NEVER UINT64_MAX

uint64_t sgn_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void sgn_loop_wake(struct sgn_client *client)
{
    uint64_t one = 1;
    /* Fails only when the counter is at its end, and then the loop is awake. */
    ssize_t written = write(client->wake_fd, &one, sizeof(one));
    (void)written;
}

bool sgn_loop_is_here(struct sgn_client *client)
{
    return atomic_load(&client->in_loop) &&
           pthread_equal(atomic_load(&client->loop_thread), pthread_self());
}

void sgn_loop_arm(struct sgn_client *client, uint64_t when_ns)
{
    if (when_ns >= client->armed_ns) {
        return; /* It fires earlier, and then looks again. */
    }
    uint64_t now_ns = sgn_now_ns();
    uint64_t wait_us = when_ns > now_ns ? (when_ns - now_ns) / 1000 + 1 : 0;
    struct timeval wait = {.tv_sec = (time_t)(wait_us / 1000000),
                           .tv_usec = (suseconds_t)(wait_us % 1000000)};
    if (event_add(client->timer, &wait) == 0) {
        client->armed_ns = when_ns;
    }
}

void sgn_loop_on_wake(int fd, short what, void *user)
{
    struct sgn_client *client = user;
    uint64_t count;
    (void)what;
    ssize_t got = read(fd, &count, sizeof(count));
    (void)got;
    /* After the read, which would swallow what a new request writes from here on: then nobody would
     * wake the loop again. One that came before is in the inbox, which this turn still takes. */
    pthread_mutex_lock(&client->mutex);
    client->is_woken = false;
    pthread_mutex_unlock(&client->mutex);
}

void sgn_loop_on_timer(int fd, short what, void *user)
{
    struct sgn_client *client = user;
    uint64_t now_ns = sgn_now_ns();
    uint64_t next_ns = NEVER;
    (void)fd;
    (void)what;
    client->armed_ns = NEVER;
    while (client->heap_count > 0 && client->heap[0]->wake_ns <= now_ns) {
        sgn_attempt_wake(client->heap[0], now_ns);
    }
    sgn_pool_tick(client, now_ns, &next_ns);
    if (client->ring_retry_ns != 0 && client->ring_retry_ns <= now_ns) {
        sgn_route_ask_ring(client);
    }
    if (client->ring_retry_ns != 0 && client->ring_retry_ns < next_ns) {
        next_ns = client->ring_retry_ns;
    }
    if (client->heap_count > 0 && client->heap[0]->wake_ns < next_ns) {
        next_ns = client->heap[0]->wake_ns;
    }
    if (next_ns != NEVER) {
        sgn_loop_arm(client, next_ns);
    }
}

static void take_inbox(struct sgn_client *client)
{
    pthread_mutex_lock(&client->mutex);
    struct sgn_request *request = client->inbox_head;
    client->inbox_head = NULL;
    client->inbox_tail = NULL;
    pthread_mutex_unlock(&client->mutex);
    while (request != NULL) {
        struct sgn_request *next = request->next;
        sgn_attempt_begin(request);
        request = next;
    }
    if (atomic_exchange(&client->has_cancels, false)) {
        for (request = client->live; request != NULL;) {
            struct sgn_request *next = request->next_live;
            if (atomic_load(&request->cancelled)) {
                sgn_attempt_finish(request, SGN_ERR_CANCELLED);
            }
            request = next;
        }
    }
}

void sgn_loop_deliver(struct sgn_client *client, struct sgn_request *request)
{
    if (request->is_internal) {
        sgn_route_ring_done(client);
        return;
    }
    sgn_done_fn *done = request->done;
    void *user = request->user;
    int err = request->err;
    atomic_fetch_sub(&client->running, 1);
    if (done != NULL) {
        struct sgn_request *outer = client->delivering;
        client->delivering = request;
        atomic_store(&request->state, SGN_REQ_DELIVERING);
        done(request, err, user);
        bool is_ours = client->delivering == request; /* Neither destroyed nor started again. */
        client->delivering = outer;
        if (!is_ours) {
            return;
        }
    }
    pthread_mutex_lock(&request->mutex);
    atomic_store(&request->state, SGN_REQ_IDLE);
    pthread_cond_broadcast(&request->cond);
    pthread_mutex_unlock(&request->mutex);
}

/* Runs callbacks; returns how many requests were ended. */
static int drain_done(struct sgn_client *client, uint32_t done_max)
{
    int count = 0;
    while (client->done_head != NULL && (done_max == 0 || (uint32_t)count < done_max)) {
        struct sgn_request *request = client->done_head;
        client->done_head = request->next;
        if (client->done_head == NULL) {
            client->done_tail = NULL;
        }
        count += request->is_internal ? 0 : 1;
        sgn_loop_deliver(client, request);
    }
    return count;
}

int sgn_loop_turn(struct sgn_client *client, int event_flags, uint32_t done_max)
{
    atomic_store(&client->loop_thread, pthread_self());
    atomic_store(&client->in_loop, true);
    (void)event_base_loop(client->base, event_flags);
    take_inbox(client);
    if (client->pump_wanted) {
        sgn_attempt_pump(client);
    }
    sgn_wire_flush(client->wire);
    if (!client->is_ready || client->shape == NULL) {
        sgn_route_check_ready(client);
    }
    int count = drain_done(client, done_max);
    take_inbox(client); /* What callbacks started need not wait for the next turn. */
    sgn_wire_flush(client->wire);
    /* Something of our own is left, so the next turn must not sleep. */
    if (client->done_head != NULL || client->pump_wanted || atomic_load(&client->has_cancels)) {
        sgn_loop_wake(client);
    }
    atomic_store(&client->in_loop, false);
    return count;
}

void sgn_loop_cancel_all(struct sgn_client *client)
{
    atomic_store(&client->loop_thread, pthread_self());
    atomic_store(&client->in_loop, true);
    for (;;) {
        take_inbox(client); /* A callback may start another: it is cancelled as well. */
        while (client->live != NULL) {
            sgn_attempt_finish(client->live, SGN_ERR_CANCELLED);
        }
        pthread_mutex_lock(&client->mutex);
        bool is_over = client->inbox_head == NULL && client->done_head == NULL;
        pthread_mutex_unlock(&client->mutex);
        if (is_over) {
            break;
        }
        (void)drain_done(client, 0);
    }
    atomic_store(&client->in_loop, false);
}

void *sgn_loop_thread(void *user)
{
    struct sgn_client *client = user;
    while (!atomic_load(&client->stop)) {
        (void)sgn_loop_turn(client, EVLOOP_ONCE, 0);
    }
    sgn_loop_cancel_all(client);
    return NULL;
}
