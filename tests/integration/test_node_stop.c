/* How a node ends: with requests under way that get done, that do not, and when it is told twice;
 * and that it does not start on what a newer program has written.
 * test_node_stop [PROGRAM]: by default the signet-node of the same build. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/store.h"
#include "tests/lib/node_run.h"
#include "tests/lib/store_raw.h"

#define DRAIN_MS    400u
#define STATUS_CUT  130
#define STOP_MS_MAX 15000u /* Far below the drain of a minute. */
#define LONG_TIMING "[timing]\nrequest = 60s\nreplica = 50s\nsuspect = 60s\n"
#define LONG_DRAIN  "[node]\ndrain = 60s\n"
#define SHORT_DRAIN "[node]\ndrain = 400ms\n"

static unsigned passed;

static void say(const char *what)
{
    passed++;
    (void)printf("ok - %s\n", what);
    (void)fflush(stdout);
}

/* Two nodes, both of which must keep a value; the second one hears and does nothing. Returns with a
 * put under way at the first. */
static struct run_conn *put_stuck(struct run_ring *ring, const char *drain)
{
    char more[256];
    char log[128];
    (void)snprintf(more, sizeof(more), "%s%s", drain, LONG_TIMING);
    for (uint32_t n = 1; n <= 2; n++) {
        run_config(ring, n, more);
        if (ring->pids[n] == 0) {
            (void)snprintf(log, sizeof(log), "%s/log%u", ring->dir, n);
            (void)unlink(log); /* What is waited for there is of this life. */
            run_start(ring, n, NULL, NULL);
            run_ready(ring, n);
        }
    }
    run_await_status(ring, 1, "\"peers_alive\":1");
    run_bucket(ring, 1, "any"); /* Of the kind whose put can ask for both copies. */
    struct run_conn *conn = run_open(ring, 1);
    RUN_CHECK(run_put(conn, "any", "before", "v") == SGN_OK, "both nodes are well");
    RUN_CHECK(kill(ring->pids[2], SIGSTOP) == 0, "STOP");
    struct sgn_msg put = {.type = SGN_MSG_PUT,
                          .request = 77,
                          .bucket = sgn_bytes_str("any"),
                          .key = sgn_bytes_str("stuck"),
                          .n = 2,
                          .value = sgn_bytes_str("v")};
    run_send(conn, &put);
    run_await_status(ring, 1, "\"requests_under_way\":1");
    return conn;
}

static void await_log(const struct run_ring *ring, const char *words)
{
    uint64_t limit_ms = run_now_ms() + RUN_WAIT_MS;
    while (strstr(run_log(ring, 1), words) == NULL) {
        RUN_CHECK(run_now_ms() < limit_ms, "no \"%s\" in %s", words, run_log(ring, 1));
        run_pause();
    }
}

static void test_drain(struct run_ring *ring)
{
    struct sgn_msg answer;
    struct run_conn *conn = put_stuck(ring, LONG_DRAIN);
    (void)kill(ring->pids[1], SIGTERM);
    await_log(ring, "msg=\"stopping\" requests=1");
    (void)kill(ring->pids[2], SIGCONT);
    RUN_CHECK(run_receive(conn, &answer) && answer.request == 77 && answer.err == SGN_OK,
              "the put that was under way: %s",
              sgn_err_name(answer.err));
    RUN_CHECK(!run_receive(conn, &answer), "the connection is closed");
    run_close(conn);
    RUN_CHECK(run_wait(ring, 1) == 0, "status");
    say("TERM: what is under way is finished and answered");
}

static void test_drain_limit(struct run_ring *ring)
{
    struct run_conn *conn = put_stuck(ring, SHORT_DRAIN);
    uint64_t began_ms = run_now_ms();
    int status = run_stop(ring, 1, SIGTERM);
    uint64_t took_ms = run_now_ms() - began_ms;
    RUN_CHECK(status == 0, "status %d", status);
    RUN_CHECK(took_ms >= DRAIN_MS && took_ms < STOP_MS_MAX, "%llu ms", (unsigned long long)took_ms);
    RUN_CHECK(strstr(run_log(ring, 1), "stopping with requests under way") != NULL, "the log");
    run_close(conn);
    (void)kill(ring->pids[2], SIGCONT);
    say("TERM: what does not get done is given up at the end of the drain, with status 0");
}

static void test_second_signal(struct run_ring *ring)
{
    struct run_conn *conn = put_stuck(ring, LONG_DRAIN);
    uint64_t began_ms = run_now_ms();
    (void)kill(ring->pids[1], SIGTERM);
    await_log(ring, "msg=\"stopping\" requests=1");
    int status = run_stop(ring, 1, SIGINT);
    RUN_CHECK(status == STATUS_CUT && run_now_ms() - began_ms < STOP_MS_MAX, "status %d", status);
    run_close(conn);
    (void)kill(ring->pids[2], SIGCONT);
    run_start(ring, 1, NULL, NULL);
    run_ready(ring, 1);
    char got[16];
    run_await_status(ring, 1, "\"peers_alive\":1");
    conn = run_open(ring, 1);
    RUN_CHECK(run_get(conn, "any", "before", got, sizeof(got)) == 1, "\"%s\"", got);
    run_close(conn);
    say("a second signal ends the node at once, with a status of its own, and loses nothing");
}

static void test_newer_format(struct run_ring *ring)
{
    char directory[128];
    (void)snprintf(directory, sizeof(directory), "%s/data1", ring->dir);
    RUN_CHECK(run_stop(ring, 1, SIGTERM) == 0, "TERM");
    char *message = raw_put_format(directory, SGN_STORE_FORMAT + 1);
    RUN_CHECK(message == NULL, "%s", message);
    run_start(ring, 1, NULL, NULL);
    int status = run_wait(ring, 1);
    RUN_CHECK(status == 1 &&
                  strstr(run_log(ring, 1), "and this program knows formats up to") != NULL,
              "status %d: %s",
              status,
              run_log(ring, 1));
    say("a data directory of a newer format is refused");
}

int main(int argc, char **argv)
{
    struct run_ring ring;
    run_init(&ring, run_program(argc, argv), "stops", 2, 2);
    test_drain(&ring);
    test_drain_limit(&ring);
    test_second_signal(&ring);
    test_newer_format(&ring);
    RUN_CHECK(run_stop(&ring, 2, SIGTERM) == 0, "TERM");
    run_clear(&ring);
    (void)printf("%u passed, 0 failed, 0 skipped\n", passed);
    return 0;
}
