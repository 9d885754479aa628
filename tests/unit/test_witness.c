/* The witness against a dumb one, whole and with one rule broken; its bytes, its bounds. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "ring/core/items.h"
#include "ring/core/limits.h"
#include "ring/core/mutant.h"
#include "tests/lib/dumb_witness.h"

int sgn_mutant; /* Of the witness that is compiled into this test. */

Test(witness, behaves_as_the_dumb_one)
{
    static struct dumb_world world;
    uint64_t overflows = 0;
    uint64_t activations = 0;
    uint64_t lists = 0;
    uint64_t old_seen = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        dumb_begin(&world, seed);
        dumb_run(&world, 600);
        cr_assert_str_empty(world.wrong, "seed %llu: %s", (unsigned long long)seed, world.wrong);
        overflows += world.overflows;
        activations += world.activations;
        lists += world.lists_compared;
        old_seen += world.old_seen;
        free(world.witness);
    }
    /* The runs went through what they are meant to. */
    cr_assert_gt(overflows, 100u);
    cr_assert_gt(activations, 300u);
    cr_assert_gt(lists, 500u);
    cr_assert_gt(old_seen, 500u);
}

Test(witness, a_broken_rule_shows)
{
    static struct dumb_world world;
    static const int mutants[] = {10, 11, 13, 31, 35};
    for (size_t i = 0; i < sizeof(mutants) / sizeof(mutants[0]); i++) {
        uint64_t seed = 0;
        sgn_mutant = mutants[i];
        do {
            dumb_begin(&world, ++seed);
            dumb_run(&world, 600);
            free(world.witness);
        } while (world.wrong[0] == '\0' && seed < 20);
        sgn_mutant = 0;
        cr_assert_str_not_empty(world.wrong, "mutant %d was not told apart", mutants[i]);
    }
}

/* --- single rules and bytes ------------------------------------------------------------------ */

Test(witness, refuses_what_is_no_request)
{
    static struct dumb_world world;
    uint8_t raw[4096];
    dumb_begin(&world, 1);
    dumb_step_map(&world);
    uint32_t version = world.map.version;

    struct sgn_witness_ask ask = {.what = SGN_WITNESS_CHECK};
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    sgn_witness_ask_put(&sink, &ask);
    cr_assert_eq(sink.count, SGN_WITNESS_ASK_BYTES);
    struct sgn_msg request = {.type = SGN_MSG_WITNESS, .items = sgn_sink_bytes(&sink), .a = 77};
    for (size_t cut = 1; cut < SGN_WITNESS_ASK_BYTES; cut++) {
        request.items.count = cut;
        cr_assert_eq(dumb_send(&world, &request).err, SGN_ERR_PROTOCOL);
    }
    static uint8_t many[(SGN_WITNESS_BATCH_MAX + 1) * SGN_WITNESS_ASK_BYTES];
    request.items = sgn_bytes_of(many, sizeof(many));
    cr_assert_eq(dumb_send(&world, &request).err, SGN_ERR_PROTOCOL, "more than a batch");
    request.items = sgn_bytes_of(many, SGN_WITNESS_ASK_BYTES);
    cr_assert_eq(dumb_send(&world, &request).err, SGN_ERR_PROTOCOL, "0 asks nothing");

    request = (struct sgn_msg){.type = SGN_MSG_SEED, .node = 1};
    sink = sgn_sink_of(raw, sizeof(raw));
    sgn_items_push(&sink, sgn_bytes_of("12345678", 8), sgn_bytes_of(many, SGN_MARK_BYTES - 1));
    request.items = sgn_sink_bytes(&sink);
    cr_assert_eq(dumb_send(&world, &request).err, SGN_ERR_PROTOCOL, "half a mark");
    for (size_t cut = 1; cut < sink.count; cut++) {
        request.items.count = cut;
        cr_assert_eq(dumb_send(&world, &request).err, SGN_ERR_PROTOCOL);
    }

    request = (struct sgn_msg){.type = SGN_MSG_MAP_IS, .value = sgn_bytes_str("no map")};
    cr_assert_eq(dumb_send(&world, &request).err, SGN_ERR_INVALID);
    struct sgn_map wide = world.map;
    struct sgn_line lines[DUMB_PARTS];
    memcpy(lines, world.lines, sizeof(lines));
    wide.version++;
    wide.lines = lines;
    wide.partition_count = DUMB_PARTS / 2;
    static uint8_t map_raw[1u << 16];
    sink = sgn_sink_of(map_raw, sizeof(map_raw));
    sgn_map_encode(&wide, &sink);
    request.value = sgn_sink_bytes(&sink);
    cr_assert_eq(dumb_send(&world, &request).err, SGN_ERR_INVALID, "a ring keeps its partitions");
    for (size_t cut = 0; cut < sink.count; cut++) {
        request.value.count = cut;
        cr_assert_neq(dumb_send(&world, &request).err, SGN_OK);
    }
    struct sgn_msg get = {.type = SGN_MSG_GET};
    struct sgn_msg answer = dumb_send(&world, &get);
    cr_assert_eq(answer.err, SGN_ERR_UNSUPPORTED);
    cr_assert_eq(answer.a, version, "nothing of it changed the map");
    cr_assert_str_empty(world.wrong);
    free(world.witness);
}

Test(witness, asks_and_tells_round_trip)
{
    struct sgn_prng prng = {9};
    for (uint32_t i = 0; i < 2000; i++) {
        uint8_t raw[256];
        uint8_t marks[3 * SGN_MARK_BYTES];
        struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
        struct sgn_ballot ballot = {sgn_prng_next(&prng),
                                    (uint32_t)sgn_prng_next(&prng),
                                    (uint32_t)sgn_prng_next(&prng),
                                    (uint32_t)sgn_prng_next(&prng)};
        struct sgn_witness_ask ask = {(uint8_t)(1 + i % 4),
                                      (uint32_t)sgn_prng_next(&prng),
                                      (uint32_t)sgn_prng_next(&prng),
                                      (uint32_t)sgn_prng_next(&prng),
                                      {sgn_prng_next(&prng), sgn_prng_next(&prng)},
                                      ballot};
        struct sgn_witness_tell tell = {.what = (uint8_t)(1 + i % 4),
                                        .status = (uint8_t)(i / 4 % 4),
                                        .tag = (uint32_t)sgn_prng_next(&prng),
                                        .ballot = ballot};
        tell.what = tell.what == SGN_WITNESS_SETTLE ? SGN_WITNESS_LIST : tell.what;
        if (tell.what == SGN_WITNESS_LIST) {
            tell.mark_count = (uint32_t)sgn_prng_below(&prng, 4);
            tell.marks = sgn_bytes_of(marks, tell.mark_count * SGN_MARK_BYTES);
            memset(marks, (int)i & 0xff, sizeof(marks));
        }
        sgn_witness_ask_put(&sink, &ask);
        sgn_witness_tell_put(&sink, &tell);
        struct sgn_cursor cursor = sgn_cursor_of(sgn_sink_bytes(&sink));
        struct sgn_witness_ask ask_back;
        struct sgn_witness_tell tell_back;
        cr_assert(sgn_witness_ask_take(&cursor, &ask_back));
        size_t tell_bytes = cursor.left;
        const uint8_t *tell_raw = cursor.ptr;
        cr_assert(sgn_witness_tell_take(&cursor, &tell_back));
        cr_assert_eq(cursor.left, 0u);
        cr_assert(ask_back.what == ask.what && ask_back.tag == ask.tag &&
                  ask_back.partition == ask.partition && ask_back.epoch == ask.epoch &&
                  ask_back.key.hash == ask.key.hash && ask_back.key.keyed == ask.key.keyed &&
                  sgn_ballot_compare(&ask_back.ballot, &ballot) == 0);
        cr_assert(tell_back.what == tell.what && tell_back.status == tell.status &&
                  tell_back.tag == tell.tag && tell_back.mark_count == tell.mark_count &&
                  sgn_bytes_equal(tell_back.marks, tell.marks) &&
                  sgn_ballot_compare(&tell_back.ballot, &ballot) == 0);
        for (size_t cut = 0; cut < tell_bytes; cut++) {
            cursor = sgn_cursor_of(sgn_bytes_of(tell_raw, cut));
            cr_assert_not(sgn_witness_tell_take(&cursor, &tell_back), "cut at %zu", cut);
        }
    }
}

Test(witness, keys_are_known_by_128_bits)
{
    struct sgn_bytes key = sgn_bytes_of("bucket\0key", 10);
    struct sgn_key_hash a = sgn_key_hash_of(key, 1);
    struct sgn_key_hash b = sgn_key_hash_of(key, 2);
    cr_assert_eq(a.hash, b.hash, "it places the key, whatever the seed");
    cr_assert_neq(a.keyed, b.keyed, "the seed is what nobody can aim past");
    cr_assert_eq(sizeof(struct sgn_witness_entry), 56u);
    uint32_t entries = 100000;
    size_t bytes = sgn_witness_bytes(1, entries) - sgn_witness_bytes(1, 1);
    cr_assert_leq(bytes, (size_t)entries * 64, "64 bytes a key");
}

/* A list that does not fit a page says nothing rather than half; an active partition goes on. */
Test(witness, a_list_too_long_is_no_statement)
{
    enum { COUNT = SGN_PAGE_BYTES_MAX / SGN_MARK_BYTES + 1 };
    struct sgn_witness_options options = {DUMB_ID, DUMB_BIRTH, COUNT, DUMB_OLD_MS};
    static struct dumb_world world;
    dumb_begin(&world, 1);
    free(world.witness);
    size_t bytes = sgn_witness_bytes(DUMB_PARTS, COUNT);
    void *memory = aligned_alloc(16, (bytes + 15) & ~(size_t)15);
    cr_assert_not_null(memory);
    memset(memory, 0, bytes);
    world.witness = sgn_witness_init(memory, DUMB_PARTS, &options);
    do {
        dumb_step_map(&world);
    } while (!world.parts[0].listed || world.lines[0].joint);
    for (uint32_t i = 0; i < 3; i++) {
        uint8_t raw[64];
        struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
        uint8_t key_raw[8] = {0};
        memcpy(key_raw + 4, &world.parts[0].epoch, 4);
        sgn_items_push(&sink, sgn_bytes_of(key_raw, 8), sgn_bytes_of(NULL, 0));
        struct sgn_msg seed = {.type = SGN_MSG_SEED,
                               .node = world.lines[0].seats[i].node,
                               .items = sgn_sink_bytes(&sink)};
        (void)dumb_send(&world, &seed);
    }
    uint32_t listed = 0;
    for (uint32_t i = 0; i <= COUNT; i++) {
        uint8_t raw[2 * SGN_WITNESS_ASK_BYTES];
        struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
        struct sgn_witness_ask ask = {.what = SGN_WITNESS_MARK,
                                      .epoch = world.parts[0].epoch,
                                      .key = {i, i},
                                      .ballot = {1, 1, 1, 0}};
        struct sgn_witness_tell tell;
        if (i < COUNT) {
            sgn_witness_ask_put(&sink, &ask);
        }
        bool last = i + 5 >= COUNT;
        ask.what = SGN_WITNESS_LIST;
        if (last) {
            sgn_witness_ask_put(&sink, &ask);
        }
        struct sgn_msg request = {
            .type = SGN_MSG_WITNESS, .a = DUMB_BIRTH, .items = sgn_sink_bytes(&sink)};
        struct sgn_msg answer = dumb_send(&world, &request);
        struct sgn_cursor cursor = sgn_cursor_of(answer.items);
        if (i < COUNT) {
            cr_assert(sgn_witness_tell_take(&cursor, &tell) && tell.status == SGN_WITNESS_OK);
        }
        if (last) {
            cr_assert(sgn_witness_tell_take(&cursor, &tell));
            bool fits = answer.items.count > 1000;
            cr_assert_eq(tell.status, fits ? SGN_WITNESS_OK : SGN_WITNESS_WARMING);
            cr_assert_eq(tell.mark_count, fits ? i + 1 : 0);
            listed += fits;
        }
    }
    cr_assert_gt(listed, 0u);
    cr_assert_lt(listed, 5u, "the last ones do not fit");
    cr_assert_str_empty(world.wrong);
    free(world.witness);
}
