/* What a broken assertion does in a test: says where, then dies so that the runner sees it. */
#include <stdio.h>
#include <stdlib.h>

#include "ring/core/check.h"

void sgn_check_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "assertion failed: %s at %s:%d\n", condition, file, line);
    abort();
}
