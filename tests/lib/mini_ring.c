#include "tests/lib/mini_ring.h"

#include <stdlib.h>

#include "ring/core/check.h"
#include "ring/core/items.h"
#include "ring/core/key.h"
#include "ring/core/ordered.h"
#include "ring/core/placement.h"
#include "ring/core/record.h"
#include "tests/lib/mini_pool.h"

/* An event on its way, with every byte it points to copied behind it. */
struct mini_event {
    struct mini_event *next;
    uint32_t node;
    bool is_reply;  /* For the test, not for a node. */
    uint64_t asker; /* REQUEST: node << 32 | its request number; 0: the test. */
    struct sgn_event event;
    uint8_t *bytes;
};

static struct sgn_effects effects;

/* Tokens of requests name who asked, so that REPLY finds the way back. */
struct asked {
    uint32_t node;
    uint32_t request;
};
static struct asked asked[1 << 20];

static void queue_push(struct mini_ring *ring,
                       uint32_t node,
                       const struct sgn_event *from,
                       bool is_reply)
{
    struct mini_event *item = calloc(1, sizeof(*item));
    item->node = node;
    item->is_reply = is_reply;
    item->event = *from;
    struct sgn_bytes *pieces[] = {
        &item->event.msg.bucket,
        &item->event.msg.key,
        &item->event.msg.value,
        &item->event.msg.context,
        &item->event.msg.items,
        &item->event.msg.after,
        &item->event.msg.text,
        &item->event.value,
        &item->event.items,
        &item->event.after,
    };
    size_t total = 0;
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        total += pieces[i]->count;
    }
    item->bytes = malloc(total + 1);
    size_t at = 0;
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        if (pieces[i]->count > 0) {
            memcpy(item->bytes + at, pieces[i]->ptr, pieces[i]->count);
        }
        pieces[i]->ptr = item->bytes + at;
        at += pieces[i]->count;
    }
    if (ring->queue_last == NULL) {
        ring->queue = item;
    } else {
        ring->queue_last->next = item;
    }
    ring->queue_last = item;
}

static void fx_load(struct mini_ring *ring, struct mini_node *node, const struct sgn_effect *fx)
{
    struct mini_entry *entry = mini_find(node, fx->family, fx->key.ptr, fx->key.count);
    struct sgn_event event = {.type = SGN_EV_LOADED, .token = fx->token};
    node->loads++;
    if (entry == NULL) {
        event.err = SGN_ERR_NOT_FOUND;
    } else if (entry->corrupt) {
        event.err = SGN_ERR_CORRUPT;
    } else {
        event.value = sgn_bytes_of(entry->value, entry->value_count);
    }
    queue_push(ring, node->id, &event, false);
}

static void fx_store(struct mini_ring *ring, struct mini_node *node, const struct sgn_effect *fx)
{
    struct sgn_event event = {.type = SGN_EV_STORED, .token = fx->token, .err = node->store_err};
    event.end = fx->writes[0].is_delete; /* For stall_deletes. */
    SGN_ASSERT(fx->write_count > 0 && fx->write_count <= SGN_EFFECT_WRITES_MAX);
    node->stores++;
    node->halted = node->halt_at_store > 0 && --node->halt_at_store == 0;
    if (node->halted && node->halt_loses) {
        return;
    }
    for (uint32_t i = 0; i < fx->write_count && node->store_err == SGN_OK; i++) {
        const struct sgn_store_write *write = &fx->writes[i];
        if (write->is_delete) {
            mini_delete(node, write->family, write->key);
        } else {
            mini_write(node,
                       write->family,
                       write->key.ptr,
                       write->key.count,
                       write->value.ptr,
                       write->value.count);
        }
        if (write->family == SGN_FAMILY_META && write->value.count == 4) {
            uint32_t value = (uint32_t)sgn_get_uint(write->value.ptr, 4);
            *(write->key.count == 4 ? &node->home_generation : &node->guest_generation) = value;
        }
    }
    queue_push(ring, node->id, &event, false);
}

static bool partition_wanted(const struct mini_ring *ring,
                             struct sgn_bytes bitmap,
                             const struct mini_entry *entry)
{
    uint32_t partition = sgn_partition_of(sgn_hash(sgn_bytes_of(entry->key, entry->key_count)),
                                          ring->shape.partition_count);
    return bitmap.count == 0 ||
           (((const uint8_t *)bitmap.ptr)[partition / 8] >> (partition % 8) & 1) != 0;
}

static void fx_scan(struct mini_ring *ring, struct mini_node *node, const struct sgn_effect *fx)
{
    static uint8_t page[1 << 20];
    struct sgn_sink sink = sgn_sink_of(page, fx->scan.bytes_max);
    struct sgn_event event = {
        .type = SGN_EV_SCANNED, .token = fx->token, .err = node->scan_err, .end = true};
    uint32_t items = 0;
    for (uint32_t i = 0; i < node->entry_count; i++) {
        const struct mini_entry *entry = &node->entries[i];
        struct sgn_bytes key = sgn_bytes_of(entry->key, entry->key_count);
        if (entry->family != fx->scan.family || !sgn_bytes_starts(key, fx->scan.prefix) ||
            (fx->scan.after.count > 0 && sgn_bytes_compare(key, fx->scan.after) <= 0)) {
            continue;
        }
        if (items == fx->scan.items_max) {
            event.end = false;
            break;
        }
        event.after = key;
        if (!partition_wanted(ring, fx->scan.partitions, entry)) {
            continue;
        }
        uint8_t head[4096];
        struct sgn_bytes value = sgn_bytes_of(entry->value, entry->value_count);
        if (fx->scan.ordered) {
            struct sgn_ordered record;
            struct sgn_sink cut = sgn_sink_of(head, sizeof(head));
            sgn_sink_put(&cut, value.ptr, 8);
            SGN_ASSERT(
                sgn_ordered_decode(sgn_bytes_of((const uint8_t *)value.ptr + 8, value.count - 8),
                                   true,
                                   &record) == SGN_OK);
            sgn_ordered_encode(&record, false, &cut);
            SGN_ASSERT(!cut.full);
            value = entry->corrupt ? sgn_bytes_of(NULL, 0) : sgn_sink_bytes(&cut);
        } else if (fx->scan.heads_only && value.count > 0) {
            struct sgn_record record;
            struct sgn_sink cut = sgn_sink_of(head, sizeof(head));
            SGN_ASSERT(sgn_record_decode(value, SGN_RECORD_WITH_BODIES, &record) == SGN_OK);
            sgn_record_encode(&record, SGN_RECORD_DIGEST_ONLY, &cut);
            value = sgn_sink_bytes(&cut);
        }
        sgn_items_push(&sink, key, value);
        items++;
    }
    event.items = sgn_sink_bytes(&sink);
    queue_push(ring, node->id, &event, false);
}

static struct mini_node *node_of(struct mini_ring *ring, uint32_t id)
{
    SGN_ASSERT(id >= 1 && id <= ring->node_count);
    return &ring->nodes[id - 1];
}

static bool is_request(uint32_t type)
{
    return !sgn_msg_is_answer(type) && !sgn_msg_is_one_way(type);
}

static uint64_t token_for(struct mini_ring *ring, uint32_t node, uint32_t request)
{
    uint64_t token = ring->next_token++ % (sizeof(asked) / sizeof(asked[0]));
    asked[token] = (struct asked){.node = node, .request = request};
    return token;
}

static void send_witness(struct mini_ring *ring,
                         struct mini_node *from,
                         const struct sgn_effect *fx)
{
    struct sgn_event event = {.type = SGN_EV_MESSAGE, .node = fx->node};
    if (mini_witness_ask(ring, fx->node, &fx->msg, &event.msg)) {
        queue_push(ring, from->id, &event, false);
    }
}

static void fx_send(struct mini_ring *ring, struct mini_node *from, const struct sgn_effect *fx)
{
    if (fx->node >= SGN_WITNESS_BIT) {
        send_witness(ring, from, fx);
        return;
    }
    struct mini_node *to = node_of(ring, fx->node);
    from->sends++;
    if (!to->up || (to->mute && fx->msg.type == SGN_MSG_REPL_PUT)) {
        return;
    }
    for (int i = 0; i < (ring->duplicate ? 2 : 1); i++) {
        struct sgn_event event = {.type = SGN_EV_MESSAGE, .node = from->id, .msg = fx->msg};
        if (is_request(fx->msg.type)) {
            event.type = SGN_EV_REQUEST;
            event.token = token_for(ring, from->id, fx->msg.request);
        }
        queue_push(ring, to->id, &event, false);
    }
}

static void fx_reply(struct mini_ring *ring, struct mini_node *from, const struct sgn_effect *fx)
{
    struct asked who = asked[fx->token];
    struct sgn_event event = {.type = SGN_EV_MESSAGE, .node = from->id, .msg = fx->msg};
    event.msg.request = who.request;
    if (who.node == 0) {
        queue_push(ring, 0, &event, true);
    } else if (node_of(ring, who.node)->up && !node_of(ring, who.node)->deaf) {
        queue_push(ring, who.node, &event, false);
    }
}

void mini_event(struct mini_ring *ring, uint32_t id, struct sgn_event event)
{
    struct mini_node *node = node_of(ring, id);
    if (!node->up || node->halted) {
        return;
    }
    event.now_ms = ring->now_ms;
    event.wall_ms = 1700000000000u + ring->now_ms;
    event.random = ++ring->random;
    sgn_engine_step(node->engine, &event, &effects);
    /* What a step sends beside a STORE may be out before the STORE is lost. */
    for (uint32_t i = 0; i < effects.count && (!node->halted || node->halt_loses); i++) {
        const struct sgn_effect *fx = &effects.list[i];
        switch (fx->type) {
        case SGN_FX_SEND: fx_send(ring, node, fx); break;
        case SGN_FX_REPLY: fx_reply(ring, node, fx); break;
        case SGN_FX_LOAD: fx_load(ring, node, fx); break;
        case SGN_FX_STORE: fx_store(ring, node, fx); break;
        case SGN_FX_SCAN: fx_scan(ring, node, fx); break;
        case SGN_FX_LOG: break;
        }
    }
}

static void keep(uint8_t *to, size_t cap, size_t *count, struct sgn_bytes bytes)
{
    SGN_ASSERT(bytes.count <= cap);
    *count = bytes.count;
    if (bytes.count > 0) {
        memcpy(to, bytes.ptr, bytes.count);
    }
}

static void take_reply(struct mini_ring *ring, const struct sgn_msg *msg)
{
    struct mini_reply *reply = &ring->reply;
    reply->count++;
    reply->err = msg->err;
    reply->type = msg->type;
    reply->a = msg->a;
    reply->flags = msg->flags;
    SGN_ASSERT(msg->text.count < sizeof(reply->text));
    memcpy(reply->text, msg->text.ptr, msg->text.count);
    reply->text[msg->text.count] = '\0';
    keep(reply->value, sizeof(reply->value), &reply->value_count, msg->value);
    keep(reply->context, sizeof(reply->context), &reply->context_count, msg->context);
    keep(reply->items, sizeof(reply->items), &reply->items_count, msg->items);
    keep(reply->after, sizeof(reply->after), &reply->after_count, msg->after);
}

/* What was gathered goes out when nothing else is at hand. */
static bool flush(struct mini_ring *ring)
{
    for (uint32_t i = 0; i < ring->node_count; i++) {
        const struct mini_node *node = &ring->nodes[i];
        if (node->up && !node->halted && sgn_engine_wants_flush(node->engine)) {
            mini_event(ring, node->id, (struct sgn_event){.type = SGN_EV_FLUSH});
            return true;
        }
    }
    return false;
}

void mini_run(struct mini_ring *ring)
{
    struct mini_event *held = NULL;
    struct mini_event *held_last = NULL;
    while (ring->queue != NULL || flush(ring)) {
        if (ring->queue == NULL) {
            continue;
        }
        struct mini_event *item = ring->queue;
        ring->queue = item->next;
        if (ring->queue == NULL) {
            ring->queue_last = NULL;
        }
        item->next = NULL;
        const struct mini_node *at = item->is_reply ? NULL : &ring->nodes[item->node - 1];
        if (item->event.type == SGN_EV_STORED &&
            (at->stall_stores || (at->stall_deletes && item->event.end))) {
            *(held == NULL ? &held : &held_last->next) = item;
            held_last = item;
            continue;
        }
        if (item->is_reply) {
            take_reply(ring, &item->event.msg);
        } else {
            mini_event(ring, item->node, item->event);
        }
        free(item->bytes);
        free(item);
    }
    ring->queue = held;
    ring->queue_last = held_last;
}

void mini_pass(struct mini_ring *ring, uint64_t ms)
{
    for (uint64_t end = ring->now_ms + ms; ring->now_ms < end;) {
        ring->now_ms += SGN_TICK_MS;
        for (uint32_t i = 0; i < ring->node_count; i++) {
            mini_event(ring, i + 1, (struct sgn_event){.type = SGN_EV_TICK});
        }
        mini_witness_meet(ring);
        mini_run(ring);
    }
}

static void connect(struct mini_ring *ring, uint32_t a, uint32_t b, enum sgn_event_type type)
{
    mini_event(ring, a, (struct sgn_event){.type = type, .node = b});
    mini_event(ring, b, (struct sgn_event){.type = type, .node = a});
}

static void restore_meta(struct mini_node *node, struct sgn_bytes name, struct sgn_bytes value)
{
    if (sgn_bytes_starts(name, sgn_bytes_str("buckets/"))) {
        sgn_engine_restore_bucket(node->engine, value);
    } else if (value.count != 4) { /* A generation is counted by the node. */
        SGN_ASSERT(sgn_engine_restore_meta(node->engine, name, value) == SGN_OK);
    }
}

static void node_start(struct mini_ring *ring, struct mini_node *node)
{
    static uint32_t incarnation;
    struct sgn_engine_options options = {
        .node = node->id,
        .incarnation = ++incarnation,
        .disk = node->disk,
        .home_generation = ++node->home_generation,
        .guest_generation = ++node->guest_generation,
        .request_timeout_ms = 2000,
        .replica_timeout_ms = 500,
        .heartbeat_ms = 200,
        .suspect_ms = 1000,
        .tree_interval_ms = 1000,
        .hints_max = 1000,
        .out_ms = 5000,
        .resolve_ms = 1000,
        .tombstone_ms = ring->tombstone_ms,
    };
    node->memory = aligned_alloc(64, (sgn_engine_bytes(&ring->shape) + 63) / 64 * 64);
    memset(node->memory, 0, sgn_engine_bytes(&ring->shape));
    node->engine = sgn_engine_init(node->memory, &ring->shape, &ring->pool, &options, ring->now_ms);
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < node->entry_count; i++) {
            const struct mini_entry *entry = &node->entries[i];
            struct sgn_bytes key = sgn_bytes_of(entry->key, entry->key_count);
            struct sgn_bytes value = sgn_bytes_of(entry->value, entry->value_count);
            if (pass == 0 && entry->family == SGN_FAMILY_META) {
                restore_meta(node, key, value);
            } else if (pass == 1 && entry->family == SGN_FAMILY_TREE) {
                sgn_engine_restore_leaf(node->engine, key, value);
            } else if (pass == 1 && entry->family == SGN_FAMILY_HINT) {
                sgn_engine_restore_hint(node->engine, key);
            }
        }
    }
    node->up = true;
    for (uint32_t i = 0; i < ring->node_count; i++) {
        if (ring->nodes[i].up && ring->nodes[i].id != node->id) {
            connect(ring, node->id, ring->nodes[i].id, SGN_EV_PEER_UP);
        }
    }
    mini_run(ring);
}

void mini_init(struct mini_ring *ring, uint32_t nodes, uint32_t replicas, uint32_t partitions)
{
    memset(ring, 0, sizeof(*ring));
    ring->pool = (struct sgn_pool){.get = pool_get, .put = pool_put};
    ring->now_ms = 1000;
    ring->node_count = nodes;
    memcpy(ring->shape.name, "mini", 5);
    ring->shape.epoch = 1;
    ring->shape.partition_count = partitions;
    ring->shape.replica_count = replicas;
    ring->shape.member_count = nodes;
    ring->shape.table = ring->table;
    for (uint32_t i = 0; i < nodes; i++) {
        ring->shape.members[i] = (struct sgn_member){.id = i + 1, .weight = 1};
        memcpy(ring->shape.members[i].address, "127.0.0.1:1", 12);
        ring->nodes[i].id = i + 1;
    }
    size_t bytes = sgn_placement_scratch_bytes(partitions, nodes);
    void *scratch = malloc(bytes);
    SGN_ASSERT(sgn_placement_solve(&ring->shape, NULL, scratch, bytes) == SGN_OK);
    free(scratch);
    for (uint32_t i = 0; i < nodes; i++) {
        node_start(ring, &ring->nodes[i]);
    }
    mini_pass(ring, 500);
}

void mini_down(struct mini_ring *ring, uint32_t id)
{
    struct mini_node *node = node_of(ring, id);
    node->up = false;
    node->halted = false;
    node->halt_at_store = 0;
    node->stall_stores = node->stall_deletes = false; /* What it waited for ends with it. */
    sgn_engine_clear(node->engine);
    free(node->memory);
    node->engine = NULL;
    mini_witness_left(ring, id);
    for (uint32_t i = 0; i < ring->node_count; i++) {
        if (ring->nodes[i].up) {
            mini_event(
                ring, ring->nodes[i].id, (struct sgn_event){.type = SGN_EV_PEER_DOWN, .node = id});
        }
    }
    mini_run(ring);
}

void mini_up(struct mini_ring *ring, uint32_t id)
{
    node_start(ring, node_of(ring, id));
    mini_pass(ring, 100);
}

void mini_clear(struct mini_ring *ring)
{
    for (uint32_t i = 0; i < ring->node_count; i++) {
        struct mini_node *node = &ring->nodes[i];
        node->stall_stores = node->stall_deletes = false;
        if (node->up) {
            sgn_engine_clear(node->engine);
            free(node->memory);
            node->up = false;
        }
        mini_wipe(ring, node->id, 0);
    }
    mini_run(ring);
    mini_witness_left(ring, 0);
    SGN_ASSERT(ring->pool_live == 0);
}

void mini_request(struct mini_ring *ring, uint32_t node, struct sgn_msg msg)
{
    struct sgn_event event = {.type = SGN_EV_REQUEST, .msg = msg, .token = token_for(ring, 0, 0)};
    queue_push(ring, node, &event, false);
}
