#include "tests/lib/linear_table.h"

#include <stdlib.h>

#include "ring/core/check.h"

static uint64_t value_of(char letter)
{
    SGN_ASSERT(letter == '-' || (letter >= 'a' && letter <= 'z'));
    return letter == '-' ? SGN_HISTORY_ABSENT : (uint64_t)(letter - 'a' + 1);
}

static const char *read_outcome(const char *at, struct sgn_operation *op)
{
    if (*at == '?') {
        op->outcome = SGN_HISTORY_UNKNOWN;
    } else if (*at == '!') {
        op->outcome = SGN_HISTORY_FAIL;
    } else if (*at == 'x') {
        op->outcome = SGN_HISTORY_REJECTED;
    } else {
        return at;
    }
    if (op->outcome == SGN_HISTORY_REJECTED && at[1] == '=') {
        op->output = value_of(at[2]);
        return at + 3;
    }
    return at + 1;
}

static const char *read_one(const char *at, struct sgn_operation *op)
{
    *op = (struct sgn_operation){.key = 1, .output = SGN_HISTORY_UNTOLD};
    if (at[1] == ':') {
        op->key = (uint64_t)(at[0] - '0');
        at += 2;
    }
    switch (*at++) {
    case 'P':
        op->op = SGN_HISTORY_PUT;
        op->value = value_of(*at++);
        break;
    case 'G':
        op->op = SGN_HISTORY_GET;
        op->output = *at == '?' || *at == '!' ? SGN_HISTORY_UNTOLD : value_of(*at++);
        break;
    case 'D': op->op = SGN_HISTORY_DEL; break;
    case 'C':
        op->op = SGN_HISTORY_CAS;
        op->expect = value_of(at[0]);
        SGN_ASSERT(at[1] == '>');
        op->value = value_of(at[2]);
        at += 3;
        break;
    default: SGN_ASSERT(false);
    }
    at = read_outcome(at, op);
    char *end = NULL;
    SGN_ASSERT(*at == '@');
    op->invoke_ns = strtoull(at + 1, &end, 10);
    SGN_ASSERT(*end == '-');
    op->return_ns = strtoull(end + 1, &end, 10);
    return end;
}

void sgn_table_read(struct sgn_history *history, const char *text)
{
    history->count = 0;
    while (*text != '\0') {
        struct sgn_operation op;
        text = read_one(text, &op);
        op.process = history->count;
        bool added = sgn_history_add(history, &op);
        SGN_ASSERT(added && (*text == ' ' || *text == '\0'));
        text += *text == ' ';
    }
}

/* ---- Every order ---- */

struct orders {
    const struct sgn_history *history;
    uint32_t placed;
};

/* Applies one operation to the register; false: its answer is not the register's. */
static bool answers(const struct sgn_operation *op, uint64_t *state)
{
    bool unknown = op->outcome == SGN_HISTORY_UNKNOWN;
    switch (op->op) {
    case SGN_HISTORY_GET: return unknown || op->output == *state;
    case SGN_HISTORY_PUT: *state = op->value; return true;
    case SGN_HISTORY_DEL: *state = SGN_HISTORY_ABSENT; return true;
    case SGN_HISTORY_CAS: break;
    }
    if (op->outcome == SGN_HISTORY_REJECTED) {
        return *state != op->expect && (op->output == SGN_HISTORY_UNTOLD || op->output == *state);
    }
    if (*state == op->expect) {
        *state = op->value;
        return true;
    }
    return unknown;
}

static bool must_stand(const struct sgn_operation *op)
{
    return op->outcome == SGN_HISTORY_OK || op->outcome == SGN_HISTORY_REJECTED;
}

static bool try_orders(struct orders *orders, uint64_t state)
{
    const struct sgn_history *history = orders->history;
    bool complete = true;
    for (uint32_t i = 0; i < history->count; i++) {
        complete = complete && ((orders->placed >> i & 1) != 0 || !must_stand(&history->ops[i]));
    }
    for (uint32_t i = 0; !complete && i < history->count; i++) {
        const struct sgn_operation *op = &history->ops[i];
        bool may = (orders->placed >> i & 1) == 0 && op->outcome != SGN_HISTORY_FAIL;
        for (uint32_t j = 0; may && j < history->count; j++) {
            const struct sgn_operation *other = &history->ops[j];
            may = (orders->placed >> j & 1) != 0 || !must_stand(other) ||
                  other->return_ns >= op->invoke_ns;
        }
        uint64_t after = state;
        if (may && answers(op, &after)) {
            orders->placed |= 1u << i;
            complete = try_orders(orders, after);
            orders->placed &= ~(1u << i);
        }
    }
    return complete;
}

bool sgn_table_brute(const struct sgn_history *history)
{
    SGN_ASSERT(history->count <= 12);
    struct orders orders = {.history = history};
    return try_orders(&orders, SGN_HISTORY_ABSENT);
}
