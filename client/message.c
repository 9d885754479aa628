/* client/message.c - a request as a message to a node, and its outcome as a sentence for a
 * person. */
#include <stdio.h>

#include "client/inner.h"

const char *sgn_op_name(enum sgn_op op)
{
    switch (op) {
    case SGN_OP_NONE: return "request";
    case SGN_OP_GET: return "get";
    case SGN_OP_STAT: return "stat";
    case SGN_OP_PUT: return "put";
    case SGN_OP_DEL: return "del";
    case SGN_OP_LIST: return "list";
    case SGN_OP_BUCKET_CREATE: return "bucket create";
    case SGN_OP_BUCKET_DELETE: return "bucket delete";
    case SGN_OP_BUCKET_LIST: return "bucket list";
    case SGN_OP_STATUS: return "status";
    case SGN_OP_RING: return "ring";
    case SGN_OP_LOCATE: return "locate";
    case SGN_OP_RESOLVE: return "resolve";
    case SGN_OP_MAP: return "map";
    case SGN_OP_WITNESS_ADD: return "witness add";
    case SGN_OP_MAP_CHANGE: return "map change";
    }
    return "request";
}

bool sgn_op_is_write(enum sgn_op op)
{
    return op == SGN_OP_PUT || op == SGN_OP_DEL || op == SGN_OP_BUCKET_CREATE ||
           op == SGN_OP_BUCKET_DELETE || op == SGN_OP_WITNESS_ADD || op == SGN_OP_MAP_CHANGE;
}

bool sgn_op_is_change(enum sgn_op op)
{
    return op == SGN_OP_PUT || op == SGN_OP_DEL;
}

bool sgn_op_is_verdict(enum sgn_op op, int err)
{
    bool is_read = op == SGN_OP_GET || op == SGN_OP_STAT;
    bool is_resolve = op == SGN_OP_RESOLVE;
    switch (err) {
    case SGN_OK: return true;
    case SGN_ERR_NOT_FOUND: return is_read || op == SGN_OP_DEL;
    case SGN_ERR_CONDITION: return is_resolve || sgn_op_is_change(op); /* 3.5 */
    case SGN_ERR_VOID:
    case SGN_ERR_UNKNOWN: return is_resolve;
    default: return false;
    }
}

bool sgn_op_has_key(enum sgn_op op)
{
    return op == SGN_OP_GET || op == SGN_OP_STAT || op == SGN_OP_PUT || op == SGN_OP_DEL ||
           op == SGN_OP_LOCATE || op == SGN_OP_RESOLVE;
}

static void fill_write(const struct sgn_request *request, struct sgn_msg *msg)
{
    msg->n = request->copies;
    msg->id = request->id;
    msg->stamp = request->stamp;
    msg->context = sgn_bytes_of(request->context, request->context_bytes);
    msg->flags = request->flags;
}

void sgn_message_fill(const struct sgn_request *request, struct sgn_msg *msg)
{
    memset(msg, 0, sizeof(*msg));
    msg->bucket = sgn_bytes_of(request->bucket, request->bucket_bytes);
    msg->key = sgn_bytes_of(request->key, request->key_bytes);
    switch (request->op) {
    case SGN_OP_GET:
    case SGN_OP_STAT:
        msg->type = SGN_MSG_GET;
        msg->a = (uint64_t)request->mode;
        msg->n = request->copies;
        msg->flags = request->flags | (request->op == SGN_OP_STAT ? SGN_GET_HEAD_ONLY : 0);
        msg->context = sgn_bytes_of(request->context, request->context_bytes); /* 5.4 */
        return;
    case SGN_OP_PUT:
        msg->type = SGN_MSG_PUT;
        msg->value = request->value;
        fill_write(request, msg);
        return;
    case SGN_OP_DEL:
        msg->type = SGN_MSG_DEL;
        fill_write(request, msg);
        return;
    case SGN_OP_LIST:
        msg->type = SGN_MSG_LIST;
        msg->a = (uint64_t)request->mode;
        msg->after = sgn_bytes_of(request->after, request->after_bytes);
        msg->n = request->limit;
        return;
    case SGN_OP_BUCKET_CREATE:
        msg->type = SGN_MSG_BUCKET_PUT;
        msg->a = request->props_kind;
        msg->b = request->props;
        return;
    case SGN_OP_BUCKET_DELETE: msg->type = SGN_MSG_BUCKET_DEL; return;
    case SGN_OP_BUCKET_LIST: msg->type = SGN_MSG_BUCKET_LIST; return;
    case SGN_OP_STATUS: msg->type = SGN_MSG_STATUS; return;
    case SGN_OP_RESOLVE:
        msg->type = SGN_MSG_RESOLVE;
        msg->id = request->id;
        msg->stamp = request->stamp;
        return;
    case SGN_OP_MAP: msg->type = SGN_MSG_MAP; return;
    case SGN_OP_WITNESS_ADD:
    case SGN_OP_MAP_CHANGE:
        msg->type = SGN_MSG_MAP_CHANGE;
        msg->a = request->props_kind;
        msg->b = request->props;
        msg->text = sgn_bytes_of(request->after, request->after_bytes);
        return;
    case SGN_OP_NONE:
    case SGN_OP_RING:
    case SGN_OP_LOCATE: msg->type = SGN_MSG_RING; return;
    }
}

/* Appends bytes with what a terminal would not show as \xNN, at most `most` of them. */
static void show_bytes(
    char *text, size_t text_bytes, const void *ptr, uint32_t count, uint32_t most)
{
    const uint8_t *raw = ptr;
    size_t at = strlen(text);
    for (uint32_t i = 0; i < count && i < most && at + 5 < text_bytes; i++) {
        bool is_plain = raw[i] >= 0x20 && raw[i] < 0x7f && raw[i] != '\\';
        at += (size_t)snprintf(text + at, text_bytes - at, is_plain ? "%c" : "\\x%02x", raw[i]);
    }
    if (count > most && at + 4 < text_bytes) {
        snprintf(text + at, text_bytes - at, "...");
    }
}

static void show_node(const struct sgn_request *request, char *text, size_t text_bytes)
{
    const struct sgn_client *client = request->client;
    text[0] = '\0';
    for (uint32_t i = 0; request->failed_node != 0 && i < client->node_count; i++) {
        if (client->nodes[i]->id == request->failed_node) {
            snprintf(text,
                     text_bytes,
                     "node %u (%s): ",
                     request->failed_node,
                     client->nodes[i]->address_text);
            return;
        }
    }
}

void sgn_message_explain(struct sgn_request *request)
{
    request->error_text[0] = '\0';
    if (request->err == SGN_OK) {
        return;
    }
    char what[200];
    char node[100];
    char cause[SGN_WHY_BYTES + 8] = "";
    snprintf(what, sizeof(what), "%s", sgn_op_name(request->op));
    if (request->bucket_bytes > 0) {
        show_bytes(what, sizeof(what), " ", 1, 1);
        show_bytes(
            what, sizeof(what), request->bucket, request->bucket_bytes, SGN_BUCKET_BYTES_MAX);
    }
    if (request->key_bytes > 0) {
        show_bytes(what, sizeof(what), "/", 1, 1);
        show_bytes(what, sizeof(what), request->key, request->key_bytes, 60);
    }
    show_node(request, node, sizeof(node));
    /* The outcome in words, and what the last try met when that is something else. */
    if (request->last_why[0] != '\0') {
        snprintf(cause,
                 sizeof(cause),
                 request->err == request->last_err ? "%s" : " (%s)",
                 request->last_why);
    } else if (request->err == request->last_err || request->last_err == SGN_OK) {
        snprintf(cause, sizeof(cause), "%s", sgn_err_text(request->err));
    } else {
        snprintf(cause, sizeof(cause), " (%s)", sgn_err_text(request->last_err));
    }
    snprintf(request->error_text,
             sizeof(request->error_text),
             "%s: %s%s%s",
             what,
             node,
             cause[0] == ' ' ? sgn_err_text(request->err) : "",
             cause);
    size_t at = strlen(request->error_text);
    if (request->tries > 1) {
        snprintf(request->error_text + at,
                 sizeof(request->error_text) - at,
                 ", after %u tries",
                 request->tries);
    }
}
