/* One node's page of a list: the part of a list that is read from the own store. */
#include "ring/core/order_inner.h"

enum sgn_err sgn_list_check(struct sgn_engine *engine,
                            const struct sgn_msg *msg,
                            const struct sgn_bucket **bucket)
{
    if (!sgn_bucket_name_valid(msg->bucket) || msg->key.count > SGN_KEY_BYTES_MAX ||
        msg->after.count > SGN_KEY_BYTES_MAX || msg->n > SGN_PAGE_ITEMS_MAX) {
        return SGN_ERR_INVALID;
    }
    *bucket = sgn_bucket_find(&engine->buckets, msg->bucket);
    return *bucket == NULL                              ? sgn_bucket_missing(engine)
           : (*bucket)->n > engine->ring->replica_count ? SGN_ERR_UNSUPPORTED
                                                        : SGN_OK;
}

void sgn_list_scan(struct sgn_engine *engine,
                   const struct sgn_op *op,
                   struct sgn_bytes after,
                   uint32_t limit,
                   struct sgn_bytes bitmap)
{
    struct sgn_effect *effect = sgn_fx_push(engine, SGN_FX_SCAN);
    effect->token = sgn_op_token(engine, op);
    effect->scan = (struct sgn_scan){
        .family = SGN_FAMILY_DATA,
        .prefix = op->full_key,
        .items_max = limit,
        .examined_max = SGN_PAGE_EXAMINED_MAX,
        .bytes_max = SGN_PAGE_BYTES_MAX,
        .partitions = bitmap,
        .heads_only = true,
        .ordered = op->kind == SGN_OP_REPLICA_LIST && op->u.page.ordered,
    };
    if (after.count > 0) {
        struct sgn_sink sink = sgn_arena_sink(engine, op->bucket.count + 1 + after.count);
        sgn_full_key_encode(op->bucket, after, &sink);
        effect->scan.after = sgn_sink_bytes(&sink);
    }
}

void sgn_list_replica(struct sgn_engine *engine, const struct sgn_event *event)
{
    const struct sgn_msg *msg = &event->msg;
    const struct sgn_bucket *bucket = NULL;
    enum sgn_err err = sgn_list_check(engine, msg, &bucket);
    if (err == SGN_OK &&
        (msg->n == 0 || msg->items.count != (engine->ring->partition_count + 7) / 8)) {
        err = SGN_ERR_INVALID;
    }
    if (err != SGN_OK) {
        sgn_fx_refuse(engine, event, err, NULL);
        return;
    }
    if (bucket->kind == SGN_BUCKET_ORDERED) {
        sgn_page_request(engine, event);
        return;
    }
    struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_REPLICA_LIST, SGN_FOR_PEER);
    if (op == NULL ||
        !sgn_op_copy(
            engine, op, msg->bucket, msg->key, sgn_bytes_of(NULL, 0), sgn_bytes_of(NULL, 0))) {
        if (op != NULL) {
            sgn_op_free(engine, op);
        }
        sgn_fx_refuse(engine, event, SGN_ERR_BUSY, NULL);
        return;
    }
    op->token = event->token;
    sgn_list_scan(engine, op, msg->after, msg->n, msg->items);
}

/* Store keys to keys: cuts `bucket NUL` off. */
static struct sgn_bytes cut_bucket(const struct sgn_op *op, struct sgn_bytes full_key)
{
    size_t skip = op->bucket.count + 1;
    return full_key.count <= skip
               ? sgn_bytes_of(NULL, 0)
               : sgn_bytes_of((const uint8_t *)full_key.ptr + skip, full_key.count - skip);
}

void sgn_list_scanned(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    if (op->kind == SGN_OP_REPLICA_LIST && op->u.page.ordered) {
        sgn_page_scanned(engine, op, event);
        return;
    }
    struct sgn_buf *page = sgn_buf_get(engine, event->items.count);
    int err = event->err != SGN_OK ? event->err : page == NULL ? SGN_ERR_BUSY : SGN_OK;
    struct sgn_sink sink = sgn_sink_of(page == NULL ? NULL : page->bytes, event->items.count);
    struct sgn_cursor cursor = sgn_cursor_of(event->items);
    struct sgn_bytes key;
    struct sgn_bytes value;
    while (err == SGN_OK && sgn_items_next(&cursor, &key, &value)) {
        sgn_items_push(&sink, cut_bucket(op, key), value);
    }
    struct sgn_bytes after = cut_bucket(op, event->after);
    if (op->kind == SGN_OP_REPLICA_LIST) {
        op->replied = true;
        sgn_fx_reply(engine,
                     op->token,
                     (struct sgn_msg){.type = SGN_MSG_REPL_PAGE,
                                      .err = err,
                                      .items = sgn_sink_bytes(&sink),
                                      .after = after,
                                      .flags = event->end ? SGN_RESULT_END : 0});
        sgn_op_free(engine, op);
    } else if (op->list != NULL && err != SGN_OK) {
        sgn_list_fail(engine, op, (enum sgn_err)err, sgn_bytes_of(NULL, 0));
    } else if (op->list != NULL) {
        sgn_list_page(engine, op, engine->options.node, sgn_sink_bytes(&sink), after, event->end);
    }
    sgn_buf_drop(engine, &page);
}
