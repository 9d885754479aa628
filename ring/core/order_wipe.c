/* Of a partition that this node has left (protocol.md 6.2) what is not settled is wiped from the
 * disk. Forgotten only, it would pass for settled, and what is pending for committed, should the
 * node come back. What is settled may stay: every seat that is in_sync holds as much. */
#include "ring/core/order_inner.h"

bool sgn_wipe(struct sgn_engine *engine, struct sgn_bytes full_key)
{
    struct sgn_op *op = sgn_accept_op(engine, full_key, sgn_bytes_of(NULL, 0), SGN_FOR_BACKGROUND);
    if (op == NULL) {
        return false;
    }
    op->u.cell.type = SGN_CELL_WIPE;
    struct sgn_cell *cell = sgn_accept_cell(engine, op);
    if (sgn_cell_wait(engine, cell, op, false)) {
        sgn_accept_run(engine, op);
    }
    return true;
}

void sgn_wipe_run(struct sgn_engine *engine, struct sgn_op *op, struct sgn_cell *cell)
{
    if (sgn_own_seat(engine, sgn_order_line(engine, op->partition)) >= 0 || cell->storing > 0 ||
        sgn_dirty_find(engine, cell->hash) == NULL) {
        sgn_accept_end(engine, op, SGN_OK);
        return;
    }
    struct sgn_effect *effect = sgn_fx_push(engine, SGN_FX_STORE);
    effect->token = sgn_op_token(engine, op);
    effect->writes[0] =
        (struct sgn_store_write){.family = SGN_FAMILY_DATA, .is_delete = true, .key = op->full_key};
    effect->writes[1] = (struct sgn_store_write){
        .family = SGN_FAMILY_TREE, .is_delete = true, .key = sgn_tree_key(engine, op->full_key)};
    effect->write_count = 2;
    op->u.cell.ballot = cell->accepted;
    op->u.cell.stored = true;
    cell->storing++;
}

/* The disk holds nothing of the key, unless something came behind the deletion. */
void sgn_wipe_stored(struct sgn_engine *engine, struct sgn_op *op, struct sgn_cell *cell)
{
    struct sgn_dirty *entry = sgn_dirty_find(engine, cell->hash);
    sgn_tree_change(&engine->tree, cell->hash.hash, engine->ring->replica_count, cell->digest, 0);
    cell->digest = 0;
    if (cell->storing == 0 && sgn_ballot_compare(&cell->accepted, &op->u.cell.ballot) == 0) {
        cell->accepted = cell->committed = cell->durable = (struct sgn_ballot){.hlc = 0};
        cell->sequence = 0;
        cell->corrupt = false;
        sgn_buf_drop(engine, &cell->record);
        sgn_buf_drop(engine, &cell->shadow);
        cell->shadow_known = false;
        if (entry != NULL) {
            sgn_dirty_drop(engine, entry);
        }
    }
    sgn_accept_end(engine, op, SGN_OK);
}
