#include "tests/lib/dumb_history.h"

#include "ring/core/check.h"

static uint64_t bit(uint32_t index)
{
    return UINT64_C(1) << index;
}

static void add_event(struct dumb_history *history, uint32_t replica, struct dumb_event event)
{
    SGN_ASSERT(history->event_count < DUMB_EVENTS_MAX);
    history->events[history->event_count] = event;
    history->known[replica] |= bit(history->event_count);
    history->event_count++;
}

static uint64_t live_among(const struct dumb_history *history, uint64_t known)
{
    uint64_t live = 0;
    for (uint32_t i = 0; i < history->event_count; i++) {
        if ((known & bit(i)) != 0 && history->events[i].is_put) {
            live |= bit(i);
        }
    }
    for (uint32_t i = 0; i < history->event_count; i++) {
        if ((known & bit(i)) != 0) {
            live &= ~history->events[i].past;
        }
    }
    return live;
}

void dumb_init(struct dumb_history *history)
{
    *history = (struct dumb_history){.event_count = 0};
}

uint64_t dumb_read(const struct dumb_history *history, uint32_t replica)
{
    uint64_t seen = 0;
    for (uint32_t i = 0; i < history->event_count; i++) {
        if ((history->known[replica] & bit(i)) != 0) {
            seen |= history->events[i].past | (history->events[i].is_put ? bit(i) : 0);
        }
    }
    return seen;
}

void dumb_put(struct dumb_history *history, uint32_t replica, uint64_t context, uint32_t value)
{
    if ((dumb_values(history, dumb_live(history, replica)) & bit(value)) != 0) {
        return;
    }
    add_event(
        history, replica, (struct dumb_event){.is_put = true, .value = value, .past = context});
}

void dumb_delete(struct dumb_history *history, uint32_t replica, uint64_t context)
{
    add_event(history, replica, (struct dumb_event){.is_put = false, .past = context});
}

void dumb_merge(struct dumb_history *history, uint32_t into, uint32_t from)
{
    history->known[into] |= history->known[from];
}

uint64_t dumb_live(const struct dumb_history *history, uint32_t replica)
{
    return live_among(history, history->known[replica]);
}

uint64_t dumb_values(const struct dumb_history *history, uint64_t puts)
{
    uint64_t values = 0;
    for (uint32_t i = 0; i < history->event_count; i++) {
        if ((puts & bit(i)) != 0) {
            values |= bit(history->events[i].value);
        }
    }
    return values;
}

uint64_t dumb_owed(const struct dumb_history *history)
{
    return live_among(history, UINT64_MAX);
}
