/* client/result.c - an answer that decides copied into its request and decoded. */
#include <stdio.h>
#include <stdlib.h>

#include "client/inner.h"
#include "ring/core/hlc.h"
#include "ring/core/items.h"

void sgn_result_clear(struct sgn_request *request)
{
    if (request->body_cap > SGN_KEEP_BYTES) {
        free(request->body);
        request->body = NULL;
        request->body_cap = 0;
    }
    sgn_shape_drop(request->shape);
    request->shape = NULL;
    request->err = SGN_OK;
    request->list_end = false;
    request->tries = 0;
    request->hedges = 0;
    request->answer_node = 0;
    request->answer_copies = 0;
    request->ns = 0;
    request->result_value = sgn_bytes_of(NULL, 0);
    request->result_context = sgn_bytes_of(NULL, 0);
    request->result_after = sgn_bytes_of(NULL, 0);
    request->result_explanation = sgn_bytes_of(NULL, 0);
    request->has_version = false;
    request->is_open = false;
    request->witness_id = 0;
    free(request->map);
    request->map = NULL;
    request->record.sibling_count = 0;
    request->item_count = 0;
    request->bucket_count = 0;
    request->location.struct_bytes = 0;
    request->context_text[0] = '\0';
    request->version_text[0] = '\0';
    request->error_text[0] = '\0';
}

/* Moves borrowed bytes into the request's own memory. */
static struct sgn_bytes keep(struct sgn_request *request, size_t *used, struct sgn_bytes bytes)
{
    uint8_t *at = (uint8_t *)request->body + *used;
    if (bytes.count > 0) {
        memcpy(at, bytes.ptr, bytes.count);
    }
    *used += bytes.count;
    return sgn_bytes_of(at, bytes.count);
}

static int room(struct sgn_request *request, size_t bytes)
{
    if (bytes > request->body_cap || request->body == NULL) {
        size_t cap = bytes < 256 ? 256 : bytes;
        void *body = malloc(cap);
        if (body == NULL) {
            return SGN_ERR_NOMEM;
        }
        free(request->body);
        request->body = body;
        request->body_cap = cap;
    }
    return SGN_OK;
}

static int dot_compare(const struct sgn_dot *a, const struct sgn_dot *b)
{
    if (a->actor.node != b->actor.node) {
        return a->actor.node < b->actor.node ? -1 : 1;
    }
    if (a->actor.generation != b->actor.generation) {
        return a->actor.generation < b->actor.generation ? -1 : 1;
    }
    return (a->counter > b->counter) - (a->counter < b->counter);
}

/* The newest first, by (hlc, dot). */
static void order_siblings(struct sgn_request *request)
{
    const struct sgn_sibling *siblings = request->record.siblings;
    for (uint32_t i = 0; i < request->record.sibling_count; i++) {
        uint32_t at = i;
        for (; at > 0; at--) {
            const struct sgn_sibling *other = &siblings[request->order[at - 1]];
            bool is_newer = siblings[i].hlc != other->hlc
                                ? siblings[i].hlc > other->hlc
                                : dot_compare(&siblings[i].dot, &other->dot) > 0;
            if (!is_newer) {
                break;
            }
            request->order[at] = request->order[at - 1];
        }
        request->order[at] = i;
    }
}

static int take_record(struct sgn_request *request, const struct sgn_msg *msg)
{
    size_t used = 0;
    struct sgn_bytes raw = keep(request, &used, msg->value);
    enum sgn_record_bodies form =
        request->op == SGN_OP_STAT ? SGN_RECORD_DIGEST_ONLY : SGN_RECORD_WITH_BODIES;
    sgn_record_init(&request->record);
    if (sgn_record_decode(raw, form, &request->record) != SGN_OK) {
        request->record.sibling_count = 0;
        return SGN_ERR_PROTOCOL;
    }
    struct sgn_sink sink = sgn_sink_of(request->context_raw, sizeof(request->context_raw));
    sgn_context_encode(&request->record.vector, &sink);
    if (!sgn_record_is_unwritten(&request->record)) {
        request->result_context = sgn_sink_bytes(&sink);
        snprintf(request->version_text,
                 sizeof(request->version_text),
                 "%016llx",
                 (unsigned long long)sgn_record_digest(&request->record));
    }
    if (msg->err == SGN_ERR_NOT_FOUND || sgn_record_is_dead(&request->record)) {
        request->record.sibling_count = 0;
        return SGN_ERR_NOT_FOUND;
    }
    sgn_record_fold_retries(&request->record);
    order_siblings(request);
    request->result_value = request->record.siblings[request->order[0]].body;
    return SGN_OK;
}

/* An ordered bucket's answer: the body itself (stat: its size in place of the copies read) and the
 * key's version. */
static int take_ordered(struct sgn_request *request, const struct sgn_msg *msg)
{
    size_t used = 0;
    struct sgn_sibling *only = &request->record.siblings[0];
    bool is_stat = request->op == SGN_OP_STAT;
    if (sgn_key_version_take(msg->context, &request->version) != SGN_OK) {
        return SGN_ERR_PROTOCOL;
    }
    request->has_version = true;
    request->result_explanation = keep(request, &used, msg->items);
    if (msg->err != SGN_OK) {
        return msg->err;
    }
    if (is_stat && msg->a > SGN_VALUE_BYTES_MAX) {
        return SGN_ERR_PROTOCOL;
    }
    struct sgn_version parts = sgn_key_version_parts(&request->version);
    struct sgn_bytes body = is_stat ? sgn_bytes_of(NULL, 0) : keep(request, &used, msg->value);
    request->record.sibling_count = 1;
    request->order[0] = 0;
    *only = (struct sgn_sibling){
        .dot = {.actor = {parts.origin.node, parts.origin.incarnation}, .counter = parts.rev},
        .hlc = parts.origin.hlc,
        .body_bytes = (uint32_t)(is_stat ? msg->a : body.count),
        .body = body};
    request->result_value = body;
    request->answer_copies = is_stat ? 1 : msg->a;
    return SGN_OK;
}

/* A change of a key: what it made or met. */
static int take_change(struct sgn_request *request, const struct sgn_msg *msg)
{
    bool is_ordered = (msg->flags & SGN_RESULT_ORDERED) != 0 || request->op == SGN_OP_RESOLVE ||
                      msg->err == SGN_ERR_CONDITION;
    bool has_version = msg->err != SGN_ERR_VOID && msg->err != SGN_ERR_UNKNOWN;
    if (is_ordered) {
        if (has_version && sgn_key_version_take(msg->context, &request->version) != SGN_OK) {
            return SGN_ERR_PROTOCOL;
        }
        request->has_version = has_version;
        return msg->err;
    }
    if (msg->context.count > sizeof(request->context_raw)) {
        return SGN_ERR_PROTOCOL;
    }
    if (msg->context.count > 0) {
        memcpy(request->context_raw, msg->context.ptr, msg->context.count);
    }
    request->result_context = sgn_bytes_of(request->context_raw, msg->context.count);
    return msg->err;
}

static int item_push(struct sgn_request *request, const struct sgn_item_row *row)
{
    if (request->item_count == request->item_cap) {
        uint32_t cap = request->item_cap == 0 ? 64 : request->item_cap * 2;
        struct sgn_item_row *items = realloc(request->items, cap * sizeof(*items));
        if (items == NULL) {
            return SGN_ERR_NOMEM;
        }
        request->items = items;
        request->item_cap = cap;
    }
    request->items[request->item_count++] = *row;
    return SGN_OK;
}

/* An ordered bucket's row: the key's version and the size of its body as u32. */
static int item_ordered(struct sgn_request *request, struct sgn_bytes key, struct sgn_bytes value)
{
    struct sgn_key_version version;
    struct sgn_cursor cursor = sgn_cursor_of(value);
    struct sgn_bytes name = sgn_cursor_take(&cursor, sizeof(version.opaque));
    uint32_t body_bytes = (uint32_t)sgn_cursor_uint(&cursor, 4);
    if (cursor.bad || cursor.left > 0 || sgn_key_version_take(name, &version) != SGN_OK) {
        return SGN_ERR_PROTOCOL;
    }
    struct sgn_item_row row = {
        key, sgn_hlc_ms(sgn_key_version_parts(&version).origin.hlc), body_bytes, 1};
    return item_push(request, &row);
}

static int take_list(struct sgn_request *request, const struct sgn_msg *msg)
{
    size_t used = 0;
    struct sgn_cursor cursor = sgn_cursor_of(keep(request, &used, msg->items));
    struct sgn_bytes key, value;
    struct sgn_record record;
    request->result_after = keep(request, &used, msg->after);
    request->list_end = (msg->flags & SGN_RESULT_END) != 0;
    while (sgn_items_next(&cursor, &key, &value)) {
        if ((msg->flags & SGN_RESULT_ORDERED) != 0) {
            int err = item_ordered(request, key, value);
            if (err != SGN_OK) {
                return err;
            }
            continue;
        }
        if (sgn_record_decode(value, SGN_RECORD_DIGEST_ONLY, &record) != SGN_OK) {
            return SGN_ERR_PROTOCOL;
        }
        sgn_record_fold_retries(&record);
        const struct sgn_sibling *newest = sgn_record_newest(&record);
        if (newest == NULL) {
            continue;
        }
        struct sgn_item_row row = {
            key, sgn_hlc_ms(newest->hlc), newest->body_bytes, record.sibling_count};
        if (item_push(request, &row) != SGN_OK) {
            return SGN_ERR_NOMEM;
        }
    }
    return cursor.bad ? SGN_ERR_PROTOCOL : SGN_OK;
}

static int take_buckets(struct sgn_request *request, const struct sgn_msg *msg)
{
    struct sgn_cursor cursor = sgn_cursor_of(msg->items);
    struct sgn_bytes name, value;
    struct sgn_bucket row;
    while (sgn_items_next(&cursor, &name, &value)) {
        struct sgn_cursor one = sgn_cursor_of(value);
        if (!sgn_bucket_decode_next(&one, &row)) {
            return SGN_ERR_PROTOCOL;
        }
        if (row.dead) {
            continue;
        }
        if (request->bucket_count == request->bucket_cap) {
            uint32_t cap = request->bucket_cap == 0 ? 16 : request->bucket_cap * 2;
            struct sgn_bucket_info *buckets = realloc(request->buckets, cap * sizeof(*buckets));
            if (buckets == NULL) {
                return SGN_ERR_NOMEM;
            }
            request->buckets = buckets;
            request->bucket_cap = cap;
        }
        struct sgn_bucket_info *info = &request->buckets[request->bucket_count++];
        memset(info, 0, sizeof(*info));
        info->struct_bytes = sizeof(*info);
        memcpy(info->name, row.name, sizeof(info->name));
        info->kind = (enum sgn_bucket_kind)row.kind;
        info->n = row.n;
        info->r = row.r;
        info->w = row.w;
    }
    return cursor.bad ? SGN_ERR_PROTOCOL : SGN_OK;
}

static int take_shape(struct sgn_request *request, const struct sgn_msg *msg)
{
    int err = sgn_shape_create(msg->value, &request->shape);
    if (err == SGN_OK) {
        err = sgn_route_adopt(request->client, request->shape);
    }
    if (err == SGN_OK && request->op == SGN_OP_LOCATE) {
        sgn_route_locate(request);
    }
    return err;
}

int sgn_result_take(struct sgn_request *request, const struct sgn_msg *msg)
{
    size_t used = 0;
    int err = room(request, msg->value.count + msg->items.count + msg->after.count);
    if (err != SGN_OK) {
        return err;
    }
    request->item_count = 0;
    request->bucket_count = 0;
    switch (request->op) {
    case SGN_OP_GET:
    case SGN_OP_STAT:
        return (msg->flags & SGN_RESULT_ORDERED) != 0 ? take_ordered(request, msg)
                                                      : take_record(request, msg);
    case SGN_OP_PUT:
    case SGN_OP_DEL:
    case SGN_OP_RESOLVE: return take_change(request, msg);
    case SGN_OP_LIST: return take_list(request, msg);
    case SGN_OP_BUCKET_LIST: return take_buckets(request, msg);
    case SGN_OP_STATUS: request->result_value = keep(request, &used, msg->value); return SGN_OK;
    case SGN_OP_RING:
    case SGN_OP_LOCATE: return take_shape(request, msg);
    case SGN_OP_MAP: return sgn_map_take(request, msg);
    case SGN_OP_WITNESS_ADD:
        request->witness_id = (uint32_t)msg->a & ~SGN_WITNESS_BIT;
        return SGN_OK;
    case SGN_OP_MAP_CHANGE:
    case SGN_OP_BUCKET_CREATE:
    case SGN_OP_BUCKET_DELETE:
    case SGN_OP_NONE: return SGN_OK;
    }
    return SGN_ERR_PROTOCOL;
}
