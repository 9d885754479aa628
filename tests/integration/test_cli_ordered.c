/* kv-cli on ordered buckets, against made-up nodes: every command and option of strong mode, what
 * it prints in each form, and its exit code, with outcomes that a real ring gives only in bad
 * nights. Plain main; SGN_KV_CLI is the program's path. */
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/fake_nodes.h"
#include "tests/lib/fake_ordered.h"

#define OUT_BYTES 16384u

static char output[OUT_BYTES]; /* Of the last command: stdout and stderr. */
static uint32_t command_count;

/* Runs `kv-cli ...` by the shell; returns its exit code. */
static int run(const char *format, ...)
{
    char words[3000];
    char line[4000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof(words), format, arguments);
    va_end(arguments);
    snprintf(line, sizeof(line), "%s %s 2>&1 </dev/null", SGN_KV_CLI, words);
    FILE *pipe = popen(line, "r"); /* NOLINT(cert-env33-c): a shell is what is meant. */
    CHECK(pipe != NULL);
    size_t count = fread(output, 1, sizeof(output) - 1, pipe);
    output[count] = '\0';
    int status = pclose(pipe);
    CHECK(WIFEXITED(status));
    command_count++;
    return WEXITSTATUS(status);
}

#define EXPECT(code, text, ...)                                                                    \
    do {                                                                                           \
        int code_ = run(__VA_ARGS__);                                                              \
        if (code_ != (code) || strstr(output, (text)) == NULL) {                                   \
            fprintf(stderr,                                                                        \
                    "FAILED %s:%d: exit %d, wanted %d and \"%s\" in:\n%s\n",                       \
                    __FILE__,                                                                      \
                    __LINE__,                                                                      \
                    code_,                                                                         \
                    code,                                                                          \
                    text,                                                                          \
                    output);                                                                       \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* The word behind `before` in the output. */
static void word_behind(const char *before, char *word, size_t bytes)
{
    const char *at = strstr(output, before);
    CHECK(at != NULL);
    at += strlen(before);
    snprintf(word, bytes, "%.*s", (int)strcspn(at, " \n\""), at);
    CHECK(word[0] != '\0');
}

static void test_conditions(void)
{
    char first[SGN_KEY_VERSION_TEXT_BYTES];
    char second[SGN_KEY_VERSION_TEXT_BYTES];
    EXPECT(3, "no such key", "get strict/c");
    EXPECT(3, "\"version\":\"0-0.0.0.0\"", "-o json get strict/c");
    EXPECT(0, "1-", "put strict/c one --if-absent");
    word_behind("", first, sizeof(first));
    EXPECT(4, "the key's version is 1-", "put strict/c two --if-absent");
    EXPECT(4, first, "-o json put strict/c two --if-absent");
    CHECK(strstr(output, "\"name\":\"SGN_ERR_CONDITION\"") != NULL);
    EXPECT(0, "2-", "put strict/c two --if-version %s", first);
    word_behind("", second, sizeof(second));
    EXPECT(4, second, "put strict/c three --if-version %s", first);
    EXPECT(4, second, "del strict/c --if-version %s", first);
    EXPECT(4, "0-0.0.0.0", "put strict/another x --if-version %s", second);
    EXPECT(0, "\"version\":\"3-", "-o json put strict/c three --if-version %s", second);
    EXPECT(0, "three", "get strict/c");
    EXPECT(0, "  version  3-", "-o table stat strict/c");
    CHECK(strstr(output, "context") == NULL && strstr(output, "5 bytes") != NULL);
    EXPECT(0, "version 3-", "-o table get strict/c --all");
    word_behind("version ", first, sizeof(first));
    EXPECT(0, "\"deleted\":true", "-o json del strict/c --if-version %s", first);
    EXPECT(0, "nothing to delete", "del strict/c");
    EXPECT(0, "\"deleted\":false", "-o json del strict/c");
    EXPECT(0, "", "put strict/c four");
    EXPECT(0, "\"deleted\":true", "-o json del strict/c");

    EXPECT(2, "is not a version", "put strict/c x --if-version 17");
    EXPECT(2, "is not a version", "del strict/c --if-version 1-1");
    EXPECT(2, "not more", "put strict/c x --if-absent --if-version 1-1.1.1.0");
    EXPECT(2, "not more", "put strict/c x --if-absent --context none");
    EXPECT(1, "conditional writes need an ordered bucket", "put loose/c x --if-absent");
    EXPECT(1, "SGN_ERR_NOT_ORDERED", "-o json del loose/c --if-version 1-1.1.1.0");
}

static void test_reads(void)
{
    char version[SGN_KEY_VERSION_TEXT_BYTES];
    EXPECT(0, "1-", "put strict/r hello --if-absent");
    word_behind("", version, sizeof(version));
    EXPECT(0, "hello", "get strict/r --read strong");
    CHECK(atomic_load(&fake_read_mode) == SGN_READ_STRONG);
    EXPECT(0, "hello", "--read=session get strict/r");
    CHECK(atomic_load(&fake_read_mode) == SGN_READ_SESSION);
    EXPECT(0, "hello", "get strict/r");
    CHECK(atomic_load(&fake_read_mode) == SGN_READ_EVENTUAL);
    CHECK(setenv("SIGNET_READ", "strong", 1) == 0); /* The client's own default. */
    EXPECT(0, "hello", "get strict/r");
    CHECK(atomic_load(&fake_read_mode) == SGN_READ_STRONG);
    EXPECT(0, "r\n", "list strict/r");
    CHECK(atomic_load(&fake_read_mode) == SGN_READ_STRONG);
    CHECK(unsetenv("SIGNET_READ") == 0);
    EXPECT(0, "hello", "get strict/r --at-least %s", version);
    CHECK(atomic_load(&fake_read_mode) == SGN_READ_SESSION);
    EXPECT(7, "", "--timeout 200ms get strict/r --at-least 99-1.1.1.0");
    EXPECT(2, "is not a version", "get strict/r --at-least hello");
    EXPECT(2, "leave --read out", "get strict/r --at-least %s --read strong", version);
    EXPECT(1, "strong reads need an ordered bucket", "get loose/r --read strong");
    EXPECT(0, "", "get strict/r --version-out /tmp/sgn-version-%d", (int)getpid());
    EXPECT(0, "2-", "put strict/r two --if-version $(cat /tmp/sgn-version-%d)", (int)getpid());
    EXPECT(0, "r\n", "list strict/r; rm /tmp/sgn-version-%d", (int)getpid());

    EXPECT(0, "path       fast", "get strict/r --read strong --explain");
    CHECK(strstr(output, "witnesses  id 1, answer none") != NULL);
    CHECK(strstr(output, "us         check 120, read 30") != NULL);
    CHECK(strstr(output, "copies read") != NULL);
    EXPECT(0, "\"server\":{\"path\":\"fast\"", "-o json get strict/r --explain");
    EXPECT(0, "\"receipt\":{\"node\":", "-o json put strict/r three --explain");
    CHECK(strstr(output, "\"server\":null") != NULL);
}

static void test_tokens(void)
{
    static char token[2000];
    all_told(SWALLOW, 0);
    EXPECT(5, "stat --token t1-", "--timeout 300ms put strict/t one --if-absent");
    all_told(ANSWER, 0);
    word_behind("--token ", token, sizeof(token));
    EXPECT(0, "applied 1-", "stat --token %s", token);
    EXPECT(0, "\"outcome\":\"applied\",\"version\":\"1-", "-o json stat --token=%s", token);
    all_told(SWALLOW, 0);
    EXPECT(5, "\"token\":\"t1-", "-o json --timeout 300ms put strict/t two --if-absent");
    all_told(ANSWER, 0);
    word_behind("\"token\":\"", token, sizeof(token));
    EXPECT(4, "rejected 1-", "stat --token %s", token);
    all_told(ANSWER_UNKNOWN, 0);
    EXPECT(5, "stat --token t1-", "--timeout 300ms del strict/t --if-version 1-1.1.1.0");
    all_told(ANSWER, 0);
    word_behind("--token ", token, sizeof(token));
    EXPECT(1, "void\n", "stat --token %s", token);
    EXPECT(5, "stat --token t1-", "--timeout 300ms put strict/" FAKE_SPENT_KEY " x");
    word_behind("--token ", token, sizeof(token));
    EXPECT(5, "unknown\n", "stat --token %s", token);
    EXPECT(2, "the token is not one", "stat --token t1-xyz");
    EXPECT(2, "use: kv-cli stat", "stat");
    EXPECT(2, "use: kv-cli stat", "stat strict/t --token %s", token);

    all_told(ANSWER_FENCED, 0);
    EXPECT(7, "told to refuse", "put strict/t x");
    CHECK(strstr(output, "token") == NULL);
    all_told(ANSWER, 0);
}

static void test_ring(void)
{
    EXPECT(0, "witness 1\n", "ring witness add 127.0.0.1:9001");
    CHECK(strstr(output, "signet-witness --id 1 --ring testring --listen 127.0.0.1:9001") != NULL);
    EXPECT(0, "\"witness\":2", "-o json ring witness add 127.0.0.1:9002");
    EXPECT(0, "witness 2  127.0.0.1:9002", "ring witness list");
    EXPECT(0, "{\"witness\":1,\"address\":\"127.0.0.1:9001\"", "-o json ring witness list");
    EXPECT(0, "map version 9: 64 partitions, groups of 3 wanted, 2 witnesses", "ring show");
    CHECK(strstr(output, "64 with a smaller one") != NULL);
    CHECK(strstr(output, "    3  epoch 9  nodes 1 2(catching_up) 3(out)  witnesses 1  1 fences") !=
          NULL);
    CHECK(strstr(output, "    4  epoch") == NULL);
    EXPECT(0, "    4  epoch 2", "ring show --map");
    EXPECT(0, "\"catching_up\":1,\"out\":1,\"fenced\":1", "-o json ring show");
    CHECK(strstr(output, "{\"node\":3,\"state\":\"out\",\"new\":true,\"old\":false,\"") != NULL);
    EXPECT(0, "", "ring witness drop 2");
    CHECK(atomic_load(&fake_map_change) == 2);
    EXPECT(0, "\"group_size\":1", "-o json ring group-size 1");
    CHECK(atomic_load(&fake_map_what) == 1);
    EXPECT(2, "old values", "ring force-fence --partition 4");
    CHECK(atomic_load(&fake_map_change) == 4); /* Nothing was sent. */
    EXPECT(0, "", "ring force-fence --partition 4 --yes");
    CHECK(atomic_load(&fake_map_change) == 3 && atomic_load(&fake_map_what) == 4);
    EXPECT(0, "\"forced\"", "-o json ring force-fence --yes");
    CHECK(atomic_load(&fake_map_what) == UINT64_MAX);
    EXPECT(2, "use: kv-cli ring", "ring witness add");
    EXPECT(2, "use: kv-cli ring", "ring witness drop two");
    EXPECT(2, "use: kv-cli ring", "ring wetness list");
    EXPECT(0, "64 partitions", "ring");
}

static void test_status(void)
{
    atomic_store(&fake_statuses,
                 "{\"verdict\":\"healthy\",\"map_version\":9,\"fast_path\":\"on\",\"witnesses\":["
                 "{\"id\":1073741825,\"address\":\"127.0.0.1:9001\",\"up\":true,\"incarnation\":7,"
                 "\"version\":9,\"warming\":0,\"dropped\":0},"
                 "{\"id\":2,\"address\":\"127.0.0.1:9002\",\"up\":true,\"incarnation\":7,"
                 "\"version\":9,\"warming\":5,\"dropped\":0}]}");
    EXPECT(0, "healthy: 3 of 3 nodes up\n", "-o table status");
    CHECK(strstr(output, "UP          1  127.0.0.1:9001") != NULL);
    CHECK(strstr(output, "map version 9, fast strong reads: on") != NULL);
    EXPECT(0, "\"fast_path\":\"on\",\"witnesses\":[{\"id\":1,", "-o json status");
    CHECK(strstr(output, "\"warming\":5,\"dropped\":0}]") != NULL);
    atomic_store(&fake_statuses,
                 "{\"verdict\":\"healthy\",\"map_version\":9,\"fast_path\":\"partly\","
                 "\"witnesses\":[{\"id\":1,\"address\":\"127.0.0.1:9001\",\"up\":true,"
                 "\"incarnation\":7,\"version\":9,\"warming\":0,\"dropped\":4}]}");
    EXPECT(0, "memory limit in 4 partitions", "-o table status");
    CHECK(strstr(output, "degraded") != NULL && strstr(output, "reads: partly") != NULL);
    atomic_store(&fake_statuses,
                 "{\"verdict\":\"healthy\",\"map_version\":9,\"fast_path\":\"off\","
                 "\"witnesses\":[{\"id\":1,\"address\":\"127.0.0.1:9001\",\"up\":false,"
                 "\"incarnation\":7,\"version\":0,\"warming\":0,\"dropped\":0}]}");
    EXPECT(0, "degraded: 3 of 3 nodes up; no witness is up", "-o table status");
    CHECK(strstr(output, "DOWN ") != NULL);
    EXPECT(0, "\"up\":false,\"up_by\":0,\"seen_by\":3", "-o json status");
    atomic_store(&fake_statuses, "{\"verdict\":\"healthy\"}");
    EXPECT(0, "healthy: 3 of 3 nodes up\n", "-o table status");
    CHECK(strstr(output, "witness") == NULL); /* A ring without any has nothing to say of them. */
    atomic_store(&fake_statuses, NULL);
}

static void test_help(void)
{
    EXPECT(0, "--if-version", "help put");
    EXPECT(0, "--at-least", "help get");
    EXPECT(0, "force-fence", "help ring");
    EXPECT(0, "default: ordered", "help bucket");
    EXPECT(0, "--if-absent\n", "__complete put strict/k --if-a");
    EXPECT(0, "witness\n", "__complete ring wit");
    EXPECT(0, "drop\n", "__complete ring witness d");
    EXPECT(0, "if\\-version", "__man");
}

int main(void)
{
    char seeds[256];
    fakes_up();
    snprintf(seeds, sizeof(seeds), "%s,%s", fakes[0].address, fakes[1].address);
    CHECK(setenv("SIGNET_SEEDS", seeds, 1) == 0);
    CHECK(setenv("SIGNET_CLI_CONFIG", "/nonexistent", 1) == 0);
    CHECK(setenv("SIGNET_HEDGE_PERCENT", "0", 1) == 0);
    test_conditions();
    test_reads();
    test_tokens();
    test_ring();
    test_status();
    test_help();
    fakes_down();
    printf("6 groups of kv-cli tests on ordered buckets passed, %u commands\n", command_count);
    return 0;
}
