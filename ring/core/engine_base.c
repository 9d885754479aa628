/* Buffers, effects, sentences and op slots: what every part of the engine stands on. */
#include "ring/core/order_inner.h"

struct sgn_buf *sgn_buf_get(struct sgn_engine *engine, size_t cap)
{
    struct sgn_buf *buf = engine->pool->get(engine->pool, sizeof(*buf) + cap);
    if (buf != NULL) {
        buf->next = NULL;
        buf->refs = 1;
        buf->count = cap;
    }
    return buf;
}

struct sgn_buf *sgn_buf_copy(struct sgn_engine *engine, struct sgn_bytes bytes)
{
    struct sgn_buf *buf = sgn_buf_get(engine, bytes.count);
    if (buf != NULL && bytes.count > 0) {
        memcpy(buf->bytes, bytes.ptr, bytes.count);
    }
    return buf;
}

struct sgn_buf *sgn_buf_keep(struct sgn_buf *buf)
{
    if (buf != NULL) {
        SGN_ASSERT(buf->refs > 0);
        buf->refs++;
    }
    return buf;
}

void sgn_buf_drop(struct sgn_engine *engine, struct sgn_buf **buf)
{
    struct sgn_buf *gone = *buf;
    *buf = NULL;
    if (gone == NULL) {
        return;
    }
    SGN_ASSERT(gone->refs > 0);
    if (--gone->refs == 0) {
        gone->next = engine->garbage;
        engine->garbage = gone;
    }
}

void sgn_garbage_free(struct sgn_engine *engine)
{
    while (engine->garbage != NULL) {
        struct sgn_buf *next = engine->garbage->next;
        engine->pool->put(engine->pool, engine->garbage);
        engine->garbage = next;
    }
}

struct sgn_sink sgn_arena_sink(struct sgn_engine *engine, size_t cap)
{
    SGN_ASSERT(cap <= SGN_ARENA_BYTES - engine->arena_used);
    struct sgn_sink sink = sgn_sink_of(engine->arena + engine->arena_used, cap);
    engine->arena_used += cap;
    return sink;
}

struct sgn_bytes sgn_arena_uint(struct sgn_engine *engine, uint64_t value, uint32_t width)
{
    struct sgn_sink sink = sgn_arena_sink(engine, width);
    sgn_sink_uint(&sink, value, width);
    return sgn_sink_bytes(&sink);
}

struct sgn_effect *sgn_fx_push(struct sgn_engine *engine, enum sgn_effect_type type)
{
    SGN_ASSERT(engine->fx->count < SGN_EFFECTS_MAX);
    struct sgn_effect *effect = &engine->fx->list[engine->fx->count++];
    memset(effect, 0, sizeof(*effect));
    effect->type = type;
    return effect;
}

void sgn_fx_send(struct sgn_engine *engine,
                 uint32_t node,
                 const struct sgn_op *op,
                 struct sgn_msg msg)
{
    SGN_ASSERT(node != engine->options.node);
    struct sgn_effect *effect = sgn_fx_push(engine, SGN_FX_SEND);
    effect->node = node;
    effect->msg = msg;
    effect->msg.epoch = engine->ring->epoch;
    effect->msg.request =
        op == NULL ? 0 : op->generation << SGN_OP_INDEX_BITS | sgn_op_index(engine, op);
}

void sgn_fx_reply(struct sgn_engine *engine, uint64_t token, struct sgn_msg msg)
{
    struct sgn_effect *effect = sgn_fx_push(engine, SGN_FX_REPLY);
    effect->token = token;
    effect->msg = msg;
    effect->msg.epoch = engine->ring->epoch;
    if (msg.type == SGN_MSG_RESULT) {
        effect->msg.node = engine->options.node;
        effect->msg.stamp = sgn_engine_stamp(engine);
        if (msg.err != SGN_OK && msg.text.count == 0) {
            effect->msg.text = sgn_bytes_str(sgn_err_text(msg.err));
        }
    }
}

void sgn_fx_refuse(struct sgn_engine *engine,
                   const struct sgn_event *event,
                   enum sgn_err err,
                   const char *text)
{
    SGN_ASSERT(err != SGN_OK);
    struct sgn_msg msg = {.type = sgn_msg_answer_to(event->msg.type), .err = err};
    if (text != NULL) {
        msg.text = sgn_bytes_str(text);
    }
    if (err == SGN_ERR_BUSY) {
        engine->counts.refused_busy++;
    }
    sgn_fx_reply(engine, event->token, msg);
}

void sgn_fx_load(struct sgn_engine *engine,
                 uint64_t token,
                 enum sgn_family family,
                 struct sgn_bytes key)
{
    struct sgn_effect *effect = sgn_fx_push(engine, SGN_FX_LOAD);
    effect->token = token;
    effect->family = family;
    effect->key = key;
}

void sgn_fx_log(struct sgn_engine *engine, const char *text)
{
    if (engine->now_ms >= engine->log_due_ms) {
        sgn_fx_push(engine, SGN_FX_LOG)->text = text;
        engine->log_due_ms = engine->now_ms + SGN_LOG_EVERY_MS;
    }
}

/* Big-endian, so that store keys sort as numbers. */
static void sink_big(struct sgn_sink *sink, uint64_t value, uint32_t width)
{
    for (uint32_t i = width; i > 0; i--) {
        sgn_sink_uint(sink, (value >> (8 * (i - 1))) & 0xff, 1);
    }
}

struct sgn_bytes sgn_hint_key(struct sgn_engine *engine, uint32_t node, struct sgn_bytes full_key)
{
    struct sgn_sink sink = sgn_arena_sink(engine, 4 + full_key.count);
    sink_big(&sink, node, 4);
    sgn_sink_put(&sink, full_key.ptr, full_key.count);
    return sgn_sink_bytes(&sink);
}

struct sgn_bytes sgn_tree_key(struct sgn_engine *engine, struct sgn_bytes full_key)
{
    uint64_t hash = sgn_hash(full_key);
    struct sgn_sink sink = sgn_arena_sink(engine, 10 + full_key.count);
    sink_big(&sink, sgn_partition_of(hash, engine->ring->partition_count), 2);
    sink_big(&sink, hash, 8);
    sgn_sink_put(&sink, full_key.ptr, full_key.count);
    return sgn_sink_bytes(&sink);
}

struct sgn_sink sgn_text(struct sgn_engine *engine, const char *begin)
{
    struct sgn_sink text = sgn_arena_sink(engine, SGN_TEXT_BYTES);
    sgn_text_str(&text, begin);
    return text;
}

/* A sentence too long is cut, not lost. */
void sgn_text_str(struct sgn_sink *text, const char *str)
{
    size_t count = strlen(str);
    size_t left = text->cap - text->count;
    sgn_sink_put(text, str, count < left ? count : left);
}

void sgn_text_uint(struct sgn_sink *text, uint64_t value)
{
    char digits[21];
    size_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    sgn_text_str(text, digits + at);
}

void sgn_op_renew(struct sgn_op *op)
{
    SGN_ASSERT(!op->write.waiting);
    /* 20 bits of it travel in a request's number; never 0. */
    op->generation = (op->generation + 1) & (UINT32_MAX >> SGN_OP_INDEX_BITS);
    op->generation += op->generation == 0;
}

struct sgn_op *sgn_op_acquire(struct sgn_engine *engine,
                              enum sgn_op_kind kind,
                              enum sgn_op_class op_class)
{
    uint32_t kept = op_class == SGN_FOR_CLIENT ? SGN_OPS_KEPT_FOR_PEERS
                    : op_class == SGN_FOR_PEER ? SGN_OPS_KEPT_FOR_BACKGROUND
                                               : 0;
    if (engine->op_free_count <= kept) {
        return NULL;
    }
    bool fresh = engine->op_high < SGN_OPS_MAX;
    uint16_t index = fresh ? (uint16_t)engine->op_high++ : engine->op_free_head;
    struct sgn_op *op = &engine->ops[index];
    if (!fresh) {
        engine->op_free_head = op->next_free;
        engine->op_free_tail = op->next_free == SGN_NONE ? SGN_NONE : engine->op_free_tail;
    }
    engine->op_free_count--;
    /* First in, first out: a slot's number comes back as late as it can. */
    uint32_t generation = op->generation;
    /* But for the targets, which are whole when they are counted: they are half of it. */
    memset(op, 0, offsetof(struct sgn_op, targets));
    memset((uint8_t *)op + offsetof(struct sgn_op, u), 0, sizeof(*op) - offsetof(struct sgn_op, u));
    op->generation = generation;
    sgn_op_renew(op);
    op->kind = kind;
    op->begun_ms = engine->now_ms;
    op->deadline_ms = engine->now_ms + engine->options.request_timeout_ms;
    engine->op_used[index / 64] |= UINT64_C(1) << (index % 64);
    return op;
}

void sgn_op_free(struct sgn_engine *engine, struct sgn_op *op)
{
    SGN_ASSERT(op->kind != SGN_OP_FREE);
    SGN_ASSERT(!op->write.waiting);
    if (op->kind == SGN_OP_PUT || op->kind == SGN_OP_FORWARD) {
        sgn_buf_drop(engine, &op->u.put.context);
    }
    if (op->kind == SGN_OP_HINT_PEER) {
        sgn_buf_drop(engine, &op->u.hint_peer.page);
        sgn_buf_drop(engine, &op->u.hint_peer.after);
    }
    if (op->kind == SGN_OP_TREE_ROUND || op->kind == SGN_OP_TREE_KEYS) {
        sgn_buf_drop(engine, &op->u.tree.theirs);
        sgn_buf_drop(engine, &op->u.tree.ours);
        sgn_buf_drop(engine, &op->u.tree.after);
    }
    sgn_list_clear(engine, op);
    sgn_order_op_clear(engine, op);
    sgn_buf_drop(engine, &op->request);
    sgn_buf_drop(engine, &op->result);
    uint16_t index = sgn_op_index(engine, op);
    engine->op_used[index / 64] &= ~(UINT64_C(1) << (index % 64));
    op->kind = SGN_OP_FREE;
    op->next_free = SGN_NONE;
    if (engine->op_free_tail == SGN_NONE) {
        engine->op_free_head = index;
    } else {
        engine->ops[engine->op_free_tail].next_free = index;
    }
    engine->op_free_tail = index;
    engine->op_free_count++;
}

struct sgn_op *sgn_op_at(struct sgn_engine *engine, uint32_t index, uint32_t generation)
{
    if (index >= SGN_OPS_MAX || engine->ops[index].kind == SGN_OP_FREE ||
        engine->ops[index].generation != generation) {
        return NULL;
    }
    return &engine->ops[index];
}

struct sgn_op *sgn_op_of_request(struct sgn_engine *engine, uint32_t request)
{
    return sgn_op_at(engine, request & (SGN_OPS_MAX - 1), request >> SGN_OP_INDEX_BITS);
}

uint64_t sgn_op_token(const struct sgn_engine *engine, const struct sgn_op *op)
{
    return sgn_token(SGN_TOKEN_OP, sgn_op_index(engine, op), op->generation);
}

bool sgn_op_copy(struct sgn_engine *engine,
                 struct sgn_op *op,
                 struct sgn_bytes bucket,
                 struct sgn_bytes key,
                 struct sgn_bytes value,
                 struct sgn_bytes context)
{
    SGN_ASSERT(op->request == NULL);
    size_t full_count = bucket.count + 1 + key.count;
    op->request = sgn_buf_get(engine, full_count + value.count + context.count);
    if (op->request == NULL) {
        return false;
    }
    struct sgn_sink sink = sgn_sink_of(op->request->bytes, op->request->count);
    sgn_full_key_encode(bucket, key, &sink);
    SGN_ASSERT(sink.count == full_count);
    sgn_sink_put(&sink, value.ptr, value.count);
    sgn_sink_put(&sink, context.ptr, context.count);
    SGN_ASSERT(!sink.full);
    const uint8_t *at = op->request->bytes;
    op->full_key = sgn_bytes_of(at, full_count);
    op->bucket = sgn_bytes_of(at, bucket.count);
    op->key = sgn_bytes_of(at + bucket.count + 1, key.count);
    op->value = sgn_bytes_of(at + full_count, value.count);
    op->context = sgn_bytes_of(at + full_count + value.count, context.count);
    return true;
}

bool sgn_op_copy_full(struct sgn_engine *engine,
                      struct sgn_op *op,
                      struct sgn_bytes full_key,
                      struct sgn_bytes value)
{
    struct sgn_bytes bucket;
    struct sgn_bytes key;
    return sgn_full_key_split(full_key, &bucket, &key) &&
           sgn_op_copy(engine, op, bucket, key, value, sgn_bytes_of(NULL, 0));
}
