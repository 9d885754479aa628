/* tests/sim/ord.h - a ring with an ordered bucket and a witness fleet in one process, from one
 * seed.
 *
 * The same idea as sim.h, for protocol.md 3 to 6: the engines and witnesses of ring/core as
 * compiled for the daemons, with network, disks, clocks and crashes made here. A run: faults and
 * clients together; then all is healed and the ring must come to rest; then the frames that were
 * kept back arrive, minutes late, and it must still be right; then every promise is looked at once
 * more.
 *
 * Who watches: ord_oracle.c what clients are told, ord_white.c what nodes tell each other and have
 * on disk, bench/linear.c the whole history. */
#ifndef SGN_TESTS_ORD_H
#define SGN_TESTS_ORD_H

#include "bench/linear.h"
#include "ring/core/engine.h"
#include "ring/core/key.h"
#include "ring/core/witness.h"
#include "tests/sim/ord_oracle.h"
#include "tests/sim/ord_white.h"
#include "tests/sim/sim.h"

#define ORD_BUCKET         "o"
#define ORD_NODES_MAX      5u
#define ORD_FLEET_MAX      6u /* Witness processes; each is added at most once. */
#define ORD_PROCS_MAX      (ORD_NODES_MAX + ORD_FLEET_MAX)
#define ORD_CLIENTS_MAX    8u
#define ORD_PARTITIONS_MAX 32u

/* Faults: name, strength at most. The unit is per mille of messages, steps or fault turns unless
 * the name says otherwise. */
#define ORD_FAULTS(X)                                                                              \
    X(loss, 100)                                                                                   \
    X(duplicate, 200)                                                                              \
    X(reorder, 400)                                                                                \
    X(late, 20)                                                                                    \
    X(replay, 20)                                                                                  \
    X(cut, 60)                                                                                     \
    X(one_way, 80)                                                                                 \
    X(crash, 80)                                                                                   \
    X(step_crash, 30) /* Of 10,000 steps with effects: between two of them. */                     \
    X(power, 20)                                                                                   \
    X(restart, 50)                                                                                 \
    X(disk_error, 6)                                                                               \
    X(disk_full, 30)                                                                               \
    X(disk_stall, 40)                                                                              \
    X(rot, 20)                                                                                     \
    X(wipe, 100) /* A node comes back with an empty disk; not beside rot. */                       \
    X(clock_jump, 40)                                                                              \
    X(skew_ms, 3000)                                                                               \
    X(pause, 60)                                                                                   \
    X(witness_crash, 60)                                                                           \
    X(fleet_crash, 20)                                                                             \
    X(fleet_change, 40)                                                                            \
    X(long_down, 30)                                                                               \
    X(move, 40)                                                                                    \
    X(pool_refuse, 4)

enum ord_fault {
#define ORD_FAULT_ENUM(name, most) ORD_##name,
    ORD_FAULTS(ORD_FAULT_ENUM)
#undef ORD_FAULT_ENUM
        ORD_FAULT_COUNT
};

/* Mixes of operations; a mutant's seeds prefer the one that shows it. */
enum ord_mix { ORD_MIX_ALL, ORD_MIX_READS, ORD_MIX_CONDITIONS, ORD_MIX_COUNT };

struct ord_options {
    uint64_t seed;
    uint32_t nodes, replicas, partitions, fleet, clients, keys, ops, think_us, value_bytes_max;
    uint32_t delay_us_max, entries_max, mix, patience_ms_max;
    uint32_t tombstone_ms; /* 3.7: tombstones are dropped about so often; 0: never. */
    uint32_t fault[ORD_FAULT_COUNT];
    bool inside; /* The first witnesses live in the nodes' processes (node/own_witness.h). */
    bool fault_free;
    bool inject; /* The canary: one strong read is made to return an old value; must be seen. */
    uint32_t verbose; /* 1: what happens; 2: every message too. */
};

struct ord_world;

struct ord_event {
    struct sim_when when;
    void (*run)(struct ord_world *world, struct ord_event *event);
    uint32_t to, from; /* Process numbers: nodes, then the fleet. */
    uint32_t to_boot, from_boot;
    bool held;      /* Happens in a node's process: waits while that is stopped, dies with it. */
    bool is_answer; /* Of a message. */
    uint64_t token;
    int err;
    struct sgn_msg *msg; /* Owned, as all below. */
    struct sgn_effect *ask;
    uint8_t *ask_bytes;
};

struct ord_node {
    uint32_t id;
    bool up;
    uint32_t boot;
    uint32_t incarnation;
    uint64_t disk_id; /* Of the disk it has now. */
    uint32_t wipes;   /* Disks it had before. */
    uint64_t paused_until_us;
    uint64_t down_until_us;
    struct sgn_engine *engine;
    void *memory;
    struct sim_pool pool;
    struct sim_disk disk;
    int64_t skew_ms;
    bool commit_scheduled, flush_scheduled;
    bool connected[ORD_PROCS_MAX];
    uint32_t map_version; /* Last looked at. */
};

struct ord_witness {
    uint32_t id; /* 0: not yet listed by any map. */
    bool up, wanted, leaving;
    uint32_t boot;
    struct sgn_witness *core;
    void *memory;
};

enum ord_op_kind { ORD_OP_PUT, ORD_OP_DEL, ORD_OP_READ, ORD_OP_LIST };

struct ord_client {
    uint64_t token; /* Of the request under way; 0: none. */
    bool busy;
    enum ord_op_kind kind;
    uint32_t mode; /* enum sgn_read_mode of a READ; LIST too. */
    bool resolving;
    bool again; /* A verdict is known; the same request was sent once more to see the same one. */
    uint32_t key, write, attempts, node;
    bool maybe; /* An attempt may have had effect. */
    uint64_t began_us, patience_us;
    struct sgn_version floor;                /* Of the key, when the operation began. */
    struct sgn_version passed;               /* Session reads. */
    struct sgn_version floors[ORD_KEYS_MAX]; /* Lists. */
    bool floor_dead[ORD_KEYS_MAX];
    uint32_t after; /* Lists: key behind which the page begins; UINT32_MAX: from the start. */
    struct sgn_request_id id;
    uint64_t stamp;
    uint64_t clock_stamp, clock_us; /* The highest stamp told, and when. */
    uint8_t value[2048];
    uint32_t value_bytes;
    struct sgn_version seen[ORD_KEYS_MAX]; /* By this client, last. */
    bool clean;       /* A strong read of a key that nobody wrote from some time before it began. */
    uint64_t process; /* In the history. */
    struct sgn_operation op;
};

/* What the one operator is doing: a change of the fleet, asked for until it is done. */
struct ord_admin {
    bool busy;
    uint32_t change; /* enum sgn_map_change */
    uint32_t slot;
    uint64_t token;
    uint64_t first_token; /* Of the change under way; `token` is of the attempt. */
    uint32_t joined;      /* Slots ever asked to join. */
};

struct ord_world {
    struct ord_options options;
    struct sgn_prng prng;
    uint64_t now_us, order, hash, steps, next_token;
    struct sim_heap heap;
    struct sgn_ring ring;
    uint16_t table[ORD_PARTITIONS_MAX * SGN_REPLICAS_MAX];
    struct ord_node nodes[ORD_NODES_MAX];
    struct ord_witness fleet[ORD_FLEET_MAX];
    bool blocked[ORD_PROCS_MAX][ORD_PROCS_MAX];
    struct ord_client clients[ORD_CLIENTS_MAX];
    uint32_t ops_begun, ops_ended;
    uint32_t verify_left; /* Reads of the last look still under way. */
    bool healing;
    struct ord_admin admin;
    uint32_t rotten_node;
    struct ord_event **kept; /* Frames held back until the end. */
    uint32_t kept_count, kept_cap;
    struct ord_oracle oracle;
    struct ord_white white;
    struct sgn_history history;
    struct sgn_effects *effects;
    bool stepping;
    uint64_t acked, refused, unknowns, strong_reads, messages, crashes, moves, wipes;
    uint32_t writing[ORD_KEYS_MAX];    /* Writes of the key under way. */
    uint64_t written_us[ORD_KEYS_MAX]; /* When the last one ended, or began. */
    uint64_t clean_reads, clean_fast;
    bool injected;
};

/* ord_world.c */
struct ord_event *ord_schedule(struct ord_world *world,
                               uint64_t delay_us,
                               void (*run)(struct ord_world *, struct ord_event *));
/* The same, at a node: not while it is stopped, never in another life of it. */
struct ord_event *ord_schedule_at(struct ord_world *world,
                                  uint32_t node,
                                  uint64_t delay_us,
                                  void (*run)(struct ord_world *, struct ord_event *));
void ord_fold(struct ord_world *world, uint64_t word);
void ord_log(const struct ord_world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool ord_run(const struct ord_options *options, uint64_t *hash, char *report, size_t report_cap);

/* ord_fault.c, ord_draw.c. `mutant` shapes the seeds so that its rule matters; 0: any. */
void ord_options_draw(struct ord_options *options, uint64_t seed, int mutant);
void ord_options_print(const struct ord_options *options, char *text, size_t cap);
void ord_faults_begin(struct ord_world *world);
void ord_faults_heal(struct ord_world *world);
void ord_crash(struct ord_world *world, uint32_t node, uint64_t away_us);
void ord_witness_crash(struct ord_world *world, uint32_t slot);

/* ord_admin.c: one person's changes of the fleet and of partitions. */
void ord_admin_begin(struct ord_world *world);
bool ord_admin_idle(const struct ord_world *world);
void ord_admin_change_fleet(struct ord_world *world);
void ord_admin_move(struct ord_world *world);
void ord_admin_answer(struct ord_world *world, uint64_t token, const struct sgn_msg *msg);
#define ORD_ADMIN_TOKEN (UINT64_C(1) << 62)

/* ord_net.c */
void ord_transmit(
    struct ord_world *world, uint32_t from, uint32_t to, const struct sgn_msg *msg, bool is_answer);
void ord_net_begin(struct ord_world *world);
void ord_net_release_kept(struct ord_world *world);
/* Process number of a node or witness id; UINT32_MAX: none of this world. */
uint32_t ord_process(const struct ord_world *world, uint32_t id);
bool ord_process_up(const struct ord_world *world, uint32_t process);
uint32_t ord_process_boot(const struct ord_world *world, uint32_t process);
uint32_t ord_process_id(const struct ord_world *world, uint32_t process);
/* The node in whose process it is; UINT32_MAX: a witness with a process of its own. */
uint32_t ord_host(const struct ord_world *world, uint32_t process);
/* Token of a peer's request: this, its boot << 40, its process number << 32, its own number. */
#define ORD_PEER_TOKEN (UINT64_C(1) << 63)

/* ord_node.c, ord_disk.c */
void ord_feed(struct ord_world *world, uint32_t node, struct sgn_event *event);
void ord_node_start(struct ord_world *world, uint32_t index);
void ord_node_stop(struct ord_world *world, uint32_t index, bool clean);
void ord_disk_load(struct ord_world *world, uint32_t index, const struct sgn_effect *effect);
void ord_disk_scan(struct ord_world *world, uint32_t index, const struct sgn_effect *effect);
/* What waits for its sync is kept in part, or whole if the stop is clean. */
void ord_disk_stop(struct ord_world *world, uint32_t index, bool clean);
void ord_disk_store(struct ord_world *world, uint32_t index, const struct sgn_effect *effect);
/* The node, which is down, gets another disk: empty. */
void ord_disk_replace(struct ord_world *world, uint32_t index);
/* Whether the disk is empty and the one before was not: nobody is there who remembers. */
bool ord_disk_is_lost(const struct ord_world *world, uint32_t index);
/* Whether one more disk may be lost: every node has the one it is a member with, and no partition
 * is still moving for want of one that was. More than that no promise covers. */
bool ord_disk_may_be_lost(const struct ord_world *world);

/* ord_witness.c */
void ord_witness_start(struct ord_world *world, uint32_t slot);
void ord_witness_stop(struct ord_world *world, uint32_t slot);
void ord_witness_deliver(struct ord_world *world, uint32_t slot, struct ord_event *arrival);
/* Gives processes of their own the ids under which a map lists them. */
void ord_witness_learn(struct ord_world *world, const struct sgn_map *map);
/* The witness inside the node starts and ends with its line in that node's map. */
void ord_witness_follow(struct ord_world *world, uint32_t node);
void ord_witness_address(uint32_t slot, char out[SGN_ADDRESS_BYTES_MAX + 1]);

/* ord_client.c asks, ord_answer.c judges. */
void ord_clients_begin(struct ord_world *world);
bool ord_clients_done(const struct ord_world *world);
void ord_client_send(struct ord_world *world, uint32_t index);
void ord_client_answer(struct ord_world *world, uint64_t token, const struct sgn_msg *msg);
/* The operation ended: notes it in the history and begins another after a while. */
void ord_client_end(struct ord_world *world, struct ord_client *client);
/* The end of an attempt that brought no verdict. */
void ord_client_retry(struct ord_world *world, struct ord_client *client, bool maybe);
/* One strong read of every key through some node; counts down verify_left. */
void ord_verify_begin(struct ord_world *world);
#define ORD_VERIFY_TOKEN (UINT64_C(1) << 61)
#define ORD_SCRUB_TOKEN  (ORD_VERIFY_TOKEN | 256) /* Of a read whose answer nobody waits for. */
void ord_verify_answer(struct ord_world *world, uint64_t token, const struct sgn_msg *msg);
void ord_key_name(uint32_t key, char *out, size_t cap);
struct sgn_bytes ord_full_key(uint32_t key, uint8_t room[SGN_FULL_KEY_BYTES_MAX]);
/* Number of the key; UINT32_MAX: none of the workload. */
uint32_t ord_key_number(struct sgn_bytes full_key);
uint32_t ord_key_partition(const struct ord_world *world, uint32_t key);
/* Number in a value written by the workload, ORD_NO_WRITE for none. */
uint32_t ord_value_number(struct sgn_bytes value);

/* ord_list.c */
void ord_list_check(struct ord_world *world, struct ord_client *client, const struct sgn_msg *msg);

/* ord_final.c: what must hold when all faults are gone. */
/* Of the nodes that are up; NULL: none is. */
const struct sgn_map *ord_newest_map(const struct ord_world *world);
bool ord_at_rest(const struct ord_world *world, char *why, size_t cap);
/* Reads every record that is rotten where it lies: rot is found, and mended, by who reads it. */
void ord_read_rotten(struct ord_world *world);
void ord_tell_disks(const struct ord_world *world); /* To the log. */
void ord_check_final(struct ord_world *world);

#endif
