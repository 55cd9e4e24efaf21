/* src/proc/backup_erase.c -- reports erased from a copy of a store, a page of them at a time. */
#include <stdio.h>
#include <stdlib.h>

#include "proc/backup_impl.h"

char *backup_path(const char *folder, const char *name)
{
    char *path;

    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

char *backup_store_url(const char *path)
{
    char *url;

    return path == NULL || asprintf(&url, "sqlite:%s", path) < 0 ? NULL : url;
}

/* All of one verb, in a few commits. */
static int run_verb(struct store *store, enum store_verb verb, const struct guid *ids, size_t count,
                    struct err *err)
{
    struct store_op *ops = calloc(count, sizeof(*ops));
    int rc;

    if (ops == NULL)
        return err_set(err, -E_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        ops[i].verb = verb;
        if (verb == STORE_TOMBSTONE)
            ops[i].tombstone.id = ids[i];
        else
            ops[i].delete_row.id = ids[i];
    }
    rc = store_run_all(store, ops, count);
    for (size_t i = 0; i < count && rc < 0; i++) {
        if (ops[i].rc < 0)
            *err = ops[i].err;
    }
    free(ops);
    return rc;
}

static int erase(struct store *store, const struct guid *ids, size_t count, struct err *err)
{
    int rc;

    if (count == 0)
        return 0;
    rc = run_verb(store, STORE_TOMBSTONE, ids, count, err);
    return rc < 0 ? rc : run_verb(store, STORE_DELETE_ROW, ids, count, err);
}

int64_t erase_reports(struct store *store, erase_fn *wanted, void *context, struct err *err)
{
    struct store_scanned reports[STORE_SCAN_MAX];
    struct store_op op;
    struct guid after = {0}, ids[STORE_SCAN_MAX];
    int64_t erased = 0;

    do {
        size_t count = 0;
        int rc;

        op = (struct store_op){.verb = STORE_SCAN, .scan = {.after = after, .reports = reports}};
        rc = store_ask(store, &op, err);
        if (rc < 0)
            return rc;
        for (size_t i = 0; i < op.scan.count; i++) {
            after = reports[i].id;
            if (wanted(context, &reports[i]))
                ids[count++] = after;
        }
        rc = erase(store, ids, count, err);
        if (rc < 0)
            return rc;
        erased += (int64_t)count;
    } while (op.scan.count == STORE_SCAN_MAX);
    return erased;
}
