/* Lists of ordered buckets where they are coordinated (protocol.md 10): which seats are read, what
 * their words on one key come to, and what is done about a key they leave in doubt.
 *
 *   eventual   one seat a partition; its committed records
 *   checked    strong, one in_sync seat a partition, behind its witnesses (order_page.c)
 *   quorum     strong, Q seats a partition, all in the epochs that this node knows: what one of
 * them
 *              knows committed and none has a newer accepted record of is shown (5.3)
 *
 * A key in doubt is read on its own at one of its seats, in the same mode, before the page is
 * shown. */
#include "ring/core/list_inner.h"

static bool seat_fits(struct sgn_engine *engine, const struct sgn_seat *seat, bool in_sync)
{
    return (seat->state == SGN_SEAT_IN_SYNC || !in_sync) && sgn_member_alive(engine, seat->node);
}

/* One seat: this node's own if it is as good as any. -1: none. */
static int seat_one(struct sgn_engine *engine, const struct sgn_line *line, bool in_sync)
{
    int own = sgn_own_seat(engine, line);
    if (own >= 0 && seat_fits(engine, &line->seats[own], in_sync)) {
        return own;
    }
    for (uint32_t i = 0; i < line->seat_count; i++) {
        if (seat_fits(engine, &line->seats[i], in_sync)) {
            return (int)i;
        }
    }
    return -1;
}

static bool seats_enough(const struct sgn_line *line, uint32_t votes)
{
    if (SGN_MUTANT(26) && line->joint) {
        struct sgn_line one = *line;
        one.joint = false;
        for (uint32_t i = 0; i < one.seat_count; i++) {
            one.seats[i].sets = (line->seats[i].sets & SGN_SET_OLD) != 0 ? SGN_SET_NEW : 0;
        }
        return sgn_line_quorum(&one, votes);
    }
    return sgn_line_quorum(line, votes);
}

uint32_t sgn_list_seats(struct sgn_engine *engine,
                        const struct sgn_op *op,
                        uint32_t partition,
                        uint32_t chosen[SGN_SEATS_MAX])
{
    const struct sgn_line *line = sgn_order_line(engine, partition);
    uint32_t votes = 0;
    uint32_t taken = 0;
    if (op->list->mode != LIST_QUORUM) {
        int seat = seat_one(engine, line, true);
        seat = seat < 0 ? seat_one(engine, line, false) : seat;
        if (seat < 0) {
            return 0;
        }
        chosen[0] = (uint32_t)sgn_ring_find(engine->ring, line->seats[seat].node);
        return 1;
    }
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < line->seat_count && !seats_enough(line, votes); i++) {
            if ((votes >> i & 1) == 0 && seat_fits(engine, &line->seats[i], round == 0)) {
                votes |= 1u << i;
                chosen[taken++] = (uint32_t)sgn_ring_find(engine->ring, line->seats[i].node);
            }
        }
    }
    return seats_enough(line, votes) ? taken : 0;
}

bool sgn_list_can_check(struct sgn_engine *engine)
{
    for (uint32_t i = 0; i < engine->ring->partition_count; i++) {
        const struct sgn_line *line = sgn_order_line(engine, i);
        if (line->group_count == 0 || seat_one(engine, line, true) < 0) {
            return false;
        }
    }
    return true;
}

static void row_put(struct sgn_sink *row, const struct sgn_version *version, uint64_t body_bytes)
{
    sgn_version_put(row, version);
    sgn_sink_uint(row, body_bytes, 4);
}

bool sgn_list_row(struct sgn_list *list, struct sgn_bytes key, struct sgn_sink *row)
{
    struct sgn_ballot top = {.hlc = 0};
    struct sgn_list_item best = {.flags = 0};
    bool known = false;
    bool doubt = false;
    for (uint32_t i = 0; i < list->node_count; i++) {
        struct sgn_bytes value;
        struct sgn_list_item item;
        if (!sgn_list_take(&list->nodes[i], key, &value)) {
            continue;
        }
        if (!sgn_list_item_take(value, &item)) {
            doubt = true;
            continue;
        }
        doubt = doubt || (item.flags & SGN_LIST_ABSTAINS) != 0;
        top = sgn_ballot_compare(&item.accepted, &top) > 0 ? item.accepted : top;
        bool better = !known || sgn_ballot_compare(&item.committed, &best.committed) > 0;
        if ((item.flags & SGN_LIST_KNOWN) != 0 && better) {
            best = item;
            known = true;
        }
    }
    doubt = doubt || !known || (list->strong && sgn_ballot_compare(&top, &best.committed) > 0);
    if (!doubt) {
        row_put(row, &best.version, best.body_bytes);
        return (best.flags & SGN_LIST_DEAD) == 0;
    }
    struct list_doubt *doubts = (struct list_doubt *)(void *)list->doubts->bytes;
    SGN_ASSERT(list->doubt_count < SGN_LIST_DOUBTS_MAX);
    doubts[list->doubt_count++] = (struct list_doubt){.top = top};
    return true;
}

/* --- doubts ----------------------------------------------------------------------------------- */

/* Asks the next seat: an in_sync one first. Without any, a seat of this node is left. */
static void key_next(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_list_key *key = &op->u.list_key;
    const struct sgn_line *line = sgn_order_line(engine, op->partition);
    key->node = 0;
    for (uint32_t i = 0; i < 2 * line->seat_count && key->node == 0; i++) {
        uint32_t at = i < line->seat_count ? i : i - line->seat_count;
        const struct sgn_seat *seat = &line->seats[at];
        if ((key->tried >> at & 1) == 0 && seat->node != engine->options.node &&
            seat_fits(engine, seat, i < line->seat_count)) {
            key->tried |= 1u << at;
            key->node = seat->node;
        }
    }
    key->local = key->node == 0 && key->tried == 0 && sgn_own_seat(engine, line) >= 0;
    if (key->node == 0) {
        return; /* Its tick goes on. */
    }
    key->sent_ms = engine->now_ms;
    sgn_op_renew(op);
    sgn_order_send(engine,
                   key->node,
                   op,
                   line->epoch,
                   (struct sgn_msg){.type = SGN_MSG_GET,
                                    .forwarded = true,
                                    .bucket = op->bucket,
                                    .key = op->key,
                                    .flags = SGN_GET_HEAD_ONLY,
                                    .a = key->strong ? SGN_READ_STRONG : SGN_READ_EVENTUAL});
}

/* False: there is no room now. */
static bool key_begin(struct sgn_engine *engine, const struct sgn_op *list, struct sgn_bytes key)
{
    const struct list_doubt *doubts =
        (const struct list_doubt *)(const void *)list->list->doubts->bytes;
    struct sgn_bytes none = sgn_bytes_of(NULL, 0);
    struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_LIST_KEY, SGN_FOR_BACKGROUND);
    if (op == NULL || !sgn_op_copy(engine, op, list->bucket, key, none, none)) {
        if (op != NULL) {
            sgn_op_free(engine, op);
        }
        return false;
    }
    op->replied = true;
    op->partition = sgn_partition_of(sgn_hash(op->full_key), engine->ring->partition_count);
    op->u.list_key = (struct sgn_op_list_key){.parent = sgn_op_index(engine, list),
                                              .parent_generation = list->generation,
                                              .index = list->list->doubt_next,
                                              .strong = list->list->strong,
                                              .top = doubts[list->list->doubt_next].top};
    key_next(engine, op);
    return true;
}

static void key_end(struct sgn_engine *engine,
                    struct sgn_op *op,
                    const struct sgn_version *version,
                    uint64_t body_bytes)
{
    struct sgn_op_list_key key = op->u.list_key;
    struct sgn_op *parent = sgn_op_at(engine, key.parent, key.parent_generation);
    sgn_op_free(engine, op);
    if (parent == NULL || parent->list == NULL) {
        return;
    }
    struct list_doubt *doubt = (struct list_doubt *)(void *)parent->list->doubts->bytes + key.index;
    struct sgn_sink row = sgn_sink_of(doubt->row, sizeof(doubt->row));
    doubt->state = version != NULL ? 1 : 2;
    if (version != NULL) {
        row_put(&row, version, body_bytes);
    }
    parent->list->doubt_flight--;
    parent->list->doubt_done++;
    sgn_list_doubts(engine, parent);
}

void sgn_list_key_answer(struct sgn_engine *engine,
                         struct sgn_op *op,
                         const struct sgn_event *event)
{
    const struct sgn_msg *msg = &event->msg;
    struct sgn_version version;
    if (msg->type != SGN_MSG_RESULT || event->node != op->u.list_key.node) {
        return;
    }
    bool ordered = (msg->flags & SGN_RESULT_ORDERED) != 0;
    if (ordered && msg->err == SGN_ERR_NOT_FOUND) {
        key_end(engine, op, NULL, 0);
    } else if (ordered && msg->err == SGN_OK &&
               sgn_version_take(msg->context, &version) == SGN_OK) {
        key_end(engine, op, &version, msg->a);
    } else {
        key_next(engine, op);
    }
}

/* No other seat is there: an identity round of this one's, then its own committed record, which is
 * chosen and no older than anything a page told. */
static void key_local(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_list_key *key = &op->u.list_key;
    struct sgn_cell *cell =
        sgn_cell_find(engine, sgn_key_hash_of(op->full_key, engine->order.map.hash_seed));
    struct sgn_ordered record;
    bool ready = cell != NULL && cell->state == SGN_CELL_READY && !cell->doubtful &&
                 !cell->corrupt && !sgn_cell_pending(cell) &&
                 sgn_ballot_compare(&cell->committed, &key->top) >= 0;
    bool absent = ready && sgn_ballot_is_zero(&cell->accepted);
    if (absent || (ready && cell->record != NULL && sgn_cell_record(engine, cell, &record))) {
        bool dead = absent || sgn_ordered_is_dead(&record);
        key_end(engine, op, dead ? NULL : &record.version, dead ? 0 : record.body_bytes);
    } else if (engine->now_ms >= key->sent_ms && sgn_fx_has_room(engine)) {
        key->sent_ms = engine->now_ms + SGN_LIST_AGAIN_MS;
        (void)sgn_round_resolve(engine, op->full_key, NULL);
    }
}

void sgn_list_key_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_list_key *key = &op->u.list_key;
    struct sgn_op *parent = sgn_op_at(engine, key->parent, key->parent_generation);
    if (parent == NULL || parent->list == NULL) {
        sgn_op_free(engine, op);
        return;
    }
    if (key->local) {
        key_local(engine, op);
    } else if (key->node == 0) {
        struct sgn_bytes text =
            sgn_order_missing(engine,
                              sgn_order_line(engine, op->partition),
                              "no replica could tell what became of a key of the list; missing:");
        sgn_op_free(engine, op);
        sgn_list_fail(engine, parent, SGN_ERR_UNAVAILABLE, text);
    } else if (!sgn_node_alive(engine, key->node) ||
               engine->now_ms >= key->sent_ms + 2ull * engine->options.replica_timeout_ms) {
        key_next(engine, op);
    }
}

/* Every doubt is answered: the rows are as they are shown. */
static void doubts_end(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_list *list = op->list;
    const struct list_doubt *doubt = (const struct list_doubt *)(const void *)list->doubts->bytes;
    struct sgn_buf *rows = sgn_buf_get(engine, SGN_PAGE_BYTES_MAX);
    if (rows == NULL) {
        sgn_list_fail(engine, op, SGN_ERR_BUSY, sgn_bytes_of(NULL, 0));
        return;
    }
    struct sgn_sink sink = sgn_sink_of(rows->bytes, rows->count);
    struct sgn_cursor cursor = sgn_cursor_of(sgn_buf_bytes(list->rows));
    struct sgn_bytes key;
    struct sgn_bytes value;
    while (sgn_items_next(&cursor, &key, &value)) {
        if (value.count == 0 && doubt->state == 1) {
            value = sgn_bytes_of(doubt->row, sizeof(doubt->row));
            doubt++;
        } else if (value.count == 0) {
            list->shown--;
            doubt++;
            continue;
        }
        sgn_items_push(&sink, key, value);
    }
    SGN_ASSERT(!sink.full); /* The merge has left room for them. */
    rows->count = sink.count;
    sgn_buf_drop(engine, &list->rows);
    list->rows = rows;
    list->doubt_count = 0;
    sgn_list_finished(engine, op);
}

void sgn_list_doubts(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_list *list = op->list;
    struct sgn_cursor cursor = sgn_cursor_of(sgn_buf_bytes(list->rows));
    struct sgn_bytes key;
    struct sgn_bytes value;
    (void)sgn_cursor_take(&cursor, list->doubt_at);
    while (list->doubt_flight < SGN_LIST_DOUBTS_FLIGHT && list->doubt_next < list->doubt_count &&
           sgn_fx_has_room(engine) && sgn_items_next(&cursor, &key, &value)) {
        if (value.count == 0) {
            if (!key_begin(engine, op, key)) {
                break;
            }
            list->doubt_next++;
            list->doubt_flight++;
        }
        list->doubt_at = list->rows->count - cursor.left;
    }
    if (list->doubt_done == list->doubt_count) {
        doubts_end(engine, op);
    }
}
