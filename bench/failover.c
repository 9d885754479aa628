#include "bench/failover.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cpu.h"
#include "client/signet.h"

#define SLICE_NS    (50 * UINT64_C(1000000))
#define SLICES_MAX  2400u /* Two minutes. */
#define READERS_MAX 64u
#define PIDS_MAX    32u
#define BACK_SHARE  0.99 /* Of the reads of a slice, from which on the fast path counts as back. */

enum path { PATH_FAST, PATH_QUORUM, PATH_ROUND, PATH_FAILED, PATH_COUNT };

struct slice {
    _Atomic uint32_t counts[PATH_COUNT]; /* Reads that ended in it. */
    _Atomic uint64_t longest_ns;
};

struct failover {
    const char *seeds, *bucket, *start_command;
    int pids[PIDS_MAX];
    uint32_t pid_count;
    uint32_t rate, readers, keys;
    uint32_t before_s, down_s, after_s;
    uint64_t begin_ns;
    _Atomic bool stop;
    _Atomic bool error_told;
    struct slice slices[SLICES_MAX];
};

struct reader {
    struct failover *run;
    pthread_t thread;
    struct sgn_client *client;
    struct sgn_request *request;
    uint32_t number;
};

static struct sgn_bytes key_of(uint32_t number, char room[32])
{
    (void)snprintf(room, 32, "failover-%u", number);
    return sgn_text(room);
}

static enum path path_of(struct sgn_request *request)
{
    struct sgn_bytes json = sgn_request_explanation(request);
    static const char *const texts[] = {"\"path\":\"fast\"", "\"path\":\"quorum\""};
    for (uint32_t i = 0; i < 2 && json.count > 0; i++) {
        if (memmem(json.ptr, json.count, texts[i], strlen(texts[i])) != NULL) {
            return (enum path)i;
        }
    }
    return PATH_ROUND;
}

static void read_one(struct reader *reader, uint32_t key)
{
    struct failover *run = reader->run;
    struct sgn_request *request = reader->request;
    char room[32];
    uint64_t began = sgn_bench_now_ns();
    sgn_request_get(request, sgn_text(run->bucket), key_of(key, room));
    sgn_request_set_read(request, SGN_READ_STRONG);
    sgn_request_set_explain(request);
    int err = sgn_request_run(request);
    uint64_t now = sgn_bench_now_ns();
    uint64_t index = (now - run->begin_ns) / SLICE_NS;
    if (index >= SLICES_MAX) {
        return;
    }
    struct slice *slice = &run->slices[index];
    (void)atomic_fetch_add(&slice->counts[err == SGN_OK ? path_of(request) : PATH_FAILED], 1);
    uint_fast64_t longest = atomic_load(&slice->longest_ns);
    while (now - began > longest &&
           !atomic_compare_exchange_weak(&slice->longest_ns, &longest, now - began)) {
    }
    if (err != SGN_OK && !atomic_exchange(&run->error_told, true)) {
        (void)printf("first failed read, at %.2f s: %s: %s\n",
                     (double)(now - run->begin_ns) / 1e9,
                     sgn_err_name(err),
                     sgn_request_error(request));
    }
}

/* A read at each of its times; one that comes late is not left out, so that a stall shows. */
static void *reader_main(void *arg)
{
    struct reader *reader = arg;
    struct failover *run = reader->run;
    uint64_t every = UINT64_C(1000000000) * run->readers / run->rate;
    uint64_t next = run->begin_ns + every * reader->number / run->readers;
    for (uint32_t i = reader->number; !atomic_load(&run->stop); i += run->readers) {
        uint64_t now = sgn_bench_now_ns();
        if (now < next) {
            struct timespec wait = {.tv_sec = (time_t)((next - now) / 1000000000),
                                    .tv_nsec = (long)((next - now) % 1000000000)};
            (void)nanosleep(&wait, NULL);
        }
        next += every;
        read_one(reader, i % run->keys);
    }
    return NULL;
}

static void sleep_until(uint64_t ns)
{
    for (uint64_t now = sgn_bench_now_ns(); now < ns; now = sgn_bench_now_ns()) {
        (void)poll(NULL, 0, (int)((ns - now) / 1000000 + 1));
    }
}

/* Nanoseconds since the begin at which the fleet was killed, and at which its start was begun. */
static bool run_faults(struct failover *run, uint64_t *killed, uint64_t *started)
{
    uint64_t second = UINT64_C(1000000000);
    bool good = true;
    sleep_until(run->begin_ns + run->before_s * second);
    for (uint32_t i = 0; i < run->pid_count; i++) {
        if (kill(run->pids[i], SIGKILL) != 0) {
            (void)fprintf(stderr,
                          "kv-bench: process %d cannot be killed: %s\n",
                          run->pids[i],
                          strerror(errno));
            good = false;
        }
    }
    *killed = sgn_bench_now_ns() - run->begin_ns;
    sleep_until(run->begin_ns + *killed + run->down_s * second);
    *started = sgn_bench_now_ns() - run->begin_ns;
    /* NOLINTNEXTLINE(cert-env33-c): the operator's own words, of this command line. */
    int status = system(run->start_command);
    if (status != 0) {
        (void)fprintf(stderr, "kv-bench: --start ended with %d\n", status);
        good = false;
    }
    sleep_until(run->begin_ns + *started + run->after_s * second);
    return good;
}

static uint32_t all_of(const struct slice *slice)
{
    uint32_t all = 0;
    for (uint32_t i = 0; i < PATH_COUNT; i++) {
        all += atomic_load(&slice->counts[i]);
    }
    return all;
}

/* Rows of a quarter of a second each. */
static void print_rows(const struct failover *run, uint32_t slice_count)
{
    (void)printf("%8s %9s %7s %8s %7s %7s %11s\n",
                 "from s",
                 "reads/s",
                 "fast %",
                 "quorum %",
                 "round %",
                 "failed",
                 "longest ms");
    for (uint32_t i = 0; i + 5 <= slice_count; i += 5) {
        double counts[PATH_COUNT] = {0};
        double all = 0;
        uint64_t longest = 0;
        for (uint32_t j = i; j < i + 5; j++) {
            for (uint32_t p = 0; p < PATH_COUNT; p++) {
                counts[p] += atomic_load(&run->slices[j].counts[p]);
            }
            uint64_t most = atomic_load(&run->slices[j].longest_ns);
            longest = most > longest ? most : longest;
            all += all_of(&run->slices[j]);
        }
        double whole = all > 0 ? all : 1;
        (void)printf("%8.2f %9.0f %7.1f %8.1f %7.1f %7.0f %11.1f\n",
                     i * (double)SLICE_NS / 1e9,
                     all * 4,
                     100 * counts[PATH_FAST] / whole,
                     100 * counts[PATH_QUORUM] / whole,
                     100 * counts[PATH_ROUND] / whole,
                     counts[PATH_FAILED],
                     (double)longest / 1e6);
    }
}

/* The first slice from `from` on since which the fast path serves nearly all; -1: none. */
static int back_at(const struct failover *run, uint32_t from, uint32_t slice_count)
{
    int at = -1;
    for (uint32_t i = from; i < slice_count; i++) {
        uint32_t all = all_of(&run->slices[i]);
        bool fast =
            all > 0 && (double)atomic_load(&run->slices[i].counts[PATH_FAST]) >= BACK_SHARE * all;
        at = !fast ? -1 : at < 0 ? (int)i : at;
    }
    return at;
}

static int judge(const struct failover *run, uint64_t killed, uint64_t started)
{
    uint32_t count = (uint32_t)((started + run->after_s * UINT64_C(1000000000)) / SLICE_NS);
    count = count < SLICES_MAX ? count : SLICES_MAX;
    uint64_t failed = 0;
    uint64_t reads = 0;
    for (uint32_t i = 0; i < SLICES_MAX; i++) {
        failed += atomic_load(&run->slices[i].counts[PATH_FAILED]);
        reads += all_of(&run->slices[i]);
    }
    print_rows(run, count);
    int back = back_at(run, (uint32_t)(started / SLICE_NS), count);
    (void)printf("the fleet was killed at %.2f s; its start was begun at %.2f s\n",
                 (double)killed / 1e9,
                 (double)started / 1e9);
    (void)printf(
        "%llu reads, %llu failed\n", (unsigned long long)reads, (unsigned long long)failed);
    if (back < 0) {
        (void)puts("the fast path did not come back");
    } else {
        (void)printf("the fast path served 99 %% of the reads again %.2f s after that\n",
                     (double)((uint64_t)(back + 1) * SLICE_NS - started) / 1e9);
    }
    return failed == 0 && back >= 0 ? 0 : 1;
}

/* --- the readers ------------------------------------------------------------------------------ */

static bool open_reader(struct reader *reader, const struct sgn_options *options)
{
    return sgn_client_create(&reader->client, options) == SGN_OK &&
           (reader->request = sgn_request_create(reader->client)) != NULL;
}

/* A bucket and its keys, each of them known to be there. */
static bool prepare(const struct failover *run, struct reader *reader)
{
    struct sgn_request *request = reader->request;
    char room[32];
    sgn_request_bucket_create(request, sgn_text(run->bucket), SGN_BUCKET_ORDERED, 0, 0, 0);
    int err = sgn_request_run(request);
    for (uint32_t i = 0; err == SGN_OK && i < run->keys; i++) {
        sgn_request_put(request, sgn_text(run->bucket), key_of(i, room), sgn_text("some value"));
        err = sgn_request_run(request);
    }
    if (err != SGN_OK) {
        (void)fprintf(stderr, "kv-bench: %s\n", sgn_request_error(request));
    }
    return err == SGN_OK;
}

/* Each reader has found a connection and its place in the ring before the clock runs. */
static bool warm(struct failover *run, struct reader *reader)
{
    char room[32];
    sgn_request_get(reader->request, sgn_text(run->bucket), key_of(reader->number, room));
    return sgn_request_run(reader->request) == SGN_OK;
}

static int failover(struct failover *run)
{
    static struct reader readers[READERS_MAX];
    struct sgn_options *options = sgn_options_create();
    bool good = options != NULL && sgn_options_set(options, "seeds", run->seeds) == SGN_OK &&
                sgn_options_set(options, "threads", "0") == SGN_OK;
    if (options != NULL && !good) {
        (void)fprintf(stderr, "kv-bench: %s\n", sgn_options_error(options));
    }
    uint64_t killed = 0;
    uint64_t started = 0;
    for (uint32_t i = 0; good && i < run->readers; i++) {
        readers[i].run = run;
        readers[i].number = i;
        good = open_reader(&readers[i], options) && (i > 0 || prepare(run, &readers[0])) &&
               warm(run, &readers[i]);
    }
    run->begin_ns = sgn_bench_now_ns();
    uint32_t running = 0;
    while (good && running < run->readers) {
        struct reader *reader = &readers[running];
        good = pthread_create(&reader->thread, NULL, reader_main, reader) == 0;
        running += good;
    }
    good = good && run_faults(run, &killed, &started);
    atomic_store(&run->stop, true);
    for (uint32_t i = 0; i < running; i++) {
        (void)pthread_join(readers[i].thread, NULL);
    }
    for (uint32_t i = 0; i < run->readers; i++) {
        sgn_request_destroy(readers[i].request);
        sgn_client_destroy(readers[i].client);
    }
    sgn_options_destroy(options);
    return good ? judge(run, killed, started) : 1;
}

/* --- the command line ------------------------------------------------------------------------- */

static const char help[] =
    "kv-bench failover --seeds ADDRESS,... --witness-pids PID,... --start COMMAND\n"
    "          [--rate 2000] [--readers 8] [--keys 1000] [--before 2] [--down 3] [--after 6]\n"
    "          [--bucket bench-ordered]\n"
    "    Strong reads at a fixed rate, all of them with their receipts. After --before seconds "
    "the\n"
    "    witnesses are killed (kill -9), --down seconds later COMMAND is run, which has to start\n"
    "    them again. Prints which path served the reads, and how long after the begin of COMMAND\n"
    "    the fast path served 99 of 100 again. Exit status 1: a read failed, or it never did.\n"
    "\n"
    "    kv-bench failover --seeds A,B,C --witness-pids 1,2,3 \\\n"
    "        --start 'for w in w1 w2 w3; do kv-cli local start $w; done'\n";

enum option_id {
    OPT_SEEDS = 256,
    OPT_BUCKET,
    OPT_PIDS,
    OPT_START,
    OPT_RATE,
    OPT_READERS,
    OPT_KEYS,
    OPT_BEFORE,
    OPT_DOWN,
    OPT_AFTER,
    OPT_HELP
};

static bool number(uint32_t *out, const char *text, unsigned long most)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    *out = (uint32_t)value;
    return end != text && *end == '\0' && value > 0 && value <= most;
}

static bool pid_list(struct failover *run, const char *text)
{
    char *end = NULL;
    for (run->pid_count = 0; run->pid_count < PIDS_MAX; text = end + 1) {
        long pid = strtol(text, &end, 10);
        if (end == text || pid < 2 || pid > INT32_MAX || (*end != ',' && *end != '\0')) {
            return false;
        }
        run->pids[run->pid_count++] = (int)pid;
        if (*end == '\0') {
            return true;
        }
    }
    return false;
}

static bool set_option(struct failover *run, int id, const char *text)
{
    switch (id) {
    case OPT_SEEDS: run->seeds = text; return true;
    case OPT_BUCKET: run->bucket = text; return true;
    case OPT_START: run->start_command = text; return true;
    case OPT_PIDS: return pid_list(run, text);
    case OPT_RATE: return number(&run->rate, text, 1000000);
    case OPT_READERS: return number(&run->readers, text, READERS_MAX);
    case OPT_KEYS: return number(&run->keys, text, 1000000) && run->keys >= READERS_MAX;
    case OPT_BEFORE: return number(&run->before_s, text, 30);
    case OPT_DOWN: return number(&run->down_s, text, 30);
    case OPT_AFTER: return number(&run->after_s, text, 30);
    default: return false;
    }
}

int sgn_failover_main(int argc, char **argv)
{
    static const struct option longs[] = {{"seeds", required_argument, NULL, OPT_SEEDS},
                                          {"bucket", required_argument, NULL, OPT_BUCKET},
                                          {"witness-pids", required_argument, NULL, OPT_PIDS},
                                          {"start", required_argument, NULL, OPT_START},
                                          {"rate", required_argument, NULL, OPT_RATE},
                                          {"readers", required_argument, NULL, OPT_READERS},
                                          {"keys", required_argument, NULL, OPT_KEYS},
                                          {"before", required_argument, NULL, OPT_BEFORE},
                                          {"down", required_argument, NULL, OPT_DOWN},
                                          {"after", required_argument, NULL, OPT_AFTER},
                                          {"help", no_argument, NULL, OPT_HELP},
                                          {NULL, 0, NULL, 0}};
    static struct failover run;
    run.bucket = "bench-ordered";
    run.rate = 2000;
    run.readers = 8;
    run.keys = 1000;
    run.before_s = 2;
    run.down_s = 3;
    run.after_s = 6;
    for (int id = 0; (id = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (id == OPT_HELP) {
            (void)fputs(help, stdout);
            return 0;
        }
        if (id == '?' || !set_option(&run, id, optarg)) {
            (void)fputs("kv-bench failover --help tells how to use it\n", stderr);
            return 2;
        }
    }
    if (run.seeds == NULL || run.pid_count == 0 || run.start_command == NULL) {
        (void)fputs("kv-bench: failover needs --seeds, --witness-pids and --start\n", stderr);
        return 2;
    }
    return failover(&run);
}
