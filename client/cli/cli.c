/* client/cli/cli.c - kv-cli: global options, parsing of one command, main. */
#include "client/cli/cli.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Noreturn void sgn_check_failed(const char *condition, const char *file, int line);
_Noreturn void sgn_check_failed(const char *condition, const char *file, int line)
{
    (void)fprintf(
        stderr, "kv-cli: %s:%d: this must hold and does not: %s\n", file, line, condition);
    abort();
}

const struct cli_command *cli_find(const char *name)
{
    for (uint32_t i = 0; i < cli_command_count; i++) {
        if (strcmp(cli_commands[i].name, name) == 0) {
            return &cli_commands[i];
        }
    }
    return NULL;
}

const char *cli_flag(const struct cli_call *call, const char *name)
{
    for (uint32_t i = 0; i < CLI_FLAGS_MAX && call->command->flags[i].name != NULL; i++) {
        if (strcmp(call->command->flags[i].name, name) == 0) {
            return call->flags[i];
        }
    }
    return NULL;
}

static bool parse_number(const char *text, uint32_t least, uint32_t most, uint32_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < least ||
        value > most) {
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

bool cli_flag_number(
    const struct cli_call *call, const char *name, uint32_t least, uint32_t most, uint32_t *out)
{
    const char *text = cli_flag(call, name);
    if (text == NULL || parse_number(text, least, most, out)) {
        return true;
    }
    (void)fprintf(
        stderr, "kv-cli: %s takes a number from %u to %u, not \"%s\"\n", name, least, most, text);
    return false;
}

bool cli_duration(const char *text, uint32_t *ms)
{
    char *end = NULL;
    double value = strtod(text, &end);
    double unit = strcmp(end, "ms") == 0                    ? 1
                  : strcmp(end, "s") == 0 || end[0] == '\0' ? 1000
                  : strcmp(end, "m") == 0                   ? 60000
                                                            : 0;
    if (end == text || unit <= 0 || value * unit < 1 || value * unit > 86400000) {
        return false;
    }
    *ms = (uint32_t)(value * unit);
    return true;
}

/* Index of the flag a word names, -1 when none; `value` is set to what follows a '='. */
static int flag_index(const struct cli_flag *flags, const char *word, const char **value)
{
    const char *equals = strchr(word, '=');
    size_t count = equals == NULL ? strlen(word) : (size_t)(equals - word);
    *value = equals == NULL ? NULL : equals + 1;
    for (int i = 0; flags[i].name != NULL; i++) {
        if (strlen(flags[i].name) == count && strncmp(flags[i].name, word, count) == 0) {
            return i;
        }
    }
    return -1;
}

static int unknown_flag(const struct cli_command *command, const char *word)
{
    const char *known[2 * CLI_FLAGS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; command != NULL && i < CLI_FLAGS_MAX && command->flags[i].name != NULL;
         i++) {
        known[count++] = command->flags[i].name;
    }
    for (uint32_t i = 0; cli_global_flags[i].name != NULL; i++) {
        known[count++] = cli_global_flags[i].name;
    }
    (void)fprintf(stderr, "kv-cli: unknown option %s%s\n", word, cli_nearest(word, known, count));
    return CLI_USAGE;
}

static const char *long_name(const char *word)
{
    static const struct {
        const char *letter, *name;
    } short_names[] = {
        {"-o", "--output"}, {"-c", "--cluster"}, {"-q", "--quiet"}, {"-v", "--verbose"}};
    for (uint32_t i = 0; i < sizeof(short_names) / sizeof(short_names[0]); i++) {
        if (strcmp(word, short_names[i].letter) == 0) {
            return short_names[i].name;
        }
    }
    return word;
}

static bool load_cluster(struct cli *cli, const char *name)
{
    char path[1024];
    char section[128];
    const char *base = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    const char *explicit_path = getenv("SIGNET_CLI_CONFIG");
    if (explicit_path != NULL) {
        (void)snprintf(path, sizeof(path), "%s", explicit_path);
    } else if (base != NULL && base[0] != '\0') {
        (void)snprintf(path, sizeof(path), "%s/signet/config", base);
    } else {
        (void)snprintf(path, sizeof(path), "%s/.config/signet/config", home == NULL ? "" : home);
    }
    (void)snprintf(
        section, sizeof(section), name == NULL ? "client" : "cluster.%s", name == NULL ? "" : name);
    int err = sgn_options_load_file(cli->options, path, section);
    if (err == SGN_ERR_NOT_FOUND && name == NULL) {
        return true; /* The file is optional; a cluster asked for by name is not. */
    }
    if (err != SGN_OK) {
        (void)fprintf(stderr, "kv-cli: %s\n", sgn_options_error(cli->options));
    }
    return err == SGN_OK;
}

static bool apply_global(struct cli *cli, const char *name, const char *value)
{
    static const char *const formats[] = {"table", "json", "raw"};
    static const char *const reads[] = {"eventual", "session", "strong"};
    if (strcmp(name, "--output") == 0 || strcmp(name, "--read") == 0) {
        bool is_format = name[2] == 'o';
        const char *const *names = is_format ? formats : reads;
        for (uint32_t i = 0; i < 3; i++) {
            if (strcmp(value, names[i]) == 0) {
                cli->format = is_format ? (enum cli_format)i : cli->format;
                cli->read = is_format ? cli->read : (enum sgn_read_mode)i;
                cli->has_read |= !is_format;
                return true;
            }
        }
        (void)fprintf(stderr,
                      "kv-cli: %s takes %s, %s or %s, not \"%s\"\n",
                      name,
                      names[0],
                      names[1],
                      names[2],
                      value);
        return false;
    }
    if (strcmp(name, "--timeout") == 0) {
        if (cli_duration(value, &cli->timeout_ms)) {
            return true;
        }
        (void)fprintf(
            stderr, "kv-cli: --timeout takes a time like 500ms, 2s or 1m, not \"%s\"\n", value);
        return false;
    }
    if (strcmp(name, "--seeds") == 0) {
        if (sgn_options_set(cli->options, "seeds", value) == SGN_OK) {
            return true;
        }
        (void)fprintf(stderr, "kv-cli: %s\n", sgn_options_error(cli->options));
        return false;
    }
    cli->quiet |= strcmp(name, "--quiet") == 0;
    cli->verbose |= strcmp(name, "--verbose") == 0;
    return true;
}

/* Takes the flag at words[*at], and its value. False after a sentence. */
static bool take_flag(
    struct cli *cli, struct cli_call *call, char **words, uint32_t count, uint32_t *at)
{
    const char *value = NULL;
    const char *word = long_name(words[*at]);
    const struct cli_flag *flags = call->command == NULL ? NULL : call->command->flags;
    int index = flags == NULL ? -1 : flag_index(flags, word, &value);
    bool global = index < 0;
    if (global) {
        flags = cli_global_flags;
        index = flag_index(flags, word, &value);
    }
    if (index < 0) {
        (void)unknown_flag(call->command, word);
        return false;
    }
    const struct cli_flag *flag = &flags[index];
    if (flag->value != NULL && value == NULL) {
        if (*at + 1 == count) {
            (void)fprintf(
                stderr, "kv-cli: %s needs a value: %s %s\n", flag->name, flag->name, flag->value);
            return false;
        }
        value = words[++*at];
    }
    if (flag->value == NULL && value != NULL) {
        (void)fprintf(stderr, "kv-cli: %s takes no value\n", flag->name);
        return false;
    }
    value = value == NULL ? "" : value;
    if (global) {
        return strcmp(flag->name, "--cluster") == 0 || apply_global(cli, flag->name, value);
    }
    call->flags[index] = value;
    return true;
}

int cli_unknown_command(const char *word)
{
    const char *known[64];
    uint32_t count = 0;
    for (uint32_t i = 0; i < cli_command_count && count < 64; i++) {
        if (cli_commands[i].help != NULL) {
            known[count++] = cli_commands[i].name;
        }
    }
    (void)fprintf(stderr,
                  "kv-cli: no command \"%s\"%s; kv-cli help lists them\n",
                  word,
                  cli_nearest(word, known, count));
    return CLI_USAGE;
}

int cli_run(struct cli *cli, char **words, uint32_t count)
{
    struct cli_call call = {0};
    static char *args[CLI_ARGS_MAX];
    bool only_args = false;
    for (uint32_t i = 0; i < count; i++) {
        bool is_flag = words[i][0] == '-' && words[i][1] != '\0' && !only_args;
        bool completes = call.command != NULL && call.command->help == NULL;
        if (is_flag && !completes && strcmp(words[i], "--") == 0) {
            only_args = true;
        } else if (is_flag && !completes &&
                   (strcmp(words[i], "--help") == 0 || strcmp(words[i], "-h") == 0)) {
            if (call.command != NULL) {
                cli_help_command(stdout, call.command);
            } else {
                cli_help(stdout);
            }
            return CLI_DONE;
        } else if (is_flag && !completes) {
            if (!take_flag(cli, &call, words, count, &i)) {
                return CLI_USAGE;
            }
        } else if (call.command == NULL) {
            call.command = cli_find(words[i]);
            if (call.command == NULL) {
                return cli_unknown_command(words[i]);
            }
        } else if (call.arg_count == CLI_ARGS_MAX) {
            (void)fprintf(stderr, "kv-cli: more than %u words\n", CLI_ARGS_MAX);
            return CLI_USAGE;
        } else {
            args[call.arg_count++] = words[i];
        }
    }
    call.args = args;
    if (call.command == NULL) {
        if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !cli->in_shell) {
            call.command = cli_find("shell");
        } else {
            cli_help(stderr);
            return CLI_USAGE;
        }
    }
    if (call.arg_count < call.command->args_min || call.arg_count > call.command->args_max) {
        (void)fprintf(
            stderr, "kv-cli: use: kv-cli %s %s\n", call.command->name, call.command->args);
        return CLI_USAGE;
    }
    return call.command->run(cli, &call);
}

/* The cluster's section must be read before the flags that overrule it. */
static const char *cluster_word(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--cluster=", 10) == 0) {
            return argv[i] + 10;
        }
        if ((strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--cluster") == 0) && i + 1 < argc) {
            return argv[i + 1];
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_DFL); /* `kv-cli list | head` ends quietly. */
    struct cli cli = {.format = isatty(STDOUT_FILENO) ? CLI_TABLE : CLI_RAW};
    cli.options = sgn_options_create();
    if (cli.options == NULL) {
        (void)fprintf(stderr, "kv-cli: out of memory\n");
        return CLI_FAILED;
    }
    if (!load_cluster(&cli, cluster_word(argc, argv))) {
        return CLI_USAGE;
    }
    if (sgn_options_load_env(cli.options) != SGN_OK) {
        (void)fprintf(stderr, "kv-cli: %s\n", sgn_options_error(cli.options));
        return CLI_USAGE;
    }
    int status = cli_run(&cli, argv + 1, (uint32_t)(argc - 1));
    sgn_client_destroy(cli.client);
    sgn_options_destroy(cli.options);
    if (fflush(stdout) != 0) {
        (void)fprintf(stderr, "kv-cli: stdout: %s\n", strerror(errno));
        status = status == CLI_DONE ? CLI_FAILED : status;
    }
    return status;
}
