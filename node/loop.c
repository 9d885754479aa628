/* What the loop brings to the engine: results of the store, time, peers. */
#include <event2/event.h>
#include <stdio.h>

#include "node/driver.h"
#include "node/log.h"
#include "ring/core/check.h"

#define POLL_MAX   64u /* Store results taken at once. */
#define POLL_TURNS 16u /* Times that in one turn of the loop, so that sockets get theirs. */
#define LOG_TICKS  (1000u / SGN_TICK_MS)

static void feed_done(struct sgn_driver *driver, struct sgn_store_done *done)
{
    struct sgn_event event = {.token = done->token, .err = sgn_driver_disk_err(done->err)};
    switch (done->type) {
    case SGN_STORE_DONE_WRITE: event.type = SGN_EV_STORED; break;
    case SGN_STORE_DONE_READ:
        event.type = SGN_EV_LOADED;
        if (done->err == SGN_OK) {
            event.value = done->value.bytes;
        }
        break;
    case SGN_STORE_DONE_SCAN:
        event.type = SGN_EV_SCANNED;
        event.items = done->items;
        event.after = done->after;
        event.end = done->end;
        break;
    }
    sgn_driver_feed(driver, &event);
    sgn_store_done_release(done);
}

static void store_readable(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    struct sgn_driver *driver = user;
    struct sgn_store_done done[POLL_MAX];
    for (uint32_t turn = 0; turn < POLL_TURNS; turn++) {
        uint32_t count = sgn_store_poll(driver->store, done, POLL_MAX);
        for (uint32_t i = 0; i < count; i++) {
            feed_done(driver, &done[i]);
        }
        if (count < POLL_MAX) {
            return;
        }
    }
}

static void tick(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    struct sgn_driver *driver = user;
    uint64_t now_us = sgn_clock_us();
    uint64_t due_us = driver->last_tick_us + SGN_TICK_MS * 1000;
    if (driver->last_tick_us != 0 && now_us > due_us &&
        now_us - due_us > driver->tick_late_us_max) {
        driver->tick_late_us_max = now_us - due_us;
    }
    driver->last_tick_us = now_us;
    struct sgn_event event = {.type = SGN_EV_TICK};
    sgn_driver_feed(driver, &event);
    if (++driver->ticks % LOG_TICKS == 0) {
        sgn_log_tick();
        sgn_driver_follow_own(driver);
        sgn_watch_second(&driver->watch, driver->engine, driver->peers);
    }
}

static void peer_up(uint32_t node, const struct sgn_hello *other, void *user)
{
    if ((node & SGN_WITNESS_BIT) != 0) {
        SGN_LOG(SGN_LOG_INFO,
                "witness connected",
                NULL,
                "witness=%u incarnation=%u",
                node & ~SGN_WITNESS_BIT,
                other->incarnation);
    } else {
        SGN_LOG(SGN_LOG_INFO,
                "peer connected",
                NULL,
                "peer=%u incarnation=%u",
                node,
                other->incarnation);
    }
    struct sgn_event event = {.type = SGN_EV_PEER_UP, .node = node};
    sgn_driver_feed(user, &event);
}

static void peer_down(uint32_t node, enum sgn_err err, const char *why, void *user)
{
    if ((node & SGN_WITNESS_BIT) != 0) {
        SGN_LOG(SGN_LOG_WARN,
                "witness lost",
                why,
                "witness=%u err=%s",
                node & ~SGN_WITNESS_BIT,
                sgn_err_name(err));
    } else {
        SGN_LOG(SGN_LOG_WARN, "peer lost", why, "peer=%u err=%s", node, sgn_err_name(err));
    }
    struct sgn_event event = {.type = SGN_EV_PEER_DOWN, .node = node};
    sgn_driver_feed(user, &event);
}

static void peer_message(uint32_t node, const struct sgn_msg *msg, void *user)
{
    struct sgn_event event = {.type = SGN_EV_MESSAGE, .node = node, .msg = *msg};
    sgn_driver_feed(user, &event);
}

static const struct sgn_peers_events peers_events = {peer_up, peer_down, peer_message};

enum sgn_err sgn_driver_start_peers(struct sgn_driver *driver, char *error, size_t error_bytes)
{
    driver->self = (struct sgn_hello){.ring_digest = driver->ring_digest,
                                      .node = driver->config->id,
                                      .incarnation = driver->identity.incarnation};
    (void)snprintf(driver->self.ring, sizeof(driver->self.ring), "%s", driver->ring.name);
    driver->peers = sgn_peers_create(
        driver->wire, &driver->self, &peers_events, driver, sgn_prng_next(&driver->prng));
    if (driver->peers == NULL) {
        (void)snprintf(error, error_bytes, "out of memory");
        return SGN_ERR_NOMEM;
    }
    for (uint32_t i = 0; i < driver->ring.member_count; i++) {
        const struct sgn_member *member = &driver->ring.members[i];
        if (member->id == driver->config->id) {
            continue;
        }
        struct sgn_address address;
        struct sgn_why why = {""};
        enum sgn_err err = sgn_address_parse(member->address, &address, &why);
        if (err == SGN_OK) {
            err = sgn_peers_add(driver->peers, member->id, &address);
        }
        if (err != SGN_OK) {
            (void)snprintf(
                error, error_bytes, "%s", why.text[0] != '\0' ? why.text : sgn_err_text(err));
            return err;
        }
    }
    return SGN_OK;
}

enum sgn_err sgn_driver_start_events(struct sgn_driver *driver, char *error, size_t error_bytes)
{
    struct timeval every = {.tv_sec = 0, .tv_usec = SGN_TICK_MS * 1000};
    driver->store_event = event_new(driver->base,
                                    sgn_store_event_fd(driver->store),
                                    EV_READ | EV_PERSIST,
                                    store_readable,
                                    driver);
    driver->tick_event = event_new(driver->base, -1, EV_PERSIST, tick, driver);
    if (driver->store_event == NULL || driver->tick_event == NULL ||
        event_add(driver->store_event, NULL) != 0 || event_add(driver->tick_event, &every) != 0) {
        (void)snprintf(error, error_bytes, "out of memory");
        return SGN_ERR_NOMEM;
    }
    return SGN_OK;
}
