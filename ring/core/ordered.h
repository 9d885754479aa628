/* ring/core/ordered.h - one key of an ordered bucket: its record, its versions, and what a change
 * makes of it. Pure values; protocol.md 2 (record), 3.5 (exactly once), 3.7 (deletes).
 *
 * A record is what per-key Paxos agrees on. `ballot` is the round that carried it; `version` is
 * what a client sees: rev counts the changes of the key 1, 2, 3 ... without gaps, origin is the
 * ballot under which that rev was first proposed, so a version never recurs. An identity round
 * gives the record a new ballot and leaves version, kind and body as they were.
 *
 * Invariants: ops newest first, no id twice, none all zero, no stamp 0; the revs of those that have
 *             a version do not rise from one op to the next and are at most the record's; equal
 *             revs have equal origins, lower ones lower. rev 0 only for a key never written (then
 *             kind is TOMBSTONE, origin zero, body empty; ops may be there); a tombstone has no
 *             body; origin is at most ballot. So equal records have equal bytes.
 * Owns:       nothing. A decoded record points into the bytes it was decoded from.
 *
 * Bytes, little-endian; none at all for sgn_ordered_init's record:
 *   u8 format (2) | u8 kind | u8 op_count | u8 0 | ballot | u64 rev | ballot origin |
 *   u64 ops_floor | u32 body_bytes
 *   op_count x { u8 verdict + 4 x form, 16 id, varint stamp, version }
 *   body
 * A ballot: u64 hlc | u32 node | u32 incarnation | u32 step. A *head* is the same without body
 * (body_bytes still says how long it is).
 * A varint has seven bits a byte, low ones first, and is as short as it can be. A stamp is told as
 * the difference to the op before, the first to ballot.hlc, folded to 0, -1, 1, -2 ... A version is
 * told by its form: 0 none (VOID), 1 as that of the op before (the first: of the record; VOIDs do
 * not count), 2 one rev and one step below it, 3 otherwise: varint revs below and, unless that
 * makes rev 0, varint hlc below, varint node, varint incarnation, varint step. So an op of a hot
 * key takes some 22 bytes. */
#ifndef SGN_CORE_ORDERED_H
#define SGN_CORE_ORDERED_H

#include "ring/core/bytes.h"
#include "ring/core/err.h"
#include "ring/core/hlc.h"
#include "ring/core/record.h" /* struct sgn_request_id */

#define SGN_ORDERED_OPS_MAX 16u
#define SGN_REV_MAX         (UINT64_MAX >> 1) /* Out of reach but for a forged record. */

enum sgn_ordered_kind { SGN_ORDERED_VALUE = 1, SGN_ORDERED_STUB = 2, SGN_ORDERED_TOMBSTONE = 3 };
enum sgn_verdict { SGN_VERDICT_APPLIED = 1, SGN_VERDICT_REJECTED = 2, SGN_VERDICT_VOID = 3 };

struct sgn_version {
    uint64_t rev; /* 0: the key was never written. */
    struct sgn_ballot origin;
};

struct sgn_op_id {
    struct sgn_request_id id;
    enum sgn_verdict verdict;
    uint64_t stamp; /* Of the request's first attempt (3.5); never 0. */
    struct sgn_version
        version; /* APPLIED: the one it made. REJECTED: the one it met. VOID: zero. */
};

struct sgn_ordered {
    struct sgn_ballot ballot;
    struct sgn_version version;
    enum sgn_ordered_kind kind;
    uint32_t op_count;
    struct sgn_op_id ops[SGN_ORDERED_OPS_MAX];
    uint64_t ops_floor; /* Largest stamp among the ids that fell off. */
    uint32_t body_bytes;
    struct sgn_bytes body; /* Empty in a head. */
};

/* A key never written, of which no round is known either. */
void sgn_ordered_init(struct sgn_ordered *record);
/* Empty `bytes` are sgn_ordered_init's record. SGN_ERR_CORRUPT, and *record is that one too, if the
 * bytes are not a record; every invariant is checked. */
enum sgn_err sgn_ordered_decode(struct sgn_bytes bytes, bool with_body, struct sgn_ordered *record);
/* Needs sgn_ordered_bytes(). With body, body.count is body_bytes. */
void sgn_ordered_encode(const struct sgn_ordered *record, bool with_body, struct sgn_sink *sink);
size_t sgn_ordered_bytes(const struct sgn_ordered *record, bool with_body);
/* The ballot of encoded bytes without decoding the rest; zero for empty or bad bytes. */
struct sgn_ballot sgn_ordered_ballot(struct sgn_bytes bytes);
/* Digest for hash trees (9): over the ballot, which names one record for ever. So replicas that
 * differ in remembered request ids only differ in it too (an identity round has its own ballot).
 * 0 only for a key never accepted. */
uint64_t sgn_ordered_digest(const struct sgn_ordered *record);
static inline bool sgn_ordered_is_dead(const struct sgn_ordered *record)
{
    return record->kind == SGN_ORDERED_TOMBSTONE;
}

void sgn_ballot_put(struct sgn_sink *sink, const struct sgn_ballot *ballot); /* SGN_BALLOT_BYTES */
struct sgn_ballot sgn_ballot_take(struct sgn_cursor *cursor);
static inline bool sgn_ballot_is_zero(const struct sgn_ballot *b)
{
    return b->hlc == 0 && b->node == 0 && b->incarnation == 0 && b->step == 0;
}

/* A version as clients carry it: opaque bytes (rev u64, origin). */
#define SGN_VERSION_BYTES (8u + SGN_BALLOT_BYTES)
void sgn_version_put(struct sgn_sink *sink, const struct sgn_version *version);
/* SGN_ERR_INVALID, and a zero version, if the bytes are not one; rev 0 goes with a zero origin. */
enum sgn_err sgn_version_take(struct sgn_bytes bytes, struct sgn_version *version);
bool sgn_version_equal(const struct sgn_version *a, const struct sgn_version *b);

/* What a client asks of a key. */
enum sgn_change_kind {
    SGN_CHANGE_READ,    /* Identity: only the agreed record is wanted. */
    SGN_CHANGE_PUT,     /* body becomes the value. */
    SGN_CHANGE_DEL,     /* A tombstone; of a dead key: no new rev. */
    SGN_CHANGE_RESOLVE, /* What became of `id`? If nothing, it never will (VOID is remembered). */
};
enum sgn_condition {
    SGN_IF_ANY,
    SGN_IF_ABSENT,  /* Never written, or deleted. */
    SGN_IF_VERSION, /* Exactly `expect` is the key's version, be the key live or dead. */
};

struct sgn_change {
    enum sgn_change_kind kind;
    enum sgn_condition condition;
    struct sgn_version expect;
    struct sgn_request_id id; /* All zero (READ only): nothing to remember. */
    uint64_t stamp;           /* hlc of the first attempt; 0 in a READ only. */
    struct sgn_bytes body;
};

struct sgn_decision {
    /* SGN_OK (applied, or READ), SGN_ERR_CONDITION (rejected; `version` is the one met),
     * SGN_ERR_UNKNOWN (3.5: id absent and stamp <= ops_floor), SGN_ERR_VOID (RESOLVE: it has not
     * taken effect and never will; also a put or delete that was resolved so before).
     * SGN_ERR_INVALID: no id or no stamp. SGN_ERR_CORRUPT: no rev is left. */
    enum sgn_err result;
    struct sgn_version version; /* Applied: the version made. READ: the record's. Neither those nor
                                   rejected: zero. */
    bool changes;               /* *next has a new rev. */
    bool remembers;             /* *next differs from current only in ops: an identity round that
                                   must go through the accept phase. Neither: plain identity; a
                                   rejection of that kind may skip the accept phase when current is
                                   known committed (3.5). */
    bool repeated;              /* The id was found in ops[]: the verdict of then is given. */
};

/* The decide step of a round at ballot `b` (above current->ballot) on `current`, the record of the
 * highest accepted ballot. Always fills *next, whatever the result: the record to propose, with
 * ballot b. next->body points to the change's body or current's; current may be a head, then an
 * identity gives a head. A rejection by an exact version is not remembered, as versions never recur
 * (but "never written" does, when a tombstone is dropped). */
void sgn_ordered_decide(const struct sgn_ordered *current,
                        const struct sgn_change *change,
                        const struct sgn_ballot *b,
                        struct sgn_ordered *next,
                        struct sgn_decision *decision);

#endif
