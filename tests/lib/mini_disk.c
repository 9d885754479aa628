/* The disk of a mini ring's node: entries by family and key. */
#include <stdlib.h>

#include "ring/core/check.h"
#include "ring/core/items.h"
#include "ring/core/key.h"
#include "ring/core/ordered.h"
#include "ring/core/placement.h"
#include "ring/core/record.h"
#include "tests/lib/mini_ring.h"

static int entry_order(const struct mini_entry *entry, enum sgn_family family, struct sgn_bytes key)
{
    return entry->family != family
               ? (entry->family < family ? -1 : 1)
               : sgn_bytes_compare(sgn_bytes_of(entry->key, entry->key_count), key);
}

static uint32_t entry_place(struct mini_node *node, enum sgn_family family, struct sgn_bytes key)
{
    uint32_t i = 0;
    while (i < node->entry_count && entry_order(&node->entries[i], family, key) < 0) {
        i++;
    }
    return i;
}

struct mini_entry *mini_find(struct mini_node *node,
                             enum sgn_family family,
                             const void *key,
                             size_t key_count)
{
    struct sgn_bytes bytes = sgn_bytes_of(key, key_count);
    uint32_t i = entry_place(node, family, bytes);
    return i < node->entry_count && entry_order(&node->entries[i], family, bytes) == 0
               ? &node->entries[i]
               : NULL;
}

uint32_t mini_count(const struct mini_node *node, enum sgn_family family)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < node->entry_count; i++) {
        count += node->entries[i].family == family;
    }
    return count;
}

static void mini_entry_free(struct mini_entry *entry)
{
    free(entry->key);
    free(entry->value);
}

void mini_delete(struct mini_node *node, enum sgn_family family, struct sgn_bytes key)
{
    struct mini_entry *entry = mini_find(node, family, key.ptr, key.count);
    if (entry != NULL) {
        mini_entry_free(entry);
        size_t behind = (size_t)(node->entries + node->entry_count - (entry + 1));
        memmove(entry, entry + 1, behind * sizeof(*entry));
        node->entry_count--;
    }
}

void mini_write(struct mini_node *node,
                enum sgn_family family,
                const void *key,
                size_t key_count,
                const void *value,
                size_t value_count)
{
    struct sgn_bytes bytes = sgn_bytes_of(key, key_count);
    struct mini_entry entry = {
        .family = family, .key_count = key_count, .value_count = value_count};
    entry.key = malloc(key_count + 1); /* Copied first: the bytes may be the old entry's. */
    entry.value = malloc(value_count + 1);
    memcpy(entry.key, key, key_count);
    if (value_count > 0) {
        memcpy(entry.value, value, value_count);
    }
    bytes.ptr = entry.key;
    mini_delete(node, family, bytes);
    SGN_ASSERT(node->entry_count < MINI_ENTRIES_MAX);
    uint32_t i = entry_place(node, family, bytes);
    memmove(&node->entries[i + 1],
            &node->entries[i],
            (node->entry_count - i) * sizeof(node->entries[0]));
    node->entries[i] = entry;
    node->entry_count++;
}

void mini_wipe(struct mini_ring *ring, uint32_t id, uint64_t disk)
{
    struct mini_node *node = &ring->nodes[id - 1];
    SGN_ASSERT(!node->up);
    for (uint32_t i = 0; i < node->entry_count; i++) {
        mini_entry_free(&node->entries[i]);
    }
    node->entry_count = 0;
    node->disk = disk;
}
