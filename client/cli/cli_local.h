/* client/cli/cli_local.h - a ring on this machine: what its commands and its processes share.
 *
 * DIR holds node-N.conf, node-N.log, node-N.ready (while it runs: pid, node, listen, admin) and
 * data-N; of witnesses witness-N.conf, .log and .ready. Nothing else remembers anything, so a ring
 * that was brought down, or whose nodes were killed, comes up again by the same command with its
 * data. N counts from 1 here; the number that the ring knows a witness by is in its conf. */
#ifndef SGN_CLI_LOCAL_H
#define SGN_CLI_LOCAL_H

#include <sys/types.h>

#include "client/cli/cli.h"

#define LOCAL_NODES_MAX     32u
#define LOCAL_WITNESSES_MAX 16u
#define LOCAL_WITNESS       1000u /* This and N: witness N in the place of a node's number. */
#define LOCAL_PATH_BYTES    2200u
#define LOCAL_NAME_BYTES    32u

enum local_line { LOCAL_PID, LOCAL_NODE, LOCAL_LISTEN, LOCAL_ADMIN }; /* Of the ready file. */

struct local {
    struct cli *cli;
    char dir[2048];
    uint32_t count;
    uint32_t witnesses;
    bool embed; /* And each of the first LOCAL_WITNESSES_MAX nodes is to be one as well. */
    uint32_t weights[LOCAL_NODES_MAX];
    uint32_t partitions;
};

/* "node 2", "witness 1". */
void local_name(uint32_t id, char name[LOCAL_NAME_BYTES]);
/* DIR/node-ID.KIND or DIR/witness-N.KIND; out has LOCAL_PATH_BYTES. */
void local_path(const struct local *local, uint32_t id, const char *kind, char *out);
/* The value of a line of the ready file; "" and false when there is none. */
bool local_ready_line(
    const struct local *local, uint32_t id, enum local_line line, char *out, size_t cap);
/* Pid of the running node, 0 when it does not run. A pid that another program has meanwhile is not
 * taken for ours: the command line must name our config. */
pid_t local_pid(const struct local *local, uint32_t id);
/* Starts the node and waits until it takes requests; a sentence and false otherwise. One that runs
 * already is left alone. */
bool local_node_start(const struct local *local, uint32_t id);
/* Sends the signal and waits for the end. False when the node did not run. */
bool local_node_stop(const struct local *local, uint32_t id, int signal_number);

/* cli_local.c */
/* A port on 127.0.0.1 that nobody has, `wanted` or, if that is 0, any; 0: none. */
uint16_t local_free_port(uint16_t wanted);

/* cli_local_witness.c */
/* How many witness-N.conf there are, numbered without a gap. */
uint32_t local_witnesses_configured(const struct local *local);
/* Makes every witness a member of the fleet of the ring, which is up, if it is not, starts those
 * with processes of their own, and waits until the nodes have heard of all that the map lists. */
bool local_witnesses_up(const struct local *local);

#endif
