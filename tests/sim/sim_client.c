/* tests/sim/sim_client.c - clients: one request at a time each, on few keys, so that they
 * collide. */
#include <stdio.h>

#include "ring/core/check.h"
#include "ring/core/items.h"
#include "tests/sim/sim.h"

#define CLIENT_PATIENCE_US  4000000u
#define CLIENT_ATTEMPTS_MAX 4u
#define CLIENT_WORK_US      200000000u /* Then no new request is begun. */

#define WAITING_TOKEN UINT64_MAX /* Of a client about to send again. */
#define SWEEP_TOKEN   UINT64_MAX /* Of reads whose answers nobody waits for. */

static void client_next(struct sim_world *world, struct sim_event *event);

void sim_key_name(uint32_t key, char *out, size_t cap)
{
    (void)snprintf(out, cap, "k%u", key);
}

/* The last quarter of the keys is written without contexts ("replace what is there"). */
static bool key_replaces(const struct sim_world *world, uint32_t key)
{
    return key >= world->options.keys - world->options.keys / 4;
}

static void client_send(struct sim_world *world, uint32_t index)
{
    struct sim_client *client = &world->clients[index];
    char name[16];
    sim_key_name(client->key, name, sizeof(name));
    client->node = (uint32_t)sgn_prng_below(&world->prng, world->options.nodes);
    client->token = ++world->next_token * SIM_CLIENTS_MAX + index;
    struct sim_event *patience = sim_schedule(world, CLIENT_PATIENCE_US, NULL);
    patience->token = client->token;
    patience->run = client_next;

    struct sgn_event event = {.type = SGN_EV_REQUEST, .token = client->token};
    event.msg.type = client->type;
    event.msg.bucket = sgn_bytes_str(SIM_BUCKET);
    event.msg.key = sgn_bytes_str(client->type == SGN_MSG_LIST ? "" : name);
    if (client->type == SGN_MSG_LIST) {
        event.msg.n = 1 + (uint32_t)sgn_prng_below(&world->prng, 20);
    }
    if (client->type == SGN_MSG_PUT || client->type == SGN_MSG_DEL) {
        event.msg.id = client->id;
        event.msg.value = sgn_bytes_of(client->value, client->value_bytes);
        event.msg.flags = client->has_context ? SGN_PUT_HAS_CONTEXT : 0;
        event.msg.context = sgn_bytes_of(client->context, client->context_bytes);
    }
    client->attempts++;
    if (client->type == SGN_MSG_PUT || client->type == SGN_MSG_DEL) {
        world->history.writes[client->write].sent_us = world->now_us;
    }
    sim_feed(world, client->node, &event);
}

static void client_choose_write(struct sim_world *world, struct sim_client *client)
{
    struct sim_known *known = &client->known[client->key];
    bool is_delete = client->type == SGN_MSG_DEL;
    bool replaces = key_replaces(world, client->key);
    bool blind = !is_delete && sgn_prng_chance(&world->prng, 200);
    client->has_context = !replaces;
    client->context_bytes = 0;
    uint32_t seen_count = 0;
    if (client->has_context && known->valid && !blind) {
        memcpy(client->context, known->context, known->context_bytes);
        client->context_bytes = known->context_bytes;
        seen_count = known->seen_count;
    }
    client->write = sim_history_begin(&world->history,
                                      client->key,
                                      is_delete,
                                      replaces,
                                      known->seen,
                                      seen_count,
                                      sgn_bytes_of(client->context, client->context_bytes),
                                      world->now_us);
    client->value_bytes = 0;
    if (!is_delete) {
        client->value_bytes = (uint32_t)snprintf((char *)client->value, 32, "w%u.", client->write);
        uint32_t pad = (uint32_t)sgn_prng_below(&world->prng, world->options.value_bytes_max);
        memset(client->value + client->value_bytes, 'x', pad);
        client->value_bytes += pad;
    }
    uint64_t halves[2] = {sgn_prng_next(&world->prng) | 1, client->write};
    memcpy(client->id.bytes, halves, sizeof(client->id.bytes));
}

static void client_begin(struct sim_world *world, uint32_t index)
{
    struct sim_client *client = &world->clients[index];
    if (world->now_us > CLIENT_WORK_US) {
        world->ops_begun = world->options.ops;
    }
    if (world->ops_begun == world->options.ops) {
        client->token = 0;
        return;
    }
    world->ops_begun++;
    client->key = (uint32_t)sgn_prng_below(&world->prng, world->options.keys);
    uint64_t dice = sgn_prng_below(&world->prng, 100);
    client->type = dice < 42   ? SGN_MSG_PUT
                   : dice < 85 ? SGN_MSG_GET
                   : dice < 94 ? SGN_MSG_DEL
                               : SGN_MSG_LIST;
    client->attempts = 0;
    client->began_us = world->now_us;
    client->uncertain = false;
    if (client->type == SGN_MSG_PUT || client->type == SGN_MSG_DEL) {
        client_choose_write(world, client);
    }
    client_send(world, index);
}

static void client_finish(struct sim_world *world,
                          struct sim_client *client,
                          enum sim_outcome outcome)
{
    if (client->type == SGN_MSG_PUT || client->type == SGN_MSG_DEL) {
        struct sim_write *write = &world->history.writes[client->write];
        SGN_ASSERT(write->outcome == SIM_OPEN);
        bool may = client->uncertain && outcome == SIM_FAILED;
        write->outcome = may ? SIM_UNKNOWN : outcome;
        write->ended_us = world->now_us;
        world->acked += write->outcome == SIM_APPLIED;
    }
    client->token = 0;
    struct sim_event *next = sim_schedule(world, sgn_prng_below(&world->prng, 60000), client_next);
    next->node = (uint32_t)(client - world->clients);
    next->token = 0;
}

/* Not at once: the refusal came out of a node's step, and its other effects are still to be
 * done. */
static void client_again(struct sim_world *world, struct sim_event *event)
{
    client_send(world, event->node);
}

static void client_retry_or_give_up(struct sim_world *world,
                                    struct sim_client *client,
                                    bool may_have_applied)
{
    client->uncertain |= may_have_applied;
    if (client->attempts < CLIENT_ATTEMPTS_MAX && sgn_prng_chance(&world->prng, 700)) {
        client->token = WAITING_TOKEN;
        sim_schedule(world, 1 + sgn_prng_below(&world->prng, 1000), client_again)->node =
            (uint32_t)(client - world->clients);
        return;
    }
    client_finish(world, client, SIM_FAILED); /* finish turns it to UNKNOWN when uncertain. */
}

/* Runs when a client may begin its next request (token 0), or lost patience with one. */
static void client_next(struct sim_world *world, struct sim_event *event)
{
    if (event->token == 0) {
        client_begin(world, event->node);
        return;
    }
    struct sim_client *client = &world->clients[event->token % SIM_CLIENTS_MAX];
    if (client->token == event->token) {
        client_retry_or_give_up(world, client, true);
    }
}

static void learn_record(struct sim_world *world,
                         struct sim_client *client,
                         const struct sgn_msg *msg)
{
    struct sgn_record record;
    if (sgn_record_decode(msg->value, SGN_RECORD_WITH_BODIES, &record) != SGN_OK) {
        sim_violation(&world->history, "key %u: the answer is not a record", client->key);
        return;
    }
    struct sim_known *known = &client->known[client->key];
    known->valid = true;
    known->seen_count = 0;
    for (uint32_t i = 0; i < record.sibling_count; i++) {
        uint32_t number = sim_history_read(&world->history, client->key, record.siblings[i].body);
        known->seen[known->seen_count++] = number;
    }
    struct sgn_sink sink = sgn_sink_of(known->context, sizeof(known->context));
    sgn_context_encode(&record.vector, &sink);
    known->context_bytes = (uint32_t)sink.count;
}

/* A put's own context may be used for the next put only if it stands for that value alone. */
static void learn_put(struct sim_world *world, struct sim_client *client, const struct sgn_msg *msg)
{
    struct sim_known *known = &client->known[client->key];
    known->valid = msg->context.count > 0 && msg->context.count <= SGN_CONTEXT_BYTES_MAX;
    if (!known->valid || client->type == SGN_MSG_DEL || sgn_prng_chance(&world->prng, 500)) {
        known->valid = false;
        return;
    }
    known->context_bytes = (uint32_t)msg->context.count;
    memcpy(known->context, msg->context.ptr, msg->context.count);
    known->seen[0] = client->write;
    known->seen_count = 1;
}

static void check_page(struct sim_world *world, const struct sgn_msg *msg)
{
    struct sgn_cursor cursor = sgn_cursor_of(msg->items);
    struct sgn_bytes key = {0};
    struct sgn_bytes value = {0};
    struct sgn_bytes last = {0};
    struct sgn_record record;
    while (sgn_items_next(&cursor, &key, &value)) {
        if (last.ptr != NULL && sgn_bytes_compare(last, key) >= 0) {
            sim_violation(&world->history, "a list page is out of order");
        }
        if (sgn_record_decode(value, SGN_RECORD_DIGEST_ONLY, &record) != SGN_OK ||
            sgn_record_is_dead(&record)) {
            sim_violation(&world->history, "a list page shows a dead or damaged key");
        }
        last = key;
    }
    if (cursor.bad) {
        sim_violation(&world->history, "a list page is garbage");
    }
}

void sim_sweep(struct sim_world *world)
{
    for (uint32_t key = 0; key < world->options.keys; key++) {
        char name[16];
        sim_key_name(key, name, sizeof(name));
        struct sgn_event event = {.type = SGN_EV_REQUEST, .token = SWEEP_TOKEN >> 1};
        event.msg.type = SGN_MSG_GET;
        event.msg.bucket = sgn_bytes_str(SIM_BUCKET);
        event.msg.key = sgn_bytes_str(name);
        event.msg.n = world->options.replicas;
        sim_feed(world, (uint32_t)sgn_prng_below(&world->prng, world->options.nodes), &event);
    }
}

void sim_client_reply(struct sim_world *world, uint64_t token, const struct sgn_msg *msg)
{
    if (token == SWEEP_TOKEN >> 1) {
        return;
    }
    struct sim_client *client = &world->clients[token % SIM_CLIENTS_MAX];
    if (client->token != token) {
        return; /* It lost patience before. */
    }
    if (msg->err == SGN_OK || (msg->err == SGN_ERR_NOT_FOUND && client->type == SGN_MSG_GET)) {
        if (client->type == SGN_MSG_GET) {
            learn_record(world, client, msg);
            const struct sim_known *known = &client->known[client->key];
            if (sim_copies_are_exact(world) &&
                world->options.r + world->options.w > world->options.replicas) {
                sim_history_check_read(
                    &world->history, client->key, client->began_us, known->seen, known->seen_count);
            }
        } else if (client->type == SGN_MSG_LIST) {
            check_page(world, msg);
        } else {
            sim_check_acknowledged(world, client->write);
            learn_put(world, client, msg);
        }
        client_finish(world, client, SIM_APPLIED);
        return;
    }
    world->refused++;
    bool unknown = msg->err == SGN_ERR_UNKNOWN || msg->err == SGN_ERR_TIMEOUT;
    client_retry_or_give_up(world, client, unknown);
}

void sim_clients_begin(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->options.clients; i++) {
        struct sim_event *event = sim_schedule(world, 1500000 + i * 1000, client_next);
        event->node = i;
        event->token = 0;
    }
}

bool sim_clients_done(const struct sim_world *world)
{
    for (uint32_t i = 0; i < world->options.clients; i++) {
        if (world->clients[i].token != 0) {
            return false;
        }
    }
    return world->ops_begun == world->options.ops;
}
