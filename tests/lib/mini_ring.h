/* tests/lib/mini_ring.h - a few engines in one process, with stores in memory and a network that
 * delivers at once and in order, for tests that look at one thing at a time. The simulator
 * (tests/sim) is where faults, delays and crashes are. */
#ifndef SGN_TESTS_LIB_MINI_RING_H
#define SGN_TESTS_LIB_MINI_RING_H

#include "ring/core/engine.h"
#include "ring/core/witness.h"

#define MINI_NODES_MAX     6
#define MINI_ENTRIES_MAX   4096
#define MINI_WITNESSES_MAX 8

struct mini_entry {
    enum sgn_family family;
    uint8_t *key;
    size_t key_count;
    uint8_t *value;
    size_t value_count;
    bool corrupt;
};

struct mini_node {
    uint32_t id;
    bool up;
    void *memory;
    struct sgn_engine *engine;
    struct mini_entry entries[MINI_ENTRIES_MAX]; /* Sorted by (family, key). */
    uint32_t entry_count;
    int store_err;          /* What STORE is answered with. */
    int scan_err;           /* What SCAN is answered with. */
    bool stall_stores;      /* STOREs wait until it is cleared and mini_run is called. */
    bool stall_deletes;     /* The same for STOREs that delete. */
    bool deaf;              /* Answers to its SENDs are lost on the way. */
    bool mute;              /* REPL_PUTs to it are lost on the way. */
    uint32_t halt_at_store; /* Counts down; at 0 it stops dead, before the STORE is answered ... */
    bool halt_loses;        /* ... and the STORE is lost. mini_down comes next. */
    bool halted;
    uint32_t loads, stores, sends;
    uint32_t home_generation, guest_generation;
    uint64_t disk; /* 0, as the map lists none: every disk will do. */
};

/* The last reply, copied. */
struct mini_reply {
    uint32_t count;
    int err;
    uint32_t type;
    uint64_t a;
    uint32_t flags;
    char text[300];
    uint8_t value[1 << 16];
    size_t value_count;
    uint8_t context[2048];
    size_t context_count;
    uint8_t items[1 << 17];
    size_t items_count;
    uint8_t after[1200];
    size_t after_count;
};

/* One witness of the fleet, known by the id the map gave it. */
struct mini_witness {
    uint32_t id; /* 0: none. */
    bool up;
    void *memory;
    struct sgn_witness *witness;
    uint32_t met;                     /* Nodes with a connection to it: bit id - 1. */
    uint32_t batches[MINI_NODES_MAX]; /* Of asks, by the node that sent them. */
};

struct mini_ring {
    struct sgn_ring shape;
    uint16_t table[64 * 7];
    uint32_t node_count;
    struct mini_node nodes[MINI_NODES_MAX]; /* nodes[i].id = i + 1 */
    struct sgn_pool pool;
    long pool_live; /* Buffers out. */
    bool pool_refuses;
    uint64_t now_ms;
    uint64_t random;
    struct mini_event *queue, *queue_last; /* Events under way. */
    uint64_t next_token;
    uint32_t tombstone_ms; /* Of engines that start from now on (3.7). */
    bool duplicate;        /* Every message to a peer comes twice. */
    struct mini_reply reply;
    struct mini_witness witnesses[MINI_WITNESSES_MAX];
};

void mini_init(struct mini_ring *ring, uint32_t nodes, uint32_t replicas, uint32_t partitions);
void mini_clear(struct mini_ring *ring);
/* Delivers all that is under way. */
void mini_run(struct mini_ring *ring);
/* Lets time pass in ticks, delivering everything. */
void mini_pass(struct mini_ring *ring, uint64_t ms);
/* Takes a node out (nothing reaches it) or back, with its store. The engine starts anew on `up`. */
void mini_down(struct mini_ring *ring, uint32_t node);
void mini_up(struct mini_ring *ring, uint32_t node);
/* The node, which is down, gets another disk, empty. */
void mini_wipe(struct mini_ring *ring, uint32_t node, uint64_t disk);
/* Starts a witness with that id, empty and under a new incarnation, or ends it (mini_witness.c). */
void mini_witness_up(struct mini_ring *ring, uint32_t id);
void mini_witness_down(struct mini_ring *ring, uint32_t id);
/* The node loses its connection to the witness, for good; the others keep theirs. */
void mini_witness_cut(struct mini_ring *ring, uint32_t id, uint32_t node);
/* For mini_ring.c: connects who lists it; answers a node's request; ends all. */
void mini_witness_meet(struct mini_ring *ring);
bool mini_witness_ask(struct mini_ring *ring,
                      uint32_t id,
                      const struct sgn_msg *request,
                      struct sgn_msg *answer);
void mini_witness_left(struct mini_ring *ring, uint32_t node);
/* Hands a request to a node; the reply, once there, is in ring->reply. */
void mini_request(struct mini_ring *ring, uint32_t node, struct sgn_msg msg);
struct mini_entry *mini_find(struct mini_node *node,
                             enum sgn_family family,
                             const void *key,
                             size_t key_count);
uint32_t mini_count(const struct mini_node *node, enum sgn_family family);
/* Changes the store behind the engine's back. */
void mini_write(struct mini_node *node,
                enum sgn_family family,
                const void *key,
                size_t key_count,
                const void *value,
                size_t value_count);
/* Sends an event straight in. */
void mini_event(struct mini_ring *ring, uint32_t node, struct sgn_event event);

/* mini_disk.c, for mini_ring.c. */
void mini_delete(struct mini_node *node, enum sgn_family family, struct sgn_bytes key);

#endif
