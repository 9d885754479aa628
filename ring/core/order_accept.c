/* The acceptor: what a replica promises, accepts and knows of one key (protocol.md 3.1, 3.4, 3.6).
 *
 *   PREPARE   promised, if the ballot is above what was promised
 *   ACCEPT    the record goes to the disk as pending, then the answer
 *   COMMIT    what is pending is chosen; nothing is written
 *   REPL_PUT  a committed record of elsewhere (repair, catching up): upward only */
#include "ring/core/order_inner.h"

void sgn_order_send(struct sgn_engine *engine,
                    uint32_t node,
                    const struct sgn_op *op,
                    uint32_t epoch,
                    struct sgn_msg msg)
{
    sgn_fx_send(engine, node, op, msg);
    engine->fx->list[engine->fx->count - 1].msg.epoch = epoch;
}

/* Answers whoever asked, the round of this node, the catch-up that fetched, or nobody. */
static void accept_reply(struct sgn_engine *engine,
                         struct sgn_op *op,
                         int err,
                         struct sgn_bytes value)
{
    struct sgn_op_cell *part = &op->u.cell;
    if (op->replied) {
        return;
    }
    op->replied = true;
    if (part->parent != SGN_NONE) {
        struct sgn_op *parent = sgn_op_at(engine, part->parent, part->parent_generation);
        if (parent != NULL && parent->kind == SGN_OP_ROUND) {
            sgn_round_own(engine, parent, err, part->marked);
        } else if (parent != NULL && parent->kind == SGN_OP_FLOOR) {
            sgn_sweep_dropped(engine, parent, err);
        } else if (parent != NULL) {
            sgn_catchup_taken(engine, parent, err);
        }
        return;
    }
    if (op->token == 0) {
        return;
    }
    const struct sgn_cell *cell = sgn_accept_cell(engine, op);
    struct sgn_msg msg = {.type = sgn_msg_answer_to(part->type), .err = err, .value = value};
    if (msg.type == SGN_MSG_STATE) {
        struct sgn_sink sink = sgn_arena_sink(engine, 3 * SGN_BALLOT_BYTES);
        struct sgn_ballot promised = sgn_cell_promised(engine, cell);
        /* A digest tells what is durable: nothing else may be counted as accepted (5.3). */
        sgn_ballot_put(&sink, part->type == SGN_MSG_DIGEST ? &cell->durable : &promised);
        sgn_ballot_put(&sink, &cell->accepted);
        sgn_ballot_put(&sink, &cell->committed);
        msg.context = sgn_sink_bytes(&sink);
        msg.a = engine->order.map.version;
        msg.b = part->marked;
    }
    sgn_fx_reply(engine, op->token, msg);
    engine->fx->list[engine->fx->count - 1].msg.epoch =
        sgn_order_line(engine, op->partition)->epoch;
}

void sgn_accept_end(struct sgn_engine *engine, struct sgn_op *op, int err)
{
    struct sgn_cell *cell = sgn_accept_cell(engine, op);
    accept_reply(engine, op, err, sgn_bytes_of(NULL, 0));
    sgn_op_free(engine, op);
    sgn_cell_unpin(engine, cell);
}

bool sgn_ballot_readable(struct sgn_engine *engine, const struct sgn_ballot *ballot)
{
    return sgn_hlc_merge(&engine->hlc, ballot->hlc, engine->wall_ms) == SGN_OK; /* 2 */
}

/* Fills u.cell from the message. */
static enum sgn_err accept_read(struct sgn_engine *engine,
                                const struct sgn_msg *msg,
                                struct sgn_op_cell *part)
{
    *part = (struct sgn_op_cell){.type = (uint8_t)msg->type,
                                 .epoch = msg->epoch,
                                 .parent = SGN_NONE,
                                 .want_record = (msg->flags & SGN_WANT_RECORD) != 0,
                                 .want_back = (msg->flags & SGN_REPL_WANT_BACK) != 0,
                                 .commit = msg->type == SGN_MSG_REPL_PUT};
    if (!sgn_bucket_name_valid(msg->bucket) || !sgn_key_valid(msg->key)) {
        return SGN_ERR_INVALID;
    }
    if (msg->type == SGN_MSG_DIGEST) {
        return SGN_OK;
    }
    if (msg->type == SGN_MSG_PREPARE) {
        struct sgn_cursor cursor = sgn_cursor_of(msg->context);
        part->ballot = sgn_ballot_take(&cursor);
        part->have = sgn_ballot_take(&cursor);
        if (cursor.bad || sgn_ballot_is_zero(&part->ballot)) {
            return SGN_ERR_INVALID;
        }
    } else {
        struct sgn_ordered record;
        if (msg->value.count == 0 || sgn_ordered_decode(msg->value, true, &record) != SGN_OK ||
            sgn_ballot_is_zero(&record.ballot)) {
            return SGN_ERR_INVALID;
        }
        part->ballot = record.ballot;
    }
    return sgn_ballot_readable(engine, &part->ballot) ? SGN_OK : SGN_ERR_CLOCK;
}

/* Takes the op's record, if any, into a buffer with room for the sequence number. */
static bool accept_keep_record(struct sgn_engine *engine,
                               struct sgn_op *op,
                               struct sgn_bytes record)
{
    if (record.count == 0) {
        return true;
    }
    op->result = sgn_buf_get(engine, SGN_CELL_PREFIX + record.count);
    if (op->result != NULL) {
        memcpy(op->result->bytes + SGN_CELL_PREFIX, record.ptr, record.count);
    }
    return op->result != NULL;
}

/* An op at its cell; NULL when there is no room. */
struct sgn_op *sgn_accept_op(struct sgn_engine *engine,
                             struct sgn_bytes full_key,
                             struct sgn_bytes record,
                             enum sgn_op_class op_class)
{
    struct sgn_op *op = sgn_op_acquire(engine, SGN_OP_CELL, op_class);
    if (op == NULL) {
        return NULL;
    }
    struct sgn_cell *cell = NULL;
    if (sgn_op_copy_full(engine, op, full_key, sgn_bytes_of(NULL, 0)) &&
        accept_keep_record(engine, op, record)) {
        cell = sgn_cell_get(engine, op->full_key);
    }
    if (cell == NULL) {
        sgn_op_free(engine, op);
        return NULL;
    }
    sgn_cell_pin(cell);
    op->partition = cell->partition;
    op->u.cell.cell = sgn_cell_index(engine, cell);
    op->u.cell.parent = SGN_NONE;
    return op;
}

void sgn_accept_request(struct sgn_engine *engine, const struct sgn_event *event)
{
    const struct sgn_msg *msg = &event->msg;
    struct sgn_op_cell part;
    enum sgn_err err = accept_read(engine, msg, &part);
    if (err != SGN_OK) {
        sgn_fx_refuse(engine, event, err, NULL);
        return;
    }
    struct sgn_sink sink = sgn_arena_sink(engine, msg->bucket.count + 1 + msg->key.count);
    sgn_full_key_encode(msg->bucket, msg->key, &sink);
    struct sgn_op *op = sgn_accept_op(engine, sgn_sink_bytes(&sink), msg->value, SGN_FOR_PEER);
    if (op == NULL) {
        sgn_fx_refuse(engine, event, SGN_ERR_BUSY, NULL);
        return;
    }
    part.cell = op->u.cell.cell;
    part.from = event->node;
    op->u.cell = part;
    op->token = event->token;
    struct sgn_cell *cell = sgn_accept_cell(engine, op);
    if (sgn_cell_wait(engine, cell, op, part.want_record)) {
        sgn_accept_run(engine, op);
    }
}

/* 3.1.2, 3.4 */
static void run_prepare(struct sgn_engine *engine, struct sgn_op *op, struct sgn_cell *cell)
{
    struct sgn_op_cell *part = &op->u.cell;
    struct sgn_ballot promised = sgn_cell_promised(engine, cell);
    if (sgn_cell_abstains(engine, cell)) {
        sgn_accept_end(engine, op, cell->corrupt ? SGN_ERR_CORRUPT : SGN_ERR_BUSY);
        return;
    }
    if (sgn_ballot_compare(&part->ballot, &promised) <= 0) {
        sgn_accept_end(engine, op, SGN_ERR_NACK);
        return;
    }
    bool travels = sgn_ballot_compare(&cell->accepted, &part->have) > 0;
    if (travels && !sgn_cell_wait(engine, cell, op, true)) {
        return;
    }
    if (travels && cell->record == NULL) {
        sgn_accept_end(engine, op, SGN_ERR_BUSY);
        return;
    }
    part->waits_ceiling = !sgn_ceiling_allows(engine, part->ballot.hlc);
    if (part->waits_ceiling) {
        return; /* Its tick comes back when the ceiling is up. */
    }
    sgn_cell_promise(cell, &part->ballot);
    accept_reply(
        engine, op, SGN_OK, travels ? sgn_cell_bytes(cell->record) : sgn_bytes_of(NULL, 0));
    sgn_accept_end(engine, op, SGN_OK);
}

static void run_digest(struct sgn_engine *engine, struct sgn_op *op, struct sgn_cell *cell)
{
    struct sgn_bytes value = sgn_bytes_of(NULL, 0);
    if (sgn_cell_abstains(engine, cell)) {
        sgn_accept_end(engine, op, cell->corrupt ? SGN_ERR_CORRUPT : SGN_ERR_BUSY);
        return;
    }
    if (op->u.cell.want_record) {
        value = sgn_cell_bytes(cell->record);
    }
    accept_reply(engine, op, SGN_OK, value);
    sgn_accept_end(engine, op, SGN_OK);
}

/* The committed record stays readable while a newer one is pending. */
static void cell_keep_shadow(struct sgn_engine *engine, struct sgn_cell *cell)
{
    if (sgn_cell_pending(cell)) {
        return; /* The shadow, if any, is of before. */
    }
    sgn_buf_drop(engine, &cell->shadow);
    cell->shadow_known =
        !cell->corrupt && (cell->record != NULL || sgn_ballot_is_zero(&cell->accepted));
    cell->shadow = sgn_buf_keep(cell->record);
}

static void store_push(struct sgn_engine *engine,
                       struct sgn_op *op,
                       struct sgn_cell *cell,
                       const struct sgn_ordered *record)
{
    struct sgn_effect *effect = sgn_fx_push(engine, SGN_FX_STORE);
    struct sgn_sink leaf = sgn_arena_sink(engine, SGN_TREE_ORDERED_BYTES);
    struct sgn_leaf entry = {.digest = op->result_digest,
                             .sequence = cell->sequence,
                             .ballot = record->ballot,
                             .dead = sgn_ordered_is_dead(record),
                             .stamp = record->ops_floor};
    for (uint32_t i = 0; i < record->op_count; i++) {
        entry.stamp = record->ops[i].stamp > entry.stamp ? record->ops[i].stamp : entry.stamp;
    }
    sgn_leaf_put(&leaf, &entry);
    effect->token = sgn_op_token(engine, op);
    effect->writes[0] = (struct sgn_store_write){
        .family = SGN_FAMILY_DATA, .key = op->full_key, .value = sgn_buf_bytes(op->result)};
    effect->writes[1] = (struct sgn_store_write){.family = SGN_FAMILY_TREE,
                                                 .key = sgn_tree_key(engine, op->full_key),
                                                 .value = sgn_sink_bytes(&leaf)};
    effect->write_count = 2;
    sgn_watermark_push(engine, effect);
}

/* Accepts op->result at u.cell.ballot: memory first, the answer when it is durable. */
static void accept_store(struct sgn_engine *engine, struct sgn_op *op, struct sgn_cell *cell)
{
    struct sgn_op_cell *part = &op->u.cell;
    struct sgn_ordered record;
    enum sgn_err err = sgn_ordered_decode(sgn_cell_bytes(op->result), true, &record);
    SGN_ASSERT(err == SGN_OK);
    cell_keep_shadow(engine, cell);
    cell->accepted = part->ballot;
    sgn_cell_promise(cell, &part->ballot);
    cell->sequence = ++engine->order.sequence;
    cell->at_floor = false;
    struct sgn_sink prefix = sgn_sink_of(op->result->bytes, SGN_CELL_PREFIX);
    sgn_sink_uint(&prefix, cell->sequence, SGN_CELL_PREFIX);
    sgn_buf_drop(engine, &cell->record);
    cell->record = sgn_buf_keep(op->result);
    op->result_digest = sgn_ordered_digest(&record);
    /* Pending, committed or not, until it is durable: what is not pending may be read from the
     * disk, and there something older lies, of which nothing is known. */
    sgn_dirty_accept(engine, cell->hash, cell->partition, &part->ballot, cell->sequence, true);
    if (part->commit) {
        cell->committed = part->ballot;
        sgn_buf_drop(engine, &cell->shadow);
        cell->shadow_known = false;
    }
    cell->storing++;
    part->stored = true;
    store_push(engine, op, cell, &record);
    if (SGN_MUTANT(9)) {
        accept_reply(engine, op, SGN_OK, sgn_bytes_of(NULL, 0));
    }
}

/* Already accepted: durable, or another op's store is about to make it so. */
static void accept_again(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_cell *cell)
{
    sgn_accept_end(engine, op, cell->storing == 0 ? SGN_OK : SGN_ERR_BUSY);
}

/* 3.1.5 */
static void run_accept(struct sgn_engine *engine, struct sgn_op *op, struct sgn_cell *cell)
{
    struct sgn_op_cell *part = &op->u.cell;
    struct sgn_ballot promised = sgn_cell_promised(engine, cell);
    /* The promise first: a record that was copied here by catching up, below a promise given since,
     * is no vote for its ballot. */
    if (sgn_ballot_compare(&part->ballot, &promised) < 0) {
        sgn_accept_end(engine, op, SGN_ERR_NACK);
    } else if (!cell->corrupt && sgn_ballot_compare(&part->ballot, &cell->accepted) == 0) {
        accept_again(engine, op, cell);
    } else if (!sgn_dirty_room_for(engine, cell->hash)) {
        sgn_accept_end(engine, op, SGN_ERR_BUSY);
    } else {
        part->waits_ceiling = !sgn_ceiling_allows(engine, part->ballot.hlc);
        if (!part->waits_ceiling) {
            sgn_carry_mark(engine, op, cell);
            accept_store(engine, op, cell);
        }
    }
}

void sgn_cell_commit(struct sgn_engine *engine, struct sgn_cell *cell, bool settled)
{
    struct sgn_dirty *entry = sgn_dirty_find(engine, cell->hash);
    cell->committed = cell->accepted;
    if (sgn_ballot_compare(&cell->durable, &cell->accepted) != 0) {
        /* sgn_accept_stored goes on; should the store fail, the disk holds another record. */
        return;
    }
    sgn_buf_drop(engine, &cell->shadow);
    cell->shadow_known = false;
    if (entry != NULL && sgn_ballot_compare(&entry->ballot, &cell->accepted) <= 0) {
        sgn_dirty_committed(engine, entry);
        if (settled) {
            sgn_dirty_drop(engine, entry);
        }
    }
    if (cell->state == SGN_CELL_READY && cell->wait_head != SGN_NONE) {
        sgn_cell_resume(engine, cell);
    }
}

/* A committed record: upward only (9). What is behind it stays; what is equal is now known
 * chosen. */
static void run_take(struct sgn_engine *engine, struct sgn_op *op, struct sgn_cell *cell)
{
    struct sgn_op_cell *part = &op->u.cell;
    int order = sgn_ballot_compare(&part->ballot, &cell->accepted);
    bool known = sgn_dirty_find(engine, cell->hash) != NULL;
    if (!SGN_MUTANT(27)) {
        sgn_cell_promise(cell, &part->ballot); /* 3.6 */
    }
    if (cell->corrupt) {
        sgn_accept_end(
            engine, op, SGN_ERR_CORRUPT); /* 2: one source does not repair it, a round does. */
        return;
    }
    if (order < 0) {
        bool back = part->want_back && !sgn_cell_pending(cell) && cell->record != NULL;
        int err = cell->storing == 0 ? SGN_OK : SGN_ERR_BUSY;
        accept_reply(engine, op, err, back ? sgn_cell_bytes(cell->record) : sgn_bytes_of(NULL, 0));
        sgn_accept_end(engine, op, err);
        return;
    }
    if (order == 0) {
        if (part->commit) {
            sgn_cell_commit(engine, cell, false);
        }
        /* What a source holds as unsettled, or as pending, is so here as well (2, 6.1); with a new
         * sequence number, so that a restart does not forget it. */
        if (!part->unsettled || known || cell->storing > 0) {
            accept_again(engine, op, cell);
            return;
        }
    }
    if (!known && !sgn_dirty_room_for(engine, cell->hash)) {
        sgn_accept_end(engine, op, SGN_ERR_BUSY); /* It comes again. */
        return;
    }
    part->waits_ceiling = !sgn_ceiling_allows(engine, part->ballot.hlc);
    if (!part->waits_ceiling) {
        accept_store(engine, op, cell);
    }
}

void sgn_accept_run(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_cell *cell = sgn_accept_cell(engine, op);
    const struct sgn_line *line = sgn_order_line(engine, op->partition);
    enum sgn_msg_type type = (enum sgn_msg_type)op->u.cell.type;
    if (cell->doubtful) {
        sgn_accept_end(engine, op, cell->load_err != SGN_OK ? cell->load_err : SGN_ERR_BUSY);
        return;
    }
    if (op->u.cell.type == SGN_CELL_WIPE) {
        sgn_wipe_run(engine, op, cell);
        return;
    }
    if (type == SGN_MSG_COMMITS) {
        sgn_cell_take_commit(engine, cell, &op->u.cell.ballot, op->u.cell.settled);
        sgn_accept_end(engine, op, SGN_OK);
        return;
    }
    int seat = sgn_own_seat(engine, line);
    bool in_sync = seat >= 0 && line->seats[seat].state == SGN_SEAT_IN_SYNC;
    bool fetched = op->u.cell.parent != SGN_NONE;
    bool old = seat < 0 || op->u.cell.epoch != line->epoch ||
               (!fetched && op->u.cell.ballot.hlc <= line->floor);
    if (type == SGN_MSG_REPL_PUT && !in_sync && old) {
        /* 3.7: one sent long ago may hold what was deleted and forgotten since, and only an in_sync
         * seat reads absent as deleted; catching up brings what is still there. That it was chosen
         * is true all the same (3.6). */
        if (!SGN_MUTANT(27)) {
            sgn_cell_promise(cell, &op->u.cell.ballot);
        }
        sgn_accept_end(engine, op, SGN_ERR_STALE);
        return;
    }
    if (type == SGN_MSG_REPL_PUT) {
        run_take(engine, op, cell);
        return;
    }
    if (type == SGN_MSG_FLOOR) {
        sgn_drop_run(engine, op, cell);
        return;
    }
    bool accepts = type == SGN_MSG_ACCEPT;
    /* 6: only seats vote, and only in the epoch they are in. */
    if ((op->u.cell.epoch != line->epoch && !(accepts && SGN_MUTANT(12))) ||
        (seat < 0 && !SGN_MUTANT(19))) {
        sgn_accept_end(engine, op, SGN_ERR_STALE);
        return;
    }
    if (type == SGN_MSG_PREPARE) {
        run_prepare(engine, op, cell);
    } else if (accepts) {
        run_accept(engine, op, cell);
    } else {
        run_digest(engine, op, cell);
    }
}

void sgn_accept_stored(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event)
{
    struct sgn_cell *cell = sgn_accept_cell(engine, op);
    SGN_ASSERT(cell->storing > 0);
    cell->storing--;
    cell->wiping = cell->wiping && op->u.cell.type != SGN_CELL_WIPE;
    if (event->err != SGN_OK) {
        /* Whether it is on the disk, only the disk knows; look before anything else is done. */
        cell->doubtful = true;
        sgn_dirty_unsure(engine, cell->hash);
        sgn_accept_end(engine, op, event->err);
        return;
    }
    if (op->u.cell.type == SGN_MSG_FLOOR) {
        sgn_drop_stored(engine, op, cell);
        return;
    }
    if (op->u.cell.type == SGN_CELL_WIPE) {
        sgn_wipe_stored(engine, op, cell);
        return;
    }
    cell->corrupt = false;
    sgn_tree_change(&engine->tree,
                    cell->hash.hash,
                    engine->ring->replica_count,
                    cell->digest,
                    op->result_digest);
    cell->digest = op->result_digest;
    sgn_dirty_durable(engine, cell->hash, sgn_get_uint(op->result->bytes, SGN_CELL_PREFIX));
    if (sgn_ballot_compare(&op->u.cell.ballot, &cell->durable) > 0) {
        cell->durable = op->u.cell.ballot;
    }
    if (!cell->doubtful && !sgn_cell_pending(cell)) {
        sgn_cell_commit(engine, cell, false); /* Its commit came before. */
    }
    /* 6: an epoch may have come while it was being stored. A page for one that catches up (6.1)
     * may have been read from the disk before, so this must not count as a vote of the epoch
     * that was. */
    bool overtaken = op->u.cell.type == SGN_MSG_ACCEPT &&
                     op->u.cell.epoch != sgn_order_line(engine, op->partition)->epoch;
    sgn_accept_end(engine, op, overtaken && !SGN_MUTANT(12) ? SGN_ERR_STALE : SGN_OK);
}
