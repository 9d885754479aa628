/* The slow path of a strong read (protocol.md 5.3): what Q replicas hold, told by their ballots.
 * It is the fallback of the fast path, the only one without a fleet, and what the fleet has to
 * beat. */
#include "ring/core/order_inner.h"

/* The slow path's last resort, and the only one that changes anything. */
static void read_round(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_ballot mark = op->u.read.mark;
    struct sgn_ballot best = op->u.read.best;
    sgn_read_leave_cell(engine, op);
    sgn_op_renew(op);
    op->kind = SGN_OP_ROUND;
    op->u.round = (struct sgn_op_round){.is_get = true, .classic_only = true, .above = mark};
    /* An orphan mark (5.3): the identity round must go above it and be exposed. */
    op->u.round.must_accept = sgn_ballot_compare(&mark, &best) > 0;
    op->u.round.change.kind = SGN_CHANGE_READ;
    engine->counts.reads_round++;
    if (!sgn_round_start(engine, op)) {
        op->kind = SGN_OP_READ;
        op->u.read = (struct sgn_op_strong){.mode = SGN_READ_STRONG};
        sgn_read_fail(engine, op, SGN_ERR_BUSY, sgn_bytes_str("too many keys are being worked on"));
    }
}

void sgn_read_slow(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_strong *read = &op->u.read;
    const struct sgn_line *line = sgn_read_line(engine, op);
    struct sgn_cell *cell = sgn_read_enter_cell(engine, op);
    if (SGN_MUTANT(20)) { /* Silently weaker. */
        read->mode = SGN_READ_EVENTUAL;
    }
    if (cell == NULL) {
        sgn_read_fail(engine, op, SGN_ERR_BUSY, sgn_bytes_str("too many keys are being worked on"));
        return;
    }
    if (!sgn_order_reachable(engine, line)) {
        sgn_read_fail(
            engine,
            op,
            SGN_ERR_UNAVAILABLE,
            sgn_order_missing(
                engine, line, "a strong read needs a majority of the replicas; missing:"));
        return;
    }
    (void)sgn_cell_unwait(engine, cell, op);
    sgn_op_renew(op);
    read->slow = true;
    read->epoch = line->epoch;
    read->answered = read->committers = read->holders = 0;
    read->best = (struct sgn_ballot){.hlc = 0};
    sgn_read_phase(engine, op, SGN_STRONG_DIGEST);
    for (uint32_t i = 0; i < line->seat_count; i++) {
        if (line->seats[i].node != engine->options.node) {
            sgn_order_send(
                engine,
                line->seats[i].node,
                op,
                read->epoch,
                (struct sgn_msg){.type = SGN_MSG_DIGEST, .bucket = op->bucket, .key = op->key});
        }
    }
    if (sgn_cell_wait(engine, cell, op, true)) {
        sgn_read_cell_ready(engine, op);
    }
}

static void read_fetch(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_strong *read = &op->u.read;
    const struct sgn_line *line = sgn_read_line(engine, op);
    int own = sgn_own_seat(engine, line);
    uint32_t others = own < 0 ? read->committers : read->committers & ~(1u << own);
    if (others == 0) { /* Only here, and here a newer one has come meanwhile. */
        read_round(engine, op);
        return;
    }
    uint32_t seat = (uint32_t)__builtin_ctz(others);
    sgn_op_renew(op);
    sgn_read_phase(engine, op, SGN_STRONG_FETCH);
    sgn_order_send(engine,
                   line->seats[seat].node,
                   op,
                   read->epoch,
                   (struct sgn_msg){.type = SGN_MSG_DIGEST,
                                    .bucket = op->bucket,
                                    .key = op->key,
                                    .flags = SGN_WANT_RECORD});
}

/* Mutant 4: chosen, says the count, and it is served without a mark. */
static bool read_unmarked(struct sgn_engine *engine, struct sgn_op *op, struct sgn_cell *cell)
{
    struct sgn_ordered record;
    if (!SGN_MUTANT(4) || !sgn_line_quorum(sgn_read_line(engine, op), op->u.read.holders) ||
        sgn_ballot_compare(&cell->accepted, &op->u.read.best) != 0 || cell->record == NULL ||
        !sgn_cell_record(engine, cell, &record)) {
        return false;
    }
    sgn_read_serve(engine, op, &record, 2);
    return true;
}

static bool read_enough(struct sgn_engine *engine, const struct sgn_op *op)
{
    const struct sgn_line *line = sgn_read_line(engine, op);
    if (SGN_MUTANT(26) && line->joint) {
        struct sgn_line one = *line;
        one.joint = false;
        for (uint32_t i = 0; i < one.seat_count; i++) {
            one.seats[i].sets = (line->seats[i].sets & SGN_SET_OLD) != 0 ? SGN_SET_NEW : 0;
        }
        return sgn_line_quorum(&one, op->u.read.answered);
    }
    return sgn_line_quorum(line, op->u.read.answered);
}

/* Q digests are there, in one epoch (6.2: of both sets). */
void sgn_read_judge(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_strong *read = &op->u.read;
    struct sgn_ordered record;
    if (!read_enough(engine, op)) {
        return;
    }
    struct sgn_cell *cell = &engine->order.cells[read->cell];
    bool orphan = sgn_ballot_compare(&read->mark, &read->best) > 0;
    if (read_unmarked(engine, op, cell)) {
        return;
    }
    if (orphan) {
        read_round(engine, op);
    } else if (sgn_ballot_is_zero(&read->best)) {
        sgn_ordered_init(&record);
        sgn_read_serve(engine, op, &record, 2);
    } else if (read->committers == 0) {
        read_round(engine, op);
    } else if (!cell->corrupt && cell->state == SGN_CELL_READY && !cell->doubtful &&
               sgn_ballot_compare(&cell->committed, &read->best) == 0 &&
               sgn_ballot_compare(&cell->accepted, &read->best) == 0 && cell->record != NULL &&
               sgn_cell_record(engine, cell, &record)) {
        sgn_read_serve(engine, op, &record, 2);
    } else {
        read_fetch(engine, op);
    }
}

void sgn_read_count(struct sgn_op *op,
                    uint32_t seat,
                    const struct sgn_ballot *durable,
                    const struct sgn_ballot *accepted,
                    const struct sgn_ballot *committed)
{
    struct sgn_op_strong *read = &op->u.read;
    read->answered |= 1u << seat;
    if (sgn_ballot_compare(accepted, &read->best) > 0) {
        read->best = *accepted;
        read->committers = read->holders = 0;
    }
    if (sgn_ballot_compare(durable, &read->best) == 0) {
        read->holders |= 1u << seat;
    }
    if (sgn_ballot_compare(committed, &read->best) == 0 && !sgn_ballot_is_zero(committed)) {
        read->committers |= 1u << seat;
    }
}

/* The record of a seat that said it has it committed. */
static void read_fetched(struct sgn_engine *engine,
                         struct sgn_op *op,
                         const struct sgn_msg *msg,
                         const struct sgn_ballot *accepted,
                         const struct sgn_ballot *committed)
{
    struct sgn_ordered record;
    if (msg->err != SGN_OK || sgn_ballot_compare(committed, accepted) < 0 ||
        sgn_ballot_compare(accepted, &op->u.read.best) < 0 || msg->value.count == 0 ||
        sgn_ordered_decode(msg->value, true, &record) != SGN_OK) {
        read_round(engine, op);
        return;
    }
    sgn_read_serve(engine, op, &record, 2);
}

void sgn_read_state(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    struct sgn_op_strong *read = &op->u.read;
    const struct sgn_line *line = sgn_read_line(engine, op);
    int seat = sgn_line_seat(line, event->node);
    struct sgn_cursor cursor = sgn_cursor_of(event->msg.context);
    struct sgn_ballot durable = sgn_ballot_take(&cursor);
    struct sgn_ballot accepted = sgn_ballot_take(&cursor);
    struct sgn_ballot committed = sgn_ballot_take(&cursor);
    if (event->msg.type != SGN_MSG_STATE || seat < 0 || line->epoch != read->epoch) {
        return;
    }
    if (read->phase == SGN_STRONG_FETCH) {
        read_fetched(engine, op, &event->msg, &accepted, &committed);
    } else if (read->phase == SGN_STRONG_DIGEST && event->msg.err == SGN_OK && !cursor.bad) {
        sgn_read_count(op, (uint32_t)seat, &durable, &accepted, &committed);
        sgn_read_judge(engine, op);
    }
}
