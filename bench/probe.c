#include "bench/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/cpu.h"

#define PROBE_FILE_BYTES_MAX (64 << 20) /* Then it begins at the front again. */

bool sgn_probe_run(const struct sgn_probe_options *options,
                   struct sgn_probe_result *result,
                   struct sgn_why *why)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/probe.%ld", options->directory, (long)getpid());
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) {
        sgn_why_set(why, "%s cannot be made: %s", path, strerror(errno));
        return false;
    }
    (void)unlink(path); /* It goes with the last descriptor, whatever happens. */
    /* As logs do, or every sync would wait for the file system's own books of where the file lies.
     * A file system that cannot do it is measured as it is. */
    (void)fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, PROBE_FILE_BYTES_MAX);
    size_t bytes = (size_t)options->group * options->record_bytes;
    uint8_t *group = calloc(1, bytes);
    uint64_t begin = sgn_bench_now_ns();
    uint64_t until = begin + options->seconds * UINT64_C(1000000000);
    uint64_t groups = 0;
    off_t at = 0;
    while (group != NULL && sgn_bench_now_ns() < until) {
        at = at + (off_t)bytes > PROBE_FILE_BYTES_MAX ? 0 : at;
        if (pwrite(fd, group, bytes, at) != (ssize_t)bytes || fdatasync(fd) != 0) {
            sgn_why_set(why, "%s cannot be written: %s", path, strerror(errno));
            break;
        }
        at += (off_t)bytes;
        groups++;
    }
    bool good = group != NULL && sgn_bench_now_ns() >= until;
    double seconds = (double)(sgn_bench_now_ns() - begin) / 1e9;
    result->syncs_per_second = (double)groups / seconds;
    result->records_per_second = result->syncs_per_second * options->group;
    free(group);
    (void)close(fd);
    return good;
}
