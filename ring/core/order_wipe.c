/* What a node must not keep of a partition (protocol.md 6.2), one key at a time at its cell.
 *
 * Where it has no seat any more, everything: key by key what is not settled (order_resolve.c), for
 * forgotten only it would pass for settled, and what is pending for committed, should the node come
 * back; then the rest (order_sweep.c).
 *
 * Where it is a newcomer, what it holds at or below the floor from an earlier time, before it
 * catches up: a tombstone that the others have dropped may have deleted it (3.7). Till then the
 * node says nothing of such a key, since a majority may hold nothing that would outvote it. */
#include "ring/core/order_inner.h"

#define PURGED_ITEM_BYTES 12u /* u32 partition, u64 floor */

void sgn_purged_store(struct sgn_engine *engine, const struct sgn_op *sweep)
{
    const struct sgn_order *order = &engine->order;
    const struct sgn_map *map = &order->map;
    struct sgn_sink sink = sgn_arena_sink(engine, SGN_PURGED_MAX * PURGED_ITEM_BYTES);
    sgn_sink_uint(&sink, sweep->partition, 4);
    sgn_sink_uint(&sink, sweep->u.floor.floor, 8);
    for (uint32_t p = 0; p < map->partition_count; p++) {
        if (order->purged[p] != 0 && p != sweep->partition) {
            sgn_sink_uint(&sink, p, 4);
            sgn_sink_uint(&sink, order->purged[p], 8);
        }
    }
    SGN_ASSERT(!sink.full); /* No more are begun (order_sweep.c). */
    struct sgn_effect *effect = sgn_fx_push(engine, SGN_FX_STORE);
    effect->token = sgn_op_token(engine, sweep);
    effect->write_count = 1;
    effect->writes[0] = (struct sgn_store_write){
        .family = SGN_FAMILY_META, .key = sgn_bytes_str("purged"), .value = sgn_sink_bytes(&sink)};
}

enum sgn_err sgn_purged_restore(struct sgn_engine *engine, struct sgn_bytes value)
{
    struct sgn_cursor cursor = sgn_cursor_of(value);
    while (!cursor.bad && cursor.left > 0) {
        uint64_t partition = sgn_cursor_uint(&cursor, 4);
        uint64_t floor = sgn_cursor_uint(&cursor, 8);
        if (cursor.bad || partition >= engine->ring->partition_count) {
            return SGN_ERR_CORRUPT;
        }
        engine->order.purged[partition] = floor;
    }
    return SGN_OK;
}

bool sgn_purge_wanted(const struct sgn_engine *engine, uint32_t partition)
{
    const struct sgn_order *order = &engine->order;
    const struct sgn_line *line = &order->map.lines[partition];
    int seat = sgn_own_seat(engine, line);
    return sgn_line_newcomer(line, seat) && line->seats[seat].state != SGN_SEAT_IN_SYNC &&
           line->floor > order->purged[partition] && !SGN_MUTANT(37);
}

bool sgn_cell_abstains(const struct sgn_engine *engine, const struct sgn_cell *cell)
{
    return cell->corrupt || (!sgn_ballot_is_zero(&cell->accepted) &&
                             cell->accepted.hlc <= engine->order.map.lines[cell->partition].floor &&
                             sgn_purge_wanted(engine, cell->partition));
}

void sgn_cell_erase(struct sgn_engine *engine, struct sgn_op *op, struct sgn_cell *cell)
{
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

/* The map may be another than when it was asked for. */
static bool is_to_go(struct sgn_engine *engine,
                     const struct sgn_op *op,
                     const struct sgn_cell *cell)
{
    const struct sgn_line *line = sgn_order_line(engine, op->partition);
    bool swept = op->u.cell.parent != SGN_NONE;
    if (sgn_own_seat(engine, line) < 0) {
        return swept || sgn_dirty_find(engine, cell->hash) != NULL;
    }
    return swept && sgn_purge_wanted(engine, op->partition) && cell->accepted.hlc <= line->floor;
}

void sgn_wipe_run(struct sgn_engine *engine, struct sgn_op *op, struct sgn_cell *cell)
{
    bool seated = sgn_own_seat(engine, sgn_order_line(engine, op->partition)) >= 0;
    if (cell->storing > 0 || (seated && cell->corrupt)) { /* Which may be a vote of this epoch. */
        sgn_accept_end(engine, op, SGN_ERR_BUSY);
        return;
    }
    if (!is_to_go(engine, op, cell)) {
        sgn_accept_end(engine, op, SGN_OK);
        return;
    }
    sgn_cell_erase(engine, op, cell);
    cell->wiping = true;
}

/* A deletion begun without a seat may land when this node is a newcomer: before that the own tree
 * still shows what is about to go. */
bool sgn_wipe_under_way(const struct sgn_engine *engine, uint32_t partition)
{
    const struct sgn_order *order = &engine->order;
    bool any = false;
    for (uint32_t i = 0; i < order->cell_high && !any; i++) {
        any = order->cells[i].wiping && order->cells[i].partition == partition;
    }
    return any;
}

/* The disk holds nothing of the key, unless something came behind the deletion. */
void sgn_wipe_stored(struct sgn_engine *engine, struct sgn_op *op, struct sgn_cell *cell)
{
    struct sgn_dirty *entry = sgn_dirty_find(engine, cell->hash);
    engine->counts.records_wiped++;
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
