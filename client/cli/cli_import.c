/* client/cli/cli_import.c - import: lines of a file, files of a directory, or an earlier export.
 *
 * Requests go out asynchronously, at most --parallel under way. A key that fails does not stop the
 * rest; how many failed, and the first few by name, is told at the end; the exit code says so. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/cli_bulk.h"

#define DEPTH_MAX     64u
#define FAILURES_TOLD 5u

struct import {
    struct cli *cli;
    struct bulk bulk;
    struct sgn_bytes bucket;
    const char *prefix;
    uint64_t skipped;      /* Not regular files. */
    uint64_t failed_local; /* Could not be read, or are no record. */
};

static void tell_local(struct import *job, const char *name, const char *why)
{
    if (job->failed_local++ < FAILURES_TOLD) {
        (void)fprintf(stderr, "kv-cli: %s: %s\n", name, why);
    }
}

/* Takes over `value` (malloc). */
static void store(struct import *job, struct sgn_bytes key, uint8_t *value, size_t count)
{
    struct bulk_item *item = bulk_take(&job->bulk);
    size_t prefix = strlen(job->prefix);
    if (prefix + key.count > SGN_LIMIT_KEY_BYTES || prefix + key.count == 0) {
        char name[64];
        (void)snprintf(name, sizeof(name), "key \"%.*s...\"", 32, (const char *)key.ptr);
        tell_local(
            job, name, key.count == 0 ? "a key is at least 1 byte" : "a key is at most 1024 bytes");
        free(value);
        bulk_give(&job->bulk, item);
        return;
    }
    memcpy(item->key, job->prefix, prefix);
    memcpy(item->key + prefix, key.ptr, key.count);
    item->key_count = prefix + key.count;
    item->value = value;
    item->value_count = count;
    sgn_request_put(item->request,
                    job->bucket,
                    (struct sgn_bytes){item->key, item->key_count},
                    (struct sgn_bytes){value, count});
    bulk_start(&job->bulk, item);
}

static void import_lines(struct import *job, FILE *in, const char *name)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t count = 0;
    while (!bulk_is_hopeless(&job->bulk) && (count = getline(&line, &cap, in)) >= 0) {
        job->bulk.bar.at += (uint64_t)count;
        count -= count > 0 && line[count - 1] == '\n';
        if (count == 0) {
            continue; /* An empty line has no key. */
        }
        uint8_t *value = malloc((size_t)count);
        if (value == NULL) {
            tell_local(job, name, "out of memory");
            break;
        }
        memcpy(value, line, (size_t)count);
        store(job, (struct sgn_bytes){line, (size_t)count}, value, (size_t)count);
    }
    if (ferror(in)) {
        tell_local(job, name, strerror(errno));
    }
    free(line);
}

static bool json_bytes(
    const json_t *object, const char *name, const char *name64, uint8_t **out, size_t *count)
{
    const json_t *text = json_object_get(object, name);
    const json_t *text64 = json_object_get(object, name64);
    const json_t *found = text != NULL ? text : text64;
    if (!json_is_string(found)) {
        return false;
    }
    *count = json_string_length(found);
    *out = malloc(*count + 1);
    if (*out == NULL) {
        return false;
    }
    if (text != NULL) {
        memcpy(*out, json_string_value(found), *count);
        return true;
    }
    if (cli_unbase64((struct sgn_bytes){json_string_value(found), *count}, *out, count)) {
        return true;
    }
    free(*out);
    *out = NULL;
    return false;
}

static void import_jsonl(struct import *job, FILE *in, const char *name)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t count = 0;
    for (uint64_t number = 1; !bulk_is_hopeless(&job->bulk); number++) {
        count = getline(&line, &cap, in);
        if (count < 0) {
            break;
        }
        char place[320];
        job->bulk.bar.at += (uint64_t)count;
        (void)snprintf(place, sizeof(place), "%.256s:%llu", name, (unsigned long long)number);
        json_error_t error;
        json_t *object = json_loadb(line, (size_t)count, JSON_ALLOW_NUL, &error);
        uint8_t *key = NULL;
        uint8_t *value = NULL;
        size_t key_count = 0;
        size_t value_count = 0;
        if (!json_is_object(object)) {
            tell_local(job, place, object == NULL ? error.text : "not a JSON object");
        } else if (!json_bytes(object, "key", "key_base64", &key, &key_count) ||
                   !json_bytes(object, "value", "value_base64", &value, &value_count)) {
            tell_local(
                job, place, "needs a string \"key\" and a string \"value\", or their _base64");
        } else {
            store(job, (struct sgn_bytes){key, key_count}, value, value_count);
        }
        free(key);
        json_decref(object);
    }
    if (ferror(in)) {
        tell_local(job, name, strerror(errno));
    }
    free(line);
}

static void import_file(
    struct import *job, int directory, const char *name, const char *key, uint64_t bytes)
{
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        tell_local(job, key, strerror(errno));
        return;
    }
    if (bytes > SGN_LIMIT_VALUE_BYTES) {
        tell_local(job, key, "larger than the 16 MiB that a value may have");
        (void)close(fd);
        return;
    }
    uint8_t *value = malloc(bytes + 1);
    size_t have = 0;
    ssize_t count = value == NULL ? -1 : 1;
    while (count > 0 && have < bytes) {
        count = read(fd, value + have, bytes - have);
        have += count > 0 ? (size_t)count : 0;
    }
    (void)close(fd);
    if (count < 0 || have < bytes) {
        tell_local(job, key, count < 0 ? strerror(errno) : "became shorter while it was read");
        free(value);
        return;
    }
    store(job, sgn_text(key), value, have);
}

/* Walks a directory; `path` is the key so far. Depth is bounded, links are not followed. */
static void import_directory(struct import *job, int fd, char *path, uint32_t depth)
{
    DIR *directory = fdopendir(fd);
    size_t base = strlen(path);
    if (directory == NULL || depth == DEPTH_MAX) {
        tell_local(job, path, directory == NULL ? strerror(errno) : "directories are too deep");
        (void)(directory == NULL ? close(fd) : closedir(directory));
        return;
    }
    for (struct dirent *entry = NULL;
         !bulk_is_hopeless(&job->bulk) && (entry = readdir(directory)) != NULL;) {
        struct stat status;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (base + strlen(entry->d_name) + 2 > SGN_LIMIT_KEY_BYTES) {
            tell_local(job, entry->d_name, "its path is longer than a key may be");
            continue;
        }
        (void)snprintf(path + base, SGN_LIMIT_KEY_BYTES - base, "%s", entry->d_name);
        if (fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
            tell_local(job, path, strerror(errno));
        } else if (S_ISREG(status.st_mode)) {
            import_file(job, dirfd(directory), entry->d_name, path, (uint64_t)status.st_size);
        } else if (S_ISDIR(status.st_mode)) {
            int child = openat(dirfd(directory), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            size_t used = strlen(path);
            (void)snprintf(path + used, SGN_LIMIT_KEY_BYTES - used, "/");
            if (child < 0) {
                tell_local(job, path, strerror(errno));
            } else {
                import_directory(job, child, path, depth + 1);
            }
        } else {
            job->skipped++;
        }
        path[base] = '\0';
    }
    (void)closedir(directory);
}

static bool import_from(struct import *job, const char *from, const char *format)
{
    struct stat status;
    bool is_stdin = strcmp(from, "-") == 0;
    if (!is_stdin && stat(from, &status) != 0) {
        cli_error(job->cli, SGN_ERR_INVALID, "%s: %s", from, strerror(errno));
        return false;
    }
    bool is_directory = !is_stdin && S_ISDIR(status.st_mode);
    format = format == NULL ? (is_directory ? "files" : "lines") : format;
    if ((strcmp(format, "files") == 0) != is_directory) {
        cli_error(job->cli,
                  SGN_ERR_INVALID,
                  "%s: --format %s wants a %s",
                  from,
                  format,
                  is_directory ? "file" : "directory");
        return false;
    }
    if (is_directory) {
        char path[SGN_LIMIT_KEY_BYTES + 1] = "";
        int fd = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) {
            cli_error(job->cli, SGN_ERR_INVALID, "%s: %s", from, strerror(errno));
            return false;
        }
        import_directory(job, fd, path, 0);
        return true;
    }
    FILE *in = is_stdin ? stdin : fopen(from, "re");
    if (in == NULL) {
        cli_error(job->cli, SGN_ERR_INVALID, "%s: %s", from, strerror(errno));
        return false;
    }
    if (!is_stdin && S_ISREG(status.st_mode)) {
        job->bulk.bar.total = (uint64_t)status.st_size;
    }
    if (strcmp(format, "jsonl") == 0) {
        import_jsonl(job, in, from);
    } else {
        import_lines(job, in, from);
    }
    if (!is_stdin) {
        (void)fclose(in);
    }
    return true;
}

int cli_import(struct cli *cli, const struct cli_call *call)
{
    const char *bucket = cli_flag(call, "--bucket");
    const char *prefix = cli_flag(call, "--prefix");
    const char *format = cli_flag(call, "--format");
    uint32_t parallel = 64;
    if (format != NULL && strcmp(format, "lines") != 0 && strcmp(format, "files") != 0 &&
        strcmp(format, "jsonl") != 0) {
        cli_error(cli, SGN_ERR_INVALID, "--format takes lines, files or jsonl, not \"%s\"", format);
        return CLI_USAGE;
    }
    if (!cli_flag_number(call, "--parallel", 1, BULK_PARALLEL_MAX, &parallel)) {
        return CLI_USAGE;
    }
    struct import job = {.cli = cli,
                         .bucket = sgn_text(bucket == NULL ? "default" : bucket),
                         .prefix = prefix == NULL ? "" : prefix};
    if (!bulk_init(&job.bulk, cli, parallel, "import")) {
        return CLI_FAILED;
    }
    bool good = import_from(&job, call->args[0], format);
    bulk_finish(&job.bulk);
    uint64_t failed = job.failed_local + job.bulk.failed;
    double seconds = (double)(cli_now_ms() - job.bulk.bar.began_ms) / 1000.0 + 0.001;
    uint64_t stored = job.bulk.done - job.bulk.failed;
    if (cli->format == CLI_JSON && good) {
        (void)printf("{\"stored\":%llu,\"failed\":%llu,\"skipped\":%llu,\"bytes\":%llu,"
                     "\"seconds\":%.3f}\n",
                     (unsigned long long)stored,
                     (unsigned long long)failed,
                     (unsigned long long)job.skipped,
                     (unsigned long long)job.bulk.bytes,
                     seconds);
    } else if (good && !cli->quiet) {
        (void)fprintf(stderr,
                      "stored %llu keys, %s, in %.1f s (%.0f/s)",
                      (unsigned long long)stored,
                      cli_size(job.bulk.bytes),
                      seconds,
                      (double)stored / seconds);
        if (failed > 0) {
            (void)fprintf(stderr, "; %llu FAILED", (unsigned long long)failed);
        }
        if (job.skipped > 0) {
            (void)fprintf(
                stderr, "; %llu not regular files, skipped", (unsigned long long)job.skipped);
        }
        (void)fputc('\n', stderr);
    }
    int status = failed == 0 ? CLI_DONE : job.bulk.failed > 0 ? job.bulk.first_exit : CLI_FAILED;
    bulk_clear(&job.bulk);
    return good ? status : CLI_USAGE;
}
