/* tests/lib/night_load.h - a steady load on a ring from threads (*lanes*) of one client, each with
 * keys of its own, that know what every one of their keys may hold. Three kinds of keys:
 *
 *   once   written one time. Acknowledged: holds just that value. Refused: holds nothing. Unknown:
 *          one of the two.
 *   blind  overwritten again and again without a context. Holds the last acknowledged value or a
 *          later one; or one that was sent more than once or ended as unknown, since a copy of it
 *          that was under way may have come last.
 *   seen   overwritten with the context of a get, or of the put before. Every acknowledged value is
 *          there until a put goes out that has seen it.
 *
 * Nothing may hold a value that was refused, that was never sent, or that is another key's.
 * Threads: one may call. Every function that waits has a limit and ends the test past it. */
#ifndef SGN_TESTS_NIGHT_LOAD_H
#define SGN_TESTS_NIGHT_LOAD_H

#include <stdint.h>

#define NIGHT_BUCKET "night" /* Available; night_start makes it. */

struct night;

struct night *night_start(const char *seeds, uint32_t node_count);
/* Writes acknowledged so far. */
uint64_t night_acks(const struct night *night);
/* Waits until that many more are acknowledged: the ring goes on. */
void night_await_acks(const struct night *night, uint64_t more);
/* Returns when no lane has a request under way. */
void night_pause(struct night *night);
void night_resume(struct night *night);

enum night_scope {
    NIGHT_NEW, /* Once keys since the last check through one node each; the others through all. */
    NIGHT_ALL  /* Every key through every node. */
};

struct night_counts {
    uint64_t acked, unknown, refused; /* Writes. */
    uint64_t checked;                 /* Reads compared. */
    uint64_t failed;                  /* Of those; each has printed a line. */
};

/* While paused: one copy is read of each. Waits. */
struct night_counts night_check(struct night *night, enum night_scope scope);
void night_end(struct night *night);

#endif
