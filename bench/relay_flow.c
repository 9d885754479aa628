#include <stdlib.h>

#include "bench/cpu.h"
#include "bench/relay_inner.h"

#define US UINT64_C(1000)

struct sgn_relay_rule sgn_relay_rule_of(const struct sgn_relay_flow *flow)
{
    struct sgn_relay *relay = flow->pipe->relay;
    struct sgn_relay_rule rule = {0};
    if (flow->pipe->from != SGN_RELAY_FROM_UNKNOWN) {
        uint32_t from = flow->is_answer ? flow->pipe->to : flow->pipe->from;
        uint32_t to = flow->is_answer ? flow->pipe->from : flow->pipe->to;
        (void)pthread_mutex_lock(&relay->mutex);
        rule = relay->rules[from][to];
        (void)pthread_mutex_unlock(&relay->mutex);
    }
    return rule;
}

static void count(struct sgn_relay *relay, uint64_t *counter)
{
    (void)pthread_mutex_lock(&relay->mutex);
    (*counter)++;
    (void)pthread_mutex_unlock(&relay->mutex);
}

/* Takes the frame over. */
static void hold(struct sgn_relay_flow *flow, struct evbuffer *frame, uint64_t due_ns)
{
    struct sgn_relay_held *held = malloc(sizeof(*held));
    flow->held_bytes += evbuffer_get_length(frame);
    if (held == NULL || flow->held_bytes > SGN_RELAY_HELD_BYTES) {
        flow->held_bytes -= evbuffer_get_length(frame);
        evbuffer_free(frame);
        free(held);
        flow->pipe->broken = true; /* As a network would, in the end. */
        return;
    }
    *held = (struct sgn_relay_held){.frame = frame, .due_ns = due_ns};
    struct sgn_relay_held **at = &flow->held;
    while (*at != NULL && (*at)->due_ns <= due_ns) {
        at = &(*at)->next;
    }
    held->next = *at;
    *at = held;
}

static bool draw(struct sgn_relay *relay, uint32_t per_mille)
{
    return per_mille > 0 && sgn_prng_chance(&relay->prng, per_mille);
}

static uint64_t draw_ns(struct sgn_relay *relay, uint64_t least_us, uint64_t most_us)
{
    uint64_t span = most_us > least_us ? most_us - least_us : 0;
    return (least_us + sgn_prng_below(&relay->prng, span + 1)) * US;
}

static void repeat(struct sgn_relay_flow *flow, struct evbuffer *frame, uint64_t due_ns)
{
    struct evbuffer *copy = evbuffer_new();
    size_t bytes = evbuffer_get_length(frame);
    const uint8_t *raw = evbuffer_pullup(frame, -1);
    if (copy == NULL || raw == NULL || evbuffer_add(copy, raw, bytes) != 0) {
        if (copy != NULL) {
            evbuffer_free(copy);
        }
        flow->pipe->broken = true;
        return;
    }
    hold(flow, copy, due_ns);
}

/* Takes the frame over. */
static void pass(struct sgn_relay_flow *flow, struct evbuffer *frame, bool is_hello)
{
    struct sgn_relay *relay = flow->pipe->relay;
    struct sgn_relay_rule rule = sgn_relay_rule_of(flow);
    uint64_t now_ns = sgn_bench_now_ns();
    count(relay, &relay->counts.frames);
    if (!is_hello && draw(relay, rule.loss_per_mille)) {
        count(relay, &relay->counts.lost);
        evbuffer_free(frame);
        return;
    }
    uint64_t due_ns = now_ns;
    if (rule.delay_us_max > 0) {
        due_ns += draw_ns(relay, rule.delay_us_min, rule.delay_us_max);
        count(relay, &relay->counts.delayed);
    }
    due_ns = due_ns > flow->last_due_ns ? due_ns : flow->last_due_ns;
    if (!is_hello && draw(relay, rule.repeat_per_mille)) {
        repeat(flow, frame, due_ns + draw_ns(relay, 0, rule.late_us));
        count(relay, &relay->counts.repeated);
    }
    if (!is_hello && draw(relay, rule.reorder_per_mille)) {
        hold(flow, frame, due_ns + draw_ns(relay, 0, rule.late_us));
        count(relay, &relay->counts.reordered);
        return;
    }
    flow->last_due_ns = due_ns;
    if (due_ns > now_ns || flow->held != NULL || rule.mode == SGN_RELAY_STALL) {
        hold(flow, frame, due_ns);
        return;
    }
    (void)bufferevent_write_buffer(flow->out, frame);
    evbuffer_free(frame);
}

/* The first frame of who dialled says who it is. False: it is none of ours. */
static bool read_hello(struct sgn_relay_flow *flow, struct evbuffer *frame)
{
    struct sgn_msg msg;
    size_t used = 0;
    size_t bytes = evbuffer_get_length(frame);
    const uint8_t *raw = evbuffer_pullup(frame, -1);
    struct sgn_relay *relay = flow->pipe->relay;
    if (raw == NULL ||
        sgn_msg_read(
            relay->decoder, sgn_bytes_of(raw, bytes), SGN_TYPES_HELLO, &msg, &used, NULL) !=
            SGN_OK ||
        msg.node >= SGN_RELAY_ENDS_MAX) {
        return false;
    }
    flow->pipe->from = msg.node;
    return true;
}

void sgn_relay_flow_read(struct sgn_relay_flow *flow)
{
    struct evbuffer *input = bufferevent_get_input(flow->in);
    uint8_t header[SGN_FRAME_HEADER_BYTES];
    while (!flow->pipe->broken &&
           evbuffer_copyout(input, header, sizeof(header)) == (ssize_t)sizeof(header)) {
        uint64_t body_bytes = sgn_get_uint(header + 16, 4);
        uint64_t bytes = sizeof(header) + body_bytes;
        if (sgn_get_uint(header, 2) != SGN_FRAME_MAGIC || bytes > SGN_RELAY_HELD_BYTES) {
            flow->pipe->broken = true; /* Not frames: nothing to be relayed. */
            return;
        }
        if (evbuffer_get_length(input) < bytes) {
            return;
        }
        struct evbuffer *frame = evbuffer_new();
        if (frame == NULL || evbuffer_remove_buffer(input, frame, (size_t)bytes) != (int)bytes) {
            flow->pipe->broken = true;
        } else {
            bool is_hello = header[3] == SGN_MSG_HELLO;
            bool first = flow->pipe->from == SGN_RELAY_FROM_UNKNOWN;
            if (!first || flow->is_answer || read_hello(flow, frame)) {
                pass(flow, frame, is_hello);
                continue;
            }
            flow->pipe->broken = true;
        }
        if (frame != NULL) {
            evbuffer_free(frame);
        }
    }
}

void sgn_relay_flow_drain(struct sgn_relay_flow *flow, uint64_t now_ns)
{
    if (flow->held == NULL || sgn_relay_rule_of(flow).mode == SGN_RELAY_STALL) {
        return;
    }
    while (flow->held != NULL && flow->held->due_ns <= now_ns) {
        struct sgn_relay_held *held = flow->held;
        flow->held = held->next;
        flow->held_bytes -= evbuffer_get_length(held->frame);
        (void)bufferevent_write_buffer(flow->out, held->frame);
        evbuffer_free(held->frame);
        free(held);
    }
}

void sgn_relay_flow_clear(struct sgn_relay_flow *flow)
{
    while (flow->held != NULL) {
        struct sgn_relay_held *held = flow->held;
        flow->held = held->next;
        evbuffer_free(held->frame);
        free(held);
    }
}
