/* What a start finds in its directory, and what it makes of it. */
#include <sys/wait.h>

#include "tests/lib/store_fixture.h"
#include "tests/lib/store_raw.h"

TestSuite(store_open, .init = setup, .fini = teardown);

Test(store_open, identity_over_restarts)
{
    struct sgn_store *store = open_good();
    struct sgn_store_identity first = sgn_store_identity(store);
    cr_assert(first.is_new && first.was_clean);
    cr_assert(first.incarnation > 0 && first.incarnation <= UINT32_C(1) << 30);
    uint32_t home = first.home_generation;
    uint32_t guest_first = first.guest_generation;
    cr_assert(home > 0 && home <= UINT32_C(1) << 30);
    cr_assert(guest_first > SGN_STORE_GUEST_BIT);
    cr_assert(guest_first <= (SGN_STORE_GUEST_BIT | UINT32_C(1) << 30));
    cr_assert_eq(sgn_store_close(store), SGN_OK);

    store = open_good(); /* After a clean stop. */
    struct sgn_store_identity now = sgn_store_identity(store);
    cr_assert(!now.is_new && now.was_clean);
    cr_assert_eq(now.store_id, first.store_id);
    cr_assert_eq(now.incarnation, first.incarnation + 1);
    cr_assert_eq(now.home_generation, home);
    cr_assert_eq(now.guest_generation, guest_first);
    uint8_t guest[4] = {9, 0, 0, 0x80}; /* The engine raises its guest actor by itself. */
    cr_assert_eq(put_one(store, SGN_FAMILY_META, text("guest"), sgn_bytes_of(guest, 4)), SGN_OK);
    cr_assert_eq(sgn_store_close(store), SGN_OK);

    pid_t pid = fork(); /* After a stop that was none. */
    if (pid == 0) {
        struct sgn_store *child = open_good();
        _exit(sgn_store_identity(child).guest_generation == (SGN_STORE_GUEST_BIT | 9) ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    store = open_good();
    now = sgn_store_identity(store);
    cr_assert(!now.was_clean);
    cr_assert_eq(now.store_id, first.store_id);
    cr_assert_eq(now.incarnation, first.incarnation + 3);
    cr_assert_eq(now.home_generation, home + 1);
    cr_assert_eq(now.guest_generation, SGN_STORE_GUEST_BIT | 10);
    cr_assert_eq(sgn_store_close(store), SGN_OK);

    struct sgn_store_options options = options_of("unit", 3);
    options.raise_home_generation = true;
    cr_assert_eq(sgn_store_open(&store, &options, error, sizeof(error)), SGN_OK);
    cr_assert_eq(sgn_store_identity(store).home_generation, home + 2);
    uint8_t raised[4]; /* The engine raises its home actor too, and goes on from there. */
    struct sgn_sink sink = sgn_sink_of(raised, sizeof(raised));
    sgn_sink_uint(&sink, home + 7, 4);
    cr_assert_eq(put_one(store, SGN_FAMILY_META, text("home"), sgn_sink_bytes(&sink)), SGN_OK);
    cr_assert_eq(sgn_store_close(store), SGN_OK);
    store = open_good();
    cr_assert_eq(sgn_store_identity(store).home_generation, home + 7);
    cr_assert_eq(sgn_store_close(store), SGN_OK);

    teardown(); /* The disk is lost; the node starts again under its id. */
    setup();
    store = open_good();
    now = sgn_store_identity(store);
    cr_assert(now.is_new && now.store_id != first.store_id);
    cr_assert(now.incarnation < first.incarnation || now.incarnation > first.incarnation + 9);
    cr_assert(now.home_generation < home || now.home_generation > home + 7);
    cr_assert_neq(now.guest_generation, guest_first);
    cr_assert_eq(sgn_store_close(store), SGN_OK);
}

/* Spoils the last byte of the longest log: within the last record. */
static void log_spoil(void)
{
    char command[512];
    snprintf(command,
             sizeof(command),
             "cd '%s' && f=$(ls -S *.log | head -1) && n=$(stat -c %%s $f) && "
             "printf X | dd of=$f bs=1 seek=$((n - 1)) conv=notrunc status=none",
             directory);
    cr_assert_eq(system(command), 0);
}

Test(store_open, garbage_at_the_end_of_the_log)
{
    struct sgn_store *store = open_good();
    uint32_t home = sgn_store_identity(store).home_generation;
    cr_assert_eq(sgn_store_close(store), SGN_OK);
    pid_t pid = fork();
    if (pid == 0) {
        struct sgn_store *child = open_good();
        bool good = sgn_store_identity(child).home_generation == home &&
                    put_one(child, SGN_FAMILY_DATA, text("1"), text("a")) == SGN_OK &&
                    put_one(child, SGN_FAMILY_DATA, text("2"), text("b")) == SGN_OK;
        _exit(good ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    log_spoil();
    store = open_good();
    cr_assert(sgn_store_identity(store).log_was_cut);
    cr_assert_eq(sgn_store_identity(store).home_generation, home + 1);
    struct sgn_store_value value;
    cr_assert_eq(sgn_store_get(store, SGN_FAMILY_DATA, text("1"), &value), SGN_OK);
    sgn_store_value_release(&value);
    cr_assert_eq(sgn_store_get(store, SGN_FAMILY_DATA, text("2"), &value), SGN_ERR_NOT_FOUND);
    cr_assert_eq(sgn_store_close(store), SGN_OK);
    store = open_good();
    cr_assert(!sgn_store_identity(store).log_was_cut);
    cr_assert_eq(sgn_store_close(store), SGN_OK);
}

static void spoil(const char *family, struct sgn_bytes key, struct sgn_bytes raw, bool add_family)
{
    char *message = raw_put(directory, family, key, raw, add_family);
    cr_assert_null(message, "%s", message);
}

Test(store_open, refused_directories)
{
    struct sgn_store *store = open_good();
    struct sgn_store_options options = options_of("unit", 3);
    uint32_t incarnation = sgn_store_identity(store).incarnation;
    cr_assert_eq(open_bad(&options), SGN_ERR_IN_USE);
    pid_t pid = fork();
    if (pid == 0) {
        struct sgn_store *other;
        _exit(sgn_store_open(&other, &options, error, sizeof(error)) == SGN_ERR_IN_USE ? 0 : 1);
    }
    int status;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0, "a second process got in");
    cr_assert_eq(sgn_store_close(store), SGN_OK);

    options = options_of("other", 3);
    cr_assert_eq(open_bad(&options), SGN_ERR_WRONG_RING);
    cr_assert_not_null(strstr(error, "'unit'"), "%s", error);
    options = options_of("unit", 4);
    cr_assert_eq(open_bad(&options), SGN_ERR_WRONG_RING);
    options = options_of("", 3);
    cr_assert_eq(open_bad(&options), SGN_ERR_INVALID);
    options = options_of("unit", 3);
    options.directory = "/tmp/no-such-parent-of-a-store/x";
    cr_assert_eq(open_bad(&options), SGN_ERR_IO);

    store = open_good(); /* The refusals changed nothing. */
    cr_assert_eq(sgn_store_identity(store).incarnation, incarnation + 1);
    cr_assert(sgn_store_identity(store).was_clean);
    cr_assert_eq(sgn_store_close(store), SGN_OK);

    /* A newer format: a number in the identity, or a family unknown here. */
    char *message = raw_put_format(directory, SGN_STORE_FORMAT + 1);
    cr_assert_null(message, "%s", message);
    options = options_of("unit", 3);
    cr_assert_eq(open_bad(&options), SGN_ERR_FORMAT);
    cr_assert_not_null(strstr(error, "newer"), "%s", error);
    /* An older one. */
    message = raw_put_format(directory, SGN_STORE_FORMAT - 1);
    cr_assert_null(message, "%s", message);
    cr_assert_eq(open_bad(&options), SGN_ERR_FORMAT);
    cr_assert_not_null(strstr(error, "export it"), "%s", error);
    /* With a wrong checksum it is damaged, not new. */
    spoil("meta", sgn_bytes_of("\0identity", 9), sgn_bytes_of("\3\0\0\0new\1\2\3\4", 11), false);
    cr_assert_eq(open_bad(&options), SGN_ERR_CORRUPT);
    spoil("none", text(""), text(""), true);
    cr_assert_eq(open_bad(&options), SGN_ERR_FORMAT);

    teardown(); /* A directory of something else stays as it is. */
    setup();
    char path[128];
    snprintf(path, sizeof(path), "%s/letter.txt", directory);
    fclose(fopen(path, "w"));
    options = options_of("unit", 3);
    cr_assert_eq(open_bad(&options), SGN_ERR_INVALID);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(rmdir(directory), 0, "something was left in it");
}

Test(store_open, corrupt_records)
{
    struct sgn_store *store = open_good();
    uint32_t home = sgn_store_identity(store).home_generation;
    cr_assert_eq(put_one(store, SGN_FAMILY_DATA, text("bad"), text("value")), SGN_OK);
    cr_assert_eq(put_one(store, SGN_FAMILY_DATA, text("good"), text("value")), SGN_OK);
    cr_assert_eq(sgn_store_close(store), SGN_OK);
    spoil("data", text("bad"), sgn_bytes_of("valuf\1\2\3\4", 9), false);
    spoil("data", text("short"), text("v"), false);

    store = open_good();
    struct sgn_store_value value;
    cr_assert_eq(sgn_store_get(store, SGN_FAMILY_DATA, text("bad"), &value), SGN_ERR_CORRUPT);
    cr_assert_eq(sgn_store_get(store, SGN_FAMILY_DATA, text("short"), &value), SGN_ERR_CORRUPT);
    cr_assert_eq(sgn_store_get_async(store, 1, SGN_FAMILY_DATA, text("bad")), SGN_OK);
    struct sgn_store_done done = next_done(store);
    cr_assert_eq(done.err, SGN_ERR_CORRUPT);
    sgn_store_done_release(&done);
    struct sgn_scan scan = {
        .family = SGN_FAMILY_DATA, .items_max = 9, .examined_max = 9, .bytes_max = 1000};
    cr_assert_eq(sgn_store_scan(store, &scan, 0, &done), SGN_OK);
    cr_assert_eq(done.item_count, 1);
    cr_assert_eq(done.corrupt, 2);
    cr_assert(done.end);
    sgn_store_done_release(&done);
    struct sgn_store_stats stats;
    sgn_store_stats(store, &stats);
    cr_assert_eq(stats.corrupt, 5);
    /* Corruption seen: not a clean stop, so the actors get new names. */
    cr_assert_eq(sgn_store_close(store), SGN_ERR_CORRUPT);
    store = open_good();
    cr_assert(!sgn_store_identity(store).was_clean);
    cr_assert_eq(sgn_store_identity(store).home_generation, home + 1);
    cr_assert_eq(sgn_store_close(store), SGN_OK);
}
