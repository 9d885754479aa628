/* An option in --help and in the manual page; configuration files as text. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/option.h"

void sgn_text_put(struct sgn_sink *text, const char *format, ...)
{
    char line[2048];
    va_list args;
    va_start(args, format);
    int count = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (count < 0 || count >= (int)sizeof(line)) {
        text->full = true;
        return;
    }
    sgn_sink_put(text, line, (size_t)count);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

char *sgn_text_trim(char *text)
{
    while (is_blank(*text)) {
        text++;
    }
    size_t count = strlen(text);
    while (count > 0 && is_blank(text[count - 1])) {
        count--;
    }
    text[count] = '\0';
    return text;
}

/* Words of `words`, each line indented and at most 92 columns. */
static void put_wrapped(struct sgn_sink *text, const char *words)
{
    size_t column = 0;
    while (*words != '\0') {
        size_t count = strcspn(words, " ");
        if (column == 0 || column + 1 + count > 84) {
            sgn_text_put(text, "%s        ", column == 0 ? "" : "\n");
            column = 0;
        }
        sgn_text_put(text, "%s%.*s", column == 0 ? "" : " ", (int)count, words);
        column += count + 1;
        words += count;
        words += strspn(words, " ");
    }
    sgn_text_put(text, "\n");
}

static void dashed(const char *name, char out[64])
{
    (void)snprintf(out, 64, "%s", name);
    for (char *c = strchr(out, '_'); c != NULL; c = strchr(out, '_')) {
        *c = '-';
    }
}

void sgn_option_help(struct sgn_sink *text, const struct sgn_option *option, const char *prefix)
{
    char name[64];
    char allowed[SGN_ALLOWED_BYTES];
    dashed(option->name, name);
    sgn_option_allowed(option, allowed);
    sgn_text_put(text, "  --%s%s", prefix, name);
    if (option->fallback == NULL) {
        sgn_text_put(text, "  (must be given)\n");
    } else if (option->fallback[0] != '\0') {
        sgn_text_put(text, "  (default %s)\n", option->fallback);
    } else {
        sgn_text_put(text, "\n");
    }
    put_wrapped(text, option->text);
    sgn_text_put(text, "        Takes %s.\n", allowed);
}

/* Backslashes and leading dots mean something to troff. */
static void put_troff(struct sgn_sink *text, const char *words)
{
    for (; *words != '\0'; words++) {
        if (*words == '-') {
            sgn_text_put(text, "\\-");
        } else if (*words == '\\') {
            sgn_text_put(text, "\\e");
        } else {
            sgn_sink_put(text, words, 1);
        }
    }
}

void sgn_option_man(struct sgn_sink *text, const struct sgn_option *option)
{
    char allowed[SGN_ALLOWED_BYTES];
    sgn_option_allowed(option, allowed);
    sgn_text_put(text, ".TP\n.B ");
    put_troff(text, option->name);
    sgn_text_put(text, "\n");
    put_troff(text, option->text);
    sgn_text_put(text, "\nTakes ");
    put_troff(text, allowed);
    if (option->fallback == NULL) {
        sgn_text_put(text, "; must be given");
    } else if (option->fallback[0] != '\0') {
        sgn_text_put(text, "; default ");
        put_troff(text, option->fallback);
    }
    sgn_text_put(text, ".\n");
}

char *sgn_config_file_read(const char *path, char *error, size_t error_bytes)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        (void)snprintf(error, error_bytes, "%s: cannot be read: %s", path, strerror(errno));
        return NULL;
    }
    char *text = malloc(SGN_CONFIG_FILE_BYTES_MAX + 2);
    if (text == NULL) {
        (void)snprintf(error, error_bytes, "%s: out of memory", path);
        (void)fclose(file);
        return NULL;
    }
    errno = 0;
    size_t bytes = fread(text, 1, SGN_CONFIG_FILE_BYTES_MAX + 1, file);
    const char *wrong = NULL;
    if (ferror(file) != 0) {
        wrong = strerror(errno);
    } else if (bytes > SGN_CONFIG_FILE_BYTES_MAX) {
        wrong = "larger than 1 MiB, which no configuration is";
    } else if (memchr(text, '\0', bytes) != NULL) {
        wrong = "holds a zero byte; it is no text file";
    }
    (void)fclose(file);
    if (wrong != NULL) {
        (void)snprintf(error, error_bytes, "%s: cannot be read: %s", path, wrong);
        free(text);
        return NULL;
    }
    text[bytes] = '\0';
    return text;
}
