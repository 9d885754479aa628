/* tests/model/floor_map_steps.c - the floor-map model: raising the floor, maps, readers. */
#include <string.h>

#include "tests/model/floor_map.h"

/* ---- the floor --------------------------------------------------------------------------------
 * */

static bool next_is_floor(const struct state *s)
{
    uint32_t next = s->chosen + 1u;
    return next < sgn_fm_map_count && sgn_fm_epochs[next] == sgn_fm_epochs[s->chosen];
}

static bool all_flags(const struct state *s, bool verified)
{
    for (uint32_t r = 0; r < SEATS; r++) {
        uint8_t flag = verified ? s->seats[r].verified : s->seats[r].pledged;
        if (sgn_fm_has(sgn_fm_maps[s->chosen].set, r) && flag == 0) {
            return false;
        }
    }
    return true;
}

/* The one slot may hide a record from below F that is not settled. It is not enough that what it
 * holds lies above F (M17e), nor that this is committed too (M17f). */
static bool is_clean(const struct seat *seat, uint8_t goal)
{
    bool above = MUTANT(417) ? seat->slot > goal : seat->oldest > goal;
    if (MUTANT(517)) {
        above = seat->slot > goal && seat->committed != 0;
    }
    return seat->dirty == 0 || above;
}

void sgn_fm_floor_steps(const struct state *s, struct sgn_mc_run *run)
{
    uint8_t goal = next_is_floor(s) ? sgn_fm_maps[s->chosen + 1u].floor : 0;
    bool promised = MUTANT(117) || all_flags(s, false);
    for (uint32_t r = 0; goal != 0 && r < SEATS; r++) {
        const struct seat *seat = &s->seats[r];
        if (sgn_fm_epoch_of(seat) != sgn_fm_epochs[s->chosen] || !sgn_fm_is_member(s, r)) {
            continue;
        }
        struct state n = *s;
        if (seat->pledged == 0 && !MUTANT(117)) {
            n.seats[r].pledged = 1;
            n.seats[r].promised = seat->promised > goal ? seat->promised : goal;
            sgn_fm_emit(run, &n, NULL, "%c promises %u for every key", 'A' + r, goal);
            n = *s;
        }
        if ((promised || MUTANT(317)) && seat->verified == 0 && is_clean(seat, goal)) {
            n.seats[r].verified = 1;
            sgn_fm_emit(run, &n, NULL, "%c verifies", 'A' + r);
        }
    }
}

/* Settled here, and at or below the floor of the map adopted. */
void sgn_fm_drop(const struct state *s, struct sgn_mc_run *run, uint32_t r)
{
    const struct seat *seat = &s->seats[r];
    if (seat->slot == 0 || seat->committed == 0 || (seat->dirty != 0 && !MUTANT(X_DIRTY)) ||
        !sgn_fm_is_in_sync(s, r) || seat->slot > sgn_fm_maps[seat->map].floor ||
        !sgn_fm_is_dead(s->rounds[seat->slot].lineage)) {
        return;
    }
    struct state n = *s;
    n.seats[r].ghost = s->rounds[seat->slot].lineage;
    n.seats[r].slot = 0;
    n.seats[r].committed = 0;
    sgn_fm_make_clean(&n.seats[r]);
    sgn_fm_emit(run, &n, NULL, "%c drops its tombstone b%u", 'A' + r, seat->slot);
}

/* ---- maps -------------------------------------------------------------------------------------
 * */

void sgn_fm_choose(const struct state *s, struct sgn_mc_run *run)
{
    uint32_t next = s->chosen + 1u;
    bool may = next < sgn_fm_map_count;
    if (may && next_is_floor(s)) {
        may = MUTANT(217) ? MUTANT(117) || all_flags(s, false) : all_flags(s, true);
        may = may || MUTANT(17);
    }
    for (uint32_t r = 0; may && !next_is_floor(s) && r < SEATS; r++) {
        bool comes_in = sgn_fm_has(sgn_fm_maps[s->chosen].catching, r) &&
                        sgn_fm_has(sgn_fm_maps[next].in_sync, r);
        may = !comes_in || (s->seats[r].caught != 0 &&
                            sgn_fm_epoch_of(&s->seats[r]) == sgn_fm_epochs[s->chosen]);
    }
    if (!may) {
        return;
    }
    struct state n = *s;
    n.chosen = (uint8_t)next;
    for (uint32_t r = 0; r < SEATS; r++) {
        n.seats[r].pledged = 0;
        n.seats[r].verified = 0;
    }
    sgn_fm_emit(run,
                &n,
                NULL,
                "map %u is chosen: epoch %u, floor %u",
                next,
                sgn_fm_epochs[next],
                sgn_fm_maps[next].floor);
}

void sgn_fm_adopt(const struct state *s, struct sgn_mc_run *run)
{
    for (uint32_t r = 0; r < SEATS; r++) {
        for (uint32_t m = s->seats[r].map + 1u; m <= s->chosen; m++) {
            struct state n = *s;
            struct seat *to = &n.seats[r];
            if (sgn_fm_epochs[m] != sgn_fm_epoch_of(to)) {
                to->seeded = 0;
                to->voted = 0;
                to->told = 0;
                to->swept = 0;
                to->caught = 0;
                to->fast = 0;
                to->fast_mark = 0;
                for (uint32_t q = 0; q < SEATS; q++) {
                    n.seats[q].told = (uint8_t)(n.seats[q].told & ~(1u << r));
                }
            }
            to->map = (uint8_t)m;
            sgn_fm_emit(run, &n, NULL, "%c adopts map %u", 'A' + r, m);
        }
    }
    for (uint32_t e = s->witness_epoch + 1u; e <= sgn_fm_epochs[s->chosen]; e++) {
        struct state n = *s;
        n.witness_epoch = (uint8_t)e;
        n.mark = 0;
        for (uint32_t r = 0; r < SEATS; r++) {
            n.seats[r].seeded = 0;
        }
        sgn_fm_emit(run, &n, NULL, "the witness enters epoch %u", e);
    }
    for (uint32_t r = 0; r < SEATS; r++) {
        const struct seat *seat = &s->seats[r];
        if (s->witness_epoch != 0 && sgn_fm_epoch_of(seat) == s->witness_epoch &&
            sgn_fm_is_member(s, r) && seat->seeded == 0) {
            struct state n = *s;
            n.seats[r].seeded = 1;
            if (seat->dirty != 0 && seat->slot > s->mark) {
                n.mark = seat->slot;
            }
            sgn_fm_emit(run, &n, NULL, "%c seeds the witness", 'A' + r);
        }
    }
}

/* 6.1, 6.2: one key of one source; a pending is copied as such, a settled record as settled. */
static void copy(struct state *n, uint32_t r, uint32_t q)
{
    struct seat *to = &n->seats[r];
    const struct seat *from = &n->seats[q];
    n->seats[q].told = (uint8_t)(from->told | 1u << r);
    if (from->slot > sgn_fm_ballot_at(n, r)) {
        to->slot = from->slot;
        to->committed = from->committed;
        if (from->dirty != 0) {
            sgn_fm_make_dirty(to);
        }
        to->ghost = 0;
        to->promised = to->promised > to->slot ? to->promised : to->slot;
    } else if (from->slot == to->slot && from->slot != 0) {
        if (from->dirty != 0) {
            sgn_fm_make_dirty(to);
        }
        to->committed = (uint8_t)(to->committed | from->committed);
    } else if (to->slot == 0 && from->slot == 0 &&
               sgn_fm_rev_of(from->ghost) > sgn_fm_rev_of(to->ghost)) {
        to->ghost = from->ghost;
    }
}

void sgn_fm_catch_up(const struct state *s, struct sgn_mc_run *run, uint32_t r)
{
    const struct seat *seat = &s->seats[r];
    const struct map *map = &sgn_fm_maps[seat->map];
    if (!sgn_fm_has(map->catching, r) || seat->caught != 0) {
        return;
    }
    struct state n = *s;
    bool newcomer = !sgn_fm_has(map->set, r);
    if (newcomer && seat->swept == 0 && !MUTANT(X_KEEPS)) {
        n.seats[r].swept = 1;
        if (seat->slot != 0 && seat->slot <= map->floor) {
            n.seats[r].slot = 0;
            n.seats[r].committed = 0;
            sgn_fm_make_clean(&n.seats[r]);
            n.seats[r].ghost = 0;
        }
        sgn_fm_emit(run, &n, NULL, "%c drops what it held at or below %u", 'A' + r, map->floor);
        return;
    }
    uint32_t heard = 1u << r;
    for (uint32_t q = 0; q < SEATS; q++) {
        heard |= sgn_fm_has(s->seats[q].told, r) ? 1u << q : 0;
    }
    if (sgn_fm_majority(map->set, heard)) {
        if (seat->dirty == 0 || seat->committed != 0) { /* Else it is resolved first. */
            n.seats[r].caught = 1;
            for (uint32_t q = 0; q < SEATS; q++) {
                n.seats[q].told = (uint8_t)(n.seats[q].told & ~(1u << r));
            }
            sgn_fm_emit(run, &n, NULL, "%c has caught up", 'A' + r);
        }
        return;
    }
    for (uint32_t q = 0; q < SEATS; q++) {
        if (sgn_fm_has(map->set, q) && !sgn_fm_has(heard, q) &&
            sgn_fm_epoch_of(&s->seats[q]) == sgn_fm_epoch_of(seat)) {
            n = *s;
            copy(&n, r, q);
            sgn_fm_emit(run, &n, NULL, "%c reads %c", 'A' + r, 'A' + q);
        }
    }
}

/* A newcomer starts again in the map that it has on its disk; the next may be chosen by then. */
void sgn_fm_catch_up_anew(const struct state *s, struct sgn_mc_run *run, uint32_t r)
{
    const struct map *map = &sgn_fm_maps[s->seats[r].map];
    if (!sgn_fm_has(map->catching, r) || sgn_fm_has(map->set, r) || s->seats[r].swept == 0) {
        return;
    }
    struct state n = *s;
    struct seat *to = &n.seats[r];
    to->caught = 0;
    to->swept = MUTANT(X_FORGETS) ? 0 : 1;
    for (uint32_t q = 0; q < SEATS; q++) {
        n.seats[q].told = (uint8_t)(n.seats[q].told & ~(1u << r));
    }
    if (to->dirty != 0) {
        to->committed = 0;
        to->oldest = 0;
    }
    sgn_fm_emit(run, &n, NULL, "%c starts again", 'A' + r);
}

/* ---- readers ----------------------------------------------------------------------------------
 * */

/* 5.3; only a committed record is served. */
void sgn_fm_read_slow(const struct state *s, struct sgn_mc_run *run)
{
    for (uint32_t r = 0; r < SEATS; r++) {
        const struct seat *seat = &s->seats[r];
        bool later = s->reader.active != 0;
        if (seat->voted != 0 || !sgn_fm_is_member(s, r) ||
            (later && s->reader.epoch != sgn_fm_epoch_of(seat))) {
            continue;
        }
        struct state n = *s;
        const char *wrong = NULL;
        uint8_t ballot = sgn_fm_ballot_at(s, r);
        uint16_t lineage = sgn_fm_lineage_at(s, r);
        if (!later) {
            n.reader.active = 1;
            n.reader.epoch = sgn_fm_epoch_of(seat);
            n.reader.floor = sgn_fm_rev_of(s->exposed);
        }
        if (!later || ballot > n.reader.best) {
            n.reader.known = sgn_fm_known_at(seat) ? 1 : 0;
            n.reader.best = ballot;
            n.reader.lineage = lineage;
        } else if (ballot == n.reader.best) {
            n.reader.known = n.reader.known != 0 || sgn_fm_known_at(seat) ? 1 : 0;
            if (sgn_fm_rev_of(lineage) > sgn_fm_rev_of(n.reader.lineage)) {
                n.reader.lineage = lineage;
            }
        }
        n.seats[r].voted = 1;
        uint32_t voted = 0;
        for (uint32_t q = 0; q < SEATS; q++) {
            voted |= n.seats[q].voted != 0 ? 1u << q : 0;
        }
        bool ends = sgn_fm_quorum(n.reader.epoch, voted);
        if (ends) {
            wrong =
                n.reader.known != 0 ? sgn_fm_expose(&n, n.reader.lineage, n.reader.floor) : NULL;
        }
        if (ends) {
            memset(&n.reader, 0, sizeof n.reader);
            for (uint32_t q = 0; q < SEATS; q++) {
                n.seats[q].voted = 0;
            }
        }
        sgn_fm_emit(run,
                    &n,
                    wrong,
                    "slow read: %c holds %u%s",
                    'A' + r,
                    ballot,
                    ends ? ", and it ends" : "");
    }
    if (s->reader.active != 0) { /* It is given up: its epoch may have ended. */
        struct state n = *s;
        memset(&n.reader, 0, sizeof n.reader);
        for (uint32_t q = 0; q < SEATS; q++) {
            n.seats[q].voted = 0;
        }
        sgn_fm_emit(run, &n, NULL, "slow read: given up");
    }
}

/* 5.2: CHECK, then the look at what is held, in the same epoch. */
void sgn_fm_read_fast(const struct state *s, struct sgn_mc_run *run, uint32_t r)
{
    const struct seat *seat = &s->seats[r];
    struct state n = *s;
    uint32_t seeded = 0;
    for (uint32_t q = 0; q < SEATS; q++) {
        seeded |= s->seats[q].seeded != 0 ? 1u << q : 0;
    }
    uint32_t others = 0;
    for (uint32_t q = 0; q < SEATS; q++) {
        others += q != r && s->seats[q].fast != 0;
    }
    if (!sgn_fm_is_in_sync(s, r) || others != 0) {
        return;
    }
    if (seat->fast == 0) {
        bool active = s->witness_epoch == 0 || sgn_fm_quorum(s->witness_epoch, seeded);
        if (active && s->witness_epoch == sgn_fm_epoch_of(seat)) {
            n.seats[r].fast = (uint8_t)(1 + sgn_fm_rev_of(s->exposed));
            n.seats[r].fast_mark = s->mark;
            sgn_fm_emit(run, &n, NULL, "fast read at %c: the mark is %u", 'A' + r, s->mark);
        }
        return;
    }
    const char *wrong = NULL;
    bool serves = sgn_fm_ballot_at(s, r) >= seat->fast_mark && sgn_fm_known_at(seat);
    n.seats[r].fast = 0;
    n.seats[r].fast_mark = 0;
    if (serves) {
        wrong = sgn_fm_expose(&n, sgn_fm_lineage_at(s, r), (uint8_t)(seat->fast - 1));
    }
    sgn_fm_emit(run,
                &n,
                wrong,
                "fast read at %c: it holds %u%s",
                'A' + r,
                sgn_fm_ballot_at(s, r),
                serves ? ", served" : ", not served");
}
