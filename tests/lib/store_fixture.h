/* tests/lib/store_fixture.h - what the store's Criterion tests share.
 *
 * A fresh directory for each test, and short forms for opening, writing and waiting. */
#ifndef SGN_TESTS_STORE_FIXTURE_H
#define SGN_TESTS_STORE_FIXTURE_H

#include <criterion/criterion.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/store.h"

static char directory[64];
static char error[SGN_STORE_ERROR_BYTES];

static inline void setup(void)
{
    snprintf(directory, sizeof(directory), "/tmp/sgn-store-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
}

static inline void teardown(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    cr_assert_eq(system(command), 0);
}

static inline struct sgn_store_options options_of(const char *ring, uint32_t node)
{
    return (struct sgn_store_options){
        .directory = directory,
        .ring_name = ring,
        .node = node,
        .disk_reserve_bytes = 1 << 20,
        .block_cache_bytes = 8 << 20,
    };
}

static inline struct sgn_store *open_good(void)
{
    struct sgn_store_options options = options_of("unit", 3);
    struct sgn_store *store;
    enum sgn_err err = sgn_store_open(&store, &options, error, sizeof(error));
    cr_assert_eq(err, SGN_OK, "%s", error);
    return store;
}

static inline enum sgn_err open_bad(const struct sgn_store_options *options)
{
    struct sgn_store *store;
    enum sgn_err err = sgn_store_open(&store, options, error, sizeof(error));
    cr_assert_null(store);
    cr_assert_not_null(strstr(error, options->directory), "%s", error);
    return err;
}

/* Waits for the next result. */
static inline struct sgn_store_done next_done(struct sgn_store *store)
{
    struct sgn_store_done done;
    struct pollfd wait = {.fd = sgn_store_event_fd(store), .events = POLLIN};
    sgn_store_commit(store);
    for (int i = 0; i < 1000; i++) {
        if (sgn_store_poll(store, &done, 1) == 1) {
            return done;
        }
        (void)poll(&wait, 1, 10);
    }
    cr_assert_fail("nothing was reported");
    return done;
}

static inline enum sgn_err put_one(struct sgn_store *store,
                                   enum sgn_family family,
                                   struct sgn_bytes key,
                                   struct sgn_bytes value)
{
    struct sgn_store_write write = {.family = family, .key = key, .value = value};
    enum sgn_err err = sgn_store_submit(store, 99, &write, 1);
    if (err != SGN_OK) {
        return err;
    }
    struct sgn_store_done done = next_done(store);
    cr_assert_eq(done.token, 99);
    cr_assert_eq(done.type, SGN_STORE_DONE_WRITE);
    return done.err;
}

static inline struct sgn_bytes text(const char *string)
{
    return sgn_bytes_str(string);
}

#endif
