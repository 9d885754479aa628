/* ring/core/order_inner.h - what the engine's files of ordered buckets call in each other. */
#ifndef SGN_CORE_ORDER_INNER_H
#define SGN_CORE_ORDER_INNER_H

#include "ring/core/engine_inner.h"
#include "ring/core/mutant.h"
#include "ring/core/order_map.h"

static inline struct sgn_line *sgn_order_line(struct sgn_engine *engine, uint32_t partition)
{
    return &engine->order.map.lines[partition];
}
/* -1: none, or this node's disk is not the member's that sits there (order_disk.c). */
static inline int sgn_own_seat(const struct sgn_engine *engine, const struct sgn_line *line)
{
    return engine->order.is_member ? sgn_line_seat(line, engine->options.node) : -1;
}

/* order.c: memory and dispatch. */
size_t sgn_order_bytes(const struct sgn_ring *ring);
void sgn_order_init(struct sgn_engine *engine, void *memory);
void sgn_order_tick(struct sgn_engine *engine);
bool sgn_order_takes(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_order_clear(struct sgn_engine *engine);
void sgn_order_op_clear(struct sgn_engine *engine, struct sgn_op *op);

/* order_cell.c: cells. get finds or makes (loading begins with the first op that waits); NULL when
 * all are in use. The caller pins what it keeps an index of. */
struct sgn_cell *sgn_cell_get(struct sgn_engine *engine, struct sgn_bytes full_key);
struct sgn_cell *sgn_cell_find(struct sgn_engine *engine, struct sgn_key_hash hash);
static inline uint16_t sgn_cell_index(const struct sgn_engine *engine, const struct sgn_cell *cell)
{
    return (uint16_t)(cell - engine->order.cells);
}
void sgn_cell_pin(struct sgn_cell *cell);
void sgn_cell_unpin(struct sgn_engine *engine, struct sgn_cell *cell);
/* True if the cell can be worked in now (with its record in memory, if asked). Otherwise the op was
 * put among the waiters and sgn_cell_resume will call for it. */
bool sgn_cell_wait(struct sgn_engine *engine,
                   struct sgn_cell *cell,
                   struct sgn_op *op,
                   bool record);
/* The same without an op: the cell's queue is pumped when the cell is ready. One op is never in
 * both lists, for both are linked by its cell_next. */
bool sgn_cell_ready(struct sgn_engine *engine, struct sgn_cell *cell, bool record);
/* Takes an op out of the waiters; false if it was not among them. */
bool sgn_cell_unwait(struct sgn_engine *engine, struct sgn_cell *cell, const struct sgn_op *op);
/* Waits for a commit of what is pending. */
void sgn_cell_wait_commit(struct sgn_engine *engine, struct sgn_cell *cell, struct sgn_op *op);
void sgn_cell_loaded(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_cell_resume(struct sgn_engine *engine, struct sgn_cell *cell);
/* The highest of the cell's own promise and the floor. */
struct sgn_ballot sgn_cell_promised(const struct sgn_engine *engine, const struct sgn_cell *cell);
void sgn_cell_promise(struct sgn_cell *cell, const struct sgn_ballot *ballot);
static inline bool sgn_cell_pending(const struct sgn_cell *cell)
{
    return sgn_ballot_compare(&cell->accepted, &cell->committed) > 0;
}
/* A record buffer without its sequence number; empty for NULL. */
#define SGN_CELL_PREFIX 8u
static inline struct sgn_bytes sgn_cell_bytes(const struct sgn_buf *buf)
{
    return buf == NULL ? sgn_bytes_of(NULL, 0)
                       : sgn_bytes_of(buf->bytes + SGN_CELL_PREFIX, buf->count - SGN_CELL_PREFIX);
}
/* The number an answer to this op carries back. */
static inline uint32_t sgn_op_number(const struct sgn_engine *engine, const struct sgn_op *op)
{
    return op->generation << SGN_OP_INDEX_BITS | sgn_op_index(engine, op);
}
/* A message of a partition's protocol; the epoch goes in the header. */
void sgn_order_send(struct sgn_engine *engine,
                    uint32_t node,
                    const struct sgn_op *op,
                    uint32_t epoch,
                    struct sgn_msg msg);
/* The cell's accepted record decoded; false (and the cell abstains) when it is corrupt. */
bool sgn_cell_record(struct sgn_engine *engine, struct sgn_cell *cell, struct sgn_ordered *record);
void sgn_cells_clear(struct sgn_engine *engine);

/* order_dirty.c: the dirty set, the watermark, the promise ceiling. */
struct sgn_dirty *sgn_dirty_find(const struct sgn_engine *engine, struct sgn_key_hash key);
bool sgn_dirty_room(const struct sgn_engine *engine);
/* For what others coordinate, and for resolving: what is kept of the room is for these, and a key
 * that is dirty already needs none. So however full it is, what is in it can be resolved. */
bool sgn_dirty_room_for(const struct sgn_engine *engine, struct sgn_key_hash key);
/* Accepted `ballot` under `sequence`: makes or moves the entry. */
void sgn_dirty_accept(struct sgn_engine *engine,
                      struct sgn_key_hash key,
                      uint32_t partition,
                      const struct sgn_ballot *ballot,
                      uint64_t sequence,
                      bool pending);
/* The accept with that number is durable. */
void sgn_dirty_durable(struct sgn_engine *engine, struct sgn_key_hash key, uint64_t sequence);
void sgn_dirty_committed(struct sgn_engine *engine, struct sgn_dirty *entry);
/* A store of the key failed: nothing is said of it before the disk was read again. */
void sgn_dirty_unsure(struct sgn_engine *engine, struct sgn_key_hash key);
void sgn_dirty_doubt(struct sgn_engine *engine, struct sgn_dirty *entry); /* Not known committed. */
void sgn_dirty_drop(struct sgn_engine *engine, struct sgn_dirty *entry);
void sgn_dirty_restore(struct sgn_engine *engine,
                       struct sgn_bytes tree_key,
                       struct sgn_bytes value);
/* The tree entry of the key is corrupt: what it says of the key is not known. */
void sgn_dirty_restore_lost(struct sgn_engine *engine, struct sgn_bytes tree_key);
void sgn_watermark_push(struct sgn_engine *engine, struct sgn_effect *store);
void sgn_watermark_stored(struct sgn_engine *engine, const struct sgn_event *event);
/* True if a ballot of that hlc may be promised; else the ceiling is on its way up (3.4). */
bool sgn_ceiling_allows(struct sgn_engine *engine, uint64_t hlc);
void sgn_ceiling_stored(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_dirty_tick(struct sgn_engine *engine);
/* Every record on the disk with a sequence number at or below it is known chosen and settled. */
uint64_t sgn_dirty_floor(const struct sgn_engine *engine);

/* order_accept.c: the acceptor. */
void sgn_accept_request(struct sgn_engine *engine, const struct sgn_event *event);
/* The op's cell is ready: does its part. */
void sgn_accept_run(struct sgn_engine *engine, struct sgn_op *op);
void sgn_accept_stored(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
static inline struct sgn_cell *sgn_accept_cell(struct sgn_engine *engine, const struct sgn_op *op)
{
    return &engine->order.cells[op->u.cell.cell];
}
/* An op at the key's cell, pinned, with room for the record; NULL when there is none. */
struct sgn_op *sgn_accept_op(struct sgn_engine *engine,
                             struct sgn_bytes full_key,
                             struct sgn_bytes record,
                             enum sgn_op_class op_class);
/* 2: a ballot too far ahead is refused before it is merged. */
bool sgn_ballot_readable(struct sgn_engine *engine, const struct sgn_ballot *ballot);
/* Answers if nobody has yet, and ends the op. */
void sgn_accept_end(struct sgn_engine *engine, struct sgn_op *op, int err);
/* order_sweep.c: the key of a drop at its cell; its deletion is durable. */
void sgn_drop_run(struct sgn_engine *engine, struct sgn_op *op, struct sgn_cell *cell);
void sgn_drop_stored(struct sgn_engine *engine, struct sgn_op *op, struct sgn_cell *cell);
/* order_take.c */
/* This node's own vote in a round: ends in sgn_round_own. False when there is no room. */
bool sgn_accept_own(struct sgn_engine *engine, struct sgn_op *round, struct sgn_buf *record);
/* A record of another replica taken in (repair, catching up), upward only. `unsettled`: the
 * source holds it so. `parent` (may be NULL) is told by sgn_catchup_taken. False: no room,
 * nothing done. */
bool sgn_accept_take(struct sgn_engine *engine,
                     struct sgn_bytes full_key,
                     struct sgn_bytes record,
                     bool committed,
                     bool unsettled,
                     struct sgn_op *parent);
/* 3.6: the ballot is chosen; `settled`: also 3.1.7, by a coordinator in that epoch. With the key's
 * cell at hand; when it is behind only the promise rises: whoever coordinates sends the record
 * again, and hash trees do. */
void sgn_cell_take_commit(struct sgn_engine *engine,
                          struct sgn_cell *cell,
                          const struct sgn_ballot *ballot,
                          bool settled);
/* The same, wherever the key may be. */
void sgn_accept_commit(struct sgn_engine *engine,
                       struct sgn_bytes full_key,
                       const struct sgn_ballot *ballot,
                       bool settled,
                       uint32_t epoch);
void sgn_accept_tick(struct sgn_engine *engine,
                     struct sgn_op *op); /* Promises that wait for 3.4. */
void sgn_accept_commits(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_cell_commit(struct sgn_engine *engine, struct sgn_cell *cell, bool settled);

/* order_wipe.c: deletes both rows of the key. Of a wipe: the key at its cell; its deletion is
 * durable. */
void sgn_cell_erase(struct sgn_engine *engine, struct sgn_op *op, struct sgn_cell *cell);
void sgn_wipe_run(struct sgn_engine *engine, struct sgn_op *op, struct sgn_cell *cell);
void sgn_wipe_stored(struct sgn_engine *engine, struct sgn_op *op, struct sgn_cell *cell);
bool sgn_wipe_under_way(const struct sgn_engine *engine, uint32_t partition);
/* A newcomer (6.2) that may hold records from below the floor that the others have deleted and
 * forgotten since (3.7). */
bool sgn_purge_wanted(const struct sgn_engine *engine, uint32_t partition);
/* The partitions purged as they go to the disk, with this one's floor, and back. */
void sgn_purged_store(struct sgn_engine *engine, const struct sgn_op *sweep);
enum sgn_err sgn_purged_restore(struct sgn_engine *engine, struct sgn_bytes value);
/* Whether this seat says nothing of the key: its record is corrupt (2), or is such an old one. */
bool sgn_cell_abstains(const struct sgn_engine *engine, const struct sgn_cell *cell);

/* order_round.c: the proposer. */
/* False: no room; the op is untouched. */
bool sgn_round_start(struct sgn_engine *engine, struct sgn_op *op);
void sgn_round_cell_ready(struct sgn_engine *engine, struct sgn_op *op);
void sgn_round_state(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_round_own(struct sgn_engine *engine, struct sgn_op *op, int err, uint32_t marked);
/* Asks these members of the group to mark the round's ballot. */
void sgn_round_mark(struct sgn_engine *engine, const struct sgn_op *op, uint32_t members);
void sgn_round_marked(struct sgn_engine *engine, struct sgn_op *op, uint32_t member, bool ok);
void sgn_round_tick(struct sgn_engine *engine, struct sgn_op *op);
static inline struct sgn_cell *sgn_round_cell(struct sgn_engine *engine, const struct sgn_op *op)
{
    return &engine->order.cells[op->u.round.cell];
}
static inline struct sgn_line *sgn_round_line(struct sgn_engine *engine, const struct sgn_op *op)
{
    return sgn_order_line(engine, op->partition);
}
void sgn_round_phase(struct sgn_engine *engine, struct sgn_op *op, enum sgn_round_phase phase);
/* Abandons the attempt; a classic round with a new ballot follows (3.1, 3.5). */
void sgn_round_again(struct sgn_engine *engine, struct sgn_op *op, bool at_once);
void sgn_round_fail(struct sgn_engine *engine,
                    struct sgn_op *op,
                    enum sgn_err err,
                    struct sgn_bytes text);
/* The verdict, of a record that is exposed. */
void sgn_round_answer(struct sgn_engine *engine,
                      struct sgn_op *op,
                      const struct sgn_ordered *record);
void sgn_round_free(struct sgn_engine *engine, struct sgn_op *op);
void sgn_round_enqueue(struct sgn_engine *engine, struct sgn_cell *cell, struct sgn_op *op);
/* Leaves the cell's queue; begins the next of it. */
void sgn_round_leave(struct sgn_engine *engine, struct sgn_cell *cell, struct sgn_op *op);
void sgn_round_pump(struct sgn_engine *engine, struct sgn_cell *cell);
void sgn_round_begin(struct sgn_engine *engine, struct sgn_op *op); /* The head. */
/* Changes that wait ride in the head's round from now on, until sgn_batch_end. */
void sgn_batch_board(struct sgn_engine *engine, struct sgn_cell *cell, struct sgn_op *head);
/* Fills the decisions of head and riders and *next, the record to propose, and makes *b its ballot;
 * b comes as the head's. False if no verdict needs the record to be accepted (3.5). */
bool sgn_batch_decide(struct sgn_engine *engine,
                      struct sgn_op *head,
                      const struct sgn_ordered *current,
                      struct sgn_ballot *b,
                      struct sgn_ordered *next);
void sgn_batch_sent(struct sgn_engine *engine, struct sgn_op *head);
/* The verdicts; frees the riders, not the head. */
void sgn_batch_answer(struct sgn_engine *engine,
                      struct sgn_op *head,
                      const struct sgn_ordered *record);
void sgn_batch_end(struct sgn_engine *engine, struct sgn_cell *cell); /* Those left ride no more. */
/* order_vote.c. decided: the record to decide on is known. look: exposed, or settled? */
void sgn_round_decided(struct sgn_engine *engine, struct sgn_op *op);
void sgn_round_look(struct sgn_engine *engine, struct sgn_op *op);
void sgn_round_send_accept(struct sgn_engine *engine, struct sgn_op *op, uint32_t seats);
/* A background round: identity, to finish what is pending or settle what is committed. */
bool sgn_round_resolve(struct sgn_engine *engine,
                       struct sgn_bytes full_key,
                       const struct sgn_ballot *above);

/* order_request.c: clients' requests of ordered buckets. */
void sgn_order_request(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_pass_answer(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_pass_tick(struct sgn_engine *engine, struct sgn_op *op);
struct sgn_bytes sgn_order_version(struct sgn_engine *engine, const struct sgn_version *version);
void sgn_order_reply_record(struct sgn_engine *engine,
                            struct sgn_op *op,
                            const struct sgn_ordered *record);
/* Names seats that are not alive: "missing: node 2, 3". */
struct sgn_bytes sgn_order_missing(struct sgn_engine *engine,
                                   const struct sgn_line *line,
                                   const char *begin);
bool sgn_order_reachable(const struct sgn_engine *engine, const struct sgn_line *line);
/* 6.3: nothing is exposed in the line's epoch before this is true. */
bool sgn_order_fenced(struct sgn_engine *engine, const struct sgn_line *line);
struct sgn_bytes sgn_order_fence_text(struct sgn_engine *engine, const struct sgn_line *line);
/* Mutant 19 only: a node that is no seat; a seat that is down. */
uint32_t sgn_order_stranger(struct sgn_engine *engine, const struct sgn_line *line);
int sgn_order_down_seat(struct sgn_engine *engine, const struct sgn_line *line);

/* order_read.c */
void sgn_read_start(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_msg *msg);
void sgn_read_strong(struct sgn_engine *engine, struct sgn_op *op);
void sgn_read_check(struct sgn_engine *engine, struct sgn_op *op);
void sgn_read_loaded(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_read_told(struct sgn_engine *engine,
                   struct sgn_op *op,
                   uint32_t member,
                   const struct sgn_witness_tell *tell);
void sgn_read_state(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_read_cell_ready(struct sgn_engine *engine, struct sgn_op *op);
void sgn_read_tick(struct sgn_engine *engine, struct sgn_op *op);
static inline struct sgn_line *sgn_read_line(struct sgn_engine *engine, const struct sgn_op *op)
{
    return sgn_order_line(engine, op->partition);
}
void sgn_read_phase(struct sgn_engine *engine, struct sgn_op *op, enum sgn_strong_phase phase);
void sgn_read_leave_cell(struct sgn_engine *engine, struct sgn_op *op);
struct sgn_cell *sgn_read_enter_cell(struct sgn_engine *engine, struct sgn_op *op);
void sgn_read_fail(struct sgn_engine *engine,
                   struct sgn_op *op,
                   enum sgn_err err,
                   struct sgn_bytes text);
/* Answers with a committed record; path: 0 local, 1 fast, 2 quorum. */
void sgn_read_serve(struct sgn_engine *engine,
                    struct sgn_op *op,
                    const struct sgn_ordered *record,
                    uint8_t path);
/* order_slow.c */
void sgn_read_slow(struct sgn_engine *engine, struct sgn_op *op);
void sgn_read_count(struct sgn_op *op,
                    uint32_t seat,
                    const struct sgn_ballot *durable,
                    const struct sgn_ballot *accepted,
                    const struct sgn_ballot *committed);
void sgn_read_judge(struct sgn_engine *engine, struct sgn_op *op);
void sgn_receipt_text(struct sgn_engine *engine,
                      const struct sgn_op *op,
                      const struct sgn_version *version,
                      struct sgn_sink *sink);

/* order_barrier.c: witnesses. Asks are gathered until FLUSH. `op` NULL: no answer is waited for. */
uint32_t sgn_barrier_ask(struct sgn_engine *engine,
                         const struct sgn_op *op,
                         enum sgn_witness_what what,
                         const struct sgn_line *line,
                         uint32_t partition,
                         struct sgn_key_hash key,
                         const struct sgn_ballot *ballot,
                         uint32_t members);
/* 0: asking it costs no message more; 1: it does; 2: it does not answer. */
uint32_t sgn_barrier_rank(struct sgn_engine *engine, uint32_t witness);
void sgn_barrier_answer(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_barrier_up(struct sgn_engine *engine, uint32_t witness);
void sgn_barrier_down(struct sgn_engine *engine, uint32_t witness);
void sgn_barrier_adopted(struct sgn_engine *engine); /* The map changed: links follow. */
void sgn_barrier_tick(struct sgn_engine *engine);
void sgn_barrier_send(struct sgn_engine *engine, struct sgn_link *link); /* What it gathered. */
void sgn_order_flush(struct sgn_engine *engine);
struct sgn_link *sgn_barrier_link(struct sgn_engine *engine, uint32_t witness);

/* order_carry.c: what goes with accepts and commits. */
/* Masks of the group's members that live inside the line's seats and are marked and settled there,
 * and of the one of them inside this node; none where that could hold a write up. */
struct sgn_carried {
    uint32_t all, own;
};
struct sgn_carried sgn_carried(struct sgn_engine *engine, const struct sgn_line *line);
/* The acceptor's part: marks at the witness inside this node, if it is of the group. */
void sgn_carry_mark(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_cell *cell);
void sgn_carry_told(struct sgn_engine *engine, struct sgn_op *op, uint32_t member, bool ok);
void sgn_carry_settle(struct sgn_engine *engine,
                      const struct sgn_line *line,
                      uint32_t partition,
                      struct sgn_key_hash key,
                      const struct sgn_ballot *ballot);
/* The proposer's: asks for marks that the accepts of a round have not brought. */
void sgn_carry_tick(struct sgn_engine *engine, struct sgn_op *op);
/* COMMITS for one replica, gathered until FLUSH. */
void sgn_commit_send(struct sgn_engine *engine,
                     uint32_t node,
                     struct sgn_bytes full_key,
                     const struct sgn_ballot *ballot,
                     bool settled,
                     uint32_t epoch);
void sgn_commits_flush(struct sgn_engine *engine, uint32_t member);

/* order_floor.c, order_sweep.c: 3.7. */
void sgn_leaf_put(struct sgn_sink *sink, const struct sgn_leaf *leaf);
bool sgn_leaf_read(struct sgn_bytes value,
                   struct sgn_leaf *leaf); /* False: not of an ordered key, or rotten. */
/* What a rotten one cannot tell: whether the key's bucket is known, and not ordered. */
bool sgn_key_is_available(const struct sgn_engine *engine, struct sgn_bytes full_key);
void sgn_floor_tick(struct sgn_engine *engine);
void sgn_floor_op_tick(struct sgn_engine *engine, struct sgn_op *op);
void sgn_floor_request(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_floor_answer(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_floor_scanned(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
bool sgn_floor_promise(struct sgn_engine *engine, uint64_t floor);
void sgn_sweep_partitions(struct sgn_engine *engine);
void sgn_sweep_scanned(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_sweep_dropped(struct sgn_engine *engine, struct sgn_op *op, int err);
void sgn_sweep_stored(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_sweep_tick(struct sgn_engine *engine, struct sgn_op *op);
/* order_take.c: deletes the key's record where 3.7 (SGN_MSG_FLOOR) or 6.2 (SGN_CELL_WIPE) asks for
 * it, and tells sgn_sweep_dropped. `sweep` NULL: what is not settled of a partition left. False: no
 * room. */
bool sgn_accept_drop(struct sgn_engine *engine,
                     struct sgn_bytes full_key,
                     uint8_t type,
                     const struct sgn_op *sweep);
/* order_cell.c: the ballot that absent stands for here: the floor at an in_sync seat, else zero. */
struct sgn_ballot sgn_cell_absent(const struct sgn_engine *engine, uint32_t partition);
/* 3.7: a floor in the map is a promise of every seat that has adopted it, in_sync or not. */
void sgn_floors_promise(struct sgn_engine *engine);
void sgn_cells_adopted(struct sgn_engine *engine); /* Absent may mean something else now. */

/* order_relearn.c: ends dirty_lost. */
void sgn_relearn_begin(struct sgn_engine *engine);
void sgn_relearn_scanned(struct sgn_engine *engine,
                         struct sgn_op *op,
                         const struct sgn_event *event);
void sgn_relearn_tick(struct sgn_engine *engine, struct sgn_op *op);

/* order_resolve.c: takes up old pendings and unsettled records. */
void sgn_resolve_tick(struct sgn_engine *engine);
void sgn_resolve_scanned(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_resolve_mark(struct sgn_engine *engine,
                      uint32_t partition,
                      struct sgn_key_hash key,
                      const struct sgn_ballot *ballot);
void sgn_mark_scanned(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);

/* order_list.c: a key of a list in doubt. */
void sgn_list_key_answer(struct sgn_engine *engine,
                         struct sgn_op *op,
                         const struct sgn_event *event);
void sgn_list_key_tick(struct sgn_engine *engine, struct sgn_op *op);

/* order_page.c: this node's page of a list of an ordered bucket; op->u.page.ordered. */
void sgn_page_request(struct sgn_engine *engine, const struct sgn_event *event);
void sgn_page_scanned(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_page_tick(struct sgn_engine *engine, struct sgn_op *op);
/* A witness's marks of the op's partition (10). */
void sgn_order_list_told(struct sgn_engine *engine,
                         struct sgn_op *op,
                         uint32_t member,
                         const struct sgn_witness_tell *tell);

/* order_pull.c: what is said of a key whose accepted record has this sequence number:
 * SGN_PULL_*. */
uint8_t sgn_pull_flags(const struct sgn_engine *engine, struct sgn_key_hash key, uint64_t sequence);
void sgn_pull_scanned(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
/* A page of own TREE entries of the op's partition behind `after` (a store key). */
void sgn_pull_scan(struct sgn_engine *engine, const struct sgn_op *op, struct sgn_bytes after);

/* order_mend.c: whether a record just read from the disk is known chosen; `floor` is what
 * sgn_dirty_floor said when the read was asked for. False may only mean that it is not known. */
bool sgn_mend_known(struct sgn_engine *engine,
                    struct sgn_key_hash key,
                    const struct sgn_ballot *ballot,
                    uint64_t sequence,
                    uint64_t floor);
/* SGN_OP_EXCHANGE of an ordered bucket's key (9). */
void sgn_mend_loaded(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_mend_answer(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);

/* order_fetch.c: one record of a partition being caught up. False: no room now. */
bool sgn_fetch_begin(struct sgn_engine *engine,
                     struct sgn_op *parent,
                     struct sgn_bytes full_key,
                     const struct sgn_ballot *ballot,
                     uint8_t flags);
void sgn_fetch_tick(struct sgn_engine *engine, struct sgn_op *op);

/* order_walk.c: a page of the source beside the own tree. */
struct sgn_walk_item {
    struct sgn_bytes full_key;
    struct sgn_ballot ballot;
    uint8_t flags;
    size_t next;
};
int sgn_walk_order(struct sgn_bytes a, struct sgn_bytes b);
enum sgn_err sgn_walk_peek(struct sgn_engine *engine,
                           const struct sgn_op *op,
                           struct sgn_walk_item *item);
bool sgn_walk_ours(const struct sgn_op *op,
                   size_t *ours_at,
                   struct sgn_bytes full_key,
                   struct sgn_ballot *ballot);
bool sgn_walk_wanted(struct sgn_engine *engine,
                     const struct sgn_walk_item *item,
                     struct sgn_ballot own);

/* order_catchup.c. Ticks of SGN_OP_CATCHUP and SGN_OP_FETCH are both sgn_catchup_op_tick. */
void sgn_catchup_clear(struct sgn_engine *engine, struct sgn_op *op); /* By sgn_op_free. */
void sgn_catchup_fetch_ended(struct sgn_engine *engine, struct sgn_op *op, bool ok);
void sgn_catchup_tick(struct sgn_engine *engine);
void sgn_catchup_pull(struct sgn_engine *engine, const struct sgn_event *event); /* PULL */
void sgn_catchup_page(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_event *event);
void sgn_catchup_scanned(struct sgn_engine *engine,
                         struct sgn_op *op,
                         const struct sgn_event *event);
void sgn_catchup_fetched(struct sgn_engine *engine,
                         struct sgn_op *op,
                         const struct sgn_event *event);
void sgn_catchup_taken(struct sgn_engine *engine, struct sgn_op *parent, int err);
void sgn_catchup_op_tick(struct sgn_engine *engine, struct sgn_op *op);
void sgn_catchup_adopted(struct sgn_engine *engine);

#endif
