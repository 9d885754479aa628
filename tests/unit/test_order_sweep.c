/* Dropping tombstones once the floor is in the map; protocol.md 3.7. */
#include <criterion/criterion.h>

#include "tests/unit/order_ask.h"

/* The partition whose floor has risen, as that node has the map; NULL before. */
static const struct sgn_line *swept_line(uint32_t node)
{
    const struct sgn_map *map = sgn_engine_map(ring.nodes[node - 1].engine);
    for (uint32_t i = 0; i < map->partition_count; i++) {
        if (map->lines[i].floor > 0) {
            return &map->lines[i];
        }
    }
    return NULL;
}

static uint32_t rows_at(uint32_t node)
{
    return mini_count(&ring.nodes[node - 1], SGN_FAMILY_DATA);
}

/* The seat that leads would raise the floor once more for its own tombstone; for what another one
 * could not read nobody else asks. */
Test(order_sweep, comes_back_to_what_it_left)
{
    order_ring(3, 3);
    order_drop_after(300);
    cr_assert_eq(order_put(1, "k", "v"), SGN_OK);
    cr_assert_eq(order_del(1, "k"), SGN_OK);
    uint32_t late = 3;
    for (uint32_t i = 0; i < 2000 && swept_line(late) == NULL; i++) {
        mini_pass(&ring, 10);
        const struct sgn_line *line = swept_line(1);
        late = line != NULL ? line->seats[1].node : late;
    }
    cr_assert_not_null(swept_line(late));
    ring.nodes[late - 1].scan_err = SGN_ERR_IO;
    mini_pass(&ring, 500);
    cr_assert_eq(rows_at(1) + rows_at(2) + rows_at(3), 1, "dropped where it was read");
    cr_assert_eq(rows_at(late), 1);
    ring.nodes[late - 1].scan_err = SGN_OK;
    mini_pass(&ring, 3000);
    cr_assert_eq(rows_at(late), 0);
    cr_assert(order_reads(late, "k", SGN_READ_STRONG, NULL));
    mini_clear(&ring);
}
