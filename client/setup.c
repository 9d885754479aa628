/* client/setup.c - requests as their users set them up: an operation on keys, and its settings. */
#include <stdio.h>

#include "client/inner.h"

/* Two headers say the same numbers, each in its own words. */
/* NOLINTBEGIN(misc-redundant-expression) */
_Static_assert(SGN_LIMIT_KEY_BYTES == SGN_KEY_BYTES_MAX, "the public limits are the ring's");
_Static_assert(SGN_LIMIT_BUCKET_BYTES == SGN_BUCKET_BYTES_MAX, "the public limits are the ring's");
_Static_assert(SGN_LIMIT_VALUE_BYTES == SGN_VALUE_BYTES_MAX, "the public limits are the ring's");
/* NOLINTEND(misc-redundant-expression) */

bool sgn_setup_begin(struct sgn_request *request, enum sgn_op op)
{
    if (!sgn_request_is_mine(request)) {
        return false;
    }
    sgn_result_clear(request);
    request->op = op;
    request->setup_err = SGN_OK;
    request->mode = (enum sgn_read_mode)request->client->settings.read_mode;
    request->copies = 0;
    request->flags = 0;
    request->timeout_ms = 0;
    request->pinned = 0;
    request->limit = SGN_PAGE_ITEMS_MAX;
    request->bucket_bytes = 0;
    request->key_bytes = 0;
    request->context_bytes = 0;
    request->after_bytes = 0;
    request->value = sgn_bytes_of(NULL, 0);
    request->hash = 0;
    request->maybe_applied = false;
    request->tried_count = 0;
    request->failed_node = 0;
    request->last_err = SGN_OK;
    request->last_why[0] = '\0';
    return true;
}

void sgn_setup_refuse(struct sgn_request *request, int err, const char *why)
{
    if (request->setup_err == SGN_OK) {
        request->setup_err = err;
        snprintf(request->last_why, sizeof(request->last_why), "%s", why);
    }
}

void sgn_setup_bucket(struct sgn_request *request, struct sgn_bytes bucket)
{
    if (!sgn_bucket_name_valid(bucket)) {
        sgn_setup_refuse(
            request,
            SGN_ERR_INVALID,
            "a bucket name is 1..63 of a-z 0-9 . _ - and begins with a letter, digit or _");
        return;
    }
    memcpy(request->bucket, bucket.ptr, bucket.count);
    request->bucket_bytes = (uint32_t)bucket.count;
}

void sgn_setup_take_key(struct sgn_request *request, struct sgn_bytes key)
{
    if (!sgn_key_valid(key)) {
        sgn_setup_refuse(request,
                         key.count == 0 ? SGN_ERR_INVALID : SGN_ERR_TOO_LARGE,
                         "a key is 1..1024 bytes");
        return;
    }
    memcpy(request->key, key.ptr, key.count);
    request->key_bytes = (uint32_t)key.count;
}

void sgn_setup_key(struct sgn_request *request,
                   enum sgn_op op,
                   struct sgn_bytes bucket,
                   struct sgn_bytes key)
{
    if (sgn_setup_begin(request, op)) {
        sgn_setup_bucket(request, bucket);
        sgn_setup_take_key(request, key);
    }
}

void sgn_request_get(struct sgn_request *request, struct sgn_bytes bucket, struct sgn_bytes key)
{
    sgn_setup_key(request, SGN_OP_GET, bucket, key);
}

void sgn_request_stat(struct sgn_request *request, struct sgn_bytes bucket, struct sgn_bytes key)
{
    sgn_setup_key(request, SGN_OP_STAT, bucket, key);
}

void sgn_request_put(struct sgn_request *request,
                     struct sgn_bytes bucket,
                     struct sgn_bytes key,
                     struct sgn_bytes value)
{
    if (!sgn_request_is_mine(request)) {
        return;
    }
    sgn_setup_key(request, SGN_OP_PUT, bucket, key);
    if (value.count > SGN_VALUE_BYTES_MAX) {
        sgn_setup_refuse(request, SGN_ERR_TOO_LARGE, "a value is at most 16777216 bytes");
        return;
    }
    request->value = value;
}

void sgn_request_del(struct sgn_request *request, struct sgn_bytes bucket, struct sgn_bytes key)
{
    sgn_setup_key(request, SGN_OP_DEL, bucket, key);
}

void sgn_request_list(struct sgn_request *request, struct sgn_bytes bucket, struct sgn_bytes prefix)
{
    if (!sgn_setup_begin(request, SGN_OP_LIST)) {
        return;
    }
    sgn_setup_bucket(request, bucket);
    if (prefix.count > 0) { /* An empty prefix is every key, an empty key is none. */
        sgn_setup_take_key(request, prefix);
    }
}

/* ---- Settings -------------------------------------------------------------------------------- */

void sgn_request_set_read(struct sgn_request *request, enum sgn_read_mode mode)
{
    if (sgn_request_is_mine(request)) {
        request->mode = mode;
        if (mode != SGN_READ_EVENTUAL && mode != SGN_READ_SESSION && mode != SGN_READ_STRONG) {
            sgn_setup_refuse(request, SGN_ERR_INVALID, "a read is eventual, session or strong");
        }
    }
}

void sgn_request_set_copies(struct sgn_request *request, uint32_t copies)
{
    if (sgn_request_is_mine(request)) {
        request->copies = copies;
        if (copies > SGN_REPLICAS_MAX) {
            sgn_setup_refuse(request, SGN_ERR_INVALID, "copies are at most 7");
        }
    }
}

/* What guards a write: a context (available), or one condition (ordered). */
static void take_guard(struct sgn_request *request, uint32_t flag, struct sgn_bytes context)
{
    const uint32_t guards = SGN_PUT_HAS_CONTEXT | SGN_PUT_IF_ABSENT | SGN_PUT_IF_VERSION;
    if (!sgn_op_is_change(request->op) || (request->flags & guards & ~flag) != 0) {
        sgn_setup_refuse(
            request, SGN_ERR_INVALID, "a put or del takes one of: context, if absent, if version");
        return;
    }
    if (context.count > 0) {
        memcpy(request->context, context.ptr, context.count);
    }
    request->context_bytes = (uint32_t)context.count;
    request->flags |= flag;
}

void sgn_request_set_if_absent(struct sgn_request *request)
{
    if (sgn_request_is_mine(request)) {
        take_guard(request, SGN_PUT_IF_ABSENT, sgn_bytes_of(NULL, 0));
    }
}

void sgn_request_set_if_version(struct sgn_request *request, const struct sgn_key_version *version)
{
    if (sgn_request_is_mine(request)) {
        take_guard(
            request, SGN_PUT_IF_VERSION, sgn_bytes_of(version->opaque, sizeof(version->opaque)));
    }
}

/* False, with the refusal noted, if the text is no version. */
static bool parse_version(struct sgn_request *request,
                          const char *text,
                          struct sgn_key_version *version)
{
    if (sgn_key_version_parse(version, text) != SGN_OK) {
        sgn_setup_refuse(request, SGN_ERR_INVALID, "the version is not one that a request gave");
        return false;
    }
    return true;
}

int sgn_request_set_if_version_text(struct sgn_request *request, const char *text)
{
    struct sgn_key_version version;
    if (!sgn_request_is_mine(request)) {
        return SGN_ERR_INVALID;
    }
    if (parse_version(request, text, &version)) {
        sgn_request_set_if_version(request, &version);
    }
    return request->setup_err;
}

void sgn_request_set_at_least(struct sgn_request *request, const struct sgn_key_version *version)
{
    if (!sgn_request_is_mine(request)) {
        return;
    }
    if (request->op != SGN_OP_GET && request->op != SGN_OP_STAT) {
        sgn_setup_refuse(request, SGN_ERR_INVALID, "only a get or stat is of at least a version");
        return;
    }
    request->mode = SGN_READ_SESSION;
    memcpy(request->context, version->opaque, sizeof(version->opaque));
    request->context_bytes = sizeof(version->opaque);
}

int sgn_request_set_at_least_text(struct sgn_request *request, const char *text)
{
    struct sgn_key_version version;
    if (!sgn_request_is_mine(request)) {
        return SGN_ERR_INVALID;
    }
    if (parse_version(request, text, &version)) {
        sgn_request_set_at_least(request, &version);
    }
    return request->setup_err;
}

void sgn_request_set_explain(struct sgn_request *request)
{
    if (sgn_request_is_mine(request) && (request->op == SGN_OP_GET || request->op == SGN_OP_STAT)) {
        request->flags |= SGN_GET_EXPLAIN;
    }
}

void sgn_request_set_context(struct sgn_request *request, struct sgn_bytes context)
{
    if (!sgn_request_is_mine(request)) {
        return;
    }
    struct sgn_vector vector;
    if (context.count > sizeof(request->context) ||
        sgn_context_decode(context, &vector) != SGN_OK) {
        sgn_setup_refuse(request, SGN_ERR_INVALID, "the context is not one that a read gave");
        return;
    }
    take_guard(request, SGN_PUT_HAS_CONTEXT, context);
}

int sgn_request_set_context_text(struct sgn_request *request, const char *text)
{
    uint8_t raw[SGN_CONTEXT_BYTES_MAX];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    if (!sgn_request_is_mine(request)) {
        return SGN_ERR_INVALID;
    }
    if (sgn_text_decode(text, &sink) != SGN_OK) {
        sgn_setup_refuse(request, SGN_ERR_INVALID, "the context is not one that a read gave");
    } else {
        sgn_request_set_context(request, sgn_sink_bytes(&sink));
    }
    return request->setup_err;
}

void sgn_request_set_timeout(struct sgn_request *request, uint32_t timeout_ms)
{
    if (sgn_request_is_mine(request)) {
        request->timeout_ms = timeout_ms;
    }
}

void sgn_request_set_node(struct sgn_request *request, uint32_t node)
{
    if (sgn_request_is_mine(request)) {
        request->pinned = node;
    }
}

void sgn_request_set_list_after(struct sgn_request *request, struct sgn_bytes after)
{
    if (!sgn_request_is_mine(request)) {
        return;
    }
    if (after.count > sizeof(request->after)) {
        sgn_setup_refuse(
            request, SGN_ERR_TOO_LARGE, "a list goes on behind a key, of at most 1024 bytes");
        return;
    }
    if (after.count > 0) {
        memcpy(request->after, after.ptr, after.count);
    }
    request->after_bytes = (uint32_t)after.count;
}

void sgn_request_set_list_limit(struct sgn_request *request, uint32_t keys)
{
    if (sgn_request_is_mine(request)) {
        request->limit = keys == 0 ? SGN_PAGE_ITEMS_MAX : keys;
        if (keys > SGN_PAGE_ITEMS_MAX) {
            sgn_setup_refuse(request, SGN_ERR_INVALID, "a page has at most 1000 keys");
        }
    }
}
