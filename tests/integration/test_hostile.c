/* A node under fire: random and damaged frames on the port for nodes and clients, garbage on the
 * admin port. Whatever comes, the node neither dies nor stalls, answers what is well formed, and
 * keeps what it acknowledged. Under AddressSanitizer this also finds reads beyond what came in.
 * test_hostile [PROGRAM [SEED [ROUNDS]]] */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ring/core/prng.h"
#include "ring/core/ring.h"
#include "ring/net/frame.h"
#include "ring/net/hello.h"
#include "ring/net/msg_codec.h"
#include "tests/lib/node_run.h"
#include "tests/lib/random_msg.h"

#define ROUNDS      300u
#define FRAMES_MAX  40u
#define ROOM_BYTES  (1u << 20)
#define KEPT_KEYS   50u
#define ADMIN_BYTES 3000u

static const char *program;
static uint8_t noise[1u << 16];
static uint8_t room[ROOM_BYTES];

/* What a peer says that the node takes for node 2; it must be of this ring. */
static void hello_peer(struct run_conn *conn, const struct sgn_ring *ring)
{
    struct sgn_hello self = {.ring_digest = sgn_ring_digest(ring), .node = 2, .incarnation = 1};
    struct sgn_msg hello;
    struct sgn_msg answer;
    (void)snprintf(self.ring, sizeof(self.ring), "%s", ring->name);
    sgn_hello_encode(&self, &hello);
    run_send(conn, &hello);
    RUN_CHECK(run_receive(conn, &answer) && answer.type == SGN_MSG_HELLO,
              "node 2 was not let in: %.*s",
              (int)answer.text.count,
              (const char *)answer.text.ptr);
}

/* Words the node knows, so that more than the first check is reached. */
static void make_sensible(struct sgn_prng *prng, struct sgn_msg *msg)
{
    static const char *const keys[] = {"a", "kept/3", "z/long/er", "\x01\x02", "k"};
    if (sgn_prng_chance(prng, 800)) {
        msg->bucket = sgn_bytes_str("default");
    }
    if (sgn_prng_chance(prng, 500)) {
        msg->key = sgn_bytes_str(keys[sgn_prng_below(prng, 5)]);
    }
    if (sgn_prng_chance(prng, 500)) {
        msg->context = sgn_bytes_of(NULL, 0);
        msg->n = (uint32_t)sgn_prng_below(prng, 4);
        msg->flags = (uint32_t)sgn_prng_below(prng, 8);
    }
    if (sgn_prng_chance(prng, 500)) {
        msg->node = (uint32_t)sgn_prng_below(prng, 4);
        msg->epoch = 1;
        msg->a = sgn_prng_below(prng, 64);
        msg->b = sgn_prng_below(prng, 64);
    }
}

/* Frames of the types, seldom of others, whole, cut, or with bits turned behind a checksum that is
 * right or wrong. */
static size_t frames_make(struct sgn_prng *prng, uint64_t types)
{
    struct sgn_sink sink = sgn_sink_of(room, sizeof(room));
    uint64_t frames = 1 + sgn_prng_below(prng, FRAMES_MAX);
    for (uint64_t i = 0; i < frames; i++) {
        enum sgn_msg_type type = (enum sgn_msg_type)sgn_prng_below(prng, 32);
        size_t begin = sink.count;
        bool taken = (types & SGN_TYPE_BIT(type)) != 0 || sgn_prng_chance(prng, 5);
        if (sgn_msg_fields(type) == NULL || !taken) {
            continue;
        }
        struct sgn_msg msg = random_msg(prng, type, sgn_bytes_of(noise, sizeof(noise) / 16));
        make_sensible(prng, &msg);
        if (sgn_msg_encode(&msg, &sink, NULL) != SGN_OK) {
            sink.count = begin;
            sink.full = false;
            continue;
        }
        uint64_t kind = sgn_prng_below(prng, 20);
        size_t bytes = sink.count - begin;
        if (kind == 0) {
            sink.ptr[begin + sgn_prng_below(prng, bytes)] ^= (uint8_t)(1u << (i % 8));
        } else if (kind < 4 && bytes > SGN_FRAME_HEADER_BYTES) {
            /* The body is changed, the frame made anew: the codec and the engine have to cope. */
            uint8_t *body = sink.ptr + begin + SGN_FRAME_HEADER_BYTES;
            size_t count = bytes - SGN_FRAME_HEADER_BYTES;
            for (uint64_t turns = 1 + sgn_prng_below(prng, 4); turns > 0; turns--) {
                body[sgn_prng_below(prng, count)] = (uint8_t)sgn_prng_next(prng);
            }
            struct sgn_frame frame = {
                .type = (uint8_t)type, .request = msg.request, .body_bytes = (uint32_t)count};
            sgn_frame_encode(&frame, sgn_bytes_of(body, count), sink.ptr + begin);
        } else if (kind == 5) {
            sink.count = begin + sgn_prng_below(prng, bytes);
        }
    }
    return sink.count;
}

/* Takes what comes until the node has nothing more to say for a moment, or closes. */
static void drain(struct run_conn *conn)
{
    int fd = run_conn_fd(conn);
    uint8_t bytes[65536];
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (poll(&wait, 1, 3) > 0 && recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0) {
    }
}

static void check_alive(struct run_ring *ring)
{
    char key[32];
    char got[64];
    RUN_CHECK(kill(ring->pids[1], 0) == 0, "node 1 is gone");
    struct run_conn *conn = run_open(ring, 1);
    for (uint32_t i = 0; i < KEPT_KEYS; i++) {
        (void)snprintf(key, sizeof(key), "safe/%u", i);
        int count = run_get(conn, "default", key, got, sizeof(got));
        RUN_CHECK(count > 0 && strcmp(got, key) == 0, "%s: %d \"%s\"", key, count, got);
    }
    RUN_CHECK(run_put(conn, "default", "again", "and again") == SGN_OK, "put");
    run_close(conn);
}

static void fire(struct run_ring *ring, struct sgn_prng *prng, uint32_t rounds)
{
    struct run_conn *ask = run_open(ring, 1);
    struct sgn_msg description = {.type = SGN_MSG_RING};
    struct sgn_msg answer;
    static struct sgn_ring shape;
    RUN_CHECK(run_call(ask, &description, &answer) == SGN_OK &&
                  sgn_ring_decode(answer.value, &shape) == SGN_OK,
              "RING");
    run_close(ask);
    for (uint32_t i = 0; i < rounds; i++) {
        struct run_conn *conn = run_dial(ring, 1);
        uint64_t as = sgn_prng_below(prng, 5);
        if (as == 0) {
            run_send_raw(conn, noise + i, 1 + sgn_prng_below(prng, 4000));
        } else {
            struct sgn_hello client = {.node = 0};
            struct sgn_msg hello;
            sgn_hello_encode(&client, &hello);
            if (as < 3) {
                run_send(conn, &hello);
                RUN_CHECK(run_receive(conn, &answer), "no answer to a client's HELLO");
            } else {
                hello_peer(conn, &shape);
            }
            size_t bytes = frames_make(prng, as < 3 ? sgn_types_requests() : sgn_types_peer());
            run_send_raw(conn, room, bytes);
        }
        if (!sgn_prng_chance(prng, 200)) {
            drain(conn);
        }
        run_close(conn);
        if (i % 50 == 49) {
            check_alive(ring);
        }
    }
}

static void fire_admin(struct run_ring *ring, struct sgn_prng *prng, uint32_t rounds)
{
    static const char *const begins[] = {"GET /status HTTP/1.1\r\n",
                                         "GET /metrics HTTP/1.1\r\nHost: a\r\n",
                                         "GET http://[::1/ HTTP/1.1\r\n",
                                         "GET /%zz%00 HTTP/9.9\r\n\r\n",
                                         "OPTIONS * HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
                                         "\r\n\r\n\r\n",
                                         ""};
    char text[ADMIN_BYTES];
    for (uint32_t i = 0; i < rounds; i++) {
        const char *begin = begins[sgn_prng_below(prng, 7)];
        size_t at = strlen(begin);
        size_t bytes = at + sgn_prng_below(prng, ADMIN_BYTES - at - 1);
        memcpy(text, begin, at);
        for (; at < bytes; at++) {
            uint64_t kind = sgn_prng_below(prng, 12);
            text[at] = kind == 0   ? '\r'
                       : kind == 1 ? '\n'
                       : kind == 2 ? ':'
                       : kind == 3 ? (char)(1 + sgn_prng_below(prng, 255))
                                   : (char)('a' + sgn_prng_below(prng, 26));
        }
        text[bytes] = '\0';
        (void)run_http(ring, 1, text);
    }
    const char *answer =
        run_http(ring, 1, "GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    RUN_CHECK(strstr(answer, "200") != NULL, "%s", answer);
}

int main(int argc, char **argv)
{
    struct run_ring ring;
    char key[32];
    struct sgn_prng prng = {.state = argc > 2 ? strtoull(argv[2], NULL, 10) : run_now_ms()};
    uint32_t rounds = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : ROUNDS;
    program = run_program(argc, argv);
    (void)printf("seed %llu (give it after the program to repeat the choices)\n",
                 (unsigned long long)prng.state);
    for (size_t i = 0; i < sizeof(noise); i++) {
        noise[i] = (uint8_t)sgn_prng_next(&prng);
    }
    run_init(&ring, program, "hostile", 2, 2);
    for (uint32_t n = 1; n <= 2; n++) {
        run_start(&ring, n, NULL, NULL);
    }
    for (uint32_t n = 1; n <= 2; n++) {
        run_ready(&ring, n);
        run_await_status(&ring, n, "\"peers_alive\":1");
    }
    struct run_conn *conn = run_open(&ring, 1);
    for (uint32_t i = 0; i < KEPT_KEYS; i++) {
        (void)snprintf(key, sizeof(key), "safe/%u", i);
        RUN_CHECK(run_put(conn, "default", key, key) == SGN_OK, "put");
    }
    run_close(conn);
    fire(&ring, &prng, rounds);
    (void)printf("ok - %u connections of clients and false peers with random and damaged frames\n",
                 rounds);
    fire_admin(&ring, &prng, rounds);
    (void)printf("ok - %u requests of garbage on the admin port\n", rounds);
    check_alive(&ring);
    for (uint32_t n = 1; n <= 2; n++) {
        int status = run_stop(&ring, n, SIGTERM);
        RUN_CHECK(status == 0, "node %u stopped with %d", n, status);
    }
    run_clear(&ring);
    (void)printf("3 passed, 0 failed, 0 skipped\n");
    return 0;
}
