/* Writing, reading and scanning an open store. */
#include "ring/core/items.h"
#include "ring/core/key.h"
#include "ring/net/crc.h"
#include "tests/lib/store_fixture.h"

TestSuite(store, .init = setup, .fini = teardown);

Test(crc, known_and_in_pieces)
{
    cr_assert_eq(sgn_crc32c(0, text("123456789")), 0xe3069283u);
    cr_assert_eq(sgn_crc32c(sgn_crc32c(0, text("1234")), text("56789")), 0xe3069283u);
    cr_assert_eq(sgn_crc32c(0, sgn_bytes_of(NULL, 0)), 0u);
}

Test(store, write_read_delete_and_bounds)
{
    struct sgn_store *store = open_good();
    size_t big_bytes = 3 << 20;
    uint8_t *big = malloc(big_bytes);
    memset(big, 7, big_bytes);
    cr_assert_eq(put_one(store, SGN_FAMILY_DATA, text("b"), sgn_bytes_of(big, big_bytes)), SGN_OK);
    cr_assert_eq(put_one(store, SGN_FAMILY_HINT, text("a"), sgn_bytes_of(NULL, 0)), SGN_OK);

    struct sgn_store_value value;
    cr_assert_eq(sgn_store_get(store, SGN_FAMILY_DATA, text("b"), &value), SGN_OK);
    cr_assert(sgn_bytes_equal(value.bytes, sgn_bytes_of(big, big_bytes)));
    sgn_store_value_release(&value);
    cr_assert_eq(sgn_store_get_cached(store, SGN_FAMILY_HINT, text("a"), &value), SGN_OK);
    cr_assert_eq(value.bytes.count, 0);
    sgn_store_value_release(&value);
    cr_assert_eq(sgn_store_get(store, SGN_FAMILY_DATA, text("a"), &value), SGN_ERR_NOT_FOUND);

    /* One unit, several families; a delete and a put of one key count in their order. */
    const struct sgn_store_write unit[3] = {
        {.family = SGN_FAMILY_DATA, .key = text("b"), .is_delete = true},
        {.family = SGN_FAMILY_TREE, .key = text("t"), .value = text("1")},
        {.family = SGN_FAMILY_TREE, .key = text("t"), .value = text("2")},
    };
    cr_assert_eq(sgn_store_submit(store, 5, unit, 3), SGN_OK);
    cr_assert_eq(next_done(store).err, SGN_OK);
    cr_assert_eq(sgn_store_get(store, SGN_FAMILY_DATA, text("b"), &value), SGN_ERR_NOT_FOUND);

    cr_assert_eq(sgn_store_get_async(store, 11, SGN_FAMILY_TREE, text("t")), SGN_OK);
    struct sgn_store_done done = next_done(store);
    cr_assert_eq(done.token, 11);
    cr_assert_eq(done.type, SGN_STORE_DONE_READ);
    cr_assert_eq(done.err, SGN_OK);
    cr_assert(sgn_bytes_equal(done.value.bytes, text("2")));
    sgn_store_done_release(&done);

    /* What is refused at the door. */
    struct sgn_bytes own = sgn_bytes_of("\0identity", 9);
    cr_assert_eq(put_one(store, SGN_FAMILY_META, own, text("x")), SGN_ERR_INVALID);
    cr_assert_eq(put_one(store, SGN_FAMILY_DATA, text(""), text("x")), SGN_ERR_INVALID);
    cr_assert_eq(put_one(store, (enum sgn_family)9, text("k"), text("x")), SGN_ERR_INVALID);
    cr_assert_eq(sgn_store_submit(store, 1, unit, 0), SGN_ERR_INVALID);
    cr_assert_eq(sgn_store_get_async(store, 1, SGN_FAMILY_DATA, text("")), SGN_ERR_INVALID);

    struct sgn_store_stats stats;
    sgn_store_stats(store, &stats);
    cr_assert_eq(stats.units, 3);
    cr_assert_eq(stats.writes, 5);
    cr_assert_eq(stats.state, SGN_STORE_RUNNING);
    cr_assert_eq(stats.waiting_writes + stats.waiting_bytes + stats.waiting_reads, 0);
    cr_assert_gt(stats.free_bytes, 0);
    cr_assert_eq(sgn_store_close(store), SGN_OK);

    /* Cold now: memory alone cannot say, the disk can. */
    store = open_good();
    cr_assert_eq(sgn_store_get_cached(store, SGN_FAMILY_TREE, text("t"), &value), SGN_ERR_BUSY);
    cr_assert_eq(sgn_store_get(store, SGN_FAMILY_TREE, text("t"), &value), SGN_OK);
    sgn_store_value_release(&value);
    cr_assert_eq(sgn_store_get_cached(store, SGN_FAMILY_TREE, text("t"), &value), SGN_OK);
    sgn_store_value_release(&value);
    cr_assert_eq(sgn_store_close(store), SGN_OK);
    free(big);
}

/* Collects all pages of a scan; returns the items. */
static uint32_t scan_all(struct sgn_store *store,
                         struct sgn_scan scan,
                         uint32_t partition_count,
                         uint32_t *pages)
{
    uint8_t after[2048];
    uint32_t items = 0;
    char before[64] = "";
    for (*pages = 0; *pages < 1000;) {
        struct sgn_store_done page;
        cr_assert_eq(sgn_store_scan(store, &scan, partition_count, &page), SGN_OK);
        (*pages)++;
        cr_assert(page.item_count <= scan.items_max && page.examined <= scan.examined_max);
        struct sgn_cursor cursor = sgn_cursor_of(page.items);
        struct sgn_bytes key;
        struct sgn_bytes value;
        while (sgn_items_next(&cursor, &key, &value)) {
            char now[64];
            snprintf(now, sizeof(now), "%.*s", (int)key.count, (const char *)key.ptr);
            cr_assert(strcmp(now, before) > 0, "%s after %s", now, before);
            memcpy(before, now, sizeof(now));
            cr_assert(sgn_bytes_starts(key, scan.prefix));
            items++;
        }
        cr_assert(!cursor.bad);
        memcpy(after, page.after.ptr, page.after.count);
        scan.after = sgn_bytes_of(after, page.after.count);
        bool end = page.end;
        sgn_store_done_release(&page);
        if (end) {
            return items;
        }
    }
    cr_assert_fail("the scan does not end");
    return 0;
}

/* Each partition's keys, and no other; together all of the 100. */
static void scan_partitions(struct sgn_store *store, struct sgn_scan scan)
{
    uint32_t pages;
    uint32_t sum = 0;
    for (uint32_t p = 0; p < 16; p++) {
        uint8_t bitmap[2] = {0, 0};
        bitmap[p / 8] = (uint8_t)(1u << p % 8);
        scan.partitions = sgn_bytes_of(bitmap, 2);
        uint32_t count = scan_all(store, scan, 16, &pages);
        for (uint32_t i = 0; i < 100; i++) {
            char key[16];
            snprintf(key, sizeof(key), "%c%03u", i < 60 ? 'p' : 'q', i);
            count -= sgn_partition_of(sgn_hash(text(key)), 16) == p;
            sum += sgn_partition_of(sgn_hash(text(key)), 16) == p;
        }
        cr_assert_eq(count, 0, "partition %u", p);
    }
    cr_assert_eq(sum, 100);
}

Test(store, scans)
{
    struct sgn_store *store = open_good();
    /* A record's head: no vector entries, one sibling; then its body. */
    uint8_t record[4 + 44 + 100] = {1, 0, 1, 0};
    for (uint32_t i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%c%03u", i < 60 ? 'p' : 'q', i);
        cr_assert_eq(
            put_one(store, SGN_FAMILY_DATA, text(key), sgn_bytes_of(record, sizeof(record))),
            SGN_OK);
    }
    struct sgn_scan scan = {
        .family = SGN_FAMILY_DATA, .items_max = 1000, .examined_max = 1000, .bytes_max = 1 << 20};
    uint32_t pages;
    cr_assert_eq(scan_all(store, scan, 0, &pages), 100);
    cr_assert_eq(pages, 1);
    scan.prefix = text("p");
    cr_assert_eq(scan_all(store, scan, 0, &pages), 60);
    scan.items_max = 7;
    cr_assert_eq(scan_all(store, scan, 0, &pages), 60);
    cr_assert_eq(pages, 9);
    scan.items_max = 1000;
    scan.examined_max = 10;
    cr_assert_eq(scan_all(store, scan, 0, &pages), 60);
    cr_assert_eq(pages, 6);
    scan.examined_max = 1000;
    scan.bytes_max = 1; /* One item a page all the same. */
    cr_assert_eq(scan_all(store, scan, 0, &pages), 60);
    cr_assert_eq(pages, 60);
    scan.bytes_max = 1 << 20;
    scan.prefix = text("none");
    cr_assert_eq(scan_all(store, scan, 0, &pages), 0);

    scan.prefix = text("");
    scan_partitions(store, scan);

    scan.heads_only = true;
    scan.prefix = text("q09");
    cr_assert_eq(sgn_store_scan_async(store, 21, &scan, 0), SGN_OK);
    struct sgn_store_done done = next_done(store);
    cr_assert_eq(done.type, SGN_STORE_DONE_SCAN);
    cr_assert_eq(done.token, 21);
    cr_assert_eq(done.item_count, 10);
    cr_assert(done.end);
    cr_assert_eq(done.items.count, 10 * (8 + 4 + 48));
    sgn_store_done_release(&done);

    scan.family = SGN_FAMILY_TREE; /* heads_only is for records. */
    cr_assert_eq(sgn_store_scan_async(store, 1, &scan, 0), SGN_ERR_INVALID);
    scan.heads_only = false;
    scan.items_max = 0;
    cr_assert_eq(sgn_store_scan_async(store, 1, &scan, 0), SGN_ERR_INVALID);
    /* The store's own entry is not shown. */
    scan = (struct sgn_scan){
        .family = SGN_FAMILY_META, .items_max = 9, .examined_max = 9, .bytes_max = 1000};
    cr_assert_eq(scan_all(store, scan, 0, &pages), 1); /* "guest". */
    cr_assert_eq(sgn_store_close(store), SGN_OK);
}

Test(store, busy_and_full)
{
    struct sgn_store_options options = options_of("unit", 3);
    options.commit_ops_max = 4;
    options.commit_bytes_max = 1000;
    options.read_jobs_max = 2;
    struct sgn_store *store;
    cr_assert_eq(sgn_store_open(&store, &options, error, sizeof(error)), SGN_OK, "%s", error);
    struct sgn_store_write write = {.key = text("k"), .value = text("v")};
    for (uint64_t i = 0; i < 4; i++) { /* What is done but not polled counts. */
        cr_assert_eq(sgn_store_submit(store, i, &write, 1), SGN_OK);
    }
    cr_assert_eq(sgn_store_submit(store, 4, &write, 1), SGN_ERR_BUSY);
    for (uint64_t i = 0; i < 4; i++) {
        struct sgn_store_done done = next_done(store);
        cr_assert_eq(done.token, i);
        cr_assert_eq(done.err, SGN_OK);
    }
    char big[1200] = "";
    write.value = sgn_bytes_of(big, 600);
    cr_assert_eq(sgn_store_submit(store, 5, &write, 1), SGN_OK);
    cr_assert_eq(sgn_store_submit(store, 6, &write, 1), SGN_ERR_BUSY);
    write.value = sgn_bytes_of(big, sizeof(big));
    cr_assert_eq(sgn_store_submit(store, 6, &write, 1), SGN_ERR_TOO_LARGE);
    cr_assert_eq(next_done(store).err, SGN_OK);
    cr_assert_eq(sgn_store_get_async(store, 1, SGN_FAMILY_DATA, text("k")), SGN_OK);
    cr_assert_eq(sgn_store_get_async(store, 2, SGN_FAMILY_DATA, text("k")), SGN_OK);
    cr_assert_eq(sgn_store_get_async(store, 3, SGN_FAMILY_DATA, text("k")), SGN_ERR_BUSY);
    struct sgn_store_stats stats;
    sgn_store_stats(store, &stats);
    cr_assert_eq(stats.refused_busy, 3);
    cr_assert_eq(sgn_store_close(store), SGN_OK); /* With results not polled. */

    options = options_of("unit", 3);
    options.disk_reserve_bytes = UINT64_C(1) << 60; /* No disk leaves that free. */
    cr_assert_eq(sgn_store_open(&store, &options, error, sizeof(error)), SGN_OK, "%s", error);
    cr_assert_eq(put_one(store, SGN_FAMILY_DATA, text("k"), text("new")), SGN_ERR_DISK_FULL);
    sgn_store_stats(store, &stats);
    cr_assert_eq(stats.state, SGN_STORE_FULL);
    struct sgn_store_value value;
    cr_assert_eq(sgn_store_get(store, SGN_FAMILY_DATA, text("k"), &value), SGN_OK);
    cr_assert_eq(value.bytes.count, 600); /* Reads go on, and show what was acknowledged. */
    sgn_store_value_release(&value);
    uint32_t home = sgn_store_identity(store).home_generation;
    cr_assert_eq(sgn_store_close(store), SGN_OK);

    /* What was refused may have borne a number that peers know: the next run gives out others. */
    options.disk_reserve_bytes = 1;
    cr_assert_eq(sgn_store_open(&store, &options, error, sizeof(error)), SGN_OK, "%s", error);
    cr_assert(!sgn_store_identity(store).was_clean);
    cr_assert_eq(sgn_store_identity(store).home_generation, home + 1);
    cr_assert_eq(sgn_store_close(store), SGN_OK);
    cr_assert_eq(sgn_store_open(&store, &options, error, sizeof(error)), SGN_OK, "%s", error);
    cr_assert(sgn_store_identity(store).was_clean);
    cr_assert_eq(sgn_store_close(store), SGN_OK);
}
