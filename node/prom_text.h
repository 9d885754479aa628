/* node/prom_text.h - pieces of Prometheus text. Names get "signet_" before them. */
#ifndef SGN_NODE_PROM_TEXT_H
#define SGN_NODE_PROM_TEXT_H

#include <stdint.h>

struct evbuffer;

void sgn_prom_head(struct evbuffer *out, const char *name, const char *type, const char *help);
void sgn_prom_counter(struct evbuffer *out, const char *name, uint64_t value, const char *help);
void sgn_prom_gauge(struct evbuffer *out, const char *name, uint64_t value, const char *help);

/* What every process tells of itself: processor time and open files. */
void sgn_prom_process(struct evbuffer *out);

#endif
