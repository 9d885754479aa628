/* tests/lib/dumb_history.h - version vectors done the dumb way: causal history as sets of events.
 *
 * Every put is an event with a number. A replica is two sets: the events it has seen, and the events it
 * knows to be overwritten. What is seen and not overwritten is live. A context is what a reader had
 * before its eyes: all of both sets. No dots, no counters, nothing to get wrong - and nothing that
 * could be stored. */
#ifndef SGN_TESTS_DUMB_HISTORY_H
#define SGN_TESTS_DUMB_HISTORY_H

#include <stdint.h>

struct dumb_replica {
    uint64_t seen, overwritten; /* Bit i: event i. */
};

static inline uint64_t dumb_live(const struct dumb_replica *replica)
{
    return replica->seen & ~replica->overwritten;
}

static inline uint64_t dumb_context(const struct dumb_replica *replica)
{
    return replica->seen | replica->overwritten;
}

static inline void dumb_put(struct dumb_replica *replica, uint64_t context, uint32_t event)
{
    replica->overwritten |= context;
    replica->seen |= UINT64_C(1) << event;
}

static inline void dumb_delete(struct dumb_replica *replica, uint64_t context)
{
    replica->overwritten |= context;
}

static inline void dumb_merge(struct dumb_replica *into, const struct dumb_replica *other)
{
    into->seen |= other->seen;
    into->overwritten |= other->overwritten;
}

#endif
