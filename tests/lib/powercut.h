/* tests/lib/powercut.h - losing what was never synced, and failing disks, for tests of real files.
 *
 * A program run with powercut.c preloaded keeps, in a mapped file, which bytes of each file of one
 * directory were synced and which names the last sync of the directory made durable. After it was
 * killed, powercut_apply turns the directory into what a power cut at that moment may have left:
 * every file cut to its synced size and, if asked, every create, rename and unlink that no sync of
 * the directory followed undone. The kinder disks of the real world keep more.
 *
 * Environment of the program: LD_PRELOAD, SGN_FAULT_DIR (absolute, no links in it), SGN_FAULT_MAP.
 * Limits: one directory without sub-directories; files that are only appended to. */
#ifndef SGN_TESTS_POWERCUT_H
#define SGN_TESTS_POWERCUT_H

#include <stdatomic.h>
#include <stdint.h>

#define POWERCUT_FILES_MAX  4096u
#define POWERCUT_NAMES_MAX  1024u
#define POWERCUT_NAME_BYTES 56u

struct powercut_file {
    uint64_t inode;
    uint64_t synced_bytes;
    uint32_t poisoned; /* A sync of it failed: no later one is believed. */
};

struct powercut_name {
    uint64_t inode;
    char name[POWERCUT_NAME_BYTES];
};

struct powercut_names {
    uint32_t count;
    struct powercut_name list[POWERCUT_NAMES_MAX];
};

struct powercut_map {
    /* Set by the test. The n-th call from now fails with fail_errno; 0: none does. */
    _Atomic int64_t fail_sync_in;
    _Atomic int64_t fail_write_in;
    _Atomic int fail_errno;
    _Atomic uint64_t free_bytes; /* What statvfs answers; 0: the truth. */
    /* Counted by the shim. */
    _Atomic uint64_t syncs, writes, failed;
    _Atomic uint32_t overflow; /* A table was too small: the test must not trust the rest. */
    atomic_flag lock;
    uint32_t file_count;
    struct powercut_file files[POWERCUT_FILES_MAX];
    _Atomic uint32_t names_current; /* Which of the two; changed when the other is whole. */
    struct powercut_names names[2];
};

/* Makes the map file afresh, with all that is in the directory taken for durable. NULL on
 * failure. */
struct powercut_map *powercut_begin(const char *directory, const char *map_path);

enum powercut_entries { POWERCUT_KEEP_ENTRIES, POWERCUT_UNDO_ENTRIES };

/* Applies the cut and unmaps. Returns the number of bytes cut off, or -1 on failure. */
int64_t powercut_apply(const char *directory,
                       const char *map_path,
                       struct powercut_map *map,
                       enum powercut_entries entries);

/* Forgets the map without a cut. */
void powercut_end(const char *map_path, struct powercut_map *map);

#endif
