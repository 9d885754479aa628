/* node/options_load.h - between options.c and options_file.c: one name and value at a time. */
#ifndef SGN_NODE_OPTIONS_LOAD_H
#define SGN_NODE_OPTIONS_LOAD_H

#include "node/options.h"

struct sgn_loader {
    struct sgn_config *config;
    char *error; /* SGN_CONFIG_ERROR_BYTES */
    struct sgn_place place;
    const char *given; /* Variable or flag as it was written; unused for a file. */
};

/* Takes one value. `section` may be "member.ID". */
enum sgn_err sgn_loader_set(struct sgn_loader *loader,
                            const char *section,
                            const char *name,
                            const char *value);

/* Writes "FILE:LINE: [section] name: " (section and name may be NULL), "VARIABLE: " or "--flag: ",
 * and the sentence. Always SGN_ERR_CONFIG. */
enum sgn_err sgn_loader_fail(struct sgn_loader *loader,
                             const char *section,
                             const char *name,
                             const char *format,
                             ...) __attribute__((format(printf, 4, 5)));

/* Reads config->file. */
enum sgn_err sgn_loader_file(struct sgn_loader *loader);

#define SGN_LOADER_NAME_BYTES 96u /* Of a section or key as written; longer ones are cut. */

/* A name as it is written in that kind of place: [node] id, SIGNET_NODE_ID or --node.id. */
void sgn_loader_name(
    enum sgn_place_kind kind, const char *section, const char *name, char *out, size_t bytes);

/* What must hold between values, once all are taken; fills in an unset listen. */
enum sgn_err sgn_loader_check(struct sgn_loader *loader);

/* "ID" of "member.ID" as a number; 0 if it is none. */
uint32_t sgn_member_section_id(const char *section);

#endif
