/* The decide step against a dumb second model that keeps the whole history of a key: over every
 * short sequence, and over long ones in which ids fall off (protocol.md 3.5). */
#include <criterion/criterion.h>

#include "ring/core/ordered.h"
#include "ring/core/prng.h"
#include "tests/unit/ordered_help.h"

#define SEED         UINT64_C(0x646563696465)
#define HEAD_BYTES   64u
#define EVENTS_MAX   96u
#define DEPTH        5u
#define WINDOW_SEEDS 300u
#define HOT_OP_BYTES 24u /* What an op of a chain may take: a hot key's head stays small. */
#define CLASSIC_RISE 3u

/* The dumb model: everything that ever happened to the key, oldest first. */
struct event {
    uint32_t id;
    enum sgn_verdict verdict;
    uint64_t stamp;
    struct sgn_version version; /* The answer. */
    bool changed;
    bool live; /* Afterwards, if it changed. */
};

struct history {
    uint32_t count;
    uint32_t window; /* How many of the newest ids still answer. */
    struct event events[EVENTS_MAX];
};

static const struct event *last_change(const struct history *history)
{
    const struct event *last = NULL;
    for (uint32_t i = 0; i < history->count; i++) {
        last = history->events[i].changed ? &history->events[i] : last;
    }
    return last;
}

/* NULL: the id has left no trace. */
static const struct event *seen_before(const struct history *history, uint32_t id)
{
    for (uint32_t i = 0; i < history->count; i++) {
        if (history->events[i].id == id) {
            return &history->events[i];
        }
    }
    return NULL;
}

/* The largest stamp that the window has lost. */
static uint64_t lost_stamp(const struct history *history)
{
    uint64_t lost = 0;
    for (uint32_t i = 0; i + history->window < history->count; i++) {
        uint64_t stamp = history->events[i].stamp;
        lost = stamp > lost ? stamp : lost;
    }
    return lost;
}

static bool model_holds(const struct history *history, const struct sgn_change *change)
{
    static const struct event unwritten;
    const struct event *last = last_change(history);
    last = last == NULL ? &unwritten : last;
    bool exact = ordered_same_version(&change->expect, &last->version);
    return change->condition == SGN_IF_ANY || (change->condition == SGN_IF_ABSENT && !last->live) ||
           (change->condition == SGN_IF_VERSION && exact);
}

/* What the change must be answered; adds to the history what must be remembered. */
static struct sgn_decision model_step(struct history *history,
                                      const struct sgn_change *change,
                                      uint32_t id,
                                      const struct sgn_ballot *b)
{
    static const enum sgn_err results[] = {SGN_OK, SGN_OK, SGN_ERR_CONDITION, SGN_ERR_VOID};
    const struct event *last = last_change(history);
    struct event event = {.id = id, .stamp = change->stamp};
    event.version = last == NULL ? event.version : last->version;
    if (change->kind == SGN_CHANGE_READ) {
        return (struct sgn_decision){.result = SGN_OK, .version = event.version};
    }
    const struct event *before = seen_before(history, id);
    bool in_window = before != NULL && before >= history->events + history->count - history->window;
    if (before != NULL && (history->count <= history->window || in_window)) {
        return (struct sgn_decision){
            .result = results[before->verdict], .version = before->version, .repeated = true};
    }
    if (change->stamp <= lost_stamp(history)) {
        return (struct sgn_decision){.result = SGN_ERR_UNKNOWN};
    }
    bool forgettable = false;
    if (change->kind == SGN_CHANGE_RESOLVE) {
        event.verdict = SGN_VERDICT_VOID;
        event.version = (struct sgn_version){.rev = 0};
    } else if (model_holds(history, change)) {
        event.verdict = SGN_VERDICT_APPLIED;
        event.live = change->kind == SGN_CHANGE_PUT;
        event.changed = event.live || (last != NULL && last->live);
        if (event.changed) {
            event.version = (struct sgn_version){.rev = event.version.rev + 1, .origin = *b};
        }
    } else {
        event.verdict = SGN_VERDICT_REJECTED;
        forgettable = change->condition == SGN_IF_VERSION && change->expect.rev != 0;
    }
    if (!forgettable) {
        ordered_check(before == NULL, "the model itself lets an id have one effect");
        ordered_check(history->count < EVENTS_MAX, "room for events");
        history->events[history->count++] = event;
    }
    return (struct sgn_decision){.result = results[event.verdict],
                                 .version = event.version,
                                 .changes = event.changed,
                                 .remembers = !event.changed && !forgettable};
}

/* One round in both; they must agree in all that can be seen. */
static struct sgn_decision both(struct sgn_ordered *record,
                                struct history *history,
                                const struct sgn_change *change,
                                uint32_t id,
                                const struct sgn_ballot *b)
{
    struct sgn_decision got = ordered_step(record, change, b);
    struct sgn_decision want = model_step(history, change, id, b);
    ordered_check(got.result == want.result, "result");
    ordered_check(ordered_same_version(&got.version, &want.version), "version");
    ordered_check(got.changes == want.changes && got.remembers == want.remembers,
                  "changes, remembers");
    ordered_check(got.repeated == want.repeated, "repeated");
    const struct event *last = last_change(history);
    static const struct sgn_version unwritten;
    ordered_check(
        ordered_same_version(&record->version, last == NULL ? &unwritten : &last->version),
        "record");
    ordered_check(sgn_ordered_is_dead(record) == (last == NULL || !last->live), "alive or dead");
    ordered_check(!got.changes || sgn_ordered_is_dead(record) ||
                      record->body.ptr == change->body.ptr,
                  "the body of the change");
    ordered_check(record->ops_floor == lost_stamp(history), "floor");
    return got;
}

/* Two clients, each with one id that it sends again and again as any kind of change, and with the
 * version it has seen last. */
enum { ACTIONS = 6, CLIENTS = 2, SYMBOLS = ACTIONS * CLIENTS };

struct world {
    struct sgn_ordered record;
    struct history history;
    struct sgn_version seen[CLIENTS];
    struct sgn_ballot ballot;
};

static struct sgn_change action(uint32_t symbol, const struct world *world)
{
    static const enum sgn_change_kind kinds[ACTIONS] = {SGN_CHANGE_PUT,
                                                        SGN_CHANGE_DEL,
                                                        SGN_CHANGE_PUT,
                                                        SGN_CHANGE_PUT,
                                                        SGN_CHANGE_RESOLVE,
                                                        SGN_CHANGE_READ};
    uint32_t client = symbol / ACTIONS;
    struct sgn_change change = ordered_change(kinds[symbol % ACTIONS], client + 1, 50 + client);
    change.condition = symbol % ACTIONS == 2   ? SGN_IF_ABSENT
                       : symbol % ACTIONS == 3 ? SGN_IF_VERSION
                                               : SGN_IF_ANY;
    change.expect = world->seen[client];
    return change;
}

/* History alone: revs without gaps, no version twice, no id with two effects. */
static void check_history(const struct history *history)
{
    uint64_t rev = 0;
    for (uint32_t i = 0; i < history->count; i++) {
        const struct event *event = &history->events[i];
        ordered_check(!event->changed || event->version.rev == ++rev, "revs 1, 2, 3 ...");
        for (uint32_t j = 0; j < i; j++) {
            ordered_check(history->events[j].id != event->id, "an id has one effect");
            ordered_check(!event->changed ||
                              !ordered_same_version(&event->version, &history->events[j].version),
                          "a version is never made twice");
        }
    }
}

Test(ordered, every_short_sequence)
{
    /* Depth first: worlds[d] is the state after d rounds, next[d] the symbol to try there. */
    static struct world worlds[DEPTH + 1];
    uint32_t next[DEPTH + 1] = {0};
    uint32_t depth = 0;
    uint64_t rounds = 0;
    sgn_ordered_init(&worlds[0].record);
    worlds[0].history.window = SGN_ORDERED_OPS_MAX;
    worlds[0].ballot = (struct sgn_ballot){10, 1, 1, 0};
    while (next[0] < SYMBOLS || depth > 0) {
        if (depth == DEPTH || next[depth] == SYMBOLS) {
            depth--;
            continue;
        }
        uint32_t symbol = next[depth]++;
        struct world *world = &worlds[depth + 1];
        *world = worlds[depth];
        struct sgn_change change = action(symbol, world);
        world->ballot.step += depth != 2; /* Chained but for one. */
        world->ballot.hlc += depth == 2;
        uint32_t client = symbol / ACTIONS;
        struct sgn_decision decision =
            both(&world->record, &world->history, &change, client + 1, &world->ballot);
        if (decision.result == SGN_OK || decision.result == SGN_ERR_CONDITION) {
            world->seen[client] = decision.version;
        }
        check_history(&world->history);
        next[++depth] = 0;
        rounds++;
    }
    uint64_t want = 0;
    for (uint32_t d = 0; d < DEPTH; d++) {
        want = want * SYMBOLS + SYMBOLS;
    }
    cr_assert_eq(rounds, want, "every sequence was tried");
}

/* Random requests and retries of all ages; stamps come out of order, as clients' clocks differ, and
 * are far above the chain's ballot hlc (H2). */
static void random_window(uint64_t seed, uint32_t counts[4])
{
    struct sgn_prng prng = {.state = seed};
    struct world world = {.history = {.window = SGN_ORDERED_OPS_MAX}, .ballot = {10, 1, 1, 0}};
    struct sgn_change sent[EVENTS_MAX];
    uint32_t sent_count = 0;
    sgn_ordered_init(&world.record);
    for (uint32_t round = 0; round < EVENTS_MAX; round++) {
        uint32_t at = sent_count;
        if (sent_count > 0 && sgn_prng_chance(&prng, 400)) {
            at = (uint32_t)sgn_prng_below(&prng, sent_count);
        } else {
            sent[at] = action((uint32_t)sgn_prng_below(&prng, SYMBOLS), &world);
            sent[at].kind = sent[at].kind == SGN_CHANGE_READ ? SGN_CHANGE_PUT : sent[at].kind;
            sent[at].id = ordered_id(at + 1);
            sent[at].stamp = 1000 + 10 * round - sgn_prng_below(&prng, 60);
            sent_count++;
        }
        struct sgn_change change = sent[at];
        change.kind = sgn_prng_chance(&prng, 150) ? SGN_CHANGE_RESOLVE : change.kind;
        world.ballot.hlc += sgn_prng_chance(&prng, 100) ? CLASSIC_RISE : 0;
        world.ballot.step++;
        struct sgn_decision decision =
            both(&world.record, &world.history, &change, at + 1, &world.ballot);
        world.seen[round % CLIENTS] = world.record.version;
        counts[0] += decision.repeated;
        counts[1] += decision.result == SGN_ERR_UNKNOWN;
        counts[2] += decision.changes;
        counts[3] += decision.remembers;
    }
    check_history(&world.history);
}

Test(ordered, window_of_remembered_ids)
{
    uint32_t counts[4] = {0};
    for (uint64_t seed = 0; seed < WINDOW_SEEDS; seed++) {
        random_window(SEED + seed, counts);
    }
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert(counts[i] > 10 * WINDOW_SEEDS / 4, "outcome %u came %u times", i, counts[i]);
    }

    /* 40 puts in one chain, then each of them again. */
    enum { PUTS = 40 };
    struct sgn_ordered record;
    struct sgn_ballot b = {UINT64_C(1) << 50, 1, 1, 0};
    uint64_t start = b.hlc + (UINT64_C(1) << 38); /* An hour later. */
    uint64_t second = UINT64_C(1000) << SGN_HLC_COUNTER_BITS;
    sgn_ordered_init(&record);
    for (uint32_t i = 1; i <= PUTS; i++, b.step++) {
        struct sgn_change put = ordered_change(SGN_CHANGE_PUT, i, start + i * second);
        cr_assert_eq(ordered_step(&record, &put, &b).version.rev, i);
    }
    cr_assert_eq(record.op_count, SGN_ORDERED_OPS_MAX);
    cr_assert_leq(sgn_ordered_bytes(&record, false),
                  HEAD_BYTES + SGN_ORDERED_OPS_MAX * HOT_OP_BYTES);
    for (uint32_t i = 1; i <= PUTS; i++, b.step++) {
        struct sgn_change put = ordered_change(SGN_CHANGE_PUT, i, start + i * second);
        put.kind = i % 2 == 0 ? SGN_CHANGE_PUT : SGN_CHANGE_RESOLVE;
        struct sgn_decision decision = ordered_step(&record, &put, &b);
        bool fell_off = i + SGN_ORDERED_OPS_MAX <= PUTS;
        cr_assert_eq(decision.result, fell_off ? SGN_ERR_UNKNOWN : SGN_OK, "%u", i);
        cr_assert_eq(decision.version.rev, fell_off ? 0 : i);
        cr_assert(!decision.changes && !decision.remembers);
    }
    struct sgn_change put = ordered_change(SGN_CHANGE_PUT, PUTS + 1, start + PUTS * second);
    cr_assert_eq(ordered_step(&record, &put, &b).version.rev, PUTS + 1, "a new one is applied");
    b.step++;
    put = ordered_change(SGN_CHANGE_PUT, 0, start);
    memset(&put.id, 0, sizeof(put.id));
    cr_assert_eq(ordered_step(&record, &put, &b).result, SGN_ERR_INVALID, "no id, no effect");
    b.step++;
    put = ordered_change(SGN_CHANGE_PUT, PUTS + 2, 0);
    cr_assert_eq(ordered_step(&record, &put, &b).result, SGN_ERR_INVALID, "no stamp, no effect");
    b.step++;
    record.version.rev = SGN_REV_MAX;
    record.op_count = 0;
    put.stamp = UINT64_MAX;
    cr_assert_eq(ordered_step(&record, &put, &b).result, SGN_ERR_CORRUPT, "no rev is left");
}
