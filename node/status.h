/* node/status.h - what a node knows about itself and its ring, in words and as JSON. */
#ifndef SGN_NODE_STATUS_H
#define SGN_NODE_STATUS_H

#include "node/driver.h"

#define SGN_STATUS_SCHEMA 1u

struct sgn_health {
    const char *word; /* healthy, degraded, cannot write, starting, stopping */
    char reason[256]; /* One sentence; "" when healthy. */
    bool ready;       /* This node takes requests and can write. */
    bool ring_ok;     /* Enough nodes live for reads and writes by majority. */
};

void sgn_status_verdict(const struct sgn_driver *driver, struct sgn_health *verdict);

/* One JSON object, NUL-terminated, to be freed; NULL if out of memory. */
char *sgn_status_json(const struct sgn_driver *driver, size_t *bytes);

/* Partitions this node is first replica of, and any replica of. */
void sgn_status_partitions(const struct sgn_driver *driver, uint32_t *first, uint32_t *any);

/* node/status_fleet.c. One sentence: why strong reads are not all fast; "" when they are. */
void sgn_status_fast_why(const struct sgn_fleet_view *view, char *text, size_t bytes);
extern const char *const sgn_fast_path_words[]; /* By enum sgn_fast_path. */
struct evbuffer;
/* ,"name":... of the map, the witnesses, the replicas' standing and ordered buckets. */
void sgn_status_fleet(struct evbuffer *out, const struct sgn_driver *driver);
/* "..." with what JSON wants escaped. */
void sgn_status_string(struct evbuffer *out, const char *text);
void sgn_status_number(struct evbuffer *out, const char *name, uint64_t value);

#endif
