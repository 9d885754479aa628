/* tests/model/floor_map.c - the floor-map model: configurations, successors, plan. */
#include "tests/model/floor_map.h"

#include <string.h>

/* What happens: the digit is the floor, or two one after the other. */
/* clang-format off */
static const struct map in_2[MAPS] = {{7, 0, 7, 0, 0}, {0, 0, 0, 0, 2}};
static const struct map in_3[MAPS] = {{7, 0, 7, 0, 0}, {0, 0, 0, 0, 3}};
static const struct map in_2_4[MAPS] = {{7, 0, 7, 0, 0}, {0, 0, 0, 0, 2}, {0, 0, 0, 0, 4}};
static const struct map out_in_2[MAPS] = {
    {7, 0, 7, 0, 0}, {0, 0, 0, 0, 2}, {7, 0, 3, 0, 0}, {7, 0, 3, 4, 0}, {7, 0, 7, 0, 0}};
static const struct map out_in_3[MAPS] = {
    {7, 0, 7, 0, 0}, {0, 0, 0, 0, 3}, {7, 0, 3, 0, 0}, {7, 0, 3, 4, 0}, {7, 0, 7, 0, 0}};
static const struct map then_2[MAPS] = {{7, 0, 3, 4, 0}, {7, 0, 7, 0, 0}, {0, 0, 0, 0, 2}};
static const struct map then_3[MAPS] = {
    {7, 0, 3, 0, 0}, {7, 0, 3, 4, 0}, {7, 0, 7, 0, 0}, {0, 0, 0, 0, 3}};
static const struct map single[MAPS] = {{7, 0, 7, 0, 0}, {0, 0, 0, 0, 2}, {7, 0, 1, 0, 0}};
static const struct map back[MAPS] = {
    {3, 0, 3, 0, 0}, {0, 0, 0, 0, 3}, {3, 7, 3, 4, 0}, {7, 0, 7, 0, 0}};
static const struct map leave_back[MAPS] = {
    {7, 0, 7, 0, 0}, {7, 3, 7, 0, 0}, {3, 0, 3, 0, 0}, {0, 0, 0, 0, 3},
    {3, 7, 3, 4, 0}, {7, 0, 7, 0, 0}};
static const struct map grow[MAPS] = {
    {1, 0, 1, 0, 0}, {0, 0, 0, 0, 3}, {1, 7, 1, 6, 0}, {7, 0, 7, 0, 0}};
/* clang-format on */

static const struct config configs[] = {
    {"in/put,put", 10, 0, 0, 1, 0, 0, in_2},
    {"in/put,put+restart", 10, 0, 0, 1, 0, 1, in_2},
    {"in/put,put+slow", 10, 0, 0, 0, 1, 1, in_2},
    {"in/delete,put", 10, 2, 0, 1, 1, 0, in_2},
    {"in/.put,delete,put", 22, 4, 1, 1, 0, 0, in_3},
    {"in/.put,put,delete", 22, 16, 1, 1, 0, 0, in_3},
    {"in/put,put,put", 26, 0, 0, 1, 0, 0, in_2},
    {"two/.delete,delete,put", 42, 10, 1, 1, 0, 0, in_2_4},
    {"out-in/.put,delete", 6, 4, 1, 1, 0, 0, out_in_3},
    {"out-in/.put,delete+slow", 6, 4, 1, 0, 1, 0, out_in_3},
    {"out-in/put,delete", 6, 4, 0, 1, 0, 1, out_in_3},
    {"out-in/.delete,put", 10, 2, 1, 1, 0, 0, out_in_2},
    {"out-in/.put,delete,put", 22, 4, 1, 1, 0, 0, out_in_3},
    {"in-floor/put,put", 10, 0, 0, 1, 0, 0, then_2},
    {"out-in-floor/.put,delete", 6, 4, 1, 1, 0, 0, then_3},
    {"single/.delete,put", 10, 2, 1, 1, 1, 0, single},
    {"return/.put,delete", 6, 4, 1, 1, 0, 0, back},
    {"return/.put,delete+slow", 6, 4, 1, 0, 1, 0, back},
    {"return/.put,delete,put", 22, 4, 1, 1, 1, 0, back},
    {"return/put,delete", 6, 4, 0, 1, 0, 1, leave_back},
    {"return/.put,put+restart", 6, 0, 1, 1, 0, 1, back},
    {"return/.put,delete+restart", 6, 4, 1, 1, 0, 1, back},
    {"grow/delete,put", 6, 2, 0, 1, 1, 1, grow},
    {"grow/.delete,put", 6, 2, 1, 1, 1, 0, grow},
};
const struct config *sgn_fm_config;
uint32_t sgn_fm_map_count;
struct map sgn_fm_maps[MAPS];
uint8_t sgn_fm_epochs[MAPS];

static bool configure(const char *name)
{
    for (uint32_t i = 0; i < sizeof configs / sizeof configs[0]; i++) {
        if (strcmp(name, configs[i].name) != 0) {
            continue;
        }
        sgn_fm_config = &configs[i];
        memcpy(sgn_fm_maps, sgn_fm_config->maps, sizeof sgn_fm_maps);
        sgn_fm_map_count = 1;
        sgn_fm_epochs[0] = 0;
        for (; sgn_fm_map_count < MAPS &&
               (sgn_fm_maps[sgn_fm_map_count].set | sgn_fm_maps[sgn_fm_map_count].floor) != 0;
             sgn_fm_map_count++) {
            uint8_t floor = sgn_fm_maps[sgn_fm_map_count].floor;
            bool same = floor != 0;
            if (same) {
                sgn_fm_maps[sgn_fm_map_count] = sgn_fm_maps[sgn_fm_map_count - 1];
            }
            sgn_fm_maps[sgn_fm_map_count].floor =
                same ? floor : sgn_fm_maps[sgn_fm_map_count - 1].floor;
            sgn_fm_epochs[sgn_fm_map_count] =
                (uint8_t)(sgn_fm_epochs[sgn_fm_map_count - 1] + (same ? 0 : 1));
        }
        return true;
    }
    return false;
}

static void init(void *state)
{
    struct state *s = state;
    uint8_t b = sgn_fm_config->settled;
    for (uint32_t r = 0; b != 0 && r < SEATS; r++) {
        s->seats[r].slot = s->seats[r].promised = b;
        s->seats[r].committed = 1;
        s->seats[r].top[0] = sgn_fm_has(sgn_fm_config->maps[0].set, r) ? b : 0;
        s->exposed = b;
        s->rounds[b].phase = EXPOSED;
        s->rounds[b].lineage = b;
    }
}

static void expand(const void *state, struct sgn_mc_run *run)
{
    const struct state *s = state;
    for (uint32_t b = 1; b < ROUNDS; b++) {
        const struct round *round = &s->rounds[b];
        if (!sgn_fm_has(sgn_fm_config->rounds, b)) {
            continue;
        }
        if (round->phase == NEW || round->phase == PREPARING) {
            sgn_fm_promise(s, run, b);
        } else {
            sgn_fm_accept(s, run, b);
        }
        if (round->phase == EXPOSED) {
            sgn_fm_commit(s, run, b);
            sgn_fm_settle(s, run, b);
        }
    }
    sgn_fm_floor_steps(s, run);
    sgn_fm_choose(s, run);
    sgn_fm_adopt(s, run);
    for (uint32_t r = 0; r < SEATS; r++) {
        sgn_fm_drop(s, run, r);
        sgn_fm_catch_up(s, run, r);
        if (sgn_fm_config->fast != 0) {
            sgn_fm_read_fast(s, run, r);
        }
        const struct seat *seat = &s->seats[r];
        if (sgn_fm_config->restarts != 0 && seat->dirty != 0 &&
            (seat->committed != 0 || seat->oldest != 0)) {
            struct state n = *s;
            n.seats[r].committed = 0;
            n.seats[r].oldest = MUTANT(X_RESTART) ? seat->slot : 0;
            sgn_fm_emit(run, &n, NULL, "%c restarts", 'A' + r);
        }
        if (sgn_fm_config->restarts != 0) {
            sgn_fm_catch_up_anew(s, run, r);
        }
    }
    if (sgn_fm_config->slow != 0) {
        sgn_fm_read_slow(s, run);
    }
}

static bool alike(uint32_t i, uint32_t j)
{
    for (uint32_t m = 0; m < sgn_fm_map_count; m++) {
        const struct map *map = &sgn_fm_maps[m];
        if (sgn_fm_has(map->set, i) != sgn_fm_has(map->set, j) ||
            sgn_fm_has(map->next, i) != sgn_fm_has(map->next, j) ||
            sgn_fm_has(map->in_sync, i) != sgn_fm_has(map->in_sync, j) ||
            sgn_fm_has(map->catching, i) != sgn_fm_has(map->catching, j)) {
            return false;
        }
    }
    return true;
}

static void swap_seats(struct state *s, uint32_t i)
{
    struct seat keep = s->seats[i];
    s->seats[i] = s->seats[i + 1];
    s->seats[i + 1] = keep;
    for (uint32_t r = 0; r < SEATS; r++) {
        uint8_t *told = &s->seats[r].told;
        if (sgn_fm_has(*told, i) != sgn_fm_has(*told, i + 1)) {
            *told = (uint8_t)(*told ^ (3u << i));
        }
    }
}

/* What was shown in an epoch matters while somebody is in it who may hear of a settle. */
static void canon(void *state)
{
    struct state *s = state;
    uint32_t first = s->witness_epoch;
    for (uint32_t r = 0; r < SEATS; r++) {
        first = sgn_fm_epoch_of(&s->seats[r]) < first ? sgn_fm_epoch_of(&s->seats[r]) : first;
    }
    for (uint32_t r = 0; r < SEATS; r++) {
        memset(s->seats[r].top, 0, first);
    }
    for (uint32_t end = SEATS; end > 1; end--) {
        for (uint32_t i = 0; i + 1 < end; i++) {
            if (alike(i, i + 1) && memcmp(&s->seats[i], &s->seats[i + 1], sizeof s->seats[i]) > 0) {
                swap_seats(s, i);
            }
        }
    }
}

static const struct sgn_mc_case plan[] = {
    {"in/put,put", 0, 20000000, SGN_MC_HOLDS},
    {"in/put,put+restart", 0, 20000000, SGN_MC_HOLDS},
    {"in/put,put+slow", 0, 20000000, SGN_MC_HOLDS},
    {"in/.put,delete,put", 0, 20000000, SGN_MC_HOLDS},
    {"in/.put,put,delete", 0, 20000000, SGN_MC_HOLDS},
    {"two/.delete,delete,put", 0, 20000000, SGN_MC_HOLDS},
    {"out-in/.put,delete", 0, 20000000, SGN_MC_HOLDS},
    {"out-in/.put,delete+slow", 0, 20000000, SGN_MC_HOLDS},
    {"out-in/put,delete", 0, 20000000, SGN_MC_HOLDS},
    {"out-in/.delete,put", 0, 20000000, SGN_MC_HOLDS},
    {"out-in-floor/.put,delete", 0, 20000000, SGN_MC_HOLDS},
    {"in-floor/put,put", 0, 20000000, SGN_MC_HOLDS},
    {"single/.delete,put", 0, 20000000, SGN_MC_HOLDS},
    {"return/.put,delete", 0, 20000000, SGN_MC_HOLDS},
    {"return/.put,delete+slow", 0, 20000000, SGN_MC_HOLDS},
    {"return/.put,delete,put", 0, 20000000, SGN_MC_HOLDS},
    {"return/.put,put+restart", 0, 20000000, SGN_MC_HOLDS},
    {"return/.put,delete+restart", 0, 20000000, SGN_MC_HOLDS},
    {"grow/delete,put", 0, 20000000, SGN_MC_HOLDS},
    {"grow/.delete,put", 0, 20000000, SGN_MC_HOLDS},
    {"out-in/.put,delete,put", 0, 5000000, SGN_MC_CUT},
    {"return/put,delete", 0, 5000000, SGN_MC_CUT},
    {"in/delete,put", 0, 5000000, SGN_MC_HOLDS},
    {"in/put,put,put", 0, 5000000, SGN_MC_CUT},
    {"in/put,put", 17, 5000000, SGN_MC_CAUGHT},
    {"in/put,put", 117, 5000000, SGN_MC_CAUGHT},
    {"in/put,put", 217, 5000000, SGN_MC_CAUGHT},
    {"in/put,put", 317, 5000000, SGN_MC_CAUGHT},
    {"in/put,put", 417, 5000000, SGN_MC_CAUGHT},
    {"in/put,put", 517, 5000000, SGN_MC_CAUGHT},
    {"return/.put,delete", X_EARLY, 5000000, SGN_MC_CAUGHT},
    {"return/.put,delete", X_KEEPS, 5000000, SGN_MC_CAUGHT},
    {"out-in/.put,delete", X_LATE, 5000000, SGN_MC_CAUGHT},
    {"return/.put,delete", X_LATE, 5000000, SGN_MC_CAUGHT},
    {"single/.delete,put", X_STAMP, 5000000, SGN_MC_CAUGHT},
    {"grow/.delete,put", X_CLOCK, 5000000, SGN_MC_CAUGHT},
    {"in/put,put+restart", X_RESTART, 5000000, SGN_MC_CAUGHT},
    {"return/.put,put+restart", X_FORGETS, 5000000, SGN_MC_CAUGHT},
    {"out-in/.delete,put", X_EARLY, 5000000, SGN_MC_SURVIVES},
    {"in/.put,delete,put", X_DIRTY, 5000000, SGN_MC_SURVIVES},
    {"out-in/.put,delete", X_DIRTY, 5000000, SGN_MC_SURVIVES},
};
static const uint32_t plan_count = sizeof plan / sizeof plan[0];

const struct sgn_mc_model sgn_model_floor_map = {.name = "floor-map",
                                                 .state_bytes = sizeof(struct state),
                                                 .plan = plan,
                                                 .plan_count = &plan_count,
                                                 .configure = configure,
                                                 .init = init,
                                                 .expand = expand,
                                                 .canon = canon};
