#include "bench/witness_load.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/cpu.h"
#include "ring/core/check.h"
#include "ring/core/items.h"
#include "ring/core/key.h"
#include "ring/core/prng.h"

#define NODES       3u
#define MAP_VERSION 2u
#define LOOK_EVERY  64u /* Messages between two looks at the clock. */

const char *const sgn_witness_load_names[SGN_WITNESS_LOAD_KINDS] = {
    "checks, no mark", "checks, marked", "8 in 10 checks", "marks, settles"};

/* --- requests -------------------------------------------------------------------------------- */

static struct sgn_key_hash key_of(uint64_t number)
{
    return (struct sgn_key_hash){sgn_mix64(number), sgn_mix64(number ^ UINT64_C(0x5bd1e995))};
}

static void put_ask(struct sgn_sink *sink,
                    const struct sgn_witness_work *work,
                    uint8_t what,
                    uint64_t number,
                    uint32_t tag)
{
    struct sgn_witness_ask ask = {
        .what = what, .tag = tag, .epoch = MAP_VERSION, .key = key_of(number)};
    ask.partition = sgn_partition_of(ask.key.hash, work->options.partitions);
    if (what != SGN_WITNESS_CHECK) {
        ask.ballot = (struct sgn_ballot){.hlc = 1, .node = 1, .incarnation = 1};
    }
    sgn_witness_ask_put(sink, &ask);
}

/* Every partition has the same three replicas and lists the witness alone. */
static bool make_map(struct sgn_witness_work *work)
{
    uint32_t count = work->options.partitions;
    struct sgn_map map = {
        .version = MAP_VERSION, .partition_count = count, .group_size = 1, .witness_count = 1};
    map.witnesses[0] = (struct sgn_witness_member){
        .id = SGN_WITNESS_LOAD_ID, .incarnation = work->incarnation, .address = "127.0.0.1:1"};
    map.lines = calloc(count, sizeof(map.lines[0]));
    work->map_raw = malloc(sgn_map_bytes_max(count));
    if (map.lines == NULL || work->map_raw == NULL) {
        free(map.lines);
        return false;
    }
    for (uint32_t p = 0; p < count; p++) {
        struct sgn_line *line = &map.lines[p];
        *line = (struct sgn_line){.epoch = MAP_VERSION,
                                  .seat_count = NODES,
                                  .group_count = 1,
                                  .group[0] = {SGN_WITNESS_LOAD_ID, work->incarnation}};
        for (uint32_t i = 0; i < NODES; i++) {
            line->seats[i] = (struct sgn_seat){.node = i + 1,
                                               .state = SGN_SEAT_IN_SYNC,
                                               .sets = SGN_SET_NEW,
                                               .since = MAP_VERSION};
        }
    }
    struct sgn_sink sink = sgn_sink_of(work->map_raw, sgn_map_bytes_max(count));
    sgn_map_encode(&map, &sink);
    free(map.lines);
    SGN_ASSERT(!sink.full);
    work->map = sgn_sink_bytes(&sink);
    return true;
}

static bool make_seed(struct sgn_witness_work *work)
{
    size_t cap = (size_t)work->options.partitions * (8 + SGN_ITEM_OVERHEAD_BYTES);
    work->seed_raw = malloc(cap);
    if (work->seed_raw == NULL) {
        return false;
    }
    struct sgn_sink sink = sgn_sink_of(work->seed_raw, cap);
    for (uint32_t p = 0; p < work->options.partitions; p++) {
        uint8_t raw[8];
        struct sgn_sink key = sgn_sink_of(raw, sizeof(raw));
        sgn_sink_uint(&key, p, 4);
        sgn_sink_uint(&key, MAP_VERSION, 4);
        sgn_items_push(&sink, sgn_sink_bytes(&key), sgn_bytes_of(NULL, 0));
    }
    SGN_ASSERT(!sink.full);
    work->seed = sgn_sink_bytes(&sink);
    return true;
}

static bool make_marks(struct sgn_witness_work *work)
{
    size_t cap = (size_t)work->options.keys * SGN_WITNESS_ASK_BYTES;
    work->marks_raw = malloc(cap);
    if (work->marks_raw == NULL) {
        return false;
    }
    struct sgn_sink sink = sgn_sink_of(work->marks_raw, cap);
    for (uint32_t i = 0; i < work->options.keys; i++) {
        put_ask(&sink, work, SGN_WITNESS_MARK, i, i);
    }
    work->mark_batches = (work->options.keys + SGN_WITNESS_BATCH_MAX - 1) / SGN_WITNESS_BATCH_MAX;
    return true;
}

/* Numbers of keys: those marked from 0 on, then those that come and go, then those never marked. */
static void put_of_kind(struct sgn_sink *sink,
                        const struct sgn_witness_work *work,
                        enum sgn_witness_load_kind kind,
                        uint32_t place,
                        struct sgn_prng *prng)
{
    uint64_t keys = work->options.keys;
    uint64_t passing = keys + (uint64_t)place / 2;
    uint64_t never = (UINT64_C(1) << 40) + sgn_prng_below(prng, UINT64_C(1) << 40);
    switch (kind) {
    case SGN_WITNESS_LOAD_MISS: put_ask(sink, work, SGN_WITNESS_CHECK, never, place); return;
    case SGN_WITNESS_LOAD_HIT:
        put_ask(sink, work, SGN_WITNESS_CHECK, sgn_prng_below(prng, keys), place);
        return;
    case SGN_WITNESS_LOAD_MIX:
        if (place % 10 == 0) {
            put_ask(sink, work, SGN_WITNESS_MARK, passing, place);
        } else if (place % 10 == 9) {
            put_ask(sink, work, SGN_WITNESS_SETTLE, keys + (place - 9) / 2, place);
        } else {
            put_ask(sink, work, SGN_WITNESS_CHECK, never, place);
        }
        return;
    case SGN_WITNESS_LOAD_MARK:
        put_ask(sink, work, place % 2 == 0 ? SGN_WITNESS_MARK : SGN_WITNESS_SETTLE, passing, place);
        return;
    case SGN_WITNESS_LOAD_KINDS: break;
    }
}

static bool make_batches(struct sgn_witness_work *work)
{
    size_t batch_bytes = (size_t)work->options.batch * SGN_WITNESS_ASK_BYTES;
    work->asks_raw = malloc(batch_bytes * SGN_WITNESS_LOAD_BATCHES * SGN_WITNESS_LOAD_KINDS);
    if (work->asks_raw == NULL) {
        return false;
    }
    struct sgn_prng prng = {1};
    uint8_t *at = work->asks_raw;
    for (uint32_t kind = 0; kind < SGN_WITNESS_LOAD_KINDS; kind++) {
        uint32_t place = 0;
        for (uint32_t i = 0; i < SGN_WITNESS_LOAD_BATCHES; i++) {
            struct sgn_sink sink = sgn_sink_of(at, batch_bytes);
            for (uint32_t k = 0; k < work->options.batch; k++) {
                put_of_kind(&sink, work, (enum sgn_witness_load_kind)kind, place++, &prng);
            }
            work->batches[kind][i] = sgn_sink_bytes(&sink);
            at += batch_bytes;
        }
    }
    return true;
}

bool sgn_witness_work_make(struct sgn_witness_work *work,
                           const struct sgn_witness_load_options *options,
                           uint32_t incarnation,
                           struct sgn_why *why)
{
    *work = (struct sgn_witness_work){.options = *options, .incarnation = incarnation};
    if (!make_map(work) || !make_seed(work) || !make_marks(work) || !make_batches(work)) {
        sgn_why_set(why, "out of memory");
        sgn_witness_work_clear(work);
        return false;
    }
    return true;
}

void sgn_witness_work_clear(struct sgn_witness_work *work)
{
    free(work->map_raw);
    free(work->seed_raw);
    free(work->marks_raw);
    free(work->asks_raw);
    *work = (struct sgn_witness_work){0};
}

struct sgn_bytes sgn_witness_work_marks(const struct sgn_witness_work *work, uint32_t i)
{
    uint32_t first = i * SGN_WITNESS_BATCH_MAX;
    uint32_t left = work->options.keys - first;
    uint32_t count = left < SGN_WITNESS_BATCH_MAX ? left : SGN_WITNESS_BATCH_MAX;
    return sgn_bytes_of(work->marks_raw + (size_t)first * SGN_WITNESS_ASK_BYTES,
                        (size_t)count * SGN_WITNESS_ASK_BYTES);
}

uint64_t sgn_witness_load_bad(struct sgn_bytes tells)
{
    uint64_t bad = 0;
    struct sgn_cursor cursor = sgn_cursor_of(tells);
    struct sgn_witness_tell tell;
    while (cursor.left > 0) {
        bool good = sgn_witness_tell_take(&cursor, &tell) && tell.status == SGN_WITNESS_OK;
        bad += !good;
        if (cursor.bad) {
            break;
        }
    }
    return bad;
}

void sgn_witness_load_row(const char *where, const char *what, const struct sgn_witness_rate *rate)
{
    (void)printf("%-8s %-16s %12.0f %16.0f %10.1f %6llu\n",
                 where,
                 what,
                 (double)rate->asks / rate->seconds,
                 (double)rate->asks / rate->cpu_seconds,
                 1e9 * rate->cpu_seconds / (double)rate->asks,
                 (unsigned long long)rate->bad);
    (void)fflush(stdout);
}

/* --- in memory ------------------------------------------------------------------------------- */

static double thread_cpu_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct memory_run {
    struct sgn_witness *witness;
    uint8_t *room;
    struct sgn_witness_work work;
};

static struct sgn_msg step(struct memory_run *run, const struct sgn_msg *request)
{
    struct sgn_sink room = sgn_sink_of(run->room, SGN_PAGE_BYTES_MAX);
    struct sgn_msg answer;
    sgn_witness_step(run->witness, 1, request, &room, &answer);
    return answer;
}

static bool fill(struct memory_run *run)
{
    struct sgn_msg map = {.type = SGN_MSG_MAP_IS, .value = run->work.map};
    bool good = step(run, &map).err == SGN_OK;
    for (uint32_t node = 1; node <= NODES; node++) {
        struct sgn_msg seed = {.type = SGN_MSG_SEED, .node = node, .items = run->work.seed};
        good = step(run, &seed).err == SGN_OK && good;
    }
    for (uint32_t i = 0; i < run->work.mark_batches; i++) {
        struct sgn_msg marks = {.type = SGN_MSG_WITNESS,
                                .a = run->work.incarnation,
                                .items = sgn_witness_work_marks(&run->work, i)};
        struct sgn_msg answer = step(run, &marks);
        good = answer.err == SGN_OK && sgn_witness_load_bad(answer.items) == 0 && good;
    }
    return good;
}

static void measure(struct memory_run *run, enum sgn_witness_load_kind kind)
{
    struct sgn_witness_rate rate = {0};
    uint64_t stop_ns = sgn_bench_now_ns() + run->work.options.seconds * UINT64_C(1000000000);
    uint64_t began_ns = sgn_bench_now_ns();
    double cpu = thread_cpu_seconds();
    for (uint32_t i = 0; i % LOOK_EVERY != 0 || sgn_bench_now_ns() < stop_ns; i++) {
        struct sgn_msg request = {.type = SGN_MSG_WITNESS,
                                  .a = run->work.incarnation,
                                  .items = run->work.batches[kind][i % SGN_WITNESS_LOAD_BATCHES]};
        struct sgn_msg answer = step(run, &request);
        rate.asks += run->work.options.batch;
        rate.bad += i < SGN_WITNESS_LOAD_BATCHES ? sgn_witness_load_bad(answer.items) : 0;
    }
    rate.cpu_seconds = thread_cpu_seconds() - cpu;
    rate.seconds = (double)(sgn_bench_now_ns() - began_ns) / 1e9;
    sgn_witness_load_row("memory", sgn_witness_load_names[kind], &rate);
}

bool sgn_witness_load_memory(const struct sgn_witness_load_options *options, struct sgn_why *why)
{
    static struct memory_run run;
    /* Those that come and go beside those that stay. */
    uint32_t entries = options->keys + SGN_WITNESS_LOAD_BATCHES * SGN_WITNESS_BATCH_MAX;
    struct sgn_witness_options witness = {SGN_WITNESS_LOAD_ID, 1, entries, 3000};
    void *memory = calloc(1, sgn_witness_bytes(options->partitions, entries));
    run.room = malloc(SGN_PAGE_BYTES_MAX);
    bool good = memory != NULL && run.room != NULL;
    if (!good) {
        sgn_why_set(why, "out of memory");
    }
    if (good && sgn_witness_work_make(&run.work, options, witness.incarnation, why)) {
        run.witness = sgn_witness_init(memory, options->partitions, &witness);
        good = fill(&run);
        for (uint32_t kind = 0; good && kind < SGN_WITNESS_LOAD_KINDS; kind++) {
            measure(&run, (enum sgn_witness_load_kind)kind);
        }
        if (!good) {
            sgn_why_set(why, "the witness did not take its map, its seeds or its marks");
        }
        sgn_witness_work_clear(&run.work);
        (void)printf("bytes per tracked key: %.1f\n",
                     (double)(sgn_witness_bytes(1, entries) - sgn_witness_bytes(1, 1)) /
                         (double)(entries - 1));
    } else {
        good = false;
    }
    free(run.room);
    free(memory);
    return good;
}

/* --- the command ----------------------------------------------------------------------------- */

static const char help[] =
    "kv-bench witness - asks a witness what strong reads and writes ask it\n"
    "\n"
    "  kv-bench witness [--batch 256] [--keys 100000] [--partitions 256] [--seconds 3]\n"
    "           [--program PATH/signet-witness [--connections 4] [--depth 2]]\n"
    "\n"
    "Without --program the asks go straight into the table. With it a witness process is started\n"
    "besides and asked over sockets; what is counted is that process's processor time.\n";

enum option_id {
    OPT_BATCH = 256,
    OPT_KEYS,
    OPT_PARTITIONS,
    OPT_SECONDS,
    OPT_CONNECTIONS,
    OPT_DEPTH,
    OPT_PROGRAM,
    OPT_HELP
};

static const struct option longs[] = {
    {"batch", required_argument, NULL, OPT_BATCH},
    {"keys", required_argument, NULL, OPT_KEYS},
    {"partitions", required_argument, NULL, OPT_PARTITIONS},
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {"connections", required_argument, NULL, OPT_CONNECTIONS},
    {"depth", required_argument, NULL, OPT_DEPTH},
    {"program", required_argument, NULL, OPT_PROGRAM},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static bool number(const char *text, uint32_t least, uint32_t most, uint32_t *out)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || value < least || value > most) {
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

static bool set_option(struct sgn_witness_load_options *options, int id, char *text)
{
    switch (id) {
    case OPT_BATCH: return number(text, 1, SGN_WITNESS_BATCH_MAX, &options->batch);
    case OPT_KEYS: return number(text, 1, 10000000, &options->keys);
    case OPT_PARTITIONS:
        return number(text, 1, SGN_PARTITIONS_MAX, &options->partitions) &&
               (options->partitions & (options->partitions - 1)) == 0;
    case OPT_SECONDS: return number(text, 1, 3600, &options->seconds);
    case OPT_CONNECTIONS: return number(text, 1, 64, &options->connections);
    case OPT_DEPTH: return number(text, 1, 64, &options->depth);
    case OPT_PROGRAM: options->program = text; return true;
    default: return false;
    }
}

int sgn_witness_load_main(int argc, char **argv)
{
    struct sgn_witness_load_options options = {.partitions = 256,
                                               .keys = 100000,
                                               .batch = 256,
                                               .connections = 4,
                                               .depth = 2,
                                               .seconds = 3};
    struct sgn_why why = {{0}};
    for (int id = 0; (id = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (id == OPT_HELP) {
            (void)fputs(help, stdout);
            return 0;
        }
        if (id == '?' || !set_option(&options, id, optarg)) {
            (void)fprintf(stderr,
                          "kv-bench: witness: not a value for that option%s%s\n",
                          optarg != NULL ? ": " : "",
                          optarg != NULL ? optarg : "");
            return 2;
        }
    }
    if (optind != argc) {
        (void)fprintf(stderr, "kv-bench: witness takes no \"%s\"\n", argv[optind]);
        return 2;
    }
    (void)printf("%u keys marked, %u partitions, %u asks a message\n",
                 options.keys,
                 options.partitions,
                 options.batch);
    (void)printf("%-8s %-16s %12s %16s %10s %6s\n",
                 "where",
                 "what",
                 "asks/s",
                 "asks/CPU second",
                 "ns/ask",
                 "not OK");
    if (!sgn_witness_load_memory(&options, &why) ||
        (options.program != NULL && !sgn_witness_load_wire(&options, &why))) {
        (void)fprintf(stderr, "kv-bench: witness: %s\n", why.text);
        return 1;
    }
    return 0;
}
