/* tests/lib/random_msg.h - a message of a given type with random content in every field it has. */
#ifndef SGN_TESTS_RANDOM_MSG_H
#define SGN_TESTS_RANDOM_MSG_H

#include "ring/core/key.h"
#include "ring/core/msg.h"
#include "ring/core/prng.h"

/* Numbers of every width, the edges among them. */
static inline uint64_t random_number(struct sgn_prng *prng)
{
    uint64_t bits = sgn_prng_below(prng, 65);
    return bits == 0 ? 0 : UINT64_MAX >> (64 - bits) >> sgn_prng_below(prng, 2);
}

/* Bytes out of `from`, which has from_count and outlives the message. */
static inline struct sgn_bytes random_bytes(struct sgn_prng *prng,
                                            struct sgn_bytes from,
                                            size_t most)
{
    size_t limit = most < from.count ? most : from.count;
    size_t count = sgn_prng_chance(prng, 300) ? sgn_prng_below(prng, limit + 1)
                                              : sgn_prng_below(prng, limit < 40 ? limit + 1 : 40);
    count = sgn_prng_chance(prng, 50) ? limit : count;
    return sgn_bytes_of((const uint8_t *)from.ptr + sgn_prng_below(prng, from.count - count + 1),
                        count);
}

static inline struct sgn_msg random_msg(struct sgn_prng *prng,
                                        enum sgn_msg_type type,
                                        struct sgn_bytes from)
{
    struct sgn_msg msg = {.type = type,
                          .request = (uint32_t)random_number(prng),
                          .epoch = (uint32_t)random_number(prng),
                          .forwarded = sgn_prng_chance(prng, 500)};
    for (const char *letter = sgn_msg_fields(type); *letter != '\0'; letter++) {
        size_t most = sgn_msg_field_bytes_max(*letter);
        switch (*letter) {
        case 'B': msg.bucket = random_bytes(prng, from, most); break;
        case 'K': msg.key = random_bytes(prng, from, most); break;
        case 'V': msg.value = random_bytes(prng, from, most); break;
        case 'C': msg.context = random_bytes(prng, from, most); break;
        case 'I': msg.items = random_bytes(prng, from, most); break;
        case 'A': msg.after = random_bytes(prng, from, most); break;
        case 'T': msg.text = random_bytes(prng, from, most); break;
        case 'i':
            for (uint32_t i = 0; i < SGN_REQUEST_ID_BYTES; i++) {
                msg.id.bytes[i] = (uint8_t)sgn_prng_next(prng);
            }
            break;
        case 'e': msg.err = (int32_t)(uint32_t)sgn_prng_next(prng); break;
        case 'N': msg.node = (uint32_t)random_number(prng); break;
        case 'f': msg.flags = (uint32_t)random_number(prng); break;
        case 'n': msg.n = (uint32_t)random_number(prng); break;
        case 's': msg.stamp = random_number(prng); break;
        case 'a': msg.a = random_number(prng); break;
        case 'b': msg.b = random_number(prng); break;
        case 'c': msg.c = random_number(prng); break;
        case 'd': msg.d = random_number(prng); break;
        default: break;
        }
    }
    return msg;
}

static inline bool same_msg(const struct sgn_msg *x, const struct sgn_msg *y)
{
    return x->type == y->type && x->request == y->request && x->epoch == y->epoch &&
           x->forwarded == y->forwarded && sgn_bytes_equal(x->bucket, y->bucket) &&
           sgn_bytes_equal(x->key, y->key) && sgn_bytes_equal(x->value, y->value) &&
           sgn_bytes_equal(x->context, y->context) && sgn_bytes_equal(x->items, y->items) &&
           sgn_bytes_equal(x->after, y->after) && sgn_bytes_equal(x->text, y->text) &&
           memcmp(x->id.bytes, y->id.bytes, SGN_REQUEST_ID_BYTES) == 0 && x->err == y->err &&
           x->node == y->node && x->flags == y->flags && x->n == y->n && x->stamp == y->stamp &&
           x->a == y->a && x->b == y->b && x->c == y->c && x->d == y->d;
}

#endif
