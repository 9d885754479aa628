#include "ring/core/placement_scratch.h"

struct arena {
    uint8_t *memory; /* NULL: only counting. */
    size_t used;
};

static void *arena_take(struct arena *arena, size_t count, size_t item_bytes)
{
    void *taken = arena->memory == NULL ? NULL : arena->memory + arena->used;
    arena->used += (count * item_bytes + 7) / 8 * 8;
    return taken;
}

size_t sgn_placement_scratch_lay(struct sgn_placement_scratch *lay,
                                 void *memory,
                                 uint32_t partition_count,
                                 uint32_t member_count)
{
    struct arena arena = {.memory = memory};
    size_t members = member_count;
    *lay = (struct sgn_placement_scratch){.first = {.rows = &lay->rows}};
    lay->shares.left = arena_take(&arena, members, sizeof(uint64_t));
    lay->pairs = arena_take(&arena, sgn_pair_words(member_count), sizeof(uint64_t));
    lay->shares.target = arena_take(&arena, members, sizeof(uint32_t));
    lay->rows.held = arena_take(&arena, members, sizeof(uint32_t));
    lay->rows.cost = arena_take(&arena, members, sizeof(int32_t));
    lay->rows.cost_next = arena_take(&arena, members, sizeof(int32_t));
    lay->rows.bound = arena_take(&arena, members, sizeof(int32_t));
    lay->first.count = arena_take(&arena, members, sizeof(uint32_t));
    lay->words[0] = arena_take(&arena, members, sizeof(uint32_t));
    lay->words[1] = arena_take(&arena, members, sizeof(uint32_t));
    lay->rows.steps = arena_take(&arena, (members + 1) * members, sizeof(struct sgn_chain_step));
    lay->rows.active = arena_take(&arena, members, sizeof(uint16_t));
    lay->rows.active_next = arena_take(&arena, members, sizeof(uint16_t));
    lay->first.depth = arena_take(&arena, members, sizeof(uint16_t));
    lay->first.where = arena_take(&arena, members, sizeof(uint16_t));
    lay->rows.open = arena_take(&arena, partition_count, sizeof(uint16_t));
    lay->before = arena_take(&arena, (size_t)partition_count * SGN_REPLICAS_MAX, sizeof(uint16_t));
    lay->table = arena_take(&arena, (size_t)partition_count * SGN_REPLICAS_MAX, sizeof(uint16_t));
    lay->shares.zone = arena_take(&arena, members, 1);
    lay->shares.capped = arena_take(&arena, members, 1);
    lay->first.settled = arena_take(&arena, members, 1);
    return arena.used;
}
