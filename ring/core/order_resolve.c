/* What nobody finished (protocol.md 3.6, 3.1.7, 4.3): a pending record whose coordinator fell
 * silent, a committed one never settled, a mark that has grown old. Each is taken up by an
 * identity round, in preference order with a random delay, so that replicas do not duel. */
#include "ring/core/order_inner.h"

#define LOOK_PER_TICK 512u
#define TRIES_MAX     5u /* The wait doubles with each: 32 times the first at most. */

/* The key of a hash: the tree family is ordered by partition and hash. */
static void key_scan(struct sgn_engine *engine,
                     uint32_t partition,
                     struct sgn_key_hash key,
                     uint64_t token)
{
    struct sgn_effect *effect = sgn_fx_push(engine, SGN_FX_SCAN);
    struct sgn_sink sink = sgn_arena_sink(engine, 10);
    sgn_sink_uint(&sink, partition >> 8, 1);
    sgn_sink_uint(&sink, partition & 0xff, 1);
    for (uint32_t i = 8; i > 0; i--) {
        sgn_sink_uint(&sink, (key.hash >> (8 * (i - 1))) & 0xff, 1);
    }
    effect->token = token;
    effect->scan = (struct sgn_scan){.family = SGN_FAMILY_TREE,
                                     .prefix = sgn_sink_bytes(&sink),
                                     .items_max = 8,
                                     .examined_max = 8,
                                     .bytes_max = SGN_PAGE_BYTES_MAX};
}

/* 6.2: of a partition that this node has left, what is not settled is wiped. */
static bool take_up(struct sgn_engine *engine, uint32_t partition, struct sgn_bytes full_key)
{
    return sgn_own_seat(engine, sgn_order_line(engine, partition)) < 0
               ? sgn_accept_drop(engine, full_key, SGN_CELL_WIPE, NULL)
               : sgn_round_resolve(engine, full_key, NULL);
}

/* False: no room now. */
static bool resolve(struct sgn_engine *engine,
                    uint32_t partition,
                    struct sgn_key_hash key,
                    uint32_t index)
{
    struct sgn_cell *cell = sgn_cell_find(engine, key);
    if (cell != NULL && cell->queue_head != SGN_NONE) {
        return true; /* Someone is at it. */
    }
    if (cell != NULL) {
        return take_up(engine, partition, sgn_buf_bytes(cell->key));
    }
    if (engine->order.resolves >= SGN_RESOLVES_MAX) {
        return false;
    }
    key_scan(engine, partition, key, sgn_token(SGN_TOKEN_RESOLVE, 0, index));
    return true;
}

void sgn_resolve_scanned(struct sgn_engine *engine, const struct sgn_event *event)
{
    uint32_t index = (uint32_t)event->token;
    struct sgn_order *order = &engine->order;
    if (event->err != SGN_OK || index == 0 || index > order->dirty_high) {
        return;
    }
    const struct sgn_dirty *entry = &order->dirty[index - 1];
    struct sgn_cursor cursor = sgn_cursor_of(event->items);
    struct sgn_bytes tree_key;
    struct sgn_bytes value;
    while (entry->used && sgn_items_next(&cursor, &tree_key, &value) && tree_key.count > 10) {
        struct sgn_bytes full_key =
            sgn_bytes_of((const uint8_t *)tree_key.ptr + 10, tree_key.count - 10);
        struct sgn_key_hash key = sgn_key_hash_of(full_key, order->map.hash_seed);
        if (key.hash == entry->key.hash && key.keyed == entry->key.keyed &&
            sgn_fx_has_room(engine)) {
            (void)take_up(engine, entry->partition, full_key);
            return;
        }
    }
}

/* How long an entry is left alone: the first seats of the line look first. */
static uint64_t patience_ms(const struct sgn_engine *engine,
                            const struct sgn_dirty *entry,
                            int seat)
{
    uint32_t tries = entry->tries < TRIES_MAX ? entry->tries : TRIES_MAX;
    uint64_t base = (uint64_t)engine->options.resolve_ms * (1u + (uint32_t)seat) << tries;
    return base + entry->key.keyed % (engine->options.resolve_ms / 2 + 1);
}

static bool all_alive(const struct sgn_engine *engine, const struct sgn_line *line, uint32_t seats)
{
    for (uint32_t i = 0; i < line->seat_count; i++) {
        if ((seats & 1u << i) != 0 && !sgn_member_alive(engine, line->seats[i].node)) {
            return false;
        }
    }
    return true;
}

static void look(struct sgn_engine *engine, struct sgn_dirty *entry)
{
    const struct sgn_line *line = sgn_order_line(engine, entry->partition);
    int seat = sgn_own_seat(engine, line);
    uint32_t age_ms = (uint32_t)engine->now_ms - entry->since_ms;
    if (seat < 0) {
        seat = (int)line->seat_count; /* To be wiped. */
    }
    if (age_ms < patience_ms(engine, entry, seat) && !entry->soon) {
        return;
    }
    /* What is committed can only be settled with all who must confirm it. */
    bool can = sgn_own_seat(engine, line) < 0 ? true
               : entry->pending               ? sgn_order_reachable(engine, line)
                                              : all_alive(engine, line, sgn_line_settlers(line));
    if (can &&
        resolve(
            engine, entry->partition, entry->key, (uint32_t)(entry - engine->order.dirty) + 1)) {
        entry->since_ms = (uint32_t)engine->now_ms;
        entry->tries++;
        entry->soon = false;
    }
}

void sgn_resolve_tick(struct sgn_engine *engine)
{
    struct sgn_order *order = &engine->order;
    for (uint32_t i = 0;
         i < LOOK_PER_TICK && i < order->dirty_high && order->is_member && sgn_fx_has_room(engine);
         i++) {
        order->resolve_hand =
            order->resolve_hand >= order->dirty_high ? 1 : order->resolve_hand + 1;
        struct sgn_dirty *entry = &order->dirty[order->resolve_hand - 1];
        if (entry->used) {
            look(engine, entry);
        }
    }
}

void sgn_resolve_mark(struct sgn_engine *engine,
                      uint32_t partition,
                      struct sgn_key_hash key,
                      const struct sgn_ballot *ballot)
{
    const struct sgn_line *line = sgn_order_line(engine, partition);
    const struct sgn_cell *cell = sgn_cell_find(engine, key);
    int seat = sgn_own_seat(engine, line);
    if (seat < 0 || sgn_line_preferred(line, NULL, NULL) != seat ||
        sgn_dirty_find(engine, key) != NULL || !all_alive(engine, line, sgn_line_settlers(line))) {
        return; /* Another's, or on its way. */
    }
    if (cell != NULL && cell->queue_head == SGN_NONE) {
        (void)sgn_round_resolve(engine, sgn_buf_bytes(cell->key), ballot);
        return;
    }
    struct sgn_op *op =
        cell == NULL ? sgn_op_acquire(engine, SGN_OP_MARK, SGN_FOR_BACKGROUND) : NULL;
    if (op != NULL) {
        op->replied = true;
        op->partition = partition;
        op->u.mark = (struct sgn_op_mark){.key = key, .ballot = *ballot, .epoch = line->epoch};
        key_scan(engine, partition, key, sgn_op_token(engine, op));
    }
}

void sgn_mark_scanned(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    const struct sgn_op_mark mark = op->u.mark;
    uint32_t partition = op->partition;
    struct sgn_cursor cursor = sgn_cursor_of(event->items);
    struct sgn_bytes tree_key;
    struct sgn_bytes value;
    bool found = event->err != SGN_OK;
    sgn_op_free(engine, op);
    while (!found && sgn_items_next(&cursor, &tree_key, &value) && tree_key.count > 10) {
        struct sgn_bytes full_key =
            sgn_bytes_of((const uint8_t *)tree_key.ptr + 10, tree_key.count - 10);
        struct sgn_key_hash key = sgn_key_hash_of(full_key, engine->order.map.hash_seed);
        found = key.hash == mark.key.hash && key.keyed == mark.key.keyed;
        if (found) {
            (void)sgn_round_resolve(engine, full_key, &mark.ballot);
        }
    }
    if (!found && sgn_order_line(engine, partition)->epoch == mark.epoch) {
        /* A mark of a key that no replica ever accepted: only a new epoch of the partition, which
         * drops the witnesses' tables, removes it (4.1). Rare; the keeper spaces them out. */
        engine->order.relist_wanted = partition + 1;
    }
}
