#include "bench/load.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cpu.h"
#include "ring/core/bucket.h"
#include "ring/core/check.h"
#include "ring/core/key.h"
#include "ring/core/placement.h"
#include "ring/net/hello.h"
#include "ring/net/msg_codec.h"

#define CONNECT_SECONDS 5

struct caller {
    struct sgn_load *load;
    struct sgn_conn *conns[SGN_NODES_MAX > 64 ? 64 : SGN_NODES_MAX]; /* By member index. */
    uint32_t ready;   /* Connections whose HELLO was answered. */
    uint32_t request; /* Number of the one under way. */
    uint64_t began_ns;
    uint64_t key;
    enum sgn_load_op op;
    bool modify_writes; /* The second half of a read-modify-write. */
    bool busy;
};

enum phase { PHASE_IDLE, PHASE_ONE, PHASE_FILL, PHASE_RUN };

struct sgn_load {
    struct sgn_load_options options;
    struct event_base *base;
    struct sgn_wire *wire;
    struct sgn_ring ring;
    bool have_ring;
    struct caller callers[SGN_LOAD_CALLERS_MAX];
    uint32_t caller_count;
    struct sgn_workload workload;
    enum phase phase;
    uint64_t fill_next, fill_done;
    uint64_t count_from_ns, stop_ns;
    struct sgn_load_result *result;
    struct sgn_msg one; /* PHASE_ONE: err and what is copied out of the answer. */
    uint8_t one_value[SGN_RING_BYTES_MAX];
    enum sgn_err failed;
    struct sgn_why failed_why;
    uint8_t *value;
};

static void fail(struct sgn_load *load, enum sgn_err err, const char *text)
{
    if (load->failed == SGN_OK) {
        load->failed = err;
        sgn_why_set(&load->failed_why, "%s", text);
    }
    (void)event_base_loopbreak(load->base);
}

static uint32_t key_text(uint64_t key, char *out, size_t cap)
{
    int count = snprintf(out, cap, "user%016llx", (unsigned long long)sgn_mix64(key));
    return (uint32_t)count;
}

static void caller_send(struct caller *caller, struct sgn_msg *msg)
{
    struct sgn_load *load = caller->load;
    uint8_t room[SGN_FULL_KEY_BYTES_MAX];
    struct sgn_sink full = sgn_sink_of(room, sizeof(room));
    sgn_full_key_encode(msg->bucket, msg->key.count == 0 ? sgn_bytes_str("x") : msg->key, &full);
    uint32_t partition =
        sgn_partition_of(sgn_hash(sgn_sink_bytes(&full)), load->ring.partition_count);
    uint32_t member = load->ring.table[partition * load->ring.replica_count];
    msg->request = ++caller->request;
    msg->epoch = load->ring.epoch;
    caller->busy = true;
    caller->began_ns = sgn_bench_now_ns();
    enum sgn_err err = sgn_conn_send(caller->conns[member], msg);
    if (err != SGN_OK) {
        fail(load, err, "a request could not be sent; is the ring up?");
    }
}

static void send_write(struct caller *caller, struct sgn_msg *msg)
{
    struct sgn_load *load = caller->load;
    msg->type = SGN_MSG_PUT;
    msg->n = load->options.write_copies;
    msg->value = sgn_bytes_of(load->value, load->options.value_bytes);
    uint64_t id[2] = {load->options.seed ^ (uint64_t)(caller - load->callers),
                      ((uint64_t)sgn_bench_now_ns() << 8) + caller->request};
    memcpy(msg->id.bytes, id, sizeof(msg->id.bytes));
    caller_send(caller, msg);
}

static void caller_next(struct caller *caller)
{
    struct sgn_load *load = caller->load;
    char text[32];
    struct sgn_msg msg = {.bucket = sgn_bytes_str(load->options.bucket)};
    if (load->phase == PHASE_FILL) {
        caller->busy = false;
        if (load->fill_next < load->options.keys) {
            caller->op = SGN_LOAD_UPDATE;
            msg.key = sgn_bytes_of(text, key_text(load->fill_next++, text, sizeof(text)));
            send_write(caller, &msg);
        }
        return;
    }
    caller->op = sgn_workload_next(&load->workload, &caller->key);
    caller->modify_writes = false;
    msg.key = sgn_bytes_of(text, key_text(caller->key, text, sizeof(text)));
    if (caller->op == SGN_LOAD_UPDATE || caller->op == SGN_LOAD_INSERT) {
        send_write(caller, &msg);
        return;
    }
    msg.type = SGN_MSG_GET;
    msg.a = load->options.read_mode;
    msg.n = load->options.read_copies;
    if (caller->op == SGN_LOAD_LIST) {
        msg.type = SGN_MSG_LIST;
        msg.after = msg.key;
        msg.key = sgn_bytes_str("user");
        msg.n = 20;
    }
    caller_send(caller, &msg);
}

static void note_error(struct sgn_load_result *result, const struct sgn_msg *msg)
{
    if (result->errors++ == 0) {
        (void)snprintf(result->first_error,
                       sizeof(result->first_error),
                       "%s: %.*s",
                       sgn_err_name(msg->err),
                       (int)msg->text.count,
                       (const char *)msg->text.ptr);
    }
}

static void caller_answered(struct caller *caller, const struct sgn_msg *msg)
{
    struct sgn_load *load = caller->load;
    if (load->phase == PHASE_FILL) {
        if (msg->err != SGN_OK && !sgn_err_is_retriable(msg->err)) {
            fail(load, (enum sgn_err)msg->err, "a key could not be written while filling");
        } else if (++load->fill_done == load->options.keys) {
            (void)event_base_loopbreak(load->base);
        } else {
            caller_next(caller);
        }
        return;
    }
    uint64_t now = sgn_bench_now_ns();
    bool is_write =
        caller->op == SGN_LOAD_UPDATE || caller->op == SGN_LOAD_INSERT || caller->modify_writes;
    if (now >= load->count_from_ns && now < load->stop_ns) {
        sgn_hist_add(is_write ? &load->result->writes : &load->result->reads,
                     now - caller->began_ns);
        if (msg->err != SGN_OK) {
            note_error(load->result, msg);
        }
    }
    if (now >= load->stop_ns) {
        caller->busy = false;
        return;
    }
    if (caller->op == SGN_LOAD_MODIFY && !caller->modify_writes) {
        char text[32];
        uint8_t room[SGN_CONTEXT_BYTES_MAX];
        struct sgn_sink context = sgn_sink_of(room, sizeof(room));
        struct sgn_record record;
        if (sgn_record_decode(msg->value, SGN_RECORD_WITH_BODIES, &record) == SGN_OK) {
            sgn_context_encode(&record.vector, &context);
        }
        struct sgn_msg write = {.bucket = sgn_bytes_str(load->options.bucket),
                                .context = sgn_sink_bytes(&context),
                                .flags = SGN_PUT_HAS_CONTEXT};
        write.key = sgn_bytes_of(text, key_text(caller->key, text, sizeof(text)));
        caller->modify_writes = true;
        send_write(caller, &write);
        return;
    }
    caller_next(caller);
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
    struct caller *caller = user;
    struct sgn_load *load = caller->load;
    if (msg->type == SGN_MSG_HELLO) {
        sgn_conn_take_types(conn, sgn_types_answers());
        caller->ready++;
        (void)event_base_loopbreak(load->base);
        return;
    }
    if (load->phase == PHASE_ONE) {
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
        load->phase = PHASE_IDLE;
        (void)event_base_loopbreak(load->base);
    } else if (caller->busy && msg->request == caller->request) {
        caller_answered(caller, msg);
    }
}

static void on_closed(struct sgn_conn *conn, enum sgn_err err, const char *why, void *user)
{
    (void)conn;
    struct caller *caller = user;
    fail(caller->load, err, why);
}

static const struct sgn_conn_events events = {on_up, on_message, on_closed};

static enum sgn_err dial(struct caller *caller,
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
static enum sgn_err wait_for(struct sgn_load *load,
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
    return load->phase == PHASE_IDLE;
}

/* One request to the first connection of the first caller. */
static enum sgn_err ask(struct sgn_load *load, struct sgn_msg *msg, struct sgn_why *why)
{
    load->phase = PHASE_ONE;
    enum sgn_err err = sgn_conn_send(load->callers[0].conns[0], msg);
    err = err == SGN_OK ? wait_for(load, is_answered, why) : err;
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
    err = err == SGN_OK ? wait_for(load, is_connected, why) : err;
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

static enum sgn_err connect_callers(struct sgn_load *load, uint32_t count, struct sgn_why *why)
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
    return wait_for(load, is_connected, why);
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
    if (err == SGN_OK && load->ring.member_count > 64) {
        sgn_why_set(why, "the bench connects to at most 64 nodes");
        err = SGN_ERR_UNSUPPORTED;
    }
    err = err == SGN_OK ? connect_callers(load, 1, why) : err;
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

enum sgn_err sgn_load_bucket(
    struct sgn_load *load, uint32_t n, uint32_t r, uint32_t w, struct sgn_why *why)
{
    struct sgn_msg msg = {.type = SGN_MSG_BUCKET_PUT,
                          .bucket = sgn_bytes_str(load->options.bucket),
                          .a = SGN_BUCKET_AVAILABLE,
                          .b = sgn_bucket_props_pack(SGN_BUCKET_AVAILABLE, n, r, w)};
    return ask(load, &msg, why);
}

enum sgn_err sgn_load_fill(struct sgn_load *load, struct sgn_why *why)
{
    enum sgn_err err = connect_callers(load, 64, why);
    if (err != SGN_OK) {
        return err;
    }
    load->phase = PHASE_FILL;
    load->fill_next = 0;
    load->fill_done = 0;
    for (uint32_t i = 0; i < load->caller_count; i++) {
        caller_next(&load->callers[i]);
    }
    while (load->fill_done < load->options.keys && load->failed == SGN_OK) {
        (void)event_base_dispatch(load->base);
    }
    load->phase = PHASE_IDLE;
    *why = load->failed_why;
    return load->failed;
}

static uint64_t pids_cpu(const int *pids, uint32_t count, struct sgn_load *load)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t ns = 0;
        if (!sgn_cpu_ns(pids[i], &ns)) {
            fail(load, SGN_ERR_INVALID, "a server process to be measured is not there");
        }
        sum += ns;
    }
    return sum;
}

static bool is_drained(const struct sgn_load *load)
{
    for (uint32_t i = 0; i < load->caller_count; i++) {
        if (load->callers[i].busy) {
            return false;
        }
    }
    return true;
}

static void run_loop_for(struct sgn_load *load, uint64_t until_ns)
{
    while (sgn_bench_now_ns() < until_ns && load->failed == SGN_OK) {
        uint64_t left_us = (until_ns - sgn_bench_now_ns()) / 1000 + 1;
        struct timeval limit = {.tv_sec = (time_t)(left_us / 1000000),
                                .tv_usec = (suseconds_t)(left_us % 1000000)};
        (void)event_base_loopexit(load->base, &limit);
        (void)event_base_dispatch(load->base);
    }
}

enum sgn_err sgn_load_run(struct sgn_load *load,
                          uint32_t callers,
                          const int *pids,
                          uint32_t pid_count,
                          struct sgn_load_result *result,
                          struct sgn_why *why)
{
    const struct sgn_load_options *options = &load->options;
    memset(result, 0, sizeof(*result));
    SGN_ASSERT(callers <= SGN_LOAD_CALLERS_MAX);
    enum sgn_err err = connect_callers(load, callers, why);
    if (err != SGN_OK) {
        return err;
    }
    (void)sgn_workload_init(
        &load->workload, options->workload, options->spread, options->keys, options->seed);
    load->result = result;
    load->phase = PHASE_RUN;
    const struct sgn_wire_counts *wire = sgn_wire_counts(load->wire);
    struct sgn_wire_counts wire_before = *wire;
    uint64_t begin = sgn_bench_now_ns();
    uint64_t whole = options->seconds * UINT64_C(1000000000);
    load->count_from_ns = begin + whole / 10;
    load->stop_ns = begin + whole;
    for (uint32_t i = 0; i < callers; i++) {
        caller_next(&load->callers[i]);
    }
    run_loop_for(load, load->count_from_ns);
    uint64_t cpu = pids_cpu(pids, pid_count, load);
    uint64_t from = sgn_bench_now_ns();
    run_loop_for(load, load->stop_ns);
    result->server_cpu_ns = pids_cpu(pids, pid_count, load) - cpu;
    result->seconds = (double)(sgn_bench_now_ns() - from) / 1e9;
    uint64_t sent = wire->messages_out - wire_before.messages_out;
    uint64_t taken = wire->messages_in - wire_before.messages_in;
    result->request_bytes =
        sent == 0 ? 0 : (uint32_t)((wire->bytes_out - wire_before.bytes_out) / sent);
    result->reply_bytes =
        taken == 0 ? 0 : (uint32_t)((wire->bytes_in - wire_before.bytes_in) / taken);
    if (load->failed == SGN_OK && !is_drained(load)) {
        (void)wait_for(load, is_drained, why); /* What is still under way is not counted. */
    }
    load->phase = PHASE_IDLE;
    *why = load->failed_why;
    return load->failed;
}
