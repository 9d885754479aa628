/* The log's lines: their form, what is escaped, what the rate limit drops and says. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "node/log.h"

static int kept_stderr = -1;
static char path[32];

static void catch_stderr(void)
{
    (void)snprintf(path, sizeof(path), "/tmp/signet-log-XXXXXX");
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    kept_stderr = dup(STDERR_FILENO);
    cr_assert(dup2(fd, STDERR_FILENO) >= 0);
    close(fd);
}

static size_t give_back(char *text, size_t bytes)
{
    cr_assert(dup2(kept_stderr, STDERR_FILENO) >= 0);
    close(kept_stderr);
    int fd = open(path, O_RDONLY);
    ssize_t count = read(fd, text, bytes - 1);
    cr_assert(count >= 0);
    text[count] = '\0';
    close(fd);
    unlink(path);
    return (size_t)count;
}

static uint32_t lines_of(const char *text)
{
    uint32_t count = 0;
    for (; *text != '\0'; text++) {
        count += *text == '\n';
    }
    return count;
}

static void flood(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        SGN_LOG(SGN_LOG_WARN, "flood", NULL, "i=%u", i);
    }
}

/* The count of a site starts anew with each second of the clock: begin at the start of one. */
static void await_new_second(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    (void)poll(NULL, 0, 1001 - (int)(now.tv_nsec / 1000000));
}

Test(log, form_escapes_and_levels)
{
    char text[8192];
    char longest[4000];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    catch_stderr();
    sgn_log_set_node(7);
    SGN_LOG(SGN_LOG_INFO, "plain", NULL, "peer=%u", 3u);
    SGN_LOG(SGN_LOG_DEBUG, "below the level", NULL, "peer=%u", 3u);
    SGN_LOG(SGN_LOG_ERROR, "sentence", "says \"no\" \\ and\nbreaks", "from=%s", "a\nlevel=fake");
    SGN_LOG(SGN_LOG_WARN, "long", longest, "a=%u", 1u);
    (void)give_back(text, sizeof(text));
    cr_expect(strstr(text, "Z level=info node=7 msg=\"plain\" peer=3\n") != NULL, "%s", text);
    cr_expect(strstr(text, "below") == NULL);
    cr_expect(strstr(text,
                     "msg=\"sentence\" from=a?level=fake "
                     "detail=\"says \\\"no\\\" \\\\ and?breaks\"\n") != NULL,
              "%s",
              text);
    cr_expect_eq(lines_of(text), 3);
    cr_expect_eq(text[strlen(text) - 1], '\n');
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
        cr_expect(strcspn(line, "\n") < SGN_LOG_LINE_BYTES);
    }
    cr_expect_eq(sgn_log_level_of("warn"), SGN_LOG_WARN);
    cr_expect_eq(sgn_log_level_of("loud"), SGN_LOG_LEVELS);
}

Test(log, rate_limit_says_what_it_dropped)
{
    char text[8192];
    catch_stderr();
    await_new_second();
    flood(50);      /* Far less than a second's work. */
    sgn_log_tick(); /* The same second: still counting. */
    await_new_second();
    sgn_log_tick();
    sgn_log_tick(); /* Says it once. */
    (void)give_back(text, sizeof(text));
    cr_expect_eq(lines_of(text), SGN_LOG_BURST + 1, "%s", text);
    cr_expect(strstr(text, "msg=\"flood\" dropped=40\n") != NULL, "%s", text);
    cr_expect_eq(sgn_log_dropped(), 40);

    catch_stderr();
    await_new_second();
    flood(SGN_LOG_BURST + 5);
    await_new_second();
    flood(1); /* The next line that gets through says it. */
    (void)give_back(text, sizeof(text));
    cr_expect(strstr(text, "msg=\"flood\" i=0 dropped=5\n") != NULL, "%s", text);
}
