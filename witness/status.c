/* What the witness tells of itself: JSON, Prometheus text, and the admin port that serves both. */
#include <event2/buffer.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/http.h"
#include "node/log.h"
#include "node/prom_text.h"
#include "node/version.h"
#include "ring/core/witness_table.h"
#include "witness/driver.h"

#define STATUS_BYTES 2048u

static uint32_t warming(const struct sgn_witness_counts *counts)
{
    return counts->partitions_listed - counts->partitions_active - counts->partitions_dropped;
}

char *sgn_witness_status_json(const struct sgn_witness_driver *driver, size_t *bytes)
{
    char listen[SGN_ADDRESS_TEXT_BYTES];
    struct sgn_witness_counts c;
    char *text = malloc(STATUS_BYTES);
    if (text == NULL) {
        return NULL;
    }
    sgn_witness_counts(driver->witness, &c);
    sgn_address_format(sgn_listener_address(driver->listener), listen);
    int count = snprintf(text,
                         STATUS_BYTES,
                         "{\"witness\":%u,\"id\":%u,\"incarnation\":%u,\"ring\":\"%s\","
                         "\"listen\":\"%s\",\"version\":\"%s\",\"map_version\":%u,"
                         "\"uptime_ms\":%llu,\"nodes\":%u,"
                         "\"partitions\":{\"listed\":%u,\"active\":%u,\"warming\":%u,"
                         "\"dropped\":%u},"
                         "\"marks\":{\"held\":%u,\"most\":%u,\"bytes_per_key\":%u},"
                         "\"served\":{\"marks\":%llu,\"checks\":%llu,\"settles\":%llu,"
                         "\"seeds\":%llu,\"stale\":%llu,\"overflows\":%llu}}\n",
                         driver->config->id,
                         driver->self.node,
                         driver->self.incarnation,
                         driver->config->ring,
                         listen,
                         SGN_NODE_VERSION,
                         c.version,
                         (unsigned long long)(sgn_witness_clock_ms() - driver->started_ms),
                         driver->nodes,
                         c.partitions_listed,
                         c.partitions_active,
                         warming(&c),
                         c.partitions_dropped,
                         c.entries,
                         c.entries_max,
                         SGN_WITNESS_KEY_BYTES,
                         (unsigned long long)c.marks,
                         (unsigned long long)c.checks,
                         (unsigned long long)c.settles,
                         (unsigned long long)c.seeds,
                         (unsigned long long)c.stale,
                         (unsigned long long)c.overflows);
    *bytes = (size_t)count;
    return text;
}

void sgn_witness_table_metrics_write(const struct sgn_witness_driver *driver, struct evbuffer *out)
{
    struct sgn_witness_counts c;
    sgn_witness_counts(driver->witness, &c);
    sgn_prom_gauge(
        out, "witness_partitions_listed", c.partitions_listed, "Partitions that list it.");
    sgn_prom_gauge(out,
                   "witness_partitions_active",
                   c.partitions_active,
                   "Partitions it makes statements about.");
    sgn_prom_gauge(out,
                   "witness_partitions_dropped",
                   c.partitions_dropped,
                   "Partitions dropped for want of room, until a later epoch.");
    sgn_prom_gauge(out, "witness_marks", c.entries, "Keys with a write that may be under way.");
    sgn_prom_gauge(out, "witness_marks_max", c.entries_max, "Keys there is room for.");
    sgn_prom_counter(out, "witness_marks_total", c.marks, "Marks taken.");
    sgn_prom_counter(out, "witness_checks_total", c.checks, "Checks answered with a statement.");
    sgn_prom_counter(out, "witness_settles_total", c.settles, "Settles taken.");
    sgn_prom_counter(out, "witness_seeds_total", c.seeds, "Unsettled sets of replicas added.");
    sgn_prom_counter(out, "witness_stale_total", c.stale, "Asks of another epoch.");
    sgn_prom_counter(out, "witness_overflows_total", c.overflows, "Times the table was full.");
}

void sgn_witness_metrics_write(const struct sgn_witness_driver *driver, struct evbuffer *out)
{
    struct sgn_witness_counts c;
    sgn_witness_counts(driver->witness, &c);
    const struct sgn_wire_counts *w = sgn_wire_counts(driver->wire);
    sgn_prom_head(out, "build_info", "gauge", "Constant 1.");
    (void)evbuffer_add_printf(out, "signet_build_info{version=\"%s\"} 1\n", SGN_NODE_VERSION);
    sgn_prom_gauge(out, "map_version", c.version, "Version of the map adopted; 0: none yet.");
    sgn_witness_table_metrics_write(driver, out);
    sgn_prom_counter(out, "requests_taken_total", driver->requests, "Requests, a batch being one.");
    sgn_prom_gauge(out, "nodes_connected", driver->nodes, "Connections of nodes.");
    sgn_prom_gauge(out, "clients", driver->clients, "Client connections.");
    sgn_prom_counter(out, "connections_refused_total", driver->refused, "Connections not taken.");
    sgn_prom_counter(out, "messages_received_total", w->messages_in, "Messages taken.");
    sgn_prom_counter(out, "messages_sent_total", w->messages_out, "Messages sent.");
    sgn_prom_counter(out, "received_bytes_total", w->bytes_in, "Bytes taken.");
    sgn_prom_counter(out, "sent_bytes_total", w->bytes_out, "Bytes sent.");
    sgn_prom_counter(out, "bad_input_total", w->bad_input, "Connections ended for what they sent.");
    sgn_prom_counter(
        out, "log_dropped_total", sgn_log_dropped(), "Log lines dropped by the rate limit.");
    sgn_prom_process(out);
    sgn_prom_head(out, "uptime_seconds", "gauge", "Since this process began.");
    (void)evbuffer_add_printf(out,
                              "signet_uptime_seconds %.3f\n",
                              (double)(sgn_witness_clock_ms() - driver->started_ms) / 1e3);
}

void sgn_witness_http(struct evhttp_request *request, const char *path, void *user)
{
    const struct sgn_witness_driver *driver = user;
    bool metrics = strcmp(path, "/metrics") == 0;
    if (strcmp(path, "/health/live") == 0 || strcmp(path, "/health/ready") == 0) {
        sgn_http_text(request, 200, "alive");
        return;
    }
    if (!metrics && strcmp(path, "/status") != 0) {
        sgn_http_text(request, 404, "there are /health/live /health/ready /metrics /status");
        return;
    }
    struct evbuffer *body = evbuffer_new();
    size_t bytes = 0;
    char *json = metrics ? NULL : sgn_witness_status_json(driver, &bytes);
    if (body == NULL || (!metrics && json == NULL)) {
        sgn_http_text(request, 503, "out of memory");
    } else if (metrics) {
        sgn_witness_metrics_write(driver, body);
        sgn_http_reply(request, 200, "text/plain; version=0.0.4; charset=utf-8", body);
    } else {
        (void)evbuffer_add(body, json, bytes);
        sgn_http_reply(request, 200, "application/json", body);
    }
    free(json);
    if (body != NULL) {
        evbuffer_free(body);
    }
}
