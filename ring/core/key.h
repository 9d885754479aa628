/* ring/core/key.h - names: what a bucket and key may be, the full key, its hash and partition.
 *
 * A *full key* is `bucket NUL key`: what the store, the trees and the hash see. A bucket name has
 * no NUL, so full keys are unambiguous and sort by bucket, then key. */
#ifndef SGN_CORE_KEY_H
#define SGN_CORE_KEY_H

#include <stdint.h>

#include "ring/core/bytes.h"
#include "ring/core/limits.h"

#define SGN_FULL_KEY_BYTES_MAX (SGN_BUCKET_BYTES_MAX + 1 + SGN_KEY_BYTES_MAX)

/* 1..63 bytes of a-z 0-9 . _ - and not beginning with '.' or '-'. */
bool sgn_bucket_name_valid(struct sgn_bytes bucket);

/* 1..1024 bytes, any. */
bool sgn_key_valid(struct sgn_bytes key);

/* Writes bucket NUL key. The sink needs up to SGN_FULL_KEY_BYTES_MAX. */
void sgn_full_key_encode(struct sgn_bytes bucket, struct sgn_bytes key, struct sgn_sink *sink);

/* Splits a full key; both parts point into it. False if it is not one (no NUL, empty part). */
bool sgn_full_key_split(struct sgn_bytes full, struct sgn_bytes *bucket, struct sgn_bytes *key);

/* XXH3, 64 bit, seed 0, over the full key. Fixed for ever: it places every object. */
uint64_t sgn_hash(struct sgn_bytes full_key);

/* The top bits of the hash. partition_count is a power of two. */
uint32_t sgn_partition_of(uint64_t hash, uint32_t partition_count);

/* The bits below the partition's: which of SGN_TREE_LEAVES leaves the key is in. */
uint32_t sgn_leaf_of(uint64_t hash, uint32_t partition_count);

#endif
