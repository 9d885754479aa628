#include "ring/core/record.h"

#include "ring/core/check.h"

/* A mint leaves so many entries of the vector free, so that merging what other replicas minted
 * meanwhile, each under its own actor, still finds room. */
#define ACTORS_RESERVED (2 * SGN_REPLICAS_MAX)

static int actor_compare(struct sgn_actor a, struct sgn_actor b)
{
    if (a.node != b.node) {
        return a.node < b.node ? -1 : 1;
    }
    return (a.generation > b.generation) - (a.generation < b.generation);
}

static int dot_compare(const struct sgn_dot *a, const struct sgn_dot *b)
{
    int order = actor_compare(a->actor, b->actor);
    return order != 0 ? order : (a->counter > b->counter) - (a->counter < b->counter);
}

/* The actor's counter in the vector, 0 when it has none. */
static uint64_t vector_counter(const struct sgn_vector *vector, struct sgn_actor actor)
{
    for (uint32_t i = 0; i < vector->count; i++) {
        if (actor_compare(vector->entries[i].actor, actor) == 0) {
            return vector->entries[i].counter;
        }
    }
    return 0;
}

static bool vector_covers_dot(const struct sgn_vector *vector, const struct sgn_dot *dot)
{
    return vector_counter(vector, dot->actor) >= dot->counter;
}

static bool vector_covers(const struct sgn_vector *vector, const struct sgn_vector *other)
{
    for (uint32_t i = 0; i < other->count; i++) {
        if (!vector_covers_dot(vector, &other->entries[i])) {
            return false;
        }
    }
    return true;
}

/* Raises one entry. False, and no change, when there is no room for a new actor. */
static bool vector_raise(struct sgn_vector *vector, const struct sgn_dot *dot)
{
    uint32_t at = 0;
    while (at < vector->count && actor_compare(vector->entries[at].actor, dot->actor) < 0) {
        at++;
    }
    if (at < vector->count && actor_compare(vector->entries[at].actor, dot->actor) == 0) {
        if (dot->counter > vector->entries[at].counter) {
            vector->entries[at].counter = dot->counter;
        }
        return true;
    }
    if (vector->count == SGN_ACTORS_MAX) {
        return false;
    }
    memmove(&vector->entries[at + 1],
            &vector->entries[at],
            (vector->count - at) * sizeof(vector->entries[0]));
    vector->entries[at] = *dot;
    vector->count++;
    return true;
}

static bool vector_merge(struct sgn_vector *into, const struct sgn_vector *other)
{
    for (uint32_t i = 0; i < other->count; i++) {
        if (!vector_raise(into, &other->entries[i])) {
            return false;
        }
    }
    return true;
}

static const struct sgn_sibling *find_dot(const struct sgn_record *record,
                                          const struct sgn_dot *dot)
{
    for (uint32_t i = 0; i < record->sibling_count; i++) {
        if (dot_compare(&record->siblings[i].dot, dot) == 0) {
            return &record->siblings[i];
        }
    }
    return NULL;
}

static uint64_t bodies_bytes(const struct sgn_record *record)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < record->sibling_count; i++) {
        sum += record->siblings[i].body_bytes;
    }
    return sum;
}

void sgn_record_init(struct sgn_record *record)
{
    record->vector.count = 0;
    record->sibling_count = 0;
}

bool sgn_record_is_unwritten(const struct sgn_record *record)
{
    return record->vector.count == 0;
}

bool sgn_record_is_dead(const struct sgn_record *record)
{
    return record->sibling_count == 0;
}

const struct sgn_sibling *sgn_record_newest(const struct sgn_record *record)
{
    const struct sgn_sibling *newest = NULL;
    for (uint32_t i = 0; i < record->sibling_count; i++) {
        const struct sgn_sibling *sibling = &record->siblings[i];
        if (newest == NULL || sibling->hlc > newest->hlc ||
            (sibling->hlc == newest->hlc && dot_compare(&sibling->dot, &newest->dot) > 0)) {
            newest = sibling;
        }
    }
    return newest;
}

/* A sibling of one side stays if the other has it too, or has not seen it. */
static bool survives(const struct sgn_sibling *sibling, const struct sgn_record *other)
{
    return !vector_covers_dot(&other->vector, &sibling->dot) ||
           find_dot(other, &sibling->dot) != NULL;
}

enum sgn_err sgn_record_merge(struct sgn_record *into, const struct sgn_record *other)
{
    struct sgn_record merged;
    merged.vector = into->vector;
    merged.sibling_count = 0;
    if (!vector_merge(&merged.vector, &other->vector)) {
        return SGN_ERR_TOO_MANY_SIBLINGS;
    }
    uint32_t a = 0;
    uint32_t b = 0;
    uint64_t bytes = 0;
    while (a < into->sibling_count || b < other->sibling_count) { /* Both are sorted by dot. */
        const struct sgn_sibling *left = a < into->sibling_count ? &into->siblings[a] : NULL;
        const struct sgn_sibling *right = b < other->sibling_count ? &other->siblings[b] : NULL;
        int order = left == NULL ? 1 : right == NULL ? -1 : dot_compare(&left->dot, &right->dot);
        const struct sgn_sibling *next = order <= 0 ? left : right;
        bool stays = order == 0 || survives(next, order < 0 ? other : into);
        a += order <= 0;
        b += order >= 0;
        if (!stays) {
            continue;
        }
        bytes += next->body.count; /* Heads alone always merge: a stat tells of what no get can. */
        if (merged.sibling_count == SGN_SIBLINGS_MAX || bytes > SGN_VALUE_BYTES_MAX) {
            return SGN_ERR_TOO_MANY_SIBLINGS;
        }
        merged.siblings[merged.sibling_count++] = *next;
    }
    into->vector = merged.vector;
    into->sibling_count = merged.sibling_count;
    memcpy(into->siblings, merged.siblings, merged.sibling_count * sizeof(merged.siblings[0]));
    return SGN_OK;
}

bool sgn_record_covers(const struct sgn_record *record, const struct sgn_record *other)
{
    if (!vector_covers(&record->vector, &other->vector)) {
        return false;
    }
    /* All of `other` is seen; what is left is whether it overwrote something kept here. */
    for (uint32_t i = 0; i < record->sibling_count; i++) {
        if (!survives(&record->siblings[i], other)) {
            return false;
        }
    }
    return true;
}

static bool request_is_here(const struct sgn_record *record, const struct sgn_request_id *id)
{
    static const struct sgn_request_id none;
    if (memcmp(id, &none, sizeof(none)) == 0) {
        return false;
    }
    for (uint32_t i = 0; i < record->sibling_count; i++) {
        if (memcmp(&record->siblings[i].request_id, id, sizeof(*id)) == 0) {
            return true;
        }
    }
    return false;
}

void sgn_record_fold_retries(struct sgn_record *record)
{
    uint32_t all = record->sibling_count;
    record->sibling_count = 0;
    for (uint32_t i = 0; i < all; i++) {
        if (!request_is_here(record, &record->siblings[i].request_id)) {
            record->siblings[record->sibling_count++] = record->siblings[i];
        }
    }
}

/* Drops what the context covers, but nothing as late as `before` (0: no bound). */
static void drop_covered(struct sgn_record *record,
                         const struct sgn_vector *context,
                         uint64_t before)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < record->sibling_count; i++) {
        if (!vector_covers_dot(context, &record->siblings[i].dot) ||
            (before != 0 && record->siblings[i].hlc >= before)) {
            record->siblings[kept++] = record->siblings[i];
        }
    }
    record->sibling_count = kept;
}

static void insert_sibling(struct sgn_record *record, const struct sgn_sibling *sibling)
{
    uint32_t at = 0;
    while (at < record->sibling_count &&
           dot_compare(&record->siblings[at].dot, &sibling->dot) < 0) {
        at++;
    }
    memmove(&record->siblings[at + 1],
            &record->siblings[at],
            (record->sibling_count - at) * sizeof(record->siblings[0]));
    record->siblings[at] = *sibling;
    record->sibling_count++;
}

enum sgn_err sgn_record_mint(struct sgn_record *record, const struct sgn_mint *mint)
{
    SGN_ASSERT(mint->actor.node != 0);
    if (!mint->is_delete && request_is_here(record, &mint->request_id)) {
        return SGN_OK;
    }
    struct sgn_record next = *record;
    if (mint->context != NULL && !vector_merge(&next.vector, mint->context)) {
        return SGN_ERR_TOO_MANY_SIBLINGS;
    }
    if (mint->context == NULL) {
        drop_covered(&next, &record->vector, mint->hlc);
    } else {
        drop_covered(&next, mint->context, 0);
    }
    if (!mint->is_delete) {
        uint64_t counter = vector_counter(&next.vector, mint->actor);
        /* Only a forged context brings a counter to its end; one more would be 0, no dot. */
        if (counter == UINT64_MAX ||
            (counter == 0 && next.vector.count >= SGN_ACTORS_MAX - ACTORS_RESERVED) ||
            next.sibling_count >= SGN_SIBLINGS_MINT_MAX ||
            bodies_bytes(&next) + mint->body.count > SGN_VALUE_BYTES_MAX) {
            return SGN_ERR_TOO_MANY_SIBLINGS;
        }
        struct sgn_sibling sibling = {.dot = {.actor = mint->actor, .counter = counter + 1},
                                      .hlc = mint->hlc,
                                      .request_id = mint->request_id,
                                      .body_bytes = (uint32_t)mint->body.count,
                                      .body = mint->body};
        bool raised = vector_raise(&next.vector, &sibling.dot);
        SGN_ASSERT(raised);
        insert_sibling(&next, &sibling);
    }
    *record = next;
    return SGN_OK;
}
