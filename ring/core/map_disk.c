/* ring/core/map_disk.c - a member gets another disk (protocol.md 2): what that does to a map. */
#include "ring/core/check.h"
#include "ring/core/map_inner.h"

/* Nobody waits for a member that is gone (6.3): it serves in no epoch any more. Without that, a
 * line full of fences which wait for it would keep the one who comes from being listed. */
static void fences_without(struct sgn_line *line,
                           uint32_t node,
                           const struct sgn_known *known,
                           uint32_t known_count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < line->fence_count; i++) {
        struct sgn_fence fence = line->fences[i];
        uint32_t others = 0;
        for (uint32_t k = 0; k < fence.in_sync_count; k++) {
            if (fence.in_sync[k] != node) {
                fence.in_sync[others++] = fence.in_sync[k];
            }
        }
        memset(&fence.in_sync[others], 0, (SGN_SEATS_MAX - others) * sizeof(fence.in_sync[0]));
        fence.in_sync_count = others;
        if (!sgn_fence_passed(line, &fence, known, known_count)) {
            line->fences[kept++] = fence;
        }
    }
    sgn_line_keep_fences(line, kept);
}

/* The line moves (6.2) from its old set, in which the member that sat here counts and has no vote,
 * to the one in which the node is a newcomer. A move may end then without a look at who has caught
 * up beside: the newcomers are as many as who is lost. */
static void seat_lost(struct sgn_line *line, struct sgn_seat *lost, uint32_t version)
{
    for (uint32_t i = 0; i < line->seat_count && !line->joint; i++) {
        struct sgn_seat *seat = &line->seats[i];
        seat->sets = SGN_SET_NEW | SGN_SET_OLD;
        if (seat->state == SGN_SEAT_CATCHING_UP) {
            seat->since = version; /* As at the beginning of any move. */
        }
    }
    line->joint = true;
    bool stays = (lost->sets & SGN_SET_NEW) != 0;
    bool voted = (lost->sets & SGN_SET_OLD) != 0;
    lost->sets = (uint8_t)((lost->sets & ~SGN_SET_OLD) | (voted ? SGN_SET_LOST : 0));
    lost->state = stays ? SGN_SEAT_CATCHING_UP : SGN_SEAT_OUT;
    lost->since = version;
    lost->caught = 0;
}

/* False if the line would be left without an in_sync seat, or without a quorum of its old set among
 * those who remember: while the member that was may come back it is not to be given up. */
static bool line_replace(struct sgn_map *next,
                         struct sgn_line *line,
                         uint32_t node,
                         const struct sgn_known *known,
                         uint32_t known_count)
{
    int seat = sgn_line_seat(line, node);
    fences_without(line, node, known, known_count);
    if (seat < 0) {
        return true;
    }
    if (!sgn_line_can_open(next, line)) {
        return false;
    }
    sgn_line_open(next, line);
    if (sgn_map_disk(next, node) == 0) {
        return true; /* It was in no epoch before. */
    }
    fences_without(line, node, known, known_count); /* The one of the epoch that ends, too. */
    seat_lost(line, &line->seats[seat], next->version);
    return sgn_line_in_sync(line) != 0 && sgn_line_old_quorum(line, sgn_line_all(line));
}

static void disk_put(struct sgn_map *map, uint32_t node, uint64_t disk)
{
    uint32_t at = 0;
    while (at < map->disk_count && map->disks[at].node < node) {
        at++;
    }
    if (at == map->disk_count || map->disks[at].node != node) {
        memmove(
            &map->disks[at + 1], &map->disks[at], (map->disk_count - at) * sizeof(map->disks[0]));
        map->disk_count++;
    }
    map->disks[at] = (struct sgn_member_disk){.node = node, .disk = disk};
}

bool sgn_map_set_disk(struct sgn_map *next,
                      uint32_t node,
                      uint64_t disk,
                      const struct sgn_known *known,
                      uint32_t known_count)
{
    uint64_t before = sgn_map_disk(next, node);
    if (disk == 0 || disk == before || (before == 0 && next->disk_count == SGN_NODES_MAX)) {
        return false;
    }
    for (uint32_t p = 0; p < next->partition_count; p++) {
        struct sgn_line trial = next->lines[p];
        if (!line_replace(next, &trial, node, known, known_count)) {
            return false;
        }
    }
    for (uint32_t p = 0; p < next->partition_count; p++) {
        (void)line_replace(next, &next->lines[p], node, known, known_count);
    }
    disk_put(next, node, disk);
    return true;
}
