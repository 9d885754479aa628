/* tests/sim/ord_draw.c - what a seed draws. */
#include <stdio.h>

#include "ring/core/check.h"
#include "tests/sim/ord.h"
#include "tests/sim/ord_mutants.h"

static const uint32_t strongest[ORD_FAULT_COUNT] = {
#define ORD_FAULT_MOST(name, most) most,
    ORD_FAULTS(ORD_FAULT_MOST)
#undef ORD_FAULT_MOST
};

static const char *const names[ORD_FAULT_COUNT] = {
#define ORD_FAULT_NAME(name, most) #name,
    ORD_FAULTS(ORD_FAULT_NAME)
#undef ORD_FAULT_NAME
};

static uint32_t between(struct sgn_prng *prng, uint32_t least, uint32_t most)
{
    return least + (uint32_t)sgn_prng_below(prng, (uint64_t)most - least + 1);
}

static void draw_shape(struct ord_options *o, struct sgn_prng *prng)
{
    o->nodes = between(prng, 3, ORD_NODES_MAX);
    uint32_t odd = between(prng, 0, 9); /* Most have three replicas, as most rings do. */
    o->replicas = odd < 2 && o->nodes == 5 ? 5 : odd == 2 ? 2 : odd == 3 && o->nodes > 3 ? 4 : 3;
    o->partitions = 8;
    o->fleet = between(prng, 0, 4);
    o->clients = between(prng, 2, ORD_CLIENTS_MAX);
    o->keys = sgn_prng_chance(prng, 500) ? between(prng, 1, 2) : between(prng, 1, ORD_KEYS_MAX);
    o->ops = between(prng, 50, 220);
    o->think_us = 1 + between(prng, 0, 1) * between(prng, 100, 40000);
    o->value_bytes_max = sgn_prng_chance(prng, 100) ? 2000 : 40;
    o->delay_us_max =
        sgn_prng_chance(prng, 500) ? between(prng, 500, 20000) : between(prng, 1000, 700000);
    o->entries_max = sgn_prng_chance(prng, 200) ? between(prng, 2, 16) : 1024;
    o->mix = between(prng, 0, ORD_MIX_COUNT - 1);
    o->tombstone_ms = sgn_prng_chance(prng, 500) ? between(prng, 200, 3000) : 0;
    o->patience_ms_max = sgn_prng_chance(prng, 300) ? 60 : between(prng, 500, 5000);
}

/* Swarm: each class of faults with p = 1/2 and its own strength; one seed of eight without any, one
 * of eight with a single one (Groce et al. 2012). */
static void draw_faults(struct ord_options *o, struct sgn_prng *prng)
{
    uint64_t which = sgn_prng_below(prng, 8);
    uint32_t only = (uint32_t)sgn_prng_below(prng, ORD_FAULT_COUNT);
    for (uint32_t i = 0; i < ORD_FAULT_COUNT; i++) {
        uint32_t strength = between(prng, 1, strongest[i]);
        bool on = sgn_prng_chance(prng, 500);
        on = which == 0 ? false : which == 1 ? i == only : on;
        o->fault[i] = on ? strength : 0;
    }
    o->fault_free = which == 0;
    if (o->fault_free) { /* Then every operation must end well: with patience, and room. */
        o->patience_ms_max = 5000;
        o->entries_max = 1024;
    }
}

void ord_options_draw(struct ord_options *o, uint64_t seed, int mutant)
{
    struct sgn_prng prng = {.state = seed ^ UINT64_C(0x0de4ed)};
    *o = (struct ord_options){.seed = seed};
    draw_shape(o, &prng);
    draw_faults(o, &prng);
    o->inside = sgn_mix64(seed ^ 7) % 4 == 0; /* Draws nothing: other seeds are as they were, and
                                                    the known killers of mutants.txt among them. */
    if (mutant != 0) {
        ord_mutant_shape(o, mutant, &prng, strongest);
    }
    if (o->replicas < 3) {
        o->fault[ORD_rot] = 0; /* What one of two cannot read, no majority can. */
    }
    if (o->fault[ORD_move] > 0 && o->nodes == o->replicas && o->nodes < ORD_NODES_MAX) {
        o->nodes++; /* Somewhere to move to. */
    }
}

void ord_options_print(const struct ord_options *o, char *text, size_t cap)
{
    int used = snprintf(
        text,
        cap,
        "seed=%llu ordered nodes=%u replicas=%u partitions=%u fleet=%u clients=%u keys=%u ops=%u "
        "think_us=%u value_bytes=%u delay_us=%u entries=%u mix=%u patience_ms=%u "
        "tombstone_ms=%u%s%s",
        (unsigned long long)o->seed,
        o->nodes,
        o->replicas,
        o->partitions,
        o->fleet,
        o->clients,
        o->keys,
        o->ops,
        o->think_us,
        o->value_bytes_max,
        o->delay_us_max,
        o->entries_max,
        o->mix,
        o->patience_ms_max,
        o->tombstone_ms,
        o->inside ? " inside" : "",
        o->fault_free ? " fault-free" : "");
    for (uint32_t i = 0; i < ORD_FAULT_COUNT && used > 0 && (size_t)used < cap; i++) {
        if (o->fault[i] > 0) {
            used += snprintf(text + used, cap - (size_t)used, " %s=%u", names[i], o->fault[i]);
        }
    }
}
