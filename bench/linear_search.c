/* The search of Wing and Gong. Invocations and returns stand in a list by time; a step may be
 * placed if its invocation comes before the first return left in the list, and leaves the list when
 * it is. What keeps the search short:
 *   - a step that fits and does not change the state is placed at once: if any order continues from
 *     here, one does that has it here;
 *   - a state that somebody still has to see is not left, since its value is never written again;
 *   - of steps that do the same, the one that returns first goes first, for exchanging two of them
 *     in an order gives an order;
 *   - an optional step is placed only if one that can come next needs its effect, or there would be
 *     an order without it;
 *   - a set of placed steps with a state that was met before is not entered again (Lowe); of
 *     optional steps that do the same only their number counts, and what was met before with fewer
 *     of them used up had more ways to go on. */
#include <stdlib.h>

#include "bench/linear_inner.h"
#include "ring/core/check.h"
#include "ring/core/prng.h"

#define NONE    UINT32_MAX
#define HEAD    0u
#define CALL(i) (1u + 2u * (i))

struct hash {
    uint64_t high, low;
};

/* Optional steps are counted by what they do instead of being hashed one by one, if it is one of
 * these. A swap from a state that never returns is not even counted: once done or once too late, it
 * makes no difference. */
enum spare { SPARE_UNSEEN, SPARE_ABSENT, SPARE_CREATE, SPARE_KINDS, SPARE_DEAD, SPARE_NOT };

struct met_cell {
    struct hash hash; /* {0, 0} is free. */
    uint16_t used[SPARE_KINDS + 1];
};

struct memory {
    struct met_cell *cells;
    uint64_t count, cell_count, count_max;
};

struct frame {
    uint32_t step, state_before;
    bool forced;
};

struct search {
    const struct sgn_linear_step *steps;
    uint32_t *next, *prev; /* Nodes: HEAD, then the call and the return of each step. */
    uint32_t *needs;       /* By state: steps left that must find it. */
    uint32_t *hopes;       /* By state: optional swaps that start from it. */
    struct frame *stack;
    struct memory memory;
    struct hash placed;
    uint32_t used[SPARE_KINDS];
    uint64_t visits;
    uint32_t depth;
    uint32_t left;      /* Steps that must still be placed. */
    uint32_t nots_left; /* Of the form NOT. */
    uint32_t state;
};

static struct met_cell *memory_find(struct met_cell *cells, uint64_t cell_count, struct hash hash)
{
    uint64_t at = hash.low & (cell_count - 1);
    while ((cells[at].hash.high != 0 || cells[at].hash.low != 0) &&
           (cells[at].hash.high != hash.high || cells[at].hash.low != hash.low)) {
        at = (at + 1) & (cell_count - 1);
    }
    return &cells[at];
}

static bool memory_grow(struct memory *memory)
{
    uint64_t cell_count = memory->cell_count == 0 ? 1024 : memory->cell_count * 2;
    struct met_cell *cells = calloc(cell_count, sizeof(cells[0]));
    if (cells == NULL) {
        return false;
    }
    for (uint64_t i = 0; i < memory->cell_count; i++) {
        struct hash hash = memory->cells[i].hash;
        if (hash.high != 0 || hash.low != 0) {
            *memory_find(cells, cell_count, hash) = memory->cells[i];
        }
    }
    free(memory->cells);
    memory->cells = cells;
    memory->cell_count = cell_count;
    return true;
}

_Static_assert(SGN_LINEAR_OPEN_MAX <= UINT16_MAX, "a cell counts that far");

enum met { MET_NEW, MET_BEFORE, MET_FULL };

static enum met memory_meet(struct memory *memory, struct hash hash, const uint32_t *used)
{
    if (memory->count >= memory->count_max ||
        (memory->count * 2 >= memory->cell_count && !memory_grow(memory))) {
        return MET_FULL;
    }
    hash.high += hash.high == 0 && hash.low == 0;
    struct met_cell *cell = memory_find(memory->cells, memory->cell_count, hash);
    bool met = cell->hash.high != 0 || cell->hash.low != 0;
    for (uint32_t i = 0; met && i < SPARE_KINDS; i++) {
        met = cell->used[i] <= used[i];
    }
    if (met) {
        return MET_BEFORE;
    }
    memory->count++; /* Also if it is met again with others used up: the bound is on the work. */
    cell->hash = hash;
    for (uint32_t i = 0; i < SPARE_KINDS; i++) {
        cell->used[i] = (uint16_t)used[i];
    }
    return MET_NEW;
}

static enum spare spare_of(const struct sgn_linear_step *step)
{
    if (!step->optional || step->b >= SGN_LINEAR_STATE_FIRST) {
        return SPARE_NOT;
    }
    if (step->form == SGN_LINEAR_SET) {
        return step->b == SGN_LINEAR_STATE_UNSEEN ? SPARE_UNSEEN : SPARE_ABSENT;
    }
    if (step->a >= SGN_LINEAR_STATE_FIRST) {
        return SPARE_DEAD;
    }
    return step->b == SGN_LINEAR_STATE_UNSEEN ? SPARE_CREATE : SPARE_NOT;
}

static struct hash hash_xor(struct hash hash, uint64_t number)
{
    hash.high ^= sgn_mix64(number * UINT64_C(0x9e3779b97f4a7c15) + 1);
    hash.low ^= sgn_mix64(number * UINT64_C(0xd1342543de82ef95) + 2);
    return hash;
}

static bool is_call(uint32_t node)
{
    return node != HEAD && node % 2 == 1;
}

static void lift(struct search *s, uint32_t node)
{
    s->next[s->prev[node]] = s->next[node];
    s->prev[s->next[node]] = s->prev[node];
}

static void unlift(struct search *s, uint32_t node)
{
    s->next[s->prev[node]] = node;
    s->prev[s->next[node]] = node;
}

static bool must_find(const struct sgn_linear_step *step)
{
    return step->form == SGN_LINEAR_READ || (step->form == SGN_LINEAR_SWAP && !step->optional);
}

/* Marks a step as placed or takes the mark back; `by` is 1 or -1. */
static void mark(struct search *s, uint32_t i, int by)
{
    enum spare spare = spare_of(&s->steps[i]);
    if (spare < SPARE_KINDS) {
        s->used[spare] += (uint32_t)by;
    } else if (spare == SPARE_NOT) {
        s->placed = hash_xor(s->placed, UINT64_C(1) + i);
    }
}

static void place(struct search *s, uint32_t i, bool forced)
{
    const struct sgn_linear_step *step = &s->steps[i];
    s->stack[s->depth++] = (struct frame){i, s->state, forced};
    lift(s, CALL(i));
    if (!step->optional) {
        lift(s, CALL(i) + 1);
        s->left--;
    }
    s->needs[step->a] -= must_find(step);
    s->nots_left -= step->form == SGN_LINEAR_NOT;
    if (step->form == SGN_LINEAR_SET || step->form == SGN_LINEAR_SWAP) {
        s->state = step->b;
    }
    mark(s, i, 1);
}

static struct frame take_back(struct search *s)
{
    SGN_ASSERT(s->depth > 0);
    struct frame frame = s->stack[--s->depth];
    const struct sgn_linear_step *step = &s->steps[frame.step];
    mark(s, frame.step, -1);
    s->state = frame.state_before;
    s->nots_left += step->form == SGN_LINEAR_NOT;
    s->needs[step->a] += must_find(step);
    if (!step->optional) {
        unlift(s, CALL(frame.step) + 1);
        s->left++;
    }
    unlift(s, CALL(frame.step));
    return frame;
}

/* A step that fits and leaves the state as it is, or NONE. */
static uint32_t pick_forced(struct search *s)
{
    for (uint32_t node = s->next[HEAD]; is_call(node); node = s->next[node]) {
        const struct sgn_linear_step *step = &s->steps[node / 2];
        s->visits++;
        if ((step->form == SGN_LINEAR_READ && step->a == s->state) ||
            (step->form == SGN_LINEAR_NOT && step->a != s->state)) {
            return node / 2;
        }
    }
    return NONE;
}

/* Another step that may be placed now does the same and is due earlier. */
static bool has_earlier_twin(struct search *s, uint32_t i)
{
    const struct sgn_linear_step *step = &s->steps[i];
    for (uint32_t node = s->next[HEAD]; is_call(node); node = s->next[node]) {
        const struct sgn_linear_step *other = &s->steps[node / 2];
        s->visits++;
        bool earlier = other->return_ns < step->return_ns ||
                       (other->return_ns == step->return_ns && node / 2 < i);
        if (earlier && other->form == step->form && other->a == step->a && other->b == step->b) {
            return true;
        }
    }
    return false;
}

/* Is there a step that may come right after this optional write, and not now? The state a write
 * makes serves nobody else, and where it serves nobody there is an order without the write. */
static bool serves(struct search *s, const struct sgn_linear_step *write)
{
    if (s->nots_left == 0 && s->needs[write->b] == 0 && s->hopes[write->b] == 0) {
        return false;
    }
    for (uint32_t node = s->next[HEAD]; is_call(node); node = s->next[node]) {
        const struct sgn_linear_step *step = &s->steps[node / 2];
        s->visits++;
        bool finds = step->form == SGN_LINEAR_READ || step->form == SGN_LINEAR_SWAP;
        if ((finds && step->a == write->b) ||
            (step->form == SGN_LINEAR_NOT && step->a == s->state)) {
            return write->b != s->state;
        }
    }
    return false;
}

static bool may_place(struct search *s, uint32_t i)
{
    const struct sgn_linear_step *step = &s->steps[i];
    bool swap = step->form == SGN_LINEAR_SWAP;
    if ((!swap && step->form != SGN_LINEAR_SET) || (swap && step->a != s->state)) {
        return false;
    }
    uint32_t itself = swap && !step->optional;
    if (s->state >= SGN_LINEAR_STATE_FIRST && s->needs[s->state] > itself) {
        return false;
    }
    if (step->optional && !serves(s, step)) {
        return false;
    }
    return step->alone || !has_earlier_twin(s, i);
}

/* The next step to try after `after` at this point: those that must be placed come first. */
static uint32_t pick(struct search *s, uint32_t after)
{
    bool optional = after != NONE && s->steps[after].optional;
    for (uint32_t pass = optional ? 1 : 0; pass < 2; pass++) {
        for (uint32_t node = s->next[HEAD]; is_call(node); node = s->next[node]) {
            uint32_t i = node / 2;
            s->visits++;
            bool tried = after != NONE && optional == (pass == 1) && i <= after;
            if (s->steps[i].optional == (pass == 1) && !tried && may_place(s, i)) {
                return i;
            }
        }
    }
    return NONE;
}

static enum sgn_linear_verdict walk(struct search *s)
{
    uint32_t after = NONE;
    while (s->left > 0) {
        if (s->visits > SGN_LINEAR_VISITS_MAX) {
            return SGN_LINEAR_GAVE_UP;
        }
        uint32_t step = after == NONE ? pick_forced(s) : NONE;
        if (step != NONE) {
            place(s, step, true);
            continue;
        }
        step = pick(s, after);
        after = NONE;
        if (step != NONE) {
            place(s, step, false);
            struct hash hash = hash_xor(s->placed, (UINT64_C(1) << 40) + s->state);
            enum met met = memory_meet(&s->memory, hash, s->used);
            if (met == MET_FULL) {
                return SGN_LINEAR_GAVE_UP;
            }
            if (met == MET_NEW) {
                continue;
            }
        }
        struct frame frame;
        do { /* Nothing fits here: what was forced has no alternative. */
            if (s->depth == 0) {
                return SGN_LINEAR_VIOLATION;
            }
            frame = take_back(s);
        } while (frame.forced);
        after = frame.step;
    }
    return SGN_LINEAR_OK;
}

struct due {
    uint64_t return_ns;
    uint32_t step;
};

static int by_return(const void *a, const void *b)
{
    const struct due *x = a;
    const struct due *y = b;
    return (x->return_ns > y->return_ns) - (x->return_ns < y->return_ns);
}

static void append(struct search *s, uint32_t *last, uint32_t node)
{
    s->next[*last] = node;
    s->prev[node] = *last;
    *last = node;
}

/* Of an invocation and a return at the same time the invocation comes first: the two operations
 * then overlap, which forgives more. */
static void link_nodes(struct search *s, struct due *dues, uint32_t count)
{
    uint32_t due_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        SGN_ASSERT(i == 0 || s->steps[i - 1].invoke_ns <= s->steps[i].invoke_ns);
        if (!s->steps[i].optional) {
            dues[due_count++] = (struct due){s->steps[i].return_ns, i};
        }
    }
    qsort(dues, due_count, sizeof(dues[0]), by_return);
    uint32_t last = HEAD;
    uint32_t due = 0;
    for (uint32_t i = 0; i < count; i++) {
        while (due < due_count && dues[due].return_ns < s->steps[i].invoke_ns) {
            append(s, &last, CALL(dues[due++].step) + 1);
        }
        append(s, &last, CALL(i));
    }
    while (due < due_count) {
        append(s, &last, CALL(dues[due++].step) + 1);
    }
    s->next[last] = HEAD;
    s->prev[HEAD] = last;
    s->left = due_count;
}

enum sgn_linear_verdict sgn_linear_search(const struct sgn_linear_step *steps,
                                          uint32_t count,
                                          uint32_t values,
                                          uint64_t states_max,
                                          uint64_t *states)
{
    size_t nodes = 2 * (size_t)count + 1;
    struct search s = {.steps = steps, .memory.count_max = states_max};
    s.next = calloc(nodes, sizeof(s.next[0]));
    s.prev = calloc(nodes, sizeof(s.prev[0]));
    s.needs = calloc(values, sizeof(s.needs[0]));
    s.hopes = calloc(values, sizeof(s.hopes[0]));
    s.stack = calloc((size_t)count + 1, sizeof(s.stack[0]));
    struct due *dues = calloc((size_t)count + 1, sizeof(dues[0]));
    enum sgn_linear_verdict verdict = SGN_LINEAR_GAVE_UP;
    uint32_t optional_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        optional_count += steps[i].optional;
    }
    /* More than a cell of the memory can count is given up too. */
    bool fits = optional_count <= SGN_LINEAR_OPEN_MAX && s.next != NULL && s.prev != NULL &&
                s.needs != NULL && s.hopes != NULL && s.stack != NULL && dues != NULL;
    if (fits) {
        link_nodes(&s, dues, count);
        for (uint32_t i = 0; i < count; i++) {
            s.needs[steps[i].a] += must_find(&steps[i]);
            s.hopes[steps[i].a] += steps[i].form == SGN_LINEAR_SWAP && steps[i].optional;
            s.nots_left += steps[i].form == SGN_LINEAR_NOT;
        }
        verdict = walk(&s);
    }
    *states += s.memory.count;
    free(s.next);
    free(s.prev);
    free(s.needs);
    free(s.hopes);
    free(s.stack);
    free(s.memory.cells);
    free(dues);
    return verdict;
}
