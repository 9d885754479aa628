/* Real daemons: a ring of three that loses a node to kill -9 and gets it back; bad input of every
 * kind; bounds; stops. Plain main, so that it runs under ThreadSanitizer too.
 * test_node [PROGRAM]: by default the signet-node of the same build. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ring/core/items.h"
#include "ring/core/ring.h"
#include "ring/net/hello.h"
#include "ring/net/msg_codec.h"
#include "tests/lib/node_run.h"

#define STOP_MS_MAX 20000u

static const char *program;

static void say(const char *what)
{
    (void)printf("ok - %s\n", what);
    (void)fflush(stdout);
}

static void put_range(struct run_conn *conn, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        char key[32];
        char value[32];
        (void)snprintf(key, sizeof(key), "k/%03u", i);
        (void)snprintf(value, sizeof(value), "value %u", i);
        int err = run_put(conn, "default", key, value);
        RUN_CHECK(err == SGN_OK, "put %s: %s", key, sgn_err_name(err));
    }
}

/* An eventual read may be of a replica that still lacks some: it comes to have all. */
static void check_range(struct run_conn *conn, uint32_t from, uint32_t to)
{
    uint64_t limit_ms = run_now_ms() + RUN_WAIT_MS;
    for (uint32_t i = from; i < to; i++) {
        char key[32];
        char value[32];
        char got[64];
        (void)snprintf(key, sizeof(key), "k/%03u", i);
        (void)snprintf(value, sizeof(value), "value %u", i);
        int count = run_get(conn, "default", key, got, sizeof(got));
        while (count <= 0 || strcmp(got, value) != 0) {
            RUN_CHECK(run_now_ms() < limit_ms, "get %s: %d \"%s\"", key, count, got);
            run_pause();
            count = run_get(conn, "default", key, got, sizeof(got));
        }
    }
}

/* All keys under the prefix, page by page. */
static uint32_t count_list(struct run_conn *conn, const char *prefix)
{
    uint8_t after[SGN_PAGE_BYTES_MAX];
    size_t after_bytes = 0;
    uint32_t count = 0;
    for (uint32_t pages = 0; pages < 1000; pages++) {
        struct sgn_msg list = {.type = SGN_MSG_LIST,
                               .bucket = sgn_bytes_str("default"),
                               .key = sgn_bytes_str(prefix),
                               .after = sgn_bytes_of(after, after_bytes),
                               .n = 7};
        struct sgn_msg answer;
        int err = run_call(conn, &list, &answer);
        RUN_CHECK(err == SGN_OK, "list: %s", sgn_err_name(err));
        struct sgn_cursor cursor = sgn_cursor_of(answer.items);
        struct sgn_bytes key;
        struct sgn_bytes value;
        while (sgn_items_next(&cursor, &key, &value)) {
            RUN_CHECK(sgn_bytes_starts(key, sgn_bytes_str(prefix)), "a key outside the prefix");
            count++;
        }
        if ((answer.flags & SGN_RESULT_END) != 0) {
            return count;
        }
        after_bytes = answer.after.count;
        RUN_CHECK(after_bytes > 0, "a page that does not go on");
        memcpy(after, answer.after.ptr, after_bytes);
    }
    return UINT32_MAX;
}

static void test_requests(struct run_conn *writer, struct run_conn *conn)
{
    struct sgn_msg del = {
        .type = SGN_MSG_DEL, .bucket = sgn_bytes_str("default"), .key = sgn_bytes_str("k/005")};
    struct sgn_msg answer;
    char got[64];
    run_sign(&del);
    RUN_CHECK(run_call(writer, &del, &answer) == SGN_OK, "del: %s", sgn_err_name(answer.err));
    del.type = SGN_MSG_GET;
    del.a = SGN_READ_STRONG;
    RUN_CHECK(run_call(conn, &del, &answer) == SGN_ERR_NOT_FOUND, "strong: deleted");
    int count = run_get(conn, "default", "k/006", got, sizeof(got));
    RUN_CHECK(count > 0, "its neighbour: %d", count);
    RUN_CHECK(run_put(conn, "nowhere", "k", "v") == SGN_ERR_NO_BUCKET, "unknown bucket");
    RUN_CHECK(run_put(conn, "Not/A/Bucket", "k", "v") < 0, "bad bucket name");
    RUN_CHECK(run_put(conn, "default", "", "v") == SGN_ERR_INVALID, "empty key");
    struct sgn_msg description = {.type = SGN_MSG_RING};
    struct sgn_ring decoded;
    RUN_CHECK(run_call(conn, &description, &answer) == SGN_OK, "RING");
    RUN_CHECK(sgn_ring_decode(answer.value, &decoded) == SGN_OK && decoded.member_count == 3 &&
                  strcmp(decoded.name, "demo") == 0,
              "the ring's description");
    say("delete, refusals of the engine, the ring's description");
}

/* As with single keys. */
static void check_list(struct run_conn *conn, const char *prefix, uint32_t wanted)
{
    uint64_t limit_ms = run_now_ms() + RUN_WAIT_MS;
    for (uint32_t count; (count = count_list(conn, prefix)) != wanted; run_pause()) {
        RUN_CHECK(run_now_ms() < limit_ms, "%u keys with \"%s\", not %u", count, prefix, wanted);
    }
}

static void test_ring(void)
{
    struct run_ring ring;
    struct run_conn *conns[4] = {NULL};
    run_init(&ring, program, "demo", 3, 3);
    for (uint32_t n = 1; n <= 3; n++) {
        run_start(&ring, n, NULL, NULL);
    }
    for (uint32_t n = 1; n <= 3; n++) {
        run_ready(&ring, n);
        run_await_status(&ring, n, "\"peers_alive\":2");
        conns[n] = run_open(&ring, n);
    }
    for (uint32_t n = 1; n <= 3; n++) {
        put_range(conns[n], 20 * (n - 1), 20 * n);
    }
    for (uint32_t n = 1; n <= 3; n++) {
        check_range(conns[n], 0, 60);
        check_list(conns[n], "k/", 60);
        check_list(conns[n], "k/01", 10);
    }
    say("put, get and list through each of three nodes");

    run_close(conns[2]);
    RUN_CHECK(run_stop(&ring, 2, SIGKILL) == -SIGKILL, "killed");
    put_range(conns[1], 60, 80);
    put_range(conns[3], 80, 100);
    check_range(conns[1], 0, 100);
    check_range(conns[3], 0, 100);
    run_await_status(&ring, 1, "1 of 3 nodes is not heard: 2");
    run_start(&ring, 2, NULL, NULL);
    run_ready(&ring, 2);
    for (uint32_t n = 1; n <= 3; n++) {
        run_await_status(&ring, n, "\"verdict\":\"healthy\"");
    }
    conns[2] = run_open(&ring, 2);
    check_range(conns[2], 0, 100);
    check_list(conns[2], "k/", 100);
    say("a node is killed, the ring goes on, the node comes back and has all");

    test_requests(conns[3], conns[1]);
    for (uint32_t n = 1; n <= 3; n++) {
        run_close(conns[n]);
        uint64_t began_ms = run_now_ms();
        int status = run_stop(&ring, n, SIGTERM);
        RUN_CHECK(status == 0, "node %u stopped with %d", n, status);
        RUN_CHECK(run_now_ms() - began_ms < STOP_MS_MAX, "node %u took long to stop", n);
        char ready[128];
        (void)snprintf(ready, sizeof(ready), "%s/ready%u", ring.dir, n);
        RUN_CHECK(access(ready, F_OK) != 0, "the ready file is gone");
    }
    say("TERM: every node ends with status 0");
    run_clear(&ring);
}

/* --- bad input ------------------------------------------------------------------------------- */

/* The node answers with a RESULT of this error and a sentence, then closes. */
static void expect_refusal(struct run_conn *conn, int err, const char *what)
{
    struct sgn_msg answer;
    RUN_CHECK(run_receive(conn, &answer), "%s: closed without a word", what);
    RUN_CHECK(answer.type == SGN_MSG_RESULT && answer.err == err,
              "%s: type %d err %s",
              what,
              (int)answer.type,
              sgn_err_name(answer.err));
    RUN_CHECK(answer.text.count > 10, "%s: a sentence", what);
    RUN_CHECK(!run_receive(conn, &answer), "%s: the connection goes on", what);
    run_close(conn);
}

static void send_hello(struct run_conn *conn, const char *name, uint32_t node, uint64_t digest)
{
    struct sgn_hello self = {.ring_digest = digest, .node = node, .incarnation = 1};
    struct sgn_msg hello;
    (void)snprintf(self.ring, sizeof(self.ring), "%s", name);
    sgn_hello_encode(&self, &hello);
    run_send(conn, &hello);
}

static void test_hello(const struct run_ring *ring)
{
    struct run_conn *conn = run_dial(ring, 1);
    send_hello(conn, "other", 0, 0);
    expect_refusal(conn, SGN_ERR_WRONG_RING, "another ring's client");
    conn = run_dial(ring, 1);
    send_hello(conn, "solo", 2, 12345);
    expect_refusal(conn, SGN_ERR_WRONG_RING, "another ring's node");
    conn = run_dial(ring, 1);
    send_hello(conn, "solo", 1, 12345);
    expect_refusal(conn, SGN_ERR_WRONG_RING, "a node with our own id");
    conn = run_dial(ring, 1);
    struct sgn_msg get = {
        .type = SGN_MSG_GET, .bucket = sgn_bytes_str("default"), .key = sgn_bytes_str("k")};
    run_send(conn, &get);
    expect_refusal(conn, SGN_ERR_PROTOCOL, "a request before HELLO");
    conn = run_open(ring, 1);
    struct sgn_msg heartbeat = {.type = SGN_MSG_HEARTBEAT, .node = 2};
    run_send(conn, &heartbeat);
    expect_refusal(conn, SGN_ERR_PROTOCOL, "a client that plays a node");
    say("HELLO: other rings, strangers and impostors are refused");
}

static void test_garbage(const struct run_ring *ring)
{
    uint8_t raw[4096];
    for (size_t i = 0; i < sizeof(raw); i++) {
        raw[i] = (uint8_t)(i * 37 + 11);
    }
    struct run_conn *conn = run_dial(ring, 1);
    run_send_raw(conn, raw, sizeof(raw));
    expect_refusal(conn, SGN_ERR_PROTOCOL, "garbage");
    conn = run_open(ring, 1);
    run_send_raw(conn, raw, sizeof(raw));
    expect_refusal(conn, SGN_ERR_PROTOCOL, "garbage after HELLO");

    struct sgn_frame frame = {.type = SGN_MSG_HELLO};
    sgn_frame_encode(&frame, sgn_bytes_of(NULL, 0), raw);
    raw[2] = 99;
    conn = run_dial(ring, 1);
    run_send_raw(conn, raw, SGN_FRAME_HEADER_BYTES);
    expect_refusal(conn, SGN_ERR_VERSION, "another version");

    frame.type = SGN_MSG_PUT;
    sgn_frame_encode(&frame, sgn_bytes_of(NULL, 0), raw);
    raw[16] = raw[17] = raw[18] = raw[19] = 0xff; /* 4 GiB of body announced. */
    conn = run_open(ring, 1);
    run_send_raw(conn, raw, SGN_FRAME_HEADER_BYTES);
    expect_refusal(conn, SGN_ERR_TOO_LARGE, "an oversized frame");

    /* A good frame with one bit turned. */
    struct sgn_msg get = {
        .type = SGN_MSG_GET, .bucket = sgn_bytes_str("default"), .key = sgn_bytes_str("k")};
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    RUN_CHECK(sgn_msg_encode(&get, &sink, NULL) == SGN_OK, "encode");
    raw[sink.count - 3] ^= 1;
    conn = run_open(ring, 1);
    run_send_raw(conn, raw, sink.count);
    expect_refusal(conn, SGN_ERR_PROTOCOL, "a damaged frame");

    raw[sink.count - 3] ^= 1;
    for (size_t bytes = 1; bytes < sink.count; bytes += 5) {
        conn = run_open(ring, 1);
        run_send_raw(conn, raw, bytes); /* Half a frame, then gone. */
        run_close(conn);
    }
    conn = run_open(ring, 1);
    RUN_CHECK(run_put(conn, "default", "still", "here") == SGN_OK, "the node still serves");
    run_close(conn);
    say("garbage, versions, sizes, damage and half frames");
}

/* Key and value at and above their limits. */
static void test_sizes(const struct run_ring *ring)
{
    struct run_conn *conn = run_open(ring, 1);
    char key[SGN_KEY_BYTES_MAX + 1];
    memset(key, 'k', sizeof(key));
    key[SGN_KEY_BYTES_MAX] = '\0';
    RUN_CHECK(run_put(conn, "default", key, "v") == SGN_OK, "the longest key");
    char *value = malloc(SGN_VALUE_BYTES_MAX + 1);
    RUN_CHECK(value != NULL, "memory");
    memset(value, 'v', SGN_VALUE_BYTES_MAX + 1);
    struct sgn_msg put = {.type = SGN_MSG_PUT,
                          .bucket = sgn_bytes_str("default"),
                          .key = sgn_bytes_str("large"),
                          .value = sgn_bytes_of(value, SGN_VALUE_BYTES_MAX)};
    struct sgn_msg answer;
    run_sign(&put);
    RUN_CHECK(run_call(conn, &put, &answer) == SGN_OK,
              "the largest value: %s %.*s",
              sgn_err_name(answer.err),
              (int)answer.text.count,
              (const char *)answer.text.ptr);
    put.value.count++;
    RUN_CHECK(run_call(conn, &put, &answer) == SGN_ERR_TOO_LARGE,
              "one byte more: %s",
              sgn_err_name(answer.err));
    struct sgn_msg get = {
        .type = SGN_MSG_GET, .bucket = sgn_bytes_str("default"), .key = sgn_bytes_str("large")};
    RUN_CHECK(run_call(conn, &get, &answer) == SGN_OK && answer.value.count == SGN_VALUE_BYTES_MAX,
              "the largest value comes back");
    free(value);
    run_close(conn);
    say("keys and values at their limits and one above");
}

/* One connection, one request under way. */
static void test_bounds(struct run_ring *ring)
{
    struct run_conn *conn = run_open(ring, 1);
    struct run_conn *second = run_dial(ring, 1);
    send_hello(second, "", 0, 0);
    expect_refusal(second, SGN_ERR_BUSY, "a connection too many");

    uint8_t raw[1024];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    for (uint32_t i = 1; i <= 3; i++) {
        struct sgn_msg put = {.type = SGN_MSG_PUT,
                              .request = i,
                              .bucket = sgn_bytes_str("default"),
                              .key = sgn_bytes_str("bound"),
                              .value = sgn_bytes_str("v")};
        run_sign(&put);
        RUN_CHECK(sgn_msg_encode(&put, &sink, NULL) == SGN_OK, "encode");
    }
    run_send_raw(conn, raw, sink.count);
    uint32_t good = 0;
    uint32_t busy = 0;
    for (uint32_t i = 0; i < 3; i++) {
        struct sgn_msg answer;
        RUN_CHECK(run_receive(conn, &answer), "an answer to each");
        good += answer.err == SGN_OK;
        busy += answer.err == SGN_ERR_BUSY;
    }
    RUN_CHECK(good >= 1 && busy >= 1 && good + busy == 3, "%u good, %u busy", good, busy);
    run_close(conn);
    say("connections and requests are bounded");
}

/* --- admin ----------------------------------------------------------------------------------- */

static void expect_http(const struct run_ring *ring,
                        const char *text,
                        const char *status,
                        const char *words)
{
    const char *answer = run_http(ring, 1, text);
    RUN_CHECK(strncmp(answer, "HTTP/1.1 ", 9) == 0 && strncmp(answer + 9, status, 3) == 0 &&
                  strstr(answer, words) != NULL,
              "for %.40s: %.300s",
              text,
              answer);
}

static void test_admin(const struct run_ring *ring)
{
    expect_http(
        ring, "GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "200", "alive");
    expect_http(ring,
                "GET /health/ready?x=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                "200",
                "healthy");
    expect_http(ring,
                "GET /health/cluster HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                "200",
                "healthy");
    expect_http(ring,
                "GET /status HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                "200",
                "{\"schema\":1,\"node\":1,\"ring\":\"solo\"");
    expect_http(ring,
                "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                "200",
                "\nsignet_requests_total{op=\"put\",result=\"ok\"} ");
    expect_http(ring,
                "GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
                "200",
                "\nsignet_build_info{version=");
    expect_http(
        ring, "GET /other HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "404", "/health/live");
    expect_http(ring,
                "POST /status HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
                "405",
                "Allow: GET");
    expect_http(ring, "GET //status HTTP/1.1\r\nHost: a\r\n\r\n", "400", "must name a path");
    expect_http(ring,
                "GET /status HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n"
                "Content-Length: 3\r\n\r\nabc",
                "400",
                "body");
    expect_http(ring, "GET /status HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400", "one Host");
    char large[16384];
    memset(large, 'h', sizeof(large));
    (void)memcpy(large, "GET /status HTTP/1.1\r\nX: ", 25);
    large[sizeof(large) - 1] = '\0';
    expect_http(ring, large, "400", "");
    say("admin: health, status, metrics; odd requests are refused");
}

/* The largest value takes its time under a sanitizer. */
#define PATIENT "[timing]\nrequest = 20s\n"

static void test_solo(void)
{
    struct run_ring ring;
    run_init(&ring, program, "solo", 1, 1);
    run_config(&ring, 1, PATIENT);
    run_start(&ring, 1, NULL, NULL);
    run_ready(&ring, 1);
    run_await_status(&ring, 1, "\"verdict\":\"healthy\"");
    test_hello(&ring);
    test_garbage(&ring);
    test_sizes(&ring);
    test_admin(&ring);

    run_config(&ring, 1, "[node]\nlog_level = debug\nhints_max = 5\n" PATIENT);
    (void)kill(ring.pids[1], SIGHUP);
    uint64_t limit_ms = run_now_ms() + RUN_WAIT_MS;
    while (strstr(run_log(&ring, 1), "msg=\"reloaded\" log_level=debug") == NULL) {
        RUN_CHECK(run_now_ms() < limit_ms, "SIGHUP");
        run_pause();
    }
    RUN_CHECK(strstr(run_log(&ring, 1), "msg=\"change needs a restart\" option=node.hints_max") !=
                  NULL,
              "named");
    say("HUP: the log level is taken, other changes are named");

    /* What was acknowledged is there after a kill. */
    RUN_CHECK(run_stop(&ring, 1, SIGKILL) == -SIGKILL, "killed");
    run_config(&ring, 1, "[node]\nconnections_max = 1\nrequests_max = 1\n");
    run_start(&ring, 1, NULL, NULL);
    run_ready(&ring, 1);
    RUN_CHECK(strstr(run_log(&ring, 1), " clean=no") != NULL, "a second life");
    struct run_conn *conn = run_open(&ring, 1);
    char got[64];
    RUN_CHECK(run_get(conn, "default", "still", got, sizeof(got)) == 4, "\"%s\"", got);
    run_close(conn);
    test_bounds(&ring);
    RUN_CHECK(run_stop(&ring, 1, SIGINT) == 0, "INT");
    run_start(&ring, 1, NULL, NULL);
    run_ready(&ring, 1);
    const char *third = strstr(run_log(&ring, 1), " clean=no");
    RUN_CHECK(third != NULL && strstr(third, " clean=yes") != NULL, "a clean stop");
    RUN_CHECK(run_stop(&ring, 1, SIGTERM) == 0, "TERM");
    say("kill -9 keeps what was acknowledged; INT and TERM close cleanly");
    run_clear(&ring);
}

int main(int argc, char **argv)
{
    program = run_program(argc, argv);
    test_solo();
    test_ring();
    (void)printf("test_node: all passed\n");
    return 0;
}
