/* Votes and proposals of this node for the map's next version (ring/core/register.h).
 *
 * A vote is durable before it is answered, and there is one store of a vote at a time: while it is
 * under way the acceptance stays as it is, so what is answered at its end is what is on the disk. A
 * proposer votes through the same acceptor. Answers are told apart by the ballots in them, which
 * are used once: whether a voter's promise or acceptance is of this proposal needs no other
 * number. */
#include "ring/core/order_inner.h"

#define PHASE_MS       1000u /* A phase without a majority for that long: begun anew later. */
#define PHASE_DOUBLES  4u   /* Twice as long after each loss: a slow disk must not lose for ever. */
#define SEND_AGAIN_MS  100u /* Twice as late each time: maps may be large. */
#define BACKOFF_MS_MIN 20u
#define BACKOFF_MS_MAX 2000u
#define TOKEN_REGISTER 1u

static bool is_open(const struct sgn_proposal *proposal)
{
    return proposal->phase == SGN_PROPOSAL_PREPARING || proposal->phase == SGN_PROPOSAL_ACCEPTING;
}

static bool has_voted(const struct sgn_proposal *proposal, uint32_t voter)
{
    return (proposal->voted[voter / 64] >> (voter % 64) & 1) != 0;
}

/* --- acceptor --------------------------------------------------------------------------------- */

static void vote_reply(struct sgn_engine *engine, uint64_t token, enum sgn_err err, bool is_prepare)
{
    const struct sgn_acceptance *acceptance = &engine->order.work.acceptance;
    struct sgn_sink ballots = sgn_arena_sink(engine, 2 * SGN_BALLOT_BYTES);
    sgn_ballot_put(&ballots, &acceptance->promised);
    sgn_ballot_put(&ballots, &acceptance->accepted);
    struct sgn_msg msg = {.type = SGN_MSG_REG_ANSWER,
                          .err = err,
                          .context = sgn_sink_bytes(&ballots),
                          .a = engine->order.map.version};
    if (err == SGN_OK && is_prepare) {
        msg.value = acceptance->value;
    }
    sgn_fx_reply(engine, token, msg);
}

/* Stores the acceptance whole. False when the pool refuses. */
static bool vote_store(struct sgn_engine *engine)
{
    struct sgn_map_work *work = &engine->order.work;
    size_t most = SGN_REGISTER_HEAD_BYTES + work->acceptance.value.count;
    struct sgn_buf *buf = sgn_buf_get(engine, most);
    if (buf == NULL) {
        return false;
    }
    struct sgn_sink sink = sgn_sink_of(buf->bytes, most);
    sgn_acceptance_encode(&work->acceptance, &sink);
    SGN_ASSERT(!sink.full);
    struct sgn_effect *store = sgn_fx_push(engine, SGN_FX_STORE);
    store->token = sgn_token(SGN_TOKEN_MAP, TOKEN_REGISTER, 0);
    store->writes[store->write_count++] = (struct sgn_store_write){
        .family = SGN_FAMILY_META,
        .key = sgn_bytes_str("register"),
        .value = sgn_sink_bytes(&sink),
    };
    sgn_buf_drop(engine, &buf);
    work->acceptance_storing = true;
    work->storing_version = work->acceptance.version;
    return true;
}

/* The acceptance keeps a value of its own; one of a version that is void goes. */
static void acceptance_tidy(struct sgn_engine *engine, struct sgn_buf *value)
{
    struct sgn_map_work *work = &engine->order.work;
    if (value != NULL) {
        sgn_buf_drop(engine, &work->acceptance_buf);
        work->acceptance_buf = value;
    } else if (work->acceptance.value.count == 0) {
        sgn_buf_drop(engine, &work->acceptance_buf);
    }
}

/* One step of the acceptor; at YES the store is under way. BUSY: nothing was promised that was
 * told. */
static enum sgn_err vote(struct sgn_engine *engine,
                         bool is_prepare,
                         uint32_t version,
                         const struct sgn_ballot *ballot,
                         struct sgn_bytes value)
{
    struct sgn_order *order = &engine->order;
    struct sgn_acceptance *acceptance = &order->work.acceptance;
    enum sgn_acceptor_verdict verdict;
    if (order->work.acceptance_storing) {
        return SGN_ERR_BUSY;
    }
    if (!sgn_disk_votes(engine)) {
        return SGN_ERR_STALE;
    }
    if (is_prepare) {
        verdict = sgn_register_on_prepare(acceptance, order->map.version, version, ballot);
        acceptance_tidy(engine, NULL);
    } else {
        struct sgn_buf *kept = sgn_buf_copy(engine, value);
        if (kept == NULL) {
            return SGN_ERR_BUSY;
        }
        verdict = sgn_register_on_accept(
            acceptance, order->map.version, version, ballot, sgn_buf_bytes(kept));
        if (verdict != SGN_ACCEPTOR_YES) {
            sgn_buf_drop(engine, &kept);
        }
        acceptance_tidy(engine, kept);
    }
    if (verdict == SGN_ACCEPTOR_YES) {
        return vote_store(engine) ? SGN_OK : SGN_ERR_BUSY;
    }
    return verdict == SGN_ACCEPTOR_NACK ? SGN_ERR_NACK : SGN_ERR_STALE;
}

/* Only a map of that version that fits the ring is accepted: what is chosen can be adopted. */
static bool value_fits(struct sgn_engine *engine, struct sgn_bytes value, uint32_t version)
{
    struct sgn_map *scratch = &engine->order.work.scratch;
    return sgn_map_version_of(value) == version &&
           sgn_map_decode(value, engine->ring, scratch) == SGN_OK && scratch->version == version;
}

void sgn_register_request(struct sgn_engine *engine, const struct sgn_event *event)
{
    struct sgn_map_work *work = &engine->order.work;
    const struct sgn_msg *msg = &event->msg;
    bool is_prepare = msg->type == SGN_MSG_REG_PREPARE;
    struct sgn_cursor cursor = sgn_cursor_of(msg->context);
    struct sgn_ballot ballot = sgn_ballot_take(&cursor);
    if (cursor.bad || cursor.left > 0 || msg->a > UINT32_MAX ||
        sgn_ring_find(engine->ring, ballot.node) < 0 ||
        (!is_prepare && !value_fits(engine, msg->value, (uint32_t)msg->a))) {
        sgn_fx_refuse(engine, event, SGN_ERR_INVALID, NULL);
        return;
    }
    if (sgn_hlc_merge(&engine->hlc, ballot.hlc, engine->wall_ms) != SGN_OK) {
        /* 2: nobody could pass such a promise for as long as the clock is ahead. */
        sgn_fx_refuse(engine, event, SGN_ERR_CLOCK, NULL);
        return;
    }
    enum sgn_err err = vote(engine, is_prepare, (uint32_t)msg->a, &ballot, msg->value);
    if (err == SGN_ERR_BUSY) {
        sgn_fx_refuse(engine, event, err, NULL);
    } else if (err != SGN_OK) {
        vote_reply(engine, event->token, err, is_prepare);
    } else {
        work->asker_token = event->token;
        work->asker_is_prepare = is_prepare;
        work->asker_own = false;
    }
}

/* --- proposer --------------------------------------------------------------------------------- */

/* Ends what is under way, whatever its phase. */
static void proposal_end(struct sgn_engine *engine, bool lost)
{
    struct sgn_map_work *work = &engine->order.work;
    uint64_t most = (uint64_t)BACKOFF_MS_MIN << (work->losses < 7 ? work->losses : 7);
    most = most < BACKOFF_MS_MAX ? most : BACKOFF_MS_MAX;
    work->proposal.phase = SGN_PROPOSAL_NONE;
    work->client.in_proposal = false;
    sgn_buf_drop(engine, &work->proposed);
    work->losses = lost ? work->losses + 1 : 0;
    /* Random, so that two who collided part. */
    work->propose_due_ms = lost ? engine->now_ms + BACKOFF_MS_MIN + engine->random % most : 0;
}

static void send_some(struct sgn_engine *engine)
{
    struct sgn_map_work *work = &engine->order.work;
    const struct sgn_proposal *proposal = &work->proposal;
    bool preparing = proposal->phase == SGN_PROPOSAL_PREPARING;
    struct sgn_sink ballot = sgn_arena_sink(engine, SGN_BALLOT_BYTES);
    sgn_ballot_put(&ballot, &proposal->ballot);
    struct sgn_msg msg = {.type = preparing ? SGN_MSG_REG_PREPARE : SGN_MSG_REG_ACCEPT,
                          .a = proposal->version,
                          .context = sgn_sink_bytes(&ballot)};
    if (!preparing) {
        msg.value = sgn_buf_bytes(work->proposed);
    }
    while (work->send_next < engine->ring->member_count && sgn_fx_has_room(engine)) {
        uint32_t i = work->send_next++;
        if (i != engine->self && engine->peers[i].connected && !has_voted(proposal, i)) {
            sgn_fx_send(engine, engine->ring->members[i].id, NULL, msg);
        }
    }
}

/* This node's own vote in the present phase; again later when the acceptor is busy. */
static void vote_own(struct sgn_engine *engine)
{
    struct sgn_map_work *work = &engine->order.work;
    struct sgn_proposal *proposal = &work->proposal;
    bool preparing = proposal->phase == SGN_PROPOSAL_PREPARING;
    if (has_voted(proposal, engine->self) || work->acceptance_storing) {
        return;
    }
    enum sgn_err err = vote(
        engine, preparing, proposal->version, &proposal->ballot, sgn_buf_bytes(work->proposed));
    if (err == SGN_OK) {
        work->asker_own = true;
        work->asker_is_prepare = preparing;
    } else if (err == SGN_ERR_NACK) {
        sgn_proposal_nacked(proposal, &work->acceptance.promised);
    }
}

static void phase_begin(struct sgn_engine *engine)
{
    struct sgn_map_work *work = &engine->order.work;
    work->proposal_ms = engine->now_ms;
    work->send_next = 0;
    work->send_due_ms = engine->now_ms + SEND_AGAIN_MS;
    if (work->proposal.phase == SGN_PROPOSAL_ACCEPTING && work->client.in_proposal) {
        if (work->proposal.adopted) {
            work->client.in_proposal = false; /* Another's value goes first. */
        } else {
            work->client.sent = true;
        }
    }
    vote_own(engine);
    if (is_open(&work->proposal)) { /* Not refused by ourselves. */
        send_some(engine);
    }
}

/* What is proposed may be another's value. */
static bool lists_us(struct sgn_engine *engine)
{
    struct sgn_map_work *work = &engine->order.work;
    return value_fits(engine, sgn_buf_bytes(work->proposed), work->proposal.version) &&
           sgn_disk_listed(engine, &work->scratch);
}

/* Looks at what the last vote or refusal has made of the proposal. */
static void proposal_turn(struct sgn_engine *engine, enum sgn_proposal_phase before)
{
    struct sgn_map_work *work = &engine->order.work;
    if (work->proposal.phase == SGN_PROPOSAL_ACCEPTING && before == SGN_PROPOSAL_PREPARING) {
        phase_begin(engine); /* The own vote ends in a store: no deeper turn from here. */
    }
    if (work->proposal.phase == SGN_PROPOSAL_LOST) {
        /* Our next ballot must pass the one that refused us. One too far ahead is not followed. */
        (void)sgn_hlc_merge(&engine->hlc, work->proposal.nack.hlc, engine->wall_ms);
        proposal_end(engine, true);
    } else if (work->proposal.phase == SGN_PROPOSAL_CHOSEN) {
        if (work->client.in_proposal) {
            work->client.won = work->proposal.version;
        }
        if (work->proposal.adopted && !lists_us(engine)) {
            proposal_end(engine, true); /* Another's, and not for us (2): whom it lists goes on. */
        } else if (work->adopting == NULL) { /* Else that is this one, or a later one. */
            sgn_map_adopt(engine, sgn_buf_keep(work->proposed));
        }
    }
}

/* A promise with what the voter has accepted: the highest one's value is proposed, not ours. */
static void promised(struct sgn_engine *engine,
                     uint32_t voter,
                     const struct sgn_ballot *accepted,
                     struct sgn_bytes value)
{
    struct sgn_map_work *work = &engine->order.work;
    struct sgn_buf *other = NULL;
    if (sgn_ballot_compare(accepted, &work->proposal.best) > 0) {
        if (!value_fits(engine, value, work->proposal.version)) {
            sgn_fx_log(engine, "a peer has accepted a map that does not fit this ring");
            return;
        }
        other = sgn_buf_copy(engine, value);
        if (other == NULL) {
            return; /* Its vote is not counted; it is asked again. */
        }
    }
    enum sgn_proposal_phase before = work->proposal.phase;
    if (sgn_proposal_promised(&work->proposal, voter, accepted)) {
        sgn_buf_drop(engine, &work->proposed);
        work->proposed = sgn_buf_keep(other);
    }
    sgn_buf_drop(engine, &other);
    proposal_turn(engine, before);
}

static void accepted(struct sgn_engine *engine, uint32_t voter)
{
    struct sgn_proposal *proposal = &engine->order.work.proposal;
    enum sgn_proposal_phase before = proposal->phase;
    sgn_proposal_accepted(proposal, voter);
    proposal_turn(engine, before);
}

void sgn_map_work_answer(struct sgn_engine *engine, const struct sgn_event *event)
{
    struct sgn_proposal *proposal = &engine->order.work.proposal;
    const struct sgn_msg *msg = &event->msg;
    int voter = sgn_ring_find(engine->ring, event->node);
    struct sgn_cursor cursor = sgn_cursor_of(msg->context);
    struct sgn_ballot promise = sgn_ballot_take(&cursor);
    struct sgn_ballot accept = sgn_ballot_take(&cursor);
    if (voter < 0 || cursor.bad || msg->a > UINT32_MAX) {
        return; /* BUSY, INVALID or a disk's error has no ballots: it is asked again. */
    }
    sgn_known_version(engine, event->node, 0, (uint32_t)msg->a);
    if (!is_open(proposal)) {
        return;
    }
    if (msg->err == SGN_ERR_NACK) {
        sgn_proposal_nacked(proposal, &promise);
        proposal_turn(engine, proposal->phase);
    } else if (msg->err == SGN_ERR_STALE && msg->a >= proposal->version) {
        proposal_end(engine, true); /* Overtaken: the newer map is on its way (gossip). */
    } else if (msg->err == SGN_OK && sgn_ballot_compare(&promise, &proposal->ballot) == 0) {
        if (proposal->phase == SGN_PROPOSAL_PREPARING) {
            promised(engine, (uint32_t)voter, &accept, msg->value);
        } else if (sgn_ballot_compare(&accept, &proposal->ballot) == 0) {
            accepted(engine, (uint32_t)voter);
        }
    }
}

void sgn_register_stored(struct sgn_engine *engine, const struct sgn_event *event)
{
    struct sgn_map_work *work = &engine->order.work;
    const struct sgn_acceptance *acceptance = &work->acceptance;
    const struct sgn_proposal *proposal = &work->proposal;
    bool own = work->asker_own;
    SGN_ASSERT(work->acceptance_storing);
    work->acceptance_storing = false;
    work->asker_own = false; /* Before what follows, which may begin the next vote of our own. */
    /* Adopted meanwhile: the vote would be of a version that is decided. */
    bool stale = acceptance->version != work->storing_version;
    if (!own) {
        if (event->err != SGN_OK) {
            sgn_fx_reply(engine,
                         work->asker_token,
                         (struct sgn_msg){.type = SGN_MSG_REG_ANSWER, .err = event->err});
        } else {
            enum sgn_err err = stale ? SGN_ERR_STALE : SGN_OK;
            vote_reply(engine, work->asker_token, err, work->asker_is_prepare);
        }
    } else if (event->err == SGN_OK && !stale && is_open(proposal) &&
               sgn_ballot_compare(&acceptance->promised, &proposal->ballot) == 0) {
        if (work->asker_is_prepare) {
            if (proposal->phase == SGN_PROPOSAL_PREPARING) {
                promised(engine, engine->self, &acceptance->accepted, acceptance->value);
            }
        } else if (sgn_ballot_compare(&acceptance->accepted, &proposal->ballot) == 0) {
            accepted(engine, engine->self);
        }
    }
    if (is_open(proposal) && event->err == SGN_OK) {
        vote_own(engine); /* It may have waited for this store. */
        proposal_turn(engine, proposal->phase);
    }
}

bool sgn_map_may_propose(const struct sgn_engine *engine)
{
    const struct sgn_map_work *work = &engine->order.work;
    uint32_t reachable = 1;
    for (uint32_t i = 0; i < engine->ring->member_count; i++) {
        reachable += i != engine->self && engine->peers[i].connected ? 1 : 0;
    }
    return work->proposal.phase == SGN_PROPOSAL_NONE && work->adopting == NULL &&
           sgn_disk_votes(engine) && engine->now_ms >= work->propose_due_ms &&
           reachable >= engine->ring->member_count / 2 + 1;
}

bool sgn_map_propose(struct sgn_engine *engine)
{
    struct sgn_order *order = &engine->order;
    struct sgn_map_work *work = &order->work;
    if (!sgn_map_may_propose(engine)) {
        return false;
    }
    SGN_ASSERT(work->scratch.version == order->map.version + 1 && work->proposed == NULL);
    work->proposed = sgn_map_to_buf(engine, &work->scratch);
    if (work->proposed == NULL) {
        return false;
    }
    struct sgn_ballot ballot = {.hlc = sgn_hlc_now(&engine->hlc, engine->wall_ms),
                                .node = engine->options.node,
                                .incarnation = engine->options.incarnation};
    sgn_proposal_begin(&work->proposal, work->scratch.version, &ballot, engine->ring->member_count);
    phase_begin(engine);
    proposal_turn(engine, work->proposal.phase);
    return true;
}

/* --- as time passes --------------------------------------------------------------------------- */

void sgn_register_adopted(struct sgn_engine *engine)
{
    struct sgn_map_work *work = &engine->order.work;
    uint32_t version = engine->order.map.version;
    if (work->acceptance.version <= version) {
        work->acceptance = (struct sgn_acceptance){.version = version + 1};
        sgn_buf_drop(engine, &work->acceptance_buf);
    }
    if (work->proposal.phase != SGN_PROPOSAL_NONE && work->proposal.version <= version) {
        proposal_end(engine, false);
    }
}

void sgn_register_tick(struct sgn_engine *engine)
{
    struct sgn_map_work *work = &engine->order.work;
    if (!is_open(&work->proposal)) {
        return;
    }
    uint64_t waited_ms = engine->now_ms - work->proposal_ms;
    uint32_t doubles = work->losses < PHASE_DOUBLES ? work->losses : PHASE_DOUBLES;
    if (waited_ms >= (uint64_t)PHASE_MS << doubles) {
        proposal_end(engine, true);
        return;
    }
    if (engine->now_ms >= work->send_due_ms) {
        work->send_due_ms =
            engine->now_ms + (waited_ms > SEND_AGAIN_MS ? waited_ms : SEND_AGAIN_MS);
        work->send_next = 0;
        vote_own(engine);
        proposal_turn(engine, work->proposal.phase);
    }
    if (is_open(&work->proposal)) {
        send_some(engine);
    }
}

enum sgn_err sgn_register_restore(struct sgn_engine *engine, struct sgn_bytes value)
{
    struct sgn_map_work *work = &engine->order.work;
    struct sgn_acceptance acceptance;
    if (sgn_acceptance_decode(value, &acceptance) != SGN_OK) {
        return SGN_ERR_CORRUPT;
    }
    struct sgn_buf *kept = sgn_buf_copy(engine, acceptance.value);
    if (kept == NULL) {
        return SGN_ERR_NOMEM;
    }
    sgn_buf_drop(engine, &work->acceptance_buf);
    acceptance.value = sgn_buf_bytes(kept);
    work->acceptance = acceptance;
    work->acceptance_buf = kept;
    return SGN_OK;
}
