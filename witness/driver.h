/* witness/driver.h - runs the witness on real I/O: one loop, one listener, sessions that answer.
 *
 *   socket -> session -> MAP_IS, WITNESS, SEED, PING -> sgn_witness_step -> answer -> session
 *                     -> STATUS                      -> JSON
 *
 * Every request is answered before the next is looked at; nothing waits, nothing is kept but the
 * table. Whoever says HELLO as a node of the ring may ask everything; a client only STATUS.
 * Owns:    everything it points to but `config` and `base`.
 * Threads: the loop's. */
#ifndef SGN_WITNESS_DRIVER_H
#define SGN_WITNESS_DRIVER_H

#include "ring/core/witness.h"
#include "ring/net/conn.h"
#include "ring/net/hello.h"
#include "ring/net/listener.h"
#include "witness/options.h"

struct event;
struct event_base;

#define SGN_WITNESS_CLIENTS_MAX  64u /* Only people and their tools; nodes must find room. */
#define SGN_WITNESS_SESSIONS_MAX (2u * SGN_NODES_MAX + SGN_WITNESS_CLIENTS_MAX + 64u)
#define SGN_WITNESS_OLD_MARK_MS  3000u
#define SGN_WITNESS_IDLE_MS      300000u /* Nodes ask far more often than that. */

struct sgn_witness_driver;

struct sgn_witness_session {
    struct sgn_witness_driver *driver;
    struct sgn_conn *conn;
    bool greeted;
    uint32_t node; /* 0: a client, or HELLO not seen yet. */
    uint32_t next_free;
};

struct sgn_witness_driver {
    const struct sgn_witness_config *config;
    struct event_base *base;
    struct event *second_event;
    void *memory;
    struct sgn_witness *witness;
    struct sgn_wire *wire;
    struct sgn_listener *listener;
    struct sgn_hello self;
    struct sgn_witness_session sessions[SGN_WITNESS_SESSIONS_MAX];
    uint32_t session_free, nodes, clients;
    uint64_t requests, refused;
    uint64_t started_ms;
    uint64_t overflows_told; /* These three: in the log. */
    uint32_t dropped_told, version_told;
    uint8_t *room; /* SGN_PAGE_BYTES_MAX: where an answer's items are put. */
};

/* SGN_OK, or *driver is NULL and `error` holds one sentence. */
enum sgn_err sgn_witness_driver_create(const struct sgn_witness_config *config,
                                       struct event_base *base,
                                       struct sgn_witness_driver **driver,
                                       char *error,
                                       size_t error_bytes);
void sgn_witness_driver_destroy(struct sgn_witness_driver *driver);

/* One request (MAP_IS, WITNESS, SEED or PING) of node `node`; `answer` points into the driver's
 * memory until the next. */
void sgn_witness_driver_ask(struct sgn_witness_driver *driver,
                            uint32_t node,
                            const struct sgn_msg *msg,
                            struct sgn_msg *answer);

uint64_t sgn_witness_clock_ms(void); /* Monotonic. */

/* witness/session.c */
void sgn_witness_sessions_init(struct sgn_witness_driver *driver);
void sgn_witness_sessions_close(struct sgn_witness_driver *driver);
void sgn_witness_accept(int fd, const struct sgn_address *from, void *user); /* sgn_accept_fn */

/* witness/status.c: JSON, to be freed; NULL if out of memory. */
char *sgn_witness_status_json(const struct sgn_witness_driver *driver, size_t *bytes);
struct evbuffer;
void sgn_witness_metrics_write(const struct sgn_witness_driver *driver, struct evbuffer *out);
/* Of those what is the witness's, not its process's: for a node that carries one. */
void sgn_witness_table_metrics_write(const struct sgn_witness_driver *driver, struct evbuffer *out);
/* The admin port's answers: sgn_http_fn. */
struct evhttp_request;
void sgn_witness_http(struct evhttp_request *request, const char *path, void *user);

#endif
