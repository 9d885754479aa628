/* client/cli/cli_data.c - get, stat, list. */
#include <errno.h>
#include <string.h>

#include "client/cli/cli.h"

static void print_sibling(const struct cli *cli, const struct sgn_value_info *info, bool is_first)
{
    if (cli->format == CLI_JSON) {
        (void)printf("%s{\"written_ms\":%llu,\"write\":\"%s\",\"bytes\":%llu,",
                     is_first ? "" : ",",
                     (unsigned long long)info->written_ms,
                     info->dot,
                     (unsigned long long)info->value_bytes);
        cli_json_bytes(stdout, "value", info->value);
        (void)putchar('}');
    } else {
        (void)printf("%-26s %-20s ", cli_time(info->written_ms), info->dot);
        cli_print_escaped(stdout, info->value);
        (void)putchar('\n');
    }
}

static void print_all(const struct cli *cli,
                      const char *name,
                      const struct sgn_request *request,
                      bool with_receipt)
{
    if (cli->format == CLI_JSON) {
        cli_json_key(name);
        (void)printf(",\"version\":\"%s\",\"context\":\"%s\",\"siblings\":[",
                     sgn_request_version(request),
                     sgn_request_context_text(request));
    }
    for (uint32_t i = 0; i < sgn_request_sibling_count(request); i++) {
        struct sgn_value_info info = {.struct_bytes = sizeof(info)};
        (void)sgn_request_sibling(request, i, &info);
        print_sibling(cli, &info, i == 0);
    }
    if (cli->format == CLI_JSON) {
        (void)fputs("]", stdout);
        if (with_receipt) {
            cli_json_receipt(request);
        }
        (void)fputs("}\n", stdout);
    } else if (cli_is_ordered(request)) {
        (void)printf("version %s\n", sgn_request_version(request));
    } else {
        (void)printf("context %s\n", sgn_request_context_text(request));
    }
}

static void print_value(const struct cli *cli,
                        const char *name,
                        const struct sgn_request *request,
                        bool with_receipt)
{
    struct sgn_bytes value = sgn_request_value(request);
    switch (cli->format) {
    case CLI_RAW: (void)fwrite(value.ptr, 1, value.count, stdout); break;
    case CLI_TABLE:
        cli_print_escaped(stdout, value);
        (void)putchar('\n');
        break;
    case CLI_JSON:
        cli_json_key(name);
        (void)printf(",\"version\":\"%s\",\"context\":\"%s\",\"siblings\":%u,",
                     sgn_request_version(request),
                     sgn_request_context_text(request),
                     sgn_request_sibling_count(request));
        cli_json_bytes(stdout, "value", value);
        if (with_receipt) {
            cli_json_receipt(request);
        }
        (void)fputs("}\n", stdout);
        break;
    }
    if (sgn_request_sibling_count(request) > 1 && !cli->quiet) {
        (void)fprintf(
            stderr,
            "kv-cli: %s has %u concurrent values; this is the newest. kv-cli get %s --all "
            "shows them; put with its --context settles them\n",
            name,
            sgn_request_sibling_count(request),
            name);
    }
}

/* A line of text for --context-out and --version-out; no path, no file. */
static int write_line(const struct cli *cli, const char *path, const char *text)
{
    if (path == NULL) {
        return CLI_DONE;
    }
    FILE *file = fopen(path, "we");
    bool good = file != NULL && fprintf(file, "%s\n", text) > 0;
    good = file != NULL && fclose(file) == 0 && good;
    if (!good) {
        cli_error(cli, SGN_ERR_IO, "%s: %s", path, strerror(errno));
    }
    return good ? CLI_DONE : CLI_FAILED;
}

/* --at-least V: a session read. */
static bool apply_freshness(const struct cli *cli,
                            const struct cli_call *call,
                            struct sgn_request *request)
{
    const char *least = cli_flag(call, "--at-least");
    if (least == NULL) {
        return true;
    }
    if (cli->has_read && cli->read != SGN_READ_SESSION) {
        cli_error(cli, SGN_ERR_INVALID, "--at-least is for session reads; leave --read out");
        return false;
    }
    if (sgn_request_set_at_least_text(request, least) != SGN_OK) {
        cli_error(cli,
                  SGN_ERR_INVALID,
                  "--at-least: \"%s\" is not a version; get, stat and put give one",
                  least);
        return false;
    }
    return true;
}

static int get_one(struct cli *cli,
                   const struct cli_call *call,
                   const char *name,
                   struct sgn_request *request,
                   uint32_t copies)
{
    struct sgn_bytes bucket;
    struct sgn_bytes key;
    cli_split_key(name, &bucket, &key);
    bool explains = cli_flag(call, "--explain") != NULL;
    sgn_request_get(request, bucket, key);
    cli_apply(cli, request);
    sgn_request_set_copies(request, copies);
    if (!apply_freshness(cli, call, request)) {
        return CLI_USAGE;
    }
    if (explains) {
        sgn_request_set_explain(request);
    }
    if (sgn_request_run(request) != SGN_OK) {
        if (explains && cli->format != CLI_JSON) {
            cli_explain(request, "read");
        }
        return cli_request_failed(cli, request);
    }
    if (cli_flag(call, "--all") != NULL) {
        print_all(cli, name, request, explains);
    } else {
        print_value(cli, name, request, explains);
    }
    if (explains && cli->format != CLI_JSON) {
        cli_explain(request, "read");
    }
    int status =
        write_line(cli, cli_flag(call, "--context-out"), sgn_request_context_text(request));
    int second = write_line(cli, cli_flag(call, "--version-out"), sgn_request_version(request));
    return status == CLI_DONE ? second : status;
}

int cli_for_each(struct cli *cli, const struct cli_call *call, cli_one_fn *one)
{
    uint32_t copies = 0;
    if (!cli_flag_number(call, "--copies", 1, 7, &copies)) {
        return CLI_USAGE;
    }
    struct sgn_request *request = cli_connect(cli) ? cli_request(cli) : NULL;
    if (request == NULL) {
        return CLI_FAILED;
    }
    int status = CLI_DONE;
    for (uint32_t i = 0; i < call->arg_count; i++) {
        int one_status = one(cli, call, call->args[i], request, copies);
        status = status == CLI_DONE ? one_status : status;
    }
    sgn_request_destroy(request);
    return status;
}

int cli_get(struct cli *cli, const struct cli_call *call)
{
    return cli_for_each(cli, call, get_one);
}

static int stat_one(struct cli *cli,
                    const struct cli_call *call,
                    const char *name,
                    struct sgn_request *request,
                    uint32_t copies)
{
    struct sgn_bytes bucket;
    struct sgn_bytes key;
    cli_split_key(name, &bucket, &key);
    sgn_request_stat(request, bucket, key);
    cli_apply(cli, request);
    sgn_request_set_copies(request, copies);
    if (!apply_freshness(cli, call, request)) {
        return CLI_USAGE;
    }
    if (sgn_request_run(request) != SGN_OK) {
        return cli_request_failed(cli, request);
    }
    uint32_t count = sgn_request_sibling_count(request);
    if (cli->format == CLI_JSON) {
        cli_json_key(name);
        (void)printf(",\"version\":\"%s\",\"context\":\"%s\",\"siblings\":[",
                     sgn_request_version(request),
                     sgn_request_context_text(request));
    } else {
        (void)printf("%s\n  version  %s\n", name, sgn_request_version(request));
        if (!cli_is_ordered(request)) {
            (void)printf("  context  %s\n", sgn_request_context_text(request));
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        struct sgn_value_info info = {.struct_bytes = sizeof(info)};
        (void)sgn_request_sibling(request, i, &info);
        if (cli->format == CLI_JSON) {
            (void)printf("%s{\"bytes\":%llu,\"written_ms\":%llu,\"write\":\"%s\"}",
                         i == 0 ? "" : ",",
                         (unsigned long long)info.value_bytes,
                         (unsigned long long)info.written_ms,
                         info.dot);
        } else {
            (void)printf("  value    %llu bytes, written %s by %s\n",
                         (unsigned long long)info.value_bytes,
                         cli_time(info.written_ms),
                         info.dot);
        }
    }
    if (cli->format == CLI_JSON) {
        (void)fputs("]}\n", stdout);
    }
    return CLI_DONE;
}

/* What became of a write that ended without a verdict. */
static int stat_token(struct cli *cli, const char *token)
{
    struct sgn_request *request = cli_connect(cli) ? cli_request(cli) : NULL;
    if (request == NULL) {
        return CLI_FAILED;
    }
    const char *outcome = NULL;
    (void)sgn_request_resolve(request, token); /* What is wrong with it is told by run. */
    cli_apply(cli, request);
    int err = sgn_request_run(request);
    switch (err) {
    case SGN_OK: outcome = "applied"; break;
    case SGN_ERR_CONDITION: outcome = "rejected"; break;
    case SGN_ERR_VOID: outcome = "void"; break;
    case SGN_ERR_UNKNOWN: outcome = "unknown"; break;
    default: break;
    }
    if (outcome == NULL) {
        int status = cli_request_failed(cli, request);
        sgn_request_destroy(request);
        return status;
    }
    const char *version = sgn_request_version(request);
    if (cli->format == CLI_JSON) {
        (void)printf("{\"schema\":1,\"outcome\":\"%s\",\"version\":\"%s\"}\n", outcome, version);
    } else {
        (void)printf("%s%s%s\n", outcome, version[0] == '\0' ? "" : " ", version);
    }
    sgn_request_destroy(request);
    return cli_exit_of(err);
}

int cli_stat(struct cli *cli, const struct cli_call *call)
{
    const char *token = cli_flag(call, "--token");
    if ((token == NULL) == (call->arg_count == 0)) {
        (void)fprintf(stderr, "kv-cli: use: kv-cli stat KEY... | stat --token TOKEN\n");
        return CLI_USAGE;
    }
    return token == NULL ? cli_for_each(cli, call, stat_one) : stat_token(cli, token);
}

static void print_item(const struct cli *cli, const struct sgn_item_info *info, bool is_long)
{
    if (cli->format == CLI_JSON) {
        (void)putchar('{');
        cli_json_bytes(stdout, "key", info->key);
        (void)printf(",\"bytes\":%llu,\"written_ms\":%llu,\"siblings\":%u}\n",
                     (unsigned long long)info->value_bytes,
                     (unsigned long long)info->written_ms,
                     info->sibling_count);
        return;
    }
    if (is_long) {
        (void)printf("%10llu  %s  %2u  ",
                     (unsigned long long)info->value_bytes,
                     cli_time(info->written_ms),
                     info->sibling_count);
    }
    if (cli->format == CLI_RAW && !is_long) {
        (void)fwrite(info->key.ptr, 1, info->key.count, stdout);
    } else {
        cli_print_escaped(stdout, info->key);
    }
    (void)putchar('\n');
}

int cli_list(struct cli *cli, const struct cli_call *call)
{
    uint32_t limit = UINT32_MAX;
    if (!cli_flag_number(call, "--limit", 1, UINT32_MAX, &limit)) {
        return CLI_USAGE;
    }
    struct sgn_request *request = cli_connect(cli) ? cli_request(cli) : NULL;
    if (request == NULL) {
        return CLI_FAILED;
    }
    struct sgn_bytes bucket;
    struct sgn_bytes prefix;
    cli_split_key(call->arg_count == 0 ? "" : call->args[0], &bucket, &prefix);
    char after[SGN_LIMIT_KEY_BYTES + 1] = "";
    const char *asked = cli_flag(call, "--after");
    size_t after_count = asked == NULL ? 0 : strnlen(asked, sizeof(after));
    memcpy(after, asked == NULL ? "" : asked, after_count);
    int status = CLI_DONE;
    for (bool end = false; !end && limit > 0 && status == CLI_DONE;) {
        sgn_request_list(request, bucket, prefix);
        cli_apply(cli, request);
        sgn_request_set_list_after(request, (struct sgn_bytes){after, after_count});
        sgn_request_set_list_limit(request, limit < 1000 ? limit : 1000);
        if (sgn_request_run(request) != SGN_OK) {
            status = cli_request_failed(cli, request);
            break;
        }
        for (uint32_t i = 0; i < sgn_request_item_count(request); i++, limit--) {
            struct sgn_item_info info = {.struct_bytes = sizeof(info)};
            (void)sgn_request_item(request, i, &info);
            print_item(cli, &info, cli_flag(call, "--long") != NULL);
        }
        end = sgn_request_list_end(request) == 1;
        struct sgn_bytes next = sgn_request_list_after(request);
        after_count = next.count < sizeof(after) ? next.count : 0;
        if (after_count > 0) {
            memcpy(after, next.ptr, after_count);
        }
    }
    sgn_request_destroy(request);
    return status;
}
