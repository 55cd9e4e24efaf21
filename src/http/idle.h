/* src/http/idle.h -- connections that are idle between requests, closed after a minute. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

/* The time-out of libmicrohttpd closes an idle connection without a look at what has arrived on it:
 * a request that waits for a thread that comes late is reset. This one ends the reading only, and
 * the library closes the connection when it has read, and answered, all that came before. */

struct idle_list;

/* A connection that can be idle; yours, zero-initialised except for `fd`, which is borrowed. */
struct idle {
    int fd;
    /* the list's */
    bool listed;
    int64_t since_ms; /* monotonic */
    TAILQ_ENTRY(idle) entry;
};

/* NULL: no memory. */
struct idle_list *idle_list_new(void);
void idle_list_free(struct idle_list *list); /* NULL is fine */

/* From `now_ms` (monotonic, never less than before) on it waits for a request. Any thread. */
void idle_begin(struct idle_list *list, struct idle *idle, int64_t now_ms);
/* A request has begun, or the socket is going to be closed. Any thread. */
void idle_end(struct idle_list *list, struct idle *idle);
/* End those that have been idle for a minute at `now_ms`; returns after how many milliseconds to
 * look again. Any thread. */
int idle_maintain(struct idle_list *list, int64_t now_ms);
