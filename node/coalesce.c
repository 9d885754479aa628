#include "node/coalesce.h"

#define AVERAGED 16.0

static void average(double *value, double now)
{
    *value = *value == 0 ? now : *value + (now - *value) / AVERAGED;
}

void sgn_coalesce_asked(struct sgn_coalesce *coalesce, uint64_t now_us, uint32_t checks)
{
    coalesce->asked = checks;
    uint64_t since_us = now_us > coalesce->asked_us ? now_us - coalesce->asked_us : 1;
    if (since_us > SGN_COALESCE_PAUSE_US) {
        *coalesce = (struct sgn_coalesce){.asked = checks, .asked_us = now_us, .window_us = now_us};
        return;
    }
    average(&coalesce->checks_per_us, (double)checks / (double)since_us);
    coalesce->asked_us = now_us;
}

/* The fastest answer of late, without keeping them all. */
static double fastest(struct sgn_coalesce *coalesce, uint64_t now_us, double answer_us)
{
    if (now_us - coalesce->window_us > SGN_COALESCE_WINDOW_US) {
        coalesce->fastest_us = coalesce->fastest_so_far_us;
        coalesce->fastest_so_far_us = 0;
        coalesce->window_us = now_us;
    }
    if (coalesce->fastest_so_far_us == 0 || answer_us < coalesce->fastest_so_far_us) {
        coalesce->fastest_so_far_us = answer_us;
    }
    return coalesce->fastest_us != 0 && coalesce->fastest_us < coalesce->fastest_so_far_us
               ? coalesce->fastest_us
               : coalesce->fastest_so_far_us;
}

void sgn_coalesce_answered(struct sgn_coalesce *coalesce, uint64_t now_us, uint32_t gathered)
{
    uint64_t took_us = now_us > coalesce->asked_us ? now_us - coalesce->asked_us : 1;
    double answer_us =
        (double)(took_us < SGN_COALESCE_ANSWER_US_MAX ? took_us : SGN_COALESCE_ANSWER_US_MAX);
    average(&coalesce->answer_us, answer_us);
    average(&coalesce->under_way, (double)coalesce->asked + (double)gathered);
    coalesce->asked = 0;
    double late_us = coalesce->answer_us - fastest(coalesce, now_us, answer_us);
    double checks = late_us > 0 ? late_us * SGN_COALESCE_LATE_TIMES * coalesce->checks_per_us : 0;
    double most = coalesce->under_way * 2 / 3;
    checks = checks < most ? checks : most;
    coalesce->worth = checks < SGN_COALESCE_CHECKS_MIN ? 0 : (uint32_t)checks;
}
