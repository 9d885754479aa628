/* client/pool.c - nodes, and the few connections kept to each. */
#include <stdio.h>
#include <stdlib.h>

#include "client/inner.h"
#include "ring/core/check.h"

#define SLOT_BITS            12u
#define NO_SLOT              UINT32_MAX
#define REDIAL_MS            50u
#define REDIAL_MS_MAX        1000u
#define REDIAL_WANTED_MS_MAX 100u /* While somebody waits for the node. */
#define SUSPECT_MS           2000u
#define SILENT_MAX           3u /* Attempts given up in a row: the connection is dead. */
#define BUSY_LINK            8u /* In flight on every link before one more is dialled. */
#define MS_NS                UINT64_C(1000000)

_Static_assert(SGN_SLOTS_MAX == 1u << SLOT_BITS, "a message number holds slot and generation");

static void link_up(struct sgn_conn *conn, void *user);
static void link_message(struct sgn_conn *conn, const struct sgn_msg *msg, void *user);
static void link_closed(struct sgn_conn *conn, enum sgn_err err, const char *why, void *user);

static const struct sgn_conn_events link_events = {
    .up = link_up, .message = link_message, .closed = link_closed};

struct sgn_node *sgn_pool_node(struct sgn_client *client, const char *address)
{
    for (uint32_t i = 0; i < client->node_count; i++) {
        if (strcmp(client->nodes[i]->address_text, address) == 0) {
            return client->nodes[i];
        }
    }
    if (client->node_count == client->node_cap) {
        uint32_t cap = client->node_cap == 0 ? 16 : client->node_cap * 2;
        struct sgn_node **nodes = realloc(client->nodes, cap * sizeof(struct sgn_node *));
        if (nodes == NULL) {
            return NULL;
        }
        client->nodes = nodes;
        client->node_cap = cap;
    }
    struct sgn_node *node = calloc(1, sizeof(*node));
    if (node == NULL || sgn_address_parse(address, &node->address, NULL) != SGN_OK) {
        free(node);
        return NULL;
    }
    snprintf(node->address_text, sizeof(node->address_text), "%s", address);
    client->nodes[client->node_count++] = node;
    return node;
}

bool sgn_pool_is_open(const struct sgn_node *node)
{
    for (uint32_t i = 0; i < node->link_count; i++) {
        if (node->links[i]->state == SGN_LINK_UP) {
            return true;
        }
    }
    return false;
}

void sgn_pool_want(struct sgn_client *client, struct sgn_node *node)
{
    if (sgn_pool_is_open(node) || sgn_pool_is_dialling(node)) {
        return;
    }
    if (node->redial_ns == 0) {
        sgn_pool_dial(client, node);
        return;
    }
    uint64_t soon_ns = sgn_now_ns() + REDIAL_WANTED_MS_MAX * MS_NS;
    if (node->redial_ns > soon_ns) {
        node->redial_ns = soon_ns;
        sgn_loop_arm(client, soon_ns);
    }
}

bool sgn_pool_is_dialling(const struct sgn_node *node)
{
    for (uint32_t i = 0; i < node->link_count; i++) {
        if (node->links[i]->state == SGN_LINK_DIALLING) {
            return true;
        }
    }
    return false;
}

/* Takes the link out of its node; its requests are told afterwards, when it can no longer be
 * chosen. */
static void link_remove(struct sgn_link *link)
{
    struct sgn_node *node = link->node;
    for (uint32_t i = 0; i < node->link_count; i++) {
        if (node->links[i] == link) {
            node->links[i] = node->links[--node->link_count];
            break;
        }
    }
    if (link->state == SGN_LINK_UP) {
        atomic_fetch_sub(&link->client->count_connections, 1);
    }
    sgn_mirror_forget(link->client->mirror);
}

static void dial_failed(struct sgn_client *client, struct sgn_node *node)
{
    node->fails++;
    uint32_t doublings = node->fails < 6 ? node->fails - 1 : 5;
    uint64_t wait_ms = (uint64_t)REDIAL_MS << doublings;
    wait_ms = wait_ms > REDIAL_MS_MAX ? REDIAL_MS_MAX : wait_ms;
    if (client->wait_head != NULL && wait_ms > REDIAL_WANTED_MS_MAX) {
        wait_ms = REDIAL_WANTED_MS_MAX;
    }
    wait_ms = wait_ms / 2 + sgn_prng_below(&client->prng, wait_ms / 2 + 1);
    node->redial_ns = sgn_now_ns() + wait_ms * MS_NS;
    sgn_loop_arm(client, node->redial_ns);
    sgn_attempt_dial_failed(client, node);
}

/* Ends a link that stood or was to stand. The connection itself is already gone. */
static void link_lost(struct sgn_link *link, int err, const char *why)
{
    struct sgn_client *client = link->client;
    struct sgn_node *node = link->node;
    bool was_up = link->state == SGN_LINK_UP;
    link_remove(link);
    node->why_err = err;
    snprintf(node->why, sizeof(node->why), "%s", why);
    sgn_client_say(client, 1, "node %u at %s: %s", node->id, node->address_text, why);
    for (uint32_t i = 0; i < link->slot_count; i++) {
        struct sgn_request *request = link->slots[i].request;
        if (request != NULL) {
            link->slots[i].request = NULL;
            sgn_attempt_broken(request, link->slots[i].attempt, SGN_ERR_NETWORK, why);
        }
    }
    free(link);
    if (was_up) {
        node->redial_ns = sgn_now_ns() + REDIAL_MS * MS_NS;
        sgn_loop_arm(client, node->redial_ns);
    } else if (!sgn_pool_is_open(node)) {
        dial_failed(client, node);
    }
}

void sgn_pool_dial(struct sgn_client *client, struct sgn_node *node)
{
    uint32_t slots = client->settings.inflight_per_connection;
    node->redial_ns = 0;
    atomic_fetch_add(&client->count_connects, 1);
    struct sgn_link *link = calloc(1, sizeof(*link) + slots * sizeof(struct sgn_slot));
    enum sgn_err err = SGN_ERR_NOMEM;
    if (link != NULL) {
        link->client = client;
        link->node = node;
        link->slot_count = slots;
        link->dial_deadline_ns = sgn_now_ns() + client->settings.connect_timeout_ms * MS_NS;
        for (uint32_t i = 0; i < slots; i++) {
            link->slots[i].next_free = i + 1 < slots ? i + 1 : NO_SLOT;
        }
        struct sgn_conn_options options = {.events = &link_events,
                                           .user = link,
                                           .handshake_ms = client->settings.connect_timeout_ms};
        err = sgn_conn_dial(client->wire, &node->address, &options, &link->conn);
    }
    if (err != SGN_OK) {
        free(link);
        node->why_err = err;
        snprintf(node->why, sizeof(node->why), "%s", sgn_err_text(err));
        dial_failed(client, node);
        return;
    }
    node->links[node->link_count++] = link;
    sgn_mirror_forget(client->mirror);
    sgn_loop_arm(client, link->dial_deadline_ns);
}

/* Once the ring is known, a node of another one is refused whatever the options said. */
static void fill_hello(const struct sgn_client *client, struct sgn_hello *self)
{
    const char *name =
        client->shape != NULL ? client->shape->ring.name : client->settings.ring_name;
    memset(self, 0, sizeof(*self));
    snprintf(self->ring, sizeof(self->ring), "%s", name);
}

static void link_up(struct sgn_conn *conn, void *user)
{
    struct sgn_link *link = user;
    struct sgn_hello self;
    struct sgn_msg msg;
    fill_hello(link->client, &self);
    sgn_hello_encode(&self, &msg);
    enum sgn_err err = sgn_conn_send(conn, &msg);
    if (err != SGN_OK) {
        sgn_conn_close(conn);
        link_lost(link, err, sgn_err_text(err));
    }
}

/* The node's HELLO, or its refusal. */
static void link_greeted(struct sgn_link *link, const struct sgn_msg *msg)
{
    struct sgn_client *client = link->client;
    struct sgn_node *node = link->node;
    struct sgn_hello self;
    struct sgn_hello other;
    struct sgn_why why;
    enum sgn_err err;
    fill_hello(client, &self);
    if (msg->type == SGN_MSG_RESULT) {
        err = msg->err < 0 ? (enum sgn_err)msg->err : SGN_ERR_PROTOCOL;
        sgn_why_set(&why, "%.*s", (int)msg->text.count, (const char *)msg->text.ptr);
    } else {
        err = sgn_hello_check(&self, msg, &other, &why);
    }
    if (err == SGN_OK && other.node == 0) {
        err = SGN_ERR_PROTOCOL;
        sgn_why_set(&why, "the other side is no node");
    }
    if (err != SGN_OK) {
        sgn_conn_close(link->conn);
        link_lost(link, err, why.text);
        return;
    }
    node->id = other.node;
    node->fails = 0;
    node->suspect_ns = 0;
    link->state = SGN_LINK_UP;
    atomic_fetch_add(&client->count_connections, 1);
    sgn_conn_take_types(link->conn, SGN_TYPE_BIT(SGN_MSG_RESULT));
    if (client->shape == NULL) {
        sgn_route_ask_ring(client);
    }
    client->pump_wanted = true;
}

static void link_message(struct sgn_conn *conn, const struct sgn_msg *msg, void *user)
{
    (void)conn;
    struct sgn_link *link = user;
    if (link->state == SGN_LINK_DIALLING) {
        link_greeted(link, msg);
        return;
    }
    link->silent = 0;
    link->node->suspect_ns = 0;
    sgn_attempt_answer(link, msg);
}

static void link_closed(struct sgn_conn *conn, enum sgn_err err, const char *why, void *user)
{
    (void)conn;
    link_lost(user, err, why);
}

struct sgn_link *sgn_pool_link(struct sgn_node *node)
{
    struct sgn_link *best = NULL;
    for (uint32_t i = 0; i < node->link_count; i++) {
        struct sgn_link *link = node->links[i];
        if (link->state == SGN_LINK_UP && link->free_head != NO_SLOT &&
            (best == NULL || link->inflight < best->inflight)) {
            best = link;
        }
    }
    if (best != NULL && best->inflight >= BUSY_LINK && !sgn_pool_is_dialling(node) &&
        node->redial_ns == 0 && node->link_count < best->client->settings.pool_per_node) {
        sgn_pool_dial(best->client, node);
    }
    return best;
}

uint32_t sgn_pool_take(struct sgn_link *link, struct sgn_request *request, uint32_t attempt)
{
    uint32_t index = link->free_head;
    SGN_ASSERT(index != NO_SLOT);
    struct sgn_slot *slot = &link->slots[index];
    SGN_ASSERT(slot->request == NULL);
    link->free_head = slot->next_free;
    link->inflight++;
    slot->request = request;
    slot->attempt = attempt;
    slot->generation++;
    return slot->generation << SLOT_BITS | index;
}

void sgn_pool_give(struct sgn_link *link, uint32_t number)
{
    uint32_t index = number & (SGN_SLOTS_MAX - 1);
    struct sgn_slot *slot = &link->slots[index];
    SGN_ASSERT(slot->request != NULL);
    slot->request = NULL;
    slot->generation++;
    slot->next_free = link->free_head;
    link->free_head = index;
    link->inflight--;
    link->client->pump_wanted = link->client->pump_wanted || link->client->wait_head != NULL;
}

void sgn_pool_silent(struct sgn_link *link, uint64_t now_ns)
{
    link->node->suspect_ns = now_ns + SUSPECT_MS * MS_NS;
    link->silent++; /* sgn_pool_tick closes it: the caller still holds it. */
    if (link->silent >= SILENT_MAX) {
        sgn_loop_arm(link->client, now_ns);
    }
}

/* True if the link was ended. */
static bool link_tick(struct sgn_link *link, uint64_t now_ns, uint64_t *next_ns)
{
    if (link->state == SGN_LINK_DIALLING && now_ns >= link->dial_deadline_ns) {
        sgn_conn_close(link->conn);
        link_lost(link, SGN_ERR_NETWORK, "no answer to the connection in time");
        return true;
    }
    if (link->state == SGN_LINK_UP && link->silent >= SILENT_MAX) {
        sgn_conn_close(link->conn);
        link_lost(link, SGN_ERR_NETWORK, "the connection went silent");
        return true;
    }
    if (link->state == SGN_LINK_DIALLING && link->dial_deadline_ns < *next_ns) {
        *next_ns = link->dial_deadline_ns;
    }
    return false;
}

void sgn_pool_tick(struct sgn_client *client, uint64_t now_ns, uint64_t *next_ns)
{
    for (uint32_t i = 0; i < client->node_count; i++) {
        struct sgn_node *node = client->nodes[i];
        for (uint32_t j = 0; j < node->link_count;) {
            /* An ended link is not in its node any more: link_remove took it out. */
            /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
            j += link_tick(node->links[j], now_ns, next_ns) ? 0 : 1;
        }
        if (node->redial_ns == 0) {
            continue;
        }
        if (sgn_pool_is_open(node) || (client->shape != NULL && !node->is_member)) {
            node->redial_ns = 0; /* The other links do, or nobody needs it any more. */
        } else if (now_ns >= node->redial_ns) {
            sgn_pool_dial(client, node);
        }
        if (node->redial_ns != 0 && node->redial_ns < *next_ns) {
            *next_ns = node->redial_ns;
        }
    }
}

void sgn_pool_clear(struct sgn_client *client)
{
    for (uint32_t i = 0; i < client->node_count; i++) {
        struct sgn_node *node = client->nodes[i];
        while (node->link_count > 0) {
            struct sgn_link *link = node->links[0];
            /* All requests were ended before; link_remove takes the link out of its node. */
            SGN_ASSERT(link->inflight == 0); /* NOLINT(clang-analyzer-unix.Malloc) */
            sgn_conn_close(link->conn);
            link_remove(link);
            free(link);
        }
        free(node);
    }
    free(client->nodes);
    client->nodes = NULL;
    client->node_count = 0;
}
