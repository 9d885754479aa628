#include "ring/net/peers.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "ring/core/check.h"
#include "ring/core/map.h" /* SGN_WITNESS_BIT */
#include "ring/core/prng.h"

#define SLOTS (2u * SGN_NODES_MAX) /* A power of two, at most half full. */
_Static_assert((SLOTS & (SLOTS - 1)) == 0, "slots are found by a mask");

struct peer {
    struct sgn_peers *peers;
    uint32_t node;
    struct sgn_address address;
    struct sgn_conn *conn; /* NULL while it waits to dial. */
    bool up;
    bool owes_down; /* It was up and was moved; the owner is told from the loop. */
    uint32_t retry_ms;
    struct event timer;
    struct sgn_why why;
};

struct sgn_peers {
    struct sgn_wire *wire;
    struct sgn_hello self;
    const struct sgn_peers_events *events;
    void *user;
    struct sgn_prng prng;
    uint32_t count;
    struct peer *slots[SLOTS]; /* Open addressing, linear; see remove. */
};

static uint32_t slot_of(const struct sgn_peers *peers, uint32_t node)
{
    uint32_t slot = (uint32_t)sgn_mix64(node) & (SLOTS - 1);
    while (peers->slots[slot] != NULL && peers->slots[slot]->node != node) {
        slot = (slot + 1) & (SLOTS - 1);
    }
    return slot;
}

static struct peer *peer_of(const struct sgn_peers *peers, uint32_t node)
{
    return peers->slots[slot_of(peers, node)];
}

static void arm(struct peer *peer, uint32_t delay_ms)
{
    struct timeval delay = {.tv_sec = (time_t)(delay_ms / 1000),
                            .tv_usec = (suseconds_t)(delay_ms % 1000) * 1000};
    /* A timer in a heap that cannot grow: the process has no memory for anything then. */
    int failed = event_add(&peer->timer, &delay);
    SGN_ASSERT(failed == 0);
}

static void retry_later(struct peer *peer)
{
    uint32_t half = peer->retry_ms / 2;
    arm(peer, half + (uint32_t)sgn_prng_below(&peer->peers->prng, half + 1));
    uint32_t twice = peer->retry_ms * 2;
    peer->retry_ms = twice < SGN_PEERS_RETRY_MS_MAX ? twice : SGN_PEERS_RETRY_MS_MAX;
}

/* The last thing a caller does with the peer: the owner may remove it in `down`. */
static void lost(struct peer *peer, enum sgn_err err, const char *why)
{
    struct sgn_peers *peers = peer->peers;
    bool was_up = peer->up;
    peer->conn = NULL;
    peer->up = false;
    sgn_why_set(&peer->why, "%s", why);
    retry_later(peer);
    if (was_up) {
        peers->events->down(peer->node, err, why, peers->user);
    }
}

static void on_up(struct sgn_conn *conn, void *user)
{
    struct peer *peer = user;
    struct sgn_msg hello;
    sgn_hello_encode(&peer->peers->self, &hello);
    enum sgn_err err = sgn_conn_send(conn, &hello);
    if (err != SGN_OK) {
        sgn_conn_close(conn);
        lost(peer, err, sgn_err_text(err));
    }
}

/* How people name the other side. */
static const char *kind_of(uint32_t node)
{
    return (node & SGN_WITNESS_BIT) != 0 ? "witness" : "node";
}

static uint32_t number_of(uint32_t node)
{
    return node & ~SGN_WITNESS_BIT;
}

static void on_hello(struct sgn_conn *conn, const struct sgn_msg *msg, struct peer *peer)
{
    struct sgn_peers *peers = peer->peers;
    struct sgn_hello other = {0};
    struct sgn_why why;
    enum sgn_err err;
    if (msg->type == SGN_MSG_RESULT) {
        err = msg->err < 0 ? (enum sgn_err)msg->err : SGN_ERR_PROTOCOL;
        sgn_why_set(&why,
                    "%s %u at %s refused: %.*s",
                    kind_of(peer->node),
                    number_of(peer->node),
                    sgn_conn_peer_text(conn),
                    (int)msg->text.count,
                    msg->text.count > 0 ? (const char *)msg->text.ptr : "");
    } else {
        err = sgn_hello_check(&peers->self, msg, &other, &why);
    }
    if (err == SGN_OK && other.node != peer->node) {
        err = SGN_ERR_CONFIG;
        sgn_why_set(&why,
                    "at %s is %s %u, not %s %u",
                    sgn_conn_peer_text(conn),
                    kind_of(other.node),
                    number_of(other.node),
                    kind_of(peer->node),
                    number_of(peer->node));
    }
    if (err != SGN_OK) {
        sgn_conn_close(conn);
        lost(peer, err, why.text);
        return;
    }
    sgn_conn_take_types(conn, sgn_types_answers());
    peer->up = true;
    peer->retry_ms = SGN_PEERS_RETRY_MS;
    peer->why.text[0] = '\0';
    peers->events->up(peer->node, &other, peers->user);
}

static void on_message(struct sgn_conn *conn, const struct sgn_msg *msg, void *user)
{
    struct peer *peer = user;
    if (peer->up) {
        peer->peers->events->message(peer->node, msg, peer->peers->user);
    } else {
        on_hello(conn, msg, peer);
    }
}

static void on_closed(struct sgn_conn *conn, enum sgn_err err, const char *why, void *user)
{
    (void)conn;
    lost(user, err, why);
}

static const struct sgn_conn_events CONN_EVENTS = {
    .up = on_up,
    .message = on_message,
    .closed = on_closed,
};

static void dial(struct peer *peer)
{
    SGN_ASSERT(peer->conn == NULL && !peer->up);
    struct sgn_conn_options options = {
        .events = &CONN_EVENTS,
        .user = peer,
        .handshake_ms = SGN_PEERS_CONNECT_MS,
        .unacked_ms = SGN_PEERS_UNACKED_MS,
    };
    enum sgn_err err = sgn_conn_dial(peer->peers->wire, &peer->address, &options, &peer->conn);
    if (err != SGN_OK) {
        lost(peer, err, sgn_err_text(err));
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct peer *peer = arg;
    if (!peer->owes_down) {
        dial(peer);
        return;
    }
    struct sgn_peers *peers = peer->peers;
    peer->owes_down = false;
    arm(peer, 0); /* Dials next; after the callback the peer may be gone. */
    peers->events->down(
        peer->node, SGN_ERR_NETWORK, "the node has moved to another address", peers->user);
}

struct sgn_peers *sgn_peers_create(struct sgn_wire *wire,
                                   const struct sgn_hello *self,
                                   const struct sgn_peers_events *events,
                                   void *user,
                                   uint64_t seed)
{
    struct sgn_peers *peers = calloc(1, sizeof(*peers));
    if (peers != NULL) {
        peers->wire = wire;
        peers->self = *self;
        peers->events = events;
        peers->user = user;
        peers->prng.state = seed;
    }
    return peers;
}

static void peer_free(struct peer *peer)
{
    (void)event_del(&peer->timer);
    if (peer->conn != NULL) {
        sgn_conn_close(peer->conn);
    }
    free(peer);
}

void sgn_peers_destroy(struct sgn_peers *peers)
{
    if (peers == NULL) {
        return;
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (peers->slots[i] != NULL) {
            peer_free(peers->slots[i]);
        }
    }
    free(peers);
}

static void move(struct peer *peer, const struct sgn_address *address)
{
    if (peer->conn != NULL) {
        sgn_conn_close(peer->conn);
        peer->conn = NULL;
    }
    peer->owes_down = peer->owes_down || peer->up;
    peer->up = false;
    peer->address = *address;
    peer->retry_ms = SGN_PEERS_RETRY_MS;
    arm(peer, 0);
}

enum sgn_err sgn_peers_add(struct sgn_peers *peers,
                           uint32_t node,
                           const struct sgn_address *address)
{
    uint32_t slot = slot_of(peers, node);
    struct peer *peer = peers->slots[slot];
    if (peer != NULL) {
        if (peer->address.count != address->count ||
            memcmp(&peer->address.at, &address->at, address->count) != 0) {
            move(peer, address);
        }
        return SGN_OK;
    }
    if (node == 0 || node == peers->self.node || peers->count >= SGN_NODES_MAX) {
        return SGN_ERR_INVALID;
    }
    peer = calloc(1, sizeof(*peer));
    if (peer == NULL) {
        return SGN_ERR_NOMEM;
    }
    peer->peers = peers;
    peer->node = node;
    peer->address = *address;
    peer->retry_ms = SGN_PEERS_RETRY_MS;
    if (event_assign(&peer->timer, sgn_wire_base(peers->wire), -1, 0, on_timer, peer) != 0) {
        free(peer);
        return SGN_ERR_NOMEM;
    }
    peers->slots[slot] = peer;
    peers->count++;
    arm(peer, 0);
    return SGN_OK;
}

void sgn_peers_remove(struct sgn_peers *peers, uint32_t node)
{
    uint32_t slot = slot_of(peers, node);
    if (peers->slots[slot] == NULL) {
        return;
    }
    peer_free(peers->slots[slot]);
    peers->slots[slot] = NULL;
    peers->count--;
    /* Those behind it may have been pushed on by it: each is put where a search would now look. */
    for (uint32_t next = (slot + 1) & (SLOTS - 1); peers->slots[next] != NULL;
         next = (next + 1) & (SLOTS - 1)) {
        struct peer *moved = peers->slots[next];
        peers->slots[next] = NULL;
        peers->slots[slot_of(peers, moved->node)] = moved;
    }
}

enum sgn_err sgn_peers_send(struct sgn_peers *peers, uint32_t node, const struct sgn_msg *msg)
{
    struct peer *peer = peer_of(peers, node);
    return peer == NULL || !peer->up ? SGN_ERR_NETWORK : sgn_conn_send(peer->conn, msg);
}

bool sgn_peers_is_up(const struct sgn_peers *peers, uint32_t node)
{
    const struct peer *peer = peer_of(peers, node);
    return peer != NULL && peer->up;
}

const char *sgn_peers_why(const struct sgn_peers *peers, uint32_t node)
{
    const struct peer *peer = peer_of(peers, node);
    return peer == NULL ? "" : peer->why.text;
}
