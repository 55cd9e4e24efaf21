/* src/store/sqlite_backup.c -- copies the store as it is at one moment, while it is in use. */
#include <fcntl.h>
#include <unistd.h>

#include "base/seam.h"
#include "store/sqlite_impl.h"

enum { PAGES_AT_ONCE = 2048 }; /* 8 MiB */

static int trouble(sqlite3 *db, int rc, const char *what, struct err *err)
{
    err_set(err, -E_STORE, "Cannot %s the backup of the store: %s.", what, sqlite3_errstr(rc));
    return err_detail(err, "sqlite: %s (code %d)", sqlite3_errmsg(db), rc);
}

/* Readable by the owner only; a file that SQLite makes itself has the mode of the process. */
static int make_copy(const char *path, sqlite3 **ret, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int rc;

    if (fd < 0)
        return err_errno(err, -E_STORE, "Cannot make '%s'", path);
    close(fd);
    /* With our VFS, so that the unused middle of its pages contains nothing deleted. */
    rc =
        sqlite3_open_v2(path, ret, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, sqlite_scrub_vfs());
    return rc == SQLITE_OK ? 0 : trouble(*ret, rc, "make", err);
}

static int copy_pages(struct sqlite_conn *c, sqlite3 *copy, const struct store_backup_watch *watch,
                      struct err *err)
{
    sqlite3_backup *backup = sqlite3_backup_init(copy, "main", c->db, "main");
    int rc = SQLITE_OK;

    if (backup == NULL)
        return trouble(copy, sqlite3_errcode(copy), "begin", err);
    while (rc == SQLITE_OK) {
        rc = SEAM_FAILS("store.backup") ? SQLITE_IOERR : sqlite3_backup_step(backup, PAGES_AT_ONCE);
        watch->progress(watch->context,
                        sqlite3_backup_pagecount(backup) - sqlite3_backup_remaining(backup),
                        sqlite3_backup_pagecount(backup));
    }
    sqlite3_backup_finish(backup);
    return rc == SQLITE_DONE ? 0 : trouble(copy, rc, "write", err);
}

/* A read transaction holds the state of one moment, so that the backup does not start again when
 * something is written meanwhile. */
int sqlite_backup(struct store_conn *conn, const char *path, const struct store_backup_watch *watch,
                  struct err *err)
{
    struct sqlite_conn *c = (struct sqlite_conn *)conn;
    sqlite3 *copy = NULL;
    int rc = sqlite_exec(c, "BEGIN; SELECT count(*) FROM sqlite_schema");

    if (rc != SQLITE_OK)
        return sqlite_trouble(c, rc, err);
    SEAM_STEP("store", "backup", "begun");
    rc = make_copy(path, &copy, err) ?: copy_pages(c, copy, watch, err);
    if (sqlite3_close(copy) != SQLITE_OK && rc == 0)
        rc = trouble(copy, SQLITE_IOERR, "close", err);
    sqlite_exec(c, "COMMIT"); /* cannot fail: nothing was written */
    return rc;
}
