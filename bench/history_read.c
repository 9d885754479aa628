/* The reader of histories: strict, since a line misread is a verdict that means nothing. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "bench/history.h"
#include "ring/core/check.h"

struct reader {
    struct sgn_history *history;
    const char *name;
    unsigned long line;
    struct sgn_why *why;
};

static bool refuse(const struct reader *reader, const char *problem, const char *what)
{
    sgn_why_set(reader->why, "%s:%lu: %s%s", reader->name, reader->line, problem, what);
    return false;
}

static bool read_text(const struct reader *reader,
                      struct sgn_history_texts *texts,
                      const json_t *json,
                      const char *what,
                      uint64_t *out)
{
    if (!json_is_string(json)) {
        return refuse(reader, "not a string: ", what);
    }
    struct sgn_bytes text = sgn_bytes_of(json_string_value(json), json_string_length(json));
    if (text.count > SGN_HISTORY_TEXT_MAX) {
        return refuse(reader, "longer than 4096 bytes: ", what);
    }
    *out = sgn_history_number(texts, text);
    return *out != 0 || refuse(reader, "no memory left for this text: ", what);
}

static bool read_value(const struct reader *reader,
                       const json_t *json,
                       const char *what,
                       uint64_t *out)
{
    *out = SGN_HISTORY_ABSENT;
    if (json == NULL) {
        return refuse(reader, "there is no ", what);
    }
    return json_is_null(json) || read_text(reader, &reader->history->values, json, what, out);
}

static bool read_number(const struct reader *reader,
                        const json_t *object,
                        const char *member,
                        uint64_t *out)
{
    const json_t *json = json_object_get(object, member);
    if (!json_is_integer(json) || json_integer_value(json) < 0) {
        return refuse(reader, "not a whole number of 0 or more: ", member);
    }
    *out = (uint64_t)json_integer_value(json);
    return true;
}

/* The position of a member's text in a list of names. */
static bool read_name(const struct reader *reader,
                      const json_t *object,
                      const char *member,
                      const char *(*name_of)(uint32_t),
                      uint32_t *out)
{
    const char *text = json_string_value(json_object_get(object, member));
    for (*out = 0; *out < 4; (*out)++) {
        if (text != NULL && strcmp(text, name_of(*out)) == 0) {
            return true;
        }
    }
    return refuse(reader,
                  strcmp(member, "op") == 0 ? "op is none of get, put, del, cas"
                                            : "outcome is none of ok, rejected, unknown, fail",
                  "");
}

static const char *op_name(uint32_t index)
{
    return sgn_history_op_name((enum sgn_history_op)index);
}

static const char *outcome_name(uint32_t index)
{
    return sgn_history_outcome_name((enum sgn_history_outcome)index);
}

static bool read_input(const struct reader *reader, const json_t *json, struct sgn_operation *op)
{
    switch (op->op) {
    case SGN_HISTORY_PUT:
        return read_value(reader, json, "input", &op->value) &&
               (op->value != SGN_HISTORY_ABSENT || refuse(reader, "a put of nothing: input", ""));
    case SGN_HISTORY_CAS:
        if (!json_is_object(json)) {
            return refuse(reader, "the input of a cas is {expect, value}", "");
        }
        return read_value(reader, json_object_get(json, "expect"), "input.expect", &op->expect) &&
               read_value(reader, json_object_get(json, "value"), "input.value", &op->value);
    case SGN_HISTORY_GET:
    case SGN_HISTORY_DEL: break;
    }
    return json == NULL || json_is_null(json) ||
           refuse(reader, "get and del take no input, so it must be null", "");
}

/* Only a read and a rejection say something; what others say has no meaning here. */
static bool read_output(const struct reader *reader, const json_t *json, struct sgn_operation *op)
{
    op->output = SGN_HISTORY_UNTOLD;
    if (op->op == SGN_HISTORY_GET && op->outcome == SGN_HISTORY_OK) {
        return read_value(reader, json, "output", &op->output);
    }
    if (op->outcome != SGN_HISTORY_REJECTED || json == NULL || json_is_null(json)) {
        return true;
    }
    if (json_is_object(json)) {
        return read_value(reader, json_object_get(json, "met"), "output.met", &op->output);
    }
    return read_value(reader, json, "output", &op->output);
}

static bool read_times(const struct reader *reader, const json_t *object, struct sgn_operation *op)
{
    if (!read_number(reader, object, "invoke_ns", &op->invoke_ns)) {
        return false;
    }
    if (op->outcome == SGN_HISTORY_UNKNOWN && json_is_null(json_object_get(object, "return_ns"))) {
        op->return_ns = op->invoke_ns; /* It has no meaning for an unknown operation. */
        return true;
    }
    if (!read_number(reader, object, "return_ns", &op->return_ns)) {
        return false;
    }
    return op->return_ns >= op->invoke_ns || refuse(reader, "return_ns is before invoke_ns", "");
}

static bool read_operation(const struct reader *reader, const json_t *object)
{
    struct sgn_operation op = {0};
    uint32_t kind = 0;
    uint32_t outcome = 0;
    if (!json_is_object(object)) {
        return refuse(reader, "not an object", "");
    }
    if (!read_name(reader, object, "op", op_name, &kind) ||
        !read_name(reader, object, "outcome", outcome_name, &outcome) ||
        !read_number(reader, object, "process", &op.process) ||
        !read_text(
            reader, &reader->history->keys, json_object_get(object, "key"), "key", &op.key)) {
        return false;
    }
    op.op = (enum sgn_history_op)kind;
    op.outcome = (enum sgn_history_outcome)outcome;
    if (op.outcome == SGN_HISTORY_REJECTED && op.op != SGN_HISTORY_CAS) {
        return refuse(reader, "only a cas can be rejected", "");
    }
    if (!read_input(reader, json_object_get(object, "input"), &op) ||
        !read_output(reader, json_object_get(object, "output"), &op) ||
        !read_times(reader, object, &op)) {
        return false;
    }
    return sgn_history_add(reader->history, &op) ||
           refuse(reader, "no memory left for the history", "");
}

static bool read_line(const struct reader *reader, const char *line, size_t bytes)
{
    if (strspn(line, " \t\r\n") == bytes) {
        return true;
    }
    if (bytes > SGN_HISTORY_LINE_BYTES) {
        return refuse(reader, "the line is too long", "");
    }
    json_error_t error;
    json_t *object = json_loadb(line, bytes, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL) {
        return refuse(reader, "not JSON: ", error.text);
    }
    bool good = read_operation(reader, object);
    json_decref(object);
    return good;
}

bool sgn_history_read(struct sgn_history *history, FILE *in, const char *name, struct sgn_why *why)
{
    SGN_ASSERT(history->count == 0);
    struct reader reader = {.history = history, .name = name, .why = why};
    char *line = NULL;
    size_t cap = 0;
    bool good = true;
    errno = 0;
    for (ssize_t got = 0; good && (got = getline(&line, &cap, in)) >= 0;) {
        reader.line++;
        good = read_line(&reader, line, (size_t)got);
    }
    if (good && (ferror(in) != 0 || feof(in) == 0)) {
        good = refuse(&reader, "cannot be read: ", strerror(errno));
    }
    free(line);
    if (!good) {
        sgn_history_clear(history);
    }
    return good;
}
