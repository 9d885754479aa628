/* node/watch.h - tells in the log what became of the witnesses and of the replicas' standing: once,
 * when it changes, in words that say what to do or that nothing has to be done.
 * Threads: the loop's. */
#ifndef SGN_NODE_WATCH_H
#define SGN_NODE_WATCH_H

#include "ring/core/engine.h"
#include "ring/net/peers.h"

#define SGN_WATCH_WHY_BYTES 160u

struct sgn_watch_witness {
    uint32_t id, incarnation;
    bool told_down, leaving;
    uint32_t down_seconds;
    uint32_t dropped;
    char why[SGN_WATCH_WHY_BYTES]; /* Last told. */
};

struct sgn_watch {
    uint32_t witness_count;
    struct sgn_watch_witness witnesses[SGN_WITNESSES_MAX];
    uint32_t catching_up[SGN_NODES_MAX], out[SGN_NODES_MAX]; /* Partitions, by member. */
    uint64_t disks[SGN_NODES_MAX];                           /* By member; 0: not listed. */
    uint32_t without_group, fenced;
    uint32_t fenced_seconds;
    bool begun;
};

/* A map was adopted. */
void sgn_watch_map(struct sgn_watch *watch,
                   const struct sgn_engine *engine,
                   const struct sgn_ring *ring);
/* Once a second. */
void sgn_watch_second(struct sgn_watch *watch,
                      const struct sgn_engine *engine,
                      const struct sgn_peers *peers);
/* "node 2, witness 3": whose word the first fenced partition waits for. */
void sgn_fence_waits_text(const struct sgn_fleet_view *view, char *text, size_t bytes);

#endif
