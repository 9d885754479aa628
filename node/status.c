#include "node/status.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring/core/check.h"

void sgn_status_partitions(const struct sgn_driver *driver, uint32_t *first, uint32_t *any)
{
    const struct sgn_ring *ring = &driver->ring;
    int own = sgn_ring_find(ring, driver->config->id);
    *first = 0;
    *any = 0;
    for (uint32_t p = 0; p < ring->partition_count; p++) {
        const uint16_t *row = ring->table + (size_t)p * ring->replica_count;
        *first += row[0] == own;
        for (uint32_t i = 0; i < ring->replica_count; i++) {
            *any += row[i] == own;
        }
    }
}

/* --- the verdict ----------------------------------------------------------------------------- */

static bool member_alive(const struct sgn_driver *driver, uint32_t index)
{
    return sgn_engine_peer_alive(driver->engine, driver->ring.members[index].id);
}

/* Partitions of whose homes fewer than `least` live. */
static uint32_t partitions_short(const struct sgn_driver *driver, uint32_t least)
{
    const struct sgn_ring *ring = &driver->ring;
    bool alive[SGN_NODES_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < ring->member_count; i++) {
        alive[i] = member_alive(driver, i);
    }
    for (uint32_t p = 0; p < ring->partition_count; p++) {
        const uint16_t *row = ring->table + (size_t)p * ring->replica_count;
        uint32_t live = 0;
        for (uint32_t i = 0; i < ring->replica_count; i++) {
            live += alive[row[i]];
        }
        count += live < least;
    }
    return count;
}

/* "2 of 5 nodes are not heard: 3, 4" */
static uint32_t describe_dead(const struct sgn_driver *driver, char *text, size_t bytes)
{
    const struct sgn_ring *ring = &driver->ring;
    uint32_t dead = 0;
    char names[128] = "";
    size_t at = 0;
    for (uint32_t i = 0; i < ring->member_count; i++) {
        if (member_alive(driver, i)) {
            continue;
        }
        dead++;
        if (at < sizeof(names) - 24) {
            int more = snprintf(
                names + at, sizeof(names) - at, "%s%u", at > 0 ? ", " : "", ring->members[i].id);
            at += more > 0 ? (size_t)more : 0;
        } else if (names[at - 1] != '.') {
            (void)snprintf(names + at, sizeof(names) - at, ", ...");
            at = strlen(names);
        }
    }
    (void)snprintf(text,
                   bytes,
                   "%u of %u nodes %s not heard: %s",
                   dead,
                   ring->member_count,
                   dead == 1 ? "is" : "are",
                   names);
    return dead;
}

static void judge_ring(const struct sgn_driver *driver,
                       const struct sgn_store_stats *store,
                       struct sgn_health *verdict)
{
    char dead_text[192];
    uint32_t dead = describe_dead(driver, dead_text, sizeof(dead_text));
    uint32_t live = driver->ring.member_count - dead;
    uint32_t majority = driver->ring.replica_count / 2 + 1;
    struct sgn_engine_counts counts;
    struct sgn_fleet_view fleet;
    sgn_engine_counts(driver->engine, &counts);
    sgn_engine_fleet(driver->engine, &fleet);
    verdict->ring_ok = true;
    verdict->word = "degraded";
    if (live < majority) {
        verdict->word = "cannot write";
        verdict->ring_ok = false;
        (void)snprintf(
            verdict->reason, sizeof(verdict->reason), "%s; a majority is %u", dead_text, majority);
    } else if (store->state != SGN_STORE_RUNNING) {
        (void)snprintf(verdict->reason,
                       sizeof(verdict->reason),
                       "this node takes no writes: %.180s",
                       store->state_text);
    } else if (!fleet.is_member) {
        (void)snprintf(verdict->reason,
                       sizeof(verdict->reason),
                       "the ring does not list this node with the disk it has: it takes no part in "
                       "ordered buckets before a majority of the nodes has listed it");
    } else if (fleet.fenced > 0) {
        char waits[160];
        sgn_fence_waits_text(&fleet, waits, sizeof(waits));
        (void)snprintf(verdict->reason,
                       sizeof(verdict->reason),
                       "ordered writes to %u of %u partitions wait for word of: %s",
                       fleet.fenced,
                       fleet.partitions,
                       waits);
    } else if (dead > 0) {
        uint32_t count = partitions_short(driver, majority);
        (void)snprintf(verdict->reason,
                       sizeof(verdict->reason),
                       "%s; %u of %u partitions live by stand-ins",
                       dead_text,
                       count,
                       driver->ring.partition_count);
    } else if (fleet.lost > 0) {
        (void)snprintf(verdict->reason,
                       sizeof(verdict->reason),
                       "%u of %u partitions are being mended after a disk was lost: lose no other "
                       "before they are",
                       fleet.lost,
                       fleet.partitions);
    } else if (counts.hints_held > 0) {
        (void)snprintf(verdict->reason,
                       sizeof(verdict->reason),
                       "%llu values wait to be handed to their home nodes",
                       (unsigned long long)counts.hints_held);
    } else if (counts.divergent_partitions > 0) {
        (void)snprintf(verdict->reason,
                       sizeof(verdict->reason),
                       "%llu partitions differ from a peer's and are being mended",
                       (unsigned long long)counts.divergent_partitions);
    } else {
        verdict->word = "healthy";
    }
}

void sgn_status_verdict(const struct sgn_driver *driver, struct sgn_health *verdict)
{
    struct sgn_store_stats store;
    sgn_store_stats(driver->store, &store);
    memset(verdict, 0, sizeof(*verdict));
    judge_ring(driver, &store, verdict);
    verdict->ready = driver->state == SGN_DRIVER_READY && store.state == SGN_STORE_RUNNING;
    if (driver->state == SGN_DRIVER_DRAINING) {
        verdict->word = "stopping";
        (void)snprintf(verdict->reason, sizeof(verdict->reason), "this node was asked to stop");
    } else if (driver->state == SGN_DRIVER_STARTING) {
        verdict->word = "starting";
        (void)snprintf(verdict->reason, sizeof(verdict->reason), "this node restores its state");
    }
}

/* --- JSON ------------------------------------------------------------------------------------ */

void sgn_status_string(struct evbuffer *out, const char *text)
{
    (void)evbuffer_add_printf(out, "\"");
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c >= 0x7f) {
            (void)evbuffer_add_printf(out, "\\u%04x", c);
        } else if (c == '"' || c == '\\') {
            (void)evbuffer_add_printf(out, "\\%c", c);
        } else {
            (void)evbuffer_add(out, text, 1);
        }
    }
    (void)evbuffer_add_printf(out, "\"");
}

void sgn_status_number(struct evbuffer *out, const char *name, uint64_t value)
{
    (void)evbuffer_add_printf(out, ",\"%s\":%llu", name, (unsigned long long)value);
}

static void put_members(struct evbuffer *out, const struct sgn_driver *driver)
{
    const struct sgn_ring *ring = &driver->ring;
    (void)evbuffer_add_printf(out, ",\"members\":[");
    for (uint32_t i = 0; i < ring->member_count; i++) {
        const struct sgn_member *member = &ring->members[i];
        bool own = member->id == driver->config->id;
        bool up = own || sgn_peers_is_up(driver->peers, member->id);
        (void)evbuffer_add_printf(out,
                                  "%s{\"node\":%u,\"address\":\"%s\",\"weight\":%u,\"zone\":%u,"
                                  "\"alive\":%s,\"connected\":%s,\"why\":",
                                  i > 0 ? "," : "",
                                  member->id,
                                  member->address,
                                  member->weight,
                                  member->zone,
                                  member_alive(driver, i) ? "true" : "false",
                                  up ? "true" : "false");
        sgn_status_string(out, up ? "" : sgn_peers_why(driver->peers, member->id));
        (void)evbuffer_add_printf(out, "}");
    }
    (void)evbuffer_add_printf(out, "]");
}

static void put_engine(struct evbuffer *out, const struct sgn_driver *driver)
{
    struct sgn_engine_counts counts;
    sgn_engine_counts(driver->engine, &counts);
    (void)evbuffer_add_printf(out, ",\"engine\":{\"puts\":%llu", (unsigned long long)counts.puts);
    sgn_status_number(out, "gets", counts.gets);
    sgn_status_number(out, "lists", counts.lists);
    sgn_status_number(out, "deletes", counts.deletes);
    sgn_status_number(out, "forwards", counts.forwards);
    sgn_status_number(out, "refused_busy", counts.refused_busy);
    sgn_status_number(out, "timeouts", counts.timeouts);
    sgn_status_number(out, "unavailable", counts.unavailable);
    sgn_status_number(out, "unknown", counts.unknown);
    sgn_status_number(out, "hints_held", counts.hints_held);
    sgn_status_number(out, "hints_written", counts.hints_written);
    sgn_status_number(out, "hints_delivered", counts.hints_delivered);
    sgn_status_number(out, "hints_dropped", counts.hints_dropped);
    sgn_status_number(out, "read_repairs", counts.read_repairs);
    sgn_status_number(out, "tree_rounds", counts.tree_rounds);
    sgn_status_number(out, "tree_repairs", counts.tree_repairs);
    sgn_status_number(out, "divergent_partitions", counts.divergent_partitions);
    sgn_status_number(out, "ops_in_flight", counts.ops_in_flight);
    sgn_status_number(out, "keys_locked", counts.keys_locked);
    sgn_status_number(out, "peers_alive", counts.peers_alive);
    (void)evbuffer_add_printf(
        out, ",\"idle\":%s}", sgn_engine_is_idle(driver->engine) ? "true" : "false");
}

static void put_store(struct evbuffer *out, const struct sgn_driver *driver)
{
    static const char *const states[] = {"running", "full", "stopped"};
    struct sgn_store_stats store;
    sgn_store_stats(driver->store, &store);
    (void)evbuffer_add_printf(
        out, ",\"store\":{\"state\":\"%s\",\"state_text\":", states[store.state]);
    sgn_status_string(out, store.state_text);
    sgn_status_number(out, "disk_bytes", store.disk_bytes);
    sgn_status_number(out, "free_bytes", store.free_bytes);
    sgn_status_number(out, "keys_estimate", store.keys_estimate);
    sgn_status_number(out, "syncs", store.syncs);
    sgn_status_number(out, "units", store.units);
    sgn_status_number(out, "writes", store.writes);
    sgn_status_number(out, "written_bytes", store.written_bytes);
    sgn_status_number(out, "group_units_max", store.group_units_max);
    sgn_status_number(out, "corrupt", store.corrupt);
    sgn_status_number(out, "refused_busy", store.refused_busy);
    sgn_status_number(out, "refused_full", store.refused_full);
    sgn_status_number(out, "waiting_writes", store.waiting_writes);
    sgn_status_number(out, "waiting_bytes", store.waiting_bytes);
    sgn_status_number(out, "waiting_reads", store.waiting_reads);
    (void)evbuffer_add_printf(out, "}");
}

/* Nothing where the map has none inside this node. */
static void put_own_witness(struct evbuffer *out, const struct sgn_driver *driver)
{
    const struct sgn_own_witness *own = &driver->own;
    size_t bytes = 0;
    char *json = own->witness == NULL ? NULL : sgn_witness_status_json(own->witness, &bytes);
    if (json != NULL) { /* Without the end of its line. */
        (void)evbuffer_add_printf(out, ",\"own_witness\":%.*s", (int)bytes - 1, json);
    } else if (own->error[0] != '\0') {
        (void)evbuffer_add_printf(out, ",\"own_witness\":{\"error\":");
        sgn_status_string(out, own->error);
        (void)evbuffer_add_printf(out, "}");
    }
    free(json);
}

static void put_own(struct evbuffer *out, const struct sgn_driver *driver)
{
    uint32_t first = 0;
    uint32_t any = 0;
    uint32_t buckets = 0;
    const struct sgn_bucket_table *table = sgn_engine_buckets(driver->engine);
    for (uint32_t i = 0; i < table->count; i++) {
        buckets += !table->rows[i].dead;
    }
    sgn_status_partitions(driver, &first, &any);
    sgn_status_number(out, "incarnation", driver->identity.incarnation);
    sgn_status_number(out, "uptime_ms", (sgn_clock_us() - driver->started_us) / 1000);
    sgn_status_number(out, "epoch", driver->ring.epoch);
    (void)evbuffer_add_printf(
        out, ",\"ring_digest\":\"%016llx\"", (unsigned long long)driver->ring_digest);
    sgn_status_number(out, "partitions", driver->ring.partition_count);
    sgn_status_number(out, "replicas", driver->ring.replica_count);
    sgn_status_number(out, "partitions_first", first);
    sgn_status_number(out, "partitions_held", any);
    sgn_status_number(out, "buckets", buckets);
    sgn_status_number(out, "clients", driver->clients);
    sgn_status_number(out, "requests_under_way", driver->call_count);
    sgn_status_number(out, "memory_bytes", driver->pool.bytes);
    sgn_status_number(out, "memory_bytes_max", driver->pool.bytes_max);
}

char *sgn_status_json(const struct sgn_driver *driver, size_t *bytes)
{
    struct evbuffer *out = evbuffer_new();
    if (out == NULL) {
        return NULL;
    }
    struct sgn_health verdict;
    sgn_status_verdict(driver, &verdict);
    (void)evbuffer_add_printf(out,
                              "{\"schema\":%u,\"node\":%u,\"ring\":\"%s\",\"verdict\":\"%s\"",
                              SGN_STATUS_SCHEMA,
                              driver->config->id,
                              driver->ring.name,
                              verdict.word);
    (void)evbuffer_add_printf(out, ",\"reason\":");
    sgn_status_string(out, verdict.reason);
    put_own(out, driver);
    put_members(out, driver);
    sgn_status_fleet(out, driver);
    put_own_witness(out, driver);
    put_engine(out, driver);
    put_store(out, driver);
    (void)evbuffer_add_printf(out, "}\n");
    *bytes = evbuffer_get_length(out);
    char *text = malloc(*bytes + 1);
    if (text != NULL) {
        (void)evbuffer_remove(out, text, *bytes);
        text[*bytes] = '\0';
    }
    evbuffer_free(out);
    return text;
}
