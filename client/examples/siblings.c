/* Two writers who have not seen each other leave two values; a reader sees both and writes one back
 * with the context of what it read, which ends the conflict. */
#include <signet.h>
#include <stdio.h>

#define BUCKET sgn_text("baskets") /* Of the kind that keeps both. */

static int put_blind(struct sgn_request *request, const char *value)
{
    sgn_request_put(request, BUCKET, sgn_text("basket"), sgn_text(value));
    sgn_request_set_context(request, (struct sgn_bytes){NULL, 0}); /* Has seen nothing. */
    return sgn_request_run(request);
}

static int get_basket(struct sgn_request *request)
{
    sgn_request_get(request, BUCKET, sgn_text("basket"));
    int err = sgn_request_run(request);
    for (uint32_t i = 0; i < sgn_request_sibling_count(request); i++) {
        struct sgn_value_info info = {.struct_bytes = sizeof(info)};
        sgn_request_sibling(request, i, &info);
        printf("  %s: %.*s\n", info.dot, (int)info.value.count, (const char *)info.value.ptr);
    }
    return err;
}

static int show(struct sgn_request *request)
{
    char context[2048];
    sgn_request_bucket_create(request, BUCKET, SGN_BUCKET_AVAILABLE, 0, 0, 0);
    int err = sgn_request_run(request); /* One that is there already is no error. */
    sgn_request_del(request, BUCKET, sgn_text("basket"));
    err = err == SGN_OK ? sgn_request_run(request) : err;
    err = err == SGN_OK ? put_blind(request, "apples") : err;
    err = err == SGN_OK ? put_blind(request, "pears") : err;
    printf("after two blind writes:\n");
    err = err == SGN_OK ? get_basket(request) : err;
    if (err != SGN_OK) {
        return err;
    }
    snprintf(context, sizeof(context), "%s", sgn_request_context_text(request));
    sgn_request_put(request, BUCKET, sgn_text("basket"), sgn_text("apples and pears"));
    sgn_request_set_context_text(request, context);
    err = sgn_request_run(request);
    printf("after one write with the context of both:\n");
    return err == SGN_OK ? get_basket(request) : err;
}

int main(void)
{
    struct sgn_options *options = sgn_options_create();
    struct sgn_client *client = NULL;
    if (options == NULL || sgn_options_load_env(options) != SGN_OK ||
        sgn_client_create(&client, options) != SGN_OK) {
        fprintf(stderr, "no client: %s\n", options == NULL ? "" : sgn_options_error(options));
        sgn_options_destroy(options);
        return 1;
    }
    struct sgn_request *request = sgn_request_create(client);
    int err = show(request);
    if (err != SGN_OK) {
        fprintf(stderr, "%s\n", sgn_request_error(request));
    }
    sgn_request_destroy(request);
    sgn_client_destroy(client);
    sgn_options_destroy(options);
    return err == SGN_OK ? 0 : 1;
}
