/* The option builder: every row of the table from every source, and every way to be wrong. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/options.h"

static void file_write(char *path, const char *text)
{
    snprintf(path, 64, "/tmp/sgn-options-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

Test(client_options, table_and_values)
{
    struct sgn_options *options = sgn_options_create();
    size_t count = 0;
    for (; sgn_options_name(count) != NULL; count++) {
        const char *name = sgn_options_name(count);
        /* Each default is valid, is what a new builder holds, and is documented. */
        cr_assert_str_eq(sgn_options_get(options, name), sgn_options_default(count), "%s", name);
        cr_assert_eq(
            sgn_options_set(options, name, sgn_options_default(count)), SGN_OK, "%s", name);
        cr_assert(strlen(sgn_options_help(count)) > 10);
    }
    cr_assert(count >= 12 && sgn_options_help(count) == NULL && sgn_options_default(count) == NULL);
    cr_assert_null(sgn_options_get(options, "no_such"));

    cr_assert_eq(sgn_options_set(options, "seeds", " 127.0.0.1:7301, [::1]:7302 "), SGN_OK);
    const struct sgn_settings *settings = sgn_options_settings(options);
    cr_assert_eq(settings->seed_count, 2u);
    cr_assert_str_eq(settings->seed_list[1], "[::1]:7302");
    cr_assert_eq(sgn_options_set(options, "timeout_ms", "3600000"), SGN_OK);
    cr_assert_eq(settings->timeout_ms, 3600000u);
    cr_assert_eq(settings->read_mode, (uint32_t)SGN_READ_EVENTUAL);
    cr_assert_eq(sgn_options_set(options, "read", "session"), SGN_OK);
    cr_assert_eq(settings->read_mode, (uint32_t)SGN_READ_SESSION);
    cr_assert_eq(sgn_options_set(options, "read", "strong"), SGN_OK);
    cr_assert_eq(settings->read_mode, (uint32_t)SGN_READ_STRONG);
    cr_assert_str_eq(sgn_options_get(options, "read"), "strong");
    sgn_options_destroy(options);
    sgn_options_destroy(NULL);
}

Test(client_options, refusals_say_option_and_why)
{
    struct {
        const char *name, *value, *word;
    } rows[] = {
        {"timeout_ms", "0", "range"},
        {"timeout_ms", "3600001", "3600000"},
        {"timeout_ms", "-5", "number"},
        {"timeout_ms", "5s", "number"},
        {"timeout_ms", "", "number"},
        {"timeout_ms", "99999999999999999999", "number"},
        {"seeds", "", "no address"},
        {"seeds", "localhost:7301", "localhost"},
        {"seeds", "127.0.0.1:0", "port"},
        {"seeds", "127.0.0.1", "127.0.0.1"},
        {"ring_name", "Not A Name", "ring"},
        {"read", "", "read mode"},
        {"read", "Strong", "eventual, session or strong"},
        {"timeot_ms", "5", "\"timeout_ms\""},
        {"pool_per_node", "17", "1..16"},
        {"threads", "2", "0..1"},
    };
    struct sgn_options *options = sgn_options_create();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_assert_eq(
            sgn_options_set(options, rows[i].name, rows[i].value), SGN_ERR_CONFIG, "%zu", i);
        const char *error = sgn_options_error(options);
        cr_assert_not_null(strstr(error, rows[i].name), "%zu: %s", i, error);
        cr_assert_not_null(strstr(error, rows[i].word), "%zu: %s", i, error);
    }
    for (size_t i = 0; sgn_options_name(i) != NULL; i++) { /* Nothing was changed. */
        cr_assert_str_eq(sgn_options_get(options, sgn_options_name(i)), sgn_options_default(i));
    }
    char many[17 * 16] = "";
    for (int i = 0; i < 17; i++) {
        memcpy(many + 15 * i, "127.0.0.1:7301,", 16);
    }
    cr_assert_eq(sgn_options_set(options, "seeds", many), SGN_ERR_CONFIG);
    cr_assert_eq(sgn_options_set(options, "seeds", NULL), SGN_ERR_CONFIG);
    cr_assert_eq(sgn_options_set(options, "queue_max", "10"), SGN_OK);
    cr_assert_str_empty(sgn_options_error(options));
    sgn_options_destroy(options);
}

Test(client_options, file_and_environment)
{
    char path[64];
    struct sgn_options *options = sgn_options_create();
    file_write(path,
               "# comment\n; another\n[node]\nlisten = somewhere\n[client]\r\n"
               " timeout_ms = 77 \nring_name=abc\n\n[cluster.far]\ntimeout_ms = 88\n");
    cr_assert_eq(
        sgn_options_load_file(options, path, NULL), SGN_OK, "%s", sgn_options_error(options));
    cr_assert_str_eq(sgn_options_get(options, "timeout_ms"), "77");
    cr_assert_str_eq(sgn_options_get(options, "ring_name"), "abc");
    cr_assert_eq(sgn_options_load_file(options, path, "cluster.far"), SGN_OK);
    cr_assert_str_eq(sgn_options_get(options, "timeout_ms"), "88");
    cr_assert_eq(sgn_options_load_file(options, path, "cluster.near"), SGN_ERR_NOT_FOUND);
    cr_assert_not_null(strstr(sgn_options_error(options), "[cluster.near]"));
    unlink(path);
    cr_assert_eq(sgn_options_load_file(options, path, NULL), SGN_ERR_NOT_FOUND);

    const char *bad[] = {"[client]\ntimeout_ms = 5\nretries = 3\n",
                         "[client]\nqueue_max = 5\nwhat\n",
                         "[client]\nqueue_max = 5\n[open\n"};
    for (size_t i = 0; i < 3; i++) {
        file_write(path, bad[i]);
        cr_assert_eq(sgn_options_load_file(options, path, NULL), SGN_ERR_CONFIG);
        cr_assert_not_null(
            strstr(sgn_options_error(options), ":3:"), "%s", sgn_options_error(options));
        unlink(path);
    }
    cr_assert_str_eq(sgn_options_get(options, "timeout_ms"), "88"); /* All or nothing. */
    cr_assert_str_eq(sgn_options_get(options, "queue_max"), "4096");

    setenv("SIGNET_SEEDS", "127.0.0.1:9", 1);
    setenv("SIGNET_HEDGE_PERCENT", "50", 1);
    cr_assert_eq(sgn_options_load_env(options), SGN_OK);
    cr_assert_str_eq(sgn_options_get(options, "seeds"), "127.0.0.1:9");
    cr_assert_str_eq(sgn_options_get(options, "hedge_percent"), "50");
    setenv("SIGNET_HEDGE_PERCENT", "101", 1);
    setenv("SIGNET_SEEDS", "127.0.0.1:10", 1);
    cr_assert_eq(sgn_options_load_env(options), SGN_ERR_CONFIG);
    cr_assert_not_null(strstr(sgn_options_error(options), "SIGNET_HEDGE_PERCENT"));
    cr_assert_str_eq(sgn_options_get(options, "seeds"), "127.0.0.1:9");
    sgn_options_destroy(options);
}
