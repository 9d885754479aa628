#include "ring/net/crc.h"

#include <isa-l/crc.h>

/* The library counts in int; a piece below that limit. */
#define CRC_PIECE_BYTES_MAX ((size_t)1 << 30)

uint32_t sgn_crc32c(uint32_t crc_so_far, struct sgn_bytes bytes)
{
    /* The library leaves the two inversions of the standard checksum to its caller. */
    uint32_t state = ~crc_so_far;
    const uint8_t *next = bytes.ptr;
    size_t left = bytes.count;
    while (left > 0) {
        size_t piece = left < CRC_PIECE_BYTES_MAX ? left : CRC_PIECE_BYTES_MAX;
        /* It does not write to its argument, though it does not say const. */
        state = crc32_iscsi((unsigned char *)(uintptr_t)next, (int)piece, state);
        next += piece;
        left -= piece;
    }
    return ~state;
}
