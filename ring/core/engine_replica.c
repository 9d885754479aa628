/* Keyed writes. One key of one space is changed by one STORE at a time; what comes meanwhile waits
 * and is folded, up to SGN_COMBINE_MAX intents, into the next one. That lock is also what makes a
 * minted dot true (record.h): every mint of this actor sees all its earlier ones.
 *
 *   LOADING ─(corrupt: LOADING_DIGEST)─> apply ──> STORING ──> answer all ──> READY | gone
 *                                          └─ nothing changed: answer all
 */
#include "ring/core/engine_inner.h"

static uint16_t lock_index(const struct sgn_engine *engine, const struct sgn_lock *lock)
{
    return (uint16_t)(lock - engine->locks);
}

static uint64_t lock_token(const struct sgn_engine *engine, const struct sgn_lock *lock)
{
    return sgn_token(SGN_TOKEN_LOCK, lock_index(engine, lock), lock->generation);
}

/* The op that stands for the key: a lock without any op does not exist. */
static struct sgn_op *lock_op(struct sgn_engine *engine, const struct sgn_lock *lock)
{
    uint16_t index = lock->batch_head != SGN_NONE ? lock->batch_head : lock->wait_head;
    SGN_ASSERT(index != SGN_NONE);
    return &engine->ops[index];
}

static uint16_t *lock_bucket(struct sgn_engine *engine, uint64_t hash)
{
    return &engine->lock_heads[(hash >> 32) & (SGN_LOCK_HEADS - 1)];
}

static struct sgn_lock *lock_find(struct sgn_engine *engine,
                                  uint64_t hash,
                                  uint32_t space,
                                  struct sgn_bytes full_key)
{
    for (uint16_t i = *lock_bucket(engine, hash); i != SGN_NONE; i = engine->locks[i].chain) {
        struct sgn_lock *lock = &engine->locks[i];
        if (lock->hash == hash && lock->space == space &&
            (lock->state == SGN_LOCK_FINISHING || /* Its ops may be gone; the hash must do. */
             sgn_bytes_equal(lock_op(engine, lock)->full_key, full_key))) {
            return lock;
        }
    }
    return NULL;
}

static struct sgn_lock *lock_make(struct sgn_engine *engine, uint64_t hash, uint32_t space)
{
    /* As many locks as ops, and each lock has an op of its own: one is free. */
    bool fresh = engine->lock_free_head == SGN_NONE;
    uint16_t index = fresh ? (uint16_t)engine->lock_high++ : engine->lock_free_head;
    SGN_ASSERT(index < SGN_OPS_MAX);
    struct sgn_lock *lock = &engine->locks[index];
    engine->lock_free_head = fresh ? SGN_NONE : lock->chain;
    uint32_t generation = lock->generation + 1;
    uint16_t *head = lock_bucket(engine, hash);
    *lock = (struct sgn_lock){
        .generation = generation,
        .space = space,
        .hash = hash,
        .chain = *head,
        .next_ready = SGN_NONE,
        .wait_head = SGN_NONE,
        .wait_tail = SGN_NONE,
        .batch_head = SGN_NONE,
    };
    *head = index;
    engine->locks_used++;
    return lock;
}

static void lock_free(struct sgn_engine *engine, struct sgn_lock *lock)
{
    SGN_ASSERT(lock->wait_head == SGN_NONE && lock->batch_head == SGN_NONE);
    sgn_buf_drop(engine, &lock->record);
    sgn_buf_drop(engine, &lock->after);
    uint16_t index = lock_index(engine, lock);
    uint16_t *link = lock_bucket(engine, lock->hash);
    while (*link != index) {
        SGN_ASSERT(*link != SGN_NONE);
        link = &engine->locks[*link].chain;
    }
    *link = lock->chain;
    lock->state = SGN_LOCK_FREE;
    lock->chain = engine->lock_free_head;
    engine->lock_free_head = index;
    engine->locks_used--;
}

static void lock_load(struct sgn_engine *engine, struct sgn_lock *lock)
{
    struct sgn_bytes full_key = lock_op(engine, lock)->full_key;
    lock->state = SGN_LOCK_LOADING;
    lock->known = false;
    if (lock->space == 0) {
        sgn_fx_load(engine, lock_token(engine, lock), SGN_FAMILY_DATA, full_key);
    } else {
        sgn_fx_load(engine,
                    lock_token(engine, lock),
                    SGN_FAMILY_HINT,
                    sgn_hint_key(engine, lock->space, full_key));
    }
}

void sgn_write_start(struct sgn_engine *engine,
                     struct sgn_op *op,
                     enum sgn_write_kind kind,
                     uint32_t space)
{
    SGN_ASSERT(!op->write.waiting && op->full_key.count > 0 && op->n > 0);
    op->write = (struct sgn_op_write){
        .kind = (uint8_t)kind, .waiting = true, .next = SGN_NONE, .space = space};
    uint64_t hash = sgn_hash(op->full_key) ^ space * UINT64_C(0x9e3779b97f4a7c15);
    struct sgn_lock *lock = lock_find(engine, hash, space, op->full_key);
    bool fresh = lock == NULL;
    if (fresh) {
        lock = lock_make(engine, hash, space);
    }
    uint16_t index = sgn_op_index(engine, op);
    if (lock->wait_head == SGN_NONE) {
        lock->wait_head = index;
    } else {
        engine->ops[lock->wait_tail].write.next = index;
    }
    lock->wait_tail = index;
    if (fresh) {
        lock_load(engine, lock);
    }
}

/* Moves the next ops to the batch: a hand-over alone, others together. */
static void batch_take(struct sgn_engine *engine, struct sgn_lock *lock)
{
    SGN_ASSERT(lock->batch_head == SGN_NONE && lock->wait_head != SGN_NONE);
    lock->batch_head = lock->wait_head;
    struct sgn_op *last = &engine->ops[lock->wait_head];
    bool alone = last->write.kind == SGN_WRITE_DELIVER;
    for (uint32_t i = 1; i < SGN_COMBINE_MAX && !alone && last->write.next != SGN_NONE; i++) {
        struct sgn_op *next = &engine->ops[last->write.next];
        if (next->write.kind == SGN_WRITE_DELIVER) {
            break;
        }
        last = next;
    }
    lock->wait_head = last->write.next;
    if (lock->wait_head == SGN_NONE) {
        lock->wait_tail = SGN_NONE;
    }
    last->write.next = SGN_NONE;
}

static void batch_fail(struct sgn_engine *engine, struct sgn_lock *lock, int err)
{
    for (uint16_t i = lock->batch_head; i != SGN_NONE; i = engine->ops[i].write.next) {
        if (engine->ops[i].write.err == SGN_OK) {
            engine->ops[i].write.err = err;
        }
    }
}

/* Answers the batch; each op may end, and may begin another write, also of this key. */
static void batch_finish(struct sgn_engine *engine, struct sgn_lock *lock)
{
    uint16_t index = lock->batch_head;
    lock->state = SGN_LOCK_FINISHING;
    lock->batch_head = SGN_NONE;
    lock->minted = lock->deletes = false;
    lock->raise_to = 0;
    while (index != SGN_NONE) {
        struct sgn_op *op = &engine->ops[index];
        index = op->write.next;
        op->write.waiting = false;
        sgn_written(engine, op);
    }
    if (lock->wait_head == SGN_NONE) {
        lock_free(engine, lock);
    } else if (!lock->known) {
        lock_load(engine, lock);
    } else {
        lock->state = SGN_LOCK_READY;
        lock->next_ready = SGN_NONE;
        if (engine->ready_head == SGN_NONE) {
            engine->ready_head = lock_index(engine, lock);
        } else {
            engine->locks[engine->ready_tail].next_ready = lock_index(engine, lock);
        }
        engine->ready_tail = lock_index(engine, lock);
    }
}

static int apply_intent(struct sgn_engine *engine,
                        struct sgn_lock *lock,
                        struct sgn_op *op,
                        struct sgn_record *record)
{
    if (lock->space != 0 && !lock->exists && !sgn_hint_room(engine)) {
        engine->counts.hints_dropped++;
        return SGN_ERR_BUSY;
    }
    switch ((enum sgn_write_kind)op->write.kind) {
    case SGN_WRITE_MINT: return sgn_mint_apply(engine, lock, op, record);
    case SGN_WRITE_MERGE: {
        struct sgn_record other;
        enum sgn_err err = sgn_record_decode(op->value, SGN_RECORD_WITH_BODIES, &other);
        return err != SGN_OK ? err : sgn_record_merge(record, &other);
    }
    case SGN_WRITE_REFERENCE: return SGN_OK;
    case SGN_WRITE_DELIVER: break;
    }
    SGN_ASSERT(false);
    return SGN_ERR_INVALID;
}

static void lock_store(struct sgn_engine *engine, struct sgn_lock *lock)
{
    struct sgn_bytes full_key = lock_op(engine, lock)->full_key;
    struct sgn_effect *effect = sgn_fx_push(engine, SGN_FX_STORE);
    effect->token = lock_token(engine, lock);
    struct sgn_store_write *write = &effect->writes[effect->write_count++];
    write->is_delete = lock->deletes;
    write->value = sgn_buf_bytes(lock->after);
    if (lock->space == 0) {
        write->family = SGN_FAMILY_DATA;
        write->key = full_key;
        write = &effect->writes[effect->write_count++];
        write->family = SGN_FAMILY_TREE;
        write->key = sgn_tree_key(engine, full_key);
        write->value = sgn_arena_uint(engine, lock->after_digest, 8);
    } else {
        write->family = SGN_FAMILY_HINT;
        write->key = sgn_hint_key(engine, lock->space, full_key);
    }
    if (lock->raise_to != 0) {
        sgn_generation_push(engine, effect, sgn_space_role(lock->space), lock->raise_to);
    }
    lock->state = SGN_LOCK_STORING;
}

static bool batch_mints_behind(const struct sgn_engine *engine, const struct sgn_op *op)
{
    for (uint16_t i = op->write.next; i != SGN_NONE; i = engine->ops[i].write.next) {
        if (engine->ops[i].write.kind == SGN_WRITE_MINT && engine->ops[i].write.err == SGN_OK) {
            return true;
        }
    }
    return false;
}

/* A batch's outcome is encoded: store it if it is new, else answer. */
static void lock_settle(struct sgn_engine *engine,
                        struct sgn_lock *lock,
                        bool changed,
                        struct sgn_buf *record)
{
    for (uint16_t i = lock->batch_head; i != SGN_NONE; i = engine->ops[i].write.next) {
        struct sgn_op *op = &engine->ops[i];
        sgn_buf_drop(engine, &op->result);
        op->result = sgn_buf_keep(record);
        op->result_digest = lock->after_digest;
    }
    if (changed) {
        lock->after = record;
        if (lock->corrupt) {
            int err;
            lock->raise_to = sgn_generation_usable(engine, sgn_space_role(lock->space), &err) + 1;
        }
        lock_store(engine, lock);
    } else {
        sgn_buf_drop(engine, &lock->record);
        lock->record = record;
        lock->known = !lock->corrupt;
    }
    bool shared = false;
    for (uint16_t i = lock->batch_head; i != SGN_NONE; i = engine->ops[i].write.next) {
        struct sgn_op *op = &engine->ops[i];
        if (op->write.kind == SGN_WRITE_MINT && op->write.err == SGN_OK) {
            sgn_put_minted(engine, op, shared || batch_mints_behind(engine, op));
            shared = true;
        }
    }
    if (!changed) {
        batch_finish(engine, lock);
    }
}

/* Applies the next batch to `stored`, the bytes of the record in the store. */
static void lock_apply(struct sgn_engine *engine, struct sgn_lock *lock, struct sgn_bytes stored)
{
    struct sgn_record record;
    enum sgn_err err = sgn_record_decode(stored, SGN_RECORD_WITH_BODIES, &record);
    SGN_ASSERT(err == SGN_OK);
    batch_take(engine, lock);
    struct sgn_op *head = &engine->ops[lock->batch_head];
    if (head->write.kind == SGN_WRITE_DELIVER) {
        lock->state = SGN_LOCK_DELIVERING;
        sgn_hint_held(engine, head, stored, lock->exists, lock->corrupt ? SGN_ERR_CORRUPT : SGN_OK);
        return;
    }
    uint64_t before = sgn_record_digest(&record);
    bool applied = false;
    bool merged = false;
    for (uint16_t i = lock->batch_head; i != SGN_NONE; i = engine->ops[i].write.next) {
        struct sgn_op *op = &engine->ops[i];
        op->write.err = apply_intent(engine, lock, op, &record);
        applied = applied || op->write.err == SGN_OK;
        merged = merged || (op->write.err == SGN_OK && op->write.kind == SGN_WRITE_MERGE);
    }
    lock->after_digest = sgn_record_digest(&record);
    /* A reference makes an entry without a record; a repair writes even an equal one. */
    bool changed = applied && (lock->after_digest != before || (lock->corrupt && merged) ||
                               (lock->space != 0 && !lock->exists));
    changed = changed && !(lock->space == 0 && lock->after_digest == 0);
    size_t bytes = sgn_record_bytes(&record, SGN_RECORD_WITH_BODIES);
    struct sgn_buf *buf = sgn_buf_get(engine, bytes);
    if (buf == NULL) {
        batch_fail(engine, lock, SGN_ERR_BUSY);
        lock->known = false;
        batch_finish(engine, lock);
        return;
    }
    struct sgn_sink sink = sgn_sink_of(buf->bytes, bytes);
    sgn_record_encode(&record, SGN_RECORD_WITH_BODIES, &sink);
    SGN_ASSERT(!sink.full && sink.count == bytes);
    lock_settle(engine, lock, changed, buf);
}

static struct sgn_lock *lock_of_token(struct sgn_engine *engine, uint64_t token)
{
    uint32_t index = (uint32_t)(token >> 32) & 0xffffff;
    SGN_ASSERT(index < SGN_OPS_MAX);
    struct sgn_lock *lock = &engine->locks[index];
    return lock->state != SGN_LOCK_FREE && lock->generation == (uint32_t)token ? lock : NULL;
}

void sgn_lock_loaded(struct sgn_engine *engine, const struct sgn_event *event)
{
    struct sgn_lock *lock = lock_of_token(engine, event->token);
    if (lock == NULL) {
        return;
    }
    struct sgn_bytes nothing = sgn_bytes_of(NULL, 0);
    if (lock->state == SGN_LOCK_LOADING_DIGEST) {
        lock->digest =
            event->err == SGN_OK && event->value.count == 8 ? sgn_get_uint(event->value.ptr, 8) : 0;
        lock_apply(engine, lock, nothing);
        return;
    }
    SGN_ASSERT(lock->state == SGN_LOCK_LOADING);
    if (event->err != SGN_OK && event->err != SGN_ERR_NOT_FOUND && event->err != SGN_ERR_CORRUPT) {
        batch_take(engine, lock);
        batch_fail(engine, lock, event->err);
        batch_finish(engine, lock);
        return;
    }
    struct sgn_record record;
    lock->exists = event->err != SGN_ERR_NOT_FOUND;
    lock->corrupt = event->err == SGN_ERR_CORRUPT;
    lock->digest = 0;
    if (event->err == SGN_OK &&
        sgn_record_decode(event->value, SGN_RECORD_WITH_BODIES, &record) != SGN_OK) {
        lock->corrupt = true;
    } else if (event->err == SGN_OK) {
        lock->digest = sgn_record_digest(&record);
    }
    if (lock->corrupt && lock->space == 0) {
        lock->state = SGN_LOCK_LOADING_DIGEST;
        sgn_fx_load(engine,
                    lock_token(engine, lock),
                    SGN_FAMILY_TREE,
                    sgn_tree_key(engine, lock_op(engine, lock)->full_key));
        return;
    }
    lock_apply(engine, lock, event->err == SGN_OK && !lock->corrupt ? event->value : nothing);
}

static void lock_took(struct sgn_engine *engine, struct sgn_lock *lock)
{
    const struct sgn_op *op = lock_op(engine, lock);
    if (lock->space == 0) {
        sgn_tree_change(
            &engine->tree, sgn_hash(op->full_key), op->n, lock->digest, lock->after_digest);
    } else if (lock->deletes) {
        sgn_hint_count(engine, lock->space, -1);
    } else if (!lock->exists) {
        sgn_hint_count(engine, lock->space, 1);
    }
    if (lock->raise_to != 0) {
        sgn_generation_raised(engine, sgn_space_role(lock->space), lock->raise_to);
    }
    lock->exists = !lock->deletes;
    lock->corrupt = false;
    lock->known = true;
    lock->digest = lock->after_digest;
    sgn_buf_drop(engine, &lock->record);
    lock->record = lock->after;
    lock->after = NULL;
}

void sgn_lock_stored(struct sgn_engine *engine, const struct sgn_event *event)
{
    struct sgn_lock *lock = lock_of_token(engine, event->token);
    if (lock == NULL) {
        return;
    }
    SGN_ASSERT(lock->state == SGN_LOCK_STORING);
    if (event->err == SGN_OK) {
        lock_took(engine, lock);
    } else {
        batch_fail(engine, lock, event->err);
        if (lock->minted || lock->raise_to != 0) {
            /* The dots, or the deletion, may be out in the world while the record here lacks
             * them. */
            sgn_generation_want(engine, sgn_space_role(lock->space));
        }
        sgn_buf_drop(engine, &lock->after);
        sgn_buf_drop(engine, &lock->record);
        lock->known = false;
    }
    batch_finish(engine, lock);
}

void sgn_write_deliver_end(struct sgn_engine *engine,
                           struct sgn_op *op,
                           bool delete_hint,
                           bool own_dot)
{
    uint64_t hash = sgn_hash(op->full_key) ^ op->write.space * UINT64_C(0x9e3779b97f4a7c15);
    struct sgn_lock *lock = lock_find(engine, hash, op->write.space, op->full_key);
    SGN_ASSERT(lock != NULL && lock->state == SGN_LOCK_DELIVERING);
    SGN_ASSERT(lock->batch_head == sgn_op_index(engine, op));
    lock->known = false;
    if (!delete_hint) {
        batch_finish(engine, lock);
        return;
    }
    int err;
    lock->deletes = true;
    lock->after_digest = 0;
    if (own_dot) {
        lock->raise_to = sgn_generation_usable(engine, SGN_ACTOR_GUEST, &err) + 1;
    }
    lock_store(engine, lock);
}

void sgn_locks_pump(struct sgn_engine *engine)
{
    while (engine->ready_head != SGN_NONE && sgn_fx_has_room(engine)) {
        struct sgn_lock *lock = &engine->locks[engine->ready_head];
        SGN_ASSERT(lock->state == SGN_LOCK_READY && lock->known);
        engine->ready_head = lock->next_ready;
        /* The batch may drop the lock's own reference while its ops are answered. */
        struct sgn_buf *record = sgn_buf_keep(lock->record);
        lock_apply(engine, lock, sgn_buf_bytes(record));
        sgn_buf_drop(engine, &record);
    }
}

void sgn_locks_clear(struct sgn_engine *engine)
{
    for (uint32_t i = 0; i < engine->lock_high; i++) {
        sgn_buf_drop(engine, &engine->locks[i].record);
        sgn_buf_drop(engine, &engine->locks[i].after);
    }
}
