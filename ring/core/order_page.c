/* This node's page of a list of an ordered bucket (protocol.md 10): for every key the highest
 * accepted ballot and, if it is known, the committed record's head. Nothing pending is told as
 * committed.
 *
 * With SGN_LIST_CHECK it stands for a strong read of its partitions (5.2): f+1 active witnesses of
 * each say all marks of this epoch; *then* the disk is read; a key whose mark is above what is
 * accepted here is left in doubt. A mark of a key that is not here at all has no name: then nothing
 * is said, and the list is read by quorum. */
#include "ring/core/list_inner.h"
#include "ring/core/prng.h"

#define PAGE_LAGGING_MAX 64u

/* A key whose mark is above what is here. */
struct lagging {
    struct sgn_key_hash key;
    struct sgn_ballot mark;
};

#define PAGE_ASKS_FLIGHT 32u

static bool bit_of(struct sgn_bytes bitmap, uint32_t partition)
{
    return (((const uint8_t *)bitmap.ptr)[partition / 8] >> (partition % 8) & 1) != 0;
}

uint64_t sgn_page_epochs(struct sgn_engine *engine, struct sgn_bytes bitmap)
{
    uint64_t digest = 1;
    for (uint32_t i = 0; i < engine->ring->partition_count; i++) {
        if (bit_of(bitmap, i)) {
            const struct sgn_line *line = sgn_order_line(engine, i);
            /* With a floor that is raised, rows go that marks were compared with (3.7). */
            digest += sgn_mix64(sgn_mix64((uint64_t)i << 32 | line->epoch) ^ line->floor);
        }
    }
    return digest != 0 ? digest : 1;
}

static void item_put(struct sgn_sink *sink, const struct sgn_list_item *item)
{
    sgn_sink_uint(sink, item->flags, 1);
    sgn_ballot_put(sink, &item->accepted);
    sgn_ballot_put(sink, &item->committed);
    sgn_version_put(sink, &item->version);
    sgn_sink_uint(sink, item->body_bytes, 4);
}

bool sgn_list_item_take(struct sgn_bytes bytes, struct sgn_list_item *item)
{
    struct sgn_cursor cursor = sgn_cursor_of(bytes);
    item->flags = (uint8_t)sgn_cursor_uint(&cursor, 1);
    item->accepted = sgn_ballot_take(&cursor);
    item->committed = sgn_ballot_take(&cursor);
    struct sgn_bytes version = sgn_cursor_take(&cursor, SGN_VERSION_BYTES);
    item->body_bytes = (uint32_t)sgn_cursor_uint(&cursor, 4);
    return !cursor.bad && cursor.left == 0 && sgn_version_take(version, &item->version) == SGN_OK;
}

/* --- beginning -------------------------------------------------------------------------------- */

static enum sgn_err page_may(struct sgn_engine *engine, const struct sgn_op *op)
{
    const struct sgn_op_page *page = &op->u.page;
    if (page->epochs != 0 && page->epochs != sgn_page_epochs(engine, op->value)) {
        return SGN_ERR_STALE;
    }
    for (uint32_t i = 0; i < engine->ring->partition_count; i++) {
        const struct sgn_line *line = sgn_order_line(engine, i);
        int seat = bit_of(op->value, i) ? sgn_own_seat(engine, line) : 0;
        bool in_sync = seat >= 0 && line->seats[seat].state == SGN_SEAT_IN_SYNC;
        bool old = bit_of(op->value, i) && sgn_purge_wanted(engine, i);
        if (seat < 0 || old ||
            (page->check && bit_of(op->value, i) && !in_sync && !SGN_MUTANT(15))) {
            return SGN_ERR_STALE;
        }
    }
    return SGN_OK;
}

/* Tells whoever asked that there is no page, and ends. */
static void page_fail(struct sgn_engine *engine, struct sgn_op *op, int err)
{
    struct sgn_op_page page = op->u.page;
    if (page.parent == SGN_NONE) {
        op->replied = true;
        sgn_fx_reply(engine, op->token, (struct sgn_msg){.type = SGN_MSG_REPL_PAGE, .err = err});
        sgn_op_free(engine, op);
        return;
    }
    sgn_op_free(engine, op);
    struct sgn_op *list = sgn_op_at(engine, page.parent, page.parent_generation);
    if (list != NULL && list->list != NULL) {
        sgn_list_again(engine, list, (enum sgn_err)err, engine->options.node);
    }
}

static void page_scan(struct sgn_engine *engine, struct sgn_op *op)
{
    op->u.page.floor = sgn_dirty_floor(engine);
    sgn_list_scan(engine, op, op->context, op->u.page.limit, op->value);
}

/* Asks the group of one partition. False: too few of it can be asked. */
static bool page_ask(struct sgn_engine *engine, const struct sgn_op *op, uint32_t partition)
{
    static const struct sgn_key_hash none;
    const struct sgn_line *line = sgn_order_line(engine, partition);
    struct sgn_op *asks = sgn_op_acquire(engine, SGN_OP_REPLICA_LIST, SGN_FOR_BACKGROUND);
    if (asks == NULL) {
        return false;
    }
    asks->replied = true;
    asks->partition = partition;
    asks->u.page = (struct sgn_op_page){.ordered = true,
                                        .asks = true,
                                        .parent = sgn_op_index(engine, op),
                                        .parent_generation = op->generation,
                                        .epochs = line->epoch};
    uint32_t asked =
        sgn_barrier_ask(engine, asks, SGN_WITNESS_LIST, line, partition, none, NULL, UINT32_MAX);
    asks->u.page.refused = ~asked;
    if (line->group_count == 0 ||
        (uint32_t)__builtin_popcount(asked) < sgn_line_group_quorum(line)) {
        sgn_op_free(engine, asks);
        return false;
    }
    return true;
}

/* Asks for the marks of one partition after the other, some at once, then reads the disk. */
static void page_pump(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_page *page = &op->u.page;
    uint32_t total = page->check ? engine->ring->partition_count : 0;
    while (page->next < total && page->in_flight < PAGE_ASKS_FLIGHT && sgn_fx_has_room(engine)) {
        uint32_t partition = page->next++;
        if (!bit_of(op->value, partition)) {
            continue;
        }
        if (!page_ask(engine, op, partition)) {
            page->err = SGN_ERR_STALE;
            return;
        }
        page->in_flight++;
    }
    if (page->next >= total && page->in_flight == 0) {
        page->next = UINT32_MAX; /* Once. */
        page_scan(engine, op);
    }
}

static bool page_start(struct sgn_engine *engine,
                       struct sgn_op *op,
                       struct sgn_bytes bucket,
                       struct sgn_bytes prefix,
                       struct sgn_bytes bitmap,
                       struct sgn_bytes after)
{
    if (!sgn_op_copy(engine, op, bucket, prefix, bitmap, after)) {
        return false;
    }
    if (op->u.page.check) {
        op->result = sgn_buf_get(engine, PAGE_LAGGING_MAX * sizeof(struct lagging));
        if (op->result == NULL) {
            return false;
        }
    }
    op->u.page.err = page_may(engine, op);
    if (op->u.page.err == SGN_OK) {
        page_pump(engine, op);
    }
    return true;
}

void sgn_page_request(struct sgn_engine *engine, const struct sgn_event *event)
{
    const struct sgn_msg *msg = &event->msg;
    struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_REPLICA_LIST, SGN_FOR_PEER);
    if (op == NULL) {
        sgn_fx_refuse(engine, event, SGN_ERR_BUSY, NULL);
        return;
    }
    op->token = event->token;
    op->u.page = (struct sgn_op_page){.ordered = true,
                                      .check = (msg->flags & SGN_LIST_CHECK) != 0,
                                      .parent = SGN_NONE,
                                      .limit = msg->n,
                                      .epochs = msg->a};
    if (!page_start(engine, op, msg->bucket, msg->key, msg->items, msg->after)) {
        sgn_op_free(engine, op);
        sgn_fx_refuse(engine, event, SGN_ERR_BUSY, NULL);
    } else if (op->u.page.err != SGN_OK) {
        page_fail(engine, op, op->u.page.err);
    }
}

bool sgn_page_own(struct sgn_engine *engine, struct sgn_op *list, struct sgn_bytes bitmap)
{
    struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_REPLICA_LIST, SGN_FOR_BACKGROUND);
    if (op == NULL) {
        return false;
    }
    op->replied = true;
    op->u.page =
        (struct sgn_op_page){.ordered = true,
                             .check = list->list->mode == LIST_CHECKED,
                             .parent = sgn_op_index(engine, list),
                             .parent_generation = list->generation,
                             .limit = list->list->limit,
                             .epochs = list->list->strong ? sgn_page_epochs(engine, bitmap) : 0};
    if (!page_start(engine, op, list->bucket, list->key, bitmap, sgn_list_after(list))) {
        sgn_op_free(engine, op);
        return false;
    }
    return true;
}

/* --- marks ------------------------------------------------------------------------------------ */

/* False: one of them is of a key that this replica cannot name. */
static bool marks_take(struct sgn_engine *engine,
                       struct sgn_op *op,
                       const struct sgn_witness_tell *tell)
{
    struct sgn_op_page *page = &op->u.page;
    struct sgn_cursor cursor = sgn_cursor_of(tell->marks);
    for (uint32_t i = 0; i < tell->mark_count; i++) {
        struct sgn_key_hash key;
        key.hash = sgn_cursor_uint(&cursor, 8);
        key.keyed = sgn_cursor_uint(&cursor, 8);
        struct sgn_ballot mark = sgn_ballot_take(&cursor);
        struct sgn_ballot own = {.hlc = 0};
        const struct sgn_cell *cell = sgn_cell_find(engine, key);
        /* What the page will show. The dirty set may be ahead of a disk that refused a store. */
        if (cell != NULL && cell->state == SGN_CELL_READY && !cell->corrupt && !cell->doubtful) {
            own = cell->durable;
        }
        if (cursor.bad || sgn_ballot_is_zero(&own)) {
            return false;
        }
        if (sgn_ballot_compare(&own, &mark) < 0) {
            if (page->lagging == PAGE_LAGGING_MAX ||
                own.hlc <= sgn_order_line(engine, cell->partition)->floor) {
                /* Of a key that is absent here, at the floor, no row will tell, even if a write of
                 * it is on its way to the disk; nor of a tombstone that may be dropped (3.7). */
                return false;
            }
            const struct lagging one = {key, mark};
            memcpy(op->result->bytes + page->lagging++ * sizeof(one), &one, sizeof(one));
        }
    }
    return true;
}

void sgn_order_list_told(struct sgn_engine *engine,
                         struct sgn_op *asks,
                         uint32_t member,
                         const struct sgn_witness_tell *tell)
{
    struct sgn_op_page *page = &asks->u.page;
    if (!page->asks || ((page->told | page->refused) >> member & 1) != 0) {
        return;
    }
    const struct sgn_line *line = sgn_order_line(engine, asks->partition);
    struct sgn_op *op = sgn_op_at(engine, page->parent, page->parent_generation);
    if (op == NULL || op->u.page.err != SGN_OK) {
        sgn_op_free(engine, asks);
        return;
    }
    *(tell->status == SGN_WITNESS_OK ? &page->told : &page->refused) |= 1u << member;
    uint32_t quorum = sgn_line_group_quorum(line);
    uint32_t group = (1u << line->group_count) - 1u;
    if (line->epoch != page->epochs ||
        (uint32_t)__builtin_popcount(group & ~page->refused) < quorum ||
        (tell->status == SGN_WITNESS_OK && !marks_take(engine, op, tell))) {
        sgn_op_free(engine, asks);
        page_fail(engine, op, SGN_ERR_STALE);
        return;
    }
    if ((uint32_t)__builtin_popcount(page->told) >= quorum) {
        sgn_op_free(engine, asks);
        op->u.page.in_flight--;
        page_pump(engine, op);
    }
}

void sgn_page_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_page *page = &op->u.page;
    bool late = engine->now_ms >= op->begun_ms + engine->options.replica_timeout_ms / 2;
    if (!page->ordered) {
        return; /* It waits for the own store only. */
    }
    if (page->asks) {
        if (late || sgn_op_at(engine, page->parent, page->parent_generation) == NULL) {
            sgn_op_free(engine, op); /* The page it was asked for gives up as well. */
        }
        return;
    }
    if (page->err == SGN_OK && page->next != UINT32_MAX) {
        page->err = late ? SGN_ERR_STALE : SGN_OK;
        if (!late) {
            page_pump(engine, op);
        }
    }
    if (page->err != SGN_OK) {
        page_fail(engine, op, page->err);
    }
}

/* --- the page --------------------------------------------------------------------------------- */

static void item_known(struct sgn_list_item *item, const struct sgn_ordered *record)
{
    item->flags |= SGN_LIST_KNOWN;
    if (sgn_ordered_is_dead(record) || record->version.rev == 0) {
        item->flags |= SGN_LIST_DEAD;
    }
    item->committed = record->ballot;
    item->version = record->version;
    item->body_bytes = record->body_bytes;
}

/* What memory says of a key under work. */
static void item_of_cell(struct sgn_list_item *item,
                         const struct sgn_cell *cell,
                         const struct sgn_ordered *scanned)
{
    struct sgn_ordered record;
    bool pending = sgn_cell_pending(cell);
    const struct sgn_buf *bytes = pending ? cell->shadow : cell->record;
    item->accepted = cell->accepted;
    item->flags |= pending ? SGN_LIST_PENDING : 0;
    if (pending && !cell->shadow_known) {
        return;
    }
    if (bytes != NULL || pending || sgn_ballot_is_zero(&cell->accepted)) {
        if (sgn_ordered_decode(sgn_cell_bytes(bytes), true, &record) == SGN_OK) {
            item_known(item, &record);
        }
    } else if (scanned != NULL && sgn_ballot_compare(&scanned->ballot, &cell->committed) == 0) {
        item_known(item, scanned);
    }
}

static void item_make(struct sgn_engine *engine,
                      const struct sgn_op *op,
                      struct sgn_bytes full_key,
                      struct sgn_bytes stored,
                      struct sgn_list_item *item)
{
    struct sgn_key_hash key = sgn_key_hash_of(full_key, engine->order.map.hash_seed);
    const struct sgn_cell *cell = sgn_cell_find(engine, key);
    const struct sgn_dirty *entry = sgn_dirty_find(engine, key);
    struct sgn_ordered scanned;
    const uint8_t *raw = stored.ptr;
    bool good =
        stored.count > SGN_CELL_PREFIX &&
        sgn_ordered_decode(sgn_bytes_of(raw + SGN_CELL_PREFIX, stored.count - SGN_CELL_PREFIX),
                           false,
                           &scanned) == SGN_OK;
    *item = (struct sgn_list_item){.flags = 0};
    if (good && SGN_MUTANT(18)) {
        item->accepted = scanned.ballot;
        item_known(item, &scanned);
        return;
    }
    if (cell != NULL && cell->state == SGN_CELL_READY) {
        if (cell->corrupt || cell->doubtful) {
            item->flags = SGN_LIST_ABSTAINS; /* 2 */
        } else {
            item_of_cell(item, cell, good ? &scanned : NULL);
        }
    } else if (!good) {
        item->flags = SGN_LIST_ABSTAINS;
    } else {
        item->accepted = scanned.ballot;
        if (entry != NULL && sgn_ballot_compare(&entry->ballot, &item->accepted) > 0) {
            item->accepted = entry->ballot;
        }
        uint64_t sequence = sgn_get_uint(raw, SGN_CELL_PREFIX);
        if (sgn_mend_known(engine, key, &scanned.ballot, sequence, op->u.page.floor)) {
            item_known(item, &scanned);
        } else {
            item->flags = SGN_LIST_PENDING;
        }
    }
    for (uint32_t i = 0; i < op->u.page.lagging; i++) {
        struct lagging one;
        memcpy(&one, op->result->bytes + i * sizeof(one), sizeof(one));
        if (one.key.hash == key.hash && one.key.keyed == key.keyed) {
            item->flags |= SGN_LIST_ABSTAINS; /* 5.2.3: the mark is above what is here. */
            /* Whoever resolves it must come to the mark at least. */
            item->accepted =
                sgn_ballot_compare(&one.mark, &item->accepted) > 0 ? one.mark : item->accepted;
        }
    }
}

static struct sgn_bytes cut_bucket(const struct sgn_op *op, struct sgn_bytes full_key)
{
    size_t skip = op->bucket.count + 1;
    return full_key.count <= skip
               ? sgn_bytes_of(NULL, 0)
               : sgn_bytes_of((const uint8_t *)full_key.ptr + skip, full_key.count - skip);
}

/* Fills the page; false if it was full before all items were in. *last: the last one that is. */
static bool page_fill(struct sgn_engine *engine,
                      const struct sgn_op *op,
                      struct sgn_bytes items,
                      struct sgn_sink *sink,
                      struct sgn_bytes *last)
{
    struct sgn_cursor cursor = sgn_cursor_of(items);
    struct sgn_bytes full_key;
    struct sgn_bytes stored;
    while (sgn_items_next(&cursor, &full_key, &stored)) {
        struct sgn_list_item item;
        uint8_t raw[SGN_LIST_ITEM_BYTES];
        struct sgn_sink value = sgn_sink_of(raw, sizeof(raw));
        item_make(engine, op, full_key, stored, &item);
        item_put(&value, &item);
        SGN_ASSERT(value.count == SGN_LIST_ITEM_BYTES);
        sgn_items_push(sink, cut_bucket(op, full_key), sgn_sink_bytes(&value));
        if (sink->full) {
            return false;
        }
        *last = full_key;
    }
    return true;
}

void sgn_page_scanned(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    int err = event->err != SGN_OK ? event->err : (int)page_may(engine, op);
    struct sgn_buf *page = err == SGN_OK ? sgn_buf_get(engine, SGN_PAGE_BYTES_MAX) : NULL;
    if (page == NULL) {
        page_fail(engine, op, err != SGN_OK ? err : SGN_ERR_BUSY);
        return;
    }
    struct sgn_sink sink = sgn_sink_of(page->bytes, page->count);
    struct sgn_bytes last = event->after;
    bool all = page_fill(engine, op, event->items, &sink, &last);
    struct sgn_bytes after = cut_bucket(op, all ? event->after : last);
    bool end = all && event->end;
    struct sgn_bytes items = sgn_sink_bytes(&sink);
    struct sgn_op_page asked = op->u.page;
    if (asked.parent == SGN_NONE) {
        op->replied = true;
        sgn_fx_reply(engine,
                     op->token,
                     (struct sgn_msg){.type = SGN_MSG_REPL_PAGE,
                                      .items = items,
                                      .after = after,
                                      .flags = end ? SGN_RESULT_END : 0});
    } else {
        struct sgn_op *list = sgn_op_at(engine, asked.parent, asked.parent_generation);
        if (list != NULL && list->list != NULL) {
            sgn_list_page(engine, list, engine->options.node, items, after, end);
        }
    }
    sgn_buf_drop(engine, &page);
    sgn_op_free(engine, op);
}
