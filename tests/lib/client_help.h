/* Short ways to say what tests of the client say often, against the made-up nodes. */
#ifndef SGN_TESTS_CLIENT_HELP_H
#define SGN_TESTS_CLIENT_HELP_H

#include <stdbool.h>

#include "client/signet.h"

/* A client of the first two nodes; extra: "name=value name=value". */
struct sgn_client *client_of(const char *extra);
struct sgn_client_counts counts_of(struct sgn_client *client);
struct sgn_receipt receipt_of(const struct sgn_request *request);
struct sgn_location locate(struct sgn_request *request, const char *key);
/* Run to their end, in the bucket default. */
int put(struct sgn_request *request, const char *key, const char *value);
int get(struct sgn_request *request, const char *key);

/* The same in the ordered bucket; `version` for IF_VERSION. */
enum guard { BLIND, IF_ABSENT, IF_VERSION };
int put_if(struct sgn_request *request,
           const char *key,
           const char *value,
           enum guard guard,
           const struct sgn_key_version *version);
int del_if(struct sgn_request *request,
           const char *key,
           enum guard guard,
           const struct sgn_key_version *version);
int get_strict(struct sgn_request *request, const char *key);
/* Of a result that has one. */
struct sgn_key_version version_of(const struct sgn_request *request);
bool same(const struct sgn_key_version *a, const struct sgn_key_version *b);

#endif
