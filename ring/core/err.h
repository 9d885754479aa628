/* ring/core/err.h - every error of the ring: code, name and sentence from one table.
 *
 * 0 is success, errors are negative. The codes are on the wire and in people's scripts: a code is
 * never given a second meaning, new ones are added at the end. */
#ifndef SGN_CORE_ERR_H
#define SGN_CORE_ERR_H

#include <stdbool.h>

#include "ring/core/err_table.h"

/* client/signet.h has the same enum for the public; it is defined in one of the two. */
#ifndef SGN_ERR_DEFINED
#define SGN_ERR_DEFINED
enum sgn_err {
#define SGN_ERR_ENUM(name, code, retriable, text) name = code,
    SGN_ERR_TABLE(SGN_ERR_ENUM)
#undef SGN_ERR_ENUM
};
#endif

/* These three are also the client library's, which is otherwise compiled hidden. */
#pragma GCC visibility push(default)

/* "SGN_ERR_BUSY"; "SGN_ERR_UNLISTED" for a number that is not in the table. Static memory. */
const char *sgn_err_name(int err);

/* One sentence, no full stop, no key or node: the place that met the error adds those. Static. */
const char *sgn_err_text(int err);

/* Whether the same request may succeed if simply sent again. Returns 1 or 0. */
int sgn_err_is_retriable(int err);

#pragma GCC visibility pop

#endif
