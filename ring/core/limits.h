/* ring/core/limits.h - every bound of the ring, its reason, and how the bounds fit together. */
#ifndef SGN_CORE_LIMITS_H
#define SGN_CORE_LIMITS_H

/* What a person stores. */
#define SGN_KEY_BYTES_MAX    1024u       /* A key travels in every message of its operation. */
#define SGN_BUCKET_BYTES_MAX 63u         /* As S3 and DNS labels have it. */
#define SGN_VALUE_BYTES_MAX  (16u << 20) /* Held in memory whole on its way through a node. */
#define SGN_BUCKETS_MAX      1024u       /* Every node holds the whole bucket table in memory. */

/* One key's record: siblings and the version vector that covers them (ring/core/record.h). */
#define SGN_ACTORS_MAX        64u  /* Entries of a version vector. */
#define SGN_SIBLINGS_MINT_MAX 16u  /* Concurrent values of a key; past it puts are refused. */
#define SGN_SIBLINGS_MAX      128u /* What a record holds: merging must find room. */
/* All siblings of a key together. */
#define SGN_RECORD_BYTES_MAX (SGN_VALUE_BYTES_MAX + (512u << 10))

/* The ring. */
#define SGN_REPLICAS_MAX       7u
#define SGN_NODES_MAX          1024u
#define SGN_ZONES_MAX          64u
#define SGN_PARTITIONS_MIN     8u
#define SGN_PARTITIONS_MAX     16384u
#define SGN_PARTITIONS_DEFAULT 256u
#define SGN_WEIGHT_MAX         1000u

/* The wire. */
#define SGN_FRAME_HEADER_BYTES     24u
#define SGN_FRAME_BODY_BYTES_MAX   (17u << 20)
#define SGN_MSG_OVERHEAD_BYTES_MAX (256u << 10) /* All of a message but its largest field. */
#define SGN_MSG_DEPTH_MAX          2u           /* A body is one flat array. */
#define SGN_MSG_FIELDS_MAX         16u

/* A page of a listing, a hint hand-over or an anti-entropy exchange. */
#define SGN_PAGE_ITEMS_MAX    1000u
#define SGN_PAGE_BYTES_MAX    (1u << 20)
#define SGN_PAGE_EXAMINED_MAX 10000u /* Keys looked at, tombstones among them. */

/* Inside a node. */
#define SGN_OPS_MAX     4096u /* Requests a node coordinates at once; past it BUSY. */
#define SGN_COMBINE_MAX 16u   /* Writes of one key folded into one store write. */
#define SGN_EFFECTS_MAX 512u  /* What one step of an engine may ask of its driver. */
#define SGN_TREE_LEAVES 256u  /* Hash tree leaves of a partition (ring/core/tree.h). */

#define SGN_REQUEST_ID_BYTES 16u

_Static_assert(SGN_RECORD_BYTES_MAX + SGN_MSG_OVERHEAD_BYTES_MAX <= SGN_FRAME_BODY_BYTES_MAX,
               "a whole record must fit a frame, or replicas could never exchange it");
_Static_assert(SGN_SIBLINGS_MAX >= (SGN_REPLICAS_MAX + 1) * SGN_SIBLINGS_MINT_MAX,
               "when all homes, cut off from each other, went to the limit, they still merge");
_Static_assert(SGN_VALUE_BYTES_MAX < SGN_RECORD_BYTES_MAX, "one value must fit a record");
_Static_assert((SGN_PARTITIONS_MAX & (SGN_PARTITIONS_MAX - 1)) == 0, "a power of two");
_Static_assert((SGN_TREE_LEAVES & (SGN_TREE_LEAVES - 1)) == 0, "a power of two");
_Static_assert(SGN_EFFECTS_MAX >= SGN_COMBINE_MAX * (2 * SGN_REPLICAS_MAX + 4),
               "one commit may answer every write folded into it and send to all their replicas");

#endif
