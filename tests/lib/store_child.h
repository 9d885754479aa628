/* tests/lib/store_child.h - the process that the store's crash test kills.
 *
 * What it writes, and how it says what was acknowledged. Everything in a unit follows from its
 * number. */
#ifndef SGN_TESTS_STORE_CHILD_H
#define SGN_TESTS_STORE_CHILD_H

#include <stdint.h>

#include "node/store.h"

#define CHILD_KEYS            199u
#define CHILD_VALUE_BYTES_MAX ((size_t)300 << 10)

struct child_report {
    uint64_t token; /* 0: the child could not open its store. */
    int32_t err;
    int32_t at_submit;
};

struct sgn_store_options child_options(const char *directory, enum sgn_store_sync sync);

/* The data key of unit t, in `text` of 32 bytes. */
struct sgn_bytes child_key(uint64_t t, char *text);

/* The one value of unit t, in `raw` of CHILD_VALUE_BYTES_MAX. */
struct sgn_bytes child_value(uint64_t t, uint8_t *raw);

/* Writes units from `first` on until killed; reports go to the pipe. */
int child_run(const char *directory, uint64_t first, int fd, enum sgn_store_sync sync);

#endif
