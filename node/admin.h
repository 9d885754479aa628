/* node/admin.h - health, metrics and status over HTTP, for people and their tools.
 *
 *   GET /health/live     200 as long as the loop turns
 *   GET /health/ready    200 when requests are taken, else 503 and the reason
 *   GET /health/cluster  200 when enough nodes live for a majority, else 503 and the reason
 *   GET /metrics         Prometheus text
 *   GET /status          what STATUS answers, JSON
 *
 * Everything is answered from memory on the loop. No authentication: bind it where only operators
 * are.
 * Only GET without a body is taken; headers, bodies and times are bounded. Threads: the loop's. */
#ifndef SGN_NODE_ADMIN_H
#define SGN_NODE_ADMIN_H

#include "node/driver.h"

struct sgn_admin;

/* `driver` must outlive it. On failure `error` holds one sentence. */
enum sgn_err sgn_admin_create(struct sgn_driver *driver,
                              struct event_base *base,
                              const char *address,
                              struct sgn_admin **admin,
                              char *error,
                              size_t error_bytes);
void sgn_admin_destroy(struct sgn_admin *admin);

/* Where it listens. */
const char *sgn_admin_address(const struct sgn_admin *admin);

#endif
