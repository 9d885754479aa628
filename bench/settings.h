/* bench/settings.h - the command line of kv-bench run, echo and sync-probe. */
#ifndef SGN_BENCH_SETTINGS_H
#define SGN_BENCH_SETTINGS_H

#include "bench/load.h"
#include "bench/table.h"

enum sgn_against {
    SGN_AGAINST_NONE,
    SGN_AGAINST_ECHO,
    SGN_AGAINST_SYNC,
    SGN_AGAINST_CALLERS,
    SGN_AGAINST_READ,
    SGN_AGAINST_KIND,
    SGN_AGAINST_RING
};

struct sgn_pids {
    int list[SGN_LOAD_PIDS_MAX];
    uint32_t count;
};

struct sgn_settings {
    struct sgn_load_options load;
    uint32_t connections[8];
    uint32_t connection_count;
    struct sgn_pids pids;
    uint32_t rounds;
    uint32_t request_bytes, reply_bytes, group;
    const char *directory; /* sync-probe, and --against-sync. */
    bool no_fill;
    enum sgn_against against;
    uint32_t other_read, other_kind;
    const char *other_seeds;
    struct sgn_pids other_pids; /* Of the ring that other_seeds names. */
};

extern const char sgn_bench_help[];

/* Text on stderr, with where to read more; 2, the exit status. */
int sgn_bench_usage(const char *problem, const char *what);
/* -1: go on; else the exit status. The command is argv[optind]. */
int sgn_settings_take(struct sgn_settings *settings, int argc, char **argv);

/* run.c: kv-bench run. The exit status. */
int sgn_bench_run(struct sgn_settings *settings);

#endif
