/* src/base/log_trouble.h -- a failure that persists: the log has its first line at once, then lines
 * at growing intervals, each with the number of lines left out, and a last one when it is over. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum {
    LOG_TROUBLE_FIRST_MS = 1000, /* from the first line to the second; each pause is twice … */
    LOG_TROUBLE_MOST_MS = 300 * 1000, /* … the previous one, but at most this long */
    LOG_TROUBLE_REST_MS = 10 * 1000,  /* what fails again and again is not written more often */
};

/* One for each kind of failure, static: it belongs to all threads. */
struct log_trouble {
    const char *event; /* "store.unavailable" */
    pthread_mutex_t mutex;
    atomic_bool told;                   /* since it was over last */
    int64_t began_ms, due_ms, pause_ms; /* under the mutex, as the next */
    long left_out;
};
#define LOG_TROUBLE(name)                                                                          \
    {                                                                                              \
        .event = name, .mutex = PTHREAD_MUTEX_INITIALIZER                                          \
    }

/* It has failed again: an error line with the message of `err` and `left_out`, if one is due. */
void log_trouble(struct log_trouble *trouble, const struct err *err);
/* It has worked: if it had failed, an information line with `over_after_ms` and `left_out`. Cheap
 * otherwise. */
void log_trouble_over(struct log_trouble *trouble);

/* The same at a given time, for tests: is a line due, and how many were left out before it? */
bool log_trouble_due(struct log_trouble *trouble, int64_t now_ms, long *ret_left_out);
bool log_trouble_ends(struct log_trouble *trouble, int64_t now_ms, int64_t *ret_lasted_ms,
                      long *ret_left_out);
