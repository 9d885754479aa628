/* tests/model/once.c - exactly-once requests with rounds as single steps: any number of attempts of
 * each request, at any time, also after its client was answered; answers that are lost; questions
 * what became of a request; tombstones dropped. Which kind each request is and which stamp it has
 * is chosen freely. Per-key Paxos makes rounds a sequence; once_rounds.c looks inside them. */
#include "tests/model/once.h"

#include <string.h>

uint32_t once_count(uint16_t lineage, uint32_t request)
{
    uint32_t count = 0;
    for (; lineage != 0; lineage = (uint16_t)(lineage >> 3)) {
        count += (lineage & 7u) == request;
    }
    return count;
}

static void remember(struct once_record *record,
                     const struct once_request *requests,
                     uint32_t i,
                     uint8_t verdict,
                     uint16_t version)
{
    const struct once_op *last = &record->ops[ONCE_OPS - 1];
    if (last->id != 0) {
        /* Mutant 30: the ballot's hlc, which a chain of rounds keeps while stamps go on. */
        uint8_t floor = MUTANT(30) ? 0 : requests[last->id].stamp;
        record->floor = floor > record->floor ? floor : record->floor;
    }
    memmove(&record->ops[1], &record->ops[0], (ONCE_OPS - 1) * sizeof record->ops[0]);
    record->ops[0] = (struct once_op){.id = (uint8_t)i, .verdict = verdict, .version = version};
}

static bool holds(const struct once_record *record, uint32_t type, uint32_t i)
{
    bool never = once_rev(record->lineage) == record->dropped;
    switch (type) {
    case ONCE_IF_ABSENT: return record->alive == 0;
    case ONCE_IF_NEVER: return never;
    case ONCE_IF_VERSION: return !never && once_top(record->lineage) == i - 1;
    default: return true;
    }
}

struct once_decision once_decide(struct once_record *record,
                                 const struct once_request *requests,
                                 uint32_t i,
                                 bool resolve)
{
    const struct once_request *request = &requests[i];
    struct once_decision d = {.version = record->lineage};
    for (uint32_t k = 0; k < ONCE_OPS && !MUTANT(5); k++) {
        if (record->ops[k].id == i) {
            d.verdict = record->ops[k].verdict;
            d.version = record->ops[k].version;
            return d;
        }
    }
    if (request->stamp <= record->floor) {
        d.verdict = ONCE_UNKNOWN;
        return d;
    }
    bool met = !resolve && holds(record, request->type, i);
    if (!met) {
        d.verdict = resolve ? ONCE_VOID : ONCE_REJECTED;
        /* A version that was made never comes again, so that this rejection stands by itself. */
        d.remembers = resolve || request->type != ONCE_IF_VERSION;
        bool forgets = resolve ? MUTANT(129) : MUTANT(29);
        forgets = forgets || (!resolve && MUTANT(229) && request->type == ONCE_IF_NEVER);
        d.remembers = d.remembers && !forgets;
    } else {
        d.verdict = ONCE_APPLIED;
        d.changes = request->type != ONCE_DEL || record->alive != 0;
        d.remembers = true;
    }
    if (d.changes) {
        record->lineage = (uint16_t)(record->lineage | i << (3 * once_rev(record->lineage)));
        record->alive = request->type != ONCE_DEL;
        d.version = record->lineage;
    }
    if (d.remembers) {
        remember(record, requests, i, d.verdict, d.version);
    }
    return d;
}

const char *once_tell(struct once_request *request, const struct once_decision *decision)
{
    if (decision->verdict == ONCE_UNKNOWN) {
        return NULL;
    }
    bool applied = decision->verdict == ONCE_APPLIED;
    uint8_t told = applied ? ONCE_APPLIED : ONCE_REJECTED;
    if (request->told != 0 && request->told != told) {
        return "two verdicts: a client is told both applied and not applied";
    }
    if (request->told != 0 && applied && request->version != decision->version) {
        return "two versions: a client is told two versions of one request";
    }
    request->told = told;
    request->version = applied ? decision->version : 0;
    return NULL;
}

const char *once_check(const struct once_request *requests, uint16_t lineage)
{
    for (uint32_t i = 1; i < ONCE_REQUESTS; i++) {
        const struct once_request *request = &requests[i];
        uint32_t count = once_count(lineage, i);
        if (count > 1) {
            return "twice: a request has two effects";
        }
        if (request->told == ONCE_REJECTED && count > 0) {
            return "late: a request told not applied has an effect";
        }
        bool quiet = request->told == ONCE_APPLIED && once_top(request->version) != i;
        if (quiet && count > 0) {
            return "late: a delete of nothing, told applied, has an effect";
        }
    }
    return NULL;
}

/* ---- the model ---------------------------------------------------------------------------------
 * */

struct once_state {
    struct once_record record;
    struct once_request requests[ONCE_REQUESTS];
    uint8_t spare[4];
};
_Static_assert(sizeof(struct once_state) % 8 == 0, "fingerprints take eight bytes at a time");

static uint32_t once_requests; /* Of the configuration. */
static uint8_t once_stamps;

static bool configure(const char *name)
{
    once_requests = name[0] == '4' ? 4 : 3;
    once_stamps = name[0] == '4' ? 2 : 3;
    return strcmp(name, "3-requests") == 0 || strcmp(name, "4-requests") == 0;
}

static void init(void *state)
{
    (void)state; /* All zero: a key never written. */
}

static void emit(
    struct sgn_mc_run *run, struct once_state *n, const char *wrong, const char *label, ...)
{
    const char *violation = wrong != NULL ? wrong : once_check(n->requests, n->record.lineage);
    va_list arguments;
    va_start(arguments, label);
    sgn_mc_emit_args(run, n, violation, label, arguments);
    va_end(arguments);
}

static const char *const verdicts[] = {"", "applied", "rejected", "void", "unknown"};

/* One attempt, or one question; its answer arrives or is lost. */
static void attempt(const struct once_state *s, struct sgn_mc_run *run, uint32_t i, bool resolve)
{
    struct once_state n = *s;
    struct once_decision d = once_decide(&n.record, n.requests, i, resolve);
    emit(run,
         &n,
         NULL,
         "%s of %u: %s, answer lost",
         resolve ? "question" : "attempt",
         i,
         verdicts[d.verdict]);
    const char *wrong = once_tell(&n.requests[i], &d);
    emit(run, &n, wrong, "%s of %u: %s", resolve ? "question" : "attempt", i, verdicts[d.verdict]);
}

static void expand(const void *state, struct sgn_mc_run *run)
{
    const struct once_state *s = state;
    for (uint32_t i = 1; i <= once_requests; i++) {
        if (s->requests[i].type != ONCE_NONE) {
            attempt(s, run, i, false);
            attempt(s, run, i, true);
            continue;
        }
        if (i > 1 && s->requests[i - 1].type == ONCE_NONE) {
            continue; /* They begin in the order of their numbers. */
        }
        for (uint32_t type = ONCE_PUT; type < ONCE_TYPES; type++) {
            /* A client knows a version only when it is exposed. */
            if (type == ONCE_IF_VERSION && once_count(s->record.lineage, i - 1) == 0) {
                continue;
            }
            for (uint8_t stamp = 1; stamp <= once_stamps; stamp++) {
                struct once_state n = *s;
                n.requests[i].type = (uint8_t)type;
                n.requests[i].stamp = stamp;
                emit(run, &n, NULL, "request %u begins: kind %u, stamp %u", i, type, stamp);
            }
        }
    }
    if (s->record.alive == 0 && once_rev(s->record.lineage) > s->record.dropped) {
        struct once_state n = *s;
        n.record.dropped = once_rev(s->record.lineage);
        for (uint32_t k = 0; k < ONCE_OPS; k++) {
            uint8_t stamp = n.requests[n.record.ops[k].id].stamp;
            if (stamp > n.record.floor && !MUTANT(617)) {
                n.record.floor = stamp;
            }
        }
        memset(n.record.ops, 0, sizeof n.record.ops);
        emit(run, &n, NULL, "the tombstone is dropped");
    }
}

static const struct sgn_mc_case plan[] = {
    {"3-requests", 0, 2000000, SGN_MC_HOLDS},
    {"4-requests", 0, 20000000, SGN_MC_HOLDS},
    {"3-requests", 5, 2000000, SGN_MC_CAUGHT},
    {"3-requests", 29, 2000000, SGN_MC_CAUGHT},
    {"3-requests", 129, 2000000, SGN_MC_CAUGHT},
    {"3-requests", 229, 2000000, SGN_MC_CAUGHT},
    {"3-requests", 30, 2000000, SGN_MC_CAUGHT},
    {"3-requests", 617, 2000000, SGN_MC_CAUGHT},
};
static const uint32_t plan_count = sizeof plan / sizeof plan[0];

const struct sgn_mc_model sgn_model_once = {.name = "once",
                                            .state_bytes = sizeof(struct once_state),
                                            .plan = plan,
                                            .plan_count = &plan_count,
                                            .configure = configure,
                                            .init = init,
                                            .expand = expand};
