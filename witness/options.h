/* witness/options.h - what signet-witness is told: file, environment and flags, from one table.
 *
 * Precedence, highest first: flags, environment, file, default.
 *   file         lines `key = value` under [witness]; comments begin with # or ;
 *   environment  SIGNET_WITNESS_ID=3, SIGNET_WITNESS_CONFIG=FILE
 *   flags        --id 3 or --id=3
 * In a name - and _ are the same. An unknown name is an error wherever it stands, but for
 * SIGNET_WITNESS_SERVICE_* and SIGNET_WITNESS_PORT*, which container managers make up. */
#ifndef SGN_WITNESS_OPTIONS_H
#define SGN_WITNESS_OPTIONS_H

#include "node/option.h"
#include "ring/core/err.h"
#include "ring/core/ring.h"

/* X(name, type, field of struct sgn_witness_config, least, most, default, text)
 * A default of NULL: must be given. An empty one: not set. */
#define SGN_WITNESS_OPTION_TABLE(X)                                                                \
    X(id,                                                                                          \
      UINT,                                                                                        \
      id,                                                                                          \
      1,                                                                                           \
      1073741823,                                                                                  \
      NULL,                                                                                        \
      "Own number among the witnesses of the ring; never given to another one later.")             \
    X(ring, NAME, ring, 0, 0, NULL, "Name of the ring; nodes of another one are refused.")         \
    X(listen, ADDRESS, listen, 0, 0, NULL, "Where the nodes of the ring connect.")                 \
    X(admin,                                                                                       \
      ADMIN,                                                                                       \
      admin,                                                                                       \
      0,                                                                                           \
      0,                                                                                           \
      "off",                                                                                       \
      "Where health, metrics and status are served over HTTP. Port 0 takes any free one.")         \
    X(memory,                                                                                      \
      SIZE,                                                                                        \
      memory_bytes,                                                                                \
      65536,                                                                                       \
      34359738368,                                                                                 \
      "64M",                                                                                       \
      "Memory for the table of marks, 64 bytes a key. A partition that finds it full makes no "    \
      "statements until a later epoch; strong reads of it then ask the replicas.")                 \
    X(ready_file,                                                                                  \
      PATH,                                                                                        \
      ready_file,                                                                                  \
      0,                                                                                           \
      0,                                                                                           \
      "",                                                                                          \
      "File to write once requests are taken: pid, witness, listen, admin and incarnation, one "   \
      "to a line. Removed at start and at a clean stop.")                                          \
    X(log_level, LEVEL, log_level, 0, 0, "info", "Least level that is logged.")

enum sgn_witness_action {
    SGN_WITNESS_RUN,
    SGN_WITNESS_CHECK_CONFIG,
    SGN_WITNESS_HELP,
    SGN_WITNESS_MAN,
    SGN_WITNESS_VERSION,
};

struct sgn_witness_config {
    enum sgn_witness_action action;
    char file[SGN_PATH_BYTES_MAX + 1]; /* "": none. */
    uint32_t id;
    char ring[SGN_RING_NAME_BYTES_MAX + 1];
    char listen[SGN_ADDRESS_BYTES_MAX + 1];
    char admin[SGN_ADDRESS_BYTES_MAX + 1]; /* "": off. */
    uint64_t memory_bytes;
    char ready_file[SGN_PATH_BYTES_MAX + 1]; /* "": none. */
    uint32_t log_level;
};

#define SGN_WITNESS_ERROR_BYTES 2048u

/* SGN_ERR_CONFIG with one sentence in `error` (SGN_WITNESS_ERROR_BYTES) that says where, which name
 * and what it takes. For HELP, MAN and VERSION nothing but the action is read. */
enum sgn_err sgn_witness_config_load(struct sgn_witness_config *config,
                                     int argc,
                                     char *const argv[],
                                     char *const environment[],
                                     char *error);

/* Text for --help and --man. SGN_OPTIONS_TEXT_BYTES are enough. */
void sgn_witness_help(struct sgn_sink *text);
void sgn_witness_man(struct sgn_sink *text);

#endif
