#include "ring/net/conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "ring/core/check.h"
#include "ring/net/conn_state.h"

/* -- Ending -- */

void sgn_conn_leave(struct sgn_conn *conn)
{
    SGN_ASSERT(conn->depth > 0);
    conn->depth--;
    if (conn->depth == 0 && conn->state == SGN_CONN_CLOSED) {
        free(conn->in); /* Not before: the message in a callback's hands may lie in it. */
        free(conn);
    }
}

void sgn_conn_release(struct sgn_conn *conn)
{
    SGN_ASSERT(conn->state != SGN_CONN_CLOSED);
    struct sgn_wire *wire = conn->wire;
    (void)event_del(&conn->read_event);
    (void)event_del(&conn->write_event);
    (void)close(conn->fd);
    TAILQ_REMOVE(&wire->conns, conn, link);
    if (conn->dirty) {
        TAILQ_REMOVE(&wire->dirty, conn, dirty_link);
    }
    wire->counts.conns--;
    if (wire->counts.conns == 0) {
        (void)event_del(&wire->sweep_event); /* A wire without connections wakes nobody. */
    }
    sgn_out_clear(&conn->out);
    conn->state = SGN_CONN_CLOSED;
    conn->depth++;
    sgn_conn_leave(conn);
}

/* The owner is done with it; what is queued still goes out. `lingers`: wait until the other side
 * has closed as well, so that it surely could read the last message. */
static void drain(struct sgn_conn *conn)
{
    SGN_ASSERT(conn->gone);
    conn->state = SGN_CONN_DRAINING;
    conn->since_ms = sgn_conn_now_ms();
    bool reads = conn->lingers;
    if (reads ? event_add(&conn->read_event, NULL) != 0 : event_del(&conn->read_event) != 0) {
        conn->broken = ENOMEM;
    }
    sgn_conn_mark_dirty(conn);
}

static enum sgn_err queue_msg(struct sgn_conn *conn, const struct sgn_msg *msg)
{
    struct sgn_sink sink = sgn_out_reserve(&conn->out, sgn_msg_frame_bytes_max(msg));
    if (sink.cap == 0) {
        return SGN_ERR_NOMEM;
    }
    enum sgn_err err = sgn_msg_encode(msg, &sink, NULL);
    if (err == SGN_OK) {
        sgn_out_commit(&conn->out, sink.count);
        conn->wire->counts.messages_out++;
    }
    return err;
}

/* Only the accepting side says why: a RESULT is an answer, and a node takes none from who asks
 * it. */
static void queue_refusal(struct sgn_conn *conn,
                          uint32_t request,
                          enum sgn_err err,
                          const char *why)
{
    if (conn->dialled || conn->state != SGN_CONN_OPEN) {
        return;
    }
    struct sgn_msg msg = {
        .type = SGN_MSG_RESULT,
        .request = request,
        .err = err,
        .text = sgn_bytes_of(why, strnlen(why, SGN_WHY_BYTES)),
    };
    conn->lingers = queue_msg(conn, &msg) == SGN_OK; /* Without memory it ends without a word. */
}

static void finish(struct sgn_conn *conn)
{
    conn->gone = true;
    if (conn->state == SGN_CONN_OPEN && conn->broken == 0 && conn->out.bytes > 0) {
        drain(conn);
    } else {
        sgn_conn_release(conn);
    }
}

static void tell_closed(struct sgn_conn *conn, enum sgn_err err, const char *why)
{
    SGN_ASSERT(!conn->gone);
    SGN_ASSERT(err != SGN_OK);
    conn->gone = true;
    conn->options.events->closed(conn, err, why, conn->options.user);
}

void sgn_conn_end(struct sgn_conn *conn, enum sgn_err err, const char *why)
{
    conn->depth++;
    if (!conn->gone) {
        tell_closed(conn, err, why);
    }
    sgn_conn_release(conn);
    sgn_conn_leave(conn);
}

void sgn_conn_end_errno(struct sgn_conn *conn, int error)
{
    struct sgn_why why;
    char reason[96];
    sgn_why_set(&why,
                "the connection %s %s failed: %s",
                conn->dialled ? "to" : "from",
                conn->peer_text,
                strerror_r(error, reason, sizeof(reason)));
    sgn_conn_end(conn, error == ENOMEM ? SGN_ERR_NOMEM : SGN_ERR_NETWORK, why.text);
}

void sgn_conn_end_bad_input(struct sgn_conn *conn,
                            uint32_t request,
                            enum sgn_err err,
                            const char *why)
{
    conn->wire->counts.bad_input++;
    queue_refusal(conn, request, err, why);
    conn->depth++;
    tell_closed(conn, err, why);
    finish(conn);
    sgn_conn_leave(conn);
}

void sgn_conn_close(struct sgn_conn *conn)
{
    if (!conn->gone) {
        finish(conn);
    }
}

void sgn_conn_fail(struct sgn_conn *conn, uint32_t request, enum sgn_err err, const char *why)
{
    if (!conn->gone) {
        queue_refusal(conn, request, err, why);
        finish(conn);
    }
}

/* -- Writing -- */

void sgn_conn_mark_dirty(struct sgn_conn *conn)
{
    struct sgn_wire *wire = conn->wire;
    if (conn->dirty) {
        return;
    }
    if (TAILQ_EMPTY(&wire->dirty)) {
        event_active(&wire->flush_event, EV_TIMEOUT, 0);
    }
    TAILQ_INSERT_TAIL(&wire->dirty, conn, dirty_link);
    conn->dirty = true;
}

/* Waits for the socket to take bytes, or does so no more. 0 or errno. */
static int await_writable(struct sgn_conn *conn, bool wanted)
{
    bool waits = event_pending(&conn->write_event, EV_WRITE, NULL) != 0;
    if (wanted == waits) {
        return 0;
    }
    int failed = wanted ? event_add(&conn->write_event, NULL) : event_del(&conn->write_event);
    return failed == 0 ? 0 : ENOMEM;
}

static int write_some(struct sgn_conn *conn)
{
    size_t written = 0;
    int error = sgn_out_write(&conn->out, conn->fd, &written);
    conn->wire->counts.writes++;
    conn->wire->counts.bytes_out += written;
    if (error != 0 && error != EAGAIN) {
        return error;
    }
    return await_writable(conn, conn->out.bytes > 0);
}

void sgn_conn_flush(struct sgn_conn *conn)
{
    SGN_ASSERT(conn->state == SGN_CONN_OPEN || conn->state == SGN_CONN_DRAINING);
    int error = conn->out.bytes > 0 ? write_some(conn) : 0;
    if (error != 0) {
        sgn_conn_end_errno(conn, error);
        return;
    }
    if (conn->state == SGN_CONN_DRAINING && conn->out.bytes == 0) {
        if (!conn->lingers || shutdown(conn->fd, SHUT_WR) != 0) {
            sgn_conn_release(conn);
        }
        return;
    }
    sgn_conn_pace(conn);
}

enum sgn_err sgn_conn_send(struct sgn_conn *conn, const struct sgn_msg *msg)
{
    if (conn->state != SGN_CONN_OPEN || conn->gone || conn->broken != 0) {
        return SGN_ERR_NETWORK;
    }
    size_t most = conn->options.out_bytes_max;
    size_t bytes = sgn_msg_frame_bytes_max(msg);
    /* An empty queue takes any message, or one larger than a small queue could never be sent. */
    if (conn->out.bytes > 0 && (conn->out.bytes >= most || bytes > most - conn->out.bytes)) {
        return SGN_ERR_BUSY;
    }
    enum sgn_err err = queue_msg(conn, msg);
    if (err != SGN_OK) {
        return err;
    }
    if (conn->out.bytes > SGN_CONN_EARLY_BYTES &&
        !event_pending(&conn->write_event, EV_WRITE, NULL)) {
        conn->broken = write_some(conn);
    }
    if (conn->broken != 0 ||
        (conn->out.bytes > 0 && !event_pending(&conn->write_event, EV_WRITE, NULL))) {
        sgn_conn_mark_dirty(conn);
    }
    return SGN_OK;
}

/* -- Beginning -- */

static void on_connected(struct sgn_conn *conn)
{
    int error = 0;
    socklen_t count = sizeof(error);
    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &count) != 0) {
        error = errno;
    }
    error = error == 0 ? await_writable(conn, false) : error;
    if (error == 0 && event_add(&conn->read_event, NULL) != 0) {
        error = ENOMEM;
    }
    if (error != 0) {
        sgn_conn_end_errno(conn, error);
        return;
    }
    conn->state = SGN_CONN_OPEN;
    conn->options.events->up(conn, conn->options.user);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct sgn_conn *conn = arg;
    conn->depth++;
    if (conn->state == SGN_CONN_CONNECTING) {
        on_connected(conn);
    } else if (conn->state != SGN_CONN_CLOSED && conn->broken == 0) {
        sgn_conn_flush(conn);
    }
    /* The depth taken above has kept it, whatever was called. */
    sgn_conn_leave(conn); /* NOLINT(clang-analyzer-unix.Malloc) */
}

/* Owns fd only on success. */
static struct sgn_conn *conn_create(struct sgn_wire *wire,
                                    int fd,
                                    const struct sgn_address *address,
                                    const struct sgn_conn_options *options)
{
    SGN_ASSERT(options->events != NULL);
    struct sgn_conn *conn = calloc(1, sizeof(*conn));
    if (conn == NULL) {
        return NULL;
    }
    conn->wire = wire;
    conn->fd = fd;
    conn->options = *options;
    if (options->out_bytes_max == 0) {
        conn->options.out_bytes_max = SGN_CONN_OUT_BYTES_MAX;
    }
    if (options->handshake_ms == 0) {
        conn->options.handshake_ms = SGN_CONN_HANDSHAKE_MS;
    }
    conn->types = SGN_TYPES_HELLO;
    conn->since_ms = sgn_conn_now_ms();
    conn->in_need = SGN_FRAME_HEADER_BYTES;
    conn->out.cache = &wire->cache;
    sgn_address_format(address, conn->peer_text);

    struct timeval sweep = {.tv_usec = SGN_WIRE_SWEEP_MS * 1000};
    int yes = 1;
    /* Without it a small answer may wait for the other side's acknowledgement of the one before;
     * a socket that is not TCP does not have that trouble. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    if (options->unacked_ms > 0) {
        int unacked_ms = (int)options->unacked_ms;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked_ms, sizeof(unacked_ms));
    }
    if (event_assign(
            &conn->read_event, wire->base, fd, EV_READ | EV_PERSIST, sgn_conn_on_readable, conn) !=
            0 ||
        event_assign(
            &conn->write_event, wire->base, fd, EV_WRITE | EV_PERSIST, on_writable, conn) != 0 ||
        (wire->counts.conns == 0 && event_add(&wire->sweep_event, &sweep) != 0)) {
        free(conn);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&wire->conns, conn, link);
    wire->counts.conns++;
    return conn;
}

enum sgn_err sgn_conn_dial(struct sgn_wire *wire,
                           const struct sgn_address *address,
                           const struct sgn_conn_options *options,
                           struct sgn_conn **conn)
{
    SGN_ASSERT(options->events->up != NULL);
    *conn = NULL;
    int fd = socket(address->at.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return SGN_ERR_NETWORK;
    }
    struct sgn_conn *dialled = conn_create(wire, fd, address, options);
    if (dialled == NULL) {
        (void)close(fd);
        return SGN_ERR_NOMEM;
    }
    dialled->dialled = true;
    dialled->state = SGN_CONN_CONNECTING;
    dialled->types = SGN_TYPES_HELLO | SGN_TYPE_BIT(SGN_MSG_RESULT);
    if (connect(fd, &address->at.any, address->count) != 0 && errno != EINPROGRESS) {
        dialled->broken = errno;
    } else {
        dialled->broken = await_writable(dialled, true);
    }
    if (dialled->broken != 0) {
        sgn_conn_mark_dirty(dialled); /* The caller hears of it from the loop. */
    }
    *conn = dialled;
    return SGN_OK;
}

enum sgn_err sgn_conn_adopt(struct sgn_wire *wire,
                            int fd,
                            const struct sgn_address *from,
                            const struct sgn_conn_options *options,
                            struct sgn_conn **conn)
{
    *conn = conn_create(wire, fd, from, options);
    if (*conn == NULL) {
        (void)close(fd);
        return SGN_ERR_NOMEM;
    }
    (*conn)->state = SGN_CONN_OPEN;
    if (event_add(&(*conn)->read_event, NULL) != 0) {
        (*conn)->gone = true;
        sgn_conn_release(*conn);
        *conn = NULL;
        return SGN_ERR_NOMEM;
    }
    return SGN_OK;
}

void sgn_conn_take_types(struct sgn_conn *conn, uint64_t types)
{
    conn->types = types;
    conn->established = true;
    conn->since_ms = sgn_conn_now_ms();
}

const char *sgn_conn_peer_text(const struct sgn_conn *conn)
{
    return conn->peer_text;
}

size_t sgn_conn_out_bytes(const struct sgn_conn *conn)
{
    return conn->out.bytes;
}

void sgn_conn_set_user(struct sgn_conn *conn, void *user)
{
    conn->options.user = user;
}

void *sgn_conn_user(const struct sgn_conn *conn)
{
    return conn->options.user;
}
