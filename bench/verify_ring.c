/* The ring of verify: nodes, then witnesses under the numbers that the ring gives them, and the
 * bucket; every member is known to the others by a port of the relay. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "bench/cpu.h"
#include "bench/verify.h"

#define MS UINT64_C(1000000)

/* Runs a request until it succeeds: a ring that has just started may not be able yet. */
static bool insist(struct sgn_request *request,
                   void (*prepare)(struct sgn_request *request, const void *what),
                   const void *what,
                   struct sgn_why *why)
{
    uint64_t until_ns = sgn_bench_now_ns() + SGN_PROCS_WAIT_MS * MS;
    for (;;) {
        prepare(request, what);
        int err = sgn_request_run(request);
        if (err == SGN_OK || err == SGN_ERR_BUCKET_EXISTS) {
            return true;
        }
        if (sgn_bench_now_ns() > until_ns || err == SGN_ERR_INVALID || err == SGN_ERR_UNSUPPORTED) {
            sgn_why_set(why, "%s: %s", sgn_err_name(err), sgn_request_error(request));
            return false;
        }
        (void)poll(NULL, 0, 50);
    }
}

static void prepare_witness(struct sgn_request *request, const void *what)
{
    sgn_request_witness_add(request, sgn_text(what));
}

static void prepare_map(struct sgn_request *request, const void *what)
{
    (void)what;
    sgn_request_map(request, 0);
}

static void prepare_bucket(struct sgn_request *request, const void *what)
{
    const struct sgn_verify_options *options = what;
    sgn_request_bucket_create(request, sgn_text(SGN_VERIFY_BUCKET), options->kind, 0, 0, 0);
}

static bool add_witness(struct sgn_verify *verify,
                        uint32_t number,
                        struct sgn_request *request,
                        struct sgn_why *why)
{
    struct sgn_proc *proc = &verify->procs.procs[number];
    char address[32];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", proc->address);
    if (!insist(request, prepare_witness, address, why)) {
        return false;
    }
    proc->id = sgn_request_witness_id(request);
    return sgn_procs_start(&verify->procs, number, why) &&
           sgn_procs_ready(&verify->procs, number, why);
}

/* Whether the nodes have heard of every witness, and every partition has its group. */
static bool fleet_serves(const struct sgn_request *request, uint32_t witness_count)
{
    struct sgn_map_info map = {.struct_bytes = sizeof(map)};
    bool good = sgn_request_map_info(request, &map) == SGN_OK && map.witness_count == witness_count;
    for (uint32_t i = 0; good && i < map.witness_count; i++) {
        struct sgn_witness_info witness = {.struct_bytes = sizeof(witness)};
        good = sgn_request_witness(request, i, &witness) == SGN_OK && witness.incarnation != 0;
    }
    for (uint32_t i = 0; good && i < map.partition_count; i++) {
        struct sgn_partition_info partition = {.struct_bytes = sizeof(partition)};
        good = sgn_request_partition(request, i, &partition) == SGN_OK && partition.group_count > 0;
    }
    return good;
}

static bool fill_ring(struct sgn_verify *verify, struct sgn_request *request, struct sgn_why *why)
{
    const struct sgn_procs *procs = &verify->procs;
    bool good = true;
    for (uint32_t i = 1; good && i <= procs->witness_count; i++) {
        good = add_witness(verify, procs->node_count + i, request, why);
    }
    uint64_t until_ns = sgn_bench_now_ns() + SGN_PROCS_WAIT_MS * MS;
    for (bool wait = procs->witness_count > 0; good && wait;) {
        good = insist(request, prepare_map, NULL, why);
        wait = good && !fleet_serves(request, procs->witness_count);
        if (wait && sgn_bench_now_ns() > until_ns) {
            sgn_why_set(why, "the witnesses are not witnesses of every partition after 30 s");
            good = false;
        }
        (void)poll(NULL, 0, 20);
    }
    return good && insist(request, prepare_bucket, &verify->options, why);
}

static bool join_ring(struct sgn_verify *verify, struct sgn_why *why)
{
    struct sgn_options *options = sgn_options_create();
    struct sgn_client *client = NULL;
    bool good = options != NULL && sgn_options_set(options, "seeds", verify->seeds) == SGN_OK &&
                sgn_client_create(&client, options) == SGN_OK;
    struct sgn_request *request = good ? sgn_request_create(client) : NULL;
    if (request == NULL) {
        sgn_why_set(why, "no client can be made");
    }
    good = request != NULL && fill_ring(verify, request, why);
    sgn_request_destroy(request);
    sgn_client_destroy(client);
    sgn_options_destroy(options);
    return good;
}

bool sgn_verify_ring(struct sgn_verify *verify, struct sgn_why *why)
{
    const struct sgn_verify_options *o = &verify->options;
    struct sgn_procs *procs = &verify->procs;
    uint32_t count = o->nodes + o->witnesses;
    bool disks = (o->faults >> SGN_FAULT_DISKFULL & 1) != 0;
    if (!sgn_procs_open(procs, o->dir, o->nodes, o->witnesses, disks, why) ||
        !sgn_relay_open(&verify->relay, o->seed, why)) {
        return false;
    }
    bool good = true;
    size_t used = 0;
    for (uint32_t i = 1; good && i <= count; i++) {
        good =
            sgn_relay_listen(verify->relay, i, procs->procs[i].port, &procs->procs[i].address, why);
        if (i <= o->nodes) {
            used += (size_t)snprintf(verify->seeds + used,
                                     sizeof(verify->seeds) - used,
                                     "%s127.0.0.1:%u",
                                     i > 1 ? "," : "",
                                     procs->procs[i].address);
        }
    }
    good = good && sgn_relay_start(verify->relay, why) && sgn_procs_configure(procs, why);
    for (uint32_t i = 1; good && i <= o->nodes; i++) {
        good = sgn_procs_start(procs, i, why);
    }
    for (uint32_t i = 1; good && i <= o->nodes; i++) {
        good = sgn_procs_ready(procs, i, why);
    }
    return good && join_ring(verify, why);
}
