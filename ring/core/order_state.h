/* ring/core/order_state.h - the engine's memory for ordered buckets, plain; engine_state.h holds
 * one.
 *
 *   cell    one key under work: promised, accepted and committed ballots (protocol.md 2, three
 *           separate things), the accepted record, the queue of rounds this node coordinates for it
 *   dirty   every key whose accepted record is not known settled (2: `unsettled`), small and kept
 *           while the cell comes and goes
 *   link    one witness: what waits to be sent to it, and what is known of it
 *
 * On disk a key has one slot: the highest accepted record, with a sequence number. Whether it is
 * known chosen is memory: a key not dirty is committed and settled. The durable *watermark* says
 * below which sequence number nothing was dirty; what lies above it counts as pending after a
 * restart (2: may hold too much, never too little; 3.6: the restart guard). */
#ifndef SGN_CORE_ORDER_STATE_H
#define SGN_CORE_ORDER_STATE_H

#include "ring/core/map.h"
#include "ring/core/ordered.h"
#include "ring/core/register.h"
#include "ring/core/witness.h"

#define SGN_TREE_ORDERED_BYTES 45u    /* struct sgn_leaf as bytes. */
#define SGN_CELLS_MAX          32768u /* More keys at once are refused with BUSY. */
#define SGN_CELL_HEADS         32768u
#define SGN_CELL_KEEP_BYTES    2048u   /* Records of idle cells up to this stay in memory. */
#define SGN_DIRTY_MAX          131072u /* Keys not known settled; past it writes are refused. */
#define SGN_DIRTY_HEADS        131072u
#define SGN_SEED_MARKS_MAX     24000u /* Of one partition; more cannot seed a witness. */
#define SGN_CEILING_AHEAD_MS   1000u  /* 3.4 */
#define SGN_CEILING_LEFT_MS    500u   /* Raised when less than this is left. */
#define SGN_ROUND_MS           300u   /* A round without a quorum for that long begins anew. */
#define SGN_ROUND_BYTES_A_MS   8192u  /* And this much longer for what it carries. */
#define SGN_BACKOFF_MS_MAX     160u   /* 3.6: duelling coordinators part. */
#define SGN_PENDING_WAIT_MS    20u    /* A read waits so long for a commit on its way. */
#define SGN_CHECK_MS           60u    /* Witnesses silent for that long: the slow path. */
#define SGN_RECEIPT_BYTES      640u
#define SGN_RESOLVES_MAX       128u /* Background rounds at once. */
#define SGN_WATERMARK_MS       500u
#define SGN_PING_MS            200u
#define SGN_WITNESS_SUSPECT_MS 1000u
#define SGN_CATCHUPS_MAX       4u    /* Partitions caught up at once. */
#define SGN_FETCHES_MAX        32u   /* Records fetched at once by one of them. */
#define SGN_PURGED_MAX         1024u /* Partitions that come to this node at once (6.2). */
#define SGN_MAP_OFFER_MS       300u

_Static_assert(SGN_CELLS_MAX < UINT16_MAX, "places of cells are 16 bits, and 0 is none");
_Static_assert(SGN_SEED_MARKS_MAX *SGN_MARK_BYTES + 64 <= SGN_PAGE_BYTES_MAX, "a seed is a page");

struct sgn_buf;

enum sgn_cell_state { SGN_CELL_FREE, SGN_CELL_LOADING, SGN_CELL_READY };

struct sgn_cell {
    enum sgn_cell_state state;
    uint32_t generation;
    uint16_t chain; /* Next in the hash bucket, or next free. */
    uint32_t pins;  /* Ops at work in it; the queue's and the waiters' too. */
    uint32_t storing;
    bool wiping;     /* One of those stores deletes it (6.2). */
    bool at_floor;   /* Absent, and that means a tombstone at the floor (3.7). */
    bool corrupt;    /* 2: abstains for this key until it is repaired. */
    bool doubtful;   /* A store failed: read again what the disk holds before anything else. */
    bool asked_leaf; /* The load under way is of the tree's entry: the record is corrupt. */
    struct sgn_key_hash hash;
    uint32_t partition;
    struct sgn_buf *key; /* Full key. */
    struct sgn_ballot promised, accepted, committed;
    uint64_t sequence;         /* Of the accepted record. */
    uint64_t digest;           /* What the tree counts for the key. */
    struct sgn_ballot durable; /* Highest ballot known to be on the disk. */
    int load_err;              /* Why the last load failed; for the ops that waited for it. */
    bool pumping;
    /* As on disk: sequence number (8 bytes), then the record. sgn_cell_bytes cuts it. */
    struct sgn_buf *record;          /* Accepted; NULL: on disk only, or absent. */
    struct sgn_buf *shadow;          /* The committed record while a newer one is pending. */
    bool shadow_known;               /* With shadow NULL: committed means absent. */
    uint16_t wait_head, wait_tail;   /* Ops that wait for the load, or for a commit. */
    uint16_t queue_head, queue_tail; /* Rounds to coordinate; the head is at work. */
    uint8_t riders;                  /* Of the queue, in the head's round. */
};

struct sgn_dirty {
    struct sgn_key_hash key;
    struct sgn_ballot ballot; /* Accepted. */
    uint64_t sequence;
    uint64_t
        oldest; /* hlc of the oldest ballot that may be unsettled: overwriting hides, it does not
                        settle (3.7). 0: not known, of an earlier run. */
    uint32_t partition;
    uint32_t chain;          /* Index + 1 of the next in the hash bucket; or of the next free. */
    uint32_t older, newer;   /* List of all by sequence; index + 1. */
    uint32_t before, behind; /* List of the partition; index + 1. */
    uint32_t since_ms;       /* When it became so, or was last taken up; low bits of now_ms. */
    bool pending;            /* Not known committed here. */
    bool soon;               /* Nobody else is at it: taken up without patience. */
    bool unsure;             /* A store failed: `ballot` may not be what the disk holds. */
    bool used;
    uint16_t tries;
};

/* One witness of the map. */
struct sgn_link {
    uint32_t id;
    uint32_t listed;      /* Incarnation by the map. */
    uint32_t incarnation; /* By its own word; 0: not heard. */
    uint32_t version;     /* Of the map it has adopted. */
    bool connected;
    uint32_t host; /* Node that it lives inside of, or 0; asking the own one is no message. */
    uint64_t heard_ms, ping_due_ms, offer_due_ms, down_since_ms;
    uint64_t relist_due_ms;    /* 4.2: no new epochs for dropped partitions before. */
    uint64_t warming, dropped; /* By its last answer. */
    struct sgn_buf *batch;     /* Asks gathered. */
    uint32_t batch_count;
    uint32_t in_flight; /* Batches sent and not answered. */
    uint64_t since_ms;  /* The answer has been awaited. */
    bool silent;        /* Too long: it is not waited for, nor asked if others will do. */
    bool urgent;        /* The batch holds what must not wait for those. */
    uint32_t seed_next; /* Partitions below it have our unsettled sets. */
    uint32_t seed_sent; /* Where the SEED under way ends; seed_next: none is under way. */
    uint64_t seed_due_ms;
};

enum sgn_round_phase {
    SGN_ROUND_CELL,    /* Waits for its cell. */
    SGN_ROUND_QUEUED,  /* In the cell's queue. */
    SGN_ROUND_RIDES,   /* There too; decided by the round at the head (order_queue.c). */
    SGN_ROUND_PREPARE, /* 3.1.2 */
    SGN_ROUND_ACCEPT,  /* 3.1.4 */
    SGN_ROUND_BACKOFF,
    SGN_ROUND_SETTLE, /* Exposed and answered; gathers what 3.1.7 needs. */
};

/* What a strong read has met, for the receipt. */
struct sgn_receipt {
    bool wanted;
    uint8_t path;                /* 0 none yet, 1 fast, 2 quorum, 3 round */
    uint8_t told[SGN_GROUP_MAX]; /* enum sgn_witness_status + 1; 0: no answer. */
    uint64_t began_us, checked_us, read_us;
};

/* A round this node coordinates. Bit i of a mask: seats[i], group[i] of the line. */
struct sgn_op_round {
    uint8_t phase;
    bool chained, classic_only, must_accept;
    bool maybe;     /* An ACCEPT with this request's change may have reached someone. */
    bool is_get;    /* Answer with the record. */
    bool is_repair; /* Nobody to answer: a pending or unsettled record is being resolved. */
    bool behind;    /* A seat refused: it had not adopted the epoch yet. */
    uint32_t cell;  /* Index. */
    uint32_t epoch;
    uint32_t attempts;
    uint64_t phase_ms; /* When the phase began, or the back-off ends. */
    struct sgn_change change;
    struct sgn_decision decision;
    struct sgn_ballot ballot;
    struct sgn_ballot best_ballot, committed; /* Highest accepted, highest committed reported. */
    struct sgn_ballot above;                  /* Must be passed by the next ballot. */
    struct sgn_buf *best;
    uint32_t promised, accepted, refused, marked;
    bool carry_asked; /* For marks that the accepts did not bring. */
    uint8_t fallback_slot;
};

#define SGN_CELL_WIPE                                                                              \
    0u /* No message: what the node holds of a partition that it left goes (6.2). */

/* A replica's part: PREPARE, ACCEPT, DIGEST, a committed record taken in. */
struct sgn_op_cell {
    uint8_t type; /* enum sgn_msg_type: PREPARE, DIGEST, ACCEPT, REPL_PUT, COMMITS (one entry); or
                     SGN_CELL_WIPE. */
    bool waits_ceiling, want_record, want_back, settled, unsettled;
    bool commit;         /* The record is known committed. */
    bool pulled_pending; /* Catch-up: the source holds it as pending. */
    bool stored;
    uint32_t marked; /* Group mask: the witness inside this node (order_carry.c). */
    uint32_t cell;
    uint32_t epoch;
    uint32_t from;
    struct sgn_ballot ballot, have;
    uint16_t parent; /* A round of this node (own vote), or SGN_NONE. */
    uint32_t parent_generation;
};

/* A read of an ordered bucket. */
struct sgn_op_strong {
    uint8_t mode;  /* enum sgn_read_mode */
    uint8_t phase; /* enum sgn_strong_phase */
    bool head_only;
    bool slow;   /* The fast path was tried or is closed. */
    bool waited; /* A commit on its way was waited for. */
    uint32_t cell;
    bool in_cell;
    uint32_t epoch;
    uint32_t asked, told;         /* Group masks. */
    uint32_t answered;            /* Seats that gave a digest. */
    uint32_t holders, committers; /* Seats with `best` accepted; seats that know it committed. */
    uint32_t marked;
    uint64_t phase_ms;
    uint64_t issued; /* Sequence number when the LOAD was asked for. */
    struct sgn_ballot mark, best;
    struct sgn_version at_least;
};
enum sgn_strong_phase {
    SGN_STRONG_LOCAL, /* LOAD under way; mark known. */
    SGN_STRONG_CHECK, /* Witnesses asked. */
    SGN_STRONG_PEND,  /* Waits for a commit on its way. */
    SGN_STRONG_DIGEST,
    SGN_STRONG_MARK,  /* 5.3: chosen by Q accepted, marks on their way. */
    SGN_STRONG_FETCH, /* The committed record is read from another replica. */
};

/* A client's request passed to another node. */
struct sgn_op_pass {
    struct sgn_msg msg; /* Its bytes are pieces of op->request. */
    bool is_write, maybe;
    bool unborn; /* It waits for the ring to begin (order_disk.c). */
    int last_err;
    uint32_t last; /* Node asked last. */
};

/* Catching up one partition (6.1): pages of keys from one source at a time, beside pages of the own
 * tree entries. Or, `serving`, the answer to someone else's PULL. */
enum sgn_catchup_phase {
    SGN_CATCHUP_CHOOSE, /* Waits for a source to read. */
    SGN_CATCHUP_PULL,   /* A page is on its way. */
    SGN_CATCHUP_WALK,   /* A page is being gone through. */
    SGN_CATCHUP_RESOLVE /* Enough sources were read: what is pending here is being resolved. */
};
struct sgn_op_catchup {
    bool serving;
    uint8_t phase; /* enum sgn_catchup_phase */
    uint32_t epoch;
    uint32_t source;    /* Node being read. */
    uint32_t seat;      /* Its seat. */
    uint32_t done;      /* Mask of seats read to the end. */
    uint32_t failed;    /* Mask of seats that would not. */
    uint32_t in_flight; /* Fetches. */
    bool end;           /* The page is the source's last. */
    bool broken;        /* The source is given up as soon as nothing is in flight. */
    bool scanning;      /* The own tree is being read. */
    bool own_end;
    bool found; /* RESOLVE: the pass under way met something pending. */
    bool clean; /* RESOLVE: the last whole pass met nothing. */
    uint64_t sent_ms, retry_ms;
    uint64_t below;       /* RESOLVE: sequence number up to which pendings are waited for. */
    struct sgn_buf *page; /* Of the source. */
    size_t page_at;
    struct sgn_buf *after;      /* Full key behind which the page begins. */
    struct sgn_buf *page_after; /* Full key it was looked through. */
    struct sgn_buf *ours;       /* Own tree entries. */
    size_t ours_at;
    struct sgn_buf *ours_after; /* Own store key looked through. */
};
struct sgn_op_fetch {
    uint16_t parent;
    uint32_t parent_generation;
    uint32_t source, epoch;
    uint8_t flags; /* Of the page. */
    uint8_t state; /* enum sgn_fetch_state */
    uint8_t tries;
    bool committed, unsettled;
    bool was_dirty;           /* The key was unsettled here before. */
    uint64_t at_ms;           /* When it was sent, or is to be tried again. */
    struct sgn_ballot ballot; /* Of the page; then of the record. */
};
enum sgn_fetch_state { SGN_FETCH_SENT, SGN_FETCH_TAKING, SGN_FETCH_AGAIN };

/* A MAP_CHANGE that waits until a map that holds it is adopted here. */
struct sgn_map_client {
    bool waits; /* There is one. */
    uint64_t token;
    uint64_t deadline_ms;
    enum sgn_map_change change;
    uint64_t b; /* As in the message. */
    char address[SGN_ADDRESS_BYTES_MAX + 1];
    uint64_t result;  /* RESULT a, by the map last made. */
    bool in_proposal; /* The proposal under way holds it. */
    bool sent;        /* One that holds it may have been accepted somewhere. */
    uint32_t won;     /* Version it was chosen with; 0: not yet. */
};

/* sgn_engine_move: what a partition's replicas should become; count 0: nothing. */
struct sgn_map_move {
    uint32_t partition, count;
    uint32_t nodes[SGN_REPLICAS_MAX];
};

/* What the tree family keeps of an ordered key. */
struct sgn_leaf {
    uint64_t digest, sequence;
    struct sgn_ballot ballot;
    bool dead;
    uint64_t stamp; /* Largest of the request ids it remembers or has forgotten (3.5). */
};

/* One sweep at a time, and when the next may begin. */
struct sgn_sweep_turn {
    bool busy;
    uint64_t due_ms;
};

/* The floor of a partition on its way up (3.7), and sweeps: what they drop. */
enum sgn_sweep_kind {
    SGN_SWEEP_NONE,
    SGN_SWEEP_TOMBSTONES, /* At or below the floor (3.7). */
    SGN_SWEEP_OLD,        /* All at or below the floor: a newcomer's (6.2). */
    SGN_SWEEP_ALL         /* Of a partition left (6.2). */
};
enum sgn_floor_role { SGN_FLOOR_LEADS, SGN_FLOOR_SERVES, SGN_FLOOR_SWEEPS, SGN_FLOOR_RELEARNS };
struct sgn_op_floor {
    uint8_t role, step;
    uint32_t epoch;
    uint64_t floor, stamp;
    uint64_t asked_ms;
    uint32_t answered, found;
    /* SWEEPS */
    uint8_t kind; /* enum sgn_sweep_kind */
    bool scanning, end, broken, left, going, storing;
    uint32_t in_flight;
    struct sgn_buf *page, *after;
    size_t page_at;
};
/* A floor that the keeper is to put into the map. */
struct sgn_floor_ready {
    bool wanted;
    uint32_t partition, epoch;
    uint64_t floor, stamp;
};

/* An old mark whose key is being looked for (4.3). */
struct sgn_op_mark {
    struct sgn_key_hash key;
    struct sgn_ballot ballot;
    uint32_t epoch;
};

/* The register, and what this node proposes. */
struct sgn_map_work {
    struct sgn_acceptance acceptance; /* value points into acceptance_buf. */
    struct sgn_buf *acceptance_buf;
    bool acceptance_storing; /* One vote at a time: the acceptance stays as it is meanwhile. */
    uint32_t storing_version;
    uint64_t asker_token; /* Of the REG_* request whose answer waits for the store; 0: own vote. */
    bool asker_own, asker_is_prepare;
    struct sgn_proposal proposal;
    struct sgn_buf *proposed; /* Value. */
    uint64_t proposal_ms;     /* When its phase began. */
    uint64_t propose_due_ms;  /* Back-off after a lost one. */
    uint32_t losses;          /* In a row. */
    uint32_t send_next;       /* Members from here on are still to be asked in this pass. */
    uint64_t send_due_ms;     /* Who has not voted is asked again. */
    struct sgn_buf *adopting; /* Committed map being stored. */
    bool adopting_stored;     /* Its store is under way, not waiting to be tried again. */
    uint64_t adopt_retry_ms;
    struct sgn_map_client client;
    struct sgn_map_move move;
    uint32_t caught_up_count;
    uint64_t wish_since_ms; /* Something has been wished for since; 0: nothing is. */
    uint64_t make_due_ms;   /* What was wished came to nothing: not made again before. */
    bool prune_wished;      /* Fences are passed, or a witness has left; looked at now and then. */
    uint64_t prune_due_ms;
    uint64_t good_witnesses; /* Bits over map.witnesses: what groups were last assigned for. */
    uint32_t good_version;   /* In that map. */
    struct sgn_map scratch;  /* Room for a decoded or next map; lines are engine memory. */
};

struct sgn_order {
    struct sgn_map map;
    bool is_member; /* The map lists this node's disk (2): it has seats and votes. */
    bool told_apart;
    uint64_t met_since_ms; /* A majority to begin a ring with is here since then; 0: it is not. */
    struct sgn_map_work work;
    struct sgn_known *known; /* Members, as ring->members; then SGN_WITNESSES_MAX witnesses. */
    uint32_t known_count;
    uint64_t *down_since_ms; /* Per member; 0: alive. */
    struct sgn_link links[SGN_WITNESSES_MAX];
    uint32_t link_count;
    struct sgn_buf *map_bytes; /* The map as it is sent. */
    bool flush_wanted;
    struct sgn_buf *commits[SGN_NODES_MAX]; /* COMMITS gathered per member. */

    struct sgn_cell *cells;
    uint16_t cell_heads[SGN_CELL_HEADS]; /* Index + 1; 0: none. */
    uint16_t cell_free;                  /* Index + 1. */
    uint32_t cell_high;                  /* Cells above were never used. */
    uint32_t cell_hand;
    uint32_t cells_used;
    struct sgn_ballot promise_floor; /* Every key counts as promised up to here. */

    struct sgn_dirty *dirty;
    uint32_t *dirty_heads; /* Index + 1. */
    uint32_t dirty_free, dirty_high, dirty_count, pending_count;
    uint32_t dirty_oldest, dirty_newest; /* By sequence; index + 1. */
    uint32_t dirty_restored; /* Entries left of an earlier run: the watermark waits for them. */
    uint32_t *dirty_first;   /* Per partition; index + 1. */
    uint32_t *dirty_counts;  /* Per partition. */
    bool relearning;         /* order_relearn.c is at work. */
    uint64_t relearn_due_ms;
    bool dirty_lost; /* More was dirty at the start than there is room for. */
    uint32_t resolve_hand;
    uint32_t resolves;

    uint64_t sequence;       /* Of the last accept. */
    uint64_t first_sequence; /* First of this run. */
    uint64_t watermark, watermark_stored, watermark_start;
    uint64_t watermark_due_ms;
    bool watermark_storing;
    uint64_t ceiling; /* Durable; 0: none yet. */
    uint64_t ceiling_storing;
    int ceiling_err; /* Why the store did not take the last one. */

    uint16_t *catchup; /* Per partition: slot of the op at work, or SGN_NONE... + 1; 0: none. */
    uint32_t catchups;
    uint32_t catchup_hand;   /* Partition looked at next. */
    uint64_t catchup_due_ms; /* Nothing new is begun before. */
    uint8_t *caught_up; /* Bitmap of partitions ready to be listed in_sync, with caught_epoch. */
    uint32_t *caught_epoch;
    uint32_t relist_wanted; /* Partition + 1 with an orphan mark; 0: none. */
    bool floor_op;          /* This node leads one now. */
    struct sgn_floor_ready floor_ready;
    uint32_t floor_hand, sweep_hand;
    uint64_t floor_due_ms;
    struct sgn_sweep_turn sweep_turn[2]; /* [1]: of SGN_SWEEP_OLD, for which moves wait. */
    uint64_t *swept; /* Per partition: the floor whose tombstones were dropped. */
    uint64_t
        *purged; /* Per partition: a newcomer's floor, below which it has dropped all. Durable. */
    uint8_t *emptied; /* Bitmap of partitions without a seat here, and without a record. */
    uint64_t keeper_due_ms;
    uint64_t orphan_due_ms;
};

#endif
