/* src/proc/supervisor.h -- the workers of this node: spawns them, hands them claimed reports, stops
 * them, publishes what they finish. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/guid.h"
#include "base/histogram.h"
#include "core/catalog.h"
#include "core/config.h"
#include "proc/loop.h"
#include "proc/report_metrics.h"
#include "proc/transfers.h"
#include "spool/spool.h"
#include "store/store.h"

struct supervisor;

struct supervisor_spec {
    const struct config *config; /* borrowed, like the rest, until supervisor_free() */
    struct store *store;
    struct spool *spool;
    struct catalog *catalog;
    struct transfers *transfers; /* notified whether this node is alive, if the store is shared */
    const char *node;            /* names this claimer in a store that is not shared */
    /* A report of this node has finished and is kept until `expires_ms` (UTC). NULL: not wanted. */
    void (*finished)(void *context, int64_t expires_ms);
    void *context;
};

/* Start the thread and `config->workers` workers. *ret is yours: supervisor_free(). */
int supervisor_new(const struct supervisor_spec *spec, struct supervisor **ret, struct err *err);

/* Take no new reports; give the running ones `grace_ms`, then put them back into the queue, and
 * wait for that. */
void supervisor_drain(struct supervisor *supervisor, int64_t grace_ms);
/* Requeue them at once and kill their workers: ends a supervisor_drain() that is in progress, or
 * yet to come. Any thread. */
void supervisor_hurry(struct supervisor *supervisor);
/* Stop the workers; free. After supervisor_drain(); NULL is fine. */
void supervisor_free(struct supervisor *supervisor);

/* This report was just posted as SUBMIT: if a worker is idle, a claim follows at once, which shares
 * the transaction. Any thread. */
void supervisor_submitted(struct supervisor *supervisor, const struct guid *id);
/* One more report is queued. Any thread, cheap, never blocks. */
void supervisor_queued(struct supervisor *supervisor);
/* The same for any number of reports. */
void supervisor_wake(struct supervisor *supervisor);
/* A report has ended: what limits held back may start. Any thread. */
void supervisor_released(struct supervisor *supervisor);

/* What another node or process may have changed, or the same for this one; NULL: anything. A report
 * that is deleted, or ended in error, elsewhere stops here. Any thread, never blocks. */
void supervisor_on_change(struct supervisor *supervisor, const struct store_change *change);

/* Stop the query of a report that was marked for deletion. `done` is called once, on the
 * supervisor's thread, when nothing of it runs any more (at once if nothing did): the query has
 * ended in the database or its worker has been killed, and nobody will write its files any more. If
 * another node runs it, it is waited for until that says so or its lease has run out, and only
 * while this node can ask. */
struct supervisor_stop {
    struct guid id;
    bool held;        /* another node may run it, or send its result: ask the store */
    int64_t began_us; /* monotonic: when the deletion of a running one was asked for; else 0 */
    void (*done)(struct supervisor_stop *stop);
    void *owner;
    int rc; /* 0: nothing of it runs any more; -E_STORE: the store does not say whether */
    /* the supervisor's */
    struct supervisor *supervisor;
    struct loop_message message;
    struct supervisor_stop *next;
    unsigned looked; /* at its `held` in the store, when that many heartbeats had been sent */
};
void supervisor_stop(struct supervisor *supervisor, struct supervisor_stop *stop);

/* Does its thread go round? False: it has not since the call before. Of one thread, not while it
 * drains. */
bool supervisor_answers(struct supervisor *supervisor);

struct supervisor_stats {
    int64_t workers, busy;         /* now */
    int64_t spawned, died, killed; /* since the start */
    /* Running reports that were deleted: from being asked for to the worker idle again, or gone. */
    struct histogram_counts cancels;
};
void supervisor_stats(struct supervisor *supervisor, struct supervisor_stats *ret);
/* What its reports have taken so far, by type; borrowed. */
struct report_metrics *supervisor_metrics(struct supervisor *supervisor);
