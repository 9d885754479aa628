/* A log of events in one value, written by many at once: read it with its version, add a line,
 * write it back on condition that the version is still the key's; whoever comes second reads anew.
 * No line is lost and none comes twice, whatever is lost on the way. An unknown outcome needs no
 * token here: a version never recurs, so either the line is in the log that is read next, or the
 * write that held it can only come in before the next one, which is then rejected.
 *
 *   append NAME COUNT     Seeds come from SIGNET_SEEDS. */
#include <signet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKET    sgn_text("journals")
#define KEY       sgn_text("events")
#define LOG_BYTES (1u << 20)

struct journal {
    struct sgn_request *request;
    struct sgn_key_version version; /* Of what is in text; of an absent key too. */
    size_t bytes;
    char text[LOG_BYTES];
};

static int journal_read(struct journal *journal)
{
    sgn_request_get(journal->request, BUCKET, KEY);
    sgn_request_set_read(journal->request, SGN_READ_STRONG);
    int err = sgn_request_run(journal->request);
    if (err != SGN_OK && err != SGN_ERR_NOT_FOUND) {
        return err;
    }
    struct sgn_bytes value = sgn_request_value(journal->request);
    journal->bytes = value.count < LOG_BYTES ? value.count : 0;
    if (journal->bytes > 0) {
        memcpy(journal->text, value.ptr, journal->bytes);
    }
    return sgn_request_key_version(journal->request, &journal->version);
}

static int journal_write(struct journal *journal)
{
    sgn_request_put(
        journal->request, BUCKET, KEY, (struct sgn_bytes){journal->text, journal->bytes});
    sgn_request_set_if_version(journal->request, &journal->version);
    return sgn_request_run(journal->request);
}

/* Lines are unique. */
static int journal_has(const struct journal *journal, const char *line, size_t count)
{
    const char *at = journal->text;
    const char *end = at + journal->bytes;
    while (at < end) {
        const char *next = memchr(at, '\n', (size_t)(end - at));
        next = next == NULL ? end : next + 1;
        if ((size_t)(next - at) == count && memcmp(at, line, count) == 0) {
            return 1;
        }
        at = next;
    }
    return 0;
}

static int append(struct journal *journal, const char *line)
{
    size_t count = strlen(line);
    int err;
    do {
        err = journal_read(journal);
        if (err != SGN_OK || journal_has(journal, line, count)) {
            return err; /* An earlier try whose outcome was unknown may have brought it in. */
        }
        if (journal->bytes + count > LOG_BYTES) {
            return SGN_ERR_TOO_LARGE;
        }
        memcpy(journal->text + journal->bytes, line, count);
        journal->bytes += count;
        err = journal_write(journal);
    } while (err == SGN_ERR_CONDITION || err == SGN_ERR_UNKNOWN);
    return err;
}

static int work(struct journal *journal, const char *name, long count)
{
    sgn_request_bucket_create(journal->request, BUCKET, SGN_BUCKET_ORDERED, 0, 0, 0);
    int err = sgn_request_run(journal->request);
    for (long i = 1; i <= count && err == SGN_OK; i++) {
        char line[120];
        snprintf(line, sizeof(line), "%.80s %ld\n", name, i);
        err = append(journal, line);
    }
    if (err != SGN_OK) {
        fprintf(stderr, "%s (%s)\n", sgn_request_error(journal->request), sgn_err_name(err));
        return err;
    }
    printf("%s appended %ld lines\n", name, count);
    return SGN_OK;
}

int main(int argc, char **argv)
{
    struct sgn_options *options = sgn_options_create();
    struct sgn_client *client = NULL;
    struct journal *journal = calloc(1, sizeof(*journal));
    if (argc != 3 || journal == NULL || options == NULL ||
        sgn_options_load_env(options) != SGN_OK || sgn_client_create(&client, options) != SGN_OK) {
        fprintf(stderr, "use: append NAME COUNT\n");
        sgn_options_destroy(options);
        free(journal);
        return 2;
    }
    journal->request = sgn_request_create(client);
    int err = journal->request == NULL ? SGN_ERR_NOMEM
                                       : work(journal, argv[1], strtol(argv[2], NULL, 10));
    sgn_request_destroy(journal->request);
    sgn_client_destroy(client);
    sgn_options_destroy(options);
    free(journal);
    return err == SGN_OK ? 0 : 1;
}
