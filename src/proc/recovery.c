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

/* How many of a page have their result as a file, and whether one of these is there. */
static int look_for_results(struct spool *spool, const struct store_scan *page, int *filed,
                            bool *ret_found, struct err *err)
{
    for (size_t i = 0; i < page->count && !*ret_found; i++) {
        const struct store_scanned *report = &page->reports[i];
        int64_t size;

        if (report->state != REPORT_COMPLETE || report->in_row)
            continue;
        size = spool_result_size(spool, &report->id, report->attempt, err);
        if (size < 0 && size != -E_NOT_FOUND)
            return (int)size;
        ++*filed;
        *ret_found = size >= 0;
    }
    return 0;
}

int recovery_check_spool(struct store *store, struct spool *spool, struct err *err)
{
    enum { PAGES_MAX = 16 };
    struct store_op op = {.verb = STORE_SCAN};
    struct guid after = {0};
    bool found = false;
    int filed = 0;

    for (int page = 0; page < PAGES_MAX && !found; page++) {
        int rc;

        op = (struct store_op){.verb = STORE_SCAN, .scan = {.after = after}};
        rc = store_run(store, &op);
        if (rc < 0)
            *err = op.err;
        else
            rc = look_for_results(spool, &op.scan, &filed, &found, err);
        if (rc < 0)
            return rc;
        if (op.scan.count < STORE_SCAN_MAX)
            break;
        after = op.scan.reports[STORE_SCAN_MAX - 1].id;
    }
    if (found || filed == 0)
        return 0;
    return err_set(
        err, -E_SPOOL,
        "of the results that the store knows not one of the first %d is in '%s': is it "
        "the right spool, and is it mounted? If they are lost, delete their reports with "
        "reportd fsck --repair --force",
        filed, spool_place(spool));
}
