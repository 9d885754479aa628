#include "node/store_rocks.h"

#include <stdio.h>
#include <string.h>

/* The names are in the files: a family is never renamed. */
static const char *const family_names[STORE_FAMILY_COUNT + 1] = {
    [SGN_FAMILY_DATA] = "data",
    [SGN_FAMILY_TREE] = "tree",
    [SGN_FAMILY_HINT] = "hints",
    [SGN_FAMILY_META] = "meta",
    [STORE_FAMILY_COUNT] = "default",
};

#define HANDLE_COUNT   (STORE_FAMILY_COUNT + 1)
#define MIB            ((size_t)1 << 20)
#define OPEN_FILES_MAX 512
/* Replaying the log is what a start after a crash waits for. */
#define LOG_BYTES_MAX      (128 * MIB)
#define BLOOM_BITS_PER_KEY 10.0
#define LOG_LEVEL_WARN     2
#define MEMORY_TIER        1 /* kBlockCacheTier: memory tables and block cache. */

enum sgn_err store_error_take(char *message, char *text, size_t text_bytes)
{
    if (message == NULL) {
        return SGN_OK;
    }
    if (text != NULL) {
        snprintf(text, text_bytes, "%s", message);
    }
    /* The database has no codes in C, only these beginnings and the system's words. */
    enum sgn_err err = SGN_ERR_IO;
    if (strncmp(message, "Result incomplete", 17) == 0) {
        err = SGN_ERR_BUSY;
    } else if (strstr(message, "No space left on device") != NULL) {
        err = SGN_ERR_DISK_FULL;
    } else if (strncmp(message, "Corruption", 10) == 0) {
        err = SGN_ERR_CORRUPT;
    } else if (strstr(message, "lock file") != NULL || strstr(message, "lock hold") != NULL) {
        err = SGN_ERR_IN_USE;
    } else if (strncmp(message, "Invalid argument: Column famil", 30) == 0) {
        err = SGN_ERR_FORMAT;
    }
    rocksdb_free(message);
    return err;
}

static rocksdb_options_t *database_options(int recovery_mode)
{
    rocksdb_options_t *o = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(o, 1);
    rocksdb_options_set_create_missing_column_families(o, 1);
    rocksdb_options_set_paranoid_checks(o, 1);
    rocksdb_options_set_wal_recovery_mode(o, recovery_mode);
    rocksdb_options_set_max_open_files(o, OPEN_FILES_MAX);
    rocksdb_options_set_max_background_jobs(o, 2);
    /* Families that are written seldom would hold old logs back; past this they are flushed. */
    rocksdb_options_set_max_total_wal_size(o, LOG_BYTES_MAX);
    /* A reused log file would hold old records behind its end, which a cut could mistake. */
    rocksdb_options_set_recycle_log_file_num(o, 0);
    rocksdb_options_set_info_log_level(o, LOG_LEVEL_WARN);
    rocksdb_options_set_max_log_file_size(o, 4 * MIB);
    rocksdb_options_set_keep_log_file_num(o, 4);
    rocksdb_options_set_stats_dump_period_sec(o, 0);
    rocksdb_options_set_max_manifest_file_size(o, 16 * MIB);
    rocksdb_options_set_avoid_unnecessary_blocking_io(o, 1);
    /* A table goes to the disk while it is made: in one piece it would hold up the log's syncs. */
    rocksdb_options_set_bytes_per_sync(o, MIB);
    return o;
}

static void table_tune(rocksdb_options_t *options, rocksdb_cache_t *cache)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_filter_policy(
        table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS_PER_KEY));
    rocksdb_block_based_options_set_block_size(table, 8 * 1024);
    rocksdb_block_based_options_set_block_cache(table, cache);
    /* Indexes and filters count against the cache, or its size would bound nothing. */
    rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
    rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(table, 1);
    rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_block_based_options_destroy(table);
}

/* Values of assets are not copied by every compaction: files of their own, collected when stale. */
static void blobs_tune(rocksdb_options_t *options, rocksdb_cache_t *cache, uint64_t blob_bytes_min)
{
    rocksdb_options_set_enable_blob_files(options, 1);
    rocksdb_options_set_min_blob_size(options, blob_bytes_min);
    rocksdb_options_set_blob_file_size(options, 128 * MIB);
    rocksdb_options_set_blob_compression_type(options, rocksdb_lz4_compression);
    rocksdb_options_set_enable_blob_gc(options, 1);
    rocksdb_options_set_blob_gc_age_cutoff(options, 0.25);
    rocksdb_options_set_blob_gc_force_threshold(options, 0.5);
    rocksdb_options_set_blob_cache(options, cache);
}

static rocksdb_options_t *family_options(const struct sgn_store *store, uint32_t family)
{
    rocksdb_options_t *o = rocksdb_options_create();
    bool records = family == SGN_FAMILY_DATA || family == SGN_FAMILY_HINT;
    /* Replicas take the same writes. Were their memory tables of one size, they would be flushed at
     * one moment, and no quorum would be left that is not busy with it. */
    size_t buffer = records ? 32 * MIB : 16 * MIB;
    rocksdb_options_set_write_buffer_size(o, buffer - buffer / 8 * (store->options.node % 4));
    rocksdb_options_set_max_write_buffer_number(o, 3);
    rocksdb_options_set_compression(o, rocksdb_lz4_compression);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(o, 1);
    table_tune(o, store->cache);
    if (records) {
        blobs_tune(o, store->cache, store->options.blob_bytes_min);
    }
    return o;
}

static enum sgn_err open_once(struct sgn_store *store,
                              int recovery_mode,
                              char *text,
                              size_t text_bytes)
{
    rocksdb_options_t *database = database_options(recovery_mode);
    rocksdb_options_t *families[HANDLE_COUNT];
    rocksdb_column_family_handle_t *handles[HANDLE_COUNT] = {NULL};
    for (uint32_t i = 0; i < HANDLE_COUNT; i++) {
        families[i] = family_options(store, i);
    }
    char *message = NULL;
    store->db = rocksdb_open_column_families(database,
                                             store->directory,
                                             (int)HANDLE_COUNT,
                                             family_names,
                                             (const rocksdb_options_t *const *)families,
                                             handles,
                                             &message);
    for (uint32_t i = 0; i < HANDLE_COUNT; i++) {
        rocksdb_options_destroy(families[i]);
    }
    rocksdb_options_destroy(database);
    if (message != NULL) {
        store->db = NULL;
        return store_error_take(message, text, text_bytes);
    }
    memcpy(store->handles, handles, sizeof(store->handles));
    store->default_handle = handles[STORE_FAMILY_COUNT];
    return SGN_OK;
}

/* A newer program's directory may have families unknown here; found before anything is opened. */
static bool families_known(const struct sgn_store *store)
{
    rocksdb_options_t *options = rocksdb_options_create();
    size_t count = 0;
    char *message = NULL;
    char **names = rocksdb_list_column_families(options, store->directory, &count, &message);
    rocksdb_options_destroy(options);
    if (message !=
        NULL) { /* Not a database yet, or a broken one: opening tells. The list is empty. */
        rocksdb_free(message);
    }
    bool known = true;
    for (size_t i = 0; i < count; i++) {
        bool found = false;
        for (uint32_t k = 0; k < HANDLE_COUNT; k++) {
            found = found || strcmp(names[i], family_names[k]) == 0;
        }
        known = known && found;
    }
    rocksdb_list_column_families_destroy(names, count);
    return known;
}

static void open_explain(const struct sgn_store *store,
                         enum sgn_err err,
                         const char *text,
                         char *error,
                         size_t error_bytes)
{
    const char *directory = store->directory;
    switch ((int)err) {
    case SGN_ERR_IN_USE:
        snprintf(error,
                 error_bytes,
                 "data directory %s is in use by another process: stop that node first",
                 directory);
        break;
    case SGN_ERR_FORMAT:
        snprintf(
            error,
            error_bytes,
            "data directory %s was written by a newer program: start a newer signet-node on it",
            directory);
        break;
    case SGN_ERR_CORRUPT:
        snprintf(error,
                 error_bytes,
                 "data directory %s is damaged (%s): move it away and start with an empty one; the "
                 "other replicas fill it",
                 directory,
                 text);
        break;
    case SGN_ERR_DISK_FULL:
        snprintf(error,
                 error_bytes,
                 "data directory %s is on a full disk: free some space (%s)",
                 directory,
                 text);
        break;
    default:
        snprintf(error, error_bytes, "data directory %s cannot be opened: %s", directory, text);
        break;
    }
}

/* A power cut may tear the end of the log, behind the last sync; nothing there was acknowledged. A
 * short end is dropped by the first mode. Garbage, such as pages of the last write that did not
 * make it, fails it; the second mode then keeps everything before the garbage. It alone would do,
 * but would be silent about rot in the middle, which eats acknowledged writes: hence the two
 * steps. */
static enum sgn_err open_recover(struct sgn_store *store,
                                 bool *log_was_cut,
                                 char *text,
                                 size_t text_bytes)
{
    *log_was_cut = false;
    enum sgn_err err =
        open_once(store, rocksdb_tolerate_corrupted_tail_records_recovery, text, text_bytes);
    if (err == SGN_ERR_CORRUPT) {
        err = open_once(store, rocksdb_point_in_time_recovery, text, text_bytes);
        *log_was_cut = err == SGN_OK;
    }
    return err;
}

enum sgn_err store_rocks_open(struct sgn_store *store,
                              bool *log_was_cut,
                              char *error,
                              size_t error_bytes)
{
    char text[STORE_ERROR_TEXT_BYTES / 2] = "";
    store->cache = rocksdb_cache_create_lru(store->options.block_cache_bytes);
    enum sgn_err err = SGN_ERR_FORMAT;
    if (families_known(store)) {
        err = open_recover(store, log_was_cut, text, sizeof(text));
    }
    if (err != SGN_OK) {
        open_explain(store, err, text, error, error_bytes);
        return err;
    }
    store->write_options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(store->write_options,
                                  store->options.sync == SGN_STORE_SYNC ? 1 : 0);
    store->read_all = rocksdb_readoptions_create();
    store->read_memory = rocksdb_readoptions_create();
    rocksdb_readoptions_set_read_tier(store->read_memory, MEMORY_TIER);
    return SGN_OK;
}

enum sgn_err store_rocks_flush(struct sgn_store *store)
{
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(options, 1);
    enum sgn_err err = SGN_OK;
    for (uint32_t i = 0; i < STORE_FAMILY_COUNT && err == SGN_OK; i++) {
        char *message = NULL;
        rocksdb_flush_cf(store->db, options, store->handles[i], &message);
        err = store_error_take(message, NULL, 0);
    }
    rocksdb_flushoptions_destroy(options);
    return err;
}

void store_rocks_close(struct sgn_store *store)
{
    if (store->db != NULL) {
        for (uint32_t i = 0; i < STORE_FAMILY_COUNT; i++) {
            rocksdb_column_family_handle_destroy(store->handles[i]);
        }
        rocksdb_column_family_handle_destroy(store->default_handle);
        rocksdb_close(store->db);
    }
    if (store->write_options != NULL) {
        rocksdb_writeoptions_destroy(store->write_options);
        rocksdb_readoptions_destroy(store->read_all);
        rocksdb_readoptions_destroy(store->read_memory);
    }
    if (store->cache != NULL) {
        rocksdb_cache_destroy(store->cache);
    }
}
