/* What people look at: how far ordered buckets are from their best. Reads only, and of all
 * partitions: for a few calls a second. */
#include "ring/core/order_inner.h"

#define SLOTS 256u /* Of the table below; a power of two, several times the fleet. */

/* How much of a witness's word counts in the partitions whose group it is in. A witness says only
 * how many of its partitions it warms or has dropped, not which. */
enum { CLEAN = 1, MAYBE = 2 };
struct quality {
    const struct sgn_link *link;
    uint8_t grade;
    uint32_t groups; /* Partitions that list it as it is now. */
};
/* By witness id, for rings of many partitions. */
struct qualities {
    struct quality slots[SLOTS];
};

static struct quality *quality_of(struct qualities *qualities, uint32_t id)
{
    uint32_t slot = id & (SLOTS - 1);
    while (qualities->slots[slot].link != NULL && qualities->slots[slot].link->id != id) {
        slot = (slot + 1) & (SLOTS - 1);
    }
    return &qualities->slots[slot];
}

static bool is_up(const struct sgn_engine *engine, const struct sgn_link *link)
{
    return link->connected && link->heard_ms != 0 &&
           engine->now_ms - link->heard_ms < SGN_WITNESS_SUSPECT_MS;
}

static void qualities_look(const struct sgn_engine *engine, struct qualities *qualities)
{
    const struct sgn_order *order = &engine->order;
    for (uint32_t i = 0; i < order->link_count; i++) {
        quality_of(qualities, order->links[i].id)->link = &order->links[i];
    }
    for (uint32_t p = 0; p < order->map.partition_count; p++) {
        const struct sgn_line *line = &order->map.lines[p];
        for (uint32_t i = 0; i < line->group_count; i++) {
            struct quality *quality = quality_of(qualities, line->group[i].id);
            quality->groups +=
                quality->link != NULL && quality->link->incarnation == line->group[i].incarnation;
        }
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        struct quality *quality = &qualities->slots[i];
        const struct sgn_link *link = quality->link;
        if (link != NULL && is_up(engine, link) && link->version == order->map.version) {
            uint64_t mute = link->warming + link->dropped;
            quality->grade = mute == 0 ? CLEAN | MAYBE : mute < quality->groups ? MAYBE : 0;
        }
    }
}

static void look_line(const struct sgn_engine *engine,
                      struct qualities *qualities,
                      const struct sgn_line *line,
                      struct sgn_fleet_view *view)
{
    const struct sgn_order *order = &engine->order;
    uint32_t clean = 0;
    uint32_t maybe = 0;
    for (uint32_t i = 0; i < line->group_count; i++) {
        const struct quality *quality = quality_of(qualities, line->group[i].id);
        if (quality->link != NULL && quality->link->incarnation == line->group[i].incarnation) {
            clean += (quality->grade & CLEAN) != 0;
            maybe += (quality->grade & MAYBE) != 0;
        }
    }
    uint32_t quorum = sgn_line_group_quorum(line);
    view->fast += quorum > 0 && clean >= quorum;
    view->fast_maybe += quorum > 0 && clean < quorum && maybe >= quorum;
    view->without_group += line->group_count == 0;
    view->joint += line->joint;
    bool lost = false;
    for (uint32_t i = 0; i < line->seat_count; i++) {
        lost = lost || (line->seats[i].sets & SGN_SET_LOST) != 0;
        uint32_t state = line->seats[i].state;
        view->in_sync += state == SGN_SEAT_IN_SYNC;
        view->catching_up += state == SGN_SEAT_CATCHING_UP;
        view->out += state == SGN_SEAT_OUT;
    }
    view->lost += lost;
    if (line->fence_count > 0) {
        uint32_t missing[SGN_FENCE_WAITS_MAX];
        uint32_t count = 0;
        bool passed = sgn_line_fenced(
            line, order->known, order->known_count, missing, SGN_FENCE_WAITS_MAX, &count);
        if (!passed && view->fenced++ == 0) {
            view->fence_wait_count = count;
            memcpy(view->fence_waits, missing, count * sizeof(missing[0]));
        }
    }
}

static void look_witness(const struct sgn_engine *engine,
                         struct qualities *qualities,
                         const struct sgn_witness_member *member,
                         struct sgn_witness_view *view)
{
    const struct quality *quality = quality_of(qualities, member->id);
    const struct sgn_link *link = quality->link;
    *view = (struct sgn_witness_view){.id = member->id,
                                      .address = member->address,
                                      .listed = member->incarnation,
                                      .leaving = member->leaving};
    if (link == NULL) {
        return;
    }
    view->up = is_up(engine, link);
    view->incarnation = link->incarnation;
    view->groups = quality->groups;
    if (view->up) {
        view->version = link->version;
        view->warming = (uint32_t)link->warming;
        view->dropped = (uint32_t)link->dropped;
    }
}

static void look_own(const struct sgn_engine *engine, struct sgn_fleet_view *view)
{
    const struct sgn_order *order = &engine->order;
    for (uint32_t p = 0; p < order->map.partition_count; p++) {
        const struct sgn_line *line = &order->map.lines[p];
        int seat = sgn_own_seat(engine, line);
        if (seat >= 0 && line->seats[seat].state == SGN_SEAT_CATCHING_UP) {
            bool done = (order->caught_up[p / 8] >> (p % 8) & 1) != 0 &&
                        order->caught_epoch[p] == line->epoch;
            view->own_catching_up++;
            view->own_caught_up += done;
        }
    }
    view->own_at_work = order->catchups;
}

void sgn_engine_fleet(const struct sgn_engine *engine, struct sgn_fleet_view *view)
{
    const struct sgn_map *map = &engine->order.map;
    struct qualities qualities = {0};
    *view = (struct sgn_fleet_view){.map_version = map->version,
                                    .group_size = map->group_size,
                                    .partitions = map->partition_count,
                                    .is_member = engine->order.is_member,
                                    .witness_count = map->witness_count};
    qualities_look(engine, &qualities);
    for (uint32_t i = 0; i < map->witness_count; i++) {
        look_witness(engine, &qualities, &map->witnesses[i], &view->witnesses[i]);
        view->witnesses_up += view->witnesses[i].up;
    }
    for (uint32_t p = 0; p < map->partition_count; p++) {
        look_line(engine, &qualities, &map->lines[p], view);
    }
    look_own(engine, view);
    view->fast_path = view->fast == map->partition_count  ? SGN_FAST_ON
                      : view->fast + view->fast_maybe > 0 ? SGN_FAST_PARTLY
                                                          : SGN_FAST_OFF;
}
