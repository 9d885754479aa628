/* ring/net/msg_codec.h - struct sgn_msg to and from frames: header + msgpack array.
 *
 * The array holds the fields of the type in the order of ring/core/msg.h. Bytes fields are bin,
 * text and bucket are str, numbers are the shortest integer. A decoder takes str for bin and bin
 * for str. Threads: a decoder belongs to one thread; encoding needs nothing. */
#ifndef SGN_NET_MSG_CODEC_H
#define SGN_NET_MSG_CODEC_H

#include "ring/core/bytes.h"
#include "ring/core/err.h"
#include "ring/core/msg.h"
#include "ring/net/frame.h"
#include "ring/net/why.h"

struct sgn_msg_decoder; /* Holds msgpack's memory between messages. */

/* NULL if out of memory. */
struct sgn_msg_decoder *sgn_msg_decoder_create(void);
void sgn_msg_decoder_destroy(struct sgn_msg_decoder *decoder);

/* Room that is surely enough for the frame of msg (header included). */
size_t sgn_msg_frame_bytes_max(const struct sgn_msg *msg);

/* Appends one frame to the sink. SGN_ERR_INVALID for a type that is none; SGN_ERR_TOO_LARGE if a
 * field or the whole is above its limit, or the sink too small; the sink is then as it was. */
enum sgn_err sgn_msg_encode(const struct sgn_msg *msg, struct sgn_sink *sink, struct sgn_why *why);

/* Decodes a body whose header passed sgn_frame_decode and whose CRC was verified. Bytes in msg
 * point into `body`. SGN_ERR_PROTOCOL or SGN_ERR_TOO_LARGE with a sentence naming message and
 * field. */
enum sgn_err sgn_msg_decode(struct sgn_msg_decoder *decoder,
                            const struct sgn_frame *frame,
                            struct sgn_bytes body,
                            struct sgn_msg *msg,
                            struct sgn_why *why);

/* Header, CRC and body in one: the first whole frame of `bytes`, for tests, tools and fuzzers.
 * *used is 0 with SGN_OK if the frame is not all there yet. */
enum sgn_err sgn_msg_read(struct sgn_msg_decoder *decoder,
                          struct sgn_bytes bytes,
                          uint64_t types,
                          struct sgn_msg *msg,
                          size_t *used,
                          struct sgn_why *why);

#endif
