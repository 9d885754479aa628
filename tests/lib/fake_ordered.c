/* See fake_ordered.h. */
#include "tests/lib/fake_ordered.h"

#include <string.h>

#include "ring/core/items.h"
#include "ring/core/map.h"
#include "ring/core/ordered.h"
#include "tests/lib/fake_nodes.h"

#define KEYS         64u
#define RECORD_BYTES 8192u
#define PARTITIONS   64u

struct cell {
    char key[64];
    uint8_t raw[RECORD_BYTES];
    size_t count;
};

pthread_mutex_t fake_seen_mutex = PTHREAD_MUTEX_INITIALIZER;
uint32_t fake_seen_count;
struct fake_seen fake_seen[FAKE_SEEN_MAX];
atomic_uint fake_read_mode;
atomic_uint fake_map_change;
atomic_ullong fake_map_what;
atomic_uint fake_witnesses;
static struct cell cells[KEYS]; /* Of the fake thread alone, as all that follows. */
static uint32_t cell_count;
static uint64_t rounds;
static uint8_t room[1u << 20];

void fake_seen_clear(void)
{
    pthread_mutex_lock(&fake_seen_mutex);
    fake_seen_count = 0;
    pthread_mutex_unlock(&fake_seen_mutex);
}

static void note(uint32_t node, const struct sgn_msg *msg)
{
    pthread_mutex_lock(&fake_seen_mutex);
    if (fake_seen_count < FAKE_SEEN_MAX) {
        fake_seen[fake_seen_count] = (struct fake_seen){.node = node,
                                                        .type = (uint32_t)msg->type,
                                                        .flags = msg->flags,
                                                        .id = msg->id,
                                                        .stamp = msg->stamp};
    }
    fake_seen_count++;
    pthread_mutex_unlock(&fake_seen_mutex);
}

static struct cell *cell_of(struct sgn_bytes key)
{
    for (uint32_t i = 0; i < cell_count; i++) {
        if (sgn_bytes_equal(sgn_bytes_str(cells[i].key), key)) {
            return &cells[i];
        }
    }
    CHECK(cell_count < KEYS && key.count < sizeof(cells[0].key));
    memcpy(cells[cell_count].key, key.ptr, key.count);
    return &cells[cell_count++];
}

static void read_cell(const struct cell *cell, struct sgn_ordered *record)
{
    CHECK(sgn_ordered_decode(sgn_bytes_of(cell->raw, cell->count), true, record) == SGN_OK);
}

static void give_version(const struct sgn_version *version, struct sgn_msg *answer)
{
    static uint8_t raw[SGN_VERSION_BYTES];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    sgn_version_put(&sink, version);
    answer->context = sgn_sink_bytes(&sink);
    answer->flags |= SGN_RESULT_ORDERED;
}

/* A put, del or resolve as one undisturbed classic round (3.1). */
static void change(uint32_t node, const struct sgn_msg *msg, struct sgn_msg *answer)
{
    static struct sgn_ordered current, next;
    struct cell *cell = cell_of(msg->key);
    struct sgn_decision decision;
    struct sgn_change asked = {.kind = msg->type == SGN_MSG_PUT   ? SGN_CHANGE_PUT
                                       : msg->type == SGN_MSG_DEL ? SGN_CHANGE_DEL
                                                                  : SGN_CHANGE_RESOLVE,
                               .id = msg->id,
                               .stamp = msg->stamp,
                               .body = msg->value};
    note(node, msg);
    CHECK(msg->stamp != 0);
    if ((msg->flags & SGN_PUT_IF_ABSENT) != 0) {
        asked.condition = SGN_IF_ABSENT;
    } else if ((msg->flags & SGN_PUT_IF_VERSION) != 0) {
        asked.condition = SGN_IF_VERSION;
        CHECK(sgn_version_take(msg->context, &asked.expect) == SGN_OK);
    }
    read_cell(cell, &current);
    if (sgn_bytes_equal(msg->key, sgn_bytes_str(FAKE_SPENT_KEY))) {
        current.ops_floor = UINT64_MAX;
    }
    struct sgn_ballot ballot = {
        .hlc = sgn_hlc_of_ms(2000000) + ++rounds, .node = node, .incarnation = 1};
    sgn_ordered_decide(&current, &asked, &ballot, &next, &decision);
    struct sgn_sink sink = sgn_sink_of(room, sizeof(room));
    sgn_ordered_encode(&next, true, &sink); /* Points into the cell: by way of other memory. */
    CHECK(!sink.full && sink.count <= sizeof(cell->raw));
    memcpy(cell->raw, room, sink.count);
    cell->count = sink.count;
    answer->err = (int32_t)decision.result;
    if (decision.result == SGN_OK || decision.result == SGN_ERR_CONDITION) {
        give_version(&decision.version, answer);
    }
}

static void read(uint32_t node, const struct sgn_msg *msg, struct sgn_msg *answer)
{
    static char receipt[256];
    static struct sgn_ordered record;
    atomic_store(&fake_read_mode, (unsigned)msg->a);
    read_cell(cell_of(msg->key), &record);
    if (msg->a == SGN_READ_SESSION && msg->context.count > 0) {
        struct sgn_version least;
        CHECK(sgn_version_take(msg->context, &least) == SGN_OK);
        if (record.version.rev < least.rev) { /* 5.4; here there is nobody to escalate to. */
            answer->err = SGN_ERR_UNAVAILABLE;
            return;
        }
    }
    give_version(&record.version, answer);
    if ((msg->flags & SGN_GET_EXPLAIN) != 0) {
        snprintf(receipt,
                 sizeof(receipt),
                 "{\"path\":\"fast\",\"replica\":%u,\"witnesses\":[{\"id\":1,\"answer\":\"none\"}],"
                 "\"us\":{\"check\":120,\"read\":30}}",
                 node);
        answer->items = sgn_bytes_str(receipt);
    }
    if (sgn_ordered_is_dead(&record)) {
        answer->err = SGN_ERR_NOT_FOUND;
    } else if ((msg->flags & SGN_GET_HEAD_ONLY) != 0) {
        answer->a = record.body_bytes;
    } else {
        answer->value = record.body;
    }
}

static void list(const struct sgn_msg *msg, struct sgn_msg *answer)
{
    static struct sgn_ordered record;
    struct sgn_sink sink = sgn_sink_of(room, sizeof(room));
    atomic_store(&fake_read_mode, (unsigned)msg->a);
    for (uint32_t i = 0; i < cell_count; i++) {
        uint8_t raw[SGN_VERSION_BYTES + 4];
        struct sgn_sink one = sgn_sink_of(raw, sizeof(raw));
        read_cell(&cells[i], &record);
        if (sgn_ordered_is_dead(&record) ||
            !sgn_bytes_starts(sgn_bytes_str(cells[i].key), msg->key)) {
            continue;
        }
        sgn_version_put(&one, &record.version);
        sgn_sink_uint(&one, record.body_bytes, 4);
        sgn_items_push(&sink, sgn_bytes_str(cells[i].key), sgn_sink_bytes(&one));
    }
    answer->items = sgn_sink_bytes(&sink);
    answer->flags = SGN_RESULT_END | SGN_RESULT_ORDERED;
}

static char fleet[SGN_WITNESSES_MAX][64];

static uint32_t add_witness(struct sgn_bytes address)
{
    uint32_t count = atomic_load(&fake_witnesses);
    for (uint32_t i = 0; i < count; i++) {
        if (sgn_bytes_equal(sgn_bytes_str(fleet[i]), address)) {
            return i + 1; /* Listed already. */
        }
    }
    CHECK(count < SGN_WITNESSES_MAX && address.count < sizeof(fleet[0]));
    memcpy(fleet[count], address.ptr, address.count);
    atomic_store(&fake_witnesses, count + 1);
    return count + 1;
}

/* Version 9: partition 3 is fenced and has a replica out and one that catches up. */
static void give_map(struct sgn_msg *answer)
{
    static struct sgn_line lines[PARTITIONS];
    struct sgn_map map = {.version = 9,
                          .partition_count = PARTITIONS,
                          .group_size = 3,
                          .hash_seed = 1,
                          .witness_count = atomic_load(&fake_witnesses),
                          .lines = lines};
    memset(lines, 0, sizeof(lines));
    for (uint32_t i = 0; i < map.witness_count; i++) {
        map.witnesses[i] =
            (struct sgn_witness_member){.id = SGN_WITNESS_BIT | (i + 1), .incarnation = 7};
        memcpy(map.witnesses[i].address, fleet[i], sizeof(map.witnesses[i].address));
    }
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        lines[p].epoch = 2;
        lines[p].seat_count = 3;
        for (uint32_t i = 0; i < 3; i++) {
            lines[p].seats[i] =
                (struct sgn_seat){.node = (p + i) % 3 + 1, .sets = SGN_SET_NEW, .since = 2};
        }
        lines[p].group_count = map.witness_count < 3 ? map.witness_count > 0 : 3;
        for (uint32_t i = 0; i < lines[p].group_count; i++) {
            lines[p].group[i] = (struct sgn_group_member){SGN_WITNESS_BIT | (i + 1), 7};
        }
    }
    lines[3].epoch = 9;
    lines[3].seats[1].state = SGN_SEAT_CATCHING_UP;
    lines[3].seats[1].since = 9;
    lines[3].seats[2].state = SGN_SEAT_OUT;
    lines[3].fence_count = 1;
    lines[3].fences[0] = (struct sgn_fence){.epoch = 2,
                                            .group_count = 1,
                                            .group = {{SGN_WITNESS_BIT | 1, 6}},
                                            .in_sync_count = 1,
                                            .in_sync = {1}};
    struct sgn_sink sink = sgn_sink_of(room, sizeof(room));
    sgn_map_encode(&map, &sink);
    CHECK(!sink.full);
    answer->value = sgn_sink_bytes(&sink);
}

bool fake_ordered_work(uint32_t node, const struct sgn_msg *msg, struct sgn_msg *answer)
{
    bool is_ours = msg->bucket.count > 0 && !sgn_bytes_equal(msg->bucket, sgn_bytes_str("loose"));
    bool is_conditional = (msg->flags & (SGN_PUT_IF_ABSENT | SGN_PUT_IF_VERSION)) != 0;
    if (msg->type == SGN_MSG_MAP) {
        give_map(answer);
    } else if (msg->type == SGN_MSG_MAP_CHANGE) {
        atomic_store(&fake_map_what, msg->b);
        atomic_store(&fake_map_change, (unsigned)msg->a);
        if (msg->a == SGN_MAP_ADD_WITNESS) {
            answer->a = SGN_WITNESS_BIT | add_witness(msg->text);
        }
    } else if (!is_ours &&
               ((is_conditional && (msg->type == SGN_MSG_PUT || msg->type == SGN_MSG_DEL)) ||
                msg->type == SGN_MSG_RESOLVE)) {
        answer->err = SGN_ERR_NOT_ORDERED;
    } else if (!is_ours && (msg->type == SGN_MSG_GET || msg->type == SGN_MSG_LIST) &&
               msg->a == SGN_READ_STRONG) {
        answer->err = SGN_ERR_NOT_STRONG;
    } else if (!is_ours) {
        return false;
    } else if (msg->type == SGN_MSG_GET) {
        read(node, msg, answer);
    } else if (msg->type == SGN_MSG_LIST) {
        list(msg, answer);
    } else if (msg->type == SGN_MSG_PUT || msg->type == SGN_MSG_DEL ||
               msg->type == SGN_MSG_RESOLVE) {
        change(node, msg, answer);
    } else {
        return false;
    }
    return true;
}
