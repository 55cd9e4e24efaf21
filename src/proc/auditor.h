/* src/proc/auditor.h -- the server's own audit: a thread that looks every minute and counts. */
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "proc/audit.h"

struct auditor;

/* Look now and then every minute, or less often: the audits take 1 % of the thread's time at most.
 * Store and spool are borrowed until auditor_free(); `grace_ms` as in struct audit_spec. *ret is
 * yours. */
int auditor_new(struct store *store, struct spool *spool, int64_t grace_ms, struct auditor **ret,
                struct err *err);
void auditor_free(struct auditor *auditor); /* ends the look it is at; NULL is fine */

struct auditor_counts {
    int64_t findings[AUDIT_KIND_COUNT]; /* of the last audit that was finished */
    int64_t audits;                     /* finished since the start */
};
void auditor_counts(struct auditor *auditor, struct auditor_counts *ret);
