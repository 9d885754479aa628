/* client/cli/cli_local.c - a ring on this machine: its configs and its commands. */
#include "client/cli/cli_local.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PORT_FIRST 7301u

/* --- making configs --------------------------------------------------------------------------- */

/* Binds to find a port nobody has; the socket is closed again, so another program could take it in
 * between: signet-node then says so, and a second `up` chooses anew. */
uint16_t local_free_port(uint16_t wanted)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons(wanted)};
    socklen_t count = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    uint16_t port = 0;
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
        bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 1) == 0 &&
        getsockname(fd, (struct sockaddr *)&address, &count) == 0) {
        port = ntohs(address.sin_port);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return port;
}

static bool write_config(const struct local *local, uint32_t id, const uint16_t *ports)
{
    char path[LOCAL_PATH_BYTES];
    local_path(local, id, "conf", path);
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        cli_error(local->cli, SGN_ERR_IO, "%s: %s", path, strerror(errno));
        return false;
    }
    (void)fprintf(file,
                  "# Made by kv-cli local up.\n[node]\nid = %u\nadmin = 127.0.0.1:0\n"
                  "data = %s/data-%u\nready_file = %s/node-%u.ready\n\n"
                  "[ring]\nname = local\npartitions = %u\nreplicas = %u\n",
                  id,
                  local->dir,
                  id,
                  local->dir,
                  id,
                  local->partitions,
                  local->count < 3 ? local->count : 3);
    for (uint32_t i = 0; i < local->count; i++) {
        (void)fprintf(file,
                      "\n[member.%u]\naddress = 127.0.0.1:%u\nweight = %u\n",
                      i + 1,
                      ports[i],
                      local->weights[i]);
    }
    bool good = !ferror(file);
    good = fclose(file) == 0 && good;
    if (!good) {
        cli_error(local->cli, SGN_ERR_IO, "%s: %s", path, strerror(errno));
    }
    return good;
}

static bool write_configs(const struct local *local)
{
    uint16_t ports[LOCAL_NODES_MAX] = {0};
    uint32_t next = PORT_FIRST;
    for (uint32_t i = 0; i < local->count; i++) {
        ports[i] = 0;
        while (ports[i] == 0 && next < PORT_FIRST + 4 * LOCAL_NODES_MAX) {
            ports[i] = local_free_port((uint16_t)next++);
        }
        if (ports[i] == 0) {
            cli_error(
                local->cli, SGN_ERR_IN_USE, "no free port from %u up on 127.0.0.1", PORT_FIRST);
            return false;
        }
    }
    for (uint32_t i = 0; i < local->count; i++) {
        if (!write_config(local, i + 1, ports)) {
            return false;
        }
    }
    return true;
}

/* How many node-N.conf there are, numbered without a gap. */
static uint32_t configured(const struct local *local)
{
    uint32_t count = 0;
    char path[LOCAL_PATH_BYTES];
    for (;;) {
        local_path(local, count + 1, "conf", path);
        if (count == LOCAL_NODES_MAX || access(path, R_OK) != 0) {
            return count;
        }
        count++;
    }
}

/* --- commands --------------------------------------------------------------------------------- */

static void print_seeds(const struct local *local)
{
    for (uint32_t i = 0, shown = 0; i < local->count; i++) {
        char line[128];
        if (local_ready_line(local, i + 1, LOCAL_LISTEN, line, sizeof(line))) {
            (void)printf("%s%s", shown++ > 0 ? "," : "", line);
        }
    }
}

static void print_process(const struct local *local, uint32_t id, pid_t pid)
{
    char listen_line[128] = "";
    char admin[128] = "";
    char name[LOCAL_NAME_BYTES];
    bool is_witness = id >= LOCAL_WITNESS;
    local_name(id, name);
    (void)local_ready_line(local, id, LOCAL_LISTEN, listen_line, sizeof(listen_line));
    (void)local_ready_line(local, id, LOCAL_ADMIN, admin, sizeof(admin));
    if (local->cli->format == CLI_JSON) {
        /* The addresses of clients are all that is called "listen". */
        (void)printf("{\"%s\":%u,\"pid\":%ld,\"up\":%s,\"%s\":\"%s\",\"admin\":\"%s\"}\n",
                     is_witness ? "witness" : "node",
                     is_witness ? id - LOCAL_WITNESS : id,
                     (long)pid,
                     pid != 0 ? "true" : "false",
                     is_witness ? "address" : "listen",
                     pid != 0 ? listen_line : "",
                     pid != 0 ? admin : "");
    } else if (pid != 0) {
        (void)printf(
            "%s up pid %ld listen %s admin http://%s\n", name, (long)pid, listen_line, admin);
    } else {
        (void)printf("%s down\n", name);
    }
}

/* The i-th of all processes, nodes first. */
static uint32_t process_id(const struct local *local, uint32_t index)
{
    return index < local->count ? index + 1 : LOCAL_WITNESS + index - local->count + 1;
}

static int local_status(const struct local *local)
{
    if (local->count == 0) {
        cli_error(
            local->cli, SGN_ERR_NOT_FOUND, "no ring in %s; kv-cli local up makes one", local->dir);
        return CLI_NOT_FOUND;
    }
    uint32_t up = 0;
    uint32_t all = local->count + local->witnesses;
    for (uint32_t i = 0; i < all; i++) {
        pid_t pid = local_pid(local, process_id(local, i));
        up += pid != 0;
        print_process(local, process_id(local, i), pid);
    }
    return up == all ? CLI_DONE : CLI_PROBLEMS;
}

static int local_up(const struct local *local)
{
    uint64_t began = cli_now_ms();
    for (uint32_t i = 0; i < local->count; i++) {
        if (!local_node_start(local, i + 1)) {
            (void)fprintf(
                stderr, "kv-cli: kv-cli local down --dir %s stops the others\n", local->dir);
            return CLI_FAILED;
        }
    }
    if (!local_witnesses_up(local)) {
        return CLI_FAILED;
    }
    if (local->cli->format == CLI_JSON) {
        return local_status(local);
    }
    (void)printf("ring of %u nodes", local->count);
    if (local->embed) {
        (void)printf(", each a witness as well,");
    }
    if (local->witnesses > 0) {
        (void)printf(" and %u witnesses", local->witnesses);
    }
    (void)printf(" up in %llu ms, in %s\n", (unsigned long long)(cli_now_ms() - began), local->dir);
    (void)fputs("export SIGNET_SEEDS=", stdout);
    print_seeds(local);
    (void)putchar('\n');
    return CLI_DONE;
}

static bool weights_of(struct local *local, const char *text)
{
    for (uint32_t i = 0; i < local->count; i++) {
        char *end = NULL;
        unsigned long weight = text == NULL ? 1 : strtoul(text, &end, 10);
        local->weights[i] = (uint32_t)weight;
        if (text == NULL) {
            continue;
        }
        bool last = i + 1 == local->count;
        if (end == text || weight < 1 || weight > 1000 || *end != (last ? '\0' : ',')) {
            cli_error(local->cli,
                      SGN_ERR_INVALID,
                      "--weights takes %u numbers from 1 to 1000",
                      local->count);
            return false;
        }
        text = end + 1;
    }
    return true;
}

/* Configs for a ring that is not there yet. */
static int local_make(struct local *local, const struct cli_call *call)
{
    uint32_t witnesses = local->witnesses;
    uint32_t nodes = local->count == 0 ? 3 : local->count;
    local->partitions = 256;
    local->embed = cli_flag(call, "--embed") != NULL;
    if (!cli_flag_number(call, "--nodes", 1, LOCAL_NODES_MAX, &nodes) ||
        !cli_flag_number(call, "--witnesses", 0, LOCAL_WITNESSES_MAX, &witnesses) ||
        !cli_flag_number(call, "--partitions", 8, 16384, &local->partitions)) {
        return CLI_USAGE;
    }
    if (witnesses < local->witnesses) {
        cli_error(local->cli,
                  SGN_ERR_INVALID,
                  "%s has %u witnesses; kv-cli ring witness drop ID lets one go",
                  local->dir,
                  local->witnesses);
        return CLI_USAGE;
    }
    local->witnesses = witnesses;
    if ((local->partitions & (local->partitions - 1)) != 0) {
        cli_error(local->cli,
                  SGN_ERR_INVALID,
                  "--partitions takes a power of two, not %u",
                  local->partitions);
        return CLI_USAGE;
    }
    if (local->count > 0) {
        if (nodes == local->count) {
            return CLI_DONE; /* Up again as it was. */
        }
        cli_error(local->cli,
                  SGN_ERR_INVALID,
                  "%s holds a ring of %u nodes; choose another --dir, or local down --wipe",
                  local->dir,
                  local->count);
        return CLI_USAGE;
    }
    local->count = nodes;
    if (!weights_of(local, cli_flag(call, "--weights"))) {
        return CLI_USAGE;
    }
    return write_configs(local) ? CLI_DONE : CLI_FAILED;
}

static void remove_tree(const char *path)
{
    DIR *directory = opendir(path);
    for (struct dirent *entry = NULL; directory != NULL && (entry = readdir(directory)) != NULL;) {
        char child[4096];
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            (void)snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
            (void)unlink(child);
        }
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    (void)rmdir(path);
}

static int local_down(const struct local *local, bool wipe)
{
    uint32_t stopped = 0;
    uint32_t witnesses_stopped = 0;
    for (uint32_t i = 0; i < local->count; i++) {
        stopped += local_node_stop(local, i + 1, SIGTERM); /* False: it did not run. */
    }
    for (uint32_t i = 1; i <= local->witnesses; i++) {
        witnesses_stopped += local_node_stop(local, LOCAL_WITNESS + i, SIGTERM);
    }
    for (uint32_t i = 0; wipe && i < local->count + local->witnesses; i++) {
        static const char *const kinds[] = {"conf", "log", "ready"};
        char path[LOCAL_PATH_BYTES];
        if (i < local->count) {
            (void)snprintf(path, sizeof(path), "%s/data-%u", local->dir, i + 1);
            remove_tree(path);
        }
        for (uint32_t k = 0; k < 3; k++) {
            local_path(local, process_id(local, i), kinds[k], path);
            (void)unlink(path);
        }
    }
    if (wipe && local->count > 0 && rmdir(local->dir) != 0) {
        cli_error(local->cli,
                  SGN_ERR_IO,
                  "%s: %s; files in it that are not the ring's were kept",
                  local->dir,
                  strerror(errno));
        return CLI_FAILED;
    }
    if (local->cli->format == CLI_JSON) {
        (void)printf("{\"schema\":1,\"nodes\":%u,\"stopped\":%u,\"witnesses\":%u,"
                     "\"witnesses_stopped\":%u,\"wiped\":%s}\n",
                     local->count,
                     stopped,
                     local->witnesses,
                     witnesses_stopped,
                     wipe ? "true" : "false");
    } else if (local->count == 0) {
        (void)fprintf(stderr, "kv-cli: no ring in %s\n", local->dir);
    }
    return CLI_DONE;
}

static int local_one(const struct local *local, const char *word, bool start)
{
    char *end = NULL;
    bool is_witness = word[0] == 'w';
    uint32_t most = is_witness ? local->witnesses : local->count;
    unsigned long id = strtoul(word + is_witness, &end, 10);
    if (*end != '\0' || id < 1 || id > most) {
        cli_error(local->cli,
                  SGN_ERR_INVALID,
                  "%s has nodes 1 to %u and witnesses w1 to w%u, not \"%s\"",
                  local->dir,
                  local->count,
                  local->witnesses,
                  word);
        return CLI_USAGE;
    }
    uint32_t process = (uint32_t)id + (is_witness ? LOCAL_WITNESS : 0);
    if (start && !local_node_start(local, process)) {
        return CLI_FAILED;
    }
    if (!start && !local_node_stop(local, process, SIGKILL)) {
        char name[LOCAL_NAME_BYTES];
        local_name(process, name);
        cli_error(local->cli, SGN_ERR_INVALID, "%s does not run", name);
        return CLI_FAILED;
    }
    if (local->cli->format == CLI_JSON) {
        (void)printf("{\"schema\":1,\"%s\":%lu,\"up\":%s}\n",
                     is_witness ? "witness" : "node",
                     id,
                     start ? "true" : "false");
    }
    return CLI_DONE;
}

/* The directory as a whole path: it goes into configs and is looked for in command lines. */
static bool directory_of(struct local *local, const char *asked, bool make)
{
    char whole[4096];
    asked = asked == NULL ? "signet-local" : asked;
    if (make && mkdir(asked, 0777) != 0 && errno != EEXIST) {
        cli_error(local->cli, SGN_ERR_IO, "%s: %s", asked, strerror(errno));
        return false;
    }
    if (realpath(asked, whole) == NULL || strlen(whole) >= sizeof(local->dir)) {
        cli_error(local->cli,
                  SGN_ERR_NOT_FOUND,
                  "%s: %s; kv-cli local up makes a ring",
                  asked,
                  strerror(errno));
        return false;
    }
    memcpy(local->dir, whole, strlen(whole) + 1);
    return true;
}

int cli_local(struct cli *cli, const struct cli_call *call)
{
    static const char *const verbs[] = {"up", "down", "status", "kill", "start"};
    struct local local = {.cli = cli};
    uint32_t verb = 0;
    while (verb < 5 && strcmp(call->args[0], verbs[verb]) != 0) {
        verb++;
    }
    if (verb == 5 || call->arg_count != (verb >= 3 ? 2 : 1)) {
        (void)fprintf(stderr,
                      "kv-cli: use: kv-cli local up | down | status | kill ID | start ID%s\n",
                      verb == 5 ? cli_nearest(call->args[0], verbs, 5) : "");
        return CLI_USAGE;
    }
    if (!directory_of(&local, cli_flag(call, "--dir"), verb == 0)) {
        return verb == 0 ? CLI_FAILED : CLI_NOT_FOUND;
    }
    local.count = configured(&local);
    local.witnesses = local_witnesses_configured(&local);
    if (verb == 0) {
        bool is_new = local.count == 0;
        int status = local_make(&local, call);
        if (status != CLI_DONE && is_new) {
            (void)rmdir(local.dir); /* Goes only when it is empty, so nothing of others is lost. */
        }
        return status == CLI_DONE ? local_up(&local) : status;
    }
    if (verb == 1) {
        return local_down(&local, cli_flag(call, "--wipe") != NULL);
    }
    return verb == 2 ? local_status(&local) : local_one(&local, call->args[1], verb == 4);
}
