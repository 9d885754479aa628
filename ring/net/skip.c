#include "ring/net/skip.h"

#include "ring/core/limits.h"

/* What one item's first byte says: bytes of its length or number, its payload, its children. */
enum item_kind { ITEM_PLAIN, ITEM_BYTES, ITEM_ARRAY, ITEM_MAP, ITEM_REFUSED };

struct item {
    enum item_kind kind;
    uint32_t width; /* Bytes behind the first that hold a number or a length. */
    uint32_t fixed; /* Length or count when it is in the first byte itself. */
};

static struct item item_of_high(uint8_t first)
{
    switch (first) {
    case 0xc0: /* nil */
    case 0xc2: /* false */
    case 0xc3: /* true */ return (struct item){.kind = ITEM_PLAIN};
    case 0xc4: /* bin */
    case 0xc5:
    case 0xc6: return (struct item){.kind = ITEM_BYTES, .width = 1u << (first - 0xc4)};
    case 0xcc: /* unsigned */
    case 0xcd:
    case 0xce:
    case 0xcf: return (struct item){.kind = ITEM_PLAIN, .width = 1u << (first - 0xcc)};
    case 0xd0: /* signed */
    case 0xd1:
    case 0xd2:
    case 0xd3: return (struct item){.kind = ITEM_PLAIN, .width = 1u << (first - 0xd0)};
    case 0xd9: /* str */
    case 0xda:
    case 0xdb: return (struct item){.kind = ITEM_BYTES, .width = 1u << (first - 0xd9)};
    case 0xdc: /* array */
    case 0xdd: return (struct item){.kind = ITEM_ARRAY, .width = 2u << (first - 0xdc)};
    case 0xde: /* map */
    case 0xdf: return (struct item){.kind = ITEM_MAP, .width = 2u << (first - 0xde)};
    default: /* Floats and extension types: the ring has no such field, now or later. */
        return (struct item){.kind = ITEM_REFUSED};
    }
}

static struct item item_of(uint8_t first)
{
    if (first <= 0x7f || first >= 0xe0) { /* Small integers. */
        return (struct item){.kind = ITEM_PLAIN};
    }
    if (first <= 0x8f) {
        return (struct item){.kind = ITEM_MAP, .fixed = first & 0x0fu};
    }
    if (first <= 0x9f) {
        return (struct item){.kind = ITEM_ARRAY, .fixed = first & 0x0fu};
    }
    if (first <= 0xbf) {
        return (struct item){.kind = ITEM_BYTES, .fixed = first & 0x1fu};
    }
    return item_of_high(first);
}

/* Big-endian, as msgpack has it. */
static uint32_t length_at(const uint8_t *ptr, uint32_t width)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < width; i++) {
        value = (value << 8) | ptr[i];
    }
    return value;
}

struct walk {
    const uint8_t *ptr;
    size_t left;
    const char *wrong; /* The first thing that was not as it must be. */
};

/* Takes one item's head and, for bytes, its payload. *children is what must follow it inside. */
static enum item_kind walk_item(struct walk *walk, uint32_t *children)
{
    *children = 0;
    if (walk->left == 0) {
        walk->wrong = "it ends before its last item";
        return ITEM_REFUSED;
    }
    struct item item = item_of(walk->ptr[0]);
    if (item.kind == ITEM_REFUSED) {
        walk->wrong = "it holds an item of a kind the ring does not use";
        return ITEM_REFUSED;
    }
    if (item.width > walk->left - 1) {
        walk->wrong = "it ends inside an item";
        return ITEM_REFUSED;
    }
    uint32_t length = 0;
    if (item.kind != ITEM_PLAIN) {
        length = item.width > 0 ? length_at(walk->ptr + 1, item.width) : item.fixed;
    }
    walk->ptr += 1 + item.width;
    walk->left -= 1 + item.width;

    uint64_t least = item.kind == ITEM_MAP ? (uint64_t)2 * length : length;
    if (least > walk->left) { /* A child is at least one byte, so this bounds counts as well. */
        walk->wrong = "it announces more than it holds";
        return ITEM_REFUSED;
    }
    if (item.kind == ITEM_BYTES) {
        walk->ptr += length;
        walk->left -= length;
    } else {
        *children = least > UINT32_MAX ? UINT32_MAX : (uint32_t)least;
    }
    return item.kind;
}

/* The items inside a field that is itself a list: flat, few. */
static void walk_nested(struct walk *walk, uint32_t children, uint32_t *items_left)
{
    if (children > *items_left) {
        walk->wrong = "it holds too many items";
        return;
    }
    *items_left -= children;
    for (uint32_t i = 0; i < children; i++) {
        uint32_t deeper = 0;
        enum item_kind kind = walk_item(walk, &deeper);
        if (kind == ITEM_REFUSED) {
            return;
        }
        if (kind == ITEM_ARRAY || kind == ITEM_MAP) {
            walk->wrong = "it is nested too deep";
            return;
        }
    }
}

static void walk_body(struct walk *walk)
{
    uint32_t fields = 0;
    enum item_kind kind = walk_item(walk, &fields);
    if (kind == ITEM_REFUSED) {
        return;
    }
    if (kind != ITEM_ARRAY) {
        walk->wrong = "it is not an array";
        return;
    }
    if (fields > SGN_MSG_FIELDS_MAX) {
        walk->wrong = "it has too many fields";
        return;
    }
    uint32_t items_left = SGN_SKIP_ITEMS_MAX - fields;
    for (uint32_t i = 0; i < fields && walk->wrong == NULL; i++) {
        uint32_t children = 0;
        kind = walk_item(walk, &children);
        if (kind == ITEM_ARRAY || kind == ITEM_MAP) {
            walk_nested(walk, children, &items_left);
        }
    }
    if (walk->wrong == NULL && walk->left > 0) {
        walk->wrong = "something follows its last item";
    }
}

_Static_assert(SGN_MSG_DEPTH_MAX == 2, "a body is an array, and in it at most flat lists");
_Static_assert(SGN_MSG_FIELDS_MAX <= SGN_SKIP_ITEMS_MAX, "all fields count as items");

enum sgn_err sgn_skip_check(struct sgn_bytes body, struct sgn_why *why)
{
    struct walk walk = {.ptr = body.ptr, .left = body.count};
    walk_body(&walk);
    if (walk.wrong != NULL) {
        sgn_why_set(why, "a message body is not valid: %s", walk.wrong);
        return SGN_ERR_PROTOCOL;
    }
    return SGN_OK;
}
