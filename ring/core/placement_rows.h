/* ring/core/placement_rows.h - the table while it is being solved, and the search that fills the
 * last empty slots; a part of the placement solver.
 *
 * A row is N slots, some empty. It is *sound* when its members differ and at most `spare` of them
 * repeat a zone of the row; a full sound row lies in min(N, zones) zones. Filling is a flow
 * problem: members with slots to take on one side, empty slots on the other. When no empty slot
 * suits, a member takes another's slot, that one takes a third's, and so on to an empty one: a
 * chain. The cost of a chain is what it adds to the number of moved slots, a slot being moved if
 * its holder did not have it before. Always taking the cheapest chain gives the least movement in
 * the end (successive shortest paths, Busacker and Gowen 1961); the shortest of the cheapest never
 * uses one place twice. Owns: nothing; the arrays are scratch of the caller. Threads, failure:
 * pure, cannot fail. */
#ifndef SGN_CORE_PLACEMENT_ROWS_H
#define SGN_CORE_PLACEMENT_ROWS_H

#include "ring/core/placement_share.h"

#define SGN_SLOT_EMPTY UINT16_MAX

_Static_assert(SGN_NODES_MAX < SGN_SLOT_EMPTY, "an index of a member is never the empty mark");
_Static_assert(SGN_PARTITIONS_MAX <= UINT16_MAX, "a partition fits the steps of a chain");

struct sgn_chain_step {
    uint16_t taker;     /* Who takes the slot of the member this step belongs to, ... */
    uint16_t partition; /* ... and where. */
};

struct sgn_rows {
    const struct sgn_ring *ring;
    const struct sgn_shares *shares;
    uint32_t spare;            /* Slots of a row that may repeat a zone. */
    uint16_t *table;           /* As in struct sgn_ring. */
    const uint16_t *before;    /* The table before, in today's indexes; those gone are EMPTY. */
    uint32_t before_width;     /* Replicas of a row before; 0 for a new ring. */
    uint32_t *held;            /* [member] slots held so far. */
    uint16_t *open;            /* Partitions with an empty slot, ... */
    uint32_t open_count;       /* ... this many. */
    uint32_t empty_count;      /* Empty slots. */
    int32_t cost_cap;          /* Chains whose beginning costs more are not followed. */
    int32_t *bound;            /* [member] no chain that ends its want is cheaper than this. */
    int32_t *cost, *cost_next; /* [member] */
    uint16_t *active, *active_next; /* [member] */
    struct sgn_chain_step *steps; /* [(members + 1) * members], by length of chain, then member. */
};

static inline uint16_t *sgn_rows_row(const struct sgn_rows *rows, uint32_t partition)
{
    return rows->table + (size_t)partition * rows->ring->replica_count;
}

static inline bool sgn_row_has(const uint16_t *row, uint32_t width, uint32_t member)
{
    for (uint32_t i = 0; i < width; i++) {
        if (row[i] == member) {
            return true;
        }
    }
    return false;
}

static inline bool sgn_rows_had(const struct sgn_rows *rows, uint32_t partition, uint32_t member)
{
    const uint16_t *row = rows->before + (size_t)partition * rows->before_width;
    return rows->before_width > 0 && sgn_row_has(row, rows->before_width, member);
}

/* Whether the row stays sound when the member gets an empty slot of it; false if none is empty. */
bool sgn_rows_fits(const struct sgn_rows *rows, uint32_t partition, uint32_t member);

/* Gives the slot at `position`, which must be empty, to the member. */
void sgn_rows_put(struct sgn_rows *rows, uint32_t partition, uint32_t position, uint32_t member);

/* Notes which partitions have an empty slot. To be called before the search, and again
 * after sgn_rows_put. */
void sgn_rows_open(struct sgn_rows *rows);

#define SGN_COST_ANY INT32_MAX

/* Fills empty slots by chains, cheapest first, as long as they cost no more than `cost_max`: with
 * SGN_COST_ANY until the table is full. `bound` must hold for every member. A limit of 0 is only
 * for a table in which everyone holds what it held before. */
void sgn_rows_complete(struct sgn_rows *rows, int32_t cost_max);

/* How many members of a row repeat a zone of it. */
uint32_t sgn_rows_repeats(const struct sgn_rows *rows, uint32_t partition);

#endif
