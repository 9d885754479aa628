/* tests/sim/ord_white.h - what the nodes and witnesses of a run told each other and have on disk,
 * and the rules of protocol.md that are visible there. A wrong step is caught when it is taken, not
 * when some client happens to see what came of it.
 *
 *   one ballot, one record    3.1: no two records of a key under one ballot
 *   a majority before asked   3.1.3, 3.2: promises of one epoch stand behind every first ACCEPT
 *   durable before said       3.1.5, 6: an ACCEPTED is on disk; a map version told is on disk
 *   no promise taken back     3.1.2, 3.4, 3.6: also across restarts
 *   quorum before exposed     3.1.6: a majority accepted, and f+1 marked, all in one epoch
 *   fence before exposed      6.3
 *   settled means everywhere  3.1.7, 2: on every in_sync seat of the epoch; and what a replica
 * leaves
 *                             out of a seed is settled
 *   one map of a version      6.4 */
#ifndef SGN_TESTS_ORD_WHITE_H
#define SGN_TESTS_ORD_WHITE_H

#include "ring/core/map.h"
#include "ring/core/msg.h"
#include "ring/core/witness.h"
#include "tests/sim/sim.h"

struct ord_world;

#define ORD_BALLOTS_MAX  8192u
#define ORD_EPOCHS_MAX   512u /* Of one partition. */
#define ORD_VERSIONS_MAX 1024u
#define ORD_ASK_SETS     4096u
#define ORD_ASK_WAYS     4u /* Of one set, the last so many are remembered. */

/* Who promised a ballot, accepted it, or marked it, in one epoch. Bits: node or fleet numbers. */
struct ord_votes {
    uint32_t epoch;
    uint32_t promised, accepted, marked;
};

struct ord_ballot_seen {
    uint32_t key;
    struct sgn_ballot ballot;
    struct sgn_version version;
    uint64_t digest;                             /* Of the record's bytes; 0: only marked so far. */
    struct sgn_version ops[SGN_ORDERED_OPS_MAX]; /* Versions below it that its ops name. */
    uint32_t op_count;
    struct ord_votes *votes;
    uint32_t vote_count, vote_cap;
    uint32_t chain;       /* Next of the same hash slot, + 1. */
    uint32_t next_of_key; /* + 1 */
};

struct ord_ask { /* A PREPARE, ACCEPT or DIGEST as a node received it. */
    uint32_t node, from, request;
    uint32_t key, epoch;
    uint32_t own_epoch; /* Of the partition, at the node, when it came. */
    uint8_t type;
    struct sgn_ballot ballot;
};

struct ord_promise { /* The highest of a node for a key, and what it said it had accepted then. */
    struct sgn_ballot ballot, accepted;
};

struct ord_white {
    struct ord_ballot_seen ballots[ORD_BALLOTS_MAX];
    uint32_t ballot_count;
    uint32_t heads[ORD_BALLOTS_MAX];
    uint32_t first_of_key[8]; /* + 1 */
    struct ord_ask asks[ORD_ASK_SETS][ORD_ASK_WAYS];
    uint8_t ask_next[ORD_ASK_SETS];
    struct ord_promise promised[8][8]; /* [node][key] */
    struct sgn_line *lines[32];        /* Per partition, rising epochs. */
    uint32_t line_count[32];
    uint64_t map_digest[ORD_VERSIONS_MAX];
    uint32_t map_highest;
    uint64_t hash_seed;
    struct sgn_key_hash hashes[8]; /* Of the workload's keys under hash_seed. */
};

void ord_white_clear(struct ord_white *white);
/* A node's map may have changed. */
void ord_white_map(struct ord_world *world, uint32_t node);
/* Bits over nodes as bits over the line's seats. */
uint32_t ord_white_seats(const struct sgn_line *line, uint32_t nodes);
/* The line of the partition in the highest epoch that is at most `epoch`; NULL: none seen. */
const struct sgn_line *ord_white_line(const struct ord_white *white,
                                      uint32_t partition,
                                      uint32_t epoch);
/* A record of the key, as bytes, under way or on a disk: checks that its ballot has no other. */
struct ord_ballot_seen *ord_white_record(struct ord_world *world,
                                         uint32_t key,
                                         struct sgn_bytes bytes);
struct ord_ballot_seen *ord_white_ballot(struct ord_world *world,
                                         uint32_t key,
                                         const struct sgn_ballot *ballot);
struct ord_votes *ord_white_votes(struct ord_ballot_seen *seen, uint32_t epoch);
/* A write of the node's became durable; `version`: of the map it had adopted when it asked. */
void ord_white_durable(struct ord_world *world,
                       uint32_t node,
                       uint32_t version,
                       const struct sgn_store_write *write);
/* What the node's disk holds durably of the key; false: nothing, or rotten. */
bool ord_white_held(const struct ord_world *world,
                    uint32_t node,
                    uint32_t key,
                    struct sgn_bytes *record);
bool ord_white_rotten(const struct ord_world *world, uint32_t node, uint32_t key);
/* Version of the map on the node's disk; 1 when there is none. */
uint32_t ord_white_map_held(const struct ord_world *world, uint32_t node);
/* Number of the workload's key with that hash; UINT32_MAX: none. */
uint32_t ord_white_key_of_hash(const struct ord_world *world, const struct sgn_key_hash *hash);
/* A client was told of the version by node `node` (3.1.6, 3.3, 6.3). */
void ord_white_exposed(struct ord_world *world,
                       uint32_t node,
                       uint32_t key,
                       const struct sgn_version *version);

/* ord_said.c: `node` sends a message to a peer or witness, or answers one. */
void ord_white_sent(struct ord_world *world, uint32_t node, uint32_t to, const struct sgn_msg *msg);
/* `node` is about to handle a peer's request. */
void ord_white_asked(struct ord_world *world,
                     uint32_t node,
                     uint32_t from,
                     const struct sgn_msg *msg);
/* A witness has answered a batch. */
void ord_white_told(struct ord_world *world,
                    uint32_t slot,
                    const struct sgn_msg *request,
                    const struct sgn_msg *answer);

/* ord_heard.c: around the step in which a node hears COMMITS: 3.1.7, 3.6. */
struct ord_heard {
    bool looks;
    struct sgn_ballot ballot[8]; /* By key: the commit told; zero: none. */
    bool old_epoch[8];           /* It is told as settled, in an epoch that the node has left. */
    bool was_dirty[8], was_ready[8];
};
void ord_heard_before(struct ord_world *world,
                      uint32_t node,
                      const struct sgn_msg *msg,
                      struct ord_heard *heard);
void ord_heard_after(struct ord_world *world, uint32_t node, const struct ord_heard *heard);
/* A node has read its disk: what is above the watermark counts as pending (2, 3.6). */
void ord_heard_start(struct ord_world *world, uint32_t node);

/* ord_barrier.c: 4, 5.2 and 6.3 together: in no epoch could f+1 active witnesses that know nothing
 * of the newest exposed version of the key clear a read of an in_sync replica that does not hold
 * it. */
void ord_white_barrier(struct ord_world *world, uint32_t key, const char *when);
bool ord_white_holds(const struct ord_world *world,
                     uint32_t node,
                     uint32_t key,
                     const struct sgn_version *floor);
/* 6.1, 6.2: a new epoch of one set begins: a majority of it holds what was exposed. */
void ord_white_carried(struct ord_world *world, uint32_t partition, const struct sgn_line *line);
void ord_white_barriers(struct ord_world *world, const char *when); /* Of every key. */

#endif
