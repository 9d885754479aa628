/* Merging and minting: the laws at random, the limits, and the cases with a story. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "ring/core/prng.h"
#include "ring/core/record.h"

#define SEED          UINT64_C(0x7265636f7264)
#define REPLICAS      4u
#define SNAPSHOTS_MAX 48u

static const uint8_t letters[] = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

static struct sgn_mint put_of(uint32_t node, uint32_t generation, uint32_t value)
{
    return (struct sgn_mint){
        .actor = {.node = node, .generation = generation},
        .body = sgn_bytes_of(letters, value % sizeof(letters)),
        .hlc = value,
        .request_id.bytes = {1, (uint8_t)value, (uint8_t)(value >> 8)},
    };
}

static void put(struct sgn_record *record, const struct sgn_mint *mint)
{
    cr_assert_eq(sgn_record_mint(record, mint), SGN_OK);
}

static bool same(const struct sgn_record *a, const struct sgn_record *b)
{
    static uint8_t bytes_a[1u << 16];
    static uint8_t bytes_b[1u << 16];
    struct sgn_sink sink_a = sgn_sink_of(bytes_a, sizeof(bytes_a));
    struct sgn_sink sink_b = sgn_sink_of(bytes_b, sizeof(bytes_b));
    sgn_record_encode(a, SGN_RECORD_WITH_BODIES, &sink_a);
    sgn_record_encode(b, SGN_RECORD_WITH_BODIES, &sink_b);
    cr_assert_not(sink_a.full || sink_b.full);
    bool equal = sgn_bytes_equal(sgn_sink_bytes(&sink_a), sgn_sink_bytes(&sink_b));
    cr_assert_eq(sgn_record_digest(a) == sgn_record_digest(b), equal);
    return equal;
}

static struct sgn_record merged(const struct sgn_record *a, const struct sgn_record *b)
{
    struct sgn_record result = *a;
    cr_assert_eq(sgn_record_merge(&result, b), SGN_OK);
    return result;
}

/* Lives through some forty random operations on four replicas; keeps every state that there was. */
static uint32_t live_through(struct sgn_prng *prng, struct sgn_record *snapshots)
{
    static struct sgn_record replicas[REPLICAS];
    struct sgn_mint puts[SNAPSHOTS_MAX];
    uint32_t put_count = 0;
    uint32_t count = 0;
    uint32_t generation = 1;
    for (uint32_t i = 0; i < REPLICAS; i++) {
        sgn_record_init(&replicas[i]);
    }
    sgn_record_init(&snapshots[count++]);
    while (count < SNAPSHOTS_MAX) {
        uint32_t at = (uint32_t)sgn_prng_below(prng, REPLICAS);
        uint64_t dice = sgn_prng_below(prng, 100);
        generation += dice == 99; /* A restart: another actor writes from now on. */
        struct sgn_mint mint = put_of(at + 1, generation, put_count + 1);
        if (dice < 40) {
            cr_assert_eq(sgn_record_merge(&replicas[at], &replicas[dice % REPLICAS]), SGN_OK);
        } else if (dice < 50 && put_count > 0) {
            mint = puts[sgn_prng_below(prng, put_count)];
            mint.actor = (struct sgn_actor){.node = at + 1, .generation = generation};
            put(&replicas[at], &mint);
        } else {
            uint64_t seen = sgn_prng_below(prng, count + count / 3);
            mint.context = seen < count ? &snapshots[seen].vector : NULL;
            mint.is_delete = dice < 60;
            put(&replicas[at], &mint);
            if (!mint.is_delete) {
                puts[put_count++] = mint;
            }
        }
        snapshots[count++] = replicas[at];
    }
    return count;
}

Test(record, merge_laws)
{
    static struct sgn_record states[SNAPSHOTS_MAX];
    uint64_t triples = 0;
    uint64_t conflicts = 0;
    for (uint64_t round = 0; round < 400; round++) {
        uint64_t seed = SEED + round;
        struct sgn_prng prng = {.state = seed};
        uint32_t count = live_through(&prng, states);
        for (uint32_t draw = 0; draw < 100; draw++, triples++) {
            const struct sgn_record *a = &states[sgn_prng_below(&prng, count)];
            const struct sgn_record *b = &states[sgn_prng_below(&prng, count)];
            const struct sgn_record *c = &states[sgn_prng_below(&prng, count)];
            struct sgn_record ab = merged(a, b);
            struct sgn_record ba = merged(b, a);
            struct sgn_record bc = merged(b, c);
            struct sgn_record ab_c = merged(&ab, c);
            struct sgn_record a_bc = merged(a, &bc);
            struct sgn_record aa = merged(a, a);
            struct sgn_record ab_b = merged(&ab, b);
            cr_assert(same(&ab, &ba), "commutative, seed %llu", (unsigned long long)seed);
            cr_assert(same(&ab_c, &a_bc), "associative, seed %llu", (unsigned long long)seed);
            cr_assert(same(&aa, a), "idempotent, seed %llu", (unsigned long long)seed);
            cr_assert(same(&ab_b, &ab), "absorbing, seed %llu", (unsigned long long)seed);
            cr_assert_eq(sgn_record_covers(a, b),
                         same(&ab, a),
                         "covers, seed %llu",
                         (unsigned long long)seed);
            cr_assert(sgn_record_covers(&ab, a) && sgn_record_covers(&ab, b));
            conflicts += ab.sibling_count > 1;
        }
    }
    printf("merge laws: %llu triples from seed %llu on, %llu with siblings\n",
           (unsigned long long)triples,
           (unsigned long long)SEED,
           (unsigned long long)conflicts);
    fflush(stdout);
    cr_assert_gt(conflicts, triples / 10);
}

/* A put sent again to another node has two dots. Whoever overwrites the first, not having seen the
 * second, must leave the same record everywhere, in whatever order the three meet. This is what
 * folding the two into one while merging would break. */
Test(record, retried_put_merges_in_any_order)
{
    struct sgn_record r[3];
    for (int i = 0; i < 3; i++) {
        sgn_record_init(&r[i]);
    }
    struct sgn_mint first = put_of(1, 1, 7);
    put(&r[0], &first);
    struct sgn_mint again = put_of(2, 1, 7);
    put(&r[1], &again);
    struct sgn_mint over = put_of(3, 1, 8);
    over.context = &r[0].vector;
    put(&r[2], &over);

    static const int orders[6][3] = {
        {0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct sgn_record all[6];
    for (int i = 0; i < 6; i++) {
        struct sgn_record two = merged(&r[orders[i][0]], &r[orders[i][1]]);
        all[i] = merged(&two, &r[orders[i][2]]);
        cr_assert(same(&all[i], &all[0]), "order %d", i);
    }
    cr_assert_eq(all[0].sibling_count, 2, "what was written over it, and the unseen second dot");

    /* What a reader is shown: one value for the two dots, under a context that covers both. */
    struct sgn_record shown = merged(&r[0], &r[1]);
    struct sgn_record stored = shown;
    cr_assert_eq(shown.sibling_count, 2);
    sgn_record_fold_retries(&shown);
    cr_assert_eq(shown.sibling_count, 1);
    cr_assert_eq(shown.siblings[0].dot.actor.node, 1);
    struct sgn_mint settle = put_of(3, 1, 9);
    settle.context = &shown.vector;
    put(&stored, &settle);
    cr_assert_eq(stored.sibling_count, 1, "nothing of the put is left");

    /* Where the put still is, sending it again changes nothing; without an id it does. */
    struct sgn_record before = r[0];
    put(&r[0], &first);
    put(&r[0], &again);
    cr_assert(same(&r[0], &before));
    static const struct sgn_vector empty;
    struct sgn_mint nameless = {.actor = {.node = 1, .generation = 1}, .context = &empty};
    put(&r[0], &nameless);
    put(&r[0], &nameless);
    cr_assert_eq(r[0].sibling_count, 3);
    sgn_record_fold_retries(&r[0]);
    cr_assert_eq(r[0].sibling_count, 3, "no id is not one id");
}

Test(record, writes)
{
    struct sgn_record record;
    sgn_record_init(&record);
    cr_assert(sgn_record_is_unwritten(&record) && sgn_record_is_dead(&record));
    cr_assert_null(sgn_record_newest(&record));
    cr_assert_eq(sgn_record_digest(&record), 0);
    struct sgn_mint delete = {.actor = {.node = 1, .generation = 1}, .is_delete = true};
    put(&record, &delete);
    cr_assert(sgn_record_is_unwritten(&record), "nothing was deleted");

    struct sgn_mint one = put_of(1, 1, 5);
    put(&record, &one);
    struct sgn_vector seen_one = record.vector;
    cr_assert(!sgn_record_is_unwritten(&record) && !sgn_record_is_dead(&record));
    struct sgn_mint two = put_of(2, 1, 4);
    two.context = &(struct sgn_vector){.count = 0};
    put(&record, &two);
    cr_assert_eq(record.sibling_count, 2, "a blind put overwrites nothing");
    cr_assert_eq(sgn_record_newest(&record)->hlc, 5, "the newest is not the last by dot");
    struct sgn_mint three = put_of(3, 1, 6);
    three.hlc = 5;
    three.context = two.context;
    put(&record, &three);
    cr_assert_eq(sgn_record_newest(&record)->dot.actor.node, 3, "of equal stamps the higher dot");

    delete.context = &seen_one;
    put(&record, &delete);
    cr_assert_eq(record.sibling_count, 2, "a delete drops what its writer had seen");
    cr_assert_eq(record.siblings[0].dot.actor.node, 2);
    delete.context = NULL;
    uint64_t digest = sgn_record_digest(&record);
    put(&record, &delete);
    cr_assert(sgn_record_is_dead(&record) && !sgn_record_is_unwritten(&record));
    cr_assert_eq(record.vector.count, 3, "a delete mints no dot");
    cr_assert_neq(sgn_record_digest(&record), digest);

    /* A tombstone for what has not arrived yet: it is dead on arrival. */
    struct sgn_record early;
    struct sgn_record late;
    sgn_record_init(&early);
    sgn_record_init(&late);
    delete.context = &seen_one;
    put(&early, &delete);
    cr_assert(sgn_record_is_dead(&early) && !sgn_record_is_unwritten(&early));
    put(&late, &one);
    cr_assert_not(sgn_record_covers(&late, &early));
    cr_assert_eq(sgn_record_merge(&late, &early), SGN_OK);
    cr_assert(sgn_record_is_dead(&late));

    /* The writer knows more of this actor than the record: its numbers are not given twice. */
    struct sgn_vector ahead = {.count = 1, .entries[0] = {.actor = {1, 1}, .counter = 41}};
    one.context = &ahead;
    put(&early, &one);
    cr_assert_eq(early.siblings[0].dot.counter, 42);
    ahead.entries[0].counter = UINT64_MAX;
    struct sgn_record before = early;
    one.request_id.bytes[0] = 9;
    cr_assert_eq(sgn_record_mint(&early, &one), SGN_ERR_TOO_MANY_SIBLINGS, "a forged context");
    cr_assert(same(&early, &before));
}

Test(record, a_late_copy_of_a_request_replaces_nothing_younger)
{
    struct sgn_record record;
    sgn_record_init(&record);
    struct sgn_mint first = put_of(1, 1, 10);
    struct sgn_mint second = put_of(1, 1, 20);
    put(&record, &second);
    first.context = NULL;
    put(&record, &first);
    cr_assert_eq(record.sibling_count, 2, "the younger value stays, beside the late one");
    struct sgn_mint delete = {.actor = {1, 1}, .is_delete = true, .hlc = 15};
    put(&record, &delete);
    cr_assert_eq(record.sibling_count, 1);
    cr_assert_eq(record.siblings[0].hlc, 20);
    delete.hlc = 21;
    put(&record, &delete);
    cr_assert(sgn_record_is_dead(&record));
}

Test(record, sibling_and_actor_limits)
{
    static const struct sgn_vector blind;
    struct sgn_record record;
    struct sgn_record before;
    sgn_record_init(&record);
    for (uint32_t i = 0; i < SGN_SIBLINGS_MINT_MAX; i++) {
        struct sgn_mint mint = put_of(1 + i % 3, 1, i + 1);
        mint.context = &blind;
        put(&record, &mint);
    }
    struct sgn_mint more = put_of(1, 1, 99);
    more.context = &blind;
    before = record;
    cr_assert_eq(sgn_record_mint(&record, &more), SGN_ERR_TOO_MANY_SIBLINGS);
    cr_assert(same(&record, &before));
    struct sgn_record other;
    sgn_record_init(&other);
    struct sgn_mint elsewhere = put_of(9, 1, 98);
    put(&other, &elsewhere);
    cr_assert_eq(sgn_record_merge(&record, &other), SGN_OK, "merging still finds room");
    cr_assert_eq(record.sibling_count, SGN_SIBLINGS_MINT_MAX + 1);
    more.hlc = 1000; /* Later than all there is. */
    more.context = NULL;
    put(&record, &more);
    cr_assert_eq(
        record.sibling_count, 1, "reading it and writing one back helps, as the error says");

    /* A new actor is refused while merges still have room; a known one may go on. */
    const uint32_t mint_max = SGN_ACTORS_MAX - 2 * SGN_REPLICAS_MAX;
    sgn_record_init(&record);
    for (uint32_t i = 0; i < mint_max; i++) {
        struct sgn_mint mint = put_of(100 - i, 1, i + 1);
        put(&record, &mint);
    }
    before = record;
    struct sgn_mint stranger = put_of(200, 1, 300);
    cr_assert_eq(sgn_record_mint(&record, &stranger), SGN_ERR_TOO_MANY_SIBLINGS);
    cr_assert(same(&record, &before));
    struct sgn_mint known = put_of(100, 1, 301);
    put(&record, &known);
    struct sgn_mint delete = {.actor = {.node = 200, .generation = 1}, .is_delete = true};
    put(&record, &delete);
    for (uint32_t i = 0; i < 2 * SGN_REPLICAS_MAX; i++) {
        sgn_record_init(&other);
        struct sgn_mint mint = put_of(300, i + 1, i + 1);
        put(&other, &mint);
        cr_assert_eq(sgn_record_merge(&record, &other), SGN_OK, "merge %u", i);
    }
    cr_assert_eq(record.vector.count, SGN_ACTORS_MAX);
    before = record;
    sgn_record_init(&other);
    struct sgn_mint last = put_of(1, 1, 400);
    put(&other, &last);
    cr_assert_eq(sgn_record_merge(&record, &other), SGN_ERR_TOO_MANY_SIBLINGS);
    cr_assert_eq(sgn_record_merge(&other, &before), SGN_ERR_TOO_MANY_SIBLINGS);
    delete.context =
        &(struct sgn_vector){.count = 1, .entries[0] = {.actor = {1, 1}, .counter = 1}};
    cr_assert_eq(sgn_record_mint(&record, &delete), SGN_ERR_TOO_MANY_SIBLINGS);
    cr_assert(same(&record, &before));
}

Test(record, byte_limits)
{
    uint8_t *large = calloc(1, SGN_VALUE_BYTES_MAX + 1);
    cr_assert_not_null(large);
    static const struct sgn_vector blind;
    struct sgn_record record;
    sgn_record_init(&record);
    struct sgn_mint mint = {.actor = {1, 1}, .body = sgn_bytes_of(large, SGN_VALUE_BYTES_MAX + 1)};
    cr_assert_neq(sgn_record_mint(&record, &mint), SGN_OK);
    cr_assert(sgn_record_is_unwritten(&record));
    mint.body.count = SGN_VALUE_BYTES_MAX;
    put(&record, &mint);
    put(&record, &mint);
    cr_assert_eq(record.sibling_count, 1, "the largest value overwrites the largest");
    cr_assert_leq(sgn_record_bytes(&record, SGN_RECORD_WITH_BODIES), SGN_RECORD_BYTES_MAX);

    uint64_t digest = sgn_record_digest(&record);
    mint.context = &blind;
    cr_assert_eq(sgn_record_mint(&record, &mint), SGN_ERR_TOO_MANY_SIBLINGS);
    struct sgn_record other;
    sgn_record_init(&other);
    mint.actor.node = 2;
    put(&other, &mint);
    cr_assert_eq(sgn_record_merge(&record, &other), SGN_ERR_TOO_MANY_SIBLINGS);
    cr_assert_eq(sgn_record_digest(&record), digest);
    mint.context = &record.vector;
    sgn_record_init(&other);
    put(&other, &mint);
    cr_assert_eq(sgn_record_merge(&record, &other), SGN_OK, "what it overwrites takes no room");
    cr_assert_eq(record.sibling_count, 1);
    free(large);
}
