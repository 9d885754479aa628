/* Any bytes to the decoder of rings: refused, or a ring whose bytes are those. */
#include <stdlib.h>

#include "ring/core/check.h"
#include "ring/core/ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sgn_ring ring;
    static uint8_t bytes[SGN_RING_BYTES_MAX];
    if (sgn_ring_decode(sgn_bytes_of(data, size), &ring) != SGN_OK) {
        return 0;
    }
    struct sgn_sink sink = sgn_sink_of(bytes, sizeof(bytes));
    sgn_ring_encode(&ring, &sink);
    SGN_ASSERT(!sink.full);
    SGN_ASSERT(sgn_bytes_equal(sgn_sink_bytes(&sink), sgn_bytes_of(data, size)));
    (void)sgn_ring_digest(&ring);
    for (uint32_t i = 0; i < ring.member_count; i++) {
        SGN_ASSERT(sgn_ring_find(&ring, ring.members[i].id) == (int)i);
    }
    return 0;
}
