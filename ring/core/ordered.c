/* ring/core/ordered.c - ordered records and versions as bytes. */
#include "ring/core/ordered.h"

#include "ring/core/check.h"
#include "ring/core/key.h"
#include "ring/core/limits.h"

#define RECORD_FORMAT    2u
#define HEAD_BYTES       (4u + SGN_BALLOT_BYTES + SGN_VERSION_BYTES + 8u + 4u)
#define VARINT_BYTES_MAX 10u

/* How an op tells its version, in bits 2 and 3 of its tag; the verdict is in bits 0 and 1. "Before"
 * is the version of the nearest newer op that has one, or the record's. Of the forms that fit, the
 * first is the one to write, so equal records have equal bytes. */
enum version_form {
    FORM_NONE = 0, /* VOID has no version. */
    FORM_SAME = 1, /* As before. */
    FORM_NEXT = 2, /* One rev and one step below: a chain of writes (3.2). */
    FORM_FULL = 3, /* varint revs below; if that is not rev 0: varint hlc below, varint node, varint
                      incarnation, varint step. */
};
#define TAG_FORM_SHIFT 2u

/* Tag, id, stamp, revs, hlc, three parts of a ballot. */
#define OP_BYTES_MAX  (1u + SGN_REQUEST_ID_BYTES + 6u * VARINT_BYTES_MAX)
#define OPS_BYTES_MAX (SGN_ORDERED_OPS_MAX * OP_BYTES_MAX)

_Static_assert(SGN_VALUE_BYTES_MAX + HEAD_BYTES + OPS_BYTES_MAX <= SGN_RECORD_BYTES_MAX,
               "every message and store slot that takes a record takes an ordered one");

static const struct sgn_version version_zero;

void sgn_ballot_put(struct sgn_sink *sink, const struct sgn_ballot *ballot)
{
    sgn_sink_uint(sink, ballot->hlc, 8);
    sgn_sink_uint(sink, ballot->node, 4);
    sgn_sink_uint(sink, ballot->incarnation, 4);
    sgn_sink_uint(sink, ballot->step, 4);
}

struct sgn_ballot sgn_ballot_take(struct sgn_cursor *cursor)
{
    struct sgn_ballot ballot;
    ballot.hlc = sgn_cursor_uint(cursor, 8);
    ballot.node = (uint32_t)sgn_cursor_uint(cursor, 4);
    ballot.incarnation = (uint32_t)sgn_cursor_uint(cursor, 4);
    ballot.step = (uint32_t)sgn_cursor_uint(cursor, 4);
    return ballot;
}

void sgn_version_put(struct sgn_sink *sink, const struct sgn_version *version)
{
    sgn_sink_uint(sink, version->rev, 8);
    sgn_ballot_put(sink, &version->origin);
}

/* Rev 0 and only rev 0 has no origin. */
static bool version_is_good(const struct sgn_version *version)
{
    return version->rev <= SGN_REV_MAX &&
           (version->rev == 0) == sgn_ballot_is_zero(&version->origin);
}

static struct sgn_version take_version(struct sgn_cursor *cursor)
{
    struct sgn_version version;
    version.rev = sgn_cursor_uint(cursor, 8);
    version.origin = sgn_ballot_take(cursor);
    return version;
}

enum sgn_err sgn_version_take(struct sgn_bytes bytes, struct sgn_version *version)
{
    struct sgn_cursor cursor = sgn_cursor_of(bytes);
    *version = take_version(&cursor);
    if (cursor.bad || cursor.left != 0 || !version_is_good(version)) {
        *version = version_zero;
        return SGN_ERR_INVALID;
    }
    return SGN_OK;
}

bool sgn_version_equal(const struct sgn_version *a, const struct sgn_version *b)
{
    return a->rev == b->rev && sgn_ballot_compare(&a->origin, &b->origin) == 0;
}

void sgn_ordered_init(struct sgn_ordered *record)
{
    memset(record, 0, sizeof(*record));
    record->kind = SGN_ORDERED_TOMBSTONE;
}

/* Nothing is known of the key, not even a round: it has no bytes. */
static bool is_blank(const struct sgn_ordered *record)
{
    return sgn_ballot_is_zero(&record->ballot) && record->version.rev == 0 &&
           record->op_count == 0 && record->ops_floor == 0;
}

/* Seven bits a byte, low ones first; the top bit says that more follow. */
static void put_varint(struct sgn_sink *sink, uint64_t value)
{
    while (value >= 0x80) {
        sgn_sink_uint(sink, (value & 0x7f) | 0x80, 1);
        value >>= 7;
    }
    sgn_sink_uint(sink, value, 1);
}

/* Only the shortest form of a number up to `most` is taken. */
static uint64_t take_varint(struct sgn_cursor *cursor, uint64_t most)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < VARINT_BYTES_MAX; i++) {
        uint64_t byte = sgn_cursor_uint(cursor, 1);
        if (i == VARINT_BYTES_MAX - 1 && byte > 1) {
            break; /* More than 64 bits. */
        }
        value |= (byte & 0x7f) << (7 * i);
        if ((byte & 0x80) == 0) {
            if ((byte == 0 && i > 0) || value > most) {
                break;
            }
            return value;
        }
    }
    cursor->bad = true;
    return 0;
}

/* A difference of either sign as a small number: 0, -1, 1, -2 ... */
static uint64_t fold_sign(uint64_t difference)
{
    return (difference << 1) ^ (UINT64_C(0) - (difference >> 63));
}

static uint64_t unfold_sign(uint64_t folded)
{
    return (folded >> 1) ^ (UINT64_C(0) - (folded & 1));
}

/* `before` one rev and one step lower. False when there is no such version. */
static bool version_below(const struct sgn_version *before, struct sgn_version *below)
{
    *below = *before;
    if (before->rev < 2 || before->origin.step == 0) {
        return false;
    }
    below->rev--;
    below->origin.step--;
    return !sgn_ballot_is_zero(&below->origin);
}

static enum version_form form_of(const struct sgn_version *before, const struct sgn_op_id *op)
{
    struct sgn_version below;
    if (op->verdict == SGN_VERDICT_VOID) {
        return FORM_NONE;
    }
    if (sgn_version_equal(before, &op->version)) {
        return FORM_SAME;
    }
    bool next = version_below(before, &below) && sgn_version_equal(&below, &op->version);
    return next ? FORM_NEXT : FORM_FULL;
}

static void put_full_version(struct sgn_sink *sink,
                             const struct sgn_version *before,
                             const struct sgn_version *version)
{
    SGN_ASSERT(version->rev < before->rev);
    put_varint(sink, before->rev - version->rev);
    if (version->rev == 0) {
        return;
    }
    SGN_ASSERT(version->origin.hlc <= before->origin.hlc);
    put_varint(sink, before->origin.hlc - version->origin.hlc);
    put_varint(sink, version->origin.node);
    put_varint(sink, version->origin.incarnation);
    put_varint(sink, version->origin.step);
}

static void put_ops(const struct sgn_ordered *record, struct sgn_sink *sink)
{
    const struct sgn_version *before = &record->version;
    uint64_t stamp = record->ballot.hlc;
    for (uint32_t i = 0; i < record->op_count; i++) {
        const struct sgn_op_id *op = &record->ops[i];
        enum version_form form = form_of(before, op);
        sgn_sink_uint(sink, (uint64_t)op->verdict | (uint64_t)form << TAG_FORM_SHIFT, 1);
        sgn_sink_put(sink, op->id.bytes, SGN_REQUEST_ID_BYTES);
        put_varint(sink, fold_sign(op->stamp - stamp));
        stamp = op->stamp;
        if (form == FORM_FULL) {
            put_full_version(sink, before, &op->version);
        }
        before = form == FORM_NONE ? before : &op->version;
    }
}

static void take_full_version(struct sgn_cursor *cursor,
                              const struct sgn_version *before,
                              struct sgn_version *version)
{
    *version = version_zero;
    uint64_t below = take_varint(cursor, before->rev);
    if (below == 0 || cursor->bad || below == before->rev) {
        cursor->bad = cursor->bad || below == 0;
        return;
    }
    version->rev = before->rev - below;
    version->origin.hlc = before->origin.hlc - take_varint(cursor, before->origin.hlc);
    version->origin.node = (uint32_t)take_varint(cursor, UINT32_MAX);
    version->origin.incarnation = (uint32_t)take_varint(cursor, UINT32_MAX);
    version->origin.step = (uint32_t)take_varint(cursor, UINT32_MAX);
    /* A later rev was made on an earlier one, at a higher ballot. */
    cursor->bad = cursor->bad || sgn_ballot_is_zero(&version->origin) ||
                  sgn_ballot_compare(&version->origin, &before->origin) >= 0;
}

static bool take_op(struct sgn_cursor *cursor,
                    const struct sgn_version *before,
                    uint64_t stamp,
                    struct sgn_op_id *op)
{
    static const struct sgn_request_id none;
    uint32_t tag = (uint32_t)sgn_cursor_uint(cursor, 1);
    struct sgn_bytes id = sgn_cursor_take(cursor, SGN_REQUEST_ID_BYTES);
    op->stamp = stamp + unfold_sign(take_varint(cursor, UINT64_MAX));
    uint32_t verdict = tag & ((1u << TAG_FORM_SHIFT) - 1);
    uint32_t form = tag >> TAG_FORM_SHIFT;
    if (cursor->bad || verdict == 0 || op->stamp == 0 ||
        memcmp(id.ptr, none.bytes, sizeof(none.bytes)) == 0) {
        return false;
    }
    memcpy(op->id.bytes, id.ptr, SGN_REQUEST_ID_BYTES);
    op->verdict = (enum sgn_verdict)verdict;
    op->version = form == FORM_SAME ? *before : version_zero;
    if (form == FORM_NEXT && !version_below(before, &op->version)) {
        return false;
    }
    if (form == FORM_FULL) {
        take_full_version(cursor, before, &op->version);
    }
    return !cursor->bad && form == (uint32_t)form_of(before, op);
}

static bool take_ops(struct sgn_cursor *cursor, uint32_t count, struct sgn_ordered *record)
{
    if (count > SGN_ORDERED_OPS_MAX) {
        return false;
    }
    const struct sgn_version *before = &record->version;
    uint64_t stamp = record->ballot.hlc;
    for (uint32_t i = 0; i < count; i++) {
        struct sgn_op_id *op = &record->ops[i];
        if (!take_op(cursor, before, stamp, op)) {
            return false;
        }
        for (uint32_t j = 0; j < i; j++) {
            if (memcmp(&record->ops[j].id, &op->id, sizeof(op->id)) == 0) {
                return false;
            }
        }
        stamp = op->stamp;
        before = op->verdict == SGN_VERDICT_VOID ? before : &op->version;
    }
    record->op_count = count;
    return true;
}

/* What holds between the fields of every record, whoever made it. */
static bool record_is_good(const struct sgn_ordered *record)
{
    if (!version_is_good(&record->version) ||
        sgn_ballot_compare(&record->version.origin, &record->ballot) > 0 ||
        record->body_bytes > SGN_VALUE_BYTES_MAX || record->op_count > SGN_ORDERED_OPS_MAX) {
        return false;
    }
    if (record->version.rev == 0 && record->kind != SGN_ORDERED_TOMBSTONE) {
        return false;
    }
    if (record->kind == SGN_ORDERED_TOMBSTONE && record->body_bytes != 0) {
        return false;
    }
    /* Without a round nothing is remembered. */
    return !sgn_ballot_is_zero(&record->ballot) || record->op_count == 0;
}

enum sgn_err sgn_ordered_decode(struct sgn_bytes bytes, bool with_body, struct sgn_ordered *record)
{
    sgn_ordered_init(record);
    if (bytes.count == 0) {
        return SGN_OK;
    }
    struct sgn_cursor cursor = sgn_cursor_of(bytes);
    uint32_t format = (uint32_t)sgn_cursor_uint(&cursor, 1);
    uint32_t kind = (uint32_t)sgn_cursor_uint(&cursor, 1);
    uint32_t op_count = (uint32_t)sgn_cursor_uint(&cursor, 1);
    uint32_t zero = (uint32_t)sgn_cursor_uint(&cursor, 1);
    record->ballot = sgn_ballot_take(&cursor);
    record->version = take_version(&cursor);
    record->ops_floor = sgn_cursor_uint(&cursor, 8);
    record->body_bytes = (uint32_t)sgn_cursor_uint(&cursor, 4);
    bool good = !cursor.bad && format == RECORD_FORMAT && zero == 0 && kind >= SGN_ORDERED_VALUE &&
                kind <= SGN_ORDERED_TOMBSTONE;
    record->kind = good ? (enum sgn_ordered_kind)kind : SGN_ORDERED_TOMBSTONE;
    good = good && version_is_good(&record->version) && take_ops(&cursor, op_count, record) &&
           record_is_good(record) && !is_blank(record);
    if (good && with_body) {
        record->body = sgn_cursor_take(&cursor, record->body_bytes);
    }
    if (!good || cursor.bad || cursor.left != 0) {
        sgn_ordered_init(record);
        return SGN_ERR_CORRUPT;
    }
    return SGN_OK;
}

void sgn_ordered_encode(const struct sgn_ordered *record, bool with_body, struct sgn_sink *sink)
{
    SGN_ASSERT(record_is_good(record));
    if (is_blank(record)) {
        return;
    }
    sgn_sink_uint(sink, RECORD_FORMAT, 1);
    sgn_sink_uint(sink, (uint64_t)record->kind, 1);
    sgn_sink_uint(sink, record->op_count, 1);
    sgn_sink_uint(sink, 0, 1);
    sgn_ballot_put(sink, &record->ballot);
    sgn_version_put(sink, &record->version);
    sgn_sink_uint(sink, record->ops_floor, 8);
    sgn_sink_uint(sink, record->body_bytes, 4);
    put_ops(record, sink);
    if (with_body) {
        SGN_ASSERT(record->body.count == record->body_bytes);
        sgn_sink_put(sink, record->body.ptr, record->body.count);
    }
}

size_t sgn_ordered_bytes(const struct sgn_ordered *record, bool with_body)
{
    if (is_blank(record)) {
        return 0;
    }
    uint8_t ops[OPS_BYTES_MAX];
    struct sgn_sink sink = sgn_sink_of(ops, sizeof(ops));
    put_ops(record, &sink);
    SGN_ASSERT(!sink.full);
    return HEAD_BYTES + sink.count + (with_body ? record->body_bytes : 0);
}

struct sgn_ballot sgn_ordered_ballot(struct sgn_bytes bytes)
{
    struct sgn_cursor cursor = sgn_cursor_of(bytes);
    uint32_t format = (uint32_t)sgn_cursor_uint(&cursor, 1);
    (void)sgn_cursor_take(&cursor, 3);
    struct sgn_ballot ballot = sgn_ballot_take(&cursor);
    bool good = format == RECORD_FORMAT && bytes.count >= HEAD_BYTES;
    return good ? ballot : (struct sgn_ballot){.hlc = 0};
}

uint64_t sgn_ordered_digest(const struct sgn_ordered *record)
{
    if (sgn_ballot_is_zero(&record->ballot)) {
        return 0;
    }
    uint8_t raw[SGN_BALLOT_BYTES];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    sgn_ballot_put(&sink, &record->ballot);
    uint64_t digest = sgn_hash(sgn_sink_bytes(&sink));
    return digest == 0 ? 1 : digest; /* 0 stands for "never accepted". */
}
