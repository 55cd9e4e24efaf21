/* src/base/thread.h -- threads with a name and without signals; what belongs to one of
 * them, and locks, check who they are used by. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"

/* Start a thread in which all signals are blocked; `name`: at most 15 characters
 * (pthread_setname_np(3)). 0, or what pthread_create(3) returned; then *ret is untouched. */
int thread_start(pthread_t *ret, const char *name, void *(*run)(void *context), void *context);

/* ---- what belongs to one thread ---- */

/* Zeroed: not owned yet. */
struct thread_owner {
    _Atomic(const void *) thread;
};
/* From here until thread_disown() it belongs to the calling thread. CHECK: it has no other owner.
 */
void thread_own(struct thread_owner *owner);
void thread_disown(struct thread_owner *owner);
/* Owned by the calling thread, or not owned: before its thread starts, and after it has ended. */
bool thread_may_use(const struct thread_owner *owner);
/* Owned by the calling thread. */
bool thread_owns(const struct thread_owner *owner);
#define THREAD_CHECK(owner) CHECK(thread_may_use(owner))

/* ---- locks that record their holder ---- */

struct lock {
    pthread_mutex_t mutex;
    struct thread_owner holder;
};
void lock_init(struct lock *lock);
void lock_done(struct lock *lock);
void lock_take(struct lock *lock);
void lock_release(struct lock *lock);
/* At the head of what is called with the lock held. */
void lock_check_held(const struct lock *lock);

/* A condition whose time-outs use the monotonic clock. */
void lock_cond_init(pthread_cond_t *cond);
void lock_wait(struct lock *lock, pthread_cond_t *cond);
/* False: `until_ms` (clock_mono_ms()) has come. */
bool lock_wait_until(struct lock *lock, pthread_cond_t *cond, int64_t until_ms);

/* The struct of which `pointer` points to `member`. */
#define container_of(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* ---- waiting until a number of things that other threads do are done ---- */

struct latch {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    size_t left;
};

#define LATCH_OF(count)                                                                            \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, (count)                               \
    }

void latch_count_down(struct latch *latch); /* any thread; the last call may be the latch's end */
void latch_wait(struct latch *latch);
