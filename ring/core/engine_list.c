/* Lists; protocol.md 10. Every partition is read from R of its homes; each node asked gives one
 * page of its keys in order, over all the partitions it was chosen for. A key is final when every
 * node has looked past it: then its records are merged and it is shown if anything of it is alive.
 *
 * A page may show nothing and not be the end (tombstones only): the reader goes on from `after`. */
#include "ring/core/list_inner.h"

static void list_drop_nodes(struct sgn_engine *engine, struct sgn_list *list)
{
    for (uint32_t i = 0; i < list->node_count; i++) {
        sgn_buf_drop(engine, &list->nodes[i].page);
        sgn_buf_drop(engine, &list->nodes[i].after);
    }
    list->node_count = 0;
    list->shown = list->doubt_count = list->doubt_next = list->doubt_flight = list->doubt_done = 0;
    list->doubt_at = 0;
    sgn_buf_drop(engine, &list->rows);
    sgn_buf_drop(engine, &list->doubts);
    sgn_buf_drop(engine, &list->memory);
}

void sgn_list_clear(struct sgn_engine *engine, struct sgn_op *op)
{
    if (op->list != NULL) {
        struct sgn_buf *self = op->list->self;
        list_drop_nodes(engine, op->list);
        op->list = NULL;
        sgn_buf_drop(engine, &self); /* What this step has sent may point into it. */
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

struct sgn_bytes sgn_list_bitmap(const struct sgn_list *list, uint32_t index)
{
    return sgn_bytes_of(list_bitmap(list, index), list->bitmap_bytes);
}

struct sgn_bytes sgn_list_after(const struct sgn_op *op)
{
    return sgn_bytes_of(op->list->after, op->list->after_bytes);
}

/* First R alive homes of the partition, as member indexes; 0 if there are fewer. */
static uint32_t list_homes(struct sgn_engine *engine,
                           const struct sgn_op *op,
                           uint32_t partition,
                           uint32_t chosen[SGN_SEATS_MAX])
{
    uint32_t homes[SGN_REPLICAS_MAX];
    uint32_t taken = 0;
    if (op->list->mode != LIST_AVAILABLE) {
        return sgn_list_seats(engine, op, partition, chosen);
    }
    uint32_t count = sgn_ring_preference(engine->ring, partition, homes, op->n);
    for (uint32_t i = 0; i < count && taken < op->quorum; i++) {
        if (sgn_node_alive(engine, homes[i])) {
            chosen[taken++] = (uint32_t)sgn_ring_find(engine->ring, homes[i]);
        }
    }
    return taken == op->quorum ? taken : 0;
}

static void list_unreachable(struct sgn_engine *engine, struct sgn_op *op, uint32_t partition)
{
    struct sgn_sink text = sgn_text(engine, "partition ");
    sgn_text_uint(&text, partition);
    if (op->list->mode == LIST_AVAILABLE) {
        sgn_text_str(&text, " has fewer than ");
        sgn_text_uint(&text, op->quorum);
        sgn_text_str(&text, " of its nodes reachable");
    } else {
        sgn_text_str(&text, op->list->strong ? " has no majority reachable" : " is not reachable");
        struct sgn_bytes who =
            sgn_order_missing(engine, sgn_order_line(engine, partition), "; missing:");
        sgn_sink_put(&text, who.ptr, who.count);
    }
    sgn_list_fail(engine, op, SGN_ERR_UNAVAILABLE, sgn_sink_bytes(&text));
}

/* Chooses the nodes. False when it has failed, and with it the op. */
static bool list_choose(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_list *list = op->list;
    uint32_t total = engine->ring->partition_count;
    uint32_t chosen[SGN_SEATS_MAX];
    uint16_t place[SGN_NODES_MAX]; /* Member index -> index into nodes, + 1. */
    uint32_t members[SGN_NODES_MAX];
    uint32_t count = 0;
    memset(place, 0, sizeof(place));
    for (uint32_t partition = 0; partition < total; partition++) {
        uint32_t taken = list_homes(engine, op, partition, chosen);
        if (taken == 0) {
            list_unreachable(engine, op, partition);
            return false;
        }
        for (uint32_t i = 0; i < taken; i++) {
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
        uint32_t taken = list_homes(engine, op, partition, chosen);
        for (uint32_t i = 0; i < taken; i++) {
            uint8_t *bitmap = list_bitmap(list, place[chosen[i]] - 1u);
            bitmap[partition / 8] |= (uint8_t)(1u << (partition % 8));
        }
    }
    return true;
}

static void list_ask(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_list *list = op->list;
    bool ordered = list->mode != LIST_AVAILABLE;
    for (uint32_t i = 0; i < list->node_count && sgn_fx_has_room(engine); i++) {
        struct list_node *node = &list->nodes[i];
        if (node->state != LIST_TO_ASK) {
            continue;
        }
        struct sgn_bytes bitmap = sgn_list_bitmap(list, i);
        node->sent_ms = engine->now_ms;
        if (node->id != engine->options.node) {
            node->state = LIST_WAITING;
            sgn_fx_send(
                engine,
                node->id,
                op,
                (struct sgn_msg){.type = SGN_MSG_REPL_LIST,
                                 .bucket = op->bucket,
                                 .key = list->prefix,
                                 .after = sgn_list_after(op),
                                 .n = list->limit,
                                 .items = bitmap,
                                 .a = ordered && list->strong ? sgn_page_epochs(engine, bitmap) : 0,
                                 .flags = list->mode == LIST_CHECKED ? SGN_LIST_CHECK : 0});
        } else if (!ordered) {
            node->state = LIST_WAITING;
            sgn_list_scan(engine, op, sgn_list_after(op), list->limit, bitmap);
        } else if (sgn_page_own(engine, op, bitmap)) {
            node->state = LIST_WAITING;
        }
    }
}

static void list_begin(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_list *list = op->list;
    list_drop_nodes(engine, list);
    list->begin_ms = 0;
    sgn_op_renew(op); /* Pages of an earlier choice cover other partitions. */
    if (list->strong) {
        bool check = !list->slow && sgn_list_can_check(engine);
        list->mode = check ? LIST_CHECKED : LIST_QUORUM;
    }
    if (list_choose(engine, op)) {
        list_ask(engine, op);
    }
}

static bool list_init(struct sgn_engine *engine,
                      struct sgn_op *op,
                      struct sgn_bytes after,
                      uint32_t limit,
                      bool ordered,
                      bool strong)
{
    SGN_ASSERT(after.count <= SGN_KEY_BYTES_MAX && limit > 0);
    struct sgn_buf *self = sgn_buf_get(engine, sizeof(*op->list));
    if (self == NULL) {
        return false;
    }
    op->list = (struct sgn_list *)self->bytes;
    *op->list = (struct sgn_list){.self = self,
                                  .mode = ordered ? LIST_EVENTUAL : LIST_AVAILABLE,
                                  .strong = strong && !SGN_MUTANT(20),
                                  .limit = limit,
                                  .prefix = op->key,
                                  .after_bytes = after.count};
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
    bool ordered = err == SGN_OK && bucket->kind == SGN_BUCKET_ORDERED;
    if (err == SGN_OK && msg->a > SGN_READ_STRONG) {
        err = SGN_ERR_INVALID;
    } else if (err == SGN_OK && !ordered && msg->a == SGN_READ_STRONG) {
        err = SGN_ERR_NOT_STRONG; /* protocol.md 1: never silently weaker. */
    }
    if (err != SGN_OK) {
        sgn_fx_refuse(engine,
                      event,
                      err,
                      err == SGN_ERR_INVALID ? "a page has at most 1000 keys, a prefix and a place "
                                               "to go on from at most 1024 bytes"
                                             : NULL);
        return;
    }
    if (ordered && sgn_disk_unborn(engine)) {
        sgn_fx_refuse(engine, event, SGN_ERR_BUSY, "the ring begins when a majority has met");
        return;
    }
    struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_LIST, SGN_FOR_CLIENT);
    if (op == NULL || !sgn_op_copy(engine, op, msg->bucket, msg->key, none, none) ||
        !list_init(engine,
                   op,
                   msg->after,
                   msg->n == 0 ? SGN_PAGE_ITEMS_MAX : msg->n,
                   ordered,
                   ordered && msg->a != SGN_READ_EVENTUAL)) {
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
    const struct sgn_bucket *bucket = sgn_bucket_find(&engine->buckets, op->bucket);
    bool ordered = bucket != NULL && bucket->kind == SGN_BUCKET_ORDERED;
    if (!list_init(engine, op, sgn_bytes_of(NULL, 0), SGN_PAGE_ITEMS_MAX, ordered, ordered)) {
        sgn_bucket_looked(engine, op, SGN_ERR_BUSY, sgn_bytes_of(NULL, 0));
        return;
    }
    list_begin(engine, op);
}

void sgn_list_finished(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_list *list = op->list;
    bool ordered = list->mode != LIST_AVAILABLE;
    if (op->kind == SGN_OP_BUCKET) {
        if (!list->end && list->shown == 0) {
            list_begin(engine, op);
            return;
        }
        enum sgn_err err = list->shown > 0 ? SGN_ERR_BUCKET_NOT_EMPTY : SGN_OK;
        sgn_list_clear(engine, op);
        sgn_bucket_looked(engine, op, err, sgn_bytes_of(NULL, 0));
        return;
    }
    struct sgn_sink after = sgn_arena_sink(engine, list->end ? 0 : list->after_bytes);
    sgn_sink_put(&after, list->after, after.cap);
    sgn_op_reply(engine,
                 op,
                 (struct sgn_msg){.type = SGN_MSG_RESULT,
                                  .items = sgn_buf_bytes(list->rows),
                                  .after = sgn_sink_bytes(&after),
                                  .flags = (list->end ? SGN_RESULT_END : 0) |
                                           (ordered ? SGN_RESULT_ORDERED : 0),
                                  .a = op->quorum});
    sgn_op_free(engine, op);
}

/* All pages are here. */
static void list_finish(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_list *list = op->list;
    bool ordered = list->mode != LIST_AVAILABLE;
    list->rows = sgn_buf_get(engine, SGN_PAGE_BYTES_MAX);
    if (ordered) {
        list->doubts = sgn_buf_get(engine, SGN_LIST_DOUBTS_MAX * sizeof(struct list_doubt));
    }
    if (list->rows == NULL || (ordered && list->doubts == NULL)) {
        sgn_list_fail(engine, op, SGN_ERR_BUSY, sgn_bytes_of(NULL, 0));
        return;
    }
    /* A key in doubt may yet become a row. */
    size_t kept = ordered ? SGN_LIST_DOUBTS_MAX * (SGN_VERSION_BYTES + 4) : 0;
    struct sgn_sink sink = sgn_sink_of(list->rows->bytes, list->rows->count - kept);
    list->end = sgn_list_merge(op, &sink);
    list->rows->count = sink.count;
    if (list->doubt_count > 0) {
        sgn_list_doubts(engine, op);
    } else {
        sgn_list_finished(engine, op);
    }
}

void sgn_list_again(struct sgn_engine *engine, struct sgn_op *op, enum sgn_err err, uint32_t node)
{
    struct sgn_list *list = op->list;
    if (list->mode == LIST_CHECKED) {
        list->slow = true;
        list_begin(engine, op);
        return;
    }
    if (list->mode == LIST_QUORUM && err == SGN_ERR_STALE) {
        /* An epoch came between (10); it is settled soon, or the deadline ends it. */
        list_drop_nodes(engine, list);
        sgn_op_renew(op);
        list->begin_ms = engine->now_ms + SGN_LIST_AGAIN_MS;
        return;
    }
    if (++list->tries < SGN_LIST_TRIES_MAX) {
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
            if (!page_valid(items) || (!end && (sgn_bytes_compare(after, sgn_list_after(op)) <= 0 ||
                                                after.count > SGN_KEY_BYTES_MAX))) {
                sgn_list_again(engine, op, SGN_ERR_PROTOCOL, node_id);
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
            sgn_list_again(engine, op, (enum sgn_err)event->msg.err, event->node);
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
    if (list->begin_ms != 0) {
        if (engine->now_ms >= list->begin_ms) {
            list_begin(engine, op);
        }
        return;
    }
    if (list->doubt_count > 0) {
        sgn_list_doubts(engine, op);
        return;
    }
    for (uint32_t i = 0; i < list->node_count; i++) {
        const struct list_node *node = &list->nodes[i];
        if (node->state != LIST_DONE && node->id != engine->options.node &&
            (!sgn_node_alive(engine, node->id) ||
             (node->state == LIST_WAITING &&
              engine->now_ms - node->sent_ms >= engine->options.replica_timeout_ms))) {
            sgn_list_again(engine, op, SGN_ERR_TIMEOUT, node->id);
            return;
        }
    }
    list_ask(engine, op);
}
