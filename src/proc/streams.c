/* src/proc/streams.c -- event streams: the thread, its timer, and the clients. */
#include "proc/streams.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "proc/hang_up.h"
#include "proc/streams_impl.h"

enum {
    TICK_MS = 250,   /* how often progress is looked up … */
    TICK_LOOKS = 64, /* … and of how many reports of this node's listeners at a time, in turn */
    TICKS_A_SECOND = 4,
    CHECK_MS = 15000, /* how often a session is looked up, in case the notification of its end was
                       * lost */
    COMMENT_MS = 15000,
    RETRY_MS = 2000,   /* time after which a client that was cut off reconnects */
    MEMORY_MS = 60000, /* how long events are kept for clients that reconnect */
    HANG_UPS = 64,     /* handled at a time */
    BURST_MS = 16, /* while there are more changes than one a millisecond, and this many more, … */
    GATHER_MS = 2, /* … they are looked up together, this much later */
};

/* ---- the timer, on the thread ---- */

static void end_now(struct stream *stream)
{
    stream->over = true;
    stream_queue_done(&stream->unsent);
    stream_wake(stream);
}

static void on_checked(struct loop_call *call)
{
    struct stream_check *check = container_of(call, struct stream_check, call);
    struct stream *stream = check->stream;
    struct streams *streams = stream->streams;
    bool failed = call->op.rc < 0, over = !failed && !call->op.session.found, closed;

    store_op_done(&call->op);
    free(check);
    lock_take(&streams->lock);
    stream->checking = false;
    closed = stream->closed;
    if (!closed && failed)
        stream_doubt(stream); /* in the next round */
    else if (!closed && stream->doubted)
        lookups_post(streams); /* it may have ended since the request */
    if (!closed && over)
        end_now(stream);
    lock_release(&streams->lock);
    if (closed)
        free(stream);
}

/* Does the store have to be asked about its session? */
static bool is_to_check(const struct stream *stream, uint64_t version, int64_t now_ms)
{
    if (stream->checking || stream->over)
        return false;
    if (stream->doubted)
        return true;
    return version != 0 ? version != stream->version : now_ms - stream->checked_ms >= CHECK_MS;
}

static void stream_trust(struct stream *stream)
{
    if (stream->doubted)
        LIST_REMOVE(stream, doubt);
    stream->doubted = false;
}

SLIST_HEAD(to_check, stream_check);

/* Without memory, the next round tries again. */
static void add_check(struct stream *stream, int64_t now_ms, struct to_check *to_check)
{
    uint64_t version = store_version(stream->streams->store, &stream->spec.session);
    struct stream_check *check;

    if (!is_to_check(stream, version, now_ms) || (check = calloc(1, sizeof(*check))) == NULL)
        return;
    stream_trust(stream);
    stream->version = version;
    stream->checked_ms = now_ms;
    stream->checking = true;
    check->stream = stream;
    check->call.op.verb = STORE_SESSION;
    check->call.op.session.session = stream->spec.session;
    check->call.op.session.any_access = true;
    check->call.op.session.now_ms = store_now_ms(stream->streams->store);
    SLIST_INSERT_HEAD(to_check, check, entry);
}

static void maintain_streams(struct audience *audience, int64_t now_ms, int64_t utc_ms,
                             struct to_check *to_check)
{
    struct stream *stream;

    LIST_FOREACH(stream, &audience->streams, entry)
    {
        if (utc_ms >= stream->spec.ends_ms)
            stream->over = true;
        if (now_ms - stream->commented_ms >= COMMENT_MS) {
            stream->comment = true;
            stream->commented_ms = now_ms;
        }
        if (stream->over || stream->comment)
            stream_wake(stream);
        add_check(stream, now_ms, to_check);
    }
}

static void forget_old(struct audience *audience, int64_t now_ms)
{
    while (audience->memory.count > 0) {
        const struct stream_event *event = stream_queue_at(&audience->memory, 0);

        if (now_ms - event->made_ms < MEMORY_MS)
            break;
        audience->forgotten = event->number;
        stream_queue_pop(&audience->memory);
    }
}

/* Also removes audiences to which nobody has returned. */
static void maintain_bucket(struct streams *streams, int bucket, struct to_check *to_check)
{
    int64_t now_ms = clock_mono_ms(), utc_ms = store_now_ms(streams->store);
    struct audience *audience, *next;

    for (audience = LIST_FIRST(&streams->buckets[bucket]); audience != NULL; audience = next) {
        next = LIST_NEXT(audience, entry);
        maintain_streams(audience, now_ms, utc_ms, to_check);
        forget_old(audience, now_ms);
        if (audience->count == 0 && now_ms - audience->left_ms >= MEMORY_MS)
            audience_remove(streams, audience);
    }
}

/* Look up the next listeners, as many as are permitted. */
static void ask_for_missed(struct streams *streams)
{
    struct audience *audience;

    lock_take(&streams->lock);
    for (int i = 0; i < STREAMS_BUCKETS; i++) {
        LIST_FOREACH(audience, &streams->buckets[streams->next_missed], entry)
        {
            if (streams->look_count >= STREAMS_ASKED_MAX)
                break;
            if (audience->missed && audience->count > 0)
                lookups_for_missed(streams, audience);
        }
        if (audience != NULL)
            break;
        streams->next_missed = (streams->next_missed + 1) % STREAMS_BUCKETS;
    }
    lock_release(&streams->lock);
}

static void check_sessions(struct streams *streams, struct to_check *to_check)
{
    struct stream_check *check;

    while ((check = SLIST_FIRST(to_check)) != NULL) {
        SLIST_REMOVE_HEAD(to_check, entry);
        loop_ask(streams->loop, streams->store, &check->call, on_checked);
    }
}

static void maintain_all(struct streams *streams)
{
    struct to_check to_check = SLIST_HEAD_INITIALIZER(to_check);

    for (int i = 0; i < STREAMS_BUCKETS; i++) {
        lock_take(&streams->lock);
        maintain_bucket(streams, i, &to_check);
        lock_release(&streams->lock);
    }
    check_sessions(streams, &to_check);
}

static void check_doubted(struct streams *streams)
{
    struct to_check to_check = SLIST_HEAD_INITIALIZER(to_check);
    int64_t now_ms = clock_mono_ms();
    struct stream *stream, *next;

    lock_take(&streams->lock);
    for (stream = LIST_FIRST(&streams->doubts); stream != NULL; stream = next) {
        next = LIST_NEXT(stream, doubt);
        add_check(stream, now_ms, &to_check);
    }
    lock_release(&streams->lock);
    check_sessions(streams, &to_check);
}

/* Look up the progress of some more active reports. */
static void ask_for_progress(struct streams *streams)
{
    struct audience *audience;

    lock_take(&streams->lock);
    for (int i = 0; i < STREAMS_BUCKETS && streams->look_count < TICK_LOOKS; i++) {
        streams->next_bucket = (streams->next_bucket + 1) % STREAMS_BUCKETS;
        LIST_FOREACH(audience, &streams->buckets[streams->next_bucket], entry)
        {
            for (size_t k = 0; k < audience->known_count && audience->count > 0; k++) {
                if (report_is_active(audience->known[k].state))
                    lookups_add(streams, LOOKUP_PROGRESS, audience, NULL, &audience->known[k].id);
            }
        }
    }
    lock_release(&streams->lock);
}

static void on_streams_tick(struct loop_timer *timer)
{
    struct streams *streams = container_of(timer, struct streams, tick);

    if (streams->ticks++ % TICKS_A_SECOND == 0)
        maintain_all(streams);
    ask_for_missed(streams);
    ask_for_progress(streams);
    lookups_ask(streams);
    if (atomic_load(&streams->audience_count) > 0)
        loop_timer_set(streams->loop, &streams->tick, clock_mono_ms() + TICK_MS);
}

static void hear_news(struct streams *streams)
{
    bool missed;

    lock_take(&streams->lock);
    streams->posted = false;
    missed = streams->missed;
    streams->missed = false;
    lock_release(&streams->lock);
    if (missed)
        maintain_all(streams);
    check_doubted(streams);
    lookups_ask(streams);
    if (!loop_timer_is_set(&streams->tick))
        loop_timer_set(streams->loop, &streams->tick, clock_mono_ms() + TICK_MS);
}

static void on_gathered(struct loop_timer *timer)
{
    hear_news(container_of(timer, struct streams, gather));
}

/* Are there so many changes that it is worth waiting for the next ones? */
static bool is_busy(struct streams *streams, int64_t now_ms)
{
    size_t changes;

    lock_take(&streams->lock);
    changes = streams->change_count;
    streams->change_count = 0;
    lock_release(&streams->lock);
    if (streams->paid_ms < now_ms - BURST_MS)
        streams->paid_ms = now_ms - BURST_MS;
    streams->paid_ms += (int64_t)changes;
    if (streams->paid_ms > now_ms + BURST_MS)
        streams->paid_ms = now_ms + BURST_MS;
    return streams->paid_ms > now_ms;
}

static void on_stream_news(struct loop_message *message)
{
    struct streams *streams = container_of(message, struct streams, news);
    int64_t now_ms = clock_mono_ms();

    if (is_busy(streams, now_ms))
        loop_timer_set(streams->loop, &streams->gather, now_ms + GATHER_MS);
    else
        hear_news(streams);
}

/* The library does not watch a suspended connection. */
static void on_stream_hang_ups(struct loop_watch *watch)
{
    struct streams *streams = container_of(watch, struct streams, hang_up);
    struct epoll_event events[HANG_UPS];
    int count;

    lock_take(&streams->lock); /* with the lock, no closed stream is seen */
    count = epoll_wait(streams->hang_ups, events, HANG_UPS, 0);
    for (int i = 0; i < count; i++) {
        struct stream *stream = events[i].data.ptr;

        if (hang_up_is(stream->spec.fd, stream->spec.tls))
            stream_break(stream);
    }
    lock_release(&streams->lock);
}

static bool is_to_quit(struct streams *streams)
{
    bool quit;

    lock_take(&streams->lock);
    quit = streams->quitting && loop_asking(streams->loop) == 0 && !streams->posted;
    lock_release(&streams->lock);
    return quit;
}

static void *streams_thread(void *arg)
{
    struct streams *streams = arg;
    struct err err;

    loop_enter(streams->loop);
    if (loop_watch(streams->loop, &streams->hang_up, streams->hang_ups, EPOLLIN, &err) < 0)
        log_error("streams.watch", "error=%s", err.text);
    while (!is_to_quit(streams))
        loop_round(streams->loop);
    loop_leave(streams->loop);
    return NULL;
}

/* ---- streams of clients ---- */

/* Read "EPOCH.NUMBER"; false: the events since then are not known. */
static bool read_last_id(const struct streams *streams, const struct audience *audience,
                         const char *last_id, uint64_t *ret)
{
    size_t len = strlen(streams->epoch);
    unsigned long long number;
    char *end;

    if (last_id == NULL || strncmp(last_id, streams->epoch, len) != 0 || last_id[len] != '.')
        return false;
    number = strtoull(last_id + len + 1, &end, 10);
    *ret = number;
    return *end == '\0' && number >= audience->forgotten && number <= audience->last_number;
}

static void begin_stream(struct streams *streams, struct stream *stream, const char *last_id)
{
    struct audience *audience = stream->audience;
    uint64_t last;

    if (!read_last_id(streams, audience, last_id, &last)) {
        lookups_for_active(streams, audience, stream);
        return;
    }
    for (size_t i = 0; i < audience->memory.count; i++) {
        struct stream_event *event = stream_queue_at(&audience->memory, i);

        if (event->number > last)
            stream_push(stream, event);
    }
}

/* Called with the lock held; `stream` belongs to the caller in any case. */
static int enlist(struct streams *streams, struct stream *stream, struct err *err)
{
    struct audience *audience = audience_find(streams, stream->spec.user_id);
    struct epoll_event hang_up = {.events = hang_up_events(stream->spec.tls), .data.ptr = stream};

    if (streams->stopped)
        return err_set(err, -E_BUSY, "The server is stopping. Try again in a moment.");
    if (audience == NULL)
        audience = audience_add(streams, stream->spec.user_id);
    if (audience == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    if (audience->count == STREAMS_OF_USER)
        return err_set(err, -E_STREAMS,
                       "You have %d event streams open on this server. Close one and try again.",
                       STREAMS_OF_USER);
    lookups_post(streams); /* otherwise nobody would remove it */
    if (epoll_ctl(streams->hang_ups, EPOLL_CTL_ADD, stream->spec.fd, &hang_up) < 0)
        return err_errno(err, -E_INTERNAL, "cannot watch a client");
    stream->audience = audience;
    stream->begun = audience->last_number;
    audience->count++;
    atomic_fetch_add(&streams->open, 1);
    LIST_INSERT_HEAD(&audience->streams, stream, entry);
    stream_doubt(stream); /* it may have ended since its token was checked */
    begin_stream(streams, stream, stream->spec.last_id);
    return 0;
}

int stream_open(struct streams *streams, const struct stream_spec *spec, struct stream **ret,
                struct err *err)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    int rc;

    if (stream == NULL)
        return err_set(err, -E_NOMEM, "Out of memory.");
    stream->streams = streams;
    stream->spec = *spec;
    stream->began_ms = store_now_ms(streams->store);
    stream->commented_ms = clock_mono_ms();
    lock_take(&streams->lock);
    rc = enlist(streams, stream, err);
    lock_release(&streams->lock);
    stream->spec.last_id = NULL; /* it was borrowed */
    if (rc < 0)
        free(stream);
    else
        *ret = stream;
    return rc;
}

int64_t streams_count(const struct streams *streams)
{
    return atomic_load(&streams->open);
}

void streams_end_external(struct streams *streams)
{
    struct audience *audience;
    struct stream *stream;

    lock_take(&streams->lock);
    for (int i = 0; i < STREAMS_BUCKETS; i++) {
        LIST_FOREACH(audience, &streams->buckets[i], entry)
        LIST_FOREACH(stream, &audience->streams, entry)
        {
            if (stream->spec.external && !stream->over)
                end_now(stream);
        }
    }
    lock_release(&streams->lock);
}

void stream_close(struct stream *stream)
{
    struct streams *streams;
    struct lookup *lookup;
    bool checking;

    if (stream == NULL)
        return;
    streams = stream->streams;
    lock_take(&streams->lock);
    CHECK(stream->wake == NULL && !stream->closed);
    stream->closed = true;
    LIST_REMOVE(stream, entry);
    stream_trust(stream);
    epoll_ctl(streams->hang_ups, EPOLL_CTL_DEL, stream->spec.fd, NULL);
    atomic_fetch_sub(&streams->open, 1);
    if (--stream->audience->count == 0)
        stream->audience->left_ms = clock_mono_ms();
    STAILQ_FOREACH(lookup, &streams->lookups, entry)
    {
        if (lookup->stream != stream)
            continue;
        lookup->stream =
            NULL; /* it has not received everything: if the client reconnects, it starts over */
        stream->audience->forgotten = ++stream->audience->last_number;
    }
    stream_queue_done(&stream->unsent);
    free(stream->greeted);
    checking = stream->checking;
    lock_release(&streams->lock);
    if (!checking)
        free(stream);
}

/* Data other than events. */
static size_t take_comment(struct stream *stream, char *out, size_t max)
{
    int n = 0;

    if (!stream->started)
        n = snprintf(out, max, "retry: %d\n\n", RETRY_MS);
    else if (stream->comment && stream->unsent.offset == 0)
        n = snprintf(out, max, ": nothing new\n\n");
    stream->started = true;
    stream->comment = false;
    return n > 0 && (size_t)n < max ? (size_t)n : 0;
}

ssize_t stream_take(struct stream *stream, char *out, size_t max)
{
    ssize_t n;

    lock_take(&stream->streams->lock);
    n = (ssize_t)take_comment(stream, out, max);
    n += (ssize_t)stream_queue_take(&stream->unsent, out + n, max - (size_t)n);
    if (n > 0)
        stream->commented_ms = clock_mono_ms();
    else if (stream->over)
        n = stream->broken ? STREAM_BROKEN : STREAM_OVER;
    lock_release(&stream->streams->lock);
    return n;
}

void stream_await(struct stream *stream, void (*how)(void *owner), void *owner)
{
    lock_take(&stream->streams->lock);
    CHECK(stream->wake == NULL);
    stream->wake = how;
    stream->owner = owner;
    if (stream->over || stream->comment || stream->unsent.count > 0)
        stream_wake(stream);
    lock_release(&stream->streams->lock);
}

/* ---- beginning and end ---- */

static void free_streams(struct streams *streams)
{
    struct audience *audience;

    while (!STAILQ_EMPTY(&streams->lookups))
        lookups_remove_first(streams);
    for (int i = 0; i < STREAMS_BUCKETS; i++) {
        while ((audience = LIST_FIRST(&streams->buckets[i])) != NULL)
            audience_remove(streams, audience);
    }
    loop_free(streams->loop);
    if (streams->hang_ups >= 0)
        close(streams->hang_ups);
    lock_done(&streams->lock);
    free(streams);
}

struct streams *streams_new(struct store *store)
{
    struct streams *streams = calloc(1, sizeof(*streams));
    struct guid epoch = guid_new();
    struct err err;

    if (streams == NULL)
        return NULL;
    streams->store = store;
    guid_format(&epoch, streams->epoch);
    lock_init(&streams->lock);
    STAILQ_INIT(&streams->lookups);
    streams->news.run = on_stream_news;
    streams->tick.run = on_streams_tick;
    streams->gather.run = on_gathered;
    streams->hang_up.ready = on_stream_hang_ups;
    streams->hang_ups = epoll_create1(EPOLL_CLOEXEC);
    if (streams->hang_ups < 0 || loop_new(&streams->loop, &err) < 0 ||
        thread_start(&streams->thread, "streams", streams_thread, streams) != 0) {
        free_streams(streams);
        return NULL;
    }
    return streams;
}

void streams_stop(struct streams *streams)
{
    struct audience *audience;
    struct stream *stream;

    lock_take(&streams->lock);
    streams->stopped = true;
    for (int i = 0; i < STREAMS_BUCKETS; i++) {
        LIST_FOREACH(audience, &streams->buckets[i], entry)
        LIST_FOREACH(stream, &audience->streams, entry)
        {
            stream->over = true;
            stream_wake(stream);
        }
    }
    lock_release(&streams->lock);
}

void streams_close(struct streams *streams)
{
    if (streams == NULL)
        return;
    lock_take(&streams->lock);
    CHECK(streams->stopped);
    streams->quitting = true;
    lock_release(&streams->lock);
    loop_wake(streams->loop);
    pthread_join(streams->thread, NULL);
}

void streams_free(struct streams *streams)
{
    if (streams != NULL)
        free_streams(streams);
}
