/* A body under a header that is right: the first byte picks the type, the rest is the body, so that
 * no CRC stands between the fuzzer and the skipper, msgpack and the field checks. */
#include <stdlib.h>

#include "ring/core/check.h"
#include "ring/net/msg_codec.h"
#include "ring/net/skip.h"
#include "tests/lib/random_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sgn_msg_decoder *decoder;
    decoder = decoder != NULL ? decoder : sgn_msg_decoder_create();
    if (size == 0 || sgn_msg_fields(data[0] % 32) == NULL) {
        return 0;
    }
    struct sgn_frame frame = {.type = data[0] % 32, .request = 7, .body_bytes = (uint32_t)size - 1};
    struct sgn_bytes body = sgn_bytes_of(data + 1, size - 1);
    struct sgn_msg msg;
    struct sgn_why why = {""};
    enum sgn_err err = sgn_msg_decode(decoder, &frame, body, &msg, &why);
    if (err != SGN_OK) {
        SGN_ASSERT(why.text[0] != '\0');
        return 0;
    }
    SGN_ASSERT(sgn_skip_check(body, NULL) == SGN_OK);
    /* What was taken can be sent on, and arrives as it was. */
    size_t room = sgn_msg_frame_bytes_max(&msg);
    struct sgn_sink sink = sgn_sink_of(malloc(room), room);
    struct sgn_msg again;
    size_t used = 0;
    SGN_ASSERT(sink.ptr != NULL);
    err = sgn_msg_encode(&msg, &sink, &why);
    SGN_ASSERT(err == SGN_OK);
    err =
        sgn_msg_read(decoder, sgn_sink_bytes(&sink), SGN_TYPE_BIT(frame.type), &again, &used, &why);
    SGN_ASSERT(err == SGN_OK && used == sink.count);
    SGN_ASSERT(same_msg(&msg, &again));
    free(sink.ptr);
    return 0;
}
