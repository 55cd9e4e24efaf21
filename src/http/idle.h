/* src/http/idle.h -- connections that wait for their clients: for a request, for the rest of its
 * headers, or for its body; closed if it does not come in time, or the client has hung up. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/* The time-out of libmicrohttpd closes a connection without checking what has arrived on it: a
 * request that waits for a busy thread is reset. And it begins again with every byte, so a client
 * that sends one now and then may stay forever. This time-out is for the whole request, and ends
 * only the reading: the library closes the connection when it has read, and answered, everything
 * that arrived before. It may read a byte that arrives at that moment and miss the end after it:
 * then the connection is shut down a second later.
 *
 * The library also misses an end that comes right after the client's last byte: with epoll it reads
 * again only when more arrives. So when a client hangs up (it sends no more: EPOLLRDHUP), the
 * reading is ended for it as soon as the connection waits for the client. */
enum idle_for {
    IDLE_REQUEST, /* its first line: a minute */
    IDLE_HEAD,    /* the headers, or a handshake of TLS: all in the list's time */
    IDLE_BODY,    /* the body: 500 bytes per second, looked at each time the list's time is over
                   * (RFC 9110, 15.5.9 lets a server close instead of a 408) */
    IDLE_ENDING,  /* the library, after its reading was ended: of the list alone */
    IDLE_KINDS
};

struct idle_list;

/* A connection that can be idle; yours, zero-initialised except for `fd`, which is borrowed. */
struct idle {
    int fd;
    /* the list's */
    bool listed, hung_up;
    bool fresh; /* nothing has come on it yet */
    enum idle_for what;
    int64_t since_ms; /* monotonic */
    int64_t received; /* of the body, since then */
    TAILQ_ENTRY(idle) entry;
};

/* `request_ms` is the time for headers and body. NULL: no memory. */
struct idle_list *idle_list_new(int64_t request_ms);
void idle_list_free(struct idle_list *list); /* NULL is fine */
/* Another time for headers and body. Any thread. */
void idle_list_set_time(struct idle_list *list, int64_t request_ms);

/* A descriptor to poll for reading: idle_maintain() has something to do. */
int idle_list_fd(const struct idle_list *list);

/* A connection has begun, and waits for IDLE_REQUEST. From here on it is watched. Any thread. */
void idle_open(struct idle_list *list, struct idle *idle, int64_t now_ms);
/* The socket is going to be closed. Any thread. */
void idle_close(struct idle_list *list, struct idle *idle);
/* From `now_ms` (monotonic, never less than before) on it waits for `what`, and no longer for
 * anything else. Any thread. */
void idle_begin(struct idle_list *list, struct idle *idle, enum idle_for what, int64_t now_ms);
/* Bytes of the body have come. Any thread. */
void idle_received(struct idle_list *list, struct idle *idle, size_t bytes);
/* It has come. Any thread. */
void idle_end(struct idle_list *list, struct idle *idle);
/* Wait, at most `most_ms`, until no connection expects an answer: none has a request in progress,
 * has sent anything that was not read, or is new and has sent nothing. None may be opened
 * meanwhile. */
void idle_list_await(struct idle_list *list, int most_ms);
/* End the connections that have hung up, or whose time is over at `now_ms`; returns after how many
 * milliseconds to check again. Any thread. */
int idle_maintain(struct idle_list *list, int64_t now_ms);
