/* The relay between two plain sockets: what it does to frames is what it was told. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/cpu.h"
#include "bench/relay.h"
#include "ring/net/msg_codec.h"

#define MS      UINT64_C(1000000)
#define FRAMES  300u
#define WAIT_MS 10000

struct bed {
    struct sgn_relay *relay;
    struct sgn_msg_decoder *decoder;
    int listener, dialler, target; /* Ends 2 (who dials) and 3. */
    uint16_t port;
    uint8_t room[1 << 16];
    size_t filled; /* Received and not yet read. */
};

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
}

static void say(int fd, uint32_t type, uint32_t number)
{
    uint8_t room[512];
    struct sgn_sink sink = sgn_sink_of(room, sizeof(room));
    struct sgn_msg msg = {.type = (enum sgn_msg_type)type, .node = 2, .c = 1, .request = number};
    msg.bucket = sgn_bytes_str("ring");
    cr_assert_eq(sgn_msg_encode(&msg, &sink, NULL), SGN_OK);
    cr_assert_eq(send(fd, room, sink.count, MSG_NOSIGNAL), (ssize_t)sink.count);
}

/* The next frame's number; -1: none within the time, -2: the connection is closed. */
static int64_t hear(struct bed *bed, int fd, int wait_ms)
{
    for (;;) {
        struct sgn_msg msg;
        size_t used = 0;
        enum sgn_err err = sgn_msg_read(bed->decoder,
                                        sgn_bytes_of(bed->room, bed->filled),
                                        SGN_TYPES_HELLO | sgn_types_peer(),
                                        &msg,
                                        &used,
                                        NULL);
        cr_assert_eq(err, SGN_OK, "a frame came damaged: %d", err);
        if (used > 0) {
            uint32_t number = msg.request;
            memmove(bed->room, bed->room + used, bed->filled - used);
            bed->filled -= used;
            return number;
        }
        struct pollfd poll_one = {.fd = fd, .events = POLLIN};
        if (poll(&poll_one, 1, wait_ms) != 1) {
            return -1;
        }
        ssize_t got = recv(fd, bed->room + bed->filled, sizeof(bed->room) - bed->filled, 0);
        if (got <= 0) {
            return -2;
        }
        bed->filled += (size_t)got;
    }
}

static void bed_dial(struct bed *bed)
{
    struct sockaddr_in at = loopback(bed->port);
    cr_assert_eq(inet_pton(AF_INET, SGN_RELAY_HOST, &at.sin_addr), 1);
    bed->filled = 0;
    bed->dialler = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(connect(bed->dialler, (struct sockaddr *)&at, sizeof(at)), 0);
    struct pollfd poll_one = {.fd = bed->listener, .events = POLLIN};
    cr_assert_eq(poll(&poll_one, 1, WAIT_MS), 1);
    bed->target = accept(bed->listener, NULL, NULL);
    cr_assert(bed->target >= 0);
    say(bed->dialler, SGN_MSG_HELLO, 0);
    cr_assert_eq(hear(bed, bed->target, WAIT_MS), 0);
}

static void bed_hang_up(struct bed *bed)
{
    (void)close(bed->dialler);
    (void)close(bed->target);
}

static void bed_open(struct bed *bed)
{
    struct sgn_why why = {{0}};
    struct sockaddr_in at = loopback(0);
    socklen_t bytes = sizeof(at);
    bed->decoder = sgn_msg_decoder_create();
    bed->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(bed->listener, (struct sockaddr *)&at, sizeof(at)) == 0 &&
              listen(bed->listener, 8) == 0 &&
              getsockname(bed->listener, (struct sockaddr *)&at, &bytes) == 0);
    cr_assert(sgn_relay_open(&bed->relay, 1, &why), "%s", why.text);
    bed->port = ntohs(at.sin_port);
    cr_assert(sgn_relay_listen(bed->relay, 3, bed->port, &why), "%s", why.text);
    cr_assert(sgn_relay_start(bed->relay, &why), "%s", why.text);
    bed_dial(bed);
}

static void bed_close(struct bed *bed)
{
    bed_hang_up(bed);
    (void)close(bed->listener);
    sgn_relay_close(bed->relay);
    sgn_msg_decoder_destroy(bed->decoder);
}

/* Sends FRAMES frames under a rule; how often each came, and how many came before a lower one. */
struct heard {
    uint32_t times[FRAMES + 1];
    uint32_t total, overtakings;
    uint64_t ns;
};

static void run_rule(struct bed *bed, const struct sgn_relay_rule *rule, struct heard *heard)
{
    *heard = (struct heard){0};
    sgn_relay_heal(bed->relay);
    sgn_relay_set(bed->relay, 2, 3, rule);
    uint64_t begin_ns = sgn_bench_now_ns();
    for (uint32_t i = 1; i <= FRAMES; i++) {
        say(bed->dialler, SGN_MSG_PING, i);
    }
    int64_t last = 0;
    for (int64_t number = 0; (number = hear(bed, bed->target, 400)) > 0; last = number) {
        cr_assert(number <= FRAMES);
        heard->times[number]++;
        heard->total++;
        heard->overtakings += number < last;
        heard->ns = sgn_bench_now_ns() - begin_ns;
    }
}

Test(relay, does_to_frames_what_it_is_told, .timeout = 60)
{
    static struct bed bed;
    static struct heard heard;
    bed_open(&bed);
    run_rule(&bed, &(struct sgn_relay_rule){0}, &heard);
    cr_assert(heard.total == FRAMES && heard.overtakings == 0);
    run_rule(&bed, &(struct sgn_relay_rule){.loss_per_mille = 300}, &heard);
    cr_assert(heard.total > FRAMES / 2 && heard.total < FRAMES * 9 / 10, "%u", heard.total);
    cr_assert_eq(heard.overtakings, 0);
    run_rule(&bed, &(struct sgn_relay_rule){.repeat_per_mille = 300, .late_us = 50000}, &heard);
    cr_assert(heard.total > FRAMES * 11 / 10 && heard.total < FRAMES * 3 / 2, "%u", heard.total);
    for (uint32_t i = 1; i <= FRAMES; i++) {
        cr_assert(heard.times[i] == 1 || heard.times[i] == 2);
    }
    run_rule(&bed, &(struct sgn_relay_rule){.reorder_per_mille = 300, .late_us = 50000}, &heard);
    cr_assert(heard.total == FRAMES && heard.overtakings > FRAMES / 20);
    run_rule(
        &bed, &(struct sgn_relay_rule){.delay_us_min = 100000, .delay_us_max = 150000}, &heard);
    cr_assert(heard.total == FRAMES && heard.overtakings == 0 && heard.ns >= 100 * MS);
    struct sgn_relay_counts counts;
    sgn_relay_count(bed.relay, &counts);
    cr_assert(counts.lost > 0 && counts.repeated > 0 && counts.reordered > 0);
    cr_assert_eq(counts.connections, 1);
    bed_close(&bed);
}

Test(relay, cuts_one_way_both_ways_and_for_new_connections, .timeout = 60)
{
    static struct bed bed;
    bed_open(&bed);
    struct sgn_relay_rule stall = {.mode = SGN_RELAY_STALL};
    struct sgn_relay_rule reset = {.mode = SGN_RELAY_RESET};
    sgn_relay_set(bed.relay, 2, 3, &stall);
    say(bed.dialler, SGN_MSG_PING, 1);
    cr_assert_eq(hear(&bed, bed.target, 200), -1);
    say(bed.target, SGN_MSG_PING, 2); /* The other direction is open. */
    cr_assert_eq(hear(&bed, bed.dialler, WAIT_MS), 2);
    sgn_relay_heal(bed.relay);
    cr_assert_eq(hear(&bed, bed.target, WAIT_MS), 1, "late, but there");
    sgn_relay_set(bed.relay, 3, 2, &stall);
    say(bed.target, SGN_MSG_PING, 3);
    cr_assert_eq(hear(&bed, bed.dialler, 200), -1);
    say(bed.dialler, SGN_MSG_PING, 4);
    cr_assert_eq(hear(&bed, bed.target, WAIT_MS), 4);
    sgn_relay_set(bed.relay, 3, 2, &reset);
    cr_assert_eq(hear(&bed, bed.dialler, WAIT_MS), -2);
    cr_assert_eq(hear(&bed, bed.target, WAIT_MS), -2);
    bed_hang_up(&bed);
    sgn_relay_heal(bed.relay);
    sgn_relay_set(bed.relay, 5, 3, &reset); /* Somebody else's rule. */
    bed_dial(&bed);
    say(bed.dialler, SGN_MSG_PING, 5);
    cr_assert_eq(hear(&bed, bed.target, WAIT_MS), 5);
    cr_assert_eq(send(bed.dialler, "GET / HTTP/1.1\r\nHost: nobody\r\n\r\n", 32, MSG_NOSIGNAL), 32);
    cr_assert_eq(hear(&bed, bed.dialler, WAIT_MS), -2, "not frames: closed");
    bed_close(&bed);
}
