#include <criterion/criterion.h>
#include <stdio.h>

#include "ring/core/bucket.h"
#include "ring/core/prng.h"

static struct sgn_bucket row_of(const char *name, uint64_t stamp, uint32_t node)
{
    struct sgn_bucket row = {.kind = SGN_BUCKET_AVAILABLE, .n = 3, .r = 2, .w = 2};
    snprintf(row.name, sizeof(row.name), "%s", name);
    row.stamp = stamp;
    row.node = node;
    return row;
}

Test(bucket, tables_merge_in_any_order)
{
    static struct sgn_bucket_table a;
    static struct sgn_bucket_table b;
    static struct sgn_bucket rows[300];
    sgn_bucket_table_init(&a, 3);
    sgn_bucket_table_init(&b, 3);
    const struct sgn_bucket *first = sgn_bucket_find(&a, sgn_bytes_str("default"));
    cr_assert(first != NULL && first->n == 3 && first->r == 2 && first->w == 2);
    cr_assert_eq(first->kind, SGN_BUCKET_ORDERED);
    for (uint32_t i = 0; i < 300; i++) {
        char name[16];
        snprintf(name, sizeof(name), "b%u", i % 60);
        rows[i] = row_of(name, i % 7, i % 3);
        rows[i].dead = i % 5 == 0;
        rows[i].w = (uint8_t)(1 + i % 3);
    }
    for (uint32_t i = 0; i < 300; i++) {
        sgn_bucket_merge(&a, &rows[i]);
        sgn_bucket_merge(&b, &rows[(i * 77 + 5) % 300]);
    }
    cr_assert_eq(a.count, 61);
    cr_assert_eq(sgn_bucket_table_digest(&a), sgn_bucket_table_digest(&b));
    for (uint32_t i = 0; i < a.count; i++) {
        cr_assert(i == 0 || strcmp(a.rows[i - 1].name, a.rows[i].name) < 0);
        cr_assert_not(sgn_bucket_merge(&a, &b.rows[i]), "nothing new");
        uint8_t raw[SGN_BUCKET_ROW_BYTES_MAX];
        struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
        sgn_bucket_encode(&a.rows[i], &sink);
        struct sgn_bucket back;
        struct sgn_cursor cursor = sgn_cursor_of(sgn_sink_bytes(&sink));
        cr_assert(sgn_bucket_decode_next(&cursor, &back) && cursor.left == 0);
        cr_assert_eq(memcmp(&back, &a.rows[i], sizeof(back)), 0);
        cr_assert_not(sgn_bucket_decode_next(&cursor, &back));
        cr_assert_not(cursor.bad);
        for (size_t cut = 1; cut < sink.count; cut++) {
            cursor = sgn_cursor_of(sgn_bytes_of(raw, cut));
            cr_assert(!sgn_bucket_decode_next(&cursor, &back) && cursor.bad);
        }
    }
    struct sgn_bucket dead = row_of("b1", 99, 1);
    dead.dead = true;
    cr_assert(sgn_bucket_merge(&a, &dead));
    cr_assert_null(sgn_bucket_find(&a, sgn_bytes_str("b1")));
    cr_assert_not_null(sgn_bucket_row(&a, sgn_bytes_str("b1")));
    for (uint32_t i = 0; a.count < SGN_BUCKETS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof(name), "fill%u", i);
        struct sgn_bucket row = row_of(name, 1, 1);
        cr_assert(sgn_bucket_merge(&a, &row));
    }
    struct sgn_bucket more = row_of("zzz", 1, 1);
    cr_assert_not(sgn_bucket_merge(&a, &more), "full");
}

Test(bucket, properties)
{
    struct sgn_bucket row = {0};
    const char *why;
    cr_assert_eq(sgn_bucket_props_unpack(
                     sgn_bucket_props_pack(SGN_BUCKET_AVAILABLE, 0, 0, 0), 5, &row, &why),
                 SGN_OK);
    cr_assert(row.n == 5 && row.r == 3 && row.w == 3);
    cr_assert_eq(sgn_bucket_props_unpack(
                     sgn_bucket_props_pack(SGN_BUCKET_AVAILABLE, 2, 1, 2), 3, &row, &why),
                 SGN_OK);
    cr_assert(row.n == 2 && row.r == 1 && row.w == 2);
    const uint64_t bad[] = {
        sgn_bucket_props_pack(SGN_BUCKET_AVAILABLE, 4, 0, 0),
        sgn_bucket_props_pack(SGN_BUCKET_AVAILABLE, 2, 3, 1),
        sgn_bucket_props_pack(SGN_BUCKET_AVAILABLE, 2, 1, 3),
        sgn_bucket_props_pack(7, 0, 0, 0),
        UINT64_C(1) << 40 | SGN_BUCKET_AVAILABLE,
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_eq(sgn_bucket_props_unpack(bad[i], 3, &row, &why), SGN_ERR_INVALID);
        cr_assert_not_null(why);
    }
    for (uint32_t kind = 0; kind <= SGN_BUCKET_ORDERED; kind += SGN_BUCKET_ORDERED) {
        cr_assert_eq(sgn_bucket_props_unpack(sgn_bucket_props_pack(kind, 0, 0, 0), 5, &row, &why),
                     SGN_OK);
        cr_assert(row.kind == SGN_BUCKET_ORDERED && row.n == 5 && row.r == 3 && row.w == 3);
        cr_assert_eq(sgn_bucket_props_unpack(sgn_bucket_props_pack(kind, 5, 0, 4), 5, &row, &why),
                     SGN_ERR_INVALID,
                     "its quorum is no choice");
    }
}
