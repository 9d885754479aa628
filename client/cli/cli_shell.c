/* client/cli/cli_shell.c - the interactive shell: libedit, history, completion of commands. */
#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/cli.h"

#define HISTORY_LINES          1000
#define HISTORY_LINE_BYTES_MAX 1024u /* Longer ones hold values; they are not kept. */

static char *prompt(EditLine *edit)
{
    (void)edit;
    static char text[] = "signet> ";
    return text;
}

/* Completes the first word of the line from the table of commands. */
static unsigned char complete(EditLine *edit, int key)
{
    (void)key;
    const LineInfo *line = el_line(edit);
    size_t count = (size_t)(line->cursor - line->buffer);
    const char *found = NULL;
    uint32_t matches = 0;
    for (uint32_t i = 0; i < cli_command_count; i++) {
        const struct cli_command *command = &cli_commands[i];
        if (command->help != NULL && strncmp(command->name, line->buffer, count) == 0) {
            found = command->name;
            matches++;
        }
    }
    if (matches != 1) {
        return CC_ERROR;
    }
    return el_insertstr(edit, found + count) == 0 && el_insertstr(edit, " ") == 0 ? CC_REFRESH
                                                                                  : CC_ERROR;
}

/* $XDG_STATE_HOME/signet/history, made private. "" when there is nowhere to keep one. */
static void history_path(char *path, size_t cap)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    path[0] = '\0';
    if (state != NULL && state[0] != '\0') {
        (void)snprintf(path, cap, "%s/signet", state);
    } else if (home != NULL && home[0] != '\0') {
        (void)snprintf(path, cap, "%s/.local/state/signet", home);
    } else {
        return;
    }
    for (char *slash = path; (slash = strchr(slash + 1, '/')) != NULL;) {
        *slash = '\0';
        (void)mkdir(path, 0700); /* What matters is whether the file can be opened, below. */
        *slash = '/';
    }
    (void)mkdir(path, 0700);
    size_t used = strlen(path);
    (void)snprintf(path + used, cap - used, "/history");
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) {
        path[0] = '\0';
        return;
    }
    (void)close(fd);
}

static void run_line(struct cli *cli, Tokenizer *words, const char *line)
{
    int count = 0;
    const char **list = NULL;
    int unfinished = tok_str(words, line, &count, &list);
    if (unfinished != 0) {
        (void)fprintf(stderr, "kv-cli: a quote is not closed\n");
    } else if (count > 0) {
        struct cli fresh = *cli; /* Options given on a line hold for that line. */
        (void)cli_run(&fresh, (char **)(uintptr_t)list, (uint32_t)count);
        cli->client = fresh.client;
    }
    tok_reset(words);
    (void)fflush(stdout);
}

static int plain_shell(struct cli *cli, Tokenizer *words)
{
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, stdin) >= 0) {
        line[strcspn(line, "\n")] = '\0';
        if (strcmp(line, "exit") == 0 || strcmp(line, "quit") == 0) {
            break;
        }
        run_line(cli, words, line);
    }
    free(line);
    return CLI_DONE;
}

static void edit_shell(struct cli *cli, Tokenizer *words, EditLine *edit, History *list)
{
    HistEvent event;
    char path[1024];
    history_path(path, sizeof(path));
    (void)history(list, &event, H_SETSIZE, HISTORY_LINES);
    (void)history(list, &event, H_SETUNIQUE, 1);
    if (path[0] != '\0') {
        (void)history(list, &event, H_LOAD, path); /* An empty file is no error worth telling. */
    }
    (void)el_set(edit, EL_PROMPT, prompt);
    (void)el_set(edit, EL_EDITOR, "emacs");
    (void)el_set(edit, EL_SIGNAL, 1);
    (void)el_set(edit, EL_HIST, history, list);
    (void)el_set(edit, EL_ADDFN, "sgn-complete", "complete a command", complete);
    (void)el_set(edit, EL_BIND, "^I", "sgn-complete", NULL);
    (void)puts("help lists the commands; exit or Ctrl-D ends.");
    int count = 0;
    for (const char *read = NULL; (read = el_gets(edit, &count)) != NULL && count > 0;) {
        char *line = strdup(read);
        if (line == NULL) {
            break;
        }
        line[strcspn(line, "\n")] = '\0';
        if (line[0] != '\0' && strlen(line) <= HISTORY_LINE_BYTES_MAX) {
            (void)history(list, &event, H_ENTER, line);
        }
        bool ends = strcmp(line, "exit") == 0 || strcmp(line, "quit") == 0;
        if (!ends) {
            run_line(cli, words, line);
        }
        free(line);
        if (ends) {
            break;
        }
    }
    if (path[0] != '\0' && history(list, &event, H_SAVE, path) < 0) {
        (void)fprintf(stderr, "kv-cli: the history could not be saved to %s\n", path);
    }
}

int cli_shell(struct cli *cli, const struct cli_call *call)
{
    (void)call;
    if (cli->in_shell) {
        (void)fprintf(stderr, "kv-cli: this is the shell already\n");
        return CLI_USAGE;
    }
    cli->in_shell = true;
    Tokenizer *words = tok_init(NULL);
    if (words == NULL) {
        return CLI_FAILED;
    }
    int status = CLI_DONE;
    if (!isatty(STDIN_FILENO)) {
        status = plain_shell(cli, words);
    } else {
        EditLine *edit = el_init("kv-cli", stdin, stdout, stderr);
        History *list = history_init();
        if (edit != NULL && list != NULL) {
            edit_shell(cli, words, edit, list);
        } else {
            status = plain_shell(cli, words);
        }
        if (list != NULL) {
            history_end(list);
        }
        if (edit != NULL) {
            el_end(edit);
        }
    }
    tok_end(words);
    return status;
}
