/* tests/model/once.h - exactly-once requests (3.5): the record, the decide step, and what clients
 * were told. Shared by once.c, where a round is one step, and once_rounds.c, where rounds are
 * Paxos.
 *
 * A lineage lists the requests that each made a rev, three bits a request, oldest lowest; a version
 * is a prefix of it. It also remembers revs that were made before a tombstone was dropped (3.7),
 * which the record itself does not: `dropped` says how many. */
#ifndef SGN_TESTS_ONCE_H
#define SGN_TESTS_ONCE_H

#include "tests/model/mc.h"

#define ONCE_REQUESTS 5u /* Numbers 1..4. */
#define ONCE_OPS      2u /* The window of remembered ids; 16 in the product. */

enum once_type {
    ONCE_NONE,
    ONCE_PUT,
    ONCE_DEL,
    ONCE_IF_ABSENT,  /* Never written or deleted. */
    ONCE_IF_NEVER,   /* By version: never written. */
    ONCE_IF_VERSION, /* By version: that which the request before it made. */
    ONCE_TYPES
};
enum { ONCE_APPLIED = 1, ONCE_REJECTED = 2, ONCE_VOID = 3, ONCE_UNKNOWN = 4 };

struct once_op {
    uint8_t id, verdict;
    uint16_t version;
};

struct once_record {
    uint16_t lineage;
    uint8_t alive;
    uint8_t dropped;
    uint8_t floor; /* Largest stamp among the ids that fell off. */
    uint8_t spare;
    struct once_op ops[ONCE_OPS]; /* Newest first; id 0: none. */
};

struct once_request {
    uint8_t type, stamp;
    uint8_t told; /* 0: nothing, ONCE_APPLIED, or ONCE_REJECTED for "not applied". */
    uint8_t spare;
    uint16_t version;
};

struct once_decision {
    uint8_t verdict;
    bool changes;   /* A new rev. */
    bool remembers; /* An id more; must go through the accept phase. */
    uint16_t version;
};

static inline uint8_t once_rev(uint16_t lineage)
{
    uint8_t rev = 0;
    for (; lineage != 0; lineage = (uint16_t)(lineage >> 3)) {
        rev++;
    }
    return rev;
}
static inline bool once_prefix(uint16_t a, uint16_t b)
{
    return (b & (uint16_t)((1u << (3 * once_rev(a))) - 1u)) == a;
}
static inline uint8_t once_top(uint16_t lineage)
{
    uint8_t rev = once_rev(lineage);
    return (uint8_t)(rev == 0 ? 0 : lineage >> (3 * (rev - 1)));
}
uint32_t once_count(uint16_t lineage, uint32_t request);

/* What request `i` (or, with `resolve`, the question what became of it) makes of *record. */
struct once_decision once_decide(struct once_record *record,
                                 const struct once_request *requests,
                                 uint32_t i,
                                 bool resolve);
/* A client is told. Returns the property violated, or NULL. */
const char *once_tell(struct once_request *request, const struct once_decision *decision);
/* All that was told still holds for this exposed lineage. */
const char *once_check(const struct once_request *requests, uint16_t lineage);

#endif
