#include <criterion/criterion.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>

#include "ring/net/msg_codec.h"
#include "tests/lib/random_msg.h"

#define ROOM (SGN_FRAME_HEADER_BYTES + SGN_FRAME_BODY_BYTES_MAX)

static const enum sgn_msg_type TYPES[] = {
#define TYPE(name, number, fields) SGN_MSG_##name,
    SGN_MSG_TABLE(TYPE)
#undef TYPE
};
#define TYPE_COUNT (sizeof(TYPES) / sizeof(TYPES[0]))

static uint64_t all_types(void)
{
    return sgn_types_peer() | sgn_types_answers() | SGN_TYPES_HELLO;
}

static struct sgn_bytes noise(size_t count)
{
    struct sgn_prng prng = {.state = 5};
    uint8_t *bytes = malloc(count);
    for (size_t i = 0; i < count; i++) {
        bytes[i] = (uint8_t)sgn_prng_next(&prng);
    }
    return sgn_bytes_of(bytes, count);
}

static enum sgn_err read_body(struct sgn_msg_decoder *decoder,
                              enum sgn_msg_type type,
                              struct sgn_bytes body,
                              struct sgn_msg *msg,
                              struct sgn_why *why)
{
    struct sgn_frame frame = {.type = (uint32_t)type, .body_bytes = (uint32_t)body.count};
    return sgn_msg_decode(decoder, &frame, body, msg, why);
}

Test(msg_codec, every_type_at_random)
{
    struct sgn_prng prng = {.state = 11};
    struct sgn_bytes from = noise(3000);
    struct sgn_msg_decoder *decoder = sgn_msg_decoder_create();
    static uint8_t room[1 << 16];
    for (uint32_t round = 0; round < 300 * TYPE_COUNT; round++) {
        struct sgn_msg msg = random_msg(&prng, TYPES[round % TYPE_COUNT], from);
        struct sgn_sink sink = sgn_sink_of(room, sizeof(room));
        struct sgn_why why = {""};
        cr_assert_eq(sgn_msg_encode(&msg, &sink, &why), SGN_OK, "%s", why.text);
        cr_assert_leq(sink.count, sgn_msg_frame_bytes_max(&msg));
        /* Exactly the promised room is enough, and one byte less than the frame is not. */
        struct sgn_sink tight = sgn_sink_of(room + 30000, sink.count - 1);
        cr_assert_eq(sgn_msg_encode(&msg, &tight, NULL), SGN_ERR_TOO_LARGE);
        cr_assert(tight.count == 0 && !tight.full);

        uint8_t *exact = malloc(sink.count);
        memcpy(exact, room, sink.count);
        struct sgn_msg got;
        size_t used = 0;
        cr_assert_eq(
            sgn_msg_read(decoder, sgn_bytes_of(exact, sink.count), all_types(), &got, &used, &why),
            SGN_OK,
            "%s: %s",
            sgn_msg_name(msg.type),
            why.text);
        cr_assert_eq(used, sink.count);
        cr_assert(same_msg(&msg, &got), "%s, round %u", sgn_msg_name(msg.type), round);
        free(exact);
    }
    sgn_msg_decoder_destroy(decoder);
    free((void *)(uintptr_t)from.ptr);
}

Test(msg_codec, largest_of_every_type)
{
    struct sgn_bytes from = noise(SGN_RECORD_BYTES_MAX);
    struct sgn_msg_decoder *decoder = sgn_msg_decoder_create();
    uint8_t *room = malloc(ROOM);
    for (size_t t = 0; t < TYPE_COUNT; t++) {
        struct sgn_bytes part[128] = {{0}};
        for (const char *letter = sgn_msg_fields((uint32_t)TYPES[t]); *letter != '\0'; letter++) {
            part[(int)*letter] = sgn_bytes_of(from.ptr, sgn_msg_field_bytes_max(*letter));
        }
        if (TYPES[t] == SGN_MSG_RESULT) { /* A value or items, never both. */
            part['I'].count = 0;
        }
        struct sgn_msg msg = {.type = TYPES[t],
                              .bucket = part['B'],
                              .key = part['K'],
                              .value = part['V'],
                              .context = part['C'],
                              .items = part['I'],
                              .after = part['A'],
                              .text = part['T']};
        struct sgn_sink sink = sgn_sink_of(room, ROOM);
        struct sgn_msg got;
        size_t used = 0;
        struct sgn_why why = {""};
        cr_assert_eq(sgn_msg_encode(&msg, &sink, &why), SGN_OK, "%s", why.text);
        cr_assert_eq(sgn_msg_read(decoder, sgn_sink_bytes(&sink), all_types(), &got, &used, &why),
                     SGN_OK,
                     "%s",
                     why.text);
        cr_assert(used == sink.count && same_msg(&msg, &got), "%s", sgn_msg_name(msg.type));
    }
    free(room);
    sgn_msg_decoder_destroy(decoder);
    free((void *)(uintptr_t)from.ptr);
}

Test(msg_codec, golden_get)
{
    /* GET bucket "b", key "k", a = 1, n = 300, flags = 1; the CRC was computed by another
     * program. */
    static const uint8_t GOLDEN[] = {'S',  'g',  1,    2,    0,    0,    0,   0,    5,    0,
                                     0,    0,    6,    0,    0,    0,    13,  0,    0,    0,
                                     0xc5, 0x4e, 0x3f, 0x34, 0x96, 0xa1, 'b', 0xc4, 0x01, 'k',
                                     0x01, 0xcd, 0x01, 0x2c, 0x01, 0xc4, 0x00};
    struct sgn_msg msg = {.type = SGN_MSG_GET,
                          .request = 5,
                          .epoch = 6,
                          .bucket = sgn_bytes_str("b"),
                          .key = sgn_bytes_str("k"),
                          .a = 1,
                          .n = 300,
                          .flags = 1};
    uint8_t room[64];
    struct sgn_sink sink = sgn_sink_of(room, sizeof(room));
    cr_assert_eq(sgn_msg_encode(&msg, &sink, NULL), SGN_OK);
    cr_assert_eq(sink.count, sizeof(GOLDEN));
    for (size_t i = 0; i < sizeof(GOLDEN); i++) {
        cr_assert_eq(room[i], GOLDEN[i], "byte %zu is %02x, not %02x", i, room[i], GOLDEN[i]);
    }
}

/* Cut frames wait; cut bodies under a fitting header are refused; so is every flipped bit. */
Test(msg_codec, damaged_frames)
{
    struct sgn_prng prng = {.state = 17};
    struct sgn_bytes from = noise(100);
    struct sgn_msg_decoder *decoder = sgn_msg_decoder_create();
    for (uint32_t round = 0; round < 4 * TYPE_COUNT; round++) {
        struct sgn_msg msg = random_msg(&prng, TYPES[round % TYPE_COUNT], from);
        uint8_t room[2048];
        struct sgn_sink sink = sgn_sink_of(room, sizeof(room));
        cr_assert_eq(sgn_msg_encode(&msg, &sink, NULL), SGN_OK);
        size_t body_bytes = sink.count - SGN_FRAME_HEADER_BYTES;
        for (size_t cut = 0; cut < sink.count; cut++) {
            uint8_t *exact = malloc(cut + 1);
            memcpy(exact + 1, room, cut);
            struct sgn_msg got;
            size_t used = 1;
            cr_assert_eq(
                sgn_msg_read(decoder, sgn_bytes_of(exact + 1, cut), all_types(), &got, &used, NULL),
                SGN_OK);
            cr_assert_eq(used, 0u);
            if (cut < body_bytes) {
                struct sgn_why why = {""};
                memcpy(exact + 1, room + SGN_FRAME_HEADER_BYTES, cut);
                cr_assert_eq(read_body(decoder, msg.type, sgn_bytes_of(exact + 1, cut), &got, &why),
                             SGN_ERR_PROTOCOL);
                cr_assert(why.text[0] != '\0');
            }
            free(exact);
        }
        for (size_t bit = 0; bit < 8 * sink.count; bit++) {
            room[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            struct sgn_msg got;
            size_t used = 0;
            (void)sgn_msg_read(decoder, sgn_sink_bytes(&sink), all_types(), &got, &used, NULL);
            cr_assert_eq(used, 0u, "%s bit %zu", sgn_msg_name(msg.type), bit);
            room[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
    }
    sgn_msg_decoder_destroy(decoder);
    free((void *)(uintptr_t)from.ptr);
}

Test(msg_codec, wrong_and_other_bodies)
{
    static uint8_t long_key[1100] = {0x92, 0xa1, 'b', 0xc5, 0x04, 0x01}; /* 1025 bytes */
    long_key[0] = 0x92;
    const struct {
        enum sgn_msg_type type;
        const char *bytes;
        size_t count;
        enum sgn_err err;
        const char *says;
    } rows[] = {
        {SGN_MSG_GET,
         (const char *)long_key,
         6 + 1025,
         SGN_ERR_TOO_LARGE,
         "GET: key has 1025 bytes"},
        {SGN_MSG_GET, "\x91\x05", 2, SGN_ERR_PROTOCOL, "GET: bucket is not a string"},
        {SGN_MSG_GET, "\x93\xa0\xa0\xa1x", 5, SGN_ERR_PROTOCOL, "GET: a is not a number"},
        {SGN_MSG_GET,
         "\x94\xa0\xa0\x01\xcf\0\0\0\1\0\0\0\0",
         13,
         SGN_ERR_PROTOCOL,
         "GET: n is not"},
        {SGN_MSG_GET, "\x94\xa0\xa0\x01\xff", 5, SGN_ERR_PROTOCOL, "GET: n is not"},
        {SGN_MSG_GET, "\x91\xc3", 2, SGN_ERR_PROTOCOL, "GET: bucket is not"},
        {SGN_MSG_RESULT, "\x91\xce\xff\xff\xff\xff", 6, SGN_ERR_PROTOCOL, "RESULT: err is not"},
        {SGN_MSG_RESULT, "\x91\xd3\xff\xff\xff\xf0\0\0\0\0", 10, SGN_ERR_PROTOCOL, "err is not"},
        {SGN_MSG_BUCKET_LIST, "\x80", 1, SGN_ERR_PROTOCOL, "not an array"},
        {SGN_MSG_PUT,
         "\x97\xa0\xa0\xa0\xa0\x00\x00\xc4\x01z",
         10,
         SGN_ERR_PROTOCOL,
         "id does not have"},
        {SGN_MSG_RESULT, "\x91\xff", 2, SGN_OK, ""}, /* A shorter one. */
        {SGN_MSG_GET,
         "\x92\xc4\x01"
         "b\xa1k",
         6,
         SGN_OK,
         ""},                                         /* bin for str, str for bin. */
        {SGN_MSG_GET, "\x92\xc0\xc0", 3, SGN_OK, ""}, /* Nil: not given. */
        {SGN_MSG_BUCKET_LIST,
         "\x92\x81\xa1x\x01\x93\x01\x02\x03",
         9,
         SGN_OK,
         ""}, /* A newer sender. */
    };
    struct sgn_msg_decoder *decoder = sgn_msg_decoder_create();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sgn_msg got;
        struct sgn_why why = {""};
        enum sgn_err err = read_body(
            decoder, rows[i].type, sgn_bytes_of(rows[i].bytes, rows[i].count), &got, &why);
        cr_assert_eq(err, rows[i].err, "row %zu: %s", i, why.text);
        cr_assert(strstr(why.text, rows[i].says) != NULL, "row %zu: %s", i, why.text);
    }
    struct sgn_msg got;
    cr_assert_eq(read_body(decoder, SGN_MSG_RESULT, sgn_bytes_of("\x91\xff", 2), &got, NULL),
                 SGN_OK);
    cr_assert(got.err == -1 && got.value.count == 0 && got.stamp == 0);
    sgn_msg_decoder_destroy(decoder);
}

Test(msg_codec, what_cannot_be_sent)
{
    static uint8_t bytes[2000];
    struct sgn_sink sink = sgn_sink_of(bytes, sizeof(bytes));
    struct sgn_why why = {""};
    struct sgn_msg msg = {.type = SGN_MSG_GET, .key = sgn_bytes_of(bytes, 1025)};
    cr_assert_eq(sgn_msg_encode(&msg, &sink, &why), SGN_ERR_TOO_LARGE);
    cr_assert(
        strstr(why.text, "GET: key has 1025 bytes, the most is 1024") != NULL, "%s", why.text);
    msg.type = (enum sgn_msg_type)99;
    cr_assert_eq(sgn_msg_encode(&msg, &sink, &why), SGN_ERR_INVALID);
}

static long peak_kib(void)
{
    char line[256];
    long kib = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "VmPeak: %ld", &kib) == 1) {
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return kib;
}

/* Bodies that make the library reserve gigabytes, or one object for every byte, cost next to
 * nothing. */
Test(msg_codec, memory_bombs)
{
    static const char *const HEADS[] = {"\xdd\x04\x00\x00\x00",
                                        "\x91\xdd\x04\x00\x00\x00",
                                        "\x91\xdd\x00\xf0\x00\x00",
                                        "\xdd\x00\xf0\x00\x00",
                                        "\x91\xdf\x00\x70\x00\x00",
                                        "\xdf\x00\x70\x00\x00",
                                        "\x9f\x9f\x9f\x9f\x9f\x9f\x9f\x9f"};
    static const size_t HEAD_BYTES[] = {5, 6, 6, 5, 6, 5, 8};
    uint8_t *body = malloc(SGN_FRAME_BODY_BYTES_MAX);
    memset(body, 0x01, SGN_FRAME_BODY_BYTES_MAX);
    struct sgn_msg_decoder *decoder = sgn_msg_decoder_create();
    long before = peak_kib();
    cr_assert_gt(before, 0);
    for (size_t i = 0; i < sizeof(HEADS) / sizeof(HEADS[0]); i++) {
        memcpy(body, HEADS[i], HEAD_BYTES[i]);
        struct sgn_msg got;
        cr_assert_eq(
            read_body(
                decoder, SGN_MSG_PUT, sgn_bytes_of(body, SGN_FRAME_BODY_BYTES_MAX), &got, NULL),
            SGN_ERR_PROTOCOL);
        cr_assert_eq(read_body(decoder, SGN_MSG_PUT, sgn_bytes_of(body, HEAD_BYTES[i]), &got, NULL),
                     SGN_ERR_PROTOCOL);
    }
    cr_assert_lt(peak_kib() - before, 4096L);
    sgn_msg_decoder_destroy(decoder);
    free(body);
}
