#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "bench/cpu.h"
#include "bench/load_inner.h"
#include "ring/core/check.h"
#include "ring/core/key.h"
#include "ring/core/ordered.h"

static uint32_t key_text(uint64_t key, char *out, size_t cap)
{
    int count = snprintf(out, cap, "user%016llx", (unsigned long long)sgn_mix64(key));
    return (uint32_t)count;
}

static void caller_send(struct sgn_caller *caller, struct sgn_msg *msg)
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
        sgn_load_fail(load, err, "a request could not be sent; is the ring up?");
    }
}

static void send_write(struct sgn_caller *caller, struct sgn_msg *msg)
{
    struct sgn_load *load = caller->load;
    msg->type = SGN_MSG_PUT;
    msg->n = load->options.target.write_copies;
    msg->value = sgn_bytes_of(load->value, load->options.value_bytes);
    uint64_t id[2] = {load->options.seed ^ (uint64_t)(caller - load->callers),
                      ((uint64_t)sgn_bench_now_ns() << 8) + caller->request};
    memcpy(msg->id.bytes, id, sizeof(msg->id.bytes));
    msg->stamp = load->stamp;
    caller_send(caller, msg);
}

static void send_fill(struct sgn_caller *caller)
{
    char text[32];
    struct sgn_msg msg = {.bucket = sgn_bytes_str(caller->load->options.target.bucket)};
    msg.key = sgn_bytes_of(text, key_text(caller->key, text, sizeof(text)));
    caller->op = SGN_LOAD_UPDATE;
    send_write(caller, &msg);
}

static void caller_next(struct sgn_caller *caller)
{
    struct sgn_load *load = caller->load;
    char text[32];
    struct sgn_msg msg = {.bucket = sgn_bytes_str(load->options.target.bucket)};
    if (load->phase == SGN_LOAD_FILL) {
        caller->busy = false;
        if (load->fill_next < load->options.keys) {
            caller->key = load->fill_next++;
            send_fill(caller);
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
    msg.a = load->options.target.read_mode;
    msg.n = load->options.target.read_copies;
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

/* What was read, written again on condition of it: by its version, or by its causal context. */
static void send_modified(struct sgn_caller *caller, const struct sgn_msg *answer)
{
    char text[32];
    uint8_t room[SGN_CONTEXT_BYTES_MAX];
    struct sgn_sink context = sgn_sink_of(room, sizeof(room));
    struct sgn_record record;
    struct sgn_msg write = {.bucket = sgn_bytes_str(caller->load->options.target.bucket),
                            .flags = SGN_PUT_HAS_CONTEXT};
    if ((answer->flags & SGN_RESULT_ORDERED) != 0) {
        write.flags = SGN_PUT_IF_VERSION;
        write.context = answer->context;
    } else {
        if (sgn_record_decode(answer->value, SGN_RECORD_WITH_BODIES, &record) == SGN_OK) {
            sgn_context_encode(&record.vector, &context);
        }
        write.context = sgn_sink_bytes(&context);
    }
    write.key = sgn_bytes_of(text, key_text(caller->key, text, sizeof(text)));
    caller->modify_writes = true;
    send_write(caller, &write);
}

void sgn_load_answered(struct sgn_caller *caller, const struct sgn_msg *msg)
{
    struct sgn_load *load = caller->load;
    if (load->phase == SGN_LOAD_FILL) {
        if (msg->err != SGN_OK && sgn_err_is_retriable(msg->err)) {
            send_fill(caller);
        } else if (msg->err != SGN_OK) {
            char text[200];
            (void)snprintf(text,
                           sizeof(text),
                           "a key could not be written while filling: %.*s",
                           (int)msg->text.count,
                           (const char *)msg->text.ptr);
            sgn_load_fail(load, (enum sgn_err)msg->err, text);
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
        /* A read-modify-write that lost against another is no error of the ring's. */
        if (msg->err != SGN_OK && !(caller->modify_writes && msg->err == SGN_ERR_CONDITION)) {
            note_error(load->result, msg);
        }
    }
    if (now >= load->stop_ns) {
        caller->busy = false;
        return;
    }
    if (caller->op == SGN_LOAD_MODIFY && !caller->modify_writes) {
        send_modified(caller, msg);
        return;
    }
    caller_next(caller);
}

enum sgn_err sgn_load_fill(struct sgn_load *load, struct sgn_why *why)
{
    enum sgn_err err = sgn_load_connect(load, 64, why);
    if (err != SGN_OK) {
        return err;
    }
    load->phase = SGN_LOAD_FILL;
    load->fill_next = 0;
    load->fill_done = 0;
    for (uint32_t i = 0; i < load->caller_count; i++) {
        caller_next(&load->callers[i]);
    }
    while (load->fill_done < load->options.keys && load->failed == SGN_OK) {
        (void)event_base_dispatch(load->base);
    }
    load->phase = SGN_LOAD_IDLE;
    *why = load->failed_why;
    return load->failed;
}

static uint64_t pids_cpu(const int *pids, uint32_t count, struct sgn_load *load)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t ns = 0;
        if (!sgn_cpu_ns(pids[i], &ns)) {
            sgn_load_fail(load, SGN_ERR_INVALID, "a server process to be measured is not there");
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
    enum sgn_err err = sgn_load_connect(load, callers, why);
    if (err != SGN_OK) {
        return err;
    }
    (void)sgn_workload_init(
        &load->workload, options->workload, options->spread, options->keys, options->seed);
    load->result = result;
    load->phase = SGN_LOAD_RUN;
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
        (void)sgn_load_wait(load, is_drained, why); /* What is still under way is not counted. */
    }
    load->phase = SGN_LOAD_IDLE;
    *why = load->failed_why;
    return load->failed;
}
