/* tests/model/main.c - sgn-model: runs the models, one case or the whole plan. Prints a line for
 * each case; a plan ends with "N passed, N failed". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/model/mc.h"

#define JOBS_MAX        16
#define CASE_SECONDS    240.0 /* Of one case; the longest takes some 40 on an idle core. */
#define STATES_LIMIT    50000000u
#define MUTANT_NAME_MAX 16

static const struct sgn_mc_model *const models[] = {&sgn_model_ring,
                                                    &sgn_model_floor,
                                                    &sgn_model_floor_map,
                                                    &sgn_model_once,
                                                    &sgn_model_once_rounds,
                                                    &sgn_model_register};
#define MODEL_COUNT (sizeof models / sizeof models[0])

static void usage(void)
{
    (void)puts(
        "sgn-model --all [--jobs N] [--model NAME]   the plan: every case of every model, or of "
        "one\n"
        "sgn-model --list                            the plan, not run\n"
        "sgn-model MODEL CONFIG [MUTANT] [STATES] [SECONDS]\n"
        "                                            one case, with the trace of a violation\n"
        "Mutants: 14 is M14 of the protocol's list, 14b another way to break that rule, X1 one of\n"
        "docs/models.md. 0: none.");
}

/* 114 is "M14b"; 1001 is "X1". */
static void mutant_name(int mutant, char *name)
{
    char letter[2] = {(char)(mutant >= 100 ? 'a' + mutant / 100 : 0), 0};
    if (mutant == 0) {
        (void)snprintf(name, MUTANT_NAME_MAX, "-");
    } else if (mutant > 1000) {
        (void)snprintf(name, MUTANT_NAME_MAX, "X%d", mutant - 1000);
    } else {
        (void)snprintf(name, MUTANT_NAME_MAX, "M%d%s", mutant % 100, letter);
    }
}

static int mutant_of(const char *name)
{
    if (name[0] == 'X' || name[0] == 'x') {
        return 1000 + (int)strtoul(name + 1, NULL, 10);
    }
    char *end = NULL;
    long number = strtol(name[0] == 'M' || name[0] == 'm' ? name + 1 : name, &end, 10);
    int letter = *end >= 'b' && *end <= 'i' ? *end - 'a' : 0;
    return (int)number + 100 * letter;
}

static const struct sgn_mc_model *model_of(const char *name)
{
    for (size_t i = 0; i < MODEL_COUNT; i++) {
        if (strcmp(models[i]->name, name) == 0) {
            return models[i];
        }
    }
    return NULL;
}

static const char *verdict_of(const struct sgn_mc_result *result)
{
    if (result->violation != NULL) {
        return result->violation;
    }
    return result->complete ? "holds, complete" : "no violation, cut";
}

static void result_print(const struct sgn_mc_model *model,
                         const char *config,
                         const struct sgn_mc_result *result,
                         const char *remark)
{
    char name[MUTANT_NAME_MAX];
    mutant_name(sgn_mc_mutant, name);
    (void)printf("%-11s %-22s %-5s %9u states depth %2u %6.1f s  %s%s\n",
                 model->name,
                 config,
                 name,
                 result->states,
                 result->depth,
                 result->seconds,
                 verdict_of(result),
                 remark);
}

static bool as_expected(enum sgn_mc_expect expect, const struct sgn_mc_result *result)
{
    switch (expect) {
    case SGN_MC_HOLDS:
    case SGN_MC_SURVIVES: return result->complete;
    case SGN_MC_CUT: return result->violation == NULL;
    case SGN_MC_CAUGHT: return result->violation != NULL;
    }
    return false;
}

/* One case of a plan, in a process of its own: its line, and 0 if all is as expected. */
static int case_run(const struct sgn_mc_model *model, const struct sgn_mc_case *entry)
{
    static char room[1 << 16];
    (void)setvbuf(stdout, room, _IOFBF, sizeof room); /* The line goes out in one piece. */
    if (!model->configure(entry->config)) {
        (void)printf("%s has no configuration %s\n", model->name, entry->config);
        return 1;
    }
    sgn_mc_mutant = entry->mutant;
    bool base = entry->expect != SGN_MC_CAUGHT;
    struct sgn_mc_result result = sgn_mc_search(model, entry->states_limit, CASE_SECONDS, base);
    bool good = as_expected(entry->expect, &result);
    const char *remark = entry->expect == SGN_MC_SURVIVES ? " (harmless here)" : "";
    result_print(model, entry->config, &result, good ? remark : "  <== NOT AS EXPECTED");
    (void)fflush(stdout);
    return good ? 0 : 1;
}

static void reap(int *running, int *passed, int *failed)
{
    int status = 0;
    if (wait(&status) > 0) {
        (*running)--;
        bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        *(good ? passed : failed) += 1;
    }
}

static int run_all(int jobs, const char *only, bool list)
{
    int running = 0;
    int passed = 0;
    int failed = 0;
    for (size_t m = 0; m < MODEL_COUNT; m++) {
        const struct sgn_mc_model *model = models[m];
        for (uint32_t i = 0; i < *model->plan_count; i++) {
            const struct sgn_mc_case *entry = &model->plan[i];
            if (only != NULL && strcmp(only, model->name) != 0) {
                continue;
            }
            if (list) {
                char name[MUTANT_NAME_MAX];
                mutant_name(entry->mutant, name);
                (void)printf("%s %s %s\n", model->name, entry->config, name);
                continue;
            }
            while (running >= jobs) {
                reap(&running, &passed, &failed);
            }
            (void)fflush(stdout);
            pid_t child = fork();
            if (child == 0) {
                _exit(case_run(model, entry));
            }
            running += child > 0;
            failed += child < 0;
        }
    }
    while (running > 0) {
        reap(&running, &passed, &failed);
    }
    if (!list) {
        (void)printf("%d passed, %d failed\n", passed, failed);
    }
    return failed > 0 ? 1 : 0;
}

static int run_one(int argc, char **argv)
{
    const struct sgn_mc_model *model = model_of(argv[1]);
    if (model == NULL || argc < 3 || !model->configure(argv[2])) {
        (void)fprintf(stderr, "sgn-model: no such model or configuration; see --list\n");
        return 2;
    }
    sgn_mc_mutant = argc > 3 ? mutant_of(argv[3]) : 0;
    unsigned long limit = argc > 4 ? strtoul(argv[4], NULL, 10) : STATES_LIMIT;
    double seconds = argc > 5 ? strtod(argv[5], NULL) : CASE_SECONDS;
    struct sgn_mc_result result = sgn_mc_search(model, (uint32_t)limit, seconds, true);
    result_print(model, argv[2], &result, "");
    return result.violation != NULL ? 1 : 0;
}

int main(int argc, char **argv)
{
    int jobs = 1;
    const char *only = NULL;
    bool all = false;
    bool list = false;
    if (argc > 1 && argv[1][0] != '-') {
        return run_one(argc, argv);
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--all") == 0) {
            all = true;
        } else if (strcmp(argv[i], "--list") == 0) {
            list = true;
        } else if (strcmp(argv[i], "--jobs") == 0 && i + 1 < argc) {
            jobs = (int)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--model") == 0 && i + 1 < argc) {
            only = argv[++i];
        } else {
            usage();
            return strcmp(argv[i], "--help") == 0 ? 0 : 2;
        }
    }
    bool known = only == NULL || model_of(only) != NULL;
    if ((!all && !list) || jobs < 1 || jobs > JOBS_MAX || !known) {
        usage();
        return 2;
    }
    return run_all(jobs, only, list);
}
