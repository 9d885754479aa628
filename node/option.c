#include "node/option.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "node/log.h"
#include "ring/core/check.h"
#include "ring/core/key.h"
#include "ring/core/ring.h"
#include "ring/net/address.h"

struct unit {
    const char *name;
    uint64_t times;
};

static const struct unit size_units[] = {{"T", UINT64_C(1) << 40},
                                         {"G", UINT64_C(1) << 30},
                                         {"M", UINT64_C(1) << 20},
                                         {"K", UINT64_C(1) << 10},
                                         {"", 1},
                                         {NULL, 0}};
static const struct unit time_units[] = {
    {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0}};

/* Digits only, then one of the units; no sign, no blank, no overflow. */
static bool number_parse(const char *text, const struct unit *units, uint64_t *value)
{
    uint64_t number = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (number > (UINT64_MAX - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    if (at == text) {
        return false;
    }
    if (units == NULL) {
        *value = number;
        return *at == '\0';
    }
    for (; units->name != NULL; units++) {
        if (strcmp(at, units->name) == 0) {
            *value = number * units->times;
            return number <= UINT64_MAX / units->times;
        }
    }
    /* A bare 0 needs no unit. */
    *value = 0;
    return number == 0 && *at == '\0';
}

static const struct unit *units_of(enum sgn_option_type type)
{
    if (type == SGN_OPTION_SIZE) {
        return size_units;
    }
    return type == SGN_OPTION_TIME ? time_units : NULL;
}

static bool put_number(const struct sgn_option *option, const char *text, void *field)
{
    uint64_t value = 0;
    if (!number_parse(text, units_of(option->type), &value) || value < option->least ||
        value > option->most) {
        return false;
    }
    if (option->type == SGN_OPTION_POWER && (value & (value - 1)) != 0) {
        return false;
    }
    if (option->type == SGN_OPTION_SIZE) {
        memcpy(field, &value, sizeof(value));
    } else {
        SGN_ASSERT(value <= UINT32_MAX);
        uint32_t narrow = (uint32_t)value;
        memcpy(field, &narrow, sizeof(narrow));
    }
    return true;
}

static bool put_text(const char *text, size_t bytes_max, void *field)
{
    size_t bytes = strlen(text);
    if (bytes > bytes_max) {
        return false;
    }
    memcpy(field, text, bytes + 1);
    return true;
}

static bool put_address(const char *text, bool port_0_allowed, void *field)
{
    struct sgn_address address;
    if (sgn_address_parse(text, &address, NULL) != SGN_OK ||
        (sgn_address_port(&address) == 0 && !port_0_allowed)) {
        return false;
    }
    return put_text(text, SGN_ADDRESS_BYTES_MAX, field);
}

static bool put_word(bool known, uint32_t value, void *field)
{
    if (known) {
        memcpy(field, &value, sizeof(value));
    }
    return known;
}

bool sgn_option_parse(const struct sgn_option *option, const char *text, void *base)
{
    void *field = (char *)base + option->offset;
    switch (option->type) {
    case SGN_OPTION_UINT:
    case SGN_OPTION_POWER:
    case SGN_OPTION_SIZE:
    case SGN_OPTION_TIME: return put_number(option, text, field);
    case SGN_OPTION_ADDRESS: return put_address(text, false, field);
    case SGN_OPTION_ADMIN:
        return strcmp(text, "off") == 0 ? put_text("", 0, field) : put_address(text, true, field);
    case SGN_OPTION_PATH: return text[0] != '\0' && put_text(text, SGN_PATH_BYTES_MAX, field);
    case SGN_OPTION_NAME:
        return sgn_bucket_name_valid(sgn_bytes_str(text)) &&
               put_text(text, SGN_RING_NAME_BYTES_MAX, field);
    case SGN_OPTION_LEVEL: {
        enum sgn_log_level level = sgn_log_level_of(text);
        return put_word(level < SGN_LOG_LEVELS, (uint32_t)level, field);
    }
    case SGN_OPTION_SWITCH: {
        bool yes = strcmp(text, "yes") == 0;
        return put_word(yes || strcmp(text, "no") == 0, yes ? 1 : 0, field);
    }
    }
    return false;
}

static void number_format(uint64_t value, const struct unit *units, char *text, size_t bytes)
{
    const struct unit *unit = units;
    while (unit[1].name != NULL && (value == 0 || value % unit->times != 0)) {
        unit++;
    }
    (void)snprintf(text, bytes, "%" PRIu64 "%s", value / unit->times, unit->name);
}

void sgn_option_allowed(const struct sgn_option *option, char text[SGN_ALLOWED_BYTES])
{
    char least[32];
    char most[32];
    const char *say = "";
    switch (option->type) {
    case SGN_OPTION_UINT:
        (void)snprintf(text,
                       SGN_ALLOWED_BYTES,
                       "a whole number from %" PRIu64 " to %" PRIu64,
                       option->least,
                       option->most);
        return;
    case SGN_OPTION_POWER:
        (void)snprintf(text,
                       SGN_ALLOWED_BYTES,
                       "a power of two from %" PRIu64 " to %" PRIu64,
                       option->least,
                       option->most);
        return;
    case SGN_OPTION_SIZE:
    case SGN_OPTION_TIME:
        number_format(option->least, units_of(option->type), least, sizeof(least));
        number_format(option->most, units_of(option->type), most, sizeof(most));
        (void)snprintf(text,
                       SGN_ALLOWED_BYTES,
                       "%s from %s to %s",
                       option->type == SGN_OPTION_SIZE ? "a size such as 64M"
                                                       : "a time such as 500ms or 2s",
                       least,
                       most);
        return;
    case SGN_OPTION_ADDRESS: say = "an address and port such as 127.0.0.1:7301"; break;
    case SGN_OPTION_ADMIN: say = "an address and port such as 127.0.0.1:7401, or off"; break;
    case SGN_OPTION_PATH: say = "a path of 1 to 511 bytes"; break;
    case SGN_OPTION_NAME: say = "1 to 63 of a-z 0-9 . _ - that begin with none of . -"; break;
    case SGN_OPTION_LEVEL: say = "debug, info, warn or error"; break;
    case SGN_OPTION_SWITCH: say = "yes or no"; break;
    }
    (void)snprintf(text, SGN_ALLOWED_BYTES, "%s", say);
}

static size_t field_bytes(const struct sgn_option *option)
{
    switch (option->type) {
    case SGN_OPTION_SIZE: return sizeof(uint64_t);
    case SGN_OPTION_UINT:
    case SGN_OPTION_POWER:
    case SGN_OPTION_TIME:
    case SGN_OPTION_LEVEL:
    case SGN_OPTION_SWITCH: return sizeof(uint32_t);
    case SGN_OPTION_ADDRESS:
    case SGN_OPTION_ADMIN:
    case SGN_OPTION_PATH:
    case SGN_OPTION_NAME: break;
    }
    return 0;
}

bool sgn_option_same(const struct sgn_option *option, const void *a, const void *b)
{
    const char *field_a = (const char *)a + option->offset;
    const char *field_b = (const char *)b + option->offset;
    size_t bytes = field_bytes(option);
    return bytes > 0 ? memcmp(field_a, field_b, bytes) == 0 : strcmp(field_a, field_b) == 0;
}

static char plain(char c, bool fold)
{
    if (c == '-') {
        return '_';
    }
    return fold && c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool sgn_option_name_equal(const char *a, const char *b, bool fold)
{
    while (*a != '\0' && plain(*a, fold) == plain(*b, fold)) {
        a++;
        b++;
    }
    return *a == '\0' && *b == '\0';
}

#define NAME_BYTES_LOOKED_AT 64u

uint32_t sgn_option_distance(const char *a, const char *b)
{
    uint32_t row[NAME_BYTES_LOOKED_AT + 1];
    size_t a_count = strnlen(a, NAME_BYTES_LOOKED_AT);
    size_t b_count = strnlen(b, NAME_BYTES_LOOKED_AT);
    for (uint32_t j = 0; j <= b_count; j++) {
        row[j] = j;
    }
    for (uint32_t i = 1; i <= a_count; i++) {
        uint32_t corner = row[0]; /* The value above and to the left. */
        row[0] = i;
        for (uint32_t j = 1; j <= b_count; j++) {
            uint32_t change = corner + (plain(a[i - 1], true) != plain(b[j - 1], true));
            uint32_t least = row[j] < row[j - 1] ? row[j] : row[j - 1];
            corner = row[j];
            row[j] = change < least + 1 ? change : least + 1;
        }
    }
    return row[b_count];
}

uint32_t sgn_option_distance_max(const char *name)
{
    size_t count = strlen(name);
    return count < 4 ? 1 : (uint32_t)(count < 9 ? 2 : 3);
}
