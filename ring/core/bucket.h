/* ring/core/bucket.h - the bucket table: the same on every node in the end.
 *
 * A row is the last change of one bucket, ordered by (stamp, node): tables merge row by row, the
 * later change wins, so the order in which nodes hear of changes does not matter. Deleted buckets
 * stay as rows (dead) until their place is needed by none: at most SGN_BUCKETS_MAX rows, live and
 * dead. */
#ifndef SGN_CORE_BUCKET_H
#define SGN_CORE_BUCKET_H

#include "ring/core/bytes.h"
#include "ring/core/err.h"
#include "ring/core/limits.h"

#ifndef SGN_BUCKET_KIND_DEFINED /* The same in client/signet.h. */
#define SGN_BUCKET_KIND_DEFINED
enum sgn_bucket_kind { SGN_BUCKET_AVAILABLE = 1, SGN_BUCKET_ORDERED = 2 };
#endif

struct sgn_bucket {
    char name[SGN_BUCKET_BYTES_MAX + 1];
    uint8_t kind;    /* enum sgn_bucket_kind */
    uint8_t n, r, w; /* 1 <= r, w <= n <= ring's replica_count */
    bool dead;
    uint64_t stamp; /* hlc of the change */
    uint32_t node;  /* who made it */
};

struct sgn_bucket_table {
    uint32_t count;
    struct sgn_bucket rows[SGN_BUCKETS_MAX]; /* Sorted by name. */
};

/* The table of a new ring: the bucket `default`, ordered, n = replica_count. As in every ordered
 * bucket r and w say its quorum, the majority; nobody chooses them. */
void sgn_bucket_table_init(struct sgn_bucket_table *table, uint32_t replica_count);
/* The live bucket of that name, or NULL. */
const struct sgn_bucket *sgn_bucket_find(const struct sgn_bucket_table *table,
                                         struct sgn_bytes name);
/* The row of that name, live or dead, or NULL. */
const struct sgn_bucket *sgn_bucket_row(const struct sgn_bucket_table *table,
                                        struct sgn_bytes name);
/* Takes a row in if it is later than what is there. True if the table changed. False also when
 * full. */
bool sgn_bucket_merge(struct sgn_bucket_table *table, const struct sgn_bucket *row);
/* Order-independent digest of all rows. */
uint64_t sgn_bucket_table_digest(const struct sgn_bucket_table *table);
/* Most bytes of one row. */
#define SGN_BUCKET_ROW_BYTES_MAX (18u + SGN_BUCKET_BYTES_MAX)
/* Rows as bytes and back. decode_next takes one row from the cursor; false at the end or when
 * bad. */
void sgn_bucket_encode(const struct sgn_bucket *row, struct sgn_sink *sink);
bool sgn_bucket_decode_next(struct sgn_cursor *cursor, struct sgn_bucket *row);
/* kind, n, r, w in one word, as BUCKET_PUT carries them; 0 asks for the default (kind: ordered).
 * SGN_ERR_INVALID, and `why` is set to a static sentence. */
uint64_t sgn_bucket_props_pack(uint32_t kind, uint32_t n, uint32_t r, uint32_t w);
enum sgn_err sgn_bucket_props_unpack(uint64_t word,
                                     uint32_t replica_count,
                                     struct sgn_bucket *row,
                                     const char **why);

#endif
