/* node/options_value.h - "did you mean": the nearest known names. */
#ifndef SGN_NODE_OPTIONS_VALUE_H
#define SGN_NODE_OPTIONS_VALUE_H

#include "node/options.h"

/* The known name nearest to what was given, or NULL when none is near. A name of the same section
 * is preferred; `in_members` looks at the keys of [member.ID]. */
const struct sgn_option *sgn_option_nearest(const char *section, const char *name, bool in_members);

/* "node", "ring", ... nearest to the given section, or NULL. */
const char *sgn_section_nearest(const char *section);
bool sgn_section_known(const char *section);

#endif
