/* src/proc/waiters.c -- waiters in a hash table by report, and one thread for the deadlines. */
#include "proc/waiters.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"

enum {
    WAITERS_BUCKETS = 1024, /* a power of two; about one for every five connections */
    WAITERS_TICK_MS = 5,    /* deadlines this near to each other share one look at the table */
};

struct waiters {
    struct lock lock;
    pthread_cond_t sooner; /* next_ms became less, or stopping */
    pthread_t thread;
    bool stopping;
    int64_t next_ms; /* when the thread looks again; INT64_MAX: nobody waits */
    struct waiter *buckets[WAITERS_BUCKETS];
};

static struct waiter **bucket_of(struct waiters *waiters, const struct guid *id)
{
    unsigned index;

    /* The last bytes of a version 7 GUID are the random ones. */
    memcpy(&index, id->bytes + GUID_BYTES - sizeof(index), sizeof(index));
    return &waiters->buckets[index % WAITERS_BUCKETS];
}

/* Take the waiter at *link out and put it in front of `taken`. */
static void take_waiter(struct waiter **link, struct waiter **taken)
{
    struct waiter *waiter = *link;

    *link = waiter->next;
    waiter->next = *taken;
    *taken = waiter;
}

/* Outside the lock: `wake` may free its waiter, or add it again. */
static void wake_all(struct waiter *taken)
{
    while (taken != NULL) {
        struct waiter *next = taken->next;

        taken->wake(taken);
        taken = next;
    }
}

/* Take out those that are due at `now_ms`, and find when the next one is. */
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
                take_waiter(link, &due);
                continue;
            }
            if ((*link)->deadline_ms < waiters->next_ms)
                waiters->next_ms = (*link)->deadline_ms;
            link = &(*link)->next;
        }
    }
    return due;
}

/* Wait until next_ms, or until told to look again. */
static void sleep_until_due(struct waiters *waiters)
{
    if (waiters->next_ms == INT64_MAX)
        lock_wait(&waiters->lock, &waiters->sooner);
    else
        lock_wait_until(&waiters->lock, &waiters->sooner, waiters->next_ms + WAITERS_TICK_MS);
}

static void *deadline_thread(void *arg)
{
    struct waiters *waiters = arg;

    lock_take(&waiters->lock);
    while (!waiters->stopping) {
        struct waiter *due;

        if (clock_mono_ms() < waiters->next_ms) {
            sleep_until_due(waiters);
            continue;
        }
        due = take_due(waiters, clock_mono_ms());
        lock_release(&waiters->lock);
        wake_all(due);
        lock_take(&waiters->lock);
    }
    lock_release(&waiters->lock);
    return NULL;
}

static void release(struct waiters *waiters)
{
    pthread_cond_destroy(&waiters->sooner);
    lock_done(&waiters->lock);
    free(waiters);
}

struct waiters *waiters_new(void)
{
    struct waiters *waiters = calloc(1, sizeof(*waiters));

    if (waiters == NULL)
        return NULL;
    waiters->next_ms = INT64_MAX;
    lock_init(&waiters->lock);
    lock_cond_init(&waiters->sooner);
    if (thread_start(&waiters->thread, "waiters", deadline_thread, waiters) != 0) {
        release(waiters);
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
    pthread_cond_signal(&waiters->sooner);
    lock_release(&waiters->lock);
    wake_all(all);
}

void waiters_free(struct waiters *waiters)
{
    if (waiters == NULL)
        return;
    waiters_stop(waiters);
    pthread_join(waiters->thread, NULL);
    release(waiters);
}

void waiters_add(struct waiters *waiters, struct waiter *waiter)
{
    struct waiter **bucket = bucket_of(waiters, &waiter->id);
    bool stopping;

    CHECK(waiter->wake != NULL);
    lock_take(&waiters->lock);
    CHECK(*bucket != waiter);
    stopping = waiters->stopping;
    waiter->timed_out = stopping;
    if (!stopping) {
        waiter->next = *bucket;
        *bucket = waiter;
        if (waiter->deadline_ms < waiters->next_ms) {
            waiters->next_ms = waiter->deadline_ms;
            pthread_cond_signal(&waiters->sooner);
        }
    }
    lock_release(&waiters->lock);
    if (stopping)
        waiter->wake(waiter);
}

bool waiters_cancel(struct waiters *waiters, struct waiter *waiter)
{
    struct waiter **link = bucket_of(waiters, &waiter->id);
    bool found;

    lock_take(&waiters->lock);
    while (*link != NULL && *link != waiter)
        link = &(*link)->next;
    found = *link != NULL;
    if (found)
        *link = waiter->next;
    lock_release(&waiters->lock);
    return found;
}

void waiters_notify(struct waiters *waiters, const struct guid *id)
{
    struct waiter **link = bucket_of(waiters, id);
    struct waiter *moved = NULL;

    lock_take(&waiters->lock);
    while (*link != NULL) {
        if (guid_eq(&(*link)->id, id))
            take_waiter(link, &moved);
        else
            link = &(*link)->next;
    }
    lock_release(&waiters->lock);
    wake_all(moved);
}

void waiters_notify_all(struct waiters *waiters)
{
    struct waiter *all = NULL;

    lock_take(&waiters->lock);
    for (int i = 0; i < WAITERS_BUCKETS; i++) {
        while (waiters->buckets[i] != NULL)
            take_waiter(&waiters->buckets[i], &all);
    }
    lock_release(&waiters->lock);
    wake_all(all);
}
