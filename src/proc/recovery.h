/* src/proc/recovery.h -- what a crash left, put in order before anything runs. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "spool/spool.h"
#include "store/store.h"

struct recovery {
    int64_t requeued; /* reports that were being generated */
    int64_t removed;  /* files that are no result */
};

/* Put the reports that `node` was processing back into the queue and remove every file that no row
 * calls its result. The caller has the spool's lock and runs no worker. -E_STORE, -E_SPOOL. */
int recovery_run(struct store *store, struct spool *spool, const char *node, struct recovery *ret,
                 struct err *err);

/* Does the report, if there is one that is not being deleted, need this file? A published result
 * while its row says that it is the result; what another node is at, while that has the report. */
bool recovery_needs(const struct store_find *find, const struct spool_file *file);

/* The id of the store. -E_STORE. */
int recovery_identity(struct store *store, struct guid *ret, struct err *err);
/* Give it this one, where it is now. -E_STORE. */
int recovery_take_identity(struct store *store, const struct guid *id, struct err *err);
/* Is the store where it got its id? One that does not say yet is at home here from now on.
 * -E_STORE: it is a copy, or was moved; the message says what to do. */
int recovery_check_home(struct store *store, struct err *err);
/* End all sessions, and suspend all API keys: any that were revoked may have come back.
 * -E_STORE. */
struct recovery_ended {
    int64_t sessions, keys;
};
int recovery_end_sessions(struct store *store, struct recovery_ended *ret, struct err *err);
/* The store, which no server uses, is a copy of a store that stays in use: it gets a new id, and
 * has no ledger in use and no session, and its API keys are suspended. -E_STORE. */
int recovery_renew_identity(struct store *store, struct err *err);
/* As spool_owner() of this store: 1, 0, -E_SPOOL, -E_STORE. */
int recovery_check_owner(struct store *store, struct spool *spool, struct err *err);

/* See to it that the spool says that it is this store's, before anything in it is removed. One that
 * names another store is refused (-E_SPOOL). One that names none is taken if it is empty and the
 * store misses no result, or if a report that the store knows has a file in it: references are
 * random, so it is one from before there was a mark. Else it may be another store's, or what is
 * there while the spool is not mounted: -E_SPOOL. START: if there is no room to say so, that is a
 * warning, it is said later (spool_own()), and the next start decides again. RESTORE: results are
 * missing as yet; FORCE: the operator says that it is this store's. */
enum recovery_rule { RECOVERY_START, RECOVERY_RESTORE, RECOVERY_FORCE };
int recovery_own_spool(struct store *store, struct spool *spool, enum recovery_rule rule,
                       struct err *err);
