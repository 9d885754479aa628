/* client/cli/cli.h - what the commands of kv-cli share.
 *
 * A command is a row of a table (name, arguments, flags, help, function); the table makes the
 * parser, the help, the completion and the man page. Output goes to stdout, words to people to
 * stderr. */
#ifndef SGN_CLI_H
#define SGN_CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "client/signet.h"

#define CLI_ARGS_MAX       4096u       /* Words of one command. */
#define CLI_FLAGS_MAX      12u         /* Flags of one command. */
#define CLI_LINE_BYTES_MAX (32u << 20) /* A line of an import. */

enum cli_exit {
    CLI_DONE = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_NOT_FOUND = 3,
    CLI_CONDITION = 4,
    CLI_UNKNOWN = 5,
    CLI_TIMEOUT = 6,
    CLI_UNAVAILABLE = 7,
    CLI_REFUSED = 8,
    CLI_PROBLEMS = 9,
    CLI_INTERRUPTED = 130,
};

enum cli_format { CLI_TABLE, CLI_JSON, CLI_RAW };

struct cli {
    struct sgn_options *options;
    struct sgn_client *client; /* Made by cli_connect when a command first needs it. */
    enum cli_format format;
    enum sgn_read_mode read;
    bool has_read; /* --read was given; else it is the client's option. */
    uint32_t timeout_ms;
    bool quiet, verbose;
    bool in_shell;
};

struct cli_flag {
    const char *name;  /* "--context" */
    const char *value; /* "TEXT"; NULL: the flag takes none. */
    const char *help;
};

struct cli_call { /* One parsed command line. */
    const struct cli_command *command;
    char **args;
    uint32_t arg_count;
    const char *flags[CLI_FLAGS_MAX]; /* By index in the command's table: value, or "" when bare. */
};

struct cli_command {
    const char *name;
    const char *args; /* "KEY VALUE|-|@FILE" */
    uint32_t args_min, args_max;
    const char *help;     /* One line. */
    const char *examples; /* Lines, each "  kv-cli ...". */
    struct cli_flag flags[CLI_FLAGS_MAX];
    int (*run)(struct cli *cli, const struct cli_call *call); /* Returns an enum cli_exit. */
};

extern const struct cli_command cli_commands[];
extern const uint32_t cli_command_count;
extern const struct cli_flag cli_global_flags[];

/* cli.c */
/* Runs one command line (without the program's name). */
int cli_run(struct cli *cli, char **words, uint32_t count);
/* The flag's value, "" for a bare flag that is there, NULL when it is not. `name` with dashes. */
const char *cli_flag(const struct cli_call *call, const char *name);
/* A number flag: false and a sentence when it is none or out of range; *out untouched when
 * absent. */
bool cli_flag_number(
    const struct cli_call *call, const char *name, uint32_t least, uint32_t most, uint32_t *out);
/* "500ms", "2s", "1m". */
bool cli_duration(const char *text, uint32_t *ms);
/* Says that there is no such command, and which is near; returns CLI_USAGE. */
int cli_unknown_command(const char *word);
/* The command of that name, or NULL. */
const struct cli_command *cli_find(const char *name);

/* cli_complete.c, cli_help.c, cli_man.c */
void cli_help(FILE *out);
void cli_help_command(FILE *out, const struct cli_command *command);
/* "did you mean ..." for an unknown word, or "". Static buffer. */
const char *cli_nearest(const char *word, const char *const *known, uint32_t count);
int cli_completion_run(struct cli *cli, const struct cli_call *call);
int cli_complete_run(struct cli *cli, const struct cli_call *call);
int cli_man_run(struct cli *cli, const struct cli_call *call);
int cli_help_run(struct cli *cli, const struct cli_call *call);
int cli_version_run(struct cli *cli, const struct cli_call *call);

/* cli_out.c */
/* Prints "kv-cli: sentence" to stderr, or with -o json an error object. */
void cli_error(const struct cli *cli, int err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Says what a finished request ended with and returns the exit code for it. */
int cli_request_failed(const struct cli *cli, const struct sgn_request *request);
int cli_exit_of(int err);
/* Bytes for a terminal: printable UTF-8 as it is, all else as \xNN. */
void cli_print_escaped(FILE *out, struct sgn_bytes bytes);
/* '{"schema":1,"key":...', with which the object of a key begins. */
void cli_json_key(const char *name);
/* Whether the answer came from an ordered bucket. */
bool cli_is_ordered(const struct sgn_request *request);
/* A JSON string with quotes. */
void cli_json_string(FILE *out, struct sgn_bytes bytes);
/* "name": "text", or "name_base64": "..." when the bytes are not UTF-8. */
void cli_json_bytes(FILE *out, const char *name, struct sgn_bytes bytes);
/* Whole and valid UTF-8 without NUL. */
bool cli_is_text(struct sgn_bytes bytes);
/* "2026-11-21 04:05:06.789Z". Static buffer. */
const char *cli_time(uint64_t ms);
/* "12.3 MiB". Static buffers, four in turn. */
const char *cli_size(uint64_t bytes);
/* Appends the decoded bytes to out (room for strlen). False if the text is not hex / base64. */
bool cli_unhex(const char *text, uint8_t *out, size_t *count);
bool cli_unbase64(struct sgn_bytes text, uint8_t *out, size_t *count);

struct cli_progress { /* A bar on stderr, only on a terminal. */
    const char *what;
    uint64_t done, bytes; /* Keys, and bytes of their values. */
    uint64_t at, total;   /* How far it is, in any unit; total 0: not known. */
    uint64_t began_ms, drawn_ms;
    bool on;
};
void cli_progress_begin(struct cli_progress *bar,
                        const struct cli *cli,
                        const char *what,
                        uint64_t total);
void cli_progress_draw(struct cli_progress *bar);
void cli_progress_end(struct cli_progress *bar);
uint64_t cli_now_ms(void);

/* cli_client.c */
/* Makes the client if there is none. False and a sentence if that cannot be. */
bool cli_connect(struct cli *cli);
/* Splits BUCKET/KEY; without a slash the bucket is `default`. Points into text. */
void cli_split_key(const char *text, struct sgn_bytes *bucket, struct sgn_bytes *key);
/* A request of the client with the global settings; NULL and a sentence without memory. */
struct sgn_request *cli_request(struct cli *cli);
/* Applies --read and --timeout to the operation begun on the request. */
void cli_apply(const struct cli *cli, struct sgn_request *request);
/* Reads all of a stream or file. False and a sentence; *out is the caller's to free. */
bool cli_read_all(struct cli *cli, FILE *in, const char *name, uint8_t **out, size_t *count);

/* cli_receipt.c */
/* Tells on stderr who answered and how it went, with the node's own account if there is one. */
void cli_explain(const struct sgn_request *request, const char *verb);
/* ',"receipt":{...}' inside an object that is being printed. */
void cli_json_receipt(const struct sgn_request *request);

/* cli_data.c */
typedef int cli_one_fn(struct cli *cli,
                       const struct cli_call *call,
                       const char *name,
                       struct sgn_request *request,
                       uint32_t copies);
/* Runs `one` for every argument; the first failure's exit code is the command's. */
int cli_for_each(struct cli *cli, const struct cli_call *call, cli_one_fn *one);

/* Commands. */
int cli_get(struct cli *cli, const struct cli_call *call);
int cli_put(struct cli *cli, const struct cli_call *call);
int cli_del(struct cli *cli, const struct cli_call *call);
int cli_stat(struct cli *cli, const struct cli_call *call);
int cli_list(struct cli *cli, const struct cli_call *call);
int cli_import(struct cli *cli, const struct cli_call *call);
int cli_export(struct cli *cli, const struct cli_call *call);
int cli_bucket(struct cli *cli, const struct cli_call *call);
int cli_locate(struct cli *cli, const struct cli_call *call);
int cli_status(struct cli *cli, const struct cli_call *call);
int cli_nodes(struct cli *cli, const struct cli_call *call);
int cli_ring(struct cli *cli, const struct cli_call *call);
int cli_map(struct cli *cli, const struct cli_call *call); /* The verbs of ring about the map. */
int cli_local(struct cli *cli, const struct cli_call *call);
int cli_shell(struct cli *cli, const struct cli_call *call);

#endif
