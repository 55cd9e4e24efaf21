/* src/cli/offline.h -- what verbs use that open a store themselves. */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "core/config.h"
#include "spool/spool.h"
#include "store/store.h"

/* -E_BUSY, with a message that says what to do, while the lease of a node that shares the store has
 * not run out. */
int offline_check_nodes(struct store *store, struct err *err);
/* Open the store of this configuration, and otherwise as `how` says. As store_open(). */
int offline_open_store(const struct config *config, struct store_spec how, struct store **ret,
                       struct err *err);
/* Open the spool of this configuration, which must be there; yours: spool_free(). */
int offline_open_spool(const struct config *config, struct spool **ret, struct err *err);
/* Take the spool's lock: -E_BUSY if another process has it. */
int offline_lock_spool(struct spool *spool, struct err *err);

/* Print the progress of a long verb on standard error, every few seconds. */
struct offline_progress {
    const char *verb;
    int64_t told_ms; /* monotonic */
};
void offline_tell(void *progress, const char *what, int64_t done, int64_t total);
