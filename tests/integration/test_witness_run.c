/* The real signet-witness, spoken to as a node speaks: what it answers, what it refuses, how it
 * starts and ends. test_witness_run [PROGRAM]: by default the signet-witness of the same build. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ring/core/items.h"
#include "ring/core/witness.h"
#include "ring/net/frame.h"
#include "ring/net/hello.h"
#include "tests/lib/node_run.h"

#define PARTS 8u
#define NODES 3u
#define ID    (SGN_WITNESS_BIT | 7u)
#define FLEET "127.0.0.1:7501" /* Never dialled: witnesses are told, they do not ask. */

static struct sgn_line lines[PARTS];
static struct sgn_map map = {.partition_count = PARTS, .group_size = 1, .lines = lines};

static void say(const char *what)
{
    (void)printf("ok - %s\n", what);
    (void)fflush(stdout);
}

static const char *program_find(int argc, char **argv)
{
    static char program[4096];
    char self[2048];
    ssize_t count = readlink("/proc/self/exe", self, sizeof(self) - 1);
    RUN_CHECK(count > 0, "own path: %s", strerror(errno));
    self[count] = '\0';
    *strrchr(self, '/') = '\0';
    (void)snprintf(program, sizeof(program), "%s/../../witness/signet-witness", self);
    if (argc > 1) {
        (void)snprintf(program, sizeof(program), "%s", argv[1]);
    }
    RUN_CHECK(access(program, X_OK) == 0, "%s: %s", program, strerror(errno));
    return program;
}

/* Instead of a node's configuration; the rest of tests/lib/node_run.h does not mind. */
static void config_write(const struct run_ring *ring, const char *more)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/node1.conf", ring->dir);
    FILE *file = fopen(path, "we");
    RUN_CHECK(file != NULL, "%s", path);
    (void)fprintf(file,
                  "# a witness\n[witness]\nid = 7\nring = %s\nlisten = 127.0.0.1:%u\n"
                  "admin = 127.0.0.1:0\nready_file = %s/ready1\nmemory = 1M\n%s",
                  ring->name,
                  ring->ports[1],
                  ring->dir,
                  more);
    RUN_CHECK(fclose(file) == 0, "%s", path);
}

/* --- speaking as a node ---------------------------------------------------------------------- */

/* The connection and what HELLO was answered with. */
static struct run_conn *greet(const struct run_ring *ring,
                              const char *name,
                              uint32_t node,
                              struct sgn_msg *answer)
{
    struct run_conn *conn = run_dial(ring, 1);
    struct sgn_hello self = {.node = node, .ring_digest = 99, .incarnation = 1};
    struct sgn_msg hello;
    (void)snprintf(self.ring, sizeof(self.ring), "%s", name);
    sgn_hello_encode(&self, &hello);
    run_send(conn, &hello);
    RUN_CHECK(run_receive(conn, answer), "no answer to HELLO");
    return conn;
}

static struct run_conn *open_node(const struct run_ring *ring, uint32_t node, uint32_t *incarnation)
{
    struct sgn_msg answer;
    struct run_conn *conn = greet(ring, ring->name, node, &answer);
    RUN_CHECK(answer.type == SGN_MSG_HELLO && answer.node == ID && answer.b != 0,
              "HELLO answered by %s",
              sgn_msg_name(answer.type));
    *incarnation = (uint32_t)answer.b;
    return conn;
}

static void call(struct run_conn *conn, struct sgn_msg *msg, struct sgn_msg *answer)
{
    static uint32_t request;
    msg->request = ++request;
    run_send(conn, msg);
    RUN_CHECK(run_receive(conn, answer) && answer->type == SGN_MSG_WITNESS_ANSWER &&
                  answer->request == msg->request,
              "%s answered by %s",
              sgn_msg_name(msg->type),
              sgn_msg_name(answer->type));
}

/* All partitions list the witness with the incarnation, in an epoch that is the version. */
static void tell_map(struct run_conn *conn, uint32_t version, uint32_t incarnation)
{
    static uint8_t raw[1u << 16];
    map.version = version;
    map.witness_count = 1;
    map.witnesses[0] =
        (struct sgn_witness_member){.id = ID, .incarnation = incarnation, .address = FLEET};
    for (uint32_t p = 0; p < PARTS; p++) {
        lines[p] = (struct sgn_line){
            .epoch = version, .seat_count = NODES, .group_count = 1, .group[0] = {ID, incarnation}};
        for (uint32_t i = 0; i < NODES; i++) {
            lines[p].seats[i] = (struct sgn_seat){
                .node = i + 1, .state = SGN_SEAT_IN_SYNC, .sets = SGN_SET_NEW, .since = version};
        }
    }
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    sgn_map_encode(&map, &sink);
    struct sgn_msg msg = {.type = SGN_MSG_MAP_IS, .value = sgn_sink_bytes(&sink)};
    struct sgn_msg answer;
    call(conn, &msg, &answer);
    RUN_CHECK(answer.err == SGN_OK && answer.a == version,
              "map: err %d, version %llu",
              answer.err,
              (unsigned long long)answer.a);
}

static uint8_t seed(struct run_conn *conn, uint32_t partition, uint32_t epoch, bool with_mark)
{
    uint8_t raw[128];
    uint8_t key_raw[8];
    uint8_t mark_raw[SGN_MARK_BYTES];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    struct sgn_sink key = sgn_sink_of(key_raw, sizeof(key_raw));
    struct sgn_sink mark = sgn_sink_of(mark_raw, sizeof(mark_raw));
    struct sgn_ballot ballot = {.hlc = 40, .node = 1, .incarnation = 1};
    sgn_sink_uint(&key, partition, 4);
    sgn_sink_uint(&key, epoch, 4);
    sgn_sink_uint(&mark, 1000, 8);
    sgn_sink_uint(&mark, 1000, 8);
    sgn_ballot_put(&mark, &ballot);
    sgn_items_push(
        &sink, sgn_sink_bytes(&key), with_mark ? sgn_sink_bytes(&mark) : sgn_bytes_of(NULL, 0));
    /* The number in the message is another's: the witness goes by HELLO. */
    struct sgn_msg msg = {.type = SGN_MSG_SEED, .node = 3, .items = sgn_sink_bytes(&sink)};
    struct sgn_msg answer;
    call(conn, &msg, &answer);
    RUN_CHECK(answer.err == SGN_OK && answer.items.count == SGN_WITNESS_SEEDED_BYTES,
              "seed: err %d, %zu bytes",
              answer.err,
              answer.items.count);
    return ((const uint8_t *)answer.items.ptr)[8];
}

static struct sgn_witness_tell ask(
    struct run_conn *conn, uint32_t incarnation, uint8_t what, uint32_t epoch, uint64_t hlc)
{
    uint8_t raw[2 * SGN_WITNESS_ASK_BYTES];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    struct sgn_witness_ask one = {.what = what,
                                  .tag = 5,
                                  .epoch = epoch,
                                  .key = {.hash = 1000, .keyed = 1000},
                                  .ballot = {.hlc = hlc, .node = 1, .incarnation = 1}};
    sgn_witness_ask_put(&sink, &one);
    if (what == SGN_WITNESS_SETTLE) { /* Has no answer of its own; a CHECK behind it shows it. */
        one.what = SGN_WITNESS_CHECK;
        sgn_witness_ask_put(&sink, &one);
    }
    struct sgn_msg msg = {
        .type = SGN_MSG_WITNESS, .a = incarnation, .items = sgn_sink_bytes(&sink)};
    struct sgn_msg answer;
    struct sgn_witness_tell tell;
    call(conn, &msg, &answer);
    struct sgn_cursor cursor = sgn_cursor_of(answer.items);
    RUN_CHECK(answer.err == SGN_OK && sgn_witness_tell_take(&cursor, &tell) && cursor.left == 0,
              "err %d, %zu bytes",
              answer.err,
              answer.items.count);
    return tell;
}

#define EXPECT(tell_, status_, hlc_)                                                               \
    do {                                                                                           \
        struct sgn_witness_tell got_ = (tell_);                                                    \
        RUN_CHECK(got_.status == (status_) && got_.ballot.hlc == (hlc_),                           \
                  "status %u, mark %llu",                                                          \
                  got_.status,                                                                     \
                  (unsigned long long)got_.ballot.hlc);                                            \
    } while (0)

/* --- tests ----------------------------------------------------------------------------------- */

static void test_marks(struct run_ring *ring)
{
    uint32_t birth = 0;
    struct run_conn *conn = open_node(ring, 1, &birth);
    struct run_conn *other = open_node(ring, 2, &birth);
    EXPECT(ask(conn, birth, SGN_WITNESS_CHECK, 2, 0), SGN_WITNESS_STALE, 0); /* No map yet. */
    tell_map(conn, 2, birth);
    EXPECT(ask(conn, birth, SGN_WITNESS_CHECK, 2, 0), SGN_WITNESS_WARMING, 0);
    EXPECT(ask(conn, birth, SGN_WITNESS_MARK, 2, 30), SGN_WITNESS_OK, 0);
    RUN_CHECK(seed(conn, 0, 2, true) == SGN_WITNESS_IS_WARMING, "one of three");
    RUN_CHECK(seed(conn, 0, 2, true) == SGN_WITNESS_IS_WARMING, "the same one again");
    RUN_CHECK(seed(other, 0, 1, false) == SGN_WITNESS_IS_WARMING, "of another epoch");
    RUN_CHECK(seed(other, 0, 2, false) == SGN_WITNESS_IS_ACTIVE, "a majority");
    EXPECT(ask(conn, birth, SGN_WITNESS_CHECK, 2, 0), SGN_WITNESS_OK, 40);
    EXPECT(ask(conn, birth, SGN_WITNESS_SETTLE, 2, 39), SGN_WITNESS_OK, 40);
    EXPECT(ask(conn, birth, SGN_WITNESS_MARK, 2, 41), SGN_WITNESS_OK, 0);
    EXPECT(ask(other, birth, SGN_WITNESS_CHECK, 2, 0), SGN_WITNESS_OK, 41);
    say("warms, is seeded by a majority, keeps marks until they are settled");

    EXPECT(ask(conn, birth, SGN_WITNESS_CHECK, 1, 0), SGN_WITNESS_STALE, 0);
    EXPECT(ask(conn, birth, SGN_WITNESS_CHECK, 3, 0), SGN_WITNESS_STALE, 0);
    EXPECT(ask(conn, birth + 1, SGN_WITNESS_CHECK, 2, 0), SGN_WITNESS_NOT_MEMBER, 0);
    tell_map(conn, 3, birth + 1 != 0 ? birth + 1 : 1);
    EXPECT(ask(conn, birth, SGN_WITNESS_MARK, 3, 50), SGN_WITNESS_NOT_MEMBER, 0);
    tell_map(conn, 4, birth);
    EXPECT(ask(conn, birth, SGN_WITNESS_CHECK, 3, 0), SGN_WITNESS_STALE, 0);
    EXPECT(ask(conn, birth, SGN_WITNESS_CHECK, 4, 0), SGN_WITNESS_WARMING, 0);
    (void)seed(conn, 0, 4, false);
    RUN_CHECK(seed(other, 0, 4, false) == SGN_WITNESS_IS_ACTIVE, "again");
    EXPECT(ask(conn, birth, SGN_WITNESS_CHECK, 4, 0), SGN_WITNESS_OK, 0);
    EXPECT(ask(conn, birth, SGN_WITNESS_MARK, 4, 60), SGN_WITNESS_OK, 0);
    EXPECT(ask(conn, birth, SGN_WITNESS_SETTLE, 4, 60), SGN_WITNESS_OK, 0);
    say("another epoch or incarnation gets no statement, a new epoch begins with nothing");
    run_close(conn);
    run_close(other);
}

static void test_refusals(struct run_ring *ring)
{
    struct sgn_msg answer;
    struct run_conn *conn = greet(ring, "others", 1, &answer);
    char text[256];
    (void)snprintf(
        text, sizeof(text), "%.*s", (int)answer.text.count, (const char *)answer.text.ptr);
    RUN_CHECK(answer.type == SGN_MSG_RESULT && answer.err == SGN_ERR_WRONG_RING &&
                  strstr(text, "\"others\"") != NULL && strstr(text, ring->name) != NULL,
              "err %d: %s",
              answer.err,
              text);
    RUN_CHECK(!run_receive(conn, &answer), "and the connection ends");
    run_close(conn);
    RUN_CHECK(strstr(run_log(ring, 1), "others") != NULL, "the log tells it: %s", run_log(ring, 1));
    conn = greet(ring, ring->name, SGN_WITNESS_BIT | 8, &answer);
    RUN_CHECK(answer.type == SGN_MSG_RESULT && answer.err == SGN_ERR_CONFIG, "err %d", answer.err);
    run_close(conn);

    conn = greet(ring, "", 0, &answer); /* A client. */
    RUN_CHECK(answer.type == SGN_MSG_HELLO, "%s", sgn_msg_name(answer.type));
    struct sgn_msg get = {
        .type = SGN_MSG_GET, .bucket = sgn_bytes_str("b"), .key = sgn_bytes_str("k")};
    RUN_CHECK(run_call(conn, &get, &answer) == SGN_ERR_UNSUPPORTED, "err %d", answer.err);
    struct sgn_msg status = {.type = SGN_MSG_STATUS};
    RUN_CHECK(run_call(conn, &status, &answer) == SGN_OK, "err %d", answer.err);
    (void)snprintf(text, sizeof(text), "%.*s", 200, (const char *)answer.value.ptr);
    RUN_CHECK(strstr(text, "\"witness\":7") != NULL, "%s", text);
    struct sgn_msg ping = {.type = SGN_MSG_PING};
    run_send(conn, &ping);
    RUN_CHECK(run_receive(conn, &answer) && answer.type == SGN_MSG_RESULT &&
                  answer.err == SGN_ERR_PROTOCOL,
              "a client does not speak as a node: %s, err %d",
              sgn_msg_name(answer.type),
              answer.err);
    run_close(conn);

    uint32_t birth = 0;
    conn = open_node(ring, 1, &birth);
    struct sgn_msg bad = {.type = SGN_MSG_WITNESS, .items = sgn_bytes_str("no asks"), .a = birth};
    call(conn, &bad, &answer);
    RUN_CHECK(answer.err == SGN_ERR_PROTOCOL, "err %d", answer.err);
    bad = (struct sgn_msg){.type = SGN_MSG_MAP_IS, .value = sgn_bytes_str("no map")};
    call(conn, &bad, &answer);
    RUN_CHECK(answer.err == SGN_ERR_INVALID, "err %d", answer.err);
    run_send_raw(conn, "this is no frame at all, is it", 30);
    RUN_CHECK(run_receive(conn, &answer) && answer.err == SGN_ERR_PROTOCOL, "err %d", answer.err);
    run_close(conn);
    say("other rings, other witnesses, clients and garbage are refused with a sentence");
}

static void test_admin(struct run_ring *ring)
{
    const char *text = run_http(ring, 1, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    RUN_CHECK(strstr(text, "200 OK") != NULL &&
                  strstr(text, "signet_witness_checks_total ") != NULL,
              "%s",
              text);
    text = run_http(ring, 1, "GET /status HTTP/1.1\r\nHost: a\r\n\r\n");
    RUN_CHECK(strstr(text, "\"bytes_per_key\":64") != NULL, "%s", text);
    text = run_http(ring, 1, "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n");
    RUN_CHECK(strstr(text, " 404 ") != NULL, "%s", text);
    say("serves metrics and status");
}

static void test_restart(struct run_ring *ring)
{
    uint32_t births[4] = {0};
    for (uint32_t i = 0; i < 4; i++) {
        struct run_conn *conn = open_node(ring, 1, &births[i]);
        for (uint32_t k = 0; k < i; k++) {
            RUN_CHECK(births[k] != births[i], "incarnation %u came twice", births[i]);
        }
        if (i > 0) { /* The map that lists the one before: not this one. */
            tell_map(conn, 10 + i, births[i - 1]);
            EXPECT(ask(conn, births[i], SGN_WITNESS_CHECK, 10 + i, 0), SGN_WITNESS_NOT_MEMBER, 0);
            EXPECT(
                ask(conn, births[i - 1], SGN_WITNESS_CHECK, 10 + i, 0), SGN_WITNESS_NOT_MEMBER, 0);
        }
        run_close(conn);
        RUN_CHECK(run_stop(ring, 1, SIGKILL) == -SIGKILL, "kill");
        run_start(ring, 1, NULL, NULL);
        run_ready(ring, 1);
    }
    say("killed and started again it is a new one");
}

static void expect_start(
    struct run_ring *ring, uint32_t node, const char *argument, int status, const char *words)
{
    char log[128];
    (void)snprintf(log, sizeof(log), "%s/log%u", ring->dir, node);
    (void)unlink(log);
    run_start(ring, node, argument, NULL);
    int got = run_wait(ring, node);
    const char *text = run_log(ring, node);
    const char *end = strchr(text, '\n');
    RUN_CHECK(got == status && strstr(text, words) != NULL && end != NULL && end[1] == '\0',
              "status %d for %d; wanted one line with \"%s\" in: %s",
              got,
              status,
              words,
              text);
}

static void test_starts(struct run_ring *ring)
{
    char path[128];
    char copy[128];
    (void)snprintf(path, sizeof(path), "%s/node1.conf", ring->dir);
    (void)snprintf(copy, sizeof(copy), "%s/node2.conf", ring->dir);
    (void)unlink(copy);
    RUN_CHECK(link(path, copy) == 0, "%s", strerror(errno)); /* The same file for the second. */
    expect_start(ring, 2, "--ready-file=/dev/null/no", 1, "another program does already");
    expect_start(ring, 2, "--id=0", 2, "--id: \"0\" is not valid");
    expect_start(ring, 2, "--lisen=127.0.0.1:1", 2, "did you mean listen?");
    expect_start(ring, 2, "--ring=", 2, "--ring: \"\" is not valid");
    expect_start(ring, 2, "stray", 2, "not a flag");
    expect_start(ring, 2, "--memory=1", 2, "--memory: \"1\" is not valid");
    expect_start(ring, 2, "--listen=203.0.113.1:7301", 1, "203.0.113.1:7301");
    (void)unlink(copy);
    config_write(ring, "id = 8\n"); /* Of the first; the second starts with what follows. */
    RUN_CHECK(link(path, copy) == 0, "%s", strerror(errno));
    expect_start(ring, 2, NULL, 2, "node2.conf:9: id: given twice");
    (void)unlink(copy);
    config_write(ring, "[store]\n");
    RUN_CHECK(link(path, copy) == 0, "%s", strerror(errno));
    expect_start(ring, 2, NULL, 2, "[store] is no section");
    (void)unlink(copy);
    expect_start(ring, 2, NULL, 2, "cannot be read");
    config_write(ring, "");
    say("starts that cannot be fail with one sentence");
}

int main(int argc, char **argv)
{
    static struct run_ring ring;
    run_init(&ring, program_find(argc, argv), "barrier", 2, 1);
    config_write(&ring, "");
    run_start(&ring, 1, NULL, NULL);
    run_ready(&ring, 1);
    test_marks(&ring);
    test_refusals(&ring);
    test_admin(&ring);
    test_restart(&ring);
    test_starts(&ring);
    RUN_CHECK(run_stop(&ring, 1, SIGTERM) == 0, "TERM: %s", run_log(&ring, 1));
    run_start(&ring, 1, NULL, NULL);
    run_ready(&ring, 1);
    RUN_CHECK(run_stop(&ring, 1, SIGINT) == 0, "INT: %s", run_log(&ring, 1));
    char ready[128];
    (void)snprintf(ready, sizeof(ready), "%s/ready1", ring.dir);
    RUN_CHECK(access(ready, F_OK) != 0, "a clean stop removes the ready file");
    say("stops cleanly on TERM and INT");
    run_clear(&ring);
    (void)printf("test_witness_run: all passed\n");
    return 0;
}
