/* The part of a node's status that is about ordered buckets. */
#include <event2/buffer.h>
#include <stdio.h>

#include "node/status.h"

const char *const sgn_fast_path_words[] = {"off", "partly", "on"};

/* Witnesses up that hold back, by what; *behind: in another map, which passes within moments. */
static void count_mute(const struct sgn_fleet_view *view,
                       uint32_t *dropped,
                       uint32_t *warming,
                       uint32_t *behind)
{
    *dropped = *warming = *behind = 0;
    for (uint32_t i = 0; i < view->witness_count; i++) {
        const struct sgn_witness_view *witness = &view->witnesses[i];
        *dropped += witness->dropped > 0;
        *warming += witness->warming > 0;
        *behind += witness->up && witness->version != view->map_version;
    }
}

void sgn_status_fast_why(const struct sgn_fleet_view *view, char *text, size_t bytes)
{
    uint32_t dropped = 0;
    uint32_t warming = 0;
    uint32_t behind = 0;
    count_mute(view, &dropped, &warming, &behind);
    text[0] = '\0';
    if (view->fast_path == SGN_FAST_ON) {
        return;
    }
    if (view->witness_count == 0) {
        (void)snprintf(text, bytes, "the ring has no witnesses");
    } else if (view->witnesses_up == 0) {
        (void)snprintf(text, bytes, "no witness is heard: strong reads ask a quorum, slower");
    } else if (dropped > 0) {
        (void)snprintf(text,
                       bytes,
                       "%u of %u witnesses are at their memory limit and have dropped partitions: "
                       "strong reads there ask a quorum, slower",
                       dropped,
                       view->witness_count);
    } else if (view->witnesses_up < view->witness_count) {
        (void)snprintf(text,
                       bytes,
                       "%u of %u witnesses are not heard",
                       view->witness_count - view->witnesses_up,
                       view->witness_count);
    } else if (behind > 0 || warming > 0) {
        (void)snprintf(text,
                       bytes,
                       "%u of %u witnesses warm up: they wait for the nodes' word on what is under "
                       "way",
                       behind > warming ? behind : warming,
                       view->witness_count);
    } else {
        (void)snprintf(text,
                       bytes,
                       "%u of %u partitions have no whole witness group yet",
                       view->partitions - view->fast,
                       view->partitions);
    }
}

static const char *why_down(const struct sgn_driver *driver, uint32_t witness)
{
    const struct sgn_own_witness *own = &driver->own;
    bool is_own = own->error[0] != '\0' && (own->config.id | SGN_WITNESS_BIT) == witness;
    return is_own ? own->error : sgn_peers_why(driver->peers, witness);
}

static void put_witnesses(struct evbuffer *out,
                          const struct sgn_driver *driver,
                          const struct sgn_fleet_view *view)
{
    (void)evbuffer_add_printf(out, ",\"witnesses\":[");
    for (uint32_t i = 0; i < view->witness_count; i++) {
        const struct sgn_witness_view *witness = &view->witnesses[i];
        (void)evbuffer_add_printf(
            out, "%s{\"id\":%u,\"address\":", i > 0 ? "," : "", witness->id & ~SGN_WITNESS_BIT);
        sgn_status_string(out, witness->address);
        (void)evbuffer_add_printf(out,
                                  ",\"up\":%s,\"leaving\":%s,\"incarnation\":%u,\"listed\":%u,"
                                  "\"version\":%u,\"partitions\":%u,\"warming\":%u,\"dropped\":%u,"
                                  "\"why\":",
                                  witness->up ? "true" : "false",
                                  witness->leaving ? "true" : "false",
                                  witness->incarnation,
                                  witness->listed,
                                  witness->version,
                                  witness->groups,
                                  witness->warming,
                                  witness->dropped);
        sgn_status_string(out, witness->up ? "" : why_down(driver, witness->id));
        (void)evbuffer_add_printf(out, "}");
    }
    (void)evbuffer_add_printf(out, "]");
}

static void put_ordered(struct evbuffer *out, const struct sgn_driver *driver)
{
    struct sgn_engine_counts c;
    sgn_engine_counts(driver->engine, &c);
    (void)evbuffer_add_printf(
        out, ",\"ordered\":{\"dirty\":%u,\"pending\":%u,\"cells\":%u", c.dirty, c.pending, c.cells);
    sgn_status_number(out, "rounds_chained", c.rounds_chained);
    sgn_status_number(out, "rounds_classic", c.rounds_classic);
    sgn_status_number(out, "rounds_nacked", c.rounds_nacked);
    sgn_status_number(out, "rounds_stale", c.rounds_stale);
    sgn_status_number(out, "reads_fast", c.reads_fast);
    sgn_status_number(out, "reads_quorum", c.reads_quorum);
    sgn_status_number(out, "reads_round", c.reads_round);
    sgn_status_number(out, "reads_eventual", c.reads_eventual);
    sgn_status_number(out, "settles", c.settles);
    sgn_status_number(out, "resolves", c.resolves);
    sgn_status_number(out, "marks_sent", c.marks_sent);
    sgn_status_number(out, "checks_sent", c.checks_sent);
    sgn_status_number(out, "map_changes", c.map_changes);
    sgn_status_number(out, "fenced", c.fenced);
    sgn_status_number(out, "tombstones_dropped", c.tombstones_dropped);
    sgn_status_number(out, "records_wiped", c.records_wiped);
    (void)evbuffer_add_printf(out, "}");
}

void sgn_status_fleet(struct evbuffer *out, const struct sgn_driver *driver)
{
    struct sgn_fleet_view view;
    char why[192];
    sgn_engine_fleet(driver->engine, &view);
    sgn_status_fast_why(&view, why, sizeof(why));
    sgn_status_number(out, "map_version", view.map_version);
    (void)evbuffer_add_printf(
        out, ",\"fast_path\":\"%s\",\"fast_path_why\":", sgn_fast_path_words[view.fast_path]);
    sgn_status_string(out, why);
    sgn_status_number(out, "partitions_fast", view.fast);
    put_witnesses(out, driver, &view);
    (void)evbuffer_add_printf(out,
                              ",\"seats\":{\"in_sync\":%u,\"catching_up\":%u,\"out\":%u}",
                              view.in_sync,
                              view.catching_up,
                              view.out);
    sgn_fence_waits_text(&view, why, sizeof(why));
    (void)evbuffer_add_printf(out,
                              ",\"partition_counts\":{\"joint\":%u,\"lost\":%u,"
                              "\"fenced\":%u,\"without_group\":%u},\"is_member\":%s,"
                              "\"fences_wait_for\":",
                              view.joint,
                              view.lost,
                              view.fenced,
                              view.without_group,
                              view.is_member ? "true" : "false");
    sgn_status_string(out, why);
    (void)evbuffer_add_printf(out,
                              ",\"catch_up\":{\"partitions\":%u,\"done\":%u,\"at_work\":%u}",
                              view.own_catching_up,
                              view.own_caught_up,
                              view.own_at_work);
    put_ordered(out, driver);
}
