/* The committed map of this node: how it comes, is kept and goes on to others. protocol.md 6.
 *
 *   chosen here, or MAP_IS ──> STORE META "map" ──> adopted ──> heartbeats tell ──> MAP_IS to who
 *                                                               the version          is behind
 *
 * A map is adopted only when it is durable (6: after a restart a node is never in a lower version),
 * and only maps known chosen travel in MAP_IS. */
#include "ring/core/order_inner.h"

#define TOKEN_MAP      0u
#define TOKEN_REGISTER 1u

struct sgn_buf *sgn_map_to_buf(struct sgn_engine *engine, const struct sgn_map *map)
{
    size_t most = sgn_map_bytes_max(map->partition_count);
    struct sgn_buf *room = sgn_buf_get(engine, most);
    if (room == NULL) {
        return NULL;
    }
    struct sgn_sink sink = sgn_sink_of(room->bytes, most);
    sgn_map_encode(map, &sink);
    SGN_ASSERT(!sink.full);
    struct sgn_buf *buf = sgn_buf_copy(engine, sgn_sink_bytes(&sink));
    sgn_buf_drop(engine, &room);
    return buf;
}

/* --- who has adopted what --------------------------------------------------------------------- */

static struct sgn_known *known_find(struct sgn_engine *engine, uint32_t id)
{
    struct sgn_order *order = &engine->order;
    if (id < SGN_WITNESS_BIT) {
        int index = sgn_ring_find(engine->ring, id);
        return index < 0 ? NULL : &order->known[index];
    }
    for (uint32_t i = engine->ring->member_count; i < order->known_count; i++) {
        if (order->known[i].id == id) {
            return &order->known[i];
        }
    }
    return NULL;
}

static bool is_listed(const struct sgn_map *map, uint32_t witness)
{
    for (uint32_t i = 0; i < map->witness_count; i++) {
        if (map->witnesses[i].id == witness) {
            return true;
        }
    }
    return false;
}

/* A node's version is durable and only rises. A witness's is that of one incarnation: another one
 * begins anew. Whatever comes late is still true (6.3; map.c says why that is enough). */
void sgn_known_version(struct sgn_engine *engine,
                       uint32_t id,
                       uint32_t incarnation,
                       uint32_t version)
{
    struct sgn_order *order = &engine->order;
    struct sgn_known *known = known_find(engine, id);
    if (known == NULL) {
        if (id < SGN_WITNESS_BIT || !is_listed(&order->map, id)) {
            return;
        }
        SGN_ASSERT(order->known_count < engine->ring->member_count + SGN_WITNESSES_MAX);
        known = &order->known[order->known_count++];
        *known = (struct sgn_known){.id = id};
    }
    bool anew = id >= SGN_WITNESS_BIT && incarnation != known->incarnation;
    known->version = anew || version > known->version ? version : known->version;
    known->incarnation = incarnation != 0 ? incarnation : known->incarnation;
}

/* Witnesses that the map lists no more are in no fence either: nobody asks for them. */
static void known_forget(struct sgn_engine *engine)
{
    struct sgn_order *order = &engine->order;
    uint32_t kept = engine->ring->member_count;
    for (uint32_t i = kept; i < order->known_count; i++) {
        if (is_listed(&order->map, order->known[i].id)) {
            order->known[kept++] = order->known[i];
        }
    }
    order->known_count = kept;
}

/* --- giving it to others ---------------------------------------------------------------------- */

static bool offer_due(const struct sgn_engine *engine, uint32_t member)
{
    const struct sgn_peer *peer = &engine->peers[member];
    const struct sgn_map *map = &engine->order.map;
    return member != engine->self && peer->connected && peer->heard_any &&
           engine->now_ms >= peer->map_offer_ms && peer->map_version < map->version &&
           (sgn_map_disk(map, engine->ring->members[member].id) == peer->disk || SGN_MUTANT(38));
}

static void offers_tick(struct sgn_engine *engine)
{
    struct sgn_buf *map = NULL;
    for (uint32_t i = 0; i < engine->ring->member_count && sgn_fx_has_room(engine); i++) {
        if (!offer_due(engine, i)) {
            continue;
        }
        if (map == NULL) {
            map = sgn_map_to_buf(engine, &engine->order.map);
        }
        if (map == NULL) {
            return;
        }
        engine->peers[i].map_offer_ms = engine->now_ms + SGN_MAP_OFFER_MS;
        sgn_fx_send(engine,
                    engine->ring->members[i].id,
                    NULL,
                    (struct sgn_msg){.type = SGN_MSG_MAP_IS, .value = sgn_buf_bytes(map)});
    }
    sgn_buf_drop(engine, &map);
}

/* --- adopting --------------------------------------------------------------------------------- */

static void adopt_scratch(struct sgn_engine *engine)
{
    struct sgn_order *order = &engine->order;
    sgn_disk_adopting(engine, &order->work.scratch);
    sgn_map_copy(&order->map, &order->work.scratch);
    sgn_disk_adopted(engine);
    known_forget(engine);
    sgn_known_version(
        engine, engine->options.node, engine->options.incarnation, order->map.version);
}

static void adopted(struct sgn_engine *engine, struct sgn_buf *map)
{
    struct sgn_order *order = &engine->order;
    enum sgn_err err = sgn_map_decode(sgn_buf_bytes(map), engine->ring, &order->work.scratch);
    SGN_ASSERT(err == SGN_OK); /* It was looked at before it was stored. */
    if (order->work.scratch.version <= order->map.version) {
        return;
    }
    adopt_scratch(engine);
    engine->counts.map_changes++;
    bool chosen_here = order->work.proposed == map;
    for (uint32_t i = 0; i < engine->ring->member_count; i++) {
        /* Who has it by now will say so soon; who chose it sends it at once. */
        engine->peers[i].map_offer_ms = engine->now_ms + (chosen_here ? 0 : SGN_MAP_OFFER_MS);
    }
    sgn_register_adopted(engine);
    sgn_keeper_adopted(engine);
    sgn_barrier_adopted(engine);
    sgn_catchup_adopted(engine);
    sgn_cells_adopted(engine);
    sgn_member_beat_soon(engine);
    offers_tick(engine);
    engine->sweep_next = 0; /* Rounds and reads of the old epochs are over. */
}

static void adopt_store(struct sgn_engine *engine)
{
    struct sgn_map_work *work = &engine->order.work;
    struct sgn_effect *store = sgn_fx_push(engine, SGN_FX_STORE);
    store->token = sgn_token(SGN_TOKEN_MAP, TOKEN_MAP, 0);
    store->writes[store->write_count++] = (struct sgn_store_write){
        .family = SGN_FAMILY_META,
        .key = sgn_bytes_str("map"),
        .value = sgn_buf_bytes(work->adopting),
    };
    work->adopting_stored = true;
}

void sgn_map_adopt(struct sgn_engine *engine, struct sgn_buf *map)
{
    struct sgn_map_work *work = &engine->order.work;
    SGN_ASSERT(work->adopting == NULL);
    work->adopting = map;
    adopt_store(engine);
    if (SGN_MUTANT(23)) {
        adopted(engine, map);
    }
}

void sgn_map_work_stored(struct sgn_engine *engine, const struct sgn_event *event)
{
    struct sgn_map_work *work = &engine->order.work;
    if ((uint32_t)(event->token >> 32 & 0xffffff) == TOKEN_REGISTER) {
        sgn_register_stored(engine, event);
        return;
    }
    SGN_ASSERT(work->adopting != NULL && work->adopting_stored);
    work->adopting_stored = false;
    if (event->err != SGN_OK) {
        work->adopt_retry_ms = engine->now_ms + SGN_STORE_RETRY_MS;
        return;
    }
    struct sgn_buf *map = work->adopting;
    work->adopting = NULL;
    adopted(engine, map);
    sgn_buf_drop(engine, &map);
}

void sgn_map_work_is(struct sgn_engine *engine, const struct sgn_event *event)
{
    struct sgn_order *order = &engine->order;
    uint32_t version = sgn_map_version_of(event->msg.value);
    if (version <= order->map.version || order->work.adopting != NULL) {
        return; /* Known, or it comes again. */
    }
    if (sgn_map_decode(event->msg.value, engine->ring, &order->work.scratch) != SGN_OK) {
        sgn_fx_log(engine, "a peer sent a map that does not fit this ring; it is not taken");
        return;
    }
    if (!sgn_disk_listed(engine, &order->work.scratch)) {
        return; /* It is of a time before this disk was known (2): one that lists it will come. */
    }
    struct sgn_buf *map = sgn_buf_copy(engine, event->msg.value);
    if (map != NULL) {
        sgn_map_adopt(engine, map);
    }
}

/* --- requests --------------------------------------------------------------------------------- */

static void map_request(struct sgn_engine *engine, const struct sgn_event *event)
{
    struct sgn_buf *map = sgn_map_to_buf(engine, &engine->order.map);
    if (map == NULL) {
        sgn_fx_refuse(engine, event, SGN_ERR_BUSY, NULL);
        return;
    }
    sgn_fx_reply(engine,
                 event->token,
                 (struct sgn_msg){.type = SGN_MSG_RESULT,
                                  .value = sgn_buf_bytes(map),
                                  .a = engine->order.map.version});
    sgn_buf_drop(engine, &map);
}

void sgn_map_work_request(struct sgn_engine *engine, const struct sgn_event *event)
{
    if (event->msg.type == SGN_MSG_MAP) {
        map_request(engine, event);
    } else if (event->msg.type == SGN_MSG_MAP_CHANGE) {
        sgn_keeper_change(engine, event);
    } else {
        sgn_register_request(engine, event);
    }
}

void sgn_map_work_tick(struct sgn_engine *engine)
{
    struct sgn_map_work *work = &engine->order.work;
    if (work->adopting != NULL && !work->adopting_stored &&
        engine->now_ms >= work->adopt_retry_ms && sgn_fx_has_room(engine)) {
        adopt_store(engine);
    }
    sgn_register_tick(engine);
    offers_tick(engine);
}

/* --- beginning and end ------------------------------------------------------------------------ */

void sgn_map_work_init(struct sgn_engine *engine)
{
    struct sgn_order *order = &engine->order;
    sgn_map_first(&order->map, engine->ring);
    for (uint32_t i = 0; i < engine->ring->member_count; i++) {
        /* Version 1 needs no agreement: every member is in it. */
        order->known[i] = (struct sgn_known){.id = engine->ring->members[i].id, .version = 1};
    }
    order->known_count = engine->ring->member_count;
    sgn_disk_adopted(engine);
}

enum sgn_err sgn_map_work_restore(struct sgn_engine *engine,
                                  struct sgn_bytes name,
                                  struct sgn_bytes value)
{
    if (sgn_bytes_equal(name, sgn_bytes_str("register"))) {
        return sgn_register_restore(engine, value);
    }
    if (!sgn_bytes_equal(name, sgn_bytes_str("map"))) {
        return SGN_ERR_NOT_FOUND;
    }
    if (sgn_map_decode(value, engine->ring, &engine->order.work.scratch) != SGN_OK) {
        return SGN_ERR_CORRUPT;
    }
    adopt_scratch(engine);
    sgn_barrier_adopted(engine); /* Links to the witnesses it lists; nothing is sent yet. */
    return SGN_OK;
}

void sgn_map_work_clear(struct sgn_engine *engine)
{
    struct sgn_map_work *work = &engine->order.work;
    sgn_buf_drop(engine, &work->acceptance_buf);
    sgn_buf_drop(engine, &work->proposed);
    sgn_buf_drop(engine, &work->adopting);
}
