#include "ring/core/witness.h"

#include "ring/core/check.h"
#include "ring/core/items.h"
#include "ring/core/limits.h"
#include "ring/core/mutant.h"
#include "ring/core/witness_state.h"

/* Places of the pool that one PING may look at, so that its cost is bounded whatever the table
 * holds; the next one goes on behind them. */
#define OLD_EXAMINED_MAX 4096u

/* --- memory ---------------------------------------------------------------------------------- */

struct layout {
    size_t parts, lines[2], pool, index, end; /* Offsets. */
};

static size_t aligned(size_t bytes)
{
    return (bytes + 15u) & ~(size_t)15u;
}

static struct layout layout_of(uint32_t partitions_max, uint32_t entries_max)
{
    struct layout at = {.parts = aligned(sizeof(struct sgn_witness))};
    size_t lines_bytes = aligned((size_t)partitions_max * sizeof(struct sgn_line));
    at.lines[0] = at.parts + aligned((size_t)partitions_max * sizeof(struct sgn_witness_part));
    at.lines[1] = at.lines[0] + lines_bytes;
    at.pool = at.lines[1] + lines_bytes;
    at.index = at.pool + aligned((size_t)entries_max * sizeof(struct sgn_witness_entry));
    at.end = at.index + aligned((size_t)entries_max * SGN_WITNESS_INDEX_SHARE * sizeof(uint32_t));
    return at;
}

size_t sgn_witness_bytes(uint32_t partition_count, uint32_t entries_max)
{
    return layout_of(partition_count, entries_max).end;
}

/* Touches none of the large parts: zeroed memory is right as it is, and what is not used need not
 * be real memory. */
struct sgn_witness *sgn_witness_init(void *memory,
                                     uint32_t partition_count,
                                     const struct sgn_witness_options *options)
{
    SGN_ASSERT(((uintptr_t)memory & 15u) == 0);
    SGN_ASSERT(partition_count > 0);
    SGN_ASSERT(options->incarnation != 0);
    SGN_ASSERT((options->id & SGN_WITNESS_BIT) != 0);
    struct layout at = layout_of(partition_count, options->entries_max);
    uint8_t *bytes = memory;
    struct sgn_witness *witness = memory;
    witness->options = *options;
    witness->partitions_max = partition_count;
    witness->parts = (void *)(bytes + at.parts);
    witness->maps[0].lines = (void *)(bytes + at.lines[0]);
    witness->maps[1].lines = (void *)(bytes + at.lines[1]);
    sgn_witness_table_init(
        &witness->table, bytes + at.pool, (void *)(bytes + at.index), options->entries_max);
    witness->counts.entries_max = options->entries_max;
    return witness;
}

/* --- modes of a partition -------------------------------------------------------------------- */

static const struct sgn_map *map_of(const struct sgn_witness *witness)
{
    return &witness->maps[witness->map_index];
}

static void mode_set(struct sgn_witness *witness,
                     struct sgn_witness_part *part,
                     enum sgn_witness_mode mode)
{
    struct sgn_witness_counts *counts = &witness->counts;
    counts->partitions_listed -= part->mode != SGN_WITNESS_NO_MEMBER;
    counts->partitions_active -= part->mode == SGN_WITNESS_IS_ACTIVE;
    counts->partitions_dropped -= part->mode == SGN_WITNESS_IS_DROPPED;
    part->mode = (uint8_t)mode;
    counts->partitions_listed += mode != SGN_WITNESS_NO_MEMBER;
    counts->partitions_active += mode == SGN_WITNESS_IS_ACTIVE;
    counts->partitions_dropped += mode == SGN_WITNESS_IS_DROPPED;
}

/* 4.2: never a single entry, for then the table would lie about one key; the whole partition says
 * nothing from now on. */
static void part_overflow(struct sgn_witness *witness, struct sgn_witness_part *part)
{
    sgn_witness_table_drop(&witness->table, &part->chain);
    witness->counts.overflows++;
    if (!SGN_MUTANT(31)) {
        mode_set(witness, part, SGN_WITNESS_IS_DROPPED);
    }
}

static void part_raise(struct sgn_witness *witness,
                       uint32_t partition,
                       const struct sgn_key_hash *key,
                       const struct sgn_ballot *ballot,
                       uint64_t now_ms)
{
    struct sgn_witness_part *part = &witness->parts[partition];
    if (part->mode != SGN_WITNESS_IS_DROPPED &&
        !sgn_witness_table_raise(
            &witness->table, &part->chain, partition, key, ballot, (uint32_t)now_ms)) {
        part_overflow(witness, part);
    }
}

/* --- MAP_IS ---------------------------------------------------------------------------------- */

static bool is_listed(const struct sgn_witness *witness, const struct sgn_line *line)
{
    int index = sgn_line_group_index(line, witness->options.id);
    return index >= 0 &&
           (line->group[index].incarnation == witness->options.incarnation || SGN_MUTANT(10));
}

/* 4.1: a new epoch begins with nothing. */
static void part_enter(struct sgn_witness *witness, uint32_t partition, const struct sgn_line *line)
{
    struct sgn_witness_part *part = &witness->parts[partition];
    enum sgn_witness_mode mode =
        is_listed(witness, line) ? SGN_WITNESS_IS_WARMING : SGN_WITNESS_NO_MEMBER;
    part->epoch = line->epoch;
    if (SGN_MUTANT(31) && mode != SGN_WITNESS_NO_MEMBER && part->mode == SGN_WITNESS_IS_ACTIVE) {
        return;
    }
    if (SGN_MUTANT(10) && mode != SGN_WITNESS_NO_MEMBER) {
        mode = SGN_WITNESS_IS_ACTIVE;
    }
    sgn_witness_table_drop(&witness->table, &part->chain);
    part->seeded = 0;
    mode_set(witness, part, mode);
}

static enum sgn_err map_take(struct sgn_witness *witness, struct sgn_bytes bytes)
{
    const struct sgn_map *now = map_of(witness);
    uint32_t version = sgn_map_version_of(bytes);
    if (version != 0 && version <= now->version) {
        return SGN_OK; /* 6: never lower. */
    }
    struct sgn_map *next = &witness->maps[1 - witness->map_index];
    enum sgn_err err = sgn_map_decode_alone(bytes, witness->partitions_max, next);
    if (err != SGN_OK) {
        return err;
    }
    if (now->version != 0 && next->partition_count != now->partition_count) {
        return SGN_ERR_INVALID; /* Fixed when the ring is made. */
    }
    for (uint32_t i = 0; i < next->partition_count; i++) {
        if (next->lines[i].epoch != witness->parts[i].epoch) {
            part_enter(witness, i, &next->lines[i]);
        }
    }
    witness->map_index = 1 - witness->map_index;
    witness->counts.version = next->version;
    return SGN_OK;
}

/* --- WITNESS --------------------------------------------------------------------------------- */

static enum sgn_witness_status ask_status(const struct sgn_witness *witness,
                                          const struct sgn_witness_ask *ask)
{
    if (ask->partition >= map_of(witness)->partition_count) {
        return SGN_WITNESS_STALE; /* It has no map yet, and the sender sees that by the version. */
    }
    const struct sgn_witness_part *part = &witness->parts[ask->partition];
    bool any_epoch = SGN_MUTANT(11) && ask->what == SGN_WITNESS_CHECK;
    if (ask->epoch != part->epoch && !any_epoch) {
        return SGN_WITNESS_STALE;
    }
    if (part->mode == SGN_WITNESS_NO_MEMBER) {
        return SGN_WITNESS_NOT_MEMBER;
    }
    bool states = ask->what == SGN_WITNESS_CHECK || ask->what == SGN_WITNESS_LIST;
    return states && part->mode != SGN_WITNESS_IS_ACTIVE ? SGN_WITNESS_WARMING : SGN_WITNESS_OK;
}

static void settle(struct sgn_witness *witness, const struct sgn_witness_ask *ask)
{
    struct sgn_witness_entry *entry =
        sgn_witness_table_find(&witness->table, ask->partition, ask->key);
    if (entry != NULL && sgn_ballot_compare(&entry->ballot, &ask->ballot) <= 0) {
        sgn_witness_table_remove(&witness->table, &witness->parts[ask->partition].chain, entry);
    }
}

/* All marks of the partition, or WARMING if they do not fit: no statement rather than half of one.
 * `keep` bytes are for the answers behind it. */
static void list(const struct sgn_witness *witness,
                 const struct sgn_witness_ask *ask,
                 size_t keep,
                 struct sgn_sink *room,
                 struct sgn_witness_tell *tell)
{
    const struct sgn_witness_chain *chain = &witness->parts[ask->partition].chain;
    size_t head = SGN_WITNESS_TELL_BYTES + 4;
    size_t bytes = (size_t)chain->count * SGN_MARK_BYTES;
    if (head + bytes + keep > room->cap - room->count) {
        tell->status = SGN_WITNESS_WARMING;
        return;
    }
    /* Straight to where they belong: behind the head, which tell_write puts before them. */
    struct sgn_sink marks = sgn_sink_of(room->ptr + room->count + head, bytes);
    for (uint32_t at = chain->first; at != 0;) {
        const struct sgn_witness_entry *entry = &witness->table.pool[at - 1];
        sgn_sink_uint(&marks, entry->key.hash, 8);
        sgn_sink_uint(&marks, entry->key.keyed, 8);
        sgn_ballot_put(&marks, &entry->ballot);
        at = entry->next == SGN_WITNESS_NONE ? 0 : entry->next + 1;
    }
    SGN_ASSERT(!marks.full && marks.count == bytes);
    tell->mark_count = chain->count;
}

static void ask_serve(struct sgn_witness *witness,
                      uint64_t now_ms,
                      const struct sgn_witness_ask *ask,
                      size_t keep,
                      struct sgn_sink *room,
                      struct sgn_witness_tell *tell)
{
    switch ((enum sgn_witness_what)ask->what) {
    case SGN_WITNESS_MARK:
        part_raise(witness, ask->partition, &ask->key, &ask->ballot, now_ms);
        witness->counts.marks++;
        break;
    case SGN_WITNESS_CHECK: {
        const struct sgn_witness_entry *entry =
            sgn_witness_table_find(&witness->table, ask->partition, ask->key);
        tell->ballot = entry != NULL ? entry->ballot : (struct sgn_ballot){0};
        witness->counts.checks++;
        break;
    }
    case SGN_WITNESS_SETTLE:
        settle(witness, ask);
        witness->counts.settles++;
        break;
    case SGN_WITNESS_LIST: list(witness, ask, keep, room, tell); break;
    }
}

static void tell_write(struct sgn_sink *room, const struct sgn_witness_tell *tell)
{
    sgn_witness_tell_put(room, tell);
    if (tell->mark_count > 0) {
        room->count += (size_t)tell->mark_count * SGN_MARK_BYTES; /* They stand there already. */
    }
}

static enum sgn_err batch(struct sgn_witness *witness,
                          uint64_t now_ms,
                          const struct sgn_msg *request,
                          struct sgn_sink *room)
{
    size_t count = request->items.count / SGN_WITNESS_ASK_BYTES;
    if (request->items.count % SGN_WITNESS_ASK_BYTES != 0 || count > SGN_WITNESS_BATCH_MAX) {
        return SGN_ERR_PROTOCOL;
    }
    bool meant = request->a == witness->options.incarnation || SGN_MUTANT(10);
    struct sgn_cursor cursor = sgn_cursor_of(request->items);
    for (size_t i = 0; i < count; i++) {
        struct sgn_witness_ask ask;
        if (!sgn_witness_ask_take(&cursor, &ask)) {
            return SGN_ERR_PROTOCOL;
        }
        struct sgn_witness_tell tell = {.what = ask.what, .tag = ask.tag};
        tell.status = meant ? (uint8_t)ask_status(witness, &ask) : SGN_WITNESS_NOT_MEMBER;
        size_t keep = (count - i - 1) * (SGN_WITNESS_TELL_BYTES + 4);
        if (tell.status == SGN_WITNESS_OK) {
            ask_serve(witness, now_ms, &ask, keep, room, &tell);
        }
        witness->counts.stale += tell.status == SGN_WITNESS_STALE;
        if (ask.what != SGN_WITNESS_SETTLE) {
            tell_write(room, &tell);
        }
    }
    return SGN_OK;
}

/* --- SEED ------------------------------------------------------------------------------------ */

/* 4.1: a majority of the partition's replicas, in a joint epoch of both sets. */
static bool seeded_enough(const struct sgn_line *line, uint32_t votes)
{
    if (SGN_MUTANT(13)) {
        return votes != 0;
    }
    if (SGN_MUTANT(35) && line->joint) {
        uint32_t members = 0;
        uint32_t given = 0;
        for (uint32_t i = 0; i < line->seat_count; i++) {
            bool is_new = (line->seats[i].sets & SGN_SET_NEW) != 0;
            members += is_new;
            given += is_new && (votes >> i & 1u) != 0;
        }
        return given > members / 2;
    }
    return sgn_line_quorum(line, votes);
}

static void seed_marks(struct sgn_witness *witness,
                       uint64_t now_ms,
                       uint32_t partition,
                       struct sgn_bytes marks)
{
    struct sgn_cursor cursor = sgn_cursor_of(marks);
    while (cursor.left > 0) {
        struct sgn_key_hash key = {.hash = sgn_cursor_uint(&cursor, 8)};
        key.keyed = sgn_cursor_uint(&cursor, 8);
        struct sgn_ballot ballot = sgn_ballot_take(&cursor);
        SGN_ASSERT(!cursor.bad);
        part_raise(witness, partition, &key, &ballot, now_ms);
    }
}

/* One partition's set of one replica. Only a set given in exactly the epoch counts, and only while
 * it is needed: one that comes again, or once the witness is active, adds nothing but old marks. */
static void seed_take(struct sgn_witness *witness,
                      uint64_t now_ms,
                      const struct sgn_msg *request,
                      const struct sgn_witness_ask *about,
                      struct sgn_bytes marks)
{
    struct sgn_witness_part *part = &witness->parts[about->partition];
    const struct sgn_line *line = &map_of(witness)->lines[about->partition];
    int seat = sgn_line_seat(line, request->node);
    if (about->epoch != part->epoch || part->mode != SGN_WITNESS_IS_WARMING || seat < 0 ||
        (request->flags & SGN_SEED_TOO_MANY) != 0 || (part->seeded >> seat & 1u) != 0) {
        return;
    }
    seed_marks(witness, now_ms, about->partition, marks);
    witness->counts.seeds++;
    if (part->mode != SGN_WITNESS_IS_WARMING) {
        return; /* The set was more than there is room for. */
    }
    part->seeded |= UINT32_C(1) << seat;
    if (seeded_enough(line, part->seeded)) {
        mode_set(witness, part, SGN_WITNESS_IS_ACTIVE);
    }
}

static enum sgn_err seed(struct sgn_witness *witness,
                         uint64_t now_ms,
                         const struct sgn_msg *request,
                         struct sgn_sink *room)
{
    struct sgn_cursor cursor = sgn_cursor_of(request->items);
    struct sgn_bytes key;
    struct sgn_bytes marks;
    while (sgn_items_next(&cursor, &key, &marks)) {
        if (key.count != 8 || marks.count % SGN_MARK_BYTES != 0) {
            return SGN_ERR_PROTOCOL;
        }
        struct sgn_witness_ask about = {
            .partition = (uint32_t)sgn_get_uint(key.ptr, 4),
            .epoch = (uint32_t)sgn_get_uint((const uint8_t *)key.ptr + 4, 4)};
        if (about.partition >= map_of(witness)->partition_count) {
            continue; /* No map of that many partitions yet: the answer's version says so. */
        }
        seed_take(witness, now_ms, request, &about, marks);
        sgn_sink_uint(room, about.partition, 4);
        sgn_sink_uint(room, witness->parts[about.partition].epoch, 4);
        sgn_sink_uint(room, witness->parts[about.partition].mode, 1);
    }
    return cursor.bad || room->full ? SGN_ERR_PROTOCOL : SGN_OK;
}

/* --- PING ------------------------------------------------------------------------------------ */

/* 4.3 hands old marks to an in_sync replica; another could do nothing about them. */
static bool can_resolve(const struct sgn_witness *witness, uint32_t partition, uint32_t node)
{
    const struct sgn_line *line = &map_of(witness)->lines[partition];
    int seat = sgn_line_seat(line, node);
    return seat >= 0 && line->seats[seat].state == SGN_SEAT_IN_SYNC;
}

static void old_marks(struct sgn_witness *witness,
                      uint64_t now_ms,
                      uint32_t node,
                      struct sgn_sink *room)
{
    const struct sgn_witness_table *table = &witness->table;
    uint32_t examine = table->used < OLD_EXAMINED_MAX ? table->used : OLD_EXAMINED_MAX;
    for (uint32_t found = 0; examine > 0 && found < SGN_WITNESS_OLD_MAX; examine--) {
        uint32_t place = witness->old_place < table->used ? witness->old_place : 0;
        witness->old_place = place + 1; /* The next search goes on here: all get a turn. */
        const struct sgn_witness_entry *entry = &table->pool[place];
        if (!sgn_witness_entry_live(entry) ||
            (uint32_t)now_ms - entry->raised_ms < witness->options.old_mark_ms ||
            !can_resolve(witness, entry->partition, node)) {
            continue;
        }
        sgn_sink_uint(room, entry->partition, 4);
        sgn_sink_uint(room, witness->parts[entry->partition].epoch, 4);
        sgn_sink_uint(room, entry->key.hash, 8);
        sgn_sink_uint(room, entry->key.keyed, 8);
        sgn_ballot_put(room, &entry->ballot);
        found++;
    }
}

/* --- public ---------------------------------------------------------------------------------- */

static enum sgn_err serve(struct sgn_witness *witness,
                          uint64_t now_ms,
                          const struct sgn_msg *request,
                          struct sgn_sink *room)
{
    if (request->type == SGN_MSG_MAP_IS) {
        return map_take(witness, request->value);
    }
    if (request->type == SGN_MSG_WITNESS) {
        return batch(witness, now_ms, request, room);
    }
    if (request->type == SGN_MSG_SEED) {
        return seed(witness, now_ms, request, room);
    }
    if (request->type == SGN_MSG_PING) {
        old_marks(witness, now_ms, request->node, room);
        return SGN_OK;
    }
    return SGN_ERR_UNSUPPORTED;
}

void sgn_witness_step(struct sgn_witness *witness,
                      uint64_t now_ms,
                      const struct sgn_msg *request,
                      struct sgn_sink *room,
                      struct sgn_msg *answer)
{
    SGN_ASSERT(room->count == 0 && !room->full);
    SGN_ASSERT(room->cap >= SGN_PAGE_BYTES_MAX);
    enum sgn_err err = serve(witness, now_ms, request, room);
    if (err != SGN_OK) {
        *room = sgn_sink_of(room->ptr, room->cap); /* Half an answer is none. */
    }
    SGN_ASSERT(!room->full);
    const struct sgn_witness_counts *counts = &witness->counts;
    *answer = (struct sgn_msg){
        .type = SGN_MSG_WITNESS_ANSWER,
        .request = request->request,
        .err = err,
        .items = sgn_sink_bytes(room),
        .a = counts->version,
        .b = witness->options.incarnation,
        .c = counts->partitions_listed - counts->partitions_active - counts->partitions_dropped,
        .d = counts->partitions_dropped,
    };
    if (SGN_MUTANT(10) && request->type == SGN_MSG_WITNESS) {
        answer->b = request->a; /* The whole lie: it is the one that the group lists. */
    }
}

void sgn_witness_counts(const struct sgn_witness *witness, struct sgn_witness_counts *counts)
{
    *counts = witness->counts;
    counts->entries = witness->table.count;
}
