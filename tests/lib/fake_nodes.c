/* See fake_nodes.h. */
#include "tests/lib/fake_nodes.h"

#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

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
#include "tests/lib/fake_ordered.h"

#define KEYS 256u
struct kept {
    char key[64];
    char value[64];
    uint64_t counter;
    struct sgn_request_id id;
};

struct fake fakes[NODES];
static struct event_base *base;
static struct sgn_wire *wire;
static char ring_name[16] = "testring";
atomic_uint epoch = 1;
static struct kept table[KEYS]; /* One table for all nodes, of the fake thread alone. */
static uint32_t kept_count;
atomic_uint applied;    /* Writes that changed the table. */
atomic_uint duplicates; /* Writes with an id seen before. */
pthread_mutex_t seen_mutex = PTHREAD_MUTEX_INITIALIZER;
uint64_t seen_stamp;
atomic_uint slow_ms = 800;
atomic_uint mute_stamps;
_Atomic(const char *) fake_statuses;
static int fakes_wake = -1;
static struct event *fakes_end_event;
static pthread_t fakes_thread;

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
    struct sgn_mint mint = {.actor = {7, 1},
                            .hlc = sgn_hlc_of_ms(1000000 + kept->counter),
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

static void work_write(const struct sgn_msg *msg)
{
    struct kept *kept = find(msg->key, true);
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
}

static uint64_t stamp_of_now(void)
{
    if (atomic_load(&mute_stamps) > 0) {
        atomic_fetch_sub(&mute_stamps, 1);
        return 0;
    }
    return 0x1234567890;
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
    answer->stamp = stamp_of_now();
    answer->a = 2;
    if (fake_ordered_work(fake->id, msg, answer)) {
        return;
    }
    if (msg->type == SGN_MSG_RING) {
        fill_ring(&ring);
        sgn_ring_encode(&ring, &sink);
        answer->value = sgn_sink_bytes(&sink);
    } else if (msg->type == SGN_MSG_STATUS) {
        const char *text = atomic_load(&fake_statuses);
        text = text == NULL ? (fake->id == 2 ? "{\"node\":2}" : "{}") : text;
        answer->value = sgn_bytes_str(text);
    } else if (msg->type == SGN_MSG_GET) {
        kept = find(msg->key, false);
        answer->err = kept == NULL || kept->value[0] == '\0' ? SGN_ERR_NOT_FOUND : SGN_OK;
        if (answer->err == SGN_OK) {
            bool is_head = (msg->flags & SGN_GET_HEAD_ONLY) != 0;
            record_of(kept, &record);
            sgn_record_encode(
                &record, is_head ? SGN_RECORD_DIGEST_ONLY : SGN_RECORD_WITH_BODIES, &sink);
            answer->value = sgn_sink_bytes(&sink);
        }
    } else if (msg->type == SGN_MSG_PUT || msg->type == SGN_MSG_DEL) {
        work_write(msg);
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
        struct sgn_bucket row = {.name = "loose",
                                 .kind = SGN_BUCKET_AVAILABLE,
                                 .n = 3,
                                 .r = 2,
                                 .w = 2,
                                 .stamp = 1,
                                 .node = 1};
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
    int refusal = manner == ANSWER_BUSY          ? SGN_ERR_BUSY
                  : manner == ANSWER_UNAVAILABLE ? SGN_ERR_UNAVAILABLE
                  : manner == ANSWER_UNKNOWN     ? SGN_ERR_UNKNOWN
                  : manner == ANSWER_FENCED      ? SGN_ERR_FENCED
                                                 : SGN_OK;
    if (refusal != SGN_OK) {
        answer = (struct sgn_msg){.type = SGN_MSG_RESULT,
                                  .request = msg->request,
                                  .epoch = 1,
                                  .node = fake->id,
                                  .text = sgn_bytes_str("told to refuse"),
                                  .err = refusal};
        (void)sgn_conn_send(conn, &answer);
        return;
    }
    work(fake, msg, &answer);
    if (manner == GARBAGE) {
        answer.value = sgn_bytes_str("\x09 this is no record");
        answer.context = sgn_bytes_str("nor is this a version");
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

void fakes_up(void)
{
    base = event_base_new();
    wire = sgn_wire_create(base);
    for (uint32_t i = 0; i < NODES; i++) {
        struct sgn_address any;
        struct sgn_why why;
        fakes[i].id = i + 1;
        CHECK_ERR((int)sgn_address_parse("127.0.0.1:0", &any, &why), SGN_OK);
        CHECK_ERR(
            (int)sgn_listener_create(base, &any, node_accept, &fakes[i], &fakes[i].listener, &why),
            SGN_OK);
        sgn_address_format(sgn_listener_address(fakes[i].listener), fakes[i].address);
    }
    fakes_wake = eventfd(0, EFD_CLOEXEC);
    fakes_end_event = event_new(base, fakes_wake, EV_READ, fakes_end, NULL);
    event_add(fakes_end_event, NULL);
    CHECK(pthread_create(&fakes_thread, NULL, fakes_run, NULL) == 0);
}

void told(uint32_t node, enum manner manner, uint32_t times)
{
    atomic_store(&fakes[node - 1].times, times);
    atomic_store(&fakes[node - 1].manner, (int)manner);
}

void all_told(enum manner manner, uint32_t times)
{
    for (uint32_t i = 1; i <= NODES; i++) {
        told(i, manner, times);
    }
}

void fakes_down(void)
{
    uint64_t one = 1;
    CHECK(write(fakes_wake, &one, sizeof(one)) == (ssize_t)sizeof(one));
    CHECK(pthread_join(fakes_thread, NULL) == 0);
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
}
