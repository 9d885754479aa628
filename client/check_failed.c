/* client/check_failed.c - a broken assertion inside the library: the process must not go on with
 * its state, and the library has no stream to write to. A program that links the archive and has a
 * function of this name keeps its own. */
#include <stdlib.h>

#include "ring/core/check.h"

void sgn_check_failed(const char *condition, const char *file, int line)
{
    (void)condition;
    (void)file;
    (void)line;
    abort();
}
