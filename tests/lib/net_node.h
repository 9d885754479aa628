/* tests/lib/net_node.h - a small node on loopback for the tests of connections and peers. */
#ifndef SGN_TESTS_NET_NODE_H
#define SGN_TESTS_NET_NODE_H

#include <criterion/criterion.h>
#include <event2/event.h>
#include <stdio.h>

#include "ring/net/conn.h"
#include "ring/net/hello.h"
#include "ring/net/listener.h"

/* A node that answers GET with `answer_bytes`, PUT with its own value, and closes on DEL. */
struct node {
    struct event_base *base;
    struct sgn_wire *wire;
    struct sgn_listener *listener;
    struct sgn_hello self;
    struct sgn_conn_options options;
    struct sgn_conn *last; /* The connection accepted last, while it is open. */
    size_t answer_bytes;
    size_t out_bytes_seen; /* Most ever queued. */
    uint32_t requests, closed, busy;
    enum sgn_err closed_err;
    char closed_why[SGN_WHY_BYTES];
};

static uint8_t big[SGN_VALUE_BYTES_MAX];

static inline void node_message(struct sgn_conn *conn, const struct sgn_msg *msg, void *user)
{
    struct node *node = user;
    if (msg->type == SGN_MSG_HELLO) {
        struct sgn_hello other;
        (void)sgn_hello_accept(conn, &node->self, msg, &other, NULL);
        return;
    }
    node->requests++;
    if (msg->type == SGN_MSG_DEL) {
        sgn_conn_close(conn);
        cr_assert_eq(msg->key.count, 3u, "bytes stay until the callback returns");
        cr_assert(memcmp(msg->key.ptr, "bye", 3) == 0);
        node->last = NULL;
        return;
    }
    struct sgn_msg answer = {.type = SGN_MSG_RESULT, .request = msg->request, .node = 1};
    answer.value = msg->type == SGN_MSG_PUT ? msg->value : sgn_bytes_of(big, node->answer_bytes);
    enum sgn_err err = sgn_conn_send(conn, &answer);
    node->busy += err == SGN_ERR_BUSY;
    size_t queued = sgn_conn_out_bytes(conn);
    node->out_bytes_seen = queued > node->out_bytes_seen ? queued : node->out_bytes_seen;
}

static inline void node_closed(struct sgn_conn *conn, enum sgn_err err, const char *why, void *user)
{
    struct node *node = user;
    node->closed++;
    node->closed_err = err;
    (void)snprintf(node->closed_why, sizeof(node->closed_why), "%s", why);
    node->last = node->last == conn ? NULL : node->last;
}

static const struct sgn_conn_events NODE_EVENTS = {.message = node_message, .closed = node_closed};

static inline void node_accepted(int fd, const struct sgn_address *from, void *user)
{
    struct node *node = user;
    cr_assert_eq(sgn_conn_adopt(node->wire, fd, from, &node->options, &node->last), SGN_OK);
}

static inline void node_listen(struct node *node, const char *text)
{
    struct sgn_address address;
    struct sgn_why why = {""};
    cr_assert_eq(sgn_address_parse(text, &address, &why), SGN_OK, "%s", why.text);
    cr_assert_eq(
        sgn_listener_create(node->base, &address, node_accepted, node, &node->listener, &why),
        SGN_OK,
        "%s",
        why.text);
}

static inline void node_start(struct node *node, uint32_t id)
{
    node->base = node->base != NULL ? node->base : event_base_new();
    node->wire = sgn_wire_create(node->base);
    node->self =
        (struct sgn_hello){.ring = "test", .ring_digest = 77, .node = id, .incarnation = 1};
    node->options.events = &NODE_EVENTS;
    node->options.user = node;
    node_listen(node, "127.0.0.1:0");
}

static inline void node_stop(struct node *node)
{
    sgn_listener_destroy(node->listener);
    sgn_wire_destroy(node->wire);
    event_base_free(node->base);
}

static inline void never(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

/* Turns the loop until the condition holds; 10 s is "it never will". */
#define TURN_UNTIL(base, condition)                                                                \
    do {                                                                                           \
        struct timeval tick_ = {.tv_usec = 5000};                                                  \
        struct event *timer_ = event_new(base, -1, EV_PERSIST, never, NULL);                       \
        event_add(timer_, &tick_);                                                                 \
        for (int turn_ = 0; turn_ < 200000 && !(condition); turn_++) {                             \
            event_base_loop(base, EVLOOP_ONCE);                                                    \
        }                                                                                          \
        event_free(timer_);                                                                        \
        cr_assert(condition, #condition " never came true");                                       \
    } while (0)

#endif
