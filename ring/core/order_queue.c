/* The queue of a key's rounds: the head is at work. And *batches*: changes that wait behind the
 * head when its round begins ride in it. They are decided one after the other, each on what the
 * one before made, and the record that the last one made is proposed: what k rounds would have
 * come to, for the price of one. Each has a ballot of its own for its version, by a step of its
 * own (3.2); those between the head's and the last one's are of this node's incarnation and used
 * for nothing else, so promises to the head's hold for the last one's too.
 *
 * Every verdict waits for the record to be exposed (3.1.6), which is chosen after its change came:
 * so also one that writes nothing (3.5). Verdicts that stand on promises alone are given to whom
 * boarded before they were asked for.
 *
 * A rider whose first round came to nothing may ride in a chained one, though its own next one
 * would be classic (3.5): this node promised the ballot that failed, so it can only chain on a
 * record that has that change or was agreed on above it. */
#include "ring/core/order_inner.h"

/* --- the queue -------------------------------------------------------------------------------- */

/* Behind the head those of older stamps come first. Each change that is remembered may push out the
 * oldest one remembered, and a change whose stamp is not above that one's can only be told
 * "unknown" (3.5): in the order of stamps that befalls none that waits here. */
void sgn_round_enqueue(struct sgn_engine *engine, struct sgn_cell *cell, struct sgn_op *op)
{
    uint16_t index = sgn_op_index(engine, op);
    uint64_t stamp = op->u.round.change.stamp;
    uint16_t before = cell->queue_tail;
    if (stamp != 0 && before != SGN_NONE && engine->ops[before].u.round.change.stamp > stamp) {
        before = cell->queue_head;
        for (uint16_t i = engine->ops[before].queue_next; i != SGN_NONE;
             i = engine->ops[i].queue_next) {
            if (engine->ops[i].u.round.change.stamp > stamp) {
                break;
            }
            before = i;
        }
    }
    uint16_t *link = before == SGN_NONE ? &cell->queue_head : &engine->ops[before].queue_next;
    op->queue_next = before == SGN_NONE ? SGN_NONE : *link;
    *link = index;
    cell->queue_tail = op->queue_next == SGN_NONE ? index : cell->queue_tail;
}

void sgn_round_leave(struct sgn_engine *engine, struct sgn_cell *cell, struct sgn_op *op)
{
    uint16_t index = sgn_op_index(engine, op);
    uint16_t before = SGN_NONE;
    uint16_t i = cell->queue_head;
    while (i != index && i != SGN_NONE) {
        before = i;
        i = engine->ops[i].queue_next;
    }
    if (i == SGN_NONE) {
        return;
    }
    if (op->u.round.phase == SGN_ROUND_RIDES) {
        cell->riders--;
    }
    if (before == SGN_NONE) {
        sgn_batch_end(engine, cell);
        cell->queue_head = op->queue_next;
    } else {
        engine->ops[before].queue_next = op->queue_next;
    }
    if (cell->queue_tail == index) {
        cell->queue_tail = before;
    }
    op->queue_next = SGN_NONE;
}

/* Begins the head's round; one that ends at once makes room for the next. */
void sgn_round_pump(struct sgn_engine *engine, struct sgn_cell *cell)
{
    if (cell->pumping) {
        return;
    }
    cell->pumping = true;
    sgn_cell_pin(cell);
    while (cell->queue_head != SGN_NONE && sgn_fx_has_room(engine)) {
        struct sgn_op *head = &engine->ops[cell->queue_head];
        if (head->u.round.phase != SGN_ROUND_QUEUED || cell->state != SGN_CELL_READY) {
            break;
        }
        uint16_t index = cell->queue_head;
        sgn_round_begin(engine, head);
        if (cell->queue_head == index) {
            break;
        }
    }
    cell->pumping = false;
    sgn_cell_unpin(engine, cell);
}

/* --- batches ---------------------------------------------------------------------------------- */

/* With the head a quarter of the requests that a record remembers: whoever asks again because an
 * answer was lost, or comes late with an older stamp, has some rounds of time (3.5). */
#define RIDERS_MAX (SGN_ORDERED_OPS_MAX / 4 - 1)

/* The next one that rides, behind `op`; NULL when all `left` of them have been seen. */
static struct sgn_op *rider_after(struct sgn_engine *engine,
                                  const struct sgn_op *op,
                                  uint32_t *left)
{
    if (*left == 0) {
        return NULL;
    }
    uint16_t i = op->queue_next;
    while (engine->ops[i].u.round.phase != SGN_ROUND_RIDES) {
        i = engine->ops[i].queue_next;
        SGN_ASSERT(i != SGN_NONE);
    }
    (*left)--;
    return &engine->ops[i];
}

void sgn_batch_board(struct sgn_engine *engine, struct sgn_cell *cell, struct sgn_op *head)
{
    SGN_ASSERT(cell->queue_head == sgn_op_index(engine, head) && cell->riders == 0);
    for (uint16_t i = head->queue_next; i != SGN_NONE && cell->riders < RIDERS_MAX;
         i = engine->ops[i].queue_next) {
        struct sgn_op *op = &engine->ops[i];
        if (op->u.round.phase == SGN_ROUND_QUEUED && op->u.round.change.kind != SGN_CHANGE_READ) {
            op->u.round.phase = SGN_ROUND_RIDES;
            cell->riders++;
        }
    }
}

bool sgn_batch_decide(struct sgn_engine *engine,
                      struct sgn_op *head,
                      const struct sgn_ordered *current,
                      struct sgn_ballot *b,
                      struct sgn_ordered *next)
{
    struct sgn_decision *decision = &head->u.round.decision;
    sgn_ordered_decide(current, &head->u.round.change, b, next, decision);
    bool writes = decision->changes || decision->remembers;
    uint32_t left = sgn_round_cell(engine, head)->riders;
    struct sgn_op *op = head;
    while ((op = rider_after(engine, op, &left)) != NULL) {
        struct sgn_ordered after;
        decision = &op->u.round.decision;
        struct sgn_ballot later = *b;
        SGN_ASSERT(later.step < UINT32_MAX);
        later.step++;
        sgn_ordered_decide(
            SGN_MUTANT(36) ? current : next, &op->u.round.change, &later, &after, decision);
        if (decision->changes || decision->remembers) {
            *next = after;
            *b = later;
            writes = true;
        }
    }
    return writes;
}

void sgn_batch_sent(struct sgn_engine *engine, struct sgn_op *head)
{
    uint32_t left = sgn_round_cell(engine, head)->riders;
    for (struct sgn_op *op = head; op != NULL; op = rider_after(engine, op, &left)) {
        struct sgn_op_round *round = &op->u.round;
        round->maybe = round->maybe || round->decision.changes || round->decision.remembers;
    }
}

void sgn_batch_answer(struct sgn_engine *engine,
                      struct sgn_op *head,
                      const struct sgn_ordered *record)
{
    struct sgn_cell *cell = sgn_round_cell(engine, head);
    sgn_round_answer(engine, head, record);
    while (cell->riders > 0) {
        uint32_t left = 1;
        struct sgn_op *op = rider_after(engine, head, &left);
        op->u.round.accepted = head->u.round.accepted;
        sgn_round_answer(engine, op, record);
        sgn_round_free(engine, op);
    }
}

void sgn_batch_end(struct sgn_engine *engine, struct sgn_cell *cell)
{
    uint32_t left = cell->riders;
    cell->riders = 0;
    struct sgn_op *op = left == 0 ? NULL : &engine->ops[cell->queue_head];
    while (op != NULL && (op = rider_after(engine, op, &left)) != NULL) {
        op->u.round.phase = SGN_ROUND_QUEUED;
        op->u.round.classic_only = op->u.round.classic_only || op->u.round.maybe;
    }
}
