#include "node/http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "ring/net/address.h"

#define HEADERS_BYTES_MAX 8192
#define BODY_BYTES_MAX    1024
#define TIMEOUT_S         10
#define METHODS_ALL                                                                                \
    (EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |     \
     EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH)

struct sgn_http {
    struct evhttp *http;
    sgn_http_fn *serve;
    void *user;
    char address[SGN_ADDRESS_TEXT_BYTES];
};

void sgn_http_reply(struct evhttp_request *request,
                    int code,
                    const char *type,
                    struct evbuffer *body)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    (void)evhttp_add_header(headers, "Content-Type", type);
    (void)evhttp_add_header(headers, "Cache-Control", "no-store");
    (void)evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    if (code >= 400 && code != 503) {
        (void)evhttp_add_header(headers, "Connection", "close");
    }
    evhttp_send_reply(request, code, NULL, body);
}

void sgn_http_text(struct evhttp_request *request, int code, const char *text)
{
    struct evbuffer *body = evbuffer_new();
    if (body != NULL) {
        (void)evbuffer_add_printf(body, "%s\n", text);
    }
    sgn_http_reply(request, code, "text/plain; charset=utf-8", body);
    if (body != NULL) {
        evbuffer_free(body);
    }
}

/* The library takes some requests that no honest program sends (ambiguous lengths, no Host); what
 * cannot be read in one way only is refused. */
static const char *oddity(struct evhttp_request *request)
{
    const char *uri = evhttp_request_get_uri(request);
    uint32_t hosts = 0;
    struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
    struct evkeyval *header = NULL;
    TAILQ_FOREACH(header, headers, next)
    {
        hosts += strcasecmp(header->key, "Host") == 0;
        if (strcasecmp(header->key, "Transfer-Encoding") == 0) {
            return "a GET with a body is not taken here";
        }
        if (strcasecmp(header->key, "Content-Length") == 0 && strcmp(header->value, "0") != 0) {
            return "a GET with a body is not taken here";
        }
    }
    if (uri == NULL || uri[0] != '/' || uri[1] == '/') {
        return "the request must name a path such as /status";
    }
    if (hosts > 1) {
        return "more than one Host header";
    }
    return evbuffer_get_length(evhttp_request_get_input_buffer(request)) > 0
               ? "a GET with a body is not taken here"
               : NULL;
}

static void serve(struct evhttp_request *request, void *user)
{
    struct sgn_http *http = user;
    if (evhttp_request_get_command(request) != EVHTTP_REQ_GET) {
        (void)evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", "GET");
        sgn_http_text(request, 405, "only GET is taken here");
        return;
    }
    const char *odd = oddity(request);
    if (odd != NULL) {
        sgn_http_text(request, 400, odd);
        return;
    }
    char path[64];
    const char *uri = evhttp_request_get_uri(request);
    (void)snprintf(path, sizeof(path), "%.*s", (int)strnlen(uri, sizeof(path)), uri);
    path[strcspn(path, "?")] = '\0';
    http->serve(request, path, http->user);
}

/* The library wants host and port apart. */
static struct evhttp_bound_socket *bind_address(struct evhttp *http, const char *address)
{
    char host[SGN_ADDRESS_TEXT_BYTES];
    struct sgn_address parsed;
    if (sgn_address_parse(address, &parsed, NULL) != SGN_OK) {
        errno = EINVAL;
        return NULL;
    }
    const char *colon = strrchr(address, ':');
    const char *begin = address[0] == '[' ? address + 1 : address;
    const char *end = address[0] == '[' ? colon - 1 : colon;
    (void)snprintf(host, sizeof(host), "%.*s", (int)(end - begin), begin);
    return evhttp_bind_socket_with_handle(http, host, sgn_address_port(&parsed));
}

enum sgn_err sgn_http_create(struct event_base *base,
                             const char *address,
                             sgn_http_fn *serve_path,
                             void *user,
                             struct sgn_http **http,
                             char *error,
                             size_t error_bytes)
{
    struct sgn_http *made = calloc(1, sizeof(*made));
    *http = NULL;
    if (made != NULL) {
        made->serve = serve_path;
        made->user = user;
        made->http = evhttp_new(base);
    }
    if (made == NULL || made->http == NULL) {
        (void)snprintf(error, error_bytes, "out of memory");
        free(made);
        return SGN_ERR_NOMEM;
    }
    evhttp_set_allowed_methods(made->http,
                               METHODS_ALL); /* The others get a clear 405, not a 501. */
    evhttp_set_max_headers_size(made->http, HEADERS_BYTES_MAX);
    evhttp_set_max_body_size(made->http, BODY_BYTES_MAX);
    evhttp_set_timeout(made->http, TIMEOUT_S);
    evhttp_set_gencb(made->http, serve, made);
    errno = 0;
    struct evhttp_bound_socket *socket = bind_address(made->http, address);
    if (socket == NULL) {
        enum sgn_err err = errno == EADDRINUSE ? SGN_ERR_IN_USE : SGN_ERR_CONFIG;
        (void)snprintf(error,
                       error_bytes,
                       "the admin address %s cannot be bound: %s",
                       address,
                       strerror(errno));
        sgn_http_destroy(made);
        return err;
    }
    struct sgn_address bound = {.count = sizeof(bound.at)};
    (void)getsockname(evhttp_bound_socket_get_fd(socket), &bound.at.any, &bound.count);
    sgn_address_format(&bound, made->address);
    *http = made;
    return SGN_OK;
}

void sgn_http_destroy(struct sgn_http *http)
{
    evhttp_free(http->http);
    free(http);
}

const char *sgn_http_address(const struct sgn_http *http)
{
    return http->address;
}
