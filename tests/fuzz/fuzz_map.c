/* Any bytes to the decoder of maps: refused, or a map whose bytes are those and that every change
 * leaves a map. */
#include <stdlib.h>

#include "ring/core/check.h"
#include "ring/core/map.h"

#define LINES 32u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool any(const void *user, uint32_t witness)
{
    (void)user;
    (void)witness;
    return true;
}

/* What the bytes are of, and what is made of it; the first bytes choose the changes as well. */
static void change(struct sgn_map *next, const struct sgn_map *map, const uint8_t *data)
{
    sgn_map_begin(next, map);
    for (uint32_t p = 0; p < map->partition_count; p++) {
        const struct sgn_line *line = &next->lines[p];
        uint32_t nodes[3] = {1 + data[p % 8] % 9u, line->seats[0].node, 10 + data[p % 5] % 9u};
        for (uint32_t state = SGN_SEAT_IN_SYNC; state <= SGN_SEAT_OUT; state++) {
            (void)sgn_map_seat_state(next, p, line->seats[0].node, state);
        }
        (void)sgn_map_move_end(next, p);
        (void)sgn_map_move_begin(next, p, nodes, 1 + data[p % 7] % 3u);
        uint32_t votes = sgn_line_all(line);
        SGN_ASSERT(sgn_line_quorum(line, votes) && !sgn_line_quorum(line, 0));
        SGN_ASSERT((sgn_line_in_sync(line) & ~sgn_line_settlers(line)) == 0);
        (void)sgn_line_fenced(line, NULL, 0, NULL, 0, NULL);
    }
    (void)sgn_map_set_disk(next, next->lines[0].seats[0].node, 1 + data[0], NULL, 0);
    (void)sgn_map_assign_groups(next, any, NULL);
    sgn_map_prune(next, NULL, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sgn_line lines[LINES], next_lines[LINES], back_lines[LINES];
    static struct sgn_map map, next, back;
    map.lines = lines;
    next.lines = next_lines;
    back.lines = back_lines;
    uint32_t version = sgn_map_version_of(sgn_bytes_of(data, size));
    if (sgn_map_decode_alone(sgn_bytes_of(data, size), LINES, &map) != SGN_OK) {
        return 0;
    }
    SGN_ASSERT(map.version == version);
    size_t cap = sgn_map_bytes_max(LINES);
    uint8_t *bytes = malloc(cap);
    SGN_ASSERT(bytes != NULL);
    struct sgn_sink sink = sgn_sink_of(bytes, cap);
    sgn_map_encode(&map, &sink);
    SGN_ASSERT(!sink.full);
    SGN_ASSERT(sgn_bytes_equal(sgn_sink_bytes(&sink), sgn_bytes_of(data, size)));
    if (version < UINT32_MAX) {
        change(&next, &map, data);
        sink = sgn_sink_of(bytes, cap);
        sgn_map_encode(&next, &sink);
        SGN_ASSERT(!sink.full);
        SGN_ASSERT(sgn_map_decode_alone(sgn_sink_bytes(&sink), LINES, &back) == SGN_OK);
        SGN_ASSERT(back.version == version + 1);
    }
    free(bytes);
    return 0;
}
