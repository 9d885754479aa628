/* ring/core/msg.h - every message of the ring, as one flat struct and one table.
 *
 * A message is a type and a fixed list of fields, in the order of SGN_MSG_TABLE; on the wire it is
 * a msgpack array in that order (ring/net/msg_codec.h). A field that a type does not list is 0 or
 * empty. A reader takes a longer array than it knows (a newer sender) and ignores the rest; a
 * shorter one leaves the last fields 0. Bytes are borrowed from the frame the message was decoded
 * from.
 *
 * Lists inside a message (`items`) are flat bytes made and read by ring/core/items.h, so that a
 * bounded count of fields is all that msgpack ever sees. */
#ifndef SGN_CORE_MSG_H
#define SGN_CORE_MSG_H

#include <stdint.h>

#include "ring/core/bytes.h"
#include "ring/core/record.h"

/* Field letters: see struct sgn_msg. X(NAME, number, fields).
 *
 * Between a session and a node (any node takes any of them; a frame with SGN_FRAME_FORWARDED is
 * coordinated by the node it reaches, never passed on again):
 *   HELLO       first frame of a connection, both ways. node = sender's id, 0 for a client;
 *               bucket = ring name ("" from a client that does not know it yet); a = ring digest
 *               (0: not known); b = incarnation; c = highest protocol version spoken.
 *   GET         bucket key; a = read mode (enum sgn_read_mode); n = R for this request, 0:
 *               bucket's; flags SGN_GET_HEAD_ONLY: digest record, no bodies (stat);
 *               SGN_GET_EXPLAIN; context = version (ordered.h) that a session read must reach.
 *   PUT         bucket key value; context + SGN_PUT_HAS_CONTEXT: overwrite only what the context
 *               covers, else all that the coordinator holds; n = W, 0: bucket's; id; stamp.
 *   DEL         as PUT without value.
 *   LIST        bucket; key = prefix; after = start behind this key; n = keys of a page (<= 1000).
 *   BUCKET_PUT  bucket; a = kind, n | r | w in a packed word (sgn_bucket_props in bucket.h) as b.
 *   BUCKET_DEL  bucket.        BUCKET_LIST  no fields.
 *   RING        the ring's description, to route by. STATUS: the node's view, JSON text in value.
 * Their answer is always RESULT: err; node = who answers; text = sentence for a person when
 *   err != 0;
 *   Of an ordered bucket with flags SGN_RESULT_ORDERED: context = version; value = body (GET), or a
 *   its size (SGN_GET_HEAD_ONLY); items = receipt (SGN_GET_EXPLAIN), or of a LIST (key, version
 *   followed by u32 size of the body);
 *   value = record (GET), description (RING), text (STATUS); context (PUT, DEL); items + after +
 *   flags SGN_RESULT_END (LIST, BUCKET_LIST); stamp = the coordinator's hlc; a = copies stored or
 *   read.
 *
 * Between nodes:
 *   HEARTBEAT   node; b = incarnation; a = the incarnation of yours that I last heard within the
 *               suspicion time, 0: I do not hear you; c = digest of my bucket table; stamp = hlc;
 *               d = the epoch's ring digest; n = the map version durably adopted; id = my disk
 *               (u64, then zeros).
 *   REPL_PUT    bucket key; value = record; node = hint_for: 0, or the home this is kept for;
 *               flags SGN_REPL_WANT_BACK: answer with the merged record if it is not what was sent.
 *   REPL_ACK    err; value = merged record when asked and different; flags.
 *   REPL_GET    bucket key; flags SGN_GET_HEAD_ONLY. Answer REPL_RECORD: err, value ("": none).
 *   REPL_LIST   bucket; key = prefix; after; n = most keys; items = partition bitmap (1 bit each,
 *               least first). Ordered: a = what sgn_page_epochs says of the partitions (0: any
 *               epochs will do), flags SGN_LIST_CHECK: behind the witnesses' marks. Answer
 *               REPL_PAGE: err; items = (key, digest record, or list_inner.h's item) in key order;
 *               after = examined through this key; flags SGN_RESULT_END: nothing behind it.
 *   TREE_ROOTS  node = sender; items = (partition u32, root u64), over the keys both are homes of.
 *               Answer TREE_LEAVES: items = (partition u32, 256 x u64 leaves) of the first
 *               partitions that differ, as many as a page holds.
 *   TREE_KEYS   a = partition, b = leaf, + 256 when it goes on behind its first item (which then is
 *               the last of the page before); items = (full key, digest u64), sorted by (hash,
 *               key); flags SGN_RESULT_END: last page of the leaf, else the page ends with its last
 *               item. No answer: the receiver starts REPL_PUT exchanges for what differs.
 *   BUCKETS     items = bucket table rows; answered by nothing; merged row by row.
 *
 * Ordered buckets (protocol.md 3 to 6). epoch in the frame header is the partition's epoch:
 *   PREPARE     bucket key; context = ballot, then the ballot of the sender's own accepted record
 *               (SGN_BALLOT_BYTES each): a record not above it need not travel. Answer STATE.
 *   DIGEST      bucket key; flags SGN_WANT_RECORD: with the accepted record. Answer STATE.
 *   ACCEPT      bucket key; value = record (its ballot inside). Answer STATE, without a record.
 *   STATE       err (OK, NACK, STALE, CORRUPT: abstains, or a disk's); context = promised,
 *               accepted, committed ballots; value = accepted record when it travels; a = map
 *               version; b, of an accept = mask of the group's members that marked it there.
 *   COMMITS     one way; items = (full key -> ballot, u8 settled, u32 epoch).
 *   PULL        a = partition; after = full key to go on behind. A replica that catches up asks
 *               for all keys. Answer PULL_PAGE: items = (full key -> accepted ballot, u8 flags
 *               (SGN_PULL_PENDING, SGN_PULL_UNSETTLED)); after; flags SGN_RESULT_END; err.
 *   REPL_PUT of an ordered bucket carries a *committed* record: repair, upward only (9); its
 *               REPL_ACK says that a commit at or above that ballot is durable there.
 *   REG_PREPARE, REG_ACCEPT: the register (register.h). a = version; context = ballot; value = map.
 *               Answer REG_ANSWER: err OK, NACK, STALE; context = promised, accepted; value = map
 *               accepted (prepare only); a = own committed map version.
 *   MAP_IS      value = a committed map. To nodes one way, to a witness a request.
 *   FLOOR       a = partition, b = step (1 promise, 2 verify), stamp = floor (order_floor.c).
 * Answer
 *               FLOOR_ANSWER: err; stamp = largest of the tombstones at or below it; a = map
 * version.
 *   To a witness: WITNESS, SEED, PING; its answer WITNESS_ANSWER (witness.h).
 *   From a client: RESOLVE bucket key id stamp: what became of that request (token of an unknown);
 *               MAP: RESULT value = map; MAP_CHANGE: a = enum sgn_map_change, b = id or partition,
 *               text = address. */
#define SGN_MSG_TABLE(X)                                                                           \
    X(HELLO, 1, "NBabc")                                                                           \
    X(GET, 2, "BKanfC")                                                                            \
    X(PUT, 3, "BKVCfnis")                                                                          \
    X(DEL, 4, "BKCfnis")                                                                           \
    X(LIST, 5, "BKAnfa")                                                                           \
    X(BUCKET_PUT, 6, "Bab")                                                                        \
    X(BUCKET_DEL, 7, "B")                                                                          \
    X(BUCKET_LIST, 8, "")                                                                          \
    X(RING, 9, "")                                                                                 \
    X(STATUS, 10, "")                                                                              \
    X(RESULT, 11, "eNTVCIAfsa")                                                                    \
    X(HEARTBEAT, 20, "Nbacsdni")                                                                   \
    X(REPL_PUT, 21, "BKVNf")                                                                       \
    X(REPL_ACK, 22, "eVf")                                                                         \
    X(REPL_GET, 23, "BKf")                                                                         \
    X(REPL_RECORD, 24, "eV")                                                                       \
    X(REPL_LIST, 25, "BKAnIaf")                                                                    \
    X(REPL_PAGE, 26, "eIAf")                                                                       \
    X(TREE_ROOTS, 27, "IN")                                                                        \
    X(TREE_LEAVES, 28, "I")                                                                        \
    X(TREE_KEYS, 29, "abIAf")                                                                      \
    X(BUCKETS, 30, "I")                                                                            \
    X(RESOLVE, 12, "BKis")                                                                         \
    X(MAP, 13, "")                                                                                 \
    X(MAP_CHANGE, 14, "abT")                                                                       \
    X(PREPARE, 31, "BKC")                                                                          \
    X(DIGEST, 32, "BKf")                                                                           \
    X(ACCEPT, 33, "BKV")                                                                           \
    X(STATE, 34, "eCVab")                                                                          \
    X(COMMITS, 35, "I")                                                                            \
    X(PULL, 36, "aA")                                                                              \
    X(PULL_PAGE, 37, "eIAfa")                                                                      \
    X(REG_PREPARE, 38, "aC")                                                                       \
    X(REG_ACCEPT, 39, "aCV")                                                                       \
    X(REG_ANSWER, 40, "eCVa")                                                                      \
    X(MAP_IS, 41, "V")                                                                             \
    X(WITNESS, 42, "aIN")                                                                          \
    X(SEED, 43, "INfa")                                                                            \
    X(PING, 44, "Na")                                                                              \
    X(WITNESS_ANSWER, 45, "eIabcd")                                                                \
    X(FLOOR, 46, "abs")                                                                            \
    X(FLOOR_ANSWER, 47, "esa")

enum sgn_msg_type {
#define SGN_MSG_ENUM(name, number, fields) SGN_MSG_##name = number,
    SGN_MSG_TABLE(SGN_MSG_ENUM)
#undef SGN_MSG_ENUM
};

#ifndef SGN_READ_MODE_DEFINED /* The same in client/signet.h. */
#define SGN_READ_MODE_DEFINED
enum sgn_read_mode { SGN_READ_EVENTUAL = 0, SGN_READ_SESSION = 1, SGN_READ_STRONG = 2 };
#endif

#define SGN_GET_HEAD_ONLY   (1u << 0)
#define SGN_PUT_HAS_CONTEXT (1u << 1)
#define SGN_RESULT_END      (1u << 2)
#define SGN_REPL_WANT_BACK  (1u << 3)
#define SGN_GET_EXPLAIN     (1u << 4) /* RESULT items = the receipt, JSON text. */
#define SGN_PUT_IF_ABSENT   (1u << 5)
#define SGN_PUT_IF_VERSION  (1u << 6) /* context = version (ordered.h). */
#define SGN_WANT_RECORD     (1u << 7)
#define SGN_RESULT_ORDERED  (1u << 8) /* value = body, context = version; flags DEAD below. */
#define SGN_SEED_TOO_MANY   (1u << 9)
#define SGN_LIST_CHECK      (1u << 10)

/* u8 in PULL_PAGE items. */
#define SGN_PULL_PENDING   1u
#define SGN_PULL_UNSETTLED 2u

enum sgn_map_change {
    SGN_MAP_ADD_WITNESS = 1,  /* text = address, b = its host or 0. RESULT a = its id. */
    SGN_MAP_DROP_WITNESS = 2, /* b = id. */
    SGN_MAP_FORCE = 3,        /* b = partition, UINT64_MAX: all: drop fences not passed (6.3). */
    SGN_MAP_GROUP_SIZE = 4,   /* b = 1, 3 or 5. */
};

struct sgn_msg {
    enum sgn_msg_type type;
    uint32_t request;         /* Frame header: the answer carries the asker's number. */
    uint32_t epoch;           /* Frame header: the ring epoch the sender is in. */
    bool forwarded;           /* Frame header flag. */
    struct sgn_bytes bucket;  /* B <= SGN_BUCKET_BYTES_MAX */
    struct sgn_bytes key;     /* K <= SGN_KEY_BYTES_MAX */
    struct sgn_bytes value;   /* V <= SGN_RECORD_BYTES_MAX */
    struct sgn_bytes context; /* C <= SGN_CONTEXT_BYTES_MAX */
    struct sgn_bytes items;   /* I <= SGN_PAGE_BYTES_MAX */
    struct sgn_bytes after;   /* A <= SGN_FULL_KEY_BYTES_MAX */
    struct sgn_bytes text;    /* T <= 1024 */
    struct sgn_request_id id; /* i, 16 bytes */
    int32_t err;              /* e, an enum sgn_err */
    uint32_t node;            /* N */
    uint32_t flags;           /* f */
    uint32_t n;               /* n */
    uint64_t stamp;           /* s, hlc */
    uint64_t a, b, c, d;      /* as the type says */
};

/* Field letters of a type in wire order; NULL for a number that is no type. Static. */
const char *sgn_msg_fields(uint32_t type);
/* "REPL_PUT"; "?" for a number that is no type. Static. */
const char *sgn_msg_name(uint32_t type);
/* Whether the type is an answer. */
bool sgn_msg_is_answer(uint32_t type);
/* Whether nobody waits for an answer to it, between nodes. (MAP_IS to a witness is answered.) */
bool sgn_msg_is_one_way(uint32_t type);
/* The type that answers a request; RESULT for whatever has no answer of its own. */
enum sgn_msg_type sgn_msg_answer_to(uint32_t request);
/* Largest bytes a field letter may hold; 0 for a number field. */
size_t sgn_msg_field_bytes_max(char letter);

#endif
