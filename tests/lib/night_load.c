#include "tests/lib/night_load.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/signet.h"
#include "tests/lib/node_run.h"

#define LANES         4u
#define KEYS          4u /* Blind and seen ones of a lane, each. */
#define WRITES_MAX    6000u
#define LIVE_MAX      64u
#define LARGE_BYTES   20000u /* Goes to a blob file. */
#define VALUE_BYTES   (LARGE_BYTES + 64u)
#define CONTEXT_BYTES 4096u
#define TIMEOUT_MS    "3000"
#define READ_MS       10000u
#define LINES_MAX     20u /* Printed of one lane's failures. */

enum outcome { NOT_SENT, ACKED, UNKNOWN, REFUSED };
enum mode { MODE_RUN, MODE_PARK, MODE_CHECK, MODE_END };

#define MODE_COUNT 4u

struct numbers {
    uint32_t list[LIVE_MAX];
    uint32_t count;
};

/* A key that is overwritten; writes have numbers 1, 2, 3 ... */
struct changed {
    uint32_t next, last_acked;
    uint8_t outcomes[WRITES_MAX];
    bool floats[WRITES_MAX]; /* Blind: may have been applied late. */
    struct numbers live;     /* Seen: must be there. */
    struct numbers shown;    /* Seen: what the context below has seen. */
    uint8_t context[CONTEXT_BYTES];
    size_t context_bytes;
    bool has_context;
};

struct lane {
    struct night *night;
    pthread_t thread;
    uint32_t number, failures;
    struct sgn_request *request;
    uint32_t once_next, once_checked;
    uint8_t once[WRITES_MAX];
    struct changed blind[KEYS], seen[KEYS];
    struct night_counts counts;
    char key[64];
    char value[VALUE_BYTES];
};

struct night {
    struct sgn_client *client;
    uint32_t node_count;
    enum night_scope scope;
    _Atomic uint32_t order; /* Raised with every mode; enum mode in the low bits. */
    _Atomic uint32_t idle;  /* Lanes that did what the mode asks. */
    _Atomic uint64_t acks;
    struct lane lanes[LANES];
};

/* --- keys and values ------------------------------------------------------------------------- */

static size_t value_make(char *text, char kind, uint32_t lane, uint32_t key, uint32_t number)
{
    int head = snprintf(text, 64, "%c %u %u %u ", kind, lane, key, number);
    size_t bytes = kind == 'o' && key % 16 == 3 ? LARGE_BYTES : 60u + (key * 7u + number) % 100u;
    for (size_t i = (size_t)head; i < bytes; i++) {
        text[i] = (char)('a' + (i + number + key) % 26);
    }
    return bytes;
}

static struct sgn_bytes key_of(struct lane *lane, char kind, uint32_t key)
{
    (void)snprintf(lane->key, sizeof(lane->key), "%c/%u/%u", kind, lane->number, key);
    return sgn_text(lane->key);
}

/* The number in a value of this key; 0 for any other bytes. */
static uint32_t number_of(struct lane *lane, char kind, uint32_t key, struct sgn_bytes value)
{
    char head[64] = "";
    char kind_read = 0;
    unsigned lane_read = 0;
    unsigned key_read = 0;
    unsigned number = 0;
    if (value.count == 0) {
        return 0;
    }
    memcpy(head, value.ptr, value.count < sizeof(head) - 1 ? value.count : sizeof(head) - 1);
    if (sscanf(head, "%c %u %u %u ", &kind_read, &lane_read, &key_read, &number) != 4 ||
        number == 0 || number >= WRITES_MAX) {
        return 0;
    }
    size_t bytes = value_make(lane->value, kind, lane->number, key, number);
    return bytes == value.count && memcmp(lane->value, value.ptr, bytes) == 0 ? number : 0;
}

static bool numbers_hold(const struct numbers *numbers, uint32_t number)
{
    for (uint32_t i = 0; i < numbers->count; i++) {
        if (numbers->list[i] == number) {
            return true;
        }
    }
    return false;
}

static void numbers_add(struct numbers *numbers, uint32_t number)
{
    RUN_CHECK(numbers->count < LIVE_MAX, "more siblings than a key may have");
    numbers->list[numbers->count++] = number;
}

static void numbers_remove(struct numbers *numbers, const struct numbers *which)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < numbers->count; i++) {
        if (!numbers_hold(which, numbers->list[i])) {
            numbers->list[kept++] = numbers->list[i];
        }
    }
    numbers->count = kept;
}

/* --- writing --------------------------------------------------------------------------------- */

static enum outcome put_run(struct lane *lane)
{
    int err = sgn_request_run(lane->request);
    if (err == SGN_OK) {
        lane->counts.acked++;
        atomic_fetch_add(&lane->night->acks, 1);
        return ACKED;
    }
    if (err == SGN_ERR_UNKNOWN || err == SGN_ERR_CANCELLED) {
        lane->counts.unknown++;
        return UNKNOWN;
    }
    lane->counts.refused++;
    return REFUSED;
}

static void put_begin(struct lane *lane, char kind, uint32_t key, uint32_t number)
{
    size_t bytes = value_make(lane->value, kind, lane->number, key, number);
    sgn_request_put(lane->request,
                    sgn_text(NIGHT_BUCKET),
                    key_of(lane, kind, key),
                    (struct sgn_bytes){lane->value, bytes});
}

static void once_step(struct lane *lane)
{
    if (lane->once_next < WRITES_MAX) {
        put_begin(lane, 'o', lane->once_next, 1);
        lane->once[lane->once_next] = (uint8_t)put_run(lane);
        lane->once_next++;
    }
}

static void blind_step(struct lane *lane, uint32_t key)
{
    struct changed *state = &lane->blind[key];
    uint32_t number = state->next;
    if (number >= WRITES_MAX) {
        return;
    }
    state->next++;
    put_begin(lane, 'b', key, number);
    enum outcome outcome = put_run(lane);
    struct sgn_receipt receipt = {.struct_bytes = sizeof(receipt)};
    sgn_request_receipt(lane->request, &receipt);
    state->outcomes[number] = (uint8_t)outcome;
    state->floats[number] = outcome == UNKNOWN || (outcome == ACKED && receipt.tries > 1);
    state->last_acked = outcome == ACKED ? number : state->last_acked;
}

/* Reads all siblings into shown; false if the key could not be read or holds what it may not. */
static bool siblings_take(struct lane *lane, char kind, uint32_t key, struct numbers *shown)
{
    shown->count = 0;
    for (uint32_t i = 0; i < sgn_request_sibling_count(lane->request); i++) {
        struct sgn_value_info info = {.struct_bytes = sizeof(info)};
        RUN_CHECK(sgn_request_sibling(lane->request, i, &info) == SGN_OK, "sibling %u", i);
        uint32_t number = number_of(lane, kind, key, info.value);
        if (number == 0) {
            return false;
        }
        if (!numbers_hold(shown, number)) {
            numbers_add(shown, number);
        }
    }
    return true;
}

static void context_take(struct lane *lane, struct changed *state)
{
    struct sgn_bytes context = sgn_request_context(lane->request);
    state->has_context = context.count > 0 && context.count <= CONTEXT_BYTES;
    state->context_bytes = state->has_context ? context.count : 0;
    if (state->has_context) {
        memcpy(state->context, context.ptr, context.count);
    }
}

/* Every other put goes on from the context that the one before gave. */
static void seen_step(struct lane *lane, uint32_t key)
{
    struct changed *state = &lane->seen[key];
    uint32_t number = state->next;
    if (number >= WRITES_MAX) {
        return;
    }
    if (number % 2 == 0 || !state->has_context) {
        sgn_request_get(lane->request, sgn_text(NIGHT_BUCKET), key_of(lane, 's', key));
        int err = sgn_request_run(lane->request);
        if (err != SGN_OK && err != SGN_ERR_NOT_FOUND) {
            return;
        }
        RUN_CHECK(siblings_take(lane, 's', key, &state->shown), "key %s: strange value", lane->key);
        context_take(lane, state);
    }
    state->next++;
    put_begin(lane, 's', key, number);
    sgn_request_set_context(lane->request,
                            (struct sgn_bytes){state->context, state->context_bytes});
    enum outcome outcome = put_run(lane);
    state->outcomes[number] = (uint8_t)outcome;
    state->has_context = false;
    if (outcome != REFUSED) {
        numbers_remove(&state->live, &state->shown);
    }
    if (outcome == ACKED) {
        numbers_add(&state->live, number);
        state->shown = (struct numbers){.list = {number}, .count = 1};
        context_take(lane, state);
    }
}

/* --- checking -------------------------------------------------------------------------------- */

static void complain(struct lane *lane, uint32_t node, const char *what, uint32_t a, uint32_t b)
{
    lane->counts.failed++;
    if (lane->failures++ < LINES_MAX) {
        (void)printf("FAILED key %s through node %u: %s (%u, %u): %s\n",
                     lane->key,
                     node,
                     what,
                     a,
                     b,
                     sgn_request_error(lane->request));
    }
}

/* Any one copy, by way of this node. */
static int get_one(struct lane *lane, char kind, uint32_t key, uint32_t node)
{
    sgn_request_get(lane->request, sgn_text(NIGHT_BUCKET), key_of(lane, kind, key));
    sgn_request_set_copies(lane->request, 1);
    sgn_request_set_node(lane->request, node);
    sgn_request_set_timeout(lane->request, READ_MS);
    lane->counts.checked++;
    return sgn_request_run(lane->request);
}

static void once_check(struct lane *lane, uint32_t key, uint32_t node)
{
    int err = get_one(lane, 'o', key, node);
    uint8_t outcome = lane->once[key];
    if (err == SGN_ERR_NOT_FOUND) {
        if (outcome == ACKED) {
            complain(lane, node, "an acknowledged value is lost", key, 0);
        }
    } else if (err != SGN_OK) {
        complain(lane, node, "cannot be read", key, outcome);
    } else if (number_of(lane, 'o', key, sgn_request_value(lane->request)) != 1) {
        complain(lane, node, "holds other bytes", key, outcome);
    } else if (outcome == REFUSED) {
        complain(lane, node, "a refused write was kept", key, outcome);
    }
}

static void changed_check(struct lane *lane, char kind, uint32_t key, uint32_t node)
{
    struct changed *state = kind == 'b' ? &lane->blind[key] : &lane->seen[key];
    struct numbers shown;
    int err = get_one(lane, kind, key, node);
    if (err != SGN_OK && err != SGN_ERR_NOT_FOUND) {
        complain(lane, node, "cannot be read", state->next, 0);
        return;
    }
    if (!siblings_take(lane, kind, key, &shown)) {
        complain(lane, node, "holds other bytes", state->next, 0);
        return;
    }
    bool good = kind == 's' || state->last_acked == 0;
    for (uint32_t i = 0; i < shown.count; i++) {
        uint32_t number = shown.list[i];
        if (number >= state->next || state->outcomes[number] == REFUSED) {
            complain(lane, node, "a write that was refused or not sent was kept", number, 0);
        }
        good = good || number >= state->last_acked || state->floats[number];
    }
    if (!good) {
        complain(lane,
                 node,
                 "the last acknowledged value is lost",
                 state->last_acked,
                 shown.count > 0 ? shown.list[0] : 0);
    }
    for (uint32_t i = 0; i < state->live.count; i++) {
        if (!numbers_hold(&shown, state->live.list[i])) {
            complain(lane, node, "an acknowledged value is lost", state->live.list[i], shown.count);
        }
    }
}

static void lane_check(struct lane *lane)
{
    uint32_t nodes = lane->night->node_count;
    bool all = lane->night->scope == NIGHT_ALL;
    for (uint32_t key = all ? 0 : lane->once_checked; key < lane->once_next; key++) {
        for (uint32_t node = 1; node <= nodes; node++) {
            if (all || node == key % nodes + 1) {
                once_check(lane, key, node);
            }
        }
    }
    lane->once_checked = lane->once_next;
    for (uint32_t key = 0; key < KEYS; key++) {
        for (uint32_t node = 1; node <= nodes; node++) {
            changed_check(lane, 'b', key, node);
            changed_check(lane, 's', key, node);
        }
    }
}

/* --- lanes ----------------------------------------------------------------------------------- */

static void *lane_main(void *arg)
{
    struct lane *lane = arg;
    struct night *night = lane->night;
    uint32_t done = 0;
    for (uint32_t turn = 0;; turn++) {
        uint32_t order = atomic_load(&night->order);
        enum mode mode = (enum mode)(order % MODE_COUNT);
        if (mode == MODE_RUN) {
            once_step(lane);
            blind_step(lane, turn % KEYS);
            seen_step(lane, turn % KEYS);
        } else if (order != done) {
            if (mode == MODE_CHECK) {
                lane_check(lane);
            }
            atomic_fetch_add(&night->idle, 1);
        }
        done = order;
        if (mode == MODE_END) {
            return NULL;
        }
        run_pause(); /* Steady, not as fast as it goes. */
    }
}

static void mode_set(struct night *night, enum mode mode)
{
    uint64_t limit_ms = run_now_ms() + 2 * RUN_WAIT_MS;
    uint32_t before = atomic_load(&night->order);
    atomic_store(&night->idle, 0);
    atomic_store(&night->order, before - before % MODE_COUNT + MODE_COUNT + (uint32_t)mode);
    while (mode != MODE_RUN && atomic_load(&night->idle) < LANES) {
        RUN_CHECK(run_now_ms() < limit_ms, "the lanes do not come to mode %d", (int)mode);
        run_pause();
    }
}

struct night *night_start(const char *seeds, uint32_t node_count)
{
    struct night *night = calloc(1, sizeof(*night));
    struct sgn_options *options = sgn_options_create();
    RUN_CHECK(night != NULL && options != NULL, "memory");
    RUN_CHECK(sgn_options_set(options, "seeds", seeds) == SGN_OK &&
                  sgn_options_set(options, "timeout_ms", TIMEOUT_MS) == SGN_OK &&
                  sgn_client_create(&night->client, options) == SGN_OK,
              "%s",
              sgn_options_error(options));
    sgn_options_destroy(options);
    RUN_CHECK(sgn_client_wait_ready(night->client, RUN_WAIT_MS) == SGN_OK, "the client");
    night->node_count = node_count;
    for (uint32_t i = 0; i < LANES; i++) {
        struct lane *lane = &night->lanes[i];
        lane->night = night;
        lane->number = i;
        for (uint32_t key = 0; key < KEYS; key++) {
            lane->blind[key].next = 1;
            lane->seen[key].next = 1;
        }
        lane->request = sgn_request_create(night->client);
        RUN_CHECK(lane->request != NULL, "memory");
    }
    struct sgn_request *make = night->lanes[0].request;
    sgn_request_bucket_create(make, sgn_text(NIGHT_BUCKET), SGN_BUCKET_AVAILABLE, 0, 0, 0);
    RUN_CHECK(sgn_request_run(make) == SGN_OK, "%s", sgn_request_error(make));
    for (uint32_t i = 0; i < LANES; i++) {
        struct lane *lane = &night->lanes[i];
        RUN_CHECK(pthread_create(&lane->thread, NULL, lane_main, lane) == 0, "thread");
    }
    return night;
}

uint64_t night_acks(const struct night *night)
{
    return atomic_load(&night->acks);
}

void night_await_acks(const struct night *night, uint64_t more)
{
    uint64_t limit_ms = run_now_ms() + RUN_WAIT_MS;
    uint64_t goal = night_acks(night) + more;
    while (night_acks(night) < goal) {
        RUN_CHECK(run_now_ms() < limit_ms,
                  "the ring does not go on: %llu writes to go",
                  (unsigned long long)(goal - night_acks(night)));
        run_pause();
    }
}

void night_pause(struct night *night)
{
    mode_set(night, MODE_PARK);
}

void night_resume(struct night *night)
{
    mode_set(night, MODE_RUN);
}

struct night_counts night_check(struct night *night, enum night_scope scope)
{
    struct night_counts sum = {0};
    night->scope = scope;
    mode_set(night, MODE_CHECK);
    for (uint32_t i = 0; i < LANES; i++) {
        struct night_counts *counts = &night->lanes[i].counts;
        sum.acked += counts->acked;
        sum.unknown += counts->unknown;
        sum.refused += counts->refused;
        sum.checked += counts->checked;
        sum.failed += counts->failed;
    }
    mode_set(night, MODE_PARK);
    return sum;
}

void night_end(struct night *night)
{
    mode_set(night, MODE_END);
    for (uint32_t i = 0; i < LANES; i++) {
        (void)pthread_join(night->lanes[i].thread, NULL);
        sgn_request_destroy(night->lanes[i].request);
    }
    sgn_client_destroy(night->client);
    free(night);
}
