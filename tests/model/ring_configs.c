/* tests/model/ring_configs.c - configurations of the ring model.
 *
 * A name says what happens, then the rounds: digits are requests (0: an identity round), c chains,
 * u is the unowned round of mutant 6; +2r: two readers at once, r: one where others of the kind
 * have none. f0: one witness, f = 0, which is enough for what concerns each witness by itself. */
#include "tests/model/ring_model.h"

/* Replicas A B C D and witnesses as masks. */
enum { A = 1, B = 2, C = 4, D = 8, E = 16, ABC = 7, ABD = 11, AB = 3, ABCDE = 31 };
enum { W0 = 1, W1 = 2, W012 = 7, W2 = 4, W01234 = 31, W123 = 14, W345 = 56, W013 = 11 };

#define ROUNDS_1                                                                                   \
    {                                                                                              \
        {0},                                                                                       \
        {                                                                                          \
            .op = 1                                                                                \
        }                                                                                          \
    }
#define ROUNDS_12                                                                                  \
    {                                                                                              \
        {0}, {.op = 1},                                                                            \
        {                                                                                          \
            .op = 2                                                                                \
        }                                                                                          \
    }
#define ROUNDS_10                                                                                  \
    {                                                                                              \
        {0}, {.op = 1},                                                                            \
        {                                                                                          \
            .op = 0                                                                                \
        }                                                                                          \
    }
#define PLAIN(group_, f_)                                                                          \
    {                                                                                              \
        .set = ABC, .in_sync = ABC, .group = (group_), .f = (f_)                                   \
    }

/* Laid out by hand: one member a line would be a thousand lines. */
/* clang-format off */
/* One request and a second one chained on it. */
#define CHAIN {{0}, {.op = 1}, {.op = 2, .kind = KIND_CHAINED, .chains_on = 1}}
/* C goes out, catches up and is in_sync again. */
#define OUT_IN \
    {PLAIN(W0, 0), {.set = ABC, .in_sync = AB, .group = W0}, \
     {.set = ABC, .in_sync = AB, .catching = C, .group = W0}, \
     {.set = ABC, .in_sync = ABC, .group = W0, .needs_synced = C}}
/* D takes the place of C. */
#define MOVE \
    {PLAIN(W0, 0), {.set = ABD, .old = ABC, .in_sync = ABC, .catching = D, .group = W0}, \
     {.set = ABD, .in_sync = ABD, .group = W0, .needs_synced = D}}
/* C loses its disk and comes back with another one: as D. */
#define LOST(group_) \
    {PLAIN(group_, 0), \
     {.set = ABD, .old = ABC, .in_sync = AB, .catching = D, .group = (group_), .needs_gone = C}, \
     {.set = ABD, .in_sync = ABD, .group = (group_), .needs_synced = D}}
/* One witness restarts; all do. */
#define WITNESS \
    {PLAIN(W012, 1), {.set = ABC, .in_sync = ABC, .group = W123, .f = 1, .needs_dead = W0}}
#define FLEET \
    {PLAIN(W012, 1), {.set = ABC, .in_sync = ABC, .group = W345, .f = 1, .needs_dead = W012}}

const struct ring_config ring_configs[] = {
    {.name = "one-epoch/12", .reps = 3, .wits = 3, .epochs = 1, .rounds = 2, .readers = 1,
     .options = RING_FAST | RING_SLOW | RING_COUNT | RING_RESTARTS | RING_LATE,
     .round = ROUNDS_12, .epoch = {PLAIN(W012, 1)}},
    {.name = "one-epoch/10", .reps = 3, .wits = 3, .epochs = 1, .rounds = 2, .readers = 1,
     .options = RING_FAST | RING_SLOW | RING_COUNT | RING_RESTARTS | RING_LATE,
     .round = ROUNDS_10, .epoch = {PLAIN(W012, 1)}},
    {.name = "one-epoch/1+2r", .reps = 3, .wits = 3, .epochs = 1, .rounds = 1, .readers = 2,
     .options = RING_FAST | RING_SLOW | RING_COUNT | RING_RESTARTS | RING_LATE, .round = ROUNDS_1,
     .epoch = {PLAIN(W012, 1)}},
    {.name = "one-epoch/12+2r", .reps = 3, .wits = 3, .epochs = 1, .rounds = 2, .readers = 2,
     .options = RING_FAST | RING_SLOW | RING_COUNT | RING_RESTARTS, .round = ROUNDS_12,
     .epoch = {PLAIN(W012, 1)}},
    {.name = "one-epoch/123", .reps = 3, .wits = 3, .epochs = 1, .rounds = 3, .readers = 1,
     .options = RING_FAST | RING_SLOW | RING_COUNT | RING_RESTARTS,
     .round = {{0}, {.op = 1}, {.op = 2}, {.op = 3}}, .epoch = {PLAIN(W012, 1)}},
    {.name = "one-epoch/1c2", .reps = 3, .wits = 3, .epochs = 1, .rounds = 2, .readers = 1,
     .options = RING_FAST | RING_SLOW | RING_COUNT | RING_RESTARTS | RING_LATE,
     .rep_class = {0, 1, 1}, .round = CHAIN, .epoch = {PLAIN(W012, 1)}},
    {.name = "one-epoch/1c23", .reps = 3, .wits = 1, .epochs = 1, .rounds = 3, .readers = 1,
     .options = RING_FAST | RING_SLOW | RING_COUNT | RING_RESTARTS, .rep_class = {0, 1, 1},
     .round = {{0}, {.op = 1}, {.op = 2, .kind = KIND_CHAINED, .chains_on = 1}, {.op = 3}},
     .epoch = {PLAIN(W0, 0)}},
    {.name = "one-epoch/121", .reps = 3, .wits = 1, .epochs = 1, .rounds = 3, .readers = 0,
     .options = RING_RESTARTS, .round = {{0}, {.op = 1}, {.op = 2}, {.op = 1}},
     .epoch = {PLAIN(W0, 0)}},
    {.name = "one-epoch/1u20", .reps = 3, .wits = 1, .epochs = 1, .rounds = 3, .readers = 0,
     .options = RING_RESTARTS,
     .round = {{0}, {.op = 1}, {.op = 2, .kind = KIND_UNOWNED}, {.op = 0}},
     .epoch = {PLAIN(W0, 0)}},
    {.name = "one-epoch/1c2c3", .reps = 3, .wits = 1, .epochs = 1, .rounds = 3, .readers = 1,
     .options = RING_FAST | RING_SLOW | RING_COUNT | RING_RESTARTS, .rep_class = {0, 1, 1},
     .round = {{0}, {.op = 1}, {.op = 2, .kind = KIND_CHAINED, .chains_on = 1},
     {.op = 3, .kind = KIND_CHAINED, .chains_on = 1, .ballot = 2}}, .epoch = {PLAIN(W0, 0)}},
    {.name = "two-epochs/1", .reps = 3, .wits = 3, .epochs = 2, .rounds = 1, .readers = 1,
     .options = RING_FAST | RING_SLOW | RING_COUNT | RING_RESTARTS, .round = ROUNDS_1,
     .epoch = {PLAIN(W012, 1), PLAIN(W012, 1)}},
    {.name = "two-epochs/12", .reps = 3, .wits = 1, .epochs = 2, .rounds = 2, .readers = 1,
     .options = RING_FAST | RING_RESTARTS, .round = ROUNDS_12,
     .epoch = {PLAIN(W0, 0), PLAIN(W0, 0)}},
    {.name = "witness/1", .reps = 3, .wits = 4, .epochs = 2, .rounds = 1, .readers = 1,
     .options = RING_FAST | RING_RESTARTS, .round = ROUNDS_1, .crashes = W0,
     .wit_class = {0, 1, 1, 2}, .epoch = WITNESS},
    {.name = "fleet/1", .reps = 3, .wits = 6, .epochs = 2, .rounds = 1, .readers = 1,
     .options = RING_FAST | RING_RESTARTS, .round = ROUNDS_1, .crashes = W012,
     .wit_class = {0, 0, 0, 1, 1, 1}, .epoch = FLEET},
    {.name = "out-in/1", .reps = 3, .wits = 1, .epochs = 4, .rounds = 1, .readers = 1,
     .options = RING_FAST | RING_RESTARTS, .round = ROUNDS_1, .rep_class = {0, 0, 1},
     .epoch = OUT_IN},
    {.name = "single/1", .reps = 3, .wits = 1, .epochs = 3, .rounds = 1, .readers = 1,
     .options = RING_FAST | RING_RESTARTS, .round = ROUNDS_1, .rep_class = {0, 1, 2},
     .epoch = {{.set = ABC, .in_sync = A, .group = W0},
     {.set = ABC, .in_sync = A, .catching = B, .group = W0},
     {.set = ABC, .in_sync = AB, .group = W0, .needs_synced = B}}},
    {.name = "move/1", .reps = 4, .wits = 1, .epochs = 3, .rounds = 1, .readers = 1,
     .options = RING_FAST | RING_SLOW | RING_COUNT | RING_RESTARTS, .round = ROUNDS_1,
     .rep_class = {0, 0, 1, 2}, .epoch = MOVE},
    {.name = "move/12", .reps = 4, .wits = 1, .epochs = 3, .rounds = 2, .readers = 0,
     .options = RING_RESTARTS, .round = ROUNDS_12, .rep_class = {0, 0, 1, 2},
     .epoch = {PLAIN(0, 0), {.set = ABD, .old = ABC, .in_sync = ABC, .catching = D},
     {.set = ABD, .in_sync = ABD, .needs_synced = D}}},
    {.name = "new-group/1", .reps = 3, .wits = 6, .epochs = 2, .rounds = 1, .readers = 1,
     .options = RING_FAST | RING_SLOW | RING_COUNT | RING_RESTARTS, .round = ROUNDS_1,
     .wit_class = {0, 0, 0, 1, 1, 1}, .epoch = {PLAIN(W012, 1), PLAIN(W345, 1)}},
    {.name = "new-group-out/1", .reps = 3, .wits = 6, .epochs = 2, .rounds = 1, .readers = 1,
     .options = RING_FAST | RING_RESTARTS, .round = ROUNDS_1, .rep_class = {0, 0, 1},
     .wit_class = {0, 0, 0, 1, 1, 1},
     .epoch = {PLAIN(W012, 1), {.set = ABC, .in_sync = AB, .group = W345, .f = 1}}},
    {.name = "no-group/1", .reps = 3, .wits = 6, .epochs = 3, .rounds = 1, .readers = 1,
     .options = RING_FAST, .round = ROUNDS_1, .wit_class = {0, 0, 0, 1, 1, 1},
     .epoch = {PLAIN(W012, 1), PLAIN(0, 0), PLAIN(W345, 1)}},
    {.name = "resize/1", .reps = 3, .wits = 5, .epochs = 2, .rounds = 1, .readers = 1,
     .options = RING_FAST, .round = ROUNDS_1, .wit_class = {0, 0, 0, 1, 1},
     .epoch = {PLAIN(W01234, 2), PLAIN(W012, 1)}},
    {.name = "return/1", .reps = 3, .wits = 4, .epochs = 3, .rounds = 1, .readers = 1,
     .options = RING_FAST, .round = ROUNDS_1, .wit_class = {0, 0, 1, 2},
     .epoch = {PLAIN(W012, 1), PLAIN(W013, 1), PLAIN(W012, 1)}},
    {.name = "overflow/1", .reps = 3, .wits = 3, .epochs = 2, .rounds = 1, .readers = 1,
     .options = RING_FAST | RING_RESTARTS, .round = ROUNDS_1, .overflows = W2,
     .wit_class = {0, 0, 1}, .epoch = {PLAIN(W012, 1), PLAIN(W012, 1)}},
    {.name = "single-of-5/1", .reps = 5, .wits = 1, .epochs = 3, .rounds = 1, .readers = 1,
     .options = RING_FAST, .round = ROUNDS_1, .rep_class = {0, 1, 2, 2, 2}, .start = 1,
     .start_rep = {0, 1, 1, 1, 1}, .start_wit = 1,
     .epoch = {{.set = ABCDE, .in_sync = A, .group = W0},
     {.set = ABCDE, .in_sync = A, .catching = B, .group = W0},
     {.set = ABCDE, .in_sync = AB, .group = W0, .needs_synced = B}}},
    {.name = "witness-push/1", .reps = 3, .wits = 4, .epochs = 2, .rounds = 1, .readers = 1,
     .options = RING_FAST | RING_RESTARTS | RING_PUSH, .round = ROUNDS_1, .crashes = W0,
     .wit_class = {0, 1, 1, 2}, .epoch = WITNESS},
    {.name = "out-in-push/1", .reps = 3, .wits = 1, .epochs = 4, .rounds = 1, .readers = 1,
     .options = RING_FAST | RING_PUSH, .round = ROUNDS_1, .rep_class = {0, 0, 1},
     .epoch = OUT_IN},
    {.name = "witness/12", .reps = 3, .wits = 4, .epochs = 2, .rounds = 2, .readers = 1,
     .options = RING_FAST | RING_RESTARTS, .round = ROUNDS_12, .crashes = W0,
     .wit_class = {0, 1, 1, 2}, .epoch = WITNESS},
    {.name = "fleet/12", .reps = 3, .wits = 6, .epochs = 2, .rounds = 2, .readers = 1,
     .options = RING_FAST, .round = ROUNDS_12, .crashes = W012, .wit_class = {0, 0, 0, 1, 1, 1},
     .epoch = FLEET},
    {.name = "out-in/12", .reps = 3, .wits = 1, .epochs = 4, .rounds = 2, .readers = 1,
     .options = RING_FAST, .round = ROUNDS_12, .rep_class = {0, 0, 1}, .epoch = OUT_IN},
    {.name = "move/12r", .reps = 4, .wits = 1, .epochs = 3, .rounds = 2, .readers = 1,
     .options = RING_FAST, .round = ROUNDS_12, .rep_class = {0, 0, 1, 2}, .epoch = MOVE},
    {.name = "move-fast/1", .reps = 4, .wits = 1, .epochs = 3, .rounds = 1, .readers = 1,
     .options = RING_FAST | RING_RESTARTS, .round = ROUNDS_1, .rep_class = {0, 0, 1, 2},
     .epoch = MOVE},
    {.name = "move-slow/1", .reps = 4, .wits = 1, .epochs = 3, .rounds = 1, .readers = 1,
     .options = RING_SLOW | RING_COUNT, .round = ROUNDS_1, .rep_class = {0, 0, 1, 2},
     .epoch = {PLAIN(0, 0), {.set = ABD, .old = ABC, .in_sync = ABC, .catching = D},
     {.set = ABD, .in_sync = ABD, .needs_synced = D}}},
    {.name = "take/12", .reps = 3, .wits = 1, .epochs = 4, .rounds = 2, .readers = 1,
     .options = RING_FAST | RING_SLOW | RING_TAKE, .round = ROUNDS_12, .rep_class = {0, 0, 1},
     .epoch = OUT_IN, .start = 2, .start_rep = {2, 2, 2}, .start_wit = 2},
    {.name = "one-epoch-f0/12+2r", .reps = 3, .wits = 1, .epochs = 1, .rounds = 2, .readers = 2,
     .options = RING_FAST | RING_SLOW | RING_COUNT | RING_RESTARTS, .round = ROUNDS_12,
     .epoch = {PLAIN(W0, 0)}},
    {.name = "two-epochs/1c2", .reps = 3, .wits = 1, .epochs = 2, .rounds = 2, .readers = 1,
     .options = RING_FAST | RING_SLOW | RING_COUNT | RING_RESTARTS, .rep_class = {0, 1, 1},
     .round = CHAIN, .epoch = {PLAIN(W0, 0), PLAIN(W0, 0)}},
    {.name = "out-in/1c2", .reps = 3, .wits = 1, .epochs = 4, .rounds = 2, .readers = 1,
     .options = RING_FAST | RING_RESTARTS, .rep_class = {0, 1, 2}, .round = CHAIN,
     .epoch = OUT_IN},
    {.name = "shrink/1", .reps = 3, .wits = 1, .epochs = 3, .rounds = 1, .readers = 1,
     .options = RING_FAST | RING_SLOW | RING_RESTARTS, .round = ROUNDS_1, .rep_class = {0, 1, 1},
     .epoch = {PLAIN(W0, 0), {.set = A, .old = ABC, .in_sync = B | C, .catching = A, .group = W0},
     {.set = A, .in_sync = A, .group = W0, .needs_synced = A}}},
    {.name = "witness-out/1", .reps = 3, .wits = 4, .epochs = 2, .rounds = 1, .readers = 1,
     .options = RING_FAST | RING_RESTARTS, .round = ROUNDS_1, .crashes = W0,
     .rep_class = {0, 0, 1}, .wit_class = {0, 1, 1, 2},
     .epoch = {PLAIN(W012, 1), {.set = ABC, .in_sync = AB, .group = W123, .f = 1}}},
    {.name = "move-witness/1", .reps = 4, .wits = 2, .epochs = 3, .rounds = 1, .readers = 1,
     .options = RING_FAST, .round = ROUNDS_1, .rep_class = {0, 0, 1, 2}, .crashes = W0,
     .wit_class = {0, 1}, .epoch = {PLAIN(W0, 0),
     {.set = ABD, .old = ABC, .in_sync = ABC, .catching = D, .group = W1},
     {.set = ABD, .in_sync = ABD, .group = W1, .needs_synced = D}}},
    {.name = "out-in-take/1", .reps = 3, .wits = 1, .epochs = 4, .rounds = 1, .readers = 1,
     .options = RING_FAST | RING_SLOW | RING_RESTARTS | RING_TAKE | RING_PUSH, .round = ROUNDS_1,
     .rep_class = {0, 0, 1}, .epoch = OUT_IN},
    {.name = "witness/1c2", .reps = 3, .wits = 4, .epochs = 2, .rounds = 2, .readers = 1,
     .options = RING_FAST, .crashes = W0, .rep_class = {0, 1, 1}, .wit_class = {0, 1, 1, 2},
     .round = CHAIN, .epoch = WITNESS},
    {.name = "witness-slow/1", .reps = 3, .wits = 4, .epochs = 2, .rounds = 1, .readers = 2,
     .options = RING_FAST | RING_SLOW | RING_COUNT, .crashes = W0, .wit_class = {0, 1, 1, 2},
     .round = ROUNDS_1, .epoch = WITNESS},
    {.name = "lost/1", .reps = 4, .wits = 1, .epochs = 3, .rounds = 1, .readers = 1,
     .options = RING_FAST | RING_SLOW | RING_COUNT | RING_RESTARTS, .round = ROUNDS_1,
     .rep_class = {0, 0, 1, 2}, .losses = C, .epoch = LOST(W0)},
    {.name = "lost-push/1", .reps = 4, .wits = 1, .epochs = 3, .rounds = 1, .readers = 1,
     .options = RING_FAST | RING_RESTARTS | RING_PUSH, .round = ROUNDS_1,
     .rep_class = {0, 0, 1, 2}, .losses = C, .epoch = LOST(W0)},
    {.name = "lost/12", .reps = 4, .wits = 1, .epochs = 3, .rounds = 2, .readers = 0,
     .options = RING_RESTARTS, .round = ROUNDS_12, .rep_class = {0, 0, 1, 2}, .losses = C,
     .epoch = LOST(0)},
    {.name = "lost-fast/12", .reps = 4, .wits = 1, .epochs = 3, .rounds = 2, .readers = 1,
     .options = RING_FAST, .round = ROUNDS_12, .rep_class = {0, 0, 1, 2}, .losses = C,
     .epoch = LOST(W0)},
    {.name = "lost-of-2/12", .reps = 4, .wits = 1, .epochs = 3, .rounds = 2, .readers = 1,
     .options = RING_FAST | RING_SLOW | RING_RESTARTS, .round = ROUNDS_12,
     .rep_class = {0, 1, 2, 3}, .losses = C,
     .epoch = {{.set = A | C, .in_sync = A | C, .group = W0},
     {.set = A | D, .old = A | C, .in_sync = A, .catching = D, .group = W0, .needs_gone = C},
     {.set = A | D, .in_sync = A | D, .group = W0, .needs_synced = D}}},
    {.name = "lost-out/1", .reps = 4, .wits = 1, .epochs = 4, .rounds = 1, .readers = 1,
     .options = RING_FAST | RING_RESTARTS, .round = ROUNDS_1, .rep_class = {0, 1, 2, 3},
     .losses = C, .epoch = {PLAIN(W0, 0), {.set = ABC, .in_sync = A | C, .group = W0},
     {.set = ABD, .old = ABC, .in_sync = A, .catching = D, .group = W0, .needs_gone = C},
     {.set = ABD, .in_sync = A | D, .group = W0, .needs_synced = D}}},
};
/* clang-format on */
const uint32_t ring_config_count = sizeof ring_configs / sizeof ring_configs[0];
