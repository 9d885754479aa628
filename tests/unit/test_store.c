#include <criterion/criterion.h>
#include <poll.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/store.h"
#include "ring/core/items.h"
#include "ring/core/key.h"
#include "ring/net/crc.h"

static char directory[64];
static char error[SGN_STORE_ERROR_BYTES];

static void setup(void)
{
    strcpy(directory, "/tmp/sgn-store-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
}

static void teardown(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    cr_assert_eq(system(command), 0);
}

static struct sgn_store_options options_of(const char *ring, uint32_t node)
{
    return (struct sgn_store_options){
        .directory = directory,
        .ring_name = ring,
        .node = node,
        .disk_reserve_bytes = 1 << 20,
        .block_cache_bytes = 8 << 20,
    };
}

static struct sgn_store *open_good(void)
{
    struct sgn_store_options options = options_of("unit", 3);
    struct sgn_store *store;
    enum sgn_err err = sgn_store_open(&store, &options, error, sizeof(error));
    cr_assert_eq(err, SGN_OK, "%s", error);
    return store;
}

static enum sgn_err open_bad(const struct sgn_store_options *options)
{
    struct sgn_store *store;
    enum sgn_err err = sgn_store_open(&store, options, error, sizeof(error));
    cr_assert_null(store);
    cr_assert_not_null(strstr(error, options->directory), "%s", error);
    return err;
}

/* Waits for the next result. */
static struct sgn_store_done next_done(struct sgn_store *store)
{
    struct sgn_store_done done;
    struct pollfd wait = {.fd = sgn_store_event_fd(store), .events = POLLIN};
    for (int i = 0; i < 1000; i++) {
        if (sgn_store_poll(store, &done, 1) == 1) {
            return done;
        }
        (void)poll(&wait, 1, 10);
    }
    cr_assert_fail("nothing was reported");
    return done;
}

static enum sgn_err put_one(struct sgn_store *store, enum sgn_family family, struct sgn_bytes key,
                            struct sgn_bytes value)
{
    struct sgn_store_write write = {.family = family, .key = key, .value = value};
    enum sgn_err err = sgn_store_submit(store, 99, &write, 1);
    if (err != SGN_OK) {
        return err;
    }
    struct sgn_store_done done = next_done(store);
    cr_assert_eq(done.token, 99);
    cr_assert_eq(done.type, SGN_STORE_DONE_WRITE);
    return done.err;
}

static struct sgn_bytes text(const char *string)
{
    return sgn_bytes_str(string);
}

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
static uint32_t scan_all(struct sgn_store *store, struct sgn_scan scan, uint32_t partition_count,
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
            strcpy(before, now);
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

Test(store, scans)
{
    struct sgn_store *store = open_good();
    /* A record's head: no vector entries, one sibling; then its body. */
    uint8_t record[4 + 44 + 100] = {1, 0, 1, 0};
    for (uint32_t i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%c%03u", i < 60 ? 'p' : 'q', i);
        cr_assert_eq(put_one(store, SGN_FAMILY_DATA, text(key), sgn_bytes_of(record, sizeof(record))),
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

    /* Each partition's keys, and no other; together all of them. */
    scan.prefix = text("");
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
    scan.partitions = sgn_bytes_of(NULL, 0);

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

Test(store, identity_over_restarts)
{
    struct sgn_store *store = open_good();
    struct sgn_store_identity first = sgn_store_identity(store);
    cr_assert(first.is_new && first.was_clean);
    cr_assert_eq(first.incarnation, 1);
    cr_assert_eq(first.home_generation, 1);
    cr_assert_eq(first.guest_generation, SGN_STORE_GUEST_BIT | 1);
    cr_assert_eq(sgn_store_close(store), SGN_OK);

    store = open_good(); /* After a clean stop. */
    struct sgn_store_identity now = sgn_store_identity(store);
    cr_assert(!now.is_new && now.was_clean);
    cr_assert_eq(now.store_id, first.store_id);
    cr_assert_eq(now.incarnation, 2);
    cr_assert_eq(now.home_generation, 1);
    cr_assert_eq(now.guest_generation, SGN_STORE_GUEST_BIT | 1);
    uint8_t guest[4] = {9, 0, 0, 0x80}; /* The engine raises its guest actor by itself. */
    cr_assert_eq(put_one(store, SGN_FAMILY_META, text("guest"), sgn_bytes_of(guest, 4)), SGN_OK);
    cr_assert_eq(sgn_store_close(store), SGN_OK);

    pid_t pid = fork(); /* After a stop that was none. */
    if (pid == 0) {
        struct sgn_store *child = open_good();
        _exit(sgn_store_identity(child).guest_generation == (SGN_STORE_GUEST_BIT | 9) ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    store = open_good();
    now = sgn_store_identity(store);
    cr_assert(!now.was_clean);
    cr_assert_eq(now.store_id, first.store_id);
    cr_assert_eq(now.incarnation, 4);
    cr_assert_eq(now.home_generation, 2);
    cr_assert_eq(now.guest_generation, SGN_STORE_GUEST_BIT | 10);
    cr_assert_eq(sgn_store_close(store), SGN_OK);

    struct sgn_store_options options = options_of("unit", 3);
    options.raise_home_generation = true;
    cr_assert_eq(sgn_store_open(&store, &options, error, sizeof(error)), SGN_OK);
    cr_assert_eq(sgn_store_identity(store).home_generation, 3);
    cr_assert_eq(sgn_store_close(store), SGN_OK);
}

/* Spoils the last byte of the longest log: within the last record. */
static void log_spoil(void)
{
    char command[512];
    snprintf(command, sizeof(command),
             "cd '%s' && f=$(ls -S *.log | head -1) && n=$(stat -c %%s $f) && "
             "printf X | dd of=$f bs=1 seek=$((n - 1)) conv=notrunc status=none",
             directory);
    cr_assert_eq(system(command), 0);
}

Test(store, garbage_at_the_end_of_the_log)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct sgn_store *child = open_good();
        bool good = put_one(child, SGN_FAMILY_DATA, text("1"), text("a")) == SGN_OK &&
                    put_one(child, SGN_FAMILY_DATA, text("2"), text("b")) == SGN_OK;
        _exit(good ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    log_spoil();
    struct sgn_store *store = open_good();
    cr_assert(sgn_store_identity(store).log_was_cut);
    cr_assert_eq(sgn_store_identity(store).home_generation, 2);
    struct sgn_store_value value;
    cr_assert_eq(sgn_store_get(store, SGN_FAMILY_DATA, text("1"), &value), SGN_OK);
    sgn_store_value_release(&value);
    cr_assert_eq(sgn_store_get(store, SGN_FAMILY_DATA, text("2"), &value), SGN_ERR_NOT_FOUND);
    cr_assert_eq(sgn_store_close(store), SGN_OK);
    store = open_good();
    cr_assert(!sgn_store_identity(store).log_was_cut);
    cr_assert_eq(sgn_store_close(store), SGN_OK);
}

/* Changes one raw META or DATA entry behind the store's back. */
static void raw_put(const char *family, const char *key, size_t key_bytes, const uint8_t *value,
                    size_t value_bytes, bool add_family)
{
    static const char *const names[] = {"default", "data", "tree", "hints", "meta"};
    rocksdb_options_t *options = rocksdb_options_create();
    const rocksdb_options_t *each[5] = {options, options, options, options, options};
    rocksdb_column_family_handle_t *handles[5];
    char *message = NULL;
    rocksdb_t *db =
        rocksdb_open_column_families(options, directory, 5, names, each, handles, &message);
    cr_assert_null(message, "%s", message);
    rocksdb_writeoptions_t *how = rocksdb_writeoptions_create();
    for (int i = 0; i < 5; i++) {
        if (strcmp(names[i], family) == 0) {
            rocksdb_put_cf(db, how, handles[i], key, key_bytes, (const char *)value, value_bytes,
                           &message);
        }
    }
    if (add_family) {
        rocksdb_column_family_handle_destroy(
            rocksdb_create_column_family(db, options, "future", &message));
    }
    cr_assert_null(message, "%s", message);
    for (int i = 0; i < 5; i++) {
        rocksdb_column_family_handle_destroy(handles[i]);
    }
    rocksdb_close(db);
    rocksdb_writeoptions_destroy(how);
    rocksdb_options_destroy(options);
}

Test(store, refused_directories)
{
    struct sgn_store *store = open_good();
    struct sgn_store_options options = options_of("unit", 3);
    cr_assert_eq(open_bad(&options), SGN_ERR_IN_USE);
    pid_t pid = fork();
    if (pid == 0) {
        struct sgn_store *other;
        _exit(sgn_store_open(&other, &options, error, sizeof(error)) == SGN_ERR_IN_USE ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0, "a second process got in");
    cr_assert_eq(sgn_store_close(store), SGN_OK);

    options = options_of("other", 3);
    cr_assert_eq(open_bad(&options), SGN_ERR_WRONG_RING);
    cr_assert_not_null(strstr(error, "'unit'"), "%s", error);
    options = options_of("unit", 4);
    cr_assert_eq(open_bad(&options), SGN_ERR_WRONG_RING);
    options = options_of("", 3);
    cr_assert_eq(open_bad(&options), SGN_ERR_INVALID);
    options = options_of("unit", 3);
    options.directory = "/tmp/no-such-parent-of-a-store/x";
    cr_assert_eq(open_bad(&options), SGN_ERR_IO);

    store = open_good(); /* The refusals changed nothing. */
    cr_assert_eq(sgn_store_identity(store).incarnation, 2);
    cr_assert(sgn_store_identity(store).was_clean);
    cr_assert_eq(sgn_store_close(store), SGN_OK);

    /* A newer format: a number in the identity, or a family unknown here. */
    struct sgn_bytes key = sgn_bytes_of("\0identity", 9);
    uint8_t raw[20] = {2, 0, 0, 0, 'n', 'e', 'w'};
    uint32_t crc = sgn_crc32c(sgn_crc32c(0, key), sgn_bytes_of(raw, 16));
    struct sgn_sink sink = sgn_sink_of(raw + 16, 4);
    sgn_sink_uint(&sink, crc, 4);
    raw_put("meta", key.ptr, key.count, raw, sizeof(raw), false);
    options = options_of("unit", 3);
    cr_assert_eq(open_bad(&options), SGN_ERR_FORMAT);
    cr_assert_not_null(strstr(error, "format 2"), "%s", error);
    raw[0]++; /* Now its checksum is wrong: damaged, not new. */
    raw_put("meta", key.ptr, key.count, raw, sizeof(raw), false);
    cr_assert_eq(open_bad(&options), SGN_ERR_CORRUPT);
    raw_put("none", "", 0, raw, 0, true);
    cr_assert_eq(open_bad(&options), SGN_ERR_FORMAT);

    teardown(); /* A directory of something else stays as it is. */
    setup();
    char path[128];
    snprintf(path, sizeof(path), "%s/letter.txt", directory);
    fclose(fopen(path, "w"));
    options = options_of("unit", 3);
    cr_assert_eq(open_bad(&options), SGN_ERR_INVALID);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(rmdir(directory), 0, "something was left in it");
}

Test(store, corrupt_records)
{
    struct sgn_store *store = open_good();
    cr_assert_eq(put_one(store, SGN_FAMILY_DATA, text("bad"), text("value")), SGN_OK);
    cr_assert_eq(put_one(store, SGN_FAMILY_DATA, text("good"), text("value")), SGN_OK);
    cr_assert_eq(sgn_store_close(store), SGN_OK);
    raw_put("data", "bad", 3, (const uint8_t *)"valuf\1\2\3\4", 9, false);
    raw_put("data", "short", 5, (const uint8_t *)"v", 1, false);

    store = open_good();
    struct sgn_store_value value;
    cr_assert_eq(sgn_store_get(store, SGN_FAMILY_DATA, text("bad"), &value), SGN_ERR_CORRUPT);
    cr_assert_eq(sgn_store_get(store, SGN_FAMILY_DATA, text("short"), &value), SGN_ERR_CORRUPT);
    cr_assert_eq(sgn_store_get_async(store, 1, SGN_FAMILY_DATA, text("bad")), SGN_OK);
    struct sgn_store_done done = next_done(store);
    cr_assert_eq(done.err, SGN_ERR_CORRUPT);
    sgn_store_done_release(&done);
    struct sgn_scan scan = {
        .family = SGN_FAMILY_DATA, .items_max = 9, .examined_max = 9, .bytes_max = 1000};
    cr_assert_eq(sgn_store_scan(store, &scan, 0, &done), SGN_OK);
    cr_assert_eq(done.item_count, 1);
    cr_assert_eq(done.corrupt, 2);
    cr_assert(done.end);
    sgn_store_done_release(&done);
    struct sgn_store_stats stats;
    sgn_store_stats(store, &stats);
    cr_assert_eq(stats.corrupt, 5);
    /* Corruption seen: not a clean stop, so the actors get new names. */
    cr_assert_eq(sgn_store_close(store), SGN_ERR_CORRUPT);
    store = open_good();
    cr_assert(!sgn_store_identity(store).was_clean);
    cr_assert_eq(sgn_store_identity(store).home_generation, 2);
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
    cr_assert_eq(sgn_store_close(store), SGN_OK);
}
