/* node/options_value.h - one value of one option: text to field, and "did you mean". */
#ifndef SGN_NODE_OPTIONS_VALUE_H
#define SGN_NODE_OPTIONS_VALUE_H

#include "node/options.h"

/* Parses text into the field at base + option->offset. False, and nothing changed, if not valid. */
bool sgn_option_parse(const struct sgn_option *option, const char *text, void *base);

/* Compares names: - and _ are the same, case counts unless `fold`. */
bool sgn_option_name_equal(const char *a, const char *b, bool fold);

/* Edits between two names (Levenshtein); at most 64 bytes of each are looked at. */
uint32_t sgn_option_distance(const char *a, const char *b);

/* The known name nearest to what was given, or NULL when none is near. A name of the same section
 * is preferred; `in_members` looks at the keys of [member.ID]. */
const struct sgn_option *sgn_option_nearest(const char *section, const char *name, bool in_members);

/* "node", "ring", ... nearest to the given section, or NULL. */
const char *sgn_section_nearest(const char *section);
bool sgn_section_known(const char *section);

#endif
