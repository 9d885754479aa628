/* tests/lib/dumb_history.h - what dotted version vectors stand for, said with explicit sets.
 *
 * Every write that happened is an event with a number; a set of events is a 64-bit mask. A replica
 * is the set of events it knows of. An event remembers the set of puts that its writer had seen:
 * those it overwrites. A put is live at a replica that knows it and knows no event that overwrites
 * it. There are no counters, no vectors and no merge rule but union, so this shares no idea with
 * ring/core/record.c that could be wrong in both. */
#ifndef SGN_TESTS_DUMB_HISTORY_H
#define SGN_TESTS_DUMB_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#define DUMB_EVENTS_MAX   64u
#define DUMB_REPLICAS_MAX 8u

struct dumb_event {
    bool is_put;
    uint32_t value; /* Puts of one value are one put, sent again. */
    uint64_t past;  /* The puts that it overwrites. */
};

struct dumb_history {
    uint32_t event_count;
    struct dumb_event events[DUMB_EVENTS_MAX];
    uint64_t known[DUMB_REPLICAS_MAX];
};

void dumb_init(struct dumb_history *history);

/* The context of a read: every put in the causal past of what the replica knows. */
uint64_t dumb_read(const struct dumb_history *history, uint32_t replica);

/* A put of a value that is live at the replica already changes nothing. */
void dumb_put(struct dumb_history *history, uint32_t replica, uint64_t context, uint32_t value);
void dumb_delete(struct dumb_history *history, uint32_t replica, uint64_t context);
void dumb_merge(struct dumb_history *history, uint32_t into, uint32_t from);

/* The puts live at a replica, and the values of a set of puts (bit = value, below 64). */
uint64_t dumb_live(const struct dumb_history *history, uint32_t replica);
uint64_t dumb_values(const struct dumb_history *history, uint64_t puts);

/* The puts that nothing, wherever it is known, has overwritten: none of them may be lost. */
uint64_t dumb_owed(const struct dumb_history *history);

#endif
