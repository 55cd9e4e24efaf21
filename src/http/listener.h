/* src/http/listener.h -- the thread that accepts connections, as many as there may be. */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

#include "base/err.h"
#include "core/config.h"
#include "http/sockets.h"

enum {
    LISTENER_REFUSED_MAX = 32, /* descriptors of connections that are being refused */
};

struct listener;

/* LOST: it is closed. FULL: the listener is to tell it to come back. */
enum listener_accepted { LISTENER_TAKEN, LISTENER_LOST, LISTENER_FULL };
/* Take a connection: `fd`, which is yours, except if it is FULL. */
typedef enum listener_accepted listener_accept_fn(void *context, enum socket_kind kind, int fd,
                                                  const struct sockaddr *address, socklen_t len);

/* Called by the thread when something came, of what listener_watch() names, too, after
 * listener_wake(), and after as many milliseconds as it returned; -1: it need not. */
typedef int listener_maintain_fn(void *context);

/* Open what `listen` and metrics_listen name (sockets.h). Nothing is accepted yet, but clients may
 * connect. -E_CONFIG, -E_NOMEM. *ret is yours: listener_free(). */
int listener_new(const struct config *config, struct listener **ret, struct err *err);
/* "http://127.0.0.1:8080", of the first address, with the port that was bound; borrowed. */
const char *listener_url(const struct listener *listener);

/* Is there a socket of that kind? */
bool listener_has(const struct listener *listener, enum socket_kind kind);

/* A descriptor, borrowed, for which `maintain` is called when it can be read. Before the start. */
void listener_watch(struct listener *listener, int fd);
/* Start to accept. While `limit` connections are open, there is no descriptor for one more, or
 * `accept` says FULL, a new one is answered 503 with Retry-After and closed. -E_CONFIG: no thread.
 */
int listener_start(struct listener *listener, int limit, listener_accept_fn *accept,
                   listener_maintain_fn *maintain, void *context, struct err *err);
/* Have `maintain` called. Any thread. */
void listener_wake(struct listener *listener);
/* A connection that was taken is closed now. Any thread. */
void listener_ended(struct listener *listener);
/* Connections refused so far because of `limit`, or of descriptors. Any thread. */
int64_t listener_refused(const struct listener *listener);
/* Accept no more connections, and let new ones wait: sockets that the service manager holds have
 * them for the next process. Any thread. */
void listener_leave(struct listener *listener);
/* Stop to accept: from here on clients are refused by the kernel. Connections that were taken live
 * on. */
void listener_stop(struct listener *listener);
void listener_free(struct listener *listener); /* NULL is fine */
