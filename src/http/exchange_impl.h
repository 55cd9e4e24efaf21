/* src/http/exchange_impl.h -- what the framework's own files share; handlers see exchange.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/exchange.h"
#include "http/framing.h"
#include "http/gate.h"
#include "http/shares.h"

/* exchange.c: the life of an exchange, all of it on one HTTP thread */

/* `method` and `path` are libmicrohttpd's: they live as long as the request. NULL: no memory. */
struct exchange *exchange_new(struct server *server, struct MHD_Connection *connection,
                              const char *method, const char *path);
void exchange_free(struct exchange *ex);
/* True: its answer is a stream, which needs it no more. It is freed; gate_end() is the caller's. */
bool exchange_streams(struct exchange *ex);
/* The head is there: check it, and choose the id. If ex->malformed then, or a body follows
 * (BODY_FOLLOWS), run it at once; else when all has come. */
void exchange_begin(struct exchange *ex, const struct target *target, const char *version);
/* BODY_ARRIVES: part of the body; what is too much, or of no use any more, is not kept. False: give
 * the connection up. */
bool exchange_receive(struct exchange *ex, const char *data, size_t len);
/* BODY_ARRIVES: its end. Goes on; as exchange_run(). */
bool exchange_received(struct exchange *ex);
/* A step that has found the head good ends so: request_check() again when the body is there. */
void exchange_await_body(struct exchange *ex);
/* Takes `response` until the body has arrived; false: it has to be sent now. */
bool exchange_hold(struct exchange *ex, int status, struct MHD_Response *response);
/* reply.c: false: it could not be queued. */
bool exchange_send_held(struct exchange *ex);
/* Most bytes of its body. */
int64_t exchange_body_max(const struct exchange *ex);
/* Run steps until one has replied or must wait; then the connection is suspended. False: no answer
 * could be queued. */
bool exchange_run(struct exchange *ex);

/* client.c: the one place that decides. Headers of an untrusted peer that name another client are
 * ignored. */
struct client client_of(struct exchange *ex);

/* request_head.c: 0, or what is wrong with the head, in ex->err. */
int exchange_read_head(struct exchange *ex, const struct target *target, const char *version);
void exchange_free_copies(struct exchange *ex);

/* request_check.c: the first step of every exchange does the checks that apply to all routes, up to
 * the token; dispatch() reads the body and calls the first step of the route. */
exchange_step request_check, dispatch;

/* auth.c: authenticates the client. A step: replies 401, or sets ex->user and ex->claims and goes
 * on with dispatch(). An API key's id is the session of its claims, and ex->user->key is set. */
exchange_step auth_token;
/* The signature of the token must hold, nothing more: ex->claims, which may be there already.
 * False: replied. */
bool auth_signature(struct exchange *ex);
/* Reply 401. One message whatever was wrong. */
void auth_refuse(struct exchange *ex);
/* For what needs a session. True: an API key was sent, valid or not, and replied 403. */
bool auth_refuse_key(struct exchange *ex);
/* After a wait: does the session or key of the request still exist? Replies 401, or goes on with
 * `next`. */
void auth_again(struct exchange *ex, exchange_step *next);

/* server.c */
struct gate *server_gate(struct server *server);
struct shares *server_shares(struct server *server);
struct metrics *server_metrics(struct server *server);
const struct router *server_router(const struct server *server);
/* Connections that were refused since there were as many as there may be. */
int64_t server_refused(const struct server *server);
struct sender *server_sender(struct server *server);
int64_t server_uptime_ms(const struct server *server);
/* An id for a request that brought none: another one each time, on every server; no secret. */
void server_name_request(struct server *server, char out[GUID_TEXT]);
/* Of a connection, for its transfers; NULL: no memory. */
struct peer *server_peer(struct MHD_Connection *connection);
const struct services *server_services(const struct server *server);
