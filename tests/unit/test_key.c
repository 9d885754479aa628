/* Names, full keys, and where the hash puts them. */
#include <criterion/criterion.h>

#include "ring/core/key.h"
#include "ring/core/prng.h"

Test(key, bucket_names)
{
    static const char *const good[] = {"default", "a", "0", "a.b-c_d", "_x", "9.9"};
    static const char *const bad[] = {"", ".a", "-a", "A", "a/b", "a b", "caf\xc3\xa9"};
    for (uint32_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        cr_assert(sgn_bucket_name_valid(sgn_bytes_str(good[i])), "%s", good[i]);
    }
    for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert(!sgn_bucket_name_valid(sgn_bytes_str(bad[i])), "\"%s\"", bad[i]);
    }
    char longest[SGN_BUCKET_BYTES_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    cr_assert(sgn_bucket_name_valid(sgn_bytes_of(longest, SGN_BUCKET_BYTES_MAX)));
    cr_assert(!sgn_bucket_name_valid(sgn_bytes_of(longest, SGN_BUCKET_BYTES_MAX + 1)));
    cr_assert(!sgn_key_valid(sgn_bytes_of(longest, 0)));
}

Test(key, full_keys_split_and_sort)
{
    uint8_t room[SGN_FULL_KEY_BYTES_MAX];
    struct sgn_sink sink = sgn_sink_of(room, sizeof(room));
    struct sgn_bytes bucket;
    struct sgn_bytes key;
    sgn_full_key_encode(sgn_bytes_str("b"), sgn_bytes_of("x\0y", 3), &sink);
    cr_assert_eq(sink.count, 5);
    cr_assert(sgn_full_key_split(sgn_sink_bytes(&sink), &bucket, &key));
    cr_assert(sgn_bytes_equal(bucket, sgn_bytes_str("b")));
    cr_assert(sgn_bytes_equal(key, sgn_bytes_of("x\0y", 3)), "a key may hold NUL, a bucket may not");
    cr_assert(!sgn_full_key_split(sgn_bytes_str("none"), &bucket, &key));
    cr_assert(!sgn_full_key_split(sgn_bytes_of("\0k", 2), &bucket, &key));
    cr_assert(!sgn_full_key_split(sgn_bytes_of("b\0", 2), &bucket, &key));
    cr_assert(!sgn_full_key_split(sgn_bytes_of(NULL, 0), &bucket, &key));
}

/* Every object is where these numbers say: if one of them changes, no ring finds its data. */
Test(key, the_hash_is_fixed_for_ever)
{
    cr_assert_eq(sgn_hash(sgn_bytes_of("", 0)), UINT64_C(0x2d06800538d394c2), "XXH3 of nothing");
    uint64_t hash = UINT64_C(0xabcdef0123456789);
    cr_assert_eq(sgn_partition_of(hash, 256), 0xab);
    cr_assert_eq(sgn_leaf_of(hash, 256), 0xcd);
    cr_assert_eq(sgn_partition_of(hash, 1), 0);
    cr_assert_eq(sgn_leaf_of(hash, 1), 0xab);
    cr_assert_eq(sgn_partition_of(hash, 16384), 0xabcdef01u >> 18);
}

Test(key, partitions_fill_evenly)
{
    uint32_t counts[256] = {0};
    for (uint32_t i = 0; i < 256000; i++) {
        uint8_t text[8];
        memcpy(text, &i, 4);
        counts[sgn_partition_of(sgn_hash(sgn_bytes_of(text, 4)), 256)]++;
    }
    for (uint32_t i = 0; i < 256; i++) { /* 1000 each, give or take five standard deviations. */
        cr_assert(counts[i] > 840 && counts[i] < 1160, "partition %u has %u", i, counts[i]);
    }
}
