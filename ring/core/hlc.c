#include "ring/core/hlc.h"

uint64_t sgn_hlc_now(struct sgn_hlc *clock, uint64_t wall_ms)
{
    uint64_t wall = sgn_hlc_of_ms(wall_ms);
    clock->last = wall > clock->last ? wall : clock->last + 1;
    return clock->last;
}

enum sgn_err sgn_hlc_merge(struct sgn_hlc *clock, uint64_t remote, uint64_t wall_ms)
{
    if (remote <= clock->last) {
        return SGN_OK;
    }
    /* Remote is then the later of the two; how far it runs ahead of us is judged by whichever
     * of wall and clock is later: a wall that was set back must not make good peers look bad. */
    uint64_t ours_ms = sgn_hlc_ms(clock->last) > wall_ms ? sgn_hlc_ms(clock->last) : wall_ms;
    if (sgn_hlc_ms(remote) > ours_ms && sgn_hlc_ms(remote) - ours_ms > SGN_HLC_AHEAD_MS_MAX) {
        return SGN_ERR_CLOCK;
    }
    clock->last = remote;
    return SGN_OK;
}

int sgn_ballot_compare(const struct sgn_ballot *a, const struct sgn_ballot *b)
{
    if (a->hlc != b->hlc) {
        return a->hlc < b->hlc ? -1 : 1;
    }
    if (a->node != b->node) {
        return a->node < b->node ? -1 : 1;
    }
    if (a->incarnation != b->incarnation) {
        return a->incarnation < b->incarnation ? -1 : 1;
    }
    return (a->step > b->step) - (a->step < b->step);
}
