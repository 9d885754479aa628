/* Records of available buckets: against the dumb way over all short histories, laws, bytes, limits. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "ring/core/prng.h"
#include "ring/core/record.h"
#include "tests/lib/dumb_history.h"

#define REPLICAS_MAX 3u
#define STEPS_MAX 6u

/* --- all short histories ----------------------------------------------------------------------- */

struct state {
    struct sgn_record records[REPLICAS_MAX];
    struct dumb_replica dumb[REPLICAS_MAX];
    struct sgn_vector context; /* What the one client read last, at any earlier time. */
    uint64_t dumb_context;
    uint32_t events;
};

enum action { READ, PUT_BLIND, PUT_READ, PUT_REPLACE, DEL_READ, DEL_ALL, MERGE, ACTIONS };

static uint64_t histories;
static const uint8_t bodies[64] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
                                   13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25};

static void put(struct state *state, uint32_t at, const struct sgn_vector *context,
                uint64_t dumb_context)
{
    struct sgn_mint mint = {.actor = {at + 1, 1},
                            .context = context,
                            .body = sgn_bytes_of(&bodies[state->events], 1),
                            .hlc = state->events + 1};
    cr_assert_eq(sgn_record_mint(&state->records[at], &mint), SGN_OK);
    dumb_put(&state->dumb[at], dumb_context, state->events);
    state->events++;
}

static void del(struct state *state, uint32_t at, const struct sgn_vector *context,
                uint64_t dumb_context)
{
    struct sgn_mint mint = {.actor = {at + 1, 1}, .context = context, .is_delete = true};
    cr_assert_eq(sgn_record_mint(&state->records[at], &mint), SGN_OK);
    dumb_delete(&state->dumb[at], dumb_context);
}

static void act(struct state *state, enum action action, uint32_t at, uint32_t other)
{
    static const struct sgn_vector nothing;
    switch (action) {
    case READ:
        state->context = state->records[at].vector;
        state->dumb_context = dumb_context(&state->dumb[at]);
        break;
    case PUT_BLIND: put(state, at, &nothing, 0); break;
    case PUT_READ: put(state, at, &state->context, state->dumb_context); break;
    case PUT_REPLACE: put(state, at, NULL, dumb_context(&state->dumb[at])); break;
    case DEL_READ: del(state, at, &state->context, state->dumb_context); break;
    case DEL_ALL: del(state, at, NULL, dumb_context(&state->dumb[at])); break;
    case MERGE:
        cr_assert_eq(sgn_record_merge(&state->records[at], &state->records[other]), SGN_OK);
        dumb_merge(&state->dumb[at], &state->dumb[other]);
        break;
    case ACTIONS: break;
    }
}

static uint64_t live(const struct sgn_record *record)
{
    uint64_t set = 0;
    for (uint32_t i = 0; i < record->sibling_count; i++) {
        set |= UINT64_C(1) << *(const uint8_t *)record->siblings[i].body.ptr;
    }
    return set;
}

static void explore(const struct state *state, uint32_t replicas, uint32_t steps)
{
    for (uint32_t i = 0; i < replicas; i++) {
        if (live(&state->records[i]) != dumb_live(&state->dumb[i])) {
            cr_assert_fail("replica %u: live %llx, the dumb way says %llx", i,
                           (unsigned long long)live(&state->records[i]),
                           (unsigned long long)dumb_live(&state->dumb[i]));
        }
    }
    histories++;
    if (steps == 0) {
        return;
    }
    for (uint32_t at = 0; at < replicas; at++) {
        for (int action = READ; action < ACTIONS; action++) {
            for (uint32_t other = 0; other < (action == MERGE ? replicas : 1); other++) {
                if (action == MERGE && other == at) {
                    continue;
                }
                struct state next = *state;
                act(&next, (enum action)action, at, other);
                explore(&next, replicas, steps - 1);
            }
        }
    }
}

Test(record, all_short_histories_agree_with_sets_of_events, .timeout = 240)
{
    static const struct {
        uint32_t replicas, steps;
    } sizes[] = {{1, 7}, {2, 5}, {3, 4}};
    const char *deep = getenv("SGN_DEEP"); /* One step more each: a minute instead of seconds. */
    for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        static struct state start;
        histories = 0;
        explore(&start, sizes[i].replicas, sizes[i].steps + (deep != NULL));
        (void)fprintf(stderr, "%u replicas, %u steps: %llu histories agree\n", sizes[i].replicas,
                      sizes[i].steps + (deep != NULL), (unsigned long long)histories);
        cr_assert_gt(histories, 10000);
    }
}

/* --- random longer ones ------------------------------------------------------------------------ */

static bool same(const struct sgn_record *a, const struct sgn_record *b)
{
    static uint8_t x[1 << 16];
    static uint8_t y[1 << 16];
    struct sgn_sink left = sgn_sink_of(x, sizeof(x));
    struct sgn_sink right = sgn_sink_of(y, sizeof(y));
    sgn_record_encode(a, SGN_RECORD_WITH_BODIES, &left);
    sgn_record_encode(b, SGN_RECORD_WITH_BODIES, &right);
    return !left.full && sgn_bytes_equal(sgn_sink_bytes(&left), sgn_sink_bytes(&right));
}

static void random_step(struct state *state, struct sgn_prng *prng)
{
    enum action action = (enum action)sgn_prng_below(prng, ACTIONS);
    uint32_t at = (uint32_t)sgn_prng_below(prng, 3);
    uint32_t other = (at + 1 + (uint32_t)sgn_prng_below(prng, 2)) % 3;
    if (state->events < 24 || (action != PUT_BLIND && action != PUT_READ && action != PUT_REPLACE)) {
        act(state, action, at, other);
    }
}

static void check_laws(const struct state *state, uint64_t seed)
{
    for (uint32_t a = 0; a < 3; a++) {
        const struct sgn_record *x = &state->records[a];
        const struct sgn_record *y = &state->records[(a + 1) % 3];
        const struct sgn_record *z = &state->records[(a + 2) % 3];
        struct sgn_record xy = *x;
        struct sgn_record yx = *y;
        struct sgn_record xx = *x;
        struct sgn_record left = *x;
        struct sgn_record right = *y;
        cr_assert_eq(sgn_record_merge(&xy, y), SGN_OK);
        cr_assert_eq(sgn_record_merge(&yx, x), SGN_OK);
        cr_assert_eq(sgn_record_merge(&xx, x), SGN_OK);
        cr_assert_eq(sgn_record_merge(&left, y), SGN_OK);
        cr_assert_eq(sgn_record_merge(&left, z), SGN_OK);
        cr_assert_eq(sgn_record_merge(&right, z), SGN_OK);
        cr_assert_eq(sgn_record_merge(&right, x), SGN_OK);
        cr_assert(same(&xy, &yx), "seed %llu: merge is not commutative", (unsigned long long)seed);
        cr_assert(same(&xx, x), "seed %llu: merge is not idempotent", (unsigned long long)seed);
        cr_assert(same(&left, &right), "seed %llu: merge is not associative",
                  (unsigned long long)seed);
        cr_assert(sgn_record_covers(&xy, x) && sgn_record_covers(&xy, y));
        cr_assert_eq(sgn_record_covers(x, y), same(&xy, x), "seed %llu: covers is not \"merge would "
                     "change nothing\"", (unsigned long long)seed);
        cr_assert_eq(sgn_record_digest(x) == sgn_record_digest(y), same(x, y));
    }
}

Test(record, laws_hold_on_random_histories, .timeout = 120)
{
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        struct sgn_prng prng = {.state = seed};
        struct state state;
        memset(&state, 0, sizeof(state));
        for (uint32_t i = 0; i < 40; i++) {
            random_step(&state, &prng);
        }
        for (uint32_t i = 0; i < 3; i++) {
            cr_assert_eq(live(&state.records[i]), dumb_live(&state.dumb[i]), "seed %llu",
                         (unsigned long long)seed);
        }
        check_laws(&state, seed);
    }
}

/* --- bytes ------------------------------------------------------------------------------------- */

static size_t encode(const struct sgn_record *record, enum sgn_record_bodies bodies_too,
                     uint8_t *out, size_t cap)
{
    struct sgn_sink sink = sgn_sink_of(out, cap);
    sgn_record_encode(record, bodies_too, &sink);
    cr_assert(!sink.full);
    cr_assert_eq(sink.count, sgn_record_bytes(record, bodies_too));
    return sink.count;
}

Test(record, bytes_go_there_and_back_and_damage_is_refused)
{
    struct sgn_prng prng = {.state = 7};
    static uint8_t raw[1 << 16];
    static uint8_t again[1 << 16];
    for (uint32_t round = 0; round < 300; round++) {
        struct state state;
        memset(&state, 0, sizeof(state));
        for (uint32_t i = 0; i < 12; i++) {
            random_step(&state, &prng);
        }
        struct sgn_record back;
        size_t count = encode(&state.records[0], SGN_RECORD_WITH_BODIES, raw, sizeof(raw));
        cr_assert_eq(sgn_record_decode(sgn_bytes_of(raw, count), SGN_RECORD_WITH_BODIES, &back),
                     SGN_OK);
        cr_assert(same(&back, &state.records[0]));
        size_t head = encode(&state.records[0], SGN_RECORD_DIGEST_ONLY, again, sizeof(again));
        cr_assert(head == 0 || memcmp(raw, again, head) == 0, "a digest is the head of the record");
        cr_assert_eq(sgn_record_decode(sgn_bytes_of(again, head), SGN_RECORD_DIGEST_ONLY, &back),
                     SGN_OK);
        cr_assert_eq(sgn_record_digest(&back), sgn_record_digest(&state.records[0]));
        for (size_t cut = 1; cut < count; cut++) { /* A copy of its own, for ASan to watch. */
            uint8_t *part = malloc(cut);
            memcpy(part, raw, cut);
            cr_assert_eq(sgn_record_decode(sgn_bytes_of(part, cut), SGN_RECORD_WITH_BODIES, &back),
                         SGN_ERR_CORRUPT);
            free(part);
        }
        for (uint32_t flip = 0; flip < 40 && count > 0; flip++) {
            uint8_t *part = malloc(count);
            memcpy(part, raw, count);
            part[sgn_prng_below(&prng, count)] ^= (uint8_t)(1 + sgn_prng_below(&prng, 255));
            if (sgn_record_decode(sgn_bytes_of(part, count), SGN_RECORD_WITH_BODIES, &back) ==
                SGN_OK) { /* Another record, then, and a whole one. */
                size_t bytes = encode(&back, SGN_RECORD_WITH_BODIES, again, sizeof(again));
                cr_assert(bytes == count && memcmp(part, again, count) == 0);
            }
            free(part);
        }
    }
}

static enum sgn_err decode_hex(const char *hex)
{
    uint8_t raw[256];
    size_t count = 0;
    for (; hex[0] != '\0'; hex += hex[0] == ' ' ? 1 : 2) {
        unsigned byte = 0;
        if (hex[0] != ' ') {
            (void)sscanf(hex, "%2x", &byte);
            raw[count++] = (uint8_t)byte;
        }
    }
    struct sgn_record record;
    return sgn_record_decode(sgn_bytes_of(raw, count), SGN_RECORD_WITH_BODIES, &record);
}

#define DOT(node, gen, counter) #node "000000 " #gen "000000 " #counter "00000000000000 "
#define SIBLING(node, gen, counter)                                                                \
    DOT(node, gen, counter) "0000000000000000 00000000000000000000000000000000 00000000 "

Test(record, every_broken_invariant_is_refused)
{
    cr_assert_eq(decode_hex("01010100 " DOT(01, 01, 02) SIBLING(01, 01, 02)), SGN_OK);
    cr_assert_eq(decode_hex("01010000 " DOT(01, 01, 02)), SGN_OK, "a tombstone");
    static const char *const bad[] = {
        "02010000 " DOT(01, 01, 02),                      /* another format */
        "01010001 " DOT(01, 01, 02),                      /* the zero is none */
        "01000000",                                       /* written, and yet by nobody */
        "01010000 " DOT(00, 01, 02),                      /* node 0 */
        "01010000 " DOT(01, 01, 00),                      /* counter 0 */
        "01020000 " DOT(02, 01, 01) DOT(01, 01, 01),      /* vector not sorted */
        "01020000 " DOT(01, 01, 01) DOT(01, 01, 02),      /* an actor twice */
        "01010100 " DOT(01, 01, 02) SIBLING(01, 01, 03),  /* dot above the vector */
        "01010100 " DOT(01, 01, 02) SIBLING(02, 01, 01),  /* dot of a stranger */
        "01010200 " DOT(01, 01, 02) SIBLING(01, 01, 02) SIBLING(01, 01, 01), /* not sorted */
        "01010200 " DOT(01, 01, 02) SIBLING(01, 01, 02) SIBLING(01, 01, 02), /* a dot twice */
        "01010000 " DOT(01, 01, 02) "00",                 /* something behind the end */
    };
    for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_eq(decode_hex(bad[i]), SGN_ERR_CORRUPT, "case %u was taken", i);
    }
}

/* --- limits, retries, contexts ----------------------------------------------------------------- */

static enum sgn_err blind_put(struct sgn_record *record, uint32_t node, uint8_t id, size_t bytes)
{
    static uint8_t body[SGN_VALUE_BYTES_MAX];
    static const struct sgn_vector nothing;
    struct sgn_mint mint = {.actor = {node, 1},
                            .context = &nothing,
                            .body = sgn_bytes_of(body, bytes),
                            .request_id = {{id}}};
    return sgn_record_mint(record, &mint);
}

Test(record, limits_refuse_and_change_nothing)
{
    struct sgn_record record;
    sgn_record_init(&record);
    for (uint32_t i = 0; i < SGN_SIBLINGS_MAX; i++) {
        cr_assert_eq(blind_put(&record, 1, 0, 1), SGN_OK);
    }
    struct sgn_record before = record;
    cr_assert_eq(blind_put(&record, 1, 0, 1), SGN_ERR_TOO_MANY_SIBLINGS);
    cr_assert(same(&record, &before));
    struct sgn_record other;
    sgn_record_init(&other);
    cr_assert_eq(blind_put(&other, 2, 0, 1), SGN_OK);
    cr_assert_eq(sgn_record_merge(&record, &other), SGN_ERR_TOO_MANY_SIBLINGS);
    cr_assert(same(&record, &before));
    struct sgn_mint settle = {.actor = {1, 1}, .body = sgn_bytes_str("x")};
    cr_assert_eq(sgn_record_mint(&record, &settle), SGN_OK, "an overwrite frees the key");
    cr_assert_eq(record.sibling_count, 1);

    sgn_record_init(&record);
    uint32_t actors = 0;
    while (actors < SGN_ACTORS_MAX) {
        struct sgn_mint mint = {.actor = {actors + 1, 1}, .body = sgn_bytes_str("x")};
        if (sgn_record_mint(&record, &mint) != SGN_OK) {
            break;
        }
        actors++;
    }
    cr_assert_eq(actors, SGN_ACTORS_MAX - 2 * SGN_REPLICAS_MAX, "merges keep room for new actors");
    cr_assert_eq(sgn_record_mint(&record, &settle), SGN_OK, "a known actor may always overwrite");

    sgn_record_init(&record);
    cr_assert_eq(blind_put(&record, 1, 0, SGN_VALUE_BYTES_MAX), SGN_OK, "the largest value");
    cr_assert_eq(blind_put(&record, 1, 0, 1), SGN_ERR_TOO_MANY_SIBLINGS, "siblings share the room");
}

Test(record, a_retry_at_the_same_replica_is_one_write)
{
    struct sgn_record record;
    sgn_record_init(&record);
    cr_assert_eq(blind_put(&record, 1, 42, 3), SGN_OK);
    struct sgn_record before = record;
    cr_assert_eq(blind_put(&record, 1, 42, 3), SGN_OK);
    cr_assert(same(&record, &before));
    cr_assert_eq(blind_put(&record, 1, 0, 3), SGN_OK);
    cr_assert_eq(blind_put(&record, 1, 0, 3), SGN_OK);
    cr_assert_eq(record.sibling_count, 3, "no id is never equal to another");
}

Test(record, contexts_and_edges)
{
    struct sgn_record record;
    struct sgn_vector vector;
    uint8_t raw[SGN_CONTEXT_BYTES_MAX];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    sgn_record_init(&record);
    cr_assert(sgn_record_is_unwritten(&record) && sgn_record_is_dead(&record));
    cr_assert_null(sgn_record_newest(&record));
    cr_assert_eq(sgn_record_digest(&record), 0);
    struct sgn_mint nothing = {.actor = {1, 1}, .is_delete = true};
    cr_assert_eq(sgn_record_mint(&record, &nothing), SGN_OK);
    cr_assert(sgn_record_is_unwritten(&record), "deleting what never was leaves no trace");
    cr_assert_eq(blind_put(&record, 1, 1, 1), SGN_OK);
    cr_assert_eq(blind_put(&record, 2, 2, 1), SGN_OK);
    sgn_context_encode(&record.vector, &sink);
    cr_assert_eq(sgn_context_decode(sgn_sink_bytes(&sink), &vector), SGN_OK);
    cr_assert_eq(vector.count, 2);
    for (size_t cut = 1; cut < sink.count; cut++) {
        bool whole = (cut - 1) % 16 == 0 && cut > 1;
        cr_assert_eq(sgn_context_decode(sgn_bytes_of(raw, cut), &vector),
                     whole ? SGN_OK : SGN_ERR_INVALID);
    }
    cr_assert_eq(sgn_context_decode(sgn_bytes_of(NULL, 0), &vector), SGN_OK);
    cr_assert_eq(vector.count, 0);
    cr_assert_eq(sgn_record_mint(&record, &nothing), SGN_OK);
    cr_assert(sgn_record_is_dead(&record) && !sgn_record_is_unwritten(&record));
}
