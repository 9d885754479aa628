/* A stream of frames as a connection would meet it: headers, CRC, bodies, cut anywhere. */
#include "ring/core/check.h"
#include "ring/net/msg_codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sgn_msg_decoder *decoder;
    decoder = decoder != NULL ? decoder : sgn_msg_decoder_create();
    uint64_t types = sgn_types_peer() | sgn_types_answers() | SGN_TYPES_HELLO;
    size_t at = 0;
    size_t used = 1;
    while (used > 0) {
        struct sgn_msg msg;
        struct sgn_why why;
        enum sgn_err err =
            sgn_msg_read(decoder, sgn_bytes_of(data + at, size - at), types, &msg, &used, &why);
        SGN_ASSERT(used <= size - at);
        SGN_ASSERT(err == SGN_OK || used == 0);
        at += used;
    }
    return 0;
}
