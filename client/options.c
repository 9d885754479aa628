/* client/options.c - the builder of client options: one table for set, file, environment and
 * help. */
#include "client/options.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring/core/key.h"
#include "ring/net/address.h"

#define LINE_BYTES  2048u
#define NAME_BYTES  64u
#define ERROR_BYTES 512u

enum option_type { OPTION_NUMBER, OPTION_SEEDS, OPTION_NAME, OPTION_READ };

struct option_row {
    const char *name;
    enum option_type type;
    size_t offset;
    uint32_t least, most;
    const char *fallback;
    const char *help;
};

#define NUMBER(field, least, most, fallback, help)                                                 \
    {                                                                                              \
#field, OPTION_NUMBER, offsetof(struct sgn_settings, field), least, most, fallback, help   \
    }

static const struct option_row rows[] = {
    {"seeds",
     OPTION_SEEDS,
     offsetof(struct sgn_settings, seeds),
     0,
     0,
     "127.0.0.1:7301",
     "addresses of some nodes, as 127.0.0.1:7301 or [::1]:7301, separated by commas; 1..16 of "
     "them"},
    {"ring_name",
     OPTION_NAME,
     offsetof(struct sgn_settings, ring_name),
     0,
     0,
     "",
     "name of the ring; a node of another ring is refused; empty takes any; up to 63 of a-z 0-9 . "
     "_ -"},
    NUMBER(
        timeout_ms, 1, 3600000, "5000", "time for a whole request with all its tries; 1..3600000"),
    NUMBER(connect_timeout_ms, 1, 60000, "1000", "time for one connection to stand; 1..60000"),
    NUMBER(attempt_timeout_ms,
           1,
           600000,
           "1500",
           "silence after which a request is tried at another node; 1..600000"),
    NUMBER(retries_max, 0, 1000, "8", "tries after the first; 0..1000"),
    NUMBER(retry_wait_ms, 1, 10000, "5", "first pause between tries; doubles; 1..10000"),
    NUMBER(retry_wait_max_ms, 1, 60000, "250", "longest pause between tries; 1..60000"),
    NUMBER(pool_per_node, 1, 16, "2", "connections to one node; 1..16"),
    NUMBER(
        inflight_per_connection, 1, 4096, "256", "unanswered requests on one connection; 1..4096"),
    NUMBER(
        queue_max, 1, 1000000, "4096", "running requests; past it start answers busy; 1..1000000"),
    NUMBER(hedge_percent, 0, 100, "5", "most of the reads that may be sent twice; 0 none; 0..100"),
    NUMBER(
        hedge_after_ms, 1, 60000, "20", "age at which a read may be sent a second time; 1..60000"),
    {"read",
     OPTION_READ,
     offsetof(struct sgn_settings, read),
     0,
     0,
     "eventual",
     "how fresh reads are that do not say it themselves; eventual, session or strong"},
    NUMBER(threads, 0, 1, "1", "1: the library has a thread; 0: the caller dispatches; 0..1"),
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

struct sgn_options {
    struct sgn_settings settings;
    char error[ERROR_BYTES];
    char shown[NAME_BYTES]; /* What get last handed out, for numbers. */
};

static const struct option_row *row_find(const char *name)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

/* Edit distance, for "did you mean"; names here are short. */
static uint32_t distance(const char *a, const char *b)
{
    uint32_t line[NAME_BYTES + 1];
    size_t count = strlen(b);
    if (strlen(a) >= NAME_BYTES || count >= NAME_BYTES) {
        return UINT32_MAX;
    }
    for (uint32_t j = 0; j <= count; j++) {
        line[j] = j;
    }
    for (uint32_t i = 1; a[i - 1] != '\0'; i++) {
        uint32_t corner = line[0];
        line[0] = i;
        for (uint32_t j = 1; j <= count; j++) {
            uint32_t best = corner + (a[i - 1] != b[j - 1]);
            best = line[j] + 1 < best ? line[j] + 1 : best;
            best = line[j - 1] + 1 < best ? line[j - 1] + 1 : best;
            corner = line[j];
            line[j] = best;
        }
    }
    return line[count];
}

static const char *row_nearest(const char *name)
{
    const char *nearest = rows[0].name;
    uint32_t best = UINT32_MAX;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        uint32_t far = distance(name, rows[i].name);
        if (far < best) {
            best = far;
            nearest = rows[i].name;
        }
    }
    return nearest;
}

static int refuse(char *error, const struct option_row *row, const char *value, const char *why)
{
    snprintf(error, ERROR_BYTES, "option %s: \"%.80s\" %s (%s)", row->name, value, why, row->help);
    return SGN_ERR_CONFIG;
}

static int take_number(struct sgn_settings *settings,
                       const struct option_row *row,
                       const char *value,
                       char *error)
{
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0) {
        return refuse(error, row, value, "is not a whole number");
    }
    if (number < row->least || number > row->most) {
        return refuse(error, row, value, "is out of range");
    }
    uint32_t narrow = (uint32_t)number;
    memcpy((char *)settings + row->offset, &narrow, sizeof(narrow));
    return SGN_OK;
}

static int take_name(struct sgn_settings *settings,
                     const struct option_row *row,
                     const char *value,
                     char *error)
{
    struct sgn_bytes bytes = {value, strlen(value)};
    if (bytes.count > 0 && !sgn_bucket_name_valid(bytes)) {
        return refuse(error, row, value, "is not a ring name");
    }
    memcpy(settings->ring_name, value, bytes.count + 1);
    return SGN_OK;
}

static int take_read(struct sgn_settings *settings,
                     const struct option_row *row,
                     const char *value,
                     char *error)
{
    static const char *const modes[] = {"eventual", "session", "strong"};
    for (uint32_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(value, modes[i]) == 0) {
            snprintf(settings->read, sizeof(settings->read), "%s", value);
            settings->read_mode = i; /* In the order of enum sgn_read_mode. */
            return SGN_OK;
        }
    }
    return refuse(error, row, value, "is no read mode");
}

static int take_seeds(struct sgn_settings *settings,
                      const struct option_row *row,
                      const char *value,
                      char *error)
{
    char list[SGN_SEEDS_MAX][SGN_ADDRESS_BYTES_MAX + 1];
    uint32_t count = 0;
    if (strlen(value) >= SGN_SEEDS_BYTES) {
        return refuse(error, row, value, "is too long");
    }
    for (const char *at = value + strspn(value, ", \t"); *at != '\0'; at += strspn(at, ", \t")) {
        size_t bytes = strcspn(at, ", \t");
        if (count == SGN_SEEDS_MAX) {
            return refuse(error, row, value, "has too many addresses");
        }
        if (bytes > SGN_ADDRESS_BYTES_MAX) {
            return refuse(error, row, value, "has an address that is too long");
        }
        memcpy(list[count], at, bytes);
        list[count][bytes] = '\0';
        struct sgn_address address;
        struct sgn_why why;
        if (sgn_address_parse(list[count], &address, &why) != SGN_OK ||
            sgn_address_port(&address) == 0) {
            return refuse(error, row, list[count], "is not the address and port of a node");
        }
        count++;
        at += bytes;
    }
    if (count == 0) {
        return refuse(error, row, value, "holds no address");
    }
    memcpy(settings->seed_list, list, sizeof(list[0]) * count);
    settings->seed_count = count;
    memcpy(settings->seeds, value, strlen(value) + 1);
    return SGN_OK;
}

static int settings_set(struct sgn_settings *settings,
                        const char *name,
                        const char *value,
                        char *error)
{
    const struct option_row *row = row_find(name);
    if (row == NULL) {
        snprintf(error,
                 ERROR_BYTES,
                 "there is no option \"%.60s\"; the nearest is \"%s\"",
                 name,
                 row_nearest(name));
        return SGN_ERR_CONFIG;
    }
    switch (row->type) {
    case OPTION_NUMBER: return take_number(settings, row, value, error);
    case OPTION_SEEDS: return take_seeds(settings, row, value, error);
    case OPTION_NAME: return take_name(settings, row, value, error);
    case OPTION_READ: return take_read(settings, row, value, error);
    }
    return SGN_ERR_CONFIG;
}

void sgn_settings_init(struct sgn_settings *settings)
{
    char error[ERROR_BYTES];
    memset(settings, 0, sizeof(*settings));
    for (size_t i = 0; i < ROW_COUNT; i++) {
        (void)settings_set(
            settings, rows[i].name, rows[i].fallback, error); /* Tested: all valid. */
    }
}

const struct sgn_settings *sgn_options_settings(const struct sgn_options *options)
{
    return &options->settings;
}

struct sgn_options *sgn_options_create(void)
{
    struct sgn_options *options = calloc(1, sizeof(*options));
    if (options != NULL) {
        sgn_settings_init(&options->settings);
    }
    return options;
}

void sgn_options_destroy(struct sgn_options *options)
{
    free(options);
}

int sgn_options_set(struct sgn_options *options, const char *name, const char *value)
{
    options->error[0] = '\0';
    if (name == NULL || value == NULL) {
        snprintf(options->error, ERROR_BYTES, "an option needs a name and a value");
        return SGN_ERR_CONFIG;
    }
    return settings_set(&options->settings, name, value, options->error);
}

const char *sgn_options_get(const struct sgn_options *options, const char *name)
{
    const struct option_row *row = row_find(name);
    if (row == NULL) {
        return NULL;
    }
    const char *field = (const char *)&options->settings + row->offset;
    if (row->type != OPTION_NUMBER) {
        return field;
    }
    uint32_t number;
    memcpy(&number, field, sizeof(number));
    struct sgn_options *writable = (struct sgn_options *)(uintptr_t)options; /* Only `shown`. */
    snprintf(writable->shown, sizeof(writable->shown), "%u", number);
    return options->shown;
}

static char *trim(char *text)
{
    text += strspn(text, " \t\r\n");
    size_t count = strlen(text);
    while (count > 0 && strchr(" \t\r\n", text[count - 1]) != NULL) {
        text[--count] = '\0';
    }
    return text;
}

struct file_reader {
    const char *path;
    const char *section;
    uint32_t line;
    bool is_inside; /* In the section wanted. */
    bool was_seen;
};

/* One line of the file into `settings`. */
static int file_line(struct file_reader *reader,
                     char *raw,
                     struct sgn_settings *settings,
                     char *error)
{
    char why[ERROR_BYTES] = "";
    char *text = trim(raw);
    size_t count = strlen(text);
    int err = SGN_OK;
    if (count == 0 || text[0] == '#' || text[0] == ';') {
        return SGN_OK;
    }
    char *equals = strchr(text, '=');
    if (text[0] == '[' && text[count - 1] == ']') {
        text[count - 1] = '\0';
        reader->is_inside = strcmp(trim(text + 1), reader->section) == 0;
        reader->was_seen = reader->was_seen || reader->is_inside;
    } else if (text[0] == '[' || equals == NULL) {
        snprintf(why, sizeof(why), "a line is `name = value` or `[section]`");
        err = SGN_ERR_CONFIG;
    } else if (reader->is_inside) {
        *equals = '\0';
        err = settings_set(settings, trim(text), trim(equals + 1), why);
    }
    if (err != SGN_OK) {
        snprintf(error, ERROR_BYTES, "%.200s:%u: %.280s", reader->path, reader->line, why);
    }
    return err;
}

int sgn_options_load_file(struct sgn_options *options, const char *path, const char *section)
{
    struct file_reader reader = {.path = path, .section = section == NULL ? "client" : section};
    options->error[0] = '\0';
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        int cause = errno;
        snprintf(options->error, ERROR_BYTES, "%.200s: %s", path, strerror(cause));
        return cause == ENOENT ? SGN_ERR_NOT_FOUND : SGN_ERR_CONFIG;
    }
    struct sgn_settings settings = options->settings;
    char raw[LINE_BYTES];
    int err = SGN_OK;
    while (err == SGN_OK && fgets(raw, sizeof(raw), file) != NULL) {
        reader.line++;
        if (strchr(raw, '\n') == NULL && !feof(file)) {
            snprintf(options->error,
                     ERROR_BYTES,
                     "%.200s:%u: the line is longer than %u bytes",
                     path,
                     reader.line,
                     LINE_BYTES - 2);
            err = SGN_ERR_CONFIG;
        } else {
            err = file_line(&reader, raw, &settings, options->error);
        }
    }
    if (err == SGN_OK && ferror(file)) {
        snprintf(options->error, ERROR_BYTES, "%.200s: reading failed", path);
        err = SGN_ERR_CONFIG;
    } else if (err == SGN_OK && !reader.was_seen) {
        snprintf(
            options->error, ERROR_BYTES, "%.200s: has no section [%.60s]", path, reader.section);
        err = SGN_ERR_NOT_FOUND;
    }
    fclose(file);
    if (err == SGN_OK) {
        options->settings = settings;
    }
    return err;
}

int sgn_options_load_env(struct sgn_options *options)
{
    struct sgn_settings settings = options->settings;
    options->error[0] = '\0';
    for (size_t i = 0; i < ROW_COUNT; i++) {
        char name[NAME_BYTES];
        char why[ERROR_BYTES];
        snprintf(name, sizeof(name), "SIGNET_%s", rows[i].name);
        for (char *at = name; *at != '\0'; at++) {
            *at = (char)(*at >= 'a' && *at <= 'z' ? *at - 'a' + 'A' : *at);
        }
        const char *value = getenv(name);
        if (value == NULL) {
            continue;
        }
        int err = settings_set(&settings, rows[i].name, value, why);
        if (err != SGN_OK) {
            snprintf(options->error, ERROR_BYTES, "environment %s: %.400s", name, why);
            return err;
        }
    }
    options->settings = settings;
    return SGN_OK;
}

const char *sgn_options_error(const struct sgn_options *options)
{
    return options->error;
}

const char *sgn_options_name(size_t index)
{
    return index < ROW_COUNT ? rows[index].name : NULL;
}

const char *sgn_options_default(size_t index)
{
    return index < ROW_COUNT ? rows[index].fallback : NULL;
}

const char *sgn_options_help(size_t index)
{
    return index < ROW_COUNT ? rows[index].help : NULL;
}

void sgn_options_set_log(struct sgn_options *options, sgn_log_fn *log, void *user)
{
    options->settings.log = log;
    options->settings.log_user = user;
}

void sgn_options_set_trace(struct sgn_options *options, sgn_trace_fn *trace, void *user)
{
    options->settings.trace = trace;
    options->settings.trace_user = user;
}
