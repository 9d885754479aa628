#include "ring/net/why.h"

#include <stdarg.h>
#include <stdio.h>

void sgn_why_set(struct sgn_why *why, const char *format, ...)
{
    if (why == NULL) {
        return;
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why->text, sizeof(why->text), format, args); /* A cut sentence is still one. */
    va_end(args);
}
