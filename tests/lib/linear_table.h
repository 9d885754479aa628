/* tests/lib/linear_table.h - histories as one line of text, and a checker that tries every order.
 *
 * One operation is `WHAT@FROM-UNTIL`, operations are parted by spaces, `K:` before one names a key
 * other than 1. Values are letters, `-` is nothing:
 *   Pa   put a            Ga   read a          G-  read nothing      D  delete
 *   Ca>b cas from a to b (`C->b` creates, `Ca>-` deletes)
 * After that the outcome: nothing for ok, `?` unknown, `!` fail, `x` rejected, `x=c` rejected and
 * was told that c stood there. */
#ifndef SGN_TESTS_LINEAR_TABLE_H
#define SGN_TESTS_LINEAR_TABLE_H

#include "bench/linear.h"

/* Replaces the history by the one that the text tells. Ends the test run on a text it cannot
 * read. */
void sgn_table_read(struct sgn_history *history, const char *text);

/* Is there an order? By trying them all: at most 12 operations, one key. */
bool sgn_table_brute(const struct sgn_history *history);

#endif
