/* tests/model/ring_place.c - replicas and witnesses: epochs, catch-up, restarts, seeding, settling
 * (3.1.7, 3.4, 3.6, 4.1, 4.2, 6, 6.1). */
#include "tests/model/ring_model.h"

/* 6: a replica may learn of any epoch there is at any time, and skip some. */
static void adopt_steps(struct ring_step *step, uint32_t r)
{
    const struct ring_state *s = step->s;
    const struct ring_rep *rep = &s->reps[r];
    for (uint32_t e = rep->epoch + 1u; e <= s->ring; e++) {
        struct ring_state n = *s;
        struct ring_rep *to = &n.reps[r];
        to->confirmed[to->epoch] = ballot_of(to->slot);
        to->epoch = (uint8_t)e;
        drop(&to->flags, REP_SYNCED);
        to->pushed = 0;
        to->heard = 0;
        to->need = 0;
        to->carried = 0;
        ring_emit(step, &n, "%c enters epoch %u", 'A' + r, e);
    }
}

static void synced(struct ring_rep *to)
{
    if (to->carried != 0 && to->slot == to->need) {
        add(&to->flags, REP_UNSETTLED);
    }
    if (MUTANT(34) && (to->flags & REP_COMMITTED) != 0) {
        drop(&to->flags, REP_UNSETTLED);
    }
    add(&to->flags, REP_SYNCED);
    to->heard = 0;
    to->need = 0;
    to->carried = 0;
}

/* 6.1. Reports of peers inside the epoch or a later one; a majority of the set (joint: of the old
 * set), itself counted as its disk is intact. What is found pending there must be exposed first. */
static void catch_up_steps(struct ring_step *step, uint32_t r)
{
    const struct ring_state *s = step->s;
    const struct ring_rep *rep = &s->reps[r];
    const struct ring_epoch *e = epoch_of(rep->epoch);
    uint8_t base = e->old != 0 ? e->old : e->set;
    if (!has(e->catching, r) || (rep->flags & REP_SYNCED) != 0) {
        return;
    }
    uint32_t votes = rep->heard | bit(r);
    bool enough = (e->old != 0 ? ring_old_quorum(e, votes) : majority(votes, base)) ||
                  (MUTANT(16) && rep->heard != 0);
    for (uint32_t p = 0; p < ring_config->reps && !enough; p++) {
        const struct ring_rep *peer = &s->reps[p];
        if (p == r || !has(base, p) || has(rep->heard, p) || (peer->flags & REP_GONE) != 0 ||
            (peer->epoch < rep->epoch && !MUTANT(25))) {
            continue;
        }
        struct ring_state n = *s;
        add(&n.reps[r].heard, bit(p));
        bool unsettled = (peer->flags & REP_UNSETTLED) != 0;
        if (ballot_of(peer->slot) > ballot_of(rep->need)) {
            n.reps[r].need = peer->slot;
            n.reps[r].carried = unsettled ? 1 : 0;
        } else if (peer->slot == rep->need && unsettled) {
            n.reps[r].carried = 1;
        }
        ring_emit(step, &n, "%c catches up from %c (b%u)", 'A' + r, 'A' + p, peer->slot);
    }
    if (!enough) {
        return;
    }
    struct ring_state n = *s;
    struct ring_rep *to = &n.reps[r];
    if (ballot_of(to->slot) < ballot_of(to->need)) {
        bool take = (ring_config->options & RING_TAKE) != 0;
        if (s->rounds[to->need].phase != ROUND_EXPOSED && !take) {
            return;
        }
        /* The copy is as unsettled as its sources and its own entry were. */
        to->slot = to->need;
        drop(&to->flags, REP_COMMITTED);
        add(&to->flags, take ? REP_UNSETTLED : REP_COMMITTED);
        if (to->promised < ballot_of(to->slot) && !MUTANT(27)) {
            to->promised = ballot_of(to->slot);
        }
    }
    synced(to);
    ring_emit(step, &n, "%c has caught up in epoch %u", 'A' + r, rep->epoch);
}

/* What is in memory only is lost: that the record is committed, unless it is settled too and stands
 * below the durable watermark; the ceiling (3.4) keeps promises; catching up starts again. */
static void restart_steps(struct ring_step *step, uint32_t r)
{
    const struct ring_state *s = step->s;
    const struct ring_rep *rep = &s->reps[r];
    struct ring_state n = *s;
    struct ring_rep *to = &n.reps[r];
    drop(&to->flags, REP_COMMITTED);
    if (to->slot != 0) {
        add(&to->flags, REP_UNSETTLED);
    }
    to->heard = 0;
    to->need = 0;
    to->carried = 0;
    if (MUTANT(24) && (rep->flags & REP_COMMITTED) != 0) {
        to->shadow = 0; /* It comes back believing in what was committed before. */
    }
    if (MUTANT(8)) {
        to->promised = ballot_of(to->slot);
    }
    if (MUTANT(9) && has(rep->shadow, 3)) { /* Nothing of what it acknowledged was durable. */
        to->slot = to->shadow & 7u;
        to->shadow = 0;
        if (to->slot == 0) {
            drop(&to->flags, REP_UNSETTLED);
        }
    }
    if (MUTANT(23) && to->epoch > 0) {
        to->epoch--;
    }
    ring_emit(step, &n, "%c restarts", 'A' + r);
}

/* 3.1.7: everyone whom epoch e lists as in_sync or catching_up holds the record of the ballot, or a
 * later one, durably and said so from inside e. Committed or not: a pending keeps its replica from
 * the fast path. Anybody may find that out and send settles of e. */
static bool settled(const struct ring_state *s, uint32_t e, uint8_t ballot)
{
    uint8_t settlers = (uint8_t)(epoch_of(e)->in_sync | epoch_of(e)->catching);
    uint32_t confirms = 0;
    for (uint32_t r = 0; r < ring_config->reps; r++) {
        const struct ring_rep *rep = &s->reps[r];
        uint8_t held = rep->epoch == e ? ballot_of(rep->slot) : 0;
        held = rep->epoch > e ? rep->confirmed[e] : held;
        confirms |= held >= ballot ? bit(r) : 0u;
    }
    if (MUTANT(2)) {
        return ring_quorum(e, confirms);
    }
    return (settlers & ~confirms) == 0;
}

/* SETTLED at a replica. */
static void settled_steps(struct ring_step *step, uint32_t r)
{
    const struct ring_state *s = step->s;
    const struct ring_rep *rep = &s->reps[r];
    bool known = (rep->flags & REP_COMMITTED) != 0;
    if (!known || (rep->flags & REP_UNSETTLED) == 0) {
        return;
    }
    for (uint32_t b = 1; b <= ring_config->rounds; b++) {
        uint32_t e = MUTANT(33) ? 0u : rep->epoch;
        bool done = false;
        for (; e <= rep->epoch; e++) {
            done = done || settled(s, e, ballot_of(b));
        }
        if (s->rounds[b].phase != ROUND_EXPOSED || ballot_of(rep->slot) > ballot_of(b) || !done) {
            continue;
        }
        struct ring_state n = *s;
        drop(&n.reps[r].flags, REP_UNSETTLED);
        ring_emit(step, &n, "b%u settled at %c", b, 'A' + r);
        return;
    }
}

/* 2: the disk is emptied, and nobody goes on in that place: who comes with the new one is another
 * replica of the configuration. What was sent before may still arrive. It counts as beyond every
 * epoch. Mutant 38: the node goes on where it was. */
static void loss_steps(struct ring_step *step, uint32_t r)
{
    const struct ring_state *s = step->s;
    struct ring_state n = *s;
    struct ring_rep *to = &n.reps[r];
    if (!has(ring_config->losses, r) || (to->flags & REP_GONE) != 0) {
        return;
    }
    to->confirmed[to->epoch] = ballot_of(to->slot);
    to->epoch = MUTANT(38) ? to->epoch : (uint8_t)(ring_config->epochs - 1u);
    to->flags = REP_GONE;
    to->slot = to->promised = to->heard = to->need = to->carried = to->shadow = to->pushed = 0;
    ring_emit(step, &n, "the disk of %c is emptied", 'A' + r);
}

static uint8_t unsettled_mark(const struct ring_rep *rep)
{
    return (rep->flags & REP_UNSETTLED) != 0 ? ballot_of(rep->slot) : 0;
}

void ring_rep_steps(struct ring_step *step, uint32_t r)
{
    const struct ring_state *s = step->s;
    const struct ring_rep *rep = &s->reps[r];
    adopt_steps(step, r);
    catch_up_steps(step, r);
    settled_steps(step, r);
    loss_steps(step, r);
    if ((ring_config->options & RING_RESTARTS) != 0) {
        restart_steps(step, r);
    }
    if ((ring_config->options & RING_PUSH) != 0 && rep->epoch > 0) {
        struct ring_state n = *s;
        n.reps[r].pushed = (uint8_t)(unsettled_mark(rep) + 1u);
        ring_emit(step, &n, "%c sends its unsettled set in epoch %u", 'A' + r, rep->epoch);
    }
    if (MUTANT(32) && rep->slot != 0) {
        struct ring_state n = *s;
        n.reps[r].slot = 0;
        n.reps[r].flags = 0;
        ring_emit(step, &n, "%c finds its record corrupt, and takes it as absent", 'A' + r);
    }
}

/* ---- witnesses ---------------------------------------------------------------------------------
 * */

static void wit_adopt_steps(struct ring_step *step, uint32_t w)
{
    const struct ring_state *s = step->s;
    for (uint32_t e = s->wits[w].epoch + 1u; e <= s->ring; e++) {
        struct ring_state n = *s;
        struct ring_wit *wit = &n.wits[w];
        wit->epoch = (uint8_t)e;
        wit->seeders = 0;
        drop(&wit->flags, WIT_OVERFLOWED);
        if (!MUTANT(31)) {
            wit->mark = 0;
            drop(&wit->flags, WIT_ACTIVE);
        }
        ring_emit(step, &n, "W%u enters epoch %u", w, e);
    }
}

/* 4.1: a replica pushes its unsettled set; one for which nothing is unsettled pushes an empty
 * one. */
static void seed_steps(struct ring_step *step, uint32_t w)
{
    const struct ring_state *s = step->s;
    const struct ring_wit *wit = &s->wits[w];
    const struct ring_epoch *e = epoch_of(wit->epoch);
    if (!has(e->group, w) || wit->epoch > s->ring ||
        (wit->flags & (WIT_ACTIVE | WIT_OVERFLOWED)) != 0) {
        return;
    }
    for (uint32_t r = 0; r < ring_config->reps; r++) {
        const struct ring_rep *rep = &s->reps[r];
        bool inside = rep->epoch == wit->epoch || (MUTANT(25) && rep->epoch < wit->epoch);
        bool sent = rep->pushed != 0 || (ring_config->options & RING_PUSH) == 0;
        if (!has(seats_of(wit->epoch), r) || !inside || has(wit->seeders, r) || !sent) {
            continue;
        }
        struct ring_state n = *s;
        struct ring_wit *to = &n.wits[w];
        uint8_t mark = rep->pushed != 0 ? (uint8_t)(rep->pushed - 1u) : unsettled_mark(rep);
        if (to->mark < mark) {
            to->mark = mark;
        }
        add(&to->seeders, bit(r));
        bool enough = ring_quorum(wit->epoch, to->seeders);
        enough = enough || (MUTANT(13) && count_of(to->seeders) >= count_of(e->set) / 2);
        enough = enough || (MUTANT(35) && majority(to->seeders, e->set));
        if (enough) {
            add(&to->flags, WIT_ACTIVE);
            to->seeders = 0;
        }
        ring_emit(step, &n, "W%u seeded by %c in epoch %u", w, 'A' + r, rep->epoch);
    }
}

void ring_wit_steps(struct ring_step *step, uint32_t w)
{
    const struct ring_state *s = step->s;
    const struct ring_wit *wit = &s->wits[w];
    if ((wit->flags & WIT_DEAD) != 0) {
        return;
    }
    wit_adopt_steps(step, w);
    seed_steps(step, w);
    if (has(ring_config->crashes, w)) {
        struct ring_state n = *s;
        n.wits[w].mark = 0;
        n.wits[w].seeders = 0;
        n.wits[w].flags = MUTANT(10) ? WIT_ACTIVE : WIT_DEAD;
        ring_emit(step, &n, "W%u crashes", w);
    }
    if (has(ring_config->overflows, w) && (wit->flags & WIT_OVERFLOWED) == 0) {
        struct ring_state n = *s;
        n.wits[w].mark = 0;
        n.wits[w].seeders = 0;
        n.wits[w].flags = MUTANT(131) ? 0 : WIT_OVERFLOWED;
        ring_emit(step, &n, "W%u reaches its limit", w);
    }
    for (uint32_t b = 1; b <= ring_config->rounds && wit->mark != 0; b++) {
        bool done = wit->epoch <= s->ring && settled(s, wit->epoch, ballot_of(b));
        for (uint32_t e = 0; MUTANT(133) && e < wit->epoch; e++) {
            done = done || settled(s, e, ballot_of(b));
        }
        if (s->rounds[b].phase == ROUND_EXPOSED && wit->mark <= ballot_of(b) && done) {
            struct ring_state n = *s;
            n.wits[w].mark = 0;
            ring_emit(step, &n, "b%u settled at W%u in epoch %u", b, w, wit->epoch);
            break;
        }
    }
}
