/* src/base/work_queue.c -- a queue and the threads that work on it. */
#include "base/work_queue.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/thread.h"

struct work_queue {
    struct work_queue_spec spec;
    struct lock lock;
    pthread_cond_t wake;
    struct work_item *first, **last;
    size_t waiting;
    bool stopping, resting;
    int started;
    pthread_t threads[];
};

/* Take up to batch_max items off the queue. */
static struct work_item *take_batch(struct work_queue *work_queue)
{
    struct work_item *batch = work_queue->first;
    struct work_item **end = &work_queue->first;
    size_t n = 0;

    lock_check_held(&work_queue->lock);
    while (*end != NULL && (work_queue->spec.batch_max == 0 || n < work_queue->spec.batch_max)) {
        (*end)->queued = false;
        end = &(*end)->next;
        n++;
    }
    work_queue->first = *end;
    *end = NULL;
    if (work_queue->first == NULL)
        work_queue->last = &work_queue->first;
    CHECK(n <= work_queue->waiting);
    work_queue->waiting -= n;
    return batch;
}

/* If callers share this core, the first item pushed would otherwise make a batch of its own. */
static void let_others_push(struct work_queue *work_queue)
{
    if (!work_queue->spec.gather)
        return;
    lock_release(&work_queue->lock);
    sched_yield();
    lock_take(&work_queue->lock);
}

/* Call `maintain` without the lock; returns when to call it again, monotonic ms; 0: never. */
static int64_t call_maintain(struct work_queue *work_queue)
{
    int64_t wait_ms = 0;

    if (work_queue->spec.maintain != NULL) {
        lock_release(&work_queue->lock);
        wait_ms = work_queue->spec.maintain(work_queue->spec.context);
        lock_take(&work_queue->lock);
    }
    return wait_ms > 0 ? clock_mono_ms() + wait_ms : 0;
}

/* Let some more items come together, unless this is the end. */
static void rest_between_batches(struct work_queue *work_queue)
{
    int64_t until_ms;

    if (work_queue->spec.rest_ms == 0)
        return;
    until_ms = clock_mono_ms() + work_queue->spec.rest_ms;
    work_queue->resting = true;
    while (!work_queue->stopping && lock_wait_until(&work_queue->lock, &work_queue->wake, until_ms))
        continue;
    work_queue->resting = false;
}

/* Wait for a push or the stop, or until `due_ms` (0: forever); true: that time has come. */
static bool wait_for_work(struct work_queue *work_queue, int64_t due_ms)
{
    bool late = false;

    while (work_queue->first == NULL && !work_queue->stopping && !late) {
        if (due_ms == 0)
            lock_wait(&work_queue->lock, &work_queue->wake);
        else
            late = !lock_wait_until(&work_queue->lock, &work_queue->wake, due_ms);
    }
    return late && work_queue->first == NULL && !work_queue->stopping;
}

static void *work_queue_thread(void *arg)
{
    struct work_queue *work_queue = arg;
    int64_t due_ms = 0;

    if (work_queue->spec.nice != 0) /* on Linux this changes the calling thread only */
        setpriority(PRIO_PROCESS, 0, work_queue->spec.nice);
    lock_take(&work_queue->lock);
    for (;;) {
        if (!wait_for_work(work_queue, due_ms)) {
            struct work_item *batch;

            if (work_queue->first == NULL)
                break;
            let_others_push(work_queue);
            batch = take_batch(work_queue);
            lock_release(&work_queue->lock);
            work_queue->spec.run(work_queue->spec.context, batch);
            lock_take(&work_queue->lock);
        }
        due_ms = call_maintain(work_queue);
        rest_between_batches(work_queue);
    }
    lock_release(&work_queue->lock);
    return NULL;
}

static bool start_threads(struct work_queue *work_queue)
{
    while (work_queue->started < work_queue->spec.threads &&
           thread_start(&work_queue->threads[work_queue->started], work_queue->spec.name,
                        work_queue_thread, work_queue) == 0)
        work_queue->started++;
    return work_queue->started == work_queue->spec.threads;
}

struct work_queue *work_queue_new(const struct work_queue_spec *spec)
{
    struct work_queue *work_queue =
        calloc(1, sizeof(*work_queue) + (size_t)spec->threads * sizeof(pthread_t));

    if (work_queue == NULL)
        return NULL;
    work_queue->spec = *spec;
    work_queue->last = &work_queue->first;
    lock_init(&work_queue->lock);
    lock_cond_init(&work_queue->wake);
    if (!start_threads(work_queue)) {
        work_queue_free(work_queue);
        return NULL;
    }
    return work_queue;
}

bool work_queue_push(struct work_queue *work_queue, struct work_item *item)
{
    bool room;

    CHECK(!item->queued);
    item->next = NULL;
    lock_take(&work_queue->lock);
    room = work_queue->spec.queue_max == 0 || work_queue->waiting < work_queue->spec.queue_max;
    if (room) {
        item->queued = true;
        *work_queue->last = item;
        work_queue->last = &item->next;
        work_queue->waiting++;
        if (!work_queue->resting)
            pthread_cond_signal(&work_queue->wake);
    }
    lock_release(&work_queue->lock);
    return room;
}

void work_queue_free(struct work_queue *work_queue)
{
    if (work_queue == NULL)
        return;
    lock_take(&work_queue->lock);
    work_queue->stopping = true;
    pthread_cond_broadcast(&work_queue->wake);
    lock_release(&work_queue->lock);
    for (int i = 0; i < work_queue->started; i++)
        pthread_join(work_queue->threads[i], NULL);
    pthread_cond_destroy(&work_queue->wake);
    lock_done(&work_queue->lock);
    free(work_queue);
}
