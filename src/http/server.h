/* src/http/server.h -- the HTTP server: libmicrohttpd's epoll threads over the routes of the
 * API. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdint.h>

#include "base/err.h"
#include "core/catalog.h"
#include "core/config.h"
#include "proc/auditor.h"
#include "proc/choices.h"
#include "proc/deletion.h"
#include "proc/supervisor.h"
#include "proc/transfers.h"
#include "proc/waiters.h"
#include "spool/spool.h"
#include "store/store.h"

struct receipt_keys;
struct health;
struct router;
struct server;
struct token_key;

/* What the handlers work with; all borrowed until server_free(). */
struct services {
    const struct config *config;
    struct store *store;
    struct spool *spool;
    struct catalog *catalog;
    struct supervisor *supervisor;
    struct choices *choices;
    struct purger *purger;
    struct auditor *auditor;
    struct waiters *waiters;
    struct health *health;
    struct transfers *transfers;
    const struct token_key *key;
    const struct receipt_keys *receipt_keys;
    const char *node;            /* of receipts: this machine's name */
    const struct router *router; /* NULL: the API's own routes */
};

/* Bind config->listen and serve. -E_CONFIG if it can't be bound, saying why. *ret is yours:
 * server_free(). */
int server_new(const struct services *services, struct server **ret, struct err *err);
/* "http://127.0.0.1:8080", with the port that was bound; borrowed. */
const char *server_url(const struct server *server);
/* Answer what is under way (waiters have been woken by then); from now on every other request, on
 * new connections too, gets 503 and Retry-After, without the services being used. */
void server_drain(struct server *server);
/* Then wait until the answers are sent, some seconds after the drain began at the latest. */
void server_close(struct server *server);
/* Do not wait for slow clients: ends a server_close() under way, or to come. Any thread. */
void server_hurry(struct server *server);
/* Drains and closes unless that was done; frees. NULL is fine, as for the others. */
void server_free(struct server *server);

#endif
