#include "node/own_witness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring/core/check.h"

void sgn_own_witness_init(struct sgn_own_witness *own,
                          const char *ring,
                          const char *node_listen,
                          uint64_t memory_bytes)
{
    (void)snprintf(own->config.ring, sizeof(own->config.ring), "%s", ring);
    own->node_listen = node_listen;
    own->config.memory_bytes = memory_bytes;
}

bool sgn_own_witness_is(const struct sgn_own_witness *own, uint32_t id)
{
    return own->witness != NULL && own->witness->self.node == id;
}

bool sgn_own_witness_start(struct sgn_own_witness *own,
                           struct event_base *base,
                           const struct sgn_witness_member *listed,
                           uint64_t ring_digest)
{
    const char *port = strrchr(listed->address, ':');
    const char *node_port = strrchr(own->node_listen, ':');
    SGN_ASSERT(node_port != NULL); /* The options take no other. */
    own->config.id = listed->id & ~SGN_WITNESS_BIT;
    (void)snprintf(own->config.listen,
                   sizeof(own->config.listen),
                   "%.*s%s",
                   (int)(node_port - own->node_listen),
                   own->node_listen,
                   port == NULL ? "" : port);
    own->error[0] = '\0';
    if (sgn_witness_driver_create(
            &own->config, base, &own->witness, own->error, sizeof(own->error)) != SGN_OK) {
        return false;
    }
    own->witness->self.ring_digest = ring_digest;
    return true;
}

void sgn_own_witness_stop(struct sgn_own_witness *own)
{
    if (own->witness != NULL) {
        sgn_witness_driver_destroy(own->witness);
        own->witness = NULL;
    }
    for (struct sgn_own_answer *answer = NULL; (answer = sgn_own_witness_take(own)) != NULL;) {
        free(answer);
    }
}

void sgn_own_witness_ask(struct sgn_own_witness *own, uint32_t node, const struct sgn_msg *msg)
{
    struct sgn_msg told;
    sgn_witness_driver_ask(own->witness, node, msg, &told);
    struct sgn_own_answer *answer = malloc(sizeof(*answer) + told.items.count);
    if (answer == NULL) {
        return;
    }
    *answer = (struct sgn_own_answer){.msg = told};
    answer->msg.node = own->witness->self.node;
    answer->msg.items.ptr = answer->bytes;
    if (told.items.count > 0) {
        memcpy(answer->bytes, told.items.ptr, told.items.count);
    }
    *(own->first != NULL ? &own->last->next : &own->first) = answer;
    own->last = answer;
}

struct sgn_own_answer *sgn_own_witness_take(struct sgn_own_witness *own)
{
    struct sgn_own_answer *answer = own->first;
    own->first = answer != NULL ? answer->next : NULL;
    return answer;
}
