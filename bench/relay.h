/* bench/relay.h - a network that loses, delays, repeats, reorders and cuts, between real processes.
 *
 * Members listen on 127.0.0.1; the address they are given is the same port of SGN_RELAY_HOST, where
 * the relay listens and from where it connects on. Who dialled is read from the first frame
 * (ring/net/hello.h), so one port per member is enough to tell all links apart. It works on whole
 * frames of Signet: a stream with a frame left out or repeated is still a stream that both ends
 * can read. HELLO is never lost or repeated.
 *
 * An end is 0 for all clients together, else a number below SGN_RELAY_ENDS_MAX of the caller's
 * choice; the ends of nodes are their ids. A rule is for one direction of one pair of ends.
 *
 * Owns: its thread, sockets and frames on the way. Threads: every function may be called from any
 * one thread at a time; rules may change at any time. */
#ifndef SGN_BENCH_RELAY_H
#define SGN_BENCH_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "ring/net/why.h"

#define SGN_RELAY_HOST       "127.0.0.2" /* Linux's loopback has it unasked. */
#define SGN_RELAY_ENDS_MAX   32u
#define SGN_RELAY_HELD_BYTES (64u << 20) /* Of one direction of one connection; then it is reset. */

enum sgn_relay_mode {
    SGN_RELAY_FLOW,
    SGN_RELAY_STALL, /* Frames wait; when the rule goes, they arrive late. */
    SGN_RELAY_RESET  /* Connections of the two are closed, and new ones too. */
};

struct sgn_relay_rule {
    enum sgn_relay_mode mode;
    uint32_t delay_us_min, delay_us_max; /* Each frame's own; frames keep their order. */
    uint32_t loss_per_mille;
    uint32_t repeat_per_mille;  /* Sent again, up to late_us later. */
    uint32_t reorder_per_mille; /* Held for up to late_us while others pass. */
    uint32_t late_us;
};

struct sgn_relay_counts {
    uint64_t frames, lost, repeated, reordered, delayed, connections, resets;
};

struct sgn_relay;

/* False with a sentence: no memory or descriptors. The seed decides the draws, not the times. */
bool sgn_relay_open(struct sgn_relay **relay, uint64_t seed, struct sgn_why *why)
    __attribute__((warn_unused_result));
/* Before start: passes on what `end` is told at this port, one of several maybe. */
bool sgn_relay_listen(struct sgn_relay *relay, uint32_t end, uint16_t port, struct sgn_why *why)
    __attribute__((warn_unused_result));
bool sgn_relay_start(struct sgn_relay *relay, struct sgn_why *why)
    __attribute__((warn_unused_result));

void sgn_relay_set(struct sgn_relay *relay,
                   uint32_t from,
                   uint32_t to,
                   const struct sgn_relay_rule *rule);
void sgn_relay_heal(struct sgn_relay *relay); /* No rule for anybody. */
void sgn_relay_count(struct sgn_relay *relay, struct sgn_relay_counts *counts);

/* Stops the thread and closes everything. Takes NULL. */
void sgn_relay_close(struct sgn_relay *relay);

#endif
