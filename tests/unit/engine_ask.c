#include "tests/unit/engine_ask.h"

#include <criterion/criterion.h>

#include "ring/core/key.h"

struct mini_ring ring;

struct sgn_msg msg_of(enum sgn_msg_type type,
                      const char *bucket,
                      const char *key,
                      const char *value)
{
    static uint8_t serial;
    struct sgn_msg msg = {.type = type,
                          .bucket = sgn_bytes_str(bucket),
                          .key = sgn_bytes_str(key),
                          .value = sgn_bytes_str(value)};
    msg.id.bytes[0] = ++serial;
    msg.id.bytes[1] = 1;
    return msg;
}

int ask(uint32_t node, struct sgn_msg msg)
{
    uint32_t before = ring.reply.count;
    mini_request(&ring, node, msg);
    mini_run(&ring);
    for (int i = 0; i < 200 && ring.reply.count == before; i++) {
        mini_pass(&ring, SGN_TICK_MS);
    }
    cr_assert_eq(ring.reply.count, before + 1, "one reply, not %u", ring.reply.count - before);
    return ring.reply.err;
}

struct sgn_msg change_of(enum sgn_map_change what, uint64_t b, const char *address)
{
    struct sgn_msg msg = msg_of(SGN_MSG_MAP_CHANGE, "", "", "");
    msg.a = what;
    msg.b = b;
    msg.text = sgn_bytes_str(address);
    return msg;
}

void available_ring(uint32_t nodes, uint32_t replicas, uint32_t partitions)
{
    mini_init(&ring, nodes, replicas, partitions);
    struct sgn_msg make = msg_of(SGN_MSG_BUCKET_PUT, BUCKET, "", "");
    make.b = sgn_bucket_props_pack(SGN_BUCKET_AVAILABLE, 0, 0, 0);
    cr_assert_eq(ask(1, make), SGN_OK, "%s", ring.reply.text);
    mini_pass(&ring, 600);
}

int put(uint32_t node, const char *key, const char *value)
{
    return ask(node, msg_of(SGN_MSG_PUT, BUCKET, key, value));
}

int get(uint32_t node, const char *key, uint32_t r)
{
    struct sgn_msg msg = msg_of(SGN_MSG_GET, BUCKET, key, "");
    msg.n = r;
    return ask(node, msg);
}

struct sgn_record reply_record(void)
{
    struct sgn_record record;
    cr_assert_eq(sgn_record_decode(sgn_bytes_of(ring.reply.value, ring.reply.value_count),
                                   SGN_RECORD_WITH_BODIES,
                                   &record),
                 SGN_OK);
    return record;
}

bool reads(uint32_t node, const char *key, uint32_t r, const char *value)
{
    if (get(node, key, r) != SGN_OK) {
        return false;
    }
    struct sgn_record record = reply_record();
    return record.sibling_count == 1 &&
           sgn_bytes_equal(record.siblings[0].body, sgn_bytes_str(value));
}

uint32_t home_of(const char *key, uint32_t rank)
{
    uint8_t raw[1200];
    uint32_t nodes[SGN_NODES_MAX];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    sgn_full_key_encode(sgn_bytes_str(BUCKET), sgn_bytes_str(key), &sink);
    uint32_t partition =
        sgn_partition_of(sgn_hash(sgn_sink_bytes(&sink)), ring.shape.partition_count);
    cr_assert(sgn_ring_preference(&ring.shape, partition, nodes, SGN_NODES_MAX) > rank);
    return nodes[rank];
}

struct mini_entry *data_of(uint32_t node, const char *key)
{
    uint8_t raw[1200];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    sgn_full_key_encode(sgn_bytes_str(BUCKET), sgn_bytes_str(key), &sink);
    return mini_find(&ring.nodes[node - 1], SGN_FAMILY_DATA, raw, sink.count);
}

struct sgn_engine_counts counts_of(uint32_t node)
{
    struct sgn_engine_counts counts;
    sgn_engine_counts(ring.nodes[node - 1].engine, &counts);
    return counts;
}

bool trees_equal(void)
{
    for (uint32_t p = 0; p < ring.shape.partition_count; p++) {
        uint32_t homes[SGN_REPLICAS_MAX];
        sgn_ring_preference(&ring.shape, p, homes, ring.shape.replica_count);
        for (uint32_t i = 1; i < ring.shape.replica_count; i++) {
            if (sgn_engine_tree_root(ring.nodes[homes[i] - 1].engine, p) !=
                sgn_engine_tree_root(ring.nodes[homes[0] - 1].engine, p)) {
                return false;
            }
        }
    }
    return true;
}

void assert_idle(void)
{
    for (uint32_t i = 0; i < ring.node_count; i++) {
        for (int wait = 0; wait < 300 && !sgn_engine_is_idle(ring.nodes[i].engine); wait++) {
            mini_pass(&ring, SGN_TICK_MS);
        }
        cr_assert(sgn_engine_is_idle(ring.nodes[i].engine), "node %u is not idle", i + 1);
    }
}
