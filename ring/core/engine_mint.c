/* A client's change, minted: the one place where dots come into being. */
#include "ring/core/engine_inner.h"

/* What a client may say it has seen after its write. If its value (or nothing) is all that is left,
 * that is the whole vector. Else the whole vector would let its next put drop siblings it never saw:
 * then only its own write is added to what it said before, where that covers no other sibling. */
static void mint_context(struct sgn_engine *engine, struct sgn_op *op,
                         const struct sgn_record *record, struct sgn_vector *seen,
                         struct sgn_actor actor)
{
    const struct sgn_vector *context = &record->vector;
    if (op->u.put.has_context && record->sibling_count > (op->u.put.is_delete ? 0u : 1u)) {
        struct sgn_record grown;
        sgn_record_init(&grown);
        grown.vector = *seen;
        uint32_t mine = 0;
        struct sgn_record dot;
        sgn_record_init(&dot);
        for (uint32_t i = 0; i < record->sibling_count; i++) {
            mine += record->siblings[i].dot.actor.node == actor.node &&
                    record->siblings[i].dot.actor.generation == actor.generation;
        }
        for (uint32_t i = 0; i < record->vector.count && !op->u.put.is_delete && mine == 1; i++) {
            const struct sgn_dot *entry = &record->vector.entries[i];
            if (entry->actor.node == actor.node && entry->actor.generation == actor.generation) {
                dot.vector.count = 1;
                dot.vector.entries[0] = *entry;
            }
        }
        /* Refused when full: the context stays as it was, which is only less. */
        if (sgn_record_merge(&grown, &dot) == SGN_OK) {
            *seen = grown.vector;
        }
        context = seen;
    }
    sgn_buf_drop(engine, &op->u.put.context);
    op->u.put.context = sgn_buf_get(engine, SGN_CONTEXT_BYTES_MAX);
    if (op->u.put.context != NULL) {
        struct sgn_sink sink = sgn_sink_of(op->u.put.context->bytes, SGN_CONTEXT_BYTES_MAX);
        sgn_context_encode(context, &sink);
        SGN_ASSERT(!sink.full);
        op->u.put.context->count = sink.count;
    }
}

int sgn_mint_apply(struct sgn_engine *engine, struct sgn_lock *lock, struct sgn_op *op,
                   struct sgn_record *record)
{
    if (op->replied) {
        return SGN_ERR_TIMEOUT; /* Its client was told that nothing was written. */
    }
    if (lock->corrupt) {
        return SGN_ERR_CORRUPT; /* Which dots were minted is not known. */
    }
    int err;
    struct sgn_actor actor = {.node = engine->options.node};
    actor.generation = sgn_generation_usable(engine, sgn_space_role(lock->space), &err);
    if (err != SGN_OK) {
        return err;
    }
    struct sgn_vector seen;
    SGN_ASSERT(sgn_context_decode(op->context, &seen) == SGN_OK); /* Looked at on arrival. */
    const struct sgn_mint mint = {
        .actor = actor,
        .context = op->u.put.has_context ? &seen : NULL,
        .is_delete = op->u.put.is_delete,
        .body = op->value,
        .hlc = op->u.put.stamp,
        .request_id = op->u.put.id,
    };
    err = sgn_record_mint(record, &mint);
    if (err == SGN_OK) {
        lock->minted = true;
        mint_context(engine, op, record, &seen, actor);
    }
    return err;
}
