#include "tests/lib/store_child.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ring/core/prng.h"

#define IN_FLIGHT_MAX 64u
#define MIB           ((uint64_t)1 << 20)

struct sgn_store_options child_options(const char *directory, enum sgn_store_sync sync)
{
    return (struct sgn_store_options){
        .directory = directory,
        .ring_name = "crash",
        .node = 7,
        .disk_reserve_bytes = MIB,
        .block_cache_bytes = 16 * MIB,
        .sync = sync,
    };
}

struct sgn_bytes child_key(uint64_t t, char *text)
{
    int count = snprintf(text, 32, "bucket%ckey-%03" PRIu64, 0, t % CHILD_KEYS);
    return sgn_bytes_of(text, (size_t)count);
}

/* The one value that unit t writes. */
struct sgn_bytes child_value(uint64_t t, uint8_t *raw)
{
    struct sgn_prng prng = {.state = t * 1000003};
    uint64_t kind = sgn_prng_below(&prng, 100);
    size_t count = 8 + (size_t)sgn_prng_below(&prng,
                                              kind == 0  ? CHILD_VALUE_BYTES_MAX - 8
                                              : kind < 8 ? 40000
                                                         : 1500);
    memcpy(raw, &t, 8);
    for (size_t i = 8; i < count; i++) {
        raw[i] = (uint8_t)(i % 8 == 0 ? sgn_prng_next(&prng) : raw[i - 8] * 5u + 1u);
    }
    return sgn_bytes_of(raw, count);
}

static enum sgn_err unit_submit(struct sgn_store *store, uint64_t t, uint8_t *raw)
{
    char key[32];
    struct sgn_bytes full_key = child_key(t, key);
    struct sgn_bytes value = child_value(t, raw);
    struct sgn_bytes number = sgn_bytes_of(&t, sizeof(t));
    bool gone = t % 3 == 0;
    const struct sgn_store_write writes[4] = {
        {.family = SGN_FAMILY_DATA, .key = full_key, .value = value},
        {.family = SGN_FAMILY_HINT, .key = full_key, .value = number},
        {.family = SGN_FAMILY_TREE, .key = full_key, .value = number, .is_delete = gone},
        {.family = SGN_FAMILY_META, .key = sgn_bytes_str("last"), .value = number},
    };
    return sgn_store_submit(store, t, writes, 4);
}

static void report_send(int fd, uint64_t token, enum sgn_err err, int at_submit)
{
    struct child_report report = {.token = token, .err = err, .at_submit = at_submit};
    if (write(fd, &report, sizeof(report)) != (ssize_t)sizeof(report)) {
        _exit(3);
    }
}

/* The child: never ends by itself. A refused unit is not tried again: the numbers stay in order. */
int child_run(const char *directory, uint64_t first, int fd, enum sgn_store_sync sync)
{
    struct sgn_store *store;
    struct sgn_store_options options = child_options(directory, sync);
    char error[SGN_STORE_ERROR_BYTES];
    enum sgn_err err = sgn_store_open(&store, &options, error, sizeof(error));
    if (err != SGN_OK) {
        fprintf(stderr, "child: %s\n", error);
        report_send(fd, 0, err, 0);
        return 2;
    }
    uint8_t *raw = malloc(CHILD_VALUE_BYTES_MAX);
    uint64_t next = first;
    uint32_t flying = 0;
    while (raw != NULL) {
        while (flying < IN_FLIGHT_MAX) {
            err = unit_submit(store, next, raw);
            if (err != SGN_OK) {
                report_send(fd, next, err, 1);
                usleep(20000);
                break;
            }
            next++;
            flying++;
        }
        sgn_store_commit(store);
        struct pollfd wait = {.fd = sgn_store_event_fd(store), .events = POLLIN};
        (void)poll(&wait, 1, 20);
        struct sgn_store_done done[IN_FLIGHT_MAX];
        uint32_t count = sgn_store_poll(store, done, IN_FLIGHT_MAX);
        for (uint32_t i = 0; i < count; i++) {
            report_send(fd, done[i].token, done[i].err, 0);
            sgn_store_done_release(&done[i]);
            flying--;
        }
    }
    return 2;
}
