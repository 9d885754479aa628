/* The reader and writer of histories: what is written is read back; broken files are refused with
 * the place of the fault. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "ring/core/prng.h"
#include "tests/lib/linear_table.h"
#include "tests/unit/linear_good.inc"

static bool read_string(struct sgn_history *history, const char *text, struct sgn_why *why)
{
    FILE *in = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    cr_assert(in != NULL);
    bool good_file = sgn_history_read(history, in, "file", why);
    fclose(in);
    return good_file;
}

#define LINE(op, input, output, times, outcome)                                                    \
    "{\"process\":1,\"op\":\"" op "\",\"key\":\"k\",\"input\":" input ",\"output\":" output        \
    "," times ",\"outcome\":\"" outcome "\"}\n"
#define TIMES "\"invoke_ns\":1,\"return_ns\":2"

Test(history, what_is_written_is_read_back)
{
    struct sgn_history history = {0};
    struct sgn_history again = {0};
    struct sgn_why why = {{0}};
    char *text = NULL;
    size_t bytes = 0;
    for (uint32_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        sgn_table_read(&history, good[i]);
        FILE *out = open_memstream(&text, &bytes);
        for (size_t j = 0; j < history.count; j++) {
            cr_assert(sgn_history_write_line(&history, &history.ops[j], out));
        }
        fclose(out);
        cr_assert(read_string(&again, text, &why), "%s", why.text);
        cr_assert_eq(again.count, history.count);
        char *twice = NULL;
        out = open_memstream(&twice, &bytes);
        for (size_t j = 0; j < again.count; j++) {
            cr_assert(sgn_history_write_line(&again, &again.ops[j], out));
        }
        fclose(out);
        cr_assert_str_eq(text, twice);
        free(text);
        free(twice);
        sgn_history_clear(&again);
    }
    sgn_history_clear(&history);
}

static const char ok[] = LINE("put", "\"a\\n\\u00e9\"", "null", TIMES, "ok") "\n  \n" LINE(
    "get", "null", "\"a\\n\\u00e9\"", TIMES, "ok")
    LINE("cas", "{\"expect\":null,\"value\":\"b\"}", "\"x\"", TIMES, "rejected")
        LINE("del", "null", "null", "\"invoke_ns\":1,\"return_ns\":null", "unknown");

static const char *const broken[] = {
    "{",
    "[]",
    "1",
    "null",
    "\"x\"",
    "{}",
    "\x01\xff\xfe",
    "{\"op\":\"put\"}",
    "{\"op\":\"get\",\"op\":\"put\"}",
    LINE("pat", "\"a\"", "null", TIMES, "ok"),
    LINE("put", "\"a\"", "null", TIMES, "fine"),
    LINE("put", "\"a\"", "null", TIMES, "rejected"),
    LINE("put", "null", "null", TIMES, "ok"),
    LINE("put", "7", "null", TIMES, "ok"),
    LINE("put", "\"\xff\"", "null", TIMES, "ok"),
    LINE("get", "\"a\"", "null", TIMES, "ok"),
    LINE("get", "null", "{}", TIMES, "ok"),
    LINE("cas", "\"a\"", "null", TIMES, "ok"),
    LINE("cas", "{\"value\":\"a\"}", "null", TIMES, "ok"),
    LINE("cas", "{\"expect\":1,\"value\":\"a\"}", "null", TIMES, "ok"),
    LINE("cas", "{\"expect\":\"x\",\"value\":\"a\"}", "{\"mat\":null}", TIMES, "rejected"),
    LINE("del", "null", "null", "\"invoke_ns\":3,\"return_ns\":2", "ok"),
    LINE("del", "null", "null", "\"invoke_ns\":-3,\"return_ns\":2", "ok"),
    LINE("del", "null", "null", "\"invoke_ns\":1.5,\"return_ns\":2", "ok"),
    LINE("del", "null", "null", "\"invoke_ns\":1,\"return_ns\":null", "ok"),
    "{\"process\":1,\"op\":\"del\",\"key\":7,\"invoke_ns\":1,\"return_ns\":2,\"outcome\":"
    "\"ok\"}",
};

Test(history, garbage_is_refused_by_file_and_line)
{
    struct sgn_history history = {0};
    struct sgn_why why = {{0}};
    cr_assert(read_string(&history, ok, &why), "%s", why.text);
    cr_assert_eq(history.count, 4);
    cr_assert_eq(history.ops[1].output, history.ops[0].value);
    sgn_history_clear(&history);
    for (uint32_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        char file[1024];
        snprintf(
            file, sizeof(file), "%s\n%s", LINE("put", "\"z\"", "null", TIMES, "ok"), broken[i]);
        cr_expect(!read_string(&history, file, &why), "%s", broken[i]);
        cr_expect_eq(strncmp(why.text, "file:3: ", 8), 0, "%s: %s", broken[i], why.text);
        cr_expect_eq(history.count, 0);
    }
    struct sgn_prng prng = {.state = 9};
    for (uint32_t i = 0; i < 20000;
         i++) { /* Bytes changed at random: refused or read, never worse. */
        char file[sizeof(ok)];
        memcpy(file, ok, sizeof(ok));
        for (uint32_t j = 0; j < 3; j++) {
            file[sgn_prng_below(&prng, sizeof(ok) - 1)] = (char)(1 + sgn_prng_below(&prng, 255));
        }
        (void)read_string(&history, file, &why);
        sgn_history_clear(&history);
    }
}
