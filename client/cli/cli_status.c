/* client/cli/cli_status.c - status: one word for the ring, why, and a row for each node and
 * witness. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"
#include "ring/core/map.h" /* SGN_WITNESS_BIT */

#define STATUS_TIMEOUT_MS 1000u /* For one node; a dead one must not hold up the picture. */

/* The number at object.first.second, 0 when it is not there. */
static double number_at(const json_t *object, const char *first, const char *second)
{
    const json_t *found = json_object_get(object, first);
    found = second == NULL ? found : json_object_get(found, second);
    return json_number_value(found);
}

static const char *text_at(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

static json_t *node_status(struct cli *cli, struct sgn_request *request, uint32_t id)
{
    sgn_request_status(request, id);
    cli_apply(cli, request);
    sgn_request_set_timeout(request, STATUS_TIMEOUT_MS);
    if (sgn_request_run(request) != SGN_OK) {
        return NULL;
    }
    struct sgn_bytes text = sgn_request_value(request);
    return json_loadb(text.ptr, text.count, 0, NULL);
}

/* --- witnesses -------------------------------------------------------------------------------- */

#define FLEET_MAX 64u

/* What the nodes say of one witness, all views taken together. */
struct fleet_row {
    uint32_t id, version, incarnation;
    uint32_t seen_by, up_by;   /* Nodes that know it; that reach it. */
    uint32_t warming, dropped; /* Partitions, in the view that has most. */
    char address[64];
    char why[160]; /* It is not up, by the first node that says so. */
};

enum fast_path { FAST_UNTOLD, FAST_ON, FAST_PARTLY, FAST_OFF }; /* The worst of all views counts. */

struct fleet {
    uint32_t count;
    uint32_t map_version;
    enum fast_path fast_path;
    uint32_t out, catching_up, fenced; /* Replicas of partitions; partitions. */
    double dirty, pending;             /* Keys, of all nodes. */
    struct fleet_row rows[FLEET_MAX];
    char waits[128];    /* Whom ordered writes wait for. */
    char path_why[256]; /* Why the fast path is not on, by the node it is worst for. */
    char reason[256];   /* Why it is not as it should be; "" if it is. */
};

static struct fleet_row *fleet_row(struct fleet *fleet, uint32_t id)
{
    for (uint32_t i = 0; i < fleet->count; i++) {
        if (fleet->rows[i].id == id) {
            return &fleet->rows[i];
        }
    }
    if (fleet->count == FLEET_MAX) {
        return NULL;
    }
    fleet->rows[fleet->count].id = id;
    return &fleet->rows[fleet->count++];
}

static uint32_t most(uint32_t a, double b)
{
    return b > a ? (uint32_t)b : a;
}

static void fleet_look(struct fleet *fleet, const json_t *view)
{
    static const char *const paths[] = {"", "on", "partly", "off"};
    size_t index = 0;
    const json_t *witness = NULL;
    fleet->map_version = most(fleet->map_version, number_at(view, "map_version", NULL));
    for (uint32_t i = FAST_ON; i <= FAST_OFF; i++) {
        if (strcmp(text_at(view, "fast_path"), paths[i]) == 0 && i > fleet->fast_path) {
            fleet->fast_path = (enum fast_path)i;
            (void)snprintf(
                fleet->path_why, sizeof(fleet->path_why), "%s", text_at(view, "fast_path_why"));
        }
    }
    fleet->out = most(fleet->out, number_at(view, "seats", "out"));
    fleet->catching_up = most(fleet->catching_up, number_at(view, "seats", "catching_up"));
    fleet->fenced = most(fleet->fenced, number_at(view, "partition_counts", "fenced"));
    if (fleet->waits[0] == '\0') {
        (void)snprintf(fleet->waits, sizeof(fleet->waits), "%s", text_at(view, "fences_wait_for"));
    }
    fleet->dirty += number_at(view, "ordered", "dirty");
    fleet->pending += number_at(view, "ordered", "pending");
    json_array_foreach(json_object_get(view, "witnesses"), index, witness)
    {
        uint32_t id = (uint32_t)number_at(witness, "id", NULL) & ~SGN_WITNESS_BIT;
        struct fleet_row *row = fleet_row(fleet, id);
        if (row == NULL) {
            return;
        }
        row->seen_by++;
        row->up_by += json_is_true(json_object_get(witness, "up"));
        row->incarnation = most(row->incarnation, number_at(witness, "incarnation", NULL));
        row->version = most(row->version, number_at(witness, "version", NULL));
        row->warming = most(row->warming, number_at(witness, "warming", NULL));
        row->dropped = most(row->dropped, number_at(witness, "dropped", NULL));
        (void)snprintf(row->address, sizeof(row->address), "%s", text_at(witness, "address"));
        if (row->why[0] == '\0') {
            (void)snprintf(row->why, sizeof(row->why), "%s", text_at(witness, "why"));
        }
    }
}

static const char *row_state(const struct fleet_row *row)
{
    return row->up_by == 0 ? "DOWN" : row->up_by < row->seen_by ? "UP ?" : "UP";
}

/* Nothing here ever makes an answer wrong: it is about how dear strong reads are, and whether
 * ordered writes wait. */
static void fleet_judge(struct fleet *fleet)
{
    uint32_t down = 0;
    uint32_t partly = 0;
    uint32_t dropped = 0;
    for (uint32_t i = 0; i < fleet->count; i++) {
        down += fleet->rows[i].up_by == 0;
        partly += fleet->rows[i].up_by > 0 && fleet->rows[i].up_by < fleet->rows[i].seen_by;
        dropped += fleet->rows[i].dropped;
    }
    char *text = fleet->reason;
    size_t cap = sizeof(fleet->reason);
    if (fleet->fenced > 0) {
        (void)snprintf(text,
                       cap,
                       "ordered writes to %u partitions wait for word of: %s (start them; if they "
                       "never come back, ring force-fence)",
                       fleet->fenced,
                       fleet->waits);
    } else if (down > 0 && down == fleet->count) {
        (void)snprintf(text, cap, "no witness is up: strong reads ask a quorum, slower");
    } else if (down > 0) {
        (void)snprintf(text, cap, "%u of %u witnesses are down", down, fleet->count);
    } else if (dropped > 0) {
        (void)snprintf(text,
                       cap,
                       "witnesses are at their memory limit in %u partitions: strong reads there "
                       "ask a quorum, slower",
                       dropped);
    } else if (partly > 0) {
        (void)snprintf(text, cap, "%u witnesses are not reached by every node", partly);
    }
}

static const char *fast_word(const struct fleet *fleet)
{
    static const char *const words[] = {"off", "on", "partly", "off"};
    return words[fleet->fast_path];
}

static void fleet_print(const struct fleet *fleet)
{
    if (fleet->count > 0) { /* A ring without witnesses has nothing to say of them. */
        (void)printf(
            "%-5s %7s  %-22s %8s %8s %8s\n", "", "witness", "address", "warming", "dropped", "map");
    }
    for (uint32_t i = 0; i < fleet->count; i++) {
        const struct fleet_row *row = &fleet->rows[i];
        (void)printf("%-5s %7u  %-22s %8u %8u %8u%s%s\n",
                     row_state(row),
                     row->id,
                     row->address,
                     row->warming,
                     row->dropped,
                     row->version,
                     row->why[0] != '\0' ? "  " : "",
                     row->why);
    }
    if (fleet->count > 0) {
        (void)printf("map version %u, fast strong reads: %s%s%s\n",
                     fleet->map_version,
                     fast_word(fleet),
                     fleet->path_why[0] != '\0' ? ": " : "",
                     fleet->path_why);
    }
    if (fleet->out + fleet->catching_up + fleet->fenced > 0) {
        (void)printf(
            "replicas of partitions: %u out, %u catching up", fleet->out, fleet->catching_up);
        if (fleet->fenced > 0) {
            (void)printf("; ordered writes to %u partitions wait for word of: %s",
                         fleet->fenced,
                         fleet->waits);
        }
        (void)putchar('\n');
    }
    if (fleet->dirty > 0) {
        (void)printf("ordered keys under way: %.0f, of them %.0f not known committed\n",
                     fleet->dirty,
                     fleet->pending);
    }
}

static void fleet_json(const struct fleet *fleet)
{
    (void)printf(",\"map_version\":%u,\"fast_path\":\"%s\",\"witnesses\":[",
                 fleet->map_version,
                 fast_word(fleet));
    for (uint32_t i = 0; i < fleet->count; i++) {
        const struct fleet_row *row = &fleet->rows[i];
        (void)printf("%s{\"id\":%u,\"address\":", i > 0 ? "," : "", row->id);
        cli_json_string(stdout, sgn_text(row->address));
        (void)printf(",\"up\":%s,\"up_by\":%u,\"seen_by\":%u,\"incarnation\":%u,\"version\":%u,"
                     "\"warming\":%u,\"dropped\":%u}",
                     row->up_by > 0 ? "true" : "false",
                     row->up_by,
                     row->seen_by,
                     row->incarnation,
                     row->version,
                     row->warming,
                     row->dropped);
    }
    (void)fputs("],\"fast_path_why\":", stdout);
    cli_json_string(stdout, sgn_text(fleet->path_why));
    (void)printf(",\"out\":%u,\"catching_up\":%u,\"fenced\":%u,\"dirty\":%.0f,"
                 "\"pending\":%.0f",
                 fleet->out,
                 fleet->catching_up,
                 fleet->fenced,
                 fleet->dirty,
                 fleet->pending);
}

/* --- nodes ------------------------------------------------------------------------------------ */

static void print_node(const struct cli *cli, const struct sgn_node_info *node, const json_t *view)
{
    if (cli->format == CLI_JSON) {
        return;
    }
    if (view == NULL) {
        (void)printf("DOWN  %4u  %-22s\n", node->id, node->address);
        return;
    }
    (void)printf("%-5s %4u  %-22s %8.0f %10s %8.0f %9.0f %9.0f\n",
                 strcmp(text_at(view, "verdict"), "healthy") == 0 ? "UP" : "UP !",
                 node->id,
                 node->address,
                 number_at(view, "store", "keys_estimate"),
                 cli_size((uint64_t)number_at(view, "store", "disk_bytes")),
                 number_at(view, "engine", "hints_held"),
                 number_at(view, "engine", "divergent_partitions"),
                 number_at(view, "uptime_ms", NULL) / 1000);
}

struct verdict {
    uint32_t nodes, down, troubled;
    double hints, divergent;
    char reason[256];
    char down_ids[128];
    struct fleet fleet;
};

static void judge(struct verdict *verdict, const struct sgn_node_info *node, const json_t *view)
{
    verdict->nodes++;
    if (view == NULL) {
        size_t used = strlen(verdict->down_ids);
        (void)snprintf(verdict->down_ids + used,
                       sizeof(verdict->down_ids) - used,
                       "%s%u",
                       verdict->down++ == 0 ? "" : ", ",
                       node->id);
        return;
    }
    verdict->hints += number_at(view, "engine", "hints_held");
    verdict->divergent += number_at(view, "engine", "divergent_partitions");
    fleet_look(&verdict->fleet, view);
    const char *word = text_at(view, "verdict");
    if (word[0] != '\0' && strcmp(word, "healthy") != 0 && verdict->troubled++ == 0) {
        (void)snprintf(verdict->reason,
                       sizeof(verdict->reason),
                       "node %u: %s",
                       node->id,
                       text_at(view, "reason"));
    }
}

static const char *verdict_word(const struct verdict *verdict, const struct sgn_ring_info *ring)
{
    if (verdict->down >= ring->replica_count / 2 + 1) {
        return "majority down";
    }
    return verdict->down > 0 || verdict->troubled > 0 || verdict->fleet.reason[0] != '\0'
               ? "degraded"
               : "healthy";
}

static void print_verdict(const struct cli *cli,
                          const struct verdict *verdict,
                          const struct sgn_ring_info *ring)
{
    const char *word = verdict_word(verdict, ring);
    if (cli->format == CLI_JSON) {
        (void)fputs("]", stdout);
        fleet_json(&verdict->fleet);
        (void)printf(
            ",\"verdict\":\"%s\",\"down\":%u,\"hints\":%.0f,\"divergent_partitions\":%.0f}\n",
            word,
            verdict->down,
            verdict->hints,
            verdict->divergent);
        return;
    }
    (void)printf("%s: %u of %u nodes up", word, verdict->nodes - verdict->down, verdict->nodes);
    if (verdict->down > 0) {
        (void)printf("; node %s does not answer: start it again, what it missed is kept for it",
                     verdict->down_ids);
        if (verdict->fleet.fenced > 0) {
            (void)printf("; %s", verdict->fleet.reason);
        }
    } else if (verdict->reason[0] != '\0') {
        (void)printf("; %s", verdict->reason);
    } else if (verdict->fleet.reason[0] != '\0') {
        (void)printf("; %s", verdict->fleet.reason);
    }
    (void)printf("\n%.0f hints waiting to be handed over, %.0f partitions seen to differ\n",
                 verdict->hints,
                 verdict->divergent);
}

static int status_of_one(struct cli *cli, struct sgn_request *request, const char *word)
{
    char *end = NULL;
    unsigned long id = strtoul(word, &end, 10);
    if (*end != '\0' || id == 0 || id > UINT32_MAX) {
        (void)fprintf(stderr, "kv-cli: status takes a node's number, not \"%s\"\n", word);
        return CLI_USAGE;
    }
    sgn_request_status(request, (uint32_t)id);
    cli_apply(cli, request);
    if (sgn_request_run(request) != SGN_OK) {
        return cli_request_failed(cli, request);
    }
    struct sgn_bytes text = sgn_request_value(request);
    json_t *view = json_loadb(text.ptr, text.count, 0, NULL);
    char *pretty = view == NULL ? NULL : json_dumps(view, JSON_INDENT(2));
    (void)printf("%s\n", pretty == NULL ? "" : pretty);
    free(pretty);
    json_decref(view);
    return CLI_DONE;
}

static int status_of_all(struct cli *cli, struct sgn_request *request)
{
    struct sgn_ring_info ring = {.struct_bytes = sizeof(ring)};
    sgn_request_ring(request);
    cli_apply(cli, request);
    if (sgn_request_run(request) != SGN_OK || sgn_request_ring_info(request, &ring) != SGN_OK) {
        return cli_request_failed(cli, request);
    }
    struct sgn_node_info *nodes = calloc(ring.node_count, sizeof(nodes[0]));
    if (nodes == NULL) {
        cli_error(cli, SGN_ERR_NOMEM, "%s", sgn_err_text(SGN_ERR_NOMEM));
        return CLI_FAILED;
    }
    for (uint32_t i = 0; i < ring.node_count; i++) {
        nodes[i].struct_bytes = sizeof(nodes[i]);
        (void)sgn_request_node(request, i, &nodes[i]);
    }
    struct verdict verdict = {0};
    if (cli->format == CLI_JSON) {
        (void)printf(
            "{\"schema\":1,\"ring\":\"%s\",\"epoch\":%u,\"nodes\":[", ring.name, ring.epoch);
    } else {
        (void)printf("ring %s, epoch %u, %u partitions, %u copies\n",
                     ring.name,
                     ring.epoch,
                     ring.partition_count,
                     ring.replica_count);
        (void)printf("%-5s %4s  %-22s %8s %10s %8s %9s %9s\n",
                     "",
                     "node",
                     "address",
                     "keys",
                     "disk",
                     "hints",
                     "differing",
                     "up s");
    }
    for (uint32_t i = 0; i < ring.node_count; i++) {
        json_t *view = node_status(cli, request, nodes[i].id);
        print_node(cli, &nodes[i], view);
        if (cli->format == CLI_JSON) {
            char *text = view == NULL ? NULL : json_dumps(view, JSON_COMPACT);
            (void)printf("%s", i > 0 ? "," : "");
            if (text == NULL) {
                (void)printf("{\"node\":%u,\"address\":\"%s\",\"verdict\":\"down\"}",
                             nodes[i].id,
                             nodes[i].address);
            } else {
                (void)fputs(text, stdout);
            }
            free(text);
        }
        judge(&verdict, &nodes[i], view);
        json_decref(view);
    }
    fleet_judge(&verdict.fleet);
    if (cli->format != CLI_JSON) {
        fleet_print(&verdict.fleet);
    }
    print_verdict(cli, &verdict, &ring);
    free(nodes);
    return CLI_DONE;
}

int cli_status(struct cli *cli, const struct cli_call *call)
{
    struct sgn_request *request = cli_connect(cli) ? cli_request(cli) : NULL;
    if (request == NULL) {
        return CLI_FAILED;
    }
    int status = call->arg_count == 1 ? status_of_one(cli, request, call->args[0])
                                      : status_of_all(cli, request);
    sgn_request_destroy(request);
    return status;
}
