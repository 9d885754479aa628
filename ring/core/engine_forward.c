/* A put that reached a node which is no home is passed to one; the answer is passed back. The same
 * request id makes a second try harmless (record.h). */
#include "ring/core/engine_inner.h"

static void forward_send(struct sgn_engine *engine, struct sgn_op *op, uint32_t node, uint32_t slot)
{
    struct sgn_target *target = sgn_op_add_target(engine, op, node, slot);
    SGN_ASSERT(target != NULL);
    engine->counts.forwards++;
    sgn_fx_send(engine,
                node,
                op,
                (struct sgn_msg){
                    .type = op->u.put.is_delete ? SGN_MSG_DEL : SGN_MSG_PUT,
                    .forwarded = true,
                    .bucket = op->bucket,
                    .key = op->key,
                    .value = op->value,
                    .context = op->context,
                    .flags = op->u.put.has_context ? SGN_PUT_HAS_CONTEXT : 0,
                    .n = op->quorum,
                    .id = op->u.put.id,
                    .stamp = op->u.put.stamp,
                });
}

void sgn_forward_next(struct sgn_engine *engine, struct sgn_op *op)
{
    bool home_alive = false;
    for (uint32_t i = 0; i < op->n; i++) {
        bool alive = sgn_node_alive(engine, op->homes[i]);
        home_alive = home_alive || alive;
        if (alive && op->homes[i] != engine->options.node &&
            sgn_op_target(op, op->homes[i]) == NULL) {
            forward_send(engine, op, op->homes[i], i);
            return;
        }
    }
    if (!home_alive) {
        sgn_put_coordinate(engine, op); /* As a guest. */
        return;
    }
    if (sgn_op_targets_in(op, SGN_TARGET_LATE) > 0) {
        return; /* Until the deadline a silent one may still answer. */
    }
    int err = op->u.put.maybe_kept ? SGN_ERR_UNKNOWN : op->u.put.last_err;
    struct sgn_sink text = sgn_text(engine, "every home of the key was tried; the last one said: ");
    sgn_text_str(&text, sgn_err_text(op->u.put.last_err));
    sgn_op_fail(engine, op, (enum sgn_err)err, sgn_sink_bytes(&text));
    sgn_op_free(engine, op);
}

static bool other_home_may(int err)
{
    return err == SGN_ERR_BUSY || err == SGN_ERR_UNAVAILABLE || err == SGN_ERR_UNKNOWN ||
           err == SGN_ERR_TIMEOUT || err == SGN_ERR_DISK_FULL || err == SGN_ERR_IO ||
           err == SGN_ERR_CORRUPT || err == SGN_ERR_NOMEM || err == SGN_ERR_CLOCK ||
           err == SGN_ERR_NO_BUCKET; /* It may not have heard of the bucket yet. */
}

void sgn_forward_answer(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    const struct sgn_msg *msg = &event->msg;
    struct sgn_target *target = sgn_op_target(op, event->node);
    if (msg->type != SGN_MSG_RESULT || target == NULL ||
        (target->state != SGN_TARGET_WAITING && target->state != SGN_TARGET_LATE)) {
        return;
    }
    bool late = target->state == SGN_TARGET_LATE;
    target->state = msg->err == SGN_OK ? SGN_TARGET_OK : SGN_TARGET_FAILED;
    op->u.put.maybe_kept = op->u.put.maybe_kept || msg->err == SGN_ERR_UNKNOWN;
    if (msg->err != SGN_OK && other_home_may(msg->err)) {
        op->u.put.last_err = msg->err;
        if (!late || sgn_op_targets_in(op, SGN_TARGET_WAITING) == 0) {
            sgn_forward_next(engine, op);
        }
        return;
    }
    if (msg->err == SGN_OK) {
        sgn_op_reply(
            engine,
            op,
            (struct sgn_msg){.type = SGN_MSG_RESULT, .context = msg->context, .a = msg->a});
    } else if (op->u.put.maybe_kept) {
        /* This home refuses for good, but one asked before it may hold the write. */
        sgn_op_fail(engine, op, SGN_ERR_UNKNOWN, msg->text);
    } else {
        sgn_op_fail(engine, op, (enum sgn_err)msg->err, msg->text);
    }
    sgn_op_free(engine, op);
}

void sgn_forward_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    bool changed = sgn_op_judge_targets(engine, op);
    /* A home that went silent, or down, after it was sent the request may hold the write. */
    op->u.put.maybe_kept = op->u.put.maybe_kept || changed;
    if (engine->now_ms >= op->deadline_ms) {
        sgn_op_fail(engine,
                    op,
                    SGN_ERR_UNKNOWN,
                    sgn_bytes_str("the homes of the key did not answer in time"));
        sgn_op_free(engine, op);
        return;
    }
    if (changed && sgn_op_targets_in(op, SGN_TARGET_WAITING) == 0) {
        sgn_forward_next(engine, op);
    }
}
