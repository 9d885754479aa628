/* Going through a partition to drop what it need not, or must not, hold: tombstones at or below the
 * floor that the map has for it, once nothing of the key is dirty here (protocol.md 3.7); what a
 * newcomer held at or below it; everything where this node has no seat (6.2, order_wipe.c). One key
 * at a time, through its cell. */
#include "ring/core/order_inner.h"

#define SWEEP_IN_FLIGHT     16u
#define SWEEP_LOOK_PER_TICK 64u
#define SWEEP_PAUSE_MS      20u   /* Between two partitions. */
#define SWEEP_AGAIN_MS      1000u /* After one that left something. */

/* 3.7: a tombstone at or below the floor goes, unless something of the key is not settled here. */
void sgn_drop_run(struct sgn_engine *engine, struct sgn_op *op, struct sgn_cell *cell)
{
    const struct sgn_line *line = sgn_order_line(engine, op->partition);
    struct sgn_ordered record;
    bool held = cell->record != NULL && !cell->at_floor && cell->accepted.hlc <= line->floor &&
                sgn_cell_record(engine, cell, &record) && sgn_ordered_is_dead(&record);
    bool busy = cell->corrupt || cell->storing > 0 || cell->queue_head != SGN_NONE ||
                sgn_cell_pending(cell) || sgn_dirty_find(engine, cell->hash) != NULL;
    if (busy || !held) {
        sgn_accept_end(engine, op, busy ? SGN_ERR_BUSY : SGN_OK);
        return;
    }
    sgn_cell_erase(engine, op, cell);
}

/* The deletion is durable. */
void sgn_drop_stored(struct sgn_engine *engine, struct sgn_op *op, struct sgn_cell *cell)
{
    engine->counts.tombstones_dropped++;
    sgn_tree_change(&engine->tree, cell->hash.hash, engine->ring->replica_count, cell->digest, 0);
    cell->digest = 0;
    if (sgn_ballot_compare(&cell->accepted, &op->u.cell.ballot) == 0) {
        struct sgn_dirty *entry = sgn_dirty_find(engine, cell->hash);
        cell->doubtful = true; /* Read again: absent, and what that means here. */
        cell->durable = (struct sgn_ballot){.hlc = 0};
        if (entry != NULL) {
            sgn_dirty_drop(engine, entry);
        }
    }
    sgn_accept_end(engine, op, SGN_OK);
}

static struct sgn_sweep_turn *turn_of(struct sgn_engine *engine, uint32_t kind)
{
    return &engine->order.sweep_turn[kind == SGN_SWEEP_OLD];
}

static void sweep_close(struct sgn_engine *engine, struct sgn_op *op, uint32_t pause_ms)
{
    struct sgn_sweep_turn *turn = turn_of(engine, op->u.floor.kind);
    turn->busy = false;
    turn->due_ms = engine->now_ms + pause_ms;
    sgn_op_free(engine, op);
}

static void sweep_end(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_floor *work = &op->u.floor;
    struct sgn_order *order = &engine->order;
    bool current = sgn_order_line(engine, op->partition)->epoch == work->epoch;
    if (work->broken || work->left || !current) {
        sweep_close(engine, op, SWEEP_AGAIN_MS);
        return;
    }
    if (work->kind == SGN_SWEEP_OLD) {
        work->storing = sgn_fx_has_room(engine); /* Else its tick comes back. */
        if (work->storing) {
            sgn_purged_store(engine, op);
        }
        return;
    }
    if (work->kind == SGN_SWEEP_TOMBSTONES) {
        order->swept[op->partition] = work->floor;
    } else {
        order->emptied[op->partition / 8] |= (uint8_t)(1u << (op->partition % 8));
    }
    sweep_close(engine, op, SWEEP_PAUSE_MS);
}

/* What a newcomer fetches from now on it must not take for old after a restart: the others may
 * have chosen by then that it is in_sync. */
void sgn_sweep_stored(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    if (event->err == SGN_OK) {
        engine->order.purged[op->partition] = op->u.floor.floor;
    }
    sweep_close(engine, op, event->err == SGN_OK ? 0 : SWEEP_AGAIN_MS);
}

/* Drops the key of a row of the tree if it is one of those. False: no room now. */
static bool sweep_row(struct sgn_engine *engine,
                      struct sgn_op *op,
                      struct sgn_bytes row,
                      struct sgn_bytes value)
{
    struct sgn_op_floor *work = &op->u.floor;
    struct sgn_leaf leaf;
    bool readable = row.count > 10 && sgn_leaf_read(value, &leaf);
    if (row.count <= 10 || (!readable && value.count == 8)) {
        return true; /* Of an available bucket. */
    }
    struct sgn_bytes key = sgn_bytes_of((const uint8_t *)row.ptr + 10, row.count - 10);
    bool is_tombstones = work->kind == SGN_SWEEP_TOMBSTONES;
    if (readable && ((work->kind != SGN_SWEEP_ALL && leaf.ballot.hlc > work->floor) ||
                     (is_tombstones && !leaf.dead))) {
        return true;
    }
    /* A newcomer must know what the row was of: the record tells (order_wipe.c). */
    if (!readable && (work->kind != SGN_SWEEP_OLD || sgn_key_is_available(engine, key))) {
        return true;
    }
    work->in_flight++; /* It may end within the call. */
    uint8_t type = is_tombstones ? SGN_MSG_FLOOR : SGN_CELL_WIPE;
    bool begun = sgn_accept_drop(engine, key, type, op);
    work->in_flight -= begun ? 0 : 1;
    return begun;
}

/* Goes on as far as there is room; a drop's end or a tick comes back. */
static void sweep_go(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_floor *work = &op->u.floor;
    struct sgn_cursor cursor = sgn_cursor_of(sgn_buf_bytes(work->page));
    struct sgn_bytes key;
    struct sgn_bytes value;
    (void)sgn_cursor_take(&cursor, work->page_at);
    if (work->going || work->storing) {
        return;
    }
    work->going = true;
    while (!work->scanning && work->in_flight < SWEEP_IN_FLIGHT && sgn_fx_has_room(engine) &&
           sgn_items_next(&cursor, &key, &value)) {
        if (!sweep_row(engine, op, key, value)) {
            break;
        }
        work->page_at = work->page->count - cursor.left;
    }
    work->going = false;
    cursor = sgn_cursor_of(sgn_buf_bytes(work->page));
    (void)sgn_cursor_take(&cursor, work->page_at);
    if (work->scanning || cursor.left > 0 || work->in_flight > 0) {
        return;
    }
    if (work->end || work->broken) {
        sweep_end(engine, op);
    } else if (sgn_fx_has_room(engine)) {
        work->scanning = true;
        sgn_pull_scan(engine, op, sgn_buf_bytes(work->after));
    }
}

void sgn_sweep_scanned(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    struct sgn_op_floor *work = &op->u.floor;
    sgn_buf_drop(engine, &work->page);
    sgn_buf_drop(engine, &work->after);
    work->scanning = false;
    work->page_at = 0;
    work->page = sgn_buf_copy(engine, event->items);
    work->after = sgn_buf_copy(engine, event->after);
    work->broken = event->err != SGN_OK || work->page == NULL || work->after == NULL;
    work->end = event->end;
    if (work->broken && work->page != NULL) {
        work->page->count = 0;
    }
    sweep_go(engine, op);
}

void sgn_sweep_dropped(struct sgn_engine *engine, struct sgn_op *op, int err)
{
    SGN_ASSERT(op->u.floor.in_flight > 0);
    op->u.floor.in_flight--;
    op->u.floor.left = op->u.floor.left || err != SGN_OK;
    sweep_go(engine, op);
}

void sgn_sweep_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    sweep_go(engine, op);
}

static enum sgn_sweep_kind sweep_wanted(struct sgn_engine *engine, uint32_t partition)
{
    const struct sgn_order *order = &engine->order;
    const struct sgn_line *line = sgn_order_line(engine, partition);
    int seat = sgn_own_seat(engine, line);
    if (seat < 0) {
        bool empty = (order->emptied[partition / 8] >> (partition % 8) & 1) != 0;
        return empty || SGN_MUTANT(37) ? SGN_SWEEP_NONE : SGN_SWEEP_ALL;
    }
    if (sgn_purge_wanted(engine, partition)) {
        return SGN_SWEEP_OLD;
    }
    return line->seats[seat].state == SGN_SEAT_IN_SYNC && line->floor > order->swept[partition]
               ? SGN_SWEEP_TOMBSTONES
               : SGN_SWEEP_NONE;
}

/* Whether a store begun in an earlier epoch may still bring what is to go, behind the scan. */
static bool stores_to_come(const struct sgn_engine *engine, uint32_t partition, uint64_t floor)
{
    const struct sgn_order *order = &engine->order;
    bool any = false;
    for (uint32_t i = 0; i < order->cell_high && !any; i++) {
        const struct sgn_cell *cell = &order->cells[i];
        any = cell->state == SGN_CELL_READY && cell->partition == partition && cell->storing > 0 &&
              cell->accepted.hlc <= floor;
    }
    return any;
}

/* Of other partitions. */
static uint32_t purged_count(const struct sgn_engine *engine, uint32_t partition)
{
    uint32_t count = 0;
    for (uint32_t p = 0; p < engine->order.map.partition_count; p++) {
        count += p != partition && engine->order.purged[p] != 0;
    }
    return count;
}

static void sweep_begin(struct sgn_engine *engine, uint32_t partition, enum sgn_sweep_kind kind)
{
    const struct sgn_line *line = sgn_order_line(engine, partition);
    uint64_t floor = kind == SGN_SWEEP_ALL ? UINT64_MAX : line->floor;
    if ((kind != SGN_SWEEP_TOMBSTONES && stores_to_come(engine, partition, floor)) ||
        (kind == SGN_SWEEP_OLD && purged_count(engine, partition) >= SGN_PURGED_MAX)) {
        return;
    }
    struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_FLOOR, SGN_FOR_BACKGROUND);
    if (op == NULL) {
        return;
    }
    op->replied = true;
    op->partition = partition;
    op->u.floor = (struct sgn_op_floor){.role = SGN_FLOOR_SWEEPS,
                                        .kind = (uint8_t)kind,
                                        .floor = floor,
                                        .epoch = line->epoch,
                                        .scanning = true};
    turn_of(engine, kind)->busy = true;
    sgn_pull_scan(engine, op, sgn_bytes_of(NULL, 0));
}

void sgn_sweep_partitions(struct sgn_engine *engine)
{
    struct sgn_order *order = &engine->order;
    uint32_t total = order->is_member ? order->map.partition_count : 0; /* It has left nothing. */
    for (uint32_t i = 0; i < SWEEP_LOOK_PER_TICK && i < total; i++) {
        uint32_t p = order->sweep_hand++ % total;
        enum sgn_sweep_kind kind = sweep_wanted(engine, p);
        const struct sgn_sweep_turn *turn = turn_of(engine, kind);
        if (kind != SGN_SWEEP_NONE && !turn->busy && engine->now_ms >= turn->due_ms &&
            sgn_fx_has_room(engine)) {
            sweep_begin(engine, p, kind);
        }
    }
}
