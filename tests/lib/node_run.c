#include "tests/lib/node_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ring/core/bucket.h"
#include "ring/net/address.h"
#include "ring/net/hello.h"
#include "ring/net/msg_codec.h"

#define PAUSE_MS   5
#define TEXT_BYTES (1u << 20)

static struct run_ring *rings[8]; /* For run_fail: nothing may be left running. */

void run_fail(const char *file, int line, const char *condition, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "%s:%d: %s: ", file, line, condition);
    (void)vfprintf(stderr, format, args);
    (void)fprintf(stderr, "\n");
    va_end(args);
    for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
        for (uint32_t n = 1; rings[i] != NULL && n <= rings[i]->count; n++) {
            (void)fprintf(stderr, "--- node %u\n%s", n, run_log(rings[i], n));
            if (rings[i]->pids[n] > 0) {
                (void)kill(rings[i]->pids[n], SIGKILL);
            }
        }
    }
    _exit(1);
}

const char *run_program(int argc, char **argv)
{
    static char program[4096];
    char self[2048];
    ssize_t count = readlink("/proc/self/exe", self, sizeof(self) - 1);
    RUN_CHECK(count > 0, "own path: %s", strerror(errno));
    self[count] = '\0';
    *strrchr(self, '/') = '\0';
    (void)snprintf(program, sizeof(program), "%s/../../node/signet-node", self);
    if (argc > 1) {
        (void)snprintf(program, sizeof(program), "%s", argv[1]);
    }
    RUN_CHECK(access(program, X_OK) == 0, "%s: %s", program, strerror(errno));
    return program;
}

uint64_t run_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void run_pause(void)
{
    (void)poll(NULL, 0, PAUSE_MS);
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

/* Held open all at once by the caller, so that no port is given out twice. */
static int port_take(uint16_t *port)
{
    struct sockaddr_in at = loopback(0);
    socklen_t bytes = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    RUN_CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 &&
                  getsockname(fd, (struct sockaddr *)&at, &bytes) == 0,
              "no free port: %s",
              strerror(errno));
    *port = ntohs(at.sin_port);
    return fd;
}

void run_init(
    struct run_ring *ring, const char *program, const char *name, uint32_t count, uint32_t replicas)
{
    int fds[RUN_NODES_MAX + 1];
    RUN_CHECK(count <= RUN_NODES_MAX, "%u nodes", count);
    *ring =
        (struct run_ring){.program = program, .name = name, .count = count, .replicas = replicas};
    (void)snprintf(ring->dir, sizeof(ring->dir), "/tmp/signet-node-XXXXXX");
    RUN_CHECK(mkdtemp(ring->dir) != NULL, "%s", strerror(errno));
    for (uint32_t n = 1; n <= count; n++) {
        fds[n] = port_take(&ring->ports[n]);
    }
    for (uint32_t n = 1; n <= count; n++) {
        (void)close(fds[n]);
        run_config(ring, n, "");
    }
    for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
        if (rings[i] == NULL) {
            rings[i] = ring;
            break;
        }
    }
}

void run_clear(struct run_ring *ring)
{
    char command[128];
    for (uint32_t n = 1; n <= ring->count; n++) {
        if (ring->pids[n] > 0) {
            (void)run_stop(ring, n, SIGKILL);
        }
    }
    for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
        rings[i] = rings[i] == ring ? NULL : rings[i];
    }
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", ring->dir);
    RUN_CHECK(system(command) == 0, "%s", command);
}

void run_config(const struct run_ring *ring, uint32_t node, const char *more)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/node%u.conf", ring->dir, node);
    FILE *file = fopen(path, "we");
    RUN_CHECK(file != NULL, "%s", path);
    (void)fprintf(file,
                  "[node]\nid = %u\nadmin = 127.0.0.1:0\ndata = %s/data%u\nready_file = "
                  "%s/ready%u\n[ring]\nname = %s\npartitions = 16\nreplicas = %u\n[timing]\n"
                  "tree = 200ms\n[store]\nblock_cache = 8M\n",
                  node,
                  ring->dir,
                  node,
                  ring->dir,
                  node,
                  ring->name,
                  ring->replicas);
    for (uint32_t n = 1; n <= ring->count; n++) {
        (void)fprintf(file, "[member.%u]\naddress = 127.0.0.1:%u\n", n, ring->ports[n]);
    }
    (void)fprintf(file, "%s", more);
    RUN_CHECK(fclose(file) == 0, "%s", path);
}

/* In the child: what the disk shim wants to know. */
static void shim_load(const struct run_ring *ring, uint32_t node)
{
    char data[128];
    char map[128];
    char asan[1024];
    const char *before = getenv("ASAN_OPTIONS");
    if (ring->shim == NULL) {
        return;
    }
    /* It wants to be the first library; the shim has to be. */
    (void)snprintf(asan, sizeof(asan), "%s:verify_asan_link_order=0", before != NULL ? before : "");
    (void)snprintf(data, sizeof(data), "%s/data%u", ring->dir, node);
    (void)snprintf(map, sizeof(map), "%s/map%u", ring->dir, node);
    if (setenv("LD_PRELOAD", ring->shim, 1) != 0 || setenv("SGN_FAULT_DIR", data, 1) != 0 ||
        setenv("SGN_FAULT_MAP", map, 1) != 0 || setenv("ASAN_OPTIONS", asan, 1) != 0) {
        _exit(127);
    }
}

void run_start(struct run_ring *ring, uint32_t node, const char *a, const char *b)
{
    char config[128];
    char log[128];
    char ready[128];
    (void)snprintf(config, sizeof(config), "--config=%s/node%u.conf", ring->dir, node);
    (void)snprintf(log, sizeof(log), "%s/log%u", ring->dir, node);
    (void)snprintf(ready, sizeof(ready), "%s/ready%u", ring->dir, node);
    (void)unlink(ready); /* Before the fork: the file of an earlier run must not be seen. */
    pid_t pid = fork();
    RUN_CHECK(pid >= 0, "fork: %s", strerror(errno));
    if (pid == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        shim_load(ring, node);
        if (fd >= 0 && dup2(fd, STDERR_FILENO) >= 0) {
            execl(ring->program, "signet-node", config, a, a != NULL ? b : NULL, (char *)NULL);
        }
        _exit(127);
    }
    ring->pids[node] = pid;
}

void run_ready(struct run_ring *ring, uint32_t node)
{
    char path[128];
    uint64_t limit_ms = run_now_ms() + RUN_WAIT_MS;
    (void)snprintf(path, sizeof(path), "%s/ready%u", ring->dir, node);
    for (;;) {
        int status = 0;
        FILE *file = fopen(path, "re");
        if (file != NULL) {
            char line[128];
            while (fgets(line, sizeof(line), file) != NULL) {
                (void)sscanf(line, "admin=%63s", ring->admin[node]);
            }
            (void)fclose(file);
            return;
        }
        RUN_CHECK(waitpid(ring->pids[node], &status, WNOHANG) == 0,
                  "node %u ended, status %d",
                  node,
                  status);
        RUN_CHECK(run_now_ms() < limit_ms, "node %u is not ready", node);
        run_pause();
    }
}

int run_wait(struct run_ring *ring, uint32_t node)
{
    uint64_t limit_ms = run_now_ms() + RUN_WAIT_MS;
    int status = 0;
    while (waitpid(ring->pids[node], &status, WNOHANG) == 0) {
        RUN_CHECK(run_now_ms() < limit_ms, "node %u does not end", node);
        run_pause();
    }
    ring->pids[node] = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int run_stop(struct run_ring *ring, uint32_t node, int signal_number)
{
    RUN_CHECK(ring->pids[node] > 0, "node %u does not run", node);
    (void)kill(ring->pids[node], signal_number);
    return run_wait(ring, node);
}

const char *run_log(const struct run_ring *ring, uint32_t node)
{
    static char text[TEXT_BYTES];
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/log%u", ring->dir, node);
    FILE *file = fopen(path, "re");
    size_t bytes = 0;
    if (file != NULL) {
        bytes = fread(text, 1, sizeof(text) - 1, file);
        (void)fclose(file);
    }
    text[bytes] = '\0';
    return text;
}

/* --- a client -------------------------------------------------------------------------------- */

struct run_conn {
    int fd;
    uint32_t request;
    struct sgn_msg_decoder *decoder;
    uint8_t *in;
    size_t in_bytes, in_used;
    uint8_t *out;
};

#define ROOM_BYTES (SGN_FRAME_HEADER_BYTES + SGN_FRAME_BODY_BYTES_MAX)

static int dial(uint16_t port)
{
    struct sockaddr_in at = loopback(port);
    struct timeval limit = {.tv_sec = RUN_WAIT_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    RUN_CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0,
              "port %u does not take connections: %s",
              port,
              strerror(errno));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    return fd;
}

struct run_conn *run_dial(const struct run_ring *ring, uint32_t node)
{
    struct run_conn *conn = calloc(1, sizeof(*conn));
    RUN_CHECK(conn != NULL, "memory");
    conn->fd = dial(ring->ports[node]);
    conn->decoder = sgn_msg_decoder_create();
    conn->in = malloc(ROOM_BYTES);
    conn->out = malloc(ROOM_BYTES);
    RUN_CHECK(conn->decoder != NULL && conn->in != NULL && conn->out != NULL, "memory");
    return conn;
}

struct run_conn *run_open(const struct run_ring *ring, uint32_t node)
{
    struct run_conn *conn = run_dial(ring, node);
    struct sgn_hello self = {.node = 0};
    struct sgn_msg hello;
    struct sgn_msg answer;
    sgn_hello_encode(&self, &hello);
    run_send(conn, &hello);
    RUN_CHECK(run_receive(conn, &answer) && answer.type == SGN_MSG_HELLO && answer.node == node,
              "no HELLO from node %u but type %d err %d",
              node,
              (int)answer.type,
              answer.err);
    return conn;
}

void run_close(struct run_conn *conn)
{
    (void)close(conn->fd);
    sgn_msg_decoder_destroy(conn->decoder);
    free(conn->in);
    free(conn->out);
    free(conn);
}

int run_conn_fd(const struct run_conn *conn)
{
    return conn->fd;
}

void run_send_raw(struct run_conn *conn, const void *ptr, size_t bytes)
{
    const uint8_t *at = ptr;
    while (bytes > 0) {
        ssize_t sent = send(conn->fd, at, bytes, MSG_NOSIGNAL);
        if (sent <= 0) {
            return; /* The node closed; what is received tells. */
        }
        at += sent;
        bytes -= (size_t)sent;
    }
}

void run_send(struct run_conn *conn, const struct sgn_msg *msg)
{
    struct sgn_sink sink = sgn_sink_of(conn->out, ROOM_BYTES);
    struct sgn_why why;
    RUN_CHECK(sgn_msg_encode(msg, &sink, &why) == SGN_OK, "%s", why.text);
    run_send_raw(conn, sink.ptr, sink.count);
}

bool run_receive(struct run_conn *conn, struct sgn_msg *msg)
{
    memmove(conn->in, conn->in + conn->in_used, conn->in_bytes - conn->in_used);
    conn->in_bytes -= conn->in_used;
    conn->in_used = 0;
    for (;;) {
        struct sgn_why why = {""};
        enum sgn_err err = sgn_msg_read(conn->decoder,
                                        sgn_bytes_of(conn->in, conn->in_bytes),
                                        sgn_types_answers() | SGN_TYPES_HELLO,
                                        msg,
                                        &conn->in_used,
                                        &why);
        RUN_CHECK(err == SGN_OK, "%s", why.text);
        if (conn->in_used > 0) {
            return true;
        }
        ssize_t got = recv(conn->fd, conn->in + conn->in_bytes, ROOM_BYTES - conn->in_bytes, 0);
        RUN_CHECK(got >= 0 || errno == ECONNRESET, "nothing received: %s", strerror(errno));
        if (got <= 0) {
            *msg = (struct sgn_msg){.type = SGN_MSG_RESULT};
            return false;
        }
        conn->in_bytes += (size_t)got;
    }
}

int run_call(struct run_conn *conn, struct sgn_msg *msg, struct sgn_msg *answer)
{
    msg->request = ++conn->request;
    run_send(conn, msg);
    RUN_CHECK(run_receive(conn, answer),
              "the node closed instead of answering %s",
              sgn_msg_name(msg->type));
    RUN_CHECK(answer->type == SGN_MSG_RESULT && answer->request == msg->request,
              "%s was answered by %s, request %u for %u",
              sgn_msg_name(msg->type),
              sgn_msg_name(answer->type),
              answer->request,
              msg->request);
    return answer->err;
}

void run_sign(struct sgn_msg *write)
{
    static uint64_t serial;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    uint64_t parts[2] = {++serial, (uint64_t)getpid()};
    memcpy(write->id.bytes, parts, sizeof(write->id.bytes));
    write->stamp = ((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000) << 16;
}

void run_bucket(const struct run_ring *ring, uint32_t node, const char *name)
{
    struct run_conn *conn = run_open(ring, node);
    struct sgn_msg make = {.type = SGN_MSG_BUCKET_PUT,
                           .bucket = sgn_bytes_str(name),
                           .b = sgn_bucket_props_pack(SGN_BUCKET_AVAILABLE, 0, 0, 0)};
    struct sgn_msg answer;
    int err = run_call(conn, &make, &answer);
    RUN_CHECK(err == SGN_OK, "bucket %s: %s", name, sgn_err_name(err));
    run_close(conn);
}

int run_put(struct run_conn *conn, const char *bucket, const char *key, const char *value)
{
    struct sgn_msg put = {.type = SGN_MSG_PUT,
                          .bucket = sgn_bytes_str(bucket),
                          .key = sgn_bytes_str(key),
                          .value = sgn_bytes_str(value)};
    struct sgn_msg answer;
    run_sign(&put);
    return run_call(conn, &put, &answer);
}

int run_get(struct run_conn *conn, const char *bucket, const char *key, char *text, size_t bytes)
{
    struct sgn_msg get = {
        .type = SGN_MSG_GET, .bucket = sgn_bytes_str(bucket), .key = sgn_bytes_str(key)};
    struct sgn_msg answer;
    text[0] = '\0';
    int err = run_call(conn, &get, &answer);
    if (err != SGN_OK) {
        return err;
    }
    struct sgn_bytes body = answer.value;
    if ((answer.flags & SGN_RESULT_ORDERED) == 0) {
        struct sgn_record record;
        RUN_CHECK(
            sgn_record_decode(answer.value, SGN_RECORD_WITH_BODIES, &record) == SGN_OK, "%s", key);
        const struct sgn_sibling *newest = sgn_record_newest(&record);
        body = newest != NULL ? newest->body : sgn_bytes_of(NULL, 0);
    }
    size_t count = body.count;
    RUN_CHECK(count < bytes, "%zu bytes", count);
    if (count > 0) {
        memcpy(text, body.ptr, count);
    }
    text[count] = '\0';
    return (int)count;
}

const char *run_status(const struct run_ring *ring, uint32_t node)
{
    static char text[TEXT_BYTES];
    struct run_conn *conn = run_open(ring, node);
    struct sgn_msg status = {.type = SGN_MSG_STATUS};
    struct sgn_msg answer;
    RUN_CHECK(run_call(conn, &status, &answer) == SGN_OK && answer.value.count < sizeof(text),
              "STATUS: %d",
              answer.err);
    memcpy(text, answer.value.ptr, answer.value.count);
    text[answer.value.count] = '\0';
    run_close(conn);
    return text;
}

void run_await_status(const struct run_ring *ring, uint32_t node, const char *words)
{
    uint64_t limit_ms = run_now_ms() + RUN_WAIT_MS;
    const char *text;
    while (strstr(text = run_status(ring, node), words) == NULL) {
        RUN_CHECK(run_now_ms() < limit_ms, "node %u never said %s but %s", node, words, text);
        run_pause();
    }
}

const char *run_http(const struct run_ring *ring, uint32_t node, const char *text)
{
    static char answer[TEXT_BYTES];
    struct sgn_address at;
    size_t bytes = 0;
    RUN_CHECK(sgn_address_parse(ring->admin[node], &at, NULL) == SGN_OK, "%s", ring->admin[node]);
    struct run_conn conn = {.fd = dial(sgn_address_port(&at))};
    run_send_raw(&conn, text, strlen(text));
    (void)shutdown(conn.fd, SHUT_WR);
    for (;;) {
        ssize_t got = recv(conn.fd, answer + bytes, sizeof(answer) - 1 - bytes, 0);
        if (got <= 0) {
            break;
        }
        bytes += (size_t)got;
    }
    answer[bytes] = '\0';
    (void)close(conn.fd);
    return answer;
}
