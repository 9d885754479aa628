/* A round's votes (protocol.md 3.1.3 to 3.1.7): promises make a decision, accepts and marks expose
 * it, accepts of all who must hold it settle it. */
#include "ring/core/order_inner.h"

static bool round_encode(struct sgn_engine *engine,
                         struct sgn_op *op,
                         const struct sgn_ordered *next)
{
    size_t bytes = SGN_CELL_PREFIX + sgn_ordered_bytes(next, true);
    struct sgn_buf *buf = sgn_buf_get(engine, bytes);
    if (buf == NULL) {
        return false;
    }
    memset(buf->bytes, 0, SGN_CELL_PREFIX);
    struct sgn_sink sink = sgn_sink_of(buf->bytes + SGN_CELL_PREFIX, bytes - SGN_CELL_PREFIX);
    sgn_ordered_encode(next, true, &sink);
    SGN_ASSERT(!sink.full && sink.count == bytes - SGN_CELL_PREFIX);
    sgn_buf_drop(engine, &op->result);
    op->result = buf;
    return true;
}

void sgn_round_send_accept(struct sgn_engine *engine, struct sgn_op *op, uint32_t seats)
{
    const struct sgn_op_round *round = &op->u.round;
    const struct sgn_line *line = sgn_round_line(engine, op);
    for (uint32_t i = 0; i < line->seat_count; i++) {
        uint32_t node = line->seats[i].node;
        if ((seats & 1u << i) == 0 || node == engine->options.node) {
            continue;
        }
        if (SGN_MUTANT(19) && !sgn_node_alive(engine, node)) {
            node = sgn_order_stranger(engine, line);
        }
        if (node != 0) {
            sgn_order_send(engine,
                           node,
                           op,
                           round->epoch,
                           (struct sgn_msg){.type = SGN_MSG_ACCEPT,
                                            .bucket = op->bucket,
                                            .key = op->key,
                                            .value = sgn_cell_bytes(op->result)});
        }
    }
}

void sgn_round_mark(struct sgn_engine *engine, const struct sgn_op *op, uint32_t members)
{
    (void)sgn_barrier_ask(engine,
                          op,
                          SGN_WITNESS_MARK,
                          sgn_round_line(engine, op),
                          op->partition,
                          sgn_round_cell(engine, op)->hash,
                          &op->u.round.ballot,
                          members);
}

static void round_accept(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_round *round = &op->u.round;
    const struct sgn_line *line = sgn_round_line(engine, op);
    sgn_op_renew(op); /* Answers to the first phase are late from now on. */
    sgn_round_phase(engine, op, SGN_ROUND_ACCEPT);
    round->accepted = round->refused = round->marked = 0;
    round->carry_asked = false;
    sgn_batch_sent(engine, op);
    sgn_round_send_accept(engine, op, sgn_line_all(line));
    if (!SGN_MUTANT(1)) {
        sgn_round_mark(engine, op, ~sgn_carried(engine, line).all);
    }
    if (!sgn_accept_own(engine, op, op->result)) {
        sgn_round_own(engine, op, SGN_ERR_BUSY, 0);
    }
}

/* The record to decide on is known: decides, and goes on. */
void sgn_round_decided(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_round *round = &op->u.round;
    struct sgn_ordered current;
    struct sgn_ordered next;
    if (!sgn_ballot_is_zero(&round->best_ballot) && round->best == NULL) {
        sgn_round_again(engine, op, false); /* The record did not come along. */
        return;
    }
    enum sgn_err err = sgn_ordered_decode(sgn_cell_bytes(round->best), true, &current);
    SGN_ASSERT(err == SGN_OK); /* Looked at when it came. */
    if (sgn_ballot_is_zero(&round->best_ballot)) {
        /* 3.7: what was dropped with tombstones is remembered by the map, whoever promised. */
        current.ops_floor = sgn_round_line(engine, op)->floor_stamp;
    }
    bool writes = sgn_batch_decide(engine, op, &current, &round->ballot, &next);
    /* 3.5: a verdict that writes nothing may stand on a record known committed; on nothing at all
     * too, for whatever was exposed would have been seen by one of Q. */
    bool known = sgn_ballot_compare(&round->committed, &round->best_ballot) >= 0;
    if (!writes && !round->must_accept && !round->is_repair && (known || SGN_MUTANT(28))) {
        sgn_batch_answer(engine, op, &current);
        sgn_round_free(engine, op);
        return;
    }
    if (!round_encode(engine, op, &next)) {
        sgn_round_fail(
            engine, op, SGN_ERR_BUSY, sgn_bytes_str("the node's memory for values is full"));
        return;
    }
    round_accept(engine, op);
}

static void round_commit(struct sgn_engine *engine, struct sgn_op *op, bool settled)
{
    const struct sgn_op_round *round = &op->u.round;
    const struct sgn_line *line = sgn_round_line(engine, op);
    struct sgn_cell *cell = sgn_round_cell(engine, op);
    for (uint32_t i = 0; i < line->seat_count; i++) {
        if (line->seats[i].node != engine->options.node) {
            sgn_commit_send(
                engine, line->seats[i].node, op->full_key, &round->ballot, settled, round->epoch);
        }
    }
    if (sgn_ballot_compare(&cell->accepted, &round->ballot) == 0 && cell->state == SGN_CELL_READY) {
        sgn_cell_commit(engine, cell, settled);
    }
}

/* 3.1.7, on every seat that must hold it before a fast read may do without the mark. */
static bool round_settled(struct sgn_engine *engine, struct sgn_op *op)
{
    const struct sgn_op_round *round = &op->u.round;
    const struct sgn_line *line = sgn_round_line(engine, op);
    uint32_t needed = sgn_line_settlers(line);
    if (line->epoch != round->epoch) {
        return false;
    }
    return (round->accepted & needed) == needed ||
           (SGN_MUTANT(2) && sgn_line_quorum(line, round->accepted));
}

static void round_settle(struct sgn_engine *engine, struct sgn_op *op)
{
    const struct sgn_line *line = sgn_round_line(engine, op);
    struct sgn_carried carried = sgn_carried(engine, line);
    engine->counts.settles++;
    (void)sgn_barrier_ask(engine,
                          NULL,
                          SGN_WITNESS_SETTLE,
                          line,
                          op->partition,
                          sgn_round_cell(engine, op)->hash,
                          &op->u.round.ballot,
                          ~carried.all | carried.own);
    round_commit(engine, op, true);
    sgn_round_free(engine, op);
}

/* 3.1.6: Q accepts and f+1 marks of one epoch, and the fence. */
static bool round_is_exposed(struct sgn_engine *engine, const struct sgn_op *op)
{
    const struct sgn_op_round *round = &op->u.round;
    const struct sgn_line *line = sgn_round_line(engine, op);
    bool marked = (uint32_t)__builtin_popcount(round->marked) >= sgn_line_group_quorum(line);
    return line->epoch == round->epoch && sgn_line_quorum(line, round->accepted) &&
           (marked || SGN_MUTANT(1)) && (sgn_order_fenced(engine, line) || SGN_MUTANT(14));
}

void sgn_round_look(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_round *round = &op->u.round;
    struct sgn_cell *cell = sgn_round_cell(engine, op);
    if (round->phase == SGN_ROUND_SETTLE) {
        if (round_settled(engine, op)) {
            round_settle(engine, op);
        }
        return;
    }
    if (round->phase != SGN_ROUND_ACCEPT || !round_is_exposed(engine, op)) {
        return;
    }
    struct sgn_ordered record;
    enum sgn_err err = sgn_ordered_decode(sgn_cell_bytes(op->result), true, &record);
    SGN_ASSERT(err == SGN_OK);
    if (SGN_MUTANT(1)) {
        sgn_round_mark(engine, op, UINT32_MAX);
    }
    sgn_cell_pin(cell);
    sgn_batch_answer(engine, op, &record);
    op->replied = true;
    sgn_round_phase(engine, op, SGN_ROUND_SETTLE);
    if (round_settled(engine, op)) {
        round_settle(engine, op);
    } else {
        round_commit(engine, op, false);
        sgn_round_leave(engine, cell, op); /* The next one need not wait for it. */
        sgn_round_pump(engine, cell);
    }
    sgn_cell_unpin(engine, cell);
}

void sgn_round_own(struct sgn_engine *engine, struct sgn_op *op, int err, uint32_t marked)
{
    int seat = sgn_own_seat(engine, sgn_round_line(engine, op));
    if (seat < 0 ||
        (op->u.round.phase != SGN_ROUND_ACCEPT && op->u.round.phase != SGN_ROUND_SETTLE)) {
        return;
    }
    if (err == SGN_OK) {
        op->u.round.accepted |= 1u << seat;
        op->u.round.marked |= marked;
        sgn_round_look(engine, op);
    } else {
        op->u.round.refused |= 1u << seat;
    }
}

void sgn_round_marked(struct sgn_engine *engine, struct sgn_op *op, uint32_t member, bool ok)
{
    if (ok && op->u.round.phase == SGN_ROUND_ACCEPT) {
        op->u.round.marked |= 1u << member;
        sgn_round_look(engine, op);
    }
}

/* --- answers of the seats --------------------------------------------------------------------- */

/* A promise: takes the record along if it is the highest so far. */
static bool round_take_promise(struct sgn_engine *engine,
                               struct sgn_op *op,
                               const struct sgn_msg *msg,
                               const struct sgn_ballot *accepted,
                               const struct sgn_ballot *committed)
{
    struct sgn_op_round *round = &op->u.round;
    struct sgn_ordered record;
    if (sgn_ballot_compare(committed, &round->committed) > 0) {
        round->committed = *committed;
    }
    if (sgn_ballot_compare(accepted, &round->best_ballot) <= 0) {
        return true;
    }
    if (msg->value.count == 0 || sgn_ordered_decode(msg->value, true, &record) != SGN_OK ||
        sgn_ballot_compare(&record.ballot, accepted) != 0) {
        return false;
    }
    struct sgn_buf *buf = sgn_buf_get(engine, SGN_CELL_PREFIX + msg->value.count);
    if (buf == NULL) {
        return false;
    }
    memcpy(buf->bytes + SGN_CELL_PREFIX, msg->value.ptr, msg->value.count);
    sgn_buf_drop(engine, &round->best);
    round->best = buf;
    round->best_ballot = *accepted;
    return true;
}

static void round_refused(struct sgn_engine *engine,
                          struct sgn_op *op,
                          uint32_t seat,
                          int err,
                          const struct sgn_ballot *promised)
{
    struct sgn_op_round *round = &op->u.round;
    round->refused |= 1u << seat;
    if (err == SGN_ERR_NACK) {
        engine->counts.rounds_nacked++;
        if (sgn_ballot_compare(promised, &round->above) > 0 &&
            sgn_hlc_merge(&engine->hlc, promised->hlc, engine->wall_ms) == SGN_OK) {
            round->above = *promised;
        }
    }
    engine->counts.rounds_stale += err == SGN_ERR_STALE;
    round->behind = round->behind || err == SGN_ERR_STALE;
    /* As long as the others can make a quorum it goes on. */
    const struct sgn_line *line = sgn_round_line(engine, op);
    if (round->phase != SGN_ROUND_SETTLE &&
        !sgn_line_quorum(line, sgn_line_all(line) & ~round->refused)) {
        sgn_round_again(engine, op, false);
    }
}

void sgn_round_state(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    struct sgn_op_round *round = &op->u.round;
    const struct sgn_line *line = sgn_round_line(engine, op);
    int seat = sgn_line_seat(line, event->node);
    struct sgn_cursor cursor = sgn_cursor_of(event->msg.context);
    struct sgn_ballot promised = sgn_ballot_take(&cursor);
    struct sgn_ballot accepted = sgn_ballot_take(&cursor);
    struct sgn_ballot committed = sgn_ballot_take(&cursor);
    int err = event->msg.err;
    if (seat < 0 && SGN_MUTANT(19)) {
        seat = sgn_order_down_seat(engine, line);
    }
    bool crossed = (SGN_MUTANT(21) && round->phase >= SGN_ROUND_ACCEPT) ||
                   (SGN_MUTANT(22) && round->phase == SGN_ROUND_PREPARE);
    if (event->msg.type != SGN_MSG_STATE || seat < 0 || (err == SGN_OK && cursor.bad) ||
        (line->epoch != round->epoch && !crossed)) {
        return; /* Of another epoch: the attempt is abandoned by the tick (3.1). */
    }
    if (err != SGN_OK) {
        if (round->phase >= SGN_ROUND_PREPARE && round->phase != SGN_ROUND_BACKOFF) {
            round_refused(engine, op, (uint32_t)seat, err, &promised);
        }
        return;
    }
    if (round->phase == SGN_ROUND_PREPARE) {
        if (!round_take_promise(engine, op, &event->msg, &accepted, &committed)) {
            return;
        }
        round->promised |= 1u << seat;
        if (sgn_line_quorum(line, round->promised)) {
            sgn_round_decided(engine, op);
        }
    } else if (round->phase == SGN_ROUND_ACCEPT || round->phase == SGN_ROUND_SETTLE) {
        round->accepted |= 1u << seat;
        round->marked |= (uint32_t)event->msg.b & ((1u << line->group_count) - 1);
        sgn_round_look(engine, op);
    }
}
