/* Who is alive. The rule has two ways: a peer counts as alive only if we hear it and it says that
 * it hears us, so a link that carries one direction only is a link down, for both. Clocks decide
 * when to try, never what is true. */
#include "ring/core/order_inner.h"

static struct sgn_peer *peer_of(struct sgn_engine *engine, uint32_t node)
{
    int index = sgn_ring_find(engine->ring, node);
    return index < 0 || (uint32_t)index == engine->self ? NULL : &engine->peers[index];
}

bool sgn_node_alive(const struct sgn_engine *engine, uint32_t node)
{
    if (node == engine->options.node) {
        return true;
    }
    int index = sgn_ring_find(engine->ring, node);
    return index >= 0 && engine->peers[index].alive;
}

uint32_t sgn_alive_count(const struct sgn_engine *engine)
{
    return engine->counts.peers_alive + 1;
}

static void peer_judge(struct sgn_engine *engine, struct sgn_peer *peer)
{
    bool alive = peer->connected && peer->heard_any && peer->hears_us && !peer->clock_ahead &&
                 engine->now_ms - peer->heard_ms < engine->suspect_ms;
    if (alive == peer->alive) {
        return;
    }
    peer->alive = alive;
    if (alive) {
        engine->counts.peers_alive++;
        peer->hint_retry_ms = engine->now_ms;
    } else {
        SGN_ASSERT(engine->counts.peers_alive > 0);
        engine->counts.peers_alive--;
        peer->divergent = 0;
    }
    engine->sweep_next = 0; /* Ops may wait for it, or have waited for anyone. */
}

static void beat(struct sgn_engine *engine, uint32_t index)
{
    struct sgn_peer *peer = &engine->peers[index];
    bool heard = peer->heard_any && engine->now_ms - peer->heard_ms < engine->suspect_ms;
    peer->beat_due_ms = engine->now_ms + engine->beat_ms;
    struct sgn_request_id id = {{0}};
    struct sgn_sink disk = sgn_sink_of(id.bytes, sizeof(id.bytes));
    sgn_sink_uint(&disk, engine->options.disk, 8);
    sgn_fx_send(engine,
                engine->ring->members[index].id,
                NULL,
                (struct sgn_msg){.type = SGN_MSG_HEARTBEAT,
                                 .node = engine->options.node,
                                 .b = engine->options.incarnation,
                                 .a = heard ? peer->incarnation : 0,
                                 .c = engine->buckets_digest,
                                 .stamp = sgn_hlc_now(&engine->hlc, engine->wall_ms),
                                 .d = engine->ring_digest,
                                 .n = engine->order.map.version,
                                 .id = id});
}

void sgn_member_up(struct sgn_engine *engine, uint32_t node)
{
    struct sgn_peer *peer = peer_of(engine, node);
    if (peer == NULL) {
        return;
    }
    peer->connected = true;
    peer->heard_any = false; /* A new connection may be a new process: hear it first. */
    peer->hears_us = false;
    peer_judge(engine, peer);
    beat(engine, (uint32_t)(peer - engine->peers));
}

void sgn_member_down(struct sgn_engine *engine, uint32_t node)
{
    struct sgn_peer *peer = peer_of(engine, node);
    if (peer != NULL) {
        peer->connected = false;
        peer->heard_any = false;
        peer_judge(engine, peer);
    }
}

void sgn_member_heartbeat(struct sgn_engine *engine, const struct sgn_event *event)
{
    const struct sgn_msg *msg = &event->msg;
    struct sgn_peer *peer = peer_of(engine, event->node);
    if (peer == NULL || msg->node != event->node || !peer->connected || msg->b > UINT32_MAX) {
        return;
    }
    if (msg->d != engine->ring_digest) {
        sgn_fx_log(engine, "a peer describes the ring differently; it is taken for down");
        return;
    }
    peer->clock_ahead = sgn_hlc_merge(&engine->hlc, msg->stamp, engine->wall_ms) != SGN_OK;
    if (peer->clock_ahead) {
        struct sgn_sink text = sgn_text(engine, "the clock of node ");
        sgn_text_uint(&text, msg->node);
        sgn_text_str(&text, " is more than 5 s ahead; it is taken for down until that is mended");
        SGN_ASSERT(text.count < text.cap);
        text.ptr[text.count] = '\0';
        sgn_fx_log(engine, (const char *)text.ptr);
    }
    bool news = !peer->heard_any || peer->incarnation != msg->b;
    peer->heard_any = true;
    peer->heard_ms = engine->now_ms;
    peer->incarnation = (uint32_t)msg->b;
    peer->hears_us = msg->a == engine->options.incarnation;
    uint64_t disk = sgn_get_uint(msg->id.bytes, 8);
    if (news || disk != peer->disk) {
        peer->up_since_ms = 0; /* Whoever was steady, it was another one. */
    }
    peer->disk = disk;
    peer->map_version = msg->n;
    sgn_known_version(engine, event->node, peer->incarnation, msg->n);
    peer->buckets_digest = msg->c;
    peer->buckets_due = peer->buckets_due || msg->c != engine->buckets_digest;
    peer_judge(engine, peer);
    if (news) {
        peer->beat_due_ms = engine->now_ms; /* It waits to be told that we hear it. */
    }
}

void sgn_member_beat_soon(struct sgn_engine *engine)
{
    for (uint32_t i = 0; i < engine->ring->member_count; i++) {
        engine->peers[i].beat_due_ms = engine->now_ms;
    }
}

void sgn_member_tick(struct sgn_engine *engine)
{
    for (uint32_t i = 0; i < engine->ring->member_count; i++) {
        struct sgn_peer *peer = &engine->peers[i];
        if (i == engine->self) {
            continue;
        }
        peer_judge(engine, peer);
        if (peer->connected && engine->now_ms >= peer->beat_due_ms && sgn_fx_has_room(engine)) {
            beat(engine, i);
        }
    }
}
