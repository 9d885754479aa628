/* bench/main.c - kv-bench: load on a ring, beside what it is judged by. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/contend.h"
#include "bench/echo.h"
#include "bench/failover.h"
#include "bench/probe.h"
#include "bench/settings.h"
#include "bench/verify.h"
#include "bench/witness_load.h"
#include "ring/core/check.h"

_Noreturn void sgn_check_failed(const char *condition, const char *file, int line)
{
    (void)fprintf(
        stderr, "kv-bench: %s:%d: this must hold and does not: %s\n", file, line, condition);
    abort();
}

static int command_echo(const struct sgn_settings *s)
{
    static struct sgn_load_result result;
    struct sgn_why why = {{0}};
    sgn_table_head();
    for (uint32_t i = 0; i < s->connection_count; i++) {
        struct sgn_echo_options options = {
            s->connections[i], s->load.seconds, s->request_bytes, s->reply_bytes};
        if (!sgn_echo_run(&options, &result, &why)) {
            (void)fprintf(stderr, "kv-bench: %s\n", why.text);
            return 1;
        }
        sgn_table_row("echo", s->connections[i], &result, true);
    }
    return 0;
}

static int command_probe(const struct sgn_settings *s)
{
    if (s->directory == NULL) {
        return sgn_bench_usage("sync-probe needs --dir, a directory on the disk to measure", "");
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
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } others[] = {{"verify", sgn_verify_main},
                  {"witness", sgn_witness_load_main},
                  {"race", sgn_race_main},
                  {"increment", sgn_increment_main},
                  {"failover", sgn_failover_main}};
    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; argc > 1 && i < sizeof(others) / sizeof(others[0]); i++) {
        if (strcmp(argv[1], others[i].name) == 0) {
            return others[i].run(argc - 1, argv + 1);
        }
    }
    struct sgn_settings s;
    int status = sgn_settings_take(&s, argc, argv);
    if (status >= 0) {
        return status;
    }
    const char *command = optind < argc ? argv[optind] : "";
    if (strcmp(command, "run") == 0) {
        return sgn_bench_run(&s);
    }
    if (strcmp(command, "echo") == 0) {
        return command_echo(&s);
    }
    if (strcmp(command, "sync-probe") == 0) {
        return command_probe(&s);
    }
    return sgn_bench_usage(command[0] == '\0' ? "which command? kv-bench --help names them"
                                              : "no such command: ",
                           command);
}
