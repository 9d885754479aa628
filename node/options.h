/* node/options.h - what signet-node is told: file, environment and command line, from one table.
 *
 * Precedence, highest first: flags, environment, file, default.
 *   file         [node] / id = 1 ; comments are lines that begin with # or ;
 *   environment  SIGNET_NODE_ID=1, SIGNET_MEMBER_2_ADDRESS=..., SIGNET_CONFIG=FILE
 *   flags        --node.id 1 or --node.id=1, short --id for the section [node], --member.2.address
 * In a name - and _ are the same. An unknown name is an error wherever it stands. From the
 * environment SIGNET_<SECTION>_SERVICE_* and SIGNET_<SECTION>_PORT* are left alone: container
 * managers make such names up.
 * Threads: none of its own; plain data. Not a pure core: it reads the file. */
#ifndef SGN_NODE_OPTIONS_H
#define SGN_NODE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "node/option.h"
#include "node/options_table.h"
#include "ring/core/err.h"
#include "ring/core/ring.h"

#define SGN_CONFIG_FILE_BYTES_MAX (1u << 20)
#define SGN_CONFIG_ERROR_BYTES    2048u /* Holds every sentence. */

enum sgn_option_index {
#define SGN_OPTION_INDEX(section, name, ...) SGN_OPTION_##section##_##name,
    SGN_OPTION_TABLE(SGN_OPTION_INDEX)
#undef SGN_OPTION_INDEX
        SGN_OPTION_COUNT,
};
#define SGN_MEMBER_OPTION_COUNT 3u

enum sgn_place_kind { SGN_PLACE_DEFAULT, SGN_PLACE_FILE, SGN_PLACE_ENVIRONMENT, SGN_PLACE_FLAG };

/* Where a value came from. */
struct sgn_place {
    enum sgn_place_kind kind;
    uint32_t line; /* FILE: from 1. */
};

struct sgn_config_member {
    struct sgn_member member;
    struct sgn_place set[SGN_MEMBER_OPTION_COUNT];
    struct sgn_place first; /* Where the member was first named. */
};

enum sgn_config_action {
    SGN_CONFIG_RUN,
    SGN_CONFIG_CHECK,
    SGN_CONFIG_HELP,
    SGN_CONFIG_MAN,
    SGN_CONFIG_VERSION,
};

struct sgn_config {
    enum sgn_config_action action;
    char file[SGN_PATH_BYTES_MAX + 1]; /* "": none. */
    uint32_t id;
    char listen[SGN_ADDRESS_BYTES_MAX + 1];
    char admin[SGN_ADDRESS_BYTES_MAX + 1];
    char data[SGN_PATH_BYTES_MAX + 1];
    char ready_file[SGN_PATH_BYTES_MAX + 1];
    uint32_t log_level;
    uint32_t connections_max, requests_max;
    uint64_t memory_bytes;
    uint64_t witness_memory_bytes;
    uint32_t drain_ms;
    uint32_t hints_max;
    char ring_name[SGN_RING_NAME_BYTES_MAX + 1];
    uint32_t partitions, replicas;
    uint32_t sync;
    uint64_t disk_reserve_bytes, block_cache_bytes;
    uint32_t read_threads;
    uint32_t request_ms, replica_ms, heartbeat_ms, suspect_ms, tree_ms;
    uint32_t out_ms, resolve_ms, tombstone_ms;
    struct sgn_place set[SGN_OPTION_COUNT];
    uint32_t member_count;
    struct sgn_config_member members[SGN_NODES_MAX]; /* Sorted by id once loaded. */
};

extern const struct sgn_option sgn_options[SGN_OPTION_COUNT];
extern const struct sgn_option sgn_member_options[SGN_MEMBER_OPTION_COUNT];

/* Reads flags, environment and file, and checks all of it, members too. SGN_ERR_CONFIG with one
 * sentence in `error` (SGN_CONFIG_ERROR_BYTES) that says where (file and line, variable or flag),
 * which name, what it takes and which known name is nearest. For HELP, MAN and VERSION nothing but
 * the action is read. */
enum sgn_err sgn_config_load(struct sgn_config *config,
                             int argc,
                             char *const argv[],
                             char *const environment[],
                             char *error);

/* ring->members and the rest but the table, from a loaded config. */
void sgn_config_ring(const struct sgn_config *config, struct sgn_ring *ring);

/* The member of that id, or NULL. */
const struct sgn_config_member *sgn_config_member(const struct sgn_config *config, uint32_t id);

/* --help as plain text, --man as a man(7) page. */
void sgn_options_help(struct sgn_sink *text);
void sgn_options_man(struct sgn_sink *text);

#endif
