#include "node/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static enum sgn_log_level log_level = SGN_LOG_INFO;
static uint32_t log_node;
static uint64_t log_dropped;
static struct sgn_log_site *log_sites; /* Those that have ever dropped a line. */

static const char *const level_names[SGN_LOG_LEVELS] = {"debug", "info", "warn", "error"};

const char *sgn_log_level_name(enum sgn_log_level level)
{
    return level < SGN_LOG_LEVELS ? level_names[level] : "?";
}

enum sgn_log_level sgn_log_level_of(const char *word)
{
    for (uint32_t i = 0; i < SGN_LOG_LEVELS; i++) {
        if (strcmp(word, level_names[i]) == 0) {
            return (enum sgn_log_level)i;
        }
    }
    return SGN_LOG_LEVELS;
}

void sgn_log_set_level(enum sgn_log_level level)
{
    log_level = level;
}

void sgn_log_set_node(uint32_t node)
{
    log_node = node;
}

/* A line being made; too long a line is cut, never split. */
struct line {
    char text[SGN_LOG_LINE_BYTES];
    size_t count;
};

#define LINE_ROOM (SGN_LOG_LINE_BYTES - 1) /* One byte is kept for the line's end. */

static void line_char(struct line *line, char c)
{
    if (line->count < LINE_ROOM) {
        line->text[line->count++] = c;
    }
}

static void line_vprintf(struct line *line, const char *format, va_list args)
{
    int more = vsnprintf(line->text + line->count, LINE_ROOM - line->count + 1, format, args);
    size_t end = line->count + (more > 0 ? (size_t)more : 0);
    if (end > LINE_ROOM) {
        end = LINE_ROOM;
    }
    /* What came from another machine must not begin a line of its own. */
    for (size_t i = line->count; i < end; i++) {
        if ((unsigned char)line->text[i] < 0x20 || line->text[i] == 0x7f) {
            line->text[i] = '?';
        }
    }
    line->count = end;
}

__attribute__((format(printf, 2, 3))) static void line_printf(struct line *line,
                                                              const char *format,
                                                              ...)
{
    va_list args;
    va_start(args, format);
    line_vprintf(line, format, args);
    va_end(args);
}

static void line_quoted(struct line *line, const char *text)
{
    line_char(line, '"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            line_char(line, '\\');
        }
        line_char(line, c < 0x20 || c == 0x7f ? '?' : *text);
    }
    line_char(line, '"');
}

static void line_head(struct line *line, enum sgn_log_level level, const char *msg)
{
    struct timespec now;
    struct tm utc;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &utc);
    line_printf(line,
                "ts=%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ level=%s",
                utc.tm_year + 1900,
                utc.tm_mon + 1,
                utc.tm_mday,
                utc.tm_hour,
                utc.tm_min,
                utc.tm_sec,
                now.tv_nsec / 1000000,
                sgn_log_level_name(level));
    if (log_node != 0) {
        line_printf(line, " node=%u", log_node);
    }
    line_printf(line, " msg=");
    line_quoted(line, msg);
}

static void line_write(struct line *line)
{
    line->text[line->count++] = '\n';
    size_t done = 0;
    while (done < line->count) {
        ssize_t wrote = write(STDERR_FILENO, line->text + done, line->count - done);
        if (wrote < 0 && errno != EINTR) {
            return; /* Nowhere left to say so. */
        }
        done += wrote > 0 ? (size_t)wrote : 0;
    }
}

static uint64_t second_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

static bool site_allows(struct sgn_log_site *site)
{
    uint64_t second = second_now();
    if (site->second != second) {
        site->second = second;
        site->count = 0;
    }
    if (site->count < SGN_LOG_BURST) {
        site->count++;
        return true;
    }
    site->dropped++;
    log_dropped++;
    if (!site->listed) {
        site->listed = true;
        site->next = log_sites;
        log_sites = site;
    }
    return false;
}

void sgn_log_write(struct sgn_log_site *site, const char *detail, const char *format, ...)
{
    if (site->level < log_level || !site_allows(site)) {
        return;
    }
    struct line line = {.count = 0};
    line_head(&line, site->level, site->msg);
    if (format[0] != '\0') {
        va_list args;
        va_start(args, format);
        line_char(&line, ' ');
        line_vprintf(&line, format, args);
        va_end(args);
    }
    if (detail != NULL) {
        line_printf(&line, " detail=");
        line_quoted(&line, detail);
    }
    if (site->dropped > 0) {
        line_printf(&line, " dropped=%llu", (unsigned long long)site->dropped);
        site->dropped = 0;
    }
    line_write(&line);
}

void sgn_log_tick(void)
{
    uint64_t second = second_now();
    for (struct sgn_log_site *site = log_sites; site != NULL; site = site->next) {
        if (site->dropped > 0 && site->second != second && site->level >= log_level) {
            struct line line = {.count = 0};
            line_head(&line, site->level, site->msg);
            line_printf(&line, " dropped=%llu", (unsigned long long)site->dropped);
            site->dropped = 0;
            line_write(&line);
        }
    }
}

uint64_t sgn_log_dropped(void)
{
    return log_dropped;
}
