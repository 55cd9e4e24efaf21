/* src/proc/supervisor.h -- the workers of this node: spawns them, hands them claimed reports, stops
 * them, publishes what they finish. */
#ifndef PROC_SUPERVISOR_H
#define PROC_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/guid.h"
#include "base/histogram.h"
#include "core/catalog.h"
#include "core/config.h"
#include "spool/spool.h"
#include "store/store.h"

struct supervisor;

/* What other threads leave for the supervisor's thread; embedded in what is delivered. */
struct supervisor_mail {
    struct supervisor_mail *next;
    void (*deliver)(struct supervisor *supervisor, struct supervisor_mail *mail);
};

struct supervisor_spec {
    const struct config *config; /* borrowed, like the rest, until supervisor_free() */
    struct store *store;
    struct spool *spool;
    struct catalog *catalog;
    const char *node; /* names this claimer in the store */
};

/* Start the thread and `config->workers` workers. *ret is yours: supervisor_free(). */
int supervisor_new(const struct supervisor_spec *spec, struct supervisor **ret, struct err *err);

/* Take no new reports; give the running ones `grace_ms`, then put them back into the queue; stop
 * the workers; free. NULL is fine. */
void supervisor_free(struct supervisor *supervisor, int64_t grace_ms);

/* There may be something in the queue. Any thread, cheap, never blocks. */
void supervisor_wake(struct supervisor *supervisor);

/* Stop the query of a report that was marked for deletion. `done` is called once, on any thread,
 * when nothing of it runs any more here (at once if nothing did): the query has ended in the
 * database or its worker has been killed, and nobody will write its files any more. */
struct supervisor_stop {
    struct guid id;
    int64_t began_us; /* monotonic: when the deletion was asked for */
    void (*done)(struct supervisor_stop *stop);
    void *owner;
    struct supervisor_mail mail; /* the supervisor's */
    struct supervisor_stop *next;
};
void supervisor_stop(struct supervisor *supervisor, struct supervisor_stop *stop);

struct supervisor_stats {
    int64_t workers, busy;         /* now */
    int64_t spawned, died, killed; /* since the start */
    /* Running reports that were deleted: from being asked for to the worker idle again, or gone. */
    struct histogram_counts cancels;
};
void supervisor_stats(struct supervisor *supervisor, struct supervisor_stats *ret);

#endif
