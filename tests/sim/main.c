/* tests/sim/main.c - runs seeds of the simulator.
 *
 *   sgn-sim --seeds N [--from S]   run N seeds; print what failed and how to repeat it
 *   sgn-sim --seed S [-v]          run one and tell about it
 *   sgn-sim --self-test            same seed same trace, other seed other trace, canaries seen */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring/core/check.h"
#include "tests/sim/sim.h"

static struct sim_options current; /* So that a failed assertion can name its seed. */

_Noreturn void sgn_check_failed(const char *condition, const char *file, int line)
{
    char text[768];
    sim_options_print(&current, text, sizeof(text));
    (void)fprintf(stderr,
                  "%s:%d: this must hold and does not: %s\n%s\nrepeat it: sgn-sim --seed %llu -v\n",
                  file,
                  line,
                  condition,
                  text,
                  (unsigned long long)current.seed);
    abort();
}

static bool run_seed(uint64_t seed, bool verbose, bool inject_loss, uint64_t *hash)
{
    char report[1024];
    char text[768];
    sim_options_draw(&current, seed);
    current.verbose = verbose;
    current.inject_loss = inject_loss;
    bool good = sim_run(&current, hash, report, sizeof(report));
    if (!inject_loss && (verbose || !good)) {
        sim_options_print(&current, text, sizeof(text));
        (void)printf("seed %llu trace %016llx: %s\n  %s\n",
                     (unsigned long long)seed,
                     (unsigned long long)*hash,
                     report,
                     text);
    }
    if (!inject_loss && !good) {
        (void)printf("  repeat it: sgn-sim --seed %llu -v\n", (unsigned long long)seed);
    }
    (void)fflush(stdout);
    return good;
}

static int run_many(uint64_t from, uint64_t count)
{
    uint64_t failed = 0;
    uint64_t all = 0;
    for (uint64_t seed = from; seed < from + count; seed++) {
        uint64_t hash = 0;
        failed += !run_seed(seed, false, false, &hash);
        all = sgn_mix64(all ^ hash);
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

/* The simulator must be able to fail, and must repeat itself. */
static int self_test(void)
{
    int failed = 0;
    uint64_t red = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t once = 0;
        uint64_t again = 0;
        uint64_t other = 0;
        (void)run_seed(seed, false, false, &once);
        (void)run_seed(seed, false, false, &again);
        (void)run_seed(seed + 1000, false, false, &other);
        if (once != again || once == other) {
            (void)printf("seed %llu does not repeat itself\n", (unsigned long long)seed);
            failed++;
        }
        red += !run_seed(seed, false, true, &other);
    }
    if (red != 20) {
        (void)printf("only %llu of 20 canary seeds turned red\n", (unsigned long long)red);
        failed++;
    }
    (void)printf("%d passed, %d failed, 0 skipped\n", 2 - (failed > 2 ? 2 : failed), failed);
    return failed == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    uint64_t from = 1;
    uint64_t count = 100;
    bool verbose = false;
    bool one = false;
    static const struct option longs[] = {{"seeds", required_argument, NULL, 'n'},
                                          {"from", required_argument, NULL, 'f'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"verbose", no_argument, NULL, 'v'},
                                          {"self-test", no_argument, NULL, 't'},
                                          {NULL, 0, NULL, 0}};
    for (int c = 0; (c = getopt_long(argc, argv, "v", longs, NULL)) != -1;) {
        switch (c) {
        case 'n': count = strtoull(optarg, NULL, 10); break;
        case 'f': from = strtoull(optarg, NULL, 10); break;
        case 's':
            from = strtoull(optarg, NULL, 10);
            one = true;
            break;
        case 'v': verbose = true; break;
        case 't': return self_test();
        default:
            (void)fprintf(stderr,
                          "use: sgn-sim --seeds N [--from S] | --seed S [-v] | --self-test\n");
            return 2;
        }
    }
    uint64_t hash = 0;
    return one ? (run_seed(from, verbose, false, &hash) ? 0 : 1) : run_many(from, count);
}
