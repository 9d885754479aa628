#include "ring/net/frame.h"

#include "ring/core/check.h"
#include "ring/core/msg.h"
#include "ring/net/crc.h"

/* Header bytes under the CRC: all before the CRC itself. */
#define CRC_AT 20u
/* What msgpack adds to a field at most (a length or a number), and room for a newer sender's
 * fields. */
#define FIELD_OVERHEAD_BYTES 9u
#define NEWER_FIELDS_BYTES   1024u

_Static_assert(CRC_AT + 4 == SGN_FRAME_HEADER_BYTES, "the CRC is the last word of the header");

#define TYPE_FITS(name, number, fields) _Static_assert((number) < 64, #name " is a bit of a u64");
SGN_MSG_TABLE(TYPE_FITS)

uint64_t sgn_types_requests(void)
{
    return SGN_TYPE_BIT(SGN_MSG_GET) | SGN_TYPE_BIT(SGN_MSG_PUT) | SGN_TYPE_BIT(SGN_MSG_DEL) |
           SGN_TYPE_BIT(SGN_MSG_LIST) | SGN_TYPE_BIT(SGN_MSG_BUCKET_PUT) |
           SGN_TYPE_BIT(SGN_MSG_BUCKET_DEL) | SGN_TYPE_BIT(SGN_MSG_BUCKET_LIST) |
           SGN_TYPE_BIT(SGN_MSG_RING) | SGN_TYPE_BIT(SGN_MSG_STATUS) |
           SGN_TYPE_BIT(SGN_MSG_RESOLVE) | SGN_TYPE_BIT(SGN_MSG_MAP) |
           SGN_TYPE_BIT(SGN_MSG_MAP_CHANGE);
}

uint64_t sgn_types_answers(void)
{
    uint64_t types = 0;
#define ADD_ANSWER(name, number, fields)                                                           \
    types |= sgn_msg_is_answer(number) ? SGN_TYPE_BIT(number) : 0;
    SGN_MSG_TABLE(ADD_ANSWER)
#undef ADD_ANSWER
    return types;
}

uint64_t sgn_types_peer(void)
{
    uint64_t types = 0;
#define ADD_ANY(name, number, fields) types |= SGN_TYPE_BIT(number);
    SGN_MSG_TABLE(ADD_ANY)
#undef ADD_ANY
    return types & ~SGN_TYPES_HELLO & ~sgn_types_answers();
}

/* Once per type: fields do not change while a program runs. */
static uint32_t body_bytes_max(const char *fields)
{
    size_t bytes = NEWER_FIELDS_BYTES;
    for (const char *letter = fields; *letter != '\0'; letter++) {
        bytes += FIELD_OVERHEAD_BYTES + sgn_msg_field_bytes_max(*letter);
    }
    return bytes < SGN_FRAME_BODY_BYTES_MAX ? (uint32_t)bytes : SGN_FRAME_BODY_BYTES_MAX;
}

uint32_t sgn_frame_body_bytes_max(uint32_t type)
{
    const char *fields = sgn_msg_fields(type);
    return fields == NULL ? 0 : body_bytes_max(fields);
}

static uint32_t frame_crc(const uint8_t *raw, struct sgn_bytes body)
{
    return sgn_crc32c(sgn_crc32c(0, sgn_bytes_of(raw, CRC_AT)), body);
}

void sgn_frame_encode(const struct sgn_frame *frame,
                      struct sgn_bytes body,
                      uint8_t raw[SGN_FRAME_HEADER_BYTES])
{
    SGN_ASSERT(frame->type <= UINT8_MAX);
    SGN_ASSERT(frame->flags <= UINT16_MAX);
    SGN_ASSERT(body.count <= SGN_FRAME_BODY_BYTES_MAX);

    struct sgn_sink sink = sgn_sink_of(raw, SGN_FRAME_HEADER_BYTES);
    sgn_sink_uint(&sink, SGN_FRAME_MAGIC, 2);
    sgn_sink_uint(&sink, SGN_FRAME_VERSION, 1);
    sgn_sink_uint(&sink, frame->type, 1);
    sgn_sink_uint(&sink, frame->flags, 2);
    sgn_sink_uint(&sink, 0, 2);
    sgn_sink_uint(&sink, frame->request, 4);
    sgn_sink_uint(&sink, frame->epoch, 4);
    sgn_sink_uint(&sink, body.count, 4);
    sgn_sink_uint(&sink, frame_crc(raw, body), 4);
    SGN_ASSERT(sink.count == SGN_FRAME_HEADER_BYTES && !sink.full);
}

/* What is wrong with a type that was not agreed upon. */
static enum sgn_err refuse_type(uint32_t type, uint64_t types, struct sgn_why *why)
{
    if (sgn_msg_fields(type) == NULL) {
        sgn_why_set(why,
                    "a frame has type %u, which is no message of protocol version %u",
                    type,
                    SGN_FRAME_VERSION);
    } else if ((types & SGN_TYPES_HELLO) != 0) {
        sgn_why_set(
            why, "the first frame of a connection must be HELLO, not %s", sgn_msg_name(type));
    } else {
        sgn_why_set(why, "a %s message is not taken on this connection", sgn_msg_name(type));
    }
    return SGN_ERR_PROTOCOL;
}

enum sgn_err sgn_frame_decode(const uint8_t raw[SGN_FRAME_HEADER_BYTES],
                              uint64_t types,
                              struct sgn_frame *frame,
                              struct sgn_why *why)
{
    *frame = (struct sgn_frame){0};
    uint32_t magic = (uint32_t)sgn_get_uint(raw, 2);
    if (magic != SGN_FRAME_MAGIC) {
        sgn_why_set(why,
                    "what arrived is not a Signet frame (it begins with bytes %02x %02x)",
                    raw[0],
                    raw[1]);
        return SGN_ERR_PROTOCOL;
    }
    if (raw[2] != SGN_FRAME_VERSION) {
        sgn_why_set(why,
                    "the other side speaks protocol version %u, this one speaks %u",
                    raw[2],
                    SGN_FRAME_VERSION);
        return SGN_ERR_VERSION;
    }
    frame->type = raw[3];
    frame->flags = (uint32_t)sgn_get_uint(raw + 4, 2);
    frame->request = (uint32_t)sgn_get_uint(raw + 8, 4);
    frame->epoch = (uint32_t)sgn_get_uint(raw + 12, 4);
    frame->body_bytes = (uint32_t)sgn_get_uint(raw + 16, 4);
    frame->crc = (uint32_t)sgn_get_uint(raw + CRC_AT, 4);

    uint32_t zero = (uint32_t)sgn_get_uint(raw + 6, 2);
    if ((frame->flags & ~SGN_FRAME_FORWARDED) != 0 || zero != 0) {
        sgn_why_set(why,
                    "a frame header has flags 0x%04x and reserved 0x%04x, which mean nothing",
                    frame->flags,
                    zero);
        return SGN_ERR_PROTOCOL;
    }
    if (frame->type >= 64 || (types & SGN_TYPE_BIT(frame->type)) == 0) {
        return refuse_type(frame->type, types, why);
    }
    uint32_t most = sgn_frame_body_bytes_max(frame->type);
    if (frame->body_bytes > most) {
        sgn_why_set(why,
                    "a %s message announces %u bytes, more than the %u it may have",
                    sgn_msg_name(frame->type),
                    frame->body_bytes,
                    most);
        return SGN_ERR_TOO_LARGE;
    }
    return SGN_OK;
}

enum sgn_err sgn_frame_verify(const uint8_t raw[SGN_FRAME_HEADER_BYTES],
                              struct sgn_bytes body,
                              struct sgn_why *why)
{
    uint32_t sent = (uint32_t)sgn_get_uint(raw + CRC_AT, 4);
    uint32_t found = frame_crc(raw, body);
    if (sent != found) {
        sgn_why_set(why,
                    "a frame was damaged on its way: its CRC is %08x, its bytes give %08x",
                    sent,
                    found);
        return SGN_ERR_PROTOCOL;
    }
    return SGN_OK;
}
