#include "bench/hist.h"

#include "ring/core/check.h"

/* Values below 2^7 have a cell each; above, the top 8 bits of the value choose the cell. */
static uint32_t cell_of(uint64_t value)
{
    if (value < (UINT64_C(1) << SGN_HIST_STEP_BITS)) {
        return (uint32_t)value;
    }
    uint32_t top = 63 - (uint32_t)__builtin_clzll(value);
    if (top >= SGN_HIST_BITS_MAX) {
        return SGN_HIST_CELLS - 1;
    }
    uint32_t shift = top - SGN_HIST_STEP_BITS;
    uint32_t step = (uint32_t)(value >> shift) & ((1u << SGN_HIST_STEP_BITS) - 1);
    return ((shift + 1) << SGN_HIST_STEP_BITS) + step;
}

/* The largest value of a cell. */
static uint64_t cell_top(uint32_t cell)
{
    uint32_t row = cell >> SGN_HIST_STEP_BITS;
    uint64_t step = cell & ((1u << SGN_HIST_STEP_BITS) - 1);
    if (row == 0) {
        return step;
    }
    uint32_t shift = row - 1;
    return (((UINT64_C(1) << SGN_HIST_STEP_BITS) + step + 1) << shift) - 1;
}

void sgn_hist_add(struct sgn_hist *hist, uint64_t value_ns)
{
    uint32_t cell = cell_of(value_ns);
    SGN_ASSERT(cell < SGN_HIST_CELLS);
    hist->cells[cell]++;
    hist->count++;
    hist->sum += value_ns;
    hist->max = value_ns > hist->max ? value_ns : hist->max;
}

void sgn_hist_merge(struct sgn_hist *into, const struct sgn_hist *other)
{
    for (uint32_t i = 0; i < SGN_HIST_CELLS; i++) {
        into->cells[i] += other->cells[i];
    }
    into->count += other->count;
    into->sum += other->sum;
    into->max = other->max > into->max ? other->max : into->max;
}

uint64_t sgn_hist_at(const struct sgn_hist *hist, double per_mille)
{
    SGN_ASSERT(per_mille >= 0 && per_mille <= 1000);
    uint64_t wanted = (uint64_t)((double)hist->count * per_mille / 1000.0 + 0.5);
    wanted = wanted == 0 ? 1 : wanted;
    uint64_t passed = 0;
    for (uint32_t i = 0; i < SGN_HIST_CELLS; i++) {
        passed += hist->cells[i];
        if (passed >= wanted) {
            uint64_t top = cell_top(i);
            return top < hist->max ? top : hist->max;
        }
    }
    return hist->count == 0 ? 0 : hist->max;
}
