/* bench/workload.h - what a load does next: the six YCSB mixes (Cooper et al., SoCC 2010), and w.
 *
 *   a 50 % read, 50 % update    b 95/5    c reads only    d 95 % read of the latest, 5 % insert
 *   e 95 % short lists, 5 % insert        f 50 % read, 50 % read-modify-write    w updates only */
#ifndef SGN_BENCH_WORKLOAD_H
#define SGN_BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "ring/core/prng.h"

enum sgn_load_op {
    SGN_LOAD_READ,
    SGN_LOAD_UPDATE,
    SGN_LOAD_INSERT,
    SGN_LOAD_LIST,
    SGN_LOAD_MODIFY
};
enum sgn_load_spread { SGN_SPREAD_ZIPF, SGN_SPREAD_UNIFORM };

struct sgn_workload {
    char letter;
    enum sgn_load_spread spread;
    uint64_t keys;      /* Grows by inserts. */
    uint64_t zipf_keys; /* For how many keys the constants below were made. */
    double zeta, eta;
    struct sgn_prng prng;
};

/* False if the letter is none of the above. keys >= 2. */
bool sgn_workload_init(struct sgn_workload *load,
                       char letter,
                       enum sgn_load_spread spread,
                       uint64_t keys,
                       uint64_t seed);
/* The next operation and the number of the key it is for. */
enum sgn_load_op sgn_workload_next(struct sgn_workload *load, uint64_t *key);

#endif
