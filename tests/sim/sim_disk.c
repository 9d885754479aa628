/* tests/sim/sim_disk.c - the disk of a simulated node. */
#include <stdlib.h>
#include <string.h>

#include "ring/core/check.h"
#include "ring/core/items.h"
#include "ring/core/key.h"
#include "tests/sim/sim.h"

static struct sgn_bytes entry_key(const struct sim_entry *entry)
{
    return sgn_bytes_of(entry->key, entry->key_bytes);
}

/* Index of the first entry whose key is >= key. */
static uint32_t family_seek(const struct sim_family *family, struct sgn_bytes key)
{
    uint32_t low = 0;
    uint32_t high = family->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (sgn_bytes_compare(entry_key(&family->list[middle]), key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static uint8_t *bytes_copy(struct sgn_bytes bytes)
{
    uint8_t *copy = malloc(bytes.count + 1);
    SGN_ASSERT(copy != NULL);
    if (bytes.count > 0) {
        memcpy(copy, bytes.ptr, bytes.count);
    }
    return copy;
}

const struct sim_entry *sim_disk_find(const struct sim_disk *disk,
                                      enum sgn_family family,
                                      struct sgn_bytes key)
{
    const struct sim_family *map = &disk->families[family];
    uint32_t at = family_seek(map, key);
    bool found = at < map->count && sgn_bytes_equal(entry_key(&map->list[at]), key);
    return found ? &map->list[at] : NULL;
}

void sim_disk_put(struct sim_disk *disk,
                  enum sgn_family family,
                  struct sgn_bytes key,
                  struct sgn_bytes value)
{
    struct sim_family *map = &disk->families[family];
    uint32_t at = family_seek(map, key);
    if (at < map->count && sgn_bytes_equal(entry_key(&map->list[at]), key)) {
        free(map->list[at].value);
    } else {
        if (map->count == map->cap) {
            map->cap = map->cap == 0 ? 64 : map->cap * 2;
            map->list = realloc(map->list, map->cap * sizeof(map->list[0]));
            SGN_ASSERT(map->list != NULL);
        }
        memmove(&map->list[at + 1], &map->list[at], (map->count - at) * sizeof(map->list[0]));
        map->count++;
        map->list[at].key = bytes_copy(key);
        map->list[at].key_bytes = (uint32_t)key.count;
    }
    map->list[at].value = bytes_copy(value);
    map->list[at].value_bytes = (uint32_t)value.count;
}

void sim_disk_delete(struct sim_disk *disk, enum sgn_family family, struct sgn_bytes key)
{
    struct sim_family *map = &disk->families[family];
    uint32_t at = family_seek(map, key);
    if (at == map->count || !sgn_bytes_equal(entry_key(&map->list[at]), key)) {
        return;
    }
    free(map->list[at].key);
    free(map->list[at].value);
    map->count--;
    memmove(&map->list[at], &map->list[at + 1], (map->count - at) * sizeof(map->list[0]));
}

void sim_disk_queue(struct sim_disk *disk, uint64_t token, const struct sgn_effect *effect)
{
    if (disk->queue_count == disk->queue_cap) {
        disk->queue_cap = disk->queue_cap == 0 ? 16 : disk->queue_cap * 2;
        disk->queue = realloc(disk->queue, disk->queue_cap * sizeof(disk->queue[0]));
        SGN_ASSERT(disk->queue != NULL);
    }
    struct sim_unit *unit = &disk->queue[disk->queue_count++];
    size_t bytes = 1;
    for (uint32_t i = 0; i < effect->write_count; i++) {
        bytes += effect->writes[i].key.count + effect->writes[i].value.count;
    }
    unit->token = token;
    unit->write_count = effect->write_count;
    unit->bytes = malloc(bytes);
    SGN_ASSERT(unit->bytes != NULL);
    struct sgn_sink sink = sgn_sink_of(unit->bytes, bytes);
    for (uint32_t i = 0; i < effect->write_count; i++) {
        const struct sgn_store_write *from = &effect->writes[i];
        struct sgn_store_write *to = &unit->writes[i];
        *to = *from;
        to->key = sgn_bytes_of(sink.ptr + sink.count, from->key.count);
        sgn_sink_put(&sink, from->key.ptr, from->key.count);
        to->value = sgn_bytes_of(sink.ptr + sink.count, from->value.count);
        sgn_sink_put(&sink, from->value.ptr, from->value.count);
    }
    SGN_ASSERT(!sink.full);
}

void sim_disk_commit(struct sim_disk *disk, uint32_t count)
{
    SGN_ASSERT(count <= disk->queue_count);
    if (count == 0) {
        return;
    }
    for (uint32_t u = 0; u < count; u++) {
        struct sim_unit *unit = &disk->queue[u];
        for (uint32_t i = 0; i < unit->write_count; i++) {
            const struct sgn_store_write *write = &unit->writes[i];
            if (write->is_delete) {
                sim_disk_delete(disk, write->family, write->key);
            } else {
                sim_disk_put(disk, write->family, write->key, write->value);
            }
        }
        free(unit->bytes);
    }
    disk->queue_count -= count;
    memmove(disk->queue, disk->queue + count, disk->queue_count * sizeof(disk->queue[0]));
}

void sim_disk_queue_drop(struct sim_disk *disk)
{
    for (uint32_t u = 0; u < disk->queue_count; u++) {
        free(disk->queue[u].bytes);
    }
    disk->queue_count = 0;
}

void sim_disk_power_cut(struct sim_disk *disk, struct sgn_prng *prng)
{
    if (!disk->failed) { /* A store that failed takes no more writes. */
        sim_disk_commit(disk, (uint32_t)sgn_prng_below(prng, disk->queue_count + 1));
    }
    sim_disk_queue_drop(disk);
    disk->failed = false;
}

void sim_disk_clear(struct sim_disk *disk)
{
    sim_disk_queue_drop(disk);
    free(disk->queue);
    for (uint32_t f = 0; f < 4; f++) {
        struct sim_family *map = &disk->families[f];
        for (uint32_t i = 0; i < map->count; i++) {
            free(map->list[i].key);
            free(map->list[i].value);
        }
        free(map->list);
    }
    memset(disk, 0, sizeof(*disk));
}

/* The head of a stored record is its digest form: see ring/core/record.h for the layout. */
static struct sgn_bytes record_head(struct sgn_bytes record)
{
    if (record.count < 4) {
        return record;
    }
    const uint8_t *raw = record.ptr;
    size_t head = 4 + (size_t)raw[1] * 16 + (size_t)raw[2] * 44;
    return sgn_bytes_of(record.ptr, head < record.count ? head : record.count);
}

/* An ordered record behind its sequence number, without the body it ends with (ordered.h). */
static struct sgn_bytes ordered_head(struct sgn_bytes stored)
{
    if (stored.count < 72) {
        return sgn_bytes_of(NULL, 0);
    }
    uint64_t body = sgn_get_uint((const uint8_t *)stored.ptr + 68, 4);
    return sgn_bytes_of(stored.ptr, body <= stored.count - 72 ? stored.count - (size_t)body : 0);
}

static bool scan_wants(const struct sgn_scan *scan, struct sgn_bytes key, uint32_t partition_count)
{
    if (scan->partitions.count == 0) {
        return true;
    }
    uint32_t partition = sgn_partition_of(sgn_hash(key), partition_count);
    const uint8_t *bitmap = scan->partitions.ptr;
    return partition / 8 < scan->partitions.count &&
           (bitmap[partition / 8] >> (partition % 8) & 1) != 0;
}

void sim_disk_scan(const struct sim_disk *disk,
                   const struct sgn_scan *scan,
                   uint32_t partition_count,
                   struct sgn_sink *items,
                   struct sgn_bytes *after,
                   bool *end)
{
    const struct sim_family *map = &disk->families[scan->family];
    bool resumed = scan->after.count > 0;
    uint32_t at = family_seek(map, resumed ? scan->after : scan->prefix);
    if (resumed && at < map->count && sgn_bytes_equal(entry_key(&map->list[at]), scan->after)) {
        at++;
    }
    uint32_t taken = 0;
    uint32_t examined = 0;
    *after = scan->after;
    *end = true;
    for (; at < map->count && sgn_bytes_starts(entry_key(&map->list[at]), scan->prefix); at++) {
        struct sgn_bytes key = entry_key(&map->list[at]);
        struct sgn_bytes value = sgn_bytes_of(map->list[at].value, map->list[at].value_bytes);
        if (scan->heads_only) {
            value = scan->ordered ? ordered_head(value) : record_head(value);
        }
        bool wanted = scan_wants(scan, key, partition_count);
        size_t bytes = items->count + SGN_ITEM_OVERHEAD_BYTES + key.count + value.count;
        if (examined == scan->examined_max || (wanted && taken == scan->items_max) ||
            (wanted && bytes > scan->bytes_max && taken > 0)) {
            *end = false;
            return;
        }
        examined++;
        if (wanted) {
            sgn_items_push(items, key, value);
            SGN_ASSERT(!items->full);
            taken++;
        }
        *after = key;
    }
}
