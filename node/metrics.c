#include "node/metrics.h"

const char *const sgn_metric_op_names[SGN_METRIC_OP_COUNT] = {
#define SGN_METRIC_OP_NAME(message, label) label,
    SGN_METRIC_OPS(SGN_METRIC_OP_NAME)
#undef SGN_METRIC_OP_NAME
};

const uint32_t sgn_latency_bounds_us[SGN_LATENCY_BUCKETS] = {50,
                                                             100,
                                                             200,
                                                             500,
                                                             1000,
                                                             2000,
                                                             5000,
                                                             10000,
                                                             20000,
                                                             50000,
                                                             100000,
                                                             200000,
                                                             500000,
                                                             1000000,
                                                             2000000,
                                                             5000000,
                                                             10000000};

static enum sgn_metric_op op_of(uint32_t type)
{
    static const uint8_t types[SGN_METRIC_OP_COUNT] = {
#define SGN_METRIC_OP_TYPE(message, label) SGN_MSG_##message,
        SGN_METRIC_OPS(SGN_METRIC_OP_TYPE)
#undef SGN_METRIC_OP_TYPE
    };
    uint32_t op = 0;
    while (op < SGN_METRIC_OP_COUNT && types[op] != type) {
        op++;
    }
    return (enum sgn_metric_op)op;
}

void sgn_metrics_request(struct sgn_metrics *metrics, uint32_t type, int err, uint64_t took_us)
{
    enum sgn_metric_op op = op_of(type);
    if (op == SGN_METRIC_OP_COUNT) {
        return;
    }
    uint32_t code =
        err <= 0 && err > -(int)SGN_METRIC_ERRORS ? (uint32_t)-err : SGN_METRIC_ERRORS - 1;
    metrics->results[op][code]++;
    metrics->count[op]++;
    metrics->sum_us[op] += took_us;
    for (uint32_t i = 0; i < SGN_LATENCY_BUCKETS; i++) {
        if (took_us <= sgn_latency_bounds_us[i]) {
            metrics->buckets[op][i]++;
            break;
        }
    }
}
