/* tests/sim/sim.h - a whole ring in one process, from one seed.
 *
 * The nodes run the engine of ring/core as compiled for the daemon. Everything around it is made
 * here: a network that delays, loses, doubles, reorders and cuts (also one way only), disks that
 * lose what was not synced, fail, fill up and rot, clocks that are wrong and jump, nodes that crash
 * at any event and come back. Time is virtual and in microseconds; nothing waits.
 *
 * A run has two phases. In the first, the faults the seed drew are at work while clients read and
 * write. In the second all is healed and the ring must come to rest. The checker (sim_check.c) only
 * watches. Faults stay within what the ring promises to survive: disks lose only what was never
 * acknowledged, and at most one disk of a ring rots. */
#ifndef SGN_TESTS_SIM_H
#define SGN_TESTS_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "ring/core/engine.h"
#include "ring/core/prng.h"
#include "tests/sim/sim_heap.h"
#include "tests/sim/sim_start.h"

#define SIM_BUCKET            "av" /* Available; the ordered workload has its own world (ord.h). */
#define SIM_NODES_MAX         7u
#define SIM_CLIENTS_MAX       6u
#define SIM_KEYS_MAX          16u
#define SIM_DEPTH_MAX         16u
#define SIM_OPS_MAX           1500u
#define SIM_WRITES_OF_KEY_MAX 1500u

/* What the seed drew. Printed whole when a run fails. */
struct sim_options {
    uint64_t seed;
    uint32_t nodes, replicas, partitions, r, w, clients, keys, ops;
    uint32_t delay_us_max, loss_pm, duplicate_pm, reorder_pm; /* Per mille of messages. */
    uint32_t cut_pm, one_way_pm, crash_pm, clean_restart_pm;  /* Per mille of fault turns. */
    uint32_t disk_error_pm, disk_full_pm, rot_pm, clock_jump_pm, pool_refuse_pm, pause_pm;
    uint32_t disk_stall_pm; /* Per mille of commits that take seconds. */
    uint32_t skew_ms_max;
    uint32_t value_bytes_max;
    bool inject_loss; /* The canary: drops one acknowledged write from every disk; must be seen. */
    bool verbose;
};

/* --- disk: an ordered map per family, durable in a prefix of what was asked (sim_disk.c) --- */

struct sim_entry {
    uint8_t *key, *value;
    uint32_t key_bytes, value_bytes;
};

struct sim_family {
    struct sim_entry *list; /* Sorted by key. */
    uint32_t count, cap;
};

struct sim_unit { /* One STORE waiting for its sync. */
    uint64_t token;
    uint32_t write_count;
    struct sgn_store_write writes[SGN_EFFECT_WRITES_MAX];
    uint8_t *bytes; /* Backs the writes' keys and values. */
    uint64_t note;  /* Of the caller. */
};

struct sim_world;

struct sim_disk {
    struct sim_family families[4];
    struct sim_unit *queue;
    uint32_t queue_count, queue_cap;
    bool failed; /* After an I/O error: no writes until restart. */
    bool full;
    bool rotten; /* May answer CORRUPT. */
};

void sim_disk_clear(struct sim_disk *disk);
/* Copies the unit to the end of the queue. */
void sim_disk_queue(struct sim_disk *disk, uint64_t token, const struct sgn_effect *effect);
/* Makes the first `count` units durable and takes them from the queue. */
void sim_disk_commit(struct sim_disk *disk, uint32_t count);
/* Forgets the units that wait. */
void sim_disk_queue_drop(struct sim_disk *disk);
/* The power goes: a prefix of the queue may have reached the plate, the rest is gone. */
void sim_disk_power_cut(struct sim_disk *disk, struct sgn_prng *prng);
const struct sim_entry *sim_disk_find(const struct sim_disk *disk,
                                      enum sgn_family family,
                                      struct sgn_bytes key);
void sim_disk_put(struct sim_disk *disk,
                  enum sgn_family family,
                  struct sgn_bytes key,
                  struct sgn_bytes value);
void sim_disk_delete(struct sim_disk *disk, enum sgn_family family, struct sgn_bytes key);
/* Runs a scan into `items`; sets after (valid as long as the map is unchanged) and end. */
void sim_disk_scan(const struct sim_disk *disk,
                   const struct sgn_scan *scan,
                   uint32_t partition_count,
                   struct sgn_sink *items,
                   struct sgn_bytes *after,
                   bool *end);

/* --- history and oracle (sim_check.c) --- */

enum sim_outcome { SIM_OPEN, SIM_APPLIED, SIM_FAILED, SIM_UNKNOWN };

#define SIM_DOTS_MAX 16u /* Times one write is minted: attempts, each passed on. */

struct sim_write {
    uint32_t key;
    bool is_delete;
    bool replaces; /* No context: overwrites what the coordinator holds. */
    enum sim_outcome outcome;
    bool seen; /* Some read returned it. */
    uint64_t began_us, ended_us;
    uint64_t sent_us;     /* Its last attempt. */
    uint32_t *overwrites; /* Writes whose values its context was read with. */
    uint32_t overwrite_count;
    struct sgn_vector context;         /* The context itself; empty: none, or a blind put. */
    struct sgn_dot dots[SIM_DOTS_MAX]; /* Under which nodes were to store its value. */
    uint32_t dot_count;
};

struct sim_history {
    struct sim_write writes[SIM_OPS_MAX];
    uint32_t count;
    bool clocks_agree;   /* No skew, no jumps: stamps order as time does. */
    char violation[512]; /* The first one; empty while all is well. */
};

void sim_history_clear(struct sim_history *history);
/* Returns the write's number; its value begins with "w<number>.". */
uint32_t sim_history_begin(struct sim_history *history,
                           uint32_t key,
                           bool is_delete,
                           bool replaces,
                           const uint32_t *seen,
                           uint32_t seen_count,
                           struct sgn_bytes context,
                           uint64_t now_us);
/* Number of the write a value came from; notes a violation and returns UINT32_MAX when it is none,
 * or one of another key. Marks it as seen. */
uint32_t sim_history_read(struct sim_history *history, uint32_t key, struct sgn_bytes value);
/* A read of the key that began at `began_us` showed these writes, from R copies with R + W > N: no
 * write acknowledged before it may be missing. */
void sim_history_check_read(struct sim_history *history,
                            uint32_t key,
                            uint64_t began_us,
                            const uint32_t *seen,
                            uint32_t seen_count);
void sim_violation(struct sim_history *history, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The number in a value, UINT32_MAX when it has none. */
uint32_t sim_value_number(struct sgn_bytes value);
/* Whether the write was acknowledged and nothing accounts for its absence: it must be readable. */
bool sim_history_needs(const struct sim_history *history, uint32_t number);
/* After healing: what the key holds in the end, the same on all homes. */
void sim_history_check_final(struct sim_history *history,
                             uint32_t key,
                             const struct sgn_record *final);

/* --- the world (sim_world.c), clients (sim_client.c), faults (sim_fault.c) --- */

struct sim_node {
    uint32_t id;
    bool up;
    bool paused;
    uint32_t boot; /* Times started; messages of another boot are not delivered. */
    uint32_t home_generation, guest_generation;
    struct sgn_engine *engine;
    void *memory;
    struct sim_pool pool;
    struct sim_disk disk;
    int64_t skew_ms;
    bool commit_scheduled, flush_scheduled;
    bool write_refused;            /* In this life: no clean mark. */
    bool connected[SIM_NODES_MAX]; /* [i]: our connection to node i stands. */
};

struct sim_known { /* What a client learnt of a key by its last read. */
    uint8_t context[SGN_CONTEXT_BYTES_MAX];
    uint32_t context_bytes;
    uint32_t seen[SGN_SIBLINGS_MAX];
    uint32_t seen_count;
    bool valid;
};

struct sim_client {
    uint64_t token; /* Of the request under way; 0: none. */
    enum sgn_msg_type type;
    uint32_t key;
    uint32_t write; /* Number in the history, for PUT and DEL. */
    uint32_t attempts;
    uint64_t began_us;
    bool uncertain; /* An earlier attempt may have had effect. */
    struct sgn_request_id id;
    uint8_t value[65536];
    uint32_t value_bytes;
    bool has_context;
    uint8_t context[SGN_CONTEXT_BYTES_MAX];
    uint32_t context_bytes;
    uint32_t node; /* Index asked. */
    struct sim_known known[SIM_KEYS_MAX];
};

struct sim_event {
    struct sim_when when;
    void (*run)(struct sim_world *world, struct sim_event *event);
    uint32_t node, from;
    uint32_t node_boot, from_boot;
    uint64_t token;
    int err;
    struct sgn_msg *msg;     /* Owned; deep copy in one allocation. */
    struct sgn_effect *scan; /* Owned. */
    bool is_answer;
};

struct sim_world {
    struct sim_options options;
    struct sgn_prng prng;
    uint64_t now_us, order, hash, steps, next_token;
    struct sim_heap heap;
    struct sgn_ring ring;
    uint16_t table[64 * SGN_REPLICAS_MAX];
    struct sim_node nodes[SIM_NODES_MAX];
    bool blocked[SIM_NODES_MAX][SIM_NODES_MAX]; /* [a][b]: nothing of a reaches b. */
    struct sim_client clients[SIM_CLIENTS_MAX];
    uint32_t ops_begun;
    bool healing;
    uint32_t rotten_node;
    uint64_t messages, crashes, acked, refused;
    struct sim_history history;
    uint32_t depth; /* Of engine steps under way, one inside the other. */
    struct sgn_effects *effects[SIM_DEPTH_MAX];
};

struct sim_event *sim_schedule(struct sim_world *world,
                               uint64_t delay_us,
                               void (*run)(struct sim_world *, struct sim_event *));
void sim_feed(struct sim_world *world, uint32_t node, struct sgn_event *event);
void sim_node_start(struct sim_world *world, uint32_t index);
void sim_node_stop(struct sim_world *world, uint32_t index, bool clean);
void sim_faults_begin(struct sim_world *world);
void sim_faults_heal(struct sim_world *world);
void sim_clients_begin(struct sim_world *world);
void sim_client_reply(struct sim_world *world, uint64_t token, const struct sgn_msg *msg);
bool sim_clients_done(const struct sim_world *world);
/* Reads every key from all its homes: what a scrub does, it brings rot to light that nobody met. */
void sim_sweep(struct sim_world *world);
/* Deep copy in one allocation, to be freed by free(). */
struct sgn_msg *sim_msg_copy(const struct sgn_msg *msg);
void sim_key_name(uint32_t key, char *out, size_t cap);
/* The full key as bytes in `room`, SGN_FULL_KEY_BYTES_MAX of it. */
struct sgn_bytes sim_full_key(uint32_t key, uint8_t *room);
/* Every node is a home of every key and no copy rots: what W nodes hold, they hold. */
bool sim_copies_are_exact(const struct sim_world *world);
/* What a STORE may never do, looked at when it is asked for (sim_promise.c). */
void sim_check_store(struct sim_world *world, uint32_t index, const struct sgn_effect *effect);
/* A write that is being acknowledged now must be durable on W nodes. */
void sim_check_acknowledged(struct sim_world *world, uint32_t number);

/* Runs one seed. Returns true when no rule was broken. *hash is the same for the same options. */
bool sim_run(const struct sim_options *options, uint64_t *hash, char *report, size_t report_cap);
/* Draws the options of a seed: a subset of the faults, each with a strength. */
void sim_options_draw(struct sim_options *options, uint64_t seed);
void sim_options_print(const struct sim_options *options, char *text, size_t cap);

#endif
