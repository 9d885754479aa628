/* ring/core/placement_first.h - who of a row comes first; a part of the placement solver.
 *
 * The first replica coordinates, so firsts follow weight as far as the rows let them. Only the
 * order within rows changes: no data moves. Whoever was first before stays unless that is out of
 * balance. Owns: nothing; the arrays are scratch of the caller. Threads, failure: pure, cannot
 * fail. */
#ifndef SGN_CORE_PLACEMENT_FIRST_H
#define SGN_CORE_PLACEMENT_FIRST_H

#include "ring/core/placement_rows.h"

struct sgn_first {
    struct sgn_rows *rows;
    uint32_t *count;  /* [member] rows it is first of. */
    uint16_t *depth;  /* [member] exchanges from the source of a search. */
    uint16_t *where;  /* [member] the row through which the search came to it. */
    uint8_t *settled; /* [member] nothing can be taken off it. */
};

/* Orders every row of a full table. Fills `count`. */
void sgn_first_balance(struct sgn_first *first);

#endif
