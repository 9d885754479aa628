/* Connections that were accepted: clients and peers, their requests, the way back of answers. */
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node/driver.h"
#include "node/log.h"
#include "node/status.h"
#include "ring/core/check.h"

#define NONE UINT32_MAX

/* A client that died without a word holds its place no longer than a minute and a half. */
#define KEEPALIVE_IDLE_S     60
#define KEEPALIVE_INTERVAL_S 10
#define KEEPALIVE_PROBES     3

static void session_message(struct sgn_conn *conn, const struct sgn_msg *msg, void *user);
static void session_closed(struct sgn_conn *conn, enum sgn_err err, const char *why, void *user);

static const struct sgn_conn_events session_events = {
    .up = NULL, .message = session_message, .closed = session_closed};

enum sgn_err sgn_sessions_create(struct sgn_driver *driver)
{
    /* Room for every client allowed, both nodes' worth of peers that come back before their old
     * connection is seen to be dead, and some that have not said who they are. */
    driver->session_cap = driver->config->connections_max + 2 * driver->ring.member_count + 64;
    driver->sessions = calloc(driver->session_cap, sizeof(driver->sessions[0]));
    driver->calls = calloc(SGN_CALLS_MAX, sizeof(driver->calls[0]));
    if (driver->sessions == NULL || driver->calls == NULL) {
        return SGN_ERR_NOMEM;
    }
    for (uint32_t i = 0; i < driver->session_cap; i++) {
        driver->sessions[i].next_free = i + 1 < driver->session_cap ? i + 1 : NONE;
    }
    for (uint32_t i = 0; i < SGN_CALLS_MAX; i++) {
        driver->calls[i].next_free = i + 1 < SGN_CALLS_MAX ? i + 1 : NONE;
    }
    driver->session_free = 0;
    driver->call_free = 0;
    return SGN_OK;
}

void sgn_sessions_destroy(struct sgn_driver *driver)
{
    for (uint32_t i = 0; driver->sessions != NULL && i < driver->session_cap; i++) {
        if (driver->sessions[i].conn != NULL) {
            sgn_conn_close(driver->sessions[i].conn);
        }
    }
    free(driver->sessions);
    free(driver->calls);
    driver->sessions = NULL;
    driver->calls = NULL;
}

static void session_free(struct sgn_session *session)
{
    struct sgn_driver *driver = session->driver;
    if (session->greeted && session->node == 0) {
        SGN_ASSERT(driver->clients > 0);
        driver->clients--;
    } else if (session->greeted) {
        SGN_ASSERT(driver->peer_sessions > 0);
        driver->peer_sessions--;
    }
    SGN_ASSERT(driver->accepted > 0);
    driver->accepted--;
    session->conn = NULL;
    session->greeted = false;
    session->node = 0;
    session->calls = 0;
    session->generation++;
    session->next_free = driver->session_free;
    driver->session_free = (uint32_t)(session - driver->sessions);
}

void sgn_sessions_accept(int fd, const struct sgn_address *from, void *user)
{
    struct sgn_driver *driver = user;
    int yes = 1;
    int idle = KEEPALIVE_IDLE_S;
    int interval = KEEPALIVE_INTERVAL_S;
    int probes = KEEPALIVE_PROBES;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    if (driver->session_free == NONE) {
        driver->metrics.sessions_refused++;
        SGN_LOG(SGN_LOG_WARN,
                "connection refused",
                "too many connections",
                "accepted=%u",
                driver->accepted);
        (void)close(fd);
        return;
    }
    uint32_t slot = driver->session_free;
    struct sgn_session *session = &driver->sessions[slot];
    struct sgn_conn_options options = {.events = &session_events, .user = session};
    struct sgn_conn *conn = NULL;
    if (sgn_conn_adopt(driver->wire, fd, from, &options, &conn) != SGN_OK) {
        return; /* Out of memory; the socket is closed. */
    }
    driver->session_free = session->next_free;
    session->driver = driver;
    session->conn = conn;
    driver->accepted++;
    driver->metrics.sessions_accepted++;
}

static void session_closed(struct sgn_conn *conn, enum sgn_err err, const char *why, void *user)
{
    struct sgn_session *session = user;
    if (err != SGN_ERR_NETWORK) {
        SGN_LOG(SGN_LOG_WARN,
                "connection ended",
                why,
                "from=%s err=%s",
                sgn_conn_peer_text(conn),
                sgn_err_name(err));
    }
    session_free(session);
}

static void session_fail(struct sgn_session *session,
                         uint32_t request,
                         enum sgn_err err,
                         const char *why)
{
    struct sgn_conn *conn = session->conn;
    SGN_LOG(SGN_LOG_WARN,
            "connection refused",
            why,
            "from=%s err=%s",
            sgn_conn_peer_text(conn),
            sgn_err_name(err));
    session->driver->metrics.sessions_refused++;
    session_free(session);
    sgn_conn_fail(conn, request, err, why);
}

static void session_greet(struct sgn_session *session, const struct sgn_msg *msg)
{
    struct sgn_driver *driver = session->driver;
    struct sgn_hello other;
    struct sgn_why why;
    if (driver->state != SGN_DRIVER_READY) {
        session_fail(session, msg->request, SGN_ERR_UNAVAILABLE, "this node is stopping");
        return;
    }
    if (msg->node == 0 && driver->clients >= driver->config->connections_max) {
        sgn_why_set(&why,
                    "this node holds all the %u client connections it may",
                    driver->config->connections_max);
        session_fail(session, msg->request, SGN_ERR_BUSY, why.text);
        return;
    }
    if (msg->node != 0 &&
        (msg->node == driver->config->id || sgn_ring_find(&driver->ring, msg->node) < 0)) {
        sgn_why_set(&why,
                    msg->node == driver->config->id
                        ? "node %u is this node itself; two nodes must not have one id"
                        : "node %u is not a member of this ring",
                    msg->node);
        session_fail(session, msg->request, SGN_ERR_WRONG_RING, why.text);
        return;
    }
    enum sgn_err err = sgn_hello_accept(session->conn, &driver->self, msg, &other, &why);
    if (err != SGN_OK) {
        SGN_LOG(SGN_LOG_WARN,
                "connection refused",
                why.text,
                "peer=%u err=%s",
                msg->node,
                sgn_err_name(err));
        driver->metrics.sessions_refused++;
        session_free(session);
        return;
    }
    session->greeted = true;
    session->node = other.node;
    driver->clients += other.node == 0;
    driver->peer_sessions += other.node != 0;
}

/* --- requests and answers -------------------------------------------------------------------- */

static void send_answer(struct sgn_session *session, uint32_t request, const struct sgn_msg *answer)
{
    struct sgn_driver *driver = session->driver;
    struct sgn_msg out = *answer;
    out.request = request;
    out.epoch = out.epoch == 0 ? driver->ring.epoch : out.epoch;
    enum sgn_err err = sgn_conn_send(session->conn, &out);
    if (err == SGN_ERR_BUSY && out.value.count + out.items.count > 0) {
        /* Answers of many large values: this one is refused, the connection lives on. */
        out.value = sgn_bytes_of(NULL, 0);
        out.items = sgn_bytes_of(NULL, 0);
        out.err = SGN_ERR_BUSY;
        out.text = sgn_bytes_str("too many answers wait on this connection; read them first");
        err = sgn_conn_send(session->conn, &out);
    }
    if (err == SGN_OK || err == SGN_ERR_NETWORK) {
        return; /* With NETWORK `closed` is on its way. */
    }
    /* An answer that cannot be queued must not become silence: the asker would wait in vain. */
    session_fail(session, request, err, "an answer could not be queued");
}

static void refuse(struct sgn_session *session,
                   const struct sgn_msg *msg,
                   enum sgn_err err,
                   const char *text)
{
    struct sgn_driver *driver = session->driver;
    struct sgn_msg answer = {.type = sgn_msg_answer_to(msg->type),
                             .err = err,
                             .node = driver->config->id,
                             .text = sgn_bytes_str(text)};
    sgn_metrics_request(&driver->metrics, msg->type, err, 0);
    send_answer(session, msg->request, &answer);
}

static uint64_t token_of(const struct sgn_driver *driver, const struct sgn_call *call)
{
    return (uint64_t)call->generation << 32 | (uint32_t)(call - driver->calls);
}

static struct sgn_call *call_take(struct sgn_session *session, const struct sgn_msg *msg)
{
    struct sgn_driver *driver = session->driver;
    struct sgn_call *call = &driver->calls[driver->call_free];
    SGN_ASSERT(!call->busy);
    driver->call_free = call->next_free;
    call->busy = true;
    call->session = (uint32_t)(session - driver->sessions);
    call->session_generation = session->generation;
    call->request = msg->request;
    call->type = msg->type;
    call->from_client = session->node == 0;
    call->began_us = sgn_clock_us();
    session->calls++;
    driver->call_count++;
    driver->client_calls += call->from_client;
    return call;
}

static void call_free(struct sgn_driver *driver, struct sgn_call *call)
{
    call->busy = false;
    call->generation++;
    call->next_free = driver->call_free;
    driver->call_free = (uint32_t)(call - driver->calls);
    driver->call_count--;
    driver->client_calls -= call->from_client;
}

/* NULL when the request may go to the engine, else the sentence of the refusal. */
static const char *request_refusal(const struct sgn_session *session, enum sgn_err *err)
{
    const struct sgn_driver *driver = session->driver;
    *err = SGN_ERR_BUSY;
    if (session->node == 0 && driver->state == SGN_DRIVER_DRAINING) {
        *err = SGN_ERR_UNAVAILABLE;
        return "this node is stopping; ask another; nothing was written";
    }
    if (session->node == 0 && session->calls >= driver->config->requests_max) {
        return "too many requests of this connection are under way; wait for some answers";
    }
    if (session->calls >= SGN_PEER_CALLS_MAX && session->node != 0) {
        return "too many requests of this node are under way";
    }
    return driver->call_free == NONE ? "too many requests are under way; try again in a moment"
                                     : NULL;
}

static void answer_here(struct sgn_session *session, const struct sgn_msg *msg)
{
    struct sgn_driver *driver = session->driver;
    uint64_t began_us = sgn_clock_us();
    struct sgn_msg answer = {.type = SGN_MSG_RESULT,
                             .node = driver->config->id,
                             .stamp = sgn_engine_stamp(driver->engine)};
    if (msg->type == SGN_MSG_RING) {
        uint8_t raw[SGN_RING_BYTES_MAX];
        struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
        sgn_ring_encode(&driver->ring, &sink);
        SGN_ASSERT(!sink.full);
        answer.value = sgn_sink_bytes(&sink);
        sgn_metrics_request(&driver->metrics, msg->type, SGN_OK, sgn_clock_us() - began_us);
        send_answer(session, msg->request, &answer);
        return;
    }
    char *json = sgn_status_json(driver, &answer.value.count);
    if (json == NULL) {
        refuse(session, msg, SGN_ERR_NOMEM, "no memory for the status");
        return;
    }
    answer.value.ptr = json;
    sgn_metrics_request(&driver->metrics, msg->type, SGN_OK, sgn_clock_us() - began_us);
    send_answer(session, msg->request, &answer);
    free(json);
}

static void session_message(struct sgn_conn *conn, const struct sgn_msg *msg, void *user)
{
    struct sgn_session *session = user;
    struct sgn_driver *driver = session->driver;
    SGN_ASSERT(session->conn == conn);
    if (!session->greeted) {
        session_greet(session, msg);
        return;
    }
    struct sgn_event event = {.type = SGN_EV_REQUEST, .node = session->node, .msg = *msg};
    if (sgn_msg_is_one_way(msg->type)) {
        event.type = SGN_EV_MESSAGE;
        sgn_driver_feed(driver, &event);
        return;
    }
    if (msg->type == SGN_MSG_RING || msg->type == SGN_MSG_STATUS) {
        answer_here(session, msg);
        return;
    }
    enum sgn_err err = SGN_OK;
    const char *refusal = request_refusal(session, &err);
    if (refusal != NULL) {
        refuse(session, msg, err, refusal);
        return;
    }
    event.token = token_of(driver, call_take(session, msg));
    sgn_driver_feed(driver, &event);
}

void sgn_sessions_reply(struct sgn_driver *driver, uint64_t token, const struct sgn_msg *answer)
{
    uint32_t slot = (uint32_t)token;
    SGN_ASSERT(slot < SGN_CALLS_MAX);
    struct sgn_call *call = &driver->calls[slot];
    SGN_ASSERT(call->busy && call->generation == (uint32_t)(token >> 32));
    struct sgn_session *session = &driver->sessions[call->session];
    uint32_t request = call->request;
    bool gone = session->conn == NULL || session->generation != call->session_generation;
    sgn_metrics_request(&driver->metrics, call->type, answer->err, sgn_clock_us() - call->began_us);
    call_free(driver, call);
    if (gone) {
        driver->metrics.replies_dropped++;
        return;
    }
    SGN_ASSERT(session->calls > 0);
    session->calls--;
    send_answer(session, request, answer);
}
