#include "ring/net/msg_codec.h"

#include <msgpack.h>
#include <stdlib.h>

#include "ring/core/check.h"
#include "ring/net/skip.h"

#define HEAD_BYTES_MAX 9u /* What msgpack puts before a field's bytes, or a whole number. */
/* More than msgpack makes of SGN_SKIP_ITEMS_MAX items, so that a decoder allocates once in its
 * life. */
#define ZONE_BYTES 8192u

_Static_assert(SGN_SKIP_ITEMS_MAX * sizeof(msgpack_object) + 512 <= ZONE_BYTES,
               "whatever passes the skipper fits the zone");

struct sgn_msg_decoder {
    msgpack_zone zone;
};

enum field_kind { FIELD_NONE, FIELD_STR, FIELD_BIN, FIELD_ID, FIELD_I32, FIELD_U32, FIELD_U64 };

struct field {
    enum field_kind kind;
    size_t offset; /* In struct sgn_msg. */
    const char *name;
};

#define FIELD(kind_, member)                                                                       \
    {                                                                                              \
        .kind = kind_, .offset = offsetof(struct sgn_msg, member), .name = #member                 \
    }

static const struct field FIELDS[128] = {
    ['B'] = FIELD(FIELD_STR, bucket),
    ['K'] = FIELD(FIELD_BIN, key),
    ['V'] = FIELD(FIELD_BIN, value),
    ['C'] = FIELD(FIELD_BIN, context),
    ['I'] = FIELD(FIELD_BIN, items),
    ['A'] = FIELD(FIELD_BIN, after),
    ['T'] = FIELD(FIELD_STR, text),
    ['i'] = FIELD(FIELD_ID, id),
    ['e'] = FIELD(FIELD_I32, err),
    ['N'] = FIELD(FIELD_U32, node),
    ['f'] = FIELD(FIELD_U32, flags),
    ['n'] = FIELD(FIELD_U32, n),
    ['s'] = FIELD(FIELD_U64, stamp),
    ['a'] = FIELD(FIELD_U64, a),
    ['b'] = FIELD(FIELD_U64, b),
    ['c'] = FIELD(FIELD_U64, c),
    ['d'] = FIELD(FIELD_U64, d),
};

static const struct field *field_of(char letter)
{
    const struct field *field = &FIELDS[(uint8_t)letter & 0x7f];
    SGN_ASSERT(field->kind != FIELD_NONE); /* ring/core/msg.h and this table are of one program. */
    return field;
}

static const void *member_of(const struct sgn_msg *msg, const struct field *field)
{
    return (const uint8_t *)msg + field->offset;
}

/* -- Encoding -- */

static struct sgn_bytes bytes_of(const struct sgn_msg *msg, const struct field *field)
{
    struct sgn_bytes bytes;
    memcpy(&bytes, member_of(msg, field), sizeof(bytes));
    return bytes;
}

static bool is_bytes(enum field_kind kind)
{
    return kind == FIELD_STR || kind == FIELD_BIN;
}

size_t sgn_msg_frame_bytes_max(const struct sgn_msg *msg)
{
    const char *letters = sgn_msg_fields(msg->type);
    size_t bytes = SGN_FRAME_HEADER_BYTES + HEAD_BYTES_MAX;
    for (; letters != NULL && *letters != '\0'; letters++) {
        const struct field *field = field_of(*letters);
        bytes += HEAD_BYTES_MAX;
        if (is_bytes(field->kind)) {
            bytes += bytes_of(msg, field).count;
        } else if (field->kind == FIELD_ID) {
            bytes += SGN_REQUEST_ID_BYTES;
        }
    }
    return bytes;
}

static int write_to_sink(void *data, const char *ptr, size_t count)
{
    struct sgn_sink *sink = data;
    sgn_sink_put(sink, ptr, count);
    return sink->full ? -1 : 0;
}

/* Whether it fit is in the sink's `full`; the packer's own result says the same. */
static void pack_bin(msgpack_packer *packer, const void *ptr, size_t count)
{
    (void)msgpack_pack_bin(packer, count);
    (void)msgpack_pack_bin_body(packer, ptr, count);
}

static void pack_field(msgpack_packer *packer, const struct sgn_msg *msg, const struct field *field)
{
    const void *member = member_of(msg, field);
    switch (field->kind) {
    case FIELD_STR: {
        struct sgn_bytes bytes = bytes_of(msg, field);
        (void)msgpack_pack_str(packer, bytes.count);
        (void)msgpack_pack_str_body(packer, bytes.ptr, bytes.count);
        break;
    }
    case FIELD_BIN: {
        struct sgn_bytes bytes = bytes_of(msg, field);
        pack_bin(packer, bytes.ptr, bytes.count);
        break;
    }
    case FIELD_ID: pack_bin(packer, member, SGN_REQUEST_ID_BYTES); break;
    case FIELD_I32: (void)msgpack_pack_int32(packer, *(const int32_t *)member); break;
    case FIELD_U32: (void)msgpack_pack_uint32(packer, *(const uint32_t *)member); break;
    case FIELD_U64: (void)msgpack_pack_uint64(packer, *(const uint64_t *)member); break;
    case FIELD_NONE: SGN_ASSERT(field->kind != FIELD_NONE); break;
    }
}

static enum sgn_err check_sizes(const struct sgn_msg *msg, const char *letters, struct sgn_why *why)
{
    for (; *letters != '\0'; letters++) {
        const struct field *field = field_of(*letters);
        size_t most = sgn_msg_field_bytes_max(*letters);
        if (is_bytes(field->kind) && bytes_of(msg, field).count > most) {
            sgn_why_set(why,
                        "%s: %s has %zu bytes, the most is %zu",
                        sgn_msg_name(msg->type),
                        field->name,
                        bytes_of(msg, field).count,
                        most);
            return SGN_ERR_TOO_LARGE;
        }
    }
    return SGN_OK;
}

enum sgn_err sgn_msg_encode(const struct sgn_msg *msg, struct sgn_sink *sink, struct sgn_why *why)
{
    static const uint8_t NO_HEADER_YET[SGN_FRAME_HEADER_BYTES];
    SGN_ASSERT(!sink->full);

    const char *letters = sgn_msg_fields(msg->type);
    if (letters == NULL || msg->type > UINT8_MAX) {
        sgn_why_set(why, "%u is no type of a message", (unsigned)msg->type);
        return SGN_ERR_INVALID;
    }
    enum sgn_err err = check_sizes(msg, letters, why);
    if (err != SGN_OK) {
        return err;
    }
    size_t begin = sink->count;
    sgn_sink_put(sink, NO_HEADER_YET, sizeof(NO_HEADER_YET));

    msgpack_packer packer;
    msgpack_packer_init(&packer, sink, write_to_sink);
    (void)msgpack_pack_array(&packer, strlen(letters));
    for (; *letters != '\0'; letters++) {
        pack_field(&packer, msg, field_of(*letters));
    }
    size_t body_bytes = sink->count - begin - (sink->full ? 0 : SGN_FRAME_HEADER_BYTES);
    if (sink->full || body_bytes > SGN_FRAME_BODY_BYTES_MAX) {
        sgn_why_set(why,
                    "%s: the message is larger than a frame or the room for it",
                    sgn_msg_name(msg->type));
        sink->count = begin;
        sink->full = false;
        return SGN_ERR_TOO_LARGE;
    }
    struct sgn_frame frame = {
        .type = (uint32_t)msg->type,
        .flags = msg->forwarded ? SGN_FRAME_FORWARDED : 0,
        .request = msg->request,
        .epoch = msg->epoch,
    };
    uint8_t *raw = sink->ptr + begin;
    sgn_frame_encode(&frame, sgn_bytes_of(raw + SGN_FRAME_HEADER_BYTES, body_bytes), raw);
    return SGN_OK;
}

/* -- Decoding -- */

struct sgn_msg_decoder *sgn_msg_decoder_create(void)
{
    struct sgn_msg_decoder *decoder = malloc(sizeof(*decoder));
    if (decoder != NULL && !msgpack_zone_init(&decoder->zone, ZONE_BYTES)) {
        free(decoder);
        return NULL;
    }
    return decoder;
}

void sgn_msg_decoder_destroy(struct sgn_msg_decoder *decoder)
{
    if (decoder != NULL) {
        msgpack_zone_destroy(&decoder->zone);
        free(decoder);
    }
}

/* A str or bin, whichever it was sent as. */
static bool take_bytes(const msgpack_object *object, struct sgn_bytes *bytes)
{
    if (object->type == MSGPACK_OBJECT_BIN) {
        *bytes = sgn_bytes_of(object->via.bin.ptr, object->via.bin.size);
        return true;
    }
    if (object->type == MSGPACK_OBJECT_STR) {
        *bytes = sgn_bytes_of(object->via.str.ptr, object->via.str.size);
        return true;
    }
    return false;
}

/* A number of the field's width; false if it is none or does not fit. */
static bool take_number(const msgpack_object *object, enum field_kind kind, void *member)
{
    if (kind == FIELD_I32) {
        bool positive = object->type == MSGPACK_OBJECT_POSITIVE_INTEGER;
        if ((!positive && object->type != MSGPACK_OBJECT_NEGATIVE_INTEGER) ||
            (positive && object->via.u64 > INT32_MAX) ||
            (!positive && object->via.i64 < INT32_MIN)) {
            return false;
        }
        *(int32_t *)member = (int32_t)object->via.i64;
        return true;
    }
    if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
        (kind == FIELD_U32 && object->via.u64 > UINT32_MAX)) {
        return false;
    }
    if (kind == FIELD_U32) {
        *(uint32_t *)member = (uint32_t)object->via.u64;
    } else {
        *(uint64_t *)member = object->via.u64;
    }
    return true;
}

static enum sgn_err refuse_field(const struct sgn_msg *msg,
                                 const struct field *field,
                                 const char *what,
                                 struct sgn_why *why)
{
    sgn_why_set(why, "%s: %s %s", sgn_msg_name(msg->type), field->name, what);
    return SGN_ERR_PROTOCOL;
}

static enum sgn_err take_field(const msgpack_object *object,
                               char letter,
                               struct sgn_msg *msg,
                               struct sgn_why *why)
{
    const struct field *field = field_of(letter);
    uint8_t *member = (uint8_t *)msg + field->offset;
    if (object->type == MSGPACK_OBJECT_NIL) {
        return SGN_OK; /* Not given: stays 0 or empty. */
    }
    if (!is_bytes(field->kind) && field->kind != FIELD_ID) {
        bool fits = take_number(object, field->kind, member);
        return fits ? SGN_OK : refuse_field(msg, field, "is not a number of its width", why);
    }
    struct sgn_bytes bytes;
    if (!take_bytes(object, &bytes)) {
        return refuse_field(msg, field, "is not a string of bytes", why);
    }
    if (field->kind == FIELD_ID) {
        if (bytes.count != SGN_REQUEST_ID_BYTES) {
            return refuse_field(msg, field, "does not have 16 bytes", why);
        }
        memcpy(member, bytes.ptr, SGN_REQUEST_ID_BYTES);
        return SGN_OK;
    }
    size_t most = sgn_msg_field_bytes_max(letter);
    if (bytes.count > most) {
        sgn_why_set(why,
                    "%s: %s has %zu bytes, the most is %zu",
                    sgn_msg_name(msg->type),
                    field->name,
                    bytes.count,
                    most);
        return SGN_ERR_TOO_LARGE;
    }
    memcpy(member, &bytes, sizeof(bytes));
    return SGN_OK;
}

static enum sgn_err take_fields(const msgpack_object *body,
                                const char *letters,
                                struct sgn_msg *msg,
                                struct sgn_why *why)
{
    SGN_ASSERT(body->type == MSGPACK_OBJECT_ARRAY); /* The skipper let nothing else pass. */
    SGN_ASSERT(body->via.array.size <= SGN_MSG_FIELDS_MAX);
    enum sgn_err err = SGN_OK;
    for (uint32_t i = 0; err == SGN_OK && i < body->via.array.size && letters[i] != '\0'; i++) {
        err = take_field(&body->via.array.ptr[i], letters[i], msg, why);
    }
    return err;
}

enum sgn_err sgn_msg_decode(struct sgn_msg_decoder *decoder,
                            const struct sgn_frame *frame,
                            struct sgn_bytes body,
                            struct sgn_msg *msg,
                            struct sgn_why *why)
{
    const char *letters = sgn_msg_fields(frame->type);
    SGN_ASSERT(letters != NULL); /* sgn_frame_decode refuses types it does not know. */
    *msg = (struct sgn_msg){
        .type = (enum sgn_msg_type)frame->type,
        .request = frame->request,
        .epoch = frame->epoch,
        .forwarded = (frame->flags & SGN_FRAME_FORWARDED) != 0,
    };
    enum sgn_err err = sgn_skip_check(body, why);
    if (err != SGN_OK) {
        return err;
    }
    /* The call with a zone of ours: the newer one makes and frees a zone for every message. */
    msgpack_object object;
    size_t offset = 0;
    msgpack_unpack_return got =
        msgpack_unpack(body.ptr, body.count, &offset, &decoder->zone, &object);
    if (got == MSGPACK_UNPACK_SUCCESS && offset == body.count) {
        err = take_fields(&object, letters, msg, why);
    } else if (got == MSGPACK_UNPACK_NOMEM_ERROR) {
        sgn_why_set(why, "%s: no memory to read it", sgn_msg_name(frame->type));
        err = SGN_ERR_NOMEM;
    } else {
        sgn_why_set(why, "%s: its body is not valid msgpack", sgn_msg_name(frame->type));
        err = SGN_ERR_PROTOCOL;
    }
    msgpack_zone_clear(&decoder->zone);
    return err;
}

enum sgn_err sgn_msg_read(struct sgn_msg_decoder *decoder,
                          struct sgn_bytes bytes,
                          uint64_t types,
                          struct sgn_msg *msg,
                          size_t *used,
                          struct sgn_why *why)
{
    *used = 0;
    if (bytes.count < SGN_FRAME_HEADER_BYTES) {
        return SGN_OK;
    }
    const uint8_t *raw = bytes.ptr;
    struct sgn_frame frame;
    enum sgn_err err = sgn_frame_decode(raw, types, &frame, why);
    if (err != SGN_OK || bytes.count - SGN_FRAME_HEADER_BYTES < frame.body_bytes) {
        msg->request = frame.request; /* So that a refusal can carry it. */
        return err;
    }
    struct sgn_bytes body = sgn_bytes_of(raw + SGN_FRAME_HEADER_BYTES, frame.body_bytes);
    err = sgn_frame_verify(raw, body, why);
    if (err == SGN_OK) {
        err = sgn_msg_decode(decoder, &frame, body, msg, why);
    }
    msg->request = frame.request;
    *used = err == SGN_OK ? SGN_FRAME_HEADER_BYTES + frame.body_bytes : 0;
    return err;
}
