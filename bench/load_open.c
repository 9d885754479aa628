/* The load's connections: the callers' to every node, the ring's shape, single requests. */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cpu.h"
#include "bench/load_inner.h"
#include "ring/core/bucket.h"
#include "ring/core/check.h"
#include "ring/core/placement.h"
#include "ring/net/hello.h"
#include "ring/net/msg_codec.h"

#define CONNECT_SECONDS 5

void sgn_load_fail(struct sgn_load *load, enum sgn_err err, const char *text)
{
    if (load->failed == SGN_OK) {
        load->failed = err;
        sgn_why_set(&load->failed_why, "%s", text);
    }
    (void)event_base_loopbreak(load->base);
}

static void on_up(struct sgn_conn *conn, void *user)
{
    (void)user;
    struct sgn_hello hello = {0};
    struct sgn_msg msg;
    sgn_hello_encode(&hello, &msg);
    (void)sgn_conn_send(conn, &msg); /* A failure comes back through on_closed. */
}

static void on_message(struct sgn_conn *conn, const struct sgn_msg *msg, void *user)
{
    struct sgn_caller *caller = user;
    struct sgn_load *load = caller->load;
    load->stamp = msg->stamp > load->stamp ? msg->stamp : load->stamp;
    if (msg->type == SGN_MSG_HELLO) {
        sgn_conn_take_types(conn, sgn_types_answers());
        caller->ready++;
        (void)event_base_loopbreak(load->base);
        return;
    }
    if (load->phase == SGN_LOAD_ONE) {
        load->one = *msg;
        size_t count = msg->value.count < sizeof(load->one_value) ? msg->value.count : 0;
        if (count > 0) {
            memcpy(load->one_value, msg->value.ptr, count);
        }
        load->one.value = sgn_bytes_of(load->one_value, count);
        if (msg->err != SGN_OK) {
            sgn_why_set(
                &load->failed_why, "%.*s", (int)msg->text.count, (const char *)msg->text.ptr);
        }
        load->phase = SGN_LOAD_IDLE;
        (void)event_base_loopbreak(load->base);
    } else if (caller->busy && msg->request == caller->request) {
        sgn_load_answered(caller, msg);
    }
}

static void on_closed(struct sgn_conn *conn, enum sgn_err err, const char *why, void *user)
{
    (void)conn;
    struct sgn_caller *caller = user;
    sgn_load_fail(caller->load, err, why);
}

static const struct sgn_conn_events events = {on_up, on_message, on_closed};

static enum sgn_err dial(struct sgn_caller *caller,
                         uint32_t member,
                         const char *text,
                         struct sgn_why *why)
{
    struct sgn_address address;
    enum sgn_err err = sgn_address_parse(text, &address, why);
    if (err != SGN_OK) {
        return err;
    }
    struct sgn_conn_options options = {.events = &events, .user = caller};
    return sgn_conn_dial(caller->load->wire, &address, &options, &caller->conns[member]);
}

/* Runs the loop until `done` says so, a failure, or the time is up. */
enum sgn_err sgn_load_wait(struct sgn_load *load,
                           bool (*done)(const struct sgn_load *),
                           struct sgn_why *why)
{
    struct timeval limit = {.tv_sec = CONNECT_SECONDS};
    uint64_t until = sgn_bench_now_ns() + CONNECT_SECONDS * UINT64_C(1000000000);
    while (!done(load) && load->failed == SGN_OK && sgn_bench_now_ns() < until) {
        (void)event_base_loopexit(load->base, &limit);
        (void)event_base_dispatch(load->base);
    }
    if (load->failed != SGN_OK) {
        *why = load->failed_why;
        return load->failed;
    }
    if (!done(load)) {
        sgn_why_set(why, "no answer from %s within %d s", load->options.seeds, CONNECT_SECONDS);
        return SGN_ERR_TIMEOUT;
    }
    return SGN_OK;
}

static bool is_connected(const struct sgn_load *load)
{
    uint32_t wanted = load->have_ring ? load->ring.member_count : 1;
    for (uint32_t i = 0; i < load->caller_count; i++) {
        if (load->callers[i].ready < wanted) {
            return false;
        }
    }
    return true;
}

static bool is_answered(const struct sgn_load *load)
{
    return load->phase == SGN_LOAD_IDLE;
}

/* One request to the first connection of the first caller. */
static enum sgn_err ask(struct sgn_load *load, struct sgn_msg *msg, struct sgn_why *why)
{
    load->phase = SGN_LOAD_ONE;
    enum sgn_err err = sgn_conn_send(load->callers[0].conns[0], msg);
    err = err == SGN_OK ? sgn_load_wait(load, is_answered, why) : err;
    if (err == SGN_OK && load->one.err != SGN_OK) {
        *why = load->failed_why;
        return (enum sgn_err)load->one.err;
    }
    return err;
}

static enum sgn_err fetch_ring(struct sgn_load *load, struct sgn_why *why)
{
    char seed[SGN_ADDRESS_TEXT_BYTES];
    (void)snprintf(
        seed, sizeof(seed), "%.*s", (int)strcspn(load->options.seeds, ","), load->options.seeds);
    load->caller_count = 1;
    load->callers[0].load = load;
    enum sgn_err err = dial(&load->callers[0], 0, seed, why);
    err = err == SGN_OK ? sgn_load_wait(load, is_connected, why) : err;
    struct sgn_msg msg = {.type = SGN_MSG_RING};
    err = err == SGN_OK ? ask(load, &msg, why) : err;
    err = err == SGN_OK ? sgn_ring_decode(load->one.value, &load->ring) : err;
    if (err != SGN_OK) {
        return err;
    }
    const struct sgn_ring *ring = &load->ring;
    size_t bytes = sgn_placement_scratch_bytes(ring->partition_count, ring->member_count);
    void *scratch = malloc(bytes);
    load->ring.table = malloc(sizeof(uint16_t) * ring->partition_count * ring->replica_count);
    SGN_ASSERT(scratch != NULL && load->ring.table != NULL);
    err = sgn_placement_solve(&load->ring, NULL, scratch, bytes);
    free(scratch);
    sgn_conn_close(load->callers[0].conns[0]);
    load->callers[0].ready = 0;
    load->caller_count = 0;
    load->have_ring = true;
    return err;
}

enum sgn_err sgn_load_connect(struct sgn_load *load, uint32_t count, struct sgn_why *why)
{
    for (uint32_t i = load->caller_count; i < count; i++) {
        load->callers[i].load = load;
        for (uint32_t m = 0; m < load->ring.member_count; m++) {
            enum sgn_err err = dial(&load->callers[i], m, load->ring.members[m].address, why);
            if (err != SGN_OK) {
                return err;
            }
        }
        load->caller_count = i + 1;
    }
    return sgn_load_wait(load, is_connected, why);
}

enum sgn_err sgn_load_open(struct sgn_load **out,
                           const struct sgn_load_options *options,
                           struct sgn_why *why)
{
    struct sgn_load *load = calloc(1, sizeof(*load));
    SGN_ASSERT(load != NULL);
    load->options = *options;
    load->value = malloc(options->value_bytes + 1);
    SGN_ASSERT(load->value != NULL);
    for (uint32_t i = 0; i < options->value_bytes; i++) {
        load->value[i] = (uint8_t)sgn_mix64(i); /* Nothing for a compressor. */
    }
    load->base = event_base_new();
    load->wire = load->base == NULL ? NULL : sgn_wire_create(load->base);
    SGN_ASSERT(load->wire != NULL);
    enum sgn_err err = fetch_ring(load, why);
    if (err == SGN_OK && load->ring.member_count > SGN_LOAD_NODES_MAX) {
        sgn_why_set(why, "the bench connects to at most 64 nodes");
        err = SGN_ERR_UNSUPPORTED;
    }
    err = err == SGN_OK ? sgn_load_connect(load, 1, why) : err;
    if (err != SGN_OK) {
        sgn_load_close(load);
        load = NULL;
    }
    *out = load;
    return err;
}

void sgn_load_close(struct sgn_load *load)
{
    sgn_wire_destroy(load->wire);
    event_base_free(load->base);
    free(load->ring.table);
    free(load->value);
    free(load);
}

void sgn_load_aim(struct sgn_load *load, const struct sgn_load_target *target)
{
    load->options.target = *target;
}

enum sgn_err sgn_load_bucket(struct sgn_load *load, struct sgn_why *why)
{
    const struct sgn_load_target *target = &load->options.target;
    struct sgn_msg msg = {.type = SGN_MSG_BUCKET_PUT,
                          .bucket = sgn_bytes_str(target->bucket),
                          .a = target->kind,
                          .b = sgn_bucket_props_pack(target->kind, 0, 0, 0)};
    enum sgn_err err = ask(load, &msg, why);
    if (err == SGN_ERR_BUCKET_EXISTS) {
        sgn_why_set(why,
                    "bucket %s is there already, but is not %s with the ring's numbers of copies; "
                    "name another with --bucket, or delete it",
                    target->bucket,
                    target->kind == SGN_BUCKET_ORDERED ? "ordered" : "available");
    }
    return err;
}
