/* src/proc/loop.c -- an epoll instance, an eventfd that ends its wait, a queue of messages and a
 * sorted list of timers. */
#include "proc/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"

enum { WAIT_MAX_MS = 60 * 1000 };

/* A slot for a watch. An event carries slot and generation; each watch that ends increments the
 * slot's generation, so that its pending events no longer match. */
struct place {
    struct loop_watch *watch; /* NULL: free */
    uint32_t generation;
};

struct loop {
    struct thread_owner owner;
    int epoll, wake_fd;
    struct loop_watch wake_watch;
    struct place places[LOOP_WATCHES_MAX];
    struct loop_timer *timers; /* the earliest first */
    size_t asking;
    void (*awake)(void *context);
    void *awake_context;
    struct lock lock; /* guards the members below */
    struct loop_message *first, **last;
};

void loop_enter(struct loop *loop)
{
    thread_own(&loop->owner);
}

void loop_leave(struct loop *loop)
{
    thread_disown(&loop->owner);
}

void loop_check(const struct loop *loop)
{
    THREAD_CHECK(&loop->owner);
}

/* ---- messages ---- */

void loop_wake(struct loop *loop)
{
    /* Fails only if the counter is full, and then the descriptor is readable anyway. */
    eventfd_write(loop->wake_fd, 1);
}

/* One that is already queued has ended the wait, or will; and the loop's own thread looks at the
 * queue before it waits. */
void loop_post(struct loop *loop, struct loop_message *message)
{
    bool wakes;

    CHECK(message->run != NULL);
    message->next = NULL;
    lock_take(&loop->lock);
    CHECK(loop->last != &message->next); /* it is already queued */
    wakes = loop->first == NULL && !thread_owns(&loop->owner);
    *loop->last = message;
    loop->last = &message->next;
    /* Inside the lock: once a message is taken, the loop may end, and its descriptor with it. */
    if (wakes)
        loop_wake(loop);
    lock_release(&loop->lock);
}

struct loop_message *loop_take_messages(struct loop *loop)
{
    struct loop_message *message;

    lock_take(&loop->lock);
    message = loop->first;
    loop->first = NULL;
    loop->last = &loop->first;
    lock_release(&loop->lock);
    return message;
}

/* Only resets the wake: messages run after all descriptors. */
static void on_wake_event(struct loop_watch *watch)
{
    eventfd_t count;

    eventfd_read(watch->fd, &count);
}

static void run_messages(struct loop *loop)
{
    struct loop_message *message = loop_take_messages(loop);

    while (message != NULL) {
        struct loop_message *next = message->next;

        message->run(message);
        message = next;
    }
}

/* ---- timers ---- */

void loop_timer_cancel(struct loop_timer *timer)
{
    if (timer->link == NULL)
        return;
    *timer->link = timer->next;
    if (timer->next != NULL)
        timer->next->link = timer->link;
    timer->next = NULL;
    timer->link = NULL;
}

static void insert(struct loop_timer **link, struct loop_timer *timer)
{
    while (*link != NULL && (*link)->due_ms <= timer->due_ms)
        link = &(*link)->next;
    timer->next = *link;
    timer->link = link;
    if (timer->next != NULL)
        timer->next->link = &timer->next;
    *link = timer;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t due_ms)
{
    loop_check(loop);
    CHECK(timer->run != NULL);
    loop_timer_cancel(timer);
    timer->due_ms = due_ms;
    insert(&loop->timers, timer);
}

/* Run the timers that are due now. One that is set again meanwhile waits for the next round, even
 * if it is due; one that is cancelled does not run. */
static void run_timers(struct loop *loop)
{
    int64_t now_ms = clock_mono_ms();
    struct loop_timer *due = NULL, *timer;

    while (loop->timers != NULL && loop->timers->due_ms <= now_ms) {
        timer = loop->timers;
        loop_timer_cancel(timer);
        insert(&due, timer);
    }
    while ((timer = due) != NULL) {
        loop_timer_cancel(timer);
        timer->run(timer);
    }
}

static bool has_messages(struct loop *loop)
{
    bool any;

    lock_take(&loop->lock);
    any = loop->first != NULL;
    lock_release(&loop->lock);
    return any;
}

/* Timeout for epoll_wait(); -1: no timer is set. */
static int patience_ms(struct loop *loop)
{
    int64_t left_ms;

    if (has_messages(loop))
        return 0;
    if (loop->timers == NULL)
        return -1;
    left_ms = loop->timers->due_ms - clock_mono_ms();
    return left_ms < 0 ? 0 : left_ms > WAIT_MAX_MS ? WAIT_MAX_MS : (int)left_ms;
}

/* ---- descriptors ---- */

static uint64_t watch_key(uint32_t index, uint32_t generation)
{
    return (uint64_t)generation << 32 | index;
}

static uint32_t key_index(uint64_t key)
{
    return (uint32_t)key;
}

static int control(struct loop *loop, int operation, const struct loop_watch *watch,
                   uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u64 = watch->key};

    return epoll_ctl(loop->epoll, operation, watch->fd, &event);
}

int loop_watch(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events,
               struct err *err)
{
    uint32_t index = 0;

    loop_check(loop);
    CHECK(watch->ready != NULL && fd >= 0);
    while (index < LOOP_WATCHES_MAX && loop->places[index].watch != NULL)
        index++;
    if (index == LOOP_WATCHES_MAX)
        return err_set(err, -E_INTERNAL, "too many descriptors to watch");
    watch->fd = fd;
    watch->key = watch_key(index, loop->places[index].generation);
    if (control(loop, EPOLL_CTL_ADD, watch, events) < 0)
        return err_errno(err, -E_INTERNAL, "can't watch a descriptor");
    loop->places[index].watch = watch;
    return 0;
}

void loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
    loop_check(loop);
    CHECK(loop->places[key_index(watch->key)].watch == watch);
    control(loop, EPOLL_CTL_MOD, watch, events); /* cannot fail for a watched descriptor */
}

void loop_unwatch(struct loop *loop, struct loop_watch *watch)
{
    struct place *place = &loop->places[key_index(watch->key)];

    loop_check(loop);
    if (place->watch != watch)
        return;
    control(loop, EPOLL_CTL_DEL, watch, 0);
    place->watch = NULL;
    place->generation++;
}

static void run_event(struct loop *loop, uint64_t key)
{
    struct place *place = &loop->places[key_index(key)];

    if (place->watch != NULL && key == watch_key(key_index(key), place->generation))
        place->watch->ready(place->watch);
}

void loop_on_awake(struct loop *loop, void (*awake)(void *context), void *context)
{
    loop->awake = awake;
    loop->awake_context = context;
}

void loop_round(struct loop *loop)
{
    struct epoll_event events[LOOP_WATCHES_MAX];
    int count;

    loop_check(loop);
    count = epoll_wait(loop->epoll, events, LOOP_WATCHES_MAX, patience_ms(loop));
    if (loop->awake != NULL)
        loop->awake(loop->awake_context);
    for (int i = 0; i < count; i++)
        run_event(loop, events[i].data.u64);
    run_messages(loop);
    run_timers(loop);
}

/* ---- questions ---- */

static void on_store_answer(struct loop_message *message)
{
    struct loop_call *call = container_of(message, struct loop_call, message);

    CHECK(call->asking && call->loop->asking > 0);
    call->asking = false;
    call->loop->asking--;
    call->answered(call);
}

static void store_answered(struct store_op *op)
{
    struct loop_call *call = op->owner;

    loop_post(call->loop, &call->message);
}

void loop_ready(struct loop *loop, struct loop_call *call, void (*answered)(struct loop_call *call))
{
    loop_check(loop);
    CHECK(!call->asking);
    call->loop = loop;
    call->asking = true;
    call->answered = answered;
    call->message.run = on_store_answer;
    call->op.done = store_answered;
    call->op.owner = call;
    loop->asking++;
}

void loop_unready(struct loop *loop, struct loop_call *call)
{
    loop_check(loop);
    CHECK(call->asking && !call->op.posted);
    call->asking = false;
    loop->asking--;
}

void loop_ask(struct loop *loop, struct store *store, struct loop_call *call,
              void (*answered)(struct loop_call *call))
{
    loop_ready(loop, call, answered);
    store_post(store, &call->op);
}

static void on_spool_answer(struct loop_message *message)
{
    struct loop_spool_call *call = container_of(message, struct loop_spool_call, message);

    CHECK(call->loop->asking > 0);
    call->loop->asking--;
    call->answered(call);
}

static void spool_answered(struct spool_op *op)
{
    struct loop_spool_call *call = op->owner;

    loop_post(call->loop, &call->message);
}

void loop_ask_spool(struct loop *loop, struct spool *spool, struct loop_spool_call *call,
                    void (*answered)(struct loop_spool_call *call))
{
    loop_check(loop);
    call->loop = loop;
    call->answered = answered;
    call->message.run = on_spool_answer;
    call->op.done = spool_answered;
    call->op.owner = call;
    loop->asking++;
    spool_post(spool, &call->op);
}

size_t loop_asking(const struct loop *loop)
{
    return loop->asking;
}

/* ---- start and end ---- */

int loop_new(struct loop **ret, struct err *err)
{
    struct loop *loop = calloc(1, sizeof(*loop));

    if (loop == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    loop->last = &loop->first;
    loop->wake_watch.ready = on_wake_event;
    lock_init(&loop->lock);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->epoll < 0 || loop->wake_fd < 0 ||
        loop_watch(loop, &loop->wake_watch, loop->wake_fd, EPOLLIN, NULL) < 0) {
        err_errno(err, -E_INTERNAL, "can't start a loop of events");
        loop_free(loop);
        return -E_INTERNAL;
    }
    *ret = loop;
    return 0;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    if (loop->epoll >= 0)
        close(loop->epoll);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    lock_done(&loop->lock);
    free(loop);
}
