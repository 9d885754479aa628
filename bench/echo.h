/* bench/echo.h - the floor: a bare libevent server that answers so many bytes with so many, in a
 * process of its own, under the same closed loop as a ring. */
#ifndef SGN_BENCH_ECHO_H
#define SGN_BENCH_ECHO_H

#include "bench/load.h"

struct sgn_echo_options {
    uint32_t callers, seconds, request_bytes, reply_bytes;
};

/* Forks the server, loads it, ends it. result->reads holds the latencies. False with a sentence. */
bool sgn_echo_run(const struct sgn_echo_options *options,
                  struct sgn_load_result *result,
                  struct sgn_why *why);

#endif
