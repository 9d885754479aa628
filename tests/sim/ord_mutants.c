/* tests/sim/ord_mutants.c */
#include "tests/sim/ord_mutants.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ring/core/check.h"
#include "ring/core/mutant.h"
#include "tests/sim/ord.h"

#define F(name)  (UINT32_C(1) << ORD_##name)
#define FAILING  (F(disk_error) | F(disk_full) | F(pool_refuse) | F(skew_ms) | F(clock_jump))
#define RESTARTS (F(crash) | F(step_crash) | F(power))
#define LINKS    (F(loss) | F(reorder) | F(cut) | F(one_way))

enum ord_want {
    WANT_FLEET = 1,
    WANT_NO_FLEET = 2,
    WANT_TINY = 4,
    WANT_HOT = 8,
    WANT_DROPS = 16,
    WANT_SPARE = 32,
    WANT_SLOW = 64
};

/* What shows the mutant, beside what the seed draws: faults that must be on, and that must be off
 * because they only hide it. */
struct ord_mutant {
    int number;
    const char *what;
    uint32_t on, off;
    uint32_t want;
    uint32_t mix;
};

static const struct ord_mutant mutants[] = {
    {1, "mark after expose", F(loss) | F(reorder), FAILING, WANT_FLEET | WANT_HOT, ORD_MIX_ALL},
    {2, "settle after Q commits", LINKS, FAILING, WANT_FLEET | WANT_HOT, ORD_MIX_ALL},
    {3,
     "local read decided before CHECK",
     F(reorder),
     FAILING,
     WANT_FLEET | WANT_HOT,
     ORD_MIX_READS},
    {4,
     "slow path serves without marking",
     LINKS | F(step_crash),
     FAILING,
     WANT_FLEET | WANT_HOT,
     ORD_MIX_READS},
    {5, "no op-id look-up", F(loss) | F(reorder) | F(late), FAILING, WANT_HOT, ORD_MIX_CONDITIONS},
    {6, "unowned one-round accept", LINKS | RESTARTS, FAILING, WANT_HOT, ORD_MIX_CONDITIONS},
    {7, "chain on an earlier incarnation", LINKS | RESTARTS, FAILING, WANT_HOT, ORD_MIX_CONDITIONS},
    {8,
     "no promise ceiling",
     RESTARTS | F(restart) | LINKS | F(late) | F(replay),
     FAILING,
     WANT_HOT,
     ORD_MIX_CONDITIONS},
    {9,
     "accept acknowledged before durable",
     RESTARTS | F(disk_stall),
     0,
     WANT_HOT,
     ORD_MIX_CONDITIONS},
    {10,
     "restarted witness answers none",
     F(witness_crash) | F(fleet_crash),
     FAILING,
     WANT_FLEET | WANT_HOT,
     ORD_MIX_READS},
    {11,
     "epoch unchecked on CHECK",
     F(long_down) | F(witness_crash) | F(pause),
     FAILING,
     WANT_FLEET | WANT_HOT,
     ORD_MIX_READS},
    {12,
     "epoch unchecked on ACCEPT",
     F(witness_crash) | F(long_down) | F(move) | F(late) | F(reorder),
     FAILING,
     WANT_FLEET | WANT_HOT,
     ORD_MIX_ALL},
    {13,
     "witness seeded by fewer than a majority",
     F(witness_crash) | F(fleet_crash) | LINKS,
     FAILING,
     WANT_FLEET | WANT_HOT,
     ORD_MIX_READS},
    {14,
     "exposed before the fence",
     F(fleet_crash) | F(fleet_change) | F(cut) | F(pause),
     FAILING,
     WANT_FLEET | WANT_HOT,
     ORD_MIX_ALL},
    {15,
     "strong reads while catching up",
     F(long_down),
     FAILING,
     WANT_FLEET | WANT_HOT,
     ORD_MIX_READS},
    {16,
     "catch-up from one old replica",
     F(long_down) | F(move) | LINKS,
     FAILING,
     WANT_HOT,
     ORD_MIX_ALL},
    {17,
     "absent floor raised without steps 1 and 2",
     LINKS | F(crash) | F(step_crash),
     FAILING,
     WANT_DROPS,
     ORD_MIX_CONDITIONS},
    {18, "pending served", LINKS | F(step_crash), FAILING, WANT_HOT, ORD_MIX_READS},
    {19,
     "fallback node counted in an ordered quorum",
     F(cut) | F(long_down) | F(crash),
     FAILING,
     WANT_HOT,
     ORD_MIX_ALL},
    {20, "eventual passed off as strong", F(reorder) | F(loss), FAILING, WANT_HOT, ORD_MIX_READS},
    {21,
     "acks of two epochs added up",
     F(witness_crash) | F(long_down) | F(move) | LINKS,
     FAILING,
     WANT_FLEET | WANT_HOT,
     ORD_MIX_ALL},
    {22,
     "promises carried over an epoch",
     F(move) | F(witness_crash) | LINKS,
     FAILING,
     WANT_FLEET | WANT_HOT,
     ORD_MIX_CONDITIONS},
    {23,
     "epoch not durable at a replica",
     F(witness_crash) | F(disk_stall) | RESTARTS,
     0,
     WANT_FLEET,
     ORD_MIX_ALL},
    {24,
     "no restart guard",
     RESTARTS | F(restart) | F(reorder),
     FAILING,
     WANT_FLEET | WANT_HOT,
     ORD_MIX_READS},
    {25,
     "answers catch-up or seeding from an older epoch",
     F(witness_crash) | F(fleet_crash) | F(long_down) | F(reorder),
     FAILING,
     WANT_FLEET | WANT_HOT,
     ORD_MIX_ALL},
    {26,
     "joint slow read with one majority",
     F(move) | F(cut),
     FAILING | RESTARTS | F(long_down) | F(loss),
     WANT_HOT | WANT_NO_FLEET | WANT_SPARE | WANT_SLOW,
     ORD_MIX_READS},
    {27,
     "commit does not raise promised",
     F(move) | LINKS | F(late),
     FAILING,
     WANT_HOT,
     ORD_MIX_CONDITIONS},
    {28,
     "rejection answered from an unexposed record",
     LINKS | F(step_crash),
     FAILING,
     WANT_HOT,
     ORD_MIX_CONDITIONS},
    {29,
     "late attempt applies after rejected",
     F(late) | F(reorder) | F(loss),
     FAILING,
     WANT_HOT,
     ORD_MIX_CONDITIONS},
    {30,
     "ops_floor kept as a ballot",
     F(late) | F(reorder) | F(loss),
     FAILING,
     WANT_HOT,
     ORD_MIX_CONDITIONS},
    {31,
     "witness table carried over an overflow or an epoch",
     F(witness_crash) | F(long_down) | F(move) | LINKS,
     FAILING,
     WANT_FLEET | WANT_HOT | WANT_TINY,
     ORD_MIX_ALL},
    {32,
     "corrupt record read as absent",
     F(rot) | F(restart) | F(crash),
     FAILING,
     WANT_HOT,
     ORD_MIX_ALL},
    {33,
     "SETTLED of an older epoch accepted",
     F(move) | F(witness_crash) | F(late) | F(replay) | F(long_down),
     FAILING,
     WANT_FLEET | WANT_HOT,
     ORD_MIX_ALL},
    {34,
     "catch-up stores copied records as settled",
     F(long_down) | F(move) | F(witness_crash),
     FAILING,
     WANT_FLEET | WANT_HOT,
     ORD_MIX_ALL},
    {35,
     "joint epoch seeded from the new set alone",
     F(move) | F(witness_crash) | LINKS,
     FAILING,
     WANT_FLEET | WANT_HOT,
     ORD_MIX_ALL},
    {36,
     "riders decided on the record before the batch",
     F(reorder),
     FAILING,
     WANT_HOT,
     ORD_MIX_CONDITIONS},
    {37,
     "a node that comes back keeps what it held below the floor",
     F(move) | F(long_down) | F(restart) | LINKS,
     FAILING,
     WANT_DROPS | WANT_SPARE,
     ORD_MIX_CONDITIONS},
    {38,
     "an emptied disk goes on as the member that was",
     F(wipe) | LINKS | F(late),
     FAILING | F(rot),
     WANT_HOT,
     ORD_MIX_CONDITIONS},
    {39,
     "the emptied disk votes in the old set too",
     F(wipe) | LINKS | F(late) | F(long_down) | F(crash),
     FAILING | F(rot),
     WANT_HOT | WANT_SLOW,
     ORD_MIX_CONDITIONS},
    {40,
     "an accept tells a mark that the witness did not take",
     F(witness_crash) | F(restart) | F(long_down) | F(pause),
     FAILING,
     WANT_FLEET | WANT_HOT,
     ORD_MIX_ALL},
};
#define MUTANT_COUNT ((int)(sizeof(mutants) / sizeof(mutants[0])))

static const struct ord_mutant *mutant_of(int number)
{
    for (int i = 0; i < MUTANT_COUNT; i++) {
        if (mutants[i].number == number) {
            return &mutants[i];
        }
    }
    return NULL;
}

void ord_mutant_shape(struct ord_options *o,
                      int number,
                      struct sgn_prng *prng,
                      const unsigned *strongest)
{
    const struct ord_mutant *mutant = mutant_of(number);
    if (mutant == NULL) {
        return;
    }
    o->fault_free = false;
    for (uint32_t i = 0; i < ORD_FAULT_COUNT; i++) {
        uint32_t strength = 1 + (uint32_t)sgn_prng_below(prng, strongest[i]);
        bool needed = (mutant->on >> i & 1u) != 0 && sgn_prng_chance(prng, 800);
        bool hides = (mutant->off >> i & 1u) != 0 ||
                     (i == ORD_wipe && (mutant->on & F(wipe)) == 0); /* Theirs alone. */
        o->fault[i] = hides ? 0 : needed && o->fault[i] == 0 ? strength : o->fault[i];
    }
    if ((mutant->want & WANT_FLEET) != 0 && o->fleet < 1) {
        o->fleet = 1 + (uint32_t)sgn_prng_below(prng, 4);
    }
    if ((mutant->want & WANT_NO_FLEET) != 0) {
        o->fleet = 0;
    }
    if ((mutant->want & WANT_TINY) != 0 && sgn_prng_chance(prng, 500)) {
        o->entries_max = 2 + (uint32_t)sgn_prng_below(prng, 6);
    }
    if ((mutant->want & WANT_HOT) != 0) {
        o->keys = o->entries_max < 16 ? o->keys : 1 + (uint32_t)sgn_prng_below(prng, 3);
        o->clients = o->clients < 4 ? 4 : o->clients;
    }
    if ((mutant->want & WANT_SPARE) != 0) { /* Enough to go on while a replica set is cut in two. */
        o->nodes = ORD_NODES_MAX;
        o->replicas = 3;
    }
    if ((mutant->want & WANT_SLOW) != 0) { /* So that a joint epoch lasts. */
        o->delay_us_max = 50000 + (uint32_t)sgn_prng_below(prng, 50000);
    }
    if ((mutant->want & WANT_DROPS) != 0) {
        o->tombstone_ms = 200 + (uint32_t)sgn_prng_below(prng, 600);
    }
    o->mix = sgn_prng_chance(prng, 700) ? mutant->mix : o->mix;
}

#ifdef SGN_MUTANTS
int sgn_mutant;

/* One seed; what goes wrong is told in one line. An assertion that fails ends the process. A seed
 * that fails with all rules kept too says nothing about the mutant, and none of these rules is
 * about coming to rest. */
static bool survives(int number, uint64_t seed, char *report, size_t cap)
{
    struct ord_options options;
    uint64_t hash = 0;
    char ignored[1400];
    ord_options_draw(&options, seed, number);
    sgn_mutant = number;
    bool good = ord_run(&options, &hash, report, cap);
    sgn_mutant = 0;
    bool only_slow = strncmp(report, "no rest", 7) == 0 || strncmp(report, "at rest", 7) == 0;
    return good || only_slow || !ord_run(&options, &hash, ignored, sizeof(ignored));
}

/* The seeds of a mutant, in a process of its own: a broken rule may also break an assertion. The
 * pipe brings one line for the last seed begun. */
static void child(int number, const uint64_t *known, uint32_t known_count, int out)
{
    for (uint64_t i = 0; i < known_count + ORD_MUTANT_SEEDS; i++) {
        uint64_t seed = i < known_count ? known[i] : i - known_count + 1;
        char report[1200];
        char line[1400];
        int bytes = snprintf(line,
                             sizeof(line),
                             "%llu %llu an assertion failed\n",
                             (unsigned long long)seed,
                             (unsigned long long)i + 1);
        if (write(out, line, (size_t)bytes) != bytes) {
            _exit(2);
        }
        if (!survives(number, seed, report, sizeof(report))) {
            bytes = snprintf(line,
                             sizeof(line),
                             "%llu %llu %.160s\n",
                             (unsigned long long)seed,
                             (unsigned long long)i + 1,
                             report);
            _exit(write(out, line, (size_t)bytes) == bytes ? 1 : 2);
        }
    }
    _exit(0);
}

static uint32_t known_killers(const char *path, int number, uint64_t *seeds, uint32_t cap)
{
    FILE *in = path == NULL ? NULL : fopen(path, "r");
    char line[256];
    uint32_t count = 0;
    while (in != NULL && count < cap && fgets(line, sizeof(line), in) != NULL) {
        int of = 0;
        unsigned long long seed = 0;
        if (line[0] != '#' && sscanf(line, "%d %llu", &of, &seed) == 2 && of == number) {
            seeds[count++] = seed;
        }
    }
    if (in != NULL) {
        (void)fclose(in);
    }
    return count;
}

struct run {
    const struct ord_mutant *mutant;
    pid_t pid;
    int in;
};

static struct run start(const struct ord_mutant *mutant, const char *killers)
{
    uint64_t known[16];
    uint32_t count = known_killers(killers, mutant->number, known, 16);
    int ends[2];
    int err = pipe(ends);
    SGN_ASSERT(err == 0);
    struct run run = {.mutant = mutant, .pid = fork(), .in = ends[0]};
    SGN_ASSERT(run.pid >= 0);
    if (run.pid == 0) {
        (void)close(ends[0]);
        (void)freopen("/dev/null", "w", stderr);
        child(mutant->number, known, count, ends[1]);
    }
    (void)close(ends[1]);
    return run;
}

/* True if a seed failed. */
static bool finish(const struct run *run)
{
    char last[2048] = "";
    FILE *in = fdopen(run->in, "r");
    SGN_ASSERT(in != NULL);
    char line[2048];
    while (fgets(line, sizeof(line), in) != NULL) {
        memcpy(last, line, sizeof(last));
    }
    (void)fclose(in);
    int status = 0;
    (void)waitpid(run->pid, &status, 0);
    bool caught = !WIFEXITED(status) || WEXITSTATUS(status) == 1;
    unsigned long long seed = 0;
    unsigned long long tried = 0;
    int at = 0;
    (void)sscanf(last, "%llu %llu %n", &seed, &tried, &at);
    last[strcspn(last, "\n")] = '\0';
    (void)printf("M%-3d %-52s %-10s seed %-6llu after %-5llu %s\n",
                 run->mutant->number,
                 run->mutant->what,
                 caught ? "caught" : "NOT CAUGHT",
                 seed,
                 tried,
                 caught ? last + at : "");
    (void)fflush(stdout);
    return caught;
}

int ord_mutants_run(int from, int to, const char *killers)
{
    int missed = 0;
    int tried = 0;
    for (int i = 0; i < MUTANT_COUNT; i += 2) {
        struct run runs[2];
        int count = 0;
        for (int j = i; j < i + 2 && j < MUTANT_COUNT; j++) {
            if (mutants[j].number >= from && mutants[j].number <= to) {
                runs[count++] = start(&mutants[j], killers);
            }
        }
        for (int j = 0; j < count; j++) {
            missed += !finish(&runs[j]);
            tried++;
        }
    }
    (void)printf("%d passed, %d failed, 0 skipped\n", tried - missed, missed);
    return missed;
}
#else
int ord_mutants_run(int from, int to, const char *killers)
{
    (void)from;
    (void)to;
    (void)killers;
    (void)printf("this build cannot break rules: build with -DSGN_MUTANTS\n");
    return 1;
}
#endif
