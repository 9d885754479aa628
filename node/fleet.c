/* The witnesses of the map as peers of this node, and the end of a turn: what the engine gathered
 * for them and for other nodes goes out when nothing else is at hand. */
#include <event2/event.h>
#include <stdio.h>

#include "node/driver.h"
#include "node/log.h"

#define FLUSH_TURNS_MAX 2u   /* Turns of the loop that a flush is put off by. */
#define HOLD_US_MAX     2000 /* Checks that wait for company leave then, however few. */

static bool listed(const struct sgn_map *map, uint32_t id)
{
    for (uint32_t i = 0; i < map->witness_count; i++) {
        if (map->witnesses[i].id == id) {
            return true;
        }
    }
    return false;
}

static void dial(struct sgn_driver *driver, const struct sgn_witness_member *witness)
{
    struct sgn_address address;
    struct sgn_why why = {""};
    enum sgn_err err = sgn_address_parse(witness->address, &address, &why);
    if (err == SGN_OK) {
        err = sgn_peers_add(driver->peers, witness->id, &address);
    }
    if (err != SGN_OK) {
        SGN_LOG(SGN_LOG_WARN,
                "witness cannot be dialled",
                why.text[0] != '\0' ? why.text : sgn_err_text(err),
                "witness=%u address=%s",
                witness->id & ~SGN_WITNESS_BIT,
                witness->address);
    }
}

static void own_end(struct sgn_driver *driver)
{
    struct sgn_own_witness *own = &driver->own;
    struct sgn_event down = {.type = SGN_EV_PEER_DOWN, .node = own->witness->self.node};
    SGN_LOG(SGN_LOG_INFO,
            "own witness ends",
            "the map does not list it any more",
            "witness=%u",
            own->config.id);
    sgn_own_witness_stop(own);
    sgn_driver_feed(driver, &down);
}

static void own_begin(struct sgn_driver *driver, const struct sgn_witness_member *listed)
{
    struct sgn_own_witness *own = &driver->own;
    struct sgn_event up = {.type = SGN_EV_PEER_UP, .node = listed->id};
    bool told = own->error[0] != '\0';
    if (sgn_own_witness_start(own, driver->base, listed, driver->ring_digest)) {
        SGN_LOG(SGN_LOG_INFO,
                "own witness starts",
                NULL,
                "witness=%u incarnation=%u listen=%s",
                own->config.id,
                own->witness->self.incarnation,
                own->config.listen);
        sgn_driver_feed(driver, &up);
    } else if (!told) {
        SGN_LOG(SGN_LOG_ERROR,
                "own witness cannot start; tried again every second",
                own->error,
                "witness=%u listen=%s",
                own->config.id,
                own->config.listen);
    }
}

void sgn_driver_follow_own(struct sgn_driver *driver)
{
    struct sgn_own_witness *own = &driver->own;
    const struct sgn_witness_member *listed =
        sgn_map_hosted(sgn_engine_map(driver->engine), driver->config->id);
    if (own->witness != NULL && (listed == NULL || !sgn_own_witness_is(own, listed->id))) {
        own_end(driver); /* Another one begins with the next second. */
    } else if (listed == NULL) {
        own->error[0] = '\0';
    } else if (own->witness == NULL) {
        own_begin(driver, listed);
    }
}

void sgn_driver_follow_map(struct sgn_driver *driver)
{
    const struct sgn_map *map = sgn_engine_map(driver->engine);
    if (driver->peers == NULL || map->version == driver->map_version) {
        return;
    }
    driver->map_version = map->version;
    for (uint32_t i = 0; i < driver->dialled_count;) {
        if (listed(map, driver->dialled[i])) {
            i++;
        } else {
            sgn_peers_remove(driver->peers, driver->dialled[i]);
            driver->dialled[i] = driver->dialled[--driver->dialled_count];
        }
    }
    for (uint32_t i = 0; i < map->witness_count; i++) {
        uint32_t j = 0;
        while (j < driver->dialled_count && driver->dialled[j] != map->witnesses[i].id) {
            j++;
        }
        bool is_own = map->witnesses[i].host == driver->config->id; /* Needs no connection. */
        if (j == driver->dialled_count && j < SGN_WITNESSES_MAX && !is_own) {
            driver->dialled[driver->dialled_count++] = map->witnesses[i].id;
            dial(driver, &map->witnesses[i]);
        }
    }
    SGN_LOG(SGN_LOG_INFO,
            "map adopted",
            NULL,
            "version=%u witnesses=%u",
            map->version,
            map->witness_count);
    sgn_watch_map(&driver->watch, driver->engine, &driver->ring);
    sgn_driver_follow_own(driver);
}

/* To run behind what is ready already. */
static void flush_arm(struct sgn_driver *driver, uint32_t turns)
{
    driver->flush_armed = true;
    driver->flush_turns = turns;
    driver->feeds_seen = driver->feeds;
    event_active(driver->flush_event, EV_TIMEOUT, 1);
}

static void turn_end(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    struct sgn_driver *driver = user;
    /* While the sockets bring more, one more turn: what it brings can go in the same messages. */
    if (driver->feeds != driver->feeds_seen && driver->flush_turns < FLUSH_TURNS_MAX) {
        flush_arm(driver, driver->flush_turns + 1);
        return;
    }
    driver->flush_armed = false;
    (void)evtimer_del(driver->hold_event);
    uint32_t checks = sgn_engine_checks_gathered(driver->engine);
    struct sgn_event event = {.type = SGN_EV_FLUSH};
    sgn_driver_feed(driver, &event);
    if (checks > 0 && sgn_engine_checks_asked(driver->engine)) {
        sgn_coalesce_asked(&driver->coalesce, sgn_clock_us(), checks);
    }
}

static void held_long(evutil_socket_t fd, short what, void *user)
{
    (void)fd;
    (void)what;
    struct sgn_driver *driver = user;
    if (!driver->flush_armed) {
        flush_arm(driver, 0);
    }
}

/* Whether what there is to flush are checks that had better wait for more of them. */
static bool hold(struct sgn_driver *driver)
{
    static const struct timeval most = {.tv_usec = HOLD_US_MAX};
    uint32_t checks = sgn_engine_checks_gathered(driver->engine);
    if (checks == 0 || checks >= sgn_coalesce_worth(&driver->coalesce)) {
        return false;
    }
    return evtimer_pending(driver->hold_event, NULL) || evtimer_add(driver->hold_event, &most) == 0;
}

enum sgn_err sgn_driver_start_fleet(struct sgn_driver *driver, char *error, size_t error_bytes)
{
    driver->flush_event = event_new(driver->base, -1, 0, turn_end, driver);
    driver->hold_event = evtimer_new(driver->base, held_long, driver);
    if (driver->flush_event == NULL || driver->hold_event == NULL) {
        (void)snprintf(error, error_bytes, "out of memory");
        return SGN_ERR_NOMEM;
    }
    sgn_own_witness_init(&driver->own,
                         driver->ring.name,
                         driver->config->listen,
                         driver->config->witness_memory_bytes);
    sgn_driver_follow_map(driver);
    return SGN_OK;
}

void sgn_driver_turn(struct sgn_driver *driver)
{
    if (driver->coalesce.asked > 0 && !sgn_engine_checks_asked(driver->engine)) {
        sgn_coalesce_answered(
            &driver->coalesce, sgn_clock_us(), sgn_engine_checks_gathered(driver->engine));
    }
    if (driver->hold_event != NULL && !driver->flush_armed &&
        sgn_engine_wants_flush(driver->engine) && !hold(driver)) {
        flush_arm(driver, 0);
    }
}
