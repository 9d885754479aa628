/* Nodes made up for tests of the client: they answer, fail and keep silent exactly as told. They
 * share one thread and one table of keys, and speak through ring/net. */
#ifndef SGN_TESTS_FAKE_NODES_H
#define SGN_TESTS_FAKE_NODES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/signet.h"
#include "ring/core/bytes.h"
#include "ring/net/address.h"

#define NODES 3u
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "FAILED %s:%d: %s\n", __FILE__, __LINE__, #condition);                 \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)
#define CHECK_ERR(got, wanted)                                                                     \
    do {                                                                                           \
        int err_ = (got);                                                                          \
        if (err_ != (wanted)) {                                                                    \
            fprintf(stderr,                                                                        \
                    "FAILED %s:%d: %s is %s, wanted %s\n",                                         \
                    __FILE__,                                                                      \
                    __LINE__,                                                                      \
                    #got,                                                                          \
                    sgn_err_name(err_),                                                            \
                    sgn_err_name(wanted));                                                         \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

struct sgn_listener;

enum manner {
    ANSWER,      /* As a node would. */
    ANSWER_BUSY, /* BUSY to everything but RING. */
    ANSWER_UNAVAILABLE,
    ANSWER_UNKNOWN, /* The same, but not sure of it. */
    ANSWER_FENCED,
    SWALLOW, /* Do it, never answer (but RING). */
    HANG_UP, /* Do it, then break the connection. */
    GARBAGE, /* A record that is none. */
    SLOW,    /* Answer after slow_ms. */
};

struct fake {
    uint32_t id;
    struct sgn_listener *listener;
    char address[SGN_ADDRESS_TEXT_BYTES];
    atomic_int manner;
    atomic_uint times;   /* The manner holds for so many requests, then ANSWER; 0: for ever. */
    atomic_uint served;  /* Requests seen, RING aside. */
    atomic_bool is_dead; /* Hangs up on every connection at once. */
};

extern struct fake fakes[NODES];
extern atomic_uint epoch;      /* Of the ring they describe. */
extern atomic_uint applied;    /* Writes that changed the table. */
extern atomic_uint duplicates; /* Writes with an id seen before. */
extern atomic_uint slow_ms;
extern atomic_uint mute_stamps;             /* So many answers yet that do not tell the time. */
extern _Atomic(const char *) fake_statuses; /* What STATUS answers instead; NULL: as it did. */
extern pthread_mutex_t seen_mutex;
extern uint64_t seen_stamp; /* Of the last write; under seen_mutex. */

void fakes_up(void);
void fakes_down(void);
/* The node behaves so for that many requests, then answers again; 0: until told otherwise. */
void told(uint32_t node, enum manner manner, uint32_t times);
void all_told(enum manner manner, uint32_t times);

#endif
