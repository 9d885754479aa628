/* Dropping tombstones of ordered buckets (protocol.md 3.7): a floor per partition, in the map.
 *
 * The first in_sync seat leads, when every seat is in_sync and alive and it has tombstones to drop:
 *
 *   SCAN     own tombstones at or below F (F lies in the past)? Else nothing is done.
 *   PROMISE  every seat promises F for every key: nothing at or below F is accepted any more. The
 *            promise is the floor of all its keys, under the durable ceiling (3.4).
 *   VERIFY   then every seat says that nothing dirty here is, or hides, a ballot at or below F.
 *            What is not dirty was settled, and then every in_sync seat had it: so each seat has
 *            every record accepted at or below F, or a newer one that was built upon it. That
 *            stands for step 2's majority and equal trees.
 *   The floor goes into the map (keeper); who adopts it drops its tombstones (order_sweep.c).
 *
 * From then on, at an in_sync seat, absent is a committed tombstone at the floor (order_cell.c). A
 * newcomer is no such seat before it has caught up. All answers must come in one epoch. */
#include "ring/core/order_inner.h"

#define FLOOR_LOOK_PER_TICK 64u
#define FLOOR_STEP_MS       2000u

enum { STEP_SCAN, STEP_PROMISE, STEP_VERIFY };

static uint32_t all_seats(const struct sgn_line *line)
{
    return sgn_line_all(line);
}

/* 3.7: all N, all in_sync. */
static bool line_fits(struct sgn_engine *engine, const struct sgn_line *line)
{
    bool fits = !line->joint && sgn_line_in_sync(line) == all_seats(line);
    for (uint32_t i = 0; fits && i < line->seat_count; i++) {
        fits = sgn_member_alive(engine, line->seats[i].node);
    }
    return fits;
}

static bool clean_below(const struct sgn_engine *engine, uint32_t partition, uint64_t floor)
{
    const struct sgn_order *order = &engine->order;
    bool clean = !order->dirty_lost;
    for (uint32_t i = order->dirty_first[partition]; clean && i != 0;
         i = order->dirty[i - 1].behind) {
        /* With one slot a newer record hides what it was written over, which may be exposed and not
         * settled: the entry remembers its oldest (found by tests/model). */
        clean = order->dirty[i - 1].oldest > floor || SGN_MUTANT(17);
    }
    return clean;
}

/* --- the lead --------------------------------------------------------------------------------- */

/* To every seat that has not agreed yet. */
static void floor_send(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_floor *work = &op->u.floor;
    const struct sgn_line *line = sgn_order_line(engine, op->partition);
    work->asked_ms = engine->now_ms;
    for (uint32_t i = 0; i < line->seat_count; i++) {
        if (line->seats[i].node != engine->options.node && (work->answered >> i & 1) == 0) {
            sgn_order_send(engine,
                           line->seats[i].node,
                           op,
                           work->epoch,
                           (struct sgn_msg){.type = SGN_MSG_FLOOR,
                                            .a = op->partition,
                                            .b = work->step,
                                            .stamp = work->floor});
        }
    }
}

static void floor_ask(struct sgn_engine *engine, struct sgn_op *op, uint8_t step)
{
    sgn_op_renew(op);
    op->u.floor.step = step;
    op->u.floor.answered = 0;
    op->deadline_ms = engine->now_ms + FLOOR_STEP_MS;
    floor_send(engine, op);
}

static void floor_end(struct sgn_engine *engine, struct sgn_op *op)
{
    engine->order.floor_op = false;
    sgn_op_free(engine, op);
}

/* Own answer to a step, as a seat among the others. */
static bool floor_own(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_floor *work = &op->u.floor;
    if (work->step == STEP_PROMISE) {
        return sgn_floor_promise(engine, work->floor);
    }
    return clean_below(engine, op->partition, work->floor);
}

static void floor_ready(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_order *order = &engine->order;
    order->floor_ready = (struct sgn_floor_ready){.partition = op->partition,
                                                  .epoch = op->u.floor.epoch,
                                                  .floor = op->u.floor.floor,
                                                  .stamp = op->u.floor.stamp,
                                                  .wanted = true};
    order->keeper_due_ms = engine->now_ms;
    floor_end(engine, op);
}

static void floor_look(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_floor *work = &op->u.floor;
    const struct sgn_line *line = sgn_order_line(engine, op->partition);
    int seat = sgn_own_seat(engine, line);
    if (line->epoch != work->epoch || seat < 0) {
        floor_end(engine, op);
        return;
    }
    if ((work->answered >> seat & 1) == 0 && floor_own(engine, op)) {
        work->answered |= 1u << seat;
    }
    if (work->answered != all_seats(line)) {
        return;
    }
    if (work->step == STEP_PROMISE) {
        floor_ask(engine, op, STEP_VERIFY);
        floor_look(engine, op);
    } else {
        floor_ready(engine, op);
    }
}

void sgn_floor_answer(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    struct sgn_op_floor *work = &op->u.floor;
    const struct sgn_line *line = sgn_order_line(engine, op->partition);
    int seat = sgn_line_seat(line, event->node);
    if (event->msg.type != SGN_MSG_FLOOR_ANSWER || work->role != SGN_FLOOR_LEADS || seat < 0 ||
        event->msg.epoch != work->epoch || line->epoch != work->epoch) {
        return;
    }
    if (event->msg.err == SGN_OK) {
        work->answered |= 1u << seat;
        work->stamp = event->msg.stamp > work->stamp ? event->msg.stamp : work->stamp;
        floor_look(engine, op);
    }
}

/* Tombstones at or below the floor on a page of the own tree; their stamps. */
static uint32_t page_look(struct sgn_op_floor *work, struct sgn_bytes items)
{
    struct sgn_cursor cursor = sgn_cursor_of(items);
    struct sgn_bytes key;
    struct sgn_bytes value;
    uint32_t found = 0;
    while (sgn_items_next(&cursor, &key, &value)) {
        struct sgn_leaf leaf;
        if (sgn_leaf_read(value, &leaf) && leaf.dead && leaf.ballot.hlc <= work->floor) {
            found++;
            work->stamp = leaf.stamp > work->stamp ? leaf.stamp : work->stamp;
        }
    }
    return found;
}

static void serve_end(struct sgn_engine *engine, struct sgn_op *op, int err)
{
    op->replied = true;
    sgn_fx_reply(engine,
                 op->token,
                 (struct sgn_msg){.type = SGN_MSG_FLOOR_ANSWER,
                                  .err = err,
                                  .stamp = op->u.floor.stamp,
                                  .a = engine->order.map.version});
    engine->fx->list[engine->fx->count - 1].msg.epoch =
        sgn_order_line(engine, op->partition)->epoch;
    sgn_op_free(engine, op);
}

void sgn_floor_scanned(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    struct sgn_op_floor *work = &op->u.floor;
    if (work->role == SGN_FLOOR_SWEEPS) {
        sgn_sweep_scanned(engine, op, event);
        return;
    }
    if (work->role == SGN_FLOOR_RELEARNS) {
        sgn_relearn_scanned(engine, op, event);
        return;
    }
    bool current = sgn_order_line(engine, op->partition)->epoch == work->epoch;
    work->found += event->err == SGN_OK ? page_look(work, event->items) : 0;
    if (event->err == SGN_OK && !event->end && current) {
        sgn_pull_scan(engine, op, event->after);
        return;
    }
    bool good = event->err == SGN_OK && current;
    if (work->role == SGN_FLOOR_SERVES) {
        good = good && clean_below(engine, op->partition, work->floor);
        serve_end(engine, op, good ? SGN_OK : SGN_ERR_BUSY);
    } else if (!good || work->found == 0) {
        floor_end(engine, op);
    } else if (SGN_MUTANT(17)) {
        floor_ready(engine, op); /* Without steps 1 and 2. */
    } else {
        floor_ask(engine, op, STEP_PROMISE);
        floor_look(engine, op);
    }
}

void sgn_floor_op_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_floor *work = &op->u.floor;
    if (work->role == SGN_FLOOR_SWEEPS) {
        sgn_sweep_tick(engine, op);
    } else if (work->role == SGN_FLOOR_RELEARNS) {
        sgn_relearn_tick(engine, op);
    } else if (work->role == SGN_FLOOR_LEADS && work->step != STEP_SCAN) {
        if (engine->now_ms >= op->deadline_ms) {
            floor_end(engine, op); /* Some seat holds something dirty still: another time. */
        } else {
            /* A seat whose ceiling had to rise first, or that something dirty kept from it. */
            bool current = sgn_order_line(engine, op->partition)->epoch == work->epoch;
            if (current && engine->now_ms >= work->asked_ms + SGN_ROUND_MS &&
                sgn_fx_has_room(engine)) {
                floor_send(engine, op);
            }
            floor_look(engine, op);
        }
    }
}

void sgn_floor_tick(struct sgn_engine *engine)
{
    struct sgn_order *order = &engine->order;
    const struct sgn_map *map = &order->map;
    if (engine->options.tombstone_ms == 0 || order->floor_op || order->floor_ready.wanted ||
        engine->now_ms < order->floor_due_ms || !sgn_fx_has_room(engine)) {
        return;
    }
    uint64_t age = sgn_hlc_of_ms(engine->options.tombstone_ms);
    for (uint32_t i = 0; i < FLOOR_LOOK_PER_TICK && i < map->partition_count; i++) {
        uint32_t partition = order->floor_hand++ % map->partition_count;
        if (partition == map->partition_count - 1) { /* Once around, then it rests. */
            order->floor_due_ms = engine->now_ms + engine->options.tombstone_ms / 2 + 1;
        }
        const struct sgn_line *line = &map->lines[partition];
        uint64_t floor = engine->hlc.last > age ? engine->hlc.last - age : 0;
        if (sgn_line_preferred(line, NULL, NULL) != sgn_own_seat(engine, line) ||
            !line_fits(engine, line) || floor <= line->floor + age / 2) {
            continue;
        }
        struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_FLOOR, SGN_FOR_BACKGROUND);
        if (op == NULL) {
            return;
        }
        op->replied = true;
        op->partition = partition;
        op->u.floor = (struct sgn_op_floor){.role = SGN_FLOOR_LEADS,
                                            .epoch = line->epoch,
                                            .floor = floor,
                                            .stamp = line->floor_stamp};
        order->floor_op = true;
        sgn_pull_scan(engine, op, sgn_bytes_of(NULL, 0));
        return;
    }
}

/* --- the other seats -------------------------------------------------------------------------- */

bool sgn_floor_promise(struct sgn_engine *engine, uint64_t floor)
{
    struct sgn_order *order = &engine->order;
    const struct sgn_ballot all = {floor, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    if (!sgn_ceiling_allows(engine, floor)) {
        return false; /* 3.4: durable first; asked again. */
    }
    if (sgn_ballot_compare(&all, &order->promise_floor) > 0) {
        order->promise_floor = all;
    }
    return true;
}

void sgn_floor_request(struct sgn_engine *engine, const struct sgn_event *event)
{
    const struct sgn_msg *msg = &event->msg;
    if (msg->a >= engine->ring->partition_count ||
        sgn_hlc_merge(&engine->hlc, msg->stamp, engine->wall_ms) != SGN_OK) {
        sgn_fx_refuse(engine, event, SGN_ERR_INVALID, NULL);
        return;
    }
    uint32_t partition = (uint32_t)msg->a;
    const struct sgn_line *line = sgn_order_line(engine, partition);
    struct sgn_op *op = NULL;
    int seat = sgn_own_seat(engine, line);
    bool fits = line->epoch == msg->epoch && seat >= 0 && !line->joint &&
                line->seats[seat].state == SGN_SEAT_IN_SYNC;
    if (fits) {
        op = sgn_op_acquire(engine, SGN_OP_FLOOR, SGN_FOR_PEER);
    }
    if (op == NULL) {
        sgn_fx_refuse(engine, event, fits ? SGN_ERR_BUSY : SGN_ERR_STALE, NULL);
        return;
    }
    op->token = event->token;
    op->partition = partition;
    op->u.floor =
        (struct sgn_op_floor){.role = SGN_FLOOR_SERVES, .epoch = line->epoch, .floor = msg->stamp};
    if (msg->b == STEP_PROMISE) {
        serve_end(engine, op, sgn_floor_promise(engine, msg->stamp) ? SGN_OK : SGN_ERR_BUSY);
    } else {
        sgn_pull_scan(engine, op, sgn_bytes_of(NULL, 0));
    }
}
