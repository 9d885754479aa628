/* Connections on real loopback sockets, both ends in one process and on one loop. */
#include <criterion/criterion.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ring/net/conn.h"
#include "ring/net/hello.h"
#include "ring/net/listener.h"
#include "ring/net/msg_codec.h"
#include "ring/net/peers.h"

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

static void node_message(struct sgn_conn *conn, const struct sgn_msg *msg, void *user)
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

static void node_closed(struct sgn_conn *conn, enum sgn_err err, const char *why, void *user)
{
    struct node *node = user;
    node->closed++;
    node->closed_err = err;
    (void)snprintf(node->closed_why, sizeof(node->closed_why), "%s", why);
    node->last = node->last == conn ? NULL : node->last;
}

static const struct sgn_conn_events NODE_EVENTS = {.message = node_message, .closed = node_closed};

static void node_accepted(int fd, const struct sgn_address *from, void *user)
{
    struct node *node = user;
    cr_assert_eq(sgn_conn_adopt(node->wire, fd, from, &node->options, &node->last), SGN_OK);
}

static void node_listen(struct node *node, const char *text)
{
    struct sgn_address address;
    struct sgn_why why = {""};
    cr_assert_eq(sgn_address_parse(text, &address, &why), SGN_OK, "%s", why.text);
    cr_assert_eq(sgn_listener_create(node->base, &address, node_accepted, node, &node->listener,
                                     &why),
                 SGN_OK, "%s", why.text);
}

static void node_start(struct node *node, uint32_t id)
{
    node->base = node->base != NULL ? node->base : event_base_new();
    node->wire = sgn_wire_create(node->base);
    node->self = (struct sgn_hello){.ring = "test", .ring_digest = 77, .node = id, .incarnation = 1};
    node->options.events = &NODE_EVENTS;
    node->options.user = node;
    node_listen(node, "127.0.0.1:0");
}

static void node_stop(struct node *node)
{
    sgn_listener_destroy(node->listener);
    sgn_wire_destroy(node->wire);
    event_base_free(node->base);
}

static void never(evutil_socket_t fd, short what, void *arg)
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

/* -- A raw socket as the other side -- */

static int raw_connect(struct node *node)
{
    const struct sgn_address *at = sgn_listener_address(node->listener);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(fd, &at->at.any, at->count), 0);
    int yes = 1; /* Pieces are to arrive as pieces. */
    cr_assert_eq(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)), 0);
    cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static struct sgn_bytes encode(struct sgn_sink *sink, const struct sgn_msg *msg)
{
    size_t begin = sink->count;
    cr_assert_eq(sgn_msg_encode(msg, sink, NULL), SGN_OK);
    return sgn_bytes_of(sink->ptr + begin, sink->count - begin);
}

static void encode_hello(struct sgn_sink *sink)
{
    struct sgn_hello client = {.ring = "test"};
    struct sgn_msg hello;
    sgn_hello_encode(&client, &hello);
    (void)encode(sink, &hello);
}

/* Reads until `count` messages or the end came; the last message is in *msg, and true is the end. */
static bool raw_read(struct node *node, int fd, uint32_t count, struct sgn_msg *msg)
{
    static uint8_t bytes[1 << 20];
    static size_t filled;
    struct sgn_msg_decoder *decoder = sgn_msg_decoder_create();
    uint32_t seen = 0;
    bool ended = false;
    filled = 0;
    while (seen < count && !ended) {
        event_base_loop(node->base, EVLOOP_NONBLOCK);
        ssize_t got = recv(fd, bytes + filled, sizeof(bytes) - filled, MSG_DONTWAIT);
        cr_assert(got >= 0 || errno == EAGAIN, "errno %d", errno);
        ended = got == 0;
        filled += got > 0 ? (size_t)got : 0;
        size_t at = 0, used = 1;
        while (seen < count && used > 0) {
            struct sgn_why why = {""};
            cr_assert_eq(sgn_msg_read(decoder, sgn_bytes_of(bytes + at, filled - at),
                                      sgn_types_answers() | SGN_TYPES_HELLO, msg, &used, &why),
                         SGN_OK, "%s", why.text);
            at += used;
            seen += used > 0;
        }
        if (seen < count) { /* The last message stays where it is, for the caller to look at. */
            memmove(bytes, bytes + at, filled - at);
            filled -= at;
        }
    }
    sgn_msg_decoder_destroy(decoder);
    return ended;
}

Test(conn, pieces_of_one_byte, .timeout = 60)
{
    struct node node = {.answer_bytes = 10};
    node_start(&node, 1);
    static uint8_t room[8192];
    struct sgn_sink sink = sgn_sink_of(room, sizeof(room));
    encode_hello(&sink);
    struct sgn_msg put = {.type = SGN_MSG_PUT, .request = 1, .bucket = sgn_bytes_str("b"),
                          .key = sgn_bytes_str("k"), .value = sgn_bytes_of(big, 5000)};
    struct sgn_msg get = {.type = SGN_MSG_GET, .request = 2, .bucket = sgn_bytes_str("b"),
                          .key = sgn_bytes_str("k")};
    (void)encode(&sink, &put);
    (void)encode(&sink, &get);
    int fd = raw_connect(&node);
    for (size_t i = 0; i < sink.count; i++) {
        cr_assert_eq(send(fd, room + i, 1, MSG_NOSIGNAL), 1);
        event_base_loop(node.base, EVLOOP_NONBLOCK);
    }
    struct sgn_msg msg;
    cr_assert(!raw_read(&node, fd, 3, &msg));
    cr_assert(msg.type == SGN_MSG_RESULT && msg.request == 2 && msg.value.count == 10);
    cr_assert_eq(node.requests, 2u);
    cr_assert_gt(sgn_wire_counts(node.wire)->reads, 2000u, "it did come in pieces");
    close(fd);
    TURN_UNTIL(node.base, node.closed == 1);
    cr_assert_eq(node.closed_err, SGN_ERR_NETWORK);
    cr_assert_str_eq(node.closed_why, "the other side closed the connection");
    node_stop(&node);
}

/* Each row is sent behind HELLO (or first), and is answered by one RESULT and the end. */
Test(conn, bad_input_gets_a_sentence, .timeout = 60)
{
    struct node node = {0};
    node_start(&node, 1);
    static uint8_t http[] = "GET / HTTP/1.1\r\nHost: example\r\n\r\n";
    static uint8_t room[4096];
    struct sgn_sink sink = sgn_sink_of(room, sizeof(room));
    struct sgn_msg get = {.type = SGN_MSG_GET, .request = 42, .bucket = sgn_bytes_str("b"),
                          .key = sgn_bytes_str("k")};
    struct sgn_bytes frame = encode(&sink, &get);
    struct {
        bool hello_first;
        size_t flip_at;
        uint8_t flip;
        struct sgn_bytes bytes;
        enum sgn_err err;
        const char *says;
    } rows[] = {
        {true, 0, 0, sgn_bytes_of(http, sizeof(http) - 1), SGN_ERR_PROTOCOL, "not a Signet frame"},
        {false, 0, 0, sgn_bytes_of(http, sizeof(http) - 1), SGN_ERR_PROTOCOL, "not a Signet frame"},
        {false, 0, 0, frame, SGN_ERR_PROTOCOL, "must be HELLO, not GET"},
        {true, 2, 3, frame, SGN_ERR_VERSION, "speaks protocol version 2"},
        {true, 18, 0x20, frame, SGN_ERR_TOO_LARGE, "a GET message announces"},
        {true, 20, 1, frame, SGN_ERR_PROTOCOL, "damaged on its way"},
        {true, 3, SGN_MSG_GET ^ SGN_MSG_HEARTBEAT, frame, SGN_ERR_PROTOCOL, "HEARTBEAT message is not"},
    };
    size_t count = sizeof(rows) / sizeof(rows[0]);
    for (size_t i = 0; i < count; i++) {
        static uint8_t out[8192];
        struct sgn_sink send_sink = sgn_sink_of(out, sizeof(out));
        if (rows[i].hello_first) {
            encode_hello(&send_sink);
        }
        size_t begin = send_sink.count;
        sgn_sink_put(&send_sink, rows[i].bytes.ptr, rows[i].bytes.count);
        out[begin + rows[i].flip_at] ^= rows[i].flip;
        sgn_sink_put(&send_sink, big, 3000); /* More behind it must not matter. */
        int fd = raw_connect(&node);
        cr_assert_eq(send(fd, out, send_sink.count, MSG_NOSIGNAL), (ssize_t)send_sink.count);
        struct sgn_msg msg = {0};
        cr_assert(!raw_read(&node, fd, rows[i].hello_first ? 2 : 1, &msg), "row %zu", i);
        cr_assert(msg.type == SGN_MSG_RESULT && msg.err == rows[i].err, "row %zu: %d", i, msg.err);
        char text[SGN_WHY_BYTES] = "";
        memcpy(text, msg.text.ptr, msg.text.count);
        cr_assert(strstr(text, rows[i].says) != NULL, "row %zu: %s", i, text);
        cr_assert_eq(node.closed_err, rows[i].err);
        cr_assert_str_eq(node.closed_why, text);
        cr_assert(raw_read(&node, fd, 1, &msg), "and then the end");
        close(fd);
    }
    cr_assert_eq(node.closed, count);
    cr_assert_eq(sgn_wire_counts(node.wire)->bad_input, count);
    TURN_UNTIL(node.base, sgn_wire_counts(node.wire)->conns == 0);

    int fd = raw_connect(&node); /* Half a frame, then nothing. */
    sink = sgn_sink_of(room, sizeof(room));
    encode_hello(&sink);
    cr_assert_eq(send(fd, room, sink.count - 3, MSG_NOSIGNAL), (ssize_t)sink.count - 3);
    shutdown(fd, SHUT_WR);
    TURN_UNTIL(node.base, node.closed == count + 1);
    cr_assert(strstr(node.closed_why, "in the middle of a message") != NULL, "%s", node.closed_why);
    close(fd);
    node_stop(&node);
}

/* -- A dialled connection as the other side -- */

struct client {
    struct sgn_conn *conn;
    uint32_t up, answers, closed, busy, to_send;
    size_t value_bytes;
    enum sgn_err closed_err;
    char closed_why[SGN_WHY_BYTES];
};

static void client_send(struct client *client)
{
    while (client->to_send > 0) {
        struct sgn_msg get = {.type = SGN_MSG_GET, .request = client->to_send,
                              .bucket = sgn_bytes_str("b"), .key = sgn_bytes_str("k")};
        if (client->value_bytes > 0) {
            get.type = SGN_MSG_PUT;
            get.value = sgn_bytes_of(big, client->value_bytes);
        }
        enum sgn_err err = sgn_conn_send(client->conn, &get);
        if (err == SGN_ERR_BUSY) {
            client->busy++;
            return;
        }
        cr_assert_eq(err, SGN_OK, "%d", err);
        client->to_send--;
    }
}

static void client_up(struct sgn_conn *conn, void *user)
{
    struct client *client = user;
    client->up++;
    struct sgn_hello self = {.ring = ""};
    struct sgn_msg hello;
    sgn_hello_encode(&self, &hello);
    cr_assert_eq(sgn_conn_send(conn, &hello), SGN_OK);
    client_send(client);
}

static void client_message(struct sgn_conn *conn, const struct sgn_msg *msg, void *user)
{
    struct client *client = user;
    if (msg->type == SGN_MSG_HELLO) {
        cr_assert(sgn_bytes_equal(msg->bucket, sgn_bytes_str("test")));
        sgn_conn_take_types(conn, sgn_types_answers());
        return;
    }
    client->answers++;
    if (client->value_bytes > 0) {
        cr_assert(sgn_bytes_equal(msg->value, sgn_bytes_of(big, client->value_bytes)));
    }
    client_send(client);
}

static void client_closed(struct sgn_conn *conn, enum sgn_err err, const char *why, void *user)
{
    struct client *client = user;
    struct sgn_msg get = {.type = SGN_MSG_STATUS};
    cr_assert_eq(sgn_conn_send(conn, &get), SGN_ERR_NETWORK);
    client->closed++;
    client->closed_err = err;
    client->conn = NULL;
    (void)snprintf(client->closed_why, sizeof(client->closed_why), "%s", why);
}

static const struct sgn_conn_events CLIENT_EVENTS = {
    .up = client_up, .message = client_message, .closed = client_closed};

static void client_dial(struct client *client, struct node *node, struct sgn_conn_options options)
{
    options.events = &CLIENT_EVENTS;
    options.user = client;
    cr_assert_eq(sgn_conn_dial(node->wire, sgn_listener_address(node->listener), &options,
                               &client->conn),
                 SGN_OK);
}

Test(conn, many_messages_leave_in_few_writes, .timeout = 60)
{
    struct node node = {.answer_bytes = 100};
    node_start(&node, 1);
    struct client client = {.to_send = 20000};
    client_dial(&client, &node, (struct sgn_conn_options){0});
    TURN_UNTIL(node.base, client.answers == 20000);
    const struct sgn_wire_counts *counts = sgn_wire_counts(node.wire);
    cr_assert_lt(counts->writes, 2000u, "%lu writes", (unsigned long)counts->writes);
    cr_assert_eq(counts->messages_in, 40002u);
    cr_assert_eq(counts->messages_out, 40002u);

    client.to_send = 3; /* The largest values, both ways. */
    client.value_bytes = SGN_VALUE_BYTES_MAX;
    for (size_t i = 0; i < sizeof(big); i++) {
        big[i] = (uint8_t)(i * 31 >> 7);
    }
    client_send(&client);
    TURN_UNTIL(node.base, client.answers == 20003);

    struct sgn_msg del = {.type = SGN_MSG_DEL, .key = sgn_bytes_str("bye")};
    cr_assert_eq(sgn_conn_send(client.conn, &del), SGN_OK);
    cr_assert_eq(sgn_conn_send(client.conn, &del), SGN_OK); /* Never handed out. */
    TURN_UNTIL(node.base, client.closed == 1);
    cr_assert_eq(node.requests, 20004u);
    cr_assert_eq(node.closed, 0u, "it closed the connection itself");
    node_stop(&node);
}

Test(conn, unread_answers_stop_the_reading_of_requests, .timeout = 60)
{
    struct node node = {.answer_bytes = 60000};
    node_start(&node, 1);
    int fd = raw_connect(&node);
    static uint8_t room[256 * 1024];
    struct sgn_sink sink = sgn_sink_of(room, sizeof(room));
    encode_hello(&sink);
    struct sgn_msg get = {.type = SGN_MSG_GET, .bucket = sgn_bytes_str("b"), .key = sgn_bytes_str("k")};
    for (get.request = 1; get.request <= 3000; get.request++) {
        (void)encode(&sink, &get);
    }
    size_t sent = 0;
    for (int turn = 0; turn < 300; turn++) {
        ssize_t took = send(fd, room + sent, sink.count - sent, MSG_NOSIGNAL);
        sent += took > 0 ? (size_t)took : 0;
        event_base_loop(node.base, EVLOOP_NONBLOCK);
    }
    uint32_t stuck_at = node.requests;
    cr_assert_lt(stuck_at, 1000u, "requests were read although no answer was");
    cr_assert_lt(node.out_bytes_seen, (size_t)5 << 20);
    cr_assert_eq(sent, sink.count);
    struct sgn_msg msg;
    cr_assert(!raw_read(&node, fd, 3001, &msg));
    cr_assert_eq(msg.request, 3000u, "every answer came, in order: %u", msg.request);
    cr_assert_eq(node.requests, 3000u);
    cr_assert(node.busy == 0 && node.out_bytes_seen < (size_t)5 << 20);
    close(fd);
    node_stop(&node);
}

Test(conn, a_full_queue_is_busy, .timeout = 60)
{
    struct node node = {.answer_bytes = 1};
    node_start(&node, 1);
    struct client client = {.to_send = 5000, .value_bytes = 30000};
    client_dial(&client, &node, (struct sgn_conn_options){.out_bytes_max = 100000});
    TURN_UNTIL(node.base, client.answers == 5000); /* It goes on whenever an answer came. */
    cr_assert_gt(client.busy, 0u);
    client.to_send = 1;
    client.value_bytes = 1000000; /* Alone, even a message above the bound goes through. */
    client_send(&client);
    TURN_UNTIL(node.base, client.answers == 5001);
    sgn_conn_close(client.conn);
    TURN_UNTIL(node.base, node.closed == 1);
    node_stop(&node);
}

Test(conn, timeouts_and_refused_dials, .timeout = 60)
{
    struct node node = {.options = {.handshake_ms = 150, .idle_ms = 300}};
    node_start(&node, 1);
    int fd = raw_connect(&node);
    TURN_UNTIL(node.base, node.closed == 1);
    cr_assert_eq(node.closed_err, SGN_ERR_TIMEOUT);
    cr_assert(strstr(node.closed_why, "sent no HELLO within 150 ms") != NULL, "%s", node.closed_why);
    close(fd);

    struct client client = {.to_send = 1};
    client_dial(&client, &node, (struct sgn_conn_options){0});
    TURN_UNTIL(node.base, node.closed == 2);
    cr_assert(strstr(node.closed_why, "sent nothing for 300 ms") != NULL, "%s", node.closed_why);
    TURN_UNTIL(node.base, client.closed == 1);
    cr_assert(client.up == 1 && client.answers == 1);

    struct node mute = {.base = node.base}; /* A listener that nobody accepts from. */
    node_start(&mute, 2);
    struct client gone = {0};
    client_dial(&gone, &mute, (struct sgn_conn_options){0});
    sgn_listener_destroy(mute.listener);
    mute.listener = NULL;
    TURN_UNTIL(node.base, gone.closed == 1);
    cr_assert_eq(gone.closed_err, SGN_ERR_NETWORK);
    struct client refused = {0};
    struct sgn_address address = *sgn_listener_address(node.listener);
    sgn_listener_destroy(node.listener);
    struct sgn_conn_options options = {.events = &CLIENT_EVENTS, .user = &refused};
    cr_assert_eq(sgn_conn_dial(node.wire, &address, &options, &refused.conn), SGN_OK);
    cr_assert_eq(refused.closed, 0u, "no callback from inside the dial");
    TURN_UNTIL(node.base, refused.closed == 1);
    cr_assert(refused.up == 0 && strstr(refused.closed_why, "refused") != NULL, "%s",
              refused.closed_why);
    sgn_wire_destroy(mute.wire);
    node.listener = NULL;
    node_stop(&node);
}

Test(address, table)
{
    const struct {
        const char *text;
        const char *says; /* NULL: good, and formats back to itself. */
    } rows[] = {
        {"127.0.0.1:7301", NULL}, {"[::1]:7301", NULL}, {"0.0.0.0:0", NULL}, {"[fe80::1:2]:65535", NULL},
        {"", "port is missing"}, {"127.0.0.1", "port is missing"}, {"localhost:1", "not looked up"},
        {"127.0.0.1:", "must be a number"}, {"127.0.0.1:65536", "must be a number"},
        {"127.0.0.1:-1", "must be a number"}, {"127.0.0.1: 1", "must be a number"},
        {"127.0.0.1:000001", "must be a number"}, {"::1:7301", "not looked up"},
        {"[::1:7301", "write"}, {"[127.0.0.1]:1", "IPv6"}, {":80", "not looked up"}, {"[:1", "write"},
        {"[]:1", "IPv6"}, {"1.2.3.4.5:1", "not looked up"}, {"[::1]x:1", "write"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:1", "write"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sgn_address address;
        struct sgn_why why = {""};
        enum sgn_err err = sgn_address_parse(rows[i].text, &address, &why);
        cr_assert_eq(err, rows[i].says == NULL ? SGN_OK : SGN_ERR_CONFIG, "%s", rows[i].text);
        char text[SGN_ADDRESS_TEXT_BYTES];
        if (rows[i].says == NULL) {
            sgn_address_format(&address, text);
            cr_assert_str_eq(text, rows[i].text);
        } else {
            cr_assert(strstr(why.text, rows[i].says) != NULL, "%s: %s", rows[i].text, why.text);
        }
    }
}

Test(listener, refusals_say_why)
{
    struct node node = {0};
    node_start(&node, 1);
    cr_assert_neq(sgn_address_port(sgn_listener_address(node.listener)), 0);
    struct sgn_listener *second = NULL;
    struct sgn_why why = {""};
    cr_assert_eq(sgn_listener_create(node.base, sgn_listener_address(node.listener), node_accepted,
                                     &node, &second, &why),
                 SGN_ERR_IN_USE);
    cr_assert(second == NULL && strstr(why.text, "another program does already") != NULL);
    struct sgn_address strange;
    cr_assert_eq(sgn_address_parse("192.0.2.1:0", &strange, NULL), SGN_OK);
    cr_assert_eq(sgn_listener_create(node.base, &strange, node_accepted, &node, &second, &why),
                 SGN_ERR_CONFIG);
    cr_assert(strstr(why.text, "no such address") != NULL, "%s", why.text);
    node_stop(&node);
}

/* -- Peers -- */

struct owner {
    struct sgn_peers *peers;
    uint32_t up, down, answers, last_node;
};

static void peer_up(uint32_t id, const struct sgn_hello *other, void *user)
{
    struct owner *owner = user;
    cr_assert_eq(other->node, id);
    owner->up++;
    struct sgn_msg get = {.type = SGN_MSG_REPL_PUT, .request = 5, .bucket = sgn_bytes_str("b"),
                          .key = sgn_bytes_str("k")};
    cr_assert_eq(sgn_peers_send(owner->peers, id, &get), SGN_OK);
}

static void peer_down(uint32_t id, enum sgn_err err, const char *why, void *user)
{
    struct owner *owner = user;
    cr_assert(err != SGN_OK && why[0] != '\0');
    cr_assert(!sgn_peers_is_up(owner->peers, id));
    owner->down++;
}

static void peer_message(uint32_t id, const struct sgn_msg *msg, void *user)
{
    struct owner *owner = user;
    cr_assert(msg->type == SGN_MSG_RESULT && msg->request == 5);
    owner->answers++;
    owner->last_node = id;
}

static const struct sgn_peers_events PEER_EVENTS = {peer_up, peer_down, peer_message};

Test(peers, reconnect_and_refusals, .timeout = 60)
{
    struct node two = {.answer_bytes = 8};
    node_start(&two, 2);
    struct node three = {.answer_bytes = 8, .base = two.base};
    node_start(&three, 3);
    three.self.ring_digest = 78;
    struct owner owner = {0};
    struct sgn_hello self = {.ring = "test", .ring_digest = 77, .node = 1, .incarnation = 4};
    struct sgn_wire *wire = sgn_wire_create(two.base);
    owner.peers = sgn_peers_create(wire, &self, &PEER_EVENTS, &owner, 9);
    struct sgn_address at_two = *sgn_listener_address(two.listener);
    struct sgn_address at_three = *sgn_listener_address(three.listener);
    cr_assert_eq(sgn_peers_add(owner.peers, 0, &at_two), SGN_ERR_INVALID);
    cr_assert_eq(sgn_peers_add(owner.peers, 1, &at_two), SGN_ERR_INVALID);
    cr_assert_eq(sgn_peers_add(owner.peers, 2, &at_two), SGN_OK);
    cr_assert_eq(sgn_peers_add(owner.peers, 3, &at_three), SGN_OK); /* Another ring's description. */
    cr_assert_eq(sgn_peers_add(owner.peers, 4, &at_two), SGN_OK);   /* Node 2 is not node 4. */
    struct sgn_msg heartbeat = {.type = SGN_MSG_HEARTBEAT};
    cr_assert_eq(sgn_peers_send(owner.peers, 2, &heartbeat), SGN_ERR_NETWORK);
    TURN_UNTIL(two.base, owner.answers == 1 && sgn_peers_why(owner.peers, 3)[0] != '\0' &&
                             sgn_peers_why(owner.peers, 4)[0] != '\0');
    cr_assert(owner.up == 1 && owner.down == 0 && owner.last_node == 2);
    cr_assert(sgn_peers_is_up(owner.peers, 2) && !sgn_peers_is_up(owner.peers, 3));
    cr_assert(strstr(sgn_peers_why(owner.peers, 3), "describes ring") != NULL, "%s",
              sgn_peers_why(owner.peers, 3));
    cr_assert(strstr(sgn_peers_why(owner.peers, 4), "is node 2, not node 4") != NULL, "%s",
              sgn_peers_why(owner.peers, 4));

    sgn_peers_remove(owner.peers, 4);
    three.self.ring_digest = 77; /* It comes right by itself. */
    TURN_UNTIL(two.base, owner.up == 2 && owner.answers == 2);

    sgn_listener_destroy(two.listener); /* Down for a while, then back at the same address. */
    sgn_peers_remove(owner.peers, 3);
    TURN_UNTIL(two.base, three.closed >= 1);
    cr_assert(sgn_peers_is_up(owner.peers, 2));
    sgn_wire_destroy(two.wire);
    two.wire = sgn_wire_create(two.base);
    TURN_UNTIL(two.base, owner.down == 1);
    TURN_UNTIL(two.base, strstr(sgn_peers_why(owner.peers, 2), "refused") != NULL);
    char text[SGN_ADDRESS_TEXT_BYTES];
    sgn_address_format(&at_two, text);
    node_listen(&two, text);
    TURN_UNTIL(two.base, owner.up == 3 && owner.answers == 3);
    cr_assert_str_eq(sgn_peers_why(owner.peers, 2), "");

    cr_assert_eq(sgn_peers_add(owner.peers, 2, &at_three), SGN_OK); /* Moved, to where it is not. */
    cr_assert(!sgn_peers_is_up(owner.peers, 2) && owner.down == 1);
    TURN_UNTIL(two.base, owner.down == 2);
    TURN_UNTIL(two.base, strstr(sgn_peers_why(owner.peers, 2), "is node 3") != NULL);
    sgn_peers_destroy(owner.peers);
    sgn_listener_destroy(three.listener);
    sgn_wire_destroy(three.wire);
    sgn_wire_destroy(wire);
    node_stop(&two);
}

/* More peers than a few, added and removed in an order that shifts the table. */
Test(peers, table_of_many)
{
    struct node node = {0};
    node_start(&node, 1);
    struct owner owner = {0};
    struct sgn_hello self = {.ring = "test", .node = 1};
    owner.peers = sgn_peers_create(node.wire, &self, &PEER_EVENTS, &owner, 9);
    struct sgn_address at;
    cr_assert_eq(sgn_address_parse("127.0.0.1:1", &at, NULL), SGN_OK);
    for (uint32_t id = 2; id < 2 + SGN_NODES_MAX; id++) {
        cr_assert_eq(sgn_peers_add(owner.peers, id * 7, &at), SGN_OK);
    }
    cr_assert_eq(sgn_peers_add(owner.peers, 8, &at), SGN_ERR_INVALID, "one too many");
    for (uint32_t id = 2; id < 2 + SGN_NODES_MAX; id += 2) {
        sgn_peers_remove(owner.peers, id * 7);
    }
    for (uint32_t id = 3; id < 2 + SGN_NODES_MAX; id += 2) { /* Found again, not added anew. */
        cr_assert_eq(sgn_peers_add(owner.peers, id * 7, &at), SGN_OK);
    }
    for (uint32_t i = 0; i < SGN_NODES_MAX / 2; i++) {
        cr_assert_eq(sgn_peers_add(owner.peers, 100000 + i, &at), SGN_OK, "%u", i);
    }
    cr_assert_eq(sgn_peers_add(owner.peers, 8, &at), SGN_ERR_INVALID);
    sgn_peers_destroy(owner.peers);
    node_stop(&node);
}
