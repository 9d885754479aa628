/* client/route.c - the shape of the ring as the client knows it, and which node a request goes to.
 *
 * A key goes to the first of its homes that can take it now, else to the next, else to any node:
 * all of them can coordinate, a home only saves a hop. Nodes that failed this request come last,
 * and before them those that lately kept silent. What is routed by need not be up to date, so that
 * the table solved here from the members alone is good enough whatever the ring's history. */
#include <stdlib.h>

#include "client/inner.h"
#include "ring/core/check.h"
#include "ring/core/placement.h"

#define RING_RETRY_NS UINT64_C(200000000)
#define WANT_OTHERS   3u /* Nodes dialled besides the homes for a request that nobody can take. */

/* ---- Shape ----------------------------------------------------------------------------------- */

enum sgn_err sgn_shape_create(struct sgn_bytes description, struct sgn_shape **out)
{
    struct sgn_shape *shape = calloc(1, sizeof(*shape));
    if (shape == NULL) {
        return SGN_ERR_NOMEM;
    }
    if (sgn_ring_decode(description, &shape->ring) != SGN_OK) {
        free(shape);
        return SGN_ERR_PROTOCOL;
    }
    const struct sgn_ring *ring = &shape->ring;
    size_t slots = (size_t)ring->partition_count * ring->replica_count;
    size_t scratch_bytes = sgn_placement_scratch_bytes(ring->partition_count, ring->member_count);
    struct sgn_shape *whole = realloc(shape, sizeof(*shape) + slots * sizeof(uint16_t));
    void *scratch = malloc(scratch_bytes);
    if (whole == NULL || scratch == NULL) {
        free(whole == NULL ? shape : whole);
        free(scratch);
        return SGN_ERR_NOMEM;
    }
    whole->ring.table = whole->table;
    enum sgn_err err = sgn_placement_solve(&whole->ring, NULL, scratch, scratch_bytes);
    free(scratch);
    if (err != SGN_OK) {
        free(whole);
        return SGN_ERR_PROTOCOL;
    }
    atomic_init(&whole->refs, 1);
    *out = whole;
    return SGN_OK;
}

struct sgn_shape *sgn_shape_hold(struct sgn_shape *shape)
{
    atomic_fetch_add_explicit(&shape->refs, 1, memory_order_relaxed);
    return shape;
}

void sgn_shape_drop(struct sgn_shape *shape)
{
    if (shape != NULL && atomic_fetch_sub_explicit(&shape->refs, 1, memory_order_acq_rel) == 1) {
        free(shape);
    }
}

int sgn_route_adopt(struct sgn_client *client, struct sgn_shape *shape)
{
    const struct sgn_ring *ring = &shape->ring;
    if (client->shape != NULL && client->shape->ring.epoch >= ring->epoch) {
        return SGN_OK;
    }
    struct sgn_node **members = calloc(ring->member_count, sizeof(struct sgn_node *));
    if (members == NULL) {
        return SGN_ERR_NOMEM;
    }
    for (uint32_t i = 0; i < ring->member_count; i++) {
        members[i] = sgn_pool_node(client, ring->members[i].address);
        if (members[i] == NULL) {
            free(members);
            return SGN_ERR_NOMEM;
        }
    }
    for (uint32_t i = 0; i < client->node_count; i++) {
        client->nodes[i]->is_member = false;
    }
    for (uint32_t i = 0; i < ring->member_count; i++) {
        members[i]->is_member = true;
        members[i]->id = ring->members[i].id;
        if (ring->member_count <= SGN_WARM_NODES_MAX) {
            sgn_pool_want(client, members[i]);
        }
    }
    free(client->member_nodes);
    client->member_nodes = members;
    sgn_shape_drop(client->shape);
    client->shape = sgn_shape_hold(shape);
    atomic_store(&client->epoch, ring->epoch);
    sgn_client_say(client,
                   2,
                   "ring %s, epoch %u: %u nodes, %u partitions of %u copies",
                   ring->name,
                   ring->epoch,
                   ring->member_count,
                   ring->partition_count,
                   ring->replica_count);
    return SGN_OK;
}

void sgn_route_ask_ring(struct sgn_client *client)
{
    if (client->ring_asking || atomic_load(&client->stop)) {
        return;
    }
    struct sgn_request *request = client->ring_request;
    client->ring_asking = true;
    client->ring_retry_ns = 0;
    sgn_request_ring(request);
    request->is_internal = true;
    request->start_ns = sgn_now_ns();
    sgn_attempt_begin(request);
}

void sgn_route_ring_done(struct sgn_client *client)
{
    client->ring_asking = false;
    bool is_behind = client->shape == NULL || client->shape->ring.epoch < client->epoch_seen;
    if (client->ring_request->err != SGN_OK || is_behind || client->stamp_wanted) {
        client->ring_retry_ns = sgn_now_ns() + RING_RETRY_NS;
        sgn_loop_arm(client, client->ring_retry_ns);
    }
}

void sgn_route_locate(struct sgn_request *request)
{
    const struct sgn_ring *ring = &request->shape->ring;
    struct sgn_location *location = &request->location;
    memset(location, 0, sizeof(*location));
    location->struct_bytes = sizeof(*location);
    location->hash = request->hash;
    location->partition = sgn_partition_of(request->hash, ring->partition_count);
    location->home_count = ring->replica_count;
    for (uint32_t i = 0; i < ring->replica_count; i++) {
        uint32_t member = ring->table[location->partition * ring->replica_count + i];
        location->homes[i] = ring->members[member].id;
    }
}

void sgn_route_check_ready(struct sgn_client *client)
{
    bool is_dialling = false;
    bool is_hopeless = client->shape == NULL && client->node_count > 0;
    int fatal = SGN_OK;
    for (uint32_t i = 0; i < client->node_count; i++) {
        const struct sgn_node *node = client->nodes[i];
        bool is_first = node->fails == 0 && sgn_pool_is_dialling(node) && !sgn_pool_is_open(node);
        is_dialling = is_dialling || is_first;
        bool is_refused = node->why_err == SGN_ERR_WRONG_RING || node->why_err == SGN_ERR_VERSION;
        is_hopeless = is_hopeless && is_refused && !sgn_pool_is_open(node);
        fatal = node->why_err;
    }
    bool is_ready = client->shape != NULL && !is_dialling;
    fatal = is_hopeless ? fatal : SGN_OK;
    pthread_mutex_lock(&client->mutex);
    if (is_ready != client->is_ready || fatal != client->fatal_err) {
        client->is_ready = client->is_ready || is_ready;
        client->fatal_err = fatal;
        pthread_cond_broadcast(&client->ready_cond);
    }
    pthread_mutex_unlock(&client->mutex);
}

/* ---- Choice ---------------------------------------------------------------------------------- */

void sgn_route_begin(struct sgn_request *request)
{
    uint8_t raw[SGN_FULL_KEY_BYTES_MAX];
    if (sgn_op_has_key(request->op)) {
        struct sgn_sink full = sgn_sink_of(raw, sizeof(raw));
        sgn_full_key_encode(sgn_bytes_of(request->bucket, request->bucket_bytes),
                            sgn_bytes_of(request->key, request->key_bytes),
                            &full);
        request->hash = sgn_hash(sgn_sink_bytes(&full));
    }
}

static bool was_tried(const struct sgn_request *request, const struct sgn_node *node)
{
    for (uint32_t i = 0; i < request->tried_count; i++) {
        if (request->tried[i] == node) {
            return true;
        }
    }
    return false;
}

static bool is_in_flight_at(const struct sgn_request *request, const struct sgn_node *node)
{
    for (uint32_t i = 0; i < SGN_ATTEMPTS_MAX; i++) {
        if (request->attempts[i].link != NULL && request->attempts[i].link->node == node) {
            return true;
        }
    }
    return false;
}

bool sgn_route_is_candidate(const struct sgn_request *request, const struct sgn_node *node)
{
    if (request->pinned != 0) {
        return node->id == request->pinned;
    }
    return request->client->shape == NULL || node->is_member;
}

/* How picky a pass over the nodes is. */
enum pass { PASS_GOOD, PASS_SUSPECT, PASS_TRIED };

static struct sgn_link *link_if(struct sgn_request *request,
                                struct sgn_node *node,
                                enum pass pass,
                                uint64_t now_ns)
{
    if ((pass == PASS_GOOD && node->suspect_ns > now_ns) ||
        (pass != PASS_TRIED && was_tried(request, node)) || is_in_flight_at(request, node)) {
        return NULL;
    }
    return sgn_pool_link(node);
}

/* Node of the i-th home; the ring must be known. */
static struct sgn_node *home(const struct sgn_request *request, uint32_t index)
{
    const struct sgn_ring *ring = &request->client->shape->ring;
    uint32_t partition = sgn_partition_of(request->hash, ring->partition_count);
    return request->client->member_nodes[ring->table[partition * ring->replica_count + index]];
}

static bool has_homes(const struct sgn_request *request)
{
    return request->pinned == 0 && request->client->shape != NULL && sgn_op_has_key(request->op);
}

static struct sgn_link *search(struct sgn_request *request, enum pass pass, uint64_t now_ns)
{
    struct sgn_client *client = request->client;
    struct sgn_link *link = NULL;
    uint32_t homes = has_homes(request) ? client->shape->ring.replica_count : 0;
    for (uint32_t i = 0; link == NULL && i < homes; i++) {
        link = link_if(request, home(request, i), pass, now_ns);
    }
    uint32_t begin = client->rotate++;
    for (uint32_t i = 0; link == NULL && i < client->node_count; i++) {
        struct sgn_node *node = client->nodes[(begin + i) % client->node_count];
        if (sgn_route_is_candidate(request, node)) {
            link = link_if(request, node, pass, now_ns);
        }
    }
    return link;
}

struct sgn_link *sgn_route_choose(struct sgn_request *request, uint64_t now_ns)
{
    struct sgn_link *link = search(request, PASS_GOOD, now_ns);
    if (link == NULL) {
        link = search(request, PASS_SUSPECT, now_ns);
    }
    if (link == NULL) {
        link = search(request, PASS_TRIED, now_ns);
        request->tried_count = link == NULL ? request->tried_count : 0;
    }
    if (has_homes(request)) {
        sgn_pool_want(request->client, home(request, 0));
    }
    return link;
}

struct sgn_link *sgn_route_hedge(struct sgn_request *request, uint64_t now_ns)
{
    return search(request, PASS_GOOD, now_ns);
}

void sgn_route_want(struct sgn_request *request)
{
    struct sgn_client *client = request->client;
    for (uint32_t i = 0; has_homes(request) && i < client->shape->ring.replica_count; i++) {
        sgn_pool_want(client, home(request, i));
    }
    uint32_t begin = client->rotate++;
    uint32_t wanted = 0;
    uint32_t count = client->node_count;
    for (uint32_t i = 0; i < count && wanted < WANT_OTHERS; i++) {
        struct sgn_node *node = client->nodes[(begin + i) % count];
        if (sgn_route_is_candidate(request, node)) {
            sgn_pool_want(client, node);
            wanted++;
        }
    }
}

bool sgn_route_has_hope(const struct sgn_request *request, uint32_t *count)
{
    const struct sgn_client *client = request->client;
    bool has_hope = false;
    *count = 0;
    for (uint32_t i = 0; i < client->node_count; i++) {
        const struct sgn_node *node = client->nodes[i];
        if (sgn_route_is_candidate(request, node)) {
            *count += 1;
            has_hope = has_hope || sgn_pool_is_open(node) || sgn_pool_is_dialling(node);
        }
    }
    return has_hope;
}

bool sgn_route_is_lost(const struct sgn_request *request)
{
    uint32_t count = 0;
    if (request->pinned == 0 || request->client->shape == NULL) {
        return false;
    }
    (void)sgn_route_has_hope(request, &count);
    return count == 0;
}
