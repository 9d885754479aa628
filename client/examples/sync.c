/* Writes one value and reads it back, waiting for each. Seeds come from SIGNET_SEEDS. */
#include <signet.h>
#include <stdio.h>

int main(void)
{
    struct sgn_options *options = sgn_options_create();
    struct sgn_client *client = NULL;
    if (options == NULL || sgn_options_load_env(options) != SGN_OK) {
        fprintf(stderr, "%s\n", options == NULL ? "out of memory" : sgn_options_error(options));
        sgn_options_destroy(options);
        return 1;
    }
    int err = sgn_client_create(&client, options);
    sgn_options_destroy(options);
    struct sgn_request *request = err == SGN_OK ? sgn_request_create(client) : NULL;
    if (request == NULL) {
        fprintf(stderr, "no client: %s\n", sgn_err_text(err));
        sgn_client_destroy(client);
        return 1;
    }
    sgn_request_put(request, sgn_text("default"), sgn_text("greeting"), sgn_text("hello, ring"));
    err = sgn_request_run(request);
    if (err == SGN_OK) {
        sgn_request_get(request, sgn_text("default"), sgn_text("greeting"));
        err = sgn_request_run(request);
    }
    if (err == SGN_OK) {
        struct sgn_bytes value = sgn_request_value(request); /* Until the next operation. */
        printf("%.*s\n", (int)value.count, (const char *)value.ptr);
    } else {
        fprintf(stderr, "%s (%s)\n", sgn_request_error(request), sgn_err_name(err));
    }
    sgn_request_destroy(request);
    sgn_client_destroy(client);
    return err == SGN_OK ? 0 : 1;
}
