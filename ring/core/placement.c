#include "ring/core/placement.h"

#include "ring/core/check.h"
#include "ring/core/placement_first.h"
#include "ring/core/placement_rows.h"
#include "ring/core/placement_scratch.h"
#include "ring/core/placement_share.h"
#include "ring/core/prng.h"

/* Members take their slots a sixteenth at a time, in turns, so that none finds only leftovers. */
#define FILL_ROUNDS 16u

/* A fixed shuffle of the partitions, peculiar to the member: a bijection of 0..Q-1. */
struct shuffle {
    uint64_t seed;
    uint32_t mask;
    uint32_t shift;
};

static struct shuffle shuffle_of(const struct sgn_ring *ring, uint32_t member)
{
    uint32_t bits = sgn_popcount(ring->partition_count - 1);
    return (struct shuffle){
        sgn_mix64(ring->members[member].id), ring->partition_count - 1, (bits + 1) / 2};
}

/* Multiplying by an odd number, adding, and folding the high bits down are each reversible. */
static uint32_t shuffle_at(const struct shuffle *shuffle, uint32_t index)
{
    uint32_t x = index;
    for (uint32_t round = 0; round < 3; round++) {
        uint32_t odd = (uint32_t)(shuffle->seed >> (16 * round)) | 1u;
        uint32_t add = (uint32_t)(shuffle->seed >> (40 - 8 * round));
        x = (x * odd + add) & shuffle->mask;
        x ^= x >> shuffle->shift;
    }
    return x;
}

static bool ring_valid(const struct sgn_ring *ring)
{
    if (ring->partition_count < SGN_PARTITIONS_MIN || ring->partition_count > SGN_PARTITIONS_MAX ||
        sgn_popcount(ring->partition_count) != 1 || ring->replica_count < 1 ||
        ring->replica_count > SGN_REPLICAS_MAX || ring->member_count < ring->replica_count ||
        ring->member_count > SGN_NODES_MAX || ring->table == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < ring->member_count; i++) {
        const struct sgn_member *member = &ring->members[i];
        if (member->id == 0 || member->weight == 0 || member->weight > SGN_WEIGHT_MAX ||
            member->zone >= SGN_ZONES_MAX || (i > 0 && member->id <= member[-1].id)) {
            return false;
        }
    }
    return true;
}

static bool previous_valid(const struct sgn_ring *ring, const struct sgn_ring *previous)
{
    if (previous == NULL) {
        return true;
    }
    if (!ring_valid(previous) || previous->partition_count != ring->partition_count) {
        return false;
    }
    size_t slots = (size_t)previous->partition_count * previous->replica_count;
    for (size_t i = 0; i < slots; i++) {
        if (previous->table[i] >= previous->member_count) {
            return false;
        }
    }
    return true;
}

/* The table before, told in today's indexes. */
static void before_collect(const struct sgn_ring *ring,
                           const struct sgn_ring *previous,
                           uint16_t *before)
{
    size_t slots = (size_t)previous->partition_count * previous->replica_count;
    for (size_t i = 0; i < slots; i++) {
        int now = sgn_ring_find(ring, previous->members[previous->table[i]].id);
        before[i] = now < 0 ? SGN_SLOT_EMPTY : (uint16_t)now;
    }
}

static uint32_t position_empty(const struct sgn_rows *rows, uint32_t partition)
{
    const uint16_t *row = sgn_rows_row(rows, partition);
    uint32_t position = 0;
    while (row[position] != SGN_SLOT_EMPTY) {
        position++;
    }
    return position;
}

/* Where in the row it was before; its length if it was not. */
static uint32_t position_before(const struct sgn_rows *rows, uint32_t partition, uint32_t member)
{
    const uint16_t *row = rows->before + (size_t)partition * rows->before_width;
    uint32_t position = 0;
    while (position < rows->before_width && row[position] != member) {
        position++;
    }
    return position;
}

/* Every member keeps what it had, up to its target. True if one could not because of its
 * neighbours in the row; then some of it may yet be won back by a chain that costs nothing. */
static bool rows_keep(struct sgn_rows *rows)
{
    bool hindered = false;
    for (uint32_t i = 0; i < rows->ring->member_count; i++) {
        struct shuffle shuffle = shuffle_of(rows->ring, i);
        for (uint32_t k = 0; k <= shuffle.mask && rows->held[i] < rows->shares->target[i]; k++) {
            uint32_t partition = shuffle_at(&shuffle, k);
            uint32_t position = position_before(rows, partition, i);
            if (position == rows->before_width) {
                continue;
            }
            if (!sgn_rows_fits(rows, partition, i)) {
                hindered = true;
                continue;
            }
            if (position >= rows->ring->replica_count ||
                sgn_rows_row(rows, partition)[position] != SGN_SLOT_EMPTY) {
                position = position_empty(rows, partition);
            }
            sgn_rows_put(rows, partition, position, i);
        }
    }
    return hindered;
}

/* Takes empty slots that suit, in the member's own order, until it lacks no more than `lack`. Each
 * partition is looked at once in all the rounds; what becomes possible later is left to the
 * chains. */
static void member_fill(struct sgn_rows *rows, uint32_t member, uint32_t lack, uint32_t *cursor)
{
    struct shuffle shuffle = shuffle_of(rows->ring, member);
    while (rows->shares->target[member] - rows->held[member] > lack && *cursor <= shuffle.mask) {
        uint32_t partition = shuffle_at(&shuffle, (*cursor)++);
        if (sgn_rows_fits(rows, partition, member)) {
            sgn_rows_put(rows, partition, position_empty(rows, partition), member);
        }
    }
}

static void rows_fill(struct sgn_rows *rows, uint32_t *cursor, uint32_t *lack)
{
    uint32_t member_count = rows->ring->member_count;
    for (uint32_t i = 0; i < member_count; i++) {
        cursor[i] = 0;
        lack[i] = rows->shares->target[i] - rows->held[i];
        if (rows->shares->target[i] == rows->ring->partition_count) {
            member_fill(rows, i, 0, &cursor[i]); /* Belongs in every row: goes before the others. */
        }
    }
    for (uint32_t round = 1; round <= FILL_ROUNDS; round++) {
        for (uint32_t i = 0; i < member_count; i++) {
            member_fill(rows, i, lack[i] - lack[i] * round / FILL_ROUNDS, &cursor[i]);
        }
    }
}

/* A new ring's rows in an order by hash: the rounds of filling leave their mark otherwise. */
static void rows_shuffle(const struct sgn_rows *rows)
{
    for (uint32_t p = 0; p < rows->ring->partition_count; p++) {
        uint16_t *row = sgn_rows_row(rows, p);
        for (uint32_t i = 1; i < rows->ring->replica_count; i++) {
            uint16_t member = row[i];
            uint64_t hash = sgn_ring_stand_in_hash(p, rows->ring->members[member].id);
            uint32_t j = i;
            for (; j > 0 && sgn_ring_stand_in_hash(p, rows->ring->members[row[j - 1]].id) > hash;
                 j--) {
                row[j] = row[j - 1];
            }
            row[j] = member;
        }
    }
}

static void rows_check(const struct sgn_rows *rows)
{
    uint32_t width = rows->ring->replica_count;
    for (uint32_t p = 0; p < rows->ring->partition_count; p++) {
        const uint16_t *row = sgn_rows_row(rows, p);
        for (uint32_t i = 0; i < width; i++) {
            SGN_ASSERT(row[i] < rows->ring->member_count);
            SGN_ASSERT(!sgn_row_has(row, i, row[i]));
        }
        SGN_ASSERT(sgn_rows_repeats(rows, p) <= rows->spare);
    }
    for (uint32_t i = 0; i < rows->ring->member_count; i++) {
        SGN_ASSERT(rows->held[i] == rows->shares->target[i]);
    }
}

static void bounds_set(struct sgn_rows *rows, int32_t bound)
{
    for (uint32_t i = 0; i < rows->ring->member_count; i++) {
        rows->bound[i] = bound;
    }
}

static void rows_init(struct sgn_placement_scratch *lay,
                      const struct sgn_ring *ring,
                      const struct sgn_ring *previous,
                      uint16_t *table)
{
    struct sgn_rows *rows = &lay->rows;
    sgn_shares_compute(&lay->shares, ring);
    if (previous != NULL) {
        before_collect(ring, previous, lay->before);
    }
    rows->ring = ring;
    rows->shares = &lay->shares;
    rows->spare = ring->replica_count > lay->shares.zone_count
                      ? ring->replica_count - lay->shares.zone_count
                      : 0;
    rows->table = table;
    rows->before = lay->before;
    rows->before_width = previous == NULL ? 0 : previous->replica_count;
    rows->empty_count = ring->partition_count * ring->replica_count;
    memset(rows->table, UINT8_MAX, rows->empty_count * sizeof(rows->table[0]));
    memset(rows->held, 0, ring->member_count * sizeof(rows->held[0]));
}

/* Fills `table` with rows in no order of preference. */
static void rows_solve(struct sgn_placement_scratch *lay,
                       const struct sgn_ring *ring,
                       const struct sgn_ring *previous,
                       uint16_t *table)
{
    struct sgn_rows *rows = &lay->rows;
    rows_init(lay, ring, previous, table);
    if (previous != NULL && rows_keep(rows)) {
        sgn_rows_open(rows);
        bounds_set(rows, 0);
        sgn_rows_complete(rows, 0);
    }
    rows_fill(rows, lay->words[0], lay->words[1]);
    sgn_rows_open(rows);
    bounds_set(rows, 1); /* From here on no slot can be filled without moving one. */
    sgn_rows_complete(rows, SGN_COST_ANY);
    rows_check(rows);
}

size_t sgn_placement_scratch_bytes(uint32_t partition_count, uint32_t member_count)
{
    struct sgn_placement_scratch scratch;
    return sgn_placement_scratch_lay(&scratch, NULL, partition_count, member_count);
}

enum sgn_err sgn_placement_solve(struct sgn_ring *ring,
                                 const struct sgn_ring *previous,
                                 void *scratch,
                                 size_t scratch_bytes)
{
    if (!ring_valid(ring) || !previous_valid(ring, previous)) {
        return SGN_ERR_INVALID;
    }
    struct sgn_placement_scratch lay;
    size_t needed =
        sgn_placement_scratch_lay(&lay, scratch, ring->partition_count, ring->member_count);
    SGN_ASSERT(needed <= scratch_bytes);
    rows_solve(&lay, ring, previous, ring->table);
    if (previous == NULL) {
        rows_shuffle(&lay.rows);
    }
    sgn_first_balance(&lay.first);
    return SGN_OK;
}

uint32_t sgn_placement_least_moved(struct sgn_placement_scratch *lay,
                                   const struct sgn_ring *ring,
                                   const struct sgn_ring *previous)
{
    rows_solve(lay, ring, previous, lay->table);
    uint32_t moved = 0;
    for (uint32_t p = 0; p < ring->partition_count; p++) {
        const uint16_t *row = sgn_rows_row(&lay->rows, p);
        for (uint32_t i = 0; i < ring->replica_count; i++) {
            moved += !sgn_rows_had(&lay->rows, p, row[i]);
        }
    }
    return moved;
}
