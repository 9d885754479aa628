#include "node/watch.h"

#include <stdio.h>
#include <string.h>

#include "node/log.h"

#define FENCED_AFTER_S 2u  /* Shorter waits are how every change of the map goes. */
#define FENCED_EVERY_S 30u /* Told again while it lasts. */
#define DOWN_EVERY_S   30u

static uint32_t number_of(uint32_t witness)
{
    return witness & ~SGN_WITNESS_BIT;
}

void sgn_fence_waits_text(const struct sgn_fleet_view *view, char *text, size_t bytes)
{
    size_t at = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < view->fence_wait_count && at + 32 < bytes; i++) {
        uint32_t id = view->fence_waits[i];
        int count = snprintf(text + at,
                             bytes - at,
                             "%s%s %u",
                             i > 0 ? ", " : "",
                             (id & SGN_WITNESS_BIT) != 0 ? "witness" : "node",
                             number_of(id));
        at += count > 0 ? (size_t)count : 0;
    }
}

/* --- the map ---------------------------------------------------------------------------------- */

struct standing {
    uint32_t catching_up[SGN_NODES_MAX], out[SGN_NODES_MAX];
    uint32_t without_group;
};

static void standing_of(const struct sgn_map *map,
                        const struct sgn_ring *ring,
                        struct standing *standing)
{
    memset(standing, 0, sizeof(*standing));
    for (uint32_t p = 0; p < map->partition_count; p++) {
        const struct sgn_line *line = &map->lines[p];
        standing->without_group += line->group_count == 0;
        for (uint32_t i = 0; i < line->seat_count; i++) {
            int index = sgn_ring_find(ring, line->seats[i].node);
            if (index >= 0) {
                standing->catching_up[index] += line->seats[i].state == SGN_SEAT_CATCHING_UP;
                standing->out[index] += line->seats[i].state == SGN_SEAT_OUT;
            }
        }
    }
}

static void tell_member(
    uint32_t node, uint32_t out_before, uint32_t out, uint32_t catching_before, uint32_t catching)
{
    if (out > out_before) {
        SGN_LOG(SGN_LOG_WARN,
                "node listed as out",
                "it was not heard for out_ms; its partitions go on without it, and it catches up "
                "when it is back",
                "out=%u partitions=%u",
                node,
                out);
    } else if (catching > catching_before) {
        SGN_LOG(SGN_LOG_INFO,
                "node catches up",
                "it is back and is brought what it missed",
                "who=%u partitions=%u",
                node,
                catching);
    } else if (out + catching == 0 && out_before + catching_before > 0) {
        SGN_LOG(SGN_LOG_INFO, "node back in sync", NULL, "who=%u", node);
    }
}

static void tell_disk(uint32_t node, uint64_t before, uint64_t disk)
{
    if (before != 0 && disk != before) {
        SGN_LOG(SGN_LOG_WARN,
                "node has another disk",
                "it has forgotten what it held and is brought that by the others; until it is back "
                "in sync no other disk of its partitions may be lost",
                "who=%u",
                node);
    }
}

static struct sgn_watch_witness *witness_find(struct sgn_watch *watch, uint32_t id)
{
    for (uint32_t i = 0; i < watch->witness_count; i++) {
        if (watch->witnesses[i].id == id) {
            return &watch->witnesses[i];
        }
    }
    return NULL;
}

static void tell_witness(struct sgn_watch_witness *known, const struct sgn_witness_member *member)
{
    uint32_t number = number_of(member->id);
    if (known->incarnation == 0 && member->incarnation != 0) {
        SGN_LOG(SGN_LOG_INFO,
                "witness listed",
                NULL,
                "witness=%u incarnation=%u",
                number,
                member->incarnation);
    } else if (known->incarnation != member->incarnation) {
        SGN_LOG(SGN_LOG_INFO,
                "witness listed anew",
                "it was restarted and begins with nothing",
                "witness=%u incarnation=%u",
                number,
                member->incarnation);
    }
    if (member->leaving && !known->leaving) {
        SGN_LOG(SGN_LOG_INFO,
                "witness leaves",
                "it may be stopped when the map lists it no more",
                "witness=%u",
                number);
    }
    known->incarnation = member->incarnation;
    known->leaving = member->leaving;
}

static void witnesses_follow(struct sgn_watch *watch, const struct sgn_map *map)
{
    for (uint32_t i = 0; i < watch->witness_count;) {
        uint32_t j = 0;
        while (j < map->witness_count && map->witnesses[j].id != watch->witnesses[i].id) {
            j++;
        }
        if (j < map->witness_count) {
            i++;
            continue;
        }
        SGN_LOG(SGN_LOG_INFO,
                "witness listed no more",
                "its process may be stopped",
                "witness=%u",
                number_of(watch->witnesses[i].id));
        watch->witnesses[i] = watch->witnesses[--watch->witness_count];
    }
    for (uint32_t j = 0; j < map->witness_count; j++) {
        const struct sgn_witness_member *member = &map->witnesses[j];
        struct sgn_watch_witness *known = witness_find(watch, member->id);
        if (known == NULL) {
            known = &watch->witnesses[watch->witness_count++];
            *known = (struct sgn_watch_witness){.id = member->id};
            if (member->incarnation == 0) {
                SGN_LOG(SGN_LOG_INFO,
                        "witness added",
                        "it is listed as soon as a node hears it",
                        "witness=%u address=%s",
                        number_of(member->id),
                        member->address);
            }
        }
        tell_witness(known, member);
    }
}

static void tell_groups(uint32_t before, uint32_t now, const struct sgn_map *map)
{
    if (now > before) {
        SGN_LOG(SGN_LOG_WARN,
                "partitions without witnesses",
                "too few witnesses are heard; strong reads there ask a quorum, slower",
                "partitions=%u of=%u version=%u",
                now,
                map->partition_count,
                map->version);
    } else if (now < before) {
        SGN_LOG(SGN_LOG_INFO,
                "partitions have witnesses again",
                NULL,
                "without=%u of=%u version=%u",
                now,
                map->partition_count,
                map->version);
    }
}

void sgn_watch_map(struct sgn_watch *watch,
                   const struct sgn_engine *engine,
                   const struct sgn_ring *ring)
{
    const struct sgn_map *map = sgn_engine_map(engine);
    struct standing now;
    standing_of(map, ring, &now);
    witnesses_follow(watch, map);
    for (uint32_t i = 0; i < ring->member_count; i++) {
        uint64_t disk = sgn_map_disk(map, ring->members[i].id);
        tell_disk(ring->members[i].id, watch->disks[i], disk);
        watch->disks[i] = disk;
        tell_member(ring->members[i].id,
                    watch->out[i],
                    now.out[i],
                    watch->catching_up[i],
                    now.catching_up[i]);
    }
    /* A ring that never had a witness lacks none. */
    if (watch->begun && (map->witness_count > 0 || now.without_group < watch->without_group)) {
        tell_groups(watch->without_group, now.without_group, map);
    }
    memcpy(watch->out, now.out, sizeof(watch->out));
    memcpy(watch->catching_up, now.catching_up, sizeof(watch->catching_up));
    watch->without_group = now.without_group;
    watch->begun = true;
}

/* --- each second ------------------------------------------------------------------------------ */

static void tell_up(struct sgn_watch_witness *known,
                    const struct sgn_witness_view *now,
                    const char *why)
{
    uint32_t number = number_of(now->id);
    if (now->up) {
        if (known->told_down) {
            SGN_LOG(SGN_LOG_INFO, "witness is back", NULL, "witness=%u", number);
        }
        known->told_down = false;
        known->down_seconds = 0;
        return;
    }
    known->down_seconds++;
    /* Not for one that is just being dialled; again only for another reason. */
    if (known->down_seconds == 2 || (known->down_seconds % DOWN_EVERY_S == 0 &&
                                     strncmp(known->why, why, sizeof(known->why) - 1) != 0)) {
        (void)snprintf(known->why, sizeof(known->why), "%s", why);
        SGN_LOG(SGN_LOG_WARN,
                "witness is down",
                why[0] != '\0' ? known->why : "it does not answer",
                "witness=%u address=%s",
                number,
                now->address);
        known->told_down = true;
    }
}

static void tell_room(struct sgn_watch_witness *known, const struct sgn_witness_view *now)
{
    if (now->dropped > 0 && known->dropped == 0) {
        SGN_LOG(
            SGN_LOG_WARN,
            "witness is at its memory limit",
            "strong reads of the partitions it dropped ask a quorum, slower; they are tried "
            "anew every 10 s; start it with more --memory (a node: --witness-memory) if this comes "
            "again",
            "witness=%u partitions=%u",
            number_of(now->id),
            now->dropped);
    } else if (now->up && now->dropped == 0 && known->dropped > 0) {
        SGN_LOG(SGN_LOG_INFO, "witness has room again", NULL, "witness=%u", number_of(now->id));
    }
    known->dropped = now->up ? now->dropped : known->dropped;
}

static void tell_fences(struct sgn_watch *watch, const struct sgn_fleet_view *view)
{
    if (view->fenced == 0) {
        if (watch->fenced_seconds > FENCED_AFTER_S) {
            SGN_LOG(SGN_LOG_INFO,
                    "fences are passed",
                    "ordered writes go on",
                    "seconds=%u",
                    watch->fenced_seconds);
        }
        watch->fenced_seconds = 0;
        return;
    }
    if (++watch->fenced_seconds == FENCED_AFTER_S + 1 ||
        watch->fenced_seconds % FENCED_EVERY_S == 0) {
        char waits[160];
        char text[320];
        sgn_fence_waits_text(view, waits, sizeof(waits));
        (void)snprintf(text,
                       sizeof(text),
                       "ordered writes there wait until enough of these are in the present map: "
                       "%s; if they never come back, kv-cli ring force-fence",
                       waits);
        SGN_LOG(SGN_LOG_WARN,
                "fence waits",
                text,
                "partitions=%u seconds=%u",
                view->fenced,
                watch->fenced_seconds);
    }
}

void sgn_watch_second(struct sgn_watch *watch,
                      const struct sgn_engine *engine,
                      const struct sgn_peers *peers)
{
    struct sgn_fleet_view view;
    sgn_engine_fleet(engine, &view);
    for (uint32_t i = 0; i < view.witness_count; i++) {
        struct sgn_watch_witness *known = witness_find(watch, view.witnesses[i].id);
        if (known != NULL) {
            tell_up(known, &view.witnesses[i], sgn_peers_why(peers, known->id));
            tell_room(known, &view.witnesses[i]);
        }
    }
    tell_fences(watch, &view);
}
