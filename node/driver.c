#include "node/driver.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "node/log.h"
#include "ring/core/check.h"
#include "ring/core/placement.h"

#define DRAIN_LOOK_MS 10u

uint64_t sgn_clock_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t sgn_clock_wall_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- results that are there at once ---------------------------------------------------------- */

void sgn_driver_ready(struct sgn_driver *driver, struct sgn_ready ready)
{
    struct sgn_ready_queue *queue = &driver->ready;
    if (queue->count == queue->cap) {
        uint32_t cap = queue->cap == 0 ? 1024 : queue->cap * 2;
        struct sgn_ready *list = malloc(cap * sizeof(list[0]));
        /* The engine waits for this result; without room for it there is nothing right to do but to
         * end, which a node may do at any time. */
        SGN_ASSERT(list != NULL);
        for (uint32_t i = 0; i < queue->count; i++) {
            list[i] = queue->list[(queue->head + i) & (queue->cap - 1)];
        }
        free(queue->list);
        *queue = (struct sgn_ready_queue){.list = list, .cap = cap, .count = queue->count};
    }
    queue->list[(queue->head + queue->count) & (queue->cap - 1)] = ready;
    queue->count++;
}

static struct sgn_ready ready_take(struct sgn_ready_queue *queue)
{
    SGN_ASSERT(queue->count > 0);
    struct sgn_ready ready = queue->list[queue->head];
    queue->head = (queue->head + 1) & (queue->cap - 1);
    queue->count--;
    return ready;
}

/* --- effects --------------------------------------------------------------------------------- */

/* The engine knows few outcomes of a disk; a full queue and a full memory are both "busy". */
int sgn_driver_disk_err(enum sgn_err err)
{
    switch ((int)err) {
    case SGN_OK:
    case SGN_ERR_NOT_FOUND:
    case SGN_ERR_CORRUPT:
    case SGN_ERR_BUSY:
    case SGN_ERR_DISK_FULL: return err;
    case SGN_ERR_NOMEM:
    case SGN_ERR_TOO_LARGE: return SGN_ERR_BUSY;
    default: return SGN_ERR_IO;
    }
}

static void fx_send(struct sgn_driver *driver, const struct sgn_effect *effect)
{
    if (sgn_own_witness_is(&driver->own, effect->node)) {
        sgn_own_witness_ask(&driver->own, driver->config->id, &effect->msg);
        return;
    }
    if (sgn_peers_send(driver->peers, effect->node, &effect->msg) != SGN_OK) {
        driver->metrics.sends_failed++; /* A send may be lost; the engine has its timeouts. */
    }
}

static void fx_load(struct sgn_driver *driver, const struct sgn_effect *effect)
{
    struct sgn_ready ready = {.type = SGN_EV_LOADED, .token = effect->token};
    enum sgn_err err =
        sgn_store_get_cached(driver->store, effect->family, effect->key, &ready.value);
    if (err == SGN_ERR_BUSY) {
        err = sgn_store_get_async(driver->store, effect->token, effect->family, effect->key);
        if (err == SGN_OK) {
            return;
        }
    }
    ready.err = sgn_driver_disk_err(err);
    sgn_driver_ready(driver, ready);
}

static void commit_begin(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    struct sgn_driver *driver = user;
    sgn_store_commit(driver->store);
}

static void fx_store(struct sgn_driver *driver, const struct sgn_effect *effect)
{
    enum sgn_err err =
        sgn_store_submit(driver->store, effect->token, effect->writes, effect->write_count);
    if (err == SGN_OK) {
        event_active(driver->commit_event, EV_TIMEOUT, 1); /* Nothing more if it is already. */
        return;
    }
    SGN_LOG(
        SGN_LOG_WARN, "write refused by the store", sgn_err_text(err), "err=%s", sgn_err_name(err));
    sgn_driver_ready(driver,
                     (struct sgn_ready){.type = SGN_EV_STORED,
                                        .token = effect->token,
                                        .err = sgn_driver_disk_err(err)});
}

static void fx_scan(struct sgn_driver *driver, const struct sgn_effect *effect)
{
    enum sgn_err err = sgn_store_scan_async(
        driver->store, effect->token, &effect->scan, driver->ring.partition_count);
    if (err != SGN_OK) {
        SGN_LOG(SGN_LOG_WARN,
                "scan refused by the store",
                sgn_err_text(err),
                "err=%s",
                sgn_err_name(err));
        sgn_driver_ready(driver,
                         (struct sgn_ready){.type = SGN_EV_SCANNED,
                                            .token = effect->token,
                                            .err = sgn_driver_disk_err(err)});
    }
}

static void step(struct sgn_driver *driver, struct sgn_event *event)
{
    event->now_us = sgn_clock_us();
    event->now_ms = event->now_us / 1000;
    event->wall_ms = sgn_clock_wall_ms();
    event->random = sgn_prng_next(&driver->prng);
    struct sgn_effects *effects = driver->effects;
    effects->count = 0;
    sgn_engine_step(driver->engine, event, effects);
    SGN_ASSERT(effects->count <= SGN_EFFECTS_MAX);
    for (uint32_t i = 0; i < effects->count; i++) {
        const struct sgn_effect *effect = &effects->list[i];
        switch (effect->type) {
        case SGN_FX_SEND: fx_send(driver, effect); break;
        case SGN_FX_REPLY: sgn_sessions_reply(driver, effect->token, &effect->msg); break;
        case SGN_FX_LOAD: fx_load(driver, effect); break;
        case SGN_FX_STORE: fx_store(driver, effect); break;
        case SGN_FX_SCAN: fx_scan(driver, effect); break;
        case SGN_FX_LOG:
            SGN_LOG(SGN_LOG_INFO, "engine", effect->text, "ring=%s", driver->ring.name);
            break;
        }
    }
}

void sgn_driver_feed(struct sgn_driver *driver, struct sgn_event *event)
{
    SGN_ASSERT(!driver->stepping);
    driver->stepping = true;
    driver->feeds++;
    step(driver, event);
    while (driver->ready.count > 0 || driver->own.first != NULL) {
        struct sgn_own_answer *answer = sgn_own_witness_take(&driver->own);
        if (answer != NULL) {
            struct sgn_event told = {
                .type = SGN_EV_MESSAGE, .node = answer->msg.node, .msg = answer->msg};
            step(driver, &told);
            free(answer);
            continue;
        }
        struct sgn_ready ready = ready_take(&driver->ready);
        struct sgn_event next = {
            .type = ready.type, .token = ready.token, .err = ready.err, .value = ready.value.bytes};
        step(driver, &next);
        sgn_store_value_release(&ready.value);
    }
    driver->stepping = false;
    sgn_driver_follow_map(driver);
    sgn_driver_turn(driver);
}

/* --- start ----------------------------------------------------------------------------------- */

static enum sgn_err fail(char *error, size_t error_bytes, enum sgn_err err, const char *text)
{
    (void)snprintf(error, error_bytes, "%s", text);
    return err;
}

static enum sgn_err start_ring(struct sgn_driver *driver, char *error, size_t error_bytes)
{
    struct sgn_ring *ring = &driver->ring;
    sgn_config_ring(driver->config, ring);
    driver->table =
        calloc((size_t)ring->partition_count * ring->replica_count, sizeof(driver->table[0]));
    size_t bytes = sgn_placement_scratch_bytes(ring->partition_count, ring->member_count);
    void *scratch = malloc(bytes);
    enum sgn_err err = SGN_ERR_NOMEM;
    if (driver->table != NULL && scratch != NULL) {
        ring->table = driver->table;
        err = sgn_placement_solve(ring, NULL, scratch, bytes);
    }
    free(scratch);
    driver->ring_digest = sgn_ring_digest(ring);
    return err == SGN_OK ? SGN_OK
                         : fail(error, error_bytes, err, "the partitions cannot be placed");
}

/* Before the store: a port in use must leave no trace in the data directory. */
static enum sgn_err start_listener(struct sgn_driver *driver, char *error, size_t error_bytes)
{
    struct sgn_address address;
    struct sgn_why why = {""};
    enum sgn_err err = sgn_address_parse(driver->config->listen, &address, &why);
    if (err == SGN_OK) {
        err = sgn_listener_create(
            driver->base, &address, sgn_sessions_accept, driver, &driver->listener, &why);
    }
    if (err == SGN_OK) {
        driver->wire = sgn_wire_create(driver->base);
        if (driver->wire == NULL) {
            return fail(error, error_bytes, SGN_ERR_NOMEM, "out of memory");
        }
        return SGN_OK;
    }
    return fail(error, error_bytes, err, why.text);
}

static enum sgn_err start_store(struct sgn_driver *driver, char *error, size_t error_bytes)
{
    const struct sgn_config *config = driver->config;
    driver->commit_event = event_new(driver->base, -1, 0, commit_begin, driver);
    if (driver->commit_event == NULL) {
        return fail(error, error_bytes, SGN_ERR_NOMEM, "out of memory");
    }
    struct sgn_store_options options = {
        .directory = config->data,
        .ring_name = config->ring_name,
        .node = config->id,
        .disk_reserve_bytes = config->disk_reserve_bytes,
        .block_cache_bytes = config->block_cache_bytes,
        .sync = config->sync != 0 ? SGN_STORE_SYNC : SGN_STORE_NO_SYNC,
        .read_threads = config->read_threads,
    };
    enum sgn_err err = sgn_store_open(&driver->store, &options, error, error_bytes);
    if (err != SGN_OK) {
        return err;
    }
    driver->identity = sgn_store_identity(driver->store);
    if (driver->identity.log_was_cut) {
        SGN_LOG(
            SGN_LOG_WARN,
            "log was cut",
            "the write-ahead log ended in garbage and was cut there; peers mend what is missing",
            "data=%s",
            config->data);
    }
    return sgn_driver_check_ring(driver, error, error_bytes);
}

static enum sgn_err start_engine(struct sgn_driver *driver, char *error, size_t error_bytes)
{
    const struct sgn_config *config = driver->config;
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed)) {
        seed = sgn_clock_us() ^ driver->identity.store_id;
    }
    driver->prng.state = seed;
    sgn_node_pool_init(&driver->pool, config->memory_bytes);
    driver->effects = malloc(sizeof(*driver->effects));
    driver->engine_memory = calloc(1, sgn_engine_bytes(&driver->ring));
    if (driver->effects == NULL || driver->engine_memory == NULL ||
        sgn_sessions_create(driver) != SGN_OK) {
        return fail(error, error_bytes, SGN_ERR_NOMEM, "out of memory");
    }
    struct sgn_engine_options options = {
        .node = config->id,
        .incarnation = driver->identity.incarnation,
        .disk = driver->identity.store_id,
        .home_generation = driver->identity.home_generation,
        .guest_generation = driver->identity.guest_generation,
        .request_timeout_ms = config->request_ms,
        .replica_timeout_ms = config->replica_ms,
        .heartbeat_ms = config->heartbeat_ms,
        .suspect_ms = config->suspect_ms,
        .tree_interval_ms = config->tree_ms,
        .hints_max = config->hints_max,
        .out_ms = config->out_ms,
        .resolve_ms = config->resolve_ms,
        .tombstone_ms = config->tombstone_ms,
    };
    driver->engine = sgn_engine_init(
        driver->engine_memory, &driver->ring, &driver->pool.pool, &options, sgn_clock_us() / 1000);
    return sgn_driver_restore(driver, error, error_bytes);
}

enum sgn_err sgn_driver_create(const struct sgn_config *config,
                               struct event_base *base,
                               struct sgn_driver **driver,
                               char *error,
                               size_t error_bytes)
{
    static enum sgn_err (*const parts[])(struct sgn_driver *, char *, size_t) = {
        start_ring,
        start_listener,
        start_store,
        start_engine,
        sgn_driver_start_peers,
        sgn_driver_start_fleet,
        sgn_driver_start_events};
    struct sgn_driver *made = calloc(1, sizeof(*made));
    *driver = NULL;
    if (made == NULL) {
        return fail(error, error_bytes, SGN_ERR_NOMEM, "out of memory");
    }
    made->config = config;
    made->base = base;
    made->started_us = sgn_clock_us();
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        enum sgn_err err = parts[i](made, error, error_bytes);
        if (err != SGN_OK) {
            (void)sgn_driver_destroy(made);
            return err;
        }
    }
    made->state = SGN_DRIVER_READY;
    *driver = made;
    return SGN_OK;
}

/* --- stop ------------------------------------------------------------------------------------ */

static void drain_look(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    struct sgn_driver *driver = user;
    bool late = sgn_clock_us() >= driver->drain_deadline_us;
    if (driver->client_calls > 0 && !late) {
        return;
    }
    if (driver->client_calls > 0) {
        SGN_LOG(SGN_LOG_WARN,
                "stopping with requests under way",
                NULL,
                "requests=%u",
                driver->client_calls);
    }
    sgn_wire_flush(driver->wire);
    (void)event_base_loopbreak(driver->base);
}

void sgn_driver_drain(struct sgn_driver *driver)
{
    if (driver->state == SGN_DRIVER_DRAINING) {
        return;
    }
    driver->state = SGN_DRIVER_DRAINING;
    driver->drain_deadline_us = sgn_clock_us() + (uint64_t)driver->config->drain_ms * 1000;
    sgn_listener_destroy(driver->listener);
    driver->listener = NULL;
    struct timeval every = {.tv_sec = 0, .tv_usec = DRAIN_LOOK_MS * 1000};
    driver->drain_event = event_new(driver->base, -1, EV_PERSIST, drain_look, driver);
    if (driver->drain_event == NULL || event_add(driver->drain_event, &every) != 0) {
        (void)event_base_loopbreak(driver->base);
    }
}

static void event_drop(struct event **event)
{
    if (*event != NULL) {
        event_free(*event);
        *event = NULL;
    }
}

enum sgn_err sgn_driver_destroy(struct sgn_driver *driver)
{
    event_drop(&driver->store_event);
    event_drop(&driver->commit_event);
    event_drop(&driver->tick_event);
    event_drop(&driver->drain_event);
    event_drop(&driver->flush_event);
    event_drop(&driver->hold_event);
    sgn_own_witness_stop(&driver->own);
    if (driver->listener != NULL) {
        sgn_listener_destroy(driver->listener);
    }
    if (driver->peers != NULL) {
        sgn_peers_destroy(driver->peers);
    }
    sgn_sessions_destroy(driver);
    if (driver->wire != NULL) {
        sgn_wire_flush(driver->wire);
        sgn_wire_destroy(driver->wire);
    }
    if (driver->engine != NULL) {
        sgn_engine_clear(driver->engine);
    }
    while (driver->ready.count > 0) {
        struct sgn_ready ready = ready_take(&driver->ready);
        sgn_store_value_release(&ready.value);
    }
    enum sgn_err err = SGN_OK;
    if (driver->store != NULL) {
        err = sgn_store_close(driver->store);
    }
    free(driver->ready.list);
    free(driver->engine_memory);
    free(driver->effects);
    free(driver->table);
    free(driver);
    return err;
}
