/* src/proc/deletion.h -- deletion: tombstone, stop the query, remove the files, record it in the
 * deletion ledger, delete the row. One way for DELETE, for the purge after retention and for what a
 * crash left half done. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/err.h"
#include "base/guid.h"
#include "base/histogram.h"
#include "core/trail.h"
#include "proc/ledger.h"
#include "proc/supervisor.h"
#include "spool/spool.h"
#include "store/store.h"

struct purger;

/* All borrowed until purger_free(). */
struct purger_spec {
    struct store *store;
    struct spool *spool;
    struct supervisor *supervisor;
    struct ledger *ledger;
    struct trail *trail; /* NULL: none is kept */
};

/* Starts the purge of expired reports, woken when the next one is due, and finishes what is in
 * DELETING. */
int purger_new(const struct purger_spec *spec, struct purger **ret, struct err *err);
/* End the purge, after finishing the batch it is at; purger_expect() may still be called. */
void purger_stop(struct purger *purger); /* NULL is fine */
/* Stops first. NULL is fine. */
void purger_free(struct purger *purger);

/* The user who asked for a deletion, for the log and the trail, which have a line for each report;
 * zero: none, it is a purge. Borrowed until `done`. */
struct deletion_asker {
    const char *user;    /* the name */
    const char *address; /* of the client */
    const char *request; /* its id */
};

enum { DELETION_PARTS = 8 }; /* at most this many threads remove the files of a batch */

/* A report with a tombstone, whose query is being stopped and whose files are being removed. */
struct deletion_item {
    struct guid id;
    /* the purger's */
    struct purger *purger;
    const char *verb; /* of its seams: "delete", "many" or "purge" */
    int64_t began_us; /* monotonic */
    bool held;        /* a node of a shared store may still run it, or send its result */
    struct supervisor_stop stop;
    struct spool_op files;                       /* rc 0, or why they are not gone */
    void (*cleared)(struct deletion_item *item); /* any thread */
    void *owner;
};

/* One deletion. Fill id, user_id, as, asker, done, owner; keep it until `done`, which is called
 * once, on any thread: rc 0 when reference, query, files and row are gone and the ledger has it;
 * -E_UNKNOWN_REFERENCE if the user has no such report; -E_STORE if nothing was done. Once the mark
 * is durable the deletion is finished whatever happens, at the latest by the next start. */
struct deletion {
    struct guid id;
    int64_t user_id;               /* 0: any user's */
    const struct store_access *as; /* as in STORE_TOMBSTONE */
    struct deletion_asker asker;
    void (*done)(struct deletion *deletion);
    void *owner;
    int rc;
    struct err err;
    enum report_state was; /* the state it was in, if rc is 0 */
    /* the purger's */
    bool listed;
    char user[USER_NAME_MAX + 1];   /* whose report it was … */
    char name[REPORT_NAME_MAX + 1]; /* … of which type; "": it was marked by another process */
    TAILQ_ENTRY(deletion) entry;
    struct deletion_item item;
    struct store_op op;
    struct ledger_op record;
};
void deletion_start(struct purger *purger, struct deletion *deletion);

/* A batch of many deletions. All of it is theirs. */
struct deletion_batch {
    struct deletion_many *many;
    atomic_int
        gate; /* how many things have to happen before the batch after the next begins here */
    struct store_op op;
    struct ledger_op record;
    struct store_marked
        marked[STORE_MANY_MAX];          /* that are being cleared: first those of `refs` … */
    struct guid cleared[STORE_MANY_MAX]; /* of these the ones that are, in the same order; until
                                          * then all that have to be marked */
    size_t count;                        /* of both */
    size_t listed;                       /* of `cleared`: those whose deletion is in progress */
    TAILQ_ENTRY(deletion_batch) entry;
    size_t dropped, dropping; /* of `cleared`, from the first on: gone, and going */
    struct spool_ref refs[STORE_MANY_MAX];
    size_t ref_count;
    struct spool_op files[DELETION_PARTS]; /* that remove a part of `refs` each */
    struct deletion_item *items;           /* … then those that may still run, or be sent, … */
    size_t item_count;
    atomic_size_t left; /* parts and items that are not cleared, and one while they begin */
};

/* Many deletions of one user's reports, in their order, STORE_MANY_MAX at a time, or fewer if the
 * disk is full, so that others go on between; each batch is marked in one transaction, while the
 * one before is being cleared, and no report is deleted by half. Zero-initialise it and fill
 * user_id, asker, state, ids, count, done, owner; keep all of it until `done`, which is called
 * once, on any thread. rc 0: all that were still the user's, and in that state, are gone as by
 * deletion_start(); else why it has stopped: those that are not gone live, or are in one of the two
 * batches at which it stopped, which is finished as one deletion would be. */
struct deletion_many {
    int64_t user_id;
    struct deletion_asker asker;
    int state;        /* enum report_state, or -1: in any */
    struct guid *ids; /* borrowed; out: begins with those that are gone, in no order … */
    size_t count;
    size_t gone;                          /* … this many … */
    int64_t by_state[REPORT_STATE_COUNT]; /* … that were in these states */
    void (*done)(struct deletion_many *many);
    void *owner;
    int rc;
    struct err err;
    /* the purger's */
    struct purger *purger;
    int64_t began_us;
    size_t next;        /* of `ids`: after the last batch that has begun */
    atomic_size_t most; /* of a transaction: STORE_MANY_MAX, and less on a full disk */
    atomic_int open;    /* batches in progress, plus one while another may begin */
    struct deletion_batch batches[2];
};
void deletion_many_start(struct purger *purger, struct deletion_many *many);

/* How long the deletions that users asked for have taken, from being asked for to all gone. */
void purger_times(struct purger *purger, struct histogram_counts *ret);

/* A report now expires at `expires_ms` (UTC): the purge wakes then. */
void purger_expect(struct purger *purger, int64_t expires_ms);
