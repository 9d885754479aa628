/* client/cli/cli_help.c - help, the nearest word, version. */
#include <string.h>

#include "client/cli/cli.h"

#define NEAREST_BYTES_MAX 32u

void cli_help(FILE *out)
{
    (void)fputs("kv-cli - talk to a Signet ring\n\n"
                "  kv-cli local up                        start a ring of 3 nodes on this machine\n"
                "  kv-cli put default/greeting hello      a key is BUCKET/KEY\n"
                "  kv-cli get default/greeting\n\n"
                "Use: kv-cli [OPTION...] COMMAND [ARGUMENT...]\n\nCommands:\n",
                out);
    for (uint32_t i = 0; i < cli_command_count; i++) {
        if (cli_commands[i].help != NULL) {
            (void)fprintf(out, "  %-11s %s\n", cli_commands[i].name, cli_commands[i].help);
        }
    }
    (void)fputs("\nOptions (before or behind the command):\n", out);
    for (uint32_t i = 0; cli_global_flags[i].name != NULL; i++) {
        const struct cli_flag *flag = &cli_global_flags[i];
        (void)fprintf(out,
                      "  %-9s %-24s %s\n",
                      flag->name,
                      flag->value == NULL ? "" : flag->value,
                      flag->help);
    }
    (void)fputs(
        "\nThey may also stand in the environment (SIGNET_SEEDS) or in the config file, section\n"
        "[client] or [cluster.NAME] of ~/.config/signet/config; options come before environment,\n"
        "environment before file.\n"
        "Exit: 0 done, 1 failed, 2 wrong use, 3 no such key, 4 condition failed (rejected),\n"
        "5 outcome unknown (stat --token tells it), 6 timeout, 7 too few nodes, 8 refused,\n"
        "9 problems found, 130 interrupted.\n",
        out);
}

void cli_help_command(FILE *out, const struct cli_command *command)
{
    (void)fprintf(out,
                  "kv-cli %s %s\n  %s\n",
                  command->name,
                  command->args,
                  command->help == NULL ? "" : command->help);
    for (uint32_t i = 0; i < CLI_FLAGS_MAX && command->flags[i].name != NULL; i++) {
        const struct cli_flag *flag = &command->flags[i];
        (void)fprintf(out,
                      "%s  %-13s %-24s %s\n",
                      i == 0 ? "\nOptions:\n" : "",
                      flag->name,
                      flag->value == NULL ? "" : flag->value,
                      flag->help);
    }
    if (command->examples[0] != '\0') {
        (void)fprintf(out, "\nExamples:\n%s", command->examples);
    }
}

static void json_text(const char *before, const char *text)
{
    (void)fputs(before, stdout);
    cli_json_string(stdout, sgn_text(text == NULL ? "" : text));
}

static void json_flags(const struct cli_flag *flags, uint32_t most)
{
    for (uint32_t i = 0; i < most && flags[i].name != NULL; i++) {
        json_text(i > 0 ? ",{\"option\":" : "{\"option\":", flags[i].name);
        json_text(",\"value\":", flags[i].value);
        json_text(",\"help\":", flags[i].help);
        (void)putchar('}');
    }
}

/* The table, or one row of it, for programs that write front ends. */
static void help_json(const struct cli_command *only)
{
    bool first = true;
    (void)fputs("{\"schema\":1,\"commands\":[", stdout);
    for (uint32_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *command = &cli_commands[i];
        if (command->help == NULL || (only != NULL && only != command)) {
            continue;
        }
        json_text(first ? "{\"command\":" : ",{\"command\":", command->name);
        json_text(",\"arguments\":", command->args);
        json_text(",\"help\":", command->help);
        (void)fputs(",\"options\":[", stdout);
        json_flags(command->flags, CLI_FLAGS_MAX);
        (void)fputs("]}", stdout);
        first = false;
    }
    (void)fputs("],\"options\":[", stdout);
    json_flags(cli_global_flags, CLI_FLAGS_MAX);
    (void)fputs("]}\n", stdout);
}

int cli_help_run(struct cli *cli, const struct cli_call *call)
{
    const struct cli_command *command = NULL;
    if (call->arg_count > 0) {
        command = cli_find(call->args[0]);
        if (command == NULL || command->help == NULL) {
            return cli_unknown_command(call->args[0]);
        }
    }
    if (cli->format == CLI_JSON) {
        help_json(command);
    } else if (command == NULL) {
        cli_help(stdout);
    } else {
        cli_help_command(stdout, command);
    }
    return CLI_DONE;
}

int cli_version_run(struct cli *cli, const struct cli_call *call)
{
    (void)call;
    if (cli->format == CLI_JSON) {
        (void)printf(
            "{\"version\":\"%s\",\"library\":\"%s\"}\n", SGN_VERSION_TEXT, sgn_version_text());
    } else {
        (void)printf("kv-cli %s, libsignet %s\n", SGN_VERSION_TEXT, sgn_version_text());
    }
    return CLI_DONE;
}

/* Edits that turn one word into the other (Levenshtein), for short words. */
static uint32_t distance(const char *a, const char *b)
{
    uint32_t row[NEAREST_BYTES_MAX + 1];
    size_t b_count = strlen(b);
    if (strlen(a) > NEAREST_BYTES_MAX || b_count > NEAREST_BYTES_MAX) {
        return UINT32_MAX;
    }
    for (uint32_t j = 0; j <= b_count; j++) {
        row[j] = j;
    }
    for (uint32_t i = 1; a[i - 1] != '\0'; i++) {
        uint32_t corner = row[0];
        row[0] = i;
        for (uint32_t j = 1; j <= b_count; j++) {
            uint32_t change = corner + (a[i - 1] != b[j - 1]);
            corner = row[j];
            uint32_t step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < step ? change : step;
        }
    }
    return row[b_count];
}

const char *cli_nearest(const char *word, const char *const *known, uint32_t count)
{
    static char text[64];
    uint32_t best = UINT32_MAX;
    const char *nearest = NULL;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t edits = distance(word, known[i]);
        bool begins = strlen(word) > 2 && strncmp(word, known[i], strlen(word)) == 0;
        edits = begins ? 0 : edits;
        if (edits < best) {
            best = edits;
            nearest = known[i];
        }
    }
    if (nearest == NULL || best > 2) {
        return "";
    }
    (void)snprintf(text, sizeof(text), "; did you mean %s?", nearest);
    return text;
}
