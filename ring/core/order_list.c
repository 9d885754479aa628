#include "ring/core/order_inner.h"

void sgn_order_list_told(struct sgn_engine *engine,
                         struct sgn_op *op,
                         uint32_t member,
                         const struct sgn_witness_tell *tell)
{
    (void)engine;
    (void)op;
    (void)member;
    (void)tell;
}
