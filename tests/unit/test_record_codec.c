/* Records and contexts as bytes: there and back, one form only, and nothing else is taken. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "ring/core/prng.h"
#include "ring/core/record.h"

#define SEED             UINT64_C(0x636f646563)
#define PREFIX_BYTES     4u
#define ENTRY_BYTES      16u
#define SIBLING_BYTES    44u
#define RECORD_BYTES_MAX 8192u

struct raw {
    size_t count;
    uint8_t bytes[RECORD_BYTES_MAX];
};

static struct raw encoded(const struct sgn_record *record, enum sgn_record_bodies bodies)
{
    struct raw raw;
    struct sgn_sink sink = sgn_sink_of(raw.bytes, sizeof(raw.bytes));
    sgn_record_encode(record, bodies, &sink);
    cr_assert_not(sink.full);
    cr_assert_eq(sink.count, sgn_record_bytes(record, bodies));
    raw.count = sink.count;
    return raw;
}

/* From memory of exactly its size, so that a sanitizer sees a read past the end. */
static enum sgn_err decoded(const void *bytes, size_t count, enum sgn_record_bodies bodies)
{
    uint8_t *exact = malloc(count > 0 ? count : 1);
    cr_assert_not_null(exact);
    memcpy(exact, bytes, count);
    struct sgn_record record;
    enum sgn_err err = sgn_record_decode(sgn_bytes_of(exact, count), bodies, &record);
    if (err == SGN_OK) {
        struct raw again = encoded(&record, bodies);
        cr_assert(
            sgn_bytes_equal(sgn_bytes_of(exact, count), sgn_bytes_of(again.bytes, again.count)),
            "what is taken is the only way to write it");
    } else {
        cr_assert_eq(err, SGN_ERR_CORRUPT);
        cr_assert(sgn_record_is_unwritten(&record) && sgn_record_is_dead(&record));
    }
    free(exact);
    return err;
}

/* Vector (3,1):2 (5,1):1 (5,2):1, siblings (3,1):1 (3,1):2 (5,2):1 of "one", "", "three". */
static void sample(struct sgn_record *record)
{
    static const struct sgn_vector blind;
    sgn_record_init(record);
    struct sgn_mint mint = {.actor = {5, 1}, .context = &blind, .hlc = 1};
    cr_assert_eq(sgn_record_mint(record, &mint), SGN_OK);
    mint.is_delete = true;
    mint.context = NULL;
    mint.hlc = 2;
    cr_assert_eq(sgn_record_mint(record, &mint), SGN_OK);
    const char *bodies[] = {"one", "", "three"};
    const struct sgn_actor actors[] = {{3, 1}, {3, 1}, {5, 2}};
    for (uint32_t i = 0; i < 3; i++) {
        mint = (struct sgn_mint){
            .actor = actors[i],
            .context = &blind,
            .body = sgn_bytes_str(bodies[i]),
            .hlc = UINT64_C(0x1122334455667788) + i,
            .request_id.bytes = {0xaa, (uint8_t)(i + 1)},
        };
        cr_assert_eq(sgn_record_mint(record, &mint), SGN_OK);
    }
}

Test(record_codec, there_and_back)
{
    struct sgn_record record;
    sample(&record);
    struct raw raw = encoded(&record, SGN_RECORD_WITH_BODIES);
    struct raw head = encoded(&record, SGN_RECORD_DIGEST_ONLY);
    cr_assert_eq(head.count, PREFIX_BYTES + 3 * ENTRY_BYTES + 3 * SIBLING_BYTES);
    cr_assert_eq(raw.count, head.count + 8);
    cr_assert_arr_eq(raw.bytes, head.bytes, head.count);
    /* The bytes are on disks: these say that their layout is as record.h has it. */
    static const uint8_t start[] = {1, 3, 3, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0};
    cr_assert_arr_eq(raw.bytes, start, sizeof(start));
    static const uint8_t sibling[] = {3,    0,    0,    0,    1,    0,    0,    0,    1,
                                      0,    0,    0,    0,    0,    0,    0,    0x88, 0x77,
                                      0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0xaa, 1};
    cr_assert_arr_eq(raw.bytes + PREFIX_BYTES + 3 * ENTRY_BYTES, sibling, sizeof(sibling));
    cr_assert_arr_eq(raw.bytes + head.count, "onethree", 8);

    struct sgn_record back;
    struct sgn_bytes bytes = sgn_bytes_of(raw.bytes, raw.count);
    cr_assert_eq(sgn_record_decode(bytes, SGN_RECORD_WITH_BODIES, &back), SGN_OK);
    cr_assert_eq(back.sibling_count, 3);
    cr_assert_eq(back.siblings[2].hlc, UINT64_C(0x112233445566778a));
    cr_assert_eq(back.siblings[2].body.ptr, raw.bytes + head.count + 3, "bodies are borrowed");
    cr_assert_eq(back.siblings[2].body.count, 5);
    cr_assert_eq(sgn_record_digest(&back), sgn_record_digest(&record));
    struct sgn_record digest_only;
    bytes = sgn_bytes_of(head.bytes, head.count);
    cr_assert_eq(sgn_record_decode(bytes, SGN_RECORD_DIGEST_ONLY, &digest_only), SGN_OK);
    cr_assert_eq(sgn_record_digest(&digest_only), sgn_record_digest(&record));
    cr_assert_eq(digest_only.siblings[2].body_bytes, 5);
    cr_assert_eq(digest_only.siblings[2].body.count, 0);
    cr_assert(sgn_record_covers(&record, &digest_only) && sgn_record_covers(&digest_only, &record));

    cr_assert_eq(decoded("", 0, SGN_RECORD_WITH_BODIES), SGN_OK, "a key never written");
    sgn_record_init(&record);
    cr_assert_eq(encoded(&record, SGN_RECORD_WITH_BODIES).count, 0);
}

enum { ENTRY_0 = PREFIX_BYTES, SIBLING_0 = PREFIX_BYTES + 3 * ENTRY_BYTES };

Test(record_codec, every_broken_rule_is_refused)
{
    struct sgn_record record;
    sample(&record);
    const struct raw raw = encoded(&record, SGN_RECORD_WITH_BODIES);
    cr_assert_eq(decoded(raw.bytes, raw.count, SGN_RECORD_WITH_BODIES), SGN_OK);
    cr_assert_eq(decoded(raw.bytes, raw.count, SGN_RECORD_DIGEST_ONLY), SGN_ERR_CORRUPT);
    const size_t head_bytes = SIBLING_0 + 3 * SIBLING_BYTES;
    cr_assert_eq(decoded(raw.bytes, head_bytes, SGN_RECORD_DIGEST_ONLY), SGN_OK);
    cr_assert_eq(decoded(raw.bytes, head_bytes, SGN_RECORD_WITH_BODIES), SGN_ERR_CORRUPT);
    for (size_t cut = 1; cut < raw.count; cut++) {
        cr_assert_eq(decoded(raw.bytes, cut, SGN_RECORD_WITH_BODIES), SGN_ERR_CORRUPT);
        cr_assert_eq(decoded(raw.bytes, cut, SGN_RECORD_DIGEST_ONLY),
                     cut == head_bytes ? SGN_OK : SGN_ERR_CORRUPT);
    }

    const struct {
        const char *rule;
        size_t at;
        uint8_t value;
    } rules[] = {
        {"another format", 0, 2},
        {"no format", 0, 0},
        {"no vector", 1, 0},
        {"a longer vector", 1, 4},
        {"more actors than the limit", 1, SGN_ACTORS_MAX + 1},
        {"all the actors of a byte", 1, 255},
        {"more siblings", 2, 4},
        {"fewer siblings", 2, 2},
        {"more siblings than the limit", 2, SGN_SIBLINGS_MAX + 1},
        {"the reserved byte", 3, 1},
        {"an actor of node 0", ENTRY_0, 0},
        {"entries out of order", ENTRY_0, 6},
        {"an actor twice", ENTRY_0 + ENTRY_BYTES + 4, 2},
        {"generations out of order", ENTRY_0 + ENTRY_BYTES + 4, 3},
        {"an entry's counter 0", ENTRY_0 + ENTRY_BYTES + 8, 0},
        {"a vector below a sibling", ENTRY_0 + 8, 1},
        {"a dot of an unknown actor", SIBLING_0, 2},
        {"a dot of an unknown generation", SIBLING_0 + 4, 0},
        {"a dot's counter 0", SIBLING_0 + 8, 0},
        {"a dot twice", SIBLING_0 + 8, 2},
        {"dots out of order", SIBLING_0 + SIBLING_BYTES + 8, 1},
        {"a dot past the vector", SIBLING_0 + SIBLING_BYTES + 8, 3},
        {"a dot far past the vector", SIBLING_0 + SIBLING_BYTES + 15, 0x80},
        {"a longer body", SIBLING_0 + 40, 4},
        {"a shorter body", SIBLING_0 + 40, 2},
        {"a body longer than any", SIBLING_0 + 43, 0xff},
    };
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        struct raw bad = raw;
        cr_assert_neq(bad.bytes[rules[i].at], rules[i].value, "%s", rules[i].rule);
        bad.bytes[rules[i].at] = rules[i].value;
        cr_assert_eq(decoded(bad.bytes, bad.count, SGN_RECORD_WITH_BODIES),
                     SGN_ERR_CORRUPT,
                     "%s",
                     rules[i].rule);
    }
    struct raw longer = raw;
    longer.bytes[longer.count++] = 0;
    cr_assert_eq(decoded(longer.bytes, longer.count, SGN_RECORD_WITH_BODIES), SGN_ERR_CORRUPT);

    /* One body of more than a value is none; heads may speak of more than one value together. */
    struct raw heavy = raw;
    heavy.bytes[SIBLING_0 + 43] = 1; /* 16 MiB, and 3 bytes. */
    cr_assert_eq(decoded(heavy.bytes, head_bytes, SGN_RECORD_DIGEST_ONLY), SGN_ERR_CORRUPT);
    heavy.bytes[SIBLING_0 + 43] = 0;
    heavy.bytes[SIBLING_0 + 42] = 0x80;
    cr_assert_eq(decoded(heavy.bytes, head_bytes, SGN_RECORD_DIGEST_ONLY), SGN_OK);
    heavy.bytes[SIBLING_0 + SIBLING_BYTES + 42] = 0x80;
    cr_assert_eq(decoded(heavy.bytes, head_bytes, SGN_RECORD_DIGEST_ONLY), SGN_OK);
}

Test(record_codec, any_damage_is_refused_or_harmless)
{
    struct sgn_record record;
    sample(&record);
    const struct raw raw = encoded(&record, SGN_RECORD_WITH_BODIES);
    struct sgn_prng prng = {.state = SEED};
    uint32_t taken = 0;
    for (int round = 0; round < 100000; round++) {
        struct raw bad = raw;
        for (uint64_t left = 1 + sgn_prng_below(&prng, 4); left > 0; left--) {
            bad.bytes[sgn_prng_below(&prng, bad.count)] ^=
                (uint8_t)(1u << sgn_prng_below(&prng, 8));
        }
        bad.count -= sgn_prng_chance(&prng, 100) ? sgn_prng_below(&prng, bad.count) : 0;
        taken += decoded(bad.bytes, bad.count, SGN_RECORD_WITH_BODIES) == SGN_OK;
        uint8_t noise[64];
        for (size_t i = 0; i < sizeof(noise); i++) {
            noise[i] = (uint8_t)sgn_prng_below(&prng, 4);
        }
        (void)decoded(noise, sgn_prng_below(&prng, sizeof(noise)), SGN_RECORD_DIGEST_ONLY);
    }
    cr_assert(taken > 0 && taken < 100000, "%u of seed %llu", taken, (unsigned long long)SEED);
}

Test(record_codec, the_largest_record)
{
    static const struct sgn_vector blind;
    struct sgn_record record;
    struct sgn_record other;
    sgn_record_init(&record);
    for (uint32_t i = 0; i < SGN_ACTORS_MAX; i++) {
        sgn_record_init(&other);
        struct sgn_mint mint = {.actor = {i + 1, UINT32_MAX},
                                .context = &blind,
                                .body = sgn_bytes_of("0123456789", i % 11)};
        for (uint32_t each = 0; each < SGN_SIBLINGS_MAX / SGN_ACTORS_MAX; each++) {
            cr_assert_eq(sgn_record_mint(&other, &mint), SGN_OK);
        }
        cr_assert_eq(sgn_record_merge(&record, &other), SGN_OK);
    }
    cr_assert_eq(record.vector.count, SGN_ACTORS_MAX);
    cr_assert_eq(record.sibling_count, SGN_SIBLINGS_MAX);
    struct raw raw = encoded(&record, SGN_RECORD_WITH_BODIES);
    cr_assert_eq(decoded(raw.bytes, raw.count, SGN_RECORD_WITH_BODIES), SGN_OK);
    cr_assert_neq(sgn_record_digest(&record), 0);

    uint8_t context[SGN_CONTEXT_BYTES_MAX];
    struct sgn_sink sink = sgn_sink_of(context, sizeof(context));
    sgn_context_encode(&record.vector, &sink);
    cr_assert_not(sink.full);
    cr_assert_eq(sink.count, SGN_CONTEXT_BYTES_MAX);
    struct sgn_vector vector;
    cr_assert_eq(sgn_context_decode(sgn_sink_bytes(&sink), &vector), SGN_OK);
    cr_assert_eq(vector.count, SGN_ACTORS_MAX);
    cr_assert_eq(memcmp(vector.entries, record.vector.entries, sizeof(vector.entries)), 0);
}

Test(record_codec, contexts)
{
    struct sgn_record record;
    sample(&record);
    uint8_t raw[SGN_CONTEXT_BYTES_MAX + ENTRY_BYTES] = {0};
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    struct sgn_vector vector = {.count = 7};
    cr_assert_eq(sgn_context_decode(sgn_bytes_of(NULL, 0), &vector), SGN_OK);
    cr_assert_eq(vector.count, 0);
    sgn_context_encode(&vector, &sink);
    cr_assert_eq(sink.count, 0, "the empty context is no bytes");

    sgn_context_encode(&record.vector, &sink);
    cr_assert_eq(sink.count, 1 + 3 * ENTRY_BYTES);
    cr_assert_eq(sgn_context_decode(sgn_sink_bytes(&sink), &vector), SGN_OK);
    cr_assert_eq(vector.count, 3);
    cr_assert_eq(memcmp(vector.entries, record.vector.entries, 3 * sizeof(vector.entries[0])), 0);
    for (size_t cut = 1; cut < sink.count; cut++) {
        bool whole_entries = cut > 1 && (cut - 1) % ENTRY_BYTES == 0;
        cr_assert_eq(sgn_context_decode(sgn_bytes_of(raw, cut), &vector),
                     whole_entries ? SGN_OK : SGN_ERR_INVALID,
                     "cut at %zu",
                     cut);
    }
    const struct {
        size_t at;
        uint8_t value;
    } rules[] = {{0, 0}, {0, 2}, {1, 6}, {1, 0}, {9, 0}, {1 + ENTRY_BYTES + 4, 2}};
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        uint8_t kept = raw[rules[i].at];
        raw[rules[i].at] = rules[i].value;
        cr_assert_eq(
            sgn_context_decode(sgn_sink_bytes(&sink), &vector), SGN_ERR_INVALID, "rule %zu", i);
        cr_assert_eq(vector.count, 0);
        raw[rules[i].at] = kept;
    }
    /* One actor more than there may be, in good order. */
    for (uint32_t i = 0; i <= SGN_ACTORS_MAX; i++) {
        uint8_t *entry = raw + 1 + i * ENTRY_BYTES;
        memset(entry, 0, ENTRY_BYTES);
        entry[0] = (uint8_t)(i + 1);
        entry[8] = 1;
    }
    cr_assert_eq(sgn_context_decode(sgn_bytes_of(raw, sizeof(raw)), &vector), SGN_ERR_INVALID);
    cr_assert_eq(sgn_context_decode(sgn_bytes_of(raw, sizeof(raw) - ENTRY_BYTES), &vector), SGN_OK);
}
