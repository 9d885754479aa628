#include <stdlib.h>
#include <time.h>

#include "ring/core/check.h"
#include "ring/net/conn_state.h"

uint64_t sgn_conn_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now); /* Cannot fail for this clock. */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    sgn_wire_flush(arg);
}

void sgn_wire_flush(struct sgn_wire *wire)
{
    while (!TAILQ_EMPTY(&wire->dirty)) {
        struct sgn_conn *conn = TAILQ_FIRST(&wire->dirty);
        TAILQ_REMOVE(&wire->dirty, conn, dirty_link);
        conn->dirty = false;
        if (conn->broken != 0) {
            sgn_conn_end_errno(conn, conn->broken);
        } else if (conn->state == SGN_CONN_OPEN || conn->state == SGN_CONN_DRAINING) {
            sgn_conn_flush(conn);
        }
    }
}

/* How long a connection may be in the state it is in; 0: for ever. */
static uint32_t patience_ms(const struct sgn_conn *conn)
{
    if (conn->state == SGN_CONN_DRAINING) {
        return SGN_CONN_LINGER_MS;
    }
    return conn->established ? conn->options.idle_ms : conn->options.handshake_ms;
}

static struct sgn_conn *overdue_conn(struct sgn_wire *wire, uint64_t now_ms)
{
    struct sgn_conn *conn;
    TAILQ_FOREACH(conn, &wire->conns, link)
    {
        uint32_t patience = patience_ms(conn);
        if (patience > 0 && now_ms - conn->since_ms > patience) {
            return conn;
        }
    }
    return NULL;
}

static void end_overdue(struct sgn_conn *conn)
{
    struct sgn_why why;
    if (conn->state == SGN_CONN_DRAINING) {
        sgn_conn_release(conn);
        return;
    }
    if (conn->state == SGN_CONN_CONNECTING) {
        sgn_why_set(
            &why, "%s did not answer within %u ms", conn->peer_text, conn->options.handshake_ms);
    } else if (!conn->established) {
        sgn_why_set(
            &why, "%s sent no HELLO within %u ms", conn->peer_text, conn->options.handshake_ms);
    } else {
        sgn_why_set(&why, "%s sent nothing for %u ms", conn->peer_text, conn->options.idle_ms);
    }
    sgn_conn_end(conn, SGN_ERR_TIMEOUT, why.text);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct sgn_wire *wire = arg;
    uint64_t now_ms = sgn_conn_now_ms();
    struct sgn_conn *conn;
    /* From the start after each: its callback may have closed any other. */
    while ((conn = overdue_conn(wire, now_ms)) != NULL) {
        end_overdue(conn);
    }
}

struct sgn_wire *sgn_wire_create(struct event_base *base)
{
    struct sgn_wire *wire = calloc(1, sizeof(*wire));
    if (wire == NULL) {
        return NULL;
    }
    wire->decoder = sgn_msg_decoder_create();
    if (wire->decoder == NULL) {
        free(wire);
        return NULL;
    }
    wire->base = base;
    TAILQ_INIT(&wire->conns);
    TAILQ_INIT(&wire->dirty);
    if (event_assign(&wire->flush_event, base, -1, 0, on_flush, wire) != 0 ||
        event_assign(&wire->sweep_event, base, -1, EV_PERSIST, on_sweep, wire) != 0) {
        sgn_msg_decoder_destroy(wire->decoder);
        free(wire);
        return NULL;
    }
    return wire;
}

void sgn_wire_destroy(struct sgn_wire *wire)
{
    if (wire == NULL) {
        return;
    }
    struct sgn_conn *conn;
    while ((conn = TAILQ_FIRST(&wire->conns)) != NULL) {
        SGN_ASSERT(conn->depth == 0);
        conn->gone = true;
        sgn_conn_release(conn);
    }
    (void)event_del(&wire->flush_event);
    (void)event_del(&wire->sweep_event);
    sgn_out_cache_clear(&wire->cache);
    sgn_msg_decoder_destroy(wire->decoder);
    free(wire);
}

struct event_base *sgn_wire_base(struct sgn_wire *wire)
{
    return wire->base;
}

const struct sgn_wire_counts *sgn_wire_counts(const struct sgn_wire *wire)
{
    return &wire->counts;
}
