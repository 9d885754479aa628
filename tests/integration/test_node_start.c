/* Every start that must fail: one sentence, a status that is not 0, nothing changed.
 * test_node_start [PROGRAM]: by default the signet-node of the same build. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/node_run.h"

static const char *program;

static void say(const char *what)
{
    (void)printf("ok - %s\n", what);
    (void)fflush(stdout);
}

static void expect_start(struct run_ring *ring,
                         uint32_t node,
                         const char *a,
                         const char *b,
                         int status,
                         const char *words)
{
    char log[128];
    (void)snprintf(log, sizeof(log), "%s/log%u", ring->dir, node);
    (void)unlink(log);
    run_start(ring, node, a, b);
    int got = run_wait(ring, node);
    RUN_CHECK(got == status && strstr(run_log(ring, node), words) != NULL,
              "status %d for %d; wanted \"%s\" in: %s",
              got,
              status,
              words,
              run_log(ring, node));
}

static void test_failing_starts(void)
{
    struct run_ring ring;
    char path[256];
    run_init(&ring, program, "starts", 2, 1);
    run_start(&ring, 1, NULL, NULL);
    run_ready(&ring, 1);

    (void)snprintf(path, sizeof(path), "--listen=127.0.0.1:%u", ring.ports[1]);
    expect_start(&ring, 2, path, NULL, 1, "another program does already");
    (void)snprintf(path, sizeof(path), "%s/data2", ring.dir);
    RUN_CHECK(access(path, F_OK) != 0, "a start that failed on its port left a data directory");
    (void)snprintf(path, sizeof(path), "--admin=%s", ring.admin[1]);
    expect_start(&ring, 2, path, NULL, 1, "the admin address");
    expect_start(&ring, 2, "--listen=203.0.113.1:7301", NULL, 1, "203.0.113.1:7301");
    (void)snprintf(path, sizeof(path), "--data=%s/data1", ring.dir);
    expect_start(&ring, 2, path, NULL, 1, "/data1");
    expect_start(&ring, 2, "--id=9", NULL, 2, "--node.id: 9 is not a member of the ring");
    expect_start(&ring, 2, "--replicas=9", NULL, 2, "did you mean --ring.replicas?");
    (void)snprintf(path, sizeof(path), "--data=%s/none/data", ring.dir);
    expect_start(&ring, 2, path, NULL, 1, "/none/data");
    (void)snprintf(path, sizeof(path), "--data=%s/node1.conf", ring.dir);
    expect_start(&ring, 2, path, NULL, 1, "node1.conf");
    (void)snprintf(path, sizeof(path), "--ready-file=%s/none/ready", ring.dir);
    expect_start(&ring, 2, path, NULL, 1, "the ready file");
    say("starts fail with a sentence: ports, addresses, directories, members");

    RUN_CHECK(run_stop(&ring, 1, SIGTERM) == 0, "TERM");
    expect_start(&ring, 1, "--ring.name=others", NULL, 1, "/data1");
    (void)snprintf(path, sizeof(path), "--data=%s/data1", ring.dir);
    expect_start(&ring, 2, path, NULL, 1, "/data1");
    expect_start(&ring, 1, "--ring.replicas=2", NULL, 1, "1 replicas there, 2 here");
    expect_start(&ring, 1, "--member.3.address=127.0.0.1:1", NULL, 1, "member 3 is new here");
    expect_start(&ring,
                 1,
                 "--member.2.weight=5",
                 NULL,
                 1,
                 "the membership of a ring cannot be changed by editing the configuration");
    expect_start(&ring, 1, "--check-config", NULL, 0, "");
    run_start(&ring, 1, NULL, NULL);
    run_ready(&ring, 1);
    RUN_CHECK(run_stop(&ring, 1, SIGTERM) == 0, "nothing was changed by the refusals");
    say("data directories of other rings, nodes and member lists are refused");
    run_clear(&ring);
}

int main(int argc, char **argv)
{
    program = run_program(argc, argv);
    test_failing_starts();
    (void)printf("test_node_start: all passed\n");
    return 0;
}
