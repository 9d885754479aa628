/* Connections on real loopback sockets, both ends in one process and on one loop. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "ring/net/msg_codec.h"
#include "tests/lib/net_node.h"

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

/* Reads until `count` messages or the end came; the last message is in *msg, and true is the
 * end. */
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
            cr_assert_eq(sgn_msg_read(decoder,
                                      sgn_bytes_of(bytes + at, filled - at),
                                      sgn_types_answers() | SGN_TYPES_HELLO,
                                      msg,
                                      &used,
                                      &why),
                         SGN_OK,
                         "%s",
                         why.text);
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
    struct sgn_msg put = {.type = SGN_MSG_PUT,
                          .request = 1,
                          .bucket = sgn_bytes_str("b"),
                          .key = sgn_bytes_str("k"),
                          .value = sgn_bytes_of(big, 5000)};
    struct sgn_msg get = {
        .type = SGN_MSG_GET, .request = 2, .bucket = sgn_bytes_str("b"), .key = sgn_bytes_str("k")};
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
    struct sgn_msg get = {.type = SGN_MSG_GET,
                          .request = 42,
                          .bucket = sgn_bytes_str("b"),
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
        {true,
         3,
         SGN_MSG_GET ^ SGN_MSG_HEARTBEAT,
         frame,
         SGN_ERR_PROTOCOL,
         "HEARTBEAT message is not"},
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
        struct sgn_msg get = {.type = SGN_MSG_GET,
                              .request = client->to_send,
                              .bucket = sgn_bytes_str("b"),
                              .key = sgn_bytes_str("k")};
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
    cr_assert_eq(
        sgn_conn_dial(node->wire, sgn_listener_address(node->listener), &options, &client->conn),
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
    struct sgn_msg get = {
        .type = SGN_MSG_GET, .bucket = sgn_bytes_str("b"), .key = sgn_bytes_str("k")};
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
    cr_assert(
        strstr(node.closed_why, "sent no HELLO within 150 ms") != NULL, "%s", node.closed_why);
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
    cr_assert(
        refused.up == 0 && strstr(refused.closed_why, "refused") != NULL, "%s", refused.closed_why);
    sgn_wire_destroy(mute.wire);
    node.listener = NULL;
    node_stop(&node);
}
