/* client/cli/cli_export.c - export: every value under a prefix, in key order. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/cli_bulk.h"

enum target { TO_LINES, TO_FILES, TO_JSONL };

struct export
{
    struct cli *cli;
    struct bulk bulk;
    enum target target;
    FILE *out;
    const char *directory;
    struct sgn_bytes bucket, prefix;
    uint64_t written, siblings;
};

/* A key becomes a path below the directory only if every part of it is a plain name. */
static bool path_is_safe(const char *path)
{
    const char *part = path;
    for (;;) {
        size_t count = strcspn(part, "/");
        if (count == 0 || (count == 1 && part[0] == '.') ||
            (count == 2 && part[0] == '.' && part[1] == '.')) {
            return false;
        }
        if (part[count] == '\0') {
            return true;
        }
        part += count + 1;
    }
}

static bool write_file(struct export *job, struct sgn_bytes key, struct sgn_bytes value)
{
    char path[4096];
    char name[SGN_LIMIT_KEY_BYTES + 1];
    memcpy(name, key.ptr, key.count);
    name[key.count] = '\0';
    if (strlen(name) != key.count || !path_is_safe(name)) {
        cli_error(job->cli,
                  SGN_ERR_INVALID,
                  "key \"%s\" cannot be a file below %s; export it as jsonl",
                  name,
                  job->directory);
        return false;
    }
    int count = snprintf(path, sizeof(path), "%s/%s", job->directory, name);
    if (count < 0 || (size_t)count >= sizeof(path)) {
        cli_error(job->cli, SGN_ERR_TOO_LARGE, "key \"%s\": the path is too long", name);
        return false;
    }
    for (char *slash = path + strlen(job->directory) + 1; (slash = strchr(slash, '/')) != NULL;
         slash++) {
        *slash = '\0';
        int made = mkdir(path, 0777);
        *slash = '/';
        if (made != 0 && errno != EEXIST) {
            cli_error(job->cli, SGN_ERR_IO, "%s: %s", path, strerror(errno));
            return false;
        }
    }
    FILE *file = fopen(path, "we");
    bool good = file != NULL && fwrite(value.ptr, 1, value.count, file) == value.count;
    good = file != NULL && fclose(file) == 0 && good;
    if (!good) {
        cli_error(job->cli, SGN_ERR_IO, "%s: %s", path, strerror(errno));
    }
    return good;
}

static bool write_value(struct export *job, const struct bulk_item *item)
{
    struct sgn_bytes value = sgn_request_value(item->request);
    struct sgn_bytes key = {item->key, item->key_count};
    job->siblings += sgn_request_sibling_count(item->request) > 1;
    job->bulk.bar.bytes += value.count;
    job->written++;
    if (job->target == TO_FILES) {
        return write_file(job, key, value);
    }
    if (job->target == TO_LINES) {
        (void)fwrite(value.ptr, 1, value.count, job->out);
        (void)fputc('\n', job->out);
    } else {
        (void)fputc('{', job->out);
        cli_json_bytes(job->out, "key", key);
        (void)fputc(',', job->out);
        cli_json_bytes(job->out, "value", value);
        (void)fputs("}\n", job->out);
    }
    if (ferror(job->out)) {
        cli_error(job->cli, SGN_ERR_IO, "writing the export: %s", strerror(errno));
        return false;
    }
    return true;
}

/* Fetches and writes the page's keys, a window of them at a time, in order. */
static int export_page(struct export *job, const struct sgn_request *page)
{
    uint32_t count = sgn_request_item_count(page);
    for (uint32_t from = 0; from < count; from += job->bulk.count) {
        uint32_t window = count - from < job->bulk.count ? count - from : job->bulk.count;
        for (uint32_t i = 0; i < window; i++) {
            struct bulk_item *item = &job->bulk.items[i];
            struct sgn_item_info info = {.struct_bytes = sizeof(info)};
            (void)sgn_request_item(page, from + i, &info);
            memcpy(item->key, info.key.ptr, info.key.count);
            item->key_count = info.key.count;
            (void)pthread_mutex_lock(&job->bulk.lock);
            job->bulk.busy++;
            (void)pthread_mutex_unlock(&job->bulk.lock);
            (void)sgn_request_wait(item->request); /* For the last callback to return. */
            sgn_request_get(
                item->request, job->bucket, (struct sgn_bytes){item->key, item->key_count});
            bulk_start(&job->bulk, item);
        }
        bulk_finish(&job->bulk);
        for (uint32_t i = 0; i < window; i++) {
            struct bulk_item *item = &job->bulk.items[i];
            (void)sgn_request_wait(item->request);
            if (item->err == SGN_OK && !write_value(job, item)) {
                return CLI_FAILED;
            }
        }
        job->bulk.bar.done = job->written;
        cli_progress_draw(&job->bulk.bar);
    }
    return CLI_DONE;
}

static int export_all(struct export *job)
{
    struct sgn_request *page = cli_request(job->cli);
    char after[SGN_LIMIT_KEY_BYTES];
    size_t after_count = 0;
    int status = page == NULL ? CLI_FAILED : CLI_DONE;
    for (bool end = false; !end && status == CLI_DONE;) {
        sgn_request_list(page, job->bucket, job->prefix);
        cli_apply(job->cli, page);
        sgn_request_set_list_after(page, (struct sgn_bytes){after, after_count});
        if (sgn_request_run(page) != SGN_OK) {
            status = cli_request_failed(job->cli, page);
            break;
        }
        status = export_page(job, page);
        end = sgn_request_list_end(page) == 1;
        struct sgn_bytes next = sgn_request_list_after(page);
        after_count = next.count;
        if (next.count > 0) {
            memcpy(after, next.ptr, next.count);
        }
    }
    sgn_request_destroy(page);
    return status != CLI_DONE ? status : job->bulk.failed > 0 ? job->bulk.first_exit : CLI_DONE;
}

static bool open_target(struct export *job, const char *to, const char *format)
{
    struct stat status;
    bool is_directory = stat(to, &status) == 0 && S_ISDIR(status.st_mode);
    format = format == NULL ? (is_directory ? "files" : "jsonl") : format;
    if (strcmp(format, "lines") == 0 || strcmp(format, "jsonl") == 0) {
        job->target = format[0] == 'l' ? TO_LINES : TO_JSONL;
        job->out = strcmp(to, "-") == 0 ? stdout : fopen(to, "we");
        if (job->out == NULL) {
            cli_error(job->cli, SGN_ERR_INVALID, "%s: %s", to, strerror(errno));
        }
        return job->out != NULL;
    }
    if (strcmp(format, "files") != 0) {
        cli_error(
            job->cli, SGN_ERR_INVALID, "--format takes lines, files or jsonl, not \"%s\"", format);
        return false;
    }
    job->target = TO_FILES;
    job->directory = to;
    if (!is_directory && mkdir(to, 0777) != 0) {
        cli_error(job->cli, SGN_ERR_INVALID, "%s: %s", to, strerror(errno));
        return false;
    }
    return true;
}

static int list_one(const struct export *job, struct sgn_request *request)
{
    sgn_request_list(request, job->bucket, job->prefix);
    cli_apply(job->cli, request);
    sgn_request_set_list_limit(request, 1);
    return sgn_request_run(request);
}

/* Whether the bucket can be listed: asked before a file that may be there already is emptied. What
 * one replica lacks yet must not be missing in the copy, so unless --read says otherwise the export
 * is strong where the bucket can be read so. */
static int bucket_is_there(struct export *job)
{
    struct cli *cli = job->cli;
    struct sgn_request *request = cli_connect(cli) ? cli_request(cli) : NULL;
    if (request == NULL) {
        return CLI_FAILED;
    }
    bool chosen = cli->has_read;
    if (!chosen) {
        cli->has_read = true;
        cli->read = SGN_READ_STRONG;
    }
    int err = list_one(job, request);
    if (!chosen && err == SGN_ERR_NOT_STRONG) {
        cli->read = SGN_READ_EVENTUAL;
        err = list_one(job, request);
    }
    int status = err == SGN_OK ? CLI_DONE : cli_request_failed(job->cli, request);
    sgn_request_destroy(request);
    return status;
}

static void print_summary(const struct cli *cli, const struct export *job)
{
    double seconds = (double)(cli_now_ms() - job->bulk.bar.began_ms) / 1000.0 + 0.001;
    if (cli->format == CLI_JSON) { /* To stderr when stdout has the data. */
        (void)fprintf(job->out == stdout ? stderr : stdout,
                      "{\"schema\":1,\"written\":%llu,\"failed\":%llu,\"bytes\":%llu,"
                      "\"with_siblings\":%llu,\"seconds\":%.3f}\n",
                      (unsigned long long)job->written,
                      (unsigned long long)job->bulk.failed,
                      (unsigned long long)job->bulk.bar.bytes,
                      (unsigned long long)job->siblings,
                      seconds);
    } else if (!cli->quiet) {
        (void)fprintf(stderr,
                      "wrote %llu keys, %s, in %.1f s (%.0f/s)%s\n",
                      (unsigned long long)job->written,
                      cli_size(job->bulk.bar.bytes),
                      seconds,
                      (double)job->written / seconds,
                      job->siblings > 0 ? "; some have concurrent values, the newest was written"
                                        : "");
    }
}

static int export_run(struct cli *cli, const struct cli_call *call)
{
    uint32_t parallel = 64;
    struct export job = {.cli = cli};
    if (!cli_flag_number(call, "--parallel", 1, BULK_PARALLEL_MAX, &parallel)) {
        return CLI_USAGE;
    }
    cli_split_key(call->args[0], &job.bucket, &job.prefix);
    if (strchr(call->args[0], '/') == NULL) { /* A bare word names a bucket here. */
        job.bucket = sgn_text(call->args[0]);
        job.prefix = sgn_text("");
    }
    int status = bucket_is_there(&job);
    if (status != CLI_DONE) {
        return status;
    }
    if (!open_target(&job, call->args[1], cli_flag(call, "--format"))) {
        return CLI_USAGE;
    }
    if (!bulk_init(&job.bulk, cli, parallel, "export")) {
        return CLI_FAILED;
    }
    job.bulk.keep = true;
    status = export_all(&job);
    cli_progress_end(&job.bulk.bar);
    if (job.out != NULL && job.out != stdout && fclose(job.out) != 0 && status == CLI_DONE) {
        cli_error(cli, SGN_ERR_IO, "%s: %s", call->args[1], strerror(errno));
        status = CLI_FAILED;
    }
    print_summary(cli, &job);
    bulk_clear(&job.bulk);
    return status;
}

int cli_export(struct cli *cli, const struct cli_call *call)
{
    const struct cli before = *cli;
    int status = export_run(cli, call);
    cli->has_read = before.has_read; /* A shell goes on with what it was given. */
    cli->read = before.read;
    return status;
}
