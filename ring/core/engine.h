/* ring/core/engine.h - one node's whole part in the ring, as a state machine.
 *
 * `sgn_engine_step(engine, event, effects)`: the driver brings what happened (a message, a finished
 * read or write, the passing of time) and carries out what comes back, in order. The engine does no
 * I/O, reads no clock and calls no allocator but the pool it was given. The daemon (node/driver.c)
 * and the simulator (tests/sim) are two drivers of this one object.
 *
 * What it does (protocol.md 8-10): coordinates puts, deletes, gets and lists of available buckets;
 * is a replica; keeps liveness of peers; keeps hints and hands them over; compares hash trees with
 * peers and repairs; keeps the bucket table.
 *
 * Rules the driver keeps:
 *  - every effect is done, or answered with an error event, exactly once; effects of a step are
 *    done in their order; bytes in an effect are valid until the next step, bytes in an event until
 *    the effects of that step are done (an effect may point into its event: a read is passed on
 *    uncopied);
 *  - STORED comes only after the write is durable (group commit, one sync for many);
 *  - writes become durable in the order they were asked for (a prefix survives a crash);
 *  - LOADED and SCANNED show a state at least as new as every STORED that came before the LOAD;
 *  - one thread; no re-entry.
 * A step cannot fail. A full table or pool answers the request with SGN_ERR_BUSY. */
#ifndef SGN_CORE_ENGINE_H
#define SGN_CORE_ENGINE_H

#include <stdint.h>

#include "ring/core/bucket.h"
#include "ring/core/map.h"
#include "ring/core/msg.h"
#include "ring/core/ring.h"

/* Where a record lives: its own data, or a hint kept for another node. Store keys:
 *   DATA: full key -> record (ordered bucket: u64 LE sequence number, then ordered.h bytes);
 *   TREE: u16 BE partition, u64 BE hash, full key -> u64 LE digest (ordered: + u64 LE sequence
 *         number, ballot);
 *   HINT: u32 BE node, full key -> record, or empty: "send that node what DATA holds";
 *   META: short names -> small values ("buckets/<name>" -> row, "guest" -> u32 generation). */
enum sgn_family { SGN_FAMILY_DATA, SGN_FAMILY_TREE, SGN_FAMILY_HINT, SGN_FAMILY_META };

struct sgn_store_write {
    enum sgn_family family;
    bool is_delete;
    struct sgn_bytes key;
    struct sgn_bytes value;
};

#define SGN_EFFECT_WRITES_MAX 6u /* Data, tree (old and new: one key), hints, generation. */

enum sgn_effect_type {
    SGN_FX_SEND,  /* node, msg: to a peer; may be lost. */
    SGN_FX_REPLY, /* token, msg: to the client or peer connection the request came on. */
    SGN_FX_LOAD,  /* token, family, key: answer LOADED. */
    SGN_FX_STORE, /* token, writes: one atomic unit; answer STORED. */
    SGN_FX_SCAN,  /* token, scan: answer SCANNED. */
    SGN_FX_LOG,   /* text: something a person should know, already rate limited. */
};

struct sgn_scan {
    enum sgn_family family;
    struct sgn_bytes prefix; /* Store-key prefix all results share. */
    struct sgn_bytes after;  /* Store key to begin behind; empty: at the prefix. */
    uint32_t items_max, examined_max;
    uint32_t bytes_max;
    struct sgn_bytes partitions; /* DATA only: bitmap of partitions wanted; empty: all. */
    bool heads_only;             /* DATA, HINT: records cut to digest form; empty stays so. */
    bool ordered;                /* DATA with heads_only: of an ordered bucket. Values are the
                                    sequence number and a head (ordered.h); of what is corrupt, the
                                    key with no value. */
};

struct sgn_effect {
    enum sgn_effect_type type;
    uint32_t node;
    uint64_t token;
    struct sgn_msg msg;
    enum sgn_family family;
    struct sgn_bytes key;
    struct sgn_store_write writes[SGN_EFFECT_WRITES_MAX];
    uint32_t write_count;
    struct sgn_scan scan;
    const char *text;
};

struct sgn_effects {
    uint32_t count;
    struct sgn_effect list[SGN_EFFECTS_MAX];
};

enum sgn_event_type {
    SGN_EV_TICK,      /* Time passes; at least every SGN_TICK_MS. */
    SGN_EV_REQUEST,   /* token, msg: a request to answer by REPLY(token): from a client, or a peer's
                         request (forwarded, REPL_*, TREE_ROOTS). */
    SGN_EV_MESSAGE,   /* node, msg: from a peer: answer to our SEND (by msg.request) or one-way. */
    SGN_EV_PEER_UP,   /* node: a connection to the peer stands and HELLO agreed. */
    SGN_EV_PEER_DOWN, /* node: it broke; nothing sent on it will be answered. */
    SGN_EV_LOADED,    /* token, err (OK, NOT_FOUND, CORRUPT, IO, BUSY), value. */
    SGN_EV_STORED,    /* token, err (OK, DISK_FULL, IO, BUSY). */
    SGN_EV_SCANNED,   /* token, err, items (ring/core/items.h), after = last key examined, end. */
    SGN_EV_FLUSH, /* Nothing else is at hand: what was gathered for witnesses and peers goes out.
                         Fed whenever sgn_engine_wants_flush, at the end of a turn. */
};

#define SGN_TICK_MS 20u

struct sgn_event {
    enum sgn_event_type type;
    uint64_t now_ms;  /* Monotonic. */
    uint64_t now_us;  /* The same in microseconds, for receipts; 0: not known. */
    uint64_t wall_ms; /* Since 1970; may jump. */
    uint64_t random;  /* Fresh in every event. */
    uint32_t node;
    uint64_t token;
    struct sgn_msg msg;
    int err;
    struct sgn_bytes value;
    struct sgn_bytes items;
    struct sgn_bytes after;
    bool end;
};

/* Memory for values in flight. get answers NULL when the limit is reached (the request gets BUSY).
 * The daemon's takes from malloc under a bound, the simulator's counts and can refuse at will. */
struct sgn_pool {
    void *(*get)(struct sgn_pool *pool, size_t bytes);
    void (*put)(struct sgn_pool *pool, void *ptr);
};

struct sgn_engine_options {
    uint32_t node;        /* Own id; a member of the ring. */
    uint32_t incarnation; /* Boot counter. */
    uint64_t disk; /* Random, made with the data directory: with it the node is a member (2). */
    uint32_t home_generation, guest_generation; /* Actor generations; see node/store.h. */
    uint32_t request_timeout_ms; /* A coordinated request is answered by then. 2000. */
    uint32_t replica_timeout_ms; /* A replica silent for that long is stood in for. 500. */
    uint32_t heartbeat_ms;       /* 200. */
    uint32_t suspect_ms;         /* No heartbeat for this long: down. 1000. */
    uint32_t tree_interval_ms;   /* One comparison of trees with one peer per interval. 5000. */
    uint32_t hints_max;          /* Hints kept; past it anti-entropy is left to mend. 1000000. */
    uint32_t out_ms;             /* A replica down for that long is listed as out (6). 5000. */
    uint32_t tombstone_ms; /* Tombstones of ordered keys are kept so long; 0: for ever. 3600000. */
    uint32_t resolve_ms;   /* A pending or unsettled record is taken up after this. 1000. */
};

struct sgn_engine; /* Plain struct in engine_state.h, for the drivers that place it. */

/* Bytes of zeroed memory that init needs for this ring, 16-aligned. */
size_t sgn_engine_bytes(const struct sgn_ring *ring);

/* `memory` and `ring` (with its table) must outlive the engine. Before the first request the driver
 * feeds what the store holds: _restore_bucket for every META bucket row, _restore_leaf for every
 * TREE entry, _restore_hint for every HINT entry. */
struct sgn_engine *sgn_engine_init(void *memory,
                                   const struct sgn_ring *ring,
                                   struct sgn_pool *pool,
                                   const struct sgn_engine_options *options,
                                   uint64_t now_ms);
void sgn_engine_restore_bucket(struct sgn_engine *engine, struct sgn_bytes row);
/* META "map", "register", "ceiling", "watermark": before the leaves. SGN_ERR_CORRUPT if the value
 * is not what that name keeps. */
enum sgn_err sgn_engine_restore_meta(struct sgn_engine *engine,
                                     struct sgn_bytes name,
                                     struct sgn_bytes value);
/* `digest` empty: the entry is there and corrupt. */
void sgn_engine_restore_leaf(struct sgn_engine *engine,
                             struct sgn_bytes tree_key,
                             struct sgn_bytes digest);
void sgn_engine_restore_hint(struct sgn_engine *engine, struct sgn_bytes hint_key);

void sgn_engine_step(struct sgn_engine *engine,
                     const struct sgn_event *event,
                     struct sgn_effects *effects);

/* Gives every pool buffer back; for a driver that ends. */
void sgn_engine_clear(struct sgn_engine *engine);

/* What people and checkers look at; reading changes nothing. */
struct sgn_engine_counts {
    uint64_t puts, gets, lists, deletes, forwards;
    uint64_t refused_busy, timeouts, unavailable, unknown;
    uint64_t hints_held, hints_written, hints_delivered, hints_dropped;
    uint64_t read_repairs, tree_rounds, tree_repairs;
    uint64_t divergent_partitions; /* Seen to differ in the last comparison with any live peer. */
    /* Ordered buckets. */
    uint64_t rounds_chained, rounds_classic, rounds_nacked, rounds_stale;
    uint64_t reads_fast, reads_quorum, reads_round, reads_eventual;
    uint64_t settles, resolves, marks_sent, checks_sent, map_changes, fenced;
    uint64_t tombstones_dropped;    /* 3.7 */
    uint64_t records_wiped;         /* 6.2 */
    uint32_t dirty, pending, cells; /* Keys not known settled; of them not known committed. */
    uint32_t ops_in_flight, keys_locked;
    uint32_t peers_alive; /* Without itself. */
};
void sgn_engine_counts(const struct sgn_engine *engine, struct sgn_engine_counts *counts);
/* Ordered buckets at a glance: the map, the fleet as this node finds it, what is not as it should
 * be. Looks at every partition: for a few calls a second. Addresses stay valid until the next
 * step. */
enum sgn_fast_path {
    SGN_FAST_OFF,    /* No strong read can be fast. */
    SGN_FAST_PARTLY, /* Some can; a witness tells how many partitions it is mute on, not which. */
    SGN_FAST_ON,     /* f + 1 of every partition's group are up, in this map, and not mute. */
};
#define SGN_FENCE_WAITS_MAX 8u
struct sgn_witness_view {
    uint32_t id; /* With SGN_WITNESS_BIT. */
    const char *address;
    uint32_t listed, incarnation; /* By the map; by its own word, 0: never heard. */
    bool up, leaving;
    uint32_t version;          /* Of its map. This and the next two are 0 unless it is up. */
    uint32_t warming, dropped; /* Partitions it says nothing about: yet; for want of room. */
    uint32_t groups;           /* Partitions whose group it is in, as it is now. */
};
struct sgn_fleet_view {
    enum sgn_fast_path fast_path;
    uint32_t map_version, group_size, partitions;
    uint32_t fast, fast_maybe;          /* Partitions. */
    uint32_t without_group, joint;      /* Partitions. */
    uint32_t lost;                      /* Partitions being mended after a disk was lost (2). */
    bool is_member;                     /* The map lists this node with the disk it has (2). */
    uint32_t fenced;                    /* Partitions whose writes wait for word of others (6.3). */
    uint32_t in_sync, catching_up, out; /* Seats of all partitions. */
    uint32_t own_catching_up;           /* Of them this node's own; of those, */
    uint32_t own_caught_up, own_at_work; /* done but not yet listed; being caught up now. */
    uint32_t fence_wait_count;           /* Whose word the first fenced partition waits for. */
    uint32_t fence_waits[SGN_FENCE_WAITS_MAX];
    uint32_t witness_count, witnesses_up;
    struct sgn_witness_view witnesses[SGN_WITNESSES_MAX];
};
void sgn_engine_fleet(const struct sgn_engine *engine, struct sgn_fleet_view *view);
/* Whether the engine takes the node for alive (itself always). */
bool sgn_engine_peer_alive(const struct sgn_engine *engine, uint32_t node);
/* True when a FLUSH would send something. */
bool sgn_engine_wants_flush(const struct sgn_engine *engine);
/* The checks that a FLUSH now would send in one message, if it would send nothing but checks; else
 * 0. They may be held for more of them, for a time that callers do not mind: correctness does not
 * depend on when they leave. */
uint32_t sgn_engine_checks_gathered(const struct sgn_engine *engine);
/* Whether a message with checks is unanswered by a witness that is not silent. */
bool sgn_engine_checks_asked(const struct sgn_engine *engine);
/* The map adopted; its lines change only within a step. The driver keeps connections to its
 * witnesses: after a step that raised `version` it compares the list. To a witness the driver sends
 * SGN_FX_SEND like to a peer, by id; PEER_UP and PEER_DOWN come for witnesses too. */
const struct sgn_map *sgn_engine_map(const struct sgn_engine *engine);
/* Has the partition move to `count` nodes in that order (protocol.md 6.2): this node proposes the
 * joint epoch and, once the newcomers have caught up, some node the epoch that ends it. False while
 * an earlier move of this node is not done, or when the nodes cannot be a set (not members of the
 * ring, one twice). Between steps; used by tests and by whatever plans joins. */
bool sgn_engine_move(struct sgn_engine *engine,
                     uint32_t partition,
                     const uint32_t *nodes,
                     uint32_t count);
/* The newest stamp of the node's clock: what a client needs before its first write. */
uint64_t sgn_engine_stamp(const struct sgn_engine *engine);
const struct sgn_bucket_table *sgn_engine_buckets(const struct sgn_engine *engine);
/* Root of a partition's hash tree: equal roots, equal content. */
uint64_t sgn_engine_tree_root(const struct sgn_engine *engine, uint32_t partition);
/* True when no operation, locked key or background exchange is under way. */
bool sgn_engine_is_idle(const struct sgn_engine *engine);

#endif
