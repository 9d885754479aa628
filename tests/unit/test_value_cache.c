/* The cache of small values: found, replaced, dropped, pinned, pushed out. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "node/value_cache.h"
#include "ring/core/key.h"

static struct sgn_bytes text(const char *str)
{
    return sgn_bytes_str(str);
}

static bool has(struct sgn_value_cache *cache, struct sgn_bytes key, struct sgn_bytes value)
{
    struct sgn_bytes found = sgn_bytes_of(NULL, 0);
    struct sgn_value_slot *slot = sgn_value_cache_pin(cache, key, &found);
    bool same = slot != NULL && sgn_bytes_equal(found, value);
    if (slot != NULL) {
        sgn_value_cache_unpin(slot);
    }
    return same;
}

static bool misses(struct sgn_value_cache *cache, struct sgn_bytes key)
{
    struct sgn_bytes found;
    return sgn_value_cache_pin(cache, key, &found) == NULL;
}

/* Another key of the same slot. */
static void collide(const char *with, char *out, size_t cap)
{
    uint64_t mask = SGN_VALUE_CACHE_SLOTS - 1;
    uint64_t wanted = sgn_hash(text(with)) & mask;
    for (uint32_t i = 0;; i++) {
        (void)snprintf(out, cap, "other%u", i);
        if ((sgn_hash(text(out)) & mask) == wanted) {
            return;
        }
    }
}

Test(value_cache, follows_the_writes)
{
    struct sgn_value_cache *cache = sgn_value_cache_create();
    cr_assert_not_null(cache);
    cr_expect(misses(cache, text("k")));
    sgn_value_cache_put(cache, text("k"), text("one"));
    cr_expect(has(cache, text("k"), text("one")));
    sgn_value_cache_put(cache, text("k"), text("second"));
    cr_expect(has(cache, text("k"), text("second")));
    sgn_value_cache_put(cache, text("e"), sgn_bytes_of(NULL, 0));
    cr_expect(has(cache, text("e"), sgn_bytes_of(NULL, 0)));

    /* What fits exactly is kept; one byte more empties the slot, never leaves the old value. */
    static uint8_t large[SGN_VALUE_CACHE_SLOT_BYTES];
    size_t most = SGN_VALUE_CACHE_SLOT_BYTES - 16 - 1;
    sgn_value_cache_put(cache, text("k"), sgn_bytes_of(large, most));
    cr_expect(has(cache, text("k"), sgn_bytes_of(large, most)));
    sgn_value_cache_put(cache, text("k"), sgn_bytes_of(large, most + 1));
    cr_expect(misses(cache, text("k")));

    sgn_value_cache_put(cache, text("k"), text("third"));
    sgn_value_cache_drop(cache, text("k"));
    cr_expect(misses(cache, text("k")));

    char other[32];
    collide("k", other, sizeof(other));
    sgn_value_cache_put(cache, text("k"), text("mine"));
    sgn_value_cache_drop(cache, text(other));
    cr_expect(has(cache, text("k"), text("mine")), "another key's write must not empty the slot");
    sgn_value_cache_put(cache, text(other), text("theirs"));
    cr_expect(misses(cache, text("k")));
    cr_expect(has(cache, text(other), text("theirs")));
    sgn_value_cache_destroy(cache);
}

Test(value_cache, keeps_pinned_bytes)
{
    struct sgn_value_cache *cache = sgn_value_cache_create();
    cr_assert_not_null(cache);
    struct sgn_bytes first;
    struct sgn_bytes again;
    char other[32];
    collide("k", other, sizeof(other));
    sgn_value_cache_put(cache, text("k"), text("old"));
    struct sgn_value_slot *slot = sgn_value_cache_pin(cache, text("k"), &first);
    cr_assert_not_null(slot);
    cr_assert_eq(sgn_value_cache_pin(cache, text("k"), &again), slot);

    sgn_value_cache_put(cache, text(other), text("xxx"));
    cr_expect(misses(cache, text(other)), "a pinned slot takes no other key");
    cr_expect(has(cache, text("k"), text("old")));
    sgn_value_cache_put(cache, text("k"), text("new"));
    cr_expect(misses(cache, text("k")), "the old value must not be found after a write");
    cr_expect(sgn_bytes_equal(first, text("old")), "the bytes handed out must stay");

    sgn_value_cache_unpin(slot);
    sgn_value_cache_put(cache, text("k"), text("new"));
    cr_expect(misses(cache, text("k")), "one of two pins is left");
    cr_expect(sgn_bytes_equal(again, text("old")));
    sgn_value_cache_unpin(slot);
    sgn_value_cache_put(cache, text("k"), text("new"));
    cr_expect(has(cache, text("k"), text("new")));
    sgn_value_cache_destroy(cache);
}
