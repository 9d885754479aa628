/* The nodes' side of the witnesses (protocol.md 4): asks gathered into batches, the map and the
 * unsettled sets brought to them, their answers handed to whoever waits. Nodes speak, witnesses
 * answer; requests carry one of the numbers below, and a batch's entries the number of their op. */
#include "ring/core/order_inner.h"

enum { ASK_BATCH = 1, ASK_PING = 2, ASK_SEED = 3, ASK_MAP = 4 };

#define SEED_AGAIN_MS 2000u /* A witness that is still warming after that is seeded anew. */
#define SILENT_MS     20u   /* A witness that leaves a batch unanswered so long. */
#define BATCH_ASKS    128u  /* Of one message: enough that its own cost is spread thin. */

struct sgn_link *sgn_barrier_link(struct sgn_engine *engine, uint32_t witness)
{
    struct sgn_order *order = &engine->order;
    for (uint32_t i = 0; i < order->link_count; i++) {
        if (order->links[i].id == witness) {
            return &order->links[i];
        }
    }
    return NULL;
}

static void link_send(struct sgn_engine *engine,
                      const struct sgn_link *link,
                      uint32_t number,
                      struct sgn_msg msg)
{
    sgn_order_send(engine, link->id, NULL, engine->order.map.version, msg);
    engine->fx->list[engine->fx->count - 1].msg.request = number;
}

/* --- batches ---------------------------------------------------------------------------------- */

void sgn_barrier_send(struct sgn_engine *engine, struct sgn_link *link)
{
    if (link->batch_count > 0 && link->connected) {
        link->batch->count = (size_t)link->batch_count * SGN_WITNESS_ASK_BYTES;
        link_send(engine,
                  link,
                  ASK_BATCH,
                  (struct sgn_msg){.type = SGN_MSG_WITNESS,
                                   .a = link->listed,
                                   .node = engine->options.node,
                                   .items = sgn_buf_bytes(link->batch)});
        link->since_ms = link->in_flight == 0 ? engine->now_ms : link->since_ms;
        link->in_flight++;
    }
    link->batch_count = 0;
    link->urgent = false;
    sgn_buf_drop(engine, &link->batch);
}

/* Checks that come while answers are on their way gather until those are here: the busier the node,
 * the fewer messages, and wakings, for as many reads. Marks hold writers up, and go. */
bool sgn_engine_checks_asked(const struct sgn_engine *engine)
{
    const struct sgn_order *order = &engine->order;
    for (uint32_t i = 0; i < order->link_count; i++) {
        if (order->links[i].in_flight > 0 && !order->links[i].silent) {
            return true;
        }
    }
    return false;
}

uint32_t sgn_engine_checks_gathered(const struct sgn_engine *engine)
{
    const struct sgn_order *order = &engine->order;
    uint32_t most = 0;
    for (uint32_t i = 0; i < order->link_count; i++) {
        const struct sgn_link *link = &order->links[i];
        if (link->urgent) {
            return 0;
        }
        most = link->batch_count > most ? link->batch_count : most;
    }
    for (uint32_t i = 0; i < engine->ring->member_count; i++) {
        if (order->commits[i] != NULL) {
            return 0;
        }
    }
    return sgn_engine_checks_asked(engine) ? 0 : most;
}

/* Answers come in the order of what was asked: with one of another kind all batches sent before are
 * answered, or their answers are lost. A batch sent since is then waited for no more, which costs
 * no more than a message. */
static void link_answered(struct sgn_engine *engine, struct sgn_link *link, bool batch)
{
    link->in_flight = batch && link->in_flight > 0 ? link->in_flight - 1 : 0;
    link->since_ms = engine->now_ms;
    link->silent = false;
    engine->order.flush_wanted = true; /* What has gathered meanwhile. */
}

static bool link_push(struct sgn_engine *engine,
                      struct sgn_link *link,
                      const struct sgn_witness_ask *ask)
{
    if (link->batch == NULL) {
        link->batch = sgn_buf_get(engine, (size_t)BATCH_ASKS * SGN_WITNESS_ASK_BYTES);
        link->batch_count = 0;
    }
    if (link->batch == NULL) {
        return false;
    }
    uint8_t *at = link->batch->bytes + (size_t)link->batch_count * SGN_WITNESS_ASK_BYTES;
    struct sgn_sink sink = sgn_sink_of(at, SGN_WITNESS_ASK_BYTES);
    sgn_witness_ask_put(&sink, ask);
    SGN_ASSERT(!sink.full && sink.count == SGN_WITNESS_ASK_BYTES);
    link->urgent = link->urgent || ask->what == SGN_WITNESS_MARK || ask->what == SGN_WITNESS_LIST;
    engine->order.flush_wanted |= link->urgent || !sgn_engine_checks_asked(engine);
    if (++link->batch_count == BATCH_ASKS) {
        sgn_barrier_send(engine, link);
    }
    return true;
}

uint32_t sgn_barrier_rank(struct sgn_engine *engine, uint32_t witness)
{
    const struct sgn_link *link = sgn_barrier_link(engine, witness);
    if (link == NULL || link->silent) {
        return 2;
    }
    bool local = link->host == engine->options.node && link->warming == 0;
    return link->batch_count == 0 && !local;
}

uint32_t sgn_barrier_ask(struct sgn_engine *engine,
                         const struct sgn_op *op,
                         enum sgn_witness_what what,
                         const struct sgn_line *line,
                         uint32_t partition,
                         struct sgn_key_hash key,
                         const struct sgn_ballot *ballot,
                         uint32_t members)
{
    static const struct sgn_ballot none;
    uint32_t asked = 0;
    const struct sgn_witness_ask ask = {.what = (uint8_t)what,
                                        .tag = op == NULL ? 0 : sgn_op_number(engine, op),
                                        .partition = partition,
                                        .epoch = line->epoch,
                                        .key = key,
                                        .ballot = ballot == NULL ? none : *ballot};
    for (uint32_t i = 0; i < line->group_count; i++) {
        struct sgn_link *link = sgn_barrier_link(engine, line->group[i].id);
        /* One heard with another incarnation than this epoch lists is not of it any more. */
        bool fits = link != NULL && link->connected && link->listed == line->group[i].incarnation;
        if ((members & 1u << i) != 0 && fits && link_push(engine, link, &ask)) {
            asked |= 1u << i;
        }
    }
    engine->counts.marks_sent += what == SGN_WITNESS_MARK && asked != 0;
    engine->counts.checks_sent += what == SGN_WITNESS_CHECK && asked != 0;
    return asked;
}

void sgn_order_flush(struct sgn_engine *engine)
{
    struct sgn_order *order = &engine->order;
    bool wait = sgn_engine_checks_asked(engine);
    bool left = false;
    for (uint32_t i = 0; i < order->link_count; i++) {
        struct sgn_link *link = &order->links[i];
        bool due = link->batch_count > 0 && (link->urgent || !wait);
        if (due && sgn_fx_has_room(engine)) {
            sgn_barrier_send(engine, link);
        }
        left = left || (due && link->batch_count > 0);
    }
    for (uint32_t i = 0; i < engine->ring->member_count; i++) {
        if (order->commits[i] != NULL && sgn_fx_has_room(engine)) {
            sgn_commits_flush(engine, i);
        }
        left = left || order->commits[i] != NULL;
    }
    order->flush_wanted = left;
}

/* --- answers ---------------------------------------------------------------------------------- */

static void told(struct sgn_engine *engine,
                 const struct sgn_link *link,
                 const struct sgn_witness_tell *tell)
{
    struct sgn_op *op = sgn_op_of_request(engine, tell->tag);
    if (op == NULL || (op->kind != SGN_OP_ROUND && op->kind != SGN_OP_READ &&
                       op->kind != SGN_OP_REPLICA_LIST && op->kind != SGN_OP_CELL)) {
        return;
    }
    const struct sgn_line *line = sgn_order_line(engine, op->partition);
    int member = sgn_line_group_index(line, link->id);
    if (member < 0 || line->group[member].incarnation != link->listed) {
        return;
    }
    bool ok = tell->status == SGN_WITNESS_OK || tell->status == SGN_WITNESS_WARMING;
    if (op->kind == SGN_OP_CELL) {
        sgn_carry_told(engine, op, (uint32_t)member, tell->what == SGN_WITNESS_MARK && ok);
    } else if (op->kind == SGN_OP_ROUND && tell->what == SGN_WITNESS_MARK) {
        if (op->u.round.epoch == line->epoch || SGN_MUTANT(21)) {
            sgn_round_marked(engine, op, (uint32_t)member, ok);
        }
    } else if (op->kind == SGN_OP_READ && tell->what == SGN_WITNESS_CHECK) {
        sgn_read_told(engine, op, (uint32_t)member, tell);
    } else if (tell->what == SGN_WITNESS_LIST) {
        sgn_order_list_told(engine, op, (uint32_t)member, tell);
    }
}

/* 4.3: marks that have grown old, of keys that nobody here holds as dirty any more. */
static void old_marks(struct sgn_engine *engine, struct sgn_bytes items)
{
    struct sgn_cursor cursor = sgn_cursor_of(items);
    while (cursor.left > 0 && sgn_fx_has_room(engine)) {
        uint32_t partition = (uint32_t)sgn_cursor_uint(&cursor, 4);
        uint32_t epoch = (uint32_t)sgn_cursor_uint(&cursor, 4);
        struct sgn_key_hash key;
        key.hash = sgn_cursor_uint(&cursor, 8);
        key.keyed = sgn_cursor_uint(&cursor, 8);
        struct sgn_ballot ballot = sgn_ballot_take(&cursor);
        if (cursor.bad || partition >= engine->ring->partition_count) {
            return;
        }
        if (epoch == sgn_order_line(engine, partition)->epoch) {
            sgn_resolve_mark(engine, partition, key, &ballot);
        }
    }
}

void sgn_barrier_answer(struct sgn_engine *engine, const struct sgn_event *event)
{
    const struct sgn_msg *msg = &event->msg;
    struct sgn_link *link = sgn_barrier_link(engine, event->node);
    if (link == NULL || msg->b == 0 || msg->b > UINT32_MAX || msg->a > UINT32_MAX) {
        return;
    }
    link->heard_ms = engine->now_ms;
    link->down_since_ms = 0;
    link->incarnation = (uint32_t)msg->b;
    link->version = (uint32_t)msg->a;
    link->warming = msg->c;
    link->dropped = msg->d;
    sgn_known_version(engine, link->id, link->incarnation, link->version);
    if (link->version < engine->order.map.version &&
        link->offer_due_ms > engine->now_ms + SGN_MAP_OFFER_MS) {
        link->offer_due_ms = engine->now_ms;
    }
    link_answered(engine, link, msg->request == ASK_BATCH);
    if (msg->request == ASK_BATCH && msg->err == SGN_OK) {
        struct sgn_cursor cursor = sgn_cursor_of(msg->items);
        struct sgn_witness_tell tell;
        while (sgn_fx_has_room(engine) && sgn_witness_tell_take(&cursor, &tell)) {
            told(engine, link, &tell);
        }
    } else if (msg->request == ASK_PING && msg->err == SGN_OK) {
        old_marks(engine, msg->items);
    } else if (msg->request == ASK_SEED && msg->err == SGN_OK) {
        link->seed_next = link->seed_sent;
        link->seed_due_ms = engine->now_ms;
    }
}

/* --- links ------------------------------------------------------------------------------------ */

void sgn_barrier_up(struct sgn_engine *engine, uint32_t witness)
{
    struct sgn_link *link = sgn_barrier_link(engine, witness);
    if (link != NULL) {
        link->connected = true;
        link->in_flight = 0;
        link->silent = false;
        link->ping_due_ms = link->offer_due_ms = link->seed_due_ms = engine->now_ms;
        link->version = 0;
        link->seed_next = link->seed_sent = 0;
    }
}

void sgn_barrier_down(struct sgn_engine *engine, uint32_t witness)
{
    struct sgn_link *link = sgn_barrier_link(engine, witness);
    if (link != NULL) {
        link->connected = false;
        link->in_flight = 0;
        engine->order.flush_wanted = true;
        link->down_since_ms = engine->now_ms;
        link->version = link->incarnation =
            0; /* To be heard anew: it may be restarted meanwhile. */
        link->batch_count = 0;
        sgn_buf_drop(engine, &link->batch);
    }
}

/* Keeps the links of witnesses that stay, in the map's order. */
void sgn_barrier_adopted(struct sgn_engine *engine)
{
    struct sgn_order *order = &engine->order;
    const struct sgn_map *map = &order->map;
    for (uint32_t i = 0; i < order->link_count;) {
        uint32_t j = 0;
        while (j < map->witness_count && map->witnesses[j].id != order->links[i].id) {
            j++;
        }
        if (j == map->witness_count) {
            sgn_buf_drop(engine, &order->links[i].batch);
            order->links[i] = order->links[--order->link_count];
        } else {
            i++;
        }
    }
    for (uint32_t j = 0; j < map->witness_count; j++) {
        struct sgn_link *link = sgn_barrier_link(engine, map->witnesses[j].id);
        if (link == NULL) {
            SGN_ASSERT(order->link_count < SGN_WITNESSES_MAX);
            link = &order->links[order->link_count++];
            *link = (struct sgn_link){.id = map->witnesses[j].id, .down_since_ms = engine->now_ms};
        }
        /* Asks of the old epochs, under the incarnation they mean. */
        sgn_barrier_send(engine, link);
        if (link->incarnation == link->listed && link->listed != map->witnesses[j].incarnation) {
            link->incarnation = 0; /* Another node has heard a newer one. */
        }
        link->listed = map->witnesses[j].incarnation;
        link->host = map->witnesses[j].host;
        link->seed_next = link->seed_sent = 0;
        link->offer_due_ms = link->seed_due_ms = engine->now_ms;
    }
    sgn_buf_drop(engine, &order->map_bytes);
}

/* --- what is brought to them ------------------------------------------------------------------ */

static bool seed_wanted(const struct sgn_engine *engine,
                        const struct sgn_link *link,
                        uint32_t partition)
{
    const struct sgn_line *line = &engine->order.map.lines[partition];
    int member = sgn_line_group_index(line, link->id);
    return member >= 0 && line->group[member].incarnation == link->incarnation &&
           sgn_own_seat(engine, line) >= 0 && !engine->order.dirty_lost &&
           engine->order.dirty_counts[partition] <= SGN_SEED_MARKS_MAX;
}

/* One partition's unsettled set (2), whole. False when the message is full. */
static bool seed_push(struct sgn_engine *engine, struct sgn_sink *sink, uint32_t partition)
{
    const struct sgn_order *order = &engine->order;
    size_t bytes = (size_t)order->dirty_counts[partition] * SGN_MARK_BYTES;
    if (sink->cap - sink->count < bytes + 8 + SGN_ITEM_OVERHEAD_BYTES) {
        return false;
    }
    sgn_sink_uint(sink, 8, 4);
    sgn_sink_uint(sink, partition, 4);
    sgn_sink_uint(sink, order->map.lines[partition].epoch, 4);
    sgn_sink_uint(sink, bytes, 4);
    for (uint32_t i = order->dirty_first[partition]; i != 0; i = order->dirty[i - 1].behind) {
        const struct sgn_dirty *entry = &order->dirty[i - 1];
        sgn_sink_uint(sink, entry->key.hash, 8);
        sgn_sink_uint(sink, entry->key.keyed, 8);
        sgn_ballot_put(sink, &entry->ballot);
    }
    return true;
}

/* 4.1: inside exactly the epoch adopted, which is durable here. */
static void seed_send(struct sgn_engine *engine, struct sgn_link *link)
{
    uint32_t count = engine->ring->partition_count;
    uint32_t p = link->seed_next;
    while (p < count && !seed_wanted(engine, link, p)) {
        p++;
    }
    link->seed_next = p;
    if (p == count) {
        return;
    }
    struct sgn_buf *buf = sgn_buf_get(engine, SGN_PAGE_BYTES_MAX);
    if (buf == NULL) {
        return;
    }
    struct sgn_sink sink = sgn_sink_of(buf->bytes, SGN_PAGE_BYTES_MAX);
    while (p < count && (!seed_wanted(engine, link, p) || seed_push(engine, &sink, p))) {
        p++;
    }
    buf->count = sink.count;
    link->seed_sent = p;
    link->seed_due_ms = engine->now_ms + SGN_ROUND_MS; /* Again, if it is not answered by then. */
    link_send(engine,
              link,
              ASK_SEED,
              (struct sgn_msg){.type = SGN_MSG_SEED,
                               .node = engine->options.node,
                               .a = link->incarnation,
                               .items = sgn_buf_bytes(buf)});
    sgn_buf_drop(engine, &buf);
}

static void link_tick(struct sgn_engine *engine, struct sgn_link *link)
{
    struct sgn_order *order = &engine->order;
    if (link->in_flight > 0 && engine->now_ms - link->since_ms >= SILENT_MS) {
        link->silent = true;
        engine->order.flush_wanted = true;
    }
    if (link->version < order->map.version && engine->now_ms >= link->offer_due_ms) {
        if (order->map_bytes == NULL) {
            order->map_bytes = sgn_map_to_buf(engine, &order->map);
        }
        if (order->map_bytes != NULL) {
            link->offer_due_ms = engine->now_ms + SGN_MAP_OFFER_MS;
            link_send(
                engine,
                link,
                ASK_MAP,
                (struct sgn_msg){.type = SGN_MSG_MAP_IS, .value = sgn_buf_bytes(order->map_bytes)});
        }
    }
    bool same = link->version == order->map.version;
    if (same && link->warming > 0 && link->seed_next == engine->ring->partition_count &&
        engine->now_ms >= link->seed_due_ms + SEED_AGAIN_MS) {
        /* One was lost, or a set was too large when its turn came: what comes twice adds
         * nothing. */
        link->seed_next = link->seed_sent = 0;
    }
    if ((same || SGN_MUTANT(25)) && engine->now_ms >= link->seed_due_ms &&
        link->seed_next < engine->ring->partition_count) {
        seed_send(engine, link);
    }
    if (engine->now_ms >= link->ping_due_ms) {
        link->ping_due_ms = engine->now_ms + SGN_PING_MS;
        link_send(engine,
                  link,
                  ASK_PING,
                  (struct sgn_msg){
                      .type = SGN_MSG_PING, .node = engine->options.node, .a = link->listed});
    }
}

void sgn_barrier_tick(struct sgn_engine *engine)
{
    struct sgn_order *order = &engine->order;
    for (uint32_t i = 0; i < order->link_count; i++) {
        if (order->links[i].connected && sgn_fx_has_room(engine)) {
            link_tick(engine, &order->links[i]);
        }
    }
}
