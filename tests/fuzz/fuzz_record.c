/* Records and contexts from untrusted bytes: what decodes encodes to the same bytes, and merging it
 * with itself changes nothing. */
#include <stdlib.h>

#include "ring/core/check.h"
#include "ring/core/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

static void try_form(struct sgn_bytes bytes, enum sgn_record_bodies form)
{
    struct sgn_record record;
    if (sgn_record_decode(bytes, form, &record) != SGN_OK) {
        return;
    }
    uint8_t *again = malloc(bytes.count + 1);
    SGN_ASSERT(again != NULL);
    struct sgn_sink sink = sgn_sink_of(again, bytes.count);
    sgn_record_encode(&record, form, &sink);
    SGN_ASSERT(!sink.full);
    SGN_ASSERT(sgn_bytes_equal(sgn_sink_bytes(&sink), bytes));
    struct sgn_record twice = record;
    enum sgn_err err = sgn_record_merge(&twice, &record);
    SGN_ASSERT(err == SGN_OK || err == SGN_ERR_TOO_MANY_SIBLINGS);
    SGN_ASSERT(sgn_record_digest(&twice) == sgn_record_digest(&record));
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    struct sgn_bytes bytes = sgn_bytes_of(data, count);
    struct sgn_vector vector;
    try_form(bytes, SGN_RECORD_WITH_BODIES);
    try_form(bytes, SGN_RECORD_DIGEST_ONLY);
    (void)sgn_context_decode(bytes, &vector);
    return 0;
}
