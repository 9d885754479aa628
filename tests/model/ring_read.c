/* tests/model/ring_read.c - strong reads: the fast path (5.2) and the slow one (5.3). A reader that
 * has answered is idle and may read again: there is no bound on the number of reads, only on how
 * many run at once. A read begins with its first step, which makes its floor the highest. */
#include "tests/model/ring_model.h"

static uint32_t answers(const struct ring_state *s, uint32_t i)
{
    uint32_t witnesses = 0;
    for (uint32_t w = 0; w < ring_config->wits; w++) {
        witnesses |= has(s->wits[w].checked, i) ? bit(w) : 0u;
    }
    return witnesses;
}

static void finish(struct ring_step *step, struct ring_state *n, uint32_t i, uint32_t round)
{
    ring_expose_lineage(step, n, n->rounds[round].lineage, n->readers[i].floor);
    n->readers[i] = (struct ring_reader){0};
}

/* A CHECK at one witness, sent by the replica that is asked for a fast read; the first one begins
 * the read. */
static void check_steps(struct ring_step *step, uint32_t i, uint32_t home)
{
    const struct ring_state *s = step->s;
    struct ring_reader reader = s->readers[i];
    if (reader.phase == READER_IDLE) {
        reader = (struct ring_reader){.phase = READER_FAST,
                                      .epoch = s->reps[home].epoch,
                                      .home = (uint8_t)home,
                                      .floor = rev_of(s->exposed)};
    }
    const struct ring_epoch *e = epoch_of(reader.epoch);
    if (count_of(answers(s, i)) >= e->f + 1u) {
        return;
    }
    for (uint32_t w = 0; w < ring_config->wits; w++) {
        const struct ring_wit *wit = &s->wits[w];
        bool epoch_right = wit->epoch == reader.epoch || MUTANT(11);
        if (!has(e->group, w) || !epoch_right || (wit->flags & WIT_ACTIVE) == 0 ||
            has(wit->checked, i)) {
            continue;
        }
        struct ring_state n = *s;
        n.readers[i] = reader;
        add(&n.wits[w].checked, bit(i));
        if (wit->mark > reader.best) {
            n.readers[i].best = wit->mark;
        }
        ring_emit(step, &n, "read %u at %c: W%u answers mark %u", i, 'A' + home, w, wit->mark);
    }
}

/* 5.2.3. In this variant a replica with a pending refuses. */
static void serve_steps(struct ring_step *step, uint32_t i)
{
    const struct ring_state *s = step->s;
    const struct ring_reader *reader = &s->readers[i];
    const struct ring_epoch *e = epoch_of(reader->epoch);
    const struct ring_rep *home = &s->reps[reader->home];
    if (count_of(answers(s, i)) < e->f + 1u) {
        return;
    }
    bool known = home->slot == 0 || (home->flags & REP_COMMITTED) != 0 || MUTANT(18);
    uint8_t round = MUTANT(3) ? reader->known : home->slot;
    if (MUTANT(24) && !known) {
        round = home->shadow;
        known = true;
    }
    if (!known || ballot_of(round) < reader->best) {
        return;
    }
    struct ring_state n = *s;
    finish(step, &n, i, round);
    ring_emit(step, &n, "read %u: %c serves b%u", i, 'A' + reader->home, round);
}

/* Mutant 3 begins a read by looking at the record. */
static void early_read(struct ring_step *step, uint32_t i, uint32_t r)
{
    const struct ring_state *s = step->s;
    const struct ring_rep *rep = &s->reps[r];
    if (rep->slot == 0 || (rep->flags & REP_COMMITTED) != 0) {
        struct ring_state n = *s;
        n.readers[i] = (struct ring_reader){.phase = READER_FAST,
                                            .epoch = rep->epoch,
                                            .home = (uint8_t)r,
                                            .known = rep->slot,
                                            .floor = rev_of(s->exposed)};
        ring_emit(step, &n, "read %u at %c: looks at b%u", i, 'A' + r, rep->slot);
    }
}

static void fast_begin_steps(struct ring_step *step, uint32_t i)
{
    const struct ring_state *s = step->s;
    for (uint32_t r = 0; r < ring_config->reps; r++) {
        const struct ring_epoch *e = epoch_of(s->reps[r].epoch);
        bool may = has(e->in_sync, r) || (MUTANT(15) && has(e->catching, r));
        if (may && e->group != 0 && MUTANT(3)) {
            early_read(step, i, r);
        } else if (may && e->group != 0) {
            check_steps(step, i, r);
        }
    }
}

/* A replica's digest for a slow read; the first one begins it. */
static void ask_steps(struct ring_step *step, uint32_t i)
{
    const struct ring_state *s = step->s;
    const struct ring_reader *reader = &s->readers[i];
    for (uint32_t r = 0; r < ring_config->reps; r++) {
        const struct ring_rep *rep = &s->reps[r];
        bool fresh = reader->phase == READER_IDLE;
        if (!has(seats_of(rep->epoch), r) || (!fresh && rep->epoch != reader->epoch) ||
            has(rep->voted, i)) {
            continue;
        }
        struct ring_state n = *s;
        struct ring_reader *to = &n.readers[i];
        if (fresh) {
            *to = (struct ring_reader){
                .phase = READER_ASKING, .epoch = rep->epoch, .floor = rev_of(s->exposed)};
        }
        if (ballot_of(rep->slot) > ballot_of(to->best)) {
            to->best = rep->slot;
            to->known = 0;
            for (uint32_t q = 0; q < ring_config->reps; q++) {
                drop(&n.reps[q].held, bit(i));
            }
        }
        add(&n.reps[r].voted, bit(i));
        if (rep->slot == to->best) {
            add(&n.reps[r].held, bit(i));
            if ((rep->flags & REP_COMMITTED) != 0) {
                to->known = 1;
            }
        }
        ring_emit(
            step, &n, "slow read %u: %c holds b%u, epoch %u", i, 'A' + r, rep->slot, rep->epoch);
    }
}

/* 5.3 with enough digests: known committed, or chosen. The round's record may have been accepted in
 * an earlier epoch; a slot does not say in which. */
static void judge_steps(struct ring_step *step, uint32_t i)
{
    const struct ring_state *s = step->s;
    const struct ring_reader *reader = &s->readers[i];
    const struct ring_epoch *e = epoch_of(reader->epoch);
    uint32_t voted = 0;
    uint32_t held = 0;
    for (uint32_t r = 0; r < ring_config->reps; r++) {
        voted |= has(s->reps[r].voted, i) ? bit(r) : 0u;
        held |= has(s->reps[r].held, i) ? bit(r) : 0u;
    }
    bool one = MUTANT(26) && (majority(voted, e->set) || majority(voted, e->old));
    if (!ring_quorum(reader->epoch, voted) && !one) {
        return;
    }
    struct ring_state n = *s;
    if (reader->best == 0 || reader->known != 0) {
        finish(step, &n, i, reader->best);
        ring_emit(step, &n, "slow read %u: serves b%u", i, reader->best);
    } else if (ring_quorum(reader->epoch, held) &&
               ((ring_config->options & RING_COUNT) != 0 || MUTANT(4) || MUTANT(1001))) {
        if (MUTANT(4)) {
            finish(step, &n, i, reader->best);
            ring_emit(step, &n, "slow read %u: serves b%u unmarked", i, reader->best);
            return;
        }
        n.readers[i].phase = READER_MARKING;
        for (uint32_t r = 0; r < ring_config->reps; r++) {
            drop(&n.reps[r].voted, bit(i));
            drop(&n.reps[r].held, bit(i));
        }
        ring_emit(step, &n, "slow read %u: b%u is chosen", i, reader->best);
    }
}

static void marking_steps(struct ring_step *step, uint32_t i)
{
    const struct ring_state *s = step->s;
    const struct ring_reader *reader = &s->readers[i];
    const struct ring_epoch *e = epoch_of(reader->epoch);
    bool enough = e->group == 0 || count_of(answers(s, i)) >= e->f + 1u;
    if (enough && ring_fenced(s, reader->epoch)) {
        struct ring_state n = *s;
        struct ring_round *round = &n.rounds[reader->best];
        round->phase = ROUND_EXPOSED;
        round->floor = 0;
        for (uint32_t r = 0; r < ring_config->reps; r++) {
            drop(&n.reps[r].accepts, bit(reader->best));
        }
        for (uint32_t w = 0; w < ring_config->wits; w++) {
            drop(&n.wits[w].marked, bit(reader->best));
        }
        finish(step, &n, i, reader->best);
        ring_emit(step, &n, "slow read %u: serves b%u, marked", i, reader->best);
    }
    for (uint32_t w = 0; w < ring_config->wits && !enough; w++) {
        const struct ring_wit *wit = &s->wits[w];
        if (!has(e->group, w) || wit->epoch != reader->epoch || has(wit->checked, i) ||
            (wit->flags & WIT_DEAD) != 0) {
            continue;
        }
        struct ring_state n = *s;
        struct ring_wit *to = &n.wits[w];
        if (to->mark < ballot_of(reader->best) && (to->flags & WIT_OVERFLOWED) == 0) {
            to->mark = ballot_of(reader->best);
        }
        add(&to->checked, bit(i));
        ring_emit(step, &n, "slow read %u: marks b%u at W%u", i, reader->best, w);
    }
}

void ring_reader_steps(struct ring_step *step, uint32_t i)
{
    uint8_t phase = step->s->readers[i].phase;
    uint8_t options = ring_config->options;
    if (phase == READER_IDLE && (options & RING_FAST) != 0) {
        fast_begin_steps(step, i);
    }
    if ((phase == READER_IDLE && (options & RING_SLOW) != 0) || phase == READER_ASKING) {
        ask_steps(step, i);
    }
    if (phase == READER_FAST) {
        check_steps(step, i, step->s->readers[i].home);
        serve_steps(step, i);
    } else if (phase == READER_ASKING) {
        judge_steps(step, i);
    } else if (phase == READER_MARKING) {
        marking_steps(step, i);
    }
}
