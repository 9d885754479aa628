/* client/lists.c - the lists a running request is in: all that run, and those without a link. */
#include "client/inner.h"

void sgn_wait_add(struct sgn_request *request)
{
    struct sgn_client *client = request->client;
    request->phase = SGN_PHASE_WAITING;
    if (request->is_waiting) {
        return;
    }
    request->is_waiting = true;
    request->failed_dials = 0;
    request->next_wait = NULL;
    request->prev_wait = client->wait_tail;
    *(client->wait_tail == NULL ? &client->wait_head : &client->wait_tail->next_wait) = request;
    client->wait_tail = request;
}

void sgn_wait_remove(struct sgn_request *request)
{
    struct sgn_client *client = request->client;
    if (!request->is_waiting) {
        return;
    }
    request->is_waiting = false;
    *(request->prev_wait == NULL ? &client->wait_head : &request->prev_wait->next_wait) =
        request->next_wait;
    *(request->next_wait == NULL ? &client->wait_tail : &request->next_wait->prev_wait) =
        request->prev_wait;
}

void sgn_live_add(struct sgn_request *request)
{
    struct sgn_client *client = request->client;
    request->prev_live = NULL;
    request->next_live = client->live;
    if (client->live != NULL) {
        client->live->prev_live = request;
    }
    client->live = request;
}

void sgn_live_remove(struct sgn_request *request)
{
    *(request->prev_live == NULL ? &request->client->live : &request->prev_live->next_live) =
        request->next_live;
    if (request->next_live != NULL) {
        request->next_live->prev_live = request->prev_live;
    }
}
