/* tests/model/floor_map.h - dropping tombstones (3.7) with a floor F that is a part of the map. One
 * key, three seats, one witness, several epochs; rounds as in ring_model.h.
 *
 *   PROMISE  every seat, in one epoch in which all are in_sync, promises F for all keys;
 *   VERIFY   then each says, in that epoch, that nothing at or below F is unsettled there;
 *   then a map with F is chosen. Who is in_sync in the map it has adopted treats absent as a
 *   committed tombstone at F, and drops tombstones at or below it that are settled there.
 *
 * The maps to come are a script; each seat, and the witness, adopts them when it likes. What the
 * dropped tombstone's lineage was no seat knows; the model does (`ghost`), to find forks. */
#ifndef SGN_TESTS_FLOOR_MAP_H
#define SGN_TESTS_FLOOR_MAP_H

#include "tests/model/mc.h"

#define SEATS  3u
#define ROUNDS 6u /* Numbers 1..5, also their ballots. */
#define MAPS   8u
#define EPOCHS 5u

enum { NEW, PREPARING, ACCEPTING, EXPOSED };

/* Rules of ours (X n of docs/models.md). */
enum {
    X_EARLY = 1008, /* Absent is the floor also where the seat has not caught up. */
    X_KEEPS,        /* A newcomer keeps what it held before. */
    X_LATE,         /* A late commit from below the floor, taken where absent is not the floor. */
    X_STAMP,        /* An empty base forgets the floor's `ops_floor`. */
    X_DIRTY,        /* A tombstone is dropped although it is not settled. */
    X_CLOCK,        /* Who adopts a floor does not promise it. */
    X_RESTART,      /* After a restart what the slot hides is taken for settled. */
    X_FORGETS,      /* A newcomer that starts again has forgotten that it dropped what was old. */
};

struct seat {
    uint8_t promised, slot, committed, dirty;
    uint8_t map; /* Adopted: index in the script. */
    uint8_t promises, accepts;
    uint8_t pledged, verified; /* For the next floor of the script. */
    uint8_t seeded, voted;     /* Has seeded the witness; has answered the slow reader. */
    uint8_t told;              /* Seats that have copied from this one, in their epoch. */
    uint8_t swept, caught;     /* As one that catches up. */
    uint8_t fast, fast_mark;   /* A fast read between its CHECK and its look: 1 + revs */
    uint8_t top[EPOCHS];       /* exposed before. Highest ballot shown in an epoch. */
    uint8_t oldest; /* Of those not settled, also where the slot hides them; 0: not known. */
    uint16_t ghost;
};

struct round {
    uint8_t phase, epoch, best, floor, marked, spare;
    uint16_t lineage;
};

struct state {
    struct seat seats[SEATS];
    struct round rounds[ROUNDS];
    struct {
        uint8_t active, epoch, best, known, floor, spare;
        uint16_t lineage;
    } reader;
    uint16_t exposed;
    uint8_t chosen; /* The newest map: index in the script. */
    uint8_t witness_epoch, mark;
    uint8_t spare[3];
};
_Static_assert(sizeof(struct state) % 8 == 0, "fingerprints take eight bytes at a time");

/* A map. Sets are masks of seats, 7: A B C. In a joint epoch `next` is the new set. */
struct map {
    uint8_t set, next, in_sync, catching;
    uint8_t floor; /* Not 0: the epoch stays, its floor is this. */
};

struct config {
    const char *name;
    uint8_t rounds, deletes; /* Masks; the others put. */
    uint8_t settled;         /* Round that every seat holds as settled at the start; 0: none. */
    uint8_t fast, slow;      /* Which readers there are; one of a kind at a time. */
    uint8_t restarts;
    const struct map *maps; /* MAPS of them; the last ones may be empty. */
};

/* What runs; its maps, those of a floor filled in, and their epochs. */
extern const struct config *sgn_fm_config;
extern uint32_t sgn_fm_map_count;
extern struct map sgn_fm_maps[MAPS];
extern uint8_t sgn_fm_epochs[MAPS];

/* floor_map_rounds.c: what a seat is and holds; rounds. */
bool sgn_fm_has(uint32_t mask, uint32_t i);
uint8_t sgn_fm_rev_of(uint16_t lineage);
bool sgn_fm_is_prefix(uint16_t a, uint16_t b);
bool sgn_fm_is_dead(uint16_t lineage);
uint8_t sgn_fm_epoch_of(const struct seat *seat);
const struct map *sgn_fm_map_in(uint32_t epoch);
bool sgn_fm_is_member(const struct state *s, uint32_t r);
bool sgn_fm_is_in_sync(const struct state *s, uint32_t r);
uint8_t sgn_fm_ballot_at(const struct state *s, uint32_t r);
bool sgn_fm_known_at(const struct seat *seat);
uint16_t sgn_fm_lineage_at(const struct state *s, uint32_t r);
bool sgn_fm_majority(uint32_t set, uint32_t mask);
bool sgn_fm_quorum(uint32_t epoch, uint32_t mask);
const char *sgn_fm_expose(struct state *n, uint16_t lineage, uint8_t floor);
void sgn_fm_emit(
    struct sgn_mc_run *run, struct state *n, const char *wrong, const char *label, ...);
void sgn_fm_make_dirty(struct seat *to);
void sgn_fm_make_clean(struct seat *to);
void sgn_fm_promise(const struct state *s, struct sgn_mc_run *run, uint32_t b);
void sgn_fm_accept(const struct state *s, struct sgn_mc_run *run, uint32_t b);
void sgn_fm_commit(const struct state *s, struct sgn_mc_run *run, uint32_t b);
void sgn_fm_settle(const struct state *s, struct sgn_mc_run *run, uint32_t b);

/* floor_map_steps.c */
void sgn_fm_floor_steps(const struct state *s, struct sgn_mc_run *run);
void sgn_fm_drop(const struct state *s, struct sgn_mc_run *run, uint32_t r);
void sgn_fm_choose(const struct state *s, struct sgn_mc_run *run);
void sgn_fm_adopt(const struct state *s, struct sgn_mc_run *run);
void sgn_fm_catch_up(const struct state *s, struct sgn_mc_run *run, uint32_t r);
void sgn_fm_catch_up_anew(const struct state *s, struct sgn_mc_run *run, uint32_t r);
void sgn_fm_read_slow(const struct state *s, struct sgn_mc_run *run);
void sgn_fm_read_fast(const struct state *s, struct sgn_mc_run *run, uint32_t r);

#endif
