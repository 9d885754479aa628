#include "bench/echo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/cpu.h"
#include "ring/core/check.h"

#define ECHO_BYTES_MAX (1u << 20)

struct end { /* One end of one connection, server's or caller's. */
    struct event *event;
    struct event_base *base;
    uint32_t read_bytes;  /* A message in has so many bytes ... */
    uint32_t write_bytes; /* ... and is followed by one of so many. */
    uint32_t have;
    uint64_t began_ns, count_from_ns, stop_ns;
    struct sgn_hist *hist; /* NULL: the server's end. */
};

static uint8_t room[ECHO_BYTES_MAX];

static bool write_whole(int fd, uint32_t count)
{
    /* Messages are far smaller than a socket's buffer, and one is under way per connection. */
    return write(fd, room, count) == (ssize_t)count;
}

static void on_readable(evutil_socket_t fd, short what, void *user)
{
    (void)what;
    struct end *end = user;
    ssize_t count = read(fd, room, end->read_bytes - end->have);
    if (count <= 0) {
        if (count == 0 || errno != EAGAIN) {
            (void)event_del(end->event);
        }
        return;
    }
    end->have += (uint32_t)count;
    if (end->have < end->read_bytes) {
        return;
    }
    end->have = 0;
    if (end->hist != NULL) {
        uint64_t now = sgn_bench_now_ns();
        if (now >= end->stop_ns) {
            (void)event_base_loopbreak(end->base);
            return;
        }
        if (now >= end->count_from_ns) {
            sgn_hist_add(end->hist, now - end->began_ns);
        }
        end->began_ns = now;
    }
    if (!write_whole(fd, end->write_bytes)) {
        (void)event_del(end->event);
    }
}

static void end_begin(struct end *end, struct event_base *base, int fd)
{
    int one = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    end->base = base;
    end->event = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, end);
    SGN_ASSERT(end->event != NULL && event_add(end->event, NULL) == 0);
}

struct server {
    const struct sgn_echo_options *options;
    struct event_base *base;
};

static void on_accept(evutil_socket_t fd, short what, void *user)
{
    (void)what;
    struct server *server = user;
    int socket_fd = accept(fd, NULL, NULL);
    if (socket_fd < 0) {
        return;
    }
    struct end *end = calloc(1, sizeof(*end)); /* Lives as long as the process. */
    SGN_ASSERT(end != NULL);
    end->read_bytes = server->options->request_bytes;
    end->write_bytes = server->options->reply_bytes;
    end_begin(end, server->base, socket_fd);
}

_Noreturn static void serve(int listen_fd, const struct sgn_echo_options *options)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct server server = {options, event_base_new()};
    SGN_ASSERT(server.base != NULL);
    struct event *event =
        event_new(server.base, listen_fd, EV_READ | EV_PERSIST, on_accept, &server);
    SGN_ASSERT(event != NULL && event_add(event, NULL) == 0);
    (void)event_base_dispatch(server.base);
    _exit(0);
}

static void load_server(const struct sgn_echo_options *options,
                        struct sockaddr_in *address,
                        pid_t server,
                        struct sgn_load_result *result)
{
    struct event_base *base = event_base_new();
    struct end *ends = calloc(options->callers, sizeof(*ends));
    SGN_ASSERT(base != NULL && ends != NULL);
    uint64_t begin = sgn_bench_now_ns();
    uint64_t whole = options->seconds * UINT64_C(1000000000);
    for (uint32_t i = 0; i < options->callers; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        SGN_ASSERT(fd >= 0 && connect(fd, (struct sockaddr *)address, sizeof(*address)) == 0);
        ends[i] = (struct end){.read_bytes = options->reply_bytes,
                               .write_bytes = options->request_bytes,
                               .count_from_ns = begin + whole / 10,
                               .stop_ns = begin + whole,
                               .hist = &result->reads};
        end_begin(&ends[i], base, fd);
        ends[i].began_ns = sgn_bench_now_ns();
        SGN_ASSERT(write_whole(fd, options->request_bytes));
    }
    struct timeval limit = {.tv_sec = (time_t)(whole / 10 / 1000000000),
                            .tv_usec = (suseconds_t)(whole / 10 % 1000000000 / 1000)};
    (void)event_base_loopexit(base, &limit);
    (void)event_base_dispatch(base);
    uint64_t before = 0;
    uint64_t after = 0;
    uint64_t from = sgn_bench_now_ns();
    (void)sgn_cpu_ns(server, &before);
    (void)event_base_dispatch(base); /* Until the first caller passes stop_ns. */
    (void)sgn_cpu_ns(server, &after);
    result->server_cpu_ns = after - before;
    result->seconds = (double)(sgn_bench_now_ns() - from) / 1e9;
    for (uint32_t i = 0; i < options->callers; i++) {
        (void)close(event_get_fd(ends[i].event));
        event_free(ends[i].event);
    }
    free(ends);
    event_base_free(base);
}

bool sgn_echo_run(const struct sgn_echo_options *options,
                  struct sgn_load_result *result,
                  struct sgn_why *why)
{
    memset(result, 0, sizeof(*result));
    if (options->request_bytes > ECHO_BYTES_MAX || options->reply_bytes > ECHO_BYTES_MAX) {
        sgn_why_set(why, "the echo takes messages up to %u bytes", ECHO_BYTES_MAX);
        return false;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t count = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(fd, 512) != 0 || getsockname(fd, (struct sockaddr *)&address, &count) != 0) {
        sgn_why_set(why, "the echo cannot listen on loopback: %s", strerror(errno));
        return false;
    }
    pid_t server = fork();
    if (server < 0) {
        sgn_why_set(why, "the echo cannot start: %s", strerror(errno));
        (void)close(fd);
        return false;
    }
    if (server == 0) {
        serve(fd, options);
    }
    (void)close(fd);
    load_server(options, &address, server, result);
    (void)kill(server, SIGKILL);
    (void)waitpid(server, NULL, 0);
    return true;
}
