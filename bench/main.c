/* bench/main.c - kv-bench: load on a ring, beside the floors it is judged by. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/echo.h"
#include "bench/load.h"
#include "bench/probe.h"
#include "bench/verify.h"
#include "bench/witness_load.h"
#include "ring/core/check.h"

#define ROUNDS_MAX 25u

struct settings {
    struct sgn_load_options load;
    uint32_t connections[8];
    uint32_t connection_count;
    int pids[SGN_LOAD_PIDS_MAX];
    uint32_t pid_count;
    uint32_t rounds;
    uint32_t request_bytes, reply_bytes, group;
    const char *directory; /* sync-probe, and --against-sync. */
    bool against_echo, against_sync, against_callers, no_fill;
};

_Noreturn void sgn_check_failed(const char *condition, const char *file, int line)
{
    (void)fprintf(
        stderr, "kv-bench: %s:%d: this must hold and does not: %s\n", file, line, condition);
    abort();
}

static const char help[] =
    "kv-bench - load on a Signet ring, beside the floors it is judged by\n"
    "\n"
    "  kv-bench run --seeds ADDRESS,... [--workload a..f|w] [--read eventual|session|strong]\n"
    "           [--connections 1,16,64] [--seconds 5] [--keys 20000] [--value-bytes 100]\n"
    "           [--read-copies R] [--write-copies W] [--bucket bench] [--spread zipf|uniform]\n"
    "           [--pids PID,...] [--no-fill] [--rounds 5]\n"
    "           [--against-echo | --against-sync --dir DIR]\n"
    "  kv-bench echo [--connections 64] [--request-bytes N] [--reply-bytes N] [--seconds 5]\n"
    "  kv-bench sync-probe --dir DIR [--group 64] [--record-bytes 128] [--seconds 5]\n"
    "  kv-bench verify --help\n"
    "  kv-bench witness [--program PATH/signet-witness] ...   (kv-bench witness --help)\n"
    "\n"
    "run writes the keys once, then runs the workload in a closed loop: each connection has one\n"
    "request under way. --pids names the server processes whose processor time is counted\n"
    "(kv-cli local status prints them). --against-echo runs, in turn with the workload, a bare\n"
    "libevent echo of the same bytes; --against-sync, in turn, one writer that syncs groups of\n"
    "the same size.\n"
    "Ratios of neighbouring windows hold on a noisy machine; absolute figures do not.\n";

static int usage(const char *problem, const char *what)
{
    (void)fprintf(stderr, "kv-bench: %s%s\nkv-bench --help tells how to use it\n", problem, what);
    return 2;
}

static bool number_list(const char *text, uint32_t *out, uint32_t cap, uint32_t *count)
{
    *count = 0;
    for (char *end = NULL; *text != '\0'; text = *end == ',' ? end + 1 : end) {
        unsigned long value = strtoul(text, &end, 10);
        if (end == text || (*end != ',' && *end != '\0') || *count == cap || value == 0 ||
            value > UINT32_MAX) {
            return false;
        }
        out[(*count)++] = (uint32_t)value;
    }
    return *count > 0;
}

enum option_id {
    OPT_SEEDS = 256,
    OPT_WORKLOAD,
    OPT_READ,
    OPT_CONNECTIONS,
    OPT_SECONDS,
    OPT_KEYS,
    OPT_VALUE,
    OPT_READ_COPIES,
    OPT_WRITE_COPIES,
    OPT_BUCKET,
    OPT_SPREAD,
    OPT_PIDS,
    OPT_NO_FILL,
    OPT_ROUNDS,
    OPT_ECHO,
    OPT_SYNC,
    OPT_CALLERS,
    OPT_DIR,
    OPT_REQUEST,
    OPT_REPLY,
    OPT_GROUP,
    OPT_HELP
};

static const struct option longs[] = {
    {"seeds", required_argument, NULL, OPT_SEEDS},
    {"workload", required_argument, NULL, OPT_WORKLOAD},
    {"read", required_argument, NULL, OPT_READ},
    {"connections", required_argument, NULL, OPT_CONNECTIONS},
    {"seconds", required_argument, NULL, OPT_SECONDS},
    {"keys", required_argument, NULL, OPT_KEYS},
    {"value-bytes", required_argument, NULL, OPT_VALUE},
    {"record-bytes", required_argument, NULL, OPT_VALUE},
    {"read-copies", required_argument, NULL, OPT_READ_COPIES},
    {"write-copies", required_argument, NULL, OPT_WRITE_COPIES},
    {"bucket", required_argument, NULL, OPT_BUCKET},
    {"spread", required_argument, NULL, OPT_SPREAD},
    {"pids", required_argument, NULL, OPT_PIDS},
    {"no-fill", no_argument, NULL, OPT_NO_FILL},
    {"rounds", required_argument, NULL, OPT_ROUNDS},
    {"against-echo", no_argument, NULL, OPT_ECHO},
    {"against-sync", no_argument, NULL, OPT_SYNC},
    {"against-callers", no_argument, NULL, OPT_CALLERS},
    {"dir", required_argument, NULL, OPT_DIR},
    {"request-bytes", required_argument, NULL, OPT_REQUEST},
    {"reply-bytes", required_argument, NULL, OPT_REPLY},
    {"group", required_argument, NULL, OPT_GROUP},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static bool read_mode(const char *text, uint32_t *mode)
{
    static const char *const names[] = {"eventual", "session", "strong"};
    for (uint32_t i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            *mode = i;
            return true;
        }
    }
    return false;
}

static bool set_number(uint32_t *out, const char *text, uint32_t most)
{
    uint32_t count = 0;
    return number_list(text, out, 1, &count) && *out <= most;
}

static bool set_option(struct settings *s, int id, char *text)
{
    uint32_t keys = 0;
    uint32_t pids[SGN_LOAD_PIDS_MAX];
    switch (id) {
    case OPT_SEEDS: s->load.seeds = text; return true;
    case OPT_BUCKET: s->load.bucket = text; return true;
    case OPT_DIR: s->directory = text; return true;
    case OPT_WORKLOAD:
        s->load.workload = text[0];
        return text[0] != '\0' && text[1] == '\0' && strchr("abcdefw", text[0]) != NULL;
    case OPT_READ: return read_mode(text, &s->load.read_mode);
    case OPT_CONNECTIONS: return number_list(text, s->connections, 8, &s->connection_count);
    case OPT_SECONDS: return set_number(&s->load.seconds, text, 3600);
    case OPT_KEYS:
        if (!set_number(&keys, text, 100000000) || keys < 2) {
            return false;
        }
        s->load.keys = keys;
        return true;
    case OPT_VALUE: return set_number(&s->load.value_bytes, text, SGN_VALUE_BYTES_MAX);
    case OPT_READ_COPIES: return set_number(&s->load.read_copies, text, SGN_REPLICAS_MAX);
    case OPT_WRITE_COPIES: return set_number(&s->load.write_copies, text, SGN_REPLICAS_MAX);
    case OPT_SPREAD:
        s->load.spread = strcmp(text, "uniform") == 0 ? SGN_SPREAD_UNIFORM : SGN_SPREAD_ZIPF;
        return strcmp(text, "uniform") == 0 || strcmp(text, "zipf") == 0;
    case OPT_PIDS:
        if (!number_list(text, pids, SGN_LOAD_PIDS_MAX, &s->pid_count)) {
            return false;
        }
        for (uint32_t i = 0; i < s->pid_count; i++) {
            s->pids[i] = (int)pids[i];
        }
        return true;
    case OPT_NO_FILL: s->no_fill = true; return true;
    case OPT_ROUNDS: return set_number(&s->rounds, text, ROUNDS_MAX);
    case OPT_ECHO: s->against_echo = true; return true;
    case OPT_SYNC: s->against_sync = true; return true;
    case OPT_CALLERS:
        s->against_sync = true;
        s->against_callers = true;
        return true;
    case OPT_REQUEST: return set_number(&s->request_bytes, text, 1u << 20);
    case OPT_REPLY: return set_number(&s->reply_bytes, text, 1u << 20);
    case OPT_GROUP: return set_number(&s->group, text, 65536);
    default: return false;
    }
}

static double us(uint64_t ns)
{
    return (double)ns / 1000.0;
}

static void print_row(const char *what,
                      uint32_t connections,
                      const struct sgn_load_result *r,
                      bool with_cpu)
{
    struct sgn_hist all = r->reads;
    sgn_hist_merge(&all, &r->writes);
    (void)printf("%-10s %5u %10.0f %9.1f %9.1f %9.1f",
                 what,
                 connections,
                 (double)all.count / r->seconds,
                 us(sgn_hist_at(&all, 500)),
                 us(sgn_hist_at(&all, 990)),
                 us(sgn_hist_at(&all, 999)));
    if (with_cpu && all.count > 0) {
        (void)printf(" %12.2f", (double)r->server_cpu_ns / 1000.0 / (double)all.count);
    } else {
        (void)printf(" %12s", "-");
    }
    (void)printf(" %7llu\n", (unsigned long long)r->errors);
    if (r->errors > 0 && r->first_error[0] != '\0') {
        (void)printf("           first error: %s\n", r->first_error);
    }
    (void)fflush(stdout);
}

static void print_head(void)
{
    (void)printf("%-10s %5s %10s %9s %9s %9s %12s %7s\n",
                 "what",
                 "conns",
                 "ops/s",
                 "p50 us",
                 "p99 us",
                 "p99.9 us",
                 "CPU us/op",
                 "errors");
}

static double cpu_per_op(const struct sgn_load_result *r)
{
    uint64_t count = r->reads.count + r->writes.count;
    return count == 0 ? 0 : (double)r->server_cpu_ns / (double)count;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_ratio(const char *what, double *ratios, uint32_t count)
{
    qsort(ratios, count, sizeof(ratios[0]), by_value);
    (void)printf("%s: median %.2f (least %.2f, most %.2f, %u rounds)\n",
                 what,
                 ratios[count / 2],
                 ratios[0],
                 ratios[count - 1],
                 count);
}

/* The workload and its floor in turn; the ratio of each pair of windows. */
static int run_against(const struct settings *s, struct sgn_load *load, uint32_t connections)
{
    static struct sgn_load_result ring;
    static struct sgn_load_result floor_result;
    struct sgn_why why = {{0}};
    double ratios[ROUNDS_MAX];
    for (uint32_t round = 0; round < s->rounds; round++) {
        if (sgn_load_run(load, connections, s->pids, s->pid_count, &ring, &why) != SGN_OK) {
            (void)fprintf(stderr, "kv-bench: %s\n", why.text);
            return 1;
        }
        print_row("ring", connections, &ring, s->pid_count > 0);
        if (s->against_echo) {
            struct sgn_echo_options echo = {
                connections, s->load.seconds, ring.request_bytes, ring.reply_bytes};
            if (!sgn_echo_run(&echo, &floor_result, &why)) {
                (void)fprintf(stderr, "kv-bench: %s\n", why.text);
                return 1;
            }
            print_row("echo", connections, &floor_result, true);
            ratios[round] = cpu_per_op(&ring) / cpu_per_op(&floor_result);
        } else {
            /* What the request brought is the record that has to be made durable. */
            struct sgn_probe_options probe = {
                s->directory, s->load.seconds, connections, ring.request_bytes};
            struct sgn_probe_result raw;
            bool callers = s->against_callers;
            if (!(callers ? sgn_probe_callers : sgn_probe_run)(&probe, &raw, &why)) {
                (void)fprintf(stderr, "kv-bench: %s\n", why.text);
                return 1;
            }
            (void)printf("%-10s %5u %10.0f records of %u bytes per s, %.0f syncs/s\n",
                         callers ? "callers" : "raw sync",
                         connections,
                         raw.records_per_second,
                         probe.record_bytes,
                         raw.syncs_per_second);
            ratios[round] = (double)ring.writes.count / ring.seconds / raw.records_per_second;
        }
    }
    print_ratio(s->against_echo ? "server CPU per op, ring / echo"
                                : "puts per second, ring / raw sync",
                ratios,
                s->rounds);
    return 0;
}

static int command_run(struct settings *s)
{
    if (s->load.seeds == NULL) {
        return usage("run needs --seeds", "");
    }
    if (s->against_sync && s->directory == NULL) {
        return usage("--against-sync needs --dir, a directory on the disk of the ring", "");
    }
    if (s->against_echo && s->pid_count == 0) {
        return usage("--against-echo needs --pids, the server processes", "");
    }
    struct sgn_load *load = NULL;
    struct sgn_why why = {{0}};
    enum sgn_err err = sgn_load_open(&load, &s->load, &why);
    if (err == SGN_OK && !s->no_fill) {
        err = sgn_load_bucket(load, 0, 0, 0, &why);
        err = err == SGN_OK ? sgn_load_fill(load, &why) : err;
    }
    int status = err == SGN_OK ? 0 : 1;
    static struct sgn_load_result result;
    if (err == SGN_OK) {
        (void)printf("workload %c, %llu keys, values of %u bytes, %s\n",
                     s->load.workload,
                     (unsigned long long)s->load.keys,
                     s->load.value_bytes,
                     s->load.spread == SGN_SPREAD_ZIPF ? "zipf 0.99" : "uniform");
        print_head();
    }
    for (uint32_t i = 0; status == 0 && i < s->connection_count; i++) {
        if (s->against_echo || s->against_sync) {
            status = run_against(s, load, s->connections[i]);
            continue;
        }
        err = sgn_load_run(load, s->connections[i], s->pids, s->pid_count, &result, &why);
        if (err == SGN_OK) {
            print_row("ring", s->connections[i], &result, s->pid_count > 0);
        }
        status = err == SGN_OK ? 0 : 1;
    }
    if (err != SGN_OK) {
        (void)fprintf(stderr, "kv-bench: %s: %s\n", sgn_err_name(err), why.text);
    }
    if (load != NULL) {
        sgn_load_close(load);
    }
    return status;
}

static int command_echo(const struct settings *s)
{
    static struct sgn_load_result result;
    struct sgn_why why = {{0}};
    print_head();
    for (uint32_t i = 0; i < s->connection_count; i++) {
        struct sgn_echo_options options = {
            s->connections[i], s->load.seconds, s->request_bytes, s->reply_bytes};
        if (!sgn_echo_run(&options, &result, &why)) {
            (void)fprintf(stderr, "kv-bench: %s\n", why.text);
            return 1;
        }
        print_row("echo", s->connections[i], &result, true);
    }
    return 0;
}

static int command_probe(const struct settings *s)
{
    if (s->directory == NULL) {
        return usage("sync-probe needs --dir, a directory on the disk to measure", "");
    }
    struct sgn_probe_options options = {
        s->directory, s->load.seconds, s->group, s->load.value_bytes};
    struct sgn_probe_result result;
    struct sgn_why why = {{0}};
    if (!sgn_probe_run(&options, &result, &why)) {
        (void)fprintf(stderr, "kv-bench: %s\n", why.text);
        return 1;
    }
    (void)printf("%u records of %u bytes a sync: %.0f records/s, %.0f syncs/s\n",
                 s->group,
                 s->load.value_bytes,
                 result.records_per_second,
                 result.syncs_per_second);
    return 0;
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc > 1 && strcmp(argv[1], "verify") == 0) {
        return sgn_verify_main(argc - 1, argv + 1);
    }
    if (argc > 1 && strcmp(argv[1], "witness") == 0) {
        return sgn_witness_load_main(argc - 1, argv + 1);
    }
    struct settings s = {.load = {.bucket = "bench",
                                  .workload = 'c',
                                  .seconds = 5,
                                  .keys = 20000,
                                  .value_bytes = 100,
                                  .seed = 1},
                         .connections = {1, 16, 64},
                         .connection_count = 3,
                         .rounds = 5,
                         .request_bytes = 64,
                         .reply_bytes = 200,
                         .group = 64};
    for (int id = 0; (id = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (id == OPT_HELP) {
            (void)fputs(help, stdout);
            return 0;
        }
        if (id == '?') {
            return 2; /* getopt has said what. */
        }
        if (!set_option(&s, id, optarg)) {
            return usage("not a value for that option: ", optarg == NULL ? "" : optarg);
        }
    }
    for (uint32_t i = 0; i < s.connection_count; i++) {
        if (s.connections[i] > SGN_LOAD_CALLERS_MAX) {
            return usage("--connections takes numbers from 1 to 256", "");
        }
    }
    const char *command = optind < argc ? argv[optind] : "";
    if (strcmp(command, "run") == 0) {
        return command_run(&s);
    }
    if (strcmp(command, "echo") == 0) {
        return command_echo(&s);
    }
    if (strcmp(command, "sync-probe") == 0) {
        return command_probe(&s);
    }
    return usage(command[0] == '\0' ? "which command? run, echo, sync-probe or witness"
                                    : "no such command: ",
                 command);
}
