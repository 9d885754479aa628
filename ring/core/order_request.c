/* Clients' requests of ordered buckets: checked, then coordinated here, read here, or passed to a
 * node that can. Any node takes any request; one that holds no seat of the key's partition only
 * passes it on, and the request id makes a second try harmless (3.5). */
#include "ring/core/order_inner.h"

static bool node_alive(const void *user, uint32_t node)
{
    return sgn_member_alive(user, node);
}

bool sgn_order_reachable(const struct sgn_engine *engine, const struct sgn_line *line)
{
    uint32_t alive = 0;
    for (uint32_t i = 0; i < line->seat_count; i++) {
        alive |= sgn_member_alive(engine, line->seats[i].node) ? 1u << i : 0;
    }
    return sgn_line_quorum(line, alive);
}

struct sgn_bytes sgn_order_missing(struct sgn_engine *engine,
                                   const struct sgn_line *line,
                                   const char *begin)
{
    struct sgn_sink text = sgn_text(engine, begin);
    const char *comma = " node ";
    for (uint32_t i = 0; i < line->seat_count; i++) {
        if (!sgn_member_alive(engine, line->seats[i].node)) {
            sgn_text_str(&text, comma);
            sgn_text_uint(&text, line->seats[i].node);
            comma = ", ";
        }
    }
    return sgn_sink_bytes(&text);
}

bool sgn_order_fenced(struct sgn_engine *engine, const struct sgn_line *line)
{
    const struct sgn_order *order = &engine->order;
    return line->fence_count == 0 ||
           sgn_line_fenced(line, order->known, order->known_count, NULL, 0, NULL);
}

struct sgn_bytes sgn_order_fence_text(struct sgn_engine *engine, const struct sgn_line *line)
{
    const struct sgn_order *order = &engine->order;
    uint32_t missing[SGN_SEATS_MAX];
    uint32_t count = 0;
    struct sgn_sink text =
        sgn_text(engine, "an earlier witness group may still allow old reads; waiting for");
    (void)sgn_line_fenced(line, order->known, order->known_count, missing, SGN_SEATS_MAX, &count);
    for (uint32_t i = 0; i < count; i++) {
        bool witness = (missing[i] & SGN_WITNESS_BIT) != 0;
        sgn_text_str(&text, i > 0 ? ", " : " ");
        sgn_text_str(&text, witness ? "witness " : "node ");
        sgn_text_uint(&text, missing[i] & ~SGN_WITNESS_BIT);
    }
    return sgn_sink_bytes(&text);
}

uint32_t sgn_order_stranger(struct sgn_engine *engine, const struct sgn_line *line)
{
    for (uint32_t i = 0; i < engine->ring->member_count; i++) {
        uint32_t node = engine->ring->members[i].id;
        if (sgn_line_seat(line, node) < 0 && sgn_node_alive(engine, node)) {
            return node;
        }
    }
    return 0;
}

int sgn_order_down_seat(struct sgn_engine *engine, const struct sgn_line *line)
{
    for (uint32_t i = 0; i < line->seat_count; i++) {
        if (!sgn_node_alive(engine, line->seats[i].node)) {
            return (int)i;
        }
    }
    return -1;
}

struct sgn_bytes sgn_order_version(struct sgn_engine *engine, const struct sgn_version *version)
{
    struct sgn_sink sink = sgn_arena_sink(engine, SGN_VERSION_BYTES);
    sgn_version_put(&sink, version);
    return sgn_sink_bytes(&sink);
}

void sgn_order_reply_record(struct sgn_engine *engine,
                            struct sgn_op *op,
                            const struct sgn_ordered *record)
{
    struct sgn_msg msg = {.type = SGN_MSG_RESULT,
                          .err = sgn_ordered_is_dead(record) ? SGN_ERR_NOT_FOUND : SGN_OK,
                          .flags = SGN_RESULT_ORDERED,
                          .context = sgn_order_version(engine, &record->version),
                          .a = 1};
    if ((op->request_flags & SGN_GET_HEAD_ONLY) == 0) {
        msg.value = record->body;
    } else {
        msg.a = record->body_bytes;
    }
    if (op->receipt.wanted) {
        struct sgn_sink sink = sgn_arena_sink(engine, SGN_RECEIPT_BYTES);
        sgn_receipt_text(engine, op, &record->version, &sink);
        msg.items = sgn_sink_bytes(&sink);
    }
    sgn_op_reply(engine, op, msg);
}

/* --- passing on ------------------------------------------------------------------------------- */

static bool is_write(enum sgn_msg_type type)
{
    return type == SGN_MSG_PUT || type == SGN_MSG_DEL || type == SGN_MSG_RESOLVE;
}

/* The seat to ask next: for what needs one an in_sync one first, then whoever is alive. */
static uint32_t pass_target(struct sgn_engine *engine, struct sgn_op *op)
{
    const struct sgn_line *line = sgn_order_line(engine, op->partition);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < line->seat_count; i++) {
            uint32_t node = line->seats[i].node;
            bool fits = line->seats[i].state == SGN_SEAT_IN_SYNC || round == 1;
            if (fits && node != engine->options.node && sgn_member_alive(engine, node) &&
                sgn_op_target(op, node) == NULL) {
                return node;
            }
        }
    }
    return 0;
}

static void pass_fail(struct sgn_engine *engine, struct sgn_op *op)
{
    const struct sgn_op_pass *pass = &op->u.pass;
    const struct sgn_line *line = sgn_order_line(engine, op->partition);
    bool unknown = pass->is_write && pass->maybe;
    struct sgn_bytes text = sgn_bytes_of(NULL, 0);
    int err = unknown               ? SGN_ERR_UNKNOWN
              : pass->last_err != 0 ? pass->last_err
                                    : SGN_ERR_UNAVAILABLE;
    if (err == SGN_ERR_UNAVAILABLE) {
        text = sgn_order_missing(
            engine, line, "no replica that can serve this is reachable; missing:");
    } else if (err == SGN_ERR_FENCED && !sgn_order_fenced(engine, line)) {
        text = sgn_order_fence_text(engine, line);
    }
    sgn_op_fail(engine, op, (enum sgn_err)err, text);
    sgn_op_free(engine, op);
}

/* The request is taken up anew, as it came or as one that is served here. */
static void pass_retake(struct sgn_engine *engine, struct sgn_op *op, bool here)
{
    struct sgn_event event = {.type = SGN_EV_REQUEST, .token = op->token};
    event.msg = op->u.pass.msg;
    event.msg.forwarded = here;
    op->replied = true;
    sgn_order_request(engine, &event);
    sgn_op_free(engine, op);
}

static void pass_next(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_pass *pass = &op->u.pass;
    uint32_t node = pass_target(engine, op);
    if (node == 0) {
        if (sgn_op_targets_in(op, SGN_TARGET_LATE) + sgn_op_targets_in(op, SGN_TARGET_WAITING) >
            0) {
            return; /* A silent one may still answer until the deadline. */
        }
        bool stale = pass->last_err == SGN_ERR_STALE && !pass->maybe;
        if (stale && sgn_own_seat(engine, sgn_order_line(engine, op->partition)) >= 0) {
            pass_retake(engine, op, true); /* Nobody else has come to this map yet. */
        } else {
            pass_fail(engine, op);
        }
        return;
    }
    (void)sgn_op_add_target(engine, op, node, 0);
    engine->counts.forwards++;
    sgn_order_send(engine, node, op, sgn_order_line(engine, op->partition)->epoch, pass->msg);
}

static void pass_begin(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_msg *msg)
{
    op->kind = SGN_OP_PASS;
    op->u.pass = (struct sgn_op_pass){.msg = *msg, .is_write = is_write(msg->type)};
    struct sgn_msg *own = &op->u.pass.msg;
    own->forwarded = true;
    own->bucket = op->bucket;
    own->key = op->key;
    own->value = op->value;
    own->context = op->context;
    own->items = own->after = own->text = sgn_bytes_of(NULL, 0);
    op->u.pass.unborn = sgn_disk_unborn(engine);
    if (!op->u.pass.unborn) {
        pass_next(engine, op);
    }
}

static bool other_may(int err)
{
    return err == SGN_ERR_BUSY || err == SGN_ERR_UNAVAILABLE || err == SGN_ERR_TIMEOUT ||
           err == SGN_ERR_STALE || err == SGN_ERR_CORRUPT || err == SGN_ERR_DISK_FULL ||
           err == SGN_ERR_IO || err == SGN_ERR_NO_BUCKET || err == SGN_ERR_FENCED;
}

void sgn_pass_answer(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    struct sgn_op_pass *pass = &op->u.pass;
    const struct sgn_msg *msg = &event->msg;
    struct sgn_target *target = sgn_op_target(op, event->node);
    if (msg->type != SGN_MSG_RESULT || target == NULL || target->state == SGN_TARGET_FAILED) {
        return;
    }
    target->state = SGN_TARGET_FAILED;
    bool unknown = msg->err == SGN_ERR_UNKNOWN && pass->is_write;
    pass->maybe = pass->maybe || unknown;
    /* What one node refuses, another that is silent may have done: only a verdict ends that. */
    bool verdict = msg->err == SGN_OK || msg->err == SGN_ERR_CONDITION || msg->err == SGN_ERR_VOID;
    if (unknown || other_may(msg->err) || (pass->is_write && pass->maybe && !verdict)) {
        pass->last_err = msg->err;
        pass_next(engine, op);
        return;
    }
    struct sgn_msg answer = *msg;
    sgn_op_reply(engine, op, answer);
    sgn_op_free(engine, op);
}

/* A request that came before the ring began is taken up anew when it has. */
static void unborn_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    if (engine->now_ms >= op->deadline_ms) {
        sgn_op_fail(engine,
                    op,
                    SGN_ERR_UNAVAILABLE,
                    sgn_bytes_str("the ring begins when a majority of its nodes have met; "
                                  "fewer are up"));
        sgn_op_free(engine, op);
    } else if (!sgn_disk_unborn(engine)) {
        pass_retake(engine, op, false);
    }
}

void sgn_pass_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    if (op->u.pass.unborn) {
        unborn_tick(engine, op);
        return;
    }
    bool changed = sgn_op_judge_targets(engine, op);
    op->u.pass.maybe =
        op->u.pass.maybe || changed; /* It may have heard us before it fell silent. */
    if (engine->now_ms >= op->deadline_ms) {
        op->u.pass.maybe = true;
        op->u.pass.last_err = op->u.pass.last_err != 0 ? op->u.pass.last_err : SGN_ERR_TIMEOUT;
        pass_fail(engine, op);
    } else if (changed && sgn_op_targets_in(op, SGN_TARGET_WAITING) == 0) {
        pass_next(engine, op);
    }
}

/* --- requests --------------------------------------------------------------------------------- */

static enum sgn_err change_of(const struct sgn_msg *msg,
                              struct sgn_change *change,
                              const char **why)
{
    static const struct sgn_request_id none;
    *change = (struct sgn_change){.kind = msg->type == SGN_MSG_PUT   ? SGN_CHANGE_PUT
                                          : msg->type == SGN_MSG_DEL ? SGN_CHANGE_DEL
                                                                     : SGN_CHANGE_RESOLVE,
                                  .id = msg->id,
                                  .stamp = msg->stamp};
    if (memcmp(&msg->id, &none, sizeof(none)) == 0 || msg->stamp == 0) {
        *why =
            "a write to an ordered bucket carries a request id and the stamp of its first attempt";
        return SGN_ERR_INVALID;
    }
    if ((msg->flags & SGN_PUT_IF_ABSENT) != 0) {
        change->condition = SGN_IF_ABSENT;
    }
    if ((msg->flags & SGN_PUT_IF_VERSION) != 0) {
        change->condition = SGN_IF_VERSION;
        if ((msg->flags & SGN_PUT_IF_ABSENT) != 0 ||
            sgn_version_take(msg->context, &change->expect) != SGN_OK) {
            *why = "the version is not one that a read gave, or two conditions are asked for";
            return SGN_ERR_INVALID;
        }
    } else if ((msg->flags & SGN_PUT_HAS_CONTEXT) != 0) {
        *why = "ordered buckets take versions (--if-version), not causal contexts";
        return SGN_ERR_INVALID;
    }
    return SGN_OK;
}

static enum sgn_err request_check(struct sgn_engine *engine,
                                  const struct sgn_msg *msg,
                                  struct sgn_change *change,
                                  const char **why)
{
    if (!sgn_key_valid(msg->key)) {
        *why = "a key is 1 to 1024 bytes";
        return msg->key.count > SGN_KEY_BYTES_MAX ? SGN_ERR_TOO_LARGE : SGN_ERR_INVALID;
    }
    if (msg->value.count > SGN_VALUE_BYTES_MAX) {
        *why = "a value is at most 16 MiB";
        return SGN_ERR_TOO_LARGE;
    }
    if (msg->type == SGN_MSG_GET) {
        if (msg->a > SGN_READ_STRONG) {
            *why = "the read mode is not one";
            return SGN_ERR_INVALID;
        }
        return SGN_OK;
    }
    enum sgn_err err = change_of(msg, change, why);
    if (err == SGN_OK && sgn_hlc_merge(&engine->hlc, msg->stamp, engine->wall_ms) != SGN_OK) {
        *why = "the request's stamp is more than 5 s ahead of this node's clock";
        err = SGN_ERR_CLOCK;
    }
    return err;
}

/* Whether this node serves the request itself. */
static bool serves(struct sgn_engine *engine, const struct sgn_msg *msg, uint32_t partition)
{
    const struct sgn_line *line = sgn_order_line(engine, partition);
    int seat = sgn_own_seat(engine, line);
    if (seat < 0) {
        return false;
    }
    if (is_write(msg->type)) {
        /* Writers of a key meet in one queue; for speed only (3). */
        return msg->forwarded || sgn_line_preferred(line, node_alive, engine) == seat ||
               sgn_line_preferred(line, node_alive, engine) < 0;
    }
    /* One that catches up may lack much: it answers an eventual read only when no other can. */
    return msg->forwarded || line->seats[seat].state == SGN_SEAT_IN_SYNC || SGN_MUTANT(15) ||
           (msg->a == SGN_READ_EVENTUAL && sgn_line_preferred(line, node_alive, engine) < 0);
}

void sgn_order_request(struct sgn_engine *engine, const struct sgn_event *event)
{
    const struct sgn_msg *msg = &event->msg;
    const char *why = NULL;
    struct sgn_change change;
    enum sgn_err err = request_check(engine, msg, &change, &why);
    if (err != SGN_OK) {
        sgn_fx_refuse(engine, event, err, why);
        return;
    }
    struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_ROUND, SGN_FOR_CLIENT);
    if (op == NULL || !sgn_op_copy(engine, op, msg->bucket, msg->key, msg->value, msg->context)) {
        if (op != NULL) {
            op->kind = SGN_OP_PASS;
            sgn_op_free(engine, op);
        }
        sgn_fx_refuse(engine, event, SGN_ERR_BUSY, "the node serves all the requests it can");
        return;
    }
    op->token = event->token;
    op->request_flags = msg->flags;
    op->receipt.wanted = (msg->flags & SGN_GET_EXPLAIN) != 0;
    op->receipt.began_us = engine->now_us;
    op->partition = sgn_partition_of(sgn_hash(op->full_key), engine->ring->partition_count);
    if (msg->type == SGN_MSG_PUT) {
        engine->counts.puts++;
    } else if (msg->type == SGN_MSG_GET) {
        engine->counts.gets++;
    } else {
        engine->counts.deletes += msg->type == SGN_MSG_DEL;
    }
    if (!serves(engine, msg, op->partition)) {
        if (msg->forwarded && sgn_own_seat(engine, sgn_order_line(engine, op->partition)) < 0) {
            sgn_op_fail(
                engine, op, SGN_ERR_STALE, sgn_bytes_str("this node holds no replica of the key"));
            sgn_op_free(engine, op);
            return;
        }
        pass_begin(engine, op, msg);
        return;
    }
    if (msg->type == SGN_MSG_GET) {
        sgn_read_start(engine, op, msg);
        return;
    }
    op->u.round = (struct sgn_op_round){.change = change};
    op->u.round.change.body = op->value;
    if (!sgn_round_start(engine, op)) {
        sgn_op_fail(engine, op, SGN_ERR_BUSY, sgn_bytes_str("too many keys are being worked on"));
        sgn_op_free(engine, op);
    }
}
