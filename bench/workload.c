#include "bench/workload.h"

#include <math.h>
#include <string.h>

#include "ring/core/check.h"

#define ZIPF_THETA 0.99 /* YCSB's constant. */
/* Inserts that may still be under way: as many as there can be callers. Reading one of them would
 * count "no such key" as an error of the ring. */
#define UNSETTLED_MAX 256u

bool sgn_workload_init(struct sgn_workload *load,
                       char letter,
                       enum sgn_load_spread spread,
                       uint64_t keys,
                       uint64_t seed)
{
    if (letter == '\0' || strchr("abcdefw", letter) == NULL || keys < 2) {
        return false;
    }
    *load = (struct sgn_workload){.letter = letter, .spread = spread, .keys = keys};
    load->prng.state = seed;
    load->zipf_keys = keys;
    for (uint64_t i = 1; i <= keys && spread == SGN_SPREAD_ZIPF; i++) {
        load->zeta += 1.0 / pow((double)i, ZIPF_THETA);
    }
    if (spread == SGN_SPREAD_ZIPF) {
        double zeta2 = 1.0 + 1.0 / pow(2.0, ZIPF_THETA);
        load->eta = (1.0 - pow(2.0 / (double)keys, 1.0 - ZIPF_THETA)) / (1.0 - zeta2 / load->zeta);
    }
    return true;
}

/* Rank 0 is the most popular (Gray et al., SIGMOD 1994). */
static uint64_t zipf_rank(struct sgn_workload *load)
{
    double u = (double)(sgn_prng_next(&load->prng) >> 11) / 9007199254740992.0;
    double uz = u * load->zeta;
    if (uz < 1.0) {
        return 0;
    }
    if (uz < 1.0 + pow(0.5, ZIPF_THETA)) {
        return 1;
    }
    double rank =
        (double)load->zipf_keys * pow(load->eta * u - load->eta + 1.0, 1 / (1 - ZIPF_THETA));
    uint64_t whole = (uint64_t)rank;
    return whole < load->zipf_keys ? whole : load->zipf_keys - 1;
}

static uint64_t choose_key(struct sgn_workload *load)
{
    if (load->spread == SGN_SPREAD_UNIFORM) {
        return sgn_prng_below(&load->prng, load->keys);
    }
    uint64_t rank = zipf_rank(load);
    if (load->letter == 'd') {
        uint64_t settled = load->keys - load->zipf_keys > UNSETTLED_MAX ? load->keys - UNSETTLED_MAX
                                                                        : load->zipf_keys;
        return settled - 1 - rank % settled; /* The latest are the popular ones. */
    }
    return sgn_mix64(rank) % load->zipf_keys; /* Popular keys lie scattered over the ring. */
}

enum sgn_load_op sgn_workload_next(struct sgn_workload *load, uint64_t *key)
{
    static const struct {
        char letter;
        uint32_t read_pm;
        enum sgn_load_op most, rest;
    } mixes[] = {
        {'a', 500, SGN_LOAD_READ, SGN_LOAD_UPDATE},
        {'b', 950, SGN_LOAD_READ, SGN_LOAD_UPDATE},
        {'c', 1000, SGN_LOAD_READ, SGN_LOAD_READ},
        {'d', 950, SGN_LOAD_READ, SGN_LOAD_INSERT},
        {'e', 950, SGN_LOAD_LIST, SGN_LOAD_INSERT},
        {'f', 500, SGN_LOAD_READ, SGN_LOAD_MODIFY},
        {'w', 1000, SGN_LOAD_UPDATE, SGN_LOAD_UPDATE},
    };
    uint32_t mix = 0;
    while (mixes[mix].letter != load->letter) {
        mix++;
        SGN_ASSERT(mix < sizeof(mixes) / sizeof(mixes[0]));
    }
    bool most = sgn_prng_chance(&load->prng, mixes[mix].read_pm) != 0;
    enum sgn_load_op op = most ? mixes[mix].most : mixes[mix].rest;
    *key = op == SGN_LOAD_INSERT ? load->keys++ : choose_key(load);
    return op;
}
