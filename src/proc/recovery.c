/* src/proc/recovery.c -- after a crash: running reports go back into the queue, files without a row
 * go. */
#include "proc/recovery.h"

/* A published result is kept while its row says that it is the result; what another node is at,
 * while that has the report. */
static bool is_needed(const struct store_find *find, const struct spool_file *file)
{
    const struct report *report = &find->report;

    if (!find->found || report->attempt != file->attempt)
        return false;
    return report->state == REPORT_PROCESSING ||
           (report->state == REPORT_COMPLETE && file->kind == SPOOL_RESULT && !report->in_row);
}

static int keep(void *context, const struct spool_file *file)
{
    struct store *store = context;
    struct store_op op = {.verb = STORE_FIND};
    bool needed;

    op.find.id = file->id;
    /* When in doubt, keep: the next start looks again. */
    needed = store_run(store, &op) < 0 || is_needed(&op.find, file);
    store_op_done(&op);
    return needed;
}

int recovery_run(struct store *store, struct spool *spool, const char *node, struct recovery *ret,
                 struct err *err)
{
    struct store_op op = {.verb = STORE_RECOVER};
    int64_t removed;
    int rc;

    op.recover.node = node;
    rc = store_run(store, &op);
    if (rc < 0) {
        *err = op.err;
        return rc;
    }
    removed = spool_sweep(spool, keep, store, err);
    if (removed < 0)
        return (int)removed;
    *ret = (struct recovery){.requeued = op.recover.requeued, .removed = removed};
    return 0;
}
