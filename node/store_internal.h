/* node/store_internal.h - the parts of the store's files, for those files only.
 *
 * store.c        options, opening and closing the database, reading one key, statistics
 * store_meta.c   the identity record: whose directory this is, incarnation, generations, clean mark
 * commit.c       units in, groups to the log, free space, the end of writing
 * value_cache.c  small values that were read or written lately
 * readpool.c     reads and scans on threads; the done list both sides report to
 * store_scan.c   one page of a family
 *
 * Locks: commit.lock, reads.lock, done.lock; none is taken while another is held. Counters are
 * atomics, read by anyone. */
#ifndef SGN_NODE_STORE_INTERNAL_H
#define SGN_NODE_STORE_INTERNAL_H

#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>

#include "node/store.h"
#include "node/value_cache.h"
#include "ring/core/check.h"
#include "ring/core/key.h"

#define STORE_FAMILY_COUNT     4u
#define STORE_TRAILER_BYTES    4u /* CRC32C over key and value, little-endian, behind the value. */
#define STORE_KEY_BYTES_MAX    2048u /* Tree keys: a full key and 10 bytes. */
#define STORE_READ_THREADS_MAX 64u
#define STORE_ERROR_TEXT_BYTES 400u
/* Groups beyond this wait for the next sync: a batch is a second copy in memory. */
#define STORE_GROUP_BYTES_MAX ((uint64_t)32 << 20)
#define STORE_SPACE_CHECK_MS  50u
/* Results waiting to be polled; past it the read threads pause. */
#define STORE_RESULT_BYTES_MAX ((uint64_t)256 << 20)

_Static_assert(SGN_FULL_KEY_BYTES_MAX + 16 <= STORE_KEY_BYTES_MAX, "every family's keys must fit");

/* What waits, works and is reported: the common beginning of units and read jobs. */
struct store_job {
    struct store_job *next;
    struct sgn_store_done done;
    uint64_t bytes; /* Charged against a queue limit until polled. */
    uint32_t ops;
};

struct store_queue {
    struct store_job *first, *last;
};

/* A unit owns one block: this, its writes, their bytes. */
struct store_write {
    const uint8_t *key;
    const uint8_t *value; /* With its trailer. NULL: a delete. */
    uint32_t key_bytes;
    uint32_t value_bytes;
    enum sgn_family family;
};

struct store_unit {
    struct store_job job;
    uint32_t write_count;
    struct store_write writes[];
};

struct store_read {
    struct store_job job;
    struct sgn_scan scan; /* SCAN: its slices point into data. READ: prefix is the key. */
    uint32_t partition_count;
    uint8_t data[];
};

struct store_commit {
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct store_queue queue;    /* Guarded by lock. */
    bool ending;                 /* Guarded by lock. */
    rocksdb_writebatch_t *batch; /* The commit thread's. */
    uint64_t space_checked_ms;   /* The commit thread's, with the next. */
    uint64_t space_left;         /* Bytes that may still be written before looking again. */
};

struct store_reads {
    pthread_t threads[STORE_READ_THREADS_MAX];
    uint32_t started;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct store_queue queue; /* Guarded by lock, as the next two. */
    uint64_t result_bytes;
    bool ending;
};

struct store_done_list {
    pthread_mutex_t lock;
    struct store_queue queue; /* Guarded by lock. */
    int event_fd;
};

struct store_counters {
    _Atomic uint64_t syncs, units, writes, written_bytes, group_units_max;
    _Atomic uint64_t corrupt, refused_busy, refused_full, free_bytes;
    _Atomic uint64_t waiting_bytes;
    _Atomic uint32_t waiting_writes, waiting_reads;
};

struct sgn_store {
    struct sgn_store_options options; /* Defaults filled in; the strings point to the next two. */
    char *directory;
    char *ring_name;
    struct sgn_store_identity identity;

    rocksdb_t *db;
    rocksdb_cache_t *cache;
    struct sgn_value_cache *values;                 /* Of the data family. The loop's. */
    rocksdb_column_family_handle_t *default_handle; /* Always there, never used. */
    rocksdb_column_family_handle_t *handles[STORE_FAMILY_COUNT]; /* By enum sgn_family. */
    rocksdb_writeoptions_t *write_options;
    rocksdb_readoptions_t *read_all;
    rocksdb_readoptions_t *read_memory;

    _Atomic int state;                      /* enum sgn_store_state. STOPPED is never left. */
    _Atomic int stop_error;                 /* What submits answer once stopped. */
    char stop_text[STORE_ERROR_TEXT_BYTES]; /* Written before state becomes STOPPED, then fixed. */
    struct store_counters counters;
    _Atomic bool write_refused; /* In this run: no clean mark. */
    struct store_commit commit;
    struct store_reads reads;
    struct store_done_list done;
};

/* store.c: turns a RocksDB message into a code; frees it. `text` (may be NULL) gets a copy. */
enum sgn_err store_error_take(char *message, char *text, size_t text_bytes);
/* The value without its trailer; false, and counted, if the trailer does not agree. */
bool store_value_check(struct sgn_store *store,
                       struct sgn_bytes key,
                       struct sgn_bytes stored,
                       struct sgn_bytes *value);
uint32_t store_value_crc(struct sgn_bytes key, struct sgn_bytes value);
uint64_t store_now_ms(void);
bool store_thread_start(pthread_t *thread,
                        void *(*body)(void *),
                        struct sgn_store *store,
                        const char *name);

/* store_meta.c: checks whose directory this is, then makes this start durable. */
enum sgn_err store_meta_begin(struct sgn_store *store,
                              bool log_was_cut,
                              char *error,
                              size_t error_bytes);
/* Writes the clean mark. */
enum sgn_err store_meta_end(struct sgn_store *store);

/* commit.c */
bool store_commit_start(struct sgn_store *store);
void store_commit_end(struct sgn_store *store); /* Commits what waits; joins. */

/* readpool.c */
bool store_reads_start(struct sgn_store *store);
void store_reads_end(struct sgn_store *store); /* Drops what waits; joins. */
void store_done_post(struct sgn_store *store, struct store_queue *finished); /* Empties it. */
void store_done_drop(struct sgn_store *store);
void store_queue_push(struct store_queue *queue, struct store_job *job);
struct store_job *store_queue_pop(struct store_queue *queue);

/* store_scan.c */
bool store_scan_valid(const struct sgn_scan *scan, uint32_t partition_count);
void store_scan_run(struct sgn_store *store,
                    const struct sgn_scan *scan,
                    uint32_t partition_count,
                    struct sgn_store_done *out);

#endif
