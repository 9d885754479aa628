/* Catching up a partition (protocol.md 6.1, 6.2): this replica, listed as catching_up, reads all
 * keys of enough other seats, fetches what it lacks, resolves what is pending, and says then, and
 * only for the epoch in which all this happened, that it may be listed as in_sync (order_keeper.c).
 *
 *   CHOOSE -> PULL -> WALK (both trees in step, order_fetch.c) -> PULL ... -> CHOOSE ... -> RESOLVE
 *
 * A new epoch of the line starts it anew: seats, sets and what counts as enough may have changed.
 * What was fetched stays, so the second time is short. A newcomer begins when what it held at or
 * below the floor is gone (order_wipe.c). */
#include "ring/core/order_inner.h"

#define CATCHUP_RETRY_MS      250u
#define CATCHUP_LOOK_PER_TICK 512u

static void catchup_walk(struct sgn_engine *engine, struct sgn_op *op);

static struct sgn_line *catchup_line(struct sgn_engine *engine, const struct sgn_op *op)
{
    return sgn_order_line(engine, op->partition);
}

void sgn_catchup_clear(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_catchup *catchup = &op->u.catchup;
    sgn_buf_drop(engine, &catchup->page);
    sgn_buf_drop(engine, &catchup->after);
    sgn_buf_drop(engine, &catchup->page_after);
    sgn_buf_drop(engine, &catchup->ours);
    sgn_buf_drop(engine, &catchup->ours_after);
}

/* Fetches under way notice that nobody waits for them. */
static void catchup_end(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_order *order = &engine->order;
    SGN_ASSERT(order->catchups > 0 && order->catchup[op->partition] != 0);
    order->catchup[op->partition] = 0;
    order->catchups--;
    sgn_op_free(engine, op); /* sgn_catchup_clear is called there. */
}

/* --- sources ---------------------------------------------------------------------------------- */

/* 6.1: the seats read and this one, whose disk is intact, form a quorum. 6.2: of a joint epoch a
 * majority of the old set, newcomers not counted. */
static bool catchup_enough(const struct sgn_line *line, int own, uint32_t done)
{
    uint32_t seats = own < 0 ? done : done | 1u << own;
    if (SGN_MUTANT(16) && done != 0) {
        return true;
    }
    return line->joint ? sgn_line_old_quorum(line, seats) : sgn_line_quorum(line, seats);
}

/* The next seat to read: in_sync ones first. False: none that is alive. */
static bool catchup_source(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_catchup *catchup = &op->u.catchup;
    const struct sgn_line *line = catchup_line(engine, op);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < line->seat_count; i++) {
            const struct sgn_seat *seat = &line->seats[i];
            bool tried = ((catchup->done | catchup->failed) >> i & 1) != 0;
            bool counts = !line->joint || (seat->sets & SGN_SET_OLD) != 0;
            bool fits = seat->state == SGN_SEAT_IN_SYNC || round == 1;
            if (!tried && counts && fits && seat->node != engine->options.node &&
                sgn_member_alive(engine, seat->node)) {
                catchup->source = seat->node;
                catchup->seat = i;
                return true;
            }
        }
    }
    return false;
}

static void pull_send(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_catchup *catchup = &op->u.catchup;
    SGN_ASSERT(catchup->in_flight == 0 && !catchup->scanning);
    sgn_op_renew(op); /* A late page of an earlier PULL is not this one's. */
    catchup->phase = SGN_CATCHUP_PULL;
    catchup->sent_ms = engine->now_ms;
    sgn_order_send(engine,
                   catchup->source,
                   op,
                   catchup->epoch,
                   (struct sgn_msg){.type = SGN_MSG_PULL,
                                    .a = op->partition,
                                    .after = sgn_buf_bytes(catchup->after)});
}

/* Reads the next source from its beginning, or goes on to what is pending. */
static void catchup_choose(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_catchup *catchup = &op->u.catchup;
    const struct sgn_line *line = catchup_line(engine, op);
    sgn_catchup_clear(engine, op);
    catchup->page_at = catchup->ours_at = 0;
    catchup->broken = catchup->end = catchup->own_end = false;
    if (catchup_enough(line, sgn_own_seat(engine, line), catchup->done)) {
        catchup->phase = SGN_CATCHUP_RESOLVE;
        catchup->below = engine->order.sequence;
        catchup->retry_ms = engine->now_ms;
        return;
    }
    catchup->phase = SGN_CATCHUP_CHOOSE;
    if (engine->now_ms < catchup->retry_ms || !sgn_fx_has_room(engine)) {
        return; /* Its tick comes back. */
    }
    if (catchup_source(engine, op)) {
        pull_send(engine, op);
    } else {
        catchup->failed = 0;
        catchup->retry_ms = engine->now_ms + CATCHUP_RETRY_MS;
    }
}

/* The source is given up until its turn comes again. What is in flight ends first, so that it is
 * not mixed up with what follows. */
static void catchup_break(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_catchup *catchup = &op->u.catchup;
    catchup->broken = true;
    catchup->phase = SGN_CATCHUP_WALK;
    if (catchup->in_flight == 0 && !catchup->scanning) {
        catchup->failed |= 1u << catchup->seat;
        catchup_choose(engine, op);
    }
}

/* --- pages ------------------------------------------------------------------------------------ */

void sgn_catchup_page(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    struct sgn_op_catchup *catchup = &op->u.catchup;
    const struct sgn_msg *msg = &event->msg;
    if (catchup->serving || msg->type != SGN_MSG_PULL_PAGE || event->node != catchup->source ||
        catchup->phase != SGN_CATCHUP_PULL || catchup_line(engine, op)->epoch != catchup->epoch) {
        return;
    }
    catchup->end = (msg->flags & SGN_RESULT_END) != 0;
    bool good = msg->err == SGN_OK && (msg->epoch == catchup->epoch || SGN_MUTANT(25));
    struct sgn_bytes after = sgn_buf_bytes(catchup->after);
    /* One that goes nowhere would be asked for for ever. */
    bool moves =
        msg->after.count > 0 && (after.count == 0 || sgn_walk_order(after, msg->after) < 0);
    if (!good || (!catchup->end && !moves)) {
        catchup_break(engine, op);
        return;
    }
    sgn_buf_drop(engine, &catchup->page);
    sgn_buf_drop(engine, &catchup->page_after);
    catchup->page = sgn_buf_copy(engine, msg->items);
    catchup->page_after = sgn_buf_copy(engine, msg->after);
    catchup->page_at = 0;
    if (catchup->page == NULL || catchup->page_after == NULL) {
        catchup_break(engine, op);
        return;
    }
    catchup->phase = SGN_CATCHUP_WALK;
    catchup_walk(engine, op);
}

/* The page is done with. */
static void page_end(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_catchup *catchup = &op->u.catchup;
    if (catchup->end) {
        catchup->done |= 1u << catchup->seat;
        catchup_choose(engine, op);
    } else if (sgn_fx_has_room(engine)) {
        sgn_buf_drop(engine, &catchup->after);
        catchup->after = catchup->page_after;
        catchup->page_after = NULL;
        pull_send(engine, op);
    }
}

/* Goes through the page as far as it can; a fetch, a scan or a tick goes on. */
static void catchup_walk(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_catchup *catchup = &op->u.catchup;
    struct sgn_walk_item item;
    enum sgn_err err = SGN_OK;
    while (!catchup->broken && !catchup->scanning) {
        struct sgn_ballot own;
        err = sgn_walk_peek(engine, op, &item);
        if (err != SGN_OK) {
            break;
        }
        if (!sgn_walk_ours(op, &catchup->ours_at, item.full_key, &own)) {
            if (sgn_fx_has_room(engine)) {
                catchup->scanning = true;
                sgn_pull_scan(engine, op, sgn_buf_bytes(catchup->ours_after));
            }
            return;
        }
        if (sgn_walk_wanted(engine, &item, own) &&
            !sgn_fetch_begin(engine, op, item.full_key, &item.ballot, item.flags)) {
            return;
        }
        catchup->page_at = item.next;
    }
    if (catchup->broken || err == SGN_ERR_PROTOCOL) {
        catchup_break(engine, op);
    } else if (err == SGN_ERR_NOT_FOUND && catchup->in_flight == 0) {
        page_end(engine, op);
    }
}

void sgn_catchup_fetch_ended(struct sgn_engine *engine, struct sgn_op *op, bool ok)
{
    struct sgn_op_catchup *catchup = &op->u.catchup;
    SGN_ASSERT(op->kind == SGN_OP_CATCHUP && catchup->in_flight > 0);
    catchup->in_flight--;
    catchup->broken = catchup->broken || !ok;
    if (catchup->phase == SGN_CATCHUP_WALK && catchup_line(engine, op)->epoch == catchup->epoch) {
        catchup_walk(engine, op);
    }
}

/* --- what is pending -------------------------------------------------------------------------- */

/* 6.1: what was pending when the last source had been read. A key accepted anew since then was so
 * in this epoch, in which this seat is asked for its confirm anyway. */
static bool resolve_left(const struct sgn_engine *engine, const struct sgn_op *op)
{
    const struct sgn_order *order = &engine->order;
    for (uint32_t i = order->dirty_first[op->partition]; i != 0; i = order->dirty[i - 1].behind) {
        if (order->dirty[i - 1].pending && order->dirty[i - 1].sequence <= op->u.catchup.below) {
            return true;
        }
    }
    return order->dirty_lost && !op->u.catchup.clean;
}

/* A page of the own tree: pendings in it go to identity rounds. */
static void resolve_page(struct sgn_engine *engine,
                         struct sgn_op *op,
                         const struct sgn_event *event)
{
    struct sgn_op_catchup *catchup = &op->u.catchup;
    struct sgn_cursor cursor = sgn_cursor_of(event->items);
    struct sgn_bytes tree_key;
    struct sgn_bytes value;
    struct sgn_bytes through = event->after;
    struct sgn_bytes last = sgn_buf_bytes(catchup->ours_after);
    bool all = event->err == SGN_OK;
    while (all && sgn_items_next(&cursor, &tree_key, &value)) {
        if (tree_key.count > 10 && value.count == SGN_TREE_ORDERED_BYTES) {
            struct sgn_bytes full_key =
                sgn_bytes_of((const uint8_t *)tree_key.ptr + 10, tree_key.count - 10);
            struct sgn_key_hash key = sgn_key_hash_of(full_key, engine->order.map.hash_seed);
            const struct sgn_cell *cell = sgn_cell_find(engine, key);
            uint64_t sequence = sgn_get_uint((const uint8_t *)value.ptr + 8, 8);
            bool at_work = cell != NULL && cell->queue_head != SGN_NONE;
            if (sequence <= catchup->below &&
                (sgn_pull_flags(engine, key, sequence) & SGN_PULL_PENDING) != 0) {
                catchup->found = true;
                all = at_work ||
                      (sgn_fx_has_room(engine) && sgn_round_resolve(engine, full_key, NULL));
            }
        }
        last = all ? tree_key : last;
    }
    struct sgn_buf *after = sgn_buf_copy(engine, all ? through : last);
    sgn_buf_drop(engine, &catchup->ours_after);
    catchup->ours_after = after;
    catchup->retry_ms = engine->now_ms + (all ? 0 : SGN_TICK_MS);
    if ((all && event->end) || after == NULL) {
        catchup->clean = all && event->end && !catchup->found;
        catchup->found = false;
        sgn_buf_drop(engine, &catchup->ours_after);
        catchup->retry_ms = engine->now_ms + CATCHUP_RETRY_MS;
    }
}

static void resolve_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_catchup *catchup = &op->u.catchup;
    struct sgn_order *order = &engine->order;
    if (!resolve_left(engine, op)) {
        order->caught_up[op->partition / 8] |= (uint8_t)(1u << (op->partition % 8));
        order->caught_epoch[op->partition] = catchup->epoch;
        catchup_end(engine, op);
    } else if (!catchup->scanning && engine->now_ms >= catchup->retry_ms &&
               sgn_fx_has_room(engine)) {
        catchup->scanning = true;
        sgn_pull_scan(engine, op, sgn_buf_bytes(catchup->ours_after));
    }
}

void sgn_catchup_scanned(struct sgn_engine *engine,
                         struct sgn_op *op,
                         const struct sgn_event *event)
{
    struct sgn_op_catchup *catchup = &op->u.catchup;
    if (catchup->serving) {
        sgn_pull_scanned(engine, op, event);
        return;
    }
    catchup->scanning = false;
    if (catchup->phase == SGN_CATCHUP_RESOLVE) {
        resolve_page(engine, op, event);
        return;
    }
    sgn_buf_drop(engine, &catchup->ours);
    sgn_buf_drop(engine, &catchup->ours_after);
    catchup->ours_at = 0;
    catchup->own_end = event->end || event->items.count == 0;
    catchup->ours = sgn_buf_copy(engine, event->items);
    catchup->ours_after = sgn_buf_copy(engine, event->after);
    catchup->broken = catchup->broken || event->err != SGN_OK || catchup->ours == NULL ||
                      catchup->ours_after == NULL;
    if (catchup->phase == SGN_CATCHUP_WALK && catchup_line(engine, op)->epoch == catchup->epoch) {
        catchup_walk(engine, op);
    }
}

/* --- time ------------------------------------------------------------------------------------- */

void sgn_catchup_op_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_catchup *catchup = &op->u.catchup;
    if (op->kind == SGN_OP_FETCH) {
        sgn_fetch_tick(engine, op);
        return;
    }
    if (catchup->serving) {
        return; /* It waits for the own store only. */
    }
    if (catchup_line(engine, op)->epoch != catchup->epoch) {
        catchup_end(engine, op);
    } else if (catchup->phase == SGN_CATCHUP_CHOOSE) {
        catchup_choose(engine, op);
    } else if (catchup->phase == SGN_CATCHUP_RESOLVE) {
        resolve_tick(engine, op);
    } else if (catchup->phase == SGN_CATCHUP_WALK) {
        catchup_walk(engine, op);
    } else if (!sgn_node_alive(engine, catchup->source) ||
               engine->now_ms >= catchup->sent_ms + engine->options.replica_timeout_ms) {
        catchup_break(engine, op);
    }
}

static bool catchup_wanted(struct sgn_engine *engine, uint32_t partition)
{
    const struct sgn_order *order = &engine->order;
    const struct sgn_line *line = &order->map.lines[partition];
    int seat = sgn_own_seat(engine, line);
    bool ready = (order->caught_up[partition / 8] >> (partition % 8) & 1) != 0 &&
                 order->caught_epoch[partition] == line->epoch;
    return seat >= 0 && line->seats[seat].state == SGN_SEAT_CATCHING_UP && !ready &&
           order->catchup[partition] == 0 && !sgn_purge_wanted(engine, partition) &&
           !sgn_wipe_under_way(engine, partition);
}

void sgn_catchup_tick(struct sgn_engine *engine)
{
    struct sgn_order *order = &engine->order;
    uint32_t total = engine->ring->partition_count;
    for (uint32_t i = 0;
         i < CATCHUP_LOOK_PER_TICK && i < total && order->catchups < SGN_CATCHUPS_MAX &&
         sgn_fx_has_room(engine) && engine->now_ms >= order->catchup_due_ms;
         i++) {
        uint32_t partition = order->catchup_hand++ % total;
        if (!catchup_wanted(engine, partition)) {
            continue;
        }
        struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_CATCHUP, SGN_FOR_BACKGROUND);
        if (op == NULL) {
            order->catchup_due_ms = engine->now_ms + CATCHUP_RETRY_MS;
            return;
        }
        op->replied = true;
        op->partition = partition;
        op->u.catchup = (struct sgn_op_catchup){.epoch = order->map.lines[partition].epoch};
        order->catchup[partition] = (uint16_t)(sgn_op_index(engine, op) + 1);
        order->catchups++;
        catchup_choose(engine, op);
    }
}

void sgn_catchup_adopted(struct sgn_engine *engine)
{
    struct sgn_order *order = &engine->order;
    for (uint32_t i = 0; i < engine->ring->partition_count; i++) {
        if (order->caught_epoch[i] != order->map.lines[i].epoch) {
            order->caught_up[i / 8] &= (uint8_t) ~(1u << (i % 8));
        }
        const struct sgn_line *line = &order->map.lines[i];
        int seat = sgn_own_seat(engine, line);
        if (!sgn_line_newcomer(line, seat)) {
            order->purged[i] = 0;
        }
        if (seat < 0) {
            continue;
        }
        order->emptied[i / 8] &= (uint8_t) ~(1u << (i % 8));
        if (line->seats[seat].state != SGN_SEAT_IN_SYNC) {
            order->swept[i] = 0; /* Others may bring tombstones that were dropped here (3.7). */
        }
    }
    engine->sweep_next = 0; /* Work of epochs that have ended ends at its tick. */
}
