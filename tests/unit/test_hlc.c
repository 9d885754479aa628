/* The hybrid clock never goes back and is not led astray; ballots are ordered field by field. */
#include <criterion/criterion.h>

#include "ring/core/hlc.h"

Test(hlc, rises_whatever_the_wall_does)
{
    struct sgn_hlc clock = {0};
    uint64_t last = 0;
    static const uint64_t walls[] = {1000, 1000, 1000, 999, 5, 2000, 0, 2000, 2001};
    for (uint32_t i = 0; i < sizeof(walls) / sizeof(walls[0]); i++) {
        uint64_t stamp = sgn_hlc_now(&clock, walls[i]);
        cr_assert_gt(stamp, last);
        last = stamp;
    }
    cr_assert_eq(sgn_hlc_ms(last), 2001);
    for (uint32_t i = 0; i < 70000; i++) { /* The counter runs over into the milliseconds. */
        uint64_t stamp = sgn_hlc_now(&clock, 2001);
        cr_assert_gt(stamp, last);
        last = stamp;
    }
}

Test(hlc, a_clock_in_the_far_future_is_refused_before_it_is_merged)
{
    struct sgn_hlc clock = {0};
    uint64_t now = sgn_hlc_now(&clock, 1000000);
    cr_assert_eq(sgn_hlc_merge(&clock, sgn_hlc_of_ms(1000000 + SGN_HLC_AHEAD_MS_MAX), 1000000),
                 SGN_OK);
    cr_assert_gt(sgn_hlc_now(&clock, 1000000), sgn_hlc_of_ms(1000000 + SGN_HLC_AHEAD_MS_MAX));
    uint64_t before = clock.last;
    cr_assert_eq(sgn_hlc_merge(&clock, sgn_hlc_of_ms(4102444800000), 1000000), SGN_ERR_CLOCK);
    cr_assert_eq(clock.last, before);
    cr_assert_eq(sgn_hlc_merge(&clock, now, 1000000), SGN_OK, "an old stamp is nothing new");
    cr_assert_eq(clock.last, before);
    cr_assert_eq(sgn_hlc_merge(&clock, before + 1, 10), SGN_OK, "our own wall was set back");
}

Test(hlc, ballots_in_order)
{
    static const struct sgn_ballot rising[] = {{1, 1, 1, 0}, {1, 1, 1, 1}, {1, 1, 2, 0},
                                               {1, 2, 0, 0}, {2, 0, 0, 0}};
    for (uint32_t a = 0; a < 5; a++) {
        for (uint32_t b = 0; b < 5; b++) {
            int order = sgn_ballot_compare(&rising[a], &rising[b]);
            cr_assert_eq((order > 0) - (order < 0), (a > b) - (a < b));
        }
    }
}
