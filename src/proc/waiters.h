/* src/proc/waiters.h -- requests that wait for a report to end: woken when it does, at their
 * deadline, or when the client hangs up. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/guid.h"
#include "core/report.h"

struct waiters;

/* Embedded in the waiting request. `wake` is called once, on any thread, after waiters_add(),
 * unless waiters_cancel() was true. It must not block. */
struct waiter {
    struct guid id;
    int64_t user_id;     /* the user who waits; 0: unknown */
    int64_t deadline_ms; /* clock_mono_ms() */
    int fd;              /* of the client, open until it is woken or cancelled; -1: none */
    bool tls;            /* it speaks TLS */
    void (*wake)(struct waiter *waiter);
    void *owner;
    bool timed_out; /* out: the deadline has passed, the client has hung up (hang_up.h), or waiting
                     * is no longer possible */
    enum report_state state; /* out: what the report has become; active: it was not that it ended */
    bool doubted; /* out: woken because the session or key of the request may have ended; never
                   * cleared here */
    /* the waiters' */
    bool watched;
    struct waiter *next;
};

struct waiters *waiters_new(void); /* NULL: no memory or no thread */
/* From now on nothing waits: all waiters are woken immediately, as timed out. For the start of a
 * shutdown, while requests are still being answered. */
void waiters_stop(struct waiters *waiters);
/* Stops first. They must not be used any more, so only after the server's end. NULL is fine. */
void waiters_free(struct waiters *waiters);

void waiters_add(struct waiters *waiters, struct waiter *waiter);
/* True: it was waiting and `wake` will not be called; false: it was never added, or `wake` has
 * been or is being called. */
bool waiters_cancel(struct waiters *waiters, struct waiter *waiter);
/* The report has become `state`: wake its waiters. Any thread, cheap if there are none. */
void waiters_notify(struct waiters *waiters, const struct guid *id, enum report_state state);
/* Sessions or keys of this user (0: of any) have ended: wake those waiters, as doubted. */
void waiters_notify_user(struct waiters *waiters, int64_t user_id);
/* Any report, and any session, may have changed: wake all waiters, as doubted. */
void waiters_notify_all(struct waiters *waiters);
