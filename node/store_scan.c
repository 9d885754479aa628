/* One page of a family in key order. */
#include <stdlib.h>
#include <string.h>

#include "node/store_internal.h"
#include "ring/core/items.h"
#include "ring/core/key.h"

#define SCAN_FIRST_BYTES      4096u
#define RECORD_HEAD_BYTES_MIN 4u /* ring/core/record.h: format, two counts, zero. */
#define RECORD_ENTRY_BYTES    16u
#define RECORD_SIBLING_BYTES  44u
#define ORDERED_PREFIX_BYTES  8u  /* Sequence number. */
#define ORDERED_FORMAT        2u  /* ring/core/ordered.h */
#define ORDERED_BODY_AT       68u /* Where, behind the prefix's start, body_bytes stands. */

bool store_scan_valid(const struct sgn_scan *scan, uint32_t partition_count)
{
    if ((uint32_t)scan->family >= STORE_FAMILY_COUNT || scan->items_max == 0 ||
        scan->examined_max == 0 || scan->bytes_max == 0) {
        return false;
    }
    if (scan->prefix.count > STORE_KEY_BYTES_MAX || scan->after.count > STORE_KEY_BYTES_MAX) {
        return false;
    }
    if (scan->family != SGN_FAMILY_DATA && scan->partitions.count > 0) {
        return false;
    }
    if (scan->heads_only && scan->family != SGN_FAMILY_DATA && scan->family != SGN_FAMILY_HINT) {
        return false;
    }
    if (scan->partitions.count == 0) {
        return true;
    }
    bool power = partition_count > 0 && (partition_count & (partition_count - 1)) == 0;
    return power && partition_count <= SGN_PARTITIONS_MAX &&
           scan->partitions.count == (partition_count + 7) / 8;
}

static bool partition_wanted(const struct sgn_scan *scan,
                             uint32_t partition_count,
                             struct sgn_bytes key)
{
    if (scan->partitions.count == 0) {
        return true;
    }
    uint32_t partition = sgn_partition_of(sgn_hash(key), partition_count);
    SGN_ASSERT(partition < partition_count);
    const uint8_t *bitmap = scan->partitions.ptr;
    return (bitmap[partition / 8] >> (partition % 8) & 1) != 0;
}

/* Cuts a record to its digest form; false if it is too short to be one. */
static bool head_cut(struct sgn_bytes *value)
{
    if (value->count < RECORD_HEAD_BYTES_MIN) {
        return false;
    }
    const uint8_t *raw = value->ptr;
    size_t head = RECORD_HEAD_BYTES_MIN + RECORD_ENTRY_BYTES * (size_t)raw[1] +
                  RECORD_SIBLING_BYTES * (size_t)raw[2];
    if (head > value->count) {
        return false;
    }
    value->count = head;
    return true;
}

/* The same of an ordered bucket's: the body is what it ends with. */
static bool ordered_cut(struct sgn_bytes *value)
{
    if (value->count < ORDERED_BODY_AT + 4u) {
        return false;
    }
    const uint8_t *raw = value->ptr;
    uint64_t body = sgn_get_uint(raw + ORDERED_BODY_AT, 4);
    if (raw[ORDERED_PREFIX_BYTES] != ORDERED_FORMAT || body > value->count - ORDERED_BODY_AT - 4u) {
        return false;
    }
    value->count -= (size_t)body;
    return true;
}

/* Makes room for `more` bytes behind the sink's; false when memory is out. */
static bool sink_grow(struct sgn_sink *sink, size_t more)
{
    if (more <= sink->cap - sink->count) {
        return true;
    }
    size_t cap = sink->cap < SCAN_FIRST_BYTES ? SCAN_FIRST_BYTES : 2 * sink->cap;
    cap = cap < sink->count + more ? sink->count + more : cap;
    uint8_t *ptr = realloc(sink->ptr, cap);
    if (ptr == NULL) {
        return false;
    }
    sink->ptr = ptr;
    sink->cap = cap;
    return true;
}

/* A scan under way. */
struct scan_page {
    struct sgn_store *store;
    const struct sgn_scan *scan;
    uint32_t partition_count;
    struct sgn_sink items;
    struct sgn_store_done *out;
    uint8_t after[STORE_KEY_BYTES_MAX];
    size_t after_bytes;
};

enum scan_step { SCAN_ON, SCAN_PAGE_FULL, SCAN_FAILED };

/* Looks at one entry. Only an entry that was dealt with moves `after` on. */
static enum scan_step page_take(struct scan_page *page,
                                struct sgn_bytes key,
                                struct sgn_bytes stored)
{
    const struct sgn_scan *scan = page->scan;
    struct sgn_bytes value;
    if (key.count > sizeof(page->after)) {
        page->out->err = SGN_ERR_CORRUPT; /* No key that long was ever accepted. */
        return SCAN_FAILED;
    }
    bool own = scan->family == SGN_FAMILY_META && key.count > 0 && *(const uint8_t *)key.ptr == 0;
    if (!own && partition_wanted(scan, page->partition_count, key)) {
        bool good = store_value_check(page->store, key, stored, &value);
        bool no_record =
            scan->family == SGN_FAMILY_HINT && value.count == 0; /* "What DATA holds." */
        if (good && scan->heads_only && !no_record &&
            !(scan->ordered ? ordered_cut(&value) : head_cut(&value))) {
            atomic_fetch_add(&page->store->counters.corrupt, 1);
            good = false;
        }
        /* A key that cannot be read is not one that is not there. */
        bool shows = good || scan->ordered || scan->family == SGN_FAMILY_TREE;
        value = good ? value : sgn_bytes_of(NULL, 0);
        page->out->corrupt += !good;
        if (shows) {
            size_t bytes = SGN_ITEM_OVERHEAD_BYTES + key.count + value.count;
            if (page->out->item_count > 0 && page->items.count + bytes > scan->bytes_max) {
                return SCAN_PAGE_FULL;
            }
            if (!sink_grow(&page->items, bytes)) {
                page->out->err = SGN_ERR_NOMEM;
                return SCAN_FAILED;
            }
            sgn_items_push(&page->items, key, value);
            SGN_ASSERT(!page->items.full);
            page->out->item_count++;
        }
    }
    page->out->examined++;
    memcpy(page->after, key.ptr, key.count);
    page->after_bytes = key.count;
    return SCAN_ON;
}

static void page_walk(struct scan_page *page, rocksdb_iterator_t *iter)
{
    const struct sgn_scan *scan = page->scan;
    struct sgn_store_done *out = page->out;
    uint64_t until_ms = store_now_ms() + SGN_STORE_SCAN_MS_MAX;
    while (rocksdb_iter_valid(iter)) {
        size_t key_bytes;
        size_t value_bytes;
        const char *key_ptr = rocksdb_iter_key(iter, &key_bytes);
        struct sgn_bytes key = sgn_bytes_of(key_ptr, key_bytes);
        if (!sgn_bytes_starts(key, scan->prefix)) {
            break;
        }
        if (out->item_count == scan->items_max || out->examined == scan->examined_max) {
            return;
        }
        if (out->examined > 0 && store_now_ms() >= until_ms) {
            return;
        }
        const char *value_ptr = rocksdb_iter_value(iter, &value_bytes);
        if (page_take(page, key, sgn_bytes_of(value_ptr, value_bytes)) != SCAN_ON) {
            return;
        }
        rocksdb_iter_next(iter);
    }
    char *message = NULL;
    rocksdb_iter_get_error(iter, &message);
    if (message != NULL) {
        out->err = store_error_take(message, NULL, 0);
        return;
    }
    out->end = true;
}

/* The least key above every key with the prefix; false if there is none (all 0xff, or empty). */
static bool prefix_successor(struct sgn_bytes prefix, uint8_t *key, size_t *key_bytes)
{
    const uint8_t *raw = prefix.ptr;
    size_t count = prefix.count;
    while (count > 0 && raw[count - 1] == 0xff) {
        count--;
    }
    if (count == 0) {
        return false;
    }
    memcpy(key, raw, count);
    key[count - 1]++;
    *key_bytes = count;
    return true;
}

static void iter_begin(rocksdb_iterator_t *iter, const struct sgn_scan *scan)
{
    bool behind = scan->after.count > 0 && sgn_bytes_compare(scan->after, scan->prefix) >= 0;
    struct sgn_bytes from = behind ? scan->after : scan->prefix;
    if (from.count == 0) {
        rocksdb_iter_seek_to_first(iter);
    } else {
        rocksdb_iter_seek(iter, from.ptr, from.count);
    }
    if (behind && rocksdb_iter_valid(iter)) {
        size_t bytes;
        const char *key = rocksdb_iter_key(iter, &bytes);
        if (sgn_bytes_equal(sgn_bytes_of(key, bytes), from)) {
            rocksdb_iter_next(iter);
        }
    }
}

/* One block for items and after, so that one free releases both. */
static void page_finish(struct scan_page *page)
{
    struct sgn_store_done *out = page->out;
    if (out->err == SGN_OK && !sink_grow(&page->items, page->after_bytes + 1)) {
        out->err = SGN_ERR_NOMEM;
    }
    if (out->err != SGN_OK) {
        free(page->items.ptr);
        out->item_count = 0;
        out->end = false;
        return;
    }
    size_t items_bytes = page->items.count;
    sgn_sink_put(&page->items, page->after, page->after_bytes);
    SGN_ASSERT(!page->items.full);
    out->memory = page->items.ptr;
    out->items = sgn_bytes_of(page->items.ptr, items_bytes);
    out->after = sgn_bytes_of(page->items.ptr + items_bytes, page->after_bytes);
}

void store_scan_run(struct sgn_store *store,
                    const struct sgn_scan *scan,
                    uint32_t partition_count,
                    struct sgn_store_done *out)
{
    SGN_ASSERT(store_scan_valid(scan, partition_count));
    *out = (struct sgn_store_done){.type = SGN_STORE_DONE_SCAN, .err = SGN_OK};
    struct scan_page page = {
        .store = store, .scan = scan, .partition_count = partition_count, .out = out};
    page.after_bytes = scan->after.count;
    if (page.after_bytes > 0) {
        memcpy(page.after, scan->after.ptr, page.after_bytes);
    }
    uint8_t bound[STORE_KEY_BYTES_MAX];
    size_t bound_bytes;
    rocksdb_readoptions_t *options = rocksdb_readoptions_create();
    if (prefix_successor(scan->prefix, bound, &bound_bytes)) {
        rocksdb_readoptions_set_iterate_upper_bound(options, (const char *)bound, bound_bytes);
    }
    rocksdb_iterator_t *iter =
        rocksdb_create_iterator_cf(store->db, options, store->handles[scan->family]);
    iter_begin(iter, scan);
    page_walk(&page, iter);
    page_finish(&page);
    rocksdb_iter_destroy(iter);
    rocksdb_readoptions_destroy(options);
}

enum sgn_err sgn_store_scan(struct sgn_store *store,
                            const struct sgn_scan *scan,
                            uint32_t partition_count,
                            struct sgn_store_done *out)
{
    *out = (struct sgn_store_done){.type = SGN_STORE_DONE_SCAN, .err = SGN_ERR_INVALID};
    if (store_scan_valid(scan, partition_count)) {
        store_scan_run(store, scan, partition_count, out);
    }
    return out->err;
}
