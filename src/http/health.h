/* src/http/health.h -- would a POST be accepted, its report be generated, and a DELETE be recorded
 * now? */
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "core/trail.h"
#include "proc/ledger.h"
#include "proc/supervisor.h"
#include "proc/waiters.h"
#include "spool/spool.h"
#include "store/store.h"

struct health;

enum { HEALTH_ANSWER_MS = 900 }; /* a check is answered by then, whatever hangs */

/* All borrowed. */
struct health_spec {
    struct store *store;
    struct spool *spool;
    struct ledger *ledger;
    struct supervisor *supervisor;
    struct waiters *waiters;
    const struct trail *trail; /* NULL: none is kept */
};

/* NULL: no memory or no thread. */
struct health *health_new(const struct health_spec *spec);
/* Waits for a probe in progress. Call it before what the spec contains is freed. NULL is fine. */
void health_free(struct health *health);

/* Begin a probe, unless one in progress answers this request, too: `waiter`, whose `wake` and
 * `owner` are set, is woken by its end, or after HEALTH_ANSWER_MS. */
void health_ask(struct health *health, struct waiter *waiter);
/* What the last probe has found: 0, or why not (-E_STORE, -E_SPOOL, -E_FULL), with the detail for
 * the log. `late`: of a probe that has not ended in time. */
int health_read(struct health *health, bool late, struct err *err);
