/* src/base/thread.c -- threads, and checks of the current thread and of held locks. */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

int thread_start(pthread_t *ret, const char *name, void *(*run)(void *context), void *context)
{
    sigset_t all, before;
    pthread_t thread;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0) {
        pthread_setname_np(thread, name);
        *ret = thread;
    }
    return rc;
}

/* Its address tells the living threads apart. */
static _Thread_local char self;

static const void *owner_of(const struct thread_owner *owner)
{
    return atomic_load_explicit(&owner->thread, memory_order_relaxed);
}

static void set_owner(struct thread_owner *owner, const void *thread)
{
    atomic_store_explicit(&owner->thread, thread, memory_order_relaxed);
}

void thread_own(struct thread_owner *owner)
{
    CHECK(owner_of(owner) == NULL);
    set_owner(owner, &self);
}

void thread_disown(struct thread_owner *owner)
{
    CHECK(owner_of(owner) == &self);
    set_owner(owner, NULL);
}

bool thread_may_use(const struct thread_owner *owner)
{
    const void *thread = owner_of(owner);

    return thread == NULL || thread == &self;
}

bool thread_owns(const struct thread_owner *owner)
{
    return owner_of(owner) == &self;
}

void lock_init(struct lock *lock)
{
    *lock = (struct lock){0};
    pthread_mutex_init(&lock->mutex, NULL);
}

void lock_done(struct lock *lock)
{
    CHECK(owner_of(&lock->holder) == NULL);
    pthread_mutex_destroy(&lock->mutex);
}

void lock_take(struct lock *lock)
{
    pthread_mutex_lock(&lock->mutex);
    thread_own(&lock->holder);
}

void lock_release(struct lock *lock)
{
    thread_disown(&lock->holder);
    pthread_mutex_unlock(&lock->mutex);
}

void lock_check_held(const struct lock *lock)
{
    CHECK(owner_of(&lock->holder) == &self);
}

void lock_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void lock_wait(struct lock *lock, pthread_cond_t *cond)
{
    thread_disown(&lock->holder);
    pthread_cond_wait(cond, &lock->mutex);
    thread_own(&lock->holder);
}

bool lock_wait_until(struct lock *lock, pthread_cond_t *cond, int64_t until_ms)
{
    struct timespec until = {until_ms / 1000, until_ms % 1000 * 1000000};
    int rc;

    thread_disown(&lock->holder);
    rc = pthread_cond_timedwait(cond, &lock->mutex, &until);
    thread_own(&lock->holder);
    return rc != ETIMEDOUT;
}

void latch_count_down(struct latch *latch)
{
    pthread_mutex_lock(&latch->mutex);
    CHECK(latch->left > 0);
    if (--latch->left == 0)
        pthread_cond_signal(&latch->wake);
    pthread_mutex_unlock(&latch->mutex);
}

void latch_wait(struct latch *latch)
{
    pthread_mutex_lock(&latch->mutex);
    while (latch->left > 0)
        pthread_cond_wait(&latch->wake, &latch->mutex);
    pthread_mutex_unlock(&latch->mutex);
}
