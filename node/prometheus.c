#include "node/prometheus.h"

#include <ctype.h>
#include <event2/buffer.h>
#include <stdio.h>
#include <string.h>

#include "node/log.h"
#include "node/prom_text.h"
#include "node/status.h"
#include "node/version.h"

/* "SGN_ERR_NOT_FOUND" -> "not_found" */
static void result_label(int err, char label[40])
{
    const char *name = sgn_err_name(err);
    name += strncmp(name, "SGN_ERR_", 8) == 0 ? 8 : 4;
    size_t i = 0;
    for (; name[i] != '\0' && i < 39; i++) {
        label[i] = (char)tolower((unsigned char)name[i]);
    }
    label[i] = '\0';
}

static void write_requests(struct evbuffer *out, const struct sgn_metrics *metrics)
{
    sgn_prom_head(out, "requests_total", "counter", "Requests answered, by operation and result.");
    for (uint32_t op = 0; op < SGN_METRIC_OP_COUNT; op++) {
        for (uint32_t code = 0; code < SGN_METRIC_ERRORS; code++) {
            if (metrics->results[op][code] > 0) {
                char label[40];
                result_label(-(int)code, label);
                (void)evbuffer_add_printf(out,
                                          "signet_requests_total{op=\"%s\",result=\"%s\"} %llu\n",
                                          sgn_metric_op_names[op],
                                          label,
                                          (unsigned long long)metrics->results[op][code]);
            }
        }
    }
    sgn_prom_head(out,
                  "request_duration_seconds",
                  "histogram",
                  "From the request taken to its answer queued.");
    for (uint32_t op = 0; op < SGN_METRIC_OP_COUNT; op++) {
        const char *name = sgn_metric_op_names[op];
        uint64_t sum = 0;
        for (uint32_t i = 0; i < SGN_LATENCY_BUCKETS; i++) {
            sum += metrics->buckets[op][i];
            (void)evbuffer_add_printf(
                out,
                "signet_request_duration_seconds_bucket{op=\"%s\",le=\"%g\"} %llu\n",
                name,
                (double)sgn_latency_bounds_us[i] / 1e6,
                (unsigned long long)sum);
        }
        (void)evbuffer_add_printf(
            out,
            "signet_request_duration_seconds_bucket{op=\"%s\",le=\"+Inf\"} %llu\n"
            "signet_request_duration_seconds_sum{op=\"%s\"} %.6f\n"
            "signet_request_duration_seconds_count{op=\"%s\"} %llu\n",
            name,
            (unsigned long long)metrics->count[op],
            name,
            (double)metrics->sum_us[op] / 1e6,
            name,
            (unsigned long long)metrics->count[op]);
    }
}

static void write_engine(struct evbuffer *out, const struct sgn_driver *driver)
{
    struct sgn_engine_counts c;
    sgn_engine_counts(driver->engine, &c);
    sgn_prom_counter(out, "coordinated_puts_total", c.puts, "Puts coordinated here.");
    sgn_prom_counter(out, "coordinated_gets_total", c.gets, "Gets coordinated here.");
    sgn_prom_counter(out, "coordinated_deletes_total", c.deletes, "Deletes coordinated here.");
    sgn_prom_counter(out, "coordinated_lists_total", c.lists, "List pages coordinated here.");
    sgn_prom_counter(out, "forwards_total", c.forwards, "Requests passed on to another node.");
    sgn_prom_counter(
        out, "busy_total", c.refused_busy, "Requests refused because a bounded queue was full.");
    sgn_prom_counter(out, "timeouts_total", c.timeouts, "Requests that ran out of time.");
    sgn_prom_counter(
        out, "unavailable_total", c.unavailable, "Requests refused for too few live nodes.");
    sgn_prom_counter(
        out, "unknown_outcomes_total", c.unknown, "Writes whose outcome was not known in time.");
    sgn_prom_gauge(out, "hints", c.hints_held, "Values kept for other nodes.");
    sgn_prom_counter(
        out, "hints_written_total", c.hints_written, "Values taken in for other nodes.");
    sgn_prom_counter(
        out, "hints_delivered_total", c.hints_delivered, "Values handed to their home nodes.");
    sgn_prom_counter(
        out, "hints_dropped_total", c.hints_dropped, "Values not kept because hints_max is held.");
    sgn_prom_counter(out, "read_repairs_total", c.read_repairs, "Replicas mended after a read.");
    sgn_prom_counter(
        out, "tree_rounds_total", c.tree_rounds, "Comparisons of hash trees with a peer.");
    sgn_prom_counter(out, "tree_repairs_total", c.tree_repairs, "Keys mended after a comparison.");
    sgn_prom_gauge(out,
                   "divergent_partitions",
                   c.divergent_partitions,
                   "Partitions seen to differ in the last comparison with a live peer.");
    sgn_prom_gauge(
        out, "operations_in_flight", c.ops_in_flight, "Operations this node coordinates now.");
    sgn_prom_gauge(out, "keys_locked", c.keys_locked, "Keys with a write under way here.");
    sgn_prom_gauge(out, "peers_alive", c.peers_alive, "Peers heard within the suspicion time.");
}

static void write_ordered(struct evbuffer *out, const struct sgn_driver *driver)
{
    struct sgn_engine_counts c;
    sgn_engine_counts(driver->engine, &c);
    sgn_prom_counter(
        out, "rounds_chained_total", c.rounds_chained, "Ordered writes in one round trip.");
    sgn_prom_counter(
        out, "rounds_classic_total", c.rounds_classic, "Ordered rounds of two round trips.");
    sgn_prom_counter(out,
                     "rounds_nacked_total",
                     c.rounds_nacked,
                     "Answers that a higher ballot was promised: writers met.");
    sgn_prom_counter(out,
                     "rounds_stale_total",
                     c.rounds_stale,
                     "Answers that the map had changed under a round.");
    sgn_prom_head(out,
                  "ordered_reads_total",
                  "counter",
                  "Reads of ordered buckets served here, by path; eventual: of one replica.");
    const struct {
        const char *path;
        uint64_t count;
    } reads[] = {{"fast", c.reads_fast},
                 {"quorum", c.reads_quorum},
                 {"round", c.reads_round},
                 {"eventual", c.reads_eventual}};
    for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++) {
        (void)evbuffer_add_printf(out,
                                  "signet_ordered_reads_total{path=\"%s\"} %llu\n",
                                  reads[i].path,
                                  (unsigned long long)reads[i].count);
    }
    sgn_prom_counter(
        out, "settles_total", c.settles, "Ordered writes whose marks witnesses may forget.");
    sgn_prom_counter(out,
                     "resolves_total",
                     c.resolves,
                     "Rounds of this node's own to finish what others left pending or unsettled.");
    sgn_prom_counter(out, "marks_sent_total", c.marks_sent, "Marks asked of a witness group.");
    sgn_prom_counter(out, "checks_sent_total", c.checks_sent, "Checks asked of a witness group.");
    sgn_prom_counter(out, "map_changes_total", c.map_changes, "Maps adopted since the start.");
    sgn_prom_counter(out,
                     "tombstones_dropped_total",
                     c.tombstones_dropped,
                     "Deleted keys of ordered buckets whose last trace was removed here.");
    sgn_prom_counter(out,
                     "records_wiped_total",
                     c.records_wiped,
                     "Records removed here since their partition has moved to other nodes.");
    sgn_prom_counter(
        out, "fenced_total", c.fenced, "Times an ordered round had to wait for a fence.");
    sgn_prom_gauge(out, "dirty_keys", c.dirty, "Keys with a record not known settled.");
    sgn_prom_gauge(out, "pending_keys", c.pending, "Of them, keys with one not known committed.");
    sgn_prom_gauge(out, "cells", c.cells, "Keys of ordered buckets held in memory for work.");
}

static void write_witnesses(struct evbuffer *out, const struct sgn_fleet_view *v)
{
    static const char *const names[] = {
        "witness_up", "witness_warming_partitions", "witness_dropped_partitions"};
    static const char *const helps[] = {"1 when this node hears the witness.",
                                        "Partitions it makes no statement about yet.",
                                        "Partitions it dropped at its memory limit."};
    for (uint32_t n = 0; n < 3; n++) {
        sgn_prom_head(out, names[n], "gauge", helps[n]);
        for (uint32_t i = 0; i < v->witness_count; i++) {
            const struct sgn_witness_view *w = &v->witnesses[i];
            (void)evbuffer_add_printf(out,
                                      "signet_%s{witness=\"%u\"} %u\n",
                                      names[n],
                                      w->id & ~SGN_WITNESS_BIT,
                                      n == 0   ? (uint32_t)w->up
                                      : n == 1 ? w->warming
                                               : w->dropped);
        }
    }
}

static void write_fleet(struct evbuffer *out, const struct sgn_driver *driver)
{
    struct sgn_fleet_view v;
    sgn_engine_fleet(driver->engine, &v);
    sgn_prom_gauge(out, "map_version", v.map_version, "Version of the map adopted.");
    sgn_prom_gauge(out, "partitions", v.partitions, "Partitions of the ring.");
    sgn_prom_gauge(out,
                   "partitions_fast",
                   v.fast,
                   "Partitions whose strong reads are fast as this node finds the witnesses.");
    sgn_prom_gauge(
        out, "partitions_without_group", v.without_group, "Partitions that list no witnesses.");
    sgn_prom_gauge(out, "partitions_joint", v.joint, "Partitions between two sets of replicas.");
    sgn_prom_gauge(out, "partitions_lost", v.lost, "Partitions mended after a disk was lost.");
    sgn_prom_gauge(out, "is_member", v.is_member, "1 when the ring lists this node with its disk.");
    sgn_prom_gauge(
        out, "partitions_fenced", v.fenced, "Partitions whose ordered writes wait for a fence.");
    sgn_prom_head(out, "seats", "gauge", "Replicas of all partitions, by standing.");
    (void)evbuffer_add_printf(out,
                              "signet_seats{state=\"in_sync\"} %u\n"
                              "signet_seats{state=\"catching_up\"} %u\n"
                              "signet_seats{state=\"out\"} %u\n",
                              v.in_sync,
                              v.catching_up,
                              v.out);
    sgn_prom_gauge(out,
                   "own_catching_up",
                   v.own_catching_up,
                   "Partitions this node must catch up before it serves strong reads of them.");
    sgn_prom_gauge(out, "witnesses", v.witness_count, "Witnesses that the map lists.");
    sgn_prom_gauge(out, "witnesses_up", v.witnesses_up, "Of them, those heard by this node.");
    write_witnesses(out, &v);
}

static void write_store(struct evbuffer *out, const struct sgn_driver *driver)
{
    struct sgn_store_stats s;
    sgn_store_stats(driver->store, &s);
    sgn_prom_gauge(
        out, "store_writable", s.state == SGN_STORE_RUNNING, "1 when the store takes writes.");
    sgn_prom_gauge(out, "store_disk_bytes", s.disk_bytes, "Tables and blob files.");
    sgn_prom_gauge(out, "store_free_bytes", s.free_bytes, "Free space of the file system.");
    sgn_prom_gauge(out, "store_keys", s.keys_estimate, "Keys of the data family, an estimate.");
    sgn_prom_counter(out, "store_syncs_total", s.syncs, "Syncs of the write-ahead log.");
    sgn_prom_counter(out, "store_units_total", s.units, "Atomic units made durable.");
    sgn_prom_counter(out, "store_writes_total", s.writes, "Single writes in them.");
    sgn_prom_counter(out, "store_written_bytes_total", s.written_bytes, "Keys and values in them.");
    sgn_prom_counter(out, "store_corrupt_total", s.corrupt, "Reads that failed their checksum.");
    sgn_prom_counter(
        out, "store_refused_busy_total", s.refused_busy, "Units refused by a full queue.");
    sgn_prom_counter(
        out, "store_refused_full_total", s.refused_full, "Units refused by a full disk.");
    sgn_prom_gauge(
        out, "store_waiting_writes", s.waiting_writes, "Writes accepted and not yet reported.");
    sgn_prom_gauge(
        out, "store_waiting_reads", s.waiting_reads, "Reads accepted and not yet reported.");
}

static void write_net(struct evbuffer *out, const struct sgn_driver *driver)
{
    const struct sgn_wire_counts *w = sgn_wire_counts(driver->wire);
    sgn_prom_counter(out, "messages_received_total", w->messages_in, "Messages taken.");
    sgn_prom_counter(out, "messages_sent_total", w->messages_out, "Messages sent.");
    sgn_prom_counter(out, "received_bytes_total", w->bytes_in, "Bytes taken.");
    sgn_prom_counter(out, "sent_bytes_total", w->bytes_out, "Bytes sent.");
    sgn_prom_counter(out, "bad_input_total", w->bad_input, "Connections ended for what they sent.");
    sgn_prom_gauge(out, "connections", w->conns, "Connections, both ways.");
    sgn_prom_gauge(out, "clients", driver->clients, "Client connections.");
    sgn_prom_counter(out,
                     "connections_refused_total",
                     driver->metrics.sessions_refused,
                     "Connections not taken.");
    sgn_prom_counter(out,
                     "answers_dropped_total",
                     driver->metrics.replies_dropped,
                     "Answers whose connection had gone.");
    sgn_prom_counter(out,
                     "sends_failed_total",
                     driver->metrics.sends_failed,
                     "Messages to peers that could not be queued.");
    sgn_prom_gauge(out, "requests_in_flight", driver->call_count, "Requests under way here.");
    sgn_prom_gauge(out, "memory_used_bytes", driver->pool.bytes, "Memory of requests under way.");
    sgn_prom_counter(
        out, "memory_refused_total", driver->pool.refused, "Times that memory was refused.");
    sgn_prom_counter(
        out, "log_dropped_total", sgn_log_dropped(), "Log lines dropped by the rate limit.");
}

static void write_process(struct evbuffer *out, const struct sgn_driver *driver)
{
    sgn_prom_process(out);
    sgn_prom_head(out, "loop_late_seconds_max", "gauge", "Longest a tick of the loop came late.");
    (void)evbuffer_add_printf(
        out, "signet_loop_late_seconds_max %.6f\n", (double)driver->tick_late_us_max / 1e6);
    sgn_prom_head(out, "uptime_seconds", "gauge", "Since this process began.");
    (void)evbuffer_add_printf(
        out, "signet_uptime_seconds %.3f\n", (double)(sgn_clock_us() - driver->started_us) / 1e6);
}

void sgn_prometheus_write(const struct sgn_driver *driver, struct evbuffer *out)
{
    uint32_t first = 0;
    uint32_t any = 0;
    struct sgn_health verdict;
    sgn_status_partitions(driver, &first, &any);
    sgn_status_verdict(driver, &verdict);
    sgn_prom_head(out, "build_info", "gauge", "Constant 1.");
    (void)evbuffer_add_printf(out, "signet_build_info{version=\"%s\"} 1\n", SGN_NODE_VERSION);
    sgn_prom_gauge(out, "ready", verdict.ready, "1 when this node takes requests.");
    sgn_prom_gauge(
        out, "cluster_available", verdict.ring_ok, "1 when a majority of nodes is live.");
    sgn_prom_gauge(out, "ring_epoch", driver->ring.epoch, "Epoch of the ring.");
    sgn_prom_gauge(out, "partitions_first", first, "Partitions this node is the first replica of.");
    sgn_prom_gauge(out, "partitions_held", any, "Partitions this node is a replica of.");
    write_requests(out, &driver->metrics);
    write_engine(out, driver);
    write_ordered(out, driver);
    write_fleet(out, driver);
    if (driver->own.witness != NULL) {
        sgn_witness_table_metrics_write(driver->own.witness, out);
    }
    write_store(out, driver);
    write_net(out, driver);
    write_process(out, driver);
}
