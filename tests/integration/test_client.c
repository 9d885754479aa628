/* The client library against nodes made up in this file, which answer, fail and keep silent exactly as
 * told; plain main, so that it runs under ThreadSanitizer too. The nodes share one thread and speak
 * through ring/net, so what is tested is the whole library down to the sockets. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "client/signet.h"
#include "ring/core/bucket.h"
#include "ring/core/hlc.h"
#include "ring/core/items.h"
#include "ring/core/key.h"
#include "ring/core/placement.h"
#include "ring/core/record.h"
#include "ring/core/ring.h"
#include "ring/net/conn.h"
#include "ring/net/hello.h"
#include "ring/net/listener.h"

#define NODES 3u
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "FAILED %s:%d: %s\n", __FILE__, __LINE__, #condition);                 \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)
#define CHECK_ERR(got, wanted)                                                                     \
    do {                                                                                           \
        int err_ = (got);                                                                          \
        if (err_ != (wanted)) {                                                                    \
            fprintf(stderr, "FAILED %s:%d: %s is %s, wanted %s\n", __FILE__, __LINE__, #got,       \
                    sgn_err_name(err_), sgn_err_name(wanted));                                     \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* ---- The nodes --------------------------------------------------------------------------------- */

enum manner {
    ANSWER,        /* As a node would. */
    ANSWER_BUSY,   /* BUSY to everything but RING. */
    ANSWER_UNAVAILABLE,
    SWALLOW,       /* Do it, never answer (but RING). */
    HANG_UP,       /* Do it, then break the connection. */
    GARBAGE,       /* A record that is none. */
    SLOW,          /* Answer after slow_ms. */
};

struct fake {
    uint32_t id;
    struct sgn_listener *listener;
    char address[SGN_ADDRESS_TEXT_BYTES];
    atomic_int manner;
    atomic_uint times;    /* The manner holds for so many requests, then ANSWER; 0: for ever. */
    atomic_uint served;   /* Requests seen, RING aside. */
    atomic_bool is_dead;  /* Hangs up on every connection at once. */
};

#define KEYS 256u
struct kept {
    char key[64];
    char value[64];
    uint64_t counter;
    struct sgn_request_id id;
};

static struct fake fakes[NODES];
static struct event_base *base;
static struct sgn_wire *wire;
static char ring_name[16] = "testring";
static atomic_uint epoch = 1;
static struct kept table[KEYS]; /* One table for all nodes, of the fake thread alone. */
static uint32_t kept_count;
static atomic_uint applied; /* Writes that changed the table. */
static atomic_uint duplicates; /* Writes with an id seen before. */
static pthread_mutex_t seen_mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t seen_stamp;
static atomic_uint slow_ms = 150;
static int fakes_wake = -1;
static struct event *fakes_end_event;

static void fill_ring(struct sgn_ring *ring)
{
    memset(ring, 0, sizeof(*ring));
    snprintf(ring->name, sizeof(ring->name), "%s", ring_name);
    ring->epoch = atomic_load(&epoch);
    ring->partition_count = 64;
    ring->replica_count = 3;
    ring->member_count = NODES;
    for (uint32_t i = 0; i < NODES; i++) {
        ring->members[i] = (struct sgn_member){.id = i + 1, .weight = 1, .zone = 0};
        memcpy(ring->members[i].address, fakes[i].address, sizeof(ring->members[i].address));
    }
}

static struct kept *find(struct sgn_bytes key, bool make)
{
    for (uint32_t i = 0; i < kept_count; i++) {
        if (sgn_bytes_equal(sgn_bytes_str(table[i].key), key)) {
            return &table[i];
        }
    }
    if (!make) {
        return NULL;
    }
    CHECK(kept_count < KEYS && key.count < sizeof(table[0].key));
    memcpy(table[kept_count].key, key.ptr, key.count);
    return &table[kept_count++];
}

static void record_of(const struct kept *kept, struct sgn_record *record)
{
    struct sgn_mint mint = {.actor = {7, 1}, .hlc = sgn_hlc_of_ms(1000000 + kept->counter),
                            .body = sgn_bytes_str(kept->value)};
    sgn_record_init(record);
    memcpy(mint.request_id.bytes, kept->id.bytes, sizeof(mint.request_id.bytes));
    CHECK(sgn_record_mint(record, &mint) == SGN_OK);
}

struct later {
    struct event *event;
    struct sgn_conn *conn; /* NULL when it broke meanwhile. */
    struct sgn_msg msg;
    uint8_t value[512];
    struct later *next;
};
static struct later *laters;

static void send_later(int fd, short what, void *user)
{
    struct later *later = user;
    (void)fd;
    (void)what;
    if (later->conn != NULL) {
        (void)sgn_conn_send(later->conn, &later->msg);
    }
    struct later **at = &laters;
    while (*at != later) {
        at = &(*at)->next;
    }
    *at = later->next;
    event_free(later->event);
    free(later);
}

static void reply(struct fake *fake, struct sgn_conn *conn, const struct sgn_msg *msg, bool is_slow)
{
    if (!is_slow) {
        (void)sgn_conn_send(conn, msg);
        return;
    }
    (void)fake;
    struct later *later = calloc(1, sizeof(*later));
    CHECK(later != NULL && msg->value.count <= sizeof(later->value));
    later->conn = conn;
    later->msg = *msg;
    if (msg->value.count > 0) {
        memcpy(later->value, msg->value.ptr, msg->value.count);
    }
    later->msg.value.ptr = later->value;
    later->next = laters;
    laters = later;
    later->event = event_new(base, -1, 0, send_later, later);
    struct timeval wait = {.tv_usec = (suseconds_t)atomic_load(&slow_ms) * 1000};
    event_add(later->event, &wait);
}

/* What the answer holds; the bytes last until the next call. */
static void work(struct fake *fake, const struct sgn_msg *msg, struct sgn_msg *answer)
{
    static uint8_t raw[1u << 20];
    static struct sgn_ring ring;
    static struct sgn_record record;
    struct sgn_sink sink = sgn_sink_of(raw, sizeof(raw));
    struct kept *kept;
    memset(answer, 0, sizeof(*answer));
    answer->type = SGN_MSG_RESULT;
    answer->request = msg->request;
    answer->epoch = atomic_load(&epoch);
    answer->node = fake->id;
    answer->stamp = 0x1234567890;
    answer->a = 2;
    if (msg->type == SGN_MSG_RING) {
        fill_ring(&ring);
        sgn_ring_encode(&ring, &sink);
        answer->value = sgn_sink_bytes(&sink);
    } else if (msg->type == SGN_MSG_STATUS) {
        answer->value = sgn_bytes_str(fake->id == 2 ? "{\"node\":2}" : "{}");
    } else if (msg->type == SGN_MSG_GET) {
        kept = find(msg->key, false);
        answer->err = kept == NULL || kept->value[0] == '\0' ? SGN_ERR_NOT_FOUND : SGN_OK;
        if (answer->err == SGN_OK) {
            bool is_head = (msg->flags & SGN_GET_HEAD_ONLY) != 0;
            record_of(kept, &record);
            sgn_record_encode(&record, is_head ? SGN_RECORD_DIGEST_ONLY : SGN_RECORD_WITH_BODIES,
                              &sink);
            answer->value = sgn_sink_bytes(&sink);
        }
    } else if (msg->type == SGN_MSG_PUT || msg->type == SGN_MSG_DEL) {
        kept = find(msg->key, true);
        pthread_mutex_lock(&seen_mutex);
        seen_stamp = msg->stamp;
        pthread_mutex_unlock(&seen_mutex);
        if (memcmp(&kept->id, &msg->id, sizeof(msg->id)) == 0) {
            atomic_fetch_add(&duplicates, 1);
        } else {
            memset(kept->value, 0, sizeof(kept->value));
            CHECK(msg->value.count < sizeof(kept->value));
            if (msg->value.count > 0) {
                memcpy(kept->value, msg->value.ptr, msg->value.count);
            }
            kept->id = msg->id;
            kept->counter++;
            atomic_fetch_add(&applied, 1);
        }
        struct sgn_vector vector = {.count = 1, .entries = {{{7, 1}, 1}}};
        sgn_context_encode(&vector, &sink);
        answer->context = sgn_sink_bytes(&sink);
    } else if (msg->type == SGN_MSG_LIST) {
        uint8_t small[4096];
        for (uint32_t i = 0; i < kept_count; i++) {
            if (sgn_bytes_starts(sgn_bytes_str(table[i].key), msg->key)) {
                struct sgn_sink one = sgn_sink_of(small, sizeof(small));
                record_of(&table[i], &record);
                sgn_record_encode(&record, SGN_RECORD_DIGEST_ONLY, &one);
                sgn_items_push(&sink, sgn_bytes_str(table[i].key), sgn_sink_bytes(&one));
            }
        }
        answer->items = sgn_sink_bytes(&sink);
        answer->after = sgn_bytes_str("zz");
        answer->flags = SGN_RESULT_END;
    } else if (msg->type == SGN_MSG_BUCKET_LIST) {
        struct sgn_bucket row = {.name = "default", .kind = SGN_BUCKET_AVAILABLE, .n = 3, .r = 2,
                                 .w = 2, .stamp = 1, .node = 1};
        uint8_t small[256];
        struct sgn_sink one = sgn_sink_of(small, sizeof(small));
        sgn_bucket_encode(&row, &one);
        sgn_items_push(&sink, sgn_bytes_str(row.name), sgn_sink_bytes(&one));
        answer->items = sgn_sink_bytes(&sink);
    }
}

static void node_message(struct sgn_conn *conn, const struct sgn_msg *msg, void *user)
{
    struct fake *fake = user;
    struct sgn_msg answer;
    if (msg->type == SGN_MSG_HELLO) {
        struct sgn_hello self = {.node = fake->id, .incarnation = 1};
        struct sgn_hello other;
        snprintf(self.ring, sizeof(self.ring), "%s", ring_name);
        (void)sgn_hello_accept(conn, &self, msg, &other, NULL);
        return;
    }
    enum manner manner = ANSWER;
    if (msg->type != SGN_MSG_RING) {
        atomic_fetch_add(&fake->served, 1);
        manner = (enum manner)atomic_load(&fake->manner);
        if (atomic_load(&fake->times) > 0 && atomic_fetch_sub(&fake->times, 1) == 1) {
            atomic_store(&fake->manner, ANSWER);
        }
    }
    if (manner == ANSWER_BUSY || manner == ANSWER_UNAVAILABLE) {
        answer = (struct sgn_msg){.type = SGN_MSG_RESULT, .request = msg->request, .epoch = 1,
                                  .node = fake->id, .text = sgn_bytes_str("told to refuse"),
                                  .err = manner == ANSWER_BUSY ? SGN_ERR_BUSY : SGN_ERR_UNAVAILABLE};
        (void)sgn_conn_send(conn, &answer);
        return;
    }
    work(fake, msg, &answer);
    if (manner == GARBAGE) {
        answer.value = sgn_bytes_str("\x09 this is no record");
    }
    if (manner == HANG_UP) {
        for (struct later *later = laters; later != NULL; later = later->next) {
            later->conn = later->conn == conn ? NULL : later->conn;
        }
        sgn_conn_close(conn);
    } else if (manner != SWALLOW) {
        reply(fake, conn, &answer, manner == SLOW);
    }
}

static void node_closed(struct sgn_conn *conn, enum sgn_err err, const char *why, void *user)
{
    (void)err;
    (void)why;
    (void)user;
    for (struct later *later = laters; later != NULL; later = later->next) {
        later->conn = later->conn == conn ? NULL : later->conn;
    }
}

static const struct sgn_conn_events node_events = {.message = node_message, .closed = node_closed};

static void node_accept(int fd, const struct sgn_address *from, void *user)
{
    struct fake *fake = user;
    if (atomic_load(&fake->is_dead)) {
        close(fd);
        return;
    }
    struct sgn_conn_options options = {.events = &node_events, .user = fake};
    struct sgn_conn *conn;
    (void)sgn_conn_adopt(wire, fd, from, &options, &conn);
}

static void fakes_end(int fd, short what, void *user)
{
    (void)fd;
    (void)what;
    (void)user;
    event_base_loopbreak(base);
}

static void *fakes_run(void *user)
{
    (void)user;
    event_base_dispatch(base);
    return NULL;
}

static void fakes_up(pthread_t *thread)
{
    base = event_base_new();
    wire = sgn_wire_create(base);
    for (uint32_t i = 0; i < NODES; i++) {
        struct sgn_address any;
        struct sgn_why why;
        fakes[i].id = i + 1;
        CHECK_ERR((int)sgn_address_parse("127.0.0.1:0", &any, &why), SGN_OK);
        CHECK_ERR((int)sgn_listener_create(base, &any, node_accept, &fakes[i], &fakes[i].listener,
                                           &why), SGN_OK);
        sgn_address_format(sgn_listener_address(fakes[i].listener), fakes[i].address);
    }
    fakes_wake = eventfd(0, EFD_CLOEXEC);
    fakes_end_event = event_new(base, fakes_wake, EV_READ, fakes_end, NULL);
    event_add(fakes_end_event, NULL);
    CHECK(pthread_create(thread, NULL, fakes_run, NULL) == 0);
}

static void told(uint32_t node, enum manner manner, uint32_t times)
{
    atomic_store(&fakes[node - 1].times, times);
    atomic_store(&fakes[node - 1].manner, (int)manner);
}

static void all_told(enum manner manner, uint32_t times)
{
    for (uint32_t i = 1; i <= NODES; i++) {
        told(i, manner, times);
    }
}

/* ---- Tests ------------------------------------------------------------------------------------- */

static struct sgn_client *client_of(const char *extra)
{
    char seeds[256];
    struct sgn_client *client = NULL;
    struct sgn_options *options = sgn_options_create();
    snprintf(seeds, sizeof(seeds), "%s,%s", fakes[0].address, fakes[1].address);
    CHECK_ERR(sgn_options_set(options, "seeds", seeds), SGN_OK);
    char copy[256];
    snprintf(copy, sizeof(copy), "%s", extra);
    char *rest = NULL;
    for (char *at = strtok_r(copy, " ", &rest); at != NULL; at = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(at, '=');
        CHECK(equals != NULL);
        *equals = '\0';
        CHECK_ERR(sgn_options_set(options, at, equals + 1), SGN_OK);
    }
    CHECK_ERR(sgn_client_create(&client, options), SGN_OK);
    sgn_options_destroy(options);
    return client;
}

static struct sgn_client_counts counts_of(struct sgn_client *client)
{
    struct sgn_client_counts counts = {.struct_bytes = sizeof(counts)};
    sgn_client_stats(client, &counts);
    return counts;
}

static struct sgn_receipt receipt_of(const struct sgn_request *request)
{
    struct sgn_receipt receipt = {.struct_bytes = sizeof(receipt)};
    sgn_request_receipt(request, &receipt);
    return receipt;
}

static struct sgn_location locate(struct sgn_request *request, const char *key)
{
    struct sgn_location location = {.struct_bytes = sizeof(location)};
    sgn_request_locate(request, sgn_text("default"), sgn_text(key));
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    CHECK_ERR(sgn_request_location(request, &location), SGN_OK);
    return location;
}

static int put(struct sgn_request *request, const char *key, const char *value)
{
    sgn_request_put(request, sgn_text("default"), sgn_text(key), sgn_text(value));
    return sgn_request_run(request);
}

static int get(struct sgn_request *request, const char *key)
{
    sgn_request_get(request, sgn_text("default"), sgn_text(key));
    return sgn_request_run(request);
}

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
    CHECK(strstr(sgn_request_error(request), "get default/nothing") != NULL);
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
    sgn_request_put(request, sgn_text("default"), sgn_text("a"), sgn_text("two"));
    CHECK_ERR(sgn_request_set_context_text(request, context), SGN_OK);
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    sgn_request_put(request, sgn_text("default"), sgn_text("a"), sgn_text("two"));
    CHECK_ERR(sgn_request_set_context_text(request, "not a context!"), SGN_ERR_INVALID);
    CHECK_ERR(sgn_request_run(request), SGN_ERR_INVALID);

    sgn_request_stat(request, sgn_text("default"), sgn_text("a"));
    CHECK_ERR(sgn_request_run(request), SGN_OK);
    CHECK_ERR(sgn_request_sibling(request, 0, &info), SGN_OK);
    CHECK(info.value.count == 0 && info.value_bytes == 3 && sgn_request_value(request).count == 0);

    CHECK_ERR(put(request, "ab", "x"), SGN_OK);
    sgn_request_list(request, sgn_text("default"), sgn_text("a"));
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
    CHECK(strcmp(bucket.name, "default") == 0 && bucket.w == 2);
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

    sgn_request_del(request, sgn_text("default"), sgn_text("a"));
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
    sgn_request_get(request, sgn_text("default"), (struct sgn_bytes){large, sizeof(large)});
    CHECK_ERR(sgn_request_run(request), SGN_ERR_TOO_LARGE);
    sgn_request_put(request, sgn_text("default"), sgn_text("k"),
                    (struct sgn_bytes){large, (16u << 20) + 1});
    CHECK_ERR(sgn_request_start(request, NULL, NULL), SGN_ERR_TOO_LARGE);
    sgn_request_get(request, sgn_text("default"), sgn_text("k"));
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

/* One failure of that manner at the first home; then the second home must have answered. Each with a
 * client of its own, for a node that failed is spared for a while. */
static void retry_case(enum manner manner, bool is_get)
{
    struct sgn_client *client = client_of("attempt_timeout_ms=100 timeout_ms=3000 hedge_percent=0");
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
    struct sgn_client *client = client_of("attempt_timeout_ms=100 timeout_ms=3000 hedge_percent=0");
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
    sgn_request_put(request, sgn_text("default"), sgn_text("again"), sgn_text("5"));
    sgn_request_set_timeout(request, 600);
    CHECK_ERR(sgn_request_run(request), SGN_ERR_UNKNOWN);
    all_told(SWALLOW, 0);
    sgn_request_put(request, sgn_text("default"), sgn_text("again"), sgn_text("6"));
    sgn_request_set_timeout(request, 300);
    CHECK_ERR(sgn_request_run(request), SGN_ERR_UNKNOWN);
    uint64_t took_ms = receipt_of(request).ns / 1000000;
    CHECK(took_ms >= 250 && took_ms < 2000);
    sgn_request_get(request, sgn_text("default"), sgn_text("again"));
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
    CHECK(receipt.ns < 140 * UINT64_C(1000000));
    /* A write is never sent twice for speed. */
    CHECK_ERR(put(request, "hedged", "2"), SGN_OK);
    CHECK(receipt_of(request).hedges == 0 && receipt_of(request).ns > 140 * UINT64_C(1000000));
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
        sgn_request_put(request, sgn_text("default"), sgn_text("async"), sgn_text("v"));
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
    sgn_request_put(requests[0], sgn_text("default"), sgn_text("async"), sgn_text("v"));
    CHECK_ERR(sgn_request_start(requests[0], tally_done, &tally), SGN_OK);
    wait_count(&tally.done, 51);
    CHECK(atomic_load(&tally.failed) == 0);

    /* A full queue answers at once; cancel ends what runs; destroy waits for the callback. */
    struct tally cancelled = {.again = 0};
    all_told(SWALLOW, 0);
    for (uint32_t i = 0; i < 12; i++) {
        sgn_request_get(requests[i], sgn_text("default"), sgn_text("async"));
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
    struct sgn_client *client = client_of("pool_per_node=1 inflight_per_connection=1 queue_max=100");
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
        sgn_request_put(requests[i], sgn_text("default"), sgn_text("loop"), sgn_text("v"));
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
    sgn_request_get(requests[0], sgn_text("default"), sgn_text("loop"));
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
        sgn_request_get(requests[i], sgn_text("default"), sgn_text("loop"));
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
    pthread_t thread;
    fakes_up(&thread);
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
    uint64_t one = 1;
    CHECK(write(fakes_wake, &one, sizeof(one)) == (ssize_t)sizeof(one));
    CHECK(pthread_join(thread, NULL) == 0);
    event_free(fakes_end_event);
    for (uint32_t i = 0; i < NODES; i++) {
        sgn_listener_destroy(fakes[i].listener);
    }
    while (laters != NULL) {
        struct later *later = laters;
        laters = later->next;
        event_free(later->event);
        free(later);
    }
    sgn_wire_destroy(wire);
    event_base_free(base);
    close(fakes_wake);
    printf("13 groups of client tests passed\n");
    return 0;
}
