/* src/proc/recovery.h -- what a crash left, put in order before anything runs. */
#ifndef PROC_RECOVERY_H
#define PROC_RECOVERY_H

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

/* -E_SPOOL if of the results that the store has as files not one is there, of those that a start
 * has time to look for: then the folder is another one, or not mounted, and a server on it would
 * answer with errors, delete what it does not have, and sweep what is not its own. */
int recovery_check_spool(struct store *store, struct spool *spool, struct err *err);

#endif
