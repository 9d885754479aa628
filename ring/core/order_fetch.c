/* One record fetched from a source while its partition is caught up (protocol.md 6.1). Taken in
 * with the flag its source gave it: what is unsettled there, or was here, stays so; what is not
 * known chosen there is pending here. */
#include "ring/core/order_inner.h"

#define FETCH_AGAIN_MS  40u
#define FETCH_TRIES_MAX 60u

static void fetch_end(struct sgn_engine *engine, struct sgn_op *op, bool ok)
{
    const struct sgn_op_fetch *fetch = &op->u.fetch;
    struct sgn_op *parent = sgn_op_at(engine, fetch->parent, fetch->parent_generation);
    sgn_op_free(engine, op);
    if (parent != NULL) {
        sgn_catchup_fetch_ended(engine, parent, ok);
    }
}

static void fetch_send(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_fetch *fetch = &op->u.fetch;
    sgn_op_renew(op);
    fetch->state = SGN_FETCH_SENT;
    fetch->at_ms = engine->now_ms;
    sgn_order_send(engine,
                   fetch->source,
                   op,
                   fetch->epoch,
                   (struct sgn_msg){.type = SGN_MSG_DIGEST,
                                    .bucket = op->bucket,
                                    .key = op->key,
                                    .flags = SGN_WANT_RECORD});
}

static void fetch_again(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_fetch *fetch = &op->u.fetch;
    if (++fetch->tries >= FETCH_TRIES_MAX) {
        fetch_end(engine, op, false);
        return;
    }
    fetch->state = SGN_FETCH_AGAIN;
    fetch->at_ms = engine->now_ms + FETCH_AGAIN_MS;
}

bool sgn_fetch_begin(struct sgn_engine *engine,
                     struct sgn_op *parent,
                     struct sgn_bytes full_key,
                     const struct sgn_ballot *ballot,
                     uint8_t flags)
{
    if (parent->u.catchup.in_flight >= SGN_FETCHES_MAX || !sgn_fx_has_room(engine) ||
        !sgn_dirty_room(engine)) {
        return false;
    }
    struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_FETCH, SGN_FOR_BACKGROUND);
    if (op == NULL) {
        return false;
    }
    op->replied = true;
    op->partition = parent->partition;
    op->u.fetch = (struct sgn_op_fetch){.parent = sgn_op_index(engine, parent),
                                        .parent_generation = parent->generation,
                                        .source = parent->u.catchup.source,
                                        .epoch = parent->u.catchup.epoch,
                                        .flags = flags,
                                        .ballot = *ballot};
    if (!sgn_op_copy_full(engine, op, full_key, sgn_bytes_of(NULL, 0))) {
        sgn_op_free(engine, op);
        return false;
    }
    parent->u.catchup.in_flight++;
    fetch_send(engine, op);
    return true;
}

/* The record has come. */
static void fetch_take(struct sgn_engine *engine,
                       struct sgn_op *op,
                       struct sgn_bytes record,
                       const struct sgn_ballot *accepted,
                       const struct sgn_ballot *committed)
{
    struct sgn_op_fetch *fetch = &op->u.fetch;
    struct sgn_key_hash key = sgn_key_hash_of(op->full_key, engine->order.map.hash_seed);
    fetch->committed = sgn_ballot_compare(committed, accepted) >= 0;
    /* The page's flag is of the page's record. */
    fetch->unsettled =
        fetch->flags != 0 || !fetch->committed || sgn_ballot_compare(accepted, &fetch->ballot) != 0;
    fetch->was_dirty = fetch->was_dirty || sgn_dirty_find(engine, key) != NULL;
    fetch->ballot = *accepted;
    fetch->state = SGN_FETCH_TAKING;
    if (!sgn_accept_take(engine, op->full_key, record, fetch->committed, fetch->unsettled, op)) {
        fetch_again(engine, op);
    }
}

void sgn_catchup_fetched(struct sgn_engine *engine,
                         struct sgn_op *op,
                         const struct sgn_event *event)
{
    struct sgn_op_fetch *fetch = &op->u.fetch;
    const struct sgn_msg *msg = &event->msg;
    if (msg->type != SGN_MSG_STATE || event->node != fetch->source ||
        fetch->state != SGN_FETCH_SENT) {
        return;
    }
    struct sgn_cursor cursor = sgn_cursor_of(msg->context);
    (void)sgn_ballot_take(&cursor); /* Durable. */
    struct sgn_ballot accepted = sgn_ballot_take(&cursor);
    struct sgn_ballot committed = sgn_ballot_take(&cursor);
    if (msg->err == SGN_ERR_BUSY) {
        fetch_again(engine, op);
        return;
    }
    struct sgn_ordered record;
    if (msg->err != SGN_OK || (msg->epoch != fetch->epoch && !SGN_MUTANT(25)) || cursor.bad) {
        fetch_end(engine, op, false); /* It abstains (2), or is of another epoch (6.1). */
    } else if (msg->value.count == 0) {
        fetch_again(engine, op); /* No memory for it at the source. */
    } else if (sgn_ordered_decode(msg->value, true, &record) != SGN_OK ||
               sgn_ballot_compare(&record.ballot, &accepted) != 0) {
        fetch_end(engine, op, false);
    } else {
        fetch_take(engine, op, msg->value, &accepted, &committed);
    }
}

void sgn_catchup_taken(struct sgn_engine *engine, struct sgn_op *op, int err)
{
    struct sgn_op_fetch *fetch = &op->u.fetch;
    SGN_ASSERT(op->kind == SGN_OP_FETCH && fetch->state == SGN_FETCH_TAKING);
    if (err != SGN_OK) {
        /* A store of the key is under way, or the own record is being repaired (2). */
        fetch_again(engine, op);
        return;
    }
    struct sgn_dirty *entry =
        sgn_dirty_find(engine, sgn_key_hash_of(op->full_key, engine->order.map.hash_seed));
    bool settled = (!fetch->unsettled && !fetch->was_dirty) || SGN_MUTANT(34);
    if (entry != NULL && fetch->committed && settled && !entry->pending &&
        sgn_ballot_compare(&entry->ballot, &fetch->ballot) == 0) {
        /* The source holds it as settled, so every replica that was in_sync when it became so has
         * it, and now this one: no mark protects it, none is needed. */
        sgn_dirty_drop(engine, entry);
    }
    fetch_end(engine, op, true);
}

void sgn_fetch_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    const struct sgn_op_fetch *fetch = &op->u.fetch;
    if (sgn_op_at(engine, fetch->parent, fetch->parent_generation) == NULL) {
        sgn_op_free(engine, op); /* Nobody waits: an epoch came. */
        return;
    }
    bool due = engine->now_ms >= fetch->at_ms;
    if (fetch->state == SGN_FETCH_SENT &&
        (!sgn_node_alive(engine, fetch->source) ||
         engine->now_ms >= fetch->at_ms + engine->options.replica_timeout_ms)) {
        fetch_end(engine, op, false);
    } else if (fetch->state == SGN_FETCH_AGAIN && due) {
        fetch_send(engine, op);
    }
}
