#include "node/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/options_load.h"
#include "node/options_value.h"
#include "ring/core/check.h"

#define NAME_BYTES SGN_LOADER_NAME_BYTES

static const char *const action_flags[] = {"config", "check-config", "help", "man", "version"};

static void upper(const char *text, char *out, size_t bytes)
{
    size_t count = strnlen(text, bytes - 1);
    for (size_t i = 0; i < count; i++) {
        char c = text[i];
        out[i] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    out[count] = '\0';
}

void sgn_loader_name(
    enum sgn_place_kind kind, const char *section, const char *name, char *out, size_t bytes)
{
    char line[2 * NAME_BYTES];
    switch (kind) {
    case SGN_PLACE_DEFAULT:
    case SGN_PLACE_FILE: (void)snprintf(out, bytes, "[%s] %s", section, name); break;
    case SGN_PLACE_ENVIRONMENT:
        (void)snprintf(line, sizeof(line), "SIGNET_%.90s_%.90s", section, name);
        upper(line, out, bytes);
        for (char *dot = strchr(out, '.'); dot != NULL; dot = strchr(out, '.')) {
            *dot = '_';
        }
        break;
    case SGN_PLACE_FLAG:
        (void)snprintf(line, sizeof(line), "--%.90s.%.90s", section, name);
        for (char *c = strchr(line, '_'); c != NULL; c = strchr(line, '_')) {
            *c = '-';
        }
        (void)snprintf(out, bytes, "%s", line);
        break;
    }
}

static int place_format(
    const struct sgn_loader *loader, const char *section, const char *name, char *out, size_t bytes)
{
    if (loader->place.kind == SGN_PLACE_FILE) {
        int count = snprintf(out, bytes, "%s:%u: ", loader->config->file, loader->place.line);
        if (section != NULL && count > 0 && (size_t)count < bytes) {
            count += snprintf(out + count, bytes - (size_t)count, "[%.64s] %.64s: ", section, name);
        }
        return count;
    }
    if (loader->given != NULL) {
        return snprintf(out, bytes, "%.160s: ", loader->given);
    }
    char full[2 * NAME_BYTES] = "";
    if (section != NULL) {
        sgn_loader_name(loader->place.kind, section, name, full, sizeof(full));
    }
    return snprintf(out, bytes, "%s%s", full, section != NULL ? ": " : "");
}

enum sgn_err sgn_loader_fail(
    struct sgn_loader *loader, const char *section, const char *name, const char *format, ...)
{
    int count = place_format(loader, section, name, loader->error, SGN_CONFIG_ERROR_BYTES);
    if (count >= 0 && count < (int)SGN_CONFIG_ERROR_BYTES) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(
            loader->error + count, SGN_CONFIG_ERROR_BYTES - (size_t)count, format, args);
        va_end(args);
    }
    return SGN_ERR_CONFIG;
}

static enum sgn_err fail_unknown(struct sgn_loader *loader,
                                 const char *section,
                                 const char *name,
                                 bool in_members)
{
    const struct sgn_option *near = sgn_option_nearest(section, name, in_members);
    if (near != NULL) {
        char full[2 * NAME_BYTES];
        sgn_loader_name(loader->place.kind,
                        in_members ? section : near->section,
                        near->name,
                        full,
                        sizeof(full));
        return sgn_loader_fail(loader, section, name, "no such key; did you mean %s?", full);
    }
    char known[512] = "";
    const struct sgn_option *list = in_members ? sgn_member_options : sgn_options;
    uint32_t count = in_members ? SGN_MEMBER_OPTION_COUNT : (uint32_t)SGN_OPTION_COUNT;
    size_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        if ((in_members || strcmp(list[i].section, section) == 0) && at < sizeof(known)) {
            int more =
                snprintf(known + at, sizeof(known) - at, "%s%s", at > 0 ? ", " : "", list[i].name);
            at += more > 0 ? (size_t)more : 0;
        }
    }
    return sgn_loader_fail(loader, section, name, "no such key; [%.64s] takes %s", section, known);
}

static enum sgn_err value_take(struct sgn_loader *loader,
                               const struct sgn_option *option,
                               const char *section,
                               const char *value,
                               void *base,
                               struct sgn_place *set)
{
    if (loader->place.kind != SGN_PLACE_DEFAULT && set->kind == loader->place.kind) {
        if (set->kind == SGN_PLACE_FILE) {
            return sgn_loader_fail(
                loader, section, option->name, "given twice, first in line %u", set->line);
        }
        return sgn_loader_fail(loader, section, option->name, "given twice");
    }
    if (!sgn_option_parse(option, value, base)) {
        char allowed[SGN_ALLOWED_BYTES];
        sgn_option_allowed(option, allowed);
        return sgn_loader_fail(
            loader, section, option->name, "\"%.80s\" is not valid; give %s", value, allowed);
    }
    *set = loader->place;
    return SGN_OK;
}

uint32_t sgn_member_section_id(const char *section)
{
    static const struct sgn_option id = {.type = SGN_OPTION_UINT, .least = 1, .most = 2147483647};
    uint32_t value = 0;
    if (strncmp(section, "member.", 7) != 0 || !sgn_option_parse(&id, section + 7, &value)) {
        return 0;
    }
    return value;
}

static struct sgn_config_member *member_find(struct sgn_config *config, uint32_t id)
{
    for (uint32_t i = 0; i < config->member_count; i++) {
        if (config->members[i].member.id == id) {
            return &config->members[i];
        }
    }
    return NULL;
}

static enum sgn_err member_set(struct sgn_loader *loader,
                               const char *section,
                               const char *name,
                               const char *value)
{
    struct sgn_config *config = loader->config;
    uint32_t id = sgn_member_section_id(section);
    if (id == 0) {
        return sgn_loader_fail(loader,
                               section,
                               name,
                               "the member's id is not valid; give a whole number from 1 to "
                               "2147483647");
    }
    struct sgn_config_member *member = member_find(config, id);
    if (member == NULL) {
        if (config->member_count == SGN_NODES_MAX) {
            return sgn_loader_fail(
                loader, section, name, "a ring has at most %u members", SGN_NODES_MAX);
        }
        member = &config->members[config->member_count++];
        *member = (struct sgn_config_member){.first = loader->place};
        member->member = (struct sgn_member){.id = id, .weight = 1, .zone = 0};
    }
    for (uint32_t i = 0; i < SGN_MEMBER_OPTION_COUNT; i++) {
        if (sgn_option_name_equal(name, sgn_member_options[i].name, false)) {
            return value_take(
                loader, &sgn_member_options[i], section, value, &member->member, &member->set[i]);
        }
    }
    return fail_unknown(loader, section, name, true);
}

enum sgn_err sgn_loader_set(struct sgn_loader *loader,
                            const char *section,
                            const char *name,
                            const char *value)
{
    if (strncmp(section, "member.", 7) == 0) {
        return member_set(loader, section, name, value);
    }
    for (uint32_t i = 0; i < SGN_OPTION_COUNT; i++) {
        if (strcmp(section, sgn_options[i].section) == 0 &&
            sgn_option_name_equal(name, sgn_options[i].name, false)) {
            return value_take(
                loader, &sgn_options[i], section, value, loader->config, &loader->config->set[i]);
        }
    }
    return fail_unknown(loader, section, name, false);
}

static enum sgn_err defaults_take(struct sgn_loader *loader)
{
    loader->place = (struct sgn_place){.kind = SGN_PLACE_DEFAULT};
    for (uint32_t i = 0; i < SGN_OPTION_COUNT; i++) {
        const char *fallback = sgn_options[i].fallback;
        if (fallback != NULL && fallback[0] != '\0') {
            SGN_ASSERT(sgn_option_parse(&sgn_options[i], fallback, loader->config));
        }
    }
    return SGN_OK;
}

/* SECTION_KEY or MEMBER_ID_KEY, of ours: splits it, in lower case. False: some other program's. */
static bool variable_split(const char *rest, char section[NAME_BYTES], char name[NAME_BYTES])
{
    char lower[NAME_BYTES];
    size_t count = strnlen(rest, sizeof(lower) - 1);
    for (size_t i = 0; i < count; i++) {
        lower[i] = rest[i] >= 'A' && rest[i] <= 'Z' ? (char)(rest[i] - 'A' + 'a') : rest[i];
    }
    lower[count] = '\0';
    char *first = strchr(lower, '_');
    if (first == NULL) {
        return false;
    }
    *first = '\0';
    const char *key = first + 1;
    if (strcmp(lower, "member") == 0) {
        char *second = strchr(first + 1, '_');
        if (second == NULL || key[0] < '0' || key[0] > '9') {
            return false;
        }
        *second = '\0';
        (void)snprintf(section, NAME_BYTES, "member.%.80s", key);
        key = second + 1;
    } else if (sgn_section_known(lower)) {
        (void)snprintf(section, NAME_BYTES, "%.80s", lower);
    } else {
        return false;
    }
    (void)snprintf(name, NAME_BYTES, "%.80s", key);
    return strncmp(key, "service_", 8) != 0 && strcmp(key, "port") != 0 &&
           strncmp(key, "port_", 5) != 0;
}

static enum sgn_err environment_take(struct sgn_loader *loader, char *const environment[])
{
    loader->place = (struct sgn_place){.kind = SGN_PLACE_ENVIRONMENT};
    for (uint32_t i = 0; environment != NULL && environment[i] != NULL; i++) {
        const char *equals = strchr(environment[i], '=');
        char variable[2 * NAME_BYTES];
        if (strncmp(environment[i], "SIGNET_", 7) != 0 || equals == NULL ||
            (size_t)(equals - environment[i]) >= sizeof(variable)) {
            continue;
        }
        (void)snprintf(
            variable, sizeof(variable), "%.*s", (int)(equals - environment[i]), environment[i]);
        char section[NAME_BYTES];
        char name[NAME_BYTES];
        if (!variable_split(variable + 7, section, name)) {
            continue;
        }
        loader->given = variable;
        enum sgn_err err = sgn_loader_set(loader, section, name, equals + 1);
        loader->given = NULL;
        if (err != SGN_OK) {
            return err;
        }
    }
    return SGN_OK;
}

struct flag {
    char text[2 * NAME_BYTES]; /* "--node.id" without the value. */
    const char *value;         /* NULL: none given with =. */
};

static void flag_split(const char *argument, struct flag *flag)
{
    const char *equals = strchr(argument, '=');
    size_t count = equals != NULL ? (size_t)(equals - argument) : strlen(argument);
    (void)snprintf(
        flag->text, sizeof(flag->text), "%.*s", count > 180 ? 180 : (int)count, argument);
    flag->value = equals != NULL ? equals + 1 : NULL;
}

/* A flag that is no option: --help and its like. False if it is an option's. */
static bool action_take(struct sgn_config *config, const char *text)
{
    static const struct {
        const char *name;
        enum sgn_config_action action;
    } actions[] = {{"--help", SGN_CONFIG_HELP},
                   {"-h", SGN_CONFIG_HELP},
                   {"--man", SGN_CONFIG_MAN},
                   {"--version", SGN_CONFIG_VERSION},
                   {"--check-config", SGN_CONFIG_CHECK}};
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
        if (strcmp(text, actions[i].name) == 0) {
            config->action = actions[i].action;
            return true;
        }
    }
    return false;
}

static enum sgn_err flag_set(struct sgn_loader *loader, const struct flag *flag)
{
    char section[2 * NAME_BYTES] = "node";
    const char *name = flag->text + 2;
    const char *dot = strrchr(name, '.');
    if (dot != NULL) {
        (void)snprintf(section, sizeof(section), "%.*s", (int)(dot - name), name);
        name = dot + 1;
    }
    for (size_t i = 0; dot == NULL && i < sizeof(action_flags) / sizeof(action_flags[0]); i++) {
        if (sgn_option_distance(name, action_flags[i]) <= 2) {
            return sgn_loader_fail(
                loader, section, name, "no such flag; did you mean --%s?", action_flags[i]);
        }
    }
    if (strncmp(section, "member.", 7) != 0 && !sgn_section_known(section)) {
        const char *near = sgn_section_nearest(section);
        return sgn_loader_fail(loader,
                               section,
                               name,
                               "no such section; did you mean --%s.%s?",
                               near != NULL ? near : "node",
                               name);
    }
    return sgn_loader_set(loader, section, name, flag->value);
}

/* Two passes: the first finds the file and the action, the second sets options. */
static enum sgn_err flags_take(struct sgn_loader *loader,
                               int argc,
                               char *const argv[],
                               bool options_too)
{
    loader->place = (struct sgn_place){.kind = SGN_PLACE_FLAG};
    for (int i = 1; i < argc; i++) {
        struct flag flag;
        flag_split(argv[i], &flag);
        loader->given = flag.text;
        if (action_take(loader->config, flag.text)) {
            continue;
        }
        if (strncmp(flag.text, "--", 2) != 0 || flag.text[2] == '\0') {
            return sgn_loader_fail(loader, NULL, NULL, "not a flag; see signet-node --help");
        }
        if (flag.value == NULL && i + 1 < argc && strncmp(argv[i + 1], "--", 2) != 0) {
            flag.value = argv[++i];
        }
        bool is_file = strcmp(flag.text, "--config") == 0;
        enum sgn_err err = SGN_OK;
        if (!is_file && options_too && flag.value == NULL) {
            flag.value = ""; /* No option takes an empty value: the sentence says what it takes. */
        }
        if (is_file && (flag.value == NULL || flag.value[0] == '\0' ||
                        strlen(flag.value) > SGN_PATH_BYTES_MAX)) {
            err = sgn_loader_fail(loader, NULL, NULL, "give a path of 1 to 511 bytes");
        } else if (is_file) {
            (void)snprintf(loader->config->file, sizeof(loader->config->file), "%s", flag.value);
        } else if (options_too) {
            err = flag_set(loader, &flag);
        }
        if (err != SGN_OK) {
            return err;
        }
    }
    loader->given = NULL;
    return SGN_OK;
}

static int member_order(const void *a, const void *b)
{
    const struct sgn_config_member *left = a;
    const struct sgn_config_member *right = b;
    return (left->member.id > right->member.id) - (left->member.id < right->member.id);
}

static enum sgn_err sources_take(struct sgn_loader *loader,
                                 int argc,
                                 char *const argv[],
                                 char *const environment[])
{
    enum sgn_err err = SGN_OK;
    if (loader->config->file[0] != '\0') {
        err = sgn_loader_file(loader);
    }
    if (err == SGN_OK) {
        err = environment_take(loader, environment);
    }
    return err == SGN_OK ? flags_take(loader, argc, argv, true) : err;
}

enum sgn_err sgn_config_load(
    struct sgn_config *config, int argc, char *const argv[], char *const environment[], char *error)
{
    memset(config, 0, sizeof(*config));
    error[0] = '\0';
    struct sgn_loader loader = {.config = config, .error = error};
    for (uint32_t i = 0; environment != NULL && environment[i] != NULL; i++) {
        if (strncmp(environment[i], "SIGNET_CONFIG=", 14) == 0 &&
            strlen(environment[i] + 14) <= SGN_PATH_BYTES_MAX) {
            (void)snprintf(config->file, sizeof(config->file), "%s", environment[i] + 14);
        }
    }
    enum sgn_err err = flags_take(&loader, argc, argv, false);
    if (err != SGN_OK || config->action == SGN_CONFIG_HELP || config->action == SGN_CONFIG_MAN ||
        config->action == SGN_CONFIG_VERSION) {
        return err;
    }
    err = defaults_take(&loader);
    if (err == SGN_OK) {
        err = sources_take(&loader, argc, argv, environment);
    }
    loader.given = NULL;
    if (err == SGN_OK) {
        qsort(config->members, config->member_count, sizeof(config->members[0]), member_order);
        err = sgn_loader_check(&loader);
    }
    return err;
}

void sgn_config_ring(const struct sgn_config *config, struct sgn_ring *ring)
{
    memset(ring, 0, sizeof(*ring));
    memcpy(ring->name, config->ring_name, sizeof(ring->name));
    ring->epoch = 1;
    ring->partition_count = config->partitions;
    ring->replica_count = config->replicas;
    ring->member_count = config->member_count;
    for (uint32_t i = 0; i < config->member_count; i++) {
        ring->members[i] = config->members[i].member;
    }
}

const struct sgn_config_member *sgn_config_member(const struct sgn_config *config, uint32_t id)
{
    for (uint32_t i = 0; i < config->member_count; i++) {
        if (config->members[i].member.id == id) {
            return &config->members[i];
        }
    }
    return NULL;
}
