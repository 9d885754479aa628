/* client/show.c - the functions that show a result to the request's user. */
#include <stdio.h>

#include "client/inner.h"
#include "ring/core/hlc.h"

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
    struct sgn_request *writable = (struct sgn_request *)(uintptr_t)request; /* As above. */
    if (request->has_version) {
        sgn_key_version_text(&request->version, writable->version_text);
    }
    return request->version_text;
}

int sgn_request_key_version(const struct sgn_request *request, struct sgn_key_version *version)
{
    if (!request->has_version) {
        return SGN_ERR_NOT_ORDERED;
    }
    *version = request->version;
    return SGN_OK;
}

struct sgn_bytes sgn_request_explanation(const struct sgn_request *request)
{
    return request->result_explanation;
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
