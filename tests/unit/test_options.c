/* Every sentence about a wrong option, literally; where values come from; help and manual. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/log.h"
#include "node/options.h"
#include "node/options_value.h"

#define GOOD                                                                                       \
    "[node]\nid=1\ndata=/tmp/d\n[ring]\nname=demo\n[member.1]\naddress=127.0.0.1:7301\n"           \
    "[member.2]\naddress=127.0.0.1:7302\nweight=4\nzone=2\n[member.3]\naddress=[::1]:7303\n"

static struct sgn_config config;
static char error_text[SGN_CONFIG_ERROR_BYTES];
static char path[64];

static void write_file(const char *text, size_t bytes)
{
    (void)snprintf(path, sizeof(path), "/tmp/signet-options-XXXXXX");
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    cr_assert(write(fd, text, bytes) == (ssize_t)bytes);
    close(fd);
}

/* Loads a file with the text, an environment and up to three more arguments. */
static enum sgn_err load_all(
    const char *text, char *const *environment, const char *a, const char *b, const char *c)
{
    write_file(text, strlen(text));
    char *argv[] = {"signet-node",
                    "--config",
                    path,
                    (char *)(uintptr_t)a,
                    (char *)(uintptr_t)b,
                    (char *)(uintptr_t)c,
                    NULL};
    int argc = 3 + (a != NULL) + (b != NULL) + (c != NULL);
    enum sgn_err err = sgn_config_load(&config, argc, argv, environment, error_text);
    unlink(path);
    return err;
}

/* The text in the file leads to the sentence; FILE in it stands for the path. */
static void expect_file_error(const char *text, const char *sentence)
{
    char wanted[SGN_CONFIG_ERROR_BYTES];
    enum sgn_err err = load_all(text, NULL, NULL, NULL, NULL);
    if (strncmp(sentence, "FILE", 4) == 0) {
        (void)snprintf(wanted, sizeof(wanted), "%s%s", path, sentence + 4);
    } else {
        (void)snprintf(wanted, sizeof(wanted), "%s", sentence);
    }
    cr_expect_eq(err, SGN_ERR_CONFIG, "for %s", text);
    cr_expect_str_eq(error_text, wanted);
}

static void expect_flag_error(const char *flag, const char *value, const char *sentence)
{
    enum sgn_err err = load_all(GOOD, NULL, flag, value, NULL);
    cr_expect_eq(err, SGN_ERR_CONFIG, "for %s", flag);
    cr_expect_str_eq(error_text, sentence);
}

static void expect_environment_error(const char *variable, const char *sentence)
{
    char *environment[] = {(char *)(uintptr_t)variable, NULL};
    enum sgn_err err = load_all(GOOD, environment, NULL, NULL, NULL);
    cr_expect_eq(err, SGN_ERR_CONFIG, "for %s", variable);
    cr_expect_str_eq(error_text, sentence);
}

Test(options, values_and_precedence)
{
    cr_assert_eq(load_all(GOOD, NULL, NULL, NULL, NULL), SGN_OK, "%s", error_text);
    cr_expect_eq(config.id, 1);
    cr_expect_eq(config.partitions, 256);
    cr_expect_eq(config.replicas, 3);
    cr_expect_eq(config.memory_bytes, UINT64_C(512) << 20);
    cr_expect_eq(config.request_ms, 2000);
    cr_expect_eq(config.log_level, SGN_LOG_INFO);
    cr_expect_eq(config.sync, 1);
    cr_expect_str_eq(config.listen, "127.0.0.1:7301");
    cr_expect_str_eq(config.admin, "");
    cr_expect_eq(config.member_count, 3);
    cr_expect_eq(config.members[1].member.weight, 4);
    cr_expect_eq(config.members[1].member.zone, 2);
    cr_expect_eq(config.members[2].member.weight, 1);
    struct sgn_ring ring;
    sgn_config_ring(&config, &ring);
    cr_expect_str_eq(ring.name, "demo");
    cr_expect_eq(ring.members[2].id, 3);

    /* Flags over environment over file; - and _ are one; blanks, comments, CRLF do not matter. */
    char *environment[] = {"SIGNET_NODE_LOG_LEVEL=debug",
                           "SIGNET_NODE_MEMORY=1G",
                           "SIGNET_MEMBER_2_ADDRESS=127.0.0.1:9302",
                           "SIGNET_NODE_PORT=tcp://1",
                           "SIGNET_NODE_SERVICE_HOST=10.0.0.1",
                           "SIGNET_SEEDS=of another program",
                           "HOME=/",
                           NULL};
    cr_assert_eq(load_all("# c\r\n; c\r\n [ node ] \r\n  id =  2 \r\ndata=/d\r\nlog-level=warn\r\n"
                          "memory = 128M\r\n[ring]\r\nname=r.2_-\r\nreplicas=2\r\n"
                          "[member.2]\naddress=127.0.0.1:1\n[member.1]\naddress=127.0.0.1:2\n"
                          "[timing]\nsuspect=1m",
                          environment,
                          "--log-level=error",
                          "--timing.tree",
                          "90s"),
                 SGN_OK,
                 "%s",
                 error_text);
    cr_expect_eq(config.id, 2);
    cr_expect_eq(config.log_level, SGN_LOG_ERROR);
    cr_expect_eq(config.memory_bytes, UINT64_C(1) << 30);
    cr_expect_eq(config.tree_ms, 90000);
    cr_expect_eq(config.suspect_ms, 60000);
    cr_expect_eq(config.members[0].member.id, 1, "members are sorted");
    cr_expect_str_eq(config.listen, "127.0.0.1:9302");

    char *actions[][3] = {{"n", "--help", NULL}, {"n", "--man", NULL}, {"n", "--version", NULL}};
    enum sgn_config_action wanted[] = {SGN_CONFIG_HELP, SGN_CONFIG_MAN, SGN_CONFIG_VERSION};
    for (size_t i = 0; i < 3; i++) {
        cr_expect_eq(sgn_config_load(&config, 2, actions[i], NULL, error_text), SGN_OK);
        cr_expect_eq(config.action, wanted[i]);
    }
    cr_assert_eq(load_all(GOOD, NULL, "--check-config", NULL, NULL), SGN_OK);
    cr_expect_eq(config.action, SGN_CONFIG_CHECK);

    struct sgn_config *other = malloc(sizeof(*other));
    *other = config;
    other->drain_ms++;
    for (uint32_t i = 0; i < SGN_OPTION_COUNT; i++) {
        cr_expect_eq(sgn_option_same(&sgn_options[i], &config, other), i != SGN_OPTION_node_drain);
    }
    free(other);
}

Test(options, file_errors)
{
    expect_file_error("[node]\nid = zero\n",
                      "FILE:2: [node] id: \"zero\" is not valid; give a whole number from 1 to "
                      "2147483647");
    expect_file_error("[node]\nid=0\n",
                      "FILE:2: [node] id: \"0\" is not valid; give a whole number "
                      "from 1 to 2147483647");
    expect_file_error("[node]\nid=99999999999999999999999\n",
                      "FILE:2: [node] id: \"99999999999999999999999\" is not valid; give a whole "
                      "number from 1 to 2147483647");
    expect_file_error("[node]\nlsten=127.0.0.1:1\n",
                      "FILE:2: [node] lsten: no such key; did you mean [node] listen?");
    expect_file_error("[node]\npartitions=8\n",
                      "FILE:2: [node] partitions: no such key; did you mean [ring] partitions?");
    expect_file_error("[ring]\ncolour=red\n",
                      "FILE:2: [ring] colour: no such key; [ring] takes "
                      "name, partitions, replicas");
    expect_file_error("[nod]\n", "FILE:1: [nod] is no section; did you mean [node]?");
    expect_file_error("[colours]\n",
                      "FILE:1: [colours] is no section; there are [node], [ring], "
                      "[store], [timing] and [member.ID]");
    expect_file_error("[member]\n",
                      "FILE:1: [member] is no member; write [member.ID] with a whole number from 1 "
                      "to 2147483647, as in [member.1]");
    expect_file_error("[member.1]\nwieght=2\n",
                      "FILE:2: [member.1] wieght: no such key; did you mean [member.1] weight?");
    expect_file_error(
        "[member.1]\nweight=1001\n",
        "FILE:2: [member.1] weight: \"1001\" is not valid; give a whole number from 1 "
        "to 1000");
    expect_file_error("[member.1]\nzone=64\n",
                      "FILE:2: [member.1] zone: \"64\" is not valid; give "
                      "a whole number from 0 to 63");
    expect_file_error(
        "[member.1]\naddress=localhost:7301\n",
        "FILE:2: [member.1] address: \"localhost:7301\" is not valid; give an address "
        "and port such as 127.0.0.1:7301");
    expect_file_error(
        "[node]\nlisten=127.0.0.1:0\n",
        "FILE:2: [node] listen: \"127.0.0.1:0\" is not valid; give an address and port "
        "such as 127.0.0.1:7301");
    expect_file_error(
        "[node]\nadmin=7401\n",
        "FILE:2: [node] admin: \"7401\" is not valid; give an address and port such as "
        "127.0.0.1:7401, or off");
}

Test(options, file_value_and_form_errors)
{
    expect_file_error("[ring]\npartitions=100\n",
                      "FILE:2: [ring] partitions: \"100\" is not valid; give a power of two from 8 "
                      "to 16384");
    expect_file_error("[ring]\nname=Demo\n",
                      "FILE:2: [ring] name: \"Demo\" is not valid; give 1 to 63 of a-z 0-9 . _ - "
                      "that begin with none of . -");
    expect_file_error("[node]\nmemory=1\n",
                      "FILE:2: [node] memory: \"1\" is not valid; give a size "
                      "such as 64M from 128M to 1T");
    expect_file_error("[timing]\nheartbeat=200\n",
                      "FILE:2: [timing] heartbeat: \"200\" is not valid; give a time such as 500ms "
                      "or 2s from 20ms to 1m");
    expect_file_error("[node]\nlog_level=loud\n",
                      "FILE:2: [node] log_level: \"loud\" is not valid; give debug, info, warn or "
                      "error");
    expect_file_error("[store]\nsync=maybe\n",
                      "FILE:2: [store] sync: \"maybe\" is not valid; give yes or no");
    expect_file_error("[node]\ndata=\n",
                      "FILE:2: [node] data: \"\" is not valid; give a path of 1 to 511 bytes");
    expect_file_error("[node]\nid=1\n\nid=2\n", "FILE:4: [node] id: given twice, first in line 2");
    expect_file_error("id=1\n",
                      "FILE:1: \"id\" stands before the first section; begin with [node]");
    expect_file_error("[node]\nid 1\n", "FILE:2: \"id 1\" is neither [section] nor key = value");
    expect_file_error("[node\n", "FILE:1: \"[node\" has no closing ]");
    write_file("[node]\0id", 9);
    char *argv[] = {"n", "--config", path, NULL};
    cr_expect_eq(sgn_config_load(&config, 3, argv, NULL, error_text), SGN_ERR_CONFIG);
    cr_expect(strstr(error_text, ": cannot be read: holds a zero byte; it is no text file") !=
              NULL);
    unlink(path);
    cr_expect_eq(sgn_config_load(&config, 3, argv, NULL, error_text), SGN_ERR_CONFIG);
    cr_expect(strstr(error_text, ": cannot be read: No such file or directory") != NULL);
}

Test(options, flags_and_environment_errors)
{
    expect_flag_error("--lisen", "x", "--lisen: no such key; did you mean --node.listen?");
    expect_flag_error("--node.id",
                      "-1",
                      "--node.id: \"-1\" is not valid; give a whole number from 1 "
                      "to 2147483647");
    expect_flag_error("--id=",
                      NULL,
                      "--id: \"\" is not valid; give a whole number from 1 to "
                      "2147483647");
    expect_flag_error("--id",
                      NULL,
                      "--id: \"\" is not valid; give a whole number from 1 to "
                      "2147483647");
    expect_flag_error("--hepl", NULL, "--hepl: no such flag; did you mean --help?");
    expect_flag_error(
        "--rings.name", "x", "--rings.name: no such section; did you mean --ring.name?");
    expect_flag_error(
        "--ready-fle", "x", "--ready-fle: no such key; did you mean --node.ready-file?");
    expect_flag_error("start", NULL, "start: not a flag; see signet-node --help");
    expect_flag_error("--member.0.zone",
                      "1",
                      "--member.0.zone: the member's id is not valid; give a "
                      "whole number from 1 to 2147483647");
}

Test(options, environment)
{
    expect_environment_error("SIGNET_NODE_LISEN=x",
                             "SIGNET_NODE_LISEN: no such key; did you mean "
                             "SIGNET_NODE_LISTEN?");
    expect_environment_error("SIGNET_RING_REPLICAS=8",
                             "SIGNET_RING_REPLICAS: \"8\" is not valid; give a whole number from 1 "
                             "to 7");
    expect_environment_error(
        "SIGNET_MEMBER_2_WEIGHT=no",
        "SIGNET_MEMBER_2_WEIGHT: \"no\" is not valid; give a whole number from "
        "1 to 1000");
}

Test(options, what_must_hold_together)
{
    expect_file_error(
        "[ring]\nname=demo\n",
        "FILE: [node] id: missing; give a whole number from 1 to 2147483647 there, as "
        "SIGNET_NODE_ID or as --node.id");
    expect_file_error(
        "[node]\nid=1\ndata=/d\n[ring]\nname=demo\n",
        "FILE: [member.ID]: missing; a ring needs a section such as [member.1] with an "
        "address for each of its members");
    expect_file_error("[node]\nid=1\ndata=/d\n[ring]\nname=demo\nreplicas=3\n[member.1]\n"
                      "address=127.0.0.1:1\n[member.2]\naddress=127.0.0.1:2\n",
                      "FILE:6: [ring] replicas: 3 replicas need 3 members and there are 2; give a "
                      "whole number from 1 to 2");
    expect_file_error("[node]\nid=9\n" GOOD, "FILE:4: [node] id: given twice, first in line 2");
    expect_file_error("[node]\nid=9\ndata=/d\n[ring]\nname=demo\nreplicas=1\n[member.1]\n"
                      "address=127.0.0.1:1\n",
                      "FILE:2: [node] id: 9 is not a member of the ring; there is no [member.9] "
                      "section");
    expect_file_error(GOOD "[member.4]\naddress=127.0.0.1:7301\n",
                      "FILE:15: [member.4] address: \"127.0.0.1:7301\" is the address of member 1 "
                      "already");
    expect_file_error(GOOD "[member.4]\nweight=2\n",
                      "FILE:15: [member.4] address: missing; give an address and port such as "
                      "127.0.0.1:7301");
    expect_file_error(GOOD "[timing]\nsuspect=300ms\n",
                      "FILE:15: [timing] suspect: 300ms is less than two heartbeats of 200ms; one "
                      "lost heartbeat would take a live peer for down");
    expect_file_error(GOOD "[timing]\nreplica=2s\n",
                      "FILE:15: [timing] replica: 2000ms is not less than the 2000ms of [timing] "
                      "request; no time would be left for a stand-in");
    expect_file_error(
        GOOD "[node]\nadmin=127.0.0.1:7301\n",
        "FILE:15: [node] admin: is the address of [node] listen; give it a port of its "
        "own");
}

Test(options, help_and_manual)
{
    static uint8_t room[SGN_OPTIONS_TEXT_BYTES];
    struct sgn_sink text = sgn_sink_of(room, sizeof(room) - 1);
    sgn_options_help(&text);
    cr_assert(!text.full);
    room[text.count] = '\0';
    for (uint32_t i = 0; i < SGN_OPTION_COUNT; i++) {
        char flag[64];
        bool own = strcmp(sgn_options[i].section, "node") == 0;
        (void)snprintf(flag,
                       sizeof(flag),
                       "  --%s%s%s",
                       own ? "" : sgn_options[i].section,
                       own ? "" : ".",
                       sgn_options[i].name);
        for (char *c = strchr(flag, '_'); c != NULL; c = strchr(flag, '_')) {
            *c = '-';
        }
        cr_expect(strstr((char *)room, flag) != NULL, "%s is in --help", flag);
    }
    for (const char *line = (char *)room; *line != '\0'; line += strcspn(line, "\n") + 1) {
        cr_expect(strcspn(line, "\n") <= 100, "too wide: %.120s", line);
    }

    /* The page in the tree is the one the program prints. */
    static char kept[SGN_OPTIONS_TEXT_BYTES];
    text = sgn_sink_of(room, sizeof(room));
    sgn_options_man(&text);
    cr_assert(!text.full);
    FILE *file = fopen("docs/man/signet-node.8", "r");
    cr_assert(file != NULL, "run from the root of the tree");
    size_t bytes = fread(kept, 1, sizeof(kept), file);
    (void)fclose(file);
    cr_expect_eq(bytes, text.count, "docs/man/signet-node.8 is old: signet-node --man > it");
    cr_expect(bytes == text.count && memcmp(kept, room, bytes) == 0);
}

Test(options, distance)
{
    cr_expect_eq(sgn_option_distance("listen", "listen"), 0);
    cr_expect_eq(sgn_option_distance("listen", "lisen"), 1);
    cr_expect_eq(sgn_option_distance("ready-file", "ready_file"), 0);
    cr_expect_eq(sgn_option_distance("", "abc"), 3);
    cr_expect_eq(sgn_option_distance("kitten", "sitting"), 3);
    cr_expect(sgn_option_nearest("node", "zzzzzz", false) == NULL);
}
