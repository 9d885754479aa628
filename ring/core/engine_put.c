/* Coordinating a put or delete; protocol.md 8. One *slot* for each of the N homes: its copy is kept
 * by the home itself or by a stand-in that holds it as a hint for the home.
 *
 * Replies once: OK when W different nodes hold the record durably, an error when that cannot come
 * about any more or time is up. Then goes on until every slot has a copy or nobody is left to ask;
 * a slot without any copy gets a hint of the coordinator's own. */
#include "ring/core/engine_inner.h"

/* Names the homes that do not hold their copy: "2 of 3 copies; missing node 3, 5". */
static struct sgn_bytes put_text(struct sgn_engine *engine,
                                 const struct sgn_op *op,
                                 const char *begin)
{
    struct sgn_sink text = sgn_text(engine, begin);
    sgn_text_uint(&text, sgn_op_targets_in(op, SGN_TARGET_OK));
    sgn_text_str(&text, " of ");
    sgn_text_uint(&text, op->quorum);
    sgn_text_str(&text, " copies");
    const char *comma = "; missing: node ";
    for (uint32_t i = 0; i < op->n; i++) {
        bool held = false;
        for (uint32_t j = 0; j < op->target_count; j++) {
            held = held ||
                   (op->targets[j].node == op->homes[i] && op->targets[j].state == SGN_TARGET_OK);
        }
        if (!held) {
            sgn_text_str(&text, comma);
            sgn_text_uint(&text, op->homes[i]);
            comma = ", ";
        }
    }
    return sgn_sink_bytes(&text);
}

static enum sgn_err put_check(struct sgn_engine *engine,
                              const struct sgn_msg *msg,
                              const struct sgn_bucket **bucket,
                              const char **why)
{
    struct sgn_vector vector;
    if (!sgn_bucket_name_valid(msg->bucket)) {
        *why =
            "a bucket name is 1 to 63 bytes of a-z 0-9 . _ - and begins with a letter, digit or _";
        return SGN_ERR_INVALID;
    }
    if (!sgn_key_valid(msg->key)) {
        *why = "a key is 1 to 1024 bytes";
        return msg->key.count > SGN_KEY_BYTES_MAX ? SGN_ERR_TOO_LARGE : SGN_ERR_INVALID;
    }
    *bucket = sgn_bucket_find(&engine->buckets, msg->bucket);
    if (*bucket == NULL) {
        return sgn_bucket_missing(engine);
    }
    if ((*bucket)->kind != SGN_BUCKET_AVAILABLE || (*bucket)->n > engine->ring->replica_count) {
        return SGN_ERR_UNSUPPORTED;
    }
    if (msg->n > (*bucket)->n) {
        *why = "more copies are asked for than the bucket keeps";
        return SGN_ERR_INVALID;
    }
    if (msg->value.count > SGN_VALUE_BYTES_MAX) {
        *why = "a value is at most 16 MiB";
        return SGN_ERR_TOO_LARGE;
    }
    if (sgn_context_decode(msg->context, &vector) != SGN_OK) {
        *why = "the context is not one that a read gave";
        return SGN_ERR_INVALID;
    }
    return SGN_OK;
}

void sgn_put_request(struct sgn_engine *engine, const struct sgn_event *event)
{
    const struct sgn_msg *msg = &event->msg;
    const struct sgn_bucket *bucket = NULL;
    const char *why = NULL;
    enum sgn_err err = put_check(engine, msg, &bucket, &why);
    if (err == SGN_OK && msg->stamp != 0) {
        err = sgn_hlc_merge(&engine->hlc, msg->stamp, engine->wall_ms);
    }
    if (err != SGN_OK) {
        sgn_fx_refuse(engine, event, err, why);
        return;
    }
    struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_PUT, SGN_FOR_CLIENT);
    if (op == NULL) {
        sgn_fx_refuse(engine, event, SGN_ERR_BUSY, "the node coordinates all the requests it can");
        return;
    }
    op->token = event->token;
    if (!sgn_op_copy(engine, op, msg->bucket, msg->key, msg->value, msg->context)) {
        sgn_op_free(engine, op);
        sgn_fx_refuse(engine, event, SGN_ERR_BUSY, "the node's memory for values is full");
        return;
    }
    op->u.put = (struct sgn_op_put){
        .is_delete = msg->type == SGN_MSG_DEL,
        .has_context = (msg->flags & SGN_PUT_HAS_CONTEXT) != 0,
        .forwarded = msg->forwarded,
        .id = msg->id,
        /* Fixed where the request enters the ring: a copy of it that is delayed on its way to a
         * home then overwrites nothing that was written after it (record.h). */
        .stamp = msg->forwarded && msg->stamp != 0 ? msg->stamp
                                                   : sgn_hlc_now(&engine->hlc, engine->wall_ms),
    };
    op->quorum = msg->n != 0 ? msg->n : bucket->w;
    sgn_op_locate(engine, op, bucket->n);
    if (op->u.put.is_delete) {
        engine->counts.deletes++;
    } else {
        engine->counts.puts++;
    }
    if (msg->forwarded || sgn_op_home(op, engine->options.node) >= 0) {
        sgn_put_coordinate(engine, op);
    } else {
        op->kind = SGN_OP_FORWARD;
        sgn_forward_next(engine, op);
    }
}

void sgn_put_coordinate(struct sgn_engine *engine, struct sgn_op *op)
{
    op->kind = SGN_OP_PUT;
    op->target_count = 0;
    if (sgn_alive_count(engine) < op->quorum && !op->u.put.maybe_kept) {
        struct sgn_sink text = sgn_text(engine, "only ");
        sgn_text_uint(&text, sgn_alive_count(engine));
        sgn_text_str(&text, " of ");
        sgn_text_uint(&text, op->quorum);
        sgn_text_str(&text, " nodes needed are reachable; missing:");
        for (uint32_t i = 0; i < op->n; i++) {
            if (!sgn_node_alive(engine, op->homes[i])) {
                sgn_text_str(&text, " node ");
                sgn_text_uint(&text, op->homes[i]);
            }
        }
        sgn_op_fail(engine, op, SGN_ERR_UNAVAILABLE, sgn_sink_bytes(&text));
        sgn_op_free(engine, op);
        return;
    }
    int slot = sgn_op_home(op, engine->options.node);
    op->u.put.guest = slot < 0;
    sgn_op_add_target(engine, op, engine->options.node, slot < 0 ? 0 : (uint32_t)slot);
    /* A guest always mints in the space of the first home: then all its dots of a key meet in one
     * record, as record.h asks. */
    sgn_write_start(engine, op, SGN_WRITE_MINT, slot < 0 ? op->homes[0] : 0);
}

static void put_send(struct sgn_engine *engine, struct sgn_op *op, uint32_t node, uint32_t slot)
{
    if (sgn_op_add_target(engine, op, node, slot) == NULL) {
        return;
    }
    sgn_fx_send(engine,
                node,
                op,
                (struct sgn_msg){
                    .type = SGN_MSG_REPL_PUT,
                    .bucket = op->bucket,
                    .key = op->key,
                    .value = sgn_buf_bytes(op->result),
                    .node = node == op->homes[slot] ? 0 : op->homes[slot],
                });
}

/* The next alive node behind the homes that was not turned to yet; 0: none. */
static uint32_t put_stand_in(struct sgn_engine *engine, struct sgn_op *op)
{
    uint32_t nodes[SGN_NODES_MAX];
    uint32_t count = sgn_ring_preference(engine->ring, op->partition, nodes, SGN_NODES_MAX);
    for (uint32_t i = op->n; i < count; i++) {
        if (nodes[i] != engine->options.node && sgn_node_alive(engine, nodes[i]) &&
            sgn_op_target(op, nodes[i]) == NULL) {
            return nodes[i];
        }
    }
    return 0;
}

/* Whether the slot has a copy, or someone is being asked for it. */
static bool slot_cared_for(const struct sgn_op *op, uint32_t slot)
{
    for (uint32_t i = 0; i < op->target_count; i++) {
        const struct sgn_target *target = &op->targets[i];
        if (target->slot == slot &&
            (target->state == SGN_TARGET_OK || target->state == SGN_TARGET_WAITING)) {
            return true;
        }
    }
    return false;
}

static bool slot_held(const struct sgn_op *op, uint32_t slot)
{
    for (uint32_t i = 0; i < op->target_count; i++) {
        if (op->targets[i].slot == slot && op->targets[i].state == SGN_TARGET_OK) {
            return true;
        }
    }
    return false;
}

static void put_fill_slots(struct sgn_engine *engine, struct sgn_op *op)
{
    for (uint32_t slot = 0; slot < op->n; slot++) {
        if (slot_cared_for(op, slot)) {
            continue;
        }
        uint32_t node = op->homes[slot];
        if (sgn_op_target(op, node) != NULL || !sgn_node_alive(engine, node)) {
            node = put_stand_in(engine, op);
        }
        if (node != 0) {
            put_send(engine, op, node, slot);
        }
    }
}

static void put_fail(struct sgn_engine *engine, struct sgn_op *op, bool time_is_up)
{
    uint32_t held = sgn_op_targets_in(op, SGN_TARGET_OK);
    bool may = op->u.put.maybe_kept || sgn_op_targets_in(op, SGN_TARGET_LATE) > 0 ||
               sgn_op_targets_in(op, SGN_TARGET_WAITING) > 0;
    if (!op->u.put.minted && !op->u.put.maybe_kept) {
        sgn_op_fail(engine,
                    op,
                    SGN_ERR_BUSY,
                    sgn_bytes_str("the key's turn did not come in time; nothing was written"));
    } else if (held > 0 || may) {
        sgn_op_fail(engine,
                    op,
                    SGN_ERR_UNKNOWN,
                    put_text(engine, op, time_is_up ? "time is up with " : "stored on "));
    } else {
        int err = op->u.put.last_err != SGN_OK ? op->u.put.last_err : SGN_ERR_UNAVAILABLE;
        sgn_op_fail(engine, op, (enum sgn_err)err, put_text(engine, op, "refused: "));
    }
}

static void put_end(struct sgn_engine *engine, struct sgn_op *op)
{
    SGN_ASSERT(op->replied);
    struct sgn_target *own = sgn_op_target(op, engine->options.node);
    if (own != NULL && own->state == SGN_TARGET_OK) {
        for (uint32_t slot = 0; slot < op->n; slot++) {
            if (!slot_held(op, slot)) {
                sgn_hint_keep(engine, op, op->homes[slot]);
            }
        }
    }
    sgn_op_free(engine, op);
}

/* Goes on as far as the answers allow; may free the op. */
static void put_advance(struct sgn_engine *engine, struct sgn_op *op)
{
    uint32_t held = sgn_op_targets_in(op, SGN_TARGET_OK);
    if (!op->replied && held >= op->quorum) {
        sgn_op_reply(engine,
                     op,
                     (struct sgn_msg){.type = SGN_MSG_RESULT,
                                      .context = sgn_buf_bytes(op->u.put.context),
                                      .a = held});
    }
    if (op->write.waiting && !op->u.put.minted) {
        return;
    }
    put_fill_slots(engine, op);
    if (sgn_op_targets_in(op, SGN_TARGET_WAITING) > 0) {
        return;
    }
    bool late = sgn_op_targets_in(op, SGN_TARGET_LATE) > 0;
    if (!op->replied && !late) {
        put_fail(engine, op, false);
    }
    if (op->replied && !op->write.waiting) {
        put_end(engine, op);
    }
}

void sgn_put_minted(struct sgn_engine *engine, struct sgn_op *op, bool shared)
{
    op->u.put.minted = true;
    /* Whoever takes another put's copy takes this change with it: that nobody took ours proves
     * nothing. */
    op->u.put.maybe_kept = op->u.put.maybe_kept || shared;
    if (op->result_digest != 0) {
        put_fill_slots(engine, op);
    }
}

/* A mint that was refused had no effect: another home may be able where this one is not. A home
 * that the put was passed to before, and that went silent, may have taken it all the same. */
static void put_refused(struct sgn_engine *engine, struct sgn_op *op, int err)
{
    bool other_may = err == SGN_ERR_CORRUPT || err == SGN_ERR_BUSY || err == SGN_ERR_IO ||
                     err == SGN_ERR_DISK_FULL;
    op->u.put.last_err = err;
    if (op->replied) {
        sgn_op_free(engine, op);
    } else if (other_may && !op->u.put.guest && !op->u.put.forwarded && op->n > 1) {
        op->kind = SGN_OP_FORWARD; /* Its first target, this node, counts as tried. */
        op->targets[0].state = SGN_TARGET_FAILED;
        sgn_forward_next(engine, op);
    } else {
        sgn_op_fail(engine,
                    op,
                    op->u.put.maybe_kept ? SGN_ERR_UNKNOWN : (enum sgn_err)err,
                    sgn_bytes_of(NULL, 0));
        sgn_op_free(engine, op);
    }
}

void sgn_put_written(struct sgn_engine *engine, struct sgn_op *op)
{
    int err = op->write.err;
    if (!op->u.put.minted) {
        put_refused(engine, op, err);
        return;
    }
    if (err == SGN_OK && op->result_digest == 0) {
        /* A delete of what is not there: nothing to keep on anyone. A stand-in has had its store
         * note that, and time may have run out meanwhile. */
        if (!op->replied) {
            sgn_op_reply(engine,
                         op,
                         (struct sgn_msg){.type = SGN_MSG_RESULT,
                                          .context = sgn_buf_bytes(op->u.put.context)});
        }
        sgn_op_free(engine, op);
        return;
    }
    struct sgn_target *own = sgn_op_target(op, engine->options.node);
    own->state = err == SGN_OK ? SGN_TARGET_OK : SGN_TARGET_FAILED;
    if (err != SGN_OK) {
        op->u.put.last_err = err;
        op->u.put.maybe_kept = op->u.put.maybe_kept || err == SGN_ERR_IO;
    }
    put_advance(engine, op);
}

void sgn_put_answer(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    struct sgn_target *target = sgn_op_target(op, event->node);
    if (event->msg.type != SGN_MSG_REPL_ACK || target == NULL || target->state == SGN_TARGET_OK ||
        target->state == SGN_TARGET_FAILED) {
        return; /* Late, twice, or not asked. */
    }
    target->state = event->msg.err == SGN_OK ? SGN_TARGET_OK : SGN_TARGET_FAILED;
    if (event->msg.err != SGN_OK) {
        op->u.put.last_err = event->msg.err;
        op->u.put.maybe_kept = op->u.put.maybe_kept || event->msg.err == SGN_ERR_IO;
    }
    put_advance(engine, op);
}

void sgn_put_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    bool changed = sgn_op_judge_targets(engine, op);
    if (engine->now_ms >= op->deadline_ms) {
        op->u.put.maybe_kept = op->u.put.maybe_kept || changed;
        if (!op->replied) {
            put_fail(engine, op, true);
        }
        if (!op->write.waiting) {
            put_end(engine, op);
        }
        return;
    }
    if (changed) {
        op->u.put.maybe_kept = true; /* Who went silent after it was sent the record may keep it. */
        put_advance(engine, op);
    }
}
