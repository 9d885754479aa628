/* A replica's part in a put, and records taken in on our own account. */
#include "ring/core/engine_inner.h"

void sgn_serve_put(struct sgn_engine *engine, const struct sgn_event *event)
{
    const struct sgn_msg *msg = &event->msg;
    struct sgn_record record;
    if (!sgn_bucket_name_valid(msg->bucket) || !sgn_key_valid(msg->key) ||
        sgn_record_decode(msg->value, SGN_RECORD_WITH_BODIES, &record) != SGN_OK) {
        sgn_fx_refuse(engine, event, SGN_ERR_INVALID, NULL);
        return;
    }
    /* Dead buckets too: their copies must still become equal. */
    const struct sgn_bucket *bucket = sgn_bucket_row(&engine->buckets, msg->bucket);
    if (bucket == NULL || bucket->n > engine->ring->replica_count) {
        sgn_fx_refuse(engine, event, SGN_ERR_NO_BUCKET, NULL);
        return;
    }
    struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_REPLICA_PUT, SGN_FOR_PEER);
    if (op == NULL ||
        !sgn_op_copy(engine, op, msg->bucket, msg->key, msg->value, sgn_bytes_of(NULL, 0))) {
        if (op != NULL) {
            sgn_op_free(engine, op);
        }
        sgn_fx_refuse(engine, event, SGN_ERR_BUSY, NULL);
        return;
    }
    const struct sgn_sibling *newest = sgn_record_newest(&record);
    if (newest != NULL) {
        /* So that a put coordinated here next is later than what it replaces, however far this wall
         * is behind. One from too far ahead is not believed; the record is taken all the same. */
        (void)sgn_hlc_merge(&engine->hlc, newest->hlc, engine->wall_ms);
    }
    op->token = event->token;
    op->u.flags = msg->flags;
    sgn_op_locate(engine, op, bucket->n);
    op->result_digest = sgn_record_digest(&record);
    op->quorum = 0;
    bool home = sgn_op_home(op, engine->options.node) >= 0;
    if (!home && (msg->node == 0 || sgn_op_home(op, msg->node) < 0)) {
        sgn_op_free(engine, op); /* Neither ours nor a hint for one of its homes. */
        sgn_fx_refuse(engine, event, SGN_ERR_INVALID, NULL);
        return;
    }
    sgn_write_start(engine, op, SGN_WRITE_MERGE, home ? 0 : msg->node);
}

void sgn_serve_put_written(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_msg answer = {.type = SGN_MSG_REPL_ACK, .err = op->write.err};
    if (answer.err == SGN_OK && (op->u.flags & SGN_REPL_WANT_BACK) != 0 &&
        !sgn_bytes_equal(sgn_buf_bytes(op->result), op->value)) {
        answer.value = sgn_buf_bytes(op->result);
        answer.flags = SGN_REPL_WANT_BACK;
    }
    op->replied = true;
    sgn_fx_reply(engine, op->token, answer);
    sgn_op_free(engine, op);
}

void sgn_serve_merge(struct sgn_engine *engine, struct sgn_bytes full_key, struct sgn_bytes record)
{
    struct sgn_bytes name;
    struct sgn_bytes key;
    if (!sgn_full_key_split(full_key, &name, &key)) {
        return;
    }
    const struct sgn_bucket *bucket = sgn_bucket_row(&engine->buckets, name);
    if (bucket == NULL || bucket->n > engine->ring->replica_count) {
        return;
    }
    struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_MERGE, SGN_FOR_BACKGROUND);
    if (op == NULL) {
        return;
    }
    op->replied = true;
    if (!sgn_op_copy_full(engine, op, full_key, record)) {
        sgn_op_free(engine, op);
        return;
    }
    sgn_op_locate(engine, op, bucket->n);
    if (sgn_op_home(op, engine->options.node) < 0) {
        sgn_op_free(engine, op);
        return;
    }
    sgn_write_start(engine, op, SGN_WRITE_MERGE, 0);
}
