#include "ring/core/bucket.h"

#include "ring/core/check.h"
#include "ring/core/key.h"

static struct sgn_bytes row_name(const struct sgn_bucket *row)
{
    return sgn_bytes_str(row->name);
}

/* Index of the name, or where it would be. */
static uint32_t table_place(const struct sgn_bucket_table *table,
                            struct sgn_bytes name,
                            bool *there)
{
    uint32_t low = 0;
    uint32_t high = table->count;
    *there = false;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = sgn_bytes_compare(row_name(&table->rows[middle]), name);
        if (order == 0) {
            *there = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void sgn_bucket_table_init(struct sgn_bucket_table *table, uint32_t replica_count)
{
    SGN_ASSERT(replica_count >= 1 && replica_count <= SGN_REPLICAS_MAX);
    memset(table, 0, sizeof(*table));
    table->count = 1;
    struct sgn_bucket *row = &table->rows[0];
    memcpy(row->name, "default", sizeof("default"));
    row->kind = SGN_BUCKET_ORDERED;
    row->n = (uint8_t)replica_count;
    row->r = row->w = (uint8_t)(replica_count / 2 + 1);
}

const struct sgn_bucket *sgn_bucket_row(const struct sgn_bucket_table *table, struct sgn_bytes name)
{
    bool there;
    uint32_t place = table_place(table, name, &there);
    return there ? &table->rows[place] : NULL;
}

const struct sgn_bucket *sgn_bucket_find(const struct sgn_bucket_table *table,
                                         struct sgn_bytes name)
{
    const struct sgn_bucket *row = sgn_bucket_row(table, name);
    return row != NULL && !row->dead ? row : NULL;
}

/* (stamp, node), and behind it everything else: two rows that differ are never equal in order, or
 * two tables could keep one each for ever. */
static int row_order(const struct sgn_bucket *a, const struct sgn_bucket *b)
{
    if (a->stamp != b->stamp) {
        return a->stamp < b->stamp ? -1 : 1;
    }
    if (a->node != b->node) {
        return a->node < b->node ? -1 : 1;
    }
    const uint8_t left[5] = {a->dead, a->kind, a->n, a->r, a->w};
    const uint8_t right[5] = {b->dead, b->kind, b->n, b->r, b->w};
    return memcmp(left, right, sizeof(left));
}

bool sgn_bucket_merge(struct sgn_bucket_table *table, const struct sgn_bucket *row)
{
    bool there;
    uint32_t place = table_place(table, row_name(row), &there);
    if (there) {
        if (row_order(&table->rows[place], row) >= 0) {
            return false;
        }
        table->rows[place] = *row;
        return true;
    }
    if (table->count == SGN_BUCKETS_MAX) {
        return false;
    }
    memmove(&table->rows[place + 1],
            &table->rows[place],
            (table->count - place) * sizeof(table->rows[0]));
    table->rows[place] = *row;
    table->count++;
    return true;
}

void sgn_bucket_encode(const struct sgn_bucket *row, struct sgn_sink *sink)
{
    struct sgn_bytes name = row_name(row);
    sgn_sink_uint(sink, name.count, 1);
    sgn_sink_put(sink, name.ptr, name.count);
    sgn_sink_uint(sink, row->kind, 1);
    sgn_sink_uint(sink, row->n, 1);
    sgn_sink_uint(sink, row->r, 1);
    sgn_sink_uint(sink, row->w, 1);
    sgn_sink_uint(sink, row->dead ? 1 : 0, 1);
    sgn_sink_uint(sink, row->stamp, 8);
    sgn_sink_uint(sink, row->node, 4);
}

bool sgn_bucket_decode_next(struct sgn_cursor *cursor, struct sgn_bucket *row)
{
    if (cursor->bad || cursor->left == 0) {
        return false;
    }
    memset(row, 0, sizeof(*row));
    struct sgn_bytes name = sgn_cursor_take(cursor, sgn_cursor_uint(cursor, 1));
    row->kind = (uint8_t)sgn_cursor_uint(cursor, 1);
    row->n = (uint8_t)sgn_cursor_uint(cursor, 1);
    row->r = (uint8_t)sgn_cursor_uint(cursor, 1);
    row->w = (uint8_t)sgn_cursor_uint(cursor, 1);
    uint64_t dead = sgn_cursor_uint(cursor, 1);
    row->dead = dead == 1;
    row->stamp = sgn_cursor_uint(cursor, 8);
    row->node = (uint32_t)sgn_cursor_uint(cursor, 4);
    if (cursor->bad || !sgn_bucket_name_valid(name) || dead > 1 ||
        (row->kind != SGN_BUCKET_AVAILABLE && row->kind != SGN_BUCKET_ORDERED) || row->n < 1 ||
        row->n > SGN_REPLICAS_MAX || row->r < 1 || row->r > row->n || row->w < 1 ||
        row->w > row->n) {
        cursor->bad = true;
        return false;
    }
    memcpy(row->name, name.ptr, name.count);
    return true;
}

uint64_t sgn_bucket_table_digest(const struct sgn_bucket_table *table)
{
    uint64_t digest = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        uint8_t raw[SGN_BUCKET_ROW_BYTES_MAX];
        struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
        sgn_bucket_encode(&table->rows[i], &sink);
        SGN_ASSERT(!sink.full);
        digest ^= sgn_hash(sgn_sink_bytes(&sink));
    }
    return digest;
}

uint64_t sgn_bucket_props_pack(uint32_t kind, uint32_t n, uint32_t r, uint32_t w)
{
    return (uint64_t)(kind & 0xff) | (uint64_t)(n & 0xff) << 8 | (uint64_t)(r & 0xff) << 16 |
           (uint64_t)(w & 0xff) << 24;
}

enum sgn_err sgn_bucket_props_unpack(uint64_t word,
                                     uint32_t replica_count,
                                     struct sgn_bucket *row,
                                     const char **why)
{
    uint32_t kind = word & 0xff;
    uint32_t n = (word >> 8) & 0xff;
    uint32_t r = (word >> 16) & 0xff;
    uint32_t w = (word >> 24) & 0xff;
    *why = NULL;
    kind = kind == 0 ? SGN_BUCKET_ORDERED : kind;
    if ((kind != SGN_BUCKET_AVAILABLE && kind != SGN_BUCKET_ORDERED) || word >> 32 != 0) {
        *why = "the kind of a bucket is available or ordered";
        return SGN_ERR_INVALID;
    }
    n = n == 0 ? replica_count : n;
    if (n > replica_count) {
        *why = "n is larger than the number of replicas the ring was made with";
        return SGN_ERR_INVALID;
    }
    if (kind == SGN_BUCKET_ORDERED && (n != replica_count || r != 0 || w != 0)) {
        *why = "an ordered bucket keeps as many replicas as the ring was made with, and its quorum "
               "is their majority; n, r and w cannot be chosen";
        return SGN_ERR_INVALID;
    }
    r = r == 0 ? n / 2 + 1 : r;
    w = w == 0 ? n / 2 + 1 : w;
    if (r > n || w > n) {
        *why = "r and w must be between 1 and n";
        return SGN_ERR_INVALID;
    }
    row->kind = (uint8_t)kind;
    row->n = (uint8_t)n;
    row->r = (uint8_t)r;
    row->w = (uint8_t)w;
    return SGN_OK;
}
