#include "node/admin.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/http.h"
#include "node/prometheus.h"
#include "node/status.h"

struct sgn_admin {
    struct sgn_driver *driver;
    struct sgn_http *http;
};

static void serve_health(struct sgn_admin *admin, struct evhttp_request *request, const char *which)
{
    struct sgn_health verdict;
    sgn_status_verdict(admin->driver, &verdict);
    bool good = strcmp(which, "ready") == 0 ? verdict.ready : verdict.ring_ok;
    char text[320];
    (void)snprintf(text,
                   sizeof(text),
                   "%s%s%s",
                   verdict.word,
                   verdict.reason[0] != '\0' ? ": " : "",
                   verdict.reason);
    sgn_http_text(request, good ? 200 : 503, text);
}

static void serve_metrics(struct sgn_admin *admin, struct evhttp_request *request)
{
    struct evbuffer *body = evbuffer_new();
    if (body == NULL) {
        sgn_http_text(request, 503, "out of memory");
        return;
    }
    sgn_prometheus_write(admin->driver, body);
    sgn_http_reply(request, 200, "text/plain; version=0.0.4; charset=utf-8", body);
    evbuffer_free(body);
}

static void serve_status(struct sgn_admin *admin, struct evhttp_request *request)
{
    size_t bytes = 0;
    char *json = sgn_status_json(admin->driver, &bytes);
    struct evbuffer *body = evbuffer_new();
    if (json == NULL || body == NULL) {
        sgn_http_text(request, 503, "out of memory");
    } else {
        (void)evbuffer_add(body, json, bytes);
        sgn_http_reply(request, 200, "application/json", body);
    }
    free(json);
    if (body != NULL) {
        evbuffer_free(body);
    }
}

static void serve(struct evhttp_request *request, const char *path, void *user)
{
    struct sgn_admin *admin = user;
    if (strcmp(path, "/health/live") == 0) {
        sgn_http_text(request, 200, "alive");
    } else if (strcmp(path, "/health/ready") == 0) {
        serve_health(admin, request, "ready");
    } else if (strcmp(path, "/health/cluster") == 0) {
        serve_health(admin, request, "cluster");
    } else if (strcmp(path, "/metrics") == 0) {
        serve_metrics(admin, request);
    } else if (strcmp(path, "/status") == 0) {
        serve_status(admin, request);
    } else {
        sgn_http_text(
            request, 404, "there are /health/live /health/ready /health/cluster /metrics /status");
    }
}

enum sgn_err sgn_admin_create(struct sgn_driver *driver,
                              struct event_base *base,
                              const char *address,
                              struct sgn_admin **admin,
                              char *error,
                              size_t error_bytes)
{
    struct sgn_admin *made = calloc(1, sizeof(*made));
    *admin = NULL;
    if (made == NULL) {
        (void)snprintf(error, error_bytes, "out of memory");
        return SGN_ERR_NOMEM;
    }
    made->driver = driver;
    enum sgn_err err = sgn_http_create(base, address, serve, made, &made->http, error, error_bytes);
    if (err != SGN_OK) {
        free(made);
        return err;
    }
    *admin = made;
    return SGN_OK;
}

void sgn_admin_destroy(struct sgn_admin *admin)
{
    sgn_http_destroy(admin->http);
    free(admin);
}

const char *sgn_admin_address(const struct sgn_admin *admin)
{
    return sgn_http_address(admin->http);
}
