/* Witnesses for the small ring: real ones (ring/core/witness.h), answering at once. */
#include <stdlib.h>

#include "ring/core/check.h"
#include "tests/lib/mini_ring.h"

#define ENTRIES 4096u

static struct mini_witness *find(struct mini_ring *ring, uint32_t id)
{
    for (uint32_t i = 0; i < MINI_WITNESSES_MAX; i++) {
        if (ring->witnesses[i].id == id) {
            return &ring->witnesses[i];
        }
    }
    return NULL;
}

static void tell(struct mini_ring *ring, struct mini_witness *at, uint32_t node, bool up)
{
    uint32_t bit = UINT32_C(1) << (node - 1);
    at->met = up ? at->met | bit : at->met & ~bit;
    mini_event(ring,
               node,
               (struct sgn_event){.type = up ? SGN_EV_PEER_UP : SGN_EV_PEER_DOWN, .node = at->id});
}

void mini_witness_up(struct mini_ring *ring, uint32_t id)
{
    static uint32_t drawn = 1000;
    struct mini_witness *at = find(ring, id);
    at = at == NULL ? find(ring, 0) : at;
    SGN_ASSERT(at != NULL && !at->up);
    drawn ^= 0x2f5; /* New each time, now larger, now smaller: incarnations have no order. */
    drawn += 7;
    struct sgn_witness_options options = {
        .id = id, .incarnation = drawn, .entries_max = ENTRIES, .old_mark_ms = 3000};
    size_t bytes = (sgn_witness_bytes(ring->shape.partition_count, ENTRIES) + 63) / 64 * 64;
    at->id = id;
    at->memory = aligned_alloc(64, bytes);
    memset(at->memory, 0, bytes);
    at->witness = sgn_witness_init(at->memory, ring->shape.partition_count, &options);
    at->up = true;
    at->met = 0;
    mini_witness_meet(ring);
    mini_run(ring);
}

void mini_witness_down(struct mini_ring *ring, uint32_t id)
{
    struct mini_witness *at = find(ring, id);
    SGN_ASSERT(at != NULL && at->up);
    at->up = false;
    free(at->memory);
    at->witness = NULL;
    for (uint32_t node = 1; node <= ring->node_count; node++) {
        if ((at->met >> (node - 1) & 1) != 0) {
            tell(ring, at, node, false);
        }
    }
    mini_run(ring);
}

void mini_witness_cut(struct mini_ring *ring, uint32_t id, uint32_t node)
{
    struct mini_witness *at = find(ring, id);
    tell(ring, at, node, false);
    at->met |= UINT32_C(1) << (node - 1); /* Never met again. */
    mini_run(ring);
}

static bool lists(struct mini_ring *ring, uint32_t node, uint32_t id)
{
    const struct sgn_map *map = sgn_engine_map(ring->nodes[node - 1].engine);
    for (uint32_t i = 0; i < map->witness_count; i++) {
        if (map->witnesses[i].id == id) {
            return true;
        }
    }
    return false;
}

void mini_witness_meet(struct mini_ring *ring)
{
    for (uint32_t i = 0; i < MINI_WITNESSES_MAX; i++) {
        struct mini_witness *at = &ring->witnesses[i];
        for (uint32_t node = 1; at->up && node <= ring->node_count; node++) {
            bool met = (at->met >> (node - 1) & 1) != 0;
            bool wanted = ring->nodes[node - 1].up && lists(ring, node, at->id);
            if (wanted && !met) {
                tell(ring, at, node, true);
            }
        }
    }
}

bool mini_witness_ask(struct mini_ring *ring,
                      uint32_t id,
                      const struct sgn_msg *request,
                      struct sgn_msg *answer)
{
    static uint8_t room[SGN_PAGE_BYTES_MAX];
    struct mini_witness *at = find(ring, id);
    struct sgn_sink sink = sgn_sink_of(room, sizeof(room));
    if (at == NULL || !at->up) {
        return false;
    }
    if (request->type == SGN_MSG_WITNESS) {
        at->batches[request->node - 1]++;
    }
    *answer = (struct sgn_msg){.type = SGN_MSG_WITNESS_ANSWER};
    sgn_witness_step(at->witness, ring->now_ms, request, &sink, answer);
    answer->request = request->request;
    return true;
}

void mini_witness_left(struct mini_ring *ring, uint32_t node)
{
    for (uint32_t i = 0; i < MINI_WITNESSES_MAX; i++) {
        struct mini_witness *at = &ring->witnesses[i];
        at->met &= node == 0 ? 0 : ~(UINT32_C(1) << (node - 1));
        if (node == 0 && at->up) {
            free(at->memory);
            at->up = false;
        }
    }
}
