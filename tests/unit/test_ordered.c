/* Ordered records and versions as bytes: there and back, one form only, and nothing else is taken
 * (protocol.md 2). */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "ring/core/limits.h"
#include "ring/core/ordered.h"
#include "ring/core/prng.h"
#include "tests/unit/ordered_help.h"

#define SEED        UINT64_C(0x6f726465726564)
#define HEAD_BYTES  64u
#define CORRUPTIONS 60000u

/* Every verdict and every form of a version in one record; its bytes are told in sample_edits. */
static void sample(struct sgn_ordered *record)
{
    static const struct {
        enum sgn_change_kind kind;
        enum sgn_condition condition;
        uint64_t stamp;
        struct sgn_ballot b;
        enum sgn_err result;
    } rounds[] = {
        {SGN_CHANGE_PUT, SGN_IF_ANY, 90, {100, 1, 1, 0}, SGN_OK},
        {SGN_CHANGE_PUT, SGN_IF_ANY, 190, {200, 2, 1, 0}, SGN_OK},
        {SGN_CHANGE_PUT, SGN_IF_ANY, 195, {200, 2, 1, 1}, SGN_OK},
        {SGN_CHANGE_PUT, SGN_IF_ABSENT, 196, {200, 2, 1, 2}, SGN_ERR_CONDITION},
        {SGN_CHANGE_RESOLVE, SGN_IF_ANY, 150, {300, 1, 1, 0}, SGN_ERR_VOID},
    };
    sgn_ordered_init(record);
    for (uint32_t i = 0; i < sizeof(rounds) / sizeof(rounds[0]); i++) {
        struct sgn_change change = ordered_change(rounds[i].kind, i + 1, rounds[i].stamp);
        change.condition = rounds[i].condition;
        ordered_check(ordered_step(record, &change, &rounds[i].b).result == rounds[i].result,
                      "sample");
    }
}

Test(ordered, orders_and_versions)
{
    static const struct sgn_ballot rising[] = {
        {0, 0, 0, 0},
        {0, 0, 0, 1},
        {0, 0, 1, 0},
        {0, 1, 0, 0},
        {1, 0, 0, 0},
        {1, 1, 1, 1},
        {1, 1, 1, UINT32_MAX},
        {1, 1, 2, 0},
        {1, 2, 0, 0},
        {UINT64_MAX, 0, 0, 0},
    };
    const uint32_t count = sizeof(rising) / sizeof(rising[0]);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t raw[SGN_VERSION_BYTES + 1] = {0};
        struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
        sgn_ballot_put(&sink, &rising[i]);
        cr_assert_eq(sink.count, SGN_BALLOT_BYTES);
        struct sgn_cursor cursor = sgn_cursor_of(sgn_sink_bytes(&sink));
        struct sgn_ballot taken = sgn_ballot_take(&cursor);
        cr_assert(!cursor.bad && cursor.left == 0);
        cr_assert_eq(sgn_ballot_is_zero(&taken), i == 0);
        for (uint32_t j = 0; j < count; j++) {
            int order = sgn_ballot_compare(&taken, &rising[j]);
            cr_assert_eq((order > 0) - (order < 0), (i > j) - (i < j), "%u %u", i, j);
        }
        for (uint64_t rev = 0; rev <= 1; rev++) {
            struct sgn_version version = {.rev = rev, .origin = rising[i]};
            struct sgn_version again = {.rev = 9};
            sink = sgn_sink_of(raw, sizeof(raw));
            sgn_version_put(&sink, &version);
            cr_assert_eq(sink.count, SGN_VERSION_BYTES);
            enum sgn_err err = sgn_version_take(sgn_sink_bytes(&sink), &again);
            cr_assert_eq(err, (rev == 0) == (i == 0) ? SGN_OK : SGN_ERR_INVALID);
            cr_assert(err != SGN_OK || ordered_same_version(&version, &again));
            cr_assert(err == SGN_OK || again.rev == 0);
            for (size_t cut = 0; cut <= sizeof(raw); cut++) {
                err = sgn_version_take(sgn_bytes_of(raw, cut), &again);
                cr_assert(err == SGN_ERR_INVALID || cut == SGN_VERSION_BYTES);
            }
        }
    }
}

/* Decodes from memory of exactly its size; what is taken is the only way to write it, and a round
 * on it, whatever it holds, gives a record that can be read. */
static enum sgn_err decoded(const void *bytes, size_t count, bool with_body)
{
    uint8_t *exact = malloc(count > 0 ? count : 1);
    cr_assert_not_null(exact);
    memcpy(exact, bytes, count);
    struct sgn_bytes whole = sgn_bytes_of(exact, count);
    struct sgn_ordered record;
    enum sgn_err err = sgn_ordered_decode(whole, with_body, &record);
    (void)sgn_ordered_ballot(whole);
    if (err == SGN_OK) {
        struct ordered_raw again = ordered_encoded(&record, with_body);
        ordered_check(sgn_bytes_equal(whole, sgn_bytes_of(again.bytes, again.count)),
                      "one form only");
        struct sgn_ballot b = {UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
        struct sgn_change change = ordered_change(SGN_CHANGE_PUT, 99, UINT64_MAX);
        if (sgn_ballot_compare(&b, &record.ballot) > 0 && with_body) {
            (void)ordered_step(&record, &change, &b);
        }
    } else {
        ordered_check(err == SGN_ERR_CORRUPT && record.version.rev == 0 && record.op_count == 0 &&
                          sgn_ballot_is_zero(&record.ballot) && record.body.count == 0,
                      "nothing is left of what was refused");
    }
    free(exact);
    return err;
}

/* The sample's head: 0 format, 1 kind, 2 op count, 3 zero, 4 ballot, 24 rev, 32 origin, 52 floor,
 * 60 body bytes, then the ops: 64 VOID of id 5 (stamp in two bytes), 83 REJECTED of id 4, 101
 * APPLIED of id 3, 119 of id 2 (one below), 137 of id 1 (in full, at 156), 161 end. */
static const struct {
    size_t offset;
    uint32_t width;
    uint64_t value;
    const char *why;
} sample_edits[] = {
    {0, 1, 1, "format"},
    {1, 1, 0, "no kind"},
    {1, 1, 4, "no such kind"},
    {1, 1, 3, "a tombstone with a body"},
    {2, 1, 4, "bytes behind the last op"},
    {2, 1, 6, "an op too few"},
    {2, 1, 17, "too many ops"},
    {3, 1, 1, "not zero"},
    {4, 8, 199, "origin above the ballot"},
    {24, 8, 0, "rev 0 with an origin"},
    {24, 8, SGN_REV_MAX + 1, "rev out of reach"},
    {24, 8, 1, "an op above the record's rev"},
    {60, 4, SGN_VALUE_BYTES_MAX + 1, "body too long"},
    {64, 1, 0, "no verdict"},
    {64, 1, 3 | 1 << 2, "VOID with a version"},
    {64, 1, 3 | 3 << 2, "VOID with a version in full"},
    {64, 1, 3 | 4 << 2, "no such form"},
    {64, 1, 1, "APPLIED without a version"},
    {81, 2, 0x00ab, "a varint not as short as it can be"},
    {101, 1, 1 | 3 << 2, "in full what is as before"},
    {119, 1, 1 | 3 << 2, "in full what is one below"},
    {137, 1, 1 | 2 << 2, "one below a step 0"},
    {156, 1, 0, "no rev below"},
    {156, 1, 2, "rev 0 with an origin behind it"},
    {156, 1, 3, "below rev 0"},
    {157, 2, 0x03c9, "hlc below 0"},
    {157, 2, 0x0300, "a lower rev of a higher ballot"},
};

Test(ordered, only_good_bytes_are_taken)
{
    struct sgn_ordered record;
    sample(&record);
    struct ordered_raw whole = ordered_encoded(&record, true);
    struct ordered_raw head = ordered_encoded(&record, false);
    cr_assert_eq(head.count, 161);
    cr_assert_eq(whole.count, 161 + 4);
    cr_assert_eq(decoded(whole.bytes, whole.count, true), SGN_OK);
    cr_assert_eq(decoded(head.bytes, head.count, false), SGN_OK);
    cr_assert_eq(decoded(whole.bytes, whole.count, false), SGN_ERR_CORRUPT);
    cr_assert_eq(decoded(head.bytes, head.count, true), SGN_ERR_CORRUPT);
    for (size_t cut = 1; cut < whole.count; cut++) {
        cr_assert_eq(decoded(whole.bytes, cut, true), SGN_ERR_CORRUPT);
        cr_assert(cut == head.count || decoded(whole.bytes, cut, false) == SGN_ERR_CORRUPT);
    }
    for (uint32_t i = 0; i < sizeof(sample_edits) / sizeof(sample_edits[0]); i++) {
        struct ordered_raw edited = head;
        struct sgn_sink sink = sgn_sink_of(edited.bytes + sample_edits[i].offset, 8);
        sgn_sink_uint(&sink, sample_edits[i].value, sample_edits[i].width);
        cr_assert_neq(memcmp(edited.bytes, head.bytes, head.count), 0, "%s", sample_edits[i].why);
        enum sgn_err err = decoded(edited.bytes, edited.count, false);
        cr_assert_eq(err, SGN_ERR_CORRUPT, "%s", sample_edits[i].why);
    }
    struct ordered_raw twice = head;
    memcpy(&twice.bytes[138], &twice.bytes[65], SGN_REQUEST_ID_BYTES);
    cr_assert_eq(decoded(twice.bytes, twice.count, false), SGN_ERR_CORRUPT, "an id twice");
    memset(&twice.bytes[138], 0, SGN_REQUEST_ID_BYTES);
    cr_assert_eq(decoded(twice.bytes, twice.count, false), SGN_ERR_CORRUPT, "an id of zeros");
    memset(&twice.bytes[32], 0, SGN_BALLOT_BYTES);
    cr_assert_eq(decoded(twice.bytes, twice.count, false), SGN_ERR_CORRUPT, "no origin");

    /* A key never written: no bytes; after a round, bytes but still rev 0 and digest 0. */
    sgn_ordered_init(&record);
    cr_assert_eq(sgn_ordered_bytes(&record, true), 0);
    ordered_round_trip(&record);
    uint8_t blank[HEAD_BYTES] = {2, SGN_ORDERED_TOMBSTONE};
    cr_assert_eq(decoded(blank, sizeof(blank), true), SGN_ERR_CORRUPT, "that has no bytes");
    blank[4] = 1;
    cr_assert_eq(decoded(blank, sizeof(blank), true), SGN_OK);
    blank[1] = SGN_ORDERED_VALUE;
    cr_assert_eq(decoded(blank, sizeof(blank), true), SGN_ERR_CORRUPT, "rev 0 is no value");
    record.ops_floor = 7; /* What is left of keys whose tombstones were dropped (3.7). */
    ordered_round_trip(&record);
    cr_assert_eq(sgn_ordered_bytes(&record, false), HEAD_BYTES);
}

/* Ops made by hand behind a head of ballot hlc 300 and origin (200, 2, 1, step): tag, id and what
 * follows the id. */
struct hand_op {
    uint32_t tag;
    uint32_t id;
    uint32_t tail_count;
    uint8_t tail[12];
};

static const struct {
    const char *why;
    uint64_t rev;
    uint32_t step;
    enum sgn_err err;
    struct hand_op ops[2]; /* Tag 0: no op. */
} hand_made[] = {
    {"one below", 2, 1, SGN_OK, {{9, 1, 1, {0}}}},
    {"one below twice", 3, 2, SGN_OK, {{9, 1, 1, {0}}, {9, 2, 1, {1}}}},
    {"one below rev 1", 1, 1, SGN_ERR_CORRUPT, {{9, 1, 1, {0}}}},
    {"one below rev 0", 2, 1, SGN_ERR_CORRUPT, {{9, 1, 1, {0}}, {9, 2, 1, {0}}}},
    {"one below step 0", 2, 0, SGN_ERR_CORRUPT, {{9, 1, 1, {0}}}},
    {"in full", 2, 0, SGN_OK, {{13, 1, 6, {0, 1, 0, 1, 1, 7}}}},
    {"in full though one below", 2, 1, SGN_ERR_CORRUPT, {{13, 1, 6, {0, 1, 0, 2, 1, 0}}}},
    {"a higher origin", 2, 0, SGN_ERR_CORRUPT, {{13, 1, 6, {0, 1, 0, 3, 1, 0}}}},
    {"the same origin", 2, 0, SGN_ERR_CORRUPT, {{13, 1, 6, {0, 1, 0, 2, 1, 0}}}},
    {"no origin", 2, 0, SGN_ERR_CORRUPT, {{13, 1, 7, {0, 1, 0xc8, 1, 0, 0, 0}}}},
    {"hlc 0", 2, 0, SGN_OK, {{13, 1, 7, {0, 1, 0xc8, 1, 0, 1, 0}}}},
    {"hlc below 0", 2, 0, SGN_ERR_CORRUPT, {{13, 1, 7, {0, 1, 0xc9, 1, 0, 1, 0}}}},
    {"rev 0", 2, 0, SGN_OK, {{13, 1, 2, {0, 2}}}},
    {"rev 0 twice", 2, 0, SGN_OK, {{13, 1, 2, {0, 2}}, {6, 2, 1, {4}}}},
    {"no such form", 2, 0, SGN_ERR_CORRUPT, {{17, 1, 1, {0}}}},
    {"a node past 32 bits",
     2,
     0,
     SGN_ERR_CORRUPT,
     {{13, 1, 10, {0, 1, 1, 0x82, 0x80, 0x80, 0x80, 0x10, 1, 0}}}},
    {"a stamp past 64 bits",
     2,
     0,
     SGN_ERR_CORRUPT,
     {{5, 1, 10, {0x82, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2}}}},
    {"the largest step of a stamp",
     2,
     0,
     SGN_OK,
     {{5, 1, 10, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}}}},
    {"stamp 0", 2, 0, SGN_ERR_CORRUPT, {{5, 1, 2, {0xd7, 4}}}},
    {"stamp 1", 2, 0, SGN_OK, {{5, 1, 2, {0xd5, 4}}}},
};

static void put_hand_op(struct sgn_sink *sink, const struct hand_op *op)
{
    struct sgn_request_id id = ordered_id(op->id);
    sgn_sink_uint(sink, op->tag, 1);
    sgn_sink_put(sink, id.bytes, sizeof(id.bytes));
    sgn_sink_put(sink, op->tail, op->tail_count);
}

static void put_hand_head(struct sgn_sink *sink,
                          uint32_t op_count,
                          uint64_t hlc,
                          const struct sgn_version *version)
{
    const struct sgn_ballot b = {hlc, 0, 0, 0};
    sgn_sink_uint(sink, 2, 1);
    sgn_sink_uint(sink, version->rev == 0 ? SGN_ORDERED_TOMBSTONE : SGN_ORDERED_VALUE, 1);
    sgn_sink_uint(sink, op_count, 2);
    sgn_ballot_put(sink, &b);
    sgn_version_put(sink, version);
    sgn_sink_uint(sink, 0, 8);
    sgn_sink_uint(sink, 0, 4);
}

Test(ordered, ops_made_by_hand)
{
    struct ordered_raw raw;
    for (uint32_t i = 0; i < sizeof(hand_made) / sizeof(hand_made[0]); i++) {
        struct sgn_sink sink = sgn_sink_of(raw.bytes, sizeof(raw.bytes));
        struct sgn_version version = {hand_made[i].rev, {200, 2, 1, hand_made[i].step}};
        uint32_t count = 1 + (hand_made[i].ops[1].tag != 0);
        put_hand_head(&sink, count, 300, &version);
        for (uint32_t j = 0; j < count; j++) {
            put_hand_op(&sink, &hand_made[i].ops[j]);
        }
        cr_assert_eq(
            decoded(raw.bytes, sink.count, false), hand_made[i].err, "%s", hand_made[i].why);
    }
    /* As many ops as fit, and one more; nothing is remembered where no round was. */
    static const struct sgn_version unwritten;
    for (uint32_t count = 1; count <= SGN_ORDERED_OPS_MAX + 1; count++) {
        for (uint64_t hlc = 0; hlc <= 1; hlc++) {
            struct sgn_sink sink = sgn_sink_of(raw.bytes, sizeof(raw.bytes));
            put_hand_head(&sink, count, hlc, &unwritten);
            for (uint32_t id = 1; id <= count; id++) {
                put_hand_op(&sink, &(struct hand_op){3, id, 1, {2}});
            }
            bool good = hlc > 0 && count <= SGN_ORDERED_OPS_MAX;
            enum sgn_err err = decoded(raw.bytes, sink.count, true);
            cr_assert_eq(err, good ? SGN_OK : SGN_ERR_CORRUPT, "%u ops", count);
        }
    }
}

Test(ordered, random_corruption)
{
    struct sgn_prng prng = {.state = SEED};
    struct sgn_ordered record;
    sample(&record);
    struct ordered_raw whole = ordered_encoded(&record, true);
    uint32_t taken = 0;
    for (uint32_t i = 0; i < CORRUPTIONS; i++) {
        struct ordered_raw broken = whole;
        for (uint64_t edits = 1 + sgn_prng_below(&prng, 4); edits > 0; edits--) {
            size_t at = sgn_prng_below(&prng, broken.count);
            size_t behind = broken.count - at - 1;
            switch (sgn_prng_below(&prng, 4)) {
            case 0: broken.bytes[at] ^= (uint8_t)(1u << sgn_prng_below(&prng, 8)); break;
            case 1: broken.bytes[at] = (uint8_t)sgn_prng_next(&prng); break;
            case 2: /* One byte less. */
                memmove(&broken.bytes[at], &broken.bytes[at + 1], behind);
                broken.count -= broken.count > 1;
                break;
            default: /* One more. */
                memmove(&broken.bytes[at + 1], &broken.bytes[at], behind + 1);
                broken.count++;
                break;
            }
        }
        taken += decoded(broken.bytes, broken.count, true) == SGN_OK;
        taken += decoded(broken.bytes, broken.count - 4, false) == SGN_OK;
    }
    cr_assert(taken > CORRUPTIONS / 100 && taken < CORRUPTIONS, "%u taken", taken);
}
