/* client/cli/cli_ring.c - the ring's shape, and the plan of a change before it is made. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"
#include "ring/core/placement.h"

#define PLAN_TEXT_BYTES (256u << 10)

static int print_shape(struct cli *cli,
                       const struct sgn_request *request,
                       const struct sgn_ring_info *info,
                       bool with_map)
{
    if (cli->format == CLI_JSON) {
        (void)printf("{\"schema\":1,\"name\":\"%s\",\"epoch\":%u,\"partitions\":%u,\"replicas\":%u,"
                     "\"nodes\":%u}\n",
                     info->name,
                     info->epoch,
                     info->partition_count,
                     info->replica_count,
                     info->node_count);
    } else {
        (void)printf("ring %s: epoch %u, %u partitions, %u replicas, %u nodes\n",
                     info->name,
                     info->epoch,
                     info->partition_count,
                     info->replica_count,
                     info->node_count);
    }
    for (uint32_t p = 0; with_map && p < info->partition_count; p++) {
        uint32_t homes[8];
        uint32_t count = sgn_request_homes(request, p, homes, 8);
        (void)printf(cli->format == CLI_JSON ? "{\"partition\":%u,\"homes\":[" : "%5u ", p);
        for (uint32_t i = 0; i < count; i++) {
            (void)printf(cli->format == CLI_JSON ? "%s%u" : "%s %u",
                         i > 0 && cli->format == CLI_JSON ? "," : "",
                         homes[i]);
        }
        (void)fputs(cli->format == CLI_JSON ? "]}\n" : "\n", stdout);
    }
    return CLI_DONE;
}

static bool solve(struct sgn_ring *ring, const struct sgn_ring *previous)
{
    size_t bytes = sgn_placement_scratch_bytes(ring->partition_count,
                                               ring->member_count +
                                                   (previous == NULL ? 0 : previous->member_count));
    void *scratch = malloc(bytes);
    ring->table = malloc(sizeof(uint16_t) * ring->partition_count * ring->replica_count);
    bool good = scratch != NULL && ring->table != NULL &&
                sgn_placement_solve(ring, previous, scratch, bytes) == SGN_OK;
    free(scratch);
    return good;
}

static void ring_of(const struct sgn_request *request,
                    const struct sgn_ring_info *info,
                    struct sgn_ring *ring)
{
    (void)snprintf(ring->name, sizeof(ring->name), "%s", info->name);
    ring->epoch = info->epoch;
    ring->partition_count = info->partition_count;
    ring->replica_count = info->replica_count;
    ring->member_count = info->node_count;
    for (uint32_t i = 0; i < info->node_count; i++) {
        struct sgn_node_info node = {.struct_bytes = sizeof(node)};
        (void)sgn_request_node(request, i, &node);
        ring->members[i] =
            (struct sgn_member){.id = node.id, .weight = node.weight, .zone = node.zone};
        (void)snprintf(
            ring->members[i].address, sizeof(ring->members[i].address), "%s", node.address);
    }
}

/* Takes decimal digits off the front. False when there are none or they say too much. */
static bool take_number(const char **text, uint32_t *number)
{
    if (!isdigit((unsigned char)**text)) {
        return false;
    }
    char *end = NULL;
    errno = 0;
    unsigned long value = strtoul(*text, &end, 10);
    if (errno != 0 || value > UINT32_MAX) {
        return false;
    }
    *number = (uint32_t)value;
    *text = end;
    return true;
}

/* Puts a member in its place, or gives the one of that id a new weight and zone. */
static bool add_member(struct sgn_ring *ring, const char *text)
{
    struct sgn_member member = {0};
    const char *at_text = text;
    bool good = take_number(&at_text, &member.id) && *at_text++ == ':' &&
                take_number(&at_text, &member.weight);
    if (good && *at_text == ':') {
        at_text++;
        good = take_number(&at_text, &member.zone);
    }
    if (!good || *at_text != '\0' || member.id == 0 || member.weight == 0 ||
        member.weight > SGN_WEIGHT_MAX || member.zone >= SGN_ZONES_MAX) {
        (void)fprintf(
            stderr,
            "kv-cli: --add takes ID:WEIGHT[:ZONE], weight 1..%u, zone 0..%u, not \"%s\"\n",
            SGN_WEIGHT_MAX,
            SGN_ZONES_MAX - 1,
            text);
        return false;
    }
    uint32_t at = 0;
    while (at < ring->member_count && ring->members[at].id < member.id) {
        at++;
    }
    if (at == ring->member_count || ring->members[at].id != member.id) {
        if (ring->member_count == SGN_NODES_MAX) {
            (void)fprintf(stderr, "kv-cli: a ring has at most %u nodes\n", SGN_NODES_MAX);
            return false;
        }
        memmove(&ring->members[at + 1],
                &ring->members[at],
                (ring->member_count - at) * sizeof(ring->members[0]));
        ring->member_count++;
        (void)snprintf(member.address, sizeof(member.address), "127.0.0.1:1");
    } else {
        memcpy(member.address, ring->members[at].address, sizeof(member.address));
    }
    ring->members[at] = member;
    return true;
}

static bool remove_member(struct sgn_ring *ring, const char *text)
{
    char *end = NULL;
    unsigned long id = strtoul(text, &end, 10);
    int at = *end == '\0' && id <= UINT32_MAX ? sgn_ring_find(ring, (uint32_t)id) : -1;
    if (at < 0) {
        (void)fprintf(stderr, "kv-cli: --remove: \"%s\" is no member of the ring\n", text);
        return false;
    }
    ring->member_count--;
    memmove(&ring->members[at],
            &ring->members[at + 1],
            (ring->member_count - (uint32_t)at) * sizeof(ring->members[0]));
    return true;
}

static bool change(struct sgn_ring *ring,
                   const char *list,
                   bool (*one)(struct sgn_ring *, const char *))
{
    char copy[4096];
    char *rest = NULL;
    if (list == NULL) {
        return true;
    }
    (void)snprintf(copy, sizeof(copy), "%s", list);
    for (char *word = strtok_r(copy, ",", &rest); word != NULL; word = strtok_r(NULL, ",", &rest)) {
        if (!one(ring, word)) {
            return false;
        }
    }
    return true;
}

static void print_plan_json(const struct sgn_plan *plan, uint64_t bytes_per_slot)
{
    (void)printf("{\"schema\":1,\"slots_moved\":%u,\"slots_minimum\":%u,\"bytes_per_slot\":%llu,"
                 "\"pairs_risky\":%u,\"pairs\":%u,\"zones_short\":%u,\"weights_limited\":%s,"
                 "\"shares\":[",
                 plan->slots_moved,
                 plan->slots_minimum,
                 (unsigned long long)bytes_per_slot,
                 plan->pairs_risky,
                 plan->pairs_total,
                 plan->zones_short,
                 plan->weights_limited ? "true" : "false");
    for (uint32_t i = 0; i < plan->share_count; i++) {
        const struct sgn_plan_share *share = &plan->shares[i];
        (void)printf("%s{\"node\":%u,\"slots\":%u,\"slots_before\":%u,\"first\":%u,\"wanted\":%.3f,"
                     "\"possible\":%.3f}",
                     i > 0 ? "," : "",
                     share->node_id,
                     share->slots,
                     share->slots_before,
                     share->first,
                     share->wanted,
                     share->possible);
    }
    (void)fputs("]}\n", stdout);
}

static int print_plan(const struct cli *cli,
                      struct sgn_ring *next,
                      const struct sgn_ring *now,
                      uint64_t bytes_per_slot)
{
    size_t bytes =
        sgn_placement_scratch_bytes(now->partition_count, now->member_count + next->member_count);
    struct sgn_plan *plan = malloc(sizeof(*plan));
    void *scratch = malloc(bytes);
    char *text = malloc(PLAN_TEXT_BYTES);
    int status = CLI_FAILED;
    if (plan != NULL && scratch != NULL && text != NULL &&
        sgn_placement_plan(next, now, plan, scratch, bytes) == SGN_OK) {
        struct sgn_sink sink = sgn_sink_of(text, PLAN_TEXT_BYTES);
        if (cli->format == CLI_JSON) {
            print_plan_json(plan, bytes_per_slot);
        } else {
            sgn_plan_print(plan, next, bytes_per_slot, &sink);
            (void)fwrite(sink.ptr, 1, sink.count, stdout);
        }
        status = CLI_DONE;
    }
    free(text);
    free(scratch);
    free(plan);
    return status;
}

/* Mean bytes of one partition copy, from what the nodes say of their disks; 0 when none answers. */
static uint64_t measure_slot(struct cli *cli,
                             struct sgn_request *request,
                             const struct sgn_ring *ring)
{
    uint64_t bytes = 0;
    uint32_t answered = 0;
    for (uint32_t i = 0; i < ring->member_count; i++) {
        sgn_request_status(request, ring->members[i].id);
        cli_apply(cli, request);
        sgn_request_set_timeout(request, 1000);
        if (sgn_request_run(request) != SGN_OK) {
            continue;
        }
        struct sgn_bytes json = sgn_request_value(request);
        const char *name = "\"disk_bytes\":";
        const char *at = memmem(json.ptr, json.count, name, strlen(name));
        if (at != NULL) {
            bytes += strtoull(at + strlen(name), NULL, 10); /* JSON ends in '}', so it stops. */
            answered++;
        }
    }
    uint64_t slots = (uint64_t)ring->partition_count * ring->replica_count;
    return answered == ring->member_count ? bytes / slots : 0;
}

static int plan_change(struct cli *cli,
                       const struct cli_call *call,
                       struct sgn_request *request,
                       const struct sgn_ring_info *info)
{
    struct sgn_ring *now = calloc(2, sizeof(*now));
    if (now == NULL) {
        cli_error(cli, SGN_ERR_NOMEM, "%s", sgn_err_text(SGN_ERR_NOMEM));
        return CLI_FAILED;
    }
    struct sgn_ring *next = now + 1;
    ring_of(request, info, now);
    *next = *now;
    next->epoch++;
    int status = CLI_USAGE;
    if (change(next, cli_flag(call, "--add"), add_member) &&
        change(next, cli_flag(call, "--remove"), remove_member)) {
        if (!solve(now, NULL) || !solve(next, now)) {
            cli_error(cli,
                      SGN_ERR_INVALID,
                      "no placement: %u members cannot hold %u replicas",
                      next->member_count,
                      next->replica_count);
        } else {
            status = print_plan(cli, next, now, measure_slot(cli, request, now));
        }
    }
    free(now->table);
    free(next->table == now->table ? NULL : next->table);
    free(now);
    return status;
}

int cli_ring(struct cli *cli, const struct cli_call *call)
{
    bool plan = call->arg_count == 1 && strcmp(call->args[0], "plan") == 0;
    if (call->arg_count > 0 && !plan) {
        return cli_map(cli, call);
    }
    struct sgn_request *request = cli_connect(cli) ? cli_request(cli) : NULL;
    if (request == NULL) {
        return CLI_FAILED;
    }
    struct sgn_ring_info info = {.struct_bytes = sizeof(info)};
    sgn_request_ring(request);
    cli_apply(cli, request);
    int status = CLI_DONE;
    if (sgn_request_run(request) != SGN_OK || sgn_request_ring_info(request, &info) != SGN_OK) {
        status = cli_request_failed(cli, request);
    } else if (plan) {
        status = plan_change(cli, call, request, &info);
    } else {
        status = print_shape(cli, request, &info, cli_flag(call, "--map") != NULL);
    }
    sgn_request_destroy(request);
    return status;
}
