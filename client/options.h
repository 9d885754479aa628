/* client/options.h - the client's settings, parsed. The table of options is in options.c. */
#ifndef SGN_CLIENT_OPTIONS_H
#define SGN_CLIENT_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "client/signet.h"
#include "ring/core/ring.h"

#define SGN_SEEDS_MAX   16u
#define SGN_SEEDS_BYTES 1280u /* 16 addresses of 63 bytes, with commas and blanks. */

struct sgn_settings {
    char seeds[SGN_SEEDS_BYTES];
    uint32_t seed_count;
    char seed_list[SGN_SEEDS_MAX][SGN_ADDRESS_BYTES_MAX + 1];
    char ring_name[SGN_RING_NAME_BYTES_MAX + 1];
    uint32_t timeout_ms;
    uint32_t connect_timeout_ms;
    uint32_t attempt_timeout_ms;
    uint32_t retries_max;
    uint32_t retry_wait_ms;
    uint32_t retry_wait_max_ms;
    uint32_t pool_per_node;
    uint32_t inflight_per_connection;
    uint32_t queue_max;
    uint32_t hedge_percent;
    uint32_t hedge_after_ms;
    uint32_t threads;
    char read[12];
    uint32_t read_mode; /* enum sgn_read_mode */
    sgn_log_fn *log;
    void *log_user;
    sgn_trace_fn *trace;
    void *trace_user;
};

void sgn_settings_init(struct sgn_settings *settings);
const struct sgn_settings *sgn_options_settings(const struct sgn_options *options);

#endif
