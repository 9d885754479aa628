/* See client_help.h. */
#include "tests/lib/client_help.h"

#include <string.h>

#include "tests/lib/fake_nodes.h"
#include "tests/lib/fake_ordered.h"

struct sgn_client *client_of(const char *extra)
{
    char seeds[256];
    struct sgn_client *client = NULL;
    struct sgn_options *options = sgn_options_create();
    snprintf(seeds, sizeof(seeds), "%s,%s", fakes[0].address, fakes[1].address);
    CHECK_ERR(sgn_options_set(options, "seeds", seeds), SGN_OK);
    char copy[256];
    snprintf(copy, sizeof(copy), "%s", extra);
    char *rest = NULL;
    for (char *at = strtok_r(copy, " ", &rest); at != NULL; at = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(at, '=');
        CHECK(equals != NULL);
        *equals = '\0';
        CHECK_ERR(sgn_options_set(options, at, equals + 1), SGN_OK);
    }
    CHECK_ERR(sgn_client_create(&client, options), SGN_OK);
    sgn_options_destroy(options);
    return client;
}

struct sgn_client_counts counts_of(struct sgn_client *client)
{
    struct sgn_client_counts counts = {.struct_bytes = sizeof(counts)};
    sgn_client_stats(client, &counts);
    return counts;
}

struct sgn_receipt receipt_of(const struct sgn_request *request)
{
    struct sgn_receipt receipt = {.struct_bytes = sizeof(receipt)};
    sgn_request_receipt(request, &receipt);
    return receipt;
}

struct sgn_location locate(struct sgn_request *request, const char *key)
{
    struct sgn_location location = {.struct_bytes = sizeof(location)};
    sgn_request_locate(request, sgn_text("loose"), sgn_text(key));
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    CHECK_ERR(sgn_request_location(request, &location), SGN_OK);
    return location;
}

int put(struct sgn_request *request, const char *key, const char *value)
{
    sgn_request_put(request, sgn_text("loose"), sgn_text(key), sgn_text(value));
    return sgn_request_run(request);
}

int get(struct sgn_request *request, const char *key)
{
    sgn_request_get(request, sgn_text("loose"), sgn_text(key));
    return sgn_request_run(request);
}

static void set_guard(struct sgn_request *request,
                      enum guard guard,
                      const struct sgn_key_version *version)
{
    if (guard == IF_ABSENT) {
        sgn_request_set_if_absent(request);
    } else if (guard == IF_VERSION) {
        sgn_request_set_if_version(request, version);
    }
}

int put_if(struct sgn_request *request,
           const char *key,
           const char *value,
           enum guard guard,
           const struct sgn_key_version *version)
{
    sgn_request_put(request, sgn_text(FAKE_BUCKET), sgn_text(key), sgn_text(value));
    set_guard(request, guard, version);
    return sgn_request_run(request);
}

int del_if(struct sgn_request *request,
           const char *key,
           enum guard guard,
           const struct sgn_key_version *version)
{
    sgn_request_del(request, sgn_text(FAKE_BUCKET), sgn_text(key));
    set_guard(request, guard, version);
    return sgn_request_run(request);
}

int get_strict(struct sgn_request *request, const char *key)
{
    sgn_request_get(request, sgn_text(FAKE_BUCKET), sgn_text(key));
    return sgn_request_run(request);
}

struct sgn_key_version version_of(const struct sgn_request *request)
{
    struct sgn_key_version version;
    CHECK_ERR(sgn_request_key_version(request, &version), SGN_OK);
    return version;
}

bool same(const struct sgn_key_version *a, const struct sgn_key_version *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}
