/* client/cli/cli_local_node.c - one node of the ring on this machine: start, find, end. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/cli_local.h"

#define UP_MS_MAX       30000u /* A node must be ready by then. */
#define DOWN_MS_MAX     15000u /* And gone by then; after that it is killed. */
#define LOG_LINES_SHOWN 5

void local_path(const struct local *local, uint32_t id, const char *kind, char *out)
{
    bool is_witness = id >= LOCAL_WITNESS;
    (void)snprintf(out,
                   LOCAL_PATH_BYTES,
                   "%s/%s-%u.%s",
                   local->dir,
                   is_witness ? "witness" : "node",
                   is_witness ? id - LOCAL_WITNESS : id,
                   kind);
}

void local_name(uint32_t id, char name[LOCAL_NAME_BYTES])
{
    bool is_witness = id >= LOCAL_WITNESS;
    (void)snprintf(name,
                   LOCAL_NAME_BYTES,
                   "%s %u",
                   is_witness ? "witness" : "node",
                   is_witness ? id - LOCAL_WITNESS : id);
}

static void pause_ms(long ms)
{
    struct timespec time = {.tv_nsec = ms * 1000000};
    (void)nanosleep(&time, NULL);
}

bool local_ready_line(
    const struct local *local, uint32_t id, enum local_line line, char *out, size_t cap)
{
    char path[LOCAL_PATH_BYTES];
    local_path(local, id, "ready", path);
    FILE *file = fopen(path, "re");
    bool good = file != NULL;
    for (uint32_t i = 0; good && i <= (uint32_t)line; i++) {
        good = fgets(out, (int)cap, file) != NULL;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    out[good ? strcspn(out, "\n") : 0] = '\0';
    const char *value = strchr(out, '='); /* A line reads "listen=ADDRESS". */
    if (value != NULL) {
        memmove(out, value + 1, strlen(value));
    }
    return good;
}

pid_t local_pid(const struct local *local, uint32_t id)
{
    char text[128];
    char path[LOCAL_PATH_BYTES];
    char command[8192] = "";
    if (!local_ready_line(local, id, LOCAL_PID, text, sizeof(text))) {
        return 0;
    }
    const char *digits = text + strcspn(text, "0123456789");
    long pid = strtol(digits, NULL, 10);
    (void)snprintf(path, sizeof(path), "/proc/%ld/cmdline", pid);
    FILE *file = pid > 1 ? fopen(path, "re") : NULL;
    if (file == NULL) {
        return 0;
    }
    size_t count = fread(command, 1, sizeof(command) - 1, file);
    (void)fclose(file);
    local_path(local, id, "conf", path);
    return memmem(command, count, path, strlen(path)) != NULL ? (pid_t)pid : 0;
}

static const char *program_of(uint32_t id, char *path, size_t cap)
{
    bool is_witness = id >= LOCAL_WITNESS;
    const char *chosen = getenv(is_witness ? "SIGNET_WITNESS" : "SIGNET_NODE");
    if (chosen != NULL && chosen[0] != '\0') {
        return chosen;
    }
    ssize_t count = readlink("/proc/self/exe", path, cap - 32);
    path[count < 0 ? 0 : count] = '\0';
    char *slash = strrchr(path, '/');
    if (slash != NULL) {
        static const char *const places[2][2] = {{"/signet-node", "/../node/signet-node"},
                                                 {"/signet-witness", "/../witness/signet-witness"}};
        for (uint32_t i = 0; i < 2; i++) {
            const char *place = places[is_witness][i];
            memcpy(slash, place, strlen(place) + 1);
            if (access(path, X_OK) == 0) {
                return path;
            }
        }
    }
    return is_witness ? "signet-witness" : "signet-node"; /* By PATH. */
}

_Noreturn static void exec_node(const char *program, const char *config, int log)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)setsid();
    (void)dup2(null, STDIN_FILENO);
    (void)dup2(log, STDOUT_FILENO);
    (void)dup2(log, STDERR_FILENO);
    (void)execlp(program, program, "--config", config, (char *)NULL);
    (void)fprintf(stderr, "%s: %s\n", program, strerror(errno));
    _exit(127);
}

static void show_log_end(const char *path)
{
    FILE *file = fopen(path, "re");
    char lines[LOG_LINES_SHOWN][512];
    uint64_t count = 0;
    while (file != NULL && fgets(lines[count % LOG_LINES_SHOWN], 512, file) != NULL) {
        count++;
    }
    for (uint64_t i = count < LOG_LINES_SHOWN ? 0 : count - LOG_LINES_SHOWN; i < count; i++) {
        (void)fprintf(stderr, "  %s", lines[i % LOG_LINES_SHOWN]);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

bool local_node_start(const struct local *local, uint32_t id)
{
    char config[LOCAL_PATH_BYTES];
    char log[LOCAL_PATH_BYTES];
    char ready[LOCAL_PATH_BYTES];
    char program_path[4096];
    char name[LOCAL_NAME_BYTES];
    local_name(id, name);
    local_path(local, id, "conf", config);
    local_path(local, id, "log", log);
    local_path(local, id, "ready", ready);
    if (local_pid(local, id) != 0) {
        return true;
    }
    (void)unlink(ready); /* Left by a node that was killed. */
    int log_fd = open(log, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0644);
    const char *program = program_of(id, program_path, sizeof(program_path));
    pid_t pid = log_fd < 0 ? -1 : fork();
    if (pid == 0) {
        exec_node(program, config, log_fd);
    }
    if (pid < 0) {
        cli_error(local->cli, SGN_ERR_IO, "%s: %s", log, strerror(errno));
        return false;
    }
    (void)close(log_fd);
    for (uint64_t until = cli_now_ms() + UP_MS_MAX; cli_now_ms() < until; pause_ms(5)) {
        if (waitpid(pid, NULL, WNOHANG) == pid) {
            cli_error(local->cli, SGN_ERR_IO, "%s ended at once; its log %s ends:", name, log);
            show_log_end(log);
            return false;
        }
        if (local_pid(local, id) == pid) {
            return true;
        }
    }
    cli_error(local->cli,
              SGN_ERR_TIMEOUT,
              "%s is not ready after %u s; see %s",
              name,
              UP_MS_MAX / 1000,
              log);
    return false;
}

bool local_node_stop(const struct local *local, uint32_t id, int signal_number)
{
    pid_t pid = local_pid(local, id);
    if (pid == 0 || kill(pid, signal_number) != 0) {
        return false;
    }
    uint64_t until = cli_now_ms() + DOWN_MS_MAX;
    while (local_pid(local, id) == pid && kill(pid, 0) == 0) {
        (void)waitpid(pid, NULL, WNOHANG); /* In a shell it may be our own child. */
        if (cli_now_ms() > until) {
            char name[LOCAL_NAME_BYTES];
            local_name(id, name);
            (void)fprintf(
                stderr, "kv-cli: %s did not stop in %u s; killed\n", name, DOWN_MS_MAX / 1000);
            (void)kill(pid, SIGKILL);
            until = UINT64_MAX;
        }
        pause_ms(5);
    }
    return true;
}
