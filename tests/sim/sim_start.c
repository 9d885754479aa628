#include "tests/sim/sim_start.h"

#include <stdlib.h>

#include "ring/core/check.h"
#include "tests/sim/sim.h"

#define POOL_BYTES_MAX (64u << 20)

static void *pool_get(struct sgn_pool *pool, size_t bytes)
{
    struct sim_pool *own = (struct sim_pool *)pool;
    bool refuse = !*own->healing && !own->starting && sgn_prng_chance(own->prng, own->refuse_pm);
    if (refuse || own->in_use + bytes > POOL_BYTES_MAX) {
        return NULL;
    }
    uint64_t *block = malloc(bytes + 16);
    SGN_ASSERT(block != NULL);
    block[0] = bytes;
    own->in_use += bytes;
    return block + 2;
}

static void pool_put(struct sgn_pool *pool, void *ptr)
{
    struct sim_pool *own = (struct sim_pool *)pool;
    uint64_t *block = (uint64_t *)ptr - 2;
    SGN_ASSERT(own->in_use >= block[0]);
    own->in_use -= block[0];
    free(block);
}

struct sim_pool sim_pool_of(struct sgn_prng *prng, const bool *healing, uint32_t refuse_pm)
{
    return (struct sim_pool){.pool = {pool_get, pool_put},
                             .prng = prng,
                             .healing = healing,
                             .refuse_pm = refuse_pm,
                             .starting = true};
}

static struct sgn_bytes key_of(const struct sim_entry *entry)
{
    return sgn_bytes_of(entry->key, entry->key_bytes);
}

static struct sgn_bytes value_of(const struct sim_entry *entry)
{
    return sgn_bytes_of(entry->value, entry->value_bytes);
}

const char *sim_restore(struct sgn_engine *engine, const struct sim_disk *disk)
{
    static const char *const names[] = {"map", "register", "ceiling", "watermark", "purged"};
    const char *refused = NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct sgn_bytes name = sgn_bytes_str(names[i]);
        const struct sim_entry *entry = sim_disk_find(disk, SGN_FAMILY_META, name);
        if (entry != NULL && sgn_engine_restore_meta(engine, name, value_of(entry)) != SGN_OK) {
            refused = names[i];
        }
    }
    const struct sim_family *meta = &disk->families[SGN_FAMILY_META];
    for (uint32_t i = 0; i < meta->count; i++) {
        if (sgn_bytes_starts(key_of(&meta->list[i]), sgn_bytes_str("buckets/"))) {
            sgn_engine_restore_bucket(engine, value_of(&meta->list[i]));
        }
    }
    const struct sim_family *tree = &disk->families[SGN_FAMILY_TREE];
    for (uint32_t i = 0; i < tree->count; i++) {
        sgn_engine_restore_leaf(engine, key_of(&tree->list[i]), value_of(&tree->list[i]));
    }
    const struct sim_family *hints = &disk->families[SGN_FAMILY_HINT];
    for (uint32_t i = 0; i < hints->count; i++) {
        sgn_engine_restore_hint(engine, key_of(&hints->list[i]));
    }
    return refused;
}
