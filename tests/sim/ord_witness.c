/* tests/sim/ord_witness.c - the witness processes: all memory, so that a crash is amnesia. */
#include <stdio.h>
#include <stdlib.h>

#include "ring/core/check.h"
#include "tests/sim/ord.h"

void ord_witness_address(uint32_t slot, char out[SGN_ADDRESS_BYTES_MAX + 1])
{
    (void)snprintf(out, SGN_ADDRESS_BYTES_MAX + 1, "127.0.0.1:%u", 9100 + slot);
}

void ord_witness_start(struct ord_world *world, uint32_t slot)
{
    struct ord_witness *witness = &world->fleet[slot];
    SGN_ASSERT(!witness->up);
    if (witness->id == 0) {
        return; /* No map lists it yet: nobody would dial it. */
    }
    witness->boot++; /* Its incarnation. */
    witness->up = true;
    witness->memory =
        calloc(1, sgn_witness_bytes(world->ring.partition_count, world->options.entries_max) + 16);
    SGN_ASSERT(witness->memory != NULL);
    struct sgn_witness_options options = {.id = witness->id,
                                          .incarnation = witness->boot,
                                          .entries_max = world->options.entries_max,
                                          .old_mark_ms = 500};
    witness->core = sgn_witness_init(witness->memory, world->ring.partition_count, &options);
    ord_log(world, "witness %u starts, incarnation %u", slot, witness->boot);
}

void ord_witness_stop(struct ord_world *world, uint32_t slot)
{
    struct ord_witness *witness = &world->fleet[slot];
    if (witness->up) {
        ord_log(world, "witness %u stops", slot);
        free(witness->memory);
        witness->memory = NULL;
        witness->core = NULL;
        witness->up = false;
    }
}

void ord_witness_follow(struct ord_world *world, uint32_t node)
{
    struct ord_witness *witness = &world->fleet[node];
    if (ord_host(world, ORD_NODES_MAX + node) != node) {
        return;
    }
    const struct sgn_witness_member *listed =
        sgn_map_hosted(sgn_engine_map(world->nodes[node].engine), world->nodes[node].id);
    if (witness->up && (listed == NULL || witness->id != listed->id)) {
        ord_witness_stop(world, node);
    }
    if (listed != NULL && !witness->up) {
        witness->id = listed->id;
        ord_witness_start(world, node);
    }
}

void ord_witness_learn(struct ord_world *world, const struct sgn_map *map)
{
    for (uint32_t i = 0; i < map->witness_count; i++) {
        const struct sgn_witness_member *member = &map->witnesses[i];
        for (uint32_t slot = 0; slot < ORD_FLEET_MAX; slot++) {
            char address[SGN_ADDRESS_BYTES_MAX + 1];
            ord_witness_address(slot, address);
            if (member->host != 0 || strcmp(address, member->address) != 0 ||
                member->id == world->fleet[slot].id) {
                continue;
            }
            if (member->id < world->fleet[slot].id) {
                continue; /* An older map. */
            }
            ord_witness_stop(world, slot);
            world->fleet[slot].id = member->id;
            ord_witness_start(world, slot);
        }
    }
}

void ord_witness_deliver(struct ord_world *world, uint32_t slot, struct ord_event *arrival)
{
    struct ord_witness *witness = &world->fleet[slot];
    static uint8_t room[SGN_PAGE_BYTES_MAX + 4096];
    struct sgn_sink sink = sgn_sink_of(room, sizeof(room));
    struct sgn_msg answer;
    sgn_witness_step(witness->core, world->now_us / 1000, arrival->msg, &sink, &answer);
    if (answer.err != SGN_OK) {
        ord_violation(&world->oracle, "witness %u refuses what a node sends: %d", slot, answer.err);
    }
    ord_fold(world, (uint64_t)arrival->msg->type << 32 ^ slot ^ answer.items.count << 8);
    if (arrival->msg->type == SGN_MSG_WITNESS) {
        ord_white_told(world, slot, arrival->msg, &answer);
    }
    if (arrival->msg->type == SGN_MSG_WITNESS || arrival->msg->type == SGN_MSG_SEED) {
        ord_white_barriers(world, "after a witness answered");
    }
    answer.request = arrival->msg->request;
    ord_transmit(world, ORD_NODES_MAX + slot, arrival->from, &answer, true);
}
