/* tests/model/floor_map_rounds.c - the floor-map model: what seats hold, rounds, settling. */
#include "tests/model/floor_map.h"

bool sgn_fm_has(uint32_t mask, uint32_t i)
{
    return (mask >> i & 1u) != 0;
}

uint8_t sgn_fm_rev_of(uint16_t lineage)
{
    uint8_t rev = 0;
    for (; lineage != 0; lineage = (uint16_t)(lineage >> 3)) {
        rev++;
    }
    return rev;
}

bool sgn_fm_is_prefix(uint16_t a, uint16_t b)
{
    return (b & (uint16_t)((1u << (3 * sgn_fm_rev_of(a))) - 1u)) == a;
}

bool sgn_fm_is_dead(uint16_t lineage)
{
    uint8_t rev = sgn_fm_rev_of(lineage);
    return rev == 0 || sgn_fm_has(sgn_fm_config->deletes, (uint32_t)lineage >> (3 * (rev - 1)));
}
/* ---- what a seat is and holds -----------------------------------------------------------------
 * */

uint8_t sgn_fm_epoch_of(const struct seat *seat)
{
    return sgn_fm_epochs[seat->map];
}

const struct map *sgn_fm_map_in(uint32_t epoch)
{
    uint32_t i = 0;
    while (sgn_fm_epochs[i] != epoch) {
        i++;
    }
    return &sgn_fm_maps[i];
}

bool sgn_fm_is_member(const struct state *s, uint32_t r)
{
    const struct map *map = &sgn_fm_maps[s->seats[r].map];
    return sgn_fm_has(map->set | map->next, r);
}

bool sgn_fm_is_in_sync(const struct state *s, uint32_t r)
{
    return sgn_fm_has(sgn_fm_maps[s->seats[r].map].in_sync, r);
}

uint8_t sgn_fm_ballot_at(const struct state *s, uint32_t r)
{
    const struct seat *seat = &s->seats[r];
    if (seat->slot != 0) {
        return seat->slot;
    }
    return sgn_fm_is_in_sync(s, r) || MUTANT(X_EARLY) ? sgn_fm_maps[seat->map].floor : 0;
}

bool sgn_fm_known_at(const struct seat *seat)
{
    return seat->slot == 0 || seat->committed != 0;
}

uint16_t sgn_fm_lineage_at(const struct state *s, uint32_t r)
{
    const struct seat *seat = &s->seats[r];
    return seat->slot != 0 ? s->rounds[seat->slot].lineage : seat->ghost;
}

bool sgn_fm_majority(uint32_t set, uint32_t mask)
{
    return 2 * __builtin_popcount(set & mask) > __builtin_popcount(set);
}

bool sgn_fm_quorum(uint32_t epoch, uint32_t mask)
{
    const struct map *map = sgn_fm_map_in(epoch);
    return sgn_fm_majority(map->set, mask) && (map->next == 0 || sgn_fm_majority(map->next, mask));
}

const char *sgn_fm_expose(struct state *n, uint16_t lineage, uint8_t floor)
{
    if (sgn_fm_rev_of(lineage) < floor) {
        return "stale: a rev below one exposed before it began";
    }
    if (!sgn_fm_is_prefix(lineage, n->exposed) && !sgn_fm_is_prefix(n->exposed, lineage)) {
        return "fork: exposed lineages are not one chain";
    }
    if (sgn_fm_rev_of(lineage) > sgn_fm_rev_of(n->exposed)) {
        n->exposed = lineage;
    }
    return NULL;
}

void sgn_fm_emit(struct sgn_mc_run *run, struct state *n, const char *wrong, const char *label, ...)
{
    for (uint32_t r = 0; r < SEATS; r++) {
        uint8_t *top = &n->seats[r].top[sgn_fm_epoch_of(&n->seats[r])];
        uint8_t ballot = sgn_fm_ballot_at(n, r);
        *top = ballot > *top ? ballot : *top;
    }
    va_list arguments;
    va_start(arguments, label);
    sgn_mc_emit_args(run, n, wrong, label, arguments);
    va_end(arguments);
}

/* ---- rounds -----------------------------------------------------------------------------------
 * */

static uint32_t votes_of(const struct state *n, uint32_t b, bool accepts)
{
    uint32_t mask = 0;
    for (uint32_t r = 0; r < SEATS; r++) {
        mask |= sgn_fm_has(accepts ? n->seats[r].accepts : n->seats[r].promises, b) ? 1u << r : 0;
    }
    return mask;
}

static const char *decide(struct state *n, uint32_t b)
{
    struct round *round = &n->rounds[b];
    const char *wrong = NULL;
    if (round->best == 0 && n->exposed != 0 && MUTANT(X_STAMP)) {
        wrong = "ops_floor lost: a request could have its effect twice";
    }
    round->phase = ACCEPTING;
    round->best = 0;
    if (!sgn_fm_has(sgn_fm_config->deletes, b) || !sgn_fm_is_dead(round->lineage)) {
        round->lineage = (uint16_t)(round->lineage | b << (3 * sgn_fm_rev_of(round->lineage)));
    }
    for (uint32_t q = 0; q < SEATS; q++) {
        n->seats[q].promises = (uint8_t)(n->seats[q].promises & ~(1u << b));
    }
    return wrong;
}

/* Who has adopted a floor has promised it. */
static uint8_t promised_at(const struct seat *seat)
{
    uint8_t floor = MUTANT(X_CLOCK) ? 0 : sgn_fm_maps[seat->map].floor;
    return seat->promised > floor ? seat->promised : floor;
}

void sgn_fm_promise(const struct state *s, struct sgn_mc_run *run, uint32_t b)
{
    for (uint32_t r = 0; r < SEATS; r++) {
        const struct seat *seat = &s->seats[r];
        bool first = s->rounds[b].phase == NEW;
        if (promised_at(seat) >= b || sgn_fm_ballot_at(s, r) >= b || !sgn_fm_is_member(s, r) ||
            (!first && s->rounds[b].epoch != sgn_fm_epoch_of(seat))) {
            continue;
        }
        struct state n = *s;
        struct round *round = &n.rounds[b];
        const char *wrong = NULL;
        if (first) {
            round->phase = PREPARING;
            round->floor = sgn_fm_rev_of(s->exposed);
            round->epoch = sgn_fm_epoch_of(seat);
        }
        n.seats[r].promised = (uint8_t)b;
        n.seats[r].promises = (uint8_t)(seat->promises | 1u << b);
        uint8_t ballot = sgn_fm_ballot_at(s, r);
        uint16_t lineage = sgn_fm_lineage_at(s, r);
        if (ballot > round->best ||
            (ballot == round->best && sgn_fm_rev_of(lineage) > sgn_fm_rev_of(round->lineage))) {
            round->best = ballot;
            round->lineage = lineage;
        }
        if (sgn_fm_quorum(round->epoch, votes_of(&n, b, false))) {
            wrong = decide(&n, b);
        }
        sgn_fm_emit(run,
                    &n,
                    wrong,
                    "b%u: promise by %c, which holds %s%u",
                    b,
                    'A' + r,
                    seat->slot != 0 ? "b" : "nothing, floor ",
                    ballot);
    }
}

static const char *maybe_expose(struct state *n, uint32_t b)
{
    struct round *round = &n->rounds[b];
    if (round->phase != ACCEPTING || round->marked == 0 ||
        !sgn_fm_quorum(round->epoch, votes_of(n, b, true))) {
        return NULL;
    }
    const char *wrong = sgn_fm_expose(n, round->lineage, round->floor);
    round->phase = EXPOSED;
    round->floor = 0;
    round->marked = 0;
    for (uint32_t q = 0; q < SEATS; q++) {
        n->seats[q].accepts = (uint8_t)(n->seats[q].accepts & ~(1u << b));
    }
    return wrong;
}

void sgn_fm_make_dirty(struct seat *to)
{
    to->oldest = to->dirty != 0 ? to->oldest : to->slot;
    to->dirty = 1;
}

void sgn_fm_make_clean(struct seat *to)
{
    to->dirty = 0;
    to->oldest = 0;
}

void sgn_fm_accept(const struct state *s, struct sgn_mc_run *run, uint32_t b)
{
    const struct round *round = &s->rounds[b];
    for (uint32_t r = 0; r < SEATS; r++) {
        const struct seat *seat = &s->seats[r];
        if (promised_at(seat) > b || seat->slot == b || sgn_fm_ballot_at(s, r) > b ||
            !sgn_fm_is_member(s, r) || sgn_fm_epoch_of(seat) != round->epoch) {
            continue;
        }
        struct state n = *s;
        struct seat *to = &n.seats[r];
        to->promised = (uint8_t)b;
        to->slot = (uint8_t)b;
        to->committed = 0;
        sgn_fm_make_dirty(to);
        to->ghost = 0;
        if (round->phase == ACCEPTING) {
            to->accepts = (uint8_t)(seat->accepts | 1u << b);
        }
        const char *wrong = maybe_expose(&n, b);
        sgn_fm_emit(run, &n, wrong, "b%u: accepted by %c", b, 'A' + r);
    }
    if (round->phase == ACCEPTING && round->marked == 0 && s->witness_epoch == round->epoch) {
        struct state n = *s;
        n.rounds[b].marked = 1;
        n.mark = s->mark > b ? s->mark : (uint8_t)b;
        const char *wrong = maybe_expose(&n, b);
        sgn_fm_emit(run, &n, wrong, "b%u: marked", b);
    }
}

static void store_committed(struct seat *to, uint32_t b)
{
    to->slot = (uint8_t)b;
    to->committed = 1;
    sgn_fm_make_dirty(to);
    to->ghost = 0;
    to->promised = to->promised > b ? to->promised : (uint8_t)b;
}

/* 9: repair moves committed records upward only, at any time, of any epoch. Where absent is not the
 * floor, nothing from below it is taken: that came late. */
void sgn_fm_commit(const struct state *s, struct sgn_mc_run *run, uint32_t b)
{
    for (uint32_t r = 0; r < SEATS; r++) {
        const struct seat *seat = &s->seats[r];
        bool same = seat->slot == b && seat->committed == 0;
        bool late =
            !sgn_fm_is_in_sync(s, r) && b <= sgn_fm_maps[seat->map].floor && !MUTANT(X_LATE);
        if (!same && (sgn_fm_ballot_at(s, r) >= b || late)) {
            continue;
        }
        struct state n = *s;
        store_committed(&n.seats[r], b);
        sgn_fm_emit(run, &n, NULL, "b%u: commit at %c", b, 'A' + r);
    }
}

/* Every in_sync and catching_up seat of the epoch has shown b or a later one in it. */
static bool may_settle(const struct state *s, uint32_t b, uint32_t epoch)
{
    const struct map *map = sgn_fm_map_in(epoch);
    for (uint32_t r = 0; r < SEATS; r++) {
        if (sgn_fm_has(map->in_sync | map->catching, r) && s->seats[r].top[epoch] < b) {
            return false;
        }
    }
    return true;
}

void sgn_fm_settle(const struct state *s, struct sgn_mc_run *run, uint32_t b)
{
    if (s->mark != 0 && s->mark <= b && may_settle(s, b, s->witness_epoch)) {
        struct state n = *s;
        n.mark = 0;
        sgn_fm_emit(run, &n, NULL, "b%u: settled at the witness", b);
    }
    for (uint32_t r = 0; r < SEATS; r++) {
        const struct seat *seat = &s->seats[r];
        if (seat->dirty != 0 && seat->committed != 0 && seat->slot <= b &&
            may_settle(s, b, sgn_fm_epoch_of(seat))) {
            struct state n = *s;
            sgn_fm_make_clean(&n.seats[r]);
            sgn_fm_emit(run, &n, NULL, "b%u: settled at %c", b, 'A' + r);
        } else if (seat->dirty != 0 && seat->oldest < b && seat->slot > b &&
                   may_settle(s, b, sgn_fm_epoch_of(seat))) {
            struct state n = *s;
            n.seats[r].oldest = (uint8_t)b; /* Or later. */
            sgn_fm_emit(run, &n, NULL, "b%u: settled at %c, below what it holds", b, 'A' + r);
        }
    }
}
