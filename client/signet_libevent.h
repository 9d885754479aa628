/* client/signet_libevent.h - a Signet client inside a program that runs libevent: two inline
 * functions. The client must have been created with the option threads = 0. Callbacks of requests
 * then run on the loop's thread. Add it before the loop runs; remove it before the client is
 * destroyed.
 *
 *   struct sgn_libevent glue;
 *   if (sgn_libevent_add(&glue, base, client) != SGN_OK) { ... }
 *   event_base_dispatch(base);
 *   sgn_libevent_remove(&glue); */
#ifndef SIGNET_LIBEVENT_H
#define SIGNET_LIBEVENT_H

#include <event2/event.h>

#include "signet.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sgn_libevent {
    struct sgn_client *client;
    struct event *event;
};

static inline void sgn_libevent_ready(evutil_socket_t fd, short what, void *user)
{
    struct sgn_libevent *glue = (struct sgn_libevent *)user;
    (void)fd;
    (void)what;
    (void)sgn_client_dispatch(glue->client, 0);
}

/* SGN_ERR_INVALID when the client has a thread of its own, SGN_ERR_NOMEM. `glue` is the
 * caller's. */
static inline int sgn_libevent_add(struct sgn_libevent *glue,
                                   struct event_base *base,
                                   struct sgn_client *client)
{
    int fd = sgn_client_fd(client);
    glue->client = client;
    glue->event = NULL;
    if (fd < 0) {
        return SGN_ERR_INVALID;
    }
    glue->event = event_new(base, fd, (short)(EV_READ | EV_PERSIST), sgn_libevent_ready, glue);
    if (glue->event == NULL || event_add(glue->event, NULL) != 0) {
        if (glue->event != NULL) {
            event_free(glue->event);
        }
        glue->event = NULL;
        return SGN_ERR_NOMEM;
    }
    return SGN_OK;
}

static inline void sgn_libevent_remove(struct sgn_libevent *glue)
{
    if (glue->event != NULL) {
        event_free(glue->event);
        glue->event = NULL;
    }
}

#ifdef __cplusplus
}
#endif

#endif
