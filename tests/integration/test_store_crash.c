/* A real store on real files, killed and cut off from power at random moments.
 *
 * A child (tests/lib/store_child.h) writes units 1, 2, 3 ... and says which were acknowledged. Unit
 * t writes key t % CHILD_KEYS in the data and hint families, deletes or writes a tree entry, and
 * notes t under "last". So after a restart "last" alone says what all the rest must be: units are
 * whole, in order, none missing, and last >= every acknowledged t.
 *
 * The negative control runs the same with syncs off: there acknowledged units must get lost, or
 * this test could not see a loss. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "node/store.h"
#include "ring/core/prng.h"
#include "tests/lib/powercut.h"
#include "tests/lib/store_child.h"

#define ROUNDS 24u
#define MIB    ((uint64_t)1 << 20)

static char root[256];
static char data_directory[300];
static char map_path[300];
static char self_path[4096];
static unsigned failures;

#define EXPECT(condition, ...)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            failures++;                                                                            \
            printf("FAILED %s:%d: %s: ", __FILE__, __LINE__, #condition);                          \
            printf(__VA_ARGS__);                                                                   \
            printf("\n");                                                                          \
        }                                                                                          \
    } while (0)

struct child {
    pid_t pid;
    int fd;
    struct powercut_map *map;
    uint64_t acked; /* The highest acknowledged. */
    uint64_t acks;
    uint64_t refused;
    enum sgn_err refusal; /* The last one. */
    uint64_t acks_after_refusal;
    bool opened;
};

static void child_start(struct child *child, uint64_t first, enum sgn_store_sync sync)
{
    *child = (struct child){.opened = true};
    int pipe_fds[2];
    child->map = powercut_begin(data_directory, map_path);
    if (child->map == NULL || pipe(pipe_fds) != 0) {
        printf("cannot prepare a child: %s\n", strerror(errno));
        exit(1);
    }
    fflush(stdout);
    child->pid = fork();
    if (child->pid == 0) {
        char number[32];
        char fd_text[16];
        snprintf(number, sizeof(number), "%" PRIu64, first);
        snprintf(fd_text, sizeof(fd_text), "%d", pipe_fds[1]);
        setenv("LD_PRELOAD", SGN_POWERCUT_SHIM, 1);
        setenv("SGN_FAULT_DIR", data_directory, 1);
        setenv("SGN_FAULT_MAP", map_path, 1);
        setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0", 1);
        close(pipe_fds[0]);
        execl(self_path,
              self_path,
              "child",
              data_directory,
              number,
              fd_text,
              sync == SGN_STORE_SYNC ? "sync" : "nosync",
              (char *)NULL);
        _exit(4);
    }
    close(pipe_fds[1]);
    child->fd = pipe_fds[0];
}

static void report_take(struct child *child, const struct child_report *report)
{
    if (report->token == 0) {
        child->opened = false;
    } else if (report->err != SGN_OK) {
        child->refused++;
        child->refusal = (enum sgn_err)report->err;
        child->acks_after_refusal = 0;
    } else {
        child->acks++;
        child->acks_after_refusal++;
        child->acked = report->token > child->acked ? report->token : child->acked;
    }
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Reads reports until `enough` acks came since the call and `for_ms` passed; 30 s at most. */
static void child_listen(struct child *child, uint64_t for_ms, uint64_t enough)
{
    uint64_t begin = now_ms();
    uint64_t acks_begin = child->acks;
    while (child->opened && now_ms() - begin < 30000) {
        if (now_ms() - begin >= for_ms && child->acks - acks_begin >= enough) {
            return;
        }
        struct pollfd wait = {.fd = child->fd, .events = POLLIN};
        struct child_report report;
        if (poll(&wait, 1, 5) <= 0) {
            continue;
        }
        if (read(child->fd, &report, sizeof(report)) != (ssize_t)sizeof(report)) {
            child->opened = false;
            return;
        }
        report_take(child, &report);
    }
}

/* Reads reports until one is a refusal, 30 s at most, and those of 300 ms after it. */
static void child_await_refusal(struct child *child)
{
    uint64_t begin = now_ms();
    while (child->opened && child->refused == 0 && now_ms() - begin < 30000) {
        child_listen(child, 5, 0);
    }
    child_listen(child, 300, 0);
}

/* Kills it and hears what it said before. */
static void child_kill(struct child *child)
{
    struct child_report report;
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
    while (read(child->fd, &report, sizeof(report)) == (ssize_t)sizeof(report)) {
        report_take(child, &report);
    }
    close(child->fd);
}

static uint64_t number_at(struct sgn_store *store, enum sgn_family family, struct sgn_bytes key)
{
    struct sgn_store_value value;
    uint64_t t = 0;
    enum sgn_err err = sgn_store_get(store, family, key, &value);
    EXPECT(err == SGN_OK || err == SGN_ERR_NOT_FOUND, "read: %s", sgn_err_name(err));
    if (err == SGN_OK) {
        EXPECT(value.bytes.count == sizeof(t), "%zu bytes", value.bytes.count);
        memcpy(&t, value.bytes.ptr, sizeof(t));
        sgn_store_value_release(&value);
    }
    return t;
}

/* All that unit t must have left, if it is the last of its key. */
static void unit_verify(struct sgn_store *store, uint64_t t, uint8_t *raw)
{
    char key[32];
    struct sgn_bytes full_key = child_key(t, key);
    struct sgn_bytes wanted = child_value(t, raw);
    struct sgn_store_value value;
    enum sgn_err err = sgn_store_get(store, SGN_FAMILY_DATA, full_key, &value);
    EXPECT(err == SGN_OK, "unit %" PRIu64 ": %s", t, sgn_err_name(err));
    if (err == SGN_OK) {
        EXPECT(sgn_bytes_equal(value.bytes, wanted), "unit %" PRIu64 " has another value", t);
        sgn_store_value_release(&value);
    }
    EXPECT(number_at(store, SGN_FAMILY_HINT, full_key) == t, "hint of unit %" PRIu64, t);
    uint64_t tree = number_at(store, SGN_FAMILY_TREE, full_key);
    EXPECT(tree == (t % 3 == 0 ? 0 : t), "tree entry of unit %" PRIu64 " is %" PRIu64, t, tree);
}

/* Opens the store, checks it against its own "last", and returns that. `was_open`: the child got as
 * far as having it open, so this start follows an unclean stop. */
static uint64_t store_verify(uint32_t *incarnation, uint32_t *generation, bool was_open)
{
    struct sgn_store *store;
    struct sgn_store_options options = child_options(data_directory, SGN_STORE_SYNC);
    char error[SGN_STORE_ERROR_BYTES];
    enum sgn_err err = sgn_store_open(&store, &options, error, sizeof(error));
    if (err != SGN_OK) {
        EXPECT(err == SGN_OK, "%s", error);
        return 0;
    }
    struct sgn_store_identity identity = sgn_store_identity(store);
    EXPECT(identity.incarnation > *incarnation, "incarnation %" PRIu32, identity.incarnation);
    EXPECT(!was_open || !identity.was_clean, "a kill passed for a clean stop");
    EXPECT(!was_open || identity.home_generation > *generation, "home generation stayed");
    *incarnation = identity.incarnation;
    *generation = identity.home_generation;
    uint64_t last = number_at(store, SGN_FAMILY_META, sgn_bytes_str("last"));
    uint8_t *raw = malloc(CHILD_VALUE_BYTES_MAX);
    for (uint64_t back = 0; raw != NULL && back < CHILD_KEYS && back < last; back++) {
        unit_verify(store, last - back, raw);
    }
    free(raw);
    struct sgn_store_stats stats;
    sgn_store_stats(store, &stats);
    EXPECT(stats.corrupt == 0, "%" PRIu64 " corrupt records", stats.corrupt);
    err = sgn_store_close(store);
    EXPECT(err == SGN_OK, "close: %s", sgn_err_name(err));
    return last;
}

static void files_remove(void)
{
    char command[1024];
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    if (system(command) != 0) {
        printf("could not remove %s\n", root);
    }
}

static void directory_new(void)
{
    char command[1024];
    snprintf(command, sizeof(command), "rm -rf '%s' && mkdir '%s'", data_directory, data_directory);
    if (system(command) != 0) {
        printf("cannot make %s\n", data_directory);
        exit(1);
    }
}

static void rounds_power_cut(struct sgn_prng *prng)
{
    uint32_t incarnation = 0;
    uint32_t generation = 0;
    uint64_t last = 0;
    uint64_t acks = 0;
    uint64_t cut_total = 0;
    directory_new();
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct child child;
        /* Round 1 dies while it is still opening, some later ones too. */
        bool early = round % 6 == 1;
        child_start(&child, last + 1, SGN_STORE_SYNC);
        uint64_t for_ms = sgn_prng_below(prng, early ? 40 : 250);
        child_listen(&child, for_ms, early ? 0 : 1);
        child_kill(&child);
        enum powercut_entries entries =
            round % 2 == 0 ? POWERCUT_UNDO_ENTRIES : POWERCUT_KEEP_ENTRIES;
        int64_t cut = powercut_apply(data_directory, map_path, child.map, entries);
        EXPECT(cut >= 0, "round %u: the cut could not be applied", round);
        EXPECT(child.opened || early, "round %u: the child did not run", round);
        uint64_t found = store_verify(&incarnation, &generation, child.acks > 0);
        EXPECT(found >= child.acked && found >= last,
               "round %u: unit %" PRIu64 " was acknowledged, %" PRIu64 " is the last found",
               round,
               child.acked > last ? child.acked : last,
               found);
        last = found;
        acks += child.acks;
        cut_total += cut > 0 ? (uint64_t)cut : 0;
    }
    printf("power cut: %u rounds, %" PRIu64 " units acknowledged, %" PRIu64 " found, %" PRIu64
           " unsynced bytes cut off\n",
           ROUNDS,
           acks,
           last,
           cut_total);
    EXPECT(acks > ROUNDS && cut_total > 0, "the rounds did not do much");
}

static void negative_control(void)
{
    directory_new();
    struct child child;
    child_start(&child, 1, SGN_STORE_NO_SYNC);
    child_listen(&child, 100, 200);
    child_kill(&child);
    int64_t cut = powercut_apply(data_directory, map_path, child.map, POWERCUT_KEEP_ENTRIES);
    uint32_t incarnation = 0;
    uint32_t generation = 0;
    uint64_t found = store_verify(&incarnation, &generation, true);
    printf("negative control, syncs off: %" PRIu64 " acknowledged, %" PRIu64 " found, %" PRId64
           " bytes cut off\n",
           child.acked,
           found,
           cut);
    EXPECT(found < child.acked, "a store that does not sync lost nothing: the test is blind");
}

/* The n-th sync or write fails: nothing acknowledged is lost, and nothing is acknowledged after. */
static void fault_once(const char *what, bool in_sync, int fail_errno, int64_t nth)
{
    directory_new();
    struct child child;
    child_start(&child, 1, SGN_STORE_SYNC);
    child_listen(&child, 20, 20);
    atomic_store(&child.map->fail_errno, fail_errno);
    atomic_store(in_sync ? &child.map->fail_sync_in : &child.map->fail_write_in, nth);
    child_await_refusal(&child);
    uint64_t failed = atomic_load(&child.map->failed);
    child_kill(&child);
    enum sgn_err told = fail_errno == ENOSPC ? SGN_ERR_DISK_FULL : SGN_ERR_IO;
    EXPECT(failed == 1, "%s: the fault was not met", what);
    EXPECT(child.refused > 0 && child.refusal == told,
           "%s: refusal %s",
           what,
           sgn_err_name(child.refusal));
    EXPECT(child.acks_after_refusal == 0, "%s: acknowledged after the failure", what);
    (void)powercut_apply(data_directory, map_path, child.map, POWERCUT_KEEP_ENTRIES);
    uint32_t incarnation = 0;
    uint32_t generation = 0;
    uint64_t found = store_verify(&incarnation, &generation, true);
    EXPECT(found >= child.acked,
           "%s: %" PRIu64 " acknowledged, %" PRIu64 " found",
           what,
           child.acked,
           found);
    printf("%s at call %" PRId64 ": %" PRIu64 " acknowledged, %" PRIu64 " found, then %" PRIu64
           " refusals with %s\n",
           what,
           nth,
           child.acked,
           found,
           child.refused,
           sgn_err_name(child.refusal));
}

/* Space runs low and comes back: refusals in between, no restart. */
static void space_low(void)
{
    directory_new();
    struct child child;
    child_start(&child, 1, SGN_STORE_SYNC);
    child_listen(&child, 20, 20);
    atomic_store(&child.map->free_bytes, MIB / 2);
    child_await_refusal(&child);
    uint64_t refused = child.refused;
    uint64_t acks_while_full = child.acks_after_refusal;
    EXPECT(refused > 0 && child.refusal == SGN_ERR_DISK_FULL,
           "refusal %s",
           sgn_err_name(child.refusal));
    EXPECT(acks_while_full == 0, "%" PRIu64 " acknowledged without space", acks_while_full);
    atomic_store(&child.map->free_bytes, 0);
    child_listen(&child, 50, 20);
    EXPECT(child.acks_after_refusal >= 10, "writes did not resume");
    child_kill(&child);
    printf("low space: %" PRIu64 " refusals, then %" PRIu64 " acknowledged with space back\n",
           child.refused,
           child.acks_after_refusal);
    powercut_end(map_path, child.map);
}

int main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "child") == 0) {
        return child_run(argv[2],
                         strtoull(argv[3], NULL, 10),
                         (int)strtol(argv[4], NULL, 10),
                         strcmp(argv[5], "sync") == 0 ? SGN_STORE_SYNC : SGN_STORE_NO_SYNC);
    }
    struct sgn_prng prng = {.state = argc > 1 ? strtoull(argv[1], NULL, 10) : now_ms()};
    printf("seed %" PRIu64 " (give it as the argument to repeat the choices)\n", prng.state);
    const char *tmp = getenv("TMPDIR");
    snprintf(root, sizeof(root), "%s/sgn-crash-XXXXXX", tmp != NULL ? tmp : "/tmp");
    ssize_t length = readlink("/proc/self/exe", self_path, sizeof(self_path) - 1);
    if (length <= 0 || mkdtemp(root) == NULL) {
        printf("cannot make a directory: %s\n", strerror(errno));
        return 1;
    }
    char *real_root = realpath(root, NULL);
    if (real_root == NULL || strlen(real_root) >= sizeof(root)) {
        return 1;
    }
    memcpy(root, real_root, strlen(real_root) + 1);
    free(real_root);
    snprintf(data_directory, sizeof(data_directory), "%s/data", root);
    snprintf(map_path, sizeof(map_path), "%s/map", root);
    rounds_power_cut(&prng);
    negative_control();
    fault_once("EIO on sync", true, EIO, 1);
    fault_once("EIO on sync", true, EIO, 7);
    fault_once("EIO on write", false, EIO, 5);
    fault_once("ENOSPC on write", false, ENOSPC, 5);
    space_low();
    if (failures == 0) {
        files_remove();
    }
    printf("%s: %u failures%s%s\n",
           failures == 0 ? "passed" : "FAILED",
           failures,
           failures == 0 ? "" : ", files kept in ",
           failures == 0 ? "" : root);
    return failures == 0 ? 0 : 1;
}
