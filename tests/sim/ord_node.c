/* tests/sim/ord_node.c - the driver of each node's engine: effects, start and stop. */
#include <stdio.h>
#include <stdlib.h>

#include "ring/core/check.h"
#include "tests/sim/ord.h"

static void fold_bytes(struct ord_world *world, struct sgn_bytes bytes)
{
    const uint8_t *raw = bytes.ptr;
    uint64_t sum = bytes.count;
    for (size_t i = 0; i < bytes.count; i++) {
        sum = sum * 31 + raw[i];
    }
    ord_fold(world, sum);
}

/* --- effects ---------------------------------------------------------------------------------- */

static void perform_send(struct ord_world *world, uint32_t index, const struct sgn_effect *effect)
{
    uint32_t to = ord_process(world, effect->node);
    if (to == UINT32_MAX) {
        return; /* A witness that no map of this world has named yet cannot be dialled. */
    }
    SGN_ASSERT(to != index);
    ord_white_sent(world, index, to, &effect->msg);
    if (world->nodes[index].connected[to]) {
        ord_transmit(world, index, to, &effect->msg, false);
    }
}

static void client_hears(struct ord_world *world, struct ord_event *arrival)
{
    if ((arrival->token & ORD_ADMIN_TOKEN) != 0) {
        ord_admin_answer(world, arrival->token, arrival->msg);
    } else if ((arrival->token & ORD_VERIFY_TOKEN) != 0) {
        ord_verify_answer(world, arrival->token, arrival->msg);
    } else {
        ord_client_answer(world, arrival->token, arrival->msg);
    }
}

static void perform_reply(struct ord_world *world, uint32_t index, const struct sgn_effect *effect)
{
    if ((effect->token & ORD_PEER_TOKEN) != 0) {
        uint32_t to = (uint32_t)(effect->token >> 32 & 0xff);
        if ((effect->token >> 40 & 0xfffff) != (ord_process_boot(world, to) & 0xfffff)) {
            return; /* Its connection ended with it. */
        }
        struct sgn_msg answer = effect->msg;
        answer.request = (uint32_t)effect->token;
        ord_white_sent(world, index, to, &answer);
        ord_transmit(world, index, to, &answer, true);
        return;
    }
    struct sgn_version version;
    const struct ord_client *client = &world->clients[effect->token % ORD_CLIENTS_MAX];
    if (effect->token < ORD_VERIFY_TOKEN && client->token == effect->token &&
        client->kind != ORD_OP_LIST && effect->msg.context.count == SGN_VERSION_BYTES &&
        sgn_version_take(effect->msg.context, &version) == SGN_OK) {
        ord_white_exposed(world, index, client->key, &version);
    }
    if (!world->healing && sgn_prng_chance(&world->prng, world->options.fault[ORD_loss])) {
        return; /* The client's connection broke. */
    }
    struct ord_event *event =
        ord_schedule(world, 20 + sgn_prng_below(&world->prng, 100), client_hears);
    event->token = effect->token;
    event->msg = sim_msg_copy(&effect->msg);
}

static void perform(struct ord_world *world, uint32_t index, const struct sgn_effect *effect)
{
    switch (effect->type) {
    case SGN_FX_SEND: perform_send(world, index, effect); break;
    case SGN_FX_REPLY: perform_reply(world, index, effect); break;
    case SGN_FX_LOAD: ord_disk_load(world, index, effect); break;
    case SGN_FX_SCAN: ord_disk_scan(world, index, effect); break;
    case SGN_FX_STORE: ord_disk_store(world, index, effect); break;
    case SGN_FX_LOG: ord_log(world, "node %u: %s", world->nodes[index].id, effect->text); break;
    }
}

static void flush(struct ord_world *world, struct ord_event *due)
{
    world->nodes[due->to].flush_scheduled = false;
    struct sgn_event event = {.type = SGN_EV_FLUSH};
    ord_feed(world, due->to, &event);
}

static void after_step(struct ord_world *world, uint32_t index)
{
    struct ord_node *node = &world->nodes[index];
    uint32_t version = sgn_engine_map(node->engine)->version;
    if (version != node->map_version) {
        node->map_version = version;
        ord_white_map(world, index);
        ord_witness_follow(world, index);
        ord_white_barriers(world, "in a new map");
    }
    if (sgn_engine_wants_flush(node->engine) && !node->flush_scheduled) {
        node->flush_scheduled = true;
        uint64_t after_us = 10 + sgn_prng_below(&world->prng, 90);
        if (after_us % 4 == 0 && sgn_engine_checks_gathered(node->engine) > 0) {
            after_us *= 20; /* As a daemon holds them (node/coalesce.h). */
        }
        (void)ord_schedule_at(world, index, after_us, flush);
    }
}

void ord_feed(struct ord_world *world, uint32_t index, struct sgn_event *event)
{
    struct ord_node *node = &world->nodes[index];
    if (!node->up) {
        return;
    }
    event->now_ms = world->now_us / 1000;
    event->now_us = world->now_us;
    event->wall_ms = UINT64_C(1700000000000) + (uint64_t)((int64_t)event->now_ms + node->skew_ms);
    event->random = sgn_prng_next(&world->prng);
    ord_fold(world, world->now_us ^ (uint64_t)event->type << 56 ^ (uint64_t)index << 48);
    ord_fold(world, (uint64_t)event->msg.type ^ (uint64_t)(uint32_t)event->err << 32);
    fold_bytes(world, event->msg.value);
    fold_bytes(world, event->msg.context);

    SGN_ASSERT(!world->stepping); /* Nothing answers within a step. */
    world->stepping = true;
    struct sgn_effects *effects = world->effects;
    effects->count = 0;
    struct ord_heard heard;
    ord_heard_before(world, index, &event->msg, &heard);
    sgn_engine_step(node->engine, event, effects);
    ord_heard_after(world, index, &heard);
    world->steps++;
    uint32_t count = effects->count;
    bool dies = !world->healing && count > 0 &&
                sgn_prng_below(&world->prng, 10000) < world->options.fault[ORD_step_crash];
    if (dies) { /* Power goes between two effects. */
        count = (uint32_t)sgn_prng_below(&world->prng, (uint64_t)count + 1);
    }
    for (uint32_t i = 0; i < count; i++) {
        perform(world, index, &effects->list[i]);
    }
    after_step(world, index);
    world->stepping = false;
    if (dies) {
        ord_crash(world, index, 1 + sgn_prng_below(&world->prng, 900000));
    }
}

static void tick(struct ord_world *world, struct ord_event *due)
{
    struct sgn_event event = {.type = SGN_EV_TICK};
    uint32_t boot = due->to_boot;
    ord_feed(world, due->to, &event);
    if (world->nodes[due->to].up && world->nodes[due->to].boot == boot) {
        (void)ord_schedule_at(world, due->to, SGN_TICK_MS * 1000, tick);
    }
}

/* --- start and stop --------------------------------------------------------------------------- */

void ord_node_start(struct ord_world *world, uint32_t index)
{
    struct ord_node *node = &world->nodes[index];
    SGN_ASSERT(!node->up);
    node->boot++;
    node->incarnation++;
    node->up = true;
    node->paused_until_us = 0;
    node->commit_scheduled = node->flush_scheduled = false;
    node->map_version = 0;
    node->disk.failed = false;
    node->pool = sim_pool_of(&world->prng, &world->healing, world->options.fault[ORD_pool_refuse]);
    node->memory = calloc(1, sgn_engine_bytes(&world->ring) + 16);
    SGN_ASSERT(node->memory != NULL);
    struct sgn_engine_options options = {.node = node->id,
                                         .incarnation = node->incarnation,
                                         .disk = node->disk_id,
                                         .home_generation = node->incarnation,
                                         .guest_generation = node->incarnation,
                                         .request_timeout_ms = 2000,
                                         .replica_timeout_ms = 200,
                                         .heartbeat_ms = 100,
                                         .suspect_ms = 400,
                                         .tree_interval_ms = 400,
                                         .hints_max = 200,
                                         .out_ms = 900,
                                         .resolve_ms = 300,
                                         .tombstone_ms = world->options.tombstone_ms};
    node->engine = sgn_engine_init(
        node->memory, &world->ring, &node->pool.pool, &options, world->now_us / 1000);
    const char *refused = sim_restore(node->engine, &node->disk);
    if (refused != NULL) {
        ord_violation(&world->oracle, "node %u cannot read its own %s", node->id, refused);
    }
    node->pool.starting = false;
    after_step(world, index);
    ord_heard_start(world, index);
    (void)ord_schedule_at(world, index, 1000, tick);
    ord_log(world, "node %u starts, incarnation %u", node->id, node->incarnation);
}

void ord_node_stop(struct ord_world *world, uint32_t index, bool clean)
{
    struct ord_node *node = &world->nodes[index];
    SGN_ASSERT(node->up);
    if (ord_host(world, ORD_NODES_MAX + index) == index) {
        ord_witness_stop(world, index);
    }
    ord_log(world, "node %u stops%s", node->id, clean ? "" : " for want of power");
    ord_disk_stop(world, index, clean);
    sgn_engine_clear(node->engine);
    if (node->pool.in_use != 0) {
        ord_violation(&world->oracle,
                      "node %u kept %llu bytes of its pool",
                      node->id,
                      (unsigned long long)node->pool.in_use);
    }
    free(node->memory);
    node->engine = NULL;
    node->up = false;
    node->boot++;
    memset(node->connected, 0, sizeof(node->connected));
}
