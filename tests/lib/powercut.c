/* The shim: stands between a program and the C library (see powercut.h). */
#include "tests/lib/powercut.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

static struct powercut_map *map;
static const char *directory;
static size_t directory_bytes;
static char grave[PATH_MAX];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* ISO C has no cast from an object pointer to a function's; POSIX asks for this copy. */
#define REAL(type, name, ...)                                                                      \
    type (*real)(__VA_ARGS__);                                                                     \
    {                                                                                              \
        void *symbol = dlsym(RTLD_NEXT, name);                                                     \
        memcpy(&real, &symbol, sizeof(real));                                                      \
    }

static void setup(void)
{
    directory = getenv("SGN_FAULT_DIR");
    const char *path = getenv("SGN_FAULT_MAP");
    if (directory == NULL || path == NULL) {
        return;
    }
    directory_bytes = strlen(directory);
    snprintf(grave, sizeof(grave), "%s.grave", path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    void *ptr = mmap(NULL, sizeof(*map), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    map = ptr == MAP_FAILED ? NULL : ptr;
}

static bool active(void)
{
    pthread_once(&once, setup);
    return map != NULL;
}

static bool path_inside(const char *path)
{
    return strncmp(path, directory, directory_bytes) == 0 && path[directory_bytes] == '/';
}

enum place { ELSEWHERE, INSIDE, ITSELF };

static enum place fd_place(int fd)
{
    char link[64];
    char path[PATH_MAX];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t count = readlink(link, path, sizeof(path) - 1);
    if (count <= 0) {
        return ELSEWHERE;
    }
    path[count] = '\0';
    if (strcmp(path, directory) == 0) {
        return ITSELF;
    }
    return path_inside(path) ? INSIDE : ELSEWHERE;
}

/* True for exactly one call: the one that brings the countdown to 0. */
static bool countdown(_Atomic int64_t *left)
{
    if (atomic_load(left) <= 0 || atomic_fetch_sub(left, 1) != 1) {
        return false;
    }
    atomic_fetch_add(&map->failed, 1);
    return true;
}

static void file_note(uint64_t inode, uint64_t bytes, bool failed)
{
    while (atomic_flag_test_and_set(&map->lock)) {
    }
    uint32_t i = 0;
    while (i < map->file_count && map->files[i].inode != inode) {
        i++;
    }
    if (i == POWERCUT_FILES_MAX) {
        atomic_store(&map->overflow, 1);
    } else {
        struct powercut_file *file = &map->files[i];
        if (i == map->file_count) {
            *file = (struct powercut_file){.inode = inode};
            map->file_count++;
        }
        if (failed) {
            file->poisoned = 1;
        } else if (file->poisoned == 0 && bytes > file->synced_bytes) {
            file->synced_bytes = bytes;
        }
    }
    atomic_flag_clear(&map->lock);
}

static void names_read(struct powercut_names *names)
{
    names->count = 0;
    DIR *dir = opendir(directory);
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        if (names->count == POWERCUT_NAMES_MAX || strlen(entry->d_name) >= POWERCUT_NAME_BYTES) {
            atomic_store(&map->overflow, 1);
            continue;
        }
        struct powercut_name *name = &names->list[names->count++];
        name->inode = entry->d_ino;
        memcpy(name->name, entry->d_name, strlen(entry->d_name) + 1);
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

static int directory_sync(int fd, int (*real)(int))
{
    /* What is there before the call is what the call makes durable. */
    struct powercut_names *names = malloc(sizeof(*names));
    if (names == NULL) {
        errno = ENOMEM;
        return -1;
    }
    names_read(names);
    int result = real(fd);
    if (result == 0) {
        while (atomic_flag_test_and_set(&map->lock)) {
        }
        uint32_t other = 1 - atomic_load(&map->names_current);
        memcpy(&map->names[other], names, sizeof(*names));
        atomic_store(&map->names_current, other);
        atomic_flag_clear(&map->lock);
    }
    free(names);
    return result;
}

static int any_sync(int fd, int (*real)(int))
{
    enum place place = active() ? fd_place(fd) : ELSEWHERE;
    if (place == ELSEWHERE) {
        return real(fd);
    }
    if (place == ITSELF) {
        return directory_sync(fd, real);
    }
    struct stat before;
    if (fstat(fd, &before) != 0) {
        return -1;
    }
    atomic_fetch_add(&map->syncs, 1);
    if (countdown(&map->fail_sync_in)) {
        file_note(before.st_ino, 0, true);
        errno = atomic_load(&map->fail_errno);
        return -1;
    }
    int result = real(fd);
    if (result == 0) {
        file_note(before.st_ino, (uint64_t)before.st_size, false);
    }
    return result;
}

int fsync(int fd)
{
    REAL(int, "fsync", int)
    return any_sync(fd, real);
}

int fdatasync(int fd)
{
    REAL(int, "fdatasync", int)
    return any_sync(fd, real);
}

/* Only a hint to the kernel: it makes nothing durable, so nothing is noted. */
static bool write_fails(int fd)
{
    if (!active() || fd_place(fd) != INSIDE) {
        return false;
    }
    atomic_fetch_add(&map->writes, 1);
    if (!countdown(&map->fail_write_in)) {
        return false;
    }
    errno = atomic_load(&map->fail_errno);
    return true;
}

ssize_t write(int fd, const void *ptr, size_t count)
{
    REAL(ssize_t, "write", int, const void *, size_t)
    return write_fails(fd) ? -1 : real(fd, ptr, count);
}

ssize_t pwrite(int fd, const void *ptr, size_t count, off_t offset)
{
    REAL(ssize_t, "pwrite", int, const void *, size_t, off_t)
    return write_fails(fd) ? -1 : real(fd, ptr, count, offset);
}

ssize_t pwrite64(int fd, const void *ptr, size_t count, off64_t offset)
{
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t)
    return write_fails(fd) ? -1 : real(fd, ptr, count, offset);
}

ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    REAL(ssize_t, "writev", int, const struct iovec *, int)
    return write_fails(fd) ? -1 : real(fd, pieces, count);
}

/* A second name keeps the content, for the case that the unlink is undone, and keeps the inode
 * number from being given to another file. */
static void bury(const char *path)
{
    struct stat is;
    if (!active() || !path_inside(path) || lstat(path, &is) != 0) {
        return;
    }
    char name[PATH_MAX + 32];
    snprintf(name, sizeof(name), "%s/%llu", grave, (unsigned long long)is.st_ino);
    if (link(path, name) != 0 && errno != EEXIST) {
        atomic_store(&map->overflow, 1);
    }
}

int unlink(const char *path)
{
    REAL(int, "unlink", const char *)
    bury(path);
    return real(path);
}

int rename(const char *from, const char *to)
{
    REAL(int, "rename", const char *, const char *)
    bury(to);
    return real(from, to);
}

static bool space_answer(struct statvfs *fs)
{
    uint64_t bytes = active() ? atomic_load(&map->free_bytes) : 0;
    if (bytes > 0) {
        fs->f_bavail = bytes / fs->f_frsize;
    }
    return bytes > 0;
}

int statvfs(const char *path, struct statvfs *fs)
{
    REAL(int, "statvfs", const char *, struct statvfs *)
    int result = real(path, fs);
    if (result == 0) {
        (void)space_answer(fs);
    }
    return result;
}
