/* src/proc/channel.h -- the server's end of a worker's socket: what is sent waits in a queue, so
 * that the loop never waits for a worker. */
#pragma once

#include <stddef.h>

#include "base/err.h"
#include "proc/loop.h"
#include "proc/wire.h"

enum { CHANNEL_QUEUE_MAX = 4 /* orders that wait: a RUN and its CANCEL are two */ };

struct channel {
    struct loop *loop;
    struct loop_watch watch;
    int fd;                                     /* -1: closed */
    struct wire_order queue[CHANNEL_QUEUE_MAX]; /* a ring; their descriptors are the channel's */
    size_t first, queued;
    /* An answer has come. May close the channel. */
    void (*heard)(struct channel *channel, const struct wire_answer *answer);
    /* The other side has closed it (why->code 0), or it is broken: close it. Not called by
     * channel_close(). */
    void (*ended)(struct channel *channel, const struct err *why);
};

/* Watch the socket `fd`, which belongs to the channel from now on, also on failure. `heard` and
 * `ended` are set by the caller. -E_INTERNAL. */
int channel_open(struct channel *channel, struct loop *loop, int fd, struct err *err);
/* Close the socket and forget what was not sent. */
void channel_close(struct channel *channel);

/* Send, or queue after the orders that already wait; descriptors are duplicated if necessary.
 * -E_IO: it is closed or broken, or CHANNEL_QUEUE_MAX orders wait. */
int channel_send(struct channel *channel, const struct wire_order *order, struct err *err);

/* Take all that has come, of a worker that is dead. */
void channel_drain(struct channel *channel);
