#include "ring/core/register.h"

#include "ring/core/check.h"

_Static_assert(SGN_REGISTER_HEAD_BYTES == 4 + 2 * SGN_BALLOT_BYTES, "version and two ballots");

void sgn_acceptance_encode(const struct sgn_acceptance *acceptance, struct sgn_sink *sink)
{
    sgn_sink_uint(sink, acceptance->version, 4);
    sgn_ballot_put(sink, &acceptance->promised);
    sgn_ballot_put(sink, &acceptance->accepted);
    sgn_sink_put(sink, acceptance->value.ptr, acceptance->value.count);
}

enum sgn_err sgn_acceptance_decode(struct sgn_bytes bytes, struct sgn_acceptance *acceptance)
{
    struct sgn_cursor cursor = sgn_cursor_of(bytes);
    acceptance->version = (uint32_t)sgn_cursor_uint(&cursor, 4);
    acceptance->promised = sgn_ballot_take(&cursor);
    acceptance->accepted = sgn_ballot_take(&cursor);
    acceptance->value = sgn_cursor_take(&cursor, cursor.left);
    /* A ballot accepted has a value, none has none; and accepting promises. */
    bool good = !cursor.bad &&
                sgn_ballot_is_zero(&acceptance->accepted) == (acceptance->value.count == 0) &&
                sgn_ballot_compare(&acceptance->accepted, &acceptance->promised) <= 0;
    if (!good) {
        *acceptance = (struct sgn_acceptance){.version = 0};
        return SGN_ERR_INVALID;
    }
    return SGN_OK;
}

/* Only the version after the committed one is decided here: the value of `version` names the voters
 * of the next, and a map that is not known chosen names nobody (protocol-check C16). State of a
 * version below is void, for that version was decided without it. */
static bool enter(struct sgn_acceptance *state, uint32_t committed, uint32_t version)
{
    if (version == 0 || version - 1 != committed || state->version > version) {
        return false;
    }
    if (state->version < version) {
        *state = (struct sgn_acceptance){.version = version};
    }
    return true;
}

enum sgn_acceptor_verdict sgn_register_on_prepare(struct sgn_acceptance *state,
                                                  uint32_t committed,
                                                  uint32_t version,
                                                  const struct sgn_ballot *ballot)
{
    if (!enter(state, committed, version)) {
        return SGN_ACCEPTOR_OTHER_VERSION;
    }
    /* The same ballot again is the same message again; a zero one is no ballot. */
    if (sgn_ballot_is_zero(ballot) || sgn_ballot_compare(ballot, &state->promised) < 0) {
        return SGN_ACCEPTOR_NACK;
    }
    state->promised = *ballot;
    return SGN_ACCEPTOR_YES;
}

enum sgn_acceptor_verdict sgn_register_on_accept(struct sgn_acceptance *state,
                                                 uint32_t committed,
                                                 uint32_t version,
                                                 const struct sgn_ballot *ballot,
                                                 struct sgn_bytes value)
{
    if (!enter(state, committed, version)) {
        return SGN_ACCEPTOR_OTHER_VERSION;
    }
    if (sgn_ballot_is_zero(ballot) || sgn_ballot_compare(ballot, &state->promised) < 0) {
        return SGN_ACCEPTOR_NACK;
    }
    state->promised = *ballot;
    state->accepted = *ballot;
    state->value = value;
    return SGN_ACCEPTOR_YES;
}

void sgn_proposal_begin(struct sgn_proposal *proposal,
                        uint32_t version,
                        const struct sgn_ballot *ballot,
                        uint32_t voters)
{
    SGN_ASSERT(version > 0 && voters > 0 && voters <= SGN_NODES_MAX);
    SGN_ASSERT(!sgn_ballot_is_zero(ballot));
    *proposal = (struct sgn_proposal){
        .phase = SGN_PROPOSAL_PREPARING, .version = version, .ballot = *ballot, .voters = voters};
}

/* Counts a voter's answer of the present phase, once however often it comes; true for the first. */
static bool vote(struct sgn_proposal *proposal, uint32_t voter)
{
    if (voter >= proposal->voters) {
        return false;
    }
    uint64_t bit = UINT64_C(1) << voter % 64;
    if ((proposal->voted[voter / 64] & bit) != 0) {
        return false;
    }
    proposal->voted[voter / 64] |= bit;
    proposal->votes++;
    return true;
}

static bool has_majority(const struct sgn_proposal *proposal)
{
    return proposal->votes >= proposal->voters / 2 + 1;
}

bool sgn_proposal_promised(struct sgn_proposal *proposal,
                           uint32_t voter,
                           const struct sgn_ballot *accepted)
{
    if (proposal->phase != SGN_PROPOSAL_PREPARING || !vote(proposal, voter)) {
        return false;
    }
    bool higher = sgn_ballot_compare(accepted, &proposal->best) > 0;
    if (higher) {
        proposal->best = *accepted;
        proposal->adopted = true;
    }
    if (has_majority(proposal)) {
        proposal->phase = SGN_PROPOSAL_ACCEPTING;
        proposal->votes = 0;
        memset(proposal->voted, 0, sizeof(proposal->voted));
    }
    return higher;
}

void sgn_proposal_accepted(struct sgn_proposal *proposal, uint32_t voter)
{
    if (proposal->phase == SGN_PROPOSAL_ACCEPTING && vote(proposal, voter) &&
        has_majority(proposal)) {
        proposal->phase = SGN_PROPOSAL_CHOSEN;
    }
}

void sgn_proposal_nacked(struct sgn_proposal *proposal, const struct sgn_ballot *promised)
{
    bool open =
        proposal->phase == SGN_PROPOSAL_PREPARING || proposal->phase == SGN_PROPOSAL_ACCEPTING;
    /* One at or below our own ballot refused an earlier attempt. */
    if (open && sgn_ballot_compare(promised, &proposal->ballot) > 0) {
        proposal->nack = *promised;
        proposal->phase = SGN_PROPOSAL_LOST;
    }
}
