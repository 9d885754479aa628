/* client/cli/cli_man.c - the manual page, from the table of commands. */
#include <string.h>

#include "client/cli/cli.h"

/* Backslashes, dashes and leading dots mean something to troff. */
static void put(const char *text)
{
    bool begins = true;
    for (; *text != '\0'; text++) {
        if (begins && (*text == '.' || *text == '\'')) {
            (void)fputs("\\&", stdout);
        }
        begins = *text == '\n';
        if (*text == '-') {
            (void)fputs("\\-", stdout);
        } else if (*text == '\\') {
            (void)fputs("\\e", stdout);
        } else {
            (void)putchar(*text);
        }
    }
}

static void put_flags(const struct cli_flag *flags, uint32_t most)
{
    for (uint32_t i = 0; i < most && flags[i].name != NULL; i++) {
        (void)fputs(".TP\n\\fB", stdout);
        put(flags[i].name);
        (void)fputs("\\fR", stdout);
        if (flags[i].value != NULL) {
            (void)fputs(" \\fI", stdout);
            put(flags[i].value);
            (void)fputs("\\fR", stdout);
        }
        (void)putchar('\n');
        put(flags[i].help);
        (void)putchar('\n');
    }
}

static void put_command(const struct cli_command *command)
{
    (void)fputs(".SS ", stdout);
    put(command->name);
    (void)putchar(' ');
    put(command->args);
    (void)putchar('\n');
    put(command->help);
    (void)fputs(".\n", stdout);
    put_flags(command->flags, CLI_FLAGS_MAX);
    if (command->examples[0] != '\0') {
        (void)fputs(".PP\n.nf\n", stdout);
        put(command->examples);
        (void)fputs(".fi\n", stdout);
    }
}

int cli_man_run(struct cli *cli, const struct cli_call *call)
{
    (void)cli;
    (void)call;
    (void)fputs(
        ".\\\" Made by kv-cli from the table of its commands; change that, not this.\n"
        ".TH KV\\-CLI 1 \"\" \"Signet " SGN_VERSION_TEXT "\" \"Signet\"\n"
        ".SH NAME\nkv\\-cli \\- talk to a Signet ring\n"
        ".SH SYNOPSIS\n.B kv\\-cli\n[\\fIOPTION\\fR...] \\fICOMMAND\\fR "
        "[\\fIARGUMENT\\fR...]\n"
        ".SH DESCRIPTION\n"
        "Stores, reads and lists the keys of a Signet ring, shows how the ring is, and runs\n"
        "a ring on this machine to try things with. A \\fIKEY\\fR is written BUCKET/KEY; what\n"
        "stands behind the first slash may hold slashes, and without one the bucket is\n"
        "\\fBdefault\\fR. Without a command, on a terminal, it is a shell with history and\n"
        "completion.\n.PP\n"
        "Answers go to stdout: tables on a terminal, exact bytes in a pipe, JSON with\n"
        "\\fB\\-o json\\fR. Everything said to people goes to stderr.\n"
        ".SH OPTIONS\nThey may stand before or behind the command.\n",
        stdout);
    put_flags(cli_global_flags, CLI_FLAGS_MAX);
    (void)fputs(".SH COMMANDS\n", stdout);
    for (uint32_t i = 0; i < cli_command_count; i++) {
        if (cli_commands[i].help != NULL) {
            put_command(&cli_commands[i]);
        }
    }
    (void)fputs(".SH CLIENT OPTIONS\nIn the environment as SIGNET_NAME in capitals, and in the\n"
                "configuration file.\n",
                stdout);
    for (size_t i = 0; sgn_options_name(i) != NULL; i++) {
        (void)fputs(".TP\n.B ", stdout);
        put(sgn_options_name(i));
        (void)putchar('\n');
        put(sgn_options_help(i));
        (void)fputs("; default ", stdout);
        put(sgn_options_default(i)[0] == '\0' ? "none" : sgn_options_default(i));
        (void)fputs(".\n", stdout);
    }
    (void)fputs(
        ".SH CONDITIONS AND VERSIONS\n"
        "Every change of a key in an ordered bucket makes a version, one word such as\n"
        "12\\-6743a2b1c0000001.3.1.0, which \\fBget\\fR, \\fBstat\\fR and \\fBput\\fR show. A put "
        "or del\n"
        "on condition has three results: applied (exit 0, the new version on stdout), rejected\n"
        "(4, the current version on stderr) and unknown (5, with a token on stderr that\n"
        "\\fBstat \\-\\-token\\fR resolves to one of applied, rejected and void: took no effect "
        "and\n"
        "never will). All tries of one command count as one write.\n"
        ".SH EXIT STATUS\n0 done; 1 failed (also: stat \\-\\-token found void); 2 wrong use;\n"
        "3 no such key; 4 condition failed: rejected; 5 outcome unknown; 6 timeout;\n"
        "7 too few nodes or witnesses; 8 refused; 9 problems found; 130 interrupted.\n"
        ".SH ENVIRONMENT\n.TP\n.B SIGNET_NODE, SIGNET_WITNESS\nThe programs that \\fBlocal\\fR "
        "starts, "
        "when not those beside kv\\-cli.\n"
        ".SH FILES\n.TP\n.I ~/.config/signet/config\n"
        "Sections [client] and [cluster.NAME] with client options; another place by\n"
        "\\fBSIGNET_CLI_CONFIG\\fR.\n"
        ".TP\n.I ~/.local/state/signet/history\nLines typed in the shell; only the user may "
        "read it.\n"
        ".SH SEE ALSO\n.BR signet\\-node (8),\n.BR signet\\-witness (8)\n",
        stdout);
    return CLI_DONE;
}
