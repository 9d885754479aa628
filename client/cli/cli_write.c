/* client/cli/cli_write.c - put, del, and the conditions on them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"

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

/* --if-absent and --if-version V. False and a sentence when they cannot be. */
static bool apply_condition(struct cli *cli,
                            const struct cli_call *call,
                            struct sgn_request *request)
{
    const char *version = cli_flag(call, "--if-version");
    int guards = (version != NULL) + (cli_flag(call, "--if-absent") != NULL) +
                 (cli_flag(call, "--context") != NULL);
    if (guards > 1) {
        cli_error(cli, SGN_ERR_INVALID, "one of --if-absent, --if-version and --context, not more");
        return false;
    }
    if (cli_flag(call, "--if-absent") != NULL) {
        sgn_request_set_if_absent(request);
    }
    if (version != NULL && sgn_request_set_if_version_text(request, version) != SGN_OK) {
        cli_error(cli,
                  SGN_ERR_INVALID,
                  "--if-version: \"%s\" is not a version; get, stat and put give one",
                  version);
        return false;
    }
    return apply_context(cli, call, request);
}

static bool is_conditional(const struct cli_call *call)
{
    return cli_flag(call, "--if-version") != NULL || cli_flag(call, "--if-absent") != NULL;
}

/* What a blind delete has found before it: in an available bucket a delete with the context of what
 * a read of R copies finds takes what the ring holds, not only what the one node holds that happens
 * to coordinate. An ordered bucket needs no context; the version only tells whether something was
 * there. */
struct seen {
    bool is_ordered, is_there;
    char *context; /* To be freed; NULL: none. */
    struct sgn_key_version version;
};

static int seen_by_ring(struct cli *cli,
                        struct sgn_bytes bucket,
                        struct sgn_bytes key,
                        struct sgn_request *request,
                        struct seen *seen)
{
    sgn_request_stat(request, bucket, key);
    cli_apply(cli, request);
    int err = sgn_request_run(request);
    seen->is_there = err == SGN_OK;
    seen->is_ordered = sgn_request_key_version(request, &seen->version) == SGN_OK;
    if (err != SGN_OK) {
        return err == SGN_ERR_NOT_FOUND ? CLI_DONE : cli_request_failed(cli, request);
    }
    if (seen->is_ordered) {
        return CLI_DONE;
    }
    seen->context = strdup(sgn_request_context_text(request));
    if (seen->context == NULL) {
        cli_error(cli, SGN_ERR_NOMEM, "%s", sgn_err_text(SGN_ERR_NOMEM));
        return CLI_FAILED;
    }
    return CLI_DONE;
}

static int deleted(const struct cli *cli, const char *name, bool something, const char *version)
{
    if (cli->format == CLI_JSON) {
        cli_json_key(name);
        (void)printf(
            ",\"deleted\":%s,\"version\":\"%s\"}\n", something ? "true" : "false", version);
    } else if (!something && !cli->quiet) {
        (void)fprintf(stderr, "kv-cli: %s is not there; nothing to delete\n", name);
    }
    return CLI_DONE;
}

/* An ordered delete makes no version when nothing is there: then it answers the one that was. */
static bool was_something(const struct sgn_request *request, const struct seen *seen)
{
    struct sgn_key_version now;
    return !seen->is_ordered || seen->is_there ||
           sgn_request_key_version(request, &now) != SGN_OK ||
           memcmp(&now, &seen->version, sizeof(now)) != 0;
}

static int del_one(struct cli *cli,
                   const struct cli_call *call,
                   const char *name,
                   struct sgn_request *request,
                   uint32_t copies)
{
    struct sgn_bytes bucket;
    struct sgn_bytes key;
    struct seen seen = {.is_there = true};
    cli_split_key(name, &bucket, &key);
    if (cli_flag(call, "--context") == NULL && !is_conditional(call)) {
        int status = seen_by_ring(cli, bucket, key, request, &seen);
        if (status != CLI_DONE || (!seen.is_there && !seen.is_ordered)) {
            free(seen.context);
            return status != CLI_DONE ? status : deleted(cli, name, false, "");
        }
    }
    sgn_request_del(request, bucket, key);
    cli_apply(cli, request);
    sgn_request_set_copies(request, copies);
    bool good = seen.context == NULL
                    ? apply_condition(cli, call, request)
                    : sgn_request_set_context_text(request, seen.context) == SGN_OK;
    free(seen.context);
    if (!good) {
        return CLI_USAGE; /* Told; a context that the library itself made is always one. */
    }
    return sgn_request_run(request) == SGN_OK
               ? deleted(cli, name, was_something(request, &seen), sgn_request_version(request))
               : cli_request_failed(cli, request);
}

int cli_del(struct cli *cli, const struct cli_call *call)
{
    return cli_for_each(cli, call, del_one);
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

/* A put on condition prints the version it made: the next one will want it. */
static void print_put(const struct cli *cli,
                      const struct cli_call *call,
                      const struct sgn_request *request,
                      size_t bytes)
{
    if (cli->format != CLI_JSON) {
        if (is_conditional(call)) {
            (void)printf("%s\n", sgn_request_version(request));
        }
        return;
    }
    cli_json_key(call->args[0]);
    (void)printf(",\"bytes\":%zu,\"version\":\"%s\",\"context\":\"%s\"",
                 bytes,
                 sgn_request_version(request),
                 sgn_request_context_text(request));
    if (cli_flag(call, "--explain") != NULL) {
        cli_json_receipt(request);
    }
    (void)fputs("}\n", stdout);
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
    bool explains = cli_flag(call, "--explain") != NULL;
    if (apply_condition(cli, call, request)) {
        status = sgn_request_run(request) == SGN_OK ? CLI_DONE : cli_request_failed(cli, request);
    }
    if (status == CLI_DONE) {
        print_put(cli, call, request, count);
    }
    if (status == CLI_DONE && explains && cli->format != CLI_JSON) {
        cli_explain(request, "stored when it answered");
    }
    sgn_request_destroy(request);
    free(value);
    return status;
}
