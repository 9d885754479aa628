/* tests/sim/ord_disk.c - what a node asks of its disk, some time later. */
#include <stdlib.h>

#include "ring/core/check.h"
#include "tests/sim/ord.h"

static void keep_ask(struct ord_event *event, const struct sgn_effect *effect)
{
    event->token = effect->token;
    event->ask = malloc(sizeof(*event->ask));
    size_t bytes = effect->key.count + effect->scan.prefix.count + effect->scan.after.count +
                   effect->scan.partitions.count + 1;
    event->ask_bytes = malloc(bytes);
    SGN_ASSERT(event->ask != NULL && event->ask_bytes != NULL);
    *event->ask = *effect;
    struct sgn_sink sink = sgn_sink_of(event->ask_bytes, bytes);
    struct sgn_bytes *parts[] = {&event->ask->key,
                                 &event->ask->scan.prefix,
                                 &event->ask->scan.after,
                                 &event->ask->scan.partitions};
    for (size_t i = 0; i < 4; i++) {
        struct sgn_bytes old = *parts[i];
        *parts[i] = sgn_bytes_of(sink.ptr + sink.count, old.count);
        sgn_sink_put(&sink, old.ptr, old.count);
    }
}

/* --- load ------------------------------------------------------------------------------------- */

static void rot(struct ord_world *world, struct sim_disk *disk, struct sgn_bytes key)
{
    ord_log(world, "node %u: key %u rots", world->rotten_node + 1, ord_key_number(key));
    sim_disk_put(disk,
                 SGN_FAMILY_DATA,
                 key,
                 sgn_bytes_str("\xff"
                               "rot"));
}

static void loaded(struct ord_world *world, struct ord_event *done)
{
    struct ord_node *node = &world->nodes[done->to];
    const struct sgn_effect *ask = done->ask;
    const struct sim_entry *entry = sim_disk_find(&node->disk, ask->family, ask->key);
    if (entry != NULL && !world->healing && node->disk.rotten && ask->family == SGN_FAMILY_DATA &&
        sgn_prng_chance(&world->prng, world->options.fault[ORD_rot])) {
        rot(world, &node->disk, ask->key);
        entry = sim_disk_find(&node->disk, ask->family, ask->key);
    }
    struct sgn_event event = {
        .type = SGN_EV_LOADED, .token = done->token, .err = SGN_ERR_NOT_FOUND};
    if (entry != NULL && entry->value_bytes == 4 && entry->value[0] == 0xff) {
        event.err = SGN_ERR_CORRUPT;
    } else if (entry != NULL) {
        event.err = SGN_OK;
        event.value = sgn_bytes_of(entry->value, entry->value_bytes);
    }
    ord_feed(world, done->to, &event);
}

void ord_disk_load(struct ord_world *world, uint32_t index, const struct sgn_effect *effect)
{
    uint64_t delay = 5 + sgn_prng_below(&world->prng, 200);
    keep_ask(ord_schedule_at(world, index, delay, loaded), effect);
}

/* --- scan ------------------------------------------------------------------------------------- */

static void scanned(struct ord_world *world, struct ord_event *done)
{
    static uint8_t room[2 * SGN_PAGE_BYTES_MAX];
    struct sgn_sink items = sgn_sink_of(room, sizeof(room));
    struct sgn_event event = {.type = SGN_EV_SCANNED, .token = done->token};
    sim_disk_scan(&world->nodes[done->to].disk,
                  &done->ask->scan,
                  world->ring.partition_count,
                  &items,
                  &event.after,
                  &event.end);
    event.items = sgn_sink_bytes(&items);
    ord_feed(world, done->to, &event);
}

void ord_disk_scan(struct ord_world *world, uint32_t index, const struct sgn_effect *effect)
{
    uint64_t delay = 5 + sgn_prng_below(&world->prng, 200);
    keep_ask(ord_schedule_at(world, index, delay, scanned), effect);
}

/* --- another one ------------------------------------------------------------------------------ */

void ord_disk_replace(struct ord_world *world, uint32_t index)
{
    struct ord_node *node = &world->nodes[index];
    SGN_ASSERT(!node->up);
    sim_disk_clear(&node->disk);
    node->disk = (struct sim_disk){.failed = false};
    node->disk_id = sgn_prng_next(&world->prng) | 1;
    node->incarnation = (uint32_t)(sgn_prng_next(&world->prng) & 0x3fffffff) + 1;
    node->wipes++;
    world->wipes++;
    memset(world->white.promised[index], 0, sizeof(world->white.promised[index]));
    ord_log(world, "node %u has an empty disk", node->id);
}

bool ord_disk_is_lost(const struct ord_world *world, uint32_t index)
{
    const struct ord_node *node = &world->nodes[index];
    return node->wipes > 0 &&
           sim_disk_find(&node->disk, SGN_FAMILY_META, sgn_bytes_str("map")) == NULL;
}

static bool is_whole(const struct ord_world *world, const struct sgn_map *map)
{
    bool whole = true;
    for (uint32_t i = 0; i < world->options.nodes; i++) {
        whole = whole && sgn_map_disk(map, world->nodes[i].id) == world->nodes[i].disk_id;
    }
    for (uint32_t p = 0; p < map->partition_count; p++) {
        for (uint32_t i = 0; i < map->lines[p].seat_count; i++) {
            whole = whole && (map->lines[p].seats[i].sets & SGN_SET_LOST) == 0;
        }
    }
    return whole;
}

bool ord_disk_may_be_lost(const struct ord_world *world)
{
    const struct sgn_map *newest = ord_newest_map(world);
    return newest != NULL && newest->version == world->white.map_highest && is_whole(world, newest);
}

/* --- store ------------------------------------------------------------------------------------ */

static uint32_t sync_outcome(struct ord_world *world, struct ord_node *node, int *err)
{
    uint32_t count = node->disk.queue_count;
    *err = SGN_OK;
    if (node->disk.failed) {
        *err = SGN_ERR_IO;
        return 0;
    }
    if (!world->healing && sgn_prng_chance(&world->prng, world->options.fault[ORD_disk_error])) {
        *err = SGN_ERR_IO; /* What the plate took before it broke, nobody is told. */
        node->disk.failed = true;
        return (uint32_t)sgn_prng_below(&world->prng, (uint64_t)count + 1);
    }
    if (node->disk.full) {
        *err = SGN_ERR_DISK_FULL; /* Leaves no trace. */
        return 0;
    }
    return count;
}

/* The first units of the queue reach the plate. */
static void keep(struct ord_world *world, uint32_t index, uint32_t count)
{
    struct sim_disk *disk = &world->nodes[index].disk;
    for (uint32_t i = 0; i < count; i++) {
        const struct sim_unit *unit = &disk->queue[i];
        for (uint32_t w = 0; w < unit->write_count; w++) {
            ord_white_durable(world, index, (uint32_t)unit->note, &unit->writes[w]);
        }
    }
    sim_disk_commit(disk, count);
}

void ord_disk_stop(struct ord_world *world, uint32_t index, bool clean)
{
    struct sim_disk *disk = &world->nodes[index].disk;
    uint32_t count = disk->queue_count;
    if (disk->failed || disk->full) {
        count = 0; /* A store that failed takes no more writes. */
    } else if (!clean) {
        count = (uint32_t)sgn_prng_below(&world->prng, (uint64_t)count + 1);
    }
    keep(world, index, count);
    sim_disk_queue_drop(disk);
    disk->failed = false;
}

static void committed(struct ord_world *world, struct ord_event *done)
{
    struct ord_node *node = &world->nodes[done->to];
    node->commit_scheduled = false;
    uint32_t count = node->disk.queue_count;
    int err = SGN_OK;
    uint32_t kept = sync_outcome(world, node, &err);
    if (err != SGN_OK || world->options.verbose > 1) {
        ord_log(world, "node %u: sync of %u units, error %d, kept %u", node->id, count, err, kept);
    }
    uint64_t *tokens = malloc((count + 1) * sizeof(tokens[0]));
    SGN_ASSERT(tokens != NULL);
    for (uint32_t i = 0; i < count; i++) {
        tokens[i] = node->disk.queue[i].token;
    }
    keep(world, done->to, kept);
    sim_disk_queue_drop(&node->disk);
    uint32_t boot = node->boot;
    for (uint32_t i = 0; i < count && node->up && node->boot == boot; i++) {
        struct sgn_event event = {.type = SGN_EV_STORED, .token = tokens[i], .err = err};
        ord_feed(world, done->to, &event);
    }
    free(tokens);
}

void ord_disk_store(struct ord_world *world, uint32_t index, const struct sgn_effect *effect)
{
    struct ord_node *node = &world->nodes[index];
    sim_disk_queue(&node->disk, effect->token, effect);
    node->disk.queue[node->disk.queue_count - 1].note = sgn_engine_map(node->engine)->version;
    if (node->commit_scheduled) {
        return;
    }
    node->commit_scheduled = true;
    bool stall =
        !world->healing && sgn_prng_chance(&world->prng, world->options.fault[ORD_disk_stall]);
    uint64_t delay = 80 + sgn_prng_below(&world->prng, stall ? 3000000 : 1500);
    (void)ord_schedule_at(world, index, delay, committed);
}
