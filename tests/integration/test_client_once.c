/* Exactly once (protocol.md 3.5) as the client sees it, against made-up nodes that share one record
 * per key: one id and one stamp over all tries of a write, verdicts behind lost answers, unknown
 * outcomes and their tokens. Plain main, for TSan. */
#include <poll.h>
#include <string.h>

#include "client/signet.h"
#include "tests/lib/client_help.h"
#include "tests/lib/fake_nodes.h"
#include "tests/lib/fake_ordered.h"

/* ---- One id, one stamp ----------------------------------------------------------------------- */

/* All tries of the last write carried the same id and stamp, and there were `least` or more. */
static void check_tries(uint32_t least)
{
    pthread_mutex_lock(&fake_seen_mutex);
    CHECK(fake_seen_count >= least && fake_seen_count <= FAKE_SEEN_MAX);
    for (uint32_t i = 0; i < fake_seen_count; i++) {
        CHECK(memcmp(&fake_seen[i].id, &fake_seen[0].id, sizeof(fake_seen[0].id)) == 0);
        CHECK(fake_seen[i].stamp != 0 && fake_seen[i].stamp == fake_seen[0].stamp);
        CHECK(fake_seen[i].type != fake_seen[0].type || fake_seen[i].flags == fake_seen[0].flags);
    }
    pthread_mutex_unlock(&fake_seen_mutex);
}

/* The first try takes effect and its answer is lost: the second is told of it, not rejected by it.
 * Nodes that are not sure come between. */
static void test_exactly_once(void)
{
    static const enum manner losses[] = {SWALLOW, HANG_UP};
    for (uint32_t i = 0; i < 2; i++) {
        struct sgn_client *client = client_of("attempt_timeout_ms=100 timeout_ms=5000");
        struct sgn_request *request = sgn_request_create(client);
        char key[20];
        CHECK_ERR(sgn_client_wait_ready(client, 5000), SGN_OK);
        snprintf(key, sizeof(key), "once%u", i);

        fake_seen_clear();
        all_told(losses[i], 1); /* Every node once. */
        CHECK_ERR(put_if(request, key, "v", IF_ABSENT, NULL), SGN_OK);
        struct sgn_key_version first = version_of(request);
        CHECK(sgn_key_version_rev(&first) == 1 && receipt_of(request).tries >= 2);
        check_tries(2);

        fake_seen_clear();
        all_told(losses[i], 1);
        CHECK_ERR(put_if(request, key, "w", IF_VERSION, &first), SGN_OK);
        struct sgn_key_version second = version_of(request);
        CHECK(sgn_key_version_rev(&second) == 2);
        check_tries(2);

        /* A rejection stands, also after a try whose answer was lost. */
        fake_seen_clear();
        all_told(losses[i], 1);
        CHECK_ERR(put_if(request, key, "x", IF_VERSION, &first), SGN_ERR_CONDITION);
        struct sgn_key_version met = version_of(request);
        CHECK(same(&met, &second) && sgn_request_token(request)[0] == '\0');
        check_tries(2);
        all_told(ANSWER, 0);

        /* Nodes that are not sure are asked again, too. */
        fake_seen_clear();
        all_told(ANSWER_UNKNOWN, 2);
        CHECK_ERR(put_if(request, key, "w", IF_VERSION, &second), SGN_OK);
        CHECK(receipt_of(request).tries >= 3);
        all_told(ANSWER, 0);
        CHECK_ERR(del_if(request, key, BLIND, NULL), SGN_OK);
        met = version_of(request);
        CHECK(sgn_key_version_rev(&met) == 4);

        /* The same request run again is a new one. */
        sgn_request_put(request, sgn_text(FAKE_BUCKET), sgn_text(key), sgn_text("y"));
        fake_seen_clear();
        CHECK_ERR(sgn_request_run(request), SGN_OK);
        CHECK_ERR(sgn_request_run(request), SGN_OK);
        met = version_of(request);
        CHECK(sgn_key_version_rev(&met) == 6);
        pthread_mutex_lock(&fake_seen_mutex);
        CHECK(fake_seen_count == 2 && memcmp(&fake_seen[0].id, &fake_seen[1].id, 16) != 0);
        pthread_mutex_unlock(&fake_seen_mutex);
        sgn_request_destroy(request);
        sgn_client_destroy(client);
    }
}

/* A client that has seen nothing of the ring's clock asks before its first write. */
static void test_first_stamp(void)
{
    atomic_store(&mute_stamps, 2);
    struct sgn_client *client = client_of("");
    struct sgn_request *request = sgn_request_create(client);
    CHECK_ERR(put_if(request, "first", "v", BLIND, NULL), SGN_OK); /* The nodes check it. */
    CHECK(atomic_load(&mute_stamps) == 0);

    /* Each write has the time of its own beginning, also when nodes keep telling the same. */
    fake_seen_clear();
    CHECK_ERR(put_if(request, "first", "v", BLIND, NULL), SGN_OK);
    (void)poll(NULL, 0, 20);
    CHECK_ERR(put_if(request, "first", "w", BLIND, NULL), SGN_OK);
    pthread_mutex_lock(&fake_seen_mutex);
    uint64_t apart = fake_seen[1].stamp - fake_seen[0].stamp;
    CHECK(fake_seen_count == 2 && apart >= UINT64_C(19) << 16 && apart < UINT64_C(900) << 16);
    pthread_mutex_unlock(&fake_seen_mutex);
    sgn_request_destroy(request);
    sgn_client_destroy(client);

    atomic_store(&mute_stamps, 1000000);
    client = client_of("timeout_ms=400");
    request = sgn_request_create(client);
    CHECK_ERR(put_if(request, "first", "v", BLIND, NULL), SGN_ERR_UNAVAILABLE);
    CHECK(strstr(sgn_request_error(request), "shape and time") != NULL);
    CHECK_ERR(get_strict(request, "first"), SGN_OK); /* Reads need none. */
    atomic_store(&mute_stamps, 0);
    CHECK_ERR(put_if(request, "first", "v", BLIND, NULL), SGN_OK);
    sgn_request_destroy(request);
    sgn_client_destroy(client);
}

/* ---- Unknown and its token ------------------------------------------------------------------- */

static int resolve(struct sgn_request *request, const char *token)
{
    CHECK_ERR(sgn_request_resolve(request, token), SGN_OK);
    return sgn_request_run(request);
}

static void take_token(const struct sgn_request *request, char *token, size_t bytes)
{
    CHECK(sgn_request_token(request)[0] != '\0');
    CHECK(strlen(sgn_request_token(request)) < bytes);
    CHECK(strspn(sgn_request_token(request),
                 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") ==
          strlen(sgn_request_token(request)));
    snprintf(token, bytes, "%s", sgn_request_token(request));
}

static void test_tokens(void)
{
    struct sgn_client *client =
        client_of("attempt_timeout_ms=60 timeout_ms=800 retries_max=2 retry_wait_max_ms=20");
    struct sgn_client *other = client_of("");
    struct sgn_request *request = sgn_request_create(client);
    struct sgn_request *asking = sgn_request_create(other); /* A token is for any client. */
    struct sgn_key_version version;
    char token[2000];
    CHECK_ERR(sgn_client_wait_ready(client, 5000), SGN_OK);
    CHECK_ERR(sgn_client_wait_ready(other, 5000), SGN_OK);

    /* It took effect and every answer is lost. The tries go on until the deadline. */
    fake_seen_clear();
    all_told(SWALLOW, 0);
    CHECK_ERR(put_if(request, "t", "1", IF_ABSENT, NULL), SGN_ERR_UNKNOWN);
    all_told(ANSWER, 0);
    check_tries(4); /* More than retries_max allows when nothing is in doubt. */
    take_token(request, token, sizeof(token));
    CHECK_ERR(resolve(asking, token), SGN_OK);
    version = version_of(asking);
    CHECK(sgn_key_version_rev(&version) == 1);
    CHECK_ERR(resolve(asking, token), SGN_OK);
    check_tries(5); /* The resolutions ask with the write's id and stamp. */
    CHECK_ERR(put_if(request, "t", "2", BLIND, NULL), SGN_OK);
    CHECK_ERR(resolve(asking, token), SGN_OK); /* The version of then. */
    version = version_of(asking);
    CHECK(sgn_key_version_rev(&version) == 1);

    /* Rejected, unheard. */
    all_told(SWALLOW, 0);
    CHECK_ERR(put_if(request, "t", "3", IF_ABSENT, NULL), SGN_ERR_UNKNOWN);
    all_told(ANSWER, 0);
    take_token(request, token, sizeof(token));
    CHECK_ERR(resolve(asking, token), SGN_ERR_CONDITION);
    version = version_of(asking);
    CHECK(sgn_key_version_rev(&version) == 2);

    /* It reached nobody: void, and then for ever. */
    all_told(ANSWER_UNKNOWN, 0);
    CHECK_ERR(put_if(request, "t", "4", BLIND, NULL), SGN_ERR_UNKNOWN);
    all_told(ANSWER, 0);
    CHECK(strstr(sgn_request_error(request), "unknown") != NULL ||
          strstr(sgn_request_error(request), "refuse") != NULL);
    take_token(request, token, sizeof(token));
    CHECK_ERR(resolve(asking, token), SGN_ERR_VOID);
    CHECK_ERR(resolve(asking, token), SGN_ERR_VOID);
    CHECK_ERR(sgn_request_key_version(asking, &version), SGN_ERR_NOT_ORDERED);
    CHECK_ERR(get_strict(asking, "t"), SGN_OK);
    CHECK(sgn_bytes_equal(sgn_request_value(asking), sgn_text("2")));

    /* Too long ago to tell, for the write as for the question. */
    CHECK_ERR(put_if(request, FAKE_SPENT_KEY, "5", BLIND, NULL), SGN_ERR_UNKNOWN);
    take_token(request, token, sizeof(token));
    CHECK_ERR(resolve(asking, token), SGN_ERR_UNKNOWN);
    CHECK(receipt_of(asking).tries == 1);

    /* Nothing was written, for certain: no token. */
    all_told(ANSWER_FENCED, 0);
    CHECK_ERR(put_if(request, "t", "6", BLIND, NULL), SGN_ERR_FENCED);
    CHECK(sgn_request_token(request)[0] == '\0' &&
          strstr(sgn_request_error(request), "told to refuse") != NULL);
    all_told(ANSWER, 0);
    CHECK_ERR(resolve(asking, token), SGN_ERR_UNKNOWN);
    sgn_request_destroy(request);
    sgn_request_destroy(asking);
    sgn_client_destroy(client);
    sgn_client_destroy(other);
}

static void never_called(struct sgn_request *request, int err, void *user)
{
    (void)request;
    CHECK_ERR(err, SGN_ERR_CANCELLED);
    atomic_fetch_add((atomic_uint *)user, 1);
}

/* A cancelled write has a token too, with a callback and in a foreign loop alike. */
static void test_cancelled_token(void)
{
    for (uint32_t threads = 0; threads < 2; threads++) {
        struct sgn_client *client = client_of(threads == 0 ? "threads=0" : "threads=1");
        struct sgn_request *request = sgn_request_create(client);
        atomic_uint done = 0;
        char key[20];
        snprintf(key, sizeof(key), "cancel%u", threads);
        CHECK_ERR(sgn_client_wait_ready(client, 5000), SGN_OK);
        fake_seen_clear();
        all_told(SWALLOW, 0);
        sgn_request_put(request, sgn_text(FAKE_BUCKET), sgn_text(key), sgn_text("v"));
        sgn_request_set_if_absent(request);
        CHECK_ERR(sgn_request_start(request, never_called, &done), SGN_OK);
        for (uint32_t i = 0; i < 1000; i++) {
            (void)sgn_client_dispatch(client, 0);
            pthread_mutex_lock(&fake_seen_mutex);
            bool is_there = fake_seen_count > 0;
            pthread_mutex_unlock(&fake_seen_mutex);
            if (is_there) {
                break;
            }
            (void)poll(NULL, 0, 2);
        }
        sgn_request_cancel(request);
        for (uint32_t i = 0; i < 1000 && atomic_load(&done) == 0; i++) {
            (void)sgn_client_dispatch(client, 0);
            (void)poll(NULL, 0, 2);
        }
        all_told(ANSWER, 0);
        CHECK(atomic_load(&done) == 1);
        CHECK_ERR(sgn_request_wait(request), SGN_ERR_CANCELLED);
        char token[2000];
        take_token(request, token, sizeof(token));
        CHECK_ERR(resolve(request, token), SGN_OK);
        sgn_request_destroy(request);
        sgn_client_destroy(client);
    }
}

int main(void)
{
    fakes_up();
    test_exactly_once();
    test_first_stamp();
    test_tokens();
    test_cancelled_token();
    fakes_down();
    printf("4 groups of client tests of exactly once passed\n");
    return 0;
}
