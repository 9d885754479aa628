/* Names, full keys and the hash that places every object. */
#include <criterion/criterion.h>
#include <signal.h>

#include "ring/core/check.h"
#include "ring/core/key.h"
#include "ring/core/prng.h"

#define SEED UINT64_C(0x6b657973)

static bool bucket_ok(const char *name)
{
    return sgn_bucket_name_valid(sgn_bytes_str(name));
}

Test(key, names)
{
    char long_name[SGN_BUCKET_BYTES_MAX + 1];
    memset(long_name, 'a', sizeof(long_name));
    static uint8_t long_key[SGN_KEY_BYTES_MAX + 1];

    cr_assert(bucket_ok("a"));
    cr_assert(bucket_ok("default"));
    cr_assert(bucket_ok("_x.y-z.09"));
    cr_assert(bucket_ok("a-") && bucket_ok("a."));
    cr_assert(sgn_bucket_name_valid(sgn_bytes_of(long_name, SGN_BUCKET_BYTES_MAX)));
    cr_assert_not(sgn_bucket_name_valid(sgn_bytes_of(long_name, SGN_BUCKET_BYTES_MAX + 1)));
    cr_assert_not(sgn_bucket_name_valid(sgn_bytes_of(NULL, 0)));
    const char *bad[] = {
        "", ".a", "-a", "A", "aB", "a/b", "a b", "a\n", "\xc3\xa4", "a:", "`", "{"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_not(bucket_ok(bad[i]), "\"%s\"", bad[i]);
    }
    cr_assert_not(sgn_bucket_name_valid(sgn_bytes_of("a\0b", 3)));
    uint32_t valid_bytes = 0;
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint8_t raw[2] = {'a', (uint8_t)byte};
        valid_bytes += sgn_bucket_name_valid(sgn_bytes_of(raw, 2));
    }
    cr_assert_eq(valid_bytes, 26 + 10 + 3);

    cr_assert_not(sgn_key_valid(sgn_bytes_of(NULL, 0)));
    cr_assert(sgn_key_valid(sgn_bytes_of("\0", 1)));
    cr_assert(sgn_key_valid(sgn_bytes_of(long_key, SGN_KEY_BYTES_MAX)));
    cr_assert_not(sgn_key_valid(sgn_bytes_of(long_key, SGN_KEY_BYTES_MAX + 1)));
}

Test(key, full_keys)
{
    uint8_t raw[SGN_FULL_KEY_BYTES_MAX];
    struct sgn_bytes bucket;
    struct sgn_bytes key;
    struct sgn_prng prng = {.state = SEED};
    for (int round = 0; round < 5000; round++) {
        uint8_t name[SGN_BUCKET_BYTES_MAX];
        uint8_t text[SGN_KEY_BYTES_MAX];
        size_t name_bytes = 1 + sgn_prng_below(&prng, sizeof(name));
        size_t text_bytes = 1 + sgn_prng_below(&prng, sizeof(text));
        for (size_t i = 0; i < name_bytes; i++) {
            name[i] = (uint8_t)('a' + sgn_prng_below(&prng, 26));
        }
        for (size_t i = 0; i < text_bytes; i++) {
            text[i] = (uint8_t)sgn_prng_below(&prng, 3); /* Many a NUL in the key itself. */
        }
        struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
        sgn_full_key_encode(sgn_bytes_of(name, name_bytes), sgn_bytes_of(text, text_bytes), &sink);
        cr_assert_not(sink.full);
        cr_assert_eq(sink.count, name_bytes + 1 + text_bytes);
        cr_assert(sgn_full_key_split(sgn_sink_bytes(&sink), &bucket, &key));
        cr_assert(sgn_bytes_equal(bucket, sgn_bytes_of(name, name_bytes)));
        cr_assert(sgn_bytes_equal(key, sgn_bytes_of(text, text_bytes)));
        cr_assert_eq(bucket.ptr, raw, "the parts point into the full key");
    }
    cr_assert_not(sgn_full_key_split(sgn_bytes_of(NULL, 0), &bucket, &key));
    cr_assert_not(sgn_full_key_split(sgn_bytes_of("ab", 2), &bucket, &key));
    cr_assert_not(sgn_full_key_split(sgn_bytes_of("\0b", 2), &bucket, &key));
    cr_assert_not(sgn_full_key_split(sgn_bytes_of("a\0", 2), &bucket, &key));
    cr_assert(sgn_full_key_split(sgn_bytes_of("a\0\0", 3), &bucket, &key));
    struct sgn_sink small = sgn_sink_of(raw, 3);
    sgn_full_key_encode(sgn_bytes_str("a"), sgn_bytes_str("bc"), &small);
    cr_assert(small.full);
}

/* What the hash says of these is on every disk: a change here moves every object. */
Test(key, hash_and_places)
{
    cr_assert_eq(sgn_hash(sgn_bytes_of(NULL, 0)), UINT64_C(0x2d06800538d394c2));
    cr_assert_eq(sgn_hash(sgn_bytes_str("a")), UINT64_C(0xe6c632b61e964e1f));
    cr_assert_eq(sgn_hash(sgn_bytes_str("abc")), UINT64_C(0x78af5f94892f3950));
    uint8_t long_text[1088];
    for (size_t i = 0; i < sizeof(long_text); i++) {
        long_text[i] = (uint8_t)i;
    }
    /* Of more than 240 bytes, so the code that differs from machine to machine. */
    cr_assert_eq(sgn_hash(sgn_bytes_of(long_text, sizeof(long_text))),
                 UINT64_C(0x280d4e7cb6579eb6));

    uint64_t hash = UINT64_C(0xfedcba9876543210);
    cr_assert_eq(sgn_partition_of(hash, 8), 7);
    cr_assert_eq(sgn_partition_of(hash, 256), 0xfe);
    cr_assert_eq(sgn_partition_of(hash, 16384), 0xfedc >> 2);
    cr_assert_eq(sgn_partition_of(hash, 1), 0);
    cr_assert_eq(sgn_leaf_of(hash, 256), 0xdc);
    cr_assert_eq(sgn_leaf_of(hash, 1), 0xfe);
    cr_assert_eq(sgn_leaf_of(hash, 16), 0xed);
    struct sgn_prng prng = {.state = SEED};
    for (int round = 0; round < 10000; round++) {
        uint64_t any = sgn_prng_next(&prng);
        for (uint32_t count = 1; count <= SGN_PARTITIONS_MAX; count *= 2) {
            cr_assert_lt(sgn_partition_of(any, count), count);
            cr_assert_lt(sgn_leaf_of(any, count), SGN_TREE_LEAVES);
            /* Partition and leaf together are the top bits of the hash, whatever the split. */
            uint32_t bits = sgn_popcount(count - 1) + sgn_popcount(SGN_TREE_LEAVES - 1);
            uint64_t together =
                (uint64_t)sgn_partition_of(any, count) * SGN_TREE_LEAVES + sgn_leaf_of(any, count);
            cr_assert_eq(together, any >> (64 - bits));
        }
    }
}

Test(key, partition_count_must_be_a_power_of_two, .signal = SIGABRT)
{
    (void)sgn_partition_of(1, 12);
}
