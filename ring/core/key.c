#include "ring/core/key.h"

#include <stdlib.h>

/* The whole hash is compiled in here. Nothing of it that allocates is ever called, but a compiler
 * that does not optimise keeps those functions, and the core must not ask for an allocator. */
#define malloc(size) ((void)(size), NULL)
#define free(ptr)    ((void)(ptr))
#define XXH_INLINE_ALL
#include <xxhash.h>
#undef malloc
#undef free

#include "ring/core/check.h"

static bool name_byte_valid(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '.' ||
           byte == '_' || byte == '-';
}

bool sgn_bucket_name_valid(struct sgn_bytes bucket)
{
    const uint8_t *raw = bucket.ptr;
    if (bucket.count == 0 || bucket.count > SGN_BUCKET_BYTES_MAX || raw[0] == '.' ||
        raw[0] == '-') {
        return false;
    }
    for (size_t i = 0; i < bucket.count; i++) {
        if (!name_byte_valid(raw[i])) {
            return false;
        }
    }
    return true;
}

bool sgn_key_valid(struct sgn_bytes key)
{
    return key.count >= 1 && key.count <= SGN_KEY_BYTES_MAX;
}

void sgn_full_key_encode(struct sgn_bytes bucket, struct sgn_bytes key, struct sgn_sink *sink)
{
    sgn_sink_put(sink, bucket.ptr, bucket.count);
    sgn_sink_uint(sink, 0, 1);
    sgn_sink_put(sink, key.ptr, key.count);
}

bool sgn_full_key_split(struct sgn_bytes full, struct sgn_bytes *bucket, struct sgn_bytes *key)
{
    const uint8_t *raw = full.ptr;
    size_t bucket_count = 0;
    while (bucket_count < full.count && raw[bucket_count] != 0) {
        bucket_count++;
    }
    if (bucket_count == full.count) {
        return false;
    }
    *bucket = sgn_bytes_of(raw, bucket_count);
    *key = sgn_bytes_of(raw + bucket_count + 1, full.count - bucket_count - 1);
    return bucket_count > 0 && key->count > 0;
}

uint64_t sgn_hash(struct sgn_bytes full_key)
{
    return XXH3_64bits(full_key.ptr, full_key.count);
}

static uint32_t bits_of(uint32_t power_of_two)
{
    SGN_ASSERT(power_of_two != 0);
    SGN_ASSERT((power_of_two & (power_of_two - 1)) == 0);
    return (uint32_t)__builtin_ctz(power_of_two);
}

uint32_t sgn_partition_of(uint64_t hash, uint32_t partition_count)
{
    uint32_t bits = bits_of(partition_count);
    return bits == 0 ? 0 : (uint32_t)(hash >> (64 - bits));
}

uint32_t sgn_leaf_of(uint64_t hash, uint32_t partition_count)
{
    uint32_t bits = bits_of(partition_count);
    return (uint32_t)((hash << bits) >> (64 - bits_of(SGN_TREE_LEAVES)));
}
