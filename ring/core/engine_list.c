/* Lists; protocol.md 10. Every partition is read from R of its homes; each node asked gives one
 * page of its keys in order, over all the partitions it was chosen for. A key is final when every
 * node has looked past it: then its records are merged and it is shown if anything of it is alive.
 *
 * A page may show nothing and not be the end (tombstones only): the reader goes on from `after`. */
#include "ring/core/engine_inner.h"

enum list_state { LIST_TO_ASK, LIST_WAITING, LIST_DONE };

struct list_node {
    uint32_t id;
    enum list_state state;
    uint64_t sent_ms;
    bool end;
    struct sgn_buf *page;  /* Items, keys without the bucket. */
    size_t at;             /* Bytes of it taken. */
    struct sgn_buf *after; /* Looked at through this key. */
};

struct sgn_list {
    uint32_t tries;
    uint32_t limit; /* Keys wanted. */
    struct sgn_bytes prefix;
    uint8_t after[SGN_KEY_BYTES_MAX];
    size_t after_bytes;
    uint32_t node_count;
    uint32_t bitmap_bytes;
    struct list_node *nodes; /* node_count; behind them the bitmaps. */
    struct sgn_buf *memory;
};

static void list_drop_nodes(struct sgn_engine *engine, struct sgn_list *list)
{
    for (uint32_t i = 0; i < list->node_count; i++) {
        sgn_buf_drop(engine, &list->nodes[i].page);
        sgn_buf_drop(engine, &list->nodes[i].after);
    }
    list->node_count = 0;
    sgn_buf_drop(engine, &list->memory);
}

void sgn_list_clear(struct sgn_engine *engine, struct sgn_op *op)
{
    if (op->list != NULL) {
        list_drop_nodes(engine, op->list);
        engine->pool->put(engine->pool, op->list);
        op->list = NULL;
    }
}

void sgn_list_fail(struct sgn_engine *engine,
                   struct sgn_op *op,
                   enum sgn_err err,
                   struct sgn_bytes text)
{
    sgn_list_clear(engine, op);
    if (op->kind == SGN_OP_BUCKET) {
        sgn_bucket_looked(engine, op, err, text);
        return;
    }
    sgn_op_fail(engine, op, err, text);
    sgn_op_free(engine, op);
}

static uint8_t *list_bitmap(const struct sgn_list *list, uint32_t index)
{
    return list->memory->bytes + list->node_count * sizeof(struct list_node) +
           (size_t)index * list->bitmap_bytes;
}

static struct sgn_bytes list_after(const struct sgn_op *op)
{
    return sgn_bytes_of(op->list->after, op->list->after_bytes);
}

/* First R alive homes of the partition, as member indexes. False if there are fewer. */
static bool list_homes(struct sgn_engine *engine,
                       const struct sgn_op *op,
                       uint32_t partition,
                       uint32_t chosen[SGN_REPLICAS_MAX])
{
    uint32_t homes[SGN_REPLICAS_MAX];
    uint32_t count = sgn_ring_preference(engine->ring, partition, homes, op->n);
    uint32_t taken = 0;
    for (uint32_t i = 0; i < count && taken < op->quorum; i++) {
        if (sgn_node_alive(engine, homes[i])) {
            chosen[taken++] = (uint32_t)sgn_ring_find(engine->ring, homes[i]);
        }
    }
    return taken == op->quorum;
}

/* Chooses the nodes. False when it has failed, and with it the op. */
static bool list_choose(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_list *list = op->list;
    uint32_t total = engine->ring->partition_count;
    uint32_t chosen[SGN_REPLICAS_MAX];
    uint16_t place[SGN_NODES_MAX]; /* Member index -> index into nodes, + 1. */
    uint32_t members[SGN_NODES_MAX];
    uint32_t count = 0;
    memset(place, 0, sizeof(place));
    for (uint32_t partition = 0; partition < total; partition++) {
        if (!list_homes(engine, op, partition, chosen)) {
            struct sgn_sink text = sgn_text(engine, "partition ");
            sgn_text_uint(&text, partition);
            sgn_text_str(&text, " has fewer than ");
            sgn_text_uint(&text, op->quorum);
            sgn_text_str(&text, " of its nodes reachable");
            sgn_list_fail(engine, op, SGN_ERR_UNAVAILABLE, sgn_sink_bytes(&text));
            return false;
        }
        for (uint32_t i = 0; i < op->quorum; i++) {
            if (place[chosen[i]] == 0) {
                members[count++] = chosen[i];
                place[chosen[i]] = (uint16_t)count;
            }
        }
    }
    list->bitmap_bytes = (total + 7) / 8;
    size_t bytes = count * (sizeof(struct list_node) + list->bitmap_bytes);
    list->memory = sgn_buf_get(engine, bytes);
    if (list->memory == NULL) {
        sgn_list_fail(engine, op, SGN_ERR_BUSY, sgn_bytes_of(NULL, 0));
        return false;
    }
    _Static_assert(sizeof(struct sgn_buf) % _Alignof(struct list_node) == 0, "nodes lie in a buf");
    memset(list->memory->bytes, 0, bytes);
    list->nodes = (struct list_node *)(void *)list->memory->bytes;
    list->node_count = count;
    for (uint32_t i = 0; i < count; i++) {
        list->nodes[i].id = engine->ring->members[members[i]].id;
    }
    for (uint32_t partition = 0; partition < total; partition++) {
        (void)list_homes(engine, op, partition, chosen);
        for (uint32_t i = 0; i < op->quorum; i++) {
            uint8_t *bitmap = list_bitmap(list, place[chosen[i]] - 1u);
            bitmap[partition / 8] |= (uint8_t)(1u << (partition % 8));
        }
    }
    return true;
}

static void list_ask(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_list *list = op->list;
    for (uint32_t i = 0; i < list->node_count && sgn_fx_has_room(engine); i++) {
        struct list_node *node = &list->nodes[i];
        if (node->state != LIST_TO_ASK) {
            continue;
        }
        struct sgn_bytes bitmap = sgn_bytes_of(list_bitmap(list, i), list->bitmap_bytes);
        node->state = LIST_WAITING;
        node->sent_ms = engine->now_ms;
        if (node->id == engine->options.node) {
            sgn_list_scan(engine, op, list_after(op), list->limit, bitmap);
        } else {
            sgn_fx_send(engine,
                        node->id,
                        op,
                        (struct sgn_msg){.type = SGN_MSG_REPL_LIST,
                                         .bucket = op->bucket,
                                         .key = list->prefix,
                                         .after = list_after(op),
                                         .n = list->limit,
                                         .items = bitmap});
        }
    }
}

static void list_begin(struct sgn_engine *engine, struct sgn_op *op)
{
    list_drop_nodes(engine, op->list);
    sgn_op_renew(op); /* Pages of an earlier choice cover other partitions. */
    if (list_choose(engine, op)) {
        list_ask(engine, op);
    }
}

static bool list_init(struct sgn_engine *engine,
                      struct sgn_op *op,
                      struct sgn_bytes after,
                      uint32_t limit)
{
    SGN_ASSERT(after.count <= SGN_KEY_BYTES_MAX && limit > 0);
    op->list = engine->pool->get(engine->pool, sizeof(*op->list));
    if (op->list == NULL) {
        return false;
    }
    *op->list = (struct sgn_list){.limit = limit, .prefix = op->key, .after_bytes = after.count};
    if (after.count > 0) {
        memcpy(op->list->after, after.ptr, after.count);
    }
    return true;
}

void sgn_list_request(struct sgn_engine *engine, const struct sgn_event *event)
{
    const struct sgn_msg *msg = &event->msg;
    const struct sgn_bucket *bucket = NULL;
    enum sgn_err err = sgn_list_check(engine, msg, &bucket);
    struct sgn_bytes none = sgn_bytes_of(NULL, 0);
    if (err != SGN_OK) {
        sgn_fx_refuse(engine,
                      event,
                      err,
                      err == SGN_ERR_INVALID ? "a page has at most 1000 keys, a prefix and a place "
                                               "to go on from at most 1024 bytes"
                                             : NULL);
        return;
    }
    struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_LIST, SGN_FOR_CLIENT);
    if (op == NULL || !sgn_op_copy(engine, op, msg->bucket, msg->key, none, none) ||
        !list_init(engine, op, msg->after, msg->n == 0 ? SGN_PAGE_ITEMS_MAX : msg->n)) {
        if (op != NULL) {
            sgn_op_free(engine, op);
        }
        sgn_fx_refuse(engine, event, SGN_ERR_BUSY, NULL);
        return;
    }
    engine->counts.lists++;
    op->token = event->token;
    op->n = bucket->n;
    op->quorum = bucket->r;
    list_begin(engine, op);
}

void sgn_list_look(struct sgn_engine *engine, struct sgn_op *op)
{
    if (!list_init(engine, op, sgn_bytes_of(NULL, 0), SGN_PAGE_ITEMS_MAX)) {
        sgn_bucket_looked(engine, op, SGN_ERR_BUSY, sgn_bytes_of(NULL, 0));
        return;
    }
    list_begin(engine, op);
}

/* The smallest key not yet taken, of all pages; false when there is none. */
static bool list_least(const struct sgn_list *list, struct sgn_bytes *least)
{
    bool any = false;
    for (uint32_t i = 0; i < list->node_count; i++) {
        const struct list_node *node = &list->nodes[i];
        struct sgn_cursor cursor = sgn_cursor_of(sgn_buf_bytes(node->page));
        struct sgn_bytes key;
        struct sgn_bytes value;
        (void)sgn_cursor_take(&cursor, node->at);
        if (sgn_items_next(&cursor, &key, &value) && (!any || sgn_bytes_compare(key, *least) < 0)) {
            *least = key;
            any = true;
        }
    }
    return any;
}

/* Takes the key from every page that has it and merges its records. */
static void list_take(struct sgn_list *list, struct sgn_bytes least, struct sgn_record *merged)
{
    sgn_record_init(merged);
    for (uint32_t i = 0; i < list->node_count; i++) {
        struct list_node *node = &list->nodes[i];
        struct sgn_cursor cursor = sgn_cursor_of(sgn_buf_bytes(node->page));
        struct sgn_bytes key;
        struct sgn_bytes value;
        struct sgn_record record;
        (void)sgn_cursor_take(&cursor, node->at);
        if (!sgn_items_next(&cursor, &key, &value) || !sgn_bytes_equal(key, least)) {
            continue;
        }
        node->at = node->page->count - cursor.left;
        /* One that cannot be read or merged abstains; the others show the key. */
        if (sgn_record_decode(value, SGN_RECORD_DIGEST_ONLY, &record) == SGN_OK) {
            (void)sgn_record_merge(merged, &record);
        }
    }
}

/* Merges what is final into the sink. True if the whole list is through. */
static bool list_merge(struct sgn_op *op, struct sgn_sink *sink, uint32_t *shown)
{
    struct sgn_list *list = op->list;
    struct sgn_bytes bound = sgn_bytes_of(NULL, 0);
    bool bounded = false;
    for (uint32_t i = 0; i < list->node_count; i++) {
        const struct list_node *node = &list->nodes[i];
        struct sgn_bytes after = sgn_buf_bytes(node->after);
        if (!node->end && (!bounded || sgn_bytes_compare(after, bound) < 0)) {
            bound = after;
            bounded = true;
        }
    }
    struct sgn_bytes least;
    struct sgn_bytes last = sgn_bytes_of(NULL, 0);
    while (list_least(list, &least) && (!bounded || sgn_bytes_compare(least, bound) <= 0)) {
        struct sgn_record merged;
        uint8_t raw[4 + 16 * SGN_ACTORS_MAX + 48 * SGN_SIBLINGS_MAX];
        struct sgn_sink head = sgn_sink_of(raw, sizeof(raw));
        if (*shown == list->limit ||
            SGN_ITEM_OVERHEAD_BYTES + least.count + sizeof(raw) > sink->cap - sink->count) {
            if (last.count > 0) {
                memcpy(list->after, last.ptr, last.count);
            }
            list->after_bytes = last.count;
            return false;
        }
        list_take(list, least, &merged);
        last = least;
        if (!sgn_record_is_dead(&merged)) {
            sgn_record_encode(&merged, SGN_RECORD_DIGEST_ONLY, &head);
            SGN_ASSERT(!head.full);
            sgn_items_push(sink, least, sgn_sink_bytes(&head));
            (*shown)++;
        }
    }
    if (bounded) {
        memcpy(list->after, bound.ptr, bound.count);
        list->after_bytes = bound.count;
    }
    return !bounded;
}

/* All pages are here. */
static void list_finish(struct sgn_engine *engine, struct sgn_op *op)
{
    uint32_t shown = 0;
    bool look = op->kind == SGN_OP_BUCKET;
    struct sgn_buf *out = sgn_buf_get(engine, SGN_PAGE_BYTES_MAX);
    if (out == NULL) {
        sgn_list_fail(engine, op, SGN_ERR_BUSY, sgn_bytes_of(NULL, 0));
        return;
    }
    struct sgn_sink sink = sgn_sink_of(out->bytes, out->count);
    bool end = list_merge(op, &sink, &shown);
    out->count = sink.count;
    if (look && (end || shown > 0)) {
        sgn_buf_drop(engine, &out);
        sgn_list_clear(engine, op);
        sgn_bucket_looked(
            engine, op, shown > 0 ? SGN_ERR_BUCKET_NOT_EMPTY : SGN_OK, sgn_bytes_of(NULL, 0));
        return;
    }
    if (look) {
        sgn_buf_drop(engine, &out);
        list_begin(engine, op);
        return;
    }
    struct sgn_sink after = sgn_arena_sink(engine, end ? 0 : op->list->after_bytes);
    sgn_sink_put(&after, op->list->after, after.cap);
    sgn_op_reply(engine,
                 op,
                 (struct sgn_msg){.type = SGN_MSG_RESULT,
                                  .items = sgn_buf_bytes(out),
                                  .after = sgn_sink_bytes(&after),
                                  .flags = end ? SGN_RESULT_END : 0,
                                  .a = op->quorum});
    sgn_buf_drop(engine, &out);
    sgn_op_free(engine, op);
}

/* Another choice of nodes: one failed. */
static void list_again(struct sgn_engine *engine,
                       struct sgn_op *op,
                       enum sgn_err err,
                       uint32_t node)
{
    if (++op->list->tries < SGN_LIST_TRIES_MAX) {
        list_begin(engine, op);
        return;
    }
    struct sgn_sink text = sgn_text(engine, "node ");
    sgn_text_uint(&text, node);
    sgn_text_str(&text, " did not give its part of the list: ");
    sgn_text_str(&text, sgn_err_text(err));
    sgn_list_fail(engine, op, SGN_ERR_UNAVAILABLE, sgn_sink_bytes(&text));
}

/* Whole items, with keys of a possible length in order: the merge relies on it. */
static bool page_valid(struct sgn_bytes items)
{
    struct sgn_cursor cursor = sgn_cursor_of(items);
    struct sgn_bytes last = sgn_bytes_of(NULL, 0);
    struct sgn_bytes key;
    struct sgn_bytes value;
    while (sgn_items_next(&cursor, &key, &value)) {
        if (!sgn_key_valid(key) || sgn_bytes_compare(last, key) >= 0) {
            return false;
        }
        last = key;
    }
    return !cursor.bad;
}

/* `items` and `after` hold keys without the bucket. */
void sgn_list_page(struct sgn_engine *engine,
                   struct sgn_op *op,
                   uint32_t node_id,
                   struct sgn_bytes items,
                   struct sgn_bytes after,
                   bool end)
{
    struct sgn_list *list = op->list;
    bool all = true;
    for (uint32_t i = 0; i < list->node_count; i++) {
        struct list_node *node = &list->nodes[i];
        if (node->id == node_id && node->state == LIST_WAITING) {
            /* A page that is not the last and goes nowhere would be asked for for ever. */
            if (!page_valid(items) || (!end && (sgn_bytes_compare(after, list_after(op)) <= 0 ||
                                                after.count > SGN_KEY_BYTES_MAX))) {
                list_again(engine, op, SGN_ERR_PROTOCOL, node_id);
                return;
            }
            node->page = sgn_buf_copy(engine, items);
            node->after = sgn_buf_copy(engine, after);
            node->end = end;
            node->state = LIST_DONE;
            if (node->page == NULL || node->after == NULL) {
                sgn_list_fail(engine, op, SGN_ERR_BUSY, sgn_bytes_of(NULL, 0));
                return;
            }
        }
        all = all && node->state == LIST_DONE;
    }
    if (all) {
        list_finish(engine, op);
    } else {
        list_ask(engine, op);
    }
}

void sgn_list_answer(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    if (event->msg.type != SGN_MSG_REPL_PAGE || op->list == NULL) {
        return;
    }
    for (uint32_t i = 0; i < op->list->node_count; i++) {
        struct list_node *node = &op->list->nodes[i];
        if (node->id != event->node || node->state != LIST_WAITING) {
            continue;
        }
        if (event->msg.err != SGN_OK) {
            list_again(engine, op, (enum sgn_err)event->msg.err, event->node);
        } else {
            sgn_list_page(engine,
                          op,
                          event->node,
                          event->msg.items,
                          event->msg.after,
                          (event->msg.flags & SGN_RESULT_END) != 0);
        }
        return;
    }
}

void sgn_list_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_list *list = op->list;
    if (list == NULL) {
        return;
    }
    if (engine->now_ms >= op->deadline_ms) {
        sgn_list_fail(engine, op, SGN_ERR_TIMEOUT, sgn_bytes_of(NULL, 0));
        return;
    }
    for (uint32_t i = 0; i < list->node_count; i++) {
        const struct list_node *node = &list->nodes[i];
        if (node->state != LIST_DONE && node->id != engine->options.node &&
            (!sgn_node_alive(engine, node->id) ||
             (node->state == LIST_WAITING &&
              engine->now_ms - node->sent_ms >= engine->options.replica_timeout_ms))) {
            list_again(engine, op, SGN_ERR_TIMEOUT, node->id);
            return;
        }
    }
    list_ask(engine, op);
}
