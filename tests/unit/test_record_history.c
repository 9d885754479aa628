/* Dotted version vectors against explicit causal histories, over all short histories.
 *
 * A history is a sequence of operations on a few replicas of one key: a put or delete under any
 * context that any replica could have given out before (the empty one is a blind put) or under NULL
 * (an overwrite), a put sent again to any replica under its first context, and a merge of one
 * replica into another. After each operation both implementations must agree on what is live. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "ring/core/check.h"
#include "ring/core/record.h"
#include "tests/lib/dumb_history.h"

#define STEPS_MAX    6u
#define REPLICAS_MAX 3u

struct context {
    uint64_t seen;
    struct sgn_vector vector;
};

enum actors { ACTOR_STAYS, ACTOR_NEW_EACH_STEP };

struct walk {
    uint32_t replica_count;
    uint32_t step_count;
    enum actors actors;
    uint32_t step;
    uint64_t history_count; /* Sequences checked, of every length up to step_count. */
    uint64_t
        conflict_count;     /* Replicas seen with more than one live write: the walk is not idle. */
    uint64_t revived_count; /* Retries that brought a second dot. */
    struct sgn_record records[REPLICAS_MAX];
    struct dumb_history dumb;
    struct context contexts[STEPS_MAX + 1]; /* Every context ever readable; [0] is the empty one. */
    uint32_t context_count;
    uint32_t first_contexts[STEPS_MAX]; /* Of each put, by value: what a retry is sent with. */
    uint32_t value_count;
};

static const uint8_t letters[] = "abcdef";

static void take_step(struct walk *walk);

static uint64_t live_values(const struct sgn_record *record)
{
    uint64_t values = 0;
    for (uint32_t i = 0; i < record->sibling_count; i++) {
        const struct sgn_sibling *sibling = &record->siblings[i];
        SGN_ASSERT(sibling->body.count == 1);
        uint8_t letter = *(const uint8_t *)sibling->body.ptr;
        SGN_ASSERT(sibling->request_id.bytes[3] == letter);
        values |= UINT64_C(1) << (letter - letters[0]);
    }
    return values;
}

static uint32_t count_bits(uint64_t bits)
{
    return sgn_popcount((uint32_t)bits) + sgn_popcount((uint32_t)(bits >> 32));
}

static void check_replica(struct walk *walk, uint32_t replica)
{
    const struct sgn_record *record = &walk->records[replica];
    uint64_t live = dumb_live(&walk->dumb, replica);
    SGN_ASSERT(live_values(record) == dumb_values(&walk->dumb, live));
    SGN_ASSERT(record->sibling_count == count_bits(live));
    SGN_ASSERT(sgn_record_is_unwritten(record) == (dumb_read(&walk->dumb, replica) == 0));
    walk->conflict_count += record->sibling_count > 1;
}

/* No put that nothing has overwritten is lost: its value is live somewhere. */
static void check_owed(const struct walk *walk)
{
    uint64_t live = 0;
    for (uint32_t i = 0; i < walk->replica_count; i++) {
        live |= live_values(&walk->records[i]);
    }
    uint64_t owed = dumb_values(&walk->dumb, dumb_owed(&walk->dumb));
    SGN_ASSERT((owed & ~live) == 0);
}

/* Whichever way the replicas meet, they end with equal records, of exactly what is owed. */
static void check_convergence(const struct walk *walk)
{
    struct sgn_record up = walk->records[0];
    struct sgn_record down = walk->records[walk->replica_count - 1];
    for (uint32_t i = 1; i < walk->replica_count; i++) {
        SGN_ASSERT(sgn_record_merge(&up, &walk->records[i]) == SGN_OK);
        uint32_t other = walk->replica_count - 1 - i;
        SGN_ASSERT(sgn_record_merge(&down, &walk->records[other]) == SGN_OK);
    }
    SGN_ASSERT(sgn_record_digest(&up) == sgn_record_digest(&down));
    uint64_t owed = dumb_owed(&walk->dumb);
    SGN_ASSERT(live_values(&up) == dumb_values(&walk->dumb, owed));
    SGN_ASSERT(up.sibling_count == count_bits(owed));
}

/* Notes what a read of the replica would give out now. Equal sets must be equal vectors. */
static void note_context(struct walk *walk, uint32_t replica)
{
    uint64_t seen = dumb_read(&walk->dumb, replica);
    const struct sgn_vector *vector = &walk->records[replica].vector;
    for (uint32_t i = 0; i < walk->context_count; i++) {
        if (walk->contexts[i].seen == seen) {
            SGN_ASSERT(walk->contexts[i].vector.count == vector->count);
            SGN_ASSERT(memcmp(walk->contexts[i].vector.entries,
                              vector->entries,
                              vector->count * sizeof(vector->entries[0])) == 0);
            return;
        }
    }
    SGN_ASSERT(walk->context_count < STEPS_MAX + 1);
    walk->contexts[walk->context_count++] = (struct context){.seen = seen, .vector = *vector};
}

/* What an operation at one replica may change, to go back to after the histories that begin so. */
struct undo {
    struct sgn_record record;
    struct dumb_history dumb;
    uint32_t context_count;
    uint32_t value_count;
};

static void save(const struct walk *walk, uint32_t replica, struct undo *undo)
{
    undo->record = walk->records[replica];
    undo->dumb = walk->dumb;
    undo->context_count = walk->context_count;
    undo->value_count = walk->value_count;
}

/* Both implementations have done the operation at `replica`: compare, go on, go back. */
static void check_and_descend(struct walk *walk, uint32_t replica, const struct undo *undo)
{
    walk->history_count++;
    check_replica(walk, replica);
    check_owed(walk);
    bool same = sgn_record_digest(&undo->record) == sgn_record_digest(&walk->records[replica]);
    bool dumb_same = dumb_live(&undo->dumb, replica) == dumb_live(&walk->dumb, replica) &&
                     dumb_read(&undo->dumb, replica) == dumb_read(&walk->dumb, replica);
    SGN_ASSERT(same == dumb_same);
    note_context(walk, replica);
    check_convergence(walk);
    /* What changed nothing leads to no history that a shorter one does not. */
    if (!same && walk->step + 1 < walk->step_count) {
        walk->step++;
        take_step(walk);
        walk->step--;
    }
    walk->records[replica] = undo->record;
    walk->dumb = undo->dumb;
    walk->context_count = undo->context_count;
    walk->value_count = undo->value_count;
}

static struct sgn_mint mint_of(const struct walk *walk, uint32_t replica, uint32_t value)
{
    struct sgn_mint mint = {
        .actor = {.node = replica + 1, .generation = 1},
        .body = sgn_bytes_of(&letters[value], 1),
        .hlc = walk->step + 1,
        .request_id.bytes = {[3] = letters[value]},
    };
    if (walk->actors == ACTOR_NEW_EACH_STEP) {
        /* As after a restart that lost the disk's memory of who it was; not rising, so that dots of
         * later writes come before and behind earlier ones. */
        mint.actor.generation = (walk->step * 5) % 7 + 1;
    }
    return mint;
}

/* context == walk->context_count stands for NULL: all that the replica holds. */
static void try_write(
    struct walk *walk, uint32_t replica, uint32_t context, bool is_delete, uint32_t value)
{
    struct undo undo;
    save(walk, replica, &undo);
    bool whole = context == walk->context_count;
    uint64_t seen = whole ? dumb_read(&walk->dumb, replica) : walk->contexts[context].seen;
    struct sgn_mint mint = mint_of(walk, replica, value);
    mint.context = whole ? NULL : &walk->contexts[context].vector;
    mint.is_delete = is_delete;
    bool is_retry = !is_delete && value < walk->value_count;
    if (is_delete) {
        dumb_delete(&walk->dumb, replica, seen);
    } else {
        dumb_put(&walk->dumb, replica, seen, value);
    }
    if (!is_delete && !is_retry) {
        /* A retry is sent with the same context: what NULL stood for is remembered. */
        uint32_t first = 0;
        while (walk->contexts[first].seen != seen) {
            first++;
        }
        SGN_ASSERT(first < walk->context_count);
        walk->first_contexts[value] = first;
        walk->value_count++;
    }
    SGN_ASSERT(sgn_record_mint(&walk->records[replica], &mint) == SGN_OK);
    walk->revived_count +=
        is_retry && walk->records[replica].sibling_count != undo.record.sibling_count;
    check_and_descend(walk, replica, &undo);
}

static void try_merge(struct walk *walk, uint32_t into, uint32_t from)
{
    struct undo undo;
    save(walk, into, &undo);
    bool covered = sgn_record_covers(&walk->records[into], &walk->records[from]);
    dumb_merge(&walk->dumb, into, from);
    SGN_ASSERT(sgn_record_merge(&walk->records[into], &walk->records[from]) == SGN_OK);
    bool same = sgn_record_digest(&undo.record) == sgn_record_digest(&walk->records[into]);
    SGN_ASSERT(covered == same);
    check_and_descend(walk, into, &undo);
}

/* Tries every operation that may come next. Depth is bounded by step_count <= STEPS_MAX. */
static void take_step(struct walk *walk)
{
    for (uint32_t replica = 0; replica < walk->replica_count; replica++) {
        for (uint32_t context = 0; context <= walk->context_count; context++) {
            try_write(walk, replica, context, false, walk->value_count);
            try_write(walk, replica, context, true, 0);
        }
        for (uint32_t value = 0; value < walk->value_count; value++) {
            try_write(walk, replica, walk->first_contexts[value], false, value);
        }
        for (uint32_t from = 0; from < walk->replica_count; from++) {
            if (from != replica) {
                try_merge(walk, replica, from);
            }
        }
    }
}

static void walk_all(uint32_t replica_count, uint32_t step_count, enum actors actors)
{
    static struct walk walk;
    walk = (struct walk){
        .replica_count = replica_count,
        .step_count = step_count,
        .actors = actors,
        .context_count = 1,
    };
    SGN_ASSERT(step_count <= STEPS_MAX);
    dumb_init(&walk.dumb);
    for (uint32_t i = 0; i < replica_count; i++) {
        sgn_record_init(&walk.records[i]);
    }
    take_step(&walk);
    printf("%u replicas, up to %u operations, %s: %llu histories agree (%llu with siblings, %llu "
           "with a retry that changed something)\n",
           replica_count,
           step_count,
           actors == ACTOR_STAYS ? "one actor each" : "an actor a write",
           (unsigned long long)walk.history_count,
           (unsigned long long)walk.conflict_count,
           (unsigned long long)walk.revived_count);
    fflush(stdout);
    cr_assert_gt(walk.history_count, 1000);
    cr_assert_gt(walk.conflict_count, walk.history_count / 100);
    /* With one replica too: a put sent again after it was overwritten is a new write. */
    cr_assert_gt(walk.revived_count, 0);
}

Test(record_history, one_replica)
{
    walk_all(1, 6, ACTOR_STAYS);
}

Test(record_history, two_replicas)
{
    walk_all(2, 5, ACTOR_STAYS);
    walk_all(2, 5, ACTOR_NEW_EACH_STEP);
}

Test(record_history, three_replicas)
{
    walk_all(3, 5, ACTOR_STAYS);
    walk_all(3, 4, ACTOR_NEW_EACH_STEP);
}
