/* Disks in the map (protocol.md 2): who comes with another one is another member. */
#include <criterion/criterion.h>

#include "tests/unit/map_help.h"

enum { A = 1, B = 2, C = 3, D = 6 };

/* A ring of which every node is a member, with disk 10 x id. */
static void ring_of_members(uint32_t nodes, uint32_t replicas)
{
    map_new(8, nodes, replicas);
    next_version();
    for (uint32_t node = nodes; node > 0; node--) {
        cr_assert(sgn_map_set_disk(&map, node, (uint64_t)10 * node, NULL, 0));
    }
}

static const struct sgn_seat *seat(uint32_t partition, uint32_t node)
{
    int place = sgn_line_seat(&map.lines[partition], node);
    cr_assert_geq(place, 0);
    return &map.lines[partition].seats[place];
}

static uint32_t votes_of(uint32_t partition, const uint32_t *nodes, uint32_t count)
{
    uint32_t votes = 0;
    for (uint32_t i = 0; i < count; i++) {
        votes |= 1u << sgn_line_seat(&map.lines[partition], nodes[i]);
    }
    return votes;
}

static bool quorum(uint32_t a, uint32_t b)
{
    return sgn_line_quorum(&map.lines[0], votes_of(0, (uint32_t[]){a, b}, 2));
}

/* Nothing was ever promised in version 1, so the first disk is no loss. */
Test(map_disk, first_disks_give_new_epochs)
{
    ring_of_members(4, 3);
    cr_assert_eq(map.disk_count, 4);
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert(map.disks[i].node == i + 1 && map.disks[i].disk == 10 * (i + 1));
        cr_assert_eq(sgn_map_disk(&map, i + 1), 10 * (i + 1));
    }
    cr_assert_eq(sgn_map_disk(&map, 5), 0);
    for (uint32_t p = 0; p < 8; p++) {
        cr_assert(map.lines[p].epoch == 2 && !map.lines[p].joint);
        cr_assert_eq(sgn_line_in_sync(&map.lines[p]), 7);
    }
    next_version();
    cr_assert(!sgn_map_set_disk(&map, B, 20, NULL, 0), "it has that one");
    cr_assert(!sgn_map_set_disk(&map, B, 0, NULL, 0));
}

Test(map_disk, another_disk_moves_the_partitions)
{
    ring_of_members(4, 3); /* Partition 0 is of A, B, C; 1 of B, C, D. */
    next_version();
    cr_assert(sgn_map_set_disk(&map, B, 21, NULL, 0) && sgn_map_disk(&map, B) == 21);
    const struct sgn_line *line = &map.lines[0];
    cr_assert(line->joint && line->epoch == 3 && line->seat_count == 3);
    cr_assert(seat(0, B)->sets == (SGN_SET_NEW | SGN_SET_LOST) &&
              seat(0, B)->state == SGN_SEAT_CATCHING_UP && seat(0, B)->since == 3);
    cr_assert_eq(seat(0, A)->sets, SGN_SET_NEW | SGN_SET_OLD);
    cr_assert(sgn_line_newcomer(line, 1) && !sgn_line_newcomer(line, 0));
    cr_assert(map.lines[2].epoch == 2 && !map.lines[2].joint, "of C, D, A");

    /* The one that is gone counts, and has no vote. */
    cr_assert(quorum(A, C) && !quorum(A, B) && !quorum(B, C));
    cr_assert(!sgn_line_old_quorum(line, votes_of(0, (uint32_t[]){A, B}, 2)));
    next_version();
    cr_assert(!sgn_map_move_end(&map, 0), "it has not caught up");
    cr_assert(sgn_map_seat_state(&map, 0, B, SGN_SEAT_IN_SYNC));
    cr_assert(sgn_map_move_end(&map, 0) && !line->joint && line->seat_count == 3);
    cr_assert(quorum(A, B) && quorum(B, C) && quorum(A, C));
}

/* Beside one that is being mended no other is given up that the rest cannot do without: it may come
 * back. */
Test(map_disk, no_majority_is_given_up)
{
    ring_of_members(5, 3); /* Partition 0 is of A, B, C; 1 of B, C, D; 2 of C, D, E. */
    next_version();
    cr_assert(sgn_map_set_disk(&map, B, 21, NULL, 0));
    next_version();
    cr_assert(sgn_map_set_disk(&map, B, 22, NULL, 0), "another one again");
    cr_assert_eq(seat(0, B)->sets, SGN_SET_NEW | SGN_SET_LOST);
    next_version();
    for (uint32_t node = A; node <= 5; node++) {
        cr_assert(node == B || !sgn_map_set_disk(&map, node, 1, NULL, 0), "node %u", node);
        cr_assert(node == B || sgn_map_disk(&map, node) == 10 * node);
    }
    for (uint32_t p = 0; p < 8; p++) {
        cr_assert(sgn_line_quorum(&map.lines[p], sgn_line_all(&map.lines[p])));
    }
    map_new(8, 3, 1);
    next_version();
    cr_assert(sgn_map_set_disk(&map, A, 10, NULL, 0));
    next_version();
    cr_assert(!sgn_map_set_disk(&map, A, 11, NULL, 0), "the only one");
}

/* Of two: what a majority of two held, the other one holds. */
Test(map_disk, one_of_two)
{
    ring_of_members(4, 2);
    next_version();
    cr_assert(sgn_map_set_disk(&map, B, 21, NULL, 0));
    const struct sgn_line *line = &map.lines[0];
    cr_assert(sgn_line_old_quorum(line, 1) && !sgn_line_old_quorum(line, 2));
    cr_assert(sgn_line_quorum(line, 3) && !sgn_line_quorum(line, 1), "of the new set both");
    for (uint32_t p = 0; p < 8; p++) {
        next_version();
        cr_assert(!sgn_map_set_disk(&map, A, 11, NULL, 0), "B has not caught up partition %u", p);
        (void)sgn_map_seat_state(&map, p, B, SGN_SEAT_IN_SYNC);
        (void)sgn_map_move_end(&map, p);
        if (p == 4) { /* A has no other partition with B. */
            break;
        }
    }
    cr_assert(sgn_map_set_disk(&map, A, 11, NULL, 0));
    cr_assert(!sgn_line_old_quorum(line, 1) && sgn_line_old_quorum(line, 2));
}

Test(map_disk, in_a_move)
{
    ring_of_members(6, 3); /* C and D have no partition together. */
    next_version();
    cr_assert(sgn_map_move_begin(&map, 0, (uint32_t[]){D, A, B}, 3)); /* From A, B, C. */
    next_version();
    cr_assert(sgn_map_seat_state(&map, 0, D, SGN_SEAT_IN_SYNC) && seat(0, D)->caught == 1);
    cr_assert(
        sgn_map_set_disk(&map, D, 41, NULL, 0)); /* A newcomer has had no vote in the old set. */
    cr_assert(seat(0, D)->sets == SGN_SET_NEW && seat(0, D)->state == SGN_SEAT_CATCHING_UP &&
              seat(0, D)->caught == 0);
    cr_assert(sgn_map_set_disk(&map, C, 31, NULL, 0)); /* One that leaves is gone altogether. */
    cr_assert(seat(0, C)->sets == SGN_SET_LOST && seat(0, C)->state == SGN_SEAT_OUT);
    cr_assert(!sgn_line_newcomer(&map.lines[0], sgn_line_seat(&map.lines[0], C)));
    cr_assert(quorum(A, B) && !quorum(A, C) && !quorum(A, D));
    next_version();
    cr_assert(!sgn_map_move_end(&map, 0));
    cr_assert(sgn_map_seat_state(&map, 0, D, SGN_SEAT_IN_SYNC) && sgn_map_move_end(&map, 0));
    cr_assert(sgn_line_seat(&map.lines[0], C) < 0 && map.lines[0].seat_count == 3);
}

/* All partitions or none: one that has no room for a fence keeps the member waiting. */
Test(map_disk, waits_for_room_in_every_partition)
{
    ring_of_members(3, 3);
    fleet_add(1, 1);
    for (uint32_t i = 0; i <= SGN_FENCES_MAX; i++) {
        const struct sgn_group_member group = {.id = W(1), .incarnation = 1};
        next_version();
        cr_assert(i > 0 ? sgn_map_relist(&map, 7) : sgn_map_set_group(&map, 7, &group, 1));
    }
    cr_assert_eq(map.lines[7].fence_count, SGN_FENCES_MAX);
    next_version();
    cr_assert(!sgn_map_set_disk(&map, A, 11, NULL, 0));
    cr_assert(sgn_map_disk(&map, A) == 10 && !map.lines[0].joint);
    cr_assert_eq(map.lines[7].fences[0].in_sync_count, 3);
    /* B and C have arrived, and nobody waits for the A that was. */
    struct sgn_known known[2] = {{.id = B, .version = map.version - 1},
                                 {.id = C, .version = map.version - 1}};
    cr_assert(sgn_map_set_disk(&map, A, 11, known, 2) && map.lines[0].joint);
    cr_assert_eq(map.lines[7].fence_count, 1);
    const struct sgn_fence *fence = &map.lines[7].fences[0];
    cr_assert(fence->in_sync_count == 2 && fence->in_sync[0] + fence->in_sync[1] == B + C);
}
