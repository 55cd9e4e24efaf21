/* src/http/gate.h -- counts the requests in progress: they begin, are answered and end; a stop of
 * the server waits for them. Any thread. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/thread.h"

/* Embedded by the server; the fields are gate.c's. */
struct gate {
    struct lock lock;
    pthread_cond_t change;
    bool draining, hurried, closed;
    int64_t drained_ms;         /* monotonic: when the draining began */
    int64_t unanswered, unsent; /* requests begun: without an answer, not over */
    int64_t suspended;          /* connections that wait for a part of a result */
};

void gate_init(struct gate *gate); /* open, nothing in progress */
void gate_done(struct gate *gate); /* when it is no longer used */

/* A request begins. False: the server is draining, and takes no more. */
bool gate_begin(struct gate *gate);
void gate_answered(struct gate *gate);
/* A request that began is over: `answered` says whether gate_answered() was called for it. */
void gate_end(struct gate *gate, bool answered);
/* The connection of a request has to be suspended after its answer has begun, and has been resumed.
 * False: the library is about to be stopped, which is impossible while one is suspended. */
bool gate_suspend(struct gate *gate);
void gate_resumed(struct gate *gate);
/* May a connection be accepted? Also while draining: its requests are asked to come back. */
bool gate_is_open(struct gate *gate);

/* Refuse what begins from now on, and wait until all that has begun is answered. */
void gate_drain(struct gate *gate);
/* After gate_drain(): wait until what was answered is sent too, but not for long: a client that
 * reads slowly may not hold up the stop. Then no connection is accepted or suspended. */
void gate_close(struct gate *gate);
/* After gate_close(): wait until no connection is suspended. */
void gate_await_resumed(struct gate *gate);
/* Do not wait for slow clients. */
void gate_hurry(struct gate *gate);
