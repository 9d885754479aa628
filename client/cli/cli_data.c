/* client/cli/cli_data.c - get, put, del, stat, list. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"

static void explain(const struct cli *cli, const struct sgn_request *request, const char *verb)
{
    (void)cli;
    struct sgn_receipt receipt = {.struct_bytes = sizeof(receipt)};
    sgn_request_receipt(request, &receipt);
    (void)fprintf(stderr,
                  "node %u answered; %u copies %s; %u tries, %u hedges; %.3f ms\n",
                  receipt.node,
                  receipt.copies,
                  verb,
                  receipt.tries,
                  receipt.hedges,
                  (double)receipt.ns / 1e6);
}

static void json_key(const char *name)
{
    (void)fputs("{\"schema\":1,", stdout);
    cli_json_bytes(stdout, "key", sgn_text(name));
}

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

static void print_all(const struct cli *cli, const char *name, const struct sgn_request *request)
{
    if (cli->format == CLI_JSON) {
        json_key(name);
        (void)printf(",\"context\":\"%s\",\"siblings\":[", sgn_request_context_text(request));
    }
    for (uint32_t i = 0; i < sgn_request_sibling_count(request); i++) {
        struct sgn_value_info info = {.struct_bytes = sizeof(info)};
        (void)sgn_request_sibling(request, i, &info);
        print_sibling(cli, &info, i == 0);
    }
    if (cli->format == CLI_JSON) {
        (void)fputs("]}\n", stdout);
    } else {
        (void)printf("context %s\n", sgn_request_context_text(request));
    }
}

static void print_value(const struct cli *cli, const char *name, const struct sgn_request *request)
{
    struct sgn_bytes value = sgn_request_value(request);
    switch (cli->format) {
    case CLI_RAW: (void)fwrite(value.ptr, 1, value.count, stdout); break;
    case CLI_TABLE:
        cli_print_escaped(stdout, value);
        (void)putchar('\n');
        break;
    case CLI_JSON:
        json_key(name);
        (void)printf(",\"version\":\"%s\",\"context\":\"%s\",\"siblings\":%u,",
                     sgn_request_version(request),
                     sgn_request_context_text(request),
                     sgn_request_sibling_count(request));
        cli_json_bytes(stdout, "value", value);
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

static int write_context(const struct cli *cli, const char *path, const struct sgn_request *request)
{
    FILE *file = fopen(path, "we");
    bool good = file != NULL && fprintf(file, "%s\n", sgn_request_context_text(request)) > 0;
    good = file != NULL && fclose(file) == 0 && good;
    if (!good) {
        cli_error(cli, SGN_ERR_IO, "%s: %s", path, strerror(errno));
    }
    return good ? CLI_DONE : CLI_FAILED;
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
    sgn_request_get(request, bucket, key);
    cli_apply(cli, request);
    sgn_request_set_copies(request, copies);
    if (sgn_request_run(request) != SGN_OK) {
        return cli_request_failed(cli, request);
    }
    if (cli_flag(call, "--all") != NULL) {
        print_all(cli, name, request);
    } else {
        print_value(cli, name, request);
    }
    if (cli_flag(call, "--explain") != NULL) {
        explain(cli, request, "read");
    }
    const char *path = cli_flag(call, "--context-out");
    return path == NULL ? CLI_DONE : write_context(cli, path, request);
}

/* Runs `one` for every argument; the first failure's exit code is the command's. */
static int for_each(
    struct cli *cli,
    const struct cli_call *call,
    int (*one)(struct cli *, const struct cli_call *, const char *, struct sgn_request *, uint32_t))
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
    return for_each(cli, call, get_one);
}

static int stat_one(struct cli *cli,
                    const struct cli_call *call,
                    const char *name,
                    struct sgn_request *request,
                    uint32_t copies)
{
    (void)call;
    struct sgn_bytes bucket;
    struct sgn_bytes key;
    cli_split_key(name, &bucket, &key);
    sgn_request_stat(request, bucket, key);
    cli_apply(cli, request);
    sgn_request_set_copies(request, copies);
    if (sgn_request_run(request) != SGN_OK) {
        return cli_request_failed(cli, request);
    }
    uint32_t count = sgn_request_sibling_count(request);
    if (cli->format == CLI_JSON) {
        json_key(name);
        (void)printf(",\"version\":\"%s\",\"context\":\"%s\",\"siblings\":[",
                     sgn_request_version(request),
                     sgn_request_context_text(request));
    } else {
        (void)printf("%s\n  version  %s\n  context  %s\n",
                     name,
                     sgn_request_version(request),
                     sgn_request_context_text(request));
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

int cli_stat(struct cli *cli, const struct cli_call *call)
{
    return for_each(cli, call, stat_one);
}

/* --context TEXT, none or @FILE. */
static bool apply_context(struct cli *cli, const struct cli_call *call, struct sgn_request *request)
{
    const char *text = cli_flag(call, "--context");
    char line[4096];
    if (text == NULL) {
        return true;
    }
    if (text[0] == '@') {
        FILE *file = fopen(text + 1, "re");
        bool good = file != NULL && fgets(line, sizeof(line), file) != NULL;
        if (!good) {
            cli_error(cli, SGN_ERR_INVALID, "--context %s: the file cannot be read", text);
        }
        if (file != NULL) {
            (void)fclose(file);
        }
        if (!good) {
            return false;
        }
        line[strcspn(line, "\r\n")] = '\0';
        text = line;
    }
    if (sgn_request_set_context_text(request, strcmp(text, "none") == 0 ? "" : text) != SGN_OK) {
        cli_error(cli,
                  SGN_ERR_INVALID,
                  "--context: \"%s\" is not a context; get --all or --context-out gives one",
                  text);
        return false;
    }
    return true;
}

/* The context of the values that a read of R copies finds, as text to be freed: a delete with it
 * takes what the ring holds, not only what the one node holds that happens to coordinate. An absent
 * key leaves *seen NULL. */
static int seen_by_ring(struct cli *cli,
                        struct sgn_bytes bucket,
                        struct sgn_bytes key,
                        struct sgn_request *request,
                        char **seen)
{
    sgn_request_stat(request, bucket, key);
    cli_apply(cli, request);
    int err = sgn_request_run(request);
    if (err != SGN_OK) {
        return err == SGN_ERR_NOT_FOUND ? CLI_DONE : cli_request_failed(cli, request);
    }
    *seen = strdup(sgn_request_context_text(request));
    if (*seen == NULL) {
        cli_error(cli, SGN_ERR_NOMEM, "%s", sgn_err_text(SGN_ERR_NOMEM));
        return CLI_FAILED;
    }
    return CLI_DONE;
}

static int deleted(const struct cli *cli, const char *name, bool something)
{
    if (cli->format == CLI_JSON) {
        json_key(name);
        (void)printf(",\"deleted\":%s}\n", something ? "true" : "false");
    } else if (!something && !cli->quiet) {
        (void)fprintf(stderr, "kv-cli: %s is not there; nothing to delete\n", name);
    }
    return CLI_DONE;
}

static int del_one(struct cli *cli,
                   const struct cli_call *call,
                   const char *name,
                   struct sgn_request *request,
                   uint32_t copies)
{
    struct sgn_bytes bucket;
    struct sgn_bytes key;
    cli_split_key(name, &bucket, &key);
    char *seen = NULL;
    if (cli_flag(call, "--context") == NULL) {
        int status = seen_by_ring(cli, bucket, key, request, &seen);
        if (status != CLI_DONE || seen == NULL) {
            return status != CLI_DONE ? status : deleted(cli, name, false);
        }
    }
    sgn_request_del(request, bucket, key);
    cli_apply(cli, request);
    sgn_request_set_copies(request, copies);
    bool good = seen == NULL ? apply_context(cli, call, request)
                             : sgn_request_set_context_text(request, seen) == SGN_OK;
    free(seen);
    if (!good) {
        return CLI_USAGE; /* Told; a context that the library itself made is always one. */
    }
    return sgn_request_run(request) == SGN_OK ? deleted(cli, name, true)
                                              : cli_request_failed(cli, request);
}

int cli_del(struct cli *cli, const struct cli_call *call)
{
    return for_each(cli, call, del_one);
}

/* The value word of put as bytes of its own. */
static bool put_value(struct cli *cli, const struct cli_call *call, uint8_t **out, size_t *count)
{
    const char *word = call->args[1];
    bool hex = cli_flag(call, "--hex") != NULL;
    bool base64 = cli_flag(call, "--base64") != NULL;
    if (!hex && !base64 && strcmp(word, "-") == 0) {
        return cli_read_all(cli, stdin, "stdin", out, count);
    }
    if (!hex && !base64 && word[0] == '@') {
        FILE *file = fopen(word + 1, "re");
        if (file == NULL) {
            cli_error(cli, SGN_ERR_INVALID, "%s: %s", word + 1, strerror(errno));
            return false;
        }
        bool good = cli_read_all(cli, file, word + 1, out, count);
        (void)fclose(file);
        return good;
    }
    *count = strlen(word);
    *out = malloc(*count + 1);
    if (*out == NULL) {
        cli_error(cli, SGN_ERR_NOMEM, "%s", sgn_err_text(SGN_ERR_NOMEM));
        return false;
    }
    if (!hex && !base64) {
        memcpy(*out, word, *count);
        return true;
    }
    if (hex ? cli_unhex(word, *out, count) : cli_unbase64(sgn_text(word), *out, count)) {
        return true;
    }
    cli_error(cli, SGN_ERR_INVALID, "the value is not %s", hex ? "hex" : "base64");
    free(*out);
    return false;
}

int cli_put(struct cli *cli, const struct cli_call *call)
{
    uint32_t copies = 0;
    uint8_t *value = NULL;
    size_t count = 0;
    if (!cli_flag_number(call, "--copies", 1, 7, &copies) ||
        !put_value(cli, call, &value, &count)) {
        return CLI_USAGE;
    }
    struct sgn_request *request = cli_connect(cli) ? cli_request(cli) : NULL;
    if (request == NULL) {
        free(value);
        return CLI_FAILED;
    }
    struct sgn_bytes bucket;
    struct sgn_bytes key;
    cli_split_key(call->args[0], &bucket, &key);
    sgn_request_put(request, bucket, key, (struct sgn_bytes){value, count});
    cli_apply(cli, request);
    sgn_request_set_copies(request, copies);
    int status = CLI_USAGE;
    if (apply_context(cli, call, request)) {
        status = sgn_request_run(request) == SGN_OK ? CLI_DONE : cli_request_failed(cli, request);
    }
    if (status == CLI_DONE && cli->format == CLI_JSON) {
        json_key(call->args[0]);
        (void)printf(
            ",\"bytes\":%zu,\"context\":\"%s\"}\n", count, sgn_request_context_text(request));
    }
    if (status == CLI_DONE && cli_flag(call, "--explain") != NULL) {
        explain(cli, request, "stored when it answered");
    }
    sgn_request_destroy(request);
    free(value);
    return status;
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
