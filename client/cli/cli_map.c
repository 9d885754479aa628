/* client/cli/cli_map.c - ring show, ring witness, ring group-size, ring force-fence: the map that
 * the nodes agree on, and its changes. */
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"

static const char *state_word(const struct sgn_replica_info *replica)
{
    return replica->state == SGN_REPLICA_IN_SYNC       ? "in_sync"
           : replica->state == SGN_REPLICA_CATCHING_UP ? "catching_up"
                                                       : "out";
}

#define SHOWN_MAX 20u /* Partitions told of one by one, unless all are asked for. */

/* Sums over all partitions. */
struct census {
    uint32_t moving, lost, fenced, catching_up, out, without_group, small_group;
};

static void count_partition(struct census *census,
                            const struct sgn_partition_info *line,
                            uint32_t group_size)
{
    bool catches_up = false;
    bool is_out = false;
    bool is_lost = false;
    for (uint32_t i = 0; i < line->replica_count; i++) {
        catches_up |= line->replicas[i].state == SGN_REPLICA_CATCHING_UP;
        is_out |= line->replicas[i].state == SGN_REPLICA_OUT;
        is_lost |= line->replicas[i].is_lost != 0;
    }
    census->moving += line->is_moving != 0;
    census->lost += is_lost;
    census->fenced += line->fence_count > 0;
    census->catching_up += catches_up;
    census->out += is_out;
    census->without_group += line->group_count == 0;
    census->small_group += line->group_count > 0 && line->group_count < group_size;
}

static void partition_json(uint32_t p, const struct sgn_partition_info *line)
{
    (void)printf("{\"partition\":%u,\"epoch\":%u,\"moving\":%s,\"fences\":%u,\"replicas\":[",
                 p,
                 line->epoch,
                 line->is_moving ? "true" : "false",
                 line->fence_count);
    for (uint32_t i = 0; i < line->replica_count; i++) {
        const struct sgn_replica_info *replica = &line->replicas[i];
        (void)printf("%s{\"node\":%u,\"state\":\"%s\",\"new\":%s,\"old\":%s,\"lost\":%s}",
                     i > 0 ? "," : "",
                     replica->node,
                     state_word(replica),
                     replica->is_new ? "true" : "false",
                     replica->is_old ? "true" : "false",
                     replica->is_lost ? "true" : "false");
    }
    (void)fputs("],\"witnesses\":[", stdout);
    for (uint32_t i = 0; i < line->group_count; i++) {
        (void)printf("%s%u", i > 0 ? "," : "", line->group[i]);
    }
    (void)fputs("]}\n", stdout);
}

static void partition_text(uint32_t p, const struct sgn_partition_info *line)
{
    (void)printf("%5u  epoch %u  nodes", p, line->epoch);
    for (uint32_t i = 0; i < line->replica_count; i++) {
        const struct sgn_replica_info *replica = &line->replicas[i];
        (void)printf(" %u", replica->node);
        if (replica->state != SGN_REPLICA_IN_SYNC) {
            (void)printf("(%s)", state_word(replica));
        }
        if (line->is_moving) {
            (void)fputs(replica->is_lost   ? "!"
                        : !replica->is_old ? "+"
                        : !replica->is_new ? "-"
                                           : "",
                        stdout);
        }
    }
    (void)fputs("  witnesses", stdout);
    for (uint32_t i = 0; i < line->group_count; i++) {
        (void)printf(" %u", line->group[i]);
    }
    (void)fputs(line->group_count == 0 ? " none" : "", stdout);
    (void)printf(line->fence_count > 0 ? "  %u fences\n" : "\n", line->fence_count);
}

static void print_witness(const struct cli *cli, const struct sgn_witness_info *witness)
{
    if (cli->format == CLI_JSON) {
        (void)printf("{\"witness\":%u,\"address\":", witness->id);
        cli_json_string(stdout, sgn_text(witness->address));
        (void)printf(",\"node\":%u,\"incarnation\":%u,\"partitions\":%u,\"leaving\":%s}\n",
                     witness->node,
                     witness->incarnation,
                     witness->groups,
                     witness->is_leaving ? "true" : "false");
        return;
    }
    char inside[32] = "";
    if (witness->node != 0) {
        (void)snprintf(inside, sizeof(inside), "  inside node %u", witness->node);
    }
    (void)printf("witness %u  %-22s  %5u partitions%s%s%s\n",
                 witness->id,
                 witness->address,
                 witness->groups,
                 inside,
                 witness->incarnation == 0 ? "  not heard of yet" : "",
                 witness->is_leaving ? "  leaving" : "");
}

static void print_witnesses(const struct cli *cli,
                            const struct sgn_request *request,
                            const struct sgn_map_info *map)
{
    for (uint32_t i = 0; i < map->witness_count; i++) {
        struct sgn_witness_info witness = {.struct_bytes = sizeof(witness)};
        (void)sgn_request_witness(request, i, &witness);
        print_witness(cli, &witness);
    }
}

static void print_census(const struct cli *cli,
                         const struct sgn_map_info *map,
                         const struct census *census)
{
    (void)printf(cli->format == CLI_JSON
                     ? "{\"schema\":1,\"map_version\":%u,\"partitions\":%u,\"group_size\":%u,"
                       "\"witnesses\":%u,\"without_group\":%u,\"small_group\":%u,\"moving\":%u,"
                       "\"lost\":%u,\"catching_up\":%u,\"out\":%u,\"fenced\":%u}\n"
                     : "map version %u: %u partitions, groups of %u wanted, %u witnesses\n"
                       "partitions: %u without a group, %u with a smaller one, %u moving, "
                       "%u mending a lost disk, %u with a replica catching up, %u with one out, %u "
                       "with fences\n",
                 map->version,
                 map->partition_count,
                 map->group_size,
                 map->witness_count,
                 census->without_group,
                 census->small_group,
                 census->moving,
                 census->lost,
                 census->catching_up,
                 census->out,
                 census->fenced);
}

/* Members of a whole group, with the fleet there is. */
static uint32_t whole_group(const struct sgn_map_info *map)
{
    if (map->witness_count >= map->group_size) {
        return map->group_size;
    }
    return map->witness_count >= 3 ? 3 : map->witness_count > 0 ? 1 : 0;
}

static bool is_plain(const struct sgn_map_info *map, const struct sgn_partition_info *line)
{
    for (uint32_t i = 0; i < line->replica_count; i++) {
        if (line->replicas[i].state != SGN_REPLICA_IN_SYNC) {
            return false;
        }
    }
    return !line->is_moving && line->fence_count == 0 && line->group_count >= whole_group(map);
}

/* The partitions with something to tell, not too many of them; all of them if asked for. */
static void print_partitions(const struct cli *cli,
                             const struct sgn_request *request,
                             const struct sgn_map_info *map,
                             bool all)
{
    uint32_t printed = 0;
    uint32_t more = 0;
    for (uint32_t p = 0; p < map->partition_count; p++) {
        struct sgn_partition_info line = {.struct_bytes = sizeof(line)};
        (void)sgn_request_partition(request, p, &line);
        if (!all && is_plain(map, &line)) {
            continue;
        }
        if (!all && printed == SHOWN_MAX) {
            more++;
            continue;
        }
        (cli->format == CLI_JSON ? partition_json : partition_text)(p, &line);
        printed++;
    }
    if (more > 0) {
        (void)printf(cli->format == CLI_JSON ? "{\"more\":%u}\n"
                                             : "and %u more; --partitions shows all\n",
                     more);
    }
}

static int show(struct cli *cli, const struct cli_call *call, struct sgn_request *request)
{
    struct sgn_map_info map = {.struct_bytes = sizeof(map)};
    struct census census = {0};
    bool all = cli_flag(call, "--partitions") != NULL || cli_flag(call, "--map") != NULL;
    sgn_request_map(request, 0);
    cli_apply(cli, request);
    if (sgn_request_run(request) != SGN_OK || sgn_request_map_info(request, &map) != SGN_OK) {
        return cli_request_failed(cli, request);
    }
    for (uint32_t p = 0; p < map.partition_count; p++) {
        struct sgn_partition_info line = {.struct_bytes = sizeof(line)};
        (void)sgn_request_partition(request, p, &line);
        count_partition(&census, &line, map.group_size);
    }
    print_census(cli, &map, &census);
    print_witnesses(cli, request, &map);
    print_partitions(cli, request, &map, all);
    return CLI_DONE;
}

static int witness_list(struct cli *cli, struct sgn_request *request)
{
    struct sgn_map_info map = {.struct_bytes = sizeof(map)};
    sgn_request_map(request, 0);
    cli_apply(cli, request);
    if (sgn_request_run(request) != SGN_OK || sgn_request_map_info(request, &map) != SGN_OK) {
        return cli_request_failed(cli, request);
    }
    print_witnesses(cli, request, &map);
    return CLI_DONE;
}

static bool number_of(const char *word, uint32_t *number)
{
    char *end = NULL;
    unsigned long value = strtoul(word, &end, 10);
    *number = (uint32_t)value;
    return word[0] >= '0' && word[0] <= '9' && *end == '\0' && value <= UINT32_MAX;
}

/* The ring's name is asked for, so that the line to start the witness with can be given whole. */
static int witness_add(struct cli *cli, const struct cli_call *call, struct sgn_request *request)
{
    struct sgn_ring_info ring = {.struct_bytes = sizeof(ring)};
    const char *address = call->args[2];
    uint32_t node = 0;
    if (!cli_flag_number(call, "--inside", 1, INT32_MAX, &node)) {
        return CLI_USAGE;
    }
    sgn_request_witness_add(request, sgn_text(address), node);
    cli_apply(cli, request);
    if (sgn_request_run(request) != SGN_OK) {
        return cli_request_failed(cli, request);
    }
    uint32_t id = sgn_request_witness_id(request);
    sgn_request_ring(request);
    cli_apply(cli, request);
    if (sgn_request_run(request) != SGN_OK || sgn_request_ring_info(request, &ring) != SGN_OK) {
        return cli_request_failed(cli, request);
    }
    if (cli->format == CLI_JSON) {
        (void)printf("{\"schema\":1,\"witness\":%u,\"address\":", id);
        cli_json_string(stdout, sgn_text(address));
        (void)fputs("}\n", stdout);
        return CLI_DONE;
    }
    (void)printf("witness %u\n", id);
    if (!cli->quiet && node == 0) {
        (void)fprintf(stderr,
                      "kv-cli: start it, if it does not run: signet-witness --id %u --ring %s "
                      "--listen %s\n",
                      id,
                      ring.name,
                      address);
    }
    return CLI_DONE;
}

static int changed(struct cli *cli, struct sgn_request *request, const char *name, uint32_t number)
{
    cli_apply(cli, request);
    if (sgn_request_run(request) != SGN_OK) {
        return cli_request_failed(cli, request);
    }
    if (cli->format == CLI_JSON) {
        (void)printf("{\"schema\":1,\"%s\":%u}\n", name, number);
    }
    return CLI_DONE;
}

static int force_fence(struct cli *cli, const struct cli_call *call, struct sgn_request *request)
{
    uint32_t partition = SGN_ALL_PARTITIONS;
    if (!cli_flag_number(call, "--partition", 0, 16383, &partition)) {
        return CLI_USAGE;
    }
    if (cli_flag(call, "--yes") == NULL) {
        cli_error(
            cli,
            SGN_ERR_INVALID,
            "force-fence lets ordered writes go on without the word of earlier witnesses and "
            "replicas that cannot be reached. If one of them still runs and serves clients, a "
            "strong read there may return old values from now on, and nothing will tell. Stop "
            "them for good first; then add --yes");
        return CLI_USAGE;
    }
    sgn_request_fence_force(request, partition);
    return changed(cli, request, "forced", 1);
}

static int use(void)
{
    (void)fprintf(
        stderr,
        "kv-cli: use: kv-cli ring [--map] | ring plan --add ... --remove ... | ring show "
        "[--partitions] | ring witness add ADDRESS | ring witness drop ID | ring witness list | "
        "ring group-size 1|3|5 | ring force-fence [--partition P] --yes\n");
    return CLI_USAGE;
}

/* Which of the verbs the words are, and the number they end with. */
enum verb { VERB_NONE, VERB_SHOW, VERB_FORCE, VERB_SIZE, VERB_LIST, VERB_ADD, VERB_DROP };

static enum verb verb_of(const struct cli_call *call, uint32_t *number)
{
    static const struct {
        const char *first, *second;
        uint32_t count;
        enum verb verb;
    } verbs[] = {{"show", NULL, 1, VERB_SHOW},
                 {"force-fence", NULL, 1, VERB_FORCE},
                 {"group-size", NULL, 2, VERB_SIZE},
                 {"witness", "list", 2, VERB_LIST},
                 {"witness", "add", 3, VERB_ADD},
                 {"witness", "drop", 3, VERB_DROP}};
    for (uint32_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        bool fits = call->arg_count == verbs[i].count &&
                    strcmp(call->args[0], verbs[i].first) == 0 &&
                    (verbs[i].second == NULL || strcmp(call->args[1], verbs[i].second) == 0);
        bool wants_number = verbs[i].verb == VERB_SIZE || verbs[i].verb == VERB_DROP;
        if (fits && (!wants_number || number_of(call->args[call->arg_count - 1], number))) {
            return verbs[i].verb;
        }
    }
    return VERB_NONE;
}

int cli_map(struct cli *cli, const struct cli_call *call)
{
    uint32_t number = 0;
    enum verb verb = verb_of(call, &number);
    if (verb == VERB_NONE) {
        return use();
    }
    struct sgn_request *request = cli_connect(cli) ? cli_request(cli) : NULL;
    if (request == NULL) {
        return CLI_FAILED;
    }
    int status = CLI_USAGE;
    switch (verb) {
    case VERB_SHOW: status = show(cli, call, request); break;
    case VERB_FORCE: status = force_fence(cli, call, request); break;
    case VERB_LIST: status = witness_list(cli, request); break;
    case VERB_ADD: status = witness_add(cli, call, request); break;
    case VERB_SIZE:
        sgn_request_group_size(request, number);
        status = changed(cli, request, "group_size", number);
        break;
    case VERB_DROP:
        sgn_request_witness_drop(request, number);
        status = changed(cli, request, "dropped", number);
        break;
    case VERB_NONE: break;
    }
    sgn_request_destroy(request);
    return status;
}
