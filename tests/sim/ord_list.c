/* tests/sim/ord_list.c - pages of lists (protocol.md 10). A strong page shows every key of its
 * range whose put was exposed before it was asked for, unless a delete may have followed, and none
 * whose delete was, unless a put may have. */
#include "ring/core/check.h"
#include "ring/core/items.h"
#include "tests/sim/ord.h"

/* Whether some round has proposed a version of that kind above the one the list must show. */
static bool may_have_changed(const struct ord_world *world,
                             uint32_t key,
                             const struct sgn_version *above,
                             bool to_dead)
{
    for (uint32_t i = 0; i < world->oracle.fact_count; i++) {
        const struct ord_fact *fact = &world->oracle.facts[i];
        if (fact->key == key && fact->dead == to_dead &&
            ord_version_compare(&fact->version, above) > 0) {
            return true;
        }
    }
    return false;
}

static uint32_t page_keys(struct ord_world *world, const struct sgn_msg *msg)
{
    struct sgn_cursor cursor = sgn_cursor_of(msg->items);
    struct sgn_bytes key = {0};
    struct sgn_bytes value = {0};
    struct sgn_bytes last = {0};
    uint32_t shown = 0;
    while (sgn_items_next(&cursor, &key, &value)) {
        const char *raw = key.ptr;
        bool ours = key.count == 2 && raw[0] == 'k' && raw[1] >= '0' &&
                    raw[1] < '0' + (int)world->options.keys;
        if (!ours || (last.ptr != NULL && sgn_bytes_compare(last, key) >= 0)) {
            ord_violation(&world->oracle, "a list page is out of order or shows a strange key");
            return shown;
        }
        shown |= UINT32_C(1) << (raw[1] - '0');
        last = key;
    }
    if (cursor.bad) {
        ord_violation(&world->oracle, "a list page is garbage");
    }
    return shown;
}

void ord_list_check(struct ord_world *world, struct ord_client *client, const struct sgn_msg *msg)
{
    uint32_t shown = page_keys(world, msg);
    if (client->mode != SGN_READ_STRONG) {
        return;
    }
    const char *upto = msg->after.ptr;
    uint32_t last = (msg->flags & SGN_RESULT_END) != 0 ? ORD_KEYS_MAX
                    : msg->after.count == 2            ? (uint32_t)(upto[1] - '0')
                                                       : 0;
    for (uint32_t key = 0; key < world->options.keys; key++) {
        bool in_range = (client->after == UINT32_MAX || key > client->after) && key <= last;
        bool is_shown = (shown >> key & 1u) != 0;
        const struct sgn_version *floor = &client->floors[key];
        if (!in_range) {
            continue;
        }
        bool live = floor->rev != 0 && !client->floor_dead[key];
        if (live && !is_shown && !may_have_changed(world, key, floor, true)) {
            ord_violation(&world->oracle,
                          "10: a strong list misses key %u, exposed with rev %llu before",
                          key,
                          (unsigned long long)floor->rev);
        }
        if (!live && is_shown && !may_have_changed(world, key, floor, false)) {
            ord_violation(
                &world->oracle, "10: a strong list shows key %u, which was gone before", key);
        }
    }
}
