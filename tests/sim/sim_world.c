/* tests/sim/sim_world.c - virtual time and the course of a run. */
#include <stdio.h>
#include <stdlib.h>

#include "ring/core/check.h"
#include "ring/core/key.h"
#include "ring/core/placement.h"
#include "tests/sim/sim.h"

/* --- events ----------------------------------------------------------------------------------- */

struct sim_event *sim_schedule(struct sim_world *world,
                               uint64_t delay_us,
                               void (*run)(struct sim_world *, struct sim_event *))
{
    struct sim_event *event = calloc(1, sizeof(*event));
    SGN_ASSERT(event != NULL);
    event->when = (struct sim_when){world->now_us + delay_us, world->order++};
    event->run = run;
    sim_heap_push(&world->heap, &event->when);
    return event;
}

static void event_free(struct sim_event *event)
{
    free(event->msg);
    if (event->scan != NULL) {
        free(event->scan->msg.value.ptr == NULL ? NULL
                                                : (void *)(uintptr_t)event->scan->msg.value.ptr);
        free(event->scan);
    }
    free(event);
}

/* --- a run ------------------------------------------------------------------------------------ */

static void world_begin(struct sim_world *world)
{
    const struct sim_options *o = &world->options;
    struct sgn_ring *ring = &world->ring;
    (void)snprintf(ring->name, sizeof(ring->name), "sim");
    ring->epoch = 1;
    ring->partition_count = o->partitions;
    ring->replica_count = o->replicas;
    ring->member_count = o->nodes;
    ring->table = world->table;
    for (uint32_t i = 0; i < o->nodes; i++) {
        ring->members[i] = (struct sgn_member){.id = i + 1, .weight = 1 + i % 2};
        (void)snprintf(
            ring->members[i].address, sizeof(ring->members[i].address), "127.0.0.1:%u", 7000 + i);
        world->nodes[i].id = i + 1;
        world->nodes[i].home_generation = 1;
        world->nodes[i].guest_generation = 1;
    }
    size_t bytes = sgn_placement_scratch_bytes(o->partitions, o->nodes);
    void *scratch = malloc(bytes);
    SGN_ASSERT(scratch != NULL);
    int err = sgn_placement_solve(ring, NULL, scratch, bytes);
    SGN_ASSERT(err == SGN_OK);
    free(scratch);

    struct sgn_bucket_table *buckets = malloc(sizeof(*buckets));
    SGN_ASSERT(buckets != NULL);
    sgn_bucket_table_init(buckets, o->replicas);
    struct sgn_bucket row = buckets->rows[0];
    (void)snprintf(row.name, sizeof(row.name), SIM_BUCKET);
    row.kind = SGN_BUCKET_AVAILABLE;
    row.r = (uint8_t)o->r;
    row.w = (uint8_t)o->w;
    row.stamp = 1;
    uint8_t raw[256];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    sgn_bucket_encode(&row, &sink);
    free(buckets);
    for (uint32_t i = 0; i < o->nodes; i++) {
        struct sim_node *node = &world->nodes[i];
        sim_disk_put(&node->disk,
                     SGN_FAMILY_META,
                     sgn_bytes_str("buckets/" SIM_BUCKET),
                     sgn_sink_bytes(&sink));
        node->skew_ms = (int64_t)sgn_prng_below(&world->prng, 2 * (uint64_t)o->skew_ms_max + 1) -
                        (int64_t)o->skew_ms_max;
        sim_node_start(world, i);
    }
    world->rotten_node = (uint32_t)sgn_prng_below(&world->prng, o->nodes);
    world->nodes[world->rotten_node].disk.rotten = o->rot_pm > 0;
}

static void run_until(struct sim_world *world,
                      uint64_t until_us,
                      bool (*done)(const struct sim_world *))
{
    while (world->heap.count > 0 && world->heap.list[0]->at_us <= until_us &&
           world->history.violation[0] == '\0' && (done == NULL || !done(world))) {
        struct sim_event *event = (struct sim_event *)sim_heap_pop(&world->heap);
        world->now_us = event->when.at_us;
        event->run(world, event);
        event_free(event);
    }
}

static bool homes_agree(const struct sim_world *world)
{
    for (uint32_t p = 0; p < world->ring.partition_count; p++) {
        uint32_t homes[SGN_REPLICAS_MAX];
        uint32_t count = sgn_ring_preference(&world->ring, p, homes, world->ring.replica_count);
        int first = sgn_ring_find(&world->ring, homes[0]);
        uint64_t root = sgn_engine_tree_root(world->nodes[first].engine, p);
        for (uint32_t i = 1; i < count; i++) {
            int other = sgn_ring_find(&world->ring, homes[i]);
            if (sgn_engine_tree_root(world->nodes[other].engine, p) != root) {
                return false;
            }
        }
    }
    return true;
}

static bool at_rest(const struct sim_world *world)
{
    if (!sim_clients_done(world)) {
        return false;
    }
    for (uint32_t i = 0; i < world->options.nodes; i++) {
        struct sgn_engine_counts counts;
        sgn_engine_counts(world->nodes[i].engine, &counts);
        if (!sgn_engine_is_idle(world->nodes[i].engine) || counts.hints_held > 0 ||
            counts.peers_alive + 1 < world->options.nodes) {
            return false;
        }
    }
    return homes_agree(world);
}

/* The disks themselves, not what the engines say: every home has the same bytes for every key. */
static void check_final(struct sim_world *world)
{
    for (uint32_t key = 0; key < world->options.keys; key++) {
        uint8_t room[SGN_FULL_KEY_BYTES_MAX];
        struct sgn_bytes bytes = sim_full_key(key, room);
        uint32_t partition = sgn_partition_of(sgn_hash(bytes), world->ring.partition_count);
        uint32_t homes[SGN_REPLICAS_MAX];
        uint32_t count =
            sgn_ring_preference(&world->ring, partition, homes, world->ring.replica_count);
        struct sgn_bytes first = {0};
        for (uint32_t i = 0; i < count; i++) {
            struct sim_node *node = &world->nodes[sgn_ring_find(&world->ring, homes[i])];
            const struct sim_entry *entry = sim_disk_find(&node->disk, SGN_FAMILY_DATA, bytes);
            struct sgn_bytes held = entry == NULL ? sgn_bytes_of("", 0)
                                                  : sgn_bytes_of(entry->value, entry->value_bytes);
            if (i > 0 && !sgn_bytes_equal(first, held)) {
                sim_violation(&world->history,
                              "key %u differs between nodes %u and %u",
                              key,
                              homes[0],
                              homes[i]);
            }
            first = held;
        }
        struct sgn_record record;
        if (sgn_record_decode(first, SGN_RECORD_WITH_BODIES, &record) != SGN_OK) {
            sim_violation(&world->history, "key %u is not a record on disk", key);
            continue;
        }
        sim_history_check_final(&world->history, key, &record);
    }
}

/* Takes one key with an acknowledged, still readable value off every disk, behind everybody's
 * back. */
static void canary(struct sim_world *world)
{
    for (uint32_t key = 0; key < world->options.keys; key++) {
        uint8_t room[SGN_FULL_KEY_BYTES_MAX];
        struct sgn_bytes full = sim_full_key(key, room);
        bool matters = false;
        for (uint32_t i = 0; i < world->options.nodes && !matters; i++) {
            const struct sim_entry *entry =
                sim_disk_find(&world->nodes[i].disk, SGN_FAMILY_DATA, full);
            struct sgn_record record;
            sgn_record_init(&record);
            if (entry != NULL) {
                (void)sgn_record_decode(sgn_bytes_of(entry->value, entry->value_bytes),
                                        SGN_RECORD_WITH_BODIES,
                                        &record);
            }
            for (uint32_t s = 0; s < record.sibling_count && !matters; s++) {
                uint32_t number = sim_history_read(&world->history, key, record.siblings[s].body);
                matters = number != UINT32_MAX && sim_history_needs(&world->history, number);
            }
        }
        for (uint32_t i = 0; i < world->options.nodes && matters; i++) {
            sim_disk_delete(&world->nodes[i].disk, SGN_FAMILY_DATA, full);
        }
        if (matters) {
            return;
        }
    }
}

static void world_end(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->options.nodes; i++) {
        if (world->nodes[i].up) {
            sim_node_stop(world, i, true);
        }
        sim_disk_clear(&world->nodes[i].disk);
    }
    for (uint32_t i = 0; i < world->heap.count; i++) {
        event_free((struct sim_event *)world->heap.list[i]);
    }
    free(world->heap.list);
    for (uint32_t i = 0; i < SIM_DEPTH_MAX; i++) {
        free(world->effects[i]);
    }
    sim_history_clear(&world->history);
}

bool sim_run(const struct sim_options *options, uint64_t *hash, char *report, size_t report_cap)
{
    struct sim_world *world = calloc(1, sizeof(*world));
    SGN_ASSERT(world != NULL);
    world->options = *options;
    world->history.clocks_agree = options->skew_ms_max == 0 && options->clock_jump_pm == 0;
    world->prng.state = options->seed;
    world_begin(world);
    sim_faults_begin(world);
    sim_clients_begin(world);
    run_until(world, UINT64_C(600) * 1000000, sim_clients_done);
    if (!sim_clients_done(world)) {
        sim_violation(&world->history, "clients were still waiting after 600 s");
    }
    sim_faults_heal(world);
    uint64_t healed_us = world->now_us;
    run_until(world, healed_us + UINT64_C(3) * 1000000, NULL); /* All have found each other. */
    sim_sweep(world);
    run_until(world, healed_us + UINT64_C(120) * 1000000, at_rest);
    if (world->history.violation[0] == '\0') {
        if (!at_rest(world)) {
            sim_violation(&world->history, "the ring did not come to rest within 120 s of healing");
        }
        if (options->inject_loss) {
            canary(world);
        }
        check_final(world);
    }
    *hash = world->hash;
    bool good = world->history.violation[0] == '\0';
    (void)snprintf(
        report,
        report_cap,
        "%s | %.1f s virtual, rest after %.1f s, %llu steps, %llu messages, %llu crashes, "
        "%llu acked, %llu refused",
        good ? "ok" : world->history.violation,
        (double)world->now_us / 1e6,
        (double)(world->now_us - healed_us) / 1e6,
        (unsigned long long)world->steps,
        (unsigned long long)world->messages,
        (unsigned long long)world->crashes,
        (unsigned long long)world->acked,
        (unsigned long long)world->refused);
    world_end(world);
    free(world);
    return good;
}
