/* ring/net/hello.h - the first frame each way: who are you, of which ring, which version.
 *
 * The dialling side sends HELLO when the socket stands and may send requests right behind it; the
 * accepting side checks it and answers with its own HELLO, or with RESULT and a sentence, and
 * closes. */
#ifndef SGN_NET_HELLO_H
#define SGN_NET_HELLO_H

#include <stdint.h>

#include "ring/core/err.h"
#include "ring/core/msg.h"
#include "ring/net/conn.h"

struct sgn_hello {
    char ring[SGN_BUCKET_BYTES_MAX + 1]; /* Name; "": a client that does not know it yet. */
    uint64_t ring_digest;                /* 0: not known. */
    uint32_t node;                       /* 0: a client. */
    uint32_t incarnation;                /* 0: a client. */
};

/* Fills msg; its bytes point into self. */
void sgn_hello_encode(const struct sgn_hello *self, struct sgn_msg *msg);

/* Reads a HELLO and checks it against who we are: SGN_ERR_PROTOCOL (not a HELLO), SGN_ERR_VERSION,
 * SGN_ERR_WRONG_RING (another name; or, node to node, another digest). "" and 0 match
 * everything. */
enum sgn_err sgn_hello_check(const struct sgn_hello *self,
                             const struct sgn_msg *msg,
                             struct sgn_hello *other,
                             struct sgn_why *why);

/* The accepting side, for its first message: checks it, answers, opens the connection to requests
 * (from a client) or to everything a peer sends (from a node), and fills `other`. On an error the
 * refusal was sent and the connection is gone: forget the pointer. */
enum sgn_err sgn_hello_accept(struct sgn_conn *conn,
                              const struct sgn_hello *self,
                              const struct sgn_msg *msg,
                              struct sgn_hello *other,
                              struct sgn_why *why);

#endif
