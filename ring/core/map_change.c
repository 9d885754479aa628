/* ring/core/map_change.c - edits of the next map: what the rules of protocol.md 6 allow, and the
 * epoch and the fence that each change of a line costs. */
#include "ring/core/check.h"
#include "ring/core/map_inner.h"

void sgn_map_begin(struct sgn_map *next, const struct sgn_map *committed)
{
    SGN_ASSERT(committed->version < UINT32_MAX);
    sgn_map_copy(next, committed);
    next->version++;
}

static struct sgn_line *line_of(struct sgn_map *next, uint32_t partition)
{
    return partition < next->partition_count ? &next->lines[partition] : NULL;
}

/* A full list of fences must drain first: none may be forgotten. */
bool sgn_line_can_open(const struct sgn_map *next, const struct sgn_line *line)
{
    return line->epoch == next->version || line->group_count == 0 ||
           line->fence_count < SGN_FENCES_MAX;
}

/* The line gets its new epoch, and the one it leaves its fence (6.3), with the lists of that epoch:
 * to be called before anything else of the line changes. A second change of the line in one version
 * is the same new epoch. */
void sgn_line_open(struct sgn_map *next, struct sgn_line *line)
{
    SGN_ASSERT(sgn_line_can_open(next, line));
    if (line->epoch == next->version) {
        return;
    }
    SGN_ASSERT(line->epoch < next->version);
    if (line->group_count > 0) {
        struct sgn_fence *fence = &line->fences[line->fence_count++];
        memset(fence, 0, sizeof(*fence));
        fence->epoch = line->epoch;
        fence->group_count = line->group_count;
        memcpy(fence->group, line->group, sizeof(line->group));
        for (uint32_t i = 0; i < line->seat_count; i++) {
            if (line->seats[i].state == SGN_SEAT_IN_SYNC) {
                fence->in_sync[fence->in_sync_count++] = line->seats[i].node;
            }
        }
    }
    line->epoch = next->version;
}

/* Members of one set, and how many of them are in a state. */
static uint32_t set_count(const struct sgn_line *line, uint8_t set)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < line->seat_count; i++) {
        count += (line->seats[i].sets & set) != 0 ? 1 : 0;
    }
    return count;
}

static uint32_t set_in_sync(const struct sgn_line *line, uint8_t set)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < line->seat_count; i++) {
        const struct sgn_seat *seat = &line->seats[i];
        count += (seat->sets & set) != 0 && seat->state == SGN_SEAT_IN_SYNC ? 1 : 0;
    }
    return count;
}

static uint32_t majority(uint32_t count)
{
    return count / 2 + 1;
}

/* 6: no epoch merely to mark replicas out when fewer than a majority are left. A set that has no
 * in_sync majority yet, as the new one of a move, has none to lose; its dead must not block settles
 * for ever (L5). */
static bool may_go_out(const struct sgn_line *line, const struct sgn_seat *seat)
{
    static const uint8_t sets[2] = {SGN_SET_NEW, SGN_SET_OLD | SGN_SET_LOST};
    if (seat->state != SGN_SEAT_IN_SYNC) {
        return true;
    }
    if (set_in_sync(line, SGN_SET_NEW | SGN_SET_OLD) == 1) {
        return false; /* Nobody would be left to serve. */
    }
    for (uint32_t i = 0; i < 2; i++) {
        if ((seat->sets & sets[i]) != 0 &&
            set_in_sync(line, sets[i]) == majority(set_count(line, sets[i]))) {
            return false;
        }
    }
    return true;
}

bool sgn_map_seat_state(struct sgn_map *next,
                        uint32_t partition,
                        uint32_t node,
                        enum sgn_seat_state state)
{
    struct sgn_line *line = line_of(next, partition);
    int place = line == NULL ? -1 : sgn_line_seat(line, node);
    if (place < 0 || !sgn_line_can_open(next, line)) {
        return false;
    }
    struct sgn_seat *seat = &line->seats[place];
    bool allowed = false;
    switch (state) {
    case SGN_SEAT_IN_SYNC:
        /* A seat listed as catching_up in this very version cannot have caught up inside it. */
        allowed = seat->state == SGN_SEAT_CATCHING_UP && seat->since < next->version;
        break;
    case SGN_SEAT_CATCHING_UP: /* Who leaves and is lost has nothing to come back to. */
        allowed = seat->state == SGN_SEAT_OUT && seat->sets != SGN_SET_LOST;
        break;
    case SGN_SEAT_OUT: allowed = seat->state != SGN_SEAT_OUT && may_go_out(line, seat); break;
    }
    if (!allowed) {
        return false;
    }
    sgn_line_open(next, line);
    seat->state = (uint8_t)state;
    seat->since = next->version;
    seat->caught = line->joint && state == SGN_SEAT_IN_SYNC ? 1 : 0;
    return true;
}

bool sgn_map_relist(struct sgn_map *next, uint32_t partition)
{
    struct sgn_line *line = line_of(next, partition);
    if (line == NULL || !sgn_line_can_open(next, line)) {
        return false;
    }
    sgn_line_open(next, line);
    return true;
}

static const struct sgn_witness_member *witness_find(const struct sgn_map *map, uint32_t id)
{
    for (uint32_t i = 0; i < map->witness_count; i++) {
        if (map->witnesses[i].id == id) {
            return &map->witnesses[i];
        }
    }
    return NULL;
}

static bool group_valid(const struct sgn_map *map,
                        const struct sgn_group_member *group,
                        uint32_t count)
{
    if (count > SGN_GROUP_MAX || (count > 0 && count % 2 == 0)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct sgn_witness_member *witness = witness_find(map, group[i].id);
        if (witness == NULL || witness->leaving || group[i].incarnation == 0) {
            return false;
        }
        for (uint32_t k = 0; k < i; k++) {
            if (group[k].id == group[i].id) {
                return false;
            }
        }
    }
    return true;
}

static bool group_same(const struct sgn_line *line,
                       const struct sgn_group_member *group,
                       uint32_t count)
{
    bool same = line->group_count == count;
    for (uint32_t i = 0; same && i < count; i++) {
        same =
            line->group[i].id == group[i].id && line->group[i].incarnation == group[i].incarnation;
    }
    return same;
}

bool sgn_map_set_group(struct sgn_map *next,
                       uint32_t partition,
                       const struct sgn_group_member *group,
                       uint32_t count)
{
    struct sgn_line *line = line_of(next, partition);
    struct sgn_group_member sorted[SGN_GROUP_MAX] = {{.id = 0}};
    if (line == NULL || !sgn_line_can_open(next, line) || !group_valid(next, group, count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) { /* By id: the same group is the same bytes. */
        uint32_t at = i;
        for (; at > 0 && sorted[at - 1].id > group[i].id; at--) {
            sorted[at] = sorted[at - 1];
        }
        sorted[at] = group[i];
    }
    if (group_same(line, sorted, count)) {
        return false;
    }
    sgn_line_open(next, line);
    line->group_count = count;
    memcpy(line->group, sorted, sizeof(sorted));
    return true;
}

static bool set_valid(const struct sgn_line *line, const uint32_t *nodes, uint32_t count)
{
    if (count == 0 || count > SGN_REPLICAS_MAX) {
        return false;
    }
    uint32_t staying = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (nodes[i] == 0 || nodes[i] >= SGN_WITNESS_BIT) {
            return false;
        }
        for (uint32_t k = 0; k < i; k++) {
            if (nodes[k] == nodes[i]) {
                return false;
            }
        }
        staying += sgn_line_seat(line, nodes[i]) >= 0 ? 1 : 0;
    }
    return staying < count || count != line->seat_count; /* Else it is the set that is there. */
}

/* 6.2 and protocol-check C15. A chosen record is held by a majority of the old set; `caught`
 * members of the new one have obtained it since (newcomers, and who stays and caught up). Of the
 * others, all of whom stay, at least this many hold it too: the majority less the old members
 * beside them. It is carried over if a majority of the new set holds it. */
static bool carried_over(uint32_t old_count, uint32_t new_count, uint32_t caught)
{
    uint32_t others = new_count - caught;
    SGN_ASSERT(others <= old_count);
    uint32_t beside = old_count - others;
    uint32_t holding = majority(old_count) > beside ? majority(old_count) - beside : 0;
    return caught + holding >= majority(new_count);
}

/* Those that stay and must catch up for the set to shrink: from the end of the order, so that the
 * first one goes on serving. Who is catching up already begins anew and counts. False when too few
 * of them are up, or nobody would be in_sync. */
static bool demote(struct sgn_line *line, uint32_t wanted, uint32_t version)
{
    uint32_t chosen = 0;
    for (uint32_t i = 0; i < line->seat_count; i++) {
        const struct sgn_seat *seat = &line->seats[i];
        chosen += seat->state == SGN_SEAT_CATCHING_UP && (seat->sets & SGN_SET_NEW) != 0 &&
                          (seat->sets & SGN_SET_OLD) != 0
                      ? 1
                      : 0;
    }
    for (uint32_t i = line->seat_count; i > 0 && chosen < wanted; i--) {
        struct sgn_seat *seat = &line->seats[i - 1];
        if (seat->state == SGN_SEAT_IN_SYNC && (seat->sets & SGN_SET_NEW) != 0) {
            seat->state = SGN_SEAT_CATCHING_UP;
            seat->since = version;
            chosen++;
        }
    }
    return chosen >= wanted && sgn_line_in_sync(line) != 0;
}

/* The seats of the joint epoch: the new set in its order, then who leaves. */
static bool joint_seats(struct sgn_line *joint,
                        const struct sgn_line *line,
                        const uint32_t *nodes,
                        uint32_t count,
                        uint32_t version)
{
    uint32_t newcomers = 0;
    joint->seat_count = 0;
    joint->joint = true;
    memset(joint->seats, 0, sizeof(joint->seats));
    for (uint32_t i = 0; i < count; i++) {
        int place = sgn_line_seat(line, nodes[i]);
        struct sgn_seat *seat = &joint->seats[joint->seat_count++];
        *seat = (struct sgn_seat){
            .node = nodes[i], .state = SGN_SEAT_CATCHING_UP, .sets = SGN_SET_NEW, .since = version};
        if (place < 0) {
            newcomers++;
            continue;
        }
        seat->sets = SGN_SET_NEW | SGN_SET_OLD;
        seat->state = line->seats[place].state;
        if (seat->state != SGN_SEAT_CATCHING_UP) {
            seat->since = line->seats[place].since;
        } /* Else it begins anew: to count in 6.2 its peers must answer from the joint epoch. */
    }
    for (uint32_t i = 0; i < line->seat_count; i++) {
        if (sgn_line_seat(joint, line->seats[i].node) < 0) {
            struct sgn_seat *seat = &joint->seats[joint->seat_count++];
            *seat = line->seats[i];
            seat->sets = SGN_SET_OLD;
        }
    }
    return carried_over(line->seat_count, count, newcomers) ||
           demote(joint, majority(count) - newcomers, version);
}

bool sgn_map_move_begin(struct sgn_map *next,
                        uint32_t partition,
                        const uint32_t *nodes,
                        uint32_t count)
{
    struct sgn_line *line = line_of(next, partition);
    if (line == NULL || line->joint || !sgn_line_can_open(next, line) ||
        !set_valid(line, nodes, count)) {
        return false;
    }
    struct sgn_line joint = *line;
    if (!joint_seats(&joint, line, nodes, count, next->version)) {
        return false;
    }
    sgn_line_open(next, line); /* With the seats of the epoch that ends: they go into its fence. */
    line->joint = true;
    line->seat_count = joint.seat_count;
    memcpy(line->seats, joint.seats, sizeof(joint.seats));
    return true;
}

/* Whether the new set may stand alone (6.2): a majority of it in_sync, all newcomers among them,
 * and enough of it caught up inside the move. */
static bool move_may_end(const struct sgn_line *line)
{
    uint32_t new_count = set_count(line, SGN_SET_NEW);
    uint32_t caught = 0;
    for (uint32_t i = 0; i < line->seat_count; i++) {
        const struct sgn_seat *seat = &line->seats[i];
        if (sgn_line_newcomer(line, (int)i) &&
            (seat->state != SGN_SEAT_IN_SYNC || seat->caught == 0)) {
            return false;
        }
        caught += (seat->sets & SGN_SET_NEW) != 0 && seat->caught != 0 ? 1 : 0;
    }
    return set_in_sync(line, SGN_SET_NEW) >= majority(new_count) &&
           carried_over(set_count(line, SGN_SET_OLD | SGN_SET_LOST), new_count, caught);
}

bool sgn_map_move_end(struct sgn_map *next, uint32_t partition)
{
    struct sgn_line *line = line_of(next, partition);
    if (line == NULL || !line->joint || !sgn_line_can_open(next, line) || !move_may_end(line)) {
        return false;
    }
    sgn_line_open(next, line);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < line->seat_count; i++) {
        struct sgn_seat seat = line->seats[i];
        if ((seat.sets & SGN_SET_NEW) != 0) {
            seat.sets = SGN_SET_NEW;
            seat.caught = 0;
            line->seats[kept++] = seat;
        }
    }
    memset(&line->seats[kept], 0, (SGN_SEATS_MAX - kept) * sizeof(line->seats[0]));
    line->seat_count = kept;
    line->joint = false;
    return true;
}

static bool listed(const struct sgn_group_member *group, uint32_t count, uint32_t id)
{
    for (uint32_t i = 0; i < count; i++) {
        if (group[i].id == id) {
            return true;
        }
    }
    return false;
}

static bool witness_in_use(const struct sgn_map *map, uint32_t id)
{
    for (uint32_t p = 0; p < map->partition_count; p++) {
        const struct sgn_line *line = &map->lines[p];
        if (listed(line->group, line->group_count, id)) {
            return true;
        }
        for (uint32_t i = 0; i < line->fence_count; i++) {
            if (listed(line->fences[i].group, line->fences[i].group_count, id)) {
                return true;
            }
        }
    }
    return false;
}

void sgn_line_keep_fences(struct sgn_line *line, uint32_t kept)
{
    memset(&line->fences[kept], 0, (SGN_FENCES_MAX - kept) * sizeof(line->fences[0]));
    line->fence_count = kept;
}

void sgn_map_prune(struct sgn_map *next, const struct sgn_known *known, uint32_t known_count)
{
    for (uint32_t p = 0; p < next->partition_count; p++) {
        struct sgn_line *line = &next->lines[p];
        uint32_t kept = 0;
        for (uint32_t i = 0; i < line->fence_count; i++) {
            if (!sgn_fence_passed(line, &line->fences[i], known, known_count)) {
                line->fences[kept++] = line->fences[i];
            }
        }
        sgn_line_keep_fences(line, kept);
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < next->witness_count; i++) {
        if (!next->witnesses[i].leaving || witness_in_use(next, next->witnesses[i].id)) {
            next->witnesses[kept++] = next->witnesses[i];
        }
    }
    next->witness_count = kept;
}

bool sgn_map_set_floor(struct sgn_map *next, uint32_t partition, uint64_t floor, uint64_t stamp)
{
    struct sgn_line *line = line_of(next, partition);
    if (line == NULL || line->joint || sgn_line_in_sync(line) != sgn_line_all(line) ||
        floor <= line->floor || stamp < line->floor_stamp) {
        return false;
    }
    line->floor = floor;
    line->floor_stamp = stamp;
    return true;
}

bool sgn_map_force(struct sgn_map *next, uint32_t partition)
{
    struct sgn_line *line = line_of(next, partition);
    if (line == NULL || line->fence_count == 0) {
        return false;
    }
    sgn_line_keep_fences(line, 0);
    return true;
}
