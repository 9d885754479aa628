#include "bench/contend.h"

#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/cpu.h"
#include "bench/hist.h"
#include "client/signet.h"

#define WORKERS_MAX 256u
#define SECOND      UINT64_C(1000000000)
#define RESOLVE_MAX 100u

struct contest;

/* One client with a connection pool and a thread of its own. */
struct worker {
    struct contest *contest;
    pthread_t thread;
    struct sgn_client *client;
    struct sgn_request *request;
    uint32_t number;
    bool won;
    struct sgn_hist hist; /* Of conditional puts. */
    uint64_t applied, rejected, resolved, errors;
    char first_error[200];
};

struct contest {
    const char *seeds, *bucket;
    enum sgn_read_mode read;
    uint32_t workers, rounds, seconds;
    char prefix[40]; /* Of keys nobody has used. */
    uint64_t end_ns;
    pthread_barrier_t gate;
    struct worker *list;
    uint32_t bad_rounds;
};

static struct sgn_bytes text_key(const struct contest *contest,
                                 uint32_t round,
                                 char *room,
                                 size_t cap)
{
    (void)snprintf(room, cap, "%s-%u", contest->prefix, round);
    return sgn_text(room);
}

static void note_error(struct worker *worker)
{
    if (worker->errors++ == 0) {
        (void)snprintf(worker->first_error,
                       sizeof(worker->first_error),
                       "%s: %s",
                       sgn_err_name(sgn_request_err(worker->request)),
                       sgn_request_error(worker->request));
    }
}

/* The verdict on the put just run; one that did not come is asked for until it is known. */
static int verdict(struct worker *worker, int err)
{
    char token[512];
    if (err != SGN_ERR_UNKNOWN) {
        return err;
    }
    (void)snprintf(token, sizeof(token), "%s", sgn_request_token(worker->request));
    worker->resolved++;
    for (uint32_t i = 0; i < RESOLVE_MAX && token[0] != '\0'; i++) {
        err = sgn_request_resolve(worker->request, token);
        err = err == SGN_OK ? sgn_request_run(worker->request) : err;
        if (err == SGN_OK || err == SGN_ERR_CONDITION || err == SGN_ERR_VOID) {
            return err;
        }
    }
    return SGN_ERR_UNKNOWN;
}

static int timed_put(struct worker *worker)
{
    uint64_t began = sgn_bench_now_ns();
    int err = sgn_request_run(worker->request);
    sgn_hist_add(&worker->hist, sgn_bench_now_ns() - began);
    err = verdict(worker, err);
    worker->applied += err == SGN_OK;
    worker->rejected += err == SGN_ERR_CONDITION;
    if (err != SGN_OK && err != SGN_ERR_CONDITION) {
        note_error(worker);
    }
    return err;
}

/* --- race ------------------------------------------------------------------------------------- */

/* One winner, and it is the winner's value that is there. */
static void judge_round(struct contest *contest, struct worker *worker, uint32_t round)
{
    uint32_t winners = 0;
    uint32_t winner = 0;
    char key[64];
    char value[16] = "";
    for (uint32_t i = 0; i < contest->workers; i++) {
        if (contest->list[i].won) {
            winners++;
            winner = i;
        }
    }
    sgn_request_get(
        worker->request, sgn_text(contest->bucket), text_key(contest, round, key, sizeof(key)));
    sgn_request_set_read(worker->request, SGN_READ_STRONG);
    int err = sgn_request_run(worker->request);
    struct sgn_bytes found = sgn_request_value(worker->request);
    (void)snprintf(value, sizeof(value), "%u", winner);
    bool same =
        err == SGN_OK && found.count == strlen(value) && memcmp(found.ptr, value, found.count) == 0;
    if (winners != 1 || !same) {
        contest->bad_rounds++;
        (void)printf("round %u: %u winners, and the key holds \"%.*s\" (%s)\n",
                     round,
                     winners,
                     (int)found.count,
                     found.count > 0 ? (const char *)found.ptr : "",
                     sgn_err_name(err));
    }
}

static void *race_main(void *arg)
{
    struct worker *worker = arg;
    struct contest *contest = worker->contest;
    char key[64];
    char value[16];
    (void)snprintf(value, sizeof(value), "%u", worker->number);
    for (uint32_t round = 0; round < contest->rounds; round++) {
        (void)pthread_barrier_wait(&contest->gate);
        sgn_request_put(worker->request,
                        sgn_text(contest->bucket),
                        text_key(contest, round, key, sizeof(key)),
                        sgn_text(value));
        sgn_request_set_if_absent(worker->request);
        worker->won = timed_put(worker) == SGN_OK;
        (void)pthread_barrier_wait(&contest->gate);
        if (worker->number == 0) {
            judge_round(contest, worker, round);
        }
    }
    return NULL;
}

/* --- increment -------------------------------------------------------------------------------- */

static bool read_counter(struct worker *worker,
                         enum sgn_read_mode mode,
                         uint64_t *value,
                         struct sgn_key_version *version)
{
    char key[64];
    sgn_request_get(worker->request,
                    sgn_text(worker->contest->bucket),
                    text_key(worker->contest, 0, key, sizeof(key)));
    sgn_request_set_read(worker->request, mode);
    char text[32] = "";
    if (sgn_request_run(worker->request) != SGN_OK ||
        sgn_request_key_version(worker->request, version) != SGN_OK) {
        note_error(worker);
        return false;
    }
    struct sgn_bytes bytes = sgn_request_value(worker->request);
    if (bytes.count == 0 || bytes.count >= sizeof(text)) {
        note_error(worker);
        return false;
    }
    memcpy(text, bytes.ptr, bytes.count);
    *value = strtoull(text, NULL, 10);
    return true;
}

static void *increment_main(void *arg)
{
    struct worker *worker = arg;
    struct contest *contest = worker->contest;
    struct sgn_key_version version;
    uint64_t value = 0;
    bool known = false;
    char key[64];
    (void)pthread_barrier_wait(&contest->gate);
    while (sgn_bench_now_ns() < contest->end_ns) {
        if (!known && !read_counter(worker, contest->read, &value, &version)) {
            continue;
        }
        char text[32];
        (void)snprintf(text, sizeof(text), "%" PRIu64, value + 1);
        sgn_request_put(worker->request,
                        sgn_text(contest->bucket),
                        text_key(contest, 0, key, sizeof(key)),
                        sgn_text(text));
        sgn_request_set_if_version(worker->request, &version);
        known = timed_put(worker) == SGN_OK &&
                sgn_request_key_version(worker->request, &version) == SGN_OK;
        value++;
    }
    return NULL;
}

/* --- both ------------------------------------------------------------------------------------- */

static bool fail(const char *what, const char *why)
{
    (void)fprintf(stderr, "kv-bench: %s: %s\n", what, why);
    return false;
}

static bool open_workers(struct contest *contest)
{
    struct sgn_options *options = sgn_options_create();
    bool good = options != NULL && sgn_options_set(options, "seeds", contest->seeds) == SGN_OK &&
                sgn_options_set(options, "threads", "0") == SGN_OK;
    if (!good) {
        (void)fail("--seeds", options == NULL ? "no memory" : sgn_options_error(options));
    }
    for (uint32_t i = 0; good && i < contest->workers; i++) {
        struct worker *worker = &contest->list[i];
        worker->contest = contest;
        worker->number = i;
        good = sgn_client_create(&worker->client, options) == SGN_OK &&
               (worker->request = sgn_request_create(worker->client)) != NULL;
        if (!good) {
            (void)fail("a client cannot be made", "no memory or no descriptors");
        }
    }
    sgn_options_destroy(options);
    return good;
}

/* The bucket is there, every client knows the ring, and the counter stands at 0. */
static bool prepare(struct contest *contest)
{
    char key[64];
    for (uint32_t i = 0; i < contest->workers; i++) {
        struct sgn_request *request = contest->list[i].request;
        int err = SGN_OK;
        if (i == 0) {
            sgn_request_bucket_create(
                request, sgn_text(contest->bucket), SGN_BUCKET_ORDERED, 0, 0, 0);
            err = sgn_request_run(request);
        }
        if (err == SGN_OK) {
            sgn_request_put(request,
                            sgn_text(contest->bucket),
                            text_key(contest, UINT32_MAX, key, sizeof(key)),
                            sgn_text("warm"));
            err = sgn_request_run(request);
        }
        if (err != SGN_OK) {
            return fail(sgn_err_name(err), sgn_request_error(request));
        }
    }
    struct sgn_request *first = contest->list[0].request;
    if (contest->seconds > 0) {
        sgn_request_put(first,
                        sgn_text(contest->bucket),
                        text_key(contest, 0, key, sizeof(key)),
                        sgn_text("0"));
        if (sgn_request_run(first) != SGN_OK) {
            return fail("the counter", sgn_request_error(first));
        }
    }
    return true;
}

static bool run_workers(struct contest *contest, void *(*work)(void *))
{
    if (pthread_barrier_init(&contest->gate, NULL, contest->workers) != 0) {
        return fail("threads", "no barrier can be made");
    }
    contest->end_ns = sgn_bench_now_ns() + contest->seconds * SECOND;
    for (uint32_t i = 0; i < contest->workers; i++) {
        if (pthread_create(&contest->list[i].thread, NULL, work, &contest->list[i]) != 0) {
            (void)fail("threads", "one cannot be started");
            exit(1); /* Those that run wait for it for ever. */
        }
    }
    for (uint32_t i = 0; i < contest->workers; i++) {
        (void)pthread_join(contest->list[i].thread, NULL);
    }
    (void)pthread_barrier_destroy(&contest->gate);
    return true;
}

static void close_workers(struct contest *contest)
{
    for (uint32_t i = 0; i < contest->workers; i++) {
        sgn_request_destroy(contest->list[i].request);
        sgn_client_destroy(contest->list[i].client);
    }
    free(contest->list);
}

static struct worker *sum_workers(struct contest *contest)
{
    static struct worker sum;
    for (uint32_t i = 0; i < contest->workers; i++) {
        const struct worker *worker = &contest->list[i];
        sgn_hist_merge(&sum.hist, &worker->hist);
        sum.applied += worker->applied;
        sum.rejected += worker->rejected;
        sum.resolved += worker->resolved;
        if (worker->errors > 0 && sum.errors == 0) {
            memcpy(sum.first_error, worker->first_error, sizeof(sum.first_error));
        }
        sum.errors += worker->errors;
    }
    return &sum;
}

static void print_sum(const struct worker *sum, double seconds)
{
    (void)printf("conditional puts: %" PRIu64 " applied, %" PRIu64 " rejected, %" PRIu64
                 " without an answer and then resolved, %" PRIu64
                 " errors; p50 %.0f us, p99 %.0f us, "
                 "%.1f s\n",
                 sum->applied,
                 sum->rejected,
                 sum->resolved,
                 sum->errors,
                 (double)sgn_hist_at(&sum->hist, 500) / 1000.0,
                 (double)sgn_hist_at(&sum->hist, 990) / 1000.0,
                 seconds);
    if (sum->errors > 0) {
        (void)printf("first error: %s\n", sum->first_error);
    }
}

static bool race(struct contest *contest)
{
    uint64_t began = sgn_bench_now_ns();
    if (!run_workers(contest, race_main)) {
        return false;
    }
    double seconds = (double)(sgn_bench_now_ns() - began) / 1e9;
    print_sum(sum_workers(contest), seconds);
    (void)printf("%u rounds of %u writers, %.0f rounds/s: %u with other than one winner\n",
                 contest->rounds,
                 contest->workers,
                 contest->rounds / seconds,
                 contest->bad_rounds);
    return contest->bad_rounds == 0;
}

static bool increment(struct contest *contest)
{
    uint64_t began = sgn_bench_now_ns();
    if (!run_workers(contest, increment_main)) {
        return false;
    }
    double seconds = (double)(sgn_bench_now_ns() - began) / 1e9;
    const struct worker *sum = sum_workers(contest);
    uint64_t value = 0;
    struct sgn_key_version version;
    print_sum(sum, seconds);
    if (!read_counter(&contest->list[0], SGN_READ_STRONG, &value, &version)) {
        return fail("the counter cannot be read", contest->list[0].first_error);
    }
    (void)printf("%u writers, %.0f increments/s; the counter is %" PRIu64 " after %" PRIu64
                 " increments: %s\n",
                 contest->workers,
                 (double)sum->applied / seconds,
                 value,
                 sum->applied,
                 value == sum->applied ? "right" : "WRONG");
    return value == sum->applied;
}

static const char help[] =
    "kv-bench race --seeds ADDRESS,... [--writers 32] [--rounds 1000] [--bucket bench-ordered]\n"
    "    Each round that many clients put --if-absent one new key at once. Exactly one must win,\n"
    "    and its value be there, or the exit status is 1.\n"
    "kv-bench increment --seeds ADDRESS,... [--writers 8] [--seconds 5] [--bucket bench-ordered]\n"
    "          [--read eventual|session|strong]\n"
    "    Each client adds 1 to one counter: get, put --if-version; after a rejection, again. The\n"
    "    counter must end as the number of puts that were applied, or the exit status is 1.\n"
    "Each client has a thread, and connections, of its own.\n";

enum option_id {
    OPT_SEEDS = 256,
    OPT_BUCKET,
    OPT_WRITERS,
    OPT_ROUNDS,
    OPT_SECONDS,
    OPT_READ,
    OPT_HELP
};

static bool number(uint32_t *out, const char *text, unsigned long most)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    *out = (uint32_t)value;
    return end != text && *end == '\0' && value > 0 && value <= most;
}

static bool set_option(struct contest *contest, int id, const char *text)
{
    static const char *const reads[] = {"eventual", "session", "strong"};
    switch (id) {
    case OPT_SEEDS: contest->seeds = text; return true;
    case OPT_BUCKET: contest->bucket = text; return true;
    case OPT_WRITERS: return number(&contest->workers, text, WORKERS_MAX);
    case OPT_ROUNDS: return number(&contest->rounds, text, 1000000);
    case OPT_SECONDS: return number(&contest->seconds, text, 3600);
    case OPT_READ:
        for (uint32_t i = 0; i < 3; i++) {
            if (strcmp(text, reads[i]) == 0) {
                contest->read = (enum sgn_read_mode)i;
                return true;
            }
        }
        return false;
    default: return false;
    }
}

static int contest_main(int argc,
                        char **argv,
                        struct contest *contest,
                        bool (*run)(struct contest *))
{
    static const struct option longs[] = {{"seeds", required_argument, NULL, OPT_SEEDS},
                                          {"bucket", required_argument, NULL, OPT_BUCKET},
                                          {"writers", required_argument, NULL, OPT_WRITERS},
                                          {"rounds", required_argument, NULL, OPT_ROUNDS},
                                          {"seconds", required_argument, NULL, OPT_SECONDS},
                                          {"read", required_argument, NULL, OPT_READ},
                                          {"help", no_argument, NULL, OPT_HELP},
                                          {NULL, 0, NULL, 0}};
    for (int id = 0; (id = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (id == OPT_HELP) {
            (void)fputs(help, stdout);
            return 0;
        }
        if (id == '?' || !set_option(contest, id, optarg)) {
            (void)fprintf(stderr, "kv-bench %s --help tells how to use it\n", argv[0]);
            return 2;
        }
    }
    if (contest->seeds == NULL) {
        (void)fprintf(stderr, "kv-bench: %s needs --seeds\n", argv[0]);
        return 2;
    }
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)snprintf(contest->prefix,
                   sizeof(contest->prefix),
                   "%s-%llx-%lx",
                   argv[0],
                   (unsigned long long)now.tv_sec,
                   (unsigned long)now.tv_nsec);
    contest->list = calloc(contest->workers, sizeof(contest->list[0]));
    bool good = contest->list != NULL && open_workers(contest) && prepare(contest) && run(contest);
    if (contest->list != NULL) {
        close_workers(contest);
    }
    return good ? 0 : 1;
}

int sgn_race_main(int argc, char **argv)
{
    struct contest contest = {
        .bucket = "bench-ordered", .read = SGN_READ_STRONG, .workers = 32, .rounds = 1000};
    return contest_main(argc, argv, &contest, race);
}

int sgn_increment_main(int argc, char **argv)
{
    struct contest contest = {
        .bucket = "bench-ordered", .read = SGN_READ_STRONG, .workers = 8, .seconds = 5};
    return contest_main(argc, argv, &contest, increment);
}
