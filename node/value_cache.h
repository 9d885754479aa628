/* node/value_cache.h - small values of the data family that were read or written lately.
 *
 * A memory table of the database is a skip list: every read walks a dozen far-apart nodes of it. A
 * hot key is found here with one look. One slot per hash value, no chains: what collides is read
 * from the database again.
 *
 * What keeps it true: the owner puts every committed write in, or drops the key, before the write
 * is
 *          reported, and in the order of the commits; so a slot is never older than what was
 *          reported.
 * Pins:    bytes handed out stay as they are until unpinned. A slot that is pinned is not written;
 *          a write of its key empties it instead.
 * Memory:  SGN_VALUE_CACHE_SLOTS * SGN_VALUE_CACHE_SLOT_BYTES, touched as it fills.
 * Threads: one. */
#ifndef SGN_NODE_VALUE_CACHE_H
#define SGN_NODE_VALUE_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "ring/core/bytes.h"

#define SGN_VALUE_CACHE_SLOTS      32768u /* A power of two. */
#define SGN_VALUE_CACHE_SLOT_BYTES 512u

struct sgn_value_cache;
struct sgn_value_slot;

/* NULL: out of memory. */
struct sgn_value_cache *sgn_value_cache_create(void);
void sgn_value_cache_destroy(struct sgn_value_cache *cache);

/* The value, pinned, or NULL. */
struct sgn_value_slot *sgn_value_cache_pin(struct sgn_value_cache *cache,
                                           struct sgn_bytes key,
                                           struct sgn_bytes *value);
void sgn_value_cache_unpin(struct sgn_value_slot *slot);

/* From now on the key has this value. Kept if it fits and the slot is not pinned. */
void sgn_value_cache_put(struct sgn_value_cache *cache,
                         struct sgn_bytes key,
                         struct sgn_bytes value);
/* From now on nothing is known of the key. */
void sgn_value_cache_drop(struct sgn_value_cache *cache, struct sgn_bytes key);

#endif
