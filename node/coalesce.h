/* node/coalesce.h - for how many checks it is worth to hold a message to the witnesses.
 *
 * A check of a strong read (protocol.md 5.2) costs little and the message that takes it much:
 * it wakes two witnesses, and they this node. The engine gathers the checks that come while an
 * earlier message is unanswered (ring/core/order_barrier.c). Where processors are busy that is not
 * enough: then answers are late because of the messages. So checks are held for company as long as
 * answers are late, some times over, and not at all where answers come as fast as they ever do.
 *
 * Pure: the caller brings the time. One thread at a time. */
#ifndef SGN_NODE_COALESCE_H
#define SGN_NODE_COALESCE_H

#include <stdint.h>

/* More than this brings no more, and outlasts what callers have under way. */
#define SGN_COALESCE_LATE_TIMES 3u
/* Fewer checks than this are not waited for: with so few callers it saves little, and one of them
 * who is late makes the others wait in vain. */
#define SGN_COALESCE_CHECKS_MIN 6u
/* After so long without a message nothing is known any more. */
#define SGN_COALESCE_PAUSE_US 100000u
/* An answer later than that counts as so late: it was a pause of somebody, not a queue. */
#define SGN_COALESCE_ANSWER_US_MAX 2000u
/* The fastest answer is that of so long, and of as long before. */
#define SGN_COALESCE_WINDOW_US 500000u

/* All zero: nothing known, nothing held. */
struct sgn_coalesce {
    uint64_t asked_us;                    /* When the last message left. */
    double checks_per_us;                 /* Averages over some 16 messages. */
    double answer_us;                     /* From a message to the last answer to it. */
    double fastest_us, fastest_so_far_us; /* In the last window and in this one; 0: not known. */
    double under_way;   /* Checks asked and gathered together when an answer comes, averaged. */
    uint32_t asked;     /* With the last message, while it is unanswered; else 0. */
    uint64_t window_us; /* When this one began. */
    uint32_t worth;
};

/* A message with so many checks leaves; the one before it is answered. */
void sgn_coalesce_asked(struct sgn_coalesce *coalesce, uint64_t now_us, uint32_t checks);
/* The last answer to it is here; so many more checks have gathered meanwhile. */
void sgn_coalesce_answered(struct sgn_coalesce *coalesce, uint64_t now_us, uint32_t gathered);
/* For how many checks in one message it is worth to wait; 0: for none. They are expected within
 * SGN_COALESCE_LATE_TIMES what answers are late by, and are no more than two thirds of what callers
 * have under way at once. That they come is not certain: the caller waits a bounded time. */
static inline uint32_t sgn_coalesce_worth(const struct sgn_coalesce *coalesce)
{
    return coalesce->worth;
}

#endif
