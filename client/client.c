/* client/client.c - the client object: made, waited for, watched, ended. */
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "client/inner.h"
#include "ring/core/check.h"

#define SESSION_PREFIX "s1-"

uint32_t sgn_version_number(void)
{
    return SGN_VERSION_NUMBER;
}

const char *sgn_version_text(void)
{
    return SGN_VERSION_TEXT;
}

void sgn_client_say(struct sgn_client *client, int level, const char *format, ...)
{
    char text[SGN_ERROR_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (level < 2) {
        pthread_mutex_lock(&client->mutex);
        memcpy(client->error_text, text, sizeof(text));
        pthread_mutex_unlock(&client->mutex);
    }
    if (client->settings.log != NULL) {
        client->settings.log(client->settings.log_user, level, text);
    }
}

void sgn_trace(const struct sgn_request *request,
               enum sgn_trace_stage stage,
               uint32_t node,
               int err)
{
    const struct sgn_settings *settings = &request->client->settings;
    if (settings->trace != NULL && !request->is_internal) {
        struct sgn_trace_event event = {.struct_bytes = sizeof(event),
                                        .request = request,
                                        .stage = stage,
                                        .node = node,
                                        .err = err,
                                        .ns = sgn_now_ns() - request->start_ns};
        settings->trace(settings->trace_user, &event);
    }
}

/* Whatever of it was made. */
static void client_free(struct sgn_client *client)
{
    if (client->wire != NULL) {
        sgn_pool_clear(client);
        sgn_wire_destroy(client->wire);
    }
    if (client->wake_event != NULL) {
        event_free(client->wake_event);
    }
    if (client->timer != NULL) {
        event_free(client->timer);
    }
    if (client->base != NULL) {
        event_base_free(client->base);
    }
    if (client->wake_fd >= 0) {
        close(client->wake_fd);
    }
    sgn_mirror_destroy(client->mirror);
    sgn_request_destroy(client->ring_request);
    sgn_shape_drop(client->shape);
    free(client->member_nodes);
    free(client->heap);
    pthread_cond_destroy(&client->ready_cond);
    pthread_mutex_destroy(&client->mutex);
    free(client);
}

static int client_init(struct sgn_client *client)
{
    client->heap_cap = client->settings.queue_max + 1; /* And the client's own request. */
    client->heap = calloc(client->heap_cap, sizeof(struct sgn_request *));
    client->ring_request = sgn_request_create(client);
    client->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    client->base = event_base_new();
    if (client->heap == NULL || client->ring_request == NULL) {
        return SGN_ERR_NOMEM;
    }
    if (client->base == NULL || client->wake_fd < 0) {
        return SGN_ERR_IO;
    }
    client->wire = sgn_wire_create(client->base);
    client->wake_event =
        event_new(client->base, client->wake_fd, EV_READ | EV_PERSIST, sgn_loop_on_wake, client);
    client->timer = event_new(client->base, -1, 0, sgn_loop_on_timer, client);
    if (client->wire == NULL || client->wake_event == NULL || client->timer == NULL) {
        return SGN_ERR_NOMEM;
    }
    if (getrandom(&client->prng.state, sizeof(client->prng.state), 0) !=
            (ssize_t)sizeof(client->prng.state) ||
        event_add(client->wake_event, NULL) != 0) {
        return SGN_ERR_IO;
    }
    for (uint32_t i = 0; i < client->settings.seed_count; i++) {
        struct sgn_node *node = sgn_pool_node(client, client->settings.seed_list[i]);
        if (node == NULL) {
            return SGN_ERR_NOMEM;
        }
        sgn_pool_dial(client, node);
    }
    return SGN_OK;
}

/* The thread takes no signals: they are the program's. */
static int client_begin(struct sgn_client *client)
{
    sigset_t all, before;
    if (client->settings.threads == 0) {
        client->mirror = sgn_mirror_create();
        return client->mirror == NULL ? SGN_ERR_IO
                                      : sgn_mirror_update(client->mirror, client->base, true);
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    client->has_thread = true;
    int failed = pthread_create(&client->thread, NULL, sgn_loop_thread, client);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    client->has_thread = failed == 0;
    return failed == 0 ? SGN_OK : SGN_ERR_IO;
}

int sgn_client_create(struct sgn_client **out, const struct sgn_options *options)
{
    *out = NULL;
    struct sgn_client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        return SGN_ERR_NOMEM;
    }
    if (options == NULL) {
        sgn_settings_init(&client->settings);
    } else {
        client->settings = *sgn_options_settings(options);
    }
    client->pid = getpid();
    client->wake_fd = -1;
    client->armed_ns = UINT64_MAX;
    pthread_mutex_init(&client->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&client->ready_cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
    int err = client_init(client);
    err = err == SGN_OK ? client_begin(client) : err;
    if (err != SGN_OK) {
        client_free(client);
        return err;
    }
    *out = client;
    return SGN_OK;
}

static bool is_decided(struct sgn_client *client, int *err)
{
    pthread_mutex_lock(&client->mutex);
    bool is_over = client->is_ready || client->fatal_err != SGN_OK;
    *err = client->is_ready ? SGN_OK : client->fatal_err;
    pthread_mutex_unlock(&client->mutex);
    return is_over;
}

/* With no thread of our own, the waiting caller is the loop. */
static int wait_dispatching(struct sgn_client *client, uint64_t deadline_ns)
{
    int err = SGN_OK;
    while (!is_decided(client, &err)) {
        uint64_t now_ns = sgn_now_ns();
        if (now_ns >= deadline_ns) {
            return SGN_ERR_TIMEOUT;
        }
        struct pollfd wait = {.fd = sgn_client_fd(client), .events = POLLIN};
        (void)poll(&wait, 1, (int)((deadline_ns - now_ns) / 1000000 + 1));
        (void)sgn_client_dispatch(client, 0);
    }
    return err;
}

int sgn_client_wait_ready(struct sgn_client *client, uint32_t timeout_ms)
{
    uint64_t deadline_ns = sgn_now_ns() + timeout_ms * UINT64_C(1000000);
    if (sgn_loop_is_here(client)) {
        return SGN_ERR_INVALID;
    }
    if (!client->has_thread) {
        return wait_dispatching(client, deadline_ns);
    }
    struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000),
                             .tv_nsec = (long)(deadline_ns % 1000000000)};
    int failed = 0;
    pthread_mutex_lock(&client->mutex);
    while (!client->is_ready && client->fatal_err == SGN_OK && failed == 0) {
        failed = pthread_cond_timedwait(&client->ready_cond, &client->mutex, &until);
    }
    int err = client->is_ready ? SGN_OK : client->fatal_err;
    err = err == SGN_OK && !client->is_ready ? SGN_ERR_TIMEOUT : err;
    pthread_mutex_unlock(&client->mutex);
    return err;
}

void sgn_client_error(struct sgn_client *client, char *text, size_t text_bytes)
{
    pthread_mutex_lock(&client->mutex);
    snprintf(text, text_bytes, "%s", client->error_text);
    pthread_mutex_unlock(&client->mutex);
}

void sgn_client_destroy(struct sgn_client *client)
{
    if (client == NULL) {
        return;
    }
    if (client->pid != getpid()) {
        return; /* A child of fork has no thread to join and must not touch the sockets. */
    }
    atomic_store(&client->stop, true);
    if (client->has_thread) {
        sgn_loop_wake(client);
        pthread_join(client->thread, NULL);
    } else {
        sgn_loop_cancel_all(client);
    }
    client_free(client);
}

int sgn_client_fd(struct sgn_client *client)
{
    return client->mirror == NULL ? -1 : sgn_mirror_fd(client->mirror);
}

int sgn_client_dispatch(struct sgn_client *client, uint32_t done_max)
{
    if (client->has_thread || sgn_loop_is_here(client)) {
        return SGN_ERR_INVALID;
    }
    int count = sgn_loop_turn(client, EVLOOP_NONBLOCK, done_max);
    int err = sgn_mirror_update(client->mirror, client->base, false);
    if (err != SGN_OK) {
        sgn_client_say(client, 0, "the descriptor for the program's loop cannot be kept");
        return err;
    }
    return count;
}

void sgn_client_session(struct sgn_client *client, char text[SGN_SESSION_TEXT_BYTES])
{
    snprintf(text,
             SGN_SESSION_TEXT_BYTES,
             SESSION_PREFIX "%016llx",
             (unsigned long long)atomic_load(&client->session));
}

int sgn_client_session_set(struct sgn_client *client, const char *text)
{
    const size_t head = sizeof(SESSION_PREFIX) - 1;
    if (strncmp(text, SESSION_PREFIX, head) != 0 || strspn(text + head, "0123456789abcdef") != 16 ||
        text[head + 16] != '\0') {
        return SGN_ERR_INVALID;
    }
    uint_fast64_t stamp = strtoull(text + head, NULL, 16);
    uint_fast64_t seen = atomic_load(&client->session);
    while (stamp > seen && !atomic_compare_exchange_weak(&client->session, &seen, stamp)) {
    }
    return SGN_OK;
}

void sgn_client_stats(struct sgn_client *client, struct sgn_client_counts *counts)
{
    struct sgn_client_counts full = {
        .requests = atomic_load(&client->count_requests),
        .retries = atomic_load(&client->count_retries),
        .hedges = atomic_load(&client->count_hedges),
        .hedges_won = atomic_load(&client->count_hedges_won),
        .busy = atomic_load(&client->count_busy),
        .connections = atomic_load(&client->count_connections),
        .connects = atomic_load(&client->count_connects),
        .ring_epoch = atomic_load(&client->epoch),
    };
    (void)sgn_struct_out(counts, &full, sizeof(full));
}
