/* client/signet_ring.h - the ring as the C client shows it and, for operators, changes it. Included
 * by signet.h, whose rules hold here too. */
#ifndef SIGNET_RING_H
#define SIGNET_RING_H

#include "signet.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- The ring -------------------------------------------------------------------------------- */

/* The shape of the ring, asked of a node: sgn_request_ring_info, _node, _homes. */
SGN_API void sgn_request_ring(struct sgn_request *request);
/* Where a key lives: sgn_request_location. The key need not exist. */
SGN_API void sgn_request_locate(struct sgn_request *request,
                                struct sgn_bytes bucket,
                                struct sgn_bytes key);

struct sgn_ring_info {
    size_t struct_bytes;
    char name[64];
    uint32_t epoch;
    uint32_t partition_count;
    uint32_t replica_count;
    uint32_t node_count;
};
struct sgn_node_info {
    size_t struct_bytes;
    uint32_t id;
    uint32_t weight;
    uint32_t zone;
    uint32_t slots; /* Replica places of partitions it holds, of partition_count * replica_count. */
    uint32_t first; /* Partitions it is the first home of. */
    char address[64];
};
SGN_API int sgn_request_ring_info(const struct sgn_request *request, struct sgn_ring_info *info);
/* index < node_count, in the order of ids. */
SGN_API int sgn_request_node(const struct sgn_request *request,
                             uint32_t index,
                             struct sgn_node_info *info);
/* Ids of the nodes that hold a partition, the preferred first. Returns how many were written. */
SGN_API uint32_t sgn_request_homes(const struct sgn_request *request,
                                   uint32_t partition,
                                   uint32_t *nodes,
                                   uint32_t nodes_max);

/* Of locate. */
struct sgn_location {
    size_t struct_bytes;
    uint64_t hash;
    uint32_t partition;
    uint32_t home_count;
    uint32_t homes[8]; /* Node ids, the preferred first. */
};
SGN_API int sgn_request_location(const struct sgn_request *request, struct sgn_location *location);

/* ---- The map --------------------------------------------------------------------------------- */

/* The map: each partition's epoch, replicas with their states, and witnesses, as the ring's nodes
 * have agreed on them; asked of `node`, 0: any. sgn_request_map_info, _member, _witness,
 * _partition. */
SGN_API void sgn_request_map(struct sgn_request *request, uint32_t node);
/* Changes of the map, for operators. One that holds already is done, so each may be repeated.
 * SGN_ERR_UNKNOWN: it may come about yet; look at the map, or ask again.
 * A witness at `address` becomes a member of the fleet. The ring gives it its number
 * (sgn_request_witness_id), with which signet-witness is to be started there. With a `node`, it is
 * that node itself that begins to be a witness too, at the port of `address`; 0: none.
 * SGN_ERR_INVALID: not an IP address and port, as 127.0.0.1:7401 or [::1]:7401. */
SGN_API void sgn_request_witness_add(struct sgn_request *request,
                                     struct sgn_bytes address,
                                     uint32_t node);
/* It leaves its groups, and the fleet when it is in none any more. */
SGN_API void sgn_request_witness_drop(struct sgn_request *request, uint32_t witness);
/* Ordered writes of a partition (SGN_ALL_PARTITIONS: all) wait no longer for witnesses or nodes of
 * an earlier epoch that cannot be reached. The risk is the operator's: if one of those still runs
 * and answers, a strong read there may miss writes made from now on. */
#define SGN_ALL_PARTITIONS UINT32_MAX
SGN_API void sgn_request_fence_force(struct sgn_request *request, uint32_t partition);
/* Witnesses of a partition's group: 1, 3 or 5. */
SGN_API void sgn_request_group_size(struct sgn_request *request, uint32_t witnesses);

/* Map. Witnesses are named by the number that the ring gave them. */
struct sgn_map_info {
    size_t struct_bytes;
    uint32_t version;
    uint32_t partition_count;
    uint32_t group_size; /* Wanted; a smaller fleet has groups of one. */
    uint32_t witness_count;
    uint32_t member_count; /* Nodes listed with their disks; the others have no vote yet. */
};
/* A node is a member with its disk. One that comes back with another disk is listed with that one,
 * and brought by the others what it held. */
struct sgn_member_info {
    size_t struct_bytes;
    uint32_t node;
    uint64_t disk; /* Random, made with the data directory. */
};
struct sgn_witness_info {
    size_t struct_bytes;
    uint32_t id;
    uint32_t incarnation; /* 0: not heard of yet. */
    uint32_t groups;      /* Partitions it is a witness of. */
    int is_leaving;
    char address[64];
    uint32_t node; /* In whose process it lives; 0: it has one of its own. */
};
enum sgn_replica_state {
    SGN_REPLICA_IN_SYNC = 0,
    SGN_REPLICA_CATCHING_UP = 1,
    SGN_REPLICA_OUT = 2
};
struct sgn_replica_info {
    uint32_t node;
    enum sgn_replica_state state;
    int is_new;  /* Of the set that stays. */
    int is_old;  /* Of the set that a move leaves behind; only while it goes on. */
    int is_lost; /* Its disk was: until it has caught up, the others alone hold the partition. */
};
struct sgn_partition_info {
    size_t struct_bytes;
    uint32_t epoch;
    int is_moving;
    uint32_t fence_count; /* Earlier epochs whose witnesses are not known to have moved on. */
    uint32_t replica_count;
    uint32_t group_count;
    struct sgn_replica_info replicas[14]; /* The preferred first. */
    uint32_t group[5];                    /* Witnesses. */
};
SGN_API int sgn_request_map_info(const struct sgn_request *request, struct sgn_map_info *info);
/* index < member_count, by id. */
SGN_API int sgn_request_member(const struct sgn_request *request,
                               uint32_t index,
                               struct sgn_member_info *info);
/* index < witness_count, in the order they came. */
SGN_API int sgn_request_witness(const struct sgn_request *request,
                                uint32_t index,
                                struct sgn_witness_info *info);
SGN_API int sgn_request_partition(const struct sgn_request *request,
                                  uint32_t partition,
                                  struct sgn_partition_info *info);
/* After sgn_request_witness_add: the number it got; 0 otherwise. */
SGN_API uint32_t sgn_request_witness_id(const struct sgn_request *request);

#ifdef __cplusplus
}
#endif

#endif
