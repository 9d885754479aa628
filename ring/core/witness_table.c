#include "ring/core/witness_table.h"

#include <string.h>

#include "ring/core/check.h"

#define SLOTS_FIRST 4096u

void sgn_witness_table_init(struct sgn_witness_table *table,
                            void *pool,
                            uint32_t *index,
                            uint32_t entries_max)
{
    SGN_ASSERT(entries_max > 0);
    SGN_ASSERT(entries_max <= UINT32_MAX / 4);
    uint32_t most = SGN_WITNESS_INDEX_SHARE * entries_max;
    *table = (struct sgn_witness_table){.pool = pool,
                                        .index = index,
                                        .entries_max = entries_max,
                                        .slots = most < SLOTS_FIRST ? most : SLOTS_FIRST,
                                        .free = SGN_WITNESS_NONE};
}

/* Where the search for a key begins: the upper bits of a product spread over any number of slots,
 * be it a power of two or not. `keyed` is what nobody can aim. */
static uint32_t home_of(const struct sgn_witness_table *table, const struct sgn_key_hash *key)
{
    uint64_t mixed = (key->keyed ^ (key->hash >> 7)) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(((mixed >> 32) * table->slots) >> 32);
}

static uint32_t slot_after(const struct sgn_witness_table *table, uint32_t slot)
{
    return slot + 1 == table->slots ? 0 : slot + 1;
}

static bool is_key(const struct sgn_witness_entry *entry,
                   uint32_t partition,
                   const struct sgn_key_hash *key)
{
    return entry->key.keyed == key->keyed && entry->key.hash == key->hash &&
           entry->partition == partition;
}

/* The slot of the key, or the empty one where it would be put. Half of the slots are empty, so the
 * walk ends. */
static uint32_t slot_of(const struct sgn_witness_table *table,
                        uint32_t partition,
                        const struct sgn_key_hash *key)
{
    uint32_t slot = home_of(table, key);
    while (table->index[slot] != 0 &&
           !is_key(&table->pool[table->index[slot] - 1], partition, key)) {
        slot = slot_after(table, slot);
    }
    return slot;
}

struct sgn_witness_entry *sgn_witness_table_find(const struct sgn_witness_table *table,
                                                 uint32_t partition,
                                                 struct sgn_key_hash key)
{
    uint32_t place = table->index[slot_of(table, partition, &key)];
    return place == 0 ? NULL : &table->pool[place - 1];
}

/* Puts all keys into four times the slots. From a million on that takes some tens of milliseconds,
 * once in the life of a witness, and of the node that it is inside of. */
static void index_grow(struct sgn_witness_table *table)
{
    uint32_t most = SGN_WITNESS_INDEX_SHARE * table->entries_max;
    table->slots = table->slots < most / 4 ? 4 * table->slots : most;
    memset(table->index, 0, table->slots * sizeof(table->index[0]));
    for (uint32_t i = 0; i < table->used; i++) {
        const struct sgn_witness_entry *entry = &table->pool[i];
        if (sgn_witness_entry_live(entry)) {
            table->index[slot_of(table, entry->partition, &entry->key)] = i + 1;
        }
    }
}

/* A free place of the pool; there is one. */
static uint32_t place_take(struct sgn_witness_table *table)
{
    uint32_t place = table->free;
    if (place != SGN_WITNESS_NONE) {
        table->free = table->pool[place].next;
    } else {
        place = table->used++;
    }
    SGN_ASSERT(place < table->entries_max);
    table->count++;
    return place;
}

bool sgn_witness_table_raise(struct sgn_witness_table *table,
                             struct sgn_witness_chain *chain,
                             uint32_t partition,
                             const struct sgn_key_hash *key,
                             const struct sgn_ballot *ballot,
                             uint32_t now_ms)
{
    SGN_ASSERT(partition != SGN_WITNESS_NONE);
    uint32_t slot = slot_of(table, partition, key);
    if (table->index[slot] != 0) {
        struct sgn_witness_entry *entry = &table->pool[table->index[slot] - 1];
        if (sgn_ballot_compare(ballot, &entry->ballot) > 0) {
            entry->ballot = *ballot;
            entry->raised_ms = now_ms;
        }
        return true;
    }
    if (table->count == table->entries_max) {
        return false;
    }
    if (table->count == table->slots / SGN_WITNESS_INDEX_SHARE) {
        index_grow(table);
        slot = slot_of(table, partition, key);
    }
    uint32_t place = place_take(table);
    table->pool[place] =
        (struct sgn_witness_entry){.key = *key,
                                   .ballot = *ballot,
                                   .partition = partition,
                                   .raised_ms = now_ms,
                                   .next = chain->first == 0 ? SGN_WITNESS_NONE : chain->first - 1,
                                   .prev = SGN_WITNESS_NONE};
    if (chain->first != 0) {
        table->pool[chain->first - 1].prev = place;
    }
    chain->first = place + 1;
    chain->count++;
    table->index[slot] = place + 1;
    return true;
}

/* Empties the slot and moves back whatever was put behind it only because it was taken (Knuth's
 * algorithm R): every key stays reachable from its home without a gap. */
static void slot_clear(struct sgn_witness_table *table, uint32_t hole)
{
    uint32_t slot = slot_after(table, hole);
    while (table->index[slot] != 0) {
        uint32_t home = home_of(table, &table->pool[table->index[slot] - 1].key);
        uint32_t from_home = slot >= home ? slot - home : slot + table->slots - home;
        uint32_t from_hole = slot >= hole ? slot - hole : slot + table->slots - hole;
        if (from_home >= from_hole) {
            table->index[hole] = table->index[slot];
            hole = slot;
        }
        slot = slot_after(table, slot);
    }
    table->index[hole] = 0;
}

void sgn_witness_table_remove(struct sgn_witness_table *table,
                              struct sgn_witness_chain *chain,
                              struct sgn_witness_entry *entry)
{
    uint32_t place = (uint32_t)(entry - table->pool);
    uint32_t slot = slot_of(table, entry->partition, &entry->key);
    SGN_ASSERT(table->index[slot] == place + 1);
    SGN_ASSERT(chain->count > 0);
    slot_clear(table, slot);
    if (entry->prev != SGN_WITNESS_NONE) {
        table->pool[entry->prev].next = entry->next;
    } else {
        SGN_ASSERT(chain->first == place + 1);
        chain->first = entry->next == SGN_WITNESS_NONE ? 0 : entry->next + 1;
    }
    if (entry->next != SGN_WITNESS_NONE) {
        table->pool[entry->next].prev = entry->prev;
    }
    entry->partition = SGN_WITNESS_NONE;
    entry->next = table->free;
    table->free = place;
    table->count--;
    chain->count--;
}

void sgn_witness_table_drop(struct sgn_witness_table *table, struct sgn_witness_chain *chain)
{
    while (chain->first != 0) {
        sgn_witness_table_remove(table, chain, &table->pool[chain->first - 1]);
    }
    SGN_ASSERT(chain->count == 0);
}

void sgn_witness_table_check(const struct sgn_witness_table *table)
{
    uint32_t in_index = 0;
    for (uint32_t slot = 0; slot < table->slots; slot++) {
        uint32_t place = table->index[slot];
        if (place != 0) {
            const struct sgn_witness_entry *entry = &table->pool[place - 1];
            SGN_ASSERT(place <= table->used);
            SGN_ASSERT(sgn_witness_entry_live(entry));
            SGN_ASSERT(slot_of(table, entry->partition, &entry->key) == slot);
            in_index++;
        }
    }
    uint32_t given_back = 0;
    for (uint32_t i = table->free; i != SGN_WITNESS_NONE; i = table->pool[i].next) {
        SGN_ASSERT(!sgn_witness_entry_live(&table->pool[i]));
        given_back++;
        SGN_ASSERT(given_back <= table->used);
    }
    SGN_ASSERT(in_index == table->count);
    SGN_ASSERT(given_back + table->count == table->used);
    SGN_ASSERT(table->used <= table->entries_max);
}
