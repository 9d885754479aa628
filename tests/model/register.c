/* tests/model/register.c - the register that holds the ring's map (6, 6.4; ring/core/register.h):
 * one Paxos decision per version, by a majority of the voters whom the map of the version before
 * names, each taking part only while that map is its committed one. Four nodes; a value is known
 * by the round that first proposed it, and says who votes on the next version. */
#include <string.h>

#include "tests/model/mc.h"

#define NODES    4u
#define ROUNDS   5u /* Numbers 1..4, also their ballots. */
#define VERSIONS 3u /* Version 0 is given; 1 and 2 are decided. */

enum { NEW, PREPARING, ACCEPTING, CHOSEN };

struct node {
    uint8_t version;          /* Of its committed map. */
    uint8_t values[VERSIONS]; /* What it has adopted; 0: version 0, or not known. */
    uint8_t promised;         /* Acceptor's state for version + 1. */
    uint8_t accepted;         /* Ballot, 0: nothing. */
    uint8_t accepted_value;
    uint8_t promises, accepts; /* Rounds it has answered. */
};

struct round {
    uint8_t phase, version, voters;
    uint8_t best, value;
};

struct state {
    struct node nodes[NODES];
    struct round rounds[ROUNDS];
    uint8_t chosen[VERSIONS];
};
_Static_assert(sizeof(struct state) % 8 == 0, "fingerprints take eight bytes at a time");

/* Who votes after the value that a round proposed: A B C D as bits 0 to 3. */
static const struct config {
    const char *name;
    uint32_t rounds;
    uint8_t voters[ROUNDS]; /* Of version 0, then of the values of rounds 1 to 4. */
} configs[] = {
    {"same-voters/3", 3, {7, 7, 7, 7}},
    {"moving-voters/3", 3, {7, 11, 14, 13}},
    {"moving-voters/4", 4, {7, 11, 14, 7, 13}},
};
static const struct config *config;

static bool configure(const char *name)
{
    for (uint32_t i = 0; i < sizeof configs / sizeof configs[0]; i++) {
        if (strcmp(name, configs[i].name) == 0) {
            config = &configs[i];
            return true;
        }
    }
    return false;
}

static void init(void *state)
{
    (void)state; /* All at version 0. */
}

static bool has(uint32_t mask, uint32_t i)
{
    return (mask >> i & 1u) != 0;
}

static bool majority(const struct state *s, uint32_t b, bool accepts)
{
    uint32_t voters = s->rounds[b].voters;
    uint32_t votes = 0;
    for (uint32_t i = 0; i < NODES; i++) {
        uint8_t answered = accepts ? s->nodes[i].accepts : s->nodes[i].promises;
        votes += has(voters, i) && has(answered, b);
    }
    return votes >= (uint32_t)__builtin_popcount(voters) / 2 + 1;
}

static bool takes_part(const struct node *node, const struct round *round)
{
    /* Mutant 1002: it votes on versions above the one it could know the voters of. */
    return node->version + 1u == round->version ||
           (MUTANT(1002) && node->version + 1u < round->version);
}

/* A proposer is any node; what it proposes on top of is its committed map. Mutant 1003: or what it
 * has merely accepted. */
static void begin(const struct state *s, struct sgn_mc_run *run, uint32_t b)
{
    for (uint32_t i = 0; i < NODES; i++) {
        const struct node *node = &s->nodes[i];
        uint8_t base = node->values[node->version];
        uint8_t version = (uint8_t)(node->version + 1u);
        if (MUTANT(1003) && node->accepted != 0) {
            base = node->accepted_value;
            version++;
        }
        if (version >= VERSIONS) {
            continue;
        }
        struct state n = *s;
        n.rounds[b] =
            (struct round){.phase = PREPARING, .version = version, .voters = config->voters[base]};
        sgn_mc_emit(run, &n, NULL, "b%u: %c proposes version %u", b, 'A' + i, version);
    }
}

static void promise(const struct state *s, struct sgn_mc_run *run, uint32_t b)
{
    for (uint32_t i = 0; i < NODES; i++) {
        const struct node *node = &s->nodes[i];
        if (!has(s->rounds[b].voters, i) || !takes_part(node, &s->rounds[b]) ||
            node->promised >= b) {
            continue;
        }
        struct state n = *s;
        struct round *round = &n.rounds[b];
        n.nodes[i].promised = (uint8_t)b;
        n.nodes[i].promises = (uint8_t)(node->promises | 1u << b);
        if (node->accepted > round->best) {
            round->best = node->accepted;
            round->value = node->accepted_value;
        }
        if (majority(&n, b, false)) {
            round->phase = ACCEPTING;
            round->value = round->best != 0 ? round->value : (uint8_t)b;
            round->best = 0;
            for (uint32_t q = 0; q < NODES; q++) {
                n.nodes[q].promises = (uint8_t)(n.nodes[q].promises & ~(1u << b));
            }
        }
        sgn_mc_emit(run, &n, NULL, "b%u: promise by %c", b, 'A' + i);
    }
}

static void accept(const struct state *s, struct sgn_mc_run *run, uint32_t b)
{
    for (uint32_t i = 0; i < NODES; i++) {
        const struct node *node = &s->nodes[i];
        if (!has(s->rounds[b].voters, i) || !takes_part(node, &s->rounds[b]) ||
            node->promised > b || has(node->accepts, b)) {
            continue;
        }
        struct state n = *s;
        struct round *round = &n.rounds[b];
        const char *wrong = NULL;
        n.nodes[i].promised = (uint8_t)b;
        n.nodes[i].accepted = (uint8_t)b;
        n.nodes[i].accepted_value = round->value;
        n.nodes[i].accepts = (uint8_t)(node->accepts | 1u << b);
        if (majority(&n, b, true)) {
            uint8_t *chosen = &n.chosen[round->version];
            wrong = *chosen != 0 && *chosen != round->value ? "two maps of one version" : NULL;
            *chosen = round->value;
            round->phase = CHOSEN;
            for (uint32_t q = 0; q < NODES; q++) {
                n.nodes[q].accepts = (uint8_t)(n.nodes[q].accepts & ~(1u << b));
            }
        }
        sgn_mc_emit(run, &n, wrong, "b%u: accepted by %c", b, 'A' + i);
    }
}

/* MAP_IS: a node adopts a chosen map of a higher version, and may skip some. */
static void adopt(const struct state *s, struct sgn_mc_run *run, uint32_t i)
{
    for (uint32_t v = s->nodes[i].version + 1u; v < VERSIONS; v++) {
        if (s->chosen[v] == 0) {
            continue;
        }
        struct state n = *s;
        struct node *node = &n.nodes[i];
        node->version = (uint8_t)v;
        node->values[v] = s->chosen[v];
        if (!MUTANT(1004)) { /* What was promised and accepted of an older version is void. */
            node->promised = 0;
            node->accepted = 0;
            node->accepted_value = 0;
        }
        sgn_mc_emit(run, &n, NULL, "%c adopts version %u", 'A' + i, v);
    }
}

static void expand(const void *state, struct sgn_mc_run *run)
{
    const struct state *s = state;
    for (uint32_t b = 1; b <= config->rounds; b++) {
        switch (s->rounds[b].phase) {
        case NEW: begin(s, run, b); break;
        case PREPARING: promise(s, run, b); break;
        case ACCEPTING: accept(s, run, b); break;
        default: break;
        }
    }
    for (uint32_t i = 0; i < NODES; i++) {
        adopt(s, run, i);
        if (MUTANT(1005) && s->nodes[i].promised > s->nodes[i].accepted) {
            struct state n = *s;
            n.nodes[i].promised = s->nodes[i].accepted;
            sgn_mc_emit(run, &n, NULL, "%c restarts and forgets what it promised", 'A' + i);
        }
    }
}

static const struct sgn_mc_case plan[] = {
    {"same-voters/3", 0, 2000000, SGN_MC_HOLDS},
    {"moving-voters/3", 0, 2000000, SGN_MC_HOLDS},
    {"moving-voters/4", 0, 10000000, SGN_MC_HOLDS},
    {"moving-voters/3", 1002, 2000000, SGN_MC_CAUGHT},
    {"moving-voters/4", 1003, 10000000, SGN_MC_CAUGHT},
    {"moving-voters/3", 1004, 2000000, SGN_MC_CAUGHT},
    {"moving-voters/3", 1005, 2000000, SGN_MC_CAUGHT},
};
static const uint32_t plan_count = sizeof plan / sizeof plan[0];

const struct sgn_mc_model sgn_model_register = {.name = "register",
                                                .state_bytes = sizeof(struct state),
                                                .plan = plan,
                                                .plan_count = &plan_count,
                                                .configure = configure,
                                                .init = init,
                                                .expand = expand};
