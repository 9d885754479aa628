/* tests/sim/ord_fault.c - the hand that works the faults, and the one that heals. */
#include "ring/core/check.h"
#include "tests/sim/ord.h"

#define FAULT_START_US 1300000u
#define FAULT_TURN_US  100000u

/* --- processes -------------------------------------------------------------------------------- */

static void come_back(struct ord_world *world, struct ord_event *due)
{
    struct ord_node *node = &world->nodes[due->to];
    if (!node->up && node->down_until_us <= world->now_us) {
        ord_node_start(world, due->to);
    }
}

static void go_down(struct ord_world *world, uint32_t node, bool clean, uint64_t away_us)
{
    if (!world->nodes[node].up) {
        return;
    }
    ord_node_stop(world, node, clean);
    world->crashes++;
    world->nodes[node].down_until_us = world->now_us + away_us;
    ord_schedule(world, away_us, come_back)->to = node;
}

void ord_crash(struct ord_world *world, uint32_t node, uint64_t away_us)
{
    go_down(world, node, false, away_us);
}

static void witness_back(struct ord_world *world, struct ord_event *due)
{
    struct ord_witness *witness = &world->fleet[due->token];
    if (!witness->up && witness->wanted) {
        ord_witness_start(world, (uint32_t)due->token);
    }
}

void ord_witness_crash(struct ord_world *world, uint32_t slot)
{
    if (world->fleet[slot].up) {
        uint32_t host = ord_host(world, ORD_NODES_MAX + slot);
        uint64_t most_us = sgn_prng_chance(&world->prng, 300) ? 5000000 : 300000;
        uint64_t away_us = 1 + sgn_prng_below(&world->prng, most_us);
        if (host != UINT32_MAX) {
            ord_crash(world, host, away_us); /* One never dies without the other. */
            return;
        }
        ord_witness_stop(world, slot);
        ord_schedule(world, away_us, witness_back)->token = slot;
    }
}

/* --- links ------------------------------------------------------------------------------------ */

static void end_cut(struct ord_world *world, struct ord_event *due)
{
    world->blocked[due->to][due->from] = false;
}

static void cut(struct ord_world *world, uint32_t from, uint32_t to)
{
    world->blocked[from][to] = true;
    uint64_t most = sgn_prng_chance(&world->prng, 700) ? 600000 : 4000000;
    struct ord_event *event =
        ord_schedule(world, 50000 + sgn_prng_below(&world->prng, most), end_cut);
    event->to = from;
    event->from = to;
}

/* Cuts a random group of processes off from the rest. */
static void cut_group(struct ord_world *world)
{
    uint64_t group = sgn_prng_next(&world->prng);
    for (uint32_t a = 0; a < ORD_PROCS_MAX; a++) {
        for (uint32_t b = 0; b < ORD_PROCS_MAX; b++) {
            if ((group >> a & 1) != (group >> b & 1)) {
                cut(world, a, b);
            }
        }
    }
}

static void cut_one_way(struct ord_world *world)
{
    uint32_t from = (uint32_t)sgn_prng_below(&world->prng, ORD_PROCS_MAX);
    uint32_t to = (uint32_t)sgn_prng_below(&world->prng, ORD_PROCS_MAX);
    if (from != to) {
        cut(world, from, to);
    }
}

/* --- a turn ----------------------------------------------------------------------------------- */

static void disk_space_back(struct ord_world *world, struct ord_event *due)
{
    world->nodes[due->token].disk.full = false;
}

static bool strikes(struct ord_world *world, enum ord_fault fault)
{
    return sgn_prng_chance(&world->prng, world->options.fault[fault]);
}

static void strike_node(struct ord_world *world, uint32_t index)
{
    struct sgn_prng *prng = &world->prng;
    struct ord_node *node = &world->nodes[index];
    if (strikes(world, ORD_crash)) {
        ord_crash(world, index, 1 + sgn_prng_below(prng, 900000));
    }
    if (strikes(world, ORD_long_down)) {
        ord_crash(world, index, 1500000 + sgn_prng_below(prng, 4000000));
    }
    if (strikes(world, ORD_restart) || (node->disk.failed && sgn_prng_chance(prng, 300))) {
        bool clean = !node->disk.failed && !node->disk.full;
        go_down(world, index, clean, 1 + sgn_prng_below(prng, 600000));
    }
    if (strikes(world, ORD_wipe) && world->options.fault[ORD_rot] == 0 &&
        ord_disk_may_be_lost(world)) {
        ord_crash(world, index, 1 + sgn_prng_below(prng, 900000));
        ord_disk_replace(world, index);
    }
    if (strikes(world, ORD_disk_full)) {
        node->disk.full = true;
        ord_schedule(world, sgn_prng_below(prng, 2000000), disk_space_back)->token = index;
    }
    if (strikes(world, ORD_clock_jump)) {
        node->skew_ms += (int64_t)sgn_prng_below(prng, 6000) - 3000;
    }
    if (strikes(world, ORD_pause) && node->up) {
        uint64_t most = sgn_prng_chance(prng, 800) ? 1500000 : 10000000;
        node->paused_until_us = world->now_us + 100000 + sgn_prng_below(prng, most);
        ord_log(world, "node %u is stopped for a while", node->id);
    }
}

static void strike_fleet(struct ord_world *world)
{
    if (strikes(world, ORD_witness_crash)) {
        ord_witness_crash(world, (uint32_t)sgn_prng_below(&world->prng, ORD_FLEET_MAX));
    }
    if (strikes(world, ORD_fleet_crash)) {
        for (uint32_t i = 0; i < ORD_FLEET_MAX; i++) {
            ord_witness_crash(world, i);
        }
    }
    if (strikes(world, ORD_fleet_change)) {
        ord_admin_change_fleet(world);
    }
}

static void turn(struct ord_world *world, struct ord_event *due)
{
    (void)due;
    if (world->healing) {
        return;
    }
    strike_node(world, (uint32_t)sgn_prng_below(&world->prng, world->options.nodes));
    if (strikes(world, ORD_power)) {
        for (uint32_t i = 0; i < world->options.nodes; i++) {
            ord_crash(world, i, 1 + sgn_prng_below(&world->prng, 500000));
        }
        for (uint32_t i = 0; i < ORD_FLEET_MAX && sgn_prng_chance(&world->prng, 700); i++) {
            ord_witness_crash(world, i);
        }
    }
    strike_fleet(world);
    if (strikes(world, ORD_cut)) {
        cut_group(world);
    }
    if (strikes(world, ORD_one_way)) {
        cut_one_way(world);
    }
    if (strikes(world, ORD_move)) {
        ord_admin_move(world);
    }
    (void)ord_schedule(world, FAULT_TURN_US, turn);
}

void ord_faults_begin(struct ord_world *world)
{
    (void)ord_schedule(world, FAULT_START_US, turn);
}

void ord_faults_heal(struct ord_world *world)
{
    world->healing = true;
    memset(world->blocked, 0, sizeof(world->blocked));
    for (uint32_t i = 0; i < world->options.nodes; i++) {
        struct ord_node *node = &world->nodes[i];
        node->disk.full = false;
        node->paused_until_us = 0;
        node->skew_ms = 0;
        node->down_until_us = 0;
        if (node->up && node->disk.failed) {
            ord_node_stop(world, i, false);
        }
        if (!node->up) {
            ord_node_start(world, i);
        }
    }
    for (uint32_t i = 0; i < ORD_FLEET_MAX; i++) {
        bool hosted = ord_host(world, ORD_NODES_MAX + i) != UINT32_MAX; /* Back with its node. */
        if (world->fleet[i].wanted && !world->fleet[i].up && !hosted) {
            ord_witness_start(world, i);
        }
    }
}
