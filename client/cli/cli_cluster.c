/* client/cli/cli_cluster.c - bucket, locate, nodes. */
#include <string.h>

#include "client/cli/cli.h"

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
        (void)fprintf(stderr, "kv-cli: --kind takes ordered or available, not \"%s\"\n", kind);
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
        /* Who names r or w means the kind that has them. */
        bool ordered = kind == NULL ? copies[1] == 0 && copies[2] == 0 : kind[0] == 'o';
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
