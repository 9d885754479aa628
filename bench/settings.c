#include "bench/settings.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring/core/bucket.h"
#include "ring/core/msg.h"

const char sgn_bench_help[] =
    "kv-bench - load on a Signet ring, beside what it is judged by\n"
    "\n"
    "  kv-bench run --seeds ADDRESS,... [--kind ordered|available] [--workload a..f|w]\n"
    "           [--read eventual|session|strong] [--connections 1,16,64] [--seconds 5]\n"
    "           [--keys 20000] [--value-bytes 100] [--read-copies R] [--write-copies W]\n"
    "           [--bucket NAME] [--spread zipf|uniform] [--pids PID,...] [--no-fill]\n"
    "           [--rounds 5] [--against-echo | --against-sync --dir DIR |\n"
    "           --against-callers --dir DIR | --against-read MODE | --against-kind KIND |\n"
    "           --against-ring ADDRESS,... [--against-pids PID,...]]\n"
    "  kv-bench race | increment | failover   (each with --help)\n"
    "  kv-bench echo [--connections 64] [--request-bytes N] [--reply-bytes N] [--seconds 5]\n"
    "  kv-bench sync-probe --dir DIR [--group 64] [--record-bytes 128] [--seconds 5]\n"
    "  kv-bench verify --help\n"
    "  kv-bench witness [--program PATH/signet-witness] ...   (kv-bench witness --help)\n"
    "\n"
    "run writes the keys once, then runs the workload in a closed loop: each connection has one\n"
    "request under way. The bucket is bench-ordered or bench-available unless it is named; it is\n"
    "made if it is not there. Session and strong reads take the kind ordered, all else available\n"
    "unless told. --pids names the server processes, nodes and witnesses, whose processor time is\n"
    "counted (kv-cli local status prints them).\n"
    "--against-... runs something else in turn with the workload, and prints ratios: a bare\n"
    "libevent echo of the same bytes; one writer that syncs groups of the same size; the same\n"
    "with other reads; the same on a bucket of the other kind; the same on another ring, one\n"
    "without witnesses for one.\n"
    "Ratios of neighbouring windows hold on a noisy machine; absolute figures do not.\n";

int sgn_bench_usage(const char *problem, const char *what)
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
    OPT_KIND,
    OPT_AGAINST_READ,
    OPT_AGAINST_KIND,
    OPT_AGAINST_RING,
    OPT_AGAINST_PIDS,
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
    {"kind", required_argument, NULL, OPT_KIND},
    {"against-read", required_argument, NULL, OPT_AGAINST_READ},
    {"against-kind", required_argument, NULL, OPT_AGAINST_KIND},
    {"against-ring", required_argument, NULL, OPT_AGAINST_RING},
    {"against-pids", required_argument, NULL, OPT_AGAINST_PIDS},
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

static bool kind_of(const char *text, uint32_t *kind)
{
    *kind = strcmp(text, "ordered") == 0 ? SGN_BUCKET_ORDERED : SGN_BUCKET_AVAILABLE;
    return strcmp(text, "ordered") == 0 || strcmp(text, "available") == 0;
}

static bool pid_list(const char *text, struct sgn_pids *pids)
{
    uint32_t list[SGN_LOAD_PIDS_MAX];
    if (!number_list(text, list, SGN_LOAD_PIDS_MAX, &pids->count)) {
        return false;
    }
    for (uint32_t i = 0; i < pids->count; i++) {
        pids->list[i] = (int)list[i];
    }
    return true;
}

static bool set_number(uint32_t *out, const char *text, uint32_t most)
{
    uint32_t count = 0;
    return number_list(text, out, 1, &count) && *out <= most;
}

/* What runs in turn with the workload; one such thing at a time. */
static bool set_against(struct sgn_settings *s, int id, char *text)
{
    if (id == OPT_AGAINST_PIDS) {
        return pid_list(text, &s->other_pids);
    }
    if (s->against != SGN_AGAINST_NONE) {
        return false;
    }
    switch (id) {
    case OPT_ECHO: s->against = SGN_AGAINST_ECHO; return true;
    case OPT_SYNC: s->against = SGN_AGAINST_SYNC; return true;
    case OPT_CALLERS: s->against = SGN_AGAINST_CALLERS; return true;
    case OPT_AGAINST_READ: s->against = SGN_AGAINST_READ; return read_mode(text, &s->other_read);
    case OPT_AGAINST_KIND: s->against = SGN_AGAINST_KIND; return kind_of(text, &s->other_kind);
    case OPT_AGAINST_RING:
        s->against = SGN_AGAINST_RING;
        s->other_seeds = text;
        return true;
    default: return false;
    }
}

static bool set_option(struct sgn_settings *s, int id, char *text)
{
    struct sgn_load_target *target = &s->load.target;
    uint32_t keys = 0;
    switch (id) {
    case OPT_SEEDS: s->load.seeds = text; return true;
    case OPT_BUCKET: target->bucket = text; return true;
    case OPT_DIR: s->directory = text; return true;
    case OPT_WORKLOAD:
        s->load.workload = text[0];
        return text[0] != '\0' && text[1] == '\0' && strchr("abcdefw", text[0]) != NULL;
    case OPT_KIND: return kind_of(text, &target->kind);
    case OPT_READ: return read_mode(text, &target->read_mode);
    case OPT_CONNECTIONS: return number_list(text, s->connections, 8, &s->connection_count);
    case OPT_SECONDS: return set_number(&s->load.seconds, text, 3600);
    case OPT_KEYS:
        if (!set_number(&keys, text, 100000000) || keys < 2) {
            return false;
        }
        s->load.keys = keys;
        return true;
    case OPT_VALUE: return set_number(&s->load.value_bytes, text, SGN_VALUE_BYTES_MAX);
    case OPT_READ_COPIES: return set_number(&target->read_copies, text, SGN_REPLICAS_MAX);
    case OPT_WRITE_COPIES: return set_number(&target->write_copies, text, SGN_REPLICAS_MAX);
    case OPT_SPREAD:
        s->load.spread = strcmp(text, "uniform") == 0 ? SGN_SPREAD_UNIFORM : SGN_SPREAD_ZIPF;
        return strcmp(text, "uniform") == 0 || strcmp(text, "zipf") == 0;
    case OPT_PIDS: return pid_list(text, &s->pids);
    case OPT_NO_FILL: s->no_fill = true; return true;
    case OPT_ROUNDS: return set_number(&s->rounds, text, SGN_ROUNDS_MAX);
    case OPT_REQUEST: return set_number(&s->request_bytes, text, 1u << 20);
    case OPT_REPLY: return set_number(&s->reply_bytes, text, 1u << 20);
    case OPT_GROUP: return set_number(&s->group, text, 65536);
    default: return set_against(s, id, text);
    }
}

/* The kind, where it was not told. */
static int settle_kind(struct sgn_settings *s)
{
    struct sgn_load_target *target = &s->load.target;
    bool strong = target->read_mode != SGN_READ_EVENTUAL ||
                  (s->against == SGN_AGAINST_READ && s->other_read != SGN_READ_EVENTUAL);
    if (target->kind == 0) {
        target->kind =
            strong || s->against == SGN_AGAINST_READ ? SGN_BUCKET_ORDERED : SGN_BUCKET_AVAILABLE;
    }
    if (strong && target->kind != SGN_BUCKET_ORDERED) {
        return sgn_bench_usage("strong and session reads need --kind ordered", "");
    }
    if (s->against == SGN_AGAINST_KIND && s->other_kind == target->kind) {
        return sgn_bench_usage("--against-kind takes the other kind", "");
    }
    return -1;
}

int sgn_settings_take(struct sgn_settings *s, int argc, char **argv)
{
    *s = (struct sgn_settings){
        .load = {.workload = 'c', .seconds = 5, .keys = 20000, .value_bytes = 100, .seed = 1},
        .connections = {1, 16, 64},
        .connection_count = 3,
        .rounds = 5,
        .request_bytes = 64,
        .reply_bytes = 200,
        .group = 64};
    for (int id = 0; (id = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (id == OPT_HELP) {
            (void)fputs(sgn_bench_help, stdout);
            return 0;
        }
        if (id == '?') {
            return 2; /* getopt has said what. */
        }
        if (!set_option(s, id, optarg)) {
            return sgn_bench_usage("not a value for that option, or one --against too many: ",
                                   optarg == NULL ? "" : optarg);
        }
    }
    for (uint32_t i = 0; i < s->connection_count; i++) {
        if (s->connections[i] > SGN_LOAD_CALLERS_MAX) {
            return sgn_bench_usage("--connections takes numbers from 1 to 256", "");
        }
    }
    return settle_kind(s);
}
