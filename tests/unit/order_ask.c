#include "tests/unit/order_ask.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "ring/core/items.h"
#include "ring/core/ordered.h"

void order_ring(uint32_t nodes, uint32_t replicas)
{
    mini_init(&ring, nodes, replicas, 8);
    mini_pass(&ring, 600);
    struct sgn_msg msg = msg_of(SGN_MSG_BUCKET_PUT, "ord", "", "");
    msg.b = sgn_bucket_props_pack(SGN_BUCKET_ORDERED, 0, 0, 0);
    cr_assert_eq(ask(1, msg), SGN_OK, "%s", ring.reply.text);
    mini_pass(&ring, 1000);
}

void order_drop_after(uint32_t ms)
{
    ring.tombstone_ms = ms;
    for (uint32_t node = 1; node <= ring.node_count; node++) {
        mini_down(&ring, node);
        mini_up(&ring, node);
    }
    mini_pass(&ring, 2000);
}

static void fleet(bool hosted)
{
    static const char *names[3] = {"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"};
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(ask(1, change_of(SGN_MAP_ADD_WITNESS, hosted ? i + 1 : 0, names[i])), SGN_OK);
        mini_witness_up(&ring, (uint32_t)ring.reply.a);
        mini_pass(&ring, 1000);
    }
    mini_pass(&ring, 3000);
    cr_assert_eq(sgn_engine_map(ring.nodes[0].engine)->lines[0].group_count, 3);
}

void order_fleet(void)
{
    fleet(false);
}

void order_hosted_fleet(void)
{
    fleet(true);
}

uint32_t order_witness(uint32_t index)
{
    return sgn_engine_map(ring.nodes[0].engine)->witnesses[index].id;
}

struct sgn_msg order_msg(uint32_t node, enum sgn_msg_type type, const char *key, const char *value)
{
    static uint32_t serial;
    struct sgn_msg msg = msg_of(type, "ord", key, value);
    serial++;
    memcpy(msg.id.bytes, &serial, sizeof(serial));
    msg.stamp = sgn_engine_stamp(ring.nodes[node - 1].engine);
    return msg;
}

int order_put(uint32_t node, const char *key, const char *value)
{
    return ask(node, order_msg(node, SGN_MSG_PUT, key, value));
}

int order_del(uint32_t node, const char *key)
{
    return ask(node, order_msg(node, SGN_MSG_DEL, key, ""));
}

bool order_reads(uint32_t node, const char *key, enum sgn_read_mode mode, const char *value)
{
    struct sgn_msg msg = order_msg(node, SGN_MSG_GET, key, "");
    msg.a = mode;
    int err = ask(node, msg);
    if (value == NULL) {
        return err == SGN_ERR_NOT_FOUND;
    }
    return err == SGN_OK && sgn_bytes_equal(sgn_bytes_of(ring.reply.value, ring.reply.value_count),
                                            sgn_bytes_str(value));
}

const char *order_list(uint32_t node, const char *prefix, enum sgn_read_mode mode, uint32_t limit)
{
    static char text[1 << 16];
    size_t at = 0;
    uint8_t last[1200];
    struct sgn_msg msg = msg_of(SGN_MSG_LIST, "ord", prefix, "");
    msg.a = mode;
    msg.n = limit;
    text[0] = '\0';
    do {
        cr_assert_eq(ask(node, msg), SGN_OK, "%s", ring.reply.text);
        cr_assert((ring.reply.flags & SGN_RESULT_ORDERED) != 0);
        struct sgn_cursor cursor =
            sgn_cursor_of(sgn_bytes_of(ring.reply.items, ring.reply.items_count));
        struct sgn_bytes key;
        struct sgn_bytes value;
        uint32_t rows = 0;
        while (sgn_items_next(&cursor, &key, &value)) {
            struct sgn_version version;
            cr_assert_eq(value.count, SGN_VERSION_BYTES + 4);
            cr_assert_eq(sgn_version_take(sgn_bytes_of(value.ptr, SGN_VERSION_BYTES), &version),
                         SGN_OK);
            cr_assert(version.rev > 0);
            at += (size_t)snprintf(
                text + at,
                sizeof(text) - at,
                "%.*s=%u ",
                (int)key.count,
                (const char *)key.ptr,
                (unsigned)sgn_get_uint((const uint8_t *)value.ptr + SGN_VERSION_BYTES, 4));
            cr_assert(at < sizeof(text) && ++rows <= limit);
        }
        memcpy(last, ring.reply.after, ring.reply.after_count);
        msg.after = sgn_bytes_of(last, ring.reply.after_count);
    } while ((ring.reply.flags & SGN_RESULT_END) == 0);
    return text;
}

bool order_at_once(uint32_t node, struct sgn_msg msg)
{
    uint32_t before = ring.reply.count;
    mini_request(&ring, node, msg);
    mini_run(&ring);
    return ring.reply.count != before;
}

void order_leave_pending(uint32_t node, const char *key, const char *value)
{
    struct sgn_msg before = order_msg(node, SGN_MSG_PUT, "before", value);
    struct sgn_msg msg = order_msg(node, SGN_MSG_PUT, key, value);
    before.forwarded = msg.forwarded = true; /* Coordinated here. */
    cr_assert_eq(ask(node, before), SGN_OK); /* Its promise ceiling is high enough now. */
    ring.nodes[node - 1].halt_at_store = 1;
    cr_assert_not(order_at_once(node, msg));
    cr_assert(ring.nodes[node - 1].halted);
    mini_down(&ring, node);
}

bool order_seats(uint32_t as_told_by, uint32_t node, int state)
{
    const struct sgn_map *map = sgn_engine_map(ring.nodes[as_told_by - 1].engine);
    for (uint32_t i = 0; i < map->partition_count; i++) {
        int seat = sgn_line_seat(&map->lines[i], node);
        if (seat >= 0 && map->lines[i].seats[seat].state != state) {
            return false;
        }
    }
    return true;
}
