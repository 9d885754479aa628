/* Seats, quorums and disks (protocol.md 2, 6.1, 6.2) under changes at random. */
#include <criterion/criterion.h>

#include "tests/unit/map_help.h"

#define NODES  9u
#define VALUES 8u

/* What a partition's nodes hold while it moves at random, against the one thing that matters: no
 * quorum of any epoch may lack a chosen record. The walk takes from the rules as much as they
 * allow: a catch-up brings only what was chosen in epochs before the one that listed the seat,
 * from any majority; who leaves wipes. */
struct walk {
    struct sgn_prng prng;
    uint32_t holders[VALUES]; /* Bit n: node n. */
    uint32_t epoch[VALUES];   /* In which each was chosen; 0: not yet. */
    uint32_t ends, losses;
};

static uint32_t seats_of(const struct sgn_line *line, uint32_t nodes)
{
    uint32_t votes = 0;
    for (uint32_t i = 0; i < line->seat_count; i++) {
        votes |= (nodes >> line->seats[i].node & 1) << i;
    }
    return votes;
}

static uint32_t nodes_of(const struct sgn_line *line, uint32_t votes)
{
    uint32_t nodes = 0;
    for (uint32_t i = 0; i < line->seat_count; i++) {
        nodes |= (votes >> i & 1) << line->seats[i].node;
    }
    return nodes;
}

static bool sources_enough(const struct sgn_line *line, uint32_t votes)
{
    return line->joint ? sgn_line_old_quorum(line, votes) : sgn_line_quorum(line, votes);
}

/* Enough seats, that would not be without any one of them; 0: there are not enough. */
static uint32_t quorum_draw(struct sgn_prng *prng,
                            const struct sgn_line *line,
                            bool (*enough)(const struct sgn_line *line, uint32_t votes))
{
    uint32_t votes = enough(line, sgn_line_all(line)) ? sgn_line_all(line) : 0;
    for (uint32_t i = 0; i < 3 * line->seat_count; i++) {
        uint32_t less = votes & ~(1u << below(prng, line->seat_count));
        votes = enough(line, less) ? less : votes;
    }
    return votes;
}

static void walk_choose(struct walk *walk, const struct sgn_line *line)
{
    uint32_t value = below(&walk->prng, VALUES);
    uint32_t quorum = quorum_draw(&walk->prng, line, sgn_line_quorum);
    if (quorum != 0) {
        walk->holders[value] = nodes_of(line, quorum);
        walk->epoch[value] = line->epoch;
    }
}

/* 6.1, 6.2: from peers that are, in a joint epoch, a majority of the old set. */
static void walk_catch_up(struct walk *walk,
                          const struct sgn_line *line,
                          const struct sgn_seat *seat)
{
    uint32_t peers = nodes_of(line, quorum_draw(&walk->prng, line, sources_enough));
    for (uint32_t value = 0; value < VALUES; value++) {
        if (walk->epoch[value] < seat->since && (walk->holders[value] & peers) != 0) {
            walk->holders[value] |= 1u << seat->node;
        }
    }
}

/* The node's disk is emptied, and the ring takes the new one (2). */
static void walk_lose(struct walk *walk, uint32_t node)
{
    if (sgn_map_set_disk(&map, node, sgn_map_disk(&map, node) + 1, NULL, 0)) {
        walk->losses++;
        for (uint32_t value = 0; value < VALUES; value++) {
            walk->holders[value] &= ~(1u << node);
        }
    }
}

static void walk_step(struct walk *walk)
{
    const struct sgn_line *line = &map.lines[0];
    uint32_t node = line->seats[below(&walk->prng, line->seat_count)].node;
    uint32_t to[SGN_REPLICAS_MAX], count = 1 + below(&walk->prng, 5);
    switch (below(&walk->prng, 8)) {
    case 0:
        for (uint32_t i = 0; i < count; i++) {
            to[i] = 1 + below(&walk->prng, NODES);
        }
        (void)sgn_map_move_begin(&map, 0, to, count); /* Refused if it names a node twice. */
        break;
    case 1: {
        bool ended = sgn_map_move_end(&map, 0);
        walk->ends += ended ? 1 : 0;
        for (uint32_t value = 0; ended && value < VALUES; value++) {
            walk->holders[value] &= nodes_of(line, sgn_line_all(line));
        }
        break;
    }
    case 2: (void)sgn_map_seat_state(&map, 0, node, SGN_SEAT_OUT); break;
    case 3: (void)sgn_map_seat_state(&map, 0, node, SGN_SEAT_CATCHING_UP); break;
    case 4:
    case 5: {
        struct sgn_seat seat = line->seats[sgn_line_seat(line, node)];
        if (sources_enough(line, sgn_line_all(line)) &&
            sgn_map_seat_state(&map, 0, node, SGN_SEAT_IN_SYNC)) {
            walk_catch_up(walk, line, &seat);
        }
        break;
    }
    case 6:
        if (sgn_prng_chance(&walk->prng, 100)) {
            walk_lose(walk, node);
            break;
        }
        /* fall through */
    default: walk_choose(walk, line); break;
    }
}

Test(map_walk, no_quorum_lacks_what_was_chosen)
{
    struct walk walk = {.prng = {11}};
    uint32_t ends = 0;
    uint32_t losses = 0;
    for (uint32_t round = 0; round < 3000; round++) {
        map_new(8, NODES, 1 + round % 5);
        memset(walk.epoch, 0, sizeof(walk.epoch));
        walk.ends = walk.losses = 0;
        map.version++;
        for (uint32_t node = 1; node <= NODES; node++) {
            cr_assert(sgn_map_set_disk(&map, node, 1, NULL, 0));
        }
        for (uint32_t step = 0; step < 150; step++) {
            map.version++;
            walk_step(&walk);
            const struct sgn_line *line = &map.lines[0];
            cr_assert_neq(sgn_line_in_sync(line), 0);
            for (uint32_t value = 0; value < VALUES; value++) {
                uint32_t lack = sgn_line_all(line) & ~seats_of(line, walk.holders[value]);
                cr_assert(walk.epoch[value] == 0 || !sgn_line_quorum(line, lack),
                          "round %u step %u value %u",
                          round,
                          step,
                          value);
            }
        }
        ends += walk.ends;
        losses += walk.losses;
    }
    cr_assert(ends > 3000 && losses > 3000, "%u %u", ends, losses);
}
