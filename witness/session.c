/* Connections that were accepted: HELLO, then requests, each answered at once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/log.h"
#include "ring/core/check.h"
#include "witness/driver.h"

#define NONE UINT32_MAX

static void session_message(struct sgn_conn *conn, const struct sgn_msg *msg, void *user);
static void session_closed(struct sgn_conn *conn, enum sgn_err err, const char *why, void *user);

static const struct sgn_conn_events session_events = {
    .up = NULL, .message = session_message, .closed = session_closed};

void sgn_witness_sessions_init(struct sgn_witness_driver *driver)
{
    for (uint32_t i = 0; i < SGN_WITNESS_SESSIONS_MAX; i++) {
        driver->sessions[i].next_free = i + 1 < SGN_WITNESS_SESSIONS_MAX ? i + 1 : NONE;
    }
    driver->session_free = 0;
}

void sgn_witness_sessions_close(struct sgn_witness_driver *driver)
{
    for (uint32_t i = 0; i < SGN_WITNESS_SESSIONS_MAX; i++) {
        if (driver->sessions[i].conn != NULL) {
            sgn_conn_close(driver->sessions[i].conn);
            driver->sessions[i].conn = NULL;
        }
    }
}

static void session_free(struct sgn_witness_session *session)
{
    struct sgn_witness_driver *driver = session->driver;
    if (session->greeted) {
        driver->nodes -= session->node != 0;
        driver->clients -= session->node == 0;
    }
    *session = (struct sgn_witness_session){.next_free = driver->session_free};
    driver->session_free = (uint32_t)(session - driver->sessions);
}

void sgn_witness_accept(int fd, const struct sgn_address *from, void *user)
{
    struct sgn_witness_driver *driver = user;
    struct sgn_conn_options options = {.events = &session_events, .idle_ms = SGN_WITNESS_IDLE_MS};
    if (driver->session_free == NONE) {
        driver->refused++;
        SGN_LOG(SGN_LOG_WARN,
                "connection refused",
                "too many connections",
                "accepted=%u",
                SGN_WITNESS_SESSIONS_MAX);
        (void)close(fd);
        return;
    }
    struct sgn_witness_session *session = &driver->sessions[driver->session_free];
    options.user = session;
    struct sgn_conn *conn = NULL;
    if (sgn_conn_adopt(driver->wire, fd, from, &options, &conn) != SGN_OK) {
        return; /* Out of memory; the socket is closed. */
    }
    driver->session_free = session->next_free;
    *session = (struct sgn_witness_session){.driver = driver, .conn = conn};
}

static void session_closed(struct sgn_conn *conn, enum sgn_err err, const char *why, void *user)
{
    if (err != SGN_ERR_NETWORK && err != SGN_ERR_TIMEOUT) {
        SGN_LOG(SGN_LOG_WARN,
                "connection ended",
                why,
                "from=%s err=%s",
                sgn_conn_peer_text(conn),
                sgn_err_name(err));
    }
    session_free(user);
}

static void session_fail(struct sgn_witness_session *session,
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
    session->driver->refused++;
    session_free(session);
    sgn_conn_fail(conn, request, err, why);
}

static void session_greet(struct sgn_witness_session *session, const struct sgn_msg *msg)
{
    struct sgn_witness_driver *driver = session->driver;
    struct sgn_hello other;
    struct sgn_why why = {""};
    if ((msg->node & SGN_WITNESS_BIT) != 0) {
        session_fail(session,
                     msg->request,
                     SGN_ERR_CONFIG,
                     "this is a witness, and so is the other side; witnesses are dialled by nodes");
        return;
    }
    if (msg->node == 0 && driver->clients == SGN_WITNESS_CLIENTS_MAX) {
        session_fail(session,
                     msg->request,
                     SGN_ERR_BUSY,
                     "this witness holds all the client connections it may");
        return;
    }
    char from[SGN_ADDRESS_TEXT_BYTES];
    (void)snprintf(from, sizeof(from), "%s", sgn_conn_peer_text(session->conn));
    enum sgn_err err = sgn_hello_accept(session->conn, &driver->self, msg, &other, &why);
    if (err != SGN_OK) {
        SGN_LOG(SGN_LOG_WARN,
                "connection refused",
                why.text,
                "from=%s node=%u err=%s",
                from,
                msg->node,
                sgn_err_name(err));
        driver->refused++;
        session_free(session);
        return;
    }
    session->greeted = true;
    session->node = other.node;
    if (other.node != 0 && driver->self.ring_digest == 0) {
        /* The first node decides whose witness this is until it ends: rings may share a name. */
        driver->self.ring_digest = other.ring_digest;
    }
    driver->nodes += other.node != 0;
    driver->clients += other.node == 0;
    SGN_LOG(SGN_LOG_DEBUG, "connection taken", NULL, "from=%s node=%u", from, other.node);
}

/* An answer that cannot be queued must not become silence: the asker would wait in vain. */
static void answer_send(struct sgn_witness_session *session, const struct sgn_msg *answer)
{
    enum sgn_err err = sgn_conn_send(session->conn, answer);
    if (err != SGN_OK && err != SGN_ERR_NETWORK) { /* With NETWORK `closed` is on its way. */
        session_fail(session, answer->request, err, "an answer could not be queued");
    }
}

static void status_answer(struct sgn_witness_session *session, const struct sgn_msg *msg)
{
    struct sgn_msg answer = {
        .type = SGN_MSG_RESULT, .request = msg->request, .node = session->driver->self.node};
    char *json = sgn_witness_status_json(session->driver, &answer.value.count);
    answer.value.ptr = json;
    if (json == NULL) {
        answer.err = SGN_ERR_NOMEM;
        answer.text = sgn_bytes_str("no memory for the status");
    }
    answer_send(session, &answer);
    free(json);
}

static bool is_witness_request(const struct sgn_msg *msg)
{
    return msg->type == SGN_MSG_WITNESS || msg->type == SGN_MSG_SEED || msg->type == SGN_MSG_PING ||
           msg->type == SGN_MSG_MAP_IS;
}

void sgn_witness_driver_ask(struct sgn_witness_driver *driver,
                            uint32_t node,
                            const struct sgn_msg *msg,
                            struct sgn_msg *answer)
{
    struct sgn_sink room = sgn_sink_of(driver->room, SGN_PAGE_BYTES_MAX);
    struct sgn_msg request = *msg;
    request.node = node; /* Who it is was agreed in HELLO. */
    driver->requests++;
    sgn_witness_step(driver->witness, sgn_witness_clock_ms(), &request, &room, answer);
    if (answer->err != SGN_OK) {
        SGN_LOG(SGN_LOG_WARN,
                "request refused",
                sgn_err_text(answer->err),
                "node=%u type=%s err=%s",
                node,
                sgn_msg_name(msg->type),
                sgn_err_name(answer->err));
    }
}

static void session_message(struct sgn_conn *conn, const struct sgn_msg *msg, void *user)
{
    struct sgn_witness_session *session = user;
    SGN_ASSERT(session->conn == conn);
    if (!session->greeted) {
        session_greet(session, msg);
        return;
    }
    if (is_witness_request(msg)) {
        struct sgn_msg answer;
        sgn_witness_driver_ask(session->driver, session->node, msg, &answer);
        answer_send(session, &answer);
        return;
    }
    session->driver->requests++;
    if (msg->type == SGN_MSG_STATUS) {
        status_answer(session, msg);
        return;
    }
    if (sgn_msg_is_one_way(msg->type)) {
        return; /* Nobody waits, and a witness has no use for it. */
    }
    struct sgn_msg answer = {.type = sgn_msg_answer_to(msg->type),
                             .request = msg->request,
                             .err = SGN_ERR_UNSUPPORTED,
                             .node = session->driver->self.node,
                             .text = sgn_bytes_str("this is a witness; it keeps no keys")};
    answer_send(session, &answer);
}
