/* tests/sim/ord_oracle.h - what clients of an ordered bucket were told, and whether it can be true.
 *
 * Three checks, each O(1) for an operation (protocol.md 1, 3.5, 5.4):
 *   floor    a strong answer is at or above whatever was exposed before the question was asked
 *   chain    a key's versions are one chain: no rev with two origins, origins rise with revs, and
 *            one request made at most one version
 *   verdict  a request gets one verdict and one version, however often it is told; what was called
 *            rejected, void or certainly failed is never exposed
 * The order that real time and values ask for is judged by bench/linear.h, which knows no versions.
 *
 * A *fact* is a version of a key that some round has proposed, with the request that made it. */
#ifndef SGN_TESTS_ORD_ORACLE_H
#define SGN_TESTS_ORD_ORACLE_H

#include <stdbool.h>
#include <stdint.h>

#include "ring/core/ordered.h"

#define ORD_KEYS_MAX   8u
#define ORD_WRITES_MAX 1024u
#define ORD_FACTS_MAX  4096u
#define ORD_NO_WRITE   UINT32_MAX

enum ord_verdict { ORD_OPEN, ORD_APPLIED, ORD_REJECTED, ORD_VOID, ORD_FAILED, ORD_UNKNOWN };

struct ord_write {
    uint32_t key;
    bool is_delete;
    enum sgn_condition condition;
    struct sgn_version expect;
    enum ord_verdict verdict;   /* As far as any client was told; FAILED: certainly no effect. */
    struct sgn_version version; /* APPLIED: made. REJECTED: met. */
    uint32_t fact;              /* + 1: the exposed version it made; 0: none. */
};

struct ord_fact {
    uint32_t key;
    uint32_t write; /* That made it; ORD_NO_WRITE for a key never written. */
    bool dead, exposed;
    bool between; /* Made and overwritten in one batch: no record of it can ever have been. */
    struct sgn_version version;
    uint32_t chain; /* Next fact of the same hash slot, + 1. */
};

struct ord_key {
    struct sgn_version floor; /* Highest version exposed. */
    bool floor_dead;
};

struct ord_oracle {
    struct ord_write writes[ORD_WRITES_MAX];
    uint32_t write_count;
    struct ord_fact facts[ORD_FACTS_MAX];
    uint32_t fact_count;
    uint32_t heads[ORD_FACTS_MAX];
    struct ord_key keys[ORD_KEYS_MAX];
    char violation[512]; /* The first; empty while all is well. */
};

void ord_violation(struct ord_oracle *oracle, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Number of a new write. */
uint32_t ord_oracle_begin(struct ord_oracle *oracle, const struct ord_write *write);
/* Negative, 0, positive as a is older than b, the same, or newer: by origin (protocol.md 5.4). */
int ord_version_compare(const struct sgn_version *a, const struct sgn_version *b);
/* Some round proposes it. Two different makers of one version are a violation. */
void ord_oracle_propose(struct ord_oracle *oracle,
                        uint32_t key,
                        const struct sgn_version *version,
                        uint32_t write,
                        bool dead);
/* A record that some round proposes tells of a version below its own. If none proposed that one, it
 * was made and overwritten within a batch. `made`: by this write for certain, not by one before it
 * whose id fell off. */
void ord_oracle_between(struct ord_oracle *oracle,
                        uint32_t key,
                        const struct sgn_version *version,
                        uint32_t write,
                        bool made);
/* NULL: nobody proposed it. */
const struct ord_fact *ord_oracle_fact(const struct ord_oracle *oracle,
                                       uint32_t key,
                                       const struct sgn_version *version);
/* A client learnt that the version exists. Never written (rev 0) is exposed by nobody: no
 * effect. */
void ord_oracle_expose(struct ord_oracle *oracle, uint32_t key, const struct sgn_version *version);
/* 3.7: whether some round has deleted the key at or after that version, so that all trace of it may
 * have been dropped. */
bool ord_oracle_may_be_gone(const struct ord_oracle *oracle,
                            uint32_t key,
                            const struct sgn_version *since);
/* A strong answer, begun when `floor` was exposed: `what` names it. */
void ord_oracle_at_least(struct ord_oracle *oracle,
                         uint32_t key,
                         const struct sgn_version *floor,
                         const struct sgn_version *version,
                         const char *what);
/* A client was told what became of the write; `version` NULL for VOID, FAILED and UNKNOWN. */
void ord_oracle_verdict(struct ord_oracle *oracle,
                        uint32_t number,
                        enum ord_verdict verdict,
                        const struct sgn_version *version);

#endif
