/* tests/model/ring_model.h - state and helpers of the model of one key under ordered writes,
 * witnesses, strong reads and epochs. docs/models.md says what is abstracted.
 *
 * Ballots are numbers 1, 2, 3 ...; a *round* is all messages of one ballot and never dies, so late,
 * duplicated and lost messages need no steps of their own. The record of a round is known by the
 * round's number. A *lineage* is the list of rounds that each made a rev, three bits a round,
 * oldest lowest. Everything a party remembers stands in its own column, so that parties which a
 * configuration treats alike can be exchanged (canon).
 *
 * A mask of replicas, witnesses, rounds or readers has bit i for number i; round 0 is "none". */
#ifndef SGN_TESTS_RING_MODEL_H
#define SGN_TESTS_RING_MODEL_H

#include "tests/model/mc.h"

#define RING_REPS    5u
#define RING_WITS    6u
#define RING_ROUNDS  5u /* Numbers 1..4; 0 is none. */
#define RING_READERS 2u
#define RING_EPOCHS  4u

enum { REP_COMMITTED = 1, REP_UNSETTLED = 2, REP_SYNCED = 4, REP_GONE = 8 };
enum { WIT_ACTIVE = 1, WIT_DEAD = 2, WIT_OVERFLOWED = 4 };
enum { ROUND_NEW, ROUND_PREPARING, ROUND_ACCEPTING, ROUND_EXPOSED };
enum { READER_IDLE, READER_FAST, READER_ASKING, READER_MARKING };

struct ring_rep {
    uint8_t epoch;    /* Durable. */
    uint8_t promised; /* Ballot. */
    uint8_t slot;     /* Round of the highest accepted record. */
    uint8_t flags;
    uint8_t promises; /* Rounds it has promised, while they prepare. */
    uint8_t accepts;  /* Rounds it has accepted, while they are not exposed. */
    uint8_t voted;    /* Slow readers it has answered ... */
    uint8_t held;     /* ... and those whose highest record it held. */
    uint8_t heard;    /* Catching up: replicas that have reported. */
    uint8_t need;     /* Catching up: highest round reported. */
    uint8_t carried;  /* Catching up: a source holds it as unsettled. */
    uint8_t shadow;   /* Committed record before the pending; kept for mutants that read it. */
    uint8_t pushed;   /* 1 + the mark of the unsettled set it last sent in its epoch; 0: none. */
    uint8_t confirmed[RING_EPOCHS - 1]; /* Ballot of the slot when it left that epoch. */
};

struct ring_wit {
    uint8_t epoch;
    uint8_t flags;
    uint8_t mark;    /* Ballot, 0: none. */
    uint8_t seeders; /* Replicas whose unsettled sets it has merged, while warming. */
    uint8_t marked;  /* Rounds whose MARK it has acknowledged, until they are exposed. */
    uint8_t checked; /* Readers it has answered (a CHECK, or a MARK of a slow reader). */
};

struct ring_round {
    uint8_t phase;
    uint8_t epoch;
    uint8_t best;  /* Highest round reported by a promise. */
    uint8_t floor; /* Highest rev exposed when it began. */
    uint16_t lineage;
};

struct ring_reader {
    uint8_t phase;
    uint8_t epoch;
    uint8_t home;  /* Fast: the replica. */
    uint8_t best;  /* Fast: highest mark (ballot). Slow: highest accepted round. */
    uint8_t known; /* Slow: somebody has `best` committed. Mutant 3: the record read too early. */
    uint8_t floor; /* Highest rev exposed when it began. */
};

struct ring_state {
    struct ring_rep reps[RING_REPS];
    struct ring_wit wits[RING_WITS];
    struct ring_round rounds[RING_ROUNDS];
    struct ring_reader readers[RING_READERS];
    uint8_t ring; /* Epochs 0..ring exist. */
    uint8_t spare[3];
    uint16_t exposed; /* The longest lineage exposed. */
    uint8_t more_spare[4];
};
_Static_assert(sizeof(struct ring_state) % 8 == 0, "fingerprints take eight bytes at a time");

struct ring_epoch {
    uint8_t set, old; /* Replicas; old not 0: a joint epoch (6.2). */
    uint8_t in_sync, catching;
    uint8_t group; /* Witnesses; 0: none. */
    uint8_t f;
    uint8_t needs_synced; /* It is made only when these have caught up in the epoch before, */
    uint8_t needs_dead;   /* and these witnesses have crashed, */
    uint8_t needs_gone;   /* and these replicas have lost their disks. */
};

enum ring_kind { KIND_CLASSIC, KIND_CHAINED, KIND_UNOWNED };
struct ring_round_config {
    uint8_t kind;
    uint8_t op; /* 0: identity. Two rounds with one op are two attempts of one request. */
    uint8_t chains_on;
    uint8_t ballot; /* 0: the round's number. */
};

/* LATE: marks of exposed rounds still arrive. PUSH: an unsettled set travels as a message of its
 * own, so that the witness may merge what the replica has outlived since. TAKE: catching up copies
 * a record that is pending at its source, whatever was promised here since. COUNT: a slow read
 * takes a record that Q hold as chosen (5.3); without it only a committed one is served. */
enum {
    RING_FAST = 1,
    RING_SLOW = 2,
    RING_RESTARTS = 4,
    RING_LATE = 8,
    RING_PUSH = 16,
    RING_TAKE = 32,
    RING_COUNT = 64
};
struct ring_config {
    const char *name;
    uint8_t reps, wits, epochs, rounds, readers;
    uint8_t options;
    uint8_t crashes;              /* Witnesses that may crash. */
    uint8_t overflows;            /* Witnesses that may reach their limit. */
    uint8_t losses;               /* Replicas whose disk may be emptied: a seat of the last epoch
                                     is of another one (2). */
    uint8_t rep_class[RING_REPS]; /* Neighbours of one class may be exchanged. */
    uint8_t wit_class[RING_WITS];
    /* Where it begins, for configurations that begin late: epochs made, of replicas, of witness
     * 0. */
    uint8_t start, start_rep[RING_REPS], start_wit;
    struct ring_round_config round[RING_ROUNDS];
    struct ring_epoch epoch[RING_EPOCHS];
};

extern const struct ring_config *ring_config;
extern const struct ring_config ring_configs[];
extern const uint32_t ring_config_count;
extern const struct sgn_mc_case ring_plan[];
extern const uint32_t ring_plan_count;

/* One expansion. */
struct ring_step {
    const struct ring_state *s;
    struct sgn_mc_run *run;
    const char *violation; /* Of the successor being made. */
};

static inline uint8_t bit(uint32_t i)
{
    return (uint8_t)(1u << i);
}
static inline bool has(uint32_t mask, uint32_t i)
{
    return (mask >> i & 1u) != 0;
}
static inline void add(uint8_t *mask, uint32_t bits)
{
    *mask = (uint8_t)(*mask | bits);
}
static inline void drop(uint8_t *mask, uint32_t bits)
{
    *mask = (uint8_t)(*mask & ~bits);
}
static inline uint32_t count_of(uint32_t mask)
{
    return (uint32_t)__builtin_popcount(mask);
}
static inline bool majority(uint32_t votes, uint32_t set)
{
    return count_of(votes & set) >= count_of(set) / 2 + 1;
}
static inline uint8_t ballot_of(uint32_t round)
{
    uint8_t ballot = ring_config->round[round].ballot;
    return ballot != 0 ? ballot : (uint8_t)round;
}
static inline uint8_t rev_of(uint16_t lineage)
{
    uint8_t rev = 0;
    for (; lineage != 0; lineage = (uint16_t)(lineage >> 3)) {
        rev++;
    }
    return rev;
}
static inline bool is_prefix(uint16_t a, uint16_t b)
{
    return (b & (uint16_t)((1u << (3 * rev_of(a))) - 1u)) == a;
}
static inline const struct ring_epoch *epoch_of(uint32_t e)
{
    return &ring_config->epoch[e];
}
static inline uint8_t seats_of(uint32_t e)
{
    return (uint8_t)(epoch_of(e)->set | epoch_of(e)->old);
}

/* ring_rules.c */
bool ring_quorum(uint32_t epoch, uint32_t votes);
bool ring_old_quorum(const struct ring_epoch *e, uint32_t votes);
bool ring_fenced(const struct ring_state *s, uint32_t epoch);
void ring_expose_lineage(struct ring_step *step,
                         struct ring_state *n,
                         uint16_t lineage,
                         uint8_t floor);
void ring_emit(struct ring_step *step, struct ring_state *n, const char *label, ...)
    __attribute__((format(printf, 3, 4)));
void ring_round_steps(struct ring_step *step, uint32_t b);
void ring_commit_steps(struct ring_step *step, uint32_t b);
/* ring_place.c: replicas and witnesses */
void ring_rep_steps(struct ring_step *step, uint32_t r);
void ring_wit_steps(struct ring_step *step, uint32_t w);
/* ring_read.c */
void ring_reader_steps(struct ring_step *step, uint32_t i);

#endif
