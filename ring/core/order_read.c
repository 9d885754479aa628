/* Reads of ordered buckets (protocol.md 5).
 *
 *   eventual, session    LOCAL: the committed record here
 *   strong, fast (5.2)   CHECK: f+1 witnesses say up to which ballot; *then* LOCAL: serve if it is
 *                        that new, else
 *   strong, slow (5.3)   DIGEST: the ballots of Q seats; one that knows the highest committed
 * serves
 *                        it (FETCH, when that is another), else an identity round
 *
 * A key whose accepted record is not known committed here waits a moment for the commit on its way
 * (PEND). Nothing but a committed record is ever served. */
#include "ring/core/order_inner.h"

static void read_local(struct sgn_engine *engine, struct sgn_op *op);

void sgn_read_phase(struct sgn_engine *engine, struct sgn_op *op, enum sgn_strong_phase phase)
{
    op->u.read.phase = (uint8_t)phase;
    op->u.read.phase_ms = engine->now_ms;
}

void sgn_read_leave_cell(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_strong *read = &op->u.read;
    if (read->in_cell) {
        struct sgn_cell *cell = &engine->order.cells[read->cell];
        read->in_cell = false;
        (void)sgn_cell_unwait(engine, cell, op);
        sgn_cell_unpin(engine, cell);
    }
}

struct sgn_cell *sgn_read_enter_cell(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_strong *read = &op->u.read;
    if (!read->in_cell) {
        struct sgn_cell *cell = sgn_cell_get(engine, op->full_key);
        if (cell == NULL) {
            return NULL;
        }
        sgn_cell_pin(cell);
        read->cell = sgn_cell_index(engine, cell);
        read->in_cell = true;
    }
    return &engine->order.cells[read->cell];
}

static void read_end(struct sgn_engine *engine, struct sgn_op *op)
{
    sgn_read_leave_cell(engine, op);
    sgn_op_free(engine, op);
}

void sgn_read_fail(struct sgn_engine *engine,
                   struct sgn_op *op,
                   enum sgn_err err,
                   struct sgn_bytes text)
{
    sgn_op_fail(engine, op, err, text);
    read_end(engine, op);
}

void sgn_read_serve(struct sgn_engine *engine,
                    struct sgn_op *op,
                    const struct sgn_ordered *record,
                    uint8_t path)
{
    struct sgn_engine_counts *counts = &engine->counts;
    op->receipt.path = path;
    *(op->u.read.mode == SGN_READ_EVENTUAL ? &counts->reads_eventual
      : path == 1                          ? &counts->reads_fast
                                           : &counts->reads_quorum) += 1;
    sgn_order_reply_record(engine, op, record);
    read_end(engine, op);
}

void sgn_read_cell_ready(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_strong *read = &op->u.read;
    struct sgn_cell *cell = &engine->order.cells[read->cell];
    int seat = sgn_own_seat(engine, sgn_read_line(engine, op));
    if (read->phase == SGN_STRONG_PEND) {
        if (!sgn_cell_pending(cell) || cell->doubtful || cell->corrupt) {
            sgn_read_leave_cell(engine, op);
            read_local(engine, op);
        } else {
            sgn_cell_wait_commit(engine, cell, op);
        }
        return;
    }
    if (read->phase != SGN_STRONG_DIGEST || seat < 0) {
        return;
    }
    if (!sgn_cell_abstains(engine, cell) && !cell->doubtful && cell->storing == 0) {
        sgn_read_count(op, (uint32_t)seat, &cell->durable, &cell->accepted, &cell->committed);
        sgn_read_judge(engine, op);
    }
}

/* --- local ------------------------------------------------------------------------------------ */

static void read_pending(struct sgn_engine *engine, struct sgn_op *op);

static void read_local(struct sgn_engine *engine, struct sgn_op *op)
{
    const struct sgn_dirty *entry =
        sgn_dirty_find(engine, sgn_key_hash_of(op->full_key, engine->order.map.hash_seed));
    if (entry != NULL && entry->pending && !SGN_MUTANT(18)) {
        read_pending(engine, op);
        return;
    }
    sgn_read_phase(engine, op, SGN_STRONG_LOCAL);
    op->u.read.issued = engine->order.sequence;
    sgn_fx_load(engine, sgn_op_token(engine, op), SGN_FAMILY_DATA, op->full_key);
}

/* Whether the record just loaded may not be chosen. What was on the disk when the read was asked
 * for is committed, for nothing was pending then; unless something newer, known to be chosen
 * before it was durable, had overtaken it in memory. What came since is so if the dirty set says
 * it. */
static bool read_is_pending(const struct sgn_engine *engine,
                            const struct sgn_op *op,
                            const struct sgn_ordered *record,
                            struct sgn_bytes stored)
{
    const struct sgn_order *order = &engine->order;
    uint64_t sequence =
        stored.count >= SGN_CELL_PREFIX ? sgn_get_uint(stored.ptr, SGN_CELL_PREFIX) : 0;
    const struct sgn_dirty *entry =
        sgn_dirty_find(engine, sgn_key_hash_of(op->full_key, order->map.hash_seed));
    if (sequence > op->u.read.issued) {
        return entry == NULL || entry->pending ||
               sgn_ballot_compare(&entry->ballot, &record->ballot) != 0;
    }
    if (entry != NULL && sgn_ballot_compare(&entry->ballot, &record->ballot) != 0) {
        return true;
    }
    /* 3.6's guard, where the dirty set could not hold all of what the last run left. */
    return order->dirty_lost && entry == NULL && sequence > order->watermark_start &&
           sequence < order->first_sequence;
}

/* Something newer than what is known committed lies here. */
static void read_pending(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_strong *read = &op->u.read;
    struct sgn_cell *cell = sgn_read_enter_cell(engine, op);
    struct sgn_ordered record;
    if (read->mode == SGN_READ_EVENTUAL && cell != NULL && cell->state == SGN_CELL_READY &&
        cell->shadow_known &&
        sgn_ordered_decode(sgn_cell_bytes(cell->shadow), true, &record) == SGN_OK) {
        sgn_read_serve(engine, op, &record, 0);
        return;
    }
    bool overtaken = cell != NULL && cell->state == SGN_CELL_READY && !sgn_cell_pending(cell);
    if (cell == NULL || read->waited || overtaken) {
        sgn_read_slow(engine, op);
        return;
    }
    read->waited = true;
    sgn_read_phase(engine, op, SGN_STRONG_PEND);
    if (cell->state == SGN_CELL_READY) {
        sgn_cell_wait_commit(engine, cell, op);
    } else if (sgn_cell_wait(engine, cell, op, false)) {
        sgn_read_cell_ready(engine, op);
    }
}

/* Whether the fast path's conditions still hold, now that the record was read (5.2.3). */
static bool read_fast_holds(struct sgn_engine *engine,
                            const struct sgn_op *op,
                            const struct sgn_ballot *ballot)
{
    const struct sgn_line *line = sgn_read_line(engine, op);
    int seat = sgn_own_seat(engine, line);
    return seat >= 0 && (line->seats[seat].state == SGN_SEAT_IN_SYNC || SGN_MUTANT(15)) &&
           line->epoch == op->u.read.epoch && sgn_ballot_compare(ballot, &op->u.read.mark) >= 0;
}

void sgn_read_loaded(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    struct sgn_op_strong *read = &op->u.read;
    struct sgn_bytes bytes = event->err == SGN_OK && event->value.count > SGN_CELL_PREFIX
                                 ? sgn_bytes_of((const uint8_t *)event->value.ptr + SGN_CELL_PREFIX,
                                                event->value.count - SGN_CELL_PREFIX)
                                 : sgn_bytes_of(NULL, 0);
    struct sgn_ordered record;
    if (read->phase != SGN_STRONG_LOCAL) {
        return;
    }
    bool corrupt = event->err == SGN_ERR_CORRUPT ||
                   sgn_ordered_decode(bytes, true, &record) != SGN_OK ||
                   (event->err == SGN_OK && bytes.count == 0);
    if (SGN_MUTANT(32) && corrupt) {
        sgn_ordered_init(&record);
        corrupt = false;
    }
    if (corrupt) {
        (void)sgn_round_resolve(engine, op->full_key, NULL);
    }
    if (corrupt || (event->err != SGN_OK && event->err != SGN_ERR_NOT_FOUND)) {
        sgn_read_slow(engine, op); /* It abstains (2); others know. */
        return;
    }
    if (read_is_pending(engine, op, &record, event->value) && !SGN_MUTANT(18)) {
        read_pending(engine, op);
        return;
    }
    op->receipt.read_us = engine->now_us;
    if (event->err == SGN_ERR_NOT_FOUND) {
        record.ballot = sgn_cell_absent(engine, op->partition); /* 3.7 */
    }
    if (read->mode == SGN_READ_EVENTUAL) {
        sgn_read_serve(engine, op, &record, 0);
    } else if (read->mode == SGN_READ_SESSION) {
        if (sgn_ballot_compare(&record.version.origin, &read->at_least.origin) >= 0) {
            sgn_read_serve(engine, op, &record, 0);
        } else {
            read->mode = SGN_READ_STRONG; /* 5.4 */
            sgn_read_strong(engine, op);
        }
    } else if (SGN_MUTANT(3) && read->told == 0) {
        op->result = sgn_buf_copy(engine, event->value); /* Decided on before the check. */
        sgn_read_check(engine, op);
    } else if (read_fast_holds(engine, op, &record.ballot)) {
        sgn_read_serve(engine, op, &record, 1);
    } else {
        sgn_read_slow(engine, op);
    }
}

/* --- the barrier ------------------------------------------------------------------------------ */

/* Asks f+1 of the group that were not asked yet; false if there are not as many. Any of them will
 * do, so it is those that are to be sent something anyway, if there are. */
static bool read_ask(struct sgn_engine *engine, struct sgn_op *op, uint32_t wanted)
{
    struct sgn_op_strong *read = &op->u.read;
    const struct sgn_line *line = sgn_read_line(engine, op);
    struct sgn_key_hash key = sgn_key_hash_of(op->full_key, engine->order.map.hash_seed);
    uint32_t first = (uint32_t)(key.keyed % line->group_count);
    for (uint32_t i = 0; i < 3 * line->group_count && wanted > 0; i++) {
        uint32_t member = (first + i) % line->group_count;
        uint32_t bit = 1u << member;
        uint32_t rank = sgn_barrier_rank(engine, line->group[member].id);
        if ((read->asked & bit) == 0 && rank <= i / line->group_count) {
            read->asked |= bit;
            wanted -= sgn_barrier_ask(
                          engine, op, SGN_WITNESS_CHECK, line, op->partition, key, NULL, bit) != 0;
        }
    }
    return wanted == 0;
}

void sgn_read_check(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_strong *read = &op->u.read;
    const struct sgn_line *line = sgn_read_line(engine, op);
    read->epoch = line->epoch;
    read->asked = read->told = 0;
    sgn_read_phase(engine, op, SGN_STRONG_CHECK);
    if (!read_ask(engine, op, sgn_line_group_quorum(line))) {
        sgn_read_slow(engine, op);
    }
}

void sgn_read_strong(struct sgn_engine *engine, struct sgn_op *op)
{
    const struct sgn_line *line = sgn_read_line(engine, op);
    int seat = sgn_own_seat(engine, line);
    bool fast = line->group_count > 0 && seat >= 0 && !engine->order.dirty_lost &&
                (line->seats[seat].state == SGN_SEAT_IN_SYNC || SGN_MUTANT(15));
    if (fast && SGN_MUTANT(3)) {
        read_local(engine, op);
    } else if (fast) {
        sgn_read_check(engine, op);
    } else {
        sgn_read_slow(engine, op);
    }
}

void sgn_read_told(struct sgn_engine *engine,
                   struct sgn_op *op,
                   uint32_t member,
                   const struct sgn_witness_tell *tell)
{
    struct sgn_op_strong *read = &op->u.read;
    const struct sgn_line *line = sgn_read_line(engine, op);
    op->receipt.told[member] = (uint8_t)(tell->status + 1);
    if (read->phase != SGN_STRONG_CHECK || line->epoch != read->epoch) {
        return;
    }
    if (tell->status != SGN_WITNESS_OK) {
        if (!read_ask(engine, op, 1)) {
            sgn_read_slow(engine, op);
        }
        return;
    }
    read->told |= 1u << member;
    if (sgn_ballot_compare(&tell->ballot, &read->mark) > 0) {
        read->mark = tell->ballot;
    }
    if ((uint32_t)__builtin_popcount(read->told) < sgn_line_group_quorum(line)) {
        return;
    }
    op->receipt.checked_us = engine->now_us;
    if (SGN_MUTANT(3)) {
        struct sgn_ordered record;
        if (op->result != NULL &&
            sgn_ordered_decode(sgn_cell_bytes(op->result), true, &record) == SGN_OK &&
            read_fast_holds(engine, op, &record.ballot)) {
            sgn_read_serve(engine, op, &record, 1);
        } else {
            sgn_read_slow(engine, op);
        }
        return;
    }
    read_local(engine, op); /* Only now: a mark that has gone was settled before this (5.2.2). */
}

void sgn_read_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_strong *read = &op->u.read;
    const struct sgn_line *line = sgn_read_line(engine, op);
    uint64_t waited = engine->now_ms - read->phase_ms;
    if (engine->now_ms >= op->deadline_ms) {
        sgn_read_fail(
            engine, op, SGN_ERR_TIMEOUT, sgn_bytes_str("too few replicas answered in time"));
    } else if (read->phase == SGN_STRONG_PEND && waited >= SGN_PENDING_WAIT_MS) {
        sgn_read_slow(engine, op);
    } else if (read->phase == SGN_STRONG_CHECK &&
               (waited >= SGN_CHECK_MS || line->epoch != read->epoch)) {
        sgn_read_slow(engine, op);
    } else if ((read->phase == SGN_STRONG_DIGEST || read->phase == SGN_STRONG_FETCH) &&
               (waited >= SGN_ROUND_MS || line->epoch != read->epoch)) {
        sgn_read_slow(engine, op);
    }
}

void sgn_read_start(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_msg *msg)
{
    op->kind = SGN_OP_READ;
    op->u.read = (struct sgn_op_strong){.mode = (uint8_t)msg->a};
    if (msg->a == SGN_READ_SESSION && msg->context.count > 0 &&
        sgn_version_take(op->context, &op->u.read.at_least) != SGN_OK) {
        sgn_read_fail(engine,
                      op,
                      SGN_ERR_INVALID,
                      sgn_bytes_str("the version is not one that a read or write gave"));
        return;
    }
    if (op->u.read.mode == SGN_READ_STRONG) {
        sgn_read_strong(engine, op);
    } else {
        read_local(engine, op);
    }
}
