#include <criterion/criterion.h>

#include "ring/core/key.h"
#include "ring/core/prng.h"
#include "ring/core/tree.h"

Test(tree, equal_content_equal_leaves)
{
    static uint64_t a_words[16 * 3 * SGN_TREE_LEAVES];
    static uint64_t b_words[16 * 3 * SGN_TREE_LEAVES];
    struct sgn_tree a;
    struct sgn_tree b;
    uint64_t hashes[500];
    cr_assert_eq(sgn_tree_bytes(16, 3), sizeof(a_words));
    sgn_tree_init(&a, a_words, 16, 3);
    sgn_tree_init(&b, b_words, 16, 3);
    for (uint32_t i = 0; i < 500; i++) {
        hashes[i] = sgn_hash(sgn_bytes_of(&i, sizeof(i)));
        sgn_tree_change(&a, hashes[i], 1 + i % 3, 0, i + 1);
    }
    for (uint32_t i = 500; i-- > 0;) { /* Another order, and over another value. */
        sgn_tree_change(&b, hashes[i], 1 + i % 3, 0, 77);
        sgn_tree_change(&b, hashes[i], 1 + i % 3, 77, i + 1);
    }
    for (uint32_t p = 0; p < 16; p++) {
        for (uint32_t n = 1; n <= 3; n++) {
            cr_assert_eq(sgn_tree_root(&a, p, n), sgn_tree_root(&b, p, n));
        }
    }
    /* Any one change shows, in its partition and leaf only, and only to those who share its n. */
    for (uint32_t i = 0; i < 500; i++) {
        uint32_t p = sgn_partition_of(hashes[i], 16);
        uint64_t low;
        uint64_t high;
        uint64_t left[SGN_TREE_LEAVES];
        uint64_t right[SGN_TREE_LEAVES];
        sgn_tree_leaf_range(p, sgn_leaf_of(hashes[i], 16), 16, &low, &high);
        cr_assert(low <= hashes[i] && hashes[i] <= high);
        sgn_tree_change(&b, hashes[i], 1 + i % 3, i + 1, 9999);
        cr_assert_neq(sgn_tree_root(&a, p, 1), sgn_tree_root(&b, p, 1));
        cr_assert((sgn_tree_root(&a, p, 3) == sgn_tree_root(&b, p, 3)) == (i % 3 != 2));
        cr_assert_eq(sgn_tree_root(&a, (p + 1) % 16, 1), sgn_tree_root(&b, (p + 1) % 16, 1));
        sgn_tree_leaves(&a, p, 1, left);
        sgn_tree_leaves(&b, p, 1, right);
        for (uint32_t leaf = 0; leaf < SGN_TREE_LEAVES; leaf++) {
            cr_assert((left[leaf] == right[leaf]) == (leaf != sgn_leaf_of(hashes[i], 16)));
        }
        sgn_tree_change(&b, hashes[i], 1 + i % 3, 9999, i + 1);
    }
    /* Two keys that trade digests do not cancel out. */
    sgn_tree_change(&b, hashes[0], 1, 1, 4);
    sgn_tree_change(&b, hashes[3], 1, 4, 1);
    cr_assert_neq(sgn_tree_root(&a, sgn_partition_of(hashes[0], 16), 1),
                  sgn_tree_root(&b, sgn_partition_of(hashes[0], 16), 1));
}

Test(tree, leaves_tile_the_hashes)
{
    for (uint32_t q = SGN_PARTITIONS_MIN; q <= SGN_PARTITIONS_MAX; q *= 2) {
        uint64_t next = 0;
        uint64_t low;
        uint64_t high;
        for (uint32_t p = 0; p < q; p++) {
            for (uint32_t leaf = 0; leaf < SGN_TREE_LEAVES; leaf++) {
                sgn_tree_leaf_range(p, leaf, q, &low, &high);
                cr_assert(low == next && high > low);
                next = high + 1;
            }
        }
        cr_assert_eq(next, 0, "the last leaf ends with the last hash");
        cr_assert_eq(sgn_partition_of(high, q), q - 1);
        cr_assert_eq(sgn_leaf_of(high, q), SGN_TREE_LEAVES - 1);
        cr_assert_eq(sgn_leaf_of(low - 1, q), SGN_TREE_LEAVES - 2);
    }
}
