#include "ring/core/tree.h"

#include <string.h>

#include "ring/core/check.h"
#include "ring/core/key.h"

/* A bijection that spreads every bit (the finalizer of splitmix64): a plain xor of digests would
 * let two keys that trade places cancel out. */
static uint64_t mix(uint64_t word)
{
    word += UINT64_C(0x9e3779b97f4a7c15);
    word = (word ^ (word >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
    return word ^ (word >> 31);
}

static uint64_t key_word(uint64_t hash, uint64_t digest)
{
    return digest == 0 ? 0 : mix(mix(hash) + digest);
}

size_t sgn_tree_bytes(uint32_t partition_count, uint32_t replica_count)
{
    return (size_t)partition_count * replica_count * SGN_TREE_LEAVES * sizeof(uint64_t);
}

void sgn_tree_init(struct sgn_tree *tree,
                   void *memory,
                   uint32_t partition_count,
                   uint32_t replica_count)
{
    SGN_ASSERT(partition_count > 0 && (partition_count & (partition_count - 1)) == 0);
    SGN_ASSERT(replica_count >= 1 && replica_count <= SGN_REPLICAS_MAX);
    *tree = (struct sgn_tree){
        .partition_count = partition_count, .replica_count = replica_count, .words = memory};
}

static uint64_t *tree_words(const struct sgn_tree *tree, uint32_t partition, uint32_t n)
{
    SGN_ASSERT(partition < tree->partition_count);
    SGN_ASSERT(n >= 1 && n <= tree->replica_count);
    return tree->words + ((size_t)partition * tree->replica_count + (n - 1)) * SGN_TREE_LEAVES;
}

void sgn_tree_change(
    struct sgn_tree *tree, uint64_t hash, uint32_t n, uint64_t digest_before, uint64_t digest_after)
{
    uint64_t *words = tree_words(tree, sgn_partition_of(hash, tree->partition_count), n);
    words[sgn_leaf_of(hash, tree->partition_count)] ^=
        key_word(hash, digest_before) ^ key_word(hash, digest_after);
}

void sgn_tree_leaves(const struct sgn_tree *tree,
                     uint32_t partition,
                     uint32_t n_least,
                     uint64_t leaves[SGN_TREE_LEAVES])
{
    memset(leaves, 0, SGN_TREE_LEAVES * sizeof(leaves[0]));
    for (uint32_t n = n_least; n <= tree->replica_count; n++) {
        const uint64_t *words = tree_words(tree, partition, n);
        for (uint32_t i = 0; i < SGN_TREE_LEAVES; i++) {
            leaves[i] ^= words[i];
        }
    }
}

uint64_t sgn_tree_root(const struct sgn_tree *tree, uint32_t partition, uint32_t n_least)
{
    uint64_t leaves[SGN_TREE_LEAVES];
    uint64_t root = 0;
    sgn_tree_leaves(tree, partition, n_least, leaves);
    for (uint32_t i = 0; i < SGN_TREE_LEAVES; i++) {
        root ^= leaves[i] == 0 ? 0 : mix(leaves[i] + mix(i));
    }
    return root;
}

void sgn_tree_leaf_range(
    uint32_t partition, uint32_t leaf, uint32_t partition_count, uint64_t *low, uint64_t *high)
{
    SGN_ASSERT(leaf < SGN_TREE_LEAVES && partition < partition_count);
    uint64_t leaf_count = (uint64_t)partition_count * SGN_TREE_LEAVES;
    uint64_t width = UINT64_MAX / leaf_count + 1; /* 2^64 over a power of two, exactly. */
    *low = ((uint64_t)partition * SGN_TREE_LEAVES + leaf) * width;
    *high = *low + (width - 1);
}
