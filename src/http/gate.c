/* src/http/gate.c -- counters of requests, and waiting for them to become zero. */
#include "http/gate.h"

#include <string.h>

#include "base/clock.h"

enum { SEND_GRACE_MS = 5000 }; /* from the beginning of the drain, for answers on their way */

void gate_init(struct gate *gate)
{
    pthread_condattr_t attr;

    *gate = (struct gate){0};
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&gate->change, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&gate->mutex, NULL);
}

void gate_done(struct gate *gate)
{
    pthread_cond_destroy(&gate->change);
    pthread_mutex_destroy(&gate->mutex);
}

/* The mutex is held. */
static void tell(struct gate *gate)
{
    if (gate->draining)
        pthread_cond_signal(&gate->change);
}

bool gate_begin(struct gate *gate)
{
    bool open;

    pthread_mutex_lock(&gate->mutex);
    open = !gate->draining;
    gate->unanswered += open;
    gate->unsent += open;
    pthread_mutex_unlock(&gate->mutex);
    return open;
}

void gate_answered(struct gate *gate, int status)
{
    int class = status / 100;

    pthread_mutex_lock(&gate->mutex);
    gate->unanswered--;
    gate->answers[class > 0 && class < GATE_CLASSES ? class : 0]++;
    tell(gate);
    pthread_mutex_unlock(&gate->mutex);
}

void gate_end(struct gate *gate, bool answered)
{
    pthread_mutex_lock(&gate->mutex);
    gate->unsent--;
    gate->unanswered -= !answered;
    tell(gate);
    pthread_mutex_unlock(&gate->mutex);
}

bool gate_suspend(struct gate *gate)
{
    bool may;

    pthread_mutex_lock(&gate->mutex);
    may = !gate->closed;
    gate->suspended += may;
    pthread_mutex_unlock(&gate->mutex);
    return may;
}

void gate_resumed(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->suspended--;
    tell(gate);
    pthread_mutex_unlock(&gate->mutex);
}

bool gate_is_open(struct gate *gate)
{
    bool open;

    pthread_mutex_lock(&gate->mutex);
    open = !gate->closed;
    pthread_mutex_unlock(&gate->mutex);
    return open;
}

void gate_counts(struct gate *gate, int64_t ret[GATE_CLASSES])
{
    pthread_mutex_lock(&gate->mutex);
    memcpy(ret, gate->answers, sizeof(gate->answers));
    pthread_mutex_unlock(&gate->mutex);
}

void gate_drain(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    if (!gate->draining)
        gate->drained_ms = clock_mono_ms();
    gate->draining = true;
    while (gate->unanswered > 0)
        pthread_cond_wait(&gate->change, &gate->mutex);
    pthread_mutex_unlock(&gate->mutex);
}

void gate_close(struct gate *gate)
{
    int64_t until_ms;
    struct timespec until;
    int rc = 0;

    pthread_mutex_lock(&gate->mutex);
    until_ms = gate->drained_ms + SEND_GRACE_MS;
    until = (struct timespec){until_ms / 1000, until_ms % 1000 * 1000000};
    while (gate->unsent > 0 && !gate->hurried && rc == 0)
        rc = pthread_cond_timedwait(&gate->change, &gate->mutex, &until);
    gate->closed = true;
    while (gate->suspended > 0)
        pthread_cond_wait(&gate->change, &gate->mutex);
    pthread_mutex_unlock(&gate->mutex);
}

void gate_hurry(struct gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->hurried = true;
    tell(gate);
    pthread_mutex_unlock(&gate->mutex);
}
