/* tests/lib/dumb_witness.h - a witness as simple as can be, and random steps that a real one takes
 * beside it: a flat list of marks, and the rules of protocol.md 4 written out once more. */
#ifndef SGN_TESTS_DUMB_WITNESS_H
#define SGN_TESTS_DUMB_WITNESS_H

#include "ring/core/prng.h"
#include "ring/core/witness.h"
#include "ring/core/witness_state.h"

#define DUMB_PARTS       8u
#define DUMB_KEYS        24u /* Per partition. */
#define DUMB_ENTRIES_MAX 64u
#define DUMB_NODES       5u
#define DUMB_MARKS_MAX   1024u
#define DUMB_OLD_MS      3000u
#define DUMB_ID          (SGN_WITNESS_BIT | 3u)
#define DUMB_BIRTH       77u

struct dumb_mark {
    bool used;
    uint32_t partition;
    struct sgn_key_hash key;
    struct sgn_ballot ballot;
    uint64_t raised_ms;
};

struct dumb_part {
    bool listed, active, dropped;
    uint32_t epoch;
    bool seeded_by[DUMB_NODES + 1];
};

struct dumb_world {
    struct sgn_prng prng;
    uint64_t now_ms;
    struct dumb_mark marks[DUMB_MARKS_MAX];
    uint32_t mark_count;
    struct dumb_part parts[DUMB_PARTS];
    struct sgn_map map;
    struct sgn_line lines[DUMB_PARTS];
    struct sgn_witness *witness;
    struct sgn_sink room;
    uint64_t overflows, activations, lists_compared, old_seen;
    char wrong[160]; /* The first difference, "": none. */
};

/* No map yet. world->witness is memory to be freed; of the real one's size limits. */
void dumb_begin(struct dumb_world *world, uint64_t seed);
/* Random steps, until the two differ or the count is reached. */
void dumb_run(struct dumb_world *world, uint32_t steps);
/* A later map, by chance followed by an old one. */
void dumb_step_map(struct dumb_world *world);
/* To the real one; what every answer carries is compared. Valid until the next. */
struct sgn_msg dumb_send(struct dumb_world *world, const struct sgn_msg *request);

#endif
