#include <criterion/criterion.h>
#include <stdlib.h>

#include "ring/core/msg.h"
#include "ring/core/prng.h"
#include "ring/net/crc.h"
#include "ring/net/frame.h"

static uint64_t all_types(void)
{
    return sgn_types_peer() | sgn_types_answers() | SGN_TYPES_HELLO;
}

Test(frame, round_trip_and_every_flipped_bit)
{
    struct sgn_prng prng = {.state = 1};
    uint8_t raw[SGN_FRAME_HEADER_BYTES];
    const char text[] = "the body";
    struct sgn_bytes body = sgn_bytes_of(text, 8);
    for (uint32_t type = 0; type < 256; type++) {
        struct sgn_frame sent = {.type = type,
                                 .flags = (uint32_t)sgn_prng_below(&prng, 2),
                                 .request = (uint32_t)sgn_prng_next(&prng),
                                 .epoch = (uint32_t)sgn_prng_next(&prng)};
        sgn_frame_encode(&sent, body, raw);
        struct sgn_frame got;
        struct sgn_why why = {""};
        enum sgn_err err = sgn_frame_decode(raw, all_types(), &got, &why);
        if (sgn_msg_fields(type) == NULL) {
            cr_assert_eq(err, SGN_ERR_PROTOCOL, "type %u", type);
            cr_assert(strstr(why.text, "no message") != NULL, "%s", why.text);
            continue;
        }
        cr_assert_eq(err, SGN_OK, "type %u: %s", type, why.text);
        cr_assert(got.type == type && got.flags == sent.flags && got.request == sent.request &&
                  got.epoch == sent.epoch && got.body_bytes == 8);
        cr_assert_eq(sgn_frame_verify(raw, body, &why), SGN_OK);
        for (uint32_t bit = 0; bit < 8 * SGN_FRAME_HEADER_BYTES; bit++) {
            raw[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            cr_assert(sgn_frame_decode(raw, all_types(), &got, &why) != SGN_OK ||
                          sgn_frame_verify(raw, body, &why) != SGN_OK,
                      "type %u bit %u",
                      type,
                      bit);
            raw[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
    }
}

Test(frame, golden_layout)
{
    struct sgn_frame frame = {.type = SGN_MSG_GET, .flags = 1, .request = 0x01020304, .epoch = 7};
    uint8_t raw[SGN_FRAME_HEADER_BYTES];
    sgn_frame_encode(&frame, sgn_bytes_of("\x90", 1), raw);
    const uint8_t expected[20] = {'S', 'g', 1, 2, 1, 0, 0, 0, 4, 3, 2, 1, 7, 0, 0, 0, 1, 0, 0, 0};
    cr_assert(memcmp(raw, expected, 20) == 0);
    uint32_t crc = sgn_crc32c(sgn_crc32c(0, sgn_bytes_of(expected, 20)), sgn_bytes_of("\x90", 1));
    cr_assert_eq(sgn_get_uint(raw + 20, 4), crc);
}

Test(frame, refusals_say_why)
{
    struct sgn_frame frame = {.type = SGN_MSG_GET, .request = 9};
    uint8_t good[SGN_FRAME_HEADER_BYTES];
    uint8_t raw[SGN_FRAME_HEADER_BYTES];
    sgn_frame_encode(&frame, sgn_bytes_of("", 0), good);
    struct {
        uint32_t at;
        uint8_t byte;
        uint64_t types;
        enum sgn_err err;
        const char *says;
    } rows[] = {
        {0, 'G', all_types(), SGN_ERR_PROTOCOL, "not a Signet frame"},
        {2, 2, all_types(), SGN_ERR_VERSION, "speaks protocol version 2"},
        {4, 2, all_types(), SGN_ERR_PROTOCOL, "flags 0x0002"},
        {7, 1, all_types(), SGN_ERR_PROTOCOL, "reserved 0x0100"},
        {3, 200, all_types(), SGN_ERR_PROTOCOL, "type 200"},
        {3, 2, SGN_TYPES_HELLO, SGN_ERR_PROTOCOL, "must be HELLO, not GET"},
        {3, 21, sgn_types_requests(), SGN_ERR_PROTOCOL, "REPL_PUT message is not taken"},
        {19, 0xff, all_types(), SGN_ERR_TOO_LARGE, "a GET message announces 4278190080 bytes"},
        {17, 0x10, all_types(), SGN_ERR_TOO_LARGE, "a GET message announces 4096 bytes"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        memcpy(raw, good, sizeof(raw));
        raw[rows[i].at] = rows[i].byte;
        struct sgn_why why = {""};
        cr_assert_eq(sgn_frame_decode(raw, rows[i].types, &frame, &why), rows[i].err, "row %zu", i);
        cr_assert(strstr(why.text, rows[i].says) != NULL, "row %zu: %s", i, why.text);
        cr_assert_eq(sgn_frame_decode(raw, rows[i].types, &frame, NULL), rows[i].err);
        cr_assert_eq(frame.request, i < 2 ? 0u : 9u, "a refusal can carry the request, row %zu", i);
    }
}

Test(frame, limits_of_types)
{
    for (uint32_t type = 0; type < 300; type++) {
        const char *fields = sgn_msg_fields(type);
        uint32_t most = sgn_frame_body_bytes_max(type);
        cr_assert((fields == NULL) == (most == 0), "type %u", type);
        cr_assert(most <= SGN_FRAME_BODY_BYTES_MAX);
    }
    cr_assert(sgn_frame_body_bytes_max(SGN_MSG_HEARTBEAT) < 2048);
    cr_assert(sgn_frame_body_bytes_max(SGN_MSG_HELLO) < 2048);
    cr_assert(sgn_frame_body_bytes_max(SGN_MSG_PUT) > SGN_RECORD_BYTES_MAX);
    cr_assert_eq(sgn_types_peer() & (sgn_types_answers() | SGN_TYPES_HELLO), 0u);
    cr_assert_eq(sgn_types_requests() & sgn_types_peer(), sgn_types_requests());
}
