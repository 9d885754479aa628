/* Anti-entropy, the asking side; protocol.md 9. One comparison with one peer at a time: roots, then
 * leaves, then the keys of the leaves that differ. The peer then exchanges what differs
 * (engine_exchange.c). Rounds repeat until nothing differs, faster while something does. */
#include "ring/core/engine_inner.h"

uint32_t sgn_trees_least(const struct sgn_engine *engine, uint32_t partition, uint32_t peer)
{
    uint32_t homes[SGN_REPLICAS_MAX];
    uint32_t count =
        sgn_ring_preference(engine->ring, partition, homes, engine->ring->replica_count);
    uint32_t least = 0;
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (homes[i] == engine->options.node || homes[i] == peer) {
            found++;
            least = i + 1;
        }
    }
    return found == 2 ? least : 0;
}

static uint32_t round_node(const struct sgn_engine *engine, const struct sgn_op *op)
{
    return engine->ring->members[op->u.tree.peer].id;
}

static void round_end(struct sgn_engine *engine, struct sgn_op *op, bool soon)
{
    SGN_ASSERT(engine->tree_round == sgn_op_index(engine, op));
    engine->tree_round = SGN_NONE;
    uint32_t wait = engine->options.tree_interval_ms;
    engine->tree_due_ms = engine->now_ms + (soon ? wait / 8 : wait);
    sgn_op_free(engine, op);
}

/* Roots of the partitions both hold, from where the last comparison with the peer stopped. */
static struct sgn_buf *round_roots(struct sgn_engine *engine, uint32_t peer)
{
    uint32_t node = engine->ring->members[peer].id;
    uint32_t total = engine->ring->partition_count;
    uint32_t *next = &engine->tree_partition_next[peer];
    uint32_t most = total < SGN_TREE_ROOTS_MAX ? total : SGN_TREE_ROOTS_MAX;
    struct sgn_buf *buf = sgn_buf_get(engine, (size_t)most * (SGN_ITEM_OVERHEAD_BYTES + 12));
    if (buf == NULL) {
        return NULL;
    }
    struct sgn_sink sink = sgn_sink_of(buf->bytes, buf->count);
    for (uint32_t i = 0, taken = 0; i < total && taken < most; i++) {
        uint32_t partition = *next % total;
        uint32_t least = sgn_trees_least(engine, partition, node);
        *next = (partition + 1) % total;
        if (least != 0) {
            uint8_t raw[12];
            struct sgn_sink item = sgn_sink_of(raw, sizeof(raw));
            sgn_sink_uint(&item, partition, 4);
            sgn_sink_uint(&item, sgn_tree_root(&engine->tree, partition, least), 8);
            sgn_items_push(&sink, sgn_bytes_of(raw, 4), sgn_bytes_of(raw + 4, 8));
            taken++;
        }
    }
    SGN_ASSERT(!sink.full);
    buf->count = sink.count;
    return buf;
}

void sgn_trees_tick(struct sgn_engine *engine)
{
    uint32_t members = engine->ring->member_count;
    if (engine->tree_round != SGN_NONE || engine->now_ms < engine->tree_due_ms ||
        !sgn_fx_has_room(engine)) {
        return;
    }
    engine->tree_due_ms = engine->now_ms + engine->options.tree_interval_ms;
    for (uint32_t i = 0; i < members; i++) {
        uint32_t peer = engine->tree_peer_next++ % members;
        if (!engine->peers[peer].alive) {
            continue;
        }
        struct sgn_buf *roots = round_roots(engine, peer);
        if (roots == NULL || roots->count == 0) {
            sgn_buf_drop(engine, &roots);
            continue;
        }
        struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_TREE_ROUND, SGN_FOR_BACKGROUND);
        if (op == NULL) {
            sgn_buf_drop(engine, &roots);
            return;
        }
        op->replied = true;
        op->u.tree = (struct sgn_op_tree){.peer = peer};
        op->result = roots;
        engine->tree_round = sgn_op_index(engine, op);
        sgn_fx_send(engine,
                    round_node(engine, op),
                    op,
                    (struct sgn_msg){.type = SGN_MSG_TREE_ROOTS,
                                     .items = sgn_buf_bytes(roots),
                                     .node = engine->options.node});
        return;
    }
}

static bool item_partition(const struct sgn_engine *engine,
                           struct sgn_bytes key,
                           uint32_t *partition)
{
    *partition = key.count == 4 ? (uint32_t)sgn_get_uint(key.ptr, 4) : UINT32_MAX;
    return *partition < engine->ring->partition_count;
}

void sgn_trees_roots(struct sgn_engine *engine, const struct sgn_event *event)
{
    struct sgn_cursor cursor = sgn_cursor_of(event->msg.items);
    struct sgn_bytes key;
    struct sgn_bytes value;
    struct sgn_buf *buf = NULL;
    struct sgn_sink sink = {0};
    uint32_t partition;
    for (uint32_t taken = 0;
         taken < SGN_TREE_ANSWER_MAX && sgn_items_next(&cursor, &key, &value);) {
        if (value.count != 8 || !item_partition(engine, key, &partition)) {
            continue;
        }
        uint32_t least = sgn_trees_least(engine, partition, event->msg.node);
        if (least == 0 ||
            sgn_tree_root(&engine->tree, partition, least) == sgn_get_uint(value.ptr, 8)) {
            continue;
        }
        if (buf == NULL) {
            buf = sgn_buf_get(engine, SGN_TREE_ANSWER_MAX * (16u + 8u * SGN_TREE_LEAVES));
            if (buf == NULL) {
                break; /* The next round finds it again. */
            }
            sink = sgn_sink_of(buf->bytes, buf->count);
        }
        uint64_t leaves[SGN_TREE_LEAVES];
        uint8_t raw[8 * SGN_TREE_LEAVES];
        struct sgn_sink row = sgn_sink_of(raw, sizeof(raw));
        sgn_tree_leaves(&engine->tree, partition, least, leaves);
        for (uint32_t i = 0; i < SGN_TREE_LEAVES; i++) {
            sgn_sink_uint(&row, leaves[i], 8);
        }
        sgn_items_push(&sink, key, sgn_sink_bytes(&row));
        taken++;
    }
    sgn_fx_reply(engine,
                 event->token,
                 (struct sgn_msg){.type = SGN_MSG_TREE_LEAVES, .items = sgn_sink_bytes(&sink)});
    sgn_buf_drop(engine, &buf);
}

/* Scans the own entries of the current leaf, or ends the round after the last. */
static void round_scan(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_tree *tree = &op->u.tree;
    SGN_ASSERT(!tree->scanning);
    if (tree->leaf_next >= tree->leaf_count) {
        round_end(engine, op, true);
        return;
    }
    struct sgn_leaf_at at;
    memcpy(&at, tree->theirs->bytes + tree->leaf_next * sizeof(at), sizeof(at));
    tree->partition = at.partition;
    tree->leaf = at.leaf;
    tree->scanning = true;
    op->deadline_ms = engine->now_ms + engine->options.request_timeout_ms;
    sgn_trees_scan(engine, op);
}

void sgn_trees_answer(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    struct sgn_op_tree *tree = &op->u.tree;
    if (event->msg.type != SGN_MSG_TREE_LEAVES || event->node != round_node(engine, op) ||
        tree->theirs != NULL) {
        return;
    }
    engine->counts.tree_rounds++;
    tree->theirs = sgn_buf_get(engine, SGN_TREE_ROUND_LEAVES * sizeof(struct sgn_leaf_at));
    if (tree->theirs == NULL) {
        round_end(engine, op, false);
        return;
    }
    struct sgn_cursor cursor = sgn_cursor_of(event->msg.items);
    struct sgn_bytes key;
    struct sgn_bytes value;
    uint32_t divergent = 0;
    struct sgn_leaf_at at;
    while (sgn_items_next(&cursor, &key, &value)) {
        uint32_t least = 0;
        if (value.count == 8 * SGN_TREE_LEAVES && item_partition(engine, key, &at.partition)) {
            least = sgn_trees_least(engine, at.partition, event->node);
        }
        if (least == 0) {
            continue;
        }
        divergent++;
        uint64_t own[SGN_TREE_LEAVES];
        sgn_tree_leaves(&engine->tree, at.partition, least, own);
        for (at.leaf = 0; at.leaf < SGN_TREE_LEAVES && tree->leaf_count < SGN_TREE_ROUND_LEAVES;
             at.leaf++) {
            if (own[at.leaf] != sgn_get_uint((const uint8_t *)value.ptr + 8 * at.leaf, 8)) {
                memcpy(tree->theirs->bytes + tree->leaf_count++ * sizeof(at), &at, sizeof(at));
            }
        }
    }
    engine->peers[tree->peer].divergent = divergent;
    if (tree->leaf_count == 0) {
        round_end(engine, op, false);
    } else {
        round_scan(engine, op);
    }
}

void sgn_trees_scan(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_tree *tree = &op->u.tree;
    uint64_t low;
    uint64_t high;
    sgn_tree_leaf_range(tree->partition, tree->leaf, engine->ring->partition_count, &low, &high);
    uint8_t raw[10];
    raw[0] = (uint8_t)(tree->partition >> 8);
    raw[1] = (uint8_t)tree->partition;
    for (uint32_t i = 0; i < 8; i++) {
        raw[2 + i] = (uint8_t)(low >> (56 - 8 * i));
    }
    /* The whole bytes that all hashes of the leaf share; entries behind the leaf are cut off by who
     * reads them. */
    size_t shared = 2;
    while (shared < 10 && (uint8_t)(high >> (56 - 8 * (shared - 2))) == raw[shared]) {
        shared++;
    }
    struct sgn_sink key = sgn_arena_sink(engine, sizeof(raw));
    sgn_sink_put(&key, raw, sizeof(raw));
    struct sgn_effect *effect = sgn_fx_push(engine, SGN_FX_SCAN);
    effect->token = sgn_op_token(engine, op);
    effect->scan = (struct sgn_scan){
        .family = SGN_FAMILY_TREE,
        .prefix = sgn_bytes_of(key.ptr, shared),
        .after = tree->after != NULL ? sgn_buf_bytes(tree->after) : sgn_sink_bytes(&key),
        .items_max = SGN_TREE_PAGE_ITEMS,
        .examined_max = SGN_PAGE_EXAMINED_MAX,
        .bytes_max = SGN_PAGE_BYTES_MAX,
    };
}

bool sgn_trees_in_leaf(const struct sgn_engine *engine,
                       const struct sgn_op *op,
                       struct sgn_bytes tree_key)
{
    uint64_t low;
    uint64_t high;
    uint64_t hash = 0;
    const uint8_t *raw = tree_key.ptr;
    for (uint32_t i = 0; i < 8 && tree_key.count > 10; i++) {
        hash = hash << 8 | raw[2 + i];
    }
    sgn_tree_leaf_range(
        op->u.tree.partition, op->u.tree.leaf, engine->ring->partition_count, &low, &high);
    return tree_key.count > 10 && hash >= low && hash <= high;
}

/* Own entries of the leaf as TREE_KEYS items. True if the leaf ends in this page. */
static bool round_items(struct sgn_engine *engine,
                        const struct sgn_op *op,
                        const struct sgn_event *event,
                        struct sgn_sink *sink)
{
    const struct sgn_op_tree *tree = &op->u.tree;
    struct sgn_cursor cursor = sgn_cursor_of(event->items);
    struct sgn_bytes key;
    struct sgn_bytes value;
    if (tree->continued) {
        struct sgn_bytes last = sgn_buf_bytes(tree->after);
        sgn_items_push(sink,
                       sgn_bytes_of((const uint8_t *)last.ptr + 10, last.count - 10),
                       sgn_arena_uint(engine, 0, 8));
    }
    while (sgn_items_next(&cursor, &key, &value)) {
        if (!sgn_trees_in_leaf(engine, op, key)) {
            return true;
        }
        if (value.count >= 8) { /* The digest comes first in both kinds of entry. */
            sgn_items_push(sink,
                           sgn_bytes_of((const uint8_t *)key.ptr + 10, key.count - 10),
                           sgn_bytes_of(value.ptr, 8));
        }
    }
    return event->end;
}

void sgn_trees_scanned(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    struct sgn_op_tree *tree = &op->u.tree;
    tree->scanning = false;
    size_t first = tree->continued ? tree->after->count : 0;
    struct sgn_buf *page = sgn_buf_get(engine, event->items.count + first + 32);
    if (event->err != SGN_OK || page == NULL || !engine->peers[tree->peer].alive) {
        sgn_buf_drop(engine, &page);
        round_end(engine, op, false);
        return;
    }
    struct sgn_sink sink = sgn_sink_of(page->bytes, page->count);
    bool last = round_items(engine, op, event, &sink);
    SGN_ASSERT(!sink.full);
    last = last || event->items.count == 0 || event->after.count <= 10;
    sgn_fx_send(engine,
                round_node(engine, op),
                NULL,
                (struct sgn_msg){.type = SGN_MSG_TREE_KEYS,
                                 .a = tree->partition,
                                 .b = tree->leaf + (tree->continued ? SGN_TREE_LEAVES : 0),
                                 .items = sgn_sink_bytes(&sink),
                                 .flags = last ? SGN_RESULT_END : 0});
    sgn_buf_drop(engine, &page);
    sgn_buf_drop(engine, &tree->after);
    tree->continued = !last;
    if (last) {
        tree->leaf_next++;
    } else {
        tree->after = sgn_buf_copy(engine, event->after);
        if (tree->after == NULL) {
            round_end(engine, op, false);
            return;
        }
    }
    round_scan(engine, op);
}

void sgn_trees_round_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    if (!engine->peers[op->u.tree.peer].alive || engine->now_ms >= op->deadline_ms) {
        round_end(engine, op, false);
    }
}
