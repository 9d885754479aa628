/* tests/sim/main.c - runs seeds of the simulator.
 *
 *   sgn-sim --seeds N [--from S]   run N seeds; print what failed and how to repeat it
 *   sgn-sim --seed S [-v [-v]]     run one and tell about it, or about every message
 *   sgn-sim --self-test            same seed same trace, other seed other trace, canaries seen
 *
 * A seed's number says what is run: even ones the ordered workload (ord.h), odd ones the available
 * one (sim.h); --ordered and --available insist. In a build with SGN_MUTANTS, always ordered:
 *
 *   sgn-sim --mutant N [--seeds N] [--from S] | --mutant N --seed S [-v]
 *   sgn-sim --mutants [FILE]       every mutant until a seed catches it, those of FILE first */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring/core/check.h"
#include "ring/core/mutant.h"
#include "tests/sim/ord.h"
#include "tests/sim/ord_mutants.h"
#include "tests/sim/sim.h"

enum workload { WORKLOAD_BY_SEED, WORKLOAD_AVAILABLE, WORKLOAD_ORDERED };

/* So that a failed assertion can name its seed. */
static struct {
    uint64_t seed;
    bool ordered;
    int mutant;
    struct sim_options sim;
    struct ord_options ord;
} current;

static enum workload workload;

static void describe(char *text, size_t cap)
{
    if (current.ordered) {
        ord_options_print(&current.ord, text, cap);
    } else {
        sim_options_print(&current.sim, text, cap);
    }
}

static void print_command(FILE *out)
{
    char mutant[32] = "";
    if (current.mutant != 0) {
        (void)snprintf(mutant, sizeof(mutant), " --mutant %d", current.mutant);
    }
    (void)fprintf(out,
                  "  repeat it: sgn-sim%s %s --seed %llu -v\n",
                  mutant,
                  current.ordered ? "--ordered" : "--available",
                  (unsigned long long)current.seed);
}

_Noreturn void sgn_check_failed(const char *condition, const char *file, int line)
{
    char text[1024];
    describe(text, sizeof(text));
    (void)fprintf(
        stderr, "%s:%d: this must hold and does not: %s\n  %s\n", file, line, condition, text);
    print_command(stderr);
    abort();
}

static bool run_seed(uint64_t seed, uint32_t verbose, bool inject, uint64_t *hash)
{
    char report[1400];
    char text[1024];
    bool good = false;
    current.seed = seed;
    current.ordered =
        workload == WORKLOAD_ORDERED || (workload == WORKLOAD_BY_SEED && seed % 2 == 0);
    if (current.ordered) {
        ord_options_draw(&current.ord, seed, current.mutant);
        current.ord.verbose = verbose;
        current.ord.inject = inject;
        good = ord_run(&current.ord, hash, report, sizeof(report));
    } else {
        sim_options_draw(&current.sim, seed);
        current.sim.verbose = verbose > 0;
        current.sim.inject_loss = inject;
        good = sim_run(&current.sim, hash, report, sizeof(report));
    }
    if (!inject && (verbose > 0 || !good)) {
        describe(text, sizeof(text));
        (void)printf("seed %llu trace %016llx: %s\n  %s\n",
                     (unsigned long long)seed,
                     (unsigned long long)*hash,
                     report,
                     text);
    }
    if (!inject && !good) {
        print_command(stdout);
    }
    (void)fflush(stdout);
    return good;
}

static int run_many(uint64_t from, uint64_t count)
{
    uint64_t failed = 0;
    uint64_t all = 0;
    uint64_t done = 0;
    for (uint64_t seed = from; seed < from + count; seed++, done++) {
        uint64_t hash = 0;
        failed += !run_seed(seed, 0, false, &hash);
        all = sgn_mix64(all ^ hash);
        if (failed > 0 && current.mutant != 0) {
            (void)printf("mutant %d is caught\n", current.mutant);
            return 1;
        }
    }
    (void)printf("%llu seeds from %llu, trace of all %016llx\n",
                 (unsigned long long)count,
                 (unsigned long long)from,
                 (unsigned long long)all);
    (void)printf("%llu passed, %llu failed, 0 skipped\n",
                 (unsigned long long)(count - failed),
                 (unsigned long long)failed);
    return failed == 0 ? 0 : 1;
}

#define SELF_TEST_SEEDS 20u

/* Most ordered seeds have a strong read that an old answer can be slipped into, not all. */
static int self_test(enum workload of, uint64_t red_least)
{
    int failed = 0;
    uint64_t red = 0;
    workload = of;
    for (uint64_t seed = 1; seed <= SELF_TEST_SEEDS; seed++) {
        uint64_t once = 0;
        uint64_t again = 0;
        uint64_t other = 0;
        (void)run_seed(seed, 0, false, &once);
        (void)run_seed(seed, 0, false, &again);
        (void)run_seed(seed + 1000, 0, false, &other);
        if (once != again || once == other) {
            (void)printf("seed %llu does not repeat itself\n", (unsigned long long)seed);
            failed = 1;
        }
        red += !run_seed(seed, 0, true, &other);
    }
    if (red < red_least) {
        (void)printf(
            "only %llu of %u canary seeds turned red\n", (unsigned long long)red, SELF_TEST_SEEDS);
        failed++;
    }
    return failed;
}

/* The simulator must be able to fail, and must repeat itself. */
static int self_tests(void)
{
    int failed = self_test(WORKLOAD_AVAILABLE, SELF_TEST_SEEDS);
    failed += self_test(WORKLOAD_ORDERED, SELF_TEST_SEEDS - 2);
    (void)printf("%d passed, %d failed, 0 skipped\n", 4 - failed, failed);
    return failed == 0 ? 0 : 1;
}

static int usage(void)
{
    (void)fprintf(stderr,
                  "use: sgn-sim [--ordered|--available] --seeds N [--from S] | --seed S [-v] | "
                  "--self-test\n     sgn-sim --mutant N [--seeds N] [--from S] [--seed S] | "
                  "--mutants [FILE]\n");
    return 2;
}

static int set_mutant(const char *text)
{
    current.mutant = (int)strtol(text, NULL, 10);
    workload = WORKLOAD_ORDERED;
#ifdef SGN_MUTANTS
    sgn_mutant = current.mutant;
    return 0;
#else
    (void)fprintf(stderr, "this build cannot break rules: build with -DSGN_MUTANTS\n");
    return 2;
#endif
}

static const struct option longs[] = {{"seeds", required_argument, NULL, 'n'},
                                      {"from", required_argument, NULL, 'f'},
                                      {"seed", required_argument, NULL, 's'},
                                      {"verbose", no_argument, NULL, 'v'},
                                      {"self-test", no_argument, NULL, 't'},
                                      {"ordered", no_argument, NULL, 'o'},
                                      {"available", no_argument, NULL, 'a'},
                                      {"mutant", required_argument, NULL, 'm'},
                                      {"mutants", optional_argument, NULL, 'M'},
                                      {NULL, 0, NULL, 0}};

int main(int argc, char **argv)
{
    uint64_t from = 1;
    uint64_t count = 100;
    uint32_t verbose = 0;
    bool one = false;
    for (int c = 0; (c = getopt_long(argc, argv, "v", longs, NULL)) != -1;) {
        switch (c) {
        case 'n': count = strtoull(optarg, NULL, 10); break;
        case 'f': from = strtoull(optarg, NULL, 10); break;
        case 's':
            from = strtoull(optarg, NULL, 10);
            one = true;
            break;
        case 'v': verbose++; break;
        case 't': return self_tests();
        case 'o': workload = WORKLOAD_ORDERED; break;
        case 'a': workload = WORKLOAD_AVAILABLE; break;
        case 'm':
            if (set_mutant(optarg) != 0) {
                return 2;
            }
            break;
        case 'M': return ord_mutants_run(1, 99, optarg) == 0 ? 0 : 1;
        default: return usage();
        }
    }
    uint64_t hash = 0;
    return one ? (run_seed(from, verbose, false, &hash) ? 0 : 1) : run_many(from, count);
}
