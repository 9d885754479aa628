#include "node/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "node/store_internal.h"
#include "node/store_rocks.h"
#include "ring/net/crc.h"

static enum sgn_err fail(
    char *error, size_t error_bytes, enum sgn_err err, const char *directory, const char *what)
{
    snprintf(error, error_bytes, "data directory %s %s", directory, what);
    return err;
}

uint64_t store_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Signals belong to the loop thread. */
bool store_thread_start(pthread_t *thread,
                        void *(*body)(void *),
                        struct sgn_store *store,
                        const char *name)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(thread, NULL, body, store) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started) {
        (void)pthread_setname_np(*thread, name); /* For people only. */
    }
    return started;
}

uint32_t store_value_crc(struct sgn_bytes key, struct sgn_bytes value)
{
    return sgn_crc32c(sgn_crc32c(0, key), value);
}

bool store_value_check(struct sgn_store *store,
                       struct sgn_bytes key,
                       struct sgn_bytes stored,
                       struct sgn_bytes *value)
{
    if (stored.count >= STORE_TRAILER_BYTES) {
        *value = sgn_bytes_of(stored.ptr, stored.count - STORE_TRAILER_BYTES);
        const uint8_t *trailer = (const uint8_t *)stored.ptr + value->count;
        if (store_value_crc(key, *value) == sgn_get_uint(trailer, STORE_TRAILER_BYTES)) {
            return true;
        }
    }
    atomic_fetch_add(&store->counters.corrupt, 1);
    return false;
}

static enum sgn_err read_key(struct sgn_store *store,
                             rocksdb_readoptions_t *options,
                             enum sgn_family family,
                             struct sgn_bytes key,
                             struct sgn_store_value *out)
{
    *out = (struct sgn_store_value){.pin = NULL};
    if ((uint32_t)family >= STORE_FAMILY_COUNT) {
        return SGN_ERR_INVALID;
    }
    char *message = NULL;
    rocksdb_pinnableslice_t *pin = rocksdb_get_pinned_cf(
        store->db, options, store->handles[family], key.ptr, key.count, &message);
    if (message != NULL) {
        enum sgn_err err = store_error_take(message, NULL, 0);
        if (err == SGN_ERR_CORRUPT) {
            atomic_fetch_add(&store->counters.corrupt, 1);
        }
        return err;
    }
    if (pin == NULL) {
        return SGN_ERR_NOT_FOUND;
    }
    size_t count = 0;
    const char *ptr = rocksdb_pinnableslice_value(pin, &count);
    if (!store_value_check(store, key, sgn_bytes_of(ptr, count), &out->bytes)) {
        rocksdb_pinnableslice_destroy(pin);
        out->bytes = sgn_bytes_of(NULL, 0);
        return SGN_ERR_CORRUPT;
    }
    out->pin = pin;
    return SGN_OK;
}

enum sgn_err sgn_store_get_cached(struct sgn_store *store,
                                  enum sgn_family family,
                                  struct sgn_bytes key,
                                  struct sgn_store_value *out)
{
    *out = (struct sgn_store_value){.pin = NULL};
    struct sgn_bytes stored;
    struct sgn_value_slot *slot =
        family == SGN_FAMILY_DATA ? sgn_value_cache_pin(store->values, key, &stored) : NULL;
    if (slot == NULL) {
        enum sgn_err err = read_key(store, store->read_memory, family, key, out);
        if (err == SGN_OK && family == SGN_FAMILY_DATA) {
            /* With its trailer, which lies behind the value. */
            stored = sgn_bytes_of(out->bytes.ptr, out->bytes.count + STORE_TRAILER_BYTES);
            sgn_value_cache_put(store->values, key, stored);
        }
        return err;
    }
    if (!store_value_check(store, key, stored, &out->bytes)) {
        sgn_value_cache_unpin(slot);
        return SGN_ERR_CORRUPT;
    }
    out->slot = slot;
    return SGN_OK;
}

enum sgn_err sgn_store_get(struct sgn_store *store,
                           enum sgn_family family,
                           struct sgn_bytes key,
                           struct sgn_store_value *out)
{
    enum sgn_err err = read_key(store, store->read_all, family, key, out);
    return err == SGN_ERR_BUSY ? SGN_ERR_IO : err; /* Only the memory tier may come back empty. */
}

void sgn_store_value_release(struct sgn_store_value *value)
{
    if (value->pin != NULL) {
        rocksdb_pinnableslice_destroy(value->pin);
    }
    if (value->slot != NULL) {
        sgn_value_cache_unpin(value->slot);
    }
    *value = (struct sgn_store_value){.pin = NULL};
}

struct sgn_store_identity sgn_store_identity(const struct sgn_store *store)
{
    return store->identity;
}

int sgn_store_event_fd(const struct sgn_store *store)
{
    return store->done.event_fd;
}

static uint64_t property_sum(struct sgn_store *store, const char *name)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < STORE_FAMILY_COUNT; i++) {
        uint64_t one = 0;
        if (rocksdb_property_int_cf(store->db, store->handles[i], name, &one) == 0) {
            total += one;
        }
    }
    return total;
}

void sgn_store_stats(struct sgn_store *store, struct sgn_store_stats *stats)
{
    struct store_counters *counters = &store->counters;
    *stats = (struct sgn_store_stats){
        .state = (enum sgn_store_state)atomic_load(&store->state),
        .free_bytes = atomic_load(&counters->free_bytes),
        .syncs = atomic_load(&counters->syncs),
        .units = atomic_load(&counters->units),
        .writes = atomic_load(&counters->writes),
        .written_bytes = atomic_load(&counters->written_bytes),
        .group_units_max = atomic_load(&counters->group_units_max),
        .corrupt = atomic_load(&counters->corrupt),
        .refused_busy = atomic_load(&counters->refused_busy),
        .refused_full = atomic_load(&counters->refused_full),
        .waiting_writes = atomic_load(&counters->waiting_writes),
        .waiting_bytes = atomic_load(&counters->waiting_bytes),
        .waiting_reads = atomic_load(&counters->waiting_reads),
    };
    switch (stats->state) {
    case SGN_STORE_RUNNING: stats->state_text = "takes writes"; break;
    case SGN_STORE_FULL:
        stats->state_text = "the disk is full down to its reserve (store.disk_reserve): writes are "
                            "refused until space is freed";
        break;
    case SGN_STORE_STOPPED: stats->state_text = store->stop_text; break;
    }
    stats->disk_bytes = property_sum(store, "rocksdb.total-sst-files-size") +
                        property_sum(store, "rocksdb.total-blob-file-size");
    (void)rocksdb_property_int_cf(store->db,
                                  store->handles[SGN_FAMILY_DATA],
                                  "rocksdb.estimate-num-keys",
                                  &stats->keys_estimate);
}

/* What an empty directory may hold after a start that was killed while it made the database. */
static bool name_is_ours(const char *name)
{
    static const char *const begins[] = {
        "LOCK", "LOG", "IDENTITY", "MANIFEST-", "OPTIONS", "CURRENT", "lost+found"};
    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
        if (strncmp(name, begins[i], strlen(begins[i])) == 0) {
            return true;
        }
    }
    return strstr(name, ".dbtmp") != NULL || strstr(name, ".log") != NULL ||
           strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Refuses a directory of something else before the database strews its files into it. */
static enum sgn_err directory_check(const char *directory, char *error, size_t error_bytes)
{
    DIR *dir = opendir(directory);
    if (dir == NULL) {
        char what[STORE_ERROR_TEXT_BYTES / 2];
        snprintf(what, sizeof(what), "cannot be opened: %s", strerror(errno));
        return fail(error, error_bytes, SGN_ERR_IO, directory, what);
    }
    bool strange = false;
    bool database = false;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        database = database || strcmp(entry->d_name, "CURRENT") == 0;
        strange = strange || !name_is_ours(entry->d_name);
    }
    closedir(dir);
    if (strange && !database) {
        return fail(error,
                    error_bytes,
                    SGN_ERR_INVALID,
                    directory,
                    "holds files that are not a node's: name an empty directory");
    }
    return SGN_OK;
}

/* Makes the directory, and its entry in the parent durable. */
static enum sgn_err directory_make(const char *directory, char *error, size_t error_bytes)
{
    if (mkdir(directory, 0700) != 0) {
        if (errno == EEXIST) {
            return directory_check(directory, error, error_bytes);
        }
        char what[STORE_ERROR_TEXT_BYTES / 2];
        snprintf(what, sizeof(what), "cannot be made: %s", strerror(errno));
        return fail(
            error, error_bytes, errno == ENOSPC ? SGN_ERR_DISK_FULL : SGN_ERR_IO, directory, what);
    }
    char parent[4096];
    int length = snprintf(parent, sizeof(parent), "%s/..", directory);
    int fd = length < (int)sizeof(parent) ? open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    bool synced = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        close(fd);
    }
    if (!synced) {
        return fail(error,
                    error_bytes,
                    SGN_ERR_IO,
                    directory,
                    "cannot be made: its parent cannot be synced");
    }
    return SGN_OK;
}

static uint64_t default_u64(uint64_t value, uint64_t otherwise)
{
    return value != 0 ? value : otherwise;
}

/* Fills in the defaults; names the option that is out of range, or NULL. */
static const char *options_settle(struct sgn_store_options *o)
{
    o->disk_reserve_bytes = default_u64(o->disk_reserve_bytes, (uint64_t)64 << 20);
    o->block_cache_bytes = default_u64(o->block_cache_bytes, (uint64_t)256 << 20);
    o->blob_bytes_min = default_u64(o->blob_bytes_min, (uint64_t)16 << 10);
    o->read_threads = (uint32_t)default_u64(o->read_threads, 2);
    o->commit_ops_max = (uint32_t)default_u64(o->commit_ops_max, 8192);
    o->commit_bytes_max = default_u64(o->commit_bytes_max, (uint64_t)256 << 20);
    o->read_jobs_max = (uint32_t)default_u64(o->read_jobs_max, 4096);
    if (o->ring_name == NULL || o->ring_name[0] == '\0' ||
        strlen(o->ring_name) > SGN_STORE_RING_NAME_BYTES_MAX) {
        return "ring name (1 to 63 bytes)";
    }
    if (o->node == 0) {
        return "node id (not 0)";
    }
    if (o->read_threads > STORE_READ_THREADS_MAX) {
        return "read threads (at most 64)";
    }
    return NULL;
}

static struct sgn_store *store_create(const struct sgn_store_options *options)
{
    struct sgn_store *store = calloc(1, sizeof(*store));
    if (store == NULL) {
        return NULL;
    }
    store->options = *options;
    store->directory = strdup(options->directory);
    store->ring_name = strdup(options->ring_name);
    store->options.directory = store->directory;
    store->options.ring_name = store->ring_name;
    pthread_mutex_init(&store->commit.lock, NULL);
    pthread_cond_init(&store->commit.wake, NULL);
    pthread_mutex_init(&store->reads.lock, NULL);
    pthread_cond_init(&store->reads.wake, NULL);
    pthread_mutex_init(&store->done.lock, NULL);
    store->values = sgn_value_cache_create();
    store->done.event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return store;
}

/* Ends what was begun, in the opposite order; takes a store in any state of being opened. */
static void store_destroy(struct sgn_store *store)
{
    store_commit_end(store);
    store_reads_end(store);
    if (store->done.event_fd >= 0) {
        store_done_drop(store);
        close(store->done.event_fd);
    }
    store_rocks_close(store);
    sgn_value_cache_destroy(store->values);
    pthread_mutex_destroy(&store->done.lock);
    pthread_cond_destroy(&store->reads.wake);
    pthread_mutex_destroy(&store->reads.lock);
    pthread_cond_destroy(&store->commit.wake);
    pthread_mutex_destroy(&store->commit.lock);
    free(store->ring_name);
    free(store->directory);
    free(store);
}

static enum sgn_err store_begin(struct sgn_store *store, char *error, size_t error_bytes)
{
    if (store->directory == NULL || store->ring_name == NULL || store->done.event_fd < 0 ||
        store->values == NULL) {
        return fail(error,
                    error_bytes,
                    SGN_ERR_NOMEM,
                    store->options.directory,
                    "cannot be opened: out of memory or file descriptors");
    }
    enum sgn_err err = directory_make(store->directory, error, error_bytes);
    bool log_was_cut = false;
    if (err == SGN_OK) {
        err = store_rocks_open(store, &log_was_cut, error, error_bytes);
    }
    if (err == SGN_OK) {
        err = store_meta_begin(store, log_was_cut, error, error_bytes);
    }
    if (err == SGN_OK && (!store_commit_start(store) || !store_reads_start(store))) {
        err = fail(error,
                   error_bytes,
                   SGN_ERR_NOMEM,
                   store->directory,
                   "cannot be opened: no thread could be started");
    }
    return err;
}

enum sgn_err sgn_store_open(struct sgn_store **store,
                            const struct sgn_store_options *options,
                            char *error,
                            size_t error_bytes)
{
    SGN_ASSERT(store != NULL && options != NULL && options->directory != NULL);
    SGN_ASSERT(error != NULL && error_bytes > 0);
    *store = NULL;
    error[0] = '\0';
    struct sgn_store_options settled = *options;
    const char *wrong = options_settle(&settled);
    if (wrong != NULL) {
        snprintf(error,
                 error_bytes,
                 "data directory %s cannot be opened with this %s",
                 options->directory,
                 wrong);
        return SGN_ERR_INVALID;
    }
    struct sgn_store *made = store_create(&settled);
    if (made == NULL) {
        return fail(error,
                    error_bytes,
                    SGN_ERR_NOMEM,
                    options->directory,
                    "cannot be opened: out of memory");
    }
    enum sgn_err err = store_begin(made, error, error_bytes);
    if (err != SGN_OK) {
        store_destroy(made);
        return err;
    }
    *store = made;
    return SGN_OK;
}

enum sgn_err sgn_store_close(struct sgn_store *store)
{
    SGN_ASSERT(store != NULL);
    store_commit_end(store);
    store_reads_end(store);
    enum sgn_err err = SGN_OK;
    if (atomic_load(&store->state) == SGN_STORE_STOPPED) {
        err = (enum sgn_err)atomic_load(&store->stop_error);
    } else if (atomic_load(&store->counters.corrupt) > 0) {
        err = SGN_ERR_CORRUPT; /* The next start must take new names for its actors. */
    }
    if (err == SGN_OK) {
        err = store_rocks_flush(store);
    }
    /* A write that was refused may have held a number that peers have heard of: whoever gave it
     * out wishes for a new generation then, and may not have got it stored. The next start must not
     * number on. */
    if (err == SGN_OK && !atomic_load(&store->write_refused)) {
        err = store_meta_end(store);
    }
    store_destroy(store);
    return err;
}
