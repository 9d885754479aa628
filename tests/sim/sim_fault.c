/* tests/sim/sim_fault.c - which faults a seed draws, and the hand that works them. */
#include <stdio.h>

#include "ring/core/check.h"
#include "tests/sim/sim.h"

#define FAULT_TURN_US 150000u
#define RECONNECT_US  60000u

/* Most seeds have some faults and not others: a fault that is always there hides what only its
 * absence would show ("swarm testing", Groce et al. 2012). */
static uint32_t draw(struct sgn_prng *prng, uint32_t chance_pm, uint32_t most)
{
    uint32_t strength = 1 + (uint32_t)sgn_prng_below(prng, most);
    return sgn_prng_chance(prng, chance_pm) ? strength : 0;
}

void sim_options_draw(struct sim_options *o, uint64_t seed)
{
    struct sgn_prng prng = {.state = seed ^ UINT64_C(0x5167e7)};
    *o = (struct sim_options){.seed = seed};
    o->nodes = 3 + (uint32_t)sgn_prng_below(&prng, 4);
    o->replicas = o->nodes >= 5 && sgn_prng_chance(&prng, 250) ? 5 : 3;
    o->partitions = UINT32_C(8) << sgn_prng_below(&prng, 3);
    o->w = 1 + (uint32_t)sgn_prng_below(&prng, o->replicas);
    o->r = 1 + (uint32_t)sgn_prng_below(&prng, o->replicas);
    o->clients = 1 + (uint32_t)sgn_prng_below(&prng, SIM_CLIENTS_MAX);
    o->keys = 1 + (uint32_t)sgn_prng_below(&prng, SIM_KEYS_MAX);
    o->ops = 60 + (uint32_t)sgn_prng_below(&prng, 300);
    o->delay_us_max = 1000 + (uint32_t)sgn_prng_below(&prng, 900000);
    o->loss_pm = draw(&prng, 500, 120);
    o->duplicate_pm = draw(&prng, 500, 200);
    o->reorder_pm = draw(&prng, 600, 400);
    o->cut_pm = draw(&prng, 500, 200);
    o->one_way_pm = draw(&prng, 400, 200);
    o->crash_pm = draw(&prng, 600, 150);
    o->clean_restart_pm = draw(&prng, 300, 80);
    o->disk_error_pm = draw(&prng, 250, 8);
    o->disk_full_pm = draw(&prng, 250, 60);
    /* A rotten disk is one copy lost: what one copy's word was enough for may go with it. */
    o->rot_pm = o->w > 1 ? draw(&prng, 200, 30) : 0;
    o->clock_jump_pm = draw(&prng, 300, 60);
    o->pool_refuse_pm = draw(&prng, 150, 20);
    o->pause_pm = draw(&prng, 300, 60);
    o->skew_ms_max = draw(&prng, 600, 3000);
    o->disk_stall_pm = draw(&prng, 250, 60);
    o->value_bytes_max = sgn_prng_chance(&prng, 100) ? 40000 : 200;
}

void sim_options_print(const struct sim_options *o, char *text, size_t cap)
{
    (void)snprintf(
        text,
        cap,
        "seed=%llu nodes=%u replicas=%u partitions=%u r=%u w=%u clients=%u keys=%u ops=%u "
        "delay_us=%u loss=%u duplicate=%u reorder=%u cut=%u one_way=%u crash=%u "
        "clean_restart=%u disk_error=%u disk_full=%u rot=%u clock_jump=%u pool_refuse=%u "
        "pause=%u skew_ms=%u value_bytes=%u disk_stall=%u",
        (unsigned long long)o->seed,
        o->nodes,
        o->replicas,
        o->partitions,
        o->r,
        o->w,
        o->clients,
        o->keys,
        o->ops,
        o->delay_us_max,
        o->loss_pm,
        o->duplicate_pm,
        o->reorder_pm,
        o->cut_pm,
        o->one_way_pm,
        o->crash_pm,
        o->clean_restart_pm,
        o->disk_error_pm,
        o->disk_full_pm,
        o->rot_pm,
        o->clock_jump_pm,
        o->pool_refuse_pm,
        o->pause_pm,
        o->skew_ms_max,
        o->value_bytes_max,
        o->disk_stall_pm);
}

static void peer_event(struct sim_world *world, uint32_t node, uint32_t peer, bool up)
{
    world->nodes[node].connected[peer] = up;
    struct sgn_event event = {.type = up ? SGN_EV_PEER_UP : SGN_EV_PEER_DOWN,
                              .node = world->nodes[peer].id};
    sim_feed(world, node, &event);
}

/* A connection needs both ways; a standing one breaks some time after either way is cut. */
static void connections(struct sim_world *world, struct sim_event *due)
{
    (void)due;
    for (uint32_t a = 0; a < world->options.nodes; a++) {
        for (uint32_t b = 0; b < world->options.nodes; b++) {
            struct sim_node *node = &world->nodes[a];
            if (a == b || !node->up) {
                continue;
            }
            bool open = world->nodes[b].up && !world->blocked[a][b] && !world->blocked[b][a];
            if (open && !node->connected[b]) {
                peer_event(world, a, b, true);
            } else if (!open && node->connected[b] &&
                       (!world->nodes[b].up || sgn_prng_chance(&world->prng, 50))) {
                peer_event(world, a, b, false);
            }
        }
    }
    (void)sim_schedule(world, RECONNECT_US, connections);
}

static void come_back(struct sim_world *world, struct sim_event *due)
{
    if (!world->nodes[due->node].up) {
        sim_node_start(world, due->node);
    }
}

static void go_down(struct sim_world *world, uint32_t node, bool clean)
{
    if (!world->nodes[node].up) {
        return;
    }
    sim_node_stop(world, node, clean);
    world->crashes++;
    for (uint32_t i = 0; i < world->options.nodes; i++) {
        if (world->nodes[i].up && world->nodes[i].connected[node]) {
            peer_event(world, i, node, false);
        }
    }
    uint64_t away = sgn_prng_chance(&world->prng, 300) ? 8000000 : 900000;
    sim_schedule(world, sgn_prng_below(&world->prng, away), come_back)->node = node;
}

static void end_cut(struct sim_world *world, struct sim_event *due)
{
    world->blocked[due->node][due->from] = false;
}

static void cut(struct sim_world *world, uint32_t from, uint32_t to)
{
    world->blocked[from][to] = true;
    struct sim_event *event =
        sim_schedule(world, 100000 + sgn_prng_below(&world->prng, 4000000), end_cut);
    event->node = from;
    event->from = to;
}

/* Cuts a random group off from the rest. */
static void cut_group(struct sim_world *world)
{
    uint64_t group = sgn_prng_next(&world->prng);
    for (uint32_t a = 0; a < world->options.nodes; a++) {
        for (uint32_t b = 0; b < world->options.nodes; b++) {
            if ((group >> a & 1) != (group >> b & 1)) {
                cut(world, a, b);
            }
        }
    }
}

static void disk_space_back(struct sim_world *world, struct sim_event *due)
{
    world->nodes[due->node].disk.full = false;
}

static void pause_ends(struct sim_world *world, struct sim_event *due)
{
    world->nodes[due->node].paused = false;
}

static void fault_turn(struct sim_world *world, struct sim_event *due)
{
    (void)due;
    if (world->healing) {
        return;
    }
    const struct sim_options *o = &world->options;
    struct sgn_prng *prng = &world->prng;
    uint32_t node_count = o->nodes;
    SGN_ASSERT(node_count > 1);
    uint32_t node = (uint32_t)sgn_prng_below(prng, node_count);
    if (sgn_prng_chance(prng, o->crash_pm)) {
        go_down(world, node, false);
        if (sgn_prng_chance(prng, 100)) {
            for (uint32_t i = 0; i < o->nodes; i++) { /* The room loses power. */
                go_down(world, i, false);
            }
        }
    }
    if (world->nodes[node].disk.failed && world->nodes[node].up && sgn_prng_chance(prng, 300)) {
        go_down(world, node, false); /* What its operator would do. */
    }
    if (sgn_prng_chance(prng, o->clean_restart_pm)) {
        go_down(world, node, !world->nodes[node].disk.failed && !world->nodes[node].disk.full);
    }
    if (sgn_prng_chance(prng, o->cut_pm)) {
        cut_group(world);
    }
    if (sgn_prng_chance(prng, o->one_way_pm)) {
        uint32_t distance = 1 + (uint32_t)sgn_prng_below(prng, node_count - 1);
        cut(world, node, (node + distance) % node_count);
    }
    if (sgn_prng_chance(prng, o->disk_full_pm)) {
        world->nodes[node].disk.full = true;
        sim_schedule(world, sgn_prng_below(prng, 3000000), disk_space_back)->node = node;
    }
    if (sgn_prng_chance(prng, o->clock_jump_pm)) {
        world->nodes[node].skew_ms += (int64_t)sgn_prng_below(prng, 8000) - 4000;
    }
    if (sgn_prng_chance(prng, o->pause_pm)) {
        world->nodes[node].paused = true;
        sim_schedule(world, sgn_prng_below(prng, 1500000), pause_ends)->node = node;
    }
    (void)sim_schedule(world, FAULT_TURN_US, fault_turn);
}

void sim_faults_begin(struct sim_world *world)
{
    (void)sim_schedule(world, 1000, connections);
    (void)sim_schedule(world, 2000000, fault_turn);
}

void sim_faults_heal(struct sim_world *world)
{
    world->healing = true;
    memset(world->blocked, 0, sizeof(world->blocked));
    for (uint32_t i = 0; i < world->options.nodes; i++) {
        struct sim_node *node = &world->nodes[i];
        node->disk.full = false;
        node->paused = false;
        node->skew_ms = 0;
        if (node->up && node->disk.failed) {
            go_down(world, i, false);
        }
        if (!node->up) {
            sim_node_start(world, i);
        }
    }
}
