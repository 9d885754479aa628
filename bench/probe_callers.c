/* bench/probe_callers.c - raw group commit by threads that wait, one record each. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/cpu.h"
#include "bench/probe.h"

#define CALLERS_FILE_BYTES_MAX (256 << 20) /* Then it begins at the front again. */

struct callers {
    pthread_mutex_t lock;
    pthread_cond_t synced;
    int fd;
    off_t at;
    uint32_t record_bytes, callers;
    uint8_t *records;         /* Of a whole group; what is in them does not matter. */
    uint32_t waiting;         /* Records handed in for the next group. */
    uint64_t handed, durable; /* Groups begun, groups synced. */
    bool syncing, failed;
    uint64_t until_ns, syncs, done;
};

/* With the lock held: leads one group. */
static void lead(struct callers *c)
{
    uint32_t group = c->waiting;
    size_t bytes = (size_t)group * c->record_bytes;
    c->waiting = 0;
    c->syncing = true;
    c->handed++;
    c->at = c->at + (off_t)bytes > CALLERS_FILE_BYTES_MAX ? 0 : c->at;
    (void)pthread_mutex_unlock(&c->lock);
    bool good = pwrite(c->fd, c->records, bytes, c->at) == (ssize_t)bytes && fdatasync(c->fd) == 0;
    (void)pthread_mutex_lock(&c->lock);
    c->at += (off_t)bytes;
    c->syncing = false;
    c->failed = c->failed || !good;
    c->durable = c->handed;
    c->syncs++;
    c->done += group;
    (void)pthread_cond_broadcast(&c->synced);
}

static void *caller_main(void *arg)
{
    struct callers *c = arg;
    (void)pthread_mutex_lock(&c->lock);
    while (!c->failed && sgn_bench_now_ns() < c->until_ns) {
        c->waiting++;
        uint64_t mine = c->handed + 1; /* The group that takes the record. */
        while (c->durable < mine && !c->failed) {
            if (c->syncing || c->handed >= mine) {
                (void)pthread_cond_wait(&c->synced, &c->lock);
            } else {
                lead(c);
            }
        }
    }
    (void)pthread_mutex_unlock(&c->lock);
    return NULL;
}

static void run_callers(struct callers *c)
{
    pthread_t threads[SGN_PROBE_CALLERS_MAX];
    uint32_t started = 0;
    while (started < c->callers && pthread_create(&threads[started], NULL, caller_main, c) == 0) {
        started++;
    }
    c->failed = c->failed || started < c->callers;
    for (uint32_t i = 0; i < started; i++) {
        (void)pthread_join(threads[i], NULL);
    }
}

bool sgn_probe_callers(const struct sgn_probe_options *options,
                       struct sgn_probe_result *result,
                       struct sgn_why *why)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/callers.%ld", options->directory, (long)getpid());
    struct callers c = {.record_bytes = options->record_bytes, .callers = options->group};
    c.fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (c.fd < 0) {
        sgn_why_set(why, "%s cannot be made: %s", path, strerror(errno));
        return false;
    }
    (void)unlink(path);
    c.records = calloc(options->group, options->record_bytes);
    bool room = posix_fallocate(c.fd, 0, CALLERS_FILE_BYTES_MAX) == 0;
    c.failed = c.records == NULL || !room || options->group > SGN_PROBE_CALLERS_MAX;
    (void)pthread_mutex_init(&c.lock, NULL);
    (void)pthread_cond_init(&c.synced, NULL);
    uint64_t begin = sgn_bench_now_ns();
    c.until_ns = begin + options->seconds * UINT64_C(1000000000);
    if (!c.failed) {
        run_callers(&c);
    }
    double seconds = (double)(sgn_bench_now_ns() - begin) / 1e9;
    result->syncs_per_second = (double)c.syncs / seconds;
    result->records_per_second = (double)c.done / seconds;
    if (c.failed) {
        sgn_why_set(why, "%s cannot be written and synced by %u callers", path, options->group);
    }
    (void)pthread_cond_destroy(&c.synced);
    (void)pthread_mutex_destroy(&c.lock);
    free(c.records);
    (void)close(c.fd);
    return !c.failed;
}
