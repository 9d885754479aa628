/* The ring of verify: nodes, then witnesses under the numbers that the ring gives them, and the
 * bucket; every member is known to the others by an address of the relay. */
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

struct newcomer {
    char address[32];
    uint32_t node; /* It is inside; 0: a process of its own. */
};

static void prepare_witness(struct sgn_request *request, const void *what)
{
    const struct newcomer *newcomer = what;
    sgn_request_witness_add(request, sgn_text(newcomer->address), newcomer->node);
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

/* The first is 1. One that a node carries starts by itself when it is listed. */
static bool add_witness(struct sgn_verify *verify,
                        uint32_t index,
                        struct sgn_request *request,
                        struct sgn_why *why)
{
    bool embed = verify->options.embed;
    uint32_t number = embed ? index : verify->procs.node_count + index;
    struct sgn_proc *proc = &verify->procs.procs[number];
    struct newcomer newcomer = {.node = embed ? number : 0};
    (void)snprintf(newcomer.address,
                   sizeof(newcomer.address),
                   SGN_RELAY_HOST ":%u",
                   embed ? proc->witness_port : proc->port);
    if (!insist(request, prepare_witness, &newcomer, why)) {
        return false;
    }
    if (embed) {
        return true;
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
    const struct sgn_verify_options *o = &verify->options;
    bool good = true;
    for (uint32_t i = 1; good && i <= o->witnesses; i++) {
        good = add_witness(verify, i, request, why);
    }
    uint64_t until_ns = sgn_bench_now_ns() + SGN_PROCS_WAIT_MS * MS;
    for (bool wait = o->witnesses > 0; good && wait;) {
        good = insist(request, prepare_map, NULL, why);
        wait = good && !fleet_serves(request, o->witnesses);
        if (wait && sgn_bench_now_ns() > until_ns) {
            sgn_why_set(why, "the witnesses are not witnesses of every partition after 30 s");
            good = false;
        }
        (void)poll(NULL, 0, 20);
    }
    return good && insist(request, prepare_bucket, o, why);
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
    bool disks = (o->faults >> SGN_FAULT_DISKFULL & 1) != 0;
    if (!sgn_procs_open(procs, o->dir, o->nodes, o->witnesses, disks, why) ||
        !sgn_relay_open(&verify->relay, o->seed, why)) {
        return false;
    }
    if (o->embed) {
        sgn_procs_embed(procs);
    }
    bool good = true;
    size_t used = 0;
    for (uint32_t i = 1; good && i <= procs->node_count + procs->witness_count; i++) {
        const struct sgn_proc *proc = &procs->procs[i];
        good = sgn_relay_listen(verify->relay, i, proc->port, why) &&
               (proc->witness_port == 0 ||
                sgn_relay_listen(verify->relay, i, proc->witness_port, why));
        if (i <= o->nodes) {
            used += (size_t)snprintf(verify->seeds + used,
                                     sizeof(verify->seeds) - used,
                                     "%s" SGN_RELAY_HOST ":%u",
                                     i > 1 ? "," : "",
                                     proc->port);
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
