/* tests/model/ring_model.c - the model as the checker sees it: initial state, symmetry,
 * expansion. */
#include "tests/model/ring_model.h"

#include <stdio.h>
#include <string.h>

const struct ring_config *ring_config;

static bool configure(const char *name)
{
    for (uint32_t i = 0; i < ring_config_count; i++) {
        if (strcmp(ring_configs[i].name, name) == 0) {
            ring_config = &ring_configs[i];
            return true;
        }
    }
    return false;
}

static void init(void *memory)
{
    struct ring_state *s = memory;
    for (uint32_t w = 0; w < ring_config->wits; w++) {
        uint32_t e = 0;
        while (e + 1 < ring_config->epochs && !has(epoch_of(e)->group, w)) {
            e++;
        }
        s->wits[w].epoch = (uint8_t)e;
        s->wits[w].flags = e == 0 ? WIT_ACTIVE : 0;
    }
    s->ring = ring_config->start;
    for (uint32_t r = 0; r < ring_config->reps; r++) {
        s->reps[r].epoch = ring_config->start_rep[r];
    }
    if (ring_config->start_wit != 0) {
        s->wits[0].epoch = ring_config->start_wit;
        s->wits[0].flags = 0;
    }
}

/* 6: the register makes the next epoch of the configuration when what it needs has come about. */
static void ring_steps(struct ring_step *step)
{
    const struct ring_state *s = step->s;
    if (s->ring + 1u >= ring_config->epochs) {
        return;
    }
    const struct ring_epoch *next = epoch_of(s->ring + 1u);
    for (uint32_t r = 0; r < ring_config->reps; r++) {
        const struct ring_rep *rep = &s->reps[r];
        bool synced = rep->epoch == s->ring && (rep->flags & REP_SYNCED) != 0;
        if (has(next->needs_synced, r) && !synced && !MUTANT(1006)) {
            return;
        }
    }
    for (uint32_t r = 0; r < ring_config->reps; r++) {
        if (has(next->needs_gone, r) && (s->reps[r].flags & REP_GONE) == 0) {
            return;
        }
    }
    for (uint32_t w = 0; w < ring_config->wits; w++) {
        if (has(next->needs_dead, w) && (s->wits[w].flags & WIT_DEAD) == 0) {
            return;
        }
    }
    struct ring_state n = *s;
    n.ring++;
    ring_emit(step, &n, "epoch %u is made", n.ring);
}

static void expand(const void *state, struct sgn_mc_run *run)
{
    struct ring_step step = {.s = state, .run = run};
    ring_steps(&step);
    for (uint32_t b = 1; b <= ring_config->rounds; b++) {
        ring_round_steps(&step, b);
        if (step.s->rounds[b].phase == ROUND_EXPOSED) {
            ring_commit_steps(&step, b);
        }
    }
    for (uint32_t r = 0; r < ring_config->reps; r++) {
        ring_rep_steps(&step, r);
    }
    for (uint32_t w = 0; w < ring_config->wits; w++) {
        ring_wit_steps(&step, w);
    }
    for (uint32_t i = 0; i < ring_config->readers; i++) {
        ring_reader_steps(&step, i);
    }
}

/* ---- symmetry ----------------------------------------------------------------------------------
 * */

static void swap_bits(uint8_t *mask, uint32_t i, uint32_t j)
{
    if (has(*mask, i) != has(*mask, j)) {
        *mask = *mask ^ bit(i) ^ bit(j);
    }
}

static void swap_reps(struct ring_state *s, uint32_t i, uint32_t j)
{
    struct ring_rep keep = s->reps[i];
    s->reps[i] = s->reps[j];
    s->reps[j] = keep;
    for (uint32_t r = 0; r < ring_config->reps; r++) {
        swap_bits(&s->reps[r].heard, i, j);
    }
    for (uint32_t w = 0; w < ring_config->wits; w++) {
        swap_bits(&s->wits[w].seeders, i, j);
    }
    for (uint32_t k = 0; k < ring_config->readers; k++) {
        uint8_t *home = &s->readers[k].home;
        if (s->readers[k].phase == READER_FAST && (*home == i || *home == j)) {
            *home = (uint8_t)(*home == i ? j : i);
        }
    }
}

/* Neighbours of one class in order of their bytes. Any exchange gives an equivalent state, so that
 * ties left unresolved cost states, never soundness. */
static void canon(void *state)
{
    struct ring_state *s = state;
    for (uint32_t end = ring_config->reps; end > 1; end--) {
        for (uint32_t i = 0; i + 1 < end; i++) {
            bool same = ring_config->rep_class[i] == ring_config->rep_class[i + 1];
            if (same && memcmp(&s->reps[i], &s->reps[i + 1], sizeof s->reps[i]) > 0) {
                swap_reps(s, i, i + 1);
            }
        }
    }
    for (uint32_t end = ring_config->wits; end > 1; end--) {
        for (uint32_t i = 0; i + 1 < end; i++) {
            bool same = ring_config->wit_class[i] == ring_config->wit_class[i + 1];
            if (same && memcmp(&s->wits[i], &s->wits[i + 1], sizeof s->wits[i]) > 0) {
                struct ring_wit keep = s->wits[i];
                s->wits[i] = s->wits[i + 1];
                s->wits[i + 1] = keep;
            }
        }
    }
}

static void print(const void *state)
{
    const struct ring_state *s = state;
    for (uint32_t r = 0; r < ring_config->reps; r++) {
        const struct ring_rep *rep = &s->reps[r];
        (void)printf("       %c: epoch %u promised %u slot b%u%s%s\n",
                     'A' + r,
                     rep->epoch,
                     rep->promised,
                     rep->slot,
                     (rep->flags & REP_COMMITTED) != 0 ? " committed" : "",
                     (rep->flags & REP_UNSETTLED) != 0 ? " unsettled" : "");
    }
    for (uint32_t w = 0; w < ring_config->wits; w++) {
        const struct ring_wit *wit = &s->wits[w];
        (void)printf("       W%u: epoch %u mark %u%s%s\n",
                     w,
                     wit->epoch,
                     wit->mark,
                     (wit->flags & WIT_ACTIVE) != 0 ? " active" : "",
                     (wit->flags & WIT_DEAD) != 0 ? " dead" : "");
    }
}

const struct sgn_mc_model sgn_model_ring = {
    .name = "ring",
    .state_bytes = sizeof(struct ring_state),
    .plan = ring_plan,
    .plan_count = &ring_plan_count,
    .configure = configure,
    .init = init,
    .expand = expand,
    .canon = canon,
    .print = print,
};
