/* src/proc/loop.h -- the events of one thread: descriptors, timers, messages from other threads and
 * the answers of store and spool. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "spool/spool.h"
#include "store/store.h"

/* Only loop_post() and loop_wake() may be called by any thread; everything else belongs to the
 * thread that calls loop_enter(), from then until it calls loop_leave(), and so does every
 * callback: a CHECK() sees to it. No callback may block. */
struct loop;

enum { LOOP_WATCHES_MAX = 256 };

/* -E_INTERNAL, -E_NOMEM. *ret is yours: loop_free(). */
int loop_new(struct loop **ret, struct err *err);
void loop_free(struct loop *loop); /* NULL is fine */

/* At the beginning and at the end of the thread. */
void loop_enter(struct loop *loop);
void loop_leave(struct loop *loop);
/* At the head of what belongs to the thread. */
void loop_check(const struct loop *loop);

/* Run `awake` whenever a wait for events is over, before they run. */
void loop_on_awake(struct loop *loop, void (*awake)(void *context), void *context);

/* Wait for the next events and run what they call for: descriptors first, then messages, then the
 * timers that are due. So a worker's answer before its deadline counts, however late it is read. */
void loop_round(struct loop *loop);

/* ---- messages ---- */

/* Embedded in what is sent; it belongs to the loop until `run`, which is called once and in the
 * order of loop_post(). Never blocks. */
struct loop_message {
    void (*run)(struct loop_message *message);
    struct loop_message *next;
};
void loop_post(struct loop *loop, struct loop_message *message);
/* End the wait of loop_round(). Cheap; never blocks. */
void loop_wake(struct loop *loop);
/* Those that no loop_round() will run any more, oldest first. */
struct loop_message *loop_take_messages(struct loop *loop);

/* ---- timers ---- */

/* Zeroed, with `run`: not set. Called once, when its time has come. */
struct loop_timer {
    void (*run)(struct loop_timer *timer);
    int64_t due_ms; /* clock_mono_ms() */
    struct loop_timer *next, **link;
};
void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t due_ms); /* or move it */
void loop_timer_cancel(struct loop_timer *timer); /* or do nothing */
static inline bool loop_timer_is_set(const struct loop_timer *timer)
{
    return timer->link != NULL;
}

/* ---- descriptors ---- */

/* The events that epoll_wait(2) reports for `fd` are passed to `ready` as long as the watch lasts:
 * an event that was already waiting when the watch ended is dropped, whatever uses the descriptor
 * or the watch by then. */
struct loop_watch {
    void (*ready)(struct loop_watch *watch);
    uint64_t key; /* the loop's */
    int fd;
};
/* `events` of epoll(7). -E_INTERNAL: there are LOOP_WATCHES_MAX, or the kernel refuses. */
int loop_watch(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events,
               struct err *err);
void loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events);
void loop_unwatch(struct loop *loop, struct loop_watch *watch); /* before fd is closed */

/* ---- questions to the store and to the spool, answered in the loop ---- */

/* Fill `op` except `done` and `owner`. `answered` is called once; from then on the call may be used
 * again or freed. store_op_done() is the caller's. */
struct loop_call {
    struct store_op op;
    bool asking; /* not answered yet */
    void (*answered)(struct loop_call *call);
    struct loop *loop;
    struct loop_message message;
};
void loop_ask(struct loop *loop, struct store *store, struct loop_call *call,
              void (*answered)(struct loop_call *call));
/* The same in two parts: the call is ready, and another thread may post `op`, once; or it is taken
 * back, of which the caller makes sure that nobody has posted it. */
void loop_ready(struct loop *loop, struct loop_call *call,
                void (*answered)(struct loop_call *call));
void loop_unready(struct loop *loop, struct loop_call *call);

struct loop_spool_call {
    struct spool_op op;
    void (*answered)(struct loop_spool_call *call);
    struct loop *loop;
    struct loop_message message;
};
/* Fill `op` except `done` and `owner`; never blocks. */
void loop_ask_spool(struct loop *loop, struct spool *spool, struct loop_spool_call *call,
                    void (*answered)(struct loop_spool_call *call));

/* How many questions are not answered yet. */
size_t loop_asking(const struct loop *loop);
