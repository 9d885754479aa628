/* Reads and scans on a few threads, and the done list that they and the commit thread report to. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/store_internal.h"

void store_queue_push(struct store_queue *queue, struct store_job *job)
{
    SGN_ASSERT(job->next == NULL);
    if (queue->last == NULL) {
        queue->first = job;
    } else {
        queue->last->next = job;
    }
    queue->last = job;
}

struct store_job *store_queue_pop(struct store_queue *queue)
{
    struct store_job *job = queue->first;
    if (job != NULL) {
        queue->first = job->next;
        queue->last = queue->first == NULL ? NULL : queue->last;
        job->next = NULL;
    }
    return job;
}

static void event_signal(struct sgn_store *store)
{
    uint64_t one = 1;
    ssize_t written;
    do {
        written = write(store->done.event_fd, &one, sizeof(one));
    } while (written < 0 && errno == EINTR);
    /* EAGAIN: the counter is at its top, so the fd is readable anyway. */
    SGN_ASSERT(written == (ssize_t)sizeof(one) || errno == EAGAIN);
}

void store_done_post(struct sgn_store *store, struct store_queue *finished)
{
    SGN_ASSERT(finished->first != NULL);
    pthread_mutex_lock(&store->done.lock);
    bool was_empty = store->done.queue.first == NULL;
    if (was_empty) {
        store->done.queue = *finished;
    } else {
        store->done.queue.last->next = finished->first;
        store->done.queue.last = finished->last;
    }
    pthread_mutex_unlock(&store->done.lock);
    *finished = (struct store_queue){NULL, NULL};
    if (was_empty) {
        event_signal(store);
    }
}

/* Gives back what the job was charged for. */
static void job_settle(struct sgn_store *store, const struct store_job *job)
{
    if (job->done.type == SGN_STORE_DONE_WRITE) {
        atomic_fetch_sub(&store->counters.waiting_writes, job->ops);
        atomic_fetch_sub(&store->counters.waiting_bytes, job->bytes);
        return;
    }
    atomic_fetch_sub(&store->counters.waiting_reads, 1);
    struct store_reads *reads = &store->reads;
    pthread_mutex_lock(&reads->lock);
    bool was_over = reads->result_bytes > STORE_RESULT_BYTES_MAX;
    reads->result_bytes -= job->bytes;
    bool wake = was_over && reads->result_bytes <= STORE_RESULT_BYTES_MAX;
    pthread_mutex_unlock(&reads->lock);
    if (wake) {
        pthread_cond_broadcast(&reads->wake);
    }
}

/* Before the unit is reported, and in the order of the commits. What a failed unit left is
 * unknown. */
static void unit_cache(struct sgn_store *store, const struct store_unit *unit)
{
    for (uint32_t i = 0; i < unit->write_count; i++) {
        const struct store_write *w = &unit->writes[i];
        struct sgn_bytes key = sgn_bytes_of(w->key, w->key_bytes);
        if (w->family != SGN_FAMILY_DATA) {
            continue;
        }
        if (unit->job.done.err == SGN_OK && w->value != NULL) {
            sgn_value_cache_put(store->values, key, sgn_bytes_of(w->value, w->value_bytes));
        } else {
            sgn_value_cache_drop(store->values, key);
        }
    }
}

uint32_t sgn_store_poll(struct sgn_store *store, struct sgn_store_done *out, uint32_t max)
{
    uint64_t signals;
    /* Emptied before the list is looked at: a post in between signals again. */
    ssize_t got = read(store->done.event_fd, &signals, sizeof(signals));
    SGN_ASSERT(got == (ssize_t)sizeof(signals) || errno == EAGAIN || errno == EINTR);
    uint32_t count = 0;
    struct store_queue taken = {NULL, NULL};
    pthread_mutex_lock(&store->done.lock);
    while (count < max && store->done.queue.first != NULL) {
        store_queue_push(&taken, store_queue_pop(&store->done.queue));
        count++;
    }
    bool more = store->done.queue.first != NULL;
    pthread_mutex_unlock(&store->done.lock);
    if (more) {
        event_signal(store);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct store_job *job = store_queue_pop(&taken);
        job_settle(store, job);
        if (job->done.type == SGN_STORE_DONE_WRITE) {
            unit_cache(store, (const struct store_unit *)job);
        }
        out[i] = job->done;
        free(job);
    }
    return count;
}

void sgn_store_done_release(struct sgn_store_done *done)
{
    sgn_store_value_release(&done->value);
    free(done->memory);
    done->memory = NULL;
    done->items = sgn_bytes_of(NULL, 0);
    done->after = sgn_bytes_of(NULL, 0);
}

void store_done_drop(struct sgn_store *store)
{
    struct sgn_store_done done;
    while (sgn_store_poll(store, &done, 1) > 0) {
        sgn_store_done_release(&done);
    }
}

static void read_run(struct sgn_store *store, struct store_read *read)
{
    struct sgn_store_done *done = &read->job.done;
    if (done->type == SGN_STORE_DONE_SCAN) {
        uint64_t token = done->token;
        store_scan_run(store, &read->scan, read->partition_count, done);
        done->token = token;
        read->job.bytes = done->items.count + done->after.count;
        return;
    }
    SGN_ASSERT(done->type == SGN_STORE_DONE_READ);
    done->err = sgn_store_get(store, read->scan.family, read->scan.prefix, &done->value);
    read->job.bytes = done->err == SGN_OK ? done->value.bytes.count : 0;
}

static void *reads_main(void *arg)
{
    struct sgn_store *store = arg;
    struct store_reads *reads = &store->reads;
    while (true) {
        pthread_mutex_lock(&reads->lock);
        while (!reads->ending &&
               (reads->queue.first == NULL || reads->result_bytes > STORE_RESULT_BYTES_MAX)) {
            pthread_cond_wait(&reads->wake, &reads->lock);
        }
        struct store_job *job = reads->ending ? NULL : store_queue_pop(&reads->queue);
        pthread_mutex_unlock(&reads->lock);
        if (job == NULL) {
            return NULL;
        }
        read_run(store, (struct store_read *)job);
        pthread_mutex_lock(&reads->lock);
        reads->result_bytes += job->bytes;
        pthread_mutex_unlock(&reads->lock);
        struct store_queue finished = {NULL, NULL};
        store_queue_push(&finished, job);
        store_done_post(store, &finished);
    }
}

static enum sgn_err read_submit(struct sgn_store *store, struct store_read *read)
{
    if (read == NULL) {
        return SGN_ERR_NOMEM;
    }
    struct store_reads *reads = &store->reads;
    atomic_fetch_add(&store->counters.waiting_reads, 1);
    pthread_mutex_lock(&reads->lock);
    store_queue_push(&reads->queue, &read->job);
    pthread_mutex_unlock(&reads->lock);
    pthread_cond_signal(&reads->wake);
    return SGN_OK;
}

/* A job that holds copies of the scan's three slices. */
static struct store_read *read_create(uint64_t token,
                                      enum sgn_store_done_type type,
                                      const struct sgn_scan *scan)
{
    const struct sgn_bytes from[3] = {scan->prefix, scan->after, scan->partitions};
    size_t bytes = from[0].count + from[1].count + from[2].count;
    struct store_read *read = malloc(sizeof(*read) + bytes);
    if (read == NULL) {
        return NULL;
    }
    *read = (struct store_read){.scan = *scan};
    read->job.done.type = type;
    read->job.done.token = token;
    struct sgn_bytes *to[3] = {&read->scan.prefix, &read->scan.after, &read->scan.partitions};
    struct sgn_sink sink = sgn_sink_of(read->data, bytes);
    for (uint32_t i = 0; i < 3; i++) {
        *to[i] = sgn_bytes_of(read->data + sink.count, from[i].count);
        sgn_sink_put(&sink, from[i].ptr, from[i].count);
    }
    SGN_ASSERT(!sink.full && sink.count == bytes);
    return read;
}

static bool reads_full(struct sgn_store *store)
{
    if (atomic_load(&store->counters.waiting_reads) < store->options.read_jobs_max) {
        return false;
    }
    atomic_fetch_add(&store->counters.refused_busy, 1);
    return true;
}

enum sgn_err sgn_store_get_async(struct sgn_store *store,
                                 uint64_t token,
                                 enum sgn_family family,
                                 struct sgn_bytes key)
{
    if (key.count == 0 || key.count > STORE_KEY_BYTES_MAX) {
        return SGN_ERR_INVALID;
    }
    if (reads_full(store)) {
        return SGN_ERR_BUSY;
    }
    struct sgn_scan one = {.family = family, .prefix = key};
    return read_submit(store, read_create(token, SGN_STORE_DONE_READ, &one));
}

enum sgn_err sgn_store_scan_async(struct sgn_store *store,
                                  uint64_t token,
                                  const struct sgn_scan *scan,
                                  uint32_t partition_count)
{
    if (!store_scan_valid(scan, partition_count)) {
        return SGN_ERR_INVALID;
    }
    if (reads_full(store)) {
        return SGN_ERR_BUSY;
    }
    struct store_read *read = read_create(token, SGN_STORE_DONE_SCAN, scan);
    if (read != NULL) {
        read->partition_count = partition_count;
    }
    return read_submit(store, read);
}

bool store_reads_start(struct sgn_store *store)
{
    for (uint32_t i = 0; i < store->options.read_threads; i++) {
        if (!store_thread_start(&store->reads.threads[i], reads_main, store, "sgn-read")) {
            return false;
        }
        store->reads.started++;
    }
    return true;
}

void store_reads_end(struct sgn_store *store)
{
    struct store_reads *reads = &store->reads;
    pthread_mutex_lock(&reads->lock);
    reads->ending = true;
    pthread_mutex_unlock(&reads->lock);
    pthread_cond_broadcast(&reads->wake);
    for (uint32_t i = 0; i < reads->started; i++) {
        pthread_join(reads->threads[i], NULL);
    }
    reads->started = 0;
    struct store_job *job;
    while ((job = store_queue_pop(&reads->queue)) != NULL) {
        free(job);
    }
}
