/* src/proc/backup.h -- backs up an embedded store and its results while they are in use, and
 * restores them without any deleted report. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/trail.h"
#include "proc/ledger.h"
#include "proc/recovery.h"
#include "spool/spool.h"
#include "store/store.h"

/* A backup is a folder with these names in it. The manifest is written last: a folder without it is
 * no backup. */
#define BACKUP_STORE "store.db"
#define BACKUP_SPOOL "spool"
#define BACKUP_MANIFEST "manifest.json"

/* Told now and then: `done` of `total` of what `what` names. */
typedef void backup_progress_fn(void *context, const char *what, int64_t done, int64_t total);

struct backup_spec {
    struct store *store; /* borrowed, like the rest; a server may use both */
    struct spool *spool;
    const char *folder; /* of the backup: not there, or empty */
    backup_progress_fn *progress;
    void *context;
};
struct backup_counts {
    int64_t reports, results, bytes; /* in it; results are files, bytes theirs */
    int64_t lost;                    /* complete reports left out: their results are not there */
};

/* Make the backup: under a temporary name, and renamed once it is whole and fsynced, so that the
 * folder is a whole backup or not there. What was deleted meanwhile is in it wholly or not at all.
 * -E_EXISTS, -E_BUSY, -E_IO, -E_STORE, -E_SPOOL, -E_NOMEM. */
int backup_run(const struct backup_spec *spec, struct backup_counts *ret, struct err *err);

/* The facts that decide whether the given ledgers have every deletion since. */
struct backup_state {
    int64_t made_ms; /* UTC: what was deleted from then on may be in it */
    bool named;      /* the store is; a backup of an older version does not say */
    struct guid store;
    bool known;                   /* the ledgers are: a server has opened it since its upgrade */
    struct store_ledger *ledgers; /* owned: that the store's servers wrote, with their records */
    size_t count;
};
void backup_state_done(struct backup_state *state); /* NULL is fine */
/* The state of an existing store as of `made_ms`: without the ledgers that were given up before
 * then; 0: of now, with only those in use. made_ms is not changed. -E_STORE. */
int backup_state_of(struct store *store, int64_t made_ms, struct backup_state *ret,
                    struct err *err);

struct manifest {
    struct backup_state state;
    struct backup_counts counts;
};
/* *ret is yours on success: backup_state_done(&ret->state).
 * -E_NOT_FOUND: that folder is no whole backup; -E_CONFIG: it is of a later version. */
int manifest_read(const char *folder, struct manifest *ret, struct err *err);
int manifest_write(const char *folder, const struct manifest *manifest, struct err *err);

/* The ledgers that a restore applies. */
struct ledgers {
    struct ledger_copy **items;
    size_t count;
};
/* Have they every deletion since that state? -E_LEDGER with a message: one is not there, is another
 * store's, has lost its end, or has forgotten too much. */
int ledgers_check(const struct ledgers *ledgers, const struct backup_state *state, struct err *err);

/* Is it one of the same store, and not among them? */
bool ledgers_lack(const struct ledgers *ledgers, const struct ledger_copy *copy);
/* The store that the ledgers belong to, as named by the first that names one. */
bool ledgers_store(const struct ledgers *ledgers, struct guid *ret);
/* Make the restored store use these ledgers; those that are not given are given up. It takes over
 * what the store that it replaces knew (`kept`; NULL: nothing). -E_STORE. */
int ledgers_record(const struct ledgers *ledgers, const struct backup_state *kept,
                   struct store *store, struct err *err);

struct restore_counts {
    int64_t reports; /* restored */
    int64_t deleted; /* deletions applied again */
    struct recovery_ended ended;
    int64_t lost; /* complete reports of which the backup lacks the result */
};

/* Apply the ledgers to an existing store that no server uses: delete rows, chunks and files of
 * every report that they name, end all sessions, and suspend all API keys. May be repeated.
 * `trail`, which may be NULL, gets a line for each. */
int restore_apply(struct store *store, struct spool *spool, const struct ledgers *ledgers,
                  struct trail *trail, struct restore_counts *ret, struct err *err);

struct restore_spec {
    const char *folder;  /* of the backup */
    const char *store;   /* the path of the store to make */
    struct spool *spool; /* to put the results into; the caller has its lock */
    bool overwrite;      /* the store that is there, which no server may use */
    const struct ledgers *ledgers;
    bool unchecked;      /* against what the store that is overwritten knows of them */
    struct trail *trail; /* of what is deleted again, or left out; NULL: none */
    backup_progress_fn *progress;
    void *context;
};
/* Restore a backup. The store gets its name at the very end: until then it may be started again.
 * -E_EXISTS: there is a store; -E_BUSY: it is in use; -E_IO, -E_STORE, -E_SPOOL, -E_NOMEM. */
int restore_run(const struct restore_spec *spec, struct restore_counts *ret, struct err *err);
/* Remove what a restore that was killed has left next to the store at this path, which the caller
 * has locked: it would keep what is deleted from now on. */
void restore_clear(const char *store);
/* The path of each such file. */
void restore_each_left(const char *store, void (*each)(void *context, const char *path),
                       void *context);
