/* What the engine takes from the store before its first step: bucket rows, leaves, hints. */
#include "ring/core/order_inner.h"

void sgn_engine_restore_bucket(struct sgn_engine *engine, struct sgn_bytes row_bytes)
{
    struct sgn_cursor cursor = sgn_cursor_of(row_bytes);
    struct sgn_bucket row;
    if (sgn_bucket_decode_next(&cursor, &row)) {
        sgn_bucket_merge(&engine->buckets, &row);
        engine->buckets_digest = sgn_bucket_table_digest(&engine->buckets);
        engine->hlc.last = row.stamp > engine->hlc.last ? row.stamp : engine->hlc.last;
    }
}

void sgn_engine_restore_leaf(struct sgn_engine *engine,
                             struct sgn_bytes tree_key,
                             struct sgn_bytes digest)
{
    struct sgn_bytes name;
    struct sgn_bytes key;
    bool ordered = digest.count == SGN_TREE_ORDERED_BYTES;
    if (tree_key.count > 10 && digest.count == 0) {
        sgn_dirty_restore_lost(engine, tree_key);
    }
    if (tree_key.count <= 10 || (digest.count != 8 && !ordered)) {
        return;
    }
    if (ordered) {
        sgn_dirty_restore(engine, tree_key, digest);
    }
    struct sgn_bytes full_key =
        sgn_bytes_of((const uint8_t *)tree_key.ptr + 10, tree_key.count - 10);
    if (!sgn_full_key_split(full_key, &name, &key)) {
        return;
    }
    const struct sgn_bucket *bucket = sgn_bucket_row(&engine->buckets, name);
    uint32_t n = bucket != NULL && bucket->n <= engine->ring->replica_count
                     ? bucket->n
                     : engine->ring->replica_count;
    sgn_tree_change(&engine->tree, sgn_hash(full_key), n, 0, sgn_get_uint(digest.ptr, 8));
}

void sgn_engine_restore_hint(struct sgn_engine *engine, struct sgn_bytes hint_key)
{
    if (hint_key.count > 4) {
        const uint8_t *raw = hint_key.ptr;
        sgn_hint_count(engine,
                       (uint32_t)raw[0] << 24 | (uint32_t)raw[1] << 16 | (uint32_t)raw[2] << 8 |
                           raw[3],
                       1);
    }
}
