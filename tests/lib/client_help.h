/* Short ways to say what tests of the client say often, against the made-up nodes. */
#ifndef SGN_TESTS_CLIENT_HELP_H
#define SGN_TESTS_CLIENT_HELP_H

#include "client/signet.h"

/* A client of the first two nodes; extra: "name=value name=value". */
struct sgn_client *client_of(const char *extra);
struct sgn_client_counts counts_of(struct sgn_client *client);
struct sgn_receipt receipt_of(const struct sgn_request *request);
struct sgn_location locate(struct sgn_request *request, const char *key);
/* Run to their end, in the bucket default. */
int put(struct sgn_request *request, const char *key, const char *value);
int get(struct sgn_request *request, const char *key);

#endif
