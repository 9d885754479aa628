/* tests/sim/sim_node.c - the driver of each node's engine: network, disk, start and stop. */
#include <stdio.h>
#include <stdlib.h>

#include "ring/core/check.h"
#include "tests/sim/sim.h"

#define PEER_TOKEN                                                                                 \
    (UINT64_C(1) << 63) /* Token of a peer's request: flag, its boot, index, number. */

static void fold(struct sim_world *world, uint64_t word)
{
    world->hash = sgn_mix64(world->hash ^ word) + world->hash;
}

static void fold_bytes(struct sim_world *world, struct sgn_bytes bytes)
{
    const uint8_t *raw = bytes.ptr;
    uint64_t sum = bytes.count;
    for (size_t i = 0; i < bytes.count; i++) {
        sum = sum * 31 + raw[i];
    }
    fold(world, sum);
}

/* --- messages --------------------------------------------------------------------------------- */

struct sgn_msg *sim_msg_copy(const struct sgn_msg *msg)
{
    const struct sgn_bytes *from[] = {
        &msg->bucket, &msg->key, &msg->value, &msg->context, &msg->items, &msg->after, &msg->text};
    size_t bytes = sizeof(*msg);
    for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
        bytes += from[i]->count;
    }
    struct sgn_msg *copy = malloc(bytes);
    SGN_ASSERT(copy != NULL);
    *copy = *msg;
    struct sgn_bytes *to[] = {&copy->bucket,
                              &copy->key,
                              &copy->value,
                              &copy->context,
                              &copy->items,
                              &copy->after,
                              &copy->text};
    uint8_t *at = (uint8_t *)(copy + 1);
    for (size_t i = 0; i < sizeof(from) / sizeof(from[0]); i++) {
        *to[i] = sgn_bytes_of(at, from[i]->count);
        if (from[i]->count > 0) {
            memcpy(at, from[i]->ptr, from[i]->count);
            at += from[i]->count;
        }
    }
    return copy;
}

static void deliver(struct sim_world *world, struct sim_event *arrival)
{
    struct sim_node *node = &world->nodes[arrival->node];
    struct sim_node *from = &world->nodes[arrival->from];
    /* A connection ends with either process: nothing of one life reaches another. */
    if (!node->up || node->boot != arrival->node_boot || from->boot != arrival->from_boot ||
        world->blocked[arrival->from][arrival->node]) {
        return;
    }
    struct sgn_event event = {.node = from->id, .msg = *arrival->msg};
    bool one_way = sgn_msg_is_one_way(arrival->msg->type);
    event.type = arrival->is_answer || one_way ? SGN_EV_MESSAGE : SGN_EV_REQUEST;
    event.token = PEER_TOKEN | (uint64_t)(arrival->from_boot & 0x7fff) << 48 |
                  (uint64_t)arrival->from << 40 | arrival->msg->request;
    world->messages++;
    sim_feed(world, arrival->node, &event);
}

static void transmit(
    struct sim_world *world, uint32_t from, uint32_t to, const struct sgn_msg *msg, bool is_answer)
{
    const struct sim_options *o = &world->options;
    bool faults = !world->healing;
    if (faults && sgn_prng_chance(&world->prng, o->loss_pm)) {
        return;
    }
    /* A connection delivers once; doubling stands for what the ring itself sends twice. A put that
     * is passed on is not among that: its two answers would be two outcomes of one request. */
    bool once = msg->type == SGN_MSG_PUT || msg->type == SGN_MSG_DEL;
    bool twice = !once && faults && sgn_prng_chance(&world->prng, o->duplicate_pm);
    uint32_t copies = twice ? 2 : 1;
    for (uint32_t i = 0; i < copies; i++) {
        uint64_t delay = 50 + sgn_prng_below(&world->prng, 200);
        if (faults && sgn_prng_chance(&world->prng, o->reorder_pm)) {
            delay += sgn_prng_below(&world->prng, (uint64_t)o->delay_us_max + 1);
        }
        struct sim_event *event = sim_schedule(world, delay, deliver);
        event->node = to;
        event->from = from;
        event->node_boot = world->nodes[to].boot;
        event->from_boot = world->nodes[from].boot;
        event->msg = sim_msg_copy(msg);
        event->is_answer = is_answer;
    }
}

/* --- one node's driver ------------------------------------------------------------------------ */

static void disk_loaded(struct sim_world *world, struct sim_event *done)
{
    struct sim_node *node = &world->nodes[done->node];
    if (!node->up || node->boot != done->node_boot) {
        return;
    }
    struct sgn_effect *ask = done->scan;
    struct sgn_bytes key = ask->msg.value; /* The copy that event_free releases. */
    const struct sim_entry *entry = sim_disk_find(&node->disk, ask->family, key);
    struct sgn_event event = {
        .type = SGN_EV_LOADED, .token = done->token, .err = SGN_ERR_NOT_FOUND};
    if (entry != NULL) {
        event.err = SGN_OK;
        event.value = sgn_bytes_of(entry->value, entry->value_bytes);
        if (!world->healing && node->disk.rotten && ask->family == SGN_FAMILY_DATA &&
            sgn_prng_chance(&world->prng, world->options.rot_pm)) {
            event.err = SGN_ERR_CORRUPT;
            event.value = sgn_bytes_of(NULL, 0);
            sim_disk_delete(&node->disk, SGN_FAMILY_DATA, key);
            sim_disk_put(&node->disk,
                         SGN_FAMILY_DATA,
                         key,
                         sgn_bytes_str("\xff"
                                       "rot"));
        } else if (entry->value_bytes == 4 && entry->value[0] == 0xff) {
            event.err = SGN_ERR_CORRUPT;
            event.value = sgn_bytes_of(NULL, 0);
        }
    }
    sim_feed(world, done->node, &event);
}

static void disk_scanned(struct sim_world *world, struct sim_event *done)
{
    struct sim_node *node = &world->nodes[done->node];
    if (!node->up || node->boot != done->node_boot) {
        return;
    }
    static uint8_t room[2 * SGN_PAGE_BYTES_MAX];
    struct sgn_sink items = sgn_sink_of(room, sizeof(room));
    struct sgn_event event = {.type = SGN_EV_SCANNED, .token = done->token};
    sim_disk_scan(&node->disk,
                  &done->scan->scan,
                  world->ring.partition_count,
                  &items,
                  &event.after,
                  &event.end);
    event.items = sgn_sink_bytes(&items);
    sim_feed(world, done->node, &event);
}

static void disk_committed(struct sim_world *world, struct sim_event *done)
{
    struct sim_node *node = &world->nodes[done->node];
    if (!node->up || node->boot != done->node_boot) {
        return;
    }
    node->commit_scheduled = false;
    uint32_t count = node->disk.queue_count;
    uint32_t kept = count;
    int err = SGN_OK;
    bool faults = !world->healing;
    uint64_t *tokens = malloc((count + 1) * sizeof(tokens[0]));
    SGN_ASSERT(tokens != NULL);
    for (uint32_t i = 0; i < count; i++) {
        tokens[i] = node->disk.queue[i].token;
    }
    if (node->disk.failed) {
        err = SGN_ERR_IO;
        kept = 0;
    } else if (faults && sgn_prng_chance(&world->prng, world->options.disk_error_pm)) {
        err = SGN_ERR_IO; /* What the plate took before it broke, nobody is told. */
        kept = (uint32_t)sgn_prng_below(&world->prng, (uint64_t)count + 1);
        node->disk.failed = true;
    } else if (node->disk.full) {
        err = SGN_ERR_DISK_FULL; /* Leaves no trace. */
        kept = 0;
    }
    node->write_refused = node->write_refused || err != SGN_OK;
    sim_disk_commit(&node->disk, kept);
    sim_disk_queue_drop(&node->disk);
    uint32_t boot = node->boot;
    for (uint32_t i = 0; i < count && node->up && node->boot == boot; i++) {
        struct sgn_event event = {.type = SGN_EV_STORED, .token = tokens[i], .err = err};
        sim_feed(world, done->node, &event);
    }
    free(tokens);
}

static struct sgn_effect *effect_keep(const struct sgn_effect *effect)
{
    struct sgn_effect *copy = malloc(sizeof(*copy));
    size_t bytes = effect->key.count + effect->scan.prefix.count + effect->scan.after.count +
                   effect->scan.partitions.count + 1;
    uint8_t *room = malloc(bytes);
    SGN_ASSERT(copy != NULL && room != NULL);
    *copy = *effect;
    struct sgn_sink sink = sgn_sink_of(room, bytes);
    struct sgn_bytes *parts[] = {
        &copy->key, &copy->scan.prefix, &copy->scan.after, &copy->scan.partitions};
    for (size_t i = 0; i < 4; i++) {
        struct sgn_bytes old = *parts[i];
        *parts[i] = sgn_bytes_of(sink.ptr + sink.count, old.count);
        sgn_sink_put(&sink, old.ptr, old.count);
    }
    copy->msg.value = sgn_bytes_of(room, effect->key.count);
    return copy;
}

static void disk_ask(struct sim_world *world,
                     uint32_t index,
                     const struct sgn_effect *effect,
                     void (*run)(struct sim_world *, struct sim_event *))
{
    struct sim_event *event = sim_schedule(world, 5 + sgn_prng_below(&world->prng, 300), run);
    event->node = index;
    event->node_boot = world->nodes[index].boot;
    event->token = effect->token;
    event->scan = effect_keep(effect);
}

static void perform_send(struct sim_world *world, uint32_t index, const struct sgn_effect *effect)
{
    int to = sgn_ring_find(&world->ring, effect->node);
    SGN_ASSERT(to >= 0 && (uint32_t)to != index);
    if (world->nodes[index].connected[to]) {
        transmit(world, index, (uint32_t)to, &effect->msg, false);
    }
}

static void perform_reply(struct sim_world *world, uint32_t index, const struct sgn_effect *effect)
{
    if ((effect->token & PEER_TOKEN) == 0) {
        sim_client_reply(world, effect->token, &effect->msg);
        return;
    }
    uint32_t to = (uint32_t)(effect->token >> 40 & 0xff);
    if ((world->nodes[to].boot & 0x7fff) != (uint32_t)(effect->token >> 48 & 0x7fff)) {
        return; /* Who asked has gone, and its connection with it: another life's numbers differ. */
    }
    struct sgn_msg answer = effect->msg;
    answer.request = (uint32_t)effect->token;
    transmit(world, index, to, &answer, true);
}

static void perform_store(struct sim_world *world, uint32_t index, const struct sgn_effect *effect)
{
    struct sim_node *node = &world->nodes[index];
    sim_check_store(world, index, effect);
    sim_disk_queue(&node->disk, effect->token, effect);
    if (!node->commit_scheduled) {
        node->commit_scheduled = true;
        bool stall = !world->healing && sgn_prng_chance(&world->prng, world->options.disk_stall_pm);
        uint64_t delay = 80 + sgn_prng_below(&world->prng, stall ? 3000000 : 4000);
        struct sim_event *event = sim_schedule(world, delay, disk_committed);
        event->node = index;
        event->node_boot = node->boot;
    }
}

static void flush(struct sim_world *world, struct sim_event *due)
{
    struct sim_node *node = &world->nodes[due->node];
    if (node->up && node->boot == due->node_boot) {
        node->flush_scheduled = false;
        struct sgn_event event = {.type = SGN_EV_FLUSH};
        sim_feed(world, due->node, &event);
    }
}

void sim_feed(struct sim_world *world, uint32_t index, struct sgn_event *event)
{
    struct sim_node *node = &world->nodes[index];
    if (!node->up) {
        return;
    }
    event->now_ms = world->now_us / 1000;
    event->now_us = world->now_us;
    event->wall_ms = UINT64_C(1700000000000) + (uint64_t)((int64_t)event->now_ms + node->skew_ms);
    event->random = sgn_prng_next(&world->prng);
    fold(world, world->now_us ^ (uint64_t)event->type << 56 ^ (uint64_t)index << 48);
    fold(world, (uint64_t)event->msg.type ^ (uint64_t)(uint32_t)event->err << 32);
    fold_bytes(world, event->msg.key);
    fold_bytes(world, event->msg.value);

    /* A reply may feed another node, so there is a list for each depth; they are large, so kept. */
    SGN_ASSERT(world->depth < SIM_DEPTH_MAX);
    struct sgn_effects **kept = &world->effects[world->depth++];
    *kept = *kept == NULL ? malloc(sizeof(**kept)) : *kept;
    struct sgn_effects *effects = *kept;
    SGN_ASSERT(effects != NULL);
    effects->count = 0;
    sgn_engine_step(node->engine, event, effects);
    world->steps++;
    uint32_t boot = node->boot;
    for (uint32_t i = 0; i < effects->count && node->boot == boot; i++) {
        const struct sgn_effect *effect = &effects->list[i];
        switch (effect->type) {
        case SGN_FX_SEND: perform_send(world, index, effect); break;
        case SGN_FX_REPLY: perform_reply(world, index, effect); break;
        case SGN_FX_LOAD: disk_ask(world, index, effect, disk_loaded); break;
        case SGN_FX_SCAN: disk_ask(world, index, effect, disk_scanned); break;
        case SGN_FX_STORE: perform_store(world, index, effect); break;
        case SGN_FX_LOG:
            if (world->options.verbose) {
                (void)fprintf(stderr,
                              "%8.3f node %u: %s\n",
                              (double)world->now_us / 1e6,
                              node->id,
                              effect->text);
            }
            break;
        }
    }
    world->depth--;
    if (node->up && node->boot == boot && !node->flush_scheduled &&
        sgn_engine_wants_flush(node->engine)) {
        node->flush_scheduled = true;
        struct sim_event *due = sim_schedule(world, 10 + sgn_prng_below(&world->prng, 90), flush);
        due->node = index;
        due->node_boot = boot;
    }
}

static void tick(struct sim_world *world, struct sim_event *due)
{
    struct sim_node *node = &world->nodes[due->node];
    if (!node->up || node->boot != due->node_boot) {
        return;
    }
    if (!node->paused || world->healing) {
        struct sgn_event event = {.type = SGN_EV_TICK};
        sim_feed(world, due->node, &event);
    }
    struct sim_event *next = sim_schedule(world, SGN_TICK_MS * 1000, tick);
    next->node = due->node;
    next->node_boot = node->boot;
}

static uint32_t stored_generation(const struct sim_node *node, const char *name, uint32_t least)
{
    const struct sim_entry *entry =
        sim_disk_find(&node->disk, SGN_FAMILY_META, sgn_bytes_str(name));
    uint32_t stored = entry == NULL ? 0 : (uint32_t)sgn_get_uint(entry->value, 4);
    return stored > least ? stored : least;
}

void sim_node_start(struct sim_world *world, uint32_t index)
{
    struct sim_node *node = &world->nodes[index];
    SGN_ASSERT(!node->up);
    node->home_generation = stored_generation(node, "home", node->home_generation);
    node->guest_generation = stored_generation(node, "guest", node->guest_generation);
    node->boot++;
    node->up = true;
    node->paused = false;
    node->commit_scheduled = false;
    node->flush_scheduled = false;
    node->disk.failed = false;
    node->pool = sim_pool_of(&world->prng, &world->healing, world->options.pool_refuse_pm);
    node->memory = calloc(1, sgn_engine_bytes(&world->ring) + 16);
    SGN_ASSERT(node->memory != NULL);
    struct sgn_engine_options options = {.node = node->id,
                                         .incarnation = node->boot,
                                         .home_generation = node->home_generation,
                                         .guest_generation = node->guest_generation,
                                         .request_timeout_ms = 2000,
                                         .replica_timeout_ms = 300,
                                         .heartbeat_ms = 100,
                                         .suspect_ms = 500,
                                         .tree_interval_ms = 400,
                                         .hints_max = 200,
                                         .out_ms = 5000,
                                         .resolve_ms = 500};
    node->engine = sgn_engine_init(
        node->memory, &world->ring, &node->pool.pool, &options, world->now_us / 1000);
    const char *refused = sim_restore(node->engine, &node->disk);
    SGN_ASSERT(refused == NULL);
    node->pool.starting = false;
    struct sim_event *first = sim_schedule(world, 1000, tick);
    first->node = index;
    first->node_boot = node->boot;
}

void sim_node_stop(struct sim_world *world, uint32_t index, bool clean)
{
    struct sim_node *node = &world->nodes[index];
    SGN_ASSERT(node->up);
    if (clean) {
        sim_disk_commit(&node->disk, node->disk.queue_count);
    } else {
        sim_disk_power_cut(&node->disk, &world->prng);
    }
    if (!clean || node->write_refused) {
        uint32_t home = stored_generation(node, "home", node->home_generation);
        uint32_t guest = stored_generation(node, "guest", node->guest_generation);
        node->home_generation = home + 1; /* What the store does after an unclean stop. */
        node->guest_generation = guest + 1;
    }
    sgn_engine_clear(node->engine);
    if (node->pool.in_use != 0) {
        sim_violation(&world->history,
                      "node %u kept %llu bytes of its pool",
                      node->id,
                      (unsigned long long)node->pool.in_use);
    }
    free(node->memory);
    node->engine = NULL;
    node->up = false;
    node->write_refused = false;
    node->boot++;
    memset(node->connected, 0, sizeof(node->connected));
}
