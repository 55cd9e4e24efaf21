/* src/base/lane.c -- a queue with threads behind it. */
#include "base/lane.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

struct lane {
    struct lane_spec spec;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct lane_item *first, **last;
    size_t waiting;
    bool stopping;
    int started;
    pthread_t threads[];
};

/* Take up to batch_max items off the queue; the mutex is held. */
static struct lane_item *take_batch(struct lane *lane)
{
    struct lane_item *batch = lane->first;
    struct lane_item **end = &lane->first;
    size_t n = 0;

    while (*end != NULL && (lane->spec.batch_max == 0 || n < lane->spec.batch_max)) {
        end = &(*end)->next;
        n++;
    }
    lane->first = *end;
    *end = NULL;
    if (lane->first == NULL)
        lane->last = &lane->first;
    lane->waiting -= n;
    return batch;
}

/* On a core that callers share, the first push would otherwise make a batch of its own. */
static void let_others_push(struct lane *lane)
{
    if (!lane->spec.gather)
        return;
    pthread_mutex_unlock(&lane->mutex);
    sched_yield();
    pthread_mutex_lock(&lane->mutex);
}

/* Call `tend` with the mutex let go; returns when it wants the next call, monotonic ms, 0: not. */
static int64_t call_tend(struct lane *lane)
{
    int64_t wait_ms = 0;

    if (lane->spec.tend != NULL) {
        pthread_mutex_unlock(&lane->mutex);
        wait_ms = lane->spec.tend(lane->spec.context);
        pthread_mutex_lock(&lane->mutex);
    }
    return wait_ms > 0 ? clock_mono_ms() + wait_ms : 0;
}

/* Wait for a push or the stop, or until `due_ms` (0: for ever); true if that time has come. */
static bool wait_for_work(struct lane *lane, int64_t due_ms)
{
    struct timespec due = {.tv_sec = due_ms / 1000, .tv_nsec = due_ms % 1000 * 1000000};
    bool late = false;

    while (lane->first == NULL && !lane->stopping && !late) {
        if (due_ms == 0)
            pthread_cond_wait(&lane->wake, &lane->mutex);
        else
            late = pthread_cond_timedwait(&lane->wake, &lane->mutex, &due) == ETIMEDOUT;
    }
    return late && lane->first == NULL && !lane->stopping;
}

static void *lane_thread(void *arg)
{
    struct lane *lane = arg;
    int64_t due_ms = 0;

    pthread_mutex_lock(&lane->mutex);
    for (;;) {
        if (!wait_for_work(lane, due_ms)) {
            struct lane_item *batch;

            if (lane->first == NULL)
                break;
            let_others_push(lane);
            batch = take_batch(lane);
            pthread_mutex_unlock(&lane->mutex);
            lane->spec.run(lane->spec.context, batch);
            pthread_mutex_lock(&lane->mutex);
        }
        due_ms = call_tend(lane);
    }
    pthread_mutex_unlock(&lane->mutex);
    return NULL;
}

static bool start_threads(struct lane *lane)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (lane->started < lane->spec.threads) {
        pthread_t *thread = &lane->threads[lane->started];

        if (pthread_create(thread, NULL, lane_thread, lane) != 0)
            break;
        pthread_setname_np(*thread, lane->spec.name);
        lane->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return lane->started == lane->spec.threads;
}

static void init_monotonic(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

struct lane *lane_new(const struct lane_spec *spec)
{
    struct lane *lane = calloc(1, sizeof(*lane) + (size_t)spec->threads * sizeof(pthread_t));

    if (lane == NULL)
        return NULL;
    lane->spec = *spec;
    lane->last = &lane->first;
    pthread_mutex_init(&lane->mutex, NULL);
    init_monotonic(&lane->wake);
    if (!start_threads(lane)) {
        lane_free(lane);
        return NULL;
    }
    return lane;
}

bool lane_push(struct lane *lane, struct lane_item *item)
{
    bool room;

    item->next = NULL;
    pthread_mutex_lock(&lane->mutex);
    room = lane->spec.queue_max == 0 || lane->waiting < lane->spec.queue_max;
    if (room) {
        *lane->last = item;
        lane->last = &item->next;
        lane->waiting++;
        pthread_cond_signal(&lane->wake);
    }
    pthread_mutex_unlock(&lane->mutex);
    return room;
}

void lane_free(struct lane *lane)
{
    if (lane == NULL)
        return;
    pthread_mutex_lock(&lane->mutex);
    lane->stopping = true;
    pthread_cond_broadcast(&lane->wake);
    pthread_mutex_unlock(&lane->mutex);
    for (int i = 0; i < lane->started; i++)
        pthread_join(lane->threads[i], NULL);
    pthread_cond_destroy(&lane->wake);
    pthread_mutex_destroy(&lane->mutex);
    free(lane);
}
