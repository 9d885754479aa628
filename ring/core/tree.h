/* ring/core/tree.h - the hash trees of a node: one per partition, SGN_TREE_LEAVES leaves each.
 *
 * protocol.md 9. A leaf is the xor of one mixed word per key in it, so a write changes it in
 * constant time: the old word out, the new word in. Equal content gives equal leaves whatever the
 * order of writes was.
 *
 * A bucket may keep fewer copies (n) than the ring. Two replicas must agree only about the keys
 * both are homes of, so the leaves are kept apart by n: replicas of ranks i and j compare the keys
 * of buckets with n > max(i, j), and a bucket with n = 2 never looks like a difference to the
 * third.
 *
 * Owns: nothing; the words are zeroed memory of the caller (untouched pages cost nothing). */
#ifndef SGN_CORE_TREE_H
#define SGN_CORE_TREE_H

#include <stddef.h>
#include <stdint.h>

#include "ring/core/limits.h"

struct sgn_tree {
    uint32_t partition_count;
    uint32_t replica_count;
    uint64_t *words; /* [partition][n - 1][leaf] */
};

size_t sgn_tree_bytes(uint32_t partition_count, uint32_t replica_count);
void sgn_tree_init(struct sgn_tree *tree,
                   void *memory,
                   uint32_t partition_count,
                   uint32_t replica_count);

/* The key with this hash, of a bucket with n copies, changed its record's digest; 0: no record. */
void sgn_tree_change(struct sgn_tree *tree,
                     uint64_t hash,
                     uint32_t n,
                     uint64_t digest_before,
                     uint64_t digest_after);

/* Leaves and root over the keys of buckets with at least `n_least` copies. */
void sgn_tree_leaves(const struct sgn_tree *tree,
                     uint32_t partition,
                     uint32_t n_least,
                     uint64_t leaves[SGN_TREE_LEAVES]);
uint64_t sgn_tree_root(const struct sgn_tree *tree, uint32_t partition, uint32_t n_least);

/* Hashes of a leaf: low <= hash <= high. */
void sgn_tree_leaf_range(
    uint32_t partition, uint32_t leaf, uint32_t partition_count, uint64_t *low, uint64_t *high);

#endif
