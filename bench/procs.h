/* bench/procs.h - the daemons of a ring of one's own: configs, start, kill, pause, disk.
 *
 * Processes have numbers: nodes 1..node_count, their ids in the ring, then the witnesses. They die
 * with the thread that started them, so all of this is for one thread, one that lives as long as
 * the ring. What is awaited is awaited for SGN_PROCS_WAIT_MS at most. Linux. */
#ifndef SGN_BENCH_PROCS_H
#define SGN_BENCH_PROCS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ring/net/why.h"

#define SGN_PROCS_MAX       24u
#define SGN_PROCS_DIR_BYTES 200u
#define SGN_PROCS_WAIT_MS   30000u
#define SGN_PROCS_DISK_MIB  192u /* Of a disk of its own; the node's reserve is 16 of it. */

struct sgn_proc {
    pid_t pid;   /* 0: does not run. */
    uint32_t id; /* Of a witness: the number the ring gave it; set before its first start. */
    bool paused;
    bool disk_full;
    bool disk_failed;      /* Its disk was full at some time since it was started. */
    uint16_t port;         /* Here it listens; others are told SGN_RELAY_HOST. */
    uint16_t witness_port; /* Of the witness inside a node; 0: none. */
    uint32_t starts;
};

struct sgn_procs {
    char dir[SGN_PROCS_DIR_BYTES];
    bool own_dir;   /* Made here: removed by close, if that is asked. */
    bool own_disks; /* Data folders are small file systems, so that a disk can be full. */
    char node_program[512], witness_program[512];
    uint32_t node_count, witness_count;
    struct sgn_proc procs[SGN_PROCS_MAX + 1]; /* By number. */
};

/* Finds the programs beside this one (or SIGNET_NODE, SIGNET_WITNESS), makes the folder (`dir`
 * NULL: one in /tmp) and chooses ports. If disks are asked for and cannot be had, own_disks stays
 * false. Call before any thread is started. */
bool sgn_procs_open(struct sgn_procs *procs,
                    const char *dir,
                    uint32_t node_count,
                    uint32_t witness_count,
                    bool disks,
                    struct sgn_why *why) __attribute__((warn_unused_result));

/* Before they are configured: the first nodes carry the witnesses, one each, which then are no
 * processes. No more of them than nodes. */
void sgn_procs_embed(struct sgn_procs *procs);

/* Writes the nodes' configs. */
bool sgn_procs_configure(const struct sgn_procs *procs, struct sgn_why *why)
    __attribute__((warn_unused_result));

bool sgn_procs_start(struct sgn_procs *procs, uint32_t number, struct sgn_why *why)
    __attribute__((warn_unused_result));
/* Waits until it takes requests. */
bool sgn_procs_ready(struct sgn_procs *procs, uint32_t number, struct sgn_why *why)
    __attribute__((warn_unused_result));
/* kill -9; it is gone when this returns. */
void sgn_procs_kill(struct sgn_procs *procs, uint32_t number);
void sgn_procs_pause(struct sgn_procs *procs, uint32_t number, bool pause);
/* Of a node that does not run: removes all that it has stored. */
bool sgn_procs_wipe(struct sgn_procs *procs, uint32_t number, struct sgn_why *why)
    __attribute__((warn_unused_result));
/* With own_disks: leaves `left_kib` free on the node's disk, or frees it again. */
void sgn_procs_fill_disk(struct sgn_procs *procs, uint32_t number, uint32_t left_kib);
void sgn_procs_free_disk(struct sgn_procs *procs, uint32_t number);

/* Has it ended by itself? Then `why` says how, and it counts as not running. */
bool sgn_procs_died(struct sgn_procs *procs, uint32_t number, struct sgn_why *why);

/* Kills all; removes an own folder if `remove`, and leaves the disks' contents only if not. */
void sgn_procs_close(struct sgn_procs *procs, bool remove);

#endif
