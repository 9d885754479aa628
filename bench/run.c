/* kv-bench run: windows of a workload, or pairs of windows of it and of what it is judged by. */
#include <stdio.h>
#include <string.h>

#include "bench/echo.h"
#include "bench/probe.h"
#include "bench/settings.h"
#include "ring/core/bucket.h"
#include "ring/core/msg.h"

/* One side of a pair: a ring, what is asked of it, and whose time it takes. */
struct side {
    char name[24];
    struct sgn_load *load;
    struct sgn_load_target target;
    const struct sgn_pids *pids;
    struct sgn_load_result result;
};

static const char *const read_names[] = {"eventual", "session", "strong"};

static const char *kind_name(uint32_t kind)
{
    return kind == SGN_BUCKET_ORDERED ? "ordered" : "available";
}

static const char *default_bucket(uint32_t kind)
{
    return kind == SGN_BUCKET_ORDERED ? "bench-ordered" : "bench-available";
}

static bool told(enum sgn_err err, const struct sgn_why *why)
{
    if (err != SGN_OK) {
        (void)fprintf(stderr, "kv-bench: %s: %s\n", sgn_err_name(err), why->text);
    }
    return err == SGN_OK;
}

static bool window(struct side *side, uint32_t connections)
{
    struct sgn_why why = {{0}};
    sgn_load_aim(side->load, &side->target);
    enum sgn_err err = sgn_load_run(
        side->load, connections, side->pids->list, side->pids->count, &side->result, &why);
    if (told(err, &why)) {
        sgn_table_row(side->name, connections, &side->result, side->pids->count > 0);
    }
    return err == SGN_OK;
}

/* Two loads in turn, the first of a pair changing: what a window leaves behind (dirty pages, a
 * compaction) falls on both. */
static int run_pairs(const struct sgn_settings *s, struct side *sides, uint32_t connections)
{
    static struct sgn_table_pairs pairs;
    pairs.count = 0;
    for (uint32_t round = 0; round < s->rounds; round++) {
        struct side *first = &sides[round % 2];
        struct side *second = &sides[1 - round % 2];
        if (!window(first, connections) || !window(second, connections)) {
            return 1;
        }
        sgn_table_pair(&pairs, &sides[0].result, &sides[1].result);
    }
    sgn_table_pairs(
        &pairs, sides[0].name, sides[1].name, sides[0].pids->count > 0 && sides[1].pids->count > 0);
    return 0;
}

static int run_echo(const struct sgn_settings *s, struct side *ring, uint32_t connections)
{
    static struct sgn_load_result floor_result;
    struct sgn_why why = {{0}};
    double ratios[SGN_ROUNDS_MAX];
    for (uint32_t round = 0; round < s->rounds; round++) {
        if (!window(ring, connections)) {
            return 1;
        }
        struct sgn_echo_options echo = {
            connections, s->load.seconds, ring->result.request_bytes, ring->result.reply_bytes};
        if (!sgn_echo_run(&echo, &floor_result, &why)) {
            (void)fprintf(stderr, "kv-bench: %s\n", why.text);
            return 1;
        }
        sgn_table_row("echo", connections, &floor_result, true);
        ratios[round] = sgn_table_cpu(&ring->result) / sgn_table_cpu(&floor_result);
    }
    sgn_table_ratio("server CPU per op, ring / echo", ratios, s->rounds);
    return 0;
}

static int run_sync(const struct sgn_settings *s, struct side *ring, uint32_t connections)
{
    struct sgn_why why = {{0}};
    double ratios[SGN_ROUNDS_MAX];
    bool callers = s->against == SGN_AGAINST_CALLERS;
    for (uint32_t round = 0; round < s->rounds; round++) {
        if (!window(ring, connections)) {
            return 1;
        }
        /* What the request brought is the record that has to be made durable. */
        struct sgn_probe_options probe = {
            s->directory, s->load.seconds, connections, ring->result.request_bytes};
        struct sgn_probe_result raw;
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
        ratios[round] =
            (double)ring->result.writes.count / ring->result.seconds / raw.records_per_second;
    }
    sgn_table_ratio("puts per second, ring / raw sync", ratios, s->rounds);
    return 0;
}

/* Its bucket is there, and full. */
static bool prepare(const struct sgn_settings *s, struct side *side)
{
    struct sgn_why why = {{0}};
    sgn_load_aim(side->load, &side->target);
    enum sgn_err err = s->no_fill ? SGN_OK : sgn_load_bucket(side->load, &why);
    err = err == SGN_OK && !s->no_fill ? sgn_load_fill(side->load, &why) : err;
    return told(err, &why);
}

static void side_name(struct side *side, const char *text)
{
    (void)snprintf(side->name, sizeof(side->name), "%s", text);
}

/* Both sides of what is asked for; the second only where two loads are compared. */
static bool open_sides(const struct sgn_settings *s, struct side *sides)
{
    struct sgn_why why = {{0}};
    if (!told(sgn_load_open(&sides[0].load, &s->load, &why), &why)) {
        return false;
    }
    sides[1].load = sides[0].load;
    sides[0].pids = sides[1].pids = &s->pids;
    sides[0].target = sides[1].target = s->load.target;
    side_name(&sides[0], "ring");
    if (s->against == SGN_AGAINST_READ) {
        sides[1].target.read_mode = s->other_read;
        side_name(&sides[0], read_names[sides[0].target.read_mode]);
        side_name(&sides[1], read_names[s->other_read]);
    } else if (s->against == SGN_AGAINST_KIND) {
        sides[1].target.kind = s->other_kind;
        sides[1].target.bucket = NULL;
        side_name(&sides[0], kind_name(sides[0].target.kind));
        side_name(&sides[1], kind_name(s->other_kind));
    } else if (s->against == SGN_AGAINST_RING) {
        struct sgn_load_options other = s->load;
        other.seeds = s->other_seeds;
        sides[1].pids = &s->other_pids;
        side_name(&sides[1], "other ring");
        sides[1].load = NULL;
        if (!told(sgn_load_open(&sides[1].load, &other, &why), &why)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < 2; i++) {
        if (sides[i].target.bucket == NULL) {
            sides[i].target.bucket = default_bucket(sides[i].target.kind);
        }
    }
    return true;
}

static int run_all(const struct sgn_settings *s, struct side *sides)
{
    bool other = s->against == SGN_AGAINST_KIND || s->against == SGN_AGAINST_RING;
    if (!prepare(s, &sides[0]) || (other && !prepare(s, &sides[1]))) {
        return 1;
    }
    (void)printf("workload %c, bucket %s, %s reads, %llu keys, values of %u bytes, %s\n",
                 s->load.workload,
                 sides[0].target.bucket,
                 read_names[sides[0].target.read_mode],
                 (unsigned long long)s->load.keys,
                 s->load.value_bytes,
                 s->load.spread == SGN_SPREAD_ZIPF ? "zipf 0.99" : "uniform");
    sgn_table_head();
    int status = 0;
    for (uint32_t i = 0; status == 0 && i < s->connection_count; i++) {
        uint32_t connections = s->connections[i];
        switch (s->against) {
        case SGN_AGAINST_NONE: status = window(&sides[0], connections) ? 0 : 1; break;
        case SGN_AGAINST_ECHO: status = run_echo(s, &sides[0], connections); break;
        case SGN_AGAINST_SYNC:
        case SGN_AGAINST_CALLERS: status = run_sync(s, &sides[0], connections); break;
        case SGN_AGAINST_READ:
        case SGN_AGAINST_KIND:
        case SGN_AGAINST_RING: status = run_pairs(s, sides, connections); break;
        }
    }
    return status;
}

int sgn_bench_run(struct sgn_settings *s)
{
    bool sync = s->against == SGN_AGAINST_SYNC || s->against == SGN_AGAINST_CALLERS;
    if (s->load.seeds == NULL) {
        return sgn_bench_usage("run needs --seeds", "");
    }
    if (sync && s->directory == NULL) {
        return sgn_bench_usage("--against-sync needs --dir, a directory on the disk of the ring",
                               "");
    }
    if (s->against == SGN_AGAINST_ECHO && s->pids.count == 0) {
        return sgn_bench_usage("--against-echo needs --pids, the server processes", "");
    }
    static struct side sides[2];
    int status = open_sides(s, sides) ? run_all(s, sides) : 1;
    for (uint32_t i = 0; i < 2; i++) {
        if (sides[i].load != NULL && (i == 0 || sides[1].load != sides[0].load)) {
            sgn_load_close(sides[i].load);
        }
    }
    return status;
}
