/* ring/core/check.h - assertions that stay on in every build.
 *
 * SGN_ASSERT guards the program's own logic only. What came from the wire, a disk or a person is
 * data: it is validated and refused, never asserted upon.
 * The linking program supplies sgn_check_failed (the simulator's prints its seed first). */
#ifndef SGN_CORE_CHECK_H
#define SGN_CORE_CHECK_H

#include <stdint.h>

/* Says which condition broke and where, then ends the process. Never returns. */
_Noreturn void sgn_check_failed(const char *condition, const char *file, int line);

#define SGN_ASSERT(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            sgn_check_failed(#condition, __FILE__, __LINE__);                                      \
        }                                                                                          \
    } while (0)

/* Number of one bits. The one place for compiler builtins. */
static inline uint32_t sgn_popcount(uint32_t bits)
{
    return (uint32_t)__builtin_popcount(bits);
}

#endif
