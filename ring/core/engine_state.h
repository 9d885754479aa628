/* ring/core/engine_state.h - the engine's memory, plain, for its own files and for drivers that
 * place it. Only the engine_*.c files write it.
 *
 *   request ──> op slot ──> keyed write (lock) ──> LOAD, apply up to 16 intents, one STORE
 *                  │                                   └─> REPL_PUT to the other replicas meanwhile
 *                  └─> targets: who was asked, who answered, who stands in for whom
 *
 * An *op* is anything that waits: a client's request, a replica's part in one, a hand-over, a
 * repair. It is named by (slot, generation); a number of a former life of the slot names nothing.
 * A *lock* is one key under change in one *space*: 0 is the node's own data, another number is the
 * home the hint is kept for. */
#ifndef SGN_CORE_ENGINE_STATE_H
#define SGN_CORE_ENGINE_STATE_H

#include "ring/core/engine.h"
#include "ring/core/hlc.h"
#include "ring/core/key.h"
#include "ring/core/order_state.h"
#include "ring/core/record.h"
#include "ring/core/tree.h"

#define SGN_OP_INDEX_BITS           12u
#define SGN_OPS_KEPT_FOR_PEERS      1024u /* Clients get BUSY before replicas do. */
#define SGN_OPS_KEPT_FOR_BACKGROUND 256u  /* Replicas get BUSY before repair starves. */
#define SGN_TARGETS_MAX             16u   /* Nodes one put or get may turn to. */
#define SGN_HINTS_IN_FLIGHT         16u   /* Hand-overs to one peer at once. */
#define SGN_HINT_PAGE_ITEMS         64u
#define SGN_HINT_PEERS_MAX          8u /* Peers handed over to at once. */
#define SGN_HINT_RETRY_MS           2000u
#define SGN_EXCHANGES_IN_FLIGHT     32u   /* Records in one anti-entropy exchange at once. */
#define SGN_TREE_KEYS_OPS_MAX       32u   /* Leaves being compared for peers at once. */
#define SGN_TREE_ROOTS_MAX          1024u /* Partitions in one comparison. */
#define SGN_TREE_ANSWER_MAX         64u   /* Partitions whose leaves one answer carries. */
#define SGN_TREE_ROUND_LEAVES       64u   /* Leaves followed up in one round. */
#define SGN_TREE_PAGE_ITEMS         512u
#define SGN_LIST_TRIES_MAX          3u
#define SGN_BUCKET_SETTLE_MS        1800u /* How long a bucket change waits for peers to show it. */
#define SGN_BUCKETS_SEND_MS         500u  /* The whole table goes to one peer no more often. */
#define SGN_BUCKETS_HEARD_MS        3000u /* A node that started later may have missed a bucket. */
#define SGN_STORE_RETRY_MS          1000u
#define SGN_LOG_EVERY_MS            5000u
/* Rings larger than this beat more slowly, in proportion. */
#define SGN_HEARTBEAT_FAN_OUT 64u
/* A piece of work starts only with this much room left in the step's effects: a batch of puts with
 * all their sends and a store is the largest piece. */
#define SGN_FX_ROOM 160u
/* Store keys, digests and sentences made in a step: at most so many bytes for each effect. */
#define SGN_ARENA_BYTES (SGN_EFFECTS_MAX * 1536u)
#define SGN_LOCK_HEADS  8192u
#define SGN_NONE        UINT16_MAX

_Static_assert(SGN_OPS_MAX == 1u << SGN_OP_INDEX_BITS, "a request number holds the slot exactly");
_Static_assert(SGN_OPS_KEPT_FOR_PEERS + SGN_OPS_KEPT_FOR_BACKGROUND < SGN_OPS_MAX, "some for each");
_Static_assert(SGN_TARGETS_MAX >= 2 * SGN_REPLICAS_MAX, "each home and one stand-in for it");
_Static_assert(SGN_COMBINE_MAX *SGN_REPLICAS_MAX + SGN_REPLICAS_MAX < SGN_FX_ROOM,
               "one batch of puts fits the room");
_Static_assert(SGN_TREE_ANSWER_MAX *(8u * SGN_TREE_LEAVES + 16u) <= SGN_PAGE_BYTES_MAX,
               "an answer is a page");

/* Counted bytes from the pool. Dropped ones are freed at the start of the next step, because
 * effects may point into them. */
struct sgn_buf {
    struct sgn_buf *next;
    uint32_t refs;
    size_t count;
    uint8_t bytes[]; /* 8-aligned. */
};
_Static_assert(offsetof(struct sgn_buf, bytes) % 8 == 0, "a list lies in one");

enum sgn_op_kind {
    SGN_OP_FREE,
    SGN_OP_PUT,     /* Coordinates a put or delete. */
    SGN_OP_FORWARD, /* Has passed a put on to a home and waits for its word. */
    SGN_OP_GET,
    SGN_OP_LIST,
    SGN_OP_BUCKET,       /* Makes or ends a bucket. */
    SGN_OP_REPLICA_PUT,  /* Answers REPL_PUT. */
    SGN_OP_REPLICA_GET,  /* Answers REPL_GET. */
    SGN_OP_REPLICA_LIST, /* Answers REPL_LIST. */
    SGN_OP_MERGE,        /* Takes a record in on its own account: read repair, exchange. */
    SGN_OP_HINT_KEEP,    /* Writes a hint for a home that did not acknowledge. */
    SGN_OP_HINT_PEER,    /* Walks the hints of a peer that is back. */
    SGN_OP_HINT_SEND,    /* Hands one over. */
    SGN_OP_TREE_ROUND,   /* Compares trees with one peer. */
    SGN_OP_TREE_KEYS,    /* Compares a leaf whose keys a peer has sent. */
    SGN_OP_EXCHANGE,     /* Exchanges one record with a peer. */
    SGN_OP_ROUND,        /* Ordered: coordinates a round of a key. */
    SGN_OP_CELL,         /* Ordered: a replica's part in one. */
    SGN_OP_READ,         /* Ordered: a read. */
    SGN_OP_PASS,         /* Ordered: a client's request passed to another node. */
    SGN_OP_CATCHUP,      /* Ordered: a partition being caught up. */
    SGN_OP_FETCH,        /* Ordered: one record of it. */
    SGN_OP_FLOOR,        /* Ordered: raises a floor, or drops tombstones below one. */
    SGN_OP_MARK,         /* Ordered: looks for the key of an old mark. */
    SGN_OP_LIST_KEY,     /* Ordered: a key of a list that is in doubt. */
};

enum sgn_op_class { SGN_FOR_CLIENT, SGN_FOR_PEER, SGN_FOR_BACKGROUND };

enum sgn_target_state {
    SGN_TARGET_WAITING,
    SGN_TARGET_LATE, /* Silent for too long; stood in for, but its answer would still count. */
    SGN_TARGET_OK,
    SGN_TARGET_FAILED,
};

struct sgn_target {
    uint32_t node;
    uint8_t slot;  /* Which home's copy: index into homes. */
    uint8_t state; /* enum sgn_target_state */
    uint64_t sent_ms;
    uint64_t digest; /* Of the record it answered a read with. */
};

enum sgn_write_kind {
    SGN_WRITE_MINT,      /* A client's change. */
    SGN_WRITE_MERGE,     /* op->value is a record to take in. */
    SGN_WRITE_REFERENCE, /* Hint spaces: "send what DATA holds", unless a hint is there. */
    SGN_WRITE_DELIVER,   /* Hint spaces: hold the key alone while the hint is handed over. */
};

/* The op's place at a lock. */
struct sgn_op_write {
    uint8_t kind; /* enum sgn_write_kind */
    bool waiting; /* In a lock's queue or batch: the op must not be freed. */
    uint16_t next;
    uint32_t space;
    int err;
};

struct sgn_op_put {
    bool is_delete, has_context;
    bool forwarded;  /* Another node passed it on: this one coordinates it or refuses it. */
    bool guest;      /* Coordinates although it is no home. */
    bool minted;     /* The change was applied and sent; an error before that has certainly none. */
    bool maybe_kept; /* Someone may hold the change without having said so. */
    int last_err;
    struct sgn_request_id id;
    uint64_t stamp;
    struct sgn_buf *context; /* For the reply. */
};

struct sgn_op_get {
    uint32_t flags;
    uint32_t next; /* Next candidate to ask. */
    uint32_t candidate_count;
    uint32_t candidates[SGN_TARGETS_MAX];
    uint32_t local_index; /* Which home's hint space is being looked into. */
    bool local_found;
    bool own_corrupt;
};

struct sgn_op_bucket {
    bool is_delete;
    bool stored;
    struct sgn_bucket row;
};

/* Walks one peer's hints. */
struct sgn_op_hint_peer {
    uint32_t peer; /* Index into peers. */
    uint32_t in_flight;
    bool scanning, end, failed;
    struct sgn_buf *page;  /* Full page of items. */
    size_t page_at;        /* Bytes of it taken. */
    struct sgn_buf *after; /* Store key examined through. */
};

struct sgn_op_hint_send {
    uint16_t parent;
    uint32_t parent_generation;
    bool own_dot; /* The hint holds dots of this node's guest actor. */
    bool sent, deleting;
};

struct sgn_leaf_at {
    uint32_t partition, leaf;
};

struct sgn_op_tree {
    uint32_t peer;
    uint32_t partition, leaf;
    bool continued; /* The page goes on behind its first item. */
    bool last;      /* The page is the leaf's last. */
    bool scanning;
    bool own_end;           /* Nothing more of ours in the range. */
    struct sgn_buf *theirs; /* TREE_KEYS: their page; ROUND: struct sgn_leaf_at list. */
    size_t theirs_at;
    struct sgn_buf *ours; /* A page of own TREE entries. */
    size_t ours_at;
    struct sgn_buf *after; /* Own store key examined through. */
    uint32_t leaf_count, leaf_next;
    uint32_t in_flight;
};

struct sgn_op_exchange {
    uint32_t peer;
    uint16_t parent;
    uint32_t parent_generation;
    uint64_t sent_digest;
    bool ordered;
    bool asking;    /* Ordered: the peer was asked for its record, for the own one is not sent. */
    uint64_t floor; /* Ordered: sgn_dirty_floor when the own record was asked for. */
};

struct sgn_list; /* list_inner.h */

/* REPLICA_LIST of an ordered bucket: op->value is the bitmap, op->context the key to begin behind,
 * op->result the keys that lag behind a mark. Or, `asks`, the marks of op->partition for one. */
struct sgn_op_page {
    bool ordered, check, asks;
    uint16_t parent; /* The own list (asks: the page), or SGN_NONE. */
    uint32_t parent_generation;
    uint32_t limit;
    uint64_t epochs; /* sgn_page_epochs of the asker; asks: the partition's epoch. */
    uint64_t floor;  /* sgn_dirty_floor when the scan began. */
    uint32_t next;   /* Partition whose marks are asked for next. */
    uint32_t in_flight, lagging;
    uint32_t told, refused; /* asks: group masks. */
    int err;                /* Why it cannot be given; its tick tells. */
};

/* A key of a list that its pages leave in doubt. */
struct sgn_op_list_key {
    uint16_t parent;
    uint32_t parent_generation;
    uint32_t index; /* Of the doubt. */
    uint32_t tried; /* Seats. */
    uint32_t node;  /* Asked; 0: nobody. */
    bool strong, local;
    uint64_t sent_ms;
    struct sgn_ballot top; /* Highest accepted that a page told. */
};

struct sgn_op {
    enum sgn_op_kind kind;
    uint32_t generation;
    uint16_t next_free;
    bool replied; /* Or nobody to reply to. */
    uint64_t token;
    uint64_t begun_ms;
    uint64_t deadline_ms;
    uint32_t partition;
    uint32_t n;      /* The bucket's copies. */
    uint32_t quorum; /* r or w of this request. */
    /* Copies of what the request said: pieces of `request`. */
    struct sgn_buf *request;
    struct sgn_bytes full_key, bucket, key, value, context;
    struct sgn_buf *result; /* The record after the keyed write, or the answers merged so far. */
    uint64_t result_digest;
    struct sgn_op_write write;
    uint32_t homes[SGN_REPLICAS_MAX];
    uint32_t target_count;
    struct sgn_target targets[SGN_TARGETS_MAX];
    union {
        struct sgn_op_put put;
        struct sgn_op_get get;
        struct sgn_op_bucket bucket_change;
        struct sgn_op_hint_peer hint_peer;
        struct sgn_op_hint_send hint_send;
        struct sgn_op_tree tree;
        struct sgn_op_exchange exchange;
        uint32_t flags; /* REPLICA_PUT: of the message. */
        struct sgn_op_round round;
        struct sgn_op_cell cell;
        struct sgn_op_strong read;
        struct sgn_op_pass pass;
        struct sgn_op_catchup catchup;
        struct sgn_op_fetch fetch;
        struct sgn_op_mark mark;
        struct sgn_op_floor floor;
        struct sgn_op_page page;
        struct sgn_op_list_key list_key;
    } u;
    uint16_t cell_next;  /* Ordered: next of those that wait at a cell. */
    uint16_t queue_next; /* Ordered: next round of its queue; the head may wait at the cell too. */
    uint32_t request_flags; /* Ordered: of the client's request. */
    struct sgn_receipt receipt;
    struct sgn_list *list; /* LIST, BUCKET: pool memory. */
};

enum sgn_lock_state {
    SGN_LOCK_FREE,
    SGN_LOCK_LOADING,
    SGN_LOCK_LOADING_DIGEST, /* The record is corrupt: what did the tree say of it? */
    SGN_LOCK_READY,          /* The record is in memory and ops wait. */
    SGN_LOCK_STORING,
    SGN_LOCK_DELIVERING, /* An op holds it alone. */
    SGN_LOCK_FINISHING,  /* Within the step: the batch is being answered. */
};

struct sgn_lock {
    enum sgn_lock_state state;
    uint32_t generation;
    uint32_t space;
    uint64_t hash;
    uint16_t chain; /* Next in the hash bucket, or next free. */
    uint16_t next_ready;
    uint16_t wait_head, wait_tail; /* Ops not yet applied, in order. */
    uint16_t batch_head;           /* Ops of the write under way. */
    /* What the store holds, once known. */
    bool exists; /* Something is there; for a hint possibly the empty reference. */
    bool corrupt;
    bool known; /* `record` is what the store holds. */
    uint64_t digest;
    struct sgn_buf *record; /* Its bytes, kept between batches; NULL for none or a reference. */
    /* What the write under way will make of it. */
    struct sgn_buf *after;
    uint64_t after_digest;
    bool deletes, minted;
    uint32_t raise_to; /* The unit also raises the space's generation to this; 0: no. */
};

/* Generation of one of this node's two actors: it mints in its data (home) and in hints (guest).
 *
 * record.h: an actor may mint a dot only on a record that holds all its earlier dots of that key.
 * Three things break that, and each is followed by a new generation, made durable before it is
 * used: the store refused a minted record which replicas may have taken; a corrupt record was
 * replaced by what others had; a full hint with dots of the guest actor was handed over and
 * deleted. */
struct sgn_generation {
    uint32_t value;
    bool raise_wanted; /* No minting until `value + 1` is durable. */
    bool storing;
    int err; /* Why the store has not taken it. */
    uint64_t retry_ms;
};

enum sgn_actor_role { SGN_ACTOR_HOME, SGN_ACTOR_GUEST, SGN_ACTOR_ROLES };

struct sgn_peer {
    bool connected, alive;
    bool hears_us;
    bool clock_ahead;
    bool heard_any;
    bool buckets_due; /* It is to be sent the bucket table. */
    bool handing_over;
    uint32_t incarnation;
    uint64_t heard_ms;
    uint64_t beat_due_ms;
    uint64_t buckets_digest;
    uint64_t buckets_sent_ms;
    uint64_t hints; /* Kept for it. */
    uint64_t hint_retry_ms;
    uint32_t divergent;    /* Partitions in its last answer to our roots. */
    uint64_t disk;         /* By its last heartbeat; 0: not heard. */
    uint32_t map_version;  /* Likewise; sgn_known remembers members that are gone. */
    uint64_t map_offer_ms; /* Its map is older: ours goes to it no earlier. */
    uint64_t up_since_ms;  /* 0: not alive. */
    uint32_t steady_ms;    /* It must be alive for so long to be taken back. */
    uint32_t catching;     /* Seats it catches up. */
    uint64_t catching_ms;  /* When that number last fell. */
};

struct sgn_engine {
    const struct sgn_ring *ring;
    struct sgn_pool *pool;
    struct sgn_engine_options options;
    uint64_t ring_digest;
    uint32_t self; /* Index into ring->members and peers. */
    uint32_t beat_ms, suspect_ms;
    /* Of the event being handled. */
    uint64_t now_ms, now_us, wall_ms, random;
    uint64_t started_ms;
    struct sgn_effects *fx;
    size_t arena_used;
    uint8_t *arena;
    struct sgn_buf *garbage;

    struct sgn_hlc hlc;
    struct sgn_bucket_table buckets;
    uint64_t buckets_digest;
    uint32_t rows_next; /* Bucket rows below it are durable or being made so; engine_bucket.c. */
    bool rows_storing, rows_again;
    uint64_t rows_retry_ms;
    struct sgn_tree tree;
    struct sgn_generation generations[SGN_ACTOR_ROLES];
    struct sgn_peer *peers; /* member_count of them, as ring->members. */

    struct sgn_op *ops;
    uint64_t op_used[SGN_OPS_MAX / 64];
    uint16_t op_free_head, op_free_tail;
    uint32_t op_high, lock_high; /* Slots above were never used. */
    uint32_t op_free_count;
    uint32_t sweep_next; /* Ops below this were looked at in the running sweep. */

    struct sgn_lock *locks;
    uint16_t lock_heads[SGN_LOCK_HEADS];
    uint16_t lock_free_head;
    uint16_t ready_head, ready_tail;
    uint32_t locks_used;

    uint32_t hint_ops, tree_keys_ops, exchanges;
    uint16_t tree_round; /* Slot of the running comparison, or SGN_NONE. */
    uint64_t tree_due_ms;
    uint32_t tree_peer_next;
    uint32_t *tree_partition_next; /* Per peer: where its next comparison begins. */
    uint64_t log_due_ms;

    struct sgn_order order;

    struct sgn_engine_counts counts;
};

#endif
