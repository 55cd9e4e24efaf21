/* src/proc/streams_impl.h -- the listeners and what has been sent to them, for the files of the
 * event streams. */
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
    STREAMS_ASKED_MAX = 32, /* questions to the store at the same time */
};

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

/* A queue of them; zeroed: empty. */
struct stream_queue {
    struct stream_event **events;
    size_t first, count, room;
    size_t offset; /* bytes of the first one that were taken */
};

/* What the listeners were told last of a report. */
struct known {
    struct guid id;
    enum report_state state;
    bool told; /* to all of them; else some have had it as one that was there when they came */
    uint64_t number; /* of that event */
    int attempt;     /* of the report by then */
    int64_t rows, bytes, position;
};

/* The listeners of one user. */
struct audience {
    int64_t user_id;
    LIST_HEAD(, stream) streams;
    size_t count;
    int64_t left_ms; /* since then there is none (monotonic) */
    struct known *known;
    size_t known_count, known_room;
    struct stream_queue memory; /* the last events, for Last-Event-ID */
    uint64_t last_number;       /* of an event */
    uint64_t forgotten;         /* the highest number that is no longer in `memory` */
    bool missed;                /* changes may have been: ask for them */
    LIST_ENTRY(audience) entry;
};

/* A report that was there when its listener came: of its state the change may be told yet. */
struct greeted {
    struct guid id;
    enum report_state state;
};

struct stream {
    struct streams *streams;
    struct audience *audience;
    struct stream_spec spec;
    struct stream_queue unsent;
    uint64_t begun;   /* the last event that was made before it came */
    int64_t began_ms; /* store_now_ms() */
    struct greeted *greeted;
    size_t greeted_count, greeted_room;
    bool started; /* the first bytes were taken */
    bool over, broken, comment;
    int64_t commented_ms;
    void (*wake)(void *owner); /* NULL: nothing waits */
    void *owner;
    bool closed, checking; /* its session: then the thread frees it */
    bool doubted;          /* the session may have ended: it is in `doubts` */
    LIST_ENTRY(stream) doubt;
    uint64_t version; /* of the session, when it was looked up last; 0: not yet */
    int64_t checked_ms;
    LIST_ENTRY(stream) entry;
};

/* A question about the session of a stream, which is `checking`: most streams have none. */
struct stream_check {
    struct stream *stream;
    struct loop_call call;
    SLIST_ENTRY(stream_check) entry;
};

/* Why the store is asked, and what becomes of the answer. They are answered in any order, and told
 * in the order in which they were made. */
enum lookup_kind {
    LOOKUP_CHANGE,   /* a report moved to `state` */
    LOOKUP_LIST,     /* which reports are in `state`? Each is … */
    LOOKUP_GREETING, /* … there when `stream` comes, or … */
    LOOKUP_MISSED,   /* … to be told to all, unless it is known */
    LOOKUP_PROGRESS, /* of a known one */
};
struct lookup {
    struct streams *streams;
    enum lookup_kind kind;
    int64_t user_id;
    struct guid id;
    enum report_state state;
    struct stream *stream; /* LIST, GREETING: NULL once it is closed */
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
    struct lock lock; /* of all below, and of all that is reached from it */
    bool stopped, quitting;
    bool posted; /* `news` */
    struct loop_message news;
    char epoch[GUID_TEXT]; /* of this process: events of another one are not known */
    atomic_size_t audience_count;
    atomic_llong open;          /* streams */
    uint64_t last_number;       /* of an event of an audience that is gone */
    LIST_HEAD(, stream) doubts; /* whose sessions are to be looked up */
    bool missed;                /* news: any of them */
    LIST_HEAD(, audience) buckets[STREAMS_BUCKETS];
    STAILQ_HEAD(, lookup) lookups;
    size_t look_count;
    int hang_ups; /* an epoll(7) of the clients' sockets */
    /* the thread's */
    struct loop_watch hang_up;
    struct loop_timer tick;
    unsigned ticks;
    size_t asked;
    unsigned next_bucket; /* whose progress is looked for next */
    unsigned next_missed; /* whose missed news are */
};

/* Of a report whose state is told; `report` says the rest, NULL: nothing is to be said. */
struct news {
    struct guid id;
    enum report_state state;
    const struct report *report;
    int64_t position;
    bool progress;
};

/* All of these with the lock held. */

/* ---- stream_audience.c: events, and which streams get them ---- */

/* With one user; `text` is emptied. NULL: no memory. */
struct stream_event *stream_event_new(const struct guid *id, struct buf *text);
void stream_event_release(struct stream_event *event);

/* False: no memory. */
bool stream_queue_push(struct stream_queue *queue, struct stream_event *event);
struct stream_event *stream_queue_at(const struct stream_queue *queue, size_t index);
void stream_queue_pop(struct stream_queue *queue);
/* Drop what is said of this report, except an event that is partly taken. */
void stream_queue_forget(struct stream_queue *queue, const struct guid *id);
/* Up to `max` bytes of their texts, one after the other. */
size_t stream_queue_take(struct stream_queue *queue, char *out, size_t max);
void stream_queue_done(struct stream_queue *queue);

struct audience *audience_find(struct streams *streams, int64_t user_id); /* NULL: none */
struct audience *audience_add(struct streams *streams, int64_t user_id);  /* NULL: no memory */
void audience_remove(struct streams *streams, struct audience *audience);
/* The last state of this report that was sent to it; NULL: none. */
struct known *audience_known(struct audience *audience, const struct guid *id);
/* A new one. NULL: no memory. The oldest makes room: of an old report a change may then be told
 * twice. */
struct known *audience_know(struct audience *audience, const struct guid *id);
void audience_tell(struct streams *streams, struct audience *audience, const struct news *news);
/* Unless it was told. What has not been taken of the report, and what is being asked, is dropped.
 */
void audience_tell_deleted(struct streams *streams, struct audience *audience,
                           const struct guid *id);
/* That a report was there when it came. */
void stream_tell(struct streams *streams, struct stream *stream, const struct news *news);
struct greeted *stream_greeted(const struct stream *stream, const struct guid *id);
void stream_push(struct stream *stream, struct stream_event *event);
/* It cannot be told what it has to be: its client comes again. */
void stream_break(struct stream *stream);
void stream_wake(struct stream *stream);
/* Its session is looked up soon. */
void stream_doubt(struct stream *stream);

/* ---- stream_lookups.c: what the store is asked ---- */

/* The thread has something to do. */
void lookups_post(struct streams *streams);
/* Of the report `id`; for the stream of the lookup `of`, NULL: for all. */
void lookups_add(struct streams *streams, enum lookup_kind kind, struct audience *audience,
                 const struct lookup *of, const struct guid *id);
/* Which reports are active? For `stream`, which has just come; NULL: for all. */
void lookups_for_active(struct streams *streams, struct audience *audience, struct stream *stream);
/* News may have been missed. */
void lookups_for_missed(struct streams *streams, struct audience *audience);
void lookups_remove_first(struct streams *streams);
/* Without the lock, on the thread: ask as much as may be asked now. */
void lookups_ask(struct streams *streams);
