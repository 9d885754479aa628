/* client/cli/cli_help.c - help, completion, the nearest word, version. */
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
        (void)fprintf(out, "  %-9s %-24s %s\n", flag->name, flag->value == NULL ? "" : flag->value,
                      flag->help);
    }
    (void)fputs("\nThey may also stand in the environment (SIGNET_SEEDS) or in the config file, section\n"
                "[client] or [cluster.NAME] of ~/.config/signet/config; options come before environment,\n"
                "environment before file.\n"
                "Exit: 0 done, 1 failed, 2 wrong use, 3 no such key, 4 condition failed, 5 outcome unknown,\n"
                "6 timeout, 7 too few nodes, 8 refused, 9 problems found, 130 interrupted.\n",
                out);
}

void cli_help_command(FILE *out, const struct cli_command *command)
{
    (void)fprintf(out, "kv-cli %s %s\n  %s\n", command->name, command->args,
                  command->help == NULL ? "" : command->help);
    for (uint32_t i = 0; i < CLI_FLAGS_MAX && command->flags[i].name != NULL; i++) {
        const struct cli_flag *flag = &command->flags[i];
        (void)fprintf(out, "%s  %-13s %-24s %s\n", i == 0 ? "\nOptions:\n" : "", flag->name,
                      flag->value == NULL ? "" : flag->value, flag->help);
    }
    if (command->examples[0] != '\0') {
        (void)fprintf(out, "\nExamples:\n%s", command->examples);
    }
}

int cli_help_run(struct cli *cli, const struct cli_call *call)
{
    (void)cli;
    if (call->arg_count == 0) {
        cli_help(stdout);
        return CLI_DONE;
    }
    const struct cli_command *command = cli_find(call->args[0]);
    if (command == NULL) {
        (void)fprintf(stderr, "kv-cli: no command \"%s\"; kv-cli help lists them\n", call->args[0]);
        return CLI_USAGE;
    }
    cli_help_command(stdout, command);
    return CLI_DONE;
}

int cli_version_run(struct cli *cli, const struct cli_call *call)
{
    (void)call;
    if (cli->format == CLI_JSON) {
        (void)printf("{\"version\":\"%s\",\"library\":\"%s\"}\n", SGN_VERSION_TEXT, sgn_version_text());
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

static const char bash_script[] =
    "_kv_cli() {\n"
    "    local IFS=$'\\n'\n"
    "    local word=\"${COMP_LINE:0:COMP_POINT}\"\n"
    "    [[ $COMP_WORDBREAKS == *:* ]] || true\n"
    "    COMPREPLY=($(kv-cli __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null))\n"
    "    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]] && compopt -o nospace\n"
    "    [[ ${#COMPREPLY[@]} -eq 0 ]] && compopt -o default\n"
    "    : \"$word\"\n"
    "}\n"
    "complete -F _kv_cli kv-cli\n";
static const char zsh_script[] =
    "#compdef kv-cli\n"
    "_kv_cli() {\n"
    "    local -a found\n"
    "    found=(\"${(@f)$(kv-cli __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
    "    if [[ -n ${found[1]} ]]; then compadd -Q -- $found; else _files; fi\n"
    "}\n"
    "compdef _kv_cli kv-cli\n";
static const char fish_script[] =
    "function __kv_cli\n"
    "    set -l words (commandline -opc) (commandline -ct)\n"
    "    kv-cli __complete $words[2..-1] 2>/dev/null\n"
    "end\n"
    "complete -c kv-cli -a '(__kv_cli)'\n";

int cli_completion_run(struct cli *cli, const struct cli_call *call)
{
    (void)cli;
    static const struct {
        const char *shell, *script;
    } scripts[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};
    for (uint32_t i = 0; i < 3; i++) {
        if (strcmp(call->args[0], scripts[i].shell) == 0) {
            (void)fputs(scripts[i].script, stdout);
            return CLI_DONE;
        }
    }
    (void)fprintf(stderr, "kv-cli: there is completion for bash, zsh and fish, not for \"%s\"\n",
                  call->args[0]);
    return CLI_USAGE;
}

static void offer(const char *begun, const char *word)
{
    if (strncmp(begun, word, strlen(begun)) == 0) {
        (void)printf("%s\n", word);
    }
}

static void offer_flags(const char *begun, const struct cli_flag *flags, uint32_t most)
{
    for (uint32_t i = 0; i < most && flags[i].name != NULL; i++) {
        offer(begun, flags[i].name);
    }
}

/* Keys and buckets that continue the word: one bounded page, half a second at most. */
static void offer_keys(struct cli *cli, const char *begun)
{
    if (!cli_connect(cli)) {
        return;
    }
    struct sgn_request *request = cli_request(cli);
    if (request == NULL) {
        return;
    }
    const char *slash = strchr(begun, '/');
    if (slash == NULL) {
        sgn_request_bucket_list(request);
    } else {
        sgn_request_list(request, (struct sgn_bytes){begun, (size_t)(slash - begun)},
                         sgn_text(slash + 1));
        sgn_request_set_list_limit(request, 50);
    }
    sgn_request_set_timeout(request, 500);
    if (sgn_request_run(request) == SGN_OK) {
        for (uint32_t i = 0; i < sgn_request_bucket_count(request); i++) {
            struct sgn_bucket_info info = {.struct_bytes = sizeof(info)};
            char word[sizeof(info.name) + 1];
            (void)sgn_request_bucket_info(request, i, &info);
            (void)snprintf(word, sizeof(word), "%s/", info.name);
            offer(begun, word);
        }
        for (uint32_t i = 0; i < sgn_request_item_count(request); i++) {
            struct sgn_item_info info = {.struct_bytes = sizeof(info)};
            (void)sgn_request_item(request, i, &info);
            if (cli_is_text(info.key)) {
                (void)printf("%.*s/%.*s\n", (int)(slash - begun), begun, (int)info.key.count,
                             (const char *)info.key.ptr);
            }
        }
    }
    sgn_request_destroy(request);
}

static void offer_words(const char *begun, const char *list)
{
    char copy[128];
    (void)snprintf(copy, sizeof(copy), "%s", list);
    char *rest = NULL;
    for (char *word = strtok_r(copy, "|", &rest); word != NULL; word = strtok_r(NULL, "|", &rest)) {
        offer(begun, word);
    }
}

/* __complete WORD...: one candidate a line for the last word. */
int cli_complete_run(struct cli *cli, const struct cli_call *call)
{
    const char *begun = call->arg_count == 0 ? "" : call->args[call->arg_count - 1];
    const struct cli_command *command = NULL;
    uint32_t args = 0;
    for (uint32_t i = 0; i + 1 < call->arg_count; i++) {
        if (call->args[i][0] == '-') {
            continue;
        }
        args += command != NULL;
        command = command == NULL ? cli_find(call->args[i]) : command;
    }
    if (begun[0] == '-') {
        if (command != NULL) {
            offer_flags(begun, command->flags, CLI_FLAGS_MAX);
        }
        offer_flags(begun, cli_global_flags, CLI_FLAGS_MAX);
    } else if (command == NULL || strcmp(command->name, "help") == 0) {
        for (uint32_t i = 0; i < cli_command_count; i++) {
            if (cli_commands[i].help != NULL) {
                offer(begun, cli_commands[i].name);
            }
        }
    } else if (strcmp(command->name, "bucket") == 0 && args == 0) {
        offer_words(begun, "create|list|delete");
    } else if (strcmp(command->name, "local") == 0 && args == 0) {
        offer_words(begun, "up|down|status|kill|start");
    } else if (strcmp(command->name, "completion") == 0) {
        offer_words(begun, "bash|zsh|fish");
    } else if (strncmp(command->args, "KEY", 3) == 0 || strstr(command->args, "BUCKET/") != NULL) {
        offer_keys(cli, begun);
    }
    return CLI_DONE;
}
