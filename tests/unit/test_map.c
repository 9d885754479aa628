#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/unit/map_help.h"

#define A 1u
#define B 2u
#define C 3u
#define D 4u
#define E 5u

static bool group_set(uint32_t partition, const uint32_t *numbers, uint32_t count)
{
    struct sgn_group_member group[SGN_GROUP_MAX + 2];
    for (uint32_t i = 0; i < count; i++) {
        group[i] = (struct sgn_group_member){.id = W(numbers[i]), .incarnation = 1};
    }
    return sgn_map_set_group(&map, partition, group, count);
}

/* The definition itself: more than half of each set that counts. */
static bool quorum_by_hand(const struct sgn_line *line, uint32_t votes)
{
    uint32_t all[2] = {0, 0}, yes[2] = {0, 0};
    for (uint32_t i = 0; i < line->seat_count; i++) {
        for (uint32_t set = 0; set < 2; set++) {
            if ((line->seats[i].sets >> set & 1) != 0) {
                all[set]++;
                yes[set] += votes >> i & 1;
            }
        }
    }
    return 2 * yes[0] > all[0] && (!line->joint || 2 * yes[1] > all[1]);
}

static bool odd_node(const void *user, uint32_t node)
{
    return node % 2 == *(const uint32_t *)user;
}

/* Every size of both sets, every overlap, every vote (6.2, protocol-check T7). */
Test(map, quorums_are_as_defined)
{
    for (uint32_t old_count = 0; old_count <= SGN_REPLICAS_MAX; old_count++) {
        for (uint32_t new_count = 1; new_count <= SGN_REPLICAS_MAX; new_count++) {
            for (uint32_t both = 0; both <= old_count && both <= new_count; both++) {
                struct sgn_line line = {.epoch = 1, .joint = old_count > 0};
                line.seat_count = new_count + old_count - both;
                for (uint32_t i = 0; i < line.seat_count; i++) {
                    line.seats[i].node = 10 + i;
                    line.seats[i].sets = (uint8_t)((i < new_count ? SGN_SET_NEW : 0) |
                                                   (i >= new_count - both ? SGN_SET_OLD : 0));
                    if (old_count == 0) {
                        line.seats[i].sets = SGN_SET_NEW;
                    }
                }
                for (uint32_t votes = 0; votes <= sgn_line_all(&line); votes++) {
                    cr_assert_eq(sgn_line_quorum(&line, votes), quorum_by_hand(&line, votes));
                }
            }
        }
    }
    /* T7: moving A,B,C to A,B,D, the old set's A and C alone are none. */
    struct sgn_line line = {.epoch = 2, .joint = true, .seat_count = 4};
    uint8_t sets[4] = {3, 3, SGN_SET_NEW, SGN_SET_OLD};
    uint32_t nodes[4] = {A, B, D, C};
    for (uint32_t i = 0; i < 4; i++) {
        line.seats[i] = (struct sgn_seat){.node = nodes[i], .sets = sets[i]};
    }
    cr_assert(!sgn_line_quorum(&line, 1u << 0 | 1u << 3));
    cr_assert(!sgn_line_quorum(&line, 1u << 0 | 1u << 2));
    cr_assert(sgn_line_quorum(&line, 1u << 0 | 1u << 1));
    cr_assert(sgn_line_quorum(&line, 1u << 0 | 1u << 2 | 1u << 3));

    line.seats[0].state = SGN_SEAT_OUT;
    line.seats[2].state = SGN_SEAT_CATCHING_UP;
    cr_assert_eq(sgn_line_all(&line), 15);
    cr_assert_eq(sgn_line_settlers(&line), 14);
    cr_assert_eq(sgn_line_in_sync(&line), 10);
    cr_assert_eq(sgn_line_preferred(&line, NULL, NULL), 1);
    uint32_t odd = 1;
    cr_assert_eq(sgn_line_preferred(&line, odd_node, &odd), 3); /* C: A is out. */
    line.seats[3].state = SGN_SEAT_OUT;
    cr_assert_eq(sgn_line_preferred(&line, odd_node, &odd), -1);
    cr_assert(sgn_line_seat(&line, D) == 2 && sgn_line_seat(&line, E) == -1);
    for (uint32_t count = 0; count <= 5; count++) {
        static const uint32_t wanted[6] = {0, 1, 2, 2, 3, 3};
        line.group_count = count;
        cr_assert_eq(sgn_line_group_quorum(&line), wanted[count]);
    }
    line.group[4].id = W(9);
    cr_assert(sgn_line_group_index(&line, W(9)) == 4 && sgn_line_group_index(&line, W(8)) == -1);
}

static bool fenced(const struct sgn_known *known, uint32_t count, uint32_t missing_wanted)
{
    uint32_t missing[32], missing_count = 99;
    bool passed = sgn_line_fenced(&map.lines[0], known, count, missing, 32, &missing_count);
    cr_assert_eq(passed, sgn_line_fenced(&map.lines[0], known, count, NULL, 0, NULL));
    cr_assert_eq(missing_count, passed ? 0 : missing_wanted);
    return passed;
}

/* protocol-check T3: C was in_sync in the epoch left; that A and B have arrived is not enough. */
Test(map, fence_asks_the_epoch_left)
{
    map_new(8, 3, 3);
    for (uint32_t i = 0; i < 6; i++) {
        fleet_add(i, 1);
    }
    next_version();
    cr_assert(
        group_set(0, (uint32_t[]){0, 1, 2}, 3)); /* Epoch 2; epoch 1 had no group: no fence. */
    cr_assert_eq(map.lines[0].fence_count, 0);
    next_version();
    cr_assert(sgn_map_seat_state(&map, 0, C, SGN_SEAT_OUT));
    cr_assert(group_set(0, (uint32_t[]){5, 4, 3}, 3)); /* The same version: one epoch, one fence. */
    const struct sgn_line *line = &map.lines[0];
    cr_assert(line->epoch == 3 && line->fence_count == 1 && line->fences[0].epoch == 2);
    cr_assert(line->fences[0].in_sync_count == 3 && line->fences[0].group[0].id == W(0));
    cr_assert(line->group[0].id == W(3) && line->group[2].id == W(5));
    cr_assert_eq(map.lines[1].epoch, 1); /* Every other line is as it was (L4). */

    struct sgn_known known[8] = {{A, 7, 3},
                                 {B, 7, 3},
                                 {C, 7, 2},
                                 {W(0), 1, 2},
                                 {W(1), 1, 2},
                                 {W(2), 1, 2},
                                 {W(3), 1, 3},
                                 {W(4), 1, 3}};
    cr_assert(!fenced(known, 8, 4)); /* W0, W1, W2, C */
    cr_assert(!fenced(known, 0, 6));
    known[2].version = 3; /* C arrives. */
    cr_assert(fenced(known, 8, 0));
    known[2].version = 2;
    known[3].version = 3; /* W0 arrives: f of 2f + 1. */
    cr_assert(!fenced(known, 8, 3));
    known[4].incarnation = 2; /* Another W1, from before epoch 2 or after it: who can say? */
    known[4].version = 1;
    cr_assert(!fenced(known, 8, 3));
    known[4].version = 2; /* It lived after epoch 2 was chosen: the one listed then is no more. */
    cr_assert(fenced(known, 8, 0));
    known[4].incarnation = 0; /* Nothing is known of it. */
    cr_assert(!fenced(known, 8, 3));

    next_version();
    sgn_map_prune(&map, known, 8);
    cr_assert_eq(map.lines[0].fence_count, 1);
    known[2].version = 9;
    sgn_map_prune(&map, known, 8);
    cr_assert(map.lines[0].fence_count == 0 && map.lines[0].epoch == 3);
    cr_assert(fenced(NULL, 0, 0));
}

/* T4: of a group of five, three make its checks; T5: a group left and come back to is fenced twice,
 * and its member that slept is not taken for one that has moved on. */
Test(map, fence_of_every_older_epoch)
{
    map_new(8, 3, 3);
    for (uint32_t i = 0; i < 6; i++) {
        fleet_add(i, 1);
    }
    next_version();
    cr_assert(group_set(0, (uint32_t[]){0, 1, 2, 3, 4}, 5));
    next_version();
    cr_assert(group_set(0, (uint32_t[]){0, 1, 2}, 3));
    struct sgn_known known[5] = {{W(0), 1, 2}, {W(1), 1, 3}, {W(2), 1, 3}, {W(3), 1, 2}, {A, 1, 3}};
    cr_assert(!fenced(known, 5, 5)); /* Two of five have arrived: W0, W3, W4, B, C are missing. */
    known[3].version = 3;
    cr_assert(fenced(known, 5, 0));

    map.lines[0].fence_count = 0; /* T5 starts afresh with W0, W1, W2 in epoch 3. */
    next_version();
    cr_assert(group_set(0, (uint32_t[]){0, 1, 3}, 3));
    next_version();
    cr_assert(group_set(0, (uint32_t[]){0, 1, 2}, 3));
    const struct sgn_line *line = &map.lines[0];
    cr_assert(line->epoch == 5 && line->fence_count == 2);
    struct sgn_known sleeper[4] = {{W(0), 1, 5}, {W(1), 1, 4}, {W(2), 1, 3}, {W(3), 1, 4}};
    cr_assert(!fenced(sleeper, 4, 5)); /* Epoch 4 is not the line's: only W0 counts. */
    sleeper[3].version = 5;            /* Passes the fence of epoch 4, not that of epoch 3. */
    cr_assert(sgn_fence_passed(line, &line->fences[1], sleeper, 4));
    cr_assert(!sgn_fence_passed(line, &line->fences[0], sleeper, 4));
    cr_assert(!fenced(sleeper, 4, 5));
    sleeper[1].version = 5;
    cr_assert(fenced(sleeper, 4, 0));

    /* A group taken away is fenced too, and a full list allows no further epoch. */
    map.lines[0].fence_count = 0;
    for (uint32_t i = 0; i < SGN_FENCES_MAX; i++) {
        next_version();
        cr_assert(sgn_map_relist(&map, 0));
    }
    struct sgn_line before = map.lines[0];
    uint32_t nodes[3] = {A, B, D};
    cr_assert(sgn_map_relist(&map, 0)); /* It has its epoch of this version. */
    next_version();
    cr_assert(!sgn_map_relist(&map, 0) && !sgn_map_seat_state(&map, 0, A, SGN_SEAT_OUT));
    cr_assert(!group_set(0, NULL, 0) && !sgn_map_move_begin(&map, 0, nodes, 3));
    cr_assert(memcmp(&before, &map.lines[0], sizeof(before)) == 0);
    cr_assert(sgn_map_force(&map, 0) && !sgn_map_force(&map, 0) && !sgn_map_force(&map, 8));
    cr_assert(group_set(0, NULL, 0));
    cr_assert(map.lines[0].fence_count == 1 && map.lines[0].group_count == 0);
    cr_assert(!fenced(sleeper, 4, 6));
}

Test(map, groups_and_witnesses_are_checked)
{
    map_new(8, 3, 3);
    for (uint32_t i = 0; i < 7; i++) {
        fleet_add(i, 1);
    }
    map.witnesses[6].leaving = true;
    next_version();
    cr_assert(!group_set(0, (uint32_t[]){0, 1}, 2) && !group_set(0, (uint32_t[]){0, 1, 1}, 3));
    cr_assert(!group_set(0, (uint32_t[]){0, 1, 6}, 3) && !group_set(0, (uint32_t[]){0, 1, 9}, 3));
    cr_assert(!group_set(0, (uint32_t[]){0, 1, 2, 3, 4, 5, 6}, 7) && !group_set(0, NULL, 0));
    struct sgn_group_member unheard = {.id = W(1), .incarnation = 0};
    cr_assert(!sgn_map_set_group(&map, 0, &unheard, 1) && !group_set(8, (uint32_t[]){0}, 1));
    cr_assert_eq(map.lines[0].epoch, 1);
    cr_assert(group_set(0, (uint32_t[]){2, 0, 1}, 3) && !group_set(0, (uint32_t[]){1, 2, 0}, 3));

    /* Who leaves goes once no group and no fence lists it. */
    map.witnesses[0].leaving = true;
    next_version();
    sgn_map_prune(&map, NULL, 0);
    cr_assert_eq(map.witness_count, 6); /* W6, in none, has gone. */
    cr_assert(group_set(0, (uint32_t[]){1, 2, 3}, 3));
    next_version();
    sgn_map_prune(&map, NULL, 0);
    cr_assert_eq(map.witness_count, 6);
    struct sgn_known known[2] = {{W(1), 1, 3}, {W(2), 1, 3}};
    sgn_map_prune(&map, known, 2);
    cr_assert(map.witness_count == 5 && map.witnesses[0].id == W(1));
}

Test(map, seats_change_by_the_rules)
{
    map_new(8, 5, 3);
    cr_assert(map.version == 1 && map.group_size == 3 && map.lines[3].seats[0].node == 4);
    next_version();
    cr_assert(!sgn_map_seat_state(&map, 0, A, SGN_SEAT_IN_SYNC)); /* It is. */
    cr_assert(!sgn_map_seat_state(&map, 0, A, SGN_SEAT_CATCHING_UP));
    cr_assert(!sgn_map_seat_state(&map, 0, E, SGN_SEAT_OUT) &&
              !sgn_map_seat_state(&map, 8, A, SGN_SEAT_OUT));
    cr_assert(sgn_map_seat_state(&map, 0, A, SGN_SEAT_OUT));
    cr_assert(!sgn_map_seat_state(&map, 0, B, SGN_SEAT_OUT)); /* A majority stays in_sync. */
    cr_assert_eq(sgn_line_in_sync(&map.lines[0]), 6);
    next_version();
    cr_assert(!sgn_map_seat_state(&map, 0, A, SGN_SEAT_IN_SYNC)); /* Only after catching up, */
    cr_assert(sgn_map_seat_state(&map, 0, A, SGN_SEAT_CATCHING_UP));
    cr_assert(!sgn_map_seat_state(&map, 0, A, SGN_SEAT_IN_SYNC)); /* for at least one version. */
    cr_assert_eq(map.lines[0].seats[0].since, 3);
    next_version();
    cr_assert(sgn_map_seat_state(&map, 0, A, SGN_SEAT_OUT)); /* L5 */
    cr_assert(sgn_map_seat_state(&map, 0, A, SGN_SEAT_CATCHING_UP));
    cr_assert_eq(map.lines[0].seats[0].since, 4); /* What it caught up in epoch 3 is void. */
    next_version();
    cr_assert(sgn_map_seat_state(&map, 0, A, SGN_SEAT_IN_SYNC));
    cr_assert(sgn_map_seat_state(&map, 0, B, SGN_SEAT_OUT));
    cr_assert(map.lines[0].epoch == 5 && map.lines[1].epoch == 1);
    map_new(8, 5, 1);
    next_version();
    cr_assert(!sgn_map_seat_state(&map, 0, A, SGN_SEAT_OUT)); /* The only one. */
}

Test(map, a_partition_moves_by_joint_epochs)
{
    uint32_t to[3] = {D, A, B};
    map_new(8, 5, 3);
    next_version();
    cr_assert(!sgn_map_move_begin(&map, 0, (uint32_t[]){C, A, B}, 3)); /* That set is there. */
    cr_assert(!sgn_map_move_begin(&map, 0, (uint32_t[]){D, A, D}, 3));
    cr_assert(!sgn_map_move_begin(&map, 0, (uint32_t[]){D, A, W(1)}, 3));
    cr_assert(!sgn_map_move_begin(&map, 0, to, 0) && !sgn_map_move_begin(&map, 8, to, 3));
    cr_assert(!sgn_map_move_end(&map, 0));
    cr_assert(sgn_map_move_begin(&map, 0, to, 3) && !sgn_map_move_begin(&map, 0, to, 3));
    const struct sgn_line *line = &map.lines[0];
    cr_assert(line->joint && line->seat_count == 4 && line->epoch == 2);
    cr_assert(line->seats[0].node == D && line->seats[0].state == SGN_SEAT_CATCHING_UP &&
              line->seats[0].sets == SGN_SET_NEW);
    cr_assert(line->seats[1].node == A && line->seats[1].sets == (SGN_SET_NEW | SGN_SET_OLD));
    cr_assert(line->seats[3].node == C && line->seats[3].sets == SGN_SET_OLD &&
              line->seats[3].state == SGN_SEAT_IN_SYNC);
    cr_assert_eq(sgn_line_settlers(line), 15); /* Newcomers confirm before a settle (3.1.7). */
    next_version();
    cr_assert(!sgn_map_move_end(&map, 0)); /* D has not caught up, */
    cr_assert(sgn_map_seat_state(&map, 0, D, SGN_SEAT_OUT));
    cr_assert(!sgn_map_move_end(&map, 0)); /* though a majority of the new set is in_sync. */
    cr_assert(sgn_map_seat_state(&map, 0, D, SGN_SEAT_CATCHING_UP));
    next_version();
    cr_assert(sgn_map_seat_state(&map, 0, D, SGN_SEAT_IN_SYNC));
    cr_assert(!sgn_map_seat_state(&map, 0, A, SGN_SEAT_OUT) ||
              !sgn_map_seat_state(&map, 0, B, SGN_SEAT_OUT)); /* One of the old set is the most. */
    cr_assert(sgn_map_move_end(&map, 0) && !sgn_map_move_end(&map, 0));
    cr_assert(!line->joint && line->seat_count == 3 && line->seats[0].node == D);
    cr_assert_eq(sgn_line_seat(line, C), -1);

    /* All exchanged: its dead newcomer must not hold up settles for ever. */
    next_version();
    cr_assert(sgn_map_move_begin(&map, 1, (uint32_t[]){5, 1, 6}, 3)); /* From 2, 3, 4. */
    next_version();
    cr_assert(sgn_map_seat_state(&map, 1, 5, SGN_SEAT_OUT));
    cr_assert(sgn_map_seat_state(&map, 1, 2, SGN_SEAT_OUT));
    cr_assert(!sgn_map_seat_state(&map, 1, 3, SGN_SEAT_OUT)); /* 3 and 4 are the old majority. */
}

/* protocol-check H7 and C15: A, B, C to A alone. A is listed in_sync, but what B and C have chosen
 * and not settled it may lack: it must catch up inside the move. */
Test(map, who_stays_in_a_shrinking_set_catches_up)
{
    map_new(8, 5, 3);
    next_version();
    cr_assert(sgn_map_move_begin(&map, 0, (uint32_t[]){A}, 1));
    cr_assert(map.lines[0].seats[0].state == SGN_SEAT_CATCHING_UP && !sgn_map_move_end(&map, 0));
    cr_assert(!sgn_map_seat_state(&map, 0, A, SGN_SEAT_IN_SYNC));
    next_version();
    cr_assert(!sgn_map_move_end(&map, 0));
    cr_assert(sgn_map_seat_state(&map, 0, A, SGN_SEAT_IN_SYNC) && sgn_map_move_end(&map, 0));
    cr_assert(map.lines[0].seat_count == 1 && map.lines[0].epoch == 3);
    /* Three to two: what two of three hold, one of these two may lack, and a majority of two is
     * both. */
    cr_assert(sgn_map_move_begin(&map, 1, (uint32_t[]){2, 3}, 2));
    cr_assert_eq(sgn_line_in_sync(&map.lines[1]), 4); /* 4, who leaves, serves meanwhile. */
    /* Two to one: what both hold, one holds. */
    map_new(8, 5, 2);
    next_version();
    cr_assert(sgn_map_move_begin(&map, 0, (uint32_t[]){A}, 1));
    cr_assert(map.lines[0].seats[0].state == SGN_SEAT_IN_SYNC && sgn_map_move_end(&map, 0));
    /* Not when nobody would be left to serve while they catch up. */
    map_new(8, 7, 7);
    next_version();
    for (uint32_t node = 5; node <= 7; node++) {
        cr_assert(sgn_map_seat_state(&map, 0, node, SGN_SEAT_OUT));
    }
    cr_assert(!sgn_map_move_begin(&map, 0, (uint32_t[]){1, 2, 3, 4, 5, 6}, 6));
    cr_assert(!map.lines[0].joint);
}
