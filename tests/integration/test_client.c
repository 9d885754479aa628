/* The client library against nodes made up in this file, which answer, fail and keep silent
 * exactly as told; plain main, so that it runs under ThreadSanitizer too. The nodes share one
 * thread and speak through ring/net, so what is tested is the whole library down to the sockets. */
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "client/signet.h"
#include "ring/core/err_table.h"
#include "tests/lib/client_help.h"
#include "tests/lib/fake_nodes.h"

static void test_errors_agree(void)
{
#define SAME(name, code, retriable, text)                                                          \
    CHECK(name == (code) && strcmp(sgn_err_name(code), #name) == 0 &&                              \
          sgn_err_is_retriable(code) == (retriable));
    SGN_ERR_TABLE(SAME) /* The names come from signet.h here: it was included first. */
#undef SAME
}

static void test_operations(struct sgn_client *client)
{
    struct sgn_request *request = sgn_request_create(client);
    CHECK_ERR(sgn_client_wait_ready(client, 5000), SGN_OK);
    CHECK_ERR(get(request, "nothing"), SGN_ERR_NOT_FOUND);
    CHECK(strstr(sgn_request_error(request), "get loose/nothing") != NULL);
    CHECK_ERR(put(request, "a", "one"), SGN_OK);
    CHECK(sgn_request_context(request).count == 17 && receipt_of(request).copies == 2);
    CHECK_ERR(get(request, "a"), SGN_OK);
    CHECK(sgn_bytes_equal(sgn_request_value(request), sgn_text("one")));
    CHECK(sgn_request_sibling_count(request) == 1 && strlen(sgn_request_version(request)) == 16);
    struct sgn_value_info info = {.struct_bytes = sizeof(info)};
    CHECK_ERR(sgn_request_sibling(request, 0, &info), SGN_OK);
    CHECK(strcmp(info.dot, "7.1:1") == 0 && info.written_ms == 1000001 && info.value_bytes == 3);
    CHECK_ERR(sgn_request_sibling(request, 1, &info), SGN_ERR_INVALID);

    char context[2048];
    snprintf(context, sizeof(context), "%s", sgn_request_context_text(request));
    sgn_request_put(request, sgn_text("loose"), sgn_text("a"), sgn_text("two"));
    CHECK_ERR(sgn_request_set_context_text(request, context), SGN_OK);
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    sgn_request_put(request, sgn_text("loose"), sgn_text("a"), sgn_text("two"));
    CHECK_ERR(sgn_request_set_context_text(request, "not a context!"), SGN_ERR_INVALID);
    CHECK_ERR(sgn_request_run(request), SGN_ERR_INVALID);

    sgn_request_stat(request, sgn_text("loose"), sgn_text("a"));
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    CHECK_ERR(sgn_request_sibling(request, 0, &info), SGN_OK);
    CHECK(info.value.count == 0 && info.value_bytes == 3 && sgn_request_value(request).count == 0);

    CHECK_ERR(put(request, "ab", "x"), SGN_OK);
    sgn_request_list(request, sgn_text("loose"), sgn_text("a"));
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    struct sgn_item_info item = {.struct_bytes = sizeof(item)};
    CHECK(sgn_request_item_count(request) == 2 && sgn_request_list_end(request) == 1);
    CHECK_ERR(sgn_request_item(request, 1, &item), SGN_OK);
    CHECK(sgn_bytes_equal(item.key, sgn_text("ab")) && item.value_bytes == 1 &&
          item.sibling_count == 1);
    CHECK(sgn_bytes_equal(sgn_request_list_after(request), sgn_text("zz")));

    sgn_request_bucket_list(request);
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    struct sgn_bucket_info bucket = {.struct_bytes = sizeof(bucket)};
    CHECK_ERR(sgn_request_bucket_info(request, 0, &bucket), SGN_OK);
    CHECK(strcmp(bucket.name, "loose") == 0 && bucket.w == 2);
    sgn_request_bucket_create(request, sgn_text("more"), SGN_BUCKET_AVAILABLE, 3, 1, 1);
    CHECK_ERR(sgn_request_run(request), SGN_OK);

    sgn_request_status(request, 2);
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    CHECK(sgn_bytes_equal(sgn_request_value(request), sgn_text("{\"node\":2}")));
    sgn_request_status(request, 9);
    CHECK_ERR(sgn_request_run(request), SGN_ERR_INVALID);
    CHECK(strstr(sgn_request_error(request), "no node 9") != NULL);

    sgn_request_ring(request);
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    struct sgn_ring_info ring = {.struct_bytes = sizeof(ring)};
    struct sgn_node_info node = {.struct_bytes = sizeof(node)};
    CHECK_ERR(sgn_request_ring_info(request, &ring), SGN_OK);
    CHECK_ERR(sgn_request_node(request, 2, &node), SGN_OK);
    CHECK(ring.partition_count == 64 && ring.node_count == 3 && node.id == 3 && node.slots == 64);
    uint32_t homes[3];
    CHECK(sgn_request_homes(request, 5, homes, 3) == 3 && homes[0] != homes[1]);

    sgn_request_del(request, sgn_text("loose"), sgn_text("a"));
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    CHECK_ERR(get(request, "a"), SGN_ERR_NOT_FOUND);
    sgn_request_destroy(request);
}

static void test_bad_input(struct sgn_client *client)
{
    static char large[2000];
    struct sgn_request *request = sgn_request_create(client);
    memset(large, 'k', sizeof(large));
    sgn_request_get(request, sgn_text("Bad Bucket"), sgn_text("k"));
    CHECK_ERR(sgn_request_run(request), SGN_ERR_INVALID);
    CHECK(strstr(sgn_request_error(request), "bucket name") != NULL);
    sgn_request_get(request, sgn_text("loose"), (struct sgn_bytes){large, sizeof(large)});
    CHECK_ERR(sgn_request_run(request), SGN_ERR_TOO_LARGE);
    sgn_request_put(
        request, sgn_text("loose"), sgn_text("k"), (struct sgn_bytes){large, (16u << 20) + 1});
    CHECK_ERR(sgn_request_start(request, NULL, NULL), SGN_ERR_TOO_LARGE);
    sgn_request_get(request, sgn_text("loose"), sgn_text("k"));
    sgn_request_set_copies(request, 8);
    CHECK_ERR(sgn_request_run(request), SGN_ERR_INVALID);
    sgn_request_reset(request);
    CHECK_ERR(sgn_request_run(request), SGN_ERR_INVALID);
    sgn_request_destroy(request);
}

static uint32_t served(uint32_t node)
{
    return atomic_load(&fakes[node - 1].served);
}

static void test_routing(void)
{
    struct sgn_client *client = client_of("hedge_percent=0");
    struct sgn_request *request = sgn_request_create(client);
    CHECK_ERR(sgn_client_wait_ready(client, 5000), SGN_OK);
    uint32_t right = 0;
    for (uint32_t i = 0; i < 100; i++) {
        char key[20];
        snprintf(key, sizeof(key), "key%u", i);
        struct sgn_location location = locate(request, key);
        CHECK(location.home_count == 3);
        uint32_t before = served(location.homes[0]);
        CHECK_ERR(put(request, key, "v"), SGN_OK);
        right += served(location.homes[0]) == before + 1 &&
                 receipt_of(request).node == location.homes[0];
    }
    CHECK(right == 100);
    sgn_request_destroy(request);
    sgn_client_destroy(client);
}

/* One failure of that manner at the first home; then the second home must have answered. Each with
 * a client of its own, for a node that failed is spared for a while. */
static void retry_case(enum manner manner, bool is_get)
{
    struct sgn_client *client = client_of("attempt_timeout_ms=500 timeout_ms=5000 hedge_percent=0");
    struct sgn_request *request = sgn_request_create(client);
    CHECK_ERR(sgn_client_wait_ready(client, 5000), SGN_OK);
    struct sgn_location location = locate(request, "again");
    told(location.homes[0], manner, 1);
    CHECK_ERR(is_get ? get(request, "again") : put(request, "again", "1"), SGN_OK);
    CHECK(receipt_of(request).tries == 2 && receipt_of(request).node == location.homes[1]);
    CHECK(counts_of(client).retries == 1);
    sgn_request_destroy(request);
    sgn_client_destroy(client);
}

static void test_retries(void)
{
    uint32_t applied_before = atomic_load(&applied);
    retry_case(ANSWER_BUSY, false);
    CHECK(atomic_load(&applied) == applied_before + 1 && atomic_load(&duplicates) == 0);
    /* Done, but the answer is lost: the second try carries the same id and changes nothing. */
    retry_case(SWALLOW, false);
    CHECK(atomic_load(&applied) == applied_before + 2 && atomic_load(&duplicates) == 1);
    retry_case(HANG_UP, false);
    CHECK(atomic_load(&applied) == applied_before + 3 && atomic_load(&duplicates) == 2);
    retry_case(SWALLOW, true);
    retry_case(HANG_UP, true);
    retry_case(GARBAGE, true);
}

static void test_outcomes(void)
{
    struct sgn_client *client = client_of("attempt_timeout_ms=500 timeout_ms=5000 hedge_percent=0");
    struct sgn_request *request = sgn_request_create(client);
    CHECK_ERR(sgn_client_wait_ready(client, 5000), SGN_OK);
    struct sgn_location location = locate(request, "again");

    /* Refused everywhere with certainty: a failure, not an unknown. */
    all_told(ANSWER_UNAVAILABLE, 0);
    CHECK_ERR(put(request, "again", "4"), SGN_ERR_UNAVAILABLE);
    CHECK(strstr(sgn_request_error(request), "told to refuse") != NULL &&
          strstr(sgn_request_error(request), "tries") != NULL);
    /* Swallowed once and then refused: nobody can say. */
    all_told(ANSWER_UNAVAILABLE, 0);
    told(location.homes[0], SWALLOW, 0);
    sgn_request_put(request, sgn_text("loose"), sgn_text("again"), sgn_text("5"));
    sgn_request_set_timeout(request, 600);
    CHECK_ERR(sgn_request_run(request), SGN_ERR_UNKNOWN);
    all_told(SWALLOW, 0);
    sgn_request_put(request, sgn_text("loose"), sgn_text("again"), sgn_text("6"));
    sgn_request_set_timeout(request, 300);
    CHECK_ERR(sgn_request_run(request), SGN_ERR_UNKNOWN);
    uint64_t took_ms = receipt_of(request).ns / 1000000;
    CHECK(took_ms >= 250 && took_ms < 2000);
    sgn_request_get(request, sgn_text("loose"), sgn_text("again"));
    sgn_request_set_timeout(request, 50);
    CHECK_ERR(sgn_request_run(request), SGN_ERR_TIMEOUT);
    all_told(ANSWER, 0);
    CHECK_ERR(get(request, "again"), SGN_OK);
    CHECK(counts_of(client).retries > 5);
    sgn_request_destroy(request);
    sgn_client_destroy(client);
}

static void test_dead_node(void)
{
    struct sgn_client *client = client_of("hedge_percent=0 timeout_ms=2000");
    struct sgn_request *request = sgn_request_create(client);
    CHECK_ERR(sgn_client_wait_ready(client, 5000), SGN_OK);
    struct sgn_location location = locate(request, "dead");
    sgn_request_destroy(request);
    sgn_client_destroy(client);

    atomic_store(&fakes[location.homes[0] - 1].is_dead, true);
    client = client_of("hedge_percent=0 timeout_ms=2000");
    request = sgn_request_create(client);
    CHECK_ERR(sgn_client_wait_ready(client, 5000), SGN_OK);
    for (uint32_t i = 0; i < 20; i++) {
        CHECK_ERR(put(request, "dead", "1"), SGN_OK);
        CHECK(receipt_of(request).node == location.homes[1]);
    }
    /* It comes back, and is used again. */
    atomic_store(&fakes[location.homes[0] - 1].is_dead, false);
    bool is_back = false;
    for (uint32_t i = 0; i < 400 && !is_back; i++) {
        CHECK_ERR(put(request, "dead", "2"), SGN_OK);
        is_back = receipt_of(request).node == location.homes[0];
        (void)poll(NULL, 0, 10);
    }
    CHECK(is_back);
    sgn_request_destroy(request);
    sgn_client_destroy(client);
}

static void test_nobody(void)
{
    for (uint32_t i = 0; i < NODES; i++) {
        atomic_store(&fakes[i].is_dead, true);
    }
    struct sgn_client *client = client_of("timeout_ms=3000");
    struct sgn_request *request = sgn_request_create(client);
    CHECK_ERR(put(request, "k", "v"), SGN_ERR_UNAVAILABLE);
    CHECK(strstr(sgn_request_error(request), "127.0.0.1") != NULL);
    CHECK_ERR(sgn_client_wait_ready(client, 50), SGN_ERR_TIMEOUT);
    char text[300];
    sgn_client_error(client, text, sizeof(text));
    CHECK(strstr(text, "127.0.0.1") != NULL);
    for (uint32_t i = 0; i < NODES; i++) {
        atomic_store(&fakes[i].is_dead, false);
    }
    CHECK_ERR(sgn_client_wait_ready(client, 5000), SGN_OK);
    CHECK_ERR(put(request, "k", "v"), SGN_OK);
    sgn_request_destroy(request);
    sgn_client_destroy(client);
}

static void test_wrong_ring(void)
{
    struct sgn_client *client = client_of("ring_name=another timeout_ms=2000");
    struct sgn_request *request = sgn_request_create(client);
    CHECK_ERR(get(request, "k"), SGN_ERR_WRONG_RING);
    CHECK_ERR(sgn_client_wait_ready(client, 5000), SGN_ERR_WRONG_RING);
    sgn_request_destroy(request);
    sgn_client_destroy(client);
}

static void test_hedge(void)
{
    struct sgn_client *client = client_of("hedge_percent=100 hedge_after_ms=5");
    struct sgn_request *request = sgn_request_create(client);
    CHECK_ERR(sgn_client_wait_ready(client, 5000), SGN_OK);
    CHECK_ERR(put(request, "hedged", "1"), SGN_OK);
    struct sgn_location location = locate(request, "hedged");
    told(location.homes[0], SLOW, 0);
    CHECK_ERR(get(request, "hedged"), SGN_OK);
    struct sgn_receipt receipt = receipt_of(request);
    CHECK(receipt.hedges == 1 && receipt.tries == 1 && receipt.node != location.homes[0]);
    CHECK(receipt.ns < 790 * UINT64_C(1000000));
    /* A write is never sent twice for speed. */
    CHECK_ERR(put(request, "hedged", "2"), SGN_OK);
    CHECK(receipt_of(request).hedges == 0 && receipt_of(request).ns > 790 * UINT64_C(1000000));
    sgn_request_destroy(request);
    sgn_client_destroy(client);

    /* The budget: 10 of a hundred. */
    client = client_of("hedge_percent=10 hedge_after_ms=2");
    request = sgn_request_create(client);
    CHECK_ERR(sgn_client_wait_ready(client, 5000), SGN_OK);
    atomic_store(&slow_ms, 10);
    for (uint32_t i = 0; i < 40; i++) {
        CHECK_ERR(get(request, "hedged"), SGN_OK);
    }
    struct sgn_client_counts counts = counts_of(client);
    CHECK(counts.hedges >= 1 && counts.hedges <= 4);
    all_told(ANSWER, 0);
    sgn_request_destroy(request);
    sgn_client_destroy(client);
}

struct tally {
    atomic_uint done, failed;
    uint32_t again;
};

static void tally_done(struct sgn_request *request, int err, void *user)
{
    struct tally *tally = user;
    atomic_fetch_add(&tally->failed, err != SGN_OK);
    CHECK_ERR(sgn_request_run(request), SGN_ERR_INVALID); /* Would wait for itself. */
    if (tally->again > 0) {
        tally->again--;
        sgn_request_put(request, sgn_text("loose"), sgn_text("async"), sgn_text("v"));
        CHECK_ERR(sgn_request_start(request, tally_done, tally), SGN_OK);
    }
    atomic_fetch_add(&tally->done, 1);
}

static void wait_count(const atomic_uint *count, uint32_t wanted)
{
    for (uint32_t i = 0; i < 1000 && atomic_load(count) < wanted; i++) {
        (void)poll(NULL, 0, 5);
    }
    CHECK(atomic_load(count) == wanted);
}

static void test_async(void)
{
    struct sgn_client *client = client_of("queue_max=10 hedge_percent=0");
    struct sgn_request *requests[12];
    struct tally tally = {.again = 50};
    CHECK_ERR(sgn_client_wait_ready(client, 5000), SGN_OK);
    for (uint32_t i = 0; i < 12; i++) {
        requests[i] = sgn_request_create(client);
    }
    sgn_request_put(requests[0], sgn_text("loose"), sgn_text("async"), sgn_text("v"));
    CHECK_ERR(sgn_request_start(requests[0], tally_done, &tally), SGN_OK);
    wait_count(&tally.done, 51);
    CHECK(atomic_load(&tally.failed) == 0);

    /* A full queue answers at once; cancel ends what runs; destroy waits for the callback. */
    struct tally cancelled = {.again = 0};
    all_told(SWALLOW, 0);
    for (uint32_t i = 0; i < 12; i++) {
        sgn_request_get(requests[i], sgn_text("loose"), sgn_text("async"));
        int err = sgn_request_start(requests[i], tally_done, &cancelled);
        CHECK_ERR(err, i < 10 ? SGN_OK : SGN_ERR_BUSY);
    }
    CHECK(counts_of(client).busy == 2);
    for (uint32_t i = 0; i < 5; i++) {
        sgn_request_cancel(requests[i]);
    }
    wait_count(&cancelled.done, 5);
    CHECK(sgn_request_err(requests[0]) == SGN_ERR_CANCELLED);
    for (uint32_t i = 5; i < 12; i++) {
        sgn_request_destroy(requests[i]);
    }
    CHECK(atomic_load(&cancelled.done) == 10 && atomic_load(&cancelled.failed) == 10);
    all_told(ANSWER, 0);
    CHECK_ERR(get(requests[0], "async"), SGN_OK);
    for (uint32_t i = 0; i < 5; i++) {
        sgn_request_destroy(requests[i]);
    }
    sgn_client_destroy(client);
}

static void *hammer(void *user)
{
    struct sgn_client *client = user;
    struct sgn_request *request = sgn_request_create(client);
    for (uint32_t i = 0; i < 300; i++) {
        char key[20];
        snprintf(key, sizeof(key), "key%u", i % 100);
        CHECK_ERR(i % 3 == 0 ? put(request, key, "v") : get(request, key), SGN_OK);
    }
    sgn_request_destroy(request);
    return NULL;
}

static void test_threads(void)
{
    struct sgn_client *client =
        client_of("pool_per_node=1 inflight_per_connection=1 queue_max=100");
    pthread_t threads[6];
    for (uint32_t i = 0; i < 6; i++) {
        CHECK(pthread_create(&threads[i], NULL, hammer, client) == 0);
    }
    for (uint32_t i = 0; i < 6; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    sgn_client_destroy(client);
}

static void count_done(struct sgn_request *request, int err, void *user)
{
    (void)request;
    *(uint32_t *)user += err == SGN_OK;
}

static void test_foreign_loop(void)
{
    struct sgn_client *client = client_of("threads=0 hedge_percent=100 hedge_after_ms=5");
    struct sgn_request *requests[8];
    uint32_t done = 0;
    int turns = 0;
    int fd = sgn_client_fd(client);
    CHECK(fd >= 0);
    atomic_store(&slow_ms, 60);
    for (uint32_t i = 0; i < 8; i++) {
        requests[i] = sgn_request_create(client);
        sgn_request_put(requests[i], sgn_text("loose"), sgn_text("loop"), sgn_text("v"));
        CHECK_ERR(sgn_request_start(requests[i], count_done, &done), SGN_OK);
    }
    /* The descriptor alone must be enough: for connecting, answers, new requests and timers. */
    while (done < 8) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        CHECK(poll(&wait, 1, 3000) == 1);
        int ended = sgn_client_dispatch(client, 3);
        CHECK(ended >= 0 && ended <= 3);
        CHECK(++turns < 2000);
    }
    struct sgn_location location = locate(requests[0], "loop");
    told(location.homes[0], SWALLOW, 1);
    sgn_request_get(requests[0], sgn_text("loose"), sgn_text("loop"));
    CHECK_ERR(sgn_request_start(requests[0], count_done, &done), SGN_OK);
    turns = 0;
    while (done < 9) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        CHECK(poll(&wait, 1, 3000) == 1);
        CHECK(sgn_client_dispatch(client, 0) >= 0);
        CHECK(++turns < 200); /* Woken for a reason, not spinning. */
    }
    CHECK(receipt_of(requests[0]).hedges == 1);
    CHECK_ERR(get(requests[1], "loop"), SGN_OK); /* run dispatches by itself. */
    all_told(SWALLOW, 0);
    for (uint32_t i = 0; i < 8; i++) {
        sgn_request_get(requests[i], sgn_text("loose"), sgn_text("loop"));
        CHECK_ERR(sgn_request_start(requests[i], count_done, &done), SGN_OK);
        sgn_request_destroy(requests[i]); /* While it runs. */
    }
    all_told(ANSWER, 0);
    sgn_client_destroy(client);
}

static void test_epoch_and_session(void)
{
    struct sgn_client *client = client_of("");
    struct sgn_request *request = sgn_request_create(client);
    char text[SGN_SESSION_TEXT_BYTES];
    CHECK_ERR(sgn_client_wait_ready(client, 5000), SGN_OK);
    CHECK(counts_of(client).ring_epoch == 1);
    atomic_store(&epoch, 2);
    CHECK_ERR(put(request, "k", "v"), SGN_OK);
    for (uint32_t i = 0; i < 400 && counts_of(client).ring_epoch != 2; i++) {
        (void)poll(NULL, 0, 5);
    }
    CHECK(counts_of(client).ring_epoch == 2);

    sgn_client_session(client, text);
    CHECK(strcmp(text, "s1-0000001234567890") == 0);
    CHECK_ERR(sgn_client_session_set(client, "s1-00000000ffffffff"), SGN_OK); /* Never back. */
    CHECK_ERR(sgn_client_session_set(client, "s1-0000009999999999"), SGN_OK);
    CHECK_ERR(sgn_client_session_set(client, "s2-0000009999999999"), SGN_ERR_INVALID);
    CHECK_ERR(sgn_client_session_set(client, "s1-99"), SGN_ERR_INVALID);
    CHECK_ERR(put(request, "k", "v2"), SGN_OK);
    pthread_mutex_lock(&seen_mutex);
    CHECK(seen_stamp == 0x9999999999);
    pthread_mutex_unlock(&seen_mutex);
    sgn_request_destroy(request);
    sgn_client_destroy(client);
}

int main(void)
{
    fakes_up();
    test_errors_agree();
    struct sgn_client *client = client_of("");
    test_operations(client);
    test_bad_input(client);
    sgn_client_destroy(client);
    test_routing();
    test_retries();
    test_outcomes();
    test_dead_node();
    test_nobody();
    test_wrong_ring();
    test_hedge();
    test_async();
    test_threads();
    test_foreign_loop();
    test_epoch_and_session();
    fakes_down();
    printf("13 groups of client tests passed\n");
    return 0;
}
