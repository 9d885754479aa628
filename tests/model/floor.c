/* tests/model/floor.c - dropping tombstones under an absent floor (3.7). One key, three replicas,
 * no witnesses, one epoch; rounds as in ring_model.h. The floor F is a ballot: the tombstone for
 * which it is raised may be another key's, so that F need not be a ballot of this one.
 *
 * A replica without a record stands for a committed tombstone at its floor. What that tombstone's
 * lineage is, the replica does not know; the model remembers it (`ghost`) to find forks. */
#include <stdio.h>
#include <string.h>

#include "tests/model/mc.h"

#define REPS   3u
#define ROUNDS 5u /* Numbers 1..4, also their ballots. */

enum { NEW, PREPARING, ACCEPTING, EXPOSED };

struct rep {
    uint8_t promised, slot, committed;
    uint8_t promises, accepts, voted; /* Rounds; the reader. */
    uint8_t pledged;                  /* Highest F it has promised for all keys: step 1. */
    uint8_t heard;                    /* Step 2: replicas that have reported, itself among them. */
    uint8_t need;                     /* Step 2: the highest record reported. */
    uint8_t need_floor;               /* Step 2: or the highest floor of one that holds none. */
    uint8_t floor;                    /* Step 3. */
    uint8_t spare;
    uint16_t ghost, need_ghost;
};

struct round {
    uint8_t phase, best, floor, spare; /* best: ballot; floor: revs exposed when it began. */
    uint16_t lineage;                  /* Before the decision: of the best report. */
};

struct state {
    struct rep reps[REPS];
    struct round rounds[ROUNDS];
    struct {
        uint8_t active, best, known, floor;
        uint16_t lineage;
    } reader;
    uint16_t exposed;
    uint8_t goal; /* Index of the floor being raised. */
    uint8_t spare[1];
};
_Static_assert(sizeof(struct state) % 8 == 0, "fingerprints take eight bytes at a time");

static const struct config {
    const char *name;
    uint8_t rounds;  /* Which there are, as a mask. */
    uint8_t deletes; /* Rounds that delete; the others put, or keep what is there: */
    uint8_t keeps;
    uint8_t floors[2]; /* Raised one after the other; 0: none. */
} configs[] = {
    {"other-key/put,put", 1u << 1 | 1u << 3, 0, 0, {2, 0}},
    {"other-key/put,put,put", 1u << 1 | 1u << 3 | 1u << 4, 0, 0, {2, 0}},
    {"own/delete,put", 1u << 1 | 1u << 2, 1u << 1, 0, {1, 0}},
    {"own/put,delete,put", 1u << 1 | 1u << 2 | 1u << 3, 1u << 2, 0, {2, 0}},
    {"above/put,delete,put", 1u << 1 | 1u << 2 | 1u << 4, 1u << 2, 0, {3, 0}},
    {"two/delete,delete,put", 1u << 1 | 1u << 2 | 1u << 3, 1u << 1 | 1u << 2, 0, {1, 2}},
    {"keep/put,delete,keep", 1u << 1 | 1u << 2 | 1u << 3, 1u << 2, 1u << 3, {3, 0}},
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
    (void)state;
}

static bool has(uint32_t mask, uint32_t i)
{
    return (mask >> i & 1u) != 0;
}

static uint8_t rev_of(uint16_t lineage)
{
    uint8_t rev = 0;
    for (; lineage != 0; lineage = (uint16_t)(lineage >> 3)) {
        rev++;
    }
    return rev;
}

static bool is_prefix(uint16_t a, uint16_t b)
{
    return (b & (uint16_t)((1u << (3 * rev_of(a))) - 1u)) == a;
}

static bool is_dead(uint16_t lineage)
{
    uint8_t rev = rev_of(lineage);
    return rev == 0 || has(config->deletes, (uint32_t)lineage >> (3 * (rev - 1)));
}

/* A replica without a record holds a committed tombstone at its floor. */
static uint8_t ballot_at(const struct rep *rep)
{
    return rep->slot != 0 ? rep->slot : rep->floor;
}
static bool known_at(const struct rep *rep)
{
    return rep->slot == 0 || rep->committed != 0;
}
static uint16_t lineage_at(const struct state *s, const struct rep *rep)
{
    return rep->slot != 0 ? s->rounds[rep->slot].lineage : rep->ghost;
}

static const char *expose(struct state *n, uint16_t lineage, uint8_t floor)
{
    if (rev_of(lineage) < floor) {
        return "stale: a rev below one exposed before it began";
    }
    if (!is_prefix(lineage, n->exposed) && !is_prefix(n->exposed, lineage)) {
        return "fork: exposed lineages are not one chain";
    }
    if (rev_of(lineage) > rev_of(n->exposed)) {
        n->exposed = lineage;
    }
    return NULL;
}

static uint32_t votes_of(const struct state *n, uint32_t b, bool accepts)
{
    uint32_t count = 0;
    for (uint32_t r = 0; r < REPS; r++) {
        count += has(accepts ? n->reps[r].accepts : n->reps[r].promises, b);
    }
    return count;
}

static void decide(struct round *round, uint32_t b)
{
    round->phase = ACCEPTING;
    round->best = 0;
    if (!has(config->keeps, b) && !(has(config->deletes, b) && is_dead(round->lineage))) {
        round->lineage = (uint16_t)(round->lineage | b << (3 * rev_of(round->lineage)));
    }
}

static void promise(const struct state *s, struct sgn_mc_run *run, uint32_t b)
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
            round->floor = rev_of(s->exposed);
        }
        n.reps[r].promised = (uint8_t)b;
        n.reps[r].promises = (uint8_t)(rep->promises | 1u << b);
        if (ballot_at(rep) >= round->best && (ballot_at(rep) > 0 || rep->ghost != 0)) {
            round->best = ballot_at(rep);
            round->lineage = lineage_at(s, rep);
        }
        if (votes_of(&n, b, false) >= 2) {
            decide(round, b);
            for (uint32_t q = 0; q < REPS; q++) {
                n.reps[q].promises = (uint8_t)(n.reps[q].promises & ~(1u << b));
            }
        }
        sgn_mc_emit(run,
                    &n,
                    NULL,
                    "b%u: promise by %c, which holds %s%u",
                    b,
                    'A' + r,
                    rep->slot != 0 ? "b" : "nothing, floor ",
                    ballot_at(rep));
    }
}

static void accept(const struct state *s, struct sgn_mc_run *run, uint32_t b)
{
    for (uint32_t r = 0; r < REPS; r++) {
        const struct rep *rep = &s->reps[r];
        if (rep->promised > b || rep->slot == b || b <= rep->pledged || b <= rep->floor) {
            continue;
        }
        struct state n = *s;
        struct round *round = &n.rounds[b];
        const char *wrong = NULL;
        n.reps[r].promised = (uint8_t)b;
        n.reps[r].slot = (uint8_t)b;
        n.reps[r].committed = 0;
        n.reps[r].ghost = 0;
        if (round->phase == ACCEPTING) {
            n.reps[r].accepts = (uint8_t)(rep->accepts | 1u << b);
        }
        if (round->phase == ACCEPTING && votes_of(&n, b, true) >= 2) {
            round->phase = EXPOSED;
            wrong = expose(&n, round->lineage, round->floor);
            round->floor = 0;
            for (uint32_t q = 0; q < REPS; q++) {
                n.reps[q].accepts = (uint8_t)(n.reps[q].accepts & ~(1u << b));
            }
        }
        sgn_mc_emit(run, &n, wrong, "b%u: accepted by %c", b, 'A' + r);
    }
}

static void store_committed(struct rep *to, uint32_t b)
{
    to->slot = (uint8_t)b;
    to->committed = 1;
    to->ghost = 0;
    to->promised = to->promised > b ? to->promised : (uint8_t)b;
}

/* 9: repair moves committed records upward only; absent under a floor is not below what the floor
 * covers. */
static void commit(const struct state *s, struct sgn_mc_run *run, uint32_t b)
{
    for (uint32_t r = 0; r < REPS; r++) {
        const struct rep *rep = &s->reps[r];
        bool same = rep->slot == b && rep->committed == 0;
        if (!same && ballot_at(rep) >= b) {
            continue;
        }
        struct state n = *s;
        store_committed(&n.reps[r], b);
        sgn_mc_emit(run, &n, NULL, "b%u: commit at %c", b, 'A' + r);
    }
}

/* ---- raising the floor
 * --------------------------------------------------------------------------- */

/* Step 2, one source (or itself). A slot holds one record only: a source whose record is pending
 * cannot say what it had at or below F, so it first has it resolved, also when it is above F. */
static void report(const struct state *s, struct sgn_mc_run *run, uint32_t r, uint8_t goal)
{
    for (uint32_t p = 0; p < REPS; p++) {
        const struct rep *peer = &s->reps[p];
        bool above = MUTANT(417) && peer->slot > goal; /* It says only what stands at or below F. */
        if (has(s->reps[r].heard, p) || (!known_at(peer) && !above)) {
            continue;
        }
        struct state n = *s;
        struct rep *to = &n.reps[r];
        to->heard = (uint8_t)(to->heard | 1u << p);
        if (!above && peer->slot > to->need) {
            to->need = peer->slot;
        } else if (peer->slot == 0 && peer->floor > to->need_floor) {
            to->need_floor = peer->floor;
            to->need_ghost = peer->ghost;
        }
        sgn_mc_emit(run, &n, NULL, "%c hears from %c", 'A' + r, 'A' + p);
    }
}

/* Step 3. */
static void raise_floor(const struct state *s, struct sgn_mc_run *run, uint32_t r, uint8_t goal)
{
    struct state n = *s;
    struct rep *to = &n.reps[r];
    if (to->need_floor > to->need && to->need_floor > ballot_at(to)) {
        to->slot = 0; /* Dropped elsewhere, so settled here: what is held is that tombstone. */
        to->committed = 0;
        to->ghost = to->need_ghost;
    } else if (to->need > ballot_at(to)) {
        store_committed(to, to->need);
    }
    to->heard = 0;
    to->need = 0;
    to->need_floor = 0;
    to->need_ghost = 0;
    to->floor = goal;
    sgn_mc_emit(run, &n, NULL, "%c sets its floor to %u", 'A' + r, goal);
}

static void floor_steps(const struct state *s, struct sgn_mc_run *run, uint32_t r)
{
    const struct rep *rep = &s->reps[r];
    uint8_t goal = config->floors[s->goal];
    bool own = has(config->rounds, goal);
    /* A floor that was a pending record's own ballot could not be told from it. */
    if (goal == 0 || rep->floor >= goal ||
        (own && s->rounds[goal].phase != EXPOSED && !MUTANT(517))) {
        return;
    }
    if (rep->pledged < goal && !MUTANT(17) && !MUTANT(117)) {
        struct state n = *s;
        n.reps[r].pledged = goal;
        n.reps[r].promised = rep->promised > goal ? rep->promised : goal;
        sgn_mc_emit(run, &n, NULL, "%c promises %u for every key", 'A' + r, goal);
        if (!MUTANT(317)) {
            return;
        }
    }
    bool all = true;
    for (uint32_t q = 0; q < REPS; q++) {
        all = all && (s->reps[q].pledged >= goal || MUTANT(17) || MUTANT(117) || MUTANT(317));
    }
    uint32_t heard = (uint32_t)__builtin_popcount(rep->heard);
    if (all && heard < 2 && !MUTANT(17) && !MUTANT(217)) {
        report(s, run, r, goal);
    } else if (all && (has(rep->heard, r) || MUTANT(17) || MUTANT(217))) {
        raise_floor(s, run, r, goal);
    } else if (all) {
        report(s, run, r, goal); /* It counts in the majority, so it has to look at itself. */
    }
}

/* A tombstone at or below the floor that every replica holds, or has dropped, may go. Held is
 * enough, committed or not: this is when our variant calls it settled. */
static void drop(const struct state *s, struct sgn_mc_run *run, uint32_t r)
{
    const struct rep *rep = &s->reps[r];
    if (rep->slot == 0 || rep->committed == 0 || rep->slot > rep->floor ||
        !is_dead(s->rounds[rep->slot].lineage)) {
        return;
    }
    for (uint32_t q = 0; q < REPS; q++) {
        if (ballot_at(&s->reps[q]) < rep->slot) {
            return;
        }
    }
    struct state n = *s;
    n.reps[r].ghost = s->rounds[rep->slot].lineage;
    n.reps[r].slot = 0;
    n.reps[r].committed = 0;
    sgn_mc_emit(run, &n, NULL, "%c drops its tombstone b%u", 'A' + r, rep->slot);
}

/* 5.3 with two digests; only a committed record is served. */
static void read(const struct state *s, struct sgn_mc_run *run)
{
    for (uint32_t r = 0; r < REPS; r++) {
        const struct rep *rep = &s->reps[r];
        if (rep->voted != 0) {
            continue;
        }
        struct state n = *s;
        const char *wrong = NULL;
        bool second = n.reader.active != 0;
        if (!second) {
            n.reader.floor = rev_of(s->exposed);
        }
        if (!second || ballot_at(rep) > n.reader.best) {
            n.reader.known = known_at(rep) ? 1 : 0;
            n.reader.best = ballot_at(rep);
            n.reader.lineage = lineage_at(s, rep);
        } else if (ballot_at(rep) == n.reader.best && known_at(rep)) {
            n.reader.known = 1;
        }
        n.reader.active = 1;
        n.reps[r].voted = 1;
        if (second) {
            wrong = n.reader.known != 0 ? expose(&n, n.reader.lineage, n.reader.floor) : NULL;
            memset(&n.reader, 0, sizeof n.reader);
            for (uint32_t q = 0; q < REPS; q++) {
                n.reps[q].voted = 0;
            }
        }
        sgn_mc_emit(run,
                    &n,
                    wrong,
                    "read: %c holds %u%s",
                    'A' + r,
                    ballot_at(rep),
                    second ? ", and it ends" : "");
    }
}

static void expand(const void *state, struct sgn_mc_run *run)
{
    const struct state *s = state;
    bool raised = config->floors[s->goal] != 0;
    for (uint32_t b = 1; b < ROUNDS; b++) {
        const struct round *round = &s->rounds[b];
        if (!has(config->rounds, b)) {
            continue;
        }
        if (round->phase == NEW || round->phase == PREPARING) {
            promise(s, run, b);
        } else {
            accept(s, run, b);
        }
        if (round->phase == EXPOSED) {
            commit(s, run, b);
        }
    }
    for (uint32_t r = 0; r < REPS; r++) {
        floor_steps(s, run, r);
        drop(s, run, r);
        raised = raised && s->reps[r].floor >= config->floors[s->goal];
        if (s->reps[r].slot != 0 && s->reps[r].committed != 0) {
            struct state n = *s;
            n.reps[r].committed = 0;
            sgn_mc_emit(run, &n, NULL, "%c restarts", 'A' + r);
        }
    }
    if (raised && s->goal == 0 && config->floors[1] != 0) {
        struct state n = *s;
        n.goal = 1;
        sgn_mc_emit(run, &n, NULL, "the next floor is wanted");
    }
    read(s, run);
}

static void swap_bits(uint8_t *mask, uint32_t i, uint32_t j)
{
    if (has(*mask, i) != has(*mask, j)) {
        *mask = (uint8_t)(*mask ^ (1u << i | 1u << j));
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
                for (uint32_t r = 0; r < REPS; r++) {
                    swap_bits(&s->reps[r].heard, i, i + 1);
                }
            }
        }
    }
}

static const struct sgn_mc_case plan[] = {
    {"other-key/put,put", 0, 10000000, SGN_MC_HOLDS},
    {"own/delete,put", 0, 10000000, SGN_MC_HOLDS},
    {"keep/put,delete,keep", 0, 20000000, SGN_MC_HOLDS},
    {"own/put,delete,put", 0, 6000000, SGN_MC_CUT},
    {"above/put,delete,put", 0, 6000000, SGN_MC_CUT},
    {"two/delete,delete,put", 0, 6000000, SGN_MC_CUT},
    {"other-key/put,put", 17, 5000000, SGN_MC_CAUGHT},
    {"other-key/put,put", 117, 5000000, SGN_MC_CAUGHT},
    {"other-key/put,put", 217, 5000000, SGN_MC_CAUGHT},
    {"other-key/put,put", 317, 5000000, SGN_MC_CAUGHT},
    {"other-key/put,put", 417, 5000000, SGN_MC_CAUGHT},
    {"own/put,delete,put", 517, 5000000, SGN_MC_CAUGHT},
};
static const uint32_t plan_count = sizeof plan / sizeof plan[0];

const struct sgn_mc_model sgn_model_floor = {.name = "floor",
                                             .state_bytes = sizeof(struct state),
                                             .plan = plan,
                                             .plan_count = &plan_count,
                                             .configure = configure,
                                             .init = init,
                                             .expand = expand,
                                             .canon = canon};
