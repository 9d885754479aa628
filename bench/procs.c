#include "bench/procs.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/cpu.h"
#include "bench/relay.h"
#include "ring/core/check.h"

#define PATH_BYTES (SGN_PROCS_DIR_BYTES + 64)
#define PAUSE_MS   5
#define MS         UINT64_C(1000000)

static void path_of(const struct sgn_procs *procs, uint32_t number, const char *kind, char *out)
{
    (void)snprintf(out, PATH_BYTES, "%s/%s-%u", procs->dir, kind, number);
}

static bool is_node(const struct sgn_procs *procs, uint32_t number)
{
    SGN_ASSERT(number >= 1 && number <= procs->node_count + procs->witness_count);
    return number <= procs->node_count;
}

/* ---- Making ---- */

static bool find_program(const char *variable, const char *const *places, char *out, size_t cap)
{
    const char *chosen = getenv(variable);
    if (chosen != NULL && chosen[0] != '\0') {
        (void)snprintf(out, cap, "%s", chosen);
        return access(out, X_OK) == 0;
    }
    char self[256];
    ssize_t count = readlink("/proc/self/exe", self, sizeof(self) - 1);
    self[count < 0 ? 0 : count] = '\0';
    char *slash = strrchr(self, '/');
    for (uint32_t i = 0; slash != NULL && i < 2; i++) {
        *slash = '\0';
        (void)snprintf(out, cap, "%s/%s", self, places[i]);
        if (access(out, X_OK) == 0) {
            return true;
        }
    }
    return false;
}

static bool find_programs(struct sgn_procs *procs, struct sgn_why *why)
{
    static const char *const nodes[] = {"signet-node", "../node/signet-node"};
    static const char *const witnesses[] = {"signet-witness", "../witness/signet-witness"};
    if (!find_program("SIGNET_NODE", nodes, procs->node_program, sizeof(procs->node_program))) {
        sgn_why_set(why, "no signet-node beside this program; SIGNET_NODE may name one");
        return false;
    }
    if (procs->witness_count > 0 &&
        !find_program(
            "SIGNET_WITNESS", witnesses, procs->witness_program, sizeof(procs->witness_program))) {
        sgn_why_set(why, "no signet-witness beside this program; SIGNET_WITNESS may name one");
        return false;
    }
    return true;
}

/* Sockets are held until all ports are chosen, so that none is given out twice. */
static bool choose_ports(struct sgn_procs *procs, uint32_t count, struct sgn_why *why)
{
    int fds[SGN_PROCS_MAX + 1];
    uint32_t taken = 0;
    for (; taken < count; taken++) {
        struct sockaddr_in at = {.sin_family = AF_INET};
        socklen_t bytes = sizeof(at);
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fds[taken] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fds[taken] < 0 || bind(fds[taken], (struct sockaddr *)&at, sizeof(at)) != 0 ||
            getsockname(fds[taken], (struct sockaddr *)&at, &bytes) != 0) {
            sgn_why_set(why, "no free port: %s", strerror(errno));
            break;
        }
        procs->procs[taken + 1].port = ntohs(at.sin_port);
    }
    for (uint32_t i = 0; i < taken; i++) {
        (void)close(fds[i]);
    }
    return taken == count;
}

static bool make_dir(struct sgn_procs *procs, const char *dir, struct sgn_why *why)
{
    procs->own_dir = dir == NULL;
    char made[] = "/tmp/signet-verify-XXXXXX";
    const char *path = dir;
    bool good = true;
    if (dir == NULL) {
        path = mkdtemp(made);
        good = path != NULL;
    } else {
        good = mkdir(dir, 0777) == 0 || errno == EEXIST;
    }
    char whole[4096];
    if (!good || realpath(path, whole) == NULL || strlen(whole) >= sizeof(procs->dir)) {
        sgn_why_set(why, "%s cannot be the folder of the ring: %s", dir, strerror(errno));
        return false;
    }
    memcpy(procs->dir, whole, strlen(whole) + 1);
    char config[PATH_BYTES];
    path_of(procs, 1, "conf", config);
    if (access(config, F_OK) == 0) {
        sgn_why_set(why, "%s holds a ring already; give an empty folder", procs->dir);
        return false;
    }
    return true;
}

/* In a mount namespace of our own, so that nothing is left behind however this ends. */
static bool make_disks(const struct sgn_procs *procs)
{
    char size[32];
    (void)snprintf(size, sizeof(size), "size=%um", SGN_PROCS_DISK_MIB);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        return false;
    }
    bool good = true;
    for (uint32_t i = 1; good && i <= procs->node_count; i++) {
        char path[PATH_BYTES];
        path_of(procs, i, "disk", path);
        good = mkdir(path, 0777) == 0 && mount("none", path, "tmpfs", 0, size) == 0;
    }
    return good;
}

bool sgn_procs_open(struct sgn_procs *procs,
                    const char *dir,
                    uint32_t node_count,
                    uint32_t witness_count,
                    bool disks,
                    struct sgn_why *why)
{
    SGN_ASSERT(node_count + witness_count <= SGN_PROCS_MAX);
    *procs = (struct sgn_procs){.node_count = node_count, .witness_count = witness_count};
    if (!find_programs(procs, why) || !make_dir(procs, dir, why) ||
        !choose_ports(procs, node_count + witness_count, why)) {
        return false;
    }
    procs->own_disks = disks && make_disks(procs);
    return true;
}

void sgn_procs_embed(struct sgn_procs *procs)
{
    SGN_ASSERT(procs->witness_count <= procs->node_count);
    for (uint32_t i = 1; i <= procs->witness_count; i++) {
        procs->procs[i].witness_port = procs->procs[procs->node_count + i].port;
    }
    procs->witness_count = 0;
}

static void data_of(const struct sgn_procs *procs, uint32_t number, char *out)
{
    path_of(procs, number, procs->own_disks ? "disk" : "data", out);
    size_t used = strlen(out);
    (void)snprintf(out + used, PATH_BYTES - used, "%s", procs->own_disks ? "/data" : "");
}

static void write_config(const struct sgn_procs *procs, uint32_t number, FILE *file)
{
    char data[PATH_BYTES];
    data_of(procs, number, data);
    (void)fprintf(file,
                  "[node]\nid = %u\nlisten = 127.0.0.1:%u\ndata = %s\n"
                  "ready_file = %s/ready-%u\n\n[ring]\nname = verify\npartitions = 16\n"
                  "replicas = %u\n\n[store]\nblock_cache = 8M\ndisk_reserve = 16M\n\n"
                  /* Soon enough that what a short run deletes is dropped in it (3.7). */
                  "[timing]\ntombstone = 2s\n",
                  number,
                  procs->procs[number].port,
                  data,
                  procs->dir,
                  number,
                  procs->node_count < 3 ? procs->node_count : 3);
    for (uint32_t i = 1; i <= procs->node_count; i++) {
        (void)fprintf(
            file, "\n[member.%u]\naddress = " SGN_RELAY_HOST ":%u\n", i, procs->procs[i].port);
    }
}

bool sgn_procs_configure(const struct sgn_procs *procs, struct sgn_why *why)
{
    for (uint32_t i = 1; i <= procs->node_count; i++) {
        char path[PATH_BYTES];
        path_of(procs, i, "conf", path);
        FILE *file = fopen(path, "we");
        bool good = file != NULL;
        if (good) {
            write_config(procs, i, file);
            good = ferror(file) == 0;
            good = fclose(file) == 0 && good;
        }
        if (!good) {
            sgn_why_set(why, "%s cannot be written: %s", path, strerror(errno));
            return false;
        }
    }
    return true;
}

/* ---- Running ---- */

/* In the child, between fork and exec: nothing that takes a lock. */
_Noreturn static void become(char *const *arguments, const char *log)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setpgid(0, 0); /* An interrupt at the terminal is for the parent to see first. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && null >= 0 && out >= 0 && dup2(null, 0) == 0 &&
        dup2(out, 1) == 1 && dup2(out, 2) == 2) {
        (void)execv(arguments[0], arguments);
    }
    _exit(127);
}

bool sgn_procs_start(struct sgn_procs *procs, uint32_t number, struct sgn_why *why)
{
    struct sgn_proc *proc = &procs->procs[number];
    bool node = is_node(procs, number);
    char config[PATH_BYTES];
    char log[PATH_BYTES];
    char ready[PATH_BYTES];
    char id[16];
    char at[32];
    SGN_ASSERT(proc->pid == 0);
    path_of(procs, number, "conf", config);
    path_of(procs, number, "log", log);
    path_of(procs, number, "ready", ready);
    (void)snprintf(id, sizeof(id), "%u", proc->id);
    (void)snprintf(at, sizeof(at), "127.0.0.1:%u", proc->port);
    char *node_arguments[] = {procs->node_program, "--config", config, NULL};
    char *witness_arguments[] = {procs->witness_program,
                                 "--id",
                                 id,
                                 "--ring",
                                 "verify",
                                 "--listen",
                                 at,
                                 "--ready-file",
                                 ready,
                                 NULL};
    (void)unlink(ready); /* Of the run before, which was killed. */
    pid_t pid = fork();
    if (pid == 0) {
        become(node ? node_arguments : witness_arguments, log);
    }
    if (pid < 0) {
        sgn_why_set(why, "no process can be started: %s", strerror(errno));
        return false;
    }
    proc->pid = pid;
    proc->paused = false;
    proc->disk_failed = proc->disk_full;
    proc->starts++;
    return true;
}

bool sgn_procs_ready(struct sgn_procs *procs, uint32_t number, struct sgn_why *why)
{
    char ready[PATH_BYTES];
    path_of(procs, number, "ready", ready);
    for (uint64_t until = sgn_bench_now_ns() + SGN_PROCS_WAIT_MS * MS;
         sgn_bench_now_ns() < until;) {
        if (access(ready, F_OK) == 0) {
            return true;
        }
        if (procs->procs[number].pid == 0 || sgn_procs_died(procs, number, why)) {
            return false;
        }
        (void)poll(NULL, 0, PAUSE_MS);
    }
    sgn_why_set(why,
                "%s %u is not ready after %u s; see %s/log-%u",
                is_node(procs, number) ? "node" : "witness",
                number,
                SGN_PROCS_WAIT_MS / 1000,
                procs->dir,
                number);
    return false;
}

void sgn_procs_kill(struct sgn_procs *procs, uint32_t number)
{
    struct sgn_proc *proc = &procs->procs[number];
    if (proc->pid != 0 && kill(proc->pid, SIGKILL) == 0) {
        (void)waitpid(proc->pid, NULL, 0);
    }
    proc->pid = 0;
    proc->paused = false;
}

void sgn_procs_pause(struct sgn_procs *procs, uint32_t number, bool pause)
{
    struct sgn_proc *proc = &procs->procs[number];
    if (proc->pid != 0 && kill(proc->pid, pause ? SIGSTOP : SIGCONT) == 0) {
        proc->paused = pause;
    }
}

bool sgn_procs_died(struct sgn_procs *procs, uint32_t number, struct sgn_why *why)
{
    struct sgn_proc *proc = &procs->procs[number];
    int status = 0;
    if (proc->pid == 0 || waitpid(proc->pid, &status, WNOHANG) != proc->pid) {
        return false;
    }
    proc->pid = 0;
    proc->paused = false;
    sgn_why_set(why,
                "%s %u ended by itself, %s %d; see %s/log-%u",
                is_node(procs, number) ? "node" : "witness",
                number,
                WIFEXITED(status) ? "with status" : "by signal",
                WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
                procs->dir,
                number);
    return true;
}

/* ---- Disks ---- */

void sgn_procs_fill_disk(struct sgn_procs *procs, uint32_t number, uint32_t left_kib)
{
    char path[PATH_BYTES];
    struct statvfs disk;
    SGN_ASSERT(procs->own_disks && is_node(procs, number));
    (void)snprintf(path, sizeof(path), "%s/disk-%u/filler", procs->dir, number);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && fstatvfs(fd, &disk) == 0) {
        uint64_t free_bytes = (uint64_t)disk.f_bavail * disk.f_bsize;
        uint64_t left_bytes = (uint64_t)left_kib * 1024;
        uint64_t fill = free_bytes > left_bytes ? free_bytes - left_bytes : 0;
        /* The node writes meanwhile: what does not fit now is as full as it gets. */
        procs->procs[number].disk_full = true;
        procs->procs[number].disk_failed = true;
        (void)(fill > 0 && posix_fallocate(fd, 0, (off_t)fill) == 0);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

void sgn_procs_free_disk(struct sgn_procs *procs, uint32_t number)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/disk-%u/filler", procs->dir, number);
    (void)unlink(path);
    procs->procs[number].disk_full = false;
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    (void)stat;
    (void)type;
    (void)ftw;
    (void)remove(path);
    return 0;
}

bool sgn_procs_wipe(struct sgn_procs *procs, uint32_t number, struct sgn_why *why)
{
    char data[PATH_BYTES];
    SGN_ASSERT(is_node(procs, number) && procs->procs[number].pid == 0);
    data_of(procs, number, data);
    (void)nftw(data, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (access(data, F_OK) == 0) {
        sgn_why_set(why, "%s cannot be removed", data);
        return false;
    }
    return true;
}

/* ---- The end ---- */

void sgn_procs_close(struct sgn_procs *procs, bool remove)
{
    for (uint32_t i = 1; i <= procs->node_count + procs->witness_count; i++) {
        sgn_procs_kill(procs, i);
    }
    for (uint32_t i = 1; remove && procs->own_disks && i <= procs->node_count; i++) {
        char path[PATH_BYTES];
        path_of(procs, i, "disk", path);
        (void)umount2(path, MNT_DETACH);
    }
    if (remove && procs->own_dir && procs->dir[0] != '\0') {
        (void)nftw(procs->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
}
