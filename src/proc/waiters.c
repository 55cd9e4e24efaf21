/* src/proc/waiters.c -- waiters, in a hash table by report, and one thread for deadlines and for
 * clients that hang up, which the HTTP library does not notice while their connection is
 * suspended. */
#include "proc/waiters.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/guid.h"
#include "base/thread.h"
#include "proc/hang_up.h"

enum {
    WAITERS_BUCKETS = 1024, /* a power of two; about one per five connections */
    WAITERS_TICK_MS = 5,    /* deadlines this close to each other share one pass over the table */
    HANG_UPS = 64,          /* handled at a time */
};

struct waiters {
    struct lock lock;
    int events; /* epoll: of clients, and of … */
    int sooner; /* … an eventfd: next_ms has decreased, or `stopping` */
    pthread_t thread;
    bool stopping;
    int64_t next_ms; /* when the thread checks again; INT64_MAX: there are no waiters */
    struct waiter *buckets[WAITERS_BUCKETS];
};

static struct waiter **waiter_bucket(struct waiters *waiters, const struct guid *id)
{
    return &waiters->buckets[guid_hash(id) % WAITERS_BUCKETS];
}

static void watch_hang_up(struct waiters *waiters, struct waiter *waiter)
{
    struct epoll_event hang_up = {.events = hang_up_events(waiter->tls), .data.ptr = waiter};

    lock_check_held(&waiters->lock);
    /* A waiter whose client cannot be watched waits until its deadline. */
    waiter->watched =
        waiter->fd >= 0 && epoll_ctl(waiters->events, EPOLL_CTL_ADD, waiter->fd, &hang_up) == 0;
}

static struct waiter *take_waiter_out(struct waiters *waiters, struct waiter **link)
{
    struct waiter *waiter = *link;

    lock_check_held(&waiters->lock);
    if (waiter->watched)
        epoll_ctl(waiters->events, EPOLL_CTL_DEL, waiter->fd, NULL);
    waiter->watched = false;
    *link = waiter->next;
    return waiter;
}

/* Remove the waiter at *link and add it at the front of `taken`. */
static void take_waiter(struct waiters *waiters, struct waiter **link, struct waiter **taken)
{
    struct waiter *waiter = take_waiter_out(waiters, link);

    waiter->next = *taken;
    *taken = waiter;
}

/* Without the lock: `wake` may free its waiter, or add it again. */
static void wake_all(struct waiter *taken)
{
    while (taken != NULL) {
        struct waiter *next = taken->next;

        taken->wake(taken);
        taken = next;
    }
}

/* Remove the waiters that are due at `now_ms`, and find when the next one is due. */
static struct waiter *take_due(struct waiters *waiters, int64_t now_ms)
{
    struct waiter *due = NULL;

    lock_check_held(&waiters->lock);
    waiters->next_ms = INT64_MAX;
    for (int i = 0; i < WAITERS_BUCKETS; i++) {
        struct waiter **link = &waiters->buckets[i];

        while (*link != NULL) {
            if ((*link)->deadline_ms <= now_ms) {
                (*link)->timed_out = true;
                take_waiter(waiters, link, &due);
                continue;
            }
            if ((*link)->deadline_ms < waiters->next_ms)
                waiters->next_ms = (*link)->deadline_ms;
            link = &(*link)->next;
        }
    }
    return due;
}

/* Where the waiter is in the table, or the end of its bucket. */
static struct waiter **find_waiter(struct waiters *waiters, const struct waiter *waiter)
{
    struct waiter **link = waiter_bucket(waiters, &waiter->id);

    while (*link != NULL && *link != waiter)
        link = &(*link)->next;
    return link;
}

/* While the lock is held, no waiter is removed, so those that epoll names exist. */
static struct waiter *take_hung_up(struct waiters *waiters)
{
    struct epoll_event events[HANG_UPS];
    struct waiter *gone = NULL;
    int count = epoll_wait(waiters->events, events, HANG_UPS, 0);

    for (int i = 0; i < count; i++) {
        struct waiter *waiter = events[i].data.ptr;
        eventfd_t ignored;

        if (waiter == NULL) {
            eventfd_read(waiters->sooner, &ignored);
            continue;
        }
        if (!hang_up_is(waiter->fd, waiter->tls))
            continue;
        waiter->timed_out = true;
        take_waiter(waiters, find_waiter(waiters, waiter), &gone);
    }
    return gone;
}

/* Sleep until next_ms, or until an event arrives. */
static void sleep_until_due(struct waiters *waiters)
{
    struct pollfd events = {.fd = waiters->events, .events = POLLIN};
    int64_t left_ms = INT32_MAX;

    if (waiters->next_ms - clock_mono_ms() < INT32_MAX - WAITERS_TICK_MS)
        left_ms = waiters->next_ms + WAITERS_TICK_MS - clock_mono_ms();
    lock_release(&waiters->lock);
    poll(&events, 1, left_ms > 0 ? (int)left_ms : 0);
    lock_take(&waiters->lock);
}

static void *waiters_thread(void *arg)
{
    struct waiters *waiters = arg;

    lock_take(&waiters->lock);
    while (!waiters->stopping) {
        int64_t now_ms = clock_mono_ms();
        struct waiter *gone = take_hung_up(waiters);
        struct waiter *due = now_ms >= waiters->next_ms ? take_due(waiters, now_ms) : NULL;

        if (gone == NULL && due == NULL) {
            sleep_until_due(waiters);
            continue;
        }
        lock_release(&waiters->lock);
        wake_all(gone);
        wake_all(due);
        lock_take(&waiters->lock);
    }
    lock_release(&waiters->lock);
    return NULL;
}

static void free_waiters(struct waiters *waiters)
{
    if (waiters->events >= 0)
        close(waiters->events);
    if (waiters->sooner >= 0)
        close(waiters->sooner);
    lock_done(&waiters->lock);
    free(waiters);
}

struct waiters *waiters_new(void)
{
    struct waiters *waiters = calloc(1, sizeof(*waiters));
    struct epoll_event sooner = {.events = EPOLLIN};

    if (waiters == NULL)
        return NULL;
    waiters->next_ms = INT64_MAX;
    waiters->events = epoll_create1(EPOLL_CLOEXEC);
    waiters->sooner = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    lock_init(&waiters->lock);
    if (epoll_ctl(waiters->events, EPOLL_CTL_ADD, waiters->sooner, &sooner) < 0 ||
        thread_start(&waiters->thread, "waiters", waiters_thread, waiters) != 0) {
        free_waiters(waiters);
        return NULL;
    }
    return waiters;
}

void waiters_stop(struct waiters *waiters)
{
    struct waiter *all;

    lock_take(&waiters->lock);
    waiters->stopping = true;
    all = take_due(waiters, INT64_MAX);
    eventfd_write(waiters->sooner, 1);
    lock_release(&waiters->lock);
    wake_all(all);
}

void waiters_free(struct waiters *waiters)
{
    if (waiters == NULL)
        return;
    waiters_stop(waiters);
    pthread_join(waiters->thread, NULL);
    free_waiters(waiters);
}

void waiters_add(struct waiters *waiters, struct waiter *waiter)
{
    struct waiter **bucket = waiter_bucket(waiters, &waiter->id);
    bool stopping;

    CHECK(waiter->wake != NULL);
    lock_take(&waiters->lock);
    CHECK(*bucket != waiter);
    stopping = waiters->stopping;
    waiter->timed_out = stopping;
    if (!stopping) {
        waiter->next = *bucket;
        *bucket = waiter;
        watch_hang_up(waiters, waiter);
        if (waiter->deadline_ms < waiters->next_ms) {
            waiters->next_ms = waiter->deadline_ms;
            eventfd_write(waiters->sooner, 1);
        }
    }
    lock_release(&waiters->lock);
    if (stopping)
        waiter->wake(waiter);
}

bool waiters_cancel(struct waiters *waiters, struct waiter *waiter)
{
    struct waiter **link;
    bool found;

    lock_take(&waiters->lock);
    link = find_waiter(waiters, waiter);
    found = *link != NULL;
    if (found)
        take_waiter_out(waiters, link);
    lock_release(&waiters->lock);
    return found;
}

void waiters_notify(struct waiters *waiters, const struct guid *id, enum report_state state)
{
    struct waiter **link = waiter_bucket(waiters, id);
    struct waiter *moved = NULL;

    lock_take(&waiters->lock);
    while (*link != NULL) {
        if (!guid_eq(&(*link)->id, id)) {
            link = &(*link)->next;
            continue;
        }
        (*link)->state = state;
        take_waiter(waiters, link, &moved);
    }
    lock_release(&waiters->lock);
    wake_all(moved);
}

void waiters_notify_user(struct waiters *waiters, int64_t user_id)
{
    struct waiter *taken = NULL;

    lock_take(&waiters->lock);
    for (int i = 0; i < WAITERS_BUCKETS; i++) {
        struct waiter **link = &waiters->buckets[i];

        while (*link != NULL) {
            if (user_id != 0 && (*link)->user_id != user_id) {
                link = &(*link)->next;
                continue;
            }
            (*link)->doubted = true;
            take_waiter(waiters, link, &taken);
        }
    }
    lock_release(&waiters->lock);
    wake_all(taken);
}

void waiters_notify_all(struct waiters *waiters)
{
    waiters_notify_user(waiters, 0);
}
