/* What a start takes from the store: which ring it was made for, buckets, hash trees, hints. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/driver.h"
#include "node/log.h"
#include "ring/core/items.h"
#include "ring/core/key.h"

#define RING_KEY       "ring/description"
#define BUCKETS_PREFIX "buckets/"
#define WRITE_WAIT_MS  30000
#define PAGE_ITEMS     10000u

/* One write, waited for: only before the loop runs. */
static enum sgn_err write_now(struct sgn_store *store, const struct sgn_store_write *write)
{
    enum sgn_err err = sgn_store_submit(store, 1, write, 1);
    if (err != SGN_OK) {
        return err;
    }
    sgn_store_commit(store);
    struct pollfd wait = {.fd = sgn_store_event_fd(store), .events = POLLIN};
    struct sgn_store_done done;
    while (sgn_store_poll(store, &done, 1) == 0) {
        int ready = poll(&wait, 1, WRITE_WAIT_MS);
        if (ready == 0 || (ready < 0 && errno != EINTR)) {
            return SGN_ERR_IO;
        }
    }
    err = done.err;
    sgn_store_done_release(&done);
    return err;
}

/* Says what differs between the ring the directory was made for and the one configured. */
static void difference(const struct sgn_ring *kept,
                       const struct sgn_ring *ring,
                       char *text,
                       size_t bytes)
{
    if (kept->partition_count != ring->partition_count) {
        (void)snprintf(text,
                       bytes,
                       "%u partitions there, %u here",
                       kept->partition_count,
                       ring->partition_count);
        return;
    }
    if (kept->replica_count != ring->replica_count) {
        (void)snprintf(
            text, bytes, "%u replicas there, %u here", kept->replica_count, ring->replica_count);
        return;
    }
    for (uint32_t i = 0; i < kept->member_count; i++) {
        int found = sgn_ring_find(ring, kept->members[i].id);
        if (found < 0) {
            (void)snprintf(text, bytes, "member %u is missing here", kept->members[i].id);
            return;
        }
        const struct sgn_member *here = &ring->members[found];
        if (here->weight != kept->members[i].weight || here->zone != kept->members[i].zone) {
            (void)snprintf(text,
                           bytes,
                           "member %u has weight %u and zone %u there, %u and %u here",
                           here->id,
                           kept->members[i].weight,
                           kept->members[i].zone,
                           here->weight,
                           here->zone);
            return;
        }
    }
    for (uint32_t i = 0; i < ring->member_count; i++) {
        if (sgn_ring_find(kept, ring->members[i].id) < 0) {
            (void)snprintf(text, bytes, "member %u is new here", ring->members[i].id);
            return;
        }
    }
    (void)snprintf(text, bytes, "epoch %u there, %u here", kept->epoch, ring->epoch);
}

static enum sgn_err compare_kept(struct sgn_driver *driver,
                                 struct sgn_bytes bytes,
                                 char *error,
                                 size_t error_bytes)
{
    struct sgn_ring *kept = calloc(1, sizeof(*kept));
    enum sgn_err err = SGN_ERR_NOMEM;
    if (kept != NULL) {
        err = sgn_ring_decode(bytes, kept) == SGN_OK ? SGN_OK : SGN_ERR_CORRUPT;
    }
    if (err != SGN_OK) {
        (void)snprintf(error,
                       error_bytes,
                       "the ring kept in the data directory %s cannot be read: %s",
                       driver->config->data,
                       sgn_err_text(err));
    } else if (sgn_ring_digest(kept) != driver->ring_digest) {
        char what[128];
        difference(kept, &driver->ring, what, sizeof(what));
        (void)snprintf(error,
                       error_bytes,
                       "the data directory %.200s is of ring %s with another member list (%s); the "
                       "membership of a ring cannot be changed by editing the configuration: put "
                       "the list back as it was",
                       driver->config->data,
                       kept->name,
                       what);
        err = SGN_ERR_WRONG_RING;
    }
    free(kept);
    return err;
}

enum sgn_err sgn_driver_check_ring(struct sgn_driver *driver, char *error, size_t error_bytes)
{
    struct sgn_store_value value;
    enum sgn_err err =
        sgn_store_get(driver->store, SGN_FAMILY_META, sgn_bytes_str(RING_KEY), &value);
    if (err == SGN_OK) {
        err = compare_kept(driver, value.bytes, error, error_bytes);
        sgn_store_value_release(&value);
        return err;
    }
    if (err == SGN_ERR_NOT_FOUND) {
        uint8_t *raw = malloc(SGN_RING_BYTES_MAX);
        if (raw != NULL) {
            struct sgn_sink sink = sgn_sink_of(raw, SGN_RING_BYTES_MAX);
            sgn_ring_encode(&driver->ring, &sink);
            struct sgn_store_write write = {.family = SGN_FAMILY_META,
                                            .key = sgn_bytes_str(RING_KEY),
                                            .value = sgn_sink_bytes(&sink)};
            err = write_now(driver->store, &write);
        } else {
            err = SGN_ERR_NOMEM;
        }
        free(raw);
    }
    if (err == SGN_ERR_DISK_FULL) {
        struct sgn_store_stats stats;
        sgn_store_stats(driver->store, &stats);
        (void)snprintf(
            error,
            error_bytes,
            "the data directory %.200s cannot be used: %llu MiB are free on its disk, and "
            "store.disk_reserve is to leave %llu MiB; free space or lower the reserve",
            driver->config->data,
            (unsigned long long)(stats.free_bytes >> 20),
            (unsigned long long)(driver->config->disk_reserve_bytes >> 20));
    } else if (err != SGN_OK) {
        (void)snprintf(error,
                       error_bytes,
                       "the data directory %.200s cannot be used: %s",
                       driver->config->data,
                       sgn_err_text(err));
    }
    return err;
}

/* --- the engine's state ---------------------------------------------------------------------- */

typedef void restore_fn(struct sgn_engine *engine, struct sgn_bytes key, struct sgn_bytes value);

static void restore_bucket(struct sgn_engine *engine, struct sgn_bytes key, struct sgn_bytes value)
{
    (void)key;
    sgn_engine_restore_bucket(engine, value);
}

/* META names of the ordered part; the store's own begin with NUL, the ring's description is looked
 * at before. */
static enum sgn_err restore_meta(struct sgn_driver *driver)
{
    static const char *const names[] = {"map", "register", "ceiling", "watermark", "purged"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct sgn_store_value value;
        struct sgn_bytes name = sgn_bytes_str(names[i]);
        enum sgn_err err = sgn_store_get(driver->store, SGN_FAMILY_META, name, &value);
        if (err == SGN_ERR_NOT_FOUND) {
            continue;
        }
        if (err == SGN_OK) {
            err = sgn_engine_restore_meta(driver->engine, name, value.bytes);
            sgn_store_value_release(&value);
        }
        if (err != SGN_OK) {
            return err;
        }
    }
    return SGN_OK;
}

static void restore_leaf(struct sgn_engine *engine, struct sgn_bytes key, struct sgn_bytes value)
{
    sgn_engine_restore_leaf(engine, key, value);
}

static void restore_hint(struct sgn_engine *engine, struct sgn_bytes key, struct sgn_bytes value)
{
    (void)value;
    sgn_engine_restore_hint(engine, key);
}

static enum sgn_err restore_family(struct sgn_driver *driver,
                                   const struct sgn_scan *first,
                                   restore_fn *restore,
                                   uint64_t *restored)
{
    struct sgn_scan scan = *first;
    uint8_t after[SGN_FULL_KEY_BYTES_MAX + 64];
    for (;;) {
        struct sgn_store_done page;
        enum sgn_err err =
            sgn_store_scan(driver->store, &scan, driver->ring.partition_count, &page);
        if (err != SGN_OK) {
            return err;
        }
        struct sgn_cursor cursor = sgn_cursor_of(page.items);
        struct sgn_bytes key;
        struct sgn_bytes value;
        while (sgn_items_next(&cursor, &key, &value)) {
            restore(driver->engine, key, value);
            ++*restored;
        }
        if (page.corrupt > 0) {
            SGN_LOG(SGN_LOG_WARN,
                    "corrupt entries left out",
                    NULL,
                    "family=%d entries=%u",
                    (int)scan.family,
                    page.corrupt);
        }
        bool end = page.end;
        bool bad = cursor.bad || page.after.count > sizeof(after) || (!end && page.examined == 0);
        if (!bad && page.after.count > 0) {
            memcpy(after, page.after.ptr, page.after.count);
        }
        scan.after = sgn_bytes_of(after, bad ? 0 : page.after.count);
        sgn_store_done_release(&page);
        if (bad) {
            return SGN_ERR_CORRUPT;
        }
        if (end) {
            return SGN_OK;
        }
    }
}

enum sgn_err sgn_driver_restore(struct sgn_driver *driver, char *error, size_t error_bytes)
{
    struct sgn_scan scan = {
        .items_max = PAGE_ITEMS, .examined_max = PAGE_ITEMS, .bytes_max = SGN_PAGE_BYTES_MAX};
    uint64_t buckets = 0;
    uint64_t leaves = 0;
    uint64_t hints = 0;
    scan.family = SGN_FAMILY_META;
    scan.prefix = sgn_bytes_str(BUCKETS_PREFIX);
    enum sgn_err err = restore_family(driver, &scan, restore_bucket, &buckets);
    scan.prefix = sgn_bytes_of(NULL, 0);
    if (err == SGN_OK) {
        err = restore_meta(driver);
    }
    if (err == SGN_OK) {
        scan.family = SGN_FAMILY_TREE;
        err = restore_family(driver, &scan, restore_leaf, &leaves);
    }
    if (err == SGN_OK) {
        scan.family = SGN_FAMILY_HINT;
        scan.heads_only = true;
        err = restore_family(driver, &scan, restore_hint, &hints);
    }
    if (err != SGN_OK) {
        (void)snprintf(error,
                       error_bytes,
                       "the data directory %.200s cannot be read: %s",
                       driver->config->data,
                       sgn_err_text(err));
        return err;
    }
    SGN_LOG(SGN_LOG_INFO,
            "restored",
            NULL,
            "buckets=%llu keys=%llu hints=%llu incarnation=%u clean=%s",
            (unsigned long long)buckets,
            (unsigned long long)leaves,
            (unsigned long long)hints,
            driver->identity.incarnation,
            driver->identity.was_clean ? "yes" : "no");
    return SGN_OK;
}
