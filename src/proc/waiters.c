/* src/proc/waiters.c -- waiters in a hash table by report, and one thread for the deadlines. */
#include "proc/waiters.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

enum {
    WAITERS_BUCKETS = 1024, /* a power of two; about one for every five connections */
    WAITERS_TICK_MS = 5,    /* deadlines this near to each other share one look at the table */
};

struct waiters {
    pthread_mutex_t mutex;
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
static void take(struct waiter **link, struct waiter **taken)
{
    struct waiter *waiter = *link;

    *link = waiter->next;
    waiter->next = *taken;
    *taken = waiter;
}

/* Outside the mutex: `wake` may free its waiter, or add it again. */
static void wake_all(struct waiter *taken)
{
    while (taken != NULL) {
        struct waiter *next = taken->next;

        taken->wake(taken);
        taken = next;
    }
}

/* Take out who is due at `now_ms`, and find when the next one is. The mutex is held. */
static struct waiter *take_due(struct waiters *waiters, int64_t now_ms)
{
    struct waiter *due = NULL;

    waiters->next_ms = INT64_MAX;
    for (int i = 0; i < WAITERS_BUCKETS; i++) {
        struct waiter **link = &waiters->buckets[i];

        while (*link != NULL) {
            if ((*link)->deadline_ms <= now_ms) {
                (*link)->timed_out = true;
                take(link, &due);
                continue;
            }
            if ((*link)->deadline_ms < waiters->next_ms)
                waiters->next_ms = (*link)->deadline_ms;
            link = &(*link)->next;
        }
    }
    return due;
}

/* Wait until next_ms, or until told to look again. The mutex is held. */
static void sleep_until_due(struct waiters *waiters)
{
    int64_t until = waiters->next_ms;
    struct timespec at;

    if (until == INT64_MAX) {
        pthread_cond_wait(&waiters->sooner, &waiters->mutex);
        return;
    }
    until += WAITERS_TICK_MS;
    at.tv_sec = until / 1000;
    at.tv_nsec = until % 1000 * 1000000;
    pthread_cond_timedwait(&waiters->sooner, &waiters->mutex, &at);
}

static void *deadline_thread(void *arg)
{
    struct waiters *waiters = arg;

    pthread_mutex_lock(&waiters->mutex);
    while (!waiters->stopping) {
        struct waiter *due;

        if (clock_mono_ms() < waiters->next_ms) {
            sleep_until_due(waiters);
            continue;
        }
        due = take_due(waiters, clock_mono_ms());
        pthread_mutex_unlock(&waiters->mutex);
        wake_all(due);
        pthread_mutex_lock(&waiters->mutex);
    }
    pthread_mutex_unlock(&waiters->mutex);
    return NULL;
}

static bool start_thread(struct waiters *waiters)
{
    sigset_t all, before;
    bool started;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    started = pthread_create(&waiters->thread, NULL, deadline_thread, waiters) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started)
        pthread_setname_np(waiters->thread, "waiters");
    return started;
}

static void release(struct waiters *waiters)
{
    pthread_cond_destroy(&waiters->sooner);
    pthread_mutex_destroy(&waiters->mutex);
    free(waiters);
}

struct waiters *waiters_new(void)
{
    struct waiters *waiters = calloc(1, sizeof(*waiters));
    pthread_condattr_t monotonic;

    if (waiters == NULL)
        return NULL;
    waiters->next_ms = INT64_MAX;
    pthread_mutex_init(&waiters->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&waiters->sooner, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (!start_thread(waiters)) {
        release(waiters);
        return NULL;
    }
    return waiters;
}

void waiters_stop(struct waiters *waiters)
{
    struct waiter *all;

    pthread_mutex_lock(&waiters->mutex);
    waiters->stopping = true;
    all = take_due(waiters, INT64_MAX);
    pthread_cond_signal(&waiters->sooner);
    pthread_mutex_unlock(&waiters->mutex);
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

    pthread_mutex_lock(&waiters->mutex);
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
    pthread_mutex_unlock(&waiters->mutex);
    if (stopping)
        waiter->wake(waiter);
}

bool waiters_cancel(struct waiters *waiters, struct waiter *waiter)
{
    struct waiter **link = bucket_of(waiters, &waiter->id);
    bool found;

    pthread_mutex_lock(&waiters->mutex);
    while (*link != NULL && *link != waiter)
        link = &(*link)->next;
    found = *link != NULL;
    if (found)
        *link = waiter->next;
    pthread_mutex_unlock(&waiters->mutex);
    return found;
}

void waiters_notify(struct waiters *waiters, const struct guid *id)
{
    struct waiter **link = bucket_of(waiters, id);
    struct waiter *moved = NULL;

    pthread_mutex_lock(&waiters->mutex);
    while (*link != NULL) {
        if (guid_eq(&(*link)->id, id))
            take(link, &moved);
        else
            link = &(*link)->next;
    }
    pthread_mutex_unlock(&waiters->mutex);
    wake_all(moved);
}

void waiters_notify_all(struct waiters *waiters)
{
    struct waiter *all = NULL;

    pthread_mutex_lock(&waiters->mutex);
    for (int i = 0; i < WAITERS_BUCKETS; i++) {
        while (waiters->buckets[i] != NULL)
            take(&waiters->buckets[i], &all);
    }
    pthread_mutex_unlock(&waiters->mutex);
    wake_all(all);
}
