/* tests/unit/engine_ask.h - what the tests of the engine ask a ring of small nodes. Each function
 * acts on `ring` and fails the test by itself where it cannot do its part. One ring per process. */
#ifndef SGN_TEST_ENGINE_ASK_H
#define SGN_TEST_ENGINE_ASK_H

#include "ring/core/record.h"
#include "tests/lib/mini_ring.h"

extern struct mini_ring ring;

#define BUCKET "any" /* Available, as many copies as the ring keeps. */

/* A new ring with that bucket, idle. */
void available_ring(uint32_t nodes, uint32_t replicas, uint32_t partitions);

/* A request with an id of its own; the texts are borrowed. */
struct sgn_msg msg_of(enum sgn_msg_type type,
                      const char *bucket,
                      const char *key,
                      const char *value);
/* A change of the map; the address is borrowed, and "" where none is needed. */
struct sgn_msg change_of(enum sgn_map_change what, uint64_t b, const char *address);
/* Has the node take the request and runs the ring until it is answered. The answer's error. */
int ask(uint32_t node, struct sgn_msg msg);
int put(uint32_t node, const char *key, const char *value);
int get(uint32_t node, const char *key, uint32_t r);
/* The record in the last answer. Valid until the next one. */
struct sgn_record reply_record(void);
/* Whether a get shows this value and no other. */
bool reads(uint32_t node, const char *key, uint32_t r, const char *value);
/* The id of the key's home of that rank, 0 the first. */
uint32_t home_of(const char *key, uint32_t rank);
/* What the node's store has of the key, NULL when nothing. */
struct mini_entry *data_of(uint32_t node, const char *key);
struct sgn_engine_counts counts_of(uint32_t node);
bool trees_equal(void);
/* Every operation on every node comes to its end. */
void assert_idle(void);

#endif
