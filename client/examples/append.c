/* A log of events in one value, written by many at once: read it with its version, add a line,
 * write it back on condition that the version is still the key's; whoever comes second reads anew.
 * No line is lost and none comes twice, whatever is lost on the way: an unknown outcome is asked
 * about before the line is tried again.
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

/* SGN_OK: the line is in. SGN_ERR_CONDITION or SGN_ERR_VOID: it is not and never will be. */
static int journal_write(struct journal *journal)
{
    sgn_request_put(
        journal->request, BUCKET, KEY, (struct sgn_bytes){journal->text, journal->bytes});
    sgn_request_set_if_version(journal->request, &journal->version);
    int err = sgn_request_run(journal->request);
    char *token = err == SGN_ERR_UNKNOWN ? strdup(sgn_request_token(journal->request)) : NULL;
    for (int i = 0; i < 10 && token != NULL && err == SGN_ERR_UNKNOWN; i++) {
        sgn_request_resolve(journal->request, token);
        err = sgn_request_run(journal->request);
    }
    free(token);
    return err;
}

static int append(struct journal *journal, const char *line)
{
    int err;
    do {
        err = journal_read(journal);
        size_t count = strlen(line);
        if (err == SGN_OK && journal->bytes + count > LOG_BYTES) {
            return SGN_ERR_TOO_LARGE;
        }
        if (err == SGN_OK) {
            memcpy(journal->text + journal->bytes, line, count);
            journal->bytes += count;
            err = journal_write(journal);
        }
    } while (err == SGN_ERR_CONDITION || err == SGN_ERR_VOID);
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
    printf("%s appended %ld lines; the log has %llu versions\n",
           name,
           count,
           (unsigned long long)sgn_key_version_rev(&journal->version) + 1);
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
