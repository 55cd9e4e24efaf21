/* src/http/services.h -- what the handlers of requests work with. */
#pragma once

#include "base/work_queue.h"
#include "core/catalog.h"
#include "core/config.h"
#include "http/status_cache.h"
#include "http/token_cache.h"
#include "proc/audit.h"
#include "proc/choices.h"
#include "proc/deletion.h"
#include "proc/streams.h"
#include "proc/supervisor.h"
#include "proc/transfers.h"
#include "proc/waiters.h"
#include "spool/spool.h"
#include "store/store.h"

struct conversions;
struct issuers;
struct receipt_keys;
struct health;
struct router;
struct token_keys;

/* All of it is made by who makes the server, and borrowed until server_free(). */
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
    struct streams *streams;
    struct token_cache *token_cache;
    struct status_cache *status_cache;
    struct work_queue *passwords; /* password_work_queue_new() */
    struct conversions *conversions;
    struct token_keys *token_keys;
    struct receipt_keys *receipt_keys;
    struct issuers *issuers;     /* NULL: no identity provider is configured */
    const char *node;            /* of receipts: this machine's name */
    struct trail *trail;         /* NULL: none is kept */
    const struct router *router; /* NULL: the API's own routes */
};
