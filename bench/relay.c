#include "bench/relay.h"

#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/cpu.h"
#include "bench/relay_inner.h"
#include "ring/core/check.h"
#include "ring/net/address.h"

#define TICK_US   1000
#define ENDING_NS UINT64_C(2000000000)

static const struct timeval tick_time = {.tv_usec = TICK_US};

static void pipe_destroy(struct sgn_relay_pipe *pipe)
{
    for (uint32_t i = 0; i < 2; i++) {
        sgn_relay_flow_clear(&pipe->flows[i]);
    }
    if (pipe->flows[0].in != NULL) {
        bufferevent_free(pipe->flows[0].in);
    }
    if (pipe->flows[0].out != NULL) {
        bufferevent_free(pipe->flows[0].out);
    }
    free(pipe);
}

static void on_read(struct bufferevent *side, void *user)
{
    (void)side;
    sgn_relay_flow_read(user);
}

static void on_event(struct bufferevent *side, short what, void *user)
{
    struct sgn_relay_flow *flow = user;
    (void)side;
    if ((what & BEV_EVENT_ERROR) != 0) {
        flow->pipe->broken = true;
    } else if ((what & BEV_EVENT_EOF) != 0 && flow->pipe->ending_ns == 0) {
        flow->pipe->ending_ns = sgn_bench_now_ns();
    }
}

static bool side_open(struct sgn_relay *relay, int fd, struct bufferevent **side)
{
    *side = bufferevent_socket_new(relay->base, fd, BEV_OPT_CLOSE_ON_FREE);
    return *side != NULL;
}

static void no_waiting(struct bufferevent *side)
{
    int one = 1;
    evutil_socket_t fd = bufferevent_getfd(side);
    /* Fails only for a socket that is gone, which the events will tell. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static bool target_connect(struct bufferevent *side, uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return bufferevent_socket_connect(side, (struct sockaddr *)&at, sizeof(at)) == 0;
}

static void on_accept(int fd, const struct sgn_address *from, void *user)
{
    struct sgn_relay_door *door = user;
    struct sgn_relay *relay = door->relay;
    struct sgn_relay_pipe *pipe = calloc(1, sizeof(*pipe));
    struct bufferevent *dialler = NULL;
    struct bufferevent *target = NULL;
    (void)from;
    if (pipe == NULL || !side_open(relay, fd, &dialler)) {
        (void)evutil_closesocket(fd);
        free(pipe);
        return;
    }
    *pipe = (struct sgn_relay_pipe){
        .relay = relay, .from = SGN_RELAY_FROM_UNKNOWN, .to = door->end, .next = relay->pipes};
    relay->pipes = pipe;
    pipe->broken = !side_open(relay, -1, &target);
    pipe->flows[0] = (struct sgn_relay_flow){.pipe = pipe, .in = dialler, .out = target};
    pipe->flows[1] =
        (struct sgn_relay_flow){.pipe = pipe, .in = target, .out = dialler, .is_answer = true};
    if (pipe->broken) {
        return;
    }
    bufferevent_setcb(dialler, on_read, NULL, on_event, &pipe->flows[0]);
    bufferevent_setcb(target, on_read, NULL, on_event, &pipe->flows[1]);
    if (bufferevent_enable(dialler, EV_READ | EV_WRITE) != 0 ||
        bufferevent_enable(target, EV_READ | EV_WRITE) != 0 ||
        !target_connect(target, door->port)) {
        pipe->broken = true;
        return;
    }
    no_waiting(dialler);
    no_waiting(target);
    (void)pthread_mutex_lock(&relay->mutex);
    relay->counts.connections++;
    (void)pthread_mutex_unlock(&relay->mutex);
}

/* Nothing more will go over it. */
static bool pipe_over(const struct sgn_relay_pipe *pipe, uint64_t now_ns)
{
    bool reset = false;
    bool empty = true;
    for (uint32_t i = 0; i < 2; i++) {
        const struct sgn_relay_flow *flow = &pipe->flows[i];
        reset = reset || sgn_relay_rule_of(flow).mode == SGN_RELAY_RESET;
        empty = empty && flow->held == NULL && flow->out != NULL &&
                evbuffer_get_length(bufferevent_get_output(flow->out)) == 0;
    }
    if (reset) {
        (void)pthread_mutex_lock(&pipe->relay->mutex);
        pipe->relay->counts.resets++;
        (void)pthread_mutex_unlock(&pipe->relay->mutex);
    }
    bool ended = pipe->ending_ns != 0 && (empty || now_ns > pipe->ending_ns + ENDING_NS);
    return reset || ended || pipe->broken;
}

static void on_tick(evutil_socket_t fd, short what, void *user)
{
    struct sgn_relay *relay = user;
    uint64_t now_ns = sgn_bench_now_ns();
    (void)fd;
    (void)what;
    for (struct sgn_relay_pipe **at = &relay->pipes; *at != NULL;) {
        struct sgn_relay_pipe *pipe = *at;
        for (uint32_t i = 0; i < 2 && !pipe->broken; i++) {
            sgn_relay_flow_drain(&pipe->flows[i], now_ns);
        }
        if (pipe_over(pipe, now_ns)) {
            *at = pipe->next;
            pipe_destroy(pipe);
        } else {
            at = &pipe->next;
        }
    }
    (void)pthread_mutex_lock(&relay->mutex);
    bool stop = relay->stop;
    (void)pthread_mutex_unlock(&relay->mutex);
    if (stop) {
        (void)event_base_loopbreak(relay->base);
    }
}

static void *run(void *user)
{
    struct sgn_relay *relay = user;
    (void)event_base_dispatch(relay->base);
    return NULL;
}

bool sgn_relay_open(struct sgn_relay **out, uint64_t seed, struct sgn_why *why)
{
    struct sgn_relay *relay = calloc(1, sizeof(*relay));
    *out = relay;
    if (relay != NULL) {
        (void)pthread_mutex_init(&relay->mutex, NULL);
        relay->prng.state = seed;
        relay->base = event_base_new();
        relay->decoder = sgn_msg_decoder_create();
        relay->tick =
            relay->base == NULL ? NULL : event_new(relay->base, -1, EV_PERSIST, on_tick, relay);
    }
    if (relay == NULL || relay->decoder == NULL || relay->tick == NULL ||
        event_add(relay->tick, &tick_time) != 0) {
        sgn_why_set(why, "no memory for the relay");
        sgn_relay_close(relay);
        *out = NULL;
        return false;
    }
    return true;
}

bool sgn_relay_listen(struct sgn_relay *relay, uint32_t end, uint16_t port, struct sgn_why *why)
{
    SGN_ASSERT(!relay->running && relay->door_count < SGN_RELAY_ENDS_MAX);
    SGN_ASSERT(end < SGN_RELAY_ENDS_MAX);
    struct sgn_relay_door *door = &relay->doors[relay->door_count];
    struct sgn_address address;
    char text[SGN_ADDRESS_TEXT_BYTES];
    (void)snprintf(text, sizeof(text), SGN_RELAY_HOST ":%u", port);
    *door = (struct sgn_relay_door){.relay = relay, .end = end, .port = port};
    if (sgn_address_parse(text, &address, why) != SGN_OK ||
        sgn_listener_create(relay->base, &address, on_accept, door, &door->listener, why) !=
            SGN_OK) {
        return false;
    }
    relay->door_count++;
    return true;
}

bool sgn_relay_start(struct sgn_relay *relay, struct sgn_why *why)
{
    relay->running = pthread_create(&relay->thread, NULL, run, relay) == 0;
    if (!relay->running) {
        sgn_why_set(why, "no thread for the relay");
    }
    return relay->running;
}

void sgn_relay_set(struct sgn_relay *relay,
                   uint32_t from,
                   uint32_t to,
                   const struct sgn_relay_rule *rule)
{
    SGN_ASSERT(from < SGN_RELAY_ENDS_MAX && to < SGN_RELAY_ENDS_MAX);
    (void)pthread_mutex_lock(&relay->mutex);
    relay->rules[from][to] = *rule;
    (void)pthread_mutex_unlock(&relay->mutex);
}

void sgn_relay_heal(struct sgn_relay *relay)
{
    (void)pthread_mutex_lock(&relay->mutex);
    memset(relay->rules, 0, sizeof(relay->rules));
    (void)pthread_mutex_unlock(&relay->mutex);
}

void sgn_relay_count(struct sgn_relay *relay, struct sgn_relay_counts *counts)
{
    (void)pthread_mutex_lock(&relay->mutex);
    *counts = relay->counts;
    (void)pthread_mutex_unlock(&relay->mutex);
}

void sgn_relay_close(struct sgn_relay *relay)
{
    if (relay == NULL) {
        return;
    }
    if (relay->running) {
        (void)pthread_mutex_lock(&relay->mutex);
        relay->stop = true;
        (void)pthread_mutex_unlock(&relay->mutex);
        (void)pthread_join(relay->thread, NULL);
    }
    while (relay->pipes != NULL) {
        struct sgn_relay_pipe *next = relay->pipes->next;
        pipe_destroy(relay->pipes);
        relay->pipes = next;
    }
    for (uint32_t i = 0; i < relay->door_count; i++) {
        sgn_listener_destroy(relay->doors[i].listener);
    }
    if (relay->tick != NULL) {
        event_free(relay->tick);
    }
    if (relay->base != NULL) {
        event_base_free(relay->base);
    }
    if (relay->decoder != NULL) {
        sgn_msg_decoder_destroy(relay->decoder);
    }
    (void)pthread_mutex_destroy(&relay->mutex);
    free(relay);
}
