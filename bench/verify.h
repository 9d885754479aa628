/* bench/verify.h - kv-bench verify: a ring of real processes under faults, and what its clients
 * were told, judged (bench/linear.h).
 *
 * The faults, made by verify_fault.c:
 *   kill       kill -9 of a node, now and then of all, and a start some time later
 *   pause      SIGSTOP of a node, SIGCONT later
 *   cut        a node and some others do not hear each other
 *   oneway     only one of the two directions is cut
 *   delay      every frame takes a time of its own
 *   loss       frames between members are lost
 *   duplicate  frames come twice, the second time up to a second late, also those of clients
 *   reorder    frames overtake each other
 *   diskfull   a node's disk, a small tmpfs, is full or at its reserve (needs the right to mount)
 *   witness    kill -9 of a witness, now and then of all, and a start later: it forgets everything;
 *              not if nodes carry them, with which they are killed and cut off
 *   wipe       kill -9 of a node, and a start with an empty disk; the next one when the ring has
 *              mended it, for no promise covers two at once */
#ifndef SGN_BENCH_VERIFY_H
#define SGN_BENCH_VERIFY_H

#include <stdatomic.h>

#include "bench/history.h"
#include "bench/procs.h"
#include "bench/relay.h"
#include "client/signet.h"
#include "ring/core/prng.h"

enum sgn_fault {
    SGN_FAULT_KILL,
    SGN_FAULT_PAUSE,
    SGN_FAULT_CUT,
    SGN_FAULT_ONEWAY,
    SGN_FAULT_DELAY,
    SGN_FAULT_LOSS,
    SGN_FAULT_DUPLICATE,
    SGN_FAULT_REORDER,
    SGN_FAULT_DISKFULL,
    SGN_FAULT_WITNESS,
    SGN_FAULT_WIPE,
    SGN_FAULT_COUNT
};

#define SGN_VERIFY_WORKERS_MAX 64u
#define SGN_VERIFY_KEYS_MAX    64u
#define SGN_VERIFY_ERRORS_MAX  64u
#define SGN_VERIFY_TIMEOUT_MS  1500u /* Of an operation; asking what became of it has its own. */
#define SGN_VERIFY_GRACE_MS    3000u /* Beyond its time; then it hangs. */
#define SGN_VERIFY_BUCKET      "verify"

/* How a strong read was served, by its receipt. */
enum {
    SGN_VERIFY_PATH_LOCAL,
    SGN_VERIFY_PATH_FAST,
    SGN_VERIFY_PATH_QUORUM,
    SGN_VERIFY_PATH_ROUND,
    SGN_VERIFY_PATHS
};

struct sgn_verify_options {
    uint32_t duration_s;
    uint32_t faults; /* Bit per enum sgn_fault. */
    uint32_t nodes, witnesses;
    uint32_t workers, keys;
    uint32_t rotate_s; /* Then the keys are others: short histories are judged best. */
    uint32_t pause_us; /* A worker's, between operations; on average. */
    uint64_t seed;
    enum sgn_bucket_kind kind;
    enum sgn_read_mode read;
    bool embed;                        /* The first nodes carry the witnesses. */
    const char *history, *check, *dir; /* NULL: none. */
};

struct sgn_verify {
    struct sgn_verify_options options;
    struct sgn_procs procs;
    struct sgn_relay *relay;
    char seeds[512]; /* Addresses of the nodes, by way of the relay. */
    uint64_t begin_ns;
    _Atomic uint64_t value_next;
    _Atomic bool stop;
    _Atomic uint64_t repeat_from_ns, repeat_until_ns; /* When frames came twice last. */
    uint64_t injected[SGN_FAULT_COUNT];
    uint64_t errors[SGN_VERIFY_ERRORS_MAX]; /* By -err: how often operations ended so. */
    uint64_t paths[SGN_VERIFY_PATHS];
    uint64_t longest_ns; /* Of one request. */
    struct sgn_history history;
};

/* "kill", ...; NULL past the last. */
const char *sgn_fault_name(uint32_t fault);

/* ---- verify_ring.c ---- */

/* Starts the relay, the nodes and the witnesses, and makes the bucket. With witnesses it waits
 * until they serve every partition. False: what `why` says; what was started is for the caller to
 * close. */
bool sgn_verify_ring(struct sgn_verify *verify, struct sgn_why *why)
    __attribute__((warn_unused_result));

/* ---- verify_work.c ---- */

const char *sgn_verify_path_name(uint32_t path);
/* A client of the ring by way of the relay, for one thread; both are the caller's to destroy. */
bool sgn_verify_client(const struct sgn_verify *verify,
                       struct sgn_client **client,
                       struct sgn_request **request,
                       struct sgn_why *why) __attribute__((warn_unused_result));

/* Runs the workers until the time is over, the faults meanwhile on the calling thread; then all is
 * healed, and every key is read once more. Appends to the history. False: what `why` says, the
 * history being whatever was done. */
bool sgn_verify_work(struct sgn_verify *verify, struct sgn_why *why)
    __attribute__((warn_unused_result));

/* ---- verify_fault.c ---- */

/* Makes faults until `until_ns`, then heals everything and waits until every process is ready.
 * False: a process died that nobody killed, or one cannot be started. */
bool sgn_verify_faults(struct sgn_verify *verify, uint64_t until_ns, struct sgn_why *why)
    __attribute__((warn_unused_result));

/* ---- verify_mend.c ---- */

/* The one disk that was emptied last. */
struct sgn_verify_mend {
    struct sgn_client *client;
    struct sgn_request *request;
    uint32_t nodes;
    uint32_t node; /* 0: none yet. */
    uint64_t disk; /* With which the map listed it. */
};
bool sgn_verify_mend_open(struct sgn_verify_mend *mend,
                          const struct sgn_verify *verify,
                          struct sgn_why *why) __attribute__((warn_unused_result));
void sgn_verify_mend_close(struct sgn_verify_mend *mend);
/* Whether the ring, by some node's word, has made up for it, so that another may be emptied. */
bool sgn_verify_mended(struct sgn_verify_mend *mend);
/* It is this node's that is emptied now; right after sgn_verify_mended. */
void sgn_verify_mend_lost(struct sgn_verify_mend *mend, uint32_t node);
/* Once all is healed. False: it has not, after half a minute. */
bool sgn_verify_mend_wait(struct sgn_verify_mend *mend, struct sgn_why *why)
    __attribute__((warn_unused_result));

/* ---- verify.c ---- */

/* The command line behind `kv-bench verify`. 0 ok, 1 violation or failure, 2 wrong use or a history
 * that cannot be read, 3 gave up. */
int sgn_verify_main(int argc, char **argv);

#endif
