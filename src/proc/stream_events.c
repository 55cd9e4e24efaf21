/* src/proc/stream_events.c -- events with counted users, and rings of them. */
#include "proc/stream_events.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

enum { ROOM_FIRST = 8 };

struct stream_event *stream_event_new(const struct guid *id, struct buf *text)
{
    struct stream_event *event = buf_failed(text) ? NULL : malloc(sizeof(*event) + text->len);

    if (event != NULL) {
        *event = (struct stream_event){
            .users = 1, .id = *id, .made_ms = clock_mono_ms(), .len = text->len};
        memcpy(event->text, text->data, text->len);
    }
    buf_reset(text);
    return event;
}

void stream_event_release(struct stream_event *event)
{
    CHECK(event->users > 0);
    if (--event->users == 0)
        free(event);
}

struct stream_event *stream_queue_at(const struct stream_queue *queue, size_t index)
{
    CHECK(index < queue->count);
    return queue->events[(queue->first + index) % queue->room];
}

static bool grow_queue(struct stream_queue *queue)
{
    size_t room = queue->room > 0 ? 2 * queue->room : ROOM_FIRST;
    struct stream_event **events = calloc(room, sizeof(struct stream_event *));

    if (events == NULL)
        return false;
    for (size_t i = 0; i < queue->count; i++)
        events[i] = stream_queue_at(queue, i);
    free(queue->events);
    queue->events = events;
    queue->first = 0;
    queue->room = room;
    return true;
}

bool stream_queue_push(struct stream_queue *queue, struct stream_event *event)
{
    if (queue->count == queue->room && !grow_queue(queue))
        return false;
    event->users++;
    queue->events[(queue->first + queue->count++) % queue->room] = event;
    return true;
}

void stream_queue_pop(struct stream_queue *queue)
{
    stream_event_release(stream_queue_at(queue, 0));
    queue->first = (queue->first + 1) % queue->room;
    queue->count--;
    queue->offset = 0;
}

void stream_queue_forget(struct stream_queue *queue, const struct guid *id)
{
    size_t kept = 0;

    for (size_t i = 0; i < queue->count; i++) {
        struct stream_event *event = stream_queue_at(queue, i);

        if (guid_eq(&event->id, id) && !(i == 0 && queue->offset > 0))
            stream_event_release(event);
        else
            queue->events[(queue->first + kept++) % queue->room] = event;
    }
    queue->count = kept;
}

size_t stream_queue_take(struct stream_queue *queue, char *out, size_t max)
{
    size_t taken = 0;

    while (queue->count > 0 && taken < max) {
        const struct stream_event *event = stream_queue_at(queue, 0);
        size_t left = event->len - queue->offset, n = left < max - taken ? left : max - taken;

        memcpy(out + taken, event->text + queue->offset, n);
        taken += n;
        queue->offset += n;
        if (queue->offset == event->len)
            stream_queue_pop(queue);
    }
    return taken;
}

void stream_queue_done(struct stream_queue *queue)
{
    while (queue->count > 0)
        stream_queue_pop(queue);
    free(queue->events);
    *queue = (struct stream_queue){0};
}
