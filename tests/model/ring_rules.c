/* tests/model/ring_rules.c - rounds: prepare, accept, mark, expose, commit, settle (3.1 to 3.6,
 * 6.3). The rule numbers are those of the protocol; MUTANT(n) breaks the rule that M n names. */
#include <string.h>

#include "tests/model/ring_model.h"

/* Mutant 39: the one who sits where a disk was lost has that one's vote in the old set. */
static uint32_t old_votes(const struct ring_epoch *e, uint32_t votes)
{
    bool newcomer = (votes & e->set & ~(uint32_t)e->old) != 0;
    return e->old & (MUTANT(39) && newcomer ? votes | ring_config->losses : votes);
}

/* Of the old set; once one of its members is lost, half will do. */
bool ring_old_quorum(const struct ring_epoch *e, uint32_t votes)
{
    uint32_t count = count_of(e->old);
    uint32_t needed = (e->old & e->needs_gone) != 0 ? count - count / 2 : count / 2 + 1;
    return count_of(old_votes(e, votes)) >= needed;
}

/* Votes of a majority; in a joint epoch of both sets (6.2). */
bool ring_quorum(uint32_t epoch, uint32_t votes)
{
    const struct ring_epoch *e = epoch_of(epoch);
    return majority(votes, e->set) && (e->old == 0 || ring_old_quorum(e, votes));
}

/* 6.3: whether something may be exposed in the epoch. */
bool ring_fenced(const struct ring_state *s, uint32_t epoch)
{
    if (MUTANT(14)) {
        return true;
    }
    for (uint32_t k = 0; k < epoch; k++) {
        const struct ring_epoch *old = epoch_of(k);
        uint32_t gone = 0;
        for (uint32_t w = 0; w < ring_config->wits; w++) {
            const struct ring_wit *wit = &s->wits[w];
            gone += has(old->group, w) && (wit->epoch >= epoch || (wit->flags & WIT_DEAD) != 0);
        }
        uint8_t behind = MUTANT(114) ? epoch_of(epoch)->in_sync : old->in_sync;
        for (uint32_t r = 0; r < ring_config->reps; r++) {
            if (s->reps[r].epoch >= epoch) {
                drop(&behind, bit(r));
            }
        }
        if (old->group != 0 && gone < old->f + 1u && behind != 0) {
            return false;
        }
    }
    return true;
}

/* An op at most once in a lineage. */
static bool ops_unique(uint16_t lineage)
{
    uint32_t seen = 0;
    for (; lineage != 0; lineage = (uint16_t)(lineage >> 3)) {
        uint32_t op = ring_config->round[lineage & 7u].op;
        if (has(seen, op)) {
            return false;
        }
        seen |= bit(op);
    }
    return true;
}

void ring_expose_lineage(struct ring_step *step,
                         struct ring_state *n,
                         uint16_t lineage,
                         uint8_t floor)
{
    if (rev_of(lineage) < floor) {
        step->violation = "stale: a rev below one exposed before it began";
    } else if (!is_prefix(lineage, n->exposed) && !is_prefix(n->exposed, lineage)) {
        step->violation = "fork: exposed lineages are not one chain";
    } else if (!ops_unique(lineage)) {
        step->violation = "twice: an op is twice in a lineage";
    }
    if (rev_of(lineage) > rev_of(n->exposed)) {
        n->exposed = lineage;
    }
}

/* 3.1.6 and 3.3. Exposing at the first moment it is allowed loses no counterexample: it only makes
 * the floors of later reads and writes higher, and enables commits and settles. */
static void expose_if_ready(struct ring_step *step, struct ring_state *n, uint32_t b)
{
    struct ring_round *round = &n->rounds[b];
    const struct ring_epoch *e = epoch_of(round->epoch);
    uint32_t accepts = 0;
    uint32_t marks = 0;
    for (uint32_t r = 0; r < ring_config->reps; r++) {
        accepts |= has(n->reps[r].accepts, b) ? bit(r) : 0u;
    }
    for (uint32_t w = 0; w < ring_config->wits; w++) {
        marks += has(e->group, w) && has(n->wits[w].marked, b);
    }
    if (!ring_quorum(round->epoch, accepts) || !ring_fenced(n, round->epoch)) {
        return;
    }
    if (e->group != 0 && marks < e->f + 1u && !MUTANT(1)) {
        return;
    }
    uint32_t last =
        round->lineage == 0 ? 0u : (uint32_t)round->lineage >> (3u * (rev_of(round->lineage) - 1u));
    /* Its own rev is above all that was exposed before it began; an identity is not below. */
    uint8_t floor = (uint8_t)(round->floor + (last == b ? 1u : 0u));
    round->phase = ROUND_EXPOSED;
    round->floor = 0;
    ring_expose_lineage(step, n, round->lineage, floor);
    for (uint32_t r = 0; r < ring_config->reps; r++) {
        drop(&n->reps[r].accepts, bit(b));
    }
    for (uint32_t w = 0; w < ring_config->wits; w++) {
        drop(&n->wits[w].marked, bit(b));
    }
}

/* What can no longer matter is cleared, so that states which behave alike are one state. */
static void tidy(struct ring_state *n)
{
    uint32_t lowest = n->ring;
    for (uint32_t r = 0; r < ring_config->reps; r++) {
        if (n->reps[r].epoch < lowest) {
            lowest = n->reps[r].epoch;
        }
    }
    for (uint32_t r = 0; r < ring_config->reps; r++) {
        /* Settles of an epoch that no replica is in any more reach nobody who serves in it. */
        for (uint32_t e = 0; e < lowest && !MUTANT(33) && !MUTANT(133) && !MUTANT(11); e++) {
            n->reps[r].confirmed[e] = 0;
        }
    }
    for (uint32_t i = 0; i < ring_config->readers; i++) {
        struct ring_reader *reader = &n->readers[i];
        bool left = n->reps[reader->home].epoch != reader->epoch; /* 5.2.3 */
        bool lost = reader->phase == READER_FAST && left && !MUTANT(1007);
        lost = lost || (reader->phase == READER_ASKING && lowest > reader->epoch);
        if (lost) {
            *reader = (struct ring_reader){0};
        }
        if (reader->phase == READER_IDLE) {
            for (uint32_t r = 0; r < ring_config->reps; r++) {
                drop(&n->reps[r].voted, bit(i));
                drop(&n->reps[r].held, bit(i));
            }
            for (uint32_t w = 0; w < ring_config->wits; w++) {
                drop(&n->wits[w].checked, bit(i));
            }
        }
    }
}

void ring_emit(struct ring_step *step, struct ring_state *n, const char *label, ...)
{
    for (uint32_t b = 1; b <= ring_config->rounds; b++) {
        if (n->rounds[b].phase == ROUND_ACCEPTING) {
            expose_if_ready(step, n, b);
        }
    }
    tidy(n);
    va_list arguments;
    va_start(arguments, label);
    sgn_mc_emit_args(step->run, n, step->violation, label, arguments);
    va_end(arguments);
    step->violation = NULL;
}

/* The decide step (3.1.3, 3.5): the op is added once, or the record is kept. */
static uint16_t decide(uint16_t lineage, uint32_t b)
{
    uint8_t op = ring_config->round[b].op;
    if (op == 0) {
        return lineage;
    }
    for (uint16_t l = lineage; l != 0 && !MUTANT(5); l = (uint16_t)(l >> 3)) {
        if (ring_config->round[l & 7u].op == op) {
            return lineage;
        }
    }
    return (uint16_t)(lineage | (b << (3 * rev_of(lineage))));
}

static void begin(const struct ring_state *s, struct ring_round *round, uint32_t epoch)
{
    round->epoch = (uint8_t)epoch;
    round->floor = rev_of(s->exposed);
}

/* A replica's promise; the first one begins the round. Mutant 21 and 22: see carry_steps. */
static void promise_steps(struct ring_step *step, uint32_t b)
{
    const struct ring_state *s = step->s;
    for (uint32_t r = 0; r < ring_config->reps; r++) {
        const struct ring_rep *rep = &s->reps[r];
        bool fresh = s->rounds[b].phase == ROUND_NEW;
        if (!has(seats_of(rep->epoch), r) || rep->promised >= ballot_of(b) ||
            (!fresh && rep->epoch != s->rounds[b].epoch)) {
            continue;
        }
        struct ring_state n = *s;
        struct ring_round *round = &n.rounds[b];
        if (fresh) {
            begin(s, round, rep->epoch);
            round->phase = ROUND_PREPARING;
        }
        n.reps[r].promised = ballot_of(b);
        add(&n.reps[r].promises, bit(b));
        if (ballot_of(rep->slot) > ballot_of(round->best)) {
            round->best = rep->slot;
        }
        uint32_t votes = 0;
        for (uint32_t q = 0; q < ring_config->reps; q++) {
            votes |= has(n.reps[q].promises, b) ? bit(q) : 0u;
        }
        if (ring_quorum(round->epoch, votes)) {
            round->phase = ROUND_ACCEPTING;
            round->lineage = decide(n.rounds[round->best].lineage, b);
            round->best = 0;
            for (uint32_t q = 0; q < ring_config->reps; q++) {
                drop(&n.reps[q].promises, bit(b));
            }
        }
        ring_emit(step, &n, "b%u: promise by %c in epoch %u", b, 'A' + r, rep->epoch);
    }
}

/* 3.2. Replica 0 is the coordinator that chains. Mutant 6: anyone proposes on its own committed
 * record, which nobody has promised it. */
static void shortcut_steps(struct ring_step *step, uint32_t b)
{
    const struct ring_state *s = step->s;
    const struct ring_round_config *config = &ring_config->round[b];
    for (uint32_t r = 0; r < ring_config->reps; r++) {
        const struct ring_rep *rep = &s->reps[r];
        bool known = rep->slot == 0 || (rep->flags & REP_COMMITTED) != 0;
        if (!has(seats_of(rep->epoch), r) || !known) {
            continue;
        }
        if (config->kind == KIND_CHAINED &&
            (r != 0 || rep->slot != config->chains_on ||
             (rep->promised > ballot_of(rep->slot) && !MUTANT(7)))) {
            continue;
        }
        struct ring_state n = *s;
        begin(s, &n.rounds[b], rep->epoch);
        n.rounds[b].phase = ROUND_ACCEPTING;
        n.rounds[b].lineage = decide(s->rounds[rep->slot].lineage, b);
        if (config->kind == KIND_CHAINED && rep->promised < ballot_of(b)) {
            n.reps[r].promised = ballot_of(b);
        }
        ring_emit(
            step, &n, "b%u: proposed by %c on b%u, epoch %u", b, 'A' + r, rep->slot, rep->epoch);
    }
}

/* 3.1.5. An ACCEPT may arrive at any time, also after the round is exposed. */
static void accept_steps(struct ring_step *step, uint32_t b)
{
    const struct ring_state *s = step->s;
    const struct ring_round *round = &s->rounds[b];
    for (uint32_t r = 0; r < ring_config->reps; r++) {
        const struct ring_rep *rep = &s->reps[r];
        bool epoch_right = rep->epoch == round->epoch || MUTANT(12);
        /* One that holds the record already, accepted or copied, says so again. */
        bool idle = rep->slot == b && (round->phase == ROUND_EXPOSED || has(rep->accepts, b));
        if (!has(seats_of(round->epoch), r) || !epoch_right || rep->promised > ballot_of(b) ||
            idle) {
            continue;
        }
        struct ring_state n = *s;
        struct ring_rep *to = &n.reps[r];
        if (MUTANT(24) && (to->flags & REP_COMMITTED) != 0) {
            to->shadow = to->slot;
        } else if (MUTANT(9) && !has(to->shadow, 3)) {
            to->shadow = to->slot | bit(3); /* Bit 3: there is something to go back to. */
        }
        to->promised = ballot_of(b);
        if (to->slot != b) {
            to->slot = (uint8_t)b;
            drop(&to->flags, REP_COMMITTED);
            add(&to->flags, REP_UNSETTLED);
        }
        if (round->phase == ROUND_ACCEPTING) {
            add(&to->accepts, bit(b));
        }
        ring_emit(step, &n, "b%u: accepted by %c in epoch %u", b, 'A' + r, rep->epoch);
    }
}

/* MARK at the witnesses of the round's epoch. */
static void mark_steps(struct ring_step *step, uint32_t b)
{
    const struct ring_state *s = step->s;
    const struct ring_round *round = &s->rounds[b];
    bool late = round->phase == ROUND_EXPOSED;
    if (late && (ring_config->options & RING_LATE) == 0 && !MUTANT(1)) {
        return;
    }
    for (uint32_t w = 0; w < ring_config->wits; w++) {
        const struct ring_wit *wit = &s->wits[w];
        if (!has(epoch_of(round->epoch)->group, w) || wit->epoch != round->epoch ||
            (wit->flags & WIT_DEAD) != 0 || has(wit->marked, b) ||
            (late && wit->mark >= ballot_of(b))) {
            continue;
        }
        struct ring_state n = *s;
        /* 4.2: without room it acknowledges and keeps nothing. */
        if (wit->mark < ballot_of(b) && (wit->flags & WIT_OVERFLOWED) == 0) {
            n.wits[w].mark = ballot_of(b);
        }
        if (!late) {
            add(&n.wits[w].marked, bit(b));
        }
        ring_emit(step, &n, "b%u: marked at W%u in epoch %u", b, w, wit->epoch);
    }
}

/* Mutants 21 and 22: a round goes on in a later epoch and keeps what it was given in the earlier
 * one: its accepts and marks (21), or its promises (22). */
static void carry_steps(struct ring_step *step, uint32_t b)
{
    const struct ring_state *s = step->s;
    uint8_t phase = s->rounds[b].phase;
    bool may = (MUTANT(21) && phase == ROUND_ACCEPTING) || (MUTANT(22) && phase == ROUND_PREPARING);
    for (uint32_t e = s->rounds[b].epoch + 1u; may && e <= s->ring; e++) {
        struct ring_state n = *s;
        n.rounds[b].epoch = (uint8_t)e;
        ring_emit(step, &n, "b%u: goes on in epoch %u", b, e);
    }
}

void ring_round_steps(struct ring_step *step, uint32_t b)
{
    const struct ring_round *round = &step->s->rounds[b];
    uint8_t kind = ring_config->round[b].kind;
    bool classic = kind == KIND_CLASSIC || (kind == KIND_UNOWNED && !MUTANT(6));
    if (classic && (round->phase == ROUND_NEW || round->phase == ROUND_PREPARING)) {
        promise_steps(step, b);
    } else if (round->phase == ROUND_NEW) {
        shortcut_steps(step, b);
    }
    if (round->phase == ROUND_ACCEPTING || round->phase == ROUND_EXPOSED) {
        accept_steps(step, b);
        mark_steps(step, b);
    }
    if (MUTANT(21) || MUTANT(22)) {
        carry_steps(step, b);
    }
}

/* 3.6: COMMIT, repair and catch-up may bring an exposed record to any replica at any time. */
void ring_commit_steps(struct ring_step *step, uint32_t b)
{
    const struct ring_state *s = step->s;
    uint8_t ballot = ballot_of(b);
    for (uint32_t r = 0; r < ring_config->reps; r++) {
        const struct ring_rep *rep = &s->reps[r];
        bool same = ballot_of(rep->slot) == ballot && (rep->flags & REP_COMMITTED) == 0;
        if (!has(seats_of(rep->epoch), r) || (!same && ballot_of(rep->slot) >= ballot)) {
            continue;
        }
        struct ring_state n = *s;
        struct ring_rep *to = &n.reps[r];
        if (!same) {
            to->slot = (uint8_t)b;
            add(&to->flags, REP_UNSETTLED);
        }
        add(&to->flags, REP_COMMITTED);
        to->shadow = 0;
        if (to->promised < ballot && !MUTANT(27)) {
            to->promised = ballot;
        }
        ring_emit(step, &n, "b%u: commit at %c in epoch %u", b, 'A' + r, rep->epoch);
    }
}
