/* tests/sim/sim_heap.h - what is to happen when: a binary heap of events. An event has a struct
 * sim_when as its first member; equal times go by `order`, so a run repeats itself.
 * Owns: its list; not the events. */
#ifndef SGN_TESTS_SIM_HEAP_H
#define SGN_TESTS_SIM_HEAP_H

#include <stdint.h>

struct sim_when {
    uint64_t at_us, order;
};

struct sim_heap {
    struct sim_when **list;
    uint32_t count, cap;
};

void sim_heap_push(struct sim_heap *heap, struct sim_when *when);
/* The earliest; there must be one. */
struct sim_when *sim_heap_pop(struct sim_heap *heap);

#endif
