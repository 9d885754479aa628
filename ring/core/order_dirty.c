/* The dirty set (protocol.md 2, `unsettled`): every key whose accepted record is not known settled.
 * It may hold too much, never too little. In memory, with one durable number: no key whose accept
 * has a sequence number at or below the *watermark* was dirty when it was written. So an accept
 * costs no third write, a settle none at all, and after a restart what lies above the watermark is
 * dirty and counts as pending.
 *
 * Also here: the promise ceiling (3.4), the other number a replica must have on disk. */
#include "ring/core/order_inner.h"

static uint32_t *dirty_bucket(const struct sgn_engine *engine, struct sgn_key_hash key)
{
    return &engine->order.dirty_heads[(key.hash >> 20 ^ key.keyed) & (SGN_DIRTY_HEADS - 1)];
}

static struct sgn_dirty *dirty_at(const struct sgn_engine *engine, uint32_t index)
{
    return index == 0 ? NULL : &engine->order.dirty[index - 1];
}

struct sgn_dirty *sgn_dirty_find(const struct sgn_engine *engine, struct sgn_key_hash key)
{
    struct sgn_dirty *entry = dirty_at(engine, *dirty_bucket(engine, key));
    while (entry != NULL && (entry->key.hash != key.hash || entry->key.keyed != key.keyed)) {
        entry = dirty_at(engine, entry->chain);
    }
    return entry;
}

bool sgn_dirty_room(const struct sgn_engine *engine)
{
    /* Some are kept for what cannot be refused: commits of others, catching up. */
    return engine->order.dirty_count < SGN_DIRTY_MAX - SGN_OPS_MAX;
}

bool sgn_dirty_room_for(const struct sgn_engine *engine, struct sgn_key_hash key)
{
    return engine->order.dirty_count + 1 < SGN_DIRTY_MAX || sgn_dirty_find(engine, key) != NULL;
}

static void sequence_unlink(struct sgn_engine *engine, struct sgn_dirty *entry)
{
    struct sgn_order *order = &engine->order;
    struct sgn_dirty *older = dirty_at(engine, entry->older);
    struct sgn_dirty *newer = dirty_at(engine, entry->newer);
    *(older != NULL ? &older->newer : &order->dirty_oldest) = entry->newer;
    *(newer != NULL ? &newer->older : &order->dirty_newest) = entry->older;
    order->dirty_restored -= entry->sequence < order->first_sequence;
}

/* Sorted by sequence number; a number is at most as many places from the end as stores are under
 * way. */
static void sequence_link(struct sgn_engine *engine, struct sgn_dirty *entry, uint64_t sequence)
{
    struct sgn_order *order = &engine->order;
    uint32_t index = (uint32_t)(entry - order->dirty) + 1;
    bool restoring = sequence < order->first_sequence; /* These wait as a whole, at the old end. */
    struct sgn_dirty *older = restoring ? NULL : dirty_at(engine, order->dirty_newest);
    struct sgn_dirty *newer = restoring ? dirty_at(engine, order->dirty_oldest) : NULL;
    while (older != NULL && older->sequence > sequence) {
        newer = older;
        older = dirty_at(engine, older->older);
    }
    entry->sequence = sequence;
    entry->older = older != NULL ? (uint32_t)(older - order->dirty) + 1 : 0;
    entry->newer = newer != NULL ? (uint32_t)(newer - order->dirty) + 1 : 0;
    *(older != NULL ? &older->newer : &order->dirty_oldest) = index;
    *(newer != NULL ? &newer->older : &order->dirty_newest) = index;
    order->dirty_restored += restoring;
}

static struct sgn_dirty *dirty_make(struct sgn_engine *engine,
                                    struct sgn_key_hash key,
                                    uint32_t partition)
{
    struct sgn_order *order = &engine->order;
    uint32_t index = order->dirty_free;
    if (index != 0) {
        order->dirty_free = order->dirty[index - 1].chain;
    } else {
        SGN_ASSERT(order->dirty_high < SGN_DIRTY_MAX);
        index = ++order->dirty_high;
    }
    struct sgn_dirty *entry = &order->dirty[index - 1];
    uint32_t *head = dirty_bucket(engine, key);
    struct sgn_dirty *first = dirty_at(engine, order->dirty_first[partition]);
    *entry = (struct sgn_dirty){.key = key,
                                .partition = partition,
                                .chain = *head,
                                .behind = order->dirty_first[partition],
                                .used = true};
    *head = index;
    if (first != NULL) {
        first->before = index;
    }
    order->dirty_first[partition] = index;
    order->dirty_counts[partition]++;
    order->dirty_count++;
    return entry;
}

void sgn_dirty_accept(struct sgn_engine *engine,
                      struct sgn_key_hash key,
                      uint32_t partition,
                      const struct sgn_ballot *ballot,
                      uint64_t sequence,
                      bool pending)
{
    struct sgn_order *order = &engine->order;
    struct sgn_dirty *entry = sgn_dirty_find(engine, key);
    if (entry == NULL) {
        entry = dirty_make(engine, key, partition);
        entry->oldest = sequence < order->first_sequence ? 0 : ballot->hlc;
        sequence_link(engine, entry, sequence);
    } else {
        /* It keeps its number until the new record is durable: should the store refuse that one,
         * what lies on the disk is the old one, and must stay above the watermark. */
        order->pending_count -= entry->pending;
        entry->oldest = ballot->hlc < entry->oldest ? ballot->hlc : entry->oldest;
    }
    entry->ballot = *ballot;
    entry->unsure = entry->soon = false;
    entry->pending = pending;
    entry->tries = 0;
    entry->since_ms = (uint32_t)engine->now_ms;
    order->pending_count += pending;
}

void sgn_dirty_durable(struct sgn_engine *engine, struct sgn_key_hash key, uint64_t sequence)
{
    struct sgn_dirty *entry = sgn_dirty_find(engine, key);
    if (entry != NULL && sequence > entry->sequence) {
        sequence_unlink(engine, entry);
        sequence_link(engine, entry, sequence);
    }
}

void sgn_dirty_committed(struct sgn_engine *engine, struct sgn_dirty *entry)
{
    engine->order.pending_count -= entry->pending;
    entry->pending = false;
}

void sgn_dirty_doubt(struct sgn_engine *engine, struct sgn_dirty *entry)
{
    engine->order.pending_count += !entry->pending;
    entry->pending = true;
}

void sgn_dirty_unsure(struct sgn_engine *engine, struct sgn_key_hash key)
{
    struct sgn_dirty *entry = sgn_dirty_find(engine, key);
    if (entry != NULL) {
        entry->unsure = true;
        engine->order.pending_count += !entry->pending;
        entry->pending = true;
    }
}

void sgn_dirty_drop(struct sgn_engine *engine, struct sgn_dirty *entry)
{
    struct sgn_order *order = &engine->order;
    uint32_t index = (uint32_t)(entry - order->dirty) + 1;
    uint32_t *link = dirty_bucket(engine, entry->key);
    while (*link != index) {
        SGN_ASSERT(*link != 0);
        link = &order->dirty[*link - 1].chain;
    }
    *link = entry->chain;
    sequence_unlink(engine, entry);
    struct sgn_dirty *before = dirty_at(engine, entry->before);
    struct sgn_dirty *behind = dirty_at(engine, entry->behind);
    *(before != NULL ? &before->behind : &order->dirty_first[entry->partition]) = entry->behind;
    if (behind != NULL) {
        behind->before = entry->before;
    }
    order->dirty_counts[entry->partition]--;
    order->dirty_count--;
    order->pending_count -= entry->pending;
    entry->used = false;
    entry->chain = order->dirty_free;
    order->dirty_free = index;
}

void sgn_leaf_put(struct sgn_sink *sink, const struct sgn_leaf *leaf)
{
    sgn_sink_uint(sink, leaf->digest, 8);
    sgn_sink_uint(sink, leaf->sequence, 8);
    sgn_ballot_put(sink, &leaf->ballot);
    sgn_sink_uint(sink, leaf->dead, 1);
    sgn_sink_uint(sink, leaf->stamp, 8);
}

bool sgn_leaf_read(struct sgn_bytes value, struct sgn_leaf *leaf)
{
    struct sgn_cursor cursor = sgn_cursor_of(value);
    leaf->digest = sgn_cursor_uint(&cursor, 8);
    leaf->sequence = sgn_cursor_uint(&cursor, 8);
    leaf->ballot = sgn_ballot_take(&cursor);
    leaf->dead = sgn_cursor_uint(&cursor, 1) != 0;
    leaf->stamp = sgn_cursor_uint(&cursor, 8);
    return !cursor.bad && cursor.left == 0;
}

static const struct sgn_bucket *bucket_of(const struct sgn_engine *engine,
                                          struct sgn_bytes full_key)
{
    struct sgn_bytes name;
    struct sgn_bytes key;
    return sgn_full_key_split(full_key, &name, &key) ? sgn_bucket_row(&engine->buckets, name)
                                                     : NULL;
}

bool sgn_key_is_available(const struct sgn_engine *engine, struct sgn_bytes full_key)
{
    const struct sgn_bucket *bucket = bucket_of(engine, full_key);
    return bucket != NULL && bucket->kind != SGN_BUCKET_ORDERED;
}

void sgn_dirty_restore(struct sgn_engine *engine, struct sgn_bytes tree_key, struct sgn_bytes value)
{
    struct sgn_order *order = &engine->order;
    struct sgn_leaf leaf;
    bool good = sgn_leaf_read(value, &leaf);
    SGN_ASSERT(good && tree_key.count > 10);
    uint64_t sequence = leaf.sequence;
    struct sgn_ballot ballot = leaf.ballot;
    struct sgn_bytes full_key =
        sgn_bytes_of((const uint8_t *)tree_key.ptr + 10, tree_key.count - 10);
    if (sequence > order->sequence) {
        order->sequence = sequence;
    }
    order->first_sequence = order->sequence + 1; /* Until the run begins it rises with them. */
    if (sequence <= order->watermark_start) {
        return;
    }
    if (!sgn_dirty_room(engine)) {
        order->dirty_lost = true;
        return;
    }
    struct sgn_key_hash key = sgn_key_hash_of(full_key, order->map.hash_seed);
    sgn_dirty_accept(engine,
                     key,
                     sgn_partition_of(key.hash, engine->ring->partition_count),
                     &ballot,
                     sequence,
                     !SGN_MUTANT(24)); /* 3.6: the restart guard */
}

void sgn_dirty_restore_lost(struct sgn_engine *engine, struct sgn_bytes tree_key)
{
    struct sgn_order *order = &engine->order;
    struct sgn_bytes full_key =
        sgn_bytes_of((const uint8_t *)tree_key.ptr + 10, tree_key.count - 10);
    const struct sgn_bucket *bucket = bucket_of(engine, full_key);
    if (bucket == NULL || bucket->kind != SGN_BUCKET_ORDERED) {
        return;
    }
    if (!sgn_dirty_room(engine)) {
        order->dirty_lost = true;
        return;
    }
    /* Which ballot was accepted is not known, but that it lies under the ceiling is (3.4). */
    struct sgn_key_hash hash = sgn_key_hash_of(full_key, order->map.hash_seed);
    order->first_sequence = order->sequence + 2;
    sgn_dirty_accept(engine,
                     hash,
                     sgn_partition_of(hash.hash, engine->ring->partition_count),
                     &order->promise_floor,
                     ++order->sequence,
                     true);
}

static uint64_t watermark_now(const struct sgn_engine *engine)
{
    const struct sgn_order *order = &engine->order;
    if (order->dirty_restored > 0 || order->dirty_lost) {
        return order->watermark_start;
    }
    const struct sgn_dirty *oldest = dirty_at(engine, order->dirty_oldest);
    return oldest != NULL ? oldest->sequence - 1 : order->sequence;
}

uint64_t sgn_dirty_floor(const struct sgn_engine *engine)
{
    return watermark_now(engine);
}

static bool watermark_due(const struct sgn_engine *engine, uint32_t late_ms)
{
    const struct sgn_order *order = &engine->order;
    return engine->now_ms >= order->watermark_due_ms + late_ms &&
           watermark_now(engine) > order->watermark_stored;
}

/* Rides along with a store that is made anyway. */
void sgn_watermark_push(struct sgn_engine *engine, struct sgn_effect *store)
{
    struct sgn_order *order = &engine->order;
    if (!watermark_due(engine, 0)) {
        return;
    }
    SGN_ASSERT(store->write_count < SGN_EFFECT_WRITES_MAX);
    order->watermark_stored = watermark_now(engine);
    order->watermark_due_ms = engine->now_ms + SGN_WATERMARK_MS;
    store->writes[store->write_count++] = (struct sgn_store_write){
        .family = SGN_FAMILY_META,
        .key = sgn_bytes_str("watermark"),
        .value = sgn_arena_uint(engine, order->watermark_stored, 8),
    };
}

void sgn_watermark_stored(struct sgn_engine *engine, const struct sgn_event *event)
{
    (void)event; /* Refused or lost: an older one stands on disk, which only means more dirty. */
    engine->order.watermark_storing = false;
}

bool sgn_ceiling_allows(struct sgn_engine *engine, uint64_t hlc)
{
    struct sgn_order *order = &engine->order;
    uint64_t left = order->ceiling > hlc ? order->ceiling - hlc : 0;
    if (left < sgn_hlc_of_ms(SGN_CEILING_LEFT_MS) && order->ceiling_storing == 0 &&
        sgn_fx_has_room(engine)) {
        uint64_t from = hlc > engine->hlc.last ? hlc : engine->hlc.last;
        order->ceiling_storing = from + sgn_hlc_of_ms(SGN_CEILING_AHEAD_MS);
        struct sgn_effect *effect = sgn_fx_push(engine, SGN_FX_STORE);
        effect->token = sgn_token(SGN_TOKEN_CEILING, 0, 0);
        effect->write_count = 1;
        effect->writes[0] = (struct sgn_store_write){
            .family = SGN_FAMILY_META,
            .key = sgn_bytes_str("ceiling"),
            .value = sgn_arena_uint(engine, order->ceiling_storing, 8),
        };
    }
    return hlc <= order->ceiling || SGN_MUTANT(8);
}

void sgn_ceiling_stored(struct sgn_engine *engine, const struct sgn_event *event)
{
    struct sgn_order *order = &engine->order;
    if (event->err == SGN_OK && order->ceiling_storing > order->ceiling) {
        order->ceiling = order->ceiling_storing;
    }
    order->ceiling_err = event->err;
    engine->sweep_next = 0; /* Promises wait for it, or must be refused. */
    order->ceiling_storing = 0;
}

void sgn_dirty_tick(struct sgn_engine *engine)
{
    struct sgn_order *order = &engine->order;
    if (order->watermark_storing || !watermark_due(engine, SGN_WATERMARK_MS) ||
        !sgn_fx_has_room(engine)) {
        return;
    }
    struct sgn_effect *effect = sgn_fx_push(engine, SGN_FX_STORE);
    effect->token = sgn_token(SGN_TOKEN_WATERMARK, 0, 0);
    order->watermark_storing = true;
    sgn_watermark_push(engine, effect);
}
