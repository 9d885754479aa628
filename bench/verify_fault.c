/* The faults of verify: what, to whom, for how long. At most two at a time, so that the ring still
 * answers now and then: a history of refusals shows nothing. */
#include <poll.h>
#include <stdio.h>

#include "bench/cpu.h"
#include "bench/verify.h"
#include "ring/core/check.h"

#define MS         UINT64_C(1000000)
#define TICK_MS    10
#define ACTIVE_MAX 2u

static const char *const names[] = {"kill",
                                    "pause",
                                    "cut",
                                    "oneway",
                                    "delay",
                                    "loss",
                                    "duplicate",
                                    "reorder",
                                    "diskfull",
                                    "witness",
                                    "wipe"};
_Static_assert(sizeof(names) / sizeof(names[0]) == SGN_FAULT_COUNT, "each has a name");

const char *sgn_fault_name(uint32_t fault)
{
    return fault < SGN_FAULT_COUNT ? names[fault] : NULL;
}

struct active {
    enum sgn_fault fault;
    uint64_t until_ns; /* 0: not active. */
    uint32_t victims;  /* Bit per process number. */
    uint32_t others;   /* cut, oneway: from whom. Bit 0: the clients. */
    uint32_t from;     /* delay, loss, duplicate, reorder: the links from these to `others`. */
    bool outward;      /* oneway: what the victim says is lost, not what it is told. */
    struct sgn_relay_rule rule;
};

struct nemesis {
    struct sgn_verify *verify;
    struct sgn_verify_mend mend;
    struct sgn_prng prng;
    struct active active[ACTIVE_MAX];
    uint64_t next_ns;
};

static uint32_t ends(const struct nemesis *nemesis)
{
    return nemesis->verify->procs.node_count + nemesis->verify->procs.witness_count + 1;
}

static uint64_t between(struct nemesis *nemesis, uint64_t least, uint64_t most)
{
    return least + sgn_prng_below(&nemesis->prng, most - least + 1);
}

/* ---- The network: all rules anew from the faults that are active ---- */

static void add_rule(struct sgn_relay_rule *rule, const struct sgn_relay_rule *more)
{
    rule->mode = more->mode > rule->mode ? more->mode : rule->mode;
    rule->delay_us_min += more->delay_us_min;
    rule->delay_us_max += more->delay_us_max;
    rule->loss_per_mille += more->loss_per_mille;
    rule->repeat_per_mille += more->repeat_per_mille;
    rule->reorder_per_mille += more->reorder_per_mille;
    rule->late_us = more->late_us > rule->late_us ? more->late_us : rule->late_us;
}

static bool applies(const struct active *active, uint32_t from, uint32_t to)
{
    bool client = from == 0 || to == 0;
    bool link = (active->from >> from & 1) != 0 && (active->others >> to & 1) != 0;
    bool out = (active->victims >> from & 1) != 0 && (active->others >> to & 1) != 0;
    bool in = (active->victims >> to & 1) != 0 && (active->others >> from & 1) != 0;
    switch (active->fault) {
    case SGN_FAULT_CUT: return out || in;
    case SGN_FAULT_ONEWAY: return active->outward ? out : in;
    case SGN_FAULT_LOSS: return link && !client; /* A client's loss is only its own time-out. */
    case SGN_FAULT_DELAY:
    case SGN_FAULT_DUPLICATE:
    case SGN_FAULT_REORDER: return link;
    case SGN_FAULT_KILL:
    case SGN_FAULT_PAUSE:
    case SGN_FAULT_DISKFULL:
    case SGN_FAULT_WITNESS:
    case SGN_FAULT_WIPE:
    case SGN_FAULT_COUNT: break;
    }
    return false;
}

static void apply_rules(struct nemesis *nemesis)
{
    for (uint32_t from = 0; from < ends(nemesis); from++) {
        for (uint32_t to = 0; to < ends(nemesis); to++) {
            struct sgn_relay_rule rule = {0};
            for (uint32_t i = 0; i < ACTIVE_MAX; i++) {
                const struct active *active = &nemesis->active[i];
                if (active->until_ns != 0 && applies(active, from, to)) {
                    add_rule(&rule, &active->rule);
                }
            }
            sgn_relay_set(nemesis->verify->relay, from, to, &rule);
        }
    }
}

/* ---- Beginning and ending one ---- */

/* A node that no other fault has a hold of; 0: none. */
static uint32_t pick_node(struct nemesis *nemesis)
{
    uint32_t held = 0;
    for (uint32_t i = 0; i < ACTIVE_MAX; i++) {
        held |= nemesis->active[i].until_ns != 0 ? nemesis->active[i].victims : 0;
    }
    uint32_t node = (uint32_t)between(nemesis, 1, nemesis->verify->procs.node_count);
    return (held >> node & 1) != 0 ? 0 : node;
}

/* All links alike, or some ends slow and others quick, which is what tells orders apart. */
static void choose_links(struct nemesis *nemesis, struct active *active)
{
    uint64_t all = (UINT64_C(1) << ends(nemesis)) - 1;
    bool some = sgn_prng_chance(&nemesis->prng, 600);
    active->from = (uint32_t)(some ? between(nemesis, 1, all) : all);
    active->others = (uint32_t)(some ? between(nemesis, 1, all) : all);
}

static void choose_net(struct nemesis *nemesis, struct active *active)
{
    struct sgn_relay_rule *rule = &active->rule;
    choose_links(nemesis, active); /* For cut and oneway chosen anew below. */
    switch (active->fault) {
    case SGN_FAULT_CUT:
    case SGN_FAULT_ONEWAY:
        rule->mode = active->fault == SGN_FAULT_CUT && sgn_prng_chance(&nemesis->prng, 500)
                         ? SGN_RELAY_RESET
                         : SGN_RELAY_STALL;
        active->outward = sgn_prng_chance(&nemesis->prng, 500);
        active->others = (uint32_t)between(nemesis, 1, (UINT64_C(1) << ends(nemesis)) - 1);
        if (sgn_prng_chance(&nemesis->prng, 500)) {
            active->others |= (UINT32_C(1) << ends(nemesis)) - 2; /* All members. */
        }
        break;
    case SGN_FAULT_DELAY:
        rule->delay_us_max = (uint32_t)between(nemesis, 1, 60) * 1000;
        rule->delay_us_min = (uint32_t)between(nemesis, 0, rule->delay_us_max);
        break;
    case SGN_FAULT_LOSS: rule->loss_per_mille = (uint32_t)between(nemesis, 5, 100); break;
    case SGN_FAULT_DUPLICATE:
        rule->repeat_per_mille = (uint32_t)between(nemesis, 20, 300);
        rule->late_us = (uint32_t)between(nemesis, 1, 1000) * 1000;
        break;
    case SGN_FAULT_REORDER:
        rule->reorder_per_mille = (uint32_t)between(nemesis, 20, 200);
        rule->late_us = (uint32_t)between(nemesis, 1, 100) * 1000;
        break;
    case SGN_FAULT_KILL:
    case SGN_FAULT_PAUSE:
    case SGN_FAULT_DISKFULL:
    case SGN_FAULT_WITNESS:
    case SGN_FAULT_WIPE:
    case SGN_FAULT_COUNT: break;
    }
}

/* Chooses whom it hits. False: nobody can be hit now. */
static bool choose_victims(struct nemesis *nemesis, struct active *active)
{
    const struct sgn_procs *procs = &nemesis->verify->procs;
    uint32_t node = 0;
    bool all = sgn_prng_chance(&nemesis->prng, 150);
    switch (active->fault) {
    case SGN_FAULT_WITNESS:
        active->victims = UINT32_C(1)
                          << between(nemesis, 1, procs->witness_count) << procs->node_count;
        if (sgn_prng_chance(&nemesis->prng, 250)) {
            active->victims = ((UINT32_C(1) << procs->witness_count) - 1)
                              << (procs->node_count + 1);
        }
        return true;
    case SGN_FAULT_KILL:
        node = pick_node(nemesis);
        active->victims = all ? (UINT32_C(2) << procs->node_count) - 2 : UINT32_C(1) << node;
        return node != 0;
    case SGN_FAULT_WIPE:
        if (!sgn_verify_mended(&nemesis->mend)) {
            return false;
        }
        /* fall through */
    case SGN_FAULT_PAUSE:
    case SGN_FAULT_CUT:
    case SGN_FAULT_ONEWAY:
    case SGN_FAULT_DISKFULL:
        node = pick_node(nemesis);
        active->victims = UINT32_C(1) << node;
        return node != 0;
    case SGN_FAULT_DELAY:
    case SGN_FAULT_LOSS:
    case SGN_FAULT_DUPLICATE:
    case SGN_FAULT_REORDER:
    case SGN_FAULT_COUNT: break;
    }
    return true;
}

static bool hit(struct nemesis *nemesis, const struct active *active, struct sgn_why *why)
{
    struct sgn_procs *procs = &nemesis->verify->procs;
    uint32_t left_kib = sgn_prng_chance(&nemesis->prng, 500) ? 0 : 12 * 1024; /* In the reserve. */
    bool good = true;
    for (uint32_t i = 1; good && i < ends(nemesis); i++) {
        if ((active->victims >> i & 1) == 0) {
            continue;
        }
        if (active->fault == SGN_FAULT_KILL || active->fault == SGN_FAULT_WITNESS) {
            sgn_procs_kill(procs, i);
        } else if (active->fault == SGN_FAULT_PAUSE) {
            sgn_procs_pause(procs, i, true);
        } else if (active->fault == SGN_FAULT_DISKFULL) {
            sgn_procs_fill_disk(procs, i, left_kib);
        } else if (active->fault == SGN_FAULT_WIPE) {
            sgn_verify_mend_lost(&nemesis->mend, i);
            sgn_procs_kill(procs, i);
            good = sgn_procs_wipe(procs, i, why);
        }
    }
    return good;
}

/* One more time in which frames come twice; what goes on already is prolonged. */
static void repeats(struct sgn_verify *verify, uint64_t from_ns, uint64_t until_ns)
{
    uint64_t last_ns = atomic_load(&verify->repeat_until_ns);
    if (last_ns < from_ns) {
        atomic_store(&verify->repeat_from_ns, from_ns);
    }
    if (last_ns < until_ns) {
        atomic_store(&verify->repeat_until_ns, until_ns);
    }
}

static bool begin(struct nemesis *nemesis,
                  struct active *active,
                  uint64_t now_ns,
                  struct sgn_why *why)
{
    const struct sgn_verify_options *options = &nemesis->verify->options;
    *active = (struct active){0};
    do {
        active->fault = (enum sgn_fault)sgn_prng_below(&nemesis->prng, SGN_FAULT_COUNT);
    } while ((options->faults >> active->fault & 1) == 0);
    if (!choose_victims(nemesis, active)) {
        return true;
    }
    choose_net(nemesis, active);
    /* Mostly short; now and then long enough for every time-out there is. */
    uint64_t most_ms = sgn_prng_chance(&nemesis->prng, 200) ? 6000 : 1500;
    active->until_ns = now_ns + between(nemesis, 100, most_ms) * MS;
    nemesis->verify->injected[active->fault]++;
    if (active->fault == SGN_FAULT_DUPLICATE) {
        repeats(nemesis->verify, now_ns, active->until_ns);
    }
    bool good = hit(nemesis, active, why);
    apply_rules(nemesis);
    return good;
}

static bool end(struct nemesis *nemesis, struct active *active, struct sgn_why *why)
{
    struct sgn_procs *procs = &nemesis->verify->procs;
    active->until_ns = 0;
    bool good = true;
    for (uint32_t i = 1; good && i < ends(nemesis); i++) {
        if ((active->victims >> i & 1) == 0) {
            continue;
        }
        if (active->fault == SGN_FAULT_PAUSE) {
            sgn_procs_pause(procs, i, false);
        } else if (active->fault == SGN_FAULT_DISKFULL) {
            sgn_procs_free_disk(procs, i);
        }
        if (procs->procs[i].pid == 0) { /* Killed, or it stopped at its full disk. */
            good = sgn_procs_start(procs, i, why);
        }
    }
    apply_rules(nemesis);
    return good;
}

/* A node may stop when its disk fails it, and only then; it comes back once there is room. */
static bool all_live(struct nemesis *nemesis, struct sgn_why *why)
{
    struct sgn_procs *procs = &nemesis->verify->procs;
    bool good = true;
    for (uint32_t i = 1; good && i < ends(nemesis); i++) {
        bool excused = procs->procs[i].disk_failed;
        if (sgn_procs_died(procs, i, why)) {
            good = excused && (procs->procs[i].disk_full || sgn_procs_start(procs, i, why));
        }
    }
    return good;
}

static bool step(struct nemesis *nemesis, uint64_t now_ns, struct sgn_why *why)
{
    bool good = all_live(nemesis, why);
    struct active *idle = NULL;
    for (uint32_t i = 0; good && i < ACTIVE_MAX; i++) {
        struct active *active = &nemesis->active[i];
        if (active->until_ns != 0 && now_ns >= active->until_ns) {
            good = end(nemesis, active, why);
        }
        idle = active->until_ns == 0 ? active : idle;
    }
    if (good && idle != NULL && now_ns >= nemesis->next_ns &&
        nemesis->verify->options.faults != 0) {
        good = begin(nemesis, idle, now_ns, why);
        nemesis->next_ns = now_ns + between(nemesis, 50, 1500) * MS;
    }
    return good;
}

bool sgn_verify_faults(struct sgn_verify *verify, uint64_t until_ns, struct sgn_why *why)
{
    struct nemesis nemesis = {.verify = verify, .prng.state = verify->options.seed + 1};
    nemesis.next_ns = sgn_bench_now_ns() + 500 * MS; /* A moment of peace to begin with. */
    bool good = sgn_verify_mend_open(&nemesis.mend, verify, why);
    for (uint64_t now_ns = sgn_bench_now_ns(); good && now_ns < until_ns;
         now_ns = sgn_bench_now_ns()) {
        good = step(&nemesis, now_ns, why);
        (void)poll(NULL, 0, TICK_MS);
    }
    for (uint32_t i = 0; i < ACTIVE_MAX; i++) {
        if (good && nemesis.active[i].until_ns != 0) {
            good = end(&nemesis, &nemesis.active[i], why);
        }
    }
    sgn_relay_heal(verify->relay);
    for (uint32_t i = 1; good && i < ends(&nemesis); i++) {
        good = sgn_procs_ready(&verify->procs, i, why);
    }
    good = good && sgn_verify_mend_wait(&nemesis.mend, why);
    sgn_verify_mend_close(&nemesis.mend);
    return good;
}
