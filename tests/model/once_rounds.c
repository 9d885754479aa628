/* tests/model/once_rounds.c - exactly-once requests inside Paxos rounds (3.1, 3.5): attempts of one
 * request by several coordinators at once, rounds overtaken half way, rejections that skip the
 * accept phase. One key, three replicas, no witnesses (ring_model.h has those). A round may be an
 * attempt of any request, a question what became of it, or a read (request 0). */
#include <string.h>

#include "tests/model/once.h"

#define REPS   3u
#define ROUNDS 5u /* Numbers 1..4, also their ballots. */

enum { NEW, PREPARING, ACCEPTING, EXPOSED, OVER };

struct rep {
    uint8_t promised, slot, committed;
    uint8_t promises, accepts; /* Rounds it has answered. */
    uint8_t spare;
};

struct round {
    uint8_t phase, request, resolve;
    uint8_t best, known; /* Highest round reported; somebody has it committed. */
    uint8_t verdict;
    uint16_t version;
    struct once_record record;
};

struct state {
    struct rep reps[REPS];
    struct round rounds[ROUNDS];
    struct once_request requests[ONCE_REQUESTS];
    uint16_t exposed;
    uint8_t spare[8];
};
_Static_assert(sizeof(struct state) % 8 == 0, "fingerprints take eight bytes at a time");

static const struct config {
    const char *name;
    uint32_t rounds;
    bool questions;
    uint8_t types[ONCE_REQUESTS];
} configs[] = {
    {"put,version/4", 4, true, {0, ONCE_PUT, ONCE_IF_VERSION}},
    {"put,absent/3", 3, true, {0, ONCE_PUT, ONCE_IF_ABSENT}},
    {"absent,absent/3", 3, true, {0, ONCE_IF_ABSENT, ONCE_IF_ABSENT}},
    {"put,version,put/4", 4, false, {0, ONCE_PUT, ONCE_IF_VERSION, ONCE_PUT}},
};
static const struct config *config;

static bool configure(const char *name)
{
    for (uint32_t i = 0; i < sizeof configs / sizeof configs[0]; i++) {
        if (strcmp(name, configs[i].name) == 0) {
            config = &configs[i];
            return true;
        }
    }
    return false;
}

static void init(void *state)
{
    struct state *s = state;
    for (uint32_t i = 1; i < ONCE_REQUESTS; i++) {
        s->requests[i].type = config->types[i];
        s->requests[i].stamp = (uint8_t)i;
    }
}

static bool has(uint32_t mask, uint32_t i)
{
    return (mask >> i & 1u) != 0;
}

/* The answer leaves: the record it speaks of is exposed. */
static const char *answer(struct state *n, struct round *round, uint16_t lineage)
{
    struct once_decision d = {.verdict = round->verdict, .version = round->version};
    if (!once_prefix(lineage, n->exposed) && !once_prefix(n->exposed, lineage)) {
        return "fork: a client was told of a version that is in no chain";
    }
    if (once_rev(lineage) > once_rev(n->exposed)) {
        n->exposed = lineage;
    }
    const char *wrong = round->request != 0 ? once_tell(&n->requests[round->request], &d) : NULL;
    return wrong != NULL ? wrong : once_check(n->requests, n->exposed);
}

/* 3.1.3 with the promises of a majority. */
static const char *decide(struct state *n, struct round *round)
{
    round->record = n->rounds[round->best].record;
    bool known = round->known != 0 || round->best == 0;
    round->best = 0;
    round->known = 0;
    struct once_decision d = {.verdict = ONCE_APPLIED, .version = round->record.lineage};
    if (round->request != 0) {
        d = once_decide(&round->record, n->requests, round->request, round->resolve != 0);
    }
    round->verdict = d.verdict;
    round->version = d.version;
    round->phase = ACCEPTING;
    bool plain = !d.changes && !d.remembers;
    bool rejected = d.verdict == ONCE_REJECTED;
    if (d.verdict != ONCE_UNKNOWN && !(plain && (known || (rejected && MUTANT(28))))) {
        return NULL;
    }
    /* 3.5: the accept phase is skipped; what is spoken of is committed somewhere. */
    struct once_record record = round->record;
    const char *wrong = d.verdict == ONCE_UNKNOWN ? NULL : answer(n, round, record.lineage);
    *round = (struct round){.phase = OVER};
    return wrong;
}

static uint32_t votes_of(const struct state *n, uint32_t b, bool accepts)
{
    uint32_t count = 0;
    for (uint32_t r = 0; r < REPS; r++) {
        count += has(accepts ? n->reps[r].accepts : n->reps[r].promises, b);
    }
    return count;
}

static void promise(
    const struct state *s, struct sgn_mc_run *run, uint32_t b, uint32_t request, bool resolve)
{
    for (uint32_t r = 0; r < REPS; r++) {
        const struct rep *rep = &s->reps[r];
        if (rep->promised >= b) {
            continue;
        }
        struct state n = *s;
        struct round *round = &n.rounds[b];
        if (round->phase == NEW) {
            round->phase = PREPARING;
            round->request = (uint8_t)request;
            round->resolve = resolve ? 1 : 0;
        }
        n.reps[r].promised = (uint8_t)b;
        n.reps[r].promises = (uint8_t)(rep->promises | 1u << b);
        if (rep->slot > round->best) {
            round->best = rep->slot;
            round->known = 0;
        }
        if (rep->slot == round->best && rep->committed != 0) {
            round->known = 1;
        }
        const char *wrong = NULL;
        if (votes_of(&n, b, false) >= 2) {
            wrong = decide(&n, round);
            for (uint32_t q = 0; q < REPS; q++) {
                n.reps[q].promises = (uint8_t)(n.reps[q].promises & ~(1u << b));
            }
        }
        sgn_mc_emit(run,
                    &n,
                    wrong,
                    "b%u (%s of %u): promise by %c",
                    b,
                    resolve ? "question" : "attempt",
                    request,
                    'A' + r);
    }
}

static void accept(const struct state *s, struct sgn_mc_run *run, uint32_t b)
{
    for (uint32_t r = 0; r < REPS; r++) {
        const struct rep *rep = &s->reps[r];
        if (rep->promised > b || rep->slot == b) {
            continue;
        }
        struct state n = *s;
        struct round *round = &n.rounds[b];
        const char *wrong = NULL;
        n.reps[r].promised = (uint8_t)b;
        n.reps[r].slot = (uint8_t)b;
        n.reps[r].committed = 0;
        if (round->phase == ACCEPTING) {
            n.reps[r].accepts = (uint8_t)(rep->accepts | 1u << b);
        }
        if (round->phase == ACCEPTING && votes_of(&n, b, true) >= 2) {
            round->phase = EXPOSED;
            wrong = answer(&n, round, round->record.lineage);
            for (uint32_t q = 0; q < REPS; q++) {
                n.reps[q].accepts = (uint8_t)(n.reps[q].accepts & ~(1u << b));
            }
        }
        sgn_mc_emit(run, &n, wrong, "b%u: accepted by %c", b, 'A' + r);
    }
}

static void commit(const struct state *s, struct sgn_mc_run *run, uint32_t b)
{
    for (uint32_t r = 0; r < REPS; r++) {
        const struct rep *rep = &s->reps[r];
        if (rep->slot > b || (rep->slot == b && rep->committed != 0)) {
            continue;
        }
        struct state n = *s;
        n.reps[r].slot = (uint8_t)b;
        n.reps[r].committed = 1;
        n.reps[r].promised = rep->promised > b ? rep->promised : (uint8_t)b;
        sgn_mc_emit(run, &n, NULL, "b%u: commit at %c", b, 'A' + r);
    }
}

static void begin(const struct state *s, struct sgn_mc_run *run, uint32_t b)
{
    promise(s, run, b, 0, false);
    for (uint32_t i = 1; i < ONCE_REQUESTS && s->requests[i].type != ONCE_NONE; i++) {
        if (s->requests[i].type == ONCE_IF_VERSION && once_count(s->exposed, i - 1) == 0) {
            continue; /* A client knows a version only when it is exposed. */
        }
        promise(s, run, b, i, false);
        if (config->questions) {
            promise(s, run, b, i, true);
        }
    }
}

static void expand(const void *state, struct sgn_mc_run *run)
{
    const struct state *s = state;
    for (uint32_t b = 1; b <= config->rounds; b++) {
        const struct round *round = &s->rounds[b];
        switch (round->phase) {
        case NEW: begin(s, run, b); break;
        case PREPARING: promise(s, run, b, round->request, round->resolve != 0); break;
        case ACCEPTING: accept(s, run, b); break;
        case EXPOSED:
            accept(s, run, b);
            commit(s, run, b);
            break;
        default: break;
        }
    }
    for (uint32_t r = 0; r < REPS; r++) {
        if (s->reps[r].committed != 0) {
            struct state n = *s;
            n.reps[r].committed = 0;
            sgn_mc_emit(run, &n, NULL, "%c restarts", 'A' + r);
        }
    }
}

static void canon(void *state)
{
    struct state *s = state;
    for (uint32_t end = REPS; end > 1; end--) {
        for (uint32_t i = 0; i + 1 < end; i++) {
            if (memcmp(&s->reps[i], &s->reps[i + 1], sizeof s->reps[i]) > 0) {
                struct rep keep = s->reps[i];
                s->reps[i] = s->reps[i + 1];
                s->reps[i + 1] = keep;
            }
        }
    }
}

static const struct sgn_mc_case plan[] = {
    {"absent,absent/3", 0, 2000000, SGN_MC_HOLDS},
    {"put,absent/3", 0, 2000000, SGN_MC_HOLDS},
    {"put,version/4", 0, 10000000, SGN_MC_HOLDS},
    {"put,version,put/4", 0, 10000000, SGN_MC_HOLDS},
    {"put,absent/3", 5, 2000000, SGN_MC_CAUGHT},
    {"put,absent/3", 129, 2000000, SGN_MC_CAUGHT},
    {"put,version,put/4", 28, 10000000, SGN_MC_CAUGHT},
};
static const uint32_t plan_count = sizeof plan / sizeof plan[0];

const struct sgn_mc_model sgn_model_once_rounds = {.name = "once-rounds",
                                                   .state_bytes = sizeof(struct state),
                                                   .plan = plan,
                                                   .plan_count = &plan_count,
                                                   .configure = configure,
                                                   .init = init,
                                                   .expand = expand,
                                                   .canon = canon};
