/* node/own_witness.h - the witness that a node may carry in its own process.
 *
 * The map says which node carries which (struct sgn_witness_member, host), so there is never more
 * than one life of it: a node has one process, and is told by its disk (protocol.md 2). To the ring
 * it is a witness as any other, with an incarnation that ends with this process. Only the way to it
 * is short for this node: a request is a call, and its answer is kept until the engine can be
 * entered again, so a strong read that this node coordinates sends one message less.
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
    const char *node_listen;             /* Of the node's options. */
    struct sgn_witness_driver *witness;  /* NULL: the map lists none here, or it cannot start. */
    struct sgn_own_answer *first, *last; /* What the step under way asked, and those after it. */
    char error[512];                     /* Why it cannot start; "" otherwise. */
};

/* `ring` and `node_listen` must outlive it. */
void sgn_own_witness_init(struct sgn_own_witness *own,
                          const char *ring,
                          const char *node_listen,
                          uint64_t memory_bytes);
/* Whether it runs, under this number on the wire. */
bool sgn_own_witness_is(const struct sgn_own_witness *own, uint32_t id);
/* With an empty memory and a new incarnation, at the port of the listed address and the host where
 * the node listens: as with the node's own address, the one that others dial need not be one of
 * this machine. false: `error` holds one sentence. */
bool sgn_own_witness_start(struct sgn_own_witness *own,
                           struct event_base *base,
                           const struct sgn_witness_member *listed,
                           uint64_t ring_digest);
void sgn_own_witness_stop(struct sgn_own_witness *own);
/* Without memory for the answer it is lost, as a message may be. */
void sgn_own_witness_ask(struct sgn_own_witness *own, uint32_t node, const struct sgn_msg *msg);
/* The next answer, to be freed; NULL: none. */
struct sgn_own_answer *sgn_own_witness_take(struct sgn_own_witness *own);

#endif
