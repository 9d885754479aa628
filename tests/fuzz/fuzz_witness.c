/* Any bytes as requests to a witness of a small ring: each is answered, and the table stays whole.
 *
 * Input: pieces of u8 type | u8 node | u16 bytes | bytes, the last one as long as it is. */
#include <stdlib.h>

#include "ring/core/check.h"
#include "ring/core/limits.h"
#include "ring/core/witness.h"
#include "ring/core/witness_state.h"

#define PARTS       8u
#define ENTRIES_MAX 64u
#define ID          (SGN_WITNESS_BIT | 1u)
#define BIRTH       1u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t room_bytes[SGN_PAGE_BYTES_MAX];

static void step(struct sgn_witness *witness, const struct sgn_msg *request)
{
    struct sgn_sink room = sgn_sink_of(room_bytes, sizeof(room_bytes));
    struct sgn_msg answer;
    sgn_witness_step(witness, 5000, request, &room, &answer);
    SGN_ASSERT(answer.type == SGN_MSG_WITNESS_ANSWER);
    SGN_ASSERT(answer.b == BIRTH);
    SGN_ASSERT(answer.err == SGN_OK || answer.items.count == 0);
    sgn_witness_table_check(&witness->table);
}

/* Version 1: all partitions list it, with one replica, so that one seed makes it active. */
static void adopt(struct sgn_witness *witness)
{
    static struct sgn_line lines[PARTS];
    static uint8_t raw[1u << 14];
    struct sgn_map map = {.version = 1,
                          .partition_count = PARTS,
                          .group_size = 1,
                          .witness_count = 1,
                          .witnesses[0] = {.id = ID, .incarnation = BIRTH, .address = "a:1"},
                          .lines = lines};
    for (uint32_t p = 0; p < PARTS; p++) {
        lines[p] = (struct sgn_line){.epoch = 1,
                                     .seat_count = 1,
                                     .seats[0] = {.node = 1, .sets = SGN_SET_NEW, .since = 1},
                                     .group_count = 1,
                                     .group[0] = {ID, BIRTH}};
    }
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    sgn_map_encode(&map, &sink);
    struct sgn_msg msg = {.type = SGN_MSG_MAP_IS, .value = sgn_sink_bytes(&sink)};
    step(witness, &msg);
    SGN_ASSERT(witness->counts.partitions_listed == PARTS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum sgn_msg_type types[] = {
        SGN_MSG_MAP_IS, SGN_MSG_WITNESS, SGN_MSG_SEED, SGN_MSG_PING, SGN_MSG_GET};
    struct sgn_witness_options options = {ID, BIRTH, ENTRIES_MAX, 0};
    void *memory = calloc(1, sgn_witness_bytes(PARTS, ENTRIES_MAX));
    SGN_ASSERT(memory != NULL);
    struct sgn_witness *witness = sgn_witness_init(memory, PARTS, &options);
    struct sgn_cursor cursor = sgn_cursor_of(sgn_bytes_of(data, size));
    adopt(witness);
    while (cursor.left >= 4) {
        struct sgn_msg msg = {.type = types[sgn_cursor_uint(&cursor, 1) % 5], .a = BIRTH};
        msg.node = (uint32_t)sgn_cursor_uint(&cursor, 1);
        size_t count = sgn_cursor_uint(&cursor, 2);
        struct sgn_bytes bytes =
            sgn_cursor_take(&cursor, count < cursor.left ? count : cursor.left);
        msg.value = bytes;
        msg.items = bytes;
        step(witness, &msg);
    }
    struct sgn_witness_counts counts;
    sgn_witness_counts(witness, &counts);
    SGN_ASSERT(counts.partitions_active + counts.partitions_dropped <= counts.partitions_listed);
    SGN_ASSERT(counts.entries <= ENTRIES_MAX);
    free(memory);
    return 0;
}
