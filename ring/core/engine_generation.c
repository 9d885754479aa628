/* Generations of this node's actors; engine_state.h says why they rise. */
#include "ring/core/engine_inner.h"

uint32_t sgn_generation_usable(const struct sgn_engine *engine, enum sgn_actor_role role, int *err)
{
    const struct sgn_generation *generation = &engine->generations[role];
    *err = SGN_OK;
    if (generation->raise_wanted) {
        *err = generation->err != SGN_OK ? generation->err : SGN_ERR_BUSY;
    }
    return generation->value;
}

void sgn_generation_push(struct sgn_engine *engine,
                         struct sgn_effect *effect,
                         enum sgn_actor_role role,
                         uint32_t value)
{
    SGN_ASSERT(effect->write_count < SGN_EFFECT_WRITES_MAX);
    effect->writes[effect->write_count++] = (struct sgn_store_write){
        .family = SGN_FAMILY_META,
        .key = sgn_bytes_str(role == SGN_ACTOR_HOME ? "home" : "guest"),
        .value = sgn_arena_uint(engine, value, 4),
    };
}

static void generation_store(struct sgn_engine *engine, enum sgn_actor_role role)
{
    struct sgn_generation *generation = &engine->generations[role];
    SGN_ASSERT(!generation->storing);
    generation->storing = true;
    struct sgn_effect *effect = sgn_fx_push(engine, SGN_FX_STORE);
    effect->token = sgn_token(SGN_TOKEN_GENERATION, role, generation->value + 1);
    sgn_generation_push(engine, effect, role, generation->value + 1);
}

void sgn_generation_want(struct sgn_engine *engine, enum sgn_actor_role role)
{
    struct sgn_generation *generation = &engine->generations[role];
    generation->raise_wanted = true;
    if (!generation->storing && engine->now_ms >= generation->retry_ms) {
        generation_store(engine, role);
    }
}

void sgn_generation_raised(struct sgn_engine *engine, enum sgn_actor_role role, uint32_t value)
{
    struct sgn_generation *generation = &engine->generations[role];
    if (value > generation->value) {
        generation->value = value;
        generation->raise_wanted = false;
        generation->err = SGN_OK;
    }
}

void sgn_generation_stored(struct sgn_engine *engine, const struct sgn_event *event)
{
    uint32_t role = (uint32_t)(event->token >> 32) & 0xffffff;
    SGN_ASSERT(role < SGN_ACTOR_ROLES);
    struct sgn_generation *generation = &engine->generations[role];
    generation->storing = false;
    if (event->err == SGN_OK) {
        sgn_generation_raised(engine, (enum sgn_actor_role)role, (uint32_t)event->token);
        return;
    }
    generation->err = event->err;
    generation->retry_ms = engine->now_ms + SGN_STORE_RETRY_MS;
    sgn_fx_log(engine,
               "the store refuses the node's new actor generation; it coordinates no writes "
               "until the store takes it");
}

void sgn_generation_tick(struct sgn_engine *engine)
{
    for (uint32_t role = 0; role < SGN_ACTOR_ROLES; role++) {
        if (engine->generations[role].raise_wanted) {
            sgn_generation_want(engine, (enum sgn_actor_role)role);
        }
    }
}
