/* src/http/server.h -- the HTTP server: libmicrohttpd's epoll threads over the routes of the
 * API. */
#pragma once

#include "base/err.h"
#include "http/services.h"

struct server;

/* Bind config->listen and serve. -E_CONFIG if it can't be bound, or the certificate is not good,
 * saying why. *ret is yours:
 * server_free(). */
int server_new(const struct services *services, struct server **ret, struct err *err);
/* "http://127.0.0.1:8080", with the port that was bound; borrowed. */
const char *server_url(const struct server *server);
/* Take over request_timeout, and read the certificate again: the log says what came of that; if it
 * is not good the old one stays. */
void server_reload(struct server *server);
/* Answer the requests in progress (waiters have been woken by then); from now on every other
 * request, on new connections, too, gets 503 and Retry-After, without the services being used. */
void server_drain(struct server *server);
/* Then wait until the answers are sent, some seconds after the drain began at the latest. */
void server_close(struct server *server);
/* Do not wait for slow clients: ends a server_close() that is in progress, or yet to come. Any
 * thread. */
void server_hurry(struct server *server);
/* Drains and closes unless that was done; frees. NULL is fine, as for the others. */
void server_free(struct server *server);
