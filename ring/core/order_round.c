/* The proposer (protocol.md 3): one round after the other of a key, from its queue (order_queue.c).
 *
 *   QUEUED -> PREPARE -> decide -> ACCEPT (with marks) -> exposed: answer, commit -> SETTLE -> gone
 *      \______ chained (3.2) ________^
 *   a round refused, overtaken by an epoch or silent: BACKOFF, then a classic round anew
 *
 * Votes are masks over the seats of the line of the round's epoch; they never outlive that epoch.
 * */
#include "ring/core/order_inner.h"

void sgn_round_free(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_cell *cell = sgn_round_cell(engine, op);
    if (op->u.round.is_repair) {
        engine->order.resolves--;
    }
    (void)sgn_cell_unwait(engine, cell, op);
    sgn_round_leave(engine, cell, op);
    sgn_buf_drop(engine, &op->u.round.best);
    sgn_op_free(engine, op);
    sgn_round_pump(engine, cell);
    sgn_cell_unpin(engine, cell);
}

/* --- answers ---------------------------------------------------------------------------------- */

void sgn_round_fail(struct sgn_engine *engine,
                    struct sgn_op *op,
                    enum sgn_err err,
                    struct sgn_bytes text)
{
    if (op->u.round.maybe) {
        /* 3.5: never a guess. The token of this answer resolves it. */
        err = SGN_ERR_UNKNOWN;
        text =
            sgn_bytes_str("the write may or may not have taken effect; ask again with its token");
    }
    if (!op->replied) {
        sgn_op_fail(engine, op, err, text);
    }
    sgn_round_free(engine, op);
}

/* The verdict, of a record that is exposed. */
void sgn_round_answer(struct sgn_engine *engine,
                      struct sgn_op *op,
                      const struct sgn_ordered *record)
{
    const struct sgn_op_round *round = &op->u.round;
    if (op->replied) {
        return;
    }
    if (round->is_get) {
        op->receipt.path = 3;
        sgn_order_reply_record(engine, op, record);
        return;
    }
    sgn_op_reply(engine,
                 op,
                 (struct sgn_msg){.type = SGN_MSG_RESULT,
                                  .err = round->decision.result,
                                  .flags = SGN_RESULT_ORDERED,
                                  .context = sgn_order_version(engine, &round->decision.version),
                                  .a = (uint32_t)__builtin_popcount(round->accepted)});
}

/* --- beginning -------------------------------------------------------------------------------- */

void sgn_round_phase(struct sgn_engine *engine, struct sgn_op *op, enum sgn_round_phase phase)
{
    op->u.round.phase = (uint8_t)phase;
    op->u.round.phase_ms = engine->now_ms;
}

/* Abandons the attempt; a classic round with a new ballot follows (3.1, 3.5). */
void sgn_round_again(struct sgn_engine *engine, struct sgn_op *op, bool at_once)
{
    struct sgn_op_round *round = &op->u.round;
    sgn_op_renew(op);
    sgn_batch_end(engine, sgn_round_cell(engine, op));
    sgn_round_phase(engine, op, SGN_ROUND_BACKOFF);
    round->classic_only = true;
    round->attempts++;
    if (!at_once) {
        uint32_t most = 2u << (round->attempts < 6 ? round->attempts : 6);
        most = most < SGN_BACKOFF_MS_MAX ? most : SGN_BACKOFF_MS_MAX;
        round->phase_ms += (engine->random >> (round->attempts & 7)) % (most + 1);
    }
}

static void round_send_prepare(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_round *round = &op->u.round;
    const struct sgn_line *line = sgn_round_line(engine, op);
    struct sgn_sink sink = sgn_arena_sink(engine, 2 * SGN_BALLOT_BYTES);
    sgn_ballot_put(&sink, &round->ballot);
    sgn_ballot_put(&sink, &round->best_ballot);
    for (uint32_t i = 0; i < line->seat_count; i++) {
        if (line->seats[i].node != engine->options.node) {
            sgn_order_send(engine,
                           line->seats[i].node,
                           op,
                           round->epoch,
                           (struct sgn_msg){.type = SGN_MSG_PREPARE,
                                            .bucket = op->bucket,
                                            .key = op->key,
                                            .context = sgn_sink_bytes(&sink)});
        }
    }
}

/* 3.2: whether the own committed record may be built upon without asking. */
static bool round_may_chain(struct sgn_engine *engine,
                            const struct sgn_op *op,
                            const struct sgn_cell *cell)
{
    const struct sgn_ballot *b = &cell->committed;
    struct sgn_ballot promised = sgn_cell_promised(engine, cell);
    bool own = b->node == engine->options.node &&
               (b->incarnation == engine->options.incarnation || SGN_MUTANT(7));
    return !op->u.round.classic_only && !op->u.round.must_accept && own &&
           !sgn_cell_abstains(engine, cell) && !sgn_cell_pending(cell) &&
           b->step < UINT32_MAX - SGN_ORDERED_OPS_MAX &&
           (sgn_ballot_compare(&promised, b) <= 0 || SGN_MUTANT(7));
}

/* True if the change is decided on the own record: the round goes straight to its accept phase. */
static bool round_chain(struct sgn_engine *engine, struct sgn_op *op, struct sgn_cell *cell)
{
    struct sgn_op_round *round = &op->u.round;
    struct sgn_ordered current;
    struct sgn_ordered next;
    bool unowned = SGN_MUTANT(6) && !round->classic_only && !sgn_cell_pending(cell);
    if (!round_may_chain(engine, op, cell) && !unowned) {
        return false;
    }
    if (!sgn_cell_record(engine, cell, &current)) {
        return false;
    }
    struct sgn_ballot b = cell->committed;
    b.step++;
    if (unowned) {
        b = (struct sgn_ballot){sgn_hlc_now(&engine->hlc, engine->wall_ms),
                                engine->options.node,
                                engine->options.incarnation,
                                0};
    }
    /* Without a first phase nothing tells that the own record is still the newest: verdicts that
     * write nothing need one (3.5). */
    round->ballot = b;
    if (!sgn_batch_decide(engine, op, &current, &b, &next)) {
        return false;
    }
    sgn_cell_promise(cell, &b); /* b' is used once, whatever is evicted. */
    round->chained = true;
    round->best_ballot = cell->accepted;
    round->committed = cell->committed;
    sgn_buf_drop(engine, &round->best);
    round->best = sgn_buf_keep(cell->record);
    engine->counts.rounds_chained++;
    sgn_round_decided(engine, op);
    return true;
}

static void round_classic(struct sgn_engine *engine, struct sgn_op *op, struct sgn_cell *cell)
{
    struct sgn_op_round *round = &op->u.round;
    struct sgn_ballot promised = sgn_cell_promised(engine, cell);
    (void)sgn_hlc_merge(&engine->hlc, promised.hlc, engine->wall_ms);
    (void)sgn_hlc_merge(&engine->hlc, round->above.hlc, engine->wall_ms);
    struct sgn_ballot b = {sgn_hlc_now(&engine->hlc, engine->wall_ms),
                           engine->options.node,
                           engine->options.incarnation,
                           0};
    if (sgn_ballot_compare(&b, &promised) <= 0 || sgn_ballot_compare(&b, &round->above) <= 0) {
        sgn_round_fail(
            engine,
            op,
            SGN_ERR_CLOCK,
            sgn_bytes_str(
                "the key was promised to a ballot more than 5 s ahead of this node's clock"));
        return;
    }
    if (!sgn_ceiling_allows(engine, b.hlc)) {
        int err = engine->order.ceiling_err;
        if (err != SGN_OK && !round->maybe) { /* Another replica can coordinate. */
            sgn_round_fail(engine,
                           op,
                           (enum sgn_err)err,
                           sgn_bytes_str("this node's store takes no writes; nothing was written"));
        } else {
            sgn_round_again(engine, op, true);
        }
        return;
    }
    round->chained = false;
    round->ballot = b;
    round->best_ballot = (struct sgn_ballot){.hlc = 0};
    round->committed = (struct sgn_ballot){.hlc = 0};
    sgn_buf_drop(engine, &round->best);
    if (!sgn_cell_abstains(engine, cell)) { /* Else others' promises make the quorum. */
        sgn_cell_promise(cell, &b);
        int seat = sgn_own_seat(engine, sgn_round_line(engine, op));
        SGN_ASSERT(seat >= 0); /* Looked at when the round began. */
        round->promised = 1u << seat;
        round->best_ballot = cell->accepted;
        round->committed = cell->committed;
        round->best = sgn_buf_keep(cell->record);
    }
    engine->counts.rounds_classic++;
    sgn_round_phase(engine, op, SGN_ROUND_PREPARE);
    round_send_prepare(engine, op);
    if (sgn_line_quorum(sgn_round_line(engine, op), round->promised)) {
        sgn_round_decided(engine, op);
    }
}

void sgn_round_begin(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_round *round = &op->u.round;
    struct sgn_cell *cell = sgn_round_cell(engine, op);
    const struct sgn_line *line = sgn_round_line(engine, op);
    sgn_round_phase(engine, op, SGN_ROUND_QUEUED);
    if (!sgn_cell_ready(engine, cell, true)) {
        return;
    }
    if (cell->doubtful) {
        sgn_round_fail(engine,
                       op,
                       cell->load_err != SGN_OK ? (enum sgn_err)cell->load_err : SGN_ERR_BUSY,
                       sgn_bytes_of(NULL, 0));
        return;
    }
    if (sgn_own_seat(engine, line) < 0) {
        sgn_round_fail(engine,
                       op,
                       SGN_ERR_STALE,
                       sgn_bytes_str("the partition has moved away from this node"));
        return;
    }
    if (!sgn_order_reachable(engine, line) && !round->maybe) {
        sgn_round_fail(
            engine,
            op,
            SGN_ERR_UNAVAILABLE,
            sgn_order_missing(
                engine, line, "too few replicas are reachable and nothing was written; missing:"));
        return;
    }
    bool room = round->is_repair ? sgn_dirty_room_for(engine, cell->hash)
                                 : sgn_dirty_room(engine) || sgn_dirty_find(engine, cell->hash);
    if (!room && !round->maybe) {
        sgn_round_fail(engine,
                       op,
                       SGN_ERR_BUSY,
                       sgn_bytes_str("too many keys wait for a replica that does not answer"));
        return;
    }
    round->epoch = line->epoch;
    round->promised = round->accepted = round->refused = round->marked = 0;
    round->behind = false;
    /* 6.3, looked at before anything is sent, so that a refusal has no effect. */
    if (!sgn_order_fenced(engine, line) && !SGN_MUTANT(14)) {
        engine->counts.fenced++;
        /* Before whoever passed it on here takes this node for silent, so that the reason is heard
         * and nothing is in doubt. */
        uint64_t passed_ms = engine->now_ms + engine->options.request_timeout_ms;
        if (!op->replied && !round->maybe &&
            passed_ms >= op->deadline_ms + engine->options.replica_timeout_ms / 2) {
            sgn_round_fail(engine, op, SGN_ERR_FENCED, sgn_order_fence_text(engine, line));
            return;
        }
        sgn_round_phase(engine, op, SGN_ROUND_BACKOFF);
        round->phase_ms += 20;
        return;
    }
    sgn_batch_board(engine, cell, op);
    if (!round_chain(engine, op, cell)) {
        round_classic(engine, op, cell);
    }
}

void sgn_round_cell_ready(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_cell *cell = sgn_round_cell(engine, op);
    if (op->u.round.phase == SGN_ROUND_CELL) {
        sgn_round_phase(engine, op, SGN_ROUND_QUEUED);
        sgn_round_enqueue(engine, cell, op);
    }
    sgn_round_pump(engine, cell);
}

bool sgn_round_start(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_cell *cell = sgn_cell_get(engine, op->full_key);
    if (cell == NULL) {
        return false;
    }
    SGN_ASSERT(op->kind == SGN_OP_ROUND);
    sgn_cell_pin(cell);
    op->partition = cell->partition;
    op->cell_next = op->queue_next = SGN_NONE;
    op->u.round.cell = sgn_cell_index(engine, cell);
    sgn_round_phase(engine, op, SGN_ROUND_CELL);
    if (sgn_cell_wait(engine, cell, op, true)) {
        sgn_round_cell_ready(engine, op);
    }
    return true;
}

/* --- time ------------------------------------------------------------------------------------- */

static void round_late(struct sgn_engine *engine, struct sgn_op *op)
{
    const struct sgn_line *line = sgn_round_line(engine, op);
    struct sgn_bytes text;
    enum sgn_err err = SGN_ERR_TIMEOUT;
    if (!sgn_order_fenced(engine, line)) {
        err = SGN_ERR_FENCED;
        text = sgn_order_fence_text(engine, line);
    } else if (!sgn_order_reachable(engine, line)) {
        err = SGN_ERR_UNAVAILABLE;
        text = sgn_order_missing(
            engine, line, "too few replicas are reachable and nothing was written; missing:");
    } else {
        text = sgn_bytes_str("the key's turn did not come in time; nothing was written");
    }
    sgn_round_fail(engine, op, err, text);
}

/* The line changed under the round: what was gathered in the old epoch counts no more (3.1). */
static bool round_overtaken(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_round *round = &op->u.round;
    const struct sgn_line *line = sgn_round_line(engine, op);
    if (round->epoch == line->epoch) {
        return false;
    }
    if ((SGN_MUTANT(21) && round->phase == SGN_ROUND_ACCEPT) ||
        (SGN_MUTANT(22) && round->phase == SGN_ROUND_PREPARE)) {
        round->epoch = line->epoch;
        sgn_round_send_accept(
            engine,
            op,
            round->phase == SGN_ROUND_ACCEPT ? sgn_line_all(line) & ~round->accepted : 0);
        sgn_round_mark(engine, op, round->phase == SGN_ROUND_ACCEPT ? ~round->marked : 0);
        if (round->phase == SGN_ROUND_PREPARE) {
            round_send_prepare(engine, op);
        }
        return false;
    }
    return true;
}

/* A large record takes its time to every disk: beginning anew would only write it once more. */
static uint64_t round_patience_ms(const struct sgn_op *op)
{
    size_t bytes = op->result != NULL ? sgn_cell_bytes(op->result).count : op->value.count;
    return SGN_ROUND_MS + bytes / SGN_ROUND_BYTES_A_MS;
}

void sgn_round_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_round *round = &op->u.round;
    struct sgn_cell *cell = sgn_round_cell(engine, op);
    uint64_t waited = engine->now_ms > round->phase_ms ? engine->now_ms - round->phase_ms : 0;
    bool at_work = round->phase == SGN_ROUND_PREPARE || round->phase == SGN_ROUND_ACCEPT;
    if (round->phase == SGN_ROUND_SETTLE) {
        bool overtaken = round_overtaken(engine, op);
        if (overtaken || waited >= SGN_ROUND_MS) {
            struct sgn_dirty *entry = sgn_dirty_find(engine, cell->hash);
            if (entry != NULL && (overtaken || round->behind)) {
                entry->soon = true; /* An epoch is to blame, no replica: it will go now. */
            }
            sgn_round_free(engine, op); /* The dirty set brings it up again. */
        }
    } else if (engine->now_ms >= op->deadline_ms) {
        round_late(engine, op);
    } else if (round->phase == SGN_ROUND_CELL && cell->state == SGN_CELL_READY) {
        sgn_cell_resume(engine, cell); /* There was no room for it when the cell came. */
    } else if (at_work && round_overtaken(engine, op)) {
        engine->counts.rounds_stale++;
        sgn_round_again(engine, op, true);
    } else if (at_work && waited >= round_patience_ms(op)) {
        sgn_round_again(engine, op, false);
    } else if (round->phase == SGN_ROUND_ACCEPT) {
        sgn_carry_tick(engine, op);
        sgn_round_look(engine, op); /* A fence may have been passed meanwhile. */
    } else if (round->phase == SGN_ROUND_BACKOFF && engine->now_ms >= round->phase_ms &&
               cell->state == SGN_CELL_READY) {
        sgn_round_begin(engine, op);
    } else if (round->phase == SGN_ROUND_QUEUED) {
        sgn_round_pump(engine, cell);
    }
}

bool sgn_round_resolve(struct sgn_engine *engine,
                       struct sgn_bytes full_key,
                       const struct sgn_ballot *above)
{
    if (engine->order.resolves >= SGN_RESOLVES_MAX) {
        return false;
    }
    struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_ROUND, SGN_FOR_BACKGROUND);
    if (op == NULL) {
        return false;
    }
    op->replied = true; /* Nobody waits. */
    op->u.round = (struct sgn_op_round){.is_repair = true, .classic_only = true};
    op->u.round.change.kind = SGN_CHANGE_READ;
    if (above != NULL) {
        op->u.round.above = *above;
    }
    engine->order.resolves++;
    engine->counts.resolves++;
    if (!sgn_op_copy_full(engine, op, full_key, sgn_bytes_of(NULL, 0)) ||
        !sgn_round_start(engine, op)) {
        engine->order.resolves--;
        sgn_op_free(engine, op);
        return false;
    }
    return true;
}
