/* What the tests of ordered records share. Every check fails the running test. */
#ifndef SGN_TESTS_ORDERED_HELP_H
#define SGN_TESTS_ORDERED_HELP_H

#include "ring/core/ordered.h"

#define ORDERED_RAW_BYTES_MAX 4096u

struct ordered_raw {
    size_t count;
    uint8_t bytes[ORDERED_RAW_BYTES_MAX];
};

/* An assertion that costs nothing when it holds: there are millions. */
void ordered_check(bool holds, const char *what);
struct sgn_request_id ordered_id(uint32_t number); /* Never all zero. */
/* With IF_ANY and a body, a static string. */
struct sgn_change ordered_change(enum sgn_change_kind kind, uint32_t id, uint64_t stamp);
bool ordered_same_version(const struct sgn_version *a, const struct sgn_version *b);
struct ordered_raw ordered_encoded(const struct sgn_ordered *record, bool with_body);
/* With and without body: what is written is read, and it is the same record. */
void ordered_round_trip(const struct sgn_ordered *record);
/* One round: *record becomes what is decided, which must be well-formed. */
struct sgn_decision ordered_step(struct sgn_ordered *record,
                                 const struct sgn_change *change,
                                 const struct sgn_ballot *b);

#endif
