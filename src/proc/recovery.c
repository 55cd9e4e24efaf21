/* src/proc/recovery.c -- after a crash: running reports go back into the queue, files without a row
 * go. */
#include "proc/recovery.h"

/* A published file is kept while its row says that it is the result. */
static int is_result(void *context, const struct guid *id, int attempt)
{
    struct store *store = context;
    struct store_op op = {.verb = STORE_FIND};
    bool keep;

    op.find.id = *id;
    /* When in doubt, keep: the next start looks again. */
    keep = store_run(store, &op) < 0 || (op.find.found && op.find.report.state == REPORT_COMPLETE &&
                                         op.find.report.attempt == attempt);
    store_op_done(&op);
    return keep;
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
    removed = spool_sweep(spool, is_result, store, err);
    if (removed < 0)
        return (int)removed;
    *ret = (struct recovery){.requeued = op.recover.requeued, .removed = removed};
    return 0;
}
