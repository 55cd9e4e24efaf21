/* src/base/lane.c -- a queue with threads behind it. */
#include "base/lane.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

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

static void *lane_thread(void *arg)
{
    struct lane *lane = arg;

    pthread_mutex_lock(&lane->mutex);
    for (;;) {
        struct lane_item *batch;

        while (lane->first == NULL && !lane->stopping)
            pthread_cond_wait(&lane->wake, &lane->mutex);
        if (lane->first == NULL)
            break;
        batch = take_batch(lane);
        pthread_mutex_unlock(&lane->mutex);
        lane->spec.run(lane->spec.context, batch);
        pthread_mutex_lock(&lane->mutex);
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

struct lane *lane_new(const struct lane_spec *spec)
{
    struct lane *lane = calloc(1, sizeof(*lane) + (size_t)spec->threads * sizeof(pthread_t));

    if (lane == NULL)
        return NULL;
    lane->spec = *spec;
    lane->last = &lane->first;
    pthread_mutex_init(&lane->mutex, NULL);
    pthread_cond_init(&lane->wake, NULL);
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
