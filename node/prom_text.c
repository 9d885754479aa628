#include "node/prom_text.h"

#include <dirent.h>
#include <event2/buffer.h>
#include <sys/resource.h>

void sgn_prom_head(struct evbuffer *out, const char *name, const char *type, const char *help)
{
    (void)evbuffer_add_printf(
        out, "# HELP signet_%s %s\n# TYPE signet_%s %s\n", name, help, name, type);
}

void sgn_prom_counter(struct evbuffer *out, const char *name, uint64_t value, const char *help)
{
    sgn_prom_head(out, name, "counter", help);
    (void)evbuffer_add_printf(out, "signet_%s %llu\n", name, (unsigned long long)value);
}

void sgn_prom_gauge(struct evbuffer *out, const char *name, uint64_t value, const char *help)
{
    sgn_prom_head(out, name, "gauge", help);
    (void)evbuffer_add_printf(out, "signet_%s %llu\n", name, (unsigned long long)value);
}

static uint64_t open_fds(void)
{
    DIR *folder = opendir("/proc/self/fd");
    uint64_t count = 0;
    if (folder == NULL) {
        return 0;
    }
    while (readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    return count > 3 ? count - 3 : 0; /* ".", ".." and the folder itself. */
}

void sgn_prom_process(struct evbuffer *out)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    double seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    (void)evbuffer_add_printf(out,
                              "# HELP process_cpu_seconds_total CPU time, user and system.\n"
                              "# TYPE process_cpu_seconds_total counter\n"
                              "process_cpu_seconds_total %.6f\n"
                              "# HELP process_open_fds Open file descriptors.\n"
                              "# TYPE process_open_fds gauge\n"
                              "process_open_fds %llu\n",
                              seconds,
                              (unsigned long long)open_fds());
}
