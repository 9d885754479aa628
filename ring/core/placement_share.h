/* ring/core/placement_share.h - how many slots each member is to hold; a part of the placement
 * solver.
 *
 * By weight alone a member would hold Q*N*weight/sum slots. Two things forbid that at times: a
 * member holds a partition once (at most Q slots), and rows spread over min(N, zones) zones. With
 * at least N zones the latter means that a zone holds at most Q slots; with fewer, that it holds
 * at least Q. What a limit takes from one is shared among the others by weight, again and again
 * until it fits. Whole numbers only, so that every machine gets the same.
 * Owns: nothing; the arrays are scratch of the caller. Threads, failure: pure, cannot fail. */
#ifndef SGN_CORE_PLACEMENT_SHARE_H
#define SGN_CORE_PLACEMENT_SHARE_H

#include "ring/core/ring.h"

struct sgn_zone_share {
    uint32_t weight; /* Of all its members. */
    uint32_t capped; /* Members at the limit of Q slots. */
    uint32_t slots;  /* Each other member's part is slots * its weight / over, in fractions. */
    uint32_t over;
    uint32_t total; /* Whole slots of the zone. */
    bool pinned;    /* Held at exactly Q slots by the limit on zones. */
};

struct sgn_shares {
    uint32_t zone_count;
    struct sgn_zone_share zones[SGN_ZONES_MAX];
    uint8_t *zone;    /* [member] index into zones. */
    uint8_t *capped;  /* [member] 1 at the limit of Q slots. */
    uint32_t *target; /* [member] slots to hold; they add up to Q*N. */
    uint64_t *left;   /* [member] scratch for rounding. */
};

/* Fills all of `shares` but the pointers, which are the caller's with room for every member. The
 * ring must be valid and have at least replica_count members; its table is not looked at. */
void sgn_shares_compute(struct sgn_shares *shares, const struct sgn_ring *ring);

uint32_t sgn_ring_weight_sum(const struct sgn_ring *ring);

#endif
