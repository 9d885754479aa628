/* Ordered records and versions of any bytes: never a crash or a read past the end; what is taken is
 * written back byte for byte, and whatever is decided on it can be read again. */
#include <stdlib.h>

#include "ring/core/check.h"
#include "ring/core/ordered.h"

#define OUT_BYTES_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t out[OUT_BYTES_MAX];

static struct sgn_bytes written(const struct sgn_ordered *record, bool with_body)
{
    struct sgn_sink sink = sgn_sink_of(out, sizeof(out));
    sgn_ordered_encode(record, with_body, &sink);
    SGN_ASSERT(!sink.full);
    SGN_ASSERT(sink.count == sgn_ordered_bytes(record, with_body));
    return sgn_sink_bytes(&sink);
}

/* One round of every kind, by an id that the record knows and by a new one. */
static void check_rounds(const struct sgn_ordered *record, bool with_body)
{
    static const struct sgn_ballot above = {UINT64_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    if (sgn_ballot_compare(&above, &record->ballot) <= 0) {
        return;
    }
    for (uint32_t i = 0; i < 4 * 3 * 2; i++) {
        struct sgn_change change = {.kind = (enum sgn_change_kind)(i % 4),
                                    .condition = (enum sgn_condition)(i / 4 % 3),
                                    .expect = record->version,
                                    .id = {{1, 2, 3}},
                                    .stamp = UINT64_MAX,
                                    .body = sgn_bytes_str(with_body ? "x" : "")};
        if (i >= 4 * 3 && record->op_count > 0) {
            change.id = record->ops[record->op_count - 1].id;
        }
        struct sgn_ordered next;
        struct sgn_ordered again;
        struct sgn_decision decision;
        sgn_ordered_decide(record, &change, &above, &next, &decision);
        SGN_ASSERT(!(decision.changes && decision.remembers));
        SGN_ASSERT(next.version.rev == record->version.rev + decision.changes);
        struct sgn_bytes bytes = written(&next, with_body);
        SGN_ASSERT(sgn_ordered_decode(bytes, with_body, &again) == SGN_OK);
        SGN_ASSERT(sgn_ordered_digest(&again) == sgn_ordered_digest(&next));
    }
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
    struct sgn_ballot ballot = sgn_ordered_ballot(bytes);
    for (int with_body = 0; with_body <= 1; with_body++) {
        struct sgn_ordered record;
        if (sgn_ordered_decode(bytes, with_body, &record) == SGN_OK) {
            SGN_ASSERT(sgn_ballot_compare(&ballot, &record.ballot) == 0);
            SGN_ASSERT((sgn_ordered_digest(&record) == 0) == sgn_ballot_is_zero(&record.ballot));
            SGN_ASSERT(sgn_bytes_equal(written(&record, with_body), bytes));
            check_rounds(&record, with_body);
        } else {
            SGN_ASSERT(record.version.rev == 0 && record.op_count == 0);
        }
    }
    struct sgn_version version;
    if (sgn_version_take(bytes, &version) == SGN_OK) {
        struct sgn_sink sink = sgn_sink_of(out, sizeof(out));
        sgn_version_put(&sink, &version);
        SGN_ASSERT(sgn_bytes_equal(sgn_sink_bytes(&sink), bytes));
    }
    free(copy);
    return 0;
}
