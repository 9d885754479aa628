/* client/cli/cli_cluster.c - bucket, locate, nodes, status. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"

#define STATUS_TIMEOUT_MS 1000u /* For one node; a dead one must not hold up the picture. */

static struct sgn_request *begin(struct cli *cli)
{
    return cli_connect(cli) ? cli_request(cli) : NULL;
}

static int bucket_list(struct cli *cli, struct sgn_request *request)
{
    sgn_request_bucket_list(request);
    cli_apply(cli, request);
    if (sgn_request_run(request) != SGN_OK) {
        return cli_request_failed(cli, request);
    }
    if (cli->format == CLI_TABLE) {
        (void)printf("%-32s %-10s %2s %2s %2s\n", "bucket", "kind", "n", "r", "w");
    }
    for (uint32_t i = 0; i < sgn_request_bucket_count(request); i++) {
        struct sgn_bucket_info info = {.struct_bytes = sizeof(info)};
        (void)sgn_request_bucket_info(request, i, &info);
        const char *kind = info.kind == SGN_BUCKET_ORDERED ? "ordered" : "available";
        if (cli->format == CLI_JSON) {
            (void)printf("{\"bucket\":\"%s\",\"kind\":\"%s\",\"n\":%u,\"r\":%u,\"w\":%u}\n",
                         info.name,
                         kind,
                         info.n,
                         info.r,
                         info.w);
        } else {
            (void)printf("%-32s %-10s %2u %2u %2u\n", info.name, kind, info.n, info.r, info.w);
        }
    }
    return CLI_DONE;
}

int cli_bucket(struct cli *cli, const struct cli_call *call)
{
    const char *verb = call->args[0];
    const char *kind = cli_flag(call, "--kind");
    uint32_t copies[3] = {0, 0, 0};
    if (!cli_flag_number(call, "--n", 1, 7, &copies[0]) ||
        !cli_flag_number(call, "--r", 1, 7, &copies[1]) ||
        !cli_flag_number(call, "--w", 1, 7, &copies[2])) {
        return CLI_USAGE;
    }
    bool create = strcmp(verb, "create") == 0;
    bool list = strcmp(verb, "list") == 0;
    if ((!create && !list && strcmp(verb, "delete") != 0) || (list ? 1u : 2u) != call->arg_count) {
        (void)fprintf(stderr, "kv-cli: use: kv-cli bucket create NAME | list | delete NAME\n");
        return CLI_USAGE;
    }
    if (kind != NULL && strcmp(kind, "available") != 0 && strcmp(kind, "ordered") != 0) {
        (void)fprintf(stderr, "kv-cli: --kind takes available or ordered, not \"%s\"\n", kind);
        return CLI_USAGE;
    }
    struct sgn_request *request = begin(cli);
    if (request == NULL) {
        return CLI_FAILED;
    }
    int status = CLI_DONE;
    if (list) {
        status = bucket_list(cli, request);
    } else {
        bool ordered = kind != NULL && kind[0] == 'o';
        if (create) {
            sgn_request_bucket_create(request,
                                      sgn_text(call->args[1]),
                                      ordered ? SGN_BUCKET_ORDERED : SGN_BUCKET_AVAILABLE,
                                      copies[0],
                                      copies[1],
                                      copies[2]);
        } else {
            sgn_request_bucket_delete(request, sgn_text(call->args[1]));
        }
        cli_apply(cli, request);
        status = sgn_request_run(request) == SGN_OK ? CLI_DONE : cli_request_failed(cli, request);
        if (status == CLI_DONE && cli->format == CLI_JSON) {
            (void)printf("{\"schema\":1,\"bucket\":\"%s\",\"%s\":true}\n",
                         call->args[1],
                         create ? "created" : "deleted");
        }
    }
    sgn_request_destroy(request);
    return status;
}

int cli_locate(struct cli *cli, const struct cli_call *call)
{
    struct sgn_request *request = begin(cli);
    int status = request == NULL ? CLI_FAILED : CLI_DONE;
    for (uint32_t i = 0; i < call->arg_count && status == CLI_DONE; i++) {
        struct sgn_bytes bucket;
        struct sgn_bytes key;
        struct sgn_location at = {.struct_bytes = sizeof(at)};
        cli_split_key(call->args[i], &bucket, &key);
        sgn_request_locate(request, bucket, key);
        cli_apply(cli, request);
        if (sgn_request_run(request) != SGN_OK || sgn_request_location(request, &at) != SGN_OK) {
            status = cli_request_failed(cli, request);
            break;
        }
        if (cli->format == CLI_JSON) {
            (void)putchar('{');
            cli_json_bytes(stdout, "key", sgn_text(call->args[i]));
            (void)printf(",\"hash\":\"%016llx\",\"partition\":%u,\"homes\":[",
                         (unsigned long long)at.hash,
                         at.partition);
        } else {
            (void)printf("%s  hash %016llx  partition %u  homes",
                         call->args[i],
                         (unsigned long long)at.hash,
                         at.partition);
        }
        for (uint32_t h = 0; h < at.home_count; h++) {
            (void)printf(cli->format == CLI_JSON ? "%s%u" : "%s %u",
                         h > 0 && cli->format == CLI_JSON ? "," : "",
                         at.homes[h]);
        }
        (void)fputs(cli->format == CLI_JSON ? "]}\n" : "\n", stdout);
    }
    sgn_request_destroy(request);
    return status;
}

int cli_nodes(struct cli *cli, const struct cli_call *call)
{
    (void)call;
    struct sgn_request *request = begin(cli);
    if (request == NULL) {
        return CLI_FAILED;
    }
    struct sgn_ring_info ring = {.struct_bytes = sizeof(ring)};
    sgn_request_ring(request);
    cli_apply(cli, request);
    if (sgn_request_run(request) != SGN_OK || sgn_request_ring_info(request, &ring) != SGN_OK) {
        int status = cli_request_failed(cli, request);
        sgn_request_destroy(request);
        return status;
    }
    if (cli->format == CLI_TABLE) {
        (void)printf("%4s  %-24s %6s %4s %7s %6s %6s\n",
                     "node",
                     "address",
                     "weight",
                     "zone",
                     "share",
                     "slots",
                     "first");
    }
    double slots = (double)ring.partition_count * ring.replica_count;
    for (uint32_t i = 0; i < ring.node_count; i++) {
        struct sgn_node_info node = {.struct_bytes = sizeof(node)};
        (void)sgn_request_node(request, i, &node);
        (void)printf(cli->format == CLI_JSON
                         ? "{\"node\":%u,\"address\":\"%s\",\"weight\":%u,\"zone\":%u,"
                           "\"share\":%.4f,\"slots\":%u,\"first\":%u}\n"
                         : "%4u  %-24s %6u %4u %7.4f %6u %6u\n",
                     node.id,
                     node.address,
                     node.weight,
                     node.zone,
                     (double)node.slots / slots,
                     node.slots,
                     node.first);
    }
    sgn_request_destroy(request);
    return CLI_DONE;
}

/* --- status ----------------------------------------------------------------------------------- */

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
    return verdict->down > 0 || verdict->troubled > 0 ? "degraded" : "healthy";
}

static void print_verdict(const struct cli *cli,
                          const struct verdict *verdict,
                          const struct sgn_ring_info *ring)
{
    const char *word = verdict_word(verdict, ring);
    if (cli->format == CLI_JSON) {
        (void)printf(
            "],\"verdict\":\"%s\",\"down\":%u,\"hints\":%.0f,\"divergent_partitions\":%.0f}\n",
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
    } else if (verdict->reason[0] != '\0') {
        (void)printf("; %s", verdict->reason);
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
    print_verdict(cli, &verdict, &ring);
    free(nodes);
    return CLI_DONE;
}

int cli_status(struct cli *cli, const struct cli_call *call)
{
    struct sgn_request *request = begin(cli);
    if (request == NULL) {
        return CLI_FAILED;
    }
    int status = call->arg_count == 1 ? status_of_one(cli, request, call->args[0])
                                      : status_of_all(cli, request);
    sgn_request_destroy(request);
    return status;
}
