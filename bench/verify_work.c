/* The workers of verify: each a client of its own that asks for one thing at a time, and writes
 * down what it asked and what it was told. */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/cpu.h"
#include "bench/verify.h"
#include "ring/core/check.h"

#define MS              UINT64_C(1000000)
#define VALUE_BYTES_MAX 6000u
#define HANGS_S         60     /* A worker that has not ended by then never will. */
#define SETTLE_MS       30000u /* After healing every key must be readable by then. */

enum knows { KNOWS_NOTHING, KNOWS_ABSENT, KNOWS_VALUE };

/* What a worker last saw of a key, for its conditional writes. */
struct memory {
    enum knows knows;
    uint64_t key, value;
    struct sgn_key_version version;
};

struct worker {
    struct sgn_verify *verify;
    pthread_t thread;
    struct sgn_client *client;
    struct sgn_request *request;
    struct sgn_prng prng;
    struct sgn_history history;
    struct memory memory[SGN_VERIFY_KEYS_MAX];
    uint64_t process;
    uint64_t errors[SGN_VERIFY_ERRORS_MAX];
    uint64_t paths[SGN_VERIFY_PATHS];
    uint64_t longest_ns;
    bool full; /* No memory for the history. */
    char value[VALUE_BYTES_MAX];
};

/* ---- Values: the number, and now and then a tail that shows whether all of it came ---- */

static size_t value_write(uint64_t number, char *out)
{
    size_t bytes = (size_t)snprintf(out, 32, "v%llu", (unsigned long long)number);
    size_t tail = number % 16 == 0 ? (size_t)(sgn_mix64(number) % (VALUE_BYTES_MAX - 40)) : 0;
    for (size_t i = 0; i < tail; i++) {
        out[bytes++] = (char)('.' + (char)((number + i) % 2));
    }
    return bytes;
}

/* The number of a value; one that nobody writes if the bytes are not what was written. */
static uint64_t value_read(struct sgn_bytes value)
{
    char text[32] = "";
    char whole[VALUE_BYTES_MAX];
    memcpy(text, value.ptr, value.count < sizeof(text) - 1 ? value.count : sizeof(text) - 1);
    uint64_t number = text[0] == 'v' ? strtoull(text + 1, NULL, 10) : 0;
    size_t bytes = value_write(number, whole);
    bool good = number != 0 && bytes == value.count && memcmp(whole, value.ptr, bytes) == 0;
    return good ? number : UINT64_MAX - 1;
}

/* ---- One operation ---- */

bool sgn_verify_client(const struct sgn_verify *verify,
                       struct sgn_client **client,
                       struct sgn_request **request,
                       struct sgn_why *why)
{
    struct sgn_options *options = sgn_options_create();
    bool good = options != NULL && sgn_options_set(options, "seeds", verify->seeds) == SGN_OK &&
                sgn_options_set(options, "threads", "0") == SGN_OK &&
                sgn_options_set(options, "attempt_timeout_ms", "400") == SGN_OK &&
                sgn_client_create(client, options) == SGN_OK;
    *request = good ? sgn_request_create(*client) : NULL;
    if (*request == NULL) {
        sgn_why_set(why,
                    "no client can be made: %s",
                    options == NULL ? "no memory" : sgn_options_error(options));
    }
    sgn_options_destroy(options);
    return *request != NULL;
}

static void client_close(struct worker *worker)
{
    sgn_request_destroy(worker->request);
    sgn_client_destroy(worker->client);
    worker->request = NULL;
    worker->client = NULL;
}

static enum sgn_history_outcome outcome_of(int err)
{
    switch (err) {
    case SGN_OK: return SGN_HISTORY_OK;
    case SGN_ERR_CONDITION: return SGN_HISTORY_REJECTED;
    case SGN_ERR_UNKNOWN:
    case SGN_ERR_CANCELLED: return SGN_HISTORY_UNKNOWN;
    default: return SGN_HISTORY_FAIL; /* Nothing was written, the library says. */
    }
}

/* Runs what stands in the request. */
static int run(struct worker *worker)
{
    uint64_t begin_ns = sgn_bench_now_ns();
    int err = sgn_request_run(worker->request);
    uint64_t ns = sgn_bench_now_ns() - begin_ns;
    worker->longest_ns = ns > worker->longest_ns ? ns : worker->longest_ns;
    worker->errors[err <= 0 && err > -(int)SGN_VERIFY_ERRORS_MAX ? -err : 0]++;
    return err;
}

/* Mostly the library sends a request where it is best, to the node that orders the key's writes. A
 * mistake of the others shows only if they are asked too. */
static void choose_node(struct worker *worker, uint32_t per_mille)
{
    if (sgn_prng_chance(&worker->prng, per_mille)) {
        uint64_t node = 1 + sgn_prng_below(&worker->prng, worker->verify->options.nodes);
        sgn_request_set_node(worker->request, (uint32_t)node);
    }
}

static void record(struct worker *worker, const struct sgn_operation *op)
{
    worker->full = !sgn_history_add(&worker->history, op);
    if (op->outcome == SGN_HISTORY_UNKNOWN) {
        worker->process += SGN_VERIFY_WORKERS_MAX; /* That one is still busy, for all we know. */
    }
}

static struct sgn_bytes key_text(uint64_t key, char out[24])
{
    return sgn_bytes_of(out, (size_t)snprintf(out, 24, "k%llu", (unsigned long long)key));
}

const char *sgn_verify_path_name(uint32_t path)
{
    static const char *const names[] = {"local", "fast", "quorum", "round"};
    SGN_ASSERT(path < SGN_VERIFY_PATHS);
    return names[path];
}

static void count_path(struct worker *worker)
{
    struct sgn_bytes text = sgn_request_explanation(worker->request);
    for (uint32_t i = 0; text.count > 0 && i < SGN_VERIFY_PATHS; i++) {
        char part[32];
        int bytes = snprintf(part, sizeof(part), "\"path\":\"%s\"", sgn_verify_path_name(i));
        worker->paths[i] += memmem(text.ptr, text.count, part, (size_t)bytes) != NULL;
    }
}

/* Reads once; true if it was told. */
static bool do_get(struct worker *worker, uint64_t key, struct memory *memory)
{
    char text[24];
    struct sgn_operation op = {.op = SGN_HISTORY_GET, .process = worker->process, .key = key};
    sgn_request_get(worker->request, sgn_text(SGN_VERIFY_BUCKET), key_text(key, text));
    sgn_request_set_read(worker->request, worker->verify->options.read);
    choose_node(worker, 600);
    sgn_request_set_timeout(worker->request, SGN_VERIFY_TIMEOUT_MS);
    bool explain =
        worker->verify->options.kind == SGN_BUCKET_ORDERED && sgn_prng_chance(&worker->prng, 100);
    if (explain) {
        sgn_request_set_explain(worker->request);
    }
    op.invoke_ns = sgn_bench_now_ns();
    int err = run(worker);
    op.return_ns = sgn_bench_now_ns();
    bool told = err == SGN_OK || err == SGN_ERR_NOT_FOUND;
    if (told && explain) {
        count_path(worker);
    }
    op.outcome = told ? SGN_HISTORY_OK : SGN_HISTORY_FAIL;
    op.output = SGN_HISTORY_ABSENT;
    memory->knows = KNOWS_NOTHING;
    if (err == SGN_OK) {
        op.output = value_read(sgn_request_value(worker->request));
        bool version = sgn_request_key_version(worker->request, &memory->version) == SGN_OK;
        memory->knows = version ? KNOWS_VALUE : KNOWS_NOTHING;
    } else if (told) {
        memory->knows = KNOWS_ABSENT;
    }
    memory->key = key;
    memory->value = op.output;
    record(worker, &op);
    return told;
}

/* Asks what became of a write; the answer is the write's, only later. */
static int resolve(struct worker *worker, int err)
{
    char token[512];
    const char *text = sgn_request_token(worker->request);
    if (text[0] == '\0' || strlen(text) >= sizeof(token)) {
        return err;
    }
    memcpy(token, text, strlen(text) + 1);
    for (uint32_t i = 0; i < 3; i++) {
        if (sgn_request_resolve(worker->request, token) != SGN_OK) {
            return err;
        }
        sgn_request_set_timeout(worker->request, SGN_VERIFY_TIMEOUT_MS);
        int found = run(worker);
        if (found == SGN_OK || found == SGN_ERR_CONDITION || found == SGN_ERR_VOID) {
            return found;
        }
    }
    return err;
}

/* A request that was refused without effect may have come twice, the second time when it could be
 * served. No connection repeats what it carries; the relay does, to try retries. That a request is
 * void (3.5) holds all the same. */
static bool was_repeated(const struct worker *worker, const struct sgn_operation *op)
{
    const struct sgn_verify *verify = worker->verify;
    return op->invoke_ns <= atomic_load(&verify->repeat_until_ns) &&
           op->return_ns >= atomic_load(&verify->repeat_from_ns);
}

/* Runs the write that stands in the request, and writes it down. */
static void finish_write(struct worker *worker, struct sgn_operation *op, struct memory *memory)
{
    /* Some have little time: so the ring is left with writes whose client has gone. */
    bool hasty = sgn_prng_chance(&worker->prng, 30);
    sgn_request_set_timeout(worker->request,
                            hasty ? 1 + (uint32_t)sgn_prng_below(&worker->prng, 30)
                                  : SGN_VERIFY_TIMEOUT_MS);
    choose_node(worker, 200);
    op->output = SGN_HISTORY_UNTOLD;
    op->process = worker->process;
    op->invoke_ns = sgn_bench_now_ns();
    int err = run(worker);
    if (outcome_of(err) == SGN_HISTORY_UNKNOWN && sgn_prng_chance(&worker->prng, 500)) {
        err = resolve(worker, err);
    }
    op->return_ns = sgn_bench_now_ns();
    op->outcome = outcome_of(err);
    if (op->outcome == SGN_HISTORY_FAIL && err != SGN_ERR_VOID && was_repeated(worker, op)) {
        op->outcome = SGN_HISTORY_UNKNOWN;
    }
    memory->knows = KNOWS_NOTHING;
    if (op->outcome == SGN_HISTORY_OK) {
        bool version = sgn_request_key_version(worker->request, &memory->version) == SGN_OK;
        memory->knows = op->value == SGN_HISTORY_ABSENT ? KNOWS_ABSENT
                        : version                       ? KNOWS_VALUE
                                                        : KNOWS_NOTHING;
        memory->key = op->key;
        memory->value = op->value;
    }
    record(worker, op);
}

static uint64_t new_value(struct worker *worker)
{
    return atomic_fetch_add(&worker->verify->value_next, 1);
}

static void do_write(struct worker *worker, uint64_t key, bool deletes, struct memory *memory)
{
    char text[24];
    struct sgn_operation op = {.key = key, .op = deletes ? SGN_HISTORY_DEL : SGN_HISTORY_PUT};
    struct sgn_bytes bucket = sgn_text(SGN_VERIFY_BUCKET);
    if (deletes) {
        sgn_request_del(worker->request, bucket, key_text(key, text));
    } else {
        op.value = new_value(worker);
        size_t bytes = value_write(op.value, worker->value);
        sgn_request_put(
            worker->request, bucket, key_text(key, text), sgn_bytes_of(worker->value, bytes));
    }
    finish_write(worker, &op, memory);
}

/* On condition of what the worker remembers, which may be long untrue. */
static void do_cas(struct worker *worker, uint64_t key, struct memory *memory)
{
    char text[24];
    struct sgn_operation op = {.key = key, .op = SGN_HISTORY_CAS};
    struct sgn_bytes bucket = sgn_text(SGN_VERIFY_BUCKET);
    bool present = memory->knows == KNOWS_VALUE;
    if (present && sgn_prng_chance(&worker->prng, 200)) {
        sgn_request_del(worker->request, bucket, key_text(key, text));
    } else {
        op.value = new_value(worker);
        size_t bytes = value_write(op.value, worker->value);
        sgn_request_put(
            worker->request, bucket, key_text(key, text), sgn_bytes_of(worker->value, bytes));
    }
    op.expect = present ? memory->value : SGN_HISTORY_ABSENT;
    if (present) {
        sgn_request_set_if_version(worker->request, &memory->version);
    } else {
        sgn_request_set_if_absent(worker->request);
    }
    finish_write(worker, &op, memory);
}

static void *work(void *user)
{
    struct worker *worker = user;
    struct sgn_verify *verify = worker->verify;
    const struct sgn_verify_options *options = &verify->options;
    bool conditional = options->kind == SGN_BUCKET_ORDERED;
    while (!atomic_load(&verify->stop) && !worker->full) {
        uint64_t slot = sgn_prng_below(&worker->prng, options->keys);
        uint64_t turn = (sgn_bench_now_ns() - verify->begin_ns) / (options->rotate_s * 1000 * MS);
        uint64_t key = turn * options->keys + slot;
        struct memory *memory = &worker->memory[slot];
        if (memory->key != key) {
            *memory = (struct memory){.key = key};
        }
        uint64_t what = sgn_prng_below(&worker->prng, 100);
        if (what < 40) {
            (void)do_get(worker, key, memory);
        } else if (what < 55 || (!conditional && what < 92)) {
            do_write(worker, key, false, memory);
        } else if (what < 62 || !conditional) {
            do_write(worker, key, true, memory);
        } else {
            if (memory->knows == KNOWS_NOTHING && what < 90) {
                (void)do_get(worker, key, memory);
            }
            do_cas(worker, key, memory);
        }
        if (options->pause_us > 0) {
            struct timespec pause = {
                .tv_nsec = (long)sgn_prng_below(&worker->prng, 2 * options->pause_us) * 1000};
            (void)nanosleep(&pause, NULL);
        }
    }
    return NULL;
}

/* ---- All of them ---- */

static bool merge(struct sgn_verify *verify, const struct worker *worker, struct sgn_why *why)
{
    bool good = !worker->full;
    for (uint32_t i = 0; i < SGN_VERIFY_ERRORS_MAX; i++) {
        verify->errors[i] += worker->errors[i];
    }
    for (uint32_t i = 0; i < SGN_VERIFY_PATHS; i++) {
        verify->paths[i] += worker->paths[i];
    }
    verify->longest_ns =
        worker->longest_ns > verify->longest_ns ? worker->longest_ns : verify->longest_ns;
    for (size_t i = 0; good && i < worker->history.count; i++) {
        good = sgn_history_add(&verify->history, &worker->history.ops[i]);
    }
    if (!good) {
        sgn_why_set(why, "no memory left for the history");
    }
    return good;
}

/* After healing every key that was used is read: an acknowledged write that was lost shows. */
static bool read_all(struct sgn_verify *verify, struct worker *worker, struct sgn_why *why)
{
    uint64_t keys = 0;
    for (size_t i = 0; i < verify->history.count; i++) {
        keys = verify->history.ops[i].key >= keys ? verify->history.ops[i].key + 1 : keys;
    }
    uint64_t until_ns = sgn_bench_now_ns() + SETTLE_MS * MS;
    for (uint64_t key = 0; key < keys; key++) {
        struct memory memory;
        while (!do_get(worker, key, &memory)) {
            if (sgn_bench_now_ns() > until_ns) {
                sgn_why_set(why,
                            "all is healed, but k%llu still cannot be read: %s",
                            (unsigned long long)key,
                            sgn_request_error(worker->request));
                return false;
            }
            (void)poll(NULL, 0, 20);
        }
    }
    return true;
}

/* One that hangs in the library cannot be ended, and what it holds cannot be freed. */
static void join(struct worker *worker)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += HANGS_S;
    if (pthread_timedjoin_np(worker->thread, NULL, &until) != 0) {
        (void)fprintf(stderr, "kv-bench: an operation has not ended after %d s\n", HANGS_S);
        _exit(1);
    }
}

bool sgn_verify_work(struct sgn_verify *verify, struct sgn_why *why)
{
    uint32_t count = verify->options.workers;
    struct worker *workers = calloc(count + 1, sizeof(workers[0])); /* The last one reads all. */
    uint32_t started = 0;
    bool good = true;
    if (workers == NULL) {
        sgn_why_set(why, "no memory for the workers");
        return false;
    }
    for (uint32_t i = 0; good && i <= count; i++) {
        workers[i].verify = verify;
        workers[i].process = i;
        workers[i].prng.state = verify->options.seed * 1000 + i;
        good = sgn_verify_client(verify, &workers[i].client, &workers[i].request, why);
    }
    verify->begin_ns = sgn_bench_now_ns();
    for (; good && started < count; started += good) {
        good = pthread_create(&workers[started].thread, NULL, work, &workers[started]) == 0;
    }
    if (started == count) {
        good = sgn_verify_faults(
            verify, verify->begin_ns + verify->options.duration_s * 1000 * MS, why);
    }
    atomic_store(&verify->stop, true);
    for (uint32_t i = 0; i < started; i++) {
        join(&workers[i]);
        good = merge(verify, &workers[i], why) && good;
    }
    if (good && verify->longest_ns > (SGN_VERIFY_TIMEOUT_MS + SGN_VERIFY_GRACE_MS) * MS) {
        sgn_why_set(why,
                    "an operation with %u ms to go took %llu ms",
                    SGN_VERIFY_TIMEOUT_MS,
                    (unsigned long long)(verify->longest_ns / MS));
        good = false;
    }
    if (good) {
        good = read_all(verify, &workers[count], why);
        good = merge(verify, &workers[count], why) && good;
    }
    for (uint32_t i = 0; i <= count; i++) {
        client_close(&workers[i]);
        sgn_history_clear(&workers[i].history);
    }
    free(workers);
    return good;
}
