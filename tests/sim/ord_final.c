/* tests/sim/ord_final.c - when all faults are gone: is the ring at rest, and is it right? */
#include <stdio.h>

#include "ring/core/check.h"
#include "ring/core/witness_state.h"
#include "tests/sim/ord.h"

const struct sgn_map *ord_newest_map(const struct ord_world *world)
{
    const struct sgn_map *newest = NULL;
    for (uint32_t i = 0; i < world->options.nodes; i++) {
        const struct sgn_map *map =
            world->nodes[i].up ? sgn_engine_map(world->nodes[i].engine) : NULL;
        newest = newest == NULL || (map != NULL && map->version > newest->version) ? map : newest;
    }
    return newest;
}

static bool has_fleet(const struct sgn_map *map)
{
    for (uint32_t i = 0; i < map->witness_count; i++) {
        if (!map->witnesses[i].leaving && map->witnesses[i].incarnation != 0) {
            return true;
        }
    }
    return false;
}

static bool member_active(const struct ord_world *world,
                          const struct sgn_line *line,
                          uint32_t partition,
                          uint32_t i)
{
    uint32_t process = ord_process(world, line->group[i].id);
    if (process == UINT32_MAX || !world->fleet[process - ORD_NODES_MAX].up) {
        return false;
    }
    const struct ord_witness *witness = &world->fleet[process - ORD_NODES_MAX];
    const struct sgn_witness_part *part = &witness->core->parts[partition];
    return witness->boot == line->group[i].incarnation && part->epoch == line->epoch &&
           part->mode == SGN_WITNESS_IS_ACTIVE && part->chain.count == 0;
}

static bool line_rests(const struct ord_world *world,
                       const struct sgn_map *map,
                       uint32_t partition,
                       char *why,
                       size_t cap)
{
    const struct sgn_line *line = &map->lines[partition];
    uint64_t root = 0;
    for (uint32_t i = 0; i < line->seat_count; i++) {
        const struct ord_node *node = &world->nodes[line->seats[i].node - 1];
        uint64_t own = sgn_engine_tree_root(node->engine, partition);
        if (line->seats[i].state != SGN_SEAT_IN_SYNC || (i > 0 && own != root)) {
            (void)snprintf(why,
                           cap,
                           "partition %u: node %u is in state %u, its tree %s",
                           partition,
                           node->id,
                           line->seats[i].state,
                           i > 0 && own != root ? "differs" : "agrees");
            return false;
        }
        root = own;
    }
    for (uint32_t i = 0; i < line->group_count; i++) {
        if (!member_active(world, line, partition, i)) {
            (void)snprintf(why,
                           cap,
                           "partition %u: witness %x is not active and empty in epoch %u",
                           partition,
                           line->group[i].id,
                           line->epoch);
            return false;
        }
    }
    if (line->joint || (line->group_count == 0 && has_fleet(map))) {
        (void)snprintf(why, cap, "partition %u: its line is joint or without a group", partition);
        return false;
    }
    return true;
}

/* Tombstones are dropped one replica after the other (3.7), and hash trees do not count them. */
static bool key_rests(
    const struct ord_world *world, const struct sgn_map *map, uint32_t key, char *why, size_t cap)
{
    const struct sgn_line *line = &map->lines[ord_key_partition(world, key)];
    struct sgn_bytes first = {0};
    for (uint32_t i = 0; i < line->seat_count; i++) {
        struct sgn_bytes held = {0};
        (void)ord_white_held(world, line->seats[i].node - 1, key, &held);
        if (i > 0 && !sgn_bytes_equal(first, held)) {
            (void)snprintf(why,
                           cap,
                           "key %u differs between nodes %u and %u",
                           key,
                           line->seats[0].node,
                           line->seats[i].node);
            return false;
        }
        first = held;
    }
    return true;
}

bool ord_at_rest(const struct ord_world *world, char *why, size_t cap)
{
    (void)snprintf(why, cap, "clients, operator or last reads are not done");
    if (!ord_clients_done(world) || !ord_admin_idle(world) || world->verify_left > 0) {
        return false;
    }
    const struct sgn_map *map = ord_newest_map(world);
    for (uint32_t i = 0; i < world->options.nodes; i++) {
        struct sgn_engine_counts counts;
        const struct sgn_engine *engine = world->nodes[i].engine;
        sgn_engine_counts(engine, &counts);
        (void)snprintf(why,
                       cap,
                       "node %u: idle %d, alive %u, map %u of %u, dirty %u, pending %u",
                       i + 1,
                       sgn_engine_is_idle(engine),
                       counts.peers_alive,
                       sgn_engine_map(engine)->version,
                       map->version,
                       counts.dirty,
                       counts.pending);
        if (!sgn_engine_is_idle(engine) || counts.peers_alive + 1 < world->options.nodes ||
            sgn_engine_map(engine)->version != map->version || counts.dirty > 0 ||
            counts.pending > 0) {
            return false;
        }
    }
    for (uint32_t p = 0; p < map->partition_count; p++) {
        if (!line_rests(world, map, p, why, cap)) {
            return false;
        }
    }
    for (uint32_t key = 0; key < world->options.keys; key++) {
        if (!key_rests(world, map, key, why, cap)) {
            return false;
        }
    }
    return true;
}

static void scrub_arrives(struct ord_world *world, struct ord_event *arrival)
{
    struct sgn_event event = {
        .type = SGN_EV_REQUEST, .token = arrival->token, .msg = *arrival->msg};
    ord_feed(world, arrival->to, &event);
}

/* A repair that a read began is given up when no majority is there; the next read of the key at
 * that node begins another, and the clients are done. */
void ord_read_rotten(struct ord_world *world)
{
    uint32_t node = world->rotten_node;
    for (uint32_t key = 0; key < world->options.keys && world->nodes[node].up; key++) {
        if (!ord_white_rotten(world, node, key)) {
            continue;
        }
        char name[16];
        ord_key_name(key, name, sizeof(name));
        struct sgn_msg msg = {.type = SGN_MSG_GET,
                              .bucket = sgn_bytes_str(ORD_BUCKET),
                              .key = sgn_bytes_str(name),
                              .a = SGN_READ_EVENTUAL};
        struct ord_event *event = ord_schedule_at(world, node, 50, scrub_arrives);
        event->token = ORD_SCRUB_TOKEN;
        event->msg = sim_msg_copy(&msg);
    }
}

void ord_tell_disks(const struct ord_world *world)
{
    for (uint32_t key = 0; key < world->options.keys; key++) {
        uint32_t partition = ord_key_partition(world, key);
        for (uint32_t i = 0; i < world->options.nodes; i++) {
            struct sgn_bytes held = {0};
            bool there = ord_white_held(world, i, key, &held);
            struct sgn_ballot ballot = sgn_ordered_ballot(held);
            ord_log(world,
                    "key %u partition %u node %u:%s %llu.%u.%u.%u, %zu bytes, tree %llx",
                    key,
                    partition,
                    i + 1,
                    there                             ? ""
                    : ord_white_rotten(world, i, key) ? " rotten"
                                                      : " nothing",
                    (unsigned long long)ballot.hlc,
                    ballot.node,
                    ballot.incarnation,
                    ballot.step,
                    held.count,
                    world->nodes[i].up ? (unsigned long long)sgn_engine_tree_root(
                                             world->nodes[i].engine, partition)
                                       : 0ULL);
        }
    }
}

/* The disks themselves: what every seat holds is readable, and at or above what was exposed. */
static void check_key(struct ord_world *world, const struct sgn_map *map, uint32_t key)
{
    const struct sgn_line *line = &map->lines[ord_key_partition(world, key)];
    struct sgn_bytes first = {0};
    for (uint32_t i = 0; i < line->seat_count; i++) {
        struct sgn_bytes held = {0};
        uint32_t node = line->seats[i].node - 1;
        if (ord_white_rotten(world, node, key)) {
            ord_violation(&world->oracle, "key %u is still rotten at node %u", key, node + 1);
        }
        (void)ord_white_held(world, node, key, &held);
        first = held; /* They are equal, or it would not rest. */
    }
    struct sgn_ordered record;
    if (sgn_ordered_decode(first, true, &record) != SGN_OK) {
        ord_violation(&world->oracle, "key %u is not a record on disk", key);
        return;
    }
    ord_oracle_expose(&world->oracle, key, &record.version);
    ord_oracle_at_least(&world->oracle,
                        key,
                        &world->oracle.keys[key].floor,
                        &record.version,
                        "what is on the disks in the end");
}

void ord_check_final(struct ord_world *world)
{
    const struct sgn_map *map = ord_newest_map(world);
    for (uint32_t key = 0; key < world->options.keys; key++) {
        check_key(world, map, key);
    }
    if (world->options.fault_free && world->unknowns > 0) {
        ord_violation(&world->oracle,
                      "%llu unknown outcomes, and there were no faults",
                      (unsigned long long)world->unknowns);
    }
    struct sgn_linear_report report = {0};
    enum sgn_linear_verdict verdict = sgn_linear_check(&world->history, &report);
    if (verdict != SGN_LINEAR_OK) {
        ord_violation(&world->oracle,
                      "key %llu is not linearizable: %s",
                      (unsigned long long)report.key - 1,
                      report.reason);
        if (world->options.verbose) {
            sgn_linear_print(&world->history, &report, stderr);
        }
    }
}

/* --- the last look ---------------------------------------------------------------------------- */

static void verify_send(struct ord_world *world, struct ord_event *due);

static void verify_arrives(struct ord_world *world, struct ord_event *arrival)
{
    struct sgn_event event = {
        .type = SGN_EV_REQUEST, .token = arrival->token, .msg = *arrival->msg};
    ord_feed(world, arrival->to, &event);
}

static void verify_send(struct ord_world *world, struct ord_event *due)
{
    uint32_t key = (uint32_t)due->token & 0xff;
    char name[16];
    ord_key_name(key, name, sizeof(name));
    struct sgn_msg msg = {.type = SGN_MSG_GET,
                          .bucket = sgn_bytes_str(ORD_BUCKET),
                          .key = sgn_bytes_str(name),
                          .a = SGN_READ_STRONG};
    uint32_t node = (uint32_t)sgn_prng_below(&world->prng, world->options.nodes);
    struct ord_event *event = ord_schedule_at(world, node, 50, verify_arrives);
    event->token = ORD_VERIFY_TOKEN | key;
    event->msg = sim_msg_copy(&msg);
}

void ord_verify_begin(struct ord_world *world)
{
    world->verify_left = world->options.keys;
    for (uint32_t key = 0; key < world->options.keys; key++) {
        ord_schedule(world, 100 + key * 1000, verify_send)->token = key;
    }
}

void ord_verify_answer(struct ord_world *world, uint64_t token, const struct sgn_msg *msg)
{
    uint32_t key = (uint32_t)token & 0xff;
    struct sgn_version version = {0};
    if (token == ORD_SCRUB_TOKEN) {
        return;
    }
    bool good = msg->err == SGN_OK || msg->err == SGN_ERR_NOT_FOUND;
    if (!good) {
        ord_log(world, "last read of key %u: error %d", key, msg->err);
        ord_schedule(world, 200000, verify_send)->token = key;
        return;
    }
    if (sgn_version_take(msg->context, &version) != SGN_OK) {
        ord_violation(&world->oracle, "key %u: a last answer without a version", key);
    }
    ord_oracle_at_least(
        &world->oracle, key, &world->oracle.keys[key].floor, &version, "the last strong read");
    world->verify_left--;
}
