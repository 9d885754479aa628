/* node/prometheus.h - the node's counts as Prometheus text. Labels are of small fixed sets only. */
#ifndef SGN_NODE_PROMETHEUS_H
#define SGN_NODE_PROMETHEUS_H

#include "node/driver.h"

struct evbuffer;

void sgn_prometheus_write(const struct sgn_driver *driver, struct evbuffer *out);

#endif
