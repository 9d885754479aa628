#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/options_load.h"
#include "node/options_value.h"

#define SECTION_BYTES 80u

static enum sgn_err section_take(struct sgn_loader *loader, char *line, char section[SECTION_BYTES])
{
    size_t count = strlen(line);
    if (line[count - 1] != ']') {
        return sgn_loader_fail(loader, NULL, NULL, "\"%.40s\" has no closing ]", line);
    }
    line[count - 1] = '\0';
    const char *name = sgn_text_trim(line + 1);
    if (strncmp(name, "member", 6) == 0) {
        if (sgn_member_section_id(name) == 0) {
            return sgn_loader_fail(loader,
                                   NULL,
                                   NULL,
                                   "[%.40s] is no member; write [member.ID] with a whole number "
                                   "from 1 to 2147483647, as in [member.1]",
                                   name);
        }
    } else if (!sgn_section_known(name)) {
        const char *nearest = sgn_section_nearest(name);
        return sgn_loader_fail(
            loader,
            NULL,
            NULL,
            "[%.40s] is no section; %s%s%s",
            name,
            nearest != NULL ? "did you mean [" : "there are ",
            nearest != NULL ? nearest : "[node], [ring], [store], [timing] and [member.ID]",
            nearest != NULL ? "]?" : "");
    }
    (void)snprintf(section, SECTION_BYTES, "%s", name);
    return SGN_OK;
}

static enum sgn_err line_take(struct sgn_loader *loader, char *line, char section[SECTION_BYTES])
{
    line = sgn_text_trim(line);
    if (line[0] == '\0' || line[0] == '#' || line[0] == ';') {
        return SGN_OK;
    }
    if (line[0] == '[') {
        return section_take(loader, line, section);
    }
    char *equals = strchr(line, '=');
    if (equals == NULL) {
        return sgn_loader_fail(
            loader, NULL, NULL, "\"%.40s\" is neither [section] nor key = value", line);
    }
    *equals = '\0';
    const char *name = sgn_text_trim(line);
    if (section[0] == '\0') {
        return sgn_loader_fail(loader,
                               NULL,
                               NULL,
                               "\"%.40s\" stands before the first section; begin with [node]",
                               name);
    }
    return sgn_loader_set(loader, section, name, sgn_text_trim(equals + 1));
}

enum sgn_err sgn_loader_file(struct sgn_loader *loader)
{
    char *text = sgn_config_file_read(loader->config->file, loader->error, SGN_CONFIG_ERROR_BYTES);
    if (text == NULL) {
        return SGN_ERR_CONFIG;
    }
    char section[SECTION_BYTES] = "";
    enum sgn_err err = SGN_OK;
    loader->place = (struct sgn_place){.kind = SGN_PLACE_FILE, .line = 0};
    char *line = text;
    while (line != NULL && err == SGN_OK) {
        char *end = strchr(line, '\n');
        if (end != NULL) {
            *end = '\0';
        }
        loader->place.line++;
        err = line_take(loader, line, section);
        line = end != NULL ? end + 1 : NULL;
    }
    free(text);
    return err;
}
