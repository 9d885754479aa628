/* ring/core/witness.h - the read barrier's memory: which keys have a write that may not be on every
 * replica yet. protocol.md 4. In memory only; a restarted witness is a new one.
 *
 * Nodes speak, the witness answers. It is told the map (MAP_IS), marks, checks and settles in
 * batches (WITNESS), and the replicas' unsettled sets (SEED); it never dials anyone.
 *
 * Per partition: the epoch, a mode, and the table key hash -> highest marked ballot. Entering an
 * epoch drops the table (4.1). If the epoch lists it with its incarnation it is warming, and
 * becomes active when a majority of the partition's replicas (joint: of both sets) have sent their
 * unsettled sets, each inside exactly that epoch.
 *
 * One table of entries for all partitions, of a fixed size from the start: <= 64 bytes an entry. At
 * the limit the partition that asked for room is dropped whole and stays warming until a later
 * epoch (4.2). Pure: no I/O, no clock but now_ms, memory from the caller. One thread. */
#ifndef SGN_CORE_WITNESS_H
#define SGN_CORE_WITNESS_H

#include "ring/core/map.h"
#include "ring/core/msg.h"
#include "ring/core/ordered.h"

/* A key as witnesses and unsettled sets name it. `hash` places it (ring/core/key.h), `keyed` is
 * XXH3 of the full key under the map's hash_seed: together 128 bits nobody can aim at. */
struct sgn_key_hash {
    uint64_t hash, keyed;
};
struct sgn_key_hash sgn_key_hash_of(struct sgn_bytes full_key, uint64_t hash_seed);

/* Entries of a WITNESS batch, in msg.items, little-endian, SGN_WITNESS_ASK_BYTES each:
 *   u8 what | u8 0 | u16 0 | u32 tag | u32 partition | u32 epoch | u64 hash | u64 keyed | ballot
 * and of its answer, SGN_WITNESS_TELL_BYTES each (none for SETTLE; the same tag):
 *   u8 what | u8 status | u16 0 | u32 tag | ballot (CHECK: highest mark, zero: none) */
enum sgn_witness_what {
    SGN_WITNESS_MARK = 1,
    SGN_WITNESS_CHECK = 2,
    SGN_WITNESS_SETTLE = 3,
    SGN_WITNESS_LIST = 4
}; /* LIST: all marks of the partition (10). */
enum sgn_witness_status {
    SGN_WITNESS_OK = 0,
    SGN_WITNESS_WARMING = 1, /* CHECK, LIST: no statement. A MARK is taken all the same. */
    SGN_WITNESS_STALE = 2,   /* The epoch asked is not the witness's; see the answer's version. */
    SGN_WITNESS_NOT_MEMBER = 3, /* Not in that epoch's group, or with another incarnation. */
};
#define SGN_WITNESS_ASK_BYTES  (32u + SGN_BALLOT_BYTES)
#define SGN_WITNESS_TELL_BYTES (8u + SGN_BALLOT_BYTES)
#define SGN_WITNESS_BATCH_MAX  2048u /* Entries of one message. */

struct sgn_witness_ask {
    uint8_t what;
    uint32_t tag, partition, epoch;
    struct sgn_key_hash key;
    struct sgn_ballot ballot;
};
struct sgn_witness_tell {
    uint8_t what, status;
    uint32_t tag;
    struct sgn_ballot ballot;
    /* LIST only, behind the entry: u32 count, then count x (hash, keyed, ballot). */
    uint32_t mark_count;
    struct sgn_bytes marks;
};
void sgn_witness_ask_put(struct sgn_sink *sink, const struct sgn_witness_ask *ask);
bool sgn_witness_ask_take(struct sgn_cursor *cursor, struct sgn_witness_ask *ask);
void sgn_witness_tell_put(struct sgn_sink *sink, const struct sgn_witness_tell *tell);
bool sgn_witness_tell_take(struct sgn_cursor *cursor, struct sgn_witness_tell *tell);
#define SGN_MARK_BYTES (16u + SGN_BALLOT_BYTES) /* hash, keyed, ballot: in LIST, SEED. */

/* What a witness is in a partition, as SEED's answer says it. */
enum sgn_witness_mode {
    SGN_WITNESS_NO_MEMBER = 0, /* Its epoch does not list this witness with its incarnation. */
    SGN_WITNESS_IS_WARMING = 1,
    SGN_WITNESS_IS_ACTIVE = 2,
    SGN_WITNESS_IS_DROPPED = 3, /* Warming until a later epoch, for want of room (4.2). */
};
#define SGN_WITNESS_SEEDED_BYTES 9u /* Partition, epoch, mode: an entry of SEED's answer. */
#define SGN_WITNESS_OLD_BYTES    (8u + SGN_MARK_BYTES) /* An entry of PING's answer. */
#define SGN_WITNESS_OLD_MAX      16u

struct sgn_witness_options {
    uint32_t id, incarnation;
    uint32_t entries_max; /* Of the table. */
    uint32_t old_mark_ms; /* 4.3: 3000. */
};
struct sgn_witness; /* witness_state.h */

/* Bytes of zeroed memory, 16-aligned. `partition_count` is the most that a map may have; memory of
 * partitions and entries that are not used is not touched. */
size_t sgn_witness_bytes(uint32_t partition_count, uint32_t entries_max);
struct sgn_witness *sgn_witness_init(void *memory,
                                     uint32_t partition_count,
                                     const struct sgn_witness_options *options);

/* Handles one request and writes the answer's fields; answer->items and text point into `room` (at
 * least SGN_PAGE_BYTES_MAX). Requests:
 *   MAP_IS  value = map bytes. Higher version than its own: adopts it at once. Answer
 *           WITNESS_ANSWER.
 *   WITNESS items = asks; a = the incarnation the sender means (another: every entry NOT_MEMBER).
 *   SEED    node = replica; items = (u32 partition, u32 epoch -> marks): the replica's whole
 *           unsettled set of each partition; flags SGN_SEED_TOO_MANY for one that has no room (then
 *           items' value is empty and the partition cannot be seeded by that replica).
 *           Answer: err OK; items = per partition u32 partition, u32 epoch, u8 mode.
 *   PING    node = sender. Answer: items = up to 16 old marks (u32 partition, u32 epoch, mark) of
 *           partitions that have it in_sync, for 4.3; the next PING goes on with others.
 * Every answer is WITNESS_ANSWER with a = its map version, b = its incarnation, c = partitions
 * warming that list it, those dropped not counted, d = partitions dropped for want of room.
 * err: SGN_ERR_PROTOCOL or _INVALID for bytes that are no such request (a batch is taken up to the
 * bad entry), _UNSUPPORTED for another type; items are then empty. */
void sgn_witness_step(struct sgn_witness *witness,
                      uint64_t now_ms,
                      const struct sgn_msg *request,
                      struct sgn_sink *room,
                      struct sgn_msg *answer);

struct sgn_witness_counts {
    uint64_t marks, checks, settles, stale, seeds, overflows;
    uint32_t entries, entries_max, partitions_listed, partitions_active, partitions_dropped;
    uint32_t version;
};
void sgn_witness_counts(const struct sgn_witness *witness, struct sgn_witness_counts *counts);

#endif
