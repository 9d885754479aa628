/* All that can go wrong with the machines of a ring, one after the other, under a steady load of
 * writes (tests/lib/night_load.h). After each all nodes run again, the replicas must come together
 * by themselves, and every acknowledged write must be there. First a node alone, once with syncs
 * off: there the power cut must be seen to lose what was acknowledged.
 * test_worst_night [PROGRAM [SEED [STEPS]]]: by default the signet-node of the same build. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ring/core/err.h"
#include "ring/core/prng.h"
#include "tests/lib/night_load.h"
#include "tests/lib/node_run.h"
#include "tests/lib/powercut.h"

#define NODES       4u
#define REPLICAS    3u
#define ACKS        40u /* That show that the ring goes on. */
#define PEER_ROUNDS (NODES - 1)
#define PAUSE_MS    2500u
#define STEPS       16u
#define LOST_KEYS   100u
#define ALL_MS      280u * 1000u /* The watchdog, below that of ./check; the test is far quicker. */
#define MIB         ((uint64_t)1 << 20)

static struct run_ring ring;
static struct powercut_map *maps[RUN_NODES_MAX + 1];
static struct night *night;
static unsigned passed, failed;
static uint64_t began_ms, keys_failed;

/* --- nodes on disks that can fail ------------------------------------------------------------ */

static void disk_paths(const struct run_ring *of, uint32_t node, char data[128], char map[128])
{
    (void)snprintf(data, 128, "%s/data%u", of->dir, node);
    (void)snprintf(map, 128, "%s/map%u", of->dir, node);
}

static void node_start(struct run_ring *of, uint32_t node, const char *more)
{
    char data[128];
    char map[128];
    disk_paths(of, node, data, map);
    maps[node] = powercut_begin(data, map);
    RUN_CHECK(maps[node] != NULL, "%s: %s", map, strerror(errno));
    run_start(of, node, more, NULL);
}

/* The process is gone; what it wrote is there, as the kernel has it. */
static void disk_keep(const struct run_ring *of, uint32_t node)
{
    char data[128];
    char map[128];
    disk_paths(of, node, data, map);
    powercut_end(map, maps[node]);
    maps[node] = NULL;
}

static int64_t disk_cut(const struct run_ring *of, uint32_t node, enum powercut_entries entries)
{
    char data[128];
    char map[128];
    disk_paths(of, node, data, map);
    int64_t cut = powercut_apply(data, map, maps[node], entries);
    RUN_CHECK(cut >= 0, "the cut of node %u could not be applied", node);
    maps[node] = NULL;
    return cut;
}

static void node_kill(uint32_t node)
{
    RUN_CHECK(run_stop(&ring, node, SIGKILL) == -SIGKILL, "node %u", node);
}

static void kill_all(void)
{
    for (uint32_t n = 1; n <= NODES; n++) { /* At once: only then wait for each. */
        (void)kill(ring.pids[n], SIGKILL);
    }
    for (uint32_t n = 1; n <= NODES; n++) {
        node_kill(n);
    }
}

static void start_all(void)
{
    for (uint32_t n = 1; n <= NODES; n++) {
        node_start(&ring, n, NULL);
    }
    for (uint32_t n = 1; n <= NODES; n++) {
        run_ready(&ring, n);
    }
}

static void node_back(uint32_t node)
{
    node_start(&ring, node, NULL);
    run_ready(&ring, node);
}

static void stop_clean(uint32_t node)
{
    int status = run_stop(&ring, node, SIGTERM);
    RUN_CHECK(status == 0, "node %u stopped with %d", node, status);
    disk_keep(&ring, node);
}

/* --- the end of a phase ---------------------------------------------------------------------- */

static uint64_t status_number(const char *text, const char *name)
{
    char quoted[64];
    (void)snprintf(quoted, sizeof(quoted), "\"%s\":", name);
    const char *at = strstr(text, quoted);
    RUN_CHECK(at != NULL, "no %s in %s", name, text);
    return strtoull(at + strlen(quoted), NULL, 10);
}

/* No hint left, and every node has compared its trees with every other one since the last write and
 * found no difference. */
static void await_together(void)
{
    uint64_t limit_ms = run_now_ms() + RUN_WAIT_MS;
    uint64_t rounds[NODES + 1];
    for (uint32_t n = 1; n <= NODES; n++) {
        rounds[n] = status_number(run_status(&ring, n), "tree_rounds");
    }
    for (uint32_t n = 1; n <= NODES;) {
        const char *text = run_status(&ring, n);
        uint64_t done = status_number(text, "tree_rounds") - rounds[n];
        if (status_number(text, "hints_held") == 0 &&
            status_number(text, "divergent_partitions") == 0 &&
            status_number(text, "peers_alive") == NODES - 1 && done >= PEER_ROUNDS) {
            n++;
            continue;
        }
        RUN_CHECK(run_now_ms() < limit_ms, "node %u does not come together: %s", n, text);
        run_pause();
    }
}

static void phase_end(const char *what, enum night_scope scope)
{
    night_await_acks(night, ACKS);
    night_pause(night);
    await_together();
    struct night_counts counts = night_check(night, scope);
    bool good = counts.failed == keys_failed;
    keys_failed = counts.failed;
    passed += good;
    failed += !good;
    (void)printf("%s - %s (%llu ms, %llu acknowledged, %llu unknown, %llu refused, %llu reads)\n",
                 good ? "ok" : "FAILED",
                 what,
                 (unsigned long long)(run_now_ms() - began_ms),
                 (unsigned long long)counts.acked,
                 (unsigned long long)counts.unknown,
                 (unsigned long long)counts.refused,
                 (unsigned long long)counts.checked);
    (void)fflush(stdout);
    night_resume(night);
}

/* --- phases ---------------------------------------------------------------------------------- */

static void phase_kills(void)
{
    for (uint32_t n = 1; n <= NODES; n++) {
        node_kill(n);
        disk_keep(&ring, n);
        night_await_acks(night, ACKS);
        node_back(n);
        night_await_acks(night, ACKS / 4);
    }
    phase_end("kill -9 of each node in turn", NIGHT_NEW);

    night_await_acks(night, ACKS);
    kill_all();
    for (uint32_t n = 1; n <= NODES; n++) {
        disk_keep(&ring, n);
    }
    start_all();
    phase_end("kill -9 of all nodes at once", NIGHT_NEW);
}

static void phase_power(void)
{
    night_await_acks(night, ACKS);
    node_kill(2);
    (void)disk_cut(&ring, 2, POWERCUT_UNDO_ENTRIES);
    night_await_acks(night, ACKS);
    node_back(2);
    phase_end("power cut of one node", NIGHT_NEW);

    for (int i = 0; i < 2; i++) {
        night_await_acks(night, ACKS);
        kill_all();
        for (uint32_t n = 1; n <= NODES; n++) {
            (void)disk_cut(&ring, n, i == 0 ? POWERCUT_UNDO_ENTRIES : POWERCUT_KEEP_ENTRIES);
        }
        start_all();
    }
    phase_end("power cut of all nodes, twice", NIGHT_ALL);
}

static void await_store(uint32_t node, const char *state)
{
    char words[64];
    (void)snprintf(words, sizeof(words), "\"store\":{\"state\":\"%s\"", state);
    run_await_status(&ring, node, words);
}

static void phase_space(void)
{
    atomic_store(&maps[3]->free_bytes, MIB);
    await_store(3, "full");
    run_await_status(&ring, 3, "writes are refused until space is freed");
    night_await_acks(night, ACKS);
    atomic_store(&maps[3]->free_bytes, 0);
    await_store(3, "running");
    phase_end("a disk runs low on space and gets it back", NIGHT_NEW);
}

/* The node goes on reading, takes no writes, ends with 1 and is well after a start. */
static void stopped_store(uint32_t node)
{
    struct run_conn *conn = run_open(&ring, node);
    char got[256];
    await_store(node, "stopped");
    run_await_status(&ring, node, "writes are refused until the node is restarted");
    night_await_acks(night, ACKS);
    int count = run_get(conn, NIGHT_BUCKET, "b/0/0", got, sizeof(got));
    RUN_CHECK(count > 0 || count == SGN_ERR_NOT_FOUND, "reads: %s", sgn_err_name(count));
    run_close(conn);
    int status = run_stop(&ring, node, SIGTERM);
    RUN_CHECK(status == 1, "a store that failed was closed with status %d", status);
    disk_keep(&ring, node);
    node_back(node);
    await_store(node, "running");
}

static void phase_disk_errors(void)
{
    atomic_store(&maps[1]->fail_errno, ENOSPC);
    uint64_t limit_ms = run_now_ms() + RUN_WAIT_MS;
    while (strstr(run_status(&ring, 1), "\"state\":\"stopped\"") == NULL) {
        atomic_store(&maps[1]->fail_write_in, 1); /* Until it meets the log, not a smaller file. */
        RUN_CHECK(run_now_ms() < limit_ms, "no write failed");
        run_pause();
    }
    atomic_store(&maps[1]->fail_write_in, 0);
    stopped_store(1);
    phase_end("a write meets a full disk", NIGHT_NEW);

    atomic_store(&maps[4]->fail_errno, EIO);
    atomic_store(&maps[4]->fail_sync_in, 1);
    stopped_store(4);
    phase_end("a sync fails", NIGHT_NEW);
}

static void phase_silence(void)
{
    uint64_t until_ms = run_now_ms() + PAUSE_MS;
    (void)kill(ring.pids[3], SIGSTOP);
    run_await_status(&ring, 1, "1 of 4 nodes is not heard: 3");
    while (run_now_ms() < until_ms) {
        night_await_acks(night, ACKS / 4);
    }
    (void)kill(ring.pids[3], SIGCONT);
    phase_end("a node is stopped and goes on", NIGHT_NEW);
}

static void phase_new_disk(void)
{
    char command[192];
    /* One copy is lost here: what only the hints of others hold must have come home before. */
    night_pause(night);
    await_together();
    night_resume(night);
    node_kill(2);
    disk_keep(&ring, 2);
    (void)snprintf(command, sizeof(command), "rm -rf '%s/data2'", ring.dir);
    RUN_CHECK(system(command) == 0, "%s", command);
    night_await_acks(night, ACKS);
    node_back(2);
    phase_end("a node comes back with an empty disk", NIGHT_ALL);
}

static void phase_clean_stops(void)
{
    for (uint32_t n = 1; n <= NODES; n++) {
        stop_clean(n);
        night_await_acks(night, ACKS / 4);
        node_back(n);
        night_await_acks(night, ACKS / 4);
    }
    phase_end("a clean stop of each node in turn under load", NIGHT_NEW);
}

/* Nodes go down and come back at random, up to two at a time, without a rest in between. */
static void phase_random(struct sgn_prng *prng, uint32_t steps)
{
    bool down[NODES + 1] = {false};
    uint32_t down_count = 0;
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t n = 1 + (uint32_t)sgn_prng_below(prng, NODES);
        uint64_t kind = sgn_prng_below(prng, 4);
        if (down[n]) {
            node_start(&ring, n, NULL);
            run_ready(&ring, n);
        } else if (down_count == 2) {
            continue;
        } else if (kind == 0) {
            stop_clean(n);
        } else if (kind == 1) {
            node_kill(n);
            disk_keep(&ring, n);
        } else {
            node_kill(n);
            (void)disk_cut(&ring, n, kind == 2 ? POWERCUT_UNDO_ENTRIES : POWERCUT_KEEP_ENTRIES);
        }
        down_count += down[n] ? -1u : 1u;
        down[n] = !down[n];
        night_await_acks(night, sgn_prng_below(prng, ACKS / 2));
    }
    for (uint32_t n = 1; n <= NODES; n++) {
        if (down[n]) {
            node_back(n);
        }
    }
    phase_end("nodes go down and come back at random", NIGHT_ALL);
}

/* --- a node alone ---------------------------------------------------------------------------- */

static void tell(bool good, const char *what)
{
    passed += good;
    failed += !good;
    (void)printf("%s - %s\n", good ? "ok" : "FAILED", what);
    (void)fflush(stdout);
}

/* How many of the first keys are not there, with their names as values. */
static unsigned keys_lost(struct run_conn *conn)
{
    char key[32];
    char got[64];
    unsigned lost = 0;
    for (unsigned i = 0; i < LOST_KEYS; i++) {
        (void)snprintf(key, sizeof(key), "k%u", i);
        int count = run_get(conn, "default", key, got, sizeof(got));
        RUN_CHECK(count == SGN_ERR_NOT_FOUND || strcmp(got, key) == 0, "%s: %d", key, count);
        lost += count == SGN_ERR_NOT_FOUND;
    }
    return lost;
}

/* What no other node can make good: a power cut, with and without syncs, and a full disk. */
static void test_solo(const char *program)
{
    struct run_ring solo;
    char key[32];
    run_init(&solo, program, "solo", 1, 1);
    solo.shim = SGN_POWERCUT_SHIM;
    for (int synced = 0; synced < 2; synced++) {
        node_start(&solo, 1, synced != 0 ? NULL : "--store.sync=no");
        run_ready(&solo, 1);
        struct run_conn *conn = run_open(&solo, 1);
        for (unsigned i = 0; i < LOST_KEYS; i++) {
            (void)snprintf(key, sizeof(key), "k%u", i);
            RUN_CHECK(run_put(conn, "default", key, key) == SGN_OK, "put %s", key);
        }
        run_close(conn);
        RUN_CHECK(run_stop(&solo, 1, SIGKILL) == -SIGKILL, "kill");
        (void)disk_cut(&solo, 1, POWERCUT_KEEP_ENTRIES);
        node_start(&solo, 1, NULL);
        run_ready(&solo, 1);
        conn = run_open(&solo, 1);
        unsigned lost = keys_lost(conn);
        run_close(conn);
        tell(synced != 0 ? lost == 0 : lost > 0,
             synced != 0 ? "a power cut loses nothing that was acknowledged"
                         : "negative control: without syncs a power cut loses acknowledged writes");
        if (synced == 0) {
            RUN_CHECK(run_stop(&solo, 1, SIGKILL) == -SIGKILL, "kill");
            disk_keep(&solo, 1);
        }
    }
    run_bucket(&solo, 1, NIGHT_BUCKET);
    struct run_conn *conn = run_open(&solo, 1);
    atomic_store(&maps[1]->free_bytes, MIB);
    uint64_t limit_ms = run_now_ms() + RUN_WAIT_MS;
    while (run_put(conn, NIGHT_BUCKET, "full", "v") != SGN_ERR_DISK_FULL) {
        RUN_CHECK(run_now_ms() < limit_ms, "the full disk is not noticed");
        run_pause();
    }
    bool good = run_put(conn, "default", "full", "v") != SGN_OK && keys_lost(conn) == 0;
    atomic_store(&maps[1]->free_bytes, 0);
    while (run_put(conn, "default", "full", "v") != SGN_OK) {
        RUN_CHECK(run_now_ms() < limit_ms, "writes do not go on with space back");
        run_pause();
    }
    run_close(conn);
    tell(good, "a full disk refuses writes, serves reads, and takes writes when space is back");
    RUN_CHECK(run_stop(&solo, 1, SIGTERM) == 0, "TERM");
    disk_keep(&solo, 1);
    run_clear(&solo);
}

static void ring_up(const char *program, char *seeds, size_t seeds_bytes)
{
    size_t at = 0;
    run_init(&ring, program, "night", NODES, REPLICAS);
    ring.shim = SGN_POWERCUT_SHIM;
    for (uint32_t n = 1; n <= NODES; n++) {
        run_config(&ring, n, "[timing]\nheartbeat = 100ms\nsuspect = 600ms\n");
        at += (size_t)snprintf(
            seeds + at, seeds_bytes - at, "%s127.0.0.1:%u", n > 1 ? "," : "", ring.ports[n]);
    }
    start_all();
    for (uint32_t n = 1; n <= NODES; n++) {
        run_await_status(&ring, n, "\"peers_alive\":3");
    }
}

int main(int argc, char **argv)
{
    char seeds[256];
    const char *program = run_program(argc, argv);
    struct sgn_prng prng = {.state = argc > 2 ? strtoull(argv[2], NULL, 10) : run_now_ms()};
    uint32_t steps = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : STEPS;
    (void)printf("seed %llu (give it after the program to repeat the choices)\n",
                 (unsigned long long)prng.state);
    (void)alarm(argc > 3 ? 0 : ALL_MS / 1000);
    began_ms = run_now_ms();
    test_solo(program);
    ring_up(program, seeds, sizeof(seeds));
    night = night_start(seeds, NODES);
    phase_end("all is well", NIGHT_ALL);
    phase_kills();
    phase_power();
    phase_space();
    phase_disk_errors();
    phase_silence();
    phase_new_disk();
    phase_clean_stops();
    phase_random(&prng, steps);
    phase_end("in the end: every key through every node", NIGHT_ALL);
    night_pause(night);
    night_end(night);
    for (uint32_t n = 1; n <= NODES; n++) {
        stop_clean(n);
    }
    passed++;
    run_clear(&ring);
    (void)printf("%u passed, %u failed, 0 skipped\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
