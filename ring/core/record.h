/* ring/core/record.h - one key of an available bucket: siblings and the version vector over them.
 *
 * Dotted version vectors (Preguica et al. 2010, 2014; protocol.md 8). An *actor* is a (node,
 * generation); it numbers its writes of one key 1, 2, 3 ... A sibling is named by its *dot* (actor,
 * counter). The vector says, for each actor, up to which counter this record has seen that actor's
 * writes: a write that the vector covers and that is not among the siblings has been overwritten.
 * A record without siblings is a tombstone: its vector still overwrites what it covers.
 *
 * Invariants: vector entries sorted by actor, no actor twice, counters >= 1; siblings sorted
 *             by dot, no dot twice; every dot is covered by the vector. So equal records
 *             have equal bytes.
 * The rule that makes the vector true: an actor mints a dot only on a record that holds the effect
 *             of all its earlier dots of that key (ring/core/engine.h says how that is kept).
 * Retries:    a put sent again to another coordinator is minted twice; the two siblings carry one
 *             request id and one body, and a reader shows one of them. They are not folded in
 *             merge: that would make it depend on the order in which replicas meet.
 * Owns:       nothing. A decoded record points into the bytes it was decoded from; keep those.
 *
 * Bytes, little-endian:
 *   u8 format (1) | u8 vector_count | u8 sibling_count | u8 0
 *   vector_count x  { u32 node, u32 generation, u64 counter }
 *   sibling_count x { u32 node, u32 generation, u64 counter, u64 hlc, 16 request id,
 *                     u32 body_bytes }
 *   the bodies, in the order of the siblings
 * A *digest record* has the same head and no bodies (body_bytes still says how long they are). */
#ifndef SGN_CORE_RECORD_H
#define SGN_CORE_RECORD_H

#include <stdint.h>

#include "ring/core/bytes.h"
#include "ring/core/err.h"
#include "ring/core/limits.h"

struct sgn_actor {
    uint32_t node;
    uint32_t generation;
};

struct sgn_dot {
    struct sgn_actor actor;
    uint64_t counter;
};

struct sgn_vector {
    uint32_t count;
    struct sgn_dot entries[SGN_ACTORS_MAX];
};

struct sgn_request_id {
    uint8_t bytes[SGN_REQUEST_ID_BYTES]; /* All zero: none; never equal to another. */
};

struct sgn_sibling {
    struct sgn_dot dot;
    uint64_t hlc; /* When it was written, for people and for "the newest"; never for safety. */
    struct sgn_request_id request_id;
    uint32_t body_bytes;
    struct sgn_bytes body; /* Empty in a digest record. */
};

struct sgn_record {
    struct sgn_vector vector;
    uint32_t sibling_count;
    struct sgn_sibling siblings[SGN_SIBLINGS_MAX];
};

enum sgn_record_bodies { SGN_RECORD_WITH_BODIES, SGN_RECORD_DIGEST_ONLY };

/* The record of a key never written: an empty vector. */
void sgn_record_init(struct sgn_record *record);

/* Decodes and checks every invariant. An empty `bytes` is the record of a key never written.
 * `with_bodies` says which of the two forms is expected. SGN_ERR_CORRUPT if the bytes are not
 * one. */
enum sgn_err sgn_record_decode(struct sgn_bytes bytes,
                               enum sgn_record_bodies with_bodies,
                               struct sgn_record *record);

/* Writes it (nothing at all for a key never written). Needs sgn_record_bytes(). */
void sgn_record_encode(const struct sgn_record *record,
                       enum sgn_record_bodies with_bodies,
                       struct sgn_sink *sink);
size_t sgn_record_bytes(const struct sgn_record *record, enum sgn_record_bodies with_bodies);

/* The least record that holds both: commutative, associative, idempotent.
 * SGN_ERR_TOO_MANY_SIBLINGS when siblings, actors or bytes would pass their limit; `into` is then
 * unchanged. */
enum sgn_err sgn_record_merge(struct sgn_record *into, const struct sgn_record *other);

/* True if `record` holds everything `other` does: merging other in would change nothing. */
bool sgn_record_covers(const struct sgn_record *record, const struct sgn_record *other);

bool sgn_record_is_unwritten(const struct sgn_record *record);
/* Nothing live: a tombstone or never written. */
bool sgn_record_is_dead(const struct sgn_record *record);

/* The sibling with the highest (hlc, dot); NULL when dead. Points into record. */
const struct sgn_sibling *sgn_record_newest(const struct sgn_record *record);

/* For showing, never for storing: of siblings that carry one request id (a put sent again and
 * minted by two coordinators) only the first stays. The vector is as before, so a context made of
 * it covers all. */
void sgn_record_fold_retries(struct sgn_record *record);

/* What one write does. */
struct sgn_mint {
    struct sgn_actor actor;           /* Who mints. */
    const struct sgn_vector *context; /* What the writer has seen. NULL: "replace what is there":
                                         all that this record holds and that was written before
                                         hlc; so a request that arrives late, or twice, drops
                                         nothing that was written after it was made. */
    bool is_delete;                   /* Drops the siblings the context covers; adds none. */
    struct sgn_bytes body;
    uint64_t hlc;
    struct sgn_request_id request_id;
};

/* Applies a write to the record in place; the body is borrowed into it. A put whose request id is
 * already among the siblings changes nothing (a retry). A delete mints no dot: it raises the vector
 * to the context; one with a NULL context of a record never written changes nothing.
 * SGN_ERR_TOO_MANY_SIBLINGS, and no change, when a limit would be passed (actors are refused a few
 * short of SGN_ACTORS_MAX so that merges keep room). */
enum sgn_err sgn_record_mint(struct sgn_record *record, const struct sgn_mint *mint);

/* 64 bits over the head (vector and siblings without bodies), 0 only for a key never written. Equal
 * records, equal digests; used by the hash trees. */
uint64_t sgn_record_digest(const struct sgn_record *record);

/* The causal context that a reader gets and gives back: the vector as opaque bytes. */
#define SGN_CONTEXT_BYTES_MAX (1u + 16u * SGN_ACTORS_MAX)
void sgn_context_encode(const struct sgn_vector *vector, struct sgn_sink *sink);
/* SGN_ERR_INVALID if the bytes are not a context. Empty bytes are the empty context. */
enum sgn_err sgn_context_decode(struct sgn_bytes bytes, struct sgn_vector *vector);

#endif
