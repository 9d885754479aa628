/* ring/net/conn_state.h - inside of wires and connections, for wire.c, conn.c and conn_read.c
 * alone.
 *
 *   dial --> CONNECTING --+--> OPEN --> DRAINING --> CLOSED
 *   adopt ----------------+     |                      ^
 *                               +----------------------+
 *
 * `gone`: the owner has been told, or has said, that it is over: no callback any more.
 * `depth`: callbacks of this connection on the stack; CLOSED memory is freed when it returns to
 * 0. */
#ifndef SGN_NET_CONN_STATE_H
#define SGN_NET_CONN_STATE_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/queue.h>

#include "ring/net/conn.h"
#include "ring/net/msg_codec.h"
#include "ring/net/out_queue.h"

#define SGN_WIRE_READ_BYTES  (256u << 10) /* One read of a connection with no half message. */
#define SGN_CONN_LINGER_MS   1000u        /* A refused side has this long to read why. */
#define SGN_CONN_PAUSE_BYTES (4u << 20)   /* Unread answers that stop the reading of requests. */
#define SGN_CONN_EARLY_BYTES                                                                       \
    (256u << 10) /* More than this queued is written before the turn ends. */

enum sgn_conn_state {
    SGN_CONN_CONNECTING,
    SGN_CONN_OPEN,
    SGN_CONN_DRAINING,
    SGN_CONN_CLOSED,
};

TAILQ_HEAD(sgn_conn_list, sgn_conn);

struct sgn_wire {
    struct event_base *base;
    struct event flush_event; /* Made active by the first send of a turn. */
    struct event sweep_event; /* Ticks while there are connections. */
    struct sgn_conn_list conns, dirty;
    struct sgn_out_cache cache;
    struct sgn_msg_decoder *decoder;
    struct sgn_wire_counts counts;
    uint8_t read_buffer[SGN_WIRE_READ_BYTES];
};

struct sgn_conn {
    TAILQ_ENTRY(sgn_conn) link, dirty_link;
    struct sgn_wire *wire;
    enum sgn_conn_state state;
    bool dialled, established, gone, dirty, paused, lingers;
    uint32_t depth;
    int fd;
    int broken; /* errno met where no callback may run; the flush ends the connection. */
    struct event read_event, write_event;
    struct sgn_conn_options options;
    uint64_t types;
    uint64_t since_ms; /* When it was made, began to drain, or last received. */
    uint8_t *in;       /* The beginning of a message that has not come whole, or is held back. */
    size_t in_count, in_cap;
    size_t in_need; /* Bytes of that message as far as known. */
    struct sgn_out_queue out;
    char peer_text[SGN_ADDRESS_TEXT_BYTES];
};

uint64_t sgn_conn_now_ms(void);

/* conn.c */
void sgn_conn_mark_dirty(struct sgn_conn *conn);
/* Ends it from a callback of the loop: tells the owner, then closes. */
void sgn_conn_end(struct sgn_conn *conn, enum sgn_err err, const char *why);
/* The same for what it sent: the other side is told too. */
void sgn_conn_end_bad_input(struct sgn_conn *conn,
                            uint32_t request,
                            enum sgn_err err,
                            const char *why);
void sgn_conn_end_errno(struct sgn_conn *conn, int error);
/* Writes what the socket takes; called by the flush and when the socket takes bytes again. */
void sgn_conn_flush(struct sgn_conn *conn);
void sgn_conn_release(struct sgn_conn *conn);
/* Frees the memory of a closed connection once no callback of it is on the stack. */
void sgn_conn_leave(struct sgn_conn *conn);

/* conn_read.c */
void sgn_conn_on_readable(evutil_socket_t fd, short what, void *arg);
/* Stops reading, or goes on with what is held back. */
void sgn_conn_pace(struct sgn_conn *conn);

#endif
