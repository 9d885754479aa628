/* Group commit: one thread, one batch and one sync for all units that wait. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "node/store_internal.h"

static bool write_valid(const struct sgn_store_write *write)
{
    if (write->family != SGN_FAMILY_DATA && write->family != SGN_FAMILY_TREE &&
        write->family != SGN_FAMILY_HINT && write->family != SGN_FAMILY_META) {
        return false;
    }
    if (write->key.count == 0 || write->key.count > STORE_KEY_BYTES_MAX) {
        return false;
    }
    bool own = write->family == SGN_FAMILY_META && *(const uint8_t *)write->key.ptr == 0;
    return !own && (write->is_delete || write->value.count <= SGN_FRAME_BODY_BYTES_MAX);
}

static uint64_t unit_bytes(const struct sgn_store_write *writes, uint32_t write_count)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < write_count; i++) {
        bytes += writes[i].key.count;
        bytes += writes[i].is_delete ? 0 : writes[i].value.count + STORE_TRAILER_BYTES;
    }
    return bytes;
}

/* Copies one write behind *next and moves it on. */
static void write_copy(struct store_write *to, const struct sgn_store_write *from, uint8_t **next)
{
    to->family = from->family;
    to->key_bytes = (uint32_t)from->key.count;
    to->key = *next;
    memcpy(*next, from->key.ptr, from->key.count);
    *next += from->key.count;
    to->value = NULL;
    to->value_bytes = 0;
    if (from->is_delete) {
        return;
    }
    to->value_bytes = (uint32_t)(from->value.count + STORE_TRAILER_BYTES);
    to->value = *next;
    struct sgn_sink sink = sgn_sink_of(*next, to->value_bytes);
    sgn_sink_put(&sink, from->value.ptr, from->value.count);
    /* Sealed here, so that the queue and the database are covered too. */
    sgn_sink_uint(&sink, store_value_crc(from->key, from->value), STORE_TRAILER_BYTES);
    SGN_ASSERT(!sink.full && sink.count == to->value_bytes);
    *next += to->value_bytes;
}

static struct store_unit *unit_create(uint64_t token,
                                      const struct sgn_store_write *writes,
                                      uint32_t write_count,
                                      uint64_t bytes)
{
    size_t head = sizeof(struct store_unit) + write_count * sizeof(struct store_write);
    struct store_unit *unit = malloc(head + bytes);
    if (unit == NULL) {
        return NULL;
    }
    *unit = (struct store_unit){.write_count = write_count};
    unit->job.done.type = SGN_STORE_DONE_WRITE;
    unit->job.done.token = token;
    unit->job.bytes = bytes;
    unit->job.ops = write_count;
    uint8_t *next = (uint8_t *)unit + head;
    for (uint32_t i = 0; i < write_count; i++) {
        write_copy(&unit->writes[i], &writes[i], &next);
    }
    SGN_ASSERT(next == (uint8_t *)unit + head + bytes);
    return unit;
}

/* While the disk is full one unit at a time goes through to look again: it is how the store learns
 * that space is back, without a timer. */
static enum sgn_err submit_refusal(struct sgn_store *store, uint32_t write_count, uint64_t bytes)
{
    int state = atomic_load(&store->state);
    if (state == SGN_STORE_STOPPED) {
        return (enum sgn_err)atomic_load(&store->stop_error);
    }
    uint32_t waiting = atomic_load(&store->counters.waiting_writes);
    if (state == SGN_STORE_FULL && waiting > 0) {
        atomic_fetch_add(&store->counters.refused_full, 1);
        return SGN_ERR_DISK_FULL;
    }
    if (bytes > store->options.commit_bytes_max) {
        return SGN_ERR_TOO_LARGE;
    }
    uint64_t waiting_bytes = atomic_load(&store->counters.waiting_bytes);
    if (waiting + write_count > store->options.commit_ops_max ||
        waiting_bytes + bytes > store->options.commit_bytes_max) {
        atomic_fetch_add(&store->counters.refused_busy, 1);
        return SGN_ERR_BUSY;
    }
    return SGN_OK;
}

enum sgn_err sgn_store_submit(struct sgn_store *store,
                              uint64_t token,
                              const struct sgn_store_write *writes,
                              uint32_t write_count)
{
    SGN_ASSERT(store != NULL && store->commit.started);
    if (write_count == 0 || write_count > SGN_STORE_UNIT_WRITES_MAX) {
        return SGN_ERR_INVALID;
    }
    for (uint32_t i = 0; i < write_count; i++) {
        if (!write_valid(&writes[i])) {
            return SGN_ERR_INVALID;
        }
    }
    uint64_t bytes = unit_bytes(writes, write_count);
    enum sgn_err err = submit_refusal(store, write_count, bytes);
    struct store_unit *unit = err == SGN_OK ? unit_create(token, writes, write_count, bytes) : NULL;
    if (unit == NULL) {
        atomic_store(&store->write_refused, true);
        return err != SGN_OK ? err : SGN_ERR_NOMEM;
    }
    atomic_fetch_add(&store->counters.waiting_writes, write_count);
    atomic_fetch_add(&store->counters.waiting_bytes, bytes);
    pthread_mutex_lock(&store->commit.lock);
    store_queue_push(&store->commit.queue, &unit->job);
    pthread_mutex_unlock(&store->commit.lock);
    return SGN_OK;
}

void sgn_store_commit(struct sgn_store *store)
{
    pthread_cond_signal(&store->commit.wake);
}

/* What the memory tables will still write when they are flushed. */
static uint64_t unflushed_bytes(struct sgn_store *store)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < STORE_FAMILY_COUNT; i++) {
        uint64_t bytes = 0;
        if (rocksdb_property_int_cf(
                store->db, store->handles[i], "rocksdb.cur-size-all-mem-tables", &bytes) == 0) {
            total += bytes;
        }
    }
    return total;
}

/* Whether a group of this size leaves the reserve free. Looks at the disk when it has not for a
 * while, or when what it saw then is spent. A group is counted twice: in the log and in a table. */
static bool space_suffices(struct sgn_store *store, uint64_t group_bytes)
{
    struct store_commit *commit = &store->commit;
    uint64_t need = 2 * group_bytes;
    uint64_t now_ms = store_now_ms();
    bool full = atomic_load(&store->state) == SGN_STORE_FULL;
    bool fresh = now_ms - commit->space_checked_ms < STORE_SPACE_CHECK_MS;
    if (!fresh || (commit->space_left < need && !full)) {
        struct statvfs fs;
        if (statvfs(store->directory, &fs) != 0) {
            commit->space_left = 0; /* A directory that cannot be asked is not written to. */
        } else {
            uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
            uint64_t kept = store->options.disk_reserve_bytes + unflushed_bytes(store);
            commit->space_left = free_bytes > kept ? free_bytes - kept : 0;
            atomic_store(&store->counters.free_bytes, free_bytes);
        }
        commit->space_checked_ms = now_ms;
    }
    if (commit->space_left < need) {
        return false;
    }
    commit->space_left -= need;
    return true;
}

/* Moves units from the queue until the group is large enough; at least one. Under commit.lock. */
static void group_take(struct store_commit *commit, struct store_queue *group)
{
    uint64_t bytes = 0;
    while (commit->queue.first != NULL) {
        bytes += commit->queue.first->bytes;
        if (group->first != NULL && bytes > STORE_GROUP_BYTES_MAX) {
            break;
        }
        store_queue_push(group, store_queue_pop(&commit->queue));
    }
    SGN_ASSERT(group->first != NULL);
}

static uint64_t group_fill(struct sgn_store *store, const struct store_queue *group)
{
    rocksdb_writebatch_t *batch = store->commit.batch;
    uint64_t units = 0;
    for (struct store_job *job = group->first; job != NULL; job = job->next) {
        const struct store_unit *unit = (const struct store_unit *)job;
        for (uint32_t i = 0; i < unit->write_count; i++) {
            const struct store_write *w = &unit->writes[i];
            rocksdb_column_family_handle_t *handle = store->handles[w->family];
            if (w->value == NULL) {
                rocksdb_writebatch_delete_cf(batch, handle, (const char *)w->key, w->key_bytes);
            } else {
                rocksdb_writebatch_put_cf(batch,
                                          handle,
                                          (const char *)w->key,
                                          w->key_bytes,
                                          (const char *)w->value,
                                          w->value_bytes);
            }
        }
        atomic_fetch_add(&store->counters.writes, unit->write_count);
        atomic_fetch_add(&store->counters.written_bytes, job->bytes);
        units++;
    }
    return units;
}

/* The first failure is the last write: after a failed sync the kernel may have dropped the pages
 * and would call the next sync a success. A full disk is told to the units that come later, which
 * are certainly not kept; of the group that met it nobody knows how much the log took. */
static void writing_stop(struct sgn_store *store, enum sgn_err err, const char *text)
{
    SGN_ASSERT(atomic_load(&store->state) != SGN_STORE_STOPPED);
    enum sgn_err told = err == SGN_ERR_DISK_FULL ? SGN_ERR_DISK_FULL : SGN_ERR_IO;
    snprintf(store->stop_text,
             sizeof(store->stop_text),
             "writes are refused until the node is restarted: %s",
             text);
    atomic_store(&store->stop_error, told);
    atomic_store(&store->state, SGN_STORE_STOPPED);
}

static enum sgn_err group_write(struct sgn_store *store, const struct store_queue *group)
{
    int state = atomic_load(&store->state);
    if (state == SGN_STORE_STOPPED) {
        return (enum sgn_err)atomic_load(&store->stop_error);
    }
    uint64_t bytes = 0;
    for (const struct store_job *job = group->first; job != NULL; job = job->next) {
        bytes += job->bytes;
    }
    if (!space_suffices(store, bytes)) {
        atomic_store(&store->state, SGN_STORE_FULL);
        atomic_fetch_add(&store->counters.refused_full, 1);
        atomic_store(&store->write_refused, true);
        return SGN_ERR_DISK_FULL;
    }
    uint64_t units = group_fill(store, group);
    char *message = NULL;
    rocksdb_write(store->db, store->write_options, store->commit.batch, &message);
    rocksdb_writebatch_clear(store->commit.batch);
    atomic_fetch_add(&store->counters.syncs, 1);
    atomic_fetch_add(&store->counters.units, units);
    if (units > atomic_load(&store->counters.group_units_max)) {
        atomic_store(&store->counters.group_units_max, units);
    }
    if (message == NULL) {
        atomic_store(&store->state, SGN_STORE_RUNNING);
        return SGN_OK;
    }
    char text[STORE_ERROR_TEXT_BYTES / 2];
    writing_stop(store, store_error_take(message, text, sizeof(text)), text);
    return SGN_ERR_IO;
}

static void *commit_main(void *arg)
{
    struct sgn_store *store = arg;
    struct store_commit *commit = &store->commit;
    while (true) {
        struct store_queue group = {NULL, NULL};
        pthread_mutex_lock(&commit->lock);
        while (commit->queue.first == NULL && !commit->ending) {
            pthread_cond_wait(&commit->wake, &commit->lock);
        }
        if (commit->queue.first != NULL) {
            group_take(commit, &group);
        }
        pthread_mutex_unlock(&commit->lock);
        if (group.first == NULL) {
            return NULL; /* Ending, and nothing waits. */
        }
        enum sgn_err err = group_write(store, &group);
        for (struct store_job *job = group.first; job != NULL; job = job->next) {
            job->done.err = err;
        }
        store_done_post(store, &group);
    }
}

bool store_commit_start(struct sgn_store *store)
{
    store->commit.batch = rocksdb_writebatch_create();
    store->commit.started =
        store_thread_start(&store->commit.thread, commit_main, store, "sgn-commit");
    return store->commit.started;
}

void store_commit_end(struct sgn_store *store)
{
    if (store->commit.started) {
        pthread_mutex_lock(&store->commit.lock);
        store->commit.ending = true;
        pthread_mutex_unlock(&store->commit.lock);
        pthread_cond_signal(&store->commit.wake);
        pthread_join(store->commit.thread, NULL);
        store->commit.started = false;
    }
    SGN_ASSERT(store->commit.queue.first == NULL);
    if (store->commit.batch != NULL) {
        rocksdb_writebatch_destroy(store->commit.batch);
        store->commit.batch = NULL;
    }
}
