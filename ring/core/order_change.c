/* MAP_CHANGE: what an operator asks of the map. The wish is kept here while it waits: whenever
 * another's map is chosen first it is made anew on top of that one, until a map that holds it is
 * adopted or the request's time is over. A change that holds already is done: so a repeated request
 * does no harm, and a change that another proposer carried through for us is found again. */
#include "ring/core/order_inner.h"

static void client_reply(struct sgn_engine *engine, enum sgn_err err, const char *text)
{
    struct sgn_map_client *client = &engine->order.work.client;
    struct sgn_msg msg = {.type = SGN_MSG_RESULT, .err = err, .a = client->result};
    if (text != NULL) {
        msg.text = sgn_bytes_str(text);
    }
    sgn_fx_reply(engine, client->token, msg);
    /* Its proposal, if one is under way, goes on without it. */
    *client = (struct sgn_map_client){.waits = false};
}

static struct sgn_witness_member *witness_of(struct sgn_map *map, uint64_t id)
{
    for (uint32_t i = 0; i < map->witness_count; i++) {
        if (map->witnesses[i].id == id) {
            return &map->witnesses[i];
        }
    }
    return NULL;
}

/* What a change came to, as an edit. */
enum edit { EDIT_MADE, EDIT_HOLDS, EDIT_INVALID };

/* Its id is made of the version that lists it: as a version adds one at most, no id ever comes
 * again. */
static enum edit edit_add(struct sgn_map *next, struct sgn_map_client *client, const char **why)
{
    struct sgn_bytes address = sgn_bytes_str(client->address);
    for (uint32_t i = 0; i < next->witness_count; i++) {
        struct sgn_witness_member *witness = &next->witnesses[i];
        bool same_place = sgn_bytes_equal(sgn_bytes_str(witness->address), address);
        bool same_host = witness->host == client->b;
        if (same_place && !same_host) {
            *why = "the map lists another witness under this address";
            return EDIT_INVALID;
        }
        if (!same_place && same_host && client->b != 0) {
            *why = "the map lists another witness inside this node";
            return EDIT_INVALID;
        }
        if (same_place) {
            bool was_leaving = witness->leaving;
            witness->leaving = false;
            client->result = witness->id;
            return was_leaving ? EDIT_MADE : EDIT_HOLDS;
        }
    }
    if (next->witness_count == SGN_WITNESSES_MAX) {
        *why = "the fleet has all the witnesses it can";
        return EDIT_INVALID;
    }
    struct sgn_witness_member *witness = &next->witnesses[next->witness_count++];
    *witness = (struct sgn_witness_member){.id = SGN_WITNESS_BIT | next->version,
                                           .host = (uint32_t)client->b};
    memcpy(witness->address, client->address, sizeof(witness->address));
    client->result = witness->id;
    return EDIT_MADE;
}

static enum edit edit_drop(struct sgn_map *next, struct sgn_map_client *client, const char **why)
{
    struct sgn_witness_member *witness = witness_of(next, client->b);
    client->result = client->b;
    if (witness == NULL) {
        *why = "the map lists no such witness";
        return client->sent ? EDIT_HOLDS : EDIT_INVALID; /* It may have been us. */
    }
    bool was_leaving = witness->leaving;
    witness->leaving = true;
    return was_leaving ? EDIT_HOLDS : EDIT_MADE;
}

static enum edit edit_force(struct sgn_map *next, struct sgn_map_client *client, const char **why)
{
    bool all = client->b == UINT64_MAX;
    if (!all && client->b >= next->partition_count) {
        *why = "the ring has no such partition";
        return EDIT_INVALID;
    }
    uint32_t forced = 0;
    for (uint32_t p = 0; p < next->partition_count; p++) {
        forced += (all || p == client->b) && sgn_map_force(next, p) ? 1 : 0;
    }
    client->result = forced;
    return forced > 0 ? EDIT_MADE : EDIT_HOLDS;
}

static enum edit edit_size(struct sgn_map *next, struct sgn_map_client *client, const char **why)
{
    if (client->b != 1 && client->b != 3 && client->b != 5) {
        *why = "a witness group has 1, 3 or 5 members";
        return EDIT_INVALID;
    }
    client->result = client->b;
    if (next->group_size == client->b) {
        return EDIT_HOLDS;
    }
    next->group_size = (uint32_t)client->b;
    return EDIT_MADE;
}

static enum edit edit(struct sgn_map *next, struct sgn_map_client *client, const char **why)
{
    switch (client->change) {
    case SGN_MAP_ADD_WITNESS: return edit_add(next, client, why);
    case SGN_MAP_DROP_WITNESS: return edit_drop(next, client, why);
    case SGN_MAP_FORCE: return edit_force(next, client, why);
    case SGN_MAP_GROUP_SIZE: return edit_size(next, client, why);
    }
    *why = "there is no such change of the map";
    return EDIT_INVALID;
}

bool sgn_change_make(struct sgn_engine *engine, struct sgn_map *next)
{
    struct sgn_map_client *client = &engine->order.work.client;
    const char *why = NULL;
    if (!client->waits || client->won != 0) {
        return false;
    }
    switch (edit(next, client, &why)) {
    case EDIT_MADE: return true;
    case EDIT_HOLDS: client_reply(engine, SGN_OK, NULL); break;
    case EDIT_INVALID: client_reply(engine, SGN_ERR_INVALID, why); break;
    }
    return false;
}

static bool is_text(struct sgn_bytes text)
{
    for (size_t i = 0; i < text.count; i++) {
        if (((const uint8_t *)text.ptr)[i] < ' ') {
            return false;
        }
    }
    return text.count > 0;
}

void sgn_keeper_change(struct sgn_engine *engine, const struct sgn_event *event)
{
    struct sgn_map_client *client = &engine->order.work.client;
    const struct sgn_msg *msg = &event->msg;
    bool adds = msg->a == SGN_MAP_ADD_WITNESS;
    if (adds && (msg->text.count > SGN_ADDRESS_BYTES_MAX || !is_text(msg->text))) {
        sgn_fx_refuse(engine, event, SGN_ERR_INVALID, "this is not the address of a witness");
        return;
    }
    if (adds && msg->b != 0 &&
        (msg->b > UINT32_MAX || sgn_ring_find(engine->ring, (uint32_t)msg->b) < 0)) {
        sgn_fx_refuse(engine, event, SGN_ERR_INVALID, "the ring has no such node");
        return;
    }
    if (msg->a < SGN_MAP_ADD_WITNESS || msg->a > SGN_MAP_GROUP_SIZE) {
        sgn_fx_refuse(engine, event, SGN_ERR_INVALID, "there is no such change of the map");
        return;
    }
    if (client->waits) {
        sgn_fx_refuse(engine, event, SGN_ERR_BUSY, "another change of the map is under way here");
        return;
    }
    *client = (struct sgn_map_client){
        .waits = true,
        .token = event->token,
        .deadline_ms = engine->now_ms + engine->options.request_timeout_ms,
        .change = (enum sgn_map_change)msg->a,
        .b = msg->b,
    };
    if (adds) {
        memcpy(client->address, msg->text.ptr, msg->text.count);
    }
    /* What holds already or cannot be is answered at once, whoever is reachable. */
    sgn_map_begin(&engine->order.work.scratch, &engine->order.map);
    if (sgn_change_make(engine, &engine->order.work.scratch)) {
        sgn_keeper_now(engine);
    }
}

void sgn_change_adopted(struct sgn_engine *engine)
{
    const struct sgn_map_client *client = &engine->order.work.client;
    if (client->waits && client->won != 0 && engine->order.map.version >= client->won) {
        client_reply(engine, SGN_OK, NULL);
    }
}

void sgn_change_tick(struct sgn_engine *engine)
{
    const struct sgn_map_client *client = &engine->order.work.client;
    if (!client->waits || engine->now_ms < client->deadline_ms) {
        return;
    }
    if (client->won != 0 || client->sent) {
        client_reply(engine, SGN_ERR_UNKNOWN, "the change of the map may or may not be made");
    } else if (sgn_alive_count(engine) < engine->ring->member_count / 2 + 1) {
        client_reply(engine,
                     SGN_ERR_UNAVAILABLE,
                     "a majority of the ring's nodes must be reachable to change the map");
    } else {
        client_reply(engine, SGN_ERR_BUSY, "other changes of the map went first; try again");
    }
}
