/* src/base/lane.c -- a queue with threads behind it. */
#include "base/lane.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/thread.h"

struct lane {
    struct lane_spec spec;
    struct lock lock;
    pthread_cond_t wake;
    struct lane_item *first, **last;
    size_t waiting;
    bool stopping;
    int started;
    pthread_t threads[];
};

/* Take up to batch_max items off the queue. */
static struct lane_item *take_batch(struct lane *lane)
{
    struct lane_item *batch = lane->first;
    struct lane_item **end = &lane->first;
    size_t n = 0;

    lock_check_held(&lane->lock);
    while (*end != NULL && (lane->spec.batch_max == 0 || n < lane->spec.batch_max)) {
        end = &(*end)->next;
        n++;
    }
    lane->first = *end;
    *end = NULL;
    if (lane->first == NULL)
        lane->last = &lane->first;
    CHECK(n <= lane->waiting);
    lane->waiting -= n;
    return batch;
}

/* On a core that callers share, the first push would otherwise make a batch of its own. */
static void let_others_push(struct lane *lane)
{
    if (!lane->spec.gather)
        return;
    lock_release(&lane->lock);
    sched_yield();
    lock_take(&lane->lock);
}

/* Call `tend` with the lock let go; returns when it wants the next call, monotonic ms, 0: not. */
static int64_t call_tend(struct lane *lane)
{
    int64_t wait_ms = 0;

    if (lane->spec.tend != NULL) {
        lock_release(&lane->lock);
        wait_ms = lane->spec.tend(lane->spec.context);
        lock_take(&lane->lock);
    }
    return wait_ms > 0 ? clock_mono_ms() + wait_ms : 0;
}

/* Wait for a push or the stop, or until `due_ms` (0: for ever); true if that time has come. */
static bool wait_for_work(struct lane *lane, int64_t due_ms)
{
    bool late = false;

    while (lane->first == NULL && !lane->stopping && !late) {
        if (due_ms == 0)
            lock_wait(&lane->lock, &lane->wake);
        else
            late = !lock_wait_until(&lane->lock, &lane->wake, due_ms);
    }
    return late && lane->first == NULL && !lane->stopping;
}

static void *lane_thread(void *arg)
{
    struct lane *lane = arg;
    int64_t due_ms = 0;

    lock_take(&lane->lock);
    for (;;) {
        if (!wait_for_work(lane, due_ms)) {
            struct lane_item *batch;

            if (lane->first == NULL)
                break;
            let_others_push(lane);
            batch = take_batch(lane);
            lock_release(&lane->lock);
            lane->spec.run(lane->spec.context, batch);
            lock_take(&lane->lock);
        }
        due_ms = call_tend(lane);
    }
    lock_release(&lane->lock);
    return NULL;
}

static bool start_threads(struct lane *lane)
{
    while (lane->started < lane->spec.threads &&
           thread_start(&lane->threads[lane->started], lane->spec.name, lane_thread, lane) == 0)
        lane->started++;
    return lane->started == lane->spec.threads;
}

struct lane *lane_new(const struct lane_spec *spec)
{
    struct lane *lane = calloc(1, sizeof(*lane) + (size_t)spec->threads * sizeof(pthread_t));

    if (lane == NULL)
        return NULL;
    lane->spec = *spec;
    lane->last = &lane->first;
    lock_init(&lane->lock);
    lock_cond_init(&lane->wake);
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
    lock_take(&lane->lock);
    room = lane->spec.queue_max == 0 || lane->waiting < lane->spec.queue_max;
    if (room) {
        *lane->last = item;
        lane->last = &item->next;
        lane->waiting++;
        pthread_cond_signal(&lane->wake);
    }
    lock_release(&lane->lock);
    return room;
}

void lane_free(struct lane *lane)
{
    if (lane == NULL)
        return;
    lock_take(&lane->lock);
    lane->stopping = true;
    pthread_cond_broadcast(&lane->wake);
    lock_release(&lane->lock);
    for (int i = 0; i < lane->started; i++)
        pthread_join(lane->threads[i], NULL);
    pthread_cond_destroy(&lane->wake);
    lock_done(&lane->lock);
    free(lane);
}
