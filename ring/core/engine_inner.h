/* ring/core/engine_inner.h - what the engine's files call in each other. Nobody else includes it.
 *
 * Order of work in a step: the event is handled, then locks that became ready are pumped, then a
 * sweep over the ops looks for deadlines and dead peers, each only while the effects have room. */
#ifndef SGN_CORE_ENGINE_INNER_H
#define SGN_CORE_ENGINE_INNER_H

#include "ring/core/check.h"
#include "ring/core/engine_state.h"
#include "ring/core/items.h"

/* engine_base.c: buffers. NULL when the pool refuses. */
struct sgn_buf *sgn_buf_get(struct sgn_engine *engine, size_t cap);
struct sgn_buf *sgn_buf_copy(struct sgn_engine *engine, struct sgn_bytes bytes);
struct sgn_buf *sgn_buf_keep(struct sgn_buf *buf);
/* Gives one reference up and clears the pointer; NULL is fine. */
void sgn_buf_drop(struct sgn_engine *engine, struct sgn_buf **buf);
void sgn_garbage_free(struct sgn_engine *engine);
static inline struct sgn_bytes sgn_buf_bytes(const struct sgn_buf *buf)
{
    return buf == NULL ? sgn_bytes_of(NULL, 0) : sgn_bytes_of(buf->bytes, buf->count);
}
/* Bytes valid until the next step. */
struct sgn_sink sgn_arena_sink(struct sgn_engine *engine, size_t cap);
struct sgn_bytes sgn_arena_uint(struct sgn_engine *engine, uint64_t value, uint32_t width);

/* engine_base.c: effects. */
struct sgn_effect *sgn_fx_push(struct sgn_engine *engine, enum sgn_effect_type type);
static inline bool sgn_fx_has_room(const struct sgn_engine *engine)
{
    return SGN_EFFECTS_MAX - engine->fx->count >= SGN_FX_ROOM;
}
/* `op` may be NULL: nobody waits for the answer. */
void sgn_fx_send(struct sgn_engine *engine,
                 uint32_t node,
                 const struct sgn_op *op,
                 struct sgn_msg msg);
void sgn_fx_reply(struct sgn_engine *engine, uint64_t token, struct sgn_msg msg);
/* Refuses a request that has no op; the answer's type follows the request's. */
void sgn_fx_refuse(struct sgn_engine *engine,
                   const struct sgn_event *event,
                   enum sgn_err err,
                   const char *text);
void sgn_fx_load(struct sgn_engine *engine,
                 uint64_t token,
                 enum sgn_family family,
                 struct sgn_bytes key);
void sgn_fx_log(struct sgn_engine *engine, const char *text);
struct sgn_bytes sgn_hint_key(struct sgn_engine *engine, uint32_t node, struct sgn_bytes full_key);
struct sgn_bytes sgn_tree_key(struct sgn_engine *engine, struct sgn_bytes full_key);

/* engine_base.c: sentences, in the arena. */
#define SGN_TEXT_BYTES 256u
struct sgn_sink sgn_text(struct sgn_engine *engine, const char *begin);
void sgn_text_str(struct sgn_sink *text, const char *str);
void sgn_text_uint(struct sgn_sink *text, uint64_t value);

/* engine_base.c: ops. */
struct sgn_op *sgn_op_acquire(struct sgn_engine *engine,
                              enum sgn_op_kind kind,
                              enum sgn_op_class op_class);
/* A new name for the same op: answers to the old one are late from now on. */
void sgn_op_renew(struct sgn_op *op);
void sgn_op_free(struct sgn_engine *engine, struct sgn_op *op);
static inline uint16_t sgn_op_index(const struct sgn_engine *engine, const struct sgn_op *op)
{
    return (uint16_t)(op - engine->ops);
}
struct sgn_op *sgn_op_at(struct sgn_engine *engine, uint32_t index, uint32_t generation);
/* The op an answer's number names, or NULL. */
struct sgn_op *sgn_op_of_request(struct sgn_engine *engine, uint32_t request);
enum sgn_token_kind {
    SGN_TOKEN_OP,
    SGN_TOKEN_LOCK,
    SGN_TOKEN_GENERATION,
    SGN_TOKEN_ROWS,
    SGN_TOKEN_CELL,
    SGN_TOKEN_CEILING,
    SGN_TOKEN_WATERMARK,
    SGN_TOKEN_RESOLVE, /* A scan for the key of a dirty entry. */
    SGN_TOKEN_MAP,     /* Index 0: the map; 1: the register. */
};
static inline uint64_t sgn_token(enum sgn_token_kind kind, uint32_t index, uint32_t generation)
{
    return (uint64_t)kind << 56 | (uint64_t)index << 32 | generation;
}
uint64_t sgn_op_token(const struct sgn_engine *engine, const struct sgn_op *op);
/* Copies what the op needs of a request. False when the pool refuses. */
bool sgn_op_copy(struct sgn_engine *engine,
                 struct sgn_op *op,
                 struct sgn_bytes bucket,
                 struct sgn_bytes key,
                 struct sgn_bytes value,
                 struct sgn_bytes context);
/* The same from a full key; false also when it is not one. */
bool sgn_op_copy_full(struct sgn_engine *engine,
                      struct sgn_op *op,
                      struct sgn_bytes full_key,
                      struct sgn_bytes value);
/* Partition, n and homes from op->full_key. */
void sgn_op_locate(struct sgn_engine *engine, struct sgn_op *op, uint32_t n);
/* Index of the node in op->homes, or -1. */
int sgn_op_home(const struct sgn_op *op, uint32_t node);
struct sgn_target *sgn_op_target(struct sgn_op *op, uint32_t node);
/* NULL when the op has no room for more. */
struct sgn_target *sgn_op_add_target(struct sgn_engine *engine,
                                     struct sgn_op *op,
                                     uint32_t node,
                                     uint32_t slot);
/* Marks WAITING targets that went down FAILED, and those silent too long LATE. True if any
 * changed. */
bool sgn_op_judge_targets(struct sgn_engine *engine, struct sgn_op *op);
uint32_t sgn_op_targets_in(const struct sgn_op *op, enum sgn_target_state state);
void sgn_op_reply(struct sgn_engine *engine, struct sgn_op *op, struct sgn_msg msg);
void sgn_op_fail(struct sgn_engine *engine,
                 struct sgn_op *op,
                 enum sgn_err err,
                 struct sgn_bytes text);

/* engine_member.c */
bool sgn_node_alive(const struct sgn_engine *engine, uint32_t node);
uint32_t sgn_alive_count(const struct sgn_engine *engine);
void sgn_member_heartbeat(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_member_up(struct sgn_engine *engine, uint32_t node);
void sgn_member_down(struct sgn_engine *engine, uint32_t node);
void sgn_member_tick(struct sgn_engine *engine);
void sgn_member_beat_soon(struct sgn_engine *engine);

/* engine_generation.c */
uint32_t sgn_generation_usable(const struct sgn_engine *engine, enum sgn_actor_role role, int *err);
void sgn_generation_want(struct sgn_engine *engine, enum sgn_actor_role role);
void sgn_generation_raised(struct sgn_engine *engine, enum sgn_actor_role role, uint32_t value);
void sgn_generation_push(struct sgn_engine *engine,
                         struct sgn_effect *effect,
                         enum sgn_actor_role role,
                         uint32_t value);
void sgn_generation_stored(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_generation_tick(struct sgn_engine *engine);

/* engine_mint.c: applies a client's change to the record; an error leaves the record alone. */
int sgn_mint_apply(struct sgn_engine *engine,
                   struct sgn_lock *lock,
                   struct sgn_op *op,
                   struct sgn_record *record);
static inline enum sgn_actor_role sgn_space_role(uint32_t space)
{
    return space == 0 ? SGN_ACTOR_HOME : SGN_ACTOR_GUEST;
}

/* engine_replica.c: keyed writes. The end is told by sgn_written. */
void sgn_write_start(struct sgn_engine *engine,
                     struct sgn_op *op,
                     enum sgn_write_kind kind,
                     uint32_t space);
void sgn_write_deliver_end(struct sgn_engine *engine,
                           struct sgn_op *op,
                           bool delete_hint,
                           bool own_dot);
void sgn_lock_loaded(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_lock_stored(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_locks_pump(struct sgn_engine *engine);
void sgn_locks_clear(struct sgn_engine *engine);

/* engine.c: the op's keyed write has ended; op->write.err says how, op->result is the record. */
void sgn_written(struct sgn_engine *engine, struct sgn_op *op);

/* engine_bucket.c: why a live bucket of that name is not here: NO_BUCKET, or BUSY while a peer is
 * known to have another table, for then this node may only not have heard of it yet. */
enum sgn_err sgn_bucket_missing(const struct sgn_engine *engine);

/* engine_put.c */
void sgn_put_request(struct sgn_engine *engine, const struct sgn_event *event);
/* `shared`: the record that goes out holds changes of other puts too, so their copies are its
 * copies. */
void sgn_put_minted(struct sgn_engine *engine, struct sgn_op *op, bool shared);
void sgn_put_written(struct sgn_engine *engine, struct sgn_op *op);
void sgn_put_answer(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_put_tick(struct sgn_engine *engine, struct sgn_op *op);
void sgn_put_coordinate(struct sgn_engine *engine, struct sgn_op *op);
/* engine_forward.c: begins, or goes on to the next home. */
void sgn_forward_next(struct sgn_engine *engine, struct sgn_op *op);
void sgn_forward_answer(struct sgn_engine *engine,
                        struct sgn_op *op,
                        const struct sgn_event *event);
void sgn_forward_tick(struct sgn_engine *engine, struct sgn_op *op);

/* engine_get.c */
void sgn_get_request(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_get_answer(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_get_loaded(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_get_tick(struct sgn_engine *engine, struct sgn_op *op);
void sgn_get_replica(struct sgn_engine *engine, const struct sgn_event *event);

/* engine_serve.c: REPL_PUT, and records taken in on our own account. */
void sgn_serve_put(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_serve_put_written(struct sgn_engine *engine, struct sgn_op *op);
/* Merges a record into own data in the background; dropped when there is no room (a later round
 * mends). */
void sgn_serve_merge(struct sgn_engine *engine, struct sgn_bytes full_key, struct sgn_bytes record);

/* engine_hint.c */
void sgn_hint_keep(struct sgn_engine *engine, const struct sgn_op *op, uint32_t home);
void sgn_hint_kept(struct sgn_engine *engine, struct sgn_op *op);
bool sgn_hint_room(const struct sgn_engine *engine);
void sgn_hint_count(struct sgn_engine *engine, uint32_t node, int change);
void sgn_hint_held(
    struct sgn_engine *engine, struct sgn_op *op, struct sgn_bytes hint, bool exists, int err);
void sgn_hint_loaded(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_hint_answer(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_hint_written(struct sgn_engine *engine, struct sgn_op *op);
void sgn_hint_scanned(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_hint_send_tick(struct sgn_engine *engine, struct sgn_op *op);
void sgn_hint_peer_tick(struct sgn_engine *engine, struct sgn_op *op);
void sgn_hint_tick(struct sgn_engine *engine);

/* engine_tree.c */
void sgn_trees_tick(struct sgn_engine *engine);
void sgn_trees_roots(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_trees_answer(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_trees_scanned(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_trees_round_tick(struct sgn_engine *engine, struct sgn_op *op);
uint32_t sgn_trees_least(const struct sgn_engine *engine, uint32_t partition, uint32_t peer);
/* A page of own TREE entries of the op's partition and leaf, behind u.tree.after. */
void sgn_trees_scan(struct sgn_engine *engine, struct sgn_op *op);
bool sgn_trees_in_leaf(const struct sgn_engine *engine,
                       const struct sgn_op *op,
                       struct sgn_bytes tree_key);
/* engine_exchange.c */
void sgn_trees_keys(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_keys_scanned(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_keys_tick(struct sgn_engine *engine, struct sgn_op *op);
/* The own record of op->full_key is corrupt: asks every other home that is alive for its own. */
void sgn_exchange_mend(struct sgn_engine *engine, const struct sgn_op *op);
void sgn_exchange_loaded(struct sgn_engine *engine,
                         struct sgn_op *op,
                         const struct sgn_event *event);
void sgn_exchange_answer(struct sgn_engine *engine,
                         struct sgn_op *op,
                         const struct sgn_event *event);
void sgn_exchange_tick(struct sgn_engine *engine, struct sgn_op *op);
void sgn_exchange_end(struct sgn_engine *engine, struct sgn_op *op);

/* engine_list.c */
void sgn_list_request(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_list_replica(struct sgn_engine *engine, const struct sgn_event *event);
/* Looks for one live key of op->bucket; sgn_bucket_looked tells. */
void sgn_list_look(struct sgn_engine *engine, struct sgn_op *op);
void sgn_list_answer(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_list_scanned(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_list_tick(struct sgn_engine *engine, struct sgn_op *op);
void sgn_list_fail(struct sgn_engine *engine,
                   struct sgn_op *op,
                   enum sgn_err err,
                   struct sgn_bytes text);
/* A node's page; `items` and `after` hold keys without the bucket. */
void sgn_list_page(struct sgn_engine *engine,
                   struct sgn_op *op,
                   uint32_t node_id,
                   struct sgn_bytes items,
                   struct sgn_bytes after,
                   bool end);
/* engine_page.c. Checks what LIST and REPL_LIST have in common. */
enum sgn_err sgn_list_check(struct sgn_engine *engine,
                            const struct sgn_msg *msg,
                            const struct sgn_bucket **bucket);
void sgn_list_scan(struct sgn_engine *engine,
                   const struct sgn_op *op,
                   struct sgn_bytes after,
                   uint32_t limit,
                   struct sgn_bytes bitmap);
void sgn_list_clear(struct sgn_engine *engine, struct sgn_op *op);

/* engine_bucket.c */
void sgn_bucket_request(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_bucket_looked(struct sgn_engine *engine,
                       struct sgn_op *op,
                       enum sgn_err err,
                       struct sgn_bytes text);
void sgn_bucket_stored(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_bucket_op_tick(struct sgn_engine *engine, struct sgn_op *op);
void sgn_bucket_rows(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_bucket_rows_stored(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_bucket_tick(struct sgn_engine *engine);

#endif
