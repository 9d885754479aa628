#include "node/options_value.h"

#include <stddef.h>
#include <string.h>

const struct sgn_option sgn_options[SGN_OPTION_COUNT] = {
#define SGN_OPTION_ROW(section, name, type, field, least, most, fallback, text)                    \
    {#section,                                                                                     \
     #name,                                                                                        \
     SGN_OPTION_##type,                                                                            \
     offsetof(struct sgn_config, field),                                                           \
     least,                                                                                        \
     most,                                                                                         \
     fallback,                                                                                     \
     text},
    SGN_OPTION_TABLE(SGN_OPTION_ROW)
#undef SGN_OPTION_ROW
};

const struct sgn_option sgn_member_options[SGN_MEMBER_OPTION_COUNT] = {
#define SGN_OPTION_ROW(section, name, type, field, least, most, fallback, text)                    \
    {#section,                                                                                     \
     #name,                                                                                        \
     SGN_OPTION_##type,                                                                            \
     offsetof(struct sgn_member, field),                                                           \
     least,                                                                                        \
     most,                                                                                         \
     fallback,                                                                                     \
     text},
    SGN_MEMBER_OPTION_TABLE(SGN_OPTION_ROW)
#undef SGN_OPTION_ROW
};

const struct sgn_option *sgn_option_nearest(const char *section, const char *name, bool in_members)
{
    const struct sgn_option *list = in_members ? sgn_member_options : sgn_options;
    uint32_t count = in_members ? SGN_MEMBER_OPTION_COUNT : (uint32_t)SGN_OPTION_COUNT;
    const struct sgn_option *best = NULL;
    uint32_t best_score = 2 * sgn_option_distance_max(name) + 2;
    for (uint32_t i = 0; i < count; i++) {
        /* Doubled, so that the section only decides between equals. */
        uint32_t score = 2 * sgn_option_distance(name, list[i].name) +
                         (section == NULL || strcmp(section, list[i].section) != 0);
        if (score < best_score) {
            best = &list[i];
            best_score = score;
        }
    }
    return best;
}

bool sgn_section_known(const char *section)
{
    for (uint32_t i = 0; i < SGN_OPTION_COUNT; i++) {
        if (strcmp(section, sgn_options[i].section) == 0) {
            return true;
        }
    }
    return false;
}

const char *sgn_section_nearest(const char *section)
{
    const char *best = NULL;
    uint32_t best_distance = sgn_option_distance_max(section) + 1;
    for (uint32_t i = 0; i < SGN_OPTION_COUNT; i++) {
        uint32_t distance = sgn_option_distance(section, sgn_options[i].section);
        if (distance < best_distance) {
            best = sgn_options[i].section;
            best_distance = distance;
        }
    }
    return best;
}
