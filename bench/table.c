#include "bench/table.h"

#include <stdio.h>
#include <stdlib.h>

static struct sgn_hist both(const struct sgn_load_result *result)
{
    struct sgn_hist all = result->reads;
    sgn_hist_merge(&all, &result->writes);
    return all;
}

static double us(uint64_t ns)
{
    return (double)ns / 1000.0;
}

void sgn_table_row(const char *what,
                   uint32_t connections,
                   const struct sgn_load_result *result,
                   bool with_cpu)
{
    struct sgn_hist all = both(result);
    (void)printf("%-10s %5u %10.0f %9.1f %9.1f %9.1f",
                 what,
                 connections,
                 (double)all.count / result->seconds,
                 us(sgn_hist_at(&all, 500)),
                 us(sgn_hist_at(&all, 990)),
                 us(sgn_hist_at(&all, 999)));
    if (with_cpu && all.count > 0) {
        (void)printf(" %12.2f", (double)result->server_cpu_ns / 1000.0 / (double)all.count);
    } else {
        (void)printf(" %12s", "-");
    }
    (void)printf(" %7llu\n", (unsigned long long)result->errors);
    if (result->errors > 0 && result->first_error[0] != '\0') {
        (void)printf("           first error: %s\n", result->first_error);
    }
    (void)fflush(stdout);
}

void sgn_table_head(void)
{
    (void)printf("%-10s %5s %10s %9s %9s %9s %12s %7s\n",
                 "what",
                 "conns",
                 "ops/s",
                 "p50 us",
                 "p99 us",
                 "p99.9 us",
                 "CPU us/op",
                 "errors");
}

double sgn_table_cpu(const struct sgn_load_result *result)
{
    uint64_t count = result->reads.count + result->writes.count;
    return count == 0 ? 0 : (double)result->server_cpu_ns / (double)count;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

void sgn_table_ratio(const char *what, double *ratios, uint32_t count)
{
    qsort(ratios, count, sizeof(ratios[0]), by_value);
    (void)printf("%s: median %.2f (least %.2f, most %.2f, %u rounds)\n",
                 what,
                 ratios[count / 2],
                 ratios[0],
                 ratios[count - 1],
                 count);
}

static double part(double one, double other)
{
    return other > 0 ? one / other : 0;
}

void sgn_table_pair(struct sgn_table_pairs *pairs,
                    const struct sgn_load_result *one,
                    const struct sgn_load_result *other)
{
    struct sgn_hist a = both(one);
    struct sgn_hist b = both(other);
    uint32_t i = pairs->count++;
    pairs->throughput[i] = part((double)a.count / one->seconds, (double)b.count / other->seconds);
    pairs->p50[i] = part((double)sgn_hist_at(&a, 500), (double)sgn_hist_at(&b, 500));
    pairs->p99[i] = part((double)sgn_hist_at(&a, 990), (double)sgn_hist_at(&b, 990));
    pairs->p999[i] = part((double)sgn_hist_at(&a, 999), (double)sgn_hist_at(&b, 999));
    pairs->cpu[i] = part(sgn_table_cpu(one), sgn_table_cpu(other));
}

void sgn_table_pairs(struct sgn_table_pairs *pairs, const char *one, const char *other, bool cpu)
{
    (void)printf("%s / %s\n", one, other);
    sgn_table_ratio("  throughput", pairs->throughput, pairs->count);
    sgn_table_ratio("  p50", pairs->p50, pairs->count);
    sgn_table_ratio("  p99", pairs->p99, pairs->count);
    sgn_table_ratio("  p99.9", pairs->p999, pairs->count);
    if (cpu) {
        sgn_table_ratio("  server CPU per op", pairs->cpu, pairs->count);
    }
    (void)fflush(stdout);
}
