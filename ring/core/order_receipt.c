/* The receipt of a read: what it met on its way, as JSON, for `get --explain`. */
#include "ring/core/order_inner.h"

static void pair_uint(struct sgn_sink *text, const char *name, uint64_t value)
{
    sgn_text_str(text, name);
    sgn_text_uint(text, value);
}

static void witnesses(struct sgn_engine *engine, const struct sgn_op *op, struct sgn_sink *text)
{
    static const char *const words[] = {"none", "active", "warming", "stale", "not-member"};
    const struct sgn_line *line = sgn_order_line(engine, op->partition);
    sgn_text_str(text, ",\"witnesses\":[");
    const char *comma = "";
    for (uint32_t i = 0; i < line->group_count; i++) {
        uint8_t told = op->receipt.told[i];
        sgn_text_str(text, comma);
        pair_uint(text, "{\"id\":", line->group[i].id & ~SGN_WITNESS_BIT);
        sgn_text_str(text, ",\"answer\":\"");
        sgn_text_str(text, told < sizeof(words) / sizeof(words[0]) ? words[told] : "none");
        sgn_text_str(text, "\"}");
        comma = ",";
    }
    sgn_text_str(text, "]");
}

void sgn_receipt_text(struct sgn_engine *engine,
                      const struct sgn_op *op,
                      const struct sgn_version *version,
                      struct sgn_sink *text)
{
    static const char *const paths[] = {"local", "fast", "quorum", "round"};
    const struct sgn_receipt *receipt = &op->receipt;
    uint64_t end = engine->now_us;
    pair_uint(text, "{\"replica\":", engine->options.node);
    sgn_text_str(text, ",\"path\":\"");
    sgn_text_str(text, paths[receipt->path & 3]);
    pair_uint(text, "\",\"partition\":", op->partition);
    pair_uint(text, ",\"epoch\":", sgn_order_line(engine, op->partition)->epoch);
    pair_uint(text, ",\"rev\":", version->rev);
    witnesses(engine, op, text);
    uint64_t checked = receipt->checked_us != 0 ? receipt->checked_us : receipt->began_us;
    uint64_t read = receipt->read_us >= checked && receipt->read_us != 0 ? receipt->read_us : end;
    pair_uint(text, ",\"us\":{\"witnesses\":", checked - receipt->began_us);
    pair_uint(text, ",\"record\":", receipt->path <= 1 ? read - checked : 0);
    pair_uint(text, ",\"replicas\":", receipt->path > 1 ? end - checked : 0);
    pair_uint(text, ",\"all\":", end - receipt->began_us);
    sgn_text_str(text, "}}");
}
