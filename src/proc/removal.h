/* src/proc/removal.h -- deletion: mark, stop the query, remove the files, record it in the deletion
 * ledger, drop the row. One way for DELETE, for the purge after retention and for what a crash left
 * half done. */
#ifndef PROC_REMOVAL_H
#define PROC_REMOVAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/guid.h"
#include "base/histogram.h"
#include "proc/ledger.h"
#include "proc/supervisor.h"
#include "spool/spool.h"
#include "store/store.h"

struct remover;

/* All borrowed until remover_free(). */
struct remover_spec {
    struct store *store;
    struct spool *spool;
    struct supervisor *supervisor;
    struct ledger *ledger;
};

/* Starts the purge of expired reports, woken when the next one is due, and finishes what is in
 * DELETING. */
int remover_new(const struct remover_spec *spec, struct remover **ret, struct err *err);
/* End the purge, after finishing the batch it is at; remover_expect() may still be called. */
void remover_stop(struct remover *remover); /* NULL is fine */
/* Stops first. NULL is fine. */
void remover_free(struct remover *remover);

/* One deletion. Fill id, user_id, done, owner; keep it until `done`, which is called once, on any
 * thread: rc 0 when reference, query, files and row are gone and the ledger has it;
 * -E_UNKNOWN_REFERENCE if the user has no such report; -E_STORE if nothing was done. Once the mark
 * is durable the deletion is finished whatever happens, at the latest by the next start. */
struct removal {
    struct guid id;
    int64_t user_id; /* 0: whoever's */
    void (*done)(struct removal *removal);
    void *owner;
    int rc;
    struct err err;
    enum report_state was; /* the state it was in, if rc is 0 */
    /* the remover's */
    struct remover *remover;
    int64_t began_us; /* monotonic */
    bool held;        /* another node may run it */
    struct store_op op;
    struct spool_op files;
    struct ledger_op record;
    struct supervisor_stop stop;
};
void removal_start(struct remover *remover, struct removal *removal);

/* How long the deletions that users asked for have taken, from being asked for to all gone. */
void remover_times(struct remover *remover, struct histogram_counts *ret);

/* A report now expires at `expires_ms` (UTC): the purge wakes then. */
void remover_expect(struct remover *remover, int64_t expires_ms);

#endif
