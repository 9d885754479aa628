/* After a restart that left more keys above the watermark than the dirty set holds (dirty_lost)
 * this node makes no statement about what is settled: no fast reads, no seeds, and what is above
 * the watermark counts as pending. This pass goes through the own tree and takes each such key
 * into the dirty set as room comes, where it is resolved (order_resolve.c). When it has met the
 * end, the dirty set is whole again. */
#include "ring/core/order_inner.h"

#define RELEARN_RETRY_MS 200u

static void relearn_scan(struct sgn_engine *engine, struct sgn_op *op)
{
    op->u.floor.scanning = true;
    sgn_pull_scan(engine, op, sgn_buf_bytes(op->u.floor.after));
}

/* Partitions one after the other; at the end nothing is lost any more. */
static void relearn_next(struct sgn_engine *engine, struct sgn_op *op)
{
    sgn_buf_drop(engine, &op->u.floor.after);
    if (++op->partition < engine->ring->partition_count) {
        return; /* Its tick goes on. */
    }
    engine->order.dirty_lost = false;
    engine->order.relearning = false;
    sgn_op_free(engine, op);
}

void sgn_relearn_scanned(struct sgn_engine *engine,
                         struct sgn_op *op,
                         const struct sgn_event *event)
{
    struct sgn_op_floor *work = &op->u.floor;
    const struct sgn_order *order = &engine->order;
    struct sgn_cursor cursor = sgn_cursor_of(event->items);
    struct sgn_bytes tree_key;
    struct sgn_bytes value;
    bool room = event->err == SGN_OK;
    work->scanning = false;
    while (room && sgn_items_next(&cursor, &tree_key, &value)) {
        struct sgn_leaf leaf;
        if (tree_key.count <= 10 || !sgn_leaf_read(value, &leaf) ||
            leaf.sequence <= order->watermark_start || leaf.sequence >= order->first_sequence) {
            continue;
        }
        struct sgn_key_hash key =
            sgn_key_hash_of(sgn_bytes_of((const uint8_t *)tree_key.ptr + 10, tree_key.count - 10),
                            order->map.hash_seed);
        room = sgn_dirty_room(engine);
        if (room && sgn_dirty_find(engine, key) == NULL) {
            sgn_dirty_accept(engine, key, op->partition, &leaf.ballot, leaf.sequence, true);
        }
    }
    struct sgn_buf *after = room && !event->end ? sgn_buf_copy(engine, event->after) : NULL;
    if (room && event->end) {
        relearn_next(engine, op);
    } else if (after != NULL) {
        sgn_buf_drop(engine, &work->after);
        work->after = after;
    }
    /* Without room the same page is read again when some entries were resolved. */
}

void sgn_relearn_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    if (!op->u.floor.scanning && sgn_fx_has_room(engine)) {
        relearn_scan(engine, op);
    }
}

void sgn_relearn_begin(struct sgn_engine *engine)
{
    struct sgn_order *order = &engine->order;
    if (!order->dirty_lost || order->relearning || engine->now_ms < order->relearn_due_ms) {
        return;
    }
    order->relearn_due_ms = engine->now_ms + RELEARN_RETRY_MS;
    struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_FLOOR, SGN_FOR_BACKGROUND);
    if (op != NULL) {
        order->relearning = true;
        op->replied = true;
        op->u.floor = (struct sgn_op_floor){.role = SGN_FLOOR_RELEARNS};
    }
}
