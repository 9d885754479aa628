/* ring/net/peers.h - one outgoing connection to every other node, kept up.
 *
 * Direction rule: every node dials every other. What a node wants from another (requests, forwarded
 * requests, one-way messages) goes by the connection it dialled; answers come back on that same
 * connection. So two nodes have two connections, each with one asker, and nothing is elected.
 *
 * A connection that fails is dialled again after SGN_PEERS_RETRY_MS, doubling up to
 * SGN_PEERS_RETRY_MS_MAX, each time a random half to whole of it, so that a restarted node is
 * not met by all at once. Threads: the wire's. */
#ifndef SGN_NET_PEERS_H
#define SGN_NET_PEERS_H

#include <stdint.h>

#include "ring/core/err.h"
#include "ring/core/msg.h"
#include "ring/net/conn.h"
#include "ring/net/hello.h"

struct sgn_peers;

#define SGN_PEERS_RETRY_MS     50u
#define SGN_PEERS_RETRY_MS_MAX 500u /* A witness that is back serves reads within 2 s. */
#define SGN_PEERS_CONNECT_MS   3000u
#define SGN_PEERS_UNACKED_MS   5000u /* A peer that vanished without a word is noticed by then. */

struct sgn_peers_events {
    /* HELLO agreed. */
    void (*up)(uint32_t node, const struct sgn_hello *other, void *user);
    /* Only after up. Nothing sent to the node and not yet answered will be. */
    void (*down)(uint32_t node, enum sgn_err err, const char *why, void *user);
    /* An answer: nothing else comes on a dialled connection. Bytes valid until it returns. */
    void (*message)(uint32_t node, const struct sgn_msg *msg, void *user);
};

/* self is copied; events must stay. `seed` feeds the jitter. NULL if out of memory. */
struct sgn_peers *sgn_peers_create(struct sgn_wire *wire,
                                   const struct sgn_hello *self,
                                   const struct sgn_peers_events *events,
                                   void *user,
                                   uint64_t seed);
/* Closes all; no callback. Not from inside a callback. */
void sgn_peers_destroy(struct sgn_peers *peers);

/* Begins to dial; callbacks come from the loop only. Adding a node again with another address moves
 * it there (with a `down` from the loop if it was up). SGN_ERR_NOMEM; SGN_ERR_INVALID for node 0,
 * oneself, or more than SGN_NODES_MAX. */
enum sgn_err sgn_peers_add(struct sgn_peers *peers,
                           uint32_t node,
                           const struct sgn_address *address);
/* Closes and forgets, without a callback. */
void sgn_peers_remove(struct sgn_peers *peers, uint32_t node);

/* As sgn_conn_send; SGN_ERR_NETWORK while the peer is not up. */
enum sgn_err sgn_peers_send(struct sgn_peers *peers, uint32_t node, const struct sgn_msg *msg);

bool sgn_peers_is_up(const struct sgn_peers *peers, uint32_t node);
/* Why the last attempt failed, "" if none has or the node is up or unknown. Valid until the loop
 * runs. */
const char *sgn_peers_why(const struct sgn_peers *peers, uint32_t node);

#endif
