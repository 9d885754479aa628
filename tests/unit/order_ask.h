/* tests/unit/order_ask.h - engine_ask.h for the ordered bucket `ord`, which order_ring makes. */
#ifndef SGN_TEST_ORDER_ASK_H
#define SGN_TEST_ORDER_ASK_H

#include "tests/unit/engine_ask.h"

/* A ring with the bucket, known to all. */
void order_ring(uint32_t nodes, uint32_t replicas);
/* Starts every node again, to drop tombstones of that age (3.7). */
void order_drop_after(uint32_t ms);
/* Three witnesses, active. */
void order_fleet(void);
/* The same, listed as inside nodes 1 to 3. */
void order_hosted_fleet(void);
/* Id of a witness of the fleet, as node 1 lists it. */
uint32_t order_witness(uint32_t index);
struct sgn_msg order_msg(uint32_t node, enum sgn_msg_type type, const char *key, const char *value);
int order_put(uint32_t node, const char *key, const char *value);
int order_del(uint32_t node, const char *key);
/* Whether a get in that mode shows this value; NULL: that there is none. */
bool order_reads(uint32_t node, const char *key, enum sgn_read_mode mode, const char *value);
/* The whole list in pages of `limit`; a row is "key=bytes ". Fails the test on an error. */
const char *order_list(uint32_t node, const char *prefix, enum sgn_read_mode mode, uint32_t limit);
/* Hands a request over and lets no time pass; true if it was answered. */
bool order_at_once(uint32_t node, struct sgn_msg msg);
/* A write that the node began and nobody finished: accepted by the others, and whether it was
 * exposed nobody knows. The node is down then. */
void order_leave_pending(uint32_t node, const char *key, const char *value);
/* State of a node's seats as one node has it: true if all of them are so. */
bool order_seats(uint32_t as_told_by, uint32_t node, int state);

#endif
