/* Hints: kept for a home that did not acknowledge, handed over when it is back; protocol.md 8.
 *
 * A hint is either a full record (this node stands in) or an empty reference: send what DATA holds
 * (this node is a home itself). A hand-over holds the hint's key alone from the first look to the
 * deletion, so nothing can be added to a hint between being sent and being deleted. */
#include "ring/core/engine_inner.h"

bool sgn_hint_room(const struct sgn_engine *engine)
{
    return engine->counts.hints_held < engine->options.hints_max;
}

void sgn_hint_count(struct sgn_engine *engine, uint32_t node, int change)
{
    int index = sgn_ring_find(engine->ring, node);
    SGN_ASSERT(change == 1 || change == -1);
    if (index < 0) {
        return; /* A leftover of another ring's member: never handed over, not counted. */
    }
    struct sgn_peer *peer = &engine->peers[index];
    if (change > 0) {
        peer->hints++;
        engine->counts.hints_held++;
        engine->counts.hints_written += engine->fx != NULL; /* Not while restoring. */
    } else {
        if (peer->hints == 0) {
            return; /* A hint that rotted was left out when the count was made at the start. */
        }
        SGN_ASSERT(engine->counts.hints_held > 0);
        peer->hints--;
        engine->counts.hints_held--;
    }
}

void sgn_hint_keep(struct sgn_engine *engine, const struct sgn_op *op, uint32_t home)
{
    struct sgn_op *keep = sgn_op_acquire(engine, SGN_OP_HINT_KEEP, SGN_FOR_BACKGROUND);
    struct sgn_bytes record = op->u.put.guest ? sgn_buf_bytes(op->result) : sgn_bytes_of(NULL, 0);
    if (keep == NULL || !sgn_op_copy_full(engine, keep, op->full_key, record)) {
        if (keep != NULL) {
            sgn_op_free(engine, keep);
        }
        engine->counts.hints_dropped++; /* Anti-entropy mends (protocol.md 8, last sentence). */
        return;
    }
    keep->replied = true;
    sgn_op_locate(engine, keep, op->n);
    sgn_write_start(engine, keep, op->u.put.guest ? SGN_WRITE_MERGE : SGN_WRITE_REFERENCE, home);
}

void sgn_hint_kept(struct sgn_engine *engine, struct sgn_op *op)
{
    engine->counts.hints_dropped += op->write.err != SGN_OK && op->write.err != SGN_ERR_BUSY;
    sgn_op_free(engine, op);
}

static uint32_t peer_node(const struct sgn_engine *engine, const struct sgn_op *op)
{
    return engine->ring->members[op->u.hint_peer.peer].id;
}

static void peer_scan(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_hint_peer *walk = &op->u.hint_peer;
    SGN_ASSERT(!walk->scanning && walk->in_flight == 0);
    walk->scanning = true;
    struct sgn_effect *effect = sgn_fx_push(engine, SGN_FX_SCAN);
    effect->token = sgn_op_token(engine, op);
    effect->scan = (struct sgn_scan){
        .family = SGN_FAMILY_HINT,
        .prefix = sgn_hint_key(engine, peer_node(engine, op), sgn_bytes_of(NULL, 0)),
        .after = sgn_buf_bytes(walk->after),
        .items_max = SGN_HINT_PAGE_ITEMS,
        .examined_max = SGN_PAGE_EXAMINED_MAX,
        .bytes_max = SGN_PAGE_BYTES_MAX,
        .heads_only = true,
    };
}

static bool send_start(struct sgn_engine *engine, struct sgn_op *walk_op, struct sgn_bytes full_key)
{
    struct sgn_bytes name;
    struct sgn_bytes key;
    if (!sgn_full_key_split(full_key, &name, &key)) {
        return true; /* Not a hint we ever wrote: pass it by. */
    }
    const struct sgn_bucket *bucket = sgn_bucket_row(&engine->buckets, name);
    struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_HINT_SEND, SGN_FOR_BACKGROUND);
    if (op == NULL || !sgn_op_copy_full(engine, op, full_key, sgn_bytes_of(NULL, 0))) {
        if (op != NULL) {
            sgn_op_free(engine, op);
        }
        return false;
    }
    op->replied = true;
    op->u.hint_send = (struct sgn_op_hint_send){
        .parent = sgn_op_index(engine, walk_op),
        .parent_generation = walk_op->generation,
    };
    sgn_op_locate(engine,
                  op,
                  bucket != NULL && bucket->n <= engine->ring->replica_count
                      ? bucket->n
                      : engine->ring->replica_count);
    walk_op->u.hint_peer.in_flight++;
    sgn_write_start(engine, op, SGN_WRITE_DELIVER, peer_node(engine, walk_op));
    return true;
}

/* Starts what may start; frees the op at the end of the walk. */
static void peer_pump(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_hint_peer *walk = &op->u.hint_peer;
    struct sgn_peer *peer = &engine->peers[walk->peer];
    walk->failed = walk->failed || !peer->alive;
    while (!walk->failed && walk->page != NULL && walk->in_flight < SGN_HINTS_IN_FLIGHT &&
           sgn_fx_has_room(engine)) {
        struct sgn_cursor cursor = sgn_cursor_of(sgn_buf_bytes(walk->page));
        struct sgn_bytes key;
        struct sgn_bytes value;
        (void)sgn_cursor_take(&cursor, walk->page_at);
        if (!sgn_items_next(&cursor, &key, &value)) {
            sgn_buf_drop(engine, &walk->page);
            break;
        }
        walk->page_at = walk->page->count - cursor.left;
        if (key.count > 4 &&
            !send_start(engine, op, sgn_bytes_of((const uint8_t *)key.ptr + 4, key.count - 4))) {
            walk->failed = true;
        }
    }
    if (walk->in_flight > 0 || walk->scanning || (!walk->failed && walk->page != NULL)) {
        return;
    }
    if (!walk->failed && !walk->end) {
        peer_scan(engine, op);
        return;
    }
    peer->handing_over = false;
    peer->hint_retry_ms = engine->now_ms + SGN_HINT_RETRY_MS;
    engine->hint_ops--;
    sgn_op_free(engine, op);
}

void sgn_hint_scanned(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    struct sgn_op_hint_peer *walk = &op->u.hint_peer;
    walk->scanning = false;
    walk->end = event->end;
    struct sgn_bytes before = sgn_buf_bytes(walk->after);
    /* A page that brings nothing and goes nowhere would be asked for for ever. */
    walk->failed =
        event->err != SGN_OK || (!event->end && sgn_bytes_compare(event->after, before) <= 0);
    if (!walk->failed) {
        sgn_buf_drop(engine, &walk->after);
        walk->page = sgn_buf_copy(engine, event->items);
        walk->after = sgn_buf_copy(engine, event->after);
        walk->page_at = 0;
        walk->failed = walk->page == NULL || walk->after == NULL;
    }
    peer_pump(engine, op);
}

void sgn_hint_peer_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    peer_pump(engine, op);
}

void sgn_hint_tick(struct sgn_engine *engine)
{
    for (uint32_t i = 0; i < engine->ring->member_count; i++) {
        struct sgn_peer *peer = &engine->peers[i];
        if (!peer->alive || peer->hints == 0 || peer->handing_over ||
            engine->now_ms < peer->hint_retry_ms || engine->hint_ops >= SGN_HINT_PEERS_MAX ||
            !sgn_fx_has_room(engine)) {
            continue;
        }
        struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_HINT_PEER, SGN_FOR_BACKGROUND);
        if (op == NULL) {
            return;
        }
        op->replied = true;
        op->u.hint_peer = (struct sgn_op_hint_peer){.peer = i};
        peer->handing_over = true;
        engine->hint_ops++;
        peer_scan(engine, op);
    }
}

static struct sgn_op *send_parent(struct sgn_engine *engine, const struct sgn_op *op)
{
    return sgn_op_at(engine, op->u.hint_send.parent, op->u.hint_send.parent_generation);
}

/* Gives the key free with the hint kept; the peer is left in peace for a while. */
static void send_give_up(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op *parent = send_parent(engine, op);
    if (parent != NULL) {
        parent->u.hint_peer.failed = true;
    }
    op->u.hint_send.sent = false;
    sgn_write_deliver_end(engine, op, false, false);
}

static void send_delete(struct sgn_engine *engine, struct sgn_op *op)
{
    op->u.hint_send.sent = false;
    op->u.hint_send.deleting = true;
    sgn_write_deliver_end(engine, op, true, op->u.hint_send.own_dot);
}

static void send_record(struct sgn_engine *engine, struct sgn_op *op, struct sgn_bytes record)
{
    if (!sgn_node_alive(engine, op->write.space)) {
        send_give_up(engine, op);
        return;
    }
    op->u.hint_send.sent = true;
    op->deadline_ms = engine->now_ms + engine->options.request_timeout_ms;
    sgn_fx_send(
        engine,
        op->write.space,
        op,
        (struct sgn_msg){
            .type = SGN_MSG_REPL_PUT, .bucket = op->bucket, .key = op->key, .value = record});
}

void sgn_hint_held(
    struct sgn_engine *engine, struct sgn_op *op, struct sgn_bytes hint, bool exists, int err)
{
    if (!exists) {
        sgn_write_deliver_end(engine, op, false, false); /* Gone meanwhile. */
        return;
    }
    if (err != SGN_OK) {
        /* Unreadable: what it held comes by anti-entropy from where else it is. Which guest dots it
         * held is not known, so the actor changes. */
        engine->counts.hints_dropped++;
        op->u.hint_send.own_dot = true;
        send_delete(engine, op);
        return;
    }
    if (hint.count == 0) {
        sgn_fx_load(engine, sgn_op_token(engine, op), SGN_FAMILY_DATA, op->full_key);
        return;
    }
    struct sgn_record record;
    err = sgn_record_decode(hint, SGN_RECORD_WITH_BODIES, &record);
    SGN_ASSERT(err == SGN_OK);
    for (uint32_t i = 0; i < record.vector.count; i++) {
        const struct sgn_actor *actor = &record.vector.entries[i].actor;
        op->u.hint_send.own_dot = op->u.hint_send.own_dot ||
                                  (actor->node == engine->options.node &&
                                   actor->generation == engine->generations[SGN_ACTOR_GUEST].value);
    }
    send_record(engine, op, hint);
}

void sgn_hint_loaded(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    if (event->err == SGN_OK) {
        send_record(engine, op, event->value);
    } else if (event->err == SGN_ERR_NOT_FOUND) {
        send_delete(engine, op);
    } else {
        send_give_up(engine, op);
    }
}

void sgn_hint_answer(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    if (event->msg.type != SGN_MSG_REPL_ACK || !op->u.hint_send.sent ||
        event->node != op->write.space) {
        return;
    }
    if (event->msg.err == SGN_OK) {
        engine->counts.hints_delivered++;
        send_delete(engine, op);
    } else if (event->msg.err == SGN_ERR_INVALID) {
        engine->counts.hints_dropped++; /* It will never take this one. */
        send_delete(engine, op);
    } else {
        send_give_up(engine, op);
    }
}

void sgn_hint_send_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    if (op->u.hint_send.sent &&
        (engine->now_ms >= op->deadline_ms || !sgn_node_alive(engine, op->write.space))) {
        send_give_up(engine, op);
    }
}

void sgn_hint_written(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op *parent = send_parent(engine, op);
    bool failed = op->write.err != SGN_OK;
    sgn_op_free(engine, op);
    if (parent != NULL) {
        SGN_ASSERT(parent->u.hint_peer.in_flight > 0);
        parent->u.hint_peer.in_flight--;
        parent->u.hint_peer.failed = parent->u.hint_peer.failed || failed;
        peer_pump(engine, parent);
    }
}
