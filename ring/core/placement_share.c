#include "ring/core/placement_share.h"

#include "ring/core/check.h"

/* What is not yet pinned or capped: so many slots over so much weight. */
struct pool {
    uint64_t slots;
    uint64_t weight;
};

uint32_t sgn_ring_weight_sum(const struct sgn_ring *ring)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < ring->member_count; i++) {
        sum += ring->members[i].weight;
    }
    return sum;
}

/* Zones get indexes in the order of their lowest member. */
static void zones_collect(struct sgn_shares *shares, const struct sgn_ring *ring)
{
    uint8_t index_of[SGN_ZONES_MAX];
    memset(index_of, UINT8_MAX, sizeof(index_of));
    shares->zone_count = 0;
    for (uint32_t i = 0; i < ring->member_count; i++) {
        uint32_t name = ring->members[i].zone;
        SGN_ASSERT(name < SGN_ZONES_MAX);
        if (index_of[name] == UINT8_MAX) {
            index_of[name] = (uint8_t)shares->zone_count;
            shares->zones[shares->zone_count++] = (struct sgn_zone_share){.weight = 0};
        }
        shares->zone[i] = index_of[name];
        shares->capped[i] = 0;
        shares->zones[index_of[name]].weight += ring->members[i].weight;
    }
}

static void zone_pin(struct sgn_zone_share *zone, uint32_t partition_count)
{
    zone->pinned = true;
    zone->capped = 0;
    zone->slots = partition_count;
    zone->over = zone->weight;
    zone->total = partition_count;
}

/* At least N zones: none may hold more than Q. All that ask for more at one level are pinned
 * together; that raises what the others get, so more may follow. */
static struct pool zones_cap(struct sgn_shares *shares, const struct sgn_ring *ring)
{
    struct pool pool = {(uint64_t)ring->partition_count * ring->replica_count,
                        sgn_ring_weight_sum(ring)};
    for (bool again = true; again;) {
        struct pool level = pool;
        again = false;
        for (uint32_t z = 0; z < shares->zone_count; z++) {
            struct sgn_zone_share *zone = &shares->zones[z];
            if (!zone->pinned &&
                level.slots * zone->weight > ring->partition_count * level.weight) {
                zone_pin(zone, ring->partition_count);
                pool.slots -= ring->partition_count;
                pool.weight -= zone->weight;
                again = true;
            }
        }
    }
    return pool;
}

/* Caps members of the zones not pinned at Q slots each; gives what is left for the others. */
static struct pool members_cap(struct sgn_shares *shares, const struct sgn_ring *ring)
{
    struct pool pool = {(uint64_t)ring->partition_count * ring->replica_count,
                        sgn_ring_weight_sum(ring)};
    for (uint32_t z = 0; z < shares->zone_count; z++) {
        shares->zones[z].capped = 0;
        if (shares->zones[z].pinned) {
            pool.slots -= ring->partition_count;
            pool.weight -= shares->zones[z].weight;
        }
    }
    memset(shares->capped, 0, ring->member_count);
    for (bool again = true; again;) {
        struct pool level = pool;
        again = false;
        for (uint32_t i = 0; i < ring->member_count; i++) {
            struct sgn_zone_share *zone = &shares->zones[shares->zone[i]];
            uint32_t weight = ring->members[i].weight;
            if (!zone->pinned && !shares->capped[i] &&
                level.slots * weight > ring->partition_count * level.weight) {
                shares->capped[i] = 1;
                zone->capped++;
                pool.slots -= ring->partition_count;
                pool.weight -= weight;
                again = true;
            }
        }
    }
    return pool;
}

static uint64_t zone_free_weight(const struct sgn_shares *shares,
                                 const struct sgn_ring *ring,
                                 uint32_t zone)
{
    uint64_t weight = 0;
    for (uint32_t i = 0; i < ring->member_count; i++) {
        if (shares->zone[i] == zone && !shares->capped[i]) {
            weight += ring->members[i].weight;
        }
    }
    return weight;
}

/* Fewer than N zones: every row needs each of them, so none may hold less than Q. Pinning one takes
 * from the others; those below the floor before stay below it, so the loop only ever adds. */
static struct pool zones_floor(struct sgn_shares *shares, const struct sgn_ring *ring)
{
    struct pool pool = members_cap(shares, ring);
    for (bool again = shares->zone_count > 1; again;) {
        again = false;
        for (uint32_t z = 0; z < shares->zone_count; z++) {
            struct sgn_zone_share *zone = &shares->zones[z];
            if (!zone->pinned && zone->capped == 0 &&
                pool.slots * zone->weight < ring->partition_count * pool.weight) {
                zone_pin(zone, ring->partition_count);
                again = true;
            }
        }
        if (again) {
            pool = members_cap(shares, ring);
        }
    }
    return pool;
}

/* Index of the largest of left[] among the members of a zone (any: UINT32_MAX), or none. */
static uint32_t largest_left(const struct sgn_shares *shares, uint32_t member_count, uint32_t zone)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < member_count; i++) {
        if (shares->zone[i] == zone && shares->left[i] > 0 &&
            (best == UINT32_MAX || shares->left[i] > shares->left[best])) {
            best = i;
        }
    }
    return best;
}

/* Whole slots for the zones not pinned, by largest remainder: each within one of its fraction, and
 * so on the same side of Q. */
static void zones_round(struct sgn_shares *shares, const struct sgn_ring *ring, struct pool pool)
{
    uint64_t left[SGN_ZONES_MAX] = {0};
    uint64_t given = 0;
    SGN_ASSERT(pool.weight > 0 || pool.slots == 0);
    for (uint32_t z = 0; z < shares->zone_count; z++) {
        struct sgn_zone_share *zone = &shares->zones[z];
        if (zone->pinned) {
            continue;
        }
        zone->slots = (uint32_t)pool.slots;
        zone->over = pool.weight > 0 ? (uint32_t)pool.weight : 1;
        uint64_t part = pool.slots * zone_free_weight(shares, ring, z);
        zone->total = zone->capped * ring->partition_count + (uint32_t)(part / zone->over);
        left[z] = part % zone->over;
        given += part / zone->over;
    }
    for (; given < pool.slots; given++) {
        uint32_t best = 0;
        for (uint32_t z = 1; z < shares->zone_count; z++) {
            best = left[z] > left[best] ? z : best;
        }
        SGN_ASSERT(left[best] > 0);
        left[best] = 0;
        shares->zones[best].total++;
    }
}

/* Whole slots for the members of one zone, which add up to its total. */
static void members_round(struct sgn_shares *shares, const struct sgn_ring *ring, uint32_t z)
{
    const struct sgn_zone_share *zone = &shares->zones[z];
    uint32_t given = 0;
    for (uint32_t i = 0; i < ring->member_count; i++) {
        if (shares->zone[i] != z) {
            continue;
        }
        uint64_t part = (uint64_t)zone->slots * ring->members[i].weight;
        bool capped = shares->capped[i] != 0;
        shares->target[i] = capped ? ring->partition_count : (uint32_t)(part / zone->over);
        shares->left[i] = capped ? 0 : part % zone->over;
        given += shares->target[i];
    }
    for (; given < zone->total; given++) {
        uint32_t best = largest_left(shares, ring->member_count, z);
        SGN_ASSERT(best != UINT32_MAX);
        shares->left[best] = 0;
        shares->target[best]++;
    }
    SGN_ASSERT(given == zone->total);
}

void sgn_shares_compute(struct sgn_shares *shares, const struct sgn_ring *ring)
{
    SGN_ASSERT(ring->member_count >= ring->replica_count);
    zones_collect(shares, ring);
    struct pool pool = shares->zone_count >= ring->replica_count ? zones_cap(shares, ring)
                                                                 : zones_floor(shares, ring);
    zones_round(shares, ring, pool);
    uint32_t sum = 0;
    for (uint32_t z = 0; z < shares->zone_count; z++) {
        members_round(shares, ring, z);
        sum += shares->zones[z].total;
    }
    for (uint32_t i = 0; i < ring->member_count; i++) {
        SGN_ASSERT(shares->target[i] <= ring->partition_count);
    }
    SGN_ASSERT(sum == ring->partition_count * ring->replica_count);
}
