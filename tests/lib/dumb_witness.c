#include "tests/lib/dumb_witness.h"

#include <stdio.h>
#include <stdlib.h>

#include "ring/core/check.h"
#include "ring/core/items.h"
#include "ring/core/limits.h"

static void differ(struct dumb_world *world, const char *what, uint64_t got, uint64_t wanted)
{
    if (world->wrong[0] == '\0') {
        (void)snprintf(world->wrong,
                       sizeof(world->wrong),
                       "%s: %llu, wanted %llu",
                       what,
                       (unsigned long long)got,
                       (unsigned long long)wanted);
    }
}

static void same(struct dumb_world *world, const char *what, uint64_t got, uint64_t wanted)
{
    if (got != wanted) {
        differ(world, what, got, wanted);
    }
}

static struct dumb_mark *dumb_find(struct dumb_world *world,
                                   uint32_t partition,
                                   struct sgn_key_hash key)
{
    for (uint32_t i = 0; i < DUMB_MARKS_MAX; i++) {
        struct dumb_mark *mark = &world->marks[i];
        if (mark->used && mark->partition == partition && mark->key.hash == key.hash &&
            mark->key.keyed == key.keyed) {
            return mark;
        }
    }
    return NULL;
}

static void dumb_drop(struct dumb_world *world, uint32_t partition)
{
    for (uint32_t i = 0; i < DUMB_MARKS_MAX; i++) {
        if (world->marks[i].used && world->marks[i].partition == partition) {
            world->marks[i].used = false;
            world->mark_count--;
        }
    }
}

static void dumb_raise(struct dumb_world *world,
                       uint32_t partition,
                       struct sgn_key_hash key,
                       struct sgn_ballot ballot)
{
    struct dumb_part *part = &world->parts[partition];
    struct dumb_mark *mark = dumb_find(world, partition, key);
    if (part->dropped) {
        return;
    }
    if (mark == NULL && world->mark_count == DUMB_ENTRIES_MAX) {
        part->dropped = true;
        part->active = false;
        world->overflows++;
        dumb_drop(world, partition);
        return;
    }
    for (uint32_t i = 0; mark == NULL; i++) {
        if (!world->marks[i].used) {
            mark = &world->marks[i];
            *mark = (struct dumb_mark){true, partition, key, {0}, 0};
            world->mark_count++;
        }
    }
    if (mark->raised_ms == 0 || sgn_ballot_compare(&ballot, &mark->ballot) > 0) {
        mark->ballot = ballot;
        mark->raised_ms = world->now_ms;
    }
}

static bool dumb_majority(const struct sgn_line *line, const struct dumb_part *part, uint8_t set)
{
    uint32_t members = 0;
    uint32_t given = 0;
    for (uint32_t i = 0; i < line->seat_count; i++) {
        members += (line->seats[i].sets & set) != 0;
        given += (line->seats[i].sets & set) != 0 && part->seeded_by[line->seats[i].node];
    }
    return 2 * given > members;
}

static bool dumb_has_seat(const struct sgn_line *line, uint32_t node, bool in_sync_only)
{
    for (uint32_t i = 0; i < line->seat_count; i++) {
        if (line->seats[i].node == node) {
            return !in_sync_only || line->seats[i].state == SGN_SEAT_IN_SYNC;
        }
    }
    return false;
}

static uint8_t dumb_mode(const struct dumb_part *part)
{
    if (!part->listed) {
        return SGN_WITNESS_NO_MEMBER;
    }
    if (part->dropped) {
        return SGN_WITNESS_IS_DROPPED;
    }
    return part->active ? SGN_WITNESS_IS_ACTIVE : SGN_WITNESS_IS_WARMING;
}

/* --- talking to the real one ----------------------------------------------------------------- */

static uint8_t room_bytes[SGN_PAGE_BYTES_MAX];

struct sgn_msg dumb_send(struct dumb_world *world, const struct sgn_msg *request)
{
    struct sgn_msg answer;
    uint32_t warming = 0;
    uint32_t dropped = 0;
    world->room = sgn_sink_of(room_bytes, sizeof(room_bytes));
    sgn_witness_step(world->witness, world->now_ms, request, &world->room, &answer);
    same(world, "type", answer.type, SGN_MSG_WITNESS_ANSWER);
    same(world, "request", answer.request, request->request);
    same(world, "incarnation", answer.b, DUMB_BIRTH);
    if (request->type == SGN_MSG_PING) {
        for (uint32_t p = 0; p < DUMB_PARTS; p++) {
            warming += dumb_mode(&world->parts[p]) == SGN_WITNESS_IS_WARMING;
            dropped += dumb_mode(&world->parts[p]) == SGN_WITNESS_IS_DROPPED;
        }
        same(world, "version", answer.a, world->map.version);
        same(world, "warming", answer.c, warming);
        same(world, "dropped", answer.d, dropped);
    }
    return answer;
}

static struct sgn_key_hash any_key(struct dumb_world *world, uint32_t partition)
{
    /* Few values of `keyed`, so that entries collide and only `hash` or partition tells them. */
    uint64_t n = sgn_prng_below(&world->prng, DUMB_KEYS);
    return (struct sgn_key_hash){.hash = n + 1, .keyed = (n % 3 == 0 ? 7 : n) + partition % 2};
}

static struct sgn_ballot any_ballot(struct dumb_world *world)
{
    return (struct sgn_ballot){.hlc = 1 + sgn_prng_below(&world->prng, 40),
                               .node = 1 + (uint32_t)sgn_prng_below(&world->prng, DUMB_NODES),
                               .incarnation = 1,
                               .step = (uint32_t)sgn_prng_below(&world->prng, 3)};
}

static uint32_t any_epoch(struct dumb_world *world, uint32_t partition)
{
    uint32_t epoch = world->parts[partition].epoch;
    if (sgn_prng_chance(&world->prng, 100)) {
        return epoch + (sgn_prng_chance(&world->prng, 500) ? 1 : UINT32_MAX);
    }
    return epoch;
}

/* --- steps ----------------------------------------------------------------------------------- */

static void line_make(struct dumb_world *world, struct sgn_line *line)
{
    struct sgn_prng *prng = &world->prng;
    *line = (struct sgn_line){.epoch = world->map.version, .joint = sgn_prng_chance(prng, 300)};
    uint32_t first = (uint32_t)sgn_prng_below(prng, DUMB_NODES);
    line->seat_count = line->joint ? 3 + (uint32_t)sgn_prng_below(prng, 3) : 3;
    for (uint32_t i = 0; i < line->seat_count; i++) {
        uint8_t sets = SGN_SET_NEW;
        if (line->joint) { /* The old set first, the new one last, some in both. */
            sets = (uint8_t)((i < 3 ? SGN_SET_OLD : 0) |
                             (i + 3 >= line->seat_count ? SGN_SET_NEW : 0));
        }
        line->seats[i] = (struct sgn_seat){.node = 1 + (first + i) % DUMB_NODES,
                                           .state = (uint8_t)(i == 0 ? 0 : sgn_prng_below(prng, 3)),
                                           .sets = sets,
                                           .since = line->epoch};
    }
    bool listed = sgn_prng_chance(prng, 800);
    if (listed) {
        uint32_t birth = sgn_prng_chance(prng, 850) ? DUMB_BIRTH : DUMB_BIRTH + 1;
        line->group_count = 3;
        line->group[0] = (struct sgn_group_member){SGN_WITNESS_BIT | 2, 5};
        line->group[1] = (struct sgn_group_member){DUMB_ID, birth};
        line->group[2] = (struct sgn_group_member){SGN_WITNESS_BIT | 4, 5};
    }
}

static void send_map(struct dumb_world *world)
{
    static uint8_t raw[1u << 16];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    sgn_map_encode(&world->map, &sink);
    SGN_ASSERT(!sink.full);
    struct sgn_msg request = {.type = SGN_MSG_MAP_IS, .value = sgn_sink_bytes(&sink)};
    same(world, "map taken", (uint64_t)-dumb_send(world, &request).err, 0);
}

void dumb_step_map(struct dumb_world *world)
{
    struct sgn_map before = world->map;
    struct sgn_line lines_before[DUMB_PARTS];
    memcpy(lines_before, world->lines, sizeof(lines_before));
    world->map.version += 1 + (uint32_t)sgn_prng_below(&world->prng, 3);
    for (uint32_t p = 0; p < DUMB_PARTS; p++) {
        if (before.version == 0 || sgn_prng_chance(&world->prng, 250)) {
            struct dumb_part *part = &world->parts[p];
            line_make(world, &world->lines[p]);
            *part = (struct dumb_part){.epoch = world->map.version};
            for (uint32_t i = 0; i < world->lines[p].group_count; i++) {
                const struct sgn_group_member *member = &world->lines[p].group[i];
                part->listed |= member->id == DUMB_ID && member->incarnation == DUMB_BIRTH;
            }
            dumb_drop(world, p);
        }
    }
    send_map(world);
    if (before.version != 0 &&
        sgn_prng_chance(&world->prng, 300)) { /* An old one changes nothing. */
        struct sgn_map now = world->map;
        struct sgn_line lines_now[DUMB_PARTS];
        memcpy(lines_now, world->lines, sizeof(lines_now));
        world->map = before;
        memcpy(world->lines, lines_before, sizeof(lines_before));
        send_map(world);
        world->map = now;
        memcpy(world->lines, lines_now, sizeof(lines_now));
    }
}

static void check_list(struct dumb_world *world,
                       uint32_t partition,
                       const struct sgn_witness_tell *tell)
{
    uint32_t count = 0;
    struct sgn_cursor cursor = sgn_cursor_of(tell->marks);
    for (uint32_t i = 0; i < DUMB_MARKS_MAX; i++) {
        count += world->marks[i].used && world->marks[i].partition == partition;
    }
    same(world, "marks listed", tell->mark_count, count);
    while (cursor.left > 0 && !cursor.bad) {
        struct sgn_key_hash key = {.hash = sgn_cursor_uint(&cursor, 8)};
        key.keyed = sgn_cursor_uint(&cursor, 8);
        struct sgn_ballot ballot = sgn_ballot_take(&cursor);
        const struct dumb_mark *mark = dumb_find(world, partition, key);
        same(world, "listed mark", mark != NULL, 1);
        if (mark != NULL) {
            same(world, "its ballot", sgn_ballot_compare(&mark->ballot, &ballot) == 0, 1);
        }
    }
    world->lists_compared++;
}

/* What the dumb one makes of an ask; false when nothing is answered. */
static bool dumb_ask(struct dumb_world *world,
                     const struct sgn_witness_ask *ask,
                     bool meant,
                     struct sgn_witness_tell *tell)
{
    *tell = (struct sgn_witness_tell){.what = ask->what, .tag = ask->tag};
    const struct dumb_part *part = &world->parts[ask->partition % DUMB_PARTS];
    struct dumb_mark *mark = dumb_find(world, ask->partition, ask->key);
    if (!meant) {
        tell->status = SGN_WITNESS_NOT_MEMBER;
    } else if (world->map.version == 0 || ask->partition >= DUMB_PARTS ||
               ask->epoch != part->epoch) {
        tell->status = SGN_WITNESS_STALE;
    } else if (!part->listed) {
        tell->status = SGN_WITNESS_NOT_MEMBER;
    } else if (ask->what == SGN_WITNESS_MARK) {
        dumb_raise(world, ask->partition, ask->key, ask->ballot);
    } else if (ask->what == SGN_WITNESS_SETTLE) {
        if (mark != NULL && sgn_ballot_compare(&mark->ballot, &ask->ballot) <= 0) {
            mark->used = false;
            world->mark_count--;
        }
    } else if (!part->active) {
        tell->status = SGN_WITNESS_WARMING;
    } else if (ask->what == SGN_WITNESS_CHECK && mark != NULL) {
        tell->ballot = mark->ballot;
    }
    return ask->what != SGN_WITNESS_SETTLE;
}

static void step_batch(struct dumb_world *world)
{
    uint8_t raw[64 * SGN_WITNESS_ASK_BYTES];
    struct sgn_witness_ask asks[64];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    uint32_t count = (uint32_t)sgn_prng_below(&world->prng, 65);
    bool meant = !sgn_prng_chance(&world->prng, 30);
    for (uint32_t i = 0; i < count; i++) {
        static const uint8_t whats[] = {SGN_WITNESS_MARK,
                                        SGN_WITNESS_MARK,
                                        SGN_WITNESS_MARK,
                                        SGN_WITNESS_CHECK,
                                        SGN_WITNESS_CHECK,
                                        SGN_WITNESS_SETTLE,
                                        SGN_WITNESS_SETTLE,
                                        SGN_WITNESS_LIST};
        uint32_t p = (uint32_t)sgn_prng_below(&world->prng, DUMB_PARTS);
        asks[i] = (struct sgn_witness_ask){.what = whats[sgn_prng_below(&world->prng, 8)],
                                           .tag = (uint32_t)sgn_prng_next(&world->prng),
                                           .partition = p,
                                           .epoch = any_epoch(world, p),
                                           .key = any_key(world, p),
                                           .ballot = any_ballot(world)};
        if (sgn_prng_chance(&world->prng, 5)) {
            asks[i].partition += DUMB_PARTS;
        }
        sgn_witness_ask_put(&sink, &asks[i]);
    }
    struct sgn_msg request = {.type = SGN_MSG_WITNESS,
                              .request = (uint32_t)sgn_prng_next(&world->prng),
                              .items = sgn_sink_bytes(&sink),
                              .a = meant ? DUMB_BIRTH : DUMB_BIRTH - 1};
    struct sgn_msg answer = dumb_send(world, &request);
    struct sgn_cursor cursor = sgn_cursor_of(answer.items);
    same(world, "batch", (uint64_t)-answer.err, 0);
    for (uint32_t i = 0; i < count && world->wrong[0] == '\0'; i++) {
        struct sgn_witness_tell wanted;
        struct sgn_witness_tell got;
        if (!dumb_ask(world, &asks[i], meant, &wanted)) {
            continue;
        }
        same(world, "tell is there", sgn_witness_tell_take(&cursor, &got), true);
        same(world, "what", got.what, wanted.what);
        same(world, "tag", got.tag, wanted.tag);
        same(world, "status", got.status, wanted.status);
        same(world, "ballot", sgn_ballot_compare(&got.ballot, &wanted.ballot) == 0, 1);
        if (wanted.what == SGN_WITNESS_LIST && wanted.status == SGN_WITNESS_OK) {
            check_list(world, asks[i].partition, &got);
        }
    }
    same(world, "nothing behind the tells", cursor.left, 0);
}

static void dumb_seed(
    struct dumb_world *world, uint32_t p, uint32_t epoch, uint32_t node, bool too_many)
{
    struct dumb_part *part = &world->parts[p];
    part->seeded_by[node] = part->seeded_by[node] || (!part->dropped && !too_many);
    if (epoch == part->epoch && !part->active && !part->dropped &&
        dumb_majority(&world->lines[p], part, SGN_SET_NEW) &&
        (!world->lines[p].joint || dumb_majority(&world->lines[p], part, SGN_SET_OLD))) {
        part->active = true;
        world->activations++;
    }
}

static void step_seed(struct dumb_world *world)
{
    uint8_t raw[8192];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    uint32_t node = 1 + (uint32_t)sgn_prng_below(&world->prng, DUMB_NODES);
    uint32_t count = 1 + (uint32_t)sgn_prng_below(&world->prng, 3);
    bool too_many = sgn_prng_chance(&world->prng, 100);
    uint8_t wanted[3 * SGN_WITNESS_SEEDED_BYTES];
    struct sgn_sink want = sgn_sink_of(wanted, sizeof(wanted));
    for (uint32_t i = 0; i < count; i++) {
        uint32_t p = (uint32_t)sgn_prng_below(&world->prng, DUMB_PARTS);
        struct dumb_part *part = &world->parts[p];
        uint32_t epoch = any_epoch(world, p);
        bool counts = epoch == part->epoch && part->listed && !part->active && !part->dropped &&
                      dumb_has_seat(&world->lines[p], node, false) && !part->seeded_by[node] &&
                      !too_many;
        uint8_t marks_raw[8 * SGN_MARK_BYTES];
        struct sgn_sink marks = sgn_sink_of(marks_raw, sizeof(marks_raw));
        uint32_t mark_count = too_many ? 0 : (uint32_t)sgn_prng_below(&world->prng, 7);
        for (uint32_t k = 0; k < mark_count; k++) {
            struct sgn_key_hash key = any_key(world, p);
            struct sgn_ballot ballot = any_ballot(world);
            sgn_sink_uint(&marks, key.hash, 8);
            sgn_sink_uint(&marks, key.keyed, 8);
            sgn_ballot_put(&marks, &ballot);
            if (counts) {
                dumb_raise(world, p, key, ballot);
            }
        }
        if (counts) {
            dumb_seed(world, p, epoch, node, too_many);
        }
        uint8_t key_raw[8];
        struct sgn_sink key_sink = sgn_sink_of(key_raw, sizeof(key_raw));
        sgn_sink_uint(&key_sink, p, 4);
        sgn_sink_uint(&key_sink, epoch, 4);
        sgn_items_push(&sink, sgn_sink_bytes(&key_sink), sgn_sink_bytes(&marks));
        sgn_sink_uint(&want, p, 4);
        sgn_sink_uint(&want, part->epoch, 4);
        sgn_sink_uint(&want, dumb_mode(part), 1);
    }
    struct sgn_msg request = {.type = SGN_MSG_SEED,
                              .node = node,
                              .flags = too_many ? SGN_SEED_TOO_MANY : 0,
                              .items = sgn_sink_bytes(&sink)};
    struct sgn_msg answer = dumb_send(world, &request);
    same(world, "seed taken", (uint64_t)-answer.err, 0);
    same(world, "modes", sgn_bytes_equal(answer.items, sgn_sink_bytes(&want)), 1);
}

/* 4.3: as many pings as it takes for all to get their turn name exactly the old ones. */
static void step_ping(struct dumb_world *world)
{
    uint32_t node = 1 + (uint32_t)sgn_prng_below(&world->prng, DUMB_NODES);
    bool named[DUMB_MARKS_MAX] = {false};
    for (uint32_t turn = 0; turn < DUMB_ENTRIES_MAX / SGN_WITNESS_OLD_MAX + 1; turn++) {
        struct sgn_msg request = {.type = SGN_MSG_PING, .node = node};
        struct sgn_msg answer = dumb_send(world, &request);
        struct sgn_cursor cursor = sgn_cursor_of(answer.items);
        same(world, "ping", answer.items.count % SGN_WITNESS_OLD_BYTES, 0);
        same(world, "few", answer.items.count <= SGN_WITNESS_OLD_MAX * SGN_WITNESS_OLD_BYTES, 1);
        while (cursor.left > 0) {
            uint32_t p = (uint32_t)sgn_cursor_uint(&cursor, 4);
            uint32_t epoch = (uint32_t)sgn_cursor_uint(&cursor, 4);
            struct sgn_key_hash key = {.hash = sgn_cursor_uint(&cursor, 8)};
            key.keyed = sgn_cursor_uint(&cursor, 8);
            struct sgn_ballot ballot = sgn_ballot_take(&cursor);
            const struct dumb_mark *mark = dumb_find(world, p, key);
            if (cursor.bad || mark == NULL || sgn_ballot_compare(&mark->ballot, &ballot) != 0 ||
                epoch != world->parts[p].epoch) {
                differ(world, "old mark that is none", p, 0);
                return;
            }
            named[mark - world->marks] = true;
            world->old_seen++;
        }
    }
    for (uint32_t i = 0; i < DUMB_MARKS_MAX; i++) {
        const struct dumb_mark *mark = &world->marks[i];
        bool old = mark->used && world->now_ms - mark->raised_ms >= DUMB_OLD_MS &&
                   dumb_has_seat(&world->lines[mark->partition], node, true);
        same(world, "old mark named", named[i], old);
    }
}

void dumb_begin(struct dumb_world *world, uint64_t seed)
{
    struct sgn_witness_options options = {DUMB_ID, DUMB_BIRTH, DUMB_ENTRIES_MAX, DUMB_OLD_MS};
    size_t bytes = sgn_witness_bytes(DUMB_PARTS, DUMB_ENTRIES_MAX);
    void *memory = aligned_alloc(16, bytes);
    SGN_ASSERT(memory != NULL);
    memset(memory, 0, bytes);
    memset(world, 0, sizeof(*world));
    world->prng.state = seed;
    world->now_ms = UINT32_MAX - 20000; /* The 32 bits of an entry wrap under way. */
    world->witness = sgn_witness_init(memory, DUMB_PARTS, &options);
    world->map =
        (struct sgn_map){.partition_count = DUMB_PARTS, .group_size = 3, .witness_count = 3};
    for (uint32_t i = 0; i < 3; i++) {
        world->map.witnesses[i] = (struct sgn_witness_member){
            .id = SGN_WITNESS_BIT | (2 + i), .incarnation = 5, .address = "127.0.0.1:7501"};
    }
    world->map.lines = world->lines;
}

/* Random steps until the two differ or the count is reached. */
void dumb_run(struct dumb_world *world, uint32_t steps)
{
    step_batch(world); /* Before any map: all of it is STALE. */
    dumb_step_map(world);
    for (uint32_t i = 0; i < steps && world->wrong[0] == '\0'; i++) {
        uint64_t draw = sgn_prng_below(&world->prng, 100);
        world->now_ms += sgn_prng_below(&world->prng, 200);
        if (draw < 3) {
            dumb_step_map(world);
        } else if (draw < 35) {
            step_seed(world);
        } else if (draw < 40) {
            step_ping(world);
        } else {
            step_batch(world);
        }
        sgn_witness_table_check(&world->witness->table);
        struct sgn_witness_counts counts;
        sgn_witness_counts(world->witness, &counts);
        same(world, "entries", counts.entries, world->mark_count);
        same(world, "overflows", counts.overflows, world->overflows);
    }
}
