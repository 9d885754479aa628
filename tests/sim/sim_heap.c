/* tests/sim/sim_heap.c */
#include "tests/sim/sim_heap.h"

#include <stdlib.h>

#include "ring/core/check.h"

static int before(const struct sim_when *a, const struct sim_when *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void sim_heap_push(struct sim_heap *heap, struct sim_when *when)
{
    if (heap->count == heap->cap) {
        heap->cap = heap->cap == 0 ? 256 : heap->cap * 2;
        heap->list = realloc(heap->list, heap->cap * sizeof(struct sim_when *));
        SGN_ASSERT(heap->list != NULL);
    }
    uint32_t at = heap->count++;
    while (at > 0 && before(when, heap->list[(at - 1) / 2])) {
        heap->list[at] = heap->list[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->list[at] = when;
}

struct sim_when *sim_heap_pop(struct sim_heap *heap)
{
    SGN_ASSERT(heap->count > 0);
    struct sim_when *first = heap->list[0];
    struct sim_when *last = heap->list[--heap->count];
    uint32_t at = 0;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count && before(heap->list[child + 1], heap->list[child])) {
            child++;
        }
        if (!before(heap->list[child], last)) {
            break;
        }
        heap->list[at] = heap->list[child];
        at = child;
    }
    heap->list[at] = last;
    return first;
}
