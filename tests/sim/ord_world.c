/* tests/sim/ord_world.c - virtual time and the course of an ordered run. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "ring/core/check.h"
#include "ring/core/placement.h"
#include "tests/sim/ord.h"

#define SECOND_US      UINT64_C(1000000)
#define CLIENTS_MAX_US (600 * SECOND_US)
#define REST_MAX_US    (60 * SECOND_US)
#define REST_LOOK_US   UINT64_C(50000)
#define FAST_SHARE_OF  20u
#define FAST_SHARE     95u /* Per cent of strong reads, without faults and with witnesses. */

/* --- events ----------------------------------------------------------------------------------- */

struct ord_event *ord_schedule(struct ord_world *world,
                               uint64_t delay_us,
                               void (*run)(struct ord_world *, struct ord_event *))
{
    struct ord_event *event = calloc(1, sizeof(*event));
    SGN_ASSERT(event != NULL);
    event->when = (struct sim_when){world->now_us + delay_us, world->order++};
    event->run = run;
    sim_heap_push(&world->heap, &event->when);
    return event;
}

struct ord_event *ord_schedule_at(struct ord_world *world,
                                  uint32_t node,
                                  uint64_t delay_us,
                                  void (*run)(struct ord_world *, struct ord_event *))
{
    struct ord_event *event = ord_schedule(world, delay_us, run);
    event->to = node;
    event->to_boot = world->nodes[node].boot;
    event->held = true;
    return event;
}

void ord_fold(struct ord_world *world, uint64_t word)
{
    world->hash = sgn_mix64(world->hash ^ word) + world->hash;
}

void ord_log(const struct ord_world *world, const char *format, ...)
{
    if (!world->options.verbose) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)fprintf(stderr, "%10.4f ", (double)world->now_us / 1e6);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
}

static void event_free(struct ord_event *event)
{
    free(event->msg);
    free(event->ask);
    free(event->ask_bytes);
    free(event);
}

/* A stopped process does nothing, and then everything at once, in the order it came. */
static bool waits(struct ord_world *world, struct ord_event *event)
{
    if (!event->held) {
        return false;
    }
    uint64_t until_us = world->nodes[ord_host(world, event->to)].paused_until_us;
    if (until_us <= world->now_us) {
        return false;
    }
    event->when = (struct sim_when){until_us, world->order++};
    sim_heap_push(&world->heap, &event->when);
    return true;
}

static void run_until(struct ord_world *world,
                      uint64_t until_us,
                      bool (*done)(const struct ord_world *))
{
    while (world->heap.count > 0 && world->heap.list[0]->at_us <= until_us &&
           world->oracle.violation[0] == '\0' && (done == NULL || !done(world))) {
        struct ord_event *event = (struct ord_event *)sim_heap_pop(&world->heap);
        world->now_us = event->when.at_us;
        if (waits(world, event)) {
            continue;
        }
        if (!event->held || (ord_process_up(world, event->to) &&
                             ord_process_boot(world, event->to) == event->to_boot)) {
            event->run(world, event);
        }
        event_free(event);
    }
}

/* --- begin and end ---------------------------------------------------------------------------- */

static void make_ring(struct ord_world *world)
{
    const struct ord_options *o = &world->options;
    struct sgn_ring *ring = &world->ring;
    (void)snprintf(ring->name, sizeof(ring->name), "sim");
    ring->epoch = 1;
    ring->partition_count = o->partitions;
    ring->replica_count = o->replicas;
    ring->member_count = o->nodes;
    ring->table = world->table;
    for (uint32_t i = 0; i < o->nodes; i++) {
        ring->members[i] = (struct sgn_member){.id = i + 1, .weight = 1};
        (void)snprintf(
            ring->members[i].address, sizeof(ring->members[i].address), "127.0.0.1:%u", 7000 + i);
        world->nodes[i].id = i + 1;
        world->nodes[i].disk_id = sgn_prng_next(&world->prng) | 1;
    }
    size_t bytes = sgn_placement_scratch_bytes(o->partitions, o->nodes);
    void *scratch = malloc(bytes);
    SGN_ASSERT(scratch != NULL);
    int err = sgn_placement_solve(ring, NULL, scratch, bytes);
    SGN_ASSERT(err == SGN_OK);
    free(scratch);
}

static void world_begin(struct ord_world *world)
{
    const struct ord_options *o = &world->options;
    make_ring(world);
    world->effects = malloc(sizeof(*world->effects));
    SGN_ASSERT(world->effects != NULL);
    struct sgn_bucket row = {.kind = SGN_BUCKET_ORDERED, .stamp = 1, .node = 1};
    (void)snprintf(row.name, sizeof(row.name), ORD_BUCKET);
    row.n = (uint8_t)o->replicas;
    row.r = row.w = (uint8_t)(o->replicas / 2 + 1);
    uint8_t raw[256];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    sgn_bucket_encode(&row, &sink);
    for (uint32_t i = 0; i < o->nodes; i++) {
        struct ord_node *node = &world->nodes[i];
        sim_disk_put(&node->disk,
                     SGN_FAMILY_META,
                     sgn_bytes_str("buckets/" ORD_BUCKET),
                     sgn_sink_bytes(&sink));
        uint64_t most = o->fault[ORD_skew_ms];
        node->skew_ms = (int64_t)sgn_prng_below(&world->prng, 2 * most + 1) - (int64_t)most;
        ord_node_start(world, i);
    }
    world->rotten_node = (uint32_t)sgn_prng_below(&world->prng, o->nodes);
    world->nodes[world->rotten_node].disk.rotten = o->fault[ORD_rot] > 0;
    ord_net_begin(world);
    ord_admin_begin(world);
    ord_faults_begin(world);
    ord_clients_begin(world);
}

static void world_end(struct ord_world *world)
{
    for (uint32_t i = 0; i < world->options.nodes; i++) {
        if (world->nodes[i].up) {
            ord_node_stop(world, i, true);
        }
        sim_disk_clear(&world->nodes[i].disk);
    }
    for (uint32_t i = 0; i < ORD_FLEET_MAX; i++) {
        ord_witness_stop(world, i);
    }
    for (uint32_t i = 0; i < world->heap.count; i++) {
        event_free((struct ord_event *)world->heap.list[i]);
    }
    for (uint32_t i = 0; i < world->kept_count; i++) {
        event_free(world->kept[i]);
    }
    free(world->heap.list);
    free(world->kept);
    free(world->effects);
    sgn_history_clear(&world->history);
    ord_white_clear(&world->white);
}

/* --- the course ------------------------------------------------------------------------------- */

static void come_to_rest(struct ord_world *world, const char *when)
{
    char why[160] = "";
    uint64_t until = world->now_us + REST_MAX_US;
    bool rests = false;
    while (!rests && world->now_us < until && world->oracle.violation[0] == '\0') {
        run_until(world, world->now_us + REST_LOOK_US, NULL);
        rests = ord_at_rest(world, why, sizeof(why));
        ord_read_rotten(world);
    }
    if (!rests) {
        ord_tell_disks(world);
        ord_violation(&world->oracle, "no rest within 60 s %s: %s", when, why);
    }
}

static uint64_t fast_reads(const struct ord_world *world)
{
    uint64_t fast = 0;
    for (uint32_t i = 0; i < world->options.nodes; i++) {
        struct sgn_engine_counts counts;
        sgn_engine_counts(world->nodes[i].engine, &counts);
        fast += counts.reads_fast;
    }
    return fast;
}

static bool verified(const struct ord_world *world)
{
    return world->verify_left == 0;
}

/* At rest and with a fleet every strong read takes the fast path. */
static void verify(struct ord_world *world)
{
    uint64_t before = fast_reads(world);
    ord_verify_begin(world);
    run_until(world, world->now_us + REST_MAX_US, verified);
    if (world->verify_left > 0) {
        ord_violation(&world->oracle, "the last strong reads were not answered");
        return;
    }
    uint64_t fast = fast_reads(world) - before;
    const struct sgn_map *map = sgn_engine_map(world->nodes[0].engine);
    uint64_t due = 0;
    for (uint32_t key = 0; key < world->options.keys; key++) {
        due += map->lines[ord_key_partition(world, key)].group_count > 0;
    }
    if (fast < due) {
        ord_violation(&world->oracle,
                      "at rest only %llu of %llu strong reads took the fast path",
                      (unsigned long long)fast,
                      (unsigned long long)due);
    }
}

/* Without faults, of keys that nobody is writing. */
static void check_fast_share(struct ord_world *world)
{
    if (world->options.fault_free && world->options.fleet > 0 &&
        world->clean_reads >= FAST_SHARE_OF &&
        world->clean_fast * 100 < world->clean_reads * FAST_SHARE) {
        ord_violation(&world->oracle,
                      "only %llu of %llu strong reads took the fast path without faults",
                      (unsigned long long)world->clean_fast,
                      (unsigned long long)world->clean_reads);
    }
}

static void course(struct ord_world *world)
{
    world_begin(world);
    run_until(world, CLIENTS_MAX_US, ord_clients_done);
    if (!ord_clients_done(world)) {
        ord_violation(&world->oracle, "clients were still waiting after 600 s");
        return;
    }
    check_fast_share(world);
    if (world->oracle.violation[0] != '\0') {
        return;
    }
    ord_log(world, "healing");
    ord_faults_heal(world);
    come_to_rest(world, "after healing");
    if (world->oracle.violation[0] != '\0') {
        return;
    }
    ord_check_final(world);
    ord_log(world, "%u frames arrive late", world->kept_count);
    ord_net_release_kept(world);
    run_until(world, world->now_us + SECOND_US, NULL);
    come_to_rest(world, "after late frames");
    if (world->oracle.violation[0] == '\0') {
        verify(world);
        ord_check_final(world);
    }
}

bool ord_run(const struct ord_options *options, uint64_t *hash, char *report, size_t report_cap)
{
    struct ord_world *world = calloc(1, sizeof(*world));
    SGN_ASSERT(world != NULL);
    world->options = *options;
    world->prng.state = options->seed;
    course(world);
    *hash = world->hash;
    bool good = world->oracle.violation[0] == '\0';
    (void)snprintf(
        report,
        report_cap,
        "%s | %.1f s virtual, %llu steps, %llu messages, %llu crashes, %llu wipes, %llu moves, map "
        "%u, %llu acked, %llu refused, %llu unknown, %llu strong reads",
        good ? "ok" : world->oracle.violation,
        (double)world->now_us / 1e6,
        (unsigned long long)world->steps,
        (unsigned long long)world->messages,
        (unsigned long long)world->crashes,
        (unsigned long long)world->wipes,
        (unsigned long long)world->moves,
        world->white.map_highest,
        (unsigned long long)world->acked,
        (unsigned long long)world->refused,
        (unsigned long long)world->unknowns,
        (unsigned long long)world->strong_reads);
    world_end(world);
    free(world);
    return good;
}
