/* The two trees in step while a partition is caught up (protocol.md 6.1): the source's page of
 * keys, the own tree, and what of the first is wanted. */
#include "ring/core/order_inner.h"

int sgn_walk_order(struct sgn_bytes a, struct sgn_bytes b)
{
    uint64_t left = sgn_hash(a);
    uint64_t right = sgn_hash(b);
    return left != right ? (left < right ? -1 : 1) : sgn_bytes_compare(a, b);
}

/* SGN_ERR_NOT_FOUND at the end; SGN_ERR_PROTOCOL: what the source sent makes no sense. */
enum sgn_err sgn_walk_peek(struct sgn_engine *engine,
                           const struct sgn_op *op,
                           struct sgn_walk_item *item)
{
    const struct sgn_op_catchup *catchup = &op->u.catchup;
    struct sgn_cursor cursor = sgn_cursor_of(sgn_buf_bytes(catchup->page));
    struct sgn_bytes value;
    struct sgn_bytes bucket;
    struct sgn_bytes key;
    (void)sgn_cursor_take(&cursor, catchup->page_at);
    if (!sgn_items_next(&cursor, &item->full_key, &value)) {
        return cursor.bad ? SGN_ERR_PROTOCOL : SGN_ERR_NOT_FOUND;
    }
    struct sgn_cursor at = sgn_cursor_of(value);
    item->ballot = sgn_ballot_take(&at);
    item->flags = (uint8_t)sgn_cursor_uint(&at, 1);
    item->next = catchup->page->count - cursor.left;
    bool good =
        !at.bad && sgn_full_key_split(item->full_key, &bucket, &key) &&
        sgn_bucket_name_valid(bucket) && sgn_key_valid(key) &&
        sgn_partition_of(sgn_hash(item->full_key), engine->ring->partition_count) == op->partition;
    return good ? SGN_OK : SGN_ERR_PROTOCOL;
}

/* Own tree entries up to the key are passed by; *ballot is of the key's own, if there is one.
 * False: the next page of them must come first. */
bool sgn_walk_ours(const struct sgn_op *op,
                   size_t *ours_at,
                   struct sgn_bytes full_key,
                   struct sgn_ballot *ballot)
{
    const struct sgn_op_catchup *catchup = &op->u.catchup;
    struct sgn_cursor cursor = sgn_cursor_of(sgn_buf_bytes(catchup->ours));
    struct sgn_bytes tree_key;
    struct sgn_bytes value;
    *ballot = (struct sgn_ballot){.hlc = 0};
    (void)sgn_cursor_take(&cursor, *ours_at);
    while (sgn_items_next(&cursor, &tree_key, &value)) {
        if (tree_key.count > 10) {
            int order = sgn_walk_order(
                sgn_bytes_of((const uint8_t *)tree_key.ptr + 10, tree_key.count - 10), full_key);
            if (order == 0 && value.count == SGN_TREE_ORDERED_BYTES) {
                struct sgn_cursor at =
                    sgn_cursor_of(sgn_bytes_of((const uint8_t *)value.ptr + 16, SGN_BALLOT_BYTES));
                *ballot = sgn_ballot_take(&at);
            }
            if (order >= 0) {
                return true;
            }
        }
        *ours_at = catchup->ours->count - cursor.left;
    }
    return catchup->own_end;
}

/* Whether the source's word on the key calls for its record. */
bool sgn_walk_wanted(struct sgn_engine *engine,
                     const struct sgn_walk_item *item,
                     struct sgn_ballot own)
{
    struct sgn_key_hash key = sgn_key_hash_of(item->full_key, engine->order.map.hash_seed);
    const struct sgn_cell *cell = sgn_cell_find(engine, key);
    if (sgn_ballot_is_zero(&item->ballot)) {
        return false;
    }
    if (cell != NULL && cell->state == SGN_CELL_READY && !cell->doubtful &&
        sgn_ballot_compare(&cell->durable, &own) > 0) {
        own = cell->durable; /* Newer than the page of the own tree. */
    }
    int order = sgn_ballot_compare(&item->ballot, &own);
    /* What a source holds as unsettled is so here too; a newer own record is so already, or was
     * settled and then every seat of its epoch had it. */
    return order > 0 || (order == 0 && item->flags != 0 && sgn_dirty_find(engine, key) == NULL);
}
