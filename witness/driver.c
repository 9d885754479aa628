#include "witness/driver.h"

#include <event2/event.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "node/log.h"
#include "ring/core/check.h"
#include "ring/core/prng.h"
#include "ring/core/witness_table.h"

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now = {0};
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t sgn_witness_clock_ms(void)
{
    return clock_ns(CLOCK_MONOTONIC) / 1000000;
}

__attribute__((format(printf, 4, 5))) static enum sgn_err fail(
    char *error, size_t error_bytes, enum sgn_err err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(error, error_bytes, format, args);
    va_end(args);
    return err;
}

/* 4: a restarted witness is a new one, and must never pass for the old. There is no disk to count
 * starts on, so it is a number that does not come again: mixed from randomness, the time and the
 * time since boot, so that a machine that begins without one of them still has the others. */
static bool incarnation_draw(uint32_t *incarnation)
{
    uint64_t random = 0;
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
        return false;
    }
    struct sgn_prng prng = {random ^ sgn_mix64(clock_ns(CLOCK_REALTIME)) ^
                            sgn_mix64(~clock_ns(CLOCK_BOOTTIME))};
    do {
        *incarnation = (uint32_t)sgn_prng_next(&prng);
    } while (*incarnation == 0);
    return true;
}

/* Memory is taken for the largest ring; what a smaller one does not touch is never real. */
static enum sgn_err start_witness(struct sgn_witness_driver *driver,
                                  char *error,
                                  size_t error_bytes)
{
    const struct sgn_witness_config *config = driver->config;
    struct sgn_witness_options options = {
        .id = SGN_WITNESS_BIT | config->id,
        .entries_max = (uint32_t)(config->memory_bytes / SGN_WITNESS_KEY_BYTES),
        .old_mark_ms = SGN_WITNESS_OLD_MARK_MS};
    _Static_assert(_Alignof(max_align_t) >= 16, "calloc's memory is aligned as the witness wants");
    if (!incarnation_draw(&options.incarnation)) {
        return fail(error, error_bytes, SGN_ERR_IO, "the system gives no random numbers");
    }
    driver->memory = calloc(1, sgn_witness_bytes(SGN_PARTITIONS_MAX, options.entries_max));
    driver->room = malloc(SGN_PAGE_BYTES_MAX);
    if (driver->memory == NULL || driver->room == NULL) {
        return fail(error,
                    error_bytes,
                    SGN_ERR_NOMEM,
                    "there is no memory for a table of %llu bytes",
                    (unsigned long long)config->memory_bytes);
    }
    driver->witness = sgn_witness_init(driver->memory, SGN_PARTITIONS_MAX, &options);
    driver->self = (struct sgn_hello){.node = options.id, .incarnation = options.incarnation};
    (void)snprintf(driver->self.ring, sizeof(driver->self.ring), "%s", config->ring);
    return SGN_OK;
}

static enum sgn_err start_net(struct sgn_witness_driver *driver, char *error, size_t error_bytes)
{
    struct sgn_address address;
    struct sgn_why why = {""};
    driver->wire = sgn_wire_create(driver->base);
    if (driver->wire == NULL) {
        return fail(error, error_bytes, SGN_ERR_NOMEM, "out of memory");
    }
    sgn_witness_sessions_init(driver);
    enum sgn_err err = sgn_address_parse(driver->config->listen, &address, &why);
    if (err == SGN_OK) {
        err = sgn_listener_create(
            driver->base, &address, sgn_witness_accept, driver, &driver->listener, &why);
    }
    return err == SGN_OK ? SGN_OK : fail(error, error_bytes, err, "%s", why.text);
}

/* What a person may have to act on. */
static void watch(struct sgn_witness_driver *driver)
{
    struct sgn_witness_counts counts;
    sgn_witness_counts(driver->witness, &counts);
    if (counts.overflows > driver->overflows_told) {
        SGN_LOG(SGN_LOG_WARN,
                "memory limit reached",
                "strong reads of the partitions dropped ask a quorum, slower, until the nodes list "
                "them anew; start it with more --memory (a node: --witness-memory) if this comes "
                "again",
                "partitions=%u keys_max=%u times=%llu",
                counts.partitions_dropped,
                counts.entries_max,
                (unsigned long long)counts.overflows);
    } else if (counts.partitions_dropped == 0 && driver->dropped_told > 0) {
        SGN_LOG(SGN_LOG_INFO, "all partitions are kept again", NULL, "keys=%u", counts.entries);
    }
    if (counts.version != driver->version_told) {
        SGN_LOG(SGN_LOG_INFO,
                "map adopted",
                NULL,
                "version=%u witness=%u partitions=%u",
                counts.version,
                driver->config->id,
                counts.partitions_listed);
    }
    driver->overflows_told = counts.overflows;
    driver->dropped_told = counts.partitions_dropped;
    driver->version_told = counts.version;
}

static void each_second(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    sgn_log_tick();
    watch(user);
}

static enum sgn_err start_events(struct sgn_witness_driver *driver, char *error, size_t error_bytes)
{
    struct timeval second = {.tv_sec = 1};
    driver->second_event = event_new(driver->base, -1, EV_PERSIST, each_second, driver);
    if (driver->second_event == NULL || event_add(driver->second_event, &second) != 0) {
        return fail(error, error_bytes, SGN_ERR_NOMEM, "out of memory");
    }
    return SGN_OK;
}

enum sgn_err sgn_witness_driver_create(const struct sgn_witness_config *config,
                                       struct event_base *base,
                                       struct sgn_witness_driver **driver,
                                       char *error,
                                       size_t error_bytes)
{
    struct sgn_witness_driver *made = calloc(1, sizeof(*made));
    *driver = NULL;
    if (made == NULL) {
        return fail(error, error_bytes, SGN_ERR_NOMEM, "out of memory");
    }
    made->config = config;
    made->base = base;
    made->started_ms = sgn_witness_clock_ms();
    enum sgn_err err = start_witness(made, error, error_bytes);
    if (err == SGN_OK) {
        err = start_net(made, error, error_bytes);
    }
    if (err == SGN_OK) {
        err = start_events(made, error, error_bytes);
    }
    if (err != SGN_OK) {
        sgn_witness_driver_destroy(made);
        return err;
    }
    *driver = made;
    return SGN_OK;
}

void sgn_witness_driver_destroy(struct sgn_witness_driver *driver)
{
    if (driver->second_event != NULL) {
        event_free(driver->second_event);
    }
    if (driver->listener != NULL) {
        sgn_listener_destroy(driver->listener);
    }
    if (driver->wire != NULL) {
        sgn_witness_sessions_close(driver);
        sgn_wire_flush(driver->wire);
        sgn_wire_destroy(driver->wire);
    }
    free(driver->memory);
    free(driver->room);
    free(driver);
}
