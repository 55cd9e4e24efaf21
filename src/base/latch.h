/* src/base/latch.h -- wait until a number of things that other threads do are done. */
#pragma once

#include <pthread.h>
#include <stddef.h>

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
