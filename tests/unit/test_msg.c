#include <criterion/criterion.h>

#include "ring/core/msg.h"

Test(msg, the_table_is_sound)
{
    uint32_t known = 0;
    uint32_t answers = 0;
    for (uint32_t type = 0; type < 300; type++) {
        const char *fields = sgn_msg_fields(type);
        if (fields == NULL) {
            cr_assert_str_eq(sgn_msg_name(type), "?");
            cr_assert_not(sgn_msg_is_answer(type));
            continue;
        }
        known++;
        answers += sgn_msg_is_answer(type);
        size_t largest = 0;
        size_t rest = 0;
        for (size_t i = 0; fields[i] != '\0'; i++) {
            cr_assert_not_null(strchr("BKVCIATisefNnabcd", fields[i]), "%s", sgn_msg_name(type));
            size_t bytes = sgn_msg_field_bytes_max(fields[i]);
            rest += bytes > largest ? largest : bytes;
            largest = bytes > largest ? bytes : largest;
        }
        /* RESULT alone has two large fields, and never fills both. */
        cr_assert(type == SGN_MSG_RESULT || largest + rest + 256 <= SGN_FRAME_BODY_BYTES_MAX);
        cr_assert(strlen(fields) <= SGN_MSG_FIELDS_MAX);
    }
    cr_assert_eq(known, 42);
    cr_assert_eq(answers, 10);
    cr_assert_str_eq(sgn_msg_name(SGN_MSG_REPL_PUT), "REPL_PUT");
    cr_assert_str_eq(sgn_msg_fields(SGN_MSG_TREE_ROOTS), "IN");
    cr_assert_eq(sgn_msg_field_bytes_max('K'), SGN_KEY_BYTES_MAX);
    cr_assert_eq(sgn_msg_field_bytes_max('n'), 0);
}
