/* ring/net/crc.h - CRC32C (Castagnoli), the checksum of frames and stored records. Hardware
 * speed. */
#ifndef SGN_NET_CRC_H
#define SGN_NET_CRC_H

#include <stdint.h>

#include "ring/core/bytes.h"

/* The checksum of everything so far and these bytes behind it; begin with 0. Feeding bytes in
 * pieces gives the same as in one. Any thread. "123456789" gives 0xe3069283. */
uint32_t sgn_crc32c(uint32_t crc_so_far, struct sgn_bytes bytes);

#endif
