#include "ring/net/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <unistd.h>

#define BACKLOG          512
#define ACCEPTS_PER_TURN 64  /* The connections there are wait no longer than this many new ones. */
#define REST_MS          100 /* After the process ran out of descriptors. */

struct sgn_listener {
    int fd;
    struct event accept_event, rest_event;
    struct sgn_address address;
    sgn_accept_fn *accepted;
    void *user;
};

/* Accepting goes on when some descriptors may have been freed; until then the sockets wait in the
 * kernel's queue instead of waking the loop over and over. */
static void rest(struct sgn_listener *listener)
{
    struct timeval pause = {.tv_usec = REST_MS * 1000};
    if (event_add(&listener->rest_event, &pause) == 0) {
        (void)event_del(&listener->accept_event);
    }
}

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct sgn_listener *listener = arg;
    if (event_add(&listener->accept_event, NULL) != 0) {
        rest(listener);
    }
}

static void on_acceptable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct sgn_listener *listener = arg;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sgn_address from = {.count = sizeof(from.at)};
        int accepted = accept4(fd, &from.at.any, &from.count, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0) {
            listener->accepted(accepted, &from, listener->user);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            rest(listener);
            return;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        }
        /* Otherwise that one connection failed before it was taken; the next may be good. */
    }
}

static enum sgn_err refuse(int error, const struct sgn_address *address, struct sgn_why *why)
{
    char text[SGN_ADDRESS_TEXT_BYTES];
    char reason[96];
    sgn_address_format(address, text);
    switch (error) {
    case EADDRINUSE:
        sgn_why_set(why, "cannot listen on %s: another program does already", text);
        return SGN_ERR_IN_USE;
    case EADDRNOTAVAIL:
        sgn_why_set(why, "cannot listen on %s: no such address on this machine", text);
        return SGN_ERR_CONFIG;
    case EACCES:
        sgn_why_set(why, "cannot listen on %s: ports below 1024 need special rights", text);
        return SGN_ERR_CONFIG;
    case ENOMEM: sgn_why_set(why, "cannot listen on %s: out of memory", text); return SGN_ERR_NOMEM;
    default:
        sgn_why_set(
            why, "cannot listen on %s: %s", text, strerror_r(error, reason, sizeof(reason)));
        return SGN_ERR_NETWORK;
    }
}

/* 0 or errno. */
static int bind_and_listen(struct sgn_listener *listener, const struct sgn_address *address)
{
    int yes = 1;
    listener->fd = socket(address->at.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0) {
        return errno;
    }
    if (setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0) {
        return errno;
    }
    if (address->at.any.sa_family == AF_INET6 &&
        setsockopt(listener->fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes)) != 0) {
        return errno;
    }
    if (bind(listener->fd, &address->at.any, address->count) != 0 ||
        listen(listener->fd, BACKLOG) != 0) {
        return errno;
    }
    listener->address.count = sizeof(listener->address.at);
    return getsockname(listener->fd, &listener->address.at.any, &listener->address.count) == 0
               ? 0
               : errno;
}

enum sgn_err sgn_listener_create(struct event_base *base,
                                 const struct sgn_address *address,
                                 sgn_accept_fn *accepted,
                                 void *user,
                                 struct sgn_listener **listener,
                                 struct sgn_why *why)
{
    *listener = NULL;
    struct sgn_listener *made = calloc(1, sizeof(*made));
    if (made == NULL) {
        return refuse(ENOMEM, address, why);
    }
    made->accepted = accepted;
    made->user = user;
    int error = bind_and_listen(made, address);
    if (error == 0 &&
        (event_assign(
             &made->accept_event, base, made->fd, EV_READ | EV_PERSIST, on_acceptable, made) != 0 ||
         event_assign(&made->rest_event, base, -1, 0, on_rested, made) != 0 ||
         event_add(&made->accept_event, NULL) != 0)) {
        error = ENOMEM;
    }
    if (error != 0) {
        if (made->fd >= 0) {
            (void)close(made->fd);
        }
        free(made);
        return refuse(error, address, why);
    }
    *listener = made;
    return SGN_OK;
}

void sgn_listener_destroy(struct sgn_listener *listener)
{
    if (listener == NULL) {
        return;
    }
    (void)event_del(&listener->accept_event);
    (void)event_del(&listener->rest_event);
    (void)close(listener->fd);
    free(listener);
}

const struct sgn_address *sgn_listener_address(const struct sgn_listener *listener)
{
    return &listener->address;
}
