/* node/http.h - a small HTTP server for health, metrics and status: only GET without a body is
 * taken, headers, bodies and times are bounded, what can be read in two ways is refused.
 * Threads: the loop's. */
#ifndef SGN_NODE_HTTP_H
#define SGN_NODE_HTTP_H

#include <stddef.h>

#include "ring/core/err.h"

struct event_base;
struct evbuffer;
struct evhttp_request;
struct sgn_http;

/* Answers one request with sgn_http_text or sgn_http_reply; `path` is cut before any "?". */
typedef void sgn_http_fn(struct evhttp_request *request, const char *path, void *user);

/* On failure `error` holds one sentence: SGN_ERR_IN_USE, SGN_ERR_CONFIG, SGN_ERR_NOMEM. */
enum sgn_err sgn_http_create(struct event_base *base,
                             const char *address,
                             sgn_http_fn *serve_path,
                             void *user,
                             struct sgn_http **http,
                             char *error,
                             size_t error_bytes);
void sgn_http_destroy(struct sgn_http *http);

/* Where it listens. */
const char *sgn_http_address(const struct sgn_http *http);

void sgn_http_text(struct evhttp_request *request, int code, const char *text);
/* `body` stays the caller's; it is emptied. */
void sgn_http_reply(struct evhttp_request *request,
                    int code,
                    const char *type,
                    struct evbuffer *body);

#endif
