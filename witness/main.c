/* signet-witness: reads its options, starts the parts, runs the loop, stops cleanly. */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "node/http.h"
#include "node/log.h"
#include "node/ready_file.h"
#include "node/version.h"
#include "ring/core/check.h"
#include "ring/core/witness_table.h"
#include "witness/driver.h"
#include "witness/options.h"

#define EXIT_RUN 1 /* Could not start or go on. */
#define EXIT_USE 2 /* Wrong use or configuration. */

extern char **environ;

struct program {
    struct sgn_witness_config config;
    struct event_base *base;
    struct sgn_witness_driver *driver;
    struct sgn_http *http;
    struct event *term_event, *int_event;
    bool asked; /* To stop. */
};

_Noreturn void sgn_check_failed(const char *condition, const char *file, int line)
{
    SGN_LOG(SGN_LOG_ERROR, "broken assertion", condition, "at=%s:%d", file, line);
    abort();
}

/* Nothing here ever waits for a disk, so the loop is never far away. */
static void stop_asked(evutil_socket_t number, short what, void *user)
{
    struct program *program = user;
    (void)what;
    SGN_LOG(SGN_LOG_INFO, "stopping", NULL, "signal=%d", (int)number);
    program->asked = true;
    (void)event_base_loopbreak(program->base);
}

static bool signals_take(struct program *program)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigemptyset(&ignore.sa_mask);
    program->term_event = evsignal_new(program->base, SIGTERM, stop_asked, program);
    program->int_event = evsignal_new(program->base, SIGINT, stop_asked, program);
    return sigaction(SIGPIPE, &ignore, NULL) == 0 && sigaction(SIGHUP, &ignore, NULL) == 0 &&
           program->term_event != NULL && event_add(program->term_event, NULL) == 0 &&
           program->int_event != NULL && event_add(program->int_event, NULL) == 0;
}

/* Every connection is a descriptor; the soft limit is often far below the hard. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static const char *admin_text(const struct program *program)
{
    return program->http != NULL ? sgn_http_address(program->http) : "off";
}

static bool ready_file_write(const struct program *program)
{
    char text[SGN_READY_TEXT_BYTES];
    char listen[SGN_ADDRESS_TEXT_BYTES];
    sgn_address_format(sgn_listener_address(program->driver->listener), listen);
    (void)snprintf(text,
                   sizeof(text),
                   "pid=%ld\nwitness=%u\nlisten=%s\nadmin=%s\nincarnation=%u\n",
                   (long)getpid(),
                   program->config.id,
                   listen,
                   admin_text(program),
                   program->driver->self.incarnation);
    if (sgn_ready_file_write(program->config.ready_file, text)) {
        return true;
    }
    (void)fprintf(stderr,
                  "signet-witness: the ready file %s cannot be written: %s\n",
                  program->config.ready_file,
                  strerror(errno));
    return false;
}

static bool start(struct program *program)
{
    char error[512] = "";
    program->base = event_base_new();
    if (program->base == NULL || !signals_take(program)) {
        (void)fprintf(
            stderr, "signet-witness: the event loop cannot be made: %s\n", strerror(errno));
        return false;
    }
    enum sgn_err err = sgn_witness_driver_create(
        &program->config, program->base, &program->driver, error, sizeof(error));
    if (err == SGN_OK && program->config.admin[0] != '\0') {
        err = sgn_http_create(program->base,
                              program->config.admin,
                              sgn_witness_http,
                              program->driver,
                              &program->http,
                              error,
                              sizeof(error));
    }
    if (err != SGN_OK) {
        (void)fprintf(stderr, "signet-witness: %s\n", error);
        return false;
    }
    return ready_file_write(program);
}

static void stop(struct program *program)
{
    if (program->http != NULL) {
        sgn_http_destroy(program->http);
    }
    if (program->driver != NULL) {
        sgn_witness_driver_destroy(program->driver);
    }
    if (program->term_event != NULL) {
        event_free(program->term_event);
    }
    if (program->int_event != NULL) {
        event_free(program->int_event);
    }
    if (program->base != NULL) {
        event_base_free(program->base);
    }
    sgn_ready_file_remove(program->config.ready_file);
}

static int run(struct program *program)
{
    sgn_log_set_level((enum sgn_log_level)program->config.log_level);
    sgn_ready_file_remove(program->config.ready_file); /* One left by a kill must not tell lies. */
    raise_file_limit();
    if (!start(program)) {
        stop(program);
        return EXIT_RUN;
    }
    char listen[SGN_ADDRESS_TEXT_BYTES];
    sgn_address_format(sgn_listener_address(program->driver->listener), listen);
    SGN_LOG(SGN_LOG_INFO,
            "ready",
            NULL,
            "witness=%u incarnation=%u ring=%s listen=%s admin=%s version=%s",
            program->config.id,
            program->driver->self.incarnation,
            program->config.ring,
            listen,
            admin_text(program),
            SGN_NODE_VERSION);
    int loop = event_base_dispatch(program->base);
    stop(program);
    if (loop < 0 || !program->asked) {
        SGN_LOG(SGN_LOG_ERROR, "the event loop ended by itself", NULL, "result=%d", loop);
        return EXIT_RUN;
    }
    SGN_LOG(SGN_LOG_INFO, "stopped", NULL, "status=%d", 0);
    return EXIT_SUCCESS;
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

static int check_config(const struct sgn_witness_config *config)
{
    return printf("ok: witness %u of ring %s: listens on %s, room for %llu keys\n",
                  config->id,
                  config->ring,
                  config->listen,
                  (unsigned long long)(config->memory_bytes / SGN_WITNESS_KEY_BYTES)) > 0
               ? EXIT_SUCCESS
               : EXIT_RUN;
}

int main(int argc, char **argv)
{
    static struct program program;
    char error[SGN_WITNESS_ERROR_BYTES];
    if (sgn_witness_config_load(&program.config, argc, argv, environ, error) != SGN_OK) {
        (void)fprintf(stderr, "signet-witness: %s\n", error);
        return EXIT_USE;
    }
    switch (program.config.action) {
    case SGN_WITNESS_HELP: return print(sgn_witness_help);
    case SGN_WITNESS_MAN: return print(sgn_witness_man);
    case SGN_WITNESS_VERSION:
        return printf("signet-witness %s\n", SGN_NODE_VERSION) > 0 ? EXIT_SUCCESS : EXIT_RUN;
    case SGN_WITNESS_CHECK_CONFIG: return check_config(&program.config);
    case SGN_WITNESS_RUN: break;
    }
    return run(&program);
}
