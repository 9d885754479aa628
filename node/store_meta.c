/* The identity record: one META entry, written with a sync at every start and at a clean close.
 *
 *   key:   NUL "identity"
 *   value: u32 format | u32 node | u64 store id | u32 incarnation | u32 home generation
 *          | u8 clean | u8 ring name bytes | ring name
 * The format number stays the first field in every format to come. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "node/store_internal.h"

#define IDENTITY_KEY_BYTES   9u
#define IDENTITY_HEAD_BYTES  26u
#define FIRST_GENERATION_MAX (UINT32_C(1) << 30) /* Half the range: the rest is for raising. */
#define IDENTITY_BYTES_MAX   (IDENTITY_HEAD_BYTES + SGN_STORE_RING_NAME_BYTES_MAX)

static const char identity_key[IDENTITY_KEY_BYTES] = {0, 'i', 'd', 'e', 'n', 't', 'i', 't', 'y'};
/* The engine's (ring/core/engine.h): it raises a generation by itself and keeps it under these. */
static const char guest_key[] = "guest";
static const char home_key[] = "home";

struct identity_record {
    uint32_t format;
    uint32_t node;
    uint64_t store_id;
    uint32_t incarnation;
    uint32_t home_generation;
    bool clean;
    struct sgn_bytes ring_name;
};

static struct sgn_bytes identity_key_bytes(void)
{
    return sgn_bytes_of(identity_key, IDENTITY_KEY_BYTES);
}

static bool identity_decode(struct sgn_bytes bytes, struct identity_record *record)
{
    struct sgn_cursor cursor = sgn_cursor_of(bytes);
    *record = (struct identity_record){.format = (uint32_t)sgn_cursor_uint(&cursor, 4)};
    if (cursor.bad || record->format != SGN_STORE_FORMAT) {
        return !cursor.bad && record->format != 0; /* Of another format only the number counts. */
    }
    record->node = (uint32_t)sgn_cursor_uint(&cursor, 4);
    record->store_id = sgn_cursor_uint(&cursor, 8);
    record->incarnation = (uint32_t)sgn_cursor_uint(&cursor, 4);
    record->home_generation = (uint32_t)sgn_cursor_uint(&cursor, 4);
    record->clean = sgn_cursor_uint(&cursor, 1) == 1;
    record->ring_name = sgn_cursor_take(&cursor, sgn_cursor_uint(&cursor, 1));
    return !cursor.bad && cursor.left == 0 && record->incarnation > 0 &&
           record->home_generation > 0 && record->home_generation < SGN_STORE_GUEST_BIT;
}

static void batch_put(struct sgn_store *store,
                      rocksdb_writebatch_t *batch,
                      struct sgn_bytes key,
                      struct sgn_sink *sink)
{
    uint32_t crc = store_value_crc(key, sgn_sink_bytes(sink));
    sgn_sink_uint(sink, crc, STORE_TRAILER_BYTES);
    SGN_ASSERT(!sink->full);
    rocksdb_writebatch_put_cf(batch,
                              store->handles[SGN_FAMILY_META],
                              key.ptr,
                              key.count,
                              (const char *)sink->ptr,
                              sink->count);
}

/* Durable when it returns, whatever the option for other writes says. */
static enum sgn_err identity_write(struct sgn_store *store,
                                   bool clean,
                                   char *text,
                                   size_t text_bytes)
{
    const struct sgn_store_identity *identity = &store->identity;
    struct sgn_bytes name = sgn_bytes_str(store->ring_name);
    uint8_t raw[IDENTITY_BYTES_MAX + STORE_TRAILER_BYTES];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    sgn_sink_uint(&sink, SGN_STORE_FORMAT, 4);
    sgn_sink_uint(&sink, store->options.node, 4);
    sgn_sink_uint(&sink, identity->store_id, 8);
    sgn_sink_uint(&sink, identity->incarnation, 4);
    sgn_sink_uint(&sink, identity->home_generation, 4);
    sgn_sink_uint(&sink, clean ? 1 : 0, 1);
    sgn_sink_uint(&sink, name.count, 1);
    sgn_sink_put(&sink, name.ptr, name.count);

    uint8_t guest_raw[4 + STORE_TRAILER_BYTES];
    struct sgn_sink guest_sink = sgn_sink_of(guest_raw, sizeof(guest_raw));
    sgn_sink_uint(&guest_sink, identity->guest_generation, 4);

    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    batch_put(store, batch, identity_key_bytes(), &sink);
    if (!clean) { /* At a close the engine's own, perhaps newer, is there already. */
        batch_put(store, batch, sgn_bytes_str(guest_key), &guest_sink);
    }
    rocksdb_writeoptions_t *options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(options, 1);
    char *message = NULL;
    rocksdb_write(store->db, options, batch, &message);
    rocksdb_writeoptions_destroy(options);
    rocksdb_writebatch_destroy(batch);
    return store_error_take(message, text, text_bytes);
}

/* Reads a META entry into `raw`; sgn_store_get's errors. */
static enum sgn_err meta_read(struct sgn_store *store,
                              struct sgn_bytes key,
                              uint8_t *raw,
                              size_t *raw_bytes)
{
    struct sgn_store_value value;
    enum sgn_err err = sgn_store_get(store, SGN_FAMILY_META, key, &value);
    if (err != SGN_OK) {
        return err;
    }
    if (value.bytes.count > *raw_bytes) {
        err = SGN_ERR_CORRUPT;
    } else {
        memcpy(raw, value.bytes.ptr, value.bytes.count);
        *raw_bytes = value.bytes.count;
    }
    sgn_store_value_release(&value);
    return err;
}

/* Whether the families hold anything: a directory without an identity must be empty. */
static bool families_empty(struct sgn_store *store)
{
    bool empty = true;
    for (uint32_t i = 0; i < STORE_FAMILY_COUNT && empty; i++) {
        rocksdb_iterator_t *iter =
            rocksdb_create_iterator_cf(store->db, store->read_all, store->handles[i]);
        rocksdb_iter_seek_to_first(iter);
        empty = rocksdb_iter_valid(iter) == 0;
        rocksdb_iter_destroy(iter);
    }
    return empty;
}

static enum sgn_err identity_new(struct sgn_store *store)
{
    struct sgn_store_identity *identity = &store->identity;
    uint8_t raw[20];
    if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw)) {
        return SGN_ERR_IO;
    }
    /* The node may have had another disk before this one, and the ring may still hold what it wrote
     * then: what is counted from 1 would give new writes and ballots the names of those. */
    uint32_t home = (uint32_t)sgn_get_uint(raw + 8, 4) % FIRST_GENERATION_MAX + 1;
    uint32_t guest = (uint32_t)sgn_get_uint(raw + 12, 4) % FIRST_GENERATION_MAX + 1;
    uint32_t incarnation = (uint32_t)sgn_get_uint(raw + 16, 4) % FIRST_GENERATION_MAX + 1;
    *identity = (struct sgn_store_identity){
        .store_id = sgn_get_uint(raw, 8) | 1, /* 0 is no disk. */
        .incarnation = incarnation,
        .home_generation = home,
        .guest_generation = SGN_STORE_GUEST_BIT | guest,
        .is_new = true,
        .was_clean = true,
    };
    return SGN_OK;
}

static enum sgn_err generation_read(struct sgn_store *store, const char *key, uint32_t *generation)
{
    uint8_t raw[4];
    size_t raw_bytes = sizeof(raw);
    enum sgn_err err = meta_read(store, sgn_bytes_str(key), raw, &raw_bytes);
    if (err != SGN_OK) {
        return err;
    }
    *generation = (uint32_t)sgn_get_uint(raw, 4);
    return raw_bytes == 4 ? SGN_OK : SGN_ERR_CORRUPT;
}

/* The checks that come before anything is changed. */
static enum sgn_err identity_check(const struct sgn_store *store,
                                   const struct identity_record *record,
                                   char *error,
                                   size_t error_bytes)
{
    if (record->format > SGN_STORE_FORMAT) {
        snprintf(error,
                 error_bytes,
                 "data directory %s has format %" PRIu32 ", and this program knows formats up to "
                 "%u: start a newer signet-node on it",
                 store->directory,
                 record->format,
                 SGN_STORE_FORMAT);
        return SGN_ERR_FORMAT;
    }
    if (record->format < SGN_STORE_FORMAT) {
        snprintf(error,
                 error_bytes,
                 "data directory %s has format %" PRIu32 ", of before %s, and this "
                 "program knows format %u: export it with the program that wrote it and import it "
                 "into a new ring",
                 store->directory,
                 record->format,
                 record->format == 1 ? "ordered buckets" : "nodes were listed with disks",
                 SGN_STORE_FORMAT);
        return SGN_ERR_FORMAT;
    }
    bool same_ring = sgn_bytes_equal(record->ring_name, sgn_bytes_str(store->ring_name));
    if (!same_ring || record->node != store->options.node) {
        snprintf(error,
                 error_bytes,
                 "data directory %s belongs to node %" PRIu32
                 " of ring '%.*s', not to node %" PRIu32
                 " of ring '%s': give this node a directory of its own",
                 store->directory,
                 record->node,
                 (int)record->ring_name.count,
                 (const char *)record->ring_name.ptr,
                 store->options.node,
                 store->ring_name);
        return SGN_ERR_WRONG_RING;
    }
    return SGN_OK;
}

static enum sgn_err unreadable(const struct sgn_store *store,
                               enum sgn_err err,
                               char *error,
                               size_t error_bytes)
{
    snprintf(
        error,
        error_bytes,
        "data directory %s has no readable identity (%s): move it away and start with an empty "
        "one; the other replicas fill it",
        store->directory,
        sgn_err_text(err));
    return err;
}

static enum sgn_err identity_raise(struct sgn_store *store, const struct identity_record *record)
{
    struct sgn_store_identity *identity = &store->identity;
    *identity = (struct sgn_store_identity){
        .store_id = record->store_id,
        .incarnation = record->incarnation + 1,
        .home_generation = record->home_generation,
        .was_clean = record->clean,
    };
    enum sgn_err err = generation_read(store, guest_key, &identity->guest_generation);
    if (err != SGN_OK) {
        return err == SGN_ERR_NOT_FOUND ? SGN_ERR_CORRUPT : err; /* Every start writes it. */
    }
    identity->guest_generation |= SGN_STORE_GUEST_BIT;
    uint32_t home = 0; /* Not there unless the engine has ever raised it. */
    err = generation_read(store, home_key, &home);
    if (err != SGN_OK && err != SGN_ERR_NOT_FOUND) {
        return err;
    }
    if (home > identity->home_generation) {
        identity->home_generation = home;
    }
    /* An actor whose last writes may be lost must not number new ones as it did those. */
    if (!record->clean) {
        identity->guest_generation = (identity->guest_generation + 1) | SGN_STORE_GUEST_BIT;
    }
    if (!record->clean || store->options.raise_home_generation) {
        identity->home_generation++;
    }
    return SGN_OK;
}

enum sgn_err store_meta_begin(struct sgn_store *store,
                              bool log_was_cut,
                              char *error,
                              size_t error_bytes)
{
    uint8_t raw[1024]; /* Room for a newer format's. */
    size_t raw_bytes = sizeof(raw);
    enum sgn_err err = meta_read(store, identity_key_bytes(), raw, &raw_bytes);
    if (err == SGN_ERR_NOT_FOUND && families_empty(store)) {
        err = identity_new(store);
    } else if (err == SGN_OK) {
        struct identity_record record;
        if (!identity_decode(sgn_bytes_of(raw, raw_bytes), &record)) {
            return unreadable(store, SGN_ERR_CORRUPT, error, error_bytes);
        }
        err = identity_check(store, &record, error, error_bytes);
        if (err != SGN_OK) {
            return err;
        }
        err = identity_raise(store, &record);
    }
    if (err != SGN_OK) {
        return unreadable(
            store, err == SGN_ERR_NOT_FOUND ? SGN_ERR_CORRUPT : err, error, error_bytes);
    }
    store->identity.log_was_cut = log_was_cut;
    char text[STORE_ERROR_TEXT_BYTES / 2];
    err = identity_write(store, false, text, sizeof(text));
    if (err != SGN_OK) {
        snprintf(
            error, error_bytes, "data directory %s cannot be written: %s", store->directory, text);
    }
    return err;
}

enum sgn_err store_meta_end(struct sgn_store *store)
{
    return identity_write(store, true, NULL, 0);
}
