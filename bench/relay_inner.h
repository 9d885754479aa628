/* bench/relay_inner.h - what the two halves of the relay share: connections (relay.c) and frames on
 * their way (relay_flow.c). All of it belongs to the relay's thread but for the rules and counts,
 * which the mutex guards. */
#ifndef SGN_BENCH_RELAY_INNER_H
#define SGN_BENCH_RELAY_INNER_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <pthread.h>

#include "bench/relay.h"
#include "ring/core/prng.h"
#include "ring/net/listener.h"
#include "ring/net/msg_codec.h"

#define SGN_RELAY_FROM_UNKNOWN UINT32_MAX

struct sgn_relay_held {
    struct sgn_relay_held *next;
    struct evbuffer *frame;
    uint64_t due_ns;
};

/* One direction of a connection. */
struct sgn_relay_flow {
    struct sgn_relay_pipe *pipe;
    struct bufferevent *in, *out;
    struct sgn_relay_held *held; /* By due time. */
    size_t held_bytes;
    uint64_t last_due_ns; /* Frames that keep their order are not due before this. */
    bool is_answer;       /* From the end that was dialled. */
};

struct sgn_relay_pipe {
    struct sgn_relay *relay;
    struct sgn_relay_pipe *next;
    uint32_t from; /* Who dialled; SGN_RELAY_FROM_UNKNOWN before its HELLO. */
    uint32_t to;
    struct sgn_relay_flow flows[2];
    bool broken;        /* To be closed by the next tick. */
    uint64_t ending_ns; /* One end has closed: the rest is sent, but not for ever. 0: no. */
};

struct sgn_relay_door {
    struct sgn_relay *relay;
    struct sgn_listener *listener;
    uint32_t end;
    uint16_t port;
};

struct sgn_relay {
    struct event_base *base;
    struct event *tick;
    struct sgn_msg_decoder *decoder;
    struct sgn_relay_pipe *pipes;
    struct sgn_relay_door doors[SGN_RELAY_ENDS_MAX];
    uint32_t door_count;
    struct sgn_prng prng;
    pthread_t thread;
    bool running;
    pthread_mutex_t mutex; /* Of what follows. */
    bool stop;
    struct sgn_relay_rule rules[SGN_RELAY_ENDS_MAX][SGN_RELAY_ENDS_MAX];
    struct sgn_relay_counts counts;
};

/* The rule that holds for a direction now. */
struct sgn_relay_rule sgn_relay_rule_of(const struct sgn_relay_flow *flow);

/* Takes the whole frames that have arrived, and applies the rule to each. */
void sgn_relay_flow_read(struct sgn_relay_flow *flow);
/* Sends what is due. */
void sgn_relay_flow_drain(struct sgn_relay_flow *flow, uint64_t now_ns);
void sgn_relay_flow_clear(struct sgn_relay_flow *flow);

#endif
