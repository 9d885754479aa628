#include "bench/history.h"

#include <inttypes.h>
#include <stdlib.h>

#include "ring/core/check.h"
#include "ring/core/prng.h"

static const char *const op_names[] = {"get", "put", "del", "cas"};
static const char *const outcome_names[] = {"ok", "rejected", "unknown", "fail"};

const char *sgn_history_op_name(enum sgn_history_op op)
{
    SGN_ASSERT(op <= SGN_HISTORY_CAS);
    return op_names[op];
}

const char *sgn_history_outcome_name(enum sgn_history_outcome outcome)
{
    SGN_ASSERT(outcome <= SGN_HISTORY_FAIL);
    return outcome_names[outcome];
}

bool sgn_history_add(struct sgn_history *history, const struct sgn_operation *op)
{
    SGN_ASSERT(op->return_ns >= op->invoke_ns);
    if (history->count == history->cap) {
        size_t cap = history->cap == 0 ? 1024 : history->cap * 2;
        struct sgn_operation *ops =
            cap > SGN_HISTORY_OPS_MAX ? NULL : realloc(history->ops, cap * sizeof(ops[0]));
        if (ops == NULL) {
            return false;
        }
        history->ops = ops;
        history->cap = cap;
    }
    history->ops[history->count++] = *op;
    return true;
}

static void texts_clear(struct sgn_history_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++) {
        free(texts->text[i]);
    }
    free(texts->text);
    free(texts->slots);
}

void sgn_history_clear(struct sgn_history *history)
{
    texts_clear(&history->keys);
    texts_clear(&history->values);
    free(history->ops);
    *history = (struct sgn_history){0};
}

static uint64_t text_hash(struct sgn_bytes text)
{
    const uint8_t *raw = text.ptr;
    uint64_t hash = text.count;
    for (size_t i = 0; i < text.count; i++) {
        hash = sgn_mix64(hash ^ raw[i]);
    }
    return hash;
}

/* The slot that holds the text, or the free one where it belongs. The table is never full. */
static size_t slot_of(const struct sgn_history_texts *texts, struct sgn_bytes text)
{
    size_t slot = text_hash(text) & (texts->slot_count - 1);
    while (texts->slots[slot] != 0 &&
           !sgn_bytes_equal(sgn_bytes_str(texts->text[texts->slots[slot] - 1]), text)) {
        slot = (slot + 1) & (texts->slot_count - 1);
    }
    return slot;
}

static bool texts_grow(struct sgn_history_texts *texts)
{
    size_t cap = texts->cap == 0 ? 256 : texts->cap * 2;
    char **text = realloc(texts->text, cap * sizeof(text[0]));
    if (text == NULL) {
        return false;
    }
    texts->text = text;
    uint64_t *slots = calloc(cap * 2, sizeof(slots[0]));
    if (slots == NULL) {
        return false;
    }
    free(texts->slots);
    texts->slots = slots;
    texts->slot_count = cap * 2;
    texts->cap = cap;
    for (size_t i = 0; i < texts->count; i++) {
        texts->slots[slot_of(texts, sgn_bytes_str(text[i]))] = i + 1;
    }
    return true;
}

uint64_t sgn_history_number(struct sgn_history_texts *texts, struct sgn_bytes text)
{
    if (texts->count == texts->cap && !texts_grow(texts)) {
        return 0;
    }
    size_t slot = slot_of(texts, text);
    if (texts->slots[slot] == 0) {
        char *copy = calloc(1, text.count + 1);
        if (copy == NULL) {
            return 0;
        }
        if (text.count > 0) {
            memcpy(copy, text.ptr, text.count);
        }
        texts->text[texts->count++] = copy;
        texts->slots[slot] = texts->count;
    }
    return texts->slots[slot];
}

const char *sgn_history_key_text(const struct sgn_history *history, uint64_t key, char *spare)
{
    if (key >= 1 && key <= history->keys.count) {
        return history->keys.text[key - 1];
    }
    (void)snprintf(spare, 24, "k%" PRIu64, key);
    return spare;
}

const char *sgn_history_value_text(const struct sgn_history *history, uint64_t value, char *spare)
{
    if (value == SGN_HISTORY_ABSENT) {
        return "nothing";
    }
    if (value <= history->values.count) {
        return history->values.text[value - 1];
    }
    (void)snprintf(spare, 24, "v%" PRIu64, value);
    return spare;
}

void sgn_history_describe(const struct sgn_history *history,
                          const struct sgn_operation *op,
                          uint64_t origin_ns,
                          char *out,
                          size_t cap)
{
    char spare[4][24];
    const char *value = sgn_history_value_text(history, op->value, spare[0]);
    const char *expect = sgn_history_value_text(history, op->expect, spare[1]);
    const char *output = sgn_history_value_text(history, op->output, spare[2]);
    char what[256];
    if (op->op == SGN_HISTORY_PUT) {
        (void)snprintf(what, sizeof(what), " = %.200s", value);
    } else if (op->op == SGN_HISTORY_CAS) {
        (void)snprintf(what, sizeof(what), " %.80s -> %.80s", expect, value);
    } else {
        what[0] = '\0';
    }
    char told[128] = "";
    bool read = op->op == SGN_HISTORY_GET && op->outcome == SGN_HISTORY_OK;
    if (read || (op->outcome == SGN_HISTORY_REJECTED && op->output != SGN_HISTORY_UNTOLD)) {
        (void)snprintf(told, sizeof(told), " %s %.100s", read ? "read" : "met", output);
    }
    double from = (double)(int64_t)(op->invoke_ns - origin_ns) / 1e6;
    double until = (double)(int64_t)(op->return_ns - origin_ns) / 1e6;
    (void)snprintf(out,
                   cap,
                   "%10.3f .. %10.3f ms  process %-4" PRIu64 " %s %.60s%s: %s%s",
                   from,
                   until,
                   op->process,
                   sgn_history_op_name(op->op),
                   sgn_history_key_text(history, op->key, spare[3]),
                   what,
                   sgn_history_outcome_name(op->outcome),
                   told);
}

/* A JSON string. Bytes above 127 go out as they are: texts that were read are UTF-8. */
static void write_text(const char *text, FILE *out)
{
    (void)fputc('"', out);
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\') {
            (void)fprintf(out, "\\%c", *at);
        } else if (*at < 32) {
            (void)fprintf(out, "\\u%04x", *at);
        } else {
            (void)fputc(*at, out);
        }
    }
    (void)fputc('"', out);
}

static void write_value(const struct sgn_history *history, uint64_t value, FILE *out)
{
    char spare[24];
    if (value == SGN_HISTORY_ABSENT) {
        (void)fputs("null", out);
    } else {
        write_text(sgn_history_value_text(history, value, spare), out);
    }
}

static void write_input(const struct sgn_history *history,
                        const struct sgn_operation *op,
                        FILE *out)
{
    if (op->op == SGN_HISTORY_CAS) {
        (void)fputs("{\"expect\":", out);
        write_value(history, op->expect, out);
        (void)fputs(",\"value\":", out);
        write_value(history, op->value, out);
        (void)fputc('}', out);
    } else {
        write_value(history, op->op == SGN_HISTORY_PUT ? op->value : SGN_HISTORY_ABSENT, out);
    }
}

static void write_output(const struct sgn_history *history,
                         const struct sgn_operation *op,
                         FILE *out)
{
    bool met = op->outcome == SGN_HISTORY_REJECTED && op->output != SGN_HISTORY_UNTOLD;
    if (met) {
        (void)fputs("{\"met\":", out);
        write_value(history, op->output, out);
        (void)fputc('}', out);
        return;
    }
    bool read = op->op == SGN_HISTORY_GET && op->outcome == SGN_HISTORY_OK;
    write_value(history, read ? op->output : SGN_HISTORY_ABSENT, out);
}

bool sgn_history_write_line(const struct sgn_history *history,
                            const struct sgn_operation *op,
                            FILE *out)
{
    char spare[24];
    (void)fprintf(out,
                  "{\"process\":%" PRIu64 ",\"op\":\"%s\",\"key\":",
                  op->process,
                  sgn_history_op_name(op->op));
    write_text(sgn_history_key_text(history, op->key, spare), out);
    (void)fputs(",\"input\":", out);
    write_input(history, op, out);
    (void)fputs(",\"output\":", out);
    write_output(history, op, out);
    (void)fprintf(out,
                  ",\"invoke_ns\":%" PRIu64 ",\"return_ns\":%" PRIu64 ",\"outcome\":\"%s\"}\n",
                  op->invoke_ns,
                  op->return_ns,
                  sgn_history_outcome_name(op->outcome));
    return ferror(out) == 0;
}
