/* src/proc/streams_impl.h -- shared by the files of the event streams: the listeners, and what has
 * been sent to them. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/thread.h"
#include "proc/loop.h"
#include "proc/streams.h"

enum {
    STREAMS_BUCKETS = 1024,
    STREAMS_ASKED_MAX = 32, /* concurrent look-ups in the store */
};

/* One event, shared by all queues that contain it; everything here is guarded by the lock of the
 * streams. */
struct stream_event {
    unsigned users;
    struct guid id; /* of the report */
    bool deleted;   /* it only says that the report is deleted */
    uint64_t number;
    int64_t made_ms; /* monotonic */
    size_t len;
    char text[];
};

/* A queue of events; zeroed: empty. */
struct stream_queue {
    struct stream_event **events;
    size_t first, count, room;
    size_t offset; /* bytes of the first event that were taken */
};

/* The last state of a report that was sent to the listeners. */
struct known {
    struct guid id;
    enum report_state state;
    bool told;       /* to all of them; otherwise some got the report with the first events of their
                      * stream */
    uint64_t number; /* of that event */
    int attempt;     /* of the report at that time */
    int64_t rows, bytes, position;
};

/* The listeners of one user. */
struct audience {
    int64_t user_id;
    LIST_HEAD(, stream) streams;
    size_t count;
    int64_t left_ms; /* when the last one left (monotonic) */
    struct known *known;
    size_t known_count, known_room;
    struct stream_queue memory; /* the latest events, for Last-Event-ID */
    uint64_t last_number;       /* of an event */
    uint64_t forgotten;         /* the highest number that is no longer in `memory` */
    bool missed;                /* changes may have been missed: ask for them */
    LIST_ENTRY(audience) entry;
};

struct stream {
    struct streams *streams;
    struct audience *audience;
    struct stream_spec spec;
    struct stream_queue unsent;
    uint64_t begun;        /* number of the last event before the stream began */
    int64_t began_ms;      /* store_now_ms() */
    struct known *greeted; /* reports among its first events, until a later change is sent */
    size_t greeted_count, greeted_room;
    bool started; /* the first bytes were taken */
    bool over, broken, comment;
    int64_t commented_ms;
    void (*wake)(void *owner); /* NULL: nothing is waiting */
    void *owner;
    bool closed, checking; /* `checking`: of its session; then the thread frees a closed stream */
    bool doubted;          /* the session may have ended: the stream is in `doubts` */
    LIST_ENTRY(stream) doubt;
    uint64_t version; /* of the session, at its last look-up; 0: none yet */
    int64_t checked_ms;
    LIST_ENTRY(stream) entry;
};

/* A look-up of the session of a stream, which is `checking`: most streams have none. */
struct stream_check {
    struct stream *stream;
    struct loop_call call;
    SLIST_ENTRY(stream_check) entry;
};

/* Why the store is asked, and how the answer is used. Look-ups are answered in any order; the
 * answers are used in the order in which the look-ups were made. */
enum lookup_kind {
    LOOKUP_CHANGE,   /* a report moved to `state` */
    LOOKUP_LIST,     /* which reports are in `state`? Each is … */
    LOOKUP_GREETING, /* … among the first events of `stream`, or … */
    LOOKUP_MISSED,   /* … sent to all, unless it is known */
    LOOKUP_PROGRESS, /* the progress of a known report */
};
enum {
    LOOKUP_LATER_MAX = 3,
    LOOKUP_NEAR_MAX = 64, /* how many look-ups are searched for one to share */
};
struct lookup {
    struct streams *streams;
    enum lookup_kind kind;
    int64_t user_id;
    struct guid id;
    enum report_state state;
    enum report_state later[LOOKUP_LATER_MAX]; /* CHANGE: moves after that one */
    size_t later_count;
    struct stream *stream; /* LIST, GREETING: NULL once the stream is closed */
    bool greets;           /* LIST */
    bool asked, answered;
    bool dropped; /* the report was deleted meanwhile */
    struct loop_call call;
    STAILQ_ENTRY(lookup) entry;
};

struct streams {
    struct store *store;
    struct loop *loop;
    pthread_t thread;
    struct lock lock; /* guards all members below, and everything reached from them */
    bool stopped, quitting;
    bool posted; /* `news` was posted, or waits for more */
    struct loop_message news;
    char epoch[GUID_TEXT]; /* of this process: events of another process are not known */
    atomic_size_t audience_count;
    atomic_llong open;          /* number of streams */
    uint64_t last_number;       /* of the events of audiences that are gone */
    LIST_HEAD(, stream) doubts; /* streams whose sessions have to be looked up */
    bool missed;                /* by `news`: of any report */
    LIST_HEAD(, audience) buckets[STREAMS_BUCKETS];
    STAILQ_HEAD(, lookup) lookups;
    size_t look_count, change_count; /* changes: since the last round of news */
    int hang_ups;                    /* an epoll(7) of the clients' sockets */
    /* used by the thread only */
    struct loop_watch hang_up;
    struct loop_timer tick, gather;
    int64_t paid_ms; /* how far the changes so far would reach at the rate at which none waits */
    unsigned ticks;
    size_t asked;
    unsigned next_bucket; /* where progress is looked up next */
    unsigned next_missed; /* where missed changes are looked up next */
};

/* A report whose state is sent; `report` has the rest, NULL: there is no more to send. */
struct news {
    struct guid id;
    enum report_state state;
    const struct report *report;
    int64_t position;
    bool progress;
};

/* All of these are called with the lock held. */

/* ---- stream_audience.c: events, and which streams get them ---- */

/* With one user; `text` is emptied. NULL: out of memory. */
struct stream_event *stream_event_new(const struct guid *id, struct buf *text);
void stream_event_release(struct stream_event *event);

/* False: out of memory. */
bool stream_queue_push(struct stream_queue *queue, struct stream_event *event);
struct stream_event *stream_queue_at(const struct stream_queue *queue, size_t index);
void stream_queue_pop(struct stream_queue *queue);
/* Drop the events of this report, except one that is partly taken. */
void stream_queue_forget(struct stream_queue *queue, const struct guid *id);
/* Take up to `max` bytes of the texts, one after the other. */
size_t stream_queue_take(struct stream_queue *queue, char *out, size_t max);
void stream_queue_done(struct stream_queue *queue);

struct audience *audience_find(struct streams *streams, int64_t user_id); /* NULL: none */
struct audience *audience_add(struct streams *streams, int64_t user_id);  /* NULL: out of memory */
void audience_remove(struct streams *streams, struct audience *audience);
/* The last state of this report that was sent to it; NULL: none. */
struct known *audience_known(struct audience *audience, const struct guid *id);
/* A new one. NULL: out of memory. It may replace the oldest one: a change of that report may then
 * be sent twice. */
struct known *audience_know(struct audience *audience, const struct guid *id);
/* Changes that several connections wrote may arrive in another order: does the report show that
 * this change came after the last one sent? */
bool known_is_outdated(const struct known *known, const struct report *report,
                       enum report_state state);
void audience_tell(struct streams *streams, struct audience *audience, const struct news *news);
/* Unless that was already sent. Events of the report that were not taken, and look-ups, are
 * dropped. */
void audience_tell_deleted(struct streams *streams, struct audience *audience,
                           const struct guid *id);
/* Send a report among the first events of the stream. */
void stream_tell(struct streams *streams, struct stream *stream, const struct news *news);
struct known *stream_greeted(const struct stream *stream, const struct guid *id);
void stream_push(struct stream *stream, struct stream_event *event);
/* The stream cannot be sent what it needs: it ends, and its client reconnects. */
void stream_break(struct stream *stream);
void stream_wake(struct stream *stream);
/* Its session is looked up soon. */
void stream_doubt(struct stream *stream);

/* ---- stream_lookups.c: look-ups in the store ---- */

/* Wake the thread. */
void lookups_post(struct streams *streams);
/* Look up report `id`, for the stream of the lookup `of`; NULL: for all. */
void lookups_add(struct streams *streams, enum lookup_kind kind, struct audience *audience,
                 const struct lookup *of, const struct guid *id);
/* Which reports are active? For `stream`, which has just begun; NULL: for all. */
void lookups_for_active(struct streams *streams, struct audience *audience, struct stream *stream);
/* Changes may have been missed. */
void lookups_for_missed(struct streams *streams, struct audience *audience);
void lookups_remove_first(struct streams *streams);
/* Without the lock, on the thread: start as many look-ups as are permitted now. */
void lookups_ask(struct streams *streams);
