/* ring/net/listener.h - accepts sockets; whoever made it turns them into connections, on any loop.
 * Threads: the thread of the base. */
#ifndef SGN_NET_LISTENER_H
#define SGN_NET_LISTENER_H

#include <stdint.h>

#include "ring/core/err.h"
#include "ring/net/address.h"
#include "ring/net/why.h"

struct event_base;
struct sgn_listener;

/* Owns the non-blocking socket from then on: sgn_conn_adopt(), or close it. */
typedef void sgn_accept_fn(int fd, const struct sgn_address *from, void *user);

/* SGN_ERR_IN_USE, SGN_ERR_CONFIG (an address that is not of this machine, a port that needs
 * rights), SGN_ERR_NETWORK, SGN_ERR_NOMEM, each with a sentence that names the address. */
enum sgn_err sgn_listener_create(struct event_base *base,
                                 const struct sgn_address *address,
                                 sgn_accept_fn *accepted,
                                 void *user,
                                 struct sgn_listener **listener,
                                 struct sgn_why *why);
void sgn_listener_destroy(struct sgn_listener *listener);

/* Where it really listens: the port given when 0 was asked for. */
const struct sgn_address *sgn_listener_address(const struct sgn_listener *listener);

#endif
