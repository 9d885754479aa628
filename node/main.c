/* signet-node: reads its options, starts the parts in order, runs the loop, stops cleanly. */
#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "node/admin.h"
#include "node/driver.h"
#include "node/log.h"
#include "node/options.h"
#include "node/ready_file.h"
#include "node/version.h"
#include "ring/core/check.h"

#define EXIT_RUN 1   /* Could not start or go on. */
#define EXIT_USE 2   /* Wrong use or configuration. */
#define EXIT_CUT 130 /* A second signal. */

extern char **environ;

struct node {
    struct sgn_config config;
    int argc;
    char **argv;
    struct event_base *base;
    struct sgn_driver *driver;
    struct sgn_admin *admin;
    struct event *signal_event;
};

/* --- signals: the handler only notes them and wakes the loop --------------------------------- */

static atomic_uint stops_asked; /* Two signals may come at once, to two threads. */
static volatile sig_atomic_t reload_asked;
static int signal_fd = -1;

static void signal_note(int number)
{
    int before = errno;
    uint64_t one = 1;
    if (number == SIGHUP) {
        reload_asked = 1;
    } else if (atomic_fetch_add(&stops_asked, 1) > 0) {
        _exit(EXIT_CUT); /* Even when the loop waits for a disk. */
    }
    if (write(signal_fd, &one, sizeof(one)) < 0) {
        errno = before; /* Full means that the loop is woken already. */
    }
}

static bool signals_take(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction note = {.sa_handler = signal_note, .sa_flags = SA_RESTART};
    (void)sigemptyset(&note.sa_mask);
    (void)sigemptyset(&ignore.sa_mask);
    signal_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return signal_fd >= 0 && sigaction(SIGPIPE, &ignore, NULL) == 0 &&
           sigaction(SIGTERM, &note, NULL) == 0 && sigaction(SIGINT, &note, NULL) == 0 &&
           sigaction(SIGHUP, &note, NULL) == 0;
}

/* Takes the log level; names every other change, which needs a restart. */
static void reload(struct node *node)
{
    struct sgn_config *fresh = calloc(1, sizeof(*fresh));
    char *error = malloc(SGN_CONFIG_ERROR_BYTES);
    if (fresh == NULL || error == NULL) {
        SGN_LOG(SGN_LOG_ERROR, "reload failed", "out of memory", "kept=%s", "all");
    } else if (sgn_config_load(fresh, node->argc, node->argv, environ, error) != SGN_OK) {
        SGN_LOG(SGN_LOG_ERROR, "reload failed", error, "kept=%s", "all");
    } else {
        for (uint32_t i = 0; i < SGN_OPTION_COUNT; i++) {
            if (i != SGN_OPTION_node_log_level &&
                !sgn_option_same(&sgn_options[i], &node->config, fresh)) {
                SGN_LOG(SGN_LOG_WARN,
                        "change needs a restart",
                        NULL,
                        "option=%s.%s",
                        sgn_options[i].section,
                        sgn_options[i].name);
            }
        }
        node->config.log_level = fresh->log_level;
        sgn_log_set_level((enum sgn_log_level)fresh->log_level);
        SGN_LOG(SGN_LOG_INFO,
                "reloaded",
                NULL,
                "log_level=%s",
                sgn_log_level_name((enum sgn_log_level)fresh->log_level));
    }
    free(error);
    free(fresh);
}

static void signal_seen(evutil_socket_t fd, short what, void *user)
{
    struct node *node = user;
    uint64_t count = 0;
    (void)what;
    if (read(fd, &count, sizeof(count)) < 0) {
        return;
    }
    if (reload_asked) {
        reload_asked = 0;
        reload(node);
    }
    if (stops_asked > 0) {
        SGN_LOG(SGN_LOG_INFO, "stopping", NULL, "requests=%u", node->driver->client_calls);
        sgn_driver_drain(node->driver);
    }
}

/* --- start and stop -------------------------------------------------------------------------- */

_Noreturn void sgn_check_failed(const char *condition, const char *file, int line)
{
    SGN_LOG(SGN_LOG_ERROR, "broken assertion", condition, "at=%s:%d", file, line);
    abort();
}

/* Connections and tables of the database are files; the soft limit is often far below the hard. */
static void raise_file_limit(const struct sgn_config *config)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < config->connections_max + 512) {
        SGN_LOG(SGN_LOG_WARN,
                "few files may be open",
                "fewer connections than connections_max will be taken",
                "limit=%llu",
                (unsigned long long)limit.rlim_cur);
    }
}

static bool ready_file_write(const struct node *node)
{
    char listen[SGN_ADDRESS_TEXT_BYTES];
    char text[SGN_READY_TEXT_BYTES];
    const char *path = node->config.ready_file;
    sgn_address_format(sgn_listener_address(node->driver->listener), listen);
    (void)snprintf(text,
                   sizeof(text),
                   "pid=%ld\nnode=%u\nlisten=%s\nadmin=%s\n",
                   (long)getpid(),
                   node->config.id,
                   listen,
                   node->admin != NULL ? sgn_admin_address(node->admin) : "off");
    if (!sgn_ready_file_write(path, text)) {
        (void)fprintf(stderr,
                      "signet-node: the ready file %s cannot be written: %s\n",
                      path,
                      strerror(errno));
        return false;
    }
    return true;
}

static bool start(struct node *node)
{
    char error[SGN_STORE_ERROR_BYTES + 512] = "";
    (void)evthread_use_pthreads();
    node->base = event_base_new();
    if (node->base == NULL || !signals_take()) {
        (void)fprintf(stderr, "signet-node: the event loop cannot be made: %s\n", strerror(errno));
        return false;
    }
    enum sgn_err err =
        sgn_driver_create(&node->config, node->base, &node->driver, error, sizeof(error));
    if (err == SGN_OK && node->config.admin[0] != '\0') {
        err = sgn_admin_create(
            node->driver, node->base, node->config.admin, &node->admin, error, sizeof(error));
    }
    if (err != SGN_OK) {
        (void)fprintf(stderr, "signet-node: %s\n", error);
        return false;
    }
    node->signal_event = event_new(node->base, signal_fd, EV_READ | EV_PERSIST, signal_seen, node);
    if (node->signal_event == NULL || event_add(node->signal_event, NULL) != 0) {
        (void)fprintf(stderr, "signet-node: out of memory\n");
        return false;
    }
    return ready_file_write(node);
}

static int stop(struct node *node)
{
    int status = EXIT_SUCCESS;
    if (node->admin != NULL) {
        sgn_admin_destroy(node->admin);
    }
    if (node->driver != NULL) {
        enum sgn_err err = sgn_driver_destroy(node->driver);
        if (err != SGN_OK) {
            SGN_LOG(SGN_LOG_ERROR,
                    "the store was not closed cleanly",
                    sgn_err_text(err),
                    "err=%s",
                    sgn_err_name(err));
            status = EXIT_RUN;
        }
    }
    if (node->signal_event != NULL) {
        event_free(node->signal_event);
    }
    if (node->base != NULL) {
        event_base_free(node->base);
    }
    if (signal_fd >= 0) {
        (void)close(signal_fd);
    }
    sgn_ready_file_remove(node->config.ready_file);
    return status;
}

static int run(struct node *node)
{
    sgn_log_set_node(node->config.id);
    sgn_log_set_level((enum sgn_log_level)node->config.log_level);
    sgn_ready_file_remove(
        node->config.ready_file); /* One left by a kill must not tell that we are ready. */
    raise_file_limit(&node->config);
    if (!start(node)) {
        (void)stop(node);
        return EXIT_RUN;
    }
    char listen[SGN_ADDRESS_TEXT_BYTES];
    sgn_address_format(sgn_listener_address(node->driver->listener), listen);
    SGN_LOG(SGN_LOG_INFO,
            "ready",
            NULL,
            "ring=%s listen=%s admin=%s version=%s",
            node->config.ring_name,
            listen,
            node->admin != NULL ? sgn_admin_address(node->admin) : "off",
            SGN_NODE_VERSION);
    int loop = event_base_dispatch(node->base);
    bool asked = node->driver->state == SGN_DRIVER_DRAINING;
    int status = stop(node);
    if (loop < 0 || !asked) {
        SGN_LOG(SGN_LOG_ERROR, "the event loop ended by itself", NULL, "result=%d", loop);
        return EXIT_RUN;
    }
    SGN_LOG(SGN_LOG_INFO, "stopped", NULL, "status=%d", status);
    return status;
}

static int print(void (*write_text)(struct sgn_sink *))
{
    static uint8_t room[SGN_OPTIONS_TEXT_BYTES];
    struct sgn_sink text = sgn_sink_of(room, sizeof(room));
    write_text(&text);
    SGN_ASSERT(!text.full);
    return fwrite(text.ptr, 1, text.count, stdout) == text.count && fflush(stdout) == 0
               ? EXIT_SUCCESS
               : EXIT_RUN;
}

static int check_config(const struct sgn_config *config)
{
    return printf("ok: node %u of ring %s: %u members, %u partitions, %u replicas, listens on %s, "
                  "data in %s\n",
                  config->id,
                  config->ring_name,
                  config->member_count,
                  config->partitions,
                  config->replicas,
                  config->listen,
                  config->data) > 0
               ? EXIT_SUCCESS
               : EXIT_RUN;
}

int main(int argc, char **argv)
{
    static struct node node; /* The member list is too large for a stack. */
    char error[SGN_CONFIG_ERROR_BYTES];
    node.argc = argc;
    node.argv = argv;
    if (sgn_config_load(&node.config, argc, argv, environ, error) != SGN_OK) {
        (void)fprintf(stderr, "signet-node: %s\n", error);
        return EXIT_USE;
    }
    switch (node.config.action) {
    case SGN_CONFIG_HELP: return print(sgn_options_help);
    case SGN_CONFIG_MAN: return print(sgn_options_man);
    case SGN_CONFIG_VERSION:
        return printf("signet-node %s\n", SGN_NODE_VERSION) > 0 ? EXIT_SUCCESS : EXIT_RUN;
    case SGN_CONFIG_CHECK: return check_config(&node.config);
    case SGN_CONFIG_RUN: break;
    }
    return run(&node);
}
