/* tests/sim/ord_oracle.c */
#include "tests/sim/ord_oracle.h"

#include <stdarg.h>
#include <stdio.h>

#include "ring/core/check.h"
#include "ring/core/prng.h"

void ord_violation(struct ord_oracle *oracle, const char *format, ...)
{
    if (oracle->violation[0] != '\0') {
        return; /* The first is what matters; the rest often follows from it. */
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(oracle->violation, sizeof(oracle->violation), format, arguments);
    va_end(arguments);
}

uint32_t ord_oracle_begin(struct ord_oracle *oracle, const struct ord_write *write)
{
    SGN_ASSERT(oracle->write_count < ORD_WRITES_MAX);
    oracle->writes[oracle->write_count] = *write;
    return oracle->write_count++;
}

int ord_version_compare(const struct sgn_version *a, const struct sgn_version *b)
{
    return sgn_ballot_compare(&a->origin, &b->origin);
}

static uint32_t slot_of(uint32_t key, const struct sgn_version *version)
{
    uint64_t mixed = sgn_mix64(version->rev ^ (uint64_t)key << 56);
    mixed = sgn_mix64(mixed ^ version->origin.hlc);
    mixed = sgn_mix64(mixed ^ version->origin.node ^ (uint64_t)version->origin.incarnation << 20 ^
                      (uint64_t)version->origin.step << 40);
    return (uint32_t)(mixed % ORD_FACTS_MAX);
}

static struct ord_fact *fact_find(const struct ord_oracle *oracle,
                                  uint32_t key,
                                  const struct sgn_version *version)
{
    for (uint32_t i = oracle->heads[slot_of(key, version)]; i != 0;
         i = oracle->facts[i - 1].chain) {
        const struct ord_fact *fact = &oracle->facts[i - 1];
        if (fact->key == key && sgn_version_equal(&fact->version, version)) {
            return (struct ord_fact *)(uintptr_t)fact;
        }
    }
    return NULL;
}

const struct ord_fact *ord_oracle_fact(const struct ord_oracle *oracle,
                                       uint32_t key,
                                       const struct sgn_version *version)
{
    return fact_find(oracle, key, version);
}

void ord_oracle_propose(struct ord_oracle *oracle,
                        uint32_t key,
                        const struct sgn_version *version,
                        uint32_t write,
                        bool dead)
{
    if (version->rev == 0) {
        return;
    }
    struct ord_fact *fact = fact_find(oracle, key, version);
    if (fact != NULL) {
        bool other = write != ORD_NO_WRITE && fact->write != ORD_NO_WRITE && fact->write != write;
        if (other || fact->dead != dead || fact->between) {
            ord_violation(oracle,
                          "key %u rev %llu: two records of one version",
                          key,
                          (unsigned long long)version->rev);
        }
        fact->write = fact->write == ORD_NO_WRITE ? write : fact->write;
        return;
    }
    if (write != ORD_NO_WRITE &&
        (write >= oracle->write_count || oracle->writes[write].key != key ||
         oracle->writes[write].is_delete != dead)) {
        ord_violation(oracle, "key %u: a record that no request explains (write %u)", key, write);
        return;
    }
    SGN_ASSERT(oracle->fact_count < ORD_FACTS_MAX);
    fact = &oracle->facts[oracle->fact_count++];
    uint32_t slot = slot_of(key, version);
    *fact = (struct ord_fact){.key = key,
                              .write = write,
                              .dead = dead,
                              .version = *version,
                              .chain = oracle->heads[slot]};
    oracle->heads[slot] = oracle->fact_count;
}

void ord_oracle_between(struct ord_oracle *oracle,
                        uint32_t key,
                        const struct sgn_version *version,
                        uint32_t write,
                        bool made)
{
    struct ord_fact *fact = fact_find(oracle, key, version);
    if (write >= oracle->write_count || (fact == NULL && !made)) {
        ord_violation(oracle,
                      "key %u rev %llu: a record tells of it, and no request explains it",
                      key,
                      (unsigned long long)version->rev);
        return;
    }
    if (fact == NULL) {
        ord_oracle_propose(oracle, key, version, write, oracle->writes[write].is_delete);
        fact = fact_find(oracle, key, version);
        if (fact != NULL) {
            fact->between = true;
        }
    } else if (made && fact->write != ORD_NO_WRITE && fact->write != write) {
        ord_violation(oracle,
                      "key %u rev %llu: writes %u and %u are both said to have made it",
                      key,
                      (unsigned long long)version->rev,
                      fact->write,
                      write);
    }
}

/* 3.5: one request makes at most one version, and none once its client was told so. */
static void expose_write(struct ord_oracle *oracle, const struct ord_fact *fact)
{
    if (fact->write == ORD_NO_WRITE) {
        return;
    }
    struct ord_write *write = &oracle->writes[fact->write];
    uint32_t name = (uint32_t)(fact - oracle->facts) + 1;
    if (write->fact != 0 && write->fact != name) {
        ord_violation(oracle,
                      "write %u to key %u took effect twice: rev %llu and rev %llu",
                      fact->write,
                      fact->key,
                      (unsigned long long)oracle->facts[write->fact - 1].version.rev,
                      (unsigned long long)fact->version.rev);
    }
    write->fact = name;
    static const char *const told[] = {"", "", "rejected", "void", "certainly without effect", ""};
    if (told[write->verdict][0] != '\0') {
        ord_violation(oracle,
                      "write %u to key %u was called %s and made rev %llu",
                      fact->write,
                      fact->key,
                      told[write->verdict],
                      (unsigned long long)fact->version.rev);
    }
    if (write->condition == SGN_IF_VERSION && fact->version.rev != write->expect.rev + 1) {
        ord_violation(oracle,
                      "write %u to key %u asked for rev %llu and made rev %llu",
                      fact->write,
                      fact->key,
                      (unsigned long long)write->expect.rev,
                      (unsigned long long)fact->version.rev);
    }
}

/* 3.7: once its tombstone is dropped a key counts its revs from 1 again. */
static bool may_have_been_dropped(const struct ord_oracle *oracle,
                                  uint32_t key,
                                  const struct sgn_version *from,
                                  const struct sgn_version *below)
{
    for (uint32_t i = 0; i < oracle->fact_count; i++) {
        const struct ord_fact *fact = &oracle->facts[i];
        if (fact->key == key && fact->dead && !fact->between &&
            ord_version_compare(&fact->version, from) >= 0 &&
            ord_version_compare(&fact->version, below) < 0) {
            return true;
        }
    }
    return false;
}

/* One chain: revs and origins rise together, and no rev is there twice. */
static void expose_chain(struct ord_oracle *oracle, const struct ord_fact *fact)
{
    for (uint32_t i = 0; i < oracle->fact_count; i++) {
        const struct ord_fact *other = &oracle->facts[i];
        if (other == fact || other->key != fact->key || !other->exposed) {
            continue;
        }
        bool before = ord_version_compare(&other->version, &fact->version) < 0;
        const struct ord_fact *low = before ? other : fact;
        const struct ord_fact *high = before ? fact : other;
        if (low->version.rev >= high->version.rev &&
            !may_have_been_dropped(oracle, fact->key, &low->version, &high->version)) {
            ord_violation(oracle,
                          "key %u forks: rev %llu and rev %llu are both exposed",
                          fact->key,
                          (unsigned long long)other->version.rev,
                          (unsigned long long)fact->version.rev);
        }
    }
}

void ord_oracle_expose(struct ord_oracle *oracle, uint32_t key, const struct sgn_version *version)
{
    if (version->rev == 0) {
        return;
    }
    struct ord_fact *fact = fact_find(oracle, key, version);
    if (fact == NULL) {
        ord_violation(oracle,
                      "key %u rev %llu was told to a client and no round has proposed it",
                      key,
                      (unsigned long long)version->rev);
        return;
    }
    if (fact->exposed) {
        return;
    }
    fact->exposed = true;
    expose_write(oracle, fact);
    expose_chain(oracle, fact);
    struct ord_key *state = &oracle->keys[key];
    if (state->floor.rev == 0 || ord_version_compare(&state->floor, version) < 0) {
        state->floor = *version;
        state->floor_dead = fact->dead;
    }
}

bool ord_oracle_may_be_gone(const struct ord_oracle *oracle,
                            uint32_t key,
                            const struct sgn_version *since)
{
    static const struct sgn_version last = {.origin = {.hlc = UINT64_MAX}};
    return may_have_been_dropped(oracle, key, since, &last);
}

void ord_oracle_at_least(struct ord_oracle *oracle,
                         uint32_t key,
                         const struct sgn_version *floor,
                         const struct sgn_version *version,
                         const char *what)
{
    bool dropped = version->rev == 0 && ord_oracle_may_be_gone(oracle, key, floor);
    if (floor->rev != 0 && !dropped &&
        (version->rev == 0 || ord_version_compare(version, floor) < 0)) {
        ord_violation(oracle,
                      "%s of key %u answered with rev %llu; rev %llu was exposed before it began",
                      what,
                      key,
                      (unsigned long long)version->rev,
                      (unsigned long long)floor->rev);
    }
}

void ord_oracle_verdict(struct ord_oracle *oracle,
                        uint32_t number,
                        enum ord_verdict verdict,
                        const struct sgn_version *version)
{
    struct ord_write *write = &oracle->writes[number];
    bool told = write->verdict != ORD_OPEN && write->verdict != ORD_UNKNOWN;
    if (verdict == ORD_UNKNOWN) {
        write->verdict = told ? write->verdict : ORD_UNKNOWN;
        return;
    }
    /* A rejection by exact version is not remembered, so a retry may meet a newer one (3.5). */
    bool may_move = verdict == ORD_REJECTED && write->condition == SGN_IF_VERSION;
    bool differs =
        told && (write->verdict != verdict ||
                 (version != NULL && !may_move && !sgn_version_equal(version, &write->version)));
    if (differs) {
        ord_violation(oracle,
                      "write %u to key %u was told two verdicts: %d and %d",
                      number,
                      write->key,
                      (int)write->verdict,
                      (int)verdict);
        return;
    }
    write->verdict = verdict;
    if (version != NULL) {
        write->version = *version;
        ord_oracle_expose(oracle, write->key, version);
        const struct ord_fact *fact = fact_find(oracle, write->key, version);
        bool wrong_rev =
            write->condition == SGN_IF_VERSION && version->rev != write->expect.rev + 1;
        if (verdict == ORD_APPLIED && !write->is_delete &&
            (fact == NULL || fact->write != number || wrong_rev)) {
            ord_violation(oracle,
                          "write %u to key %u was told a version that it did not make: rev %llu",
                          number,
                          write->key,
                          (unsigned long long)version->rev);
        }
    }
    if (verdict != ORD_APPLIED && write->fact != 0) {
        ord_violation(oracle,
                      "write %u to key %u was told no (%d), and its value was exposed before",
                      number,
                      write->key,
                      (int)verdict);
    }
}
