/* Anti-entropy of one key of an ordered bucket (protocol.md 9): only committed records move, upward
 * only. Own known committed: it is sent, and a newer committed one comes back. Otherwise, or if the
 * own is absent or corrupt: the peer is asked for its. A pending is nobody's to hand on (3.6). */
#include "ring/core/order_inner.h"

bool sgn_mend_known(struct sgn_engine *engine,
                    struct sgn_key_hash key,
                    const struct sgn_ballot *ballot,
                    uint64_t sequence,
                    uint64_t floor)
{
    const struct sgn_cell *cell = sgn_cell_find(engine, key);
    const struct sgn_dirty *entry = sgn_dirty_find(engine, key);
    if (cell != NULL && cell->state == SGN_CELL_READY && !cell->doubtful && !cell->corrupt) {
        return sgn_ballot_compare(&cell->committed, ballot) == 0;
    }
    if (entry != NULL) {
        return !entry->pending && sgn_ballot_compare(&entry->ballot, ballot) == 0;
    }
    /* Clean now: the record was settled already when the read was asked for, or it may have been
     * a pending that something newer has replaced since. */
    return sequence <= floor;
}

static uint32_t mend_node(const struct sgn_engine *engine, const struct sgn_op *op)
{
    return engine->ring->members[op->u.exchange.peer].id;
}

void sgn_mend_loaded(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    struct sgn_op_exchange *exchange = &op->u.exchange;
    struct sgn_bytes stored = event->value;
    struct sgn_ordered record;
    bool usable =
        event->err == SGN_OK || event->err == SGN_ERR_NOT_FOUND || event->err == SGN_ERR_CORRUPT;
    if (!usable || !sgn_node_alive(engine, mend_node(engine, op))) {
        sgn_exchange_end(engine, op);
        return;
    }
    bool known = false;
    if (event->err == SGN_OK && stored.count > SGN_CELL_PREFIX) {
        const uint8_t *raw = stored.ptr;
        stored = sgn_bytes_of(raw + SGN_CELL_PREFIX, stored.count - SGN_CELL_PREFIX);
        known = sgn_ordered_decode(stored, true, &record) == SGN_OK &&
                (sgn_mend_known(engine,
                                sgn_key_hash_of(op->full_key, engine->order.map.hash_seed),
                                &record.ballot,
                                sgn_get_uint(raw, SGN_CELL_PREFIX),
                                exchange->floor) ||
                 SGN_MUTANT(18));
    }
    struct sgn_msg msg = {
        .type = SGN_MSG_DIGEST, .bucket = op->bucket, .key = op->key, .flags = SGN_WANT_RECORD};
    if (known) {
        msg.type = SGN_MSG_REPL_PUT;
        msg.value = stored;
        msg.flags = SGN_REPL_WANT_BACK;
    }
    exchange->asking = !known;
    op->deadline_ms = engine->now_ms + engine->options.request_timeout_ms;
    sgn_order_send(
        engine, mend_node(engine, op), op, sgn_order_line(engine, op->partition)->epoch, msg);
}

void sgn_mend_answer(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    const struct sgn_msg *msg = &event->msg;
    bool asking = op->u.exchange.asking;
    if (event->node != mend_node(engine, op) ||
        msg->type != (asking ? SGN_MSG_STATE : SGN_MSG_REPL_ACK)) {
        return;
    }
    struct sgn_ordered record;
    bool committed = msg->err == SGN_OK && msg->value.count > 0 &&
                     sgn_ordered_decode(msg->value, true, &record) == SGN_OK;
    if (asking && committed) {
        struct sgn_cursor cursor = sgn_cursor_of(msg->context);
        (void)sgn_ballot_take(&cursor); /* Durable. */
        struct sgn_ballot accepted = sgn_ballot_take(&cursor);
        struct sgn_ballot known = sgn_ballot_take(&cursor);
        committed = !cursor.bad && sgn_ballot_compare(&record.ballot, &accepted) == 0 &&
                    (sgn_ballot_compare(&known, &accepted) >= 0 || SGN_MUTANT(18));
    }
    if (committed) {
        /* False: no room; a later comparison brings it again. */
        (void)sgn_accept_take(engine, op->full_key, msg->value, true, false, NULL);
    }
    engine->counts.tree_repairs += committed || (msg->err == SGN_OK && !asking);
    sgn_exchange_end(engine, op);
}
