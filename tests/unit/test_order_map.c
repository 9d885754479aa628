/* The register in the engine (protocol.md 6, 6.4): nodes of a small ring agree on maps, whoever
 * crashes, duels, sleeps or comes back. What is looked at throughout: one value for each version,
 * for ever, and no node goes back. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "ring/core/key.h"
#include "ring/core/map.h"
#include "ring/core/prng.h"
#include "tests/unit/engine_ask.h"

#define VERSIONS_MAX 4096u

static uint64_t seen[VERSIONS_MAX]; /* Digest of the map of each version; 0: not seen. */
static uint32_t reached[MINI_NODES_MAX];

static uint64_t digest_of(const struct sgn_map *map)
{
    static uint8_t raw[1 << 20];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    sgn_map_encode(map, &sink);
    cr_assert(!sink.full);
    return sgn_hash(sgn_sink_bytes(&sink));
}

static const struct sgn_map *map_of(uint32_t node)
{
    return sgn_engine_map(ring.nodes[node - 1].engine);
}

static void look(void)
{
    for (uint32_t i = 0; i < ring.node_count; i++) {
        if (!ring.nodes[i].up) {
            continue;
        }
        const struct sgn_map *map = map_of(i + 1);
        cr_assert(map->version >= reached[i] && map->version < VERSIONS_MAX);
        reached[i] = map->version;
        uint64_t digest = digest_of(map);
        cr_assert(seen[map->version] == 0 || seen[map->version] == digest,
                  "two maps of version %u",
                  map->version);
        seen[map->version] = digest;
    }
}

static void pass(uint64_t ms)
{
    for (uint64_t end = ring.now_ms + ms; ring.now_ms < end;) {
        mini_pass(&ring, SGN_TICK_MS);
        look();
    }
}

static void ring_new(uint32_t nodes)
{
    memset(seen, 0, sizeof(seen));
    memset(reached, 0, sizeof(reached));
    mini_init(&ring, nodes, 3, 8);
    look();
}

static bool all_agree(void)
{
    for (uint32_t i = 1; i <= ring.node_count; i++) {
        if (!ring.nodes[i - 1].up || map_of(i)->version != map_of(1)->version) {
            return false;
        }
    }
    return true;
}

static void settle(void)
{
    for (int i = 0; i < 1000 && !all_agree(); i++) {
        pass(SGN_TICK_MS);
    }
    cr_assert(all_agree());
}

static int add(uint32_t node, const char *address)
{
    int err = ask(node, change_of(SGN_MAP_ADD_WITNESS, 0, address));
    look();
    return err;
}

static const struct sgn_witness_member *listed(uint32_t node, const char *address)
{
    const struct sgn_map *map = map_of(node);
    for (uint32_t i = 0; i < map->witness_count; i++) {
        if (strcmp(map->witnesses[i].address, address) == 0) {
            return &map->witnesses[i];
        }
    }
    return NULL;
}

Test(order_map, changes_are_agreed_on)
{
    ring_new(3);
    cr_assert_eq(map_of(1)->version, 1);
    cr_assert_eq(add(2, "127.0.0.1:7401"), SGN_OK, "%s", ring.reply.text);
    uint64_t id = ring.reply.a;
    cr_assert((id & SGN_WITNESS_BIT) != 0);
    pass(500);
    for (uint32_t i = 1; i <= 3; i++) {
        cr_assert_eq(map_of(i)->version, 2);
        cr_assert_not_null(mini_find(&ring.nodes[i - 1], SGN_FAMILY_META, "map", 3));
        /* The same again is done already, at every node. */
        cr_assert(add(i, "127.0.0.1:7401") == SGN_OK && ring.reply.a == id);
        cr_assert_eq(map_of(i)->version, 2);
    }
    cr_assert_eq(add(3, "127.0.0.1:7402"), SGN_OK);
    cr_assert_neq(ring.reply.a, id);
    cr_assert_eq(ask(1, change_of(SGN_MAP_GROUP_SIZE, 5, "")), SGN_OK);
    cr_assert_eq(ask(1, change_of(SGN_MAP_GROUP_SIZE, 4, "")), SGN_ERR_INVALID);
    cr_assert_eq(ask(1, change_of(SGN_MAP_ADD_WITNESS, 0, "")), SGN_ERR_INVALID);
    cr_assert_eq(ask(1, change_of(SGN_MAP_DROP_WITNESS, 99, "")), SGN_ERR_INVALID);
    cr_assert_eq(ask(1, change_of(SGN_MAP_FORCE, 8, "")), SGN_ERR_INVALID);
    cr_assert(ask(1, change_of(SGN_MAP_FORCE, UINT64_MAX, "")) == SGN_OK && ring.reply.a == 0);
    cr_assert_eq(ask(1, change_of((enum sgn_map_change)9, 0, "")), SGN_ERR_INVALID);
    cr_assert_eq(ask(2, change_of(SGN_MAP_DROP_WITNESS, id, "")), SGN_OK);
    pass(3000); /* In no group: the keeper drops it. */
    settle();
    cr_assert_null(listed(1, "127.0.0.1:7401"));
    cr_assert_not_null(listed(1, "127.0.0.1:7402"));
    cr_assert_eq(add(1, "127.0.0.1:7401"), SGN_OK);
    cr_assert_neq(ring.reply.a, id, "an id never comes again");

    cr_assert_eq(ask(3, msg_of(SGN_MSG_MAP, "", "", "")), SGN_OK);
    static struct sgn_line lines[8];
    struct sgn_map map = {.lines = lines};
    struct sgn_bytes value = sgn_bytes_of(ring.reply.value, ring.reply.value_count);
    cr_assert_eq(sgn_map_decode_alone(value, 8, &map), SGN_OK);
    cr_assert(map.version == map_of(3)->version && map.group_size == 5);
    mini_clear(&ring);
}

/* A minority answers within the time, and the change is not made behind its back twice. */
Test(order_map, a_minority_changes_nothing)
{
    ring_new(3);
    mini_down(&ring, 2);
    cr_assert_eq(add(1, "127.0.0.1:7401"), SGN_OK);
    mini_down(&ring, 3);
    int err = add(1, "127.0.0.1:7402");
    cr_assert(err == SGN_ERR_UNAVAILABLE || err == SGN_ERR_UNKNOWN, "%d %s", err, ring.reply.text);
    cr_assert_eq(map_of(1)->version, 2);
    cr_assert_null(listed(1, "127.0.0.1:7402"));
    /* 2 slept through version 2, 3 comes back into it; alone again each is where it was. */
    mini_up(&ring, 2);
    pass(1000);
    cr_assert_eq(map_of(2)->version, 2, "gossip tells");
    mini_up(&ring, 3);
    pass(10000);
    settle();
    uint32_t version = map_of(1)->version;
    for (uint32_t i = 1; i <= 3; i++) {
        mini_down(&ring, i);
    }
    for (uint32_t i = 1; i <= 3; i++) {
        mini_up(&ring, i);
        cr_assert_eq(map_of(i)->version, version, "a restart keeps the version");
    }
    cr_assert_eq(add(3, "127.0.0.1:7403"), SGN_OK);
    mini_clear(&ring);
}

/* Once at each store of the proposer, with the store lost and kept; then of a voter. */
Test(order_map, crashes_at_every_store)
{
    static const char *names[3] = {"127.0.0.1:7401", "127.0.0.1:7402", "127.0.0.1:7403"};
    for (uint32_t at = 1; at <= 4; at++) {
        for (uint32_t way = 0; way < 4; way++) {
            uint32_t victim = way % 2 == 0 ? 1 : 2;
            ring_new(3);
            ring.nodes[victim - 1].halt_at_store = at;
            ring.nodes[victim - 1].halt_loses = way / 2 == 1;
            mini_request(&ring, 1, change_of(SGN_MAP_ADD_WITNESS, 0, names[0]));
            mini_run(&ring);
            pass(200);
            if (ring.nodes[victim - 1].halted) {
                mini_down(&ring, victim);
                /* The others go on, and find what may have been chosen. */
                cr_assert_eq(add(3, names[1]), SGN_OK, "%s", ring.reply.text);
                pass(200);
                mini_up(&ring, victim);
            }
            ring.nodes[victim - 1].halt_at_store = 0;
            pass(500);
            cr_assert_eq(add(victim, names[2]), SGN_OK, "at %u, way %u", at, way);
            settle();
            cr_assert_not_null(listed(1, names[2]));
            cr_assert(victim != 2 || listed(1, names[0]) != NULL, "a voter's crash loses nothing");
            mini_clear(&ring);
        }
    }
}

/* What two of three have accepted is chosen, even if one of them has gone and the other was started
 * anew: the third meets it there. */
Test(order_map, votes_survive_restarts)
{
    for (uint32_t at = 1; at <= 4; at++) {
        for (uint32_t way = 0; way < 4; way++) {
            uint32_t victim = way % 2 == 0 ? 1 : 2;
            ring_new(3);
            mini_down(&ring, 3);
            ring.nodes[victim - 1].halt_at_store = at;
            ring.nodes[victim - 1].halt_loses = way / 2 == 1;
            mini_request(&ring, 1, change_of(SGN_MAP_ADD_WITNESS, 0, "127.0.0.1:7401"));
            mini_run(&ring);
            look();
            bool chosen = map_of(1)->version == 2;
            mini_down(&ring, 1);
            mini_down(&ring, 2);
            mini_up(&ring, 2);
            mini_up(&ring, 3);
            cr_assert_eq(add(3, "127.0.0.1:7402"), SGN_OK, "at %u, way %u", at, way);
            cr_assert(!chosen || listed(3, "127.0.0.1:7401") != NULL);
            mini_up(&ring, 1);
            pass(500);
            settle();
            mini_clear(&ring);
        }
    }
}

Test(order_map, duels_end)
{
    char address[64];
    ring_new(5);
    for (int round = 0; round < 20; round++) {
        uint32_t before = ring.reply.count;
        for (uint32_t i = 1; i <= 5; i++) {
            snprintf(address, sizeof(address), "10.0.%u.1:%u", round, i);
            mini_request(&ring, i, change_of(SGN_MAP_ADD_WITNESS, 0, address));
        }
        mini_run(&ring);
        pass(2500);
        cr_assert_eq(ring.reply.count, before + 5);
        settle();
        uint32_t made = 0;
        for (uint32_t i = 1; i <= 5; i++) {
            snprintf(address, sizeof(address), "10.0.%u.1:%u", round, i);
            made += listed(1, address) != NULL;
        }
        cr_assert_eq(made, 5);
        for (uint32_t i = 1; i <= 5; i++) {
            snprintf(address, sizeof(address), "10.0.%u.1:%u", round, i);
            const struct sgn_witness_member *witness = listed(1, address);
            cr_assert_eq(ask(i, change_of(SGN_MAP_DROP_WITNESS, witness->id, "")), SGN_OK);
        }
        pass(3000);
        settle();
        cr_assert_eq(map_of(1)->witness_count, 0);
    }
    mini_clear(&ring);
}

/* A replica that is down goes out, and is listed as catching up when it is back. */
Test(order_map, the_dead_go_out_and_come_back)
{
    ring_new(4);
    mini_down(&ring, 1); /* It would have proposed: another does. */
    pass(12000);
    uint32_t seats = 0;
    for (uint32_t p = 0; p < 8; p++) {
        const struct sgn_line *line = &map_of(2)->lines[p];
        int seat = sgn_line_seat(line, 1);
        seats += seat >= 0;
        cr_assert(seat < 0 || line->seats[seat].state == SGN_SEAT_OUT);
        cr_assert(seat >= 0 || line->epoch == 1, "other lines are left alone");
    }
    cr_assert(seats > 0);
    cr_assert(map_of(2)->version < 6, "not one version for each seat");
    mini_up(&ring, 1);
    pass(5000);
    settle();
    for (uint32_t p = 0; p < 8; p++) {
        const struct sgn_line *line = &map_of(2)->lines[p];
        int seat = sgn_line_seat(line, 1);
        cr_assert(seat < 0 || line->seats[seat].state == SGN_SEAT_IN_SYNC);
    }
    mini_down(&ring, 2);
    mini_down(&ring, 3);
    uint32_t version = map_of(1)->version;
    pass(8000);
    cr_assert_eq(map_of(1)->version, version, "half of the voters decide nothing");
    mini_clear(&ring);
}

static bool line_is(uint32_t partition, const uint32_t *nodes, uint32_t count)
{
    const struct sgn_line *line = &map_of(1)->lines[partition];
    bool same = !line->joint && line->seat_count == count;
    for (uint32_t i = 0; same && i < count; i++) {
        same = line->seats[i].node == nodes[i] && line->seats[i].state == SGN_SEAT_IN_SYNC;
    }
    return same;
}

/* 6.2: the joint epoch, catching up, and the new set alone; then to others, and back. */
Test(order_map, partitions_move)
{
    static const uint32_t sets[4][3] = {{1, 2, 5}, {4, 5, 3}, {3, 4, 5}, {2, 1, 4}};
    ring_new(5);
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert(sgn_engine_move(ring.nodes[i % 2].engine, 3, sets[i], 3));
        cr_assert(!sgn_engine_move(ring.nodes[i % 2].engine, 3, sets[i], 3), "one at a time");
        bool was_joint = false;
        bool same_nodes = i == 2; /* Only the order is another: nothing to do. */
        for (int wait = 0; wait < 500 && (same_nodes || !line_is(3, sets[i], 3)); wait++) {
            pass(SGN_TICK_MS);
            was_joint = was_joint || map_of(1)->lines[3].joint;
        }
        cr_assert(same_nodes || line_is(3, sets[i], 3), "move %u", i);
        cr_assert_eq(was_joint, !same_nodes);
        pass(1000);
    }
    for (uint32_t p = 0; p < 8; p++) {
        cr_assert(p == 3 || map_of(1)->lines[p].epoch == 1);
    }
    cr_assert(!sgn_engine_move(ring.nodes[0].engine, 8, sets[0], 3));
    cr_assert(!sgn_engine_move(ring.nodes[0].engine, 1, (uint32_t[]){1, 1, 2}, 3));
    cr_assert(!sgn_engine_move(ring.nodes[0].engine, 1, (uint32_t[]){1, 2, 9}, 3));
    mini_clear(&ring);
}

/* Every line's group: so many members, those ones at most, all as they are now. */
static bool groups_are(uint32_t count, const uint32_t *ids, uint32_t id_count)
{
    const struct sgn_map *map = map_of(1);
    for (uint32_t p = 0; p < map->partition_count; p++) {
        const struct sgn_line *line = &map->lines[p];
        if (line->group_count != count) {
            return false;
        }
        for (uint32_t i = 0; i < count; i++) {
            bool known = false;
            for (uint32_t k = 0; k < id_count; k++) {
                known = known || line->group[i].id == ids[k];
            }
            for (uint32_t k = 0; k < map->witness_count; k++) {
                known = known && (map->witnesses[k].id != line->group[i].id ||
                                  map->witnesses[k].incarnation == line->group[i].incarnation);
            }
            if (!known) {
                return false;
            }
        }
    }
    return true;
}

static uint64_t fences(void)
{
    uint64_t count = 0;
    for (uint32_t p = 0; p < map_of(1)->partition_count; p++) {
        count += map_of(1)->lines[p].fence_count;
    }
    return count;
}

/* 4 and 7: witnesses come, restart, fall silent, leave. */
Test(order_map, the_fleet_changes)
{
    static const char *names[4] = {"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "10.0.0.4:1"};
    uint32_t ids[4];
    ring_new(3);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(add(1 + i, names[i]), SGN_OK);
        ids[i] = (uint32_t)ring.reply.a;
        mini_witness_up(&ring, ids[i]);
        pass(1000);
        cr_assert(groups_are(i < 2 ? 1 : 3, ids, i + 1), "%u witnesses", i + 1);
    }
    uint32_t version = map_of(1)->version;
    mini_witness_down(&ring, ids[0]);
    pass(8000);
    cr_assert(groups_are(3, ids, 3) && fences() == 0, "two of three do");
    cr_assert(map_of(1)->version <= version + 2, "at most a fence goes");
    mini_witness_up(&ring, ids[0]);
    pass(1000);
    cr_assert(groups_are(3, ids, 3) && map_of(1)->lines[0].epoch > version, "under its new name");
    pass(3000);
    cr_assert_eq(fences(), 0);

    mini_witness_down(&ring, ids[1]);
    cr_assert_eq(add(2, names[3]), SGN_OK);
    ids[3] = (uint32_t)ring.reply.a;
    mini_witness_up(&ring, ids[3]);
    pass(5000);
    cr_assert(groups_are(3, (uint32_t[]){ids[0], ids[2], ids[3]}, 3), "replaced");
    mini_witness_down(&ring, ids[0]);
    mini_witness_down(&ring, ids[3]);
    pass(5000);
    cr_assert(groups_are(1, &ids[2], 1), "one marks alone when the others are silent");
    mini_witness_down(&ring, ids[2]);
    pass(8000);
    cr_assert(groups_are(0, NULL, 0) && fences() == 0, "without a fleet");
    for (uint32_t i = 0; i < 4; i++) {
        mini_witness_up(&ring, ids[i]);
    }
    pass(1500);
    cr_assert(groups_are(3, ids, 4));
    cr_assert_eq(ask(2, change_of(SGN_MAP_DROP_WITNESS, ids[2], "")), SGN_OK);
    pass(6000);
    cr_assert(groups_are(3, (uint32_t[]){ids[0], ids[1], ids[3]}, 3));
    cr_assert(map_of(1)->witness_count == 3 && fences() == 0);
    version = map_of(1)->version;
    pass(10000);
    cr_assert_eq(map_of(1)->version, version, "nothing to do, nothing done");
    mini_clear(&ring);
}

/* Anything at any time; what look() asserts holds throughout, and in the end all agree. */
Test(order_map, random_faults)
{
    char address[64];
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct sgn_prng prng = {.state = seed};
        ring_new(3 + (uint32_t)(seed % 3));
        ring.random = seed << 32;
        for (int step = 0; step < 300; step++) {
            uint32_t node = 1 + (uint32_t)sgn_prng_below(&prng, ring.node_count);
            struct mini_node *at = &ring.nodes[node - 1];
            uint64_t what = sgn_prng_below(&prng, 10);
            ring.duplicate = sgn_prng_chance(&prng, 300);
            snprintf(address, sizeof(address), "10.0.0.%u:1", (unsigned)(step % 12));
            if (what < 2 && at->up && at->halt_at_store == 0) {
                at->halt_at_store = 1 + (uint32_t)sgn_prng_below(&prng, 6);
                at->halt_loses = sgn_prng_chance(&prng, 500);
            } else if (what < 4 && at->halted) {
                mini_down(&ring, node);
            } else if (what < 6 && !at->up) {
                mini_up(&ring, node);
            } else if (what == 6) {
                at->deaf = !at->deaf;
            } else if (what == 7) {
                at->stall_stores = !at->stall_stores && at->up;
            } else if (what == 8) {
                at->store_err = at->store_err == SGN_OK ? SGN_ERR_DISK_FULL : SGN_OK;
            } else if (at->up && map_of(node)->witness_count > 8) {
                uint32_t id = map_of(node)->witnesses[0].id;
                mini_request(&ring, node, change_of(SGN_MAP_DROP_WITNESS, id, ""));
            } else if (at->up) {
                mini_request(&ring, node, change_of(SGN_MAP_ADD_WITNESS, 0, address));
            }
            mini_run(&ring);
            pass(SGN_TICK_MS * (1 + sgn_prng_below(&prng, 10)));
        }
        ring.duplicate = false;
        for (uint32_t i = 1; i <= ring.node_count; i++) {
            struct mini_node *at = &ring.nodes[i - 1];
            at->stall_stores = at->deaf = false;
            at->store_err = SGN_OK;
            at->halt_at_store = 0;
            if (at->up && at->halted) {
                mini_down(&ring, i);
            }
            if (!at->up) {
                mini_up(&ring, i);
            }
        }
        pass(5000);
        settle();
        cr_assert_eq(add(1, "10.9.9.9:1"), SGN_OK, "%s", ring.reply.text);
        mini_clear(&ring);
    }
}
