/* The ordered buckets of the made-up nodes (any but `default`; tests speak of `strict`) and their
 * map. One record per key, for all buckets and nodes together, changed by the ring's own decide
 * step: what a quorum would agree on, without one. */
#ifndef SGN_TESTS_FAKE_ORDERED_H
#define SGN_TESTS_FAKE_ORDERED_H

#include <pthread.h>
#include <stdatomic.h>

#include "ring/core/msg.h"

#define FAKE_BUCKET    "strict"
#define FAKE_SEEN_MAX  64u
#define FAKE_SPENT_KEY "spent" /* Its ops_floor is beyond every stamp: UNKNOWN to any change. */

/* Every put, del and resolve that reached a node, in order. */
struct fake_seen {
    uint32_t node, type, flags;
    struct sgn_request_id id;
    uint64_t stamp;
};
extern pthread_mutex_t fake_seen_mutex;
extern uint32_t fake_seen_count; /* Of them the first FAKE_SEEN_MAX are kept. */
extern struct fake_seen fake_seen[FAKE_SEEN_MAX];
void fake_seen_clear(void);

extern atomic_uint fake_read_mode;  /* Of the last get or list. */
extern atomic_uint fake_map_change; /* a of the last MAP_CHANGE. */
extern atomic_ullong fake_map_what; /* b of it. */
extern atomic_uint fake_witnesses;  /* Members of the fleet in the map. */

/* Whether the message is for this file; then the answer is filled in (its bytes last until the next
 * call). Fake thread only. */
bool fake_ordered_work(uint32_t node, const struct sgn_msg *msg, struct sgn_msg *answer);

#endif
