#include "bench/linear.h"

#include <inttypes.h>
#include <stdlib.h>

#include "bench/linear_inner.h"
#include "ring/core/check.h"
#include "ring/core/prng.h"

#define NONE UINT32_MAX

/* ---- Who wrote what ---- */

static bool writes_value(const struct sgn_operation *op)
{
    return (op->op == SGN_HISTORY_PUT || op->op == SGN_HISTORY_CAS) &&
           op->value != SGN_HISTORY_ABSENT;
}

/* It has, or may have, an effect. */
static bool may_apply(const struct sgn_operation *op)
{
    return op->outcome == SGN_HISTORY_OK || op->outcome == SGN_HISTORY_UNKNOWN;
}

static size_t writer_slot(const struct sgn_linear_writers *writers, uint64_t value)
{
    size_t slot = sgn_mix64(value) & (writers->slot_count - 1);
    while (writers->slots[slot] != 0 &&
           writers->history->ops[writers->slots[slot] - 1].value != value) {
        slot = (slot + 1) & (writers->slot_count - 1);
    }
    return slot;
}

size_t sgn_linear_writer(const struct sgn_linear_writers *writers, uint64_t value)
{
    uint64_t found = writers->slots[writer_slot(writers, value)];
    return found == 0 ? SGN_LINEAR_NO_WRITER : (size_t)(found - 1);
}

bool sgn_linear_mention(const struct sgn_operation *op, uint64_t *value)
{
    bool ok = op->outcome == SGN_HISTORY_OK;
    *value = op->op == SGN_HISTORY_CAS && ok ? op->expect : op->output;
    return (op->op == SGN_HISTORY_GET && ok) || (op->op == SGN_HISTORY_CAS && ok) ||
           (op->outcome == SGN_HISTORY_REJECTED && op->output != SGN_HISTORY_UNTOLD);
}

/* ---- The steps of a key ---- */

/* The state a value is, given a number the first time somebody mentions it. */
static uint32_t mention_state(struct sgn_linear_desk *desk, uint64_t value, uint32_t *states)
{
    if (value == SGN_HISTORY_ABSENT) {
        return SGN_LINEAR_STATE_ABSENT;
    }
    size_t writer = sgn_linear_writer(&desk->writers, value);
    SGN_ASSERT(writer != SGN_LINEAR_NO_WRITER);
    if (desk->state_of[writer] == SGN_LINEAR_STATE_UNSEEN) {
        desk->state_of[writer] = (*states)++;
    }
    return desk->state_of[writer];
}

bool sgn_linear_alive(const struct sgn_linear_desk *desk,
                      const struct sgn_operation *op,
                      uint64_t value,
                      uint64_t cut_ns)
{
    size_t writer = sgn_linear_writer(&desk->writers, value);
    if (value == SGN_HISTORY_ABSENT || writer == SGN_LINEAR_NO_WRITER) {
        return value == SGN_HISTORY_ABSENT;
    }
    const struct sgn_operation *by = &desk->history->ops[writer];
    return by->key == op->key && may_apply(by) && by->invoke_ns <= cut_ns;
}

/* What is left of an operation when the history ends at `cut_ns`. False: nothing. */
static bool make_step(struct sgn_linear_desk *desk,
                      const struct sgn_operation *op,
                      uint64_t cut_ns,
                      uint32_t *states,
                      struct sgn_linear_step *step)
{
    bool open = op->outcome == SGN_HISTORY_UNKNOWN || op->return_ns > cut_ns;
    if (op->invoke_ns > cut_ns || op->outcome == SGN_HISTORY_FAIL ||
        (open && (op->op == SGN_HISTORY_GET || op->outcome == SGN_HISTORY_REJECTED))) {
        return false;
    }
    *step = (struct sgn_linear_step){.invoke_ns = op->invoke_ns,
                                     .return_ns = open ? UINT64_MAX : op->return_ns,
                                     .optional = open};
    uint64_t value = 0;
    if (op->op == SGN_HISTORY_CAS && op->outcome != SGN_HISTORY_REJECTED) {
        step->form = SGN_LINEAR_SWAP;
        if (!sgn_linear_alive(desk, op, op->expect, cut_ns)) {
            return false; /* Unknown, by the quick checks: it waits for what never was. */
        }
        step->a = mention_state(desk, op->expect, states);
    } else if (sgn_linear_mention(op, &value)) {
        step->form = SGN_LINEAR_READ;
        step->a = mention_state(desk, value, states);
    } else if (op->outcome == SGN_HISTORY_REJECTED) {
        step->form = SGN_LINEAR_NOT;
        if (!sgn_linear_alive(desk, op, op->expect, cut_ns)) {
            return false; /* True of every state. */
        }
        step->a = mention_state(desk, op->expect, states);
    } else {
        step->form = SGN_LINEAR_SET;
    }
    return true;
}

static bool is_write(const struct sgn_linear_step *step)
{
    return step->form == SGN_LINEAR_SET || step->form == SGN_LINEAR_SWAP;
}

/* The second pass, when it is known which values are seen. A value that was seen was written before
 * the first who saw it returned: an unknown write of it is then not optional, and a late one is due
 * sooner. Returns how many steps are left, or NONE if there is no memory. */
static uint32_t finish_steps(struct sgn_linear_desk *desk,
                             const size_t *source,
                             uint32_t count,
                             uint32_t values,
                             bool rejected)
{
    uint64_t *seen_ns = malloc(values * sizeof(seen_ns[0]));
    if (seen_ns == NULL) {
        return NONE;
    }
    for (uint32_t i = 0; i < values; i++) {
        seen_ns[i] = UINT64_MAX;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct sgn_linear_step *step = &desk->steps[i];
        bool sees = step->form == SGN_LINEAR_READ || step->form == SGN_LINEAR_SWAP;
        if (sees && step->return_ns < seen_ns[step->a]) {
            seen_ns[step->a] = step->return_ns;
        }
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct sgn_linear_step *step = &desk->steps[kept];
        *step = desk->steps[i];
        if (is_write(step)) {
            bool value = writes_value(&desk->history->ops[source[i]]);
            step->b = value ? desk->state_of[source[i]] : SGN_LINEAR_STATE_ABSENT;
            step->alone = step->b >= SGN_LINEAR_STATE_FIRST;
        }
        if (step->alone && seen_ns[step->b] < step->return_ns) {
            step->return_ns = seen_ns[step->b];
            step->optional = false;
        }
        /* If nothing can tell that it happened, it need not have. */
        kept += rejected || !step->optional || step->b != SGN_LINEAR_STATE_UNSEEN;
    }
    free(seen_ns);
    return kept;
}

enum sgn_linear_verdict sgn_linear_judge(struct sgn_linear_desk *desk,
                                         const struct sgn_linear_part *part,
                                         uint64_t states_max,
                                         uint64_t *states)
{
    const struct sgn_operation *ops = desk->history->ops;
    for (size_t i = 0; i < part->count; i++) {
        desk->state_of[part->at[i]] = SGN_LINEAR_STATE_UNSEEN;
    }
    uint32_t count = 0;
    uint32_t values = SGN_LINEAR_STATE_FIRST;
    size_t *source = malloc((part->count + 1) * sizeof(source[0]));
    if (source == NULL) {
        return SGN_LINEAR_GAVE_UP;
    }
    bool rejected = false;
    for (size_t i = 0; i < part->count; i++) {
        source[count] = part->at[i];
        struct sgn_linear_step *step = &desk->steps[count];
        if (make_step(desk, &ops[part->at[i]], part->cut_ns, &values, step)) {
            rejected = rejected || step->form == SGN_LINEAR_NOT;
            count++;
        }
    }
    count = finish_steps(desk, source, count, values, rejected);
    free(source);
    return count == NONE
               ? SGN_LINEAR_GAVE_UP
               : sgn_linear_search(desk->steps, count, values, states_max + count, states);
}

/* ---- Quick checks: what is wrong whatever the order ---- */

static void blame(struct sgn_linear_report *report, const char *reason, size_t one, size_t other)
{
    report->verdict = SGN_LINEAR_VIOLATION;
    report->reason = reason;
    report->shown[report->shown_count++] = one;
    if (other != SGN_LINEAR_NO_WRITER) {
        report->shown[report->shown_count++] = other;
    }
    report->shown_of = report->shown_count;
}

static bool check_mention(const struct sgn_linear_desk *desk,
                          size_t position,
                          struct sgn_linear_report *report)
{
    const struct sgn_operation *ops = desk->history->ops;
    const struct sgn_operation *op = &ops[position];
    uint64_t value = 0;
    if (!sgn_linear_mention(op, &value)) {
        return true;
    }
    if (op->outcome == SGN_HISTORY_REJECTED && value == op->expect) {
        blame(report, "a cas was rejected though it met what it expected", position, SIZE_MAX);
    } else if (value != SGN_HISTORY_ABSENT) {
        size_t writer = sgn_linear_writer(&desk->writers, value);
        if (writer == SGN_LINEAR_NO_WRITER) {
            blame(report, "a value was seen that nobody wrote", position, SIZE_MAX);
        } else if (ops[writer].key != op->key) {
            blame(report, "a value of another key was seen", writer, position);
        } else if (!may_apply(&ops[writer])) {
            blame(report, "a value was seen whose write had no effect", writer, position);
        } else if (ops[writer].invoke_ns > op->return_ns) {
            blame(report, "a value was seen before it was written", position, writer);
        }
    }
    return report->verdict == SGN_LINEAR_OK;
}

/* Uses `state_of` as the position + 1 of the cas that took the place of a writer's value. */
static bool check_quickly(struct sgn_linear_desk *desk,
                          const struct sgn_linear_part *part,
                          struct sgn_linear_report *report)
{
    const struct sgn_operation *ops = desk->history->ops;
    for (size_t i = 0; i < part->count; i++) {
        desk->state_of[part->at[i]] = 0;
    }
    for (size_t i = 0; i < part->count; i++) {
        const struct sgn_operation *op = &ops[part->at[i]];
        if (!check_mention(desk, part->at[i], report)) {
            return false;
        }
        if (op->op != SGN_HISTORY_CAS || op->outcome != SGN_HISTORY_OK ||
            op->expect == SGN_HISTORY_ABSENT) {
            continue;
        }
        size_t writer = sgn_linear_writer(&desk->writers, op->expect);
        if (desk->state_of[writer] != 0) {
            blame(report,
                  "two cas took the place of the same value",
                  part->at[desk->state_of[writer] - 1],
                  part->at[i]);
            return false;
        }
        desk->state_of[writer] = (uint32_t)i + 1;
    }
    return true;
}

/* ---- The whole history ---- */

static void judge_key(struct sgn_linear_desk *desk,
                      const struct sgn_linear_part *part,
                      struct sgn_linear_report *report)
{
    report->keys++;
    uint64_t key = desk->history->ops[part->at[0]].key;
    enum sgn_linear_verdict verdict = SGN_LINEAR_GAVE_UP;
    if (part->count <= SGN_LINEAR_KEY_OPS_MAX) {
        if (!check_quickly(desk, part, report)) {
            report->key = key;
            return;
        }
        verdict = sgn_linear_judge(desk, part, SGN_LINEAR_STATES_MAX, &report->states);
    }
    if (verdict == SGN_LINEAR_VIOLATION) {
        report->verdict = verdict;
        report->key = key;
        report->reason = "no order of these operations gives these answers";
        sgn_linear_explain(desk, part, report);
    } else if (verdict == SGN_LINEAR_GAVE_UP) {
        report->key = report->gave_up == 0 ? key : report->key;
        report->gave_up++;
    }
}

static const char *malformed(const struct sgn_operation *op)
{
    if (op->return_ns < op->invoke_ns) {
        return "an operation returns before it is invoked";
    }
    if (op->outcome == SGN_HISTORY_REJECTED && op->op != SGN_HISTORY_CAS) {
        return "only a cas can be rejected";
    }
    if (op->op == SGN_HISTORY_PUT && op->value == SGN_HISTORY_ABSENT) {
        return "a put writes nothing";
    }
    return NULL;
}

/* False: malformed, as the report says. */
static bool find_writers(struct sgn_linear_desk *desk, struct sgn_linear_report *report)
{
    const struct sgn_history *history = desk->history;
    for (size_t i = 0; i < history->count; i++) {
        const struct sgn_operation *op = &history->ops[i];
        const char *problem = malformed(op);
        uint64_t *slot = NULL;
        if (problem == NULL && writes_value(op)) {
            slot = &desk->writers.slots[writer_slot(&desk->writers, op->value)];
            problem = *slot == 0 ? NULL : "the same value is written twice";
        }
        if (problem != NULL) {
            blame(report, problem, i, slot == NULL ? SGN_LINEAR_NO_WRITER : (size_t)(*slot - 1));
            report->verdict = SGN_LINEAR_MALFORMED;
            report->key = op->key;
            return false;
        }
        if (slot != NULL) {
            *slot = i + 1;
        }
    }
    return true;
}

struct place {
    uint64_t key, invoke_ns;
    size_t position;
};

static int by_key_and_time(const void *a, const void *b)
{
    const struct place *x = a;
    const struct place *y = b;
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    if (x->invoke_ns != y->invoke_ns) {
        return x->invoke_ns < y->invoke_ns ? -1 : 1;
    }
    return (x->position > y->position) - (x->position < y->position);
}

/* All positions, key by key, each by invocation. NULL: no memory. */
static size_t *sort_positions(const struct sgn_history *history)
{
    struct place *places = malloc((history->count + 1) * sizeof(places[0]));
    size_t *at = calloc(history->count + 1, sizeof(at[0]));
    if (places != NULL && at != NULL) {
        for (size_t i = 0; i < history->count; i++) {
            places[i] = (struct place){history->ops[i].key, history->ops[i].invoke_ns, i};
        }
        qsort(places, history->count, sizeof(places[0]), by_key_and_time);
        for (size_t i = 0; i < history->count; i++) {
            at[i] = places[i].position;
        }
    } else {
        free(at);
        at = NULL;
    }
    free(places);
    return at;
}

static void judge_keys(struct sgn_linear_desk *desk,
                       const size_t *at,
                       struct sgn_linear_report *report)
{
    const struct sgn_history *history = desk->history;
    if (!find_writers(desk, report)) {
        return;
    }
    for (size_t from = 0, to = 0; from < history->count; from = to) {
        while (to < history->count && history->ops[at[to]].key == history->ops[at[from]].key) {
            to++;
        }
        struct sgn_linear_part part = {at + from, to - from, UINT64_MAX};
        judge_key(desk, &part, report);
        if (report->verdict != SGN_LINEAR_OK) {
            return;
        }
    }
    if (report->gave_up > 0) {
        report->verdict = SGN_LINEAR_GAVE_UP;
        report->reason = "the search for an order passed its limits";
    }
}

enum sgn_linear_verdict sgn_linear_check(const struct sgn_history *history,
                                         struct sgn_linear_report *report)
{
    *report = (struct sgn_linear_report){.verdict = SGN_LINEAR_OK, .reason = ""};
    struct sgn_linear_desk desk = {.history = history, .writers.history = history};
    desk.writers.slot_count = 16;
    while (desk.writers.slot_count < history->count * 2) {
        desk.writers.slot_count *= 2;
    }
    desk.writers.slots = calloc(desk.writers.slot_count, sizeof(desk.writers.slots[0]));
    desk.state_of = calloc(history->count + 1, sizeof(desk.state_of[0]));
    desk.steps = malloc((history->count + 1) * sizeof(desk.steps[0]));
    size_t *at = sort_positions(history);
    if (at != NULL && desk.writers.slots != NULL && desk.state_of != NULL && desk.steps != NULL) {
        judge_keys(&desk, at, report);
    } else {
        report->verdict = SGN_LINEAR_GAVE_UP;
        report->reason = "no memory for the search";
    }
    free(desk.writers.slots);
    free(desk.state_of);
    free(desk.steps);
    free(at);
    return report->verdict;
}

void sgn_linear_print(const struct sgn_history *history,
                      const struct sgn_linear_report *report,
                      FILE *out)
{
    static const char *const words[] = {"ok", "VIOLATION", "gave up", "malformed"};
    char spare[24];
    if (report->verdict == SGN_LINEAR_OK) {
        (void)fprintf(
            out, "ok: %zu operations on %" PRIu64 " keys\n", history->count, report->keys);
        return;
    }
    (void)fprintf(out,
                  "%s: key %s: %s\n",
                  words[report->verdict],
                  sgn_history_key_text(history, report->key, spare),
                  report->reason);
    if (report->gave_up > 0) {
        (void)fprintf(out, "  keys given up: %" PRIu64 "\n", report->gave_up);
    }
    if (report->shown_of > report->shown_count) {
        (void)fprintf(out,
                      "  the last %u of %" PRIu64 " operations that show it:\n",
                      report->shown_count,
                      report->shown_of);
    }
    uint64_t origin_ns = report->shown_count > 0 ? history->ops[report->shown[0]].invoke_ns : 0;
    for (uint32_t i = 0; i < report->shown_count; i++) {
        char line[512];
        const struct sgn_operation *op = &history->ops[report->shown[i]];
        sgn_history_describe(history, op, origin_ns, line, sizeof(line));
        (void)fprintf(out, "  %s\n", line);
    }
}
