/* ring/net/skip.h - walks a msgpack body with fixed effort before the library may allocate for it.
 *
 * msgpack-c makes room for as many objects as a count in the input claims, before it has seen
 * one of them: five bytes can cost gigabytes. So a body goes through here first. It passes if it
 * is exactly one array of at most SGN_MSG_FIELDS_MAX items, each nil, bool, integer, str or bin,
 * or (for fields that a newer sender added) one flat array or map of these; if every length and
 * count is covered by bytes that are really there; if it holds at most SGN_SKIP_ITEMS_MAX items
 * in all; and if nothing follows it. */
#ifndef SGN_NET_SKIP_H
#define SGN_NET_SKIP_H

#include "ring/core/bytes.h"
#include "ring/core/err.h"
#include "ring/net/why.h"

#define SGN_SKIP_ITEMS_MAX 128u /* Objects msgpack-c will make of a body: about 3 KiB. */

/* SGN_ERR_PROTOCOL and a sentence if the body is not such. Reads only, allocates nothing. */
enum sgn_err sgn_skip_check(struct sgn_bytes body, struct sgn_why *why);

#endif
