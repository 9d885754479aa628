/* tests/sim/ord_client.c - clients of the ordered bucket: one operation at a time each, on a few
 * hot keys; retries through other nodes with the same id and stamp. */
#include <stdio.h>
#include <stdlib.h>

#include "ring/core/check.h"
#include "ring/core/key.h"
#include "tests/sim/ord.h"

#define CLIENT_START_US    1200000u
#define CLIENT_CALM_US     3000000u  /* Without faults: when the fleet has come into its epochs. */
#define CLIENT_WORK_US     60000000u /* Then no new operation is begun. */
#define CLIENT_ATTEMPTS    5u
#define RESOLVE_ATTEMPTS   6u
#define CLIENT_PROCESS_GAP 64u
#define CLEAN_AFTER_US     20000u /* Then a write is settled, when nothing is broken. */

void ord_key_name(uint32_t key, char *out, size_t cap)
{
    (void)snprintf(out, cap, "k%u", key);
}

struct sgn_bytes ord_full_key(uint32_t key, uint8_t room[SGN_FULL_KEY_BYTES_MAX])
{
    char name[16];
    ord_key_name(key, name, sizeof(name));
    struct sgn_sink full = sgn_sink_of(room, SGN_FULL_KEY_BYTES_MAX);
    sgn_full_key_encode(sgn_bytes_str(ORD_BUCKET), sgn_bytes_str(name), &full);
    return sgn_sink_bytes(&full);
}

uint32_t ord_key_number(struct sgn_bytes full_key)
{
    const char *raw = full_key.ptr; /* "o\0kN" */
    bool is_ours = full_key.count == 4 && raw[0] == 'o' && raw[1] == '\0' && raw[2] == 'k' &&
                   raw[3] >= '0' && raw[3] < '0' + (int)ORD_KEYS_MAX;
    return is_ours ? (uint32_t)(raw[3] - '0') : UINT32_MAX;
}

uint32_t ord_key_partition(const struct ord_world *world, uint32_t key)
{
    uint8_t room[SGN_FULL_KEY_BYTES_MAX];
    return sgn_partition_of(sgn_hash(ord_full_key(key, room)), world->ring.partition_count);
}

uint32_t ord_value_number(struct sgn_bytes value)
{
    return value.count == 0 ? ORD_NO_WRITE : sim_value_number(value);
}

/* --- a request -------------------------------------------------------------------------------- */

static void client_arrives(struct ord_world *world, struct ord_event *arrival)
{
    struct sgn_event event = {
        .type = SGN_EV_REQUEST, .token = arrival->token, .msg = *arrival->msg};
    ord_feed(world, arrival->to, &event);
}

static void patience_ends(struct ord_world *world, struct ord_event *due)
{
    struct ord_client *client = &world->clients[due->token % ORD_CLIENTS_MAX];
    if (client->token == due->token) {
        ord_client_retry(world, client, true);
    }
}

static void fill_condition(const struct ord_world *world,
                           const struct ord_client *client,
                           struct sgn_msg *msg,
                           struct sgn_sink *context)
{
    const struct ord_write *write = &world->oracle.writes[client->write];
    if (write->condition == SGN_IF_ABSENT) {
        msg->flags |= SGN_PUT_IF_ABSENT;
    } else if (write->condition == SGN_IF_VERSION) {
        msg->flags |= SGN_PUT_IF_VERSION;
        sgn_version_put(context, &write->expect);
        msg->context = sgn_sink_bytes(context);
    }
}

static void fill(const struct ord_world *world,
                 const struct ord_client *client,
                 struct sgn_msg *msg,
                 struct sgn_sink *context)
{
    switch (client->kind) {
    case ORD_OP_READ:
        msg->type = SGN_MSG_GET;
        msg->a = client->mode;
        msg->flags = SGN_GET_EXPLAIN;
        if (client->mode == SGN_READ_SESSION) {
            sgn_version_put(context, &client->passed);
            msg->context = sgn_sink_bytes(context);
        }
        return;
    case ORD_OP_LIST:
        msg->type = SGN_MSG_LIST;
        msg->a = client->mode;
        msg->n = client->attempts % 2 == 0 ? 1000 : 3;
        msg->key = sgn_bytes_of("", 0);
        return;
    case ORD_OP_PUT:
    case ORD_OP_DEL: break;
    }
    msg->id = client->id;
    msg->stamp = client->stamp;
    if (client->resolving) {
        msg->type = SGN_MSG_RESOLVE;
        return;
    }
    msg->type = client->kind == ORD_OP_PUT ? SGN_MSG_PUT : SGN_MSG_DEL;
    msg->value = sgn_bytes_of(client->value, client->value_bytes);
    fill_condition(world, client, msg, context);
}

void ord_client_send(struct ord_world *world, uint32_t index)
{
    struct ord_client *client = &world->clients[index];
    char name[16];
    char after[16];
    ord_key_name(client->key, name, sizeof(name));
    client->node = (uint32_t)sgn_prng_below(&world->prng, world->options.nodes);
    client->token = ++world->next_token * ORD_CLIENTS_MAX + index;
    ord_schedule(world, client->patience_us, patience_ends)->token = client->token;

    uint8_t room[SGN_VERSION_BYTES];
    struct sgn_sink context = sgn_sink_of(room, sizeof(room));
    struct sgn_msg msg = {.bucket = sgn_bytes_str(ORD_BUCKET), .key = sgn_bytes_str(name)};
    fill(world, client, &msg, &context);
    if (client->kind == ORD_OP_LIST && client->after != UINT32_MAX) {
        ord_key_name(client->after, after, sizeof(after));
        msg.after = sgn_bytes_str(after);
    }
    client->attempts++;
    if (!world->nodes[client->node].up) {
        return; /* Refused connection: patience will try another. */
    }
    uint64_t delay = 20 + sgn_prng_below(&world->prng, 100);
    struct ord_event *event = ord_schedule_at(world, client->node, delay, client_arrives);
    event->token = client->token;
    event->msg = sim_msg_copy(&msg);
}

/* --- an operation ----------------------------------------------------------------------------- */

/* The value that a version stands for, as the history names it. */
static uint64_t value_at(const struct ord_world *world,
                         uint32_t key,
                         const struct sgn_version *version)
{
    const struct ord_fact *fact = ord_oracle_fact(&world->oracle, key, version);
    bool absent = version->rev == 0 || fact == NULL || fact->dead || fact->write == ORD_NO_WRITE;
    return absent ? SGN_HISTORY_ABSENT : (uint64_t)fact->write + 1;
}

static void choose_condition(struct ord_world *world,
                             const struct ord_client *client,
                             struct ord_write *write)
{
    uint64_t dice = sgn_prng_below(&world->prng, 100);
    uint64_t plain = world->options.mix == ORD_MIX_CONDITIONS ? 20 : 55;
    if (dice < plain) {
        write->condition = SGN_IF_ANY;
    } else if (dice < plain + 18 && !write->is_delete) {
        write->condition = SGN_IF_ABSENT;
    } else {
        write->condition = SGN_IF_VERSION;
        write->expect = client->seen[client->key];
        /* Mostly what would succeed, at times what somebody else has just seen. */
        if (sgn_prng_chance(&world->prng, 600)) {
            write->expect = world->oracle.keys[client->key].floor;
        }
    }
}

/* As the library's clock: what some node told last, and the time since; at times without that. */
static uint64_t stamp_of(struct ord_world *world, struct ord_client *client)
{
    bool behind = !world->options.fault_free && sgn_prng_chance(&world->prng, 300);
    if (client->clock_stamp == 0) {
        const struct ord_node *node =
            &world->nodes[sgn_prng_below(&world->prng, world->options.nodes)];
        uint64_t told = node->up ? sgn_engine_stamp(node->engine) : 0;
        client->clock_stamp = told != 0 ? told : sgn_hlc_of_ms(UINT64_C(1700000000000));
        client->clock_us = world->now_us;
    }
    uint64_t since =
        behind ? 0 : ((world->now_us - client->clock_us) << SGN_HLC_COUNTER_BITS) / 1000;
    return client->clock_stamp + since;
}

static void begin_write(struct ord_world *world, struct ord_client *client)
{
    struct ord_write write = {.key = client->key, .is_delete = client->kind == ORD_OP_DEL};
    choose_condition(world, client, &write);
    client->write = ord_oracle_begin(&world->oracle, &write);
    uint64_t halves[2] = {sgn_prng_next(&world->prng) | 1, client->write};
    memcpy(client->id.bytes, halves, sizeof(client->id.bytes));
    client->value_bytes = 0;
    if (!write.is_delete) {
        client->value_bytes = (uint32_t)snprintf((char *)client->value, 32, "w%u.", client->write);
        uint32_t pad = (uint32_t)sgn_prng_below(&world->prng, world->options.value_bytes_max);
        memset(client->value + client->value_bytes, 'x', pad);
        client->value_bytes += pad;
    }
    client->stamp = stamp_of(world, client);
    bool is_plain = write.condition == SGN_IF_ANY;
    client->op.op = !is_plain         ? SGN_HISTORY_CAS
                    : write.is_delete ? SGN_HISTORY_DEL
                                      : SGN_HISTORY_PUT;
    client->op.value = write.is_delete ? SGN_HISTORY_ABSENT : (uint64_t)client->write + 1;
    client->op.expect = write.condition == SGN_IF_VERSION
                            ? value_at(world, client->key, &write.expect)
                            : SGN_HISTORY_ABSENT;
}

static void choose(struct ord_world *world, struct ord_client *client)
{
    uint64_t dice = sgn_prng_below(&world->prng, 100);
    static const uint8_t upto[ORD_MIX_COUNT][6] = {
        /* put, del, strong, session, eventual, strong list; the rest lists */
        {34, 44, 72, 82, 92, 98},
        {20, 25, 83, 87, 92, 98},
        {55, 75, 90, 94, 97, 99},
    };
    const uint8_t *mix = upto[world->options.mix];
    uint32_t pick = 0;
    while (pick < 6 && dice >= mix[pick]) {
        pick++;
    }
    static const enum ord_op_kind kinds[] = {
        ORD_OP_PUT, ORD_OP_DEL, ORD_OP_READ, ORD_OP_READ, ORD_OP_READ, ORD_OP_LIST, ORD_OP_LIST};
    static const uint8_t modes[] = {0,
                                    0,
                                    SGN_READ_STRONG,
                                    SGN_READ_SESSION,
                                    SGN_READ_EVENTUAL,
                                    SGN_READ_STRONG,
                                    SGN_READ_EVENTUAL};
    client->kind = kinds[pick];
    if (client->kind == ORD_OP_PUT && world->options.tombstone_ms > 0 &&
        sgn_prng_chance(&world->prng, 300)) {
        client->kind = ORD_OP_DEL; /* So that there are tombstones to drop. */
    }
    client->mode = modes[pick];
}

static void begin(struct ord_world *world, struct ord_event *due)
{
    struct ord_client *client = &world->clients[due->to];
    if (world->now_us > CLIENT_WORK_US) {
        world->ops_begun = world->options.ops;
    }
    if (world->ops_begun >= world->options.ops) {
        client->busy = false;
        return;
    }
    world->ops_begun++;
    client->busy = true;
    client->resolving = client->maybe = client->again = false;
    client->attempts = 0;
    client->key = (uint32_t)sgn_prng_below(&world->prng, world->options.keys);
    client->began_us = world->now_us;
    client->patience_us =
        1000 * (10 + sgn_prng_below(&world->prng, world->options.patience_ms_max));
    client->floor = world->oracle.keys[client->key].floor;
    client->passed = client->seen[client->key];
    for (uint32_t key = 0; key < world->options.keys; key++) {
        client->floors[key] = world->oracle.keys[key].floor;
        client->floor_dead[key] = world->oracle.keys[key].floor_dead;
    }
    client->after = sgn_prng_chance(&world->prng, 300)
                        ? (uint32_t)sgn_prng_below(&world->prng, world->options.keys)
                        : UINT32_MAX;
    choose(world, client);
    client->clean = world->writing[client->key] == 0 &&
                    world->written_us[client->key] + CLEAN_AFTER_US < world->now_us;
    client->op = (struct sgn_operation){.process = client->process,
                                        .key = (uint64_t)client->key + 1,
                                        .op = SGN_HISTORY_GET,
                                        .outcome = SGN_HISTORY_UNKNOWN,
                                        .invoke_ns = world->now_us * 1000};
    if (client->kind == ORD_OP_PUT || client->kind == ORD_OP_DEL) {
        begin_write(world, client);
        world->writing[client->key]++;
        world->written_us[client->key] = world->now_us;
    }
    ord_log(world,
            "client %u: op %d mode %u key %u write %u",
            due->to,
            (int)client->kind,
            client->mode,
            client->key,
            client->write);
    ord_client_send(world, due->to);
}

/* --- the end of an attempt, and of an operation ------------------------------------------------
 * */

static void send_again(struct ord_world *world, struct ord_event *due)
{
    ord_client_send(world, due->to);
}

static bool is_write(const struct ord_client *client)
{
    return client->kind == ORD_OP_PUT || client->kind == ORD_OP_DEL;
}

void ord_client_retry(struct ord_world *world, struct ord_client *client, bool maybe)
{
    uint32_t index = (uint32_t)(client - world->clients);
    client->maybe |= maybe;
    client->token = 0;
    uint32_t most = client->resolving ? RESOLVE_ATTEMPTS : CLIENT_ATTEMPTS;
    if (!client->again && client->attempts < most && sgn_prng_chance(&world->prng, 850)) {
        uint64_t wait = 1 + sgn_prng_below(&world->prng, 1000u << client->attempts);
        ord_schedule(world, wait, send_again)->to = index;
        return;
    }
    if (is_write(client) && !client->again) {
        if (client->maybe && !client->resolving && sgn_prng_chance(&world->prng, 700)) {
            client->resolving = true;
            client->attempts = 0;
            client->patience_us = 300000;
            ord_schedule(world, 1, send_again)->to = index;
            return;
        }
        client->op.outcome = client->maybe ? SGN_HISTORY_UNKNOWN : SGN_HISTORY_FAIL;
        world->unknowns += client->maybe;
        ord_oracle_verdict(
            &world->oracle, client->write, client->maybe ? ORD_UNKNOWN : ORD_FAILED, NULL);
    }
    ord_client_end(world, client);
}

void ord_client_end(struct ord_world *world, struct ord_client *client)
{
    uint32_t index = (uint32_t)(client - world->clients);
    bool strong = client->kind == ORD_OP_READ && client->mode == SGN_READ_STRONG;
    client->token = 0;
    if (!client->again && is_write(client)) {
        world->writing[client->key]--;
        world->written_us[client->key] = world->now_us;
    }
    if (!client->again && (is_write(client) || strong)) {
        client->op.return_ns = world->now_us * 1000;
        bool read_failed = strong && client->op.outcome != SGN_HISTORY_OK;
        if (!read_failed) {
            bool kept = sgn_history_add(&world->history, &client->op);
            SGN_ASSERT(kept);
        }
        if (client->op.outcome == SGN_HISTORY_UNKNOWN) {
            client->process += CLIENT_PROCESS_GAP; /* It may still be at work. */
        }
    }
    world->ops_ended += !client->again;
    /* At times the same request once more: it must meet the same verdict (3.5). */
    if (!client->again && is_write(client) && client->op.outcome == SGN_HISTORY_OK &&
        sgn_prng_chance(&world->prng, 80)) {
        client->again = true;
        ord_schedule(world, 1 + sgn_prng_below(&world->prng, 30000), send_again)->to = index;
        return;
    }
    ord_schedule(world, 1 + sgn_prng_below(&world->prng, world->options.think_us), begin)->to =
        index;
}

void ord_clients_begin(struct ord_world *world)
{
    for (uint32_t i = 0; i < world->options.clients; i++) {
        world->clients[i].process = i + 1;
        world->clients[i].busy = true;
        uint64_t start = world->options.fault_free ? CLIENT_CALM_US : CLIENT_START_US;
        ord_schedule(world, start + i * 1000, begin)->to = i;
    }
}

bool ord_clients_done(const struct ord_world *world)
{
    for (uint32_t i = 0; i < world->options.clients; i++) {
        if (world->clients[i].busy) {
            return false;
        }
    }
    return true;
}
