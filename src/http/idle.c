/* src/http/idle.c -- connections that wait for their clients: a list for each thing that they wait
 * for, in order of the time since when. */
#include "http/idle.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"

enum {
    REQUEST_MS = 60 * 1000,
    ENDING_MS = 1000,
    BODY_BYTES_PER_S = 500,
    HANG_UPS = 64,
    AWAIT_STEP_MS = 5
};

TAILQ_HEAD(idle_queue, idle);

struct idle_list {
    struct lock lock; /* while it is held, no socket in the lists is closed */
    size_t open;      /* number of connections */
    int events;       /* epoll: clients that hang up */
    int64_t most_ms[IDLE_KINDS];
    struct idle_queue queues[IDLE_KINDS];
};

struct idle_list *idle_list_new(int64_t request_ms)
{
    struct idle_list *list = calloc(1, sizeof(*list));

    if (list == NULL)
        return NULL;
    list->events = epoll_create1(EPOLL_CLOEXEC);
    if (list->events < 0) {
        free(list);
        return NULL;
    }
    lock_init(&list->lock);
    for (int i = 0; i < IDLE_KINDS; i++) {
        list->most_ms[i] = i == IDLE_REQUEST ? REQUEST_MS : ENDING_MS;
        TAILQ_INIT(&list->queues[i]);
    }
    idle_list_set_time(list, request_ms);
    return list;
}

void idle_list_set_time(struct idle_list *list, int64_t request_ms)
{
    lock_take(&list->lock);
    list->most_ms[IDLE_HEAD] = list->most_ms[IDLE_BODY] = request_ms;
    lock_release(&list->lock);
}

void idle_list_free(struct idle_list *list)
{
    if (list == NULL)
        return;
    close(list->events);
    lock_done(&list->lock);
    free(list);
}

int idle_list_fd(const struct idle_list *list)
{
    return list->events;
}

static void take_idle_out(struct idle_list *list, struct idle *idle)
{
    lock_check_held(&list->lock);
    if (idle->listed)
        TAILQ_REMOVE(&list->queues[idle->what], idle, entry);
    idle->listed = false;
}

static void append_idle(struct idle_list *list, struct idle *idle, int64_t now_ms)
{
    lock_check_held(&list->lock);
    CHECK(!idle->listed);
    idle->since_ms = now_ms;
    idle->received = 0;
    idle->listed = true;
    idle->fresh = false;
    TAILQ_INSERT_TAIL(&list->queues[idle->what], idle, entry);
}

/* Bytes that arrive before the end is noticed are still read. After shutdown(SHUT_RD) only a
 * hang-up in both directions is certain to be noticed. */
static void end_reading(struct idle_list *list, struct idle *idle, int64_t now_ms)
{
    shutdown(idle->fd, idle->what == IDLE_ENDING ? SHUT_RDWR : SHUT_RD);
    idle->what = IDLE_ENDING;
    append_idle(list, idle, now_ms);
}

void idle_begin(struct idle_list *list, struct idle *idle, enum idle_for what, int64_t now_ms)
{
    lock_take(&list->lock);
    take_idle_out(list, idle);
    idle->what = what;
    if (idle->hung_up)
        end_reading(list, idle, now_ms);
    else
        append_idle(list, idle, now_ms);
    lock_release(&list->lock);
}

void idle_open(struct idle_list *list, struct idle *idle, int64_t now_ms)
{
    struct epoll_event hang_up = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.ptr = idle};

    lock_take(&list->lock);
    idle->what = IDLE_REQUEST;
    append_idle(list, idle, now_ms);
    idle->fresh = true;
    list->open++;
    lock_release(&list->lock);
    epoll_ctl(list->events, EPOLL_CTL_ADD, idle->fd, &hang_up); /* if it fails, the connection stays
                                                                 * until its time is over */
}

void idle_close(struct idle_list *list, struct idle *idle)
{
    lock_take(&list->lock);
    take_idle_out(list, idle);
    CHECK(list->open > 0);
    list->open--;
    epoll_ctl(list->events, EPOLL_CTL_DEL, idle->fd, NULL);
    lock_release(&list->lock);
}

void idle_received(struct idle_list *list, struct idle *idle, size_t bytes)
{
    lock_take(&list->lock);
    idle->received += (int64_t)bytes;
    lock_release(&list->lock);
}

void idle_end(struct idle_list *list, struct idle *idle)
{
    lock_take(&list->lock);
    take_idle_out(list, idle);
    lock_release(&list->lock);
}

static bool has_unread(int fd)
{
    int unread;

    return ioctl(fd, FIONREAD, &unread) == 0 && unread > 0;
}

static bool is_owed_answer(struct idle_list *list)
{
    size_t listed = 0;
    bool owed = false;

    lock_take(&list->lock);
    for (int i = 0; i < IDLE_KINDS; i++) {
        struct idle *idle;

        TAILQ_FOREACH(idle, &list->queues[i], entry)
        {
            listed++;
            owed |= idle->fresh || idle->what == IDLE_HEAD || idle->what == IDLE_BODY ||
                    has_unread(idle->fd);
        }
    }
    owed |= listed < list->open;
    lock_release(&list->lock);
    return owed;
}

void idle_list_await(struct idle_list *list, int most_ms)
{
    int64_t until_ms = clock_mono_ms() + most_ms;

    while (is_owed_answer(list) && clock_mono_ms() < until_ms)
        poll(NULL, 0, AWAIT_STEP_MS);
}

/* Its time is over, but the client is not at fault: our thread is late, or the client sends fast
 * enough. */
static bool may_go_on(const struct idle *idle, int64_t now_ms)
{
    return has_unread(idle->fd) ||
           (idle->what == IDLE_BODY &&
            idle->received >= (now_ms - idle->since_ms) * BODY_BYTES_PER_S / 1000);
}

/* While the lock is held, no connection is closed, so those that epoll names exist. */
static void find_hung_up(struct idle_list *list, int64_t now_ms)
{
    struct epoll_event events[HANG_UPS];
    int count = epoll_wait(list->events, events, HANG_UPS, 0);

    lock_check_held(&list->lock);
    for (int i = 0; i < count; i++) {
        struct idle *idle = events[i].data.ptr;

        idle->hung_up = true;
        if (!idle->listed || idle->what == IDLE_ENDING)
            continue;
        take_idle_out(list, idle);
        end_reading(list, idle, now_ms);
    }
}

int idle_maintain(struct idle_list *list, int64_t now_ms)
{
    int64_t wait_ms = list->most_ms[IDLE_REQUEST];

    lock_take(&list->lock);
    find_hung_up(list, now_ms);
    for (int i = 0; i < IDLE_KINDS; i++) {
        int64_t most_ms = list->most_ms[i];
        struct idle *idle;

        while ((idle = TAILQ_FIRST(&list->queues[i])) != NULL &&
               now_ms - idle->since_ms >= most_ms) {
            take_idle_out(list, idle);
            if (may_go_on(idle, now_ms))
                append_idle(list, idle, now_ms);
            else
                end_reading(list, idle, now_ms);
        }
        if (idle != NULL)
            most_ms = idle->since_ms + most_ms - now_ms;
        if (most_ms < wait_ms && (idle != NULL || i != IDLE_ENDING))
            wait_ms = most_ms; /* one may begin right after this */
    }
    lock_release(&list->lock);
    return (int)wait_ms;
}
