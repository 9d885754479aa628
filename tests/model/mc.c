#include "tests/model/mc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int sgn_mc_mutant;

#define MC_STATE_BYTES_MAX 256u
#define MC_TRACE_MAX       200u
#define MC_QUEUE_MAX       32u

/* A successor whose fingerprint's place in the table is on its way from memory. */
struct queued {
    uint64_t state[MC_STATE_BYTES_MAX / 8];
    uint64_t print;
    uint16_t ordinal;
    const char *violation;
};

struct level {
    uint8_t *states;
    uint32_t *ids;
    uint32_t count, capacity;
};

struct sgn_mc_run {
    const struct sgn_mc_model *model;
    uint64_t *prints; /* Open addressing; 0 is an empty place. */
    uint64_t mask;
    uint32_t *parents;
    uint16_t *ordinals;
    uint32_t states, states_limit;
    struct level now, next;
    uint32_t parent;  /* Being expanded. */
    uint16_t ordinal; /* Of the successor to be emitted next. */
    const char *violation;
    bool full;
    uint32_t queued;
    struct queued queue[MC_QUEUE_MAX];
    /* Replaying: the successor with this ordinal is wanted. */
    bool replaying;
    uint16_t wanted;
    uint8_t *wanted_state;
};

static void *must(void *memory)
{
    if (memory == NULL) {
        (void)fprintf(stderr, "sgn-model: out of memory\n");
        abort();
    }
    return memory;
}

/* Of this process: the limits hold on a busy machine too. */
static double cpu_seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

__extension__ typedef unsigned __int128 wide;

static uint64_t fold(uint64_t a, uint64_t b)
{
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Two chains of multiply and fold, so that one need not wait for the other. State sizes are
 * multiples of eight. */
static uint64_t fingerprint(const uint64_t *words, size_t count)
{
    uint64_t one = UINT64_C(0x9e3779b97f4a7c15) ^ count;
    uint64_t two = UINT64_C(0xe7037ed1a0b428db);
    for (size_t i = 0; i + 1 < count; i += 2) {
        one = fold(one ^ words[i], UINT64_C(0xa0761d6478bd642f) ^ (i << 32));
        two = fold(two ^ words[i + 1], UINT64_C(0x8ebc6af09c88c6e3) ^ (i << 32));
    }
    if (count % 2 != 0) {
        one = fold(one ^ words[count - 1], UINT64_C(0x589965cc75374cc3));
    }
    uint64_t hash = fold(one ^ UINT64_C(0x1d8e4e27c47d124f), two ^ UINT64_C(0xeb44accab455d165));
    hash ^= fold(one + two, UINT64_C(0x9fb21c651e98df25));
    return hash == 0 ? 1 : hash;
}

/* True if it was not there. */
static bool print_add(struct sgn_mc_run *run, uint64_t print)
{
    uint64_t i = print & run->mask;
    while (run->prints[i] != 0) {
        if (run->prints[i] == print) {
            return false;
        }
        i = (i + 1) & run->mask;
    }
    run->prints[i] = print;
    return true;
}

static void level_push(struct level *level, const void *state, size_t bytes, uint32_t id)
{
    if (level->count == level->capacity) {
        level->capacity = level->capacity == 0 ? 1024 : level->capacity * 2;
        level->states = must(realloc(level->states, (size_t)level->capacity * bytes));
        level->ids = must(realloc(level->ids, (size_t)level->capacity * sizeof *level->ids));
    }
    memcpy(level->states + (size_t)level->count * bytes, state, bytes);
    level->ids[level->count++] = id;
}

/* While replaying: keeps the successor that was asked for, and says what it was. */
static void canon(const struct sgn_mc_model *model, void *state)
{
    if (model->canon != NULL) {
        model->canon(state);
    }
}

static void replay_emit(struct sgn_mc_run *run,
                        const void *next,
                        const char *violation,
                        const char *label,
                        va_list arguments)
{
    if (run->ordinal++ != run->wanted) {
        return;
    }
    memcpy(run->wanted_state, next, run->model->state_bytes);
    canon(run->model, run->wanted_state);
    (void)vprintf(label, arguments);
    (void)printf("\n");
    run->violation = violation;
}

static void take(struct sgn_mc_run *run, const struct queued *item)
{
    if (run->violation != NULL || run->full) {
        return;
    }
    if (!print_add(run, item->print) && item->violation == NULL) {
        return; /* A step may be wrong though the state it leads to is known and sound. */
    }
    if (run->states == run->states_limit) {
        run->full = true;
        return;
    }
    uint32_t id = run->states++;
    run->parents[id] = run->parent;
    run->ordinals[id] = item->ordinal;
    run->violation = item->violation;
    level_push(&run->next, item->state, run->model->state_bytes, id);
}

static void queue_flush(struct sgn_mc_run *run)
{
    for (uint32_t i = 0; i < run->queued; i++) {
        take(run, &run->queue[i]);
    }
    run->queued = 0;
}

void sgn_mc_emit_args(struct sgn_mc_run *run,
                      const void *next,
                      const char *violation,
                      const char *label,
                      va_list arguments)
{
    if (run->replaying) {
        replay_emit(run, next, violation, label, arguments);
        return;
    }
    if (run->queued == MC_QUEUE_MAX) {
        queue_flush(run);
    }
    struct queued *place = &run->queue[run->queued++];
    memcpy(place->state, next, run->model->state_bytes);
    canon(run->model, place->state);
    place->print = fingerprint(place->state, run->model->state_bytes / 8);
    place->ordinal = run->ordinal++;
    place->violation = violation;
    __builtin_prefetch(&run->prints[place->print & run->mask]);
}

void sgn_mc_emit(
    struct sgn_mc_run *run, const void *next, const char *violation, const char *label, ...)
{
    va_list arguments;
    va_start(arguments, label);
    sgn_mc_emit_args(run, next, violation, label, arguments);
    va_end(arguments);
}

/* Prints the steps from the initial state to the state `id`. */
static void trace_print(struct sgn_mc_run *run, uint32_t id)
{
    uint16_t steps[MC_TRACE_MAX];
    uint32_t count = 0;
    for (; id != 0 && count < MC_TRACE_MAX; id = run->parents[id]) {
        steps[count++] = run->ordinals[id];
    }
    uint64_t state[MC_STATE_BYTES_MAX / 8] = {0};
    uint64_t next[MC_STATE_BYTES_MAX / 8] = {0};
    run->model->init(state);
    canon(run->model, state);
    run->replaying = true;
    run->wanted_state = (uint8_t *)next;
    for (uint32_t i = 0; i < count; i++) {
        run->ordinal = 0;
        run->wanted = steps[count - 1 - i];
        (void)printf("    %2" PRIu32 " ", i + 1);
        run->model->expand(state, run);
        memcpy(state, next, run->model->state_bytes);
    }
    if (run->model->print != NULL) {
        run->model->print(state);
    }
    (void)printf("    => %s\n", run->violation);
    run->wanted_state = NULL;
}

static void run_begin(struct sgn_mc_run *run,
                      const struct sgn_mc_model *model,
                      uint32_t states_limit)
{
    uint64_t places = 1024;
    while (places < (uint64_t)states_limit * 3 / 2) {
        places *= 2;
    }
    *run = (struct sgn_mc_run){.model = model, .mask = places - 1, .states_limit = states_limit};
    run->prints = must(calloc(places, sizeof *run->prints));
    run->parents = must(malloc((size_t)states_limit * sizeof *run->parents));
    run->ordinals = must(malloc((size_t)states_limit * sizeof *run->ordinals));
    uint64_t first[MC_STATE_BYTES_MAX / 8] = {0};
    model->init(first);
    canon(model, first);
    (void)print_add(run, fingerprint(first, model->state_bytes / 8));
    run->parents[0] = 0;
    run->ordinals[0] = 0;
    run->states = 1;
    level_push(&run->next, first, model->state_bytes, 0);
}

static void run_end(struct sgn_mc_run *run)
{
    free(run->prints);
    free(run->parents);
    free(run->ordinals);
    free(run->now.states);
    free(run->now.ids);
    free(run->next.states);
    free(run->next.ids);
}

struct sgn_mc_result sgn_mc_search(const struct sgn_mc_model *model,
                                   uint32_t states_limit,
                                   double seconds_limit,
                                   bool trace)
{
    struct sgn_mc_run run;
    struct sgn_mc_result result = {0};
    double started = cpu_seconds();
    run_begin(&run, model, states_limit);
    while (run.next.count > 0 && run.violation == NULL && !run.full) {
        struct level swap = run.now;
        run.now = run.next;
        run.next = swap;
        run.next.count = 0;
        for (uint32_t i = 0; i < run.now.count && run.violation == NULL && !run.full; i++) {
            run.parent = run.now.ids[i];
            run.ordinal = 0;
            model->expand(run.now.states + (size_t)i * model->state_bytes, &run);
            queue_flush(&run);
            if ((i & 0xfff) == 0 && cpu_seconds() - started > seconds_limit) {
                run.full = true;
            }
        }
        if (run.next.count > 0) {
            result.depth++;
        }
    }
    result.violation = run.violation;
    result.complete = run.violation == NULL && !run.full;
    result.states = run.states;
    if (run.violation != NULL && trace) {
        trace_print(&run, run.states - 1);
    }
    result.seconds = cpu_seconds() - started;
    run_end(&run);
    return result;
}
