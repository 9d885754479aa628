/* Asks over sockets to a signet-witness process of its own. */
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/cpu.h"
#include "bench/witness_load.h"
#include "ring/core/check.h"
#include "ring/net/conn.h"
#include "ring/net/hello.h"

#define CALLERS_MAX 64u
#define NODES       3u
#define START_MS    5000u
#define ROOM_KEYS   4096u

struct caller {
    struct wire_run *run;
    struct sgn_conn *conn;
    uint32_t node, next, waiting;
};

struct wire_run {
    struct sgn_witness_work work;
    struct event_base *base;
    struct sgn_wire *wire;
    pid_t pid;
    uint16_t port;
    struct caller callers[CALLERS_MAX];
    uint32_t up, waiting;
    uint32_t incarnation;
    bool loading; /* Callers go on by themselves. */
    bool failed;
    enum sgn_witness_load_kind kind;
    struct sgn_witness_rate rate;
    struct sgn_why *why;
};

static void wire_fail(struct wire_run *run, const char *sentence)
{
    if (!run->failed) {
        sgn_why_set(run->why, "%s", sentence);
    }
    run->failed = true;
    (void)event_base_loopbreak(run->base);
}

static void ask(struct caller *caller, struct sgn_msg *msg)
{
    caller->waiting++;
    caller->run->waiting++;
    if (sgn_conn_send(caller->conn, msg) != SGN_OK) {
        wire_fail(caller->run, "a message could not be queued");
    }
}

static void ask_batch(struct caller *caller)
{
    struct wire_run *run = caller->run;
    struct sgn_msg msg = {.type = SGN_MSG_WITNESS,
                          .a = run->incarnation,
                          .items = run->work.batches[run->kind][caller->next]};
    caller->next = (caller->next + 1) % SGN_WITNESS_LOAD_BATCHES;
    ask(caller, &msg);
}

static void on_up(struct sgn_conn *conn, void *user)
{
    struct caller *caller = user;
    struct sgn_hello self = {.node = caller->node, .incarnation = 1};
    struct sgn_msg hello;
    (void)snprintf(self.ring, sizeof(self.ring), "%s", SGN_WITNESS_LOAD_RING);
    sgn_hello_encode(&self, &hello);
    if (sgn_conn_send(conn, &hello) != SGN_OK) {
        wire_fail(caller->run, "HELLO could not be sent");
    }
}

static void on_message(struct sgn_conn *conn, const struct sgn_msg *msg, void *user)
{
    struct caller *caller = user;
    struct wire_run *run = caller->run;
    if (msg->type == SGN_MSG_HELLO) {
        run->incarnation = (uint32_t)msg->b;
        run->up++;
        sgn_conn_take_types(conn, sgn_types_answers());
        (void)event_base_loopbreak(run->base);
        return;
    }
    SGN_ASSERT(caller->waiting > 0);
    caller->waiting--;
    run->waiting--;
    if (msg->type != SGN_MSG_WITNESS_ANSWER || msg->err != SGN_OK) {
        wire_fail(run, "the witness refused a request");
        return;
    }
    if (run->loading) {
        run->rate.asks += run->work.options.batch;
        run->rate.bad += caller->next == 0 ? sgn_witness_load_bad(msg->items) : 0;
        ask_batch(caller);
    } else if (run->waiting == 0) {
        (void)event_base_loopbreak(run->base);
    }
}

static void on_closed(struct sgn_conn *conn, enum sgn_err err, const char *why, void *user)
{
    struct caller *caller = user;
    (void)conn;
    (void)err;
    caller->conn = NULL;
    wire_fail(caller->run, why);
}

static const struct sgn_conn_events events = {on_up, on_message, on_closed};

/* --- the process ----------------------------------------------------------------------------- */

static uint16_t free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 &&
                getsockname(fd, (struct sockaddr *)&at, &bytes) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return good ? ntohs(at.sin_port) : 0;
}

static bool witness_start(struct wire_run *run, const struct sgn_witness_load_options *options)
{
    char listen[64];
    char memory[64];
    run->port = free_port();
    (void)snprintf(listen, sizeof(listen), "--listen=127.0.0.1:%u", run->port);
    (void)snprintf(memory,
                   sizeof(memory),
                   "--memory=%llu",
                   64ull *
                       (options->keys + SGN_WITNESS_LOAD_BATCHES * options->batch / 2 + ROOM_KEYS));
    run->pid = run->port != 0 ? fork() : -1;
    if (run->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)execlp(options->program,
                     "signet-witness",
                     "--id=1",
                     "--ring=" SGN_WITNESS_LOAD_RING,
                     "--log-level=warn",
                     listen,
                     memory,
                     (char *)NULL);
        _exit(127);
    }
    if (run->pid < 0) {
        sgn_why_set(run->why, "the witness cannot be started: %s", strerror(errno));
    }
    return run->pid > 0;
}

/* Resident memory of the process in bytes, 0 if it cannot be read. */
static uint64_t resident_bytes(pid_t pid)
{
    char path[64];
    char text[160];
    unsigned long long pages = 0;
    (void)snprintf(path, sizeof(path), "/proc/%ld/statm", (long)pid);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        char *second = fgets(text, sizeof(text), file) == NULL ? NULL : strchr(text, ' ');
        pages = second == NULL ? 0 : strtoull(second, NULL, 10);
        (void)fclose(file);
    }
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Dials until the process listens. */
static bool connect_all(struct wire_run *run)
{
    struct sgn_address address;
    char text[64];
    uint64_t limit_ns = sgn_bench_now_ns() + START_MS * UINT64_C(1000000);
    struct timespec pause = {.tv_nsec = 5000000};
    (void)snprintf(text, sizeof(text), "127.0.0.1:%u", run->port);
    SGN_ASSERT(sgn_address_parse(text, &address, NULL) == SGN_OK);
    for (uint32_t i = 0; i < run->work.options.connections;) {
        struct caller *caller = &run->callers[i];
        struct sgn_conn_options options = {.events = &events, .user = caller};
        uint32_t up = run->up;
        *caller = (struct caller){.run = run, .node = 1 + i % NODES};
        run->failed = false;
        if (sgn_conn_dial(run->wire, &address, &options, &caller->conn) == SGN_OK) {
            (void)event_base_dispatch(run->base);
        }
        if (run->up > up) {
            i++;
            continue;
        }
        if (waitpid(run->pid, NULL, WNOHANG) != 0) {
            run->pid = 0; /* Nobody's number any more. */
            sgn_why_set(run->why, "%s did not start", run->work.options.program);
            return false;
        }
        if (sgn_bench_now_ns() > limit_ns) {
            return false; /* With the sentence of the last attempt. */
        }
        (void)nanosleep(&pause, NULL);
    }
    return !run->failed;
}

/* --- the load -------------------------------------------------------------------------------- */

/* Sends, and turns the loop until it is answered. */
static bool call(struct wire_run *run, uint32_t caller, struct sgn_msg *msg)
{
    ask(&run->callers[caller], msg);
    while (!run->failed && run->waiting > 0) {
        (void)event_base_dispatch(run->base);
    }
    return !run->failed;
}

static bool fill(struct wire_run *run)
{
    struct sgn_msg map = {.type = SGN_MSG_MAP_IS, .value = run->work.map};
    bool good = call(run, 0, &map);
    for (uint32_t i = 0; good && i < NODES; i++) {
        struct sgn_msg seed = {.type = SGN_MSG_SEED, .items = run->work.seed};
        good = call(run, i, &seed);
    }
    uint64_t before = resident_bytes(run->pid);
    for (uint32_t i = 0; good && i < run->work.mark_batches; i++) {
        struct sgn_msg marks = {.type = SGN_MSG_WITNESS,
                                .a = run->incarnation,
                                .items = sgn_witness_work_marks(&run->work, i)};
        good = call(run, 0, &marks);
    }
    if (good) {
        (void)printf("resident memory of the witness: %.1f MiB, of which %.1f bytes per marked "
                     "key\n",
                     (double)resident_bytes(run->pid) / 1048576.0,
                     (double)(resident_bytes(run->pid) - before) / (double)run->work.options.keys);
    }
    return good;
}

static bool measure(struct wire_run *run, enum sgn_witness_load_kind kind)
{
    const struct sgn_witness_load_options *options = &run->work.options;
    struct timeval limit = {.tv_sec = (time_t)options->seconds};
    uint64_t cpu_before = 0;
    uint64_t cpu_after = 0;
    run->kind = kind;
    run->rate = (struct sgn_witness_rate){0};
    run->loading = true;
    (void)sgn_cpu_ns(run->pid, &cpu_before);
    uint64_t began_ns = sgn_bench_now_ns();
    for (uint32_t i = 0; i < options->connections; i++) {
        run->callers[i].next = i * SGN_WITNESS_LOAD_BATCHES / options->connections;
        for (uint32_t k = 0; k < options->depth; k++) {
            ask_batch(&run->callers[i]);
        }
    }
    (void)event_base_loopexit(run->base, &limit);
    (void)event_base_dispatch(run->base);
    run->rate.seconds = (double)(sgn_bench_now_ns() - began_ns) / 1e9;
    run->loading = false;
    bool counted = sgn_cpu_ns(run->pid, &cpu_after);
    run->rate.cpu_seconds = (double)(cpu_after - cpu_before) / 1e9;
    while (!run->failed && run->waiting > 0) {
        (void)event_base_dispatch(run->base);
    }
    if (!counted || run->failed || run->rate.asks == 0) {
        wire_fail(run, "the witness went away");
        return false;
    }
    sgn_witness_load_row("sockets", sgn_witness_load_names[kind], &run->rate);
    return true;
}

bool sgn_witness_load_wire(const struct sgn_witness_load_options *options, struct sgn_why *why)
{
    static struct wire_run run;
    memset(&run, 0, sizeof(run));
    run.why = why;
    run.base = event_base_new();
    run.wire = run.base != NULL ? sgn_wire_create(run.base) : NULL;
    bool good = run.wire != NULL;
    if (!good) {
        sgn_why_set(why, "out of memory");
    }
    run.work.options = *options;
    if (run.work.options.connections < NODES) {
        run.work.options.connections = NODES; /* One for each replica that seeds. */
    }
    struct sgn_witness_load_options used = run.work.options;
    good = good && witness_start(&run, &used) && connect_all(&run) &&
           sgn_witness_work_make(&run.work, &used, run.incarnation, why) && fill(&run);
    for (uint32_t kind = 0; good && kind < SGN_WITNESS_LOAD_KINDS; kind++) {
        good = measure(&run, (enum sgn_witness_load_kind)kind);
    }
    sgn_witness_work_clear(&run.work);
    if (run.wire != NULL) {
        sgn_wire_destroy(run.wire);
    }
    if (run.base != NULL) {
        event_base_free(run.base);
    }
    if (run.pid > 0) {
        (void)kill(run.pid, SIGTERM);
        (void)waitpid(run.pid, NULL, 0);
    }
    return good;
}
