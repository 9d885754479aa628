/* tests/sim/ord_said.c - what nodes and witnesses say, held against what is on their disks. */
#include "ring/core/check.h"
#include "ring/core/items.h"
#include "ring/core/witness_state.h"
#include "tests/sim/ord.h"

static uint32_t key_of(const struct sgn_msg *msg)
{
    uint8_t room[SGN_FULL_KEY_BYTES_MAX];
    struct sgn_sink full = sgn_sink_of(room, sizeof(room));
    sgn_full_key_encode(msg->bucket, msg->key, &full);
    return full.full ? UINT32_MAX : ord_key_number(sgn_sink_bytes(&full));
}

static uint32_t ask_set(uint32_t node, uint32_t from, uint32_t request)
{
    return (uint32_t)(sgn_mix64((uint64_t)request << 16 ^ node << 8 ^ from) % ORD_ASK_SETS);
}

/* What the answer is to; NULL: nothing that is remembered. */
static const struct ord_ask *ask_find(const struct ord_world *world,
                                      uint32_t node,
                                      uint32_t from,
                                      uint32_t request)
{
    const struct ord_ask *set = world->white.asks[ask_set(node, from, request)];
    for (uint32_t i = 0; i < ORD_ASK_WAYS; i++) {
        if (set[i].type != 0 && set[i].node == node && set[i].from == from &&
            set[i].request == request) {
            return set[i].key == UINT32_MAX ? NULL : &set[i];
        }
    }
    return NULL;
}

static void ask_keep(struct ord_world *world, const struct ord_ask *ask)
{
    uint32_t index = ask_set(ask->node, ask->from, ask->request);
    struct ord_ask *set = world->white.asks[index];
    for (uint32_t i = 0; i < ORD_ASK_WAYS; i++) { /* Numbers come again in another life. */
        if (set[i].node == ask->node && set[i].from == ask->from &&
            set[i].request == ask->request) {
            set[i].type = 0;
        }
    }
    set[world->white.ask_next[index]++ % ORD_ASK_WAYS] = *ask;
}

void ord_white_asked(struct ord_world *world,
                     uint32_t node,
                     uint32_t from,
                     const struct sgn_msg *msg)
{
    struct ord_ask ask = {.node = node,
                          .from = from,
                          .request = msg->request,
                          .epoch = msg->epoch,
                          .type = (uint8_t)msg->type,
                          .key = UINT32_MAX};
    struct sgn_cursor cursor = sgn_cursor_of(msg->context);
    switch ((int)msg->type) {
    case SGN_MSG_PREPARE: ask.ballot = sgn_ballot_take(&cursor); break;
    case SGN_MSG_ACCEPT: ask.ballot = sgn_ordered_ballot(msg->value); break;
    case SGN_MSG_PULL:
        if (msg->a < world->ring.partition_count) {
            const struct sgn_map *map = sgn_engine_map(world->nodes[node].engine);
            ask.own_epoch = map->lines[msg->a].epoch;
            ask.key = 0; /* Of no key: only the epochs matter. */
        }
        ask_keep(world, &ask);
        return;
    case SGN_MSG_DIGEST:
    case SGN_MSG_GET:
    case SGN_MSG_PUT:
    case SGN_MSG_DEL:
    case SGN_MSG_RESOLVE: break;
    default: ask_keep(world, &ask); return;
    }
    ask.key = key_of(msg);
    if (ask.key != UINT32_MAX) {
        uint32_t partition = ord_key_partition(world, ask.key);
        ask.own_epoch = sgn_engine_map(world->nodes[node].engine)->lines[partition].epoch;
    }
    ask_keep(world, &ask);
}

/* The record of that ballot's round before in its chain (3.2); NULL: none, so it is classic. Not by
 * its step: a batch takes one for each change after the first. */
static struct ord_ballot_seen *chained_on(struct ord_white *white,
                                          const struct ord_ballot_seen *seen)
{
    const struct sgn_ballot *b = &seen->ballot;
    struct ord_ballot_seen *base = NULL;
    for (uint32_t i = white->first_of_key[seen->key]; i != 0;) {
        struct ord_ballot_seen *other = &white->ballots[i - 1];
        i = other->next_of_key;
        if (other->digest != 0 && other->ballot.hlc == b->hlc && other->ballot.node == b->node &&
            other->ballot.incarnation == b->incarnation && other->ballot.step < b->step &&
            (base == NULL || other->ballot.step > base->ballot.step)) {
            base = other;
        }
    }
    return base;
}

/* 3.2: a node goes on from what is chosen, and a ballot is used once. */
static void chain_look(struct ord_world *world, uint32_t node, const struct ord_ballot_seen *base)
{
    bool chosen = false;
    for (uint32_t i = 0; i < base->vote_count && !chosen; i++) {
        const struct ord_votes *votes = &base->votes[i];
        const struct sgn_line *line =
            ord_white_line(&world->white, ord_key_partition(world, base->key), votes->epoch);
        chosen = line != NULL && sgn_line_quorum(line, ord_white_seats(line, votes->accepted));
    }
    if (!chosen) {
        ord_violation(&world->oracle,
                      "3.2: node %u chains key %u on rev %llu, which no majority has accepted",
                      world->nodes[node].id,
                      base->key,
                      (unsigned long long)base->version.rev);
    }
}

/* 3.1.3: a classic round proposes with the promises of a majority of the epoch it proposes in; its
 * own is not sent to anyone. A chained one stands on the ballot before it (3.2). */
static void said_propose(struct ord_world *world,
                         uint32_t node,
                         uint32_t key,
                         const struct sgn_msg *msg)
{
    struct ord_ballot_seen *seen = ord_white_record(world, key, msg->value);
    const struct sgn_line *line =
        ord_white_line(&world->white, ord_key_partition(world, key), msg->epoch);
    struct ord_ballot_seen *base = seen == NULL ? NULL : chained_on(&world->white, seen);
    if (base != NULL) {
        chain_look(world, node, base);
    }
    if (seen == NULL || base != NULL || line == NULL || line->epoch != msg->epoch) {
        return;
    }
    struct sgn_ballot promised = seen->ballot;
    promised.step = 0;
    seen = ord_white_ballot(world, key, &promised);
    uint32_t nodes = ord_white_votes(seen, msg->epoch)->promised | UINT32_C(1) << node;
    if (!sgn_line_quorum(line, ord_white_seats(line, nodes))) {
        ord_violation(
            &world->oracle,
            "3.1.3: node %u proposes for key %u without a majority's promises in epoch %u",
            world->nodes[node].id,
            key,
            msg->epoch);
    }
}

/* --- STATE ------------------------------------------------------------------------------------ */

static struct sgn_ballot held_ballot(const struct ord_world *world, uint32_t node, uint32_t key)
{
    struct sgn_bytes record = {0};
    return ord_white_held(world, node, key, &record) ? sgn_ordered_ballot(record)
                                                     : (struct sgn_ballot){0};
}

static void said_accepted(struct ord_world *world, uint32_t node, const struct ord_ask *ask)
{
    struct sgn_ballot held = held_ballot(world, node, ask->key);
    if (sgn_ballot_compare(&held, &ask->ballot) < 0 && !ord_white_rotten(world, node, ask->key)) {
        ord_violation(&world->oracle,
                      "3.1.5: node %u says it accepted key %u, ballot %llu.%u.%u.%u, and its disk "
                      "does not hold it",
                      world->nodes[node].id,
                      ask->key,
                      (unsigned long long)ask->ballot.hlc,
                      ask->ballot.node,
                      ask->ballot.incarnation,
                      ask->ballot.step);
    }
    /* Unless it had accepted before it promised, told so with the promise, and is durable now. */
    struct ord_promise *promise = &world->white.promised[node][ask->key];
    if (sgn_ballot_compare(&ask->ballot, &promise->ballot) >= 0) {
        promise->ballot = promise->accepted = ask->ballot;
    } else if (sgn_ballot_compare(&ask->ballot, &promise->accepted) > 0) {
        ord_violation(&world->oracle,
                      "3.1.5, 3.4: node %u accepts for key %u below what it promised",
                      world->nodes[node].id,
                      ask->key);
    }
    struct ord_ballot_seen *seen = ord_white_ballot(world, ask->key, &ask->ballot);
    ord_white_votes(seen, ask->epoch)->accepted |= UINT32_C(1) << node;
}

static void said_promised(struct ord_world *world,
                          uint32_t node,
                          const struct ord_ask *ask,
                          const struct sgn_ballot *accepted)
{
    struct ord_promise *promise = &world->white.promised[node][ask->key];
    if (sgn_ballot_compare(accepted, &ask->ballot) >= 0) {
        ord_violation(&world->oracle,
                      "3.1.2, 3.6: node %u promises key %u below what it accepted",
                      world->nodes[node].id,
                      ask->key);
    }
    struct ord_ballot_seen *seen = ord_white_ballot(world, ask->key, &ask->ballot);
    ord_white_votes(seen, ask->epoch)->promised |= UINT32_C(1) << node;
    if (sgn_ballot_compare(&ask->ballot, &promise->ballot) > 0) {
        *promise = (struct ord_promise){.ballot = ask->ballot, .accepted = *accepted};
    }
}

static void said_state(struct ord_world *world,
                       uint32_t node,
                       uint32_t to,
                       const struct sgn_msg *msg)
{
    if (msg->a > ord_white_map_held(world, node)) {
        ord_violation(&world->oracle,
                      "6: node %u speaks in map %llu before it is on its disk",
                      world->nodes[node].id,
                      (unsigned long long)msg->a);
    }
    const struct ord_ask *ask = ask_find(world, node, to, msg->request);
    if (msg->err != SGN_OK || ask == NULL) {
        return;
    }
    struct sgn_cursor cursor = sgn_cursor_of(msg->context);
    struct sgn_ballot first = sgn_ballot_take(&cursor); /* A digest: what is durable. */
    struct sgn_ballot accepted = sgn_ballot_take(&cursor);
    if (ask->epoch < ask->own_epoch) {
        ord_violation(&world->oracle,
                      "6: node %u votes for key %u in epoch %u, and was in %u before it was asked",
                      world->nodes[node].id,
                      ask->key,
                      ask->epoch,
                      ask->own_epoch);
    }
    if (ask->type == SGN_MSG_ACCEPT) {
        said_accepted(world, node, ask);
    } else if (ask->type == SGN_MSG_PREPARE) {
        said_promised(world, node, ask, &accepted);
    } else if (ask->type == SGN_MSG_DIGEST && !sgn_ballot_is_zero(&first)) {
        struct ord_ballot_seen *seen = ord_white_ballot(world, ask->key, &first);
        ord_white_votes(seen, ask->epoch)->accepted |= UINT32_C(1) << node;
    }
}

/* --- settled ---------------------------------------------------------------------------------- */

/* Whether the seat's node holds the key at or above the ballot, or is beyond that epoch. */
static bool seat_has(struct ord_world *world,
                     uint32_t node,
                     uint32_t key,
                     const struct sgn_ballot *ballot,
                     uint32_t epoch)
{
    struct sgn_ballot held = held_ballot(world, node, key);
    const struct sgn_line *now = ord_white_line(
        &world->white, ord_key_partition(world, key), ord_white_map_held(world, node));
    if (sgn_ballot_is_zero(&held)) { /* 3.7: a tombstone that it has dropped? */
        const struct ord_ballot_seen *seen = ord_white_ballot(world, key, ballot);
        if (seen->version.rev == 0 || ord_oracle_may_be_gone(&world->oracle, key, &seen->version)) {
            return true;
        }
    }
    return sgn_ballot_compare(&held, ballot) >= 0 || ord_white_rotten(world, node, key) ||
           ord_disk_is_lost(world, node) || (now != NULL && now->epoch > epoch);
}

/* 3.1.7: every in_sync and catching_up seat of the epoch. */
static void said_settled(struct ord_world *world,
                         uint32_t node,
                         uint32_t key,
                         const struct sgn_ballot *ballot,
                         uint32_t epoch)
{
    const struct sgn_line *line =
        ord_white_line(&world->white, ord_key_partition(world, key), epoch);
    if (line == NULL || line->epoch != epoch) {
        return;
    }
    for (uint32_t i = 0; i < line->seat_count; i++) {
        if (line->seats[i].state != SGN_SEAT_OUT &&
            !seat_has(world, line->seats[i].node - 1, key, ballot, epoch)) {
            ord_violation(&world->oracle,
                          "3.1.7: node %u settles key %u in epoch %u, and node %u does not hold it",
                          world->nodes[node].id,
                          key,
                          epoch,
                          line->seats[i].node);
        }
    }
}

static void said_commits(struct ord_world *world, uint32_t node, const struct sgn_msg *msg)
{
    struct sgn_cursor cursor = sgn_cursor_of(msg->items);
    struct sgn_bytes full;
    struct sgn_bytes value;
    while (sgn_items_next(&cursor, &full, &value)) {
        struct sgn_cursor inner = sgn_cursor_of(value);
        struct sgn_ballot ballot = sgn_ballot_take(&inner);
        bool settled = sgn_cursor_uint(&inner, 1) != 0;
        uint32_t epoch = (uint32_t)sgn_cursor_uint(&inner, 4);
        uint32_t key = ord_key_number(full);
        if (settled && !inner.bad && key != UINT32_MAX) {
            said_settled(world, node, key, &ballot, epoch);
        }
    }
}

static void said_asks(struct ord_world *world, uint32_t node, const struct sgn_msg *msg)
{
    struct sgn_cursor cursor = sgn_cursor_of(msg->items);
    struct sgn_witness_ask ask;
    while (cursor.left > 0 && sgn_witness_ask_take(&cursor, &ask)) {
        uint32_t key = ord_white_key_of_hash(world, &ask.key);
        if (ask.what == SGN_WITNESS_SETTLE && key != UINT32_MAX) {
            said_settled(world, node, key, &ask.ballot, ask.epoch);
        }
    }
}

/* 2, 4.1: what a replica leaves out of its set is on every in_sync seat of the epoch. */
static void said_seed(struct ord_world *world,
                      uint32_t node,
                      uint32_t partition,
                      uint32_t epoch,
                      struct sgn_bytes marks)
{
    const struct sgn_line *line = ord_white_line(&world->white, partition, epoch);
    int own = line == NULL ? -1 : sgn_line_seat(line, world->nodes[node].id);
    if (own < 0 || sgn_line_newcomer(line, own)) {
        return; /* What a newcomer says is no part of what the old set has to tell (6.2). */
    }
    for (uint32_t key = 0; key < world->options.keys; key++) {
        struct sgn_ballot held = held_ballot(world, node, key);
        if (ord_key_partition(world, key) != partition || sgn_ballot_is_zero(&held) ||
            line->epoch != epoch) {
            continue;
        }
        bool told = false;
        struct sgn_cursor cursor = sgn_cursor_of(marks);
        while (cursor.left > 0 && !cursor.bad) {
            struct sgn_key_hash hash = {.hash = sgn_cursor_uint(&cursor, 8)};
            hash.keyed = sgn_cursor_uint(&cursor, 8);
            struct sgn_ballot mark = sgn_ballot_take(&cursor);
            told |=
                ord_white_key_of_hash(world, &hash) == key && sgn_ballot_compare(&mark, &held) >= 0;
        }
        for (uint32_t i = 0; i < line->seat_count && !told; i++) {
            if (line->seats[i].state == SGN_SEAT_IN_SYNC &&
                !seat_has(world, line->seats[i].node - 1, key, &held, epoch)) {
                ord_violation(&world->oracle,
                              "2, 4.1: node %u leaves key %u out of its seed of epoch %u, and "
                              "node %u, in_sync, does not hold it",
                              world->nodes[node].id,
                              key,
                              epoch,
                              line->seats[i].node);
            }
        }
    }
}

static void said_seeds(struct ord_world *world, uint32_t node, const struct sgn_msg *msg)
{
    struct sgn_cursor cursor = sgn_cursor_of(msg->items);
    struct sgn_bytes head;
    struct sgn_bytes marks;
    while ((msg->flags & SGN_SEED_TOO_MANY) == 0 && sgn_items_next(&cursor, &head, &marks)) {
        if (head.count == 8) {
            const uint8_t *raw = head.ptr;
            uint32_t partition = (uint32_t)sgn_get_uint(raw, 4);
            if (partition < world->ring.partition_count) {
                said_seed(world, node, partition, (uint32_t)sgn_get_uint(raw + 4, 4), marks);
            }
        }
    }
}

/* 6.1: who catches up is told by peers inside its epoch. */
static void said_page(struct ord_world *world,
                      uint32_t node,
                      uint32_t to,
                      const struct sgn_msg *msg)
{
    const struct ord_ask *ask = ask_find(world, node, to, msg->request);
    if (ask != NULL && ask->type == SGN_MSG_PULL && msg->err == SGN_OK &&
        ask->own_epoch < ask->epoch) {
        ord_violation(&world->oracle,
                      "6.1: node %u tells of epoch %u to one that catches up in %u",
                      world->nodes[node].id,
                      ask->own_epoch,
                      ask->epoch);
    }
}

/* --- all -------------------------------------------------------------------------------------- */

/* A RESULT that one node gives another on behalf of a client. */
static void said_result(struct ord_world *world,
                        uint32_t node,
                        uint32_t to,
                        const struct sgn_msg *msg)
{
    const struct ord_ask *ask = ask_find(world, node, to, msg->request);
    struct sgn_version version;
    if (ask != NULL && msg->context.count == SGN_VERSION_BYTES &&
        sgn_version_take(msg->context, &version) == SGN_OK) {
        ord_white_exposed(world, node, ask->key, &version);
    }
}

void ord_white_sent(struct ord_world *world, uint32_t node, uint32_t to, const struct sgn_msg *msg)
{
    uint32_t key = UINT32_MAX;
    switch ((int)msg->type) {
    case SGN_MSG_ACCEPT:
        key = key_of(msg);
        if (key != UINT32_MAX) {
            said_propose(world, node, key, msg);
        }
        break;
    case SGN_MSG_HEARTBEAT:
        if (msg->n > ord_white_map_held(world, node)) {
            ord_violation(&world->oracle,
                          "6: node %u tells of map %u before it is on its disk",
                          world->nodes[node].id,
                          msg->n);
        }
        break;
    case SGN_MSG_STATE: said_state(world, node, to, msg); break;
    case SGN_MSG_COMMITS: said_commits(world, node, msg); break;
    case SGN_MSG_WITNESS: said_asks(world, node, msg); break;
    case SGN_MSG_SEED: said_seeds(world, node, msg); break;
    case SGN_MSG_PULL_PAGE: said_page(world, node, to, msg); break;
    case SGN_MSG_RESULT: said_result(world, node, to, msg); break;
    default: break;
    }
}

/* --- witnesses -------------------------------------------------------------------------------- */

static bool find_ask(struct sgn_bytes items,
                     uint32_t tag,
                     uint8_t what,
                     struct sgn_witness_ask *ask)
{
    struct sgn_cursor cursor = sgn_cursor_of(items);
    while (cursor.left > 0 && sgn_witness_ask_take(&cursor, ask)) {
        if (ask->tag == tag && ask->what == what) {
            return true;
        }
    }
    return false;
}

static void told_mark(struct ord_world *world, uint32_t slot, const struct sgn_witness_ask *ask)
{
    const struct ord_witness *witness = &world->fleet[slot];
    const struct sgn_line *line = ord_white_line(&world->white, ask->partition, ask->epoch);
    uint32_t key = ord_white_key_of_hash(world, &ask->key);
    int member = line == NULL ? -1 : sgn_line_group_index(line, witness->id);
    if (key != UINT32_MAX && member >= 0 && line->epoch == ask->epoch &&
        line->group[member].incarnation == witness->boot) {
        struct ord_ballot_seen *seen = ord_white_ballot(world, key, &ask->ballot);
        ord_white_votes(seen, ask->epoch)->marked |= UINT32_C(1) << slot;
    }
}

void ord_white_told(struct ord_world *world,
                    uint32_t slot,
                    const struct sgn_msg *request,
                    const struct sgn_msg *answer)
{
    const struct ord_witness *witness = &world->fleet[slot];
    struct sgn_cursor cursor = sgn_cursor_of(answer->items);
    struct sgn_witness_tell tell;
    while (cursor.left > 0 && sgn_witness_tell_take(&cursor, &tell)) {
        struct sgn_witness_ask ask;
        if (tell.status != SGN_WITNESS_OK || !find_ask(request->items, tell.tag, tell.what, &ask)) {
            continue;
        }
        if (tell.what == SGN_WITNESS_MARK) {
            told_mark(world, slot, &ask);
        } else if (witness->core->parts[ask.partition].epoch != ask.epoch) {
            ord_violation(&world->oracle,
                          "4: witness %u answers for epoch %u of partition %u and is in %u",
                          slot,
                          ask.epoch,
                          ask.partition,
                          witness->core->parts[ask.partition].epoch);
        }
    }
}
