/* client/version.c - versions of keys and tokens of writes without verdict, as bytes and as text.
 *
 * A version as text is REV-HLC.NODE.INCARNATION.STEP, rev in decimal, the parts of the ballot under
 * which it was made in hex, none with leading zeros: one text for one version.
 * A token is "t1-" and, as client/text.c writes bytes: u8 length, bucket, u16 length, key, the 16
 * bytes of the request's id, u64 its stamp. */
#include <inttypes.h>
#include <stdio.h>

#include "client/inner.h"

#define TOKEN_PREFIX "t1-"

_Static_assert(sizeof(struct sgn_key_version) == SGN_VERSION_BYTES, "as nodes send it");

struct sgn_version sgn_key_version_parts(const struct sgn_key_version *version)
{
    struct sgn_cursor cursor =
        sgn_cursor_of(sgn_bytes_of(version->opaque, sizeof(version->opaque)));
    struct sgn_version parts = {.rev = sgn_cursor_uint(&cursor, 8)};
    parts.origin = sgn_ballot_take(&cursor);
    return parts;
}

int sgn_key_version_take(struct sgn_bytes bytes, struct sgn_key_version *version)
{
    struct sgn_version parts;
    if (sgn_version_take(bytes, &parts) != SGN_OK) {
        return SGN_ERR_PROTOCOL;
    }
    memcpy(version->opaque, bytes.ptr, sizeof(version->opaque));
    return SGN_OK;
}

void sgn_key_version_text(const struct sgn_key_version *version,
                          char text[SGN_KEY_VERSION_TEXT_BYTES])
{
    struct sgn_version parts = sgn_key_version_parts(version);
    snprintf(text,
             SGN_KEY_VERSION_TEXT_BYTES,
             "%" PRIu64 "-%" PRIx64 ".%" PRIx32 ".%" PRIx32 ".%" PRIx32,
             parts.rev,
             parts.origin.hlc,
             parts.origin.node,
             parts.origin.incarnation,
             parts.origin.step);
}

uint64_t sgn_key_version_rev(const struct sgn_key_version *version)
{
    return sgn_key_version_parts(version).rev;
}

/* Takes a number that ends at `end`; false if it is none, has a leading zero or is too large. */
static bool take_number(const char **text, uint32_t base, char end, uint64_t most, uint64_t *number)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = *text;
    *number = 0;
    for (; *at != end; at++) {
        const char *digit = *at == '\0' ? NULL : memchr(digits, *at, base);
        uint64_t value = digit == NULL ? 0 : (uint64_t)(digit - digits);
        if (digit == NULL || (*number == 0 && at != *text) || *number > (most - value) / base) {
            return false;
        }
        *number = *number * base + value;
    }
    bool is_there = at != *text;
    *text = at + (end != '\0');
    return is_there;
}

int sgn_key_version_parse(struct sgn_key_version *version, const char *text)
{
    uint64_t rev, hlc, node, incarnation, step;
    uint8_t raw[SGN_VERSION_BYTES];
    struct sgn_version parts;
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    if (!take_number(&text, 10, '-', UINT64_MAX, &rev) ||
        !take_number(&text, 16, '.', UINT64_MAX, &hlc) ||
        !take_number(&text, 16, '.', UINT32_MAX, &node) ||
        !take_number(&text, 16, '.', UINT32_MAX, &incarnation) ||
        !take_number(&text, 16, '\0', UINT32_MAX, &step)) {
        return SGN_ERR_INVALID;
    }
    parts = (struct sgn_version){.rev = rev,
                                 .origin = {.hlc = hlc,
                                            .node = (uint32_t)node,
                                            .incarnation = (uint32_t)incarnation,
                                            .step = (uint32_t)step}};
    sgn_version_put(&sink, &parts);
    return sgn_key_version_take(sgn_sink_bytes(&sink), version) == SGN_OK ? SGN_OK
                                                                          : SGN_ERR_INVALID;
}

/* ---- Tokens ---------------------------------------------------------------------------------- */

const char *sgn_request_token(const struct sgn_request *request)
{
    /* Made when asked for: few requests end so. The request belongs to the caller now. */
    struct sgn_request *writable = (struct sgn_request *)(uintptr_t)request;
    uint8_t raw[SGN_TOKEN_BYTES_MAX];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    const size_t head = sizeof(TOKEN_PREFIX) - 1;
    writable->token_text[0] = '\0';
    if (!request->is_open || request->stamp == 0) {
        return writable->token_text;
    }
    sgn_sink_uint(&sink, request->bucket_bytes, 1);
    sgn_sink_put(&sink, request->bucket, request->bucket_bytes);
    sgn_sink_uint(&sink, request->key_bytes, 2);
    sgn_sink_put(&sink, request->key, request->key_bytes);
    sgn_sink_put(&sink, request->id.bytes, sizeof(request->id.bytes));
    sgn_sink_uint(&sink, request->stamp, 8);
    memcpy(writable->token_text, TOKEN_PREFIX, head);
    sgn_text_encode(
        sgn_sink_bytes(&sink), writable->token_text + head, sizeof(writable->token_text) - head);
    return writable->token_text;
}

int sgn_request_resolve(struct sgn_request *request, const char *token)
{
    static const char wrong[] = "the token is not one that a write gave";
    const size_t head = sizeof(TOKEN_PREFIX) - 1;
    uint8_t raw[SGN_TOKEN_BYTES_MAX];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    if (!sgn_setup_begin(request, SGN_OP_RESOLVE)) {
        return SGN_ERR_INVALID;
    }
    if (strncmp(token, TOKEN_PREFIX, head) != 0 || sgn_text_decode(token + head, &sink) != SGN_OK) {
        sgn_setup_refuse(request, SGN_ERR_INVALID, wrong);
        return request->setup_err;
    }
    struct sgn_cursor cursor = sgn_cursor_of(sgn_sink_bytes(&sink));
    struct sgn_bytes bucket = sgn_cursor_take(&cursor, (size_t)sgn_cursor_uint(&cursor, 1));
    struct sgn_bytes key = sgn_cursor_take(&cursor, (size_t)sgn_cursor_uint(&cursor, 2));
    struct sgn_bytes id = sgn_cursor_take(&cursor, sizeof(request->id.bytes));
    request->stamp = sgn_cursor_uint(&cursor, 8);
    if (cursor.bad || cursor.left > 0 || request->stamp == 0) {
        sgn_setup_refuse(request, SGN_ERR_INVALID, wrong);
        return request->setup_err;
    }
    memcpy(request->id.bytes, id.ptr, sizeof(request->id.bytes));
    sgn_setup_bucket(request, bucket);
    sgn_setup_take_key(request, key);
    return request->setup_err;
}
