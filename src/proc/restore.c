/* src/proc/restore.c -- restores a backup, without what was deleted since. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/seam.h"
#include "proc/backup_impl.h"
#include "proc/recovery.h"
#include "spool/seal.h"

/* A restore in progress. */
struct restoring {
    const struct restore_spec *spec;
    const struct ledgers *ledgers;
    char *from, *folder_url, *folder_spool; /* of the backup */
    char *temp, *temp_url;                  /* the store, until it is complete */
    int lock;                               /* of the store that is overwritten; -1 */
    struct guid old;                        /* … and its id */
    struct backup_state kept; /* … and all ledgers that it knows, if it is the same store */
    bool checked;             /* compared with the overwritten store */
    bool taken, named;        /* its spool belongs to the new store; the new store has its name */
    struct manifest manifest;
    struct store *store;
    struct spool *spool; /* of the backup; or, for an existing store, its own */
    int64_t seen, total;
    struct restore_counts counts;
    int rc;
    struct err *err;
};

/* ---- deletions ---- */

static bool is_deleted(const struct ledgers *ledgers, const struct guid *id)
{
    bool found = false;

    for (size_t i = 0; i < ledgers->count && !found; i++)
        found = ledger_copy_has(ledgers->items[i], id);
    return found;
}

/* The row is deleted after the files, as always. */
static bool remove_deleted(void *context, const struct store_scanned *report)
{
    struct restoring *r = context;
    struct spool_op op = {.verb = SPOOL_REMOVE, .id = report->id, .attempt = report->attempt};

    if (r->rc < 0 || !is_deleted(r->ledgers, &report->id))
        return false;
    r->rc = spool_run(r->spool, &op);
    if (r->rc < 0)
        *r->err = op.err;
    return r->rc == 0;
}

/* Records where the store is now: from then on nodes can start on it, so this is the last step. */
static int settle_store(struct store *store, struct err *err)
{
    struct guid id;

    return recovery_identity(store, &id, err) ?: recovery_take_identity(store, &id, err);
}

/* Sessions first: if the restore ends early and a server is started on this store, no old token is
 * valid. */
int restore_apply(struct store *store, struct spool *spool, const struct ledgers *ledgers,
                  struct trail *trail, struct restore_counts *ret, struct err *err)
{
    struct restoring r = {.store = store, .spool = spool, .ledgers = ledgers, .err = err};
    int rc = recovery_end_sessions(store, &r.counts.ended, err);

    if (rc < 0)
        return rc;
    r.counts.deleted = erase_reports(store, trail, remove_deleted, &r, err);
    if (r.rc < 0 || r.counts.deleted < 0)
        return r.rc < 0 ? r.rc : (int)r.counts.deleted;
    SEAM_STEP("restore", "deletions", "applied");
    rc = ledgers_record(ledgers, NULL, store, err) ?: settle_store(store, err);
    if (rc < 0)
        return rc;
    *ret = r.counts;
    return 0;
}

/* ---- the store's file ---- */

static int copy_store_file(const char *from, const char *to, struct err *err)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = in >= 0 ? open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    int rc = 0;

    if (in < 0)
        rc = err_errno(err, -E_IO, "open '%s'", from);
    else if (out < 0)
        rc = err_errno(err, -E_IO, "make '%s'", to);
    else if (SEAM_FAILS("restore.copy") || file_copy(in, out, INT64_MAX) < 0)
        rc = err_errno(err, -E_IO, "copy '%s' to '%s'", from, to);
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    return rc;
}

/* The files of a store: SQLite keeps the others beside it. */
static const char *const ends[] = {"", "-wal", "-shm", "-journal"};

static bool has_beside(const char *path, const char *end)
{
    char *name;
    bool there = asprintf(&name, "%s%s", path, end) >= 0;

    if (!there)
        return true;
    there = access(name, F_OK) == 0;
    free(name);
    return there;
}

static void remove_beside(const char *path)
{
    file_remove_beside(path, ends, sizeof(ends) / sizeof(ends[0]));
}

void restore_each_left(const char *store, void (*each)(void *context, const char *path),
                       void *context)
{
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        char *path;

        if (asprintf(&path, "%s.restore%s", store, ends[i]) < 0)
            continue;
        if (access(path, F_OK) == 0)
            each(context, path);
        free(path);
    }
}

void restore_clear(const char *store)
{
    char *temp;

    if (asprintf(&temp, "%s.restore", store) < 0)
        return;
    remove_beside(temp);
    free(temp);
}

/* The store that is overwritten, unless it is another one, knows the number of records best. A
 * backup without an id is taken to be of the same store. */
static int check_against(struct restoring *r, struct store *old, struct err *err)
{
    struct backup_state state = {0};
    int rc = 0;

    if (r->manifest.state.named && !guid_eq(&r->old, &r->manifest.state.store))
        return 0;
    rc = backup_state_of(old, 1, &r->kept, err);
    if (rc == 0 && !r->spec->unchecked)
        rc = backup_state_of(old, r->manifest.state.made_ms, &state, err);
    if (rc == 0 && state.known)
        rc = ledgers_check(r->ledgers, &state, err);
    r->checked = state.known;
    backup_state_done(&state);
    return rc;
}

/* Prepare the existing store to be overwritten: nobody may use it, and its log has to be emptied
 * into it, since a log left beside the new store would be taken for that one's. A store that cannot
 * be opened has to be moved away by hand. */
static int take_old_store(struct restoring *r, struct err *err)
{
    char *url = backup_store_url(r->spec->store);
    const struct store_spec spec = {.url = url, .upgrade = true};
    struct store *old = NULL;
    int rc = 0;

    r->lock = open(r->spec->store, O_RDONLY | O_CLOEXEC);
    if (url == NULL)
        rc = err_no_memory(err);
    else if (r->lock < 0)
        rc = err_errno(err, -E_IO, "open '%s'", r->spec->store);
    else if (flock(r->lock, LOCK_EX | LOCK_NB) < 0)
        rc = err_set(err, -E_BUSY, "a server is running on the store '%s'; stop it first",
                     r->spec->store);
    else
        rc = store_open(&spec, &old, err);
    if (rc == 0)
        rc = recovery_identity(old, &r->old, err) ?: check_against(r, old, err);
    store_free(old);
    free(url);
    return rc;
}

static int check_old(struct restoring *r, struct err *err)
{
    bool there = access(r->spec->store, F_OK) == 0;
    int rc = 0;

    if (there && !r->spec->overwrite)
        return err_set(err, -E_EXISTS,
                       "there is a store '%s' already: move it away, or have it overwritten with "
                       "--force",
                       r->spec->store);
    if (there)
        rc = take_old_store(r, err);
    if (rc == 0 && (has_beside(r->spec->store, "-wal") || has_beside(r->spec->store, "-journal")))
        rc = err_set(
            err, -E_BUSY,
            "there is a write-ahead log next to '%s', of a store that is in use or gone: end the "
            "program that uses it, or remove '%s-wal'",
            r->spec->store, r->spec->store);
    return rc;
}

/* ---- the results ---- */

static bool restore_result(void *context, const struct store_scanned *report)
{
    struct restoring *r = context;
    int64_t bytes = seal_stored_size(report->bytes, report->sealed);
    int rc;

    if (r->rc < 0)
        return false;
    r->spec->progress(r->spec->context, "reports", ++r->seen, r->total);
    r->counts.reports++;
    if (report->state != REPORT_COMPLETE || report->in_row)
        return false;
    SEAM_STEP("restore", "result", "due");
    rc = spool_copy(r->spool, r->spec->spool, &report->id, report->attempt, bytes, r->err);
    if (rc == -E_NOT_FOUND) {
        r->counts.reports--;
        r->counts.lost++;
        return true;
    }
    r->rc = rc;
    return false;
}

/* The spool belongs to the restored store from here on, if it had no owner, or belonged to the
 * store that is overwritten. */
static int own_spool(struct restoring *r, struct err *err)
{
    struct err ignored;
    struct guid id;
    int rc = recovery_identity(r->store, &id, err);

    if (rc == 0 && r->lock >= 0 && spool_owner(r->spec->spool, &r->old, &ignored) > 0) {
        rc = spool_own(r->spec->spool, &id, true, err);
        r->taken = rc == 0;
        return rc;
    }
    return rc < 0 ? rc : recovery_own_spool(r->store, r->spec->spool, RECOVERY_RESTORE, err);
}

static int restore_results(struct restoring *r, struct err *err)
{
    const struct spool_spec spool = {
        .place = r->folder_spool, .store = r->folder_url, .existing = true};
    int64_t erased;
    int rc = spool_open(&spool, &r->spool, err);

    if (rc < 0)
        return rc;
    erased = erase_reports(r->store, r->spec->trail, restore_result, r, err);
    if (r->rc < 0 || erased < 0)
        return r->rc < 0 ? r->rc : (int)erased;
    SEAM_STEP("restore", "results", "copied");
    return spool_sync(r->spec->spool, err);
}

/* ---- the whole restore ---- */

static bool is_deleted_report(void *context, const struct store_scanned *report)
{
    const struct restoring *r = context;

    return is_deleted(r->ledgers, &report->id);
}

static int fill_names(struct restoring *r, struct err *err)
{
    r->from = backup_path(r->spec->folder, BACKUP_STORE);
    r->folder_url = backup_store_url(r->from);
    r->folder_spool = backup_path(r->spec->folder, BACKUP_SPOOL);
    if (asprintf(&r->temp, "%s.restore", r->spec->store) < 0)
        r->temp = NULL;
    r->temp_url = backup_store_url(r->temp);
    if (r->from == NULL || r->folder_url == NULL || r->folder_spool == NULL || r->temp == NULL ||
        r->temp_url == NULL)
        return err_no_memory(err);
    return 0;
}

/* What was running when the backup was made is queued again. */
static int requeue(struct store *store, struct err *err)
{
    struct store_op op = {.verb = STORE_RECOVER, .recover = {.node = "local"}};

    return store_ask(store, &op, err);
}

/* A backup from before stores had an id was just given a random one: it gets back the id that the
 * ledger and the spool know. */
static int take_identity(struct restoring *r, struct err *err)
{
    struct guid id = r->old;

    if (r->manifest.state.named || (!ledgers_store(r->ledgers, &id) && r->lock < 0))
        return 0;
    return recovery_take_identity(r->store, &id, err);
}

static int open_new(struct restoring *r, struct err *err)
{
    const struct store_spec spec = {.url = r->temp_url, .upgrade = true, .alone = true};
    struct err why;

    if (store_open(&spec, &r->store, &why) == 0)
        return 0;
    return err_set(err, why.code, "the store of the backup, '%s', cannot be used: %s", r->from,
                   why.text);
}

/* Make the new store, under its temporary name, with everything except the results. */
static int make_store(struct restoring *r, struct err *err)
{
    int rc;

    remove_beside(r->temp); /* left by a killed restore */
    rc = copy_store_file(r->from, r->temp, err);
    SEAM_STEP("restore", "store", "copied");
    if (rc == 0)
        rc = open_new(r, err)
                 ?: take_identity(r, err)
                 ?: recovery_end_sessions(r->store, &r->counts.ended, err)
                 ?: requeue(r->store, err);
    if (rc < 0)
        return rc;
    r->counts.deleted = erase_reports(r->store, r->spec->trail, is_deleted_report, r, err);
    SEAM_STEP("restore", "deletions", "applied");
    return r->counts.deleted < 0 ? (int)r->counts.deleted
                                 : ledgers_record(r->ledgers, &r->kept, r->store, err);
}

/* link() and not rename(), which would replace a store that a server has made meanwhile. */
static int publish_store(struct restoring *r, struct err *err)
{
    int fd, rc = 0;

    store_free(r->store); /* its log is moved into it */
    r->store = NULL;
    fd = open(r->temp, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0 || has_beside(r->temp, "-wal"))
        rc = err_errno(err, -E_IO, "write '%s'", r->temp);
    else if ((r->lock >= 0 ? rename(r->temp, r->spec->store) : link(r->temp, r->spec->store)) < 0)
        rc = err_errno(err, -E_IO, "give '%s' the name '%s'", r->temp, r->spec->store);
    r->named = rc == 0;
    SEAM_STEP("restore", "store", "named");
    if (rc == 0 && file_sync_folder_of(r->spec->store) < 0)
        rc = err_errno(err, -E_IO, "write the folder of '%s'", r->spec->store);
    if (rc == 0)
        unlink(r->temp);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* The overwritten store may have left results that no report refers to. */
static int sweep_results(const struct restoring *r, struct err *err)
{
    char *url = backup_store_url(r->spec->store);
    const struct store_spec spec = {.url = url, .alone = true};
    struct store *store = NULL;
    struct recovery found;
    int rc = (url != NULL ? store_open(&spec, &store, err) : err_no_memory(err))
                 ?: recovery_run(store, r->spec->spool, "restore", &found, err);

    store_free(store);
    free(url);
    return rc;
}

/* The store that was to be overwritten stays in use, with its spool. */
static void undo(const struct restoring *r)
{
    struct err ignored;

    if (r->temp != NULL)
        remove_beside(r->temp);
    if (r->taken && !r->named)
        spool_own(r->spec->spool, &r->old, true, &ignored);
}

int restore_run(const struct restore_spec *spec, struct restore_counts *ret, struct err *err)
{
    struct restoring r = {.spec = spec, .ledgers = spec->ledgers, .lock = -1, .err = err};
    int rc = manifest_read(spec->folder, &r.manifest, err);

    r.total = r.manifest.counts.reports;
    if (rc == 0)
        rc = fill_names(&r, err) ?: check_old(&r, err);
    if (rc == 0 && !r.checked && !spec->unchecked)
        rc = ledgers_check(spec->ledgers, &r.manifest.state, err);
    if (rc == 0)
        rc = make_store(&r, err)
                 ?: own_spool(&r, err)
                 ?: restore_results(&r, err)
                 ?: publish_store(&r, err)
                 ?: sweep_results(&r, err);
    spool_free(r.spool);
    store_free(r.store);
    if (rc < 0)
        undo(&r);
    if (r.lock >= 0)
        close(r.lock);
    free(r.from);
    free(r.folder_url);
    free(r.folder_spool);
    free(r.temp);
    free(r.temp_url);
    backup_state_done(&r.manifest.state);
    backup_state_done(&r.kept);
    if (rc == 0)
        *ret = r.counts;
    return rc;
}
