#include "ring/core/ring.h"

#include "ring/core/check.h"
#include "ring/core/key.h"
#include "ring/core/prng.h"

/* The description as bytes, little-endian:
 *   u8 format | u8 name_bytes | u8 replica_count | u8 0 | u32 epoch | u32 partition_count
 *   u32 member_count | name
 *   member_count x { u32 id, u32 weight, u8 zone, u8 address_bytes, address } */
#define RING_FORMAT         1u
#define DIGEST_MEMBER_BYTES 9u
#define DIGEST_HEAD_BYTES   14u
#define DIGEST_BYTES_MAX                                                                           \
    (DIGEST_HEAD_BYTES + SGN_RING_NAME_BYTES_MAX + SGN_NODES_MAX * DIGEST_MEMBER_BYTES)

_Static_assert(16u + SGN_RING_NAME_BYTES_MAX + SGN_NODES_MAX * (10u + SGN_ADDRESS_BYTES_MAX) <=
                   SGN_RING_BYTES_MAX,
               "the largest ring must fit its buffer");
_Static_assert(SGN_ZONES_MAX <= UINT8_MAX, "a zone is one byte on the wire");

int sgn_ring_find(const struct sgn_ring *ring, uint32_t node_id)
{
    uint32_t low = 0;
    uint32_t high = ring->member_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ring->members[middle].id < node_id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < ring->member_count && ring->members[low].id == node_id ? (int)low : -1;
}

uint64_t sgn_ring_stand_in_hash(uint32_t partition, uint32_t node_id)
{
    return sgn_mix64(((uint64_t)partition << 32 | node_id) + UINT64_C(0x9e3779b97f4a7c15));
}

static const uint16_t *ring_row(const struct sgn_ring *ring, uint32_t partition)
{
    SGN_ASSERT(partition < ring->partition_count);
    return ring->table + (size_t)partition * ring->replica_count;
}

uint32_t sgn_ring_preference(const struct sgn_ring *ring,
                             uint32_t partition,
                             uint32_t *nodes,
                             uint32_t max)
{
    const uint16_t *row = ring_row(ring, partition);
    uint32_t homes = ring->replica_count < max ? ring->replica_count : max;
    uint32_t count = homes;
    uint64_t hashes[SGN_NODES_MAX]; /* Of nodes[homes..], which stay sorted by it. */
    for (uint32_t i = 0; i < homes; i++) {
        nodes[i] = ring->members[row[i]].id;
    }
    for (uint32_t i = 0; i < ring->member_count && homes < max; i++) {
        uint32_t id = ring->members[i].id;
        if (sgn_ring_is_home(ring, partition, id, ring->replica_count)) {
            continue;
        }
        uint64_t hash = sgn_ring_stand_in_hash(partition, id);
        uint32_t at = count;
        if (count < max) {
            count++;
        } else if (hash >= hashes[count - 1]) {
            continue;
        } else {
            at = count - 1; /* The last one makes room. */
        }
        for (; at > homes && hashes[at - 1] > hash; at--) {
            nodes[at] = nodes[at - 1];
            hashes[at] = hashes[at - 1];
        }
        nodes[at] = id;
        hashes[at] = hash;
    }
    return count;
}

bool sgn_ring_is_home(const struct sgn_ring *ring, uint32_t partition, uint32_t node_id, uint32_t n)
{
    const uint16_t *row = ring_row(ring, partition);
    SGN_ASSERT(n <= ring->replica_count);
    for (uint32_t i = 0; i < n; i++) {
        if (ring->members[row[i]].id == node_id) {
            return true;
        }
    }
    return false;
}

uint64_t sgn_ring_digest(const struct sgn_ring *ring)
{
    uint8_t bytes[DIGEST_BYTES_MAX];
    struct sgn_sink sink = sgn_sink_of(bytes, sizeof(bytes));
    size_t name_bytes = strlen(ring->name);
    sgn_sink_uint(&sink, name_bytes, 1);
    sgn_sink_put(&sink, ring->name, name_bytes);
    sgn_sink_uint(&sink, ring->epoch, 4);
    sgn_sink_uint(&sink, ring->partition_count, 4);
    sgn_sink_uint(&sink, ring->replica_count, 1);
    sgn_sink_uint(&sink, ring->member_count, 4);
    for (uint32_t i = 0; i < ring->member_count; i++) {
        sgn_sink_uint(&sink, ring->members[i].id, 4);
        sgn_sink_uint(&sink, ring->members[i].weight, 4);
        sgn_sink_uint(&sink, ring->members[i].zone, 1);
    }
    SGN_ASSERT(!sink.full);
    return sgn_hash(sgn_sink_bytes(&sink));
}

void sgn_ring_encode(const struct sgn_ring *ring, struct sgn_sink *sink)
{
    size_t name_bytes = strlen(ring->name);
    sgn_sink_uint(sink, RING_FORMAT, 1);
    sgn_sink_uint(sink, name_bytes, 1);
    sgn_sink_uint(sink, ring->replica_count, 1);
    sgn_sink_uint(sink, 0, 1);
    sgn_sink_uint(sink, ring->epoch, 4);
    sgn_sink_uint(sink, ring->partition_count, 4);
    sgn_sink_uint(sink, ring->member_count, 4);
    sgn_sink_put(sink, ring->name, name_bytes);
    for (uint32_t i = 0; i < ring->member_count; i++) {
        const struct sgn_member *member = &ring->members[i];
        size_t address_bytes = strlen(member->address);
        sgn_sink_uint(sink, member->id, 4);
        sgn_sink_uint(sink, member->weight, 4);
        sgn_sink_uint(sink, member->zone, 1);
        sgn_sink_uint(sink, address_bytes, 1);
        sgn_sink_put(sink, member->address, address_bytes);
    }
}

/* Whether an address can be one is for those who connect to say; here it must be short and
 * printable, so that it can be shown. It may be empty: a simulated node has none. */
static bool address_valid(struct sgn_bytes address)
{
    const uint8_t *raw = address.ptr;
    for (size_t i = 0; i < address.count; i++) {
        if (raw[i] <= ' ' || raw[i] > '~') {
            return false;
        }
    }
    return address.count <= SGN_ADDRESS_BYTES_MAX;
}

/* Reads one member; false if it is not one that may follow `id_before`. */
static bool member_decode(struct sgn_cursor *cursor, uint32_t id_before, struct sgn_member *member)
{
    *member = (struct sgn_member){.id = (uint32_t)sgn_cursor_uint(cursor, 4)};
    member->weight = (uint32_t)sgn_cursor_uint(cursor, 4);
    member->zone = (uint32_t)sgn_cursor_uint(cursor, 1);
    struct sgn_bytes address = sgn_cursor_take(cursor, sgn_cursor_uint(cursor, 1));
    if (cursor->bad || member->id <= id_before || member->weight < 1 ||
        member->weight > SGN_WEIGHT_MAX || member->zone >= SGN_ZONES_MAX ||
        !address_valid(address)) {
        return false;
    }
    if (address.count > 0) {
        memcpy(member->address, address.ptr, address.count);
    }
    return true;
}

/* What stands before the members. */
struct head {
    uint32_t replica_count;
    uint32_t epoch;
    uint32_t partition_count;
    uint32_t member_count;
    struct sgn_bytes name;
};

static bool head_decode(struct sgn_cursor *cursor, struct head *head)
{
    uint64_t format = sgn_cursor_uint(cursor, 1);
    size_t name_bytes = sgn_cursor_uint(cursor, 1);
    head->replica_count = (uint32_t)sgn_cursor_uint(cursor, 1);
    uint64_t zero = sgn_cursor_uint(cursor, 1);
    head->epoch = (uint32_t)sgn_cursor_uint(cursor, 4);
    head->partition_count = (uint32_t)sgn_cursor_uint(cursor, 4);
    head->member_count = (uint32_t)sgn_cursor_uint(cursor, 4);
    head->name = sgn_cursor_take(cursor, name_bytes);
    return !cursor->bad && format == RING_FORMAT && zero == 0 && head->epoch >= 1 &&
           head->name.count <= SGN_RING_NAME_BYTES_MAX && sgn_bucket_name_valid(head->name) &&
           head->replica_count >= 1 && head->replica_count <= SGN_REPLICAS_MAX &&
           head->partition_count >= SGN_PARTITIONS_MIN &&
           head->partition_count <= SGN_PARTITIONS_MAX &&
           sgn_popcount(head->partition_count) == 1 && head->member_count <= SGN_NODES_MAX &&
           head->member_count >= head->replica_count;
}

enum sgn_err sgn_ring_decode(struct sgn_bytes bytes, struct sgn_ring *ring)
{
    struct sgn_cursor cursor = sgn_cursor_of(bytes);
    struct head head;
    if (!head_decode(&cursor, &head)) {
        return SGN_ERR_INVALID;
    }
    /* Read twice, so that nothing of a bad description gets into the ring. */
    struct sgn_cursor again = cursor;
    struct sgn_member member = {.id = 0};
    for (uint32_t i = 0; i < head.member_count; i++) {
        if (!member_decode(&cursor, member.id, &member)) {
            return SGN_ERR_INVALID;
        }
    }
    if (cursor.left != 0) {
        return SGN_ERR_INVALID;
    }
    memset(ring->name, 0, sizeof(ring->name));
    memcpy(ring->name, head.name.ptr, head.name.count);
    ring->epoch = head.epoch;
    ring->partition_count = head.partition_count;
    ring->replica_count = head.replica_count;
    ring->member_count = head.member_count;
    for (uint32_t i = 0; i < head.member_count; i++) {
        uint32_t id_before = i == 0 ? 0 : ring->members[i - 1].id;
        bool good = member_decode(&again, id_before, &ring->members[i]);
        SGN_ASSERT(good);
    }
    return SGN_OK;
}
