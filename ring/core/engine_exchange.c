/* Anti-entropy, the answering side: a peer has sent the keys of a leaf; what differs from the own
 * is exchanged record by record, both ways (REPL_PUT that wants the merged record back). */
#include "ring/core/order_inner.h"

void sgn_trees_keys(struct sgn_engine *engine, const struct sgn_event *event)
{
    const struct sgn_msg *msg = &event->msg;
    int peer = sgn_ring_find(engine->ring, event->node);
    if (peer < 0 || msg->a >= engine->ring->partition_count || msg->b >= 2 * SGN_TREE_LEAVES ||
        sgn_trees_least(engine, (uint32_t)msg->a, event->node) == 0 ||
        engine->tree_keys_ops >= SGN_TREE_KEYS_OPS_MAX || !engine->peers[peer].alive) {
        return; /* The next round brings it again. */
    }
    struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_TREE_KEYS, SGN_FOR_BACKGROUND);
    if (op == NULL) {
        return;
    }
    op->replied = true;
    struct sgn_op_tree *tree = &op->u.tree;
    *tree = (struct sgn_op_tree){
        .peer = (uint32_t)peer,
        .partition = (uint32_t)msg->a,
        .leaf = (uint32_t)msg->b % SGN_TREE_LEAVES,
        .continued = msg->b >= SGN_TREE_LEAVES,
        .last = (msg->flags & SGN_RESULT_END) != 0,
        .theirs = sgn_buf_copy(engine, msg->items),
    };
    struct sgn_cursor cursor = sgn_cursor_of(msg->items);
    struct sgn_bytes key;
    struct sgn_bytes value;
    if (tree->theirs != NULL && tree->continued && sgn_items_next(&cursor, &key, &value) &&
        key.count <= SGN_FULL_KEY_BYTES_MAX) {
        tree->theirs_at = msg->items.count - cursor.left;
        tree->after = sgn_buf_copy(engine, sgn_tree_key(engine, key));
    }
    if (tree->theirs == NULL || (tree->continued && tree->after == NULL)) {
        sgn_op_free(engine, op);
        return;
    }
    engine->tree_keys_ops++;
    tree->scanning = true;
    sgn_trees_scan(engine, op);
}

static void keys_end(struct sgn_engine *engine, struct sgn_op *op)
{
    engine->tree_keys_ops--;
    sgn_op_free(engine, op);
}

/* Looks at the next item without taking it. */
static bool theirs_peek(struct sgn_op *op,
                        struct sgn_bytes *full_key,
                        uint64_t *digest,
                        size_t *next)
{
    struct sgn_op_tree *tree = &op->u.tree;
    struct sgn_cursor cursor = sgn_cursor_of(sgn_buf_bytes(tree->theirs));
    struct sgn_bytes value;
    (void)sgn_cursor_take(&cursor, tree->theirs_at);
    if (!sgn_items_next(&cursor, full_key, &value) || value.count != 8 ||
        full_key->count > SGN_FULL_KEY_BYTES_MAX) {
        return false;
    }
    *digest = sgn_get_uint(value.ptr, 8);
    *next = tree->theirs->count - cursor.left;
    return true;
}

static bool ours_peek(struct sgn_engine *engine,
                      struct sgn_op *op,
                      struct sgn_bytes *full_key,
                      uint64_t *digest,
                      size_t *next)
{
    struct sgn_op_tree *tree = &op->u.tree;
    struct sgn_cursor cursor = sgn_cursor_of(sgn_buf_bytes(tree->ours));
    struct sgn_bytes key;
    struct sgn_bytes value;
    (void)sgn_cursor_take(&cursor, tree->ours_at);
    if (!sgn_items_next(&cursor, &key, &value)) {
        return false;
    }
    bool good = value.count == 8 || value.count == SGN_TREE_ORDERED_BYTES || value.count == 0;
    if (!good || !sgn_trees_in_leaf(engine, op, key)) {
        tree->own_end = true;
        return false;
    }
    *full_key = sgn_bytes_of((const uint8_t *)key.ptr + 10, key.count - 10);
    *digest = value.count == 0 ? 0 : sgn_get_uint(value.ptr, 8); /* Corrupt: as if it differed. */
    *next = tree->ours->count - cursor.left;
    return true;
}

static int key_order(struct sgn_bytes a, struct sgn_bytes b)
{
    uint64_t left = sgn_hash(a);
    uint64_t right = sgn_hash(b);
    return left != right ? (left < right ? -1 : 1) : sgn_bytes_compare(a, b);
}

/* False when there is no room for it now. `parent` may be NULL. */
static bool exchange_begin(struct sgn_engine *engine,
                           uint32_t peer,
                           struct sgn_bytes full_key,
                           uint32_t n,
                           bool ordered,
                           struct sgn_op *parent)
{
    if (engine->exchanges >= SGN_EXCHANGES_IN_FLIGHT || !sgn_fx_has_room(engine)) {
        return false;
    }
    struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_EXCHANGE, SGN_FOR_BACKGROUND);
    if (op == NULL || !sgn_op_copy_full(engine, op, full_key, sgn_bytes_of(NULL, 0))) {
        if (op != NULL) {
            sgn_op_free(engine, op);
        }
        return false;
    }
    op->replied = true;
    op->u.exchange = (struct sgn_op_exchange){
        .peer = peer, .parent = SGN_NONE, .ordered = ordered, .floor = sgn_dirty_floor(engine)};
    if (parent != NULL) {
        op->u.exchange.parent = sgn_op_index(engine, parent);
        op->u.exchange.parent_generation = parent->generation;
        parent->u.tree.in_flight++;
    }
    sgn_op_locate(engine, op, n);
    engine->exchanges++;
    sgn_fx_load(engine, sgn_op_token(engine, op), SGN_FAMILY_DATA, op->full_key);
    return true;
}

/* False when it cannot begin now. */
static bool exchange_start(struct sgn_engine *engine,
                           struct sgn_op *parent,
                           struct sgn_bytes full_key)
{
    struct sgn_bytes name;
    struct sgn_bytes key;
    uint32_t node = engine->ring->members[parent->u.tree.peer].id;
    if (!sgn_full_key_split(full_key, &name, &key) || !sgn_bucket_name_valid(name) ||
        !sgn_key_valid(key)) {
        return true;
    }
    const struct sgn_bucket *bucket = sgn_bucket_row(&engine->buckets, name);
    if (bucket == NULL) {
        return true;
    }
    /* The trees count keys of ordered buckets as kept by all. */
    bool ordered = bucket->kind == SGN_BUCKET_ORDERED;
    uint32_t n = ordered ? engine->ring->replica_count : bucket->n;
    const struct sgn_line *line = sgn_order_line(engine, parent->u.tree.partition);
    bool seats = sgn_own_seat(engine, line) >= 0 && sgn_line_seat(line, node) >= 0;
    if (n > engine->ring->replica_count || (ordered && !seats) ||
        n < sgn_trees_least(engine, parent->u.tree.partition, node)) {
        return true; /* Not a key that both keep. */
    }
    return exchange_begin(engine, parent->u.tree.peer, full_key, n, ordered, parent);
}

void sgn_exchange_mend(struct sgn_engine *engine, const struct sgn_op *op)
{
    for (uint32_t i = 0; i < op->n; i++) {
        int peer = sgn_ring_find(engine->ring, op->homes[i]);
        if (op->homes[i] != engine->options.node && sgn_node_alive(engine, op->homes[i])) {
            /* False: no room; the next read of the key tries again. */
            (void)exchange_begin(engine, (uint32_t)peer, op->full_key, op->n, false, NULL);
        }
    }
}

/* Walks both sides in step. False when it must wait (for a page, or for exchanges to end). */
static bool keys_walk(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_tree *tree = &op->u.tree;
    for (;;) {
        struct sgn_bytes theirs = sgn_bytes_of(NULL, 0);
        struct sgn_bytes ours = sgn_bytes_of(NULL, 0);
        uint64_t their_digest = 0;
        uint64_t our_digest = 0;
        size_t their_next = 0;
        size_t our_next = 0;
        bool have_ours = ours_peek(engine, op, &ours, &our_digest, &our_next);
        if (!have_ours && !tree->own_end) {
            return false;
        }
        bool have_theirs = theirs_peek(op, &theirs, &their_digest, &their_next);
        if (!have_theirs && !tree->last) {
            return true; /* What lies behind their page comes with their next one. */
        }
        if (!have_theirs && !have_ours) {
            return true;
        }
        int order = !have_ours ? -1 : !have_theirs ? 1 : key_order(theirs, ours);
        if ((order != 0 || their_digest != our_digest) &&
            !exchange_start(engine, op, order > 0 ? ours : theirs)) {
            return false;
        }
        tree->theirs_at = order <= 0 ? their_next : tree->theirs_at;
        tree->ours_at = order >= 0 ? our_next : tree->ours_at;
    }
}

static void keys_pump(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_tree *tree = &op->u.tree;
    if (tree->scanning) {
        return;
    }
    if (!engine->peers[tree->peer].alive) {
        tree->own_end = true;
        tree->last = true;
        sgn_buf_drop(engine, &tree->ours);
        tree->ours_at = 0;
        tree->theirs_at = tree->theirs->count;
    }
    bool done = keys_walk(engine, op);
    if (done && tree->in_flight == 0) {
        keys_end(engine, op);
        return;
    }
    bool page_used = tree->ours == NULL || tree->ours_at >= tree->ours->count;
    if (!done && !tree->own_end && page_used && sgn_fx_has_room(engine)) {
        tree->scanning = true;
        sgn_trees_scan(engine, op);
    }
}

void sgn_keys_scanned(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    struct sgn_op_tree *tree = &op->u.tree;
    tree->scanning = false;
    sgn_buf_drop(engine, &tree->ours);
    sgn_buf_drop(engine, &tree->after);
    tree->ours_at = 0;
    tree->own_end = event->end || event->items.count == 0;
    tree->ours = sgn_buf_copy(engine, event->items);
    tree->after = sgn_buf_copy(engine, event->after);
    if (event->err != SGN_OK || tree->ours == NULL || tree->after == NULL) {
        /* What is not known of the own side must not be taken for missing. */
        sgn_buf_drop(engine, &tree->ours);
        tree->own_end = tree->last = true;
        tree->theirs_at = tree->theirs->count;
    }
    keys_pump(engine, op);
}

void sgn_keys_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    keys_pump(engine, op);
}

void sgn_exchange_end(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op *parent = NULL;
    if (op->u.exchange.parent != SGN_NONE) {
        parent = sgn_op_at(engine, op->u.exchange.parent, op->u.exchange.parent_generation);
    }
    engine->exchanges--;
    sgn_op_free(engine, op);
    if (parent != NULL) {
        SGN_ASSERT(parent->u.tree.in_flight > 0);
        parent->u.tree.in_flight--;
        keys_pump(engine, parent);
    }
}

void sgn_exchange_loaded(struct sgn_engine *engine,
                         struct sgn_op *op,
                         const struct sgn_event *event)
{
    uint32_t node = engine->ring->members[op->u.exchange.peer].id;
    if (op->u.exchange.ordered) {
        sgn_mend_loaded(engine, op, event);
        return;
    }
    /* A corrupt own record asks with nothing and is repaired by what comes back (protocol.md 2). */
    bool usable =
        event->err == SGN_OK || event->err == SGN_ERR_NOT_FOUND || event->err == SGN_ERR_CORRUPT;
    if (!usable || !sgn_node_alive(engine, node)) {
        sgn_exchange_end(engine, op);
        return;
    }
    op->deadline_ms = engine->now_ms + engine->options.request_timeout_ms;
    sgn_fx_send(
        engine,
        node,
        op,
        (struct sgn_msg){.type = SGN_MSG_REPL_PUT,
                         .bucket = op->bucket,
                         .key = op->key,
                         .value = event->err == SGN_OK ? event->value : sgn_bytes_of(NULL, 0),
                         .flags = SGN_REPL_WANT_BACK});
}

void sgn_exchange_answer(struct sgn_engine *engine,
                         struct sgn_op *op,
                         const struct sgn_event *event)
{
    if (op->u.exchange.ordered) {
        sgn_mend_answer(engine, op, event);
        return;
    }
    if (event->msg.type != SGN_MSG_REPL_ACK ||
        event->node != engine->ring->members[op->u.exchange.peer].id) {
        return;
    }
    if (event->msg.err == SGN_OK) {
        struct sgn_record record;
        engine->counts.tree_repairs++;
        if ((event->msg.flags & SGN_REPL_WANT_BACK) != 0 &&
            sgn_record_decode(event->msg.value, SGN_RECORD_WITH_BODIES, &record) == SGN_OK) {
            sgn_serve_merge(engine, op->full_key, event->msg.value);
        }
    }
    sgn_exchange_end(engine, op);
}

void sgn_exchange_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    if (engine->now_ms >= op->deadline_ms || !engine->peers[op->u.exchange.peer].alive) {
        sgn_exchange_end(engine, op);
    }
}
