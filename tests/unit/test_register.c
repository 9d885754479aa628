#include <criterion/criterion.h>
#include <stdlib.h>

#include "ring/core/prng.h"
#include "ring/core/register.h"

/* A ring of nodes, each acceptor, proposer and learner, on a network that reorders, repeats and
 * loses, with nodes that fall and come back with what was durable. Nothing here knows of maps: a
 * value is a number that says who proposed it. */
#define NODES_MAX     5u
#define MESSAGES_MAX  48u
#define PROPOSALS_MAX 64u
#define VERSIONS      4u /* 1 is there; 2, 3 and 4 are decided. */

enum broken { SOUND, NO_PROMISE_CHECK, NO_ADOPTION, PROMISE_LOST };
enum kind { PREPARE, PROMISE, ACCEPT, ACCEPTED, NACK, LEARN };

struct message {
    enum kind kind;
    uint32_t from, to, version, value;
    struct sgn_ballot ballot, other; /* other: accepted (PROMISE) or promised (NACK). */
};

struct node {
    struct sgn_acceptance state; /* Durable, with the committed values. */
    uint32_t committed;
    uint32_t learnt[VERSIONS + 1];
    uint32_t incarnation;
    struct sgn_proposal proposal; /* Not durable. */
    uint32_t value;
    uint64_t clock;
};

struct world {
    struct sgn_prng prng;
    enum broken broken;
    uint32_t count;
    struct node nodes[NODES_MAX];
    struct message messages[MESSAGES_MAX];
    uint32_t message_count;
    uint32_t values[PROPOSALS_MAX]; /* What acceptances point to: values[i] == i. */
    uint32_t value_count;
    /* Who has ever accepted which ballot: a majority makes its value chosen. */
    struct {
        uint32_t version, value, by;
        struct sgn_ballot ballot;
    } ledger[PROPOSALS_MAX];
    uint32_t ledger_count;
    uint32_t chosen[VERSIONS + 1]; /* 0: none. */
    bool split;                    /* Two values of one version chosen or learnt. */
};

static uint32_t below(struct world *world, uint32_t bound)
{
    return (uint32_t)sgn_prng_below(&world->prng, bound);
}

static void chosen(struct world *world, uint32_t version, uint32_t value)
{
    world->split |= world->chosen[version] != 0 && world->chosen[version] != value;
    world->chosen[version] = value;
}

static void ledger_add(struct world *world, uint32_t by, const struct message *accept)
{
    uint32_t i = 0;
    while (i < world->ledger_count &&
           (world->ledger[i].version != accept->version ||
            sgn_ballot_compare(&world->ledger[i].ballot, &accept->ballot) != 0)) {
        i++;
    }
    if (i == world->ledger_count) {
        cr_assert_lt(i, PROPOSALS_MAX);
        world->ledger_count++;
        world->ledger[i].version = accept->version;
        world->ledger[i].ballot = accept->ballot;
        world->ledger[i].value = accept->value;
        world->ledger[i].by = 0;
    }
    world->ledger[i].by |= 1u << by;
    cr_assert_eq(world->ledger[i].value, accept->value);
    if (sgn_popcount(world->ledger[i].by) > world->count / 2) {
        chosen(world, accept->version, accept->value);
    }
}

static void send(struct world *world, const struct message *message)
{
    if (world->message_count < MESSAGES_MAX) { /* Else it is lost. */
        world->messages[world->message_count++] = *message;
    }
}

static void send_all(struct world *world, struct message message)
{
    for (message.to = 0; message.to < world->count; message.to++) {
        send(world, &message);
    }
}

static void learn(struct world *world, uint32_t at, uint32_t version, uint32_t value)
{
    struct node *node = &world->nodes[at];
    if (version > node->committed) { /* It may skip versions: a later map is known chosen too. */
        node->committed = version;
        node->learnt[version] = value;
        node->proposal.phase = SGN_PROPOSAL_NONE;
    }
    world->split |= world->chosen[version] != value;
}

static void propose(struct world *world, uint32_t at)
{
    struct node *node = &world->nodes[at];
    if (node->committed == VERSIONS || world->value_count == PROPOSALS_MAX) {
        return;
    }
    node->clock += 1 + below(world, 3);
    struct sgn_ballot ballot = {node->clock, at + 1, node->incarnation, 0};
    sgn_proposal_begin(&node->proposal, node->committed + 1, &ballot, world->count);
    node->value = world->value_count;
    world->values[world->value_count] = world->value_count;
    world->value_count++;
    send_all(world,
             (struct message){
                 .kind = PREPARE, .from = at, .version = node->proposal.version, .ballot = ballot});
}

/* By the rule, or without its promise check. */
static enum sgn_acceptor_verdict accept(struct world *world,
                                        struct node *node,
                                        const struct message *message)
{
    struct sgn_bytes value = sgn_bytes_of(&world->values[message->value], sizeof(uint32_t));
    struct sgn_ballot promised = node->state.promised;
    if (world->broken == NO_PROMISE_CHECK) {
        node->state.promised = (struct sgn_ballot){.hlc = 0};
    }
    enum sgn_acceptor_verdict verdict = sgn_register_on_accept(
        &node->state, node->committed, message->version, &message->ballot, value);
    if (verdict == SGN_ACCEPTOR_OTHER_VERSION) {
        node->state.promised = promised;
    }
    return verdict;
}

static void request(struct world *world, const struct message *message)
{
    struct node *node = &world->nodes[message->to];
    struct message answer = {.from = message->to,
                             .to = message->from,
                             .version = message->version,
                             .ballot = message->ballot};
    enum sgn_acceptor_verdict verdict;
    if (message->kind == PREPARE) {
        verdict = sgn_register_on_prepare(
            &node->state, node->committed, message->version, &message->ballot);
        answer.kind = PROMISE;
        answer.other = node->state.accepted;
        if (node->state.value.count > 0) {
            memcpy(&answer.value, node->state.value.ptr, sizeof(uint32_t));
        }
    } else {
        verdict = accept(world, node, message);
        answer.kind = ACCEPTED;
        if (verdict == SGN_ACCEPTOR_YES) {
            ledger_add(world, message->to, message);
        }
    }
    if (verdict == SGN_ACCEPTOR_OTHER_VERSION) {
        if (message->version <= node->committed && node->learnt[node->committed] != 0) {
            send(world,
                 &(struct message){.kind = LEARN,
                                   .to = message->from,
                                   .version = node->committed,
                                   .value = node->learnt[node->committed]});
        }
        return;
    }
    if (verdict == SGN_ACCEPTOR_NACK) {
        answer.kind = NACK;
        answer.other = node->state.promised;
    }
    send(world, &answer);
}

static void answer(struct world *world, const struct message *message)
{
    struct node *node = &world->nodes[message->to];
    struct sgn_proposal *proposal = &node->proposal;
    if (proposal->phase == SGN_PROPOSAL_NONE || proposal->version != message->version ||
        sgn_ballot_compare(&proposal->ballot, &message->ballot) != 0) {
        return; /* Of an earlier attempt. */
    }
    bool preparing = proposal->phase == SGN_PROPOSAL_PREPARING;
    if (message->kind == NACK) {
        sgn_proposal_nacked(proposal, &message->other);
        node->clock = message->other.hlc > node->clock ? message->other.hlc : node->clock;
    } else if (message->kind == ACCEPTED) {
        sgn_proposal_accepted(proposal, message->from);
    } else if (sgn_proposal_promised(proposal, message->from, &message->other) &&
               world->broken != NO_ADOPTION) {
        node->value = message->value;
    }
    if (preparing && proposal->phase == SGN_PROPOSAL_ACCEPTING) {
        send_all(world,
                 (struct message){.kind = ACCEPT,
                                  .from = message->to,
                                  .version = proposal->version,
                                  .ballot = proposal->ballot,
                                  .value = node->value});
    } else if (proposal->phase == SGN_PROPOSAL_CHOSEN) {
        uint32_t version = proposal->version;
        learn(world, message->to, version, node->value);
        send_all(world, (struct message){.kind = LEARN, .version = version, .value = node->value});
    }
}

/* The durable state by way of its bytes; all else is gone. */
static void restart(struct world *world, uint32_t at)
{
    struct node *node = &world->nodes[at];
    uint8_t raw[SGN_REGISTER_HEAD_BYTES + sizeof(uint32_t)];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    sgn_acceptance_encode(&node->state, &sink);
    struct sgn_bytes value = node->state.value;
    cr_assert(!sink.full);
    cr_assert_eq(sgn_acceptance_decode(sgn_sink_bytes(&sink), &node->state), SGN_OK);
    cr_assert(sgn_bytes_equal(node->state.value, value));
    node->state.value = value; /* raw ends with this function. */
    if (world->broken == PROMISE_LOST) {
        node->state.promised = node->state.accepted;
    }
    node->incarnation++;
    node->proposal.phase = SGN_PROPOSAL_NONE;
}

static void deliver(struct world *world)
{
    uint32_t at = below(world, world->message_count);
    struct message message = world->messages[at];
    if (!sgn_prng_chance(&world->prng, 60)) { /* Else it will come once more. */
        world->messages[at] = world->messages[--world->message_count];
    }
    if (sgn_prng_chance(&world->prng, 40)) {
        return; /* Lost. */
    }
    if (message.kind == PREPARE || message.kind == ACCEPT) {
        request(world, &message);
    } else if (message.kind == LEARN) {
        learn(world, message.to, message.version, message.value);
    } else {
        answer(world, &message);
    }
}

/* One schedule; returns how many versions were decided. */
static uint32_t run(struct world *world, uint64_t seed, uint32_t count, enum broken broken)
{
    memset(world, 0, sizeof(*world));
    world->prng.state = seed;
    world->broken = broken;
    world->count = count;
    world->value_count = 1;
    for (uint32_t i = 0; i < count; i++) {
        world->nodes[i].committed = 1;
        world->nodes[i].incarnation = 1;
    }
    uint32_t proposers = 1 + below(world, count);
    for (uint32_t step = 0; step < 140 && !world->split; step++) {
        uint32_t lot = below(world, 100);
        if (lot < 6 || world->message_count == 0) {
            propose(world, below(world, proposers));
        } else if (lot < 9) {
            restart(world, below(world, count));
        } else {
            deliver(world);
        }
    }
    uint32_t decided = 0;
    for (uint32_t version = 2; version <= VERSIONS; version++) {
        decided += world->chosen[version] != 0 ? 1 : 0;
    }
    return decided;
}

Test(registers, at_most_one_value_is_chosen)
{
    static struct world world;
    uint32_t decided[VERSIONS + 1] = {0};
    for (uint64_t seed = 1; seed <= 240000; seed++) {
        decided[run(&world, seed, seed % 2 == 0 ? 3 : 5, SOUND)]++;
        cr_assert(!world.split, "seed %u", (uint32_t)seed);
    }
    /* It decides, too, and more than once in a row. */
    cr_assert(decided[1] > 5000 && decided[2] > 20000 && decided[3] > 50000,
              "%u %u %u %u",
              decided[0],
              decided[1],
              decided[2],
              decided[3]);
}

Test(registers, broken_rules_are_seen)
{
    static struct world world;
    for (enum broken broken = NO_PROMISE_CHECK; broken <= PROMISE_LOST; broken++) {
        uint32_t splits = 0;
        for (uint64_t seed = 1; seed <= 40000; seed++) {
            (void)run(&world, seed, seed % 2 == 0 ? 3 : 5, broken);
            splits += world.split ? 1 : 0;
        }
        cr_assert_gt(splits, 0, "rule %u", broken);
    }
}

Test(registers, acceptors_step_by_step)
{
    struct sgn_acceptance state = {.version = 0}, back;
    struct sgn_ballot zero = {.hlc = 0}, low = {1, 1, 1, 0}, high = {2, 1, 1, 0},
                      top = {3, 1, 1, 0};
    struct sgn_bytes value = sgn_bytes_str("value");
    /* Only the version after the committed one (6.4). */
    cr_assert_eq(sgn_register_on_prepare(&state, 1, 3, &low), SGN_ACCEPTOR_OTHER_VERSION);
    cr_assert_eq(sgn_register_on_prepare(&state, 1, 1, &low), SGN_ACCEPTOR_OTHER_VERSION);
    cr_assert_eq(sgn_register_on_accept(&state, UINT32_MAX, 0, &low, value),
                 SGN_ACCEPTOR_OTHER_VERSION);
    cr_assert_eq(state.version, 0);
    cr_assert_eq(sgn_register_on_prepare(&state, 1, 2, &zero), SGN_ACCEPTOR_NACK);
    cr_assert_eq(sgn_register_on_prepare(&state, 1, 2, &high), SGN_ACCEPTOR_YES);
    cr_assert_eq(sgn_register_on_prepare(&state, 1, 2, &high), SGN_ACCEPTOR_YES);
    cr_assert_eq(sgn_register_on_prepare(&state, 1, 2, &low), SGN_ACCEPTOR_NACK);
    cr_assert_eq(sgn_register_on_accept(&state, 1, 2, &low, value), SGN_ACCEPTOR_NACK);
    cr_assert(sgn_ballot_is_zero(&state.accepted) && state.value.count == 0);
    cr_assert_eq(sgn_register_on_accept(&state, 1, 2, &high, value), SGN_ACCEPTOR_YES);
    cr_assert_eq(sgn_register_on_accept(&state, 1, 2, &top, value), SGN_ACCEPTOR_YES);
    cr_assert_eq(sgn_register_on_prepare(&state, 1, 2, &high),
                 SGN_ACCEPTOR_NACK); /* Accepted top. */

    uint8_t raw[SGN_REGISTER_HEAD_BYTES + 8];
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    sgn_acceptance_encode(&state, &sink);
    cr_assert_eq(sink.count, SGN_REGISTER_HEAD_BYTES + 5);
    cr_assert_eq(sgn_acceptance_decode(sgn_sink_bytes(&sink), &back), SGN_OK);
    cr_assert(back.version == 2 && sgn_ballot_compare(&back.promised, &top) == 0 &&
              sgn_ballot_compare(&back.accepted, &top) == 0 && sgn_bytes_equal(back.value, value));
    for (size_t count = 0; count <= SGN_REGISTER_HEAD_BYTES; count++) {
        cr_assert_eq(sgn_acceptance_decode(sgn_bytes_of(raw, count), &back), SGN_ERR_INVALID);
    }
    back = state;
    back.promised = low; /* Below what it accepted. */
    sink = sgn_sink_of(raw, sizeof(raw));
    sgn_acceptance_encode(&back, &sink);
    cr_assert_eq(sgn_acceptance_decode(sgn_sink_bytes(&sink), &back), SGN_ERR_INVALID);

    /* What was accepted for a version below is void, and a version above is none of ours. */
    cr_assert_eq(sgn_register_on_prepare(&state, 2, 3, &low), SGN_ACCEPTOR_YES);
    cr_assert(state.version == 3 && sgn_ballot_is_zero(&state.accepted) && state.value.count == 0);
    cr_assert_eq(sgn_register_on_prepare(&state, 1, 2, &top), SGN_ACCEPTOR_OTHER_VERSION);
}

Test(registers, proposers_step_by_step)
{
    struct sgn_ballot zero = {.hlc = 0}, low = {1, 1, 1, 0}, high = {2, 1, 1, 0},
                      top = {3, 1, 1, 0};
    struct sgn_proposal proposal;
    sgn_proposal_begin(&proposal, 2, &high, 4);
    sgn_proposal_accepted(&proposal, 3); /* Of no phase that is. */
    cr_assert(!sgn_proposal_promised(&proposal, 0, &zero) && !proposal.adopted);
    cr_assert(sgn_proposal_promised(&proposal, 3, &low) && proposal.adopted);
    cr_assert(!sgn_proposal_promised(&proposal, 3, &low)); /* Twice is once. */
    cr_assert(!sgn_proposal_promised(&proposal, 4, &low)); /* No voter. */
    cr_assert_eq(proposal.phase, SGN_PROPOSAL_PREPARING);  /* Two of four are none. */
    cr_assert(!sgn_proposal_promised(&proposal, 1, &zero));
    cr_assert_eq(proposal.phase, SGN_PROPOSAL_ACCEPTING);
    sgn_proposal_nacked(&proposal, &low); /* That refused an earlier one. */
    sgn_proposal_accepted(&proposal, 0);
    sgn_proposal_accepted(&proposal, 0);
    sgn_proposal_accepted(&proposal, 1);
    cr_assert_eq(proposal.phase, SGN_PROPOSAL_ACCEPTING);
    sgn_proposal_accepted(&proposal, 2);
    cr_assert_eq(proposal.phase, SGN_PROPOSAL_CHOSEN);
    sgn_proposal_nacked(&proposal, &top);
    cr_assert_eq(proposal.phase, SGN_PROPOSAL_CHOSEN);
    sgn_proposal_begin(&proposal, 2, &top, 7); /* Of several, the highest, in whatever order. */
    cr_assert(!sgn_proposal_promised(&proposal, 0, &zero));
    cr_assert(sgn_proposal_promised(&proposal, 1, &low));
    cr_assert(sgn_proposal_promised(&proposal, 2, &top));
    cr_assert(!sgn_proposal_promised(&proposal, 3, &high));
    cr_assert(sgn_ballot_compare(&proposal.best, &top) == 0);
    sgn_proposal_begin(&proposal, 2, &high, SGN_NODES_MAX);
    cr_assert(sgn_proposal_promised(&proposal, SGN_NODES_MAX - 1, &low) && proposal.votes == 1);
    sgn_proposal_nacked(&proposal, &top);
    cr_assert(proposal.phase == SGN_PROPOSAL_LOST && sgn_ballot_compare(&proposal.nack, &top) == 0);
    cr_assert(!sgn_proposal_promised(&proposal, 1, &top));
}
