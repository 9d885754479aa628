/* client/heap.c - running requests by the time they next want attention: a binary heap with the
 * place of each request kept in the request. Room for queue_max of them is made at create. */
#include "client/inner.h"
#include "ring/core/check.h"

static void place(struct sgn_client *client, uint32_t index, struct sgn_request *request)
{
    client->heap[index] = request;
    request->heap_index = index;
}

static void rise(struct sgn_client *client, uint32_t index)
{
    struct sgn_request *request = client->heap[index];
    while (index > 0) {
        uint32_t parent = (index - 1) / 2;
        if (client->heap[parent]->wake_ns <= request->wake_ns) {
            break;
        }
        place(client, index, client->heap[parent]);
        index = parent;
    }
    place(client, index, request);
}

static void sink(struct sgn_client *client, uint32_t index)
{
    struct sgn_request *request = client->heap[index];
    for (;;) {
        uint32_t child = 2 * index + 1;
        if (child >= client->heap_count) {
            break;
        }
        if (child + 1 < client->heap_count &&
            client->heap[child + 1]->wake_ns < client->heap[child]->wake_ns) {
            child++;
        }
        if (request->wake_ns <= client->heap[child]->wake_ns) {
            break;
        }
        place(client, index, client->heap[child]);
        index = child;
    }
    place(client, index, request);
}

void sgn_heap_set(struct sgn_client *client, struct sgn_request *request, uint64_t wake_ns)
{
    request->wake_ns = wake_ns;
    if (request->heap_index == UINT32_MAX) {
        SGN_ASSERT(client->heap_count < client->heap_cap);
        place(client, client->heap_count++, request);
    }
    rise(client, request->heap_index);
    sink(client, request->heap_index);
    if (client->heap[0] == request) {
        sgn_loop_arm(client, wake_ns);
    }
}

void sgn_heap_remove(struct sgn_client *client, struct sgn_request *request)
{
    uint32_t index = request->heap_index;
    if (index == UINT32_MAX) {
        return;
    }
    request->heap_index = UINT32_MAX;
    client->heap_count--;
    if (index < client->heap_count) {
        place(client, index, client->heap[client->heap_count]);
        rise(client, index);
        sink(client, client->heap[index]->heap_index);
    }
}
