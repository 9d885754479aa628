#include "node/own_witness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sgn_own_witness_init(struct sgn_own_witness *own,
                          const char *ring,
                          const char *address,
                          const char *node_listen,
                          uint64_t memory_bytes)
{
    const char *port = strrchr(address, ':');
    const char *node_port = strrchr(node_listen, ':');
    (void)snprintf(own->config.ring, sizeof(own->config.ring), "%s", ring);
    (void)snprintf(own->address, sizeof(own->address), "%s", address);
    if (port != NULL && node_port != NULL) {
        (void)snprintf(own->config.listen,
                       sizeof(own->config.listen),
                       "%.*s%s",
                       (int)(node_port - node_listen),
                       node_listen,
                       port);
    }
    own->config.memory_bytes = memory_bytes;
}

uint32_t sgn_own_witness_listed(const struct sgn_own_witness *own, const struct sgn_map *map)
{
    for (uint32_t i = 0; i < map->witness_count; i++) {
        if (strcmp(map->witnesses[i].address, own->address) == 0) {
            return map->witnesses[i].id;
        }
    }
    return 0;
}

bool sgn_own_witness_is(const struct sgn_own_witness *own, uint32_t id)
{
    return own->witness != NULL && own->witness->self.node == id;
}

enum sgn_err sgn_own_witness_start(struct sgn_own_witness *own,
                                   struct event_base *base,
                                   uint32_t id,
                                   uint64_t ring_digest,
                                   char *error,
                                   size_t error_bytes)
{
    own->config.id = id & ~SGN_WITNESS_BIT;
    enum sgn_err err =
        sgn_witness_driver_create(&own->config, base, &own->witness, error, error_bytes);
    if (err == SGN_OK) {
        own->witness->self.ring_digest = ring_digest;
    }
    return err;
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
