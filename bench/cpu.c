#include "bench/cpu.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint64_t sgn_bench_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

bool sgn_cpu_ns(pid_t pid, uint64_t *ns)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%ld/task", (long)pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL) {
        return false;
    }
    *ns = 0;
    for (struct dirent *entry = NULL; (entry = readdir(tasks)) != NULL;) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        char stat[320];
        char line[128];
        (void)snprintf(stat, sizeof(stat), "/proc/%ld/task/%s/schedstat", (long)pid, entry->d_name);
        FILE *file = fopen(stat, "re");
        if (file == NULL) {
            continue; /* The thread ended between readdir and here. */
        }
        if (fgets(line, sizeof(line), file) != NULL) {
            *ns += strtoull(line, NULL, 10);
        }
        (void)fclose(file);
    }
    (void)closedir(tasks);
    return true;
}
