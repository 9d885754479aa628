/* client/signet.h - the C client of Signet: the one header to include. It ends by including
 * signet_ring.h, what concerns the ring's shape.
 *
 *   struct sgn_options *options = sgn_options_create();
 *   struct sgn_client *client = NULL;
 *   sgn_options_set(options, "seeds", "127.0.0.1:7301,127.0.0.1:7302");
 *   sgn_client_create(&client, options);
 *   struct sgn_request *request = sgn_request_create(client);
 *   sgn_request_get(request, sgn_text("default"), sgn_text("greeting"));
 *   if (sgn_request_run(request) == SGN_OK) { use(sgn_request_value(request)); }
 *
 * Rules that hold for the whole header:
 *  - Functions that can fail return 0 (SGN_OK) or a negative enum sgn_err.
 *  - Bytes handed in are copied, but for the value of a put: that one is borrowed until the request
 *    is done. Bytes and text handed out belong to the object they came from; each function says how
 *    long they last.
 *  - Structs that are filled for the caller begin with `struct_bytes`: set it to sizeof the struct
 *    before the call, so that a later library knows which fields the caller has.
 *  - A client is for any number of threads; a request for one at a time (only sgn_request_cancel
 *    may come from another); options for one.
 *  - The library raises and catches no signals, writes nothing to stdout or stderr, has no global
 *    state and never exits the process over what it received. After fork the child creates a client
 *    of its own; the parent's is of no use to it, not even for destroy.
 *  - Times are milliseconds unless the name says otherwise. `_ms` with "since 1970" is wall time.
 * C11 and C++17. */
#ifndef SIGNET_H
#define SIGNET_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SGN_API __attribute__((visibility("default")))
#else
#define SGN_API
#endif

/* ---- Version --------------------------------------------------------------------------------- */

#define SGN_VERSION_MAJOR  0
#define SGN_VERSION_MINOR  1
#define SGN_VERSION_PATCH  0
#define SGN_VERSION_NUMBER (SGN_VERSION_MAJOR * 10000 + SGN_VERSION_MINOR * 100 + SGN_VERSION_PATCH)
#define SGN_VERSION_TEXT   "0.1.0"

/* Of the library that is loaded; the macros are of the header the program was built with. */
SGN_API uint32_t sgn_version_number(void);
SGN_API const char *sgn_version_text(void);

/* ---- Bytes ----------------------------------------------------------------------------------- */

#ifndef SGN_BYTES_DEFINED
#define SGN_BYTES_DEFINED
struct sgn_bytes {
    const void *ptr;
    size_t count;
};
#endif

/* The bytes of a C string, without its NUL. */
static inline struct sgn_bytes sgn_text(const char *text)
{
    struct sgn_bytes bytes = {text, 0};
    while (text[bytes.count] != '\0') {
        bytes.count++;
    }
    return bytes;
}

/* ---- Errors ---------------------------------------------------------------------------------- */

/* What the ring takes. */
#define SGN_LIMIT_KEY_BYTES    1024u
#define SGN_LIMIT_BUCKET_BYTES 63u
#define SGN_LIMIT_VALUE_BYTES  (16u << 20)

/* Codes keep their meaning for ever; new ones are added at the end. sgn_err_text says each in
 * words. */
#ifndef SGN_ERR_DEFINED
#define SGN_ERR_DEFINED
enum sgn_err {
    SGN_OK = 0,
    SGN_ERR_NOT_FOUND = -1,
    SGN_ERR_NO_BUCKET = -2,
    SGN_ERR_BUCKET_EXISTS = -3,
    SGN_ERR_BUCKET_NOT_EMPTY = -4,
    SGN_ERR_INVALID = -5,
    SGN_ERR_TOO_LARGE = -6,
    SGN_ERR_BUSY = -7,
    SGN_ERR_TIMEOUT = -8,
    SGN_ERR_UNAVAILABLE = -9,
    SGN_ERR_UNKNOWN = -10,
    SGN_ERR_CONDITION = -11,
    SGN_ERR_NOT_STRONG = -12,
    SGN_ERR_NOT_ORDERED = -13,
    SGN_ERR_TOO_MANY_SIBLINGS = -14,
    SGN_ERR_DISK_FULL = -15,
    SGN_ERR_IO = -16,
    SGN_ERR_CORRUPT = -17,
    SGN_ERR_VERSION = -18,
    SGN_ERR_WRONG_RING = -19,
    SGN_ERR_CLOCK = -20,
    SGN_ERR_NOMEM = -21,
    SGN_ERR_NETWORK = -22,
    SGN_ERR_CANCELLED = -23,
    SGN_ERR_PROTOCOL = -24,
    SGN_ERR_CONFIG = -25,
    SGN_ERR_FORMAT = -26,
    SGN_ERR_IN_USE = -27,
    SGN_ERR_STALE_CURSOR = -28,
    SGN_ERR_UNSUPPORTED = -29,
    SGN_ERR_VOID = -30,
    SGN_ERR_FENCED = -31,
    SGN_ERR_NACK = -32, /* This one and the next only between nodes. */
    SGN_ERR_STALE = -33
};
#endif

/* "SGN_ERR_BUSY"; "SGN_ERR_UNLISTED" for a number that is no code. Static memory. */
SGN_API const char *sgn_err_name(int err);
/* One sentence about the code, without full stop. Static memory. */
SGN_API const char *sgn_err_text(int err);
/* 1 if the same request may succeed when simply sent again, else 0. The library has then already
 * tried within the request's time. */
SGN_API int sgn_err_is_retriable(int err);

/* ---- Versions -------------------------------------------------------------------------------- */

/* Names one state of one key of an ordered bucket. Every change of the key makes a new one, and
 * none ever recurs: a write on condition of a version that is not the key's any more is rejected,
 * also when the key has the same value again. Plain memory without pointers: copy and keep it as
 * you like. A version is of use with the key it came from; with another one it merely never
 * matches. */
struct sgn_key_version {
    unsigned char opaque[28];
};

/* As one word of digits, letters a to f, '-' and '.', such as "12-6743a2b1c0000001.3.1.0": equal
 * versions, equal text. It passes through shells, URLs and JSON unharmed. */
#define SGN_KEY_VERSION_TEXT_BYTES 68
SGN_API void sgn_key_version_text(const struct sgn_key_version *version,
                                  char text[SGN_KEY_VERSION_TEXT_BYTES]);
/* SGN_ERR_INVALID, and *version unchanged, if the text is none. */
SGN_API int sgn_key_version_parse(struct sgn_key_version *version, const char *text);
/* How many changes the key had seen: 1, 2, 3 ... without gaps; 0 for a key never written. */
SGN_API uint64_t sgn_key_version_rev(const struct sgn_key_version *version);

/* ---- Options --------------------------------------------------------------------------------- */

struct sgn_options; /* A builder; the client copies it. */
struct sgn_client;
struct sgn_request;

/* level: 0 error, 1 warning, 2 notice, 3 detail. `text` is one line and lasts for the call. Comes
 * on the library's thread, or inside a call of the caller's; must not call the client. */
typedef void sgn_log_fn(void *user, int level, const char *text);

enum sgn_trace_stage {
    SGN_TRACE_START = 1,  /* Taken up by the client. */
    SGN_TRACE_SENT = 2,   /* Handed to a connection of `node`. */
    SGN_TRACE_HEDGE = 3,  /* A second copy was sent, to `node`. */
    SGN_TRACE_ANSWER = 4, /* `node` answered `err`. */
    SGN_TRACE_RETRY = 5,  /* To be tried again, because of `err`. */
    SGN_TRACE_DONE = 6    /* Ends with `err`. */
};

struct sgn_trace_event {
    size_t struct_bytes;
    const struct sgn_request *request; /* To tell requests apart; not to be used. */
    enum sgn_trace_stage stage;
    uint32_t node; /* 0: none, or a seed whose number is not known yet. */
    int err;
    uint64_t ns; /* Since the request was started. */
};

/* As a log function. */
typedef void sgn_trace_fn(void *user, const struct sgn_trace_event *event);

/* NULL only when there is no memory. Destroy takes NULL. */
SGN_API struct sgn_options *sgn_options_create(void);
SGN_API void sgn_options_destroy(struct sgn_options *options);

/* Sets one option by name; sgn_options_name/_default/_help list them all. A later set wins.
 * SGN_ERR_CONFIG for an unknown name or a value out of range: sgn_options_error says which, why and
 * what is allowed, and the option keeps its value. */
SGN_API int sgn_options_set(struct sgn_options *options, const char *name, const char *value);
/* The value as text, or NULL for an unknown name. Valid until the next call on options. */
SGN_API const char *sgn_options_get(const struct sgn_options *options, const char *name);
/* Reads `name = value` lines of one section ("client" when NULL) of an INI file; other sections are
 * passed over. `#` or `;` begin a comment line. All or nothing. SGN_ERR_CONFIG with file and line
 * in the error text, SGN_ERR_NOT_FOUND when the file or the section is not there. */
SGN_API int sgn_options_load_file(struct sgn_options *options,
                                  const char *path,
                                  const char *section);
/* Takes every SIGNET_<NAME IN CAPITALS> of the environment, SIGNET_SEEDS for one. All or
 * nothing. */
SGN_API int sgn_options_load_env(struct sgn_options *options);
/* Why the last call failed; "" if it did not. Valid until the next call on options. */
SGN_API const char *sgn_options_error(const struct sgn_options *options);

/* The table of options by index; NULL past its end. Static memory. */
SGN_API const char *sgn_options_name(size_t index);
SGN_API const char *sgn_options_default(size_t index);
SGN_API const char *sgn_options_help(size_t index); /* What it is, with its range. */

SGN_API void sgn_options_set_log(struct sgn_options *options, sgn_log_fn *log, void *user);
SGN_API void sgn_options_set_trace(struct sgn_options *options, sgn_trace_fn *trace, void *user);

/* ---- Client ---------------------------------------------------------------------------------- */

/* Never waits for the network: connecting goes on behind. `options` may be NULL (the defaults) and
 * may be destroyed afterwards. SGN_ERR_NOMEM, SGN_ERR_CONFIG, SGN_ERR_IO (no thread or
 * descriptor). */
SGN_API int sgn_client_create(struct sgn_client **client, const struct sgn_options *options);

/* Waits until the shape of the ring is known from some node. SGN_ERR_TIMEOUT, or the error that
 * hinders it for good, SGN_ERR_WRONG_RING for one. Not on the library's thread. */
SGN_API int sgn_client_wait_ready(struct sgn_client *client, uint32_t timeout_ms);

/* Why the client last failed to reach the ring, as a sentence with the address; "" if it never did.
 * Copied into text, cut to text_bytes with its NUL. */
SGN_API void sgn_client_error(struct sgn_client *client, char *text, size_t text_bytes);

/* Ends running requests with SGN_ERR_CANCELLED (their callbacks run), then frees. Every request of
 * the client must be destroyed before; not from a callback. Takes NULL. */
SGN_API void sgn_client_destroy(struct sgn_client *client);

/* For programs with an event loop of their own: with the option threads = 0 the library starts no
 * thread, and all its work happens in dispatch, which the caller calls on one thread whenever the
 * descriptor is readable (poll, epoll, libevent: client/signet_libevent.h). The descriptor is the
 * client's; it also becomes readable for the library's timers.
 * fd: -1 with threads = 1. dispatch: never waits; runs callbacks; returns how many requests it
 * ended, at most done_max (0: no bound), or SGN_ERR_INVALID with threads = 1. */
SGN_API int sgn_client_fd(struct sgn_client *client);
SGN_API int sgn_client_dispatch(struct sgn_client *client, uint32_t done_max);

/* The session: how far the ring's clock had come in what this client saw. Text of fewer than
 * SGN_SESSION_TEXT_BYTES bytes; give it to another client of the same user so that its writes come
 * after. set: SGN_ERR_INVALID if the text is none. */
#define SGN_SESSION_TEXT_BYTES 32
SGN_API void sgn_client_session(struct sgn_client *client, char text[SGN_SESSION_TEXT_BYTES]);
SGN_API int sgn_client_session_set(struct sgn_client *client, const char *text);

struct sgn_client_counts {
    size_t struct_bytes;
    uint64_t requests;    /* Started. */
    uint64_t retries;     /* Sent again after a failure. */
    uint64_t hedges;      /* Second copies of reads. */
    uint64_t hedges_won;  /* Those that answered first. */
    uint64_t busy;        /* Refused at once because the client's queue was full. */
    uint64_t connections; /* Standing now. */
    uint64_t connects;    /* Attempts so far. */
    uint64_t ring_epoch;  /* 0: not known yet. */
};
SGN_API void sgn_client_stats(struct sgn_client *client, struct sgn_client_counts *counts);

/* ---- Requests -------------------------------------------------------------------------------- */

/* NULL only when there is no memory. A request is used again and again: each operation function
 * begins anew, forgetting settings and results of the one before. While a request runs nothing but
 * cancel, and destroy as below, may be called on it. */
SGN_API struct sgn_request *sgn_request_create(struct sgn_client *client);
/* Forgets the operation and gives up memory of large results. */
SGN_API void sgn_request_reset(struct sgn_request *request);
/* Of a running request: cancels it and waits until its callback has returned. Allowed in its own
 * callback. Takes NULL. */
SGN_API void sgn_request_destroy(struct sgn_request *request);

/* Operations. What is wrong with names or sizes is told by run or start. */
SGN_API void sgn_request_get(struct sgn_request *request,
                             struct sgn_bytes bucket,
                             struct sgn_bytes key);
/* As get, but brings versions, times and sizes without values. */
SGN_API void sgn_request_stat(struct sgn_request *request,
                              struct sgn_bytes bucket,
                              struct sgn_bytes key);
/* The value is borrowed until the request is done.
 *
 * Ordered bucket: the value takes the key's next version (sgn_request_key_version). With a
 * condition (sgn_request_set_if_absent, _set_if_version) there are exactly three results:
 *   SGN_OK             applied; the version it made.
 *   SGN_ERR_CONDITION  rejected: it was not applied and never will be; the version it met.
 *   SGN_ERR_UNKNOWN    nobody could say within the time; sgn_request_token, to be asked later with
 *                      sgn_request_resolve.
 * All tries of a request carry one id, so the change is made once whatever is lost or repeated on
 * the way, and a try is never told of another's success as a rejection. SGN_ERR_FENCED,
 * SGN_ERR_UNAVAILABLE: too few nodes or witnesses, and the sentence names them; nothing was
 * written.
 *
 * Available bucket: without a context the put overwrites all values its coordinator holds; with one
 * (sgn_request_set_context) only what the context has seen, and values written meanwhile stay
 * beside it as siblings. A condition is refused with SGN_ERR_NOT_ORDERED.
 *
 * In both a put that ends with SGN_ERR_UNKNOWN may or may not have been kept. Any other error but
 * SGN_ERR_CANCELLED: nothing was written. */
SGN_API void sgn_request_put(struct sgn_request *request,
                             struct sgn_bytes bucket,
                             struct sgn_bytes key,
                             struct sgn_bytes value);
/* As put, with or without a condition. SGN_OK also when there was nothing; in an ordered bucket
 * that makes no new version. */
SGN_API void sgn_request_del(struct sgn_request *request,
                             struct sgn_bytes bucket,
                             struct sgn_bytes key);
/* What became of a write that ended with SGN_ERR_UNKNOWN (or was cancelled): `token` is its
 * sgn_request_token. SGN_OK: it was applied, and made sgn_request_key_version. SGN_ERR_CONDITION:
 * it was rejected, having met that version. SGN_ERR_VOID: it took no effect, and from this answer
 * on it never will. SGN_ERR_UNKNOWN: it is too long ago to tell. Other errors: ask again. In an
 * available bucket nothing is remembered: SGN_ERR_NOT_ORDERED. SGN_ERR_INVALID at once if the text
 * is no token. */
SGN_API int sgn_request_resolve(struct sgn_request *request, const char *token);
/* One page of the keys that begin with prefix, in byte order. A page may hold fewer keys than the
 * limit, or none, before the end: go on from sgn_request_list_after until sgn_request_list_end. */
SGN_API void sgn_request_list(struct sgn_request *request,
                              struct sgn_bytes bucket,
                              struct sgn_bytes prefix);

#ifndef SGN_BUCKET_KIND_DEFINED
#define SGN_BUCKET_KIND_DEFINED
enum sgn_bucket_kind { SGN_BUCKET_AVAILABLE = 1, SGN_BUCKET_ORDERED = 2 };
#endif

/* n copies, r read and w written before an answer; 0 for any of them: the ring's default. */
SGN_API void sgn_request_bucket_create(struct sgn_request *request,
                                       struct sgn_bytes bucket,
                                       enum sgn_bucket_kind kind,
                                       uint32_t n,
                                       uint32_t r,
                                       uint32_t w);
SGN_API void sgn_request_bucket_delete(struct sgn_request *request, struct sgn_bytes bucket);
SGN_API void sgn_request_bucket_list(struct sgn_request *request);
/* JSON of one node's view, as the value. node 0: any. */
SGN_API void sgn_request_status(struct sgn_request *request, uint32_t node);

#ifndef SGN_READ_MODE_DEFINED
#define SGN_READ_MODE_DEFINED
enum sgn_read_mode { SGN_READ_EVENTUAL = 0, SGN_READ_SESSION = 1, SGN_READ_STRONG = 2 };
#endif

/* Settings of the operation begun last; they have no meaning before one. */

/* How fresh a get, stat or list must be; without it the client's option `read`.
 *   eventual  what one replica has committed (ordered bucket), or r copies merged (available).
 *   session   at least what sgn_request_set_at_least names; without one it is as eventual.
 *   strong    what was true at some moment between start and outcome, whoever wrote it: ordered
 *             buckets only, SGN_ERR_NOT_STRONG elsewhere, never silently weaker. */
SGN_API void sgn_request_set_read(struct sgn_request *request, enum sgn_read_mode mode);
/* A session read: the answer's version is this one of the same key or a later one. The version is
 * that of an earlier result, this client's or another's. */
SGN_API void sgn_request_set_at_least(struct sgn_request *request,
                                      const struct sgn_key_version *version);
/* SGN_ERR_INVALID if the text is no version. */
SGN_API int sgn_request_set_at_least_text(struct sgn_request *request, const char *version);
/* A put or del only if the key is absent: never written, or deleted. */
SGN_API void sgn_request_set_if_absent(struct sgn_request *request);
/* A put or del only if the key's version is exactly this; that of a key never written or deleted
 * (known from a get that ended with SGN_ERR_NOT_FOUND) will do too. */
SGN_API void sgn_request_set_if_version(struct sgn_request *request,
                                        const struct sgn_key_version *version);
/* SGN_ERR_INVALID if the text is no version. */
SGN_API int sgn_request_set_if_version_text(struct sgn_request *request, const char *version);
/* Asks a get or stat of an ordered bucket for an account of how it was served:
 * sgn_request_explanation. */
SGN_API void sgn_request_set_explain(struct sgn_request *request);
/* R of a get or W of a put for this request; 0: the bucket's. */
SGN_API void sgn_request_set_copies(struct sgn_request *request, uint32_t copies);
/* What the writer has read: sgn_request_context of that read. An empty context overwrites nothing:
 * the value comes beside whatever there is. */
SGN_API void sgn_request_set_context(struct sgn_request *request, struct sgn_bytes context);
/* The same from the text form (sgn_request_context_text). SGN_ERR_INVALID if it is none. */
SGN_API int sgn_request_set_context_text(struct sgn_request *request, const char *text);
/* For the whole call with all its tries; 0: the client's timeout_ms. */
SGN_API void sgn_request_set_timeout(struct sgn_request *request, uint32_t timeout_ms);
/* Sends to this node and no other; 0: where it is best. */
SGN_API void sgn_request_set_node(struct sgn_request *request, uint32_t node);
/* Begin behind this key; empty: at the beginning. */
SGN_API void sgn_request_set_list_after(struct sgn_request *request, struct sgn_bytes after);
/* Keys in a page, 1..1000; 0: 1000. */
SGN_API void sgn_request_set_list_limit(struct sgn_request *request, uint32_t keys);

/* Carries the request out and waits. Returns its outcome. With threads = 0 it dispatches meanwhile,
 * so callbacks of other requests may run inside. SGN_ERR_INVALID in a callback. */
SGN_API int sgn_request_run(struct sgn_request *request);

/* `err` is the outcome. The callback may use the request in any way: read it, begin and start it
 * again, destroy it. On the library's thread, or inside dispatch or run with threads = 0. */
typedef void sgn_done_fn(struct sgn_request *request, int err, void *user);

/* SGN_OK: the callback comes, exactly once. Anything else (SGN_ERR_INVALID, _TOO_LARGE, _BUSY when
 * the client's queue is full, _NOMEM): it never comes, and that is the outcome. */
SGN_API int sgn_request_start(struct sgn_request *request, sgn_done_fn *done, void *user);

/* Waits, on another thread than the library's, until a started request has ended and its callback
 * has returned: from then on this thread may use it. Returns the outcome; at once if the request is
 * not under way. SGN_ERR_INVALID in a callback, and with threads = 0 while it is under way. */
SGN_API int sgn_request_wait(struct sgn_request *request);

/* Any thread, any time, also when nothing runs. A running request ends soon with SGN_ERR_CANCELLED,
 * or as it would have; a put or del may then have been applied. */
SGN_API void sgn_request_cancel(struct sgn_request *request);

/* ---- Results --------------------------------------------------------------------------------- */
/* Valid until the next operation is begun on the request, reset or destroy. */

/* The outcome; SGN_OK before the first. */
SGN_API int sgn_request_err(const struct sgn_request *request);
/* What went wrong, with bucket, key and node, as one sentence; "" after success. */
SGN_API const char *sgn_request_error(const struct sgn_request *request);

/* Get: the newest value, in an ordered bucket the only one; status: the JSON text. Empty
 * otherwise. */
SGN_API struct sgn_bytes sgn_request_value(const struct sgn_request *request);

/* Get and stat: every concurrent value, the newest first; an ordered bucket has one or none.
 * SGN_ERR_INVALID past the last. */
#define SGN_DOT_TEXT_BYTES 48
struct sgn_value_info {
    size_t struct_bytes;
    struct sgn_bytes value;       /* Empty after stat. */
    uint64_t value_bytes;         /* The size, after stat too. */
    uint64_t written_ms;          /* Since 1970, by the clock of the node that took the write. */
    char dot[SGN_DOT_TEXT_BYTES]; /* "node.generation:counter": the name of this one write; of an
                                     ordered bucket "node.incarnation:rev". */
};
SGN_API uint32_t sgn_request_sibling_count(const struct sgn_request *request);
SGN_API int sgn_request_sibling(const struct sgn_request *request,
                                uint32_t index,
                                struct sgn_value_info *info);

/* Available bucket: what a get, stat, put or del has seen, to be given to a later put or del of the
 * same key. */
SGN_API struct sgn_bytes sgn_request_context(const struct sgn_request *request);
/* The same as text: letters, digits, '-' and '_'. "" for the empty context. */
SGN_API const char *sgn_request_context_text(const struct sgn_request *request);
/* Names exactly this state of the key; equal states, equal text. Ordered bucket: the text of
 * sgn_request_key_version. Available bucket, get and stat: 16 hex digits. */
SGN_API const char *sgn_request_version(const struct sgn_request *request);
/* Ordered bucket: the version that a get or stat found (also when the key is not there), that a put
 * or del made, or met when it was rejected. SGN_ERR_NOT_ORDERED if the outcome has none. */
SGN_API int sgn_request_key_version(const struct sgn_request *request,
                                    struct sgn_key_version *version);
/* Of a put or del without verdict (SGN_ERR_UNKNOWN, or SGN_ERR_CANCELLED after it was sent): text
 * for sgn_request_resolve, one word of letters, digits, '-' and '_' that may be kept anywhere and
 * used by any client of the ring. "" otherwise. */
SGN_API const char *sgn_request_token(const struct sgn_request *request);
/* JSON text of sgn_request_set_explain: replica, witnesses asked and their answers, path, version
 * and time in each stage. Empty if it was not asked for, or the bucket is available. */
SGN_API struct sgn_bytes sgn_request_explanation(const struct sgn_request *request);

/* List. */
struct sgn_item_info {
    size_t struct_bytes;
    struct sgn_bytes key;
    uint64_t written_ms;    /* Of the newest value. */
    uint64_t value_bytes;   /* Of the newest value. */
    uint32_t sibling_count; /* 1 unless there are concurrent values. */
};
SGN_API uint32_t sgn_request_item_count(const struct sgn_request *request);
SGN_API int sgn_request_item(const struct sgn_request *request,
                             uint32_t index,
                             struct sgn_item_info *info);
SGN_API struct sgn_bytes sgn_request_list_after(const struct sgn_request *request);
SGN_API int sgn_request_list_end(const struct sgn_request *request); /* 1: nothing behind. */

/* Bucket list; all buckets come in one answer. */
struct sgn_bucket_info {
    size_t struct_bytes;
    char name[SGN_LIMIT_BUCKET_BYTES + 1];
    enum sgn_bucket_kind kind;
    uint32_t n, r, w;
};
SGN_API uint32_t sgn_request_bucket_count(const struct sgn_request *request);
SGN_API int sgn_request_bucket_info(const struct sgn_request *request,
                                    uint32_t index,
                                    struct sgn_bucket_info *info);

/* How the request went; also of one that failed. */
struct sgn_receipt {
    size_t struct_bytes;
    uint32_t tries;  /* Times it was sent, hedges not counted. */
    uint32_t hedges; /* Second copies sent. */
    uint32_t node;   /* Who gave the answer; 0: nobody. */
    uint32_t copies; /* Stored by the write, or read for the read, when it was answered. */
    uint64_t ns;     /* From run or start to the outcome. */
};
SGN_API void sgn_request_receipt(const struct sgn_request *request, struct sgn_receipt *receipt);

#ifdef __cplusplus
}
#endif

#include "signet_ring.h"

#endif
