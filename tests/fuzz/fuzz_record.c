/* Records and contexts of any bytes: never a crash or a read past the end; what is taken is written
 * back byte for byte; merging obeys its laws also for records that no honest node would write. */
#include <stdlib.h>

#include "ring/core/check.h"
#include "ring/core/record.h"

#define OUT_BYTES_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t out[OUT_BYTES_MAX];

static void check_written_back(const struct sgn_record *record,
                               enum sgn_record_bodies bodies,
                               struct sgn_bytes bytes)
{
    struct sgn_sink sink = sgn_sink_of(out, sizeof(out));
    SGN_ASSERT(sgn_record_bytes(record, bodies) == bytes.count);
    sgn_record_encode(record, bodies, &sink);
    SGN_ASSERT(!sink.full);
    SGN_ASSERT(sgn_bytes_equal(sgn_sink_bytes(&sink), bytes));
}

static void check_record(const struct sgn_record *record,
                         enum sgn_record_bodies bodies,
                         struct sgn_bytes bytes)
{
    check_written_back(record, bodies, bytes);
    SGN_ASSERT((sgn_record_digest(record) == 0) == sgn_record_is_unwritten(record));
    SGN_ASSERT((sgn_record_newest(record) == NULL) == sgn_record_is_dead(record));
    SGN_ASSERT(sgn_record_covers(record, record));
    struct sgn_record merged = *record;
    SGN_ASSERT(sgn_record_merge(&merged, record) == SGN_OK);
    check_written_back(&merged, bodies, bytes);

    /* Whatever was read, a write on it gives a record that can be read. */
    struct sgn_mint mint = {.actor = {.node = 1, .generation = 1}, .body = sgn_bytes_str("x")};
    mint.context = &record->vector;
    if (bodies == SGN_RECORD_WITH_BODIES && sgn_record_mint(&merged, &mint) == SGN_OK) {
        struct sgn_sink sink = sgn_sink_of(out, sizeof(out));
        sgn_record_encode(&merged, bodies, &sink);
        struct sgn_record again;
        SGN_ASSERT(sgn_record_decode(sgn_sink_bytes(&sink), bodies, &again) == SGN_OK);
        SGN_ASSERT(again.sibling_count == 1);
        SGN_ASSERT(!sgn_record_covers(record, &again));
    }
}

/* The input's first byte says where it is cut in two records. */
static void check_pair(struct sgn_bytes bytes)
{
    const uint8_t *raw = bytes.ptr;
    size_t cut = bytes.count < 2 ? 0 : 1 + raw[0] * (bytes.count - 1) / 255;
    struct sgn_record a;
    struct sgn_record b;
    if (cut == 0 ||
        sgn_record_decode(sgn_bytes_of(raw + 1, cut - 1), SGN_RECORD_DIGEST_ONLY, &a) != SGN_OK ||
        sgn_record_decode(sgn_bytes_of(raw + cut, bytes.count - cut), SGN_RECORD_DIGEST_ONLY, &b) !=
            SGN_OK) {
        return;
    }
    struct sgn_record ab = a;
    struct sgn_record ba = b;
    enum sgn_err err = sgn_record_merge(&ab, &b);
    SGN_ASSERT(sgn_record_merge(&ba, &a) == err);
    if (err != SGN_OK) {
        SGN_ASSERT(sgn_record_digest(&ab) == sgn_record_digest(&a));
        return;
    }
    SGN_ASSERT(ab.sibling_count == ba.sibling_count);
    for (uint32_t i = 0; i < ab.sibling_count; i++) {
        /* What is said of one dot may differ, if a node is broken; which dots live may not. */
        SGN_ASSERT(ab.siblings[i].dot.counter == ba.siblings[i].dot.counter);
        SGN_ASSERT(ab.siblings[i].dot.actor.node == ba.siblings[i].dot.actor.node);
    }
    SGN_ASSERT(sgn_record_covers(&ab, &a));
    SGN_ASSERT(sgn_record_covers(&ab, &b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > OUT_BYTES_MAX / 2) {
        return 0;
    }
    /* A copy of the exact size, so that a read past its end is seen. */
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL) {
        return 0;
    }
    if (size > 0) {
        memcpy(copy, data, size);
    }
    struct sgn_bytes bytes = sgn_bytes_of(copy, size);
    const enum sgn_record_bodies forms[] = {SGN_RECORD_WITH_BODIES, SGN_RECORD_DIGEST_ONLY};
    for (uint32_t i = 0; i < 2; i++) {
        struct sgn_record record;
        if (sgn_record_decode(bytes, forms[i], &record) == SGN_OK) {
            check_record(&record, forms[i], bytes);
        } else {
            SGN_ASSERT(sgn_record_is_unwritten(&record));
        }
    }
    struct sgn_vector vector;
    if (sgn_context_decode(bytes, &vector) == SGN_OK) {
        struct sgn_sink sink = sgn_sink_of(out, sizeof(out));
        sgn_context_encode(&vector, &sink);
        SGN_ASSERT(sgn_bytes_equal(sgn_sink_bytes(&sink), bytes));
    }
    check_pair(bytes);
    free(copy);
    return 0;
}
