/* Elects a leader: whoever puts its name first, on condition that nobody has, leads; it steps down
 * by deleting the name on condition that it is still its own. A write on condition has three
 * results, and the third one, unknown, is asked about until it is one of the others.
 *
 *   leader NAME     Seeds come from SIGNET_SEEDS. Exit 0: led, stepped down; 3: another leads. */
#include <signet.h>
#include <stdio.h>
#include <string.h>

#define BUCKET sgn_text("elections")
#define KEY    sgn_text("leader")

/* Runs a write. If its outcome is unknown, asks with its token what became of it. A write that took
 * no effect and never will (SGN_ERR_VOID) may simply be made anew. */
static int run_decided(struct sgn_request *request, struct sgn_client *client)
{
    int err = sgn_request_run(request);
    if (err != SGN_ERR_UNKNOWN) {
        return err;
    }
    struct sgn_request *asking = sgn_request_create(client);
    if (asking == NULL) {
        return err;
    }
    for (int i = 0; i < 10; i++) {
        sgn_request_resolve(asking, sgn_request_token(request));
        err = sgn_request_run(asking);
        if (err == SGN_OK || err == SGN_ERR_CONDITION || err == SGN_ERR_VOID) {
            break;
        }
    }
    sgn_request_destroy(asking);
    return err;
}

/* Our own name under its version, or who else is there. A strong read: nobody led before us by the
 * time it answers whom it does not know of. */
static int look(struct sgn_request *request, const char *name, struct sgn_key_version *version)
{
    sgn_request_get(request, BUCKET, KEY);
    sgn_request_set_read(request, SGN_READ_STRONG);
    int err = sgn_request_run(request);
    if (err != SGN_OK) {
        return err;
    }
    struct sgn_bytes value = sgn_request_value(request);
    printf("%s: %.*s leads, term %llu\n",
           name,
           (int)value.count,
           (const char *)value.ptr,
           (unsigned long long)(sgn_request_key_version(request, version) == SGN_OK
                                    ? sgn_key_version_rev(version)
                                    : 0));
    return SGN_OK;
}

static int campaign(struct sgn_client *client, struct sgn_request *request, const char *name)
{
    struct sgn_key_version term;
    sgn_request_bucket_create(request, BUCKET, SGN_BUCKET_ORDERED, 0, 0, 0);
    int err = sgn_request_run(request); /* One that is there already is no error. */
    if (err != SGN_OK) {
        return err;
    }
    sgn_request_put(request, BUCKET, KEY, sgn_text(name));
    sgn_request_set_if_absent(request);
    int won = run_decided(request, client);
    if (won != SGN_OK && won != SGN_ERR_CONDITION) {
        return won;
    }
    err = look(request, name, &term);
    if (won == SGN_ERR_CONDITION) {
        return err == SGN_OK || err == SGN_ERR_NOT_FOUND ? SGN_ERR_CONDITION : err;
    }
    struct sgn_bytes leader = sgn_request_value(request);
    if (err == SGN_OK && leader.count == strlen(name) &&
        memcmp(leader.ptr, name, leader.count) == 0) {
        /* Here it would do what only a leader may, naming its term with each step. */
        sgn_request_del(request, BUCKET, KEY);
        sgn_request_set_if_version(request, &term);
        err = run_decided(request, client);
        printf("%s: %s\n", name, err == SGN_OK ? "stepped down" : "did not step down");
    }
    return err;
}

int main(int argc, char **argv)
{
    struct sgn_options *options = sgn_options_create();
    struct sgn_client *client = NULL;
    if (argc != 2 || options == NULL || sgn_options_load_env(options) != SGN_OK ||
        sgn_client_create(&client, options) != SGN_OK) {
        fprintf(
            stderr, "use: leader NAME\n%s\n", options == NULL ? "" : sgn_options_error(options));
        sgn_options_destroy(options);
        return 2;
    }
    struct sgn_request *request = sgn_request_create(client);
    int err = request == NULL ? SGN_ERR_NOMEM : campaign(client, request, argv[1]);
    if (err != SGN_OK && err != SGN_ERR_CONDITION && request != NULL) {
        fprintf(stderr, "%s: %s (%s)\n", argv[1], sgn_request_error(request), sgn_err_name(err));
    }
    sgn_request_destroy(request);
    sgn_client_destroy(client);
    sgn_options_destroy(options);
    return err == SGN_OK ? 0 : err == SGN_ERR_CONDITION ? 3 : 1;
}
