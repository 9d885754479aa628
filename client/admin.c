/* client/admin.c - requests about the ring rather than its keys: buckets, status, shape, and the
 * map with its changes; and the map as its answer shows it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/inner.h"
#include "ring/net/address.h"

/* NOLINTBEGIN(misc-redundant-expression) */
_Static_assert(sizeof(((struct sgn_partition_info *)0)->replicas) ==
                   SGN_SEATS_MAX * sizeof(struct sgn_replica_info),
               "the public struct has room for every seat");
_Static_assert(sizeof(((struct sgn_partition_info *)0)->group) == SGN_GROUP_MAX * sizeof(uint32_t),
               "the public struct has room for every witness of a group");
_Static_assert((int)SGN_SEAT_IN_SYNC == (int)SGN_REPLICA_IN_SYNC &&
                   (int)SGN_SEAT_CATCHING_UP == (int)SGN_REPLICA_CATCHING_UP &&
                   (int)SGN_SEAT_OUT == (int)SGN_REPLICA_OUT,
               "the public states are the map's");
/* NOLINTEND(misc-redundant-expression) */

void sgn_request_bucket_create(struct sgn_request *request,
                               struct sgn_bytes bucket,
                               enum sgn_bucket_kind kind,
                               uint32_t n,
                               uint32_t r,
                               uint32_t w)
{
    if (!sgn_setup_begin(request, SGN_OP_BUCKET_CREATE)) {
        return;
    }
    sgn_setup_bucket(request, bucket);
    if (n > SGN_REPLICAS_MAX || r > SGN_REPLICAS_MAX || w > SGN_REPLICAS_MAX ||
        (kind != SGN_BUCKET_AVAILABLE && kind != SGN_BUCKET_ORDERED)) {
        sgn_setup_refuse(
            request, SGN_ERR_INVALID, "a bucket has a kind, and n, r and w of at most 7");
        return;
    }
    request->props_kind = (uint64_t)kind;
    request->props = sgn_bucket_props_pack((uint32_t)kind, n, r, w);
}

void sgn_request_bucket_delete(struct sgn_request *request, struct sgn_bytes bucket)
{
    if (sgn_setup_begin(request, SGN_OP_BUCKET_DELETE)) {
        sgn_setup_bucket(request, bucket);
    }
}

void sgn_request_bucket_list(struct sgn_request *request)
{
    (void)sgn_setup_begin(request, SGN_OP_BUCKET_LIST);
}

void sgn_request_status(struct sgn_request *request, uint32_t node)
{
    if (sgn_setup_begin(request, SGN_OP_STATUS)) {
        request->pinned = node;
    }
}

void sgn_request_ring(struct sgn_request *request)
{
    (void)sgn_setup_begin(request, SGN_OP_RING);
}

void sgn_request_locate(struct sgn_request *request, struct sgn_bytes bucket, struct sgn_bytes key)
{
    sgn_setup_key(request, SGN_OP_LOCATE, bucket, key);
}

/* ---- The map --------------------------------------------------------------------------------- */

void sgn_request_map(struct sgn_request *request, uint32_t node)
{
    if (sgn_setup_begin(request, SGN_OP_MAP)) {
        request->pinned = node;
    }
}

void sgn_request_witness_add(struct sgn_request *request, struct sgn_bytes address, uint32_t node)
{
    if (!sgn_setup_begin(request, SGN_OP_WITNESS_ADD)) {
        return;
    }
    request->props_kind = SGN_MAP_ADD_WITNESS;
    request->props = node;
    char text[SGN_ADDRESS_BYTES_MAX + 1];
    struct sgn_address parsed;
    struct sgn_why why = {.text = "an address has at most 63 bytes, none of them 0"};
    (void)snprintf(text, sizeof(text), "%.*s", (int)address.count, (const char *)address.ptr);
    if (strlen(text) != address.count || sgn_address_parse(text, &parsed, &why) != SGN_OK) {
        sgn_setup_refuse(request, SGN_ERR_INVALID, why.text);
        return;
    }
    if (sgn_address_port(&parsed) == 0) {
        sgn_setup_refuse(request, SGN_ERR_INVALID, "a witness is reached at a port above 0");
        return;
    }
    memcpy(request->after, address.ptr, address.count);
    request->after_bytes = (uint32_t)address.count;
}

static void change(struct sgn_request *request, enum sgn_map_change what, uint64_t operand)
{
    if (sgn_setup_begin(request, SGN_OP_MAP_CHANGE)) {
        request->props_kind = (uint64_t)what;
        request->props = operand;
    }
}

void sgn_request_witness_drop(struct sgn_request *request, uint32_t witness)
{
    change(request, SGN_MAP_DROP_WITNESS, witness | SGN_WITNESS_BIT);
}

void sgn_request_fence_force(struct sgn_request *request, uint32_t partition)
{
    change(request, SGN_MAP_FORCE, partition == SGN_ALL_PARTITIONS ? UINT64_MAX : partition);
}

void sgn_request_group_size(struct sgn_request *request, uint32_t witnesses)
{
    change(request, SGN_MAP_GROUP_SIZE, witnesses);
}

int sgn_map_take(struct sgn_request *request, const struct sgn_msg *msg)
{
    const struct sgn_shape *shape = request->client->shape;
    uint32_t lines_max = shape == NULL ? SGN_PARTITIONS_MAX : shape->ring.partition_count;
    struct sgn_map *map = calloc(1, sizeof(*map) + lines_max * sizeof(struct sgn_line));
    if (map == NULL) {
        return SGN_ERR_NOMEM;
    }
    map->lines = (struct sgn_line *)(map + 1);
    if (sgn_map_decode_alone(msg->value, lines_max, map) != SGN_OK) {
        free(map);
        return SGN_ERR_PROTOCOL;
    }
    free(request->map);
    request->map = map;
    return SGN_OK;
}

int sgn_request_map_info(const struct sgn_request *request, struct sgn_map_info *info)
{
    const struct sgn_map *map = request->map;
    if (map == NULL) {
        return SGN_ERR_INVALID;
    }
    struct sgn_map_info full = {.version = map->version,
                                .partition_count = map->partition_count,
                                .group_size = map->group_size,
                                .witness_count = map->witness_count,
                                .member_count = map->disk_count};
    return sgn_struct_out(info, &full, sizeof(full));
}

int sgn_request_member(const struct sgn_request *request,
                       uint32_t index,
                       struct sgn_member_info *info)
{
    const struct sgn_map *map = request->map;
    if (map == NULL || index >= map->disk_count) {
        return SGN_ERR_INVALID;
    }
    struct sgn_member_info full = {.node = map->disks[index].node, .disk = map->disks[index].disk};
    return sgn_struct_out(info, &full, sizeof(full));
}

int sgn_request_witness(const struct sgn_request *request,
                        uint32_t index,
                        struct sgn_witness_info *info)
{
    const struct sgn_map *map = request->map;
    if (map == NULL || index >= map->witness_count) {
        return SGN_ERR_INVALID;
    }
    const struct sgn_witness_member *member = &map->witnesses[index];
    struct sgn_witness_info full = {.id = member->id & ~SGN_WITNESS_BIT,
                                    .incarnation = member->incarnation,
                                    .is_leaving = member->leaving,
                                    .node = member->host};
    for (uint32_t i = 0; i < map->partition_count; i++) {
        full.groups += sgn_line_group_index(&map->lines[i], member->id) >= 0;
    }
    snprintf(full.address, sizeof(full.address), "%s", member->address);
    return sgn_struct_out(info, &full, sizeof(full));
}

int sgn_request_partition(const struct sgn_request *request,
                          uint32_t partition,
                          struct sgn_partition_info *info)
{
    const struct sgn_map *map = request->map;
    if (map == NULL || partition >= map->partition_count) {
        return SGN_ERR_INVALID;
    }
    const struct sgn_line *line = &map->lines[partition];
    struct sgn_partition_info full = {.epoch = line->epoch,
                                      .is_moving = line->joint,
                                      .fence_count = line->fence_count,
                                      .replica_count = line->seat_count,
                                      .group_count = line->group_count};
    for (uint32_t i = 0; i < line->seat_count; i++) {
        const struct sgn_seat *seat = &line->seats[i];
        full.replicas[i] = (struct sgn_replica_info){.node = seat->node,
                                                     .state = (enum sgn_replica_state)seat->state,
                                                     .is_new = (seat->sets & SGN_SET_NEW) != 0,
                                                     .is_old = (seat->sets & SGN_SET_OLD) != 0,
                                                     .is_lost = (seat->sets & SGN_SET_LOST) != 0};
    }
    for (uint32_t i = 0; i < line->group_count; i++) {
        full.group[i] = line->group[i].id & ~SGN_WITNESS_BIT;
    }
    return sgn_struct_out(info, &full, sizeof(full));
}

uint32_t sgn_request_witness_id(const struct sgn_request *request)
{
    return request->witness_id;
}
