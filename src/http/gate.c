/* src/http/gate.c -- counts requests, and waits until there are none. */
#include "http/gate.h"

#include <string.h>

#include "base/clock.h"
#include "base/thread.h"

enum { SEND_GRACE_MS = 5000 }; /* from the beginning of the drain, for answers on their way */

void gate_init(struct gate *gate)
{
    *gate = (struct gate){0};
    lock_cond_init(&gate->change);
    lock_init(&gate->lock);
}

void gate_done(struct gate *gate)
{
    CHECK(gate->unanswered == 0 && gate->unsent == 0 && gate->suspended == 0);
    pthread_cond_destroy(&gate->change);
    lock_done(&gate->lock);
}

static void tell_change(struct gate *gate)
{
    lock_check_held(&gate->lock);
    if (gate->draining)
        pthread_cond_signal(&gate->change);
}

bool gate_begin(struct gate *gate)
{
    bool open;

    lock_take(&gate->lock);
    open = !gate->draining;
    gate->unanswered += open;
    gate->unsent += open;
    lock_release(&gate->lock);
    return open;
}

void gate_answered(struct gate *gate)
{
    lock_take(&gate->lock);
    CHECK(gate->unanswered > 0);
    gate->unanswered--;
    tell_change(gate);
    lock_release(&gate->lock);
}

void gate_end(struct gate *gate, bool answered)
{
    lock_take(&gate->lock);
    CHECK(gate->unsent > 0 && gate->unanswered >= !answered);
    gate->unsent--;
    gate->unanswered -= !answered;
    tell_change(gate);
    lock_release(&gate->lock);
}

bool gate_suspend(struct gate *gate)
{
    bool may;

    lock_take(&gate->lock);
    may = !gate->closed;
    gate->suspended += may;
    lock_release(&gate->lock);
    return may;
}

void gate_resumed(struct gate *gate)
{
    lock_take(&gate->lock);
    CHECK(gate->suspended > 0);
    gate->suspended--;
    tell_change(gate);
    lock_release(&gate->lock);
}

bool gate_is_open(struct gate *gate)
{
    bool open;

    lock_take(&gate->lock);
    open = !gate->closed;
    lock_release(&gate->lock);
    return open;
}

void gate_drain(struct gate *gate)
{
    lock_take(&gate->lock);
    if (!gate->draining)
        gate->drained_ms = clock_mono_ms();
    gate->draining = true;
    while (gate->unanswered > 0)
        lock_wait(&gate->lock, &gate->change);
    lock_release(&gate->lock);
}

void gate_close(struct gate *gate)
{
    bool early = true;

    lock_take(&gate->lock);
    while (gate->unsent > 0 && !gate->hurried && early)
        early = lock_wait_until(&gate->lock, &gate->change, gate->drained_ms + SEND_GRACE_MS);
    gate->closed = true;
    lock_release(&gate->lock);
}

void gate_await_resumed(struct gate *gate)
{
    lock_take(&gate->lock);
    while (gate->suspended > 0)
        lock_wait(&gate->lock, &gate->change);
    lock_release(&gate->lock);
}

void gate_hurry(struct gate *gate)
{
    lock_take(&gate->lock);
    gate->hurried = true;
    tell_change(gate);
    lock_release(&gate->lock);
}
