/* ring/core/ordered_decide.c - what a change makes of a record: the decide step of a round
 * (protocol.md 3.1.3), and how it keeps every request to one effect (3.5). */
#include "ring/core/check.h"
#include "ring/core/limits.h"
#include "ring/core/mutant.h"
#include "ring/core/ordered.h"

static bool id_is_zero(const struct sgn_request_id *id)
{
    static const struct sgn_request_id none;
    return memcmp(id, &none, sizeof(none)) == 0;
}

static const struct sgn_op_id *find_op(const struct sgn_ordered *record,
                                       const struct sgn_request_id *id)
{
    for (uint32_t i = 0; i < record->op_count; i++) {
        if (memcmp(&record->ops[i].id, id, sizeof(*id)) == 0) {
            return &record->ops[i];
        }
    }
    return NULL;
}

/* The verdict of then, and the version of then: later changes of the key do not alter it. */
static void answer_again(const struct sgn_op_id *op, struct sgn_decision *decision)
{
    decision->repeated = true;
    decision->version = op->version;
    switch (op->verdict) {
    case SGN_VERDICT_APPLIED: decision->result = SGN_OK; break;
    case SGN_VERDICT_REJECTED: decision->result = SGN_ERR_CONDITION; break;
    case SGN_VERDICT_VOID: decision->result = SGN_ERR_VOID; break;
    }
}

/* Newest first. The floor is raised by the *stamp* of the id that falls off: a chain of rounds
 * keeps one ballot hlc for hours, far below the stamps of the requests it carries. */
static void push_op(struct sgn_ordered *next,
                    const struct sgn_change *change,
                    enum sgn_verdict verdict,
                    const struct sgn_version *version)
{
    uint32_t kept = next->op_count;
    const struct sgn_op_id *twice = find_op(next, &change->id);
    if (SGN_MUTANT(5) && twice != NULL) {
        kept = (uint32_t)(twice - next->ops); /* Keeps the record well-formed: no id twice. */
        memmove(&next->ops[kept],
                &next->ops[kept + 1],
                (next->op_count - kept - 1) * sizeof(next->ops[0]));
        kept = next->op_count - 1;
    } else {
        SGN_ASSERT(twice == NULL);
    }
    if (kept == SGN_ORDERED_OPS_MAX) {
        const struct sgn_op_id *last = &next->ops[--kept];
        uint64_t floor = SGN_MUTANT(30) ? last->version.origin.hlc : last->stamp;
        next->ops_floor = floor > next->ops_floor ? floor : next->ops_floor;
    }
    memmove(&next->ops[1], &next->ops[0], kept * sizeof(next->ops[0]));
    next->ops[0] = (struct sgn_op_id){
        .id = change->id, .verdict = verdict, .stamp = change->stamp, .version = *version};
    next->op_count = kept + 1;
}

/* The condition of the change does not hold. It is remembered when it could hold later, so that an
 * attempt that is still on its way cannot apply after this answer. An exact version never comes
 * back, with one exception: "never written", when a tombstone is dropped (3.7). */
static void reject(const struct sgn_change *change,
                   const struct sgn_ordered *current,
                   struct sgn_ordered *next,
                   struct sgn_decision *decision)
{
    decision->result = SGN_ERR_CONDITION;
    decision->version = current->version;
    bool could_hold_later = change->condition != SGN_IF_VERSION || change->expect.rev == 0;
    if (could_hold_later && !SGN_MUTANT(29)) {
        push_op(next, change, SGN_VERDICT_REJECTED, &current->version);
        decision->remembers = true;
    }
}

/* The id is not known here and, from now on, never takes effect. */
static void resolve(const struct sgn_change *change,
                    struct sgn_ordered *next,
                    struct sgn_decision *decision)
{
    static const struct sgn_version none;
    decision->result = SGN_ERR_VOID;
    if (!SGN_MUTANT(29)) {
        push_op(next, change, SGN_VERDICT_VOID, &none);
        decision->remembers = true;
    }
}

static void apply(const struct sgn_change *change,
                  const struct sgn_ordered *current,
                  struct sgn_ordered *next,
                  struct sgn_decision *decision)
{
    bool is_delete = change->kind == SGN_CHANGE_DEL;
    bool is_new = !is_delete || !sgn_ordered_is_dead(current);
    if (is_new && current->version.rev >= SGN_REV_MAX) {
        decision->result = SGN_ERR_CORRUPT;
        return;
    }
    if (is_new) {
        next->version.rev = current->version.rev + 1;
        next->version.origin = next->ballot;
        next->kind = is_delete ? SGN_ORDERED_TOMBSTONE : SGN_ORDERED_VALUE;
        next->body = is_delete ? sgn_bytes_of(NULL, 0) : change->body;
        next->body_bytes = (uint32_t)next->body.count;
    }
    /* Also when nothing was there to delete: a second attempt, late, must not delete what is put
     * meanwhile. */
    push_op(next, change, SGN_VERDICT_APPLIED, &next->version);
    decision->result = SGN_OK;
    decision->version = next->version;
    decision->changes = is_new;
    decision->remembers = !is_new;
}

static bool condition_holds(const struct sgn_change *change, const struct sgn_ordered *current)
{
    switch (change->condition) {
    case SGN_IF_ANY: return true;
    case SGN_IF_ABSENT: return sgn_ordered_is_dead(current);
    case SGN_IF_VERSION: return sgn_version_equal(&change->expect, &current->version);
    }
    return false;
}

void sgn_ordered_decide(const struct sgn_ordered *current,
                        const struct sgn_change *change,
                        const struct sgn_ballot *b,
                        struct sgn_ordered *next,
                        struct sgn_decision *decision)
{
    SGN_ASSERT(sgn_ballot_compare(b, &current->ballot) > 0);
    SGN_ASSERT(change->body.count <= SGN_VALUE_BYTES_MAX);
    *next = *current;
    next->ballot = *b;
    *decision = (struct sgn_decision){.result = SGN_OK};
    if (change->kind == SGN_CHANGE_READ) {
        decision->version = current->version;
        return;
    }
    if (id_is_zero(&change->id) || change->stamp == 0) {
        decision->result = SGN_ERR_INVALID;
        return;
    }
    const struct sgn_op_id *known = SGN_MUTANT(5) ? NULL : find_op(current, &change->id);
    if (known != NULL) {
        answer_again(known, decision);
    } else if (change->stamp <= current->ops_floor) {
        decision->result = SGN_ERR_UNKNOWN; /* It may be one of those that fell off. */
    } else if (change->kind == SGN_CHANGE_RESOLVE) {
        resolve(change, next, decision);
    } else if (condition_holds(change, current)) {
        apply(change, current, next, decision);
    } else {
        reject(change, current, next, decision);
    }
}
