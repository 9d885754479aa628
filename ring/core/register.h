/* ring/core/register.h - how the ring's map is agreed on: one Paxos decision per version.
 *
 * protocol.md 6 and 6.4. Version v+1 is decided by a majority of the *voters of map v* (all members
 * of the ring; the map is their only common memory), each of which takes part only while v is its
 * own committed map. So nobody ever proposes on top of a map that is not known chosen, and voters
 * change one version at a time by construction: the quorums of v+1 are fixed by the value of v.
 * That is the shorter proof of the two the protocol leaves open; docs/consistency.md has it.
 *
 * Acceptor and proposer of one node. The acceptor's promise and acceptance are durable before they
 * are answered. At most one proposal of this node at a time. A proposal that meets an accepted
 * value of the same version proposes that one instead; its own then has to be made anew.
 *
 * Pure; the engine carries the messages (REG_PREPARE, REG_ACCEPT, REG_ANSWER, MAP_IS) and stores
 * META "map" (committed map) and META "register" (acceptor state). */
#ifndef SGN_CORE_REGISTER_H
#define SGN_CORE_REGISTER_H

#include "ring/core/map.h"
#include "ring/core/ordered.h"

#define SGN_REGISTER_HEAD_BYTES (4u + 2u * SGN_BALLOT_BYTES)

/* Durable state of the acceptor for version `version` (= committed + 1). Older state is void. */
struct sgn_acceptance {
    uint32_t version;
    struct sgn_ballot promised, accepted; /* accepted zero: nothing. */
    struct sgn_bytes value;               /* Map bytes accepted; into memory of the caller. */
};
void sgn_acceptance_encode(const struct sgn_acceptance *acceptance, struct sgn_sink *sink);
enum sgn_err sgn_acceptance_decode(struct sgn_bytes bytes, struct sgn_acceptance *acceptance);

/* Acceptor rules: what to answer, and whether the new state must be durable first. */
enum sgn_acceptor_verdict { SGN_ACCEPTOR_YES, SGN_ACCEPTOR_NACK, SGN_ACCEPTOR_OTHER_VERSION };
/* YES: *state was changed and must be durable before the answer. `committed`: own map version. */
enum sgn_acceptor_verdict sgn_register_on_prepare(struct sgn_acceptance *state,
                                                  uint32_t committed,
                                                  uint32_t version,
                                                  const struct sgn_ballot *ballot);
enum sgn_acceptor_verdict sgn_register_on_accept(struct sgn_acceptance *state,
                                                 uint32_t committed,
                                                 uint32_t version,
                                                 const struct sgn_ballot *ballot,
                                                 struct sgn_bytes value);

/* Proposer. Votes are counted by member index of the ring (bit sets over SGN_NODES_MAX). */
enum sgn_proposal_phase {
    SGN_PROPOSAL_NONE,
    SGN_PROPOSAL_PREPARING,
    SGN_PROPOSAL_ACCEPTING,
    SGN_PROPOSAL_CHOSEN,
    SGN_PROPOSAL_LOST
};
struct sgn_proposal {
    enum sgn_proposal_phase phase;
    uint32_t version;
    struct sgn_ballot ballot;
    struct sgn_ballot best; /* Highest accepted ballot among the promises. */
    bool adopted;           /* The value is another's, found among the promises. */
    uint32_t voters;        /* member_count */
    uint32_t votes;
    uint64_t voted[SGN_NODES_MAX / 64];
    struct sgn_ballot nack; /* Highest promised ballot that refused us. */
};
void sgn_proposal_begin(struct sgn_proposal *proposal,
                        uint32_t version,
                        const struct sgn_ballot *ballot,
                        uint32_t voters);
/* Answers are counted for the proposal's own version and ballot only: the caller compares both
 * before it hands one in. An answer that comes twice, or in another phase, changes nothing.
 *
 * An answer of the voter with that index. PREPARING: `accepted` (zero: none) is what it has
 * accepted; true if the caller must take *its* value as the value to propose (a higher one than any
 * before). Phase moves to ACCEPTING at a majority; the caller then sends REG_ACCEPT. */
bool sgn_proposal_promised(struct sgn_proposal *proposal,
                           uint32_t voter,
                           const struct sgn_ballot *accepted);
/* ACCEPTING: phase moves to CHOSEN at a majority. */
void sgn_proposal_accepted(struct sgn_proposal *proposal, uint32_t voter);
/* Refused with a higher promise, or overtaken: LOST. */
void sgn_proposal_nacked(struct sgn_proposal *proposal, const struct sgn_ballot *promised);

#endif
