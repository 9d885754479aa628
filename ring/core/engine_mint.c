/* A client's change, minted: the one place where dots come into being. */
#include "ring/core/engine_inner.h"

static bool same_actor(struct sgn_actor a, struct sgn_actor b)
{
    return a.node == b.node && a.generation == b.generation;
}

/* The sibling that this put left: by its request id, which may have been minted by another
 * coordinator before; without an id, the actor's newest. NULL after a delete. */
static const struct sgn_sibling *own_sibling(const struct sgn_op *op,
                                             const struct sgn_record *record,
                                             struct sgn_actor actor)
{
    static const struct sgn_request_id none;
    bool has_id = memcmp(&op->u.put.id, &none, sizeof(none)) != 0;
    const struct sgn_sibling *own = NULL;
    for (uint32_t i = 0; i < record->sibling_count && !op->u.put.is_delete; i++) {
        const struct sgn_sibling *sibling = &record->siblings[i];
        bool is_own = has_id ? memcmp(&sibling->request_id, &op->u.put.id, sizeof(none)) == 0
                             : same_actor(sibling->dot.actor, actor);
        own = is_own ? sibling : own; /* Sorted by counter: the last is the newest. */
    }
    return own;
}

/* What the client may say it has seen after its write. If its value (or nothing) is all that is
 * left, that is the whole vector. Else the whole vector would let its next put drop siblings it
 * never saw: then only its own write is added to what it said before, and that only where the entry
 * for it covers no other sibling. */
static void mint_context(struct sgn_engine *engine,
                         struct sgn_op *op,
                         const struct sgn_record *record,
                         const struct sgn_vector *said,
                         struct sgn_actor actor)
{
    const struct sgn_sibling *own = own_sibling(op, record, actor);
    struct sgn_record seen;
    sgn_record_init(&seen);
    if (record->sibling_count == (own != NULL ? 1u : 0u)) {
        seen.vector = record->vector;
    } else if (op->u.put.has_context) {
        seen.vector = *said;
        struct sgn_record one;
        sgn_record_init(&one);
        uint32_t siblings = 0;
        for (uint32_t i = 0; i < record->sibling_count && own != NULL; i++) {
            siblings += same_actor(record->siblings[i].dot.actor, own->dot.actor);
        }
        if (siblings == 1) {
            one.vector.count = 1;
            one.vector.entries[0] = own->dot;
        }
        /* Refused when full: the context stays as it was, which is only less. */
        (void)sgn_record_merge(&seen, &one);
    }
    sgn_buf_drop(engine, &op->u.put.context);
    op->u.put.context = sgn_buf_get(engine, SGN_CONTEXT_BYTES_MAX);
    if (op->u.put.context != NULL) {
        struct sgn_sink sink = sgn_sink_of(op->u.put.context->bytes, SGN_CONTEXT_BYTES_MAX);
        sgn_context_encode(&seen.vector, &sink);
        SGN_ASSERT(!sink.full);
        op->u.put.context->count = sink.count;
    }
}

int sgn_mint_apply(struct sgn_engine *engine,
                   struct sgn_lock *lock,
                   struct sgn_op *op,
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
