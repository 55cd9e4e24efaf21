/* src/proc/stream_events.h -- the events that clients have not got yet, or may ask for again. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/guid.h"

/* One event, shared by all who have it; all of this under the lock of the streams. */
struct stream_event {
    unsigned users;
    struct guid id; /* of the report */
    bool deleted;   /* says that it is gone, and nothing else */
    uint64_t number;
    int64_t made_ms; /* monotonic */
    size_t len;
    char text[];
};
/* With one user; `text` is emptied. NULL: no memory. */
struct stream_event *stream_event_new(const struct guid *id, struct buf *text);
void stream_event_release(struct stream_event *event);

/* A queue of them; zeroed: empty. */
struct stream_queue {
    struct stream_event **events;
    size_t first, count, room;
    size_t offset; /* bytes of the first one that were taken */
};
/* False: no memory. */
bool stream_queue_push(struct stream_queue *queue, struct stream_event *event);
struct stream_event *stream_queue_at(const struct stream_queue *queue, size_t index);
void stream_queue_pop(struct stream_queue *queue);
/* Drop what is said of this report, except an event that is partly taken. */
void stream_queue_forget(struct stream_queue *queue, const struct guid *id);
/* Up to `max` bytes of their texts, one after the other. */
size_t stream_queue_take(struct stream_queue *queue, char *out, size_t max);
void stream_queue_done(struct stream_queue *queue);
