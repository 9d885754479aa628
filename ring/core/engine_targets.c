/* Whom an op turns to: homes, targets, and the one reply. */
#include "ring/core/engine_inner.h"

void sgn_op_locate(struct sgn_engine *engine, struct sgn_op *op, uint32_t n)
{
    SGN_ASSERT(n >= 1 && n <= engine->ring->replica_count);
    op->partition = sgn_partition_of(sgn_hash(op->full_key), engine->ring->partition_count);
    op->n = sgn_ring_preference(engine->ring, op->partition, op->homes, n);
    SGN_ASSERT(op->n == n);
}

int sgn_op_home(const struct sgn_op *op, uint32_t node)
{
    for (uint32_t i = 0; i < op->n; i++) {
        if (op->homes[i] == node) {
            return (int)i;
        }
    }
    return -1;
}

struct sgn_target *sgn_op_target(struct sgn_op *op, uint32_t node)
{
    for (uint32_t i = 0; i < op->target_count; i++) {
        if (op->targets[i].node == node) {
            return &op->targets[i];
        }
    }
    return NULL;
}

struct sgn_target *sgn_op_add_target(struct sgn_engine *engine,
                                     struct sgn_op *op,
                                     uint32_t node,
                                     uint32_t slot)
{
    SGN_ASSERT(sgn_op_target(op, node) == NULL);
    if (op->target_count == SGN_TARGETS_MAX) {
        return NULL;
    }
    struct sgn_target *target = &op->targets[op->target_count++];
    *target = (struct sgn_target){.node = node,
                                  .slot = (uint8_t)slot,
                                  .state = SGN_TARGET_WAITING,
                                  .sent_ms = engine->now_ms};
    return target;
}

bool sgn_op_judge_targets(struct sgn_engine *engine, struct sgn_op *op)
{
    bool changed = false;
    for (uint32_t i = 0; i < op->target_count; i++) {
        struct sgn_target *target = &op->targets[i];
        if (target->state != SGN_TARGET_WAITING || target->node == engine->options.node) {
            continue; /* The own store always answers. */
        }
        /* LATE, not FAILED, also for one that seems down: its answer may be on its way. */
        if (!sgn_node_alive(engine, target->node) ||
            engine->now_ms - target->sent_ms >= engine->options.replica_timeout_ms) {
            target->state = SGN_TARGET_LATE;
            changed = true;
        }
    }
    return changed;
}

uint32_t sgn_op_targets_in(const struct sgn_op *op, enum sgn_target_state state)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < op->target_count; i++) {
        count += op->targets[i].state == state;
    }
    return count;
}

void sgn_op_reply(struct sgn_engine *engine, struct sgn_op *op, struct sgn_msg msg)
{
    SGN_ASSERT(!op->replied);
    op->replied = true;
    sgn_fx_reply(engine, op->token, msg);
}

void sgn_op_fail(struct sgn_engine *engine,
                 struct sgn_op *op,
                 enum sgn_err err,
                 struct sgn_bytes text)
{
    SGN_ASSERT(err != SGN_OK);
    engine->counts.refused_busy += err == SGN_ERR_BUSY;
    engine->counts.timeouts += err == SGN_ERR_TIMEOUT;
    engine->counts.unavailable += err == SGN_ERR_UNAVAILABLE;
    engine->counts.unknown += err == SGN_ERR_UNKNOWN;
    sgn_op_reply(engine, op, (struct sgn_msg){.type = SGN_MSG_RESULT, .err = err, .text = text});
}
