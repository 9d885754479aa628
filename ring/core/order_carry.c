/* What replicas are told along with their votes, and do at the witness inside their own process
 * (protocol.md 3.1, 3.6, 4): a member of the group that lives inside a replica is marked by that
 * replica when it accepts, and settled when it hears that the round is. Neither costs a message:
 * the answer to the accept says who marked.
 *
 * To the witness such a mark is one as any other, asked within the epoch of the accept; and as both
 * lines are of one epoch, the bits of the group mean the same on both sides. What does not come
 * this way (the witness serves no one yet, the vote is late) is asked for by the coordinator. */
#include "ring/core/order_inner.h"

#define COMMITS_BYTES 16384u /* Of one message. */
#define CARRY_MS      20u    /* Marks that accepts have not brought by then are asked for. */

static uint32_t host_of(struct sgn_engine *engine, const struct sgn_line *line, uint32_t member)
{
    const struct sgn_link *link = sgn_barrier_link(engine, line->group[member].id);
    return link == NULL ? 0 : link->host;
}

/* None if accepts of some majority could leave marks of the group's quorum out (few members, or
 * many seats): exposure would then wait for the disks of certain replicas. */
struct sgn_carried sgn_carried(struct sgn_engine *engine, const struct sgn_line *line)
{
    struct sgn_carried carried = {0};
    for (uint32_t i = 0; i < line->group_count; i++) {
        uint32_t host = host_of(engine, line, i);
        if (host != 0 && sgn_line_seat(line, host) >= 0) {
            carried.all |= 1u << i;
            carried.own |= host == engine->options.node ? 1u << i : 0;
        }
    }
    uint32_t count = (uint32_t)__builtin_popcount(carried.all);
    uint32_t late = (line->seat_count - 1) / 2; /* Seats that a majority does without. */
    uint32_t missing = late < count ? late : count;
    bool enough = !line->joint && line->group_count - missing >= sgn_line_group_quorum(line);
    return enough ? carried : (struct sgn_carried){0};
}

/* At once: inside this process the answer is there before the disk's. */
void sgn_carry_mark(struct sgn_engine *engine, struct sgn_op *op, const struct sgn_cell *cell)
{
    const struct sgn_line *line = sgn_order_line(engine, op->partition);
    uint32_t own = sgn_carried(engine, line).own;
    if (own == 0 || SGN_MUTANT(1)) {
        return;
    }
    const struct sgn_ballot *ballot = &op->u.cell.ballot;
    if (sgn_barrier_ask(
            engine, op, SGN_WITNESS_MARK, line, op->partition, cell->hash, ballot, own) != 0) {
        uint32_t member = (uint32_t)__builtin_ctz(own);
        sgn_barrier_send(engine, sgn_barrier_link(engine, line->group[member].id));
    }
    if (SGN_MUTANT(40)) {
        op->u.cell.marked |= own;
    }
}

void sgn_carry_told(struct sgn_engine *engine, struct sgn_op *op, uint32_t member, bool ok)
{
    if (ok && op->u.cell.epoch == sgn_order_line(engine, op->partition)->epoch) {
        op->u.cell.marked |= 1u << member;
    }
}

void sgn_carry_settle(struct sgn_engine *engine,
                      const struct sgn_line *line,
                      uint32_t partition,
                      struct sgn_key_hash key,
                      const struct sgn_ballot *ballot)
{
    uint32_t own = sgn_carried(engine, line).own;
    if (own != 0) {
        (void)sgn_barrier_ask(engine, NULL, SGN_WITNESS_SETTLE, line, partition, key, ballot, own);
    }
}

void sgn_carry_tick(struct sgn_engine *engine, struct sgn_op *op)
{
    struct sgn_op_round *round = &op->u.round;
    const struct sgn_line *line = sgn_order_line(engine, op->partition);
    uint32_t missing = sgn_carried(engine, line).all & ~round->marked;
    bool enough = (uint32_t)__builtin_popcount(round->marked) >= sgn_line_group_quorum(line);
    bool late = engine->now_ms >= round->phase_ms + CARRY_MS;
    if (late && !enough && missing != 0 && !round->carry_asked && !SGN_MUTANT(1)) {
        round->carry_asked = true;
        sgn_round_mark(engine, op, missing);
    }
}

void sgn_commits_flush(struct sgn_engine *engine, uint32_t member)
{
    struct sgn_buf **buf = &engine->order.commits[member];
    if (*buf != NULL && engine->peers[member].connected) {
        sgn_fx_send(engine,
                    engine->ring->members[member].id,
                    NULL,
                    (struct sgn_msg){.type = SGN_MSG_COMMITS, .items = sgn_buf_bytes(*buf)});
    }
    sgn_buf_drop(engine, buf);
}

void sgn_commit_send(struct sgn_engine *engine,
                     uint32_t node,
                     struct sgn_bytes full_key,
                     const struct sgn_ballot *ballot,
                     bool settled,
                     uint32_t epoch)
{
    int member = sgn_ring_find(engine->ring, node);
    if (member < 0 || !engine->peers[member].connected) {
        return;
    }
    struct sgn_buf **buf = &engine->order.commits[member];
    size_t bytes = SGN_ITEM_OVERHEAD_BYTES + full_key.count + SGN_BALLOT_BYTES + 5;
    if (*buf != NULL && (*buf)->count + bytes > COMMITS_BYTES) {
        sgn_commits_flush(engine, (uint32_t)member);
    }
    if (*buf == NULL) {
        *buf = sgn_buf_get(engine, COMMITS_BYTES);
        if (*buf == NULL) {
            return; /* A pending is taken up later (3.6). */
        }
        (*buf)->count = 0;
    }
    uint8_t raw[SGN_BALLOT_BYTES + 5];
    struct sgn_sink value = sgn_sink_of(raw, sizeof(raw));
    sgn_ballot_put(&value, ballot);
    sgn_sink_uint(&value, settled, 1);
    sgn_sink_uint(&value, epoch, 4);
    struct sgn_sink sink = sgn_sink_of((*buf)->bytes, COMMITS_BYTES);
    sink.count = (*buf)->count;
    sgn_items_push(&sink, full_key, sgn_sink_bytes(&value));
    SGN_ASSERT(!sink.full);
    (*buf)->count = sink.count;
    engine->order.flush_wanted = true;
}
