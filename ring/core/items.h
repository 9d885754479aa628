/* ring/core/items.h - a flat list of (key, value) pairs in bytes: what pages of lists, scans and
 * tree exchanges are made of. One item: u32 LE key bytes, key, u32 LE value bytes, value. */
#ifndef SGN_CORE_ITEMS_H
#define SGN_CORE_ITEMS_H

#include "ring/core/bytes.h"

#define SGN_ITEM_OVERHEAD_BYTES 8u

static inline void sgn_items_push(struct sgn_sink *sink,
                                  struct sgn_bytes key,
                                  struct sgn_bytes value)
{
    if (sink->full || sink->cap - sink->count < SGN_ITEM_OVERHEAD_BYTES + key.count + value.count) {
        sink->full = true; /* All or nothing: the items before stay whole. */
        return;
    }
    sgn_sink_uint(sink, key.count, 4);
    sgn_sink_put(sink, key.ptr, key.count);
    sgn_sink_uint(sink, value.count, 4);
    sgn_sink_put(sink, value.ptr, value.count);
}

/* Takes the next item; false at the end, and false with cursor->bad set on garbage. */
static inline bool sgn_items_next(struct sgn_cursor *cursor,
                                  struct sgn_bytes *key,
                                  struct sgn_bytes *value)
{
    if (cursor->bad || cursor->left == 0) {
        return false;
    }
    *key = sgn_cursor_take(cursor, sgn_cursor_uint(cursor, 4));
    *value = sgn_cursor_take(cursor, sgn_cursor_uint(cursor, 4));
    return !cursor->bad;
}

#endif
