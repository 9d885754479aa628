/* tests/model/main.c - sgn-model: runs the models. --help says how. */
#include "tests/model/mc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    static const struct sgn_mc_model *const models[] = {&sgn_model_ring, &sgn_model_once, &sgn_model_once_rounds};
    const struct sgn_mc_model *m = NULL;
    for (uint32_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        if (argc > 1 && models[i]->configure(argv[1])) { m = models[i]; break; }
    }
    if (!m) { return 2; }
    sgn_mc_mutant = argc > 2 ? atoi(argv[2]) : 0;
    struct sgn_mc_result r = sgn_mc_search(m, argc > 3 ? (uint32_t)atoi(argv[3]) : 8000000, argc > 4 ? atof(argv[4]) : 60, true);
    printf("%s %s M%d: %s %s states %u depth %u %.1fs\n", m->name, argv[1], sgn_mc_mutant, r.violation ? r.violation : "no violation", r.complete ? "complete" : "cut", r.states, r.depth, r.seconds);
}
