/* node/option.h - one option of a program: its row of a table, text to field, and its part of
 * --help and of the manual page. What node and witness share of reading what they are told.
 * Threads: none of its own; plain data. */
#ifndef SGN_NODE_OPTION_H
#define SGN_NODE_OPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "ring/core/bytes.h"

#define SGN_PATH_BYTES_MAX        511u
#define SGN_CONFIG_FILE_BYTES_MAX (1u << 20)
#define SGN_OPTIONS_TEXT_BYTES    32768u /* Holds all of --help, or of --man. */

enum sgn_option_type {
    SGN_OPTION_UINT,    /* uint32_t */
    SGN_OPTION_POWER,   /* uint32_t, a power of two */
    SGN_OPTION_SIZE,    /* uint64_t bytes; K, M, G, T are powers of 1024 */
    SGN_OPTION_TIME,    /* uint32_t ms; ms, s, m, h */
    SGN_OPTION_ADDRESS, /* char[SGN_ADDRESS_BYTES_MAX + 1] */
    SGN_OPTION_ADMIN,   /* the same, "" for off */
    SGN_OPTION_PATH,    /* char[SGN_PATH_BYTES_MAX + 1] */
    SGN_OPTION_NAME,    /* char[SGN_RING_NAME_BYTES_MAX + 1] */
    SGN_OPTION_LEVEL,   /* uint32_t, enum sgn_log_level */
    SGN_OPTION_SWITCH,  /* uint32_t, 1 for yes */
};

struct sgn_option {
    const char *section;
    const char *name;
    enum sgn_option_type type;
    uint32_t offset; /* Of the field in the struct that is filled. */
    uint64_t least, most;
    const char *fallback;
    const char *text;
};

/* Parses text into the field at base + option->offset. False, and nothing changed, if not valid. */
bool sgn_option_parse(const struct sgn_option *option, const char *text, void *base);

/* "a whole number from 1 to 7": what an option takes. */
#define SGN_ALLOWED_BYTES 128u
void sgn_option_allowed(const struct sgn_option *option, char text[SGN_ALLOWED_BYTES]);

/* Whether two structs have the same value for an option. */
bool sgn_option_same(const struct sgn_option *option, const void *a, const void *b);

/* Compares names: - and _ are the same, case counts unless `fold`. */
bool sgn_option_name_equal(const char *a, const char *b, bool fold);

/* Edits between two names (Levenshtein); at most 64 bytes of each are looked at. */
uint32_t sgn_option_distance(const char *a, const char *b);
/* Further than this is another word, not a slip. */
uint32_t sgn_option_distance_max(const char *name);

/* node/option_text.c. A piece of text of at most 2047 bytes. */
void sgn_text_put(struct sgn_sink *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Cuts blanks off both ends, in place. */
char *sgn_text_trim(char *text);
/* The option in --help, as --PREFIXname, and in the manual page. */
void sgn_option_help(struct sgn_sink *text, const struct sgn_option *option, const char *prefix);
void sgn_option_man(struct sgn_sink *text, const struct sgn_option *option);

/* A whole configuration file with a NUL behind it, to be freed; NULL with a sentence in `error`. */
char *sgn_config_file_read(const char *path, char *error, size_t error_bytes);

#endif
