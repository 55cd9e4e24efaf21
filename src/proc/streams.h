/* src/proc/streams.h -- event streams: a user's reports as they change, live, for each of the
 * clients that listen. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/guid.h"
#include "store/store.h"

enum {
    STREAMS_OF_USER = 10,     /* at the same time */
    STREAM_UNSENT_MAX = 2048, /* events: a client that is further behind is disconnected */
    STREAM_ID_TEXT = 64,      /* of Last-Event-ID, with the NUL */
};

/* Nothing is stored. One thread reads the content of events, whatever the number of streams; events
 * about a report are dropped when the report is deleted. */
struct streams;
struct streams *streams_new(struct store *store); /* NULL: no memory or no thread */
/* All streams end, and none begins. For the start of a shutdown. */
void streams_stop(struct streams *streams);
/* After that, when no stream is left, and before the store's end: the thread ends. NULL is fine. */
void streams_close(struct streams *streams);
/* After the store's end. NULL is fine. */
void streams_free(struct streams *streams);

/* Of each change in the store, after its commit (store_listen()). Any thread; never blocks. Once
 * it returns for a deletion, no event mentions the report any more, except that it is deleted. */
void streams_on_change(struct streams *streams, const struct store_change *change);

/* How many are open. Any thread. */
int64_t streams_count(const struct streams *streams);

/* One client's. */
struct stream;
struct stream_spec {
    int fd;   /* the client's socket, borrowed: once the client has hung up (hang_up.h), it ends */
    bool tls; /* it speaks TLS */
    int64_t user_id;
    struct guid session; /* it ends at once when this is over … */
    int64_t ends_ms;     /* … and at this time, by store_now_ms() */
    bool external;       /* by the token of an identity provider: streams_end_external() */
    const char *last_id; /* Last-Event-ID; NULL: none */
};
/* It begins with what has happened since `last_id`, if that is still known, else with an event for
 * each active report. *ret is yours: stream_close(). -E_STREAMS: the user has STREAMS_OF_USER;
 * -E_BUSY: stopped; -E_NOMEM. */
int stream_open(struct streams *streams, const struct stream_spec *spec, struct stream **ret,
                struct err *err);
/* The keys of an identity provider have changed: end all streams by such tokens. Whose token still
 * holds reconnects, and misses nothing. Any thread. */
void streams_end_external(struct streams *streams);
void stream_close(struct stream *stream); /* not while it is awaited; NULL is fine */

enum { STREAM_OVER = -1, STREAM_BROKEN = -2 };
/* Up to `max` bytes of text/event-stream (WHATWG HTML, 9.2); 0: none now, await some. STREAM_OVER:
 * it has ended, the client may reconnect; STREAM_BROKEN: the client was too slow. */
ssize_t stream_take(struct stream *stream, char *out, size_t max);
/* `wake` is called once, at once or when there is something to take. Any thread; it must not
 * block. */
void stream_await(struct stream *stream, void (*wake)(void *owner), void *owner);
