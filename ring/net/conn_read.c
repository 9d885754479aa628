#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "ring/core/check.h"
#include "ring/net/conn_state.h"

#define IN_BYTES_MIN  4096u
#define IN_BYTES_KEPT (64u << 10) /* A larger buffer goes back to the allocator when it is empty. */

/* Hands out every whole message in the bytes. Returns how many bytes are done with; in_need is what
 * the next message needs. Stops when the connection is over or held back. */
static size_t deliver(struct sgn_conn *conn, const uint8_t *bytes, size_t count)
{
    struct sgn_wire *wire = conn->wire;
    size_t used = 0;
    conn->in_need = SGN_FRAME_HEADER_BYTES;
    while (!conn->gone && !conn->paused && count - used >= SGN_FRAME_HEADER_BYTES) {
        const uint8_t *raw = bytes + used;
        struct sgn_why why;
        struct sgn_frame frame;
        struct sgn_msg msg;
        enum sgn_err err = sgn_frame_decode(raw, conn->types, &frame, &why);
        if (err == SGN_OK && count - used - SGN_FRAME_HEADER_BYTES < frame.body_bytes) {
            conn->in_need = SGN_FRAME_HEADER_BYTES + frame.body_bytes;
            break;
        }
        struct sgn_bytes body = sgn_bytes_of(raw + SGN_FRAME_HEADER_BYTES, frame.body_bytes);
        if (err == SGN_OK) {
            err = sgn_frame_verify(raw, body, &why);
        }
        if (err == SGN_OK) {
            err = sgn_msg_decode(wire->decoder, &frame, body, &msg, &why);
        }
        if (err != SGN_OK) {
            sgn_conn_end_bad_input(conn, frame.request, err, why.text);
            break;
        }
        used += SGN_FRAME_HEADER_BYTES + frame.body_bytes;
        wire->counts.messages_in++;
        conn->options.events->message(conn, &msg, conn->options.user);
        if (!conn->gone) {
            sgn_conn_pace(conn);
        }
    }
    return used;
}

/* Makes room to read more of a message that has begun: what has come doubles, up to what is needed,
 * so a header that promises much costs nothing until the bytes are there. */
static bool make_room(struct sgn_conn *conn)
{
    size_t cap = conn->in_count * 2;
    if (cap > conn->in_need) {
        cap = conn->in_need;
    }
    if (cap < conn->in_count + IN_BYTES_MIN) {
        cap = conn->in_count + IN_BYTES_MIN;
    }
    if (cap <= conn->in_cap) {
        return true;
    }
    uint8_t *in = realloc(conn->in, cap);
    if (in == NULL) {
        return false;
    }
    conn->in = in;
    conn->in_cap = cap;
    return true;
}

/* Keeps what is left behind the delivered messages. */
static bool keep_rest(struct sgn_conn *conn, const uint8_t *rest, size_t count)
{
    if (count > conn->in_cap) {
        uint8_t *in = realloc(conn->in, count); /* Never when rest lies in conn->in. */
        if (in == NULL) {
            return false;
        }
        conn->in = in;
        conn->in_cap = count;
    }
    if (count > 0) {
        /* What was reallocated is not where rest lies: see above. */
        memmove(conn->in, rest, count); /* NOLINT(clang-analyzer-unix.Malloc) */
    } else if (conn->in_cap > IN_BYTES_KEPT) {
        free(conn->in);
        conn->in = NULL;
        conn->in_cap = 0;
    }
    conn->in_count = count;
    return true;
}

static void end_of_stream(struct sgn_conn *conn, ssize_t got)
{
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (conn->gone) {
        sgn_conn_release(conn);
    } else if (got < 0) {
        sgn_conn_end_errno(conn, errno);
    } else {
        sgn_conn_end(conn,
                     SGN_ERR_NETWORK,
                     conn->in_count > 0
                         ? "the other side closed the connection in the middle of a message"
                         : "the other side closed the connection");
    }
}

static void deliver_and_keep(struct sgn_conn *conn, const uint8_t *bytes, size_t count)
{
    size_t used = deliver(conn, bytes, count);
    if (!conn->gone && !keep_rest(conn, bytes + used, count - used)) {
        sgn_conn_end(conn, SGN_ERR_NOMEM, "no memory for a message that is arriving");
    }
}

static void read_messages(struct sgn_conn *conn)
{
    struct sgn_wire *wire = conn->wire;
    bool begun = conn->in_count > 0;
    if (begun && !make_room(conn)) {
        sgn_conn_end(conn, SGN_ERR_NOMEM, "no memory for a message that is arriving");
        return;
    }
    uint8_t *into = begun ? conn->in + conn->in_count : wire->read_buffer;
    size_t room = begun ? conn->in_cap - conn->in_count : sizeof(wire->read_buffer);
    SGN_ASSERT(room > 0);
    ssize_t got = recv(conn->fd, into, room, 0);
    wire->counts.reads++;
    if (got <= 0) {
        end_of_stream(conn, got);
        return;
    }
    wire->counts.bytes_in += (uint64_t)got;
    conn->since_ms = conn->established ? sgn_conn_now_ms() : conn->since_ms;
    if (!begun) {
        deliver_and_keep(conn, wire->read_buffer, (size_t)got);
        return;
    }
    conn->in_count += (size_t)got;
    if (conn->in_count >= conn->in_need) {
        deliver_and_keep(conn, conn->in, conn->in_count);
    }
}

/* A refused side's bytes are read and dropped: closing over unread bytes would reset the connection
 * and take the refusal with it. */
static void read_and_drop(struct sgn_conn *conn)
{
    ssize_t got = recv(conn->fd, conn->wire->read_buffer, sizeof(conn->wire->read_buffer), 0);
    if (got == 0 && conn->out.bytes > 0) { /* It sends no more, but may still read. */
        conn->lingers = false;
        (void)event_del(&conn->read_event);
    } else if (got <= 0) {
        end_of_stream(conn, got);
    }
}

void sgn_conn_on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct sgn_conn *conn = arg;
    conn->depth++;
    if (conn->state == SGN_CONN_DRAINING) {
        read_and_drop(conn);
    } else if (conn->state == SGN_CONN_OPEN && !conn->paused) {
        if (conn->in_count >= conn->in_need && conn->in_count > 0) { /* Held back before. */
            deliver_and_keep(conn, conn->in, conn->in_count);
        } else {
            read_messages(conn);
        }
    }
    sgn_conn_leave(conn);
}

void sgn_conn_pace(struct sgn_conn *conn)
{
    if (conn->dialled || conn->state != SGN_CONN_OPEN) {
        return;
    }
    if (!conn->paused && conn->out.bytes > SGN_CONN_PAUSE_BYTES) {
        conn->paused = true;
        (void)event_del(&conn->read_event);
    } else if (conn->paused && conn->out.bytes <= SGN_CONN_PAUSE_BYTES / 2) {
        conn->paused = false;
        if (event_add(&conn->read_event, NULL) != 0) {
            conn->broken = ENOMEM;
            sgn_conn_mark_dirty(conn);
            return;
        }
        event_active(&conn->read_event, EV_READ, 0); /* Whole messages may be waiting in `in`. */
    }
}
