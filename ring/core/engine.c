/* The step: which part takes which event; and what drivers and people ask. */
#include "ring/core/engine.h"

#include "ring/core/order_inner.h"

#define SGN_ALIGN(bytes) (((bytes) + 15u) & ~(size_t)15u)

_Static_assert(SGN_TICK_MS < 100, "deadlines are looked at a few times in each of them");

size_t sgn_engine_bytes(const struct sgn_ring *ring)
{
    return SGN_ALIGN(sizeof(struct sgn_engine)) + SGN_ALIGN(SGN_ARENA_BYTES) +
           SGN_ALIGN(SGN_OPS_MAX * sizeof(struct sgn_op)) +
           SGN_ALIGN(SGN_OPS_MAX * sizeof(struct sgn_lock)) +
           SGN_ALIGN(ring->member_count * sizeof(struct sgn_peer)) +
           SGN_ALIGN(ring->member_count * sizeof(uint32_t)) +
           SGN_ALIGN(sgn_tree_bytes(ring->partition_count, ring->replica_count)) +
           sgn_order_bytes(ring);
}

static void *place(uint8_t **at, size_t bytes)
{
    void *here = *at;
    *at += SGN_ALIGN(bytes);
    return here;
}

static void engine_init_tables(struct sgn_engine *engine)
{
    /* Slots are taken as they lie until all were used: pages never touched cost nothing. */
    engine->op_free_head = engine->op_free_tail = SGN_NONE;
    engine->op_free_count = SGN_OPS_MAX;
    for (uint32_t i = 0; i < SGN_LOCK_HEADS; i++) {
        engine->lock_heads[i] = SGN_NONE;
    }
    engine->lock_free_head = SGN_NONE;
    engine->ready_head = engine->ready_tail = SGN_NONE;
    engine->tree_round = SGN_NONE;
    engine->sweep_next = SGN_OPS_MAX;
}

struct sgn_engine *sgn_engine_init(void *memory,
                                   const struct sgn_ring *ring,
                                   struct sgn_pool *pool,
                                   const struct sgn_engine_options *options,
                                   uint64_t now_ms)
{
    int self = sgn_ring_find(ring, options->node);
    SGN_ASSERT(self >= 0);
    SGN_ASSERT(options->heartbeat_ms > 0 && options->suspect_ms > options->heartbeat_ms);
    SGN_ASSERT(options->incarnation > 0);
    uint8_t *at = memory;
    struct sgn_engine *engine = place(&at, sizeof(*engine));
    engine->arena = place(&at, SGN_ARENA_BYTES);
    engine->ops = place(&at, SGN_OPS_MAX * sizeof(struct sgn_op));
    engine->locks = place(&at, SGN_OPS_MAX * sizeof(struct sgn_lock));
    engine->peers = place(&at, ring->member_count * sizeof(struct sgn_peer));
    engine->tree_partition_next = place(&at, ring->member_count * sizeof(uint32_t));
    sgn_tree_init(&engine->tree,
                  place(&at, sgn_tree_bytes(ring->partition_count, ring->replica_count)),
                  ring->partition_count,
                  ring->replica_count);
    void *order_memory = place(&at, sgn_order_bytes(ring));
    SGN_ASSERT((size_t)(at - (uint8_t *)memory) == sgn_engine_bytes(ring));
    engine->ring = ring;
    engine->pool = pool;
    engine->options = *options;
    engine->self = (uint32_t)self;
    engine->ring_digest = sgn_ring_digest(ring);
    uint32_t slower = 1 + (ring->member_count - 1) / SGN_HEARTBEAT_FAN_OUT;
    engine->beat_ms = options->heartbeat_ms * slower;
    engine->suspect_ms = options->suspect_ms * slower;
    engine->now_ms = now_ms;
    engine->started_ms = now_ms;
    engine->tree_due_ms = now_ms + options->tree_interval_ms;
    engine->generations[SGN_ACTOR_HOME].value = options->home_generation;
    engine->generations[SGN_ACTOR_GUEST].value = options->guest_generation;
    sgn_bucket_table_init(&engine->buckets, ring->replica_count);
    engine->buckets_digest = sgn_bucket_table_digest(&engine->buckets);
    engine->rows_next = SGN_BUCKETS_MAX;
    engine_init_tables(engine);
    sgn_order_init(engine, order_memory);
    return engine;
}

/* Requests of available buckets, and of none that is known. */
static void step_available(struct sgn_engine *engine, const struct sgn_event *event)
{
    if (event->msg.type == SGN_MSG_GET) {
        sgn_get_request(engine, event);
    } else if (event->msg.type == SGN_MSG_REPL_PUT) {
        sgn_serve_put(engine, event);
    } else {
        sgn_put_request(engine, event);
    }
}

static void step_request(struct sgn_engine *engine, const struct sgn_event *event)
{
    switch (event->msg.type) {
    case SGN_MSG_PUT:
    case SGN_MSG_DEL:
    case SGN_MSG_GET:
    case SGN_MSG_RESOLVE:
    case SGN_MSG_REPL_PUT:
        if (!sgn_order_takes(engine, event)) {
            step_available(engine, event);
        }
        return;
    case SGN_MSG_PREPARE:
    case SGN_MSG_DIGEST:
    case SGN_MSG_ACCEPT: sgn_accept_request(engine, event); return;
    case SGN_MSG_PULL: sgn_catchup_pull(engine, event); return;
    case SGN_MSG_FLOOR: sgn_floor_request(engine, event); return;
    case SGN_MSG_REG_PREPARE:
    case SGN_MSG_REG_ACCEPT:
    case SGN_MSG_MAP:
    case SGN_MSG_MAP_CHANGE: sgn_map_work_request(engine, event); return;
    case SGN_MSG_LIST: sgn_list_request(engine, event); return;
    case SGN_MSG_BUCKET_PUT:
    case SGN_MSG_BUCKET_DEL:
    case SGN_MSG_BUCKET_LIST: sgn_bucket_request(engine, event); return;
    case SGN_MSG_REPL_GET: sgn_get_replica(engine, event); return;
    case SGN_MSG_REPL_LIST: sgn_list_replica(engine, event); return;
    case SGN_MSG_TREE_ROOTS: sgn_trees_roots(engine, event); return;
    case SGN_MSG_HELLO:
    case SGN_MSG_RING:
    case SGN_MSG_STATUS:
    case SGN_MSG_RESULT:
    case SGN_MSG_HEARTBEAT:
    case SGN_MSG_REPL_ACK:
    case SGN_MSG_REPL_RECORD:
    case SGN_MSG_REPL_PAGE:
    case SGN_MSG_TREE_LEAVES:
    case SGN_MSG_TREE_KEYS:
    case SGN_MSG_STATE:
    case SGN_MSG_COMMITS:
    case SGN_MSG_PULL_PAGE:
    case SGN_MSG_REG_ANSWER:
    case SGN_MSG_MAP_IS:
    case SGN_MSG_WITNESS:
    case SGN_MSG_SEED:
    case SGN_MSG_PING:
    case SGN_MSG_WITNESS_ANSWER:
    case SGN_MSG_FLOOR_ANSWER:
    case SGN_MSG_BUCKETS: break;
    }
    sgn_fx_refuse(engine, event, SGN_ERR_INVALID, "this is not a request the ring answers");
}

static void step_answer(struct sgn_engine *engine, const struct sgn_event *event)
{
    struct sgn_op *op = sgn_op_of_request(engine, event->msg.request);
    if (op == NULL) {
        return; /* The op has ended; its answer comes late. */
    }
    switch (op->kind) {
    case SGN_OP_PUT: sgn_put_answer(engine, op, event); return;
    case SGN_OP_FORWARD: sgn_forward_answer(engine, op, event); return;
    case SGN_OP_GET: sgn_get_answer(engine, op, event); return;
    case SGN_OP_LIST:
    case SGN_OP_BUCKET: sgn_list_answer(engine, op, event); return;
    case SGN_OP_HINT_SEND: sgn_hint_answer(engine, op, event); return;
    case SGN_OP_TREE_ROUND: sgn_trees_answer(engine, op, event); return;
    case SGN_OP_EXCHANGE: sgn_exchange_answer(engine, op, event); return;
    case SGN_OP_ROUND: sgn_round_state(engine, op, event); return;
    case SGN_OP_READ: sgn_read_state(engine, op, event); return;
    case SGN_OP_PASS: sgn_pass_answer(engine, op, event); return;
    case SGN_OP_CATCHUP: sgn_catchup_page(engine, op, event); return;
    case SGN_OP_FETCH: sgn_catchup_fetched(engine, op, event); return;
    case SGN_OP_FLOOR: sgn_floor_answer(engine, op, event); return;
    case SGN_OP_LIST_KEY: sgn_list_key_answer(engine, op, event); return;
    case SGN_OP_CELL:
    case SGN_OP_MARK:
    case SGN_OP_REPLICA_PUT:
    case SGN_OP_REPLICA_GET:
    case SGN_OP_REPLICA_LIST:
    case SGN_OP_MERGE:
    case SGN_OP_HINT_KEEP:
    case SGN_OP_HINT_PEER:
    case SGN_OP_TREE_KEYS: return; /* These ask nobody. */
    case SGN_OP_FREE: break;
    }
    SGN_ASSERT(false);
}

static void step_message(struct sgn_engine *engine, const struct sgn_event *event)
{
    if (event->msg.type == SGN_MSG_WITNESS_ANSWER) {
        sgn_barrier_answer(engine, event);
        return;
    }
    if (sgn_ring_find(engine->ring, event->node) < 0 || event->node == engine->options.node) {
        return;
    }
    if (event->msg.type == SGN_MSG_REG_ANSWER) {
        sgn_map_work_answer(engine, event);
    } else if (event->msg.type == SGN_MSG_MAP_IS) {
        sgn_map_work_is(engine, event);
    } else if (event->msg.type == SGN_MSG_COMMITS) {
        sgn_accept_commits(engine, event);
    } else if (sgn_msg_is_answer(event->msg.type)) {
        step_answer(engine, event);
    } else if (event->msg.type == SGN_MSG_HEARTBEAT) {
        sgn_member_heartbeat(engine, event);
    } else if (event->msg.type == SGN_MSG_BUCKETS) {
        sgn_bucket_rows(engine, event);
    } else if (event->msg.type == SGN_MSG_TREE_KEYS) {
        sgn_trees_keys(engine, event);
    }
}

static void step_loaded(struct sgn_engine *engine, const struct sgn_event *event)
{
    if (event->token >> 56 == SGN_TOKEN_LOCK) {
        sgn_lock_loaded(engine, event);
        return;
    }
    if (event->token >> 56 == SGN_TOKEN_CELL) {
        sgn_cell_loaded(engine, event);
        return;
    }
    struct sgn_op *op =
        sgn_op_at(engine, (uint32_t)(event->token >> 32) & 0xffffff, (uint32_t)event->token);
    if (op == NULL) {
        return; /* It ran out of time. */
    }
    if (op->kind == SGN_OP_GET || op->kind == SGN_OP_REPLICA_GET) {
        sgn_get_loaded(engine, op, event);
    } else if (op->kind == SGN_OP_HINT_SEND) {
        sgn_hint_loaded(engine, op, event);
    } else if (op->kind == SGN_OP_EXCHANGE) {
        sgn_exchange_loaded(engine, op, event);
    } else if (op->kind == SGN_OP_READ) {
        sgn_read_loaded(engine, op, event);
    }
}

static void step_stored(struct sgn_engine *engine, const struct sgn_event *event)
{
    enum sgn_token_kind kind = (enum sgn_token_kind)(event->token >> 56);
    if (kind == SGN_TOKEN_LOCK) {
        sgn_lock_stored(engine, event);
    } else if (kind == SGN_TOKEN_GENERATION) {
        sgn_generation_stored(engine, event);
    } else if (kind == SGN_TOKEN_ROWS) {
        sgn_bucket_rows_stored(engine, event);
    } else if (kind == SGN_TOKEN_CEILING) {
        sgn_ceiling_stored(engine, event);
    } else if (kind == SGN_TOKEN_WATERMARK) {
        sgn_watermark_stored(engine, event);
    } else if (kind == SGN_TOKEN_MAP) {
        sgn_map_work_stored(engine, event);
    } else {
        struct sgn_op *op =
            sgn_op_at(engine, (uint32_t)(event->token >> 32) & 0xffffff, (uint32_t)event->token);
        if (op != NULL && op->kind == SGN_OP_BUCKET) {
            sgn_bucket_stored(engine, op, event);
        } else if (op != NULL && op->kind == SGN_OP_CELL) {
            sgn_accept_stored(engine, op, event);
        } else if (op != NULL && op->kind == SGN_OP_FLOOR) {
            sgn_sweep_stored(engine, op, event);
        }
    }
}

static void step_scanned(struct sgn_engine *engine, const struct sgn_event *event)
{
    if (event->token >> 56 == SGN_TOKEN_RESOLVE) {
        sgn_resolve_scanned(engine, event);
        return;
    }
    struct sgn_op *op =
        sgn_op_at(engine, (uint32_t)(event->token >> 32) & 0xffffff, (uint32_t)event->token);
    if (op == NULL) {
        return;
    }
    if (op->kind == SGN_OP_LIST || op->kind == SGN_OP_BUCKET || op->kind == SGN_OP_REPLICA_LIST) {
        sgn_list_scanned(engine, op, event);
    } else if (op->kind == SGN_OP_HINT_PEER) {
        sgn_hint_scanned(engine, op, event);
    } else if (op->kind == SGN_OP_TREE_ROUND) {
        sgn_trees_scanned(engine, op, event);
    } else if (op->kind == SGN_OP_TREE_KEYS) {
        sgn_keys_scanned(engine, op, event);
    } else if (op->kind == SGN_OP_CATCHUP) {
        sgn_catchup_scanned(engine, op, event);
    } else if (op->kind == SGN_OP_FLOOR) {
        sgn_floor_scanned(engine, op, event);
    } else if (op->kind == SGN_OP_MARK) {
        sgn_mark_scanned(engine, op, event);
    }
}

void sgn_written(struct sgn_engine *engine, struct sgn_op *op)
{
    SGN_ASSERT(!op->write.waiting);
    if (op->kind == SGN_OP_PUT) {
        sgn_put_written(engine, op);
    } else if (op->kind == SGN_OP_REPLICA_PUT) {
        sgn_serve_put_written(engine, op);
    } else if (op->kind == SGN_OP_HINT_SEND) {
        sgn_hint_written(engine, op);
    } else if (op->kind == SGN_OP_HINT_KEEP) {
        sgn_hint_kept(engine, op);
    } else {
        SGN_ASSERT(op->kind == SGN_OP_MERGE);
        sgn_op_free(engine, op);
    }
}

static void op_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    switch (op->kind) {
    case SGN_OP_PUT: sgn_put_tick(engine, op); return;
    case SGN_OP_FORWARD: sgn_forward_tick(engine, op); return;
    case SGN_OP_GET: sgn_get_tick(engine, op); return;
    case SGN_OP_LIST: sgn_list_tick(engine, op); return;
    case SGN_OP_BUCKET: sgn_bucket_op_tick(engine, op); return;
    case SGN_OP_HINT_SEND: sgn_hint_send_tick(engine, op); return;
    case SGN_OP_HINT_PEER: sgn_hint_peer_tick(engine, op); return;
    case SGN_OP_TREE_ROUND: sgn_trees_round_tick(engine, op); return;
    case SGN_OP_TREE_KEYS: sgn_keys_tick(engine, op); return;
    case SGN_OP_EXCHANGE: sgn_exchange_tick(engine, op); return;
    case SGN_OP_ROUND: sgn_round_tick(engine, op); return;
    case SGN_OP_CELL: sgn_accept_tick(engine, op); return;
    case SGN_OP_READ: sgn_read_tick(engine, op); return;
    case SGN_OP_PASS: sgn_pass_tick(engine, op); return;
    case SGN_OP_CATCHUP:
    case SGN_OP_FETCH: sgn_catchup_op_tick(engine, op); return;
    case SGN_OP_FLOOR: sgn_floor_op_tick(engine, op); return;
    case SGN_OP_LIST_KEY: sgn_list_key_tick(engine, op); return;
    case SGN_OP_REPLICA_LIST: sgn_page_tick(engine, op); return;
    case SGN_OP_MARK:
    case SGN_OP_REPLICA_PUT:
    case SGN_OP_REPLICA_GET:
    case SGN_OP_MERGE:
    case SGN_OP_HINT_KEEP: return; /* They wait for the own store only, which always answers. */
    case SGN_OP_FREE: break;
    }
    SGN_ASSERT(false);
}

/* Looks at every op once, over as many steps as the effects' room takes. */
static void sweep(struct sgn_engine *engine)
{
    while (engine->sweep_next < SGN_OPS_MAX && sgn_fx_has_room(engine)) {
        uint64_t word = engine->op_used[engine->sweep_next / 64] >> (engine->sweep_next % 64);
        if (word == 0) {
            engine->sweep_next = (engine->sweep_next / 64 + 1) * 64;
            continue;
        }
        if ((word & 1) != 0) {
            op_tick(engine, &engine->ops[engine->sweep_next]);
        }
        engine->sweep_next++;
    }
}

static void step_tick(struct sgn_engine *engine)
{
    sgn_member_tick(engine);
    sgn_generation_tick(engine);
    sgn_bucket_tick(engine);
    sgn_hint_tick(engine);
    sgn_trees_tick(engine);
    sgn_order_tick(engine);
    if (engine->sweep_next >= SGN_OPS_MAX) {
        engine->sweep_next = 0;
    }
}

static void step_peer(struct sgn_engine *engine, uint32_t id, bool up)
{
    bool witness = (id & SGN_WITNESS_BIT) != 0;
    void (*const tell[2][2])(struct sgn_engine *, uint32_t) = {{sgn_member_down, sgn_member_up},
                                                               {sgn_barrier_down, sgn_barrier_up}};
    tell[witness][up](engine, id);
}

void sgn_engine_step(struct sgn_engine *engine,
                     const struct sgn_event *event,
                     struct sgn_effects *effects)
{
    sgn_garbage_free(engine);
    effects->count = 0;
    engine->fx = effects;
    engine->arena_used = 0;
    engine->now_ms = event->now_ms > engine->now_ms ? event->now_ms : engine->now_ms;
    engine->now_us = event->now_us;
    engine->wall_ms = event->wall_ms;
    engine->random = event->random;
    switch (event->type) {
    case SGN_EV_TICK: step_tick(engine); break;
    case SGN_EV_REQUEST: step_request(engine, event); break;
    case SGN_EV_MESSAGE: step_message(engine, event); break;
    case SGN_EV_PEER_UP: step_peer(engine, event->node, true); break;
    case SGN_EV_PEER_DOWN: step_peer(engine, event->node, false); break;
    case SGN_EV_FLUSH: sgn_order_flush(engine); break;
    case SGN_EV_LOADED: step_loaded(engine, event); break;
    case SGN_EV_STORED: step_stored(engine, event); break;
    case SGN_EV_SCANNED: step_scanned(engine, event); break;
    }
    sgn_locks_pump(engine);
    sweep(engine);
    engine->fx = NULL;
}

void sgn_engine_clear(struct sgn_engine *engine)
{
    for (uint32_t i = 0; i < engine->op_high; i++) {
        if (engine->ops[i].kind != SGN_OP_FREE) {
            engine->ops[i].write.waiting = false;
            sgn_op_free(engine, &engine->ops[i]);
        }
    }
    sgn_locks_clear(engine);
    sgn_order_clear(engine);
    sgn_garbage_free(engine);
}

void sgn_engine_counts(const struct sgn_engine *engine, struct sgn_engine_counts *counts)
{
    *counts = engine->counts;
    counts->ops_in_flight = SGN_OPS_MAX - engine->op_free_count;
    counts->keys_locked = engine->locks_used;
    counts->dirty = engine->order.dirty_count;
    counts->pending = engine->order.pending_count;
    counts->cells = engine->order.cells_used;
    for (uint32_t i = 0; i < engine->ring->member_count; i++) {
        counts->divergent_partitions += engine->peers[i].divergent;
    }
}

bool sgn_engine_peer_alive(const struct sgn_engine *engine, uint32_t node)
{
    return sgn_node_alive(engine, node);
}

const struct sgn_bucket_table *sgn_engine_buckets(const struct sgn_engine *engine)
{
    return &engine->buckets;
}

uint64_t sgn_engine_tree_root(const struct sgn_engine *engine, uint32_t partition)
{
    return sgn_tree_root(&engine->tree, partition, 1);
}

bool sgn_engine_is_idle(const struct sgn_engine *engine)
{
    return engine->op_free_count == SGN_OPS_MAX && engine->locks_used == 0 && !engine->rows_storing;
}
