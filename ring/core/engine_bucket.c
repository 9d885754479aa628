/* The bucket table: requests that change it, and its way to the other nodes. */
#include "ring/core/engine_inner.h"

enum sgn_err sgn_bucket_missing(const struct sgn_engine *engine)
{
    bool all_alive = engine->counts.peers_alive + 1 == engine->ring->member_count;
    if (!all_alive && engine->now_ms - engine->started_ms < SGN_BUCKETS_HEARD_MS) {
        return SGN_ERR_BUSY; /* Just started: not all have told what they know. */
    }
    for (uint32_t i = 0; i < engine->ring->member_count; i++) {
        const struct sgn_peer *peer = &engine->peers[i];
        if (i != engine->self && peer->connected && peer->heard_any &&
            peer->buckets_digest != engine->buckets_digest) {
            return SGN_ERR_BUSY;
        }
    }
    return SGN_ERR_NO_BUCKET;
}

#define ROWS_IN_A_STORE 4u
_Static_assert(ROWS_IN_A_STORE <= SGN_EFFECT_WRITES_MAX, "one unit");

static void row_write(struct sgn_engine *engine,
                      struct sgn_effect *effect,
                      const struct sgn_bucket *row)
{
    struct sgn_sink key = sgn_text(engine, "buckets/");
    sgn_text_str(&key, row->name);
    struct sgn_sink value = sgn_arena_sink(engine, SGN_BUCKET_ROW_BYTES_MAX);
    sgn_bucket_encode(row, &value);
    SGN_ASSERT(!value.full);
    effect->writes[effect->write_count++] = (struct sgn_store_write){
        .family = SGN_FAMILY_META,
        .key = sgn_sink_bytes(&key),
        .value = sgn_sink_bytes(&value),
    };
}

static void table_changed(struct sgn_engine *engine)
{
    engine->buckets_digest = sgn_bucket_table_digest(&engine->buckets);
    for (uint32_t i = 0; i < engine->ring->member_count; i++) {
        engine->peers[i].buckets_due = true;
        engine->peers[i].buckets_sent_ms = 0;
    }
    sgn_member_beat_soon(engine); /* Who waits for us to show the change need not wait long. */
}

static void list_buckets(struct sgn_engine *engine, const struct sgn_event *event)
{
    size_t most = SGN_BUCKETS_MAX *
                  (SGN_ITEM_OVERHEAD_BYTES + SGN_BUCKET_BYTES_MAX + SGN_BUCKET_ROW_BYTES_MAX);
    _Static_assert(SGN_BUCKETS_MAX * (SGN_ITEM_OVERHEAD_BYTES + SGN_BUCKET_BYTES_MAX +
                                      SGN_BUCKET_ROW_BYTES_MAX) <=
                       SGN_PAGE_BYTES_MAX,
                   "all buckets fit a page");
    struct sgn_buf *buf = sgn_buf_get(engine, most);
    if (buf == NULL) {
        sgn_fx_refuse(engine, event, SGN_ERR_BUSY, NULL);
        return;
    }
    struct sgn_sink sink = sgn_sink_of(buf->bytes, most);
    for (uint32_t i = 0; i < engine->buckets.count; i++) {
        const struct sgn_bucket *row = &engine->buckets.rows[i];
        uint8_t raw[SGN_BUCKET_ROW_BYTES_MAX];
        struct sgn_sink value = sgn_sink_of(raw, sizeof(raw));
        if (!row->dead) {
            sgn_bucket_encode(row, &value);
            sgn_items_push(&sink, sgn_bytes_str(row->name), sgn_sink_bytes(&value));
        }
    }
    SGN_ASSERT(!sink.full);
    sgn_fx_reply(engine,
                 event->token,
                 (struct sgn_msg){.type = SGN_MSG_RESULT,
                                  .items = sgn_sink_bytes(&sink),
                                  .flags = SGN_RESULT_END});
    sgn_buf_drop(engine, &buf);
}

static void row_store(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_bucket *row = &op->u.bucket_change.row;
    const struct sgn_bucket *now = sgn_bucket_row(&engine->buckets, op->bucket);
    row->stamp = sgn_hlc_now(&engine->hlc, engine->wall_ms);
    if (now != NULL && row->stamp <= now->stamp) {
        row->stamp = now->stamp + 1; /* Later than what is there, whatever the clocks say. */
    }
    row->node = engine->options.node;
    struct sgn_effect *effect = sgn_fx_push(engine, SGN_FX_STORE);
    effect->token = sgn_op_token(engine, op);
    row_write(engine, effect, row);
}

/* Decides a BUCKET_PUT. SGN_OK and `done`: nothing to do. */
static enum sgn_err create_check(struct sgn_engine *engine,
                                 const struct sgn_msg *msg,
                                 struct sgn_bucket *row,
                                 bool *done,
                                 const char **why)
{
    uint64_t word = (msg->b & 0xff) != 0 ? msg->b : msg->b | (msg->a & 0xff); /* a is the kind. */
    enum sgn_err err = sgn_bucket_props_unpack(word, engine->ring->replica_count, row, why);
    const struct sgn_bucket *now = sgn_bucket_row(&engine->buckets, msg->bucket);
    if (err != SGN_OK) {
        return err;
    }
    if (now == NULL) {
        if (engine->buckets.count == SGN_BUCKETS_MAX) {
            *why = "the ring has all the buckets it can, deleted ones among them";
            return SGN_ERR_INVALID;
        }
        return SGN_OK;
    }
    if (!now->dead) {
        *done = now->kind == row->kind && now->n == row->n && now->r == row->r && now->w == row->w;
        return *done ? SGN_OK : SGN_ERR_BUCKET_EXISTS;
    }
    if (now->kind != row->kind) {
        /* Tombstones of the old one lie there still, and neither kind can read the other's. */
        *why = now->kind == SGN_BUCKET_ORDERED
                   ? "an ordered bucket of this name was deleted; it can come back only as ordered"
                   : "an available bucket of this name was deleted; it can come back only as "
                     "available";
        return SGN_ERR_INVALID;
    }
    if (now->n != row->n) {
        /* Tombstones of the old one are counted in the hash trees by its n (tree.h). */
        *why = "a bucket of this name was deleted; it can come back only with the same n";
        return SGN_ERR_INVALID;
    }
    return SGN_OK;
}

static enum sgn_err delete_check(struct sgn_engine *engine,
                                 const struct sgn_msg *msg,
                                 struct sgn_bucket *row,
                                 const char **why)
{
    const struct sgn_bucket *now = sgn_bucket_find(&engine->buckets, msg->bucket);
    if (now == NULL) {
        return sgn_bucket_missing(engine);
    }
    if (sgn_bytes_equal(msg->bucket, sgn_bytes_str("default"))) {
        *why = "the bucket default cannot be deleted";
        return SGN_ERR_INVALID;
    }
    *row = *now;
    row->dead = true;
    return SGN_OK;
}

/* Also those that are connected and late with their heartbeats: they serve clients all the same. */
static bool peers_show(const struct sgn_engine *engine)
{
    for (uint32_t i = 0; i < engine->ring->member_count; i++) {
        const struct sgn_peer *peer = &engine->peers[i];
        if (i != engine->self && peer->connected &&
            peer->buckets_digest != engine->buckets_digest) {
            return false;
        }
    }
    return true;
}

/* The client is answered when all peers show our table, or when the time for it is over: who makes
 * a bucket and then asks another node for it must not hear that there is none. */
static void answer_when_shown(struct sgn_engine *engine, struct sgn_op *op)
{
    op->u.bucket_change.stored = true;
    op->deadline_ms = engine->now_ms + SGN_BUCKET_SETTLE_MS;
    engine->sweep_next = 0; /* Alone in the ring, or nobody else alive: answered at once. */
}

void sgn_bucket_request(struct sgn_engine *engine, const struct sgn_event *event)
{
    const struct sgn_msg *msg = &event->msg;
    struct sgn_bucket row = {0};
    const char *why = NULL;
    bool done = false;
    bool is_delete = msg->type == SGN_MSG_BUCKET_DEL;
    if (msg->type == SGN_MSG_BUCKET_LIST) {
        list_buckets(engine, event);
        return;
    }
    enum sgn_err err = !sgn_bucket_name_valid(msg->bucket) ? SGN_ERR_INVALID
                       : is_delete                         ? delete_check(engine, msg, &row, &why)
                                   : create_check(engine, msg, &row, &done, &why);
    if (err != SGN_OK) {
        sgn_fx_refuse(engine, event, err, why);
        return;
    }
    if (done && peers_show(engine)) {
        sgn_fx_reply(engine, event->token, (struct sgn_msg){.type = SGN_MSG_RESULT});
        return;
    }
    memcpy(row.name, msg->bucket.ptr, msg->bucket.count);
    struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_BUCKET, SGN_FOR_CLIENT);
    struct sgn_bytes none = sgn_bytes_of(NULL, 0);
    if (op == NULL || !sgn_op_copy(engine, op, msg->bucket, none, none, none)) {
        if (op != NULL) {
            sgn_op_free(engine, op);
        }
        sgn_fx_refuse(engine, event, SGN_ERR_BUSY, NULL);
        return;
    }
    op->token = event->token;
    op->u.bucket_change = (struct sgn_op_bucket){.is_delete = is_delete, .row = row};
    op->n = row.n;
    op->quorum = row.r;
    if (done) {
        answer_when_shown(engine, op); /* Another client's create of it is still under way. */
    } else if (is_delete) {
        sgn_list_look(engine, op);
    } else {
        row_store(engine, op);
    }
}

void sgn_bucket_looked(struct sgn_engine *engine,
                       struct sgn_op *op,
                       enum sgn_err err,
                       struct sgn_bytes text)
{
    if (err != SGN_OK) {
        sgn_op_fail(engine, op, err, text);
        sgn_op_free(engine, op);
        return;
    }
    row_store(engine, op);
}

void sgn_bucket_stored(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    if (event->err != SGN_OK) {
        sgn_op_fail(engine, op, (enum sgn_err)event->err, sgn_bytes_of(NULL, 0));
        sgn_op_free(engine, op);
        return;
    }
    if (sgn_bucket_merge(&engine->buckets, &op->u.bucket_change.row)) {
        table_changed(engine);
    }
    answer_when_shown(engine, op);
}

void sgn_bucket_op_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    if (!op->u.bucket_change.stored) {
        sgn_list_tick(engine, op);
        return;
    }
    if (peers_show(engine) || engine->now_ms >= op->deadline_ms) {
        sgn_op_reply(engine, op, (struct sgn_msg){.type = SGN_MSG_RESULT});
        sgn_op_free(engine, op);
    }
}

void sgn_bucket_rows(struct sgn_engine *engine, const struct sgn_event *event)
{
    struct sgn_cursor cursor = sgn_cursor_of(event->msg.items);
    struct sgn_bytes key;
    struct sgn_bytes value;
    bool changed = false;
    while (sgn_items_next(&cursor, &key, &value)) {
        struct sgn_cursor row_cursor = sgn_cursor_of(value);
        struct sgn_bucket row;
        /* A stamp from far ahead would win for ever: refused as any such stamp is. */
        if (sgn_bucket_decode_next(&row_cursor, &row) && row.n <= engine->ring->replica_count &&
            sgn_hlc_merge(&engine->hlc, row.stamp, engine->wall_ms) == SGN_OK) {
            changed = sgn_bucket_merge(&engine->buckets, &row) || changed;
        }
    }
    if (changed) {
        engine->rows_again = true;
        table_changed(engine);
    }
}

static void rows_store(struct sgn_engine *engine)
{
    if (engine->rows_again && !engine->rows_storing) {
        engine->rows_again = false;
        engine->rows_next = 0; /* Rows move when others come in: write them all anew. */
    }
    if (engine->rows_storing || engine->rows_next >= engine->buckets.count ||
        engine->now_ms < engine->rows_retry_ms) {
        return;
    }
    struct sgn_effect *effect = sgn_fx_push(engine, SGN_FX_STORE);
    effect->token = sgn_token(SGN_TOKEN_ROWS, 0, 0);
    engine->rows_storing = true;
    for (uint32_t i = 0; i < ROWS_IN_A_STORE && engine->rows_next < engine->buckets.count; i++) {
        row_write(engine, effect, &engine->buckets.rows[engine->rows_next++]);
    }
}

void sgn_bucket_rows_stored(struct sgn_engine *engine, const struct sgn_event *event)
{
    engine->rows_storing = false;
    if (event->err != SGN_OK) {
        engine->rows_again = true;
        engine->rows_retry_ms = engine->now_ms + SGN_STORE_RETRY_MS;
    }
    rows_store(engine);
}

static void rows_send(struct sgn_engine *engine, uint32_t index)
{
    size_t most = engine->buckets.count * (SGN_ITEM_OVERHEAD_BYTES + SGN_BUCKET_ROW_BYTES_MAX);
    struct sgn_buf *buf = sgn_buf_get(engine, most);
    if (buf == NULL) {
        engine->peers[index].buckets_due = true;
        return;
    }
    struct sgn_sink sink = sgn_sink_of(buf->bytes, most);
    for (uint32_t i = 0; i < engine->buckets.count; i++) {
        uint8_t raw[SGN_BUCKET_ROW_BYTES_MAX];
        struct sgn_sink value = sgn_sink_of(raw, sizeof(raw));
        sgn_bucket_encode(&engine->buckets.rows[i], &value);
        sgn_items_push(&sink, sgn_bytes_of(NULL, 0), sgn_sink_bytes(&value));
    }
    SGN_ASSERT(!sink.full);
    engine->peers[index].buckets_due = false;
    engine->peers[index].buckets_sent_ms = engine->now_ms;
    sgn_fx_send(engine,
                engine->ring->members[index].id,
                NULL,
                (struct sgn_msg){.type = SGN_MSG_BUCKETS, .items = sgn_sink_bytes(&sink)});
    sgn_buf_drop(engine, &buf);
}

void sgn_bucket_tick(struct sgn_engine *engine)
{
    rows_store(engine);
    for (uint32_t i = 0; i < engine->ring->member_count; i++) {
        struct sgn_peer *peer = &engine->peers[i];
        bool waited = peer->buckets_sent_ms == 0 ||
                      engine->now_ms - peer->buckets_sent_ms >= SGN_BUCKETS_SEND_MS;
        if (i != engine->self && peer->connected && peer->buckets_due && waited &&
            sgn_fx_has_room(engine)) {
            peer->buckets_due = false;
            if (peer->buckets_digest != engine->buckets_digest) {
                rows_send(engine, i);
            }
        }
    }
}
