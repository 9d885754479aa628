/* The ordered part of the engine as a whole: its memory, what it takes from the store, its ticks,
 * and which of its files an event is for. */
#include "ring/core/order_inner.h"

#define ALIGN(bytes) (((bytes) + 15u) & ~(size_t)15u)

static size_t known_bytes(const struct sgn_ring *ring)
{
    return ALIGN((ring->member_count + SGN_WITNESSES_MAX) * sizeof(struct sgn_known));
}

static size_t lines_bytes(const struct sgn_ring *ring)
{
    return ALIGN(ring->partition_count * sizeof(struct sgn_line));
}

size_t sgn_order_bytes(const struct sgn_ring *ring)
{
    size_t partitions = ring->partition_count;
    return 2 * lines_bytes(ring) + known_bytes(ring) +
           ALIGN(ring->member_count * sizeof(uint64_t)) +
           ALIGN(SGN_CELLS_MAX * sizeof(struct sgn_cell)) +
           ALIGN(SGN_DIRTY_MAX * sizeof(struct sgn_dirty)) +
           ALIGN(SGN_DIRTY_HEADS * sizeof(uint32_t)) + 3 * ALIGN(partitions * sizeof(uint32_t)) +
           2 * ALIGN(partitions * sizeof(uint64_t)) + ALIGN(partitions * sizeof(uint16_t)) +
           2 * ALIGN(partitions / 8 + 1);
}

static void *place(uint8_t **at, size_t bytes)
{
    void *here = *at;
    *at += ALIGN(bytes);
    return here;
}

void sgn_order_init(struct sgn_engine *engine, void *memory)
{
    struct sgn_order *order = &engine->order;
    const struct sgn_ring *ring = engine->ring;
    size_t partitions = ring->partition_count;
    uint8_t *at = memory;
    order->map.lines = place(&at, lines_bytes(ring));
    order->work.scratch.lines = place(&at, lines_bytes(ring));
    order->known = place(&at, known_bytes(ring));
    order->down_since_ms = place(&at, ring->member_count * sizeof(uint64_t));
    order->cells = place(&at, SGN_CELLS_MAX * sizeof(struct sgn_cell));
    order->dirty = place(&at, SGN_DIRTY_MAX * sizeof(struct sgn_dirty));
    order->dirty_heads = place(&at, SGN_DIRTY_HEADS * sizeof(uint32_t));
    order->dirty_first = place(&at, partitions * sizeof(uint32_t));
    order->dirty_counts = place(&at, partitions * sizeof(uint32_t));
    order->caught_epoch = place(&at, partitions * sizeof(uint32_t));
    order->swept = place(&at, partitions * sizeof(uint64_t));
    order->purged = place(&at, partitions * sizeof(uint64_t));
    order->catchup = place(&at, partitions * sizeof(uint16_t));
    order->caught_up = place(&at, partitions / 8 + 1);
    order->emptied = place(&at, partitions / 8 + 1);
    SGN_ASSERT((size_t)(at - (uint8_t *)memory) == sgn_order_bytes(ring));
    sgn_map_work_init(engine);
}

enum sgn_err sgn_engine_restore_meta(struct sgn_engine *engine,
                                     struct sgn_bytes name,
                                     struct sgn_bytes value)
{
    struct sgn_order *order = &engine->order;
    bool is_ceiling = sgn_bytes_equal(name, sgn_bytes_str("ceiling"));
    if (sgn_bytes_equal(name, sgn_bytes_str("purged"))) {
        return sgn_purged_restore(engine, value);
    }
    if (!is_ceiling && !sgn_bytes_equal(name, sgn_bytes_str("watermark"))) {
        enum sgn_err err = sgn_map_work_restore(engine, name, value);
        sgn_floors_promise(engine);
        return err;
    }
    if (value.count != 8) {
        return SGN_ERR_CORRUPT;
    }
    uint64_t number = sgn_get_uint(value.ptr, 8);
    if (!is_ceiling) {
        order->watermark_start = order->watermark_stored = order->watermark = number;
        order->sequence = number > order->sequence ? number : order->sequence;
    } else if (!SGN_MUTANT(8)) {
        /* 3.4: what this node may have promised before it stopped, it has promised. */
        order->ceiling = number;
        const struct sgn_ballot all = {number, UINT32_MAX, UINT32_MAX, UINT32_MAX};
        if (sgn_ballot_compare(&all, &order->promise_floor) > 0) {
            order->promise_floor = all;
        }
        engine->hlc.last = number > engine->hlc.last ? number : engine->hlc.last;
    }
    return SGN_OK;
}

void sgn_order_tick(struct sgn_engine *engine)
{
    sgn_map_work_tick(engine);
    sgn_keeper_tick(engine);
    sgn_barrier_tick(engine);
    sgn_dirty_tick(engine);
    sgn_resolve_tick(engine);
    sgn_relearn_begin(engine);
    sgn_catchup_tick(engine);
    sgn_floor_tick(engine);
    sgn_sweep_partitions(engine);
}

/* Whether the request is one of an ordered bucket, and was handled. */
bool sgn_order_takes(struct sgn_engine *engine, const struct sgn_event *event)
{
    const struct sgn_msg *msg = &event->msg;
    const struct sgn_bucket *bucket = sgn_bucket_find(&engine->buckets, msg->bucket);
    bool ordered = bucket != NULL && bucket->kind == SGN_BUCKET_ORDERED;
    if (ordered && msg->type == SGN_MSG_REPL_PUT) {
        sgn_accept_request(engine, event);
        return true;
    }
    if (ordered && msg->type != SGN_MSG_REPL_GET) {
        sgn_order_request(engine, event);
        return true;
    }
    bool conditional = (msg->type == SGN_MSG_PUT || msg->type == SGN_MSG_DEL) &&
                       (msg->flags & (SGN_PUT_IF_ABSENT | SGN_PUT_IF_VERSION)) != 0;
    if (bucket != NULL && (conditional || msg->type == SGN_MSG_RESOLVE)) {
        sgn_fx_refuse(engine, event, SGN_ERR_NOT_ORDERED, NULL);
        return true;
    }
    if (msg->type == SGN_MSG_RESOLVE) {
        sgn_fx_refuse(engine, event, sgn_bucket_missing(engine), NULL);
        return true;
    }
    return false;
}

void sgn_order_clear(struct sgn_engine *engine)
{
    struct sgn_order *order = &engine->order;
    sgn_cells_clear(engine);
    sgn_map_work_clear(engine);
    for (uint32_t i = 0; i < order->link_count; i++) {
        sgn_buf_drop(engine, &order->links[i].batch);
    }
    for (uint32_t i = 0; i < engine->ring->member_count; i++) {
        sgn_buf_drop(engine, &order->commits[i]);
    }
    sgn_buf_drop(engine, &order->map_bytes);
}

void sgn_order_op_clear(struct sgn_engine *engine, struct sgn_op *op)
{
    if (op->kind == SGN_OP_ROUND) {
        sgn_buf_drop(engine, &op->u.round.best);
    } else if (op->kind == SGN_OP_FLOOR) {
        sgn_buf_drop(engine, &op->u.floor.page);
        sgn_buf_drop(engine, &op->u.floor.after);
    } else if (op->kind == SGN_OP_CATCHUP) {
        sgn_catchup_clear(engine, op);
    }
}

const struct sgn_map *sgn_engine_map(const struct sgn_engine *engine)
{
    return &engine->order.map;
}

bool sgn_engine_wants_flush(const struct sgn_engine *engine)
{
    return engine->order.flush_wanted;
}

uint64_t sgn_engine_stamp(const struct sgn_engine *engine)
{
    /* Chained rounds (3.2) issue no new hlc. A client whose stamps stood still with it would soon
     * be at or below the ops_floor of a busy key, and hear only "unknown" (3.5). */
    uint64_t wall = sgn_hlc_of_ms(engine->wall_ms);
    return wall > engine->hlc.last ? wall : engine->hlc.last;
}
