/* src/proc/stream_audience.c -- the listeners of each user, and the events that are sent to
 * them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/json.h"
#include "proc/streams_impl.h"

/* ---- events with counted users, and rings of them ---- */

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

/* ---- audiences ---- */

enum {
    MEMORY_MAX = STORE_MANY_MAX, /* events of a user that are kept */
    KNOWN_MAX = 256,
    EVENT_MAX = 16 << 10,
};

struct audience *audience_find(struct streams *streams, int64_t user_id)
{
    struct audience *audience;

    lock_check_held(&streams->lock);
    LIST_FOREACH(audience, &streams->buckets[(uint64_t)user_id % STREAMS_BUCKETS], entry)
    {
        if (audience->user_id == user_id)
            return audience;
    }
    return NULL;
}

struct audience *audience_add(struct streams *streams, int64_t user_id)
{
    struct audience *audience = calloc(1, sizeof(*audience));

    if (audience == NULL)
        return NULL;
    audience->user_id = user_id;
    /* No id of an earlier audience is valid in this one. */
    audience->last_number = audience->forgotten = ++streams->last_number;
    LIST_INSERT_HEAD(&streams->buckets[(uint64_t)user_id % STREAMS_BUCKETS], audience, entry);
    atomic_fetch_add(&streams->audience_count, 1);
    return audience;
}

void audience_remove(struct streams *streams, struct audience *audience)
{
    CHECK(audience->count == 0);
    if (streams->last_number < audience->last_number)
        streams->last_number = audience->last_number;
    LIST_REMOVE(audience, entry);
    atomic_fetch_sub(&streams->audience_count, 1);
    stream_queue_done(&audience->memory);
    free(audience->known);
    free(audience);
}

struct known *audience_known(struct audience *audience, const struct guid *id)
{
    for (size_t i = 0; i < audience->known_count; i++) {
        if (guid_eq(&audience->known[i].id, id))
            return &audience->known[i];
    }
    return NULL;
}

static void forget_known(struct audience *audience, struct known *known)
{
    size_t behind = audience->known_count - (size_t)(known - audience->known) - 1;

    memmove(known, known + 1, behind * sizeof(*known));
    audience->known_count--;
}

struct known *audience_know(struct audience *audience, const struct guid *id)
{
    if (audience->known_count == KNOWN_MAX)
        forget_known(audience, &audience->known[0]);
    if (!array_grow(&audience->known, audience->known_count, &audience->known_room,
                    sizeof(*audience->known)))
        return NULL;
    audience->known[audience->known_count] = (struct known){.id = *id};
    return &audience->known[audience->known_count++];
}

bool known_is_outdated(const struct known *known, const struct report *report,
                       enum report_state state)
{
    if (known == NULL || !known->told)
        return true;
    if (!report_is_active(known->state))
        return false; /* an end may be reported twice, if its answer was lost */
    if (!report_is_active(state))
        return true;
    if (state == known->state)
        return state == REPORT_PROCESSING && report->attempt > known->attempt;
    return report->state == state || report->attempt > known->attempt;
}

static void remember_event(struct audience *audience, struct stream_event *event)
{
    if (audience->memory.count == MEMORY_MAX) {
        audience->forgotten = stream_queue_at(&audience->memory, 0)->number;
        stream_queue_pop(&audience->memory);
    }
    if (!stream_queue_push(&audience->memory, event))
        audience->forgotten = event->number;
}

/* ---- sending events ---- */

void stream_wake(struct stream *stream)
{
    void (*how)(void *owner) = stream->wake;

    lock_check_held(&stream->streams->lock);
    stream->wake = NULL;
    if (how != NULL)
        how(stream->owner);
}

void stream_push(struct stream *stream, struct stream_event *event)
{
    if (stream->over)
        return;
    if (stream->unsent.count == STREAM_UNSENT_MAX || !stream_queue_push(&stream->unsent, event))
        stream_break(stream);
    else
        stream_wake(stream);
}

void stream_doubt(struct stream *stream)
{
    lock_check_held(&stream->streams->lock);
    if (!stream->doubted)
        LIST_INSERT_HEAD(&stream->streams->doubts, stream, doubt);
    stream->doubted = true;
}

void stream_break(struct stream *stream)
{
    stream->over = stream->broken = true;
    stream_queue_done(&stream->unsent);
    stream_wake(stream);
}

struct known *stream_greeted(const struct stream *stream, const struct guid *id)
{
    for (size_t i = 0; i < stream->greeted_count; i++) {
        if (guid_eq(&stream->greeted[i].id, id))
            return &stream->greeted[i];
    }
    return NULL;
}

/* Did the stream's first events tell this, or what came after it? */
static bool was_greeted(struct stream *stream, const struct news *news)
{
    struct known *found = stream_greeted(stream, &news->id);

    if (found == NULL)
        return false;
    if (news->report != NULL && !known_is_outdated(found, news->report, news->state))
        return true;
    *found = stream->greeted[--stream->greeted_count];
    return false;
}

static bool add_greeted(struct stream *stream, const struct news *news)
{
    struct known *greeted = stream_greeted(stream, &news->id);

    if (greeted == NULL) {
        if (!array_grow(&stream->greeted, stream->greeted_count, &stream->greeted_room,
                        sizeof(*stream->greeted)))
            return false;
        greeted = &stream->greeted[stream->greeted_count++];
    }
    *greeted = (struct known){
        .id = news->id, .state = news->state, .told = true, .attempt = news->report->attempt};
    return true;
}

static void add_report_news(struct buf *text, const struct news *news)
{
    bool now = news->report->state == news->state; /* otherwise it has moved on */

    json_add_member(text, "reportName", news->report->name);
    json_add_member(text, "state", report_state_name(news->state));
    buf_add_format(text, ",\"rows\":%" PRId64 ",\"bytes\":%" PRId64 ",\"position\":%" PRId64,
                   now ? news->report->rows : 0, now ? news->report->bytes : 0,
                   now && news->state == REPORT_QUEUED ? news->position : 0);
    json_add_member(text, "message", now ? news->report->message : NULL);
}

/* NULL: out of memory. Number 0: no id, since a client that reconnects gets the event again, or not
 * at all. */
static struct stream_event *make_event(const struct streams *streams, uint64_t number,
                                       const struct news *news)
{
    char reference[GUID_TEXT];
    struct stream_event *event;
    struct buf text;

    buf_init(&text, EVENT_MAX);
    guid_format(&news->id, reference);
    buf_add_str(&text, "event: report\n");
    if (number != 0)
        buf_add_format(&text, "id: %s.%" PRIu64 "\n", streams->epoch, number);
    buf_add_str(&text, "data: {");
    json_add_member(&text, "reference", reference);
    if (news->report != NULL)
        add_report_news(&text, news);
    else
        json_add_member(&text, "state", "deleted");
    buf_add_str(&text, "}\n\n");
    event = stream_event_new(&news->id, &text);
    buf_done(&text);
    if (event != NULL) {
        event->number = number;
        event->deleted = news->report == NULL;
    }
    return event;
}

/* Without memory for an event, the streams end: their clients reconnect, and get the state at that
 * time. */
static void break_streams(struct audience *audience)
{
    struct stream *stream;

    LIST_FOREACH(stream, &audience->streams, entry)
    stream_break(stream);
}

/* A change may arrive late: had the report ended before the stream began? Then it was never active
 * for this stream. */
static bool was_over(const struct stream *stream, const struct news *news)
{
    return news->report != NULL && report_is_active(news->state) &&
           !report_is_active(news->report->state) && stream->began_ms >= news->report->finished_ms;
}

void audience_tell(struct streams *streams, struct audience *audience, const struct news *news)
{
    struct stream_event *event =
        make_event(streams, news->progress ? 0 : ++audience->last_number, news);
    struct stream *stream;

    if (event == NULL) {
        audience->forgotten = audience->last_number;
        break_streams(audience);
        return;
    }
    LIST_FOREACH(stream, &audience->streams, entry)
    {
        if (news->progress || (!was_over(stream, news) && !was_greeted(stream, news)))
            stream_push(stream, event);
    }
    if (!news->progress)
        remember_event(audience, event);
    stream_event_release(event);
}

void stream_tell(struct streams *streams, struct stream *stream, const struct news *news)
{
    struct stream_event *event = make_event(streams, 0, news);

    if (event == NULL || !add_greeted(stream, news))
        stream_break(stream);
    else
        stream_push(stream, event);
    if (event != NULL)
        stream_event_release(event);
}

/* ---- deletion ---- */

static bool was_told_deleted(const struct audience *audience, const struct guid *id)
{
    for (size_t i = 0; i < audience->memory.count; i++) {
        const struct stream_event *event = stream_queue_at(&audience->memory, i);

        if (event->deleted && guid_eq(&event->id, id))
            return true;
    }
    return false;
}

void audience_tell_deleted(struct streams *streams, struct audience *audience,
                           const struct guid *id)
{
    struct known *known = audience_known(audience, id);
    struct stream *stream;
    struct lookup *lookup;

    if (was_told_deleted(audience, id))
        return;
    STAILQ_FOREACH(lookup, &streams->lookups, entry)
    lookup->dropped = lookup->dropped || guid_eq(&lookup->id, id);
    if (known != NULL)
        forget_known(audience, known);
    LIST_FOREACH(stream, &audience->streams, entry)
    stream_queue_forget(&stream->unsent, id);
    stream_queue_forget(&audience->memory, id);
    audience_tell(streams, audience, &(struct news){.id = *id, .state = REPORT_DELETING});
}
