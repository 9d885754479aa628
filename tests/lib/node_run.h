/* tests/lib/node_run.h - real daemons on loopback for tests: start, wait for a state, kill, talk
 * to. Every wait has a limit; what fails to come in time ends the test with a sentence. Children
 * die with the test. Single thread. */
#ifndef SGN_TESTS_NODE_RUN_H
#define SGN_TESTS_NODE_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ring/core/msg.h"

#define RUN_NODES_MAX 8u
#define RUN_WAIT_MS   30000u

struct run_ring {
    char dir[64];
    const char *program;
    const char *name;
    uint32_t count, replicas;
    uint16_t ports[RUN_NODES_MAX + 1]; /* By node id. */
    pid_t pids[RUN_NODES_MAX + 1];     /* 0: not running. */
    char admin[RUN_NODES_MAX + 1][64];
    const char *shim; /* Not NULL: preloaded, its map being DIR/mapID (tests/lib/powercut.h). */
};

#define RUN_CHECK(condition, ...)                                                                  \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            run_fail(__FILE__, __LINE__, #condition, __VA_ARGS__);                                 \
        }                                                                                          \
    } while (0)
_Noreturn void run_fail(const char *file, int line, const char *condition, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The signet-node of the build the test is of, or argv[1]; static memory. */
const char *run_program(int argc, char **argv);

/* Chooses a temporary folder and free ports; starts nothing. */
void run_init(struct run_ring *ring,
              const char *program,
              const char *name,
              uint32_t count,
              uint32_t replicas);
/* Kills what runs, removes the folder. */
void run_clear(struct run_ring *ring);

/* Writes DIR/nodeID.conf; `more` is appended. */
void run_config(const struct run_ring *ring, uint32_t node, const char *more);
/* Starts with the config written and up to two more arguments; run_ready waits for its file. */
void run_start(struct run_ring *ring, uint32_t node, const char *a, const char *b);
void run_ready(struct run_ring *ring, uint32_t node);
/* Exit status of a process that ends by itself or by the signal; -signal when killed by one. */
int run_wait(struct run_ring *ring, uint32_t node);
int run_stop(struct run_ring *ring, uint32_t node, int signal_number);
/* What the node wrote to stderr, all runs; static memory. */
const char *run_log(const struct run_ring *ring, uint32_t node);

uint64_t run_now_ms(void);
/* Gives the processor away for a moment between two looks at a state. */
void run_pause(void);

/* A blocking client connection. */
struct run_conn;
struct run_conn *run_dial(const struct run_ring *ring, uint32_t node); /* Socket only. */
struct run_conn *run_open(const struct run_ring *ring, uint32_t node); /* And HELLO. */
void run_close(struct run_conn *conn);
int run_conn_fd(const struct run_conn *conn);
void run_send_raw(struct run_conn *conn, const void *ptr, size_t bytes);
void run_send(struct run_conn *conn, const struct sgn_msg *msg);
/* The next message, valid until the next call; false when the node closed the connection. */
bool run_receive(struct run_conn *conn, struct sgn_msg *msg);
/* Sends and receives; gives the RESULT's error and fails the test if none came. */
int run_call(struct run_conn *conn, struct sgn_msg *msg, struct sgn_msg *answer);

/* Gives a write the id and the stamp of a request made now; an ordered bucket wants both. */
void run_sign(struct sgn_msg *write);
/* Makes an available bucket with the ring's number of copies; one that is there already is fine. */
void run_bucket(const struct run_ring *ring, uint32_t node, const char *name);
/* In buckets of either kind. */
int run_put(struct run_conn *conn, const char *bucket, const char *key, const char *value);
/* Length of the newest value copied into text (0 bytes: deleted or absent), or an error < 0. */
int run_get(struct run_conn *conn, const char *bucket, const char *key, char *text, size_t bytes);
/* The node's STATUS; static memory. */
const char *run_status(const struct run_ring *ring, uint32_t node);
/* Waits until it holds the words. */
void run_await_status(const struct run_ring *ring, uint32_t node, const char *words);

/* One HTTP exchange with the admin port: sends text, returns the whole answer; static memory. */
const char *run_http(const struct run_ring *ring, uint32_t node, const char *text);

#endif
