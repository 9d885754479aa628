/* tests/sim/ord_white.c - ballots, who holds them, the maps; and what must be so before a client is
 * told anything. */
#include "tests/sim/ord_white.h"

#include <stdio.h>
#include <stdlib.h>

#include "ring/core/check.h"
#include "ring/core/key.h"
#include "tests/sim/ord.h"

void ord_white_clear(struct ord_white *white)
{
    for (uint32_t i = 0; i < white->ballot_count; i++) {
        free(white->ballots[i].votes);
    }
    for (uint32_t i = 0; i < 32; i++) {
        free(white->lines[i]);
    }
}

/* --- ballots ---------------------------------------------------------------------------------- */

static uint32_t slot_of(uint32_t key, const struct sgn_ballot *b)
{
    uint64_t mixed = sgn_mix64(b->hlc ^ (uint64_t)key << 60);
    mixed ^= b->node ^ (uint64_t)b->incarnation << 16 ^ (uint64_t)b->step << 32;
    return (uint32_t)(sgn_mix64(mixed) % ORD_BALLOTS_MAX);
}

struct ord_ballot_seen *ord_white_ballot(struct ord_world *world,
                                         uint32_t key,
                                         const struct sgn_ballot *ballot)
{
    struct ord_white *white = &world->white;
    uint32_t slot = slot_of(key, ballot);
    for (uint32_t i = white->heads[slot]; i != 0; i = white->ballots[i - 1].chain) {
        struct ord_ballot_seen *seen = &white->ballots[i - 1];
        if (seen->key == key && sgn_ballot_compare(&seen->ballot, ballot) == 0) {
            return seen;
        }
    }
    SGN_ASSERT(white->ballot_count < ORD_BALLOTS_MAX);
    struct ord_ballot_seen *seen = &white->ballots[white->ballot_count++];
    *seen = (struct ord_ballot_seen){.key = key,
                                     .ballot = *ballot,
                                     .chain = white->heads[slot],
                                     .next_of_key = white->first_of_key[key]};
    white->heads[slot] = white->ballot_count;
    white->first_of_key[key] = white->ballot_count;
    return seen;
}

struct ord_votes *ord_white_votes(struct ord_ballot_seen *seen, uint32_t epoch)
{
    for (uint32_t i = 0; i < seen->vote_count; i++) {
        if (seen->votes[i].epoch == epoch) {
            return &seen->votes[i];
        }
    }
    if (seen->vote_count == seen->vote_cap) {
        seen->vote_cap = seen->vote_cap == 0 ? 2 : seen->vote_cap * 2;
        seen->votes = realloc(seen->votes, seen->vote_cap * sizeof(seen->votes[0]));
        SGN_ASSERT(seen->votes != NULL);
    }
    seen->votes[seen->vote_count] = (struct ord_votes){.epoch = epoch};
    return &seen->votes[seen->vote_count++];
}

/* Number of the write that made the record's version, as its ops and its body tell it. */
static uint32_t maker_of(const struct sgn_ordered *record)
{
    uint32_t by_body = record->kind == SGN_ORDERED_VALUE && record->body.count > 0
                           ? ord_value_number(record->body)
                           : ORD_NO_WRITE;
    for (uint32_t i = 0; i < record->op_count; i++) {
        const struct sgn_op_id *op = &record->ops[i];
        if (op->verdict == SGN_VERDICT_APPLIED &&
            sgn_version_equal(&op->version, &record->version)) {
            uint32_t by_op = (uint32_t)sgn_get_uint(op->id.bytes + 8, 8);
            /* A delete of a dead key is applied without a version of its own (ordered.h). */
            if (record->kind == SGN_ORDERED_VALUE) {
                return by_body == ORD_NO_WRITE ? by_op : by_body;
            }
            bool older = false;
            for (uint32_t j = i + 1; j < record->op_count; j++) {
                older |= record->ops[j].verdict == SGN_VERDICT_APPLIED &&
                         sgn_version_equal(&record->ops[j].version, &record->version);
            }
            if (!older && record->op_count < SGN_ORDERED_OPS_MAX) {
                return by_op;
            }
        }
    }
    return by_body;
}

/* The versions between, of changes decided in one batch: no record of their own ever travels. The
 * op that made one is the oldest that tells of it. */
static void propose_between(struct ord_world *world, uint32_t key, const struct sgn_ordered *record)
{
    for (uint32_t i = record->op_count; i > 0; i--) {
        const struct sgn_op_id *op = &record->ops[i - 1];
        uint32_t before = i;
        while (before < record->op_count && record->ops[before].verdict == SGN_VERDICT_VOID) {
            before++;
        }
        const struct sgn_op_id *older = before < record->op_count ? &record->ops[before] : NULL;
        if (op->verdict == SGN_VERDICT_APPLIED && op->version.rev != 0 &&
            op->version.rev < record->version.rev &&
            (older == NULL || !sgn_version_equal(&older->version, &op->version))) {
            ord_oracle_between(&world->oracle,
                               key,
                               &op->version,
                               (uint32_t)sgn_get_uint(op->id.bytes + 8, 8),
                               older != NULL || record->op_count < SGN_ORDERED_OPS_MAX);
        }
    }
}

struct ord_ballot_seen *ord_white_record(struct ord_world *world,
                                         uint32_t key,
                                         struct sgn_bytes bytes)
{
    struct sgn_ordered record;
    if (sgn_ordered_decode(bytes, true, &record) != SGN_OK) {
        ord_violation(&world->oracle, "key %u: what travels is not a record", key);
        return NULL;
    }
    struct ord_ballot_seen *seen = ord_white_ballot(world, key, &record.ballot);
    uint64_t digest = sgn_hash(bytes) | 1;
    if (seen->digest != 0 && seen->digest != digest) {
        ord_violation(&world->oracle,
                      "3.1: key %u has two records under ballot %llu.%u.%u.%u (rev %llu, %llu)",
                      key,
                      (unsigned long long)record.ballot.hlc,
                      record.ballot.node,
                      record.ballot.incarnation,
                      record.ballot.step,
                      (unsigned long long)seen->version.rev,
                      (unsigned long long)record.version.rev);
    }
    if (seen->digest == 0) {
        seen->digest = digest;
        seen->version = record.version;
        for (uint32_t i = 0; i < record.op_count; i++) {
            if (record.ops[i].version.rev != 0) {
                seen->ops[seen->op_count++] = record.ops[i].version;
            }
        }
        propose_between(world, key, &record);
        ord_oracle_propose(
            &world->oracle, key, &record.version, maker_of(&record), sgn_ordered_is_dead(&record));
    }
    return seen;
}

/* --- maps ------------------------------------------------------------------------------------- */

const struct sgn_line *ord_white_line(const struct ord_white *white,
                                      uint32_t partition,
                                      uint32_t epoch)
{
    const struct sgn_line *found = NULL;
    for (uint32_t i = 0; i < white->line_count[partition]; i++) {
        const struct sgn_line *line = &white->lines[partition][i];
        if (line->epoch <= epoch && (found == NULL || line->epoch > found->epoch)) {
            found = line;
        }
    }
    return found;
}

static void line_tell(const struct ord_world *world,
                      uint32_t partition,
                      const struct sgn_line *line)
{
    static const char *const states[] = {"", "~", "-"}; /* in_sync, catching up, out */
    char text[160];
    int used = 0;
    for (uint32_t i = 0; i < line->seat_count; i++) {
        const struct sgn_seat *seat = &line->seats[i];
        static const char *const names[8] = {"", "new ", "old ", "", "lost ", "lost, new ", "", ""};
        const char *set = names[seat->sets & 7];
        used += snprintf(text + used,
                         sizeof(text) - (size_t)used,
                         " %s%s%u",
                         line->joint ? set : "",
                         states[seat->state],
                         seat->node);
    }
    ord_log(world,
            "  partition %u epoch %u:%s, %u witnesses, %u fences",
            partition,
            line->epoch,
            text,
            line->group_count,
            line->fence_count);
}

static void line_note(struct ord_world *world, uint32_t partition, const struct sgn_line *line)
{
    struct ord_white *white = &world->white;
    const struct sgn_line *known = ord_white_line(white, partition, line->epoch);
    if (known != NULL && known->epoch == line->epoch) {
        return; /* The first seen has the most fences: pruning keeps the epoch. */
    }
    uint32_t count = white->line_count[partition];
    if ((count & (count - 1)) == 0) {
        uint32_t cap = count == 0 ? 1 : count * 2;
        white->lines[partition] = realloc(white->lines[partition], cap * sizeof(struct sgn_line));
        SGN_ASSERT(white->lines[partition] != NULL);
    }
    white->lines[partition][count] = *line;
    white->line_count[partition]++;
    ord_white_carried(world, partition, line);
    if (world->options.verbose > 1) {
        line_tell(world, partition, line);
    }
}

void ord_white_map(struct ord_world *world, uint32_t node)
{
    struct ord_white *white = &world->white;
    const struct sgn_map *map = sgn_engine_map(world->nodes[node].engine);
    static uint8_t room[1u << 16];
    if (map->version >= ORD_VERSIONS_MAX ||
        sgn_map_bytes_max(map->partition_count) > sizeof(room)) {
        return;
    }
    struct sgn_sink sink = sgn_sink_of(room, sizeof(room));
    sgn_map_encode(map, &sink);
    uint64_t digest = sgn_hash(sgn_sink_bytes(&sink)) | 1;
    uint64_t *known = &white->map_digest[map->version];
    if (*known != 0 && *known != digest) {
        ord_violation(&world->oracle, "6.4: there are two maps of version %u", map->version);
    }
    if (*known == digest) {
        return;
    }
    *known = digest;
    white->map_highest = map->version > white->map_highest ? map->version : white->map_highest;
    for (uint32_t p = 0; p < map->partition_count; p++) {
        line_note(world, p, &map->lines[p]);
    }
    if (map->hash_seed != white->hash_seed || map->version == 1) {
        white->hash_seed = map->hash_seed;
        for (uint32_t key = 0; key < world->options.keys; key++) {
            uint8_t full[SGN_FULL_KEY_BYTES_MAX];
            white->hashes[key] = sgn_key_hash_of(ord_full_key(key, full), map->hash_seed);
        }
    }
    ord_log(world, "node %u has map %u", world->nodes[node].id, map->version);
    ord_witness_learn(world, map);
}

uint32_t ord_white_key_of_hash(const struct ord_world *world, const struct sgn_key_hash *hash)
{
    for (uint32_t key = 0; key < world->options.keys; key++) {
        const struct sgn_key_hash *known = &world->white.hashes[key];
        if (known->hash == hash->hash && known->keyed == hash->keyed) {
            return key;
        }
    }
    return UINT32_MAX;
}

uint32_t ord_white_map_held(const struct ord_world *world, uint32_t node)
{
    if (ord_disk_is_lost(world, node)) {
        return UINT32_MAX; /* Who was in some epoch is gone for good. */
    }
    const struct sim_entry *entry =
        sim_disk_find(&world->nodes[node].disk, SGN_FAMILY_META, sgn_bytes_str("map"));
    uint32_t version =
        entry == NULL ? 0 : sgn_map_version_of(sgn_bytes_of(entry->value, entry->value_bytes));
    return version == 0 ? 1 : version;
}

/* --- disks ------------------------------------------------------------------------------------ */

static const struct sim_entry *data_of(const struct ord_world *world, uint32_t node, uint32_t key)
{
    uint8_t full[SGN_FULL_KEY_BYTES_MAX];
    return sim_disk_find(&world->nodes[node].disk, SGN_FAMILY_DATA, ord_full_key(key, full));
}

bool ord_white_rotten(const struct ord_world *world, uint32_t node, uint32_t key)
{
    const struct sim_entry *entry = data_of(world, node, key);
    return entry != NULL && entry->value_bytes == 4 && entry->value[0] == 0xff;
}

bool ord_white_held(const struct ord_world *world,
                    uint32_t node,
                    uint32_t key,
                    struct sgn_bytes *record)
{
    const struct sim_entry *entry = data_of(world, node, key);
    if (entry == NULL || entry->value_bytes < 8) {
        return false;
    }
    *record = sgn_bytes_of(entry->value + 8, entry->value_bytes - 8);
    return true;
}

void ord_white_durable(struct ord_world *world,
                       uint32_t node,
                       uint32_t version,
                       const struct sgn_store_write *write)
{
    if (write->family == SGN_FAMILY_META && world->options.verbose > 1) {
        ord_log(world,
                "node %u stores %.*s %llu",
                node + 1,
                (int)write->key.count,
                (const char *)write->key.ptr,
                write->value.count == 8 ? (unsigned long long)sgn_get_uint(write->value.ptr, 8)
                                        : 0ULL);
    }
    uint32_t key = write->family == SGN_FAMILY_DATA ? ord_key_number(write->key) : UINT32_MAX;
    if (key == UINT32_MAX || write->is_delete || write->value.count < 8) {
        return;
    }
    const uint8_t *raw = write->value.ptr;
    struct ord_ballot_seen *seen =
        ord_white_record(world, key, sgn_bytes_of(raw + 8, write->value.count - 8));
    const struct sgn_line *line =
        ord_white_line(&world->white, ord_key_partition(world, key), version);
    if (seen != NULL && world->options.verbose > 1) {
        ord_log(world,
                "node %u holds key %u sequence %llu rev %llu, ballot %llu.%u.%u.%u",
                node + 1,
                key,
                (unsigned long long)sgn_get_uint(raw, 8),
                (unsigned long long)seen->version.rev,
                (unsigned long long)seen->ballot.hlc,
                seen->ballot.node,
                seen->ballot.incarnation,
                seen->ballot.step);
    }
    if (seen != NULL && line != NULL) {
        ord_white_votes(seen, line->epoch)->accepted |= UINT32_C(1) << node;
    }
}

/* --- before a client is told ------------------------------------------------------------------ */

uint32_t ord_white_seats(const struct sgn_line *line, uint32_t nodes)
{
    uint32_t seats = 0;
    for (uint32_t i = 0; i < line->seat_count; i++) {
        seats |= (nodes >> (line->seats[i].node - 1) & 1u) << i;
    }
    return seats;
}

static uint32_t bits(uint32_t mask)
{
    return (uint32_t)__builtin_popcount(mask);
}

/* 6.3, by what the processes are, not by what anyone believes of them. */
static bool fence_passed(const struct ord_world *world,
                         const struct sgn_fence *fence,
                         uint32_t epoch)
{
    uint32_t gone = 0;
    for (uint32_t i = 0; i < fence->group_count; i++) {
        uint32_t process = ord_process(world, fence->group[i].id);
        const struct ord_witness *witness = &world->fleet[process - ORD_NODES_MAX];
        struct sgn_witness_counts counts = {0};
        if (process != UINT32_MAX && witness->up && witness->boot == fence->group[i].incarnation) {
            sgn_witness_counts(witness->core, &counts);
        } else {
            counts.version = UINT32_MAX;
        }
        gone += counts.version >= epoch;
    }
    if (gone >= fence->group_count / 2 + 1) {
        return true;
    }
    for (uint32_t i = 0; i < fence->in_sync_count; i++) {
        if (ord_white_map_held(world, fence->in_sync[i] - 1) < epoch) {
            return false;
        }
    }
    return true;
}

enum { LACKS_ACCEPTS, LACKS_MARKS, LACKS_FENCE, LACKS_NOTHING };

static int lacks(const struct ord_world *world,
                 const struct sgn_line *line,
                 uint32_t accepted,
                 uint32_t marked)
{
    if (!sgn_line_quorum(line, ord_white_seats(line, accepted))) {
        return LACKS_ACCEPTS;
    }
    if (bits(marked) < sgn_line_group_quorum(line)) {
        return LACKS_MARKS;
    }
    for (uint32_t i = 0; i < line->fence_count; i++) {
        if (!fence_passed(world, &line->fences[i], line->epoch)) {
            return LACKS_FENCE;
        }
    }
    return LACKS_NOTHING;
}

/* Whether choosing the record makes the version a part of the chain: it is its own, or one that it
 * was built on (a round builds on what it finds accepted, chosen or not). */
static bool carries(const struct ord_ballot_seen *seen, const struct sgn_version *version)
{
    bool found = sgn_version_equal(&seen->version, version);
    for (uint32_t i = 0; i < seen->op_count && !found; i++) {
        found = sgn_version_equal(&seen->ops[i], version);
    }
    return seen->digest != 0 && found;
}

void ord_white_exposed(struct ord_world *world,
                       uint32_t node,
                       uint32_t key,
                       const struct sgn_version *version)
{
    const struct ord_fact *fact = ord_oracle_fact(&world->oracle, key, version);
    if (version->rev == 0 || (fact != NULL && fact->exposed)) {
        return; /* Looked at when it was exposed first. */
    }
    uint32_t partition = ord_key_partition(world, key);
    uint32_t own_epoch = sgn_engine_map(world->nodes[node].engine)->lines[partition].epoch;
    struct sgn_bytes own = {0};
    struct sgn_ballot held = {0};
    if (ord_white_held(world, node, key, &own)) {
        held = sgn_ordered_ballot(own);
    }
    int best = LACKS_ACCEPTS;
    for (uint32_t i = world->white.first_of_key[key]; i != 0;) {
        struct ord_ballot_seen *seen = &world->white.ballots[i - 1];
        i = seen->next_of_key;
        if (!carries(seen, version)) {
            continue;
        }
        for (uint32_t v = 0; v < seen->vote_count; v++) {
            const struct ord_votes *votes = &seen->votes[v];
            const struct sgn_line *line = ord_white_line(&world->white, partition, votes->epoch);
            bool own_vote =
                votes->epoch == own_epoch && sgn_ballot_compare(&held, &seen->ballot) == 0;
            ord_log(world,
                    "  ballot %llu.%u.%u.%u epoch %u: accepted %x, marked %x",
                    (unsigned long long)seen->ballot.hlc,
                    seen->ballot.node,
                    seen->ballot.incarnation,
                    seen->ballot.step,
                    votes->epoch,
                    votes->accepted | (own_vote ? UINT32_C(1) << node : 0),
                    votes->marked);
            int lack = line == NULL || line->epoch != votes->epoch
                           ? LACKS_ACCEPTS
                           : lacks(world,
                                   line,
                                   votes->accepted | (own_vote ? UINT32_C(1) << node : 0),
                                   votes->marked);
            best = lack > best ? lack : best;
        }
    }
    static const char *const rules[] = {"3.1.6: no majority of one epoch has accepted",
                                        "3.3: it is not marked at f+1 witnesses of the epoch of",
                                        "6.3: an earlier group is not fenced before"};
    if (best != LACKS_NOTHING) {
        ord_violation(&world->oracle,
                      "%s key %u rev %llu, and node %u tells a client of it",
                      rules[best],
                      key,
                      (unsigned long long)version->rev,
                      world->nodes[node].id);
    }
}
