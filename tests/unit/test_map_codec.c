#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/unit/map_help.h"

static uint8_t bytes[10u << 20], again[10u << 20];

static bool any(const void *user, uint32_t witness)
{
    (void)user;
    (void)witness;
    return true;
}

static bool not_this(const void *user, uint32_t witness)
{
    return witness != *(const uint32_t *)user;
}

static bool below_this(const void *user, uint32_t witness)
{
    return witness < *(const uint32_t *)user;
}

/* A map with a past: versions in which things happened at random. */
static void map_draw(struct sgn_prng *prng, uint32_t partitions)
{
    uint32_t nodes = 3 + below(prng, 9), node_max = nodes;
    map_new(partitions, nodes, 1 + below(prng, 3));
    for (uint32_t i = 0; i < nodes; i++) { /* Ids that take one to five bytes. */
        ring.members[i].id = 1 + (i << below(prng, 2) * 13) + (i > 0 ? ring.members[i - 1].id : 0);
        node_max = ring.members[i].id;
    }
    sgn_map_first(&map, &ring);
    for (uint32_t i = below(prng, 9); i > 0; i--) {
        fleet_add(i, 1 + below(prng, 3));
        map.witnesses[map.witness_count - 1].leaving = sgn_prng_chance(prng, 100);
        map.witnesses[map.witness_count - 1].host =
            sgn_prng_chance(prng, 300) ? map.witness_count * 1000000u : 0;
    }
    for (uint32_t i = below(prng, 12); i > 0; i--) {
        struct sgn_known known = {.id = node_max, .version = map.version};
        next_version();
        map.group_size = 1 + 2 * below(prng, 3);
        for (uint32_t k = 0; k < map.witness_count; k++) {
            map.witnesses[k].incarnation += sgn_prng_chance(prng, 200) ? below(prng, 1 << 30) : 0;
        }
        (void)sgn_map_assign_groups(&map, any, NULL);
        uint32_t replaced = ring.members[below(prng, nodes)].id;
        (void)sgn_map_set_disk(&map, replaced, sgn_prng_next(prng), NULL, 0);
        for (uint32_t p = 0; p < partitions; p++) {
            uint32_t nodes_to[3];
            for (uint32_t k = 0; k < 3; k++) {
                nodes_to[k] = ring.members[below(prng, nodes)].id;
            }
            (void)sgn_map_seat_state(&map, p, nodes_to[0], below(prng, 3));
            (void)sgn_map_seat_state(&map, p, nodes_to[1], below(prng, 3));
            (void)(sgn_prng_chance(prng, 300) && sgn_map_move_begin(&map, p, nodes_to, 3));
            (void)(sgn_prng_chance(prng, 300) && sgn_map_move_end(&map, p));
            (void)(sgn_prng_chance(prng, 100) && sgn_map_force(&map, p));
        }
        sgn_map_prune(&map, &known, 1);
    }
}

static struct sgn_bytes encoded(const struct sgn_map *of, uint8_t *into)
{
    struct sgn_sink sink = sgn_sink_of(into, sgn_map_bytes_max(of->partition_count));
    sgn_map_encode(of, &sink);
    cr_assert(!sink.full);
    return sgn_sink_bytes(&sink);
}

static void same(const struct sgn_map *a, const struct sgn_map *b)
{
    cr_assert(a->version == b->version && a->partition_count == b->partition_count &&
              a->group_size == b->group_size && a->hash_seed == b->hash_seed &&
              a->witness_count == b->witness_count);
    for (uint32_t i = 0; i < a->witness_count; i++) {
        const struct sgn_witness_member *x = &a->witnesses[i], *y = &b->witnesses[i];
        cr_assert(x->id == y->id && x->incarnation == y->incarnation && x->leaving == y->leaving);
        cr_assert_eq(x->host, y->host);
        cr_assert_str_eq(x->address, y->address);
    }
    for (uint32_t p = 0; p < a->partition_count; p++) {
        const struct sgn_line *x = &a->lines[p], *y = &b->lines[p];
        cr_assert(x->epoch == y->epoch && x->joint == y->joint && x->seat_count == y->seat_count &&
                  x->group_count == y->group_count && x->fence_count == y->fence_count);
        /* What is not used is zero in both. */
        cr_assert(memcmp(x->seats, y->seats, sizeof(x->seats)) == 0);
        cr_assert(memcmp(x->group, y->group, sizeof(x->group)) == 0);
        cr_assert(memcmp(x->fences, y->fences, sizeof(x->fences)) == 0);
    }
}

/* From memory of exactly that size, so that the sanitizer sees a read behind the end. */
static enum sgn_err decode_exact(const uint8_t *from, size_t count)
{
    uint8_t *exact = malloc(count > 0 ? count : 1);
    cr_assert_not_null(exact);
    memcpy(exact, from, count);
    enum sgn_err err = sgn_map_decode(sgn_bytes_of(exact, count), &ring, &other);
    (void)sgn_map_version_of(sgn_bytes_of(exact, count));
    free(exact);
    return err;
}

Test(map_codec, comes_back_from_bytes_and_garbage_does_not)
{
    uint32_t taken = 0, joint = 0, fences = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct sgn_prng prng = {seed};
        map_draw(&prng, 8);
        struct sgn_bytes whole = encoded(&map, bytes);
        cr_assert_eq(decode_exact(bytes, whole.count), SGN_OK, "seed %u", (uint32_t)seed);
        cr_assert(other.lines == lines_b);
        same(&map, &other);
        cr_assert_eq(sgn_map_decode_alone(whole, 7, &other), SGN_ERR_INVALID); /* No room. */
        cr_assert_eq(sgn_map_decode_alone(whole, LINES, &other), SGN_OK);
        same(&map, &other);
        cr_assert_eq(sgn_map_version_of(whole), map.version);
        for (uint32_t p = 0; p < 8; p++) {
            joint += map.lines[p].joint ? 1 : 0;
            fences += map.lines[p].fence_count;
        }
        for (size_t count = 0; count < whole.count; count++) {
            cr_assert_eq(decode_exact(bytes, count), SGN_ERR_INVALID);
        }
        bytes[whole.count] = 0;
        cr_assert_eq(decode_exact(bytes, whole.count + 1), SGN_ERR_INVALID);
        for (uint32_t i = 0; i < 3000; i++) { /* One to three bytes changed. */
            size_t at[3];
            uint8_t kept[3];
            for (uint32_t k = 0; k < 1 + i % 3; k++) {
                at[k] = sgn_prng_below(&prng, whole.count);
                kept[k] = bytes[at[k]];
                bytes[at[k]] = (uint8_t)sgn_prng_next(&prng);
            }
            if (decode_exact(bytes, whole.count) == SGN_OK) { /* Then a map of those bytes. */
                cr_assert(sgn_bytes_equal(encoded(&other, again), whole));
                taken++;
            }
            for (uint32_t k = 1 + i % 3; k > 0; k--) {
                bytes[at[k - 1]] = kept[k - 1];
            }
        }
    }
    cr_assert(taken > 1000 && joint > 20 && fences > 100, "%u %u %u", taken, joint, fences);
    cr_assert_eq(sgn_map_version_of(sgn_bytes_of(NULL, 0)), 0);
    cr_assert_eq(sgn_map_version_of(sgn_bytes_str("not a map at all, by its first byte")), 0);
}

static void spoil_line(uint32_t what, struct sgn_line *line)
{
    switch (what) {
    case 0: line->epoch = 0; break;
    case 1: line->epoch = map.version + 1; break;
    case 2: line->seat_count = 0; break;
    case 3: line->seats[1].node = line->seats[0].node; break;
    case 4: line->seats[1].node = 99; break; /* No member. */
    case 5: line->seats[1].node = W(1); break;
    case 6: line->seats[1].node = 0; break;
    case 7: line->seats[1].state = 3; break;
    case 8: line->seats[1].sets = 0; break;
    case 9: line->seats[1].sets = SGN_SET_OLD; break; /* Though not joint. */
    case 10: line->joint = true; break;               /* Without an old set. */
    case 11: line->seats[1].caught = 1; break;
    case 23: line->seats[1].sets = SGN_SET_NEW | SGN_SET_LOST; break;
    case 24:
        line->joint = true;
        line->seats[1].sets = SGN_SET_OLD | SGN_SET_LOST;
        break;
    case 25: /* Who is lost and not of the new set serves. */
        line->joint = true;
        line->seats[0].sets = SGN_SET_NEW | SGN_SET_OLD;
        line->seats[1].sets = SGN_SET_NEW | SGN_SET_OLD;
        line->seats[2].sets = SGN_SET_LOST;
        break;
    case 12: line->seats[1].since = line->epoch + 1; break;
    case 13: line->group_count = 2; break;
    case 14: line->group[1] = line->group[0]; break;
    case 15: line->group[1].incarnation = 0; break;
    case 16: line->fences[0].epoch = line->epoch; break;
    case 17: line->fences[1].epoch = line->fences[0].epoch; break;
    case 18: line->fences[0].in_sync_count = 0; break;
    case 19: line->fences[0].in_sync[1] = line->fences[0].in_sync[0]; break;
    case 20: line->fences[0].in_sync[1] = W(1); break;
    case 21: line->fences[0].group_count = 0; break;
    case 22: line->fences[0].epoch = 0; break;
    default:
        for (uint32_t i = 0; i < line->seat_count; i++) {
            line->seats[i].state = SGN_SEAT_OUT; /* Nobody in_sync. */
        }
        break;
    }
}

static void spoil_map(uint32_t what)
{
    switch (what) {
    case 0: map.version = 0; break;
    case 1: map.partition_count = 4; break;
    case 2: map.partition_count = 0; break;
    case 3: map.group_size = 0; break;
    case 4: map.group_size = 4; break;
    case 5: map.group_size = 7; break;
    case 6: map.witnesses[4].address[0] = '\n'; break;
    case 7: map.disks[1].node = 1; break;
    case 8: map.disks[0].disk = 0; break;
    case 9: map.disks[0].node = 0; break;
    default: map.disks[2].node = 99; break; /* No member. */
    }
}

/* What decode must refuse though every field could be read. */
Test(map_codec, bad_fields_are_refused)
{
    for (uint32_t what = 0; what <= 27 + 11; what++) {
        map_new(8, 3, 3);
        for (uint32_t i = 0; i < 5; i++) {
            fleet_add(i + 1, 1);
        }
        for (uint32_t i = 0; i < 3; i++) {
            next_version();
            cr_assert(i > 0 || (sgn_map_set_disk(&map, 1, 1, NULL, 0) &&
                                sgn_map_set_disk(&map, 2, 1, NULL, 0) &&
                                sgn_map_set_disk(&map, 3, 1, NULL, 0)));
            if (i == 0) {
                map.group_size = 5;
            }
            (void)sgn_map_relist(&map, 3);
            (void)sgn_map_assign_groups(&map, any, NULL);
        }
        cr_assert(map.lines[3].fence_count == 2 && map.lines[3].group_count == 5);
        if (what == 0) {
            cr_assert_eq(sgn_map_decode(encoded(&map, bytes), &ring, &other), SGN_OK);
        } else if (what <= 27) {
            spoil_line(what - 1, &map.lines[3]);
            cr_assert_eq(sgn_map_decode(encoded(&map, bytes), &ring, &other),
                         SGN_ERR_INVALID,
                         "line %u",
                         what - 1);
        } else {
            spoil_map(what - 28);
            cr_assert_eq(sgn_map_decode(encoded(&map, bytes), &ring, &other),
                         SGN_ERR_INVALID,
                         "map %u",
                         what - 28);
        }
    }
    map_new(8, 3, 3);
    fleet_add(1, 1);
    fleet_add(2, 1);
    static const uint32_t bad_ids[] = {W(1), 5, SGN_WITNESS_BIT << 1 | SGN_WITNESS_BIT, W(9)};
    struct sgn_bytes whole = encoded(&map, bytes);
    for (uint32_t i = 0; i < 4;
         i++) { /* The second witness's: head, and the first with its address. */
        struct sgn_sink id = sgn_sink_of(bytes + 19 + 20, 4);
        sgn_sink_uint(&id, bad_ids[i], 4);
        cr_assert_eq(sgn_map_decode(whole, &ring, &other), i < 3 ? SGN_ERR_INVALID : SGN_OK);
    }
    ring.partition_count = 16;
    cr_assert_eq(sgn_map_decode(whole, &ring, &other), SGN_ERR_INVALID);
}

/* The largest ring, every list of fences full, after years: 2 MiB. */
Test(map_codec, the_largest_map_is_small)
{
    map_new(SGN_PARTITIONS_MAX, 300, 3);
    map.version = 900000;
    for (uint32_t i = 0; i < SGN_WITNESSES_MAX; i++) {
        fleet_add(i, 1000000 + i);
    }
    for (uint32_t i = 0; i <= SGN_FENCES_MAX; i++) {
        map.version += 1000;
        for (uint32_t p = 0; p < SGN_PARTITIONS_MAX; p++) {
            cr_assert(sgn_map_relist(&map, p));
        }
        if (i == 0) {
            cr_assert_eq(sgn_map_assign_groups(&map, any, NULL), SGN_PARTITIONS_MAX);
        }
    }
    cr_assert_eq(map.lines[5].fence_count, SGN_FENCES_MAX);
    struct sgn_bytes whole = encoded(&map, bytes);
    cr_assert_leq(whole.count, 2u << 20);
    cr_assert_leq(sgn_map_bytes_max(SGN_PARTITIONS_MAX), sizeof(bytes));
    cr_assert_eq(sgn_map_decode(whole, &ring, &other), SGN_OK);
    same(&map, &other);
}

/* Lines of each witness, by place in the fleet; checks that each group is one. */
static void loads(uint32_t size, uint32_t *load)
{
    memset(load, 0, SGN_WITNESSES_MAX * sizeof(*load));
    for (uint32_t p = 0; p < map.partition_count; p++) {
        const struct sgn_line *line = &map.lines[p];
        cr_assert_eq(line->group_count, size);
        for (uint32_t i = 0; i < map.witness_count; i++) {
            int at = sgn_line_group_index(line, map.witnesses[i].id);
            load[i] += at >= 0 ? 1 : 0;
            cr_assert(at < 0 || line->group[at].incarnation == map.witnesses[i].incarnation);
            cr_assert(at <= 0 || line->group[at].id > line->group[at - 1].id);
        }
    }
}

/* Every usable witness within one of every other, the rest with none. */
static void even(uint32_t size, uint32_t unusable)
{
    uint32_t load[SGN_WITNESSES_MAX], least = UINT32_MAX, most = 0;
    loads(size, load);
    for (uint32_t i = 0; i < map.witness_count; i++) {
        if (map.witnesses[i].id == unusable) {
            cr_assert_eq(load[i], 0);
            continue;
        }
        least = load[i] < least ? load[i] : least;
        most = load[i] > most ? load[i] : most;
    }
    cr_assert_leq(most - least, 1);
}

Test(map_codec, groups_are_even_and_move_little)
{
    static const uint32_t fleets[] = {1, 2, 3, 4, 5, 7, 16, SGN_WITNESSES_MAX};
    for (uint32_t f = 0; f < 8 * 3; f++) {
        uint32_t fleet = fleets[f / 3], wanted = 1 + 2 * (f % 3), load[SGN_WITNESSES_MAX];
        uint32_t size = fleet < wanted ? (fleet < 3 ? 1 : 3) : wanted;
        map_new(256, 5, 3);
        map.group_size = wanted;
        for (uint32_t i = 0; i < fleet; i++) {
            fleet_add(i * 5 % 64, 5);
        }
        next_version();
        cr_assert_eq(sgn_map_assign_groups(&map, any, NULL), 256);
        cr_assert_eq(sgn_map_assign_groups(&map, any, NULL), 0);
        even(size, 0);

        /* One is restarted: its lines have a new epoch, no other, and nobody moves. */
        next_version();
        loads(size, load);
        uint32_t restarted = load[fleet / 2];
        map.witnesses[fleet / 2].incarnation++;
        cr_assert_eq(sgn_map_assign_groups(&map, any, NULL), restarted);
        even(size, 0);
        if (fleet < SGN_WITNESSES_MAX && fleet >= wanted) { /* One joins: it takes its share. */
            next_version();
            fleet_add(63, 1);
            cr_assert_leq(sgn_map_assign_groups(&map, any, NULL), 256 * size / (fleet + 1) + 1);
            even(size, 0);
        }
        if (map.witness_count > wanted) { /* One dies: its lines alone change. */
            next_version();
            loads(size, load);
            uint32_t dead = map.witnesses[0].id;
            cr_assert_eq(sgn_map_assign_groups(&map, not_this, &dead), load[0]);
            even(size, dead);
        }
    }
}

Test(map_codec, groups_when_few_serve)
{
    map_new(64, 5, 3);
    for (uint32_t i = 0; i < 3; i++) {
        fleet_add(i, 5);
    }
    next_version();
    uint32_t none = W(0), two = W(2), one = W(1);
    cr_assert_eq(sgn_map_assign_groups(&map, below_this, &none), 0);
    cr_assert_eq(map.lines[0].epoch, 1);
    cr_assert_eq(sgn_map_assign_groups(&map, below_this, &two), 64);
    even(1, W(2)); /* Two make no three: groups of one. */
    next_version();
    cr_assert_eq(sgn_map_assign_groups(&map, any, NULL), 64);
    even(3, 0);
    next_version();
    cr_assert_eq(sgn_map_assign_groups(&map, below_this, &none), 0); /* The fleet is lost. */
    cr_assert(map.lines[0].epoch == 3 && map.lines[0].group_count == 3);
    map.witnesses[1].leaving = true;
    map.witnesses[2].incarnation = 0; /* Not heard of. */
    cr_assert_eq(sgn_map_assign_groups(&map, any, NULL), 64);
    cr_assert(map.lines[0].group_count == 1 && map.lines[0].group[0].id == W(0));

    /* A line whose fences are full keeps its group till they drain. */
    for (uint32_t i = map.lines[7].fence_count; i < SGN_FENCES_MAX; i++) {
        next_version();
        cr_assert(sgn_map_relist(&map, 7));
    }
    next_version();
    map.witnesses[0].incarnation++;
    cr_assert_eq(sgn_map_assign_groups(&map, below_this, &one), 63);
    cr_assert(map.lines[7].group[0].incarnation == 5 && map.lines[6].group[0].incarnation == 6);
}
