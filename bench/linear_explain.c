/* A small violation inside a large one. Three reductions keep what is left honest, that is,
 * whatever order the whole had, the part has one too:
 *   - ending the history early (what had not returned is then unknown);
 *   - leaving out reads and rejections;
 *   - leaving out values altogether: a chain of values joined by cas, with all that mentions them.
 *     The state before the chain then stands longer; only a rejection could tell, so this waits
 *     until none is left. Of writes of nothing those may go that were over before a put (the fence
 *     below) which was over before anybody mentions nothing: nobody can mean them. */
#include <stdlib.h>

#include "bench/linear_inner.h"
#include "ring/core/check.h"

#define EXPLAIN_OPS_MAX    UINT64_C(20000000) /* Operations and states for one explanation. */
#define EXPLAIN_STATES_MAX 200000u
#define ROUNDS_MAX         8u

struct shrink {
    struct sgn_linear_desk *desk;
    size_t *at, *trial; /* The violation so far, and one with something left out. */
    size_t *chain;      /* By position in the history: the chain an operation belongs to. */
    size_t count;
    uint64_t cut_ns;
    uint64_t judged;
};

static bool violates(struct shrink *shrink, const size_t *at, size_t count, uint64_t cut_ns)
{
    if (shrink->judged > EXPLAIN_OPS_MAX) {
        return false;
    }
    uint64_t states = 0;
    struct sgn_linear_part part = {at, count, cut_ns};
    enum sgn_linear_verdict verdict =
        sgn_linear_judge(shrink->desk, &part, EXPLAIN_STATES_MAX, &states);
    shrink->judged += count + states;
    return verdict == SGN_LINEAR_VIOLATION;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The earliest end at which the history is wrong: halving is right since no wrong history is the
 * beginning of a right one. */
static void cut_end(struct shrink *shrink)
{
    const struct sgn_operation *ops = shrink->desk->history->ops;
    uint64_t *ends = malloc((shrink->count + 1) * sizeof(ends[0]));
    if (ends == NULL) {
        return;
    }
    for (size_t i = 0; i < shrink->count; i++) {
        ends[i] = ops[shrink->at[i]].return_ns;
    }
    qsort(ends, shrink->count, sizeof(ends[0]), by_number);
    size_t low = 0;
    size_t high = shrink->count - 1; /* Wrong at ends[high]. */
    while (low < high && shrink->judged <= EXPLAIN_OPS_MAX) {
        size_t middle = low + (high - low) / 2;
        if (violates(shrink, shrink->at, shrink->count, ends[middle])) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    shrink->cut_ns = ends[high];
    free(ends);
    size_t kept = 0;
    for (size_t i = 0; i < shrink->count; i++) {
        const struct sgn_operation *op = &ops[shrink->at[i]];
        bool idle = op->op == SGN_HISTORY_GET || op->outcome == SGN_HISTORY_REJECTED;
        bool open = op->outcome == SGN_HISTORY_UNKNOWN || op->return_ns > shrink->cut_ns;
        shrink->at[kept] = shrink->at[i];
        kept +=
            op->invoke_ns <= shrink->cut_ns && op->outcome != SGN_HISTORY_FAIL && !(idle && open);
    }
    shrink->count = kept;
}

static bool is_idle(const struct sgn_operation *op)
{
    return op->op == SGN_HISTORY_GET || op->outcome == SGN_HISTORY_REJECTED;
}

/* ---- Chains ---- */

static size_t chain_root(const struct shrink *shrink, size_t position)
{
    while (shrink->chain[position] != position) {
        shrink->chain[position] = shrink->chain[shrink->chain[position]];
        position = shrink->chain[position];
    }
    return position;
}

static void chain_join(struct shrink *shrink, size_t position, uint64_t value)
{
    const struct sgn_operation *op = &shrink->desk->history->ops[position];
    if (value != SGN_HISTORY_ABSENT && sgn_linear_alive(shrink->desk, op, value, shrink->cut_ns)) {
        size_t writer = sgn_linear_writer(&shrink->desk->writers, value);
        shrink->chain[chain_root(shrink, position)] = chain_root(shrink, writer);
    }
}

static void find_chains(struct shrink *shrink)
{
    const struct sgn_operation *ops = shrink->desk->history->ops;
    for (size_t i = 0; i < shrink->count; i++) {
        shrink->chain[shrink->at[i]] = shrink->at[i];
    }
    for (size_t i = 0; i < shrink->count; i++) {
        const struct sgn_operation *op = &ops[shrink->at[i]];
        uint64_t value = 0;
        if (op->op == SGN_HISTORY_CAS) {
            chain_join(shrink, shrink->at[i], op->expect);
        }
        if (sgn_linear_mention(op, &value)) {
            chain_join(shrink, shrink->at[i], value);
        }
    }
}

static bool names_nothing(const struct sgn_operation *op)
{
    uint64_t value = 1;
    return (op->op == SGN_HISTORY_CAS && op->expect == SGN_HISTORY_ABSENT) ||
           (sgn_linear_mention(op, &value) && value == SGN_HISTORY_ABSENT);
}

static bool writes_nothing(const struct sgn_operation *op)
{
    return op->op == SGN_HISTORY_DEL ||
           (op->op == SGN_HISTORY_CAS && op->value == SGN_HISTORY_ABSENT);
}

/* The last put that was surely over before nothing is mentioned first, or SGN_LINEAR_NO_WRITER. */
static size_t find_fence(const struct shrink *shrink, uint64_t named_ns)
{
    const struct sgn_operation *ops = shrink->desk->history->ops;
    size_t fence = SGN_LINEAR_NO_WRITER;
    for (size_t i = 0; i < shrink->count; i++) {
        const struct sgn_operation *op = &ops[shrink->at[i]];
        bool done = op->op == SGN_HISTORY_PUT && op->outcome == SGN_HISTORY_OK &&
                    op->return_ns < named_ns && op->return_ns <= shrink->cut_ns;
        fence = done ? shrink->at[i] : fence; /* They stand by invocation. */
    }
    return fence;
}

/* A write of nothing that somebody who mentions nothing may mean. */
static bool may_be_meant(const struct shrink *shrink, const struct sgn_operation *op, size_t fence)
{
    bool before = fence != SGN_LINEAR_NO_WRITER && op->outcome == SGN_HISTORY_OK &&
                  op->return_ns < shrink->desk->history->ops[fence].invoke_ns;
    return writes_nothing(op) && !before;
}

/* ---- Leaving out ---- */

enum leave { LEAVE_IDLE, LEAVE_CHAINS };

/* Units that may go: `unit[i]` numbers those of at[i], from 0; SIZE_MAX must stay. */
static size_t number_idle(const struct shrink *shrink, size_t *unit)
{
    size_t units = 0;
    for (size_t i = 0; i < shrink->count; i++) {
        unit[i] = is_idle(&shrink->desk->history->ops[shrink->at[i]]) ? units++ : SIZE_MAX;
    }
    return units;
}

static size_t number_chains(struct shrink *shrink, size_t *unit)
{
    const struct sgn_operation *ops = shrink->desk->history->ops;
    uint64_t named_ns = UINT64_MAX; /* When nothing is mentioned first. */
    for (size_t i = shrink->count; i-- > 0;) {
        const struct sgn_operation *op = &ops[shrink->at[i]];
        named_ns = names_nothing(op) ? op->invoke_ns : named_ns;
    }
    size_t fence = named_ns == UINT64_MAX ? SGN_LINEAR_NO_WRITER : find_fence(shrink, named_ns);
    find_chains(shrink);
    /* By root, while counting: 0 not met, 1 must stay, 2 + n is unit n. Roots are positions, so the
     * counts stand in the desk's table of states, which the next judgement fills anew. */
    uint32_t *mark = shrink->desk->state_of;
    for (size_t i = 0; i < shrink->count; i++) {
        mark[shrink->at[i]] = 0;
    }
    for (size_t i = 0; i < shrink->count; i++) {
        size_t at = shrink->at[i];
        if (at == fence || (named_ns != UINT64_MAX && may_be_meant(shrink, &ops[at], fence))) {
            mark[chain_root(shrink, at)] = 1;
        }
    }
    size_t units = 0;
    for (size_t i = 0; i < shrink->count; i++) {
        uint32_t *root = &mark[chain_root(shrink, shrink->at[i])];
        if (*root == 0) {
            *root = (uint32_t)(2 + units++);
        }
        unit[i] = *root == 1 ? SIZE_MAX : *root - 2;
    }
    return units;
}

/* Leaves out runs of units, first long ones, then shorter, while a violation is left. */
static void leave_out(struct shrink *shrink, enum leave leave)
{
    size_t *unit = malloc((shrink->count + 1) * sizeof(unit[0]));
    if (unit == NULL) {
        return;
    }
    size_t units = leave == LEAVE_IDLE ? number_idle(shrink, unit) : number_chains(shrink, unit);
    for (size_t run = units; run > 0; run /= 2) {
        for (size_t from = 0; from < units; from += run) {
            size_t kept = 0;
            for (size_t i = 0; i < shrink->count; i++) {
                shrink->trial[kept] = shrink->at[i];
                kept += unit[i] == SIZE_MAX || unit[i] < from || unit[i] >= from + run;
            }
            if (kept == shrink->count || !violates(shrink, shrink->trial, kept, shrink->cut_ns)) {
                continue;
            }
            kept = 0;
            for (size_t i = 0; i < shrink->count; i++) {
                shrink->at[kept] = shrink->at[i];
                size_t own = unit[i];
                unit[kept] = own;
                kept += own == SIZE_MAX || own < from || own >= from + run;
            }
            shrink->count = kept;
        }
    }
    free(unit);
}

static bool has_rejection(const struct shrink *shrink)
{
    bool found = false;
    for (size_t i = 0; i < shrink->count; i++) {
        found = found || shrink->desk->history->ops[shrink->at[i]].outcome == SGN_HISTORY_REJECTED;
    }
    return found;
}

void sgn_linear_explain(struct sgn_linear_desk *desk,
                        const struct sgn_linear_part *part,
                        struct sgn_linear_report *report)
{
    SGN_ASSERT(part->count > 0);
    struct shrink shrink = {.desk = desk, .count = part->count, .cut_ns = part->cut_ns};
    shrink.at = malloc(part->count * sizeof(shrink.at[0]));
    shrink.trial = malloc(part->count * sizeof(shrink.trial[0]));
    shrink.chain = malloc(desk->history->count * sizeof(shrink.chain[0]));
    const size_t *at = part->at;
    size_t count = part->count;
    if (shrink.at != NULL && shrink.trial != NULL && shrink.chain != NULL) {
        memcpy(shrink.at, part->at, part->count * sizeof(shrink.at[0]));
        cut_end(&shrink);
        for (uint32_t round = 0; round < ROUNDS_MAX; round++) {
            size_t before = shrink.count;
            leave_out(&shrink, LEAVE_IDLE);
            if (!has_rejection(&shrink)) {
                leave_out(&shrink, LEAVE_CHAINS);
            }
            if (shrink.count == before) {
                break;
            }
        }
        at = shrink.at;
        count = shrink.count;
    }
    size_t skip = count > SGN_LINEAR_SHOWN_MAX ? count - SGN_LINEAR_SHOWN_MAX : 0;
    report->shown_count = 0;
    report->shown_of = count;
    for (size_t i = skip; i < count; i++) {
        report->shown[report->shown_count++] = at[i];
    }
    free(shrink.at);
    free(shrink.trial);
    free(shrink.chain);
}
