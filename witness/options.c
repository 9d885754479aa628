#include "witness/options.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring/core/check.h"

static const struct sgn_option options[] = {
#define ROW(name, type, field, least, most, fallback, text)                                        \
    {"witness",                                                                                    \
     #name,                                                                                        \
     SGN_OPTION_##type,                                                                            \
     offsetof(struct sgn_witness_config, field),                                                   \
     least,                                                                                        \
     most,                                                                                         \
     fallback,                                                                                     \
     text},
    SGN_WITNESS_OPTION_TABLE(ROW)
#undef ROW
};
#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

#define VARIABLE_PREFIX "SIGNET_WITNESS_"
#define NAME_BYTES      96u

enum source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_FLAG };

struct loader {
    struct sgn_witness_config *config;
    char *error;                          /* SGN_WITNESS_ERROR_BYTES */
    char place[SGN_PATH_BYTES_MAX + 256]; /* How a sentence begins: "--id", "FILE:3: id". */
    enum source source;                   /* Of the values being taken. */
    enum source set[OPTION_COUNT];
};

__attribute__((format(printf, 2, 3))) static enum sgn_err fail(struct loader *loader,
                                                               const char *format,
                                                               ...)
{
    int count = snprintf(loader->error, SGN_WITNESS_ERROR_BYTES, "%s: ", loader->place);
    if (count > 0 && count < (int)SGN_WITNESS_ERROR_BYTES) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(
            loader->error + count, SGN_WITNESS_ERROR_BYTES - (size_t)count, format, args);
        va_end(args);
    }
    return SGN_ERR_CONFIG;
}

static enum sgn_err fail_unknown(struct loader *loader, const char *name)
{
    static const char *const flags[] = {"config", "check-config", "help", "man", "version"};
    const char *near = NULL;
    uint32_t best = sgn_option_distance_max(name) + 1;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        uint32_t distance = sgn_option_distance(name, options[i].name);
        near = distance < best ? options[i].name : near;
        best = distance < best ? distance : best;
    }
    for (size_t i = 0; loader->source == SOURCE_FLAG && i < sizeof(flags) / sizeof(flags[0]); i++) {
        uint32_t distance = sgn_option_distance(name, flags[i]);
        near = distance < best ? flags[i] : near;
        best = distance < best ? distance : best;
    }
    if (near != NULL) {
        return fail(loader, "no such option; did you mean %s?", near);
    }
    return fail(loader, "no such option; signet-witness --help lists them");
}

static enum sgn_err take(struct loader *loader, const char *name, const char *value)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (!sgn_option_name_equal(name, options[i].name, false)) {
            continue;
        }
        if (loader->source != SOURCE_DEFAULT && loader->set[i] == loader->source) {
            return fail(loader, "given twice");
        }
        if (!sgn_option_parse(&options[i], value, loader->config)) {
            char allowed[SGN_ALLOWED_BYTES];
            sgn_option_allowed(&options[i], allowed);
            return fail(loader, "\"%.80s\" is not valid; give %s", value, allowed);
        }
        loader->set[i] = loader->source;
        return SGN_OK;
    }
    return fail_unknown(loader, name);
}

static void defaults_take(struct loader *loader)
{
    loader->source = SOURCE_DEFAULT;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const char *fallback = options[i].fallback;
        if (fallback != NULL && fallback[0] != '\0') {
            SGN_ASSERT(take(loader, options[i].name, fallback) == SGN_OK);
        }
    }
}

/* --- file ------------------------------------------------------------------------------------ */

static enum sgn_err line_take(struct loader *loader, uint32_t number, char *line, bool *in_section)
{
    line = sgn_text_trim(line);
    (void)snprintf(loader->place, sizeof(loader->place), "%s:%u", loader->config->file, number);
    if (line[0] == '\0' || line[0] == '#' || line[0] == ';') {
        return SGN_OK;
    }
    if (line[0] == '[') {
        *in_section = strcmp(line, "[witness]") == 0;
        return *in_section ? SGN_OK : fail(loader, "%.40s is no section; there is [witness]", line);
    }
    char *equals = strchr(line, '=');
    if (equals == NULL) {
        return fail(loader, "\"%.40s\" is neither [witness] nor key = value", line);
    }
    *equals = '\0';
    const char *name = sgn_text_trim(line);
    if (!*in_section) {
        return fail(loader, "\"%.40s\" stands before the section; begin with [witness]", name);
    }
    size_t at = strlen(loader->place);
    (void)snprintf(loader->place + at, sizeof(loader->place) - at, ": %.90s", name);
    return take(loader, name, sgn_text_trim(equals + 1));
}

static enum sgn_err file_take(struct loader *loader)
{
    loader->source = SOURCE_FILE;
    char *text = sgn_config_file_read(loader->config->file, loader->error, SGN_WITNESS_ERROR_BYTES);
    if (text == NULL) {
        return SGN_ERR_CONFIG;
    }
    enum sgn_err err = SGN_OK;
    bool in_section = false;
    uint32_t number = 0;
    for (char *line = text; line != NULL && err == SGN_OK;) {
        char *end = strchr(line, '\n');
        if (end != NULL) {
            *end = '\0';
        }
        err = line_take(loader, ++number, line, &in_section);
        line = end != NULL ? end + 1 : NULL;
    }
    free(text);
    return err;
}

/* --- environment ----------------------------------------------------------------------------- */

static bool is_made_up(const char *name)
{
    return strncmp(name, "service_", 8) == 0 || strcmp(name, "port") == 0 ||
           strncmp(name, "port_", 5) == 0;
}

/* "SIGNET_WITNESS_LOG_LEVEL=warn" -> "log_level" and where the value begins; false: not ours. */
static bool variable_split(const char *variable, char name[NAME_BYTES], const char **value)
{
    size_t prefix = strlen(VARIABLE_PREFIX);
    const char *equals = strchr(variable, '=');
    if (strncmp(variable, VARIABLE_PREFIX, prefix) != 0 || equals == NULL ||
        (size_t)(equals - variable) - prefix >= NAME_BYTES) {
        return false;
    }
    size_t count = (size_t)(equals - variable) - prefix;
    for (size_t i = 0; i < count; i++) {
        char c = variable[prefix + i];
        name[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    name[count] = '\0';
    *value = equals + 1;
    return !is_made_up(name);
}

static enum sgn_err environment_take(struct loader *loader, char *const environment[])
{
    loader->source = SOURCE_ENVIRONMENT;
    enum sgn_err err = SGN_OK;
    for (uint32_t i = 0; environment != NULL && environment[i] != NULL && err == SGN_OK; i++) {
        char name[NAME_BYTES];
        const char *value = NULL;
        if (variable_split(environment[i], name, &value) && strcmp(name, "config") != 0) {
            (void)snprintf(loader->place,
                           sizeof(loader->place),
                           "%.*s",
                           (int)(value - environment[i] - 1),
                           environment[i]);
            err = take(loader, name, value);
        }
    }
    return err;
}

static enum sgn_err file_name_take(struct loader *loader, const char *path)
{
    if (path == NULL || path[0] == '\0' || strlen(path) > SGN_PATH_BYTES_MAX) {
        return fail(loader, "give a path of 1 to 511 bytes");
    }
    (void)snprintf(loader->config->file, sizeof(loader->config->file), "%s", path);
    return SGN_OK;
}

static enum sgn_err environment_file(struct loader *loader, char *const environment[])
{
    enum sgn_err err = SGN_OK;
    for (uint32_t i = 0; environment != NULL && environment[i] != NULL && err == SGN_OK; i++) {
        char name[NAME_BYTES];
        const char *value = NULL;
        if (variable_split(environment[i], name, &value) && strcmp(name, "config") == 0) {
            (void)snprintf(loader->place, sizeof(loader->place), VARIABLE_PREFIX "CONFIG");
            err = file_name_take(loader, value);
        }
    }
    return err;
}

/* --- flags ----------------------------------------------------------------------------------- */

/* A flag that is no option: --help and its like. */
static bool action_take(struct sgn_witness_config *config, const char *text)
{
    static const struct {
        const char *name;
        enum sgn_witness_action action;
    } actions[] = {{"--help", SGN_WITNESS_HELP},
                   {"-h", SGN_WITNESS_HELP},
                   {"--man", SGN_WITNESS_MAN},
                   {"--version", SGN_WITNESS_VERSION},
                   {"--check-config", SGN_WITNESS_CHECK_CONFIG}};
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(text, actions[i].name) == 0) {
            config->action = actions[i].action;
            return true;
        }
    }
    return false;
}

/* Two passes: the first finds the file and the action, the second sets options. */
static enum sgn_err flags_take(struct loader *loader,
                               int argc,
                               char *const argv[],
                               bool options_too)
{
    loader->source = SOURCE_FLAG;
    enum sgn_err err = SGN_OK;
    for (int i = 1; i < argc && err == SGN_OK; i++) {
        const char *equals = strchr(argv[i], '=');
        size_t count = equals != NULL ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        (void)snprintf(
            loader->place, sizeof(loader->place), "%.*s", count > 180 ? 180 : (int)count, argv[i]);
        if (action_take(loader->config, argv[i])) {
            continue;
        }
        if (strncmp(argv[i], "--", 2) != 0 || count == 2) {
            return fail(loader, "not a flag; see signet-witness --help");
        }
        const char *value = equals != NULL ? equals + 1 : NULL;
        if (value == NULL && i + 1 < argc && strncmp(argv[i + 1], "--", 2) != 0) {
            value = argv[++i];
        }
        if (strcmp(loader->place, "--config") == 0) {
            err = file_name_take(loader, value);
        } else if (options_too) {
            char name[NAME_BYTES]; /* No option takes an empty value: the sentence says what. */
            (void)snprintf(name, sizeof(name), "%.90s", loader->place + 2);
            err = take(loader, name, value != NULL ? value : "");
        }
    }
    return err;
}

/* --- all ------------------------------------------------------------------------------------- */

static enum sgn_err check(struct loader *loader)
{
    const struct sgn_witness_config *config = loader->config;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (options[i].fallback == NULL && loader->set[i] == SOURCE_DEFAULT) {
            char allowed[SGN_ALLOWED_BYTES];
            sgn_option_allowed(&options[i], allowed);
            (void)snprintf(loader->place, sizeof(loader->place), "--%s", options[i].name);
            return fail(loader, "missing; give %s", allowed);
        }
    }
    if (strcmp(config->listen, config->admin) == 0) {
        (void)snprintf(loader->place, sizeof(loader->place), "--admin");
        return fail(loader, "is the address of --listen; give it a port of its own");
    }
    return SGN_OK;
}

enum sgn_err sgn_witness_config_load(struct sgn_witness_config *config,
                                     int argc,
                                     char *const argv[],
                                     char *const environment[],
                                     char *error)
{
    struct loader loader = {.config = config, .error = error};
    memset(config, 0, sizeof(*config));
    error[0] = '\0';
    defaults_take(&loader);
    enum sgn_err err = environment_file(&loader, environment);
    if (err == SGN_OK) {
        err = flags_take(&loader, argc, argv, false);
    }
    if (err != SGN_OK || config->action == SGN_WITNESS_HELP || config->action == SGN_WITNESS_MAN ||
        config->action == SGN_WITNESS_VERSION) {
        return err;
    }
    if (config->file[0] != '\0') {
        err = file_take(&loader);
    }
    if (err == SGN_OK) {
        err = environment_take(&loader, environment);
    }
    if (err == SGN_OK) {
        err = flags_take(&loader, argc, argv, true);
    }
    return err == SGN_OK ? check(&loader) : err;
}

void sgn_witness_help(struct sgn_sink *text)
{
    sgn_text_put(
        text,
        "signet-witness - remembers, in memory, which keys have a write under way, so that "
        "a\nstrong read can be served by one replica.\n"
        "\n"
        "  signet-witness --config FILE\n"
        "  signet-witness --id N --ring NAME --listen ADDRESS [--admin ADDRESS]\n"
        "\n"
        "Values come from flags, then the environment (SIGNET_WITNESS_ID and so on), then "
        "the\nfile (lines `key = value` under [witness]), then the default.\n"
        "\n"
        "  --config FILE   Configuration file; also SIGNET_WITNESS_CONFIG.\n"
        "  --check-config  Check everything that was given, start nothing.\n"
        "  --help, --man, --version\n\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        sgn_option_help(text, &options[i], "");
    }
    sgn_text_put(
        text,
        "\nSignals: TERM and INT stop it. It keeps nothing on disk: started again it is a "
        "new\nwitness, which the ring takes in with the next epoch. Exit status: 0 stopped "
        "as asked,\n1 could not start or go on, 2 wrong use.\n");
}

void sgn_witness_man(struct sgn_sink *text)
{
    sgn_text_put(
        text,
        ".\\\" Made by signet-witness --man from the table of options; change that, not this.\n"
        ".TH SIGNET\\-WITNESS 8 \"\" \"Signet\" \"Signet\"\n"
        ".SH NAME\n"
        "signet\\-witness \\- in\\-memory read barrier of a Signet ring\n"
        ".SH SYNOPSIS\n"
        ".B signet\\-witness \\-\\-config\n"
        ".I FILE\n"
        "[\\fB\\-\\-\\fIkey value\\fR ...]\n"
        ".SH DESCRIPTION\n"
        "Remembers which keys of ordered buckets have a write that may not be on every replica\n"
        "yet. A node that serves a strong read asks a majority of the witnesses of the key's\n"
        "partition first, and then needs no other replica. Nothing is kept on disk: a witness\n"
        "that is started again is a new one, which the ring takes in by itself. With all of them\n"
        "gone strong reads ask a majority of the replicas instead.\n"
        ".PP\n"
        "Values come from flags, then the environment (\\fBSIGNET_WITNESS_ID\\fR for the key\n"
        "\\fBid\\fR), then the file, then the default.\n"
        ".SH OPTIONS\n"
        ".TP\n.B \\-\\-config \\fIFILE\\fR\n"
        "Configuration file; also \\fBSIGNET_WITNESS_CONFIG\\fR. Lines \\fIkey\\fB = "
        "\\fIvalue\\fR under\n\\fB[witness]\\fR.\n"
        ".TP\n.B \\-\\-check\\-config\nCheck everything that was given, start nothing.\n"
        ".TP\n.B \\-\\-help\\fR, \\fB\\-\\-man\\fR, \\fB\\-\\-version\nPrint and end.\n"
        ".SH KEYS\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        sgn_option_man(text, &options[i]);
    }
    sgn_text_put(text,
                 ".SH EXAMPLE\n.nf\n"
                 "[witness]\nid = 1\nring = demo\nlisten = 127.0.0.1:7501\n"
                 "admin = 127.0.0.1:7601\n.fi\n"
                 ".SH SIGNALS\nTERM and INT stop it.\n"
                 ".SH EXIT STATUS\n"
                 "0 stopped as asked; 1 could not start or go on; 2 wrong use or configuration.\n"
                 ".SH SEE ALSO\n.BR signet\\-node (8)\n");
}
