/* client/cli/cli_client.c - the one client of a kv-cli process, and names of keys. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"

#define READ_BYTES_MAX (256u << 20)

static void log_line(void *user, int level, const char *text)
{
    (void)user;
    static const char *const names[] = {"error", "warning", "notice", "detail"};
    (void)fprintf(stderr, "kv-cli: %s: %s\n", names[level & 3], text);
}

bool cli_connect(struct cli *cli)
{
    if (cli->client != NULL) {
        return true;
    }
    if (cli->verbose) {
        sgn_options_set_log(cli->options, log_line, NULL);
    }
    int err = sgn_client_create(&cli->client, cli->options);
    if (err != SGN_OK) {
        cli_error(cli, err, "%s: %s", sgn_err_text(err), sgn_options_error(cli->options));
        cli->client = NULL;
    }
    return err == SGN_OK;
}

void cli_split_key(const char *text, struct sgn_bytes *bucket, struct sgn_bytes *key)
{
    const char *slash = strchr(text, '/');
    if (slash == NULL) {
        *bucket = sgn_text("default");
        *key = sgn_text(text);
    } else {
        *bucket = (struct sgn_bytes){text, (size_t)(slash - text)};
        *key = sgn_text(slash + 1);
    }
}

struct sgn_request *cli_request(struct cli *cli)
{
    struct sgn_request *request = sgn_request_create(cli->client);
    if (request == NULL) {
        cli_error(cli, SGN_ERR_NOMEM, "%s", sgn_err_text(SGN_ERR_NOMEM));
    }
    return request;
}

void cli_apply(const struct cli *cli, struct sgn_request *request)
{
    if (cli->has_read) {
        sgn_request_set_read(request, cli->read);
    }
    if (cli->timeout_ms > 0) {
        sgn_request_set_timeout(request, cli->timeout_ms);
    }
}

bool cli_read_all(struct cli *cli, FILE *in, const char *name, uint8_t **out, size_t *count)
{
    size_t cap = 65536;
    *out = malloc(cap);
    *count = 0;
    while (*out != NULL) {
        *count += fread(*out + *count, 1, cap - *count, in);
        if (*count < cap) {
            break;
        }
        cap *= 2;
        uint8_t *more = cap > READ_BYTES_MAX ? NULL : realloc(*out, cap);
        if (more == NULL) {
            free(*out);
        }
        *out = more;
    }
    if (*out == NULL) {
        cli_error(cli,
                  SGN_ERR_TOO_LARGE,
                  "%s is larger than the %u MiB that a value may have",
                  name,
                  SGN_LIMIT_VALUE_BYTES >> 20);
        return false;
    }
    if (ferror(in)) {
        cli_error(cli, SGN_ERR_IO, "%s: %s", name, strerror(errno));
        free(*out);
        return false;
    }
    return true;
}
