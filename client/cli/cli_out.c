/* client/cli/cli_out.c - how things look: tables, JSON, escapes, sizes, errors, progress. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/cli.h"

#define PROGRESS_EVERY_MS 100u

int cli_exit_of(int err)
{
    switch (err) {
    case SGN_OK: return CLI_DONE;
    case SGN_ERR_NOT_FOUND: return CLI_NOT_FOUND;
    case SGN_ERR_CONDITION: return CLI_CONDITION;
    case SGN_ERR_UNKNOWN: return CLI_UNKNOWN;
    case SGN_ERR_TIMEOUT: return CLI_TIMEOUT;
    case SGN_ERR_FENCED:
    case SGN_ERR_UNAVAILABLE: return CLI_UNAVAILABLE;
    case SGN_ERR_INVALID:
    case SGN_ERR_TOO_LARGE:
    case SGN_ERR_CONFIG: return CLI_USAGE;
    case SGN_ERR_WRONG_RING:
    case SGN_ERR_VERSION: return CLI_REFUSED;
    default: return CLI_FAILED;
    }
}

static void begin_error(int err, const char *text)
{
    (void)fprintf(stderr,
                  "{\"error\":{\"name\":\"%s\",\"retriable\":%s,\"text\":",
                  sgn_err_name(err),
                  sgn_err_is_retriable(err) ? "true" : "false");
    cli_json_string(stderr, sgn_text(text));
}

void cli_error(const struct cli *cli, int err, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (cli->format != CLI_JSON) {
        (void)fprintf(stderr, "kv-cli: %s\n", text);
        return;
    }
    begin_error(err, text);
    (void)fputs("}}\n", stderr);
}

bool cli_is_ordered(const struct sgn_request *request)
{
    struct sgn_key_version version;
    return sgn_request_key_version(request, &version) == SGN_OK;
}

int cli_request_failed(const struct cli *cli, const struct sgn_request *request)
{
    int err = sgn_request_err(request);
    const char *text = sgn_request_error(request);
    const char *version = cli_is_ordered(request) ? sgn_request_version(request) : "";
    const char *token = sgn_request_token(request);
    text = text[0] == '\0' ? sgn_err_text(err) : text;
    if (cli->format == CLI_JSON) {
        struct sgn_receipt receipt = {.struct_bytes = sizeof(receipt)};
        sgn_request_receipt(request, &receipt);
        begin_error(err, text);
        (void)fprintf(stderr, ",\"node\":%u", receipt.node);
        (void)fprintf(stderr, version[0] == '\0' ? "%s" : ",\"version\":\"%s\"", version);
        (void)fprintf(stderr, token[0] == '\0' ? "%s" : ",\"token\":\"%s\"", token);
        (void)fputs("}}\n", stderr);
        return cli_exit_of(err);
    }
    (void)fprintf(stderr, "kv-cli: %s\n", text);
    if (err == SGN_ERR_CONDITION) {
        (void)fprintf(stderr, "kv-cli: the key's version is %s\n", version);
    }
    if (token[0] != '\0') {
        (void)fprintf(stderr, "kv-cli: kv-cli stat --token %s tells what became of it\n", token);
    }
    return cli_exit_of(err);
}

/* Length of the valid UTF-8 sequence at the front; 0 when there is none. */
static size_t utf8_at(const uint8_t *raw, size_t left)
{
    uint8_t first = raw[0];
    size_t count = first < 0x80                    ? 1
                   : first >= 0xc2 && first < 0xe0 ? 2
                   : first >= 0xe0 && first < 0xf0 ? 3
                   : first >= 0xf0 && first < 0xf5 ? 4
                                                   : 0;
    if (count == 0 || count > left) {
        return 0;
    }
    for (size_t i = 1; i < count; i++) {
        if ((raw[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool too_short = (first == 0xe0 && raw[1] < 0xa0) || (first == 0xf0 && raw[1] < 0x90);
    bool surrogate = first == 0xed && raw[1] >= 0xa0;
    bool too_high = first == 0xf4 && raw[1] >= 0x90;
    return too_short || surrogate || too_high ? 0 : count;
}

bool cli_is_text(struct sgn_bytes bytes)
{
    const uint8_t *raw = bytes.ptr;
    for (size_t i = 0; i < bytes.count;) {
        size_t count = utf8_at(raw + i, bytes.count - i);
        if (count == 0 || raw[i] == 0) {
            return false;
        }
        i += count;
    }
    return true;
}

void cli_print_escaped(FILE *out, struct sgn_bytes bytes)
{
    const uint8_t *raw = bytes.ptr;
    for (size_t i = 0; i < bytes.count;) {
        size_t count = utf8_at(raw + i, bytes.count - i);
        bool control = raw[i] < 0x20 || raw[i] == 0x7f;
        if (count == 0 || (control && raw[i] != '\t')) {
            (void)fprintf(out, "\\x%02x", raw[i]);
            i++;
        } else if (raw[i] == '\\') {
            (void)fputs("\\\\", out);
            i++;
        } else {
            (void)fwrite(raw + i, 1, count, out);
            i += count;
        }
    }
}

void cli_json_string(FILE *out, struct sgn_bytes bytes)
{
    const uint8_t *raw = bytes.ptr;
    (void)fputc('"', out);
    for (size_t i = 0; i < bytes.count;) {
        size_t count = utf8_at(raw + i, bytes.count - i);
        if (count == 0) {
            (void)fputs("\xef\xbf\xbd", out); /* U+FFFD; cli_json_bytes keeps exact bytes. */
            i++;
        } else if (raw[i] == '"' || raw[i] == '\\') {
            (void)fprintf(out, "\\%c", raw[i++]);
        } else if (raw[i] < 0x20) {
            (void)fprintf(out, "\\u%04x", raw[i++]);
        } else {
            (void)fwrite(raw + i, 1, count, out);
            i += count;
        }
    }
    (void)fputc('"', out);
}

void cli_json_key(const char *name)
{
    (void)fputs("{\"schema\":1,", stdout);
    cli_json_bytes(stdout, "key", sgn_text(name));
}

static const char base64_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void cli_json_bytes(FILE *out, const char *name, struct sgn_bytes bytes)
{
    if (cli_is_text(bytes)) {
        (void)fprintf(out, "\"%s\":", name);
        cli_json_string(out, bytes);
        return;
    }
    (void)fprintf(out, "\"%s_base64\":\"", name);
    const uint8_t *raw = bytes.ptr;
    for (size_t i = 0; i < bytes.count; i += 3) {
        size_t left = bytes.count - i;
        uint32_t word = (uint32_t)raw[i] << 16 | (left > 1 ? (uint32_t)raw[i + 1] << 8 : 0) |
                        (left > 2 ? raw[i + 2] : 0);
        char quad[4] = {base64_letters[word >> 18],
                        base64_letters[word >> 12 & 63],
                        left > 1 ? base64_letters[word >> 6 & 63] : '=',
                        left > 2 ? base64_letters[word & 63] : '='};
        (void)fwrite(quad, 1, 4, out);
    }
    (void)fputc('"', out);
}

bool cli_unbase64(struct sgn_bytes text, uint8_t *out, size_t *count)
{
    const char *raw = text.ptr;
    size_t left = text.count;
    if (left % 4 != 0) {
        return false;
    }
    while (left > 0 && text.count - left < 2 && raw[left - 1] == '=') {
        left--;
    }
    uint32_t word = 0;
    uint32_t bits = 0;
    *count = 0;
    for (size_t i = 0; i < left; i++) {
        const char *letter = raw[i] == '\0' ? NULL : strchr(base64_letters, raw[i]);
        if (letter == NULL) {
            return false;
        }
        word = word << 6 | (uint32_t)(letter - base64_letters);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[(*count)++] = (uint8_t)(word >> bits);
        }
    }
    return true;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool cli_unhex(const char *text, uint8_t *out, size_t *count)
{
    *count = 0;
    for (; text[0] != '\0'; text += 2) {
        int high = hex_digit(text[0]);
        int low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0) {
            return false;
        }
        out[(*count)++] = (uint8_t)(high << 4 | low);
    }
    return true;
}

const char *cli_time(uint64_t ms)
{
    static char text[48];
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    size_t count = 0;
    if (gmtime_r(&seconds, &parts) != NULL) {
        count = strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &parts);
    }
    (void)snprintf(text + count, sizeof(text) - count, ".%03uZ", (unsigned)(ms % 1000));
    return text;
}

const char *cli_size(uint64_t bytes)
{
    static char texts[4][32];
    static uint32_t turn = 0;
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    char *text = texts[turn++ % 4];
    double value = (double)bytes;
    uint32_t unit = 0;
    for (; value >= 1024 && unit < 4; unit++) {
        value /= 1024;
    }
    (void)snprintf(text, sizeof(texts[0]), unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

uint64_t cli_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void cli_progress_begin(struct cli_progress *bar,
                        const struct cli *cli,
                        const char *what,
                        uint64_t total)
{
    *bar = (struct cli_progress){.what = what, .total = total, .began_ms = cli_now_ms()};
    bar->on = !cli->quiet && isatty(STDERR_FILENO);
}

void cli_progress_draw(struct cli_progress *bar)
{
    uint64_t now = cli_now_ms();
    if (!bar->on || now - bar->drawn_ms < PROGRESS_EVERY_MS) {
        return;
    }
    bar->drawn_ms = now;
    double seconds = (double)(now - bar->began_ms) / 1000.0 + 0.001;
    (void)fprintf(stderr, "\r%s ", bar->what);
    if (bar->total > 0) {
        uint64_t at = bar->at < bar->total ? bar->at : bar->total;
        char cells[21] = "                    ";
        memset(cells, '#', (size_t)(at * 20 / bar->total));
        (void)fprintf(stderr, "[%s] %3.0f%%  ", cells, 100.0 * (double)at / (double)bar->total);
    }
    (void)fprintf(stderr,
                  "%llu keys  %s  %.0f/s\x1b[K",
                  (unsigned long long)bar->done,
                  cli_size(bar->bytes),
                  (double)bar->done / seconds);
}

void cli_progress_end(struct cli_progress *bar)
{
    if (bar->on) {
        (void)fputs("\r\x1b[K", stderr);
    }
}
