/* ring/core/map_inner.h - what the files that change maps share. */
#ifndef SGN_CORE_MAP_INNER_H
#define SGN_CORE_MAP_INNER_H

#include "ring/core/map.h"

/* Whether there is room for the fence that a new epoch of the line costs. */
bool sgn_line_can_open(const struct sgn_map *next, const struct sgn_line *line);
/* The line's new epoch, and the fence of the one it leaves: before anything else changes. */
void sgn_line_open(struct sgn_map *next, struct sgn_line *line);
/* Forgets all but the first fences. */
void sgn_line_keep_fences(struct sgn_line *line, uint32_t kept);

#endif
