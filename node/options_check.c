#include <stdio.h>
#include <string.h>

#include "node/options_load.h"

#define NAME_BYTES SGN_LOADER_NAME_BYTES

/* For a sentence about a value that was taken earlier. */
static struct sgn_loader loader_at(const struct sgn_loader *loader, struct sgn_place place)
{
    struct sgn_loader at = *loader;
    at.place = place;
    at.given = NULL;
    return at;
}

static enum sgn_err required_check(struct sgn_loader *loader)
{
    for (uint32_t i = 0; i < SGN_OPTION_COUNT; i++) {
        const struct sgn_option *option = &sgn_options[i];
        if (option->fallback == NULL && loader->config->set[i].kind == SGN_PLACE_DEFAULT) {
            char variable[2 * NAME_BYTES];
            char flag[2 * NAME_BYTES];
            char allowed[SGN_ALLOWED_BYTES];
            sgn_loader_name(
                SGN_PLACE_ENVIRONMENT, option->section, option->name, variable, sizeof(variable));
            sgn_loader_name(SGN_PLACE_FLAG, option->section, option->name, flag, sizeof(flag));
            sgn_option_allowed(option, allowed);
            (void)snprintf(loader->error,
                           SGN_CONFIG_ERROR_BYTES,
                           "%s%s[%s] %s: missing; give %s there, as %s or as %s",
                           loader->config->file,
                           loader->config->file[0] != '\0' ? ": " : "",
                           option->section,
                           option->name,
                           allowed,
                           variable,
                           flag);
            return SGN_ERR_CONFIG;
        }
    }
    return SGN_OK;
}

static enum sgn_err members_check(struct sgn_loader *loader)
{
    struct sgn_config *config = loader->config;
    for (uint32_t i = 0; i < config->member_count; i++) {
        const struct sgn_config_member *member = &config->members[i];
        char section[NAME_BYTES];
        (void)snprintf(section, sizeof(section), "member.%u", member->member.id);
        if (member->member.address[0] == '\0') {
            struct sgn_loader at = loader_at(loader, member->first);
            return sgn_loader_fail(&at,
                                   section,
                                   "address",
                                   "missing; give an address and port such as 127.0.0.1:7301");
        }
        for (uint32_t j = 0; j < i; j++) {
            if (strcmp(config->members[j].member.address, member->member.address) == 0) {
                struct sgn_loader at = loader_at(loader, member->set[0]);
                return sgn_loader_fail(&at,
                                       section,
                                       "address",
                                       "\"%s\" is the address of member %u already",
                                       member->member.address,
                                       config->members[j].member.id);
            }
        }
    }
    return SGN_OK;
}

static enum sgn_err fail_option(struct sgn_loader *loader,
                                enum sgn_option_index index,
                                const char *sentence)
{
    struct sgn_loader at = loader_at(loader, loader->config->set[index]);
    return sgn_loader_fail(
        &at, sgn_options[index].section, sgn_options[index].name, "%s", sentence);
}

static enum sgn_err ring_check(struct sgn_loader *loader)
{
    const struct sgn_config *config = loader->config;
    char sentence[256];
    if (config->member_count == 0) {
        (void)snprintf(
            loader->error,
            SGN_CONFIG_ERROR_BYTES,
            "%s%s[member.ID]: missing; a ring needs a section such as [member.1] with an "
            "address for each of its members",
            config->file,
            config->file[0] != '\0' ? ": " : "");
        return SGN_ERR_CONFIG;
    }
    if (config->replicas > config->member_count) {
        (void)snprintf(sentence,
                       sizeof(sentence),
                       "%u replicas need %u members and there %s %u; give a whole number from 1 to "
                       "%u",
                       config->replicas,
                       config->replicas,
                       config->member_count == 1 ? "is" : "are",
                       config->member_count,
                       config->member_count < 7 ? config->member_count : 7);
        return fail_option(loader, SGN_OPTION_ring_replicas, sentence);
    }
    if (sgn_config_member(config, config->id) == NULL) {
        (void)snprintf(sentence,
                       sizeof(sentence),
                       "%u is not a member of the ring; there is no "
                       "[member.%u] section",
                       config->id,
                       config->id);
        return fail_option(loader, SGN_OPTION_node_id, sentence);
    }
    return SGN_OK;
}

static enum sgn_err times_check(struct sgn_loader *loader)
{
    struct sgn_config *config = loader->config;
    char sentence[256];
    if (config->suspect_ms < 2 * config->heartbeat_ms) {
        (void)snprintf(sentence,
                       sizeof(sentence),
                       "%ums is less than two heartbeats of %ums; one lost heartbeat would take a "
                       "live peer for down",
                       config->suspect_ms,
                       config->heartbeat_ms);
        return fail_option(loader, SGN_OPTION_timing_suspect, sentence);
    }
    if (config->replica_ms >= config->request_ms) {
        (void)snprintf(sentence,
                       sizeof(sentence),
                       "%ums is not less than the %ums of [timing] request; no time would be left "
                       "for a stand-in",
                       config->replica_ms,
                       config->request_ms);
        return fail_option(loader, SGN_OPTION_timing_replica, sentence);
    }
    if (config->listen[0] == '\0') {
        memcpy(config->listen,
               sgn_config_member(config, config->id)->member.address,
               sizeof(config->listen));
    }
    if (strcmp(config->listen, config->admin) == 0) {
        return fail_option(loader,
                           SGN_OPTION_node_admin,
                           "is the address of [node] listen; give it a port of its own");
    }
    return SGN_OK;
}

enum sgn_err sgn_loader_check(struct sgn_loader *loader)
{
    enum sgn_err err = required_check(loader);
    if (err == SGN_OK) {
        err = members_check(loader);
    }
    if (err == SGN_OK) {
        err = ring_check(loader);
    }
    return err == SGN_OK ? times_check(loader) : err;
}
