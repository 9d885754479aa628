/* The test's side of powercut.h: before the program runs, and after it was killed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/powercut.h"

#define PATH_BYTES      (PATH_MAX + 64)
#define PATH_LONG_BYTES (PATH_BYTES + 320) /* One of the above, and a name. */

/* Removes the files of a folder, not the folder. */
static void folder_empty(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char path[PATH_BYTES];
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.') {
            unlink(path);
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
}

static bool file_take(struct powercut_map *map, const char *directory, const char *name)
{
    char path[PATH_BYTES];
    struct stat is;
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    struct powercut_names *names = &map->names[0];
    if (stat(path, &is) != 0 || names->count == POWERCUT_NAMES_MAX ||
        map->file_count == POWERCUT_FILES_MAX || strlen(name) >= POWERCUT_NAME_BYTES) {
        return false;
    }
    struct powercut_name *entry = &names->list[names->count++];
    entry->inode = is.st_ino;
    memcpy(entry->name, name, strlen(name) + 1);
    map->files[map->file_count++] =
        (struct powercut_file){.inode = is.st_ino, .synced_bytes = (uint64_t)is.st_size};
    return true;
}

struct powercut_map *powercut_begin(const char *directory, const char *map_path)
{
    char grave[PATH_BYTES];
    snprintf(grave, sizeof(grave), "%s.grave", map_path);
    if (mkdir(grave, 0700) != 0 && errno != EEXIST) {
        return NULL;
    }
    folder_empty(grave);
    int fd = open(map_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(struct powercut_map)) != 0) {
        return NULL;
    }
    void *ptr = mmap(NULL, sizeof(struct powercut_map), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (ptr == MAP_FAILED) {
        return NULL;
    }
    struct powercut_map *map = ptr;
    DIR *dir = opendir(directory);
    struct dirent *entry;
    bool whole = true;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        whole = whole && (entry->d_name[0] == '.' || file_take(map, directory, entry->d_name));
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return whole ? map : NULL;
}

static uint64_t synced_bytes(const struct powercut_map *map, uint64_t inode)
{
    for (uint32_t i = 0; i < map->file_count; i++) {
        if (map->files[i].inode == inode) {
            return map->files[i].synced_bytes;
        }
    }
    return 0;
}

/* Where the inode is still to be found; false if nowhere. */
static bool inode_path(const char *directory, const char *grave, uint64_t inode, char *path)
{
    snprintf(path, PATH_LONG_BYTES, "%s/%llu", grave, (unsigned long long)inode);
    bool found = access(path, F_OK) == 0;
    DIR *dir = opendir(directory);
    struct dirent *entry;
    while (!found && dir != NULL && (entry = readdir(dir)) != NULL) {
        if (entry->d_ino == inode) {
            snprintf(path, PATH_LONG_BYTES, "%s/%s", directory, entry->d_name);
            found = true;
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    return found;
}

/* Rebuilds the directory from the names its last sync made durable. */
static bool entries_undo(const char *directory, const char *grave, const struct powercut_map *map)
{
    const struct powercut_names *names = &map->names[atomic_load(&map->names_current)];
    char fresh[PATH_BYTES];
    char to[PATH_BYTES + POWERCUT_NAME_BYTES];
    char from[PATH_LONG_BYTES];
    snprintf(fresh, sizeof(fresh), "%s.fresh", directory);
    if (mkdir(fresh, 0700) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < names->count; i++) {
        snprintf(to, sizeof(to), "%s/%s", fresh, names->list[i].name);
        if (!inode_path(directory, grave, names->list[i].inode, from) || link(from, to) != 0) {
            fprintf(stderr, "powercut: lost track of %s\n", names->list[i].name);
            return false;
        }
    }
    folder_empty(directory);
    return rmdir(directory) == 0 && rename(fresh, directory) == 0;
}

int64_t powercut_apply(const char *directory,
                       const char *map_path,
                       struct powercut_map *map,
                       enum powercut_entries entries)
{
    char grave[PATH_BYTES];
    snprintf(grave, sizeof(grave), "%s.grave", map_path);
    bool good = atomic_load(&map->overflow) == 0;
    if (good && entries == POWERCUT_UNDO_ENTRIES) {
        good = entries_undo(directory, grave, map);
    }
    int64_t cut = 0;
    DIR *dir = good ? opendir(directory) : NULL;
    good = dir != NULL;
    struct dirent *entry;
    while (good && (entry = readdir(dir)) != NULL) {
        char path[PATH_BYTES];
        struct stat is;
        snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        if (entry->d_name[0] == '.' || stat(path, &is) != 0) {
            continue;
        }
        uint64_t keep = synced_bytes(map, is.st_ino);
        if (keep < (uint64_t)is.st_size) {
            cut += is.st_size - (int64_t)keep;
            good = truncate(path, (off_t)keep) == 0;
        }
    }
    if (dir != NULL) {
        closedir(dir);
    }
    powercut_end(map_path, map);
    return good ? cut : -1;
}

void powercut_end(const char *map_path, struct powercut_map *map)
{
    char grave[PATH_BYTES];
    snprintf(grave, sizeof(grave), "%s.grave", map_path);
    folder_empty(grave);
    rmdir(grave);
    munmap(map, sizeof(*map));
    unlink(map_path);
}
