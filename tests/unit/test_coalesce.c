/* For how many checks a message to the witnesses is held: by how late answers are. */
#include <criterion/criterion.h>

#include "node/coalesce.h"

static struct sgn_coalesce coalesce;
static uint64_t now_us;
static uint32_t gathered; /* When an answer comes. */

/* `rounds` messages of `checks`, each answered after `answer_us`, one every `every_us`. */
static void rounds(uint32_t count, uint32_t checks, uint64_t every_us, uint64_t answer_us)
{
    for (uint32_t i = 0; i < count; i++) {
        sgn_coalesce_asked(&coalesce, now_us, checks);
        sgn_coalesce_answered(&coalesce, now_us + answer_us, gathered);
        now_us += every_us;
    }
}

static void fresh(void)
{
    coalesce = (struct sgn_coalesce){.asked_us = 0};
    now_us = 1000000;
    gathered = 100;
}

Test(coalesce, nothing_is_held_while_answers_are_prompt)
{
    fresh();
    cr_assert_eq(sgn_coalesce_worth(&coalesce), 0);
    rounds(1000, 20, 100, 60);
    cr_assert_eq(sgn_coalesce_worth(&coalesce), 0);
}

Test(coalesce, late_answers_are_worth_company)
{
    fresh();
    rounds(10, 5, 300, 50);
    rounds(200, 5, 300, 250);
    /* 200 us late, and a check comes every 60: ten in three times that. */
    uint32_t worth = sgn_coalesce_worth(&coalesce);
    cr_assert(worth >= 9 && worth <= 10, "%u", worth);
    rounds(200, 1, 3000, 250); /* Few come: two in that time are not worth a wait. */
    cr_assert_eq(sgn_coalesce_worth(&coalesce), 0);
}

Test(coalesce, no_more_are_waited_for_than_can_come)
{
    fresh();
    gathered = 7;
    rounds(10, 5, 300, 50);
    rounds(200, 5, 300, 250);
    cr_assert_eq(sgn_coalesce_worth(&coalesce), 8); /* Of 12 under way. */
    gathered = 2;
    rounds(200, 5, 300, 250);
    cr_assert_eq(sgn_coalesce_worth(&coalesce), 0); /* Of 7: fewer than are worth it. */
}

Test(coalesce, the_fastest_answer_is_that_of_late)
{
    fresh();
    rounds(10, 5, 300, 50);
    rounds(SGN_COALESCE_WINDOW_US / 300, 5, 300, 250);
    cr_assert_gt(sgn_coalesce_worth(&coalesce), 0);
    rounds(
        2 * SGN_COALESCE_WINDOW_US / 300, 5, 300, 250); /* So it is the way there that is long. */
    cr_assert_eq(sgn_coalesce_worth(&coalesce), 0);
}

Test(coalesce, a_pause_is_forgotten_and_no_answer_counts_for_ever)
{
    fresh();
    rounds(10, 10, 300, 50);
    rounds(1, 10, 300, 60000000);
    rounds(1, 10, 300, 50);
    /* At most that late, by a sixteenth of the average, and one more sixteenth forgotten. */
    uint32_t most = SGN_COALESCE_ANSWER_US_MAX / 16 * SGN_COALESCE_LATE_TIMES * 10 / 300;
    uint32_t worth = sgn_coalesce_worth(&coalesce);
    cr_assert(worth > 0 && worth <= most, "%u of %u", worth, most);
    now_us += SGN_COALESCE_PAUSE_US + 1;
    rounds(1, 5, 300, 250);
    cr_assert_eq(sgn_coalesce_worth(&coalesce), 0);
}
