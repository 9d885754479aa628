/* ring/net/conn.h - framed connections on one libevent loop.
 *
 * A wire is what all connections of one loop share: the read buffer, the decoder, the list of
 * connections with something to send. A connection hands out whole, checked messages and takes
 * messages to send; what is sent during one turn of the loop leaves in one write at its end.
 *
 * Life:    dial or adopt -> [up, dialled only] -> message ... -> closed
 *          `closed` comes exactly once, when the connection ends by itself; the pointer is dead
 *          when it returns. sgn_conn_close and sgn_conn_fail end it without calling `closed`;
 *          the pointer is dead at once. Both may be called from inside any callback, sends too.
 *          No callback ever runs inside sgn_conn_dial, _adopt, _send, _close or _fail.
 * First:   until sgn_conn_take_types is called a connection takes only HELLO (and, dialled, RESULT:
 *          a refusal). If that call does not come within handshake_ms the connection ends.
 * Bounds:  one message in, at most its type's limit, room made as bytes arrive; out_bytes_max out.
 *          An accepted connection whose answers are not read is not read from either until they
 *          are. A dialled one refuses sends with SGN_ERR_BUSY but goes on reading, so that two
 *          full ends never wait for each other.
 * Bad input (garbage, wrong version, a frame too large, a bad CRC or body): the connection ends; an
 *          accepted one first sends a RESULT with the error and a sentence, and leaves a second to
 *          read it.
 * Threads: everything of a wire runs on the thread of its loop. */
#ifndef SGN_NET_CONN_H
#define SGN_NET_CONN_H

#include <stdint.h>

#include "ring/core/err.h"
#include "ring/core/msg.h"
#include "ring/net/address.h"
#include "ring/net/frame.h"
#include "ring/net/why.h"

struct event_base;
struct sgn_wire;
struct sgn_conn;

#define SGN_CONN_OUT_BYTES_MAX (64u << 20)
#define SGN_CONN_HANDSHAKE_MS  5000u
#define SGN_WIRE_SWEEP_MS      100u /* Timeouts of connections are looked at this often. */

struct sgn_conn_events {
    /* Dialled only: the socket stands; send HELLO now. */
    void (*up)(struct sgn_conn *conn, void *user);
    /* Bytes in msg are valid until it returns. */
    void (*message)(struct sgn_conn *conn, const struct sgn_msg *msg, void *user);
    /* err is never SGN_OK: SGN_ERR_NETWORK with "the other side closed the connection" is the
     * end of a good one. why is valid until it returns. */
    void (*closed)(struct sgn_conn *conn, enum sgn_err err, const char *why, void *user);
};

struct sgn_conn_options {
    const struct sgn_conn_events *events; /* Static: outlives the connection. */
    void *user;
    size_t out_bytes_max;  /* 0: SGN_CONN_OUT_BYTES_MAX. */
    uint32_t handshake_ms; /* Connect and first HELLO; 0: SGN_CONN_HANDSHAKE_MS. */
    uint32_t idle_ms;      /* Nothing received for this long ends it; 0: never. */
    uint32_t unacked_ms;   /* Sent and not acknowledged for this long ends it; 0: the system's. */
};

struct sgn_wire_counts {
    uint64_t messages_in, messages_out, bytes_in, bytes_out, reads, writes;
    uint64_t bad_input; /* Connections ended for what they sent. */
    uint32_t conns;
};

/* The base must outlive the wire. NULL if out of memory. */
struct sgn_wire *sgn_wire_create(struct event_base *base);
/* Ends every connection left without a callback. */
void sgn_wire_destroy(struct sgn_wire *wire);
struct event_base *sgn_wire_base(struct sgn_wire *wire);
const struct sgn_wire_counts *sgn_wire_counts(const struct sgn_wire *wire);
/* Writes what is queued now instead of at the end of the turn; for a program about to end its
 * loop. */
void sgn_wire_flush(struct sgn_wire *wire);

/* Starts to connect. Success or failure comes by `up` or `closed`. SGN_ERR_NETWORK (no socket) or
 * SGN_ERR_NOMEM at once otherwise. */
enum sgn_err sgn_conn_dial(struct sgn_wire *wire,
                           const struct sgn_address *address,
                           const struct sgn_conn_options *options,
                           struct sgn_conn **conn);

/* Takes over an accepted, non-blocking socket; closes it on failure too (SGN_ERR_NOMEM). */
enum sgn_err sgn_conn_adopt(struct sgn_wire *wire,
                            int fd,
                            const struct sgn_address *from,
                            const struct sgn_conn_options *options,
                            struct sgn_conn **conn);

/* The handshake is done: from the next message on, these types are taken. */
void sgn_conn_take_types(struct sgn_conn *conn, uint64_t types);

/* Queues a copy. SGN_ERR_BUSY: the queue is full, nothing was queued. SGN_ERR_TOO_LARGE,
 * SGN_ERR_INVALID: the message cannot be sent. SGN_ERR_NETWORK: the connection is not up or is
 * ending (`closed` is on its way). SGN_ERR_NOMEM. */
enum sgn_err sgn_conn_send(struct sgn_conn *conn, const struct sgn_msg *msg);

/* Ends the connection; what is queued is still written if the socket takes it within a second. */
void sgn_conn_close(struct sgn_conn *conn);
/* The same; an accepted connection sends a RESULT with err and sentence in answer to `request`
 * first. */
void sgn_conn_fail(struct sgn_conn *conn, uint32_t request, enum sgn_err err, const char *why);

/* "127.0.0.1:50312" of the other side. Valid as long as the connection. */
const char *sgn_conn_peer_text(const struct sgn_conn *conn);
size_t sgn_conn_out_bytes(const struct sgn_conn *conn);
void sgn_conn_set_user(struct sgn_conn *conn, void *user);
void *sgn_conn_user(const struct sgn_conn *conn);

#endif
