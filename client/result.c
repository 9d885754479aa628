/* client/result.c - a good answer copied into its request and decoded, and the functions that
 * show it. */
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

static int take_list(struct sgn_request *request, const struct sgn_msg *msg)
{
    size_t used = 0;
    struct sgn_cursor cursor = sgn_cursor_of(keep(request, &used, msg->items));
    struct sgn_bytes key, value;
    struct sgn_record record;
    request->result_after = keep(request, &used, msg->after);
    request->list_end = (msg->flags & SGN_RESULT_END) != 0;
    while (sgn_items_next(&cursor, &key, &value)) {
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
    case SGN_OP_STAT: return take_record(request, msg);
    case SGN_OP_PUT:
    case SGN_OP_DEL:
        if (msg->context.count > sizeof(request->context_raw)) {
            return SGN_ERR_PROTOCOL;
        }
        if (msg->context.count > 0) {
            memcpy(request->context_raw, msg->context.ptr, msg->context.count);
        }
        request->result_context = sgn_bytes_of(request->context_raw, msg->context.count);
        return msg->err;
    case SGN_OP_LIST: return take_list(request, msg);
    case SGN_OP_BUCKET_LIST: return take_buckets(request, msg);
    case SGN_OP_STATUS: request->result_value = keep(request, &used, msg->value); return SGN_OK;
    case SGN_OP_RING:
    case SGN_OP_LOCATE: return take_shape(request, msg);
    case SGN_OP_BUCKET_CREATE:
    case SGN_OP_BUCKET_DELETE:
    case SGN_OP_NONE: return SGN_OK;
    }
    return SGN_ERR_PROTOCOL;
}

/* ---- What the caller sees -------------------------------------------------------------------- */

int sgn_request_err(const struct sgn_request *request)
{
    return request->err;
}

const char *sgn_request_error(const struct sgn_request *request)
{
    return request->error_text;
}

struct sgn_bytes sgn_request_value(const struct sgn_request *request)
{
    return request->result_value;
}

uint32_t sgn_request_sibling_count(const struct sgn_request *request)
{
    return request->record.sibling_count;
}

int sgn_request_sibling(const struct sgn_request *request,
                        uint32_t index,
                        struct sgn_value_info *info)
{
    if (index >= request->record.sibling_count) {
        return SGN_ERR_INVALID;
    }
    const struct sgn_sibling *sibling = &request->record.siblings[request->order[index]];
    struct sgn_value_info full = {.value = sibling->body,
                                  .value_bytes = sibling->body_bytes,
                                  .written_ms = sgn_hlc_ms(sibling->hlc)};
    snprintf(full.dot,
             sizeof(full.dot),
             "%u.%u:%llu",
             sibling->dot.actor.node,
             sibling->dot.actor.generation,
             (unsigned long long)sibling->dot.counter);
    return sgn_struct_out(info, &full, sizeof(full));
}

struct sgn_bytes sgn_request_context(const struct sgn_request *request)
{
    return request->result_context;
}

const char *sgn_request_context_text(const struct sgn_request *request)
{
    /* Made when asked for: few callers want it. The request belongs to the caller now. */
    struct sgn_request *writable = (struct sgn_request *)(uintptr_t)request;
    sgn_text_encode(
        request->result_context, writable->context_text, sizeof(writable->context_text));
    return request->context_text;
}

const char *sgn_request_version(const struct sgn_request *request)
{
    return request->version_text;
}

uint32_t sgn_request_item_count(const struct sgn_request *request)
{
    return request->item_count;
}

int sgn_request_item(const struct sgn_request *request, uint32_t index, struct sgn_item_info *info)
{
    if (index >= request->item_count) {
        return SGN_ERR_INVALID;
    }
    const struct sgn_item_row *row = &request->items[index];
    struct sgn_item_info full = {.key = row->key,
                                 .written_ms = row->written_ms,
                                 .value_bytes = row->value_bytes,
                                 .sibling_count = row->sibling_count};
    return sgn_struct_out(info, &full, sizeof(full));
}

struct sgn_bytes sgn_request_list_after(const struct sgn_request *request)
{
    return request->result_after;
}

int sgn_request_list_end(const struct sgn_request *request)
{
    return request->list_end;
}

uint32_t sgn_request_bucket_count(const struct sgn_request *request)
{
    return request->bucket_count;
}

int sgn_request_bucket_info(const struct sgn_request *request,
                            uint32_t index,
                            struct sgn_bucket_info *info)
{
    if (index >= request->bucket_count) {
        return SGN_ERR_INVALID;
    }
    return sgn_struct_out(info, &request->buckets[index], sizeof(*info));
}

int sgn_request_ring_info(const struct sgn_request *request, struct sgn_ring_info *info)
{
    if (request->shape == NULL) {
        return SGN_ERR_INVALID;
    }
    const struct sgn_ring *ring = &request->shape->ring;
    struct sgn_ring_info full = {.epoch = ring->epoch,
                                 .partition_count = ring->partition_count,
                                 .replica_count = ring->replica_count,
                                 .node_count = ring->member_count};
    snprintf(full.name, sizeof(full.name), "%s", ring->name);
    return sgn_struct_out(info, &full, sizeof(full));
}

int sgn_request_node(const struct sgn_request *request, uint32_t index, struct sgn_node_info *info)
{
    if (request->shape == NULL || index >= request->shape->ring.member_count) {
        return SGN_ERR_INVALID;
    }
    const struct sgn_ring *ring = &request->shape->ring;
    const struct sgn_member *member = &ring->members[index];
    struct sgn_node_info full = {.id = member->id, .weight = member->weight, .zone = member->zone};
    snprintf(full.address, sizeof(full.address), "%s", member->address);
    for (uint32_t i = 0; i < ring->partition_count * ring->replica_count; i++) {
        bool is_here = ring->table[i] == index;
        full.slots += is_here;
        full.first += is_here && i % ring->replica_count == 0;
    }
    return sgn_struct_out(info, &full, sizeof(full));
}

uint32_t sgn_request_homes(const struct sgn_request *request,
                           uint32_t partition,
                           uint32_t *nodes,
                           uint32_t nodes_max)
{
    uint32_t count = 0;
    if (request->shape == NULL || partition >= request->shape->ring.partition_count) {
        return 0;
    }
    const struct sgn_ring *ring = &request->shape->ring;
    for (; count < ring->replica_count && count < nodes_max; count++) {
        nodes[count] = ring->members[ring->table[partition * ring->replica_count + count]].id;
    }
    return count;
}

int sgn_request_location(const struct sgn_request *request, struct sgn_location *location)
{
    if (request->location.struct_bytes == 0) {
        return SGN_ERR_INVALID;
    }
    return sgn_struct_out(location, &request->location, sizeof(*location));
}

void sgn_request_receipt(const struct sgn_request *request, struct sgn_receipt *receipt)
{
    struct sgn_receipt full = {.tries = request->tries,
                               .hedges = request->hedges,
                               .node = request->answer_node,
                               .copies = (uint32_t)request->answer_copies,
                               .ns = request->ns};
    (void)sgn_struct_out(receipt, &full, sizeof(full));
}
