/* tests/lib/store_raw.h - changes an entry of a closed store behind its back. */
#ifndef SGN_TESTS_STORE_RAW_H
#define SGN_TESTS_STORE_RAW_H

#include <rocksdb/c.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ring/core/bytes.h"
#include "ring/net/crc.h"

/* Puts the value as it is, checksum and all, under the key of the family; with add_family makes a
 * family no program knows. NULL, or what the database said, to be freed. */
static inline char *raw_put(const char *where,
                            const char *family,
                            struct sgn_bytes key,
                            struct sgn_bytes value,
                            bool add_family)
{
    static const char *const names[] = {"default", "data", "tree", "hints", "meta"};
    rocksdb_options_t *options = rocksdb_options_create();
    const rocksdb_options_t *each[5] = {options, options, options, options, options};
    rocksdb_column_family_handle_t *handles[5];
    char *message = NULL;
    rocksdb_t *db = rocksdb_open_column_families(options, where, 5, names, each, handles, &message);
    if (db == NULL) {
        rocksdb_options_destroy(options);
        return message;
    }
    rocksdb_writeoptions_t *how = rocksdb_writeoptions_create();
    for (int i = 0; i < 5; i++) {
        if (strcmp(names[i], family) == 0) {
            rocksdb_put_cf(
                db, how, handles[i], key.ptr, key.count, value.ptr, value.count, &message);
        }
    }
    if (add_family) {
        rocksdb_column_family_handle_destroy(
            rocksdb_create_column_family(db, options, "future", &message));
    }
    for (int i = 0; i < 5; i++) {
        rocksdb_column_family_handle_destroy(handles[i]);
    }
    rocksdb_close(db);
    rocksdb_writeoptions_destroy(how);
    rocksdb_options_destroy(options);
    return message;
}

/* The identity as a program of another format may have written it: only the number is known. */
static inline char *raw_put_format(const char *where, uint8_t format)
{
    struct sgn_bytes key = sgn_bytes_of("\0identity", 9);
    uint8_t raw[20] = {format, 0, 0, 0, 'n', 'e', 'w'};
    struct sgn_sink sink = sgn_sink_of(raw + 16, 4);
    sgn_sink_uint(&sink, sgn_crc32c(sgn_crc32c(0, key), sgn_bytes_of(raw, 16)), 4);
    return raw_put(where, "meta", key, sgn_bytes_of(raw, sizeof(raw)), false);
}

#endif
