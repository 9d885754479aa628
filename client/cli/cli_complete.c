/* client/cli/cli_complete.c - completion: the shells' scripts, and the words they are offered. */
#include <string.h>

#include "client/cli/cli.h"

/* Bash cuts words at ':' and '=' too, which keys may hold: the script reads the line anew, cut at
 * blanks only, and takes off the candidates what bash takes for an earlier word. */
static const char bash_script[] =
    "_kv_cli() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} begun before found i\n"
    "    local -a words\n"
    "    read -a words <<<\"$line\"\n"
    "    [[ $line == *[[:blank:]] ]] && words+=(\"\")\n"
    "    begun=${words[${#words[@]}-1]}\n"
    "    before=${begun%\"${begun##*[:=]}\"}\n"
    "    mapfile -t COMPREPLY < <(kv-cli __complete \"${words[@]:1}\" 2>/dev/null)\n"
    "    for i in \"${!COMPREPLY[@]}\"; do\n"
    "        printf -v found %q \"${COMPREPLY[i]#\"$before\"}\"\n"
    "        COMPREPLY[i]=$found\n"
    "    done\n"
    "    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]] && compopt -o nospace\n"
    "    [[ ${#COMPREPLY[@]} -eq 0 ]] && compopt -o default\n"
    "    return 0\n"
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
static const char fish_script[] = "function __kv_cli\n"
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
    (void)fprintf(stderr,
                  "kv-cli: there is completion for bash, zsh and fish, not for \"%s\"\n",
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
        sgn_request_list(
            request, (struct sgn_bytes){begun, (size_t)(slash - begun)}, sgn_text(slash + 1));
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
                (void)printf("%.*s/%.*s\n",
                             (int)(slash - begun),
                             begun,
                             (int)info.key.count,
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
    } else if (strcmp(command->name, "ring") == 0 && args == 0) {
        offer_words(begun, "plan|show|witness|group-size|force-fence");
    } else if (strcmp(command->name, "ring") == 0 && args == 1) {
        offer_words(begun, "add|drop|list"); /* Of witness; the others take no word or a number. */
    } else if (strcmp(command->name, "local") == 0 && args == 0) {
        offer_words(begun, "up|down|status|kill|start");
    } else if (strcmp(command->name, "completion") == 0) {
        offer_words(begun, "bash|zsh|fish");
    } else if (strncmp(command->args, "KEY", 3) == 0 || strncmp(command->args, "[KEY", 4) == 0 ||
               strstr(command->args, "BUCKET/") != NULL) {
        offer_keys(cli, begun);
    }
    return CLI_DONE;
}
