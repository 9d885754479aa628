/* The simulator's oracle of ordered keys, fed by hand: what it must let pass, what it must not. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "tests/sim/ord_oracle.h"

static struct ord_oracle *oracle;

static void setup(void)
{
    oracle = calloc(1, sizeof(*oracle));
    cr_assert_not_null(oracle);
}

static void teardown(void)
{
    free(oracle);
}

static struct sgn_version version(uint64_t rev, uint64_t hlc)
{
    return (struct sgn_version){.rev = rev, .origin = {.hlc = hlc, .node = 1, .incarnation = 1}};
}

static uint32_t put(uint32_t key, enum sgn_condition condition, struct sgn_version expect)
{
    struct ord_write write = {.key = key, .condition = condition, .expect = expect};
    return ord_oracle_begin(oracle, &write);
}

static uint32_t del(uint32_t key)
{
    struct ord_write write = {.key = key, .is_delete = true};
    return ord_oracle_begin(oracle, &write);
}

static bool clean(void)
{
    return oracle->violation[0] == '\0';
}

/* True if it has seen a wrong step, and forgets it. */
static bool saw(const char *what)
{
    bool found = strstr(oracle->violation, what) != NULL;
    oracle->violation[0] = '\0';
    return found;
}

TestSuite(sim_oracle, .init = setup, .fini = teardown);

Test(sim_oracle, lets_a_right_history_pass)
{
    struct sgn_version v1 = version(1, 10);
    struct sgn_version v2 = version(2, 20);
    struct sgn_version v3 = version(3, 30);
    struct sgn_version never = {0};
    uint32_t a = put(0, SGN_IF_ANY, never);
    uint32_t b = put(0, SGN_IF_VERSION, v1);
    uint32_t c = del(0);
    ord_oracle_propose(oracle, 0, &v1, a, false);
    ord_oracle_propose(oracle, 0, &v1, a, false); /* Under another ballot. */
    ord_oracle_verdict(oracle, a, ORD_UNKNOWN, NULL);
    ord_oracle_expose(oracle, 0, &v1);
    ord_oracle_verdict(oracle, a, ORD_APPLIED, &v1);
    ord_oracle_verdict(oracle, a, ORD_APPLIED, &v1);
    ord_oracle_propose(oracle, 0, &v2, b, false);
    ord_oracle_verdict(oracle, b, ORD_APPLIED, &v2);
    ord_oracle_at_least(oracle, 0, &v1, &v2, "a read");
    ord_oracle_at_least(oracle, 0, &v2, &v2, "a read");
    ord_oracle_at_least(oracle, 0, &never, &never, "a read");
    ord_oracle_propose(oracle, 0, &v3, c, true);
    ord_oracle_verdict(oracle, c, ORD_APPLIED, &v3);
    cr_expect(oracle->keys[0].floor_dead && oracle->keys[0].floor.rev == 3);
    /* 3.7: the tombstone is dropped, and the key begins anew. */
    ord_oracle_at_least(oracle, 0, &v3, &never, "a read");
    struct sgn_version again = version(1, 40);
    uint32_t d = put(0, SGN_IF_ABSENT, never);
    ord_oracle_propose(oracle, 0, &again, d, false);
    ord_oracle_verdict(oracle, d, ORD_APPLIED, &again);
    uint32_t e = put(0, SGN_IF_VERSION, v2);
    ord_oracle_verdict(oracle, e, ORD_REJECTED, &again);
    ord_oracle_verdict(oracle, e, ORD_REJECTED, &again);
    cr_expect(clean(), "%s", oracle->violation);
}

Test(sim_oracle, sees_old_answers)
{
    struct sgn_version v1 = version(1, 10);
    struct sgn_version v2 = version(2, 20);
    struct sgn_version never = {0};
    ord_oracle_propose(oracle, 0, &v1, put(0, SGN_IF_ANY, never), false);
    ord_oracle_propose(oracle, 0, &v2, put(0, SGN_IF_ANY, never), false);
    ord_oracle_expose(oracle, 0, &v2);
    ord_oracle_at_least(oracle, 0, &v2, &v1, "a read");
    cr_expect(saw("a read of key 0 answered with rev 1"));
    ord_oracle_at_least(oracle, 0, &v2, &never, "a read"); /* It was never deleted. */
    cr_expect(saw("rev 2 was exposed before"));
    struct sgn_version strange = version(7, 70);
    ord_oracle_expose(oracle, 0, &strange);
    cr_expect(saw("no round has proposed it"));
}

Test(sim_oracle, sees_forks_and_double_effects)
{
    struct sgn_version never = {0};
    struct sgn_version v1 = version(1, 10);
    struct sgn_version other = version(1, 11);
    struct sgn_version v2 = version(2, 20);
    struct sgn_version late = version(3, 15); /* A later rev of an earlier origin. */
    uint32_t a = put(0, SGN_IF_ANY, never);
    uint32_t b = put(0, SGN_IF_ANY, never);
    uint32_t c = put(0, SGN_IF_ANY, never);
    ord_oracle_propose(oracle, 0, &v1, a, false);
    ord_oracle_propose(oracle, 0, &other, b, false);
    ord_oracle_propose(oracle, 0, &v2, a, false);
    ord_oracle_propose(oracle, 0, &late, c, false);
    ord_oracle_propose(oracle, 0, &v1, b, false);
    cr_expect(saw("two records of one version"));
    ord_oracle_expose(oracle, 0, &v1);
    cr_expect(clean());
    ord_oracle_expose(oracle, 0, &other);
    cr_expect(saw("forks"));
    ord_oracle_expose(oracle, 0, &v2);
    cr_expect(saw("took effect twice"));
    ord_oracle_expose(oracle, 0, &late);
    cr_expect(saw("forks"));
    ord_oracle_propose(
        oracle, 0, &(struct sgn_version){.rev = 9, .origin = {.hlc = 90}}, 77, false);
    cr_expect(saw("no request explains"));
}

Test(sim_oracle, sees_broken_verdicts)
{
    struct sgn_version never = {0};
    struct sgn_version v1 = version(1, 10);
    struct sgn_version v2 = version(2, 20);
    struct sgn_version v4 = version(4, 40);
    uint32_t a = put(0, SGN_IF_ANY, never);
    uint32_t b = put(0, SGN_IF_ABSENT, never);
    uint32_t c = put(0, SGN_IF_VERSION, v1);
    ord_oracle_propose(oracle, 0, &v1, a, false);
    ord_oracle_propose(oracle, 0, &v2, b, false);
    ord_oracle_propose(oracle, 0, &v4, c, false);
    ord_oracle_verdict(oracle, a, ORD_APPLIED, &v1);
    ord_oracle_verdict(oracle, a, ORD_VOID, NULL);
    cr_expect(saw("two verdicts"));
    ord_oracle_verdict(oracle, b, ORD_REJECTED, &v1);
    ord_oracle_expose(oracle, 0, &v2);
    cr_expect(saw("was called rejected"));
    ord_oracle_verdict(oracle, c, ORD_APPLIED, &v4); /* On rev 1 it can only make rev 2. */
    cr_expect(saw("asked for rev 1"));
    uint32_t d = put(0, SGN_IF_ANY, never);
    ord_oracle_verdict(oracle, d, ORD_APPLIED, &v1);
    cr_expect(saw("a version that it did not make"));
    uint32_t e = put(0, SGN_IF_ANY, never);
    struct sgn_version v5 = version(5, 50);
    ord_oracle_propose(oracle, 0, &v5, e, false);
    ord_oracle_expose(oracle, 0, &v5);
    ord_oracle_verdict(oracle, e, ORD_FAILED, NULL);
    cr_expect(saw("its value was exposed before"));
}
