/* ring/net/frame.h - the 24 bytes before every message body.
 *
 *      0        2      3      4        6        8           12          16           20          24
 *      | magic  | ver  | type | flags  | zero   | request   | epoch     | body bytes | CRC32C    |
 *      | u16    | u8   | u8   | u16    | u16    | u32       | u32       | u32        | u32       |
 *
 * All little-endian. The CRC covers header bytes 0..19 and the body. A reader checks the header
 * before it makes room for the body: what it has not agreed to read, it does not allocate for. */
#ifndef SGN_NET_FRAME_H
#define SGN_NET_FRAME_H

#include <stdint.h>

#include "ring/core/bytes.h"
#include "ring/core/err.h"
#include "ring/core/limits.h"
#include "ring/net/why.h"

#define SGN_FRAME_MAGIC   0x6753u /* 'S' 'g' as bytes. */
#define SGN_FRAME_VERSION 1u      /* Also the number HELLO carries in c. */

#define SGN_FRAME_FORWARDED (1u << 0) /* Whom it reaches coordinates it; it is not passed on. */

struct sgn_frame {
    uint32_t type; /* enum sgn_msg_type */
    uint32_t flags;
    uint32_t request;
    uint32_t epoch;
    uint32_t body_bytes;
    uint32_t crc;
};

/* A set of message types, one bit per number: what one end of a connection takes from the other. */
#define SGN_TYPE_BIT(type) (UINT64_C(1) << (type))
#define SGN_TYPES_HELLO    SGN_TYPE_BIT(SGN_MSG_HELLO)
uint64_t sgn_types_requests(void); /* GET .. STATUS: what a client may send to a node. */
uint64_t sgn_types_peer(void);     /* And what one node may send another, answers aside. */
uint64_t sgn_types_answers(void);  /* RESULT and every other answer. */

/* Most body bytes a message of this type may have; 0 for a number that is no type. */
uint32_t sgn_frame_body_bytes_max(uint32_t type);

/* Writes the header of `frame` into raw; its `crc` is computed over the header and `body`, and
 * body_bytes is body.count, whatever the struct says. */
void sgn_frame_encode(const struct sgn_frame *frame,
                      struct sgn_bytes body,
                      uint8_t raw[SGN_FRAME_HEADER_BYTES]);

/* Reads and checks a header: SGN_ERR_PROTOCOL (no Signet frame, unknown flags, a type that is
 * not in `types`), SGN_ERR_VERSION, SGN_ERR_TOO_LARGE (more body than the type may have).
 * request is filled in whenever magic and version are right, so that a refusal can carry it. */
enum sgn_err sgn_frame_decode(const uint8_t raw[SGN_FRAME_HEADER_BYTES],
                              uint64_t types,
                              struct sgn_frame *frame,
                              struct sgn_why *why);

/* Compares the CRC. raw is the header as received. SGN_ERR_PROTOCOL if header or body were
 * damaged. */
enum sgn_err sgn_frame_verify(const uint8_t raw[SGN_FRAME_HEADER_BYTES],
                              struct sgn_bytes body,
                              struct sgn_why *why);

#endif
