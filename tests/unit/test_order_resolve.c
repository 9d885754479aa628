/* What no crash left unsettled is settled soon (protocol.md 3.1.7, 3.6). */
#include <criterion/criterion.h>

#include "ring/core/map.h"
#include "tests/unit/order_ask.h"

#define SOON_MS 700u /* Below the patience that coordinators get which may only be slow: 1000. */

static uint32_t dirty_keys(void)
{
    uint32_t dirty = 0;
    for (uint32_t node = 1; node <= ring.node_count; node++) {
        dirty += counts_of(node).dirty;
    }
    return dirty;
}

static uint32_t version_of(uint32_t node)
{
    return sgn_engine_map(ring.nodes[node - 1].engine)->version;
}

/* A replica that adopts a map later than the others refuses writes of the new epoch until it does.
 * They are answered, by the quorum, but not accepted everywhere: reads of their keys are slow. */
Test(order_resolve, what_an_epoch_left_unsettled)
{
    order_ring(3, 3);
    order_fleet();
    uint32_t version = version_of(3);
    ring.nodes[2].stall_stores = true;
    cr_assert_eq(ask(1, change_of(SGN_MAP_GROUP_SIZE, 1, "")), SGN_OK, "%s", ring.reply.text);
    while (version_of(1) == version || version_of(2) == version) {
        mini_pass(&ring, SGN_TICK_MS);
    }
    struct sgn_msg put = order_msg(1, SGN_MSG_PUT, "k", "v");
    put.forwarded = true; /* Coordinated here. */
    cr_assert_eq(ask(1, put), SGN_OK, "%s", ring.reply.text);
    cr_assert_eq(version_of(3), version);
    ring.nodes[2].stall_stores = false;
    mini_run(&ring);
    cr_assert(dirty_keys() > 0);
    uint64_t begun_ms = ring.now_ms;
    while (dirty_keys() > 0 && ring.now_ms < begun_ms + 10 * (uint64_t)SOON_MS) {
        mini_pass(&ring, SGN_TICK_MS);
    }
    cr_expect(ring.now_ms - begun_ms <= SOON_MS, "%u ms", (unsigned)(ring.now_ms - begun_ms));
    cr_assert(order_reads(2, "k", SGN_READ_STRONG, "v"));
    mini_clear(&ring);
}
