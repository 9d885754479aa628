/* ring/core/map.h - the ring's shape as the register agrees on it: per partition its epoch, its
 * replicas and their states, its witness group, and the groups not yet fenced. protocol.md 6.
 *
 * The map is one record with a version 1, 2, 3 ...; version 1 follows from the configured members
 * alone and needs no agreement. A partition's *epoch* is the version that last changed its line.
 * So "node X is in an epoch >= e of the partition" is "X has durably adopted a map version >= e".
 *
 * A line's *seats* are all replicas it lists: in a joint epoch (6.2) those of the current set, of
 * the old set, or of both. Votes are counted over seats as bit masks (bit i: seats[i]).
 *
 * A member is a node *with its disk* (rule 2): the map lists the disk of each. Who comes back with
 * another one has forgotten what it promised and accepted, so it is another member, and every
 * partition that it has a seat in moves (6.2) from the member that was to the one that is.
 *
 * Owns: nothing; `lines` is memory of the caller. */
#ifndef SGN_CORE_MAP_H
#define SGN_CORE_MAP_H

#include "ring/core/ring.h"

#define SGN_WITNESSES_MAX 64u /* Of the fleet. */
#define SGN_GROUP_MAX     5u  /* Members of one group: 2f+1. */
#define SGN_SEATS_MAX     (2u * SGN_REPLICAS_MAX)
#define SGN_FENCES_MAX    4u
#define SGN_WITNESS_BIT   (UINT32_C(1) << 30) /* Witness ids have it, node ids do not. */

enum sgn_seat_state { SGN_SEAT_IN_SYNC, SGN_SEAT_CATCHING_UP, SGN_SEAT_OUT };
/* Sets of a seat; the others than NEW only in a joint epoch. LOST: the member that sat here in the
 * old set is gone with its disk. It counts in that set's size and has no vote in it. */
enum { SGN_SET_NEW = 1, SGN_SET_OLD = 2, SGN_SET_LOST = 4 };

struct sgn_seat {
    uint32_t node;
    uint8_t state;  /* enum sgn_seat_state */
    uint8_t sets;   /* SGN_SET_*; not OLD and LOST. */
    uint8_t caught; /* 1: has caught up inside the present joint epochs (6.2); else 0. */
    uint32_t since; /* Epoch that gave it its state. A catch-up that began in an epoch below that
                       of a CATCHING_UP seat does not count (6.1: catching_up ever since). */
};

struct sgn_group_member {
    uint32_t id;          /* Witness id. */
    uint32_t incarnation; /* With which it is listed. */
};

/* An earlier epoch with a group whose fast reads may still be possible (6.3). */
struct sgn_fence {
    uint32_t epoch;
    uint32_t group_count;
    struct sgn_group_member group[SGN_GROUP_MAX];
    uint32_t in_sync_count;
    uint32_t in_sync[SGN_SEATS_MAX]; /* Node ids that *that* epoch listed as in_sync. */
};

struct sgn_line {
    uint32_t epoch;
    bool joint;
    uint32_t seat_count;
    struct sgn_seat seats[SGN_SEATS_MAX]; /* Preference order; the first in_sync one coordinates. */
    uint32_t group_count;                 /* 0: no witnesses. */
    struct sgn_group_member group[SGN_GROUP_MAX];
    uint32_t fence_count;
    struct sgn_fence fences[SGN_FENCES_MAX];
    /* 3.7: an absent key counts as a committed tombstone at the ballots of this hlc, with this
     * ops_floor. 0: none yet. A line whose floor alone rises keeps its epoch. */
    uint64_t floor, floor_stamp;
};

struct sgn_witness_member {
    uint32_t id;          /* SGN_WITNESS_BIT | number, never used again. */
    uint32_t incarnation; /* The last one known; 0: not heard of yet. */
    bool leaving;         /* Takes part in no new group; dropped when in none and in no fence. */
    uint32_t host;        /* The member in whose process it is, one in each at most; 0: its own. */
    char address[SGN_ADDRESS_BYTES_MAX + 1];
};

/* The disk with which a node is a member. */
struct sgn_member_disk {
    uint32_t node;
    uint64_t disk; /* Random, made with the data directory; not 0. */
};

struct sgn_map {
    uint32_t version;
    uint32_t partition_count;
    uint32_t group_size; /* Wanted 2f+1: 1, 3 or 5; fewer while the fleet is smaller (then 1). */
    uint64_t hash_seed;  /* Keys the 128-bit hash of keys that witnesses see (4). */
    uint32_t witness_count;
    struct sgn_witness_member witnesses[SGN_WITNESSES_MAX];
    uint32_t disk_count;
    struct sgn_member_disk disks[SGN_NODES_MAX]; /* By node. Who is not here has no vote yet. */
    struct sgn_line *lines;                      /* partition_count of them. */
};

/* Version 1: every replica of the ring's table in_sync, no witnesses, no disks. lines must be
 * there. */
void sgn_map_first(struct sgn_map *map, const struct sgn_ring *ring);
/* Copies the lines too (into->lines is memory of as many). */
void sgn_map_copy(struct sgn_map *into, const struct sgn_map *map);

/* Bytes and back. decode checks everything against the ring (partition count, members known, no
 * seat twice, counts, epochs <= version ...); SGN_ERR_INVALID and *map unspecified otherwise. */
size_t sgn_map_bytes_max(uint32_t partition_count);
void sgn_map_encode(const struct sgn_map *map, struct sgn_sink *sink);
enum sgn_err sgn_map_decode(struct sgn_bytes bytes,
                            const struct sgn_ring *ring,
                            struct sgn_map *map);
/* The same without a ring, for clients and witnesses: checks all but that members exist. `lines`
 * has room for `lines_max`. */
enum sgn_err sgn_map_decode_alone(struct sgn_bytes bytes, uint32_t lines_max, struct sgn_map *map);
uint32_t sgn_map_version_of(struct sgn_bytes bytes); /* 0 if they are not a map. */

/* Votes. */
int sgn_line_seat(const struct sgn_line *line, uint32_t node); /* Index, or -1. */
/* A majority of the current set, and in a joint epoch of the old set too (6.2). */
bool sgn_line_quorum(const struct sgn_line *line, uint32_t votes);
bool sgn_line_old_quorum(const struct sgn_line *line, uint32_t votes); /* Joint: of the old set. */
uint32_t sgn_line_all(const struct sgn_line *line);                    /* Mask of all seats. */
uint32_t sgn_line_settlers(const struct sgn_line *line); /* in_sync and catching_up (3.1.7). */
uint32_t sgn_line_in_sync(const struct sgn_line *line);
/* Whether the seat (-1: none) is of the new set of a joint epoch and has no vote in the old one
 * (6.2). */
bool sgn_line_newcomer(const struct sgn_line *line, int seat);
/* First in_sync seat for which alive(node) is true, else -1. NULL: any. */
int sgn_line_preferred(const struct sgn_line *line,
                       bool (*alive)(const void *user, uint32_t node),
                       const void *user);
/* f + 1 of the group: how many marks or active checks make a quorum. 0 for an empty group. */
uint32_t sgn_line_group_quorum(const struct sgn_line *line);
int sgn_line_group_index(const struct sgn_line *line, uint32_t witness);
uint64_t sgn_map_disk(const struct sgn_map *map, uint32_t node); /* 0: none is listed. */
/* The witness in that node's process; NULL: none is. */
const struct sgn_witness_member *sgn_map_hosted(const struct sgn_map *map, uint32_t node);

/* What is known of who is where: filled from heartbeats and answers. Versions are durable ones. */
struct sgn_known {
    uint32_t id; /* Node or witness. */
    uint32_t incarnation;
    uint32_t version; /* Highest map version it said it has adopted (with that incarnation). */
};
/* 6.3: whether the fence of an earlier epoch is passed for exposure in the line's epoch: f+1 of its
 * group are in an epoch >= the line's or restarted (another incarnation is in an epoch >= the
 * fence's), or all that it lists as in_sync are in one >= the line's. */
bool sgn_fence_passed(const struct sgn_line *line,
                      const struct sgn_fence *fence,
                      const struct sgn_known *known,
                      uint32_t known_count);
/* True if all fences of the line are passed: it may expose. `missing` (may be NULL) gets up to
 * `missing_max` ids whose arrival in the line's epoch would pass the first fence not passed,
 * *missing_count how many. */
bool sgn_line_fenced(const struct sgn_line *line,
                     const struct sgn_known *known,
                     uint32_t known_count,
                     uint32_t *missing,
                     uint32_t missing_max,
                     uint32_t *missing_count);

/* Changes: each edits `next`, a copy of the committed map whose version was already raised by
 * one; a line that changes gets epoch = next->version and, if its group was not empty, a fence
 * for the epoch it leaves. False, and nothing changed, when the rules forbid it (the reason is
 * in the .c). */
void sgn_map_begin(struct sgn_map *next, const struct sgn_map *committed); /* Copy, version + 1. */
/* OUT to CATCHING_UP; CATCHING_UP (since an epoch before next's) to IN_SYNC; both to OUT, but not
 * when one of the line's sets would lose the in_sync majority it has. */
bool sgn_map_seat_state(struct sgn_map *next,
                        uint32_t partition,
                        uint32_t node,
                        enum sgn_seat_state state);
bool sgn_map_relist(struct sgn_map *next,
                    uint32_t partition); /* A new epoch, all else as it was. */
/* 0, 1, 3 or 5 known members in any order, none leaving; false too if that is the group already. */
bool sgn_map_set_group(struct sgn_map *next,
                       uint32_t partition,
                       const struct sgn_group_member *group,
                       uint32_t count);
/* 6.2: k+1 lists old and new; k+2 the new set alone, once a majority of it, all newcomers among
 * them, are in_sync. Newcomers start catching_up; so do some that stay when the set shrinks by so
 * much that the newcomers' catch-up alone would not carry every chosen record over. */
bool sgn_map_move_begin(struct sgn_map *next,
                        uint32_t partition,
                        const uint32_t *nodes,
                        uint32_t count);
bool sgn_map_move_end(struct sgn_map *next, uint32_t partition);
/* Drops fences that are passed (known as above), keeps the line's epoch: best called before the
 * changes, for nobody is in the epoch of `next` yet. Then drops the leaving
 * witnesses that no group and no fence lists any more. */
void sgn_map_prune(struct sgn_map *next, const struct sgn_known *known, uint32_t known_count);
/* 2: the node is a member with this disk from now on. With its first one (it has voted in no epoch)
 * its partitions get a new epoch; with another one they move from the member that was to the one
 * that is. No fence waits for the one that was. False while one partition cannot, for want of room
 * for a fence, of another in_sync seat, or of a quorum that remembers. Known: as for prune. */
bool sgn_map_set_disk(struct sgn_map *next,
                      uint32_t node,
                      uint64_t disk,
                      const struct sgn_known *known,
                      uint32_t known_count);
/* 3.7, step 3: false unless every seat is in_sync, the epoch is not joint, and both rise. */
bool sgn_map_set_floor(struct sgn_map *next, uint32_t partition, uint64_t floor, uint64_t stamp);
/* Drops fences whether passed or not: the operator's choice (6.3). False: there are none. */
bool sgn_map_force(struct sgn_map *next, uint32_t partition);
/* Chooses groups for all lines from the fleet's members that `usable` says may serve:
 * group_size of them (1 when there are fewer than 3), spread evenly, moving as few as possible,
 * with their current incarnations. Lines whose group would not change are left alone. Returns
 * lines changed. */
uint32_t sgn_map_assign_groups(struct sgn_map *next,
                               bool (*usable)(const void *user, uint32_t witness),
                               const void *user);

#endif
