/* tests/sim/ord_admin.c - the operator: adds and drops witnesses, moves partitions. */
#include "ring/core/check.h"
#include "tests/sim/ord.h"

#define ADMIN_START_US 700000u
#define ADMIN_RETRY_US 400000u

static void ask(struct ord_world *world, struct ord_event *due);

static void arrives(struct ord_world *world, struct ord_event *arrival)
{
    struct sgn_event event = {
        .type = SGN_EV_REQUEST, .token = arrival->token, .msg = *arrival->msg};
    ord_feed(world, arrival->to, &event);
}

/* Asks some node; again after a while, until one says that it is done. */
static void ask(struct ord_world *world, struct ord_event *due)
{
    struct ord_admin *admin = &world->admin;
    if (!admin->busy || due->token != admin->token) {
        return;
    }
    uint32_t node = (uint32_t)sgn_prng_below(&world->prng, world->options.nodes);
    admin->token = ORD_ADMIN_TOKEN | ++world->next_token;
    ord_schedule(world, ADMIN_RETRY_US * 3, ask)->token = admin->token;
    if (!world->nodes[node].up) {
        return;
    }
    char address[SGN_ADDRESS_BYTES_MAX + 1];
    ord_witness_address(admin->slot, address);
    struct sgn_msg msg = {.type = SGN_MSG_MAP_CHANGE, .a = admin->change};
    if (admin->change == SGN_MAP_ADD_WITNESS) {
        uint32_t host = ord_host(world, ORD_NODES_MAX + admin->slot);
        msg.text = sgn_bytes_str(address);
        msg.b = host == UINT32_MAX ? 0 : world->nodes[host].id;
    } else {
        msg.b = world->fleet[admin->slot].id;
    }
    struct ord_event *event = ord_schedule_at(world, node, 50, arrives);
    event->token = admin->token;
    event->msg = sim_msg_copy(&msg);
}

static void begin(struct ord_world *world, uint32_t change, uint32_t slot)
{
    struct ord_admin *admin = &world->admin;
    admin->busy = true;
    admin->change = change;
    admin->slot = slot;
    admin->token = admin->first_token = ORD_ADMIN_TOKEN | ++world->next_token;
    ord_log(world, "operator: %s witness %u", change == SGN_MAP_ADD_WITNESS ? "add" : "drop", slot);
    ord_schedule(world, 1, ask)->token = admin->token;
}

static void join_next(struct ord_world *world)
{
    struct ord_admin *admin = &world->admin;
    world->fleet[admin->joined].wanted = true;
    begin(world, SGN_MAP_ADD_WITNESS, admin->joined++);
}

/* Whether the newest map lists no such witness. A node with an old map may say so of one that it
 * has not heard of yet, and then the drop is still to be made. */
static bool is_gone(const struct ord_world *world, uint32_t id)
{
    for (uint32_t i = 0; i < world->options.nodes; i++) {
        const struct sgn_map *map =
            world->nodes[i].up ? sgn_engine_map(world->nodes[i].engine) : NULL;
        if (map == NULL || map->version < world->white.map_highest) {
            continue;
        }
        for (uint32_t k = 0; k < map->witness_count; k++) {
            if (map->witnesses[k].id == id) {
                return false;
            }
        }
        return true;
    }
    return false;
}

void ord_admin_answer(struct ord_world *world, uint64_t token, const struct sgn_msg *msg)
{
    struct ord_admin *admin = &world->admin;
    bool gone = admin->change == SGN_MAP_DROP_WITNESS && msg->err == SGN_ERR_INVALID &&
                is_gone(world, world->fleet[admin->slot].id);
    if (token < admin->first_token) {
        return; /* Of the change before, which was asked for twice. */
    }
    if (!admin->busy || (msg->err != SGN_OK && !gone)) {
        return; /* `ask` comes again by itself. */
    }
    admin->busy = false;
    if (admin->joined < world->options.fleet) {
        join_next(world); /* The first fleet, one after the other. */
    }
}

static void first_fleet(struct ord_world *world, struct ord_event *due)
{
    (void)due;
    join_next(world);
}

void ord_admin_begin(struct ord_world *world)
{
    if (world->options.fleet > 0) {
        (void)ord_schedule(world, ADMIN_START_US, first_fleet);
    }
}

bool ord_admin_idle(const struct ord_world *world)
{
    return !world->admin.busy && world->admin.joined >= world->options.fleet;
}

void ord_admin_change_fleet(struct ord_world *world)
{
    if (!ord_admin_idle(world)) {
        return;
    }
    uint32_t slot = (uint32_t)sgn_prng_below(&world->prng, ORD_FLEET_MAX);
    struct ord_witness *witness = &world->fleet[slot];
    if (witness->id != 0 && witness->wanted && sgn_prng_chance(&world->prng, 500)) {
        witness->wanted = false; /* It may be gone for good before anyone says so. */
        if (sgn_prng_chance(&world->prng, 300) &&
            ord_host(world, ORD_NODES_MAX + slot) == UINT32_MAX) {
            ord_witness_stop(world, slot);
        }
        begin(world, SGN_MAP_DROP_WITNESS, slot);
    } else if (world->admin.joined < ORD_FLEET_MAX) {
        join_next(world);
    }
}

void ord_admin_move(struct ord_world *world)
{
    uint32_t nodes[ORD_NODES_MAX] = {0};
    uint32_t count = world->options.nodes;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)sgn_prng_below(&world->prng, (uint64_t)i + 1);
        nodes[i] = nodes[at];
        nodes[at] = i + 1;
    }
    uint32_t proposer = (uint32_t)sgn_prng_below(&world->prng, count);
    uint32_t key = (uint32_t)sgn_prng_below(&world->prng, world->options.keys);
    uint32_t partition = ord_key_partition(world, key);
    const struct ord_node *node = &world->nodes[proposer];
    if (node->up && node->paused_until_us <= world->now_us &&
        sgn_engine_move(node->engine, partition, nodes, world->options.replicas)) {
        world->moves++;
        ord_log(world, "operator: move partition %u", partition);
    }
}
