/* Asks and tells as bytes, and the hash by which witnesses know a key. */
#include <stdlib.h>

#include "ring/core/witness.h"

/* As in key.c: nothing of the hash that allocates is called, and no such name may be left over. */
#define malloc(size) ((void)(size), NULL)
#define free(ptr)    ((void)(ptr))
#define XXH_INLINE_ALL
#include <xxhash.h>
#undef malloc
#undef free

#include "ring/core/key.h"

struct sgn_key_hash sgn_key_hash_of(struct sgn_bytes full_key, uint64_t hash_seed)
{
    return (struct sgn_key_hash){
        .hash = sgn_hash(full_key),
        .keyed = XXH3_64bits_withSeed(full_key.ptr, full_key.count, hash_seed),
    };
}

static bool what_known(uint64_t what)
{
    return what >= SGN_WITNESS_MARK && what <= SGN_WITNESS_LIST;
}

void sgn_witness_ask_put(struct sgn_sink *sink, const struct sgn_witness_ask *ask)
{
    sgn_sink_uint(sink, ask->what, 4); /* And three zero bytes. */
    sgn_sink_uint(sink, ask->tag, 4);
    sgn_sink_uint(sink, ask->partition, 4);
    sgn_sink_uint(sink, ask->epoch, 4);
    sgn_sink_uint(sink, ask->key.hash, 8);
    sgn_sink_uint(sink, ask->key.keyed, 8);
    sgn_ballot_put(sink, &ask->ballot);
}

bool sgn_witness_ask_take(struct sgn_cursor *cursor, struct sgn_witness_ask *ask)
{
    uint64_t head = sgn_cursor_uint(cursor, 4);
    ask->tag = (uint32_t)sgn_cursor_uint(cursor, 4);
    ask->partition = (uint32_t)sgn_cursor_uint(cursor, 4);
    ask->epoch = (uint32_t)sgn_cursor_uint(cursor, 4);
    ask->key.hash = sgn_cursor_uint(cursor, 8);
    ask->key.keyed = sgn_cursor_uint(cursor, 8);
    ask->ballot = sgn_ballot_take(cursor);
    ask->what = (uint8_t)head;
    cursor->bad = cursor->bad || !what_known(head);
    return !cursor->bad;
}

void sgn_witness_tell_put(struct sgn_sink *sink, const struct sgn_witness_tell *tell)
{
    sgn_sink_uint(sink, tell->what | (uint64_t)tell->status << 8, 4);
    sgn_sink_uint(sink, tell->tag, 4);
    sgn_ballot_put(sink, &tell->ballot);
    if (tell->what == SGN_WITNESS_LIST) {
        sgn_sink_uint(sink, tell->mark_count, 4);
        sgn_sink_put(sink, tell->marks.ptr, tell->marks.count);
    }
}

bool sgn_witness_tell_take(struct sgn_cursor *cursor, struct sgn_witness_tell *tell)
{
    uint64_t head = sgn_cursor_uint(cursor, 4);
    *tell = (struct sgn_witness_tell){.what = (uint8_t)head, .status = (uint8_t)(head >> 8)};
    tell->tag = (uint32_t)sgn_cursor_uint(cursor, 4);
    tell->ballot = sgn_ballot_take(cursor);
    cursor->bad = cursor->bad || head >> 16 != 0 || !what_known(tell->what) ||
                  tell->what == SGN_WITNESS_SETTLE || tell->status > SGN_WITNESS_NOT_MEMBER;
    if (!cursor->bad && tell->what == SGN_WITNESS_LIST) {
        tell->mark_count = (uint32_t)sgn_cursor_uint(cursor, 4);
        tell->marks = sgn_cursor_take(cursor, (size_t)tell->mark_count * SGN_MARK_BYTES);
    }
    return !cursor->bad;
}
