/* ring/core/map_codec.c - the map as bytes. One map has exactly one form, so that equal maps are
 * equal bytes; decode refuses every other.
 *
 *   u8 format | u32 version | u32 partition_count | u8 group_size | u8 witness_count | u64
 * hash_seed
 *   witness_count x { u32 id | u32 incarnation | u8 leaving + 2 * address_bytes + 128 * hosted |
 *                     if it is: v host | address }
 *   u32 disk_count | disk_count x { u32 node | u64 disk }, by node
 *   partition_count x line
 * and with v a number of 7 bits a byte, low ones first:
 *   line:   v epoch | u8 counts: seats, joint, has floor | u8 counts: group, fences
 *           if it has: u64 floor | u64 floor_stamp
 *           seats x { v node | u8 state, sets, caught | v epoch - since }
 *           group x member | fences x fence
 *   fence:  v epoch of the line - its own | u8 counts: in_sync, group | group x member
 *           in_sync x { v node }
 *   member: u8 place among the witnesses | v incarnation ^ that of the witness there */
#include "ring/core/check.h"
#include "ring/core/map.h"

#define MAP_FORMAT        2u
#define VARINT_BYTES_MAX  5u
#define HEAD_BYTES        19u
#define WITNESS_BYTES_MAX (9u + VARINT_BYTES_MAX + SGN_ADDRESS_BYTES_MAX)
#define HOSTED            0x80u
#define DISK_BYTES        12u
#define MEMBER_BYTES_MAX  (1u + VARINT_BYTES_MAX)
#define SEAT_BYTES_MAX    (1u + 2u * VARINT_BYTES_MAX)
#define FENCE_BYTES_MAX                                                                            \
    (1u + VARINT_BYTES_MAX * (1u + SGN_SEATS_MAX) + SGN_GROUP_MAX * MEMBER_BYTES_MAX)
#define LINE_BYTES_MAX                                                                             \
    (18u + VARINT_BYTES_MAX + SGN_SEATS_MAX * SEAT_BYTES_MAX + SGN_GROUP_MAX * MEMBER_BYTES_MAX +  \
     SGN_FENCES_MAX * FENCE_BYTES_MAX)

_Static_assert(SGN_SEATS_MAX <= 15 && SGN_GROUP_MAX <= 15 && SGN_FENCES_MAX <= 15, "4 bits each");
_Static_assert(SGN_WITNESSES_MAX <= UINT8_MAX, "a place is one byte");
_Static_assert(SGN_ADDRESS_BYTES_MAX <= 63, "shares a byte with two flags");
_Static_assert((size_t)SGN_PARTITIONS_MAX *LINE_BYTES_MAX + (64u << 10) < SGN_FRAME_BODY_BYTES_MAX,
               "the largest map must fit a frame");

size_t sgn_map_bytes_max(uint32_t partition_count)
{
    return HEAD_BYTES + (size_t)SGN_WITNESSES_MAX * WITNESS_BYTES_MAX + 4 +
           (size_t)SGN_NODES_MAX * DISK_BYTES + (size_t)partition_count * LINE_BYTES_MAX;
}

static void put_varint(struct sgn_sink *sink, uint32_t value)
{
    while (value >= 0x80) {
        sgn_sink_uint(sink, 0x80 | (value & 0x7f), 1);
        value >>= 7;
    }
    sgn_sink_uint(sink, value, 1);
}

static uint32_t take_byte(struct sgn_cursor *cursor)
{
    return (uint32_t)sgn_cursor_uint(cursor, 1);
}

/* Sets cursor->bad for a number above 32 bits or longer than it need be. */
static uint32_t take_varint(struct sgn_cursor *cursor)
{
    uint64_t value = 0;
    for (uint32_t i = 0; i < VARINT_BYTES_MAX; i++) {
        uint32_t byte = take_byte(cursor);
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            if ((i > 0 && byte == 0) || value > UINT32_MAX) {
                cursor->bad = true;
            }
            return cursor->bad ? 0 : (uint32_t)value;
        }
    }
    cursor->bad = true;
    return 0;
}

static uint32_t witness_place(const struct sgn_map *map, uint32_t id)
{
    for (uint32_t i = 0; i < map->witness_count; i++) {
        if (map->witnesses[i].id == id) {
            return i;
        }
    }
    return map->witness_count;
}

static void put_group(struct sgn_sink *sink,
                      const struct sgn_map *map,
                      const struct sgn_group_member *group,
                      uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = witness_place(map, group[i].id);
        SGN_ASSERT(place < map->witness_count); /* Nobody drops a witness still in use. */
        sgn_sink_uint(sink, place, 1);
        put_varint(sink, group[i].incarnation ^ map->witnesses[place].incarnation);
    }
}

static void put_line(struct sgn_sink *sink, const struct sgn_map *map, const struct sgn_line *line)
{
    put_varint(sink, line->epoch);
    uint32_t bits = (line->joint ? 1u << 4 : 0u) | (line->floor != 0 ? 1u << 5 : 0u);
    sgn_sink_uint(sink, line->seat_count | bits, 1);
    sgn_sink_uint(sink, line->group_count | line->fence_count << 4, 1);
    if (line->floor != 0) {
        sgn_sink_uint(sink, line->floor, 8);
        sgn_sink_uint(sink, line->floor_stamp, 8);
    }
    for (uint32_t i = 0; i < line->seat_count; i++) {
        const struct sgn_seat *seat = &line->seats[i];
        put_varint(sink, seat->node);
        sgn_sink_uint(
            sink, seat->state | (uint32_t)seat->sets << 2 | (uint32_t)seat->caught << 5, 1);
        put_varint(sink, line->epoch - seat->since);
    }
    put_group(sink, map, line->group, line->group_count);
    for (uint32_t i = 0; i < line->fence_count; i++) {
        const struct sgn_fence *fence = &line->fences[i];
        put_varint(sink, line->epoch - fence->epoch);
        sgn_sink_uint(sink, fence->in_sync_count | fence->group_count << 4, 1);
        put_group(sink, map, fence->group, fence->group_count);
        for (uint32_t k = 0; k < fence->in_sync_count; k++) {
            put_varint(sink, fence->in_sync[k]);
        }
    }
}

void sgn_map_encode(const struct sgn_map *map, struct sgn_sink *sink)
{
    sgn_sink_uint(sink, MAP_FORMAT, 1);
    sgn_sink_uint(sink, map->version, 4);
    sgn_sink_uint(sink, map->partition_count, 4);
    sgn_sink_uint(sink, map->group_size, 1);
    sgn_sink_uint(sink, map->witness_count, 1);
    sgn_sink_uint(sink, map->hash_seed, 8);
    for (uint32_t i = 0; i < map->witness_count; i++) {
        const struct sgn_witness_member *witness = &map->witnesses[i];
        size_t address_bytes = strlen(witness->address);
        sgn_sink_uint(sink, witness->id, 4);
        sgn_sink_uint(sink, witness->incarnation, 4);
        uint32_t bits = (witness->leaving ? 1u : 0u) | (witness->host != 0 ? HOSTED : 0u);
        sgn_sink_uint(sink, address_bytes << 1 | bits, 1);
        if (witness->host != 0) {
            put_varint(sink, witness->host);
        }
        sgn_sink_put(sink, witness->address, address_bytes);
    }
    sgn_sink_uint(sink, map->disk_count, 4);
    for (uint32_t i = 0; i < map->disk_count; i++) {
        sgn_sink_uint(sink, map->disks[i].node, 4);
        sgn_sink_uint(sink, map->disks[i].disk, 8);
    }
    for (uint32_t p = 0; p < map->partition_count; p++) {
        put_line(sink, map, &map->lines[p]);
    }
}

static bool take_witness(struct sgn_cursor *cursor, struct sgn_map *map, uint32_t place)
{
    struct sgn_witness_member *witness = &map->witnesses[place];
    *witness = (struct sgn_witness_member){.id = (uint32_t)sgn_cursor_uint(cursor, 4)};
    witness->incarnation = (uint32_t)sgn_cursor_uint(cursor, 4);
    uint32_t bits = take_byte(cursor);
    bool hosted = (bits & HOSTED) != 0;
    witness->leaving = (bits & 1) != 0;
    witness->host = hosted ? take_varint(cursor) : 0;
    struct sgn_bytes address = sgn_cursor_take(cursor, (bits & ~HOSTED) >> 1);
    if (cursor->bad || (witness->id & SGN_WITNESS_BIT) == 0 ||
        witness->id >= SGN_WITNESS_BIT << 1 || hosted != (witness->host != 0) ||
        witness->host >= SGN_WITNESS_BIT) {
        return false;
    }
    const uint8_t *raw = address.ptr;
    for (size_t i = 0; i < address.count; i++) {
        if (raw[i] <= ' ' || raw[i] > '~') {
            return false;
        }
        witness->address[i] = (char)raw[i];
    }
    for (uint32_t i = 0; i < place; i++) {
        const struct sgn_witness_member *other = &map->witnesses[i];
        if (other->id == witness->id || (hosted && other->host == witness->host)) {
            return false;
        }
    }
    return true;
}

static bool take_disks(struct sgn_cursor *cursor, struct sgn_map *map)
{
    map->disk_count = (uint32_t)sgn_cursor_uint(cursor, 4);
    if (cursor->bad || map->disk_count > SGN_NODES_MAX) {
        return false;
    }
    uint32_t before = 0;
    for (uint32_t i = 0; i < map->disk_count; i++) {
        struct sgn_member_disk *disk = &map->disks[i];
        disk->node = (uint32_t)sgn_cursor_uint(cursor, 4);
        disk->disk = sgn_cursor_uint(cursor, 8);
        if (cursor->bad || disk->node <= before || disk->node >= SGN_WITNESS_BIT ||
            disk->disk == 0) {
            return false;
        }
        before = disk->node;
    }
    return true;
}

/* Sorted by id, incarnations known; an odd number of them, 2f + 1. */
static bool take_group(struct sgn_cursor *cursor,
                       const struct sgn_map *map,
                       struct sgn_group_member *group,
                       uint32_t count)
{
    if (count > SGN_GROUP_MAX || (count > 0 && count % 2 == 0)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = take_byte(cursor);
        uint32_t incarnation = take_varint(cursor);
        if (cursor->bad || place >= map->witness_count) {
            return false;
        }
        group[i].id = map->witnesses[place].id;
        group[i].incarnation = incarnation ^ map->witnesses[place].incarnation;
        if (group[i].incarnation == 0 || (i > 0 && group[i].id <= group[i - 1].id)) {
            return false;
        }
    }
    return true;
}

static bool take_seat(struct sgn_cursor *cursor, struct sgn_line *line, uint32_t place)
{
    struct sgn_seat *seat = &line->seats[place];
    seat->node = take_varint(cursor);
    uint32_t bits = take_byte(cursor);
    uint32_t age = take_varint(cursor);
    seat->state = bits & 3;
    seat->sets = (uint8_t)(bits >> 2 & 7);
    seat->caught = (uint8_t)(bits >> 5);
    if (cursor->bad || seat->node == 0 || seat->node >= SGN_WITNESS_BIT || age > line->epoch ||
        seat->state > SGN_SEAT_OUT || seat->sets == 0 || seat->caught > 1 ||
        (seat->sets & (SGN_SET_OLD | SGN_SET_LOST)) == (SGN_SET_OLD | SGN_SET_LOST) ||
        (seat->sets == SGN_SET_LOST && seat->state != SGN_SEAT_OUT)) { /* Nobody sits there. */
        return false;
    }
    seat->since = line->epoch - age;
    bool plain = seat->sets == SGN_SET_NEW && seat->caught == 0;
    return line->joint || plain;
}

/* The sets that the seats make, and none of them twice. */
static bool seats_valid(const struct sgn_line *line)
{
    uint32_t in_new = 0;
    uint32_t in_old = 0;
    for (uint32_t i = 0; i < line->seat_count; i++) {
        in_new += (line->seats[i].sets & SGN_SET_NEW) != 0 ? 1 : 0;
        in_old += (line->seats[i].sets & (SGN_SET_OLD | SGN_SET_LOST)) != 0 ? 1 : 0;
        if (sgn_line_seat(line, line->seats[i].node) != (int)i) {
            return false;
        }
    }
    return in_new >= 1 && in_new <= SGN_REPLICAS_MAX && in_old <= SGN_REPLICAS_MAX &&
           (in_old > 0) == line->joint && sgn_line_in_sync(line) != 0 &&
           (!line->joint || sgn_line_old_quorum(line, sgn_line_all(line)));
}

static bool take_fence(struct sgn_cursor *cursor,
                       const struct sgn_map *map,
                       struct sgn_line *line,
                       uint32_t place)
{
    struct sgn_fence *fence = &line->fences[place];
    uint32_t age = take_varint(cursor);
    uint32_t counts = take_byte(cursor);
    fence->in_sync_count = counts & 15;
    fence->group_count = counts >> 4;
    if (cursor->bad || age == 0 || age >= line->epoch || fence->in_sync_count == 0 ||
        fence->in_sync_count > SGN_SEATS_MAX || fence->group_count == 0 ||
        !take_group(cursor, map, fence->group, fence->group_count)) {
        return false;
    }
    fence->epoch = line->epoch - age;
    if (place > 0 && fence->epoch <= line->fences[place - 1].epoch) {
        return false;
    }
    for (uint32_t i = 0; i < fence->in_sync_count; i++) {
        uint32_t node = take_varint(cursor);
        if (cursor->bad || node == 0 || node >= SGN_WITNESS_BIT) {
            return false;
        }
        for (uint32_t k = 0; k < i; k++) {
            if (fence->in_sync[k] == node) {
                return false;
            }
        }
        fence->in_sync[i] = node;
    }
    return true;
}

static bool take_line(struct sgn_cursor *cursor, const struct sgn_map *map, struct sgn_line *line)
{
    memset(line, 0, sizeof(*line));
    line->epoch = take_varint(cursor);
    uint32_t seats = take_byte(cursor);
    uint32_t counts = take_byte(cursor);
    line->seat_count = seats & 15;
    line->joint = (seats & 1u << 4) != 0;
    line->group_count = counts & 15;
    line->fence_count = counts >> 4;
    if ((seats & 1u << 5) != 0) {
        line->floor = sgn_cursor_uint(cursor, 8);
        line->floor_stamp = sgn_cursor_uint(cursor, 8);
    }
    bool floor_told = (seats & 1u << 5) != 0;
    if (cursor->bad || floor_told != (line->floor != 0) || seats >= 1u << 6 || line->epoch == 0 ||
        line->epoch > map->version || line->seat_count > SGN_SEATS_MAX ||
        line->fence_count > SGN_FENCES_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < line->seat_count; i++) {
        if (!take_seat(cursor, line, i)) {
            return false;
        }
    }
    if (!seats_valid(line) || !take_group(cursor, map, line->group, line->group_count)) {
        return false;
    }
    for (uint32_t i = 0; i < line->fence_count; i++) {
        if (!take_fence(cursor, map, line, i)) {
            return false;
        }
    }
    return true;
}

enum sgn_err sgn_map_decode_alone(struct sgn_bytes bytes, uint32_t lines_max, struct sgn_map *map)
{
    struct sgn_line *lines = map->lines;
    struct sgn_cursor cursor = sgn_cursor_of(bytes);
    *map = (struct sgn_map){.lines = lines};
    uint32_t format = take_byte(&cursor);
    map->version = (uint32_t)sgn_cursor_uint(&cursor, 4);
    map->partition_count = (uint32_t)sgn_cursor_uint(&cursor, 4);
    map->group_size = take_byte(&cursor);
    map->witness_count = take_byte(&cursor);
    map->hash_seed = sgn_cursor_uint(&cursor, 8);
    if (cursor.bad || format != MAP_FORMAT || map->version == 0 || map->partition_count == 0 ||
        map->partition_count > lines_max || map->partition_count > SGN_PARTITIONS_MAX ||
        map->group_size > SGN_GROUP_MAX || map->group_size % 2 == 0 ||
        map->witness_count > SGN_WITNESSES_MAX) {
        return SGN_ERR_INVALID;
    }
    for (uint32_t i = 0; i < map->witness_count; i++) {
        if (!take_witness(&cursor, map, i)) {
            return SGN_ERR_INVALID;
        }
    }
    if (!take_disks(&cursor, map)) {
        return SGN_ERR_INVALID;
    }
    for (uint32_t p = 0; p < map->partition_count; p++) {
        if (!take_line(&cursor, map, &lines[p])) {
            return SGN_ERR_INVALID;
        }
    }
    return cursor.left == 0 ? SGN_OK : SGN_ERR_INVALID;
}

/* A fence may name a node that has left since: it is not looked up. */
enum sgn_err sgn_map_decode(struct sgn_bytes bytes,
                            const struct sgn_ring *ring,
                            struct sgn_map *map)
{
    enum sgn_err err = sgn_map_decode_alone(bytes, ring->partition_count, map);
    if (err != SGN_OK) {
        return err;
    }
    if (map->partition_count != ring->partition_count) {
        return SGN_ERR_INVALID;
    }
    for (uint32_t i = 0; i < map->disk_count; i++) {
        if (sgn_ring_find(ring, map->disks[i].node) < 0) {
            return SGN_ERR_INVALID;
        }
    }
    for (uint32_t p = 0; p < map->partition_count; p++) {
        const struct sgn_line *line = &map->lines[p];
        for (uint32_t i = 0; i < line->seat_count; i++) {
            if (sgn_ring_find(ring, line->seats[i].node) < 0) {
                return SGN_ERR_INVALID;
            }
        }
    }
    return SGN_OK;
}

uint32_t sgn_map_version_of(struct sgn_bytes bytes)
{
    struct sgn_cursor cursor = sgn_cursor_of(bytes);
    uint32_t format = take_byte(&cursor);
    uint32_t version = (uint32_t)sgn_cursor_uint(&cursor, 4);
    return cursor.bad || format != MAP_FORMAT || bytes.count < HEAD_BYTES ? 0 : version;
}
