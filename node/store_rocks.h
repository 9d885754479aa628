/* node/store_rocks.h - opening, tuning and closing the database under the store. For store.c
 * only. */
#ifndef SGN_NODE_STORE_ROCKS_H
#define SGN_NODE_STORE_ROCKS_H

#include "node/store_internal.h"

/* Opens the database with its families. On failure nothing is left open; `error` has a sentence.
 * *log_was_cut: see struct sgn_store_identity. */
enum sgn_err store_rocks_open(struct sgn_store *store,
                              bool *log_was_cut,
                              char *error,
                              size_t error_bytes);

/* Moves the memory tables to files, so that the next start has no log to replay. */
enum sgn_err store_rocks_flush(struct sgn_store *store);

void store_rocks_close(struct sgn_store *store);

#endif
