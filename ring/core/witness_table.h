/* ring/core/witness_table.h - the marks of all partitions in one table of a fixed size.
 *
 *   index  2 * entries_max slots of u32: 0, or 1 + the place of an entry; linear probing, so that
 *          removing moves slots back and leaves no graves. Only as many are in use as the marks so
 *          far called for: a few marks in many slots would be a cache miss at every look
 *   pool   entries_max entries of 56 bytes; each is in the index, in the chain of its partition, or
 *          in the list of free ones
 *
 * An entry and its two slots are 64 bytes: what a tracked key costs at most. Entries never move, so
 * a chain survives every removal, and dropping a partition costs what it holds, not what the table
 * holds. Threads: one. */
#ifndef SGN_CORE_WITNESS_TABLE_H
#define SGN_CORE_WITNESS_TABLE_H

#include "ring/core/witness.h"

#define SGN_WITNESS_NONE        UINT32_MAX
#define SGN_WITNESS_KEY_BYTES   64u /* Of a tracked key, its part of the index with it. */
#define SGN_WITNESS_INDEX_SHARE 2u  /* Slots per entry: at most half of them are ever taken. */

struct sgn_witness_entry {
    struct sgn_key_hash key;
    struct sgn_ballot ballot;
    uint32_t partition;
    uint32_t raised_ms;  /* When the mark was last raised; wraps after 49 days. */
    uint32_t next, prev; /* Of the same partition, or the next free one; SGN_WITNESS_NONE ends. */
};
_Static_assert(sizeof(struct sgn_witness_entry) + SGN_WITNESS_INDEX_SHARE * sizeof(uint32_t) <=
                   SGN_WITNESS_KEY_BYTES,
               "a tracked key costs 64 bytes at most");

/* The chain of one partition. */
struct sgn_witness_chain {
    uint32_t first; /* 1 + the place of an entry; 0: none, so that zeroed memory is an empty one. */
    uint32_t count;
};

struct sgn_witness_table {
    struct sgn_witness_entry *pool;
    uint32_t *index;
    uint32_t entries_max;
    uint32_t slots; /* In use; grows fourfold, up to 2 * entries_max. */
    uint32_t used;  /* Entries of the pool that were ever taken; behind them it is untouched. */
    uint32_t free;  /* First of those given back. */
    uint32_t count; /* Entries that hold a mark. */
};

/* `pool` and `index` are memory of the caller, the index zeroed. */
void sgn_witness_table_init(struct sgn_witness_table *table,
                            void *pool,
                            uint32_t *index,
                            uint32_t entries_max);

/* The entry of the key, or NULL. Valid until the entry is removed. */
struct sgn_witness_entry *sgn_witness_table_find(const struct sgn_witness_table *table,
                                                 uint32_t partition,
                                                 struct sgn_key_hash key);

/* Makes the mark at least `ballot`. False, and nothing changed, when the key is not there and there
 * is no room for it. */
bool sgn_witness_table_raise(struct sgn_witness_table *table,
                             struct sgn_witness_chain *chain,
                             uint32_t partition,
                             const struct sgn_key_hash *key,
                             const struct sgn_ballot *ballot,
                             uint32_t now_ms);

void sgn_witness_table_remove(struct sgn_witness_table *table,
                              struct sgn_witness_chain *chain,
                              struct sgn_witness_entry *entry);

/* Removes all marks of the partition. */
void sgn_witness_table_drop(struct sgn_witness_table *table, struct sgn_witness_chain *chain);

/* Whether the place holds a mark; for walks over the pool. */
static inline bool sgn_witness_entry_live(const struct sgn_witness_entry *entry)
{
    return entry->partition != SGN_WITNESS_NONE;
}

/* Sweeps the whole table and asserts what its header says. For tests. */
void sgn_witness_table_check(const struct sgn_witness_table *table);

#endif
