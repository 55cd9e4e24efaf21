/* src/base/latch.c -- wait until a number of things are done. */
#include "base/latch.h"

#include "base/check.h"

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
