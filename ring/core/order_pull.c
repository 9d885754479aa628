/* The source's side of catching up (protocol.md 6.1): pages of all keys of a partition with their
 * accepted ballots, each answered inside one epoch. A page is read from the disk: what an earlier
 * epoch accepted is there, for a map becomes durable behind it and is adopted only then. */
#include "ring/core/order_inner.h"

uint8_t sgn_pull_flags(const struct sgn_engine *engine, struct sgn_key_hash key, uint64_t sequence)
{
    const struct sgn_order *order = &engine->order;
    const struct sgn_dirty *entry = sgn_dirty_find(engine, key);
    if (entry != NULL) {
        return (uint8_t)(SGN_PULL_UNSETTLED | (entry->pending ? SGN_PULL_PENDING : 0));
    }
    /* 3.6: what the dirty set had no room for after a restart. */
    bool lost =
        order->dirty_lost && sequence > order->watermark_start && sequence < order->first_sequence;
    return lost ? SGN_PULL_UNSETTLED | SGN_PULL_PENDING : 0;
}

void sgn_pull_scan(struct sgn_engine *engine, const struct sgn_op *op, struct sgn_bytes after)
{
    struct sgn_sink prefix = sgn_arena_sink(engine, 2);
    sgn_sink_uint(&prefix, op->partition >> 8, 1);
    sgn_sink_uint(&prefix, op->partition & 0xff, 1);
    struct sgn_effect *effect = sgn_fx_push(engine, SGN_FX_SCAN);
    effect->token = sgn_op_token(engine, op);
    effect->scan = (struct sgn_scan){.family = SGN_FAMILY_TREE,
                                     .prefix = sgn_sink_bytes(&prefix),
                                     .after = after,
                                     .items_max = SGN_TREE_PAGE_ITEMS,
                                     .examined_max = SGN_PAGE_EXAMINED_MAX,
                                     .bytes_max = SGN_PAGE_BYTES_MAX};
}

/* 6.1: peers answer from inside the epoch asked for; only seats are peers. */
static bool pull_in_epoch(struct sgn_engine *engine, uint32_t partition, uint32_t epoch)
{
    const struct sgn_line *line = sgn_order_line(engine, partition);
    return sgn_own_seat(engine, line) >= 0 && (line->epoch == epoch || SGN_MUTANT(25));
}

void sgn_catchup_pull(struct sgn_engine *engine, const struct sgn_event *event)
{
    const struct sgn_msg *msg = &event->msg;
    if (msg->a >= engine->ring->partition_count) {
        sgn_fx_refuse(engine, event, SGN_ERR_INVALID, NULL);
        return;
    }
    if (!pull_in_epoch(engine, (uint32_t)msg->a, msg->epoch)) {
        sgn_fx_refuse(engine, event, SGN_ERR_STALE, NULL);
        return;
    }
    struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_CATCHUP, SGN_FOR_PEER);
    if (op == NULL) {
        sgn_fx_refuse(engine, event, SGN_ERR_BUSY, NULL);
        return;
    }
    op->token = event->token;
    op->partition = (uint32_t)msg->a;
    op->u.catchup = (struct sgn_op_catchup){.serving = true, .epoch = msg->epoch};
    sgn_pull_scan(engine,
                  op,
                  msg->after.count > 0 ? sgn_tree_key(engine, msg->after) : sgn_bytes_of(NULL, 0));
}

/* Own tree entries of ordered buckets as (full key -> ballot, flags). False: one cannot be read,
 * and is being repaired; a page without it would hide its key (2: it abstains). */
static bool pull_items(struct sgn_engine *engine,
                       const struct sgn_event *event,
                       struct sgn_sink *sink)
{
    struct sgn_cursor cursor = sgn_cursor_of(event->items);
    struct sgn_bytes key;
    struct sgn_bytes value;
    while (sgn_items_next(&cursor, &key, &value)) {
        if (key.count <= 10 || value.count == 8) {
            continue; /* Of an available bucket. */
        }
        struct sgn_bytes full_key = sgn_bytes_of((const uint8_t *)key.ptr + 10, key.count - 10);
        if (value.count != SGN_TREE_ORDERED_BYTES && sgn_key_is_available(engine, full_key)) {
            continue;
        }
        if (value.count != SGN_TREE_ORDERED_BYTES) {
            (void)sgn_round_resolve(engine, full_key, NULL);
            return false;
        }
        const uint8_t *raw = value.ptr;
        uint8_t item[SGN_BALLOT_BYTES + 1];
        memcpy(item, raw + 16, SGN_BALLOT_BYTES);
        item[SGN_BALLOT_BYTES] =
            sgn_pull_flags(engine,
                           sgn_key_hash_of(full_key, engine->order.map.hash_seed),
                           sgn_get_uint(raw + 8, 8));
        sgn_items_push(sink, full_key, sgn_bytes_of(item, sizeof(item)));
    }
    SGN_ASSERT(!sink->full); /* Every item is shorter than the entry it was made of. */
    return true;
}

void sgn_pull_scanned(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    struct sgn_buf *page = sgn_buf_get(engine, event->items.count);
    struct sgn_sink sink = sgn_sink_of(page == NULL ? NULL : page->bytes, event->items.count);
    int err = event->err != SGN_OK ? event->err : page == NULL ? SGN_ERR_BUSY : SGN_OK;
    if (!pull_in_epoch(engine, op->partition, op->u.catchup.epoch)) {
        err = SGN_ERR_STALE; /* An epoch came between: each page is answered inside one. */
    }
    if (err == SGN_OK) {
        err = pull_items(engine, event, &sink) ? SGN_OK : SGN_ERR_CORRUPT;
    }
    struct sgn_bytes after = event->after;
    after = after.count <= 10 ? sgn_bytes_of(NULL, 0)
                              : sgn_bytes_of((const uint8_t *)after.ptr + 10, after.count - 10);
    op->replied = true;
    sgn_fx_reply(engine,
                 op->token,
                 (struct sgn_msg){.type = SGN_MSG_PULL_PAGE,
                                  .err = err,
                                  .items = sgn_sink_bytes(&sink),
                                  .after = after,
                                  .flags = event->end ? SGN_RESULT_END : 0,
                                  .a = engine->order.map.version});
    engine->fx->list[engine->fx->count - 1].msg.epoch = op->u.catchup.epoch;
    sgn_buf_drop(engine, &page);
    sgn_op_free(engine, op);
}
