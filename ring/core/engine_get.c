/* Reading one key; protocol.md 5.1 and 8. R different answers are merged. An answer is a home's
 * record or its "never written", or a stand-in's hint; a stand-in without a hint knows nothing and
 * abstains, so that three dead homes read as unavailable, not as "no such key". */
#include "ring/core/engine_inner.h"

static enum sgn_record_bodies get_form(const struct sgn_op *op)
{
    return (op->u.get.flags & SGN_GET_HEAD_ONLY) != 0 ? SGN_RECORD_DIGEST_ONLY
                                                      : SGN_RECORD_WITH_BODIES;
}

/* Encodes into a buffer; NULL when the pool refuses. */
static struct sgn_buf *record_buf(struct sgn_engine *engine,
                                  const struct sgn_record *record,
                                  enum sgn_record_bodies form)
{
    size_t bytes = sgn_record_bytes(record, form);
    struct sgn_buf *buf = sgn_buf_get(engine, bytes);
    if (buf != NULL) {
        struct sgn_sink sink = sgn_sink_of(buf->bytes, bytes);
        sgn_record_encode(record, form, &sink);
        SGN_ASSERT(!sink.full && sink.count == bytes);
    }
    return buf;
}

/* Takes a record, in the form `from`, into op->result. `digest` may be NULL. */
static enum sgn_err get_fold(struct sgn_engine *engine,
                             struct sgn_op *op,
                             struct sgn_bytes bytes,
                             enum sgn_record_bodies from,
                             uint64_t *digest)
{
    struct sgn_record record;
    struct sgn_record other;
    if (sgn_record_decode(bytes, from, &record) != SGN_OK) {
        return SGN_ERR_CORRUPT;
    }
    if (digest != NULL) {
        *digest = sgn_record_digest(&record);
    }
    if (op->result != NULL) {
        if (sgn_record_decode(sgn_buf_bytes(op->result), get_form(op), &other) != SGN_OK) {
            return SGN_ERR_CORRUPT;
        }
        if (sgn_record_covers(&other, &record)) {
            return SGN_OK;
        }
        enum sgn_err err = sgn_record_merge(&record, &other);
        if (err != SGN_OK) {
            return err;
        }
    }
    struct sgn_buf *buf = record_buf(engine, &record, get_form(op));
    if (buf == NULL) {
        return SGN_ERR_BUSY;
    }
    sgn_buf_drop(engine, &op->result);
    op->result = buf;
    op->result_digest = sgn_record_digest(&record);
    return SGN_OK;
}

/* Reads the node's own data, or, where it is no home, its hints for the homes one by one. */
static void local_read(struct sgn_engine *engine, struct sgn_op *op)
{
    if (sgn_op_home(op, engine->options.node) >= 0) {
        sgn_fx_load(engine, sgn_op_token(engine, op), SGN_FAMILY_DATA, op->full_key);
    } else {
        sgn_fx_load(engine,
                    sgn_op_token(engine, op),
                    SGN_FAMILY_HINT,
                    sgn_hint_key(engine, op->homes[op->u.get.local_index], op->full_key));
    }
}

static void get_candidates(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_get *get = &op->u.get;
    uint32_t self = engine->options.node;
    bool home = sgn_op_home(op, self) >= 0;
    if (home) {
        get->candidates[get->candidate_count++] = self;
    }
    for (uint32_t i = 0; i < op->n; i++) {
        if (op->homes[i] != self && sgn_node_alive(engine, op->homes[i])) {
            get->candidates[get->candidate_count++] = op->homes[i];
        }
    }
    if (get->candidate_count == op->n) {
        return; /* Nobody stands in for anyone, but that a home goes silent meanwhile. */
    }
    if (!home) {
        get->candidates[get->candidate_count++] = self;
    }
    uint32_t nodes[SGN_NODES_MAX];
    uint32_t count = sgn_ring_preference(engine->ring, op->partition, nodes, SGN_NODES_MAX);
    uint32_t most = 2 * op->n;
    for (uint32_t i = op->n; i < count && get->candidate_count < most; i++) {
        if (nodes[i] != self && sgn_node_alive(engine, nodes[i])) {
            get->candidates[get->candidate_count++] = nodes[i];
        }
    }
}

static void get_fail(struct sgn_engine *engine, struct sgn_op *op, enum sgn_err err)
{
    struct sgn_sink text = sgn_text(engine, "");
    sgn_text_uint(&text, sgn_op_targets_in(op, SGN_TARGET_OK));
    sgn_text_str(&text, " of ");
    sgn_text_uint(&text, op->quorum);
    sgn_text_str(&text, " copies could be read; without an answer:");
    for (uint32_t i = 0; i < op->n; i++) {
        const struct sgn_target *target = sgn_op_target(op, op->homes[i]);
        if (target == NULL || target->state != SGN_TARGET_OK) {
            sgn_text_str(&text, " node ");
            sgn_text_uint(&text, op->homes[i]);
        }
    }
    sgn_op_fail(engine, op, err, sgn_sink_bytes(&text));
    sgn_op_free(engine, op);
}

/* `bytes` is a record in the op's form. */
static void get_reply(struct sgn_engine *engine,
                      struct sgn_op *op,
                      struct sgn_bytes bytes,
                      const struct sgn_record *record,
                      uint64_t copies)
{
    struct sgn_msg msg = {.type = SGN_MSG_RESULT, .value = bytes, .a = copies};
    /* Also what is not there has a context: a put that carries it overwrites the delete. */
    msg.err = sgn_record_is_dead(record) ? SGN_ERR_NOT_FOUND : SGN_OK;
    sgn_op_reply(engine, op, msg);
}

static void get_repair(struct sgn_engine *engine, struct sgn_op *op)
{
    if (get_form(op) == SGN_RECORD_DIGEST_ONLY || op->result_digest == 0) {
        return; /* Without bodies there is nothing to repair with. */
    }
    for (uint32_t i = 0; i < op->target_count; i++) {
        const struct sgn_target *target = &op->targets[i];
        bool own = target->node == engine->options.node;
        bool less = target->state == SGN_TARGET_OK && target->digest != op->result_digest;
        if (sgn_op_home(op, target->node) < 0 || (!less && !(own && op->u.get.own_corrupt))) {
            continue;
        }
        engine->counts.read_repairs++;
        if (own) {
            sgn_serve_merge(engine, op->full_key, sgn_buf_bytes(op->result));
        } else {
            sgn_fx_send(engine,
                        target->node,
                        NULL,
                        (struct sgn_msg){.type = SGN_MSG_REPL_PUT,
                                         .bucket = op->bucket,
                                         .key = op->key,
                                         .value = sgn_buf_bytes(op->result)});
        }
    }
}

static void get_end(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_record record;
    enum sgn_err err = sgn_record_decode(sgn_buf_bytes(op->result), get_form(op), &record);
    SGN_ASSERT(err == SGN_OK);
    get_reply(engine, op, sgn_buf_bytes(op->result), &record, sgn_op_targets_in(op, SGN_TARGET_OK));
    get_repair(engine, op);
    sgn_op_free(engine, op);
}

static void get_advance(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_get *get = &op->u.get;
    uint32_t held = sgn_op_targets_in(op, SGN_TARGET_OK);
    if (held >= op->quorum) {
        get_end(engine, op);
        return;
    }
    uint32_t waiting = sgn_op_targets_in(op, SGN_TARGET_WAITING);
    while (held + waiting < op->quorum && get->next < get->candidate_count) {
        uint32_t node = get->candidates[get->next++];
        sgn_op_add_target(engine, op, node, 0);
        waiting++;
        if (node == engine->options.node) {
            local_read(engine, op);
        } else {
            sgn_fx_send(engine,
                        node,
                        op,
                        (struct sgn_msg){.type = SGN_MSG_REPL_GET,
                                         .bucket = op->bucket,
                                         .key = op->key,
                                         .flags = get->flags & SGN_GET_HEAD_ONLY});
        }
    }
    if (waiting == 0 && sgn_op_targets_in(op, SGN_TARGET_LATE) == 0) {
        get_fail(engine,
                 op,
                 get->own_corrupt && op->quorum == 1 ? SGN_ERR_CORRUPT : SGN_ERR_UNAVAILABLE);
    }
}

static enum sgn_err get_check(struct sgn_engine *engine,
                              const struct sgn_msg *msg,
                              const struct sgn_bucket **bucket,
                              const char **why)
{
    if (!sgn_bucket_name_valid(msg->bucket) || !sgn_key_valid(msg->key)) {
        *why = "a bucket name is 1 to 63 bytes of a-z 0-9 . _ - and a key 1 to 1024 bytes";
        return SGN_ERR_INVALID;
    }
    *bucket = sgn_bucket_find(&engine->buckets, msg->bucket);
    if (*bucket == NULL) {
        return sgn_bucket_missing(engine);
    }
    if ((*bucket)->kind != SGN_BUCKET_AVAILABLE || (*bucket)->n > engine->ring->replica_count) {
        return SGN_ERR_UNSUPPORTED;
    }
    if (msg->type == SGN_MSG_GET && msg->a == SGN_READ_STRONG) {
        return SGN_ERR_NOT_STRONG; /* protocol.md 1: never silently weaker. */
    }
    if (msg->type == SGN_MSG_GET && msg->a == SGN_READ_SESSION && msg->context.count > 0) {
        *why = "reads of at least a version need an ordered bucket; this one is available";
        return SGN_ERR_NOT_STRONG;
    }
    if (msg->n > (*bucket)->n || (msg->type == SGN_MSG_GET && msg->a > SGN_READ_STRONG)) {
        *why = "more copies are asked for than the bucket keeps, or the read mode is not one";
        return SGN_ERR_INVALID;
    }
    return SGN_OK;
}

static struct sgn_op *get_op(struct sgn_engine *engine,
                             const struct sgn_event *event,
                             enum sgn_op_kind kind,
                             enum sgn_op_class op_class)
{
    const struct sgn_msg *msg = &event->msg;
    struct sgn_bytes none = sgn_bytes_of(NULL, 0);
    struct sgn_op *op = sgn_op_acquire(engine, kind, op_class);
    if (op != NULL && !sgn_op_copy(engine, op, msg->bucket, msg->key, none, none)) {
        sgn_op_free(engine, op);
        op = NULL;
    }
    if (op == NULL) {
        sgn_fx_refuse(engine, event, SGN_ERR_BUSY, "the node serves all the requests it can");
        return NULL;
    }
    op->token = event->token;
    op->u.get = (struct sgn_op_get){.flags = msg->flags};
    return op;
}

void sgn_get_request(struct sgn_engine *engine, const struct sgn_event *event)
{
    const struct sgn_bucket *bucket = NULL;
    const char *why = NULL;
    enum sgn_err err = get_check(engine, &event->msg, &bucket, &why);
    if (err != SGN_OK) {
        sgn_fx_refuse(engine, event, err, why);
        return;
    }
    struct sgn_op *op = get_op(engine, event, SGN_OP_GET, SGN_FOR_CLIENT);
    if (op == NULL) {
        return;
    }
    engine->counts.gets++;
    op->quorum = event->msg.n != 0 ? event->msg.n : bucket->r;
    sgn_op_locate(engine, op, bucket->n);
    get_candidates(engine, op);
    if (op->u.get.candidate_count < op->quorum) {
        get_fail(engine, op, SGN_ERR_UNAVAILABLE);
        return;
    }
    get_advance(engine, op);
}

void sgn_get_replica(struct sgn_engine *engine, const struct sgn_event *event)
{
    const struct sgn_bucket *bucket = NULL;
    const char *why = NULL;
    enum sgn_err err = get_check(engine, &event->msg, &bucket, &why);
    if (err != SGN_OK) {
        sgn_fx_refuse(engine, event, err, NULL);
        return;
    }
    struct sgn_op *op = get_op(engine, event, SGN_OP_REPLICA_GET, SGN_FOR_PEER);
    if (op == NULL) {
        return;
    }
    sgn_op_locate(engine, op, bucket->n);
    local_read(engine, op);
}

/* The local read has ended: `bytes` in full form, or what was folded from hints when err is OK and
 * bytes.ptr is NULL and something was found. */
static void replica_end(struct sgn_engine *engine,
                        struct sgn_op *op,
                        enum sgn_err err,
                        struct sgn_bytes bytes)
{
    struct sgn_msg msg = {.type = SGN_MSG_REPL_RECORD, .err = err, .value = bytes};
    if (err == SGN_OK && bytes.count > 0 && get_form(op) == SGN_RECORD_DIGEST_ONLY) {
        msg.err = get_fold(engine, op, bytes, SGN_RECORD_WITH_BODIES, NULL);
        msg.value = sgn_buf_bytes(op->result);
    } else if (op->u.get.local_found) {
        msg.value = sgn_buf_bytes(op->result);
    }
    op->replied = true;
    sgn_fx_reply(engine, op->token, msg);
    sgn_op_free(engine, op);
}

/* One read of a home's own record and R = 1: the answer goes out as it came. */
static bool get_short(struct sgn_engine *engine, struct sgn_op *op, struct sgn_bytes bytes)
{
    struct sgn_record record;
    if (op->quorum != 1 || op->target_count != 1 || get_form(op) == SGN_RECORD_DIGEST_ONLY ||
        sgn_record_decode(bytes, SGN_RECORD_WITH_BODIES, &record) != SGN_OK) {
        return false;
    }
    get_reply(engine, op, bytes, &record, 1);
    sgn_op_free(engine, op);
    return true;
}

/* True when all hint spaces were looked into. */
static bool hints_looked(struct sgn_engine *engine,
                         struct sgn_op *op,
                         const struct sgn_event *event)
{
    struct sgn_op_get *get = &op->u.get;
    if (event->err == SGN_OK && event->value.count > 0 &&
        get_fold(engine, op, event->value, SGN_RECORD_WITH_BODIES, NULL) == SGN_OK) {
        get->local_found = true;
    }
    if (++get->local_index < op->n) {
        local_read(engine, op);
        return false;
    }
    return true;
}

void sgn_get_loaded(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    bool home = sgn_op_home(op, engine->options.node) >= 0;
    enum sgn_err err = event->err == SGN_ERR_NOT_FOUND ? SGN_OK : (enum sgn_err)event->err;
    struct sgn_bytes bytes = event->err == SGN_OK ? event->value : sgn_bytes_of(NULL, 0);
    if (!home) {
        if (!hints_looked(engine, op, event)) {
            return;
        }
        err = op->u.get.local_found ? SGN_OK : SGN_ERR_NOT_FOUND;
        bytes = sgn_bytes_of(NULL, 0);
    }
    if (home && err == SGN_ERR_CORRUPT) {
        sgn_exchange_mend(engine, op); /* It abstains until others have given theirs (2). */
    }
    if (op->kind == SGN_OP_REPLICA_GET) {
        replica_end(engine, op, err, bytes);
        return;
    }
    struct sgn_target *own = sgn_op_target(op, engine->options.node);
    SGN_ASSERT(own != NULL && own->state == SGN_TARGET_WAITING);
    if (home && err == SGN_OK) {
        if (get_short(engine, op, bytes)) {
            return;
        }
        err = get_fold(engine, op, bytes, SGN_RECORD_WITH_BODIES, &own->digest);
    }
    own->state = err == SGN_OK ? SGN_TARGET_OK : SGN_TARGET_FAILED;
    op->u.get.own_corrupt = home && err == SGN_ERR_CORRUPT;
    get_advance(engine, op);
}

void sgn_get_answer(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    struct sgn_target *target = sgn_op_target(op, event->node);
    if (event->msg.type != SGN_MSG_REPL_RECORD || target == NULL ||
        (target->state != SGN_TARGET_WAITING && target->state != SGN_TARGET_LATE)) {
        return;
    }
    enum sgn_err err = (enum sgn_err)event->msg.err;
    if (err == SGN_OK) {
        err = get_fold(engine, op, event->msg.value, get_form(op), &target->digest);
    }
    if (err == SGN_ERR_TOO_MANY_SIBLINGS) {
        sgn_op_fail(
            engine,
            op,
            err,
            sgn_bytes_str("the concurrent values are together larger than an answer; a stat "
                          "gives their context, a put with it settles the key"));
        sgn_op_free(engine, op);
        return;
    }
    target->state = err == SGN_OK ? SGN_TARGET_OK : SGN_TARGET_FAILED;
    get_advance(engine, op);
}

/* A home's local read is always answered by the store, so the op may end only without one
 * running. */
void sgn_get_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    bool changed = sgn_op_judge_targets(engine, op);
    if (engine->now_ms >= op->deadline_ms) {
        get_fail(engine, op, SGN_ERR_TIMEOUT);
    } else if (changed) {
        get_advance(engine, op);
    }
}
