/* client/cli/cli_receipt.c - how a request went, for --explain: the client's account, and the one a
 * node gives of an ordered bucket. That one is JSON whose members the nodes choose; here it is only
 * laid out. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/cli.h"

#define DEPTH_MAX 4 /* Deeper members are shown as JSON. */

static void show_leaf(const json_t *value)
{
    if (json_is_string(value)) {
        (void)fputs(json_string_value(value), stderr);
        return;
    }
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    (void)fputs(text == NULL ? "?" : text, stderr);
    free(text);
}

/* "id 1, answer none" for an object, "1 2 3" for an array of plain values. */
static void show_line(const json_t *value) /* NOLINT(misc-no-recursion): to DEPTH_MAX. */
{
    const char *name = NULL;
    const json_t *member = NULL;
    size_t index = 0;
    if (json_is_object(value)) {
        const char *between = "";
        json_object_foreach((json_t *)(uintptr_t)value, name, member)
        {
            (void)fprintf(stderr, "%s%s ", between, name);
            show_leaf(member);
            between = ", ";
        }
    } else if (json_is_array(value)) {
        (void)fputs(json_array_size(value) == 0 ? "none" : "", stderr);
        json_array_foreach(value, index, member)
        {
            (void)fputs(index > 0 ? " " : "", stderr);
            show_leaf(member);
        }
    } else {
        show_leaf(value);
    }
}

static void show_account(const json_t *account)
{
    const char *name = NULL;
    const json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)account, name, value)
    {
        const json_t *row = NULL;
        size_t index = 0;
        bool is_table = json_is_array(value) && json_is_object(json_array_get(value, 0));
        (void)fprintf(stderr, "  %-10s ", name);
        if (!is_table) {
            show_line(value);
        }
        json_array_foreach(is_table ? value : NULL, index, row)
        {
            if (index > 0) {
                (void)fprintf(stderr, "\n  %-10s ", "");
            }
            show_line(row);
        }
        (void)fputc('\n', stderr);
    }
}

void cli_explain(const struct sgn_request *request, const char *verb)
{
    struct sgn_receipt receipt = {.struct_bytes = sizeof(receipt)};
    sgn_request_receipt(request, &receipt);
    (void)fprintf(stderr,
                  "node %u answered; %u copies %s; %u tries, %u hedges; %.3f ms\n",
                  receipt.node,
                  receipt.copies,
                  verb,
                  receipt.tries,
                  receipt.hedges,
                  (double)receipt.ns / 1e6);
    struct sgn_bytes text = sgn_request_explanation(request);
    json_t *account = text.count == 0 ? NULL : json_loadb(text.ptr, text.count, 0, NULL);
    show_account(account);
    json_decref(account);
}

void cli_json_receipt(const struct sgn_request *request)
{
    struct sgn_receipt receipt = {.struct_bytes = sizeof(receipt)};
    sgn_request_receipt(request, &receipt);
    struct sgn_bytes text = sgn_request_explanation(request);
    json_t *account = text.count == 0 ? NULL : json_loadb(text.ptr, text.count, 0, NULL);
    char *compact = account == NULL ? NULL : json_dumps(account, JSON_COMPACT);
    (void)printf(",\"receipt\":{\"node\":%u,\"copies\":%u,\"tries\":%u,\"hedges\":%u,\"ms\":%.3f,"
                 "\"server\":%s}",
                 receipt.node,
                 receipt.copies,
                 receipt.tries,
                 receipt.hedges,
                 (double)receipt.ns / 1e6,
                 compact == NULL ? "null" : compact);
    free(compact);
    json_decref(account);
}
