/* tests/sim/ord_net.c - the network between nodes, witnesses and connections. */
#include <stdlib.h>

#include "ring/core/check.h"
#include "tests/sim/ord.h"

#define RECONNECT_US 40000u

uint32_t ord_process(const struct ord_world *world, uint32_t id)
{
    if ((id & SGN_WITNESS_BIT) == 0) {
        return id >= 1 && id <= world->options.nodes ? id - 1 : UINT32_MAX;
    }
    for (uint32_t i = 0; i < ORD_FLEET_MAX; i++) {
        if (world->fleet[i].id == id) {
            return ORD_NODES_MAX + i;
        }
    }
    return UINT32_MAX;
}

bool ord_process_up(const struct ord_world *world, uint32_t process)
{
    return process < ORD_NODES_MAX ? world->nodes[process].up
                                   : world->fleet[process - ORD_NODES_MAX].up;
}

uint32_t ord_process_boot(const struct ord_world *world, uint32_t process)
{
    return process < ORD_NODES_MAX ? world->nodes[process].boot
                                   : world->fleet[process - ORD_NODES_MAX].boot;
}

uint32_t ord_process_id(const struct ord_world *world, uint32_t process)
{
    return process < ORD_NODES_MAX ? world->nodes[process].id
                                   : world->fleet[process - ORD_NODES_MAX].id;
}

uint32_t ord_host(const struct ord_world *world, uint32_t process)
{
    uint32_t slot = process - ORD_NODES_MAX;
    if (process < ORD_NODES_MAX) {
        return process;
    }
    return world->options.inside && slot < world->options.nodes ? slot : UINT32_MAX;
}

/* --- frames ----------------------------------------------------------------------------------- */

static void deliver(struct ord_world *world, struct ord_event *arrival)
{
    /* A connection ends with either process: nothing of one life reaches another. */
    if (!ord_process_up(world, arrival->to) ||
        ord_process_boot(world, arrival->to) != arrival->to_boot ||
        ord_process_boot(world, arrival->from) != arrival->from_boot ||
        (world->blocked[arrival->from][arrival->to] &&
         ord_host(world, arrival->from) != ord_host(world, arrival->to))) {
        return;
    }
    world->messages++;
    if (world->options.verbose > 1) {
        const struct sgn_msg *msg = arrival->msg;
        ord_log(world,
                "  %u -> %u %s %u epoch %u err %d items %zu",
                arrival->from,
                arrival->to,
                sgn_msg_name(msg->type),
                msg->request,
                msg->epoch,
                msg->err,
                msg->items.count);
    }
    if (arrival->to >= ORD_NODES_MAX) {
        ord_witness_deliver(world, arrival->to - ORD_NODES_MAX, arrival);
        return;
    }
    struct sgn_event event = {.node = ord_process_id(world, arrival->from), .msg = *arrival->msg};
    bool one_way = arrival->is_answer || sgn_msg_is_one_way(arrival->msg->type);
    event.type = one_way ? SGN_EV_MESSAGE : SGN_EV_REQUEST;
    event.token = ORD_PEER_TOKEN | (uint64_t)(arrival->from_boot & 0xfffff) << 40 |
                  (uint64_t)arrival->from << 32 | arrival->msg->request;
    if (!one_way) {
        ord_white_asked(world, arrival->to, arrival->from, arrival->msg);
    }
    ord_feed(world, arrival->to, &event);
}

static struct ord_event *frame(struct ord_world *world,
                               uint64_t delay_us,
                               uint32_t from,
                               uint32_t to,
                               const struct sgn_msg *msg,
                               bool is_answer)
{
    struct ord_event *event = ord_schedule(world, delay_us, deliver);
    event->to = to;
    event->from = from;
    event->to_boot = ord_process_boot(world, to);
    event->from_boot = ord_process_boot(world, from);
    event->held = ord_host(world, to) != UINT32_MAX;
    event->is_answer = is_answer;
    event->msg = sim_msg_copy(msg);
    return event;
}

/* A frame that arrives when all is over: ten minutes are longer than a run. */
static void keep(
    struct ord_world *world, uint32_t from, uint32_t to, const struct sgn_msg *msg, bool is_answer)
{
    if (world->kept_count == world->kept_cap) {
        world->kept_cap = world->kept_cap == 0 ? 64 : world->kept_cap * 2;
        world->kept = realloc(world->kept, world->kept_cap * sizeof(struct ord_event *));
        SGN_ASSERT(world->kept != NULL);
    }
    struct ord_event *event = calloc(1, sizeof(*event));
    SGN_ASSERT(event != NULL);
    *event = (struct ord_event){.to = to,
                                .from = from,
                                .to_boot = ord_process_boot(world, to),
                                .from_boot = ord_process_boot(world, from),
                                .held = ord_host(world, to) != UINT32_MAX,
                                .is_answer = is_answer,
                                .msg = sim_msg_copy(msg),
                                .run = deliver};
    world->kept[world->kept_count++] = event;
}

void ord_net_release_kept(struct ord_world *world)
{
    for (uint32_t i = 0; i < world->kept_count; i++) {
        struct ord_event *event = world->kept[i];
        event->when =
            (struct sim_when){world->now_us + sgn_prng_below(&world->prng, 300000), world->order++};
        sim_heap_push(&world->heap, &event->when);
    }
    world->kept_count = 0;
}

/* Between a short while and ten minutes; each decade is as likely. */
static uint64_t late_us(struct ord_world *world)
{
    uint64_t most = 1000;
    for (uint64_t i = sgn_prng_below(&world->prng, 6); i > 0; i--) {
        most *= 10;
    }
    return sgn_prng_below(&world->prng, most);
}

/* Between a node and the witness inside it: a request is a call, made between two effects; its
 * answer is there as soon as the engine can be entered again. */
static void within(
    struct ord_world *world, uint32_t from, uint32_t to, const struct sgn_msg *msg, bool is_answer)
{
    if (is_answer) {
        (void)frame(world, 0, from, to, msg, true);
    } else if (ord_process_up(world, to)) {
        struct sgn_msg *copy = sim_msg_copy(msg);
        struct ord_event call = {.to = to, .from = from, .msg = copy};
        ord_witness_deliver(world, to - ORD_NODES_MAX, &call);
        free(copy);
    }
}

void ord_transmit(
    struct ord_world *world, uint32_t from, uint32_t to, const struct sgn_msg *msg, bool is_answer)
{
    const struct ord_options *o = &world->options;
    struct sgn_prng *prng = &world->prng;
    if (ord_host(world, from) == ord_host(world, to)) {
        within(world, from, to, msg, is_answer);
        return;
    }
    uint64_t delay = 50 + sgn_prng_below(prng, 150);
    if (world->healing) {
        (void)frame(world, delay, from, to, msg, is_answer);
        return;
    }
    if (sgn_prng_chance(prng, o->fault[ORD_loss])) {
        return;
    }
    /* A connection delivers once. Doubling stands for what the ring itself sends twice, and late
     * copies for what a connection that was given up still brings. A client's request that is
     * passed on is not among that: its two answers would be two outcomes of one attempt. */
    bool once = !is_answer && (msg->type == SGN_MSG_PUT || msg->type == SGN_MSG_DEL);
    bool one_way = sgn_msg_is_one_way(msg->type) && to < ORD_NODES_MAX;
    if (!once && sgn_prng_chance(prng, o->fault[ORD_duplicate])) {
        (void)frame(
            world, delay + sgn_prng_below(prng, o->delay_us_max + 1), from, to, msg, is_answer);
    }
    if (!once && one_way && sgn_prng_chance(prng, o->fault[ORD_replay])) {
        (void)frame(world, late_us(world), from, to, msg, is_answer);
        keep(world, from, to, msg, is_answer);
    }
    if (sgn_prng_chance(prng, o->fault[ORD_late])) {
        if (sgn_prng_chance(prng, 300)) {
            keep(world, from, to, msg, is_answer);
        } else {
            (void)frame(world, late_us(world), from, to, msg, is_answer);
        }
        return;
    }
    if (sgn_prng_chance(prng, o->fault[ORD_reorder])) {
        delay += sgn_prng_below(prng, (uint64_t)o->delay_us_max + 1);
    }
    (void)frame(world, delay, from, to, msg, is_answer);
}

/* --- connections ------------------------------------------------------------------------------ */

static void connection_event(struct ord_world *world, uint32_t node, uint32_t process, bool up)
{
    world->nodes[node].connected[process] = up;
    struct sgn_event event = {.type = up ? SGN_EV_PEER_UP : SGN_EV_PEER_DOWN,
                              .node = ord_process_id(world, process)};
    ord_feed(world, node, &event);
}

/* Whether the node would dial it: every other node, and the witnesses that its map lists. */
static bool wants(const struct ord_world *world, uint32_t node, uint32_t process)
{
    if (process < ORD_NODES_MAX) {
        return process < world->options.nodes && process != node;
    }
    uint32_t id = world->fleet[process - ORD_NODES_MAX].id;
    const struct sgn_map *map = sgn_engine_map(world->nodes[node].engine);
    for (uint32_t i = 0; i < map->witness_count; i++) {
        if (id != 0 && map->witnesses[i].id == id) {
            return true;
        }
    }
    return false;
}

/* A connection needs both ways; a standing one breaks some time after either way is cut. */
static void connections(struct ord_world *world, struct ord_event *due)
{
    (void)due;
    for (uint32_t a = 0; a < world->options.nodes; a++) {
        for (uint32_t b = 0; b < ORD_PROCS_MAX; b++) {
            struct ord_node *node = &world->nodes[a];
            if (!node->up || node->paused_until_us > world->now_us) {
                continue;
            }
            bool wanted = wants(world, a, b);
            bool there = wanted && ord_process_up(world, b);
            bool open = there && (ord_host(world, b) == a ||
                                  (!world->blocked[a][b] && !world->blocked[b][a]));
            if (open && !node->connected[b]) {
                connection_event(world, a, b, true);
            } else if (!open && node->connected[b] &&
                       (!there || sgn_prng_chance(&world->prng, 50))) {
                connection_event(world, a, b, false);
            }
        }
    }
    (void)ord_schedule(world, RECONNECT_US, connections);
}

void ord_net_begin(struct ord_world *world)
{
    (void)ord_schedule(world, 1000, connections);
}
