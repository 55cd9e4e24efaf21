/* src/proc/backup.c -- makes a backup while a server runs: the store as it is at one moment, then
 * the results of its reports. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/seam.h"
#include "proc/backup_impl.h"
#include "spool/seal.h"

/* ---- erasing reports from a copy of a store, page by page ---- */

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

/* The arguments of erase_reports(), and its progress. */
struct erasing {
    struct store *store;
    struct trail *trail;
    erase_fn *wanted;
    void *context;
    int64_t erased;
};

static int erase(const struct erasing *erasing, struct store_marked *reports, size_t count,
                 struct err *err)
{
    struct store_op mark = {
        .verb = STORE_TOMBSTONE_MANY,
        .tombstone_many = {.state = -1, .token = guid_new(), .reports = reports, .count = count}};
    struct store_op drop = {.verb = STORE_DELETE_ROWS,
                            .delete_rows = {.reports = reports, .count = count}};
    int rc = count == 0 ? 0
                        : store_ask(erasing->store, &mark, err)
                              ?: store_ask(erasing->store, &drop, err);

    for (size_t i = 0; rc == 0 && i < count; i++)
        trail_record_purge(erasing->trail, &reports[i].id, reports[i].user, reports[i].name);
    return rc;
}

/* A store_page_fn. */
static int erase_wanted(void *context, const struct store_scanned *reports, size_t count,
                        struct err *err)
{
    struct store_marked wanted[STORE_SCAN_MAX] = {0};
    struct erasing *erasing = context;
    size_t found = 0;

    for (size_t i = 0; i < count; i++) {
        if (erasing->wanted(erasing->context, &reports[i]))
            wanted[found++].id = reports[i].id;
    }
    erasing->erased += (int64_t)found;
    return erase(erasing, wanted, found, err);
}

int64_t erase_reports(struct store *store, struct trail *trail, erase_fn *wanted, void *context,
                      struct err *err)
{
    struct erasing erasing = {.store = store, .trail = trail, .wanted = wanted, .context = context};
    int rc = store_scan_pages(store, erase_wanted, &erasing, err);

    return rc < 0 ? rc : erasing.erased;
}

/* ---- the backup ---- */

/* A backup in progress. */
struct backing {
    const struct backup_spec *spec;
    char *temp; /* FOLDER.partial, until it is complete */
    int dir;    /* descriptor of `temp`, or -1 */
    bool owned; /* `temp` is locked and ours */
    char *store_path, *store_url, *spool_path;
    struct store *store; /* the copy */
    struct spool *spool;
    struct manifest manifest;
    int64_t seen, total;
    int rc;
    struct err *err;
};

/* ---- the folder ---- */

/* The folder must not exist, or be empty. */
static int check_target(const char *folder, struct err *err)
{
    const struct dirent *entry;
    struct stat st;
    bool empty = true;
    DIR *dir;

    if (lstat(folder, &st) == 0 && !S_ISDIR(st.st_mode))
        return err_set(err, -E_EXISTS,
                       "'%s' is a file or a symbolic link; name a folder that does not exist yet",
                       folder);
    dir = opendir(folder);
    if (dir == NULL)
        return errno == ENOENT ? 0 : err_errno(err, -E_IO, "open the folder '%s'", folder);
    while (empty && (entry = readdir(dir)) != NULL)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(dir);
    return empty ? 0
                 : err_set(err, -E_EXISTS,
                           "'%s' is not empty; name a folder that does not exist yet", folder);
}

static void remove_files_in(int dir, const char *folder)
{
    int fd = openat(dir, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *open = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;

    if (open == NULL && fd >= 0)
        close(fd);
    while (open != NULL && (entry = readdir(open)) != NULL)
        unlinkat(fd, entry->d_name, 0); /* fails for folders, such as . and .. */
    if (open != NULL)
        closedir(open);
}

/* Remove what a killed backup has left. */
static int sweep_partial(const struct backing *b, struct err *err)
{
    static const char *const names[] = {BACKUP_STORE, BACKUP_STORE "-wal", BACKUP_STORE "-shm",
                                        BACKUP_STORE "-journal", BACKUP_MANIFEST};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlinkat(b->dir, names[i], 0);
    remove_files_in(b->dir, BACKUP_SPOOL);
    remove_files_in(b->dir, BACKUP_SPOOL "/temp");
    unlinkat(b->dir, BACKUP_SPOOL "/temp", AT_REMOVEDIR);
    if (unlinkat(b->dir, BACKUP_SPOOL, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return err_errno(err, -E_IO, "remove what is in '%s'", b->temp);
    return 0;
}

static int open_backup_folder(struct backing *b, struct err *err)
{
    int rc = check_target(b->spec->folder, err);
    size_t len = strlen(b->spec->folder);

    while (len > 1 && b->spec->folder[len - 1] == '/')
        len--;
    if (rc < 0)
        return rc;
    if (asprintf(&b->temp, "%.*s.partial", (int)len, b->spec->folder) < 0) {
        b->temp = NULL;
        return err_no_memory(err);
    }
    if (mkdir(b->temp, 0700) < 0 && errno != EEXIST)
        return err_errno(err, -E_IO, "make the folder '%s'", b->temp);
    b->dir = open(b->temp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (b->dir < 0)
        return err_errno(err, -E_IO, "open the folder '%s'", b->temp);
    if (flock(b->dir, LOCK_EX | LOCK_NB) < 0)
        return err_set(err, -E_BUSY, "another backup is being written to '%s'", b->temp);
    b->owned = true;
    rc = sweep_partial(b, err);
    b->store_path = backup_path(b->temp, BACKUP_STORE);
    b->store_url = backup_store_url(b->store_path);
    b->spool_path = backup_path(b->temp, BACKUP_SPOOL);
    if (b->store_path == NULL || b->store_url == NULL || b->spool_path == NULL)
        return err_no_memory(err);
    return rc;
}

/* ---- the results ---- */

/* Was the report deleted since the store was copied? */
static bool is_gone(struct backing *b, const struct guid *id)
{
    struct store_op op = {.verb = STORE_FIND, .find = {.id = *id}};
    bool gone;

    b->rc = store_ask(b->spec->store, &op, b->err);
    gone = !op.find.found || op.find.report.state != REPORT_COMPLETE;
    store_op_done(&op);
    return gone;
}

/* False: the report is removed from the backup, since its result no longer exists. */
static bool back_up_result(struct backing *b, const struct store_scanned *report)
{
    int64_t bytes = seal_stored_size(report->bytes, report->sealed);
    int rc;

    SEAM_STEP("backup", "result", "due");
    rc = spool_copy(b->spec->spool, b->spool, &report->id, report->attempt, bytes, b->err);
    if (rc == -E_NOT_FOUND) {
        if (!is_gone(b, &report->id))
            b->manifest.counts.lost++;
        return b->rc < 0;
    }
    b->rc = rc;
    b->manifest.counts.results++;
    b->manifest.counts.bytes += bytes;
    return true;
}

/* Has the report to be erased from the copy? */
static bool is_unwanted(void *context, const struct store_scanned *report)
{
    struct backing *b = context;
    bool kept = report->state != REPORT_DELETING;

    if (b->rc < 0)
        return false;
    b->spec->progress(b->spec->context, "reports", ++b->seen, b->total);
    if (report->state == REPORT_COMPLETE && !report->in_row)
        kept = back_up_result(b, report);
    b->manifest.counts.reports += kept;
    return !kept;
}

/* Every complete report in the copy had its result when the copy was made: its file still exists,
 * or it was deleted meanwhile. */
static int back_up_results(struct backing *b, struct err *err)
{
    const struct store_spec store = {.url = b->store_url};
    const struct spool_spec spool = {.place = b->spool_path, .store = b->store_url};
    int64_t erased;
    int rc = store_open(&store, &b->store, err)
                 ?: spool_open(&spool, &b->spool, err)
                 ?: store_count_reports(b->store, &b->total, err);

    if (rc < 0)
        return rc;
    erased = erase_reports(b->store, NULL, is_unwanted, b, err);
    if (erased < 0 || b->rc < 0)
        return b->rc < 0 ? b->rc : (int)erased;
    SEAM_STEP("backup", "results", "copied");
    rc = backup_state_of(b->store, 0, &b->manifest.state, err);
    if (rc < 0)
        return rc;
    store_free(b->store);
    b->store = NULL;
    return spool_sync(b->spool, err);
}

/* ---- the whole backup ---- */

static void tell_store(void *context, int64_t done, int64_t total)
{
    const struct backing *b = context;

    b->spec->progress(b->spec->context, "pages of the store", done, total);
}

static int copy_store(struct backing *b, struct err *err)
{
    const struct store_backup_watch watch = {.progress = tell_store, .context = b};
    int rc;

    b->manifest.state.made_ms = store_now_ms(b->spec->store); /* taken before the moment of the
                                                               * copy */
    rc = store_backup(b->spec->store, b->store_path, &watch, err);
    SEAM_STEP("backup", "store", "copied");
    return rc;
}

static int publish_backup(struct backing *b, struct err *err)
{
    int rc = manifest_write(b->temp, &b->manifest, err);

    SEAM_STEP("backup", "manifest", "written");
    if (rc == 0 && (fsync(b->dir) < 0 || rename(b->temp, b->spec->folder) < 0 ||
                    file_sync_folder_of(b->spec->folder) < 0))
        rc = err_errno(err, -E_IO, "make '%s' of '%s'", b->spec->folder, b->temp);
    SEAM_STEP("backup", "folder", "renamed");
    return rc;
}

static void close_backup(struct backing *b, bool failed)
{
    struct err ignored;

    spool_free(b->spool);
    store_free(b->store);
    backup_state_done(&b->manifest.state);
    if (failed && b->owned && b->temp != NULL && sweep_partial(b, &ignored) == 0)
        rmdir(b->temp);
    if (b->dir >= 0)
        close(b->dir);
    free(b->temp);
    free(b->store_path);
    free(b->store_url);
    free(b->spool_path);
}

int backup_run(const struct backup_spec *spec, struct backup_counts *ret, struct err *err)
{
    struct backing b = {.spec = spec, .dir = -1, .err = err};
    int rc = open_backup_folder(&b, err)
                 ?: copy_store(&b, err)
                 ?: back_up_results(&b, err)
                 ?: publish_backup(&b, err);

    close_backup(&b, rc < 0);
    if (rc == 0)
        *ret = b.manifest.counts;
    return rc;
}
