/* src/base/log_trouble.c -- when a failure that persists is logged. */
#include "base/log_trouble.h"

#include "base/clock.h"
#include "base/log.h"

bool log_trouble_due(struct log_trouble *trouble, int64_t now_ms, long *ret_left_out)
{
    bool due;

    pthread_mutex_lock(&trouble->mutex);
    due = now_ms >= trouble->due_ms;
    if (!due) {
        trouble->left_out++;
    } else {
        if (!atomic_exchange(&trouble->told, true)) {
            trouble->began_ms = now_ms;
            trouble->pause_ms = LOG_TROUBLE_FIRST_MS;
        } else if (2 * trouble->pause_ms < LOG_TROUBLE_MOST_MS) {
            trouble->pause_ms *= 2;
        } else {
            trouble->pause_ms = LOG_TROUBLE_MOST_MS;
        }
        trouble->due_ms = now_ms + trouble->pause_ms;
        *ret_left_out = trouble->left_out;
        trouble->left_out = 0;
    }
    pthread_mutex_unlock(&trouble->mutex);
    return due;
}

bool log_trouble_ends(struct log_trouble *trouble, int64_t now_ms, int64_t *ret_lasted_ms,
                      long *ret_left_out)
{
    bool ends;

    if (!atomic_load(&trouble->told)) /* the usual case: nothing failed */
        return false;
    pthread_mutex_lock(&trouble->mutex);
    ends = atomic_exchange(&trouble->told, false);
    if (ends) {
        trouble->due_ms = now_ms + LOG_TROUBLE_REST_MS;
        *ret_lasted_ms = now_ms - trouble->began_ms;
        *ret_left_out = trouble->left_out;
        trouble->left_out = 0;
    }
    pthread_mutex_unlock(&trouble->mutex);
    return ends;
}

void log_trouble(struct log_trouble *trouble, const struct err *err)
{
    long left_out;

    if (log_trouble_due(trouble, clock_mono_ms(), &left_out))
        log_error(trouble->event, "error=%s detail=%s left_out=%ld", err->text, err->detail,
                  left_out);
}

void log_trouble_over(struct log_trouble *trouble)
{
    int64_t lasted_ms;
    long left_out;

    if (log_trouble_ends(trouble, clock_mono_ms(), &lasted_ms, &left_out))
        log_info(trouble->event, "over_after_ms=%ld left_out=%ld", (long)lasted_ms, left_out);
}
