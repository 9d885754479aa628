/* The bench's histogram against a sorted list; the workloads' mixes. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "bench/hist.h"
#include "bench/workload.h"

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

Test(hist, agrees_with_a_sorted_list_to_one_percent)
{
    static struct sgn_hist hist;
    static struct sgn_hist half;
    static uint64_t values[20000];
    struct sgn_prng prng = {.state = 3};
    for (uint32_t i = 0; i < 20000; i++) {
        values[i] = sgn_prng_next(&prng) >> (24 + sgn_prng_below(&prng, 40));
        sgn_hist_add(i % 2 == 0 ? &hist : &half, values[i]);
    }
    sgn_hist_merge(&hist, &half);
    qsort(values, 20000, sizeof(values[0]), by_value);
    static const double parts[] = {1, 10, 500, 900, 990, 999, 1000};
    for (uint32_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        uint64_t exact = values[(uint32_t)(parts[i] * 20 + 0.5) - 1];
        uint64_t said = sgn_hist_at(&hist, parts[i]);
        cr_assert(said >= exact && (double)said <= (double)exact * 1.008 + 1,
                  "%g: %llu for %llu",
                  parts[i],
                  (unsigned long long)said,
                  (unsigned long long)exact);
    }
    cr_assert_eq(hist.count, 20000);
    cr_assert_eq(sgn_hist_at(&(struct sgn_hist){0}, 500), 0);
}

Test(hist, the_largest_values_are_kept_apart_as_max)
{
    static struct sgn_hist hist;
    sgn_hist_add(&hist, UINT64_MAX);
    sgn_hist_add(&hist, 0);
    cr_assert_eq(hist.max, UINT64_MAX);
    cr_assert_eq(sgn_hist_at(&hist, 1), 0);
}

Test(workload, mixes_hold_and_popular_keys_are_popular)
{
    static const struct {
        char letter;
        enum sgn_load_op most;
        double share;
    } mixes[] = {{'a', SGN_LOAD_READ, 0.5},
                 {'b', SGN_LOAD_READ, 0.95},
                 {'c', SGN_LOAD_READ, 1},
                 {'d', SGN_LOAD_READ, 0.95},
                 {'e', SGN_LOAD_LIST, 0.95},
                 {'f', SGN_LOAD_READ, 0.5},
                 {'w', SGN_LOAD_UPDATE, 1}};
    for (uint32_t m = 0; m < sizeof(mixes) / sizeof(mixes[0]); m++) {
        struct sgn_workload load;
        static uint32_t hits[1000];
        memset(hits, 0, sizeof(hits));
        cr_assert(sgn_workload_init(&load, mixes[m].letter, SGN_SPREAD_ZIPF, 1000, 9));
        uint32_t most = 0;
        uint64_t inserts = 0;
        for (uint32_t i = 0; i < 20000; i++) {
            uint64_t key = 0;
            enum sgn_load_op op = sgn_workload_next(&load, &key);
            most += op == mixes[m].most;
            inserts += op == SGN_LOAD_INSERT;
            cr_assert_lt(key, load.keys);
            hits[key % 1000]++;
        }
        cr_assert_float_eq(
            (double)most / 20000, mixes[m].share, 0.02, "workload %c", mixes[m].letter);
        cr_assert_eq(load.keys, 1000 + inserts, "every insert is a new key");
        uint32_t top = 0;
        for (uint32_t i = 0; i < 1000; i++) {
            top = hits[i] > top ? hits[i] : top;
        }
        /* In d the latest key is the popular one, and a new one comes with every insert. */
        cr_assert_gt(
            top, mixes[m].letter == 'd' ? 40 : 1000, "zipf 0.99 over 1000 keys: 13 %% for one");
    }
    struct sgn_workload load;
    cr_assert(!sgn_workload_init(&load, 'z', SGN_SPREAD_ZIPF, 1000, 1));
    cr_assert(!sgn_workload_init(&load, 'a', SGN_SPREAD_ZIPF, 1, 1));
}
