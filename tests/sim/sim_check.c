/* tests/sim/sim_check.c - the oracle: what was written, what was seen, what must still be there.
 *
 * The promise checked (protocol.md 8): an acknowledged value of an available bucket is in the end
 * either readable or causally overwritten. "Overwritten" is judged without version vectors: the
 * first write that covers a value must have been given a context read together with that value, so
 * it is enough to know, of every write, which values its context was read with.
 *
 * The other way round, a sibling that an acknowledged write's context covers must not be there in
 * the end. That is judged by dot, not by value: a put that was sent again may have been minted
 * twice, and a context that was read with the one copy leaves the other (ring/core/record.h). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "ring/core/check.h"
#include "tests/sim/sim.h"

#define STAMP_US 5000u /* Stamps have milliseconds. */

void sim_violation(struct sim_history *history, const char *format, ...)
{
    if (history->violation[0] != '\0') {
        return; /* The first is what matters; the rest often follows from it. */
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(history->violation, sizeof(history->violation), format, arguments);
    va_end(arguments);
}

void sim_history_clear(struct sim_history *history)
{
    for (uint32_t i = 0; i < history->count; i++) {
        free(history->writes[i].overwrites);
    }
    history->count = 0;
}

uint32_t sim_history_begin(struct sim_history *history,
                           uint32_t key,
                           bool is_delete,
                           bool replaces,
                           const uint32_t *seen,
                           uint32_t seen_count,
                           struct sgn_bytes context,
                           uint64_t now_us)
{
    SGN_ASSERT(history->count < SIM_OPS_MAX);
    struct sim_write *write = &history->writes[history->count];
    *write = (struct sim_write){.key = key,
                                .is_delete = is_delete,
                                .replaces = replaces,
                                .began_us = now_us,
                                .overwrite_count = seen_count};
    if (seen_count > 0) {
        write->overwrites = malloc(seen_count * sizeof(seen[0]));
        SGN_ASSERT(write->overwrites != NULL);
        memcpy(write->overwrites, seen, seen_count * sizeof(seen[0]));
    }
    int err = sgn_context_decode(context, &write->context);
    SGN_ASSERT(err == SGN_OK);
    return history->count++;
}

uint32_t sim_value_number(struct sgn_bytes value)
{
    char text[16] = {0};
    memcpy(text, value.ptr, value.count < sizeof(text) - 1 ? value.count : sizeof(text) - 1);
    char *end = NULL;
    unsigned long number = text[0] == 'w' ? strtoul(text + 1, &end, 10) : UINT32_MAX;
    return end == NULL || *end != '.' || number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
}

uint32_t sim_history_read(struct sim_history *history, uint32_t key, struct sgn_bytes value)
{
    char text[16] = {0};
    memcpy(text, value.ptr, value.count < sizeof(text) - 1 ? value.count : sizeof(text) - 1);
    char *end = NULL;
    unsigned long number = text[0] == 'w' ? strtoul(text + 1, &end, 10) : UINT32_MAX;
    if (end == NULL || *end != '.' || number >= history->count) {
        sim_violation(history, "key %u returned a value that nobody wrote: %.15s", key, text);
        return UINT32_MAX;
    }
    struct sim_write *write = &history->writes[number];
    if (write->key != key || write->is_delete) {
        sim_violation(
            history, "key %u returned write %lu, made to key %u", key, number, write->key);
        return UINT32_MAX;
    }
    write->seen = true;
    return (uint32_t)number;
}

/* Whether some write that may have taken effect accounts for the absence of `victim`. */
static bool accounted_for(const struct sim_history *history, uint32_t victim)
{
    const struct sim_write *lost = &history->writes[victim];
    for (uint32_t i = 0; i < history->count; i++) {
        const struct sim_write *by = &history->writes[i];
        if (i == victim || by->key != lost->key || by->outcome == SIM_FAILED) {
            continue;
        }
        /* It drops nothing that was written after it entered the ring, however late it takes
         * effect; where clocks disagree only that it had not ended before is known. */
        bool late_enough = history->clocks_agree
                               ? by->sent_us + STAMP_US >= lost->began_us
                               : by->outcome != SIM_APPLIED || by->ended_us >= lost->began_us;
        if (by->replaces && late_enough) {
            return true;
        }
        for (uint32_t s = 0; s < by->overwrite_count; s++) {
            if (by->overwrites[s] == victim) {
                return true;
            }
        }
    }
    return false;
}

bool sim_history_needs(const struct sim_history *history, uint32_t number)
{
    const struct sim_write *write = &history->writes[number];
    return write->outcome == SIM_APPLIED && !write->is_delete && !accounted_for(history, number);
}

static bool contains(const uint32_t *list, uint32_t count, uint32_t number)
{
    for (uint32_t i = 0; i < count; i++) {
        if (list[i] == number) {
            return true;
        }
    }
    return false;
}

void sim_history_check_read(struct sim_history *history,
                            uint32_t key,
                            uint64_t began_us,
                            const uint32_t *seen,
                            uint32_t seen_count)
{
    for (uint32_t i = 0; i < history->count; i++) {
        const struct sim_write *write = &history->writes[i];
        if (write->key == key && write->ended_us < began_us && !contains(seen, seen_count, i) &&
            sim_history_needs(history, i)) {
            sim_violation(history, "a read of key %u missed write %u, acknowledged before", key, i);
        }
    }
}

static bool covers(const struct sgn_vector *context, const struct sgn_dot *dot)
{
    for (uint32_t i = 0; i < context->count; i++) {
        const struct sgn_dot *entry = &context->entries[i];
        if (entry->actor.node == dot->actor.node &&
            entry->actor.generation == dot->actor.generation) {
            return entry->counter >= dot->counter;
        }
    }
    return false;
}

void sim_history_check_final(struct sim_history *history,
                             uint32_t key,
                             const struct sgn_record *final)
{
    uint32_t numbers[SGN_SIBLINGS_MAX];
    for (uint32_t i = 0; i < final->sibling_count; i++) {
        numbers[i] = sim_history_read(history, key, final->siblings[i].body);
    }
    for (uint32_t i = 0; i < history->count; i++) {
        const struct sim_write *write = &history->writes[i];
        if (write->key != key) {
            continue;
        }
        if (write->outcome == SIM_FAILED && write->seen) {
            sim_violation(history, "write %u to key %u was called failed and yet was read", i, key);
        }
        if (write->outcome != SIM_APPLIED) {
            continue;
        }
        if (!contains(numbers, final->sibling_count, i) && sim_history_needs(history, i)) {
            sim_violation(history, "acknowledged write %u to key %u is lost", i, key);
        }
        for (uint32_t s = 0; s < final->sibling_count; s++) {
            if (covers(&write->context, &final->siblings[s].dot)) {
                sim_violation(history,
                              "write %u to key %u is back, though %u overwrote it",
                              numbers[s],
                              key,
                              i);
            }
        }
    }
}
