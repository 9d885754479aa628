/* tests/sim/sim_promise.c - promises that are looked at when they are made, on the disks
 * themselves. What is wrong only for a moment is often mended before the end of a run, and the end
 * shows nothing. */
#include "ring/core/check.h"
#include "ring/core/key.h"
#include "tests/sim/sim.h"

struct sgn_bytes sim_full_key(uint32_t key, uint8_t *room)
{
    char name[16];
    sim_key_name(key, name, sizeof(name));
    struct sgn_sink full = sgn_sink_of(room, SGN_FULL_KEY_BYTES_MAX);
    sgn_full_key_encode(sgn_bytes_str(SIM_BUCKET), sgn_bytes_str(name), &full);
    return sgn_sink_bytes(&full);
}

bool sim_copies_are_exact(const struct sim_world *world)
{
    return world->options.nodes == world->options.replicas && world->options.rot_pm == 0;
}

/* What the disk holds durably; false when that is nothing, or rotten. */
static bool held(const struct sim_disk *disk,
                 enum sgn_family family,
                 struct sgn_bytes key,
                 struct sgn_record *record)
{
    const struct sim_entry *entry = sim_disk_find(disk, family, key);
    return entry != NULL && entry->value_bytes > 0 &&
           sgn_record_decode(sgn_bytes_of(entry->value, entry->value_bytes),
                             SGN_RECORD_WITH_BODIES,
                             record) == SGN_OK;
}

/* A hint may go only when the home it was kept for holds all of it. */
static void check_hint_gone(struct sim_world *world, uint32_t index, struct sgn_bytes hint_key)
{
    const uint8_t *raw = hint_key.ptr;
    uint32_t home =
        (uint32_t)raw[0] << 24 | (uint32_t)raw[1] << 16 | (uint32_t)raw[2] << 8 | raw[3];
    struct sgn_record hint;
    struct sgn_record there;
    if (world->options.rot_pm > 0 ||
        !held(&world->nodes[index].disk, SGN_FAMILY_HINT, hint_key, &hint)) {
        return;
    }
    sgn_record_init(&there);
    (void)held(&world->nodes[sgn_ring_find(&world->ring, home)].disk,
               SGN_FAMILY_DATA,
               sgn_bytes_of(raw + 4, hint_key.count - 4),
               &there);
    if (!sgn_record_covers(&there, &hint)) {
        sim_violation(&world->history,
                      "node %u drops a hint that node %u does not hold",
                      world->nodes[index].id,
                      home);
    }
}

static bool dot_equal(const struct sgn_dot *a, const struct sgn_dot *b)
{
    return a->actor.node == b->actor.node && a->actor.generation == b->actor.generation &&
           a->counter == b->counter;
}

/* One dot, or one for each time a write was minted: the first may be overwritten by who has read it
 * while a second goes on. */
static void keep_dots(struct sim_history *history, struct sgn_bytes value)
{
    struct sgn_record record;
    if (sgn_record_decode(value, SGN_RECORD_WITH_BODIES, &record) != SGN_OK) {
        return;
    }
    for (uint32_t s = 0; s < record.sibling_count; s++) {
        uint32_t number = sim_value_number(record.siblings[s].body);
        if (number >= history->count) {
            continue;
        }
        struct sim_write *write = &history->writes[number];
        bool known = false;
        for (uint32_t d = 0; d < write->dot_count && !known; d++) {
            known = dot_equal(&write->dots[d], &record.siblings[s].dot);
        }
        if (!known) {
            SGN_ASSERT(write->dot_count < SIM_DOTS_MAX);
            write->dots[write->dot_count++] = record.siblings[s].dot;
        }
    }
}

void sim_check_store(struct sim_world *world, uint32_t index, const struct sgn_effect *effect)
{
    for (uint32_t i = 0; i < effect->write_count; i++) {
        const struct sgn_store_write *write = &effect->writes[i];
        if (write->family == SGN_FAMILY_DATA && !write->is_delete) {
            keep_dots(&world->history, write->value);
        }
        if (write->family == SGN_FAMILY_HINT && write->is_delete) {
            check_hint_gone(world, index, write->key);
            continue;
        }
        struct sgn_record before;
        struct sgn_record after;
        if ((write->family != SGN_FAMILY_DATA && write->family != SGN_FAMILY_HINT) ||
            !held(&world->nodes[index].disk, write->family, write->key, &before)) {
            continue;
        }
        if (write->is_delete ||
            sgn_record_decode(write->value, SGN_RECORD_WITH_BODIES, &after) != SGN_OK ||
            !sgn_record_covers(&after, &before)) {
            sim_violation(
                &world->history, "node %u forgets what it held of a key", world->nodes[index].id);
        }
    }
}

static bool covers(const struct sgn_vector *vector, const struct sgn_dot *dot)
{
    for (uint32_t i = 0; i < vector->count; i++) {
        const struct sgn_dot *entry = &vector->entries[i];
        if (entry->actor.node == dot->actor.node &&
            entry->actor.generation == dot->actor.generation) {
            return entry->counter >= dot->counter;
        }
    }
    return false;
}

void sim_check_acknowledged(struct sim_world *world, uint32_t number)
{
    const struct sim_write *write = &world->history.writes[number];
    uint8_t room[SGN_FULL_KEY_BYTES_MAX];
    struct sgn_bytes full_key = sim_full_key(write->key, room);
    if (!sim_copies_are_exact(world) || (!write->is_delete && write->dot_count == 0) ||
        (write->is_delete && write->context.count == 0)) {
        return; /* Nothing to look for. */
    }
    uint32_t copies = 0;
    for (uint32_t i = 0; i < world->options.nodes; i++) {
        struct sgn_record record;
        if (!held(&world->nodes[i].disk, SGN_FAMILY_DATA, full_key, &record)) {
            continue;
        }
        bool has = write->is_delete;
        for (uint32_t d = 0; d < write->dot_count && !has; d++) {
            has = covers(&record.vector, &write->dots[d]);
        }
        for (uint32_t c = 0; c < write->context.count && has && write->is_delete; c++) {
            has = covers(&record.vector, &write->context.entries[c]);
        }
        copies += has;
    }
    if (copies < world->options.w) {
        sim_violation(&world->history,
                      "write %u to key %u is acknowledged with %u copies of %u",
                      number,
                      write->key,
                      copies,
                      world->options.w);
    }
}
