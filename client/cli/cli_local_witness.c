/* client/cli/cli_local_witness.c - the witnesses of a ring on this machine. The ring numbers them,
 * so each is first made a member by its address and then started with the number it got. One inside
 * a node is started by that node, when it reads so in the map. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/cli_local.h"

#define JOIN_MS_MAX 30000u /* For a ring that has just come up. */
#define TRY_MS      2000u

static void conf_path(const struct local *local, uint32_t number, char *path)
{
    local_path(local, LOCAL_WITNESS + number, "conf", path);
}

uint32_t local_witnesses_configured(const struct local *local)
{
    uint32_t count = 0;
    char path[LOCAL_PATH_BYTES];
    for (;;) {
        conf_path(local, count + 1, path);
        if (count == LOCAL_WITNESSES_MAX || access(path, R_OK) != 0) {
            return count;
        }
        count++;
    }
}

/* The value of `name = value` in the witness's conf; "" when there is none. */
static void conf_line(
    const struct local *local, uint32_t number, const char *name, char *out, size_t cap)
{
    char path[LOCAL_PATH_BYTES];
    char line[512];
    size_t count = strlen(name);
    conf_path(local, number, path);
    FILE *file = fopen(path, "re");
    out[0] = '\0';
    while (file != NULL && out[0] == '\0' && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, name, count) == 0 && strncmp(line + count, " = ", 3) == 0) {
            (void)snprintf(out, cap, "%s", line + count + 3);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

static bool write_conf(const struct local *local, uint32_t number, uint32_t id, const char *address)
{
    char path[LOCAL_PATH_BYTES];
    conf_path(local, number, path);
    FILE *file = fopen(path, "we");
    bool good = file != NULL &&
                fprintf(file,
                        "# Made by kv-cli local up.\n[witness]\nid = %u\nring = local\n"
                        "listen = %s\nadmin = 127.0.0.1:0\nready_file = %s/witness-%u.ready\n",
                        id,
                        address,
                        local->dir,
                        number) > 0;
    good = file != NULL && fclose(file) == 0 && good;
    if (!good) {
        cli_error(local->cli, SGN_ERR_IO, "%s: %s", path, strerror(errno));
    }
    return good;
}

/* A client of this ring, whichever one the options are about. */
static struct sgn_client *client_of(const struct local *local)
{
    char seeds[1024] = "";
    struct sgn_client *client = NULL;
    struct sgn_options *options = sgn_options_create();
    for (uint32_t i = 0, used = 0; i < local->count && used < 8; i++) {
        char address[128];
        if (local_ready_line(local, i + 1, LOCAL_LISTEN, address, sizeof(address))) {
            size_t at = strlen(seeds);
            (void)snprintf(seeds + at, sizeof(seeds) - at, "%s%s", used++ > 0 ? "," : "", address);
        }
    }
    int err = options == NULL ? SGN_ERR_NOMEM : sgn_options_set(options, "seeds", seeds);
    err = err == SGN_OK ? sgn_client_create(&client, options) : err;
    if (err != SGN_OK) {
        cli_error(local->cli, err, "the ring cannot be spoken to: %s", sgn_err_text(err));
    }
    sgn_options_destroy(options);
    return err == SGN_OK ? client : NULL;
}

static void pause_ms(long ms)
{
    struct timespec time = {.tv_nsec = ms * 1000000};
    (void)nanosleep(&time, NULL);
}

/* Its number in the ring, 0 after a sentence. A ring that has just come up may not have a majority
 * together yet: it is asked again. */
static uint32_t join(const struct local *local,
                     struct sgn_request *request,
                     const char *address,
                     uint32_t node)
{
    uint64_t until = cli_now_ms() + JOIN_MS_MAX;
    for (;;) {
        sgn_request_witness_add(request, sgn_text(address), node);
        sgn_request_set_timeout(request, TRY_MS);
        int err = sgn_request_run(request);
        if (err == SGN_OK && sgn_request_witness_id(request) != 0) {
            return sgn_request_witness_id(request);
        }
        if (!sgn_err_is_retriable(err) || cli_now_ms() > until) {
            (void)cli_request_failed(local->cli, request);
            return 0;
        }
        pause_ms(50);
    }
}

static bool free_address(const struct local *local, char *out, size_t cap)
{
    uint16_t port = local_free_port(0);
    if (port == 0) {
        cli_error(local->cli, SGN_ERR_IN_USE, "no free port on 127.0.0.1");
    }
    (void)snprintf(out, cap, "127.0.0.1:%u", port);
    return port != 0;
}

/* A conf for witness `number`, with the number that the ring gives its address. */
static bool make_member(const struct local *local, struct sgn_request *request, uint32_t number)
{
    char address[128];
    char known[32];
    conf_line(local, number, "listen", address, sizeof(address));
    conf_line(local, number, "id", known, sizeof(known));
    if (address[0] == '\0' && !free_address(local, address, sizeof(address))) {
        return false;
    }
    uint32_t id = join(local, request, address, 0);
    if (id == 0) {
        return false;
    }
    if (strtoul(known, NULL, 10) == id) {
        return true;
    }
    /* One that was dropped meanwhile and may still run, under the number it had. */
    (void)local_node_stop(local, LOCAL_WITNESS + number, SIGTERM);
    return write_conf(local, number, id, address);
}

/* The map as some node has it; false when none tells. */
static bool map_get(struct sgn_request *request, struct sgn_map_info *map)
{
    *map = (struct sgn_map_info){.struct_bytes = sizeof(*map)};
    sgn_request_map(request, 0);
    sgn_request_set_timeout(request, TRY_MS);
    return sgn_request_run(request) == SGN_OK && sgn_request_map_info(request, map) == SGN_OK;
}

/* The witness inside that node, or with node 0 the one at that address; false: the map has none. */
static bool find(const struct sgn_request *request,
                 const struct sgn_map_info *map,
                 uint32_t node,
                 const char *address,
                 struct sgn_witness_info *witness)
{
    for (uint32_t i = 0; i < map->witness_count; i++) {
        *witness = (struct sgn_witness_info){.struct_bytes = sizeof(*witness)};
        (void)sgn_request_witness(request, i, witness);
        if (node != 0 ? witness->node == node : strcmp(witness->address, address) == 0) {
            return true;
        }
    }
    return false;
}

/* How many nodes are to be witnesses as well. */
static uint32_t inside(const struct local *local)
{
    uint32_t most = local->count < LOCAL_WITNESSES_MAX ? local->count : LOCAL_WITNESSES_MAX;
    return local->embed ? most : 0;
}

/* One that is a witness already stays where it is. */
static bool embed(const struct local *local, struct sgn_request *request, uint32_t node)
{
    struct sgn_map_info map;
    struct sgn_witness_info witness;
    char address[128];
    if (map_get(request, &map) && find(request, &map, node, "", &witness)) {
        (void)snprintf(address, sizeof(address), "%s", witness.address);
    } else if (!free_address(local, address, sizeof(address))) {
        return false;
    }
    return join(local, request, address, node) != 0;
}

/* Whether the nodes have heard of every witness here. */
static bool all_heard(const struct local *local, struct sgn_request *request)
{
    struct sgn_map_info map;
    struct sgn_witness_info witness;
    bool good = map_get(request, &map);
    for (uint32_t node = 1; good && node <= inside(local); node++) {
        good = find(request, &map, node, "", &witness) && witness.incarnation != 0;
    }
    for (uint32_t i = 1; good && i <= local->witnesses; i++) {
        char address[128];
        conf_line(local, i, "listen", address, sizeof(address));
        good = find(request, &map, 0, address, &witness) && witness.incarnation != 0;
    }
    return good;
}

static bool join_all(const struct local *local, struct sgn_request *request)
{
    for (uint32_t node = 1; node <= inside(local); node++) {
        if (!embed(local, request, node)) {
            return false;
        }
    }
    for (uint32_t i = 1; i <= local->witnesses; i++) {
        if (!make_member(local, request, i) || !local_node_start(local, LOCAL_WITNESS + i)) {
            return false;
        }
    }
    uint64_t until = cli_now_ms() + JOIN_MS_MAX;
    while (!all_heard(local, request)) {
        if (cli_now_ms() > until) {
            cli_error(local->cli,
                      SGN_ERR_TIMEOUT,
                      "the nodes have not heard of every witness after %u s; kv-cli ring witness "
                      "list shows of which",
                      JOIN_MS_MAX / 1000);
            return false;
        }
        pause_ms(20);
    }
    return true;
}

bool local_witnesses_up(const struct local *local)
{
    if (local->witnesses == 0 && !local->embed) {
        return true;
    }
    struct sgn_client *client = client_of(local);
    struct sgn_request *request = client == NULL ? NULL : sgn_request_create(client);
    bool good = request != NULL && join_all(local, request);
    sgn_request_destroy(request);
    sgn_client_destroy(client);
    return good;
}
