#include "bench/verify.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cpu.h"
#include "bench/linear.h"

#define MS UINT64_C(1000000)

static const char help[] =
    "kv-bench verify - a ring of real processes under faults, and its history judged.\n"
    "\n"
    "  kv-bench verify --duration S --faults LIST [--nodes 3] [--witnesses 3] [--seed N]\n"
    "                  [--history FILE] [--dir D] [--workers 8] [--keys 6] [--rotate S]\n"
    "                  [--pause-us 1000] [--bucket-kind ordered|available]\n"
    "                  [--read strong|eventual] [--embed]\n"
    "  kv-bench verify --check FILE\n"
    "\n"
    "LIST is names with commas between, or all, or none: kill, pause, cut, oneway, delay, loss,\n"
    "duplicate, reorder, diskfull (needs the right to mount a tmpfs), witness, wipe (a node\n"
    "comes back with an empty disk). The processes run on 127.0.0.1, talk by way of a relay and\n"
    "end with kv-bench. --embed runs the witnesses inside the first nodes, with which they are\n"
    "killed and cut off, instead of as processes of their own: then \"witness\" is left out.\n"
    "--dir keeps what they leave; without it a folder in /tmp is used and,\n"
    "if all is well, removed. docs/history.md describes the history.\n"
    "Exit status: 0 no violation, 1 violation, or a process that died of itself, or a key that\n"
    "cannot be read once all is healed, 2 wrong use or not a history, 3 the judge gave up.\n";

enum option_id {
    OPT_DURATION = 256,
    OPT_FAULTS,
    OPT_NODES,
    OPT_WITNESSES,
    OPT_HISTORY,
    OPT_SEED,
    OPT_DIR,
    OPT_CHECK,
    OPT_KIND,
    OPT_READ,
    OPT_WORKERS,
    OPT_KEYS,
    OPT_ROTATE,
    OPT_PAUSE,
    OPT_EMBED,
    OPT_HELP
};

static const struct option longs[] = {
    {"duration", required_argument, NULL, OPT_DURATION},
    {"faults", required_argument, NULL, OPT_FAULTS},
    {"nodes", required_argument, NULL, OPT_NODES},
    {"witnesses", required_argument, NULL, OPT_WITNESSES},
    {"history", required_argument, NULL, OPT_HISTORY},
    {"seed", required_argument, NULL, OPT_SEED},
    {"dir", required_argument, NULL, OPT_DIR},
    {"check", required_argument, NULL, OPT_CHECK},
    {"bucket-kind", required_argument, NULL, OPT_KIND},
    {"read", required_argument, NULL, OPT_READ},
    {"workers", required_argument, NULL, OPT_WORKERS},
    {"keys", required_argument, NULL, OPT_KEYS},
    {"rotate", required_argument, NULL, OPT_ROTATE},
    {"pause-us", required_argument, NULL, OPT_PAUSE},
    {"embed", no_argument, NULL, OPT_EMBED},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

/* ---- The command line ---- */

static bool set_number(uint32_t *out, const char *text, uint32_t least, uint32_t most)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    *out = (uint32_t)value;
    return end != text && *end == '\0' && text[0] != '-' && value >= least && value <= most;
}

/* The position of a word of `bytes` bytes in a list that ends with NULL; -1: not there. */
static int find_word(const char *const *words, const char *text, size_t bytes)
{
    for (int i = 0; words[i] != NULL; i++) {
        if (strlen(words[i]) == bytes && memcmp(words[i], text, bytes) == 0) {
            return i;
        }
    }
    return -1;
}

static bool set_faults(uint32_t *faults, const char *text)
{
    const char *words[SGN_FAULT_COUNT + 1] = {NULL};
    for (uint32_t i = 0; i < SGN_FAULT_COUNT; i++) {
        words[i] = sgn_fault_name(i);
    }
    *faults = 0;
    if (strcmp(text, "all") == 0) {
        *faults = (UINT32_C(1) << SGN_FAULT_COUNT) - 1;
        return true;
    }
    for (bool more = strcmp(text, "none") != 0; more;) {
        size_t bytes = strcspn(text, ",");
        int fault = find_word(words, text, bytes);
        if (fault < 0) {
            return false;
        }
        *faults |= UINT32_C(1) << fault;
        more = text[bytes] == ',';
        text += bytes + 1;
    }
    return true;
}

static bool set_option(struct sgn_verify_options *o, int id, const char *text)
{
    static const char *const kinds[] = {"", "available", "ordered", NULL};
    static const char *const reads[] = {"eventual", "", "strong", NULL};
    int word = 0;
    char *end = NULL;
    switch (id) {
    case OPT_DURATION: return set_number(&o->duration_s, text, 1, 86400);
    case OPT_FAULTS: return set_faults(&o->faults, text);
    case OPT_NODES: return set_number(&o->nodes, text, 1, 15);
    case OPT_WITNESSES: return set_number(&o->witnesses, text, 0, 9);
    case OPT_WORKERS: return set_number(&o->workers, text, 1, SGN_VERIFY_WORKERS_MAX - 1);
    case OPT_KEYS: return set_number(&o->keys, text, 1, SGN_VERIFY_KEYS_MAX);
    case OPT_ROTATE: return set_number(&o->rotate_s, text, 1, 86400);
    case OPT_PAUSE: return set_number(&o->pause_us, text, 0, 400000);
    case OPT_HISTORY: o->history = text; return true;
    case OPT_CHECK: o->check = text; return true;
    case OPT_DIR: o->dir = text; return true;
    case OPT_EMBED: o->embed = true; return true;
    case OPT_SEED: o->seed = strtoull(text, &end, 10); return end != text && *end == '\0';
    case OPT_KIND:
        word = find_word(kinds, text, strlen(text));
        o->kind = (enum sgn_bucket_kind)word;
        return word > 0;
    case OPT_READ:
        word = find_word(reads, text, strlen(text));
        o->read = (enum sgn_read_mode)(word < 0 ? 0 : word);
        return word == SGN_READ_EVENTUAL || word == SGN_READ_STRONG;
    default: return false;
    }
}

/* ---- --check ---- */

static int exit_status(enum sgn_linear_verdict verdict)
{
    static const int statuses[] = {0, 1, 3, 2};
    return statuses[verdict];
}

static int judge(const struct sgn_history *history)
{
    struct sgn_linear_report report;
    uint64_t from_ns = sgn_bench_now_ns();
    enum sgn_linear_verdict verdict = sgn_linear_check(history, &report);
    uint64_t ms = (sgn_bench_now_ns() - from_ns) / MS;
    (void)printf("judged in %" PRIu64 " ms: ", ms);
    (void)fflush(stdout);
    sgn_linear_print(history, &report, stdout);
    return exit_status(verdict);
}

static int check_file(const char *path)
{
    struct sgn_history history = {0};
    struct sgn_why why = {{0}};
    FILE *in = fopen(path, "re");
    if (in == NULL) {
        (void)fprintf(stderr, "kv-bench: %s: %s\n", path, strerror(errno));
        return 2;
    }
    bool good = sgn_history_read(&history, in, path, &why);
    (void)fclose(in);
    if (!good) {
        (void)fprintf(stderr, "kv-bench: %s\n", why.text);
        return 2;
    }
    int status = judge(&history);
    sgn_history_clear(&history);
    return status;
}

/* ---- What came of it ---- */

static void print_counts(struct sgn_verify *verify)
{
    uint64_t counts[4][4] = {{0}};
    struct sgn_relay_counts relay;
    for (size_t i = 0; i < verify->history.count; i++) {
        counts[verify->history.ops[i].op][verify->history.ops[i].outcome]++;
    }
    (void)printf("%-6s %10s %10s %10s %10s\n", "", "ok", "rejected", "unknown", "fail");
    for (uint32_t op = 0; op < 4; op++) {
        (void)printf("%-6s %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 "\n",
                     sgn_history_op_name((enum sgn_history_op)op),
                     counts[op][0],
                     counts[op][1],
                     counts[op][2],
                     counts[op][3]);
    }
    (void)printf("requests:");
    for (uint32_t i = 0; i < SGN_VERIFY_ERRORS_MAX; i++) {
        if (verify->errors[i] > 0) {
            (void)printf(" %s %" PRIu64, sgn_err_name(-(int)i), verify->errors[i]);
        }
    }
    (void)printf("; the longest took %" PRIu64 " ms\nfaults:", verify->longest_ns / MS);
    for (uint32_t i = 0; i < SGN_FAULT_COUNT; i++) {
        if (verify->injected[i] > 0) {
            (void)printf(" %s %" PRIu64, sgn_fault_name(i), verify->injected[i]);
        }
    }
    (void)printf("\nstrong reads explained:");
    for (uint32_t i = 0; i < SGN_VERIFY_PATHS; i++) {
        (void)printf(" %s %" PRIu64, sgn_verify_path_name(i), verify->paths[i]);
    }
    sgn_relay_count(verify->relay, &relay);
    (void)printf("\nrelay: %" PRIu64 " frames, %" PRIu64 " lost, %" PRIu64 " repeated, %" PRIu64
                 " reordered, %" PRIu64 " delayed; %" PRIu64 " connections, %" PRIu64 " reset\n",
                 relay.frames,
                 relay.lost,
                 relay.repeated,
                 relay.reordered,
                 relay.delayed,
                 relay.connections,
                 relay.resets);
}

static bool write_history(const struct sgn_history *history, const char *path)
{
    FILE *out = fopen(path, "we");
    bool good = out != NULL;
    for (size_t i = 0; good && i < history->count; i++) {
        good = sgn_history_write_line(history, &history->ops[i], out);
    }
    good = out != NULL && fclose(out) == 0 && good;
    if (!good) {
        (void)fprintf(stderr, "kv-bench: %s: %s\n", path, strerror(errno));
    }
    return good;
}

/* A run that shows nothing must not look like one that shows something. */
static bool enough(const struct sgn_history *history)
{
    uint64_t reads = 0;
    uint64_t writes = 0;
    for (size_t i = 0; i < history->count; i++) {
        bool ok = history->ops[i].outcome == SGN_HISTORY_OK;
        reads += ok && history->ops[i].op == SGN_HISTORY_GET;
        writes += ok && history->ops[i].op != SGN_HISTORY_GET;
    }
    return reads >= 100 && writes >= 100;
}

/* The faults that this ring cannot have. */
static void leave_out(struct sgn_verify_options *o, bool own_disks)
{
    if ((o->faults >> SGN_FAULT_DISKFULL & 1) != 0 && !own_disks) {
        (void)puts("no right to mount a tmpfs: diskfull is left out");
        o->faults &= ~(UINT32_C(1) << SGN_FAULT_DISKFULL);
    }
    if ((o->faults >> SGN_FAULT_WITNESS & 1) != 0 && (o->witnesses == 0 || o->embed)) {
        (void)puts("witness is left out: none is a process of its own");
        o->faults &= ~(UINT32_C(1) << SGN_FAULT_WITNESS);
    }
    if ((o->faults >> SGN_FAULT_WIPE & 1) != 0 && (o->nodes < 3 || o->kind != SGN_BUCKET_ORDERED)) {
        (void)puts("wipe is left out: it needs an ordered bucket and three nodes");
        o->faults &= ~(UINT32_C(1) << SGN_FAULT_WIPE);
    }
}

static int run(struct sgn_verify *verify)
{
    struct sgn_verify_options *o = &verify->options;
    struct sgn_why why = {{0}};
    bool good = sgn_verify_ring(verify, &why);
    if (good) {
        leave_out(o, verify->procs.own_disks);
        (void)printf("%u nodes, %u witnesses%s, %u workers on %u keys for %u s, seed %" PRIu64
                     ", in %s\n",
                     o->nodes,
                     o->witnesses,
                     o->embed ? " inside them" : "",
                     o->workers,
                     o->keys,
                     o->duration_s,
                     o->seed,
                     verify->procs.dir);
        (void)fflush(stdout);
        good = sgn_verify_work(verify, &why);
        print_counts(verify);
    }
    int status = verify->history.count > 0 ? judge(&verify->history) : 1;
    bool fleet = o->witnesses > 0 && o->kind == SGN_BUCKET_ORDERED && o->read == SGN_READ_STRONG;
    if (good && fleet && verify->paths[SGN_VERIFY_PATH_FAST] == 0) {
        sgn_why_set(&why, "no strong read was served by way of the witnesses");
        good = false;
    }
    if (good && status == 0 && !enough(&verify->history)) {
        sgn_why_set(&why, "too few operations succeeded to show anything");
        good = false;
    }
    if (!good) {
        (void)fprintf(stderr, "kv-bench: %s\n", why.text);
        status = 1;
    }
    if (o->history != NULL && !write_history(&verify->history, o->history)) {
        status = status == 0 ? 2 : status;
    }
    sgn_relay_close(verify->relay);
    if (status != 0 && verify->procs.dir[0] != '\0') {
        (void)printf("kept: %s\n", verify->procs.dir);
    }
    sgn_procs_close(&verify->procs, status == 0);
    return status;
}

int sgn_verify_main(int argc, char **argv)
{
    static struct sgn_verify verify;
    struct sgn_verify_options *o = &verify.options;
    *o = (struct sgn_verify_options){.duration_s = 60,
                                     .nodes = 3,
                                     .witnesses = 3,
                                     .workers = 8,
                                     .keys = 6,
                                     .rotate_s = 10,
                                     .pause_us = 1000,
                                     .kind = SGN_BUCKET_ORDERED,
                                     .read = SGN_READ_STRONG,
                                     .seed = sgn_bench_now_ns()};
    atomic_store(&verify.value_next, 1);
    for (int id = 0; (id = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (id == OPT_HELP) {
            (void)fputs(help, stdout);
            return 0;
        }
        if (id == '?' || !set_option(o, id, optarg)) {
            if (id != '?') { /* Of an unknown one getopt has said it. */
                (void)fprintf(stderr, "kv-bench: not a value for that option: %s\n", optarg);
            }
            (void)fputs("kv-bench verify --help tells how to use it\n", stderr);
            return 2;
        }
    }
    if (optind < argc) {
        (void)fprintf(stderr, "kv-bench: verify takes no words, so not \"%s\"\n", argv[optind]);
        return 2;
    }
    if (o->embed && o->witnesses > o->nodes) {
        (void)fputs("kv-bench: --embed needs a node for each of the --witnesses\n", stderr);
        return 2;
    }
    int status = o->check != NULL ? check_file(o->check) : run(&verify);
    sgn_history_clear(&verify.history);
    return status;
}
