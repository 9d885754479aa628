/* client/inner.h - the inside of libsignet: what its files share. Not installed.
 *
 * One loop does everything: the library's thread, or whoever calls dispatch. A request is given to
 * it by the inbox, lives in the loop's tables while it runs, and is given back by the done list.
 *
 *   user thread                 loop
 *   start -> inbox  ---->  adopt -> [waiting] -> attempts on links -> [backoff] -> done list
 *   run waits on cond  <----------------------------------------------- deliver
 *
 * Owns:    the client owns nodes and links; a link lends a slot to an attempt and takes it back
 * when
 *          the attempt is answered, given up, or the link breaks.
 * Threads: fields marked L are the loop's alone; M are under client->mutex; A are atomic. */
#ifndef SGN_CLIENT_INNER_H
#define SGN_CLIENT_INNER_H

#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "client/options.h"
#include "client/signet.h"
#include "ring/core/bucket.h"
#include "ring/core/key.h"
#include "ring/core/map.h"
#include "ring/core/msg.h"
#include "ring/core/ordered.h"
#include "ring/core/prng.h"
#include "ring/core/record.h"
#include "ring/core/ring.h"
#include "ring/net/conn.h"
#include "ring/net/hello.h"

#define SGN_POOL_MAX       16u   /* Links to one node. */
#define SGN_SLOTS_MAX      4096u /* Requests in flight on one link. */
#define SGN_TRIED_MAX      8u    /* Nodes a request remembers having failed on. */
#define SGN_ATTEMPTS_MAX   2u    /* The first and a hedge. */
#define SGN_WARM_NODES_MAX 64u /* Up to this many nodes are dialled before anybody asks for them. */
#define SGN_KEEP_BYTES                                                                             \
    (1u << 20) /* A result buffer larger than this is not kept between requests. */
#define SGN_ERROR_BYTES        768u
#define SGN_CONTEXT_TEXT_BYTES (SGN_CONTEXT_BYTES_MAX * 4 / 3 + 8)
/* A token: bucket, key, request id and stamp, with their lengths (client/version.c). */
#define SGN_TOKEN_BYTES_MAX                                                                        \
    (3 + SGN_BUCKET_BYTES_MAX + SGN_KEY_BYTES_MAX + SGN_REQUEST_ID_BYTES + 8)
#define SGN_TOKEN_TEXT_BYTES (SGN_TOKEN_BYTES_MAX * 4 / 3 + 8)

/* ---- The shape of the ring, shared between the client and requests that look at it ----------- */

struct sgn_shape {
    atomic_uint refs;
    struct sgn_ring ring; /* ring.table is behind this struct. */
    uint16_t table[];
};

enum sgn_err sgn_shape_create(struct sgn_bytes description, struct sgn_shape **shape);
struct sgn_shape *sgn_shape_hold(struct sgn_shape *shape);
void sgn_shape_drop(struct sgn_shape *shape); /* Takes NULL. */

/* ---- Nodes and links ------------------------------------------------------------------------- */

enum sgn_link_state { SGN_LINK_DIALLING, SGN_LINK_UP };

struct sgn_slot {
    struct sgn_request *request; /* NULL: free. */
    uint32_t attempt;
    uint32_t generation; /* In the number of the message, so that a late answer finds nobody. */
    uint32_t next_free;
};

struct sgn_link {
    struct sgn_client *client;
    struct sgn_node *node;
    struct sgn_conn *conn;
    enum sgn_link_state state;
    uint64_t dial_deadline_ns;
    uint32_t inflight;
    uint32_t silent; /* Attempts given up since the last answer. */
    uint32_t free_head;
    uint32_t slot_count;
    struct sgn_slot slots[];
};

struct sgn_node {
    uint32_t id; /* 0: a seed that has not said it. */
    bool is_member;
    struct sgn_address address;
    char address_text[SGN_ADDRESS_TEXT_BYTES];
    uint32_t link_count;
    struct sgn_link *links[SGN_POOL_MAX];
    uint32_t fails;      /* Dials in a row that came to nothing. */
    uint64_t redial_ns;  /* 0: not before somebody wants it. */
    uint64_t suspect_ns; /* Until then other nodes come first: it did not answer in time. */
    int why_err;         /* Of the last failure. */
    char why[SGN_WHY_BYTES];
};

/* ---- Requests -------------------------------------------------------------------------------- */

enum sgn_op {
    SGN_OP_NONE,
    SGN_OP_GET,
    SGN_OP_STAT,
    SGN_OP_PUT,
    SGN_OP_DEL,
    SGN_OP_LIST,
    SGN_OP_BUCKET_CREATE,
    SGN_OP_BUCKET_DELETE,
    SGN_OP_BUCKET_LIST,
    SGN_OP_STATUS,
    SGN_OP_RING,
    SGN_OP_LOCATE,
    SGN_OP_RESOLVE,
    SGN_OP_MAP,
    SGN_OP_WITNESS_ADD,
    SGN_OP_MAP_CHANGE
};

/* Who may touch the request: IDLE its user; QUEUED and RUNNING the loop; DELIVERING the
 * callback. */
enum sgn_request_state { SGN_REQ_IDLE, SGN_REQ_RUNNING, SGN_REQ_DELIVERING };

enum sgn_phase { SGN_PHASE_NONE, SGN_PHASE_WAITING, SGN_PHASE_SENT, SGN_PHASE_BACKOFF };

struct sgn_attempt {
    struct sgn_link *link; /* NULL: not running. */
    uint32_t slot;
    uint64_t deadline_ns;
};

struct sgn_item_row {
    struct sgn_bytes key;
    uint64_t written_ms;
    uint64_t value_bytes;
    uint32_t sibling_count;
};

struct sgn_request {
    struct sgn_client *client;
    atomic_int state;      /* A */
    atomic_bool cancelled; /* A */
    pthread_mutex_t mutex; /* With cond: who waits for the end. */
    pthread_cond_t cond;
    sgn_done_fn *done;
    void *user;
    struct sgn_request *next;      /* M: inbox; L: done list. */
    struct sgn_request *prev_live; /* L */
    struct sgn_request *next_live; /* L */
    struct sgn_request *next_wait; /* L: those without a link yet. */
    struct sgn_request *prev_wait;

    /* The operation, written by its user before start. */
    enum sgn_op op;
    int setup_err; /* What was found wrong while it was set up. */
    enum sgn_read_mode mode;
    uint32_t copies;
    uint32_t flags; /* Of the message: SGN_PUT_*, SGN_GET_EXPLAIN. */
    uint32_t timeout_ms;
    uint32_t pinned;
    uint32_t limit;
    uint64_t props_kind, props; /* bucket create, map change: a and b of the message. */
    uint32_t bucket_bytes, key_bytes, context_bytes, after_bytes;
    char bucket[SGN_BUCKET_BYTES_MAX];
    uint8_t key[SGN_KEY_BYTES_MAX];
    uint8_t context[SGN_CONTEXT_BYTES_MAX];
    uint8_t after[SGN_FULL_KEY_BYTES_MAX];
    struct sgn_bytes value;
    uint64_t start_ns;

    /* Running (L). */
    enum sgn_phase phase;
    bool is_waiting; /* In the list of those without a link. */
    struct sgn_request_id id;
    uint64_t stamp; /* Of the first try of a put or del, for all of them (3.5); 0: none sent yet. */
    uint64_t hash;
    bool is_internal;   /* The client's own ring request. */
    bool maybe_applied; /* A write that an earlier try may have done. */
    bool is_open;       /* It ended so: its token may be asked for. */
    bool hedge_used;
    bool may_hedge;
    uint64_t deadline_ns, wake_ns, hedge_ns, retry_ns;
    uint32_t heap_index; /* Of client->heap; UINT32_MAX: not in it. */
    uint32_t failed_dials;
    uint32_t tried_count;
    const struct sgn_node *tried[SGN_TRIED_MAX];
    struct sgn_attempt attempts[SGN_ATTEMPTS_MAX];
    uint32_t failed_node; /* Where last_err came from. */
    int last_err;
    char last_why[SGN_WHY_BYTES];

    /* The result. */
    int err;
    bool list_end;
    uint32_t tries, hedges, answer_node;
    uint64_t answer_copies, ns;
    void *body;
    size_t body_cap;
    struct sgn_bytes result_value, result_context, result_after, result_explanation;
    bool has_version;
    struct sgn_key_version version;
    uint32_t witness_id;
    struct sgn_map *map; /* With its lines behind it. */
    struct sgn_record record;
    uint32_t order[SGN_SIBLINGS_MAX]; /* Siblings, the newest first. */
    struct sgn_item_row *items;
    struct sgn_bucket_info *buckets;
    uint32_t item_count, item_cap, bucket_count, bucket_cap;
    struct sgn_shape *shape;
    struct sgn_location location;
    uint8_t context_raw[SGN_CONTEXT_BYTES_MAX];
    char context_text[SGN_CONTEXT_TEXT_BYTES];
    char version_text[SGN_KEY_VERSION_TEXT_BYTES];
    char token_text[SGN_TOKEN_TEXT_BYTES];
    char error_text[SGN_ERROR_BYTES];
};

/* ---- The client ------------------------------------------------------------------------------ */

struct sgn_mirror; /* The one descriptor for foreign loops: client/mirror.c. */

struct sgn_client {
    struct sgn_settings settings; /* Constant after create. */
    pid_t pid;
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t mutex;
    pthread_cond_t ready_cond;        /* M: ring known, or an error for good. */
    struct sgn_request *inbox_head;   /* M */
    struct sgn_request *inbox_tail;   /* M */
    bool is_woken;                    /* M: the eventfd was written and not yet read. */
    bool is_ready;                    /* M */
    int fatal_err;                    /* M */
    char error_text[SGN_ERROR_BYTES]; /* M */

    atomic_bool stop;
    atomic_bool has_cancels;
    atomic_uint running;          /* Requests between start and delivery; bounded by queue_max. */
    atomic_uint_fast64_t session; /* Highest hlc seen. */
    atomic_uint_fast64_t epoch;
    atomic_uint_fast64_t count_requests, count_retries, count_hedges, count_hedges_won;
    atomic_uint_fast64_t count_busy, count_connections, count_connects;
    _Atomic(pthread_t) loop_thread;
    atomic_bool in_loop; /* loop_thread is inside the library's loop now. */

    /* L from here on. */
    struct event_base *base;
    struct sgn_wire *wire;
    struct event *wake_event, *timer;
    int wake_fd;
    struct sgn_mirror *mirror;
    uint64_t armed_ns; /* When the timer fires; UINT64_MAX: not armed. */
    struct sgn_prng prng;
    struct sgn_node **nodes;
    uint32_t node_count, node_cap;
    uint32_t rotate; /* Where the search for any node begins next. */
    struct sgn_shape *shape;
    struct sgn_node **member_nodes; /* By member index of shape. */
    struct sgn_request *ring_request;
    bool ring_asking;
    uint64_t ring_retry_ns;
    uint32_t epoch_seen; /* Highest in an answer. */
    struct sgn_request *live;
    struct sgn_request *wait_head, *wait_tail;
    struct sgn_request *done_head, *done_tail;
    struct sgn_request *delivering;
    struct sgn_request **heap;
    uint32_t heap_count, heap_cap;
    uint32_t hedge_credit; /* Hundredths of a hedge. */
    bool stamp_wanted;     /* A write waits until some node has told the ring's time. */
    uint64_t clock_stamp;  /* The ring's time when ... */
    uint64_t clock_ns;     /* ... it was this; 0: not told yet. */
    bool pump_wanted;
};

uint64_t sgn_now_ns(void);
/* level as in sgn_log_fn. The text also becomes sgn_client_error when level is below 2. */
void sgn_client_say(struct sgn_client *client, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void sgn_trace(const struct sgn_request *request,
               enum sgn_trace_stage stage,
               uint32_t node,
               int err);

/* loop.c */
void sgn_loop_wake(struct sgn_client *client);
bool sgn_loop_is_here(struct sgn_client *client);
void *sgn_loop_thread(void *client);
int sgn_loop_turn(struct sgn_client *client, int event_flags, uint32_t done_max);
void sgn_loop_arm(struct sgn_client *client, uint64_t when_ns);
void sgn_loop_deliver(struct sgn_client *client, struct sgn_request *request);
void sgn_loop_on_wake(int fd, short what, void *user);
void sgn_loop_on_timer(int fd, short what, void *user);
void sgn_loop_cancel_all(struct sgn_client *client);

/* heap.c: requests by wake_ns. */
void sgn_heap_set(struct sgn_client *client, struct sgn_request *request, uint64_t wake_ns);
void sgn_heap_remove(struct sgn_client *client, struct sgn_request *request);

/* lists.c: all that run, and those that wait for a link. */
void sgn_wait_add(struct sgn_request *request);
void sgn_wait_remove(struct sgn_request *request);
void sgn_live_add(struct sgn_request *request);
void sgn_live_remove(struct sgn_request *request);

/* mirror.c */
struct sgn_mirror *sgn_mirror_create(void);
void sgn_mirror_destroy(struct sgn_mirror *mirror);
int sgn_mirror_fd(const struct sgn_mirror *mirror);
/* Sees to it that the descriptor becomes readable whenever the base has something to do; `at_once`:
 * right now. */
int sgn_mirror_update(struct sgn_mirror *mirror, struct event_base *base, bool at_once);
void sgn_mirror_forget(
    struct sgn_mirror *mirror); /* Descriptors may have been closed and reused. */

/* pool.c */
struct sgn_node *sgn_pool_node(struct sgn_client *client, const char *address);
void sgn_pool_dial(struct sgn_client *client, struct sgn_node *node);
/* Somebody would send to it: dials if nothing else is on its way, or sooner than planned. */
void sgn_pool_want(struct sgn_client *client, struct sgn_node *node);
struct sgn_link *sgn_pool_link(struct sgn_node *node); /* Up and with a free slot, or NULL. */
bool sgn_pool_is_open(const struct sgn_node *node);    /* Some link is up. */
bool sgn_pool_is_dialling(const struct sgn_node *node);
uint32_t sgn_pool_take(struct sgn_link *link, struct sgn_request *request, uint32_t attempt);
void sgn_pool_give(struct sgn_link *link, uint32_t slot);
void sgn_pool_silent(struct sgn_link *link, uint64_t now_ns); /* An attempt there was given up. */
void sgn_pool_tick(struct sgn_client *client, uint64_t now_ns, uint64_t *next_ns);
void sgn_pool_clear(struct sgn_client *client);

/* route.c */
void sgn_route_begin(struct sgn_request *request);
/* Where to send next, or NULL: nobody can take it now. */
struct sgn_link *sgn_route_choose(struct sgn_request *request, uint64_t now_ns);
struct sgn_link *sgn_route_hedge(struct sgn_request *request, uint64_t now_ns);
bool sgn_route_is_candidate(const struct sgn_request *request, const struct sgn_node *node);
/* Dials nodes that could take a request that waits. */
void sgn_route_want(struct sgn_request *request);
/* Whether a node that may take it is up or being dialled; *count: how many may take it. */
bool sgn_route_has_hope(const struct sgn_request *request, uint32_t *count);
/* Whether the node it is pinned to cannot exist. */
bool sgn_route_is_lost(const struct sgn_request *request);
/* Routes by this shape from now on, if it is newer; takes a hold of its own. */
int sgn_route_adopt(struct sgn_client *client, struct sgn_shape *shape);
void sgn_route_ask_ring(struct sgn_client *client);
void sgn_route_ring_done(struct sgn_client *client); /* The internal request has ended. */
void sgn_route_locate(struct sgn_request *request);
void sgn_route_check_ready(struct sgn_client *client);

/* attempt.c: the life of one running request. */
void sgn_attempt_begin(struct sgn_request *request);
void sgn_attempt_pump(struct sgn_client *client); /* Sends what waits for a link. */
void sgn_attempt_answer(struct sgn_link *link, const struct sgn_msg *msg);
void sgn_attempt_broken(struct sgn_request *request, uint32_t attempt, int err, const char *why);
void sgn_attempt_wake(struct sgn_request *request, uint64_t now_ns);
/* A dial came to nothing: what waits for that node alone may have to be given up. */
void sgn_attempt_dial_failed(struct sgn_client *client, const struct sgn_node *node);
void sgn_attempt_finish(struct sgn_request *request, int err);

/* clock.c */
/* What a node's clock says by now, from what one said last; 0 before that. A write with an old
 * stamp would be at or below the ops_floor of a busy key at once (3.5). That it is an estimate
 * harms nobody: the same one goes with every try, and nodes refuse what is far ahead. */
uint64_t sgn_clock_time(const struct sgn_client *client, uint64_t now_ns);
/* A node has answered with this stamp; 0: it told none. */
void sgn_clock_notice(struct sgn_client *client, uint64_t stamp);

/* message.c */
bool sgn_op_is_write(enum sgn_op op);
/* A put or del: sent with an id and a stamp, the same in every try. */
bool sgn_op_is_change(enum sgn_op op);
/* Whether this answer says for good how the operation ended: success, and what only looks like
 * failure. */
bool sgn_op_is_verdict(enum sgn_op op, int err);
bool sgn_op_has_key(enum sgn_op op);
const char *sgn_op_name(enum sgn_op op);
void sgn_message_fill(const struct sgn_request *request, struct sgn_msg *msg);
/* The error sentence of the request's outcome. */
void sgn_message_explain(struct sgn_request *request);

/* result.c */
void sgn_result_clear(struct sgn_request *request);
/* Copies and decodes a good answer. SGN_ERR_PROTOCOL if it is not one, SGN_ERR_NOMEM. */
int sgn_result_take(struct sgn_request *request, const struct sgn_msg *msg);

/* request.c */
/* Whether its user may touch it now. */
bool sgn_request_is_mine(const struct sgn_request *request);

/* setup.c: for functions that begin an operation. */
/* False while it runs: nothing may be changed then. */
bool sgn_setup_begin(struct sgn_request *request, enum sgn_op op);
/* What start will end with; the first refusal counts. */
void sgn_setup_refuse(struct sgn_request *request, int err, const char *why);
void sgn_setup_bucket(struct sgn_request *request, struct sgn_bytes bucket);
void sgn_setup_take_key(struct sgn_request *request, struct sgn_bytes key);
void sgn_setup_key(struct sgn_request *request,
                   enum sgn_op op,
                   struct sgn_bytes bucket,
                   struct sgn_bytes key);

/* version.c */
/* From a message's context. SGN_ERR_PROTOCOL if it is no version. */
int sgn_key_version_take(struct sgn_bytes bytes, struct sgn_key_version *version);
struct sgn_version sgn_key_version_parts(const struct sgn_key_version *version);

/* admin.c */
int sgn_map_take(struct sgn_request *request, const struct sgn_msg *msg);

/* text.c */
void sgn_text_encode(struct sgn_bytes bytes, char *text, size_t text_bytes);
int sgn_text_decode(const char *text, struct sgn_sink *sink);
/* Copies what the caller's struct has room for. */
int sgn_struct_out(void *to, const void *from, size_t bytes);

#endif
