/* Peers on real loopback sockets: both nodes and their owner in one process, on one loop. */
#include <criterion/criterion.h>

#include "ring/net/peers.h"
#include "tests/lib/net_node.h"

struct owner {
    struct sgn_peers *peers;
    uint32_t up, down, answers, last_node;
};

static void peer_up(uint32_t id, const struct sgn_hello *other, void *user)
{
    struct owner *owner = user;
    cr_assert_eq(other->node, id);
    owner->up++;
    struct sgn_msg get = {.type = SGN_MSG_REPL_PUT,
                          .request = 5,
                          .bucket = sgn_bytes_str("b"),
                          .key = sgn_bytes_str("k")};
    cr_assert_eq(sgn_peers_send(owner->peers, id, &get), SGN_OK);
}

static void peer_down(uint32_t id, enum sgn_err err, const char *why, void *user)
{
    struct owner *owner = user;
    cr_assert(err != SGN_OK && why[0] != '\0');
    cr_assert(!sgn_peers_is_up(owner->peers, id));
    owner->down++;
}

static void peer_message(uint32_t id, const struct sgn_msg *msg, void *user)
{
    struct owner *owner = user;
    cr_assert(msg->type == SGN_MSG_RESULT && msg->request == 5);
    owner->answers++;
    owner->last_node = id;
}

static const struct sgn_peers_events PEER_EVENTS = {peer_up, peer_down, peer_message};

Test(peers, reconnect_and_refusals, .timeout = 60)
{
    struct node two = {.answer_bytes = 8};
    node_start(&two, 2);
    struct node three = {.answer_bytes = 8, .base = two.base};
    node_start(&three, 3);
    three.self.ring_digest = 78;
    struct owner owner = {0};
    struct sgn_hello self = {.ring = "test", .ring_digest = 77, .node = 1, .incarnation = 4};
    struct sgn_wire *wire = sgn_wire_create(two.base);
    owner.peers = sgn_peers_create(wire, &self, &PEER_EVENTS, &owner, 9);
    struct sgn_address at_two = *sgn_listener_address(two.listener);
    struct sgn_address at_three = *sgn_listener_address(three.listener);
    cr_assert_eq(sgn_peers_add(owner.peers, 0, &at_two), SGN_ERR_INVALID);
    cr_assert_eq(sgn_peers_add(owner.peers, 1, &at_two), SGN_ERR_INVALID);
    cr_assert_eq(sgn_peers_add(owner.peers, 2, &at_two), SGN_OK);
    cr_assert_eq(sgn_peers_add(owner.peers, 3, &at_three),
                 SGN_OK);                                         /* Another ring's description. */
    cr_assert_eq(sgn_peers_add(owner.peers, 4, &at_two), SGN_OK); /* Node 2 is not node 4. */
    struct sgn_msg heartbeat = {.type = SGN_MSG_HEARTBEAT};
    cr_assert_eq(sgn_peers_send(owner.peers, 2, &heartbeat), SGN_ERR_NETWORK);
    TURN_UNTIL(two.base,
               owner.answers == 1 && sgn_peers_why(owner.peers, 3)[0] != '\0' &&
                   sgn_peers_why(owner.peers, 4)[0] != '\0');
    cr_assert(owner.up == 1 && owner.down == 0 && owner.last_node == 2);
    cr_assert(sgn_peers_is_up(owner.peers, 2) && !sgn_peers_is_up(owner.peers, 3));
    cr_assert(strstr(sgn_peers_why(owner.peers, 3), "describes ring") != NULL,
              "%s",
              sgn_peers_why(owner.peers, 3));
    cr_assert(strstr(sgn_peers_why(owner.peers, 4), "is node 2, not node 4") != NULL,
              "%s",
              sgn_peers_why(owner.peers, 4));

    sgn_peers_remove(owner.peers, 4);
    three.self.ring_digest = 77; /* It comes right by itself. */
    TURN_UNTIL(two.base, owner.up == 2 && owner.answers == 2);

    sgn_listener_destroy(two.listener); /* Down for a while, then back at the same address. */
    sgn_peers_remove(owner.peers, 3);
    TURN_UNTIL(two.base, three.closed >= 1);
    cr_assert(sgn_peers_is_up(owner.peers, 2));
    sgn_wire_destroy(two.wire);
    two.wire = sgn_wire_create(two.base);
    TURN_UNTIL(two.base, owner.down == 1);
    TURN_UNTIL(two.base, strstr(sgn_peers_why(owner.peers, 2), "refused") != NULL);
    char text[SGN_ADDRESS_TEXT_BYTES];
    sgn_address_format(&at_two, text);
    node_listen(&two, text);
    TURN_UNTIL(two.base, owner.up == 3 && owner.answers == 3);
    cr_assert_str_eq(sgn_peers_why(owner.peers, 2), "");

    cr_assert_eq(sgn_peers_add(owner.peers, 2, &at_three), SGN_OK); /* Moved, to where it is not. */
    cr_assert(!sgn_peers_is_up(owner.peers, 2) && owner.down == 1);
    TURN_UNTIL(two.base, owner.down == 2);
    TURN_UNTIL(two.base, strstr(sgn_peers_why(owner.peers, 2), "is node 3") != NULL);
    sgn_peers_destroy(owner.peers);
    sgn_listener_destroy(three.listener);
    sgn_wire_destroy(three.wire);
    sgn_wire_destroy(wire);
    node_stop(&two);
}
