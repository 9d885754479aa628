/* node/store.h - what a node keeps on its disk. The only user of RocksDB.
 *
 * A store is one directory of one node of one ring, open in one process. Writes are handed over as
 * *units*; one commit thread takes all units waiting, writes them as one batch with one sync of the
 * write-ahead log, and reports each as done. Reads that memory can serve are served at once; the
 * others go to a small pool of threads. Results of both come back through sgn_store_poll.
 *
 *   loop thread                     commit thread                read threads
 *   sgn_store_submit ---units-----> batch, write, sync
 *   sgn_store_get_async, _scan_async ------------jobs----------> read, check
 *   sgn_store_event_fd readable <---done list------------------------+
 *   sgn_store_poll
 *
 * Invariants: a unit is reported SGN_OK only after the sync that covers it. Units become durable in
 *             the order of their submits, each whole or not at all: what survives a crash is a
 *             prefix of them that holds every acknowledged one. Every accepted unit, read and scan
 *             is reported exactly once. A read shows every unit reported before the read was asked.
 * Checksums:  every value is kept with a CRC32C over its key and itself. A value that fails it is
 *             never handed out: SGN_ERR_CORRUPT, and counted.
 * Failure:    the first failed write or sync ends writing until the store is opened anew (a log
 *             that once failed to sync cannot be trusted by asking again); reads go on. A disk that
 *             runs low on space is noticed before the write: units are refused with
 *             SGN_ERR_DISK_FULL and taken again once space is back. A unit reported
 *             SGN_ERR_DISK_FULL was never given to the database and is certainly not kept; one
 *             reported SGN_ERR_IO may or may not be there after a restart. When the database itself
 *             meets a full disk the units it was given are SGN_ERR_IO, those that come later
 *             SGN_ERR_DISK_FULL.
 * Threads:    functions marked [loop] are for one thread, the store's owner. [any]: any thread.
 *             None but those that say so waits for a disk.
 * Units:      lengths in bytes, times in milliseconds. */
#ifndef SGN_NODE_STORE_H
#define SGN_NODE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring/core/bytes.h"
#include "ring/core/engine.h" /* enum sgn_family, struct sgn_store_write, struct sgn_scan. */
#include "ring/core/err.h"

#define SGN_STORE_FORMAT              3u /* Of the directory; raised when older code fails on it. */
#define SGN_STORE_RING_NAME_BYTES_MAX 63u
#define SGN_STORE_UNIT_WRITES_MAX     64u
#define SGN_STORE_ERROR_BYTES                                                                      \
    512u /* A buffer of this size holds every sentence of sgn_store_open. */
#define SGN_STORE_SCAN_MS_MAX 100u /* A scan hands back what it has after this long. */

/* Actor generations (ring/core/record.h) are handed out from two ranges that never meet, since both
 * name actors of one node: home below this bit, guest from it up. A new directory begins both at a
 * random place of the lower half of their range, so that a node whose disk was lost and which
 * starts again under its id does not give its writes the names of those it made before. */
#define SGN_STORE_GUEST_BIT (UINT32_C(1) << 31)

struct sgn_store;

enum sgn_store_sync {
    SGN_STORE_SYNC = 0,
    SGN_STORE_NO_SYNC = 1, /* Acknowledges what a power cut may lose. For measuring only. */
};

/* Zeroed memory is all defaults, but for directory, ring_name and node. Copied by open. */
struct sgn_store_options {
    const char *directory;       /* Made when missing; its parent must be there. */
    const char *ring_name;       /* 1..63 bytes. */
    uint32_t node;               /* Own id, not 0. */
    uint64_t disk_reserve_bytes; /* Free space writes must leave. 64 MiB. */
    uint64_t block_cache_bytes;  /* 256 MiB. */
    uint64_t blob_bytes_min;     /* Values from this size up go to blob files. 16 KiB. */
    enum sgn_store_sync sync;
    uint32_t read_threads;      /* 2; at most 64. */
    uint32_t commit_ops_max;    /* Writes accepted and not yet polled. 8192. */
    uint64_t commit_bytes_max;  /* Their bytes. 256 MiB. */
    uint32_t read_jobs_max;     /* Reads and scans accepted and not yet polled. 4096. */
    bool raise_home_generation; /* The home actor must not mint under its old name any more. */
};

/* Who this store is. Durable before open returns. */
struct sgn_store_identity {
    uint64_t store_id;         /* Random, made with the directory. */
    uint32_t incarnation;      /* 1 at the first start; one more at every start. */
    uint32_t home_generation;  /* One more after a stop that was not clean, and when asked. */
    uint32_t guest_generation; /* META "guest", if the engine wrote one; one more after a stop that
                                  was not clean. Always has SGN_STORE_GUEST_BIT. */
    bool is_new;               /* The directory was made by this open. */
    bool was_clean;   /* The last run ended in sgn_store_close without a failure, refused no
                                  write and met no corrupt record. True when new. */
    bool log_was_cut; /* The log held garbage behind its good part and was cut there: a torn
                                  last write, or rot that may have eaten acknowledged writes. */
};

/* Bytes read. Valid until sgn_store_value_release, which must come before sgn_store_close. */
struct sgn_store_value {
    struct sgn_bytes bytes;
    void *pin;                   /* What holds the bytes, of the database or ... */
    struct sgn_value_slot *slot; /* ... of the small values; both NULL: nothing to release. */
};

enum sgn_store_done_type { SGN_STORE_DONE_WRITE, SGN_STORE_DONE_READ, SGN_STORE_DONE_SCAN };

/* One finished unit, read or scan. Give it to sgn_store_done_release when done with it. */
struct sgn_store_done {
    enum sgn_store_done_type type;
    uint64_t token;
    enum sgn_err err;
    struct sgn_store_value value; /* READ, when err is SGN_OK. */
    struct sgn_bytes items;       /* SCAN: ring/core/items.h pairs. */
    struct sgn_bytes after;       /* SCAN: the last key examined; the next page begins behind it. */
    uint32_t item_count;
    uint32_t examined;
    uint32_t corrupt; /* SCAN: records left out because they fail their checksum. */
    bool end;         /* SCAN: nothing behind `after` has the prefix. */
    void *memory;     /* Behind items and after; the release frees it. */
};

enum sgn_store_state {
    SGN_STORE_RUNNING,
    SGN_STORE_FULL,    /* Too little free space: refuses writes, looks again every 50 ms. */
    SGN_STORE_STOPPED, /* A write or sync failed: refuses writes until opened anew. */
};

struct sgn_store_stats {
    enum sgn_store_state state;
    const char *state_text;   /* One sentence. Valid as long as the store. */
    uint64_t disk_bytes;      /* Tables and blob files, without the log. */
    uint64_t free_bytes;      /* Of the file system, as last looked at. */
    uint64_t keys_estimate;   /* Of the data family. */
    uint64_t syncs;           /* Log syncs = groups committed, also the failed one. */
    uint64_t units;           /* Units in them. */
    uint64_t writes;          /* Puts and deletes in them. */
    uint64_t written_bytes;   /* Keys and values of them. */
    uint64_t group_units_max; /* Units of the largest group. */
    uint64_t corrupt;         /* Reads that failed a checksum. */
    uint64_t refused_busy, refused_full;
    uint32_t waiting_writes; /* Accepted and not yet polled. */
    uint64_t waiting_bytes;
    uint32_t waiting_reads;
};

/* Opens or makes the store and starts its threads. Waits for the disk. On failure *store is NULL
 * and `error` holds one sentence that names the directory and says what to do. Errors:
 *   SGN_ERR_INVALID     an option is out of range, or the directory holds files of something else;
 *   SGN_ERR_IN_USE      another process (or this one) has it open;
 *   SGN_ERR_WRONG_RING  it belongs to another ring or node; nothing was changed;
 *   SGN_ERR_FORMAT      a newer program wrote it, or one of before ordered buckets (format 1, where
 *                       the bucket `default` is available); nothing was changed;
 *   SGN_ERR_CORRUPT, SGN_ERR_IO, SGN_ERR_DISK_FULL, SGN_ERR_NOMEM. */
enum sgn_err sgn_store_open(struct sgn_store **store,
                            const struct sgn_store_options *options,
                            char *error,
                            size_t error_bytes);

/* Commits what was accepted, ends the threads, writes the clean mark and frees everything; results
 * not polled are dropped. Waits for the disk. [loop] SGN_OK when the mark is durable, or was left
 * out since a write was refused in this run; without it the next start finds an unclean stop. The
 * store is freed in any case. */
enum sgn_err sgn_store_close(struct sgn_store *store);

/* [any] */
struct sgn_store_identity sgn_store_identity(const struct sgn_store *store);

/* Readable when sgn_store_poll has something. Belongs to the store; only wait on it. [any] */
int sgn_store_event_fd(const struct sgn_store *store);

/* Hands over one atomic unit of 1..SGN_STORE_UNIT_WRITES_MAX writes; the bytes are copied. Never
 * waits. [loop] SGN_OK: will be reported as a WRITE with this token, once sgn_store_commit has been
 * called. Otherwise nothing is kept:
 *   SGN_ERR_BUSY       the queue is full (commit_ops_max, commit_bytes_max);
 *   SGN_ERR_TOO_LARGE  the unit alone is larger than the queue;
 *   SGN_ERR_INVALID    no writes or too many, an empty key, or a META key that begins with NUL
 *                      (those are the store's own);
 *   SGN_ERR_DISK_FULL, SGN_ERR_IO (see Failure above), SGN_ERR_NOMEM. */
enum sgn_err sgn_store_submit(struct sgn_store *store,
                              uint64_t token,
                              const struct sgn_store_write *writes,
                              uint32_t write_count);

/* Has the commit thread take what was submitted. Once for all that a turn of the loop brought: were
 * it woken by the first of them, it would sync that one alone while the others wait. [loop] */
void sgn_store_commit(struct sgn_store *store);

/* Moves up to `max` finished entries to `out`; returns how many. Never waits. [loop] */
uint32_t sgn_store_poll(struct sgn_store *store, struct sgn_store_done *out, uint32_t max);
void sgn_store_done_release(struct sgn_store_done *done);

/* Reads from memory only: never waits for a disk. [loop]
 * SGN_OK, SGN_ERR_NOT_FOUND, SGN_ERR_CORRUPT, SGN_ERR_IO; SGN_ERR_BUSY: the answer may be on the
 * disk, use one of the others. *out needs releasing after SGN_OK only. */
enum sgn_err sgn_store_get_cached(struct sgn_store *store,
                                  enum sgn_family family,
                                  struct sgn_bytes key,
                                  struct sgn_store_value *out);

/* As above, but waits for the disk and never says SGN_ERR_BUSY. [any] */
enum sgn_err sgn_store_get(struct sgn_store *store,
                           enum sgn_family family,
                           struct sgn_bytes key,
                           struct sgn_store_value *out);
void sgn_store_value_release(struct sgn_store_value *value);

/* The same on a read thread; comes back as a READ. The key is copied. [loop]
 * SGN_ERR_BUSY (read_jobs_max), SGN_ERR_INVALID (an empty key, or one too long), SGN_ERR_NOMEM. */
enum sgn_err sgn_store_get_async(struct sgn_store *store,
                                 uint64_t token,
                                 enum sgn_family family,
                                 struct sgn_bytes key);

/* One page of a family in key order on a read thread; comes back as a SCAN. Everything is copied.
 * [loop] The page ends at items_max, bytes_max, examined_max, SGN_STORE_SCAN_MS_MAX, or the end of
 * the prefix, whichever comes first; it holds one item even if that is larger than bytes_max, and
 * examines one key at least. With a `partitions` bitmap (bit p of byte p / 8, from the low end)
 * only keys of those of the ring's `partition_count` partitions are kept; without, partition_count
 * is not looked at. Deletions under way are seen or not, key by key; a page is of one moment.
 * SGN_ERR_BUSY (read_jobs_max), SGN_ERR_INVALID (a limit of 0, a bitmap of the wrong size,
 * `partitions` outside DATA, `heads_only` outside DATA and HINT, a prefix or `after` too long),
 * SGN_ERR_NOMEM. */
enum sgn_err sgn_store_scan_async(struct sgn_store *store,
                                  uint64_t token,
                                  const struct sgn_scan *scan,
                                  uint32_t partition_count);

/* The same page at once; waits for the disk. For start-up and tools. [any] */
enum sgn_err sgn_store_scan(struct sgn_store *store,
                            const struct sgn_scan *scan,
                            uint32_t partition_count,
                            struct sgn_store_done *out);

/* Takes the database's own lock for a moment; does not read the disk. [any] */
void sgn_store_stats(struct sgn_store *store, struct sgn_store_stats *stats);

#endif
