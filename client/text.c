/* client/text.c - bytes as text that passes through shells, URLs and files unharmed: base64 with
 * '-' and '_' (RFC 4648 section 5), no padding. */
#include "client/inner.h"
#include "ring/core/check.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void sgn_text_encode(struct sgn_bytes bytes, char *text, size_t text_bytes)
{
    SGN_ASSERT(text_bytes > (bytes.count * 4 + 2) / 3);
    const uint8_t *raw = bytes.ptr;
    uint32_t held = 0;
    uint32_t held_bits = 0;
    size_t at = 0;
    for (size_t i = 0; i < bytes.count; i++) {
        held = (held << 8 | raw[i]) & 0xffffu;
        held_bits += 8;
        while (held_bits >= 6) {
            held_bits -= 6;
            text[at++] = letters[held >> held_bits & 63u];
        }
    }
    if (held_bits > 0) {
        text[at++] = letters[held << (6 - held_bits) & 63u];
    }
    text[at] = '\0';
}

int sgn_text_decode(const char *text, struct sgn_sink *sink)
{
    uint32_t held = 0;
    uint32_t held_bits = 0;
    size_t start = sink->count;
    for (; *text != '\0'; text++) {
        const char *letter = strchr(letters, *text);
        if (letter == NULL) {
            return SGN_ERR_INVALID;
        }
        held = (held << 6 | (uint32_t)(letter - letters)) & 0xffffu;
        held_bits += 6;
        if (held_bits >= 8) {
            held_bits -= 8;
            uint8_t byte = (uint8_t)(held >> held_bits);
            sgn_sink_put(sink, &byte, 1);
        }
    }
    /* One text for one value: what is left over must be less than a letter, and zero. */
    if (sink->full || held_bits >= 6 || (held & ((1u << held_bits) - 1u)) != 0) {
        sink->count = start;
        return SGN_ERR_INVALID;
    }
    return SGN_OK;
}

int sgn_struct_out(void *to, const void *from, size_t bytes)
{
    size_t wanted;
    memcpy(&wanted, to, sizeof(wanted));
    if (wanted < sizeof(wanted)) {
        return SGN_ERR_INVALID;
    }
    size_t copied = wanted < bytes ? wanted : bytes;
    memset(to, 0, wanted);
    memcpy(to, from, copied);
    memcpy(to, &wanted, sizeof(wanted));
    return SGN_OK;
}
