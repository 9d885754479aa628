/* client/mirror.c - one descriptor that tells a foreign loop when the library has something to do.
 *
 * libevent does not show its epoll descriptor, and would not put its timers in it. So after each
 * dispatch every event of the base is looked at: descriptors go into an epoll of our own with the
 * same interest, the nearest timeout into a timerfd beside them. There are few events (a connection
 * each), and a system call is made only for what has changed. */
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "client/inner.h"

struct mirror_row {
    int fd;
    uint32_t interest;
    uint32_t round; /* Seen in this update. */
};

struct sgn_mirror {
    int epoll_fd, timer_fd;
    uint32_t round;
    bool must_redo; /* What is remembered of descriptors may not hold any more. */
    bool has_failed;
    uint32_t count, cap;
    struct mirror_row *rows;
    bool has_next;
    struct timeval next; /* Wall time, as libevent gives it. */
};

struct sgn_mirror *sgn_mirror_create(void)
{
    struct sgn_mirror *mirror = calloc(1, sizeof(*mirror));
    if (mirror == NULL) {
        return NULL;
    }
    mirror->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    mirror->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = mirror->timer_fd};
    if (mirror->epoll_fd < 0 || mirror->timer_fd < 0 ||
        epoll_ctl(mirror->epoll_fd, EPOLL_CTL_ADD, mirror->timer_fd, &event) != 0) {
        sgn_mirror_destroy(mirror);
        return NULL;
    }
    return mirror;
}

void sgn_mirror_destroy(struct sgn_mirror *mirror)
{
    if (mirror == NULL) {
        return;
    }
    if (mirror->epoll_fd >= 0) {
        close(mirror->epoll_fd);
    }
    if (mirror->timer_fd >= 0) {
        close(mirror->timer_fd);
    }
    free(mirror->rows);
    free(mirror);
}

int sgn_mirror_fd(const struct sgn_mirror *mirror)
{
    return mirror->epoll_fd;
}

void sgn_mirror_forget(struct sgn_mirror *mirror)
{
    if (mirror != NULL) {
        mirror->must_redo = true;
    }
}

static struct mirror_row *row_of(struct sgn_mirror *mirror, int fd)
{
    for (uint32_t i = 0; i < mirror->count; i++) {
        if (mirror->rows[i].fd == fd) {
            return &mirror->rows[i];
        }
    }
    if (mirror->count == mirror->cap) {
        uint32_t cap = mirror->cap == 0 ? 16 : mirror->cap * 2;
        struct mirror_row *rows = realloc(mirror->rows, cap * sizeof(*rows));
        if (rows == NULL) {
            mirror->has_failed = true;
            return NULL;
        }
        mirror->rows = rows;
        mirror->cap = cap;
    }
    mirror->rows[mirror->count] = (struct mirror_row){.fd = fd};
    return &mirror->rows[mirror->count++];
}

/* Puts the interest into the epoll; the kernel drops a closed descriptor by itself, so what is
 * known here of a reused one may be wrong: either call corrects the other. */
static void row_write(struct sgn_mirror *mirror, const struct mirror_row *row)
{
    struct epoll_event event = {.events = row->interest, .data.fd = row->fd};
    if (epoll_ctl(mirror->epoll_fd, EPOLL_CTL_MOD, row->fd, &event) != 0 &&
        epoll_ctl(mirror->epoll_fd, EPOLL_CTL_ADD, row->fd, &event) != 0) {
        mirror->has_failed = true;
    }
}

static int look_at(const struct event_base *base, const struct event *event, void *user)
{
    (void)base;
    struct sgn_mirror *mirror = user;
    struct timeval when;
    if (event_pending(event, EV_TIMEOUT, &when) &&
        (!mirror->has_next || timercmp(&when, &mirror->next, <))) {
        mirror->has_next = true;
        mirror->next = when;
    }
    int fd = event_get_fd(event);
    int kinds = event_pending(event, EV_READ | EV_WRITE, NULL);
    if (fd < 0 || kinds == 0) {
        return 0;
    }
    struct mirror_row *row = row_of(mirror, fd);
    if (row == NULL) {
        return 0;
    }
    uint32_t interest =
        ((kinds & EV_READ) != 0 ? EPOLLIN : 0u) | ((kinds & EV_WRITE) != 0 ? EPOLLOUT : 0u);
    if (row->round == mirror->round) {
        interest |= row->interest; /* Two events of one descriptor. */
    }
    bool has_changed =
        row->interest != interest || (mirror->must_redo && row->round != mirror->round);
    row->interest = interest;
    row->round = mirror->round;
    if (has_changed) {
        row_write(mirror, row);
    }
    return 0;
}

static void drop_unseen(struct sgn_mirror *mirror)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < mirror->count; i++) {
        if (mirror->rows[i].round == mirror->round) {
            mirror->rows[kept++] = mirror->rows[i];
        } else {
            /* Fails when the descriptor is closed, which is as good. */
            (void)epoll_ctl(mirror->epoll_fd, EPOLL_CTL_DEL, mirror->rows[i].fd, NULL);
        }
    }
    mirror->count = kept;
}

static void set_timer(struct sgn_mirror *mirror, bool at_once)
{
    struct itimerspec timer = {{0, 0}, {0, 0}};
    if (at_once) {
        timer.it_value.tv_nsec = 1;
    } else if (mirror->has_next) {
        struct timeval now, left = {0, 0};
        gettimeofday(&now, NULL);
        if (timercmp(&mirror->next, &now, >)) {
            timersub(&mirror->next, &now, &left);
        }
        timer.it_value.tv_sec = left.tv_sec;
        timer.it_value.tv_nsec = left.tv_usec * 1000 + 1; /* Zero would disarm it. */
    }
    if (timerfd_settime(mirror->timer_fd, 0, &timer, NULL) != 0) {
        mirror->has_failed = true;
    }
}

int sgn_mirror_update(struct sgn_mirror *mirror, struct event_base *base, bool at_once)
{
    mirror->round++;
    mirror->has_next = false;
    mirror->has_failed = false;
    (void)event_base_foreach_event(base, look_at, mirror);
    drop_unseen(mirror);
    set_timer(mirror, at_once);
    mirror->must_redo = mirror->has_failed;
    return mirror->has_failed ? SGN_ERR_IO : SGN_OK;
}
