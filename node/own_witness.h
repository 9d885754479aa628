/* node/own_witness.h - the witness that a node may carry in its own process.
 *
 * To the ring it is a witness as any other, listed in the map by its address, with an
 * incarnation that ends with this process. Only the way to it is short for this node: a request is
 * a call and its answer is kept until the engine can be entered again, so a strong read that this
 * node coordinates sends one message less.
 * Owns:    the witness and the answers not taken.
 * Threads: the loop's. */
#ifndef SGN_NODE_OWN_WITNESS_H
#define SGN_NODE_OWN_WITNESS_H

#include "ring/core/map.h"
#include "ring/core/msg.h"
#include "witness/driver.h"

struct sgn_own_answer {
    struct sgn_own_answer *next;
    struct sgn_msg msg; /* Its items are in `bytes`. */
    uint8_t bytes[];
};

struct sgn_own_witness {
    struct sgn_witness_config config;
    char address[SGN_ADDRESS_BYTES_MAX + 1]; /* By which the map lists it. */
    struct sgn_witness_driver *witness;      /* NULL: the map lists none at our address. */
    struct sgn_own_answer *first, *last; /* As many as the engine asked in one event, at most. */
    bool failure_told;
};

#define SGN_OWN_WITNESS_ERROR_BYTES 512u

/* `address` "": never listed. It listens on the host of `node_listen`, for as with the node's own
 * address the one that others dial need not be one of this machine. */
void sgn_own_witness_init(struct sgn_own_witness *own,
                          const char *ring,
                          const char *address,
                          const char *node_listen,
                          uint64_t memory_bytes);
/* Its number on the wire in this map; 0: it is not in it. */
uint32_t sgn_own_witness_listed(const struct sgn_own_witness *own, const struct sgn_map *map);
/* Whether it runs, under this number on the wire. */
bool sgn_own_witness_is(const struct sgn_own_witness *own, uint32_t id);
/* With an empty memory and a new incarnation. SGN_OK, or one sentence in `error`. */
enum sgn_err sgn_own_witness_start(struct sgn_own_witness *own,
                                   struct event_base *base,
                                   uint32_t id,
                                   uint64_t ring_digest,
                                   char *error,
                                   size_t error_bytes);
void sgn_own_witness_stop(struct sgn_own_witness *own);
/* Without memory for the answer it is lost, as a message may be. */
void sgn_own_witness_ask(struct sgn_own_witness *own, uint32_t node, const struct sgn_msg *msg);
/* The next answer, to be freed; NULL: none. */
struct sgn_own_answer *sgn_own_witness_take(struct sgn_own_witness *own);

#endif
