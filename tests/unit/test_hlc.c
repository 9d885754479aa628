/* The clock only goes forward, and no peer drags it along. */
#include <criterion/criterion.h>

#include "ring/core/hlc.h"
#include "ring/core/prng.h"

#define SEED UINT64_C(0x686c63)

Test(hlc, stamps_rise)
{
    struct sgn_hlc clock = {0};
    cr_assert_eq(sgn_hlc_now(&clock, 1000), sgn_hlc_of_ms(1000));
    cr_assert_eq(sgn_hlc_now(&clock, 1000), sgn_hlc_of_ms(1000) + 1);
    cr_assert_eq(sgn_hlc_now(&clock, 10), sgn_hlc_of_ms(1000) + 2, "a wall set back is ignored");
    cr_assert_eq(sgn_hlc_now(&clock, 1001), sgn_hlc_of_ms(1001));
    cr_assert_eq(sgn_hlc_ms(sgn_hlc_of_ms(1001) + 65535), 1001);

    /* A full counter runs into the next millisecond instead of standing still. */
    clock.last = sgn_hlc_of_ms(1001) + 65535;
    cr_assert_eq(sgn_hlc_now(&clock, 1001), sgn_hlc_of_ms(1002));

    struct sgn_prng prng = {.state = SEED};
    uint64_t wall_ms = UINT64_C(1700000000000);
    for (int round = 0; round < 200000; round++) {
        wall_ms += sgn_prng_below(&prng, 7);
        wall_ms -= sgn_prng_below(&prng, 7); /* The wall wanders, also back. */
        uint64_t before = clock.last;
        if (sgn_prng_chance(&prng, 300)) {
            uint64_t remote = sgn_hlc_of_ms(wall_ms - 3000 + sgn_prng_below(&prng, 10000)) +
                              sgn_prng_below(&prng, 65536);
            enum sgn_err err = sgn_hlc_merge(&clock, remote, wall_ms);
            cr_assert_eq(clock.last, err == SGN_OK && remote > before ? remote : before);
        } else {
            cr_assert_gt(sgn_hlc_now(&clock, wall_ms), before);
        }
    }
}

Test(hlc, remote_stamps)
{
    struct sgn_hlc clock = {.last = sgn_hlc_of_ms(100000)};
    /* The wall is the later of the two. */
    uint64_t limit = sgn_hlc_of_ms(200000 + SGN_HLC_AHEAD_MS_MAX);
    cr_assert_eq(sgn_hlc_merge(&clock, limit + 65536, 200000), SGN_ERR_CLOCK);
    cr_assert_eq(clock.last, sgn_hlc_of_ms(100000), "nothing of a refused stamp is merged");
    cr_assert_eq(sgn_hlc_merge(&clock, UINT64_MAX, 200000), SGN_ERR_CLOCK);
    cr_assert_eq(clock.last, sgn_hlc_of_ms(100000));
    cr_assert_eq(sgn_hlc_merge(&clock, limit + 65535, 200000), SGN_OK);
    cr_assert_eq(clock.last, limit + 65535);
    cr_assert_gt(sgn_hlc_now(&clock, 200000), limit + 65535);

    /* The clock is: a wall set back must not make good peers look bad. */
    uint64_t ours_ms = sgn_hlc_ms(clock.last);
    uint64_t far = sgn_hlc_of_ms(ours_ms + SGN_HLC_AHEAD_MS_MAX + 1);
    cr_assert_eq(sgn_hlc_merge(&clock, far, 5), SGN_ERR_CLOCK);
    cr_assert_eq(sgn_hlc_merge(&clock, sgn_hlc_of_ms(ours_ms + SGN_HLC_AHEAD_MS_MAX), 5), SGN_OK);

    uint64_t last = clock.last;
    cr_assert_eq(sgn_hlc_merge(&clock, 0, 5), SGN_OK);
    cr_assert_eq(sgn_hlc_merge(&clock, last, 5), SGN_OK);
    cr_assert_eq(clock.last, last, "an old stamp is taken and changes nothing");
}

Test(hlc, ballots_compare_field_by_field)
{
    /* In rising order; every earlier field outweighs all later ones. */
    const struct sgn_ballot order[] = {
        {0, 0, 0, 0},
        {0, 0, 0, UINT32_MAX},
        {0, 0, 1, 0},
        {0, 0, UINT32_MAX, 0},
        {0, 1, 0, 0},
        {0, UINT32_MAX, UINT32_MAX, UINT32_MAX},
        {1, 0, 0, 0},
        {UINT64_MAX, 0, 0, 0},
        {UINT64_MAX, 0, 0, 1},
    };
    const int count = sizeof(order) / sizeof(order[0]);
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < count; j++) {
            int sign = sgn_ballot_compare(&order[i], &order[j]);
            cr_assert_eq((sign > 0) - (sign < 0), (i > j) - (i < j), "%d against %d", i, j);
        }
    }
}
