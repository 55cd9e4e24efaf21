/* src/proc/recovery.c -- after a crash: running reports are requeued, and files without a row are
 * removed. */
#include "proc/recovery.h"

#include "base/log.h"
#include "base/seam.h"

bool recovery_needs(const struct store_find *find, const struct spool_file *file)
{
    const struct report *report = &find->report;

    if (!find->found || report->attempt != file->attempt)
        return false;
    return report->state == REPORT_PROCESSING ||
           (report->state == REPORT_COMPLETE && file->kind == SPOOL_RESULT && !report->in_row);
}

static int is_file_needed(void *context, const struct spool_file *file)
{
    struct store *store = context;
    struct store_op op = {.verb = STORE_FIND};
    bool needed;

    op.find.id = file->id;
    /* When in doubt, keep it: the next start checks again. */
    needed = store_run(store, &op) < 0 || recovery_needs(&op.find, file);
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
    rc = store_ask(store, &op, err);
    if (rc < 0)
        return rc;
    removed = spool_sweep(spool, is_file_needed, store, err);
    if (removed < 0)
        return (int)removed;
    *ret = (struct recovery){.requeued = op.recover.requeued, .removed = removed};
    return 0;
}

/* ---- the owner of the spool ---- */

int recovery_identity(struct store *store, struct guid *ret, struct err *err)
{
    struct store_op op = {.verb = STORE_IDENTITY};

    if (store_ask(store, &op, err) < 0)
        return err->code;
    *ret = op.identity.id;
    return 0;
}

int recovery_take_identity(struct store *store, const struct guid *id, struct err *err)
{
    struct store_op op = {.verb = STORE_IDENTITY_TAKE, .identity_take = {*id}};

    return store_ask(store, &op, err);
}

int recovery_check_home(struct store *store, struct err *err)
{
    struct store_op op = {.verb = STORE_IDENTITY};

    if (store_ask(store, &op, err) < 0)
        return err->code;
    if (op.identity.home == STORE_AT_HOME)
        return 0;
    if (op.identity.home == STORE_HOME_UNKNOWN)
        return recovery_take_identity(store, &op.identity.id, err);
    return err_set(err, -E_STORE,
                   "this database is a copy, or was restored or moved: it is not the one that got "
                   "the id of this store. If the original is gone, or is not used any more, run "
                   "reportd restore --ledger FILE with the deletion ledgers of all nodes; if the "
                   "original goes on, give this copy an id of its own with reportd fsck "
                   "--new-identity (doc/backup.md)");
}

int recovery_end_sessions(struct store *store, struct recovery_ended *ret, struct err *err)
{
    struct store_op op = {.verb = STORE_SESSIONS_END, .sessions_end = {.suspend_keys = true}};
    int rc = store_ask(store, &op, err);

    *ret = (struct recovery_ended){op.sessions_end.ended, op.sessions_end.suspended};
    SEAM_STEP("restore", "sessions", "ended");
    return rc;
}

/* The ledgers belong to the original store. */
static int give_up_ledgers(struct store *store, struct err *err)
{
    struct store_op op = {.verb = STORE_LEDGERS};
    int rc = store_ask(store, &op, err);

    for (size_t i = 0; rc == 0 && i < op.ledgers.count; i++) {
        struct store_ledger *ledger = &op.ledgers.items[i];
        struct store_op note = {.verb = STORE_LEDGER_NOTE, .ledger_note = {ledger, 0}};

        if (ledger->given_up_ms != 0)
            continue;
        ledger->given_up_ms = store_now_ms(store);
        rc = store_ask(store, &note, err);
    }
    store_op_done(&op);
    return rc;
}

int recovery_renew_identity(struct store *store, struct err *err)
{
    struct guid id = guid_new();
    struct recovery_ended ended;

    return recovery_end_sessions(store, &ended, err)
               ?: give_up_ledgers(store, err)
               ?: recovery_take_identity(store, &id, err);
}

int recovery_check_owner(struct store *store, struct spool *spool, struct err *err)
{
    struct guid id;

    return recovery_identity(store, &id, err) ?: spool_owner(spool, &id, err);
}

/* Does the store know, in any state, one of the reports of these files? */
struct looking {
    struct store *store;
    int64_t files;
    bool known;
    int rc;
    struct err *err;
};

static bool is_deleting(struct looking *l, const struct guid *id)
{
    struct store_ref refs[STORE_BATCH_MAX];
    struct store_op op = {.verb = STORE_DELETING, .deleting = {.refs = refs}};
    bool found = false;

    l->rc = store_ask(l->store, &op, l->err);
    for (size_t i = 0; l->rc == 0 && i < op.deleting.count; i++)
        found |= guid_eq(&refs[i].id, id);
    return found;
}

static void find_owned_file(void *context, const struct spool_file *file)
{
    struct looking *l = context;
    struct store_op op = {.verb = STORE_FIND, .find = {.id = file->id}};

    if (file->kind == SPOOL_TEMPORARY || l->known || l->rc < 0)
        return;
    l->files++;
    l->rc = store_ask(l->store, &op, l->err);
    l->known = op.find.found || (l->rc == 0 && is_deleting(l, &file->id));
    store_op_done(&op);
}

/* A store_page_fn: returns 1 if there is a complete report whose result is a file. */
static int has_filed(void *context, const struct store_scanned *reports, size_t count,
                     struct err *err)
{
    bool filed = false;

    (void)context;
    (void)err;
    for (size_t i = 0; i < count; i++)
        filed |= reports[i].state == REPORT_COMPLETE && !reports[i].in_row;
    return filed;
}

/* A folder that does not name its store: an older one from before there were marks, a new one,
 * another store's, or an empty mount point while the spool is not mounted. */
static int check_unmarked(struct store *store, struct spool *spool, bool restoring, struct err *err)
{
    struct looking l = {.store = store, .err = err};
    int64_t count = spool_each(spool, find_owned_file, &l, err);
    int rc = count < 0 ? (int)count : l.rc;

    if (rc == 0 && l.files > 0 && !l.known)
        return err_set(err, -E_SPOOL,
                       "there are results in '%s', and not one is of this store: is it the right "
                       "spool? Name the folder of this store, or an empty one; if the results are "
                       "of this store and may go, reportd fsck --repair --force removes them",
                       spool_place(spool));
    if (rc == 0 && !l.known && !restoring)
        rc = store_scan_pages(store, has_filed, NULL, err);
    if (rc > 0)
        return err_set(err, -E_SPOOL,
                       "'%s' has none of the results that the store knows, and no '" SPOOL_MARK
                       "': is it the right spool, and is it mounted? If they are lost, delete "
                       "their reports with reportd fsck --repair --force",
                       spool_place(spool));
    return rc;
}

int recovery_own_spool(struct store *store, struct spool *spool, enum recovery_rule rule,
                       struct err *err)
{
    struct guid id;
    int rc = recovery_identity(store, &id, err) ?: spool_owner(spool, &id, err);

    if (rc != 0)
        return rc < 0 ? rc : 0;
    if (rule != RECOVERY_FORCE)
        rc = check_unmarked(store, spool, rule == RECOVERY_RESTORE, err);
    if (rc == 0)
        rc = spool_own(spool, &id, false, err);
    if (rc != -E_FULL || rule != RECOVERY_START)
        return rc;
    log_warn("start.unmarked", "error=%s detail=%s", err->text, err->detail);
    return 0;
}
