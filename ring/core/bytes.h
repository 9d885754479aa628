/* ring/core/bytes.h - borrowed bytes, and the sink that encoders write into.
 *
 * A struct sgn_bytes never owns: whoever hands one out says how long it stays valid. To keep bytes
 * is to copy them. A sink is memory of a fixed size with a fill mark; writing past its end sets
 * `full` and drops the write, so an encoder checks once, at its end. */
#ifndef SGN_CORE_BYTES_H
#define SGN_CORE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* client/signet.h, the public header, has the same type; it is defined in one of the two. */
#ifndef SGN_BYTES_DEFINED
#define SGN_BYTES_DEFINED
struct sgn_bytes {
    const void *ptr;
    size_t count;
};
#endif

struct sgn_sink {
    uint8_t *ptr;
    size_t count; /* Bytes written. */
    size_t cap;
    bool full; /* A write did not fit; what is in the sink is not to be used. */
};

static inline struct sgn_bytes sgn_bytes_of(const void *ptr, size_t count)
{
    return (struct sgn_bytes){.ptr = ptr, .count = count};
}

static inline struct sgn_bytes sgn_bytes_str(const char *text)
{
    return sgn_bytes_of(text, strlen(text));
}

static inline bool sgn_bytes_equal(struct sgn_bytes a, struct sgn_bytes b)
{
    return a.count == b.count && (a.count == 0 || memcmp(a.ptr, b.ptr, a.count) == 0);
}

/* Order by bytes, a prefix before what it begins. Negative, 0 or positive as memcmp. */
static inline int sgn_bytes_compare(struct sgn_bytes a, struct sgn_bytes b)
{
    size_t least = a.count < b.count ? a.count : b.count;
    int order = least == 0 ? 0 : memcmp(a.ptr, b.ptr, least);
    return order != 0 ? order : (a.count > b.count) - (a.count < b.count);
}

static inline bool sgn_bytes_starts(struct sgn_bytes whole, struct sgn_bytes prefix)
{
    return whole.count >= prefix.count &&
           (prefix.count == 0 || memcmp(whole.ptr, prefix.ptr, prefix.count) == 0);
}

static inline struct sgn_sink sgn_sink_of(void *ptr, size_t cap)
{
    return (struct sgn_sink){.ptr = ptr, .cap = cap};
}

static inline struct sgn_bytes sgn_sink_bytes(const struct sgn_sink *sink)
{
    return sgn_bytes_of(sink->ptr, sink->count);
}

static inline void sgn_sink_put(struct sgn_sink *sink, const void *ptr, size_t count)
{
    if (sink->full || count > sink->cap - sink->count) {
        sink->full = true;
        return;
    }
    if (count > 0) {
        memcpy(sink->ptr + sink->count, ptr, count);
    }
    sink->count += count;
}

/* Little-endian integers of a fixed width: what is on a disk or in a frame is the same on every
 * machine. The reader of `get` vouches that the bytes are there. */
static inline void sgn_sink_uint(struct sgn_sink *sink, uint64_t value, uint32_t width_bytes)
{
    uint8_t raw[8];
    for (uint32_t i = 0; i < width_bytes; i++) {
        raw[i] = (uint8_t)(value >> (8 * i));
    }
    sgn_sink_put(sink, raw, width_bytes);
}

static inline uint64_t sgn_get_uint(const void *ptr, uint32_t width_bytes)
{
    const uint8_t *raw = ptr;
    uint64_t value = 0;
    for (uint32_t i = 0; i < width_bytes; i++) {
        value |= (uint64_t)raw[i] << (8 * i);
    }
    return value;
}

/* A reader over borrowed bytes: takes from the front; `bad` is set, once and for all, by a read
 * past the end (the mirror of the sink's `full`). */
struct sgn_cursor {
    const uint8_t *ptr;
    size_t left;
    bool bad;
};

static inline struct sgn_cursor sgn_cursor_of(struct sgn_bytes bytes)
{
    return (struct sgn_cursor){.ptr = bytes.ptr, .left = bytes.count};
}

static inline struct sgn_bytes sgn_cursor_take(struct sgn_cursor *cursor, size_t count)
{
    if (cursor->bad || count > cursor->left) {
        cursor->bad = true;
        return sgn_bytes_of(NULL, 0);
    }
    struct sgn_bytes taken = sgn_bytes_of(cursor->ptr, count);
    if (count > 0) {
        cursor->ptr += count;
        cursor->left -= count;
    }
    return taken;
}

static inline uint64_t sgn_cursor_uint(struct sgn_cursor *cursor, uint32_t width_bytes)
{
    struct sgn_bytes raw = sgn_cursor_take(cursor, width_bytes);
    return cursor->bad ? 0 : sgn_get_uint(raw.ptr, width_bytes);
}

#endif
