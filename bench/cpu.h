/* bench/cpu.h - processor time of other processes, from the scheduler's own account. */
#ifndef SGN_BENCH_CPU_H
#define SGN_BENCH_CPU_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Nanoseconds all threads of the process have run, ended threads not counted. False (and a sentence
 * on stderr is the caller's duty) when the process is gone or /proc cannot be read. */
bool sgn_cpu_ns(pid_t pid, uint64_t *ns);

/* Monotonic nanoseconds. */
uint64_t sgn_bench_now_ns(void);

#endif
