#include "node/value_cache.h"

#include <stdlib.h>

#include "ring/core/check.h"
#include "ring/core/key.h"

#define HEAD_BYTES 16u
#define ROOM       (SGN_VALUE_CACHE_SLOT_BYTES - HEAD_BYTES)

struct sgn_value_slot {
    uint32_t pins;
    uint32_t tag;       /* The other half of the key's hash: a miss seldom compares keys. */
    uint16_t key_bytes; /* 0: empty. */
    uint16_t value_bytes;
    uint32_t unused;
    uint8_t bytes[ROOM]; /* Key, value. */
};

_Static_assert(sizeof(struct sgn_value_slot) == SGN_VALUE_CACHE_SLOT_BYTES, "no padding");
_Static_assert((SGN_VALUE_CACHE_SLOTS & (SGN_VALUE_CACHE_SLOTS - 1)) == 0, "a power of two");

struct sgn_value_cache {
    struct sgn_value_slot slots[SGN_VALUE_CACHE_SLOTS];
};

struct sgn_value_cache *sgn_value_cache_create(void)
{
    return calloc(1, sizeof(struct sgn_value_cache));
}

void sgn_value_cache_destroy(struct sgn_value_cache *cache)
{
    free(cache);
}

/* The key's slot, whatever it holds. The low bits choose: the top ones are alike in keys of one
 * partition. */
static struct sgn_value_slot *slot_of(struct sgn_value_cache *cache,
                                      struct sgn_bytes key,
                                      uint32_t *tag)
{
    uint64_t hash = sgn_hash(key);
    *tag = (uint32_t)(hash >> 32);
    return &cache->slots[hash & (SGN_VALUE_CACHE_SLOTS - 1)];
}

static bool holds(const struct sgn_value_slot *slot, uint32_t tag, struct sgn_bytes key)
{
    return slot->key_bytes != 0 && slot->tag == tag &&
           sgn_bytes_equal(sgn_bytes_of(slot->bytes, slot->key_bytes), key);
}

struct sgn_value_slot *sgn_value_cache_pin(struct sgn_value_cache *cache,
                                           struct sgn_bytes key,
                                           struct sgn_bytes *value)
{
    uint32_t tag;
    struct sgn_value_slot *slot = slot_of(cache, key, &tag);
    if (!holds(slot, tag, key)) {
        return NULL;
    }
    slot->pins++;
    *value = sgn_bytes_of(slot->bytes + slot->key_bytes, slot->value_bytes);
    return slot;
}

void sgn_value_cache_unpin(struct sgn_value_slot *slot)
{
    SGN_ASSERT(slot->pins > 0);
    slot->pins--;
}

void sgn_value_cache_put(struct sgn_value_cache *cache,
                         struct sgn_bytes key,
                         struct sgn_bytes value)
{
    if (key.count == 0 || key.count > ROOM || value.count > ROOM - key.count) {
        sgn_value_cache_drop(cache, key);
        return;
    }
    uint32_t tag;
    struct sgn_value_slot *slot = slot_of(cache, key, &tag);
    if (slot->pins > 0) {
        sgn_value_cache_drop(cache, key);
        return;
    }
    slot->tag = tag;
    slot->key_bytes = (uint16_t)key.count;
    slot->value_bytes = (uint16_t)value.count;
    struct sgn_sink sink = sgn_sink_of(slot->bytes, ROOM);
    sgn_sink_put(&sink, key.ptr, key.count);
    sgn_sink_put(&sink, value.ptr, value.count);
    SGN_ASSERT(!sink.full);
}

void sgn_value_cache_drop(struct sgn_value_cache *cache, struct sgn_bytes key)
{
    uint32_t tag;
    struct sgn_value_slot *slot = slot_of(cache, key, &tag);
    if (holds(slot, tag, key)) {
        slot->key_bytes = 0; /* Whoever has pinned it goes on reading the bytes, which stay. */
    }
}
