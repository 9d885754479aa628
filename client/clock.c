/* client/clock.c - the ring's clock as the client knows it: the stamps of its writes (protocol.md
 * 3.5), and the session. */
#include "client/inner.h"
#include "ring/core/hlc.h"

#define CLOCK_NS_MAX UINT64_C(1000000000) /* A stamp that was ahead leads for so long. */

uint64_t sgn_clock_time(const struct sgn_client *client, uint64_t now_ns)
{
    uint64_t session = atomic_load_explicit(&client->session, memory_order_relaxed);
    uint64_t since_us = client->clock_ns == 0 ? 0 : (now_ns - client->clock_ns) / 1000;
    uint64_t time = client->clock_stamp + (since_us << SGN_HLC_COUNTER_BITS) / 1000;
    return time > session ? time : session;
}

void sgn_clock_notice(struct sgn_client *client, uint64_t stamp)
{
    uint_fast64_t seen = atomic_load_explicit(&client->session, memory_order_relaxed);
    uint64_t now_ns = sgn_now_ns();
    /* The clock that is ahead leads, but one that was set back does not for long. */
    if (stamp != 0 &&
        (now_ns - client->clock_ns > CLOCK_NS_MAX || stamp > sgn_clock_time(client, now_ns))) {
        client->clock_stamp = stamp;
        client->clock_ns = now_ns;
    }
    if (stamp != 0 && client->stamp_wanted) {
        client->stamp_wanted = false;
        client->pump_wanted = true;
    }
    while (stamp > seen && !atomic_compare_exchange_weak(&client->session, &seen, stamp)) {
    }
}
