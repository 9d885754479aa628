/* client/attempt.c - the life of one running request: sent, answered, hedged, tried again, ended.
 *
 *            no link          answer of success, or of a failure that stays
 *   begin -> WAITING -> SENT -----------------------------------------------> finish
 *               ^        |  failure that may pass
 *               +--- BACKOFF            (deadline or cancel: finish from anywhere)
 *
 * A write goes out again with the same id, so a node that has it already changes nothing. Once a
 * try of a write may have been applied, no later failure can undo that: the outcome is then
 * UNKNOWN. */
#include <stdio.h>

#include "client/inner.h"
#include "ring/core/check.h"

#define MS_NS            UINT64_C(1000000)
#define HEDGE_COST       100u /* Of credit; each read earns hedge_percent. */
#define HEDGE_CREDIT_MAX 1000u
#define PUMP_MAX         64u  /* Waiting requests looked at in one go. */
#define FENCED_TRY_MS    500u /* A node refuses what a fence holds up sooner than that. */
#define DIAL_ROUNDS      3u   /* Every node refused this often: nobody is there. */

static void send_or_wait(struct sgn_request *request);

/* ---- The end --------------------------------------------------------------------------------- */

static void attempt_release(struct sgn_attempt *attempt)
{
    if (attempt->link != NULL) {
        sgn_pool_give(attempt->link, attempt->slot);
        attempt->link = NULL;
    }
}

void sgn_attempt_finish(struct sgn_request *request, int err)
{
    struct sgn_client *client = request->client;
    SGN_ASSERT(request->phase != SGN_PHASE_NONE);
    for (uint32_t i = 0; i < SGN_ATTEMPTS_MAX; i++) {
        bool is_sent = request->attempts[i].link != NULL;
        request->maybe_applied |= is_sent && sgn_op_is_write(request->op) && err != SGN_OK;
        attempt_release(&request->attempts[i]);
    }
    if (err != SGN_OK && err != SGN_ERR_CANCELLED && request->maybe_applied) {
        err = SGN_ERR_UNKNOWN;
    }
    request->is_open = request->maybe_applied && sgn_op_is_change(request->op);
    sgn_wait_remove(request);
    sgn_live_remove(request);
    sgn_heap_remove(client, request);
    request->phase = SGN_PHASE_NONE;
    request->err = err;
    request->ns = sgn_now_ns() - request->start_ns;
    sgn_message_explain(request);
    sgn_trace(request, SGN_TRACE_DONE, request->answer_node, err);
    request->next = NULL;
    *(client->done_tail == NULL ? &client->done_head : &client->done_tail->next) = request;
    client->done_tail = request;
}

static void remember(struct sgn_request *request,
                     const struct sgn_node *node,
                     int err,
                     struct sgn_bytes why)
{
    request->last_err = err;
    request->failed_node = node == NULL ? 0 : node->id;
    size_t count = why.count < SGN_WHY_BYTES ? why.count : SGN_WHY_BYTES - 1;
    if (count > 0) {
        memcpy(request->last_why, why.ptr, count);
    }
    request->last_why[count] = '\0';
    if (node != NULL && request->tried_count < SGN_TRIED_MAX) {
        request->tried[request->tried_count++] = node;
    }
}

/* Whether a write that met this error may have been done all the same. */
static bool may_have_applied(int err)
{
    return err == SGN_ERR_UNKNOWN || err == SGN_ERR_TIMEOUT || err == SGN_ERR_NETWORK ||
           err == SGN_ERR_IO || err == SGN_ERR_PROTOCOL;
}

static bool is_worth_another_try(const struct sgn_request *request, int err)
{
    /* Another node may well be in order where this one is not. */
    bool is_node_fault = err == SGN_ERR_PROTOCOL || err == SGN_ERR_IO || err == SGN_ERR_CORRUPT;
    uint32_t retries_max = request->client->settings.retries_max;
    /* A change in doubt goes on with its id until the deadline: some node may know the verdict. */
    bool is_in_doubt = request->maybe_applied && sgn_op_is_change(request->op) && retries_max > 0;
    /* So does one that a fence holds up: it comes to pass by itself, and nothing was written. */
    bool is_waiting = err == SGN_ERR_FENCED && retries_max > 0;
    return (is_in_doubt || is_waiting || request->tries <= retries_max) &&
           (sgn_err_is_retriable(err) || (is_node_fault && request->pinned == 0));
}

/* One attempt has failed and holds no slot any more; last_err and last_why say how. */
static void attempt_failed(struct sgn_request *request)
{
    struct sgn_client *client = request->client;
    int err = request->last_err;
    if (sgn_op_is_write(request->op) && may_have_applied(err)) {
        request->maybe_applied = true;
    }
    for (uint32_t i = 0; i < SGN_ATTEMPTS_MAX; i++) {
        if (request->attempts[i].link != NULL) {
            return; /* The other copy is still on its way. */
        }
    }
    if (!is_worth_another_try(request, err)) {
        sgn_attempt_finish(request, err);
        return;
    }
    atomic_fetch_add(&client->count_retries, 1);
    sgn_trace(request, SGN_TRACE_RETRY, request->failed_node, err);
    if ((err == SGN_ERR_NETWORK || err == SGN_ERR_TIMEOUT) && request->tries == 1) {
        send_or_wait(request); /* The node is to blame; the next one need not be spared. */
        return;
    }
    uint32_t doublings = request->tries < 16 ? request->tries : 16;
    uint64_t wait_ms = (uint64_t)client->settings.retry_wait_ms
                       << (doublings > 0 ? doublings - 1 : 0);
    if (wait_ms > client->settings.retry_wait_max_ms) {
        wait_ms = client->settings.retry_wait_max_ms;
    }
    uint64_t wait_ns = wait_ms * MS_NS;
    wait_ns = wait_ns / 2 + sgn_prng_below(&client->prng, wait_ns / 2 + 1);
    request->phase = SGN_PHASE_BACKOFF;
    request->retry_ns = sgn_now_ns() + wait_ns;
    uint64_t least_ns = err == SGN_ERR_FENCED ? FENCED_TRY_MS * MS_NS : 0;
    if (request->retry_ns + least_ns >= request->deadline_ns) {
        sgn_attempt_finish(request, err); /* There is no time for another try. */
        return;
    }
    sgn_heap_set(client, request, request->retry_ns);
}

/* ---- Sending --------------------------------------------------------------------------------- */

static void schedule(struct sgn_request *request)
{
    uint64_t wake_ns = request->deadline_ns;
    for (uint32_t i = 0; i < SGN_ATTEMPTS_MAX; i++) {
        const struct sgn_attempt *attempt = &request->attempts[i];
        if (attempt->link != NULL && attempt->deadline_ns < wake_ns) {
            wake_ns = attempt->deadline_ns;
        }
    }
    if (request->phase == SGN_PHASE_SENT && request->may_hedge && request->hedge_ns < wake_ns) {
        wake_ns = request->hedge_ns;
    }
    sgn_heap_set(request->client, request, wake_ns);
}

static enum sgn_err attempt_send(struct sgn_request *request, uint32_t index, struct sgn_link *link)
{
    struct sgn_client *client = request->client;
    struct sgn_attempt *attempt = &request->attempts[index];
    struct sgn_msg msg;
    sgn_message_fill(request, &msg);
    uint32_t number = sgn_pool_take(link, request, index);
    msg.request = number;
    msg.epoch = client->shape == NULL ? 0 : client->shape->ring.epoch;
    enum sgn_err err = sgn_conn_send(link->conn, &msg);
    if (err != SGN_OK) {
        sgn_pool_give(link, number);
        return err;
    }
    attempt->link = link;
    attempt->slot = number;
    attempt->deadline_ns = sgn_now_ns() + client->settings.attempt_timeout_ms * MS_NS;
    return SGN_OK;
}

/* Every put and del carries a stamp of the ring's clock, that of its first try (3.5). And who wants
 * a key goes to its first home: there a reader finds what was written a moment ago. False: no node
 * has told stamp or shape yet, and one was asked. */
static bool knows_enough(struct sgn_request *request)
{
    struct sgn_client *client = request->client;
    bool wants_stamp = sgn_op_is_change(request->op) && request->stamp == 0;
    bool wants_shape = client->shape == NULL && request->pinned == 0 && sgn_op_has_key(request->op);
    if (wants_stamp) {
        request->stamp = sgn_clock_time(client, sgn_now_ns());
        wants_stamp = request->stamp == 0;
        client->stamp_wanted = client->stamp_wanted || wants_stamp;
    }
    if (wants_stamp || (wants_shape && request->op != SGN_OP_LOCATE)) {
        sgn_route_ask_ring(client);
        return false;
    }
    return true;
}

/* Tries to send; false if nobody can take it now. */
static bool try_send(struct sgn_request *request)
{
    uint64_t now_ns = sgn_now_ns();
    if (!knows_enough(request)) {
        return false;
    }
    struct sgn_link *link = sgn_route_choose(request, now_ns);
    if (link == NULL) {
        return false;
    }
    enum sgn_err err = attempt_send(request, 0, link);
    if (err == SGN_ERR_BUSY) {
        return false; /* Its buffer is full; answers will come and call the pump. */
    }
    sgn_wait_remove(request);
    if (err != SGN_OK) {
        /* Nothing left this process: the failure says nothing about the write. */
        bool was_maybe = request->maybe_applied;
        request->tries++;
        remember(request, link->node, err, sgn_bytes_str(sgn_err_text(err)));
        request->phase = SGN_PHASE_BACKOFF;
        if (err == SGN_ERR_TOO_LARGE || err == SGN_ERR_INVALID) {
            sgn_attempt_finish(request, err);
            return true;
        }
        attempt_failed(request);
        request->maybe_applied = was_maybe;
        return true;
    }
    request->tries++;
    request->phase = SGN_PHASE_SENT;
    request->hedge_ns = now_ns + request->client->settings.hedge_after_ms * MS_NS;
    sgn_trace(request, SGN_TRACE_SENT, link->node->id, SGN_OK);
    schedule(request);
    return true;
}

static void send_or_wait(struct sgn_request *request)
{
    if (sgn_route_is_lost(request)) {
        char text[60];
        snprintf(text, sizeof(text), "the ring has no node %u", request->pinned);
        remember(request, NULL, SGN_ERR_INVALID, sgn_bytes_str(text));
        sgn_attempt_finish(request, SGN_ERR_INVALID);
        return;
    }
    if (try_send(request)) {
        return;
    }
    sgn_wait_add(request);
    sgn_route_want(request);
    if (request->phase == SGN_PHASE_WAITING) { /* Dialling can have failed at once and ended it. */
        schedule(request);
    }
}

void sgn_attempt_begin(struct sgn_request *request)
{
    struct sgn_client *client = request->client;
    const struct sgn_settings *settings = &client->settings;
    uint32_t timeout_ms = request->timeout_ms == 0 ? settings->timeout_ms : request->timeout_ms;
    request->deadline_ns = request->start_ns + timeout_ms * MS_NS;
    request->phase = SGN_PHASE_BACKOFF;
    request->heap_index = UINT32_MAX;
    if (request->op != SGN_OP_RESOLVE) { /* That one has those of the write it asks about. */
        for (uint32_t i = 0; i < 2; i++) {
            uint64_t random = sgn_prng_next(&client->prng);
            memcpy(request->id.bytes + 8 * i, &random, sizeof(random));
        }
        request->id.bytes[0] |= 1; /* All zero would mean none. */
        request->stamp = 0;
    }
    request->may_hedge = (request->op == SGN_OP_GET || request->op == SGN_OP_STAT) &&
                         settings->hedge_percent > 0 && request->pinned == 0;
    if (request->may_hedge) {
        uint32_t credit = client->hedge_credit + settings->hedge_percent;
        client->hedge_credit = credit > HEDGE_CREDIT_MAX ? HEDGE_CREDIT_MAX : credit;
    }
    sgn_live_add(request);
    sgn_route_begin(request);
    sgn_trace(request, SGN_TRACE_START, 0, SGN_OK);
    if (request->op == SGN_OP_LOCATE && client->shape != NULL) {
        request->shape = sgn_shape_hold(client->shape);
        sgn_route_locate(request);
        sgn_attempt_finish(request, SGN_OK);
        return;
    }
    send_or_wait(request);
}

void sgn_attempt_pump(struct sgn_client *client)
{
    client->pump_wanted = false;
    struct sgn_request *request = client->wait_head;
    for (uint32_t i = 0; request != NULL && request->is_waiting && i < PUMP_MAX; i++) {
        struct sgn_request *next = request->next_wait;
        if (sgn_route_is_lost(request)) {
            send_or_wait(request); /* The ring is known now, and the node it wants is not of it. */
        } else if (try_send(request)) {
            client->pump_wanted = true;
        }
        request = next;
    }
}

/* ---- What comes back ------------------------------------------------------------------------- */

static void notice_epoch(struct sgn_client *client, const struct sgn_msg *msg)
{
    if (msg->epoch > client->epoch_seen) {
        client->epoch_seen = msg->epoch;
        if (client->shape != NULL && msg->epoch > client->shape->ring.epoch) {
            sgn_route_ask_ring(client);
        }
    }
}

void sgn_attempt_answer(struct sgn_link *link, const struct sgn_msg *msg)
{
    struct sgn_client *client = link->client;
    uint32_t index = msg->request & (SGN_SLOTS_MAX - 1);
    notice_epoch(client, msg);
    if (index >= link->slot_count || link->slots[index].request == NULL ||
        ((uint32_t)(link->slots[index].generation * SGN_SLOTS_MAX) | index) != msg->request) {
        return; /* The answer to an attempt that was given up. */
    }
    struct sgn_request *request = link->slots[index].request;
    uint32_t which = link->slots[index].attempt;
    attempt_release(&request->attempts[which]);
    sgn_clock_notice(client, msg->stamp);
    int err = msg->err > 0 || strcmp(sgn_err_name(msg->err), "SGN_ERR_UNLISTED") == 0
                  ? SGN_ERR_PROTOCOL
                  : msg->err;
    sgn_trace(request, SGN_TRACE_ANSWER, link->node->id, err);
    struct sgn_bytes why = msg->text;
    if (sgn_op_is_verdict(request->op, err)) {
        request->answer_copies = msg->a;
        err = sgn_result_take(request, msg);
        if (sgn_op_is_verdict(request->op, err)) {
            request->answer_node = msg->node != 0 ? msg->node : link->node->id;
            atomic_fetch_add(&client->count_hedges_won, which > 0);
            err = request->op == SGN_OP_DEL && err == SGN_ERR_NOT_FOUND ? SGN_OK : err;
            request->maybe_applied = false; /* It is decided. */
            if (err != SGN_OK) {
                remember(request, link->node, err, msg->text);
            }
            sgn_attempt_finish(request, err);
            return;
        }
        why = sgn_bytes_str("the answer is not a valid one");
    }
    if (err == SGN_ERR_PROTOCOL) {
        link->silent = UINT32_MAX / 2; /* The pool's next tick closes it. */
        sgn_loop_arm(client, sgn_now_ns());
    }
    remember(request, link->node, err, why);
    attempt_failed(request);
}

void sgn_attempt_broken(struct sgn_request *request, uint32_t attempt, int err, const char *why)
{
    const struct sgn_node *node = request->attempts[attempt].link->node;
    request->attempts[attempt].link = NULL; /* The slot went with the link. */
    remember(request, node, err, sgn_bytes_str(why));
    attempt_failed(request);
}

void sgn_attempt_dial_failed(struct sgn_client *client, const struct sgn_node *node)
{
    struct sgn_request *request = client->wait_head;
    while (request != NULL) {
        struct sgn_request *next = request->next_wait;
        uint32_t count = 0;
        if (sgn_route_is_candidate(request, node)) {
            request->failed_dials++;
            if (!sgn_route_has_hope(request, &count) &&
                request->failed_dials >= DIAL_ROUNDS * (count < 8 ? count : 8)) {
                int err = node->why_err == SGN_ERR_WRONG_RING || node->why_err == SGN_ERR_VERSION
                              ? node->why_err
                              : SGN_ERR_UNAVAILABLE;
                char text[SGN_WHY_BYTES];
                snprintf(text,
                         sizeof(text),
                         "no node can be reached; %s: %.150s",
                         node->address_text,
                         node->why);
                remember(request, NULL, err, sgn_bytes_str(text));
                sgn_attempt_finish(request, err);
            }
        }
        request = next;
    }
}

/* ---- Time ------------------------------------------------------------------------------------ */

static void deadline_passed(struct sgn_request *request)
{
    const struct sgn_client *client = request->client;
    char text[SGN_WHY_BYTES];
    const struct sgn_node *node = NULL;
    uint64_t waited_ms = (request->deadline_ns - request->start_ns) / MS_NS;
    for (uint32_t i = 0; i < SGN_ATTEMPTS_MAX; i++) {
        struct sgn_link *link = request->attempts[i].link;
        if (link != NULL) {
            node = link->node;
            request->maybe_applied = request->maybe_applied || sgn_op_is_write(request->op);
        }
    }
    if (node == NULL && request->tries > 0) {
        sgn_attempt_finish(request, request->last_err);
        return;
    }
    if (node != NULL) {
        snprintf(text, sizeof(text), "no answer within %llu ms", (unsigned long long)waited_ms);
        remember(request, node, SGN_ERR_TIMEOUT, sgn_bytes_str(text));
        sgn_attempt_finish(request, SGN_ERR_TIMEOUT);
        return;
    }
    bool is_full = false;
    bool is_ignorant = client->stamp_wanted || client->shape == NULL;
    for (uint32_t i = 0; i < client->node_count; i++) {
        is_full = is_full || (sgn_route_is_candidate(request, client->nodes[i]) &&
                              sgn_pool_is_open(client->nodes[i]));
    }
    snprintf(text,
             sizeof(text),
             is_full && is_ignorant ? "no node told the ring's shape and time within %llu ms"
             : is_full              ? "every connection was full for %llu ms"
                                    : "no node could be reached within %llu ms",
             (unsigned long long)waited_ms);
    int err = is_full && !is_ignorant ? SGN_ERR_BUSY : SGN_ERR_UNAVAILABLE;
    remember(request, NULL, err, sgn_bytes_str(text));
    sgn_attempt_finish(request, err);
}

static void hedge(struct sgn_request *request, uint64_t now_ns)
{
    struct sgn_client *client = request->client;
    request->may_hedge = false; /* One for a request. */
    if (client->hedge_credit < HEDGE_COST) {
        return;
    }
    struct sgn_link *link = sgn_route_hedge(request, now_ns);
    uint32_t index = request->attempts[1].link == NULL ? 1 : 0;
    if (link == NULL || attempt_send(request, index, link) != SGN_OK) {
        return;
    }
    client->hedge_credit -= HEDGE_COST;
    request->hedges++;
    atomic_fetch_add(&client->count_hedges, 1);
    sgn_trace(request, SGN_TRACE_HEDGE, link->node->id, SGN_OK);
}

static void sent_wake(struct sgn_request *request, uint64_t now_ns)
{
    for (uint32_t i = 0; i < SGN_ATTEMPTS_MAX; i++) {
        struct sgn_attempt *attempt = &request->attempts[i];
        if (attempt->link != NULL && now_ns >= attempt->deadline_ns) {
            struct sgn_link *link = attempt->link;
            attempt_release(attempt);
            sgn_pool_silent(link, now_ns);
            remember(request,
                     link->node,
                     SGN_ERR_TIMEOUT,
                     sgn_bytes_str("the node did not answer in time"));
            attempt_failed(request);
            if (request->phase != SGN_PHASE_SENT) {
                return;
            }
        }
    }
    if (request->may_hedge && now_ns >= request->hedge_ns) {
        hedge(request, now_ns);
    }
    schedule(request);
}

void sgn_attempt_wake(struct sgn_request *request, uint64_t now_ns)
{
    if (now_ns >= request->deadline_ns) {
        deadline_passed(request);
        return;
    }
    switch (request->phase) {
    case SGN_PHASE_SENT: sent_wake(request, now_ns); return;
    case SGN_PHASE_BACKOFF: send_or_wait(request); return;
    case SGN_PHASE_WAITING: schedule(request); return;
    case SGN_PHASE_NONE: SGN_ASSERT(false); return;
    }
}
