/* tests/sim/ord_heard.c - what a node must make of what it hears, looked at in its own memory. */
#include "ring/core/items.h"
#include "ring/core/order_inner.h"
#include "tests/sim/ord.h"

static bool ready(struct sgn_engine *engine, struct sgn_key_hash hash)
{
    const struct sgn_cell *cell = sgn_cell_find(engine, hash);
    return cell != NULL && cell->state == SGN_CELL_READY && !cell->doubtful;
}

void ord_heard_before(struct ord_world *world,
                      uint32_t node,
                      const struct sgn_msg *msg,
                      struct ord_heard *heard)
{
    struct sgn_engine *engine = world->nodes[node].engine;
    *heard = (struct ord_heard){.looks = msg->type == SGN_MSG_COMMITS &&
                                         world->options.fault[ORD_pool_refuse] == 0};
    struct sgn_cursor cursor = sgn_cursor_of(msg->items);
    struct sgn_bytes full;
    struct sgn_bytes value;
    while (heard->looks && sgn_items_next(&cursor, &full, &value)) {
        struct sgn_cursor inner = sgn_cursor_of(value);
        struct sgn_ballot ballot = sgn_ballot_take(&inner);
        bool settled = sgn_cursor_uint(&inner, 1) != 0;
        uint32_t epoch = (uint32_t)sgn_cursor_uint(&inner, 4);
        uint32_t key = ord_key_number(full);
        if (key == UINT32_MAX) {
            continue;
        }
        const struct sgn_line *line = sgn_order_line(engine, ord_key_partition(world, key));
        uint32_t own = line->epoch;
        heard->ballot[key] = ballot;
        heard->old_epoch[key] = settled && epoch < own;
        heard->was_dirty[key] = sgn_dirty_find(engine, world->white.hashes[key]) != NULL;
        heard->was_ready[key] =
            ready(engine, world->white.hashes[key]) && sgn_own_seat(engine, line) >= 0;
    }
}

void ord_heard_after(struct ord_world *world, uint32_t node, const struct ord_heard *heard)
{
    struct sgn_engine *engine = world->nodes[node].engine;
    for (uint32_t key = 0; key < world->options.keys && heard->looks; key++) {
        struct sgn_key_hash hash = world->white.hashes[key];
        if (sgn_ballot_is_zero(&heard->ballot[key])) {
            continue;
        }
        if (heard->old_epoch[key] && heard->was_dirty[key] &&
            sgn_dirty_find(engine, hash) == NULL) {
            ord_violation(&world->oracle,
                          "3.1.7: node %u takes key %u for settled on the word of an older epoch",
                          world->nodes[node].id,
                          key);
        }
        /* Where clocks are wrong a ballot from too far ahead is refused, and may be (2). */
        const struct sgn_cell *cell = sgn_cell_find(engine, hash);
        struct sgn_ballot promised = {.hlc = 0};
        if (cell != NULL) {
            promised = sgn_cell_promised(engine, cell);
        }
        if (heard->was_ready[key] && ready(engine, hash) &&
            world->options.fault[ORD_skew_ms] == 0 && world->options.fault[ORD_clock_jump] == 0 &&
            sgn_ballot_compare(&promised, &heard->ballot[key]) < 0) {
            ord_violation(
                &world->oracle,
                "3.6: node %u hears that key %u is chosen above its promise, and keeps it",
                world->nodes[node].id,
                key);
        }
    }
}

void ord_heard_start(struct ord_world *world, uint32_t node)
{
    struct ord_node *at = &world->nodes[node];
    const struct sim_entry *entry =
        sim_disk_find(&at->disk, SGN_FAMILY_META, sgn_bytes_str("watermark"));
    uint64_t watermark =
        entry == NULL || entry->value_bytes < 8 ? 0 : sgn_get_uint(entry->value, 8);
    for (uint32_t key = 0; key < world->options.keys; key++) {
        struct sgn_bytes record = {0};
        if (!ord_white_held(world, node, key, &record)) {
            continue;
        }
        uint64_t sequence = sgn_get_uint((const uint8_t *)record.ptr - 8, 8);
        const struct sgn_dirty *dirty = sgn_dirty_find(at->engine, world->white.hashes[key]);
        if (sequence > watermark && (dirty == NULL || !dirty->pending)) {
            ord_violation(&world->oracle,
                          "3.6: node %u starts and takes key %u for chosen, which is above its "
                          "watermark",
                          at->id,
                          key);
        }
    }
}
