/* node/driver.h - runs the engine on real I/O: one loop, one store, the peers and the sessions.
 *
 *   socket -> session -> REQUEST, MESSAGE --+
 *   peers  -> PEER_UP, _DOWN, MESSAGE ------+--> sgn_engine_step --> SEND   -> peers
 *   store  -> LOADED, STORED, SCANNED ------+                        REPLY  -> session of the token
 *   timer  -> TICK -------------------------+                        LOAD, STORE, SCAN -> store
 *
 * A read that memory answers is done at once, but its LOADED waits in `ready` until the effects of
 * the step are done: the engine is never entered twice.
 * A *call* is a request under way; its token names slot and generation, so an answer that comes
 * after its session has gone finds nobody and is dropped.
 * Invariants: a call is freed by exactly one REPLY; a session's `calls` counts its calls.
 * Owns:       everything it points to but `config` and `base`.
 * Threads:    the loop's. Start and stop wait for the disk, nothing else does. */
#ifndef SGN_NODE_DRIVER_H
#define SGN_NODE_DRIVER_H

#include <stdint.h>

#include "node/coalesce.h"
#include "node/metrics.h"
#include "node/options.h"
#include "node/own_witness.h"
#include "node/pool.h"
#include "node/store.h"
#include "node/watch.h"
#include "ring/core/engine.h"
#include "ring/core/prng.h"
#include "ring/net/conn.h"
#include "ring/net/hello.h"
#include "ring/net/listener.h"
#include "ring/net/peers.h"

struct event;
struct event_base;

#define SGN_CALLS_MAX      32768u             /* Of all sessions; past it BUSY. */
#define SGN_PEER_CALLS_MAX (2u * SGN_OPS_MAX) /* Of one peer: all its coordinators at once. */

struct sgn_driver;

struct sgn_session {
    struct sgn_driver *driver;
    struct sgn_conn *conn;
    uint32_t generation; /* Raised when the slot is freed. */
    uint32_t node;       /* 0: a client, or HELLO not seen yet. */
    bool greeted;
    uint32_t calls;
    uint32_t next_free;
};

struct sgn_call {
    uint32_t generation;
    uint32_t session; /* Slot, and the generation the session had. */
    uint32_t session_generation;
    uint32_t request;
    uint32_t type;
    bool busy;
    bool from_client;
    uint64_t began_us;
    uint32_t next_free;
};

/* A result the driver has at once, to be fed when the step's effects are done. */
struct sgn_ready {
    enum sgn_event_type type;
    uint64_t token;
    int err;
    struct sgn_store_value value;
};

struct sgn_ready_queue {
    struct sgn_ready *list; /* A ring; cap is a power of two. */
    uint32_t cap, head, count;
};

enum sgn_driver_state { SGN_DRIVER_STARTING, SGN_DRIVER_READY, SGN_DRIVER_DRAINING };

struct sgn_driver {
    const struct sgn_config *config;
    struct event_base *base;
    enum sgn_driver_state state;
    struct sgn_ring ring;
    uint16_t *table;
    uint64_t ring_digest;

    struct sgn_store *store;
    struct sgn_store_identity identity;
    struct event *store_event;
    struct event *commit_event; /* Behind all that the turn brings to be stored. */
    struct event *tick_event;
    struct event *drain_event;
    struct event *flush_event;
    bool flush_armed;
    struct event *hold_event;            /* When checks have been held long enough. */
    struct sgn_coalesce coalesce;        /* How long that is worth it. */
    uint32_t flush_turns;                /* It was put off by. */
    uint64_t feeds;                      /* Events brought to the engine. */
    uint64_t feeds_seen;                 /* When the flush was armed. */
    uint32_t map_version;                /* Followed by the connections to witnesses. */
    uint32_t dialled[SGN_WITNESSES_MAX]; /* Witness ids. */
    uint32_t dialled_count;
    struct sgn_watch watch;
    struct sgn_own_witness own;

    struct sgn_engine *engine;
    void *engine_memory;
    struct sgn_node_pool pool;
    struct sgn_effects *effects;
    bool stepping;
    struct sgn_ready_queue ready;
    struct sgn_prng prng;

    struct sgn_wire *wire;
    struct sgn_listener *listener;
    struct sgn_peers *peers;
    struct sgn_hello self;

    struct sgn_session *sessions;
    uint32_t session_cap, session_free, clients, peer_sessions, accepted;
    struct sgn_call *calls;
    uint32_t call_free, call_count, client_calls;

    struct sgn_metrics metrics;
    uint64_t started_us;
    uint64_t drain_deadline_us;
    uint64_t ticks;
    uint64_t last_tick_us, tick_late_us_max;
};

/* Opens everything and restores the engine. SGN_OK, or *driver is NULL and `error` (at least
 * SGN_STORE_ERROR_BYTES) holds one sentence. */
enum sgn_err sgn_driver_create(const struct sgn_config *config,
                               struct event_base *base,
                               struct sgn_driver **driver,
                               char *error,
                               size_t error_bytes);

/* Takes no more clients' requests, waits for those under way (at most config->drain_ms), then ends
 * the loop. */
void sgn_driver_drain(struct sgn_driver *driver);

/* Frees all; closes the store cleanly. The store's verdict. */
enum sgn_err sgn_driver_destroy(struct sgn_driver *driver);

/* One event into the engine, and everything that follows from it. Not from inside itself. */
void sgn_driver_feed(struct sgn_driver *driver, struct sgn_event *event);
/* Keeps a result for after the current step. */
void sgn_driver_ready(struct sgn_driver *driver, struct sgn_ready ready);

/* The engine knows few outcomes of a disk; a full queue and a full memory are both "busy". */
int sgn_driver_disk_err(enum sgn_err err);

/* node/loop.c: dials every peer; listens to the store and the clock. */
enum sgn_err sgn_driver_start_peers(struct sgn_driver *driver, char *error, size_t error_bytes);
enum sgn_err sgn_driver_start_events(struct sgn_driver *driver, char *error, size_t error_bytes);

/* node/fleet.c: connections to the map's witnesses; the end of a turn. */
enum sgn_err sgn_driver_start_fleet(struct sgn_driver *driver, char *error, size_t error_bytes);
void sgn_driver_follow_map(struct sgn_driver *driver);
/* The witness of this process starts and ends with its line in the map. Again every second, for a
 * port may be in use. */
void sgn_driver_follow_own(struct sgn_driver *driver);
void sgn_driver_turn(struct sgn_driver *driver);

/* node/session.c */
enum sgn_err sgn_sessions_create(struct sgn_driver *driver);
void sgn_sessions_destroy(struct sgn_driver *driver);
void sgn_sessions_accept(int fd, const struct sgn_address *from, void *user); /* sgn_accept_fn */
/* An answer of the engine. Bytes are only read. */
void sgn_sessions_reply(struct sgn_driver *driver, uint64_t token, const struct sgn_msg *answer);

/* node/restore.c: what the store remembers, before the first request. */
enum sgn_err sgn_driver_check_ring(struct sgn_driver *driver, char *error, size_t error_bytes);
enum sgn_err sgn_driver_restore(struct sgn_driver *driver, char *error, size_t error_bytes);

uint64_t sgn_clock_us(void);      /* Monotonic. */
uint64_t sgn_clock_wall_ms(void); /* Since 1970. */

#endif
