/* kv-cli on a terminal: the shell with prompt, completion and history, the progress bar, and the
 * completion script in a real bash. The terminal is a pseudo-terminal that this program holds.
 *
 * usage: test_shell, with the paths of kv-cli and signet-node compiled in. */
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS    20000 /* For one answer; a sanitizer build on a busy machine is slow. */
#define SEEN_BYTES (256u << 10)

static char folder[] = "/tmp/signet-shell-XXXXXX";
static uint32_t passed;
static uint32_t failed;

struct terminal {
    pid_t pid;
    int fd;
    size_t count; /* Of seen; all that was printed so far. */
    size_t from;  /* Where the next look begins. */
    char seen[SEEN_BYTES];
};

static struct terminal terminal; /* Too large for a stack. */

static bool check(bool holds, const char *what)
{
    passed += holds;
    failed += !holds;
    if (!holds) {
        (void)printf("FAILED %s; on the terminal since the last look:\n%s\n",
                     what,
                     terminal.seen + terminal.from);
    }
    return holds;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void begin(const char *program, const char *const *arguments)
{
    terminal = (struct terminal){0};
    struct winsize size = {.ws_row = 24, .ws_col = 100};
    terminal.pid = forkpty(&terminal.fd, NULL, NULL, &size);
    if (terminal.pid == 0) {
        (void)execv(program, (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
}

/* Reads more of what the program prints. False when it has ended, or there was nothing in time. */
static bool read_more(int wait_ms)
{
    struct pollfd ready = {.fd = terminal.fd, .events = POLLIN};
    if (terminal.count + 1 >= SEEN_BYTES || poll(&ready, 1, wait_ms) <= 0) {
        return false;
    }
    char *to = terminal.seen + terminal.count;
    ssize_t count = read(terminal.fd, to, SEEN_BYTES - 1 - terminal.count);
    for (ssize_t i = 0; i < count; i++) {
        to[i] = (char)(to[i] == '\0' ? ' ' : to[i]); /* So that it stays text. */
    }
    terminal.count += count > 0 ? (size_t)count : 0;
    return count > 0;
}

/* Waits until the text is printed; the next look begins behind it. */
static bool sees(const char *text)
{
    uint64_t until = now_ms() + WAIT_MS;
    for (;;) {
        char *at = strstr(terminal.seen + terminal.from, text);
        if (at != NULL) {
            terminal.from = (size_t)(at - terminal.seen) + strlen(text);
            return true;
        }
        uint64_t now = now_ms();
        if (now >= until || !read_more((int)(until - now))) {
            return false;
        }
    }
}

static void types(const char *text)
{
    if (write(terminal.fd, text, strlen(text)) != (ssize_t)strlen(text)) {
        (void)check(false, "typing");
    }
}

/* Reads to the end and returns the exit code; kills what does not end. */
static int ends(void)
{
    int status = 0;
    uint64_t until = now_ms() + WAIT_MS;
    while (waitpid(terminal.pid, &status, WNOHANG) == 0) {
        if (now_ms() > until) {
            (void)kill(terminal.pid, SIGKILL);
        }
        (void)read_more(20);
    }
    while (read_more(0)) { /* What it printed last. */
    }
    (void)close(terminal.fd);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Runs a line of sh; its exit code. */
static int runs(const char *line)
{
    int status = system(line);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool ring_up(void)
{
    if (runs(SGN_KV_CLI " local up --dir \"$SGN_FOLDER/ring\" --partitions 32 >/dev/null") != 0) {
        return false;
    }
    FILE *pipe =
        popen(SGN_KV_CLI " -o json local status --dir \"$SGN_FOLDER/ring\" |"
                         " sed -n 's/.*\"listen\":\"\\([0-9.:]*\\)\".*/\\1/p' | paste -sd,",
              "r");
    char seeds[256] = "";
    bool good = pipe != NULL && fgets(seeds, sizeof(seeds), pipe) != NULL;
    seeds[strcspn(seeds, "\n")] = '\0';
    return pipe != NULL && pclose(pipe) == 0 && good && setenv("SIGNET_SEEDS", seeds, 1) == 0;
}

static void test_shell(void)
{
    static const char *const words[] = {SGN_KV_CLI, NULL};
    char path[128];
    struct stat history;
    begin(SGN_KV_CLI, words);
    (void)check(sees("signet> "), "a prompt without a command");
    types("put shell/greeting \"two words\"\r");
    (void)check(sees("no such bucket") && sees("signet> "), "an error and a second prompt");
    types("get greeting-not-there\r");
    (void)check(sees("no such key"), "an error, and the shell goes on");
    types("put greeting \"two words\"\r");
    types("get greeting --read strong\r");
    (void)check(sees("two words\r\n"), "what was put");
    types("vers\t");
    (void)check(sees("ion"), "the rest of a command by Tab");
    types("\r");
    (void)check(sees("libsignet"), "the completed command runs");
    types("nonsense\r");
    (void)check(sees("no command"), "an unknown command");
    (void)check(sees("signet> "), "a prompt again"); /* Before that the terminal takes the key. */
    (void)read_more(500);
    types("\x04");
    (void)check(ends() == 0, "Ctrl-D ends with 0");
    (void)snprintf(path, sizeof(path), "%s/state/signet/history", folder);
    (void)check(stat(path, &history) == 0 && (history.st_mode & 0777) == 0600,
                "a history file for its user only");
    begin(SGN_KV_CLI, words);
    (void)check(sees("signet> "), "a shell again");
    types("\x10\x10"); /* Two lines up: "nonsense" was the last, "version" the one before. */
    (void)check(sees("version"), "the history of the shell before");
    types("\r");
    (void)check(sees("libsignet"), "a line of it runs");
    types("exit\r");
    (void)check(ends() == 0, "exit ends with 0");
}

static void test_progress(void)
{
    char line[512];
    (void)snprintf(line,
                   sizeof(line),
                   "seq 1 20000 >%s/numbers; exec " SGN_KV_CLI " import %s/numbers",
                   folder,
                   folder);
    const char *const words[] = {"/bin/sh", "-c", line, NULL};
    begin("/bin/sh", words);
    (void)check(ends() == 0 && strstr(terminal.seen, "import [#") != NULL, "a progress bar");
    (void)check(strstr(terminal.seen, "stored 20000 keys") != NULL, "the count at the end");
    (void)check(runs(SGN_KV_CLI " import \"$SGN_FOLDER/numbers\" 2>\"$SGN_FOLDER/quiet\" &&"
                                " ! grep -q '%' \"$SGN_FOLDER/quiet\"") == 0,
                "no progress bar in a file");
}

static void test_bash(void)
{
    static const char *const words[] = {"/bin/bash", "--norc", "--noprofile", "-i", NULL};
    begin("/bin/bash", words);
    types("PS1='% '; bind 'set enable-bracketed-paste off'; PATH=${SGN_CLI%/*}:$PATH\r");
    types("source <(kv-cli completion bash); echo read''y\r");
    (void)check(sees("ready"), "the script is taken");
    types("kv-cli statu\t");
    (void)check(sees("kv-cli status "), "a command");
    types("\x15");
    types("kv-cli export --para\t");
    (void)check(sees("--parallel "), "an option");
    types("\x15");
    types("kv-cli get default/gree\t");
    (void)check(sees("default/greeting "), "a key");
    types("\x15");
    types("kv-cli put default/odd:a=b c && kv-cli put 'default/with blank' d; echo don''e\r");
    (void)check(sees("done"), "keys with letters of bash's own");
    types("kv-cli get default/odd:a\t -o raw; echo '|'\r");
    (void)check(sees("c|"), "a key with ':' and '='");
    types("kv-cli get default/with\t -o raw; echo '|'\r");
    (void)check(sees("d|"), "a key with a blank");
    types("exit\r");
    (void)ends();
}

/* A container or chroot may have no devpts: then nothing here can be tried. */
static bool terminal_can_open(void)
{
    int ours;
    int theirs;
    if (openpty(&ours, &theirs, NULL, NULL, NULL) != 0) {
        perror("no pseudo-terminal can be opened; is devpts mounted on /dev/pts?");
        return false;
    }
    (void)close(ours);
    (void)close(theirs);
    return true;
}

int main(void)
{
    if (!terminal_can_open()) {
        (void)printf("0 passed, 0 failed, 1 skipped\n");
        return 0;
    }
    char state[128];
    char suppressions[128];
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    (void)snprintf(
        suppressions, sizeof(suppressions), "print_suppressions=0:suppressions=%s/leaks", folder);
    (void)snprintf(state, sizeof(state), "%s/state", folder);
    (void)setenv("SGN_FOLDER", folder, 1);
    (void)setenv("SGN_CLI", SGN_KV_CLI, 1);
    (void)setenv("XDG_STATE_HOME", state, 1);
    (void)setenv("SIGNET_CLI_CONFIG", "/nonexistent", 1);
    (void)setenv("SIGNET_READ", "strong", 1); /* An eventual one may lag behind its own write. */
    /* libedit never frees the name and help of a function it was given. */
    (void)setenv("LSAN_OPTIONS", suppressions, 1);
    (void)setenv("TERM", "xterm", 1);
    (void)setenv("LC_ALL", "C.UTF-8", 1);
    (void)runs("echo leak:wcsdup >\"$SGN_FOLDER/leaks\"");
    if (check(ring_up(), "a ring")) {
        test_shell();
        test_progress();
        test_bash();
    }
    (void)check(runs(SGN_KV_CLI " local down --wipe --dir \"$SGN_FOLDER/ring\"") == 0, "down");
    (void)runs("rm -rf \"$SGN_FOLDER\"");
    (void)printf("%u passed, %u failed, 0 skipped\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
