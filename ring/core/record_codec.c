/* ring/core/record_codec.c - records and contexts as bytes. */
#include "ring/core/check.h"
#include "ring/core/key.h"
#include "ring/core/record.h"

#define RECORD_FORMAT      1u
#define CONTEXT_FORMAT     1u
#define HEAD_BYTES         4u
#define VECTOR_ENTRY_BYTES 16u
#define SIBLING_BYTES      44u
#define HEAD_BYTES_MAX                                                                             \
    (HEAD_BYTES + SGN_ACTORS_MAX * VECTOR_ENTRY_BYTES + SGN_SIBLINGS_MAX * SIBLING_BYTES)

static void put_dot(struct sgn_sink *sink, const struct sgn_dot *dot)
{
    sgn_sink_uint(sink, dot->actor.node, 4);
    sgn_sink_uint(sink, dot->actor.generation, 4);
    sgn_sink_uint(sink, dot->counter, 8);
}

static struct sgn_dot take_dot(struct sgn_cursor *cursor)
{
    struct sgn_dot dot;
    dot.actor.node = (uint32_t)sgn_cursor_uint(cursor, 4);
    dot.actor.generation = (uint32_t)sgn_cursor_uint(cursor, 4);
    dot.counter = sgn_cursor_uint(cursor, 8);
    return dot;
}

/* Order of two dots by actor alone, then by counter. */
static int dot_order(const struct sgn_dot *a, const struct sgn_dot *b, bool with_counter)
{
    if (a->actor.node != b->actor.node) {
        return a->actor.node < b->actor.node ? -1 : 1;
    }
    if (a->actor.generation != b->actor.generation) {
        return a->actor.generation < b->actor.generation ? -1 : 1;
    }
    return with_counter ? (a->counter > b->counter) - (a->counter < b->counter) : 0;
}

/* Entries sorted by actor, none twice, node and counter not 0. */
static bool take_vector(struct sgn_cursor *cursor, uint32_t count, struct sgn_vector *vector)
{
    if (count > SGN_ACTORS_MAX) {
        return false;
    }
    vector->count = count;
    for (uint32_t i = 0; i < count; i++) {
        vector->entries[i] = take_dot(cursor);
        if (vector->entries[i].actor.node == 0 || vector->entries[i].counter == 0 ||
            (i > 0 && dot_order(&vector->entries[i - 1], &vector->entries[i], false) >= 0)) {
            return false;
        }
    }
    return !cursor->bad;
}

static bool covered(const struct sgn_vector *vector, const struct sgn_dot *dot)
{
    for (uint32_t i = 0; i < vector->count; i++) {
        if (dot_order(&vector->entries[i], dot, false) == 0) {
            return vector->entries[i].counter >= dot->counter;
        }
    }
    return false;
}

/* Siblings sorted by dot, none twice, each covered by the vector. */
static bool take_siblings(struct sgn_cursor *cursor, uint32_t count, struct sgn_record *record)
{
    if (count > SGN_SIBLINGS_MAX) {
        return false;
    }
    record->sibling_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct sgn_sibling *sibling = &record->siblings[i];
        sibling->dot = take_dot(cursor);
        sibling->hlc = sgn_cursor_uint(cursor, 8);
        struct sgn_bytes id = sgn_cursor_take(cursor, SGN_REQUEST_ID_BYTES);
        sibling->body_bytes = (uint32_t)sgn_cursor_uint(cursor, 4);
        sibling->body = sgn_bytes_of(NULL, 0);
        if (cursor->bad || sibling->dot.counter == 0 || !covered(&record->vector, &sibling->dot) ||
            sibling->body_bytes > SGN_VALUE_BYTES_MAX ||
            (i > 0 && dot_order(&record->siblings[i - 1].dot, &sibling->dot, true) >= 0)) {
            return false;
        }
        memcpy(sibling->request_id.bytes, id.ptr, SGN_REQUEST_ID_BYTES);
    }
    return true;
}

enum sgn_err sgn_record_decode(struct sgn_bytes bytes,
                               enum sgn_record_bodies with_bodies,
                               struct sgn_record *record)
{
    sgn_record_init(record);
    if (bytes.count == 0) {
        return SGN_OK;
    }
    struct sgn_cursor cursor = sgn_cursor_of(bytes);
    uint32_t format = (uint32_t)sgn_cursor_uint(&cursor, 1);
    uint32_t vector_count = (uint32_t)sgn_cursor_uint(&cursor, 1);
    uint32_t sibling_count = (uint32_t)sgn_cursor_uint(&cursor, 1);
    uint32_t zero = (uint32_t)sgn_cursor_uint(&cursor, 1);
    bool good = !cursor.bad && format == RECORD_FORMAT && zero == 0 && vector_count > 0 &&
                take_vector(&cursor, vector_count, &record->vector) &&
                take_siblings(&cursor, sibling_count, record);
    /* With bodies, all of them together are within one value, or two records could never merge. */
    good = good && (with_bodies == SGN_RECORD_DIGEST_ONLY || cursor.left <= SGN_VALUE_BYTES_MAX);
    for (uint32_t i = 0; good && with_bodies == SGN_RECORD_WITH_BODIES && i < sibling_count; i++) {
        record->siblings[i].body = sgn_cursor_take(&cursor, record->siblings[i].body_bytes);
    }
    if (!good || cursor.bad || cursor.left != 0) {
        sgn_record_init(record);
        return SGN_ERR_CORRUPT;
    }
    return SGN_OK;
}

static void put_head(const struct sgn_record *record, struct sgn_sink *sink)
{
    sgn_sink_uint(sink, RECORD_FORMAT, 1);
    sgn_sink_uint(sink, record->vector.count, 1);
    sgn_sink_uint(sink, record->sibling_count, 1);
    sgn_sink_uint(sink, 0, 1);
    for (uint32_t i = 0; i < record->vector.count; i++) {
        put_dot(sink, &record->vector.entries[i]);
    }
    for (uint32_t i = 0; i < record->sibling_count; i++) {
        const struct sgn_sibling *sibling = &record->siblings[i];
        put_dot(sink, &sibling->dot);
        sgn_sink_uint(sink, sibling->hlc, 8);
        sgn_sink_put(sink, sibling->request_id.bytes, SGN_REQUEST_ID_BYTES);
        sgn_sink_uint(sink, sibling->body_bytes, 4);
    }
}

void sgn_record_encode(const struct sgn_record *record,
                       enum sgn_record_bodies with_bodies,
                       struct sgn_sink *sink)
{
    if (sgn_record_is_unwritten(record)) {
        return;
    }
    put_head(record, sink);
    for (uint32_t i = 0; with_bodies == SGN_RECORD_WITH_BODIES && i < record->sibling_count; i++) {
        SGN_ASSERT(record->siblings[i].body.count == record->siblings[i].body_bytes);
        sgn_sink_put(sink, record->siblings[i].body.ptr, record->siblings[i].body.count);
    }
}

size_t sgn_record_bytes(const struct sgn_record *record, enum sgn_record_bodies with_bodies)
{
    if (sgn_record_is_unwritten(record)) {
        return 0;
    }
    size_t bytes = HEAD_BYTES + (size_t)record->vector.count * VECTOR_ENTRY_BYTES +
                   (size_t)record->sibling_count * SIBLING_BYTES;
    for (uint32_t i = 0; with_bodies == SGN_RECORD_WITH_BODIES && i < record->sibling_count; i++) {
        bytes += record->siblings[i].body_bytes;
    }
    return bytes;
}

uint64_t sgn_record_digest(const struct sgn_record *record)
{
    if (sgn_record_is_unwritten(record)) {
        return 0;
    }
    uint8_t head[HEAD_BYTES_MAX];
    struct sgn_sink sink = sgn_sink_of(head, sizeof(head));
    put_head(record, &sink);
    SGN_ASSERT(!sink.full);
    uint64_t digest = sgn_hash(sgn_sink_bytes(&sink));
    return digest == 0 ? 1 : digest; /* 0 stands for "never written". */
}

void sgn_context_encode(const struct sgn_vector *vector, struct sgn_sink *sink)
{
    if (vector->count == 0) {
        return;
    }
    sgn_sink_uint(sink, CONTEXT_FORMAT, 1);
    for (uint32_t i = 0; i < vector->count; i++) {
        put_dot(sink, &vector->entries[i]);
    }
}

enum sgn_err sgn_context_decode(struct sgn_bytes bytes, struct sgn_vector *vector)
{
    vector->count = 0;
    if (bytes.count == 0) {
        return SGN_OK;
    }
    struct sgn_cursor cursor = sgn_cursor_of(bytes);
    uint32_t format = (uint32_t)sgn_cursor_uint(&cursor, 1);
    size_t count = cursor.left / VECTOR_ENTRY_BYTES;
    if (format != CONTEXT_FORMAT || count == 0 || count > SGN_ACTORS_MAX ||
        cursor.left % VECTOR_ENTRY_BYTES != 0 || !take_vector(&cursor, (uint32_t)count, vector)) {
        vector->count = 0;
        return SGN_ERR_INVALID;
    }
    return SGN_OK;
}
