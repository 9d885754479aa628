/* The checker of histories against histories judged by hand, against a checker that tries every
 * order, and on large ones for its speed. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <time.h>

#include "ring/core/prng.h"
#include "tests/lib/linear_table.h"
#include "tests/unit/linear_bad.inc"
#include "tests/unit/linear_good.inc"

static enum sgn_linear_verdict judge(struct sgn_history *history, const char *text)
{
    struct sgn_linear_report report;
    sgn_table_read(history, text);
    enum sgn_linear_verdict verdict = sgn_linear_check(history, &report);
    cr_assert((verdict == SGN_LINEAR_VIOLATION) == (report.shown_count > 0), "%s", text);
    cr_assert(report.shown_count <= history->count);
    return verdict;
}

Test(linear, judges_as_we_do_by_hand)
{
    struct sgn_history history = {0};
    uint32_t good_count = sizeof(good) / sizeof(good[0]);
    uint32_t bad_count = sizeof(bad) / sizeof(bad[0]);
    cr_assert(good_count >= 50 && bad_count >= 50);
    for (uint32_t i = 0; i < good_count; i++) {
        cr_expect_eq(judge(&history, good[i]), SGN_LINEAR_OK, "good: %s", good[i]);
    }
    for (uint32_t i = 0; i < bad_count; i++) {
        cr_expect_eq(judge(&history, bad[i]), SGN_LINEAR_VIOLATION, "bad: %s", bad[i]);
    }
    static const char *const not_histories[] = {"Pa@0-1 Pa@2-3",
                                                "Pax@0-1",
                                                "P-@0-1",
                                                "1:Pa@0-1 2:C->a@2-3",
                                                "Dx@0-1",
                                                "Pa@3-3 Pb!@0-1 Pb@2-3"};
    for (uint32_t i = 0; i < sizeof(not_histories) / sizeof(not_histories[0]); i++) {
        struct sgn_linear_report report;
        sgn_table_read(&history, not_histories[i]);
        cr_expect_eq(sgn_linear_check(&history, &report), SGN_LINEAR_MALFORMED);
    }
    sgn_history_clear(&history);
}

/* Mostly what a register would have answered, at times that overlap, then spoilt a little. */
static void random_history(struct sgn_history *history, struct sgn_prng *prng)
{
    history->count = 0;
    uint64_t count = 1 + sgn_prng_below(prng, 7);
    uint64_t state = SGN_HISTORY_ABSENT;
    uint64_t span = 1 + sgn_prng_below(prng, 6);
    uint32_t spoil = (uint32_t)sgn_prng_below(prng, 700);
    for (uint64_t i = 0; i < count; i++) {
        struct sgn_operation op = {.process = i, .key = 1, .output = SGN_HISTORY_UNTOLD};
        op.op = (enum sgn_history_op)sgn_prng_below(prng, 4);
        uint64_t any = sgn_prng_below(prng, count + 1);
        bool spoilt = sgn_prng_chance(prng, spoil);
        bool writes = op.op == SGN_HISTORY_PUT || op.op == SGN_HISTORY_CAS;
        op.value = writes ? i + 1 : SGN_HISTORY_ABSENT;
        op.invoke_ns = 2 * i + sgn_prng_below(prng, span);
        op.return_ns = op.invoke_ns + sgn_prng_below(prng, 2 * span);
        uint64_t luck = sgn_prng_below(prng, 10);
        op.outcome = luck < 2 ? SGN_HISTORY_UNKNOWN : luck < 3 ? SGN_HISTORY_FAIL : SGN_HISTORY_OK;
        bool applies =
            op.outcome == SGN_HISTORY_OK || (op.outcome == SGN_HISTORY_UNKNOWN && luck == 1);
        if (op.op == SGN_HISTORY_CAS) {
            op.expect = sgn_prng_chance(prng, 600) ? state : any;
            op.value = sgn_prng_chance(prng, 200) ? SGN_HISTORY_ABSENT : op.value;
            bool matches = (op.expect == state) != spoilt;
            if (!matches && op.outcome == SGN_HISTORY_OK) {
                op.outcome = SGN_HISTORY_REJECTED;
                op.output = luck < 6 ? state : SGN_HISTORY_UNTOLD;
            }
            applies = applies && matches;
        }
        if (op.op == SGN_HISTORY_GET) {
            op.output = spoilt ? any : state;
        } else if (applies) {
            state = op.value;
        }
        cr_assert(sgn_history_add(history, &op));
    }
}

static void print_history(const struct sgn_history *history)
{
    for (size_t i = 0; i < history->count; i++) {
        char line[512];
        sgn_history_describe(history, &history->ops[i], 0, line, sizeof(line));
        fprintf(stderr, "%s\n", line);
    }
}

/* What is shown of a violation must be a violation by itself, its writers included. */
static void check_explanation(const struct sgn_history *history,
                              const struct sgn_linear_report *report)
{
    struct sgn_history shown = {0};
    for (uint32_t i = 0; i < report->shown_count; i++) {
        cr_assert(sgn_history_add(&shown, &history->ops[report->shown[i]]));
    }
    bool wrong = !sgn_table_brute(&shown);
    if (!wrong) {
        print_history(history);
        fprintf(stderr, "shown, but possible:\n");
        print_history(&shown);
    }
    cr_assert(wrong);
    sgn_history_clear(&shown);
}

Test(linear, agrees_with_trying_every_order)
{
    struct sgn_history history = {0};
    struct sgn_prng prng = {.state = 20};
    uint32_t verdicts[2] = {0};
    for (uint32_t i = 0; i < 100000; i++) {
        random_history(&history, &prng);
        struct sgn_linear_report report;
        enum sgn_linear_verdict verdict = sgn_linear_check(&history, &report);
        bool expected = sgn_table_brute(&history);
        if ((verdict == SGN_LINEAR_OK) != expected || verdict > SGN_LINEAR_VIOLATION) {
            print_history(&history);
        }
        cr_assert(verdict == (expected ? SGN_LINEAR_OK : SGN_LINEAR_VIOLATION), "history %u", i);
        verdicts[verdict]++;
        if (verdict == SGN_LINEAR_VIOLATION) {
            check_explanation(&history, &report);
        }
    }
    cr_assert(verdicts[0] > 20000 && verdicts[1] > 20000, "%u %u", verdicts[0], verdicts[1]);
    sgn_history_clear(&history);
}

/* ---- Large histories: what a register answers to 16 clients a key, with unknowns ---- */

struct large {
    uint32_t keys, clients;
    size_t ops;
    uint32_t unknown_per_mille;
};

static void large_history(struct sgn_history *history, const struct large *plan)
{
    struct sgn_prng prng = {.state = 5};
    uint64_t free_at[64][16] = {{0}};
    uint64_t state[64] = {0};
    for (uint64_t now = 1; history->count < plan->ops; now++) {
        uint64_t key = sgn_prng_below(&prng, plan->keys);
        uint64_t client = sgn_prng_below(&prng, plan->clients);
        /* It takes effect now; it began at some time after the client's last one. */
        uint64_t busy = free_at[key][client];
        if (busy >= now) {
            continue;
        }
        uint64_t most = plan->clients * plan->keys;
        uint64_t begun = now - 1 - sgn_prng_below(&prng, now - busy < most ? now - busy : most);
        struct sgn_operation op = {.process = key * 16 + client,
                                   .key = key,
                                   .output = SGN_HISTORY_UNTOLD,
                                   .invoke_ns = begun > busy ? begun : now,
                                   .return_ns = now + sgn_prng_below(&prng, most)};
        free_at[key][client] = op.return_ns;
        uint64_t what = sgn_prng_below(&prng, 100);
        op.op = what < 45   ? SGN_HISTORY_GET
                : what < 65 ? SGN_HISTORY_PUT
                : what < 70 ? SGN_HISTORY_DEL
                            : SGN_HISTORY_CAS;
        bool writes = op.op == SGN_HISTORY_PUT || op.op == SGN_HISTORY_CAS;
        op.value = writes ? history->count + 1 : SGN_HISTORY_ABSENT;
        bool applies = op.op != SGN_HISTORY_GET;
        op.output = op.op == SGN_HISTORY_GET ? state[key] : SGN_HISTORY_UNTOLD;
        if (op.op == SGN_HISTORY_CAS) {
            op.expect = what < 85 ? state[key] : what < 90 ? SGN_HISTORY_ABSENT : 1;
            applies = op.expect == state[key];
            op.outcome = applies ? SGN_HISTORY_OK : SGN_HISTORY_REJECTED;
        }
        if (sgn_prng_chance(&prng, plan->unknown_per_mille)) {
            op.outcome = SGN_HISTORY_UNKNOWN;
            applies = applies && sgn_prng_chance(&prng, 500);
        }
        state[key] = applies ? op.value : state[key];
        cr_assert(sgn_history_add(history, &op));
    }
}

static double seconds_of(const struct sgn_history *history, struct sgn_linear_report *report)
{
    struct timespec from;
    struct timespec until;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    (void)sgn_linear_check(history, report);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &until);
    return (double)(until.tv_sec - from.tv_sec) + (double)(until.tv_nsec - from.tv_nsec) / 1e9;
}

/* Spoils one read in the middle: it answers the value that the last write before it replaced. */
static size_t spoil(struct sgn_history *history)
{
    for (size_t i = history->count / 2; i < history->count; i++) {
        struct sgn_operation *op = &history->ops[i];
        if (op->op != SGN_HISTORY_GET || op->outcome != SGN_HISTORY_OK) {
            continue;
        }
        for (size_t j = i - 1000; j > 0; j--) {
            const struct sgn_operation *write = &history->ops[j];
            if (write->key == op->key && write->op == SGN_HISTORY_PUT &&
                write->outcome == SGN_HISTORY_OK && write->value != op->output) {
                op->output = write->value;
                return i;
            }
        }
    }
    return 0;
}

Test(linear, is_fast_and_finds_one_wrong_read_among_many)
{
    static const struct large plans[] = {{4, 4, 200000, 0},
                                         {16, 16, 200000, 0},
                                         {8, 16, 200000, 5},
                                         {1, 16, 20000, 5},
                                         {8, 16, 30000, 50}};
    for (uint32_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
        struct sgn_history history = {0};
        struct sgn_linear_report report;
        large_history(&history, &plans[i]);
        double seconds = seconds_of(&history, &report);
        cr_assert_eq(report.verdict, SGN_LINEAR_OK, "plan %u: %s", i, report.reason);
        fprintf(stderr,
                "linear: %u keys, %u clients, %u unknown per mille: %.0f operations/s\n",
                plans[i].keys,
                plans[i].clients,
                plans[i].unknown_per_mille,
                (double)history.count / seconds);
        size_t wrong = spoil(&history);
        seconds = seconds_of(&history, &report);
        cr_assert_eq(report.verdict, SGN_LINEAR_VIOLATION, "plan %u: %s", i, report.reason);
        fprintf(stderr, "linear: the wrong read found in %.1f s\n", seconds);
        bool shown = false;
        for (uint32_t s = 0; s < report.shown_count; s++) {
            shown = shown || report.shown[s] == wrong;
        }
        sgn_linear_print(&history, &report, stderr);
        cr_assert(shown && report.shown_of <= 12);
        sgn_history_clear(&history);
    }
}

Test(linear, says_that_it_gave_up)
{
    struct sgn_history history = {0};
    struct sgn_linear_report report;
    struct sgn_operation op = {.key = 1, .op = SGN_HISTORY_PUT, .outcome = SGN_HISTORY_UNKNOWN};
    for (uint32_t i = 0; i <= SGN_LINEAR_OPEN_MAX; i++) {
        op.value = i + 1;
        cr_assert(sgn_history_add(&history, &op));
    }
    cr_assert_eq(sgn_linear_check(&history, &report), SGN_LINEAR_OK, "nobody can tell: left out");
    op = (struct sgn_operation){.key = 1,
                                .op = SGN_HISTORY_CAS,
                                .value = SGN_LINEAR_OPEN_MAX + 2,
                                .output = SGN_HISTORY_UNTOLD,
                                .outcome = SGN_HISTORY_REJECTED};
    cr_assert(sgn_history_add(&history, &op));
    op = (struct sgn_operation){.key = 2, .op = SGN_HISTORY_GET};
    cr_assert(sgn_history_add(&history, &op));
    cr_assert_eq(sgn_linear_check(&history, &report), SGN_LINEAR_GAVE_UP);
    cr_assert(report.gave_up == 1 && report.keys == 2 && report.key == 1);
    history.ops[history.count - 1].output = 5; /* A violation elsewhere is still found. */
    cr_assert_eq(sgn_linear_check(&history, &report), SGN_LINEAR_VIOLATION);
    sgn_history_clear(&history);
}
