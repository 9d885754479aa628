/* The acceptor's other doors: this node's own vote, records and commits that come from outside a
 * round (protocol.md 3.6, 6.1, 9). */
#include "ring/core/order_inner.h"

bool sgn_accept_own(struct sgn_engine *engine, struct sgn_op *round, struct sgn_buf *record)
{
    struct sgn_op *op =
        sgn_accept_op(engine, round->full_key, sgn_bytes_of(NULL, 0), SGN_FOR_BACKGROUND);
    if (op == NULL) {
        return false;
    }
    op->result = sgn_buf_keep(record);
    op->u.cell.type = SGN_MSG_ACCEPT;
    op->u.cell.epoch = round->u.round.epoch;
    op->u.cell.ballot = round->u.round.ballot;
    op->u.cell.parent = sgn_op_index(engine, round);
    op->u.cell.parent_generation = round->generation;
    struct sgn_cell *cell = sgn_accept_cell(engine, op);
    if (sgn_cell_wait(engine, cell, op, false)) {
        sgn_accept_run(engine, op);
    }
    return true;
}

bool sgn_accept_take(struct sgn_engine *engine,
                     struct sgn_bytes full_key,
                     struct sgn_bytes record,
                     bool committed,
                     bool unsettled,
                     struct sgn_op *parent)
{
    struct sgn_ballot ballot = sgn_ordered_ballot(record);
    if (sgn_ballot_is_zero(&ballot) || !sgn_ballot_readable(engine, &ballot)) {
        return false;
    }
    struct sgn_op *op = sgn_accept_op(engine, full_key, record, SGN_FOR_BACKGROUND);
    if (op == NULL) {
        return false;
    }
    op->u.cell.type = SGN_MSG_REPL_PUT;
    op->u.cell.commit = committed;
    op->u.cell.unsettled = unsettled || !committed;
    op->u.cell.ballot = ballot;
    if (parent != NULL) {
        op->u.cell.epoch = parent->u.fetch.epoch;
        op->u.cell.parent = sgn_op_index(engine, parent);
        op->u.cell.parent_generation = parent->generation;
    }
    struct sgn_cell *cell = sgn_accept_cell(engine, op);
    if (sgn_cell_wait(engine, cell, op, false)) {
        sgn_accept_run(engine, op);
    }
    return true;
}

bool sgn_accept_drop(struct sgn_engine *engine,
                     struct sgn_bytes full_key,
                     uint8_t type,
                     const struct sgn_op *sweep)
{
    struct sgn_op *op = sgn_accept_op(engine, full_key, sgn_bytes_of(NULL, 0), SGN_FOR_BACKGROUND);
    if (op == NULL) {
        return false;
    }
    op->u.cell.type = type;
    op->u.cell.want_record = type == SGN_MSG_FLOOR; /* Is it a tombstone? */
    if (sweep != NULL) {
        op->u.cell.parent = sgn_op_index(engine, sweep);
        op->u.cell.parent_generation = sweep->generation;
    }
    struct sgn_cell *cell = sgn_accept_cell(engine, op);
    if (sgn_cell_wait(engine, cell, op, op->u.cell.want_record)) {
        sgn_accept_run(engine, op);
    }
    return true;
}

void sgn_cell_take_commit(struct sgn_engine *engine,
                          struct sgn_cell *cell,
                          const struct sgn_ballot *ballot,
                          bool settled)
{
    if (!SGN_MUTANT(27)) {
        sgn_cell_promise(cell, ballot);
    }
    if (!cell->corrupt && sgn_ballot_compare(ballot, &cell->accepted) == 0) {
        sgn_cell_commit(engine, cell, settled);
    }
}

void sgn_accept_commit(struct sgn_engine *engine,
                       struct sgn_bytes full_key,
                       const struct sgn_ballot *ballot,
                       bool settled,
                       uint32_t epoch)
{
    struct sgn_key_hash hash = sgn_key_hash_of(full_key, engine->order.map.hash_seed);
    uint32_t partition = sgn_partition_of(hash.hash, engine->ring->partition_count);
    const struct sgn_line *line = sgn_order_line(engine, partition);
    struct sgn_cell *cell = sgn_cell_find(engine, hash);
    struct sgn_dirty *entry = sgn_dirty_find(engine, hash);
    settled = settled && (epoch == line->epoch || SGN_MUTANT(33)); /* 3.1.7 */
    if (settled) {
        sgn_carry_settle(engine, line, partition, hash, ballot);
    }
    if (cell == NULL && entry != NULL && !entry->unsure &&
        sgn_ballot_compare(&entry->ballot, ballot) == 0) {
        sgn_dirty_committed(engine, entry);
        if (settled) {
            sgn_dirty_drop(engine, entry);
        }
        return;
    }
    if (cell == NULL && entry == NULL && settled) {
        return; /* Said before. */
    }
    if (sgn_own_seat(engine, line) < 0 || !sgn_ballot_readable(engine, ballot)) {
        return;
    }
    if (cell != NULL && cell->state == SGN_CELL_READY && !cell->doubtful) {
        sgn_cell_pin(cell);
        sgn_cell_take_commit(engine, cell, ballot, settled);
        sgn_cell_unpin(engine, cell);
        return;
    }
    if (cell != NULL && !SGN_MUTANT(27)) {
        sgn_cell_promise(cell, ballot); /* 3.6, also where there is no room for the rest. */
    }
    struct sgn_op *op = sgn_accept_op(engine, full_key, sgn_bytes_of(NULL, 0), SGN_FOR_PEER);
    if (op == NULL) {
        return; /* A pending is taken up later (3.6). */
    }
    op->u.cell.type = SGN_MSG_COMMITS;
    op->u.cell.ballot = *ballot;
    op->u.cell.settled = settled;
    cell = sgn_accept_cell(engine, op);
    if (sgn_cell_wait(engine, cell, op, false)) {
        sgn_accept_run(engine, op);
    }
}

void sgn_accept_commits(struct sgn_engine *engine, const struct sgn_event *event)
{
    struct sgn_cursor cursor = sgn_cursor_of(event->msg.items);
    struct sgn_bytes full_key;
    struct sgn_bytes value;
    struct sgn_bytes bucket;
    struct sgn_bytes key;
    while (sgn_items_next(&cursor, &full_key, &value)) {
        struct sgn_cursor at = sgn_cursor_of(value);
        struct sgn_ballot ballot = sgn_ballot_take(&at);
        bool settled = sgn_cursor_uint(&at, 1) != 0;
        uint32_t epoch = (uint32_t)sgn_cursor_uint(&at, 4);
        if (at.bad || !sgn_full_key_split(full_key, &bucket, &key) || !sgn_fx_has_room(engine)) {
            return; /* What is not heard is resolved later (3.6). */
        }
        sgn_accept_commit(engine, full_key, &ballot, settled, epoch);
    }
}

void sgn_accept_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_cell *cell = sgn_accept_cell(engine, op);
    if (op->u.cell.stored || cell->state != SGN_CELL_READY) {
        return; /* It waits for the own store only. */
    }
    if (!op->u.cell.waits_ceiling) {
        sgn_cell_resume(engine, cell); /* There was no room for it when the cell came. */
        return;
    }
    int ceiling_err = engine->order.ceiling_err;
    op->u.cell.waits_ceiling = false;
    if (ceiling_err != SGN_OK || engine->now_ms >= op->deadline_ms) {
        sgn_accept_end(engine, op, ceiling_err != SGN_OK ? ceiling_err : SGN_ERR_BUSY);
    } else if (sgn_cell_wait(engine, cell, op, op->u.cell.want_record)) {
        sgn_accept_run(engine, op);
    }
}
